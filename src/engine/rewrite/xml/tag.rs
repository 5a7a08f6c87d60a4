//! One complete tag: names and attributes, strictly.

use super::Fault;
use super::lex::{is_char, referenced};

/// Most attributes of one element.
const ATTRIBUTES_MAX: usize = 256;

/// One attribute; ranges are of the tag.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attribute {
    /// Start and end of the qualified name.
    pub(super) name: (usize, usize),
    /// Of the value without its quotes.
    pub(super) value: (usize, usize),
}

/// Prefix and local part.
pub(super) fn parts(name: &str) -> (&str, &str) {
    name.split_once(':').unwrap_or(("", name))
}

fn is_name_start(c: char) -> bool {
    matches!(c, 'A'..='Z' | 'a'..='z' | '_' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
        | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
        | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
        | '\u{10000}'..='\u{effff}')
}

fn is_name_char(c: char) -> bool {
    is_name_start(c)
        || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}

/// Where the qualified name that starts at `from` ends.
fn name(tag: &str, from: usize) -> Result<usize, Fault> {
    const WRONG: Fault = Fault::Malformed("XML name");
    let (mut colons, mut start) = (0, true);
    let mut end = tag.len();
    for (at, c) in tag[from..].char_indices() {
        if c == ':' {
            colons += 1;
            if start || colons > 1 {
                return Err(WRONG);
            }
            start = true;
        } else if start {
            if !is_name_start(c) {
                return Err(WRONG);
            }
            start = false;
        } else if !is_name_char(c) {
            end = from + at;
            break;
        }
        if !c.is_ascii() && crate::engine::key::is_forbidden(c) {
            return Err(Fault::ForbiddenKey);
        }
    }
    if start { Err(WRONG) } else { Ok(end) }
}

/// Whether `text` is one qualified name.
pub(super) fn is_name(text: &str) -> bool {
    name(text, 0) == Ok(text.len())
}

fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\n' | b'\r')
}

fn space(tag: &str, from: usize) -> usize {
    tag.as_bytes()[from..]
        .iter()
        .position(|b| !is_space(*b))
        .map_or(tag.len(), |n| from + n)
}

/// `</name>` → its name.
pub(super) fn end(tag: &str) -> Result<&str, Fault> {
    let to = name(tag, 2)?;
    if &tag[space(tag, to)..] == ">" {
        Ok(&tag[2..to])
    } else {
        Err(Fault::Malformed("XML end tag"))
    }
}

/// `<name …>` or `<name …/>` → the end of its name, and whether the element is empty.
pub(super) fn start(tag: &str, attributes: &mut Vec<Attribute>) -> Result<(usize, bool), Fault> {
    let to = name(tag, 1)?;
    let rest = list(tag, to, attributes)?;
    match &tag[rest..] {
        ">" => Ok((to, false)),
        "/>" => Ok((to, true)),
        _ => Err(Fault::Malformed("XML tag")),
    }
}

/// Attributes from `i` on; gives where they end.
fn list(tag: &str, mut i: usize, attributes: &mut Vec<Attribute>) -> Result<usize, Fault> {
    const WRONG: Fault = Fault::Malformed("XML attribute");
    attributes.clear();
    let bytes = tag.as_bytes();
    loop {
        let from = space(tag, i);
        if matches!(bytes.get(from), None | Some(b'/' | b'>' | b'?')) {
            return Ok(from);
        }
        if from == i {
            return Err(WRONG);
        }
        let name_end = name(tag, from)?;
        i = space(tag, name_end);
        if bytes.get(i) != Some(&b'=') {
            return Err(WRONG);
        }
        i = space(tag, i + 1);
        let quote = match bytes.get(i) {
            Some(quote @ (b'"' | b'\'')) => *quote,
            _ => return Err(WRONG),
        };
        let value = i + 1;
        let length = memchr::memchr(quote, &bytes[value..]).ok_or(WRONG)?;
        check_value(&tag[value..value + length])?;
        if attributes.len() == ATTRIBUTES_MAX {
            return Err(Fault::TooLarge("XML attributes"));
        }
        let new = Attribute {
            name: (from, name_end),
            value: (value, value + length),
        };
        let text = |a: &Attribute| &tag[a.name.0..a.name.1];
        if attributes.iter().any(|a| text(a) == text(&new)) {
            return Err(Fault::Malformed("XML: duplicate attribute"));
        }
        attributes.push(new);
        i = value + length + 1;
    }
}

