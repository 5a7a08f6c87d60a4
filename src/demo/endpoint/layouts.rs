//! Page, compact and approval layouts: every field of the object in one section.

use serde_json::{Map, Value as Json, json};

use crate::demo::crm::{Asked, Reply};
use crate::demo::fault::Fault;
use crate::demo::metadata::{self, OBJECTS, Object};

const RECORD_TYPE: &str = "012000000000000AAA";

/// `…/sobjects/X/describe/{kind}[/{which}]`.
///
/// # Errors
/// An unknown object, kind or record type.
pub fn answer(asked: &Asked, version: &str, object: &str, path: &[&str]) -> Result<Reply, Fault> {
    let meta = &OBJECTS[metadata::object(object).ok_or_else(Fault::not_found)?];
    let items = items(meta, version, &asked.origin);
    let answer = match path {
        ["layouts"] | ["namedLayouts", _] => json!({
            "layouts": [layout(&items)],
            "recordTypeMappings": [{
                "active": true, "available": true, "defaultRecordTypeMapping": true, "developerName": "Master",
                "layoutId": "00h000000000001AAA", "master": true, "name": "Master", "picklistsForRecordType": null,
                "recordTypeId": RECORD_TYPE, "urls": {"layout": format!("{}{}", asked.origin, asked.target)},
            }],
            "recordTypeSelectorRequired": [false],
        }),
        ["layouts", RECORD_TYPE] => layout(&items),
        ["compactLayouts"] => json!({
            "compactLayouts": [compact(meta, &items)],
            "defaultCompactLayoutId": null,
            "recordTypeCompactLayoutMappings": [{
                "available": true, "compactLayoutId": null, "compactLayoutName": "SYSTEM",
                "recordTypeId": RECORD_TYPE, "recordTypeName": "Master",
                "urls": {"compactLayout": "/services/data/v61.0"},
            }],
            "urls": {"primary": "/services/data/v61.0"},
        }),
        ["approvalLayouts"] => json!({
            "approvalLayouts": [{
                "id": "04a000000000001AAA", "label": "Approval", "name": "Approval", "layoutItems": items,
            }],
        }),
        _ => return Err(Fault::not_found()),
    };
    Ok(Reply::json(200, &answer))
}

/// `…/compactLayouts?q=X,Y`.
///
/// # Errors
/// An unknown object.
pub fn compact_layouts(asked: &Asked, version: &str) -> Result<Reply, Fault> {
    let mut map = Map::new();
    for name in asked.parameter("q").unwrap_or_default().split(',') {
        let meta = &OBJECTS[metadata::object(name).ok_or_else(Fault::not_found)?];
        let items = items(meta, version, &asked.origin);
        map.insert(meta.name.to_owned(), compact(meta, &items));
    }
    Ok(Reply::json(200, &Json::Object(map)))
}

fn items(meta: &Object, version: &str, origin: &str) -> Json {
    let described = metadata::describe(meta, version, origin);
    let items: Vec<Json> = described["fields"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|field| {
            json!({
                "editableForNew": true,
                "editableForUpdate": true,
                "label": field["label"],
                "layoutComponents": [{
                    "components": [], "details": field, "displayLines": 1, "tabOrder": 1, "type": "Field",
                    "value": field["name"],
                }],
                "placeholder": false,
                "required": false,
            })
        })
        .collect();
    Json::Array(items)
}

fn layout(items: &Json) -> Json {
    let section = json!({
        "collapsed": false, "columns": 2, "heading": "Information", "layoutRows": [{"layoutItems": items, "numItems": 2}],
        "layoutSectionId": "01B000000000001AAA", "parentLayoutId": "00h000000000001AAA", "rows": 1, "tabOrder": "TopToBottom",
        "useCollapsibleSection": false, "useHeading": true,
    });
    json!({
        "buttonLayoutSection": {"detailButtons": []},
        "detailLayoutSections": [section],
        "editLayoutSections": [section],
        "id": "00h000000000001AAA",
        "relatedLists": [{"columns": [{"field": "Case.Subject", "label": "Subject", "name": "Subject"}], "name": "Cases"}],
    })
}

fn compact(meta: &Object, items: &Json) -> Json {
    json!({
        "actions": [], "fieldItems": items, "id": null, "imageItems": [], "label": "System Default", "name": "SYSTEM",
        "objectType": meta.name,
    })
}
