//! The maps of the documentation, every refusal, and the diagnostics as people see them.

mod load;

use std::collections::HashMap;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};

use super::*;
use crate::engine::catalog::{Catalog, Field, FieldType, Object};
use crate::engine::protocol::{
    self as protocol, Api, Dialect, Link, Literal, Operation, RequestHead, Resolved, Shape,
    UpstreamRequest,
};
use crate::engine::refusal::{Reason, Refusal};

/// `people.yaml` of the format's description.
const PEOPLE: &str = r#"schema: 1
error: { content_type: application/json, body: '{"error":{"code":"{code}","message":"{message}"}}' }
routes:
  - id: list-people
    method: GET
    path: /people
    action: read
    object: Person                             # its fields stand in schema/people.json
    parameters:
      mail: { use: filter, field: email }      # equality; a token of the caller's scope is turned back
      sort: { use: sort, fields: { name: name, joined: joined } }    # value -> field; other values refused
      limit: { use: none }
    records: $.items[*]
    fields: { id: $.id, name: $.name, email: $.contact.email, joined: $.joined }
    envelope: [$.total]                        # passes as it is
    links: [$.next]                            # rewritten to lead back here
  - id: change-person
    method: PATCH
    path: /people/{id}
    action: write
    object: Person
    path_parameters: { id: { use: read, field: id } }
    body: { records: $, fields: { name: $.name, email: $.contact.email } }
    records: $
    fields: { id: $.id, name: $.name, email: $.contact.email }
"#;

/// `analytics.yaml` of the format's description.
const ANALYTICS: &str = r#"schema: 1
error: { content_type: application/json, body: '{"errorCode":"{code}","message":"{message}"}' }
routes:
  - id: query-datasource
    method: POST
    path: /api/v1/vizql-data-service/query-datasource
    action: read
    object: { at: $.datasource.datasourceLuid, is: { 0f0d3c1e-sales: Sale } }   # other values refused
    body:
      outputs:                                 # with a function: use aggregate
        each: $.query.fields[*]
        field: $.fieldCaption
        function: $.function
        key: ["{fieldAlias}", "{function}({fieldCaption})", "{fieldCaption}"]   # first one that is complete
        ignore: [$.maxDecimalPlaces]
        sort: $.sortPriority                   # present = also use sort
      filters:                                 # use filter; tokens among the values are turned back
        each: $.query.filters[*]
        field: $.field.fieldCaption
        equals: $.values[*]                    # any other comparison on a treated field is refused
        require: { $.filterType: [SET], $.exclude: [false] }
      require: { $.options.returnFormat: [OBJECTS], $.options.disaggregate: [false] }
    records: $.data[*]
    fields: outputs                            # keys as declared by the request
"#;

fn object(name: &str, api: &str, fields: &[(&str, FieldType)]) -> Object {
    Object {
        name: name.into(),
        api: api.into(),
        key_prefix: None,
        fields: fields
            .iter()
            .map(|(name, kind)| Field {
                name: (*name).into(),
                kind: *kind,
                type_word: "string".into(),
                length: None,
                reference_to: Vec::new(),
                relationship_name: None,
                compound: None,
                name_field: false,
                derived_from: Vec::new(),
                derived_from_unknown: false,
                class: "unclassified".into(),
            })
            .collect(),
        field_by_name: fields
            .iter()
            .enumerate()
            .map(|(i, (name, _))| (name.to_ascii_lowercase().into(), i as u32))
            .collect(),
        children: HashMap::new(),
        conditions: Vec::new(),
        data_region: None,
    }
}

fn schema() -> Catalog {
    use FieldType::{Date, Id, Number, Text};
    let objects = vec![
        object(
            "Person",
            "people",
            &[
                ("email", Text),
                ("id", Id),
                ("joined", Date),
                ("name", Text),
                ("phone", Text),
                ("salary", Number),
                ("department", Text),
                ("birthdate", Date),
            ],
        ),
        object(
            "Sale",
            "analytics",
            &[
                ("Amount", Number),
                ("Customer Email", Text),
                ("Region", Text),
                ("Order Date", Date),
            ],
        ),
    ];
    let object_by_name = objects
        .iter()
        .enumerate()
        .map(|(i, o)| (o.name.to_ascii_lowercase().into(), ObjectId(i as u32)))
        .collect();
    Catalog {
        objects,
        object_by_name,
        ..Catalog::default()
    }
}

