//! `privet policy fmt`: one layout for the CSV files.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

use crate::cli::exit;
use crate::config::folder;
use crate::engine::workbench::layout;

/// Flags of `privet policy fmt`.
#[derive(Debug, Clone, clap::Args)]
pub struct FmtArgs {
    /// The policy folder
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub policies: PathBuf,
    /// Change nothing; name the files that are not in their layout, and exit with 1
    #[arg(long)]
    pub check: bool,
}

/// Runs the verb: 0 all are in their layout now, 1 `--check` found some that are not, 78 a file cannot be read as CSV.
///
/// # Errors
/// A file cannot be read or written.
pub fn execute(args: &FmtArgs, out: &mut dyn Write, notes: &mut dyn Write) -> anyhow::Result<u8> {
    let sources = folder::read(&args.policies)
        .with_context(|| format!("{} cannot be read", args.policies.display()))?;
    let mut code = exit::OK;
    for (path, bytes) in &sources.files {
        if !path.ends_with(".csv") {
            continue;
        }
        let text = std::str::from_utf8(bytes).ok();
        let Some(laid) = text.and_then(layout::csv) else {
            writeln!(notes, "{path}: cannot be read; `privet check` says why")?;
            code = exit::CONFIG;
            continue;
        };
        if laid.as_bytes() == &**bytes {
            continue;
        }
        writeln!(out, "{path}")?;
        if args.check {
            code = code.max(exit::FAILURE);
        } else {
            let file = args.policies.join(path);
            std::fs::write(&file, laid)
                .with_context(|| format!("{} cannot be written", file.display()))?;
        }
    }
    Ok(code)
}
