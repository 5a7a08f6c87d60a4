//! The shipped policies do what `policies/tests/*_test.yaml` says of outputs, and load without a warning.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::path::Path;
use std::sync::Arc;

use privet::config::folder;
use privet::engine::catalog::{Catalog, ObjectId};
use privet::engine::identity::{Identity, Proof};
use privet::engine::policy::{self, Loaded, Table};
use privet::engine::protocol::Action;
use serde_json::Value;

fn shipped() -> Loaded {
    let sources = folder::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap();
    policy::load(&sources).unwrap_or_else(|found| panic!("{found:?}"))
}

fn text<'v>(caller: &'v Value, like: &'v Value, key: &str) -> Option<&'v str> {
    caller
        .get(key)
        .or_else(|| like.get(key))
        .and_then(Value::as_str)
}

fn identity(callers: &Value, name: &str, purpose: &str, now_s: i64) -> Identity {
    let caller = &callers[name];
    let like = caller
        .get("like")
        .and_then(Value::as_str)
        .map_or(&Value::Null, |l| &callers[l]);
    let get = |key: &str| text(caller, like, key);
    let roles = caller.get("roles").or_else(|| like.get("roles"));
    let session_s = get("session").map(|s| s.trim_end_matches('m').parse::<i64>().unwrap() * 60);
    Identity {
        subject: get("user").unwrap().into(),
        client: get("client").map(Into::into),
        roles: roles
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r.as_str().unwrap().into())
            .collect(),
        region: get("region").map(Into::into),
        tenant: "demo".into(),
        proof: Proof::ApiKey { key_id: "k".into() },
        mfa: caller
            .get("mfa")
            .or_else(|| like.get("mfa"))
            .and_then(Value::as_bool),
        auth_time_s: session_s.map(|s| now_s - s),
        purpose_asked: Some(purpose.into()),
        now_s,
        address: None,
    }
}

/// The variant of the object's table that a `record:` describes.
fn variant(catalog: &Catalog, object: ObjectId, record: &Value) -> usize {
    catalog
        .get(object)
        .conditions
        .iter()
        .fold(0, |at, condition| {
            let said = record.get(&*condition.name).and_then(Value::as_str);
            let code = condition
                .values
                .iter()
                .position(|(value, _)| said == Some(&**value))
                .unwrap_or(condition.values.len());
            at * (condition.values.len() + 1) + code
        })
}

#[test]
fn the_demo_tests_hold() {
    let Loaded {
        catalog,
        policies,
        warnings,
    } = shipped();
    assert!(warnings.is_empty(), "{warnings:?}");
    let file = std::fs::read_to_string(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/policies/tests/demo_test.yaml"
    ))
    .unwrap();
    let file: Value = serde_saphyr::from_str(&file).unwrap();
    let now: jiff::Timestamp = file["now"].as_str().unwrap().parse().unwrap();
    let mut checked = 0;
    for test in file["tests"].as_array().unwrap() {
        let Some(expect) = test.get("expect").and_then(Value::as_object) else {
            continue;
        };
        let name = test["object"].as_str().unwrap().to_ascii_lowercase();
        let object = catalog.object_by_name[name.as_str()];
        for (caller, fields) in expect {
            let who = identity(
                &file["callers"],
                caller,
                test["purpose"].as_str().unwrap(),
                now.as_second(),
            );
            let decision = policy::decide_uses(
                &policies,
                &catalog,
                &who,
                &policy::Asking {
                    action: Action::Read,
                    uses: &[],
                    objects: &[object],
                    exports: false,
                    written: &|_| None,
                },
            );
            assert!(decision.refusal.is_none(), "{}: {caller}", test["name"]);
            let table: &Arc<Table> = &decision.tables[&object];
            for (field, wanted) in fields.as_object().unwrap() {
                let index = catalog.get(object).field(field).unwrap() as usize;
                let ruling = table.fields[index].under(variant(&catalog, object, &test["record"]));
                let got = ruling.treatment.word();
                let rules = &ruling.rules;
                assert_eq!(
                    got, wanted,
                    "{}: {caller} {field} by {rules:?}",
                    test["name"]
                );
                if let Some(rule) = test["because"].get(format!("{caller}.{field}")) {
                    assert!(
                        rules.iter().any(|r| **r == *rule.as_str().unwrap()),
                        "{caller} {field}: {rules:?}"
                    );
                }
                checked += 1;
            }
        }
    }
    assert!(checked > 40, "{checked}");
}