fn catalog() -> Catalog {
    let mut catalog = schema();
    for (api, text) in [("people", PEOPLE), ("analytics", ANALYTICS)] {
        let raw = parse(api, &format!("apis/{api}.yaml"), text).unwrap();
        let map = bind(raw, &catalog).unwrap();
        catalog.maps.insert(api.into(), Arc::new(map));
    }
    catalog
}

fn ask(method: &str, target: &str, body: &str) -> Result<Operation, Refusal> {
    ask_as(&catalog(), "application/json", method, target, body)
}

fn ask_as(
    catalog: &Catalog,
    content_type: &str,
    method: &str,
    target: &str,
    body: &str,
) -> Result<Operation, Refusal> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let api = Api {
        name: if path.starts_with("/api") {
            "analytics"
        } else {
            "people"
        }
        .into(),
        dialect: Dialect::Map,
        versions: (0, 0),
        public_origin: "https://privet.example".into(),
        upstream_origin: "https://up.example".into(),
    };
    let segments: Vec<String> = path[1..].split('/').map(str::to_owned).collect();
    let query: Vec<(String, String)> = query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .map(|(n, v)| (n.to_owned(), v.to_owned()))
        .collect();
    let mut headers = HeaderMap::new();
    if !body.is_empty() {
        headers.insert("content-type", HeaderValue::from_str(content_type).unwrap());
    }
    let head = RequestHead {
        method: &Method::from_bytes(method.as_bytes()).unwrap(),
        path,
        segments: &segments,
        query: &query,
        headers: &headers,
    };
    let operation = understand(&api, &head, body.as_bytes(), catalog)?;
    // As if its object were not hidden.
    match &operation.forward {
        protocol::Forward::Map(forward) => match &forward.refused {
            Some(refusal) => Err(refusal.clone()),
            None => Ok(operation),
        },
        protocol::Forward::Salesforce(_) => panic!("another dialect"),
    }
}

const QUERY: &str = "/api/v1/vizql-data-service/query-datasource";

fn query(fields: &str, filters: &str) -> String {
    format!(
        r#"{{"datasource":{{"datasourceLuid":"0f0d3c1e-sales"}},"query":{{"fields":{fields},"filters":{filters}}},"options":{{"returnFormat":"OBJECTS","disaggregate":false}}}}"#
    )
}

/// `action field comparison named values` of every use.
fn uses(operation: &Operation) -> Vec<String> {
    let catalog = schema();
    operation
        .uses
        .iter()
        .map(|u| {
            let values: Vec<String> = u
                .values
                .iter()
                .map(|v| match v {
                    Literal::Null => "null".to_owned(),
                    Literal::Text(t) => format!("'{t}'"),
                    Literal::Other(t) => t.clone(),
                })
                .collect();
            format!(
                "{} {} {:?}{} {}",
                u.action.word(),
                catalog.field_name(u.field),
                u.comparison,
                if u.named { " named" } else { "" },
                values.join(",")
            )
            .trim_end()
            .to_owned()
        })
        .collect()
}

fn print(
    operation: &Operation,
    hidden: &[usize],
    replaced: &[(usize, Vec<Literal>)],
) -> Result<UpstreamRequest, Refusal> {
    let kept: Vec<bool> = (0..operation.uses.len())
        .map(|i| !hidden.contains(&i))
        .collect();
    let mut values = vec![None; operation.uses.len()];
    for (i, v) in replaced {
        values[*i] = Some(v.clone());
    }
    let protocol::Forward::Map(forward) = &operation.forward else {
        panic!("another dialect");
    };
    forward.print(&Resolved {
        kept: &kept,
        values: &values,
        conditions: &[],
        clear: &[],
    })
}

