//! YAML text → a tree in which every key and value knows where it stands, so that all mistakes of a file
//! can be reported at once.

use std::fmt;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use crate::diagnostic::{Diagnostic, Position, nearest};

/// One value of the file.
#[derive(Debug, Clone)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Node)>),
}

/// A value and its place.
pub(crate) type Node = Spanned<Kind>;

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tree;
        impl<'de> Visitor<'de> for Tree {
            type Value = Kind;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML value")
            }
            fn visit_unit<E>(self) -> Result<Kind, E> {
                Ok(Kind::Null)
            }
            fn visit_none<E>(self) -> Result<Kind, E> {
                Ok(Kind::Null)
            }
            fn visit_some<D: Deserializer<'de>>(self, d: D) -> Result<Kind, D::Error> {
                Kind::deserialize(d)
            }
            fn visit_bool<E>(self, v: bool) -> Result<Kind, E> {
                Ok(Kind::Bool(v))
            }
            fn visit_i64<E>(self, v: i64) -> Result<Kind, E> {
                Ok(Kind::Number(v.to_string()))
            }
            fn visit_u64<E>(self, v: u64) -> Result<Kind, E> {
                Ok(Kind::Number(v.to_string()))
            }
            fn visit_i128<E>(self, v: i128) -> Result<Kind, E> {
                Ok(Kind::Number(v.to_string()))
            }
            fn visit_u128<E>(self, v: u128) -> Result<Kind, E> {
                Ok(Kind::Number(v.to_string()))
            }
            fn visit_f64<E>(self, v: f64) -> Result<Kind, E> {
                Ok(Kind::Number(v.to_string()))
            }
            fn visit_str<E>(self, v: &str) -> Result<Kind, E> {
                Ok(Kind::Text(v.to_owned()))
            }
            fn visit_string<E>(self, v: String) -> Result<Kind, E> {
                Ok(Kind::Text(v))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Kind, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = seq.next_element()? {
                    list.push(item);
                }
                Ok(Kind::List(list))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kind, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Kind::Map(members))
            }
        }
        deserializer.deserialize_any(Tree)
    }
}

