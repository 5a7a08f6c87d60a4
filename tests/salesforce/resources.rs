//! Resources of Chatter and Connect that the policy lists.

use privet::engine::refusal::Reason;
use serde_json::json;

use super::RULES;
use super::conversation::House;

const FEED: &str = "/chatter/feeds/news/me/feed-elements";

fn rules(free_text: &str) -> String {
    format!(
        "{RULES}p, allow, *, read, class:freetext, {free_text}, *, *, -, 10, r-text\n\
         p, allow, *, read, class:staff.name, mask:all, *, *, -, 10, r-staff\n"
    )
}

#[test]
fn a_listed_resource_shows_what_its_rows_bind() {
    let house = House::with(&rules("mask:first4"));
    let (status, told) = house.got("desk", "GET", "/connect/organization", "");
    assert_eq!((status, told), (200, json!({"name": "Demo Manufacturing"})));

    let (_, feed) = house.got("desk", "GET", &format!("{FEED}?pageSize=5"), "");
    assert!(house.last().target.ends_with("/feed-elements?pageSize=5"));
    let keys = |value: &serde_json::Value| {
        let mut keys: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    assert_eq!(keys(&feed), ["elements"]);
    let post = &feed["elements"][0];
    assert_eq!(
        keys(post),
        ["actor", "body", "createdDate", "header", "id", "type"]
    );
    assert_eq!(post["actor"], json!({"displayName": "****"}));
    let body = &post["body"];
    assert_eq!(keys(body), ["messageSegments", "text"]);
    let text = body["text"].as_str().unwrap();
    assert!(text.ends_with("****") && text.len() <= 8, "{text}");
    assert_eq!(body["messageSegments"], json!([{ "text": text }]));
}

#[test]
fn a_resource_without_anything_to_read_is_as_one_that_is_not_listed() {
    let mut house = House::with(&rules("drop"));
    let (_, feed) = house.got("desk", "GET", FEED, "");
    assert_eq!(
        feed["elements"][0]["body"],
        json!({"messageSegments": [{}]})
    );
    house.rule(
        "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n\
         p, allow, *, read, Contact.Name, clear, *, *, -, 90, t-name\n",
    );
    let unlisted = house
        .ask("desk", "GET", "/connect/communities", "")
        .unwrap_err();
    let hidden = house
        .ask("desk", "GET", "/connect/organization", "")
        .unwrap_err();
    assert_eq!(unlisted, hidden);
    assert_eq!(hidden.reason, Reason::EndpointClosed);
}

#[test]
fn what_is_not_listed_is_closed_by_name() {
    let house = House::with(&rules("clear"));
    for (method, target) in [
        ("GET", "/connect"),
        ("GET", "/connect/organization/more"),
        ("GET", "/Connect/organization"),
        ("GET", "/connect/files/0695g0000000001/content"),
        ("GET", "/chatter/feeds/news/me"),
        (
            "GET",
            "/chatter/feeds/news/0055g0000000001AAA/feed-elements",
        ),
        ("POST", "/connect/organization"),
        ("DELETE", FEED),
    ] {
        assert_eq!(
            house.refused("desk", method, target, ""),
            Reason::EndpointClosed,
            "{method} {target}"
        );
    }
    for target in [
        "?page=x",
        "?sort=LastModifiedDateDesc",
        "?q=jo",
        "?pageSize=5&filterGroup=Small",
    ] {
        let target = format!("{FEED}{target}");
        assert_eq!(
            house.refused("desk", "GET", &target, ""),
            Reason::BadRequest
        );
    }
}
