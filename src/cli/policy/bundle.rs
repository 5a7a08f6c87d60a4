//! `privet policy bundle`: a policy folder as one signed file.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use data_encoding::BASE64;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject as _;

use crate::cli::{complain, exit};
use crate::config::{Machine, Surroundings as _, folder};
use crate::engine::policy::bundle::{Manifest, pack, signature};
use crate::engine::policy::load;

/// Flags of `privet policy bundle`.
#[derive(Debug, Clone, clap::Args)]
pub struct BundleArgs {
    /// The policy folder
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub policies: PathBuf,
    /// The Ed25519 key to sign with (PKCS#8, PEM)
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
    /// Make the key first; it must not be there
    #[arg(long)]
    pub new_key: bool,
    /// Where the bundle is written (gzip if it ends with gz); its signature goes beside it, with .sig
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Greater than that of the bundle before [default: the time, Unix seconds]
    #[arg(long, value_name = "N")]
    pub sequence: Option<u64>,
}

/// Runs the verb: 0 written, 78 the policies or the key are invalid (nothing is written then).
///
/// # Errors
/// A file cannot be read or written.
pub fn execute(
    args: &BundleArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<u8> {
    let sources = folder::read(&args.policies)
        .with_context(|| format!("{} cannot be read", args.policies.display()))?;
    if let Err(found) = load(&sources) {
        complain(notes, &found)?;
        writeln!(notes, "nothing was written: the set is invalid")?;
        return Ok(exit::CONFIG);
    }
    if args.new_key {
        make(&args.key).with_context(|| format!("{} cannot be written", args.key.display()))?;
    }
    let pem = zeroize::Zeroizing::new(
        fs::read(&args.key).with_context(|| format!("{} cannot be read", args.key.display()))?,
    );
    let key = PrivatePkcs8KeyDer::from_pem_slice(&pem)
        .ok()
        .and_then(|der| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok());
    let Some(key) = key else {
        writeln!(
            notes,
            "error: {} is no Ed25519 key (PKCS#8, PEM)",
            args.key.display()
        )?;
        return Ok(exit::CONFIG);
    };
    let now = u64::try_from(Machine.now_s()).unwrap_or(0);
    let manifest = Manifest {
        schema: 1,
        sequence: args.sequence.unwrap_or(now),
    };
    let gzip = args
        .out
        .extension()
        .is_some_and(|e| e == "gz" || e == "tgz");
    let bundle = pack(&manifest, &sources, gzip)?;
    let beside = args.out.with_added_extension("sig");
    // The signature last: a bundle beside an older signature is refused, and the next look takes both.
    replace(&args.out, &bundle)?;
    replace(&beside, signature(&key, &bundle).as_bytes())?;
    let public = BASE64.encode(key.public_key().as_ref());
    writeln!(
        out,
        "{}: sequence {}, {} files\n{}\npublic key {public}",
        args.out.display(),
        manifest.sequence,
        sources.files.len(),
        beside.display()
    )?;
    Ok(exit::OK)
}

fn replace(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let new = file.with_added_extension("new");
    let write = || -> std::io::Result<()> {
        let mut handle = fs::File::create(&new)?;
        handle.write_all(bytes)?;
        handle.sync_all()?;
        fs::rename(&new, file)
    };
    write().with_context(|| format!("{} cannot be written", file.display()))
}

/// A new key that only its owner may read.
fn make(file: &Path) -> anyhow::Result<()> {
    let random = ring::rand::SystemRandom::new();
    let der =
        Ed25519KeyPair::generate_pkcs8(&random).map_err(|_| anyhow::anyhow!("no randomness"))?;
    let text = BASE64.encode(der.as_ref());
    let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
    for line in text.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END PRIVATE KEY-----\n");
    let mut options = fs::OpenOptions::new();
    let mut handle = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?;
    Ok(handle.write_all(pem.as_bytes())?)
}
