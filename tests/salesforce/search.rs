//! SOSL, parameterised search and suggestions.

use privet::demo::server;
use privet::engine::refusal::Reason;
use serde_json::Value;

use super::RULES;
use super::conversation::House;

/// `finder` may search e-mail addresses that it reads as tokens.
fn house() -> House {
    House::with(&format!(
        "{RULES}p, allow, role:finder, search, class:pii.email, -, *, *, -, -, s-email\n\
         p, deny, role:barred, search, class:pii.name, -, *, *, -, -, s-barred\n"
    ))
}

fn encoded(text: &str) -> String {
    text.bytes().map(|b| format!("%{b:02X}")).collect()
}

fn search(sosl: &str) -> String {
    format!("/search?q={}", encoded(sosl))
}

/// The `q` that reached the CRM last.
fn sent(house: &House) -> String {
    let target = house.last().target;
    let query = target.split_once('?').unwrap().1;
    server::form(query)
        .into_iter()
        .find(|(k, _)| k == "q")
        .unwrap()
        .1
}

#[test]
fn a_search_over_readable_names_is_treated_like_a_query() {
    let house = house();
    let last_name = house.contact(0, "LastName");
    let sosl = format!(
        "find {{{last_name}}} in name fields returning Contact(Id, Name, Email, Salary__c, Account.Name ORDER BY Name LIMIT 50)"
    );
    let (status, body) = house.got("desk", "GET", &search(&sosl), "");
    assert_eq!(status, 200);
    let records = body["searchRecords"].as_array().unwrap();
    assert!(!records.is_empty());
    let own = house.contact(0, "Id");
    let mine = records.iter().find(|r| r["Id"] == *own).unwrap();
    assert_eq!(mine["attributes"]["type"], "Contact");
    assert!(mine["attributes"]["url"].as_str().unwrap().ends_with(&own));
    assert!(mine["Email"].is_null() || mine["Email"].as_str().unwrap().starts_with("tk1."));
    assert!(mine.get("Salary__c").is_none());
    assert!(
        records
            .iter()
            .all(|r| r["Name"].as_str().unwrap().contains(&last_name))
    );
    // What is dropped is never fetched.
    assert!(!sent(&house).contains("Salary__c"), "{}", sent(&house));
    assert!(sent(&house).starts_with(&format!(
        "FIND {{{last_name}}} IN NAME FIELDS RETURNING Contact("
    )));
}

#[test]
fn several_objects_each_have_their_own_treatment() {
    let house = house();
    let sosl = "FIND {a* OR e*} IN NAME FIELDS RETURNING Contact(Email LIMIT 3), Lead(Company, Phone LIMIT 3), Account LIMIT 8";
    let (_, body) = house.got("desk", "GET", &search(sosl), "");
    let records = body["searchRecords"].as_array().unwrap();
    let of = |name: &str| -> Vec<&Value> {
        let is = |r: &&Value| r["attributes"]["type"] == name;
        records.iter().filter(is).collect()
    };
    assert_eq!(
        (of("Contact").len(), of("Lead").len(), records.len()),
        (3, 3, 8)
    );
    for lead in of("Lead") {
        assert!(lead["Company"].is_string() && lead.get("Email").is_none());
        assert!(lead["Phone"].is_null() || lead["Phone"].as_str().unwrap().starts_with("****"));
    }
    assert!(of("Account").iter().all(|a| a["Id"].is_string()));
    // The older shape is a bare array.
    let old = format!("/services/data/v36.0{}", search(sosl));
    let (_, body) = house.got("desk", "GET", &old, "");
    assert_eq!(body.as_array().unwrap().len(), 8);
}

#[test]
fn a_list_that_becomes_empty_fetches_the_id_and_drops_it() {
    let house = house();
    let sosl = "FIND {a*} IN NAME FIELDS RETURNING Contact(Salary__c LIMIT 2)";
    let (_, body) = house.got("desk", "GET", &search(sosl), "");
    assert!(sent(&house).ends_with("RETURNING Contact(Id LIMIT 2)"));
    for record in body["searchRecords"].as_array().unwrap() {
        assert_eq!(record.as_object().unwrap().len(), 1, "{record}");
    }
}

