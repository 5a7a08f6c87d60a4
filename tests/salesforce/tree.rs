//! Records with children, upserts of several records, and records found by a value where a reference is written.

use privet::engine::refusal::Reason;
use serde_json::{Value, json};

use super::RULES;
use super::conversation::House;

const TREE: &str = "/composite/tree/Account";
const BY_NUMBER: &str = "/composite/sobjects/contact/loyalty_number__c";

/// `desk` may write accounts and cases as well.
fn house() -> House {
    House::with(&format!(
        "{RULES}\
         p, allow, role:desk, write, Case.*, -, *, *, -, -, t-cases\n\
         p, allow, role:desk, write, Account.*, -, *, *, -, -, t-accounts\n"
    ))
}

fn tree(contact: &Value) -> String {
    let mut contact = contact.clone();
    contact["attributes"] = json!({"type": "Contact", "referenceId": "c1"});
    json!({"records": [{
        "attributes": {"type": "account", "referenceId": "a1"},
        "Name": "Acme",
        "contacts": {"records": [contact]},
    }]})
    .to_string()
}

/// The token that `desk` sees of the loyalty number of contact 0.
fn number_token(house: &House) -> String {
    let id = house.contact(0, "Id");
    let target = format!("/sobjects/Contact/{id}?fields=Loyalty_Number__c");
    let (_, record) = house.got("desk", "GET", &target, "");
    record["Loyalty_Number__c"].as_str().unwrap().to_owned()
}

#[test]
fn a_tree_is_made_whole_and_each_record_is_judged() {
    let house = house();
    let (status, made) = house.got("desk", "POST", TREE, &tree(&json!({"LastName": "Doe"})));
    assert_eq!(status, 201, "{made}");
    assert_eq!(made["hasErrors"], false);
    assert_eq!(made["results"][0]["referenceId"], "a1");
    assert_eq!(made["results"][1]["referenceId"], "c1");
    let id = made["results"][1]["id"].as_str().unwrap();
    let (_, contact) = house.got("desk", "GET", &format!("/sobjects/Contact/{id}"), "");
    assert_eq!(contact["AccountId"], made["results"][0]["id"]);
    // What failed says no more than that.
    assert_eq!(
        house
            .got("desk", "POST", TREE, &tree(&json!({"FirstName": "nobody"})))
            .0,
        400
    );
    for (contact, reason) in [
        (
            json!({"LastName": "A", "Email": "jo@example.org"}),
            Reason::Denied,
        ),
        (
            json!({"LastName": "A", "Email": "j****@example.org"}),
            Reason::IntegrityException,
        ),
        (
            json!({"LastName": "A", "Salary__c": 1}),
            Reason::UnknownField,
        ),
        (
            json!({"LastName": "A", "Nothing__c": 1}),
            Reason::UnknownField,
        ),
        (
            json!({"LastName": "A", "Nothings": {"records": []}}),
            Reason::UnknownField,
        ),
        (
            json!({"LastName": "A", "Tasks": {"records": []}}),
            Reason::Denied,
        ),
        (
            json!({"LastName": "A", "lastname": "B"}),
            Reason::MalformedBody,
        ),
        (json!({}), Reason::MalformedBody),
    ] {
        let body = tree(&contact);
        assert_eq!(
            house.refused("desk", "POST", TREE, &body),
            reason,
            "{contact}"
        );
    }
    let body = tree(&json!({"LastName": "Doe"}));
    assert_eq!(house.refused("reader", "POST", TREE, &body), Reason::Denied);
    let twice = body.replace("\"a1\"", "\"c1\"");
    assert_eq!(
        house.refused("desk", "POST", TREE, &twice),
        Reason::MalformedBody
    );
    let other = body.replace("\"account\"", "\"contact\"");
    assert_eq!(
        house.refused("desk", "POST", TREE, &other),
        Reason::MalformedBody
    );
    assert_eq!(
        house.refused("desk", "GET", TREE, ""),
        Reason::MethodNotAllowed
    );
}

