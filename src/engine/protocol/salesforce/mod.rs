//! Salesforce's REST API.
//!
//! [`understand`] finds the endpoint (`route`), reads its query (`soql`), traces it through the schema (`resolve`) and
//! keeps what [`Forward::print`] needs to print the upstream request after the decision. `cursor` seals further pages;
//! `describe` shapes the answers that show the schema; `schema_pull` writes the schema file from them.

mod analytics;
mod bulk;
pub mod bulk1;
mod collections;
mod composite;
mod cursor;
pub mod describe;
pub mod errors;
mod forward;
pub mod graphql;
mod headers;
pub mod layouts;
mod list_views;
mod listing;
pub mod login;
mod record;
mod related;
mod resolve;
mod resource;
mod route;
pub mod schema_pull;
mod search;
pub mod soap;
pub mod soql;
pub mod sosl;
pub mod streaming;
mod template;
mod tree;
mod ui_api;

use std::sync::Arc;

use crate::engine::catalog::{Catalog, ObjectId};
use crate::engine::identity::{Identity, Proof};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::Sealer;

pub use cursor::{CURSOR_BYTES_MAX, LIFETIME_S as CURSOR_LIFETIME_S, NO_CURSOR, NextPage};
pub use forward::Forward;
pub use resolve::Followed;

use composite::Envelope;
use cursor::Cursor;
use forward::Target;
use route::Endpoint;

use super::{
    Action, Api, Forward as AnyForward, Known, Link, Literal, Operation, RequestHead, Shape, Use,
    json_body,
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
    understand_knowing(api, head, body, catalog, caller, open, &Known::default())
}

/// As [`understand`], knowing what the upstream has said beforehand.
///
/// # Errors
/// As [`understand`].
pub(super) fn understand_knowing(
    api: &Api,
    head: &RequestHead<'_>,
    body: &[u8],
    catalog: &Catalog,
    caller: &Identity,
    open: &dyn Fn(&str) -> Option<Vec<u8>>,
    known: &Known,
) -> Result<Operation, Refusal> {
    let around = Surroundings {
        caller,
        open,
        known,
    };
    understand_within(api, head, body, catalog, &around, Within::Alone)
}

/// What has to be asked of the upstream before the request can be understood.
///
/// # Errors
/// As [`understand`].
pub(super) fn beforehand(
    api: &Api,
    head: &RequestHead<'_>,
    body: &[u8],
    catalog: &Catalog,
    caller: &Identity,
    open: &dyn Fn(&str) -> Option<Vec<u8>>,
) -> Result<Option<Operation>, Refusal> {
    if !route::is_stored(head.segments) && !streaming::is_at(head.segments) {
        return Ok(None);
    }
    let endpoint = route::route(api, head)?;
    let request = Request::new(api, head, catalog, Within::Alone)?;
    let known = Known::default();
    let around = Surroundings {
        caller,
        open,
        known: &known,
    };
    match endpoint {
        Endpoint::ListViews {
            version,
            object,
            asked,
        } => request.list_view_beforehand(version, &object, &asked),
        Endpoint::Ui { version, asked } => request.ui_beforehand(version, &asked),
        Endpoint::Analytics { version, asked } => {
            request.analytics_beforehand(version, &asked, head, body, &around)
        }
        Endpoint::Stream { version } => {
            let tree = json_body::read(head.headers, body)?;
            request.streaming_beforehand(version, &tree, &around)
        }
        _ => Ok(None),
    }
}

/// Who asks, and how a sealed text is opened.
struct Surroundings<'a> {
    caller: &'a Identity,
    open: &'a dyn Fn(&str) -> Option<Vec<u8>>,
    /// What the upstream has said beforehand.
    known: &'a Known,
}

/// What a request stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// Nothing: it came alone.
    Alone,
    /// A request of parts.
    Part(Envelope),
}

impl Within {
    /// Whether a part may ask this.
    fn allows(self, endpoint: &Endpoint) -> bool {
        let Self::Part(envelope) = self else {
            return true;
        };
        match endpoint {
            Endpoint::Row { .. } | Endpoint::Change { .. } => true,
            // A graph holds single records only (REST API Developer Guide, "Composite Graph").
            Endpoint::Query { .. }
            | Endpoint::Save { .. }
            | Endpoint::UpsertAll { .. }
            | Endpoint::DeleteAll { .. } => envelope != Envelope::Graph,
            Endpoint::Limits { .. } => envelope == Envelope::Batch,
            _ => false,
        }
    }
}

