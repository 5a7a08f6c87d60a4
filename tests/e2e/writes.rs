//! Clients that change records, upsert, search and ask in parts: nothing changed but address and session id.

use privet::demo::callers::CALLERS;
use privet::demo::crm::{CLIENT_SECRET, ORGANISATION};
use privet::demo::seed::CONTACTS;
use serde_json::{Value, json};

use crate::clients::{Client, Target};
use crate::house::House;

/// What `client` got as the demo's first caller, who may change contacts and find them by their number.
async fn written(client: Client) -> Option<(House, Value)> {
    let house = House::new(true).await;
    let caller = &CALLERS[0];
    let role = caller.role;
    house.add_rules(&format!(
        "p, allow, role:{role}, write, Contact.*, -, *, *, -, 10, w-write\n\
         p, allow, role:{role}, delete, Contact.*, -, *, *, -, 10, w-delete\n\
         p, allow, role:{role}, filter|key, Contact.Loyalty_Number__c, -, *, *, -, 10, w-key\n\
         p, allow, role:{role}, write, Contact.Loyalty_Number__c, -, *, *, -, 10, w-number\n"
    ));
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
    // Byte by byte: neither the organisation's host, id and session, nor a key.
    let text = got.to_string();
    for secret in ["00D5g000000DEMO", CLIENT_SECRET, ORGANISATION, &token] {
        assert!(!text.contains(secret), "{secret}");
    }
    assert!(!text.contains(&house.upstream_host()));
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
