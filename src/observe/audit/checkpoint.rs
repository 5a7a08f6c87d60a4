//! Signed checkpoints: the tree head over all records up to one, as a C2SP `tlog-checkpoint` in a signed note.
//!
//! ```text
//! privet/<chain>
//! <number of records>
//! <root, base64>
//! time <RFC 3339>
//! key <Ed25519 public key, base64>
//!
//! — privet/<chain> <key id and Ed25519 signature, base64>
//! ```
//!
//! They stand one after the other, with an empty line between, in the file [`FILE`] beside the segments, and stay when
//! segments go. Who can write to the folder can remove the newest of them together with the newest records; only a
//! copy elsewhere, the witness, tells.

use std::sync::Arc;

use data_encoding::BASE64;
use ring::digest;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::record::Hash;
use super::tree::Tree;

/// Name of the file of checkpoints in the audit folder.
pub const FILE: &str = "audit.checkpoints";

/// No more records than this follow a checkpoint without another one.
pub(super) const RECORDS_MAX: u64 = 1_000;

/// Bytes of an Ed25519 public key.
const KEY_BYTES: usize = 32;

/// The Ed25519 key that signs checkpoints.
pub struct Signer(Ed25519KeyPair);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Signer").field(&self.public()).finish()
    }
}

impl Signer {
    /// From a secret seed (RFC 8032, section 5.1.5). `None`: it is not taken, which no seed of 32 bytes brings about.
    pub fn from_seed(seed: &[u8; 32]) -> Option<Self> {
        Ed25519KeyPair::from_seed_unchecked(seed).ok().map(Self)
    }

    /// Its public key.
    pub fn public(&self) -> PublicKey {
        let mut key = [0; KEY_BYTES];
        key.copy_from_slice(self.0.public_key().as_ref());
        PublicKey(key)
    }

    pub(super) fn sign(&self, chain: &str, tree: &Tree, time: &str) -> Checkpoint {
        let key = self.public();
        let root = tree.root();
        let text = format!(
            "privet/{chain}\n{}\n{}\ntime {time}\nkey {key}\n",
            tree.size(),
            BASE64.encode(&root),
        );
        let mut signature = key.id(chain).to_vec();
        signature.extend_from_slice(self.0.sign(text.as_bytes()).as_ref());
        let note = format!("{text}\n— privet/{chain} {}\n", BASE64.encode(&signature));
        Checkpoint {
            chain: chain.into(),
            size: tree.size(),
            root,
            key,
            note: note.into(),
        }
    }
}

/// A public key, written as base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_BYTES]);

impl PublicKey {
    /// The key id of a signed note: the first four bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key).
    fn id(&self, chain: &str) -> [u8; 4] {
        let text = [
            b"privet/".as_slice(),
            chain.as_bytes(),
            b"\n\x01",
            self.0.as_slice(),
        ];
        let hash = digest::digest(&digest::SHA256, &text.concat());
        let mut id = [0; 4];
        id.copy_from_slice(&hash.as_ref()[..4]);
        id
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        BASE64.encode_display(&self.0).fmt(f)
    }
}

impl std::str::FromStr for PublicKey {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        BASE64
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or("a public key is 32 bytes in base64, as `privet keys list` shows it")
    }
}

/// A checkpoint whose signature is good under the key that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The chain's id.
    pub chain: Arc<str>,
    /// Number of records under it.
    pub size: u64,
    /// RFC 9162 tree head.
    pub root: [u8; 32],
    /// Who signed.
    pub key: PublicKey,
    /// The signed note.
    pub note: Arc<str>,
}

