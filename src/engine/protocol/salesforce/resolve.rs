//! SOQL × schema → uses and shape: every path of a query traced to the fields that it reaches.

use std::sync::Arc;

use crate::engine::catalog::{Catalog, FieldRef, FieldType, ObjectId};
use crate::engine::protocol::{Action, Comparison, Link, Literal, RecordShape, Shape, Use};
use crate::engine::refusal::{Reason, Refusal};

use super::soql::ast::{
    Argument, Call, Condition, Expr, FieldsOf, Function, Item, ItemKind, Operand, Operator, Path,
    Query, Slot, Source, Span, TypeOf, Value,
};

/// Deepest nesting of child queries.
const CHILD_DEPTH_MAX: usize = 5;
/// Most rows that `FIELDS(ALL)` and `FIELDS(CUSTOM)` may ask for (Salesforce's own bound).
const FIELDS_LIMIT_MAX: u64 = 200;

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
    /// Shape of the whole answer.
    pub(super) shape: Shape,
    /// Shapes of the child envelopes, by the number in [`Link::ChildPage`].
    pub(super) children: Vec<Shape>,
}

/// What one path of the query is bound to.
#[derive(Debug)]
pub(super) struct Binding {
    /// Its outputs, one per possible object.
    pub(super) outputs: Vec<usize>,
    /// Its evaluating uses, one per possible object.
    pub(super) evaluated: Vec<usize>,
    /// What the field holds.
    pub(super) kind: FieldType,
    /// The record scope and field that a plain output stands for.
    pub(super) home: Option<(usize, FieldRef)>,
}

/// Where the records of a scope come from.
#[derive(Debug)]
pub(super) struct Scope {
    /// Slot of the select list; `None` for TYPEOF, where no field can be added.
    pub(super) list: Option<u32>,
    /// Relationship path from the list's own object.
    pub(super) prefix: Vec<Arc<str>>,
    /// The fields of its object that hold flags or the data region.
    pub(super) conditions: Vec<(FieldRef, Arc<str>)>,
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

/// Where a path leads.
struct Target {
    /// Relationship key and possible objects, step by step.
    steps: Vec<(Arc<str>, Vec<ObjectId>)>,
    /// The field in each possible object that has it; never empty.
    fields: Vec<FieldRef>,
}

struct Resolver<'c> {
    catalog: &'c Catalog,
    api: &'c str,
    uses: Vec<Use>,
    objects: Vec<ObjectId>,
    written: Vec<(ObjectId, Arc<str>)>,
    bindings: Vec<Binding>,
    scopes: Vec<Scope>,
    children: Vec<Shape>,
    lists: u32,
    depth: usize,
}

/// A refusal that names a clause.
pub(super) fn malformed(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Reason::MalformedQuery, message)
}

/// Traces `query`.
///
/// # Errors
/// Unknown objects, relationships and fields, and clauses that are refused by name.
pub(super) fn resolve(catalog: &Catalog, api: &str, mut query: Query) -> Result<Resolved, Refusal> {
    let mut resolver = Resolver {
        catalog,
        api,
        uses: Vec::new(),
        objects: Vec::new(),
        written: Vec::new(),
        bindings: Vec::new(),
        scopes: Vec::new(),
        children: Vec::new(),
        lists: 0,
        depth: 0,
    };
    refuse_clauses(&query)?;
    let [name] = &*query.from.path.segments else {
        return Err(malformed("FROM takes one object"));
    };
    let object = catalog
        .object(api, name)
        .ok_or_else(|| Refusal::unknown_object(name))?;
    resolver.name_object(object, name);
    let names = vec![name.clone()];
    let level = resolver.level(object, names, &query)?;
    let shape = resolver.top(&mut query, &level)?;
    Ok(Resolved {
        query,
        uses: resolver.uses,
        objects: resolver.objects,
        written: resolver.written,
        bindings: resolver.bindings,
        scopes: resolver.scopes,
        shape,
        children: resolver.children,
    })
}