#[test]
fn a_scope_is_searched_only_where_every_field_of_it_may_be() {
    let house = house();
    let refusal = |role: &str, sosl: &str| {
        let answer = house.ask(role, "GET", &search(sosl), "");
        let refusal = answer.err().unwrap_or_else(|| panic!("{sosl} is answered"));
        (refusal.reason, refusal.message.into_owned())
    };
    let not_searched = |scope: &str| {
        (
            Reason::TreatedFieldEvaluated,
            format!("field '{scope} FIELDS' can not be searched in a search call"),
        )
    };
    // soql-21 and soql-22 of the cases.
    for (sosl, scope) in [
        (
            "FIND {jane@x.y} IN EMAIL FIELDS RETURNING Contact(Id)",
            "EMAIL",
        ),
        ("FIND {jane} IN ALL FIELDS RETURNING Contact(Id)", "ALL"),
        ("FIND {jane} RETURNING Contact(Id)", "ALL"),
        (
            "FIND {jane} IN SIDEBAR FIELDS RETURNING Contact(Id)",
            "SIDEBAR",
        ),
        ("FIND {5678} IN PHONE FIELDS RETURNING Contact(Id)", "PHONE"),
        (
            "FIND {x} IN ALL FIELDS RETURNING Account(Id), Contact(Id)",
            "ALL",
        ),
        // The object has no e-mail field: what the CRM does then is not ours to guess.
        (
            "FIND {x} IN EMAIL FIELDS RETURNING Task(Id), Contact(Id)",
            "EMAIL",
        ),
    ] {
        assert_eq!(refusal("desk", sosl), not_searched(scope), "{sosl}");
    }
    let email = "FIND {jane@x.y} IN EMAIL FIELDS RETURNING Contact(Id, Email)";
    let (status, _) = house.got("finder", "GET", &search(email), "");
    assert_eq!(status, 200);
    assert_eq!(
        refusal("finder", "FIND {jane} IN ALL FIELDS RETURNING Contact(Id)"),
        not_searched("ALL")
    );
    assert_eq!(
        refusal("barred", "FIND {jane} IN NAME FIELDS RETURNING Contact(Id)").0,
        Reason::Denied
    );
    // An object whose every field is clear is searched whole.
    let (status, _) = house.got(
        "desk",
        "GET",
        &search("FIND {acme*} RETURNING Account(Name)"),
        "",
    );
    assert_eq!(status, 200);
}

#[test]
fn conditions_and_orders_of_a_search_are_judged_like_those_of_a_query() {
    let house = house();
    let refused = |inside: &str| {
        let sosl = format!("FIND {{jane}} IN NAME FIELDS RETURNING Contact({inside})");
        house.refused("desk", "GET", &search(&sosl), "")
    };
    for (inside, reason) in [
        ("Id WHERE Salary__c > 1", Reason::UnknownField),
        ("Id WHERE Email LIKE 'a%'", Reason::TreatedFieldEvaluated),
        (
            "Id WHERE Email = 'jo@example.org'",
            Reason::TreatedFieldEvaluated,
        ),
        ("Id ORDER BY Phone", Reason::TreatedFieldEvaluated),
        ("Id WHERE Account.Nothing__c = 1", Reason::UnknownField),
        ("Id, SSN__c", Reason::Denied),
        (
            "Id WHERE Id IN (SELECT ContactId FROM Case WHERE Contact.Salary__c > 1)",
            Reason::UnknownField,
        ),
        ("Id USING ListView=Recent", Reason::MalformedQuery),
        ("Nothing__c", Reason::UnknownField),
        ("FIELDS(ALL)", Reason::MalformedQuery),
        ("COUNT(Id)", Reason::MalformedQuery),
        ("Id, (SELECT Id FROM Cases)", Reason::MalformedQuery),
    ] {
        assert_eq!(refused(inside), reason, "{inside}");
    }
    // A token of the caller's own becomes its value.
    let id = house.contact(0, "Id");
    let (_, record) = house.got(
        "desk",
        "GET",
        &format!("/sobjects/Contact/{id}?fields=Email,LastName"),
        "",
    );
    let sosl = format!(
        "FIND {{{}}} IN NAME FIELDS RETURNING Contact(Id WHERE Email = '{}')",
        record["LastName"].as_str().unwrap(),
        record["Email"].as_str().unwrap()
    );
    let (_, body) = house.got("desk", "GET", &search(&sosl), "");
    assert_eq!(body["searchRecords"][0]["Id"], *id);
    assert!(sent(&house).contains(&house.contact(0, "Email")));
}

#[test]
fn a_token_or_a_mask_is_not_searched() {
    let house = house();
    for term in [
        "tk1.k1.abcdef",
        "TK1.k1.abcdef*",
        "tk1.k1.abcdef@token.invalid",
        "jane OR tk1.k1.abcdef",
        "\"jane tk1.k1.abcdef\"",
        "****5678",
        "\\*\\*\\*\\*5678",
        "j****@example.org",
    ] {
        let sosl = format!("FIND {{{term}}} IN NAME FIELDS RETURNING Contact(Id)");
        let reason = house.refused("finder", "GET", &search(&sosl), "");
        assert_eq!(reason, Reason::TreatedFieldEvaluated, "{term}");
    }
}

