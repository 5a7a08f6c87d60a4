//! Clients that change records, upsert, search and ask in parts: nothing changed but address and session id.

use privet::demo::seed::CONTACTS;
use serde_json::{Value, json};

use crate::clients::Client;
use crate::house::House;

/// What `client` got as the demo's first caller, who may change contacts and find them by their number.
async fn written(client: Client) -> Option<(House, Value)> {
    let house = House::new(true).await;
    house.allow_changes();
    let got = house.asked_by(client).await?;
    Some((house, got))
}

/// What holds of a record's life, whoever leads it.
fn lived_and_died(got: &Value) {
    let id = &got["created"]["id"];
    assert_eq!(got["created"]["success"], true, "{got}");
    assert_eq!(got["before"]["Id"], *id);
    assert_eq!(got["before"]["Title"], "made");
    assert_eq!(got["after"]["Title"], "changed");
    assert_eq!(got["by_key"]["Id"], *id);
    assert_eq!(got["by_key"]["Department"], "upserted");
    assert!(got["before"].get("Salary__c").is_none());
    assert_ne!(got["before"]["Loyalty_Number__c"], "L-900001");
    assert_ne!(got["before"]["Loyalty_Number__c"], "L-900002");
    let found = got["found"].as_array().unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0]["Id"], *id);
    assert_eq!(got["gone"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_salesforce_changes_records_through_privet() {
    let Some((_, got)) = written(Client::SimpleSalesforceWrites).await else {
        return;
    };
    lived_and_died(&got);
    // simple-salesforce gives the status of what has no body.
    assert_eq!(
        [&got["updated"], &got["deleted"]],
        [&json!(204), &json!(204)]
    );
    let parts = got["composite"].as_array().unwrap();
    assert_eq!(parts[0]["body"]["Title"], "changed");
    assert_eq!(parts[1]["httpStatusCode"], 204);
    assert_eq!(got["mistake"]["status"], 400);
    assert_eq!(
        got["mistake"]["content"][0]["errorCode"],
        "REQUIRED_FIELD_MISSING"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_changes_records_through_privet() {
    let Some((_, got)) = written(Client::JsforceWrites).await else {
        return;
    };
    lived_and_died(&got);
    for one in ["updated", "upserted", "deleted"] {
        assert_eq!(got[one]["success"], true, "{one}");
    }
    for list in ["several", "removed"] {
        let all = got[list].as_array().unwrap();
        assert_eq!(all.len(), 2, "{list}");
        assert!(all.iter().all(|one| one["success"] == true), "{list}");
    }
    let parents = got["parents"].as_array().unwrap();
    assert_eq!(parents.len(), 3);
    let children: Vec<&Value> = parents
        .iter()
        .filter_map(|p| p["Contacts"]["records"].as_array())
        .flatten()
        .collect();
    assert!(!children.is_empty());
    for child in children {
        assert!(child["Id"].is_string() && child.get("Salary__c").is_none());
    }
    assert_eq!(got["all"].as_u64(), Some(CONTACTS as u64 + 1));
    assert_eq!(got["mistake"]["code"], "REQUIRED_FIELD_MISSING");
    assert!(
        got["global"]
            .as_array()
            .unwrap()
            .contains(&"Account".into())
    );
}