#[test]
fn records_are_upserted_by_the_token_that_stands_for_their_key() {
    let house = house();
    let token = number_token(&house);
    let body = |number: &str| {
        json!({"records": [{"attributes": {"type": "Contact"}, "Loyalty_Number__c": number,
            "FirstName": "Jo"}]})
        .to_string()
    };
    let (status, saved) = house.got("desk", "PATCH", BY_NUMBER, &body(&token));
    assert_eq!(status, 200);
    assert_eq!(saved[0]["id"], house.contact(0, "Id"));
    assert_eq!(
        (&saved[0]["success"], &saved[0]["created"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(house.contact(0, "FirstName"), "Jo");
    let last = house.last();
    let sent = format!("{} {}", last.target, String::from_utf8(last.body).unwrap());
    assert!(
        sent.contains("Contact/Loyalty_Number__c") && !sent.contains("tk1."),
        "{sent}"
    );

    let raw = house.contact(0, "Loyalty_Number__c");
    assert_eq!(
        house.refused("desk", "PATCH", BY_NUMBER, &body(&raw)),
        Reason::TreatedFieldEvaluated
    );
    for (target, body, reason) in [
        (
            "/composite/sobjects/Contact/Salary__c",
            body(&token),
            Reason::UnknownField,
        ),
        (
            "/composite/sobjects/Contact/Nothing__c",
            body(&token),
            Reason::UnknownField,
        ),
        (
            "/composite/sobjects/Nothing/Loyalty_Number__c",
            body(&token),
            Reason::UnknownObject,
        ),
        (
            "/composite/sobjects/Contact/Id",
            body(&token),
            Reason::UnknownPath,
        ),
        (
            BY_NUMBER,
            body(&token).replace("\"Contact\"", "\"Account\""),
            Reason::TreatedFieldEvaluated,
        ),
        (
            BY_NUMBER,
            body(&token).replace("Loyalty_Number__c", "LastName"),
            Reason::TreatedFieldEvaluated,
        ),
    ] {
        let got = house.refused("desk", "PATCH", target, &body);
        assert_eq!(got, reason, "{target} {body}");
    }
    assert_eq!(
        house.refused("desk", "POST", BY_NUMBER, &body(&token)),
        Reason::MethodNotAllowed
    );
}

#[test]
fn a_reference_may_be_written_by_a_key_that_the_caller_may_use() {
    let house = house();
    let token = number_token(&house);
    let body = |value: Value| json!({"Subject": "Help", "contact": value}).to_string();
    let by = |number: &str| body(json!({"loyalty_number__c": number}));
    let (status, made) = house.got("desk", "POST", "/sobjects/Case", &by(&token));
    assert_eq!(status, 201, "{made}");
    let sent = String::from_utf8(house.last().body).unwrap();
    let raw = house.contact(0, "Loyalty_Number__c");
    assert!(
        sent.contains(&format!("\"Contact\":{{\"Loyalty_Number__c\":\"{raw}\"}}")),
        "{sent}"
    );
    let id = made["id"].as_str().unwrap();
    let (_, case) = house.got("desk", "GET", &format!("/sobjects/Case/{id}"), "");
    assert_eq!(case["ContactId"], house.contact(0, "Id"));

    assert_eq!(
        house.refused("desk", "POST", "/sobjects/Case", &by(&raw)),
        Reason::TreatedFieldEvaluated
    );
    for (value, reason) in [
        (json!({"Salary__c": 1}), Reason::UnknownField),
        (json!({"Nothing__c": "x"}), Reason::UnknownField),
        (json!({"Id": "x"}), Reason::MalformedBody),
        (json!({}), Reason::MalformedBody),
        (
            json!({"Name": "a", "FirstName": "b"}),
            Reason::MalformedBody,
        ),
        (
            json!({"Loyalty_Number__c": null}),
            Reason::TreatedFieldEvaluated,
        ),
        (json!("x"), Reason::MalformedBody),
    ] {
        let body = body(value);
        assert_eq!(
            house.refused("desk", "POST", "/sobjects/Case", &body),
            reason,
            "{body}"
        );
    }
    let both = json!({"Subject": "x", "ContactId": house.contact(0, "Id"),
        "Contact": {"Loyalty_Number__c": token}});
    assert_eq!(
        house.refused("desk", "POST", "/sobjects/Case", &both.to_string()),
        Reason::MalformedBody
    );
    // Who reads a reference as a token may not set it by a name of somebody's.
    let account = json!({"LastName": "A", "Account": {"Name": "Acme"}});
    let rules = format!(
        "{RULES}p, allow, role:desk, read, class:id.account, tokenize, *, *, -, 20, t-account\n"
    );
    let house = House::with(&rules);
    assert_eq!(
        house.refused("desk", "POST", "/sobjects/Contact", &account.to_string()),
        Reason::Denied
    );
}
