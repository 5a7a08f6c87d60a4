use std::collections::HashMap;

use http::{HeaderMap, Method};

use super::*;
use crate::engine::catalog::FieldRef;
use crate::engine::catalog::{Child, Field, FieldType, Object, RecordCondition};
use crate::engine::identity::Proof;
use crate::engine::protocol::Comparison;
use crate::engine::protocol::{Dialect, Resolved, UpstreamRequest};

/// (name, type word, targets, relationship)
type FieldRow = (
    &'static str,
    &'static str,
    &'static [&'static str],
    &'static str,
);

/// (object, fields, children as (relationship, object, field))
type ObjectRow = (
    &'static str,
    &'static [FieldRow],
    &'static [(&'static str, &'static str, &'static str)],
);

const OBJECTS: &[ObjectRow] = &[
    (
        "Account",
        &[
            ("Id", "id", &[], ""),
            ("Industry", "picklist", &[], ""),
            ("Name", "string", &[], ""),
            ("OwnerId", "reference", &["User"], "Owner"),
            ("Phone", "phone", &[], ""),
        ],
        &[("Contacts", "Contact", "AccountId")],
    ),
    (
        "Case",
        &[
            ("ContactId", "reference", &["Contact"], "Contact"),
            ("Id", "id", &[], ""),
            ("OwnerId", "reference", &["Group", "User"], "Owner"),
            ("Status", "picklist", &[], ""),
        ],
        &[],
    ),
    (
        "Contact",
        &[
            ("AccountId", "reference", &["Account"], "Account"),
            ("Birthdate", "date", &[], ""),
            ("Email", "email", &[], ""),
            ("HasOptedOutOfEmail", "boolean", &[], ""),
            ("Id", "id", &[], ""),
            ("Name", "string", &[], ""),
            ("Salary__c", "currency", &[], ""),
        ],
        &[("Cases", "Case", "ContactId")],
    ),
    (
        "Group",
        &[("Id", "id", &[], ""), ("Name", "string", &[], "")],
        &[],
    ),
    (
        "User",
        &[
            ("Email", "email", &[], ""),
            ("Id", "id", &[], ""),
            ("Name", "string", &[], ""),
        ],
        &[],
    ),
];

pub(super) fn catalog() -> Catalog {
    let id_of = |name: &str| {
        OBJECTS
            .iter()
            .position(|(n, ..)| *n == name)
            .map(|i| ObjectId(u32::try_from(i).unwrap()))
    };
    let mut catalog = Catalog::default();
    for (index, (name, fields, children)) in OBJECTS.iter().enumerate() {
        let id = ObjectId(u32::try_from(index).unwrap());
        let object = Object {
            name: (*name).into(),
            api: "salesforce".into(),
            key_prefix: None,
            fields: fields
                .iter()
                .map(|(name, word, targets, relationship)| Field {
                    name: (*name).into(),
                    kind: match *word {
                        "id" => FieldType::Id,
                        "reference" => FieldType::Reference,
                        "date" => FieldType::Date,
                        "boolean" => FieldType::Boolean,
                        "currency" => FieldType::Number,
                        _ => FieldType::Text,
                    },
                    type_word: (*word).into(),
                    length: None,
                    reference_to: targets.iter().map(|t| ((*t).into(), id_of(t))).collect(),
                    relationship_name: (!relationship.is_empty()).then(|| (*relationship).into()),
                    compound: None,
                    name_field: *name == "Name",
                    derived_from: Vec::new(),
                    derived_from_unknown: false,
                    class: "unclassified".into(),
                })
                .collect(),
            field_by_name: fields
                .iter()
                .enumerate()
                .map(|(i, f)| (f.0.to_ascii_lowercase().into(), u32::try_from(i).unwrap()))
                .collect(),
            children: children
                .iter()
                .map(|(relationship, object, field)| {
                    let child = Child {
                        name: (*relationship).into(),
                        object: id_of(object),
                        field: (*field).into(),
                    };
                    (relationship.to_ascii_lowercase().into(), child)
                })
                .collect::<HashMap<_, _>>(),
            conditions: if *name == "Contact" {
                vec![RecordCondition {
                    name: "consent".into(),
                    is_region: false,
                    field: 3,
                    values: Vec::new(),
                }]
            } else {
                Vec::new()
            },
            data_region: None,
        };
        catalog
            .object_by_name
            .insert(name.to_ascii_lowercase().into(), id);
        catalog.objects.push(object);
    }
    catalog
}

