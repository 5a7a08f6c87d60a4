//! `POST …/graphql`: records of `uiapi { query { … } }`, without fragments, variables and directives.
//!
//! Reads with a parser of its own and asks the evaluator of SOQL.

use serde_json::{Map, Value as Json, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::evaluate::{Evaluator, Found};
use crate::demo::fault::Fault;
use crate::demo::metadata::{self, OBJECTS};
use crate::demo::soql::{Condition, Item, Literal, Name, Operator, Order, Path, Query};
use crate::demo::store::Store;

/// Rows of a page where nobody says how many.
const FIRST: usize = 10;

#[derive(Debug)]
struct Selected {
    key: String,
    name: String,
    arguments: Map<String, Json>,
    inner: Vec<Selected>,
}

struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    fn space(&mut self) {
        self.rest = self
            .rest
            .trim_start_matches(|c: char| c.is_whitespace() || c == ',');
    }

    fn is(&mut self, sign: char) -> bool {
        self.space();
        match self.rest.strip_prefix(sign) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn word(&mut self) -> Option<&'t str> {
        self.space();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '+');
        let end = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(word).filter(|w| !w.is_empty())
    }

    fn selections(&mut self) -> Option<Vec<Selected>> {
        if !self.is('{') {
            return None;
        }
        let mut all = Vec::new();
        while !self.is('}') {
            let first = self.word()?.to_owned();
            let (key, name) = match self.is(':') {
                true => (first, self.word()?.to_owned()),
                false => (first.clone(), first),
            };
            let arguments = match self.is('(') {
                true => self.pairs(')')?,
                false => Map::new(),
            };
            self.space();
            let inner = match self.rest.starts_with('{') {
                true => self.selections()?,
                false => Vec::new(),
            };
            all.push(Selected {
                key,
                name,
                arguments,
                inner,
            });
        }
        Some(all)
    }

    fn pairs(&mut self, end: char) -> Option<Map<String, Json>> {
        let mut all = Map::new();
        while !self.is(end) {
            let name = self.word()?.to_owned();
            if !self.is(':') {
                return None;
            }
            let value = self.value()?;
            all.insert(name, value);
        }
        Some(all)
    }

    fn value(&mut self) -> Option<Json> {
        if self.is('{') {
            return self.pairs('}').map(Json::Object);
        }
        if self.is('[') {
            let mut all = Vec::new();
            while !self.is(']') {
                all.push(self.value()?);
            }
            return Some(Json::Array(all));
        }
        if self.rest.starts_with('"') {
            let mut stream = serde_json::Deserializer::from_str(self.rest).into_iter::<Json>();
            let text = stream.next()?.ok()?;
            self.rest = &self.rest[stream.byte_offset()..];
            return Some(text);
        }
        let word = self.word()?;
        // A word of an enumeration is told from a text.
        Some(serde_json::from_str(word).unwrap_or_else(|_| json!({ "$word": word })))
    }
}

type Mistake = String;

/// Answers one document.
///
/// # Errors
/// A body that is no JSON.
pub fn answer(crm: &Crm, asked: &Asked) -> Result<Reply, Fault> {
    let body: Json = serde_json::from_slice(&asked.body)
        .map_err(|_| Fault::new(400, "JSON_PARSER_ERROR", "The body is no JSON"))?;
    let text = body["query"].as_str().unwrap_or_default();
    let store = crm.store();
    let found = Reader {
        rest: text.trim_start().trim_start_matches("query"),
    }
    .selections()
    .ok_or_else(|| format!("Invalid Syntax : offending token near '{text}'"))
    .and_then(|roots| data(&store, &roots));
    let answer = match found {
        Ok(data) => json!({ "data": data, "errors": [] }),
        Err(message) => json!({ "data": null, "errors": [{
            "message": message, "locations": [{ "line": 1, "column": 1 }], "paths": ["uiapi"],
            "extensions": { "ErrorType": "ValidationError", "query": text },
        }] }),
    };
    Ok(Reply::json(200, &answer))
}

fn undefined(name: &str) -> Mistake {
    format!("Validation error (FieldUndefined) : Field '{name}' is undefined")
}

fn data(store: &Store, roots: &[Selected]) -> Result<Json, Mistake> {
    let mut all = Map::new();
    for root in roots {
        let value = match (&*root.name, root.inner.is_empty()) {
            ("__typename", true) => json!("Query"),
            ("uiapi", false) => {
                let mut apis = Map::new();
                for api in &root.inner {
                    let value = match &*api.name {
                        "__typename" => json!("UIAPI"),
                        "query" => {
                            let mut found = Map::new();
                            for one in &api.inner {
                                let object = metadata::object(&one.name)
                                    .ok_or_else(|| undefined(&one.name))?;
                                found.insert(one.key.clone(), records(store, object, one, None)?);
                            }
                            Json::Object(found)
                        }
                        name => return Err(undefined(name)),
                    };
                    apis.insert(api.key.clone(), value);
                }
                Json::Object(apis)
            }
            (name, _) => return Err(undefined(name)),
        };
        all.insert(root.key.clone(), value);
    }
    Ok(Json::Object(all))
}

