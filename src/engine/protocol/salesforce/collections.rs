//! `…/composite/sobjects`: several records of one request, each judged like one alone.

use std::sync::Arc;

use http::Method;

use crate::engine::catalog::{FieldRef, ObjectId};
use crate::engine::protocol::json_body::{Node, NodeId, Tree};
use crate::engine::protocol::{Action, Comparison, Literal, Operation, Shape, Use};
use crate::engine::refusal::{Reason, Refusal};

use super::forward::{CollectionTarget, RetrieveTarget, Target};
use super::record::{self, bad_body, check_attributes, id_use, object_at, outputs, text_at, used};
use super::route::{field_names, is_name};
use super::template::{Template, scalar_at};
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

    /// `POST` or `PATCH …/composite/sobjects`. `by`: object and field of an upsert, as written.
    pub(super) fn save(
        mut self,
        version: u16,
        method: &Method,
        tree: &Tree,
        by: Option<(&Arc<str>, &Arc<str>)>,
    ) -> Result<Operation, Refusal> {
        let endpoint = match by {
            Some(_) => "collection-upsert",
            None => "collection-write",
        };
        let mut path = "sobjects".to_owned();
        let key = match by {
            None => None,
            Some((object, written)) => {
                let id = self.object(object)?;
                match self.external(id, written) {
                    Ok(field) => {
                        let name = &self.catalog.get(id).name;
                        path = format!("sobjects/{name}/{}", self.catalog.field(field).name);
                        Some((field, written))
                    }
                    Err((refusal, uses)) => return self.mistaken(endpoint, refusal, uses),
                }
            }
        };
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
            match self.saved(method, tree, *node, key, &mut uses, &mut body) {
                Ok(object) if objects.contains(&object) => {}
                Ok(object) => objects.push(object),
                Err(refusal) => return self.mistaken(endpoint, refusal, uses),
            }
        }
        body.text("]}");
        let shown = self.shown_ids(&objects, &mut uses)?;
        self.forward.version = version;
        self.forward.target = Target::Collection(Box::new(CollectionTarget {
            method: method.clone(),
            path,
            ids: Vec::new(),
            all_or_none,
            body: Some(body),
        }));
        Ok(self.changed(Action::Write, endpoint, uses, objects, shown))
    }

    /// One record of a save, and its uses.
    fn saved(
        &mut self,
        method: &Method,
        tree: &Tree,
        node: NodeId,
        key: Option<(FieldRef, &Arc<str>)>,
        uses: &mut Vec<Use>,
        body: &mut Template,
    ) -> Result<ObjectId, Refusal> {
        let object = self.written_record(tree, node)?;
        if let Some((key, written)) = key {
            let found = if key.object == object {
                self.keyed(key, tree, node)
            } else {
                Err(bad_body(
                    "each record of an upsert is of the object of the path",
                ))
            };
            match found {
                Ok(found) => uses.push(found),
                // A hidden field is answered before a mistake in the body, in the caller's own spelling.
                Err(refusal) => {
                    uses.push(used(key, Action::Key, written.clone()));
                    return Err(refusal);
                }
            }
        }
        body.text("{\"attributes\":{\"type\":");
        body.quoted(&self.catalog.get(object).name);
        body.text("}");
        let mut skip = vec!["attributes"];
        if method == Method::PATCH && key.is_none() {
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

    /// The field that the records of an upsert are found by; or the refusal, and what is decided before it.
    fn external(
        &self,
        object: ObjectId,
        written: &Arc<str>,
    ) -> Result<FieldRef, (Refusal, Vec<Use>)> {
        let known = self.catalog.get(object);
        let Some(field) = known.field(written) else {
            return Err((Refusal::unknown_field(written, &known.name), Vec::new()));
        };
        let at = FieldRef { object, field };
        if record::is_no_key(self.catalog.field(at).kind) {
            let looked = used(at, Action::Key, written.clone());
            return Err((unknown_path(), vec![looked]));
        }
        Ok(at)
    }

    /// The lookup of one record of an upsert. Its value is written too, so it stands among the record's fields as well.
    fn keyed(&self, key: FieldRef, tree: &Tree, node: NodeId) -> Result<Use, Refusal> {
        let name = &self.catalog.field(key).name;
        let mut found = object_at(tree, node)?
            .iter()
            .filter(|(member, _)| member.eq_ignore_ascii_case(name));
        let missing = || bad_body("each record of an upsert needs the field that finds it, once");
        let (Some((member, value)), None) = (found.next(), found.next()) else {
            return Err(missing());
        };
        let value = scalar_at(tree, *value)
            .filter(|v| *v != Literal::Null)
            .ok_or_else(missing)?;
        Ok(lookup(used(key, Action::Key, member.as_str()), vec![value]))
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
            path: "sobjects".to_owned(),
            ids: places,
            all_or_none,
            body: None,
        }));
        Ok(self.changed(Action::Delete, "collection-delete", uses, objects, shown))
    }

    /// The object that a written record names.
    pub(super) fn written_record(
        &mut self,
        tree: &Tree,
        node: NodeId,
    ) -> Result<ObjectId, Refusal> {
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
    pub(super) fn shown_ids(
        &self,
        objects: &[ObjectId],
        uses: &mut Vec<Use>,
    ) -> Result<Vec<usize>, Refusal> {
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
