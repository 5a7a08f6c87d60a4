//! Resources of Chatter and Connect: those that the policy lists, and of their answers what rows in `classes/` bind to a
//! class. Nothing in an answer says which object and field a text is, so a listed resource is an object of its own in
//! the catalog, and each bound JSONPath a field of it.

use std::sync::Arc;

use crate::engine::catalog::{FieldRef, Resource};
use crate::engine::path::Path;
use crate::engine::protocol::{Action, Operation, RecordShape, Resolved, Shape};
use crate::engine::refusal::{Reason, Refusal};

use super::Request;
use super::forward::Target;
use super::record::used;
use super::route;

/// Parameters that choose a page.
const PAGING: [&str; 2] = ["page", "pageSize"];

/// A resource on its way upstream.
#[derive(Debug)]
pub(super) struct ResourceTarget {
    /// Behind the version, with its parameters.
    path: String,
    /// `connect` or `chatter`.
    first: Arc<str>,
}

impl ResourceTarget {
    pub(super) fn path(&self, base: &str, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        // Nothing readable = not there.
        if !resolved.kept.contains(&true) {
            return Err(route::closed_resource(&self.first));
        }
        Ok(format!("{base}/{}", self.path))
    }
}

impl Request<'_> {
    /// `GET …/connect/…` or `…/chatter/…`.
    pub(super) fn resource(
        mut self,
        version: u16,
        path: &[String],
        query: &[(String, String)],
    ) -> Result<Operation, Refusal> {
        let first = path.first().map_or("", String::as_str);
        let known = self.catalog.vocabulary.resources.get(&self.api.name);
        let listed = known.into_iter().flatten().find(|r| is_of(r, path));
        let object = listed.ok_or_else(|| route::closed_resource(first))?.object;
        let mut target = path.join("/");
        for (index, (name, value)) in query.iter().enumerate() {
            let digits =
                (1..=6).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
            if !PAGING.contains(&name.as_str()) || !digits {
                return Err(Refusal::new(
                    Reason::BadRequest,
                    "this resource takes page and pageSize, numbers",
                ));
            }
            target.push(if index == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.push_str(value);
        }
        let (mut uses, mut paths) = (Vec::new(), Vec::new());
        for (field, schema) in (0u32..).zip(&self.catalog.get(object).fields) {
            let Ok(path) = Path::parse(&schema.name) else {
                continue;
            };
            let field = FieldRef { object, field };
            paths.push((path, field));
            let mut output = used(field, Action::Read, schema.name.clone());
            output.named = false;
            uses.push(output);
        }
        self.forward.version = version;
        self.forward.target = Target::Resource(Box::new(ResourceTarget {
            path: target,
            first: first.into(),
        }));
        let shape = Shape::Record(RecordShape {
            objects: vec![object],
            scope: 0,
            members: Vec::new(),
            all_fields: false,
            attributes: false,
            enveloped: false,
            paths,
        });
        let mut operation = self.operation(Action::Read, "connect-resource", shape);
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }
}

/// Whether the path is the resource's: word for word, and a name or id where the resource has a place for one.
fn is_of(resource: &Resource, path: &[String]) -> bool {
    resource.segments.len() == path.len()
        && resource
            .segments
            .iter()
            .zip(path)
            .all(|(segment, asked)| match segment {
                Some(word) => **word == **asked,
                None => {
                    (1..=64).contains(&asked.len())
                        && asked
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || b == b'_')
                }
            })
}
