//! `GET /id/<organisation>/<user>`: who the session belongs to. Full of personal data and absolute links.

use serde_json::{Map, Value, json};

use crate::demo::crm::{Asked, Crm, ORGANISATION, Reply};
use crate::demo::fault::Fault;
use crate::demo::metadata;

/// The answer.
///
/// # Errors
/// No such organisation or user.
pub fn answer(crm: &Crm, asked: &Asked, organisation: &str, user: &str) -> Result<Reply, Fault> {
    let store = crm.store();
    let object = metadata::object("User").ok_or_else(Fault::not_found)?;
    let row = store
        .table(object)
        .find(user)
        .filter(|_| organisation == ORGANISATION)
        .ok_or_else(Fault::not_found)?;
    let field = |name: &str| {
        metadata::OBJECTS[object]
            .field(name)
            .map_or(Value::Null, |i| store.json(object, row, i))
    };
    let origin = &asked.origin;
    let urls: Map<String, Value> = [
        ("query", "query/"),
        ("recent", "recent/"),
        ("rest", ""),
        ("search", "search/"),
        ("sobjects", "sobjects/"),
    ]
    .iter()
    .map(|(name, path)| {
        let url = format!("{origin}/services/data/v{{version}}/{path}");
        ((*name).to_owned(), json!(url))
    })
    .collect();
    Ok(Reply::json(
        200,
        &json!({
            "id": format!("{origin}/id/{organisation}/{user}"),
            "asserted_user": true,
            "user_id": user,
            "organization_id": organisation,
            "username": field("Username"),
            "nick_name": field("Alias"),
            "display_name": field("Name"),
            "email": field("Email"),
            "first_name": field("FirstName"),
            "last_name": field("LastName"),
            "active": field("IsActive"),
            "user_type": "STANDARD",
            "language": "en_US",
            "urls": urls,
        }),
    ))
}
