//! Evaluates a parsed query over the store.

use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value as Json, json};

use crate::demo::fault::Fault;
use crate::demo::metadata::{self, Field, OBJECTS};
use crate::demo::record_id;
use crate::demo::seed::TODAY;
use crate::demo::soql::{Condition, Function, Item, Literal, Operator, Order, Path, Query};
use crate::demo::store::{Store, Value};

/// What a query finds.
#[derive(Debug)]
pub enum Found {
    /// `COUNT()`.
    Count(usize),
    /// Rows of one object, to be printed by the tree.
    Records {
        /// The object.
        object: usize,
        /// Its rows.
        rows: Vec<usize>,
        /// What each record shows.
        tree: Vec<Node>,
    },
    /// Groups, printed.
    Groups(Vec<Json>),
}

/// One member of a printed record.
#[derive(Debug)]
pub enum Node {
    /// A field, as written.
    Leaf(String),
    /// A parent by its relationship, as written.
    Parent(String, Vec<Node>),
    /// Children: relationship name, child query.
    Children(String, Box<Child>),
}

/// A child subquery, bound.
#[derive(Debug)]
pub struct Child {
    object: usize,
    tree: Vec<Node>,
    /// Parent row → child rows, filtered, sorted and cut.
    rows: HashMap<usize, Vec<usize>>,
}

/// Runs queries.
#[derive(Debug, Clone, Copy)]
pub struct Evaluator<'a> {
    /// The records.
    pub store: &'a Store,
    /// The query's text, for error excerpts.
    pub text: &'a str,
    /// queryAll: deleted records too.
    pub deleted: bool,
}

const UNGROUPED_MAX: usize = 2_000;

