//! XML 1.0 with namespaces: one strict pass over UTF-8, no tree, no document type declaration.
//!
//! Elements are bound by local name (and namespace, where the program says so). What passes leaves as slices of the
//! input; the tag of an element that is walked loses the attributes that nothing names; comments and processing
//! instructions leave with nothing. A treated element is captured up to a bound and written anew. A record under
//! [`XmlNode::Choose`] by a child is scouted: nothing leaves, and once the child that decides is known, the input
//! goes back to the record's first byte and takes the node of the case.
//!
//! `lex` cuts the input into pieces, `tag` reads one tag, `scope` knows what is open, `walk` gives it meaning;
//! `leaf` is the short way for plain elements.

mod capture;
mod compiled;
mod leaf;
mod lex;
mod scope;
mod tag;
#[cfg(test)]
mod tests;
mod walk;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::fault::Fault;
use super::runs::Runs;
use super::utf8::{ByteOrderMark, Utf8};
use super::{Abort, Bounds, Counter, Counts, LinkRewriter, NodeId, Out};
use crate::engine::catalog::ConditionValue;
use crate::engine::treatment::Prepared;
use capture::Captured;
use compiled::Compiled;
use lex::{Chars, Lex, Piece};
use scope::Scope;
use tag::Attribute;
use walk::{Frame, Hold};

/// The namespace of `xsi:type` and `xsi:nil`.
pub const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// What happens to each element of a document. Immutable and shared: make it with [`XmlProgram::new`].
#[derive(Debug)]
pub struct XmlProgram {
    /// Names of the fields whose treatments are counted: [`XmlNode::Treat::counter`] indexes it.
    counters: Vec<Counter>,
    comments: Comments,
    nil: Nil,
    compiled: Compiled,
}

impl XmlProgram {
    /// A program whose document element takes `root`. A node id that points nowhere drops.
    pub fn new(nodes: &[XmlNode], root: NodeId, counters: Vec<Counter>) -> Self {
        Self {
            counters,
            comments: Comments::Drop,
            nil: Nil::default(),
            compiled: Compiled::new(nodes, root),
        }
    }

    /// Names of the fields whose treatments are counted.
    pub fn counters(&self) -> &[Counter] {
        &self.counters
    }

    /// With another rule for comments and processing instructions.
    #[must_use]
    pub fn with_comments(mut self, comments: Comments) -> Self {
        self.comments = comments;
        self
    }

    /// With another attribute for null.
    #[must_use]
    pub fn with_nil(mut self, nil: Nil) -> Self {
        self.nil = nil;
        self
    }
}

/// What happens to comments and processing instructions. They never pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comments {
    /// They are left out.
    Drop,
    /// The document is refused.
    Refuse,
}

/// The attribute that says that an element is null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nil {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its local name.
    pub name: Arc<str>,
    /// The prefix to declare where the namespace has none.
    pub prefix: Arc<str>,
}

impl Default for Nil {
    /// `xsi:nil`.
    fn default() -> Self {
        Self {
            namespace: XSI.into(),
            name: "nil".into(),
            prefix: "xsi".into(),
        }
    }
}

/// What happens to one element, or to an attribute.
#[derive(Debug, Clone)]
pub enum XmlNode {
    /// Passes with all that is in it (validated).
    Clear,
    /// Not there. The document element cannot be dropped: it refuses.
    Drop,
    /// The document is refused here ([`Abort::Contradiction`]).
    Refuse,
    /// This text in place of its content.
    Constant(Arc<str>),
    /// Its text treated; null and an element with child elements become an empty element that is nil. An attribute
    /// that becomes null is empty.
    Treat {
        /// How.
        treatment: Prepared,
        /// Index into the program's counters.
        counter: u32,
    },
    /// Its text must be one of these (ASCII case-insensitive), else [`Abort::Contradiction`].
    Expect(Vec<Arc<str>>),
    /// Its text rewritten; the element is removed when the link cannot be.
    Link(Arc<dyn LinkRewriter>),
    /// Walked: its child elements meet nodes of their own. Text between them is dropped, white space passes.
    Element(Children),
    /// By the type of the record or another value in it.
    Choose(XmlChoose),
}

/// What is in an element.
#[derive(Debug, Clone, Default)]
pub struct Children {
    /// Named child elements.
    pub named: Vec<Child>,
    /// All other child elements; `None` = dropped and counted.
    pub other: Option<NodeId>,
    /// Named attributes. Namespace declarations, `xsi:type` and the nil attribute pass; all others are dropped.
    pub attributes: Vec<Child>,
    /// Counts as a row.
    pub row: bool,
}

/// One named child element or attribute.
#[derive(Debug, Clone)]
pub struct Child {
    /// Its local name. Compared as `engine::key` says: exact or ASCII case-insensitive = the node; equal only after
    /// folding, or in another namespace = the node unless that would let it pass, then dropped.
    pub name: Arc<str>,
    /// Its namespace; `None` = any.
    pub namespace: Option<Arc<str>>,
    /// What happens to it.
    pub node: NodeId,
    /// A second one aborts.
    pub unique: bool,
}

