//! The User Interface API: records by their ids with fields that the request names, and what an object is made of.
//!
//! A record is understood as the query that selects the same fields of it. Its members stand in envelopes of a value and
//! a text for display, which shows no more than the value. What a layout would choose is not open: nobody has named it.

use std::sync::Arc;

use http::Method;

use crate::engine::catalog::{FieldRef, ObjectId};
use crate::engine::protocol::{
    Action, Comparison, Literal, Operation, RequestHead, Resolved, Shape, Use,
};
use crate::engine::refusal::Refusal;

use super::Request;
use super::forward::{Target, percent_encode, record_id};
use super::list_views::{keep, shown};
use super::record::{id_use, used};
use super::resolve::{Followed, looks_at};
use super::route::{self, is_name};

/// Most records of one request ("Get a Batch of Records", User Interface API Developer Guide).
const RECORDS_MAX: usize = 200;
/// Most fields of one request.
const FIELDS_MAX: usize = 500;

/// What is asked of the User Interface API.
#[derive(Debug)]
pub(super) enum Asked {
    /// One record, or several by a list of ids.
    Records {
        ids: Vec<String>,
        batch: bool,
        fields: Vec<(String, bool)>,
    },
    /// What an object is made of.
    ObjectInfo(Arc<str>),
}

fn closed() -> Refusal {
    route::closed("This resource of the User Interface API")
}

/// The resource behind `…/ui-api/`.
///
/// # Errors
/// What is not open, other methods, and parameters that are not known.
pub(super) fn asked(head: &RequestHead<'_>, rest: &[&str]) -> Result<Asked, Refusal> {
    let (ids, batch) = match rest {
        ["object-info", object] if is_name(object) => {
            let _: [_; 0] = route::reads(head, &[])?;
            return Ok(Asked::ObjectInfo(Arc::from(*object)));
        }
        ["records", "batch", ids] => (ids.split(',').map(str::to_owned).collect(), true),
        ["records", id] => (vec![(*id).to_owned()], false),
        _ => return Err(closed()),
    };
    if !matches!(*head.method, Method::GET | Method::HEAD) {
        return Err(route::closed("Changes through the User Interface API"));
    }
    if ids.len() > RECORDS_MAX {
        return Err(route::bad_request("too many records are asked for"));
    }
    let [fields, optional, layouts, modes] =
        route::reads(head, &["fields", "optionalFields", "layoutTypes", "modes"])?;
    if layouts.is_some() || modes.is_some() {
        return Err(route::closed("Fields that a layout chooses"));
    }
    let mut names = Vec::new();
    for (list, is_optional) in [(fields, false), (optional, true)] {
        let list = list.unwrap_or_default().split(',').map(str::trim);
        names.extend(
            list.filter(|n| !n.is_empty())
                .map(|n| (n.to_owned(), is_optional)),
        );
    }
    if names.is_empty() || names.len() > FIELDS_MAX {
        return Err(route::bad_request(
            "fields takes names such as Contact.LastName",
        ));
    }
    Ok(Asked::Records {
        ids,
        batch,
        fields: names,
    })
}

/// Records as they are asked of the upstream.
#[derive(Debug)]
pub(super) struct UiTarget {
    object: Arc<str>,
    batch: bool,
    /// The use that looks the records up, and their ids.
    lookup: usize,
    ids: Vec<Literal>,
    /// Paths below the object, and their outputs.
    fields: Vec<(String, usize)>,
}

impl UiTarget {
    /// The path behind `/services/data/vNN.0`.
    pub(super) fn path(&self, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        let mut path = String::from(if self.batch {
            "/ui-api/records/batch/"
        } else {
            "/ui-api/records/"
        });
        for (index, id) in self.ids.iter().enumerate() {
            if index > 0 {
                path.push(',');
            }
            path.push_str(&record_id(resolved, self.lookup, index, id, false)?);
        }
        path.push_str("?fields=");
        let mut names: Vec<String> = self
            .fields
            .iter()
            .filter(|(_, output)| resolved.kept.get(*output).copied().unwrap_or(false))
            .map(|(name, _)| format!("{}.{name}", self.object))
            .collect();
        if names.is_empty() {
            names.push(format!("{}.Id", self.object));
        }
        percent_encode(&names.join(","), &mut path);
        Ok(path)
    }
}