impl Evaluator<'_> {
    /// What `query` finds.
    ///
    /// # Errors
    /// Salesforce's words for what the objects do not have.
    pub fn find(&self, query: &Query) -> Result<Found, Fault> {
        let object = metadata::object(&query.from.text)
            .ok_or_else(|| Fault::no_object(self.text, query.from.at, &query.from.text))?;
        let scope = Scope { object, query };
        let aggregated = query
            .select
            .iter()
            .any(|i| matches!(i, Item::Value(p, _) if p.function.is_some()));
        if let [Item::Value(p, None)] = query.select.as_slice()
            && p.parts.is_empty()
        {
            return Ok(Found::Count(self.rows(&scope, None)?.len()));
        }
        if aggregated || !query.group.is_empty() {
            return Ok(Found::Groups(self.groups(&scope)?));
        }
        let tree = self.tree(&scope)?;
        let rows = self.rows(&scope, None)?;
        Ok(Found::Records { object, rows, tree })
    }

    fn tree(&self, scope: &Scope<'_>) -> Result<Vec<Node>, Fault> {
        let mut tree = Vec::new();
        for item in &scope.query.select {
            match item {
                Item::Value(path, Some(_)) => {
                    return Err(
                        self.malformed(path.at, "only aggregate expressions use field aliasing")
                    );
                }
                Item::Value(path, None) => {
                    let parts = scope.local(path);
                    self.check(&[scope.object], parts, path)?;
                    if !graft(&mut tree, parts) {
                        let last = parts.last().map_or("", String::as_str);
                        return Err(
                            self.malformed(path.at, &format!("duplicate field selected: {last}"))
                        );
                    }
                }
                Item::Children(q) => tree.push(self.children(scope, q)?),
            }
        }
        Ok(tree)
    }

    fn children(&self, scope: &Scope<'_>, query: &Query) -> Result<Node, Fault> {
        let name = query.from.text.rsplit('.').next().unwrap_or_default();
        let Some((name, object, via)) = OBJECTS[scope.object].child(name) else {
            return Err(Fault::no_relationship(
                self.text,
                query.from.at,
                &query.from.text,
            ));
        };
        let (Some(object), true) = (metadata::object(object), query.group.is_empty()) else {
            return Err(self.malformed(
                query.from.at,
                "only root queries support aggregate expressions",
            ));
        };
        if let Some(Item::Value(p, _)) = query
            .select
            .iter()
            .find(|i| matches!(i, Item::Value(p, _) if p.function.is_some()))
        {
            return Err(self.malformed(p.at, "only root queries support aggregate expressions"));
        }
        if let Some(Item::Children(inner)) =
            query.select.iter().find(|i| matches!(i, Item::Children(_)))
        {
            return Err(self.malformed(
                inner.from.at,
                "Nesting of parent to child queries is not allowed",
            ));
        }
        let child_scope = Scope { object, query };
        let tree = self.tree(&child_scope)?;
        let via = OBJECTS[object].field(via).unwrap_or_default();
        let unlimited = Query {
            limit: None,
            offset: 0,
            ..query.clone()
        };
        let all = self.rows(
            &Scope {
                object,
                query: &unlimited,
            },
            None,
        )?;
        let mut rows: HashMap<usize, Vec<usize>> = HashMap::new();
        for row in all {
            if let Some((o, parent)) = self.store.target(object, row, via)
                && o == scope.object
            {
                rows.entry(parent).or_default().push(row);
            }
        }
        for list in rows.values_mut() {
            list.drain(..query.offset.min(list.len()));
            list.truncate(query.limit.unwrap_or(usize::MAX));
        }
        Ok(Node::Children(
            (*name).to_owned(),
            Box::new(Child { object, tree, rows }),
        ))
    }

    fn malformed(&self, at: usize, why: &str) -> Fault {
        Fault::in_query("MALFORMED_QUERY", self.text, at, why)
    }

    /// Checks a path from any of `objects` and gives the field it ends in.
    fn check(
        &self,
        objects: &[usize],
        parts: &[String],
        path: &Path,
    ) -> Result<&'static Field, Fault> {
        let Some((first, rest)) = parts.split_first() else {
            return Err(self.malformed(path.at, "unexpected token: '('"));
        };
        if rest.is_empty() {
            let found = objects.iter().find_map(|o| {
                let meta = &OBJECTS[*o];
                meta.field(first)
                    .or_else(|| {
                        meta.name_field()
                            .filter(|_| objects.len() > 1 && first.eq_ignore_ascii_case("Name"))
                    })
                    .map(|i| &meta.fields[i])
            });
            return found.ok_or_else(|| {
                let entity = if objects.len() == 1 {
                    OBJECTS[objects[0]].name
                } else {
                    "Name"
                };
                Fault::no_column(self.text, path.at, first, entity)
            });
        }
        let targets: Vec<usize> = objects
            .iter()
            .filter_map(|o| {
                OBJECTS[*o]
                    .relationship(first)
                    .map(|i| &OBJECTS[*o].fields[i])
            })
            .flat_map(|f| f.reference_to.iter().filter_map(|n| metadata::object(n)))
            .collect();
        if targets.is_empty() {
            return Err(Fault::no_relationship(self.text, path.at, first));
        }
        self.check(&targets, rest, path)
    }

    /// The rows that a query's WHERE, ORDER BY, OFFSET and LIMIT leave (`order` replaces its ORDER BY).
    fn rows(&self, scope: &Scope<'_>, order: Option<&[Order]>) -> Result<Vec<usize>, Fault> {
        let query = scope.query;
        let filter = match &query.filter {
            Some(c) => Some(self.bind(scope, c)?),
            None => None,
        };
        let table = self.store.table(scope.object);
        let deleted = OBJECTS[scope.object].field("IsDeleted");
        let mut rows: Vec<usize> = (0..table.rows.len())
            .filter(|row| {
                self.deleted || deleted.is_none_or(|i| table.rows[*row][i] != Value::Bool(true))
            })
            .filter(|row| {
                filter
                    .as_ref()
                    .is_none_or(|f| self.holds(scope.object, *row, f))
            })
            .collect();
        let order = order.unwrap_or(&query.order);
        if !order.is_empty() {
            for o in order {
                let field = self.check(&[scope.object], scope.local(&o.path), &o.path)?;
                if field.kind == "address" || (field.kind == "textarea" && field.length > 255) {
                    return Err(Fault::in_query(
                        "INVALID_FIELD",
                        self.text,
                        o.path.at,
                        &format!(
                            "field '{}' can not be sorted in a query call",
                            o.path.parts.join(".")
                        ),
                    ));
                }
            }
            let mut keyed: Vec<(Vec<Value>, usize)> = rows
                .into_iter()
                .map(|row| {
                    let key = order
                        .iter()
                        .map(|o| self.value(scope.object, row, scope.local(&o.path)))
                        .collect();
                    (key, row)
                })
                .collect();
            keyed.sort_by(|(a, _), (b, _)| ordered(order, a, b));
            rows = keyed.into_iter().map(|(_, row)| row).collect();
        }
        if query.group.is_empty() && !is_aggregate(query) {
            rows.drain(..query.offset.min(rows.len()));
            rows.truncate(query.limit.unwrap_or(usize::MAX));
        }
        Ok(rows)
    }

    /// The value at the end of a checked path.
    fn value(&self, object: usize, row: usize, parts: &[String]) -> Value {
        let meta = &OBJECTS[object];
        match parts {
            [] => Value::Null,
            [name] => meta
                .field(name)
                .or_else(|| {
                    meta.name_field()
                        .filter(|_| name.eq_ignore_ascii_case("Name"))
                })
                .map_or(Value::Null, |i| self.store.value(object, row, i)),
            [relationship, rest @ ..] => meta
                .relationship(relationship)
                .and_then(|i| self.store.target(object, row, i))
                .map_or(Value::Null, |(o, r)| self.value(o, r, rest)),
        }
    }

    fn bind(&self, scope: &Scope<'_>, condition: &Condition) -> Result<Test, Fault> {
        let all = |list: &[Condition]| {
            list.iter()
                .map(|c| self.bind(scope, c))
                .collect::<Result<Vec<_>, _>>()
        };
        Ok(match condition {
            Condition::And(list) => Test::And(all(list)?),
            Condition::Or(list) => Test::Or(all(list)?),
            Condition::Not(c) => Test::Not(Box::new(self.bind(scope, c)?)),
            Condition::Compare(path, operator, literal) => {
                let parts = scope.local(path).to_vec();
                let field = self.filterable(scope, path)?;
                if *operator == Operator::Like {
                    let Literal::Text(pattern) = literal else {
                        return Err(self.wrong_type(
                            path,
                            "string",
                            " and should be enclosed in quotes",
                        ));
                    };
                    if !is_text(field) {
                        return Err(Fault::in_query(
                            "INVALID_QUERY_FILTER_OPERATOR",
                            self.text,
                            path.at,
                            "invalid operator on id field",
                        ));
                    }
                    Test::Like(parts, pattern.to_lowercase().chars().collect())
                } else {
                    Test::Compare(parts, *operator, self.bound(field, path, literal)?)
                }
            }
            Condition::In(path, negated, literals) => {
                let field = self.filterable(scope, path)?;
                let values = literals
                    .iter()
                    .map(|l| self.bound(field, path, l))
                    .collect::<Result<Vec<_>, _>>()?;
                negate(*negated, Test::In(scope.local(path).to_vec(), values))
            }
            Condition::SemiJoin(path, negated, query) => {
                self.filterable(scope, path)?;
                let object = metadata::object(&query.from.text)
                    .ok_or_else(|| Fault::no_object(self.text, query.from.at, &query.from.text))?;
                let inner = Scope { object, query };
                let [Item::Value(wanted, None)] = query.select.as_slice() else {
                    return Err(self
                        .malformed(query.from.at, "semi join sub-selects must select one field"));
                };
                let field = self.check(&[object], inner.local(wanted), wanted)?;
                if !matches!(field.kind, "id" | "reference") {
                    return Err(
                        self.malformed(wanted.at, "semi join sub-selects can only select ids")
                    );
                }
                let ids: HashSet<Box<str>> = self
                    .rows(&inner, None)?
                    .into_iter()
                    .filter_map(|row| {
                        let v = self.value(object, row, inner.local(wanted));
                        v.as_text().and_then(record_id::key).map(Into::into)
                    })
                    .collect();
                negate(*negated, Test::Ids(scope.local(path).to_vec(), ids))
            }
        })
    }

    fn filterable(&self, scope: &Scope<'_>, path: &Path) -> Result<&'static Field, Fault> {
        if path.function.is_some() {
            return Err(self.malformed(path.at, "unexpected token: '('"));
        }
        let field = self.check(&[scope.object], scope.local(path), path)?;
        if field.kind == "address" || (field.kind == "textarea" && field.length > 255) {
            return Err(Fault::in_query(
                "INVALID_FIELD",
                self.text,
                path.at,
                &format!(
                    "field '{}' can not be filtered in a query call",
                    path.parts.join(".")
                ),
            ));
        }
        Ok(field)
    }

    fn wrong_type(&self, path: &Path, kind: &str, quotes: &str) -> Fault {
        Fault::in_query(
            "INVALID_FIELD",
            self.text,
            path.at,
            &format!(
                "value of filter criterion for field '{}' must be of type {kind}{quotes}",
                path.parts.join(".")
            ),
        )
    }

    fn bound(&self, field: &Field, path: &Path, literal: &Literal) -> Result<Bound, Fault> {
        Ok(match (field.kind, literal) {
            (_, Literal::Null) => Bound::Value(Value::Null),
            ("boolean", Literal::Bool(b)) => Bound::Value(Value::Bool(*b)),
            ("currency" | "double" | "int", Literal::Number(n)) => Bound::Value(Value::Number(*n)),
            ("id" | "reference", Literal::Text(t)) => match record_id::key(t) {
                Some(key) => Bound::Value(Value::Text(key.into())),
                None => {
                    return Err(Fault::in_query(
                        "INVALID_QUERY_FILTER_OPERATOR",
                        self.text,
                        path.at,
                        &format!("invalid ID field: {t}"),
                    ));
                }
            },
            ("date" | "datetime", Literal::Named(name, n)) => {
                let (from, to) = named(name, *n);
                Bound::Range(from, to)
            }
            ("date", Literal::Time(t)) => match t.parse::<jiff::civil::Date>() {
                Ok(d) if t.len() == 10 => Bound::Value(Value::text(&d.to_string())),
                _ => {
                    return Err(self.wrong_type(
                        path,
                        "date",
                        " and should not be enclosed in quotes",
                    ));
                }
            },
            ("datetime", Literal::Time(t)) => match t.parse::<jiff::Timestamp>() {
                Ok(t) => Bound::Value(Value::text(
                    &t.strftime("%Y-%m-%dT%H:%M:%S.000+0000").to_string(),
                )),
                Err(_) => {
                    return Err(self.wrong_type(
                        path,
                        "dateTime",
                        " and should not be enclosed in quotes",
                    ));
                }
            },
            (_, Literal::Text(t)) if is_text(field) => {
                Bound::Value(Value::Text(t.to_lowercase().into()))
            }
            ("boolean", _) => {
                return Err(self.wrong_type(
                    path,
                    "boolean",
                    " and should not be enclosed in quotes",
                ));
            }
            ("currency" | "double" | "int", _) => {
                return Err(self.wrong_type(
                    path,
                    "double",
                    " and should not be enclosed in quotes",
                ));
            }
            ("date" | "datetime", _) => {
                return Err(self.wrong_type(
                    path,
                    field.kind,
                    " and should not be enclosed in quotes",
                ));
            }
            _ => return Err(self.wrong_type(path, "string", " and should be enclosed in quotes")),
        })
    }

    fn holds(&self, object: usize, row: usize, test: &Test) -> bool {
        match test {
            Test::And(list) => list.iter().all(|t| self.holds(object, row, t)),
            Test::Or(list) => list.iter().any(|t| self.holds(object, row, t)),
            Test::Not(t) => !self.holds(object, row, t),
            Test::Compare(parts, operator, bound) => {
                compares(&self.value(object, row, parts), *operator, bound)
            }
            Test::In(parts, values) => {
                let v = self.value(object, row, parts);
                values.iter().any(|b| compares(&v, Operator::Equal, b))
            }
            Test::Like(parts, pattern) => match self.value(object, row, parts).as_text() {
                Some(t) => like(&t.to_lowercase().chars().collect::<Vec<_>>(), pattern),
                None => false,
            },
            Test::Ids(parts, ids) => self
                .value(object, row, parts)
                .as_text()
                .and_then(record_id::key)
                .is_some_and(|k| ids.contains(k)),
        }
    }

    fn groups(&self, scope: &Scope<'_>) -> Result<Vec<Json>, Fault> {
        let query = scope.query;
        let keys: Vec<&[String]> = query.group.iter().map(|p| scope.local(p)).collect();
        for path in &query.group {
            let field = self.check(&[scope.object], scope.local(path), path)?;
            if matches!(field.kind, "currency" | "double" | "address" | "datetime")
                || (field.kind == "textarea" && field.length > 255)
            {
                return Err(self.malformed(
                    path.at,
                    &format!(
                        "field '{}' can not be grouped in a query call",
                        path.parts.join(".")
                    ),
                ));
            }
        }
        // Names of the columns: alias, else exprN for functions (numbered without the aliased ones), else the leaf.
        let mut columns: Vec<(String, &Path)> = Vec::new();
        let mut unnamed = 0;
        for item in &query.select {
            let Item::Value(path, alias) = item else {
                return Err(self.malformed(
                    query.from.at,
                    "subqueries are not allowed in an aggregate query",
                ));
            };
            let leaf = self.column(scope, path, &keys)?;
            let name = match (alias, path.function) {
                (Some(a), _) => a.clone(),
                (None, Some(_)) => {
                    unnamed += 1;
                    format!("expr{}", unnamed - 1)
                }
                (None, None) => leaf,
            };
            if columns.iter().any(|(n, _)| n.eq_ignore_ascii_case(&name)) {
                return Err(self.malformed(path.at, &format!("duplicate alias: {name}")));
            }
            columns.push((name, path));
        }
        let rows = self.rows(scope, Some(&[]))?;
        let mut groups: Vec<Group> = Vec::new();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for row in rows {
            let key: Vec<Value> = keys
                .iter()
                .map(|k| self.value(scope.object, row, k))
                .collect();
            let print = format!("{key:?}");
            let at = *seen.entry(print).or_insert_with(|| {
                groups.push((key, Vec::new()));
                groups.len() - 1
            });
            groups[at].1.push(row);
        }
        if keys.is_empty() && groups.is_empty() {
            groups.push((Vec::new(), Vec::new()));
        }
        groups.sort_by(|(a, _), (b, _)| {
            a.iter()
                .zip(b)
                .map(|(a, b)| compare(a, b))
                .find(|o| o.is_ne())
                .unwrap_or(Ordering::Equal)
        });
        if let Some(having) = &query.having {
            let mut kept = Vec::new();
            for group in groups {
                if self.having(scope, having, &group.1)? {
                    kept.push(group);
                }
            }
            groups = kept;
        }
        if !query.order.is_empty() {
            let mut order = query.order.clone();
            for o in &mut order {
                // An alias of the SELECT list may stand in ORDER BY.
                if let ([word], None) = (o.path.parts.as_slice(), o.path.function)
                    && let Some((_, path)) =
                        columns.iter().find(|(n, _)| n.eq_ignore_ascii_case(word))
                {
                    o.path = (*path).clone();
                }
                self.column(scope, &o.path, &keys)?;
            }
            let mut keyed: Vec<(Vec<Value>, Group)> = groups
                .into_iter()
                .map(|g| {
                    (
                        order
                            .iter()
                            .map(|o| self.aggregate(scope, &o.path, &g.1))
                            .collect(),
                        g,
                    )
                })
                .collect();
            keyed.sort_by(|(a, _), (b, _)| ordered(&order, a, b));
            groups = keyed.into_iter().map(|(_, g)| g).collect();
        }
        groups.drain(..query.offset.min(groups.len()));
        groups.truncate(query.limit.unwrap_or(usize::MAX));
        if groups.len() > UNGROUPED_MAX {
            return Err(Fault::new(
                500,
                "EXCEEDED_ID_LIMIT",
                "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch",
            ));
        }
        Ok(groups
            .iter()
            .map(|(_, rows)| {
                let mut map = Map::new();
                map.insert("attributes".into(), json!({"type": "AggregateResult"}));
                for (name, path) in &columns {
                    map.insert(name.clone(), self.aggregate(scope, path, rows).json());
                }
                Json::Object(map)
            })
            .collect())
    }

    /// Checks one column of an aggregate query and gives its leaf in the schema's spelling.
    fn column(&self, scope: &Scope<'_>, path: &Path, keys: &[&[String]]) -> Result<String, Fault> {
        if path.parts.is_empty() {
            return Err(self.malformed(path.at, "unexpected token: 'COUNT'"));
        }
        let field = self.check(&[scope.object], scope.local(path), path)?;
        let ungrouped =
            |why: &str| self.malformed(path.at, &format!("{why}: {}", path.parts.join(".")));
        match path.function {
            Some(Function::Sum | Function::Avg)
                if !matches!(field.kind, "currency" | "double" | "int") =>
            {
                Err(ungrouped("field does not support aggregate operator"))
            }
            Some(_)
                if field.kind == "address" || (field.kind == "textarea" && field.length > 255) =>
            {
                Err(ungrouped("field does not support aggregate operator"))
            }
            None if !keys.iter().any(|k| same(k, scope.local(path))) => {
                Err(ungrouped("Field must be grouped or aggregated"))
            }
            _ => Ok(field.name.to_owned()),
        }
    }

    fn aggregate(&self, scope: &Scope<'_>, path: &Path, rows: &[usize]) -> Value {
        let parts = scope.local(path);
        let mut values = rows.iter().map(|row| self.value(scope.object, *row, parts));
        let Some(function) = path.function else {
            return values.next().unwrap_or(Value::Null);
        };
        let values: Vec<Value> = values.filter(|v| *v != Value::Null).collect();
        let numbers = || {
            values.iter().map(|v| match v {
                Value::Number(n) => *n,
                Value::Int(i) => *i as f64,
                _ => 0.0,
            })
        };
        let count = |n: usize| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
        match function {
            Function::Count => count(values.len()),
            Function::CountDistinct => count(
                values
                    .iter()
                    .map(|v| format!("{v:?}").to_lowercase())
                    .collect::<HashSet<_>>()
                    .len(),
            ),
            _ if values.is_empty() => Value::Null,
            Function::Sum => Value::Number(numbers().sum()),
            Function::Avg => Value::Number(numbers().sum::<f64>() / values.len() as f64),
            Function::Min => values
                .iter()
                .min_by(|a, b| compare(a, b))
                .cloned()
                .unwrap_or(Value::Null),
            Function::Max => values
                .iter()
                .max_by(|a, b| compare(a, b))
                .cloned()
                .unwrap_or(Value::Null),
        }
    }

    fn having(
        &self,
        scope: &Scope<'_>,
        condition: &Condition,
        rows: &[usize],
    ) -> Result<bool, Fault> {
        Ok(match condition {
            Condition::And(list) => {
                for c in list {
                    if !self.having(scope, c, rows)? {
                        return Ok(false);
                    }
                }
                true
            }
            Condition::Or(list) => {
                for c in list {
                    if self.having(scope, c, rows)? {
                        return Ok(true);
                    }
                }
                false
            }
            Condition::Not(c) => !self.having(scope, c, rows)?,
            Condition::Compare(path, operator, literal) => {
                let field = self.check(&[scope.object], scope.local(path), path)?;
                let bound = match (path.function, literal) {
                    (Some(Function::Count | Function::CountDistinct), Literal::Number(n)) => {
                        Bound::Value(Value::Number(*n))
                    }
                    _ => self.bound(field, path, literal)?,
                };
                compares(&self.aggregate(scope, path, rows), *operator, &bound)
            }
            Condition::In(path, ..) | Condition::SemiJoin(path, ..) => {
                return Err(self.malformed(path.at, "unexpected token: 'IN'"));
            }
        })
    }

    /// One record as it stands in an answer.
    pub fn print(&self, object: usize, row: usize, tree: &[Node], version: &str) -> Json {
        let mut map = Map::new();
        map.insert(
            "attributes".into(),
            self.store.attributes(object, row, version),
        );
        let meta = &OBJECTS[object];
        for node in tree {
            match node {
                Node::Leaf(name) => match meta.field(name) {
                    Some(i) => {
                        map.insert(meta.fields[i].name.into(), self.store.json(object, row, i));
                    }
                    // A polymorphic target without this field: its name field answers for Name.
                    None => {
                        let value = self.value(object, row, std::slice::from_ref(name));
                        map.insert(name.clone(), value.json());
                    }
                },
                Node::Parent(name, inner) => {
                    let Some(i) = meta.relationship(name) else {
                        continue;
                    };
                    let parent = self
                        .store
                        .target(object, row, i)
                        .map_or(Json::Null, |(o, r)| self.print(o, r, inner, version));
                    map.insert(meta.fields[i].relationship.into(), parent);
                }
                Node::Children(name, child) => {
                    let value = match child.rows.get(&row) {
                        Some(rows) if !rows.is_empty() => json!({
                            "totalSize": rows.len(),
                            "done": true,
                            "records": rows
                                .iter()
                                .map(|r| self.print(child.object, *r, &child.tree, version))
                                .collect::<Vec<_>>(),
                        }),
                        _ => Json::Null,
                    };
                    map.insert(name.clone(), value);
                }
            }
        }
        Json::Object(map)
    }
}

