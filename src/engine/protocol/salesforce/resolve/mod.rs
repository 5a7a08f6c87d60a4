//! SOQL × schema → uses and shape: every path of a query traced to the fields that it reaches.
//!
//! This file follows paths; `rows` traces select lists and shapes the answer, `predicate` traces what is evaluated.

mod aggregate;
mod graph;
mod predicate;
mod rows;
mod search;

use std::borrow::Cow;
use std::ops::{Deref, Range};
use std::sync::Arc;

use crate::engine::catalog::{Catalog, FieldRef, FieldType, Object, ObjectId};
use crate::engine::protocol::{Action, Comparison, Literal, RecordShape, Shape, Use};
use crate::engine::refusal::{Reason, Refusal};

use super::soql::ast::{Path, Query, Slot, Source, With};

pub(super) use graph::resolve_graph;
pub(super) use predicate::literal;
pub(super) use rows::{envelope, rows};
pub(super) use search::{check_term, resolve_search};

/// The reference fields that a request follows: they may be hidden where what they lead to is not.
#[derive(Debug, Default)]
pub struct Followed {
    /// Index of a use, and the reference fields on the way to it.
    pub uses: Vec<(usize, Vec<FieldRef>)>,
    /// Of each child query the index of its first use, the reference field, and the relationship as the caller wrote it.
    pub children: Vec<(usize, FieldRef, Arc<str>)>,
    /// By record scope: the reference fields that lead to its record.
    pub scopes: Vec<Vec<FieldRef>>,
}

/// A query, understood.
#[derive(Debug)]
pub(super) struct Resolved {
    /// With the slots of its paths and select lists filled in, and FIELDS() written out.
    pub(super) query: Query,
    /// Every use, in the order of the text.
    pub(super) uses: Vec<Use>,
    /// Objects of records and of FROM.
    pub(super) objects: Vec<ObjectId>,
    /// Objects that the caller named, as written.
    pub(super) written: Vec<(ObjectId, Arc<str>)>,
    /// By path slot.
    pub(super) bindings: Vec<Binding>,
    /// By record scope.
    pub(super) scopes: Vec<Scope>,
    pub(super) followed: Followed,
    /// Shape of the whole answer.
    pub(super) shape: Shape,
    /// Shapes of the child envelopes, by the number in [`Link::ChildPage`].
    pub(super) children: Vec<Shape>,
}

/// A query that can not be traced to its end, and what had been traced of it by then.
///
/// What came before is decided first, so that a query with a mistake does not tell a hidden field or object, which
/// would have been refused in its place, from one that does not exist.
#[derive(Debug)]
pub(super) struct Stopped {
    /// Why.
    pub(super) refusal: Refusal,
    /// Every use before it, with one that looks at each object where it was named.
    pub(super) uses: Vec<Use>,
    /// As in [`Resolved`].
    pub(super) objects: Vec<ObjectId>,
    /// As in [`Resolved`].
    pub(super) written: Vec<(ObjectId, Arc<str>)>,
    pub(super) followed: Followed,
}

impl From<Refusal> for Box<Stopped> {
    fn from(refusal: Refusal) -> Self {
        Box::new(Stopped {
            refusal,
            uses: Vec::new(),
            objects: Vec::new(),
            written: Vec::new(),
            followed: Followed::default(),
        })
    }
}

/// What one path of the query is bound to.
#[derive(Debug)]
pub(super) struct Binding {
    /// Its outputs, one per possible object: indices of uses.
    pub(super) outputs: Range<usize>,
    /// Its evaluating uses, one per possible object: indices of uses.
    pub(super) evaluated: Range<usize>,
    /// What the field holds.
    pub(super) kind: FieldType,
    /// The record scope and field that a plain output stands for.
    pub(super) home: Option<(usize, FieldRef)>,
}

