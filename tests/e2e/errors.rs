//! Errors of the CRM that quote values and ids, through privet's own words.

use privet::demo::callers::CALLERS;
use serde_json::{Value, json};

use crate::house::House;
use crate::login::raw;

#[tokio::test(flavor = "multi_thread")]
async fn what_an_error_of_the_crm_quotes_never_arrives() {
    let house = House::new(false).await;
    let role = CALLERS[0].role;
    house.add_rules(&format!(
        "p, allow, role:{role}, write, Contact.*, -, *, *, -, -, e-write\n\
         p, allow, role:{role}, write, Contact.Email, -, *, *, -, -, e-email\n\
         p, allow, role:{role}, write, Contact.Loyalty_Number__c, -, *, *, -, -, e-number\n\
         p, allow, role:{role}, key, Contact.Email, -, *, *, -, -, e-key\n"
    ));
    let key = house.issue(&CALLERS[0]);
    let serving = house.serve().await;
    let head = format!("authorization: Bearer {key}\r\ncontent-type: application/json\r\n");
    let save = format!(
        "{head}sforce-duplicate-rule-header: allowSave=true; includeRecordDetails=true\r\n"
    );
    let details = format!("{head}sforce-duplicate-rule-header: includeRecordDetails=true\r\n");
    let contacts = "/services/data/v61.0/sobjects/Contact";
    let secret = "kim@duplicate.example";
    let made = json!({"LastName": "Kim", "Email": secret, "Loyalty_Number__c": "L-77"}).to_string();
    let same = json!({"LastName": "Kim", "Email": secret}).to_string();
    let number = json!({"LastName": "Lee", "Loyalty_Number__c": "L-77"}).to_string();
    let rule = json!({"LastName": "TesT"}).to_string();
    let by_email = format!("{contacts}/Email/{secret}");
    let missing = format!("{contacts}/Email/nobody@duplicate.example");
    let composite =
        json!({"compositeRequest": [{"method": "POST", "referenceId": "a", "url": contacts,
        "body": {"LastName": "Kim", "Email": secret}}]})
        .to_string();
    let mut known = Vec::new();
    for (method, target, head, body, status, code) in [
        ("POST", contacts, &head, &made, 201, ""),
        ("POST", contacts, &details, &same, 400, "BAD_REQUEST"),
        ("POST", contacts, &head, &number, 400, "BAD_REQUEST"),
        ("POST", contacts, &head, &rule, 400, "BAD_REQUEST"),
        ("POST", contacts, &save, &same, 201, ""),
        (
            "GET",
            &*by_email,
            &head,
            &String::new(),
            300,
            "MULTIPLE_CHOICES",
        ),
        ("GET", &*missing, &head, &String::new(), 404, "NOT_FOUND"),
        (
            "POST",
            "/services/data/v61.0/composite",
            &details,
            &composite,
            200,
            "UNKNOWN_EXCEPTION",
        ),
    ] {
        let (got, head, body) = raw(&house, method, target, head, body).await;
        assert_eq!(got, status, "{method} {target} {body}");
        if status == 201 {
            let id: Value = serde_json::from_str(&body).unwrap();
            known.push(id["id"].as_str().unwrap().to_owned());
            continue;
        }
        assert!(
            body.contains(&format!("\"errorCode\":\"{code}\"")),
            "{body}"
        );
        let mut quoted = vec![
            secret,
            "L-77",
            "TesT",
            "matchRecords",
            "duplicateRe",
            "Use one of",
        ];
        quoted.extend(known.iter().map(String::as_str));
        for quoted in quoted {
            assert!(
                !body.contains(quoted) && !head.contains(quoted),
                "{quoted}: {body}"
            );
        }
    }
    assert_eq!(known.len(), 2);
    // The CRM was never asked to show the records of others.
    for asked in house.crm.seen() {
        let asks = asked.header("sforce-duplicate-rule-header");
        assert!(asks.is_none_or(|h| !h.contains("includeRecordDetails")));
    }
    serving.stop().await.unwrap();
}