/// A field that a path leads to.
struct Found {
    /// The names on the way to it, and its own.
    path: Vec<Arc<str>>,
    field: FieldRef,
    /// The reference fields on the way.
    references: Vec<FieldRef>,
}

/// The fields of a record, as a tree of its relationships.
#[derive(Default)]
struct Fields {
    own: Vec<(Arc<str>, usize)>,
    parents: Vec<(Arc<str>, Fields)>,
}

impl Fields {
    fn add(&mut self, path: &[Arc<str>], output: usize) {
        match path {
            [] => {}
            [field] => {
                if !self.own.iter().any(|(name, _)| name == field) {
                    self.own.push((field.clone(), output));
                }
            }
            [parent, rest @ ..] => {
                let at = match self.parents.iter().position(|(name, _)| name == parent) {
                    Some(at) => at,
                    None => {
                        self.parents.push((parent.clone(), Self::default()));
                        self.parents.len() - 1
                    }
                };
                if let Some((_, inner)) = self.parents.get_mut(at) {
                    inner.add(rest, output);
                }
            }
        }
    }

    /// A record of the answer. `id`: the output that its id is shown as, of the record itself.
    fn record(&self, name: Option<&Arc<str>>, id: Option<usize>) -> Shape {
        let mut fields: Vec<(Arc<str>, Shape)> = Vec::new();
        for (name, output) in &self.own {
            let value = || Shape::Value(vec![*output]);
            let envelope = Shape::Object(vec![
                ("displayValue".into(), value()),
                ("value".into(), value()),
            ]);
            fields.push((name.clone(), shown(vec![*output], envelope)));
        }
        for (name, inner) in &self.parents {
            // The name of what it leads to is another field of it.
            let envelope = Shape::Object(vec![("value".into(), inner.record(None, None))]);
            fields.push((name.clone(), envelope));
        }
        let api_name = name.map_or(Shape::Keep, |name| Shape::Expect(name.clone()));
        let mut members = vec![
            ("apiName".into(), api_name),
            ("fields".into(), Shape::Object(fields)),
        ];
        if let Some(id) = id {
            members.push(("id".into(), Shape::Value(vec![id])));
        }
        Shape::Object(members)
    }
}