/// Clauses that no query may have yet.
fn refuse_clauses(query: &Query) -> Result<(), Refusal> {
    if query.using_scope.is_some() {
        return Err(malformed("USING SCOPE is not supported"));
    }
    if query.with.is_some() {
        return Err(malformed("WITH is not supported"));
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

/// The envelope around `records`.
fn envelope(next: Link, records: Shape) -> Shape {
    Shape::Object(vec![
        ("totalSize".into(), Shape::Keep),
        ("done".into(), Shape::Keep),
        ("nextRecordsUrl".into(), Shape::Link(next)),
        ("records".into(), records),
    ])
}

fn rows(element: Shape) -> Shape {
    Shape::Array {
        element: Box::new(element),
        rows: true,
    }
}

/// The literal as plan and policy see it.
pub(super) fn literal(value: &Value) -> Literal {
    match value {
        Value::Null => Literal::Null,
        Value::Text(t) | Value::Pattern(t) => Literal::Text(t.clone()),
        Value::Bool(b) => Literal::Other(b.to_string()),
        Value::Word(w) => Literal::Other(w.to_string()),
    }
}

/// The paths inside a call, mutable.
pub(super) fn paths_of(call: &mut Call) -> Vec<&mut Path> {
    let mut paths = Vec::new();
    for argument in &mut call.arguments {
        match argument {
            Argument::Expr(Expr::Path(p)) => paths.push(p),
            Argument::Expr(Expr::Call(c)) => paths.extend(paths_of(c)),
            Argument::Value(_) | Argument::Geolocation(..) => {}
        }
    }
    paths
}

/// The aggregate function in a chain of calls, and whether it is applied to a path directly.
fn aggregate_of(call: &Call) -> Option<(Function, bool)> {
    let inner = call.arguments.first();
    if call.function.is_aggregate() {
        let direct = matches!(inner, Some(Argument::Expr(Expr::Path(_))) | None);
        return Some((call.function, direct));
    }
    match inner {
        Some(Argument::Expr(Expr::Call(c))) => aggregate_of(c),
        _ => None,
    }
}

fn is_aggregate(expr: &Expr) -> bool {
    matches!(expr, Expr::Call(c) if aggregate_of(c).is_some())
}

impl Resolver<'_> {
    fn name_object(&mut self, object: ObjectId, written: &Arc<str>) {
        if !self.written.iter().any(|(o, _)| *o == object) {
            self.written.push((object, written.clone()));
        }
        self.touch(object);
    }

    fn touch(&mut self, object: ObjectId) {
        if !self.objects.contains(&object) {
            self.objects.push(object);
        }
    }

    fn level(
        &self,
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
            let segments = expand(
                &level,
                &path.segments,
                known.relationship(&path.segments[0]).is_some(),
            )?;
            let taken = level
                .alias
                .as_ref()
                .is_some_and(|a| a.eq_ignore_ascii_case(alias))
                || level
                    .joins
                    .iter()
                    .any(|(a, _)| a.eq_ignore_ascii_case(alias))
                || known.relationship(alias).is_some() && !alias.eq_ignore_ascii_case(path.leaf());
            if taken || segments.is_empty() {
                return Err(malformed(format!("the alias {alias} is ambiguous")));
            }
            level.joins.push((alias.clone(), segments));
        }
        Ok(level)
    }

    /// Follows relationships from `level`.
    fn follow(
        &self,
        level: &Level,
        segments: &[Arc<str>],
    ) -> Result<Vec<(Arc<str>, Vec<ObjectId>)>, Refusal> {
        let mut at = vec![level.object];
        let mut steps = Vec::new();
        for segment in segments {
            let mut key = None;
            let mut targets: Vec<ObjectId> = Vec::new();
            for object in &at {
                let object = self.catalog.get(*object);
                let Some(field) = object.relationship(segment) else {
                    continue;
                };
                let field = &object.fields[field as usize];
                key = key.or_else(|| field.relationship_name.clone());
                for target in field.reference_to.iter().filter_map(|(_, id)| *id) {
                    if !targets.contains(&target) {
                        targets.push(target);
                    }
                }
            }
            let (Some(key), false) = (key, targets.is_empty()) else {
                let name = &self.catalog.get(at[0]).name;
                return Err(Refusal::unknown_field(segment, name));
            };
            at.clone_from(&targets);
            steps.push((key, targets));
        }
        Ok(steps)
    }

    fn target(&self, level: &Level, path: &Path) -> Result<Target, Refusal> {
        let first = &path.segments[0];
        let related = self.catalog.get(level.object).relationship(first).is_some();
        let segments = expand(level, &path.segments, related)?;
        let Some((leaf, parents)) = segments.split_last() else {
            return Err(Refusal::unknown_field(
                first,
                &self.catalog.get(level.object).name,
            ));
        };
        let steps = self.follow(level, parents)?;
        let own = [level.object];
        let objects = steps.last().map_or(&own[..], |(_, objects)| &objects[..]);
        let fields = self.fields(objects, leaf)?;
        Ok(Target { steps, fields })
    }

    /// The field `leaf` in every object of `objects` that has it.
    fn fields(&self, objects: &[ObjectId], leaf: &str) -> Result<Vec<FieldRef>, Refusal> {
        let fields: Vec<_> = objects
            .iter()
            .filter_map(|&object| {
                let field = self.catalog.get(object).field(leaf)?;
                Some(FieldRef { object, field })
            })
            .collect();
        if fields.is_empty() {
            let name = &self.catalog.get(objects[0]).name;
            return Err(Refusal::unknown_field(leaf, name));
        }
        Ok(fields)
    }

    /// Adds one use per field; gives their indices.
    fn push_uses(&mut self, fields: &[FieldRef], template: &Use) -> Vec<usize> {
        fields
            .iter()
            .map(|&field| {
                self.uses.push(Use {
                    field,
                    ..template.clone()
                });
                self.uses.len() - 1
            })
            .collect()
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
        values: &[Literal],
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
        values: &[Literal],
        output: bool,
    ) -> Result<(Target, Vec<usize>), Refusal> {
        let target = self.target(level, path)?;
        let written: Arc<str> = path.text().into();
        let mut evaluated = Vec::new();
        for &(action, comparison) in actions {
            let template = Use {
                field: target.fields[0],
                action,
                written: written.clone(),
                comparison,
                values: values.to_vec(),
                named: true,
            };
            evaluated.extend(self.push_uses(&target.fields, &template));
        }
        let outputs = if output {
            self.push_outputs(&target.fields, written, true)
        } else {
            Vec::new()
        };
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

    fn push_outputs(&mut self, fields: &[FieldRef], written: Arc<str>, named: bool) -> Vec<usize> {
        let template = Use {
            field: fields[0],
            action: Action::Read,
            written,
            comparison: Comparison::Other,
            values: Vec::new(),
            named,
        };
        self.push_uses(fields, &template)
    }

    fn record(
        &mut self,
        objects: &[ObjectId],
        list: Option<u32>,
        prefix: Vec<Arc<str>>,
    ) -> RecordShape {
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
            prefix,
            conditions,
        });
        RecordShape {
            objects: objects.to_vec(),
            scope: self.scopes.len() - 1,
            members: Vec::new(),
            all_fields: false,
            attributes: true,
            paths: Vec::new(),
        }
    }

    /// Puts `shape` at `key` of the record that `steps` lead to.
    fn place(
        &mut self,
        record: &mut RecordShape,
        list: u32,
        steps: &[(Arc<str>, Vec<ObjectId>)],
        walked: usize,
        key: Arc<str>,
        shape: Shape,
    ) -> Result<usize, Refusal> {
        let Some((step, objects)) = steps.get(walked) else {
            let taken = record
                .members
                .iter()
                .any(|(k, _)| k.eq_ignore_ascii_case(&key));
            if taken || key.eq_ignore_ascii_case("attributes") {
                return Err(malformed(format!("duplicate field selected: {key}")));
            }
            record.members.push((key, shape));
            return Ok(record.scope);
        };
        let at = record
            .members
            .iter()
            .position(|(k, _)| k.eq_ignore_ascii_case(step));
        let at = if let Some(at) = at {
            at
        } else {
            let prefix = steps[..=walked].iter().map(|(k, _)| k.clone()).collect();
            let parent = self.record(objects, Some(list), prefix);
            record.members.push((step.clone(), Shape::Record(parent)));
            record.members.len() - 1
        };
        match &mut record.members[at].1 {
            Shape::Record(parent) if self.scopes[parent.scope].prefix.len() == walked + 1 => {
                self.place(parent, list, steps, walked + 1, key, shape)
            }
            _ => Err(malformed(format!("duplicate field selected: {step}"))),
        }
    }

    fn top(&mut self, query: &mut Query, level: &Level) -> Result<Shape, Refusal> {
        let count_only = matches!(&*query.select, [Item { kind: ItemKind::Expr(Expr::Call(c)), .. }]
            if c.function == Function::Count && c.arguments.is_empty());
        let aggregate = query.group.is_some()
            || query
                .select
                .iter()
                .any(|i| matches!(&i.kind, ItemKind::Expr(e) if is_aggregate(e)));
        if query.having.is_some() && query.group.is_none() {
            return Err(malformed("HAVING needs GROUP BY"));
        }
        self.new_list(query);
        let shape = if count_only && query.group.is_none() {
            if query.select[0].alias.is_some() {
                return Err(malformed("COUNT() takes no alias"));
            }
            self.count_rows(level)?;
            Shape::Object(vec![
                ("totalSize".into(), Shape::Keep),
                ("done".into(), Shape::Keep),
                (
                    "records".into(),
                    Shape::Array {
                        element: Box::new(Shape::Drop),
                        rows: false,
                    },
                ),
            ])
        } else if aggregate {
            let row = self.aggregate_row(query, level)?;
            // Grouped answers have no further pages: a link to one is not claimed by this shape.
            Shape::Object(vec![
                ("totalSize".into(), Shape::Keep),
                ("done".into(), Shape::Keep),
                ("records".into(), rows(row)),
            ])
        } else {
            let record = self.plain_row(query, level)?;
            envelope(Link::NextPage, rows(Shape::Record(record)))
        };
        self.clauses(query, level, false, aggregate)?;
        Ok(shape)
    }

    fn new_list(&mut self, query: &mut Query) -> u32 {
        let list = self.lists;
        query.slot = Slot(list);
        self.lists += 1;
        list
    }

    /// `COUNT()` is an aggregate of Id.
    fn count_rows(&mut self, level: &Level) -> Result<(), Refusal> {
        let fields = self.fields(&[level.object], "Id")?;
        let template = Use {
            field: fields[0],
            action: Action::Aggregate,
            written: "Id".into(),
            comparison: Comparison::Identity,
            values: Vec::new(),
            named: true,
        };
        self.push_uses(&fields, &template);
        Ok(())
    }

    /// A row of records.
    fn plain_row(&mut self, query: &mut Query, level: &Level) -> Result<RecordShape, Refusal> {
        self.write_out_fields(query, level)?;
        let list = query.slot.0;
        let mut record = self.record(&[level.object], Some(list), Vec::new());
        let mut unnamed = false;
        for item in &mut query.select {
            let alias = item.alias.clone();
            match &mut item.kind {
                ItemKind::Expr(Expr::Path(path)) => {
                    if alias.is_some() {
                        return Err(malformed("only aggregate expressions use field aliasing"));
                    }
                    let (target, outputs) =
                        if path.span.end == IMPLICIT.end && path.span.start == IMPLICIT.start {
                            self.implicit(level, path)?
                        } else {
                            self.read_and_evaluate(level, path, &[], &[], true)?
                        };
                    let key = self.catalog.field(target.fields[0]).name.clone();
                    let shape = Shape::Value(outputs);
                    let scope = self.place(&mut record, list, &target.steps, 0, key, shape)?;
                    if let Some(binding) = self.bindings.get_mut(path.slot.0 as usize) {
                        binding.home = Some((scope, target.fields[0]));
                    }
                }
                ItemKind::Expr(Expr::Call(call)) => {
                    let distance = call.function == Function::Distance;
                    if !distance && !is_presentation(call) {
                        return Err(malformed(format!(
                            "{} needs GROUP BY",
                            call.function.text()
                        )));
                    }
                    let mut outputs = Vec::new();
                    let mut steps = Vec::new();
                    let mut key = None;
                    for path in paths_of(call) {
                        let (target, read) = self.read_and_evaluate(level, path, &[], &[], true)?;
                        outputs.extend(read);
                        key = Some(self.catalog.field(target.fields[0]).name.clone());
                        steps = target.steps;
                    }
                    let key = if let Some(alias) = alias {
                        self.check_alias(level, &alias)?;
                        steps.clear();
                        alias
                    } else if distance {
                        steps.clear();
                        // Taking one of several out of the list would renumber the others.
                        if std::mem::replace(&mut unnamed, true) {
                            return Err(malformed("DISTANCE needs an alias"));
                        }
                        "expr0".into()
                    } else {
                        key.ok_or_else(|| malformed("a function needs a field"))?
                    };
                    self.place(&mut record, list, &steps, 0, key, Shape::Value(outputs))?;
                }
                ItemKind::Children(children) => {
                    let (key, shape) = self.child(level, children)?;
                    self.place(&mut record, list, &[], 0, key, shape)?;
                }
                ItemKind::TypeOf(type_of) => {
                    let (key, shape) = self.type_of(level, type_of)?;
                    self.place(&mut record, list, &[], 0, key, shape)?;
                }
                // Written out before.
                ItemKind::Fields(_) => return Err(malformed("FIELDS() is not supported here")),
            }
        }
        Ok(record)
    }

    /// An output that nobody named.
    fn implicit(
        &mut self,
        level: &Level,
        path: &mut Path,
    ) -> Result<(Target, Vec<usize>), Refusal> {
        let fields = self.fields(&[level.object], path.leaf())?;
        let outputs = self.push_outputs(&fields, path.leaf().clone(), false);
        let kind = self.catalog.field(fields[0]).kind;
        self.bind(
            path,
            Binding {
                outputs: outputs.clone(),
                evaluated: Vec::new(),
                kind,
                home: None,
            },
        );
        let target = Target {
            steps: Vec::new(),
            fields,
        };
        Ok((target, outputs))
    }

    /// Replaces `FIELDS()` by the schema's own fields: what the schema does not know is never fetched.
    fn write_out_fields(&self, query: &mut Query, level: &Level) -> Result<(), Refusal> {
        let mut select = Vec::with_capacity(query.select.len());
        for item in std::mem::take(&mut query.select) {
            let ItemKind::Fields(set) = item.kind else {
                select.push(item);
                continue;
            };
            if set != FieldsOf::Standard && query.limit.is_none_or(|l| l > FIELDS_LIMIT_MAX) {
                return Err(malformed(
                    "The SOQL FIELDS function must have a LIMIT of at most 200",
                ));
            }
            for field in &self.catalog.get(level.object).fields {
                let custom = field.name.len() > 3
                    && field.name.as_bytes()[field.name.len() - 3..].eq_ignore_ascii_case(b"__c");
                let wanted = match set {
                    FieldsOf::All => true,
                    FieldsOf::Standard => !custom,
                    FieldsOf::Custom => custom,
                };
                if wanted && field.kind != FieldType::Blob {
                    select.push(Item {
                        kind: ItemKind::Expr(Expr::Path(Path {
                            segments: vec![field.name.clone()],
                            span: IMPLICIT,
                            slot: Slot::default(),
                        })),
                        alias: None,
                        span: IMPLICIT,
                    });
                }
            }
        }
        if select.is_empty() {
            return Err(malformed("FIELDS() names no field"));
        }
        query.select = select;
        Ok(())
    }

    /// `(SELECT … FROM Contacts)`.
    fn child(&mut self, level: &Level, query: &mut Query) -> Result<(Arc<str>, Shape), Refusal> {
        if self.depth >= CHILD_DEPTH_MAX {
            return Err(malformed("child queries are nested too deeply"));
        }
        refuse_clauses(query)?;
        if query.group.is_some()
            || query.having.is_some()
            || query
                .select
                .iter()
                .any(|i| matches!(&i.kind, ItemKind::Expr(e) if is_aggregate(e)))
        {
            return Err(malformed("only root queries support aggregate expressions"));
        }
        let name = match &*query.from.path.segments {
            [name] => name.clone(),
            [prefix, name]
                if level
                    .names
                    .iter()
                    .chain(&level.alias)
                    .any(|n| n.eq_ignore_ascii_case(prefix)) =>
            {
                name.clone()
            }
            _ => return Err(malformed("FROM of a child query takes one relationship")),
        };
        let (key, object) = self
            .catalog
            .get(level.object)
            .children
            .get(name.to_ascii_lowercase().as_str())
            .and_then(|c| Some((c.name.clone(), c.object?)))
            .ok_or_else(|| Refusal::unknown_object(&name))?;
        self.name_object(object, &name);
        let number = self.children.len();
        self.children.push(Shape::Drop);
        self.new_list(query);
        let inner = self.level(object, vec![name], query)?;
        self.depth += 1;
        let record = self.plain_row(query, &inner)?;
        self.depth -= 1;
        self.clauses(query, &inner, false, false)?;
        let link = Link::ChildPage(u16::try_from(number).unwrap_or(u16::MAX));
        let shape = envelope(link, rows(Shape::Record(record)));
        self.children[number] = shape.clone();
        Ok((key, shape))
    }

    /// `TYPEOF`.
    fn type_of(
        &mut self,
        level: &Level,
        type_of: &mut TypeOf,
    ) -> Result<(Arc<str>, Shape), Refusal> {
        let first = &type_of.relationship.segments[0];
        let related = self.catalog.get(level.object).relationship(first).is_some();
        let segments = expand(level, &type_of.relationship.segments, related)?;
        if segments.len() != 1 {
            return Err(malformed("TYPEOF takes one relationship"));
        }
        let (key, targets) = self
            .follow(level, &segments)?
            .pop()
            .ok_or_else(|| malformed("TYPEOF takes one relationship"))?;
        // No list: a field can not be added under TYPEOF. An empty prefix keeps paths from descending into it.
        let mut record = self.record(&targets, None, Vec::new());
        let mut seen = Vec::new();
        for (name, paths) in &mut type_of.cases {
            let object = self
                .catalog
                .object(self.api, name)
                .filter(|o| targets.contains(o))
                .ok_or_else(|| Refusal::unknown_object(name))?;
            if seen.contains(&object) {
                return Err(malformed(format!("TYPEOF names {name} twice")));
            }
            seen.push(object);
            self.branch(&mut record, &[object], paths)?;
        }
        let rest: Vec<_> = targets
            .iter()
            .copied()
            .filter(|o| !seen.contains(o))
            .collect();
        if !rest.is_empty() {
            self.branch(&mut record, &rest, &mut type_of.otherwise)?;
        }
        Ok((key, Shape::Record(record)))
    }

    /// One branch of TYPEOF: the fields of `objects`.
    fn branch(
        &mut self,
        record: &mut RecordShape,
        objects: &[ObjectId],
        paths: &mut [Path],
    ) -> Result<(), Refusal> {
        let mut seen: Vec<Arc<str>> = Vec::new();
        for path in paths {
            if path.segments.len() != 1 {
                return Err(malformed("TYPEOF takes fields, not relationships"));
            }
            let fields = self.fields(objects, path.leaf())?;
            let key = self.catalog.field(fields[0]).name.clone();
            if seen.contains(&key) {
                return Err(malformed(format!("duplicate field selected: {key}")));
            }
            seen.push(key.clone());
            let outputs = self.push_outputs(&fields, path.leaf().clone(), true);
            let kind = self.catalog.field(fields[0]).kind;
            let binding = Binding {
                outputs: outputs.clone(),
                evaluated: Vec::new(),
                kind,
                home: None,
            };
            self.bind(path, binding);
            match record.members.iter_mut().find(|(k, _)| *k == key) {
                Some((_, Shape::Value(all))) => all.extend(outputs),
                _ => record.members.push((key, Shape::Value(outputs))),
            }
        }
        Ok(())
    }

    /// A row of AggregateResult. Un-aliased functions are `expr0`, `expr1`… in the order of the list.
    fn aggregate_row(&mut self, query: &mut Query, level: &Level) -> Result<Shape, Refusal> {
        let mut members: Vec<(Arc<str>, Shape)> = vec![(
            "attributes".into(),
            Shape::Object(vec![("type".into(), Shape::Keep)]),
        )];
        let mut unnamed = 0;
        for item in &mut query.select {
            let (default, shape) = match &mut item.kind {
                ItemKind::Expr(Expr::Path(path)) => {
                    let (target, outputs) = self.read_and_evaluate(level, path, &[], &[], true)?;
                    let key = self.catalog.field(target.fields[0]).name.clone();
                    (Some(key), Shape::Value(outputs))
                }
                ItemKind::Expr(Expr::Call(call)) => {
                    (None, Shape::Value(self.aggregate_call(level, call)?))
                }
                ItemKind::Children(_) => {
                    return Err(malformed("child queries can not stand beside aggregates"));
                }
                ItemKind::TypeOf(_) => {
                    return Err(malformed("TYPEOF can not stand beside aggregates"));
                }
                ItemKind::Fields(_) => {
                    return Err(malformed("FIELDS() can not stand beside aggregates"));
                }
            };
            let key = match (&item.alias, default) {
                (Some(alias), _) => {
                    self.check_alias(level, alias)?;
                    alias.clone()
                }
                (None, Some(key)) => key,
                (None, None) => {
                    unnamed += 1;
                    format!("expr{}", unnamed - 1).into()
                }
            };
            if members.iter().any(|(k, _)| k.eq_ignore_ascii_case(&key)) {
                return Err(malformed(format!("duplicate alias: {key}")));
            }
            members.push((key, shape));
        }
        Ok(Shape::Object(members))
    }

    /// A function in the list of an aggregate query; gives the outputs that its value shows.
    fn aggregate_call(&mut self, level: &Level, call: &mut Call) -> Result<Vec<usize>, Refusal> {
        let aggregate = aggregate_of(call);
        if let Some((Function::Count, _)) = aggregate
            && paths_of(call).is_empty()
        {
            return Err(malformed("COUNT() must be the only item of the list"));
        }
        let (actions, output) = aggregate_actions(aggregate);
        let mut outputs = Vec::new();
        for path in paths_of(call) {
            outputs.extend(self.read_and_evaluate(level, path, actions, &[], output)?.1);
        }
        Ok(outputs)
    }

    /// An alias may not look like anything that the answer has of its own.
    fn check_alias(&self, level: &Level, alias: &str) -> Result<(), Refusal> {
        let object = self.catalog.get(level.object);
        let numbered = alias
            .get(..4)
            .is_some_and(|p| p.eq_ignore_ascii_case("expr") && alias.len() > 4)
            && alias.as_bytes()[4..].iter().all(u8::is_ascii_digit);
        if numbered
            || alias.eq_ignore_ascii_case("attributes")
            || object.field(alias).is_some()
            || object.relationship(alias).is_some()
            || object
                .children
                .contains_key(alias.to_ascii_lowercase().as_str())
        {
            return Err(malformed(format!("invalid alias: {alias}")));
        }
        Ok(())
    }

    /// WHERE, GROUP BY, HAVING, ORDER BY.
    fn clauses(
        &mut self,
        query: &mut Query,
        level: &Level,
        negated: bool,
        aggregate: bool,
    ) -> Result<(), Refusal> {
        if let Some(filter) = &mut query.filter {
            self.condition(level, filter, negated, false)?;
        }
        if let Some(group) = &mut query.group {
            for key in &mut group.keys {
                match key {
                    Expr::Path(path) => {
                        self.evaluate(level, path, &[(Action::Group, Comparison::Identity)], &[])?;
                    }
                    Expr::Call(call) if aggregate_of(call).is_none() => {
                        for path in paths_of(call) {
                            self.evaluate(level, path, &[(Action::Group, Comparison::Other)], &[])?;
                        }
                    }
                    Expr::Call(_) => return Err(malformed("GROUP BY takes no aggregate")),
                }
            }
        }
        if let Some(having) = &mut query.having {
            self.condition(level, having, negated, true)?;
        }
        for order in &mut query.order {
            match &mut order.by {
                Expr::Path(path) => {
                    self.evaluate(level, path, &[(Action::Sort, Comparison::Other)], &[])?;
                }
                Expr::Call(call) => self.evaluate_call(level, call, Action::Sort, aggregate)?,
            }
        }
        Ok(())
    }

    /// A function in a predicate or in ORDER BY.
    fn evaluate_call(
        &mut self,
        level: &Level,
        call: &mut Call,
        action: Action,
        aggregates: bool,
    ) -> Result<(), Refusal> {
        let own = (action, Comparison::Other);
        let actions = match aggregate_of(call) {
            None => vec![own],
            Some(_) if !aggregates => {
                return Err(malformed(format!(
                    "{} can not stand here",
                    call.function.text()
                )));
            }
            // Counting shows no value; comparing or sorting a sum or an extreme evaluates the field itself.
            Some((Function::Count, true)) if paths_of(call).is_empty() => {
                return self.count_rows(level);
            }
            Some((Function::Count | Function::CountDistinct, true)) => {
                vec![(Action::Aggregate, Comparison::Identity)]
            }
            Some((Function::Grouping, _)) => vec![(Action::Group, Comparison::Identity)],
            Some(_) => vec![(Action::Aggregate, Comparison::Other), own],
        };
        for path in paths_of(call) {
            self.evaluate(level, path, &actions, &[])?;
        }
        Ok(())
    }

    fn condition(
        &mut self,
        level: &Level,
        condition: &mut Condition,
        negated: bool,
        having: bool,
    ) -> Result<(), Refusal> {
        let compare = match condition {
            Condition::And(parts) | Condition::Or(parts) => {
                return parts
                    .iter_mut()
                    .try_for_each(|part| self.condition(level, part, negated, having));
            }
            Condition::Not(part) => return self.condition(level, part, true, having),
            Condition::Compare(compare) => compare,
        };
        let equality = !negated && matches!(compare.operator, Operator::Equal | Operator::In);
        let (values, comparison) = match &compare.right {
            Operand::Value(v) => (vec![literal(v)], equality),
            Operand::List(list) => (list.iter().map(literal).collect(), equality),
            Operand::Query(_) => (Vec::new(), false),
        };
        let comparison = if comparison {
            Comparison::Equality
        } else {
            Comparison::Other
        };
        match &mut compare.left {
            Expr::Path(path) => {
                self.evaluate(level, path, &[(Action::Filter, comparison)], &values)?;
            }
            Expr::Call(call) => self.evaluate_call(level, call, Action::Filter, having)?,
        }
        if let Operand::Query(query) = &mut compare.right {
            let negated = negated || compare.operator == Operator::NotIn;
            self.semi_join(query, negated)?;
        }
        Ok(())
    }

    /// `IN (SELECT …)`: what it selects is evaluated, not put out.
    fn semi_join(&mut self, query: &mut Query, negated: bool) -> Result<(), Refusal> {
        refuse_clauses(query)?;
        if query.group.is_some()
            || query.having.is_some()
            || !query.order.is_empty()
            || query.limit.is_some()
            || query.offset.is_some()
        {
            return Err(malformed("a semi-join takes SELECT, FROM and WHERE only"));
        }
        let [name] = &*query.from.path.segments else {
            return Err(malformed("FROM takes one object"));
        };
        let name = name.clone();
        let object = self
            .catalog
            .object(self.api, &name)
            .ok_or_else(|| Refusal::unknown_object(&name))?;
        self.name_object(object, &name);
        let level = self.level(object, vec![name], query)?;
        self.new_list(query);
        let [
            Item {
                kind: ItemKind::Expr(Expr::Path(path)),
                alias: None,
                ..
            },
        ] = &mut *query.select
        else {
            return Err(malformed("a semi-join selects one field"));
        };
        self.evaluate(&level, path, &[(Action::Filter, Comparison::Other)], &[])?;
        self.clauses(query, &level, negated, false)
    }
}

