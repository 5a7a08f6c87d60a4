//! AES-256-SIV (RFC 5297) with derived keys, and the padding that hides lengths.

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use ring::hkdf;

use crate::engine::secret::Secret;

/// Bytes of the synthetic IV in front of every ciphertext.
pub(super) const IV_BYTES: usize = 16;

/// Smallest padded length.
const BUCKET_BYTES_MIN: usize = 16;

/// One AES-256-SIV key: 32 bytes for S2V, 32 for CTR.
#[derive(Debug, Clone)]
pub(super) struct SivKey(Secret<[u8; 64]>);

/// Asks HKDF for 64 bytes.
struct SixtyFour;

impl hkdf::KeyType for SixtyFour {
    fn len(&self) -> usize {
        64
    }
}

/// HKDF-SHA256 (RFC 5869) of a ring secret. `info` separates tenants, scopes, classes and uses of a key.
pub(super) fn derive(secret: &[u8], info: &str) -> Secret<[u8; 64]> {
    let mut out = [0; 64];
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"privet key ring").extract(secret);
    // Both calls fail only over 255 × 32 bytes, or where the lengths differ: neither can be.
    if let Ok(okm) = prk.expand(&[info.as_bytes()], SixtyFour) {
        let filled = okm.fill(&mut out);
        debug_assert!(filled.is_ok());
    }
    Secret::new(out)
}

impl SivKey {
    /// A key from 64 bytes.
    pub(super) fn new(bytes: Secret<[u8; 64]>) -> Self {
        Self(bytes)
    }

    /// Encrypts `buffer[IV_BYTES..]` in place and writes the synthetic IV before it.
    /// False (which RFC 5297 allows over 126 associated strings only): the buffer must not be used.
    #[must_use]
    pub(super) fn seal(&self, associated: &[&[u8]], buffer: &mut [u8]) -> bool {
        let Some((iv, text)) = buffer.split_at_mut_checked(IV_BYTES) else {
            return false;
        };
        match Aes256Siv::new(self.0.expose_secret().into())
            .encrypt_inout_detached(associated, text.into())
        {
            Ok(tag) => {
                iv.copy_from_slice(&tag);
                true
            }
            Err(_) => false,
        }
    }

    /// Decrypts `buffer[IV_BYTES..]` in place if the synthetic IV before it is right (compared in constant time).
    #[must_use]
    pub(super) fn open(&self, associated: &[&[u8]], buffer: &mut [u8]) -> bool {
        let Some((iv, text)) = buffer.split_at_mut_checked(IV_BYTES) else {
            return false;
        };
        let Ok(iv) = (&*iv).try_into() else {
            return false;
        };
        Aes256Siv::new(self.0.expose_secret().into())
            .decrypt_inout_detached(associated, text.into(), iv)
            .is_ok()
    }
}

/// The padded length of `bytes` bytes of text: 16, 32, 64, 128, …, always at least one byte more than the text.
pub(super) fn padded_bytes(bytes: usize) -> usize {
    (bytes + 1).next_power_of_two().max(BUCKET_BYTES_MIN)
}

/// Pads `buffer` behind its first `bytes` bytes: 0x80, then zeros (ISO/IEC 7816-4).
pub(super) fn pad(buffer: &mut [u8], bytes: usize) {
    buffer[bytes] = 0x80;
    buffer[bytes + 1..].fill(0);
}

/// The text before the padding; `None` when the padding or the bucket is not ours.
pub(super) fn unpad(buffer: &[u8]) -> Option<&[u8]> {
    let end = buffer.iter().rposition(|byte| *byte != 0)?;
    (buffer[end] == 0x80 && padded_bytes(end) == buffer.len()).then(|| &buffer[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes 0x00, 0x01, … as a key of 64 bytes, the result checked with another AES-SIV.
    #[test]
    fn seals_as_rfc_5297_says_with_the_64_byte_key() {
        let mut key = [0; 64];
        for (byte, n) in key.iter_mut().zip(0..) {
            *byte = n;
        }
        let key = SivKey::new(Secret::new(key));
        let mut buffer = [0; IV_BYTES + 14];
        buffer[IV_BYTES..].copy_from_slice(b"hello, privet!");
        assert!(key.seal(&[b"tk1", b"acme"], &mut buffer));
        assert_eq!(
            data_encoding::HEXLOWER.encode(&buffer),
            "dae80d07be958b054a45ab36203203abe70c9ae9e8adc658054bb3284c30"
        );
        assert!(!key.open(&[b"tk1", b"acm", b"e"], &mut buffer.clone()));
        assert!(key.open(&[b"tk1", b"acme"], &mut buffer));
        assert_eq!(&buffer[IV_BYTES..], b"hello, privet!");
    }

    #[test]
    fn padding_hides_the_length_inside_a_bucket() {
        for (bytes, padded) in [
            (0, 16),
            (15, 16),
            (16, 32),
            (31, 32),
            (32, 64),
            (4095, 4096),
        ] {
            assert_eq!(padded_bytes(bytes), padded);
            let mut buffer = vec![0x80; padded];
            pad(&mut buffer, bytes);
            assert_eq!(unpad(&buffer).map(<[u8]>::len), Some(bytes));
        }
        assert_eq!(unpad(&[0; 16]), None);
        assert_eq!(unpad(&[1; 16]), None);
        let mut wide = [0; 32];
        wide[3] = 0x80; // would have fitted in 16
        assert_eq!(unpad(&wide), None);
    }
}
