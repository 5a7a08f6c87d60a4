//! `…/sobjects/X` (basic information, create) and `…/sobjects/X/{id}` (read, change, delete).

use serde_json::{Map, Value as Json, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::endpoint::{blob, external, related};
use crate::demo::fault::{self, Fault};
use crate::demo::metadata::{self, OBJECTS};
use crate::demo::seed::TODAY;
use crate::demo::store::Value;

/// The answer for `rest`, the segments after the object.
///
/// # Errors
/// Salesforce's words for what is not there or not writable.
pub fn answer(
    crm: &Crm,
    asked: &Asked,
    version: &str,
    object: &str,
    rest: &[&str],
) -> Result<Reply, Fault> {
    let object = metadata::object(object).ok_or_else(Fault::not_found)?;
    match (rest, asked.method.as_str()) {
        ([], "GET" | "HEAD") => Ok(Reply::json(
            200,
            &json!({
                "objectDescribe": metadata::summary(&OBJECTS[object], version),
                "recentItems": recent(crm, object, version),
            }),
        )),
        ([], "POST") => create(crm, asked, object, None),
        ([], method) => Err(Fault::method(method, "GET,HEAD,POST")),
        ([id], _) => {
            let row = find(crm, object, id)?;
            one(crm, asked, version, object, row)
        }
        ([id, path @ ..], "GET" | "HEAD") if find(crm, object, id).is_ok() => {
            let row = find(crm, object, id)?;
            if let [field] = path
                && let Some(file) = blob::answer(crm, object, row, field)
            {
                return Ok(file);
            }
            related::answer(crm, asked, version, (object, row), path)
        }
        ([field, value], _) => external::answer(crm, asked, version, object, field, value),
        _ => Err(Fault::not_found()),
    }
}

/// One record that has been found.
pub(super) fn one(
    crm: &Crm,
    asked: &Asked,
    version: &str,
    object: usize,
    row: usize,
) -> Result<Reply, Fault> {
    match asked.method.as_str() {
        "GET" | "HEAD" => read(crm, asked, version, object, row),
        "PATCH" => {
            let values = values(crm, object, &asked.body)?;
            valid(&values)?;
            unique(crm, object, Some(row), &values)?;
            let mut store = crm.store_mut();
            for (name, value) in values {
                store.set(object, row, name, value);
            }
            store.set(object, row, "LastModifiedDate", now());
            Ok(Reply::empty(204))
        }
        "DELETE" if OBJECTS[object].field("IsDeleted").is_some() => {
            crm.store_mut()
                .set(object, row, "IsDeleted", Value::Bool(true));
            Ok(Reply::empty(204))
        }
        method => Err(Fault::method(method, "GET,HEAD,PATCH,DELETE")),
    }
}

/// No two records have one external id.
fn unique(
    crm: &Crm,
    object: usize,
    own: Option<usize>,
    values: &[(&'static str, Value)],
) -> Result<(), Fault> {
    let store = crm.store();
    let unique = values
        .iter()
        .filter(|(n, v)| *n == "Loyalty_Number__c" && *v != Value::Null);
    for (name, value) in unique {
        let Some(field) = OBJECTS[object].field(name) else {
            continue;
        };
        let rows = &store.table(object).rows;
        if let Some(other) = (0..rows.len()).find(|r| Some(*r) != own && rows[*r][field] == *value)
        {
            let id = rows[other][0].as_text().unwrap_or_default();
            return Err(Fault::new(
                400,
                "DUPLICATE_VALUE",
                format!("duplicate value found: {name} duplicates value on record with id: {id}"),
            ));
        }
    }
    Ok(())
}

/// A validation rule, whose text an administrator wrote around a value of the record.
fn valid(values: &[(&'static str, Value)]) -> Result<(), Fault> {
    let last = values.iter().find(|(n, _)| *n == "LastName");
    match last.and_then(|(_, v)| v.as_text()) {
        Some(name) if name.eq_ignore_ascii_case("test") => Err(Fault {
            fields: vec!["LastName".to_owned()],
            ..Fault::new(
                400,
                "FIELD_CUSTOM_VALIDATION_EXCEPTION",
                format!("'{name}' is no real last name"),
            )
        }),
        _ => Ok(()),
    }
}

/// The duplicate rule: another contact has the e-mail. `Sforce-Duplicate-Rule-Header` overrules it, or asks for the
/// whole records.
fn duplicates(
    crm: &Crm,
    asked: &Asked,
    object: usize,
    values: &[(&'static str, Value)],
) -> Result<(), Fault> {
    let asks = |option: &str| {
        asked
            .header("sforce-duplicate-rule-header")
            .is_some_and(|h| h.replace(' ', "").contains(option))
    };
    let email = values
        .iter()
        .find(|(n, v)| *n == "Email" && *v != Value::Null);
    let (Some((_, email)), "Contact", false) =
        (email, OBJECTS[object].name, asks("allowSave=true"))
    else {
        return Ok(());
    };
    let Some(field) = OBJECTS[object].field("Email") else {
        return Ok(());
    };
    let store = crm.store();
    let rows = &store.table(object).rows;
    let matches: Vec<Json> = (0..rows.len())
        .filter(|r| rows[*r][field] == *email)
        .map(|row| {
            if asks("includeRecordDetails=true") {
                store.record(object, row, "61.0")
            } else {
                json!({"attributes": store.attributes(object, row, "61.0"),
                    "Id": store.json(object, row, 0)})
            }
        })
        .collect();
    if matches.is_empty() {
        return Ok(());
    }
    Err(Fault {
        matches,
        ..Fault::new(400, "DUPLICATES_DETECTED", "Use one of these records?")
    })
}

fn now() -> Value {
    Value::text(&format!("{TODAY}T12:00:00.000+0000"))
}

fn find(crm: &Crm, object: usize, id: &str) -> Result<usize, Fault> {
    let store = crm.store();
    let deleted = OBJECTS[object].field("IsDeleted");
    store
        .table(object)
        .find(id)
        .filter(|row| {
            deleted.is_none_or(|i| store.table(object).rows[*row][i] != Value::Bool(true))
        })
        .ok_or_else(Fault::not_found)
}

pub(super) fn read(
    crm: &Crm,
    asked: &Asked,
    version: &str,
    object: usize,
    row: usize,
) -> Result<Reply, Fault> {
    let store = crm.store();
    let Some(fields) = asked.parameter("fields") else {
        return Ok(Reply::json(200, &store.record(object, row, version)));
    };
    let meta = &OBJECTS[object];
    let mut map = Map::new();
    map.insert("attributes".into(), store.attributes(object, row, version));
    for name in fields.split(',').map(str::trim).filter(|n| !n.is_empty()) {
        let field = meta
            .field(name)
            .ok_or_else(|| Fault::new(400, "INVALID_FIELD", fault::no_column(name, meta.name)))?;
        map.insert(
            meta.fields[field].name.into(),
            store.json(object, row, field),
        );
    }
    // Salesforce always adds the id.
    if !map.contains_key("Id") {
        map.insert("Id".into(), store.json(object, row, 0));
    }
    Ok(Reply::json(200, &Json::Object(map)))
}

/// Id and name of an object's first records: who looked at what is not kept.
pub(super) fn recent(crm: &Crm, object: usize, version: &str) -> Vec<Json> {
    let store = crm.store();
    let name = OBJECTS[object].name_field().unwrap_or_default();
    (0..store.table(object).rows.len().min(5))
        .map(|row| {
            let mut map = Map::new();
            map.insert("attributes".into(), store.attributes(object, row, version));
            map.insert("Id".into(), store.json(object, row, 0));
            map.insert(
                OBJECTS[object].fields[name].name.into(),
                store.json(object, row, name),
            );
            Json::Object(map)
        })
        .collect()
}

pub(super) fn create(
    crm: &Crm,
    asked: &Asked,
    object: usize,
    key: Option<(&'static str, Value)>,
) -> Result<Reply, Fault> {
    let mut values = values(crm, object, &asked.body)?;
    values.extend(key);
    valid(&values)?;
    unique(crm, object, None, &values)?;
    let required = if OBJECTS[object].field("LastName").is_some() {
        "LastName"
    } else {
        OBJECTS[object].fields[OBJECTS[object].name_field().unwrap_or_default()].name
    };
    if required != "CaseNumber"
        && !values
            .iter()
            .any(|(n, v)| *n == required && *v != Value::Null)
    {
        return Err(Fault {
            fields: vec![required.to_owned()],
            ..Fault::new(
                400,
                "REQUIRED_FIELD_MISSING",
                format!("Required fields are missing: [{required}]"),
            )
        });
    }
    duplicates(crm, asked, object, &values)?;
    values.push(("CreatedDate", now()));
    values.push(("LastModifiedDate", now()));
    let id = crm.store_mut().insert(object, &values);
    let mut reply = Reply::json(201, &json!({"id": id, "success": true, "errors": []}));
    let location = format!("{}/{id}", asked.target.trim_end_matches('/'));
    reply.headers.push(("location", location));
    Ok(reply)
}

/// `Account: {ExtId__c: value}`: the reference field, and the id of the record that has the value.
fn referred(
    crm: &Crm,
    object: usize,
    name: &str,
    by: &Map<String, Json>,
) -> Result<(&'static str, Value), Fault> {
    let meta = &OBJECTS[object];
    let reference = meta
        .fields
        .iter()
        .find(|f| f.relationship.eq_ignore_ascii_case(name));
    let key = by.iter().find(|(k, _)| *k != "attributes");
    let (Some(reference), Some((field, value))) = (reference, key) else {
        let text = format!("No such column '{name}' on sobject of type {}", meta.name);
        return Err(Fault::new(400, "INVALID_FIELD", text));
    };
    let target = reference.reference_to.first().copied().unwrap_or_default();
    let id = external::id_of(crm, target, field, value);
    if id.is_empty() {
        return Err(Fault::new(
            400,
            "INVALID_FIELD",
            format!(
                "Foreign key external ID: {value} not found for field {field} in entity {target}"
            ),
        ));
    }
    Ok((reference.name, Value::text(&id)))
}

/// The body's members as values of the object.
fn values(crm: &Crm, object: usize, body: &[u8]) -> Result<Vec<(&'static str, Value)>, Fault> {
    let meta = &OBJECTS[object];
    let Ok(Json::Object(map)) = serde_json::from_slice(body) else {
        return Err(Fault::new(
            400,
            "JSON_PARSER_ERROR",
            "The HTTP entity body is required to be a JSON object",
        ));
    };
    let mut out = Vec::new();
    for (name, value) in map {
        if name == "attributes" {
            continue;
        }
        if let (None, Json::Object(by)) = (meta.field(&name), &value) {
            out.push(referred(crm, object, &name, by)?);
            continue;
        }
        let field = meta.field(&name).map(|i| &meta.fields[i]).ok_or_else(|| {
            Fault::new(
                400,
                "INVALID_FIELD",
                format!("No such column '{name}' on sobject of type {}", meta.name),
            )
        })?;
        if !field.is_writable() {
            return Err(Fault {
                fields: vec![field.name.to_owned()],
                ..Fault::new(
                    400,
                    "INVALID_FIELD_FOR_INSERT_UPDATE",
                    format!(
                        "Unable to create/update fields: {}. Please check the security settings of this field and verify that it is read/write for your profile or permission set.",
                        field.name
                    ),
                )
            });
        }
        let bad = || {
            Fault::new(
                400,
                "JSON_PARSER_ERROR",
                format!(
                    "Cannot deserialize instance of {} from VALUE value {value}",
                    field.kind
                ),
            )
        };
        let value = match (field.kind, &value) {
            (_, Json::Null) => Value::Null,
            ("boolean", Json::Bool(b)) => Value::Bool(*b),
            ("int", Json::Number(n)) => Value::Int(n.as_i64().ok_or_else(bad)?),
            ("currency" | "double", Json::Number(n)) => Value::Number(n.as_f64().ok_or_else(bad)?),
            ("boolean" | "int" | "currency" | "double", _) => return Err(bad()),
            (_, Json::String(s)) => {
                if field.length > 0 && s.chars().count() > field.length as usize {
                    return Err(Fault {
                        fields: vec![field.name.to_owned()],
                        ..Fault::new(
                            400,
                            "STRING_TOO_LONG",
                            format!(
                                "{}: data value too large: {s} (max length={})",
                                field.name, field.length
                            ),
                        )
                    });
                }
                Value::text(s)
            }
            _ => return Err(bad()),
        };
        out.push((field.name, value));
    }
    Ok(out)
}
