//! `privet policy schema`: JSON Schemas for editors.

use std::io::Write;
use std::path::PathBuf;

use anyhow::Context;

use crate::cli::exit;
use crate::engine::workbench::schemas::SCHEMAS;

/// Flags of `privet policy schema`.
#[derive(Debug, Clone, clap::Args)]
pub struct SchemaArgs {
    /// The policy folder
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub policies: PathBuf,
    /// Write them into .schema/ of the policy folder instead of printing them
    #[arg(long)]
    pub write: bool,
}

/// Runs the verb.
///
/// # Errors
/// A file cannot be written.
pub fn execute(args: &SchemaArgs, out: &mut dyn Write) -> anyhow::Result<u8> {
    let folder = args.policies.join(".schema");
    if args.write {
        std::fs::create_dir_all(&folder)
            .with_context(|| format!("{} cannot be made", folder.display()))?;
    }
    for (name, text) in SCHEMAS {
        if args.write {
            let file = folder.join(name);
            std::fs::write(&file, text)
                .with_context(|| format!("{} cannot be written", file.display()))?;
            writeln!(out, "{}", file.display())?;
        } else {
            write!(out, "{text}")?;
        }
    }
    Ok(exit::OK)
}
