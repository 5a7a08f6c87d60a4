//! Recursive descent over the lexer's tokens.

use std::sync::Arc;

use super::ast::{
    Argument, Call, Categories, CategorySelector, Compare, Condition, Expr, FieldsOf, ForClause,
    Function, Group, GroupKind, Item, ItemKind, Operand, Operator, Order, Path, Query, Slot,
    Source, TypeOf, UpdateClause, Value, With,
};
use super::lexer::{Lexer, Token};
use super::{DEPTH_MAX, NODES_MAX, PATH_SEGMENTS_MAX, QUERY_BYTES_MAX, SyntaxError};

pub(in super::super) type Parsed<T> = Result<T, SyntaxError>;

/// Words that end an expression or a source, so that they begin no alias.
const NOT_AN_ALIAS: [&str; 38] = [
    "ALL", "AND", "AS", "ASC", "BY", "CUBE", "DESC", "ELSE", "END", "EXCLUDES", "FALSE", "FIRST",
    "FOR", "FROM", "GROUP", "HAVING", "IN", "INCLUDES", "LAST", "LIKE", "LIMIT", "NOT", "NULL",
    "NULLS", "OFFSET", "OR", "ORDER", "ROLLUP", "SELECT", "SET", "THEN", "TRUE", "TYPEOF",
    "UPDATE", "USING", "WHEN", "WHERE", "WITH",
];

/// Words that name nothing (SOQL and SOSL Reference, "Alias Notation", reserved keywords), with the literals. `GROUP`
/// is left out: there is an object of that name.
const RESERVED: [&str; 22] = [
    "AND", "ASC", "DESC", "EXCLUDES", "FALSE", "FIRST", "FROM", "HAVING", "IN", "INCLUDES", "LAST",
    "LIKE", "LIMIT", "NOT", "NULL", "NULLS", "OR", "SELECT", "TRUE", "USING", "WHERE", "WITH",
];

/// Scopes of `USING SCOPE` (SOQL and SOSL Reference, "USING SCOPE").
const SCOPES: [&str; 8] = [
    "delegated",
    "everything",
    "mine",
    "mine_and_my_groups",
    "my_territory",
    "my_team_territory",
    "scopingRule",
    "team",
];

/// Whether `word` is one of `words`, whatever its case.
fn is_one_of(words: &[&str], word: &str) -> bool {
    word.len() <= 8 && words.iter().any(|w| w.eq_ignore_ascii_case(word))
}

pub(super) fn parse(text: &str) -> Parsed<Query> {
    if text.len() > QUERY_BYTES_MAX {
        return Err(SyntaxError::new(QUERY_BYTES_MAX, "the query is too long"));
    }
    let mut parser = Parser::starting_at(text, 0);
    if parser.lexer.keyword("FIND")? {
        return Err(SyntaxError::new(0, "FIND (SOSL) belongs to search"));
    }
    let query = parser.query()?;
    parser.end()?;
    Ok(query)
}

/// Reads parts of a query; SOSL has some of them too.
pub(in super::super) struct Parser<'q> {
    pub(in super::super) lexer: Lexer<'q>,
    depth: usize,
    nodes: usize,
}

impl<'q> Parser<'q> {
    /// Starts at byte `at` of `text`.
    pub(in super::super) fn starting_at(text: &'q str, at: usize) -> Self {
        Self {
            lexer: Lexer::starting_at(text, at),
            depth: 0,
            nodes: 0,
        }
    }

    /// What has been read must be all.
    pub(in super::super) fn end(&mut self) -> Parsed<()> {
        match self.lexer.peek()? {
            Token::End => Ok(()),
            _ => Err(self.unexpected()),
        }
    }

    pub(in super::super) fn error<T>(&mut self, message: &'static str) -> Parsed<T> {
        Err(SyntaxError::new(self.lexer.offset(), message))
    }

    /// The next token has no place here. Names it if it is a keyword.
    pub(in super::super) fn unexpected(&mut self) -> SyntaxError {
        let at = self.lexer.offset();
        if let Ok(Token::Word(w)) = self.lexer.peek()
            && let Some(keyword) = NOT_AN_ALIAS.iter().find(|k| k.eq_ignore_ascii_case(w))
        {
            return SyntaxError::new(at, format!("unexpected token: '{keyword}'"));
        }
        SyntaxError::new(at, "unexpected token")
    }

