//! The shipped policies do what `policies/tests/*_test.yaml` says of outputs, and load without a warning.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::path::Path;
use std::sync::Arc;

use privet::cli::policy::test::{self, TestArgs};
use privet::config::folder;
use privet::diagnostic::{Diagnostic, Severity};
use privet::engine::catalog::{Catalog, ObjectId};
use privet::engine::identity::{Identity, Proof};
use privet::engine::policy::{self, Loaded, Table};
use privet::engine::protocol::Action;
use privet::engine::workbench::compare::compare;
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
        address: get("address").map(|a| a.parse().unwrap()),
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
        if test.get("action").is_some_and(|action| action != "read") {
            continue;
        }
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

/// All that stands in `tests/` holds, and no shipped rule is without a test.
#[test]
fn every_shipped_rule_is_exercised() {
    let args = TestArgs {
        policies: Path::new(env!("CARGO_MANIFEST_DIR")).join("policies"),
        files: Vec::new(),
        threshold: Some(100),
        junit: None,
    };
    let (mut out, mut notes) = (Vec::new(), Vec::new());
    let code = test::execute(&args, &mut out, &mut notes).unwrap();
    out.extend(notes);
    let told = String::from_utf8_lossy(&out);
    assert_eq!(code, 0, "{told}");
}

/// xorshift64*: the same corruptions in every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }
}

/// One small slip of a hand in a CSV file or the vocabulary: the file, the line it stands in, and what became of it.
fn corrupted(dice: &mut Dice, sources: &mut policy::Sources) -> (String, u32) {
    let files: Vec<usize> = (0..sources.files.len())
        .filter(|i| {
            let path = &sources.files[*i].0;
            !path.starts_with("packs/") && (path.ends_with(".csv") || path == "vocabulary.yaml")
        })
        .collect();
    let (path, bytes) = &mut sources.files[files[dice.below(files.len())]];
    let text = String::from_utf8(bytes.clone()).unwrap();
    let mut lines: Vec<String> = text.lines().map(ToString::to_string).collect();
    let candidates: Vec<usize> = (0..lines.len())
        .filter(|i| !lines[*i].trim().is_empty())
        .collect();
    let at = candidates[dice.below(candidates.len())];
    let line = &mut lines[at];
    let mut letters: Vec<char> = line.chars().collect();
    let i = dice.below(letters.len());
    match dice.below(6) {
        0 => {
            letters.remove(i);
        }
        1 => letters.insert(i, letters[i]),
        2 if i + 1 < letters.len() => letters.swap(i, i + 1),
        3 => letters[i] = ['x', ',', '|', '*', ' ', '9'][dice.below(6)],
        4 => {
            let cells: Vec<String> = line.split(',').map(ToString::to_string).collect();
            let (a, b) = (dice.below(cells.len()), dice.below(cells.len()));
            let mut cells = cells;
            cells.swap(a, b);
            letters = cells.join(",").chars().collect();
        }
        _ => {
            let upper = letters[i].to_ascii_uppercase();
            letters[i] = upper;
        }
    }
    *line = letters.into_iter().collect();
    let place = (path.clone(), at as u32 + 1);
    *bytes = (lines.join("\n") + "\n").into_bytes();
    place
}

/// Each of 300 small corruptions is refused with the line that was corrupted (or, where the mistake is that something is
/// missing now, one that needs it), or it is proven to show nothing more, or `diff` tells it as looser.
#[test]
fn no_small_corruption_goes_unseen() {
    let whole = folder::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).unwrap();
    let before = shipped();
    let mut dice = Dice(0x5eed);
    let (mut refused, mut elsewhere, mut same, mut told) = (0, Vec::new(), 0, 0);
    for round in 0..300 {
        let mut sources = whole.clone();
        let (file, line) = corrupted(&mut dice, &mut sources);
        match policy::load(&sources) {
            Err(found) => {
                let errors = || found.iter().filter(|d| d.severity == Severity::Error);
                assert!(errors().count() > 0, "{round}");
                let place = |d: &Diagnostic| {
                    let p = d.position.as_ref();
                    p.map(|p| (p.file.to_string(), p.line))
                };
                let names = |d: &Diagnostic| {
                    let there = format!("{file}:{line}");
                    place(d) == Some((file.clone(), line))
                        || d.help.as_ref().is_some_and(|h| h.contains(&there))
                };
                if errors().any(names) {
                    refused += 1;
                } else {
                    elsewhere.push((file, line, found[0].to_string()));
                }
            }
            Ok(after) if after.policies.version() == before.policies.version() => same += 1,
            Ok(after) => {
                let comparison = compare(&before, &after);
                if comparison.changes.is_empty() {
                    same += 1;
                } else {
                    // Valid, and something else: the pull request shows it.
                    told += 1;
                }
            }
        }
    }
    // What a declaration no longer declares is missed where it was used.
    for (file, line, text) in &elsewhere {
        assert!(file == "vocabulary.yaml", "{file}:{line}\n{text}");
        assert!(text.contains("error[unknown-"), "{file}:{line}\n{text}");
    }
    let elsewhere = elsewhere.len();
    assert_eq!(refused + elsewhere + same + told, 300);
    assert!(
        refused > 140 && elsewhere < 20 && told < 20,
        "{refused} refused in their line, {elsewhere} elsewhere, {same} harmless, {told} told by diff"
    );
}
