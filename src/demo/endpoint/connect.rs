//! `…/connect/organization` and `…/chatter/feeds/news/me/feed-elements`: answers that no describe speaks of.

use serde_json::{Value as Json, json};

use crate::demo::crm::{Crm, ORGANISATION, Reply};
use crate::demo::metadata::{self, OBJECTS};

/// Posts on a page.
const PAGE: usize = 5;

/// The organisation.
pub fn organization() -> Reply {
    Reply::json(
        200,
        &json!({
            "accessTimeout": 15,
            "features": {"chatter": true, "multiCurrency": false},
            "maintenanceInfo": [],
            "name": "Demo Manufacturing",
            "orgId": ORGANISATION,
            "userSettings": {"userId": "0055g0000000001AAA", "canModifyAllData": true,
                "timeZone": {"gmtOffset": 1.0, "name": "Europe/Berlin"}},
        }),
    )
}

/// The newest posts: what was written to cases, as their owners said it.
pub fn feed(crm: &Crm, version: &str) -> Reply {
    let store = crm.store();
    let Some(case) = metadata::object("Case") else {
        return Reply::empty(404);
    };
    let text = |row: usize, name: &str| -> Json {
        let field = OBJECTS[case].field(name);
        field.map_or(Json::Null, |f| store.json(case, row, f))
    };
    let elements: Vec<Json> = (0..store.table(case).rows.len().min(PAGE))
        .map(|row| {
            let owner = OBJECTS[case]
                .field("OwnerId")
                .and_then(|field| store.target(case, row, field));
            let of_owner = |name: &str| {
                owner.and_then(|(object, at)| {
                    let field = OBJECTS[object].field(name)?;
                    Some(store.json(object, at, field))
                })
            };
            let body = text(row, "Description");
            let id = crate::demo::record_id::make("0D5", row as u64 + 1);
            json!({
                "actor": {
                    "displayName": of_owner("Name"),
                    "email": of_owner("Email"),
                    "id": of_owner("Id"),
                    "type": "User",
                },
                "body": {
                    "isRichText": false,
                    "messageSegments": [{"text": body, "type": "Text"}],
                    "text": body,
                },
                "createdDate": text(row, "CreatedDate"),
                "feedElementType": "FeedItem",
                "id": id,
                "header": {"text": text(row, "Subject")},
                "type": "TextPost",
                "url": format!("/services/data/v{version}/chatter/feed-elements/{id}"),
            })
        })
        .collect();
    let url = format!("/services/data/v{version}/chatter/feeds/news/me/feed-elements");
    Reply::json(
        200,
        &json!({"currentPageUrl": url, "elements": elements, "nextPageUrl": null, "updatesToken": "2:0"}),
    )
}
