//! Several requests in one: each part is judged like one alone, and nothing crosses between them unseen.

use privet::engine::refusal::Reason;
use serde_json::{Value, json};

use super::RULES;
use super::conversation::House;

const V: &str = "/services/data/v61.0";

fn composite(parts: &Value) -> String {
    json!({ "compositeRequest": parts }).to_string()
}

#[test]
fn each_part_is_answered_by_its_own_plan() {
    let house = House::with(RULES);
    let id = house.contact(0, "Id");
    let body = composite(&json!([
        {"method": "GET", "referenceId": "q", "url":
            format!("{V}/query?q=SELECT+Id,Email,Salary__c+FROM+Contact+LIMIT+600")},
        {"method": "POST", "referenceId": "new", "url": format!("{V}/sobjects/Contact"),
            "body": {"LastName": "Doe"}, "httpHeaders": {"Sforce-Duplicate-Rule-Header":
                "allowSave=true; includeRecordDetails=true"}},
        {"method": "PATCH", "referenceId": "change", "url": format!("{V}/sobjects/Contact/@{{new.id}}"),
            "body": {"FirstName": "Jo", "AccountId": "@{row.AccountId}"}},
        {"method": "GET", "referenceId": "gone", "url": format!("{V}/sobjects/Contact/003000000000009AAA")},
    ]));
    // `row` stands nowhere before.
    assert_eq!(
        house.refused("desk", "POST", "/composite", &body),
        Reason::BadRequest
    );
    let body = composite(&json!([
        {"method": "GET", "referenceId": "q", "url":
            format!("{V}/query?q=SELECT+Id,Email,Salary__c+FROM+Contact+LIMIT+600")},
        {"method": "GET", "referenceId": "row", "url": format!("{V}/sobjects/Contact/{id}?fields=AccountId")},
        {"method": "POST", "referenceId": "new", "url": format!("{V}/sobjects/Contact"),
            "body": {"LastName": "Doe", "AccountId": "@{row.AccountId}"}, "httpHeaders":
                {"Sforce-Duplicate-Rule-Header": "allowSave=true; includeRecordDetails=true"}},
        {"method": "PATCH", "referenceId": "change", "url": format!("{V}/sobjects/Contact/@{{new.id}}"),
            "body": {"FirstName": "Jo"}},
        {"method": "GET", "referenceId": "gone", "url": format!("{V}/sobjects/Contact/003000000000009AAA")},
    ]));
    let (status, answer) = house.got("desk", "POST", "/composite", &body);
    assert_eq!(status, 200);
    let parts = answer["compositeResponse"].as_array().unwrap();
    let codes: Vec<_> = parts
        .iter()
        .map(|p| p["httpStatusCode"].as_u64().unwrap())
        .collect();
    assert_eq!(codes, [200, 200, 201, 204, 404], "{:?}", &parts[2..]);
    let records = parts[0]["body"]["records"].as_array().unwrap();
    assert_eq!(records.len(), 500);
    for record in records {
        assert!(record.get("Salary__c").is_none());
        assert!(
            record["Email"]
                .as_str()
                .unwrap_or("tk1.")
                .starts_with("tk1.")
        );
    }
    // The page after it belongs to this caller and this query.
    let next = parts[0]["body"]["nextRecordsUrl"].as_str().unwrap();
    let target = next.strip_prefix(V).unwrap().to_owned();
    assert!(!next.contains("01g"), "{next}");
    let sent = String::from_utf8(house.last().body).unwrap();
    assert!(
        !sent.contains("Salary__c") && !sent.contains("includeRecordDetails"),
        "{sent}"
    );
    assert!(sent.contains("allowSave=true"));
    let (_, page) = house.got("desk", "GET", &target, "");
    assert_eq!(page["records"].as_array().unwrap().len(), 100);
    assert!(page["records"][0].get("Salary__c").is_none());

    let made = parts[2]["body"]["id"].as_str().unwrap();
    let (_, record) = house.got(
        "desk",
        "GET",
        &format!("/sobjects/Contact/{made}?fields=AccountId,Name"),
        "",
    );
    assert_eq!(record["AccountId"], house.contact(0, "AccountId"));
    assert_eq!(record["Name"], "Jo Doe");
    assert_eq!(
        parts[4],
        json!({
            "body": [{"message": "the request was not accepted", "errorCode": "NOT_FOUND"}],
            "httpHeaders": {}, "httpStatusCode": 404, "referenceId": "gone",
        })
    );
}

