//! `…/sobjects/X/{id}/{relationship}…`: the records that relationships lead to.

use serde_json::{Value as Json, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::endpoint::row;
use crate::demo::fault::Fault;
use crate::demo::metadata::{self, OBJECTS};
use crate::demo::store::Value;

/// The answer for `path`, relationship names, from a record.
///
/// # Errors
/// 404 for an unknown relationship and for a parent that is not there.
pub fn answer(
    crm: &Crm,
    asked: &Asked,
    version: &str,
    from: (usize, usize),
    path: &[&str],
) -> Result<Reply, Fault> {
    let (mut object, mut at) = from;
    for (i, name) in path.iter().enumerate() {
        let meta = &OBJECTS[object];
        if let Some(field) = meta.relationship(name) {
            (object, at) = crm
                .store()
                .target(object, at, field)
                .ok_or_else(Fault::not_found)?;
            continue;
        }
        let (_, child, reference) = meta.child(name).ok_or_else(Fault::not_found)?;
        if i + 1 < path.len() {
            return Err(Fault::not_found());
        }
        return children(crm, asked, version, (object, at), child, reference);
    }
    row::read(crm, asked, version, object, at)
}

fn children(
    crm: &Crm,
    asked: &Asked,
    version: &str,
    (object, at): (usize, usize),
    child: &str,
    reference: &str,
) -> Result<Reply, Fault> {
    let child = metadata::object(child).ok_or_else(Fault::not_found)?;
    let field = OBJECTS[child]
        .field(reference)
        .ok_or_else(Fault::not_found)?;
    let rows: Vec<usize> = {
        let store = crm.store();
        let id: Value = store.table(object).rows[at][0].clone();
        let table = store.table(child);
        (0..table.rows.len())
            .filter(|r| table.rows[*r][field] == id)
            .collect()
    };
    let mut records: Vec<Json> = Vec::with_capacity(rows.len());
    for row in rows {
        let reply = row::read(crm, asked, version, child, row)?;
        records.push(serde_json::from_slice(&reply.body).unwrap_or(Json::Null));
    }
    Ok(Reply::json(
        200,
        &json!({"totalSize": records.len(), "done": true, "records": records}),
    ))
}