fn check_value(value: &str) -> Result<(), Fault> {
    let bytes = value.as_bytes();
    if memchr::memchr2(b'<', b'&', bytes).is_none() {
        return Ok(());
    }
    if memchr::memchr(b'<', bytes).is_some() {
        return Err(Fault::Malformed("XML attribute"));
    }
    for at in memchr::memchr_iter(b'&', bytes) {
        let rest = &bytes[at + 1..];
        let good = memchr::memchr(b';', rest).and_then(|n| referenced(&rest[..n]));
        if good.is_none() {
            return Err(Fault::Malformed("XML reference"));
        }
    }
    Ok(())
}

/// Appends the characters of validated text: references resolved, line ends made LF.
pub(super) fn decode(text: &str, to: &mut String) {
    let mut rest = text;
    while let Some(at) = memchr::memchr2(b'&', b'\r', rest.as_bytes()) {
        to.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        rest = if rest.as_bytes()[at] == b'\r' {
            to.push('\n');
            behind.strip_prefix('\n').unwrap_or(behind)
        } else {
            match behind.split_once(';') {
                Some((name, behind)) => {
                    to.extend(referenced(name.as_bytes()));
                    behind
                }
                None => behind,
            }
        };
    }
    to.push_str(rest);
}

/// Appends `text` as it stands in an element, or in a quoted attribute.
pub(super) fn encode(text: &str, to: &mut Vec<u8>) {
    let plain = |b: u8| matches!(b, 0x20..0x80) && !matches!(b, b'&' | b'<' | b'>' | b'"');
    if text.bytes().all(plain) {
        return to.extend_from_slice(text.as_bytes());
    }
    for c in text.chars().filter(|c| is_char(*c)) {
        match c {
            '&' => to.extend_from_slice(b"&amp;"),
            '<' => to.extend_from_slice(b"&lt;"),
            '>' => to.extend_from_slice(b"&gt;"),
            '"' => to.extend_from_slice(b"&quot;"),
            '\r' => to.extend_from_slice(b"&#13;"),
            '\n' => to.extend_from_slice(b"&#10;"),
            '\t' => to.extend_from_slice(b"&#9;"),
            c => to.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// `<?…?>` → true if it is the XML declaration: version 1.0 and no encoding but UTF-8.
pub(super) fn instruction(text: &str, attributes: &mut Vec<Attribute>) -> Result<bool, Fault> {
    const WRONG: Fault = Fault::Malformed("XML declaration");
    let to = name(text, 2)?;
    let target = &text[2..to];
    if target != "xml" {
        let bounded = is_space(text.as_bytes()[to]) || &text[to..] == "?>";
        return if target.eq_ignore_ascii_case("xml") || target.contains(':') || !bounded {
            Err(Fault::Malformed("XML processing instruction"))
        } else {
            Ok(false)
        };
    }
    let rest = list(text, to, attributes)?;
    if &text[rest..] != "?>" {
        return Err(WRONG);
    }
    let mut left = attributes
        .iter()
        .map(|a| (&text[a.name.0..a.name.1], &text[a.value.0..a.value.1]))
        .peekable();
    if left.next() != Some(("version", "1.0")) {
        return Err(WRONG);
    }
    if let Some((_, encoding)) = left.next_if(|(name, _)| *name == "encoding")
        && !encoding.eq_ignore_ascii_case("utf-8")
    {
        return Err(Fault::Malformed("XML encoding: not UTF-8"));
    }
    left.next_if(|part| matches!(part, ("standalone", "yes" | "no")));
    if left.next().is_some() {
        Err(WRONG)
    } else {
        Ok(true)
    }
}
