//! A [`Program`](super::super::Program)'s nodes in the form in which JSON looks them up.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use jsonpath_rust::parser::model::JpQuery;

use super::super::net::Net;
use super::super::simd::Lanes;
use super::super::{By, Choose, LinkRewriter, Members, Node, NodeId, ScalarKind};
use super::lex;
use crate::engine::catalog::ConditionValue;
use crate::engine::key;
use crate::engine::treatment::{Prepared, Scalar, Treatment};

/// What happens to a value; indexed as the program's nodes are.
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
    Scalar(ScalarKind),
    Link(Arc<dyn LinkRewriter>),
    /// Index into [`Compiled::objects`].
    Object(u32),
    /// Index into [`Compiled::arrays`].
    Array(u32),
    Either {
        object: u32,
        array: u32,
        scalar: u32,
    },
    /// Index into [`Compiled::chooses`].
    Choose(u32),
}

/// A member's key as it is looked up.
#[derive(Debug)]
pub(super) struct Key {
    /// As the schema spells it.
    text: Arc<str>,
    /// The same between quotes: how it mostly stands in a body. Of no use for a key that needs escapes, which
    /// cannot match.
    quoted: Box<[u8]>,
    /// What happens to its value.
    node: u32,
    /// What happens if the key is only the same to some consumers.
    guarded: u32,
    /// Another member has the same wide form: only the exact spelling tells them apart.
    shared: bool,
    /// Its bit in the frame's set of deciding members seen, if it is one.
    unique: u64,
}

/// A member as the fast way tries it: does its key stand here as the schema spells it? One cache line.
#[derive(Debug)]
#[repr(align(64))]
pub(super) struct Probe {
    /// The key between quotes with its colon, its first 32 bytes.
    head: [u8; 32],
    /// The bytes of `head` that count.
    mask: u32,
    /// Length of the key with its quotes; of a short one also with its colon.
    length: u32,
    pub(super) node: u32,
    pub(super) unique: u64,
    /// Key and colon are compared in one step.
    short: bool,
    /// It is short, decides nothing, and a scalar passes as it came.
    pub(super) easy: bool,
}

impl Probe {
    /// Longest key, with its quotes and colon, that is compared in one step.
    pub(super) const SHORT: usize = 32;

    fn new(key: &Key) -> Self {
        let length = key.quoted.len();
        let short = length < Self::SHORT;
        let mut head = [0; 32];
        for (to, from) in head.iter_mut().zip(key.quoted.iter().chain(b":")) {
            *to = *from;
        }
        let counts = (length + usize::from(short)).min(32);
        Self {
            head,
            mask: ((1u64 << counts) - 1) as u32,
            length: (length + usize::from(short)) as u32,
            node: key.node,
            unique: key.unique,
            short,
            easy: false,
        }
    }

    /// Length of the key with quotes and colon if it is short and stands at the beginning of `rest`, plain and as
    /// the schema spells it.
    #[inline(always)]
    pub(super) fn begins(&self, lanes: impl Lanes, rest: &[u8; Self::SHORT]) -> Option<usize> {
        (lanes.differ(rest, &self.head) & self.mask == 0 && self.short)
            .then_some(self.length as usize)
    }
}

/// Members of an object.
#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) keys: Vec<Key>,
    /// Parallel to `keys`.
    pub(super) probes: Vec<Probe>,
    /// Where its part of [`Compiled::follows`] starts.
    pub(super) base: usize,
    /// Hash of the ASCII-folded key → index, open addressing; `EMPTY` = none. Length is a power of two.
    slots: Vec<u16>,
    /// Canonical key → index. Only read for keys that the narrow comparison does not find.
    wide: HashMap<Box<str>, u16>,
    /// A plain ASCII key may be the wide form of a member that is not spelt so.
    ascii_may_be_wide: bool,
    /// All other members; `None` = dropped and counted.
    pub(super) other: Option<u32>,
    /// All other members whose keys are positions.
    indexed: Option<u32>,
    pub(super) row: bool,
}

pub(super) const EMPTY: u16 = u16::MAX;

/// What a key means in an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Its place among the members.
    pub(super) index: u16,
    pub(super) node: u32,
    pub(super) unique: u64,
}

/// Elements of an array: the first ones, then the cycle over and over.
#[derive(Debug)]
pub(super) struct Array {
    head: Vec<u32>,
    cycle: Vec<u32>,
}

