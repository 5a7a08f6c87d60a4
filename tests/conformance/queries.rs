//! `privacy/query_cases.jsonl`, the rows of the CRM: a hidden field may be named as an output, and evaluated nowhere.
//!
//! Once with the rule in its shortest form, so that the suite judges how queries are understood and not how policies are
//! written; once decided and planned as in production.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};
use privet::engine::catalog::{Catalog, Field, FieldType, Object, ObjectId};
use privet::engine::identity::{Identity, Proof};
use privet::engine::plan;
use privet::engine::policy::{self, Loaded, Sources, Verdict};
use privet::engine::protocol::{self, Action, Api, Dialect, RequestHead, salesforce};
use privet::engine::refusal::Reason;
use privet::engine::token::KeyRing;

use super::data;

/// A field, with the target of its relationship.
type FieldRow = (&'static str, FieldType, &'static str);

const OBJECTS: &[(&str, &[FieldRow])] = &[
    (
        "Account",
        &[("Id", FieldType::Id, ""), ("Name", FieldType::Text, "")],
    ),
    (
        "Case",
        &[
            ("ContactId", FieldType::Reference, "Contact"),
            ("Id", FieldType::Id, ""),
        ],
    ),
    (
        "Contact",
        &[
            ("AccountId", FieldType::Reference, "Account"),
            ("Email", FieldType::Text, ""),
            ("Id", FieldType::Id, ""),
            ("Loc__c", FieldType::Compound, ""),
            ("Name", FieldType::Text, ""),
            ("SSN__c", FieldType::Text, ""),
            ("Salary__c", FieldType::Number, ""),
            ("Status__c", FieldType::Text, ""),
        ],
    ),
];

fn catalog() -> Catalog {
    let id = |name: &str| {
        let at = OBJECTS.iter().position(|(n, _)| *n == name)?;
        u32::try_from(at).ok().map(ObjectId)
    };
    let mut catalog = Catalog::default();
    for (name, fields) in OBJECTS {
        let object_id = ObjectId(u32::try_from(catalog.objects.len()).unwrap_or(u32::MAX));
        catalog
            .object_by_name
            .insert(name.to_ascii_lowercase().into(), object_id);
        catalog.objects.push(Object {
            name: (*name).into(),
            api: "salesforce".into(),
            key_prefix: None,
            fields: fields
                .iter()
                .map(|(name, kind, target)| Field {
                    name: (*name).into(),
                    kind: *kind,
                    type_word: "any".into(),
                    length: None,
                    reference_to: id(target)
                        .map(|t| (Arc::from(*target), Some(t)))
                        .into_iter()
                        .collect(),
                    relationship_name: (!target.is_empty()).then(|| Arc::from(*target)),
                    compound: None,
                    name_field: *name == "Name",
                    derived_from: Vec::new(),
                    derived_from_unknown: false,
                    class: "unclassified".into(),
                })
                .collect(),
            field_by_name: (0u32..)
                .zip(*fields)
                .map(|(i, (name, ..))| (name.to_ascii_lowercase().into(), i))
                .collect(),
            children: std::collections::HashMap::new(),
            conditions: Vec::new(),
            data_region: None,
        });
    }
    catalog
}

/// What happens to `soql` for a caller whose read of the `hidden` fields is drop.
fn answer(catalog: &Catalog, soql: &str, hidden: &[&str]) -> &'static str {
    let Ok(uses) = salesforce::trace(catalog, "salesforce", soql) else {
        return "refuse";
    };
    let of_hidden = |u: &&protocol::Use| hidden.contains(&&*catalog.field(u.field).name);
    let touched: Vec<_> = uses.iter().filter(of_hidden).collect();
    if touched.iter().any(|u| u.action != Action::Read) {
        "refuse"
    } else if touched.is_empty() {
        "allow"
    } else {
        "treated"
    }
}

