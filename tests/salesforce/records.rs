//! Records: create, update, upsert, delete, external ids.

use privet::engine::refusal::Reason;

use super::RULES;
use super::conversation::House;

const CONTACT: &str = "/sobjects/Contact";

#[test]
fn a_record_is_made_changed_and_deleted() {
    let house = House::with(RULES);
    let (status, made) = house.got(
        "desk",
        "POST",
        CONTACT,
        r#"{"attributes":{"type":"contact"},"lastname":"Doe","FirstName":null}"#,
    );
    assert_eq!((status, &made["success"]), (201, &true.into()));
    assert_eq!(made["errors"], serde_json::json!([]));
    let id = made["id"].as_str().unwrap();
    let sent = String::from_utf8(house.last().body).unwrap();
    assert_eq!(sent, r#"{"LastName":"Doe","FirstName":null}"#);
    let one = format!("{CONTACT}/{id}");
    let (status, body) = house.got("desk", "PATCH", &one, r#"{"FirstName":"Jo"}"#);
    assert_eq!((status, body), (204, serde_json::Value::Null));
    let (_, record) = house.got("desk", "GET", &format!("{one}?fields=Name"), "");
    assert_eq!(record["Name"], "Jo Doe");
    assert_eq!(house.got("desk", "DELETE", &one, "").0, 204);
    assert_eq!(house.got("desk", "GET", &one, "").0, 404);
}

#[test]
fn tokens_become_values_and_nothing_else_is_written_over_what_is_hidden() {
    let house = House::with(RULES);
    let one = format!("{CONTACT}/{}", house.contact(0, "Id"));
    let (_, record) = house.got("desk", "GET", &one, "");
    let email = record["Email"].as_str().unwrap().to_owned();
    assert!(email.starts_with("tk1.") && email.ends_with("@token.invalid"));
    assert!(record.get("Salary__c").is_none());
    // A round trip changes nothing.
    let body = serde_json::json!({ "Email": email }).to_string();
    assert_eq!(house.got("desk", "PATCH", &one, &body).0, 204);
    let sent: serde_json::Value = serde_json::from_slice(&house.last().body).unwrap();
    assert_eq!(sent["Email"], house.contact(0, "Email"));

    let number = record["Loyalty_Number__c"].as_str().unwrap();
    let phone = record["Phone"].as_str().unwrap_or("****5678");
    for (body, reason) in [
        // op-8, op-9: tokens of nobody, of another class.
        (
            r#"{"Email":"tk1.k9.AAAAAAAA"}"#.to_owned(),
            Reason::IntegrityException,
        ),
        (
            serde_json::json!({ "LastName": number }).to_string(),
            Reason::IntegrityException,
        ),
        // op-10: masks.
        (
            serde_json::json!({ "Phone": phone }).to_string(),
            Reason::IntegrityException,
        ),
        (
            r#"{"Email":"j****@example.org"}"#.to_owned(),
            Reason::IntegrityException,
        ),
        // A broad row writes no plain value over what the caller does not read.
        (r#"{"Email":"jo@example.org"}"#.to_owned(), Reason::Denied),
        // op-4: the CRM would copy a hidden field.
        (r#"{"LastName":"{!Email}"}"#.to_owned(), Reason::BadRequest),
        (
            r#"{"LastName":"a","LASTNAME":"b"}"#.to_owned(),
            Reason::MalformedBody,
        ),
        (
            r#"{"LastName":"a","LastName":"b"}"#.to_owned(),
            Reason::MalformedBody,
        ),
        (r#"{"LastName":["a"]}"#.to_owned(), Reason::MalformedBody),
        (
            r#"{"Account":{"Nothing__c":"x"}}"#.to_owned(),
            Reason::UnknownField,
        ),
        (
            r#"{"Account":{"Name":["x"]}}"#.to_owned(),
            Reason::MalformedBody,
        ),
        // A broad row over a hidden field: as if the field were not there.
        (r#"{"Salary__c":1}"#.to_owned(), Reason::UnknownField),
        (r#"{"Nothing__c":1}"#.to_owned(), Reason::UnknownField),
        (
            r#"{"attributes":{"type":"Account"},"LastName":"a"}"#.to_owned(),
            Reason::MalformedBody,
        ),
        (
            r#"{"attributes":{"type":"Contact","url":"x"},"LastName":"a"}"#.to_owned(),
            Reason::MalformedBody,
        ),
        ("{}".to_owned(), Reason::MalformedBody),
        ("[]".to_owned(), Reason::MalformedBody),
        (r#"{"LastName":"a"} x"#.to_owned(), Reason::MalformedBody),
    ] {
        assert_eq!(
            house.refused("desk", "PATCH", &one, &body),
            reason,
            "{body}"
        );
    }
    assert_eq!(
        house.refused("reader", "PATCH", &one, r#"{"LastName":"a"}"#),
        Reason::Denied
    );
    assert_eq!(house.refused("reader", "DELETE", &one, ""), Reason::Denied);
    assert_eq!(
        house.refused("reader", "POST", "/sobjects/Account", r#"{"Name":"a"}"#),
        Reason::Denied
    );
    // A hidden field is not there.
    assert_eq!(
        house.refused("reader", "PATCH", &one, r#"{"Salary__c":1}"#),
        Reason::UnknownField
    );
}

#[test]
fn an_external_id_is_a_key() {
    let house = House::with(RULES);
    let number = house.contact(0, "Loyalty_Number__c");
    let id = house.contact(0, "Id");
    let (_, record) = house.got("desk", "GET", &format!("{CONTACT}/{id}"), "");
    let token = record["Loyalty_Number__c"].as_str().unwrap();
    let by = |value: &str| format!("{CONTACT}/loyalty_number__c/{value}");
    let (status, found) = house.got("desk", "GET", &format!("{}?fields=Id,Name", by(token)), "");
    assert_eq!((status, found["Id"].as_str()), (200, Some(&*id)));
    assert!(house.last().target.contains(&number));
    // The value itself would be a guess; so would any other field.
    assert_eq!(
        house.refused("desk", "GET", &by(&number), ""),
        Reason::TreatedFieldEvaluated
    );
    for (path, reason) in [
        ("Salary__c/1", Reason::UnknownField),
        ("Phone/1", Reason::TreatedFieldEvaluated),
        ("Nothing__c/1", Reason::UnknownField),
        ("Id/003000000000001", Reason::UnknownPath),
    ] {
        let target = format!("{CONTACT}/{path}");
        assert_eq!(house.refused("desk", "GET", &target, ""), reason, "{path}");
        assert_eq!(
            house.refused("desk", "PATCH", &target, r#"{"LastName":"x"}"#),
            reason,
            "{path}"
        );
        assert_eq!(
            house.refused("desk", "DELETE", &target, ""),
            reason,
            "{path}"
        );
    }
    let (status, _) = house.got("desk", "PATCH", &by(token), r#"{"FirstName":"Bo"}"#);
    assert_eq!((status, &*house.contact(0, "FirstName")), (204, "Bo"));
    assert_eq!(house.got("desk", "DELETE", &by(token), "").0, 204);
    assert_eq!(
        house.got("desk", "GET", &format!("{CONTACT}/{id}"), "").0,
        404
    );
    // Nothing stands in the path that it would not find.
    let account = "/sobjects/Account/Name";
    assert_eq!(
        house.got("desk", "GET", &format!("{account}/x%26y"), "").0,
        404
    );
    for value in ["a%2Fb", ".", "..", "a%5Cb"] {
        let target = format!("{account}/{value}");
        assert_eq!(
            house.refused("desk", "GET", &target, ""),
            Reason::UnknownPath
        );
    }
}

#[test]
fn ids_that_are_tokens_stay_tokens() {
    let house = House::with(RULES);
    let id = house.contact(0, "Id");
    let one = format!("{CONTACT}/{id}");
    assert_eq!(
        house.refused("pseudonym", "PATCH", &one, r#"{"FirstName":"a"}"#),
        Reason::UnknownPath
    );
    let (_, made) = house.got("pseudonym", "POST", CONTACT, r#"{"LastName":"Doe"}"#);
    let token = made["id"].as_str().unwrap();
    assert!(token.starts_with("tk1."), "{made}");
    let one = format!("{CONTACT}/{token}");
    assert_eq!(
        house
            .got("pseudonym", "PATCH", &one, r#"{"FirstName":"a"}"#)
            .0,
        204
    );
    assert_eq!(house.got("pseudonym", "DELETE", &one, "").0, 204);
}

#[test]
fn a_record_path_leads_to_records_only() {
    let house = House::with(RULES);
    let id = house.contact(0, "Id");
    // Alike, whether there is such a field or not, and whoever may see it.
    for path in ["Salary__c", "Email", "Nothing", "Body"] {
        let target = format!("{CONTACT}/{id}/{path}");
        assert_eq!(
            house.refused("desk", "GET", &target, ""),
            Reason::UnknownObject,
            "{path}"
        );
    }
    // op-3, and what changes the method.
    for query in ["lastModifiedAfter=2020-01-01", "_HttpMethod=DELETE"] {
        let target = format!("{CONTACT}/{id}?{query}");
        assert_eq!(
            house.refused("desk", "GET", &target, ""),
            Reason::BadRequest
        );
        assert_eq!(
            house.refused("desk", "PATCH", &target, r#"{"LastName":"a"}"#),
            Reason::BadRequest
        );
    }
}

/// op-1: what a unique field answers shows neither the other record nor the rule.
#[test]
fn a_duplicate_is_an_error_without_its_record() {
    let rules = format!(
        "{RULES}p, allow, role:desk, write, Contact.Loyalty_Number__c, -, *, *, -, 10, t-number-write\n"
    );
    let house = House::with(&rules);
    let taken = house.contact(0, "Loyalty_Number__c");
    let body = serde_json::json!({"LastName": "x", "Loyalty_Number__c": taken}).to_string();
    let (status, body) = house.got("desk", "POST", CONTACT, &body);
    assert_eq!((status, body), (400, serde_json::Value::Null));
}

/// What is wrong with a request never comes before what is hidden in it, so that neither shows the other.
#[test]
fn a_hidden_name_is_refused_like_one_that_does_not_exist() {
    let rules =
        format!("{RULES}p, allow, role:clerk, write, Contact.Phone, -, *, *, -, -, t-clerk\n");
    let house = House::with(&rules);
    let one = format!("{CONTACT}/{}", house.contact(0, "Id"));
    let text = |body: &str, method: &str, target: &str| {
        let refusal = house.ask("clerk", method, target, body).unwrap_err();
        refusal.message.into_owned()
    };
    for (method, target) in [("PATCH", &*one), ("POST", CONTACT)] {
        for shape in [
            r#"{"NAME":1,"Nope__c":2}"#,
            r#"{"NAME":{"a":1}}"#,
            r#"{"NAME":1,"name":2}"#,
            r#"{"NAME":"{!Email}"}"#,
        ] {
            let said = |name: &str| {
                let body = shape
                    .replace("NAME", name)
                    .replace("name", &name.to_uppercase());
                text(&body, method, target).replace(name, "NAME")
            };
            assert_eq!(said("Salary__c"), said("Nothing__c"), "{shape}");
        }
    }
    // Neither does a value that can not be written, alone or in parts.
    let parts = |name: &str| {
        let read =
            format!("/services/data/v61.0/query?q=SELECT+{name}+FROM+Contact+WHERE+{name}=1");
        serde_json::json!({"compositeRequest": [
            {"method": "PATCH", "referenceId": "a", "url": format!("/services/data/v61.0{one}"),
                "body": {"Phone": "****5678"}},
            {"method": "GET", "referenceId": "b", "url": read},
            {"method": "POST", "referenceId": "c", "url": "/services/data/v61.0/sobjects/Contact",
                "body": {"LastName": "x"}},
        ]})
        .to_string()
    };
    for name in ["Salary__c", "Nothing__c"] {
        let body = format!(r#"{{"Phone":"****5678","{name}":1}}"#);
        assert_eq!(
            house.refused("clerk", "PATCH", &one, &body),
            Reason::UnknownField
        );
        assert_eq!(
            house.refused("clerk", "POST", "/composite", &parts(name)),
            Reason::UnknownField
        );
    }
}
