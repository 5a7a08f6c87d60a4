//! `GET …/ui-api/records…` and `…/ui-api/object-info/X`.

use serde_json::{Map, Value, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::fault::Fault;
use crate::demo::metadata::{OBJECTS, object};

use super::{list_views, query};

/// Everything under `ui-api`.
///
/// # Errors
/// What the CRM would say.
pub fn answer(crm: &Crm, asked: &Asked, version: &str, rest: &[&str]) -> Result<Reply, Fault> {
    match rest {
        ["object-info", name] => info(name),
        ["records", "batch", ids] => {
            let results: Vec<Value> = ids
                .split(',')
                .map(|id| match record(crm, asked, version, id) {
                    Ok(found) => json!({"result": found, "statusCode": 200}),
                    Err(fault) => json!({"result": fault.json(), "statusCode": fault.status}),
                })
                .collect();
            let errors = results.iter().any(|r| r["statusCode"] != 200);
            Ok(Reply::json(
                200,
                &json!({"hasErrors": errors, "results": results}),
            ))
        }
        ["list-records", view] => {
            let soql = list_views::soql(view).ok_or_else(Fault::not_found)?;
            let order = soql.split(" FROM Contact").nth(1).unwrap_or_default();
            let reply = query::first(
                crm,
                &format!("SELECT Id FROM Contact{order}"),
                version,
                usize::MAX,
            )?;
            let found: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            let number = |name: &str, default: usize| {
                let text = asked.parameter(name);
                text.and_then(|t| t.parse().ok()).unwrap_or(default)
            };
            let (from, size) = (number("pageToken", 0), number("pageSize", 50));
            let ids = found["records"].as_array().cloned().unwrap_or_default();
            let page: Vec<Value> = ids
                .iter()
                .skip(from)
                .take(size)
                .map(|r| record(crm, asked, version, r["Id"].as_str().unwrap_or_default()))
                .collect::<Result<_, _>>()?;
            let next = (from + page.len() < ids.len()).then(|| (from + page.len()).to_string());
            Ok(Reply::json(
                200,
                &json!({"count": page.len(), "currentPageToken": from.to_string(), "currentPageUrl": "/x?pageToken=0",
                    "fields": [], "listInfoETag": "aa", "nextPageToken": next, "nextPageUrl": "/x?pageToken=1",
                    "pageSize": size, "previousPageToken": null, "records": page}),
            ))
        }
        ["records", id] => Ok(Reply::json(200, &record(crm, asked, version, id)?)),
        _ => Err(Fault::not_found()),
    }
}

fn record(crm: &Crm, asked: &Asked, version: &str, id: &str) -> Result<Value, Fault> {
    let fields = asked.parameter("fields").unwrap_or_default();
    let optional = asked.parameter("optionalFields").unwrap_or_default();
    let paths: Vec<&str> = fields
        .split(',')
        .chain(optional.split(',').filter(|p| !p.is_empty()))
        .collect();
    let (name, _) = paths
        .first()
        .and_then(|p| p.split_once('.'))
        .ok_or_else(Fault::not_found)?;
    let mut select: Vec<&str> = vec!["Id"];
    for path in &paths {
        let path = path.split_once('.').map_or("", |(_, rest)| rest);
        if !select.iter().any(|s| s.eq_ignore_ascii_case(path)) {
            select.push(path);
        }
    }
    let soql = format!("SELECT {} FROM {name} WHERE Id = '{id}'", select.join(", "));
    let reply = query::first(crm, &soql, version, 200)?;
    let found: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let found = found["records"]
        .get(0)
        .cloned()
        .ok_or_else(Fault::not_found)?;
    Ok(shown(name, &found, true))
}

/// A record of the REST API as the User Interface API shows it.
fn shown(name: &str, record: &Value, selected_id: bool) -> Value {
    let mut fields = Map::new();
    for (key, value) in record.as_object().into_iter().flatten() {
        let told = match value {
            _ if key == "attributes" => continue,
            Value::Object(parent) => {
                let kind = parent["attributes"]["type"].as_str().unwrap_or_default();
                let display = parent.get("Name").cloned().unwrap_or_default();
                json!({"displayValue": display, "value": shown(kind, value, false)})
            }
            Value::String(text) if key == "Birthdate" => {
                json!({"displayValue": format!("on {text}"), "value": text})
            }
            other => json!({"displayValue": null, "value": other}),
        };
        if key != "Id" || selected_id {
            fields.insert(key.clone(), told);
        }
    }
    json!({
        "apiName": name,
        "childRelationships": {},
        "eTag": "aa",
        "fields": fields,
        "id": record["Id"],
        "lastModifiedById": "0055g000000001AAAQ",
        "lastModifiedDate": "2026-11-01T09:30:00.000Z",
        "recordTypeId": null,
        "recordTypeInfo": null,
        "systemModstamp": "2026-11-01T09:30:00.000Z",
        "weakEtag": 1,
    })
}

fn info(name: &str) -> Result<Reply, Fault> {
    let meta = object(name)
        .map(|at| &OBJECTS[at])
        .ok_or_else(Fault::not_found)?;
    let fields: Map<String, Value> = meta
        .fields
        .iter()
        .map(|field| {
            let told = json!({"apiName": field.name, "calculated": false, "createable": field.is_writable(),
                "dataType": field.kind, "inlineHelpText": "as in the handbook", "label": field.name,
                "length": field.length, "required": false, "sortable": true});
            (field.name.to_owned(), told)
        })
        .collect();
    Ok(Reply::json(
        200,
        &json!({"apiName": meta.name, "childRelationships": [], "custom": false, "fields": fields, "label": meta.name,
            "labelPlural": meta.name, "queryable": true}),
    ))
}
