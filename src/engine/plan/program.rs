//! Shape × Decision → rewrite program.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::engine::catalog::{Catalog, ConditionValue, FieldRef, FieldType, Object, ObjectId};
use crate::engine::identity::Identity;
use crate::engine::path::Path;
use crate::engine::policy::{Decision, FieldRuling, Verdict};
use crate::engine::protocol::salesforce::describe::{self, FieldView};
use crate::engine::protocol::salesforce::errors;
use crate::engine::protocol::{Dialect, Forward, Link, Operation, RecordShape, Shape};
use crate::engine::refusal::Refusal;
use crate::engine::rewrite::from_paths::{self, FromPaths};
use crate::engine::rewrite::{
    By, Choose, Counter, Elements, Member, Members, Node, NodeId, Program,
};
use crate::engine::token::KeyRing;
use crate::engine::treatment::{Prepared, Treatment};

use super::ledger::{Ledger, Shown, ShownSet};
use super::link::{ErrorCode, MappedPageLink, NextPageLink, OriginLink, RecordUrl};

/// The program, and the condition fields that the request must fetch for it.
pub(super) struct Lowered {
    pub(super) program: Program,
    pub(super) conditions: Vec<(usize, FieldRef)>,
    /// Which records the answer will have shown.
    pub(super) shown: Option<Arc<Shown>>,
}

/// Lowers the operation's shape under the decision.
pub(super) fn lower(
    operation: &Operation,
    decision: &Decision,
    catalog: &Catalog,
    keys: &KeyRing,
    caller: &Identity,
) -> Result<Lowered, Refusal> {
    let mut lowering = Lowering {
        operation,
        decision,
        catalog,
        keys,
        caller,
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
        counters: Vec::new(),
        treats: HashMap::new(),
        conditions: Vec::new(),
        ledger: keys.ledger_key().map(Ledger::new),
    };
    let root = lowering.shape(&operation.shape, None)?;
    let Lowering {
        nodes,
        counters,
        conditions,
        ledger,
        ..
    } = lowering;
    Ok(Lowered {
        program: Program::new(nodes, root, counters),
        conditions,
        shown: ledger.and_then(Ledger::finish),
    })
}

const DROP: NodeId = NodeId(0);
const CLEAR: NodeId = NodeId(1);
const REFUSE: NodeId = NodeId(2);
const NULL: NodeId = NodeId(3);
/// A clear scalar: an object or array under a scalar field becomes null.
const CLEAR_SCALAR: NodeId = NodeId(4);

/// Salesforce's `attributes.type` for the target of a polymorphic reference that it does not look up.
const ANY_OBJECT: &str = "Name";

/// The record that a value stands in.
#[derive(Clone, Copy)]
struct Record {
    object: ObjectId,
    variant: usize,
    /// The same shape stands for records of other objects too.
    several: bool,
}

struct Lowering<'a> {
    operation: &'a Operation,
    decision: &'a Decision,
    catalog: &'a Catalog,
    keys: &'a KeyRing,
    caller: &'a Identity,
    nodes: Vec<Node>,
    counters: Vec<Counter>,
    /// Shared leaves: (field, treatment) → node.
    treats: HashMap<(FieldRef, Treatment), NodeId>,
    conditions: Vec<(usize, FieldRef)>,
    ledger: Option<Ledger>,
}

