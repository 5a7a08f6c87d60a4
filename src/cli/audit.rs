//! `privet audit`: proofs about the audit log, made from its files alone.

use std::io::{self, Write};
use std::path::PathBuf;

use crate::observe::audit::{self, Anchor, Checks, VerifyError};

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
    },
}

/// Runs the verb and prints its report. Exit code 0: the chain holds; 1: it does not, or cannot be read.
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
    let Verb::Verify {
        directory,
        anchor,
        partial,
    } = &arguments.verb;
    let checks = Checks {
        anchor: anchor.clone(),
        partial: *partial,
    };
    match audit::verify(directory, &checks) {
        Ok(whole) => {
            writeln!(
                out,
                "ok: {} records ({} to {}) in {} segments, {} bytes",
                whole.records, whole.first, whole.last.seq, whole.segments, whole.bytes
            )?;
            writeln!(out, "chain: {}", whole.chain)?;
            writeln!(out, "anchor: {}", whole.last)?;
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
