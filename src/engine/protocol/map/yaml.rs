//! A YAML document as a tree that remembers where each node stands, so that a map can be checked as a whole
//! and every mistake be shown in its place.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, Spanned};

use crate::diagnostic::{Diagnostic, Position, nearest};

/// Line and column of a node, both from 1; (0, 0) = unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Place {
    pub(super) line: u32,
    pub(super) column: u32,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// One node.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Null,
    Bool(bool),
    /// Numbers, by the text of their value.
    Number(String),
    Text(String),
    List(Vec<At<Node>>),
    Map(Vec<(At<String>, At<Node>)>),
}

impl Node {
    fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NodeVisitor;
        impl<'de> Visitor<'de> for NodeVisitor {
            type Value = Node;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("YAML")
            }
            fn visit_unit<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_none<E>(self) -> Result<Node, E> {
                Ok(Node::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Node, D::Error> {
                Node::deserialize(d)
            }
            fn visit_bool<E>(self, v: bool) -> Result<Node, E> {
                Ok(Node::Bool(v))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Node, E> {
                Ok(Node::Number(v.to_string()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Node, E> {
                Ok(Node::Number(v.to_string()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Node, E> {
                Ok(Node::Number(v.to_string()))
            }
            fn visit_str<E>(self, v: &str) -> Result<Node, E> {
                Ok(Node::Text(v.to_owned()))
            }
            fn visit_string<E>(self, v: String) -> Result<Node, E> {
                Ok(Node::Text(v))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Node, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element::<Spanned<Node>>()? {
                    list.push(At::from(item));
                }
                Ok(Node::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    let value = map.next_value::<Spanned<Node>>()?;
                    members.push((At::from(key), At::from(value)));
                }
                Ok(Node::Map(members))
            }
        }
        deserializer.deserialize_any(NodeVisitor)
    }
}

impl<T> From<Spanned<T>> for At<T> {
    fn from(s: Spanned<T>) -> Self {
        Self {
            place: place(s.referenced),
            value: s.value,
        }
    }
}

fn place(l: serde_saphyr::Location) -> Place {
    Place {
        line: u32::try_from(l.line()).unwrap_or(0),
        column: u32::try_from(l.column()).unwrap_or(0),
    }
}

/// Collects what is wrong in one file.
#[derive(Debug)]
pub(super) struct Findings {
    file: Arc<str>,
    lines: Vec<String>,
    pub(super) list: Vec<Diagnostic>,
}

impl Findings {
    pub(super) fn new(file: &str, text: &str) -> Self {
        Self {
            file: file.into(),
            lines: text.lines().map(str::to_owned).collect(),
            list: Vec::new(),
        }
    }

    /// Adds an error at `place`, underlining `width` characters, with `help` if it is not empty.
    pub(super) fn error(
        &mut self,
        code: &'static str,
        place: Place,
        width: usize,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        let position = Position {
            file: self.file.clone(),
            line: place.line,
            column: place.column,
        };
        let mut d = Diagnostic::error(code, Some(position), message);
        let help = help.into();
        if !help.is_empty() {
            d = d.help(help);
        }
        let line = (place.line as usize)
            .checked_sub(1)
            .and_then(|i| self.lines.get(i));
        if let Some(line) = line {
            d = d.underline(line.clone(), u32::try_from(width).unwrap_or(1));
        }
        self.list.push(d);
    }

    /// An unknown word, with the nearest known one or the whole list as help.
    pub(super) fn unknown(
        &mut self,
        code: &'static str,
        what: &str,
        word: &At<String>,
        known: &[&str],
    ) {
        self.error(
            code,
            word.place,
            word.value.chars().count(),
            format!("unknown {what} `{}`", word.value),
            suggestion(&word.value, known),
        );
    }

    /// The column at which the character `offset` (from 0) of the scalar at `place` stands: behind the opening
    /// quote of a quoted scalar. (Escapes in double quotes are not counted.)
    pub(super) fn inside(&self, place: Place, offset: u32) -> Place {
        let quoted = (place.line as usize)
            .checked_sub(1)
            .and_then(|i| self.lines.get(i))
            .and_then(|l| l.chars().nth((place.column as usize).saturating_sub(1)))
            .is_some_and(|c| c == '"' || c == '\'');
        Place {
            line: place.line,
            column: place.column + offset + u32::from(quoted),
        }
    }

    /// Reads the document; `None` after an error of the YAML itself.
    pub(super) fn document(&mut self, text: &str) -> Option<At<Node>> {
        if text.starts_with('\u{feff}') {
            self.error(
                "byte-order-mark",
                Place { line: 1, column: 1 },
                1,
                "the file begins with a byte order mark",
                "save it as UTF-8 without BOM",
            );
            return None;
        }
        let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::PassThrough };
        match serde_saphyr::from_str_with_options::<Spanned<Node>>(text, options) {
            Ok(node) => Some(node.into()),
            Err(e) => {
                let at = e.location().map_or(Place::default(), place);
                let message = e.without_snippet().to_string();
                let message = message.lines().next().unwrap_or_default().to_owned();
                self.error("invalid-yaml", at, 1, message, "");
                None
            }
        }
    }

    /// The members of a mapping; anything else is a finding.
    pub(super) fn map(&mut self, what: &'static str, node: At<Node>) -> Members {
        match node.value {
            Node::Map(list) => {
                let mut seen = BTreeSet::new();
                for (key, _) in &list {
                    if !seen.insert(key.value.clone()) {
                        self.error(
                            "duplicate-key",
                            key.place,
                            key.value.chars().count(),
                            format!("`{}` stands twice in {what}", key.value),
                            "",
                        );
                    }
                }
                Members {
                    what,
                    place: node.place,
                    list,
                    known: Vec::new(),
                }
            }
            other => {
                self.wrong(what, "a mapping", &other, node.place);
                Members {
                    what,
                    place: node.place,
                    list: Vec::new(),
                    known: Vec::new(),
                }
            }
        }
    }

    /// The elements of a list; anything else is a finding.
    pub(super) fn list(&mut self, what: &'static str, node: At<Node>) -> Vec<At<Node>> {
        match node.value {
            Node::List(list) => list,
            other => {
                self.wrong(what, "a list", &other, node.place);
                Vec::new()
            }
        }
    }

    /// A text; anything else is a finding.
    pub(super) fn text(&mut self, what: &'static str, node: At<Node>) -> Option<At<String>> {
        match node.value {
            Node::Text(value) => Some(At {
                value,
                place: node.place,
            }),
            other => {
                self.wrong(what, "text", &other, node.place);
                None
            }
        }
    }

    fn wrong(&mut self, what: &str, due: &str, found: &Node, place: Place) {
        self.error(
            "wrong-type",
            place,
            1,
            format!("{what} must be {due}, not {}", found.kind()),
            "",
        );
    }
}

/// `did you mean …?` or the list of what is known.
pub(super) fn suggestion(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => String::new(),
        None => format!("known: {}", known.join(", ")),
    }
}

/// Members of a mapping that are taken out one by one; what is left in the end is unknown.
#[derive(Debug)]
pub(super) struct Members {
    what: &'static str,
    pub(super) place: Place,
    list: Vec<(At<String>, At<Node>)>,
    known: Vec<&'static str>,
}

impl Members {
    /// Takes the member `key`, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<At<Node>> {
        self.known.push(key);
        let mut found = None;
        self.list.retain_mut(|(k, v)| {
            if k.value != key {
                return true;
            }
            // A second one has been reported already.
            if found.is_none() {
                found = Some(At {
                    value: std::mem::replace(&mut v.value, Node::Null),
                    place: v.place,
                });
            }
            false
        });
        found
    }

    /// Takes the member `key`; its absence is a finding.
    pub(super) fn need(&mut self, key: &'static str, findings: &mut Findings) -> Option<At<Node>> {
        let found = self.take(key);
        if found.is_none() {
            findings.error(
                "missing-key",
                self.place,
                1,
                format!("{} lacks `{key}`", self.what),
                "",
            );
        }
        found
    }

    /// Takes the text member `key`; its absence is a finding.
    pub(super) fn need_text(
        &mut self,
        key: &'static str,
        findings: &mut Findings,
    ) -> Option<At<String>> {
        let node = self.need(key, findings)?;
        findings.text(key, node)
    }

    /// Everything, for mappings whose keys are names of the author's.
    pub(super) fn all(self) -> Vec<(At<String>, At<Node>)> {
        self.list
    }

    /// Reports every member that nothing took.
    pub(super) fn end(self, findings: &mut Findings) {
        for (key, _) in &self.list {
            findings.error(
                "unknown-key",
                key.place,
                key.value.chars().count(),
                format!("unknown key `{}` in {}", key.value, self.what),
                suggestion(&key.value, &self.known),
            );
        }
    }
}
