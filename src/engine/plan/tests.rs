//! Queries through understand, decide, plan and rewrite, over a small policy folder.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use super::plan;
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
        let segments: Vec<String> = path.split('/').skip(1).map(String::from).collect();
        let query: Vec<(String, String)> = query
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect();
        let head = RequestHead {
            method: &Method::GET,
            path,
            segments: &segments,
            query: &query,
            headers: &HeaderMap::new(),
        };
        let catalog = &self.loaded.catalog;
        let sealer = self.keys.sealer("acme");
        let operation =
            protocol::understand(&self.api, &head, b"", catalog, &self.caller, &sealer)?;
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
        let mut rewriter = Rewriter::json(Arc::clone(plan.program()), Bounds::default());
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

/// The CRM spells one id with 15 or with 18 characters; tokens of both must join.
#[test]
fn both_spellings_of_a_record_id_get_one_token() {
    let house = house(&format!(
        "{ALL}p, allow, role:r, read, class:id.Account, tokenize, work, *, -, 10, account-id\n"
    ));
    let answer = |written: &str| {
        let url = format!("/services/data/v61.0/sobjects/Account/{written}");
        house
            .records(
                "SELECT Id FROM Account",
                &format!(r#"{{"attributes":{{"type":"Account","url":"{url}"}},"Id":"{written}"}}"#),
            )
            .unwrap()
    };
    let long = answer("001A0000006Vm9rIAC");
    assert!(long.contains(&house.token("id.Account", "001A0000006Vm9rIAC")));
    assert_eq!(answer("001A0000006Vm9r"), long);
}
