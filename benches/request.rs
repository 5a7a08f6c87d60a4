//! One request before anything goes upstream: understood, decided, planned, on the shipped policies.

#![allow(missing_docs, clippy::expect_used, reason = "a bench")]

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use http::{HeaderMap, Method};
use privet::config::folder;
use privet::engine::identity::{Identity, Proof};
use privet::engine::plan;
use privet::engine::policy::{self, Loaded};
use privet::engine::protocol::{self, Api, Dialect, RequestHead};
use privet::engine::token::KeyRing;

const SOQL: &str = "SELECT Id, Name, Email, Phone, Birthdate, MailingCity, Account.Name, Owner.Name FROM Contact \
                    WHERE MailingCity IN ('Berlin', 'Lyon') ORDER BY Id LIMIT 200";

fn request(c: &mut Criterion) {
    let sources =
        folder::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("policies")).expect("policies");
    let Loaded {
        catalog, policies, ..
    } = policy::load(&sources).expect("they load");
    let keys = KeyRing::generate(&[7; 64]);
    let caller = Identity {
        subject: "tableau".into(),
        client: Some("tableau".into()),
        roles: vec!["bi".into()],
        region: Some("eu".into()),
        tenant: "acme".into(),
        proof: Proof::ApiKey { key_id: "k".into() },
        mfa: None,
        auth_time_s: None,
        purpose_asked: None,
        now_s: 1_800_000_000,
        address: None,
    };
    let api = Api {
        name: "salesforce".into(),
        dialect: Dialect::Salesforce,
        versions: (50, 66),
        public_origin: "https://crm.acme.example".into(),
        upstream_origin: "https://acme.my.example".into(),
    };
    let segments: Vec<String> = ["services", "data", "v61.0", "query"]
        .map(String::from)
        .to_vec();
    let query = vec![("q".to_owned(), SOQL.to_owned())];
    let headers = HeaderMap::new();
    let head = RequestHead {
        method: &Method::GET,
        path: "/services/data/v61.0/query",
        segments: &segments,
        query: &query,
        headers: &headers,
    };
    let sealer = keys.sealer("acme");
    let understand = || {
        protocol::understand(&api, &head, &[], &catalog, &caller, &sealer)
            .expect("a query that is understood")
    };
    let operation = understand();
    let decision = policy::decide(&policies, &catalog, &caller, &operation);

    let mut group = c.benchmark_group("request");
    group.bench_function("understand", |b| b.iter(|| black_box(understand())));
    group.bench_function("decide, table hit", |b| {
        b.iter(|| black_box(policy::decide(&policies, &catalog, &caller, &operation)));
    });
    group.bench_function("decide, table miss", |b| {
        b.iter(|| {
            policies.forget_tables();
            black_box(policy::decide(&policies, &catalog, &caller, &operation))
        });
    });
    group.bench_function("account", |b| {
        b.iter(|| black_box(plan::account(&operation, &decision, &catalog)));
    });
    group.bench_function("all", |b| {
        b.iter(|| {
            let operation = understand();
            let decision = policy::decide(&policies, &catalog, &caller, &operation);
            let account = plan::account(&operation, &decision, &catalog);
            let plan = plan::plan(operation, &decision, &catalog, &keys, &caller).expect("a plan");
            black_box((Arc::new(account), plan))
        });
    });
    group.finish();
}

criterion_group!(benches, request);
criterion_main!(benches);