#[test]
fn clauses_of_a_search_are_done_or_refused_by_name() {
    let house = house();
    for (clause, named) in [
        ("WITH DIVISION = 'Global'", "WITH DIVISION"),
        ("WITH DATA CATEGORY G__c AT a__c", "WITH DATA CATEGORY"),
        ("WITH NETWORK = '0DB'", "WITH NETWORK"),
        ("WITH NETWORK IN ('0DB', '0DC')", "WITH NETWORK"),
        ("WITH PRICEBOOKID = '01s'", "WITH PRICEBOOKID"),
        ("WITH SYSTEM_MODE", "WITH SYSTEM_MODE"),
        ("UPDATE TRACKING", "UPDATE TRACKING"),
        ("UPDATE VIEWSTAT", "UPDATE VIEWSTAT"),
        ("WITH SOMETHING = 'x'", "WITH"),
    ] {
        let sosl = format!("FIND {{jane}} IN NAME FIELDS RETURNING Contact(Id) {clause}");
        let refusal = house.ask("desk", "GET", &search(&sosl), "").unwrap_err();
        assert_eq!(refusal.reason, Reason::MalformedQuery, "{clause}");
        assert!(refusal.message.contains(named), "{}", refusal.message);
    }
    let refusal = house
        .ask("desk", "GET", &search("FIND {jane} IN NAME FIELDS"), "")
        .unwrap_err();
    assert!(refusal.message.contains("RETURNING"), "{}", refusal.message);
    for clause in ["WITH SPELL_CORRECTION = false", "WITH USER_MODE", "LIMIT 3"] {
        let sosl = format!("FIND {{jane}} IN NAME FIELDS RETURNING Contact(Id) {clause}");
        assert_eq!(
            house.got("desk", "GET", &search(&sosl), "").0,
            200,
            "{clause}"
        );
        assert!(sent(&house).ends_with(clause), "{}", sent(&house));
    }
    let sosl =
        "FIND {jane} IN NAME FIELDS RETURNING contact(id, salary__c) WITH METADATA = 'LABELS'";
    let (_, body) = house.got("desk", "GET", &search(sosl), "");
    assert_eq!(
        body["metadata"]["entityMetadata"][0]["fieldMetadata"],
        serde_json::json!([{"name": "Id", "label": "Id"}])
    );
}

#[test]
fn snippets_and_highlights_need_every_searched_field_clear() {
    let house = house();
    for clause in [
        "WITH SNIPPET",
        "WITH SNIPPET(target_length=120)",
        "WITH HIGHLIGHT",
    ] {
        // Searching is allowed here, showing what was searched is not.
        let sosl = format!("FIND {{jane@x.y}} IN EMAIL FIELDS RETURNING Contact(Id) {clause}");
        let reason = house.refused("finder", "GET", &search(&sosl), "");
        assert_eq!(reason, Reason::TreatedFieldEvaluated, "{clause}");
        let sosl = format!("FIND {{a*}} RETURNING Account(Name LIMIT 1) {clause}");
        assert_eq!(
            house.got("desk", "GET", &search(&sosl), "").0,
            200,
            "{clause}"
        );
    }
    let sosl = "FIND {a*} IN NAME FIELDS RETURNING Account(Name LIMIT 1) WITH SNIPPET";
    let (_, body) = house.got("desk", "GET", &search(sosl), "");
    let record = &body["searchRecords"][0];
    assert_eq!(record["snippet"]["text"], record["Name"]);
    assert_eq!(record["snippet"]["wholeFields"], serde_json::json!([]));
}

