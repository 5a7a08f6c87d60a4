//! One (tenant, scope, class): value → token → value.

use std::borrow::Cow;
use std::sync::Arc;

use data_encoding::{BASE32_NOPAD_NOCASE, BASE64URL_NOPAD, Encoding};
use zeroize::Zeroize;

use super::cipher::{IV_BYTES, SivKey, pad, padded_bytes, unpad};

/// First label of every token: the version of the format.
const VERSION: &str = "tk1";
/// `tk1.`
const PREFIX: &str = "tk1.";
/// RFC 2606 keeps `.invalid` from ever resolving: mail to a token goes nowhere.
const EMAIL_SUFFIX: &str = "@token.invalid";
/// Values up to 255 bytes are treated on the stack.
const STACK_BYTES: usize = IV_BYTES + 256;

/// One key of the ring, derived for this tenant, scope and class.
#[derive(Debug)]
pub(super) struct TokenKey {
    pub(super) id: Arc<str>,
    pub(super) key: SivKey,
}

/// Makes and opens tokens of one (tenant, scope, class) under one key ring.
#[derive(Debug)]
pub struct Tokenizer {
    pub(super) tenant: Box<str>,
    pub(super) scope: Box<str>,
    pub(super) class: Box<str>,
    pub(super) fold_local_part: bool,
    /// The active key first; the others only open.
    pub(super) keys: Box<[TokenKey]>,
}

impl Tokenizer {
    /// Appends the token `tk1.<key id>.<base64url>` of `value` to `out`.
    pub fn token(&self, value: &str, out: &mut String) {
        self.seal(value.as_bytes(), |id, sealed| {
            out.push_str(PREFIX);
            out.push_str(id);
            out.push('.');
            BASE64URL_NOPAD.encode_append(sealed, out);
        });
    }

    /// Appends the e-mail-shaped token `tk1.<key id>.<base32>@token.invalid` of `value` to `out`.
    /// The domain is folded to lower case first, the local part only where the class says so.
    pub fn email_token(&self, value: &str, out: &mut String) {
        self.seal(
            fold_email(value, self.fold_local_part).as_bytes(),
            |id, sealed| {
                out.push_str(PREFIX);
                out.push_str(id);
                out.push('.');
                let start = out.len();
                BASE32_NOPAD_NOCASE.encode_append(sealed, out);
                if let Some(encoded) = out.get_mut(start..) {
                    encoded.make_ascii_lowercase();
                }
                out.push_str(EMAIL_SUFFIX);
            },
        );
    }

    /// The value of a token of this tenant, scope and class, in either shape. `None` for anything else, whatever
    /// the cause (C10: one answer and one path for no such key, other tenant, other key, bad tag).
    pub fn open(&self, token: &str) -> Option<String> {
        let shape = Shape::parse(token)?;
        let active = self.keys.first()?;
        let named = self
            .keys
            .iter()
            .find(|k| shape.key_id.eq_ignore_ascii_case(&k.id));
        // An unknown key id costs as much as a known one.
        let (key, known) = named.map_or((active, false), |k| (k, true));
        let sealed_bytes = shape.encoding.decode_len(shape.sealed.len()).ok()?;
        with_buffer(sealed_bytes, |buffer| {
            let decoded = shape
                .encoding
                .decode_mut(shape.sealed.as_bytes(), buffer)
                .is_ok();
            let opened = key.key.open(&self.associated(&key.id), buffer);
            let text = unpad(buffer.get(IV_BYTES..)?)?;
            if decoded && known && opened {
                std::str::from_utf8(text).ok().map(str::to_owned)
            } else {
                None
            }
        })
    }

    fn associated<'a>(&'a self, key_id: &'a str) -> [&'a [u8]; 5] {
        [
            VERSION.as_bytes(),
            self.tenant.as_bytes(),
            self.class.as_bytes(),
            self.scope.as_bytes(),
            key_id.as_bytes(),
        ]
    }

    /// Hands the active key's id and the ciphertext of `value` to `write`; writes nothing if there is none.
    fn seal(&self, value: &[u8], write: impl FnOnce(&str, &[u8])) {
        let Some(active) = self.keys.first() else {
            return;
        };
        with_buffer(IV_BYTES + padded_bytes(value.len()), |buffer| {
            let text = &mut buffer[IV_BYTES..];
            text[..value.len()].copy_from_slice(value);
            pad(text, value.len());
            if active.key.seal(&self.associated(&active.id), buffer) {
                write(&active.id, buffer);
            }
        });
    }
}