#[test]
fn soql_cases_get_the_answer_listed() {
    let Some(cases) = data::json_lines("privacy/query_cases.jsonl") else {
        return;
    };
    let catalog = catalog();
    let mut seen = 0;
    for case in cases.iter().filter(|c| c["kind"] == "SOQL") {
        let soql = case["request"].as_str().expect("text");
        let hidden: Vec<&str> = case["hidden"]
            .as_array()
            .expect("list")
            .iter()
            .filter_map(|h| h.as_str())
            .collect();
        let expected = case["expect"].as_str().expect("text");
        assert_eq!(
            answer(&catalog, soql, &hidden),
            expected,
            "{}: {soql}",
            case["id"]
        );
        // A search is no query; everything else is refused for what it evaluates.
        if !soql.starts_with("FIND") {
            salesforce::trace(&catalog, "salesforce", soql)
                .unwrap_or_else(|r| panic!("{soql}: {}", r.message));
        }
        seen += 1;
    }
    assert!(seen >= 18, "only {seen} SOQL cases");
}

/// The objects above as a policy folder in which the `hidden` fields are read as `treatment`, and all others in clear.
fn loaded(hidden: &[&str], treatment: &str) -> Loaded {
    let word = |kind: FieldType| match kind {
        FieldType::Id => "id",
        FieldType::Reference => "reference",
        FieldType::Number => "double",
        FieldType::Compound => "location",
        _ => "string",
    };
    let mut schema = serde_json::json!({
        "schema": 1, "api": "salesforce", "dialect": "salesforce", "version": "61.0", "objects": {},
    });
    let mut classes = String::from("# g2, field, class\n");
    for (object, fields) in OBJECTS {
        for (name, kind, target) in *fields {
            let mut field = serde_json::json!({ "type": word(*kind) });
            if *kind == FieldType::Text {
                field["length"] = 80.into();
            }
            if *name == "Name" {
                field["nameField"] = true.into();
            }
            if *name == "Email" {
                field["type"] = "email".into();
            }
            if !target.is_empty() {
                field["referenceTo"] = serde_json::json!([target]);
                field["relationshipName"] = (*target).into();
            }
            schema["objects"][object]["fields"][name] = field;
            if !matches!(kind, FieldType::Id | FieldType::Reference) {
                let class = if hidden.contains(name) {
                    "hidden"
                } else {
                    "open"
                };
                classes.push_str(&format!("g2, {object}.{name}, class:{class}\n"));
            }
        }
    }
    let rules = format!(
        "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n\
         p, allow, *, read, *, clear, *, *, -, 90, all\n\
         p, allow, *, write, *, -, *, *, -, 90, writes\n\
         p, allow, *, read, class:hidden, {treatment}, *, *, -, -, hidden\n"
    );
    let vocabulary = "schema: 1\npurposes: [support]\nregions: [eu]\nclasses:\n  open: {}\n  hidden: { personal: true }\n\
                      scopes:\n  desk: Desk\nclients:\n  desk: { purposes: [support], scope: desk }\n";
    let mut files = vec![
        ("rules/all.csv".to_owned(), rules.into_bytes()),
        ("roles.csv".to_owned(), b"# g, who, role\n".to_vec()),
        ("classes/salesforce.csv".to_owned(), classes.into_bytes()),
        ("vocabulary.yaml".to_owned(), vocabulary.into()),
        (
            "schema/salesforce.json".to_owned(),
            schema.to_string().into_bytes(),
        ),
    ];
    files.sort();
    policy::load(&Sources { files }).unwrap_or_else(|found| panic!("{found:#?}"))
}

