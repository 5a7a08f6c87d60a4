//! Where things stand in the answer of a poll (Streaming API Developer Guide, "Subscribe Response"; Change Data Capture
//! Developer Guide, "Change Event Message Structure").

use std::sync::Arc;

use crate::engine::catalog::{Catalog, FieldRef, FieldType, ObjectId};
use crate::engine::protocol::{RecordShape, Shape};

use super::{Topic, channel_of};

/// What only the answers of the Streaming API have.
#[derive(Debug, Clone)]
pub enum EventPart {
    /// An object told apart by the text of the member that these keys lead to.
    Told {
        /// From the object.
        keys: Vec<Arc<str>>,
        /// Text, shape, and whether it is a row of the answer.
        cases: Vec<(Arc<str>, Shape, bool)>,
        /// Any other text, none, or one that came too late.
        otherwise: Shape,
    },
    /// This shape where one of these outputs is read and each of these other uses is permitted, else the other shape.
    Permitted {
        /// Outputs, as indices of the operation's uses.
        outputs: Vec<usize>,
        /// Other uses, likewise.
        uses: Vec<usize>,
        /// Where that is so.
        shape: Shape,
        /// Where it is not.
        otherwise: Shape,
    },
    /// This shape where something of the object is read, else the other.
    Readable {
        /// Whose read table decides.
        object: ObjectId,
        /// Where something is.
        shape: Shape,
        /// Where nothing is.
        otherwise: Shape,
    },
    /// A value of this field, by its object's read table.
    Field(FieldRef),
    /// This shape where the field is read in clear whatever the record, else dropped.
    Follows {
        /// The field.
        field: FieldRef,
        /// Where it is clear.
        shape: Shape,
    },
    /// A compound field: an object of its parts, each treated by itself, or one value.
    Compound(FieldRef),
    /// A list of ids of records of this object.
    Ids(ObjectId),
    /// A list of names of fields of this object: those that are hidden are left out.
    FieldNames(ObjectId),
    /// What an upstream says of a message that failed: its three digits stay.
    Error,
    /// The upstream's client id: sealed for this caller.
    Client,
}

/// What stands in the place of an event that may not pass: a client that asks for its channel knows that its list is
/// not complete. It says nothing of whose event it was.
const WITHHELD: &str = r#"{"channel":"/privet/withheld","data":{"reason":"an event was withheld: it is too large, or nothing of it may be seen"}}"#;

fn withheld() -> Shape {
    Shape::Constant(WITHHELD.into())
}

fn event(part: EventPart) -> Shape {
    Shape::Event(Box::new(part))
}

fn object(members: Vec<(&str, Shape)>) -> Shape {
    let members = members.into_iter().map(|(key, shape)| (key.into(), shape));
    Shape::Object(members.collect())
}

/// A record without anything.
fn nothing() -> RecordShape {
    RecordShape {
        objects: Vec::new(),
        scope: 0,
        members: Vec::new(),
        all_fields: false,
        attributes: false,
        enveloped: false,
        paths: Vec::new(),
    }
}

/// The answer to a request: a list of replies, and of events of any of `objects` and `topics`.
pub(super) fn answer(catalog: &Catalog, objects: &[ObjectId], topics: &[Topic]) -> Shape {
    let mut cases: Vec<(Arc<str>, Shape, bool)> = [
        "/meta/handshake",
        "/meta/connect",
        "/meta/subscribe",
        "/meta/unsubscribe",
        "/meta/disconnect",
    ]
    .into_iter()
    .map(|channel| (channel.into(), reply(), false))
    .collect();
    for topic in topics {
        let permitted = EventPart::Permitted {
            outputs: topic.shows.clone(),
            uses: topic.picks.clone(),
            shape: topic.shape.clone(),
            otherwise: withheld(),
        };
        let channel = format!("/topic/{}", topic.name);
        cases.push((channel.into(), event(permitted), true));
    }
    for id in objects {
        let readable = EventPart::Readable {
            object: *id,
            shape: change_message(catalog, *id),
            otherwise: withheld(),
        };
        let channel = channel_of(catalog.get(*id));
        cases.push((channel.into(), event(readable), true));
    }
    Shape::Array {
        element: Box::new(event(EventPart::Told {
            keys: vec!["channel".into()],
            cases,
            otherwise: withheld(),
        })),
        rows: false,
    }
}

