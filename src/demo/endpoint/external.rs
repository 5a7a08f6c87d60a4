//! `…/sobjects/X/{field}/{value}`: read, upsert and delete by an external id.

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::endpoint::row;
use crate::demo::fault::Fault;
use crate::demo::metadata::OBJECTS;
use crate::demo::store::Value;

/// The answer for the record of `object` whose `field` is `value`.
///
/// # Errors
/// Salesforce's words for what is not there, no key or not writable.
pub fn answer(
    crm: &Crm,
    asked: &Asked,
    version: &str,
    object: usize,
    field: &str,
    value: &str,
) -> Result<Reply, Fault> {
    let meta = &OBJECTS[object];
    let index = meta
        .field(field)
        .filter(|i| matches!(meta.fields[*i].name, "Loyalty_Number__c" | "Email"))
        .ok_or_else(|| {
            Fault::new(
                404,
                "NOT_FOUND",
                "Provided external ID field does not exist or is not accessible",
            )
        })?;
    let wanted = Value::text(value);
    let rows: Vec<usize> = {
        let store = crm.store();
        let deleted = meta.field("IsDeleted");
        let table = store.table(object);
        (0..table.rows.len())
            .filter(|r| table.rows[*r][index] == wanted)
            .filter(|r| deleted.is_none_or(|i| table.rows[*r][i] != Value::Bool(true)))
            .collect()
    };
    match (rows.as_slice(), asked.method.as_str()) {
        ([], "PATCH") => row::create(crm, asked, object, Some((meta.fields[index].name, wanted))),
        ([], _) => Err(Fault::not_found()),
        ([one], _) => row::one(crm, asked, version, object, *one),
        // A list of paths, each with a record's id.
        _ => {
            let store = crm.store();
            let paths: Vec<serde_json::Value> = rows
                .iter()
                .map(|row| store.attributes(object, *row, version)["url"].clone())
                .collect();
            Ok(Reply::json(300, &serde_json::Value::Array(paths)))
        }
    }
}

/// Id of the first record of `object` whose `field` is `value`; empty = none.
pub(super) fn id_of(crm: &Crm, object: &str, field: &str, value: &serde_json::Value) -> String {
    let found = crate::demo::metadata::object(object).and_then(|object| {
        let index = OBJECTS[object].field(field)?;
        let wanted = Value::text(value.as_str()?);
        let store = crm.store();
        let row = store
            .table(object)
            .rows
            .iter()
            .find(|r| r[index] == wanted)?;
        row[0].as_text().map(str::to_owned)
    });
    found.unwrap_or_default()
}
