//! Queries through understand, decide, plan and rewrite, over a small policy folder.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::plan;

mod formats;
use crate::engine::identity::{Identity, Proof};
use crate::engine::policy::{self, Loaded, Sources};
use crate::engine::protocol::{self, Api, Dialect, RequestHead};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::rewrite::{Bounds, Out, Rewriter};
use crate::engine::token::KeyRing;

const VOCABULARY: &str = r#"schema: 1
purposes: [work]
regions: [eu, us]
data_regions:
  records:
    Account: { field: BillingCountryCode, eu: [DE], us: [US] }
classes:
  pii: { personal: true }
  pii.email: {}
  operational: {}
scopes: { desk: Desk }
clients:
  desk: { purposes: [work], scope: desk }
"#;

const SCHEMA: &str = r#"{
  "schema": 1, "api": "salesforce", "dialect": "salesforce", "version": "61.0",
  "objects": {
    "Account": {"fields": {
      "BillingCountryCode": {"type": "picklist", "length": 2},
      "BossId": {"type": "reference", "referenceTo": ["Boss__c"], "relationshipName": "Boss"},
      "Id": {"type": "id"},
      "Name": {"type": "string", "length": 255},
      "OwnerId": {"type": "reference", "referenceTo": ["Group", "User"], "relationshipName": "Owner"},
      "Secret__c": {"type": "string", "length": 10}
    }, "childRelationships": {"Bosses": {"childSObject": "Boss__c", "field": "AccountId"}}},
    "Boss__c": {"fields": {
      "AccountId": {"type": "reference", "referenceTo": ["Account"], "relationshipName": "Account"},
      "Id": {"type": "id"},
      "Name": {"type": "string", "length": 80}
    }},
    "Contact": {"fields": {
      "AccountId": {"type": "reference", "referenceTo": ["Account"], "relationshipName": "Account"},
      "Email": {"type": "email", "length": 80},
      "Id": {"type": "id"},
      "Name": {"type": "string", "length": 80}
    }},
    "Group": {"fields": {"Id": {"type": "id"}, "Name": {"type": "string", "length": 80}}},
    "User": {"fields": {"Email": {"type": "email", "length": 80}, "Id": {"type": "id"}, "Name": {"type": "string", "length": 80}}}
  }
}
"#;

const CLASSES: &str = "# g2, field, class
g2, Account.BillingCountryCode, class:operational
g2, Account.Name, class:operational
g2, Account.Secret__c, class:pii
g2, Boss__c.Name, class:operational
g2, Contact.Email, class:pii.email
g2, Contact.Name, class:operational
g2, Group.Name, class:operational
g2, User.Email, class:pii.email
g2, User.Name, class:operational
g2, Person.email, class:pii.email
";

const PEOPLE: &str = r#"{"schema": 1, "api": "people", "dialect": "map", "objects": {
  "Person": {"fields": {"email": {"type": "string"}, "id": {"type": "id"}}},
  "Bill": {"fields": {"sum": {"type": "number"}, "id": {"type": "id"}}}}}"#;

const PEOPLE_MAP: &str = "schema: 1
routes:
  - id: list-people
    method: GET
    path: /people
    action: read
    object: Person
    parameters: { mail: { use: filter, field: email } }
    records: $.items[*]
    fields: { id: $.id, email: $.email }
    links: [$.next]
  - id: query
    method: POST
    path: /query
    action: read
    object: { at: $.of, is: { people: Person, bills: Bill } }
    body:
      outputs: { each: '$.fields[*]', field: $.name, key: ['{name}'] }
    records: $.data[*]
    fields: outputs
";

const HEADER: &str =
    "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n";

struct House {
    loaded: Loaded,
    keys: KeyRing,
    api: Api,
    caller: Identity,
}