/// One file while it is read: its name and text for diagnostics, and what was found so far.
pub(crate) struct Reader<'a> {
    pub(crate) file: Arc<str>,
    pub(crate) text: &'a str,
    pub(crate) found: Vec<Diagnostic>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(file: &str, text: &'a str) -> Self {
        Self {
            file: file.into(),
            text,
            found: Vec::new(),
        }
    }

    /// Parses the file; a syntax error is its only finding then.
    pub(crate) fn parse(&mut self) -> Option<Node> {
        // YAML 1.1 would read the country NO and the word `on` as booleans.
        let options = serde_saphyr::options! { strict_booleans: true };
        match serde_saphyr::from_str_with_options::<Node>(self.text, options) {
            Ok(node) => Some(node),
            Err(e) => {
                let at = e.location().unwrap_or(Location::UNKNOWN);
                let message = e.without_snippet().to_string();
                let message = message.lines().next().unwrap_or("not YAML").to_owned();
                self.error("yaml", at, 1, message, None);
                None
            }
        }
    }

    pub(crate) fn position(&self, at: Location) -> Position {
        Position {
            file: self.file.clone(),
            line: u32::try_from(at.line()).unwrap_or(0),
            column: u32::try_from(at.column()).unwrap_or(0),
        }
    }

    pub(crate) fn error(
        &mut self,
        code: &'static str,
        at: Location,
        width: usize,
        message: String,
        help: Option<String>,
    ) {
        let position = self.position(at);
        let line = self
            .text
            .lines()
            .nth((position.line as usize).saturating_sub(1))
            .unwrap_or("")
            .to_owned();
        let mut diagnostic = Diagnostic::error(code, Some(position), message)
            .underline(line, u32::try_from(width).unwrap_or(1));
        diagnostic.help = help;
        self.found.push(diagnostic);
    }

    /// An error under a scalar, with the nearest known word as help.
    pub(crate) fn unknown<'w>(
        &mut self,
        code: &'static str,
        what: &str,
        word: &Spanned<String>,
        known: impl IntoIterator<Item = &'w str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let help = suggest(&word.value, &known);
        self.error(
            code,
            word.referenced,
            word.value.chars().count(),
            format!("unknown {what} `{}`", word.value),
            help,
        );
    }

    /// The members of a map; anything else is an error (null is an empty map).
    pub(crate) fn map<'n>(&mut self, node: &'n Node, what: &str) -> &'n [(Spanned<String>, Node)] {
        match &node.value {
            Kind::Map(members) => members,
            Kind::Null => &[],
            _ => {
                self.wrong(node, what, "a map");
                &[]
            }
        }
    }

    /// The texts of a list; anything else is an error.
    pub(crate) fn texts(&mut self, node: &Node, what: &str) -> Vec<Spanned<String>> {
        match &node.value {
            Kind::List(items) => items.iter().filter_map(|i| self.text(i, what)).collect(),
            Kind::Null => Vec::new(),
            _ => {
                self.wrong(node, what, "a list");
                Vec::new()
            }
        }
    }

    /// A text (a number or a boolean stands for its own text only when quoted).
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<Spanned<String>> {
        match &node.value {
            Kind::Text(t) => Some(Spanned::new(t.clone(), node.referenced, node.defined)),
            _ => {
                self.wrong(node, what, "a text");
                None
            }
        }
    }

    pub(crate) fn bool(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.value {
            Kind::Bool(b) => Some(b),
            _ => {
                self.wrong(node, what, "true or false");
                None
            }
        }
    }

    pub(crate) fn number<T: std::str::FromStr>(&mut self, node: &Node, what: &str) -> Option<T> {
        if let Kind::Number(n) = &node.value
            && let Ok(n) = n.parse()
        {
            return Some(n);
        }
        self.wrong(node, what, "a whole number");
        None
    }

    pub(crate) fn wrong(&mut self, node: &Node, what: &str, wanted: &str) {
        self.error(
            "wrong-type",
            node.referenced,
            1,
            format!("{what} must be {wanted}"),
            None,
        );
    }
}

/// Help text naming the nearest known word, or all of them where they are few.
pub(crate) fn suggest(word: &str, known: &[&str]) -> Option<String> {
    if let Some(near) = nearest(word, known.iter().copied()) {
        return Some(format!("did you mean `{near}`?"));
    }
    match known.len() {
        0 => None,
        1..=16 => Some(format!(
            "known: {}",
            known
                .iter()
                .map(|k| format!("`{k}`"))
                .collect::<Vec<_>>()
                .join(", ")
        )),
        _ => None,
    }
}

/// A text that does not depend on comments, quoting or the order of keys.
pub(crate) fn canonical(node: &Node, out: &mut String) {
    use fmt::Write as _;
    match &node.value {
        Kind::Null => out.push('~'),
        Kind::Bool(b) => out.push_str(if *b { "true" } else { "false" }),
        Kind::Number(n) => out.push_str(n),
        Kind::Text(t) => {
            let _ = write!(out, "{t:?}");
        }
        Kind::List(items) => {
            out.push('[');
            for item in items {
                canonical(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Kind::Map(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by(|a, b| a.0.value.cmp(&b.0.value));
            out.push('{');
            for (key, value) in members {
                let _ = write!(out, "{:?}:", key.value);
                canonical(value, out);
                out.push(',');
            }
            out.push('}');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Norway is a country and `on` a word.
    #[test]
    fn only_true_and_false_are_booleans() {
        let mut reader = Reader::new(
            "a.yaml",
            "[NO, no, on, yes, y, true, False, \"true\", 12, 1.50, ~]",
        );
        let root = reader.parse().unwrap();
        let mut text = String::new();
        canonical(&root, &mut text);
        assert_eq!(
            text,
            "[\"NO\",\"no\",\"on\",\"yes\",\"y\",true,false,\"true\",12,1.5,~,]"
        );
    }
}
