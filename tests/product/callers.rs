//! The same Salesforce request, answered to each caller.

use privet::demo::callers::CALLERS;
use privet::demo::client;
use privet::demo::tour;
use serde_json::{Value, json};

use crate::house::{ANALYST, DESK, DESK_US, MARKETING, NOBODY, run, shared, without_tokens};

/// Somebody in France who lets the company write, and somebody in the United States who does not.
const SOQL: &str = "SELECT Name, Email, Phone, Birthdate, MailingCity, MailingStreet, SSN__c, Loyalty_Number__c, \
                    Account.Phone, Account.NumberOfEmployees FROM Contact WHERE Id IN ('0035g000000000AAAQ', \
                    '0035g000000000WAAQ') ORDER BY Id";

fn expected(who: &str) -> [Value; 2] {
    match who {
        DESK => [
            json!({
                "Name": "Théo D'Aubigné", "Email": "t****@lumiere163.example", "Phone": "+33199004932",
                "Birthdate": "2003-01-01", "MailingCity": "Saint-Étienne", "MailingStreet": "1 impasse du Château",
                "Loyalty_Number__c": "****", "Account": { "Phone": "+33199001300", "NumberOfEmployees": 3832 },
            }),
            json!({
                "Name": "Mary Jo O'Brien", "Email": "m****@acmerocket49.example", "Phone": "+12025553563",
                "Birthdate": "1955-01-01", "MailingCity": "New York", "MailingStreet": "38 Main St",
                "Loyalty_Number__c": "****", "Account": { "Phone": "****5696", "NumberOfEmployees": 3449 },
            }),
        ],
        ANALYST => [
            json!({
                "Name": "tk", "Email": "tk@", "Phone": null, "Birthdate": "2003-01-01",
                "MailingCity": "Saint-Étienne", "MailingStreet": null, "SSN__c": null, "Loyalty_Number__c": "tk",
                "Account": { "Phone": "+33199001300", "NumberOfEmployees": 3832 },
            }),
            json!({
                "Name": "tk", "Email": "tk@", "Phone": null, "Birthdate": "1955-01-01", "MailingCity": "New York",
                "MailingStreet": null, "SSN__c": null, "Loyalty_Number__c": "tk",
                "Account": { "Phone": "+12025555696", "NumberOfEmployees": 3449 },
            }),
        ],
        MARKETING => [
            json!({
                "Name": "Théo D'Aubigné", "Email": "theo.daubigne9@lumiere163.example", "Birthdate": "2003-11-01",
                "MailingCity": "Saint-Étienne", "Account": { "Phone": "+33199001300", "NumberOfEmployees": 3830 },
            }),
            json!({
                "Name": "****", "Email": null, "MailingCity": "New York",
                "Account": { "Phone": "+12025555696", "NumberOfEmployees": 3440 },
            }),
        ],
        _ => [
            json!({
                "Name": "Théo D'Aubigné", "Email": "t****@lumiere163.example", "Phone": "****4932",
                "Birthdate": "2003-01-01", "MailingCity": null, "MailingStreet": null, "Loyalty_Number__c": "****",
                "Account": { "Phone": "****1300", "NumberOfEmployees": 3832 },
            }),
            json!({
                "Name": "Mary Jo O'Brien", "Email": "m****@acmerocket49.example", "Phone": "****3563",
                "Birthdate": "1955-01-01", "MailingCity": null, "MailingStreet": null, "Loyalty_Number__c": "****",
                "Account": { "Phone": "+12025555696", "NumberOfEmployees": 3449 },
            }),
        ],
    }
}

#[test]
fn the_same_query_is_answered_differently() {
    run(async {
        let house = shared().await;
        for who in [DESK, ANALYST, MARKETING, DESK_US.title] {
            let answer = house.query(who, SOQL).await;
            assert_eq!(answer.status, 200, "{who}: {}", answer.text());
            let mut got = without_tokens(&answer.json()["records"]);
            for record in got.as_array_mut().unwrap() {
                let record = record.as_object_mut().unwrap();
                let attributes = record.shift_remove("attributes").unwrap();
                assert_eq!(attributes["type"], "Contact");
                record["Account"]
                    .as_object_mut()
                    .unwrap()
                    .shift_remove("attributes");
            }
            assert_eq!(got, json!(expected(who)), "{who}");
        }
        let refused = house.query(NOBODY.title, SOQL).await.refused();
        assert_eq!(refused, (400, "INVALID_TYPE".to_owned()));
    });
}

#[test]
fn the_header_names_what_was_treated_by_its_path() {
    run(async {
        let house = shared().await;
        let soql = "SELECT Id, name, account.PHONE, c.Account.Name FROM Contact c LIMIT 1";
        let treated = async |who| house.query(who, soql).await.header("privet-treated");
        // Account.Name is read in clear, and its last part is not taken for the contact's own name.
        assert_eq!(treated(ANALYST).await.as_deref(), Some("name=tokenize"));
        assert_eq!(treated(DESK).await.as_deref(), Some("account.PHONE=mask"));
    });
}

