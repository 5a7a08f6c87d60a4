//! The policy folder of these tests, and callers.

use std::sync::Arc;

use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::identity::{Identity, Proof};
use crate::engine::policy::{Loaded, Sources, load};
use crate::engine::protocol::{Action, Comparison, Use};

pub(super) const VOCABULARY: &str = r#"schema: 1
purposes: [support, analytics, marketing]
regions: [eu, us]
data_regions:
  apis: { salesforce: eu }
  records:
    Account: { field: BillingCountryCode, eu: [DE, FR], us: [US] }
flags:
  consent:
    Contact: { field: HasOptedOutOfEmail, granted: [false], withdrawn: [true] }
classes:
  pii: { personal: true }
  pii.name: {}
  pii.email: { fold_local_part: false }
  pii.phone: {}
  pii.birthdate: { entropy: low }
  pii.salary: { entropy: low, group_size_min: 10 }
  sensitive.health: { personal: true, entropy: low }
  operational: {}
scopes:
  desk: Service desk
  analytics: BI extracts
clients:
  service-desk: { purposes: [support], scope: desk }
  tableau: { purposes: [analytics], scope: analytics }
  mailer: { purposes: [marketing, support], scope: desk, explain: true }
  scopeless: { purposes: [analytics] }
hours:
  office: { zone: Europe/Berlin, days: [mon, tue, wed, thu, fri], from: "08:00", to: "18:00" }
networks:
  head-office: [203.0.113.0/24]
second_net: "off"
packs: []
"#;

pub(super) const SCHEMA: &str = r#"{
  "schema": 1,
  "api": "salesforce",
  "dialect": "salesforce",
  "version": "61.0",
  "objects": {
    "Account": {
      "keyPrefix": "001",
      "fields": {
        "BillingCountryCode": {"type": "picklist", "length": 2},
        "Id": {"type": "id"},
        "Name": {"type": "string", "length": 255, "nameField": true},
        "Revenue": {"type": "currency"}
      }
    },
    "Contact": {
      "keyPrefix": "003",
      "fields": {
        "AccountId": {"type": "reference", "referenceTo": ["Account"], "relationshipName": "Account"},
        "Birthdate": {"type": "date"},
        "Email": {"type": "email", "length": 80},
        "FirstName": {"type": "string", "length": 40, "compoundFieldName": "Name"},
        "Greeting__c": {"type": "string", "length": 1300, "formula": ["FirstName", "Account.Name"]},
        "HasOptedOutOfEmail": {"type": "boolean"},
        "Health__c": {"type": "textarea", "length": 500},
        "Id": {"type": "id"},
        "LastName": {"type": "string", "length": 80, "compoundFieldName": "Name"},
        "Name": {"type": "string", "length": 121, "nameField": true},
        "New__c": {"type": "string", "length": 10},
        "Opaque__c": {"type": "string", "length": 10, "formula": ["*"]},
        "Phone": {"type": "phone", "length": 40},
        "Salary__c": {"type": "currency"}
      }
    },
    "Task": {
      "fields": {
        "Id": {"type": "id"},
        "Subject": {"type": "string", "length": 255},
        "WhoId": {"type": "reference", "referenceTo": ["Contact", "Lead"], "relationshipName": "Who"}
      }
    },
    "Secret__c": {
      "fields": {
        "Id": {"type": "id"}
      }
    }
  }
}
"#;

pub(super) const CLASSES: &str = "# g2, field, class
g2, Account.BillingCountryCode, class:operational
g2, Account.Name, class:operational
g2, Account.Revenue, class:operational
g2, Contact.Birthdate, class:pii.birthdate
g2, contact.EMAIL, class:pii.email
g2, Contact.FirstName, class:pii.name
g2, Contact.Greeting__c, class:operational
g2, Contact.HasOptedOutOfEmail, class:operational
g2, Contact.Health__c, class:sensitive.health
g2, Contact.LastName, class:pii.name
g2, Contact.Name, class:pii.name
g2, Contact.Opaque__c, class:operational
g2, Contact.Phone, class:pii.phone
g2, Contact.Salary__c, class:pii.salary
g2, Task.Subject, class:operational
";

pub(super) const ROLES: &str = "# g, who, role
g, role:support_lead, role:support_agent
g, role:writer, role:reader
g, user:ana, role:support_lead
g, client:tableau, role:bi
g, role:auditor, role:reader
g, role:marketing, role:reader
";

pub(super) const HEADER: &str =
    "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n";