/// What a request gets, decided as in production: `refuse` with its reason, `treated` or `allow`.
fn decided(
    loaded: &Loaded,
    method: &Method,
    target: &str,
    parameters: &[(&str, &str)],
    body: &str,
) -> (&'static str, Option<Reason>) {
    let api = Api {
        name: "salesforce".into(),
        dialect: Dialect::Salesforce,
        versions: (50, 66),
        public_origin: "https://crm.test".into(),
        upstream_origin: "https://acme.my.test".into(),
    };
    let caller = Identity {
        subject: "ana".into(),
        client: Some("desk".into()),
        roles: vec!["agent".into()],
        region: Some("eu".into()),
        tenant: "acme".into(),
        proof: Proof::ApiKey { key_id: "k".into() },
        mfa: Some(true),
        auth_time_s: None,
        purpose_asked: None,
        now_s: 1_800_000_000,
        address: None,
    };
    let keys = KeyRing::generate(&[7; 64]);
    let path = format!("/services/data/v61.0{target}");
    let segments: Vec<String> = path.split('/').skip(1).map(str::to_owned).collect();
    let query: Vec<(String, String)> = parameters
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let mut headers = HeaderMap::new();
    if !body.is_empty() {
        headers.insert("content-type", HeaderValue::from_static("application/json"));
    }
    let head = RequestHead {
        method,
        path: &path,
        segments: &segments,
        query: &query,
        headers: &headers,
    };
    let sealer = keys.sealer(&caller.tenant);
    let Loaded {
        catalog, policies, ..
    } = loaded;
    let operation =
        match protocol::understand(&api, &head, body.as_bytes(), catalog, &caller, &sealer) {
            Ok(operation) => operation,
            Err(refusal) => return ("refuse", Some(refusal.reason)),
        };
    let decision = policy::decide(policies, catalog, &caller, &operation);
    let treated = decision
        .verdicts
        .iter()
        .any(|v| matches!(v, Verdict::Output(ruling) if !ruling.is_clear()));
    match plan::plan(operation, &decision, catalog, &keys, &caller) {
        Err(refusal) => ("refuse", Some(refusal.reason)),
        Ok(_) if treated => ("treated", None),
        Ok(_) => ("allow", None),
    }
}

/// How a field may be hidden, and whether queries still know of it.
const HIDDEN: [&str; 3] = ["drop", "redact", "mask:all"];

#[test]
fn the_listed_queries_and_searches_are_decided_as_listed() {
    let Some(cases) = data::json_lines("privacy/query_cases.jsonl") else {
        return;
    };
    let (mut queries, mut searches) = (0, 0);
    for case in cases.iter().filter(|c| c["kind"] == "SOQL") {
        let text = case["request"].as_str().expect("text");
        let hidden: Vec<&str> = case["hidden"]
            .as_array()
            .expect("list")
            .iter()
            .filter_map(|h| h.as_str())
            .collect();
        for treatment in HIDDEN {
            // A mask is for text.
            let typed = treatment == "mask:all";
            let texts: Vec<&str> = hidden
                .iter()
                .copied()
                .filter(|h| !typed || !matches!(*h, "Salary__c" | "Loc__c"))
                .collect();
            if texts.is_empty()
                || typed && (text.to_lowercase().contains("salary__c") || text.contains("Loc__c"))
            {
                continue;
            }
            let loaded = loaded(&texts, treatment);
            let search = text.starts_with("FIND");
            let target = if search { "/search" } else { "/query" };
            let (answer, reason) = decided(&loaded, &Method::GET, target, &[("q", text)], "");
            assert_eq!(
                answer, case["expect"],
                "{}: {text} ({treatment})",
                case["id"]
            );
            if search {
                assert_eq!(reason, Some(Reason::TreatedFieldEvaluated), "{text}");
                searches += 1;
            } else {
                // Never for being unknown.
                assert_ne!(reason, Some(Reason::MalformedQuery), "{text}");
                queries += 1;
            }
        }
    }
    assert!(queries >= 36 && searches >= 6, "{queries} {searches}");
}

