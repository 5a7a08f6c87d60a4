//! The syntax tree of a SOSL search. Keeps every name as the caller spelt it.

use std::sync::Arc;

use crate::engine::protocol::salesforce::soql::ast::{Categories, Query, UpdateClause, Value};

/// `FIND {term} IN scope RETURNING … WITH … LIMIT … UPDATE …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// What is looked for.
    pub term: Term,
    /// Where.
    pub scope: Scope,
    /// In which objects, and what of them is put out.
    pub returning: Vec<Returning>,
    /// `WITH` clauses, in order.
    pub with: Vec<With>,
    /// `LIMIT` over all objects.
    pub limit: Option<u64>,
    /// `UPDATE TRACKING`, `UPDATE VIEWSTAT`.
    pub updates: Vec<UpdateClause>,
}

/// A search term: words, phrases, operators and parentheses as they follow each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term(pub Vec<Part>);

/// One part of a term. `Debug` shows no text.
#[derive(Clone, PartialEq, Eq)]
pub enum Part {
    /// A word, which may hold wildcards.
    Word(Vec<Glyph>),
    /// `"words in this order"`.
    Phrase(Vec<Glyph>),
    /// `AND`
    And,
    /// `OR`
    Or,
    /// `AND NOT`
    AndNot,
    /// `(`
    Open,
    /// `)`
    Close,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Word(_) => "Word(***)",
            Self::Phrase(_) => "Phrase(***)",
            Self::And => "And",
            Self::Or => "Or",
            Self::AndNot => "AndNot",
            Self::Open => "Open",
            Self::Close => "Close",
        })
    }
}

/// One character of a word.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Glyph {
    /// Itself.
    Literal(char),
    /// `*`: any characters.
    Many,
    /// `?`: any one character.
    One,
}

/// The fields that are searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `IN ALL FIELDS`, also where nothing is said.
    All,
    /// `IN NAME FIELDS`
    Name,
    /// `IN EMAIL FIELDS`
    Email,
    /// `IN PHONE FIELDS`
    Phone,
    /// `IN SIDEBAR FIELDS`
    Sidebar,
}

impl Scope {
    /// All scopes with their spelling.
    pub const WORDS: [(&'static str, Self); 5] = [
        ("ALL", Self::All),
        ("NAME", Self::Name),
        ("EMAIL", Self::Email),
        ("PHONE", Self::Phone),
        ("SIDEBAR", Self::Sidebar),
    ];

    /// Its spelling.
    pub fn text(self) -> &'static str {
        Self::WORDS
            .iter()
            .find(|(_, s)| *s == self)
            .map_or("ALL", |(w, _)| w)
    }
}

/// One object of RETURNING.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Returning {
    /// Object, fields, WHERE, ORDER BY, LIMIT, OFFSET.
    pub query: Query,
    /// Whether fields were named; where not, `query` selects Id.
    pub listed: bool,
    /// `USING ListView=name`.
    pub list_view: Option<Arc<str>>,
}

/// One `WITH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum With {
    /// `DIVISION = 'name'`
    Division(Value),
    /// `DATA CATEGORY …`
    DataCategory(Categories),
    /// `NETWORK = 'id'`, `NETWORK IN ('id', …)`
    Network(Vec<Value>),
    /// `PRICEBOOKID = 'id'`
    Pricebook(Value),
    /// `METADATA = 'LABELS'`
    MetadataLabels,
    /// `SNIPPET`, `SNIPPET(target_length=n)`
    Snippet(Option<u64>),
    /// `HIGHLIGHT`
    Highlight,
    /// `SPELL_CORRECTION = true`
    SpellCorrection(bool),
    /// `USER_MODE`
    UserMode,
    /// `SYSTEM_MODE`
    SystemMode,
}
