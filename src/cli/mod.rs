//! The verbs: one file each, thin callers of the library.

pub mod schema;
pub mod check;
pub mod keys;
pub mod audit;
pub mod health;
pub mod run;

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
    /// Serve until stopped (SIGTERM drains, SIGHUP reloads the policy).
    Run(run::Run),
    /// Ask a running privet whether it is ready; exit 0 if so. For container health checks.
    Health(health::Health),
}

/// Where the configuration stands, as every verb that needs it takes it.
#[derive(Debug, clap::Args)]
pub struct ConfigFile {
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "privet.yaml")]
    pub config: PathBuf,
}

/// Carries out one verb. Returns the exit code.
///
/// # Errors
/// A failure that no verb has an exit code for.
pub fn execute(arguments: Arguments) -> anyhow::Result<u8> {
    match arguments.verb {
        Verb::Run(run) => run::execute(&run),
        Verb::Health(health) => health::execute(&health),
    }
}
pub mod demo;
