//! `privet policy`: the security team's workbench.

pub mod bundle;
pub mod diff;
pub mod explain;
pub mod fmt;
pub mod matrix;
pub mod replay;
pub mod scaffold;
pub mod schema;
pub mod test;

use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::Subcommand;

use crate::cli::{complain, exit};
use crate::config::folder;
use crate::engine::policy::{Loaded, load};

/// `privet policy`.
#[derive(Debug, Subcommand)]
pub enum PolicyVerb {
    /// Run the tests and invariants of policies/tests
    Test(test::TestArgs),
    /// Say why somebody gets what it gets: the rule, those that lost, and what would change it
    Explain(explain::ExplainArgs),
    /// Say what a change of the policy files means: looser first, then stricter
    Diff(diff::DiffArgs),
    /// Say how many requests of the audit log another set would have changed, and whose
    Replay(replay::ReplayArgs),
    /// Print every field, and who could see it how
    Matrix(matrix::MatrixArgs),
    /// Align the columns of the CSV files; comments stay
    Fmt(fmt::FmtArgs),
    /// Print the JSON Schemas of the YAML files, or write them for editors
    Schema(schema::SchemaArgs),
    /// Write the policy folder as one signed file, which `policies: { bundle: FILE }` takes
    Bundle(bundle::BundleArgs),
    /// Begin a rule, a class or a role
    #[command(subcommand)]
    New(scaffold::New),
}

/// Carries out the verb; gives the exit code.
///
/// # Errors
/// Output cannot be written, or a file that is not part of the policy set cannot be read or written.
pub fn execute(
    verb: &PolicyVerb,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<u8> {
    match verb {
        PolicyVerb::Test(args) => test::execute(args, out, notes),
        PolicyVerb::Explain(args) => explain::execute(args, out, notes),
        PolicyVerb::Diff(args) => diff::execute(args, out, notes),
        PolicyVerb::Replay(args) => replay::execute(args, out, notes),
        PolicyVerb::Matrix(args) => matrix::execute(args, out, notes),
        PolicyVerb::Fmt(args) => fmt::execute(args, out, notes),
        PolicyVerb::Schema(args) => schema::execute(args, out),
        PolicyVerb::Bundle(args) => bundle::execute(args, out, notes),
        PolicyVerb::New(new) => scaffold::execute(new, out, notes),
    }
}

/// The set in `directory`, or the exit code after its mistakes have been told.
fn loaded(directory: &Path, notes: &mut dyn Write) -> std::io::Result<Result<Loaded, u8>> {
    let sources = match folder::read(directory) {
        Ok(sources) => sources,
        Err(e) => {
            writeln!(notes, "error: the policy folder cannot be read: {e}")?;
            return Ok(Err(exit::CONFIG));
        }
    };
    match load(&sources) {
        Ok(loaded) => Ok(Ok(loaded)),
        Err(found) => {
            complain(notes, &found)?;
            writeln!(notes, "{}: invalid", directory.display())?;
            Ok(Err(exit::CONFIG))
        }
    }
}

/// Does the `parts` of a work on all processors, each part once; what they give, in the parts' order.
pub fn on_all_processors<T: Send>(parts: usize, each: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut done: Vec<(usize, T)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.min(parts))
            .map(|_| {
                scope.spawn(|| {
                    let mut done = Vec::new();
                    loop {
                        let part = next.fetch_add(1, Ordering::Relaxed);
                        if part >= parts {
                            return done;
                        }
                        done.push((part, each(part)));
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| match worker.join() {
                Ok(done) => done,
                Err(panic) => std::panic::resume_unwind(panic),
            })
            .collect()
    });
    done.sort_by_key(|(part, _)| *part);
    done.into_iter().map(|(_, gives)| gives).collect()
}
