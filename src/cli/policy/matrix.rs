//! `privet policy matrix`: every field, and who could see it how.

use std::io::Write;
use std::path::PathBuf;

use crate::cli::exit;
use crate::engine::workbench::matrix::matrix;

/// Flags of `privet policy matrix`.
#[derive(Debug, Clone, clap::Args)]
pub struct MatrixArgs {
    /// The policy folder
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub policies: PathBuf,
    /// One role with all actions; without it, what every role reads
    #[arg(long, value_name = "ROLE")]
    pub role: Option<String>,
    /// Under this purpose only
    #[arg(long, value_name = "PURPOSE")]
    pub purpose: Option<String>,
    /// How the table is printed
    #[arg(long, value_enum, default_value_t)]
    pub format: Format,
}

/// How the table is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum Format {
    /// Aligned columns.
    #[default]
    Text,
    /// RFC 4180.
    Csv,
    /// A page for the auditor.
    Html,
    /// A table.
    Markdown,
}

/// Runs the verb: 0 printed, 2 an unknown role or purpose, 78 the set is invalid.
///
/// # Errors
/// Output cannot be written.
pub fn execute(
    args: &MatrixArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<u8> {
    let set = match super::loaded(&args.policies, notes)? {
        Ok(set) => set,
        Err(code) => return Ok(code),
    };
    let roles: Vec<&str> = set.policies.roles().collect();
    let purposes = &set.catalog.vocabulary.purposes;
    let unknown = match (&args.role, &args.purpose) {
        (Some(role), _) if !roles.contains(&role.as_str()) => Some(format!(
            "unknown role `{role}`; known: {}",
            roles.join(", ")
        )),
        (_, Some(purpose)) if purpose != "none" && !purposes.iter().any(|p| **p == **purpose) => {
            Some(format!(
                "unknown purpose `{purpose}`; known: {}, none",
                purposes.join(", ")
            ))
        }
        _ => None,
    };
    if let Some(unknown) = unknown {
        writeln!(notes, "error: {unknown}")?;
        return Ok(exit::USAGE);
    }
    let matrix = matrix(&set, args.role.as_deref(), args.purpose.as_deref());
    let title = format!(
        "{}: policy {}",
        args.role.as_deref().unwrap_or("what each role reads"),
        set.policies.version()
    );
    let text = match args.format {
        Format::Text => matrix.text(),
        Format::Csv => matrix.csv(),
        Format::Html => matrix.html(&title),
        Format::Markdown => matrix.markdown(),
    };
    write!(out, "{text}")?;
    Ok(exit::OK)
}
