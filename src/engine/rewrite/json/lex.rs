//! Resumable scanners for strings, numbers and literals. Every byte is looked at once, whatever the cuts.

use super::super::simd::{BLOCK, Lanes, PLAIN};
use crate::engine::key;

/// What is wrong with a byte. The caller knows where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Outside the grammar.
    Malformed(&'static str),
    /// A character that no key may hold.
    Key,
    /// Over a bound.
    TooLarge(&'static str),
    /// A second deciding member.
    Duplicate,
    /// The value may not stand here.
    Contradiction,
}

/// A fault and the offset of its byte in the scanned slice.
pub(super) type At = (Fault, usize);

/// The first offset from `i` that is not plain string content, or the end.
#[inline(always)]
pub(super) fn skip_plain<const KEY: bool>(lanes: impl Lanes, bytes: &[u8], mut i: usize) -> usize {
    // Nearly all strings end in the first block, wherever: no branch on where.
    while let Some(block) = bytes.get(i..).and_then(|rest| rest.first_chunk::<BLOCK>()) {
        let marks = lanes.special::<KEY>(block);
        if marks != 0 {
            return i + marks.trailing_zeros() as usize;
        }
        i += BLOCK;
    }
    skip_plain_at_end::<KEY>(bytes, i)
}

/// The same near the end of the input.
#[inline(never)]
fn skip_plain_at_end<const KEY: bool>(bytes: &[u8], mut i: usize) -> usize {
    while let Some(block) = bytes.get(i..).and_then(|rest| rest.first_chunk::<16>()) {
        let marks = PLAIN.special_16::<KEY>(block);
        if marks != 0 {
            return i + marks.trailing_zeros() as usize;
        }
        i += 16;
    }
    while let Some(&b) = bytes.get(i) {
        if b == b'"' || b == b'\\' || !(0x20..0x80).contains(&b) || (KEY && b == 0x7f) {
            break;
        }
        i += 1;
    }
    i
}

/// The first offset from `i` that is not JSON white space, or the end.
#[inline(always)]
pub(super) fn skip_space(lanes: impl Lanes, bytes: &[u8], mut i: usize) -> usize {
    while let Some(&b) = bytes.get(i) {
        if b > b' ' {
            return i;
        }
        // Pretty printers indent.
        if let Some(block) = bytes.get(i..).and_then(|rest| rest.first_chunk::<16>()) {
            let marks = lanes.not_space(block);
            if marks != 0 {
                return i + marks.trailing_zeros() as usize;
            }
            i += 16;
        } else if matches!(b, b' ' | b'\n' | b'\r' | b'\t') {
            i += 1;
        } else {
            return i;
        }
    }
    i
}

/// The offset behind the scalar that starts with `b` at `i`, if it is plain, good and whole.
#[inline(always)]
pub(super) fn plain_scalar(
    lanes: impl Lanes,
    bytes: &[u8],
    i: usize,
    b: u8,
    number_bytes_max: usize,
) -> Option<usize> {
    let whole = |literal: &[u8]| bytes[i..].starts_with(literal).then_some(i + literal.len());
    match b {
        b'"' => {
            let end = skip_plain::<false>(lanes, bytes, i + 1);
            (bytes.get(end) == Some(&b'"')).then_some(end + 1)
        }
        b'n' => whole(b"null"),
        b't' => whole(b"true"),
        b'f' => whole(b"false"),
        b'-' | b'0'..=b'9' => plain_number(lanes, bytes, i, number_bytes_max),
        _ => None,
    }
}

/// As [`plain_scalar`], for a number with at most 15 digits before and behind the point and no exponent.
#[inline(always)]
fn plain_number(
    lanes: impl Lanes,
    bytes: &[u8],
    i: usize,
    number_bytes_max: usize,
) -> Option<usize> {
    let digits = |at: usize| {
        let block = bytes.get(at..)?.first_chunk::<16>()?;
        match lanes.not_digit(block).trailing_zeros() as usize {
            0 | 16.. => None,
            n => Some(at + n),
        }
    };
    let from = i + usize::from(bytes.get(i) == Some(&b'-'));
    let mut end = digits(from)?;
    if end - from > 1 && bytes.get(from) == Some(&b'0') {
        return None;
    }
    if bytes.get(end) == Some(&b'.') {
        end = digits(end + 1)?;
    }
    let goes_on = matches!(bytes.get(end), Some(b'e' | b'E' | b'.'));
    (!goes_on && end - i <= number_bytes_max).then_some(end)
}

/// The offset behind the character beyond ASCII that starts at `i`, if it is good and whole (RFC 3629, section 4).
#[inline]
fn skip_character(bytes: &[u8], i: usize) -> Option<usize> {
    let &[a, b] = bytes.get(i..)?.first_chunk::<2>()?;
    let tail = |at: usize| matches!(bytes.get(i + at), Some(0x80..=0xbf));
    match (a, b) {
        (0xc2..=0xdf, 0x80..=0xbf) => Some(i + 2),
        (0xe0, 0xa0..=0xbf) | (0xe1..=0xec | 0xee | 0xef, 0x80..=0xbf) | (0xed, 0x80..=0x9f)
            if tail(2) =>
        {
            Some(i + 3)
        }
        (0xf0, 0x90..=0xbf) | (0xf1..=0xf3, 0x80..=0xbf) | (0xf4, 0x80..=0x8f)
            if tail(2) && tail(3) =>
        {
            Some(i + 4)
        }
        _ => None,
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum InString {
    #[default]
    Text,
    Escape,
    Hex,
    /// After a high surrogate: its low half must follow.
    LowBackslash,
    LowLetter,
    Continuation,
}

/// A string from behind its opening quote to its closing one.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct StringScan {
    mode: InString,
    /// Hex digits or continuation bytes still due.
    left: u8,
    /// Bounds of the next continuation byte (they exclude overlong forms, surrogates and what is over U+10FFFF).
    low: u8,
    high: u8,
    code: u32,
    /// The pending high surrogate, or 0.
    surrogate: u32,
    /// An escape was seen.
    pub(super) escaped: bool,
    /// A character beyond ASCII was seen, as such or escaped.
    pub(super) wide: bool,
}

impl StringScan {
    /// Scans on from `i`; `Some` = the offset behind the closing quote.
    #[inline]
    pub(super) fn scan<const KEY: bool>(
        &mut self,
        bytes: &[u8],
        mut i: usize,
    ) -> Result<Option<usize>, At> {
        loop {
            if self.mode == InString::Text {
                i = skip_plain::<KEY>(PLAIN, bytes, i);
                match bytes.get(i) {
                    None => return Ok(None),
                    Some(b'"') => return Ok(Some(i + 1)),
                    Some(_) => {}
                }
            }
            let Some(&b) = bytes.get(i) else {
                return Ok(None);
            };
            // Characters of a value that are whole need no steps.
            if !KEY
                && self.mode == InString::Text
                && let Some(end) = skip_character(bytes, i)
            {
                self.wide = true;
                i = end;
                while let Some(end) = skip_character(bytes, i) {
                    i = end;
                }
                continue;
            }
            if !KEY
                && self.mode == InString::Text
                && b == b'\\'
                && let Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') =
                    bytes.get(i + 1)
            {
                self.escaped = true;
                i += 2;
                continue;
            }
            self.step::<KEY>(b).map_err(|fault| (fault, i))?;
            i += 1;
        }
    }

    /// One byte that is not plain content, or inside an escape or a sequence.
    fn step<const KEY: bool>(&mut self, b: u8) -> Result<(), Fault> {
        match self.mode {
            InString::Text => match b {
                b'\\' => {
                    self.escaped = true;
                    self.mode = InString::Escape;
                }
                0x7f if KEY => return Err(Fault::Key),
                0x00..=0x7f => return Err(Fault::Malformed("string: control character")),
                _ => return self.lead(b),
            },
            InString::Escape => match b {
                b'"' | b'\\' | b'/' => self.mode = InString::Text,
                // These stand for control characters.
                b'b' | b'f' | b'n' | b'r' | b't' if KEY => return Err(Fault::Key),
                b'b' | b'f' | b'n' | b'r' | b't' => self.mode = InString::Text,
                b'u' => {
                    (self.mode, self.left, self.code) = (InString::Hex, 4, 0);
                }
                _ => return Err(Fault::Malformed("string: escape")),
            },
            InString::Hex => {
                let digit = match b {
                    b'0'..=b'9' => b - b'0',
                    b'a'..=b'f' => b - b'a' + 10,
                    b'A'..=b'F' => b - b'A' + 10,
                    _ => return Err(Fault::Malformed("string: escape")),
                };
                self.code = self.code << 4 | u32::from(digit);
                self.left -= 1;
                if self.left == 0 {
                    return self.escaped_unit::<KEY>();
                }
            }
            InString::LowBackslash if b == b'\\' => self.mode = InString::LowLetter,
            InString::LowLetter if b == b'u' => {
                (self.mode, self.left, self.code) = (InString::Hex, 4, 0);
            }
            InString::LowBackslash | InString::LowLetter => return Err(lone_surrogate::<KEY>()),
            InString::Continuation => {
                if b < self.low || b > self.high {
                    return Err(Fault::Malformed("UTF-8"));
                }
                (self.low, self.high) = (0x80, 0xbf);
                self.code = self.code << 6 | u32::from(b & 0x3f);
                self.left -= 1;
                if self.left == 0 {
                    self.mode = InString::Text;
                    return self.character::<KEY>();
                }
            }
        }
        Ok(())
    }

    /// The first byte of a UTF-8 sequence (RFC 3629, section 4).
    fn lead(&mut self, b: u8) -> Result<(), Fault> {
        (self.low, self.high) = match b {
            0xe0 => (0xa0, 0xbf),
            0xed => (0x80, 0x9f),
            0xf0 => (0x90, 0xbf),
            0xf4 => (0x80, 0x8f),
            _ => (0x80, 0xbf),
        };
        (self.left, self.code) = match b {
            0xc2..=0xdf => (1, u32::from(b & 0x1f)),
            0xe0..=0xef => (2, u32::from(b & 0x0f)),
            0xf0..=0xf4 => (3, u32::from(b & 0x07)),
            _ => return Err(Fault::Malformed("UTF-8")),
        };
        self.mode = InString::Continuation;
        Ok(())
    }

    /// A `\uXXXX` is complete.
    fn escaped_unit<const KEY: bool>(&mut self) -> Result<(), Fault> {
        match (self.surrogate, self.code) {
            (0, 0xd800..=0xdbff) => {
                self.surrogate = self.code;
                self.mode = InString::LowBackslash;
                return Ok(());
            }
            (0, 0xdc00..=0xdfff) => return Err(lone_surrogate::<KEY>()),
            (0, _) => {}
            (high, low @ 0xdc00..=0xdfff) => {
                self.code = 0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                self.surrogate = 0;
            }
            _ => return Err(lone_surrogate::<KEY>()),
        }
        self.mode = InString::Text;
        self.character::<KEY>()
    }

    fn character<const KEY: bool>(&mut self) -> Result<(), Fault> {
        self.wide |= self.code >= 0x80;
        if KEY && char::from_u32(self.code).is_none_or(key::is_forbidden) {
            return Err(Fault::Key);
        }
        Ok(())
    }
}

fn lone_surrogate<const KEY: bool>() -> Fault {
    if KEY {
        Fault::Key
    } else {
        Fault::Malformed("string: lone surrogate")
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum InNumber {
    #[default]
    Start,
    Minus,
    Zero,
    Whole,
    Point,
    Fraction,
    Exponent,
    Sign,
    Power,
}

/// A number. It has no closing byte: it ends before the first byte that cannot belong to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct NumberScan {
    state: InNumber,
    length: usize,
}

impl NumberScan {
    /// Scans on from `i`; `Some` = the offset of the first byte behind the number.
    #[inline]
    pub(super) fn scan(
        &mut self,
        bytes: &[u8],
        mut i: usize,
        length_max: usize,
    ) -> Result<Option<usize>, At> {
        let from = i;
        let mut state = self.state;
        while let Some(&b) = bytes.get(i) {
            use InNumber::{Exponent, Fraction, Minus, Point, Power, Sign, Start, Whole, Zero};
            state = match (state, b) {
                (Whole | Fraction | Power, b'0'..=b'9') => state,
                (Start | Minus, b'1'..=b'9') => Whole,
                (Start | Minus, b'0') => Zero,
                (Start, b'-') => Minus,
                (Zero | Whole, b'.') => Point,
                (Point, b'0'..=b'9') => Fraction,
                (Zero | Whole | Fraction, b'e' | b'E') => Exponent,
                (Exponent, b'+' | b'-') => Sign,
                (Exponent | Sign, b'0'..=b'9') => Power,
                (Zero | Whole | Fraction | Power, _) => {
                    self.grow(i - from, length_max)
                        .map_err(|fault| (fault, i))?;
                    self.state = state;
                    return Ok(Some(i));
                }
                _ => return Err((Fault::Malformed("number"), i)),
            };
            i += 1;
        }
        self.state = state;
        self.grow(i - from, length_max)
            .map_err(|fault| (fault, i))?;
        Ok(None)
    }

    fn grow(&mut self, by: usize, length_max: usize) -> Result<(), Fault> {
        self.length += by;
        if self.length > length_max {
            return Err(Fault::TooLarge("number"));
        }
        Ok(())
    }

    /// Whether the number may end here.
    pub(super) fn is_complete(self) -> bool {
        matches!(
            self.state,
            InNumber::Zero | InNumber::Whole | InNumber::Fraction | InNumber::Power
        )
    }
}

/// `true`, `false` or `null`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LiteralScan {
    rest: &'static [u8],
}

impl LiteralScan {
    /// The literal that starts with `b`.
    pub(super) fn start(b: u8) -> Option<Self> {
        let rest: &'static [u8] = match b {
            b't' => b"true",
            b'f' => b"false",
            b'n' => b"null",
            _ => return None,
        };
        Some(Self { rest })
    }

    /// Scans on from `i`; `Some` = the offset behind it.
    pub(super) fn scan(&mut self, bytes: &[u8], mut i: usize) -> Result<Option<usize>, At> {
        while let Some((first, rest)) = self.rest.split_first() {
            match bytes.get(i) {
                None => return Ok(None),
                Some(b) if b == first => self.rest = rest,
                Some(_) => return Err((Fault::Malformed("literal"), i)),
            }
            i += 1;
        }
        Ok(Some(i))
    }
}

/// Appends what the validated content `raw` of a JSON string means. False if it is not one after all.
pub(super) fn decode(raw: &[u8], out: &mut String) -> bool {
    let Ok(mut text) = std::str::from_utf8(raw) else {
        return false;
    };
    while let Some(at) = memchr::memchr(b'\\', text.as_bytes()) {
        out.push_str(&text[..at]);
        let escape = text.as_bytes().get(at + 1).copied();
        let mut used = at + 2;
        out.push(match escape {
            Some(b @ (b'"' | b'\\' | b'/')) => char::from(b),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => {
                let unit = |from: usize| {
                    text.get(from..from + 4)
                        .and_then(|hex| u32::from_str_radix(hex, 16).ok())
                };
                let Some(first) = unit(used) else {
                    return false;
                };
                used += 4;
                let code = match first {
                    0xd800..=0xdbff => {
                        let Some(low @ 0xdc00..=0xdfff) = unit(used + 2) else {
                            return false;
                        };
                        used += 6;
                        0x10000 + ((first - 0xd800) << 10) + (low - 0xdc00)
                    }
                    code => code,
                };
                match char::from_u32(code) {
                    Some(c) => c,
                    None => return false,
                }
            }
            _ => return false,
        });
        text = &text[used..];
    }
    out.push_str(text);
    true
}

/// Appends `text` as a JSON string, quotes included.
pub(super) fn encode(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut from = 0;
    let plain = skip_plain::<false>(PLAIN, bytes, 0);
    for (at, &b) in bytes.iter().enumerate().skip(plain) {
        if b >= 0x20 && b != b'"' && b != b'\\' {
            continue;
        }
        out.extend_from_slice(&bytes[from..at]);
        from = at + 1;
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            _ => {
                const HEX: &[u8; 16] = b"0123456789abcdef";
                out.extend_from_slice(b"\\u00");
                out.extend_from_slice(&[HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
            }
        }
    }
    out.extend_from_slice(&bytes[from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_in_every_place_is_told_apart() {
        for (length, place) in (0..90).flat_map(|l| (0..l).map(move |p| (l, p))) {
            for b in [
                0, 0x1f, b' ', b'!', b'"', b'#', b'[', b'\\', b']', 0x7f, 0x80, 0xff,
            ] {
                let mut text = vec![b'a'; length];
                text[place] = b;
                let plain = (0x20..0x80).contains(&b) && b != b'"' && b != b'\\';
                let end = |plain| if plain { length } else { place };
                assert_eq!(skip_plain::<false>(PLAIN, &text, 0), end(plain));
                assert_eq!(skip_plain::<true>(PLAIN, &text, 0), end(plain && b != 0x7f));
            }
            for b in [b' ', b'\n', b'\r', b'\t', 0, 0x0b, b'x', 0xa0] {
                let mut text = vec![b' '; length];
                text[place] = b;
                let space = b" \n\r\t".contains(&b);
                assert_eq!(
                    skip_space(PLAIN, &text, 0),
                    if space { length } else { place }
                );
            }
        }
    }

    /// What the short cut takes for a number is one, to its end; and it takes the common ones.
    #[test]
    fn plain_numbers_are_numbers() {
        let mut seed = 1u64;
        let mut taken = 0;
        for _ in 0..200_000 {
            let mut text: Vec<u8> = (0..8)
                .map(|_| {
                    seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1);
                    b"0012379.-e+,"[(seed >> 33) as usize % 12]
                })
                .collect();
            text.extend_from_slice(b"                        ");
            let slow = NumberScan::default().scan(&text, 0, 6);
            if let Some(end) = plain_number(PLAIN, &text, 0, 6) {
                assert_eq!(slow, Ok(Some(end)), "{text:?}");
                taken += 1;
            }
        }
        assert!(taken > 10_000);
        for number in ["0", "-1", "12.5", "0.25", "123456789012345"] {
            let text = format!("{number},                                ");
            assert_eq!(
                plain_number(PLAIN, text.as_bytes(), 0, 1024),
                Some(number.len())
            );
        }
    }

    /// Every sequence of two bytes, and the edges of longer ones, as `std` sees them.
    #[test]
    fn whole_characters_are_utf8() {
        let edges = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff];
        for a in 0x80..=255u8 {
            for b in 0..=255u8 {
                for (c, d) in edges
                    .iter()
                    .flat_map(|c| edges.iter().map(move |d| (*c, *d)))
                {
                    let text = [a, b, c, d];
                    let good = (2..=4).find(|n| {
                        std::str::from_utf8(&text[..*n]).is_ok_and(|t| t.chars().count() == 1)
                    });
                    assert_eq!(skip_character(&text, 0), good, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn what_is_encoded_decodes() {
        let all: String = (0..0x3000u32)
            .filter_map(char::from_u32)
            .chain("😀".chars())
            .collect();
        let mut json = Vec::new();
        encode(&all, &mut json);
        assert_eq!(serde_json::from_slice::<String>(&json).expect("JSON"), all);
        let mut back = String::new();
        assert!(decode(&json[1..json.len() - 1], &mut back));
        assert_eq!(back, all);
        back.clear();
        assert!(decode(br"\ud83d\ude00\/\b\f\u00e9", &mut back));
        assert_eq!(back, "😀/\u{8}\u{c}é");
    }
}
