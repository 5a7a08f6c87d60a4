//! Elastic Common Schema: its own fields where it has them, the rest under `privet`.

use serde_json::{Value, json};

use super::{present, success, uid};

const VERSION: &str = "8.17.0";

pub(super) fn render(record: &Value) -> Value {
    let event = &record["event"];
    let (who, what, outcome) = (&event["who"], &event["what"], &event["outcome"]);
    let kind = event["kind"].as_str().unwrap_or_default();
    let control = event["control"]["what"].as_str();
    let (categories, types): (&[&str], &[&str]) = match (kind, control) {
        ("alert", _) => (&["intrusion_detection"], &["info"]),
        (_, Some("admin-login")) => (&["authentication"], &["start"]),
        (_, Some(_)) => (&["configuration"], &["change"]),
        _ => match outcome["ending"].as_str() {
            Some("refused") => (&["database", "web"], &["access", "denied"]),
            Some("complete") => (&["database", "web"], &["access", "allowed"]),
            _ => (&["database", "web"], &["access"]),
        },
    };
    let action = control
        .or(what["action"].as_str())
        .or(event["alert"]["monitor"].as_str())
        .unwrap_or(kind);
    present(json!({
        "@timestamp": event["time"],
        "ecs": { "version": VERSION },
        "event": {
            "kind": if kind == "alert" { "alert" } else { "event" },
            "category": categories,
            "type": types,
            "action": action,
            "outcome": match success(event) {
                Some(true) => "success",
                Some(false) => "failure",
                None => "unknown",
            },
            "id": uid(record),
            "sequence": record["seq"],
            "hash": record["hash"],
            "provider": "privet",
            "dataset": "privet.audit",
            "reason": outcome["reason"],
            // ECS counts nanoseconds.
            "duration": outcome["duration_us"].as_u64().map(|us| us.saturating_mul(1000)),
        },
        "service": { "name": "privet", "version": env!("CARGO_PKG_VERSION") },
        "user": { "id": who["subject"], "name": who["subject"], "roles": who["roles"] },
        "source": { "ip": who["address"] },
        "http": {
            "request": { "id": event["request_id"] },
            "response": {
                "status_code": outcome["status"].as_u64().filter(|s| *s > 0),
                "body": { "bytes": outcome["bytes_out"] },
            },
        },
        "privet": {
            "kind": kind,
            "chain": { "id": record["chain"], "prev": record["prev"], "synced": record["synced"] },
            "client": who["client"],
            "purpose": what["purpose"],
            "api": what["api"],
            "endpoint": what["endpoint"],
            "objects": what["objects"],
            "uses": what["uses"],
            "fields": what["fields"],
            "rules": what["rules"],
            "policy": what["policy"],
            "ending": outcome["ending"],
            "rows": outcome["rows"],
            "treated": outcome["treated"],
            "control": event["control"],
            "alert": event["alert"],
            "sets": event["sets"],
        },
    }))
}
