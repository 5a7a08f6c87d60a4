//! One record: read, create, update, upsert, delete.

use std::sync::Arc;

use http::Method;

use crate::engine::catalog::{Catalog, FieldRef, FieldType, ObjectId};
use crate::engine::protocol::json_body::{Node, NodeId, Tree};
use crate::engine::protocol::{Action, Comparison, Literal, Operation, RecordShape, Shape, Use};
use crate::engine::refusal::{Reason, Refusal};

use super::forward::{Lookup, RecordTarget, Target};
use super::route::{Found, is_name};
use super::template::{Template, scalar_at};
use super::{Request, errors, resolve, unknown_path};

/// A use without values.
pub(super) fn used(field: FieldRef, action: Action, written: impl Into<Arc<str>>) -> Use {
    Use {
        field,
        action,
        written: written.into(),
        comparison: Comparison::Other,
        values: Vec::new(),
        named: true,
    }
}

/// Id as an output or lookup that nobody named.
pub(super) fn id_use(catalog: &Catalog, object: ObjectId) -> Result<Use, Refusal> {
    let field = catalog.get(object).field("Id").ok_or_else(unknown_path)?;
    Ok(Use {
        named: false,
        ..used(FieldRef { object, field }, Action::Read, "Id")
    })
}

pub(super) fn bad_body(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Reason::MalformedBody, message)
}

/// The members of an object of the body.
pub(super) fn object_at(tree: &Tree, node: NodeId) -> Result<&[(String, NodeId)], Refusal> {
    match tree.nodes.get(node) {
        Some(Node::Object(members)) => Ok(members),
        _ => Err(bad_body("the request body must hold a JSON object here")),
    }
}

/// The text at `node`.
pub(super) fn text_at(tree: &Tree, node: NodeId) -> Result<&str, Refusal> {
    match tree.nodes.get(node) {
        Some(Node::Text(text)) => Ok(text),
        _ => Err(bad_body("the request body must hold a text here")),
    }
}

/// An outputs list: key in the answer, and the uses that it stands for.
pub(super) type Outputs = Vec<(Arc<str>, Vec<usize>)>;

/// A record of `object` with these fields, `None` = all. Adds the uses of the named ones.
pub(super) fn outputs(
    catalog: &Catalog,
    object: ObjectId,
    fields: Option<&[Arc<str>]>,
    uses: &mut Vec<Use>,
) -> Result<(RecordShape, Option<Outputs>), Refusal> {
    let known = catalog.get(object);
    let mut record = RecordShape {
        objects: vec![object],
        scope: 0,
        members: Vec::new(),
        enveloped: false,
        all_fields: fields.is_none(),
        attributes: true,
        paths: Vec::new(),
    };
    let mut named = fields.map(|_| Vec::new());
    for written in fields.unwrap_or_default() {
        let field = known
            .field(written)
            .ok_or_else(|| Refusal::unknown_field(written, &known.name))?;
        let field = FieldRef { object, field };
        let key = catalog.field(field).name.clone();
        if record.members.iter().any(|(k, _)| *k == key) {
            return Err(Refusal::new(
                Reason::BadRequest,
                format!("duplicate field selected: {key}"),
            ));
        }
        let sources = vec![uses.len()];
        uses.push(used(field, Action::Read, written.clone()));
        record
            .members
            .push((key.clone(), Shape::Value(sources.clone())));
        named.get_or_insert_default().push((key, sources));
    }
    Ok((record, named))
}

/// Writes the fields of the object at `node` into `body` (without braces), one use each. `skip`: members that the caller
/// has dealt with. Gives how many there are.
pub(super) fn fields(
    catalog: &Catalog,
    object: ObjectId,
    tree: &Tree,
    node: NodeId,
    skip: &[&str],
    uses: &mut Vec<Use>,
    body: &mut Template,
) -> Result<usize, Refusal> {
    let known = catalog.get(object);
    let mut seen: Vec<u32> = Vec::new();
    for (name, value) in object_at(tree, node)? {
        if skip.contains(&name.as_str()) {
            continue;
        }
        if !is_name(name) {
            return Err(bad_body("a member of the request body is no field name"));
        }
        let Some(field) = known.field(name) else {
            let Some(field) = known.relationship(name) else {
                return Err(Refusal::unknown_field(name, &known.name));
            };
            let at = FieldRef { object, field };
            // `Account` and `AccountId` write one field, and may not both stand here.
            if seen.contains(&field) {
                uses.push(used(at, Action::Write, name.as_str()));
                return Err(twice(name));
            }
            let comma = if seen.is_empty() { "" } else { "," };
            seen.push(field);
            body.text(comma);
            referred(catalog, at, name, tree, *value, uses, body)?;
            continue;
        };
        // Judged before anything is said of its value: a hidden field is answered like one that does not exist.
        let at = FieldRef { object, field };
        let place = uses.len();
        uses.push(used(at, Action::Write, name.as_str()));
        // `Email` and `EMAIL` are one field: which of them counts is not ours to guess.
        if seen.contains(&field) {
            return Err(twice(name));
        }
        seen.push(field);
        let schema = catalog.field(at);
        let Some(literal) = scalar_at(tree, *value) else {
            return Err(bad_body(format!("the field '{name}' takes a plain value")));
        };
        if schema.kind == FieldType::Blob {
            return Err(Refusal::new(
                Reason::EndpointClosed,
                format!("'{name}': blobs are not written through this proxy"),
            ));
        }
        // The CRM would put another field's value in its place.
        if matches!(&literal, Literal::Text(text) if text.contains("{!")) {
            return Err(Refusal::new(
                Reason::BadRequest,
                format!("the value for field '{name}' holds a merge expression"),
            ));
        }
        if seen.len() > 1 {
            body.text(",");
        }
        body.quoted(&schema.name);
        body.text(":");
        body.value(place, 0, schema.kind, literal.clone());
        if let Some(one) = uses.get_mut(place) {
            one.values = vec![literal];
        }
    }
    Ok(seen.len())
}

