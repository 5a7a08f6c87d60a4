//! Mistakes in a map, as people see them.

use super::*;

/// The diagnostics of `text`, rendered.
fn mistakes(text: &str) -> String {
    let found = match parse("people", "apis/people.yaml", text) {
        Err(found) => found,
        Ok(raw) => bind(raw, &schema()).expect_err("the map has a mistake"),
    };
    let found: Vec<String> = found.iter().map(ToString::to_string).collect();
    found.join("\n")
}

#[test]
fn a_selector_that_cannot_stream_is_shown_in_its_place() {
    assert_eq!(
        mistakes(&PEOPLE.replace("records: $.items[*]", "records: $.items[0,-1].list")),
        "error[unstreamable-selector]: an index from the end cannot be followed while the answer streams
  --> apis/people.yaml:13:24
   |
13 |     records: $.items[0,-1].list
   |                        ^^
   = help: count from the start, or use `[*]`"
    );
    let slice = mistakes(&PEOPLE.replace("envelope: [$.total]", "envelope: ['$.total[::-1]']"));
    assert!(slice.contains("apis/people.yaml:15:25"), "{slice}");
    assert!(slice.contains("backwards"), "{slice}");
    for filter in ["@.x == $.y", "length(@.x) > 1", "@[?@ > 1]"] {
        let records = format!("records: \"$.items[?{filter}]\"");
        let found = mistakes(&PEOPLE.replace("records: $.items[*]", &records));
        assert!(found.contains("error[unstreamable-selector]"), "{found}");
        assert!(found.contains("apis/people.yaml:13:23"), "{found}");
    }
    let alone = PEOPLE.replace(
        "records: $.items[*]",
        "records: \"$.items[?@.a == '$?' && (@.b > 1)]\"",
    );
    parse("people", "apis/people.yaml", &alone).unwrap();
}

#[test]
fn every_mistake_is_reported_at_once() {
    let text = PEOPLE
        .replace("method: GET", "metod: GET")
        .replace("action: write", "action: wirte")
        .replace("use: filter", "use: filtre")
        .replace("links: [$.next]", "links: ['$.next[']");
    let found = mistakes(&text);
    for expected in [
        "unknown key `metod` in a route\n --> apis/people.yaml:5:5",
        "did you mean `method`?",
        "a route lacks `method`",
        "unknown action `wirte`",
        "did you mean `write`?",
        "unknown use `filtre`",
        "did you mean `filter`?",
        "is not a JSONPath",
    ] {
        assert!(found.contains(expected), "{expected} in\n{found}");
    }
}

#[test]
fn names_must_exist_in_the_schema() {
    let text = PEOPLE
        .replace(
            "email: $.contact.email, joined",
            "emial: $.contact.email, joined",
        )
        .replace("object: Person\n    path_", "object: Persn\n    path_");
    assert_eq!(
        mistakes(&text),
        "error[unknown-field]: no field `emial` in `Person` of schema/people.json
  --> apis/people.yaml:14:39
   |
14 |     fields: { id: $.id, name: $.name, emial: $.contact.email, joined: $.joined }
   |                                       ^^^^^
   = help: did you mean `email`?
error[unknown-object]: no object `Persn` in schema/people.json
  --> apis/people.yaml:21:13
   |
21 |     object: Persn
   |             ^^^^^
   = help: did you mean `Person`?"
    );
}

#[test]
fn what_could_let_a_value_by_is_refused_at_load() {
    for (from, to, code) in [
        ("id: change-person", "id: list-people", "duplicate-id"),
        (
            "method: PATCH\n    path: /people/{id}",
            "method: GET\n    path: /people",
            "ambiguous-route",
        ),
        (
            "envelope: [$.total]",
            "envelope: [$.items]",
            "envelope-meets-records",
        ),
        (
            "envelope: [$.total]",
            "envelope: [$]",
            "envelope-meets-records",
        ),
        (
            "envelope: [$.total]",
            "envelope: [$..total]",
            "envelope-meets-records",
        ),
        (
            "links: [$.next]",
            "links: ['$.items[*].self']",
            "envelope-meets-records",
        ),
        ("links: [$.next]", "links: [$.total]", "overlapping-paths"),
        (
            "joined: $.joined }\n    env",
            "joined: $.contact }\n    env",
            "overlapping-paths",
        ),
        (
            "joined: $.joined }\n    env",
            "joined: $..EMAIL }\n    env",
            "overlapping-paths",
        ),
        (
            "'{\"error\":{\"code\":\"{code}\"",
            "'{\"error\":{\"code\":{code}",
            "wrong-error-body",
        ),
        (
            "path_parameters: { id:",
            "path_parameters: { di:",
            "missing-path-parameter",
        ),
        (
            "    body: { records: $, fields: { name: $.name, email: $.contact.email } }\n",
            "",
            "writes-without-fields",
        ),
        ("    records: $.items[*]\n", "", "records-without-fields"),
        ("schema: 1", "schema: 2", "unknown-schema"),
        ("schema: 1", "\u{feff}schema: 1", "byte-order-mark"),
        (
            "limit: { use: none }",
            "limit: { use: none, field: id }",
            "wrong-parameter",
        ),
        (
            "limit: { use: none }",
            "mail: { use: none }",
            "duplicate-key",
        ),
        ("limit: { use: none }", "limit: { use: none", "yaml"),
        ("path: /people/{id}", "path: /people/x{id}", "wrong-path"),
        (
            "action: read",
            "action: read\n    format: xml",
            "unknown-format",
        ),
        (
            "action: read",
            "action: read\n    format: ndjson\n    events: [a]",
            "events-without-stream",
        ),
        (
            "action: read",
            "action: read\n    format: event-stream\n    events: ['']",
            "wrong-event",
        ),
        (
            "action: read",
            "action: read\n    document: '$.a['",
            "invalid-jsonpath",
        ),
    ] {
        assert!(PEOPLE.contains(from), "{from}");
        let found = mistakes(&PEOPLE.replacen(from, to, 1));
        assert!(
            found.contains(&format!("error[{code}]")),
            "{from} → {to}:\n{found}"
        );
        assert!(found.contains("--> apis/people.yaml:"), "{found}");
    }
}

#[test]
fn shipped_maps_fit_the_shipped_schemas() {
    for (api, text, schema) in [
        (
            "people",
            include_str!("../../../../../policies/apis/people.yaml"),
            include_str!("../../../../../policies/schema/people.json"),
        ),
        (
            "analytics",
            include_str!("../../../../../policies/apis/analytics.yaml"),
            include_str!("../../../../../policies/schema/analytics.json"),
        ),
    ] {
        let schema: serde_json::Value = serde_json::from_str(schema).unwrap();
        assert_eq!(schema["api"], api);
        let mut catalog = Catalog::default();
        for (name, held) in schema["objects"].as_object().unwrap() {
            let fields: Vec<(&str, FieldType)> = held["fields"]
                .as_object()
                .unwrap()
                .keys()
                .map(|k| (k.as_str(), FieldType::Text))
                .collect();
            let id = ObjectId(catalog.objects.len() as u32);
            catalog.objects.push(object(name, api, &fields));
            catalog
                .object_by_name
                .insert(name.to_lowercase().into(), id);
        }
        let raw = parse(api, &format!("apis/{api}.yaml"), text).unwrap();
        bind(raw, &catalog).unwrap();
    }
}
