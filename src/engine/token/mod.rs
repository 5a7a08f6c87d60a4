//! Value ⇄ token under a key: key ring, token formats, AES-SIV (RFC 5297), sealed cursors.
//!
//! | what | shape |
//! |---|---|
//! | token | `tk1.<key id>.<base64url, no padding>` |
//! | e-mail token | `tk1.<key id>.<base32, lower case, no padding>@token.invalid` (ASCII case does not matter) |
//! | cursor | base64url, no padding |
//!
//! A token is deterministic: the same value under the same (tenant, scope, class, key) gives the same text, so
//! joins and counts work on tokens. What leaks by that equality is what `scopes` and `entropy` bound.

mod cipher;
mod record_id;
mod ring;
mod sealer;
mod tokenizer;

pub use record_id::long_record_id;
pub use ring::{KeyRing, KeyState, LedgerKey, Pepper, Pseudonym};
pub use sealer::Sealer;
pub use tokenizer::Tokenizer;

/// Whether `value` has the shape of a token or of a mask of ours, so that writing it back must be refused
/// (rule V4). Looks at the shape alone: whether a token is good, [`Tokenizer::open`] says.
pub fn looks_treated(value: &str) -> bool {
    let value = value.trim();
    looks_masked(value) || tokenizer::has_token_shape(value)
}

/// `****`, `****5678`, `+336****`, `j****@example.org`: always exactly four stars and four (or one) characters.
fn looks_masked(value: &str) -> bool {
    if let Some(rest) = value.strip_prefix("****") {
        return matches!(rest.chars().count(), 0 | 4);
    }
    if let Some(rest) = value.strip_suffix("****") {
        return rest.chars().count() == 4;
    }
    let mut chars = value.chars();
    chars.next().is_some()
        && chars
            .as_str()
            .strip_prefix("****@")
            .is_some_and(|domain| !domain.is_empty())
}

#[cfg(test)]
mod tests {
    use super::looks_treated;

    #[test]
    fn masks_and_tokens_are_recognised_and_plain_values_are_not() {
        for treated in [
            "****",
            " ****\n",
            "****5678",
            "****é78x",
            "+336****",
            "j****@example.org",
            "é****@example.org",
            "tk1.k1.abcDEF-_0",
            "TK1.k1.abcd2345@token.INVALID",
        ] {
            assert!(looks_treated(treated), "{treated}");
        }
        for plain in [
            "",
            "jo@example.org",
            "***",
            "*****",
            "****567",
            "****56789",
            "+33****",
            "jo****@example.org",
            "j****@",
            "tk1.",
            "tk1.k1.",
            "tk1.k1.a b",
            "tk1.K/1.abcd",
            "tk2.k1.abcd",
            "The tk1.k1.abcd",
        ] {
            assert!(!looks_treated(plain), "{plain}");
        }
    }
}
