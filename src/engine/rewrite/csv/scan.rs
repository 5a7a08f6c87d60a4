//! Where the cells and rows of plain CSV end, 64 bytes at a time.
//!
//! Plain = quotes stand only where RFC 4180 puts them and every line ends alike. What is not plain is left to
//! [`super::lex`], so that this scanner never decides that something is malformed.

use super::super::simd::{BLOCK, Separators, separators};

/// Most bytes of one scan; offsets fit 16 bits.
pub(super) const WINDOW: usize = 16 << 10;

/// Blocks whose separators are looked for at a time.
const BATCH: usize = 16;

/// Ends of cells and rows, from the start of the window.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Room for every byte of the longest window so far and one block.
    ends: Box<[u16]>,
    length: usize,
    /// Line feeds that separate.
    pub(super) lines: usize,
}

impl Scan {
    /// Every delimiter and every line feed that separates.
    pub(super) fn ends(&self) -> &[u16] {
        &self.ends[..self.length]
    }

    /// Scans `window`, which starts with a row. False if it is not plain.
    pub(super) fn run(&mut self, window: &[u8], delimiter: u8, crlf: bool) -> bool {
        debug_assert!(window.len() <= WINDOW, "offsets are 16 bits");
        if self.ends.len() < window.len() + BLOCK {
            let length = if self.ends.is_empty() {
                window.len()
            } else {
                WINDOW
            };
            self.ends = vec![0; length + BLOCK].into();
        }
        (self.length, self.lines) = (0, 0);
        let mut carry = Carry {
            inside: 0,
            may_open: 1,
            closed: 0,
            cr: 0,
        };
        let mut base = 0;
        let (blocks, rest) = window.as_chunks::<BLOCK>();
        let mut found = [Separators::default(); BATCH];
        for blocks in blocks.chunks(BATCH) {
            separators(blocks, delimiter, &mut found);
            for found in &found[..blocks.len()] {
                if !self.block(found, base, crlf, &mut carry, u64::MAX) {
                    return false;
                }
                base += BLOCK as u16;
            }
        }
        if rest.is_empty() {
            return true;
        }
        // What follows the window is not known: nothing behind its end may be taken for wrong.
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        separators(&[last], delimiter, &mut found);
        let known = (1u64 << rest.len()) - 1;
        self.block(&found[0], base, crlf, &mut carry, known)
    }

    /// One block, of which the bytes in `known` are of the window.
    #[inline(always)]
    fn block(
        &mut self,
        found: &Separators,
        base: u16,
        crlf: bool,
        carry: &mut Carry,
        known: u64,
    ) -> bool {
        // Bit set = behind an odd number of quotes, an opening quote included, a closing one not.
        let inside = found.parity ^ carry.inside;
        let outside = !inside;
        let lf = found.lf & outside;
        let cr = found.cr & outside;
        let ends = (found.delimiter & outside) | lf;
        let opens = found.quote & inside;
        let closes = found.quote & outside;
        let behind = |mask: u64, carry: u64| (mask << 1) | carry;
        // A quote opens behind a separator, or behind a closing quote (then the two are an escaped one).
        let mut wrong = opens & !behind(ends | closes, carry.may_open);
        // Behind a closing quote stands a separator, CR or a quote.
        wrong |= behind(closes, carry.closed) & !(ends | cr | found.quote);
        if crlf {
            wrong |= behind(cr, carry.cr) ^ lf;
        } else {
            wrong |= cr;
        }
        if wrong & known != 0 {
            return false;
        }
        *carry = Carry {
            inside: ((inside as i64) >> 63) as u64,
            may_open: (ends | closes) >> 63,
            closed: closes >> 63,
            cr: cr >> 63,
        };
        self.push(ends, base);
        // Rows are longer than a few bytes: a loop is cheaper than a count without its instruction.
        let mut lines = lf;
        while lines != 0 {
            self.lines += 1;
            lines &= lines - 1;
        }
        true
    }

    #[inline(always)]
    fn push(&mut self, mut bits: u64, base: u16) {
        let Some(places) = self.ends.get_mut(self.length..self.length + BLOCK) else {
            return;
        };
        // Eight at a time: a loop of known length costs less than a branch that is missed at each end.
        for eight in places.as_chunks_mut::<8>().0 {
            if bits == 0 {
                break;
            }
            let mut count = 0;
            for place in eight {
                *place = base + bits.trailing_zeros() as u16;
                count += usize::from(bits != 0);
                bits &= bits.wrapping_sub(1);
            }
            self.length += count;
        }
    }
}

/// What a block has to know of the one before it.
#[derive(Debug, Clone, Copy)]
struct Carry {
    /// All ones inside quotes.
    inside: u64,
    may_open: u64,
    closed: u64,
    cr: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_plain_rows() {
        let mut scan = Scan::default();
        assert!(scan.run(b"a,\"b,\"\"\n\",\r\n\"\",,c\r\nd", b',', true));
        assert_eq!(scan.ends(), [1, 9, 11, 14, 15, 18]);
        assert_eq!(scan.lines, 2);
        for wrong in ["a\"b\"\n", "\"a\"b\n", "a\rb\n", "a\r\n"] {
            assert!(!scan.run(wrong.as_bytes(), b',', false), "{wrong:?}");
        }
        assert!(!scan.run(b"a\n", b',', true));
        assert!(scan.run(b"a\r", b',', true) && scan.ends().is_empty());
    }

    #[test]
    fn a_window_of_nothing_but_ends() {
        let mut scan = Scan::default();
        assert!(scan.run(&[b','; WINDOW], b',', false));
        assert!(scan.ends().iter().zip(0..).all(|(end, i)| *end == i));
        assert_eq!(scan.ends().len(), WINDOW);
    }
}
