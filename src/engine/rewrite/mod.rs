//! Chunk in, chunk out: carries out a [`Program`] on a body while it streams.
//!
//! [`Rewriter`] takes the body in any cuts and gives the same bytes whatever the cuts. Untouched runs leave as
//! slices of the input. It fails closed: after an [`Abort`] nothing more comes out and the answer must end
//! uncleanly.

mod body;
pub mod csv;
mod fault;
pub mod from_paths;
pub mod json;
mod names;
mod net;
#[cfg(test)]
mod net_tests;
mod runs;
mod simd;
mod untyped;
mod utf8;
pub mod xml;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;

use crate::engine::catalog::ConditionValue;
use crate::engine::treatment::{Prepared, Treatment};

pub use body::{BodyProgram, Format};
pub use net::Found;

/// Index into [`Program::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub u32);

/// What happens to each value of a document, compiled from a shape and its decision. Immutable and shared: make it
/// with [`Program::new`], which also compiles the lookup tables; later changes of its parts have no effect on them.
#[derive(Debug, Clone)]
pub struct Program {
    /// The nodes; a [`NodeId`] is an index here.
    pub nodes: Vec<Node>,
    /// Node of the document's value.
    pub root: NodeId,
    /// Names of the fields whose treatments are counted: [`Node::Treat::counter`] indexes it.
    pub counters: Vec<Counter>,
    /// The nodes as JSON looks them up.
    json: Arc<json::Compiled>,
}

impl Program {
    /// A program of `nodes` that starts at `root`. A node id that points nowhere drops.
    pub fn new(nodes: Vec<Node>, root: NodeId, counters: Vec<Counter>) -> Self {
        let json = Arc::new(json::Compiled::new(&nodes, root));
        Self {
            nodes,
            root,
            counters,
            json,
        }
    }
}

/// What a counter counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counter {
    /// `Contact`.
    pub object: Arc<str>,
    /// `Email`.
    pub field: Arc<str>,
    /// How it is treated.
    pub treatment: Treatment,
}

/// What happens to one value.
#[derive(Debug, Clone)]
pub enum Node {
    /// Passes as it came, whatever its type (validated).
    Clear,
    /// Not there: member, element or column removed. At the root: `null`.
    Drop,
    /// The document is refused here ([`Abort::Contradiction`]).
    Refuse,
    /// This JSON text in its place.
    Constant(Arc<str>),
    /// A scalar treated; a container becomes null.
    Treat {
        /// How.
        treatment: Prepared,
        /// Index into [`Program::counters`].
        counter: u32,
    },
    /// A string that must be one of these (ASCII case-insensitive), else [`Abort::Contradiction`]. Passes as it came.
    Expect(Vec<Arc<str>>),
    /// A number or a boolean of the dialect's own (null passes; anything else becomes null).
    Scalar(ScalarKind),
    /// A string rewritten, or removed when the link cannot be. Null passes; anything else is removed.
    Link(Arc<dyn LinkRewriter>),
    /// An object (null passes; anything else becomes null).
    Object(Members),
    /// An array (null passes; anything else becomes null).
    Array(Elements),
    /// As [`Node::Array`], but what follows `head` takes the nodes of `cycle` in turn.
    Repeat {
        /// Nodes of the first elements, by index.
        head: Vec<NodeId>,
        /// Nodes of the elements after them, over and over. Empty = dropped.
        cycle: Vec<NodeId>,
    },
    /// By the type of the value: one node for objects, one for arrays, one for scalars (null among them).
    Either {
        /// For an object.
        object: NodeId,
        /// For an array.
        array: NodeId,
        /// For a scalar.
        scalar: NodeId,
    },
    /// Held (up to the bound) until a member says which case it is.
    Choose(Choose),
    /// As [`Members::other`]: this node for the members whose keys are positions (`0!T`, `0_1!0`: digits, `_`, `!` and
    /// `T` alone), and no other member. Anywhere else it drops.
    Indexed(NodeId),
}

/// What a [`Node::Scalar`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScalarKind {
    /// A number.
    Number,
    /// true or false.
    Boolean,
}

/// Members of an object.
#[derive(Debug, Clone, Default)]
pub struct Members {
    /// Named members. Keys compare as `engine::key` says: exact or ASCII case-insensitive = the member's node; equal only
    /// after folding = its node unless that would let it pass in clear, then dropped.
    pub named: Vec<Member>,
    /// All other members.
    pub other: Option<NodeId>,
    /// Counts as a row.
    pub row: bool,
}

/// One named member.
#[derive(Debug, Clone)]
pub struct Member {
    /// As the schema spells it, decoded.
    pub key: Arc<str>,
    /// What happens to its value.
    pub node: NodeId,
    /// A second one aborts (it decides treatment), however it is spelt. The first 64 of an object are told apart.
    pub unique: bool,
}

