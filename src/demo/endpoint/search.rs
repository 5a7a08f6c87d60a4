//! `GET …/search?q=` (SOSL), `…/parameterizedSearch` and `…/search/suggestions`.

use serde_json::{Map, Value as Json, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::evaluate::{Evaluator, Found};
use crate::demo::fault::Fault;
use crate::demo::metadata::{self, OBJECTS};
use crate::demo::soql;
use crate::demo::sosl::{self, Part, Search, Wanted};
use crate::demo::store::Store;

/// From this version on the answer is an object; before it, a bare array.
const OBJECT_SINCE: u32 = 37;

fn malformed(why: impl Into<String>) -> Fault {
    Fault::new(400, "MALFORMED_SEARCH", why)
}

/// SOSL.
///
/// # Errors
/// Whatever is wrong with the search.
pub fn sosl(crm: &Crm, asked: &Asked, version: &str) -> Result<Reply, Fault> {
    let text = asked
        .parameter("q")
        .ok_or_else(|| malformed("No search string was specified"))?;
    let search = sosl::parse(text).map_err(malformed)?;
    let records = run(crm, &search, version)?;
    let major = version
        .split('.')
        .next()
        .and_then(|v| v.parse().ok())
        .unwrap_or(OBJECT_SINCE);
    if major < OBJECT_SINCE {
        return Ok(Reply::json(200, &Json::Array(records)));
    }
    let mut answer = Map::new();
    answer.insert("searchRecords".into(), Json::Array(records));
    if search.labels {
        answer.insert("metadata".into(), labels(&search));
    }
    Ok(Reply::json(200, &Json::Object(answer)))
}

/// By parameters or by a JSON body.
///
/// # Errors
/// Whatever is wrong with the search.
pub fn parameterized(crm: &Crm, asked: &Asked, version: &str) -> Result<Reply, Fault> {
    let body: Json = if asked.method == "POST" {
        serde_json::from_slice(&asked.body)
            .map_err(|_| Fault::new(400, "JSON_PARSER_ERROR", "Unexpected character"))?
    } else {
        let objects: Vec<Json> = asked
            .parameter("sobject")
            .into_iter()
            .map(|name| {
                let of = |what: &str| asked.parameter(&format!("{name}.{what}"));
                json!({
                    "name": name,
                    "fields": of("fields").map(|f| f.split(',').collect::<Vec<_>>()),
                    "where": of("where"),
                })
            })
            .collect();
        json!({"q": asked.parameter("q"), "in": asked.parameter("in"), "sobjects": objects})
    };
    let text = |json: &Json| json.as_str().map(str::to_owned);
    let q = text(&body["q"]).ok_or_else(|| malformed("No search string was specified"))?;
    let wanted = body["sobjects"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|object| {
            let fields = object["fields"]
                .as_array()
                .or(body["fields"].as_array())
                .map(|f| f.iter().filter_map(text).collect::<Vec<_>>().join(", "))
                .filter(|f| !f.is_empty());
            let mut clauses = String::new();
            if let Some(filter) = object["where"].as_str() {
                clauses.push_str(&format!(" WHERE {filter}"));
            }
            if let Some(order) = object["orderBy"].as_str() {
                clauses.push_str(&format!(" ORDER BY {order}"));
            }
            if let Some(limit) = object["limit"].as_u64() {
                clauses.push_str(&format!(" LIMIT {limit}"));
            }
            Wanted {
                object: text(&object["name"]).unwrap_or_default(),
                fields,
                clauses,
            }
        })
        .collect();
    let search = Search {
        parts: sosl::term(&q),
        scope: text(&body["in"]).unwrap_or_else(|| "ALL".to_owned()),
        wanted,
        limit: body["overallLimit"]
            .as_u64()
            .and_then(|l| usize::try_from(l).ok()),
        labels: false,
        snippet: false,
    };
    let records = run(crm, &search, version)?;
    Ok(Reply::json(200, &json!({ "searchRecords": records })))
}

/// Names that begin with `q`.
///
/// # Errors
/// An object that is not there.
pub fn suggestions(crm: &Crm, asked: &Asked, version: &str) -> Result<Reply, Fault> {
    let (Some(q), Some(object)) = (asked.parameter("q"), asked.parameter("sobject")) else {
        return Err(malformed("q and sobject are required"));
    };
    let name = metadata::object(object)
        .and_then(|o| OBJECTS[o].name_field().map(|f| OBJECTS[o].fields[f].name))
        .ok_or_else(|| Fault::new(400, "INVALID_TYPE", format!("{object} is not supported")))?;
    let mut fields = vec!["Id", name];
    for field in asked.parameter("fields").unwrap_or_default().split(',') {
        if !field.is_empty() && !fields.iter().any(|f| f.eq_ignore_ascii_case(field)) {
            fields.push(field);
        }
    }
    let limit = asked
        .parameter("limit")
        .and_then(|l| l.parse().ok())
        .unwrap_or(5);
    let search = Search {
        parts: vec![Part::Word(format!("{}*", q.to_lowercase()))],
        scope: "NAME".to_owned(),
        wanted: vec![Wanted {
            object: object.to_owned(),
            fields: Some(fields.join(", ")),
            clauses: String::new(),
        }],
        limit: Some(limit + 1),
        labels: false,
        snippet: false,
    };
    let mut records = run(crm, &search, version)?;
    let more = records.len() > limit;
    records.truncate(limit);
    let answer = json!({"autoSuggestResults": records, "hasMoreResults": more});
    Ok(Reply::json(200, &answer))
}

fn run(crm: &Crm, search: &Search, version: &str) -> Result<Vec<Json>, Fault> {
    let store = crm.store();
    let mut records = Vec::new();
    for wanted in &search.wanted {
        let fields = wanted.fields.as_deref().unwrap_or("Id");
        let text = format!("SELECT {fields} FROM {}{}", wanted.object, wanted.clauses);
        let mut query = soql::parse(&text)
            .map_err(|e| Fault::in_query("MALFORMED_SEARCH", &text, e.at, &e.why))?;
        let (limit, offset) = (query.limit.take(), std::mem::take(&mut query.offset));
        let evaluator = Evaluator {
            store: &store,
            text: &text,
            deleted: false,
        };
        let Found::Records { object, rows, tree } = evaluator.find(&query)? else {
            return Err(malformed("a search returns records"));
        };
        let hits = rows
            .into_iter()
            .filter(|row| {
                let values = values(&store, object, *row, &search.scope);
                sosl::matches(&search.parts, &values)
            })
            .skip(offset)
            .take(limit.unwrap_or(200));
        for row in hits {
            let mut record = evaluator.print(object, row, &tree, version);
            if search.snippet {
                let found = values(&store, object, row, &search.scope).join(" … ");
                record["snippet"] = json!({"text": found, "wholeFields": []});
            }
            records.push(record);
        }
    }
    records.truncate(search.limit.unwrap_or(2_000));
    Ok(records)
}

/// The values that a scope looks into.
fn values(store: &Store, object: usize, row: usize, scope: &str) -> Vec<String> {
    OBJECTS[object]
        .fields
        .iter()
        .enumerate()
        .filter(|(_, f)| match scope.to_ascii_uppercase().as_str() {
            "NAME" => f.name_field,
            "EMAIL" => f.kind == "email",
            "PHONE" => f.kind == "phone",
            _ => matches!(
                f.kind,
                "string" | "email" | "phone" | "url" | "textarea" | "picklist" | "combobox"
            ),
        })
        .filter_map(|(i, _)| store.value(object, row, i).as_text().map(str::to_owned))
        .collect()
}

fn labels(search: &Search) -> Json {
    let entities: Vec<Json> = search
        .wanted
        .iter()
        .filter_map(|wanted| {
            let meta = &OBJECTS[metadata::object(&wanted.object)?];
            let fields: Vec<Json> = wanted
                .fields
                .as_deref()
                .unwrap_or("Id")
                .split(',')
                .filter_map(|f| meta.field(f.trim()))
                .map(|f| json!({"name": meta.fields[f].name, "label": meta.fields[f].label()}))
                .collect();
            Some(json!({"entityName": meta.name, "fieldMetadata": fields}))
        })
        .collect();
    json!({ "entityMetadata": entities })
}
