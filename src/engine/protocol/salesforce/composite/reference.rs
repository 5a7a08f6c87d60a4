//! `@{ref.field}`: a value of an earlier part's answer, standing in a later part.

use crate::engine::protocol::Shape;
use crate::engine::protocol::json_body::{Node, NodeId, Tree};
use crate::engine::refusal::Refusal;

use super::{Part, Said, refuse};

/// Whether `text` is one reference and nothing else.
pub(in super::super) fn is_reference(text: &str) -> bool {
    text.strip_prefix("@{")
        .and_then(|t| t.strip_suffix('}'))
        .is_some_and(|inner| {
            inner.contains('.')
                && inner
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'[' | b']'))
        })
}

/// The texts of a body in which references stand.
fn referring<'t>(tree: &'t Tree, node: NodeId, out: &mut Vec<&'t str>) -> Result<(), Refusal> {
    match tree.nodes.get(node) {
        Some(Node::Text(text)) if text.contains("@{") => out.push(text),
        Some(Node::Array(items)) => {
            for item in items {
                referring(tree, *item, out)?;
            }
        }
        Some(Node::Object(members)) => {
            for (key, value) in members {
                if key.contains("@{") {
                    return Err(no_reference());
                }
                referring(tree, *value, out)?;
            }
        }
        _ => {}
    }
    Ok(())
}

pub(super) fn no_reference() -> Refusal {
    refuse("a reference stands only as a whole record id of a url, or as a whole value of a body")
}

/// The outputs at `path` in an answer of this shape, if they are values.
fn at<'s>(shape: &'s Shape, path: &str) -> Option<&'s [usize]> {
    let mut now = shape;
    for step in path.split(['.', '[', ']']).filter(|s| !s.is_empty()) {
        now = match now {
            Shape::Object(members) => {
                &members
                    .iter()
                    .find(|(k, _)| k.eq_ignore_ascii_case(step))?
                    .1
            }
            Shape::Record(record) => {
                let found = |(k, _): &&(std::sync::Arc<str>, Shape)| k.eq_ignore_ascii_case(step);
                &record.members.iter().find(found)?.1
            }
            Shape::Array { element, .. } => {
                step.parse::<u16>().ok()?;
                element
            }
            _ => return None,
        };
    }
    match now {
        Shape::Value(sources) if !sources.is_empty() => Some(sources),
        _ => None,
    }
}

/// The references of a part, as the outputs that they stand for.
pub(super) fn references(
    said: &Said,
    tree: &Tree,
    segments: &[String],
    query: &[(String, String)],
    made: &[Part],
    answers: &[Shape],
) -> Result<Vec<Vec<usize>>, Refusal> {
    let mut texts: Vec<&str> = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        if segment.contains("@{") {
            // services, data, version, sobjects, object, id.
            if i != 5 || segments[3] != "sobjects" {
                return Err(no_reference());
            }
            texts.push(segment);
        }
    }
    let marked = |text: &str| text.contains("@{");
    let in_headers = said
        .headers
        .values()
        .any(|v| v.as_bytes().windows(2).any(|w| w == b"@{"));
    if in_headers || query.iter().any(|(k, v)| marked(k) || marked(v)) {
        return Err(no_reference());
    }
    if let Some(node) = said.body {
        referring(tree, node, &mut texts)?;
    }
    let mut found = Vec::with_capacity(texts.len());
    for text in texts {
        if !is_reference(text) {
            return Err(no_reference());
        }
        let inner = text.trim_start_matches("@{").trim_end_matches('}');
        let (name, path) = inner.split_once(['.', '[']).ok_or_else(no_reference)?;
        let sources = made
            .iter()
            .position(|p| p.name == name)
            .and_then(|part| at(answers.get(part)?, path))
            .ok_or_else(|| {
                refuse("a reference names a field that an earlier part puts out by its name")
            })?;
        found.push(sources.to_vec());
    }
    Ok(found)
}
