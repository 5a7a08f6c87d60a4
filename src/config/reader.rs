//! Reading values out of the tree, collecting every problem on the way.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ipnet::IpNet;

use super::surroundings::Surroundings;
use crate::diagnostic::{Diagnostic, Position, nearest};
use crate::engine::secret::Secret;
use crate::yaml::{At, Node, Place, Value};

/// Collects problems; every method answers `None` after it reported one.
pub(super) struct Reader<'a> {
    pub(super) surroundings: &'a dyn Surroundings,
    /// What the file is called.
    pub(super) file: &'a Arc<str>,
    /// The environment, for `${NAME}`.
    pub(super) variables: &'a [(String, String)],
    /// Where relative paths start.
    pub(super) base: &'a Path,
    pub(super) lines: Vec<&'a str>,
    pub(super) problems: Vec<Diagnostic>,
}

/// One map of the file, whose keys are known beforehand.
pub(super) struct Section<'n> {
    /// Such as `listen.tls`; empty for the top level.
    path: String,
    place: Place,
    entries: &'n [(At<String>, Node)],
}

impl<'n> Section<'n> {
    /// The value of `key`, unless it is missing or empty.
    pub(super) fn get(&self, key: &str) -> Option<&'n Node> {
        self.entries
            .iter()
            .find(|(k, _)| k.value == key)
            .map(|(_, node)| node)
            .filter(|node| !matches!(node.value, Value::Null))
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// `key` with the path of this section before it.
    pub(super) fn name(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }
}

