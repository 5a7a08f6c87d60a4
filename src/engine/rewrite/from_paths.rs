//! Paths from one root → nodes: which value of a document meets which node.
//!
//! Subset construction over the paths' steps: a state is the set of steps that a value's members or elements must
//! still match. The result is deterministic, so a value is looked up once however many paths there are.

use std::collections::HashMap;

use super::{By, Choose, Elements, Member, Members, Node, NodeId};
use crate::engine::catalog::ConditionValue;
use crate::engine::path::{Filter, Path, Selector};

/// Most nodes that a set of paths may become.
const NODES_MAX: usize = 4096;

/// Most elements of an array that are told apart by their index.
const ELEMENTS_MAX: u64 = 4096;

/// The paths tell too many places apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "these paths together tell more than {NODES_MAX} places apart; use fewer indexes, slices and `..`"
)]
pub struct TooManyStates;

/// What [`compile`] is asked for.
pub struct FromPaths<'a> {
    /// Paths from the same root, each with the node of the values that it reaches.
    pub paths: &'a [(&'a Path, NodeId)],
    /// Node of the values that no path reaches, [`Node::Drop`] as a rule.
    pub default: NodeId,
    /// The root counts as a row if it is an object.
    pub row: bool,
    /// The more protective of two nodes, for a value that two paths reach.
    pub protect: &'a dyn Fn(NodeId, NodeId) -> NodeId,
}

/// Appends the nodes for `what` to `nodes` and gives that of the root.
///
/// Containers on the way to a value that a path reaches stay, and lose what no path reaches. Inside a value that
/// meets [`Node::Clear`], longer paths still hold; inside one that meets any other node, that node alone does. An
/// element whose filter cannot be told (it is larger than the bound) is dropped.
///
/// # Errors
/// [`TooManyStates`].
pub fn compile(what: &FromPaths<'_>, nodes: &mut Vec<Node>) -> Result<NodeId, TooManyStates> {
    let mut build = Build {
        what,
        first: nodes.len(),
        drop: NodeId(0),
        nodes,
        known: HashMap::new(),
        due: Vec::new(),
    };
    build.drop = build.add(Node::Drop)?;
    let mut start = State::default();
    for (index, (path, node)) in what.paths.iter().enumerate() {
        if path.steps.is_empty() {
            start.accept(*node, what.protect);
        } else {
            start.steps.push((index, 0));
        }
    }
    let root_is_walked = build.is_walked(&start);
    let root = build.node(start)?;
    let mut first = true;
    while let Some((state, object, array)) = build.due.pop() {
        let row = first && root_is_walked && what.row;
        first = false;
        build.object(&state, object, row)?;
        build.array(&state, array)?;
    }
    Ok(root)
}

/// What is known at a value.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct State {
    /// (path, step): that step is to match the value's members or elements. Sorted, no doubles.
    steps: Vec<(usize, usize)>,
    /// The node of a path that ends here, or that ended above with `Clear`.
    accepted: Option<NodeId>,
}

impl State {
    fn accept(&mut self, node: NodeId, protect: &dyn Fn(NodeId, NodeId) -> NodeId) {
        self.accepted = Some(match self.accepted {
            Some(other) if other != node => protect(other, node),
            _ => node,
        });
    }
}

/// One child as selectors see it.
#[derive(Debug, Clone, Copy)]
enum Child<'a> {
    Member(&'a str),
    /// A member that no selector names.
    OtherMember,
    Element(u64),
}

/// A step whose filter decides whether it matches.
type Pending = (usize, usize, Filter);

struct Build<'a> {
    what: &'a FromPaths<'a>,
    first: usize,
    drop: NodeId,
    nodes: &'a mut Vec<Node>,
    known: HashMap<State, NodeId>,
    /// States whose object and array nodes are still to be filled.
    due: Vec<(State, NodeId, NodeId)>,
}