impl Object {
    /// The node of a member that has no name here; `key` as written.
    pub(super) fn unnamed(&self, key: &[u8]) -> Option<u32> {
        let is_position = || {
            !key.is_empty()
                && key
                    .iter()
                    .all(|b| b.is_ascii_digit() || matches!(b, b'_' | b'!' | b'T'))
        };
        self.other.or_else(|| self.indexed.filter(|_| is_position()))
    }
}

impl Array {
    #[inline]
    pub(super) fn node(&self, index: u64) -> u32 {
        let index = usize::try_from(index).unwrap_or(usize::MAX);
        match self.head.get(index) {
            Some(node) => *node,
            None if self.cycle.len() == 1 => self.cycle[0],
            None => self.cycle[(index - self.head.len()) % self.cycle.len()],
        }
    }
}

/// A decision by a member or a filter.
#[derive(Debug)]
pub(super) struct Decider {
    pub(super) by: DecideBy,
    cases: Vec<(ConditionValue, u32)>,
    pub(super) otherwise: u32,
    pub(super) absent: u32,
    pub(super) overflow: u32,
}

#[derive(Debug)]
pub(super) enum DecideBy {
    /// The keys on the way, with their canonical forms.
    Keys(Vec<(Arc<str>, Box<str>)>),
    /// `$[?…]`, for an array that holds the value alone. `None` = does not parse: nothing is decided by it.
    Filter(Option<JpQuery>),
}

impl Decider {
    /// The node for a deciding scalar. Anything that no case names is `otherwise`.
    pub(super) fn case(&self, value: Scalar<'_>) -> u32 {
        self.cases
            .iter()
            .find(|(case, _)| match (case, value) {
                (ConditionValue::Text(case), Scalar::Text(value)) => **case == *value,
                (ConditionValue::Number(case), Scalar::Number(value)) => **case == *value,
                (ConditionValue::Bool(case), Scalar::Bool(value)) => *case == value,
                _ => false,
            })
            .map_or(self.otherwise, |(_, node)| *node)
    }
}

/// The whole program.
#[derive(Debug, Default)]
pub(crate) struct Compiled {
    pub(super) ops: Vec<Op>,
    /// Whether a scalar passes as it came; parallel to `ops`.
    pub(super) clear_scalar: Vec<bool>,
    pub(super) objects: Vec<Object>,
    pub(super) arrays: Vec<Array>,
    pub(super) chooses: Vec<Decider>,
    pub(super) root: u32,
    /// Which member is taken to follow which: one place for an object's start and one for each member, of all
    /// objects. Each rewriter learns in a copy and leaves it here for the next; guesses only, so that it does not
    /// matter who comes last.
    follows: Vec<AtomicU16>,
    /// A node that drops.
    pub(super) drop: u32,
}

impl Compiled {
    /// What follows what, as far as is known.
    pub(super) fn follows(&self) -> Vec<u16> {
        self.follows.iter().map(|f| f.load(Relaxed)).collect()
    }

    /// A rewriter has learnt it.
    pub(super) fn learn(&self, follows: &[u16]) {
        for (known, learnt) in self.follows.iter().zip(follows) {
            if known.load(Relaxed) != *learnt {
                known.store(*learnt, Relaxed);
            }
        }
    }

