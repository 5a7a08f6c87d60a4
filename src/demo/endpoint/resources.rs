//! `GET /services/data/vNN.0`: what there is under a version.

use serde_json::{Map, Value, json};

use crate::demo::crm::Reply;

/// The answer.
pub fn answer(version: &str) -> Reply {
    let map: Map<String, Value> = ["limits", "query", "queryAll", "sobjects"]
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                json!(format!("/services/data/v{version}/{name}")),
            )
        })
        .collect();
    Reply::json(200, &Value::Object(map))
}
