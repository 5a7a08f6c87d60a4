//! `…/composite/sobjects`: several records of one request, each judged like one alone.

use std::sync::Arc;

use http::Method;

use crate::engine::catalog::ObjectId;
use crate::engine::protocol::json_body::{Node, NodeId, Tree};
use crate::engine::protocol::{Action, Comparison, Literal, Operation, Shape, Use};
use crate::engine::refusal::{Reason, Refusal};

use super::forward::{CollectionTarget, RetrieveTarget, Target};
use super::record::{self, bad_body, check_attributes, id_use, object_at, outputs, text_at, used};
use super::route::{field_names, is_name};
use super::template::Template;
use super::{Request, errors, is_record_id, resolve, unknown_path};

/// Most records that one request changes.
const CHANGED_MAX: usize = 200;
/// Most records that one request reads.
const READ_MAX: usize = 2_000;

/// The elements of an array of the body.
pub(super) fn array_at(tree: &Tree, node: NodeId) -> Result<&[NodeId], Refusal> {
    match tree.nodes.get(node) {
        Some(Node::Array(items)) => Ok(items),
        _ => Err(bad_body("the request body must hold a JSON array here")),
    }
}

/// The boolean at `node`.
pub(super) fn bool_at(tree: &Tree, node: NodeId) -> Result<bool, Refusal> {
    match tree.nodes.get(node) {
        Some(Node::Bool(b)) => Ok(*b),
        _ => Err(bad_body("the request body must hold true or false here")),
    }
}

fn too_many() -> Refusal {
    Refusal::new(Reason::BadRequest, "too many records, or none")
}

/// Ids as written: each a record id or a token.
fn ids(written: impl Iterator<Item = String>, max: usize) -> Result<Vec<Literal>, Refusal> {
    let mut out = Vec::new();
    for id in written {
        if !is_record_id(&id) && !id.contains('.') {
            return Err(unknown_path());
        }
        out.push(Literal::Text(id));
    }
    if (1..=max).contains(&out.len()) {
        Ok(out)
    } else {
        Err(too_many())
    }
}

fn lookup(id: Use, values: Vec<Literal>) -> Use {
    Use {
        comparison: Comparison::Equality,
        values,
        ..id
    }
}

