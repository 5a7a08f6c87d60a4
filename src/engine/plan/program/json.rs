//! Shape → JSON program.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::catalog::{ConditionValue, FieldRef, FieldType, Object, ObjectId};
use crate::engine::path::Path;
use crate::engine::policy::FieldRuling;
use crate::engine::protocol::salesforce::graphql::own_key;
use crate::engine::protocol::salesforce::{describe, errors, layouts};
use crate::engine::protocol::{Dialect, Link, RecordShape, Shape};
use crate::engine::refusal::Refusal;
use crate::engine::rewrite::from_paths::{self, FromPaths};
use crate::engine::rewrite::{
    By, Choose, Elements, Member, Members, Node, NodeId, Program, ScalarKind,
};
use crate::engine::token::Tokenizer;
use crate::engine::treatment::{Prepared, Treatment};

use super::super::link::{ErrorCode, Position, RecordUrl};
use super::{Core, Record, Ruled};

/// Lowers a shape that is a JSON value.
pub(super) fn lower(core: &mut Core<'_>, shape: &Shape) -> Result<Program, Refusal> {
    let mut lowering = Lowering {
        core,
        nodes: vec![
            Node::Drop,
            Node::Clear,
            Node::Refuse,
            Node::Constant("null".into()),
            Node::Either {
                object: NodeId(3),
                array: NodeId(3),
                scalar: CLEAR,
            },
        ],
        treats: HashMap::new(),
        watched_trees: HashMap::new(),
    };
    let root = lowering.shape(shape, None)?;
    let nodes = lowering.nodes;
    Ok(Program::new(nodes, root, core.counters.clone()))
}

pub(super) const DROP: NodeId = NodeId(0);
const CLEAR: NodeId = NodeId(1);
pub(super) const REFUSE: NodeId = NodeId(2);
pub(super) const NULL: NodeId = NodeId(3);
/// A clear scalar: an object or array under a scalar field becomes null.
const CLEAR_SCALAR: NodeId = NodeId(4);

/// Salesforce's `attributes.type` for the target of a polymorphic reference that it does not look up.
const ANY_OBJECT: &str = "Name";

pub(super) struct Lowering<'a, 'c> {
    pub(super) core: &'c mut Core<'a>,
    pub(super) nodes: Vec<Node>,
    /// Shared leaves: (field, treatment) → node.
    treats: HashMap<(FieldRef, Treatment), NodeId>,
    /// Watched values of any shape.
    watched_trees: HashMap<FieldRef, NodeId>,
}

