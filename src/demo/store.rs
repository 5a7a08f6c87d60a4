//! The records of the demo CRM: one table per object, found by id.

use std::collections::HashMap;

use serde_json::{Map, Value as Json, json};

use crate::demo::changes::Changes;
use crate::demo::metadata::{self, Field, OBJECTS, Object};
use crate::demo::record_id;

/// One value of a record.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// true, false.
    Bool(bool),
    /// int fields and counts.
    Int(i64),
    /// currency, double.
    Number(f64),
    /// Text, ids, and dates in Salesforce's own spelling (which sorts like time).
    Text(Box<str>),
}

impl Value {
    /// A text value; "" is null, as in Salesforce.
    pub fn text(s: &str) -> Self {
        if s.is_empty() {
            Self::Null
        } else {
            Self::Text(s.into())
        }
    }

    /// As it stands in answers.
    pub fn json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Bool(b) => json!(b),
            Self::Int(i) => json!(i),
            Self::Number(n) => json!(n),
            Self::Text(s) => json!(s),
        }
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(s) => Some(s),
            _ => None,
        }
    }
}

/// One object's records, in order of creation. A row holds one value per field of the metadata.
#[derive(Debug, Default, Clone)]
pub struct Table {
    /// The rows; deleted ones stay, with `IsDeleted`.
    pub rows: Vec<Vec<Value>>,
    by_id: HashMap<Box<str>, usize>,
}

impl Table {
    /// The row with this id (15 or 18 characters).
    pub fn find(&self, id: &str) -> Option<usize> {
        self.by_id.get(record_id::key(id)?).copied()
    }
}

/// All records.
#[derive(Debug, Clone)]
pub struct Store {
    tables: Vec<Table>,
    changes: Changes,
}

impl Default for Store {
    fn default() -> Self {
        Self {
            tables: OBJECTS.iter().map(|_| Table::default()).collect(),
            changes: Changes::default(),
        }
    }
}

impl Store {
    /// What happened to records.
    pub fn changes(&self) -> &Changes {
        &self.changes
    }

    /// As [`Self::changes`], to be forgotten.
    pub fn changes_mut(&mut self) -> &mut Changes {
        &mut self.changes
    }

    /// The records of object number `object` of the metadata.
    pub fn table(&self, object: usize) -> &Table {
        &self.tables[object]
    }

    /// Adds a record with the next free id and gives that id. Fields not in `values` are null (booleans false).
    pub fn insert(&mut self, object: usize, values: &[(&str, Value)]) -> String {
        let meta = &OBJECTS[object];
        let table = &mut self.tables[object];
        let id = record_id::make(meta.key_prefix, table.rows.len() as u64 + 1);
        let mut row: Vec<Value> = meta
            .fields
            .iter()
            .map(|f| match f.kind {
                "boolean" => Value::Bool(false),
                _ => Value::Null,
            })
            .collect();
        row[0] = Value::text(&id);
        for (name, value) in values {
            if let Some(i) = meta.field(name) {
                row[i] = value.clone();
            }
        }
        if let Some(key) = record_id::key(&id) {
            table.by_id.insert(key.into(), table.rows.len());
        }
        let set = (0..).zip(row.iter().cloned());
        let set = set.filter(|(_, value)| *value != Value::Null).collect();
        self.changes.made(object, table.rows.len(), set);
        table.rows.push(row);
        id
    }

    /// Overwrites one field of one record; nothing happens where there is no such field.
    pub fn set(&mut self, object: usize, at: usize, field: &str, value: Value) {
        if let (Some(i), Some(row)) = (
            OBJECTS[object].field(field),
            self.tables[object].rows.get_mut(at),
        ) {
            row[i] = value.clone();
            self.changes.set(object, at, (i, field), value);
        }
    }

    /// The stored or computed value of a field that is not a compound.
    pub fn value(&self, object: usize, row: usize, field: usize) -> Value {
        let meta = &OBJECTS[object];
        let f = &meta.fields[field];
        if f.name == "Name" && f.length == 121 {
            let part = |name| self.part(object, row, name);
            return Value::text(format!("{} {}", part("FirstName"), part("LastName")).trim());
        }
        if !f.formula.is_empty() {
            let account = meta
                .field("AccountId")
                .and_then(|a| self.target(object, row, a))
                .map(|(o, r)| self.part(o, r, "Name"))
                .unwrap_or_default();
            let first = self.part(object, row, "FirstName");
            return Value::text(&format!("Dear {first} of {account}"));
        }
        self.tables[object].rows[row][field].clone()
    }

    fn part(&self, object: usize, row: usize, name: &str) -> String {
        OBJECTS[object]
            .field(name)
            .map(|i| self.value(object, row, i))
            .and_then(|v| v.as_text().map(str::to_owned))
            .unwrap_or_default()
    }

    /// The record that a reference field points to: object and row.
    pub fn target(&self, object: usize, row: usize, field: usize) -> Option<(usize, usize)> {
        let id = self.tables[object].rows[row][field].as_text()?;
        OBJECTS[object].fields[field]
            .reference_to
            .iter()
            .filter_map(|name| metadata::object(name))
            .find_map(|o| Some((o, self.tables[o].find(id)?)))
    }

    /// A field as it stands in answers; a compound is an object of its parts.
    pub fn json(&self, object: usize, row: usize, field: usize) -> Json {
        let f = &OBJECTS[object].fields[field];
        match f.kind {
            "address" => self.address(object, row, f),
            // Where the file itself is.
            "base64" => {
                let id = self.value(object, row, 0);
                json!(format!(
                    "/services/data/v{}/sobjects/{}/{}/{}",
                    metadata::SCHEMA_VERSION,
                    OBJECTS[object].name,
                    id.as_text().unwrap_or_default(),
                    f.name
                ))
            }
            _ => self.value(object, row, field).json(),
        }
    }

    fn address(&self, object: usize, row: usize, compound: &Field) -> Json {
        let prefix = compound.name.trim_end_matches("Address");
        let part = |name: &str| {
            OBJECTS[object]
                .field(&format!("{prefix}{name}"))
                .map_or(Json::Null, |i| self.value(object, row, i).json())
        };
        let city = part("City");
        if city.is_null() && part("Street").is_null() {
            return Json::Null;
        }
        json!({
            "city": city,
            "country": part("Country"),
            "countryCode": part("CountryCode"),
            "geocodeAccuracy": null,
            "latitude": part("Latitude"),
            "longitude": part("Longitude"),
            "postalCode": part("PostalCode"),
            "state": null,
            "stateCode": null,
            "street": part("Street"),
        })
    }

    /// The `attributes` of a record.
    pub fn attributes(&self, object: usize, row: usize, version: &str) -> Json {
        let meta: &Object = &OBJECTS[object];
        let id = self.tables[object].rows[row][0]
            .as_text()
            .unwrap_or_default();
        json!({
            "type": meta.name,
            "url": format!("/services/data/v{version}/sobjects/{}/{id}", meta.name),
        })
    }

    /// A whole record in the schema's order.
    pub fn record(&self, object: usize, row: usize, version: &str) -> Json {
        let mut map = Map::new();
        map.insert("attributes".into(), self.attributes(object, row, version));
        for (i, f) in OBJECTS[object].fields.iter().enumerate() {
            map.insert(f.name.into(), self.json(object, row, i));
        }
        Json::Object(map)
    }
}