fn body_of(request: &UpstreamRequest) -> &str {
    std::str::from_utf8(&request.body).unwrap()
}

#[test]
fn a_list_is_its_parameters_and_its_declared_fields() {
    let o = ask("GET", "/people?mail=jo@x.org&sort=joined&limit=5", "").unwrap();
    assert_eq!(&*o.endpoint, "list-people");
    assert_eq!(
        uses(&o),
        [
            "filter Person.email Equality 'jo@x.org'",
            "sort Person.joined Other",
            "read Person.id Other",
            "read Person.name Other",
            "read Person.email Other",
            "read Person.joined Other",
        ]
    );
    let Shape::Paths(paths) = &o.shape else {
        panic!("{:?}", o.shape);
    };
    assert_eq!(&*paths[0].0.text, "$.items[*]");
    let Shape::Record(record) = &paths[0].1 else {
        panic!("{:?}", paths[0].1);
    };
    assert_eq!(&*record.paths[2].0.text, "$.contact.email");
    assert!(matches!(paths[1].1, Shape::Keep));
    assert!(matches!(paths[2].1, Shape::Link(Link::NextPage)));
    let up = print(&o, &[], &[(0, vec![Literal::Text("a&b @é".into())])]).unwrap();
    assert_eq!(
        up.path_and_query,
        "/people?mail=a%26b%20%40%C3%A9&sort=joined&limit=5"
    );
    assert!(up.body.is_empty());
    // A link repeats the query: after a token it would show the value.
    let o = ask("GET", "/people?mail=tk1.a.b", "").unwrap();
    let Shape::Paths(paths) = &o.shape else {
        panic!("{:?}", o.shape);
    };
    assert!(matches!(paths[2].1, Shape::Link(Link::Closed)));
}

#[test]
fn a_write_is_one_use_per_member() {
    let body = r#"{"contact":{"email":"tk1.a.b"},"name":null}"#;
    let o = ask("PATCH", "/people/tk1.a.c", body).unwrap();
    assert_eq!(
        uses(&o)[..3],
        [
            "read Person.id Equality 'tk1.a.c'",
            "write Person.name Equality null",
            "write Person.email Equality 'tk1.a.b'",
        ]
    );
    let up = print(
        &o,
        &[],
        &[
            (0, vec![Literal::Text("p 7?".into())]),
            (2, vec![Literal::Text("jo\"@x.org".into())]),
        ],
    )
    .unwrap();
    assert_eq!(up.path_and_query, "/people/p%207%3F");
    assert_eq!(
        body_of(&up),
        r#"{"contact":{"email":"jo\"@x.org"},"name":null}"#
    );
    let traversal = print(&o, &[], &[(0, vec![Literal::Text("..".into())])]).unwrap_err();
    assert_eq!(traversal.reason, Reason::BadRequest);
}