#[test]
fn the_listed_operations_are_decided_as_listed() {
    let Some(cases) = data::json_lines("privacy/query_cases.jsonl") else {
        return;
    };
    let contact = "/sobjects/Contact/003000000000001AAA";
    let foreign = "tk1.k9.AAAAAAAAAAAAAAAAAAAAAAAA";
    let seen: Vec<&str> = cases
        .iter()
        .filter(|c| c["kind"] == "operation")
        .filter_map(|case| {
            let id = case["id"].as_str()?;
            let (method, target, parameters, body): (_, _, &[(&str, &str)], String) = match id {
                "op-1" => (
                    Method::POST,
                    "/sobjects/Contact".to_owned(),
                    &[],
                    r#"{"Email":"x@y.z"}"#.into(),
                ),
                "op-2" => (
                    Method::GET,
                    format!("{contact}/Salary__c"),
                    &[],
                    String::new(),
                ),
                "op-3" => (
                    Method::GET,
                    "/sobjects/Contact".to_owned(),
                    &[("lastModifiedAfter", "2026-01-01T00:00:00Z")],
                    String::new(),
                ),
                "op-4" => (
                    Method::PATCH,
                    contact.to_owned(),
                    &[],
                    r#"{"Name":"{!Email}"}"#.into(),
                ),
                "op-7" => (
                    Method::GET,
                    "/analytics/reports/00O000000000001".to_owned(),
                    &[("includeDetails", "true")],
                    String::new(),
                ),
                "op-8" => (
                    Method::PATCH,
                    contact.to_owned(),
                    &[],
                    format!(r#"{{"Email":"{foreign}"}}"#),
                ),
                "op-9" => (
                    Method::PATCH,
                    contact.to_owned(),
                    &[],
                    format!(r#"{{"Name":"{foreign}"}}"#),
                ),
                "op-10" => (
                    Method::PATCH,
                    contact.to_owned(),
                    &[],
                    r#"{"Email":"****"}"#.into(),
                ),
                "op-11" => (
                    Method::PATCH,
                    contact.to_owned(),
                    &[],
                    r#"{"Email":"tk1.k1.guess"}"#.into(),
                ),
                // Answers are bodies, and no request.
                _ => return None,
            };
            for treatment in ["drop", "redact"] {
                let loaded = loaded(&["Salary__c", "Email", "SSN__c"], treatment);
                let (answer, _) = decided(&loaded, &method, &target, parameters, &body);
                assert_eq!(answer, case["expect"], "{id} ({treatment})");
            }
            Some(id)
        })
        .collect();
    assert_eq!(seen.len(), 9, "{seen:?}");
}

/// Every place of a search where a hidden field could be asked about.
#[test]
fn no_place_of_a_search_evaluates_a_hidden_field() {
    for treatment in ["drop", "redact"] {
        let loaded = loaded(&["Salary__c", "Email", "SSN__c"], treatment);
        for (sosl, expected) in [
            (
                "FIND {x} IN NAME FIELDS RETURNING Contact(Id, Name)",
                "allow",
            ),
            (
                "FIND {x} IN NAME FIELDS RETURNING Contact(Id, Email)",
                "treated",
            ),
            ("FIND {x} IN ALL FIELDS RETURNING Account(Id)", "allow"),
            ("FIND {x} RETURNING Account(Id), Contact(Id)", "refuse"),
            ("FIND {x} IN SIDEBAR FIELDS RETURNING Contact(Id)", "refuse"),
            ("FIND {x} IN PHONE FIELDS RETURNING Contact(Id)", "refuse"),
            (
                "FIND {x} IN NAME FIELDS RETURNING Contact(Id WHERE Salary__c > 1)",
                "refuse",
            ),
            (
                "FIND {x} IN NAME FIELDS RETURNING Contact(Id WHERE NOT (Name = 'x' OR email = 'y'))",
                "refuse",
            ),
            (
                "FIND {x} IN NAME FIELDS RETURNING Contact(Id ORDER BY SSN__c)",
                "refuse",
            ),
            (
                "FIND {x} IN NAME FIELDS RETURNING Case(Id WHERE Contact.Email != null)",
                "refuse",
            ),
            (
                "FIND {x} IN NAME FIELDS RETURNING Contact(Id WHERE Id IN (SELECT ContactId FROM Case WHERE Contact.SSN__c LIKE '1%'))",
                "refuse",
            ),
            (
                "FIND {x} IN NAME FIELDS RETURNING Contact(Id WHERE DISTANCE(Loc__c, GEOLOCATION(1,2), 'km') < 1)",
                "allow",
            ),
            (
                "FIND {x} IN EMAIL FIELDS RETURNING Contact(Id) WITH SNIPPET",
                "refuse",
            ),
            (
                "FIND {x} IN NAME FIELDS RETURNING Contact(Id) WITH SNIPPET",
                "allow",
            ),
        ] {
            let (answer, _) = decided(&loaded, &Method::GET, "/search", &[("q", sosl)], "");
            assert_eq!(answer, expected, "{sosl} ({treatment})");
        }
    }
}

/// Every place of a query where a hidden field could be asked about, and every way to spell it.
#[test]
fn no_place_evaluates_a_hidden_field() {
    let catalog = catalog();
    let spellings = [
        "Salary__c",
        "SALARY__C",
        "Contact.Salary__c",
        "c.salary__c",
        "c . Salary__c",
    ];
    let places = [
        "SELECT Id FROM Contact c WHERE {} = 1",
        "SELECT Id FROM Contact c WHERE NOT {} IN (1, 2)",
        "SELECT Id FROM Contact c WHERE Name = 'x' OR (Name = 'y' AND (NOT ({} < 2)))",
        "SELECT Id FROM Contact c WHERE {} = null",
        "SELECT Id FROM Contact c WHERE {} INCLUDES ('a')",
        "SELECT Id FROM Contact c ORDER BY Name, {} NULLS FIRST",
        "SELECT Name FROM Contact c GROUP BY Name, {}",
        "SELECT Name FROM Contact c GROUP BY ROLLUP(Name, {})",
        "SELECT Name FROM Contact c GROUP BY CUBE({})",
        "SELECT Name FROM Contact c GROUP BY Name HAVING MAX({}) > 1",
        "SELECT Name FROM Contact c GROUP BY Name HAVING {} > 1",
        "SELECT Name FROM Contact c GROUP BY Name ORDER BY SUM({})",
        "SELECT COUNT({}) FROM Contact c",
        "SELECT COUNT_DISTINCT({}) n FROM Contact c",
        "SELECT AVG(convertCurrency({})) FROM Contact c",
        "SELECT FORMAT(MIN({})) FROM Contact c",
        "SELECT Name, GROUPING({}) g FROM Contact c GROUP BY ROLLUP(Name)",
        "SELECT Id FROM Contact c WHERE CALENDAR_YEAR({}) = 2020",
        "SELECT Id FROM Contact c WHERE DISTANCE({}, GEOLOCATION(1,2), 'mi') < 1",
        "SELECT Id FROM Contact c ORDER BY DISTANCE({}, GEOLOCATION(1,2), 'mi')",
        "SELECT Id FROM Contact c WHERE {} IN (SELECT AccountId FROM Contact)",
        "SELECT COUNT() FROM Contact c WHERE {} LIKE 'a%'",
    ];
    for place in places {
        for spelling in spellings {
            let soql = place.replace("{}", spelling);
            let refusal = salesforce::trace(&catalog, "salesforce", &soql).err();
            assert_eq!(refusal.map(|r| r.message), None, "{soql}");
            assert_eq!(answer(&catalog, &soql, &["Salary__c"]), "refuse", "{soql}");
        }
    }
    for (soql, expected) in [
        (
            "SELECT Id FROM Case WHERE Contact.Account.Name = 'x'",
            "refuse",
        ),
        (
            "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact WHERE Account.Name > 'a')",
            "refuse",
        ),
        ("SELECT toLabel(Contact.Account.Name) FROM Case", "treated"),
        ("SELECT FIELDS(ALL) FROM Account LIMIT 1", "treated"),
        (
            "SELECT Contact.Account.Id FROM Case WHERE Contact.Name = 'x'",
            "allow",
        ),
    ] {
        // Contact.Name is not Account.Name.
        let uses = salesforce::trace(&catalog, "salesforce", soql)
            .unwrap_or_else(|r| panic!("{soql}: {}", r.message));
        let touched: Vec<Action> = uses
            .iter()
            .filter(|u| catalog.field_name(u.field) == "Account.Name")
            .map(|u| u.action)
            .collect();
        let got = match touched.iter().find(|a| **a != Action::Read) {
            Some(_) => "refuse",
            None if touched.is_empty() => "allow",
            None => "treated",
        };
        assert_eq!(got, expected, "{soql}");
    }
}
