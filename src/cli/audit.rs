//! `privet audit`: proofs about the audit log, made from its files alone.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::{ConfigFile, complain, exit};
use crate::config::{Machine, trust};
use crate::observe::audit::{self, Anchor, Certainty, Checks, PublicKey, VerifyError};
use crate::observe::shipping::{self, Format};

/// `privet audit …`.
#[derive(Debug, clap::Args)]
pub struct Audit {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Check that no record was changed, removed, inserted or reordered
    ///
    /// Needs no running privet and takes no lock: works on a copy of the folder. Exits 1 and names the first
    /// record that does not hold. The printed anchor, kept elsewhere, later proves with --anchor that the log was
    /// neither cut nor written anew.
    Verify {
        /// The audit folder, or a copy of it
        directory: PathBuf,
        /// A record that must stand there, as printed by an earlier run
        #[arg(long, value_name = "SEQ:HASH")]
        anchor: Option<Anchor>,
        /// Earlier segments may be absent
        #[arg(long)]
        partial: bool,
        /// Public key that signs the checkpoints, as `privet keys list` shows it; may be given several times
        #[arg(long = "key", value_name = "BASE64")]
        keys: Vec<PublicKey>,
        /// Copies of checkpoints that were kept elsewhere
        #[arg(long, value_name = "FILE")]
        witness: Option<PathBuf>,
    },
    /// Write the records to standard output, one JSON object a line
    ///
    /// Reads the files alone; does not verify the chain.
    Export {
        /// The audit folder, or a copy of it
        directory: PathBuf,
        /// jsonl (as they are), ocsf or ecs
        #[arg(long, default_value = "jsonl")]
        format: Format,
        /// The first record
        #[arg(long, value_name = "SEQ", default_value_t = 1)]
        from: u64,
    },
    /// Say who saw the record of a person: when, why, which fields, in which treatment
    ///
    /// Needs `audit: { ledger: true }` at the time of the answers. The log holds no ids, only keyed pseudonyms: the
    /// key ring is needed to ask. Answers of which nobody knows (a crash, the ledger was off) and aggregates are
    /// named as such.
    WhoSaw {
        /// The record's id; both forms of a Salesforce id are the same
        id: String,
        /// The configuration that names audit folder and key ring
        #[command(flatten)]
        file: ConfigFile,
        /// The audit folder or a copy of it, instead of the configuration's
        #[arg(long)]
        directory: Option<PathBuf>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
}

/// Runs the verb and prints its report. Exit code 0: the chain holds; 1: it does not, or cannot be read; 69: there is no such folder.
///
/// # Errors
/// Standard output cannot be written.
pub fn execute(arguments: &Audit) -> io::Result<u8> {
    report(arguments, &mut io::stdout().lock())
}

/// As [`execute`], the report going to `out`.
///
/// # Errors
/// `out` cannot be written.
pub fn report(arguments: &Audit, out: &mut dyn Write) -> io::Result<u8> {
    match &arguments.verb {
        Verb::Verify { .. } => verify(&arguments.verb, out),
        Verb::Export {
            directory,
            format,
            from,
        } => export(directory, *format, *from, out),
        Verb::WhoSaw {
            id,
            file,
            directory,
            json,
        } => who_saw(id, file, directory.as_deref(), *json, out),
    }
}

fn export(directory: &Path, format: Format, from: u64, out: &mut dyn Write) -> io::Result<u8> {
    if !directory.is_dir() {
        writeln!(io::stderr(), "there is no folder {}", directory.display())?;
        return Ok(exit::UNAVAILABLE);
    }
    let mut out = io::BufWriter::new(out);
    let read = audit::records(directory, from, &mut |line| {
        if format == Format::Jsonl {
            return out.write_all(line).and_then(|()| out.write_all(b"\n"));
        }
        let record = serde_json::from_slice(line)?;
        writeln!(out, "{}", shipping::render(format, &record))
    });
    out.flush()?;
    match read {
        Ok(()) => Ok(exit::OK),
        Err(error) => {
            writeln!(io::stderr(), "cannot export: {error}")?;
            Ok(exit::FAILURE)
        }
    }
}

fn who_saw(
    id: &str,
    file: &ConfigFile,
    directory: Option<&Path>,
    json: bool,
    out: &mut dyn Write,
) -> io::Result<u8> {
    let loaded = crate::config::load(&file.config, &Machine).and_then(|settings| {
        let ring = trust::key_ring(&settings, &Machine)?;
        Ok((settings, ring))
    });
    let (settings, ring) = match loaded {
        Ok(loaded) => loaded,
        Err(diagnostics) => {
            complain(out, &diagnostics)?;
            return Ok(exit::CONFIG);
        }
    };
    let directory = directory.unwrap_or(&settings.audit_directory);
    if !directory.is_dir() {
        writeln!(out, "FAILED: there is no folder {}", directory.display())?;
        return Ok(exit::UNAVAILABLE);
    }
    let keys: Vec<_> = ring.ledger_keys().collect();
    let found = match audit::who_saw(directory, &keys, id) {
        Ok(found) => found,
        Err(error) => {
            writeln!(out, "FAILED: {error}")?;
            return Ok(exit::FAILURE);
        }
    };
    for access in &found.accesses {
        if json {
            writeln!(out, "{}", serde_json::to_string(access)?)?;
            continue;
        }
        let how = match access.certainty {
            Certainty::Shown => "shown",
            Certainty::Aggregate => "aggregate (records cannot be told)",
            Certainty::Possible => "possible (no complete list)",
        };
        let who = access.who["client"].as_str();
        let who = who.or(access.who["subject"].as_str()).unwrap_or("unknown");
        let purpose = &access.purpose;
        let (time, request) = (&access.time, &access.request_id);
        writeln!(
            out,
            "{time}  {who}  for {purpose}  {how}  request {request}"
        )?;
        for (treatment, names) in &access.fields {
            writeln!(out, "    {treatment}: {}", names.join(", "))?;
        }
    }
    if !json {
        let shown = found.accesses.iter();
        let shown = shown.filter(|a| a.certainty == Certainty::Shown).count();
        let others = found.accesses.len() - shown;
        writeln!(
            out,
            "{shown} answers showed this record; {others} more may have"
        )?;
    }
    Ok(exit::OK)
}

fn verify(verb: &Verb, out: &mut dyn Write) -> io::Result<u8> {
    let Verb::Verify {
        directory,
        anchor,
        partial,
        keys,
        witness,
    } = verb
    else {
        return Ok(exit::USAGE);
    };
    if !directory.is_dir() {
        writeln!(out, "FAILED: there is no folder {}", directory.display())?;
        return Ok(exit::UNAVAILABLE);
    }
    let witnessed = match witness.as_ref().map(std::fs::read).transpose() {
        Ok(witnessed) => witnessed,
        Err(error) => {
            writeln!(out, "FAILED: cannot read the witness: {error}")?;
            return Ok(exit::UNAVAILABLE);
        }
    };
    let checks = Checks {
        anchor: anchor.clone(),
        partial: *partial,
        keys: keys.clone(),
        witnessed,
    };
    let begun = std::time::Instant::now();
    match audit::verify(directory, &checks) {
        Ok(whole) => {
            writeln!(
                out,
                "ok: {} records ({} to {}) in {} segments, {} bytes",
                whole.records, whole.first, whole.last.seq, whole.segments, whole.bytes
            )?;
            writeln!(out, "chain: {}", whole.chain)?;
            writeln!(out, "anchor: {}", whole.last)?;
            if let Some(mib_per_s) = speed(whole.bytes, begun.elapsed()) {
                writeln!(out, "speed: {mib_per_s:.0} MiB/s")?;
            }
            match whole.signed {
                0 => writeln!(out, "note: there is no signed checkpoint")?,
                signed => writeln!(
                    out,
                    "signed: {} checkpoints, the last one over record {signed}",
                    whole.checkpoints
                )?,
            }
            for key in &whole.keys {
                let whose = if keys.is_empty() {
                    "; compare it with `privet keys list`, or give it as --key"
                } else {
                    ""
                };
                writeln!(out, "signed by: {key}{whose}")?;
            }
            if whole.first > 1 {
                writeln!(out, "note: records 1 to {} are not here", whole.first - 1)?;
            }
            if whole.cuts > 0 {
                writeln!(
                    out,
                    "note: {} starts cut a torn tail; see their `recovered` events",
                    whole.cuts
                )?;
            }
            if whole.open > 0 {
                writeln!(
                    out,
                    "note: {} attempts have no outcome yet; the next start closes those of a crash",
                    whole.open
                )?;
            }
            Ok(0)
        }
        Err(VerifyError::Damaged(damage)) => {
            writeln!(out, "FAILED at record {}: {damage}", damage.seq)?;
            Ok(1)
        }
        Err(error) => {
            writeln!(out, "FAILED: {error}")?;
            Ok(1)
        }
    }
}

/// MiB a second, for runs that are long enough to tell.
fn speed(bytes: u64, took: std::time::Duration) -> Option<f64> {
    let seconds = took.as_secs_f64();
    (seconds > 0.01).then(|| bytes as f64 / seconds / f64::from(1 << 20))
}
