//! A program's nodes in the form in which they are looked up.

use std::sync::Arc;

use super::super::names::{Found, Names};
use super::super::{LinkRewriter, NodeId, untyped};
use super::tag::is_name;
use super::{Child, Children, XmlBy, XmlChoose, XmlNode};
use crate::engine::catalog::ConditionValue;
use crate::engine::key;
use crate::engine::treatment::Prepared;

/// What happens to an element; indexed as the program's nodes are.
#[derive(Debug)]
pub(super) enum Op {
    Clear,
    Drop,
    Refuse,
    Constant(Arc<str>),
    Treat {
        treatment: Prepared,
        counter: u32,
    },
    Expect(Vec<Arc<str>>),
    Link(Arc<dyn LinkRewriter>),
    /// Index into [`Compiled::elements`].
    Element(u32),
    /// Index into [`Compiled::chooses`].
    Choose(u32),
}

/// What is in an element that is walked.
#[derive(Debug)]
pub(super) struct Element {
    pub(super) children: Table,
    pub(super) attributes: Table,
    pub(super) other: Option<u32>,
    pub(super) row: bool,
}

/// Children or attributes by name.
#[derive(Debug)]
pub(super) struct Table {
    names: Names,
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    namespace: Option<Arc<str>>,
    node: u32,
    /// What happens to one that is only the same to some consumers.
    guarded: u32,
    /// Its bit in the set of deciding children seen, if it is one.
    unique: u128,
    /// Its name may stand in a tag as it is spelt.
    plain: bool,
}

/// What a name means.
#[derive(Debug, Clone, Copy)]
pub(super) struct Meaning {
    pub(super) node: u32,
    pub(super) unique: u128,
    /// Its place, as the next hint.
    pub(super) index: u16,
}

impl Table {
    fn new(children: &[Child], nodes: &[XmlNode], drop: u32) -> Self {
        let mut unique = 0u32;
        Self {
            names: Names::new(children.iter().map(|c| &*c.name)),
            entries: children
                .iter()
                .map(|child| {
                    let node = child.node.0.min(drop);
                    Entry {
                        namespace: child.namespace.clone(),
                        node,
                        guarded: match nodes.get(child.node.0 as usize) {
                            Some(XmlNode::Treat { treatment, .. }) if !treatment.is_clear() => node,
                            Some(XmlNode::Refuse | XmlNode::Constant(_)) => node,
                            _ => drop,
                        },
                        plain: child.name.is_ascii()
                            && !child.name.contains(':')
                            && is_name(&child.name),
                        unique: if child.unique {
                            // More than 128 share the last bit: a false alarm at worst.
                            unique += 1;
                            1 << (unique - 1).min(127)
                        } else {
                            0
                        },
                    }
                })
                .collect(),
        }
    }

    /// The name at this index, if a tag may spell it so.
    #[inline]
    pub(super) fn plain(&self, index: u16) -> Option<&str> {
        let entry = self.entries.get(usize::from(index))?;
        entry.plain.then(|| self.names.get(index)).flatten()
    }

    /// What `local` in `namespace` means; `None` = nothing names it.
    #[inline]
    pub(super) fn find<'a>(
        &self,
        local: &str,
        hint: u16,
        namespace: impl FnOnce() -> Option<&'a str>,
        drop: u32,
    ) -> Option<Meaning> {
        let (index, narrow) = match self.names.find(local, hint) {
            Found::Narrow(index) => (index, true),
            Found::Wide(index) => (index, false),
            Found::Ambiguous => {
                return Some(Meaning {
                    node: drop,
                    unique: 0,
                    index: hint,
                });
            }
            Found::None => return None,
        };
        let entry = &self.entries[usize::from(index)];
        let same = narrow
            && entry
                .namespace
                .as_deref()
                .is_none_or(|wanted| namespace() == Some(wanted));
        Some(Meaning {
            node: if same { entry.node } else { entry.guarded },
            unique: entry.unique,
            index,
        })
    }
}

/// A decision.
#[derive(Debug)]
pub(super) struct Decider {
    /// The child that decides, and its canonical form; `None` = `xsi:type` does.
    pub(super) child: Option<(Arc<str>, Box<str>)>,
    cases: Vec<(ConditionValue, u32)>,
    pub(super) otherwise: u32,
    pub(super) absent: u32,
    pub(super) overflow: u32,
}

impl Decider {
    /// The node for a deciding text.
    pub(super) fn case(&self, text: &str) -> u32 {
        self.cases
            .iter()
            .find(|(case, _)| !text.is_empty() && untyped::is_case(case, text))
            .map_or(self.otherwise, |(_, node)| *node)
    }
}

/// The whole program.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) ops: Vec<Op>,
    pub(super) elements: Vec<Element>,
    pub(super) chooses: Vec<Decider>,
    pub(super) root: u32,
    /// A node that drops.
    pub(super) drop: u32,
}

impl Compiled {
    pub(super) fn new(nodes: &[XmlNode], root: NodeId) -> Self {
        let drop = nodes.len() as u32;
        let mut compiled = Self {
            ops: Vec::with_capacity(nodes.len() + 1),
            elements: Vec::new(),
            chooses: Vec::new(),
            root: root.0.min(drop),
            drop,
        };
        for node in nodes {
            let op = match node {
                XmlNode::Clear => Op::Clear,
                XmlNode::Drop => Op::Drop,
                XmlNode::Refuse => Op::Refuse,
                XmlNode::Constant(text) => Op::Constant(text.clone()),
                XmlNode::Treat { treatment, counter } => Op::Treat {
                    treatment: treatment.clone(),
                    counter: *counter,
                },
                XmlNode::Expect(texts) => Op::Expect(texts.clone()),
                XmlNode::Link(link) => Op::Link(link.clone()),
                XmlNode::Element(children) => {
                    compiled.elements.push(element(children, nodes, drop));
                    Op::Element(compiled.elements.len() as u32 - 1)
                }
                XmlNode::Choose(choose) => {
                    compiled.chooses.push(decider(choose, drop));
                    Op::Choose(compiled.chooses.len() as u32 - 1)
                }
            };
            compiled.ops.push(op);
        }
        compiled.ops.push(Op::Drop);
        compiled
    }
}

fn element(children: &Children, nodes: &[XmlNode], drop: u32) -> Element {
    Element {
        children: Table::new(&children.named, nodes, drop),
        attributes: Table::new(&children.attributes, nodes, drop),
        other: children.other.map(|n| n.0.min(drop)),
        row: children.row,
    }
}

fn decider(choose: &XmlChoose, drop: u32) -> Decider {
    let id = |node: NodeId| node.0.min(drop);
    Decider {
        child: match &choose.by {
            XmlBy::Type => None,
            XmlBy::Child(name) => Some((name.clone(), key::canonical(name).into())),
        },
        cases: choose
            .cases
            .iter()
            .map(|(value, node)| (value.clone(), id(*node)))
            .collect(),
        otherwise: id(choose.otherwise),
        absent: id(choose.absent),
        overflow: id(choose.overflow),
    }
}
