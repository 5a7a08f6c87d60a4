//! Conformance: published suites and attack data, read from `$PRIVET_DATA` (default `../shared/data`).
//! Where the folder is absent a test prints that it skips; with `PRIVET_CI=1` that is a failure.

mod crypto;
mod data;
mod http;
mod json;
mod jwt;
mod markup;
mod queries;
