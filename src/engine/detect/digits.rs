//! Runs of digits, their check digits, and payment cards.

/// Longest number that is looked at, in digits.
pub(super) const DIGITS_MAX: usize = 32;

/// The digits of a spelt number.
pub(super) struct Digits {
    values: [u8; DIGITS_MAX],
    len: usize,
    /// Bytes that it takes, from its first digit to its last.
    pub(super) bytes: usize,
    /// Whether separators stand in it.
    pub(super) grouped: bool,
}

impl Digits {
    /// The number at the start of `text`: digits with at most one of `separators` between two of them. `None` when
    /// it is longer than [`DIGITS_MAX`].
    pub(super) fn prefix(text: &str, separators: &[u8]) -> Option<Self> {
        let mut digits = Self {
            values: [0; DIGITS_MAX],
            len: 0,
            bytes: 0,
            grouped: false,
        };
        let mut separated = false;
        for (i, b) in text.bytes().enumerate() {
            if b.is_ascii_digit() {
                *digits.values.get_mut(digits.len)? = b - b'0';
                digits.len += 1;
                digits.bytes = i + 1;
                digits.grouped |= separated;
                separated = false;
            } else if separators.contains(&b) && !separated && i > 0 {
                separated = true;
            } else {
                break;
            }
        }
        (digits.len > 0).then_some(digits)
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.values[..self.len]
    }
}

/// Whether a number that ends at `end` ends there as a word too.
pub(super) fn ends_word(text: &str, end: usize) -> bool {
    !text[end..]
        .chars()
        .next()
        .is_some_and(|c| c.is_alphanumeric() || c == '_')
}

/// Where the run of letters, digits and number separators from `at` on ends; always behind `at`.
pub(super) fn run_end(bytes: &[u8], at: usize) -> usize {
    let word = bytes[at..]
        .iter()
        .take_while(|b| b.is_ascii_alphanumeric() || **b >= 0x80)
        .count();
    at + word.max(1)
}

/// Where the word begins that has a digit at `digit`, not before `from`.
pub(super) fn word_start(bytes: &[u8], digit: usize, from: usize) -> usize {
    let mut start = digit;
    while start > from && bytes[start - 1].is_ascii_alphanumeric() {
        start -= 1;
    }
    start
}

/// Luhn's check (ISO/IEC 7812-1 annex B).
pub(super) fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(i, d)| {
            let d = u32::from(*d);
            if i % 2 == 1 {
                (d * 2) / 10 + (d * 2) % 10
            } else {
                d
            }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether all of `text` is a card number.
pub(super) fn is_card(text: &str) -> bool {
    card_prefix(text) == Some(text.len())
}

/// Bytes of the card number at the start of `text`: a known issuer's range and length, Luhn, bare or in groups.
pub(super) fn card_prefix(text: &str) -> Option<usize> {
    let digits = Digits::prefix(text, b" -")?;
    (is_issued(digits.as_slice()) && luhn(digits.as_slice()) && ends_word(text, digits.bytes))
        .then_some(digits.bytes)
}

/// Whether the leading digits and the length are those of a card network (the networks' published ranges).
fn is_issued(digits: &[u8]) -> bool {
    let lead = |n: usize| {
        digits
            .iter()
            .take(n)
            .fold(0_u32, |sum, d| sum * 10 + u32::from(*d))
    };
    match digits.len() {
        13 | 18 => lead(1) == 4,
        14 => matches!(lead(3), 300..=305 | 309) || matches!(lead(2), 36 | 38 | 39),
        15 => matches!(lead(2), 34 | 37),
        16 => {
            lead(1) == 4
                || matches!(lead(2), 51..=55 | 65 | 62 | 81)
                || matches!(lead(4), 2221..=2720 | 6011 | 3528..=3589 | 2200..=2204)
                || matches!(lead(3), 644..=649)
        }
        19 => lead(1) == 4 || lead(2) == 62 || lead(4) == 6011,
        _ => false,
    }
}