#[test]
fn a_query_declares_its_columns() {
    let body = query(
        r#"[{"fieldCaption":"Region","sortPriority":1},{"fieldCaption":"Amount","function":"SUM","fieldAlias":"total","maxDecimalPlaces":1.50},{"fieldCaption":"Customer Email","function":"COUNTD"}]"#,
        r#"[{"filterType":"SET","field":{"fieldCaption":"Region"},"values":["EMEA",7],"exclude":false}]"#,
    );
    let o = ask("POST", QUERY, &body).unwrap();
    assert_eq!(
        uses(&o),
        [
            "group Sale.Region Identity",
            "read Sale.Region Other named",
            "sort Sale.Region Other",
            "aggregate Sale.Amount Other",
            "read Sale.Amount Other named",
            "aggregate Sale.Customer Email Identity",
            "filter Sale.Region Equality 'EMEA',7",
        ]
    );
    let Shape::Paths(paths) = &o.shape else {
        panic!("{:?}", o.shape);
    };
    let Shape::Object(members) = &paths[0].1 else {
        panic!("{:?}", paths[0].1);
    };
    let members: Vec<(&str, String)> = members
        .iter()
        .map(|(k, s)| (&**k, format!("{s:?}")))
        .collect();
    assert_eq!(
        members,
        [
            ("Region", "Value([1])".to_owned()),
            ("total", "Value([4])".to_owned()),
            ("COUNTD(Customer Email)", "Value([])".to_owned()),
        ]
    );
    // As written, numbers included.
    assert_eq!(body_of(&print(&o, &[], &[]).unwrap()), body);
    // A hidden output leaves the request; tokens come back as values.
    let up = print(
        &o,
        &[4],
        &[(
            6,
            vec![Literal::Text("APAC".into()), Literal::Other("8".into())],
        )],
    )
    .unwrap();
    assert!(!body_of(&up).contains("Amount"));
    assert!(body_of(&up).contains(r#""values":["APAC",8]"#));
    assert!(body_of(&up).contains("COUNTD"));
}

#[test]
fn nothing_left_to_select_is_denied() {
    let o = ask(
        "POST",
        QUERY,
        &query(r#"[{"fieldCaption":"Region"}]"#, "[]"),
    )
    .unwrap();
    assert_eq!(print(&o, &[0], &[]).unwrap_err().reason, Reason::Denied);
}

#[test]
fn a_required_member_that_is_absent_is_written() {
    let o = ask(
        "POST",
        QUERY,
        r#"{"datasource":{"datasourceLuid":"0f0d3c1e-sales"},"query":{"fields":[{"fieldCaption":"Region"}],"filters":[{"field":{"fieldCaption":"Region"},"filterType":"SET","values":["x"]}]}}"#,
    )
    .unwrap();
    let up = print(&o, &[], &[]).unwrap();
    assert!(
        body_of(&up).contains(r#""values":["x"],"exclude":false}"#),
        "{}",
        body_of(&up)
    );
    assert!(
        body_of(&up).ends_with(r#""options":{"returnFormat":"OBJECTS","disaggregate":false}}"#)
    );
}

#[test]
fn another_comparison_is_no_equality() {
    let filter =
        r#"[{"filterType":"SET","field":{"fieldCaption":"Region"},"values":["x"],"exclude":true}]"#;
    let o = ask(
        "POST",
        QUERY,
        &query(r#"[{"fieldCaption":"Region"}]"#, filter),
    )
    .unwrap();
    assert_eq!(uses(&o)[1], "filter Sale.Region Other");
    // An empty list is no equality either: "every value is a token" would hold for nothing.
    let empty =
        r#"[{"filterType":"SET","field":{"fieldCaption":"Region"},"values":[],"exclude":false}]"#;
    let o = ask(
        "POST",
        QUERY,
        &query(r#"[{"fieldCaption":"Region"}]"#, empty),
    )
    .unwrap();
    assert_eq!(uses(&o)[1], "filter Sale.Region Other");
}

#[test]
fn every_refusal() {
    let output = r#"[{"fieldCaption":"Region"}]"#;
    let post = |fields: &str, filters: &str| ("POST", QUERY, query(fields, filters));
    let cases = [
        (("GET", "/people/7/pay", String::new()), Reason::UnknownPath),
        (("GET", "/people/", String::new()), Reason::UnknownPath),
        (
            ("DELETE", "/people/7", String::new()),
            Reason::MethodNotAllowed,
        ),
        (("HEAD", "/people", String::new()), Reason::MethodNotAllowed),
        (("GET", "/people?q=x", String::new()), Reason::BadRequest),
        (
            ("GET", "/people?limit=1&limit=2", String::new()),
            Reason::BadRequest,
        ),
        (
            ("GET", "/people?sort=email", String::new()),
            Reason::BadRequest,
        ),
        (("GET", "/people", "{}".to_owned()), Reason::BadRequest),
        (
            ("PATCH", "/people/..", r#"{"name":"x"}"#.to_owned()),
            Reason::BadRequest,
        ),
        (
            ("PATCH", "/people/7", String::new()),
            Reason::UnsupportedMediaType,
        ),
        (
            ("PATCH", "/people/7", "{}".to_owned()),
            Reason::MalformedBody,
        ),
        (
            ("PATCH", "/people/7", r#"{"name":["x"]}"#.to_owned()),
            Reason::MalformedBody,
        ),
        (
            (
                "PATCH",
                "/people/7",
                r#"{"name":"x","name":"y"}"#.to_owned(),
            ),
            Reason::MalformedBody,
        ),
        (
            ("PATCH", "/people/7", r#"{"name":"x"} {}"#.to_owned()),
            Reason::MalformedBody,
        ),
        (
            (
                "PATCH",
                "/people/7",
                r#"{"name":"x","salary":1}"#.to_owned(),
            ),
            Reason::MalformedQuery,
        ),
        (
            (
                "PATCH",
                "/people/7",
                r#"{"name":"x","contact":{"email":"e","phone":"1"}}"#.to_owned(),
            ),
            Reason::MalformedQuery,
        ),
        (
            (
                "PATCH",
                "/people/7",
                r#"{"name":"x","extra":{}}"#.to_owned(),
            ),
            Reason::MalformedQuery,
        ),
        (
            ("POST", QUERY, query(output, "[]").replace("sales", "hr")),
            Reason::UnknownObject,
        ),
        (
            (
                "POST",
                QUERY,
                query(output, "[]").replace("OBJECTS", "ARRAYS"),
            ),
            Reason::MalformedQuery,
        ),
        (
            (
                "POST",
                QUERY,
                query(output, "[]").replace("\"options\":{", "\"options\":{\"debug\":true,"),
            ),
            Reason::MalformedQuery,
        ),
        (
            (
                "POST",
                QUERY,
                query(output, "[]").replace("\"query\":{", "\"query\":{\"parameters\":[],"),
            ),
            Reason::MalformedQuery,
        ),
        (post("[]", "[]"), Reason::MalformedBody),
        (post("\"Region\"", "[]"), Reason::MalformedBody),
        (post("[\"Region\"]", "[]"), Reason::MalformedBody),
        (
            post(r#"[{"fieldCaption":"Salary"}]"#, "[]"),
            Reason::UnknownField,
        ),
        (
            post(
                r#"[{"fieldCaption":"m","calculation":"SUM([Amount])"}]"#,
                "[]",
            ),
            Reason::UnknownField,
        ),
        (
            post(
                r#"[{"fieldCaption":"Region","calculation":"[Amount]"}]"#,
                "[]",
            ),
            Reason::MalformedQuery,
        ),
        (
            post(r#"[{"calculation":"[Amount]"}]"#, "[]"),
            Reason::MalformedQuery,
        ),
        (
            post(r#"[{"fieldCaption":"Region","function":"F(["}]"#, "[]"),
            Reason::MalformedQuery,
        ),
        (
            post(
                r#"[{"fieldCaption":"Region"},{"fieldCaption":"REGION"}]"#,
                "[]",
            ),
            Reason::MalformedQuery,
        ),
        (
            post(
                r#"[{"fieldCaption":"Region","fieldAlias":"Customer Email"},{"fieldCaption":"Customer Email","fieldAlias":"x"}]"#,
                "[]",
            ),
            Reason::MalformedQuery,
        ),
        (
            post(r#"[{"fieldCaption":"Region","fieldAlias":""}]"#, "[]"),
            Reason::MalformedBody,
        ),
        (
            post(
                output,
                r#"[{"filterType":"TOP","field":{"fieldCaption":"Region"},"howMany":3}]"#,
            ),
            Reason::MalformedQuery,
        ),
        (
            post(
                output,
                r#"[{"filterType":"SET","field":{"fieldCaption":"Salary"},"values":["x"]}]"#,
            ),
            Reason::UnknownField,
        ),
        (
            post(output, r#"[{"filterType":"SET","values":["x"]}]"#),
            Reason::MalformedQuery,
        ),
        (
            post(
                output,
                r#"[{"filterType":"SET","field":{"fieldCaption":"Region"},"values":[{}]}]"#,
            ),
            Reason::MalformedBody,
        ),
        (post(output, "null"), Reason::MalformedQuery),
    ];
    for ((method, target, body), reason) in cases {
        let refusal = ask(method, target, &body).expect_err(&body);
        assert_eq!(
            refusal.reason, reason,
            "{method} {target} {body}: {refusal:?}"
        );
    }
    let deep = format!("{}1{}", "[".repeat(100), "]".repeat(100));
    for (content_type, body, reason) in [
        ("text/plain", "{}", Reason::UnsupportedMediaType),
        (
            "application/json; charset=utf-16",
            "{}",
            Reason::UnsupportedMediaType,
        ),
        (
            "application/json; charset=UTF-8",
            deep.as_str(),
            Reason::MalformedBody,
        ),
    ] {
        let refusal = ask_as(&catalog(), content_type, "PATCH", "/people/7", body).unwrap_err();
        assert_eq!(refusal.reason, reason);
    }
}

#[test]
fn a_refusal_repeats_names_and_never_values() {
    let named = ask("GET", "/people?phone=canary", "").unwrap_err();
    assert_eq!(named.message, "The parameter 'phone' is not supported");
    let unnamed = ask(
        "PATCH",
        "/people/7",
        r#"{"name":"x","canary@x.org":"canary"}"#,
    )
    .unwrap_err();
    assert_eq!(
        unnamed.message,
        "The member '…' of the request body is not supported"
    );
    let o = ask("GET", "/people?mail=canary", "").unwrap();
    assert!(!format!("{o:?}").contains("canary"));
    let body = query(
        r#"[{"fieldCaption":"Region"}]"#,
        r#"[{"filterType":"SET","field":{"fieldCaption":"Region"},"values":["canary"]}]"#,
    );
    let o = ask("POST", QUERY, &body).unwrap();
    assert!(!format!("{o:?}").contains("canary"));
}

#[test]
fn a_literal_segment_beats_a_parameter() {
    let text = PEOPLE.replace(
        "  - id: change-person",
        "  - id: me\n    method: PATCH\n    path: /people/me\n    action: delete\n    object: Person\n  - id: change-person",
    );
    let mut catalog = schema();
    let map = bind(
        parse("people", "apis/people.yaml", &text).unwrap(),
        &catalog,
    )
    .unwrap();
    catalog.maps.insert("people".into(), Arc::new(map));
    let o = ask_as(&catalog, "", "PATCH", "/people/me", "").unwrap();
    assert_eq!(&*o.endpoint, "me");
    assert_eq!(o.uses.len(), 1);
    assert_eq!(o.uses[0].action, Action::Delete);
}

#[test]
fn the_error_body_escapes_and_does_not_expand_twice() {
    let catalog = catalog();
    let (content_type, body) = catalog.maps["people"].error_body("A\"B", "say \"{code}\"\n");
    assert_eq!(content_type, "application/json");
    let value: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(value["error"]["code"], "A\"B");
    assert_eq!(value["error"]["message"], "say \"{code}\"\n");
}

#[test]
fn bodies_are_read_strictly() {
    for text in [
        "",
        "{",
        "[1,]",
        "{\"a\":1,}",
        "01",
        "1.",
        "+1",
        "NaN",
        "'a'",
        "\"\u{1}\"",
        "\"\\ud800\"",
        "\"\\x\"",
        "tru",
        "nullx",
        "[1 2]",
        "{\"a\" 1}",
        "\u{feff}{}",
        "-",
        "1e",
        "\"\\",
        "{a:1}",
        "/**/1",
    ] {
        assert!(body::parse(text.as_bytes()).is_err(), "{text:?}");
    }
    assert!(body::parse(b"\"\xff\"").is_err());
    for text in [
        "-0.10e+05",
        "12345678901234567890123456789",
        r#"{"a":[true,false,null,{}],"b":"é\n\"\\"}"#,
        r#""😀""#,
    ] {
        let tree = body::parse(text.as_bytes()).unwrap();
        let mut out = String::new();
        tree.print(tree.root, &mut out);
        assert_eq!(out, text);
    }
}

/// The pointers (RFC 6901) of every value in `value`, itself included.
fn pointers(value: &serde_json::Value, at: &str, out: &mut Vec<String>) {
    out.push(at.to_owned());
    match value {
        serde_json::Value::Array(items) => {
            for (i, item) in items.iter().enumerate() {
                pointers(item, &format!("{at}/{i}"), out);
            }
        }
        serde_json::Value::Object(members) => {
            for (key, member) in members {
                pointers(member, &format!("{at}/{key}"), out);
            }
        }
        _ => {}
    }
}

#[test]
fn a_body_changed_anywhere_is_refused_or_understood_as_it_is_sent() {
    use serde_json::{Value, json};
    let base: Value = serde_json::from_str(&query(
        r#"[{"fieldCaption":"Region","sortPriority":1},{"fieldCaption":"Amount","function":"SUM","fieldAlias":"t"}]"#,
        r#"[{"filterType":"SET","field":{"fieldCaption":"Region"},"values":["a","b"],"exclude":false}]"#,
    ))
    .unwrap();
    let mut places = Vec::new();
    pointers(&base, "", &mut places);
    let odd = [
        json!(null),
        json!(true),
        json!(7),
        json!("Amount"),
        json!([]),
        json!({}),
        json!([{}]),
        json!({"x": []}),
    ];
    let mut understood = 0;
    for place in &places {
        for other in &odd {
            let mut changed = base.clone();
            let held = changed.pointer_mut(place).unwrap();
            if let Value::Object(members) = held {
                // A member more is never understood.
                members.insert("zz".to_owned(), other.clone());
                ask("POST", QUERY, &changed.to_string()).unwrap_err();
                changed = base.clone();
            }
            *changed.pointer_mut(place).unwrap() = other.clone();
            let Ok(o) = ask("POST", QUERY, &changed.to_string()) else {
                continue;
            };
            understood += 1;
            // What goes upstream means what was understood.
            let sent = print(&o, &[], &[]).unwrap();
            let again = ask("POST", QUERY, body_of(&sent)).unwrap();
            assert_eq!(uses(&o), uses(&again), "{changed}");
            assert_eq!(body_of(&sent), body_of(&print(&again, &[], &[]).unwrap()));
        }
    }
    assert!(understood > 0);
}

proptest::proptest! {
    /// Whatever text stands in a parameter, a path or a body arrives upstream as that text.
    #[test]
    fn printing_keeps_every_text(text in ".{1,40}") {
        let body = serde_json::json!({ "contact": { "email": text } }).to_string();
        let o = ask("PATCH", "/people/7", &body).unwrap();
        let fits = !matches!(text.as_str(), "." | "..")
            && !text.contains(['/', '\\'])
            && !text.chars().any(char::is_control);
        let id = if fits { text.as_str() } else { "7" };
        let up = print(&o, &[], &[(0, vec![Literal::Text(id.to_owned())])]).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&up.body).unwrap();
        proptest::prop_assert_eq!(&value["contact"]["email"], &text);
        let uri: http::Uri = up.path_and_query.parse().unwrap();
        proptest::prop_assert_eq!(unescaped(uri.path()), format!("/people/{id}"));

        let o = ask("GET", "/people?mail=x", "").unwrap();
        let up = print(&o, &[], &[(0, vec![Literal::Text(text.clone())])]).unwrap();
        let uri: http::Uri = up.path_and_query.parse().unwrap();
        proptest::prop_assert_eq!(unescaped(uri.query().unwrap()), format!("mail={text}"));
    }
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if let (b'%', [a, b, tail @ ..]) = (first, tail) {
            let digits = String::from_utf8(vec![*a, *b]).unwrap();
            bytes.push(u8::from_str_radix(&digits, 16).unwrap());
            rest = tail;
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}
