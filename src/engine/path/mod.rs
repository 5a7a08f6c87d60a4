//! JSONPath text (RFC 9535, through jsonpath-rust's parser) → the streamable form that maps and plans use.

mod parse;

use std::sync::Arc;

/// One parsed, streamable path.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// The text as written, for diagnostics (jsonpath-rust's own Display is wrong).
    pub text: Arc<str>,
    /// Its steps from the root.
    pub steps: Vec<Step>,
}

/// One segment of a path: what a child or any descendant must match.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// `..`: any depth.
    pub descendant: bool,
    /// Any one of these.
    pub selectors: Vec<Selector>,
}

/// One streamable selector.
#[derive(Debug, Clone, PartialEq)]
pub enum Selector {
    /// Member by name.
    Name(Arc<str>),
    /// Any member or element.
    Wildcard,
    /// Element by index from 0.
    Index(u64),
    /// Elements `start..end` (`None` = to the end) by `step` ≥ 1.
    Slice {
        /// First index.
        start: u64,
        /// One past the last, or none.
        end: Option<u64>,
        /// At least 1.
        step: u64,
    },
    /// Elements for which the filter holds; each element is held up to the bound.
    Filter(Filter),
}

/// An RFC 9535 filter expression on `@`, evaluated by jsonpath-rust on one held element.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The text as written, without `?`.
    pub text: Arc<str>,
}

/// Why a path may not stand in a policy file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}; {help}")]
pub struct PathError {
    /// Column of the offending selector in the path's text, from 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
}
