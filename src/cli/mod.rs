//! The verbs: one file each, thin callers of the library.

pub mod schema;
pub mod check;
pub mod keys;
pub mod audit;