impl Reader<'_> {
    pub(super) fn error(
        &mut self,
        code: &'static str,
        place: &Place,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let problem = Diagnostic::error(code, Some(self.position(*place)), message);
        self.push(problem, place)
    }

    pub(super) fn warning(
        &mut self,
        code: &'static str,
        place: &Place,
        message: impl Into<String>,
    ) -> &mut Diagnostic {
        let problem = Diagnostic::warning(code, Some(self.position(*place)), message);
        self.push(problem, place)
    }

    /// A place in the file, or the environment variable that an override came from.
    fn position(&self, place: Place) -> Position {
        let variable = (place.text as usize)
            .checked_sub(1)
            .and_then(|n| self.variables.get(n));
        match variable {
            Some((name, _)) => place.position(&name.as_str().into()),
            None => place.position(self.file),
        }
    }

    fn push(&mut self, mut problem: Diagnostic, place: &Place) -> &mut Diagnostic {
        let line = (place.line as usize)
            .checked_sub(1)
            .and_then(|n| self.lines.get(n))
            .filter(|line| !may_hold_a_secret(line));
        if let Some(line) = line {
            problem = problem.underline(*line, place.width);
        }
        self.problems.push(problem);
        let last = self.problems.len() - 1;
        &mut self.problems[last]
    }

    /// `node` as a map with no key but `known`.
    pub(super) fn section<'n>(
        &mut self,
        node: &'n Node,
        path: String,
        known: &[&str],
    ) -> Option<Section<'n>> {
        let section = self.open_section(node, path)?;
        for (key, _) in section.entries {
            if !known.contains(&&*key.value) {
                let suggestion = nearest(&key.value, known.iter().copied());
                let name = section.name(&key.value);
                let problem =
                    self.error("unknown-key", &key.place, format!("unknown key `{name}`"));
                problem.help = Some(match suggestion {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("known keys: {}", known.join(", ")),
                });
            }
        }
        Some(section)
    }

    /// `node` as a map whose keys are names that the operator chose.
    pub(super) fn open_section<'n>(&mut self, node: &'n Node, path: String) -> Option<Section<'n>> {
        match &node.value {
            Value::Map(entries) => Some(Section {
                path,
                place: node.place,
                entries,
            }),
            _ => {
                self.error("wrong-type", &node.place, format!("`{path}` must be a map"));
                None
            }
        }
    }

    /// Keys and values of a map of names.
    pub(super) fn entries<'n>(&self, section: &Section<'n>) -> &'n [(At<String>, Node)] {
        section.entries
    }

    /// The section `key` of `parent`, with no key but `known`.
    pub(super) fn subsection<'n>(
        &mut self,
        parent: &Section<'n>,
        key: &str,
        known: &[&str],
    ) -> Option<Section<'n>> {
        let node = parent.get(key)?;
        self.section(node, parent.name(key), known)
    }

    /// The value of `key`, which must be there.
    pub(super) fn required<'n>(&mut self, section: &Section<'n>, key: &str) -> Option<&'n Node> {
        let node = section.get(key);
        if node.is_none() {
            let name = section.name(key);
            let place = section.place;
            self.error("missing-key", &place, format!("`{name}` is missing"));
        }
        node
    }

    /// The scalar's text with `${NAME}` filled in; `file:` is left alone.
    fn expanded(&mut self, node: &Node) -> Option<String> {
        let text = match &node.value {
            Value::Text(text) | Value::Number(text) => text,
            Value::Bool(true) => "true",
            Value::Bool(false) => "false",
            Value::Null => {
                self.error("wrong-type", &node.place, "a value is missing here");
                return None;
            }
            Value::List(_) | Value::Map(_) => {
                self.error("wrong-type", &node.place, "a single value belongs here");
                return None;
            }
        };
        match expand_variables(text, self.variables) {
            Ok(text) => Some(text),
            Err(message) => {
                self.error("environment", &node.place, message).help =
                    Some("`$${` stands for a literal `${`".to_owned());
                None
            }
        }
    }

    /// A text, from the file itself, the environment (`${NAME}`) or another file (`file:PATH`).
    pub(super) fn text(&mut self, node: &Node) -> Option<String> {
        let text = self.expanded(node)?;
        let Some(path) = text.strip_prefix("file:") else {
            return Some(text);
        };
        let path = self.base.join(path);
        match self.surroundings.read(&path) {
            Ok(content) => {
                let content = content.strip_suffix('\n').unwrap_or(&content);
                Some(content.strip_suffix('\r').unwrap_or(content).to_owned())
            }
            Err(e) => {
                let message = format!("cannot read `{}`: {}", path.display(), e.kind());
                self.error("file", &node.place, message);
                None
            }
        }
    }

    /// A text that passes `good`; `what` completes "must be …".
    pub(super) fn text_like(
        &mut self,
        node: &Node,
        what: &str,
        good: impl Fn(&str) -> bool,
    ) -> Option<Arc<str>> {
        let text = self.text(node)?;
        if good(&text) {
            Some(text.into())
        } else {
            self.error("bad-value", &node.place, format!("must be {what}"));
            None
        }
    }

    /// A secret, not empty.
    pub(super) fn secret(&mut self, node: &Node) -> Option<Secret<String>> {
        let text = self.text(node)?;
        if text.trim().is_empty() {
            self.error("bad-value", &node.place, "the secret is empty");
            return None;
        }
        Some(Secret::new(text))
    }

    /// A path, from the folder of the configuration file on.
    pub(super) fn path(&mut self, node: &Node) -> Option<PathBuf> {
        let text = self.expanded(node)?;
        if text.is_empty() || text.starts_with("file:") {
            self.error("bad-value", &node.place, "must be a path").help =
                Some("write the path alone, without `file:`".to_owned());
            return None;
        }
        Some(self.base.join(text))
    }

    /// One word of `words`.
    pub(super) fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let known = || words.iter().map(|(word, _)| *word);
            let help = match nearest(&text, known()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("one of: {}", known().collect::<Vec<_>>().join(", ")),
            };
            self.error("bad-value", &node.place, "not a word that is known here")
                .help = Some(help);
        }
        found.map(|(_, value)| *value)
    }

    /// A whole number inside `range`.
    pub(super) fn number(&mut self, node: &Node, range: RangeInclusive<u64>) -> Option<u64> {
        let text = self.text(node)?;
        let number = text
            .bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<u64>().ok())
            .flatten()
            .filter(|n| range.contains(n));
        if number.is_none() {
            let message = format!(
                "must be a whole number from {} to {}",
                range.start(),
                range.end()
            );
            self.error("bad-value", &node.place, message);
        }
        number
    }

    /// The items of a list.
    pub(super) fn list<'n>(&mut self, node: &'n Node) -> Option<&'n [Node]> {
        match &node.value {
            Value::List(items) => Some(items),
            _ => {
                self.error("wrong-type", &node.place, "a list belongs here")
                    .help = Some("such as [one, two]".to_owned());
                None
            }
        }
    }

    /// A list of texts that are not empty.
    pub(super) fn texts(&mut self, node: &Node) -> Option<Vec<Arc<str>>> {
        let items = self.list(node)?;
        let read: Vec<_> = items
            .iter()
            .filter_map(|item| self.text_like(item, "a text", |t| !t.is_empty()))
            .collect();
        (read.len() == items.len()).then_some(read)
    }

    /// `address:port`.
    pub(super) fn address(&mut self, node: &Node) -> Option<SocketAddr> {
        let text = self.text(node)?;
        let address = text.parse().ok();
        if address.is_none() {
            self.error("bad-value", &node.place, "must be an IP address and a port")
                .help = Some("such as 127.0.0.1:8443 or [::1]:8443".to_owned());
        }
        address
    }

    /// A network in CIDR notation, or one address.
    pub(super) fn network(&mut self, node: &Node) -> Option<IpNet> {
        let text = self.text(node)?;
        let network = text
            .parse::<IpNet>()
            .ok()
            .or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        if network.is_none() {
            self.error("bad-value", &node.place, "must be a network")
                .help = Some("such as 10.0.0.0/8 or 192.0.2.1".to_owned());
        }
        network
    }

    /// An origin: `https://host` or `https://host:port`, with nothing behind it (one final slash is forgiven).
    pub(super) fn origin(&mut self, node: &Node) -> Option<Arc<str>> {
        let text = self.text(node)?;
        let bare = text.strip_suffix('/').unwrap_or(&text);
        if is_origin(bare) {
            return Some(bare.into());
        }
        self.error(
            "bad-value",
            &node.place,
            "must be an origin: scheme and host, without a path",
        )
        .help = Some("such as https://crm.acme.example".to_owned());
        None
    }
}