/// The fields of `object` that hold flags or the data region.
pub(super) fn condition_fields(catalog: &Catalog, object: ObjectId) -> Vec<(FieldRef, Arc<str>)> {
    let known = catalog.get(object);
    known
        .conditions
        .iter()
        .map(|c| {
            let field = FieldRef {
                object,
                field: c.field,
            };
            (field, catalog.field(field).name.clone())
        })
        .collect()
}

/// Span of paths that `FIELDS()` stands for.
const IMPLICIT: Span = Span {
    start: u32::MAX,
    end: 0,
};

/// How an aggregate uses its field, and whether its value shows one of the field's values.
fn aggregate_actions(
    aggregate: Option<(Function, bool)>,
) -> (&'static [(Action, Comparison)], bool) {
    match aggregate {
        None => (&[], true),
        Some((Function::Count | Function::CountDistinct, true)) => {
            (&[(Action::Aggregate, Comparison::Identity)], false)
        }
        Some((Function::Grouping, _)) => (&[(Action::Group, Comparison::Identity)], false),
        Some((Function::Min | Function::Max, _)) => {
            (&[(Action::Aggregate, Comparison::Other)], true)
        }
        Some(_) => (&[(Action::Aggregate, Comparison::Other)], false),
    }
}

/// Only FORMAT, toLabel and convertCurrency, however nested.
fn is_presentation(call: &Call) -> bool {
    call.function.is_presentation()
        && match call.arguments.first() {
            Some(Argument::Expr(Expr::Call(c))) => is_presentation(c),
            _ => true,
        }
}

/// The relationship path and field behind `segments`: aliases and the object's own name taken away.
fn expand(level: &Level, segments: &[Arc<str>], related: bool) -> Result<Vec<Arc<str>>, Refusal> {
    let Some((first, rest)) = segments.split_first() else {
        return Ok(Vec::new());
    };
    let is = |name: &Arc<str>| name.eq_ignore_ascii_case(first);
    if level.alias.as_ref().is_some_and(is) && !rest.is_empty() {
        return Ok(rest.to_vec());
    }
    if let Some((_, path)) = level.joins.iter().find(|(alias, _)| is(alias)) {
        let mut whole = path.clone();
        whole.extend_from_slice(rest);
        return Ok(whole);
    }
    if level.names.iter().any(is) && !rest.is_empty() {
        if related {
            return Err(malformed(format!(
                "{first} is both the object and a relationship of it"
            )));
        }
        return Ok(rest.to_vec());
    }
    Ok(segments.to_vec())
}
