//! privet: a privacy-enforcing, streaming reverse proxy for the CRM a company already has.
//!
//! The map, in the order in which a request meets the rooms:
//!
//! * [`config`]: what the operator wrote becomes checked, immutable settings.
//! * [`proxy`]: the carrier. Sockets, TLS, HTTP. Decides nothing; `proxy::exchange` is one request on one page.
//! * [`engine`]: the pure half. Identity, protocol, policy, plan, rewrite: bytes and values in and out.
//! * [`observe`]: the audit log and the metrics.
//! * [`admin`]: health, readiness and metrics on a listener of their own.
//! * [`demo`]: the built-in fake CRM and its traffic.
//! * [`cli`]: one file per verb, each a thin caller of the rest.
//! * [`diagnostic`]: how a mistake in a file is shown to the person who made it.
//! * [`yaml`]: strict YAML as a tree that keeps places.
//!
//! `ARCHITECTURE.md` tells which room may use which.

pub mod admin;
pub mod cli;
pub mod config;
pub mod demo;
pub mod diagnostic;
pub mod engine;
#[doc(hidden)]
pub mod fuzzing;
pub mod observe;
pub mod proxy;
pub mod yaml;
