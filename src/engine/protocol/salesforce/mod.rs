//! Salesforce's REST API.
//!
//! [`understand`] finds the endpoint (`route`), reads its query (`soql`), traces it through the schema (`resolve`) and
//! keeps what [`Forward::print`] needs to print the upstream request after the decision. `cursor` seals further pages;
//! `describe` shapes the answers that show the schema; `schema_pull` writes the schema file from them.

mod cursor;
pub mod describe;
mod forward;
mod headers;
mod resolve;
mod route;
pub mod schema_pull;
pub mod soql;

use std::sync::Arc;

use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::identity::Identity;
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::Sealer;

pub use cursor::{CURSOR_BYTES_MAX, LIFETIME_S as CURSOR_LIFETIME_S, NO_CURSOR, NextPage};
pub use forward::Forward;
pub use resolve::Followed;

use cursor::Cursor;
use forward::Target;
use route::Endpoint;

use super::{
    Action, Api, Comparison, Forward as AnyForward, Link, Literal, Operation, RecordShape,
    RequestHead, Shape, Use,
};

/// No such path: one text for whatever does not exist or may not be seen.
fn unknown_path() -> Refusal {
    Refusal::new(Reason::UnknownPath, "The requested resource does not exist")
}

/// Whether `text` is a record id: 15 or 18 letters and digits.
fn is_record_id(text: &str) -> bool {
    matches!(text.len(), 15 | 18) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Understands one Salesforce request.
///
/// # Errors
/// A refusal in the design's words.
pub fn understand(
    api: &Api,
    head: &RequestHead<'_>,
    body: &[u8],
    catalog: &Catalog,
    caller: &Identity,
    sealer: &Sealer,
) -> Result<Operation, Refusal> {
    understand_with(api, head, body, catalog, caller, &|text| sealer.open(text))
}

/// The uses of one SOQL query, without a request around it: for policy tools, tests and benches.
///
/// # Errors
/// As [`understand`] of a `query` request.
pub fn trace(catalog: &Catalog, api: &str, soql: &str) -> Result<Vec<Use>, Refusal> {
    match read(catalog, api, soql) {
        Ok(resolved) => Ok(resolved.uses),
        Err(stopped) => Err(stopped.refusal),
    }
}

fn read(
    catalog: &Catalog,
    api: &str,
    soql: &str,
) -> Result<resolve::Resolved, Box<resolve::Stopped>> {
    let query = soql::parse(soql).map_err(|e| resolve::malformed(e.to_string()))?;
    resolve::resolve(catalog, api, query)
}

/// [`understand`] with the way to open a sealed text.
fn understand_with(
    api: &Api,
    head: &RequestHead<'_>,
    body: &[u8],
    catalog: &Catalog,
    caller: &Identity,
    open: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<Operation, Refusal> {
    let endpoint = route::route(api, head)?;
    if !body.is_empty() {
        return Err(Refusal::new(
            Reason::BadRequest,
            "this resource takes no request body",
        ));
    }
    let request = Request {
        api,
        catalog,
        forward: Forward {
            target: Target::Fixed(String::new()),
            version: 0,
            headers: headers::allowed(head.headers)?,
            written: Vec::new(),
            followed: Followed::default(),
            pages: None,
            upstream_origin: api.upstream_origin.clone(),
        },
    };
    match endpoint {
        Endpoint::Versions => Ok(request.fixed("versions", String::new(), versions_shape(api))),
        Endpoint::Resources { version } => {
            Ok(request.fixed("resources", format!("/v{version}.0"), resources_shape()))
        }
        Endpoint::Limits { version } => {
            Ok(request.fixed("limits", format!("/v{version}.0/limits"), Shape::Keep))
        }
        Endpoint::Query { version, all, soql } => {
            let cursor = Cursor::new(&api.name, version, all, &soql, caller);
            request.query(cursor)
        }
        Endpoint::Page { version, segment } => {
            let cursor = Cursor::open(&segment, open, &api.name, caller)?;
            if cursor.version != version {
                return Err(cursor::invalid());
            }
            request.page(cursor)
        }
        Endpoint::DescribeGlobal { version } => {
            let objects = (0u32..)
                .map(ObjectId)
                .zip(&catalog.objects)
                .filter(|(_, o)| o.api == api.name)
                .map(|(id, _)| id)
                .collect();
            let mut operation = request.fixed(
                "describe-global",
                format!("/v{version}.0/sobjects"),
                Shape::DescribeGlobal,
            );
            operation.objects = objects;
            Ok(operation)
        }
        Endpoint::Describe { version, object } => request.describe(version, &object),
        Endpoint::Row {
            version,
            object,
            id,
            fields,
        } => request.row(version, &object, id, fields.as_deref()),
    }
}

struct Request<'a> {
    api: &'a Api,
    catalog: &'a Catalog,
    forward: Forward,
}

impl Request<'_> {
    fn operation(self, action: Action, endpoint: &str, shape: Shape) -> Operation {
        Operation {
            api: self.api.clone(),
            action,
            endpoint: endpoint.into(),
            uses: Vec::new(),
            objects: Vec::new(),
            exports: false,
            shape,
            forward: AnyForward::Salesforce(Box::new(self.forward)),
        }
    }

    /// A path that goes upstream as it is.
    fn fixed(mut self, endpoint: &str, path: String, shape: Shape) -> Operation {
        self.forward.target = Target::Fixed(path);
        self.operation(Action::Describe, endpoint, shape)
    }

    fn resolve(&self, soql: &str) -> Result<resolve::Resolved, Box<resolve::Stopped>> {
        read(self.catalog, &self.api.name, soql)
    }

    /// An operation that will be refused: what its mistake comes after is decided first.
    fn stopped(mut self, endpoint: &str, stopped: resolve::Stopped) -> Result<Operation, Refusal> {
        if stopped.uses.is_empty() {
            return Err(stopped.refusal);
        }
        self.forward.written = stopped.written;
        self.forward.followed = stopped.followed;
        self.forward.target = Target::Refused(stopped.refusal);
        let mut operation = self.operation(Action::Read, endpoint, Shape::Drop);
        operation.uses = stopped.uses;
        operation.objects = stopped.objects;
        Ok(operation)
    }

    fn query(mut self, cursor: Cursor) -> Result<Operation, Refusal> {
        let endpoint = if cursor.all { "query-all" } else { "query" };
        let resolved = match self.resolve(&cursor.soql) {
            Ok(resolved) => resolved,
            Err(stopped) => return self.stopped(endpoint, *stopped),
        };
        self.forward.version = cursor.version;
        self.forward.written = resolved.written;
        self.forward.followed = resolved.followed;
        self.forward.target = Target::Query {
            all: cursor.all,
            query: Box::new(resolved.query),
            bindings: resolved.bindings,
            scopes: resolved.scopes,
        };
        self.forward.pages = Some(cursor);
        let mut operation = self.operation(Action::Read, endpoint, resolved.shape);
        operation.uses = resolved.uses;
        operation.objects = resolved.objects;
        Ok(operation)
    }

    /// A further page: its query is understood anew, so that it is decided anew.
    fn page(mut self, mut cursor: Cursor) -> Result<Operation, Refusal> {
        let resolved = match self.resolve(&cursor.soql) {
            Ok(resolved) => resolved,
            Err(stopped) => return self.stopped("query-more", *stopped),
        };
        let shape = match cursor.child {
            None => resolved.shape,
            Some(child) => resolved
                .children
                .into_iter()
                .nth(usize::from(child))
                .ok_or_else(cursor::invalid)?,
        };
        self.forward.version = cursor.version;
        self.forward.written = resolved.written;
        self.forward.followed = resolved.followed;
        self.forward.target = Target::Page {
            all: cursor.all,
            locator: std::mem::take(&mut cursor.locator),
        };
        self.forward.pages = Some(cursor);
        let mut operation = self.operation(Action::Read, "query-more", shape);
        operation.uses = resolved.uses;
        operation.objects = resolved.objects;
        Ok(operation)
    }

    fn object(&mut self, written: &Arc<str>) -> Result<ObjectId, Refusal> {
        let object = self
            .catalog
            .object(&self.api.name, written)
            .ok_or_else(|| Refusal::unknown_object(written))?;
        self.forward.written.push((object, written.clone()));
        Ok(object)
    }

    fn describe(mut self, version: u16, written: &Arc<str>) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let name = &self.catalog.get(object).name;
        let path = format!("/v{version}.0/sobjects/{name}/describe");
        let objects = describe::described_objects(self.catalog, object);
        // Described is what is read: an object with nothing readable is answered like one that does not exist.
        let looks = resolve::looks_at(self.catalog, object, written);
        let mut operation = self.fixed("describe", path, Shape::Describe(object));
        operation.uses.extend(looks);
        operation.objects = objects;
        Ok(operation)
    }

    fn row(
        mut self,
        version: u16,
        written: &Arc<str>,
        id: String,
        fields: Option<&[Arc<str>]>,
    ) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let known = self.catalog.get(object);
        let key = FieldRef {
            object,
            field: known.field("Id").ok_or_else(unknown_path)?,
        };
        let output = |field, written: Arc<str>| Use {
            field,
            action: Action::Read,
            written,
            comparison: Comparison::Other,
            values: Vec::new(),
            named: true,
        };
        let mut uses = vec![Use {
            comparison: Comparison::Equality,
            values: vec![Literal::Text(id.clone())],
            named: false,
            ..output(key, "Id".into())
        }];
        let mut record = RecordShape {
            objects: vec![object],
            scope: 0,
            members: Vec::new(),
            all_fields: fields.is_none(),
            attributes: true,
            paths: Vec::new(),
        };
        let mut named = fields.map(|_| Vec::new());
        for written in fields.unwrap_or_default() {
            let field = known
                .field(written)
                .map(|field| FieldRef { object, field })
                .ok_or_else(|| Refusal::unknown_field(written, &known.name));
            let name = match &field {
                Ok(field) => self.catalog.field(*field).name.clone(),
                Err(_) => written.clone(),
            };
            let field = field.and_then(|field| {
                if record.members.iter().any(|(k, _)| *k == name) {
                    return Err(Refusal::new(
                        Reason::BadRequest,
                        format!("duplicate field selected: {name}"),
                    ));
                }
                Ok(field)
            });
            let field = match field {
                Ok(field) => field,
                Err(refusal) => {
                    let stopped = resolve::Stopped {
                        refusal,
                        uses,
                        objects: vec![object],
                        written: std::mem::take(&mut self.forward.written),
                        followed: Followed::default(),
                    };
                    return self.stopped("sobject-row", stopped);
                }
            };
            record
                .members
                .push((name.clone(), Shape::Value(vec![uses.len()])));
            named
                .get_or_insert_default()
                .push((name, uses.len(), field));
            uses.push(output(field, written.clone()));
        }
        self.forward.version = version;
        self.forward.target = Target::Row {
            object: known.name.clone(),
            key: 0,
            id,
            fields: named,
            conditions: resolve::condition_fields(self.catalog, object),
        };
        let mut operation = self.operation(Action::Read, "sobject-row", Shape::Record(record));
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }
}

/// `GET /services/data`: the versions that privet serves.
fn versions_shape(api: &Api) -> Shape {
    let entry = Shape::Object(vec![
        ("label".into(), Shape::Keep),
        ("url".into(), Shape::Link(Link::Origin)),
        ("version".into(), Shape::Keep),
    ]);
    let cases = (api.versions.0..=api.versions.1)
        .map(|v| (format!("{v}.0").into(), entry.clone()))
        .collect();
    Shape::Array {
        element: Box::new(Shape::ByName {
            member: "version".into(),
            cases,
        }),
        rows: false,
    }
}

/// `GET /services/data/vNN.0`: the resources that privet serves.
fn resources_shape() -> Shape {
    Shape::Object(
        ["limits", "query", "queryAll", "sobjects"]
            .into_iter()
            .map(|name| (name.into(), Shape::Link(Link::Origin)))
            .collect(),
    )
}

#[cfg(test)]
mod tests;
