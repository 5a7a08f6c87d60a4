//! Shape → XML program.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::catalog::{ConditionValue, FieldRef, FieldType, ObjectId};
use crate::engine::policy::FieldRuling;
use crate::engine::protocol::salesforce::describe;
use crate::engine::protocol::{Link, RecordShape, Shape, XmlNull, XmlShape, XmlTyped};
use crate::engine::refusal::Refusal;
use crate::engine::rewrite::xml::{Child, Children, Nil, XmlBy, XmlChoose, XmlNode, XmlProgram};
use crate::engine::rewrite::{LinkRewriter, NodeId};
use crate::engine::treatment::{Prepared, Treatment};

use super::super::link::ErrorCode;
use super::{Core, Record, Ruled};

const DROP: NodeId = NodeId(0);
const CLEAR: NodeId = NodeId(1);
const REFUSE: NodeId = NodeId(2);

/// The child element that says a record's object.
const TYPE: &str = "type";

/// Lowers an XML document.
pub(super) fn lower(core: &mut Core<'_>, shape: &XmlShape) -> Result<XmlProgram, Refusal> {
    let mut lowering = Lowering {
        core,
        typed: shape.typed,
        nodes: vec![XmlNode::Drop, XmlNode::Clear, XmlNode::Refuse],
        treats: HashMap::new(),
    };
    let root = lowering.shape(&shape.root, None, false)?;
    let nodes = lowering.nodes;
    Ok(XmlProgram::new(&nodes, root, core.counters.clone()).with_nil(nil(shape.null)))
}

/// The attribute of a null element.
pub(super) fn nil(null: XmlNull) -> Nil {
    match null {
        XmlNull::Xsi => Nil::default(),
        XmlNull::OData => Nil {
            namespace: "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata".into(),
            name: "null".into(),
            prefix: "m".into(),
        },
    }
}

/// A child element or an attribute, from its key: `name`, `{namespace}name`, `@name`.
pub(super) fn place(children: &mut Children, key: &str, node: NodeId, unique: bool) {
    let (key, list) = match key.strip_prefix('@') {
        Some(key) => (key, &mut children.attributes),
        None => (key, &mut children.named),
    };
    let (namespace, name) = match key.strip_prefix('{').and_then(|k| k.split_once('}')) {
        Some((namespace, name)) => (Some(namespace.into()), name),
        None => (None, key),
    };
    list.push(Child {
        name: name.into(),
        namespace,
        node,
        unique,
    });
}

/// A text that stands in a list; any other is removed with its element.
#[derive(Debug)]
struct Listed(Vec<Arc<str>>);

impl LinkRewriter for Listed {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        let listed = self.0.iter().any(|name| **name == *upstream);
        listed.then_some(Cow::Borrowed(upstream))
    }
}

/// A described object without what XML does not have: members that are null for every caller, and REST's URLs.
fn without_nulls(shape: Shape) -> Shape {
    match shape {
        Shape::Object(members) => Shape::Object(
            members
                .into_iter()
                .filter(|(key, member)| {
                    !matches!(member, Shape::Constant(json) if &**json == "null")
                        && &**key != "urls"
                })
                .map(|(key, member)| (key, without_nulls(member)))
                .collect(),
        ),
        Shape::Array { element, rows } => Shape::Array {
            element: Box::new(without_nulls(*element)),
            rows,
        },
        Shape::ByName { member, cases } => Shape::ByName {
            member,
            cases: cases
                .into_iter()
                .map(|(name, case)| (name, without_nulls(case)))
                .collect(),
        },
        other => other,
    }
}

struct Lowering<'a, 'c> {
    core: &'c mut Core<'a>,
    typed: XmlTyped,
    nodes: Vec<XmlNode>,
    /// Shared leaves: (field, treatment) → node.
    treats: HashMap<(FieldRef, Treatment), NodeId>,
}

