//! `…/sobjects/X/{id}/{field}` of a file: its bytes, under the type that it says it has.

use crate::demo::crm::{Crm, Reply};
use crate::demo::metadata::OBJECTS;

/// The file in `field` of a record, if that field holds files.
pub fn answer(crm: &Crm, object: usize, row: usize, field: &str) -> Option<Reply> {
    let meta = &OBJECTS[object];
    let index = meta
        .field(field)
        .filter(|i| meta.fields[*i].kind == "base64")?;
    let store = crm.store();
    let kind = meta
        .field("ContentType")
        .map(|i| store.value(object, row, i));
    let kind = kind
        .as_ref()
        .and_then(|k| k.as_text())
        .unwrap_or("application/octet-stream");
    let value = store.value(object, row, index);
    let mut reply = Reply::empty(200);
    reply.headers.push(("content-type", kind.to_owned()));
    reply.headers.push((
        "content-disposition",
        "inline; filename=\"file.html\"".to_owned(),
    ));
    reply.body = value.as_text().unwrap_or_default().as_bytes().to_vec();
    Some(reply)
}
