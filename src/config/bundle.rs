//! Where the live policy set is read from: a folder, or a signed bundle that is never older than the one before.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use serde::{Deserialize, Serialize};

use super::{Settings, folder};
use crate::diagnostic::Diagnostic;
use crate::engine::policy::Sources;
use crate::engine::policy::bundle::{self, BUNDLE_BYTES_MAX, BundleRefused, PublicKey};

/// `policies: { bundle: … }`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleSettings {
    /// The archive.
    pub file: PathBuf,
    /// Its detached signature.
    pub signature: PathBuf,
    /// Ed25519 public keys, of which one must have signed it.
    pub keys: Vec<PublicKey>,
}

/// The last bundle that served, kept in the state folder. Without it an older bundle could come back with a restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taken {
    sequence: u64,
    sha256: String,
}

const TAKEN: &str = "policy-bundle.json";

/// Reads the policy files that `settings` names. With a bundle, also what [`remember`] is to keep once the set serves.
///
/// # Errors
/// The folder or bundle cannot be read; the bundle is unsigned, changed, malformed or older than the last one taken.
pub fn read(settings: &Settings) -> Result<(Sources, Option<Taken>), Vec<Diagnostic>> {
    let Some(from) = &settings.bundle else {
        let sources = folder::read(&settings.policies)
            .map_err(|e| vec![Diagnostic::error("unreadable", None, e.to_string())])?;
        return Ok((sources, None));
    };
    let file = from.file.display();
    let refused = |code, why: String| vec![Diagnostic::error(code, None, format!("{file}: {why}"))];
    let bytes = bounded(&from.file).map_err(|e| refused("unreadable", e.to_string()))?;
    let signature = bounded(&from.signature).map_err(|e| {
        let why = format!(
            "its signature {} cannot be read: {e}",
            from.signature.display()
        );
        refused("bundle-not-signed", why)
    })?;
    let signature = String::from_utf8_lossy(&signature);
    let (manifest, sources) =
        bundle::open(&bytes, &signature, &from.keys).map_err(|e| match e {
            BundleRefused::NotSigned => refused("bundle-not-signed", e.to_string()),
            BundleRefused::Malformed(why) => refused("bundle-malformed", why),
        })?;
    if let Some((name, _)) = sources
        .files
        .iter()
        .find(|(name, _)| !folder::is_part(name))
    {
        return Err(refused(
            "bundle-malformed",
            format!("`{name}` is no file of a policy set"),
        ));
    }
    let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
    let now = Taken {
        sequence: manifest.sequence,
        sha256: HEXLOWER.encode(digest.as_ref()),
    };
    let known = settings.state.join(TAKEN);
    let last = match fs::read(&known) {
        Ok(text) => serde_json::from_slice::<Taken>(&text)
            .map(Some)
            .map_err(|e| {
                refused(
                    "bundle-older",
                    format!("{} cannot be read: {e}", known.display()),
                )
            })?,
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        Err(e) => {
            let why = format!("{} cannot be read: {e}", known.display());
            return Err(refused("bundle-older", why));
        }
    };
    match last {
        Some(last) if now.sequence < last.sequence => Err(refused(
            "bundle-older",
            format!(
                "it is older (sequence {}) than the last one taken ({})",
                now.sequence, last.sequence
            ),
        )),
        Some(last) if now.sequence == last.sequence && now.sha256 != last.sha256 => Err(refused(
            "bundle-older",
            format!(
                "another bundle of the sequence {} was taken before",
                now.sequence
            ),
        )),
        _ => Ok((sources, Some(now))),
    }
}

/// Keeps what was taken; a set whose bundle cannot be remembered must not serve.
///
/// # Errors
/// The state folder cannot be written.
pub fn remember(settings: &Settings, taken: &Taken) -> Result<(), Vec<Diagnostic>> {
    let file = settings.state.join(TAKEN);
    let write = || -> io::Result<()> {
        let text = serde_json::to_vec(taken)?;
        if fs::read(&file).is_ok_and(|known| known == text) {
            return Ok(());
        }
        fs::create_dir_all(&settings.state)?;
        let new = file.with_extension("json.new");
        let mut options = fs::OpenOptions::new();
        let mut handle = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&new)?;
        handle.write_all(&text)?;
        handle.sync_all()?;
        fs::rename(new, &file)
    };
    write().map_err(|e| {
        let why = format!("{} cannot be written: {e}", file.display());
        vec![
            Diagnostic::error("unwritable", None, why)
                .help("without it an older bundle could come back"),
        ]
    })
}

/// A file of at most the size of a bundle.
fn bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?
        .take(BUNDLE_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() > BUNDLE_BYTES_MAX {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "larger than 64 MiB",
        ));
    }
    Ok(bytes)
}
