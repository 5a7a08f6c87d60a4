//! The two spellings of a Salesforce record id, made equal.

use std::borrow::Cow;

const SHORT_BYTES: usize = 15;
const BLOCK_BYTES: usize = 5;
const CHECK: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";

/// The 18-character form of a 15-character record id; anything else as it is.
///
/// Each block of five letters and digits adds one character that says which of them are upper case, so that the long
/// form survives a comparison without case.
pub fn record_id(text: &str) -> Cow<'_, str> {
    if text.len() != SHORT_BYTES || !text.bytes().all(|b| b.is_ascii_alphanumeric()) {
        return Cow::Borrowed(text);
    }
    let mut long = text.to_owned();
    for block in text.as_bytes().chunks(BLOCK_BYTES) {
        let upper = block.iter().rev().fold(0_usize, |bits, b| {
            bits << 1 | usize::from(b.is_ascii_uppercase())
        });
        long.push(CHECK.get(upper).copied().map_or('A', char::from));
    }
    Cow::Owned(long)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_short_form_grows() {
        for (given, expected) in [
            ("001A0000006Vm9r", "001A0000006Vm9rIAC"),
            ("003000000000001", "003000000000001AAA"),
            ("ABCDEFGHIJKLMNO", "ABCDEFGHIJKLMNO555"),
            ("003000000000001AAA", "003000000000001AAA"),
            ("00300000000000-", "00300000000000-"),
            ("", ""),
        ] {
            assert_eq!(record_id(given), expected);
        }
    }
}
