//! Select lists → rows: every item traced and put where its value will stand in the answer.

use std::ops::Range;
use std::sync::Arc;

use crate::engine::catalog::{FieldRef, FieldType, ObjectId};
use crate::engine::protocol::{Action, Comparison, Link, RecordShape, Shape};
use crate::engine::refusal::Refusal;

use super::super::soql::ast::{
    Argument, Call, Expr, FieldsOf, Function, Item, ItemKind, Path, Query, Slot, Span, TypeOf,
};
use super::{
    Binding, Level, Resolver, Step, Target, condition_fields, expand, malformed, refuse_clauses,
};

/// Deepest nesting of child queries.
const CHILD_DEPTH_MAX: usize = 5;

/// Most rows that `FIELDS(ALL)` and `FIELDS(CUSTOM)` may ask for (Salesforce's own bound).
const FIELDS_LIMIT_MAX: u64 = 200;

/// Span of paths that `FIELDS()` stands for.
const IMPLICIT: Span = Span {
    start: u32::MAX,
    end: 0,
};

impl Resolver<'_> {
    /// Puts `shape` at `key` of the record that `steps` lead to.
    fn place(
        &mut self,
        record: &mut RecordShape,
        list: u32,
        steps: &[Step],
        walked: usize,
        key: Arc<str>,
        shape: Shape,
    ) -> Result<usize, Refusal> {
        let Some(Step {
            key: step, objects, ..
        }) = steps.get(walked)
        else {
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
            let parent = self.record(objects, Some(list), &steps[..=walked]);
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

    pub(super) fn top(&mut self, query: &mut Query, level: &Level) -> Result<Shape, Refusal> {
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
                ("totalSize".into(), Shape::Number),
                ("done".into(), Shape::Boolean),
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
                ("totalSize".into(), Shape::Number),
                ("done".into(), Shape::Boolean),
                ("records".into(), rows(row)),
            ])
        } else {
            let record = self.plain_row(query, level)?;
            envelope(Link::NextPage, rows(Shape::Record(record)))
        };
        self.clauses(query, level, false, aggregate)?;
        Ok(shape)
    }

    /// A row of records.
    pub(super) fn plain_row(
        &mut self,
        query: &mut Query,
        level: &Level,
    ) -> Result<RecordShape, Refusal> {
        self.write_out_fields(query, level)?;
        let list = query.slot.0;
        let mut record = self.record(&[level.object], Some(list), &[]);
        record.members.reserve(query.select.len());
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
                            self.read_and_evaluate(level, path, &[], Vec::new(), true)?
                        };
                    let key = self.catalog.field(target.fields[0]).name.clone();
                    let shape = Shape::Value(outputs.collect());
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
                    for path in call.paths_mut() {
                        let (target, read) =
                            self.read_and_evaluate(level, path, &[], Vec::new(), true)?;
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
    ) -> Result<(Target, Range<usize>), Refusal> {
        let fields = self.fields(&[level.object], path.leaf(), path.leaf())?;
        let outputs = self.push_outputs(&fields, path.leaf().clone(), false);
        let kind = self.catalog.field(fields[0]).kind;
        self.bind(
            path,
            Binding {
                outputs: outputs.clone(),
                evaluated: 0..0,
                kind,
                home: None,
            },
        );
        let target = Target {
            steps: Vec::new(),
            fields,
            object_name: false,
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
        let (key, object, field) = self
            .catalog
            .get(level.object)
            .children
            .get(name.to_ascii_lowercase().as_str())
            .and_then(|c| {
                let object = c.object?;
                let field = self.catalog.get(object).field(&c.field);
                Some((c.name.clone(), object, field))
            })
            .ok_or_else(|| Refusal::unknown_object(&name))?;
        self.name_object(object, &name);
        if let Some(field) = field {
            let reference = FieldRef { object, field };
            let first = self.uses.len();
            self.followed
                .children
                .push((first, reference, name.clone()));
        }
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
        let known = self.catalog.get(level.object);
        let segments = expand(known, level, &type_of.relationship.segments)?.into_owned();
        if segments.len() != 1 {
            return Err(malformed("TYPEOF takes one relationship"));
        }
        let step = self
            .follow(level, &segments, &type_of.relationship.text())?
            .pop()
            .ok_or_else(|| malformed("TYPEOF takes one relationship"))?;
        // No list: a field is added to a branch. An empty prefix keeps paths from descending into it.
        let mut record = self.record(&step.objects, None, &[]);
        self.followed.scopes[record.scope].clone_from(&step.references);
        self.scopes[record.scope].conditions = step
            .objects
            .iter()
            .flat_map(|o| condition_fields(self.catalog, *o))
            .collect();
        let home = step.references.first().map(|field| (record.scope, *field));
        self.bind(
            &mut type_of.relationship,
            Binding {
                outputs: 0..0,
                evaluated: 0..0,
                kind: FieldType::Reference,
                home,
            },
        );
        let targets = &step.objects;
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
            self.name_object(object, name);
            self.scopes[record.scope]
                .branches
                .push((name.clone(), object));
            self.branch(&mut record, &step, &[object], paths)?;
        }
        let rest: Vec<_> = targets
            .iter()
            .copied()
            .filter(|o| !seen.contains(o))
            .collect();
        if !rest.is_empty() {
            self.branch(&mut record, &step, &rest, &mut type_of.otherwise)?;
        }
        Ok((step.key, Shape::Record(record)))
    }

    /// One branch of TYPEOF `step`: the fields of `objects`.
    fn branch(
        &mut self,
        record: &mut RecordShape,
        step: &Step,
        objects: &[ObjectId],
        paths: &mut [Path],
    ) -> Result<(), Refusal> {
        let mut seen: Vec<Arc<str>> = Vec::new();
        for path in paths {
            if path.segments.len() != 1 {
                return Err(malformed("TYPEOF takes fields, not relationships"));
            }
            // As a path: the objects of ELSE are not the caller's words.
            let written = format!("{}.{}", step.key, path.leaf());
            let fields = self.fields(objects, path.leaf(), &written)?;
            let key = self.catalog.field(fields[0]).name.clone();
            if seen.contains(&key) {
                return Err(malformed(format!("duplicate field selected: {key}")));
            }
            seen.push(key.clone());
            let outputs = self.push_outputs(&fields, path.leaf().clone(), true);
            for index in outputs.clone() {
                self.follows(index, &step.references);
            }
            let kind = self.catalog.field(fields[0]).kind;
            let binding = Binding {
                outputs: outputs.clone(),
                evaluated: 0..0,
                kind,
                home: None,
            };
            self.bind(path, binding);
            match record.members.iter_mut().find(|(k, _)| *k == key) {
                Some((_, Shape::Value(all))) => all.extend(outputs),
                _ => record.members.push((key, Shape::Value(outputs.collect()))),
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
                    let (target, outputs) =
                        self.read_and_evaluate(level, path, &[], Vec::new(), true)?;
                    let key = self.catalog.field(target.fields[0]).name.clone();
                    (Some(key), Shape::Value(outputs.collect()))
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
    pub(super) fn aggregate_call(
        &mut self,
        level: &Level,
        call: &mut Call,
    ) -> Result<Vec<usize>, Refusal> {
        let aggregate = call.aggregate();
        if let Some((Function::Count, _)) = aggregate
            && call.paths_mut().is_empty()
        {
            return Err(malformed("COUNT() must be the only item of the list"));
        }
        let (actions, output) = aggregate_actions(aggregate);
        let mut outputs = Vec::new();
        for path in call.paths_mut() {
            outputs.extend(
                self.read_and_evaluate(level, path, actions, Vec::new(), output)?
                    .1,
            );
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
}

/// The envelope around `records`.
pub(in super::super) fn envelope(next: Link, records: Shape) -> Shape {
    Shape::Object(vec![
        ("totalSize".into(), Shape::Number),
        ("done".into(), Shape::Boolean),
        ("nextRecordsUrl".into(), Shape::Link(next)),
        ("records".into(), records),
    ])
}

/// Records.
pub(in super::super) fn rows(element: Shape) -> Shape {
    Shape::Array {
        element: Box::new(element),
        rows: true,
    }
}

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

fn is_aggregate(expr: &Expr) -> bool {
    matches!(expr, Expr::Call(c) if c.aggregate().is_some())
}
