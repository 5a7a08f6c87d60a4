//! The verbs: one file each, thin callers of the library.

pub mod demo;