/// Runs `work` on `bytes` zero bytes, on the stack where they fit, wiped afterwards.
fn with_buffer<T>(bytes: usize, work: impl FnOnce(&mut [u8]) -> T) -> T {
    if bytes <= STACK_BYTES {
        let mut buffer = [0; STACK_BYTES];
        let result = work(&mut buffer[..bytes]);
        buffer[..bytes].zeroize();
        result
    } else {
        let mut buffer = vec![0; bytes];
        let result = work(&mut buffer);
        buffer.zeroize();
        result
    }
}

/// A token's parts, by shape alone.
struct Shape<'a> {
    key_id: &'a str,
    sealed: &'a str,
    encoding: &'static Encoding,
}

/// As constants they would be copied at each use.
static BASE64URL: Encoding = BASE64URL_NOPAD;
static BASE32: Encoding = BASE32_NOPAD_NOCASE;

impl<'a> Shape<'a> {
    fn parse(token: &'a str) -> Option<Self> {
        let at = token.len().checked_sub(EMAIL_SUFFIX.len());
        let email = at
            .and_then(|at| token.split_at_checked(at))
            .and_then(|(local, suffix)| suffix.eq_ignore_ascii_case(EMAIL_SUFFIX).then_some(local));
        let (prefix, rest) = email.unwrap_or(token).split_at_checked(PREFIX.len())?;
        let (key_id, sealed) = rest.split_once('.')?;
        // Only the e-mail shape may have changed its case on the way: base64url cannot.
        let shape = if email.is_some() {
            prefix.eq_ignore_ascii_case(PREFIX).then_some(&BASE32)
        } else {
            (prefix == PREFIX && !key_id.bytes().any(|b| b.is_ascii_uppercase()))
                .then_some(&BASE64URL)
        };
        Some(Self {
            key_id,
            sealed,
            encoding: shape?,
        })
    }
}

/// Whether `value` looks like a token, good or not: an alphabet test that is wider than [`Shape::parse`].
pub(super) fn has_token_shape(value: &str) -> bool {
    let Some((prefix, rest)) = value.split_at_checked(PREFIX.len()) else {
        return false;
    };
    let Some((key_id, sealed)) = rest.split_once('.') else {
        return false;
    };
    let sealed = sealed.split_once('@').map_or(sealed, |(local, _)| local);
    prefix.eq_ignore_ascii_case(PREFIX)
        && !key_id.is_empty()
        && key_id.bytes().all(|b| b.is_ascii_alphanumeric())
        && !sealed.is_empty()
        && sealed
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'='))
}

