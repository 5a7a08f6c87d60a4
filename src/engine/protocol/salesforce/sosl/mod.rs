//! SOSL: text → syntax tree → text.
//!
//! [`parse`] reads `FIND {…} IN … RETURNING … WITH … LIMIT …`, with the conditions and orders of SOQL inside RETURNING;
//! printing the tree ([`std::fmt::Display`]) gives SOSL again with every reserved character escaped.
//! `parse(print(tree)) == tree` holds for every tree that the parser can make.

pub mod ast;
mod parser;
mod print;
mod term;

pub use ast::Search;
pub(super) use parser::{condition, items, orders};
pub(super) use term::parse as parse_term;

pub(super) use super::soql::SyntaxError;

/// Longest search term, in characters (Salesforce's own bound for terms with operators is 4,000).
pub const TERM_CHARS_MAX: usize = 4_000;

/// Parses one SOSL search.
///
/// # Errors
/// [`SyntaxError`] for anything that is not SOSL or is over a bound.
pub fn parse(text: &str) -> Result<Search, SyntaxError> {
    parser::parse(text)
}

#[cfg(test)]
mod tests;