pub(super) fn api() -> Api {
    Api {
        name: "salesforce".into(),
        dialect: Dialect::Salesforce,
        versions: (50, 66),
        public_origin: "https://crm.acme.example".into(),
        upstream_origin: "https://acme.my.salesforce.com".into(),
    }
}

pub(super) fn caller(subject: &str) -> Identity {
    Identity {
        subject: subject.into(),
        client: Some("tableau".into()),
        roles: vec!["b".into(), "a".into()],
        region: None,
        tenant: "acme".into(),
        proof: Proof::Passthrough,
        mfa: None,
        auth_time_s: None,
        purpose_asked: None,
        now_s: 1_800_000_000,
        address: None,
    }
}

/// Understands `method path?query`, where the query is given as pairs.
fn ask(method: &Method, path: &str, query: &[(&str, &str)]) -> Result<Operation, Refusal> {
    let segments: Vec<String> = path.split('/').skip(1).map(String::from).collect();
    let query: Vec<(String, String)> = query
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
        .collect();
    let headers = HeaderMap::new();
    let head = RequestHead {
        method,
        path,
        segments: &segments,
        query: &query,
        headers: &headers,
    };
    let operation = understand_with(&api(), &head, b"", &catalog(), &caller("ana"), &|_| None)?;
    // As if nothing that comes before the mistake were hidden.
    match &operation.forward {
        AnyForward::Salesforce(forward) => match &forward.target {
            Target::Refused(refusal) => Err(refusal.clone()),
            _ => Ok(operation),
        },
        AnyForward::Map(_) => panic!("not Salesforce"),
    }
}

fn query(soql: &str) -> Result<Operation, Refusal> {
    ask(&Method::GET, "/services/data/v61.0/query", &[("q", soql)])
}

/// Uses as `action written`.
fn uses(operation: &Operation) -> Vec<String> {
    let catalog = catalog();
    operation
        .uses
        .iter()
        .map(|u| {
            let comparison = match u.comparison {
                Comparison::Other => "",
                Comparison::Equality => " =",
                Comparison::Identity => " #",
            };
            format!(
                "{} {}{comparison}",
                u.action.word(),
                catalog.field_name(u.field)
            )
        })
        .collect()
}

/// Prints with these outputs hidden (by `Object.Field`), these conditions, and one literal replaced.
fn print(
    operation: &Operation,
    hidden: &[&str],
    conditions: &[(usize, FieldRef)],
    replace: Option<(usize, Literal)>,
) -> Result<UpstreamRequest, Refusal> {
    let catalog = catalog();
    let kept: Vec<bool> = operation
        .uses
        .iter()
        .map(|u| {
            u.action != Action::Read || !hidden.contains(&catalog.field_name(u.field).as_str())
        })
        .collect();
    let mut values = vec![None; operation.uses.len()];
    if let Some((index, literal)) = replace {
        values[index] = Some(vec![literal]);
    }
    let AnyForward::Salesforce(forward) = &operation.forward else {
        panic!("not Salesforce");
    };
    forward.print(&Resolved {
        kept: &kept,
        values: &values,
        conditions,
        clear: &vec![true; operation.uses.len()],
    })
}