fn path(parts: &[String]) -> Path {
    Path {
        parts: parts.to_vec(),
        function: None,
        at: 0,
    }
}

/// `within`: the reference field and the id of the parent.
fn records(
    store: &Store,
    object: usize,
    asked: &Selected,
    within: Option<(&str, &str)>,
) -> Result<Json, Mistake> {
    let mut conditions = Vec::new();
    if let Some((field, id)) = within {
        conditions.push(Condition::Compare(
            path(&[field.to_owned()]),
            Operator::Equal,
            Literal::Text(id.to_owned()),
        ));
    }
    if let Some(filter) = asked.arguments.get("where") {
        conditions.push(condition(object, &[], filter)?);
    }
    let mut order = Vec::new();
    match asked.arguments.get("orderBy") {
        None => {}
        Some(Json::Array(all)) => {
            for one in all {
                orders(object, &[], one, &mut order)?;
            }
        }
        Some(one) => orders(object, &[], one, &mut order)?,
    }
    let query = Query {
        select: vec![Item::Value(path(&["Id".to_owned()]), None)],
        from: Name {
            text: OBJECTS[object].name.to_owned(),
            at: 0,
        },
        alias: None,
        filter: (!conditions.is_empty()).then_some(Condition::And(conditions)),
        group: Vec::new(),
        having: None,
        order,
        limit: None,
        offset: 0,
    };
    let evaluator = Evaluator {
        store,
        text: "",
        deleted: false,
    };
    let rows = match evaluator.find(&query) {
        Ok(Found::Records { rows, .. }) => rows,
        Ok(_) => return Err("unexpected".to_owned()),
        Err(fault) => return Err(fault.message),
    };
    let first = asked.arguments.get("first").and_then(Json::as_u64);
    let first = first.map_or(FIRST, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let from = match asked.arguments.get("after").and_then(Json::as_str) {
        None => 0,
        Some(cursor) => offset(cursor).ok_or("Invalid cursor")?,
    };
    let page: Vec<(usize, usize)> = rows
        .iter()
        .copied()
        .enumerate()
        .skip(from)
        .take(first)
        .collect();
    let more = from + page.len() < rows.len();
    let mut all = Map::new();
    for one in &asked.inner {
        let value = match &*one.name {
            "__typename" => json!(format!("{}Connection", OBJECTS[object].name)),
            "totalCount" => json!(rows.len()),
            "pageResultCount" => json!(page.len()),
            "pageInfo" => {
                let mut info = Map::new();
                for part in &one.inner {
                    let value = match &*part.name {
                        "__typename" => json!("PageInfo"),
                        "hasNextPage" => json!(more),
                        "hasPreviousPage" => json!(from > 0),
                        "startCursor" => page.first().map_or(Json::Null, |(n, _)| cursor(*n)),
                        "endCursor" => page.last().map_or(Json::Null, |(n, _)| cursor(*n)),
                        name => return Err(undefined(name)),
                    };
                    info.insert(part.key.clone(), value);
                }
                Json::Object(info)
            }
            "edges" => {
                let mut edges = Vec::new();
                for (n, row) in &page {
                    let mut edge = Map::new();
                    for part in &one.inner {
                        let value = match &*part.name {
                            "__typename" => json!(format!("{}Edge", OBJECTS[object].name)),
                            "cursor" => cursor(*n),
                            "node" => record(store, object, *row, &part.inner)?,
                            name => return Err(undefined(name)),
                        };
                        edge.insert(part.key.clone(), value);
                    }
                    edges.push(Json::Object(edge));
                }
                Json::Array(edges)
            }
            name => return Err(undefined(name)),
        };
        all.insert(one.key.clone(), value);
    }
    Ok(Json::Object(all))
}

fn record(store: &Store, object: usize, row: usize, asked: &[Selected]) -> Result<Json, Mistake> {
    let meta = &OBJECTS[object];
    let mut all = Map::new();
    for one in asked {
        let value = if one.name == "__typename" {
            json!(meta.name)
        } else if let Some(field) = meta.field(&one.name) {
            let value = store.json(object, row, field);
            if meta.fields[field].kind == "id" {
                value
            } else {
                let mut parts = Map::new();
                for part in &one.inner {
                    let value = match (&*part.name, meta.fields[field].kind) {
                        ("value", _) => value.clone(),
                        // What people see of it.
                        ("displayValue", "currency" | "date" | "datetime" | "picklist" | "int")
                            if !value.is_null() =>
                        {
                            json!(
                                value
                                    .as_str()
                                    .map_or_else(|| value.to_string(), str::to_owned)
                            )
                        }
                        ("displayValue", _) => Json::Null,
                        (name, _) => return Err(undefined(name)),
                    };
                    parts.insert(part.key.clone(), value);
                }
                Json::Object(parts)
            }
        } else if let Some(field) = meta.relationship(&one.name) {
            match store.target(object, row, field) {
                None => Json::Null,
                Some((object, row)) => record(store, object, row, &one.inner)?,
            }
        } else if let Some((_, child, via)) = meta.child(&one.name) {
            let child = metadata::object(child).ok_or_else(|| undefined(&one.name))?;
            let id = store.json(object, row, 0);
            records(
                store,
                child,
                one,
                Some((via, id.as_str().unwrap_or_default())),
            )?
        } else {
            return Err(undefined(&one.name));
        };
        all.insert(one.key.clone(), value);
    }
    Ok(Json::Object(all))
}

fn condition(object: usize, prefix: &[String], filter: &Json) -> Result<Condition, Mistake> {
    let members = filter.as_object().ok_or("where takes an object")?;
    let mut all = Vec::new();
    for (name, value) in members {
        let list = |value: &Json| -> Result<Vec<Condition>, Mistake> {
            let parts = value.as_array().ok_or("a list is missing")?;
            parts.iter().map(|p| condition(object, prefix, p)).collect()
        };
        let mut parts = prefix.to_vec();
        parts.push(name.clone());
        match &**name {
            "and" => all.push(Condition::And(list(value)?)),
            "or" => all.push(Condition::Or(list(value)?)),
            "not" => all.push(Condition::Not(Box::new(condition(object, prefix, value)?))),
            _ => {
                let meta = &OBJECTS[object];
                if let Some(parent) = meta.relationship(name) {
                    let target = meta.fields[parent].reference_to.first();
                    let target = target.and_then(|t| metadata::object(t));
                    all.push(condition(
                        target.ok_or_else(|| undefined(name))?,
                        &parts,
                        value,
                    )?);
                    continue;
                }
                let clauses = value.as_object().ok_or_else(|| undefined(name))?;
                for (word, value) in clauses {
                    let right = |value: &Json| literal(value);
                    let operator = match &**word {
                        "eq" => Operator::Equal,
                        "ne" => Operator::NotEqual,
                        "lt" => Operator::Less,
                        "lte" => Operator::LessOrEqual,
                        "gt" => Operator::Greater,
                        "gte" => Operator::GreaterOrEqual,
                        "like" => Operator::Like,
                        "in" | "nin" => {
                            let values = value.as_array().ok_or("a list is missing")?;
                            let values = values.iter().map(right).collect();
                            all.push(Condition::In(path(&parts), word == "nin", values));
                            continue;
                        }
                        word => return Err(undefined(word)),
                    };
                    all.push(Condition::Compare(path(&parts), operator, right(value)));
                }
            }
        }
    }
    Ok(Condition::And(all))
}

fn literal(value: &Json) -> Literal {
    match value {
        Json::Bool(value) => Literal::Bool(*value),
        Json::Number(n) => n.as_f64().map_or(Literal::Null, Literal::Number),
        Json::String(text) => Literal::Text(text.clone()),
        Json::Object(form) => match (form.get("value"), form.get("literal")) {
            (Some(Json::String(time)), _) => Literal::Time(time.clone()),
            (_, Some(word)) => Literal::Named(word["$word"].as_str().unwrap_or_default().into(), 0),
            _ => form
                .get("range")
                .and_then(Json::as_object)
                .and_then(|r| r.iter().next())
                .map_or(Literal::Null, |(name, n)| {
                    Literal::Named(name.to_uppercase(), n.as_i64().unwrap_or(0))
                }),
        },
        _ => Literal::Null,
    }
}

fn orders(
    object: usize,
    prefix: &[String],
    order: &Json,
    all: &mut Vec<Order>,
) -> Result<(), Mistake> {
    for (name, value) in order.as_object().ok_or("orderBy takes an object")? {
        let mut parts = prefix.to_vec();
        parts.push(name.clone());
        let meta = &OBJECTS[object];
        if let Some(parent) = meta.relationship(name) {
            let target = meta.fields[parent].reference_to.first();
            let target = target.and_then(|t| metadata::object(t));
            orders(target.ok_or_else(|| undefined(name))?, &parts, value, all)?;
            continue;
        }
        all.push(Order {
            path: path(&parts),
            descending: value["order"]["$word"] == "DESC",
            nulls_last: value["nulls"]["$word"] == "LAST",
        });
    }
    Ok(())
}

/// The cursor of the row `n`: opaque, and read back by [`offset`].
fn cursor(n: usize) -> Json {
    let text = json!({ "v": "1", "c": n.to_string() }).to_string();
    json!(data_encoding::BASE64.encode(text.as_bytes()))
}

/// The row after a cursor.
fn offset(cursor: &str) -> Option<usize> {
    let text = data_encoding::BASE64.decode(cursor.as_bytes()).ok()?;
    let cursor: Json = serde_json::from_slice(&text).ok()?;
    Some(cursor["c"].as_str()?.parse::<usize>().ok()? + 1)
}
