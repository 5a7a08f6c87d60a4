//! The two JSON APIs that only a map describes.

use privet::demo::people::People;
use privet::demo::workspace::SERVICE_TOKEN;
use serde_json::{Value, json};

use crate::house::{
    ANALYST, DESK, House, MARKETING, NOBODY, PUBLIC, Plan, run, shared, without_tokens,
};

const DATASOURCE: &str = "/api/v1/vizql-data-service/query-datasource";

fn order(fields: &[&str]) -> String {
    let fields: Vec<Value> = fields
        .iter()
        .map(|f| json!({ "fieldCaption": f }))
        .collect();
    sales(&json!(fields), "Order Id", &["SO-10000"])
}

fn sales(fields: &Value, filter: &str, values: &[&str]) -> String {
    json!({
        "datasource": { "datasourceLuid": "0f0d3c1e-sales" },
        "query": { "fields": fields, "filters": [{
            "filterType": "SET", "field": { "fieldCaption": filter }, "values": values, "exclude": false,
        }] },
    })
    .to_string()
}

#[test]
fn the_staff_directory_is_treated_for_each_caller() {
    run(async {
        let house = shared().await;
        for (who, expected) in [
            (
                DESK,
                json!({
                    "id": "p1007", "name": "Jürgen Bauer", "contact": { "email": "jurgen.bauer7@people.example" },
                    "department": "Engineering", "joined": "2016-06-08", "birthdate": "2003-01-01", "pay": {},
                }),
            ),
            (
                ANALYST,
                json!({
                    "id": "p1007", "name": "Jürgen Bauer", "contact": { "email": "****" },
                    "department": "Engineering", "joined": "2016-06-08", "birthdate": "2003-01-01",
                    "pay": { "salary": null },
                }),
            ),
            (
                MARKETING,
                json!({
                    "id": "p1007", "name": "Jürgen Bauer", "contact": {}, "department": "Engineering",
                    "joined": "2016-06-08", "pay": {},
                }),
            ),
        ] {
            let one = house.get(who, "/people/p1007").await;
            assert_eq!((one.status, one.json()), (200, expected.clone()), "{who}");
            let list = house.get(who, "/people?sort=name&limit=200").await.json();
            assert!(
                list["items"].as_array().unwrap().contains(&expected),
                "{who}"
            );
            // The envelope that the map names, and no more of it.
            assert_eq!(
                list.as_object().unwrap().keys().collect::<Vec<_>>(),
                ["total", "items", "next"]
            );
            assert_eq!(list["next"], Value::Null);
        }
        let page = house.get(ANALYST, "/people?limit=2").await.json();
        assert_eq!(page["next"], format!("{PUBLIC}/people?limit=2&offset=2"));
        let refused = house.get(NOBODY.title, "/people/p1007").await;
        assert_eq!(
            (refused.status, refused.json()["error"]["code"].as_str()),
            (400, Some("INVALID_TYPE"))
        );
    });
}

#[test]
fn the_data_source_is_treated_for_each_caller() {
    run(async {
        let house = shared().await;
        let asked = order(&["Customer", "Customer Email", "Order Date", "Amount"]);
        for (who, customer, email) in [
            (DESK, "Acme Labs 1", json!("b****@customers.example")),
            (ANALYST, "tk", json!("tk@")),
            (MARKETING, "****", Value::Null),
        ] {
            let answer = house.ask(who, "POST", DATASOURCE, &asked).await;
            let row = json!({
                "Customer": customer, "Customer Email": email, "Order Date": "2023-01-01", "Amount": 4.99,
            });
            assert_eq!(
                without_tokens(&answer.json()),
                json!({ "data": [row] }),
                "{who}"
            );
        }
        let sums = json!([
            { "fieldCaption": "Customer Email" }, { "fieldCaption": "Amount", "function": "SUM" },
        ]);
        let asked = sales(&sums, "Order Id", &["SO-10000"]);
        let grouped = house.ask(ANALYST, "POST", DATASOURCE, &asked).await.json();
        assert_eq!(
            without_tokens(&grouped),
            json!({ "data": [{ "Customer Email": "tk@", "SUM(Amount)": 4.99 }] })
        );
        for who in [DESK, MARKETING] {
            let refused = house.ask(who, "POST", DATASOURCE, &asked).await;
            assert_eq!(
                (refused.status, refused.json()["errorCode"].as_str()),
                (400, Some("INVALID_FIELD"))
            );
        }
    });
}

