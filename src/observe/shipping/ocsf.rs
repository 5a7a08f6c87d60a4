//! OCSF 1.9: attempts and endings as API Activity (6003), answers that showed records as Datastore Activity (6005), admin
//! logins as Authentication (3002), changes as Entity Management (3004), alerts as Detection Finding (2004).

use serde_json::{Value, json};

use super::{present, success, uid};

const VERSION: &str = "1.9.0-dev";

pub(super) fn render(record: &Value) -> Value {
    let event = &record["event"];
    let kind = event["kind"].as_str().unwrap_or_default();
    let what = event["control"]["what"].as_str().unwrap_or_default();
    let shows = event["outcome"]["rows"].as_u64().unwrap_or(0) > 0;
    let (class, activity, own) = match kind {
        "alert" => (2004, 1, finding(record)),
        "control" if what == "admin-login" => (3002, 1, login(event)),
        "control" => (3004, managed(what), entity(what, event)),
        "seen" => (6005, 1, datastore(event)),
        "outcome" if shows => (6005, datastore_activity(event), datastore(event)),
        _ => (6003, api_activity(event), api(event)),
    };
    let time = event["time"].as_str().unwrap_or_default();
    let time = time.parse::<jiff::Timestamp>();
    let (status, status_id) = match success(event) {
        Some(true) => ("Success", 1),
        Some(false) => ("Failure", 2),
        None => ("Other", 99),
    };
    let mut rendered = json!({
        "category_uid": class / 1000,
        "class_uid": class,
        "activity_id": activity,
        "type_uid": class * 100 + activity,
        "severity_id": if class == 2004 { severity(event) } else { 1 },
        "time": time.map_or(0, jiff::Timestamp::as_millisecond),
        "status": status,
        "status_id": status_id,
        "status_detail": event["outcome"]["reason"],
        "metadata": {
            "version": VERSION,
            "uid": uid(record),
            "sequence": record["seq"],
            "correlation_uid": event["request_id"],
            "product": { "name": "privet", "vendor_name": "privet", "version": env!("CARGO_PKG_VERSION") },
            "log_name": "audit",
        },
        "unmapped": {
            "kind": kind,
            "chain": record["chain"],
            "prev": record["prev"],
            "hash": record["hash"],
            "ending": event["outcome"]["ending"],
            "purpose": event["what"]["purpose"],
            "policy": event["what"]["policy"],
            "rules": event["what"]["rules"],
            "uses": event["what"]["uses"],
            "treatments": event["what"]["fields"],
            "treated": event["outcome"]["treated"],
            "rows": event["outcome"]["rows"],
        },
    });
    if let (Some(all), Value::Object(own)) = (rendered.as_object_mut(), own) {
        all.extend(own);
    }
    present(rendered)
}

fn api_activity(event: &Value) -> i64 {
    match event["what"]["action"].as_str() {
        Some("write") => 3,
        Some("delete") => 4,
        Some(_) => 2,
        None => 99,
    }
}

fn datastore_activity(event: &Value) -> i64 {
    match event["what"]["action"].as_str() {
        Some("write") => 5,
        Some("delete") => 7,
        Some("reveal") => 10,
        Some("filter" | "search" | "aggregate" | "group") => 4,
        _ => 1,
    }
}

fn actor(event: &Value) -> Value {
    let who = &event["who"];
    if who.is_null() {
        return json!({ "app_name": "unidentified" });
    }
    let groups: Vec<Value> = (who["roles"].as_array().into_iter().flatten())
        .map(|role| json!({ "name": role }))
        .collect();
    json!({
        "user": { "uid": who["subject"], "name": who["subject"], "groups": groups, "has_mfa": who["mfa"] },
        "app_uid": who["client"],
    })
}

fn source(event: &Value) -> Value {
    match event["who"]["address"].as_str() {
        Some(address) => json!({ "ip": address }),
        None => json!({ "name": "unknown" }),
    }
}

fn status_code(event: &Value) -> Value {
    match event["outcome"]["status"].as_u64() {
        Some(0) | None => Value::Null,
        Some(code) => json!({ "code": code, "body_length": event["outcome"]["bytes_out"] }),
    }
}

fn api(event: &Value) -> Value {
    let operation = event["what"]["endpoint"].as_str().unwrap_or("unknown");
    let resources: Vec<Value> = (event["what"]["objects"].as_array().into_iter().flatten())
        .map(|object| json!({ "name": object, "type": "object" }))
        .collect();
    json!({
        "api": { "operation": operation, "service": { "name": event["what"]["api"].as_str().unwrap_or("unknown") } },
        "actor": actor(event),
        "src_endpoint": source(event),
        "http_response": status_code(event),
        "resources": resources,
        // OCSF counts milliseconds.
        "duration": event["outcome"]["duration_us"].as_u64().map(|us| us / 1000),
    })
}

fn datastore(event: &Value) -> Value {
    let shown = event["sets"].as_array().into_iter().flatten();
    let mut tables: Vec<&str> = shown.filter_map(|set| set["object"].as_str()).collect();
    let objects = event["what"]["objects"].as_array().into_iter().flatten();
    tables.extend(objects.filter_map(Value::as_str));
    tables.dedup();
    json!({
        "actor": actor(event),
        "src_endpoint": source(event),
        "http_response": status_code(event),
        "databucket": { "name": event["what"]["api"].as_str().unwrap_or("crm"), "type_id": 99, "type": "CRM" },
        "table": { "name": if tables.is_empty() { "unknown".to_owned() } else { tables.join(",") } },
        "duration": event["outcome"]["duration_us"].as_u64().map(|us| us / 1000),
    })
}

fn managed(what: &str) -> i64 {
    match what {
        "policy-loaded" | "started" => 10,
        "stopping" => 11,
        "keys-changed" => 3,
        "grant" => 1,
        "erase" | "segments-removed" => 4,
        _ => 99,
    }
}

fn entity(what: &str, event: &Value) -> Value {
    let kind = what.split('-').next().unwrap_or_default();
    let name = match event["control"]["policy"].as_str() {
        Some(policy) if !policy.is_empty() => policy,
        _ => what,
    };
    json!({
        "entity": { "name": name, "type": kind },
        "message": what,
        "comment": event["control"]["detail"],
    })
}

fn login(event: &Value) -> Value {
    let name = event["who"]["subject"].as_str().unwrap_or("admin");
    json!({
        "user": { "name": name },
        "service": { "name": "privet admin" },
        "src_endpoint": source(event),
        "message": "admin-login",
    })
}

fn severity(event: &Value) -> i64 {
    match event["alert"]["severity"].as_str() {
        Some("low") => 2,
        Some("medium") => 3,
        Some("high") => 4,
        _ => 99,
    }
}

fn finding(record: &Value) -> Value {
    let alert = &record["event"]["alert"];
    json!({
        "is_alert": true,
        "finding_info": { "uid": uid(record), "title": alert["monitor"].as_str().unwrap_or("unknown") },
        "message": alert["monitor"],
        "vendor_attributes": { "severity": alert["severity"] },
    })
}
