//! The `privet` binary: flags → verb → exit code.
#![deny(unsafe_code)]

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use privet::cli::{self, Arguments, exit};

fn main() -> ExitCode {
    match cli::execute(Arguments::parse()) {
        Ok(code) => code.into(),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            exit::FAILURE.into()
        }
    }
}
