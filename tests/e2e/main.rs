//! CRM clients that nobody here wrote, over TLS with a private authority.
//!
//! They need `tests/e2e/install-clients.sh` once. First they meet the demo CRM itself, so that a failure through
//! privet cannot be the demo's.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skips"
)]

mod authority;
mod clients;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use privet::demo::crm::Crm;
use privet::demo::seed::CONTACTS;
use privet::demo::server;
use serde_json::Value;

use authority::Authority;
use clients::{Client, Target};

/// Runs `client` against the demo CRM without privet.
async fn directly(client: Client) -> Option<Value> {
    let authority = Authority::new();
    let crm = Arc::new(Crm::default());
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let running = server::serve(any, Some(authority.server()), server::handler(&crm))
        .await
        .unwrap();
    let target = Target {
        origin: running.origin.clone(),
        token: crm.open_session(),
        authority: authority.ca(),
    };
    ask(client, target).await
}

/// Runs `client` beside the servers of this test.
async fn ask(client: Client, target: Target) -> Option<Value> {
    tokio::task::spawn_blocking(move || client.run(&target))
        .await
        .unwrap()
}

/// What holds for whoever may read every id: all pages arrive, each record once.
fn every_page_arrived(got: &Value) {
    assert_eq!(got["query"]["records"].as_array().unwrap().len(), 5);
    assert_eq!(got["query_all"]["totalSize"], CONTACTS);
    assert_eq!(got["query_all"]["distinct"], CONTACTS);
    assert_eq!(got["pages"]["distinct"], CONTACTS);
    let pages = got["pages"]["count"].as_u64().unwrap();
    assert!(pages > 1);
    for next in got["pages"]["next"].as_array().unwrap() {
        let next = next.as_str().unwrap();
        assert!(
            next.starts_with("/services/data/v61.0/query/"),
            "{next} leaves the origin"
        );
    }
    assert_eq!(got["record"]["Id"], got["query"]["records"][0]["Id"]);
    assert_eq!(got["record"]["attributes"]["type"], "Contact");
}

fn sees_all(got: &Value) {
    every_page_arrived(got);
    let first = &got["query"]["records"][0];
    assert!(first["Name"].is_string() && first["Account"]["Name"].is_string());
    assert_eq!(got["record"]["Name"], first["Name"]);
    assert!(got["describe"]["Salary__c"]["sortable"].as_bool().unwrap());
    assert!(
        got["global"]
            .as_array()
            .unwrap()
            .contains(&"Account".into())
    );
    assert_eq!(got["refusal"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_salesforce_meets_the_demo_crm() {
    if let Some(got) = directly(Client::SimpleSalesforce).await {
        sees_all(&got);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_meets_the_demo_crm() {
    if let Some(got) = directly(Client::Jsforce).await {
        sees_all(&got);
    }
}