/// Elements of an array.
#[derive(Debug, Clone)]
pub struct Elements {
    /// Nodes of the first elements, by index.
    pub head: Vec<NodeId>,
    /// Node of every element after `head`.
    pub rest: NodeId,
}

/// A decision that depends on a member of the value.
#[derive(Debug, Clone)]
pub struct Choose {
    /// What is looked at.
    pub by: By,
    /// Scalar of the member → node for the whole value.
    pub cases: Vec<(ConditionValue, NodeId)>,
    /// The member has another value, is null, or is not a scalar.
    pub otherwise: NodeId,
    /// The value is complete and the member never came.
    pub absent: NodeId,
    /// The bound was reached before the member came.
    pub overflow: NodeId,
}

/// What a [`Choose`] looks at.
#[derive(Debug, Clone)]
pub enum By {
    /// A member by its keys from the value, such as `["attributes", "type"]`. Null passes; what is no object becomes
    /// null. A second one of a deciding key aborts while the value is held; for what comes after the decision, name
    /// the deciding members in the cases' [`Members`] as [`Member::unique`]. A key that is a deciding one only to
    /// some consumers (see `engine::key`) decides nothing: `otherwise`.
    Keys(Vec<Arc<str>>),
    /// An RFC 9535 filter on the whole value (an element of a mapped array): the case `true` or `false`.
    /// Holds the whole element; beyond the bound `overflow` applies.
    Filter(crate::engine::path::Filter),
}

/// Rewrites one link. Pure and deterministic.
pub trait LinkRewriter: std::fmt::Debug + Send + Sync {
    /// The link as it should stand for the client, borrowed if it stays as it is; `None` removes it.
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>>;

    /// Whether a link that is there and cannot be rewritten ends the answer ([`Abort::Contradiction`]) instead of being
    /// removed: without its link to the next page, a part would pass for the whole.
    fn is_required(&self) -> bool {
        false
    }
}

/// Where the rewritten bytes go: a queue of slices, in order.
#[derive(Debug, Default)]
pub struct Out {
    chunks: Vec<Bytes>,
    bytes: usize,
}

impl Out {
    /// Appends a slice. Empty ones are left out.
    pub fn push(&mut self, chunk: Bytes) {
        if !chunk.is_empty() {
            self.bytes += chunk.len();
            self.chunks.push(chunk);
        }
    }

    /// Takes what has been written so far.
    pub fn take(&mut self) -> Vec<Bytes> {
        self.bytes = 0;
        std::mem::take(&mut self.chunks)
    }

    /// Bytes waiting.
    pub fn len(&self) -> usize {
        self.bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Everything in one piece, for tests and small bodies.
    pub fn concat(&self) -> Vec<u8> {
        self.chunks.concat()
    }
}

/// Why a body may not go on. Value-free; `at` is the byte offset in the (decoded) input.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Abort {
    /// Not what its format says (RFC 8259, RFC 4180, XML 1.0), or not UTF-8.
    #[error("malformed {what} at byte {at}")]
    Malformed {
        /// What is wrong, such as `JSON string`.
        what: &'static str,
        /// Byte offset in the decoded input.
        at: u64,
    },
    /// The body ended before the document did.
    #[error("body ended inside the document at byte {at}")]
    Truncated {
        /// Byte offset in the decoded input.
        at: u64,
    },
    /// A bound was exceeded: depth, key length, number length.
    #[error("{what} over its bound at byte {at}")]
    TooLarge {
        /// Which bound.
        what: &'static str,
        /// Byte offset in the decoded input.
        at: u64,
    },
    /// A key with control, zero-width, bidi, non-characters or lone surrogates.
    #[error("forbidden character in a key at byte {at}")]
    ForbiddenKey {
        /// Byte offset in the decoded input.
        at: u64,
    },
    /// A second occurrence of a member that decides treatment.
    #[error("duplicate deciding member at byte {at}")]
    DuplicateDecider {
        /// Byte offset in the decoded input.
        at: u64,
    },
    /// The record contradicts the plan (type that it cannot have).
    #[error("answer contradicts the plan at byte {at}")]
    Contradiction {
        /// Byte offset in the decoded input.
        at: u64,
    },
    /// A value of a request that may not go upstream: a mask, a token of another scope, or a field that is not written.
    #[error("a value may not be written at byte {at}")]
    Refused {
        /// Index into the program's counters: its field.
        counter: u32,
        /// Byte offset in the decoded input, near the value.
        at: u64,
    },
    /// A content coding or its checksum is broken, or its inflation bound was exceeded.
    #[error("content coding: {what}")]
    Coding {
        /// What is wrong.
        what: &'static str,
    },
}