/// What answers a message of the client.
fn reply() -> Shape {
    object(vec![
        ("channel", Shape::Keep),
        ("id", Shape::Keep),
        ("clientId", event(EventPart::Client)),
        ("successful", Shape::Boolean),
        ("version", Shape::Keep),
        ("minimumVersion", Shape::Keep),
        (
            "supportedConnectionTypes",
            Shape::Constant("[\"long-polling\"]".into()),
        ),
        ("subscription", Shape::Keep),
        ("error", event(EventPart::Error)),
        ("timestamp", Shape::Keep),
        (
            "advice",
            object(vec![
                ("reconnect", Shape::Keep),
                ("interval", Shape::Number),
                ("timeout", Shape::Number),
            ]),
        ),
        (
            "ext",
            object(vec![
                ("replay", Shape::Boolean),
                ("payload.format", Shape::Boolean),
            ]),
        ),
    ])
}

/// A message with `data`.
fn message(data: Shape) -> Shape {
    object(vec![
        ("channel", Shape::Keep),
        ("id", Shape::Keep),
        ("clientId", event(EventPart::Client)),
        ("data", data),
    ])
}

/// When the record changed: as telling as the field that says so.
fn when(catalog: &Catalog, id: ObjectId, shape: Shape) -> Shape {
    let known = catalog.get(id);
    let field = ["SystemModstamp", "LastModifiedDate"]
        .iter()
        .find_map(|name| known.field(name));
    field.map_or(Shape::Drop, |field| {
        let field = FieldRef { object: id, field };
        event(EventPart::Follows { field, shape })
    })
}

/// An event of a PushTopic whose records have the shape `sobject`.
pub(super) fn topic_message(catalog: &Catalog, id: ObjectId, sobject: Shape) -> Shape {
    message(object(vec![
        (
            "event",
            object(vec![
                ("type", Shape::Keep),
                ("replayId", Shape::Number),
                ("createdDate", when(catalog, id, Shape::Keep)),
            ]),
        ),
        ("sobject", sobject),
    ]))
}

/// The record in the answer to a query, as an event brings it.
pub(super) fn record_of(answer: Shape) -> Option<RecordShape> {
    let Shape::Object(members) = answer else {
        return None;
    };
    let records = members.into_iter().find(|(key, _)| &**key == "records")?.1;
    match records {
        Shape::Array { element, .. } => match *element {
            Shape::Record(record) if record.objects.len() == 1 => Some(RecordShape {
                attributes: false,
                ..record
            }),
            _ => None,
        },
        _ => None,
    }
}

/// A change event.
fn change_message(catalog: &Catalog, id: ObjectId) -> Shape {
    let known = catalog.get(id);
    let mut members: Vec<(Arc<str>, Shape)> =
        vec![("ChangeEventHeader".into(), header(catalog, id))];
    for (field, schema) in (0u32..).zip(&known.fields) {
        let has_parts = known.fields.iter().any(|part| part.compound == Some(field));
        if schema.kind == FieldType::Compound || has_parts {
            let field = FieldRef { object: id, field };
            members.push((schema.name.clone(), event(EventPart::Compound(field))));
        }
    }
    message(object(vec![
        ("schema", Shape::Keep),
        (
            "payload",
            Shape::Record(RecordShape {
                objects: vec![id],
                members,
                all_fields: true,
                ..nothing()
            }),
        ),
        (
            "event",
            object(vec![
                ("replayId", Shape::Number),
                ("EventUuid", Shape::Keep),
                ("EventApiName", Shape::Keep),
            ]),
        ),
    ]))
}

/// `ChangeEventHeader` ("ChangeEventHeader Fields").
fn header(catalog: &Catalog, id: ObjectId) -> Shape {
    let known = catalog.get(id);
    let user = match known.field("LastModifiedById") {
        Some(field) => event(EventPart::Field(FieldRef { object: id, field })),
        None => Shape::Drop,
    };
    object(vec![
        ("entityName", Shape::Expect(known.name.clone())),
        ("recordIds", event(EventPart::Ids(id))),
        ("changeType", Shape::Keep),
        ("changeOrigin", Shape::Keep),
        ("transactionKey", Shape::Keep),
        ("sequenceNumber", Shape::Number),
        ("commitTimestamp", when(catalog, id, Shape::Number)),
        ("commitNumber", Shape::Number),
        ("commitUser", user),
        ("nulledFields", event(EventPart::FieldNames(id))),
        ("diffFields", event(EventPart::FieldNames(id))),
        ("changedFields", event(EventPart::FieldNames(id))),
    ])
}
