//! The JSON engine on Salesforce-like answers beside a copy, a serde_json tree walked by hand and jsonpath-rust.
//!
//! Three fields are treated: `Email` masked, `Phone` redacted, `Fax` dropped. Read ratios inside one run, never
//! absolute figures.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench"
)]

use std::borrow::Cow;
use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jsonpath_rust::JsonPath;
use jsonpath_rust::query::queryable::Queryable;
use privet::engine::rewrite::{
    Bounds, Counter, Elements, LinkRewriter, Member, Members, Node, NodeId, Out, Program, Rewriter,
};
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

fn engine(c: &mut Criterion) {
    let program = program(0);
    let wide = self::program(100);
    for (size, records) in [("2k", 2), ("250k", 230), ("25m", 23_000)] {
        for pretty in [false, true] {
            let body = answer(records, pretty);
            assert_eq!(
                serde_json::from_slice::<Value>(&serde_tree(&body)).unwrap(),
                {
                    let mut out = Out::default();
                    let mut rewriter = Rewriter::json(program.clone(), Bounds::default());
                    rewriter.push(body.clone(), &mut out).unwrap();
                    rewriter.finish(&mut out).unwrap();
                    serde_json::from_slice::<Value>(&out.concat()).unwrap()
                }
            );
            let mut group = c.benchmark_group(format!(
                "{size}.{}",
                if pretty { "pretty" } else { "compact" }
            ));
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.sample_size(10);
            group.warm_up_time(Duration::from_millis(300));
            group.measurement_time(Duration::from_millis(if records > 1000 {
                2000
            } else {
                800
            }));
            let mut ring = vec![0u8; 64 << 10];
            group.bench_function("memcpy", |b| {
                b.iter(|| {
                    for piece in body.chunks(64 << 10) {
                        ring[..piece.len()].copy_from_slice(piece);
                        black_box(&mut ring);
                    }
                });
            });
            group.bench_function("privet", |b| b.iter(|| ours(&program, black_box(&body))));
            group.bench_function("privet 100 more fields", |b| {
                b.iter(|| ours(&wide, black_box(&body)));
            });
            group.bench_function("serde_json tree", |b| {
                b.iter(|| serde_tree(black_box(&body)));
            });
            group.bench_function("jsonpath-rust replace", |b| {
                b.iter(|| jsonpath(black_box(&body)));
            });
            group.finish();
        }
    }
}

criterion_group!(benches, engine);
criterion_main!(benches);