/// Scheme http or https, a lower-case host and perhaps a port; no user, path, query or fragment.
fn is_origin(text: &str) -> bool {
    let Some(authority) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return false;
    };
    !authority.contains(['/', '?', '#', '@', '\\', '%'])
        && authority
            .parse::<http::uri::Authority>()
            // `port()` is silent about a port that is no number.
            .is_ok_and(|a| {
                !a.host().is_empty() && (a.host() == authority || a.port_u16().is_some())
            })
        && !authority.ends_with(':')
}

/// Whether the host of an origin is this machine's loopback.
pub(super) fn is_loopback_origin(origin: &str) -> bool {
    let authority = origin.split_once("://").map_or(origin, |(_, a)| a);
    let Ok(authority) = authority.parse::<http::uri::Authority>() else {
        return false;
    };
    let host = authority.host().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// `text` with each `${NAME}` replaced; the message names a variable that is not set.
fn expand_variables(text: &str, variables: &[(String, String)]) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = &from[2..];
            continue;
        }
        out.push_str(before);
        let Some((name, behind)) = from[2..].split_once('}') else {
            return Err("`${` without `}`".to_owned());
        };
        match variables.iter().find(|(known, _)| known == name) {
            Some((_, value)) => out.push_str(value),
            None => return Err(format!("the environment variable `{name}` is not set")),
        }
        rest = behind;
    }
    out.push_str(rest);
    Ok(out)
}

/// Takes the line out of `problem` if it may hold a secret.
pub(super) fn discreet(mut problem: Diagnostic) -> Diagnostic {
    problem.source_line = problem.source_line.filter(|line| !may_hold_a_secret(line));
    problem
}

/// Lines with such a key are not shown under a diagnostic: a secret may stand in them.
fn may_hold_a_secret(line: &str) -> bool {
    let line = line.to_ascii_lowercase();
    [
        "secret",
        "token",
        "key",
        "password",
        "authorization",
        "hook",
    ]
    .iter()
    .any(|word| line.contains(word))
}