fn twice(name: &str) -> Refusal {
    bad_body(format!(
        "the field '{name}' stands twice in the request body"
    ))
}

/// `Account: {ExtId__c: value}`: the reference is written, and the record that it will lead to is looked up by a field.
/// Both are judged: the reference as a written value that is no token, the other as a key.
fn referred(
    catalog: &Catalog,
    reference: FieldRef,
    name: &str,
    tree: &Tree,
    node: NodeId,
    uses: &mut Vec<Use>,
    body: &mut Template,
) -> Result<(), Refusal> {
    let schema = catalog.field(reference);
    // No value of the caller's own: where the reference is not read in clear, only null and tokens may be written.
    uses.push(Use {
        values: vec![Literal::Other(String::new())],
        ..used(reference, Action::Write, name)
    });
    let malformed = || {
        bad_body(format!(
            "'{name}' takes one field that finds a record, and its value"
        ))
    };
    let [(_, Some(target))] = schema.reference_to[..] else {
        return Err(malformed());
    };
    let known = catalog.get(target);
    let mut keys = object_at(tree, node)?
        .iter()
        .filter(|(member, _)| member != "attributes");
    check_attributes(catalog, target, tree, node)?;
    let (Some((written, value)), None) = (keys.next(), keys.next()) else {
        return Err(malformed());
    };
    if !is_name(written) {
        return Err(malformed());
    }
    let path = format!("{name}.{written}");
    let Some(field) = known.field(written) else {
        return Err(Refusal::unknown_field(&path, &known.name));
    };
    let at = FieldRef {
        object: target,
        field,
    };
    let place = uses.len();
    uses.push(used(at, Action::Key, path));
    let kind = catalog.field(at).kind;
    let literal = scalar_at(tree, value.to_owned())
        .filter(|v| *v != Literal::Null && !is_no_key(kind))
        .ok_or_else(malformed)?;
    if let Some(one) = uses.get_mut(place) {
        one.comparison = Comparison::Equality;
        one.values = vec![literal.clone()];
    }
    let relationship = schema.relationship_name.as_deref().unwrap_or(name);
    body.quoted(relationship);
    body.text(":{");
    body.quoted(&catalog.field(at).name);
    body.text(":");
    body.value(place, 0, kind, literal);
    body.text("}");
    Ok(())
}

/// `attributes` of a written record: only its type, which must be `object`'s.
pub(super) fn check_attributes(
    catalog: &Catalog,
    object: ObjectId,
    tree: &Tree,
    node: NodeId,
) -> Result<(), Refusal> {
    let Some(attributes) = tree.member(node, "attributes") else {
        return Ok(());
    };
    for (key, value) in object_at(tree, attributes)? {
        let fits =
            key == "type" && text_at(tree, *value)?.eq_ignore_ascii_case(&catalog.get(object).name);
        if !fits {
            return Err(bad_body(
                "attributes takes the type of this object and nothing else",
            ));
        }
    }
    Ok(())
}

/// Whether no record is found by a field of this kind: Id has a path of its own, and what is no scalar is no key.
pub(super) fn is_no_key(kind: FieldType) -> bool {
    matches!(
        kind,
        FieldType::Id | FieldType::Compound | FieldType::Blob | FieldType::Other
    )
}

pub(super) fn empty_record() -> Refusal {
    bad_body("a record needs at least one field")
}