#[test]
fn a_parameterised_search_is_the_same_search() {
    let house = house();
    let name = house.contact(0, "LastName");
    let body = serde_json::json!({
        "q": name, "in": "NAME", "fields": ["id", "name"], "overallLimit": 20, "spellCorrection": true,
        "sobjects": [{"name": "contact", "fields": ["Id", "Name", "Email", "Salary__c"], "where": "Name != 'x'", "orderBy": "Name", "limit": 9}, {"name": "Lead"}],
    });
    let (_, answer) = house.got("desk", "POST", "/parameterizedSearch", &body.to_string());
    let records = answer["searchRecords"].as_array().unwrap();
    assert!(!records.is_empty());
    assert!(
        records
            .iter()
            .all(|r| r["Name"].is_string() && r.get("Salary__c").is_none())
    );
    let sent: Value = serde_json::from_slice(&house.last().body).unwrap();
    assert_eq!(
        sent["sobjects"],
        serde_json::json!([
            {"name": "contact", "fields": ["Id", "Name", "Email"], "where": "Name != 'x'", "orderBy": "Name", "limit": 9},
            {"name": "Lead", "fields": ["id", "name"]},
        ])
    );
    assert_eq!(
        (&sent["q"], &sent["in"], &sent["overallLimit"]),
        (&name.into(), &"NAME".into(), &20.into())
    );
    let get =
        "/parameterizedSearch?q=a*&in=NAME&sobject=Contact&Contact.fields=Id,Name&Contact.limit=2";
    let (_, answer) = house.got("desk", "GET", get, "");
    assert_eq!(answer["searchRecords"].as_array().unwrap().len(), 2);

    for (body, reason) in [
        (
            r#"{"q":"x","sobjects":[{"name":"Contact"}]}"#,
            Reason::TreatedFieldEvaluated,
        ),
        (
            r#"{"q":"x","in":"EMAIL","sobjects":[{"name":"Contact"}]}"#,
            Reason::TreatedFieldEvaluated,
        ),
        (
            r#"{"q":"tk1.k1.abcdef","in":"NAME","sobjects":[{"name":"Contact"}]}"#,
            Reason::TreatedFieldEvaluated,
        ),
        (
            r#"{"q":"****5678","in":"NAME","sobjects":[{"name":"Contact"}]}"#,
            Reason::TreatedFieldEvaluated,
        ),
        (
            r#"{"q":"x","in":"NAME","sobjects":[{"name":"Contact","where":"Salary__c > 1"}]}"#,
            Reason::UnknownField,
        ),
        (
            r#"{"q":"x","in":"NAME","sobjects":[{"name":"Contact","where":"Name = 'a') OR (Name = 'b'"}]}"#,
            Reason::MalformedQuery,
        ),
        (
            r#"{"q":"x","in":"NAME","sobjects":[{"name":"Contact","orderBy":"Email"}]}"#,
            Reason::TreatedFieldEvaluated,
        ),
        (
            r#"{"q":"x","in":"NAME","sobjects":[{"name":"Contact","fields":["Id) x"]}]}"#,
            Reason::MalformedQuery,
        ),
        (
            r#"{"q":"x","in":"NAME","sobjects":[{"name":"Nothing__c"}]}"#,
            Reason::UnknownObject,
        ),
        (r#"{"q":"x","in":"NAME"}"#, Reason::MalformedQuery),
        (
            r#"{"in":"NAME","sobjects":[{"name":"Contact"}]}"#,
            Reason::MalformedQuery,
        ),
        (
            r#"{"q":"x","in":"SOME","sobjects":[{"name":"Contact"}]}"#,
            Reason::BadRequest,
        ),
        (
            r#"{"q":"x","in":"NAME","sobjects":[{"name":"Contact"}],"snippet":true}"#,
            Reason::BadRequest,
        ),
        (
            r#"{"q":"x","in":"NAME","sobjects":[{"name":"Contact"}],"updateTracking":true}"#,
            Reason::BadRequest,
        ),
        (
            r#"{"q":"x","in":"NAME","sobjects":[{"name":"Contact","more":1}]}"#,
            Reason::MalformedBody,
        ),
    ] {
        assert_eq!(
            house.refused("desk", "POST", "/parameterizedSearch", body),
            reason,
            "{body}"
        );
    }
}

#[test]
fn suggestions_are_names_that_may_be_searched() {
    let house = house();
    let target = "/search/suggestions?q=a&sobject=contact&fields=Email,Salary__c&limit=3";
    let (_, body) = house.got("desk", "GET", target, "");
    let found = body["autoSuggestResults"].as_array().unwrap();
    assert_eq!(
        (found.len(), body["hasMoreResults"].is_boolean()),
        (3, true)
    );
    assert!(
        found
            .iter()
            .all(|r| r["Name"].is_string() && r.get("Salary__c").is_none())
    );
    assert!(!house.last().target.contains("Salary"));
    assert_eq!(house.refused("barred", "GET", target, ""), Reason::Denied);
    for (target, reason) in [
        ("/search/suggestions?q=a", Reason::BadRequest),
        (
            "/search/suggestions?q=a&sobject=Contact&groupId=x",
            Reason::BadRequest,
        ),
        (
            "/search/suggestions?q=tk1.k1.abcdef&sobject=Contact",
            Reason::TreatedFieldEvaluated,
        ),
        (
            "/search/suggestions?q=a&sobject=Nothing__c",
            Reason::UnknownObject,
        ),
        ("/search/scopeOrder", Reason::EndpointClosed),
        ("/search/layout?q=Contact", Reason::EndpointClosed),
        ("/search/suggestSearchQueries?q=a", Reason::EndpointClosed),
        ("/query?q=FIND+{x}", Reason::MalformedQuery),
    ] {
        assert_eq!(house.refused("desk", "GET", target, ""), reason, "{target}");
    }
}
