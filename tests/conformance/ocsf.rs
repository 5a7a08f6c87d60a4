//! Renderings of audit records, held against the OCSF schema: `ocsf`, an extract of classes, objects and dictionary.

use std::collections::BTreeSet;
use std::path::Path;

use privet::observe::shipping::{Format, render};
use serde_json::{Value, json};

use crate::data;

fn records() -> Vec<(i64, Value)> {
    let who = json!({"subject": "anna", "client": "service-desk", "roles": ["agent"], "region": "eu",
        "tenant": "acme", "proof": "api-key:k", "mfa": true, "session_age_s": 5, "address": "192.0.2.7"});
    let what = |action: &str| {
        json!({"api": "salesforce", "endpoint": "query", "action": action, "purpose": "support",
            "principals": ["role:agent"], "region": "eu", "policy": "3c1e", "objects": ["Contact"], "uses": [],
            "fields": {"clear": ["Contact.Name"]}, "rules": ["r1"]})
    };
    let outcome = |ending: &str, status: u16, rows: u64| {
        json!({"ending": ending, "status": status, "reason": "x", "rows": rows, "treated": {},
            "unplanned_members": 0, "bytes_in": 10, "bytes_out": 9, "duration_us": 4200})
    };
    let control =
        |what: &str| json!({"kind": "control", "control": {"what": what, "policy": "3c1e"}});
    let events = [
        (
            6003,
            json!({"kind": "attempt", "who": who, "what": what("read")}),
        ),
        (6003, json!({"kind": "attempt"})),
        (
            6003,
            json!({"kind": "outcome", "who": who, "what": what("write"), "outcome": outcome("complete", 204, 0)}),
        ),
        (
            6003,
            json!({"kind": "outcome", "who": who, "what": what("read"), "outcome": outcome("refused", 400, 0)}),
        ),
        (
            6005,
            json!({"kind": "outcome", "who": who, "what": what("read"), "outcome": outcome("complete", 200, 3)}),
        ),
        (
            6005,
            json!({"kind": "seen", "key": "k1", "sets": [{"object": "Contact", "records": ""}]}),
        ),
        (3002, control("admin-login")),
        (3004, control("policy-loaded")),
        (3004, control("keys-changed")),
        (3004, control("segments-removed")),
        (3004, control("segment-opened")),
        (
            2004,
            json!({"kind": "alert", "alert": {"monitor": "volume", "severity": "high", "measured": 2.0,
            "threshold": 1.0, "window_s": 60}}),
        ),
    ];
    let with_head = |(class, mut event): (i64, Value)| {
        event["time"] = "2026-01-02T03:04:05.678Z".into();
        event["request_id"] = "0192".into();
        let record = json!({"chain": "c", "seq": 7, "synced": 6, "prev": "00", "event": event, "hash": "11"});
        (class, record)
    };
    events.into_iter().map(with_head).collect()
}

