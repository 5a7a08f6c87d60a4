//! The User Interface API: records by their ids with fields that the request names, and what an object is made of.
//!
//! A record is understood as the query that selects the same fields of it, the records of a list view as the view's own
//! query with the fields that are named. Its members stand in envelopes of a value and
//! a text for display, which shows no more than the value. What a layout would choose is not open: nobody has named it.

use std::sync::Arc;

use http::Method;

use crate::engine::catalog::{FieldRef, ObjectId};
use crate::engine::protocol::{
    Action, Comparison, Literal, Operation, RequestHead, Resolved, Shape, Use,
};
use crate::engine::refusal::Refusal;

use super::forward::{Target, percent_encode, record_id};
use super::list_views::{ListViews, keep, shown};
use super::record::{id_use, used};
use super::resolve::{Followed, looks_at};
use super::route::{self, is_name};
use super::{Request, Surroundings, is_record_id};

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
    /// The records of a list view. `page`: which part, as the end of a query string or nothing.
    ListRecords {
        view: Arc<str>,
        fields: Vec<(String, bool)>,
        page: String,
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
        ["list-records", view] if is_record_id(view) => {
            let [fields, optional, size, token] =
                route::reads(head, &["fields", "optionalFields", "pageSize", "pageToken"])?;
            let mut page = String::new();
            for (name, value) in [("pageSize", size), ("pageToken", token)] {
                let Some(value) = value else { continue };
                if !(1..=6).contains(&value.len()) || !value.bytes().all(|b| b.is_ascii_digit()) {
                    return Err(route::bad_request("pageSize and pageToken take numbers"));
                }
                page.push('&');
                page.push_str(name);
                page.push('=');
                page.push_str(value);
            }
            return Ok(Asked::ListRecords {
                view: Arc::from(*view),
                fields: names_of(fields, optional)?,
                page,
            });
        }
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
    Ok(Asked::Records {
        ids,
        batch,
        fields: names_of(fields, optional)?,
    })
}

/// The fields that a request names, and which of them may be absent.
fn names_of(fields: Option<&str>, optional: Option<&str>) -> Result<Vec<(String, bool)>, Refusal> {
    let mut names = Vec::new();
    for (list, is_optional) in [(fields, false), (optional, true)] {
        let list = list.unwrap_or_default().split(',').map(str::trim);
        names.extend(
            list.filter(|n| !n.is_empty())
                .map(|n| (n.to_owned(), is_optional)),
        );
    }
    if names.is_empty() || names.len() > FIELDS_MAX {
        return Err(unnamed());
    }
    Ok(names)
}

fn unnamed() -> Refusal {
    route::bad_request("fields takes names such as Contact.LastName")
}

/// The object that the first of the fields names.
fn object_of(fields: &[(String, bool)]) -> Result<Arc<str>, Refusal> {
    match fields.first().and_then(|(name, _)| name.split_once('.')) {
        Some((object, _)) if is_name(object) => Ok(object.into()),
        _ => Err(unnamed()),
    }
}

/// Which records are asked for.
#[derive(Debug)]
enum Place {
    /// By their ids, which this use looks up.
    Ids {
        batch: bool,
        used: usize,
        ids: Vec<Literal>,
    },
    /// Those of a list view, and which part of them.
    List { view: Arc<str>, page: String },
}

/// Records as they are asked of the upstream.
#[derive(Debug)]
pub(super) struct UiTarget {
    object: Arc<str>,
    place: Place,
    /// Paths below the object.
    fields: Vec<Printed>,
}

/// A path below the object, as it is asked of the upstream.
#[derive(Debug)]
struct Printed {
    path: String,
    /// The output without which it leaves.
    output: usize,
    /// Where the upstream does not have it, it is left out of the answer.
    is_optional: bool,
}

