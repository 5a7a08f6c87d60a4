//! The policy files, and what they decide.
//!
//! `load` reads the texts of a policy folder into a [`catalog`](crate::engine::catalog::Catalog) and
//! [`Policies`], reporting every mistake with file, line and column; `casbin` is the only file that names
//! Casbin; `table` caches its answers per principal set; `decision` answers for one operation.

pub mod decision;

pub use decision::{Decision, FieldRuling, Ruling, Table, Verdict};