#[test]
fn what_the_map_does_not_name_is_refused_in_its_error_shape() {
    run(async {
        let house = shared().await;
        for (method, target, status) in [
            ("GET", "/people/p1007/notes", 404),
            ("GET", "/people/", 404),
            ("DELETE", "/people/p1007", 405),
            ("GET", "/people?salary=1", 400),
            ("GET", "/people?sort=salary", 400),
        ] {
            let refused = house.ask(DESK, method, target, "").await;
            let error = &refused.json()["error"];
            assert_eq!(refused.status, status, "{method} {target} {error}");
            let shaped = error["code"].is_string() && error["message"].is_string();
            assert!(shaped, "{method} {target} {}", refused.text());
        }
        for (method, target, body, status) in [
            (
                "POST",
                "/api/v1/vizql-data-service/read-metadata",
                "{}".to_owned(),
                404,
            ),
            ("GET", DATASOURCE, String::new(), 405),
            (
                "POST",
                DATASOURCE,
                order(&["Amount"]).replace("0f0d3c1e", "ffffffff"),
                400,
            ),
            ("POST", DATASOURCE, order(&["Nonsense"]), 400),
            (
                "POST",
                DATASOURCE,
                order(&["Amount"]).replace("SET", "MATCH"),
                400,
            ),
        ] {
            let refused = house.ask(DESK, method, target, &body).await;
            let error = refused.json();
            assert_eq!(refused.status, status, "{method} {target} {error}");
            let shaped = error["errorCode"].is_string() && error["message"].is_string();
            assert!(shaped, "{method} {target} {error}");
        }
    });
}

/// Rules for writing, and for tokens in the staff directory, which the shipped ones do not have.
const RULES: &str = "\
# p, effect, who, action, what, treatment, purpose, region, when, priority, id
p, allow, role:bi, read, class:staff.email, tokenize:email, analytics, *, -, 10, directory-token
p, allow, role:bi, write, class:staff, -, analytics, *, -, -, directory-token-write
p, allow, role:marketing, read, class:staff.phone, mask:last4, marketing, *, -, -, directory-phone
p, allow, role:marketing, write, Person.phone, -, marketing, *, -, -, directory-phone-write
";

async fn writable() -> House {
    let mut people = People::seeded(Some(SERVICE_TOKEN.into()));
    let twin = people.rows_mut()[7]["contact"]["email"].clone();
    people.rows_mut()[8]["contact"]["email"] = twin;
    Plan {
        people,
        policies: vec![("rules/directory.csv", RULES.to_owned())],
        watched: false,
        ..Plan::default()
    }
    .build()
    .await
}

