//! `GET /services/data/vNN.0`: what there is under a version.

use serde_json::{Map, Value, json};

use crate::demo::crm::{ORGANISATION, Reply};

/// The answer.
pub fn answer(version: &str, origin: &str) -> Reply {
    let mut map: Map<String, Value> = ["composite", "limits", "query", "queryAll", "sobjects"]
        .iter()
        .map(|name| {
            (
                (*name).to_owned(),
                json!(format!("/services/data/v{version}/{name}")),
            )
        })
        .collect();
    let user = crate::demo::record_id::make("005", 1);
    let identity = format!("{origin}/id/{ORGANISATION}/{user}");
    map.insert("identity".to_owned(), json!(identity));
    Reply::json(200, &Value::Object(map))
}