/// Where the records of a scope come from.
#[derive(Debug)]
pub(super) struct Scope {
    /// Slot of the select list; `None` for TYPEOF, which has branches of its own.
    pub(super) list: Option<u32>,
    /// Relationship path from the list's own object.
    pub(super) prefix: Vec<Arc<str>>,
    /// The fields of its object that hold flags or the data region.
    pub(super) conditions: Vec<(FieldRef, Arc<str>)>,
    /// For TYPEOF: the objects of its WHEN branches, as written.
    pub(super) branches: Vec<(Arc<str>, ObjectId)>,
}

/// What the paths of one FROM start at.
struct Level {
    object: ObjectId,
    /// Names that stand for the object itself.
    names: Vec<Arc<str>>,
    /// The declared alias.
    alias: Option<Arc<str>>,
    /// Aliases of parent relationships, with their paths.
    joins: Vec<(Arc<str>, Vec<Arc<str>>)>,
}

/// A relationship of a path.
struct Step {
    /// Its key in the answer.
    key: Arc<str>,
    /// The objects that it may lead to.
    objects: Vec<ObjectId>,
    /// The reference fields that it follows.
    references: Vec<FieldRef>,
}

/// Where a path leads.
struct Target {
    /// Relationship key and possible objects, step by step.
    steps: Vec<Step>,
    /// The field in each possible object that has it.
    fields: Fields,
    /// Whether it is the name of the object that a polymorphic relationship leads to.
    object_name: bool,
}

/// Fields, at least one, and nearly always one only.
enum Fields {
    One(FieldRef),
    Several(Vec<FieldRef>),
}

impl Deref for Fields {
    type Target = [FieldRef];

    fn deref(&self) -> &[FieldRef] {
        match self {
            Self::One(field) => std::slice::from_ref(field),
            Self::Several(fields) => fields,
        }
    }
}

/// Room for the uses of a usual query.
const USES_USUAL: usize = 16;

struct Resolver<'c> {
    catalog: &'c Catalog,
    api: &'c str,
    uses: Vec<Use>,
    objects: Vec<ObjectId>,
    written: Vec<(ObjectId, Arc<str>)>,
    /// Where in `uses` each object was named first.
    named: Vec<(usize, Use)>,
    bindings: Vec<Binding>,
    scopes: Vec<Scope>,
    followed: Followed,
    children: Vec<Shape>,
    lists: u32,
    depth: usize,
}

/// A refusal that names a clause.
pub(super) fn malformed(message: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal::new(Reason::MalformedQuery, message)
}

/// Traces `query`.
///
/// # Errors
/// Unknown objects, relationships and fields, and clauses that are refused by name.
pub(super) fn resolve(
    catalog: &Catalog,
    api: &str,
    mut query: Query,
) -> Result<Resolved, Box<Stopped>> {
    let mut resolver = Resolver::new(catalog, api);
    let shape = match resolver.root(&mut query) {
        Ok(shape) => shape,
        Err(refusal) => return Err(Box::new(resolver.stopped(refusal))),
    };
    Ok(Resolved {
        query,
        uses: resolver.uses,
        objects: resolver.objects,
        written: resolver.written,
        bindings: resolver.bindings,
        scopes: resolver.scopes,
        followed: resolver.followed,
        shape,
        children: resolver.children,
    })
}

/// The fields of a record that a scope of `USING SCOPE` compares with the user whom privet signs in as (SOQL and SOSL
/// Reference, "USING SCOPE"): `delegated` are records that one has made and another owns.
const SCOPES: [(&str, &[&str]); 3] = [
    ("everything", &[]),
    ("mine", &["OwnerId"]),
    ("delegated", &["OwnerId", "CreatedById"]),
];

/// The field of a polymorphic relationship that holds the name of the object it leads to.
const OBJECT_NAME: &str = "Type";

