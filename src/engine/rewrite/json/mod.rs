//! JSON: one strict pass (RFC 8259, UTF-8), no tree.

use std::sync::Arc;

use bytes::Bytes;

use super::{Abort, Bounds, Counts, Out, Program};

/// Rewrites one JSON document.
#[derive(Debug)]
pub struct JsonRewriter {
    #[allow(dead_code, reason = "the engine moves in here next")]
    program: Arc<Program>,
    #[allow(dead_code, reason = "the engine moves in here next")]
    bounds: Bounds,
    held: Vec<u8>,
}

impl JsonRewriter {
    /// A rewriter at the start of a document.
    pub fn new(program: Arc<Program>, bounds: Bounds) -> Self {
        Self {
            program,
            bounds,
            held: Vec::new(),
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// As [`super::Rewriter::push`].
    pub fn push(&mut self, chunk: Bytes, _out: &mut Out) -> Result<(), Abort> {
        self.held.extend_from_slice(&chunk);
        Ok(())
    }

    /// The body is complete.
    ///
    /// # Errors
    /// As [`super::Rewriter::finish`].
    pub fn finish(&mut self, _out: &mut Out) -> Result<Counts, Abort> {
        Err(Abort::Malformed {
            what: "document",
            at: 0,
        })
    }
}