    pub(in super::super) fn expect_sign(&mut self, sign: &str) -> Parsed<()> {
        if self.lexer.sign(sign)? {
            Ok(())
        } else {
            Err(self.unexpected())
        }
    }

    pub(in super::super) fn expect_keyword(&mut self, keyword: &'static str) -> Parsed<()> {
        if self.lexer.keyword(keyword)? {
            return Ok(());
        }
        let at = self.lexer.offset();
        Err(SyntaxError::new(at, format!("{keyword} is expected")))
    }

    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH_MAX {
            return self.error("the query is nested too deeply");
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    pub(in super::super) fn count(&mut self) -> Parsed<()> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return self.error("the query has too many parts");
        }
        Ok(())
    }

    fn query(&mut self) -> Parsed<Query> {
        let start = self.lexer.offset();
        self.expect_keyword("SELECT")?;
        let mut select = vec![self.item()?];
        while self.lexer.sign(",")? {
            select.push(self.item()?);
        }
        self.expect_keyword("FROM")?;
        let from = self.source()?;
        let mut joins = Vec::new();
        while self.lexer.sign(",")? {
            joins.push(self.source()?);
        }
        let using_scope = if self.lexer.keyword("USING")? {
            self.expect_keyword("SCOPE")?;
            Some(self.scope()?)
        } else {
            None
        };
        let filter = self.clause("WHERE")?;
        let with = if self.lexer.keyword("WITH")? {
            Some(self.with()?)
        } else {
            None
        };
        let group = if self.lexer.keyword("GROUP")? {
            self.expect_keyword("BY")?;
            Some(self.group()?)
        } else {
            None
        };
        let having = match &group {
            Some(_) => self.clause("HAVING")?,
            None => None,
        };
        let order = if self.lexer.keyword("ORDER")? {
            self.expect_keyword("BY")?;
            self.orders()?
        } else {
            Vec::new()
        };
        let limit = self.number_after("LIMIT")?;
        let offset = self.number_after("OFFSET")?;
        let (mut locks, mut updates) = (Vec::new(), Vec::new());
        loop {
            if self.lexer.keyword("FOR")? {
                self.locks(&mut locks, !updates.is_empty())?;
            } else if updates.is_empty() && self.lexer.keyword("UPDATE")? {
                updates.push(self.update_clause()?);
                while self.lexer.sign(",")? {
                    updates.push(self.update_clause()?);
                }
            } else {
                break;
            }
            self.count()?;
        }
        let all_rows = self.lexer.keyword("ALL")?;
        if all_rows {
            self.expect_keyword("ROWS")?;
        }
        if self.lexer.keyword("SET")? {
            return self.error("SET OPTIONS is not supported");
        }
        Ok(Query {
            select,
            from,
            joins,
            using_scope,
            filter,
            with,
            group,
            having,
            order,
            limit,
            offset,
            locks,
            updates,
            all_rows,
            span: self.lexer.span_from(start),
            slot: Slot::default(),
        })
    }

    pub(in super::super) fn name(&mut self) -> Parsed<Arc<str>> {
        Ok(Arc::from(self.lexer.word()?))
    }

    /// A word that may stand for something in the schema.
    fn unreserved(&mut self) -> Parsed<Arc<str>> {
        match self.lexer.peek()? {
            Token::Word(w) if is_one_of(&RESERVED, w) => Err(self.unexpected()),
            _ => self.name(),
        }
    }

    pub(in super::super) fn path(&mut self) -> Parsed<Path> {
        let start = self.lexer.offset();
        // After a dot nothing else can stand, so that no word is reserved there.
        let mut segments = vec![self.unreserved()?];
        while self.lexer.sign(".")? {
            if segments.len() >= PATH_SEGMENTS_MAX {
                return self.error("a path has too many parts");
            }
            segments.push(self.name()?);
        }
        Ok(Path {
            segments,
            span: self.lexer.span_from(start),
            slot: Slot::default(),
        })
    }

    fn alias(&mut self) -> Parsed<Option<Arc<str>>> {
        match self.lexer.peek()? {
            Token::Word(w) if !is_one_of(&NOT_AN_ALIAS, w) => self.name().map(Some),
            _ => Ok(None),
        }
    }

    fn source(&mut self) -> Parsed<Source> {
        self.count()?;
        let path = self.path()?;
        let alias = if self.lexer.keyword("AS")? {
            match self.alias()? {
                None => return Err(self.unexpected()),
                alias => alias,
            }
        } else {
            self.alias()?
        };
        Ok(Source { path, alias })
    }

    pub(in super::super) fn item(&mut self) -> Parsed<Item> {
        self.count()?;
        let start = self.lexer.offset();
        if self.lexer.sign("(")? {
            let children = self.deeper(Self::query)?;
            self.expect_sign(")")?;
            return Ok(Item {
                kind: ItemKind::Children(Box::new(children)),
                alias: None,
                span: self.lexer.span_from(start),
            });
        }
        let path = self.path()?;
        if let [only] = &*path.segments {
            let followed_by_name = matches!(self.lexer.peek()?, Token::Word(w)
                if !w.eq_ignore_ascii_case("FROM"));
            if only.eq_ignore_ascii_case("TYPEOF") && followed_by_name {
                let kind = ItemKind::TypeOf(self.type_of()?);
                return Ok(Item {
                    kind,
                    alias: None,
                    span: self.lexer.span_from(start),
                });
            }
            if only.eq_ignore_ascii_case("FIELDS") && self.lexer.sign("(")? {
                let which = self.lexer.word()?;
                let set = if which.eq_ignore_ascii_case("ALL") {
                    FieldsOf::All
                } else if which.eq_ignore_ascii_case("STANDARD") {
                    FieldsOf::Standard
                } else if which.eq_ignore_ascii_case("CUSTOM") {
                    FieldsOf::Custom
                } else {
                    return self.error("FIELDS takes ALL, STANDARD or CUSTOM");
                };
                self.expect_sign(")")?;
                return Ok(Item {
                    kind: ItemKind::Fields(set),
                    alias: None,
                    span: self.lexer.span_from(start),
                });
            }
        }
        let expr = self.expr_after(path)?;
        let alias = self.alias()?;
        if alias.is_some()
            && matches!(&expr, Expr::Call(c) if c.function == Function::Count && c.arguments.is_empty())
        {
            return Err(SyntaxError::new(start, "COUNT() takes no alias"));
        }
        Ok(Item {
            kind: ItemKind::Expr(expr),
            alias,
            span: self.lexer.span_from(start),
        })
    }

    fn type_of(&mut self) -> Parsed<TypeOf> {
        let relationship = self.path()?;
        let mut cases = Vec::new();
        while self.lexer.keyword("WHEN")? {
            self.count()?;
            let object = self.name()?;
            self.expect_keyword("THEN")?;
            cases.push((object, self.paths()?));
        }
        if cases.is_empty() {
            return self.error("WHEN is expected");
        }
        let otherwise = if self.lexer.keyword("ELSE")? {
            self.paths()?
        } else {
            Vec::new()
        };
        self.expect_keyword("END")?;
        Ok(TypeOf {
            relationship,
            cases,
            otherwise,
        })
    }

    fn paths(&mut self) -> Parsed<Vec<Path>> {
        let mut paths = vec![self.path()?];
        while self.lexer.sign(",")? {
            self.count()?;
            paths.push(self.path()?);
        }
        Ok(paths)
    }

    fn expr(&mut self) -> Parsed<Expr> {
        let path = self.path()?;
        self.expr_after(path)
    }

    /// A path that has been read, or the function that it begins.
    fn expr_after(&mut self, path: Path) -> Parsed<Expr> {
        if path.segments.len() > 1 || !self.lexer.sign("(")? {
            return Ok(Expr::Path(path));
        }
        let at = path.span.start as usize;
        let Some(function) = Function::parse(&path.segments[0]) else {
            return Err(SyntaxError::new(
                at,
                format!("the function {} is not supported", path.segments[0]),
            ));
        };
        let mut arguments = Vec::new();
        if !self.lexer.sign(")")? {
            self.deeper(|p| {
                arguments.push(p.argument()?);
                while p.lexer.sign(",")? {
                    arguments.push(p.argument()?);
                }
                p.expect_sign(")")
            })?;
        }
        if !arguments_fit(function, &arguments) {
            return Err(SyntaxError::new(
                at,
                format!("{} does not take these arguments", function.text()),
            ));
        }
        Ok(Expr::Call(Call {
            function,
            arguments,
            span: self.lexer.span_from(at),
        }))
    }

    fn argument(&mut self) -> Parsed<Argument> {
        self.count()?;
        match self.lexer.peek()? {
            Token::Word(w) if w.eq_ignore_ascii_case("GEOLOCATION") => {
                self.lexer.word()?;
                self.expect_sign("(")?;
                let latitude = self.lexer.value(false)?;
                self.expect_sign(",")?;
                let longitude = self.lexer.value(false)?;
                self.expect_sign(")")?;
                let number = |v: &Value| matches!(v, Value::Word(w) if super::lexer::is_number(w));
                if number(&latitude) && number(&longitude) {
                    Ok(Argument::Geolocation(latitude, longitude))
                } else {
                    self.error("GEOLOCATION takes two numbers")
                }
            }
            Token::Word(_) => self.expr().map(Argument::Expr),
            _ => self.lexer.value(false).map(Argument::Value),
        }
    }

    pub(in super::super) fn clause(&mut self, keyword: &str) -> Parsed<Option<Condition>> {
        if self.lexer.keyword(keyword)? {
            self.condition().map(Some)
        } else {
            Ok(None)
        }
    }

    pub(in super::super) fn condition(&mut self) -> Parsed<Condition> {
        self.deeper(|p| {
            let first = p.condition_part()?;
            for (word, make) in [
                ("AND", Condition::And as fn(Vec<Condition>) -> Condition),
                ("OR", Condition::Or),
            ] {
                if p.lexer.keyword(word)? {
                    let mut parts = vec![first, p.condition_part()?];
                    while p.lexer.keyword(word)? {
                        parts.push(p.condition_part()?);
                    }
                    let other = if word == "AND" { "OR" } else { "AND" };
                    if p.lexer.keyword(other)? {
                        return p.error("AND and OR can not be mixed without parentheses");
                    }
                    return Ok(make(parts));
                }
            }
            Ok(first)
        })
    }

    fn condition_part(&mut self) -> Parsed<Condition> {
        self.count()?;
        if self.lexer.keyword("NOT")? {
            // NOT takes a comparison or what stands in parentheses.
            if matches!(self.lexer.peek()?, Token::Word(w) if w.eq_ignore_ascii_case("NOT")) {
                return Err(self.unexpected());
            }
            let part = self.deeper(Self::condition_part)?;
            return Ok(Condition::Not(Box::new(part)));
        }
        if self.lexer.sign("(")? {
            let inner = self.condition()?;
            self.expect_sign(")")?;
            return Ok(inner);
        }
        self.compare().map(Condition::Compare)
    }

    fn compare(&mut self) -> Parsed<Compare> {
        let start = self.lexer.offset();
        let left = self.expr()?;
        let operator = self.operator()?;
        let right = match operator {
            Operator::In | Operator::NotIn => {
                self.expect_sign("(")?;
                let select = matches!(self.lexer.peek()?, Token::Word(w) if w.eq_ignore_ascii_case("SELECT"));
                let operand = if select {
                    Operand::Query(Box::new(self.deeper(Self::query)?))
                } else {
                    Operand::List(self.values()?)
                };
                self.expect_sign(")")?;
                operand
            }
            Operator::Includes | Operator::Excludes => {
                self.expect_sign("(")?;
                let values = self.values()?;
                self.expect_sign(")")?;
                Operand::List(values)
            }
            Operator::Like => Operand::Value(self.lexer.value(true)?),
            _ => Operand::Value(self.lexer.value(false)?),
        };
        Ok(Compare {
            left,
            operator,
            right,
            span: self.lexer.span_from(start),
        })
    }

    fn operator(&mut self) -> Parsed<Operator> {
        for (sign, operator) in [
            ("=", Operator::Equal),
            ("!=", Operator::NotEqual),
            ("<>", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            ("<", Operator::Less),
            (">=", Operator::GreaterOrEqual),
            (">", Operator::Greater),
        ] {
            if self.lexer.sign(sign)? {
                return Ok(operator);
            }
        }
        for (word, operator) in [
            ("LIKE", Operator::Like),
            ("IN", Operator::In),
            ("INCLUDES", Operator::Includes),
            ("EXCLUDES", Operator::Excludes),
        ] {
            if self.lexer.keyword(word)? {
                return Ok(operator);
            }
        }
        if self.lexer.keyword("NOT")? {
            self.expect_keyword("IN")?;
            return Ok(Operator::NotIn);
        }
        Err(self.unexpected())
    }

    fn values(&mut self) -> Parsed<Vec<Value>> {
        let mut values = vec![self.lexer.value(false)?];
        while self.lexer.sign(",")? {
            self.count()?;
            values.push(self.lexer.value(false)?);
        }
        Ok(values)
    }

    fn with(&mut self) -> Parsed<With> {
        let name = self.name()?;
        if name.eq_ignore_ascii_case("SECURITY_ENFORCED") {
            return Ok(With::SecurityEnforced);
        }
        if name.eq_ignore_ascii_case("USER_MODE") {
            return Ok(With::UserMode);
        }
        if name.eq_ignore_ascii_case("SYSTEM_MODE") {
            return Ok(With::SystemMode);
        }
        if !name.eq_ignore_ascii_case("DATA") {
            if self.lexer.sign("=")? {
                return Ok(With::Equal(name, self.lexer.value(false)?));
            }
            return self.error("this WITH clause is not supported");
        }
        self.data_categories().map(With::DataCategory)
    }

    /// What stands after `DATA`.
    pub(in super::super) fn data_categories(&mut self) -> Parsed<Categories> {
        self.expect_keyword("CATEGORY")?;
        let mut parts = Vec::new();
        loop {
            self.count()?;
            let group = self.name()?;
            let at = self.lexer.offset();
            let word = self.lexer.word()?;
            let Some((_, selector)) = CategorySelector::ALL
                .into_iter()
                .find(|(w, _)| w.eq_ignore_ascii_case(word))
            else {
                return Err(SyntaxError::new(at, "AT, ABOVE or BELOW is expected"));
            };
            let mut categories = Vec::new();
            if self.lexer.sign("(")? {
                categories.push(self.name()?);
                while self.lexer.sign(",")? {
                    self.count()?;
                    categories.push(self.name()?);
                }
                self.expect_sign(")")?;
            } else {
                categories.push(self.name()?);
            }
            parts.push((group, selector, categories));
            if !self.lexer.keyword("AND")? {
                return Ok(parts);
            }
        }
    }

    fn group(&mut self) -> Parsed<Group> {
        let first = self.path()?;
        for (word, kind) in [("ROLLUP", GroupKind::Rollup), ("CUBE", GroupKind::Cube)] {
            if first.segments.len() == 1
                && first.segments[0].eq_ignore_ascii_case(word)
                && self.lexer.sign("(")?
            {
                let first = self.expr()?;
                let keys = self.more_keys(first)?;
                self.expect_sign(")")?;
                return Ok(Group { kind, keys });
            }
        }
        let first = self.expr_after(first)?;
        Ok(Group {
            kind: GroupKind::Plain,
            keys: self.more_keys(first)?,
        })
    }

    fn more_keys(&mut self, first: Expr) -> Parsed<Vec<Expr>> {
        let mut keys = vec![first];
        while self.lexer.sign(",")? {
            self.count()?;
            keys.push(self.expr()?);
        }
        Ok(keys)
    }

    pub(in super::super) fn orders(&mut self) -> Parsed<Vec<Order>> {
        let mut order = vec![self.order()?];
        while self.lexer.sign(",")? {
            order.push(self.order()?);
        }
        Ok(order)
    }

    fn order(&mut self) -> Parsed<Order> {
        self.count()?;
        let by = self.expr()?;
        let ascending = if self.lexer.keyword("ASC")? {
            Some(true)
        } else if self.lexer.keyword("DESC")? {
            Some(false)
        } else {
            None
        };
        let nulls_first = if self.lexer.keyword("NULLS")? {
            if self.lexer.keyword("FIRST")? {
                Some(true)
            } else {
                self.expect_keyword("LAST")?;
                Some(false)
            }
        } else {
            None
        };
        Ok(Order {
            by,
            ascending,
            nulls_first,
        })
    }

    pub(in super::super) fn number_after(&mut self, keyword: &'static str) -> Parsed<Option<u64>> {
        if !self.lexer.keyword(keyword)? {
            return Ok(None);
        }
        let at = self.lexer.offset();
        match self.lexer.value(false)? {
            Value::Word(w) if w.bytes().all(|b| b.is_ascii_digit()) => w.parse().ok(),
            _ => None,
        }
        .map(Some)
        .ok_or_else(|| SyntaxError::new(at, format!("{keyword} takes a whole number")))
    }

    /// One of [`SCOPES`].
    fn scope(&mut self) -> Parsed<Arc<str>> {
        match self.lexer.peek()? {
            Token::Word(w) if SCOPES.iter().any(|s| s.eq_ignore_ascii_case(w)) => self.name(),
            _ => self.error("USING SCOPE takes the name of a scope"),
        }
    }

    /// What stands after `FOR`: VIEW and REFERENCE, which come before UPDATE TRACKING, or UPDATE.
    fn locks(&mut self, locks: &mut Vec<ForClause>, tracked: bool) -> Parsed<()> {
        if self.lexer.keyword("UPDATE")? {
            if locks.contains(&ForClause::Update) {
                return self.error("FOR UPDATE stands twice");
            }
            locks.push(ForClause::Update);
            return Ok(());
        }
        if tracked || !locks.is_empty() {
            return Err(self.unexpected());
        }
        locks.push(self.for_clause()?);
        if self.lexer.sign(",")? {
            self.lexer.keyword("FOR")?;
            let second = self.for_clause()?;
            if locks.contains(&second) {
                return self.error("FOR names the same twice");
            }
            locks.push(second);
        }
        Ok(())
    }

    fn for_clause(&mut self) -> Parsed<ForClause> {
        for (word, clause) in [
            ("VIEW", ForClause::View),
            ("REFERENCE", ForClause::Reference),
        ] {
            if self.lexer.keyword(word)? {
                return Ok(clause);
            }
        }
        Err(self.unexpected())
    }

    pub(in super::super) fn update_clause(&mut self) -> Parsed<UpdateClause> {
        if self.lexer.keyword("TRACKING")? {
            return Ok(UpdateClause::Tracking);
        }
        self.expect_keyword("VIEWSTAT")?;
        Ok(UpdateClause::ViewStat)
    }
}