impl<'a> Lowering<'a, '_> {
    pub(super) fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node);
        id
    }

    pub(super) fn object(&mut self, named: Vec<Member>, row: bool) -> NodeId {
        self.add(Node::Object(Members {
            named,
            other: None,
            row,
        }))
    }

    pub(super) fn shape(
        &mut self,
        shape: &Shape,
        record: Option<Record>,
    ) -> Result<NodeId, Refusal> {
        Ok(match shape {
            Shape::Keep => CLEAR,
            Shape::Number => self.add(Node::Scalar(ScalarKind::Number)),
            Shape::Boolean => self.add(Node::Scalar(ScalarKind::Boolean)),
            Shape::Drop => DROP,
            // No document: whatever would be read as one is refused.
            Shape::Opaque => REFUSE,
            Shape::Constant(json) => self.add(Node::Constant(json.clone())),
            Shape::Value(sources) => self.value(sources, record),
            Shape::Record(shape) => self.record(shape, false)?,
            Shape::OneOf {
                records,
                others_dropped,
            } => self.one_of(records, *others_dropped, false)?,
            Shape::Object(members) => self.envelope(members, record, false)?,
            Shape::Array { element, rows } => {
                let rest = match &**element {
                    Shape::Record(shape) => self.record(shape, *rows)?,
                    Shape::OneOf {
                        records,
                        others_dropped,
                    } => self.one_of(records, *others_dropped, *rows)?,
                    Shape::Object(members) => self.envelope(members, record, *rows)?,
                    other => self.shape(other, record)?,
                };
                self.add(Node::Array(Elements {
                    head: Vec::new(),
                    rest,
                }))
            }
            Shape::ByName { member, cases } => {
                let mut lowered = Vec::with_capacity(cases.len());
                for (text, case) in cases {
                    lowered.push((
                        ConditionValue::Text((&**text).into()),
                        self.shape(case, record)?,
                    ));
                }
                self.add(Node::Choose(Choose {
                    by: By::Keys(vec![member.clone()]),
                    cases: lowered,
                    otherwise: DROP,
                    absent: DROP,
                    overflow: DROP,
                }))
            }
            Shape::Ready { told, table } => {
                // For its conditions alone; the table itself is another request's.
                super::csv::lower(self.core, table);
                self.shape(told, record)?
            }
            Shape::Link(Link::Origin) => self.origin_link(),
            Shape::Link(
                link @ (Link::NextPage
                | Link::JobData
                | Link::ChildPage(_)
                | Link::Part { .. }
                | Link::Closed),
            ) => self.next_page(*link),
            Shape::Positional(shapes) => {
                let mut head = Vec::with_capacity(shapes.len());
                for shape in shapes {
                    head.push(self.shape(shape, record)?);
                }
                self.add(Node::Array(Elements { head, rest: DROP }))
            }
            Shape::Columns(columns) => {
                let mut head = Vec::with_capacity(columns.len());
                for (output, shape) in columns {
                    if self.core.is_asked(*output) {
                        head.push(self.shape(shape, record)?);
                    }
                }
                self.add(Node::Array(Elements { head, rest: DROP }))
            }
            Shape::Shown {
                outputs,
                shape,
                otherwise,
            } => {
                // What is told apart like this is no record whose id could be seen.
                self.core.untold();
                match self.core.value(outputs, record) {
                    Ruled::Hidden => self.shape(otherwise, record)?,
                    _ => self.shape(shape, record)?,
                }
            }
            Shape::Amount(sources) => self.amount(sources, record),
            Shape::Keyed(shape) => {
                let node = self.shape(shape, record)?;
                let other = Some(self.add(Node::Indexed(node)));
                self.add(Node::Object(Members {
                    named: Vec::new(),
                    other,
                    row: false,
                }))
            }
            Shape::Position => self.add(Node::Link(Arc::new(Position))),
            Shape::Expect(text) => self.add(Node::Expect(vec![text.clone()])),
            Shape::ErrorCode => self.add(Node::Link(Arc::new(ErrorCode))),
            Shape::Answer(answer) => {
                let node = match self.shape(answer, None)? {
                    // Told apart by type already: its object is what counts here.
                    node if matches!(**answer, Shape::Paths(_)) => {
                        match self.nodes.get(node.0 as usize) {
                            Some(Node::Either { object, .. }) => *object,
                            _ => node,
                        }
                    }
                    node => node,
                };
                // A list of the part's own stands where errors would; its elements know both.
                let (object, array) = match **answer {
                    Shape::Array { .. } | Shape::Positional(_) => (NULL, node),
                    _ => (node, self.shape(&errors::list(), None)?),
                };
                self.add(Node::Either {
                    object,
                    array,
                    scalar: NULL,
                })
            }
            Shape::Paths(paths) => {
                let mut lowered = Vec::with_capacity(paths.len());
                for (path, shape) in paths {
                    // What a map's records path reaches is a row.
                    let node = match shape {
                        Shape::Record(shape) => self.record(shape, true)?,
                        Shape::Object(members) => self.envelope(members, record, true)?,
                        other => self.shape(other, record)?,
                    };
                    lowered.push((path.clone(), node));
                }
                self.paths(&lowered, false)?
            }
            Shape::Event(part) => self.event(part, record)?,
            // A document of another format is the answer itself or nothing.
            Shape::Csv(_) | Shape::Xml(_) => REFUSE,
            Shape::Describe(object) => {
                let shape = describe::describe_shape(
                    self.core.catalog,
                    *object,
                    &|field| self.core.view(*object, field),
                    &|field| {
                        self.core
                            .decision
                            .read(field)
                            .is_some_and(|ruling| !ruling.is_hidden())
                    },
                    &|field| self.core.decision.may_evaluate(field),
                );
                self.shape(&shape, None)?
            }
            Shape::Layouts { objects, by_object } => {
                let shape = layouts::layouts_shape(
                    self.core.catalog,
                    objects,
                    *by_object,
                    &|field| self.core.view(field.object, field.field),
                    &|field| {
                        self.core
                            .decision
                            .read(field)
                            .is_some_and(|ruling| !ruling.is_hidden())
                    },
                    &|field| self.core.decision.may_evaluate(field),
                );
                self.shape(&shape, None)?
            }
            Shape::DescribeGlobal => {
                let api = self.core.operation.api.name.clone();
                let shape = describe::describe_global_shape(self.core.catalog, &api, &|object| {
                    self.core.is_readable(object)
                });
                self.shape(&shape, None)?
            }
        })
    }

    fn envelope(
        &mut self,
        members: &[(Arc<str>, Shape)],
        record: Option<Record>,
        row: bool,
    ) -> Result<NodeId, Refusal> {
        let mut named = Vec::with_capacity(members.len());
        for (key, shape) in members {
            // An envelope member that holds records decides what is treated below it: a second one aborts.
            let unique = matches!(shape, Shape::Array { .. } | Shape::Record(_));
            named.push(Member {
                key: key.clone(),
                node: self.shape(shape, record)?,
                unique,
            });
        }
        Ok(self.object(named, row))
    }

    fn origin_link(&mut self) -> NodeId {
        let link = self.core.own_origin();
        self.add(Node::Link(Arc::new(link)))
    }

    fn next_page(&mut self, link: Link) -> NodeId {
        match self.core.next_page(link) {
            Some(link) => self.add(Node::Link(link)),
            None => REFUSE,
        }
    }

    fn paths(&mut self, paths: &[(Path, NodeId)], row: bool) -> Result<NodeId, Refusal> {
        // Where two paths reach one value, the more protective node holds.
        let protection: HashMap<NodeId, u8> = paths
            .iter()
            .map(|(_, node)| (*node, self.protection(*node)))
            .collect();
        let of = |node: &NodeId| protection.get(node).copied().unwrap_or(u8::MAX);
        let paths: Vec<(&Path, NodeId)> = paths.iter().map(|(path, node)| (path, *node)).collect();
        let what = FromPaths {
            paths: &paths,
            default: DROP,
            row,
            protect: &|a, b| if of(&a) >= of(&b) { a } else { b },
        };
        from_paths::compile(&what, &mut self.nodes)
            .map_err(|_| super::super::internal("the map's paths tell too many places apart"))
    }

    /// How much a node protects, for values that two paths of a map reach.
    fn protection(&self, node: NodeId) -> u8 {
        match self.nodes.get(node.0 as usize) {
            Some(Node::Clear) => 0,
            Some(
                Node::Object(_)
                | Node::Array(_)
                | Node::Repeat { .. }
                | Node::Either { .. }
                | Node::Choose(_)
                | Node::Indexed(_),
            ) => 1,
            Some(Node::Link(_) | Node::Expect(_) | Node::Scalar(_)) => 2,
            Some(Node::Treat { treatment, .. }) => match treatment {
                Prepared::Keyless(treatment) => 2 + treatment.rank(),
                Prepared::Watched(_) => 1,
                Prepared::Token { .. } => 2 + Treatment::Tokenize.rank(),
                Prepared::Observed { .. } => 2,
                // Of the other direction; never in an answer.
                Prepared::Resolve(_) => u8::MAX,
            },
            Some(Node::Constant(_)) => 20,
            Some(Node::Drop | Node::Refuse) | None => u8::MAX,
        }
    }

    fn amount(&mut self, sources: &[usize], record: Option<Record>) -> NodeId {
        let scalar = match self.core.value(sources, record) {
            Ruled::Count => CLEAR_SCALAR,
            _ => self.value(sources, record),
        };
        let member = |key: &str, node| Member {
            key: key.into(),
            node,
            unique: false,
        };
        let mut named = vec![member("amount", scalar)];
        if scalar == CLEAR_SCALAR {
            named.push(member("currency", CLEAR_SCALAR));
        }
        let object = match scalar {
            DROP => DROP,
            _ => self.object(named, false),
        };
        self.add(Node::Either {
            object,
            array: NULL,
            // A chain of them decides nothing.
            scalar: if scalar == CLEAR_SCALAR {
                CLEAR
            } else {
                scalar
            },
        })
    }

    fn value(&mut self, sources: &[usize], record: Option<Record>) -> NodeId {
        match self.core.value(sources, record) {
            Ruled::Hidden => DROP,
            Ruled::Count => CLEAR,
            Ruled::Field(field, treatment) => self.treat(field, treatment),
        }
    }

    pub(super) fn treat(&mut self, field: FieldRef, treatment: Treatment) -> NodeId {
        if treatment.is_hidden() {
            return DROP;
        }
        if treatment == Treatment::Clear {
            let watched = self.core.watch(field).is_some();
            return match self.core.catalog.field(field).kind {
                // In a record a file is a path with the record's id in it.
                FieldType::Blob if self.core.operation.api.dialect == Dialect::Salesforce => {
                    let id_is_clear =
                        self.core
                            .catalog
                            .get(field.object)
                            .field("Id")
                            .is_some_and(|id| {
                                let id = FieldRef { field: id, ..field };
                                self.core
                                    .decision
                                    .read(id)
                                    .is_some_and(FieldRuling::is_clear)
                            });
                    if id_is_clear {
                        self.origin_link()
                    } else {
                        NULL
                    }
                }
                FieldType::Compound | FieldType::Other if watched => self.watched_tree(field),
                FieldType::Compound | FieldType::Other => CLEAR,
                _ if watched => self.prepared(field, treatment),
                _ => CLEAR_SCALAR,
            };
        }
        self.prepared(field, treatment)
    }

    /// A clear value of any shape, every text of which is watched.
    fn watched_tree(&mut self, field: FieldRef) -> NodeId {
        if let Some(node) = self.watched_trees.get(&field) {
            return *node;
        }
        let scalar = self.prepared(field, Treatment::Clear);
        let object = self.add(Node::Drop);
        let array = self.add(Node::Drop);
        let any = self.add(Node::Either {
            object,
            array,
            scalar,
        });
        self.nodes[object.0 as usize] = Node::Object(Members {
            named: Vec::new(),
            other: Some(any),
            row: false,
        });
        self.nodes[array.0 as usize] = Node::Array(Elements {
            head: Vec::new(),
            rest: any,
        });
        self.watched_trees.insert(field, any);
        any
    }

    /// The leaf of a field's treatment.
    fn prepared(&mut self, field: FieldRef, treatment: Treatment) -> NodeId {
        if let Some(node) = self.treats.get(&(field, treatment)) {
            return *node;
        }
        let (prepared, counter) = self.core.prepare(field, treatment);
        let node = self.add(Node::Treat {
            treatment: prepared,
            counter,
        });
        self.treats.insert((field, treatment), node);
        node
    }

    fn record(&mut self, shape: &RecordShape, row: bool) -> Result<NodeId, Refusal> {
        if self
            .core
            .references(shape)
            .any(FieldRuling::is_hidden_by_rule)
        {
            return Ok(DROP);
        }
        match shape.objects.as_slice() {
            [] => Ok(DROP),
            [one] => self.record_of(shape, *one, row),
            several => {
                let mut cases = Vec::with_capacity(several.len() + 1);
                let mut any_of_them = None;
                for object in several {
                    let name = &self.core.catalog.get(*object).name;
                    let node = if self.core.is_readable(*object) {
                        self.record_of(shape, *object, row)?
                    } else {
                        // Nothing readable = not there.
                        any_of_them = Some(DROP);
                        DROP
                    };
                    cases.push((ConditionValue::Text((&**name).into()), node));
                }
                if !several
                    .iter()
                    .any(|o| &*self.core.catalog.get(*o).name == ANY_OBJECT)
                {
                    let node = match any_of_them {
                        Some(node) => node,
                        None => self.any_of(shape, row)?,
                    };
                    cases.push((ConditionValue::Text(ANY_OBJECT.into()), node));
                }
                Ok(self.add(Node::Choose(Choose {
                    by: By::Keys(vec!["attributes".into(), "type".into()]),
                    cases,
                    otherwise: REFUSE,
                    absent: REFUSE,
                    overflow: REFUSE,
                })))
            }
        }
    }

    /// A record of one of several objects, each of which has a shape of its own.
    fn one_of(
        &mut self,
        records: &[RecordShape],
        others_dropped: bool,
        row: bool,
    ) -> Result<NodeId, Refusal> {
        let mut cases = Vec::with_capacity(records.len());
        for record in records {
            let [object] = record.objects.as_slice() else {
                return Err(super::super::internal(
                    "a record of several objects among several",
                ));
            };
            let name = ConditionValue::Text((&*self.core.catalog.get(*object).name).into());
            let node = if self.core.is_readable(*object) {
                self.record(record, row)?
            } else {
                DROP
            };
            cases.push((name, node));
        }
        let otherwise = if others_dropped { DROP } else { REFUSE };
        Ok(self.add(Node::Choose(Choose {
            by: By::Keys(vec!["attributes".into(), "type".into()]),
            cases,
            otherwise,
            absent: REFUSE,
            overflow: REFUSE,
        })))
    }

    /// The record where it does not say which of its objects it is: the most protective of all of them.
    fn any_of(&mut self, shape: &RecordShape, row: bool) -> Result<NodeId, Refusal> {
        self.core.untold();
        let mut named = Vec::with_capacity(shape.members.len() + 1);
        if shape.attributes {
            let ids_are_clear = shape.objects.iter().all(|&object| {
                self.core
                    .catalog
                    .get(object)
                    .field("Id")
                    .is_some_and(|field| {
                        self.core
                            .decision
                            .read(FieldRef { object, field })
                            .is_some_and(FieldRuling::is_clear)
                    })
            });
            let url = if ids_are_clear && !self.core.url_follows_reference(shape) {
                self.record_url(&shape.objects, None)
            } else {
                DROP
            };
            let kind = self.add(Node::Expect(vec![ANY_OBJECT.into()]));
            named.push(Member {
                key: "attributes".into(),
                node: self.type_and_url(kind, url),
                unique: true,
            });
        }
        for (key, member) in &shape.members {
            named.push(Member {
                key: key.clone(),
                node: self.shape(member, None)?,
                unique: false,
            });
        }
        Ok(self.object(named, row))
    }

    /// The record as `object`, its variants told apart by the object's conditions where they matter.
    fn record_of(
        &mut self,
        shape: &RecordShape,
        object: ObjectId,
        row: bool,
    ) -> Result<NodeId, Refusal> {
        let schema = self.core.catalog.get(object);
        if !self.core.varies(shape, object) {
            return self.members(shape, object, 0, row, false);
        }
        self.core.need_conditions(shape, object);
        let mut made = HashMap::new();
        self.variants(shape, schema, object, 0, 0, row, &mut made)
    }

    /// Nested choices, one condition after the other; the first condition is the slowest digit of the variant.
    #[allow(
        clippy::too_many_arguments,
        reason = "one recursion over the conditions"
    )]
    fn variants(
        &mut self,
        shape: &RecordShape,
        schema: &'a Object,
        object: ObjectId,
        depth: usize,
        variant: usize,
        row: bool,
        made: &mut HashMap<Vec<Treatment>, NodeId>,
    ) -> Result<NodeId, Refusal> {
        let Some(condition) = schema.conditions.get(depth) else {
            // Variants with the same treatments share their nodes.
            let signature: Vec<Treatment> = self
                .core
                .rulings(shape, object)
                .iter()
                .map(|r| r.under(variant).treatment)
                .collect();
            if let Some(node) = made.get(&signature) {
                return Ok(*node);
            }
            let node = self.members(shape, object, variant, row, true)?;
            made.insert(signature, node);
            return Ok(node);
        };
        let unknown_code = condition.values.len();
        let base = variant * (unknown_code + 1);
        let unknown = self.variants(
            shape,
            schema,
            object,
            depth + 1,
            base + unknown_code,
            row,
            made,
        )?;
        let mut cases: Vec<(ConditionValue, NodeId)> = Vec::new();
        for (code, (_, values)) in condition.values.iter().enumerate() {
            let node = self.variants(shape, schema, object, depth + 1, base + code, row, made)?;
            cases.extend(values.iter().map(|v| (v.clone(), node)));
        }
        if cases.iter().all(|(_, node)| *node == unknown) {
            return Ok(unknown);
        }
        let Some(keys) = self.condition_keys(shape, object, condition.field) else {
            return Ok(unknown);
        };
        Ok(self.add(Node::Choose(Choose {
            by: By::Keys(keys),
            cases,
            otherwise: unknown,
            absent: unknown,
            overflow: unknown,
        })))
    }

    /// Where a condition field stands in the record: its name, or the map's path if that is plain names.
    fn condition_keys(
        &self,
        shape: &RecordShape,
        object: ObjectId,
        field: u32,
    ) -> Option<Vec<Arc<str>>> {
        if shape.enveloped {
            let name = &self.core.catalog.get(object).fields[field as usize].name;
            return Some(vec![own_key(name), "value".into()]);
        }
        if shape.paths.is_empty() {
            return Some(vec![
                self.core.catalog.get(object).fields[field as usize]
                    .name
                    .clone(),
            ]);
        }
        let (path, _) = shape
            .paths
            .iter()
            .find(|(_, f)| f.object == object && f.field == field)?;
        path.steps
            .iter()
            .map(|step| match (step.descendant, step.selectors.as_slice()) {
                (false, [crate::engine::path::Selector::Name(name)]) => Some(name.clone()),
                _ => None,
            })
            .collect()
    }

    fn members(
        &mut self,
        shape: &RecordShape,
        object: ObjectId,
        variant: usize,
        row: bool,
        conditional: bool,
    ) -> Result<NodeId, Refusal> {
        let record = Record {
            object,
            variant,
            several: shape.objects.len() > 1,
        };
        let schema = self.core.catalog.get(object);
        if !shape.paths.is_empty() {
            return self.mapped_record(shape, record, row, conditional);
        }
        let mut named: Vec<Member> = Vec::new();
        if shape.attributes {
            named.push(Member {
                key: "attributes".into(),
                node: self.attributes(shape, object, variant),
                unique: true,
            });
        }
        for (key, member) in &shape.members {
            let is_hidden = |part: &Shape| match part {
                Shape::Value(sources) => {
                    matches!(self.core.value(sources, Some(record)), Ruled::Hidden)
                }
                _ => false,
            };
            // A field of which nothing is left is not there.
            let node = match member {
                Shape::Object(parts)
                    if shape.enveloped && parts.iter().all(|(_, part)| is_hidden(part)) =>
                {
                    DROP
                }
                member => self.shape(member, Some(record))?,
            };
            named.push(Member {
                key: key.clone(),
                node,
                unique: false,
            });
        }
        if shape.all_fields {
            for (index, field) in schema.fields.iter().enumerate() {
                if named
                    .iter()
                    .any(|m| m.key.eq_ignore_ascii_case(&field.name))
                {
                    continue;
                }
                let at = FieldRef {
                    object,
                    field: u32::try_from(index).unwrap_or(u32::MAX),
                };
                let treatment = self.core.of_record(at, variant);
                let node = self.treat(at, treatment);
                named.push(Member {
                    key: field.name.clone(),
                    node,
                    unique: false,
                });
            }
        }
        if conditional {
            for condition in &schema.conditions {
                let name = &schema.fields[condition.field as usize].name;
                let name = &match shape.enveloped {
                    true => own_key(name),
                    false => name.clone(),
                };
                match named.iter_mut().find(|m| m.key.eq_ignore_ascii_case(name)) {
                    Some(member) => member.unique = true,
                    None => named.push(Member {
                        key: name.clone(),
                        node: DROP,
                        unique: true,
                    }),
                }
            }
        }
        if let Some(id) = self.core.id_field(object) {
            let name = &schema.fields[id.field as usize].name;
            let name = &match shape.enveloped {
                true => own_key(name),
                false => name.clone(),
            };
            let at = named.iter().position(|m| m.key.eq_ignore_ascii_case(name));
            let node = at.map_or(DROP, |at| named[at].node);
            if let Some(node) = self.observed(shape, object, variant, node) {
                match at {
                    Some(at) => named[at].node = node,
                    None => named.push(Member {
                        key: name.clone(),
                        node,
                        unique: false,
                    }),
                }
                self.core.need(shape.scope, id);
            }
        }
        Ok(self.object(named, row))
    }

    /// `node`, which treats the record's id, so that the ledger sees the id first; `None` if it need not.
    pub(super) fn observed(
        &mut self,
        shape: &RecordShape,
        object: ObjectId,
        variant: usize,
        node: NodeId,
    ) -> Option<NodeId> {
        let unseen = matches!(self.nodes.get(node.0 as usize), None | Some(Node::Drop));
        let observer = self.core.observer(shape, object, variant, unseen)?;
        let (then, counter) = match self.nodes.get(node.0 as usize)? {
            Node::Drop => return Some(self.add(Node::Link(observer))),
            Node::Treat { treatment, counter } => (treatment.clone(), *counter),
            // Counted by nobody.
            _ => (Prepared::Keyless(Treatment::Clear), u32::MAX),
        };
        Some(self.add(Node::Treat {
            treatment: Prepared::Observed {
                observer,
                then: Box::new(then),
            },
            counter,
        }))
    }

    fn mapped_record(
        &mut self,
        shape: &RecordShape,
        record: Record,
        row: bool,
        conditional: bool,
    ) -> Result<NodeId, Refusal> {
        let mut lowered = Vec::with_capacity(shape.paths.len());
        for (path, field) in &shape.paths {
            let treatment = match self.core.decision.read(*field) {
                Some(ruling) if field.object == record.object => {
                    ruling.under(record.variant).treatment
                }
                Some(ruling) => ruling.strictest().treatment,
                None => Treatment::Drop,
            };
            let mut node = self.treat(*field, treatment);
            if self.core.id_field(record.object) == Some(*field)
                && let Some(seen) = self.observed(shape, record.object, record.variant, node)
            {
                node = seen;
            }
            lowered.push((path.clone(), node));
        }
        let id = self.core.id_field(record.object);
        if !shape.paths.iter().any(|(_, field)| Some(*field) == id) {
            // The map names no id of it.
            self.core.untold();
        }
        let node = self.paths(&lowered, row)?;
        if conditional {
            for condition in &self.core.catalog.get(record.object).conditions {
                if let Some(keys) = self.condition_keys(shape, record.object, condition.field) {
                    self.mark_unique(node, &keys);
                }
            }
        }
        Ok(node)
    }

    /// A second occurrence of a deciding member aborts, after the decision too.
    pub(super) fn mark_unique(&mut self, mut node: NodeId, keys: &[Arc<str>]) {
        for key in keys {
            if let Some(Node::Either { object, .. }) = self.nodes.get(node.0 as usize) {
                node = *object;
            }
            let Some(Node::Object(members)) = self.nodes.get_mut(node.0 as usize) else {
                return;
            };
            let Some(member) = members.named.iter_mut().find(|m| m.key == *key) else {
                return;
            };
            member.unique = true;
            node = member.node;
        }
    }

    /// `attributes`: the type must be the plan's, the url follows Id.
    fn attributes(&mut self, shape: &RecordShape, object: ObjectId, variant: usize) -> NodeId {
        let schema = self.core.catalog.get(object);
        let kind = self.add(Node::Expect(vec![schema.name.clone()]));
        let id = schema.field("Id").and_then(|field| {
            let at = FieldRef { object, field };
            self.core
                .decision
                .read(at)
                .map(|ruling| (at, ruling.under(variant).treatment))
        });
        let url = match id {
            _ if self.core.url_follows_reference(shape) => DROP,
            Some((_, Treatment::Clear)) => self.record_url(&[object], None),
            Some((at, treatment)) if treatment.is_token() => match &self.core.decision.scope {
                Some(scope) => {
                    let class = &self.core.catalog.field(at).class;
                    let tokenizer =
                        self.core
                            .keys
                            .tokenizer(&self.core.caller.tenant, scope, class, false);
                    self.record_url(&[object], Some(tokenizer))
                }
                None => DROP,
            },
            _ => DROP,
        };
        self.type_and_url(kind, url)
    }

    /// `attributes.url`, with the id in it clear or replaced by its token.
    fn record_url(&mut self, objects: &[ObjectId], tokenizer: Option<Arc<Tokenizer>>) -> NodeId {
        let url = RecordUrl {
            objects: objects
                .iter()
                .map(|o| self.core.catalog.get(*o).name.clone())
                .collect(),
            upstream: self.core.operation.api.upstream_origin.clone(),
            tokenizer,
        };
        self.add(Node::Link(Arc::new(url)))
    }

    fn type_and_url(&mut self, kind: NodeId, url: NodeId) -> NodeId {
        let named = vec![
            Member {
                key: "type".into(),
                node: kind,
                unique: true,
            },
            Member {
                key: "url".into(),
                node: url,
                unique: false,
            },
        ];
        self.object(named, false)
    }
}
