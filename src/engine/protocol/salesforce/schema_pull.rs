//! Describe answers → `policies/schema/<api>.json`, sorted by name and one field a line, so that it is reviewed and merged
//! like a rule. Pure: who fetches the answers and writes the file stands elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

/// The names of all objects in a describeGlobal answer that can be queried, sorted.
///
/// # Errors
/// The answer is no describeGlobal.
pub fn object_names(global: &Value) -> Result<Vec<String>, String> {
    let objects = global["sobjects"]
        .as_array()
        .ok_or("describeGlobal has no list `sobjects`")?;
    let mut names = BTreeSet::new();
    for object in objects {
        let name = object["name"]
            .as_str()
            .ok_or("describeGlobal names an object without `name`")?;
        if object["queryable"] != Value::Bool(false) {
            names.insert(name.to_owned());
        }
    }
    Ok(names.into_iter().collect())
}

/// The text of a schema file from describe answers.
///
/// `version` is the API version that they were fetched at, such as `61.0`.
///
/// # Errors
/// A describe without a name, a field without name or type, a name that is none, or an object twice.
pub fn schema_json(api: &str, version: &str, describes: &[Value]) -> Result<String, String> {
    let mut objects: BTreeMap<&str, String> = BTreeMap::new();
    for describe in describes {
        let name = name_of(describe, "a describe")?;
        if objects.insert(name, object_json(describe, name)?).is_some() {
            return Err(format!("{name} is described twice"));
        }
    }
    let mut out = String::from("{\n  \"schema\": 1,\n");
    for (key, value) in [
        ("api", api),
        ("dialect", "salesforce"),
        ("version", version),
    ] {
        let _ = writeln!(out, "  {}: {},", quoted(key), quoted(value));
    }
    out.push_str("  \"objects\": {\n");
    let entries: Vec<String> = objects
        .into_iter()
        .map(|(name, body)| format!("    {}: {body}", quoted(name)))
        .collect();
    out.push_str(&entries.join(",\n"));
    if !entries.is_empty() {
        out.push('\n');
    }
    out.push_str("  }\n}\n");
    Ok(out)
}

/// What differs between two schema files, one line per difference, sorted: `+ Contact.Email`, `- Lead`,
/// `~ Contact.Phone`.
///
/// # Errors
/// One of the texts is no JSON object with `objects`.
pub fn schema_diff(old: &str, new: &str) -> Result<Vec<String>, String> {
    let old = flat(old)?;
    let new = flat(new)?;
    let mut lines = Vec::new();
    for name in old.keys().chain(new.keys()).collect::<BTreeSet<_>>() {
        let parent_changed = name
            .split_once('.')
            .is_some_and(|(object, _)| old.contains_key(object) != new.contains_key(object));
        if parent_changed {
            continue;
        }
        match (old.get(name), new.get(name)) {
            (Some(_), None) => lines.push(format!("- {name}")),
            (None, Some(_)) => lines.push(format!("+ {name}")),
            (a, b) if a != b => lines.push(format!("~ {name}")),
            _ => {}
        }
    }
    Ok(lines)
}

/// Objects and fields by their dotted names.
fn flat(text: &str) -> Result<BTreeMap<String, Value>, String> {
    let file: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let objects = file["objects"]
        .as_object()
        .ok_or("the schema has no `objects`")?;
    let mut all = BTreeMap::new();
    for (name, object) in objects {
        all.insert(name.clone(), object["keyPrefix"].clone());
        for part in ["fields", "childRelationships"] {
            for (inner, value) in object[part].as_object().into_iter().flatten() {
                all.insert(format!("{name}.{inner}"), value.clone());
            }
        }
    }
    Ok(all)
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn is_name(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text.as_bytes()[0].is_ascii_alphabetic()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn name_of<'v>(value: &'v Value, what: &str) -> Result<&'v str, String> {
    value["name"]
        .as_str()
        .filter(|n| is_name(n))
        .ok_or_else(|| format!("{what} has no usable `name`"))
}

/// The text of `value[key]`, unless null or empty.
fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value[key].as_str().filter(|t| !t.is_empty())
}