impl Request<'_> {
    /// `GET` or `POST …/composite/sobjects/X`. `lists`: the parameters `ids` and `fields` of a GET.
    pub(super) fn retrieve(
        mut self,
        version: u16,
        method: &Method,
        written: &Arc<str>,
        lists: Option<(&str, &str)>,
        tree: Option<&Tree>,
    ) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let (found, fields) = match (lists, tree) {
            (Some((found, fields)), _) => (
                ids(found.split(',').map(|s| s.trim().to_owned()), READ_MAX)?,
                field_names(fields)?,
            ),
            (None, Some(tree)) => {
                let mut lists: [Vec<String>; 2] = [Vec::new(), Vec::new()];
                for (key, value) in object_at(tree, tree.root)? {
                    let list = match key.as_str() {
                        "ids" => &mut lists[0],
                        "fields" => &mut lists[1],
                        _ => return Err(bad_body("the body takes ids and fields")),
                    };
                    for item in array_at(tree, *value)? {
                        list.push(text_at(tree, *item)?.to_owned());
                    }
                }
                let [found, fields] = lists;
                (
                    ids(found.into_iter(), READ_MAX)?,
                    field_names(&fields.join(","))?,
                )
            }
            (None, None) => return Err(unknown_path()),
        };
        let mut uses = vec![lookup(id_use(self.catalog, object)?, found.clone())];
        let (record, named) = match outputs(self.catalog, object, Some(&fields), &mut uses) {
            Ok(made) => made,
            Err(refusal) => return self.mistaken("collection-read", refusal, uses),
        };
        self.forward.version = version;
        self.forward.target = Target::Retrieve(Box::new(RetrieveTarget {
            post: method == Method::POST,
            object: self.catalog.get(object).name.clone(),
            used: 0,
            ids: found,
            fields: named.unwrap_or_default(),
            conditions: resolve::condition_fields(self.catalog, object),
        }));
        let shape = Shape::Array {
            element: Box::new(Shape::Record(record)),
            rows: true,
        };
        let mut operation = self.operation(Action::Read, "collection-read", shape);
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }

    /// `POST` or `PATCH …/composite/sobjects`.
    pub(super) fn save(
        mut self,
        version: u16,
        method: &Method,
        tree: &Tree,
    ) -> Result<Operation, Refusal> {
        let (mut all_or_none, mut records) = (false, None);
        for (key, value) in object_at(tree, tree.root)? {
            match key.as_str() {
                "allOrNone" => all_or_none = bool_at(tree, *value)?,
                "records" => records = Some(array_at(tree, *value)?),
                _ => return Err(bad_body("the body takes allOrNone and records")),
            }
        }
        let records = records.ok_or_else(|| bad_body("the body needs records"))?;
        if !(1..=CHANGED_MAX).contains(&records.len()) {
            return Err(too_many());
        }
        let mut uses = Vec::new();
        let mut objects: Vec<ObjectId> = Vec::new();
        let mut body = Template::default();
        body.text(&format!("{{\"allOrNone\":{all_or_none},\"records\":["));
        for (i, node) in records.iter().enumerate() {
            if i > 0 {
                body.text(",");
            }
            match self.saved(method, tree, *node, &mut uses, &mut body) {
                Ok(object) if objects.contains(&object) => {}
                Ok(object) => objects.push(object),
                Err(refusal) => return self.mistaken("collection-write", refusal, uses),
            }
        }
        body.text("]}");
        let shown = self.shown_ids(&objects, &mut uses)?;
        self.forward.version = version;
        self.forward.target = Target::Collection(Box::new(CollectionTarget {
            method: method.clone(),
            ids: Vec::new(),
            all_or_none,
            body: Some(body),
        }));
        Ok(self.changed(Action::Write, "collection-write", uses, objects, shown))
    }

    /// One record of a save, and its uses.
    fn saved(
        &mut self,
        method: &Method,
        tree: &Tree,
        node: NodeId,
        uses: &mut Vec<Use>,
        body: &mut Template,
    ) -> Result<ObjectId, Refusal> {
        let object = self.written_record(tree, node)?;
        body.text("{\"attributes\":{\"type\":");
        body.quoted(&self.catalog.get(object).name);
        body.text("}");
        let mut skip = vec!["attributes"];
        if method == Method::PATCH {
            let mut found = object_at(tree, node)?
                .iter()
                .filter(|(key, _)| key.eq_ignore_ascii_case("id"));
            let (Some((key, value)), None) = (found.next(), found.next()) else {
                return Err(bad_body("each record needs its id once"));
            };
            skip.push(key);
            let written = ids(std::iter::once(text_at(tree, *value)?.to_owned()), 1)?;
            let id = id_use(self.catalog, object)?;
            let kind = self.catalog.field(id.field).kind;
            body.text(",\"id\":");
            body.value(uses.len(), 0, kind, written[0].clone());
            uses.push(lookup(id, written));
        }
        body.text(",");
        let catalog = self.catalog;
        if record::fields(catalog, object, tree, node, &skip, uses, body)? == 0 {
            return Err(record::empty_record());
        }
        body.text("}");
        Ok(object)
    }

    /// `DELETE …/composite/sobjects?ids=`. The ids say by their prefix which objects they belong to, so tokens can not
    /// stand for them.
    pub(super) fn delete_all(
        mut self,
        version: u16,
        list: &str,
        all_or_none: bool,
    ) -> Result<Operation, Refusal> {
        let written = ids(list.split(',').map(|s| s.trim().to_owned()), CHANGED_MAX)?;
        let mut uses = Vec::new();
        let mut objects: Vec<ObjectId> = Vec::new();
        let mut places = Vec::new();
        for id in written {
            let Literal::Text(text) = &id else {
                return Err(unknown_path());
            };
            let prefix = text.get(..3).ok_or_else(unknown_path)?;
            let object = (0u32..)
                .map(ObjectId)
                .zip(&self.catalog.objects)
                .find(|(_, o)| o.api == self.api.name && o.key_prefix.as_deref() == Some(prefix))
                .map(|(id, _)| id);
            let Some(object) = object else {
                let refusal = Refusal::unknown_object(prefix);
                return self.mistaken("collection-delete", refusal, uses);
            };
            if !objects.contains(&object) {
                objects.push(object);
                // A hidden object is told by what the caller wrote of it, like a prefix that no object has.
                self.forward.written.push((object, prefix.into()));
            }
            places.push((uses.len(), id.clone()));
            uses.push(lookup(id_use(self.catalog, object)?, vec![id]));
        }
        for object in &objects {
            let id = id_use(self.catalog, *object)?;
            let name = self.catalog.get(*object).name.clone();
            uses.push(used(id.field, Action::Delete, name));
        }
        let shown = self.shown_ids(&objects, &mut uses)?;
        self.forward.version = version;
        self.forward.target = Target::Collection(Box::new(CollectionTarget {
            method: Method::DELETE,
            ids: places,
            all_or_none,
            body: None,
        }));
        Ok(self.changed(Action::Delete, "collection-delete", uses, objects, shown))
    }

    /// The object that a written record names.
    fn written_record(&mut self, tree: &Tree, node: NodeId) -> Result<ObjectId, Refusal> {
        object_at(tree, node)?;
        let written = tree
            .member(node, "attributes")
            .and_then(|a| tree.member(a, "type"))
            .ok_or_else(|| bad_body("each record needs attributes with its type"))?;
        let written = text_at(tree, written)?;
        if !is_name(written) {
            return Err(bad_body("a type in the request body is no object name"));
        }
        let object = self.object(&Arc::from(written))?;
        check_attributes(self.catalog, object, tree, node)?;
        Ok(object)
    }

    /// One output of Id for each object.
    fn shown_ids(&self, objects: &[ObjectId], uses: &mut Vec<Use>) -> Result<Vec<usize>, Refusal> {
        let from = uses.len();
        for object in objects {
            uses.push(id_use(self.catalog, *object)?);
        }
        Ok((from..uses.len()).collect())
    }

    fn changed(
        self,
        action: Action,
        endpoint: &str,
        uses: Vec<Use>,
        objects: Vec<ObjectId>,
        shown: Vec<usize>,
    ) -> Operation {
        let shape = Shape::Array {
            element: Box::new(errors::save_result(shown)),
            rows: false,
        };
        let mut operation = self.operation(action, endpoint, shape);
        operation.uses = uses;
        operation.objects = objects;
        operation
    }
}
