//! Runs of passing input and bytes of our own, on their way to [`Out`].
//!
//! Passing ranges that touch are joined; long runs leave as slices of the input, short ones are copied together,
//! since a slice costs more than a short copy.

use bytes::{Bytes, BytesMut};

use super::Out;

/// Runs shorter than this are copied.
const COPY_MAX: usize = 1024;

/// Size of the copy buffers.
const BUFFER: usize = 16 << 10;

/// Size of the first one: a short answer needs no more.
const FIRST: usize = 4 << 10;

/// Short copies are made in whole steps of this: what they write too much is overwritten or never leaves.
const STEP: usize = 32;

/// Appends `part` to what is kept, of which there is never more than `most`: doubling does not go beyond that.
pub(super) fn keep(kept: &mut Vec<u8>, part: &[u8], most: usize) {
    let length = kept.len() + part.len();
    if length > kept.capacity() {
        kept.reserve_exact((2 * length).min(most).max(length) - kept.len());
    }
    kept.extend_from_slice(part);
}

/// The writer of one stream.
#[derive(Debug, Default)]
pub(super) struct Runs {
    run: usize,
    run_end: usize,
    /// Copies fill it from the start; its length is its room.
    buffer: BytesMut,
    filled: usize,
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
        self.more(text, out);
    }

    /// More bytes of our own behind those of [`Self::text`].
    #[inline]
    pub(super) fn more(&mut self, text: &[u8], out: &mut Out) {
        self.copy(text, 0, text.len(), out);
    }

    /// The run of `input` is written: ranges of it are not referred to any more.
    #[inline]
    pub(super) fn end_input(&mut self, input: &Bytes, out: &mut Out) {
        let (from, to) = (self.run, self.run_end);
        if to > from {
            if to - from < COPY_MAX {
                self.copy(input, from, to, out);
            } else {
                self.flush(out);
                self.bytes_out += (to - from) as u64;
                out.push(input.slice(from..to));
            }
        }
        (self.run, self.run_end) = (usize::MAX, usize::MAX);
    }

    #[inline]
    fn copy(&mut self, source: &[u8], from: usize, to: usize, out: &mut Out) {
        let length = to - from;
        if self.buffer.len() - self.filled < length + STEP {
            self.room(length + STEP, out);
        }
        let place = &mut self.buffer[self.filled..];
        let source = &source[from..];
        if length <= 8 * STEP {
            let mut done = 0;
            while done < length {
                match (
                    source[done..].first_chunk::<STEP>(),
                    place[done..].first_chunk_mut::<STEP>(),
                ) {
                    (Some(source), Some(place)) => *place = *source,
                    _ => {
                        place[done..length].copy_from_slice(&source[done..length]);
                        break;
                    }
                }
                done += STEP;
            }
        } else {
            place[..length].copy_from_slice(&source[..length]);
        }
        self.filled += length;
        self.bytes_out += length as u64;
    }

    #[cold]
    fn room(&mut self, length: usize, out: &mut Out) {
        self.flush(out);
        if self.buffer.len() < length {
            // Its old place is taken again if all that left it is gone.
            let size = if self.buffer.capacity() == 0 && self.bytes_out == 0 {
                FIRST
            } else {
                BUFFER
            };
            self.buffer.clear();
            self.buffer.resize(size.max(length), 0);
        }
    }

    /// All that was copied leaves now.
    pub(super) fn flush(&mut self, out: &mut Out) {
        if self.filled > 0 {
            out.push(self.buffer.split_to(self.filled).freeze());
            self.filled = 0;
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