fn object_json(describe: &Value, name: &str) -> Result<String, String> {
    let fields = describe["fields"]
        .as_array()
        .ok_or_else(|| format!("{name} is described without `fields`"))?;
    let mut lines = BTreeMap::new();
    for field in fields {
        let field_name = name_of(field, &format!("a field of {name}"))?;
        let body = field_json(field, field_name, fields)
            .ok_or_else(|| format!("{name}.{field_name} has no `type`"))?;
        if lines.insert(field_name, body).is_some() {
            return Err(format!("{name}.{field_name} is described twice"));
        }
    }
    let mut children = BTreeMap::new();
    for child in describe["childRelationships"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let (Some(relationship), Some(object), Some(field)) = (
            text(child, "relationshipName"),
            text(child, "childSObject"),
            text(child, "field"),
        ) else {
            continue;
        };
        children.entry(relationship).or_insert_with(|| {
            format!(
                "{{\"childSObject\": {}, \"field\": {}}}",
                quoted(object),
                quoted(field)
            )
        });
    }
    let mut out = String::from("{\n");
    if let Some(prefix) = text(describe, "keyPrefix") {
        let _ = writeln!(out, "      \"keyPrefix\": {},", quoted(prefix));
    }
    let _ = write!(out, "      \"fields\": {{\n{}      }}", members(&lines));
    if !children.is_empty() {
        let _ = write!(
            out,
            ",\n      \"childRelationships\": {{\n{}      }}",
            members(&children)
        );
    }
    out.push_str("\n    }");
    Ok(out)
}

/// One member a line.
fn members(members: &BTreeMap<&str, String>) -> String {
    let lines: Vec<String> = members
        .iter()
        .map(|(name, body)| format!("        {}: {body}", quoted(name)))
        .collect();
    let mut out = lines.join(",\n");
    if !out.is_empty() {
        out.push('\n');
    }
    out
}

fn field_json(field: &Value, name: &str, fields: &[Value]) -> Option<String> {
    let kind = text(field, "type")?;
    let mut out = format!("{{\"type\": {}", quoted(kind));
    // Ids have a length in describe that says nothing.
    if !matches!(kind, "id" | "reference")
        && let Some(length) = field["length"].as_u64().filter(|l| *l > 0)
    {
        let _ = write!(out, ", \"length\": {length}");
    }
    let targets: Vec<&str> = field["referenceTo"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if !targets.is_empty() {
        let _ = write!(out, ", \"referenceTo\": {}", list(&targets));
    }
    if let Some(relationship) = text(field, "relationshipName") {
        let _ = write!(out, ", \"relationshipName\": {}", quoted(relationship));
    }
    // In some orgs Name is its own compound.
    if let Some(compound) = text(field, "compoundFieldName").filter(|c| *c != name) {
        let _ = write!(out, ", \"compoundFieldName\": {}", quoted(compound));
    }
    if field["nameField"] == Value::Bool(true) {
        out.push_str(", \"nameField\": true");
    }
    if field["calculated"] == Value::Bool(true) {
        let paths = text(field, "calculatedFormula")
            .and_then(|formula| formula_paths(formula, fields))
            .unwrap_or_else(|| vec!["*".to_owned()]);
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        let _ = write!(out, ", \"formula\": {}", list(&paths));
    }
    out.push('}');
    Some(out)
}

fn list(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|w| quoted(w)).collect();
    format!("[{}]", words.join(", "))
}

