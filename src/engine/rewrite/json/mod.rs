//! JSON: one strict pass (RFC 8259, UTF-8), no tree.
//!
//! [`JsonRewriter`] walks the objects and arrays that the program names (a stack of `Frame`s); values that pass
//! or leave whole are only validated (`subtree`). What is decided leaves through the `sink`. A value under
//! [`Node::Choose`](super::Node::Choose) is scouted first: nothing leaves, and once the member that decides is
//! known, the input goes back to the value's first byte and takes the node of the case.

mod compiled;
mod document;
mod fast;
mod filter;
mod hold;
mod lex;
mod sink;
mod subtree;
#[cfg(test)]
mod tests;
mod value;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::net::Net;
use super::simd::{Form, PLAIN};
use super::{Abort, Bounds, Counts, Out, Program};
pub(super) use compiled::Compiled;
use document::Document;
use hold::Hold;
use lex::{Fault, StringScan, skip_space};
use sink::Sink;
use subtree::{Limits, Subtree};

/// White space that may stand around a key or comma whose fate is open, beyond the key's own bound.
const LEAD_BYTES_MAX: usize = 16 << 10;

/// A deciding scalar over this is no case's.
const DECIDING_BYTES_MAX: usize = 8 << 10;

/// What buffers may keep once they are not in use.
const IDLE_BYTES_MAX: usize = 4 << 10;

/// What may be kept between inputs beside the sink's buffer.
const KEPT_BYTES_MAX: usize = 48 << 10;

/// Rewrites one JSON document.
#[derive(Debug)]
pub struct JsonRewriter {
    program: Arc<Program>,
    bounds: Bounds,
    form: Form,
    state: State,
    /// Node of the document's value.
    root: u32,
    /// It stands in a string of another document: strings in it are not looked into.
    is_inner: bool,
    /// The document in a string, if there was one.
    document: Option<Box<Document>>,
    /// Node of the value that is due.
    node: u32,
    stack: Vec<Frame>,
    /// For each member of each object, which one followed it last time.
    follows: Vec<u16>,
    subtree: Subtree,
    key: StringScan,
    sink: Sink,
    /// Where the captured token (a key, a value under treatment) starts in the current input.
    token: usize,
    /// Its part from earlier inputs.
    captured: Vec<u8>,
    /// It is longer than it may be.
    token_over: bool,
    hold: Option<Hold>,
    /// Where the last hold began, and how often in a row another began there.
    held_at: Option<u64>,
    held_again: usize,
    /// What is held from earlier inputs.
    held: BytesMut,
    /// Inputs to go on with once a replayed one ends.
    waiting: Vec<Input>,
    decoded: String,
    treated: String,
    written: Vec<u8>,
    counts: Counts,
    /// The second net, if the program watches.
    net: Option<Box<Net>>,
    /// Bytes of the leading BOM seen; 3 = seen or absent.
    bom: u8,
    finishing: bool,
    failed: Option<Abort>,
}

/// A piece of the document: a chunk, or held bytes that are replayed.
#[derive(Debug)]
struct Input {
    bytes: Bytes,
    /// Offset of its first byte in the document.
    base: u64,
    at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    Sub(Use),
    FirstKey,
    Key,
    InKey,
    Colon,
    FirstElement,
    After,
    End,
}

/// What becomes of the value that [`Subtree`] validates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Pass,
    Skip,
    /// Captured for the node.
    Treat(u32),
    Expect(u32),
    Link(u32),
    /// A string with a document in it.
    Document,
    /// Scouted: not the one that decides.
    Scout,
    /// Scouted: decides.
    Decide,
    /// Held whole for a filter.
    Hold,
}

impl Use {
    fn captures(self) -> bool {
        matches!(
            self,
            Self::Treat(_) | Self::Expect(_) | Self::Link(_) | Self::Decide
        )
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Index into the compiled objects.
    Object(u32),
    /// Index into the compiled arrays.
    Array(u32),
    /// An object on the way to the deciding member, at this place of its keys.
    Scout(usize),
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    kind: Kind,
    /// Index of the current element.
    index: u64,
    /// Deciding members seen.
    seen: u64,
    /// The last named member, by its place.
    last: u16,
    /// A member or element has left.
    emitted: bool,
}

enum Walk {
    /// The input is used up.
    More,
    /// A hold begins: the bound counts from here.
    Held,
    /// The held value takes this node.
    Decided(u32),
}

impl JsonRewriter {
    /// A rewriter at the start of a document.
    pub fn new(program: Arc<Program>, bounds: Bounds) -> Self {
        let net = compiled::net(&program.json);
        let counts = Counts {
            treated: vec![0; program.counters.len()],
            ..Counts::default()
        };
        let follows = program.json.follows();
        Self {
            root: program.json.root,
            is_inner: false,
            document: None,
            node: program.json.root,
            program,
            bounds: Bounds {
                depth_max: bounds.depth_max.min(subtree::DEPTH_MAX),
                ..bounds
            },
            form: Form::best(),
            state: State::Value,
            stack: Vec::with_capacity(16),
            follows,
            subtree: Subtree::default(),
            key: StringScan::default(),
            sink: Sink::default(),
            token: 0,
            captured: Vec::new(),
            token_over: false,
            hold: None,
            held_at: None,
            held_again: 0,
            held: BytesMut::new(),
            waiting: Vec::new(),
            decoded: String::new(),
            treated: String::new(),
            written: Vec::new(),
            net,
            counts,
            bom: 0,
            finishing: false,
            failed: None,
        }
    }

