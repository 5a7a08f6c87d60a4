//! `…/composite/sobjects`: several records in one request.

use serde_json::{Map, Value as Json, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::fault::Fault;
use crate::demo::metadata::{self, OBJECTS};

const BATCH_MAX: usize = 200;

/// The answer for `rest`, the segments after `composite/sobjects`.
///
/// # Errors
/// Salesforce's words for a body that is none and for too many records.
pub fn answer(crm: &Crm, asked: &Asked, version: &str, rest: &[&str]) -> Result<Reply, Fault> {
    match (rest, asked.method.as_str()) {
        ([object], "GET" | "POST") => retrieve(crm, asked, version, object),
        ([], "POST" | "PATCH") => {
            let body: Json = serde_json::from_slice(&asked.body).unwrap_or(Json::Null);
            let records = body["records"].as_array().cloned().unwrap_or_default();
            if records.is_empty() || records.len() > BATCH_MAX {
                return Err(Fault::new(400, "EXCEEDED_ID_LIMIT", "record limit reached"));
            }
            let results: Vec<Json> = records
                .iter()
                .map(|record| save(crm, asked, version, record))
                .collect();
            Ok(Reply::json(200, &Json::Array(results)))
        }
        ([object, field], "PATCH") => {
            let body: Json = serde_json::from_slice(&asked.body).unwrap_or(Json::Null);
            let records = body["records"].as_array().cloned().unwrap_or_default();
            if records.is_empty() || records.len() > BATCH_MAX {
                return Err(Fault::new(400, "EXCEEDED_ID_LIMIT", "record limit reached"));
            }
            let results: Vec<Json> = records
                .iter()
                .map(|record| upsert(crm, asked, version, object, field, record))
                .collect();
            Ok(Reply::json(200, &Json::Array(results)))
        }
        ([], "DELETE") => {
            let ids = asked.parameter("ids").unwrap_or_default();
            let results: Vec<Json> = ids
                .split(',')
                .map(|id| {
                    let object = OBJECTS.iter().find(|o| id.starts_with(o.key_prefix));
                    let path = format!("sobjects/{}/{id}", object.map_or("None", |o| o.name));
                    result(id, &part(crm, asked, version, "DELETE", &path, &[]))
                })
                .collect();
            Ok(Reply::json(200, &Json::Array(results)))
        }
        (_, method) => Err(Fault::method(method, "GET,POST,PATCH,DELETE")),
    }
}

/// One request of its own, inside this one.
pub(super) fn part(
    crm: &Crm,
    asked: &Asked,
    version: &str,
    method: &str,
    path: &str,
    body: &[u8],
) -> Reply {
    let target = format!("/services/data/v{version}/{path}");
    let part = Asked {
        method: method.to_owned(),
        segments: target.split('/').skip(1).map(str::to_owned).collect(),
        target,
        query: Vec::new(),
        headers: asked.headers.clone(),
        body: body.to_vec(),
        origin: asked.origin.clone(),
    };
    crm.inner(&part)
}

fn result(id: &str, reply: &Reply) -> Json {
    let body: Json = serde_json::from_slice(&reply.body).unwrap_or(Json::Null);
    if reply.status >= 300 {
        let errors: Vec<Json> = body
            .as_array()
            .into_iter()
            .flatten()
            .map(|e| json!({"statusCode": e["errorCode"], "message": e["message"], "fields": []}))
            .collect();
        return json!({"success": false, "errors": errors});
    }
    let id = body["id"].as_str().unwrap_or(id);
    json!({"id": id, "success": true, "errors": []})
}

fn save(crm: &Crm, asked: &Asked, version: &str, record: &Json) -> Json {
    let object = record["attributes"]["type"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let mut fields: Map<String, Json> = record.as_object().cloned().unwrap_or_default();
    fields.remove("attributes");
    let id = fields.remove("id").or_else(|| fields.remove("Id"));
    let id = id.as_ref().and_then(Json::as_str).unwrap_or_default();
    let path = if asked.method == "PATCH" {
        format!("sobjects/{object}/{id}")
    } else {
        format!("sobjects/{object}")
    };
    let body = Json::Object(fields).to_string();
    result(
        id,
        &part(crm, asked, version, &asked.method, &path, body.as_bytes()),
    )
}

fn upsert(
    crm: &Crm,
    asked: &Asked,
    version: &str,
    object: &str,
    field: &str,
    record: &Json,
) -> Json {
    let mut fields: Map<String, Json> = record.as_object().cloned().unwrap_or_default();
    fields.remove("attributes");
    let value = fields.remove(field).unwrap_or(Json::Null);
    let path = format!(
        "sobjects/{object}/{field}/{}",
        value.as_str().unwrap_or_default()
    );
    let body = Json::Object(fields).to_string();
    let reply = part(crm, asked, version, "PATCH", &path, body.as_bytes());
    let id = crate::demo::endpoint::external::id_of(crm, object, field, &value);
    let mut result = result(&id, &reply);
    if let (true, Some(map)) = (reply.status < 300, result.as_object_mut()) {
        map.insert("created".to_owned(), json!(reply.status == 201));
    }
    result
}

fn retrieve(crm: &Crm, asked: &Asked, version: &str, object: &str) -> Result<Reply, Fault> {
    let body: Json = serde_json::from_slice(&asked.body).unwrap_or(Json::Null);
    let list = |name: &str| -> Vec<String> {
        match body[name].as_array() {
            Some(items) => items
                .iter()
                .filter_map(|i| i.as_str().map(str::to_owned))
                .collect(),
            None => asked
                .parameter(name)
                .unwrap_or_default()
                .split(',')
                .filter(|s| !s.is_empty())
                .map(str::to_owned)
                .collect(),
        }
    };
    let object = metadata::object(object).ok_or_else(Fault::not_found)?;
    let meta = &OBJECTS[object];
    let fields = list("fields");
    let store = crm.store();
    let mut records = Vec::new();
    for id in list("ids") {
        let Some(row) = store.table(object).find(&id) else {
            records.push(Json::Null);
            continue;
        };
        let mut map = Map::new();
        map.insert("attributes".into(), store.attributes(object, row, version));
        for name in &fields {
            let field = meta.field(name).ok_or_else(|| {
                let text = crate::demo::fault::no_column(name, meta.name);
                Fault::new(400, "INVALID_FIELD", text)
            })?;
            map.insert(
                meta.fields[field].name.into(),
                store.json(object, row, field),
            );
        }
        map.insert("Id".into(), store.json(object, row, 0));
        records.push(Json::Object(map));
    }
    Ok(Reply::json(200, &Json::Array(records)))
}
