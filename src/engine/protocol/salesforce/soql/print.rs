//! SOQL again from its syntax tree, every literal escaped.

use std::fmt::{self, Display, Formatter, Write as _};

use super::ast::{
    Argument, Call, CategorySelector, Compare, Condition, Expr, FieldsOf, ForClause, Group,
    GroupKind, Item, ItemKind, Operand, Order, Path, Query, Source, TypeOf, UpdateClause, Value,
    With,
};

/// Writes `items` with `, ` between them.
pub(in super::super) fn list<T: Display>(f: &mut Formatter<'_>, items: &[T]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(", ")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

impl Display for Query {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("SELECT ")?;
        list(f, &self.select)?;
        write!(f, " FROM {}", self.from)?;
        for join in &self.joins {
            write!(f, ", {join}")?;
        }
        if let Some(scope) = &self.using_scope {
            write!(f, " USING SCOPE {scope}")?;
        }
        if let Some(filter) = &self.filter {
            write!(f, " WHERE {filter}")?;
        }
        if let Some(with) = &self.with {
            write!(f, " WITH {with}")?;
        }
        if let Some(group) = &self.group {
            write!(f, " GROUP BY {group}")?;
        }
        if let Some(having) = &self.having {
            write!(f, " HAVING {having}")?;
        }
        if !self.order.is_empty() {
            f.write_str(" ORDER BY ")?;
            list(f, &self.order)?;
        }
        if let Some(limit) = self.limit {
            write!(f, " LIMIT {limit}")?;
        }
        if let Some(offset) = self.offset {
            write!(f, " OFFSET {offset}")?;
        }
        let lock = |clause: &ForClause| match clause {
            ForClause::View => "VIEW",
            ForClause::Reference => "REFERENCE",
            ForClause::Update => "UPDATE",
        };
        for (i, clause) in self.locks.iter().enumerate() {
            let listed = i > 0 && *clause != ForClause::Update;
            f.write_str(if listed { ", " } else { " FOR " })?;
            f.write_str(lock(clause))?;
        }
        for (i, clause) in self.updates.iter().enumerate() {
            f.write_str(if i > 0 { ", " } else { " UPDATE " })?;
            f.write_str(match clause {
                UpdateClause::Tracking => "TRACKING",
                UpdateClause::ViewStat => "VIEWSTAT",
            })?;
        }
        if self.all_rows {
            f.write_str(" ALL ROWS")?;
        }
        Ok(())
    }
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)?;
        self.alias.as_ref().map_or(Ok(()), |a| write!(f, " {a}"))
    }
}

impl Display for Item {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ItemKind::Expr(e) => e.fmt(f)?,
            ItemKind::Children(q) => write!(f, "({q})")?,
            ItemKind::TypeOf(t) => t.fmt(f)?,
            ItemKind::Fields(FieldsOf::All) => f.write_str("FIELDS(ALL)")?,
            ItemKind::Fields(FieldsOf::Standard) => f.write_str("FIELDS(STANDARD)")?,
            ItemKind::Fields(FieldsOf::Custom) => f.write_str("FIELDS(CUSTOM)")?,
        }
        self.alias.as_ref().map_or(Ok(()), |a| write!(f, " {a}"))
    }
}

impl Display for TypeOf {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "TYPEOF {}", self.relationship)?;
        for (object, fields) in &self.cases {
            write!(f, " WHEN {object} THEN ")?;
            list(f, fields)?;
        }
        if !self.otherwise.is_empty() {
            f.write_str(" ELSE ")?;
            list(f, &self.otherwise)?;
        }
        f.write_str(" END")
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(p) => p.fmt(f),
            Self::Call(c) => c.fmt(f),
        }
    }
}

impl Display for Path {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        for (i, segment) in self.segments.iter().enumerate() {
            if i > 0 {
                f.write_char('.')?;
            }
            f.write_str(segment)?;
        }
        Ok(())
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.function.text())?;
        list(f, &self.arguments)?;
        f.write_char(')')
    }
}

impl Display for Argument {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expr(e) => e.fmt(f),
            Self::Value(v) => v.fmt(f),
            Self::Geolocation(latitude, longitude) => {
                write!(f, "GEOLOCATION({latitude}, {longitude})")
            }
        }
    }
}

impl Display for Condition {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let (parts, word) = match self {
            Self::And(parts) => (parts, " AND "),
            Self::Or(parts) => (parts, " OR "),
            Self::Not(part) => return write!(f, "NOT ({part})"),
            Self::Compare(c) => return c.fmt(f),
        };
        for (i, part) in parts.iter().enumerate() {
            if i > 0 {
                f.write_str(word)?;
            }
            match part {
                Self::And(_) | Self::Or(_) => write!(f, "({part})")?,
                _ => part.fmt(f)?,
            }
        }
        Ok(())
    }
}

impl Display for Compare {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ", self.left, self.operator.text())?;
        match &self.right {
            Operand::Value(v) => v.fmt(f),
            Operand::List(values) => {
                f.write_char('(')?;
                list(f, values)?;
                f.write_char(')')
            }
            Operand::Query(q) => write!(f, "({q})"),
        }
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(b) => write!(f, "{b}"),
            Self::Word(w) => f.write_str(w),
            Self::Text(text) => quoted(f, text, false),
            Self::Pattern(text) => quoted(f, text, true),
        }
    }
}

/// A string literal. In a pattern, backslash and what follows stand already escaped.
fn quoted(f: &mut Formatter<'_>, text: &str, pattern: bool) -> fmt::Result {
    f.write_char('\'')?;
    for c in text.chars() {
        match c {
            '\'' => f.write_str("\\'")?,
            '\\' if !pattern => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\r' => f.write_str("\\r")?,
            '\t' => f.write_str("\\t")?,
            '\u{8}' => f.write_str("\\b")?,
            '\u{c}' => f.write_str("\\f")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('\'')
}

impl Display for With {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::SecurityEnforced => f.write_str("SECURITY_ENFORCED"),
            Self::UserMode => f.write_str("USER_MODE"),
            Self::SystemMode => f.write_str("SYSTEM_MODE"),
            Self::Equal(name, value) => write!(f, "{name} = {value}"),
            Self::DataCategory(parts) => {
                f.write_str("DATA CATEGORY ")?;
                for (i, (group, selector, categories)) in parts.iter().enumerate() {
                    let word = CategorySelector::ALL
                        .iter()
                        .find(|(_, s)| s == selector)
                        .map_or("", |(w, _)| w);
                    if i > 0 {
                        f.write_str(" AND ")?;
                    }
                    write!(f, "{group} {word} (")?;
                    list(f, categories)?;
                    f.write_char(')')?;
                }
                Ok(())
            }
        }
    }
}

impl Display for Group {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self.kind {
            GroupKind::Plain => return list(f, &self.keys),
            GroupKind::Rollup => f.write_str("ROLLUP(")?,
            GroupKind::Cube => f.write_str("CUBE(")?,
        }
        list(f, &self.keys)?;
        f.write_char(')')
    }
}

impl Display for Order {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.by.fmt(f)?;
        f.write_str(match self.ascending {
            Some(true) => " ASC",
            Some(false) => " DESC",
            None => "",
        })?;
        f.write_str(match self.nulls_first {
            Some(true) => " NULLS FIRST",
            Some(false) => " NULLS LAST",
            None => "",
        })
    }
}