fn house(rules: &str) -> House {
    let rules = format!("{HEADER}{rules}");
    let files = [
        ("vocabulary.yaml", VOCABULARY),
        ("schema/salesforce.json", SCHEMA),
        ("classes/salesforce.csv", CLASSES),
        ("roles.csv", "# g, who, role\ng, user:ana, role:r\n"),
        ("rules/all.csv", &rules),
        ("schema/people.json", PEOPLE),
        ("apis/people.yaml", PEOPLE_MAP),
    ];
    let sources = Sources {
        files: files
            .into_iter()
            .map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()))
            .collect(),
    };
    let loaded = policy::load(&sources).unwrap_or_else(|found| {
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        panic!("{}", texts.join("\n"))
    });
    House {
        loaded,
        keys: KeyRing::generate(&[7; 64]),
        api: Api {
            name: "salesforce".into(),
            dialect: Dialect::Salesforce,
            versions: (50, 66),
            public_origin: "https://crm.acme.example".into(),
            upstream_origin: "https://acme.my.salesforce.com".into(),
        },
        caller: Identity {
            subject: "ana".into(),
            client: Some("desk".into()),
            roles: vec!["r".into()],
            region: Some("eu".into()),
            tenant: "acme".into(),
            proof: Proof::Passthrough,
            mfa: None,
            auth_time_s: None,
            purpose_asked: None,
            now_s: 1_800_000_000,
            address: None,
        },
    }
}

impl House {
    fn ask(&self, path: &str, query: &[(&str, &str)]) -> Result<super::Plan, Refusal> {
        self.send(&Method::GET, path, query, "")
    }

    fn send(
        &self,
        method: &Method,
        path: &str,
        query: &[(&str, &str)],
        body: &str,
    ) -> Result<super::Plan, Refusal> {
        let segments: Vec<String> = path.split('/').skip(1).map(String::from).collect();
        let query: Vec<(String, String)> = query
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let mut headers = HeaderMap::new();
        if !body.is_empty() {
            headers.insert("content-type", "application/json".parse().unwrap());
        }
        let head = RequestHead {
            method,
            path,
            segments: &segments,
            query: &query,
            headers: &headers,
        };
        let catalog = &self.loaded.catalog;
        let sealer = self.keys.sealer("acme");
        let operation = protocol::understand(
            &self.api,
            &head,
            body.as_bytes(),
            catalog,
            &self.caller,
            &sealer,
        )?;
        let decision = policy::decide(&self.loaded.policies, catalog, &self.caller, &operation);
        plan(operation, &decision, catalog, &self.keys, &self.caller)
    }

    fn query(&self, soql: &str) -> Result<super::Plan, Refusal> {
        self.ask("/services/data/v61.0/query", &[("q", soql)])
    }

    /// The refusal's reason and text.
    fn refused(&self, soql: &str) -> (Reason, String) {
        match self.query(soql) {
            Ok(plan) => panic!("{soql}: {}", plan.request().path_and_query),
            Err(refusal) => {
                assert!(refusal.rule.is_none(), "{soql}: {refusal:?}");
                (refusal.reason, refusal.message.into_owned())
            }
        }
    }

    /// The query that goes upstream.
    fn upstream(&self, soql: &str) -> String {
        let plan = self.query(soql).unwrap();
        let (_, query) = plan.request().path_and_query.split_once("?q=").unwrap();
        decoded(query)
    }

