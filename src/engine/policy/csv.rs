//! The strict CSV reader of the policy folder: UTF-8 without BOM, header comment first, cells trimmed, RFC 4180
//! quotes allowed, `#` only at line start. Every cell knows where it stands.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Position};

/// One cell, trimmed and unquoted.
#[derive(Debug, Clone)]
pub(crate) struct Cell {
    pub(crate) text: String,
    /// In characters, from 1.
    pub(crate) column: u32,
    /// In characters, at least 1.
    pub(crate) width: u32,
}

/// One row.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) file: Arc<str>,
    pub(crate) line: u32,
    pub(crate) source: Arc<str>,
    pub(crate) cells: Vec<Cell>,
}

impl Row {
    pub(crate) fn position(&self, cell: usize) -> Position {
        Position {
            file: self.file.clone(),
            line: self.line,
            column: self.cells.get(cell).map_or(1, |c| c.column),
        }
    }

    /// An error under a cell.
    pub(crate) fn error(
        &self,
        cell: usize,
        code: &'static str,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::error(code, Some(self.position(cell)), message).underline(
            self.source.to_string(),
            self.cells.get(cell).map_or(1, |c| c.width),
        )
    }

    /// A warning under a cell.
    pub(crate) fn warning(
        &self,
        cell: usize,
        code: &'static str,
        message: impl Into<String>,
    ) -> Diagnostic {
        Diagnostic::warning(code, Some(self.position(cell)), message).underline(
            self.source.to_string(),
            self.cells.get(cell).map_or(1, |c| c.width),
        )
    }

    /// An error under a word inside a cell.
    pub(crate) fn error_at_word(
        &self,
        cell: usize,
        word: &str,
        code: &'static str,
        message: impl Into<String>,
    ) -> Diagnostic {
        let mut e = self.error(cell, code, message);
        if let (Some(c), Some(p)) = (self.cells.get(cell), e.position.as_mut())
            && let Some(i) = c.text.find(word)
            && self.source.chars().nth(c.column as usize - 1) != Some('"')
        {
            p.column += c.text[..i].chars().count() as u32;
            e.width = (word.chars().count() as u32).max(1);
        }
        e
    }
}

/// Reads a file of rows that all begin with `kind`. `header` is the first line, such as `# g, who, role`.
pub(crate) fn read(
    file: &Arc<str>,
    bytes: &[u8],
    kind: &'static str,
    header: &'static str,
    found: &mut Vec<Diagnostic>,
) -> Vec<Row> {
    let place = |line: u32, column: u32| {
        Some(Position {
            file: file.clone(),
            line,
            column,
        })
    };
    if bytes.starts_with(b"\xef\xbb\xbf") {
        found.push(
            Diagnostic::error("byte-order-mark", place(1, 1), "the file begins with a byte order mark")
                .help("save it as UTF-8 without BOM (in Excel: not \"CSV UTF-8\"; in editors: \"UTF-8\", not \"UTF-8 with BOM\")"),
        );
        return Vec::new();
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => {
            let line = bytes[..e.valid_up_to()]
                .iter()
                .filter(|b| **b == b'\n')
                .count();
            found.push(
                Diagnostic::error(
                    "not-utf8",
                    place(line as u32 + 1, 0),
                    "this line is not UTF-8",
                )
                .help("save the file as UTF-8"),
            );
            return Vec::new();
        }
    };
    let words = |line: &str| -> Vec<String> {
        line.trim_start_matches('#')
            .split(',')
            .map(|w| w.trim().to_owned())
            .collect()
    };
    let wanted = words(header);
    let mut rows = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let number = index as u32 + 1;
        if index == 0 && !(line.starts_with('#') && words(line) == wanted) {
            found.push(
                Diagnostic::error(
                    "header",
                    place(1, 1),
                    "the first line must be the header comment",
                )
                .underline(line, line.chars().count().max(1) as u32)
                .help(format!("write `{header}`")),
            );
        }
        if line.trim().is_empty() || line.starts_with('#') {
            continue;
        }
        match cells(line) {
            Ok(cells) => {
                let row = Row {
                    file: file.clone(),
                    line: number,
                    source: line.into(),
                    cells,
                };
                if let Some(e) = shape(&row, kind, header, wanted.len()) {
                    found.push(e);
                } else {
                    rows.push(row);
                }
            }
            Err((column, code, message, help)) => found.push(
                Diagnostic::error(code, place(number, column), message)
                    .underline(line, 1)
                    .help(help),
            ),
        }
    }
    if text.is_empty() {
        found.push(
            Diagnostic::error("header", place(0, 0), "the file is empty")
                .help(format!("its first line must be `{header}`")),
        );
    }
    rows
}

