//! Reading values out of a YAML tree, collecting every mistake of the file on the way.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, suggest};
use crate::yaml::{self, At, Node, Place, Value};

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
        yaml::parse(&self.file, self.text)
            .map_err(|problem| self.found.push(problem))
            .ok()
    }

    pub(crate) fn error(
        &mut self,
        code: &'static str,
        at: Place,
        width: usize,
        message: String,
        help: Option<String>,
    ) {
        let mut diagnostic = Diagnostic::error(code, Some(at.position(&self.file)), message)
            .underline(
                yaml::line(self.text, at).unwrap_or(""),
                u32::try_from(width).unwrap_or(1),
            );
        diagnostic.help = help;
        self.found.push(diagnostic);
    }

    /// An error under a scalar, with the nearest known word as help.
    pub(crate) fn unknown<'w>(
        &mut self,
        code: &'static str,
        what: &str,
        word: &At<String>,
        known: impl IntoIterator<Item = &'w str>,
    ) {
        let known: Vec<&str> = known.into_iter().collect();
        let help = suggest(&word.value, &known);
        self.error(
            code,
            word.place,
            word.value.chars().count(),
            format!("unknown {what} `{}`", word.value),
            help,
        );
    }

    /// The members of a map; anything else is an error (null is an empty map).
    pub(crate) fn map<'n>(&mut self, node: &'n Node, what: &str) -> &'n [(At<String>, Node)] {
        match &node.value {
            Value::Map(members) => members,
            Value::Null => &[],
            _ => {
                self.wrong(node, what, "a map");
                &[]
            }
        }
    }

    /// The texts of a list; anything else is an error.
    pub(crate) fn texts(&mut self, node: &Node, what: &str) -> Vec<At<String>> {
        match &node.value {
            Value::List(items) => items.iter().filter_map(|i| self.text(i, what)).collect(),
            Value::Null => Vec::new(),
            _ => {
                self.wrong(node, what, "a list");
                Vec::new()
            }
        }
    }

    /// A text (a boolean stands for its own text only when quoted).
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<At<String>> {
        match &node.value {
            Value::Text(text) | Value::Number(text) => Some(At {
                value: text.clone(),
                place: node.place,
            }),
            _ => {
                self.wrong(node, what, "a text");
                None
            }
        }
    }

    pub(crate) fn bool(&mut self, node: &Node, what: &str) -> Option<bool> {
        match node.value {
            Value::Bool(b) => Some(b),
            _ => {
                self.wrong(node, what, "true or false");
                None
            }
        }
    }

    pub(crate) fn number<T: std::str::FromStr>(&mut self, node: &Node, what: &str) -> Option<T> {
        if let Value::Number(n) = &node.value
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
            node.place,
            node.place.width as usize,
            format!("{what} must be {wanted}, not {}", node.value.kind()),
            None,
        );
    }
}
