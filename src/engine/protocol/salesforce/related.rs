//! `…/sobjects/X/{id}/{relationship}…`: the records that relationships lead to, and blobs.

use std::sync::Arc;

use http::header::{ACCEPT, HeaderValue};

use crate::engine::catalog::{FieldRef, FieldType, ObjectId};
use crate::engine::protocol::{
    Action, Link, Literal, Operation, RecordShape, Resolved, Shape, Use,
};
use crate::engine::refusal::{Reason, Refusal};

use super::cursor::{self, Cursor};
use super::forward::{Target, field_names, percent_encode, record_id};
use super::record::{Outputs, id_use, outputs, used};
use super::resolve::{Followed, condition_fields, envelope, looks_at, rows};
use super::route;
use super::{Request, Surroundings, is_record_id, unknown_path};

/// Longest path of relationships.
const STEPS_MAX: usize = 5;

/// Records behind a record.
#[derive(Debug)]
pub(super) struct RelatedTarget {
    object: Arc<str>,
    /// The use that looks the first record up, and its id as written.
    used: usize,
    written: Literal,
    /// The relationships in the schema's spelling.
    path: Vec<Arc<str>>,
    /// The fields named, with their uses; `None` = all.
    fields: Option<Outputs>,
    conditions: Vec<(FieldRef, Arc<str>)>,
}

impl RelatedTarget {
    pub(super) fn path(&self, base: &str, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        let id = record_id(resolved, self.used, 0, &self.written, false)?;
        let mut path = format!(
            "{base}/sobjects/{}/{id}/{}",
            self.object,
            self.path.join("/")
        );
        if let Some(fields) = &self.fields {
            path.push_str("?fields=");
            let names = field_names(fields, &self.conditions, resolved);
            percent_encode(&names.join(","), &mut path);
        }
        Ok(path)
    }
}

/// A blob, read by the record's id and its own field.
#[derive(Debug)]
pub(super) struct BlobTarget {
    object: Arc<str>,
    used: usize,
    written: Literal,
    /// The path behind the record.
    path: String,
    /// The use that reads the field, and its name as written.
    field: usize,
    name: Arc<str>,
}

impl BlobTarget {
    pub(super) fn path(&self, base: &str, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        let is_clear = resolved.clear.get(self.field).copied().unwrap_or(false);
        if !is_clear {
            // Hidden is not there.
            if !resolved.kept.get(self.field).copied().unwrap_or(false) {
                return Err(Refusal::unknown_object(&self.name));
            }
            return Err(Refusal::new(
                Reason::EndpointClosed,
                "This file is not read in clear: not open through this proxy",
            ));
        }
        let id = record_id(resolved, self.used, 0, &self.written, false)?;
        Ok(format!(
            "{base}/sobjects/{}/{id}/{}",
            self.object, self.path
        ))
    }
}

/// What a path of relationships is understood as.
struct Led {
    target: RelatedTarget,
    objects: Vec<ObjectId>,
    followed: Followed,
    record: RecordShape,
    /// It ends in a child relationship.
    list: bool,
}