pub(super) const RULES: &str = "\
p, deny, *, read, class:sensitive.health, -, *, cross, -, -, health-stays-home
p, deny, *, export, class:pii, -, *, *, !mfa, -, export-needs-mfa
p, deny, role:bi, filter|sort, class:pii.phone, -, *, *, -, -, bi-no-phone-filters
p, allow, role:support_agent, read, class:pii.email, clear, support, same, mfa & session<15m, 20, support-email-clear
p, allow, role:support_agent, read, class:pii.email, mask:email, support, *, -, -, support-email
p, allow, role:support_agent, read, class:pii.phone, mask:last4, support, *, -, -, support-phone
p, allow, role:support_agent, read, class:pii.name, clear, support, *, -, -, support-name
p, allow, role:support_agent, read, class:id, clear, support, *, -, -, support-id
p, allow, role:support_agent, read, Contact.*, redact, support, *, -, 90, support-contact-rest
p, allow, role:support_agent, filter, Contact.Phone, -, support, *, -, -, support-phone-filter
p, allow, role:support_agent, write, class:pii, -, support, *, -, -, support-write-pii
p, allow, role:support_agent, write, Contact.Birthdate, -, support, *, -, -, support-write-birthdate
p, allow, role:support_lead, delete, contact.*, -, support, *, -, -, lead-delete
p, allow, role:bi, read, class:pii.email, tokenize:email, analytics, *, record.consent=granted, -, bi-email-token
p, allow, role:bi, read, class:pii.name, tokenize, analytics, *, -, -, bi-name-token
p, allow, role:bi, read, class:pii.birthdate, generalise:year, analytics, *, -, -, bi-birthdate-year
p, allow, role:bi, read, class:pii, redact, analytics, *, -, 90, bi-pii-fallback
p, allow, role:bi, read, class:operational, clear, analytics, *, -, -, bi-operational
p, allow, role:bi, export, class:operational, drop, analytics, cross, -, -, bi-export-abroad
p, allow, role:marketing, read, Contact.Email, clear, marketing, *, hours=office & network=head-office, -, mail-at-work
p, deny, role:marketing, read, Contact.Phone, -, *, *, !hours=office, -, no-phone-at-night
p, allow, role:marketing, read, Contact.Phone, clear, marketing, *, -, -, mail-phone
p, allow, role:reader, read, *, clear, *, *, -, 99, reader-all
p, allow, role:auditor, read, Account.Revenue, generalise:range10, *, same, -, -, auditor-revenue
p, deny, role:auditor, *, class:unclassified, -, *, *, -, -, auditor-no-new
";

/// The folder, with one file replaced.
pub(super) fn sources(replace: &[(&str, &str)]) -> Sources {
    let rules = format!("{HEADER}{RULES}");
    let mut files = vec![
        ("vocabulary.yaml", VOCABULARY),
        ("schema/salesforce.json", SCHEMA),
        ("classes/salesforce.csv", CLASSES),
        ("roles.csv", ROLES),
        ("rules/all.csv", &rules),
    ];
    files.retain(|(path, _)| replace.iter().all(|(p, _)| p != path));
    files.extend_from_slice(replace);
    Sources {
        files: files
            .into_iter()
            .map(|(p, t)| (p.to_owned(), t.as_bytes().to_vec()))
            .collect(),
    }
}

/// Loads the folder; a mistake in it fails the test with its text.
pub(super) fn loaded(sources: &Sources) -> Loaded {
    load(sources).unwrap_or_else(|found| {
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        panic!("{}", texts.join("\n\n"))
    })
}

/// The folder with these rules alone.
pub(super) fn with_rules(rules: &str) -> Loaded {
    loaded(&sources(&[("rules/all.csv", &format!("{HEADER}{rules}"))]))
}

/// 2026-11-23T10:00:00Z, a Monday.
pub(super) const NOW: i64 = 1_795_428_000;

pub(super) fn caller(client: &str, roles: &[&str]) -> Identity {
    Identity {
        subject: "somebody".into(),
        client: Some(client.into()),
        roles: roles.iter().map(|r| Arc::from(*r)).collect(),
        region: Some("eu".into()),
        tenant: "acme".into(),
        proof: Proof::ApiKey {
            key_id: "k_1".into(),
        },
        mfa: Some(true),
        auth_time_s: Some(NOW - 60),
        purpose_asked: None,
        now_s: NOW,
        address: None,
    }
}

pub(super) fn field(catalog: &Catalog, name: &str) -> FieldRef {
    let (object, field) = name.split_once('.').expect("Object.Field");
    let object = object_id(catalog, object);
    FieldRef {
        object,
        field: catalog.get(object).field(field).expect("a field"),
    }
}

pub(super) fn object_id(catalog: &Catalog, name: &str) -> ObjectId {
    catalog.object("salesforce", name).expect("an object")
}

pub(super) fn used(catalog: &Catalog, action: Action, name: &str, comparison: Comparison) -> Use {
    Use {
        field: field(catalog, name),
        action,
        written: name.split_once('.').map_or(name, |(_, f)| f).into(),
        comparison,
        values: Vec::new(),
        named: true,
    }
}
