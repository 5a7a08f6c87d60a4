//! Where the cells and rows of plain CSV end, 64 bytes at a time.
//!
//! Plain = quotes stand only where RFC 4180 puts them and every line ends alike. What is not plain is left to
//! [`super::lex`], so that this scanner never decides that something is malformed.

/// Most bytes of one scan; offsets fit 16 bits.
pub(super) const WINDOW: usize = 16 << 10;

const BLOCK: usize = 64;

/// Ends of cells and rows, from the start of the window.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Every delimiter and every line feed that separates.
    pub(super) ends: Vec<u16>,
    /// The line feeds among them.
    pub(super) lines: Vec<u16>,
}

/// A bit for each byte of a block, the lowest for the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Masks {
    quote: u64,
    delimiter: u64,
    lf: u64,
    cr: u64,
}

impl Scan {
    /// Scans `window`, which starts with a row. False if it is not plain.
    pub(super) fn run(&mut self, window: &[u8], delimiter: u8, crlf: bool) -> bool {
        self.ends.clear();
        self.lines.clear();
        debug_assert!(window.len() <= WINDOW, "offsets are 16 bits");
        let mut carry = Carry {
            inside: 0,
            may_open: 1,
            closed: 0,
            cr: 0,
        };
        let mut base = 0;
        let (blocks, rest) = window.as_chunks::<BLOCK>();
        for block in blocks {
            if !self.block(masks(block, delimiter), base, crlf, &mut carry) {
                return false;
            }
            base += BLOCK as u16;
        }
        let mut last = [0; BLOCK];
        last[..rest.len()].copy_from_slice(rest);
        let mut masks = masks(&last, delimiter);
        // What follows the window is not known: nothing behind its end may be taken for wrong.
        let known = (1u64 << rest.len()) - 1;
        masks.quote &= known;
        self.block_to(masks, base, crlf, &mut carry, known)
    }

    #[inline(always)]
    fn block(&mut self, m: Masks, base: u16, crlf: bool, carry: &mut Carry) -> bool {
        self.block_to(m, base, crlf, carry, u64::MAX)
    }

    /// One block, of which the bytes in `known` are of the window.
    #[inline(always)]
    fn block_to(&mut self, m: Masks, base: u16, crlf: bool, carry: &mut Carry, known: u64) -> bool {
        // Bit set = behind an odd number of quotes, an opening quote included, a closing one not.
        let inside = prefix_xor(m.quote) ^ carry.inside;
        let outside = !inside;
        let lf = m.lf & outside;
        let cr = m.cr & outside;
        let ends = (m.delimiter & outside) | lf;
        let opens = m.quote & inside;
        let closes = m.quote & outside;
        let behind = |mask: u64, carry: u64| (mask << 1) | carry;
        // A quote opens behind a separator, or behind a closing quote (then the two are an escaped one).
        let mut wrong = opens & !behind(ends | closes, carry.may_open);
        // Behind a closing quote stands a separator, CR or a quote.
        wrong |= behind(closes, carry.closed) & !(ends | cr | m.quote);
        let behind_cr = behind(cr, carry.cr);
        if crlf {
            wrong |= behind_cr ^ lf;
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
        push_bits(&mut self.ends, ends, base);
        push_bits(&mut self.lines, lf, base);
        true
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

#[inline(always)]
fn push_bits(to: &mut Vec<u16>, mut bits: u64, base: u16) {
    if bits == 0 {
        return;
    }
    // Eight at a time: a loop of known length costs less than a branch that is missed at each end.
    let count = bits.count_ones() as usize;
    let length = to.len();
    to.reserve(BLOCK);
    let mut done = 0;
    while done < count {
        let mut eight = [0u16; 8];
        for place in &mut eight {
            *place = base + bits.trailing_zeros() as u16;
            bits &= bits.wrapping_sub(1);
        }
        to.extend_from_slice(&eight);
        done += 8;
    }
    to.truncate(length + count);
}

/// Each bit becomes the parity of the bits up to and with it.
#[inline(always)]
fn prefix_xor(mut bits: u64) -> u64 {
    bits ^= bits << 1;
    bits ^= bits << 2;
    bits ^= bits << 4;
    bits ^= bits << 8;
    bits ^= bits << 16;
    bits ^ (bits << 32)
}

/// Eight bytes at a time in plain integers: an exact mark in each byte that is equal, then the marks are gathered.
#[inline(always)]
fn masks(block: &[u8; BLOCK], delimiter: u8) -> Masks {
    const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    const ONES: u64 = 0x0101_0101_0101_0101;
    const GATHER: u64 = 0x0102_0408_1020_4080;
    let (words, _) = block.as_chunks::<8>();
    let mask = |byte: u8| {
        let wanted = u64::from(byte) * ONES;
        words.iter().enumerate().fold(0u64, |mask, (i, word)| {
            let differs = u64::from_le_bytes(*word) ^ wanted;
            let equal = !(((differs & LOW) + LOW) | differs | LOW) >> 7;
            mask | (equal.wrapping_mul(GATHER) >> 56) << (8 * i)
        })
    };
    Masks {
        quote: mask(b'"'),
        delimiter: mask(delimiter),
        lf: mask(b'\n'),
        cr: mask(b'\r'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain_masks(block: &[u8; BLOCK], delimiter: u8) -> Masks {
        let mask = |byte: u8| {
            block
                .iter()
                .enumerate()
                .fold(0u64, |mask, (i, b)| mask | u64::from(*b == byte) << i)
        };
        Masks {
            quote: mask(b'"'),
            delimiter: mask(delimiter),
            lf: mask(b'\n'),
            cr: mask(b'\r'),
        }
    }

    #[test]
    fn masks_agree_with_the_plain_ones() {
        let mut seed = 7u64;
        for _ in 0..2000 {
            let block: [u8; BLOCK] = std::array::from_fn(|_| {
                seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                b"\",\n\ra\xff\0;"[(seed >> 61) as usize]
            });
            assert_eq!(masks(&block, b','), plain_masks(&block, b','));
        }
    }

    #[test]
    fn ends_of_plain_rows() {
        let mut scan = Scan::default();
        assert!(scan.run(b"a,\"b,\"\"\n\",\r\n\"\",,c\r\nd", b',', true));
        assert_eq!(scan.ends, [1, 9, 11, 14, 15, 18]);
        assert_eq!(scan.lines, [11, 18]);
        for wrong in ["a\"b\"\n", "\"a\"b\n", "a\rb\n", "a\r\n"] {
            assert!(!scan.run(wrong.as_bytes(), b',', false), "{wrong:?}");
        }
        assert!(!scan.run(b"a\n", b',', true));
        assert!(scan.run(b"a\r", b',', true) && scan.ends.is_empty());
    }
}