impl Request<'_> {
    /// `GET …/sobjects/X/{id}/{path}`.
    pub(super) fn related(
        mut self,
        version: u16,
        written: &Arc<str>,
        id: &str,
        path: &[Arc<str>],
        fields: Option<&str>,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let known = self.catalog.get(object);
        let blob = match path {
            [one] => Some(one),
            // `richTextImageFields/{field}/{image}`: as the field that holds the image.
            [first, field, image]
                if first.eq_ignore_ascii_case("richTextImageFields") && is_record_id(image) =>
            {
                Some(field)
            }
            _ => None,
        };
        if let Some(name) = blob
            && let Some(field) = known.field(name)
            && (path.len() == 3 || known.fields[field as usize].kind == FieldType::Blob)
        {
            return self.blob(version, object, FieldRef { object, field }, id, path);
        }
        let mut uses = Vec::new();
        if let [_, field, _] = path
            && blob.is_some()
        {
            let refusal = Refusal::unknown_object(field);
            return self.mistaken("sobject-related", refusal, uses);
        }
        let led = match self.lead(object, id, path, fields, &mut uses) {
            Ok(led) => led,
            Err(refusal) => return self.mistaken("sobject-related", refusal, uses),
        };
        self.forward.version = version;
        self.forward.followed = led.followed;
        let shape = if led.list {
            // A further page is understood from the path again.
            let query = fields.map_or_else(String::new, |f| format!("?fields={f}"));
            let whole = format!("/{written}/{id}/{}{query}", path.join("/"));
            self.forward.pages = Some(Cursor::new(
                &self.api.name,
                version,
                false,
                &whole,
                around.caller,
            ));
            envelope(Link::NextPage, rows(Shape::Record(led.record)))
        } else {
            Shape::Record(led.record)
        };
        self.forward.target = Target::Related(Box::new(led.target));
        let mut operation = self.operation(Action::Read, "sobject-related", shape);
        operation.uses = uses;
        operation.objects = led.objects;
        Ok(operation)
    }

    /// A further page of children: `whole` is the path that [`Self::related`] was asked for.
    pub(super) fn related_page(mut self, mut cursor: Cursor) -> Result<Operation, Refusal> {
        let whole = cursor.soql.clone();
        let (path, fields) = match whole.split_once("?fields=") {
            Some((path, fields)) => (path, Some(fields)),
            None => (&*whole, None),
        };
        let mut segments = path.split('/').skip(1).map(Arc::<str>::from);
        let (Some(written), Some(id)) = (segments.next(), segments.next()) else {
            return Err(cursor::invalid());
        };
        let path: Vec<Arc<str>> = segments.collect();
        let object = self.object(&written)?;
        let mut uses = Vec::new();
        let led = match self.lead(object, &id, &path, fields, &mut uses) {
            Ok(led) => led,
            Err(refusal) => return self.mistaken("query-more", refusal, uses),
        };
        if !led.list {
            return Err(cursor::invalid());
        }
        self.forward.version = cursor.version;
        self.forward.followed = led.followed;
        self.forward.target = Target::Page {
            all: cursor.all,
            locator: std::mem::take(&mut cursor.locator),
        };
        self.forward.pages = Some(cursor);
        let shape = envelope(Link::NextPage, rows(Shape::Record(led.record)));
        let mut operation = self.operation(Action::Read, "query-more", shape);
        operation.uses = uses;
        operation.objects = led.objects;
        Ok(operation)
    }

    /// Follows `path` from the record `id` of `object`.
    fn lead(
        &mut self,
        object: ObjectId,
        id: &str,
        path: &[Arc<str>],
        fields: Option<&str>,
        uses: &mut Vec<Use>,
    ) -> Result<Led, Refusal> {
        let written = Literal::Text(id.to_owned());
        uses.push(Use {
            comparison: crate::engine::protocol::Comparison::Equality,
            values: vec![written.clone()],
            ..id_use(self.catalog, object)?
        });
        let mut followed = Followed::default();
        let mut objects = vec![object];
        let mut spelt = Vec::with_capacity(path.len());
        let mut at = vec![object];
        let mut references: Vec<FieldRef> = Vec::new();
        let mut list = false;
        if path.len() > STEPS_MAX {
            return Err(unknown_path());
        }
        for name in path {
            // A child list leads no further, and neither does a reference to one of several objects.
            let ([from], false) = (at.as_slice(), list) else {
                return Err(Refusal::unknown_object(name));
            };
            let from = *from;
            let known = self.catalog.get(from);
            references.clear();
            if let Some(field) = known.relationship(name) {
                let schema = self.catalog.field(FieldRef {
                    object: from,
                    field,
                });
                references.push(FieldRef {
                    object: from,
                    field,
                });
                at = schema
                    .reference_to
                    .iter()
                    .filter_map(|(_, id)| *id)
                    .collect();
                spelt.extend(schema.relationship_name.clone());
            } else {
                let child = known
                    .children
                    .get(name.to_ascii_lowercase().as_str())
                    .ok_or_else(|| Refusal::unknown_object(name))?;
                let target = child.object.ok_or_else(|| Refusal::unknown_object(name))?;
                let field = self.catalog.get(target).field(&child.field);
                references.extend(field.map(|field| FieldRef {
                    object: target,
                    field,
                }));
                spelt.push(child.name.clone());
                at = vec![target];
                list = true;
            }
            if at.is_empty() {
                return Err(Refusal::unknown_object(name));
            }
            for reference in &references {
                followed.children.push((0, *reference, name.clone()));
                objects.push(reference.object);
            }
            objects.extend(&at);
            // What the caller reads nothing of is not there.
            if let [one] = at.as_slice() {
                self.forward.written.push((*one, name.clone()));
                uses.extend(looks_at(self.catalog, *one, name));
            }
        }
        let fields = fields.map(route::field_names).transpose()?;
        let (mut record, mut named) = (None, None);
        for target in &at {
            let first = uses.len();
            let (shape, outputs) = outputs(self.catalog, *target, fields.as_deref(), uses)?;
            for index in first..uses.len() {
                followed.uses.push((index, references.clone()));
            }
            merge(&mut record, shape, &mut named, outputs);
        }
        followed.scopes = vec![references];
        let conditions = match at.as_slice() {
            [one] => condition_fields(self.catalog, *one),
            _ => Vec::new(),
        };
        objects.sort_unstable();
        objects.dedup();
        Ok(Led {
            target: RelatedTarget {
                object: self.catalog.get(object).name.clone(),
                used: 0,
                written,
                path: spelt,
                fields: named,
                conditions,
            },
            objects,
            followed,
            record: record.ok_or_else(unknown_path)?,
            list,
        })
    }

    /// A field that is a file.
    fn blob(
        mut self,
        version: u16,
        object: ObjectId,
        field: FieldRef,
        id: &str,
        path: &[Arc<str>],
    ) -> Result<Operation, Refusal> {
        let written = Literal::Text(id.to_owned());
        let lookup = Use {
            comparison: crate::engine::protocol::Comparison::Equality,
            values: vec![written.clone()],
            ..id_use(self.catalog, object)?
        };
        let name = path.last().filter(|_| path.len() == 1).or(path.get(1));
        let name = name.cloned().unwrap_or_default();
        let uses = vec![lookup, used(field, Action::Read, name.clone())];
        let spelt = self.catalog.field(field).name.clone();
        let path = match path {
            [_, _, image] => format!("richTextImageFields/{spelt}/{image}"),
            _ => spelt.to_string(),
        };
        self.forward.version = version;
        let any = HeaderValue::from_static("*/*");
        self.forward.headers.insert(ACCEPT, any);
        self.forward.target = Target::Blob(Box::new(BlobTarget {
            object: self.catalog.get(object).name.clone(),
            used: 0,
            written,
            path,
            field: 1,
            name,
        }));
        let mut operation = self.operation(Action::Read, "sobject-blob", Shape::Opaque);
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }
}

/// The shapes of several possible objects as one.
fn merge(
    all: &mut Option<RecordShape>,
    one: RecordShape,
    names: &mut Option<Outputs>,
    more: Option<Outputs>,
) {
    let Some(all) = all else {
        *all = Some(one);
        *names = more;
        return;
    };
    all.objects.extend(one.objects);
    for (key, shape) in one.members {
        match (all.members.iter_mut().find(|(k, _)| *k == key), shape) {
            (Some((_, Shape::Value(sources))), Shape::Value(more)) => sources.extend(more),
            (_, shape) => all.members.push((key, shape)),
        }
    }
    if let (Some(names), Some(more)) = (names, more) {
        for (key, outputs) in more {
            match names.iter_mut().find(|(k, _)| *k == key) {
                Some((_, all)) => all.extend(outputs),
                None => names.push((key, outputs)),
            }
        }
    }
}
