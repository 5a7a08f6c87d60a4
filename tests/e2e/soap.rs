//! SOAP clients that nobody here wrote: zeep on the WSDL that privet serves, and jsforce's SOAP API.

use privet::demo::callers::CALLERS;
use privet::demo::seed::CONTACTS;
use serde_json::Value;

use crate::clients::Client;
use crate::expected::Expected;
use crate::house::House;

/// What `client` got as the demo's first caller, who may change contacts and find them by their number.
async fn asked(client: Client) -> Option<(House, Value)> {
    let house = House::new(true).await;
    house.allow_changes();
    let got = house.asked_by(client).await?;
    Some((house, got))
}

/// Records of SOAP are texts: so are those that the policy leads to expect.
fn as_expected(house: &House, records: &Value) {
    let expected = Expected::new(house, &CALLERS[0]);
    let records = records.as_array().unwrap();
    assert!(!records.is_empty());
    for record in records {
        // jsforce leaves the prefix in names, and gives both ids of the partner API.
        let members = record.as_object().unwrap().iter().map(|(name, value)| {
            let name = name.strip_prefix("sf:").unwrap_or(name).to_owned();
            (name, value.get(0).unwrap_or(value).clone())
        });
        let plain = Value::Object(members.collect());
        assert!(plain["Id"].is_string(), "{plain}");
        let names = ["Id", "Email", "Name", "Title"];
        let wanted = expected.contact(&plain, &names);
        for name in names {
            let (got, wanted) = (&plain[name], &wanted[name]);
            let null = wanted.is_null() && !got.is_string();
            assert!(got == wanted || null, "{name}: {record} {wanted}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn zeep_speaks_the_partner_api_through_privet() {
    let Some((house, got)) = asked(Client::Zeep).await else {
        return;
    };
    assert!(
        got["serverUrl"]
            .as_str()
            .unwrap()
            .starts_with(&house.origin)
    );
    assert_eq!(got["session"], "pvs_");
    assert_eq!(
        (&got["size"], &got["distinct"]),
        (&CONTACTS.into(), &CONTACTS.into())
    );
    assert_eq!(got["pages"], 2);
    as_expected(&house, &got["records"]);
    as_expected(&house, &got["retrieved"]);
    for call in ["created", "updated", "upserted", "deleted"] {
        assert_eq!(got[call]["success"], true, "{call}: {}", got[call]);
    }
    assert_eq!(got["after"][0]["Title"], "changed");
    let fields = got["fields"].as_object().unwrap();
    assert!(
        fields.contains_key("Email") && !fields.contains_key("SSN__c"),
        "{fields:?}"
    );
    assert!(
        got["objects"]
            .as_array()
            .unwrap()
            .contains(&"Contact".into())
    );
    for (name, code) in [
        ("filter", "sf:INVALID_FIELD"),
        ("mask", "sf:FIELD_INTEGRITY_EXCEPTION"),
        ("session", "sf:INVALID_SESSION_ID"),
    ] {
        assert_eq!(got["failures"][name]["code"], code, "{}", got["failures"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_speaks_soap_through_privet() {
    let Some((house, got)) = asked(Client::JsforceSoap).await else {
        return;
    };
    assert_eq!(got["instanceUrl"], house.origin.as_str());
    assert_eq!(got["info"]["userName"], CALLERS[0].client);
    assert!(got["time"]["timestamp"].is_string());
    assert_eq!(got["query"]["done"], "true");
    as_expected(&house, &got["query"]["records"]);
    let fields = got["fields"].as_array().unwrap();
    assert!(fields.contains(&"Email".into()) && !fields.contains(&"SSN__c".into()));
    assert_eq!(got["created"]["success"], true, "{}", got["created"]);
    assert_eq!(got["updated"]["success"], true, "{}", got["updated"]);
    assert_eq!(got["after"]["sf:Department"], "changed");
    for list in ["upserted", "deleted"] {
        assert_eq!(got[list][0]["success"], true, "{list}: {}", got[list]);
    }
    let failures = got["failures"].to_string();
    assert!(
        failures.contains("INVALID_FIELD") && failures.contains("The SOAP call merge"),
        "{failures}"
    );
}
