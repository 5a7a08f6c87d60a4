//! What the shipped policies let a caller see of the demo's contacts, written down by hand.

use std::path::Path;
use std::sync::RwLockReadGuard;

use privet::demo::callers::Caller;
use privet::demo::metadata::{self, OBJECTS};
use privet::demo::store::Store;
use privet::engine::token::KeyRing;
use serde_json::{Map, Value};

use crate::house::House;

/// Field of a contact and its treatment; what is not listed is clear.
const SUPPORT: &[(&str, &str)] = &[
    ("Birthdate", "generalise:year"),
    ("Email", "mask:email"),
    ("Health__c", "drop"),
    ("Loyalty_Number__c", "mask:first4"),
    ("SSN__c", "drop"),
    ("Salary__c", "drop"),
];

/// The same for the analyst.
const BI: &[(&str, &str)] = &[
    ("Birthdate", "generalise:year"),
    ("Description", "drop"),
    ("Email", "tokenize:email"),
    ("FirstName", "tokenize pii.name"),
    ("Greeting__c", "tokenize pii.name"),
    ("Health__c", "drop"),
    ("LastName", "tokenize pii.name"),
    ("Loyalty_Number__c", "tokenize pii.customer_number"),
    ("MailingAddress", "redact"),
    ("MailingLatitude", "redact"),
    ("MailingLongitude", "redact"),
    ("MailingPostalCode", "redact"),
    ("MailingStreet", "redact"),
    ("MobilePhone", "redact"),
    ("Name", "tokenize pii.name"),
    ("Phone", "redact"),
    ("SSN__c", "redact"),
    ("Salary__c", "redact"),
];

/// Scope of the analyst's client.
const SCOPE: &str = "analytics";
/// Tenant of the example.
const TENANT: &str = "acme";
const VERSION: &str = "61.0";

/// What one caller may see.
pub(crate) struct Expected<'h> {
    store: RwLockReadGuard<'h, Store>,
    keys: KeyRing,
    table: &'static [(&'static str, &'static str)],
    contact: usize,
}

impl<'h> Expected<'h> {
    /// Of `house`, for `caller`.
    pub(crate) fn new(house: &'h House, caller: &Caller) -> Self {
        let path = house.state().join("privet-keys.json");
        Self {
            store: house.crm.store(),
            keys: ring(&path),
            table: match caller.role {
                "support_agent" => SUPPORT,
                "bi" => BI,
                other => panic!("nothing is written down for {other}"),
            },
            contact: metadata::object("Contact").unwrap(),
        }
    }

    /// The treatment of a contact's field.
    pub(crate) fn treatment(&self, field: &str) -> &'static str {
        let row = self.table.iter().find(|(name, _)| *name == field);
        row.map_or("clear", |(_, treatment)| treatment)
    }

    /// The fields that a describe shows, sorted.
    pub(crate) fn readable_fields(&self) -> Vec<&'static str> {
        let fields = OBJECTS[self.contact].fields.iter().map(|f| f.name);
        let mut names: Vec<_> = fields.filter(|f| self.treatment(f) != "drop").collect();
        names.sort_unstable();
        names
    }

    /// The e-mails of all contacts.
    pub(crate) fn emails(&self) -> Vec<Value> {
        let field = OBJECTS[self.contact].field("Email").unwrap();
        (0..self.store.table(self.contact).rows.len())
            .map(|row| self.treated("Email", &self.store.json(self.contact, row, field)))
            .map(Option::unwrap)
            .collect()
    }

    /// The contact with the id of `like`, every field of it.
    pub(crate) fn whole_contact(&self, like: &Value) -> Value {
        let names: Vec<&str> = OBJECTS[self.contact]
            .fields
            .iter()
            .map(|f| f.name)
            .collect();
        self.contact(like, &names)
    }

    /// The contact with the id of `like`: these fields.
    pub(crate) fn contact(&self, like: &Value, fields: &[&str]) -> Value {
        let id = like["Id"].as_str().unwrap();
        let row = self.store.table(self.contact).find(id).unwrap();
        let mut record = Map::new();
        let attributes = self.store.attributes(self.contact, row, VERSION);
        record.insert("attributes".into(), attributes);
        for name in fields {
            if *name == "Account.Name" {
                record.insert("Account".into(), self.account(row));
                continue;
            }
            let field = OBJECTS[self.contact].field(name).unwrap();
            let value = self.store.json(self.contact, row, field);
            if let Some(value) = self.treated(name, &value) {
                record.insert((*name).into(), value);
            }
        }
        Value::Object(record)
    }

    /// The account of a contact, whose name everybody reads.
    fn account(&self, row: usize) -> Value {
        let reference = OBJECTS[self.contact].field("AccountId").unwrap();
        let Some((object, row)) = self.store.target(self.contact, row, reference) else {
            return Value::Null;
        };
        let name = OBJECTS[object].field("Name").unwrap();
        serde_json::json!({
            "attributes": self.store.attributes(object, row, VERSION),
            "Name": self.store.json(object, row, name),
        })
    }

    /// `None`: the key is not there.
    fn treated(&self, field: &str, value: &Value) -> Option<Value> {
        let treatment = self.treatment(field);
        let text = match (treatment, value) {
            ("drop", _) => return None,
            ("redact", _) => return Some(Value::Null),
            ("clear", _) | (_, Value::Null) => return Some(value.clone()),
            (_, value) => value.as_str().expect("a text"),
        };
        let mut token = String::new();
        Some(Value::String(match treatment {
            // Of a short value a mask shows nothing.
            "mask:email" | "mask:first4" if text.chars().count() < 9 => "****".to_owned(),
            "mask:email" => {
                let (local, domain) = text.split_once('@').unwrap();
                format!("{}****@{domain}", local.chars().next().unwrap())
            }
            "mask:first4" => format!("{}****", text.chars().take(4).collect::<String>()),
            "generalise:year" => format!("{}-01-01", &text[..4]),
            "tokenize:email" => {
                let tokenizer = self.keys.tokenizer(TENANT, SCOPE, "pii.email", false);
                tokenizer.email_token(text, &mut token);
                token
            }
            other => {
                let class = other.strip_prefix("tokenize ").expect("a token");
                let tokenizer = self.keys.tokenizer(TENANT, SCOPE, class, false);
                tokenizer.token(text, &mut token);
                token
            }
        }))
    }
}

fn ring(path: &Path) -> KeyRing {
    let text = std::fs::read_to_string(path).unwrap();
    KeyRing::parse("privet-keys.json", &text).unwrap()
}
