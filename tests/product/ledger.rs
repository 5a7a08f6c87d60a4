//! The data-subject ledger: who saw a person, against an oracle that counts by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use privet::demo::client::{ask, encode};
use privet::observe::audit::{Certainty, who_saw};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::house::{ANALYST, DESK, House, Plan, run};

/// Requests of the run that everybody makes; `PRIVET_LEDGER_REQUESTS=10000` makes the long one.
const REQUESTS: usize = 1_000;
const AT_ONCE: usize = 16;
const CONTACTS: usize = 200;

/// The ids of the demo's first contacts, in the order in which it answers.
async fn contacts(house: &House) -> Vec<String> {
    let own = house.services.crm.open_session();
    let soql = format!("SELECT Id FROM Contact LIMIT {CONTACTS}");
    let target = format!("/services/data/v61.0/query?q={}", encode(&soql));
    let origin = &house.services.salesforce.origin;
    let answer = ask(http::Method::GET, origin, &target, &own, None).await;
    let answer: Value = serde_json::from_slice(&answer.unwrap().body).unwrap();
    let records = answer["records"].as_array().unwrap().iter();
    records
        .map(|r| r["Id"].as_str().unwrap().to_owned())
        .collect()
}

/// The n-th request: caller, query, and the slice of the contacts that it shows.
fn nth(n: usize) -> (&'static str, String, std::ops::Range<usize>) {
    let who = if n.is_multiple_of(3) { DESK } else { ANALYST };
    let (offset, limit) = (n * 7919 % (CONTACTS - 5), 1 + n % 5);
    let select = [
        "Id, Name",
        "Name, Email",
        "Email, Account.Name",
        "LastName, Id, Birthdate",
    ][n % 4];
    let soql = format!("SELECT {select} FROM Contact LIMIT {limit} OFFSET {offset}");
    (who, soql, offset..offset + limit)
}

#[test]
fn who_saw_equals_the_oracle() {
    let requests = std::env::var("PRIVET_LEDGER_REQUESTS")
        .map_or(REQUESTS, |n| n.parse().expect("a number of requests"));
    run(async move {
        let plan = Plan {
            ledger: true,
            watched: false,
            ..Plan::default()
        };
        let house = Arc::new(plan.build().await);
        let ids = contacts(&house).await;
        assert_eq!(ids.len(), CONTACTS);
        let mut tasks = JoinSet::new();
        for task in 0..AT_ONCE {
            let house = Arc::clone(&house);
            tasks.spawn(async move {
                let mut asked = Vec::new();
                for n in (task..requests).step_by(AT_ONCE) {
                    let (who, soql, _) = nth(n);
                    let answer = house.query(who, &soql).await;
                    assert_eq!(answer.status, 200, "{soql}: {}", answer.head);
                    if n < AT_ONCE {
                        let shown = answer.json();
                        let record = shown["records"][0].as_object().unwrap();
                        assert_eq!(record.contains_key("Id"), soql.contains("Id"), "{soql}");
                    }
                    asked.push((n, answer.header("privet-request-id").unwrap()));
                }
                asked
            });
        }
        let mut oracle: BTreeMap<usize, BTreeSet<(String, &str)>> = BTreeMap::new();
        for (n, request) in tasks.join_all().await.into_iter().flatten() {
            let (who, _, slice) = nth(n);
            for person in slice {
                let seen = oracle.entry(person).or_default();
                seen.insert((request.clone(), who));
            }
        }
        let aggregate = house.query(DESK, "SELECT COUNT() FROM Contact").await;
        house.carrier.log().close().await.unwrap();
        let live = house.carrier.live.current();
        let keys: Vec<_> = live.keys.ledger_keys().collect();
        let directory = house.folder.join("audit");
        for person in (0..CONTACTS).step_by(CONTACTS / 20) {
            // The short form of the id is the same person.
            let id = &ids[person][..if person.is_multiple_of(20) { 15 } else { 18 }];
            let found = who_saw(&directory, &keys, id).unwrap();
            let shown: BTreeSet<String> = (found.accesses.iter())
                .filter(|a| a.certainty == Certainty::Shown)
                .map(|a| a.request_id.to_string())
                .collect();
            let expected = oracle.remove(&person).unwrap_or_default();
            assert!(expected.len() > requests / 200, "{}", expected.len());
            let expected: BTreeSet<String> = expected.into_iter().map(|(id, _)| id).collect();
            assert_eq!(shown, expected, "person {person}");
            for access in &found.accesses {
                if access.certainty == Certainty::Shown {
                    assert_eq!(access.objects, ["Contact"]);
                    assert!(!access.fields.is_empty() && !access.purpose.is_empty());
                    assert!(access.who["roles"].is_array() && access.ending == "complete");
                } else {
                    assert_eq!(
                        aggregate.header("privet-request-id").as_deref(),
                        Some(&*access.request_id)
                    );
                }
            }
        }
        let stranger = who_saw(&directory, &keys, "003000000000zzz").unwrap();
        assert!(
            stranger
                .accesses
                .iter()
                .all(|a| a.certainty != Certainty::Shown)
        );
        // What it costs, and that it says nothing without the key.
        let (mut bytes, mut records) = (0, 0);
        for text in house.audit().lines() {
            let line: Value = serde_json::from_str(text).unwrap();
            if line["event"]["kind"] == "seen" {
                for set in line["event"]["sets"].as_array().unwrap() {
                    let text = set["records"].as_str().unwrap().len();
                    bytes += text;
                    records += text * 3 / 4 / 8;
                }
            }
            // Any of the ids begins like this.
            assert!(!text.contains(&ids[0][..8]), "{text}");
        }
        assert!(records >= requests, "{records}");
        assert!(bytes <= records * 13, "{bytes} bytes for {records} records");
    });
}
