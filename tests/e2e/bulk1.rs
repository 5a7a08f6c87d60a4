//! Clients that extract and load through Bulk API 1.0: nothing changed but address and session id.

use privet::demo::seed::CONTACTS;
use serde_json::{Value, json};

use crate::bulk::treated;
use crate::clients::Client;
use crate::house::House;

/// What `client` got as the demo's first caller, who may extract, change and delete contacts.
async fn asked(client: Client) -> Option<Value> {
    let house = House::new(true).await;
    house.allow_changes();
    house.allow_exports();
    let got = house.asked_by(client).await?;
    // The CRM's own session alone reached it, in its own header.
    let jobs: Vec<_> = house
        .crm
        .seen()
        .into_iter()
        .filter(|asked| asked.target.starts_with("/services/async/61.0/job"))
        .collect();
    assert!(jobs.len() > 5);
    for asked in jobs {
        assert!(asked.header("authorization").is_none());
        assert!(asked.header("x-sfdc-session").unwrap().starts_with("00D"));
    }
    Some(got)
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_salesforce_extracts_and_loads_through_bulk_1() {
    let Some(got) = asked(Client::SimpleSalesforceBulk1).await else {
        return;
    };
    assert_eq!(got["count"], CONTACTS);
    treated(&got["rows"]);
    let inserted = &got["inserted"];
    assert_eq!(inserted[0]["success"], true, "{inserted}");
    assert_eq!(inserted[1]["success"], false, "{inserted}");
    let error = &inserted[1]["errors"][0];
    assert_eq!(error["statusCode"], "STRING_TOO_LONG");
    assert!(!error["message"].as_str().unwrap().contains("large"));
    assert_eq!(got["title"], "changed");
    assert_eq!(got["updated"][0]["success"], true);
    // With its request beside it.
    assert_eq!(
        got["detailed"][0]["Title"], "detailed",
        "{}",
        got["detailed"]
    );
    assert_eq!(
        (&got["upserted"][0]["created"], &got["again"][0]["created"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(got["deleted"][0]["success"], true);
    assert_eq!(got["gone"], true);
    let mistake = &got["mistake"];
    assert_eq!(mistake["status"], 400, "{mistake}");
    assert_eq!(
        mistake["content"]["exceptionCode"], "InvalidBatch",
        "{mistake}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_extracts_and_loads_through_bulk_1() {
    let Some(got) = asked(Client::JsforceBulk1).await else {
        return;
    };
    assert_eq!(got["count"], CONTACTS);
    treated(&got["rows"]);
    let inserted = &got["inserted"];
    assert_eq!(inserted[0]["success"], true, "{inserted}");
    assert_eq!(
        inserted[1]["errors"],
        json!(["STRING_TOO_LONG"]),
        "{inserted}"
    );
    assert_eq!(got["updated"][0]["success"], true, "{}", got["updated"]);
    assert_eq!(got["title"], "changed");
    assert_eq!(got["upserted"][0]["created"], true, "{}", got["upserted"]);
    assert_eq!(got["job"]["numberBatchesTotal"], "1", "{}", got["job"]);
    assert_eq!(got["batches"][0]["state"], "Completed");
    assert_eq!(got["deleted"][0]["success"], true, "{}", got["deleted"]);
    let mistake = &got["mistake"];
    assert_eq!(mistake["code"], "InvalidBatch", "{mistake}");
    assert!(mistake["message"].as_str().unwrap().contains("Email"));
}
