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
        _ => Err(Fault::new(300, "MULTIPLE_CHOICES", "several records")),
    }
}
