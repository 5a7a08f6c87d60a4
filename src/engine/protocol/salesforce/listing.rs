//! What lists records or counts them without a query: an object's basic information, recently viewed records, changed
//! and deleted ones, record counts, limits; and layouts.

use std::sync::Arc;

use crate::engine::catalog::{FieldRef, FieldType, ObjectId};
use crate::engine::path::Path;
use crate::engine::protocol::{Action, Comparison, Operation, RecordShape, Shape, Use};
use crate::engine::refusal::{Reason, Refusal};

use super::forward::{Target, percent_encode};
use super::record::{id_use, used};
use super::resolve::{looks_at, malformed};
use super::route::is_name;
use super::{Request, describe};

/// Most objects of one request.
const OBJECTS_MAX: usize = 100;

/// Where an object says when its records changed: what `updated` and `deleted` ask about.
const CHANGED: &str = "SystemModstamp";

/// `/limits`: numbers, and nothing else.
pub(super) fn limits_shape() -> Shape {
    let number = |path: &str| Path::parse(path).ok().map(|path| (path, Shape::Number));
    Shape::Paths(
        ["$[*].Max", "$[*].Remaining"]
            .into_iter()
            .filter_map(number)
            .collect(),
    )
}

/// A date and time of a parameter, as Salesforce spells it: `2026-01-31T10:00:00+00:00`, `…Z`.
fn check_time(text: &str) -> Result<(), Refusal> {
    // A plus sign that nobody encoded has become a space.
    if super::soql::is_date_time(&text.replace(' ', "+")) {
        Ok(())
    } else {
        Err(Refusal::new(
            Reason::BadRequest,
            "start and end take a date and time with its zone",
        ))
    }
}

