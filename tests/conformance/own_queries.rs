//! `own_queries.jsonl`: queries, searches and lookups of one caller, understood, decided and planned as in production.
//!
//! The form is that of `privacy/query_cases.jsonl`; the hidden fields are those of [`RULES`] over the shipped schema.

use std::path::Path;

use http::{HeaderMap, Method};
use privet::config::folder;
use privet::engine::identity::{Identity, Proof};
use privet::engine::plan;
use privet::engine::policy::{self, Loaded, Verdict};
use privet::engine::protocol::{self, Api, Dialect, RequestHead};
use privet::engine::refusal::Reason;
use privet::engine::token::KeyRing;

/// Names, firms and requests in clear; each way to treat a value once.
const RULES: &str = "\
# p, effect, who, action, what, treatment, purpose, region, when, priority, id
p, allow, *, read, *,                         clear,           *, *, -, 90, all
p, allow, *, read, class:pii.email,           tokenize:email,  *, *, -, -,  email
p, allow, *, read, class:pii.customer_number, tokenize,        *, *, -, -,  number
p, allow, *, read, class:pii.phone,           mask:last4,      *, *, -, -,  phone
p, allow, *, read, class:pii.address,         redact,          *, *, -, -,  address
p, allow, *, read, class:pii.birthdate,       generalise:year, *, *, -, -,  birthdate
p, allow, *, read, class:pii.salary,          drop,            *, *, -, -,  salary
p, allow, *, read, class:sensitive.health,    drop,            *, *, -, -,  health
p, deny,  *, read, class:pii.national_id,     -,               *, *, -, -,  national
";

/// Fewest cases of the file.
const CASES_MIN: usize = 150;

fn loaded() -> Loaded {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = folder::read(&root.join("policies")).expect("policies");
    sources
        .files
        .retain(|(path, _)| !path.starts_with("rules/") && !path.starts_with("tests/"));
    sources
        .files
        .push(("rules/own.csv".to_owned(), RULES.as_bytes().to_vec()));
    sources.files.sort();
    policy::load(&sources).unwrap_or_else(|found| panic!("{found:#?}"))
}

fn caller() -> Identity {
    Identity {
        subject: "ana".into(),
        client: Some("service-desk".into()),
        roles: vec!["agent".into()],
        region: Some("eu".into()),
        tenant: "acme".into(),
        proof: Proof::ApiKey { key_id: "k".into() },
        mfa: Some(true),
        auth_time_s: None,
        purpose_asked: None,
        now_s: 1_800_000_000,
        address: None,
    }
}

/// `text` with tokens in the places of `{email}`, `{email2}`, `{number}`; `{foreign}` is of another scope.
fn with_tokens(text: &str, keys: &KeyRing) -> String {
    let token = |scope: &str, class: &str, value: &str, email: bool| {
        let tokenizer = keys.tokenizer("acme", scope, class, false);
        let mut out = String::new();
        if email {
            tokenizer.email_token(value, &mut out);
        } else {
            tokenizer.token(value, &mut out);
        }
        out
    };
    let email = |value| token("desk", "pii.email", value, true);
    text.replace("{email}", &email("jo@example.org"))
        .replace("{email2}", &email("al@example.org"))
        .replace(
            "{number}",
            &token("desk", "pii.customer_number", "L-1", false),
        )
        .replace(
            "{foreign}",
            &token("analytics", "pii.email", "jo@example.org", true),
        )
}

/// What a GET of `target` gets: the answer's class, the reason of a refusal, and what would go upstream.
fn decided(
    loaded: &Loaded,
    keys: &KeyRing,
    target: &str,
    query: &[(String, String)],
) -> (&'static str, Option<Reason>, String) {
    let api = Api {
        name: "salesforce".into(),
        dialect: Dialect::Salesforce,
        versions: (50, 66),
        public_origin: "https://crm.test".into(),
        upstream_origin: "https://acme.my.test".into(),
    };
    let caller = caller();
    let path = format!("/services/data/v61.0{target}");
    let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
    let headers = HeaderMap::new();
    let head = RequestHead {
        method: &Method::GET,
        path: &path,
        segments: &segments,
        query,
        headers: &headers,
    };
    let sealer = keys.sealer(&caller.tenant);
    let Loaded {
        catalog, policies, ..
    } = loaded;
    let refused = |reason| ("refuse", Some(reason), String::new());
    let operation = match protocol::understand(&api, &head, b"", catalog, &caller, &sealer) {
        Ok(operation) => operation,
        Err(refusal) => return refused(refusal.reason),
    };
    let decision = policy::decide(policies, catalog, &caller, &operation);
    let treated = decision
        .verdicts
        .iter()
        .any(|v| matches!(v, Verdict::Output(ruling) if !ruling.is_clear()));
    match plan::plan(operation, &decision, catalog, keys, &caller) {
        Err(refusal) => refused(refusal.reason),
        Ok(plan) => {
            let sent = plan.request().path_and_query.clone();
            (if treated { "treated" } else { "allow" }, None, sent)
        }
    }
}

#[test]
fn the_own_queries_are_decided_as_listed() {
    let loaded = loaded();
    let keys = KeyRing::generate(&[7; 64]);
    let cases: Vec<serde_json::Value> = include_str!("own_queries.jsonl")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert!(cases.len() >= CASES_MIN, "only {} cases", cases.len());
    let mut wrong = Vec::new();
    for (at, case) in cases.iter().enumerate() {
        let of = |name: &str| case[name].as_str().expect("text");
        assert!(!of("why").is_empty(), "{}", of("id"));
        let same = |other: &serde_json::Value| other["request"] == case["request"];
        assert!(!cases[..at].iter().any(same), "{} stands twice", of("id"));
        let request = with_tokens(of("request"), &keys);
        let form = privet::demo::server::form;
        let (target, query) = match of("kind") {
            "SOQL" => ("/query".to_owned(), vec![("q".to_owned(), request.clone())]),
            "SOSL" => (
                "/search".to_owned(),
                vec![("q".to_owned(), request.clone())],
            ),
            "parameterised" => ("/parameterizedSearch".to_owned(), form(&request)),
            "lookup" => {
                let (path, query) = request.split_once('?').expect("a query");
                (path.to_owned(), form(query))
            }
            other => panic!("{other}"),
        };
        let (answer, reason, sent) = decided(&loaded, &keys, &target, &query);
        if answer != of("expect") {
            wrong.push(format!("{}: {answer} {reason:?}: {request}", of("id")));
        }
        // What is read by nobody is asked of nobody, and no token leaves the house.
        for never in ["Salary__c", "SSN__c", "Health__c", "tk1."] {
            if sent.contains(never) {
                wrong.push(format!("{}: {never} is sent: {sent}", of("id")));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