#[test]
fn nothing_protected_is_piped_from_part_to_part() {
    let house = House::with(RULES);
    let id = house.contact(0, "Id");
    let read = |fields: &str| {
        json!({"method": "GET", "referenceId": "a",
            "url": format!("{V}/sobjects/Contact/{id}{fields}")})
    };
    let query = json!({"method": "GET", "referenceId": "a",
        "url": format!("{V}/query?q=SELECT+Email,FirstName,MAX(Phone)+m+FROM+Contact+GROUP+BY+Email,FirstName")});
    let rows = json!({"method": "GET", "referenceId": "a",
        "url": format!("{V}/query?q=SELECT+Email+e+FROM+Contact")});
    let write = |value: &str| {
        json!({"method": "PATCH", "referenceId": "b", "url": format!("{V}/sobjects/Contact/{id}"),
            "body": {"Title": value}})
    };
    let to = |url: &str| json!({"method": "GET", "referenceId": "b", "url": format!("{V}{url}")});
    for (first, second) in [
        // Treated, hidden, unnamed, masked fields.
        (read("?fields=Email,Phone"), write("@{a.Email}")),
        (read("?fields=Email,Phone"), write("@{a.phone}")),
        (read("?fields=Salary__c,Id"), write("@{a.Salary__c}")),
        (read(""), write("@{a.Email}")),
        (read(""), write("@{a.Name}")),
        (query, write("@{a.records[0].m}")),
        (rows, write("@{a.records[0].e}")),
        // Whole objects, envelopes, other parts, halves of a value.
        (read("?fields=Id"), write("@{a}")),
        (read("?fields=Id"), write("@{a.attributes}")),
        (read("?fields=Id"), write("@{a.attributes.url}")),
        (read("?fields=Id"), write("@{A.Id}")),
        (read("?fields=Id"), write("@{b.Id}")),
        (read("?fields=Id"), write("x @{a.Id}")),
        (read("?fields=Id"), write("@{a.Id}@{a.Id}")),
        // Where nothing may be referred to.
        (
            read("?fields=Id"),
            to("/query?q=SELECT+Id+FROM+Contact+WHERE+Id='@{a.Id}'"),
        ),
        (
            read("?fields=Id"),
            to("/query?q=SELECT+Id+FROM+Contact+WHERE+Id='%40%7Ba.Id}'"),
        ),
        (read("?fields=Id"), to("/sobjects/Contact/Email/@{a.Id}")),
        (read("?fields=Id"), to("/sobjects/@{a.Id}/x")),
        (
            read("?fields=Id"),
            json!({"method": "GET", "referenceId": "b", "url": format!("{V}/sobjects/Contact/{id}"),
                "httpHeaders": {"Sforce-Limit-Info": "@{a.Id}"}}),
        ),
    ] {
        let body = composite(&json!([first, second]));
        let reason = house.refused("desk", "POST", "/composite", &body);
        assert!(
            matches!(
                reason,
                Reason::BadRequest | Reason::MalformedQuery | Reason::TreatedFieldEvaluated
            ),
            "{body}: {reason:?}"
        );
    }
    // What is read in clear may be used.
    let body = composite(&json!([read("?fields=LastName"), write("@{a.LastName}")]));
    assert_eq!(house.got("desk", "POST", "/composite", &body).0, 200);
    assert_eq!(house.contact(0, "Title"), house.contact(0, "LastName"));
    // A stored text that looks like a reference stays in its part, token or not.
    let object = privet::demo::metadata::object("Contact").unwrap();
    let planted = privet::demo::store::Value::text("@{a.LastName}");
    house
        .crm
        .store_mut()
        .set(object, 0, "Loyalty_Number__c", planted);
    let (_, record) = house.got("desk", "GET", &format!("/sobjects/Contact/{id}"), "");
    let token = record["Loyalty_Number__c"].as_str().unwrap();
    let body = composite(&json!([
        read("?fields=LastName"),
        {"method": "PATCH", "referenceId": "b", "url": format!("{V}/sobjects/Contact/{id}"),
            "body": {"Loyalty_Number__c": token}},
    ]));
    assert_eq!(
        house.refused("desk", "POST", "/composite", &body),
        Reason::BadRequest
    );
}

