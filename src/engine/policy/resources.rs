//! `resources:` of vocabulary.yaml, and the rows of `classes/` that bind the texts of their answers.

use std::collections::HashMap;
use std::sync::Arc;

use super::csv::Row;
use super::reader::Reader;
use crate::diagnostic::Diagnostic;
use crate::engine::catalog::{Catalog, Field, FieldType, Object, ObjectId, Resource, Vocabulary};
use crate::engine::path::Path;
use crate::yaml::Node;

/// Families of Salesforce's API whose answers no schema describes.
const FAMILIES: [&str; 2] = ["connect", "chatter"];

/// Words for the bytes of files, which no rule about texts can treat.
const FILES: [&str; 4] = ["files", "file", "content", "rendition"];

/// `{ salesforce: [connect/organization, "chatter/feeds/record/{id}/feed-elements"] }`: each becomes an object of the
/// catalog, whose fields are the JSONPaths that class rows name.
pub(super) fn read(
    reader: &mut Reader<'_>,
    node: &Node,
    v: &mut Vocabulary,
    catalog: &mut Catalog,
) {
    for (api, list) in reader.map(node, "`resources`") {
        let known = catalog.apis.get_key_value(api.value.as_str());
        let Some((name, _)) = known.filter(|(_, schema)| &*schema.dialect == "salesforce") else {
            let names: Vec<Arc<str>> = catalog.apis.keys().cloned().collect();
            reader.unknown("unknown-api", "API", api, names.iter().map(|n| &**n));
            continue;
        };
        let name = name.clone();
        for text in reader.texts(list, "a resource") {
            if let Err((message, help)) = check(&text.value) {
                let width = text.value.chars().count();
                reader.error("bad-resource", text.place, width, message, Some(help));
                continue;
            }
            let key: Box<str> = text.value.to_ascii_lowercase().into();
            if catalog.object_by_name.contains_key(&key) {
                let width = text.value.chars().count();
                let message = format!("`{}` stands here twice", text.value);
                reader.error("bad-resource", text.place, width, message, None);
                continue;
            }
            let object = ObjectId(u32::try_from(catalog.objects.len()).unwrap_or(u32::MAX));
            catalog.object_by_name.insert(key, object);
            catalog.objects.push(Object {
                name: text.value.as_str().into(),
                api: name.clone(),
                key_prefix: None,
                fields: Vec::new(),
                field_by_name: HashMap::new(),
                children: HashMap::new(),
                conditions: Vec::new(),
                data_region: None,
            });
            let segment = |s: &str| (!s.starts_with('{')).then(|| s.into());
            v.resources.entry(name.clone()).or_default().push(Resource {
                segments: text.value.split('/').map(segment).collect(),
                object,
            });
        }
    }
}

/// Whether a resource may be listed; else what is wrong, and what to do.
fn check(text: &str) -> Result<(), (String, String)> {
    let mut segments = text.split('/');
    let family = segments.next().unwrap_or_default();
    let spelling = "write it like connect/communities/{id}: words, and names in braces".to_owned();
    if !FAMILIES.contains(&family) || segments.clone().next().is_none() {
        return Err((
            format!("`{text}` is no resource of connect or chatter"),
            spelling,
        ));
    }
    for segment in segments {
        if FILES.contains(&segment.to_ascii_lowercase().as_str()) {
            return Err((
                format!("`{text}` gives files, which cannot be treated"),
                "files are read where their field is: sobjects/ContentVersion/{id}/VersionData"
                    .to_owned(),
            ));
        }
        let inner = segment
            .strip_prefix('{')
            .map_or(Some(segment), |s| s.strip_suffix('}'));
        let plain = |s: &str| {
            !s.is_empty()
                && s.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
        };
        if !inner.is_some_and(plain) {
            return Err((format!("`{text}` cannot be a resource"), spelling));
        }
    }
    Ok(())
}

/// A class row of a resource declares the text that it binds: `connect/organization.$.name`.
pub(super) fn declare(row: &Row, cell: usize, catalog: &mut Catalog) -> Result<(), Diagnostic> {
    let text = &row.cells[cell].text;
    let Some((object, path)) = text.split_once(".$") else {
        return Ok(());
    };
    let path = format!("${path}");
    let id = catalog
        .object_by_name
        .get(object.to_ascii_lowercase().as_str());
    let all = catalog.vocabulary.resources.values().flatten();
    let listed = id
        .filter(|id| all.clone().any(|r| r.object == **id))
        .copied();
    let Some(id) = listed else {
        return Ok(());
    };
    if let Err(why) = Path::parse(&path) {
        let message = format!("`{path}` cannot be looked for: {}", why.message);
        return Err(row.error(cell, "bad-path", message).help(why.help));
    }
    let object = &mut catalog.objects[id.0 as usize];
    let index = u32::try_from(object.fields.len()).unwrap_or(u32::MAX);
    let key: Box<str> = path.to_ascii_lowercase().into();
    if object.field_by_name.contains_key(&key) {
        return Ok(());
    }
    object.field_by_name.insert(key, index);
    object.fields.push(Field {
        name: path.into(),
        kind: FieldType::Text,
        type_word: "string".into(),
        length: None,
        reference_to: Vec::new(),
        relationship_name: None,
        compound: None,
        name_field: false,
        derived_from: Vec::new(),
        derived_from_unknown: false,
        class: "unclassified".into(),
    });
    Ok(())
}