/// A decision that depends on a value of the record.
#[derive(Debug, Clone)]
pub struct XmlChoose {
    /// What is looked at.
    pub by: XmlBy,
    /// Its text → the node for the whole element.
    pub cases: Vec<(ConditionValue, NodeId)>,
    /// It has another text, is empty or nil, or holds elements.
    pub otherwise: NodeId,
    /// It is not there.
    pub absent: NodeId,
    /// The bound was reached before it came.
    pub overflow: NodeId,
}

/// What an [`XmlChoose`] looks at.
#[derive(Debug, Clone)]
pub enum XmlBy {
    /// The local part of `xsi:type`.
    Type,
    /// A child element by its local name. The record is held until it has come; a second one aborts.
    Child(Arc<str>),
}

/// Rewrites one XML document.
#[derive(Debug)]
pub struct XmlRewriter {
    program: Arc<XmlProgram>,
    bounds: Bounds,
    bom: ByteOrderMark,
    utf8: Utf8,
    chars: Chars,
    lex: Lex,
    scope: Scope,
    stack: Vec<Frame>,
    attributes: Vec<Attribute>,
    captured: Captured,
    hold: Option<Hold>,
    /// What is held from earlier inputs.
    held: BytesMut,
    /// The node and its deciders for the element that is replayed next.
    forced: Option<walk::Forced>,
    /// Inputs to go on with once a replayed one ends.
    waiting: Vec<Input>,
    /// The document element has been seen.
    rooted: bool,
    /// Something stood before: no XML declaration may follow.
    started: bool,
    runs: Runs,
    decoded: String,
    treated: String,
    written: Vec<u8>,
    counts: Counts,
    failed: Option<Abort>,
}

/// A piece of the document: a chunk, or held bytes that are replayed.
#[derive(Debug)]
struct Input {
    bytes: Bytes,
    /// Offset of its first byte in the document.
    base: u64,
    at: usize,
    /// How far it is valid.
    end: usize,
}

/// What a piece has led to.
enum Step {
    On,
    /// A hold begins.
    Held,
    /// The held record takes this node.
    Decided(u32),
}

