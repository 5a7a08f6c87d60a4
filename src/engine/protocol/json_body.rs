//! A request body as a tree: read strictly (RFC 8259, no duplicate names, bounded depth), printed again from the
//! tree. Numbers keep their text. No value of it appears in `Debug` or in an error.

use std::collections::HashSet;
use std::fmt;

use http::HeaderMap;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::engine::catalog::FieldType;
use crate::engine::path::{Path, Selector};
use crate::engine::refusal::{Reason, Refusal};

use super::Literal;

/// Deepest nesting of a request body.
const DEPTH_MAX: usize = 64;

/// Index of a node.
pub(super) type NodeId = usize;

/// One value.
#[derive(Clone, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    /// The number's text, as it came.
    Number(String),
    Text(String),
    Array(Vec<NodeId>),
    Object(Vec<(String, NodeId)>),
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Bool(_) => "Bool(***)",
            Self::Number(_) => "Number(***)",
            Self::Text(_) => "Text(***)",
            Self::Array(_) => "Array",
            Self::Object(_) => "Object",
        })
    }
}

impl Node {
    /// What it is, for texts.
    pub(super) fn is_container(&self) -> bool {
        matches!(self, Self::Array(_) | Self::Object(_))
    }
}

/// The document. `Debug` shows its size only.
#[derive(Clone)]
pub(super) struct Tree {
    pub(super) nodes: Vec<Node>,
    pub(super) root: NodeId,
}

impl fmt::Debug for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tree({} values)", self.nodes.len())
    }
}

/// Why a body cannot be read. Value-free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BodyError {
    #[error("the request body is not valid JSON (byte {0})")]
    Malformed(usize),
    #[error("the request body is nested too deeply")]
    TooDeep,
    #[error("the request body has the same member twice in one object (byte {0})")]
    Duplicate(usize),
}

/// Reads one document.
pub(super) fn parse(body: &[u8]) -> Result<Tree, BodyError> {
    let text = std::str::from_utf8(body).map_err(|e| BodyError::Malformed(e.valid_up_to()))?;
    let mut parser = Parser {
        text,
        at: 0,
        nodes: Vec::new(),
    };
    parser.space();
    let root = parser.value(0)?;
    parser.space();
    if parser.at != text.len() {
        return Err(BodyError::Malformed(parser.at));
    }
    Ok(Tree {
        nodes: parser.nodes,
        root,
    })
}

/// Reads the body of a request that must be JSON.
///
/// # Errors
/// `UnsupportedMediaType` for another content type or a content coding, `MalformedBody` for what is no strict JSON.
pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<Tree, Refusal> {
    let mut types = headers.get_all(CONTENT_TYPE).iter();
    let json = match (types.next(), types.next()) {
        (Some(one), None) => one.to_str().is_ok_and(is_json),
        _ => false,
    };
    let coded = headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|c| !c.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !json || coded {
        return Err(Refusal::new(
            Reason::UnsupportedMediaType,
            "The request body must be application/json",
        ));
    }
    parse(body).map_err(|e| Refusal::new(Reason::MalformedBody, e.to_string()))
}

/// `application/json`, at most with `charset=utf-8` (RFC 8259, section 11 defines no parameter).
fn is_json(value: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    parts
        .next()
        .is_some_and(|t| t.eq_ignore_ascii_case("application/json"))
        && parts.all(|p| {
            p.split_once('=').is_some_and(|(name, v)| {
                name.eq_ignore_ascii_case("charset")
                    && v.trim_matches('"').eq_ignore_ascii_case("utf-8")
            })
        })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    nodes: Vec<Node>,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn malformed<T>(&self) -> Result<T, BodyError> {
        Err(BodyError::Malformed(self.at))
    }

    fn expect(&mut self, byte: u8) -> Result<(), BodyError> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            self.malformed()
        }
    }

    fn push(&mut self, node: Node) -> NodeId {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    fn word(&mut self, word: &str, node: Node) -> Result<NodeId, BodyError> {
        if self.text[self.at..].starts_with(word) {
            self.at += word.len();
            Ok(self.push(node))
        } else {
            self.malformed()
        }
    }

    fn value(&mut self, depth: usize) -> Result<NodeId, BodyError> {
        if depth > DEPTH_MAX {
            return Err(BodyError::TooDeep);
        }
        match self.peek() {
            Some(b'n') => self.word("null", Node::Null),
            Some(b't') => self.word("true", Node::Bool(true)),
            Some(b'f') => self.word("false", Node::Bool(false)),
            Some(b'"') => {
                let text = self.string()?;
                Ok(self.push(Node::Text(text)))
            }
            Some(b'[') => {
                self.at += 1;
                let mut items = Vec::new();
                self.space();
                if self.peek() == Some(b']') {
                    self.at += 1;
                    return Ok(self.push(Node::Array(items)));
                }
                loop {
                    self.space();
                    items.push(self.value(depth + 1)?);
                    self.space();
                    match self.peek() {
                        Some(b',') => self.at += 1,
                        _ => {
                            self.expect(b']')?;
                            return Ok(self.push(Node::Array(items)));
                        }
                    }
                }
            }
            Some(b'{') => self.object(depth),
            Some(b'-' | b'0'..=b'9') => {
                let rest = &self.text[self.at..];
                let end = rest
                    .find(|c: char| !matches!(c, '0'..='9' | '-' | '+' | '.' | 'e' | 'E'))
                    .unwrap_or(rest.len());
                let number = &rest[..end];
                if !is_number(number) {
                    return self.malformed();
                }
                self.at += end;
                let number = number.to_owned();
                Ok(self.push(Node::Number(number)))
            }
            _ => self.malformed(),
        }
    }

    fn object(&mut self, depth: usize) -> Result<NodeId, BodyError> {
        self.at += 1;
        let mut members = Vec::new();
        let mut seen = HashSet::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(self.push(Node::Object(members)));
        }
        loop {
            self.space();
            let start = self.at;
            let key = self.string()?;
            if !seen.insert(key.clone()) {
                return Err(BodyError::Duplicate(start));
            }
            self.space();
            self.expect(b':')?;
            self.space();
            let value = self.value(depth + 1)?;
            members.push((key, value));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                _ => {
                    self.expect(b'}')?;
                    return Ok(self.push(Node::Object(members)));
                }
            }
        }
    }

    fn string(&mut self) -> Result<String, BodyError> {
        let start = self.at;
        self.expect(b'"')?;
        loop {
            match self.peek() {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return self.malformed(),
            }
        }
        self.at += 1;
        // The escapes, lone surrogates and control characters are serde_json's to judge.
        self.text
            .get(start..self.at)
            .and_then(|s| serde_json::from_str(s).ok())
            .ok_or(BodyError::Malformed(start))
    }
}

