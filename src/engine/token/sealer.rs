//! Cursors that come back in URLs.

use data_encoding::BASE64URL_NOPAD;

use super::cipher::{IV_BYTES, SivKey};

/// Longest sealed text that is looked at, bytes (a request target has no more).
const SEALED_BYTES_MAX: usize = 16 << 10;

/// Seals and opens cursors: authenticated encryption of short texts that come back in URLs.
#[derive(Debug)]
pub struct Sealer {
    /// Version and tenant.
    pub(super) associated: Box<str>,
    /// The active key first; the others only open.
    pub(super) keys: Box<[SivKey]>,
}

impl Sealer {
    /// Seals `plain` into one URL path segment (base64url). Deterministic: AES-SIV needs no nonce.
    /// Empty, which nothing opens, if there is no key.
    pub fn seal(&self, plain: &[u8]) -> String {
        let mut buffer = vec![0; IV_BYTES + plain.len()];
        buffer[IV_BYTES..].copy_from_slice(plain);
        match self.keys.first() {
            Some(key) if key.seal(self.associated.as_bytes(), &mut buffer) => {
                BASE64URL_NOPAD.encode(&buffer)
            }
            _ => String::new(),
        }
    }

    /// Opens what [`Sealer::seal`] made, under the active or an older key. `None` for anything else.
    pub fn open(&self, text: &str) -> Option<Vec<u8>> {
        if text.len() > SEALED_BYTES_MAX {
            return None;
        }
        let mut buffer = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        // A key that does not fit leaves the ciphertext as it was.
        self.keys
            .iter()
            .any(|key| key.open(self.associated.as_bytes(), &mut buffer))
            .then(|| buffer.split_off(IV_BYTES))
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyRing;

    #[test]
    fn opens_its_own_and_nothing_else() {
        let ring = KeyRing::generate(&[1; 64]);
        let sealer = ring.sealer("acme");
        let sealed = sealer.seal(b"01gx0000-2000");
        assert_eq!(sealer.open(&sealed).as_deref(), Some(&b"01gx0000-2000"[..]));
        assert_eq!(ring.sealer("other").open(&sealed), None);
        assert_eq!(
            KeyRing::generate(&[2; 64]).sealer("acme").open(&sealed),
            None
        );
        for index in 0..sealed.len() {
            let mut bytes = sealed.clone().into_bytes();
            bytes[index] ^= 1;
            assert_eq!(sealer.open(&String::from_utf8(bytes).unwrap()), None);
        }
        assert_eq!(sealer.open(""), None);
        assert_eq!(sealer.open(&"A".repeat(20_000)), None);
        // An older key still opens what it sealed.
        let rotated = ring.rotate(&[3; 64]).unwrap();
        assert_eq!(
            rotated.sealer("acme").open(&sealed).as_deref(),
            Some(&b"01gx0000-2000"[..])
        );
        assert_ne!(rotated.sealer("acme").seal(b"01gx0000-2000"), sealed);
    }
}