    /// Compiles the nodes. A node id that points nowhere drops.
    pub(crate) fn new(nodes: &[Node], root: NodeId) -> Self {
        let drop = nodes.len() as u32;
        let id = |node: NodeId| node.0.min(drop);
        let mut compiled = Self {
            root: id(root),
            drop,
            ..Self::default()
        };
        for node in nodes {
            let op = match node {
                Node::Clear => Op::Clear,
                Node::Drop | Node::Indexed(_) => Op::Drop,
                Node::Refuse => Op::Refuse,
                Node::Constant(text) => Op::Constant(text.clone()),
                Node::Treat { treatment, counter } => Op::Treat {
                    treatment: treatment.clone(),
                    counter: *counter,
                },
                Node::Expect(texts) => Op::Expect(texts.clone()),
                Node::Scalar(kind) => Op::Scalar(*kind),
                Node::Link(link) => Op::Link(link.clone()),
                Node::Object(members) => {
                    let mut object = object(members, nodes, drop);
                    object.base = compiled.follows.len();
                    compiled
                        .follows
                        .extend((0..=object.keys.len() as u16).map(AtomicU16::new));
                    compiled.objects.push(object);
                    Op::Object(compiled.objects.len() as u32 - 1)
                }
                Node::Array(elements) => {
                    compiled.arrays.push(Array {
                        head: elements.head.iter().map(|n| id(*n)).collect(),
                        cycle: vec![id(elements.rest)],
                    });
                    Op::Array(compiled.arrays.len() as u32 - 1)
                }
                Node::Repeat { head, cycle } => {
                    compiled.arrays.push(Array {
                        head: head.iter().map(|n| id(*n)).collect(),
                        cycle: if cycle.is_empty() {
                            vec![drop]
                        } else {
                            cycle.iter().map(|n| id(*n)).collect()
                        },
                    });
                    Op::Array(compiled.arrays.len() as u32 - 1)
                }
                Node::Either {
                    object,
                    array,
                    scalar,
                } => Op::Either {
                    object: id(*object),
                    array: id(*array),
                    scalar: id(*scalar),
                },
                Node::Choose(choose) => {
                    compiled.chooses.push(decider(choose, &id));
                    Op::Choose(compiled.chooses.len() as u32 - 1)
                }
            };
            compiled.ops.push(op);
        }
        compiled.ops.push(Op::Drop);
        compiled.clear_scalar = (compiled.ops.iter())
            .map(|op| match op {
                Op::Clear => true,
                Op::Either { scalar, .. } => {
                    matches!(compiled.ops.get(*scalar as usize), Some(Op::Clear))
                }
                _ => false,
            })
            .collect();
        for probe in compiled.objects.iter_mut().flat_map(|o| &mut o.probes) {
            probe.easy =
                probe.short && probe.unique == 0 && compiled.clear_scalar[probe.node as usize];
        }
        compiled
    }
}