/// The SOQL that goes upstream.
fn soql(request: &UpstreamRequest) -> String {
    let (_, text) = request.path_and_query.split_once("?q=").unwrap();
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        if b == b'%' {
            bytes.push(u8::from_str_radix(std::str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(b);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn field(name: &str) -> FieldRef {
    let catalog = catalog();
    let (object, field) = name.split_once('.').unwrap();
    let object = catalog.object("salesforce", object).unwrap();
    let field = catalog.get(object).field(field).unwrap();
    FieldRef { object, field }
}

#[test]
fn every_path_is_traced() {
    let operation = query(
        "SELECT c.email, c.Account.Owner.Email FROM contact c WHERE (Email = 'x' AND NOT Name = 'y') \
         ORDER BY Salary__c LIMIT 5",
    )
    .unwrap();
    assert_eq!(
        uses(&operation),
        [
            "read Contact.Email",
            "read User.Email",
            "filter Contact.Email =",
            "filter Contact.Name",
            "sort Contact.Salary__c"
        ]
    );
    assert_eq!(&*operation.uses[1].written, "c.Account.Owner.Email");
    assert_eq!(
        operation.forward.written_object(ObjectId(2)).map(|w| &**w),
        Some("contact")
    );
}

#[test]
fn a_polymorphic_predicate_needs_every_target() {
    let operation = query("SELECT Id FROM Case WHERE Owner.Name IN ('x')").unwrap();
    assert_eq!(
        uses(&operation)[1..],
        ["filter Group.Name =", "filter User.Name ="]
    );
    // Only one of the targets has it.
    let operation = query("SELECT Owner.Email FROM Case").unwrap();
    assert_eq!(uses(&operation), ["read User.Email"]);
}

#[test]
fn the_kind_of_a_polymorphic_parent_evaluates_its_reference() {
    for (clause, used) in [
        ("WHERE Owner.Type = 'User'", "filter Case.OwnerId"),
        ("WHERE NOT owner.TYPE IN ('User')", "filter Case.OwnerId"),
        ("ORDER BY Owner.Type", "sort Case.OwnerId"),
        ("WHERE c.Owner.Type = 'User'", "filter Case.OwnerId"),
    ] {
        let operation = query(&format!("SELECT Id FROM Case c {clause}")).unwrap();
        assert_eq!(uses(&operation)[1..], [used], "{clause}");
    }
    let operation = query("SELECT Id FROM Case GROUP BY Id, Owner.Type").unwrap();
    assert_eq!(
        uses(&operation)[1..],
        ["group Case.Id #", "group Case.OwnerId"]
    );
    // Of one kind of parent it is a field like any other, and so it is where it is put out.
    for soql in [
        "SELECT Id FROM Account WHERE Owner.Type = 'User'",
        "SELECT Id FROM Case WHERE Contact.Type = 'x'",
        "SELECT Id FROM Case WHERE Type = 'x'",
        "SELECT Owner.Type FROM Case",
    ] {
        assert_eq!(
            query(soql).unwrap_err().reason,
            Reason::UnknownField,
            "{soql}"
        );
    }
}

#[test]
fn a_scope_evaluates_the_fields_it_goes_by() {
    let used = |soql: &str| uses(&query(soql).unwrap()).split_off(1);
    assert!(used("SELECT Id FROM Case USING SCOPE everything").is_empty());
    let mine = ["filter Case.OwnerId"];
    assert_eq!(used("SELECT Id FROM Case USING SCOPE Mine"), mine);
    assert_eq!(
        used("SELECT Name, (SELECT Id FROM Cases USING SCOPE mine) FROM Contact")[1..],
        mine
    );
    assert_eq!(
        used("SELECT Id FROM Contact WHERE Id IN (SELECT ContactId FROM Case USING SCOPE mine)"),
        [
            "filter Contact.Id",
            "filter Case.ContactId",
            "filter Case.OwnerId"
        ]
    );
    // As if it were asked for by name.
    for soql in [
        "SELECT Id FROM Contact USING SCOPE mine",
        "SELECT Id FROM Case USING SCOPE delegated",
    ] {
        assert_eq!(
            query(soql).unwrap_err().reason,
            Reason::UnknownField,
            "{soql}"
        );
    }
}

#[test]
fn hidden_outputs_leave_and_conditions_come_first() {
    let operation = query(
        "SELECT Salary__c, Email, HasOptedOutOfEmail, (SELECT Status, ContactId FROM Cases WHERE Status = 'New') \
         FROM Contact WHERE Email = 'tk1.a'",
    )
    .unwrap();
    let consent = (0, field("Contact.HasOptedOutOfEmail"));
    let at = operation
        .uses
        .iter()
        .position(|u| u.action == Action::Filter && &*u.written == "Email")
        .unwrap();
    let replaced = Literal::Text("o'neil@x.org".into());
    let request = print(
        &operation,
        &["Contact.Salary__c"],
        &[consent],
        Some((at, replaced)),
    )
    .unwrap();
    assert_eq!(
        soql(&request),
        "SELECT HasOptedOutOfEmail, Email, (SELECT Status, ContactId FROM Cases WHERE Status = 'New') FROM Contact \
         WHERE Email = 'o\\'neil@x.org'"
    );
    let all = [
        "Contact.Salary__c",
        "Contact.Email",
        "Contact.HasOptedOutOfEmail",
        "Case.Status",
        "Case.ContactId",
    ];
    let request = print(&operation, &all, &[], None).unwrap();
    assert_eq!(
        soql(&request),
        "SELECT Id FROM Contact WHERE Email = 'tk1.a'"
    );
}

#[test]
fn conditions_reach_parents_and_children() {
    let operation = query("SELECT Contact.Email FROM Case WHERE Id != null").unwrap();
    let Shape::Object(members) = &operation.shape else {
        panic!()
    };
    let Shape::Array {
        element,
        rows: true,
    } = &members[3].1
    else {
        panic!()
    };
    let Shape::Record(record) = &**element else {
        panic!()
    };
    let Shape::Record(parent) = &record.members[0].1 else {
        panic!()
    };
    assert_eq!(&*record.members[0].0, "Contact");
    let consent = (parent.scope, field("Contact.HasOptedOutOfEmail"));
    let request = print(&operation, &[], &[consent], None).unwrap();
    assert_eq!(
        soql(&request),
        "SELECT Contact.HasOptedOutOfEmail, Contact.Email FROM Case WHERE Id != null"
    );
}

#[test]
fn aggregates_keep_their_numbers() {
    let operation = query(
        "SELECT Industry, MAX(Phone), COUNT(Id) n, AVG(Name), COUNT_DISTINCT(Name) FROM Account GROUP BY Industry \
         HAVING MAX(Phone) > 'a'",
    )
    .unwrap();
    let Shape::Object(members) = &operation.shape else {
        panic!()
    };
    let Shape::Array { element, .. } = &members[2].1 else {
        panic!()
    };
    let Shape::Object(row) = &**element else {
        panic!()
    };
    let keys: Vec<_> = row.iter().map(|(k, _)| &**k).collect();
    assert_eq!(
        keys,
        ["attributes", "Industry", "expr0", "n", "expr1", "expr2"]
    );
    assert_eq!(
        uses(&operation),
        [
            "read Account.Industry",
            "aggregate Account.Phone",
            "read Account.Phone",
            "aggregate Account.Id #",
            "aggregate Account.Name",
            "aggregate Account.Name #",
            "group Account.Industry #",
            "aggregate Account.Phone",
            "filter Account.Phone",
        ]
    );
    // A hidden item leaves its number behind.
    let request = print(&operation, &["Account.Phone"], &[], None).unwrap();
    assert!(soql(&request).starts_with("SELECT Industry, COUNT(Id), COUNT(Id) n, AVG(Name)"));
}

#[test]
fn refusals_speak_salesforce() {
    let text = |soql: &str| query(soql).unwrap_err().message.into_owned();
    assert_eq!(
        text("SELECT Id FROM conTRACT"),
        "sObject type 'conTRACT' is not supported."
    );
    assert!(
        text("SELECT zIP FROM Contact").starts_with("No such column 'zIP' on entity 'Contact'.")
    );
    for path in ["c.zIP", "Boss.Name", "Account.zIP"] {
        assert!(
            text(&format!("SELECT {path} FROM Contact c"))
                .starts_with(&format!("No such column '{path}'. If"))
        );
    }
    for (soql, names) in [
        ("SELECT Id FROM Case USING SCOPE team", "USING SCOPE"),
        (
            "SELECT Id, (SELECT Id FROM Cases USING SCOPE my_territory) FROM Contact",
            "USING SCOPE",
        ),
        ("SELECT Id FROM Contact WITH SYSTEM_MODE", "WITH"),
        ("SELECT Id FROM Contact FOR VIEW", "FOR VIEW"),
        ("SELECT Id FROM Contact UPDATE TRACKING", "UPDATE TRACKING"),
        ("SELECT Id FROM Contact ALL ROWS", "ALL ROWS"),
        ("SELECT FIELDS(ALL) FROM Contact", "LIMIT"),
        ("SELECT Email e FROM Contact", "aliasing"),
        ("SELECT MAX(Email) expr1 FROM Contact", "invalid alias"),
        ("SELECT Email, email FROM Contact", "duplicate field"),
        (
            "SELECT Owner.Name, Name FROM Account GROUP BY Owner.Name, Name",
            "duplicate alias",
        ),
        (
            "SELECT (SELECT COUNT() FROM Contacts) FROM Account",
            "root queries",
        ),
        ("FIND {x}", "SOSL"),
    ] {
        let refusal = query(soql).unwrap_err();
        assert_eq!(refusal.reason, Reason::MalformedQuery, "{soql}");
        assert!(
            refusal.message.contains(names),
            "{soql}: {}",
            refusal.message
        );
    }
}

#[test]
fn fields_are_written_out_and_unnamed() {
    let operation = query("SELECT FIELDS(STANDARD) FROM User LIMIT 1").unwrap();
    assert!(operation.uses.iter().all(|u| !u.named));
    let request = print(&operation, &["User.Email"], &[], None).unwrap();
    assert_eq!(soql(&request), "SELECT Id, Name FROM User LIMIT 1");
}

#[test]
fn typeof_keeps_branches_apart() {
    let operation =
        query("SELECT TYPEOF Owner WHEN User THEN Email, Name ELSE Name END FROM Case").unwrap();
    assert_eq!(
        uses(&operation),
        ["read User.Email", "read User.Name", "read Group.Name"]
    );
    let request = print(&operation, &["User.Email", "User.Name"], &[], None).unwrap();
    assert_eq!(
        soql(&request),
        "SELECT TYPEOF Owner WHEN User THEN Id ELSE Name END FROM Case"
    );
}

#[test]
fn a_semi_join_is_evaluated_and_negation_reaches_in() {
    let operation = query(
        "SELECT Id FROM Account WHERE Id NOT IN (SELECT AccountId FROM Contact WHERE Email = 'x')",
    )
    .unwrap();
    assert_eq!(
        uses(&operation)[1..],
        [
            "filter Account.Id",
            "filter Contact.AccountId",
            "filter Contact.Email"
        ]
    );
}

#[test]
fn rows_look_up_by_id_only() {
    let path = "/services/data/v61.0/sobjects/contact/003000000000001AAA";
    let operation = ask(&Method::GET, path, &[("fields", "Email,name")]).unwrap();
    assert_eq!(
        uses(&operation),
        [
            "read Contact.Id =",
            "read Contact.Email",
            "read Contact.Name"
        ]
    );
    let request = print(&operation, &["Contact.Email"], &[], None).unwrap();
    assert_eq!(
        request.path_and_query,
        "/services/data/v61.0/sobjects/Contact/003000000000001AAA?fields=Name"
    );
    let consent = (0, field("Contact.HasOptedOutOfEmail"));
    let request = print(&operation, &[], &[consent], None).unwrap();
    assert!(
        request
            .path_and_query
            .ends_with("?fields=HasOptedOutOfEmail%2CEmail%2CName")
    );
    // A token that is not turned back is no record.
    let operation = ask(
        &Method::GET,
        "/services/data/v61.0/sobjects/Contact/tk1.a.b",
        &[],
    )
    .unwrap();
    assert_eq!(
        print(&operation, &[], &[], None).unwrap_err().reason,
        Reason::UnknownPath
    );
    let id = Literal::Text("003000000000001".into());
    let request = print(&operation, &[], &[], Some((0, id))).unwrap();
    assert!(
        request
            .path_and_query
            .ends_with("/sobjects/Contact/003000000000001")
    );
    assert_eq!(
        print(&operation, &["Contact.Id"], &[], None)
            .unwrap_err()
            .reason,
        Reason::UnknownPath
    );
}

#[test]
fn paths_are_open_closed_or_unknown() {
    let reason = |method: Method, path: &str, query: &[(&str, &str)]| {
        ask(&method, path, query).map(|_| ()).map_err(|r| r.reason)
    };
    let get = |path: &str| reason(Method::GET, path, &[]);
    for open in [
        "/services/data",
        "/services/data/",
        "/services/data/v61.0",
        "/services/data/v61.0/limits",
        "/services/data/v61.0/sobjects/",
        "/services/data/v61.0/sobjects/Contact/describe",
    ] {
        assert_eq!(get(open), Ok(()), "{open}");
    }
    for closed in [
        "/services/data/v61.0/tooling/query",
        "/services/data/v61.0/composite/elsewhere",
        "/services/apexrest/x",
        "/services/Soap/m/61.0",
        "/id/00D/005",
    ] {
        assert_eq!(get(closed), Err(Reason::EndpointClosed), "{closed}");
    }
    for unknown in [
        "/services/data/v49.0/query",
        "/services/data/v67.0/limits",
        "/services/data/v061.0/limits",
        "/services/data/v61.1/limits",
        "/services/data/v61.0/nothing",
        "/services/data/v61.0/sobjects/Contact/Email",
        "/services/data/v61.0//limits",
        "/elsewhere",
    ] {
        assert_eq!(get(unknown), Err(Reason::UnknownPath), "{unknown}");
    }
    let query = "/services/data/v61.0/query";
    assert_eq!(
        reason(Method::POST, query, &[]),
        Err(Reason::MethodNotAllowed)
    );
    let q = ("q", "SELECT Id FROM Contact");
    assert_eq!(reason(Method::HEAD, query, &[q]), Ok(()));
    assert_eq!(reason(Method::GET, query, &[q, q]), Err(Reason::BadRequest));
    assert_eq!(
        reason(Method::GET, query, &[q, ("x", "")]),
        Err(Reason::BadRequest)
    );
}

#[test]
fn a_parent_in_from_is_evaluated() {
    let operation = query("SELECT a.Name, o.Name FROM Contact c, c.Account a, a.Owner o").unwrap();
    assert_eq!(
        uses(&operation),
        [
            "filter Contact.AccountId",
            "filter Contact.AccountId",
            "filter Account.OwnerId",
            "read Account.Name",
            "read User.Name"
        ]
    );
    assert!(query("SELECT Id FROM Contact c, c.Secret__r s").is_err());
}

#[test]
fn a_page_is_understood_anew() {
    let cursor = |child| {
        let soql = "SELECT Id, (SELECT Status FROM Cases) FROM Contact WHERE Email = 'x'";
        let mut cursor = Cursor::new(&api().name, 61, true, soql, &caller("ana"));
        cursor.child = child;
        cursor.locator = "01gD0000002HU6K-2000".to_owned();
        let request = Request {
            api: &api(),
            catalog: &catalog(),
            within: Within::Alone,
            forward: Forward {
                target: Target::Fixed(String::new()),
                version: 0,
                headers: HeaderMap::new(),
                written: Vec::new(),
                followed: Followed::default(),
                pages: None,
                upstream_origin: "".into(),
                stream: None,
            },
        };
        request.page(cursor)
    };
    let operation = cursor(Some(0)).unwrap();
    assert_eq!(
        uses(&operation),
        [
            "read Contact.Id",
            "read Case.Status",
            "filter Contact.Email ="
        ]
    );
    let Shape::Object(members) = &operation.shape else {
        panic!()
    };
    assert!(matches!(members[2].1, Shape::Link(Link::ChildPage(0))));
    assert_eq!(
        print(&operation, &[], &[], None).unwrap().path_and_query,
        "/services/data/v61.0/queryAll/01gD0000002HU6K-2000"
    );
    let operation = cursor(None).unwrap();
    let Shape::Object(members) = &operation.shape else {
        panic!()
    };
    assert!(matches!(members[2].1, Shape::Link(Link::NextPage)));
    assert_eq!(cursor(Some(1)).unwrap_err(), cursor::invalid());
}