#[test]
fn the_demo_table_tells_the_truth_about_each_value() {
    run(async {
        let house = shared().await;
        let examples = tour::examples(&house.services.crm);
        let soql = tour::query(&examples);
        let own = house.services.crm.open_session();
        let target = format!("/services/data/v61.0/query?q={}", client::encode(&soql));
        let own = client::ask(
            http::Method::GET,
            &house.services.salesforce.origin,
            &target,
            &own,
            None,
        );
        let own: Value = serde_json::from_slice(&own.await.unwrap().body).unwrap();
        let mut answers = Vec::new();
        for caller in CALLERS {
            answers.push(privet::demo::table::Answer {
                title: caller.title.to_owned(),
                status: 200,
                body: without_tokens(&house.query(caller.title, &soql).await.json()),
            });
        }
        let records: Vec<String> = examples.iter().map(|(_, t)| (*t).to_owned()).collect();
        // The tokens' own text is random; `tk1.` in their place keeps them what they are.
        let answers: Vec<_> = answers
            .into_iter()
            .map(|a| privet::demo::table::Answer {
                body: serde_json::from_str(&a.body.to_string().replace("\"tk", "\"tk1.")).unwrap(),
                ..a
            })
            .collect();
        let table = privet::demo::table::render(&records, &tour::FIELDS, &answers, &own);
        assert_eq!(table, TABLE, "\n{table}");
    });
}

const TABLE: &str = include_str!("table.txt");

#[test]
fn what_is_treated_cannot_be_evaluated_unless_a_rule_or_a_token_says_so() {
    run(async {
        let house = shared().await;
        let code = |soql: &'static str| async move {
            let mut found = Vec::new();
            for who in [DESK, ANALYST, MARKETING] {
                let answer = house.query(who, soql).await;
                let status = answer.status;
                found.push(if status == 200 {
                    "ok".to_owned()
                } else {
                    answer.refused().1
                });
            }
            found
        };
        let field = "INVALID_FIELD";
        for (soql, expected) in [
            (
                "SELECT Id FROM Contact ORDER BY Email LIMIT 1",
                [field, field, field],
            ),
            (
                "SELECT Id FROM Contact WHERE Email = 'x@y.example'",
                ["ok", field, field],
            ),
            (
                "SELECT Id FROM Contact WHERE Email LIKE 'a%'",
                ["ok", field, field],
            ),
            (
                "SELECT Email, COUNT(Id) FROM Contact GROUP BY Email LIMIT 1",
                [field, "ok", field],
            ),
            (
                "SELECT Id FROM Contact WHERE Salary__c > 1",
                [field, field, field],
            ),
            ("SELECT MAX(Birthdate) FROM Contact", [field, field, field]),
            (
                "SELECT Id FROM Contact WHERE Nonsense__c = 1",
                [field, field, field],
            ),
            (
                "SELECT COUNT() FROM Contact WHERE MailingCity = 'New York'",
                ["ok", "ok", "ok"],
            ),
        ] {
            assert_eq!(code(soql).await, expected, "{soql}");
        }
    });
}

#[test]
fn a_token_finds_its_record_and_joins_services() {
    run(async {
        let house = shared().await;
        let first = house
            .query(
                ANALYST,
                "SELECT Email FROM Contact WHERE Id = '0035g000000000AAAQ'",
            )
            .await
            .json();
        let token = first["records"][0]["Email"].as_str().unwrap().to_owned();
        let soql = format!("SELECT Id FROM Contact WHERE Email IN ('{token}')");
        let found = house.query(ANALYST, &soql).await.json();
        assert_eq!(found["records"][0]["Id"], "0035g000000000AAAQ");
        assert_eq!(found["totalSize"], 1);
        // What went upstream is the address.
        let seen = house.services.crm.seen();
        let asked = |text: &str| {
            seen.iter()
                .any(|a| a.parameter("q").is_some_and(|q| q.contains(text)))
        };
        assert!(asked("IN ('theo.daubigne9@lumiere163.example')") && !asked("tk1."));
        // A token of this scope and another class, and one of another scope: neither is anything here.
        let keys = &house.carrier.live.current().keys;
        let made = |scope: &str, class: &str| {
            let mut token = String::new();
            keys.tokenizer("demo", scope, class, false)
                .email_token("theo.daubigne9@lumiere163.example", &mut token);
            token
        };
        assert_eq!(made("analytics", "pii.email"), token, "stable");
        for foreign in [made("desk", "pii.email"), made("analytics", "pii.name")] {
            let soql = format!("SELECT Id FROM Contact WHERE Email = '{foreign}'");
            let refused = house.query(ANALYST, &soql).await.refused();
            assert_eq!(refused, (400, "INVALID_FIELD".to_owned()));
        }
    });
}

#[test]
fn a_query_as_long_as_a_request_may_be_pages_through() {
    run(async {
        let house = shared().await;
        let titles: Vec<String> = (1u64..420)
            .map(|n| {
                let noise = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
                format!("'{noise:016x}{:08x}'", noise.wrapping_mul(noise) >> 32)
            })
            .collect();
        let titles = titles.join(",");
        let soql = format!("SELECT Id FROM Contact WHERE Title NOT IN ({titles})");
        let mut next = format!("/services/data/v61.0/query?q={}", client::encode(&soql));
        if next.len() > 16 << 10 {
            // Quotes and commas may stand as they are.
            next = next.replace("%27", "'").replace("%2C", ",");
        }
        let (mut seen, mut longest) = (0, 0);
        loop {
            let answer = house.get(DESK, &next).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            let page = answer.json();
            seen += page["records"].as_array().unwrap().len();
            let total = page["totalSize"].as_u64().unwrap();
            let Some(link) = page["nextRecordsUrl"].as_str() else {
                assert_eq!(seen as u64, total);
                break;
            };
            longest = longest.max(link.len());
            next = link.to_owned();
        }
        assert!(longest > 6 << 10, "{longest}");
    });
}
