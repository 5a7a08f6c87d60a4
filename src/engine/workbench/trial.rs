//! One record on paper through the stages that answers go through.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;
use serde_json::{Map, Value};

use super::request::Request;
use crate::engine::catalog::{Catalog, ConditionValue, FieldType, ObjectId};
use crate::engine::identity::Identity;
use crate::engine::plan::{Said, manifest, plan};
use crate::engine::policy::{Loaded, decide};
use crate::engine::refusal::Refusal;
use crate::engine::rewrite::{Abort, Bounds, Out, Rewriter};
use crate::engine::token::KeyRing;

/// What came of it.
#[derive(Debug)]
pub struct Tried {
    /// What was decided for each field; empty when the request was not understood.
    pub said: Vec<Said>,
    /// The record as the caller gets it, or why there is none.
    pub record: Result<Value, Untreated>,
}

/// Why a record does not come back.
#[derive(Debug)]
pub enum Untreated {
    /// Its API has no query that could ask for a record like this.
    NoQuery,
    /// Not a JSON object.
    NotARecord,
    /// The request is refused.
    Refused(Refusal),
    /// The answer is cut.
    Aborted(Abort),
}

/// The objects that [`record`] can try, by name.
pub fn objects(catalog: &Catalog) -> Vec<Arc<str>> {
    let mut names: Vec<Arc<str>> = catalog
        .objects
        .iter()
        .filter(|o| has_query(catalog, &o.api))
        .map(|o| o.name.clone())
        .collect();
    names.sort();
    names
}

fn has_query(catalog: &Catalog, api: &str) -> bool {
    let dialect = catalog.apis.get(api).map(|a| &*a.dialect);
    dialect == Some("salesforce")
}

/// Treats `record` as the one answer of a query by `caller` that names all its members.
pub fn record(
    set: &Loaded,
    keys: &KeyRing,
    caller: &Identity,
    object: ObjectId,
    record: &Value,
) -> Tried {
    let without = |why| Tried {
        said: Vec::new(),
        record: Err(why),
    };
    let schema = set.catalog.get(object);
    if !has_query(&set.catalog, &schema.api) {
        return without(Untreated::NoQuery);
    }
    let Value::Object(members) = record else {
        return without(Untreated::NotARecord);
    };
    let mut columns = Vec::new();
    selected(members, "", &mut columns);
    let mut members = members.clone();
    if !members.contains_key("attributes") {
        let attributes = serde_json::json!({ "type": &*schema.name });
        members.shift_insert(0, "attributes".to_owned(), attributes);
    }
    let mut request = Request::soql(&format!(
        "SELECT {} FROM {}",
        columns.join(", "),
        schema.name
    ));
    request.method = Method::GET;
    request.api = Some(schema.api.clone());
    let operation = match request.understood(&set.catalog, caller, keys) {
        Ok(operation) => operation,
        Err(refusal) => return without(Untreated::Refused(refusal)),
    };
    let decision = decide(&set.policies, &set.catalog, caller, &operation);
    let said = manifest(&operation, &decision, &set.catalog);
    let record = plan(operation, &decision, &set.catalog, keys, caller)
        .map_err(Untreated::Refused)
        .and_then(|plan| {
            let answer = serde_json::json!({ "totalSize": 1, "done": true, "records": [members] });
            let mut rewriter = Rewriter::new(plan.program(), Bounds::default());
            let mut out = Out::default();
            rewriter
                .push(Bytes::from(answer.to_string()), &mut out)
                .and_then(|()| rewriter.finish(&mut out))
                .map_err(Untreated::Aborted)?;
            let whole: Value = serde_json::from_slice(&out.concat()).unwrap_or_default();
            Ok(whole.pointer("/records/0").cloned().unwrap_or_default())
        });
    Tried { said, record }
}

/// The columns of a SELECT that would bring this record: `Email`, `Account.Name`.
fn selected(record: &Map<String, Value>, prefix: &str, into: &mut Vec<String>) {
    for (name, value) in record {
        match value {
            _ if name == "attributes" => {}
            Value::Object(members) if members.contains_key("attributes") => {
                selected(members, &format!("{prefix}{name}."), into);
            }
            _ => into.push(format!("{prefix}{name}")),
        }
    }
}

/// An invented record of `object`, from the schema alone: a value of its type in each field. What record conditions
/// look at has the first value that vocabulary.yaml gives a meaning.
pub fn sample(catalog: &Catalog, object: ObjectId) -> Value {
    let schema = catalog.get(object);
    let mut members = Map::new();
    members.insert(
        "attributes".to_owned(),
        serde_json::json!({ "type": &*schema.name }),
    );
    for (index, field) in (0_u32..).zip(&schema.fields) {
        let said = schema
            .conditions
            .iter()
            .find(|c| c.field == index)
            .and_then(|c| c.values.first()?.1.first());
        let value = match (said, field.kind) {
            (Some(ConditionValue::Text(text)), _) => Value::from(&**text),
            (Some(ConditionValue::Bool(flag)), _) => Value::from(*flag),
            (Some(ConditionValue::Number(n)), _) => serde_json::from_str(n).unwrap_or_default(),
            (None, FieldType::Text) => Value::from(match &*field.type_word {
                "email" => "sam.sample@example.org",
                "phone" => "+1 555 010 4242",
                "url" => "https://www.example.org",
                _ => "Sample text",
            }),
            (None, FieldType::Number) => Value::from(12_345),
            (None, FieldType::Boolean) => Value::from(false),
            (None, FieldType::Date) => Value::from("1987-05-23"),
            (None, FieldType::DateTime) => Value::from("2026-01-31T10:00:00.000+0000"),
            (None, FieldType::Time) => Value::from("13:05:30.000Z"),
            (None, FieldType::Id) => record_id(schema.key_prefix.as_deref()),
            (None, FieldType::Reference) => {
                let target = field.reference_to.first().and_then(|(_, id)| *id);
                record_id(target.and_then(|id| catalog.get(id).key_prefix.as_deref()))
            }
            // No single value to paste.
            (None, FieldType::Compound | FieldType::Blob | FieldType::Other) => continue,
        };
        members.insert(field.name.to_string(), value);
    }
    Value::Object(members)
}

fn record_id(prefix: Option<&str>) -> Value {
    // 18 characters; the last three are the checksum of the case of the first 15, here all digits.
    Value::from(format!("{}000000000001AAA", prefix.unwrap_or("000")))
}