impl XmlRewriter {
    /// A rewriter at the start of a document.
    pub fn new(program: Arc<XmlProgram>, bounds: Bounds) -> Self {
        Self {
            counts: Counts {
                treated: vec![0; program.counters.len()],
                ..Counts::default()
            },
            lex: Lex::new(bounds.key_bytes_max),
            program,
            bounds,
            bom: ByteOrderMark::default(),
            utf8: Utf8::default(),
            chars: Chars::default(),
            scope: Scope::default(),
            stack: Vec::with_capacity(16),
            attributes: Vec::new(),
            captured: Captured::default(),
            hold: None,
            held: BytesMut::new(),
            forced: None,
            waiting: Vec::new(),
            rooted: false,
            started: false,
            runs: Runs::default(),
            decoded: String::new(),
            treated: String::new(),
            written: Vec::new(),
            failed: None,
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// As [`super::Rewriter::push`].
    pub fn push(&mut self, chunk: Bytes, out: &mut Out) -> Result<(), Abort> {
        if let Some(abort) = &self.failed {
            return Err(abort.clone());
        }
        self.feed(chunk, out).map_err(|abort| self.fail(abort))?;
        match self.counts.refused {
            None => Ok(()),
            Some(counter) => {
                let at = self.counts.bytes_in;
                Err(self.fail(Abort::Refused { counter, at }))
            }
        }
    }

    /// The body is complete.
    ///
    /// # Errors
    /// As [`super::Rewriter::finish`].
    pub fn finish(&mut self, out: &mut Out) -> Result<Counts, Abort> {
        if let Some(abort) = &self.failed {
            return Err(abort.clone());
        }
        let good = self.rooted
            && self.scope.depth() == 0
            && self.lex.is_between()
            && self.utf8.is_complete()
            && self.bom.end().is_empty();
        if !good {
            let at = self.counts.bytes_in;
            return Err(self.fail(Abort::Truncated { at }));
        }
        self.runs.flush(out);
        self.counts.bytes_out = self.runs.bytes_out;
        Ok(self.counts.clone())
    }

    fn fail(&mut self, abort: Abort) -> Abort {
        self.runs.clear();
        self.held = BytesMut::new();
        self.captured = Captured::default();
        self.waiting = Vec::new();
        self.failed = Some(abort.clone());
        abort
    }

    fn feed(&mut self, chunk: Bytes, out: &mut Out) -> Result<(), Abort> {
        let base = self.counts.bytes_in;
        self.counts.bytes_in += chunk.len() as u64;
        let (before, from) = self.bom.skip(&chunk);
        if !before.is_empty() {
            // No text may stand before the document element.
            return Err(Fault::Malformed("XML: text outside").at(base));
        }
        let mut end = from + self.utf8.good(&chunk[from..]);
        let mut fault = (end < chunk.len()).then_some(Fault::Malformed("UTF-8"));
        let good = from + self.chars.good(&chunk[from..end]);
        if good < end {
            end = good;
            fault = Some(Fault::Malformed("XML character"));
        }
        let mut input = Input {
            bytes: chunk,
            base,
            at: from,
            end,
        };
        self.lex.start_input(input.at);
        if let Some(hold) = &mut self.hold {
            hold.start = input.at;
        }
        loop {
            let limit = self
                .hold
                .as_ref()
                .map(|hold| hold.at + self.bounds.held_bytes_max as u64);
            let end = limit.map_or(input.end, |limit| {
                input.end.min(limit.saturating_sub(input.base) as usize)
            });
            let step = self
                .walk(&mut input, end, out)
                .map_err(|fault| fault.at(input.base + input.at as u64))?;
            match step {
                Step::Held => {}
                Step::Decided(node) => self.replay(&mut input, node, out),
                Step::On => match (limit, &self.hold) {
                    (Some(limit), Some(hold)) if input.base + end as u64 >= limit => {
                        self.counts.held_over += 1;
                        let node = self.program.compiled.chooses[hold.decider as usize].overflow;
                        input.at = end.max(input.at);
                        self.replay(&mut input, node, out);
                    }
                    _ => {
                        self.lex
                            .end_input(&input.bytes, input.end)
                            .map_err(|fault| fault.at(input.base + input.end as u64))?;
                        self.runs.end_input(&input.bytes, out);
                        if let Some(hold) = &mut self.hold {
                            self.held
                                .extend_from_slice(&input.bytes[hold.start..input.end]);
                            hold.start = input.end;
                        }
                        let Some(next) = self.waiting.pop() else {
                            break;
                        };
                        input = next;
                        self.lex.start_input(input.at);
                        if let Some(hold) = &mut self.hold {
                            hold.start = input.at;
                        }
                    }
                },
            }
        }
        if let Some(fault) = fault {
            return Err(fault.at(base + end as u64));
        }
        self.runs.flush(out);
        Ok(())
    }

    /// The held record takes `node`: back to its first byte.
    fn replay(&mut self, input: &mut Input, node: u32, out: &mut Out) {
        let Some(hold) = self.hold.take() else {
            return;
        };
        self.scope.truncate(hold.depth);
        self.stack.truncate(hold.depth);
        self.captured.clear();
        self.lex.restart();
        self.forced = Some(hold.forced(node));
        if self.held.is_empty() {
            input.at = hold.start;
        } else {
            self.runs.end_input(&input.bytes, out);
            self.held
                .extend_from_slice(&input.bytes[hold.start..input.at]);
            let bytes = self.held.split().freeze();
            let replayed = Input {
                end: bytes.len(),
                bytes,
                base: hold.at,
                at: 0,
            };
            self.waiting.push(std::mem::replace(input, replayed));
        }
        self.lex.start_input(input.at);
    }

    /// Goes on to `end`, or to where something about a held record is decided. After a fault `input.at` is near it.
    fn walk(&mut self, input: &mut Input, end: usize, out: &mut Out) -> Result<Step, Fault> {
        let bytes = input.bytes.clone();
        let program = self.program.clone();
        loop {
            if self.hold.is_none() && self.forced.is_none() && self.lex.is_plain() {
                input.at = self.leaves(&program, input, input.at, end, out)?;
            }
            let (piece, next) = match self.lex.next(&bytes[..end], input.at) {
                Ok(found) => found,
                Err((fault, at)) => {
                    input.at = at;
                    return Err(fault);
                }
            };
            input.at = next;
            let first = !self.started;
            self.started |= piece != Piece::More;
            match piece {
                Piece::More => return Ok(Step::On),
                Piece::Text(from, to) => self.text(&bytes, from, to, out)?,
                Piece::Tag(from, to) => {
                    let step = if self.lex.token.is_empty() {
                        self.tag(&program, input, &bytes[from..to], Some((from, to)), out)?
                    } else {
                        let mut token = std::mem::take(&mut self.lex.token);
                        token.extend_from_slice(&bytes[from..to]);
                        let step = self.tag(&program, input, &token, None, out)?;
                        token.clear();
                        self.lex.token = token;
                        step
                    };
                    if !matches!(step, Step::On) {
                        return Ok(step);
                    }
                }
                Piece::Instruction(from, to) => {
                    let mut token = std::mem::take(&mut self.lex.token);
                    token.extend_from_slice(&bytes[from..to]);
                    self.instruction(&bytes, &token, first, out)?;
                    token.clear();
                    self.lex.token = token;
                }
                Piece::Comment if program.comments == Comments::Refuse => {
                    return Err(Fault::Contradiction);
                }
                Piece::Comment => {}
                Piece::SectionStart => self.section(&bytes, walk::Section::Start, out)?,
                Piece::Section(from, to) => {
                    self.section(&bytes, walk::Section::Text(from, to), out)?;
                }
                Piece::SectionBrackets(count) => {
                    self.section(&bytes, walk::Section::Brackets(count), out)?;
                }
                Piece::SectionEnd => self.section(&bytes, walk::Section::End, out)?,
            }
        }
    }
}
