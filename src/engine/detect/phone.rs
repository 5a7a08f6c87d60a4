//! Telephone numbers.

/// Digits of an international number (ITU-T E.164: at most 15) and of a national one.
const INTERNATIONAL: std::ops::RangeInclusive<usize> = 8..=15;
const NATIONAL: std::ops::RangeInclusive<usize> = 9..=12;

/// Whether all of `text` may be a telephone number; lenient: bare digits with a leading zero count, and an extension
/// may follow.
pub(super) fn is(text: &str) -> bool {
    let number = text
        .find(['x', 'e'])
        .map_or(text, |at| text[..at].trim_end());
    if prefix(number) == Some(number.len()) {
        return number.len() == text.len() || is_extension(&text[number.len()..]);
    }
    number.len() == text.len()
        && number.starts_with('0')
        && NATIONAL.contains(&number.len())
        && number.bytes().all(|b| b.is_ascii_digit())
}

fn is_extension(text: &str) -> bool {
    let digits = text
        .trim_start()
        .trim_start_matches(|c: char| c.is_ascii_alphabetic() || c == '.')
        .trim_start();
    (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

/// Where the number begins whose first digit's word begins at `at`: its `+` or `(` before it.
pub(super) fn start(bytes: &[u8], at: usize, from: usize) -> usize {
    let mut start = at;
    while start > from && matches!(bytes[start - 1], b'+' | b'(') {
        start -= 1;
    }
    start
}

/// Whether a national number at `start` would be the tail of a longer one.
pub(super) fn is_tail(bytes: &[u8], start: usize) -> bool {
    bytes.get(start) != Some(&b'+')
        && start >= 2
        && matches!(bytes[start - 1], b' ' | b'-' | b'.' | b'/')
        && bytes[start - 2].is_ascii_digit()
}

/// Bytes of the number at the start of `text`. International: `+` and 8 to 15 digits. National: 9 to 12 digits in at
/// least three groups that begin with a zero or a bracket, or the North American `212-555-0123`.
pub(super) fn prefix(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut digits = 0;
    let mut groups = 0;
    let mut sizes = [0_usize; 8];
    let mut end = 0;
    let mut separators = 0;
    let mut open = false;
    for (i, b) in bytes.iter().enumerate() {
        match b {
            b'0'..=b'9' => {
                if digits == 0 || separators > 0 {
                    groups += 1;
                }
                if let Some(size) = sizes.get_mut(groups - 1) {
                    *size += 1;
                }
                digits += 1;
                separators = 0;
                end = i + 1;
            }
            b'+' if i == 0 || (i == 1 && bytes[0] == b'(') => {}
            b'(' if !open && separators < 3 => {
                open = true;
                separators += 1;
            }
            b')' if open => {
                open = false;
                separators += 1;
            }
            b' ' | b'-' | b'.' | b'/' if digits > 0 && separators < 2 => {
                separators += 1;
            }
            _ => break,
        }
    }
    if end == 0 || open || !super::digits::ends_word(text, end) {
        return None;
    }
    let fits = if bytes.contains(&b'+') && text.find('+')? < 2 {
        INTERNATIONAL.contains(&digits)
    } else if matches!(sizes, [3, 3, 4, 0, ..] | [1, 3, 3, 4, 0, ..]) {
        let area = usize::from(sizes[0] == 1);
        // The area code and the exchange never begin with 0 or 1 (NANP).
        area == 0 || bytes.iter().find(|b| b.is_ascii_digit()) == Some(&b'1')
    } else {
        NATIONAL.contains(&digits)
            && groups >= 3
            && bytes.iter().find(|b| b.is_ascii_digit()) == Some(&b'0')
            // A day with its time: 01.02.2024 10.
            && !sizes.starts_with(&[2, 2, 4])
            // The form of a US social security number that nobody holds.
            && !sizes.starts_with(&[3, 2, 4])
    };
    fits.then_some(end)
}