/// `value` with its domain, and where asked its local part, in lower case. No `@`: as it is.
fn fold_email(value: &str, fold_local_part: bool) -> Cow<'_, str> {
    let Some(at) = value.rfind('@') else {
        return Cow::Borrowed(value);
    };
    let folded_from = if fold_local_part { 0 } else { at };
    let (kept, folded) = value.split_at(folded_from);
    if folded
        .bytes()
        .all(|b| b.is_ascii() && !b.is_ascii_uppercase())
    {
        return Cow::Borrowed(value);
    }
    let mut text = String::with_capacity(value.len());
    text.push_str(kept);
    text.push_str(&folded.to_lowercase());
    Cow::Owned(text)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::KeyRing;
    use super::*;

    fn ring(seed: u8) -> KeyRing {
        KeyRing::generate(&[seed; 64])
    }

    fn tokenizer(scope: &str, class: &str) -> Arc<Tokenizer> {
        ring(7).tokenizer("acme", scope, class, false)
    }

    fn token(t: &Tokenizer, value: &str) -> String {
        let mut out = String::new();
        t.token(value, &mut out);
        out
    }

    fn email_token(t: &Tokenizer, value: &str) -> String {
        let mut out = String::new();
        t.email_token(value, &mut out);
        out
    }

    /// Both texts were computed with another HKDF and another AES-SIV.
    #[test]
    fn shapes_are_as_documented() {
        let t = tokenizer("desk", "pii.email");
        assert_eq!(
            token(&t, "jo@example.org"),
            "tk1.k1.KXMj23NE7TnqPxmlX2BvCT9xPCOR2iVuwGHfyT6byug"
        );
        assert_eq!(
            email_token(&t, "jo@example.org"),
            "tk1.k1.ffzshw3titwtt2r7dgsv6ydpbe7xcpbdshnck3wamhp4spu3zlua@token.invalid"
        );
    }

    #[test]
    fn email_tokens_fold_the_domain_and_the_local_part_only_where_asked() {
        let ring = ring(7);
        let keeps = ring.tokenizer("acme", "desk", "pii.email", false);
        let folds = ring.tokenizer("acme", "desk", "pii.email", true);
        let plain = email_token(&keeps, "Jo@example.org");
        assert_eq!(plain, email_token(&keeps, "Jo@EXAMPLE.org"));
        assert_ne!(plain, email_token(&keeps, "jo@example.org"));
        assert_eq!(
            email_token(&folds, "Jo@EXAMPLE.org"),
            email_token(&folds, "jo@example.org")
        );
        assert_eq!(keeps.open(&plain).as_deref(), Some("Jo@example.org"));
        // Clients change the case of addresses; base32 does not mind.
        assert_eq!(
            keeps.open(&plain.to_uppercase()).as_deref(),
            Some("Jo@example.org")
        );
        assert_ne!(
            token(&keeps, "Jo@example.org"),
            token(&keeps, "Jo@EXAMPLE.org")
        );
    }

    #[test]
    fn nobody_else_opens_it() {
        let rings = (ring(7), ring(8));
        let owner = rings.0.tokenizer("acme", "desk", "pii.email", false);
        let strangers = [
            rings.0.tokenizer("acme2", "desk", "pii.email", false),
            rings.0.tokenizer("acme", "analytics", "pii.email", false),
            rings.0.tokenizer("acme", "desk", "pii.phone", false),
            rings.0.tokenizer("acmed", "esk", "pii.email", false),
            rings.1.tokenizer("acme", "desk", "pii.email", false),
        ];
        for made in [
            token(&owner, "jo@example.org"),
            email_token(&owner, "jo@example.org"),
        ] {
            assert_eq!(owner.open(&made).as_deref(), Some("jo@example.org"));
            for stranger in &strangers {
                assert_eq!(stranger.open(&made), None);
                assert_ne!(made, token(stranger, "jo@example.org"));
            }
            assert_eq!(owner.open(&made.replace(".k1.", ".k2.")), None);
        }
    }

    #[test]
    fn every_changed_bit_and_every_changed_case_is_refused() {
        let t = tokenizer("desk", "pii.name");
        let good = token(&t, "Ada Lovelace");
        for index in 0..good.len() {
            for bit in 0..8 {
                let mut bytes = good.clone().into_bytes();
                bytes[index] ^= 1 << bit;
                if let Ok(changed) = String::from_utf8(bytes) {
                    assert_eq!(t.open(&changed), None, "{changed}");
                }
            }
        }
        let email = email_token(&t, "Ada Lovelace");
        for index in 0..email.len() {
            for bit in 0..7 {
                let mut bytes = email.clone().into_bytes();
                bytes[index] ^= 1 << bit;
                if let Ok(changed) = String::from_utf8(bytes) {
                    if !changed.eq_ignore_ascii_case(&email) {
                        assert_eq!(t.open(&changed), None, "{changed}");
                    }
                }
            }
        }
        for changed in [
            String::new(),
            "tk1".into(),
            "tk1..".into(),
            "tk1.k1.".into(),
            format!("{good}="),
            format!("{good}A"),
            format!(" {good}"),
            good[..good.len() - 1].to_owned(),
            "tk1.k1.@token.invalid".into(),
            "@token.invalid".into(),
            good.replace("tk1.", "TK1."),
            good.replace(".k1.", ".K1."),
        ] {
            assert_eq!(t.open(&changed), None, "{changed}");
        }
    }

    proptest! {
        #[test]
        fn every_value_comes_back(value in "\\PC{0,300}", long in 0_usize..3) {
            let t = tokenizer("desk", "freetext");
            let value = value.repeat(1 + long);
            let made = token(&t, &value);
            prop_assert_eq!(t.open(&made), Some(value.clone()));
            let made = email_token(&t, &value);
            prop_assert_eq!(t.open(&made), Some(fold_email(&value, false).into_owned()));
            prop_assert!(super::super::looks_treated(&made));
        }

        #[test]
        fn garbage_never_opens(text in "(tk1\\.k1\\.)?[A-Za-z0-9_-]{0,90}(@token\\.invalid)?") {
            prop_assert_eq!(tokenizer("desk", "freetext").open(&text), None);
        }
    }
}