/// Understands a request that came alone, or a part of one.
fn understand_within(
    api: &Api,
    head: &RequestHead<'_>,
    body: &[u8],
    catalog: &Catalog,
    around: &Surroundings<'_>,
    within: Within,
) -> Result<Operation, Refusal> {
    let Surroundings { caller, open, .. } = *around;
    let endpoint = route::route(api, head)?;
    if !within.allows(&endpoint) {
        return Err(Refusal::new(
            Reason::EndpointClosed,
            "This resource inside another request: not open through this proxy",
        ));
    }
    // They read their bodies themselves.
    let reads_body = matches!(
        endpoint,
        Endpoint::Soap { .. }
            | Endpoint::Analytics { .. }
            | Endpoint::Batches { .. }
            | Endpoint::Bulk {
                asked: bulk::Asked::Upload(_),
                ..
            }
    );
    let tree = if endpoint.takes_body(head.method) {
        Some(json_body::read(head.headers, body)?)
    } else if body.is_empty() || reads_body {
        None
    } else {
        return Err(Refusal::new(
            Reason::BadRequest,
            "this resource takes no request body",
        ));
    };
    let request = Request::new(api, head, catalog, within)?;
    match endpoint {
        Endpoint::Versions => Ok(request.fixed("versions", String::new(), versions_shape(api))),
        Endpoint::Resources { version } => {
            let shape = resources_shape(api, caller);
            Ok(request.fixed("resources", format!("/v{version}.0"), shape))
        }
        Endpoint::Limits { version } => Ok(request.fixed(
            "limits",
            format!("/v{version}.0/limits"),
            listing::limits_shape(),
        )),
        Endpoint::Query { version, all, soql } => {
            let cursor = Cursor::new(&api.name, version, all, &soql, caller);
            request.query(cursor)
        }
        Endpoint::Basic { version, object } => request.basic(version, &object),
        Endpoint::Recent { version, limit } => request.recent(version, limit.as_deref()),
        Endpoint::Changes {
            version,
            object,
            deleted,
            start,
            end,
        } => request.changes(version, &object, deleted, (&start, &end)),
        Endpoint::RecordCounts { version, objects } => {
            request.record_counts(version, objects.as_deref())
        }
        Endpoint::Layouts {
            version,
            object,
            rest,
        } => request.layouts(version, &object, &rest),
        Endpoint::CompactLayouts { version, objects } => request.compact_layouts(version, &objects),
        Endpoint::ListViews {
            version,
            object,
            asked,
        } => request.list_views(version, &object, &asked, around),
        Endpoint::Analytics { version, asked } => {
            request.analytics(version, &asked, head, body, around)
        }
        Endpoint::Ui { version, asked } => request.ui_api(version, &asked, around),
        Endpoint::Related {
            version,
            object,
            id,
            path,
            fields,
        } => request.related(version, &object, &id, &path, fields.as_deref(), around),
        Endpoint::Search { version, sosl } => request.sosl(version, &sosl),
        Endpoint::ParameterizedSearch { version, pairs } => {
            request.parameterized(version, &pairs, tree.as_ref())
        }
        Endpoint::Suggestions {
            version,
            q,
            object,
            fields,
            limit,
        } => request.suggestions(version, &q, &object, fields.as_deref(), limit.as_deref()),
        Endpoint::Page { version, segment } => {
            let cursor = Cursor::open(&segment, open, &api.name, caller)?;
            if cursor.version != version {
                return Err(cursor::invalid());
            }
            if cursor.soql.starts_with('/') {
                request.related_page(cursor)
            } else {
                request.page(cursor)
            }
        }
        Endpoint::DescribeGlobal { version } => Ok(request.describe_global(version)),
        Endpoint::Bulk {
            version,
            kind,
            asked,
        } => request.bulk(version, kind, &asked, tree.as_ref(), body, around),
        Endpoint::Batches { version, asked } => request.bulk1(version, asked, head, body, around),
        Endpoint::Soap { wsdl, version } => request.soap(wsdl, version, body, around),
        Endpoint::Describe { version, object } => request.describe(version, &object),
        Endpoint::Row {
            version,
            object,
            found,
            fields,
        } => request.row(version, &object, found, fields.as_deref()),
        Endpoint::Composite { version, envelope } => {
            let tree = tree.as_ref().ok_or_else(unknown_path)?;
            request.composite(version, envelope, tree, around)
        }
        Endpoint::Graphql { version } => {
            let tree = tree.as_ref().ok_or_else(unknown_path)?;
            request.graphql(version, tree, around)
        }
        Endpoint::Resource { version, path } => request.resource(version, &path, head.query),
        Endpoint::Stream { version } => {
            let tree = tree.as_ref().ok_or_else(unknown_path)?;
            request.streaming(version, tree, around)
        }
        Endpoint::Retrieve {
            version,
            object,
            lists,
        } => {
            let lists = lists.as_ref().map(|(ids, fields)| (&**ids, &**fields));
            request.retrieve(version, head.method, &object, lists, tree.as_ref())
        }
        Endpoint::Save { version } => {
            let tree = tree.as_ref().ok_or_else(unknown_path)?;
            request.save(version, head.method, tree, None)
        }
        Endpoint::UpsertAll {
            version,
            object,
            field,
        } => {
            let tree = tree.as_ref().ok_or_else(unknown_path)?;
            request.save(version, head.method, tree, Some((&object, &field)))
        }
        Endpoint::Tree { version, object } => {
            let tree = tree.as_ref().ok_or_else(unknown_path)?;
            request.tree(version, &object, tree)
        }
        Endpoint::DeleteAll {
            version,
            ids,
            all_or_none,
        } => request.delete_all(version, &ids, all_or_none),
        Endpoint::Change {
            version,
            object,
            found,
        } => request.change(version, head.method, &object, found, tree.as_ref()),
    }
}

