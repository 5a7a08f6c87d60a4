//! JSON documents inside a larger body: NDJSON ([`lines`]), server-sent events ([`events`]) and `multipart/mixed`
//! ([`parts`]). Each document meets the same [`Program`]; what stands around them is read strictly and written anew.

mod events;
mod lines;
pub(super) mod parts;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use super::json::JsonRewriter;
use super::{Abort, Bounds, Counts, Out, Program};

pub use parts::boundary_of;

/// A document up to this size leaves once it is complete and good; of a longer one the beginning may be out when its
/// end turns out to be broken, which then ends the body.
const HELD_BYTES_MAX: usize = 32 << 10;

/// How the documents of a body are told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Framing {
    /// NDJSON: a document a line, LF or CRLF behind it. Blank lines are left out.
    Lines,
    /// WHATWG server-sent events: the joined `data` lines of an event are a document. An event whose data is none is
    /// left out. Of the other fields `retry` passes, `event` where it is one of these names (an event of another
    /// name is left out), and a comment without its text; `id` does not.
    Events(Arc<[Arc<str>]>),
    /// RFC 2046 `multipart/mixed`: a part of `application/json` is a document, any other is left out, and so are
    /// preamble, epilogue and all headers but the type. `None`: not known yet; no body can be read.
    Parts(Option<Arc<str>>),
}

/// Rewrites the documents of a framed body.
#[derive(Debug)]
pub struct FramedRewriter {
    documents: Documents,
    reader: Reader,
    counts: Counted,
    failed: Option<Abort>,
}

#[derive(Debug)]
enum Reader {
    Lines(lines::Lines),
    Events(events::Events),
    Parts(Box<parts::Parts>),
}

/// Bytes of the whole body.
#[derive(Debug, Default)]
struct Counted {
    bytes_in: u64,
    bytes_out: u64,
}

impl FramedRewriter {
    /// A rewriter at the start of a body.
    pub fn new(framing: &Framing, program: Arc<Program>, bounds: Bounds) -> Self {
        Self {
            documents: Documents::new(program, bounds),
            reader: match framing {
                Framing::Lines => Reader::Lines(lines::Lines),
                Framing::Events(names) => Reader::Events(events::Events::new(names.clone())),
                Framing::Parts(boundary) => {
                    Reader::Parts(Box::new(parts::Parts::new(boundary.as_deref())))
                }
            },
            counts: Counted::default(),
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
        self.counts.bytes_in += chunk.len() as u64;
        let before = out.len();
        let documents = &mut self.documents;
        let result = match &mut self.reader {
            Reader::Lines(lines) => lines.push(chunk, documents, out),
            Reader::Events(events) => events.push(chunk, documents, out),
            Reader::Parts(parts) => parts.push(&chunk, documents, out),
        };
        self.counts.bytes_out += (out.len() - before) as u64;
        self.after(result)
    }

    /// The body is complete.
    ///
    /// # Errors
    /// As [`super::Rewriter::finish`].
    pub fn finish(&mut self, out: &mut Out) -> Result<Counts, Abort> {
        if let Some(abort) = &self.failed {
            return Err(abort.clone());
        }
        let before = out.len();
        let documents = &mut self.documents;
        let result = match &mut self.reader {
            Reader::Lines(lines) => lines.finish(documents, out),
            Reader::Events(events) => events.finish(documents),
            Reader::Parts(parts) => parts.finish(documents),
        };
        self.counts.bytes_out += (out.len() - before) as u64;
        self.after(result)?;
        Ok(Counts {
            bytes_in: self.counts.bytes_in,
            bytes_out: self.counts.bytes_out,
            ..self.documents.rewriter.counts_so_far()
        })
    }

    fn after(&mut self, result: Result<(), Abort>) -> Result<(), Abort> {
        if let Err(abort) = &result {
            self.documents.give_up();
            self.failed = Some(abort.clone());
        }
        result
    }
}

/// The documents, one after the other. What leaves of one waits until it is complete or over its bound.
#[derive(Debug)]
struct Documents {
    rewriter: JsonRewriter,
    held: Out,
    /// Bytes of the current document.
    fed: usize,
    is_open: bool,
}

impl Documents {
    fn new(program: Arc<Program>, bounds: Bounds) -> Self {
        Self {
            rewriter: JsonRewriter::new(program, bounds),
            held: Out::default(),
            fed: 0,
            is_open: false,
        }
    }

    /// Bytes of the body that belong to no document, so that places in errors stay true.
    fn skip(&mut self, bytes: usize) {
        self.rewriter.skip(bytes as u64);
    }

    fn begin(&mut self) {
        self.is_open = true;
        self.fed = 0;
    }

    /// Takes the next piece of the current document.
    fn push(&mut self, mut chunk: Bytes) -> Result<(), Abort> {
        // Cut at the bound, so that what is held when an error comes up does not depend on the cuts.
        let room = HELD_BYTES_MAX.saturating_sub(self.fed).min(chunk.len());
        let first = chunk.split_to(room);
        if !first.is_empty() {
            self.fed += first.len();
            self.rewriter.push(first, &mut self.held)?;
        }
        if !chunk.is_empty() {
            self.fed = HELD_BYTES_MAX + 1;
            self.rewriter.push(chunk, &mut self.held)?;
        }
        Ok(())
    }

    /// The document is over the bound: what comes of it leaves at once.
    fn streams(&self) -> bool {
        self.is_open && self.fed > HELD_BYTES_MAX
    }

    /// What may leave now.
    fn ready(&mut self) -> Vec<Bytes> {
        if self.streams() {
            self.held.take()
        } else {
            Vec::new()
        }
    }

    /// The current document is complete; gives what has not left of it.
    fn end(&mut self) -> Result<Vec<Bytes>, Abort> {
        self.rewriter.end_document(&mut self.held)?;
        self.rewriter.next_document();
        self.is_open = false;
        Ok(self.held.take())
    }

    /// Nothing more of the current document leaves.
    fn give_up(&mut self) {
        if self.is_open {
            self.rewriter.next_document();
        }
        self.is_open = false;
        self.held = Out::default();
    }
}

fn write(pieces: Vec<Bytes>, out: &mut Out) {
    for piece in pieces {
        out.push(piece);
    }
}
