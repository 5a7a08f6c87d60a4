//! Request bodies that go upstream while they arrive.

use std::sync::Arc;

use crate::engine::rewrite::csv::{Delimiter, LineEnding};

/// How much of a request body is read before the request is understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intake {
    /// All of it; it stands in memory, within the bound of request bodies.
    Whole,
    /// Its first row with its line end: the header of a CSV document, which says which fields are written.
    FirstRow,
    /// Nothing.
    Nothing,
}

/// What stands in a request body that goes upstream while it arrives.
///
/// Each value is judged as the values of its use would be in a body that is read whole: tokens are turned back, masks
/// and foreign tokens end the upload. What nothing names ends it too.
#[derive(Debug, Clone)]
pub struct Upload {
    /// Its format: the client's `Content-Type` must agree with it.
    pub format: UploadFormat,
    /// What stands for null besides nothing at all: `#N/A` in Bulk API 1.0 and 2.0.
    pub null: Option<Arc<str>>,
    /// The document: for CSV an object with one member for each column of the header, as the header spells it; for XML
    /// what is in the document element.
    pub root: Written,
}

/// Format of an [`Upload`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadFormat {
    /// `text/csv`.
    Csv {
        /// Between cells.
        delimiter: Delimiter,
        /// Behind rows.
        line_ending: LineEnding,
    },
    /// `application/xml` or `text/xml`.
    Xml,
}

/// One value of an [`Upload`].
#[derive(Debug, Clone)]
pub enum Written {
    /// Of the dialect's own: goes as it came.
    Keep,
    /// Must be this text (ASCII case-insensitive).
    Expect(Arc<str>),
    /// A value of this use (index into [`super::Operation::uses`]; its `values` stay empty). A use that is refused
    /// refuses the request before anything is sent if it is `named`, else once such a value comes.
    Use(usize),
    /// Named members (columns, child elements in any number); any other ends the upload.
    Object(Vec<(Arc<str>, Written)>),
}
