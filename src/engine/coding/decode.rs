//! Compressed chunks in, plain pieces out.

use bytes::Bytes;

use super::Coding;
use super::formats::{Brotli, Deflate, Gzip, Zstd};
use crate::engine::rewrite::Abort;

/// Inflation is not judged by its ratio before this many bytes have come out.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// Most plain bytes that leave in one piece, and that are made beyond a bound before it is noticed.
const PIECE_BYTES: usize = 32 << 10;

/// One way to read compressed bytes.
pub(super) trait Format: std::fmt::Debug + Send {
    /// Reads from `input` and writes to `out`, as much of both as it can. Reads nothing and writes nothing only if it
    /// needs more input.
    ///
    /// # Errors
    /// What is wrong with the input, bytes behind the end among it.
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Stepped, &'static str>;

    /// Whether the body may end here.
    fn is_complete(&self) -> bool;
}

/// How far one step has come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stepped {
    pub(super) read: usize,
    pub(super) written: usize,
}

/// Decodes a body chunk by chunk within its bounds.
#[derive(Debug)]
pub struct Decoder {
    /// `None` = identity.
    format: Option<Box<dyn Format>>,
    piece: Box<[u8]>,
    compressed: u64,
    inflated: u64,
    inflated_max: u64,
    ratio_max: u64,
    failed: Option<Abort>,
}

impl Decoder {
    /// A decoder at the start of a body. A decoded body has at most `inflated_max` bytes and, after the first
    /// MiB, at most `ratio_max` times its compressed size; without a coding it has no bound here.
    pub fn new(coding: Coding, inflated_max: u64, ratio_max: u64) -> Self {
        let format: Option<Box<dyn Format>> = match coding {
            Coding::Identity => None,
            Coding::Gzip => Some(Box::new(Gzip::new())),
            Coding::Deflate => Some(Box::new(Deflate::new())),
            Coding::Brotli => Some(Box::new(Brotli::new())),
            Coding::Zstd => Some(Box::new(Zstd::new())),
        };
        Self {
            piece: vec![0; if format.is_some() { PIECE_BYTES } else { 0 }].into(),
            format,
            compressed: 0,
            inflated: 0,
            inflated_max,
            ratio_max,
            failed: None,
        }
    }

    /// Decodes `chunk`, handing each decoded piece to `take`.
    ///
    /// # Errors
    /// [`Abort::Coding`], or what `take` gives. Nothing comes out after it.
    pub fn push(
        &mut self,
        chunk: Bytes,
        mut take: impl FnMut(Bytes) -> Result<(), Abort>,
    ) -> Result<(), Abort> {
        if self.format.is_none() {
            return take(chunk);
        }
        if let Some(abort) = &self.failed {
            return Err(abort.clone());
        }
        self.decode(&chunk, &mut take)
            .inspect_err(|abort| self.failed = Some(abort.clone()))
    }

    fn decode(
        &mut self,
        chunk: &[u8],
        take: &mut impl FnMut(Bytes) -> Result<(), Abort>,
    ) -> Result<(), Abort> {
        let Some(format) = self.format.as_mut() else {
            return Ok(());
        };
        let mut rest = chunk;
        loop {
            let Stepped { read, written } = format
                .step(rest, &mut self.piece)
                .map_err(|what| Abort::Coding { what })?;
            rest = &rest[read..];
            self.compressed += read as u64;
            self.inflated += written as u64;
            let by_ratio = RATIO_FREE_BYTES.max(self.compressed.saturating_mul(self.ratio_max));
            if self.inflated > self.inflated_max.min(by_ratio) {
                return Err(Abort::Coding {
                    what: "inflates beyond its bound",
                });
            }
            if written > 0 {
                take(Bytes::copy_from_slice(&self.piece[..written]))?;
            }
            match (read, written) {
                (0, 0) if rest.is_empty() => return Ok(()),
                (0, 0) => {
                    return Err(Abort::Coding {
                        what: "broken content coding",
                    });
                }
                // A piece that is not full is all that these bytes hold.
                (_, written) if rest.is_empty() && written < self.piece.len() => return Ok(()),
                _ => {}
            }
        }
    }

    /// The body is complete: what was begun must have ended, with its checksum.
    ///
    /// # Errors
    /// [`Abort::Coding`].
    pub fn finish(&mut self) -> Result<(), Abort> {
        if let Some(abort) = &self.failed {
            return Err(abort.clone());
        }
        match &self.format {
            Some(format) if !format.is_complete() => Err(Abort::Coding {
                what: "compressed body is truncated",
            }),
            _ => Ok(()),
        }
    }
}