impl UiTarget {
    /// The path behind `/services/data/vNN.0`.
    pub(super) fn path(&self, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        let mut path = String::from("/ui-api/");
        match &self.place {
            Place::List { view, .. } => {
                path.push_str("list-records/");
                path.push_str(view);
            }
            Place::Ids { batch, used, ids } => {
                path.push_str(if *batch { "records/batch/" } else { "records/" });
                for (index, id) in ids.iter().enumerate() {
                    if index > 0 {
                        path.push(',');
                    }
                    path.push_str(&record_id(resolved, *used, index, id, false)?);
                }
            }
        }
        let named = |is_optional: bool| -> Vec<String> {
            let is_kept = |p: &&Printed| resolved.kept.get(p.output).copied().unwrap_or(false);
            let own = self.fields.iter().filter(|p| p.is_optional == is_optional);
            own.filter(is_kept)
                .map(|p| format!("{}.{}", self.object, p.path))
                .collect()
        };
        let (mut fields, optional) = (named(false), named(true));
        if fields.is_empty() {
            fields.push(format!("{}.Id", self.object));
        }
        path.push_str("?fields=");
        percent_encode(&fields.join(","), &mut path);
        if !optional.is_empty() {
            path.push_str("&optionalFields=");
            percent_encode(&optional.join(","), &mut path);
        }
        if let Place::List { page, .. } = &self.place {
            path.push_str(page);
        }
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
    pub(super) fn ui_api(
        self,
        version: u16,
        asked: &Asked,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        match asked {
            Asked::ListRecords { view, fields, page } => {
                self.ui_list(version, view, fields, page, around)
            }
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
        let object = object_of(fields)?;
        let known = self.object(&object)?;
        let mut uses: Vec<Use> = Vec::new();
        let ids: Vec<Literal> = ids.iter().cloned().map(Literal::Text).collect();
        uses.push(Use {
            comparison: Comparison::Equality,
            values: ids.clone(),
            ..id_use(self.catalog, known)?
        });
        let mut followed = Followed::default();
        let named = self.ui_fields(known, &object, fields, &mut uses, &mut followed);
        let (tree, printed) = match named {
            Ok(named) => named,
            Err(refusal) => return self.mistaken(ENDPOINT, refusal, uses),
        };
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
            place: Place::Ids {
                batch,
                used: 0,
                ids,
            },
            fields: printed,
        }));
        let mut operation = self.operation(Action::Read, ENDPOINT, shape);
        operation.objects = vec![known];
        operation.uses = uses;
        Ok(operation)
    }

    /// The fields that a request names: as a tree, and as they are printed. Adds their uses.
    fn ui_fields(
        &self,
        object: ObjectId,
        spelt: &str,
        fields: &[(String, bool)],
        uses: &mut Vec<Use>,
        followed: &mut Followed,
    ) -> Result<(Fields, Vec<Printed>), Refusal> {
        let mut tree = Fields::default();
        let mut printed = Vec::new();
        for (written, is_optional) in fields {
            let found = match self.ui_field(object, spelt, written) {
                Err(_) if *is_optional => continue,
                found => found?,
            };
            let output = uses.len();
            if !found.references.is_empty() {
                followed.uses.push((output, found.references));
            }
            uses.push(Use {
                named: !is_optional,
                ..used(found.field, Action::Read, written.as_str())
            });
            printed.push(Printed {
                path: found.path.join("."),
                output,
                is_optional: *is_optional,
            });
            tree.add(&found.path, output);
        }
        Ok((tree, printed))
    }

    /// `…/ui-api/list-records/{id}`: the view's own query is judged, and the fields that are named are shown.
    fn ui_list(
        mut self,
        version: u16,
        view: &Arc<str>,
        fields: &[(String, bool)],
        page: &str,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        const ENDPOINT: &str = "ui-list-records";
        let object = object_of(fields)?;
        let known = self.object(&object)?;
        let mut stored = self.view(known, around.known)?;
        let id = stored.uses.len();
        stored.uses.push(id_use(self.catalog, known)?);
        let named = self.ui_fields(
            known,
            &object,
            fields,
            &mut stored.uses,
            &mut stored.followed,
        );
        let (tree, printed) = match named {
            Ok(named) => named,
            Err(refusal) => return self.mistaken(ENDPOINT, refusal, stored.uses),
        };
        let name = self.catalog.get(known).name.clone();
        let shape = Shape::Object(vec![
            ("count".into(), Shape::Number),
            ("currentPageToken".into(), Shape::Keep),
            ("nextPageToken".into(), Shape::Keep),
            ("pageSize".into(), Shape::Number),
            ("previousPageToken".into(), Shape::Keep),
            (
                "records".into(),
                Shape::Array {
                    element: Box::new(tree.record(Some(&name), Some(id))),
                    rows: true,
                },
            ),
        ]);
        self.forward.version = version;
        self.forward.followed = stored.followed;
        self.forward.target = Target::Ui(Box::new(UiTarget {
            object: name,
            place: Place::List {
                view: view.clone(),
                page: page.to_owned(),
            },
            fields: printed,
        }));
        stored.uses.extend(looks_at(self.catalog, known, &object));
        let mut operation = self.operation(Action::Read, ENDPOINT, shape);
        operation.uses = stored.uses;
        operation.objects = stored.objects;
        Ok(operation)
    }

    /// The describe of the list view whose records are asked for.
    pub(super) fn ui_beforehand(
        self,
        version: u16,
        asked: &Asked,
    ) -> Result<Option<Operation>, Refusal> {
        let Asked::ListRecords { view, fields, .. } = asked else {
            return Ok(None);
        };
        let object = object_of(fields)?;
        self.list_view_beforehand(version, &object, &ListViews::Describe(view.clone()))
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