impl<'a> Lowering<'a> {
    fn add(&mut self, node: Node) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node);
        id
    }

    fn object(&mut self, named: Vec<Member>, row: bool) -> NodeId {
        self.add(Node::Object(Members {
            named,
            other: None,
            row,
        }))
    }

    fn shape(&mut self, shape: &Shape, record: Option<Record>) -> Result<NodeId, Refusal> {
        Ok(match shape {
            Shape::Keep => CLEAR,
            Shape::Drop => DROP,
            Shape::Constant(json) => self.add(Node::Constant(json.clone())),
            Shape::Value(sources) => self.value(sources, record),
            Shape::Record(shape) => self.record(shape, false)?,
            Shape::Object(members) => self.envelope(members, record, false)?,
            Shape::Array { element, rows } => {
                let rest = match &**element {
                    Shape::Record(shape) => self.record(shape, *rows)?,
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
            Shape::Link(Link::Origin) => self.origin_link(),
            Shape::Link(
                link @ (Link::NextPage | Link::ChildPage(_) | Link::Part { .. } | Link::Closed),
            ) => self.next_page(*link)?,
            Shape::Positional(shapes) => {
                let mut head = Vec::with_capacity(shapes.len());
                for shape in shapes {
                    head.push(self.shape(shape, record)?);
                }
                self.add(Node::Array(Elements { head, rest: DROP }))
            }
            Shape::Expect(text) => self.add(Node::Expect(vec![text.clone()])),
            Shape::ErrorCode => self.add(Node::Link(Arc::new(ErrorCode))),
            Shape::Answer(answer) => {
                let node = self.shape(answer, None)?;
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
            Shape::Describe(object) => {
                let shape = describe::describe_shape(
                    self.catalog,
                    *object,
                    &|field| self.view(*object, field),
                    &|field| {
                        self.decision
                            .read(field)
                            .is_some_and(|ruling| !ruling.is_hidden())
                    },
                );
                self.shape(&shape, None)?
            }
            Shape::DescribeGlobal => {
                let api = self.operation.api.name.clone();
                let shape = describe::describe_global_shape(self.catalog, &api, &|object| {
                    self.is_readable(object)
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

    fn own_origin(&self) -> OriginLink {
        let api = &self.operation.api;
        OriginLink {
            upstream: api.upstream_origin.clone(),
            public: api.public_origin.clone(),
        }
    }

    fn origin_link(&mut self) -> NodeId {
        let link = self.own_origin();
        self.add(Node::Link(Arc::new(link)))
    }

    /// The caller's own cursor to the next page of the query or of one of its child queries.
    fn next_page(&mut self, link: Link) -> Result<NodeId, Refusal> {
        match &self.operation.forward {
            Forward::Salesforce(forward) => {
                let sealer = self.keys.sealer(&self.caller.tenant);
                let Some(page) = forward.cursor(sealer, link) else {
                    // The answer of this request has no further pages; one that claims to is refused.
                    return Ok(REFUSE);
                };
                Ok(self.add(Node::Link(Arc::new(NextPageLink { page }))))
            }
            Forward::Map(_) => {
                let open = (link == Link::NextPage).then(|| self.own_origin());
                Ok(self.add(Node::Link(Arc::new(MappedPageLink(open)))))
            }
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
            .map_err(|_| super::internal("the map's paths tell too many places apart"))
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
                | Node::Choose(_),
            ) => 1,
            Some(Node::Link(_) | Node::Expect(_)) => 2,
            Some(Node::Treat { treatment, .. }) => match treatment {
                Prepared::Keyless(treatment) => 2 + treatment.rank(),
                Prepared::Token { .. } => 2 + Treatment::Tokenize.rank(),
                Prepared::Observed { .. } => 2,
            },
            Some(Node::Constant(_)) => 20,
            Some(Node::Drop | Node::Refuse) | None => u8::MAX,
        }
    }

    fn view(&self, object: ObjectId, field: u32) -> FieldView {
        match self.decision.read(FieldRef { object, field }) {
            None => FieldView::Hidden,
            Some(ruling) if ruling.is_hidden() => FieldView::Hidden,
            Some(ruling) if ruling.is_clear() => FieldView::Clear,
            Some(ruling) => {
                let shown = ruling
                    .by_variant
                    .iter()
                    .filter(|r| !r.treatment.is_hidden())
                    .max_by_key(|r| r.treatment.rank());
                FieldView::Treated(shown.map_or(Treatment::Redact, |r| r.treatment))
            }
        }
    }

    fn is_readable(&self, object: ObjectId) -> bool {
        self.decision
            .tables
            .get(&object)
            .is_some_and(|t| !t.nothing_readable())
    }

    /// A value computed from outputs: the most protective of its sources.
    fn value(&mut self, sources: &[usize], record: Option<Record>) -> NodeId {
        if sources.is_empty() {
            return CLEAR;
        }
        let uses = &self.operation.uses;
        // In a record of one of several objects the output stands for that object's own field.
        let own: Vec<usize> = record.map_or_else(Vec::new, |r| {
            sources
                .iter()
                .copied()
                .filter(|s| uses.get(*s).is_some_and(|u| u.field.object == r.object))
                .collect()
        });
        if own.is_empty() && record.is_some_and(|r| r.several) {
            // Another object's field: this one has none of that name.
            return DROP;
        }
        let sources: &[usize] = if own.is_empty() { sources } else { &own };
        let mut found: Option<(FieldRef, Treatment)> = None;
        for source in sources {
            let (Some(used), Some(Verdict::Output(ruling))) =
                (uses.get(*source), self.decision.verdicts.get(*source))
            else {
                return DROP;
            };
            let treatment = match record {
                Some(r) if r.object == used.field.object => ruling.under(r.variant).treatment,
                _ => ruling.strictest().treatment,
            };
            found = Some(match found {
                None => (used.field, treatment),
                Some(other) => self.combine(other, (used.field, treatment)),
            });
        }
        found.map_or(DROP, |(field, treatment)| self.treat(field, treatment))
    }

    /// The more protective of two sources of one value; what cannot be compared becomes `mask:all` or `redact`.
    fn combine(&self, a: (FieldRef, Treatment), b: (FieldRef, Treatment)) -> (FieldRef, Treatment) {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match a.1.rank().cmp(&b.1.rank()) {
            Greater => a,
            Less => b,
            Equal if a.1 == b.1 && !a.1.is_token() => a,
            Equal
                if a.1 == b.1 && self.catalog.field(a.0).class == self.catalog.field(b.0).class =>
            {
                a
            }
            Equal if a.1.rank() == Treatment::MaskEmail.rank() => (a.0, Treatment::MaskAll),
            Equal => (a.0, Treatment::Redact),
        }
    }

    fn treat(&mut self, field: FieldRef, treatment: Treatment) -> NodeId {
        if treatment.is_hidden() {
            return DROP;
        }
        if treatment == Treatment::Clear {
            return match self.catalog.field(field).kind {
                FieldType::Compound | FieldType::Other => CLEAR,
                _ => CLEAR_SCALAR,
            };
        }
        if let Some(node) = self.treats.get(&(field, treatment)) {
            return *node;
        }
        let schema = self.catalog.field(field);
        let (prepared, treatment) = match (treatment.is_token(), &self.decision.scope) {
            (false, _) => (Prepared::Keyless(treatment), treatment),
            // A caller without a scope may not receive tokens.
            (true, None) => (Prepared::Keyless(Treatment::Redact), Treatment::Redact),
            (true, Some(scope)) => {
                let fold = self
                    .catalog
                    .vocabulary
                    .classes
                    .get(&schema.class)
                    .is_some_and(|c| c.fold_local_part);
                let tokenizer =
                    self.keys
                        .tokenizer(&self.caller.tenant, scope, &schema.class, fold);
                (
                    Prepared::Token {
                        tokenizer,
                        email: treatment == Treatment::TokenizeEmail,
                        record_id: self.operation.api.dialect == Dialect::Salesforce
                            && matches!(schema.kind, FieldType::Id | FieldType::Reference),
                    },
                    treatment,
                )
            }
        };
        let counter = u32::try_from(self.counters.len()).unwrap_or(u32::MAX);
        self.counters.push(Counter {
            object: self.catalog.get(field.object).name.clone(),
            field: schema.name.clone(),
            treatment,
        });
        let node = self.add(Node::Treat {
            treatment: prepared,
            counter,
        });
        self.treats.insert((field, treatment), node);
        node
    }

    /// The reference fields that lead to the record.
    fn references(&self, shape: &RecordShape) -> impl Iterator<Item = &'a FieldRuling> + use<'a> {
        let followed = self.operation.forward.followed();
        let references = followed.and_then(|f| f.scopes.get(shape.scope));
        let decision = self.decision;
        references
            .into_iter()
            .flatten()
            .filter_map(|f| decision.read(*f))
    }

    /// Whether the record's url would show what a reference to it does not.
    fn url_follows_reference(&self, shape: &RecordShape) -> bool {
        self.references(shape).any(|r| r.by_rule() && !r.is_clear())
    }

    fn record(&mut self, shape: &RecordShape, row: bool) -> Result<NodeId, Refusal> {
        if self.references(shape).any(FieldRuling::is_hidden_by_rule) {
            return Ok(DROP);
        }
        match shape.objects.as_slice() {
            [] => Ok(DROP),
            [one] => self.record_of(shape, *one, row),
            several => {
                let mut cases = Vec::with_capacity(several.len() + 1);
                let mut any_of_them = None;
                for object in several {
                    let name = &self.catalog.get(*object).name;
                    let node = if self.is_readable(*object) {
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
                    .any(|o| &*self.catalog.get(*o).name == ANY_OBJECT)
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

    /// The record where it does not say which of its objects it is: the most protective of all of them.
    fn any_of(&mut self, shape: &RecordShape, row: bool) -> Result<NodeId, Refusal> {
        if let Some(ledger) = &mut self.ledger {
            ledger.untold();
        }
        let mut named = Vec::with_capacity(shape.members.len() + 1);
        if shape.attributes {
            let ids_are_clear = shape.objects.iter().all(|&object| {
                self.catalog.get(object).field("Id").is_some_and(|field| {
                    self.decision
                        .read(FieldRef { object, field })
                        .is_some_and(FieldRuling::is_clear)
                })
            });
            let url = if ids_are_clear && !self.url_follows_reference(shape) {
                self.origin_link()
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
        let schema = self.catalog.get(object);
        let varies = !schema.conditions.is_empty()
            && self.rulings(shape, object).iter().any(|r| !r.is_uniform());
        if !varies {
            return self.members(shape, object, 0, row, false);
        }
        for condition in &schema.conditions {
            let needed = (
                shape.scope,
                FieldRef {
                    object,
                    field: condition.field,
                },
            );
            if !self.conditions.contains(&needed) {
                self.conditions.push(needed);
            }
        }
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
        if shape.paths.is_empty() {
            return Some(vec![
                self.catalog.get(object).fields[field as usize].name.clone(),
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

    /// The rulings of every field that may stand in the record.
    fn rulings(&self, shape: &RecordShape, object: ObjectId) -> Vec<&'a FieldRuling> {
        let mut found: Vec<&FieldRuling> = Vec::new();
        for (_, member) in &shape.members {
            if let Shape::Value(sources) = member {
                for source in sources {
                    if self
                        .operation
                        .uses
                        .get(*source)
                        .is_some_and(|u| u.field.object == object)
                        && let Some(Verdict::Output(ruling)) = self.decision.verdicts.get(*source)
                    {
                        found.push(ruling);
                    }
                }
            }
        }
        if shape.all_fields
            && let Some(table) = self.decision.tables.get(&object)
        {
            found.extend(table.fields.iter());
        }
        // `attributes.url` follows Id, selected or not.
        if shape.attributes
            && let Some(field) = self.catalog.get(object).field("Id")
        {
            found.extend(self.decision.read(FieldRef { object, field }));
        }
        found.extend(
            shape
                .paths
                .iter()
                .filter_map(|(_, field)| self.decision.read(*field)),
        );
        found
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
        let schema = self.catalog.get(object);
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
            named.push(Member {
                key: key.clone(),
                node: self.shape(member, Some(record))?,
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
                let treatment = self
                    .decision
                    .read(at)
                    .map_or(Treatment::Drop, |ruling| ruling.under(variant).treatment);
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
        if let Some(id) = self.id_field(object) {
            let name = &schema.fields[id.field as usize].name;
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
                let needed = (shape.scope, id);
                if !self.conditions.contains(&needed) {
                    self.conditions.push(needed);
                }
            }
        }
        Ok(self.object(named, row))
    }

    /// The field that names a record of the object.
    fn id_field(&self, object: ObjectId) -> Option<FieldRef> {
        let fields = &self.catalog.get(object).fields;
        let field = fields.iter().position(|f| f.kind == FieldType::Id)?;
        Some(FieldRef {
            object,
            field: u32::try_from(field).ok()?,
        })
    }

    /// `node`, which treats the record's id, so that the ledger sees the id first; `None` if it need not.
    fn observed(
        &mut self,
        shape: &RecordShape,
        object: ObjectId,
        variant: usize,
        node: NodeId,
    ) -> Option<NodeId> {
        self.ledger.as_ref()?;
        let set = self.shown(shape, object, variant)?;
        let ledger = self.ledger.as_mut()?;
        // Nothing can be asked for besides what the caller selects where a record may be of several objects.
        let selected = self.nodes.get(node.0 as usize);
        if shape.objects.len() > 1 && matches!(selected, None | Some(Node::Drop)) {
            ledger.untold();
        }
        let observer = ledger.observer(set);
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

    /// What a record of this variant shows; `None` if that is nothing.
    fn shown(&self, shape: &RecordShape, object: ObjectId, variant: usize) -> Option<ShownSet> {
        let mut fields: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let mut add = |field: FieldRef, ruling: &FieldRuling| {
            let treatment = ruling.under(variant).treatment;
            let name = self.catalog.field_name(field);
            if !treatment.is_hidden() {
                let names = fields.entry(treatment.word()).or_default();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        };
        let sources = shape.members.iter().filter_map(|(_, member)| match member {
            Shape::Value(sources) => Some(sources),
            _ => None,
        });
        for source in sources.flatten() {
            if let (Some(used), Some(Verdict::Output(ruling))) = (
                self.operation.uses.get(*source),
                self.decision.verdicts.get(*source),
            ) && used.field.object == object
            {
                add(used.field, ruling);
            }
        }
        if shape.all_fields {
            for field in 0..self.catalog.get(object).fields.len() {
                let field = u32::try_from(field).unwrap_or(u32::MAX);
                let at = FieldRef { object, field };
                if let Some(ruling) = self.decision.read(at) {
                    add(at, ruling);
                }
            }
        }
        for (_, at) in &shape.paths {
            if let Some(ruling) = self.decision.read(*at) {
                add(*at, ruling);
            }
        }
        (!fields.is_empty()).then(|| ShownSet {
            object: self.catalog.get(object).name.clone(),
            fields,
        })
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
            let treatment = match self.decision.read(*field) {
                Some(ruling) if field.object == record.object => {
                    ruling.under(record.variant).treatment
                }
                Some(ruling) => ruling.strictest().treatment,
                None => Treatment::Drop,
            };
            let mut node = self.treat(*field, treatment);
            if self.id_field(record.object) == Some(*field)
                && let Some(seen) = self.observed(shape, record.object, record.variant, node)
            {
                node = seen;
            }
            lowered.push((path.clone(), node));
        }
        let id = self.id_field(record.object);
        if !shape.paths.iter().any(|(_, field)| Some(*field) == id)
            && let Some(ledger) = &mut self.ledger
        {
            // The map names no id of it.
            ledger.untold();
        }
        let node = self.paths(&lowered, row)?;
        if conditional {
            for condition in &self.catalog.get(record.object).conditions {
                if let Some(keys) = self.condition_keys(shape, record.object, condition.field) {
                    self.mark_unique(node, &keys);
                }
            }
        }
        Ok(node)
    }

    /// A second occurrence of a deciding member aborts, after the decision too.
    fn mark_unique(&mut self, mut node: NodeId, keys: &[Arc<str>]) {
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
        let schema = self.catalog.get(object);
        let kind = self.add(Node::Expect(vec![schema.name.clone()]));
        let id = schema.field("Id").and_then(|field| {
            let at = FieldRef { object, field };
            self.decision
                .read(at)
                .map(|ruling| (at, ruling.under(variant).treatment))
        });
        let url = match id {
            _ if self.url_follows_reference(shape) => DROP,
            Some((_, Treatment::Clear)) => self.origin_link(),
            Some((at, treatment)) if treatment.is_token() => match &self.decision.scope {
                Some(scope) => {
                    let class = &self.catalog.field(at).class;
                    let tokenizer = self
                        .keys
                        .tokenizer(&self.caller.tenant, scope, class, false);
                    self.add(Node::Link(Arc::new(RecordUrl { tokenizer })))
                }
                None => DROP,
            },
            _ => DROP,
        };
        self.type_and_url(kind, url)
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
