//! Recursive descent over SOQL's tokens, once the term has been read.

use std::sync::Arc;

use super::ast::{Returning, Scope, Search, With};
use super::term;
use crate::engine::protocol::salesforce::soql::ast::{
    Condition, Expr, Item, ItemKind, Order, Path, Query, Span, Value,
};
use crate::engine::protocol::salesforce::soql::{Parsed, Parser, QUERY_BYTES_MAX, SyntaxError};

pub(super) fn parse(text: &str) -> Parsed<Search> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(SyntaxError::new(QUERY_BYTES_MAX, "the search is too long"));
    }
    let mut head = Parser::starting_at(text, 0);
    head.expect_keyword("FIND")?;
    let at = head.lexer.offset();
    if !text[at..].starts_with('{') {
        return Err(SyntaxError::new(at, "FIND takes its term in braces"));
    }
    let (term, behind) = term::in_braces(text, at + 1)?;
    let mut parser = Parser::starting_at(text, behind);
    let search = Search {
        term,
        scope: scope(&mut parser)?,
        returning: returning(&mut parser)?,
        with: with_clauses(&mut parser)?,
        limit: parser.number_after("LIMIT")?,
        updates: updates(&mut parser)?,
    };
    parser.end()?;
    Ok(search)
}

/// A condition alone.
pub(in super::super) fn condition(text: &str) -> Parsed<Condition> {
    alone(text, Parser::condition)
}

/// Entries of ORDER BY alone.
pub(in super::super) fn orders(text: &str) -> Parsed<Vec<Order>> {
    alone(text, Parser::orders)
}

/// Items of a field list alone.
pub(in super::super) fn items(text: &str) -> Parsed<Vec<Item>> {
    alone(text, list)
}

fn alone<'q, T>(text: &'q str, read: impl FnOnce(&mut Parser<'q>) -> Parsed<T>) -> Parsed<T> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(SyntaxError::new(QUERY_BYTES_MAX, "the search is too long"));
    }
    let mut parser = Parser::starting_at(text, 0);
    let read = read(&mut parser)?;
    parser.end()?;
    Ok(read)
}

fn scope(parser: &mut Parser<'_>) -> Parsed<Scope> {
    if !parser.lexer.keyword("IN")? {
        return Ok(Scope::All);
    }
    for (word, scope) in Scope::WORDS {
        if parser.lexer.keyword(word)? {
            parser.expect_keyword("FIELDS")?;
            return Ok(scope);
        }
    }
    Err(parser.unexpected())
}

fn returning(parser: &mut Parser<'_>) -> Parsed<Vec<Returning>> {
    let mut all = Vec::new();
    if parser.lexer.keyword("RETURNING")? {
        all.push(one_object(parser)?);
        while parser.lexer.sign(",")? {
            all.push(one_object(parser)?);
        }
    }
    Ok(all)
}

fn list(parser: &mut Parser<'_>) -> Parsed<Vec<Item>> {
    let mut items = vec![field(parser)?];
    while parser.lexer.sign(",")? {
        items.push(field(parser)?);
    }
    Ok(items)
}

/// A field, or a function that only changes how it looks.
fn field(parser: &mut Parser<'_>) -> Parsed<Item> {
    let at = parser.lexer.offset();
    let item = parser.item()?;
    let fits = match &item.kind {
        ItemKind::Expr(Expr::Path(_)) => true,
        ItemKind::Expr(Expr::Call(call)) => call.aggregate().is_none(),
        _ => false,
    };
    if fits {
        Ok(item)
    } else {
        Err(SyntaxError::new(
            at,
            "a search returns fields, no child queries, TYPEOF, FIELDS() or aggregates",
        ))
    }
}

impl Returning {
    /// `object` with these fields; none = its Id alone.
    pub fn of(object: Arc<str>, fields: Vec<Item>) -> Self {
        let listed = !fields.is_empty();
        let select = if listed {
            fields
        } else {
            vec![Item {
                kind: ItemKind::Expr(Expr::Path(Path::of(vec!["Id".into()]))),
                alias: None,
                span: Span::default(),
            }]
        };
        Self {
            query: Query::plain(object, select),
            listed,
            list_view: None,
        }
    }
}