/// What was done, known at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counts {
    /// Rows that passed.
    pub rows: u64,
    /// Values treated, parallel to [`Program::counters`].
    pub treated: Vec<u64>,
    /// What the second net found in values that left in clear; empty when it is off.
    pub found: Vec<Found>,
    /// Members dropped because nothing in the plan names them.
    pub unplanned_members: u64,
    /// Records that were held to the bound and treated by the strictest variant.
    pub held_over: u64,
    /// Bytes in (decoded).
    pub bytes_in: u64,
    /// Bytes out.
    pub bytes_out: u64,
    /// The counter of the first value that was refused ([`crate::engine::treatment::Treated::Refused`]).
    refused: Option<u32>,
}

impl Counts {
    /// A value is refused: the document ends with the piece in which it stands.
    fn refuse(&mut self, counter: u32) {
        self.refused.get_or_insert(counter);
    }

    /// A value cannot be treated at all.
    fn untreatable(&mut self, treatment: &Prepared, counter: u32) {
        if treatment.refuses() {
            self.refuse(counter);
        }
    }
}

/// Bounds of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Longest held record, in bytes.
    pub held_bytes_max: usize,
    /// Deepest nesting.
    pub depth_max: usize,
    /// Longest key, in bytes as written.
    pub key_bytes_max: usize,
    /// Longest number, in bytes.
    pub number_bytes_max: usize,
    /// Longest string under a treatment, in bytes as written; a longer one becomes null.
    pub treated_bytes_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            held_bytes_max: 64 << 10,
            depth_max: 128,
            key_bytes_max: 32 << 10,
            number_bytes_max: 1024,
            treated_bytes_max: 64 << 10,
        }
    }
}

/// All ways to look at blocks of bytes see the same in `data`; for the fuzz targets.
///
/// # Panics
/// If they do not.
pub(crate) fn forms_agree(data: &[u8]) {
    simd::agree(data);
}

/// A body rewriter for one content type.
#[derive(Debug)]
pub enum Rewriter {
    /// `application/json`.
    Json(Box<json::JsonRewriter>),
    /// `text/csv`.
    Csv(Box<csv::CsvRewriter>),
    /// `text/xml`, `application/xml` and what ends in `+xml`.
    Xml(Box<xml::XmlRewriter>),
    /// A file that passes as it comes.
    Opaque(Counts),
}

impl Rewriter {
    /// A rewriter for the program's format.
    pub fn new(program: &BodyProgram, bounds: Bounds) -> Self {
        match program {
            BodyProgram::Json(program) => Self::json(Arc::clone(program), bounds),
            BodyProgram::Csv(program) => Self::csv(Arc::clone(program), bounds),
            BodyProgram::Xml(program) => Self::xml(Arc::clone(program), bounds),
            BodyProgram::Opaque => Self::Opaque(Counts::default()),
        }
    }

    /// A rewriter for a JSON document.
    pub fn json(program: Arc<Program>, bounds: Bounds) -> Self {
        Self::Json(Box::new(json::JsonRewriter::new(program, bounds)))
    }

    /// A rewriter for a CSV document.
    pub fn csv(program: Arc<csv::CsvProgram>, bounds: Bounds) -> Self {
        Self::Csv(Box::new(csv::CsvRewriter::new(program, bounds)))
    }

    /// A rewriter for an XML document.
    pub fn xml(program: Arc<xml::XmlProgram>, bounds: Bounds) -> Self {
        Self::Xml(Box::new(xml::XmlRewriter::new(program, bounds)))
    }

    /// Takes the next piece of the body. Slices of `chunk` may end up in `out`.
    ///
    /// # Errors
    /// [`Abort`]: nothing more may be sent, and the answer must end uncleanly.
    pub fn push(&mut self, chunk: Bytes, out: &mut Out) -> Result<(), Abort> {
        match self {
            Self::Json(r) => r.push(chunk, out),
            Self::Csv(r) => r.push(chunk, out),
            Self::Xml(r) => r.push(chunk, out),
            Self::Opaque(counts) => {
                counts.bytes_in += chunk.len() as u64;
                counts.bytes_out = counts.bytes_in;
                out.push(chunk);
                Ok(())
            }
        }
    }

    /// The body is complete.
    ///
    /// # Errors
    /// [`Abort::Truncated`] if the document is not.
    pub fn finish(&mut self, out: &mut Out) -> Result<Counts, Abort> {
        match self {
            Self::Json(r) => r.finish(out),
            Self::Csv(r) => r.finish(out),
            Self::Xml(r) => r.finish(out),
            Self::Opaque(counts) => Ok(std::mem::take(counts)),
        }
    }
}