fn load(folder: &Path, name: &str) -> Option<Value> {
    let text = std::fs::read_to_string(folder.join(name)).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

/// A class or object with all it inherits; `complete` = every parent is in the extract.
struct Schema {
    attributes: Vec<(String, Value)>,
    constraints: Vec<Value>,
    complete: bool,
}

fn schema(folder: &Path, places: &[&str], name: &str) -> Option<Schema> {
    let mut found = Schema {
        attributes: Vec::new(),
        constraints: Vec::new(),
        complete: true,
    };
    let mut next = Some(name.to_owned());
    while let Some(name) = next {
        if name == "object" {
            break;
        }
        let file = places
            .iter()
            .find_map(|place| load(folder, &format!("{place}/{name}.json")));
        let Some(file) = file else {
            found.complete = false;
            break;
        };
        for (key, value) in file["attributes"].as_object().unwrap() {
            if !found.attributes.iter().any(|(known, _)| known == key) {
                found.attributes.push((key.clone(), value.clone()));
            }
        }
        found.constraints.extend(file.get("constraints").cloned());
        next = file["extends"].as_str().map(str::to_owned);
    }
    (!found.attributes.is_empty()).then_some(found)
}

fn check(schema: &Schema, value: &Value, dictionary: &Value, at: &str) {
    let members = value.as_object().unwrap();
    for (key, attribute) in &schema.attributes {
        if attribute["requirement"] == "required" && attribute["profile"].is_null() {
            assert!(
                members.contains_key(key),
                "{at}: {key} is required: {value}"
            );
        }
    }
    for (key, value) in members {
        let known = schema.attributes.iter().any(|(name, _)| name == key);
        let inherited = !schema.complete && !dictionary["attributes"][key].is_null();
        assert!(known || inherited, "{at}: no attribute {key}");
        let kind = dictionary["attributes"][key]["type"]
            .as_str()
            .unwrap_or_default();
        let fits = match kind {
            "integer_t" | "long_t" | "timestamp_t" | "port_t" => value.is_i64() || value.is_u64(),
            "string_t" | "ip_t" | "hostname_t" => value.is_string(),
            "boolean_t" => value.is_boolean(),
            _ => true,
        };
        assert!(fits, "{at}.{key}: {value} is no {kind}");
    }
    for constraint in &schema.constraints {
        if let Some(some) = constraint["at_least_one"].as_array() {
            let there = some
                .iter()
                .any(|key| members.contains_key(key.as_str().unwrap()));
            assert!(there, "{at}: one of {some:?}: {value}");
        }
    }
}

#[test]
fn every_rendering_is_an_event_of_its_class() {
    let Some(folder) = data::path("ocsf") else {
        return;
    };
    let dictionary = load(&folder, "dictionary.json").unwrap();
    let events = [
        "events/application",
        "events/iam",
        "events/findings",
        "events",
    ];
    let mut classes = BTreeSet::new();
    for (class, record) in records() {
        let rendered = render(Format::Ocsf, &record);
        let name = match class {
            6003 => "api_activity",
            6005 => "datastore_activity",
            3002 => "authentication",
            3004 => "entity_management",
            _ => "detection_finding",
        };
        let schema_of = schema(&folder, &events, name).unwrap();
        check(&schema_of, &rendered, &dictionary, name);
        let activity = rendered["activity_id"].as_i64().unwrap();
        assert_eq!(rendered["class_uid"], class);
        assert_eq!(rendered["category_uid"], class / 1000);
        assert_eq!(rendered["type_uid"], class * 100 + activity);
        assert_eq!(rendered["time"], 1_767_323_045_678_i64);
        assert_eq!(rendered["metadata"]["uid"], "c:7");
        let activities = schema_of
            .attributes
            .iter()
            .find(|(k, _)| k == "activity_id");
        let known = &activities.unwrap().1["enum"][activity.to_string()];
        // 99 is every class's Other; findings take their activities from a parent.
        assert!(
            activity == 99 || class == 2004 || !known.is_null(),
            "{name} {activity}"
        );
        for (key, value) in rendered.as_object().unwrap() {
            let kind = dictionary["attributes"][key]["type"]
                .as_str()
                .unwrap_or_default();
            let Some(object) = schema(&folder, &["objects"], kind) else {
                continue;
            };
            let values = value.as_array().map_or(std::slice::from_ref(value), |a| a);
            for value in values {
                check(&object, value, &dictionary, &format!("{name}.{key}"));
            }
        }
        classes.insert(class);
    }
    assert_eq!(classes, BTreeSet::from([2004, 3002, 3004, 6003, 6005]));
}

#[test]
fn every_ecs_rendering_has_the_fields_and_words_that_ecs_allows() {
    for (_, record) in records() {
        let rendered = render(Format::Ecs, &record);
        let event = &rendered["event"];
        assert_eq!(rendered["@timestamp"], "2026-01-02T03:04:05.678Z");
        assert!(rendered["ecs"]["version"].is_string());
        assert!(["event", "alert"].contains(&event["kind"].as_str().unwrap()));
        assert!(["success", "failure", "unknown"].contains(&event["outcome"].as_str().unwrap()));
        let categories = [
            "authentication",
            "configuration",
            "database",
            "intrusion_detection",
            "web",
        ];
        let types = ["access", "allowed", "change", "denied", "info", "start"];
        for (key, allowed) in [("category", &categories[..]), ("type", &types[..])] {
            for word in event[key].as_array().unwrap() {
                assert!(allowed.contains(&word.as_str().unwrap()), "{word}");
            }
        }
        assert_eq!(
            (&event["id"], &event["sequence"]),
            (&json!("c:7"), &json!(7))
        );
        let roots = [
            "@timestamp",
            "ecs",
            "event",
            "service",
            "user",
            "source",
            "http",
            "privet",
        ];
        assert!(
            rendered
                .as_object()
                .unwrap()
                .keys()
                .all(|k| roots.contains(&&**k)),
            "{rendered}"
        );
    }
}

#[test]
fn jsonl_is_the_record_as_it_stands() {
    for (_, record) in records() {
        assert_eq!(render(Format::Jsonl, &record), record);
    }
}
