//! Strict YAML as a tree whose every key and value knows its place. What a person reads is what is loaded: no
//! anchors, aliases, tags, second documents or repeated keys, and no word that turns into something else (`NO` is
//! a country, `on` a word, `007` a text; only `true` and `false` are booleans). Pure.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, StrInput};

use crate::diagnostic::{Diagnostic, Position};

/// Deeper than any file that people write.
const DEPTH_MAX: usize = 32;

/// Where something stands. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// 0 = not in a line of a text.
    pub line: u32,
    /// 0 = the whole line.
    pub column: u32,
    /// Characters to underline.
    pub width: u32,
    /// Which text it stands in, for trees that are put together from several; 0 = the file itself.
    pub text: u32,
}

impl Place {
    /// The place in `file`.
    pub fn position(&self, file: &Arc<str>) -> Position {
        Position {
            file: file.clone(),
            line: self.line,
            column: self.column,
        }
    }
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub struct At<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub place: Place,
}

/// One node of the tree.
pub type Node = At<Value>;

/// What a node is.
#[derive(Debug, Clone)]
pub enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// `true` or `false`, unquoted.
    Bool(bool),
    /// What JSON takes as a number (RFC 8259 section 6), unquoted and as it is written.
    Number(String),
    /// Any other scalar.
    Text(String),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping, in the order of the file. No key stands in it twice.
    Map(Vec<(At<String>, Node)>),
}

impl Value {
    /// What it is, for people.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a map",
        }
    }

    fn plain(text: String) -> Self {
        match text.as_str() {
            "" | "~" | "null" => Self::Null,
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            _ if is_number(&text) => Self::Number(text),
            _ => Self::Text(text),
        }
    }
}

/// The grammar of RFC 8259 section 6.
fn is_number(text: &str) -> bool {
    fn digits(text: &str) -> Option<&str> {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() < text.len()).then_some(rest)
    }
    let text = text.strip_prefix('-').unwrap_or(text);
    let whole = match text.strip_prefix('0') {
        Some(rest) => Some(rest),
        None => digits(text),
    };
    let fraction = whole.and_then(|rest| match rest.strip_prefix('.') {
        Some(rest) => digits(rest),
        None => Some(rest),
    });
    let exponent = fraction.and_then(|rest| match rest.strip_prefix(['e', 'E']) {
        Some(rest) => digits(rest.strip_prefix(['+', '-']).unwrap_or(rest)),
        None => Some(rest),
    });
    exponent == Some("")
}

/// Parses one document. An empty one is [`Value::Null`].
///
/// # Errors
/// The first thing that is not strict YAML; `file` is what the diagnostic calls the text.
pub fn parse(file: &Arc<str>, text: &str) -> Result<Node, Diagnostic> {
    let start = Place {
        line: 1,
        column: 1,
        width: 1,
        text: 0,
    };
    let mut tree = Tree {
        file,
        text,
        parser: Parser::new_from_str(text),
    };
    if text.starts_with('\u{feff}') {
        return Err(tree
            .error(
                "byte-order-mark",
                start,
                "the file begins with a byte order mark",
            )
            .help("save it as UTF-8 without BOM"));
    }
    let mut root = None;
    while let Some((event, span)) = tree.next()? {
        match event {
            Event::StreamEnd => break,
            _ if root.is_some() => {
                return Err(tree.error("yaml", place(&span), "a second document"));
            }
            event => root = Some(tree.node(event, &span, 0)?),
        }
    }
    Ok(root.unwrap_or(At {
        value: Value::Null,
        place: start,
    }))
}

struct Tree<'a> {
    file: &'a Arc<str>,
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
}

impl<'a> Tree<'a> {
    /// The next event that says something: comments do not.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Diagnostic> {
        loop {
            let next = self.parser.next_event().transpose().map_err(|e| {
                let at = Place {
                    line: number(e.marker().line()),
                    column: number(e.marker().col() + 1),
                    width: 1,
                    text: 0,
                };
                // The scanner's words for what this reader does not take in any case.
                match e.info() {
                    info if info.contains("unknown anchor") => self.alias(at),
                    info => self.error("yaml", at, &info),
                }
            })?;
            match next {
                Some((event, _)) if !says_something(&event) => {}
                next => return Ok(next),
            }
        }
    }

    fn error(&self, code: &'static str, at: Place, message: &str) -> Diagnostic {
        let found = Diagnostic::error(code, Some(at.position(self.file)), message);
        match line(self.text, at) {
            Some(line) => found.underline(line, at.width),
            None => found,
        }
    }

    fn alias(&self, place: Place) -> Diagnostic {
        self.error("yaml", place, "aliases (`*name`) are not allowed here")
            .help("quote a text that begins with `*`")
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Diagnostic> {
        let place = place(span);
        if depth > DEPTH_MAX {
            return Err(self.error("yaml", place, "nested too deeply"));
        }
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor, tag.is_some()),
            _ => return Err(self.alias(place)),
        };
        if anchor != 0 || tagged {
            let message = "anchors (`&name`) and tags (`!name`) are not allowed here";
            let found = self.error("yaml", place, message);
            return Err(found.help("quote a text that begins with `&` or `!`"));
        }
        let value = match event {
            Event::Scalar(text, ScalarStyle::Plain, ..) => Value::plain(text.into_owned()),
            Event::Scalar(text, ..) => Value::Text(text.into_owned()),
            Event::SequenceStart(..) => self.list(depth)?,
            _ => self.map(depth)?,
        };
        Ok(At { value, place })
    }

    fn list(&mut self, depth: usize) -> Result<Value, Diagnostic> {
        let mut items = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::SequenceEnd) {
                break;
            }
            items.push(self.node(event, &span, depth + 1)?);
        }
        Ok(Value::List(items))
    }

    fn map(&mut self, depth: usize) -> Result<Value, Diagnostic> {
        let mut entries: Vec<(At<String>, Node)> = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            // A key is its text: `NO:` and `1:` are as good as any other.
            let Event::Scalar(text, _, 0, None) = event else {
                return Err(self.error("yaml", place(&span), "a key must be a word"));
            };
            let key = At {
                value: text.into_owned(),
                place: place(&span),
            };
            if let Some((first, _)) = entries.iter().find(|(k, _)| k.value == key.value) {
                let message = format!(
                    "`{}` stands here twice (first in line {})",
                    key.value, first.place.line
                );
                return Err(self.error("duplicate-key", key.place, &message));
            }
            let Some((event, span)) = self.next()? else {
                break;
            };
            let value = self.node(event, &span, depth + 1)?;
            entries.push((key, value));
        }
        Ok(Value::Map(entries))
    }
}

