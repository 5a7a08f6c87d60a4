//! SOSL again from its syntax tree, every reserved character of the term escaped.

use std::fmt::{self, Display, Formatter, Write as _};

use super::ast::{Glyph, Part, Returning, Search, Term, With};
use super::term::ESCAPABLE;
use crate::engine::protocol::salesforce::soql::ast::{UpdateClause, With as SoqlWith};
use crate::engine::protocol::salesforce::soql::list;

impl Display for Search {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "FIND {{{}}} IN {} FIELDS", self.term, self.scope.text())?;
        if !self.returning.is_empty() {
            f.write_str(" RETURNING ")?;
            list(f, &self.returning)?;
        }
        for with in &self.with {
            write!(f, " WITH {with}")?;
        }
        if let Some(limit) = self.limit {
            write!(f, " LIMIT {limit}")?;
        }
        for (i, clause) in self.updates.iter().enumerate() {
            f.write_str(if i == 0 { " UPDATE " } else { ", " })?;
            f.write_str(match clause {
                UpdateClause::Tracking => "TRACKING",
                UpdateClause::ViewStat => "VIEWSTAT",
            })?;
        }
        Ok(())
    }
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, part) in self.0.iter().enumerate() {
            let tight = i == 0 || self.0[i - 1] == Part::Open || *part == Part::Close;
            if !tight {
                f.write_char(' ')?;
            }
            match part {
                Part::Word(glyphs) => write_glyphs(f, glyphs)?,
                Part::Phrase(glyphs) => {
                    f.write_char('"')?;
                    write_glyphs(f, glyphs)?;
                    f.write_char('"')?;
                }
                Part::And => f.write_str("AND")?,
                Part::Or => f.write_str("OR")?,
                Part::AndNot => f.write_str("AND NOT")?,
                Part::Open => f.write_char('(')?,
                Part::Close => f.write_char(')')?,
            }
        }
        Ok(())
    }
}

fn write_glyphs(f: &mut Formatter<'_>, glyphs: &[Glyph]) -> fmt::Result {
    for glyph in glyphs {
        match glyph {
            Glyph::Many => f.write_char('*')?,
            Glyph::One => f.write_char('?')?,
            Glyph::Literal(c) => {
                if ESCAPABLE.contains(*c) {
                    f.write_char('\\')?;
                }
                f.write_char(*c)?;
            }
        }
    }
    Ok(())
}

impl Display for Returning {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let query = &self.query;
        write!(f, "{}", query.from)?;
        if !self.listed {
            return Ok(());
        }
        f.write_char('(')?;
        list(f, &query.select)?;
        if let Some(filter) = &query.filter {
            write!(f, " WHERE {filter}")?;
        }
        if let Some(view) = &self.list_view {
            write!(f, " USING ListView={view}")?;
        }
        if !query.order.is_empty() {
            f.write_str(" ORDER BY ")?;
            list(f, &query.order)?;
        }
        if let Some(limit) = query.limit {
            write!(f, " LIMIT {limit}")?;
        }
        if let Some(offset) = query.offset {
            write!(f, " OFFSET {offset}")?;
        }
        f.write_char(')')
    }
}

impl Display for With {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Division(value) => write!(f, "DIVISION = {value}"),
            Self::DataCategory(parts) => SoqlWith::DataCategory(parts.clone()).fmt(f),
            Self::Network(values) => {
                if let [one] = values.as_slice() {
                    return write!(f, "NETWORK = {one}");
                }
                f.write_str("NETWORK IN (")?;
                list(f, values)?;
                f.write_char(')')
            }
            Self::Pricebook(value) => write!(f, "PRICEBOOKID = {value}"),
            Self::MetadataLabels => f.write_str("METADATA = 'LABELS'"),
            Self::Snippet(None) => f.write_str("SNIPPET"),
            Self::Snippet(Some(length)) => write!(f, "SNIPPET(target_length={length})"),
            Self::Highlight => f.write_str("HIGHLIGHT"),
            Self::SpellCorrection(on) => write!(f, "SPELL_CORRECTION = {on}"),
            Self::UserMode => f.write_str("USER_MODE"),
            Self::SystemMode => f.write_str("SYSTEM_MODE"),
        }
    }
}