/// Key and rows.
type Group = (Vec<Value>, Vec<usize>);

struct Scope<'q> {
    object: usize,
    query: &'q Query,
}

impl Scope<'_> {
    /// The path without the object's own name or alias before it.
    fn local<'p>(&self, path: &'p Path) -> &'p [String] {
        match path.parts.as_slice() {
            [first, rest @ ..]
                if !rest.is_empty()
                    && OBJECTS[self.object].relationship(first).is_none()
                    && (first.eq_ignore_ascii_case(OBJECTS[self.object].name)
                        || first.eq_ignore_ascii_case(&self.query.from.text)
                        || self
                            .query
                            .alias
                            .as_deref()
                            .is_some_and(|a| a.eq_ignore_ascii_case(first))) =>
            {
                rest
            }
            all => all,
        }
    }
}

fn is_aggregate(query: &Query) -> bool {
    query
        .select
        .iter()
        .any(|i| matches!(i, Item::Value(p, _) if p.function.is_some() && !p.parts.is_empty()))
}

fn is_text(field: &Field) -> bool {
    !matches!(
        field.kind,
        "id" | "reference"
            | "boolean"
            | "currency"
            | "double"
            | "int"
            | "date"
            | "datetime"
            | "address"
    )
}

fn same(a: &[String], b: &[String]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.eq_ignore_ascii_case(b))
}