impl Build<'_> {
    fn add(&mut self, node: Node) -> Result<NodeId, TooManyStates> {
        if self.nodes.len() - self.first >= NODES_MAX {
            return Err(TooManyStates);
        }
        self.nodes.push(node);
        Ok(NodeId(self.nodes.len() as u32 - 1))
    }

    fn is_clear(&self, node: NodeId) -> bool {
        matches!(self.nodes.get(node.0 as usize), Some(Node::Clear))
    }

    /// Whether the members of a value in this state must be looked at.
    fn is_walked(&self, state: &State) -> bool {
        !state.steps.is_empty() && state.accepted.is_none_or(|node| self.is_clear(node))
    }

    fn node(&mut self, state: State) -> Result<NodeId, TooManyStates> {
        let here = state.accepted.unwrap_or(self.what.default);
        if !self.is_walked(&state) {
            return Ok(here);
        }
        if let Some(node) = self.known.get(&state) {
            return Ok(*node);
        }
        let object = self.add(Node::Drop)?;
        let array = self.add(Node::Drop)?;
        let either = self.add(Node::Either {
            object,
            array,
            scalar: here,
        })?;
        self.known.insert(state.clone(), either);
        self.due.push((state, object, array));
        Ok(either)
    }

    /// The node of a child of a value in `state`.
    fn child(&mut self, state: &State, child: Child<'_>) -> Result<NodeId, TooManyStates> {
        let mut next = State {
            steps: Vec::new(),
            accepted: state.accepted,
        };
        let mut pending: Vec<Pending> = Vec::new();
        for (path, step) in &state.steps {
            let written = &self.what.paths[*path].0.steps[*step];
            if written.descendant {
                next.steps.push((*path, *step));
            }
            let matched = written
                .selectors
                .iter()
                .any(|selector| match (selector, child) {
                    (Selector::Wildcard, _) => true,
                    (Selector::Name(name), Child::Member(member)) => **name == *member,
                    (Selector::Index(index), Child::Element(element)) => *index == element,
                    (Selector::Slice { start, end, step }, Child::Element(element)) => {
                        element >= *start
                            && end.is_none_or(|end| element < end)
                            && (element - start).is_multiple_of(*step)
                    }
                    _ => false,
                });
            if matched {
                self.advance(&mut next, *path, *step);
                continue;
            }
            for selector in &written.selectors {
                if let Selector::Filter(filter) = selector {
                    pending.push((*path, *step, filter.clone()));
                }
            }
        }
        self.decided(next, &pending)
    }

    fn advance(&self, state: &mut State, path: usize, step: usize) {
        let (written, node) = &self.what.paths[path];
        if step + 1 == written.steps.len() {
            state.accept(*node, self.what.protect);
        } else {
            state.steps.push((path, step + 1));
        }
    }

    /// The node once every filter in `pending` is decided.
    fn decided(&mut self, mut state: State, pending: &[Pending]) -> Result<NodeId, TooManyStates> {
        let Some(((path, step, filter), rest)) = pending.split_first() else {
            state.steps.sort_unstable();
            state.steps.dedup();
            return self.node(state);
        };
        let mut holds = state.clone();
        self.advance(&mut holds, *path, *step);
        let holds = self.decided(holds, rest)?;
        let fails = self.decided(state, rest)?;
        if holds == fails {
            return Ok(holds);
        }
        self.add(Node::Choose(Choose {
            by: By::Filter(filter.clone()),
            cases: vec![
                (ConditionValue::Bool(true), holds),
                (ConditionValue::Bool(false), fails),
            ],
            otherwise: self.drop,
            absent: self.drop,
            overflow: self.drop,
        }))
    }

    fn selectors<'s>(&'s self, state: &'s State) -> impl Iterator<Item = &'s Selector> {
        state
            .steps
            .iter()
            .flat_map(|(path, step)| &self.what.paths[*path].0.steps[*step].selectors)
    }

    fn object(&mut self, state: &State, at: NodeId, row: bool) -> Result<(), TooManyStates> {
        let mut names: Vec<_> = self
            .selectors(state)
            .filter_map(|selector| match selector {
                Selector::Name(name) => Some(name.clone()),
                _ => None,
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        let mut members = Members {
            row,
            ..Members::default()
        };
        for name in names {
            let node = self.child(state, Child::Member(&name))?;
            members.named.push(Member {
                key: name,
                node,
                unique: false,
            });
        }
        let other = self.child(state, Child::OtherMember)?;
        // Left out where it drops, so that such members are counted.
        members.other = (!matches!(self.nodes.get(other.0 as usize), Some(Node::Drop))
            || self.is_due(other))
        .then_some(other);
        self.nodes[at.0 as usize] = Node::Object(members);
        Ok(())
    }

    /// Whether `node` is a placeholder.
    fn is_due(&self, node: NodeId) -> bool {
        self.due
            .iter()
            .any(|(_, object, array)| *object == node || *array == node)
    }

    fn array(&mut self, state: &State, at: NodeId) -> Result<(), TooManyStates> {
        // Behind `head` the elements repeat every `cycle`.
        let (mut head, mut cycle) = (0u64, 1u64);
        for selector in self.selectors(state) {
            match selector {
                Selector::Index(index) => head = head.max(index + 1),
                Selector::Slice { start, end, step } => {
                    head = head.max(*start).max(end.unwrap_or(0));
                    if end.is_none() {
                        cycle = cycle / gcd(cycle, *step) * step;
                    }
                }
                _ => {}
            }
            if head + cycle > ELEMENTS_MAX {
                return Err(TooManyStates);
            }
        }
        let mut nodes = Vec::new();
        for index in 0..head + cycle {
            nodes.push(self.child(state, Child::Element(index))?);
        }
        let cycle = nodes.split_off(head as usize);
        self.nodes[at.0 as usize] = match cycle.as_slice() {
            [rest] => Node::Array(Elements {
                head: nodes,
                rest: *rest,
            }),
            _ => Node::Repeat { head: nodes, cycle },
        };
        Ok(())
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}
