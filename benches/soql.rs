//! SOQL: reading, tracing through a schema, and printing again.

#![allow(missing_docs, clippy::expect_used, reason = "a bench")]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use privet::engine::catalog::{Catalog, Field, FieldType, Object, ObjectId};
use privet::engine::protocol::salesforce::{soql, trace};

const FIELDS: [&str; 9] = [
    "AccountId",
    "CreatedDate",
    "Department",
    "Email",
    "Id",
    "LastName",
    "Name",
    "Phone",
    "Title",
];

/// One object that is its own parent: deep enough for relationship paths.
fn catalog() -> Catalog {
    let object = Object {
        name: "Contact".into(),
        api: "salesforce".into(),
        key_prefix: None,
        fields: FIELDS
            .iter()
            .map(|name| Field {
                name: (*name).into(),
                kind: FieldType::Text,
                type_word: "string".into(),
                length: Some(255),
                reference_to: vec![("Contact".into(), Some(ObjectId(0)))],
                relationship_name: (*name == "AccountId").then(|| "Account".into()),
                compound: None,
                name_field: *name == "Name",
                derived_from: Vec::new(),
                derived_from_unknown: false,
                class: "unclassified".into(),
            })
            .collect(),
        field_by_name: (0u32..)
            .zip(FIELDS)
            .map(|(i, name)| (name.to_ascii_lowercase().into(), i))
            .collect(),
        children: HashMap::new(),
        conditions: Vec::new(),
        data_region: None,
    };
    let mut catalog = Catalog::default();
    catalog.object_by_name.insert("contact".into(), ObjectId(0));
    catalog.objects.push(object);
    catalog
}

/// What a BI tool asks, about 300 characters.
const TYPICAL: &str = "SELECT Id, Name, Email, Phone, Title, Department, CreatedDate, Account.Name, Account.Account.Title \
    FROM Contact WHERE (CreatedDate >= 2026-01-01T00:00:00Z AND CreatedDate < 2026-02-01T00:00:00Z) \
    AND Department IN ('Sales', 'Service', 'Marketing') AND Email != null ORDER BY LastName ASC NULLS LAST, Id LIMIT 2000";

/// The same with a long list of ids, about 8 KB.
fn long() -> String {
    let mut text = String::from("SELECT Id, Name FROM Contact WHERE Id IN (");
    for i in 0..390 {
        let comma = if i > 0 { ", " } else { "" };
        write!(text, "{comma}'003{i:015}'").expect("to a string");
    }
    text.push(')');
    text
}

fn benches(c: &mut Criterion) {
    let catalog = catalog();
    let long = long();
    for (name, text) in [("typical", TYPICAL), ("8 KB", long.as_str())] {
        let mut group = c.benchmark_group(format!("soql {name}"));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.bench_function("parse", |b| {
            b.iter(|| soql::parse(black_box(text)).expect("SOQL"));
        });
        group.bench_function("parse and trace", |b| {
            b.iter(|| trace(&catalog, "salesforce", black_box(text)).expect("SOQL"));
        });
        let tree = soql::parse(text).expect("SOQL");
        group.bench_function("print", |b| b.iter(|| black_box(&tree).to_string()));
        group.finish();
    }
}

criterion_group!(soql_benches, benches);
criterion_main!(soql_benches);
