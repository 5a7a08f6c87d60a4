//! Clients that log in by themselves: the login ends at privet, and nothing leads past it.

use privet::demo::callers::CALLERS;
use privet::demo::crm::{CLIENT_SECRET, ORGANISATION};
use privet::observe::audit::{Checks, verify};
use serde_json::Value;

use crate::clients::{Client, Target};
use crate::expected::Expected;
use crate::house::House;

/// What `client` got of a house, logging in as the demo's first caller.
async fn logged_in(client: Client) -> Option<(House, Value)> {
    let house = House::new(true).await;
    let caller = &CALLERS[0];
    let token = house.issue(caller);
    let serving = house.serve().await;
    let target = Target {
        origin: house.origin.clone(),
        token: token.clone(),
        client: caller.client.to_owned(),
        authority: house.authority.ca(),
    };
    let got = crate::ask(client, target).await?;
    serving.stop().await.unwrap();
    let audit = verify(&house.state().join("audit"), &Checks::default()).unwrap();
    assert_eq!(audit.open, 0);

    // Neither the org's host, organisation, user and session, nor the API key, in anything that the client got; and
    // upstream neither sessions nor keys.
    let text = got.to_string();
    for secret in ["00D5g000000DEMO", CLIENT_SECRET, ORGANISATION, &token] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(!text.contains(&house.upstream_host()), "{text}");
    for asked in house.crm.seen() {
        let all = format!("{asked:?} {}", String::from_utf8_lossy(&asked.body));
        assert!(
            !all.contains("pvt_") && !all.contains("pvs_"),
            "{}",
            asked.target
        );
        assert!(!asked.target.contains("Soap") && !asked.target.starts_with("/id/"));
    }
    Some((house, got))
}

/// What holds for every way to log in.
fn sees_its_records(house: &House, one: &Value) {
    assert!(one["token"].as_str().unwrap().starts_with("pvs_"));
    let records = one["records"].as_array().unwrap();
    assert_eq!(records.len(), 2);
    let expected = Expected::new(house, &CALLERS[0]);
    for record in records {
        assert_eq!(*record, expected.contact(record, &["Id", "Email"]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_logs_in_at_privet() {
    let Some((house, got)) = logged_in(Client::JsforceLogin).await else {
        return;
    };
    for way in ["soap", "password", "client_credentials", "found"] {
        let one = &got[way];
        sees_its_records(&house, one);
        assert_eq!(one["instanceUrl"], house.origin.as_str(), "{way}");
        let who = &one["who"];
        assert_eq!(who["username"], CALLERS[0].client, "{way}");
        if way != "found" {
            assert_eq!(one["user"]["id"], who["user_id"], "{way}");
            assert_eq!(
                one["user"]["organizationId"], who["organization_id"],
                "{way}"
            );
        }
        for url in who["urls"].as_object().unwrap().values() {
            assert!(url.as_str().unwrap().starts_with(&house.origin), "{url}");
        }
    }
    let failures = &got["failures"];
    let says = |way: &str, text: &str| {
        let message = failures[way]["message"].as_str().unwrap();
        assert!(message.contains(text), "{way}: {message}");
    };
    says("soap", "INVALID_LOGIN");
    says("password", "authentication failure");
    assert_eq!(failures["password"]["name"], "invalid_grant");
    assert_eq!(failures["code"]["name"], "unsupported_grant_type");
    assert_eq!(failures["refresh"]["name"], "unsupported_grant_type");
    assert_eq!(failures["session"]["code"], "INVALID_SESSION_ID");
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_salesforce_logs_in_at_privet() {
    let Some((house, got)) = logged_in(Client::SimpleSalesforceLogin).await else {
        return;
    };
    let host = house.origin.strip_prefix("https://").unwrap();
    for way in ["soap", "password", "client_credentials"] {
        sees_its_records(&house, &got[way]);
        assert_eq!(got[way]["instance"], host, "{way}");
    }
    let failures = &got["failures"];
    for (way, code) in [
        ("soap", "INVALID_LOGIN"),
        ("password", "invalid_grant"),
        ("client_credentials", "invalid_client"),
    ] {
        assert_eq!(
            failures[way]["kind"], "SalesforceAuthenticationFailed",
            "{way}"
        );
        assert_eq!(failures[way]["code"], code, "{way}");
    }
}
