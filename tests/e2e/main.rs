//! CRM clients that nobody here wrote, over TLS with a private authority.
//!
//! They need `tests/e2e/install-clients.sh` once. First they meet the demo CRM itself, so that a failure through
//! privet cannot be the demo's. Then they meet privet before it, with nothing changed but address and session id.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skips"
)]

mod authority;
mod bulk;
mod bulk1;
mod clients;
mod errors;
mod example;
mod expected;
mod grammar;
mod house;
mod login;
mod pages;
mod reports;
mod schemas;
mod soap;
mod streaming;
mod writes;

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use privet::demo::callers::{CALLERS, Caller};
use privet::demo::crm::Crm;
use privet::demo::seed::CONTACTS;
use privet::demo::server;
use privet::observe::audit::{Checks, verify};
use serde_json::{Value, json};

use authority::Authority;
use clients::{Client, Target};
use expected::Expected;
use house::House;

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
        client: String::new(),
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
    let none = json!({ "Email": null, "Salary__c": null, "Name": null });
    assert_eq!(got["refusals"], none);
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

/// Runs `client` as the demo's first two callers through privet and holds everything it got against the policies.
async fn through_privet(client: Client) {
    let house = House::new(true).await;
    let callers = CALLERS[..2].iter().map(|c| (c, house.issue(c)));
    let callers: Vec<(&Caller, String)> = callers.collect();
    let serving = house.serve().await;
    for (caller, token) in callers {
        let target = Target {
            origin: house.origin.clone(),
            token,
            client: caller.client.to_owned(),
            authority: house.authority.ca(),
        };
        let Some(got) = ask(client, target).await else {
            return;
        };
        sees_what_it_may(&house, caller, &got);
        refused_as_usual(client, caller, &got["refusals"]);
    }
    // What reached the CRM came with the CRM's own session, never with a client's key.
    for asked in house.crm.seen() {
        let credential = asked.header("authorization").unwrap_or_default();
        assert!(!format!("{asked:?}").contains("pvt_"), "{}", asked.target);
        assert!(credential.starts_with("Bearer 00D") || asked.target == "/services/oauth2/token");
    }
    serving.stop().await.unwrap();
    let audit = verify(&house.state().join("audit"), &Checks::default()).unwrap();
    assert_eq!(audit.open, 0);
}

/// Every record, value and described field is exactly what policies/ say.
fn sees_what_it_may(house: &House, caller: &Caller, got: &Value) {
    every_page_arrived(got);
    let expected = Expected::new(house, caller);
    for record in got["query"]["records"].as_array().unwrap() {
        let fields = ["Id", "Name", "Email", "Phone", "Account.Name"];
        assert_eq!(
            *record,
            expected.contact(record, &fields),
            "{}",
            caller.role
        );
    }
    let sorted = |emails: &[Value]| {
        let mut texts: Vec<String> = emails.iter().map(Value::to_string).collect();
        texts.sort();
        texts
    };
    assert_eq!(
        sorted(got["query_all"]["emails"].as_array().unwrap()),
        sorted(&expected.emails()),
        "{}",
        caller.role
    );
    assert_eq!(got["record"], expected.whole_contact(&got["record"]));

    let described = got["describe"].as_object().unwrap();
    let mut names: Vec<&str> = described.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, expected.readable_fields(), "{}", caller.role);
    for (name, field) in described {
        if name != "Name" && expected.treatment(name) != "clear" {
            assert_eq!(field["sortable"], false, "{name} as {}", caller.role);
        }
    }
    let mut objects: Vec<&str> = got["global"]
        .as_array()
        .unwrap()
        .iter()
        .map(|o| o.as_str().unwrap())
        .collect();
    objects.sort_unstable();
    assert_eq!(
        objects,
        [
            "Account",
            "Attachment",
            "Case",
            "Contact",
            "Lead",
            "Task",
            "User"
        ]
    );
}

/// What may not be evaluated raises the error that the client raises for Salesforce's own.
fn refused_as_usual(client: Client, caller: &Caller, refusals: &Value) {
    let treated = |field: &str| format!("field '{field}' can not be sorted in a query call");
    let hidden = "No such column 'Salary__c'".to_owned();
    let wanted = match caller.role {
        "support_agent" => [
            ("Email", Some(treated("Email"))),
            ("Salary__c", Some(hidden)),
            ("Name", None),
        ],
        _ => ["Email", "Salary__c", "Name"].map(|f| (f, Some(treated(f)))),
    };
    for (field, text) in wanted {
        let refusal = &refusals[field];
        let Some(text) = text else {
            assert_eq!(*refusal, Value::Null, "{field}");
            continue;
        };
        let message = refusal["message"].as_str().expect("a refusal");
        assert!(message.contains(&text), "{message}");
        assert_eq!(refusal["code"], "INVALID_FIELD", "{field}");
        match client {
            Client::SimpleSalesforce
            | Client::SimpleSalesforceLogin
            | Client::SimpleSalesforceWrites
            | Client::SimpleSalesforceBulk1
            | Client::SimpleSalesforceBulk2
            | Client::Zeep => {
                assert_eq!(refusal["kind"], "SalesforceMalformedRequest");
                assert_eq!(refusal["status"], 400);
            }
            Client::Jsforce
            | Client::JsforceLogin
            | Client::JsforceWrites
            | Client::JsforceBulk1
            | Client::JsforceBulk2
            | Client::JsforceSoap
            | Client::JsforceReports
            | Client::JsforceStreaming => {
                assert_eq!(refusal["kind"], "HttpApiError");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_salesforce_meets_privet() {
    through_privet(Client::SimpleSalesforce).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_meets_privet() {
    through_privet(Client::Jsforce).await;
}
