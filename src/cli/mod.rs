//! The verbs: one file each, thin callers of the library.

pub mod audit;
pub mod check;
pub mod demo;
pub mod discover;
pub mod health;
pub mod init;
pub mod keys;
pub mod policy;
pub mod redact;
pub mod run;
pub mod schema;

use std::io::Write;
use std::path::PathBuf;

use clap::{Parser, Subcommand};

/// Exit codes that scripts and service managers know.
pub mod exit {
    /// Done.
    pub const OK: u8 = 0;
    /// Failed while running.
    pub const FAILURE: u8 = 1;
    /// Wrong command line.
    pub const USAGE: u8 = 2;
    /// Something that it needs is not there (EX_UNAVAILABLE).
    pub const UNAVAILABLE: u8 = 69;
    /// Configuration or policy is invalid (EX_CONFIG).
    pub const CONFIG: u8 = 78;
}

/// A privacy-enforcing, streaming reverse proxy for the CRM you already have.
#[derive(Debug, Parser)]
#[command(name = "privet", version, disable_help_subcommand = true)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Serve until stopped (SIGTERM drains, SIGHUP reloads the policy)
    Run(run::Run),
    /// Show what privet does: a CRM of invented people, and three callers who ask it the same
    Demo(demo::Demo),
    /// Write a commented set-up for one org, which shows nothing yet
    Init(init::InitArgs),
    /// Check the policy files and say where each mistake is
    Check(check::CheckArgs),
    /// Test, explain, compare and write policies
    #[command(subcommand)]
    Policy(policy::PolicyVerb),
    /// Make, list and end keys
    #[command(subcommand)]
    Keys(keys::KeysCommand),
    /// Work on the schema files that policies are written against
    #[command(subcommand)]
    Schema(SchemaVerb),
    /// Say what the fields seem to hold, from describes and a sample of records: proposals for classes/*.csv
    Discover(discover::DiscoverArgs),
    /// Treat records from standard input as one caller would get them, for tickets and test data
    Redact(redact::RedactArgs),
    /// Prove that the audit log is whole
    Audit(audit::Audit),
    /// Ask a running privet whether it is ready; exit 0 if so. For container health checks
    Health(health::Health),
}

/// `privet schema`.
#[derive(Debug, Subcommand)]
pub enum SchemaVerb {
    /// Write policies/schema/API.json from the describe of the CRM, to be reviewed like a rule
    Pull(schema::SchemaPullArgs),
}

/// Where the configuration stands, as every verb that needs it takes it.
#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration
    #[arg(long, value_name = "FILE", default_value = "privet.yaml")]
    pub config: PathBuf,
}

/// Carries out one verb. Returns the exit code.
///
/// # Errors
/// A failure that no verb has an exit code for.
pub fn execute(arguments: Arguments) -> anyhow::Result<u8> {
    let out = &mut std::io::stdout();
    let notes = &mut std::io::stderr();
    match arguments.verb {
        Verb::Run(run) => run::execute(&run),
        Verb::Demo(demo) => demo::execute(&demo, out),
        Verb::Init(args) => init::execute(&args, out, notes),
        Verb::Check(check) => Ok(check::run(&check, out)?),
        Verb::Policy(verb) => policy::execute(&verb, out, notes),
        Verb::Keys(command) => Ok(keys::run(&command, out, notes)?),
        Verb::Schema(SchemaVerb::Pull(pull)) => schema::execute(&pull, out, notes),
        Verb::Discover(args) => discover::execute(&args, out, notes),
        Verb::Redact(args) => redact::execute(&args, out, notes),
        Verb::Audit(arguments) => Ok(audit::execute(&arguments)?),
        Verb::Health(health) => health::execute(&health),
    }
}

/// Prints what is wrong, one diagnostic after the other.
fn complain(
    notes: &mut dyn Write,
    diagnostics: &[crate::diagnostic::Diagnostic],
) -> std::io::Result<()> {
    for diagnostic in diagnostics {
        writeln!(notes, "{diagnostic}\n")?;
    }
    Ok(())
}
