//! The whole product in one process, over real sockets: the demo's three services, privet with the shipped
//! policies before them, callers with API keys.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a panic is how a test fails"
)]

mod bundle;
mod callers;
mod canary;
mod checked;
mod coverage;
mod deploy;
mod discover;
mod house;
mod ledger;
mod live;
mod mapped;
mod pages;
mod receipts;
mod second_net;
mod streaming;
mod watching;
mod workbench;
