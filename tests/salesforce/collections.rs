//! Several records of one request.

use privet::engine::refusal::Reason;
use serde_json::json;

use super::RULES;
use super::conversation::House;

const ALL: &str = "/composite/sobjects";

#[test]
fn records_are_read_together() {
    let house = House::with(RULES);
    let (a, b) = (house.contact(0, "Id"), house.contact(1, "Id"));
    let query = format!("{ALL}/contact?ids={a},{b},003000000000009AAA&fields=Email,Salary__c,name");
    let body =
        json!({"ids": [a, b, "003000000000009AAA"], "fields": ["Email", "Salary__c", "name"]});
    for (method, target, body) in [
        ("GET", &*query, String::new()),
        ("POST", "/composite/sobjects/contact", body.to_string()),
    ] {
        let (_, found) = house.got("desk", method, target, &body);
        assert_eq!(found.as_array().unwrap().len(), 3);
        assert_eq!(found[0]["Name"], house.contact(0, "Name"));
        let email = found[1]["Email"].as_str().unwrap();
        assert!(email.starts_with("tk1."), "{email}");
        assert!(found[0].get("Salary__c").is_none() && found[2].is_null());
        let last = house.last();
        let sent = format!("{}{}", last.target, String::from_utf8(last.body).unwrap());
        assert!(!sent.contains("Salary__c"), "{sent}");
    }
    let target = |ids: &str, fields: &str| format!("{ALL}/Contact?ids={ids}&fields={fields}");
    for (target, reason) in [
        (target(&a, "SSN__c"), Reason::Denied),
        (target(&a, "Nothing"), Reason::UnknownField),
        (target("x", "Id"), Reason::UnknownPath),
        (format!("{ALL}/Contact?ids={a}"), Reason::BadRequest),
        (
            format!("{ALL}/Nothing?ids={a}&fields=Id"),
            Reason::UnknownObject,
        ),
    ] {
        assert_eq!(
            house.refused("desk", "GET", &target, ""),
            reason,
            "{target}"
        );
    }
    assert_eq!(
        house.refused("pseudonym", "GET", &target(&a, "Id"), ""),
        Reason::UnknownPath
    );
}

#[test]
fn records_are_changed_together_and_each_is_judged() {
    let house = House::with(RULES);
    let made = json!({"records": [
        {"attributes": {"type": "Contact"}, "LastName": "A"},
        {"attributes": {"type": "Contact"}, "FirstName": "nobody"},
    ]});
    let (_, saved) = house.got("desk", "POST", ALL, &made.to_string());
    let id = saved[0]["id"].as_str().unwrap();
    assert_eq!(saved[0]["success"], true);
    // What the CRM says of the second one is a code and nothing else.
    assert_eq!(
        saved[1],
        json!({"success": false, "errors": [{
            "statusCode": "REQUIRED_FIELD_MISSING", "message": "the request was not accepted", "fields": []
        }]})
    );
    let change = json!({"allOrNone": true, "records": [
        {"attributes": {"type": "Contact"}, "id": id, "FirstName": "B"},
    ]});
    let (_, saved) = house.got("desk", "PATCH", ALL, &change.to_string());
    assert_eq!(saved[0], json!({"id": id, "success": true, "errors": []}));
    let delete = format!("{ALL}?ids={id}&allOrNone=false");
    assert_eq!(
        house.refused("reader", "DELETE", &delete, ""),
        Reason::Denied
    );
    let (_, gone) = house.got("desk", "DELETE", &delete, "");
    assert_eq!(gone[0]["success"], true);

    let one = |record: serde_json::Value| json!({ "records": [record] });
    for (method, body, reason) in [
        (
            "POST",
            one(json!({"attributes": {"type": "Account"}, "Name": "x"})),
            Reason::Denied,
        ),
        ("POST", one(json!({"LastName": "x"})), Reason::MalformedBody),
        (
            "POST",
            one(json!({"attributes": {"type": "Contact"}})),
            Reason::MalformedBody,
        ),
        (
            "POST",
            one(json!({"attributes": {"type": "Contact"}, "Phone": "****5678"})),
            Reason::IntegrityException,
        ),
        (
            "PATCH",
            one(json!({"attributes": {"type": "Contact"}, "LastName": "x"})),
            Reason::MalformedBody,
        ),
        (
            "PATCH",
            one(json!({"attributes": {"type": "Contact"}, "id": id, "Id": id, "LastName": "x"})),
            Reason::MalformedBody,
        ),
        ("POST", json!({"records": []}), Reason::BadRequest),
        (
            "POST",
            json!({"records": [], "more": 1}),
            Reason::MalformedBody,
        ),
    ] {
        let text = body.to_string();
        assert_eq!(house.refused("desk", method, ALL, &text), reason, "{text}");
    }
    let nowhere = format!("{ALL}?ids=zzz000000000001");
    assert_eq!(
        house.refused("desk", "DELETE", &nowhere, ""),
        Reason::UnknownObject
    );
}

/// The other record of a duplicate shows neither in code nor in text.
#[test]
fn a_duplicate_in_a_collection_has_no_code_of_its_own() {
    let rules = format!(
        "{RULES}p, allow, role:desk, write, Contact.Loyalty_Number__c, -, *, *, -, 10, t-number-write\n"
    );
    let house = House::with(&rules);
    let taken = house.contact(0, "Loyalty_Number__c");
    let body = json!({"records": [
        {"attributes": {"type": "Contact"}, "LastName": "A", "Loyalty_Number__c": taken},
    ]});
    let (_, saved) = house.got("desk", "POST", ALL, &body.to_string());
    assert_eq!(saved[0]["errors"][0]["statusCode"], "UNKNOWN_EXCEPTION");
    assert!(!saved.to_string().contains("003"), "{saved}");
}
