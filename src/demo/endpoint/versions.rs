//! `GET /services/data`: the API versions. Needs no session.

use serde_json::{Value, json};

use crate::demo::crm::Reply;

const VERSIONS: std::ops::RangeInclusive<u16> = 31..=66;

/// Whether `61.0` is a version of this CRM.
pub fn is_known(version: &str) -> bool {
    { VERSIONS }.any(|v| format!("{v}.0") == version)
}

/// The answer.
pub fn answer() -> Reply {
    let list: Vec<Value> = VERSIONS
        .map(|v| {
            let season = ["Spring", "Summer", "Winter"][usize::from((v + 1) % 3)];
            let year = 14 + (v - 30) / 3 + u16::from(season == "Winter");
            json!({
                "label": format!("{season} '{year}"),
                "url": format!("/services/data/v{v}.0"),
                "version": format!("{v}.0"),
            })
        })
        .collect();
    Reply::json(200, &Value::Array(list))
}
