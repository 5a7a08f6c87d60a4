//! The User Interface API over real sockets.

use serde_json::{Value as Json, json};

use crate::house::{ANALYST, DESK, House, MARKETING, Plan, run};

const UI: &str = "/services/data/v61.0/ui-api";
const ONE: &str = "0035g000000000AAAQ";
const TWO: &str = "0035g000000000WAAQ";

async fn house() -> House {
    Plan::still().build().await
}

async fn got(house: &House, who: &str, rest: &str) -> Json {
    let answer = house.get(who, &format!("{UI}/{rest}")).await;
    assert_eq!(answer.status, 200, "{rest}: {}", answer.text());
    answer.json()
}

#[test]
fn both_texts_of_a_field_are_treated() {
    run(async {
        let house = house().await;
        let rest = format!(
            "records/{ONE}?fields=Contact.Email,Contact.Birthdate,Contact.MailingCity,Contact.Account.Name\
             &optionalFields=Contact.Description,Contact.Nothing__c"
        );
        let soql = format!(
            "SELECT Id, Email, Birthdate, MailingCity, Account.Name FROM Contact WHERE Id = '{ONE}'"
        );
        let record = house.query(ANALYST, &soql).await.json()["records"][0].clone();
        let shown = got(&house, ANALYST, &rest).await;
        assert_eq!(
            (&shown["apiName"], &shown["id"]),
            (&json!("Contact"), &record["Id"])
        );
        for field in ["Email", "Birthdate", "MailingCity"] {
            let told = &shown["fields"][field];
            assert_eq!(told["value"], record[field], "{field}");
            // A text for display shows no more: the CRM's own says the whole birthday.
            let display = told["displayValue"].as_str().unwrap_or_default();
            assert!(!display.starts_with("on "), "{field}: {told}");
        }
        let parent = &shown["fields"]["Account"];
        assert_eq!(
            parent["value"]["fields"]["Name"]["value"],
            record["Account"]["Name"]
        );
        assert!(parent.get("displayValue").is_none(), "{parent}");
        // Free text is dropped; of the rest of the envelope nothing passes.
        assert!(shown["fields"].get("Description").is_none());
        for gone in ["lastModifiedById", "eTag", "childRelationships"] {
            assert!(shown.get(gone).is_none(), "{gone}");
        }
        let sent = house.services.crm.seen().pop().unwrap().target;
        assert!(
            !sent.contains("Description") && !sent.contains("Nothing__c"),
            "{sent}"
        );
    });
}

#[test]
fn several_records_are_read_together() {
    run(async {
        let house = house().await;
        let rest = format!(
            "records/batch/{ONE},{TWO},0035g00000ZZZZZAAQ?fields=Contact.Name,Contact.Phone"
        );
        let shown = got(&house, MARKETING, &rest).await;
        let results = shown["results"].as_array().unwrap();
        assert_eq!((results.len(), &shown["hasErrors"]), (3, &json!(true)));
        // No envelope says who has agreed: the strictest treatment holds.
        assert_eq!(results[0]["result"]["fields"]["Name"]["value"], "****");
        assert!(results[0]["result"]["fields"].get("Phone").is_none());
        assert_eq!(results[2]["statusCode"], 404);
        assert!(!results[2].to_string().contains("ZZZZZ"), "{}", results[2]);
    });
}

#[test]
fn an_object_is_made_of_what_is_read() {
    run(async {
        let house = house().await;
        let told = got(&house, ANALYST, "object-info/Contact").await;
        assert_eq!(told["fields"]["Email"]["apiName"], "Email");
        assert!(
            told["fields"].get("Description").is_none(),
            "{}",
            told["fields"]["Description"]
        );
        assert!(told["fields"]["Email"].get("inlineHelpText").is_none());
        assert_eq!(
            house
                .get(ANALYST, &format!("{UI}/object-info/Nothing__c"))
                .await
                .status,
            400
        );
    });
}

#[test]
fn what_is_not_open_is_refused_before_the_crm() {
    run(async {
        let house = house().await;
        let before = house.services.crm.seen().len();
        for (method, rest, words) in [
            ("GET", format!("records/{ONE}"), "fields takes"),
            ("GET", format!("records/{ONE}?fields=Email"), "fields takes"),
            (
                "GET",
                format!("records/{ONE}?fields=Contact.Nothing__c"),
                "Nothing__c",
            ),
            (
                "GET",
                format!("records/{ONE}?fields=Contact.Email,Account.Name"),
                "Account.Name",
            ),
            (
                "GET",
                format!("records/{ONE}?fields=Contact.Health__c"),
                "Health__c",
            ),
            ("GET", format!("records/{ONE}?layoutTypes=Full"), "layout"),
            (
                "GET",
                "records/x?fields=Contact.Email".to_owned(),
                "does not exist",
            ),
            (
                "GET",
                format!("record-ui/{ONE}"),
                "not open through this proxy",
            ),
            (
                "GET",
                "lookups/Contact/AccountId?q=a".to_owned(),
                "not open through this proxy",
            ),
            (
                "GET",
                "list-records/00B5g00000000A1EAI".to_owned(),
                "fields takes",
            ),
            (
                "GET",
                "list-records/Contact/AllContacts?fields=Contact.Name".to_owned(),
                "not open through this proxy",
            ),
            (
                "PATCH",
                format!("records/{ONE}"),
                "not open through this proxy",
            ),
        ] {
            let answer = house
                .ask(MARKETING, method, &format!("{UI}/{rest}"), "")
                .await;
            let text = answer.text();
            assert!(
                answer.status >= 400 && text.contains(words),
                "{rest}: {text}"
            );
        }
        assert_eq!(house.services.crm.seen().len(), before);
        let hidden = house
            .get(
                DESK,
                &format!("{UI}/records/{ONE}?fields=Contact.Salary__c"),
            )
            .await;
        assert!(
            hidden.json()["fields"] == json!({}) || hidden.status >= 400,
            "{}",
            hidden.text()
        );
    });
}

#[test]
fn the_records_of_a_list_view_are_judged_by_its_query() {
    run(async {
        let house = house().await;
        let fields = "?fields=Contact.Email,Contact.MailingCity&pageSize=3&pageToken=2";
        let shown = got(
            &house,
            ANALYST,
            &format!("list-records/00B5g00000000A1EAI{fields}"),
        )
        .await;
        let records = shown["records"].as_array().unwrap();
        assert_eq!((records.len(), &shown["nextPageToken"]), (3, &json!("5")));
        assert!(shown.get("nextPageUrl").is_none(), "{shown}");
        let soql = "SELECT Id, Email, MailingCity FROM Contact ORDER BY Id LIMIT 5";
        let rest = house.query(ANALYST, soql).await.json();
        for (record, row) in records
            .iter()
            .zip(&rest["records"].as_array().unwrap()[2..])
        {
            assert_eq!(record["id"], row["Id"]);
            for field in ["Email", "MailingCity"] {
                assert_eq!(record["fields"][field]["value"], row[field], "{field}");
            }
        }
        // By an e-mail address; in the order of birthdays.
        for view in ["00B5g00000000A2EAI", "00B5g00000000A3EAI"] {
            let target = format!("{UI}/list-records/{view}?fields=Contact.Title");
            let answer = house.get(ANALYST, &target).await;
            assert!(answer.text().contains("definition."), "{}", answer.text());
            let seen = house.services.crm.seen();
            assert!(
                !seen
                    .iter()
                    .any(|a| a.target.contains("list-records") && a.target.contains(view))
            );
        }
    });
}
