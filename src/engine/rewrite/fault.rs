//! Why a document is refused, where its place is known only to the caller.

use super::Abort;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    Malformed(&'static str),
    TooLarge(&'static str),
    Truncated,
    ForbiddenKey,
    Duplicate,
    Contradiction,
}

impl Fault {
    /// The abort at this byte offset.
    pub(super) fn at(self, at: u64) -> Abort {
        match self {
            Self::Malformed(what) => Abort::Malformed { what, at },
            Self::TooLarge(what) => Abort::TooLarge { what, at },
            Self::Truncated => Abort::Truncated { at },
            Self::ForbiddenKey => Abort::ForbiddenKey { at },
            Self::Duplicate => Abort::DuplicateDecider { at },
            Self::Contradiction => Abort::Contradiction { at },
        }
    }
}
