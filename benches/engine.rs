//! The JSON engine on Salesforce-like answers beside a copy and what is commonly used to edit JSON.
//!
//! Three fields are treated: `Email` masked, `Phone` redacted, `Fax` dropped. Printed as tables of processor time:
//! each round runs all of them one after the other, a ratio is the median of the rounds' own. Read ratios inside one
//! run, never absolute figures. `cargo bench --bench engine -- 25m` runs what contains `25m`.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench"
)]

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use aes_siv::KeyInit;
use aes_siv::siv::Aes256Siv;
use bytes::Bytes;
use jsonpath_rust::JsonPath;
use jsonpath_rust::query::queryable::Queryable;
use privet::engine::rewrite::{
    Bounds, Counter, Elements, LinkRewriter, Member, Members, Node, NodeId, Out, Program, Rewriter,
};
use privet::engine::token::KeyRing;
use privet::engine::treatment::{Prepared, Scalar, Treated, Treatment};
use serde_json::Value;

const TEXT_FIELDS: [&str; 20] = [
    "FirstName",
    "LastName",
    "Title",
    "Department",
    "MailingStreet",
    "MailingCity",
    "MailingState",
    "MailingPostalCode",
    "MailingCountry",
    "LeadSource",
    "Description",
    "AssistantName",
    "AccountId",
    "OwnerId",
    "CreatedDate",
    "LastModifiedDate",
    "LastActivityDate",
    "Languages__c",
    "Level__c",
    "Segment__c",
];

