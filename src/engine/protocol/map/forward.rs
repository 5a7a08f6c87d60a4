//! The upstream request, printed again from what was understood: nothing of the client's text is copied unread.

use std::collections::HashSet;
use std::fmt::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use crate::engine::catalog::{FieldType, ObjectId};
use crate::engine::protocol::{Literal, Resolved, UpstreamRequest};
use crate::engine::refusal::{Reason, Refusal};

use crate::engine::protocol::json_body::{Node, NodeId, Tree, scalar};

/// How a mapped request goes upstream. `Debug` shows no value.
pub struct Forward {
    /// The request holds a mistake, which is told once its object has been decided on.
    pub(super) refused: Option<Refusal>,
    /// The route's object and its name.
    pub(super) object: (ObjectId, Arc<str>),
    pub(super) method: Method,
    pub(super) segments: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    pub(super) body: Option<Tree>,
    pub(super) slots: Vec<Slot>,
    pub(super) listed: Vec<Listed>,
    /// An output element: the read uses that keep it (none = it always stays) and its node.
    pub(super) droppable: Vec<(Vec<usize>, NodeId)>,
}

/// Where the literals of one use stand.
#[derive(Debug)]
pub(super) struct Slot {
    /// Index of the use.
    pub(super) used: usize,
    pub(super) kind: FieldType,
    /// One per literal.
    pub(super) places: Vec<Place>,
}

/// Where one literal stands.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Segment(usize),
    Query(usize),
    Body(NodeId),
}

/// A parameter whose value is a list of outputs.
#[derive(Debug)]
pub(super) struct Listed {
    /// Index of the query pair.
    pub(super) pair: usize,
    /// Use and word of each.
    pub(super) words: Vec<(usize, Arc<str>)>,
}

impl fmt::Debug for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Forward")
            .field("method", &self.method)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

impl Forward {
    /// The name of the route's object.
    pub fn written_object(&self, object: ObjectId) -> Option<&Arc<str>> {
        (self.object.0 == object).then_some(&self.object.1)
    }

    /// The upstream request with the plan's changes: hidden outputs left out, tokens turned back.
    ///
    /// # Errors
    /// `Denied` when no output is left, `BadRequest` when a value cannot stand in a path, `Internal` when the
    /// plan and the request do not fit together.
    pub fn print(&self, resolved: &Resolved<'_>) -> Result<UpstreamRequest, Refusal> {
        if let Some(refusal) = &self.refused {
            return Err(refusal.clone());
        }
        let mut segments = self.segments.clone();
        let mut query = self.query.clone();
        let mut tree = self.body.clone();
        for slot in &self.slots {
            let Some(values) = resolved.values.get(slot.used).ok_or_else(internal)? else {
                continue;
            };
            if values.len() != slot.places.len() {
                return Err(internal());
            }
            for (place, value) in slot.places.iter().zip(values) {
                match *place {
                    Place::Segment(i) => {
                        let text = plain(value).ok_or_else(internal)?;
                        if matches!(text, "" | "." | "..")
                            || text.contains(['/', '\\'])
                            || text.chars().any(char::is_control)
                        {
                            return Err(Refusal::new(
                                Reason::BadRequest,
                                "The path can not be understood",
                            ));
                        }
                        text.clone_into(segments.get_mut(i).ok_or_else(internal)?);
                    }
                    Place::Query(i) => {
                        let text = plain(value).ok_or_else(internal)?;
                        text.clone_into(&mut query.get_mut(i).ok_or_else(internal)?.1);
                    }
                    Place::Body(node) => {
                        let node = tree
                            .as_mut()
                            .and_then(|t| t.nodes.get_mut(node))
                            .ok_or_else(internal)?;
                        *node = scalar(value, slot.kind);
                    }
                }
            }
        }
        let kept = |used: &usize| resolved.kept.get(*used).copied().unwrap_or(false);
        for listed in &self.listed {
            let words: Vec<&str> = listed
                .words
                .iter()
                .filter(|(used, _)| kept(used))
                .map(|(_, word)| &**word)
                .collect();
            if words.is_empty() {
                return Err(nothing_left());
            }
            query.get_mut(listed.pair).ok_or_else(internal)?.1 = words.join(",");
        }
        let dropped: HashSet<NodeId> = self
            .droppable
            .iter()
            .filter(|(sources, _)| !sources.iter().all(kept))
            .map(|(_, node)| *node)
            .collect();
        if !dropped.is_empty() {
            if dropped.len() == self.droppable.len() {
                return Err(nothing_left());
            }
            if let Some(tree) = &mut tree {
                for node in &mut tree.nodes {
                    match node {
                        Node::Array(items) => items.retain(|i| !dropped.contains(i)),
                        Node::Object(members) => members.retain(|(_, i)| !dropped.contains(i)),
                        _ => {}
                    }
                }
            }
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        let mut text = String::new();
        if let Some(tree) = &tree {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            tree.print(tree.root, &mut text);
        }
        Ok(UpstreamRequest {
            long_poll: false,
            cookies: false,
            method: self.method.clone(),
            path_and_query: target(&segments, &query),
            headers,
            body: Bytes::from(text),
            session_at: None,
        })
    }
}

fn internal() -> Refusal {
    Refusal::new(Reason::Internal, "The request can not be answered")
}

fn nothing_left() -> Refusal {
    Refusal::new(Reason::Denied, "None of the requested fields can be read")
}

fn plain(value: &Literal) -> Option<&str> {
    match value {
        Literal::Null => None,
        Literal::Text(text) | Literal::Other(text) => Some(text),
    }
}

/// Path and query (RFC 3986): what is not a `pchar`, or in the query not unreserved, is percent-encoded.
fn target(segments: &[String], query: &[(String, String)]) -> String {
    let mut out = String::new();
    for segment in segments {
        out.push('/');
        encode(segment, b"-._~!$&'()*+,;=:@", &mut out);
    }
    if segments.is_empty() {
        out.push('/');
    }
    for (i, (name, value)) in query.iter().enumerate() {
        out.push(if i == 0 { '?' } else { '&' });
        encode(name, b"-._~", &mut out);
        out.push('=');
        encode(value, b"-._~", &mut out);
    }
    out
}

fn encode(text: &str, also: &[u8], out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || also.contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}