/// Row type and number of columns.
fn shape(
    row: &Row,
    kind: &'static str,
    header: &'static str,
    columns: usize,
) -> Option<Diagnostic> {
    let first = row.cells.first()?;
    if row.cells.len() == 1 && first.text.contains(';') {
        let at = first.text.find(';').map_or("", |i| &first.text[i..=i]);
        return Some(
            row.error_at_word(
                0,
                at,
                "separator",
                "the cells are separated by `;` instead of `,`",
            )
            .help("use commas (spreadsheets in some countries write semicolons)"),
        );
    }
    if first.text.starts_with('#') {
        return Some(
            row.error(0, "comment", "`#` must be the first character of the line")
                .help("remove the spaces before it"),
        );
    }
    if first.text != kind {
        let e = row.error(
            0,
            "unknown-row-type",
            format!("unknown row type `{}`", first.text),
        );
        return Some(match first.text.as_str() {
            "p" => e.help("`p` rows stand in rules/*.csv"),
            "g" => e.help("`g` rows stand in roles.csv"),
            "g2" => e.help("`g2` rows stand in classes/*.csv"),
            _ => e.help(format!("every row of this file begins with `{kind}`")),
        });
    }
    for (i, cell) in row.cells.iter().enumerate() {
        if let Some(at) = cell.text.find('#') {
            return Some(
                row.error_at_word(
                    i,
                    &cell.text[at..=at],
                    "trailing-comment",
                    "a comment cannot follow a row",
                )
                .help("`#` counts at line start only: put the comment on its own line above"),
            );
        }
        if cell.text.chars().any(char::is_control) {
            return Some(row.error(i, "control-character", "the cell holds a control character"));
        }
    }
    if row.cells.len() != columns {
        let at = row.cells.len().min(columns).saturating_sub(1);
        return Some(
            row.error(
                at,
                "column-count",
                format!(
                    "the row has {} columns instead of {columns}",
                    row.cells.len()
                ),
            )
            .help(format!("columns: `{header}`")),
        );
    }
    if let Some(i) = row.cells.iter().position(|c| c.text.is_empty()) {
        let name = header.split(',').nth(i).unwrap_or("").trim();
        return Some(
            row.error(i, "empty-cell", format!("the column {name} is empty"))
                .help("`-` stands for nothing, `*` for any"),
        );
    }
    None
}

/// Column, code, message, help.
pub(crate) type Mistake = (u32, &'static str, &'static str, &'static str);

/// The cells of one row; the error is (column, code, message, help).
pub(crate) fn cells(line: &str) -> Result<Vec<Cell>, Mistake> {
    let chars: Vec<char> = line.chars().collect();
    let mut cells = Vec::new();
    let mut i = 0;
    loop {
        while chars.get(i).is_some_and(|c| matches!(c, ' ' | '\t')) {
            i += 1;
        }
        let start = i;
        let mut text = String::new();
        if chars.get(i) == Some(&'"') {
            i += 1;
            loop {
                match chars.get(i) {
                    None => {
                        return Err((
                            start as u32 + 1,
                            "unterminated-quote",
                            "the quote is never closed",
                            "close it on the same line; quotes are never needed here",
                        ));
                    }
                    Some('"') if chars.get(i + 1) == Some(&'"') => {
                        text.push('"');
                        i += 2;
                    }
                    Some('"') => {
                        i += 1;
                        break;
                    }
                    Some(c) => {
                        text.push(*c);
                        i += 1;
                    }
                }
            }
            let end = i;
            while chars.get(i).is_some_and(|c| matches!(c, ' ' | '\t')) {
                i += 1;
            }
            match chars.get(i) {
                None | Some(',') => {}
                Some('#') => {
                    return Err((
                        i as u32 + 1,
                        "trailing-comment",
                        "a comment cannot follow a row",
                        "`#` counts at line start only: put the comment on its own line above",
                    ));
                }
                Some(_) => {
                    return Err((
                        i as u32 + 1,
                        "stray-quote",
                        "text follows a closed quote",
                        "quote the whole cell, or none of it",
                    ));
                }
            }
            cells.push(Cell {
                text: text.trim().to_owned(),
                column: start as u32 + 1,
                width: (end - start).max(1) as u32,
            });
        } else {
            while let Some(c) = chars.get(i) {
                match c {
                    ',' => break,
                    '"' => {
                        return Err((
                            i as u32 + 1,
                            "stray-quote",
                            "a quote inside an unquoted cell",
                            "quote the whole cell and double the quotes inside it, or remove them",
                        ));
                    }
                    c => text.push(*c),
                }
                i += 1;
            }
            let text = text.trim_end().to_owned();
            cells.push(Cell {
                width: (text.chars().count() as u32).max(1),
                column: start as u32 + 1,
                text,
            });
        }
        if chars.get(i) == Some(&',') {
            i += 1;
        } else {
            return Ok(cells);
        }
    }
}
