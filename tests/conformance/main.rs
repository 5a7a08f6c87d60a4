//! Conformance: published suites and attack data, read from `$PRIVET_DATA` (default `../shared/data`).
//! Where the folder is absent a test prints that it skips; with `PRIVET_CI=1` that is a failure.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails"
)]

mod compression;
mod crypto;
mod data;
#[path = "../fixture/mod.rs"]
mod fixture;
mod http;
mod json;
mod jwt;
mod markup;
mod queries;
