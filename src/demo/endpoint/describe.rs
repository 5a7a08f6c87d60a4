//! `GET /services/data/vNN.0/sobjects/X/describe`: the fields of one object.

use crate::demo::crm::{Asked, Reply};
use crate::demo::fault::Fault;
use crate::demo::metadata::{self, OBJECTS};

/// The answer.
///
/// # Errors
/// No such object.
pub fn answer(asked: &Asked, version: &str, object: &str) -> Result<Reply, Fault> {
    let object = metadata::object(object).ok_or_else(Fault::not_found)?;
    let mut reply = Reply::json(
        200,
        &metadata::describe(&OBJECTS[object], version, &asked.origin),
    );
    reply
        .headers
        .push(("etag", format!("\"{object:x}{version}\"")));
    reply
        .headers
        .push(("last-modified", "Mon, 02 Nov 2026 09:00:00 GMT".to_owned()));
    Ok(reply)
}