fn decider(choose: &Choose, id: &dyn Fn(NodeId) -> u32) -> Decider {
    Decider {
        by: match &choose.by {
            By::Keys(keys) => DecideBy::Keys(
                keys.iter()
                    .map(|k| (k.clone(), key::canonical(k).into()))
                    .collect(),
            ),
            By::Filter(filter) => DecideBy::Filter(
                jsonpath_rust::parser::parse_json_path(&format!("$[?{}]", filter.text)).ok(),
            ),
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

/// Whether a key that only some consumers take for the field may get the field's node: only if the node lets
/// nothing of the value pass as it came.
fn protects(node: Option<&Node>) -> bool {
    match node {
        Some(Node::Treat { treatment, .. }) => !treatment.is_clear(),
        Some(Node::Refuse | Node::Constant(_)) => true,
        _ => false,
    }
}

fn object(members: &Members, nodes: &[Node], drop: u32) -> Object {
    let indexed = members.other.and_then(|n| match nodes.get(n.0 as usize) {
        Some(Node::Indexed(node)) => Some(node.0.min(drop)),
        _ => None,
    });
    let mut object = Object {
        other: members
            .other
            .filter(|_| indexed.is_none())
            .map(|n| n.0.min(drop)),
        indexed,
        row: members.row,
        ..Object::default()
    };
    let mut unique = 0u32;
    for member in members.named.iter().take(usize::from(EMPTY)) {
        let bit = if member.unique {
            // More than 64 deciding members share the last bit: a false alarm at worst.
            let bit = 1u64 << unique.min(63);
            unique += 1;
            bit
        } else {
            0
        };
        let index = object.keys.len() as u16;
        let guarded = if protects(nodes.get(member.node.0 as usize)) {
            member.node.0.min(drop)
        } else {
            drop
        };
        object.keys.push(Key {
            text: member.key.clone(),
            quoted: quoted(&member.key),
            node: member.node.0.min(drop),
            guarded,
            shared: false,
            unique: bit,
        });
        let wide = key::canonical(&member.key);
        object.ascii_may_be_wide |= wide.is_ascii() && !wide.eq_ignore_ascii_case(&member.key);
        if let Some(other) = object.wide.insert(wide.into(), index) {
            // Two members that some consumers take for one: neither may pass by the other's rule.
            let (a, b) = (usize::from(other), usize::from(index));
            for key in [a, b] {
                object.keys[key].guarded = drop;
                object.keys[key].shared = true;
            }
        }
    }
    object.probes = object.keys.iter().map(Probe::new).collect();
    let size = (object.keys.len() * 2).next_power_of_two().max(4);
    object.slots = vec![EMPTY; size];
    for index in 0..object.keys.len() {
        let mut slot = hash(object.keys[index].text.as_bytes()) as usize & (size - 1);
        while object.slots[slot] != EMPTY {
            slot = (slot + 1) & (size - 1);
        }
        object.slots[slot] = index as u16;
    }
    object
}

/// The key between quotes, if it is plain: what a body may hold without an escape.
fn quoted(key: &str) -> Box<[u8]> {
    // White space cannot begin a key's quotes: this one matches nothing.
    const NOTHING: &[u8] = b" ";
    if key
        .chars()
        .any(|c| c == '"' || c == '\\' || key::is_forbidden(c))
    {
        return NOTHING.into();
    }
    format!("\"{key}\"").into_bytes().into()
}

/// A hash that is the same for ASCII upper and lower case (it also joins a few other bytes).
#[inline]
fn hash(key: &[u8]) -> u64 {
    const MIX: u64 = 0x9e37_79b9_7f4a_7c15;
    const LOWER: u64 = 0x2020_2020_2020_2020;
    let mut h = key.len() as u64;
    let mut chunks = key.chunks_exact(8);
    for chunk in &mut chunks {
        let mut word = [0; 8];
        word.copy_from_slice(chunk);
        h = (h ^ (u64::from_le_bytes(word) | LOWER)).wrapping_mul(MIX);
        h ^= h >> 29;
    }
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(chunks.remainder()) {
        *to = *from;
    }
    h = (h ^ (u64::from_le_bytes(word) | LOWER)).wrapping_mul(MIX);
    h ^ (h >> 32)
}

impl Object {
    /// By the narrow comparison; true = exactly.
    #[inline]
    fn narrow(&self, key: &[u8]) -> Option<(u16, bool)> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut slot = hash(key) as usize & mask;
        let mut folded = None;
        loop {
            let index = self.slots[slot];
            if index == EMPTY {
                return folded.map(|index| (index, false));
            }
            let text = self.keys[usize::from(index)].text.as_bytes();
            if text == key {
                return Some((index, true));
            }
            if folded.is_none() && text.eq_ignore_ascii_case(key) {
                folded = Some(index);
            }
            slot = (slot + 1) & mask;
        }
    }

    /// The member at `index`.
    #[inline]
    pub(super) fn member(&self, index: u16) -> Found {
        let key = &self.keys[usize::from(index)];
        Found {
            index,
            node: key.node,
            unique: key.unique,
        }
    }

    /// Length of the key at `index` with its quotes, if `rest` begins with it, plain and as the schema spells it.
    #[inline]
    pub(super) fn spelt(&self, index: u16, rest: &[u8]) -> Option<usize> {
        let quoted = &*self.keys.get(usize::from(index))?.quoted;
        rest.starts_with(quoted).then_some(quoted.len())
    }

    /// What the key `raw` (between its quotes, validated) means. `scratch` is used for escapes.
    pub(super) fn find(
        &self,
        raw: &[u8],
        escaped: bool,
        wide: bool,
        scratch: &mut String,
    ) -> Option<Found> {
        let decoded = if escaped {
            scratch.clear();
            lex::decode(raw, scratch);
            scratch.as_bytes()
        } else {
            raw
        };
        if let Some((index, exact)) = self.narrow(decoded) {
            let key = &self.keys[usize::from(index)];
            let mut found = self.member(index);
            if !exact && key.shared {
                found.node = key.guarded;
            }
            return Some(found);
        }
        let padded = decoded.first() == Some(&b' ') || decoded.last() == Some(&b' ');
        if !wide && !padded && !self.ascii_may_be_wide {
            return None;
        }
        // Validated before, so it is text.
        let text = std::str::from_utf8(decoded).ok()?;
        let index = *self.wide.get(&*key::canonical(text))?;
        let key = &self.keys[usize::from(index)];
        Some(Found {
            index,
            node: key.guarded,
            unique: key.unique,
        })
    }
}

/// Whether `treatment` gives null for every value, so that none need be read.
pub(super) fn gives_null(treatment: &Prepared) -> bool {
    matches!(
        treatment,
        Prepared::Keyless(Treatment::Redact | Treatment::Drop | Treatment::Deny)
    )
}

/// The second net, if any node is watched.
pub(super) fn net(compiled: &Compiled) -> Option<Box<Net>> {
    Net::of(compiled.ops.iter().filter_map(|op| match op {
        Op::Treat { treatment, counter } => Some((treatment, *counter)),
        _ => None,
    }))
}
