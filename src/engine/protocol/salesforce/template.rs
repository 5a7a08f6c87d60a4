//! A request body as it goes upstream: fixed text, and places that literals are printed into after the decision.

use crate::engine::catalog::FieldType;
use crate::engine::protocol::json_body::{NodeId, Tree, print_text, scalar};
use crate::engine::protocol::{Literal, Resolved};
use crate::engine::refusal::{Reason, Refusal};

/// The body. Its text holds names and structure only.
#[derive(Debug, Default)]
pub(super) struct Template(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Text(String),
    /// Literal number `index` of a use.
    Value {
        used: usize,
        index: usize,
        kind: FieldType,
        written: Literal,
    },
}

impl Template {
    /// Appends text.
    pub(super) fn text(&mut self, text: &str) {
        match self.0.last_mut() {
            Some(Piece::Text(last)) => last.push_str(text),
            _ => self.0.push(Piece::Text(text.to_owned())),
        }
    }

    /// Appends another body.
    pub(super) fn append(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Appends a JSON string.
    pub(super) fn quoted(&mut self, text: &str) {
        let mut quoted = String::new();
        print_text(text, &mut quoted);
        self.text(&quoted);
    }

    /// Appends the place of a literal.
    pub(super) fn value(&mut self, used: usize, index: usize, kind: FieldType, written: Literal) {
        self.0.push(Piece::Value {
            used,
            index,
            kind,
            written,
        });
    }

    /// The body with the plan's literals.
    ///
    /// # Errors
    /// `Internal` where the plan does not fit.
    pub(super) fn print(&self, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        let mut out = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Value {
                    used,
                    index,
                    kind,
                    written,
                } => {
                    let value = literal(resolved, *used, *index, written)?;
                    let tree = Tree {
                        nodes: vec![scalar(value, *kind)],
                        root: 0,
                    };
                    tree.print(0, &mut out);
                }
            }
        }
        Ok(out)
    }
}

/// Literal number `index` of a use as the plan has it: `written`, unless a token was turned back.
///
/// # Errors
/// `Internal` where the plan does not fit.
pub(super) fn literal<'a>(
    resolved: &'a Resolved<'_>,
    used: usize,
    index: usize,
    written: &'a Literal,
) -> Result<&'a Literal, Refusal> {
    let internal = || Refusal::new(Reason::Internal, "The request could not be planned");
    match resolved.values.get(used).ok_or_else(internal)? {
        None => Ok(written),
        Some(values) => values.get(index).ok_or_else(internal),
    }
}

/// The scalar at `node` as a literal; `None` for an object or array.
pub(super) fn scalar_at(tree: &Tree, node: NodeId) -> Option<Literal> {
    use crate::engine::protocol::json_body::Node;
    match tree.nodes.get(node)? {
        Node::Null => Some(Literal::Null),
        Node::Bool(b) => Some(Literal::Other(b.to_string())),
        Node::Number(text) => Some(Literal::Other(text.clone())),
        Node::Text(text) => Some(Literal::Text(text.clone())),
        Node::Array(_) | Node::Object(_) => None,
    }
}