/// Clauses that no query may have yet.
fn refuse_clauses(query: &Query) -> Result<(), Refusal> {
    match &query.with {
        // The CRM's own checks on top of privet's.
        None | Some(With::SecurityEnforced | With::UserMode) => {}
        Some(With::SystemMode) => return Err(malformed("WITH SYSTEM_MODE is not supported")),
        Some(With::DataCategory(_)) => {
            return Err(malformed("WITH DATA CATEGORY is not supported"));
        }
        Some(With::Equal(..)) => return Err(malformed("this WITH clause is not supported")),
    }
    if !query.locks.is_empty() {
        return Err(malformed(
            "FOR VIEW, FOR REFERENCE and FOR UPDATE are not supported",
        ));
    }
    if !query.updates.is_empty() {
        return Err(malformed(
            "UPDATE TRACKING and UPDATE VIEWSTAT are not supported",
        ));
    }
    if query.all_rows {
        return Err(malformed("ALL ROWS is not supported, use queryAll"));
    }
    Ok(())
}

impl<'c> Resolver<'c> {
    fn new(catalog: &'c Catalog, api: &'c str) -> Self {
        Self {
            catalog,
            api,
            uses: Vec::with_capacity(USES_USUAL),
            objects: Vec::new(),
            written: Vec::new(),
            named: Vec::new(),
            bindings: Vec::with_capacity(USES_USUAL),
            scopes: Vec::new(),
            followed: Followed::default(),
            children: Vec::new(),
            lists: 0,
            depth: 0,
        }
    }
}