/// Adds a path to the tree; false if it is there already.
fn graft(tree: &mut Vec<Node>, parts: &[String]) -> bool {
    match parts {
        [] => true,
        [leaf] => {
            let new = !tree
                .iter()
                .any(|n| matches!(n, Node::Leaf(l) if l.eq_ignore_ascii_case(leaf)));
            if new {
                tree.push(Node::Leaf(leaf.clone()));
            }
            new
        }
        [relationship, rest @ ..] => {
            let at = tree.iter().position(
                |n| matches!(n, Node::Parent(r, _) if r.eq_ignore_ascii_case(relationship)),
            );
            let at = at.unwrap_or_else(|| {
                tree.push(Node::Parent(relationship.clone(), Vec::new()));
                tree.len() - 1
            });
            match &mut tree[at] {
                Node::Parent(_, inner) => graft(inner, rest),
                _ => false,
            }
        }
    }
}

#[derive(Debug)]
enum Test {
    And(Vec<Test>),
    Or(Vec<Test>),
    Not(Box<Test>),
    Compare(Vec<String>, Operator, Bound),
    In(Vec<String>, Vec<Bound>),
    Like(Vec<String>, Vec<char>),
    Ids(Vec<String>, HashSet<Box<str>>),
}

#[derive(Debug)]
enum Bound {
    /// Text in lower case, ids with 15 characters.
    Value(Value),
    /// From (inclusive) to (exclusive), as dates.
    Range(String, String),
}

