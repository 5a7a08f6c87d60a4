//! `schema/<api>.json` → objects and fields of the [`Catalog`], with lineage resolved through relationships.

use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::diagnostic::{Diagnostic, Position, suggest};
use crate::engine::catalog::{
    ApiSchema, Catalog, Child, Field, FieldRef, FieldType, Object, ObjectId,
};

/// A JSON object in its own order, duplicates included.
struct Members<V>(Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Members<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Pairs<V> {
            type Value = Members<V>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    api: String,
    dialect: String,
    version: Option<String>,
    objects: Members<RawObject>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawObject {
    key_prefix: Option<String>,
    label: Option<Value>,
    custom: Option<Value>,
    fields: Members<RawField>,
    child_relationships: Option<Members<RawChild>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RawChild {
    #[serde(rename = "childSObject")]
    child: String,
    field: String,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct RawField {
    r#type: String,
    length: Option<u32>,
    #[serde(default)]
    reference_to: Vec<String>,
    relationship_name: Option<String>,
    compound_field_name: Option<String>,
    #[serde(default)]
    name_field: bool,
    #[serde(default)]
    formula: Vec<String>,
    label: Option<Value>,
    custom: Option<Value>,
    nillable: Option<Value>,
    external_id: Option<Value>,
    precision: Option<Value>,
    scale: Option<Value>,
}

/// A field's formula paths and the name of its compound.
type Later = (Vec<String>, Option<String>);

/// Fields as read, kept until relationships can be resolved: per object, per field its formula paths and
/// the name of its compound.
#[derive(Default)]
pub(super) struct Pending {
    files: Vec<(Arc<str>, String)>,
    fields: Vec<(usize, Vec<Later>)>,
}

/// The type that a describe's word means; `None` = a word this version does not know.
pub(super) fn kind(word: &str) -> Option<FieldType> {
    Some(match word {
        "string" | "email" | "phone" | "url" | "picklist" | "multipicklist" | "textarea"
        | "combobox" | "encryptedstring" => FieldType::Text,
        "int" | "long" | "double" | "currency" | "percent" | "number" => FieldType::Number,
        "boolean" => FieldType::Boolean,
        "date" => FieldType::Date,
        "datetime" => FieldType::DateTime,
        "time" => FieldType::Time,
        "id" => FieldType::Id,
        "reference" => FieldType::Reference,
        "address" | "location" => FieldType::Compound,
        "base64" => FieldType::Blob,
        "anyType" | "complexvalue" | "complexvaluetype" | "json" | "DataCategoryGroupReference" => {
            FieldType::Other
        }
        _ => return None,
    })
}

/// Finds `"name":` behind `from`.
fn find(text: &str, from: usize, name: &str) -> Option<usize> {
    let needle = serde_json::to_string(name).ok()?;
    let mut at = from;
    while let Some(i) = text.get(at..)?.find(&needle) {
        let start = at + i;
        let rest = text.get(start + needle.len()..)?;
        if rest.trim_start().starts_with(':') {
            return Some(start);
        }
        at = start + needle.len();
    }
    None
}

/// A finding under the innermost of the named members.
fn at(file: &Arc<str>, text: &str, path: &[&str]) -> (Position, String, u32) {
    let mut from = 0;
    let mut width = 1;
    for name in path {
        if let Some(i) = find(text, from, name) {
            from = i;
            width = name.chars().count() as u32 + 2;
        }
    }
    let before = &text[..from];
    let line = before.matches('\n').count();
    let column = before
        .rsplit('\n')
        .next()
        .map_or(0, |l| l.chars().count() as u32);
    (
        Position {
            file: file.clone(),
            line: line as u32 + 1,
            column: column + 1,
        },
        text.lines().nth(line).unwrap_or("").to_owned(),
        width,
    )
}

fn error(
    file: &Arc<str>,
    text: &str,
    path: &[&str],
    code: &'static str,
    message: String,
) -> Diagnostic {
    let (position, line, width) = at(file, text, path);
    Diagnostic::error(code, Some(position), message).underline(line, width)
}

/// Reads one file into the catalog. [`resolve`] must follow once all files are in.
pub(super) fn read(
    file: &Arc<str>,
    text: &str,
    catalog: &mut Catalog,
    pending: &mut Pending,
    found: &mut Vec<Diagnostic>,
) {
    let raw: File = match serde_json::from_str(text) {
        Ok(raw) => raw,
        Err(e) => {
            let position = Position {
                file: file.clone(),
                line: e.line() as u32,
                column: e.column() as u32,
            };
            let message = e.to_string();
            let message = message.split(" at line ").next().unwrap_or("not JSON");
            let line = text.lines().nth(e.line().saturating_sub(1)).unwrap_or("");
            found
                .push(Diagnostic::error("schema-json", Some(position), message).underline(line, 1));
            return;
        }
    };
    if raw.schema != 1 {
        found.push(error(
            file,
            text,
            &["schema"],
            "schema-version",
            "this version of privet reads `\"schema\": 1`".to_owned(),
        ));
    }
    let stem = file
        .rsplit('/')
        .next()
        .and_then(|f| f.strip_suffix(".json"))
        .unwrap_or("");
    if raw.api != stem {
        found.push(error(
            file,
            text,
            &["api"],
            "schema-name",
            format!("the file is called `{stem}`, its API `{}`", raw.api),
        ));
    }
    if !matches!(raw.dialect.as_str(), "salesforce" | "map") {
        let mut e = error(
            file,
            text,
            &["dialect"],
            "unknown-dialect",
            format!("unknown dialect `{}`", raw.dialect),
        );
        e.help = suggest(&raw.dialect, &["salesforce", "map"]);
        found.push(e);
    }
    let api: Arc<str> = raw.api.as_str().into();
    catalog.apis.insert(
        api.clone(),
        ApiSchema {
            dialect: raw.dialect.as_str().into(),
            version: raw.version.as_deref().map(Into::into),
        },
    );
    pending.files.push((file.clone(), text.to_owned()));
    let file_index = pending.files.len() - 1;
    for (name, raw) in raw.objects.0 {
        let lower: Box<str> = name.to_ascii_lowercase().into();
        if name.is_empty()
            || name
                .chars()
                .any(|c| c.is_control() || ".:,|*?\"".contains(c))
        {
            found.push(error(
                file,
                text,
                &["objects", &name],
                "bad-name",
                format!("`{name}` cannot be an object's name"),
            ));
            continue;
        }
        if catalog.object_by_name.contains_key(&lower) {
            found.push(
                error(
                    file,
                    text,
                    &["objects", &name],
                    "duplicate-object",
                    format!("the object `{name}` stands in the schema twice"),
                )
                .help("an object's name stands in one schema file only, over all APIs"),
            );
            continue;
        }
        let _ = (&raw.label, &raw.custom);
        let mut object = Object {
            name: name.as_str().into(),
            api: api.clone(),
            key_prefix: raw.key_prefix.as_deref().map(Into::into),
            fields: Vec::new(),
            field_by_name: HashMap::new(),
            children: HashMap::new(),
            conditions: Vec::new(),
            data_region: None,
        };
        let mut later = Vec::new();
        for (field, raw) in raw.fields.0 {
            let path = ["objects", &name, "fields", &field];
            if field.is_empty()
                || field
                    .chars()
                    .any(|c| c.is_control() || "*?,|\"".contains(c))
            {
                found.push(error(
                    file,
                    text,
                    &path,
                    "bad-name",
                    format!("`{field}` cannot be a field's name"),
                ));
                continue;
            }
            let lower: Box<str> = field.to_ascii_lowercase().into();
            if object.field_by_name.contains_key(&lower) {
                found.push(error(
                    file,
                    text,
                    &path,
                    "duplicate-field",
                    format!("the field `{name}.{field}` stands here twice"),
                ));
                continue;
            }
            let word = raw.r#type.as_str();
            let kind = kind(word).unwrap_or_else(|| {
                let (position, line, width) = at(file, text, &path);
                found.push(
                    Diagnostic::warning(
                        "unknown-type",
                        Some(position),
                        format!("unknown type `{word}` of `{name}.{field}`"),
                    )
                    .underline(line, width)
                    .help("only clear, redact and drop can treat it"),
                );
                FieldType::Other
            });
            let _ = (&raw.label, &raw.custom, &raw.nillable, &raw.external_id);
            let _ = (&raw.precision, &raw.scale);
            object
                .field_by_name
                .insert(lower, object.fields.len() as u32);
            object.fields.push(Field {
                name: field.as_str().into(),
                kind,
                type_word: word.into(),
                length: raw.length,
                reference_to: raw
                    .reference_to
                    .iter()
                    .map(|t| (t.as_str().into(), None))
                    .collect(),
                relationship_name: raw.relationship_name.as_deref().map(Into::into),
                compound: None,
                name_field: raw.name_field,
                derived_from: Vec::new(),
                derived_from_unknown: false,
                class: "unclassified".into(),
            });
            later.push((raw.formula, raw.compound_field_name));
        }
        for (child, raw) in raw.child_relationships.map(|c| c.0).unwrap_or_default() {
            object.children.insert(
                child.to_ascii_lowercase().into(),
                Child {
                    name: child.as_str().into(),
                    object: None,
                    field: raw.field.as_str().into(),
                },
            );
            // The name is resolved below; until then it stands in the pending child list.
            pending_child(&mut object, &child, &raw.child);
        }
        let id = ObjectId(catalog.objects.len() as u32);
        catalog.object_by_name.insert(lower, id);
        catalog.objects.push(object);
        pending.fields.push((file_index, later));
    }
}

/// Keeps the child's object name beside the field name until all objects are known.
fn pending_child(object: &mut Object, child: &str, target: &str) {
    if let Some(c) = object.children.get_mut(child.to_ascii_lowercase().as_str()) {
        c.field = format!("{target}\u{0}{}", c.field).into();
    }
}

/// Resolves references, children, compounds, formulas and the classes of ids.
pub(super) fn resolve(catalog: &mut Catalog, pending: &Pending, found: &mut Vec<Diagnostic>) {
    let by_name = catalog.object_by_name.clone();
    let lookup = |name: &str| by_name.get(name.to_ascii_lowercase().as_str()).copied();
    let names: Vec<Arc<str>> = catalog.objects.iter().map(|o| o.name.clone()).collect();
    for object in &mut catalog.objects {
        for child in object.children.values_mut() {
            if let Some((target, field)) = child.field.clone().split_once('\u{0}') {
                child.object = lookup(target);
                child.field = field.into();
            }
        }
        let own = object.name.clone();
        for field in &mut object.fields {
            for (name, id) in &mut field.reference_to {
                *id = lookup(name);
                if let Some(id) = *id {
                    *name = names[id.0 as usize].clone();
                }
            }
            match (field.kind, field.reference_to.as_slice()) {
                (FieldType::Id, _) => field.class = format!("id.{own}").into(),
                (FieldType::Reference, [(target, _)]) => {
                    field.class = format!("id.{target}").into();
                }
                (FieldType::Reference, _) => field.class = "id".into(),
                _ => {}
            }
        }
    }
    for index in 0..catalog.objects.len() {
        let Some((file_index, later)) = pending.fields.get(index) else {
            continue;
        };
        let (file, text) = &pending.files[*file_index];
        let id = ObjectId(index as u32);
        for (field, (formula, compound)) in later.iter().enumerate() {
            let object = &catalog.objects[index];
            let path = [
                "objects",
                &*object.name.clone(),
                "fields",
                &*object.fields[field].name.clone(),
            ];
            let me = FieldRef {
                object: id,
                field: field as u32,
            };
            if let Some(compound) = compound {
                match object.field(compound) {
                    Some(whole) if whole as usize != field => {
                        catalog.objects[index].fields[field].compound = Some(whole);
                        push(
                            &mut catalog.objects[index].fields[whole as usize].derived_from,
                            me,
                        );
                    }
                    // Salesforce lists `Name` as its own compound on some objects.
                    Some(_) => {}
                    None => found.push(error(
                        file,
                        text,
                        &path,
                        "unknown-field",
                        format!("there is no compound field `{compound}`"),
                    )),
                }
            }
            for source in formula {
                let sources = if source == "*" {
                    Vec::new()
                } else {
                    follow(catalog, id, source)
                };
                if sources.is_empty() {
                    catalog.objects[index].fields[field].derived_from_unknown = true;
                    if source != "*" {
                        let (position, line, width) = at(file, text, &path);
                        found.push(
                            Diagnostic::warning(
                                "unknown-source",
                                Some(position),
                                format!("the formula reads `{source}`, which the schema does not hold"),
                            )
                            .underline(line, width)
                            .help("it is judged like the most protected field of its object; pull the missing object"),
                        );
                    }
                }
                for source in sources {
                    push(
                        &mut catalog.objects[index].fields[field].derived_from,
                        source,
                    );
                }
            }
        }
    }
}

fn push(list: &mut Vec<FieldRef>, field: FieldRef) {
    if !list.contains(&field) {
        list.push(field);
    }
}

/// The fields that `path` (`Account.Owner.Email`) means from `object`; several behind a polymorphic reference;
/// none if any part is unknown.
fn follow(catalog: &Catalog, object: ObjectId, path: &str) -> Vec<FieldRef> {
    let mut objects = vec![object];
    let mut parts: Vec<&str> = path.split('.').collect();
    let Some(last) = parts.pop() else {
        return Vec::new();
    };
    for part in parts {
        let mut next = Vec::new();
        for object in objects {
            let object = catalog.get(object);
            let Some(reference) = object.relationship(part) else {
                return Vec::new();
            };
            for (_, target) in &object.fields[reference as usize].reference_to {
                match target {
                    Some(target) => next.push(*target),
                    None => return Vec::new(),
                }
            }
        }
        objects = next;
    }
    let mut fields = Vec::new();
    for object in objects {
        match catalog.get(object).field(last) {
            Some(field) => fields.push(FieldRef { object, field }),
            None => return Vec::new(),
        }
    }
    fields
}

/// The schema as one text that does not depend on order or spacing, for the policy version.
pub(super) fn canonical(text: &str) -> String {
    fn sort(value: &mut Value) {
        match value {
            Value::Object(map) => {
                map.sort_keys();
                map.values_mut().for_each(sort);
            }
            Value::Array(items) => items.iter_mut().for_each(sort),
            _ => {}
        }
    }
    match serde_json::from_str::<Value>(text) {
        Ok(mut value) => {
            sort(&mut value);
            value.to_string()
        }
        Err(_) => text.to_owned(),
    }
}
