//! How a key of a body is compared with a name of the schema.
//!
//! Two comparisons. The *narrow* one, exact or ASCII case-insensitive, may let a value pass. The *wide* one
//! ([`canonical`]: NFKC, full case folding, white space trimmed, dotted and dotless i joined) may only protect:
//! consumers exist that would take such a key for the field. Keys that consumers cut or shorten (control
//! characters, NUL, zero-width and other invisible characters, bidi controls, non-characters, lone surrogates)
//! have no meaning that all readers share: [`is_forbidden`] characters abort the document.

use std::borrow::Cow;

use icu_casemap::{CaseMapper, CaseMapperBorrowed};
use icu_normalizer::{ComposingNormalizer, ComposingNormalizerBorrowed};

const FOLD: CaseMapperBorrowed<'static> = CaseMapper::new();
const NFKC: ComposingNormalizerBorrowed<'static> = ComposingNormalizer::new_nfkc();

/// Whether a key that holds `c` aborts the document: controls (C0, DEL, C1), every default-ignorable code point
/// (zero-width, bidi controls, BOM, soft hyphen, fillers, variation selectors, tags), interlinear annotation
/// marks, and non-characters.
pub fn is_forbidden(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        || code & 0xfffe == 0xfffe
        || matches!(
            code,
            0x00ad
                | 0x034f
                | 0x061c
                | 0x115f..=0x1160
                | 0x17b4..=0x17b5
                | 0x180b..=0x180f
                | 0x200b..=0x200f
                | 0x202a..=0x202e
                | 0x2060..=0x206f
                | 0x3164
                | 0xfdd0..=0xfdef
                | 0xfe00..=0xfe0f
                | 0xfeff
                | 0xffa0
                | 0xfff0..=0xfffb
                | 0x1bca0..=0x1bca3
                | 0x1d173..=0x1d17a
                | 0xe0000..=0xe0fff
        )
}

/// The wide form of a decoded key. Equal wide forms may be the same key to some consumer.
pub fn canonical(key: &str) -> Cow<'_, str> {
    if key.is_ascii() {
        let trimmed = key.trim();
        return if trimmed.bytes().any(|b| b.is_ascii_uppercase()) {
            Cow::Owned(trimmed.to_ascii_lowercase())
        } else {
            Cow::Borrowed(trimmed)
        };
    }
    let composed = NFKC.normalize(key);
    let folded = FOLD.fold_string(&composed);
    let again = NFKC.normalize(&folded);
    // U+0130 folds to i and a combining dot, U+0131 to itself: upper-casing consumers join both with i.
    let joined = again
        .trim()
        .replace("i\u{307}", "i")
        .replace('\u{131}', "i");
    Cow::Owned(joined)
}

/// The narrow comparison: exact, or equal but for the case of ASCII letters.
pub fn same(key: &str, name: &str) -> bool {
    key.eq_ignore_ascii_case(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_some_consumer_takes_for_a_field_has_its_wide_form() {
        for (key, name) in [
            ("EMAIL", "Email"),
            ("\u{ff25}mail", "Email"),
            (" Email\u{a0}", "Email"),
            ("\u{17f}sn", "SSN"),
            ("\u{212a}ey", "key"),
            ("ema\u{131}l", "EMAIL"),
            ("EMA\u{130}L", "email"),
            ("cafe\u{301}_email", "CAF\u{c9}_email"),
            ("stra\u{df}e", "STRASSE"),
        ] {
            assert_eq!(canonical(key), canonical(name), "{key:?}");
        }
        assert_ne!(canonical("Email2"), canonical("Email"));
        assert!(!same("\u{17f}sn", "SSN") && same("sSn", "SSN"));
    }

    #[test]
    fn invisible_characters_are_forbidden_and_letters_are_not() {
        for c in "\0\u{1}\u{7f}\u{85}\u{ad}\u{200b}\u{200d}\u{202e}\u{2066}\u{feff}\u{fffe}\u{1ffff}\u{fdd0}\u{e0041}"
            .chars()
        {
            assert!(is_forbidden(c), "{:x}", u32::from(c));
        }
        for c in "aZ_ .@é中\u{301}😀\u{fffd}".chars() {
            assert!(!is_forbidden(c), "{:x}", u32::from(c));
        }
    }
}
