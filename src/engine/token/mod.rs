//! Value ⇄ token under a key: key ring, token formats, AES-SIV (RFC 5297), sealed cursors.

use std::sync::Arc;

/// Makes and opens tokens of one (tenant, scope, class) under one key ring.
#[derive(Debug)]
pub struct Tokenizer {
    _private: (),
}

impl Tokenizer {
    /// Appends the token `tk1.<key id>.<base64url>` of `value` to `out`.
    pub fn token(&self, _value: &str, _out: &mut String) {}

    /// Appends the e-mail-shaped token `tk1.<key id>.<base32>@token.invalid` of `value` to `out`.
    pub fn email_token(&self, _value: &str, _out: &mut String) {}

    /// The value of a token of this tenant, scope and class, in either shape. `None` for anything else, whatever
    /// the cause (C10: one answer for no such token, other tenant, other key, bad tag).
    pub fn open(&self, _token: &str) -> Option<String> {
        None
    }
}

/// Seals and opens cursors: authenticated encryption of short texts that come back in URLs.
#[derive(Debug)]
pub struct Sealer {
    _private: (),
}

impl Sealer {
    /// Seals `plain` into one URL path segment (base64url). Deterministic: AES-SIV needs no nonce.
    pub fn seal(&self, _plain: &[u8]) -> String {
        String::new()
    }

    /// Opens what [`Sealer::seal`] made.
    pub fn open(&self, _text: &str) -> Option<Vec<u8>> {
        None
    }
}

/// All keys of the installation, from the file that `keys:` names.
#[derive(Debug)]
pub struct KeyRing {
    _private: (),
}

impl KeyRing {
    /// The tokenizer of a scope and class. `fold_local_part`: the class folds the local part of e-mails.
    pub fn tokenizer(
        &self,
        _tenant: &str,
        _scope: &str,
        _class: &str,
        _fold_local_part: bool,
    ) -> Arc<Tokenizer> {
        Arc::new(Tokenizer { _private: () })
    }

    /// The sealer of cursors of a tenant.
    pub fn sealer(&self, _tenant: &str) -> Arc<Sealer> {
        Arc::new(Sealer { _private: () })
    }
}

/// Whether `value` has the shape of a token or of a mask of ours, so that writing it back must be refused.
pub fn looks_treated(_value: &str) -> bool {
    false
}
