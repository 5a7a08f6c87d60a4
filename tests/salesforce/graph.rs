//! Graphs: several lists of parts in one request, each judged part by part and answered under its own name.

use privet::engine::refusal::Reason;
use serde_json::{Value, json};

use super::RULES;
use super::conversation::House;

const V: &str = "/services/data/v61.0";

fn graphs(graphs: &Value) -> String {
    json!({ "graphs": graphs }).to_string()
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "what json! makes is given as it is"
)]
fn graph(name: &str, parts: Value) -> Value {
    json!({"graphId": name, "compositeRequest": parts})
}

#[allow(
    clippy::needless_pass_by_value,
    reason = "what json! makes is given as it is"
)]
fn create(name: &str, body: Value) -> Value {
    json!({"method": "POST", "referenceId": name, "url": format!("{V}/sobjects/Contact"), "body": body})
}

fn read(name: &str, rest: &str) -> Value {
    json!({"method": "GET", "referenceId": name, "url": format!("{V}/sobjects/Contact/{rest}")})
}

#[test]
fn each_graph_is_answered_under_its_own_name_by_its_own_plan() {
    let house = House::with(RULES);
    let id = house.contact(0, "Id");
    let body = graphs(&json!([
        graph(
            "one",
            json!([
                create("new", json!({"LastName": "Doe"})),
                read("row", &format!("{id}?fields=Email,Phone,Salary__c,LastName")),
                {"method": "PATCH", "referenceId": "change",
                    "url": format!("{V}/sobjects/Contact/@{{new.id}}"),
                    "body": {"FirstName": "@{row.LastName}"}},
            ])
        ),
        // A graph's names are its own.
        graph(
            "two-b",
            json!([
                create("new", json!({"FirstName": "nobody"})),
                read("row", &id)
            ])
        ),
    ]));
    let (status, answer) = house.got("desk", "POST", "/composite/graph", &body);
    assert_eq!(status, 200);
    let all = answer["graphs"].as_array().unwrap();
    assert_eq!(all.len(), 2);
    assert_eq!(all[0]["graphId"], "one");
    assert_eq!(all[0]["isSuccessful"], true, "{answer}");
    let parts = all[0]["graphResponse"]["compositeResponse"]
        .as_array()
        .unwrap();
    let names: Vec<_> = parts
        .iter()
        .map(|p| p["referenceId"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["new", "row", "change"]);
    let row = parts[1]["body"].as_object().unwrap();
    assert!(!row.contains_key("Salary__c"), "{row:?}");
    assert!(row["Email"].as_str().unwrap().starts_with("tk1."));
    assert_eq!(row["LastName"], house.contact(0, "LastName"));
    for clear in ["Email", "Phone"] {
        assert!(
            !answer.to_string().contains(&house.contact(0, clear)),
            "{clear}"
        );
    }
    let sent = String::from_utf8(house.last().body).unwrap();
    assert!(!sent.contains("Salary__c"), "{sent}");
    assert_eq!(house.last().target, format!("{V}/composite/graph"));
    // The first graph's record stands.
    let made = parts[0]["body"]["id"].as_str().unwrap();
    let (_, record) = house.got(
        "desk",
        "GET",
        &format!("/sobjects/Contact/{made}?fields=Name"),
        "",
    );
    assert_eq!(
        record["Name"],
        format!("{} Doe", house.contact(0, "LastName"))
    );
    // The second is all or none; only codes are told.
    assert_eq!(
        all[1],
        json!({"graphId": "two-b", "isSuccessful": false, "graphResponse": {"compositeResponse": [
            {"body": [{"message": "the request was not accepted", "errorCode": "REQUIRED_FIELD_MISSING", "fields": []}],
                "httpHeaders": {}, "httpStatusCode": 400, "referenceId": "new"},
            {"body": [{"message": "the request was not accepted", "errorCode": "PROCESSING_HALTED"}],
                "httpHeaders": {}, "httpStatusCode": 400, "referenceId": "row"},
        ]}})
    );
}

#[test]
fn nothing_protected_is_piped_within_or_between_graphs() {
    let house = House::with(RULES);
    let id = house.contact(0, "Id");
    let write = |value: &str| {
        json!({"method": "PATCH", "referenceId": "b", "url": format!("{V}/sobjects/Contact/{id}"),
            "body": {"Title": value}})
    };
    let row = |fields: &str| read("a", &format!("{id}{fields}"));
    for body in [
        graphs(&json!([graph(
            "g",
            json!([row("?fields=Email"), write("@{a.Email}")])
        )])),
        graphs(&json!([graph(
            "g",
            json!([row("?fields=Phone"), write("@{a.phone}")])
        )])),
        graphs(&json!([graph(
            "g",
            json!([row("?fields=Salary__c,Id"), write("@{a.Salary__c}")])
        )])),
        graphs(&json!([graph("g", json!([row(""), write("@{a.Name}")]))])),
        graphs(&json!([graph(
            "g",
            json!([row("?fields=Id"), write("x @{a.Id}")])
        )])),
        // A part of another graph, before or after.
        graphs(&json!([
            graph("g", json!([row("?fields=LastName")])),
            graph("h", json!([write("@{a.LastName}")]))
        ])),
        graphs(&json!([
            graph("h", json!([write("@{a.LastName}")])),
            graph("g", json!([row("?fields=LastName")]))
        ])),
        graphs(&json!([graph(
            "@{a.LastName}",
            json!([row("?fields=LastName")])
        )])),
    ] {
        let reason = house.refused("desk", "POST", "/composite/graph", &body);
        assert!(
            matches!(reason, Reason::BadRequest | Reason::MalformedBody),
            "{body}: {reason:?}"
        );
    }
    let body = graphs(&json!([graph(
        "g",
        json!([row("?fields=LastName"), write("@{a.LastName}")])
    )]));
    assert_eq!(house.got("desk", "POST", "/composite/graph", &body).0, 200);
    assert_eq!(house.contact(0, "Title"), house.contact(0, "LastName"));
}

#[test]
fn parts_of_a_graph_are_refused_as_if_they_came_alone() {
    let house = House::with(RULES);
    let id = house.contact(0, "Id");
    let one = |method: &str, url: &str, body: Value| json!([{"method": method, "referenceId": "a", "url": format!("{V}{url}"), "body": body}]);
    for (parts, reason) in [
        (
            one("POST", "/sobjects/Account", json!({"Name": "x"})),
            Reason::Denied,
        ),
        (
            one(
                "GET",
                &format!("/sobjects/Contact/{id}?fields=SSN__c"),
                Value::Null,
            ),
            Reason::Denied,
        ),
        (
            one("GET", "/query?q=SELECT+Id+FROM+Contact", Value::Null),
            Reason::EndpointClosed,
        ),
        (
            one("GET", "/sobjects/Contact/describe", Value::Null),
            Reason::EndpointClosed,
        ),
        (
            one("POST", "/composite/graph", json!({"graphs": []})),
            Reason::EndpointClosed,
        ),
        (
            one("GET", "/tooling/query?q=x", Value::Null),
            Reason::EndpointClosed,
        ),
        (one("GET", "/nothing", Value::Null), Reason::UnknownPath),
        (
            one("PUT", "/sobjects/Contact", json!({"LastName": "x"})),
            Reason::BadRequest,
        ),
    ] {
        // Wherever it stands.
        let good = graph("good", json!([read("z", &id)]));
        let body = graphs(&json!([good, graph("bad", parts)]));
        assert_eq!(
            house.refused("desk", "POST", "/composite/graph", &body),
            reason,
            "{body}"
        );
    }
    let row = read("a", &id);
    let many = |n: usize| -> Value {
        (0..n)
            .map(|i| read(&format!("r{i}"), &id))
            .collect::<Vec<_>>()
            .into()
    };
    let named = |n: usize| -> Value {
        (0..n)
            .map(|i| graph(&format!("g{i}"), json!([row])))
            .collect::<Vec<_>>()
            .into()
    };
    for body in [
        graphs(&json!([])),
        graphs(&json!([graph("g", json!([]))])),
        graphs(&json!([graph("g", json!([row, row]))])),
        graphs(&json!([graph("g", json!([row])), graph("G", json!([row]))])),
        graphs(&json!([{"compositeRequest": [row]}])),
        graphs(&json!([graph("g h", json!([row]))])),
        graphs(&json!([graph(&"g".repeat(41), json!([row]))])),
        graphs(&json!([{"graphId": "g", "compositeRequest": [row], "allOrNone": true}])),
        json!({"graphs": [graph("g", json!([row]))], "allOrNone": true}).to_string(),
        json!({"compositeRequest": [row]}).to_string(),
        graphs(&named(76)),
        graphs(&json!([graph("g", many(251)), graph("h", many(250))])),
    ] {
        let reason = house.refused("desk", "POST", "/composite/graph", &body);
        assert!(
            matches!(reason, Reason::BadRequest | Reason::MalformedBody),
            "{reason:?}"
        );
    }
    let (_, answer) = house.got("desk", "POST", "/composite/graph", &graphs(&named(75)));
    assert_eq!(answer["graphs"].as_array().unwrap().len(), 75);
    let (_, answer) = house.got(
        "desk",
        "POST",
        "/composite/graph",
        &graphs(&json!([graph("g", many(500))])),
    );
    let parts = answer["graphs"][0]["graphResponse"]["compositeResponse"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(parts, 500);
}
