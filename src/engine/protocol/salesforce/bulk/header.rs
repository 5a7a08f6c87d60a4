//! The first row of an uploaded table.

use crate::engine::refusal::Refusal;
use crate::engine::rewrite::csv::Delimiter;

use super::bad;

/// Most columns of a table.
const COLUMNS_MAX: usize = 1000;

/// The names in a header row, which ends with its line end or with the table. The table is read again, strictly, on its
/// way upstream: a header that reads otherwise there ends the upload.
///
/// # Errors
/// No header, too many columns, quotes that do not close, or text that is not UTF-8.
pub(super) fn columns(row: &[u8], delimiter: Delimiter) -> Result<Vec<String>, Refusal> {
    let malformed = || bad("the table begins with no header row");
    let text = std::str::from_utf8(row).map_err(|_| malformed())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let text = text.strip_suffix('\n').unwrap_or(text);
    let mut rest = text.strip_suffix('\r').unwrap_or(text);
    if rest.is_empty() {
        return Err(malformed());
    }
    let mut names = Vec::new();
    loop {
        let (name, after) = cell(rest, char::from(delimiter.byte())).ok_or_else(malformed)?;
        names.push(name);
        if names.len() > COLUMNS_MAX {
            return Err(bad("the table has too many columns"));
        }
        match after {
            None => return Ok(names),
            Some(after) => rest = after,
        }
    }
}

/// The first cell of `row`, and what is behind its delimiter.
fn cell(row: &str, delimiter: char) -> Option<(String, Option<&str>)> {
    let Some(quoted) = row.strip_prefix('"') else {
        return Some(match row.split_once(delimiter) {
            None => (row.to_owned(), None),
            Some((name, after)) => (name.to_owned(), Some(after)),
        });
    };
    let mut name = String::new();
    let mut rest = quoted;
    loop {
        let (part, after) = rest.split_once('"')?;
        name.push_str(part);
        match after.strip_prefix('"') {
            Some(more) => {
                name.push('"');
                rest = more;
            }
            None if after.is_empty() => return Some((name, None)),
            None => return Some((name, Some(after.strip_prefix(delimiter)?))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let read = |row: &str| columns(row.as_bytes(), Delimiter::Comma).ok();
        let names = |names: &[&str]| Some(names.iter().map(|n| (*n).to_owned()).collect());
        assert_eq!(read("Id,Email\n"), names(&["Id", "Email"]));
        assert_eq!(read("\u{feff}Id\r\n"), names(&["Id"]));
        assert_eq!(
            read("\"Id\",\"a,\"\"b\"\"\",c"),
            names(&["Id", "a,\"b\"", "c"])
        );
        assert_eq!(read("Id,"), names(&["Id", ""]));
        for bad in ["", "\n", "\"Id", "\"Id\"x,b"] {
            assert_eq!(read(bad), None, "{bad}");
        }
        assert!(columns(b"\xff", Delimiter::Comma).is_err());
        assert_eq!(
            columns(b"Id;Email", Delimiter::Semicolon).ok(),
            names(&["Id", "Email"])
        );
    }
}
