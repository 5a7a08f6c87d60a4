//! The `privet` binary: flags → settings → run.
#![deny(unsafe_code)]

fn main() {}
