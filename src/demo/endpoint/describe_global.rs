//! `GET /services/data/vNN.0/sobjects`: every object.

use serde_json::{Value, json};

use crate::demo::crm::Reply;
use crate::demo::metadata::{self, OBJECTS};

/// The answer.
pub fn answer(version: &str) -> Reply {
    let list: Vec<Value> = OBJECTS
        .iter()
        .map(|o| Value::Object(metadata::summary(o, version)))
        .collect();
    Reply::json(
        200,
        &json!({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": list}),
    )
}
