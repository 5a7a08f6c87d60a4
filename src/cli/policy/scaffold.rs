//! `privet policy new`: a rule, a class or a role to begin with.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Subcommand;

use crate::cli::exit;
use crate::engine::workbench::layout;

/// `privet policy new`.
#[derive(Debug, Clone, Subcommand)]
pub enum New {
    /// Append a rule to a file of rules/
    Rule {
        /// Its id, in kebab-case
        #[arg(value_name = "ID")]
        id: String,
        /// The file, such as rules/support.csv
        #[arg(long, value_name = "FILE")]
        file: PathBuf,
        /// Who: role:NAME, user:NAME, client:NAME or *
        #[arg(long)]
        who: String,
        /// What: Object.Field, Object.*, class:NAME or *
        #[arg(long)]
        what: String,
        /// The action, or several joined by a bar
        #[arg(long, default_value = "read")]
        action: String,
        /// The treatment; the default shows nothing
        #[arg(long, default_value = "redact")]
        treatment: String,
        /// The purpose
        #[arg(long, default_value = "*")]
        purpose: String,
        /// Where the policies stand
        #[command(flatten)]
        folder: Folder,
    },
    /// Print the lines that declare a class and give it a field
    Class {
        /// Its name, such as pii.passport
        #[arg(value_name = "NAME")]
        name: String,
        /// A first field
        #[arg(long, value_name = "OBJECT.FIELD", default_value = "Object.Field")]
        field: String,
    },
    /// Append a role to roles.csv
    Role {
        /// Who holds it: role:NAME, user:NAME or client:NAME
        #[arg(value_name = "WHO")]
        who: String,
        /// The role, without prefix
        #[arg(value_name = "ROLE")]
        role: String,
        /// Where the policies stand
        #[command(flatten)]
        folder: Folder,
    },
}

/// Where the policies stand.
#[derive(Debug, Clone, clap::Args)]
pub struct Folder {
    /// The policy folder
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub policies: PathBuf,
}

/// Runs the verb: 0 written, 78 the set would not be valid with it (nothing is written then).
///
/// # Errors
/// A file cannot be read or written.
pub fn execute(new: &New, out: &mut dyn Write, notes: &mut dyn Write) -> anyhow::Result<u8> {
    match new {
        New::Rule {
            id,
            file,
            who,
            what,
            action,
            treatment,
            purpose,
            folder,
        } => {
            let reads = matches!(action.as_str(), "read" | "export" | "read|export");
            let treatment = if reads { treatment } else { "-" };
            let row =
                format!("p, allow, {who}, {action}, {what}, {treatment}, {purpose}, *, -, -, {id}");
            let header =
                "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n";
            append(&folder.policies, file, header, &row, out, notes)
        }
        New::Role { who, role, folder } => {
            let row = format!("g, {who}, role:{role}");
            let file = Path::new("roles.csv");
            append(&folder.policies, file, "# g, who, role\n", &row, out, notes)
        }
        New::Class { name, field } => {
            writeln!(
                out,
                "In vocabulary.yaml, under `classes:`:\n\n  {name}: {{ personal: true }}\n\nIn classes/<api>.csv:\n\ng2, {field}, class:{name}"
            )?;
            Ok(exit::OK)
        }
    }
}

/// Adds a row if the set is valid with it.
fn append(
    policies: &Path,
    file: &Path,
    header: &str,
    row: &str,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<u8> {
    let mut sources = crate::config::folder::read(policies)
        .with_context(|| format!("{} cannot be read", policies.display()))?;
    let name = file.to_string_lossy().into_owned();
    let mut text = sources
        .files
        .iter()
        .find(|(path, _)| *path == name)
        .map_or_else(
            || header.to_owned(),
            |(_, bytes)| String::from_utf8_lossy(bytes).into_owned(),
        );
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text.push_str(row);
    text.push('\n');
    let text = layout::csv(&text).unwrap_or(text);
    sources.files.retain(|(path, _)| *path != name);
    sources
        .files
        .push((name.clone(), text.clone().into_bytes()));
    if let Err(found) = crate::engine::policy::load(&sources) {
        crate::cli::complain(notes, &found)?;
        writeln!(notes, "nothing was written: the set would be invalid")?;
        return Ok(exit::CONFIG);
    }
    let target = policies.join(file);
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(&target, text)
        .with_context(|| format!("{} cannot be written", target.display()))?;
    writeln!(out, "{}: {row}", target.display())?;
    Ok(exit::OK)
}