fn negate(negated: bool, test: Test) -> Test {
    if negated {
        Test::Not(Box::new(test))
    } else {
        test
    }
}

fn ordered(order: &[Order], a: &[Value], b: &[Value]) -> Ordering {
    for (o, (a, b)) in order.iter().zip(a.iter().zip(b)) {
        let nulls = |first: Ordering| if o.nulls_last { first.reverse() } else { first };
        let by = match (a, b) {
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => nulls(Ordering::Less),
            (_, Value::Null) => nulls(Ordering::Greater),
            _ if o.descending => compare(b, a),
            _ => compare(a, b),
        };
        if by.is_ne() {
            return by;
        }
    }
    Ordering::Equal
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Text(a), Value::Text(b)) => a
            .to_lowercase()
            .cmp(&b.to_lowercase())
            .then_with(|| a.cmp(b)),
        (a, b) => number(a).total_cmp(&number(b)),
    }
}

fn number(v: &Value) -> f64 {
    match v {
        Value::Number(n) => *n,
        Value::Int(i) => *i as f64,
        _ => f64::NAN,
    }
}

fn compares(value: &Value, operator: Operator, bound: &Bound) -> bool {
    let ordering = match (value, bound) {
        (Value::Null, Bound::Value(Value::Null)) => return operator == Operator::Equal,
        // Only "not equal" is true of a missing value.
        (Value::Null, _) | (_, Bound::Value(Value::Null)) => return operator == Operator::NotEqual,
        (Value::Text(t), Bound::Range(from, to)) => {
            if t.as_ref() < from.as_str() {
                Ordering::Less
            } else if t.as_ref() >= to.as_str() {
                Ordering::Greater
            } else {
                Ordering::Equal
            }
        }
        (_, Bound::Range(..)) => return false,
        (Value::Text(t), Bound::Value(Value::Text(b))) => {
            // Ids are stored with 18 characters and bound with 15, where case counts.
            if b.len() == 15 && t.len() == 18 && t.get(..15) == Some(b) {
                Ordering::Equal
            } else {
                t.to_lowercase().as_str().cmp(b)
            }
        }
        (a, Bound::Value(b)) => compare(a, b),
    };
    match operator {
        Operator::Equal => ordering.is_eq(),
        Operator::NotEqual => ordering.is_ne(),
        Operator::Less => ordering.is_lt(),
        Operator::LessOrEqual => ordering.is_le(),
        Operator::Greater => ordering.is_gt(),
        Operator::GreaterOrEqual => ordering.is_ge(),
        Operator::Like => false,
    }
}

