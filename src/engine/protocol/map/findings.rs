//! Reading a map out of a YAML tree, so that it can be checked as a whole and every mistake be shown in its place.

use std::sync::Arc;

use crate::diagnostic::{Diagnostic, suggest};
use crate::yaml::{self, At, Node, Place, Value};

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
        let mut d = Diagnostic::error(code, Some(place.position(&self.file)), message);
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
            suggest(&word.value, known).unwrap_or_default(),
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
            ..place
        }
    }

    /// Reads the document; `None` after an error of the YAML itself.
    pub(super) fn document(&mut self, text: &str) -> Option<Node> {
        yaml::parse(&self.file, text)
            .map_err(|problem| self.list.push(problem))
            .ok()
    }

    /// The members of a mapping; anything else is a finding.
    pub(super) fn map(&mut self, what: &'static str, node: Node) -> Members {
        let list = match node.value {
            Value::Map(list) => list,
            other => {
                self.wrong(what, "a map", &other, node.place);
                Vec::new()
            }
        };
        Members {
            what,
            place: node.place,
            list,
            known: Vec::new(),
        }
    }

    /// The elements of a list; anything else is a finding.
    pub(super) fn list(&mut self, what: &'static str, node: Node) -> Vec<Node> {
        match node.value {
            Value::List(list) => list,
            other => {
                self.wrong(what, "a list", &other, node.place);
                Vec::new()
            }
        }
    }

    /// A text; anything else is a finding.
    pub(super) fn text(&mut self, what: &'static str, node: Node) -> Option<At<String>> {
        match node.value {
            Value::Text(value) | Value::Number(value) => Some(At {
                value,
                place: node.place,
            }),
            other => {
                self.wrong(what, "text", &other, node.place);
                None
            }
        }
    }

    fn wrong(&mut self, what: &str, due: &str, found: &Value, place: Place) {
        self.error(
            "wrong-type",
            place,
            place.width as usize,
            format!("{what} must be {due}, not {}", found.kind()),
            "",
        );
    }
}

/// Members of a mapping that are taken out one by one; what is left in the end is unknown.
#[derive(Debug)]
pub(super) struct Members {
    what: &'static str,
    pub(super) place: Place,
    list: Vec<(At<String>, Node)>,
    known: Vec<&'static str>,
}

impl Members {
    /// Takes the member `key`, if it is there.
    pub(super) fn take(&mut self, key: &'static str) -> Option<Node> {
        self.known.push(key);
        let index = self.list.iter().position(|(k, _)| k.value == key)?;
        Some(self.list.remove(index).1)
    }

    /// Takes the member `key`; its absence is a finding.
    pub(super) fn need(&mut self, key: &'static str, findings: &mut Findings) -> Option<Node> {
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
    pub(super) fn all(self) -> Vec<(At<String>, Node)> {
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
                suggest(&key.value, &self.known).unwrap_or_default(),
            );
        }
    }
}