#[test]
fn parts_are_refused_as_if_they_came_alone() {
    let house = House::with(RULES);
    for (method, url, body, reason) in [
        (
            "GET",
            "/query?q=SELECT+Id+FROM+Contact+WHERE+Salary__c=1",
            Value::Null,
            Reason::UnknownField,
        ),
        (
            "GET",
            "/query?q=SELECT+Id+FROM+Contact+ORDER+BY+Phone",
            Value::Null,
            Reason::TreatedFieldEvaluated,
        ),
        (
            "GET",
            "/query?q=SELECT+SSN__c+FROM+Contact",
            Value::Null,
            Reason::Denied,
        ),
        (
            "POST",
            "/sobjects/Account",
            json!({"Name": "x"}),
            Reason::Denied,
        ),
        (
            "GET",
            "/sobjects/Contact/describe",
            Value::Null,
            Reason::EndpointClosed,
        ),
        (
            "GET",
            "/tooling/query?q=x",
            Value::Null,
            Reason::EndpointClosed,
        ),
        (
            "POST",
            "/composite",
            json!({"compositeRequest": []}),
            Reason::EndpointClosed,
        ),
        ("GET", "/nothing", Value::Null, Reason::UnknownPath),
        (
            "GET",
            "/sobjects/../limits",
            Value::Null,
            Reason::BadRequest,
        ),
        (
            "GET",
            "/sobjects/Contact%2F003000000000001",
            Value::Null,
            Reason::BadRequest,
        ),
        (
            "PUT",
            "/sobjects/Contact",
            json!({"LastName": "x"}),
            Reason::BadRequest,
        ),
        (
            "GET",
            "/query?q=SELECT+Id+FROM+Contact",
            json!({"a": 1}),
            Reason::BadRequest,
        ),
    ] {
        let one =
            json!({"method": method, "referenceId": "a", "url": format!("{V}{url}"), "body": body});
        let text = composite(&json!([one]));
        assert_eq!(
            house.refused("desk", "POST", "/composite", &text),
            reason,
            "{text}"
        );
        let one = json!({"method": method, "url": format!("v61.0{url}"), "richInput": body});
        let text = json!({ "batchRequests": [one] }).to_string();
        assert_eq!(
            house.refused("desk", "POST", "/composite/batch", &text),
            reason,
            "{text}"
        );
    }
    let row = json!({"method": "GET", "referenceId": "a", "url": format!("{V}/query?q=SELECT+Id+FROM+Contact")});
    for body in [
        composite(&json!([row, row])),
        composite(&json!([])),
        json!({"compositeRequest": [row], "collateSubrequests": true}).to_string(),
        json!({"compositeRequest": [{"method": "GET", "url": V}]}).to_string(),
    ] {
        let reason = house.refused("desk", "POST", "/composite", &body);
        assert!(
            matches!(reason, Reason::BadRequest | Reason::MalformedBody),
            "{body}"
        );
    }
    let queries: Vec<Value> = (0..6)
        .map(|i| json!({"method": "GET", "referenceId": format!("r{i}"), "url": row["url"]}))
        .collect();
    let body = composite(&json!(queries));
    assert_eq!(
        house.refused("desk", "POST", "/composite", &body),
        Reason::BadRequest
    );
}

#[test]
fn a_batch_answers_by_position_and_each_record_by_its_own_flags() {
    let rules = format!(
        "{RULES}p, allow, role:desk, read, Contact.Title, redact, *, *, -, 50, t-title\n\
         p, allow, role:desk, read, Contact.Title, clear, *, *, record.consent=granted, 20, t-title-granted\n"
    );
    let house = House::with(&rules);
    let body = json!({"batchRequests": [
        {"method": "GET", "url": "v61.0/query?q=SELECT+Id,Title+FROM+Contact+LIMIT+50"},
        {"method": "GET", "url": format!("v61.0/sobjects/Contact/{}?fields=Title", house.contact(0, "Id"))},
        {"method": "POST", "url": "v61.0/sobjects/Contact", "richInput": {"FirstName": "nobody"}},
        {"method": "GET", "url": "v61.0/limits"},
    ]});
    let (_, answer) = house.got("desk", "POST", "/composite/batch", &body.to_string());
    let results = answer["results"].as_array().unwrap();
    assert_eq!(answer["hasErrors"], true);
    let sent = String::from_utf8(house.last().body).unwrap();
    assert_eq!(sent.matches("HasOptedOutOfEmail").count(), 2, "{sent}");
    let (mut clear, mut redacted) = (0, 0);
    for record in results[0]["result"]["records"].as_array().unwrap() {
        assert!(record.get("HasOptedOutOfEmail").is_none());
        if record["Title"].is_null() {
            redacted += 1;
        } else {
            clear += 1;
        }
    }
    assert!(clear > 0 && redacted > 0, "{clear} {redacted}");
    assert!(results[1]["result"].get("Title").is_some());
    assert_eq!(
        results[2]["result"][0]["errorCode"],
        "REQUIRED_FIELD_MISSING"
    );
    assert_eq!(
        results[2]["result"][0]["message"],
        "the request was not accepted"
    );
    assert!(results[3]["result"].is_object());
}