fn one_object(parser: &mut Parser<'_>) -> Parsed<Returning> {
    parser.count()?;
    let object = parser.name()?;
    if !parser.lexer.sign("(")? {
        return Ok(Returning::of(object, Vec::new()));
    }
    let mut one = Returning::of(object, list(parser)?);
    one.query.filter = parser.clause("WHERE")?;
    if parser.lexer.keyword("USING")? {
        parser.expect_keyword("LISTVIEW")?;
        parser.expect_sign("=")?;
        one.list_view = Some(parser.name()?);
    }
    if parser.lexer.keyword("ORDER")? {
        parser.expect_keyword("BY")?;
        one.query.order = parser.orders()?;
    }
    one.query.limit = parser.number_after("LIMIT")?;
    one.query.offset = parser.number_after("OFFSET")?;
    parser.expect_sign(")")?;
    Ok(one)
}

fn with_clauses(parser: &mut Parser<'_>) -> Parsed<Vec<With>> {
    let mut all = Vec::new();
    while parser.lexer.keyword("WITH")? {
        parser.count()?;
        all.push(with(parser)?);
    }
    Ok(all)
}

fn with(parser: &mut Parser<'_>) -> Parsed<With> {
    let at = parser.lexer.offset();
    let name = parser.name()?;
    let is = |word: &str| name.eq_ignore_ascii_case(word);
    if is("SNIPPET") {
        if !parser.lexer.sign("(")? {
            return Ok(With::Snippet(None));
        }
        parser.expect_keyword("TARGET_LENGTH")?;
        parser.expect_sign("=")?;
        let Value::Word(length) = parser.lexer.value(false)? else {
            return Err(parser.unexpected());
        };
        let length = length
            .parse()
            .map_err(|_| SyntaxError::new(at, "target_length takes a whole number"))?;
        parser.expect_sign(")")?;
        return Ok(With::Snippet(Some(length)));
    }
    if is("HIGHLIGHT") {
        return Ok(With::Highlight);
    }
    if is("USER_MODE") {
        return Ok(With::UserMode);
    }
    if is("SYSTEM_MODE") {
        return Ok(With::SystemMode);
    }
    if is("DATA") {
        return parser.data_categories().map(With::DataCategory);
    }
    if is("NETWORK") && parser.lexer.keyword("IN")? {
        parser.expect_sign("(")?;
        let mut values = vec![text(parser)?];
        while parser.lexer.sign(",")? {
            parser.count()?;
            values.push(text(parser)?);
        }
        parser.expect_sign(")")?;
        return Ok(With::Network(values));
    }
    parser.expect_sign("=")?;
    if is("NETWORK") {
        return Ok(With::Network(vec![text(parser)?]));
    }
    if is("DIVISION") {
        return Ok(With::Division(text(parser)?));
    }
    if is("PRICEBOOKID") {
        return Ok(With::Pricebook(text(parser)?));
    }
    if is("METADATA") {
        return match parser.lexer.value(false)? {
            Value::Text(t) if t.eq_ignore_ascii_case("LABELS") => Ok(With::MetadataLabels),
            _ => Err(SyntaxError::new(at, "METADATA takes 'LABELS'")),
        };
    }
    if is("SPELL_CORRECTION") {
        return match parser.lexer.value(false)? {
            Value::Bool(on) => Ok(With::SpellCorrection(on)),
            _ => Err(SyntaxError::new(at, "SPELL_CORRECTION takes true or false")),
        };
    }
    Err(SyntaxError::new(at, "this WITH clause is not supported"))
}

fn text(parser: &mut Parser<'_>) -> Parsed<Value> {
    let at = parser.lexer.offset();
    match parser.lexer.value(false)? {
        value @ Value::Text(_) => Ok(value),
        _ => Err(SyntaxError::new(at, "a text is expected")),
    }
}

fn updates(
    parser: &mut Parser<'_>,
) -> Parsed<Vec<crate::engine::protocol::salesforce::soql::ast::UpdateClause>> {
    let mut all = Vec::new();
    if parser.lexer.keyword("UPDATE")? {
        all.push(parser.update_clause()?);
        while parser.lexer.sign(",")? {
            all.push(parser.update_clause()?);
        }
    }
    Ok(all)
}
