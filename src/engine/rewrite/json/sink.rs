//! What has been decided and what not yet, between input and [`Out`].
//!
//! Of the current input, `run..run_end` is decided to pass, and what follows it is the *lead*: comma, white space
//! and key of a value whose fate is open. Runs leave as slices; small ones are copied together, since a slice
//! costs more than a short copy.

use bytes::{BufMut, Bytes, BytesMut};

use super::super::Out;
use super::{IDLE_BYTES_MAX, append};

/// Runs shorter than this are copied.
const COPY_MAX: usize = 4096;

/// Least and largest size of the copy buffers. What an input gives mostly fits into one, which is used again once
/// what it held has been sent.
const BUFFER_MIN: usize = 1 << 10;
const BUFFER_MAX: usize = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Sink {
    run: usize,
    run_end: usize,
    /// The part of the lead that came with earlier inputs.
    lead: Vec<u8>,
    copied: BytesMut,
    input_length: usize,
    /// Bytes that left.
    pub(super) bytes_out: u64,
}

impl Sink {
    /// Everything before `to` passes.
    #[inline(always)]
    pub(super) fn commit(&mut self, input: &Bytes, to: usize, out: &mut Out) {
        if !self.lead.is_empty() {
            self.commit_lead(input, out);
        }
        self.run_end = to;
    }

    #[cold]
    fn commit_lead(&mut self, input: &Bytes, out: &mut Out) {
        self.flush_run(input, out);
        let lead = std::mem::take(&mut self.lead);
        self.text(&lead, out);
        self.lead = lead;
        self.lead.clear();
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
        let run = self.run..self.run_end;
        let length = run.len() + text.len();
        // Mostly both fit into the buffer.
        if run.len() < COPY_MAX
            && !self.copied.is_empty()
            && length <= self.copied.capacity() - self.copied.len()
        {
            self.copied.put_slice(&input[run]);
            self.copied.put_slice(text);
            self.bytes_out += length as u64;
        } else {
            self.flush_run(input, out);
            self.text(text, out);
        }
        (self.run, self.run_end) = (to, to);
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
        let free = self.copied.capacity() - self.copied.len();
        // An empty buffer is used again before anything is in it: later it could not.
        let due = self.input_length + self.input_length / 8 + 256;
        if free < text.len() || (self.copied.is_empty() && free < due.min(BUFFER_MAX)) {
            self.flush_copied(out);
            self.copied
                .reserve(due.clamp(BUFFER_MIN, BUFFER_MAX).max(text.len()));
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
    /// One over `lead_max` is not kept.
    pub(super) fn end_input(
        &mut self,
        input: &Bytes,
        to: usize,
        lead_max: usize,
        out: &mut Out,
    ) -> usize {
        self.flush_run(input, out);
        let length = self.lead_length(to);
        if to > self.run_end && length <= lead_max {
            append(&mut self.lead, &input[self.run_end..to], lead_max);
        }
        if self.lead.is_empty() && self.lead.capacity() > IDLE_BYTES_MAX {
            self.lead = Vec::new();
        }
        length
    }

    /// Bytes that the lead takes up.
    pub(super) fn lead_capacity(&self) -> usize {
        self.lead.capacity()
    }

    /// Gives the copy buffer up.
    pub(super) fn release(&mut self) {
        self.copied = BytesMut::new();
    }

    /// Another input of `length` bytes goes on at `from`.
    pub(super) fn start_input(&mut self, from: usize, length: usize) {
        (self.run, self.run_end) = (from, from);
        self.input_length = length;
    }

    /// Nothing of the lead came with earlier inputs.
    #[inline(always)]
    pub(super) fn has_no_lead(&self) -> bool {
        self.lead.is_empty()
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
