//! `…/composite/tree/X`: records with their children, made in one request; each is judged like one alone.

use std::sync::Arc;

use http::Method;

use crate::engine::catalog::ObjectId;
use crate::engine::protocol::json_body::{NodeId, Tree};
use crate::engine::protocol::{Action, Operation, Shape, Use};
use crate::engine::refusal::{Reason, Refusal};

use super::Request;
use super::collections::array_at;
use super::errors;
use super::forward::{CollectionTarget, Target};
use super::record::{self, bad_body, object_at, text_at};
use super::resolve;
use super::route::is_name;
use super::template::Template;

/// Most records of one request, children counted.
const RECORDS_MAX: usize = 200;
/// Deepest level of children.
const LEVELS_MAX: usize = 5;

/// What is gathered over all records.
#[derive(Default)]
struct Gathered {
    uses: Vec<Use>,
    objects: Vec<ObjectId>,
    body: Template,
    references: Vec<String>,
}

impl Request<'_> {
    /// `POST …/composite/tree/X`.
    pub(super) fn tree(
        mut self,
        version: u16,
        written: &Arc<str>,
        tree: &Tree,
    ) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let mut all = Gathered::default();
        if let Err(refusal) = self.roots(object, tree, &mut all) {
            return self.mistaken("composite-tree", refusal, all.uses);
        }
        let shown = self.shown_ids(&all.objects, &mut all.uses)?;
        self.forward.version = version;
        self.forward.target = Target::Collection(Box::new(CollectionTarget {
            method: Method::POST,
            path: format!("tree/{}", self.catalog.get(object).name),
            ids: Vec::new(),
            all_or_none: true,
            body: Some(all.body),
        }));
        // Told apart by their names: an answer that names a record of nobody's loses it.
        let result = |name: &String| {
            let members = vec![
                ("referenceId".into(), Shape::Keep),
                ("id".into(), Shape::Value(shown.clone())),
                ("errors".into(), errors::list()),
            ];
            (Arc::from(name.as_str()), Shape::Object(members))
        };
        let results = Shape::Array {
            element: Box::new(Shape::ByName {
                member: "referenceId".into(),
                cases: all.references.iter().map(result).collect(),
            }),
            rows: false,
        };
        let shape = Shape::Object(vec![
            ("hasErrors".into(), Shape::Keep),
            ("results".into(), results),
        ]);
        let mut operation = self.operation(Action::Write, "composite-tree", shape);
        operation.uses = all.uses;
        operation.objects = all.objects;
        Ok(operation)
    }

    fn roots(&mut self, object: ObjectId, tree: &Tree, all: &mut Gathered) -> Result<(), Refusal> {
        let [(key, list)] = object_at(tree, tree.root)? else {
            return Err(bad_body("the body takes records"));
        };
        if key != "records" {
            return Err(bad_body("the body takes records"));
        }
        all.body.text("{\"records\":");
        self.records(object, tree, *list, 1, all)?;
        all.body.text("}");
        Ok(())
    }

    /// A list of records that must all be of `object`.
    fn records(
        &mut self,
        object: ObjectId,
        tree: &Tree,
        list: NodeId,
        level: usize,
        all: &mut Gathered,
    ) -> Result<(), Refusal> {
        let records = array_at(tree, list)?;
        let too_many = all.references.len() + records.len() > RECORDS_MAX;
        if records.is_empty() || too_many || level > LEVELS_MAX {
            return Err(Refusal::new(
                Reason::BadRequest,
                "too many records or levels of records, or none",
            ));
        }
        all.body.text("[");
        for (i, node) in records.iter().enumerate() {
            if i > 0 {
                all.body.text(",");
            }
            self.one(object, tree, *node, level, all)?;
        }
        all.body.text("]");
        Ok(())
    }

    fn one(
        &mut self,
        object: ObjectId,
        tree: &Tree,
        node: NodeId,
        level: usize,
        all: &mut Gathered,
    ) -> Result<(), Refusal> {
        let catalog = self.catalog;
        let known = catalog.get(object);
        let attributes = tree
            .member(node, "attributes")
            .ok_or_else(|| bad_body("each record needs attributes with type and referenceId"))?;
        let (mut kind, mut reference) = (None, None);
        for (key, value) in object_at(tree, attributes)? {
            match key.as_str() {
                "type" => kind = Some(text_at(tree, *value)?),
                "referenceId" => reference = Some(text_at(tree, *value)?),
                _ => return Err(bad_body("attributes takes type and referenceId")),
            }
        }
        let fits = kind.is_some_and(|k| k.eq_ignore_ascii_case(&known.name));
        let (true, Some(reference)) = (fits, reference.filter(|r| is_name(r))) else {
            return Err(bad_body(
                "each record needs its object's type and a referenceId of letters and digits",
            ));
        };
        if all.references.iter().any(|r| r == reference) {
            return Err(bad_body("two records have one referenceId"));
        }
        all.references.push(reference.to_owned());
        if !all.objects.contains(&object) {
            all.objects.push(object);
        }
        all.body.text("{\"attributes\":{\"type\":");
        all.body.quoted(&known.name);
        all.body.text(",\"referenceId\":");
        all.body.quoted(reference);
        all.body.text("},");
        // Children stand under names that are no fields, each with a list of its own.
        let mut skip = vec!["attributes"];
        let mut children = Vec::new();
        for (key, value) in object_at(tree, node)? {
            let child = known
                .children
                .values()
                .find(|c| c.name.eq_ignore_ascii_case(key));
            if let (None, Some(child)) = (known.field(key), child) {
                skip.push(key);
                children.push((key, child, *value));
            }
        }
        let uses = &mut all.uses;
        if record::fields(catalog, object, tree, node, &skip, uses, &mut all.body)? == 0 {
            return Err(record::empty_record());
        }
        for (written, child, value) in children {
            let unknown = || Refusal::unknown_field(written, &known.name);
            let target = child.object.ok_or_else(unknown)?;
            // The child is written with a reference to its parent.
            let at = catalog
                .get(target)
                .field(&child.field)
                .map(|field| crate::engine::catalog::FieldRef {
                    object: target,
                    field,
                })
                .ok_or_else(unknown)?;
            self.forward.written.push((target, written.as_str().into()));
            all.uses.extend(resolve::looks_at(
                catalog,
                target,
                &Arc::from(written.as_str()),
            ));
            all.uses.push(Use {
                values: vec![crate::engine::protocol::Literal::Other(String::new())],
                ..record::used(at, Action::Write, written.as_str())
            });
            let [(key, list)] = object_at(tree, value)? else {
                return Err(bad_body("child records stand in a list called records"));
            };
            if key != "records" {
                return Err(bad_body("child records stand in a list called records"));
            }
            all.body.text(",");
            all.body.quoted(&child.name);
            all.body.text(":{\"records\":");
            self.records(target, tree, *list, level + 1, all)?;
            all.body.text("}");
        }
        all.body.text("}");
        Ok(())
    }
}
