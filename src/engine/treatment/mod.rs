//! One value → one value.
//!
//! [`Treatment`] is the word that policy files use; a [`Prepared`] treatment also has the key it needs.

mod apply;

use std::sync::Arc;

use crate::engine::token::Tokenizer;

/// A treatment word. The order is protection: `Clear` protects least, `Deny` most (design, "Exact results").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Treatment {
    /// Passes as it is.
    Clear,
    /// Keeps the last four characters.
    MaskLast4,
    /// Keeps the first four characters.
    MaskFirst4,
    /// Keeps the first character of the local part, and the domain.
    MaskEmail,
    /// `****`.
    MaskAll,
    /// `tk1.<key id>.<base64url>`; reversible by privet alone.
    Tokenize,
    /// `tk1.<key id>.<base32>@token.invalid`.
    TokenizeEmail,
    /// A date becomes the first of January of its year.
    GeneraliseYear,
    /// A date becomes the first of its month.
    GeneraliseMonth,
    /// A number becomes the lower bound of its range of ten.
    GeneraliseRange10,
    /// JSON null, empty CSV cell; the key stays.
    Redact,
    /// The field is absent.
    Drop,
    /// The request is refused where it names the field; elsewhere as `Drop`.
    Deny,
}

impl Treatment {
    /// Every word that a rule may use, in the order in which documentation lists them.
    pub const WORDS: [(&'static str, Treatment); 12] = [
        ("clear", Treatment::Clear),
        ("mask:last4", Treatment::MaskLast4),
        ("mask:first4", Treatment::MaskFirst4),
        ("mask:email", Treatment::MaskEmail),
        ("mask:all", Treatment::MaskAll),
        ("generalise:year", Treatment::GeneraliseYear),
        ("generalise:month", Treatment::GeneraliseMonth),
        ("generalise:range10", Treatment::GeneraliseRange10),
        ("tokenize", Treatment::Tokenize),
        ("tokenize:email", Treatment::TokenizeEmail),
        ("redact", Treatment::Redact),
        ("drop", Treatment::Drop),
    ];

    /// Known words that answer "not built yet" at load.
    pub const PLANNED: [&'static str; 4] = [
        "pseudonymise",
        "tokenize:phone",
        "tokenize:digits",
        "tokenize:uuid",
    ];

    /// The word as policy files spell it (`deny` is an effect, not a treatment word, but has a name here for reports).
    pub fn word(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, t)| *t == self)
            .map_or("deny", |(w, _)| w)
    }

    /// The treatment that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(w, _)| *w == word)
            .map(|(_, t)| *t)
    }

    /// Protection rank, for ties and lineage: equal ranks of different treatments are a tie
    /// (`mask:last4` and `mask:email`, say). Higher protects more.
    pub fn rank(self) -> u8 {
        match self {
            Self::Clear => 0,
            Self::MaskLast4 | Self::MaskFirst4 | Self::MaskEmail => 1,
            Self::MaskAll => 2,
            Self::Tokenize | Self::TokenizeEmail => 3,
            Self::GeneraliseYear | Self::GeneraliseMonth | Self::GeneraliseRange10 => 4,
            Self::Redact => 6,
            Self::Drop => 7,
            Self::Deny => 8,
        }
    }

    /// Whether it is a deterministic token of privet's own, which callers may send back.
    pub fn is_token(self) -> bool {
        matches!(self, Self::Tokenize | Self::TokenizeEmail)
    }

    /// Whether the field is absent from answers under it.
    pub fn is_hidden(self) -> bool {
        matches!(self, Self::Drop | Self::Deny)
    }
}

/// One scalar as a dialect's parser saw it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scalar<'a> {
    /// JSON null, xsi:nil, or an empty CSV cell where that means null.
    Null,
    /// true or false.
    Bool(bool),
    /// The number's text, as it came.
    Number(&'a str),
    /// The decoded text.
    Text(&'a str),
    /// An object or array where a scalar was due.
    Container,
}

/// What stands in its place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Treated<'b> {
    /// The value's own bytes may pass.
    Same,
    /// Null.
    Null,
    /// This text, to be escaped by the writer.
    Text(&'b str),
    /// This number's text.
    Number(&'b str),
    /// It may not go on, and nothing may stand in its place: the document is refused.
    Refused,
}

/// Turns a value that a client sends back into the one that goes upstream. Pure and deterministic.
pub trait Resolver: std::fmt::Debug + Send + Sync {
    /// What goes upstream in place of `value`. `buf` is empty scratch space that the result may borrow from.
    fn resolve<'b>(&self, value: Scalar<'_>, buf: &'b mut String) -> Treated<'b>;
}

/// A treatment with all it needs at run time. Never `drop` or `deny`: those are decided before.
#[derive(Debug, Clone)]
pub enum Prepared {
    /// A treatment that needs no key (`clear`, masks, `generalise`, `redact`).
    Keyless(Treatment),
    /// A token under the caller's scope and the field's class.
    Token {
        /// Makes it.
        tokenizer: Arc<Tokenizer>,
        /// E-mail-shaped (`tokenize:email`).
        email: bool,
        /// The values are Salesforce record ids, whose short form has the token of the long one.
        record_id: bool,
    },
    /// The other direction: a value of a request, resolved.
    Resolve(Arc<dyn Resolver>),
}