/// The field paths that a formula reads, in order of appearance. `None` when it can not be read: global merge fields, or a
/// name that is neither field nor relationship of the object.
fn formula_paths(formula: &str, fields: &[Value]) -> Option<Vec<String>> {
    let known = |key: &str, name: &str| {
        fields.iter().any(|f| {
            f[key]
                .as_str()
                .is_some_and(|n| n.eq_ignore_ascii_case(name))
        })
    };
    let mut paths: Vec<String> = Vec::new();
    let mut rest = formula;
    while let Some(first) = rest.chars().next() {
        if first == '"' || first == '\'' {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, c)| {
                let closes = *c == first && !escaped;
                escaped = *c == '\\' && !escaped;
                closes
            })?;
            rest = &rest[end.0 + 1..];
        } else if let Some(comment) = rest.strip_prefix("/*") {
            rest = comment.split_once("*/")?.1;
        } else if first.is_ascii_alphabetic() || first == '_' {
            let len = rest
                .bytes()
                .position(|b| !b.is_ascii_alphanumeric() && b != b'_' && b != b'.')
                .unwrap_or(rest.len());
            let word = &rest[..len];
            rest = &rest[len..];
            let calls = rest.trim_start().starts_with('(');
            let constant = ["TRUE", "FALSE", "NULL"]
                .iter()
                .any(|c| c.eq_ignore_ascii_case(word));
            if calls || constant {
                continue;
            }
            let readable = match word.split_once('.') {
                None => known("name", word),
                Some((relationship, path)) => {
                    known("relationshipName", relationship) && path.split('.').all(is_name)
                }
            };
            if !readable {
                return None;
            }
            if !paths.iter().any(|p| p.eq_ignore_ascii_case(word)) {
                paths.push(word.to_owned());
            }
        } else if first.is_ascii_digit() {
            let len = rest
                .bytes()
                .position(|b| !b.is_ascii_digit() && b != b'.')
                .unwrap_or(rest.len());
            rest = &rest[len..];
        } else if first.is_ascii_whitespace() || "+-*/^&|=<>!(),;[]{}".contains(first) {
            rest = &rest[1..];
        } else {
            return None;
        }
    }
    Some(paths)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn contact() -> Value {
        json!({
            "name": "Contact",
            "keyPrefix": "003",
            "fields": [
                {"name": "Name", "type": "string", "length": 121, "nameField": true, "compoundFieldName": "Name"},
                {"name": "FirstName", "type": "string", "length": 40, "compoundFieldName": "Name"},
                {"name": "AccountId", "type": "reference", "length": 18, "referenceTo": ["Account"],
                 "relationshipName": "Account"},
                {"name": "Greeting__c", "type": "string", "length": 1300, "calculated": true,
                 "calculatedFormula": "IF(TRUE, \"Dear 'x' \" & FirstName, /* Zip */ Account.Owner.Name)"},
                {"name": "Total__c", "type": "double", "calculated": true, "calculatedFormula": null},
                {"name": "Mine__c", "type": "boolean", "calculated": true, "calculatedFormula": "$User.Id = OwnerId"}
            ],
            "childRelationships": [
                {"childSObject": "Case", "field": "ContactId", "relationshipName": "Cases"},
                {"childSObject": "Note", "field": "ParentId", "relationshipName": null}
            ]
        })
    }

    #[test]
    fn writes_the_format_to_the_byte() {
        let text = schema_json("salesforce", "61.0", &[contact()]).unwrap();
        assert_eq!(
            text,
            r#"{
  "schema": 1,
  "api": "salesforce",
  "dialect": "salesforce",
  "version": "61.0",
  "objects": {
    "Contact": {
      "keyPrefix": "003",
      "fields": {
        "AccountId": {"type": "reference", "referenceTo": ["Account"], "relationshipName": "Account"},
        "FirstName": {"type": "string", "length": 40, "compoundFieldName": "Name"},
        "Greeting__c": {"type": "string", "length": 1300, "formula": ["FirstName", "Account.Owner.Name"]},
        "Mine__c": {"type": "boolean", "formula": ["*"]},
        "Name": {"type": "string", "length": 121, "nameField": true},
        "Total__c": {"type": "double", "formula": ["*"]}
      },
      "childRelationships": {
        "Cases": {"childSObject": "Case", "field": "ContactId"}
      }
    }
  }
}
"#
        );
        serde_json::from_str::<Value>(&text).unwrap();
        assert!(schema_json("salesforce", "61.0", &[contact(), contact()]).is_err());
    }

    #[test]
    fn a_diff_names_what_changed() {
        let old = schema_json("salesforce", "61.0", &[contact()]).unwrap();
        let mut changed = contact();
        changed["fields"][1]["length"] = json!(80);
        changed["fields"].as_array_mut().unwrap().remove(0);
        let lead = json!({"name": "Lead", "fields": [{"name": "Id", "type": "id"}]});
        let new = schema_json("salesforce", "61.0", &[changed, lead]).unwrap();
        assert_eq!(
            schema_diff(&old, &new).unwrap(),
            ["~ Contact.FirstName", "- Contact.Name", "+ Lead"]
        );
    }
}
