//! SOQL: text → syntax tree → text.
//!
//! [`parse`] is a recursive descent parser with bounds; printing the tree ([`std::fmt::Display`]) gives SOQL again with
//! every literal escaped. `parse(print(tree)) == tree` holds for every tree that the parser can make.

pub mod ast;
mod lexer;
mod parser;
mod print;

use std::borrow::Cow;

pub use ast::Query;
pub(super) use lexer::{is_date_time, is_word_literal};
pub(super) use parser::{Parsed, Parser};
pub(super) use print::list;

/// Longest query, in bytes.
pub const QUERY_BYTES_MAX: usize = 100_000;
/// Longest name, in bytes.
pub const IDENTIFIER_BYTES_MAX: usize = 128;
/// Most names in one path.
pub const PATH_SEGMENTS_MAX: usize = 12;
/// Deepest nesting of conditions, functions and child queries together.
pub const DEPTH_MAX: usize = 32;
/// Most items, list values and comparisons together.
pub const NODES_MAX: usize = 20_000;

/// Why a text is not a query that privet understands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}, at character {at}")]
pub struct SyntaxError {
    /// Byte offset in the query.
    pub at: usize,
    /// What is wrong. Names keywords and functions, never a literal.
    pub message: Cow<'static, str>,
}

impl SyntaxError {
    pub(super) fn new(at: usize, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

/// Parses one SOQL query.
///
/// # Errors
/// [`SyntaxError`] for anything that is not SOQL, is over a bound, or is a clause that privet refuses by name.
pub fn parse(text: &str) -> Result<Query, SyntaxError> {
    parser::parse(text)
}

#[cfg(test)]
mod tests;