/// How much of a request's body [`understand`] wants to see.
pub fn intake(
    api: &Api,
    head: &RequestHead<'_>,
    caller: &Identity,
    sealer: &Sealer,
) -> super::Intake {
    if bulk1::is_at(head.segments) {
        bulk1::intake(api, head, caller, sealer)
    } else if bulk::is_upload(head) {
        super::Intake::FirstRow
    } else {
        super::Intake::Whole
    }
}

struct Request<'a> {
    api: &'a Api,
    catalog: &'a Catalog,
    within: Within,
    forward: Forward,
}

impl<'a> Request<'a> {
    fn new(
        api: &'a Api,
        head: &RequestHead<'_>,
        catalog: &'a Catalog,
        within: Within,
    ) -> Result<Self, Refusal> {
        Ok(Self {
            api,
            catalog,
            within,
            forward: Forward {
                target: Target::Fixed(String::new()),
                version: 0,
                headers: headers::allowed(head.headers, head.method)?,
                written: Vec::new(),
                followed: Followed::default(),
                pages: None,
                upstream_origin: api.upstream_origin.clone(),
                stream: None,
            },
        })
    }
}

impl Request<'_> {
    fn operation(self, action: Action, endpoint: &str, shape: Shape) -> Operation {
        Operation {
            api: self.api.clone(),
            action,
            endpoint: endpoint.into(),
            uses: Vec::new(),
            optional: 0..0,
            objects: Vec::new(),
            exports: false,
            shape,
            upload: None,
            forward: AnyForward::Salesforce(Box::new(self.forward)),
        }
    }

    /// A path that goes upstream as it is.
    fn fixed(mut self, endpoint: &str, path: String, shape: Shape) -> Operation {
        self.forward.target = Target::Fixed(path);
        self.operation(Action::Describe, endpoint, shape)
    }

    /// Whether `value` stands for a value of an earlier part of the same request.
    fn is_reference(&self, value: &Literal) -> bool {
        matches!(
            self.within,
            Within::Part(Envelope::Composite | Envelope::Graph)
        ) && matches!(value, Literal::Text(text) if composite::is_reference(text))
    }

    fn resolve(&self, soql: &str) -> Result<resolve::Resolved, Box<resolve::Stopped>> {
        read(self.catalog, &self.api.name, soql)
    }

    /// As [`Self::stopped`], for a mistake after these uses. An object that the request names is looked at before them.
    fn mistaken(
        mut self,
        endpoint: &str,
        refusal: Refusal,
        uses: Vec<Use>,
    ) -> Result<Operation, Refusal> {
        let written = std::mem::take(&mut self.forward.written);
        let mut all: Vec<Use> = Vec::with_capacity(uses.len() + 1);
        if let Some((object, name)) = written.first() {
            all.extend(resolve::looks_at(self.catalog, *object, name));
        }
        all.extend(uses);
        // The object named last may have no use of its own yet.
        if let Some((object, name)) = written.last() {
            all.extend(resolve::looks_at(self.catalog, *object, name));
        }
        let stopped = resolve::Stopped {
            refusal,
            uses: all,
            objects: written.iter().map(|(object, _)| *object).collect(),
            written,
            followed: Followed::default(),
        };
        self.stopped(endpoint, stopped)
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

    fn describe_global(self, version: u16) -> Operation {
        let objects = (0u32..)
            .map(ObjectId)
            .zip(&self.catalog.objects)
            .filter(|(_, o)| o.api == self.api.name)
            .map(|(id, _)| id)
            .collect();
        let mut operation = self.fixed(
            "describe-global",
            format!("/v{version}.0/sobjects"),
            Shape::DescribeGlobal,
        );
        operation.objects = objects;
        operation
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

/// `GET /services/data/vNN.0`: the resources that privet serves, and where the caller finds who it is.
fn resources_shape(api: &Api, caller: &Identity) -> Shape {
    let mut members: Vec<(Arc<str>, Shape)> =
        ["composite", "limits", "query", "queryAll", "sobjects"]
            .into_iter()
            .map(|name| (name.into(), Shape::Link(Link::Origin)))
            .collect();
    if caller.proof != Proof::Passthrough {
        let who = login::who::Who {
            origin: &api.public_origin,
            tenant: &caller.tenant,
            name: caller.client.as_deref().unwrap_or(&caller.subject),
        };
        let mut url = String::new();
        json_body::print_text(&who.url(), &mut url);
        members.push(("identity".into(), Shape::Constant(url.into())));
    }
    Shape::Object(members)
}

#[cfg(test)]
mod tests;