impl Resolver<'_> {
    fn root(&mut self, query: &mut Query) -> Result<Shape, Refusal> {
        refuse_clauses(query)?;
        let [name] = &*query.from.path.segments else {
            return Err(malformed("FROM takes one object"));
        };
        let object = self
            .catalog
            .object(self.api, name)
            .ok_or_else(|| Refusal::unknown_object(name))?;
        let names = vec![name.clone()];
        self.name_object(object, &names[0]);
        let level = self.level(object, names, query)?;
        self.top(query, &level)
    }

    fn stopped(mut self, refusal: Refusal) -> Stopped {
        for (at, looks) in self.named.into_iter().rev() {
            self.uses.insert(at.min(self.uses.len()), looks);
            for (index, _) in &mut self.followed.uses {
                *index += usize::from(*index >= at);
            }
            for (index, ..) in &mut self.followed.children {
                *index += usize::from(*index > at);
            }
        }
        Stopped {
            refusal,
            uses: self.uses,
            objects: self.objects,
            written: self.written,
            followed: self.followed,
        }
    }

    fn name_object(&mut self, object: ObjectId, written: &Arc<str>) {
        if !self.written.iter().any(|(o, _)| *o == object) {
            self.written.push((object, written.clone()));
            let looks = looks_at(self.catalog, object, written);
            self.named
                .extend(looks.map(|looks| (self.uses.len(), looks)));
        }
        self.touch(object);
    }

    fn touch(&mut self, object: ObjectId) {
        if !self.objects.contains(&object) {
            self.objects.push(object);
        }
    }

    fn level(
        &mut self,
        object: ObjectId,
        mut names: Vec<Arc<str>>,
        query: &Query,
    ) -> Result<Level, Refusal> {
        let known = self.catalog.get(object);
        names.push(known.name.clone());
        let mut level = Level {
            object,
            names,
            alias: None,
            joins: Vec::new(),
        };
        if let Some(alias) = &query.from.alias {
            if known.relationship(alias).is_some() {
                return Err(malformed(format!("the alias {alias} is ambiguous")));
            }
            level.alias = Some(alias.clone());
        }
        for Source { path, alias } in &query.joins {
            let alias = alias.as_ref().unwrap_or_else(|| path.leaf());
            let segments = expand(known, &level, &path.segments)?.into_owned();
            let is_alias = |a: &Arc<str>| a.eq_ignore_ascii_case(alias);
            let taken = level.alias.as_ref().is_some_and(is_alias)
                || level.joins.iter().any(|(a, _)| is_alias(a))
                || known.relationship(alias).is_some() && !is_alias(path.leaf());
            if taken || segments.is_empty() {
                return Err(malformed(format!("the alias {alias} is ambiguous")));
            }
            self.join(&level, &segments, &path.text())?;
            level.joins.push((alias.clone(), segments));
        }
        Ok(level)
    }

    /// A parent in FROM asks which rows have one: its reference fields are evaluated.
    fn join(
        &mut self,
        level: &Level,
        segments: &[Arc<str>],
        written: &Arc<str>,
    ) -> Result<(), Refusal> {
        let steps = self.follow(level, segments, written)?;
        for Step { references, .. } in steps {
            let template = Use {
                field: references[0],
                action: Action::Filter,
                written: written.clone(),
                comparison: Comparison::Other,
                values: Vec::new(),
                named: true,
            };
            self.push_uses(&references, template);
        }
        Ok(())
    }

    /// Follows relationships from `level`, on the path `written`.
    fn follow(
        &self,
        level: &Level,
        segments: &[Arc<str>],
        written: &str,
    ) -> Result<Vec<Step>, Refusal> {
        if segments.is_empty() {
            return Ok(Vec::new());
        }
        let mut at = vec![level.object];
        let mut steps = Vec::with_capacity(segments.len());
        for segment in segments {
            let mut key = None;
            let mut targets: Vec<ObjectId> = Vec::new();
            let mut references = Vec::new();
            for &object in &at {
                let Some(field) = self.catalog.get(object).relationship(segment) else {
                    continue;
                };
                references.push(FieldRef { object, field });
                let field = self.catalog.field(FieldRef { object, field });
                key = key.or_else(|| field.relationship_name.clone());
                for target in field.reference_to.iter().filter_map(|(_, id)| *id) {
                    if !targets.contains(&target) {
                        targets.push(target);
                    }
                }
            }
            let (Some(key), false) = (key, targets.is_empty()) else {
                let name = &self.catalog.get(level.object).name;
                return Err(Refusal::unknown_field(written, name));
            };
            at.clone_from(&targets);
            steps.push(Step {
                key,
                objects: targets,
                references,
            });
        }
        Ok(steps)
    }

    /// `USING SCOPE` asks which records have a certain owner: its fields are evaluated. Other scopes go by who is in a
    /// team, a queue or a territory; that stands in no field of the object, so that nothing could be decided by it.
    pub(super) fn using_scope(&mut self, query: &Query, level: &Level) -> Result<(), Refusal> {
        let Some(scope) = &query.using_scope else {
            return Ok(());
        };
        let Some((_, names)) = SCOPES.iter().find(|(n, _)| n.eq_ignore_ascii_case(scope)) else {
            return Err(malformed(
                "USING SCOPE takes everything, mine or delegated, and no other scope",
            ));
        };
        for name in *names {
            let known = self.catalog.get(level.object);
            let field =
                (known.field(name)).ok_or_else(|| Refusal::unknown_field(name, &known.name))?;
            let field = FieldRef {
                object: level.object,
                field,
            };
            self.uses.push(Use {
                field,
                action: Action::Filter,
                written: (*name).into(),
                comparison: Comparison::Other,
                values: Vec::new(),
                named: true,
            });
        }
        Ok(())
    }

    /// Whether `step` leads to objects of more than one kind, known or not, from each of its references.
    fn is_polymorphic(&self, step: &Step) -> bool {
        (step.references.iter()).all(|field| self.catalog.field(*field).reference_to.len() > 1)
    }

    /// Where `path` leads; `written`: its text.
    ///
    /// `Who.Type`, where `Who` may be of several objects, is the name of the object that the reference leads to: asking
    /// for it evaluates the reference itself. As an `output` it is a field like any other.
    ///
    /// # Errors
    /// Unknown relationships and fields.
    fn target(
        &self,
        level: &Level,
        path: &Path,
        written: &str,
        output: bool,
    ) -> Result<Target, Refusal> {
        let known = self.catalog.get(level.object);
        let segments = expand(known, level, &path.segments)?;
        let Some((leaf, parents)) = segments.split_last() else {
            return Err(Refusal::unknown_field(&path.segments[0], &known.name));
        };
        let mut steps = self.follow(level, parents, written)?;
        if !output
            && leaf.eq_ignore_ascii_case(OBJECT_NAME)
            && steps.last().is_some_and(|step| self.is_polymorphic(step))
            && let Some(step) = steps.pop()
        {
            // Some have a field of that name too, from which the CRM may take it.
            let own = step.objects.iter().filter_map(|&object| {
                let field = self.catalog.get(object).field(OBJECT_NAME)?;
                Some(FieldRef { object, field })
            });
            return Ok(Target {
                steps,
                fields: Fields::Several(step.references.iter().copied().chain(own).collect()),
                object_name: true,
            });
        }
        let own = [level.object];
        let objects = steps.last().map_or(&own[..], |step| &step.objects[..]);
        let fields = self.fields(objects, leaf, written)?;
        Ok(Target {
            steps,
            fields,
            object_name: false,
        })
    }

    /// The field `leaf` in every object of `objects` that has it; `written`: how the caller spelt it.
    fn fields(&self, objects: &[ObjectId], leaf: &str, written: &str) -> Result<Fields, Refusal> {
        let mut fields = objects.iter().filter_map(|&object| {
            let field = self.catalog.get(object).field(leaf)?;
            Some(FieldRef { object, field })
        });
        let Some(first) = fields.next() else {
            let name = &self.catalog.get(objects[0]).name;
            return Err(Refusal::unknown_field(written, name));
        };
        Ok(match fields.next() {
            None => Fields::One(first),
            Some(second) => Fields::Several([first, second].into_iter().chain(fields).collect()),
        })
    }

    /// Adds one use per field; gives their indices.
    fn push_uses(&mut self, fields: &[FieldRef], template: Use) -> Range<usize> {
        let first = self.uses.len();
        if let Some((&last, others)) = fields.split_last() {
            for &field in others {
                self.uses.push(Use {
                    field,
                    ..template.clone()
                });
            }
            self.uses.push(Use {
                field: last,
                ..template
            });
        }
        first..self.uses.len()
    }

    /// Gives `path` a slot with these uses.
    fn bind(&mut self, path: &mut Path, binding: Binding) {
        path.slot = Slot(u32::try_from(self.bindings.len()).unwrap_or(u32::MAX));
        self.bindings.push(binding);
    }

    /// A path that is evaluated, in every way of `actions`.
    fn evaluate(
        &mut self,
        level: &Level,
        path: &mut Path,
        actions: &[(Action, Comparison)],
        values: Vec<Literal>,
    ) -> Result<(), Refusal> {
        self.read_and_evaluate(level, path, actions, values, false)
            .map(drop)
    }

    /// A path that is evaluated, or put out, or both. Gives its target and its outputs.
    fn read_and_evaluate(
        &mut self,
        level: &Level,
        path: &mut Path,
        actions: &[(Action, Comparison)],
        mut values: Vec<Literal>,
        output: bool,
    ) -> Result<(Target, Range<usize>), Refusal> {
        let written = path.text();
        let target = self.target(level, path, &written, output)?;
        // What is compared with the name of an object is no value of the reference, and no token of one.
        let first = self.uses.len();
        for (i, &(action, comparison)) in actions.iter().enumerate() {
            let comparison = if target.object_name {
                Comparison::Other
            } else {
                comparison
            };
            let values = if i + 1 == actions.len() {
                std::mem::take(&mut values)
            } else {
                values.clone()
            };
            let template = Use {
                field: target.fields[0],
                action,
                written: written.clone(),
                comparison,
                values,
                named: true,
            };
            self.push_uses(&target.fields, template);
        }
        let evaluated = first..self.uses.len();
        let outputs = if output {
            self.push_outputs(&target.fields, written, true)
        } else {
            evaluated.end..evaluated.end
        };
        if !target.steps.is_empty() {
            let references: Vec<FieldRef> = target
                .steps
                .iter()
                .flat_map(|step| step.references.iter().copied())
                .collect();
            for index in evaluated.start..outputs.end {
                self.follows(index, &references);
            }
        }
        let kind = self.catalog.field(target.fields[0]).kind;
        self.bind(
            path,
            Binding {
                outputs: outputs.clone(),
                evaluated,
                kind,
                home: None,
            },
        );
        Ok((target, outputs))
    }

    /// The use `index` stands at the end of `references`.
    fn follows(&mut self, index: usize, references: &[FieldRef]) {
        if !references.is_empty() {
            for reference in references {
                self.touch(reference.object);
            }
            self.followed.uses.push((index, references.to_vec()));
        }
    }

    fn push_outputs(
        &mut self,
        fields: &[FieldRef],
        written: Arc<str>,
        named: bool,
    ) -> Range<usize> {
        let template = Use {
            field: fields[0],
            action: Action::Read,
            written,
            comparison: Comparison::Other,
            values: Vec::new(),
            named,
        };
        self.push_uses(fields, template)
    }

    fn record(&mut self, objects: &[ObjectId], list: Option<u32>, steps: &[Step]) -> RecordShape {
        for object in objects {
            self.touch(*object);
        }
        // A field can only be added where every possible object has it.
        let list = list.filter(|_| objects.len() == 1);
        let conditions = match objects {
            [object] => condition_fields(self.catalog, *object),
            _ => Vec::new(),
        };
        self.scopes.push(Scope {
            list,
            prefix: steps.iter().map(|step| step.key.clone()).collect(),
            conditions,
            branches: Vec::new(),
        });
        // Those before the last one are asked for where their own records stand.
        let references = steps.last().map(|step| step.references.clone());
        self.followed.scopes.push(references.unwrap_or_default());
        RecordShape {
            objects: objects.to_vec(),
            scope: self.scopes.len() - 1,
            members: Vec::new(),
            enveloped: false,
            all_fields: false,
            attributes: true,
            paths: Vec::new(),
        }
    }

    fn new_list(&mut self, query: &mut Query) -> u32 {
        let list = self.lists;
        query.slot = Slot(list);
        self.lists += 1;
        list
    }
}

