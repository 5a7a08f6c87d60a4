//! `Privet-Explain: 1`: what a caller may learn of its own request.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use privet::demo::client::encode;

use crate::house::{Answer, DESK, House, MARKETING, run, shared};

async fn ask(house: &House, who: &str, target: &str, header: &str) -> Answer {
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = format!(
        "GET {target} HTTP/1.1\r\nHost: crm.test\r\nAuthorization: Bearer {}\r\nConnection: close\r\n{header}\r\n",
        house.key(who)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut raw = Vec::new();
    let _ = stream.read_to_end(&mut raw).await;
    Answer::parse(raw)
}

fn query(soql: &str) -> String {
    format!("/services/data/v61.0/query?q={}", encode(soql))
}

const EXPLAIN: &str = "Privet-Explain: 1\r\n";

#[test]
fn who_may_ask_learns_field_treatment_rule_and_counts() {
    run(async {
        let house = shared().await;
        let target = query("SELECT Id, Email, Birthdate, MailingStreet FROM Contact LIMIT 20");
        let answer = ask(house, MARKETING, &target, EXPLAIN).await;
        assert_eq!(answer.status, 200, "{}", answer.head);
        let at = answer.header("privet-receipt").unwrap();
        let receipt = ask(house, MARKETING, &at, "").await;
        assert_eq!(receipt.status, 200, "{}", receipt.head);
        let receipt: Value = serde_json::from_slice(&receipt.body).unwrap();
        let field = |name: &str| -> &Value {
            let fields = receipt["fields"].as_array().unwrap();
            fields.iter().find(|f| f["field"] == name).unwrap()
        };
        let birthdate = field("Contact.Birthdate")["answers"].as_array().unwrap();
        let months = birthdate
            .iter()
            .find(|a| a["treatment"] == "generalise:month")
            .unwrap();
        let rule = months["rules"][0].as_str().unwrap();
        assert!(rule.contains("(rules/marketing.csv:"), "{rule}");
        // Named by the caller, hidden from it: that it is gone is told, not the rule.
        let hidden = field("MailingStreet");
        assert_eq!(hidden["class"], Value::Null);
        for answer in hidden["answers"].as_array().unwrap() {
            assert_eq!(answer["treatment"], "drop");
            assert_eq!(answer["rules"], serde_json::json!([]));
        }
        assert_eq!(receipt["ended"]["ending"], "complete");
        assert_eq!(receipt["ended"]["rows"], 20);
        let treated = receipt["ended"]["treated"].as_object().unwrap();
        assert!(!treated.is_empty() && treated.keys().all(|k| !k.starts_with("drop")));
        // It is the caller's alone.
        for (who, at) in [
            (DESK, &*at),
            (MARKETING, "/.privet/receipts/no-such-request"),
        ] {
            let other = ask(house, who, at, "").await;
            assert_eq!(other.status, 404, "{who}");
        }
    });
}

#[test]
fn who_may_not_ask_and_who_does_not_gets_no_receipt() {
    run(async {
        let house = shared().await;
        let target = query("SELECT Id, Email FROM Contact LIMIT 1");
        for (who, header) in [
            (DESK, EXPLAIN),
            (MARKETING, ""),
            (MARKETING, "Privet-Explain: 2\r\n"),
        ] {
            let answer = ask(house, who, &target, header).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("privet-receipt"), None, "{who}");
        }
    });
}

#[test]
fn a_hidden_field_in_a_predicate_leaves_no_receipt_like_one_that_is_not_there() {
    run(async {
        let house = shared().await;
        for field in ["MailingStreet", "NoSuchField__c"] {
            let target = query(&format!("SELECT Id FROM Contact WHERE {field} = 'x'"));
            let answer = ask(house, MARKETING, &target, EXPLAIN).await;
            assert_eq!(answer.status, 400, "{field}");
            assert_eq!(answer.header("privet-receipt"), None, "{field}");
        }
    });
}
