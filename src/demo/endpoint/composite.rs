//! `…/composite`, `…/composite/batch` and `…/composite/graph`: several requests in one.

use serde_json::{Value as Json, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::fault::Fault;
use crate::demo::server::form;

const PARTS_MAX: usize = 25;
const NODES_MAX: usize = 500;

fn malformed() -> Fault {
    Fault::new(
        400,
        "JSON_PARSER_ERROR",
        "The HTTP entity body is no composite request",
    )
}

/// The answer of `composite`: later parts may refer to the answers of earlier ones.
///
/// # Errors
/// A body that is no composite request.
pub fn answer(crm: &Crm, asked: &Asked) -> Result<Reply, Fault> {
    let body: Json = serde_json::from_slice(&asked.body).map_err(|_| malformed())?;
    let parts = body["compositeRequest"].as_array().ok_or_else(malformed)?;
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(malformed());
    }
    Ok(Reply::json(
        200,
        &json!({ "compositeResponse": in_order(crm, asked, parts)? }),
    ))
}

/// The answer of `composite/graph`: each graph all or none, and knowing nothing of the others.
///
/// # Errors
/// A body that holds no graphs.
pub fn graph(crm: &Crm, asked: &Asked) -> Result<Reply, Fault> {
    let body: Json = serde_json::from_slice(&asked.body).map_err(|_| malformed())?;
    let graphs = body["graphs"].as_array().ok_or_else(malformed)?;
    let lists: Vec<&Vec<Json>> = graphs
        .iter()
        .map(|g| g["compositeRequest"].as_array().ok_or_else(malformed))
        .collect::<Result<_, _>>()?;
    let nodes: usize = lists.iter().map(|l| l.len()).sum();
    if lists.iter().any(|l| l.is_empty()) || !(1..=NODES_MAX).contains(&nodes) {
        return Err(malformed());
    }
    let mut out = Vec::new();
    for (graph, parts) in graphs.iter().zip(lists) {
        let before = crm.store().clone();
        let mut answers = in_order(crm, asked, parts)?;
        let failed = |a: &Json| a["httpStatusCode"].as_u64().is_none_or(|c| c >= 300);
        let successful = !answers.iter().any(failed);
        if !successful {
            *crm.store_mut() = before;
            let halted = json!([{"errorCode": "PROCESSING_HALTED", "message":
                "The transaction was rolled back since another operation in the same transaction failed."}]);
            for answer in answers.iter_mut().filter(|a| !failed(a)) {
                answer["body"] = halted.clone();
                answer["httpHeaders"] = json!({});
                answer["httpStatusCode"] = json!(400);
            }
        }
        out.push(json!({
            "graphId": graph["graphId"],
            "graphResponse": { "compositeResponse": answers },
            "isSuccessful": successful,
        }));
    }
    Ok(Reply::json(200, &json!({ "graphs": out })))
}

/// The answers of parts that may refer to earlier ones.
fn in_order(crm: &Crm, asked: &Asked, parts: &[Json]) -> Result<Vec<Json>, Fault> {
    let mut answers: Vec<(String, Json)> = Vec::new();
    let mut out = Vec::new();
    for part in parts {
        let reference = part["referenceId"].as_str().ok_or_else(malformed)?;
        let url = resolved(part["url"].as_str().ok_or_else(malformed)?, &answers);
        let text = match &part["body"] {
            Json::Null => String::new(),
            body => resolved(&body.to_string(), &answers),
        };
        let method = part["method"].as_str().unwrap_or("GET");
        let reply = one(crm, asked, method, &url, text);
        let body = serde_json::from_slice(&reply.body).unwrap_or(Json::Null);
        let headers = reply.headers.iter().find(|(n, _)| *n == "location");
        out.push(json!({
            "body": body,
            "httpHeaders": headers.map_or_else(|| json!({}), |(_, v)| json!({"Location": v})),
            "httpStatusCode": reply.status,
            "referenceId": reference,
        }));
        answers.push((reference.to_owned(), body));
    }
    Ok(out)
}

/// The answer of `composite/batch`: its parts know nothing of each other.
///
/// # Errors
/// A body that is no batch.
pub fn batch(crm: &Crm, asked: &Asked) -> Result<Reply, Fault> {
    let body: Json = serde_json::from_slice(&asked.body).map_err(|_| malformed())?;
    let parts = body["batchRequests"].as_array().ok_or_else(malformed)?;
    if parts.is_empty() || parts.len() > PARTS_MAX {
        return Err(malformed());
    }
    let mut failed = false;
    let results: Vec<Json> = parts
        .iter()
        .map(|part| {
            let text = match &part["richInput"] {
                Json::Null => String::new(),
                body => body.to_string(),
            };
            let url = format!(
                "/services/data/{}",
                part["url"].as_str().unwrap_or_default()
            );
            let method = part["method"].as_str().unwrap_or("GET");
            let reply = one(crm, asked, method, &url, text);
            failed |= reply.status >= 300;
            let result: Json = serde_json::from_slice(&reply.body).unwrap_or(Json::Null);
            json!({"statusCode": reply.status, "result": result})
        })
        .collect();
    Ok(Reply::json(
        200,
        &json!({"hasErrors": failed, "results": results}),
    ))
}

fn one(crm: &Crm, asked: &Asked, method: &str, url: &str, body: String) -> Reply {
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let inner = Asked {
        method: method.to_owned(),
        target: url.to_owned(),
        segments: path
            .trim_start_matches('/')
            .split('/')
            .map(|s| {
                form(&s.replace('+', "%2B"))
                    .first()
                    .map_or_else(String::new, |p| p.0.clone())
            })
            .collect(),
        query: form(query),
        headers: asked.headers.clone(),
        body: body.into_bytes(),
        origin: asked.origin.clone(),
    };
    crm.inner(&inner)
}

/// `text` with each `@{ref.path}` replaced by what the answer of `ref` has there.
fn resolved(text: &str, answers: &[(String, Json)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("@{") {
        out.push_str(before);
        let Some((path, after)) = after.split_once('}') else {
            break;
        };
        let pointer: String = path
            .split(['.', '[', ']'])
            .filter(|s| !s.is_empty())
            .skip(1)
            .map(|s| format!("/{s}"))
            .collect();
        let name = path.split('.').next().unwrap_or_default();
        let value = answers
            .iter()
            .find(|(n, _)| n == name)
            .and_then(|(_, body)| body.pointer(&pointer));
        if let Some(value) = value {
            let text = value.to_string();
            out.push_str(value.as_str().unwrap_or(&text));
        }
        rest = after;
    }
    out.push_str(rest);
    out
}
