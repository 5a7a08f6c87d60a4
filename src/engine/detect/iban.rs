//! International bank account numbers (ISO 13616-1).

/// Lengths by country, from the SWIFT IBAN registry.
const LENGTHS: &[(&[u8; 2], usize)] = &[
    (b"AD", 24),
    (b"AE", 23),
    (b"AL", 28),
    (b"AT", 20),
    (b"AZ", 28),
    (b"BA", 20),
    (b"BE", 16),
    (b"BG", 22),
    (b"BH", 22),
    (b"BI", 27),
    (b"BR", 29),
    (b"BY", 28),
    (b"CH", 21),
    (b"CR", 22),
    (b"CY", 28),
    (b"CZ", 24),
    (b"DE", 22),
    (b"DJ", 27),
    (b"DK", 18),
    (b"DO", 28),
    (b"EE", 20),
    (b"EG", 29),
    (b"ES", 24),
    (b"FI", 18),
    (b"FK", 18),
    (b"FO", 18),
    (b"FR", 27),
    (b"GB", 22),
    (b"GE", 22),
    (b"GI", 23),
    (b"GL", 18),
    (b"GR", 27),
    (b"GT", 28),
    (b"HR", 21),
    (b"HU", 28),
    (b"IE", 22),
    (b"IL", 23),
    (b"IQ", 23),
    (b"IS", 26),
    (b"IT", 27),
    (b"JO", 30),
    (b"KW", 30),
    (b"KZ", 20),
    (b"LB", 28),
    (b"LC", 32),
    (b"LI", 21),
    (b"LT", 20),
    (b"LU", 20),
    (b"LV", 21),
    (b"LY", 25),
    (b"MC", 27),
    (b"MD", 24),
    (b"ME", 22),
    (b"MK", 19),
    (b"MN", 20),
    (b"MR", 27),
    (b"MT", 31),
    (b"MU", 30),
    (b"NI", 28),
    (b"NL", 18),
    (b"NO", 15),
    (b"OM", 23),
    (b"PK", 24),
    (b"PL", 28),
    (b"PS", 29),
    (b"PT", 25),
    (b"QA", 29),
    (b"RO", 24),
    (b"RS", 22),
    (b"RU", 33),
    (b"SA", 24),
    (b"SC", 31),
    (b"SD", 18),
    (b"SE", 24),
    (b"SI", 19),
    (b"SK", 24),
    (b"SM", 27),
    (b"SO", 23),
    (b"ST", 25),
    (b"SV", 28),
    (b"TL", 23),
    (b"TN", 24),
    (b"TR", 26),
    (b"UA", 29),
    (b"VA", 22),
    (b"VG", 24),
    (b"XK", 20),
    (b"YE", 30),
];

/// Whether all of `text` is an IBAN.
pub(super) fn is(text: &str) -> bool {
    prefix(text) == Some(text.len())
}

/// Bytes of the IBAN at the start of `text`, in one piece or in groups.
pub(super) fn prefix(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let country = [
        bytes.first()?.to_ascii_uppercase(),
        bytes.get(1)?.to_ascii_uppercase(),
    ];
    let (_, length) = LENGTHS.iter().find(|(code, _)| **code == country)?;
    let mut characters = [0_u8; 34];
    let mut count = 0;
    let mut end = 0;
    for (i, b) in bytes.iter().enumerate() {
        if b.is_ascii_alphanumeric() {
            characters[count] = b.to_ascii_uppercase();
            count += 1;
            end = i + 1;
            if count == *length {
                break;
            }
        } else if *b != b' ' || i == 0 || bytes[i - 1] == b' ' {
            return None;
        }
    }
    let characters = &characters[..count];
    (count == *length && super::digits::ends_word(text, end) && mod97(characters)).then_some(end)
}

/// ISO 7064 MOD 97-10 over the number with its first four characters moved to its end.
fn mod97(characters: &[u8]) -> bool {
    let mut rest = 0_u32;
    for b in characters.iter().skip(4).chain(characters.iter().take(4)) {
        rest = match b {
            b'0'..=b'9' => rest * 10 + u32::from(b - b'0'),
            b'A'..=b'Z' => rest * 100 + u32::from(b - b'A') + 10,
            _ => return false,
        } % 97;
    }
    rest == 1
}