/// A use that shows nothing and is refused where the caller reads nothing of `object`; `None` if it has no fields.
pub(super) fn looks_at(catalog: &Catalog, object: ObjectId, written: &Arc<str>) -> Option<Use> {
    let known = catalog.get(object);
    let field = known.field("Id").unwrap_or(0);
    (!known.fields.is_empty()).then(|| Use {
        field: FieldRef { object, field },
        action: Action::Describe,
        written: written.clone(),
        comparison: Comparison::Other,
        values: Vec::new(),
        named: false,
    })
}

/// The fields of `object` that privet may ask for itself: those that hold flags or the data region, and the record's id.
pub(super) fn condition_fields(catalog: &Catalog, object: ObjectId) -> Vec<(FieldRef, Arc<str>)> {
    let known = catalog.get(object);
    let id = known.fields.iter().position(|f| f.kind == FieldType::Id);
    let id = id.and_then(|at| u32::try_from(at).ok());
    known
        .conditions
        .iter()
        .map(|c| c.field)
        .chain(id)
        .map(|field| {
            let field = FieldRef { object, field };
            (field, catalog.field(field).name.clone())
        })
        .collect()
}

/// The relationship path and field behind `segments`: aliases and the name of the object, `known`, taken away.
fn expand<'p>(
    known: &Object,
    level: &Level,
    segments: &'p [Arc<str>],
) -> Result<Cow<'p, [Arc<str>]>, Refusal> {
    let Some((first, rest)) = segments.split_first() else {
        return Ok(Cow::Borrowed(segments));
    };
    let is = |name: &Arc<str>| name.eq_ignore_ascii_case(first);
    if level.alias.as_ref().is_some_and(is) && !rest.is_empty() {
        return Ok(Cow::Borrowed(rest));
    }
    if let Some((_, path)) = level.joins.iter().find(|(alias, _)| is(alias)) {
        let mut whole = path.clone();
        whole.extend_from_slice(rest);
        return Ok(Cow::Owned(whole));
    }
    if !rest.is_empty() && level.names.iter().any(is) {
        if known.relationship(first).is_some() {
            return Err(malformed(format!(
                "{first} is both the object and a relationship of it"
            )));
        }
        return Ok(Cow::Borrowed(rest));
    }
    Ok(Cow::Borrowed(segments))
}
