//! The two forms of a Salesforce record id.

use std::borrow::Cow;

/// The 18-character form of a 15-character id; anything else as it is.
///
/// The three added characters spell the case of the 15, five to a character, the first of five in the lowest bit.
pub fn long_record_id(value: &str) -> Cow<'_, str> {
    const CASES: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ012345";
    let bytes = value.as_bytes();
    if bytes.len() != 15 || !bytes.iter().all(u8::is_ascii_alphanumeric) {
        return Cow::Borrowed(value);
    }
    let mut long = value.to_owned();
    for five in bytes.chunks(5) {
        let case = five
            .iter()
            .rev()
            .fold(0, |bits, b| bits << 1 | usize::from(b.is_ascii_uppercase()));
        long.push(char::from(CASES[case]));
    }
    Cow::Owned(long)
}

#[cfg(test)]
mod tests {
    use super::long_record_id;

    #[test]
    fn the_case_of_each_character_is_kept() {
        assert_eq!(long_record_id("001Dn00000aBcDE"), "001Dn00000aBcDEIA0");
        assert_eq!(long_record_id("00Q000000000001"), "00Q000000000001EAA");
        for same in ["001Dn00000aBcDEIA0", "", "001Dn00000aBc-E", "short"] {
            assert_eq!(long_record_id(same), same);
        }
    }
}