#[test]
fn masks_never_become_data_and_tokens_become_values_again() {
    run(async {
        let house = writable().await;
        let error = |answer: crate::house::Answer| {
            let code = answer.json()["error"]["code"].as_str().map(str::to_owned);
            (answer.status, code.unwrap_or_default())
        };
        let integrity = (400, "FIELD_INTEGRITY_EXCEPTION".to_owned());
        let phone = |phone: &str| json!({ "contact": { "phone": phone } }).to_string();
        let patch =
            async |who: &str, body: String| house.ask(who, "PATCH", "/people/p1003", &body).await;

        let masked = house.get(MARKETING, "/people/p1003").await.json();
        let masked = masked["contact"]["phone"].as_str().unwrap().to_owned();
        assert_eq!(masked, "****0 03");
        assert_eq!(error(patch(MARKETING, phone(&masked)).await), integrity);
        // The rule names the field: a plain value passes, and comes back as the caller may read it.
        let written = patch(MARKETING, phone("+33 1 99 00 77 78")).await;
        assert_eq!(
            (written.status, &written.json()["contact"]["phone"]),
            (200, &json!("****7 78"))
        );
        // No rule to write, a field that the map does not let write, one that is hidden.
        assert_eq!(
            patch(DESK, json!({ "name": "X" }).to_string()).await.status,
            403
        );
        assert_eq!(
            patch(MARKETING, json!({ "pay": { "salary": 1 } }).to_string())
                .await
                .status,
            400
        );

        // A token stands for its value: as a filter, and written.
        let theirs = house.get(ANALYST, "/people/p1007").await.json();
        let token = theirs["contact"]["email"].as_str().unwrap().to_owned();
        assert!(token.ends_with("@token.invalid"), "{token}");
        let email = |email: &str| json!({ "contact": { "email": email } }).to_string();
        let written = patch(ANALYST, email(&token)).await;
        assert_eq!(
            (written.status, written.json()["contact"]["email"].as_str()),
            (200, Some(&*token))
        );
        let seen = house.get(DESK, "/people/p1003").await.json();
        assert_eq!(seen["contact"]["email"], "jurgen.bauer7@people.example");

        let found = house.get(ANALYST, &format!("/people?mail={token}")).await;
        let page = found.json();
        assert_eq!(
            (
                page["total"].as_u64(),
                &page["items"][0]["contact"]["email"]
            ),
            (Some(3), &json!(token))
        );
        // The upstream's link to a second page repeats the address that it was asked for; the caller gave a token. A page
        // without its link would pass for the whole.
        let cut = house
            .get(ANALYST, &format!("/people?mail={token}&limit=1"))
            .await;
        assert_eq!(cut.status, 502);
        for answer in [&found, &cut] {
            assert!(!answer.text().contains("jurgen"), "{}", answer.text());
        }

        // A token of another scope or class is nothing, and a plain value is no token.
        let keys = &house.carrier.live.current().keys;
        for (scope, class) in [("desk", "staff.email"), ("analytics", "pii.email")] {
            let mut foreign = String::new();
            keys.tokenizer("demo", scope, class, false)
                .email_token("jurgen.bauer7@people.example", &mut foreign);
            assert_eq!(error(patch(ANALYST, email(&foreign)).await), integrity);
            let asked = house.get(ANALYST, &format!("/people?mail={foreign}")).await;
            assert_eq!(error(asked), (400, "INVALID_FIELD".to_owned()));
        }
        assert_eq!(
            error(patch(ANALYST, email("j****@people.example")).await),
            integrity
        );
        assert_eq!(
            patch(ANALYST, email("new@people.example")).await.status,
            403
        );
        let asked = house
            .get(ANALYST, "/people?mail=jurgen.bauer7@people.example")
            .await;
        assert_eq!(error(asked), (400, "INVALID_FIELD".to_owned()));
    });
}

#[test]
fn a_token_of_the_crm_filters_the_data_source() {
    run(async {
        let house = shared().await;
        let first = house
            .ask(ANALYST, "POST", DATASOURCE, &order(&["Customer Email"]))
            .await
            .json();
        let token = first["data"][0]["Customer Email"]
            .as_str()
            .unwrap()
            .to_owned();
        let count =
            json!([{ "fieldCaption": "Order Id", "function": "COUNTD", "fieldAlias": "orders" }]);
        let asked = |value: &str| sales(&count, "Customer Email", &[value]);
        let found = house.ask(ANALYST, "POST", DATASOURCE, &asked(&token)).await;
        assert_eq!(found.status, 200, "{}", found.text());
        assert!(found.json()["data"][0]["orders"].as_u64().unwrap() > 0);
        // Scope and class are the CRM's own: the same address is the same token there.
        let keys = &house.carrier.live.current().keys;
        let mut made = String::new();
        keys.tokenizer("demo", "analytics", "pii.email", false)
            .email_token("buyer001@customers.example", &mut made);
        assert_eq!(made, token);
        let mut foreign = String::new();
        keys.tokenizer("demo", "desk", "pii.email", false)
            .email_token("buyer001@customers.example", &mut foreign);
        for (who, value) in [
            (ANALYST, "buyer001@customers.example"),
            (ANALYST, &*foreign),
            (MARKETING, "buyer001@customers.example"),
        ] {
            let refused = house.ask(who, "POST", DATASOURCE, &asked(value)).await;
            assert_eq!(
                (refused.status, refused.json()["errorCode"].as_str()),
                (400, Some("INVALID_FIELD")),
                "{who}"
            );
        }
    });
}