/// LIKE over lower-case characters: `%` any run, `_` any one, backslash before either takes it literally.
fn like(text: &[char], pattern: &[char]) -> bool {
    let (mut t, mut p) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        let (wild, literal, width) = match (pattern.get(p), pattern.get(p + 1)) {
            (Some('\\'), Some(c @ ('%' | '_'))) => (None, Some(*c), 2),
            (Some(c @ ('%' | '_')), _) => (Some(*c), None, 1),
            (Some(c), _) => (None, Some(*c), 1),
            (None, _) => (None, None, 0),
        };
        if wild == Some('%') {
            retry = Some((t, p));
            p += 1;
        } else if wild == Some('_') || literal == Some(text[t]) {
            t += 1;
            p += width;
        } else if let Some((from, star)) = retry {
            retry = Some((from + 1, star));
            t = from + 1;
            p = star + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '%')
}

/// A named range of days: from (inclusive), to (exclusive).
fn named(name: &str, n: i64) -> (String, String) {
    let n = n.clamp(0, 100_000);
    let day = |d: i64| TODAY.saturating_add(jiff::Span::new().days(d));
    let month = |m: i64| {
        TODAY
            .first_of_month()
            .saturating_add(jiff::Span::new().months(m))
    };
    let year = |y: i64| {
        TODAY
            .first_of_year()
            .saturating_add(jiff::Span::new().years(y.clamp(-9_000, 9_000)))
    };
    let (from, to) = match name {
        "YESTERDAY" => (day(-1), day(0)),
        "TOMORROW" => (day(1), day(2)),
        "THIS_WEEK" => {
            let back = i64::from(TODAY.weekday().to_sunday_zero_offset());
            (day(-back), day(7 - back))
        }
        "THIS_MONTH" => (month(0), month(1)),
        "LAST_MONTH" => (month(-1), month(0)),
        "THIS_YEAR" => (year(0), year(1)),
        "LAST_YEAR" => (year(-1), year(0)),
        "LAST_N_YEARS" => (year(-n), year(0)),
        "LAST_N_DAYS" => (day(-n), day(1)),
        "NEXT_N_DAYS" => (day(1), day(n + 1)),
        "N_DAYS_AGO" => (day(-n), day(1 - n)),
        _ => (day(0), day(1)),
    };
    (from.to_string(), to.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::{seed, soql};

    fn run(store: &Store, text: &str) -> Result<Vec<Json>, Fault> {
        let e = Evaluator {
            store,
            text,
            deleted: false,
        };
        let q = soql::parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}"));
        Ok(match e.find(&q)? {
            Found::Count(n) => vec![json!(n)],
            Found::Groups(g) => g,
            Found::Records { object, rows, tree } => rows
                .iter()
                .map(|r| e.print(object, *r, &tree, "61.0"))
                .collect(),
        })
    }

    #[test]
    fn questions_with_answers_that_can_be_checked_by_hand() {
        let store = seed::store();
        let ask = |q: &str| run(&store, q).unwrap_or_else(|f| panic!("{q}: {}", f.message));
        assert_eq!(ask("SELECT COUNT() FROM Contact"), [json!(2_000)]);
        let split =
            ask("SELECT HasOptedOutOfEmail h, COUNT(Id) FROM Contact GROUP BY HasOptedOutOfEmail");
        let total: i64 = split.iter().map(|g| g["expr0"].as_i64().unwrap()).sum();
        assert_eq!((split.len(), total), (2, 2_000));
        let with = ask("SELECT COUNT() FROM Contact WHERE Email != null")[0].as_u64();
        let without = ask("SELECT COUNT() FROM Contact WHERE NOT (Email LIKE '%')")[0].as_u64();
        assert_eq!(with.unwrap() + without.unwrap(), 2_000);
        let first = &ask(
            "SELECT Id, Name, Account.Name, Account.Owner.Email FROM Contact WHERE AccountId != null ORDER BY LastName DESC NULLS LAST LIMIT 1",
        )[0];
        assert_eq!(
            first.as_object().unwrap().keys().collect::<Vec<_>>(),
            ["attributes", "Id", "Name", "Account"]
        );
        assert_eq!(first["Account"]["Owner"]["attributes"]["type"], "User");
        let id15 = &first["Id"].as_str().unwrap()[..15];
        assert_eq!(
            ask(&format!("SELECT Id FROM Contact WHERE Id = '{id15}'"))[0]["Id"],
            first["Id"]
        );
        let accounts = ask("SELECT Id, (SELECT Id FROM Contacts) FROM Account");
        let children: u64 = accounts
            .iter()
            .filter_map(|a| a["Contacts"]["totalSize"].as_u64())
            .sum();
        assert_eq!(
            Some(children),
            ask("SELECT COUNT() FROM Contact WHERE AccountId != null")[0].as_u64()
        );
        let joined = ask("SELECT COUNT() FROM Account WHERE Id IN (SELECT AccountId FROM Contact)");
        let having = accounts.iter().filter(|a| !a["Contacts"].is_null()).count();
        assert_eq!(joined[0].as_u64(), Some(having as u64));
        for task in
            ask("SELECT What.Name, Who.Email FROM Task WHERE WhatId != null AND WhoId != null")
        {
            assert!(
                ["Account", "Case"].contains(&task["What"]["attributes"]["type"].as_str().unwrap())
            );
            assert!(task["What"]["Name"].is_string());
        }
    }

    #[test]
    fn mistakes_are_told_in_salesforces_words() {
        let store = seed::store();
        for (q, code, part) in [
            (
                "SELECT Emial FROM Contact",
                "INVALID_FIELD",
                "\nSELECT Emial FROM Contact\n       ^\nERROR at Row:1:Column:8\nNo such column 'Emial' on entity 'Contact'.",
            ),
            (
                "SELECT Id FROM Kontact",
                "INVALID_TYPE",
                "sObject type 'Kontact' is not supported",
            ),
            (
                "SELECT Foo.Name FROM Contact",
                "INVALID_FIELD",
                "Didn't understand relationship 'Foo'",
            ),
            (
                "SELECT Id, Name FROM Contact GROUP BY Id",
                "MALFORMED_QUERY",
                "Field must be grouped or aggregated: Name",
            ),
            (
                "SELECT Account.Name, Owner.Name, COUNT(Id) FROM Contact GROUP BY Account.Name, Owner.Name",
                "MALFORMED_QUERY",
                "duplicate alias: Name",
            ),
            (
                "SELECT Id FROM Contact WHERE Salary__c = '5'",
                "INVALID_FIELD",
                "must be of type double",
            ),
            (
                "SELECT Id FROM Contact WHERE MailingAddress = 'x'",
                "INVALID_FIELD",
                "can not be filtered",
            ),
        ] {
            let f = run(&store, q).unwrap_err();
            assert_eq!((f.status, f.code), (400, code), "{q}");
            assert!(f.message.contains(part), "{q}: {}", f.message);
        }
    }

    #[test]
    fn like_knows_its_wildcards() {
        let like = |t: &str, p: &str| {
            like(
                &t.chars().collect::<Vec<_>>(),
                &p.chars().collect::<Vec<_>>(),
            )
        };
        assert!(
            like("jo@example.org", "%@example.%") && like("abc", "a_c") && like("50%", "50\\%")
        );
        assert!(!like("abc", "a_") && !like("501", "50\\%") && !like("", "_") && like("", "%"));
    }

    #[test]
    fn named_days() {
        assert_eq!(
            named("THIS_MONTH", 1),
            ("2026-11-01".into(), "2026-12-01".into())
        );
        assert_eq!(
            named("LAST_N_DAYS", 2),
            ("2026-11-21".into(), "2026-11-24".into())
        );
    }
}
