//! The pure half: bytes and values in, bytes and values out.
//!
//! Nothing here does I/O, reads a clock or the environment, logs, or awaits. The stages stand in the
//! order of a request: [`identity`] → [`protocol`] → [`policy`] → [`plan`] → [`rewrite`]; none imports
//! the stage after it. [`catalog`], [`key`], [`path`], [`token`], [`treatment`], [`refusal`], [`event`]
//! and [`secret`] are the plain data and tools that several stages share. [`workbench`] asks all of them on behalf of
//! people who write policies.

pub mod catalog;
pub mod coding;
pub mod detect;
pub mod discover;
pub mod event;
pub mod identity;
pub mod key;
pub mod path;
pub mod plan;
pub mod policy;
pub mod protocol;
pub mod refusal;
pub mod rewrite;
pub mod secret;
pub mod token;
pub mod treatment;
pub mod workbench;