/// Whether `text` is a number of RFC 8259, section 6.
pub(super) fn is_number(text: &str) -> bool {
    let digits = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((m, e)) => (m, Some(e.strip_prefix(['+', '-']).unwrap_or(e))),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((w, f)) => (w, Some(f)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(digits)
}

/// A literal as a value of the body. A token is text, what it stands for need not be: the field's type says.
pub(super) fn scalar(value: &Literal, kind: FieldType) -> Node {
    let typed = |text: &str| match text {
        "true" => Node::Bool(true),
        "false" => Node::Bool(false),
        text if is_number(text) => Node::Number(text.to_owned()),
        text => Node::Text(text.to_owned()),
    };
    match value {
        Literal::Null => Node::Null,
        Literal::Other(text) => typed(text),
        Literal::Text(text) if matches!(kind, FieldType::Number | FieldType::Boolean) => {
            typed(text)
        }
        Literal::Text(text) => Node::Text(text.clone()),
    }
}

/// Appends `text` as a JSON string.
pub(super) fn print_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' || c == '\u{7f}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

impl Tree {
    /// The nodes that `path` reaches from `from`; every node on the way is given to `visit` first.
    pub(super) fn select(
        &self,
        from: NodeId,
        path: &Path,
        mut visit: impl FnMut(NodeId),
    ) -> Vec<NodeId> {
        let mut now = vec![from];
        visit(from);
        for step in &path.steps {
            let mut next = Vec::new();
            for &node in &now {
                for selector in &step.selectors {
                    self.children(node, selector, &mut next);
                }
            }
            next.iter().for_each(|n| visit(*n));
            now = next;
        }
        now
    }

    fn children(&self, node: NodeId, selector: &Selector, out: &mut Vec<NodeId>) {
        match (&self.nodes[node], selector) {
            (Node::Object(members), Selector::Name(name)) => {
                out.extend(members.iter().filter(|(k, _)| **k == **name).map(|m| m.1));
            }
            (Node::Object(members), Selector::Wildcard) => {
                out.extend(members.iter().map(|m| m.1));
            }
            (Node::Array(items), Selector::Wildcard) => out.extend(items),
            (Node::Array(items), Selector::Index(i)) => {
                out.extend(usize::try_from(*i).ok().and_then(|i| items.get(i)));
            }
            (Node::Array(items), Selector::Slice { start, end, step }) => {
                let whole = |v: u64| usize::try_from(v).unwrap_or(usize::MAX);
                let end = end.map_or(items.len(), whole).min(items.len());
                let start = whole(*start).min(end);
                out.extend(items[start..end].iter().step_by(whole(*step).max(1)));
            }
            _ => {}
        }
    }

    /// The member `name` of `node`, if it is an object that has one.
    pub(super) fn member(&self, node: NodeId, name: &str) -> Option<NodeId> {
        match &self.nodes[node] {
            Node::Object(members) => members.iter().find(|(k, _)| k == name).map(|m| m.1),
            _ => None,
        }
    }

    /// Prints the value at `node`.
    pub(super) fn print(&self, node: NodeId, out: &mut String) {
        match &self.nodes[node] {
            Node::Null => out.push_str("null"),
            Node::Bool(true) => out.push_str("true"),
            Node::Bool(false) => out.push_str("false"),
            Node::Number(text) => out.push_str(text),
            Node::Text(text) => print_text(text, out),
            Node::Array(items) => {
                out.push('[');
                for (i, item) in items.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    self.print(*item, out);
                }
                out.push(']');
            }
            Node::Object(members) => {
                out.push('{');
                for (i, (key, value)) in members.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    print_text(key, out);
                    out.push(':');
                    self.print(*value, out);
                }
                out.push('}');
            }
        }
    }
}