/// Whether `function` takes `arguments`.
fn arguments_fit(function: Function, arguments: &[Argument]) -> bool {
    match (function, arguments) {
        (Function::Count, []) => true,
        (
            Function::Distance,
            [
                Argument::Expr(Expr::Path(_)),
                Argument::Geolocation(..) | Argument::Expr(Expr::Path(_)),
                Argument::Value(Value::Text(unit)),
            ],
        ) => unit.eq_ignore_ascii_case("mi") || unit.eq_ignore_ascii_case("km"),
        (Function::Distance, _) => false,
        (
            Function::CountDistinct
            | Function::Grouping
            | Function::ConvertTimezone
            | Function::ToLabel,
            [Argument::Expr(Expr::Path(_))],
        ) => true,
        (Function::Format, [Argument::Expr(e)]) => match e {
            Expr::Path(_) => true,
            Expr::Call(c) => c.function != Function::Format,
        },
        (
            Function::ConvertCurrency
            | Function::Min
            | Function::Max
            | Function::Sum
            | Function::Avg
            | Function::Count,
            [Argument::Expr(e)],
        ) => {
            matches!(e, Expr::Path(_))
                || matches!(e, Expr::Call(c) if c.function == Function::ConvertCurrency && function != Function::ConvertCurrency)
        }
        (f, [Argument::Expr(e)]) if !f.is_aggregate() && !f.is_presentation() => match e {
            Expr::Path(_) => true,
            Expr::Call(c) => c.function == Function::ConvertTimezone,
        },
        _ => false,
    }
}
