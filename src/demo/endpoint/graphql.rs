//! `POST …/graphql`: records of `uiapi { query { … } }` and groups of `uiapi { aggregate { … } }`, without fragments, variables and directives.
//!
//! Reads with a parser of its own and asks the evaluator of SOQL.

use serde_json::{Map, Value as Json, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::evaluate::{Evaluator, Found};
use crate::demo::fault::Fault;
use crate::demo::metadata::{self, OBJECTS};
use crate::demo::soql::{Condition, Function, Item, Literal, Name, Operator, Order, Path, Query};
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
                        "query" | "aggregate" => {
                            let mut found = Map::new();
                            for one in &api.inner {
                                let object = metadata::object(&one.name)
                                    .ok_or_else(|| undefined(&one.name))?;
                                let list = match &*api.name {
                                    "query" => records(store, object, one, None)?,
                                    _ => groups(store, object, one)?,
                                };
                                found.insert(one.key.clone(), list);
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
    let query = query(object, asked, within, Vec::new(), Vec::new())?;
    let Found::Records { rows, .. } = find(store, &query)? else {
        return Err("unexpected".to_owned());
    };
    let node = |n: usize, node: &Selected| record(store, object, rows[n], &node.inner);
    connection(asked, OBJECTS[object].name, rows.len(), rows.len(), &node)
}

/// What is counted of each group: a field and a function, `None` for the value that is grouped by.
type Column = (String, Option<Function>);

/// Groups of records.
fn groups(store: &Store, object: usize, asked: &Selected) -> Result<Json, Mistake> {
    let mut keys = Vec::new();
    for (name, clause) in asked
        .arguments
        .get("groupBy")
        .and_then(Json::as_object)
        .into_iter()
        .flatten()
    {
        if clause["group"] != true {
            return Err(format!("groupBy of {name}"));
        }
        keys.push(path(std::slice::from_ref(name)));
    }
    let mut columns: Vec<Column> = Vec::new();
    let nodes = |of: &Selected, name: &str| -> Vec<usize> {
        (0..of.inner.len())
            .filter(|n| of.inner[*n].name == name)
            .collect()
    };
    for edges in nodes(asked, "edges") {
        let edges = &asked.inner[edges];
        for node in nodes(edges, "node") {
            let node = &edges.inner[node];
            for aggregate in nodes(node, "aggregate") {
                for field in &node.inner[aggregate].inner {
                    for part in field.inner.iter().filter(|_| field.name != "__typename") {
                        let column = (field.name.clone(), function(&part.name));
                        if !columns.contains(&column) {
                            columns.push(column);
                        }
                    }
                }
            }
        }
    }
    let all = query(object, asked, None, Vec::new(), Vec::new())?;
    let name = OBJECTS[object].name;
    if columns.is_empty() && keys.is_empty() {
        let Found::Records { rows, .. } = find(
            store,
            &Query {
                order: Vec::new(),
                ..all
            },
        )?
        else {
            return Err("unexpected".to_owned());
        };
        return connection(asked, name, rows.len(), 0, &|_, _| Ok(Json::Null));
    }
    let mut select: Vec<Item> = Vec::new();
    for (n, (field, function)) in columns.iter().enumerate() {
        let mut path = path(std::slice::from_ref(field));
        path.function = *function;
        select.push(Item::Value(path, Some(format!("c{n}"))));
    }
    if select.is_empty() {
        select = keys.iter().map(|k| Item::Value(k.clone(), None)).collect();
    }
    let query = query(object, asked, None, select, keys)?;
    let Found::Groups(rows) = find(store, &query)? else {
        return Err("unexpected".to_owned());
    };
    let node = |n: usize, node: &Selected| {
        let mut all = Map::new();
        for part in &node.inner {
            let value = match &*part.name {
                "__typename" => json!(format!("{name}Result")),
                "aggregate" => {
                    let mut fields = Map::new();
                    for field in &part.inner {
                        let value = match &*field.name {
                            "__typename" => json!(format!("{name}Aggregate")),
                            _ => group(&rows[n], &columns, field)?,
                        };
                        fields.insert(field.key.clone(), value);
                    }
                    Json::Object(fields)
                }
                name => return Err(undefined(name)),
            };
            all.insert(part.key.clone(), value);
        }
        Ok(Json::Object(all))
    };
    connection(asked, name, rows.len(), rows.len(), &node)
}

/// What a group shows of a field.
fn group(row: &Json, columns: &[Column], field: &Selected) -> Result<Json, Mistake> {
    let mut all = Map::new();
    for part in &field.inner {
        let of = function(&part.name);
        let column = columns.iter().position(|c| c.0 == field.name && c.1 == of);
        let value = &row[format!("c{}", column.ok_or_else(|| undefined(&part.name))?)];
        let shown = |name: &str| match name {
            "value" => Ok(value.clone()),
            "displayValue" if value.is_null() => Ok(Json::Null),
            "displayValue" => Ok(json!(
                value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned)
            )),
            name => Err(undefined(name)),
        };
        let value = match of {
            None => shown(&part.name)?,
            Some(_) => {
                let mut inner = Map::new();
                for one in &part.inner {
                    inner.insert(one.key.clone(), shown(&one.name)?);
                }
                Json::Object(inner)
            }
        };
        all.insert(part.key.clone(), value);
    }
    Ok(Json::Object(all))
}

fn function(name: &str) -> Option<Function> {
    Some(match name {
        "count" | "COUNT" => Function::Count,
        "countDistinct" | "COUNT_DISTINCT" => Function::CountDistinct,
        "sum" | "SUM" => Function::Sum,
        "avg" | "AVG" => Function::Avg,
        "min" | "MIN" => Function::Min,
        "max" | "MAX" => Function::Max,
        _ => return None,
    })
}

/// What `asked` asks for of `object`; `select`: its id where nothing is given.
fn query(
    object: usize,
    asked: &Selected,
    within: Option<(&str, &str)>,
    mut select: Vec<Item>,
    group: Vec<Path>,
) -> Result<Query, Mistake> {
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
    if select.is_empty() {
        select.push(Item::Value(path(&["Id".to_owned()]), None));
    }
    Ok(Query {
        select,
        from: Name {
            text: OBJECTS[object].name.to_owned(),
            at: 0,
        },
        alias: None,
        filter: (!conditions.is_empty()).then_some(Condition::And(conditions)),
        group,
        having: None,
        order,
        limit: None,
        offset: 0,
    })
}

fn find(store: &Store, query: &Query) -> Result<Found, Mistake> {
    let evaluator = Evaluator {
        store,
        text: "",
        deleted: false,
    };
    evaluator.find(query).map_err(|fault| fault.message)
}

/// A list of `listed` rows, of which `node` shows each.
fn connection(
    asked: &Selected,
    object: &str,
    total: usize,
    listed: usize,
    node: &dyn Fn(usize, &Selected) -> Result<Json, Mistake>,
) -> Result<Json, Mistake> {
    let first = asked.arguments.get("first").and_then(Json::as_u64);
    let first = first.map_or(FIRST, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let from = match asked.arguments.get("after").and_then(Json::as_str) {
        None => 0,
        Some(cursor) => offset(cursor).ok_or("Invalid cursor")?,
    };
    let page: Vec<usize> = (0..listed).skip(from).take(first).collect();
    let more = from + page.len() < listed;
    let mut all = Map::new();
    for one in &asked.inner {
        let value = match &*one.name {
            "__typename" => json!(format!("{object}Connection")),
            "totalCount" => json!(total),
            "pageResultCount" => json!(page.len()),
            "pageInfo" => {
                let mut info = Map::new();
                for part in &one.inner {
                    let value = match &*part.name {
                        "__typename" => json!("PageInfo"),
                        "hasNextPage" => json!(more),
                        "hasPreviousPage" => json!(from > 0),
                        "startCursor" => page.first().map_or(Json::Null, |n| cursor(*n)),
                        "endCursor" => page.last().map_or(Json::Null, |n| cursor(*n)),
                        name => return Err(undefined(name)),
                    };
                    info.insert(part.key.clone(), value);
                }
                Json::Object(info)
            }
            "edges" => {
                let mut edges = Vec::new();
                for n in &page {
                    let mut edge = Map::new();
                    for part in &one.inner {
                        let value = match &*part.name {
                            "__typename" => json!(format!("{object}Edge")),
                            "cursor" => cursor(*n),
                            "node" => node(*n, part)?,
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
        let mut path = path(&parts);
        path.function = value["function"]["$word"].as_str().and_then(function);
        all.push(Order {
            path,
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