impl Request<'_> {
    /// The lookup of a record, and its uses.
    fn lookup(
        &self,
        object: ObjectId,
        found: Found,
        uses: &mut Vec<Use>,
    ) -> Result<Lookup, Refusal> {
        let at = uses.len();
        match found {
            Found::Id(id) => {
                let value = Literal::Text(id);
                uses.push(Use {
                    comparison: Comparison::Equality,
                    values: vec![value.clone()],
                    ..id_use(self.catalog, object)?
                });
                Ok(Lookup::Id {
                    used: at,
                    reference: self.is_reference(&value),
                    written: value,
                })
            }
            Found::External { field, value } => {
                let known = self.catalog.get(object);
                let index = known
                    .field(&field)
                    .ok_or_else(|| Refusal::unknown_field(&field, &known.name))?;
                let at_field = FieldRef {
                    object,
                    field: index,
                };
                let schema = self.catalog.field(at_field);
                let at = uses.len();
                let value = Literal::Text(value);
                uses.push(Use {
                    comparison: Comparison::Equality,
                    values: vec![value.clone()],
                    ..used(at_field, Action::Key, field)
                });
                // A lookup by Id has its own path; what is no scalar is no key.
                if is_no_key(schema.kind) {
                    return Err(unknown_path());
                }
                Ok(Lookup::External {
                    used: at,
                    field: schema.name.clone(),
                    written: value,
                })
            }
        }
    }

    /// `GET …/sobjects/X/{id}` or `…/{field}/{value}`.
    pub(super) fn row(
        mut self,
        version: u16,
        written: &Arc<str>,
        found: Found,
        fields: Option<&[Arc<str>]>,
    ) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let mut uses = Vec::new();
        let made = self.lookup(object, found, &mut uses).and_then(|lookup| {
            outputs(self.catalog, object, fields, &mut uses)
                .map(|(record, named)| (lookup, record, named))
        });
        let (lookup, record, named) = match made {
            Ok(made) => made,
            Err(refusal) => return self.mistaken("sobject-row", refusal, uses),
        };
        self.forward.version = version;
        self.forward.target = Target::Record(Box::new(RecordTarget {
            method: Method::GET,
            object: self.catalog.get(object).name.clone(),
            lookup,
            fields: named,
            conditions: resolve::condition_fields(self.catalog, object),
            body: None,
        }));
        let mut operation = self.operation(Action::Read, "sobject-row", Shape::Record(record));
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }

    /// POST, PATCH or DELETE of one record.
    pub(super) fn change(
        mut self,
        version: u16,
        method: &Method,
        written: &Arc<str>,
        found: Option<Found>,
        tree: Option<&Tree>,
    ) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let endpoint = match (method, &found) {
            (&Method::POST, _) => "sobject-create",
            (&Method::DELETE, _) => "sobject-delete",
            (_, Some(Found::External { .. })) => "sobject-upsert",
            _ => "sobject-update",
        };
        let mut uses = Vec::new();
        let (lookup, shape, body) = match self.change_parts(object, written, found, tree, &mut uses)
        {
            Ok(made) => made,
            Err(refusal) => return self.mistaken(endpoint, refusal, uses),
        };
        let action = if body.is_some() {
            Action::Write
        } else {
            Action::Delete
        };
        self.forward.version = version;
        self.forward.target = Target::Record(Box::new(RecordTarget {
            method: method.clone(),
            object: self.catalog.get(object).name.clone(),
            lookup,
            fields: None,
            conditions: Vec::new(),
            body,
        }));
        let mut operation = self.operation(action, endpoint, shape);
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }

    /// The lookup, the answer and the body of a change, and its uses.
    fn change_parts(
        &self,
        object: ObjectId,
        written: &Arc<str>,
        found: Option<Found>,
        tree: Option<&Tree>,
        uses: &mut Vec<Use>,
    ) -> Result<(Lookup, Shape, Option<Template>), Refusal> {
        let mut lookup = match found {
            Some(found) => self.lookup(object, found, uses)?,
            None => Lookup::New,
        };
        let Some(tree) = tree else {
            let id = id_use(self.catalog, object)?;
            uses.push(used(id.field, Action::Delete, written.clone()));
            return Ok((lookup, Shape::Drop, None));
        };
        let mut body = Template::default();
        body.text("{");
        check_attributes(self.catalog, object, tree, tree.root)?;
        let catalog = self.catalog;
        let skip = ["attributes"];
        let count = fields(catalog, object, tree, tree.root, &skip, uses, &mut body)?;
        body.text("}");
        if let Lookup::External { used, .. } = &mut lookup {
            // Where no record has the value, one is made with it.
            let key = uses.first().cloned().ok_or_else(unknown_path)?;
            if uses[1..].iter().any(|u| u.field == key.field) {
                return Err(bad_body(
                    "the field that finds the record can not stand in the body too",
                ));
            }
            // So it is the value that may be written that goes upstream.
            *used = uses.len();
            uses.push(Use {
                action: Action::Write,
                comparison: Comparison::Other,
                ..key
            });
        } else if count == 0 {
            return Err(empty_record());
        }
        let id = uses.len();
        uses.push(id_use(catalog, object)?);
        Ok((lookup, errors::save_result(vec![id]), Some(body)))
    }
}
