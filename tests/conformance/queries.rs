//! `privacy/query_cases.jsonl`, the SOQL rows: a hidden field may be named as an output, and evaluated nowhere.
//!
//! The rule is applied here in its shortest form, so that the suite judges how queries are understood and not how policies
//! are written.

use std::sync::Arc;

use privet::engine::catalog::{Catalog, Field, FieldType, Object, ObjectId};
use privet::engine::protocol::{Action, salesforce};

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
    let of_hidden =
        |u: &&privet::engine::protocol::Use| hidden.contains(&&*catalog.field(u.field).name);
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
        // Only SOSL may be refused for being unknown; everything else is refused for what it evaluates.
        if !soql.starts_with("FIND") {
            salesforce::trace(&catalog, "salesforce", soql)
                .unwrap_or_else(|r| panic!("{soql}: {}", r.message));
        }
        seen += 1;
    }
    assert!(seen >= 18, "only {seen} SOQL cases");
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
