//! Runs of passing input and bytes of our own, on their way to [`Out`].
//!
//! Passing ranges that touch are joined; long runs leave as slices of the input, short ones are copied together,
//! since a slice costs more than a short copy.

use bytes::{BufMut, Bytes, BytesMut};

use super::Out;

/// Runs shorter than this are copied.
const COPY_MAX: usize = 1024;

/// Size of the copy buffers.
const BUFFER: usize = 16 << 10;

/// The writer of one stream.
#[derive(Debug, Default)]
pub(super) struct Runs {
    run: usize,
    run_end: usize,
    copied: BytesMut,
    /// Bytes that left.
    pub(super) bytes_out: u64,
}

impl Runs {
    /// `input[from..to]` passes. Before another input is used, [`Self::end_input`] must be called.
    #[inline]
    pub(super) fn pass(&mut self, input: &Bytes, from: usize, to: usize, out: &mut Out) {
        if from != self.run_end {
            self.end_input(input, out);
            self.run = from;
        }
        self.run_end = to;
    }

    /// Bytes of our own, behind what passed so far.
    #[inline]
    pub(super) fn text(&mut self, input: &Bytes, text: &[u8], out: &mut Out) {
        self.end_input(input, out);
        self.copy(text, out);
    }

    /// The run of `input` is written: ranges of it are not referred to any more.
    #[inline]
    pub(super) fn end_input(&mut self, input: &Bytes, out: &mut Out) {
        let (from, to) = (self.run, self.run_end);
        if to > from {
            if to - from < COPY_MAX {
                self.copy(&input[from..to], out);
            } else {
                self.flush(out);
                self.bytes_out += (to - from) as u64;
                out.push(input.slice(from..to));
            }
        }
        (self.run, self.run_end) = (usize::MAX, usize::MAX);
    }

    #[inline]
    fn copy(&mut self, text: &[u8], out: &mut Out) {
        if self.copied.capacity() - self.copied.len() < text.len() {
            self.flush(out);
            self.copied.reserve(BUFFER.max(text.len()));
        }
        self.copied.put_slice(text);
        self.bytes_out += text.len() as u64;
    }

    /// All that was copied leaves now.
    pub(super) fn flush(&mut self, out: &mut Out) {
        if !self.copied.is_empty() {
            out.push(self.copied.split().freeze());
        }
    }

    /// Nothing that waits may ever leave.
    pub(super) fn clear(&mut self) {
        *self = Self {
            bytes_out: self.bytes_out,
            ..Self::default()
        };
    }
}
