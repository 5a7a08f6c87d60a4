//! A policy set as one signed file: a tar archive (POSIX.1-1988 ustar), perhaps in gzip, with a detached Ed25519
//! signature over the file's bytes (RFC 8032), base64.
//!
//! The signature is looked at before anything else is. The archive's first entry is `manifest.json`, whose sequence
//! number orders the bundles of one signer; all other entries are files of a policy folder. Nothing is unpacked onto a
//! disk, and an entry that would matter there (a link, a path upwards, a name twice) refuses the whole bundle.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};

use data_encoding::BASE64;
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use ring::signature::{ED25519, UnparsedPublicKey};
use serde::{Deserialize, Serialize};

use super::Sources;

/// Largest bundle, bytes as it comes.
pub const BUNDLE_BYTES_MAX: usize = 64 << 20;
/// Largest archive inside, bytes.
const ARCHIVE_BYTES_MAX: usize = 256 << 20;
/// Most entries.
const ENTRIES_MAX: usize = 10_000;
const MANIFEST: &str = "manifest.json";
const BLOCK: usize = 512;

/// Why a bundle is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BundleRefused {
    /// No key of those that are trusted made the signature over these bytes.
    #[error(
        "no trusted key signed this bundle: it was changed, or its signature is missing or of another key"
    )]
    NotSigned,
    /// It is signed, and still not what a bundle is.
    #[error("{0}")]
    Malformed(String),
}

fn malformed(why: impl Into<String>) -> BundleRefused {
    BundleRefused::Malformed(why.into())
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of this format: 1.
    pub schema: u32,
    /// Grows from bundle to bundle of one signer; a smaller one than the last taken is refused.
    pub sequence: u64,
}

/// An Ed25519 public key: 32 bytes.
pub type PublicKey = [u8; 32];

/// Opens a bundle. `signature` is the text of the signature file; one of `keys` must have made it.
///
/// # Errors
/// [`BundleRefused`]: not signed by them, or malformed.
pub fn open(
    bundle: &[u8],
    signature: &str,
    keys: &[PublicKey],
) -> Result<(Manifest, Sources), BundleRefused> {
    let signature = BASE64
        .decode(signature.trim().as_bytes())
        .map_err(|_| BundleRefused::NotSigned)?;
    let signed = keys.iter().any(|key| {
        UnparsedPublicKey::new(&ED25519, key)
            .verify(bundle, &signature)
            .is_ok()
    });
    if !signed {
        return Err(BundleRefused::NotSigned);
    }
    if bundle.len() > BUNDLE_BYTES_MAX {
        return Err(malformed("the bundle is larger than 64 MiB"));
    }
    let archive = if bundle.starts_with(&[0x1f, 0x8b]) {
        inflated(bundle)?
    } else {
        bundle.to_vec()
    };
    let mut entries = entries(&archive)?.into_iter();
    let manifest = match entries.next() {
        Some((name, bytes)) if name == MANIFEST => bytes,
        _ => return Err(malformed("its first entry is not manifest.json")),
    };
    let manifest: Manifest = serde_json::from_slice(manifest)
        .map_err(|e| malformed(format!("manifest.json cannot be read: {e}")))?;
    if manifest.schema != 1 {
        return Err(malformed(
            "this version of privet reads bundles of `schema` 1",
        ));
    }
    let mut sources = Sources::default();
    for (name, bytes) in entries {
        sources.files.push((name, bytes.to_vec()));
    }
    sources.files.sort();
    Ok((manifest, sources))
}

fn inflated(bundle: &[u8]) -> Result<Vec<u8>, BundleRefused> {
    let mut archive = Vec::new();
    let mut decoder = GzDecoder::new(bundle);
    let read = (&mut decoder)
        .take(ARCHIVE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut archive);
    if read.is_err() {
        return Err(malformed("its gzip cannot be read"));
    }
    if archive.len() > ARCHIVE_BYTES_MAX {
        return Err(malformed("its archive is larger than 256 MiB"));
    }
    if !decoder.into_inner().is_empty() {
        return Err(malformed("something stands behind its gzip"));
    }
    Ok(archive)
}