/// An answer of `records` records of about 1.2 KB.
fn answer(records: usize, pretty: bool) -> Bytes {
    let mut seed = 42u64;
    let mut word = |length: usize| {
        (0..length)
            .map(|_| {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                char::from(b'a' + (seed >> 33) as u8 % 26)
            })
            .collect::<String>()
    };
    let mut body = format!(r#"{{"totalSize":{records},"done":true,"records":["#);
    for i in 0..records {
        if i > 0 {
            body.push(',');
        }
        let id = format!("003{i:012}AAA");
        write!(
            body,
            r#"{{"attributes":{{"type":"Contact","url":"/services/data/v61.0/sobjects/Contact/{id}"}},"Id":"{id}""#
        )
        .unwrap();
        for (n, field) in TEXT_FIELDS.iter().enumerate() {
            let value = word(4 + (i * 7 + n * 13) % 48);
            write!(body, r#","{field}":"{value}""#).unwrap();
            if n == 9 {
                let (name, domain) = (word(8), word(9));
                write!(
                    body,
                    r#","Email":"{name}@{domain}.org","Phone":"+336{i:08}","Fax":"+331{i:08}""#
                )
                .unwrap();
                write!(
                    body,
                    r#","NumberOfCalls__c":{}.5,"Birthdate":null,"HasOptedOutOfEmail":false"#,
                    i % 97
                )
                .unwrap();
            }
        }
        let (account, owner) = (word(15), word(12));
        write!(
            body,
            r#","Account":{{"attributes":{{"type":"Account","url":"/services/data/v61.0/sobjects/Account/001"}},"Name":"{account}"}},"Owner":{{"Name":"{owner} é"}}}}"#
        )
        .unwrap();
    }
    body.push_str("]}");
    if pretty {
        let value: Value = serde_json::from_str(&body).unwrap();
        body = serde_json::to_string_pretty(&value).unwrap();
    }
    Bytes::from(body)
}

/// Relative links stay.
#[derive(Debug)]
struct SameOrigin;

impl LinkRewriter for SameOrigin {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        (upstream.starts_with('/') && !upstream.starts_with("//")).then_some(upstream.into())
    }
}

/// The program of such an answer; `more` members are named beside those that come.
fn program(more: usize) -> Arc<Program> {
    let member = |key: &str, node: u32| Member {
        key: key.into(),
        node: NodeId(node),
        unique: key == "attributes",
    };
    // As a plan lowers it: a clear field passes scalars only, `attributes` are checked, links are looked at.
    let mut fields = vec![member("attributes", 7), member("Id", 0)];
    fields.extend(TEXT_FIELDS.iter().map(|f| member(f, 0)));
    for clear in ["NumberOfCalls__c", "Birthdate", "HasOptedOutOfEmail"] {
        fields.push(member(clear, 0));
    }
    fields.extend([member("Account", 13), member("Owner", 14)]);
    fields.extend([member("Email", 1), member("Phone", 2), member("Fax", 3)]);
    fields.extend((0..more).map(|i| member(&format!("Other{i}__c"), [1, 2, 3][i % 3])));
    let treat = |treatment, counter| Node::Treat {
        treatment: Prepared::Keyless(treatment),
        counter,
    };
    let object = |named| {
        Node::Object(Members {
            named,
            other: None,
            row: false,
        })
    };
    let attributes = |kind| {
        object(vec![
            Member {
                unique: true,
                ..member("type", kind)
            },
            member("url", 9),
        ])
    };
    let counter = |field: &str, treatment| Counter {
        object: "Contact".into(),
        field: field.into(),
        treatment,
    };
    Arc::new(Program::new(
        vec![
            Node::Either {
                object: NodeId(11),
                array: NodeId(11),
                scalar: NodeId(12),
            },
            treat(Treatment::MaskEmail, 0),
            treat(Treatment::Redact, 1),
            Node::Drop,
            Node::Object(Members {
                named: fields,
                other: None,
                row: true,
            }),
            Node::Array(Elements {
                head: vec![],
                rest: NodeId(4),
            }),
            Node::Object(Members {
                named: vec![
                    member("totalSize", 0),
                    member("done", 0),
                    member("records", 5),
                ],
                other: None,
                row: false,
            }),
            attributes(8),
            Node::Expect(vec!["Contact".into()]),
            Node::Link(Arc::new(SameOrigin)),
            Node::Expect(vec!["Account".into()]),
            Node::Constant("null".into()),
            Node::Clear,
            object(vec![member("attributes", 15), member("Name", 0)]),
            object(vec![member("Name", 0)]),
            attributes(10),
        ],
        NodeId(6),
        vec![
            counter("Email", Treatment::MaskEmail),
            counter("Phone", Treatment::Redact),
        ],
    ))
}

/// As the proxy does it: pieces of 64 KiB, each sent on before the next.
fn ours(program: &Arc<Program>, body: &Bytes) -> usize {
    let mut rewriter = Rewriter::json(program.clone(), Bounds::default());
    let mut out = Out::default();
    let (mut from, mut bytes) = (0, 0);
    while from < body.len() {
        let to = body.len().min(from + (64 << 10));
        rewriter.push(body.slice(from..to), &mut out).unwrap();
        bytes += out.take().iter().map(Bytes::len).sum::<usize>();
        from = to;
    }
    rewriter.finish(&mut out).unwrap();
    bytes + out.len()
}

fn masked(value: &Value) -> Value {
    let mut buf = String::new();
    match Prepared::Keyless(Treatment::MaskEmail)
        .apply(Scalar::Text(value.as_str().unwrap_or("")), &mut buf)
    {
        Treated::Text(text) => text.into(),
        _ => Value::Null,
    }
}

fn serde_tree(body: &[u8]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(body).unwrap();
    for record in value["records"].as_array_mut().unwrap() {
        let record = record.as_object_mut().unwrap();
        if let Some(email) = record.get_mut("Email") {
            *email = masked(email);
        }
        if let Some(phone) = record.get_mut("Phone") {
            *phone = Value::Null;
        }
        record.shift_remove("Fax");
    }
    serde_json::to_vec(&value).unwrap()
}

fn jsonpath(body: &[u8]) -> Vec<u8> {
    let mut value: Value = serde_json::from_slice(body).unwrap();
    for (path, mask) in [
        ("$.records[*].Email", true),
        ("$.records[*].Phone", false),
        ("$.records[*].Fax", false),
    ] {
        for hit in value.query_only_path(path).unwrap() {
            if let Some(found) = value.reference_mut(hit) {
                *found = if mask { masked(found) } else { Value::Null };
            }
        }
    }
    serde_json::to_vec(&value).unwrap()
}

fn simd_json_tree(body: &[u8]) -> Vec<u8> {
    use simd_json::prelude::{MutableObject, ValueAsMutArray, ValueAsScalar, Writable};
    // It parses in place, so it needs a copy.
    let mut copy = body.to_vec();
    let mut value = simd_json::to_borrowed_value(&mut copy).unwrap();
    for record in value["records"].as_array_mut().unwrap() {
        if let Some(email) = record.get_mut("Email") {
            *email = masked_text(email.as_str().unwrap()).into();
        }
        if let Some(phone) = record.get_mut("Phone") {
            *phone = simd_json::BorrowedValue::from(());
        }
        record.remove("Fax").unwrap();
    }
    value.encode().into_bytes()
}

fn sonic_tree(body: &[u8]) -> Vec<u8> {
    use sonic_rs::{JsonContainerTrait, JsonValueMutTrait, JsonValueTrait};
    let mut value: sonic_rs::Value = sonic_rs::from_slice(body).unwrap();
    for record in value["records"].as_array_mut().unwrap().iter_mut() {
        let record = record.as_object_mut().unwrap();
        if let Some(email) = record.get_mut(&"Email") {
            *email = masked_text(email.as_str().unwrap()).as_str().into();
        }
        if let Some(phone) = record.get_mut(&"Phone") {
            *phone = sonic_rs::Value::new_null();
        }
        record.remove(&"Fax");
    }
    assert!(value["records"].as_array().is_some());
    sonic_rs::to_vec(&value).unwrap()
}

/// Event by event from a reader, nothing treated: less than the others do.
fn transcode(body: &[u8]) -> Vec<u8> {
    let mut from = serde_json::Deserializer::from_reader(std::io::BufReader::new(body));
    let mut out = Vec::with_capacity(body.len());
    let mut to = serde_json::Serializer::new(&mut out);
    serde_transcode::transcode(&mut from, &mut to).unwrap();
    out
}

fn masked_text(text: &str) -> String {
    let mut buf = String::new();
    match Prepared::Keyless(Treatment::MaskEmail).apply(Scalar::Text(text), &mut buf) {
        Treated::Text(text) => text.into(),
        _ => String::new(),
    }
}

/// Processor time of this thread in seconds: the machine may be shared.
fn now() -> f64 {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    t.tv_sec as f64 + t.tv_nsec as f64 / 1e9
}

/// Seconds that `work` takes, at least a few milliseconds of it.
fn seconds(times: usize, mut work: impl FnMut()) -> f64 {
    let from = now();
    for _ in 0..times {
        work();
    }
    (now() - from) / times as f64
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs all of `works` in each round; gives the seconds of each, round by round.
fn rounds(rounds: usize, works: &mut [(usize, &mut dyn FnMut())]) -> Vec<Vec<f64>> {
    (0..=rounds)
        .map(|_| {
            (works.iter_mut())
                .map(|(times, work)| seconds(*times, work))
                .collect()
        })
        // The first one warms up.
        .skip(1)
        .collect()
}

fn ratio(rounds: &[Vec<f64>], slow: usize, fast: usize) -> f64 {
    median(rounds.iter().map(|r| r[slow] / r[fast]))
}

/// As [`ours`], with what leaves.
fn rewritten(program: &Arc<Program>, body: &Bytes) -> Vec<u8> {
    let mut out = Out::default();
    let mut rewriter = Rewriter::json(program.clone(), Bounds::default());
    rewriter.push(body.clone(), &mut out).unwrap();
    rewriter.finish(&mut out).unwrap();
    out.concat()
}

fn parsed(text: &[u8]) -> Value {
    serde_json::from_slice(text).unwrap()
}

const SIZES: [(&str, usize); 3] = [("2k", 2), ("250k", 230), ("25m", 23_000)];

fn wanted(name: &str) -> bool {
    let mut filters = std::env::args().skip(1).filter(|a| !a.starts_with('-'));
    filters
        .next()
        .is_none_or(|first| name.contains(&first) || filters.any(|f| name.contains(&f)))
}

fn trees() {
    println!("MB/s of input; the rest: how many times privet's time the other takes\n");
    println!("| input | memcpy | privet | serde_json tree | / memcpy | plan of 3 / of 103 |");
    println!("|---|---|---|---|---|---|");
    let (three, wide) = (program(0), program(100));
    for (size, records) in SIZES {
        for form in ["compact", "pretty"] {
            let name = format!("{size}.{form}");
            if !wanted(&name) {
                continue;
            }
            let body = answer(records, form == "pretty");
            assert_eq!(
                parsed(&serde_tree(&body)),
                parsed(&rewritten(&three, &body))
            );
            let times = (4_000_000 / body.len()).max(1);
            let mut ring = vec![0u8; 64 << 10];
            let rounds = rounds(
                if records > 1000 { 11 } else { 25 },
                &mut [
                    (times, &mut || {
                        black_box(ours(&three, black_box(&body)));
                    }),
                    (times * 4, &mut || {
                        for piece in black_box(&body).chunks(64 << 10) {
                            ring[..piece.len()].copy_from_slice(piece);
                            black_box(&mut ring);
                        }
                    }),
                    (times, &mut || {
                        black_box(ours(&wide, black_box(&body)));
                    }),
                    ((times / 4).max(1), &mut || {
                        black_box(serde_tree(black_box(&body)));
                    }),
                ],
            );
            let speed = |at: usize| body.len() as f64 / 1e6 / median(rounds.iter().map(|r| r[at]));
            println!(
                "| {name} | {:.0} | {:.0} | {:.1} | {:.4} | {:.2} |",
                speed(1),
                speed(0),
                ratio(&rounds, 3, 0),
                ratio(&rounds, 1, 0),
                ratio(&rounds, 0, 2),
            );
        }
    }
}

type Peer = fn(&[u8]) -> Vec<u8>;

fn peers() {
    if !wanted("peers") {
        return;
    }
    println!("\n| 25m.compact | how many times privet's time |\n|---|---|");
    let (program, body) = (program(0), answer(23_000, false));
    let all: [(&str, Peer); 4] = [
        ("jsonpath-rust replace", jsonpath),
        ("sonic-rs tree", sonic_tree),
        ("simd-json tree", simd_json_tree),
        ("serde_json transcode from a reader", transcode),
    ];
    let few = answer(2, false);
    let treated = parsed(&serde_tree(&few));
    assert_eq!(treated, parsed(&sonic_tree(&few)));
    assert_eq!(treated, parsed(&simd_json_tree(&few)));
    for (name, peer) in all {
        let rounds = rounds(
            7,
            &mut [
                (1, &mut || {
                    black_box(ours(&program, black_box(&body)));
                }),
                (1, &mut || {
                    black_box(peer(black_box(&body)));
                }),
            ],
        );
        println!("| {name} | {:.1} |", ratio(&rounds, 1, 0));
    }
}

fn tokens() {
    if !wanted("tokens") {
        return;
    }
    let ring = KeyRing::generate(&[7; 64]);
    let tokenizer = ring.tokenizer("acme", "desk", "pii.email", false);
    let mask = program(0);
    let mut nodes = mask.nodes.clone();
    nodes[1] = Node::Treat {
        treatment: Prepared::Token {
            tokenizer,
            email: false,
            record_id: false,
        },
        counter: 0,
    };
    let token = Arc::new(Program::new(nodes, mask.root, mask.counters.clone()));
    let body = answer(23_000, false);
    let emails: Vec<String> = parsed(&body)["records"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["Email"].as_str().unwrap().to_owned())
        .collect();
    let mut text = [0; 128];
    let rounds = rounds(
        15,
        &mut [
            (1, &mut || {
                black_box(ours(&mask, black_box(&body)));
            }),
            (1, &mut || {
                black_box(ours(&token, black_box(&body)));
            }),
            (1, &mut || {
                for email in black_box(&emails) {
                    // As long as a token's padded value and the names that are bound to it.
                    let length = (email.len() + 1).next_power_of_two().max(16);
                    text[..email.len()].copy_from_slice(email.as_bytes());
                    let sealed = Aes256Siv::new(black_box(&[7; 64]).into())
                        .encrypt_inout_detached([&[7u8; 42]], (&mut text[..length]).into());
                    black_box(sealed.unwrap());
                }
            }),
        ],
    );
    let extra = median(rounds.iter().map(|r| (r[1] - r[0]) / r[2]));
    println!(
        "\nTokens in place of masks, 25m.compact: the extra time is {extra:.2} times the AES-SIV calls alone."
    );
}

fn main() {
    trees();
    peers();
    tokens();
}