/// Reads one note.
///
/// # Errors
/// Says what is wrong.
fn parse(note: &str) -> Result<Checkpoint, &'static str> {
    const SHAPE: &str = "a checkpoint is not whole";
    let (text, signed) = note.split_once("\n\n").ok_or(SHAPE)?;
    let mut lines = text.split('\n');
    let mut line = |prefix: &str| lines.next()?.strip_prefix(prefix);
    let chain = line("privet/").ok_or(SHAPE)?;
    let size: u64 = line("").and_then(|s| s.parse().ok()).ok_or(SHAPE)?;
    let root: Hash = line("")
        .and_then(|s| BASE64.decode(s.as_bytes()).ok()?.try_into().ok())
        .ok_or(SHAPE)?;
    line("time ").ok_or(SHAPE)?;
    let key: PublicKey = line("key ").and_then(|s| s.parse().ok()).ok_or(SHAPE)?;
    let signature = signed
        .strip_prefix("— privet/")
        .and_then(|s| s.strip_prefix(chain)?.strip_prefix(' ')?.strip_suffix('\n'))
        .and_then(|s| BASE64.decode(s.as_bytes()).ok())
        .ok_or(SHAPE)?;
    let (id, signature) = signature.split_at_checked(4).ok_or(SHAPE)?;
    let message = &note[..=text.len()];
    let good = lines.next().is_none()
        && id == key.id(chain)
        && UnparsedPublicKey::new(&ED25519, key.0)
            .verify(message.as_bytes(), signature)
            .is_ok();
    if !good {
        return Err("the signature of a checkpoint does not hold");
    }
    Ok(Checkpoint {
        chain: chain.into(),
        size,
        root,
        key,
        note: note.into(),
    })
}

/// The good notes and their bytes, or the good ones before a bad one and what is wrong with that.
pub(super) type ReadNotes = Result<(Vec<Checkpoint>, u64), (Vec<Checkpoint>, &'static str)>;

/// Reads a file of checkpoints: those that stand there whole, in order, and how many bytes they take. What a crash
/// left at the end is not counted.
///
/// # Errors
/// Says what is wrong, and after how many good ones.
pub(super) fn read(text: &[u8]) -> ReadNotes {
    let mut found = Vec::new();
    let mut at = 0;
    // Each ends with its signature's line and an empty one.
    while let Some(signed) = memchr::memmem::find(&text[at..], b"\n\n") {
        let signed = at + signed + 2;
        let Some(end) = memchr::memmem::find(&text[signed..], b"\n\n") else {
            break;
        };
        let end = signed + end;
        match std::str::from_utf8(&text[at..=end])
            .map_err(|_| "a checkpoint is not text")
            .and_then(parse)
        {
            Ok(checkpoint) => found.push(checkpoint),
            Err(what) => return Err((found, what)),
        }
        at = end + 2;
    }
    Ok((found, at as u64))
}

/// The checkpoints that stand whole in `text`, a piece of [`FILE`] or of a witness's copy that begins with one, and how
/// many bytes they take. Each signature is good under the key that its checkpoint names.
///
/// # Errors
/// Says what is wrong.
pub fn whole_checkpoints(text: &[u8]) -> Result<(Vec<Checkpoint>, u64), &'static str> {
    read(text).map_err(|(_, what)| what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_reads_back_and_every_flipped_bit_is_noticed() {
        let signer = Signer::from_seed(&[7; 32]).unwrap();
        let mut tree = Tree::default();
        tree.append([1; 32]);
        let made = signer.sign("c-1", &tree, "2026-01-01T00:00:00Z");
        assert_eq!(parse(&made.note), Ok(made.clone()));
        assert_eq!(made.key, made.key.to_string().parse().unwrap());
        let file = format!("{0}\n{0}\n", made.note);
        assert_eq!(
            read(file.as_bytes()),
            Ok((vec![made.clone(), made.clone()], file.len() as u64))
        );
        for cut in 0..file.len() {
            let (whole, bytes) = read(&file.as_bytes()[..cut]).unwrap();
            assert_eq!(whole.len(), cut / (file.len() / 2));
            assert_eq!(bytes as usize, whole.len() * file.len() / 2);
        }
        for at in 0..made.note.len() {
            let mut note = made.note.as_bytes().to_vec();
            note[at] ^= 1;
            let good = std::str::from_utf8(&note).is_ok_and(|note| parse(note).is_ok());
            assert!(!good, "byte {at}");
        }
    }
}