/// The regular files of a ustar archive, in its order.
fn entries(archive: &[u8]) -> Result<Vec<(String, &[u8])>, BundleRefused> {
    let mut found: Vec<(String, &[u8])> = Vec::new();
    let mut names = BTreeSet::new();
    let mut rest = archive;
    loop {
        let Some((header, behind)) = rest.split_at_checked(BLOCK) else {
            return Err(malformed("its archive is cut off"));
        };
        rest = behind;
        if header.iter().all(|b| *b == 0) {
            // Two blocks of zeros end an archive; nothing may hide behind them.
            if rest.len() < BLOCK || rest.iter().any(|b| *b != 0) {
                return Err(malformed("its archive does not end as one does"));
            }
            return Ok(found);
        }
        let (name, kind, size) = head(header)?;
        let padded = size
            .checked_next_multiple_of(BLOCK)
            .filter(|padded| *padded <= rest.len())
            .ok_or_else(|| malformed("its archive is cut off"))?;
        let (content, behind) = rest.split_at(padded);
        rest = behind;
        match kind {
            // Folders say nothing.
            b'5' if size == 0 => continue,
            b'0' | 0 => {}
            _ => {
                let what = match kind {
                    b'1' => "a hard link",
                    b'2' => "a symbolic link",
                    b'x' | b'g' | b'L' | b'K' => {
                        "an extended header (write the archive with `--format=ustar`)"
                    }
                    _ => "no regular file",
                };
                return Err(malformed(format!(
                    "its entry {} is {what}",
                    found.len() + 1
                )));
            }
        }
        if !names.insert(name.to_lowercase()) {
            return Err(malformed(format!("it holds `{name}` twice")));
        }
        if found.len() >= ENTRIES_MAX {
            return Err(malformed(format!("it holds more than {ENTRIES_MAX} files")));
        }
        found.push((name, &content[..size]));
    }
}

/// Name, kind and size of an entry.
fn head(header: &[u8]) -> Result<(String, u8, usize), BundleRefused> {
    let octal = |range: std::ops::Range<usize>| -> Option<usize> {
        let text = std::str::from_utf8(&header[range]).ok()?;
        let digits = text.trim_matches(['\0', ' ']);
        usize::from_str_radix(digits, 8)
            .ok()
            .filter(|_| !digits.starts_with('+'))
    };
    let sum: usize = header
        .iter()
        .enumerate()
        .map(|(i, b)| {
            if (148..156).contains(&i) {
                usize::from(b' ')
            } else {
                usize::from(*b)
            }
        })
        .sum();
    if &header[257..262] != b"ustar" || octal(148..156) != Some(sum) {
        return Err(malformed("its archive is no ustar archive, or damaged"));
    }
    let size = octal(124..136).ok_or_else(|| malformed("an entry has no size"))?;
    let text = |range: std::ops::Range<usize>| {
        let bytes = &header[range];
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        std::str::from_utf8(&bytes[..end]).map_err(|_| malformed("an entry's name is not UTF-8"))
    };
    // GNU's own variant keeps times where ustar keeps the prefix.
    let prefix = if &header[257..263] == b"ustar\0" {
        text(345..500)?
    } else {
        ""
    };
    let name = text(0..100)?;
    let name = if prefix.is_empty() {
        name.to_owned()
    } else {
        format!("{prefix}/{name}")
    };
    let bare = name.strip_prefix("./").unwrap_or(&name);
    let bare = bare
        .strip_suffix('/')
        .filter(|_| header[156] == b'5')
        .unwrap_or(bare);
    let safe = |part: &str| {
        !part.is_empty()
            && part != "."
            && part != ".."
            && !part.contains(['\\', ':'])
            && !part.chars().any(char::is_control)
    };
    let root = header[156] == b'5' && matches!(bare, "" | ".");
    if !(root || bare.split('/').all(safe)) {
        // A name that is not safe is not repeated.
        return Err(malformed(
            "the name of an entry leads out of the bundle, or is none",
        ));
    }
    Ok((bare.to_owned(), header[156], size))
}