    /// The answer to `soql` when the upstream sends these records.
    fn records(&self, soql: &str, records: &str) -> Option<String> {
        let plan = self.query(soql).unwrap();
        let body = format!(r#"{{"totalSize":1,"done":true,"records":[{records}]}}"#);
        let mut rewriter = Rewriter::new(plan.program(), Bounds::default());
        let mut out = Out::default();
        rewriter.push(Bytes::from(body), &mut out).ok()?;
        rewriter.finish(&mut out).ok()?;
        let text = String::from_utf8(out.concat()).unwrap();
        let rest = text
            .strip_prefix(r#"{"totalSize":1,"done":true,"records":["#)
            .unwrap_or_else(|| panic!("{text}"));
        Some(rest.strip_suffix("]}").unwrap().to_owned())
    }

    fn token(&self, class: &str, value: &str) -> String {
        let mut token = String::new();
        self.keys
            .tokenizer("acme", "desk", class, false)
            .token(value, &mut token);
        token
    }
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if let (b'%', Some(hex)) = (first, tail.get(..2)) {
            bytes.push(u8::from_str_radix(std::str::from_utf8(hex).unwrap(), 16).unwrap());
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).unwrap()
}

const ALL: &str = "p, allow, role:r, read, class:operational, clear, work, *, -, -, op\n\
    p, allow, role:r, read, class:id, clear, work, *, -, -, ids\n";

/// What exists and is hidden answers a predicate in the very text of what does not exist, whatever else is wrong.
#[test]
fn hidden_names_answer_like_names_that_do_not_exist() {
    let house = house(&format!(
        "{ALL}p, deny, role:r, *, Boss__c.*, -, *, *, -, -, no-bosses\n"
    ));
    for (hidden, unknown, soql) in [
        (
            "Secret__c",
            "Secrex__c",
            "SELECT Id FROM Account WHERE {} = 'x'",
        ),
        (
            "a.Secret__c",
            "a.Secrex__c",
            "SELECT Id FROM Account a WHERE {} = 'x'",
        ),
        (
            "Secret__c",
            "Secrex__c",
            "SELECT Id FROM Account WHERE {} = 'x' AND Nope = 1",
        ),
        (
            "Secret__c",
            "Secrex__c",
            "SELECT Id FROM Account WHERE {} = 'x' ORDER BY AVG(Id)",
        ),
        (
            "Account.Secret__c",
            "Account.Secrex__c",
            "SELECT Id FROM Contact WHERE {} = 'x'",
        ),
        (
            "Boss.Name",
            "Bosx.Name",
            "SELECT Id FROM Account WHERE {} = 'x'",
        ),
        (
            "Boss.Name",
            "Boss.Namx",
            "SELECT Id FROM Account WHERE {} = 'x'",
        ),
        (
            "Account.Boss.Name",
            "Account.Bosx.Name",
            "SELECT Id FROM Contact ORDER BY {}",
        ),
        (
            "Owner.Email",
            "Owner.Emaix",
            "SELECT Id FROM Account WHERE {} = 'x'",
        ),
        ("Boss__c", "Bosx__c", "SELECT Id FROM {}"),
        ("Boss__c", "Bosx__c", "SELECT Nope FROM {}"),
        ("Boss__c", "Bosx__c", "SELECT Id, Id FROM {}"),
        ("Boss__c", "Bosx__c", "SELECT Id FROM {} USING SCOPE mine"),
        (
            "Bosses",
            "Bosxes",
            "SELECT Id, (SELECT Nope FROM {}) FROM Account",
        ),
        (
            "Boss__c",
            "Bosx__c",
            "SELECT Id FROM Account WHERE Id IN (SELECT Nope FROM {}) AND Nope = 1",
        ),
    ] {
        let (reason, text) = house.refused(&soql.replace("{}", hidden));
        let (same, expected) = house.refused(&soql.replace("{}", unknown));
        assert_eq!(
            (reason, text.replace(hidden, "…")),
            (same, expected.replace(unknown, "…")),
            "{soql}"
        );
    }
    let row = |object: &str| {
        house
            .ask(
                &format!("/services/data/v61.0/sobjects/{object}/001000000000001AAA"),
                &[("fields", "Nope")],
            )
            .unwrap_err()
    };
    assert_eq!(row("Boss__c").reason, row("Bosx__c").reason);
}

/// Where the record's Id varies by data region, its url follows the record's own variant, selected or not.
#[test]
fn the_url_of_a_record_follows_its_own_id() {
    let house = house(
        "p, allow, role:r, read, class:operational, clear, work, *, -, -, op\n\
         p, allow, role:r, read, class:id, clear, work, same, -, -, ids\n",
    );
    let record = |country: &str| {
        house
            .records(
                "SELECT Name FROM Account",
                &format!(
                    r#"{{"attributes":{{"type":"Account","url":"/services/data/v61.0/sobjects/Account/001000000000001AAA"}},"BillingCountryCode":{country},"Name":"x"}}"#
                ),
            )
            .unwrap()
    };
    assert!(record("\"DE\"").contains("001000000000001AAA"));
    for other in ["\"US\"", "\"XX\"", "null"] {
        assert!(!record(other).contains("001000000000001AAA"), "{other}");
    }
}

/// A record of one of several objects shows what the caller reads of that object, whatever the others allow.
#[test]
fn polymorphic_records_are_judged_by_their_type() {
    let owner = |kind: &str| {
        format!(
            r#"{{"attributes":{{"type":"Account"}},"Owner":{{"attributes":{{"type":"{kind}","url":"/services/data/v61.0/sobjects/User/005000000000001AAA"}},"Name":"n","Email":"e@x.example"}}}}"#
        )
    };
    let soql = "SELECT Owner.Name, Owner.Email FROM Account";
    let mixed = house(&format!(
        "{ALL}p, allow, role:r, read, User.Email, clear, work, *, -, -, email\n\
         p, allow, role:r, read, User.Name, mask:all, work, *, -, 10, name\n"
    ));
    let user = mixed.records(soql, &owner("User")).unwrap();
    assert!(
        user.contains(r#""Name":"****""#) && user.contains("e@x.example"),
        "{user}"
    );
    // A group has no such field.
    let group = mixed.records(soql, &owner("Group")).unwrap();
    assert!(
        group.contains(r#""Name":"n""#) && !group.contains("Email"),
        "{group}"
    );
    // `Name` stands for any of them.
    let any = mixed.records(soql, &owner("Name")).unwrap();
    assert!(
        any.contains(r#""Name":"****""#) && any.contains("005000000000001AAA"),
        "{any}"
    );
    assert_eq!(mixed.records(soql, &owner("Contact")), None);

    // Nothing readable = not there.
    let no_groups = house(&format!(
        "{ALL}p, deny, role:r, *, Group.*, -, *, *, -, -, no-groups\n"
    ));
    for kind in ["Group", "Name"] {
        assert_eq!(
            no_groups.records(soql, &owner(kind)).unwrap(),
            r#"{"attributes":{"type":"Account"}}"#,
            "{kind}"
        );
    }
    assert!(
        no_groups
            .records(soql, &owner("User"))
            .unwrap()
            .contains(r#""Name":"n""#)
    );
}

/// An id has one token, in its short and in its long form.
#[test]
fn both_forms_of_an_id_have_one_token() {
    let house = house(
        "p, allow, role:r, read, class:operational, clear, work, *, -, -, op\n\
         p, allow, role:r, read, class:id.Account, tokenize, work, *, -, -, ids\n",
    );
    let token = house.token("id.Account", "001Dn00000aBcDEIA0");
    for (form, url) in [
        ("001Dn00000aBcDE", "001Dn00000aBcDEIA0"),
        ("001Dn00000aBcDEIA0", "001Dn00000aBcDE"),
    ] {
        let record = format!(
            r#"{{"attributes":{{"type":"Account","url":"/services/data/v61.0/sobjects/Account/{url}"}},"Id":"{form}"}}"#
        );
        let seen = house.records("SELECT Id FROM Account", &record).unwrap();
        assert_eq!(seen.matches(&token).count(), 2, "{seen}");
    }
}

/// A rule that allows a comparison does not take away what a token may do.
#[test]
fn tokens_are_turned_back_under_a_row_that_allows_the_filter() {
    let house = house(&format!(
        "{ALL}p, allow, role:r, read, class:pii.email, tokenize, work, *, -, -, email\n\
         p, allow, role:r, filter, Contact.Email, -, work, *, -, -, filter\n"
    ));
    let token = house.token("pii.email", "jo@x.example");
    assert_eq!(
        house.upstream(&format!(
            "SELECT Id FROM Contact WHERE Email IN ('{token}', 'plain')"
        )),
        "SELECT Id FROM Contact WHERE Email IN ('jo@x.example', 'plain')"
    );
}

/// A reference that a row hides leads nowhere, and what it leads to does not give its value away.
#[test]
fn a_hidden_reference_is_not_followed() {
    let house = house(&format!(
        "{ALL}p, deny, role:r, *, Contact.AccountId, -, *, *, -, -, no-account\n\
         p, allow, role:r, read, Account.OwnerId, drop, work, *, -, 10, no-owner\n"
    ));
    for soql in [
        "SELECT Name, Account.Id FROM Contact",
        "SELECT Name, Account.Name, Account.Boss.Name FROM Contact",
    ] {
        assert_eq!(house.upstream(soql), "SELECT Name FROM Contact");
    }
    assert_eq!(
        house.upstream("SELECT Name, TYPEOF Owner WHEN User THEN Name END FROM Account"),
        "SELECT Name FROM Account"
    );
    for (hidden, unknown, soql) in [
        (
            "Account.Name",
            "Acxount.Name",
            "SELECT Id FROM Contact WHERE {} = 'x'",
        ),
        (
            "Account.Boss.Name",
            "Account.Boxs.Name",
            "SELECT Id FROM Contact ORDER BY {}",
        ),
        (
            "Contacts",
            "Conxacts",
            "SELECT Id, (SELECT Name FROM {}) FROM Account",
        ),
        (
            "Contacts",
            "Conxacts",
            "SELECT Id, (SELECT Name FROM {}) FROM Account WHERE Nope = 1",
        ),
    ] {
        let (reason, text) = house.refused(&soql.replace("{}", hidden));
        let (same, expected) = house.refused(&soql.replace("{}", unknown));
        assert_eq!(
            (reason, text.replace(hidden, "…")),
            (same, expected.replace(unknown, "…")),
            "{soql}"
        );
    }
}

/// The Id behind a reference is the reference's own value.
#[test]
fn the_id_behind_a_reference_is_as_protected_as_the_reference() {
    let house = house(&format!(
        "{ALL}p, allow, role:r, read, Contact.AccountId, tokenize, work, *, -, 10, account\n"
    ));
    let id = "001Dn00000aBcDEIA0";
    let record = format!(
        r#"{{"attributes":{{"type":"Contact"}},"Account":{{"attributes":{{"type":"Account","url":"/services/data/v61.0/sobjects/Account/{id}"}},"Id":"{id}","Name":"x"}}}}"#
    );
    let seen = house
        .records("SELECT Account.Id, Account.Name FROM Contact", &record)
        .unwrap();
    assert!(!seen.contains(id), "{seen}");
    assert!(seen.contains(&house.token("id.Account", id)), "{seen}");
}

/// A page that cannot be linked is not hidden: the answer does not end well.
#[test]
fn an_answer_does_not_lose_its_next_page_in_silence() {
    let mut house = house(
        "p, allow, role:r, read, class:id, clear, work, *, -, -, ids\n\
         p, allow, role:r, read, Person.email, tokenize, work, *, -, -, email\n",
    );
    house.api.name = "people".into();
    house.api.dialect = Dialect::Map;
    let token = house.token("pii.email", "jo@x.example");
    let answer = |mail: &str, next: &str| {
        let query: &[(&str, &str)] = if mail.is_empty() {
            &[]
        } else {
            &[("mail", mail)]
        };
        let plan = house.ask("/people", query).unwrap();
        let mut rewriter = Rewriter::new(plan.program(), Bounds::default());
        let mut out = Out::default();
        let body = format!(r#"{{"items":[],"next":{next}}}"#);
        rewriter.push(Bytes::from(body), &mut out).ok()?;
        rewriter.finish(&mut out).ok()?;
        Some(String::from_utf8(out.concat()).unwrap())
    };
    let own = r#""https://acme.my.salesforce.com/people?page=2""#;
    assert_eq!(
        answer("", own).unwrap(),
        r#"{"items":[],"next":"https://crm.acme.example/people?page=2"}"#
    );
    for none in ["null", "\"\""] {
        assert!(answer("", none).is_some() && answer(&token, none).is_some());
    }
    assert!(answer("", r#""?page=2""#).unwrap().contains("?page=2"));
    for (mail, next) in [
        ("", r#""https://elsewhere.example/2""#),
        ("", r#"{"href":"/2"}"#),
        // It would repeat the value behind the token.
        (&*token, own),
    ] {
        assert_eq!(answer(mail, next), None, "{next}");
    }
}

/// An object that the body names and the caller reads nothing of answers like one that does not exist.
#[test]
fn a_hidden_object_of_a_mapped_api_answers_like_none() {
    let mut house = house(
        "p, allow, role:r, read, class:id, clear, work, *, -, -, ids\n\
         p, deny, role:r, *, Bill.*, -, *, *, -, -, no-bills\n",
    );
    house.api.name = "people".into();
    house.api.dialect = Dialect::Map;
    for fields in [r#"{"name":"id"}"#, r#"{"name":"nope"}"#, ""] {
        let refused = |of: &str| {
            let body = format!(r#"{{"of":"{of}","fields":[{fields}]}}"#);
            let refusal = house
                .send(&Method::POST, "/query", &[], &body)
                .map(|plan| plan.request().clone())
                .unwrap_err();
            (refusal.reason, refusal.message.replace(of, "…"))
        };
        assert_eq!(refused("bills"), refused("bilks"), "{fields}");
    }
}
