//! Strict YAML as a tree whose every key and value knows its place: no anchors, aliases, tags, second documents or
//! repeated keys, so that what a person reads is what is loaded.

use std::sync::Arc;

use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, ScanError, Span};

use crate::diagnostic::{Diagnostic, Position};

/// Deeper than any file that people write.
const DEPTH_MAX: usize = 16;

/// Where a key or value stands: a place in the file, or an environment variable (line 0).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) position: Position,
    /// Characters to underline.
    pub(super) width: u32,
}

impl Place {
    /// A value that came from the environment variable `name`.
    pub(super) fn variable(name: &str) -> Self {
        Self {
            position: Position {
                file: name.into(),
                line: 0,
                column: 0,
            },
            width: 1,
        }
    }
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Nothing, `~` or `null`.
    Null,
    /// A scalar's text. `expand`: `${NAME}` stands for the environment.
    Text {
        text: String,
        expand: bool,
    },
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) place: Place,
}

#[derive(Debug, Clone)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) place: Place,
}

/// Parses one document. An empty one is an empty map.
pub(super) fn parse(file: &Arc<str>, text: &str) -> Result<Node, Diagnostic> {
    let mut tree = Tree {
        file,
        parser: Parser::new_from_str(text),
    };
    let start = Place {
        position: Position {
            file: file.clone(),
            line: 1,
            column: 1,
        },
        width: 1,
    };
    let mut root = None;
    loop {
        let Some((event, span)) = tree.next()? else {
            break;
        };
        match event {
            Event::StreamEnd => break,
            _ if root.is_some() => {
                return Err(tree.error(&span, "a second document"));
            }
            event => root = Some(tree.node(event, &span, 0)?),
        }
    }
    let empty = Node {
        value: Value::Map(Vec::new()),
        place: start,
    };
    Ok(match root {
        None => empty,
        Some(node) if matches!(node.value, Value::Null) => empty,
        Some(node) => node,
    })
}

struct Tree<'a> {
    file: &'a Arc<str>,
    parser: Parser<'a, serde_saphyr::granit_parser::StrInput<'a>>,
}

impl<'a> Tree<'a> {
    /// The next event that says something: comments do not.
    fn next(&mut self) -> Result<Option<(Event<'a>, Span)>, Diagnostic> {
        loop {
            let next = self.parser.next_event().transpose();
            match next.map_err(|e| self.scan_error(&e))? {
                Some((event, _)) if !says_something(&event) => {}
                next => return Ok(next),
            }
        }
    }

    fn place(&self, span: &Span) -> Place {
        let one_line = span.start.line() == span.end.line();
        let width = if one_line {
            span.end.col().saturating_sub(span.start.col())
        } else {
            1
        };
        Place {
            position: Position {
                file: self.file.clone(),
                line: u32::try_from(span.start.line()).unwrap_or(0),
                column: u32::try_from(span.start.col() + 1).unwrap_or(0),
            },
            width: u32::try_from(width).unwrap_or(1).max(1),
        }
    }

    fn error(&self, span: &Span, message: &str) -> Diagnostic {
        Diagnostic::error("yaml", Some(self.place(span).position), message)
    }

    fn scan_error(&self, error: &ScanError) -> Diagnostic {
        let position = Position {
            file: self.file.clone(),
            line: u32::try_from(error.marker().line()).unwrap_or(0),
            column: u32::try_from(error.marker().col() + 1).unwrap_or(0),
        };
        Diagnostic::error("yaml", Some(position), error.info())
    }

    fn node(&mut self, event: Event<'a>, span: &Span, depth: usize) -> Result<Node, Diagnostic> {
        if depth > DEPTH_MAX {
            return Err(self.error(span, "nested too deeply"));
        }
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(_, anchor, tag)
            | Event::MappingStart(_, anchor, tag) => (*anchor, tag.is_some()),
            _ => return Err(self.error(span, "aliases (`*name`) are not allowed here")),
        };
        if anchor != 0 || tagged {
            return Err(self.error(
                span,
                "anchors (`&name`) and tags (`!name`) are not allowed here",
            ));
        }
        let place = self.place(span);
        let value = match event {
            Event::Scalar(text, style, ..) => {
                if style == ScalarStyle::Plain && matches!(&*text, "" | "~" | "null") {
                    Value::Null
                } else {
                    Value::Text {
                        text: text.into_owned(),
                        expand: true,
                    }
                }
            }
            Event::SequenceStart(..) => self.list(depth)?,
            _ => self.map(depth)?,
        };
        Ok(Node { value, place })
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
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some((event, span)) = self.next()? {
            if matches!(event, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, &span, depth + 1)?;
            let Value::Text { text, .. } = key.value else {
                return Err(self.error(&span, "a key must be a word"));
            };
            if let Some((first, _)) = entries.iter().find(|(k, _)| k.text == text) {
                let line = first.place.position.line;
                return Err(self.error(
                    &span,
                    &format!("`{text}` stands here twice (first in line {line})"),
                ));
            }
            let Some((event, span)) = self.next()? else {
                break;
            };
            let value = self.node(event, &span, depth + 1)?;
            let key = Key {
                text,
                place: key.place,
            };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_knows_its_place() {
        let root = parse(&"a.yaml".into(), "schema: 1\nlisten:\n  address: \"x\"\n").unwrap();
        let Value::Map(entries) = root.value else {
            panic!("a map");
        };
        let (key, listen) = &entries[1];
        assert_eq!(
            (
                key.place.position.line,
                key.place.position.column,
                key.place.width
            ),
            (2, 1, 6)
        );
        let Value::Map(inner) = &listen.value else {
            panic!("a map");
        };
        let place = &inner[0].1.place;
        assert_eq!(
            (place.position.line, place.position.column, place.width),
            (3, 12, 3)
        );
    }

    #[test]
    fn what_reads_two_ways_is_refused_with_its_place() {
        for (text, line, says) in [
            ("a: 1\na: 2\n", 2, "twice"),
            ("a: &x 1\n", 1, "anchors"),
            ("a: &x 1\nb: *x\n", 1, "anchors"),
            ("a: !!str 1\n", 1, "tags"),
            ("a: 1\n---\nb: 2\n", 3, "second document"),
            ("a: [1\n", 1, ""),
            ("a: 1\n\tb: 2\n", 1, ""),
            ("[a]: 1\n", 1, "a key"),
        ] {
            let problem = parse(&"a.yaml".into(), text).unwrap_err();
            assert!(problem.message.contains(says), "{problem}");
            assert_eq!(problem.position.map(|p| p.line), Some(line), "{text}");
        }
        assert!(parse(&"a.yaml".into(), &"[".repeat(10_000)).is_err());
        assert!(matches!(
            parse(&"a.yaml".into(), "").unwrap().value,
            Value::Map(entries) if entries.is_empty()
        ));
    }
}