/// Makes a bundle; the same input gives the same bytes. Sign them with [`signature`].
///
/// # Errors
/// A path that ustar cannot hold, or a file named like the manifest.
pub fn pack(manifest: &Manifest, sources: &Sources, gzip: bool) -> Result<Vec<u8>, BundleRefused> {
    let text = serde_json::to_vec(manifest).map_err(|e| malformed(e.to_string()))?;
    let mut archive = Vec::new();
    append(&mut archive, MANIFEST, &text)?;
    for (name, bytes) in &sources.files {
        if name == MANIFEST {
            return Err(malformed("manifest.json is no policy file"));
        }
        append(&mut archive, name, bytes)?;
    }
    archive.resize(archive.len() + 2 * BLOCK, 0);
    if !gzip {
        return Ok(archive);
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let packed = encoder.write_all(&archive).and_then(|()| encoder.finish());
    packed.map_err(|e| malformed(e.to_string()))
}

fn append(archive: &mut Vec<u8>, name: &str, bytes: &[u8]) -> Result<(), BundleRefused> {
    if name.len() > 100 {
        return Err(malformed(format!("`{name}` is longer than 100 bytes")));
    }
    let mut header = [0_u8; BLOCK];
    let mut put = |at: usize, text: &[u8]| header[at..at + text.len()].copy_from_slice(text);
    put(0, name.as_bytes());
    put(100, b"0000644\0");
    put(108, b"0000000\0");
    put(116, b"0000000\0");
    put(124, format!("{:011o}\0", bytes.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, b"0");
    put(257, b"ustar\x0000");
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend_from_slice(&header);
    archive.extend_from_slice(bytes);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
    Ok(())
}

/// The text of the signature file.
pub fn signature(key: &ring::signature::Ed25519KeyPair, bundle: &[u8]) -> String {
    format!("{}\n", BASE64.encode(key.sign(bundle).as_ref()))
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair as _};

    use super::*;

    fn key(seed: u8) -> (Ed25519KeyPair, PublicKey) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let public = pair.public_key().as_ref().try_into().unwrap();
        (pair, public)
    }

    fn sources() -> Sources {
        Sources {
            files: vec![
                ("roles.csv".to_owned(), b"# g, who, role\n".to_vec()),
                ("rules/all.csv".to_owned(), vec![b'#'; 700]),
                ("vocabulary.yaml".to_owned(), b"schema: 1\n".to_vec()),
            ],
        }
    }

    const MANIFEST_7: Manifest = Manifest {
        schema: 1,
        sequence: 7,
    };

    fn signed(archive: &[u8]) -> Result<(Manifest, Sources), BundleRefused> {
        let (pair, public) = key(1);
        open(archive, &signature(&pair, archive), &[public])
    }

    #[test]
    fn what_is_packed_and_signed_opens_and_nothing_else_does() {
        let (pair, public) = key(1);
        let (other, stranger) = key(2);
        for gzip in [false, true] {
            let bundle = pack(&MANIFEST_7, &sources(), gzip).unwrap();
            let text = signature(&pair, &bundle);
            let (manifest, opened) = open(&bundle, &text, &[stranger, public]).unwrap();
            assert_eq!(manifest, MANIFEST_7);
            assert_eq!(opened.files, sources().files);
            let refused = |bundle: &[u8], text: &str, keys: &[PublicKey]| {
                assert_eq!(
                    open(bundle, text, keys).unwrap_err(),
                    BundleRefused::NotSigned
                );
            };
            refused(&bundle, "", &[public]);
            refused(&bundle, "not base64", &[public]);
            refused(&bundle, &signature(&other, &bundle), &[public]);
            refused(&bundle, &text, &[stranger]);
            refused(&bundle, &text, &[]);
            // Any one bit.
            for at in (0..bundle.len()).step_by(97) {
                let mut changed = bundle.clone();
                changed[at] ^= 1;
                refused(&changed, &text, &[public]);
            }
            refused(&bundle[..bundle.len() - 1], &text, &[public]);
        }
    }

    /// A correct archive, its signature too, and one entry that has no place in it.
    fn with_entry(name: &str, kind: u8, link: &str) -> Vec<u8> {
        let mut archive = Vec::new();
        append(&mut archive, MANIFEST, br#"{"schema":1,"sequence":7}"#).unwrap();
        append(&mut archive, "vocabulary.yaml", b"schema: 1\n").unwrap();
        let at = archive.len();
        append(&mut archive, name, b"").unwrap();
        archive[at + 156] = kind;
        archive[at + 157..at + 157 + link.len()].copy_from_slice(link.as_bytes());
        archive[at + 148..at + 156].fill(b' ');
        let sum: u32 = archive[at..at + BLOCK].iter().map(|b| u32::from(*b)).sum();
        archive[at + 148..at + 156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        archive.resize(archive.len() + 2 * BLOCK, 0);
        archive
    }

    #[test]
    fn an_entry_that_would_matter_on_a_disk_refuses_the_bundle() {
        assert_eq!(
            signed(&with_entry("roles.csv", b'0', ""))
                .unwrap()
                .1
                .files
                .len(),
            2
        );
        assert_eq!(
            signed(&with_entry("rules/", b'5', ""))
                .unwrap()
                .1
                .files
                .len(),
            1
        );
        for (name, kind, link, why) in [
            ("../roles.csv", b'0', "", "leads out"),
            ("rules/../../roles.csv", b'0', "", "leads out"),
            ("/etc/roles.csv", b'0', "", "leads out"),
            ("rules//roles.csv", b'0', "", "leads out"),
            ("rules\\roles.csv", b'0', "", "leads out"),
            ("C:roles.csv", b'0', "", "leads out"),
            ("", b'0', "", "leads out"),
            ("roles.csv\n", b'0', "", "leads out"),
            ("roles.csv", b'2', "/etc/passwd", "a symbolic link"),
            ("roles.csv", b'1', "vocabulary.yaml", "a hard link"),
            ("roles.csv", b'x', "", "an extended header"),
            ("roles.csv", b'L', "", "an extended header"),
            ("roles.csv", b'3', "", "no regular file"),
            ("vocabulary.yaml", b'0', "", "`vocabulary.yaml` twice"),
            ("Vocabulary.YAML", b'0', "", "twice"),
            ("manifest.json", b'0', "", "`manifest.json` twice"),
        ] {
            let refused = signed(&with_entry(name, kind, link))
                .unwrap_err()
                .to_string();
            assert!(refused.contains(why), "{name:?}: {refused}");
        }
    }

    #[test]
    fn an_archive_that_is_cut_or_has_more_behind_it_is_refused() {
        let whole = pack(&MANIFEST_7, &sources(), false).unwrap();
        for end in [
            0,
            100,
            BLOCK,
            2 * BLOCK,
            whole.len() - 2 * BLOCK,
            whole.len() - BLOCK,
        ] {
            assert!(signed(&whole[..end]).is_err(), "{end}");
        }
        let mut more = whole.clone();
        more.extend_from_slice(&whole);
        assert!(
            signed(&more)
                .unwrap_err()
                .to_string()
                .contains("does not end")
        );
        let mut gzip = pack(&MANIFEST_7, &sources(), true).unwrap();
        gzip.extend_from_slice(b"more");
        assert!(
            signed(&gzip)
                .unwrap_err()
                .to_string()
                .contains("behind its gzip")
        );
        let mut damaged = whole;
        damaged[0] ^= 1;
        assert!(
            signed(&damaged)
                .unwrap_err()
                .to_string()
                .contains("damaged")
        );
        let mut first = Vec::new();
        append(&mut first, "vocabulary.yaml", b"").unwrap();
        first.resize(first.len() + 2 * BLOCK, 0);
        assert!(
            signed(&first)
                .unwrap_err()
                .to_string()
                .contains("not manifest.json")
        );
        let unknown = br#"{"schema":1,"sequence":7,"extra":1}"#;
        let mut strange = Vec::new();
        append(&mut strange, MANIFEST, unknown).unwrap();
        strange.resize(strange.len() + 2 * BLOCK, 0);
        assert!(
            signed(&strange)
                .unwrap_err()
                .to_string()
                .contains("cannot be read")
        );
    }
}