impl Request<'_> {
    /// `…/ui-api/…`
    pub(super) fn ui_api(self, version: u16, asked: &Asked) -> Result<Operation, Refusal> {
        match asked {
            Asked::ObjectInfo(object) => self.object_info(version, object),
            Asked::Records { ids, batch, fields } => self.ui_records(version, ids, *batch, fields),
        }
    }

    fn ui_records(
        mut self,
        version: u16,
        ids: &[String],
        batch: bool,
        fields: &[(String, bool)],
    ) -> Result<Operation, Refusal> {
        const ENDPOINT: &str = "ui-records";
        let object: Arc<str> = match fields.first().and_then(|(name, _)| name.split_once('.')) {
            Some((object, _)) if is_name(object) => object.into(),
            _ => {
                return Err(route::bad_request(
                    "fields takes names such as Contact.LastName",
                ));
            }
        };
        let known = self.object(&object)?;
        let mut uses: Vec<Use> = Vec::new();
        let ids: Vec<Literal> = ids.iter().cloned().map(Literal::Text).collect();
        uses.push(Use {
            comparison: Comparison::Equality,
            values: ids.clone(),
            ..id_use(self.catalog, known)?
        });
        let mut followed = Followed::default();
        let mut tree = Fields::default();
        let mut printed = Vec::new();
        for (written, is_optional) in fields {
            let found = self.ui_field(known, &object, written);
            let Found {
                path,
                field,
                references,
            } = match found {
                Ok(found) => found,
                Err(_) if *is_optional => continue,
                Err(refusal) => return self.mistaken(ENDPOINT, refusal, uses),
            };
            let output = uses.len();
            if !references.is_empty() {
                followed.uses.push((output, references));
            }
            uses.push(Use {
                named: !is_optional,
                ..used(field, Action::Read, written.as_str())
            });
            printed.push((path.join("."), output));
            tree.add(&path, output);
        }
        let name = self.catalog.get(known).name.clone();
        let record = tree.record(Some(&name), Some(0));
        let shape = if batch {
            Shape::Object(vec![
                ("hasErrors".into(), Shape::Boolean),
                (
                    "results".into(),
                    Shape::Array {
                        element: Box::new(Shape::Object(vec![
                            ("result".into(), Shape::Answer(Box::new(record))),
                            ("statusCode".into(), Shape::Number),
                        ])),
                        rows: true,
                    },
                ),
            ])
        } else {
            record
        };
        self.forward.version = version;
        self.forward.followed = followed;
        self.forward.target = Target::Ui(Box::new(UiTarget {
            object: name,
            batch,
            lookup: 0,
            ids,
            fields: printed,
        }));
        let mut operation = self.operation(Action::Read, ENDPOINT, shape);
        operation.objects = vec![known];
        operation.uses = uses;
        Ok(operation)
    }

    /// The field of `object` that a path leads to, which begins with the object as the caller spells it.
    fn ui_field(&self, object: ObjectId, spelt: &str, written: &str) -> Result<Found, Refusal> {
        let known = self.catalog.get(object);
        let unknown = || Refusal::unknown_field(written, &known.name);
        if !written.split('.').all(is_name) {
            return Err(route::bad_request(
                "fields takes names such as Contact.LastName",
            ));
        }
        let rest = written
            .split_once('.')
            .filter(|(first, _)| first.eq_ignore_ascii_case(spelt))
            .map(|(_, rest)| rest)
            .ok_or_else(unknown)?;
        let found = self
            .catalog
            .field_path(&self.api.name, &format!("{}.{rest}", known.name))
            .ok_or_else(unknown)?;
        let mut path: Vec<Arc<str>> = found
            .references
            .iter()
            .filter_map(|r| self.catalog.field(*r).relationship_name.clone())
            .collect();
        path.push(self.catalog.field(found.field).name.clone());
        Ok(Found {
            path,
            field: found.field,
            references: found.references,
        })
    }

    /// The fields of an object that the caller reads.
    fn object_info(mut self, version: u16, written: &Arc<str>) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let known = self.catalog.get(object);
        let mut uses: Vec<Use> = looks_at(self.catalog, object, written)
            .into_iter()
            .collect();
        let mut fields = Vec::new();
        for (index, field) in (0u32..).zip(&known.fields) {
            let at = FieldRef {
                object,
                field: index,
            };
            let told = keep(&[
                "apiName",
                "calculated",
                "compound",
                "createable",
                "custom",
                "dataType",
                "label",
                "length",
                "nameField",
                "precision",
                "reference",
                "relationshipName",
                "required",
                "scale",
                "unique",
                "updateable",
            ]);
            fields.push((field.name.clone(), shown(vec![uses.len()], told)));
            uses.push(Use {
                named: false,
                ..used(at, Action::Read, field.name.clone())
            });
        }
        let mut members: Vec<(Arc<str>, Shape)> = [
            "apiName",
            "custom",
            "keyPrefix",
            "label",
            "labelPlural",
            "queryable",
        ]
        .into_iter()
        .map(|name| (name.into(), Shape::Keep))
        .collect();
        members.push(("fields".into(), Shape::Object(fields)));
        let path = format!("/v{version}.0/ui-api/object-info/{}", known.name);
        let mut operation = self.fixed("ui-object-info", path, Shape::Object(members));
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }
}