impl<'a> Lowering<'a, '_> {
    fn add(&mut self, node: XmlNode) -> NodeId {
        let id = NodeId(u32::try_from(self.nodes.len()).unwrap_or(u32::MAX));
        self.nodes.push(node);
        id
    }

    fn shape(
        &mut self,
        shape: &Shape,
        record: Option<Record>,
        row: bool,
    ) -> Result<NodeId, Refusal> {
        Ok(match shape {
            Shape::Keep | Shape::Number | Shape::Boolean => CLEAR,
            Shape::Drop => DROP,
            Shape::Constant(json) => {
                // The shape speaks JSON: a string stands for its text, null for nothing.
                let text = match serde_json::from_str(json) {
                    Ok(serde_json::Value::String(text)) => text,
                    Ok(serde_json::Value::Null) => String::new(),
                    // The elements of a list stand side by side: those that are in it stay.
                    Ok(serde_json::Value::Array(items)) => {
                        let names: Vec<Arc<str>> = items
                            .iter()
                            .filter_map(|i| i.as_str().map(Arc::from))
                            .collect();
                        return Ok(if names.is_empty() {
                            DROP
                        } else {
                            self.add(XmlNode::Link(Arc::new(Listed(names))))
                        });
                    }
                    _ => json.to_string(),
                };
                self.add(XmlNode::Constant(text.into()))
            }
            Shape::Value(sources) => match self.core.value(sources, record) {
                Ruled::Hidden => DROP,
                Ruled::Count => CLEAR,
                Ruled::Field(field, treatment) => self.treat(field, treatment),
            },
            Shape::Record(shape) => self.record(shape, row)?,
            Shape::Object(members) => {
                let mut children = Children {
                    row,
                    ..Children::default()
                };
                for (key, shape) in members {
                    let node = self.shape(shape, record, false)?;
                    place(&mut children, key, node, false);
                }
                self.add(XmlNode::Element(children))
            }
            Shape::Array { element, rows } => self.shape(element, record, *rows)?,
            Shape::ByName { member, cases } => {
                let mut lowered = Vec::with_capacity(cases.len());
                for (text, case) in cases {
                    let node = self.shape(case, record, row)?;
                    lowered.push((ConditionValue::Text((&**text).into()), node));
                }
                self.add(XmlNode::Choose(XmlChoose {
                    by: XmlBy::Child(member.clone()),
                    cases: lowered,
                    otherwise: DROP,
                    absent: DROP,
                    overflow: DROP,
                }))
            }
            Shape::Link(Link::Origin) => {
                let link = self.core.own_origin();
                self.add(XmlNode::Link(Arc::new(link)))
            }
            Shape::Link(link) => match self.core.next_page(*link) {
                Some(link) => self.add(XmlNode::Link(link)),
                None => REFUSE,
            },
            Shape::Expect(text) => self.add(XmlNode::Expect(vec![text.clone()])),
            Shape::ErrorCode => self.add(XmlNode::Link(Arc::new(ErrorCode))),
            Shape::Answer(answer) => self.shape(answer, record, row)?,
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
                self.shape(&without_nulls(shape), None, false)?
            }
            Shape::Ready { told, table } => {
                super::csv::lower(self.core, table);
                self.shape(told, record, row)?
            }
            Shape::DescribeGlobal => {
                let api = self.core.operation.api.name.clone();
                let shape = describe::describe_global_shape(self.core.catalog, &api, &|object| {
                    self.core.is_readable(object)
                });
                self.shape(&without_nulls(shape), None, false)?
            }
            Shape::OneOf {
                records,
                others_dropped,
            } => {
                let mut cases = Vec::with_capacity(records.len());
                for record in records {
                    let Some(object) = record.objects.first() else {
                        continue;
                    };
                    let node = if self.core.is_readable(*object) {
                        self.record(record, row)?
                    } else {
                        DROP
                    };
                    let name = &self.core.catalog.get(*object).name;
                    cases.push((ConditionValue::Text((&**name).into()), node));
                }
                let otherwise = if *others_dropped { DROP } else { REFUSE };
                self.add(XmlNode::Choose(XmlChoose {
                    by: self.by_type(),
                    cases,
                    otherwise,
                    absent: REFUSE,
                    overflow: REFUSE,
                }))
            }
            Shape::Positional(_)
            | Shape::Columns(_)
            | Shape::Shown { .. }
            | Shape::Amount(_)
            | Shape::Keyed(_)
            | Shape::Position
            | Shape::Paths(_)
            | Shape::Layouts { .. }
            | Shape::Opaque
            | Shape::Event(_)
            | Shape::Csv(_)
            | Shape::Xml(_) => DROP,
        })
    }

    fn treat(&mut self, field: FieldRef, treatment: Treatment) -> NodeId {
        if treatment.is_hidden() {
            return DROP;
        }
        if let Some(node) = self.treats.get(&(field, treatment)) {
            return *node;
        }
        let kind = self.core.catalog.field(field).kind;
        // An element that may hold others passes as a whole.
        let watched = self.core.watch(field).is_some()
            && !matches!(kind, FieldType::Compound | FieldType::Other);
        let node = if treatment == Treatment::Clear && !watched {
            CLEAR
        } else {
            let (treatment, counter) = self.core.prepare(field, treatment);
            self.add(XmlNode::Treat { treatment, counter })
        };
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
        let several = match shape.objects.as_slice() {
            [] => return Ok(DROP),
            [one] => return self.record_of(shape, *one, row),
            several => several,
        };
        let mut cases = Vec::with_capacity(several.len());
        for object in several {
            let node = if self.core.is_readable(*object) {
                self.record_of(shape, *object, row)?
            } else {
                // Nothing readable = not there.
                DROP
            };
            let name = &self.core.catalog.get(*object).name;
            cases.push((ConditionValue::Text((&**name).into()), node));
        }
        Ok(self.add(XmlNode::Choose(XmlChoose {
            by: self.by_type(),
            cases,
            otherwise: REFUSE,
            absent: REFUSE,
            overflow: REFUSE,
        })))
    }

    fn by_type(&self) -> XmlBy {
        match self.typed {
            XmlTyped::Child => XmlBy::Child(TYPE.into()),
            XmlTyped::Attribute => XmlBy::Type,
        }
    }

    /// The record as `object`, its variants told apart by the object's conditions where they matter.
    fn record_of(
        &mut self,
        shape: &RecordShape,
        object: ObjectId,
        row: bool,
    ) -> Result<NodeId, Refusal> {
        let node = if self.core.varies(shape, object) {
            self.core.need_conditions(shape, object);
            self.variants(shape, object, 0, 0, row)?
        } else {
            self.members(shape, object, 0, row)?
        };
        if !shape.attributes || self.typed == XmlTyped::Child || shape.objects.len() > 1 {
            return Ok(node);
        }
        // Nothing else looks at the attribute that says the object.
        let name = &self.core.catalog.get(object).name;
        Ok(self.add(XmlNode::Choose(XmlChoose {
            by: XmlBy::Type,
            cases: vec![(ConditionValue::Text((&**name).into()), node)],
            otherwise: REFUSE,
            absent: REFUSE,
            overflow: REFUSE,
        })))
    }

    /// Nested choices, one condition after the other; the first condition is the slowest digit of the variant.
    fn variants(
        &mut self,
        shape: &RecordShape,
        object: ObjectId,
        depth: usize,
        variant: usize,
        row: bool,
    ) -> Result<NodeId, Refusal> {
        let schema: &'a crate::engine::catalog::Object = self.core.catalog.get(object);
        let Some(condition) = schema.conditions.get(depth) else {
            return self.members(shape, object, variant, row);
        };
        let base = variant * (condition.values.len() + 1);
        let unknown =
            self.variants(shape, object, depth + 1, base + condition.values.len(), row)?;
        let mut cases: Vec<(ConditionValue, NodeId)> = Vec::new();
        for (code, (_, values)) in condition.values.iter().enumerate() {
            let node = self.variants(shape, object, depth + 1, base + code, row)?;
            cases.extend(values.iter().map(|v| (v.clone(), node)));
        }
        Ok(self.add(XmlNode::Choose(XmlChoose {
            by: XmlBy::Child(schema.fields[condition.field as usize].name.clone()),
            cases,
            otherwise: unknown,
            absent: unknown,
            overflow: unknown,
        })))
    }

    fn members(
        &mut self,
        shape: &RecordShape,
        object: ObjectId,
        variant: usize,
        row: bool,
    ) -> Result<NodeId, Refusal> {
        let record = Record {
            object,
            variant,
            several: shape.objects.len() > 1,
        };
        let schema = self.core.catalog.get(object);
        let mut children = Children {
            row,
            ..Children::default()
        };
        if shape.attributes && self.typed == XmlTyped::Child {
            let expected = self.add(XmlNode::Expect(vec![schema.name.clone()]));
            place(&mut children, TYPE, expected, true);
        }
        for (key, member) in &shape.members {
            let node = self.shape(member, Some(record), false)?;
            place(&mut children, key, node, false);
        }
        let named = |children: &Children, name: &str| {
            children
                .named
                .iter()
                .position(|c| c.name.eq_ignore_ascii_case(name))
        };
        if shape.all_fields {
            for (field, named_field) in (0u32..).zip(&schema.fields) {
                if named(&children, &named_field.name).is_none() {
                    let at = FieldRef { object, field };
                    let treatment = self.core.of_record(at, variant);
                    let node = self.treat(at, treatment);
                    place(&mut children, &named_field.name, node, false);
                }
            }
        }
        // A second occurrence of a deciding child is refused while the record is held; so it is after the decision.
        if self.core.varies(shape, object) {
            for condition in &schema.conditions {
                let name = &schema.fields[condition.field as usize].name;
                match named(&children, name) {
                    Some(at) => children.named[at].unique = true,
                    None => place(&mut children, name, DROP, true),
                }
            }
        }
        if let Some(id) = self.core.id_field(object) {
            let name = &schema.fields[id.field as usize].name;
            let at = named(&children, name);
            let node = at.map_or(DROP, |at| children.named[at].node);
            if let Some(node) = self.observed(shape, object, variant, node) {
                match at {
                    Some(at) => children.named[at].node = node,
                    None => place(&mut children, name, node, false),
                }
                self.core.need(shape.scope, id);
            }
        }
        Ok(self.add(XmlNode::Element(children)))
    }

    /// `node`, which treats the record's id, so that the ledger sees the id first; `None` if it need not.
    fn observed(
        &mut self,
        shape: &RecordShape,
        object: ObjectId,
        variant: usize,
        node: NodeId,
    ) -> Option<NodeId> {
        let unseen = matches!(self.nodes.get(node.0 as usize), None | Some(XmlNode::Drop));
        let observer = self.core.observer(shape, object, variant, unseen)?;
        let (then, counter) = match self.nodes.get(node.0 as usize)? {
            XmlNode::Drop => return Some(self.add(XmlNode::Link(observer))),
            XmlNode::Treat { treatment, counter } => (treatment.clone(), *counter),
            // Counted by nobody.
            _ => (Prepared::Keyless(Treatment::Clear), u32::MAX),
        };
        Some(self.add(XmlNode::Treat {
            treatment: Prepared::Observed {
                observer,
                then: Box::new(then),
            },
            counter,
        }))
    }
}