    /// The same rewriter in every form that this processor can do, the plain one first: they give the same bytes.
    pub(crate) fn in_every_form(program: &Arc<Program>, bounds: Bounds) -> Vec<Self> {
        Form::all()
            .into_iter()
            .map(|form| Self {
                form,
                ..Self::new(program.clone(), bounds)
            })
            .collect()
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// As [`super::Rewriter::push`].
    pub fn push(&mut self, chunk: Bytes, out: &mut Out) -> Result<(), Abort> {
        if let Some(abort) = &self.failed {
            return Err(abort.clone());
        }
        let result = self.feed(chunk, out);
        if let Err(abort) = &result {
            // Nothing that is held or undecided may ever leave.
            self.sink.clear();
            self.held = BytesMut::new();
            self.captured = Vec::new();
            self.waiting = Vec::new();
            self.failed = Some(abort.clone());
        }
        result
    }

    /// The body is complete.
    ///
    /// # Errors
    /// As [`super::Rewriter::finish`].
    pub fn finish(&mut self, out: &mut Out) -> Result<Counts, Abort> {
        self.end_document(out)?;
        Ok(self.counts_so_far())
    }

    /// What was done in all documents that are complete. Asked for once, at the end.
    pub(super) fn counts_so_far(&mut self) -> Counts {
        self.counts.bytes_out = self.sink.bytes_out;
        self.program.json.learn(&self.follows);
        if let Some(net) = &mut self.net {
            net.settle(&mut self.counts);
        }
        self.counts.clone()
    }

    /// The document is complete.
    ///
    /// # Errors
    /// As [`super::Rewriter::finish`].
    pub(super) fn end_document(&mut self, out: &mut Out) -> Result<(), Abort> {
        // A number has no last byte of its own: a space ends it, which is not written.
        if matches!(self.state, State::Sub(_)) && self.subtree.ends_as_number() {
            self.finishing = true;
            self.push(Bytes::from_static(b" "), out)?;
            self.counts.bytes_in -= 1;
        }
        if let Some(abort) = &self.failed {
            return Err(abort.clone());
        }
        if self.state != State::End {
            let abort = Abort::Truncated {
                at: self.counts.bytes_in,
            };
            self.failed = Some(abort.clone());
            return Err(abort);
        }
        Ok(())
    }

    /// Another document of the same body begins, after a complete one or instead of one that is given up: counts,
    /// buffers and what was learnt stay, a byte order mark is none any more.
    pub(super) fn next_document(&mut self) {
        if self.state != State::End {
            self.sink.clear();
        }
        self.state = State::Value;
        self.node = self.root;
        self.stack.clear();
        self.subtree = Subtree::default();
        self.key = StringScan::default();
        self.token = 0;
        self.captured.clear();
        self.token_over = false;
        self.hold = None;
        self.held_at = None;
        self.held_again = 0;
        self.held.clear();
        self.waiting.clear();
        self.bom = 3;
        self.finishing = false;
        self.failed = None;
    }

    /// What was done is counted anew.
    fn forget_counts(&mut self) {
        self.counts = Counts {
            treated: vec![0; self.program.counters.len()],
            ..Counts::default()
        };
    }

    /// Bytes of the body that belong to no document.
    pub(super) fn skip(&mut self, bytes: u64) {
        self.counts.bytes_in += bytes;
    }

    /// How much of the body has come.
    pub(super) fn place(&self) -> u64 {
        self.counts.bytes_in
    }

    fn feed(&mut self, chunk: Bytes, out: &mut Out) -> Result<(), Abort> {
        let mut input = Input {
            base: self.counts.bytes_in,
            at: 0,
            bytes: chunk,
        };
        self.counts.bytes_in += input.bytes.len() as u64;
        self.byte_order_mark(&mut input)?;
        self.start_input(&input);
        loop {
            let limit = self
                .hold
                .map(|hold| hold.at + self.bounds.held_bytes_max as u64);
            let end = limit.map_or(input.bytes.len(), |limit| {
                input
                    .bytes
                    .len()
                    .min(limit.saturating_sub(input.base) as usize)
            });
            let walk = self.walk(&input.bytes, input.at, end, out);
            let walk = match walk {
                Ok((walk, at)) => {
                    input.at = at;
                    walk
                }
                Err((fault, at)) => return Err(abort(fault, input.base + at as u64)),
            };
            match walk {
                Walk::Held => {
                    let at = input.base + input.at as u64;
                    self.held_again = if self.held_at == Some(at) {
                        self.held_again + 1
                    } else {
                        0
                    };
                    self.held_at = Some(at);
                    // Choices that lead to each other in a circle decide nothing.
                    if self.held_again > self.program.json.chooses.len() {
                        return Err(Abort::Contradiction { at });
                    }
                    if let Some(hold) = &mut self.hold {
                        hold.at = at;
                    }
                }
                Walk::Decided(node) => self.replay(&mut input, node),
                Walk::More => match (limit, self.hold) {
                    (Some(limit), Some(hold)) if input.base + end as u64 >= limit => {
                        self.counts.held_over += 1;
                        let node = self.program.json.chooses[hold.decider as usize].overflow;
                        self.replay(&mut input, node);
                    }
                    _ => {
                        self.end_input(&input, out)
                            .map_err(|fault| abort(fault, input.base + input.bytes.len() as u64))?;
                        match self.waiting.pop() {
                            Some(next) => {
                                input = next;
                                self.start_input(&input);
                            }
                            None => break,
                        }
                    }
                },
            }
        }
        self.sink.flush(out);
        self.written.clear();
        for buffer in [&mut self.captured, &mut self.written] {
            if buffer.is_empty() && buffer.capacity() > IDLE_BYTES_MAX {
                *buffer = Vec::new();
            }
        }
        for buffer in [&mut self.decoded, &mut self.treated] {
            if buffer.capacity() > IDLE_BYTES_MAX {
                *buffer = String::new();
            }
        }
        if self.captured.capacity() + self.held.capacity() + self.sink.lead_capacity()
            > KEPT_BYTES_MAX
        {
            self.sink.release();
        }
        Ok(())
    }

    /// One leading BOM is left out.
    fn byte_order_mark(&mut self, input: &mut Input) -> Result<(), Abort> {
        while self.bom < 3 {
            let Some(&b) = input.bytes.get(input.at) else {
                return Ok(());
            };
            if b == [0xef, 0xbb, 0xbf][usize::from(self.bom)] {
                self.bom += 1;
                input.at += 1;
            } else if self.bom == 0 {
                self.bom = 3;
            } else {
                return Err(abort(
                    Fault::Malformed("UTF-8"),
                    input.base + input.at as u64,
                ));
            }
        }
        Ok(())
    }

    fn start_input(&mut self, input: &Input) {
        self.sink.start_input(input.at, input.bytes.len());
        self.token = input.at;
        if let Some(hold) = &mut self.hold {
            hold.start = input.at;
        }
    }

    /// The input ends: keeps what is not decided.
    fn end_input(&mut self, input: &Input, out: &mut Out) -> Result<(), Fault> {
        let bytes = &input.bytes;
        let lead_max = self.lead_max();
        let captures = match self.state {
            State::InKey => true,
            State::Sub(what) => what.captures(),
            _ => false,
        };
        if captures {
            self.capture_or_pass(bytes, out);
            if self.token_over && self.state == State::InKey {
                return Err(Fault::TooLarge("key"));
            }
        }
        let lead = if let Some(hold) = &mut self.hold {
            let lead = self.sink.end_input(bytes, hold.start, lead_max, out);
            let rest = &bytes[hold.start..];
            let length = self.held.len() + rest.len();
            if length > self.held.capacity() {
                // Not more than the bound, whatever growth by doubling would give.
                let capacity = (2 * length).min(self.bounds.held_bytes_max).max(length);
                let mut grown = BytesMut::with_capacity(capacity);
                grown.extend_from_slice(&self.held);
                self.held = grown;
            }
            self.held.extend_from_slice(rest);
            hold.saved = true;
            lead
        } else {
            match self.state {
                State::Sub(Use::Pass) => self.sink.commit(bytes, bytes.len(), out),
                State::Sub(Use::Skip) => self.sink.discard(bytes, bytes.len(), out),
                _ => {}
            }
            let to = match self.state {
                State::Sub(what) if what.captures() => self.token,
                _ => bytes.len(),
            };
            self.sink.end_input(bytes, to, lead_max, out)
        };
        self.check_lead(lead)
    }

    fn check_lead(&self, length: usize) -> Result<(), Fault> {
        if length > self.lead_max() {
            return Err(Fault::TooLarge("white space"));
        }
        Ok(())
    }

    fn lead_max(&self) -> usize {
        self.bounds.key_bytes_max.saturating_add(LEAD_BYTES_MAX)
    }

    /// Captures the rest of the input, unless that makes a value too long which may pass unseen: it streams from here.
    fn capture_or_pass(&mut self, input: &Bytes, out: &mut Out) {
        let part = &input[self.token..];
        if let State::Sub(Use::Treat(node)) = self.state
            && !self.token_over
            && self.captured.len() + part.len() > self.bounds.treated_bytes_max
            && self.pass_unseen(node)
        {
            self.pass_captured(input, out);
            self.state = State::Sub(Use::Pass);
            return;
        }
        self.capture(part);
    }

    /// Whether a value of the node passes though it is too long to be looked at, which is counted then.
    fn pass_unseen(&mut self, node: u32) -> bool {
        let program = self.program.clone();
        let compiled::Op::Treat { treatment, counter } = &program.json.ops[node as usize] else {
            return false;
        };
        let passes = treatment.passes_unseen();
        if let (true, Some(net)) = (passes, &mut self.net) {
            net.not_looked_at(*counter);
        }
        passes
    }

    /// What was captured of a value in earlier inputs leaves.
    fn pass_captured(&mut self, input: &Bytes, out: &mut Out) {
        let captured = std::mem::take(&mut self.captured);
        self.sink.replace(input, self.token, &captured, out);
    }

    fn capture(&mut self, part: &[u8]) {
        // A key's quotes are not part of the token, a value's are.
        let max = match self.state {
            State::InKey => self.bounds.key_bytes_max,
            State::Sub(Use::Decide) => DECIDING_BYTES_MAX,
            _ => self
                .bounds
                .treated_bytes_max
                .max(self.bounds.number_bytes_max),
        };
        if self.token_over || self.captured.len() + part.len() > max {
            self.token_over = true;
            self.captured.clear();
        } else {
            append(&mut self.captured, part, max);
        }
    }

    /// The held value takes `node`: back to its first byte.
    fn replay(&mut self, input: &mut Input, node: u32) {
        let Some(hold) = self.hold.take() else {
            return;
        };
        self.stack.truncate(hold.frames);
        self.captured.clear();
        self.token_over = false;
        self.state = State::Value;
        self.node = node;
        if hold.saved {
            self.held
                .extend_from_slice(&input.bytes[hold.start..input.at]);
            let held = Input {
                bytes: self.held.split().freeze(),
                base: hold.at,
                at: 0,
            };
            self.waiting.push(std::mem::replace(input, held));
            self.start_input(input);
        } else {
            input.at = hold.start;
        }
    }

    fn limits(&self) -> Limits {
        Limits {
            depth: self.bounds.depth_max - self.stack.len(),
            key_bytes: self.bounds.key_bytes_max,
            number_bytes: self.bounds.number_bytes_max,
        }
    }

    /// Goes on from `i` to `end`.
    fn walk(
        &mut self,
        input: &Bytes,
        mut i: usize,
        end: usize,
        out: &mut Out,
    ) -> Result<(Walk, usize), (Fault, usize)> {
        let bytes = &input[..end];
        let program = self.program.clone();
        let compiled = &*program.json;
        loop {
            if self.hold.is_none() && self.sink.has_no_lead() {
                i = self.fast(compiled, input, bytes, i, out)?;
            }
            match self.state {
                State::Value | State::FirstElement => {
                    i = skip_space(PLAIN, bytes, i);
                    let Some(&b) = bytes.get(i) else {
                        return Ok((Walk::More, i));
                    };
                    if b == b']' && self.state == State::FirstElement {
                        i = self.close(input, i, out);
                        continue;
                    }
                    if self.hold.is_some() {
                        if let Some(node) = self.scouted_value(compiled, b, i)? {
                            return Ok((Walk::Decided(node), i));
                        }
                        i += usize::from(self.state == State::FirstKey);
                        continue;
                    }
                    self.check_lead(self.sink.lead_length(i))
                        .map_err(|fault| (fault, i))?;
                    if self.start_value(compiled, input, b, i, out)? {
                        return Ok((Walk::Held, i));
                    }
                    // A container that is walked is open now.
                    i += usize::from(matches!(self.state, State::FirstKey | State::FirstElement));
                }
                State::Sub(what) => {
                    let limits = self.limits();
                    let from = i;
                    let Some(behind) = self.subtree.run(self.form, bytes, i, limits)? else {
                        if what == Use::Document {
                            self.document_goes_on(input, from..end, out)
                                .map_err(|fault| (fault, end))?;
                        }
                        return Ok((Walk::More, end));
                    };
                    i = behind;
                    if what == Use::Document {
                        self.document_ends(input, from..i, out)
                            .map_err(|fault| (fault, i))?;
                        continue;
                    }
                    if let Some(node) = self.complete(compiled, what, input, i, out)? {
                        return Ok((Walk::Decided(node), i));
                    }
                }
                State::FirstKey | State::Key => {
                    i = skip_space(PLAIN, bytes, i);
                    match bytes.get(i) {
                        None => return Ok((Walk::More, i)),
                        Some(b'"') => {
                            i += 1;
                            self.token = i;
                            self.key = StringScan::default();
                            self.state = State::InKey;
                        }
                        Some(b'}') if self.state == State::FirstKey => {
                            if let Some(node) = self.scouted_end(compiled) {
                                return Ok((Walk::Decided(node), i + 1));
                            }
                            i = self.close(input, i, out);
                        }
                        Some(_) => return Err((Fault::Malformed("object"), i)),
                    }
                }
                State::InKey => {
                    let Some(behind) = self.key.scan::<true>(bytes, i)? else {
                        return Ok((Walk::More, end));
                    };
                    i = behind;
                    self.key_complete(compiled, &bytes[self.token..i - 1])
                        .map_err(|fault| (fault, i))?;
                }
                State::Colon => {
                    i = skip_space(PLAIN, bytes, i);
                    match bytes.get(i) {
                        None => return Ok((Walk::More, i)),
                        Some(b':') => i += 1,
                        Some(_) => return Err((Fault::Malformed("object"), i)),
                    }
                    self.state = State::Value;
                }
                State::After => {
                    i = skip_space(PLAIN, bytes, i);
                    let Some(&b) = bytes.get(i) else {
                        return Ok((Walk::More, i));
                    };
                    if self.hold.is_none() {
                        self.check_lead(self.sink.lead_length(i))
                            .map_err(|fault| (fault, i))?;
                    }
                    let Some(frame) = self.stack.last_mut() else {
                        self.state = State::End;
                        continue;
                    };
                    match (b, frame.kind) {
                        (b',', kind) => {
                            if let Kind::Array(array) = kind {
                                frame.index += 1;
                                self.node = compiled.arrays[array as usize].node(frame.index);
                                self.state = State::Value;
                            } else {
                                self.state = State::Key;
                            }
                            i += 1;
                            if !frame.emitted && self.hold.is_none() {
                                self.sink.discard(input, i, out);
                            }
                        }
                        (b'}', Kind::Object(_) | Kind::Scout(_)) => {
                            if let Some(node) = self.scouted_end(compiled) {
                                return Ok((Walk::Decided(node), i + 1));
                            }
                            i = self.close(input, i, out);
                        }
                        (b']', Kind::Array(_)) => i = self.close(input, i, out),
                        (_, Kind::Array(_)) => return Err((Fault::Malformed("array"), i)),
                        _ => return Err((Fault::Malformed("object"), i)),
                    }
                }
                State::End => {
                    i = skip_space(PLAIN, bytes, i);
                    if i < bytes.len() {
                        return Err((Fault::Malformed("JSON: more than one document"), i));
                    }
                    if self.finishing {
                        self.sink.discard(input, i, out);
                    } else {
                        self.sink.commit(input, i, out);
                    }
                    return Ok((Walk::More, i));
                }
            }
        }
    }
}

/// Appends without reserving more than `max` in all.
fn append(to: &mut Vec<u8>, part: &[u8], max: usize) {
    let length = to.len() + part.len();
    if length > to.capacity() {
        let capacity = (2 * length).min(max).max(length);
        to.reserve_exact(capacity - to.len());
    }
    to.extend_from_slice(part);
}

fn abort(fault: Fault, at: u64) -> Abort {
    match fault {
        Fault::Malformed(what) => Abort::Malformed { what, at },
        Fault::Key => Abort::ForbiddenKey { at },
        Fault::TooLarge(what) => Abort::TooLarge { what, at },
        Fault::Duplicate => Abort::DuplicateDecider { at },
        Fault::Contradiction => Abort::Contradiction { at },
    }
}
