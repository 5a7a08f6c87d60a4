//! One record: read, related records, create, update, upsert, delete.

use std::sync::Arc;

use http::Method;

use crate::engine::catalog::{Catalog, FieldRef, FieldType, ObjectId};
use crate::engine::protocol::json_body::{Node, NodeId, Tree};
use crate::engine::protocol::{
    Action, Comparison, Link, Literal, Operation, RecordShape, Shape, Use,
};
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

/// A record of one of `objects` with these fields, `None` = all. Adds the uses of the named ones.
pub(super) fn outputs(
    catalog: &Catalog,
    objects: &[ObjectId],
    fields: Option<&[Arc<str>]>,
    uses: &mut Vec<Use>,
) -> Result<(RecordShape, Option<Outputs>), Refusal> {
    let mut record = RecordShape {
        objects: objects.to_vec(),
        scope: 0,
        members: Vec::new(),
        all_fields: fields.is_none(),
        attributes: true,
        paths: Vec::new(),
    };
    let mut named = fields.map(|_| Vec::new());
    for written in fields.unwrap_or_default() {
        let mut sources = Vec::new();
        let mut key: Option<Arc<str>> = None;
        for &object in objects {
            if let Some(field) = catalog.get(object).field(written) {
                let field = FieldRef { object, field };
                key.get_or_insert_with(|| catalog.field(field).name.clone());
                sources.push(uses.len());
                uses.push(used(field, Action::Read, written.clone()));
            }
        }
        let Some(key) = key else {
            let object = objects.first().ok_or_else(unknown_path)?;
            return Err(Refusal::unknown_field(written, &catalog.get(*object).name));
        };
        if record.members.iter().any(|(k, _)| *k == key) {
            return Err(Refusal::new(
                Reason::BadRequest,
                format!("duplicate field selected: {key}"),
            ));
        }
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
            return Err(if known.relationship(name).is_some() {
                Refusal::new(
                    Reason::BadRequest,
                    format!(
                        "'{name}': nested records are not written through this proxy, write the reference field"
                    ),
                )
            } else {
                Refusal::unknown_field(name, &known.name)
            });
        };
        // `Email` and `EMAIL` are one field: which of them counts is not ours to guess.
        if seen.contains(&field) {
            return Err(bad_body(format!(
                "the field '{name}' stands twice in the request body"
            )));
        }
        seen.push(field);
        let at = FieldRef { object, field };
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
        body.value(uses.len(), 0, schema.kind, literal.clone());
        uses.push(Use {
            values: vec![literal],
            ..used(at, Action::Write, name.as_str())
        });
    }
    Ok(seen.len())
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
                // A lookup by Id has its own path; what is no scalar is no key.
                if matches!(
                    schema.kind,
                    FieldType::Id | FieldType::Compound | FieldType::Blob | FieldType::Other
                ) {
                    return Err(unknown_path());
                }
                let value = Literal::Text(value);
                uses.push(Use {
                    comparison: Comparison::Equality,
                    values: vec![value.clone()],
                    ..used(at_field, Action::Key, field)
                });
                Ok(Lookup::External {
                    used: at,
                    field: schema.name.clone(),
                    written: value,
                })
            }
        }
    }

    /// `GET …/sobjects/X/{id}` or `…/{field}/{value}`, and the records that relationships lead to from there.
    pub(super) fn row(
        mut self,
        version: u16,
        written: &Arc<str>,
        found: Found,
        relationships: &[String],
        fields: Option<&[Arc<str>]>,
    ) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let mut uses = Vec::new();
        let lookup = self.lookup(object, found, &mut uses)?;
        let mut objects = vec![object];
        let mut keys: Vec<Arc<str>> = Vec::new();
        let mut many = false;
        for name in relationships {
            if many {
                return Err(unknown_path());
            }
            let (key, targets) = self.related(&objects, name, &mut uses, &mut many)?;
            keys.push(key);
            objects = targets;
        }
        let (record, named) = outputs(self.catalog, &objects, fields, &mut uses)?;
        let conditions = match &*objects {
            [one] => resolve::condition_fields(self.catalog, *one),
            _ => Vec::new(),
        };
        let endpoint = if keys.is_empty() {
            "sobject-row"
        } else {
            "sobject-relationship"
        };
        let shape = if many {
            // Its further pages have no query to be understood from: the answer has one page or none.
            Shape::Object(vec![
                ("totalSize".into(), Shape::Keep),
                ("done".into(), Shape::Keep),
                ("nextRecordsUrl".into(), Shape::Link(Link::NextPage)),
                (
                    "records".into(),
                    Shape::Array {
                        element: Box::new(Shape::Record(record)),
                        rows: true,
                    },
                ),
            ])
        } else {
            Shape::Record(record)
        };
        self.forward.version = version;
        self.forward.target = Target::Record(Box::new(RecordTarget {
            method: Method::GET,
            object: self.catalog.get(object).name.clone(),
            lookup,
            relationships: keys,
            fields: named,
            conditions,
            body: None,
        }));
        let mut operation = self.operation(Action::Read, endpoint, shape);
        operation.uses = uses;
        operation.objects.push(object);
        for object in objects {
            if !operation.objects.contains(&object) {
                operation.objects.push(object);
            }
        }
        Ok(operation)
    }

    /// Follows one relationship: its key and objects. The reference that is followed is read.
    fn related(
        &self,
        from: &[ObjectId],
        name: &str,
        uses: &mut Vec<Use>,
        many: &mut bool,
    ) -> Result<(Arc<str>, Vec<ObjectId>), Refusal> {
        let mut key: Option<Arc<str>> = None;
        let mut targets: Vec<ObjectId> = Vec::new();
        for &object in from {
            let known = self.catalog.get(object);
            let blob = |field: u32| known.fields[field as usize].kind == FieldType::Blob;
            if known.field(name).is_some_and(blob) {
                return Err(Refusal::new(
                    Reason::EndpointClosed,
                    "Blobs: not open through this proxy",
                ));
            }
            let Some(field) = known.relationship(name) else {
                continue;
            };
            let at = FieldRef { object, field };
            let schema = self.catalog.field(at);
            key = key.or_else(|| schema.relationship_name.clone());
            for target in schema.reference_to.iter().filter_map(|(_, id)| *id) {
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
            uses.push(used(at, Action::Filter, name));
        }
        if let (Some(key), false) = (key, targets.is_empty()) {
            return Ok((key, targets));
        }
        let child = match from {
            [one] => self
                .catalog
                .get(*one)
                .children
                .get(name.to_ascii_lowercase().as_str()),
            _ => None,
        };
        let child = child.ok_or_else(unknown_path)?;
        let object = child.object.ok_or_else(unknown_path)?;
        let field = self
            .catalog
            .get(object)
            .field(&child.field)
            .ok_or_else(unknown_path)?;
        // The children of a record are those whose reference is its id.
        uses.push(used(FieldRef { object, field }, Action::Filter, name));
        *many = true;
        Ok((child.name.clone(), vec![object]))
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
        let mut uses = Vec::new();
        let external = matches!(found, Some(Found::External { .. }));
        let lookup = match found {
            Some(found) => self.lookup(object, found, &mut uses)?,
            None => Lookup::New,
        };
        let (action, endpoint, shape, body) = if let Some(tree) = tree {
            let mut body = Template::default();
            body.text("{");
            check_attributes(self.catalog, object, tree, tree.root)?;
            let skip = ["attributes"];
            let count = fields(
                self.catalog,
                object,
                tree,
                tree.root,
                &skip,
                &mut uses,
                &mut body,
            )?;
            body.text("}");
            if external {
                // Where no record has the value, one is made with it.
                let key = uses.first().cloned().ok_or_else(unknown_path)?;
                if uses[1..].iter().any(|u| u.field == key.field) {
                    return Err(bad_body(
                        "the field that finds the record can not stand in the body too",
                    ));
                }
                uses.push(Use {
                    action: Action::Write,
                    comparison: Comparison::Other,
                    ..key
                });
            } else if count == 0 {
                return Err(empty_record());
            }
            let id = uses.len();
            uses.push(id_use(self.catalog, object)?);
            let endpoint = match (method == Method::POST, external) {
                (true, _) => "sobject-create",
                (false, false) => "sobject-update",
                (false, true) => "sobject-upsert",
            };
            let shape = errors::save_result(vec![id]);
            (Action::Write, endpoint, shape, Some(body))
        } else {
            let id = id_use(self.catalog, object)?;
            uses.push(used(id.field, Action::Delete, written.clone()));
            (Action::Delete, "sobject-delete", Shape::Drop, None)
        };
        self.forward.version = version;
        self.forward.target = Target::Record(Box::new(RecordTarget {
            method: method.clone(),
            object: self.catalog.get(object).name.clone(),
            lookup,
            relationships: Vec::new(),
            fields: None,
            conditions: Vec::new(),
            body,
        }));
        let mut operation = self.operation(action, endpoint, shape);
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }
}
