//! What has been decided and what not yet, between input and [`Out`].
//!
//! Of the current input, `run..run_end` is decided to pass, and what follows it is the *lead*: comma, white space
//! and key of a value whose fate is open. Runs leave as slices; small ones are copied together, since a slice
//! costs more than a short copy.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::Out;

/// Runs shorter than this are copied.
const COPY_MAX: usize = 1024;

/// Size of the copy buffers.
const BUFFER: usize = 16 << 10;

#[derive(Debug, Default)]
pub(super) struct Sink {
    run: usize,
    run_end: usize,
    /// The part of the lead that came with earlier inputs.
    lead: Vec<u8>,
    copied: BytesMut,
    /// Bytes that left.
    pub(super) bytes_out: u64,
}

impl Sink {
    /// Everything before `to` passes.
    #[inline]
    pub(super) fn commit(&mut self, input: &Bytes, to: usize, out: &mut Out) {
        if !self.lead.is_empty() {
            self.flush_run(input, out);
            let lead = std::mem::take(&mut self.lead);
            self.text(&lead, out);
            self.lead = lead;
            self.lead.clear();
        }
        self.run_end = to;
    }

    /// The lead and all that stands before `to` is gone.
    #[inline]
    pub(super) fn discard(&mut self, input: &Bytes, to: usize, out: &mut Out) {
        self.flush_run(input, out);
        self.lead.clear();
        (self.run, self.run_end) = (to, to);
    }

    /// What stands between the committed part and `to` is replaced.
    #[inline]
    pub(super) fn replace(&mut self, input: &Bytes, to: usize, text: &[u8], out: &mut Out) {
        self.flush_run(input, out);
        (self.run, self.run_end) = (to, to);
        self.text(text, out);
    }

    fn flush_run(&mut self, input: &Bytes, out: &mut Out) {
        let (from, to) = (self.run, self.run_end);
        if to > from {
            if to - from < COPY_MAX {
                self.text(&input[from..to], out);
            } else {
                self.flush_copied(out);
                self.bytes_out += (to - from) as u64;
                out.push(input.slice(from..to));
            }
        }
        self.run = to;
    }

    /// Writes bytes of our own, or copied ones.
    pub(super) fn text(&mut self, text: &[u8], out: &mut Out) {
        if self.copied.capacity() - self.copied.len() < text.len() {
            self.flush_copied(out);
            self.copied.reserve(BUFFER.max(text.len()));
        }
        self.copied.put_slice(text);
        self.bytes_out += text.len() as u64;
    }

    fn flush_copied(&mut self, out: &mut Out) {
        if !self.copied.is_empty() {
            out.push(self.copied.split().freeze());
        }
    }

    /// The input ends at `to`; what stands before it and is not decided is kept as lead. Gives its length.
    pub(super) fn end_input(&mut self, input: &Bytes, to: usize, out: &mut Out) -> usize {
        self.flush_run(input, out);
        if to > self.run_end {
            self.lead.extend_from_slice(&input[self.run_end..to]);
        }
        self.lead.len()
    }

    /// Another input goes on at `from`.
    pub(super) fn start_input(&mut self, from: usize) {
        (self.run, self.run_end) = (from, from);
    }

    /// Length of the lead up to `to`.
    #[inline]
    pub(super) fn lead_length(&self, to: usize) -> usize {
        self.lead.len() + to.saturating_sub(self.run_end)
    }

    /// All that is decided leaves now.
    pub(super) fn flush(&mut self, out: &mut Out) {
        self.flush_copied(out);
    }

    /// Nothing that is held may ever leave.
    pub(super) fn clear(&mut self) {
        *self = Self {
            bytes_out: self.bytes_out,
            ..Self::default()
        };
    }
}