impl Request<'_> {
    /// Id and name of the records of `object`, as lists that nobody chose the fields of show them.
    fn brief(&self, object: ObjectId, uses: &mut Vec<Use>) -> Result<RecordShape, Refusal> {
        let known = self.catalog.get(object);
        let mut members = Vec::new();
        for (index, field) in (0u32..).zip(&known.fields) {
            if field.kind != FieldType::Id && !field.name_field {
                continue;
            }
            members.push((field.name.clone(), Shape::Value(vec![uses.len()])));
            uses.push(Use {
                named: false,
                ..used(
                    FieldRef {
                        object,
                        field: index,
                    },
                    Action::Read,
                    field.name.clone(),
                )
            });
        }
        Ok(RecordShape {
            objects: vec![object],
            scope: 0,
            members,
            enveloped: false,
            all_fields: false,
            attributes: true,
            paths: Vec::new(),
        })
    }

    /// `GET …/sobjects/X`.
    pub(super) fn basic(mut self, version: u16, written: &Arc<str>) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let name = self.catalog.get(object).name.clone();
        let mut uses: Vec<Use> = looks_at(self.catalog, object, written)
            .into_iter()
            .collect();
        let record = self.brief(object, &mut uses)?;
        let shape = Shape::Object(vec![
            ("objectDescribe".into(), describe::summary()),
            (
                "recentItems".into(),
                Shape::Array {
                    element: Box::new(Shape::Record(record)),
                    rows: true,
                },
            ),
        ]);
        self.forward.target = Target::Fixed(format!("/v{version}.0/sobjects/{name}"));
        let mut operation = self.operation(Action::Read, "sobject-basic", shape);
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }

    /// `GET …/recent`.
    pub(super) fn recent(
        mut self,
        version: u16,
        limit: Option<&str>,
    ) -> Result<Operation, Refusal> {
        let limit = match limit {
            None => None,
            Some(text) => Some(
                text.parse()
                    .ok()
                    .filter(|n: &u16| (1..=2000).contains(n))
                    .ok_or_else(|| Refusal::new(Reason::BadRequest, "limit takes 1 to 2000"))?,
            ),
        };
        let mut uses = Vec::new();
        let mut records = Vec::new();
        let mut objects = Vec::new();
        for (object, known) in (0u32..).map(ObjectId).zip(&self.catalog.objects) {
            if known.api == self.api.name {
                records.push(self.brief(object, &mut uses)?);
                objects.push(object);
            }
        }
        let shape = Shape::Array {
            element: Box::new(Shape::OneOf {
                records,
                others_dropped: true,
            }),
            rows: true,
        };
        let query = limit.map_or_else(String::new, |n| format!("?limit={n}"));
        self.forward.target = Target::Fixed(format!("/v{version}.0/recent{query}"));
        let mut operation = self.operation(Action::Read, "recent", shape);
        operation.uses = uses;
        operation.objects = objects;
        Ok(operation)
    }

    /// `GET …/sobjects/X/updated` or `…/deleted`: a range of the time of change is a filter by it.
    pub(super) fn changes(
        mut self,
        version: u16,
        written: &Arc<str>,
        deleted: bool,
        (start, end): (&str, &str),
    ) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let known = self.catalog.get(object);
        let endpoint = if deleted { "deleted" } else { "updated" };
        let mut uses: Vec<Use> = looks_at(self.catalog, object, written)
            .into_iter()
            .collect();
        if let Err(refusal) = check_time(start).and_then(|()| check_time(end)) {
            return self.mistaken(endpoint, refusal, uses);
        }
        let id = uses.len();
        uses.push(id_use(self.catalog, object)?);
        let mut when = Vec::new();
        if let Some(field) = known.field(CHANGED) {
            let field = FieldRef { object, field };
            uses.push(used(field, Action::Filter, CHANGED));
            when.push(uses.len());
            uses.push(Use {
                named: false,
                ..used(field, Action::Read, CHANGED)
            });
        } else {
            // Without it nothing says whether the caller may ask for a time of change.
            return Err(Refusal::new(
                Reason::EndpointClosed,
                "Lists of changed records of this object: not open through this proxy",
            ));
        }
        let list = |element: Shape| Shape::Array {
            element: Box::new(element),
            rows: true,
        };
        let mut members = vec![("latestDateCovered".into(), Shape::Value(when.clone()))];
        if deleted {
            let row = Shape::Object(vec![
                ("id".into(), Shape::Value(vec![id])),
                ("deletedDate".into(), Shape::Value(when.clone())),
            ]);
            members.push(("deletedRecords".into(), list(row)));
            members.push(("earliestDateAvailable".into(), Shape::Value(when)));
        } else {
            members.push(("ids".into(), list(Shape::Value(vec![id]))));
        }
        let mut path = format!("/v{version}.0/sobjects/{}/{endpoint}/?start=", known.name);
        percent_encode(&start.replace(' ', "+"), &mut path);
        path.push_str("&end=");
        percent_encode(&end.replace(' ', "+"), &mut path);
        self.forward.target = Target::Fixed(path);
        let mut operation = self.operation(Action::Read, endpoint, Shape::Object(members));
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }

    /// The objects of a list of names.
    fn objects(&mut self, list: &str) -> Result<Vec<(ObjectId, Arc<str>)>, Refusal> {
        let names: Vec<&str> = list.split(',').map(str::trim).collect();
        if names.len() > OBJECTS_MAX || !names.iter().all(|n| is_name(n)) {
            return Err(malformed(
                "names of objects are needed, separated by commas",
            ));
        }
        names
            .into_iter()
            .map(|name| {
                let name: Arc<str> = name.into();
                self.object(&name).map(|object| (object, name))
            })
            .collect()
    }

    /// `GET …/limits/recordCount?sObjects=X,Y`: a count of rows is an aggregate of Id.
    pub(super) fn record_counts(
        mut self,
        version: u16,
        list: Option<&str>,
    ) -> Result<Operation, Refusal> {
        let list = list.ok_or_else(|| {
            Refusal::new(Reason::BadRequest, "sObjects is needed: names of objects")
        })?;
        // A parameter takes any text: neither an unknown nor a hidden name is repeated from it.
        let named = self.objects(list).map_err(|refusal| match refusal.reason {
            Reason::UnknownObject => Refusal::unknown_object(""),
            _ => refusal,
        })?;
        for (_, written) in &mut self.forward.written {
            *written = "".into();
        }
        let mut uses = Vec::new();
        let mut cases = Vec::new();
        for (object, written) in &named {
            uses.extend(looks_at(self.catalog, *object, written));
            let id = id_use(self.catalog, *object)?;
            uses.push(Use {
                action: Action::Aggregate,
                comparison: Comparison::Identity,
                named: true,
                ..id
            });
            let entry = Shape::Object(vec![
                ("count".into(), Shape::Number),
                ("name".into(), Shape::Keep),
            ]);
            cases.push((self.catalog.get(*object).name.clone(), entry));
        }
        let shape = Shape::Object(vec![(
            "sObjects".into(),
            Shape::Array {
                element: Box::new(Shape::ByName {
                    member: "name".into(),
                    cases: cases.clone(),
                }),
                rows: false,
            },
        )]);
        let names: Vec<&str> = cases.iter().map(|(name, _)| &**name).collect();
        let path = format!(
            "/v{version}.0/limits/recordCount?sObjects={}",
            names.join(",")
        );
        self.forward.target = Target::Fixed(path);
        let mut operation = self.operation(Action::Read, "record-count", shape);
        operation.uses = uses;
        operation.objects = named.iter().map(|(object, _)| *object).collect();
        Ok(operation)
    }

    /// `GET …/sobjects/X/describe/layouts` and what is like it; `rest`: the path behind the object.
    pub(super) fn layouts(
        mut self,
        version: u16,
        written: &Arc<str>,
        rest: &str,
    ) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let name = &self.catalog.get(object).name;
        let path = format!("/v{version}.0/sobjects/{name}/{rest}");
        let uses: Vec<Use> = looks_at(self.catalog, object, written)
            .into_iter()
            .collect();
        let shape = Shape::Layouts {
            objects: vec![object],
            by_object: false,
        };
        let mut objects = describe::described_objects(self.catalog, object);
        objects.dedup();
        let mut operation = self.fixed("layouts", path, shape);
        operation.uses = uses;
        operation.objects = objects;
        Ok(operation)
    }

    /// `GET …/compactLayouts?q=X,Y`.
    pub(super) fn compact_layouts(
        mut self,
        version: u16,
        list: &str,
    ) -> Result<Operation, Refusal> {
        let named = self.objects(list)?;
        let mut uses = Vec::new();
        let mut objects: Vec<ObjectId> = Vec::new();
        for (object, written) in &named {
            uses.extend(looks_at(self.catalog, *object, written));
            objects.extend(describe::described_objects(self.catalog, *object));
        }
        objects.sort_unstable();
        objects.dedup();
        let own: Vec<ObjectId> = named.iter().map(|(object, _)| *object).collect();
        let names: Vec<&str> = own.iter().map(|o| &*self.catalog.get(*o).name).collect();
        let path = format!("/v{version}.0/compactLayouts?q={}", names.join(","));
        let shape = Shape::Layouts {
            objects: own,
            by_object: true,
        };
        let mut operation = self.fixed("compact-layouts", path, shape);
        operation.uses = uses;
        operation.objects = objects;
        Ok(operation)
    }
}
