//! `…/composite/tree/X`: records with their children, all or none.

use serde_json::{Map, Value as Json, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::fault::Fault;
use crate::demo::metadata::{self, OBJECTS};

const RECORDS_MAX: usize = 200;

fn malformed() -> Fault {
    Fault::new(
        400,
        "JSON_PARSER_ERROR",
        "The HTTP entity body is no record tree",
    )
}

/// The answer: an id for each record, or the errors of the one that failed, and nothing was made.
///
/// # Errors
/// A body that is no tree, or an object that does not exist.
pub fn answer(crm: &Crm, asked: &Asked, version: &str, object: &str) -> Result<Reply, Fault> {
    let object = metadata::object(object).ok_or_else(Fault::not_found)?;
    let body: Json = serde_json::from_slice(&asked.body).map_err(|_| malformed())?;
    let mut made = Vec::new();
    let failed = list(crm, asked, version, object, &body, None, &mut made).err();
    Ok(match failed {
        None => Reply::json(201, &json!({"hasErrors": false, "results": made})),
        Some((reference, reply)) => {
            for one in &made {
                let id = one["id"].as_str().unwrap_or_default();
                let object = OBJECTS.iter().find(|o| id.starts_with(o.key_prefix));
                let path = format!("sobjects/{}/{id}", object.map_or("None", |o| o.name));
                super::collections::part(crm, asked, version, "DELETE", &path, &[]);
            }
            let errors: Json = serde_json::from_slice(&reply.body).unwrap_or(Json::Null);
            let errors: Vec<Json> = errors
                .as_array()
                .into_iter()
                .flatten()
                .map(|e| {
                    json!({"statusCode": e["errorCode"], "message": e["message"],
                        "fields": e["fields"].as_array().cloned().unwrap_or_default()})
                })
                .collect();
            let result = json!({"referenceId": reference, "errors": errors});
            Reply::json(400, &json!({"hasErrors": true, "results": [result]}))
        }
    })
}

/// Makes the records of a list. `parent`: a reference field, and the id in it.
fn list(
    crm: &Crm,
    asked: &Asked,
    version: &str,
    object: usize,
    body: &Json,
    parent: Option<(&str, &str)>,
    made: &mut Vec<Json>,
) -> Result<(), (String, Reply)> {
    let meta = &OBJECTS[object];
    let fault = |fault: Fault| (String::new(), Reply::from(fault));
    let records = body["records"]
        .as_array()
        .filter(|r| r.len() <= RECORDS_MAX)
        .ok_or_else(|| fault(malformed()))?;
    for record in records {
        let all = record.as_object().ok_or_else(|| fault(malformed()))?;
        let reference = record["attributes"]["referenceId"]
            .as_str()
            .ok_or_else(|| fault(malformed()))?;
        let mut fields: Map<String, Json> = Map::new();
        let mut children = Vec::new();
        for (name, value) in all {
            match meta.child(name) {
                Some(child) if value.is_object() => children.push((child, value)),
                _ => {
                    fields.insert(name.clone(), value.clone());
                }
            }
        }
        if let Some((field, id)) = parent {
            fields.insert(field.to_owned(), json!(id));
        }
        let path = format!("sobjects/{}", meta.name);
        let text = Json::Object(fields).to_string();
        let reply = super::collections::part(crm, asked, version, "POST", &path, text.as_bytes());
        if reply.status >= 300 {
            return Err((reference.to_owned(), reply));
        }
        let answer: Json = serde_json::from_slice(&reply.body).unwrap_or(Json::Null);
        let id = answer["id"].as_str().unwrap_or_default().to_owned();
        made.push(json!({"referenceId": reference, "id": id}));
        for ((_, target, field), value) in children {
            let target = metadata::object(target).ok_or_else(|| fault(Fault::not_found()))?;
            list(
                crm,
                asked,
                version,
                target,
                value,
                Some((*field, &*id)),
                made,
            )?;
        }
    }
    Ok(())
}
