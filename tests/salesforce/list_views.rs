//! List views over real sockets: a stored query is judged as if the caller had written it.

use serde_json::Value as Json;

use crate::house::{ANALYST, DESK, House, MARKETING, Plan, run};

const VIEWS: &str = "/services/data/v61.0/sobjects/Contact/listviews";
/// Every field; by an e-mail address; in the order of birthdays.
const ALL: &str = "00B5g00000000A1EAI";
const BY_EMAIL: &str = "00B5g00000000A2EAI";
const BY_BIRTHDAY: &str = "00B5g00000000A3EAI";

async fn house() -> House {
    Plan::still().build().await
}

async fn got(house: &House, who: &str, rest: &str) -> Json {
    let answer = house.get(who, &format!("{VIEWS}{rest}")).await;
    assert_eq!(answer.status, 200, "{rest}: {}", answer.text());
    answer.json()
}

/// The cell of a column in a row of results.
fn cell<'j>(row: &'j Json, column: &str) -> Option<&'j Json> {
    let cells = row["columns"].as_array().unwrap();
    let found = cells.iter().find(|c| c["fieldNameOrPath"] == column);
    found.map(|c| &c["value"])
}

#[test]
fn cells_are_treated_as_their_fields_are() {
    run(async {
        let house = house().await;
        let rows = got(&house, ANALYST, &format!("/{ALL}/results?limit=3&offset=1")).await;
        assert_eq!(rows["records"].as_array().unwrap().len(), 3);
        let soql = "SELECT Id, Name, Email, Birthdate, MailingCity, Salary__c FROM Contact ORDER BY Id LIMIT 4";
        let rest = house.query(ANALYST, soql).await.json();
        for (row, record) in rows["records"]
            .as_array()
            .unwrap()
            .iter()
            .zip(&rest["records"].as_array().unwrap()[1..])
        {
            for field in ["Id", "Name", "Email", "Birthdate", "MailingCity"] {
                assert_eq!(cell(row, field), record.get(field), "{field}");
            }
            assert!(
                cell(row, "Email")
                    .unwrap()
                    .as_str()
                    .is_none_or(|e| e.starts_with("tk1."))
            );
            assert_eq!(cell(row, "SSN__c"), Some(&Json::Null));
            assert_eq!(cell(row, "Description"), None);
        }
        // What is dropped is no column either, and nobody is told how to sort.
        let columns = rows["columns"].as_array().unwrap();
        assert!(
            !columns
                .iter()
                .any(|c| c["fieldNameOrPath"] == "Description")
        );
        assert!(
            columns
                .iter()
                .all(|c| c["sortable"] == false && c["searchable"] == false)
        );
    });
}

#[test]
fn a_view_is_told_without_what_it_compares_with() {
    run(async {
        let house = house().await;
        let all = got(&house, DESK, "").await;
        assert_eq!(all["listviews"].as_array().unwrap().len(), 3);
        let one = got(&house, DESK, &format!("/{ALL}")).await;
        assert_eq!(one["label"], "All contacts");
        let told = got(&house, ANALYST, &format!("/{BY_EMAIL}/describe")).await;
        assert!(
            told.get("query").is_none() && told.get("whereCondition").is_none(),
            "{told}"
        );
        let names: Vec<&Json> = told["columns"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| &c["fieldNameOrPath"])
            .collect();
        assert_eq!(names, ["Id", "Name", "Title"]);
    });
}

#[test]
fn a_view_that_evaluates_what_is_treated_is_refused() {
    run(async {
        let house = house().await;
        for (who, view, word) in [
            (ANALYST, BY_EMAIL, "filtered"),
            (MARKETING, BY_EMAIL, "filtered"),
            (ANALYST, BY_BIRTHDAY, "sorted"),
            (DESK, BY_BIRTHDAY, "sorted"),
        ] {
            let answer = house.get(who, &format!("{VIEWS}/{view}/results")).await;
            let text = answer.text();
            assert_eq!(answer.status, 400, "{who} {view}: {text}");
            assert!(
                text.contains(word) && text.contains("definition."),
                "{text}"
            );
            assert!(
                !text.contains("Email") && !text.contains("Birthdate"),
                "{text}"
            );
            let seen = house.services.crm.seen();
            assert!(
                !seen
                    .iter()
                    .any(|a| a.target.contains(&format!("{view}/results")))
            );
        }
        // The desk finds people by their address.
        let answer = house
            .get(DESK, &format!("{VIEWS}/{BY_EMAIL}/results"))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        for (target, status) in [
            (format!("{VIEWS}/00B5g00000000ZZEAI/results"), 404),
            (format!("{VIEWS}/recent/results"), 404),
            (format!("{VIEWS}/{ALL}/results?order=x"), 400),
            (format!("{VIEWS}/{ALL}/explain"), 404),
        ] {
            assert_eq!(house.get(DESK, &target).await.status, status, "{target}");
        }
        // What was asked beforehand is in the audit log, as every request that reached the CRM.
        let audit = house.audit();
        assert!(
            audit.contains("\"list-view-results\"") && audit.contains("\"list-view-definition\"")
        );
    });
}
