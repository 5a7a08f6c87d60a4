//! `…/sobjects/X/{id}/{relationship}…`: the records that relationships lead to.

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::endpoint::{query, row};
use crate::demo::fault::Fault;
use crate::demo::metadata::{self, OBJECTS};

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
    let meta = &OBJECTS[child];
    let id = crm.store().table(object).rows[at][0].clone();
    let fields = match asked.parameter("fields") {
        Some(fields) => fields.to_owned(),
        None => {
            let all: Vec<&str> = meta.fields.iter().map(|f| f.name).collect();
            all.join(",")
        }
    };
    let soql = format!(
        "SELECT {fields} FROM {} WHERE {} = '{}'",
        meta.name,
        meta.fields[field].name,
        id.as_text().unwrap_or_default()
    );
    query::first(crm, &soql, version, query::batch(asked))
}