fn says_something(event: &Event<'_>) -> bool {
    event.is_node()
        || matches!(
            event,
            Event::StreamEnd
                | Event::SequenceEnd
                | Event::MappingEnd
                | Event::Alias(_)
                | Event::UnresolvedAlias(_)
        )
}

fn place(span: &Span) -> Place {
    let one_line = span.start.line() == span.end.line();
    let width = if one_line {
        span.end.col().saturating_sub(span.start.col())
    } else {
        1
    };
    Place {
        line: number(span.start.line()),
        column: number(span.start.col() + 1),
        width: number(width).max(1),
        text: 0,
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(0)
}

/// The line of `text` in which `at` stands.
pub fn line(text: &str, at: Place) -> Option<&str> {
    let index = (at.line as usize).checked_sub(1)?;
    text.lines().nth(index)
}

/// A text that does not depend on comments, quoting or the order of keys.
pub fn canonical(node: &Node) -> String {
    fn write(value: &Value, out: &mut String) {
        match value {
            Value::Null => out.push('~'),
            Value::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
            Value::Number(n) => out.push_str(n),
            Value::Text(t) => {
                let _ = write!(out, "{t:?}");
            }
            Value::List(items) => {
                out.push('[');
                for item in items {
                    write(&item.value, out);
                    out.push(',');
                }
                out.push(']');
            }
            Value::Map(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_by(|a, b| a.0.value.cmp(&b.0.value));
                out.push('{');
                for (key, node) in members {
                    let _ = write!(out, "{:?}:", key.value);
                    write(&node.value, out);
                    out.push(',');
                }
                out.push('}');
            }
        }
    }
    let mut out = String::new();
    write(&node.value, &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let root = parse(&"a.yaml".into(), "schema: 1\nlisten:\n  address: \"x\"\n").unwrap();
        let Value::Map(entries) = root.value else {
            panic!("a map");
        };
        let at = |p: Place| (p.line, p.column, p.width);
        let (key, listen) = &entries[1];
        assert_eq!(at(key.place), (2, 1, 6));
        let Value::Map(inner) = &listen.value else {
            panic!("a map");
        };
        assert_eq!(at(inner[0].1.place), (3, 12, 3));
    }

    /// Norway is a country, `on` a word, and an agent's number keeps its zeros.
    #[test]
    fn words_stay_words() {
        let text =
            "[NO, no, on, yes, y, False, TRUE, 007, 1_000, 0x1F, .5, 1., +1, Null, 'true', \"12\"]";
        let Value::List(items) = parse(&"a.yaml".into(), text).unwrap().value else {
            panic!("a list");
        };
        assert_eq!(items.len(), 16);
        for item in items {
            assert!(matches!(item.value, Value::Text(_)), "{item:?}");
        }
        assert_eq!(
            canonical(
                &parse(
                    &"a.yaml".into(),
                    "{b: [true, false, 12, -1.50e+3, ~, null, ], NO: x}"
                )
                .unwrap()
            ),
            "{\"NO\":\"x\",\"b\":[true,false,12,-1.50e+3,~,~,],}"
        );
    }

    #[test]
    fn what_reads_two_ways_is_refused_with_its_place() {
        for (text, line, says) in [
            ("a: 1\na: 2\n", 2, "twice (first in line 1)"),
            ("a: 1\n\"a\": 2\n", 2, "twice"),
            ("a: &x 1\n", 1, "anchors"),
            ("a: &x 1\nb: *x\n", 1, "anchors"),
            ("b: *x\n", 1, "aliases"),
            ("a: !!str 1\n", 1, "tags"),
            ("a: 1\n---\nb: 2\n", 3, "second document"),
            ("a: [1\n", 1, ""),
            ("a: 1\n\tb: 2\n", 1, ""),
            ("[a]: 1\n", 1, "a key"),
            ("&x a: 1\n", 1, "a key"),
            ("\u{feff}a: 1\n", 1, "byte order mark"),
        ] {
            let problem = parse(&"a.yaml".into(), text).unwrap_err();
            assert!(problem.message.contains(says), "{problem}");
            assert_eq!(problem.position.map(|p| p.line), Some(line), "{text}");
        }
        assert!(parse(&"a.yaml".into(), &"[".repeat(10_000)).is_err());
        let empty = parse(&"a.yaml".into(), "# nothing\n").unwrap();
        assert!(matches!(empty.value, Value::Null));
    }
}
