//! What a change of the policy set means: every cell of the space whose outcome differs, looser first.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::space::{
    Cell, Outcome, cells, fact_words, is_output, points, rule_words, variant_of, variant_values,
    variants,
};
use crate::engine::catalog::ObjectId;
use crate::engine::policy::{Fact, Loaded, Point};
use crate::engine::protocol::Action;
use crate::engine::treatment::Treatment;

/// The direction of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// Shows more than before.
    Looser,
    /// Protects equally, and shows something else: what it shows was hidden before.
    Sideways,
    /// Shows less than before.
    Stricter,
}

impl Direction {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Looser => "looser",
            Self::Sideways => "different",
            Self::Stricter => "stricter",
        }
    }
}

/// Cells that change alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Whether more or less is shown.
    pub direction: Direction,
    /// What is asked, in documentation order.
    pub actions: Vec<Action>,
    /// The outcome before.
    pub from: Outcome,
    /// The outcome after.
    pub to: Outcome,
    /// The deciding rules before, with their places.
    pub by_before: String,
    /// The deciding rules after, with their places.
    pub by_after: String,
    /// Principals.
    pub who: BTreeSet<Arc<str>>,
    /// `Contact.Email`…
    pub fields: BTreeSet<String>,
    /// Purposes, regions, session facts and record conditions under which it changes; empty = all.
    pub circumstances: Vec<String>,
    /// How many cells.
    pub cells: usize,
}

/// All changes from `old` to `new`, grouped.
#[derive(Debug, Clone, Default)]
pub struct Comparison {
    /// Looser first.
    pub changes: Vec<Change>,
    /// Cells compared.
    pub cells: usize,
}

impl Comparison {
    /// Whether something is shown that was not shown before.
    pub fn shows_more(&self) -> bool {
        self.changes
            .iter()
            .any(|c| c.direction != Direction::Stricter)
    }
}

const ABSENT: &[Cell] = &[];

/// Ids of the rules that decide.
type Rules = Arc<[Arc<str>]>;

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    direction: Direction,
    action: Action,
    from: Outcome,
    to: Outcome,
    by: (Rules, Rules),
}

#[derive(Default)]
struct Seen {
    who: BTreeSet<Arc<str>>,
    fields: BTreeSet<String>,
    purposes: BTreeSet<Arc<str>>,
    regions: BTreeSet<Option<Arc<str>>>,
    facts: BTreeMap<Fact, BTreeSet<Option<bool>>>,
    record: BTreeMap<Arc<str>, BTreeSet<Option<Arc<str>>>>,
    cells: usize,
}

const ACTIONS: [Action; 12] = [
    Action::Read,
    Action::Export,
    Action::Filter,
    Action::Sort,
    Action::Group,
    Action::Aggregate,
    Action::Search,
    Action::Key,
    Action::Write,
    Action::Delete,
    Action::Describe,
    Action::Reveal,
];

/// Compares two sets over the space that either can tell apart.
pub fn compare(old: &Loaded, new: &Loaded) -> Comparison {
    let mut groups: BTreeMap<Group, Seen> = BTreeMap::new();
    let mut compared = 0;
    let pairs = object_pairs(old, new);
    for action in ACTIONS {
        let named = |set: &Loaded| set.policies.rules().iter().any(|r| r.speaks_of(action));
        // Without a row of its own a describe shows what a read shows, and a reveal is refused.
        if matches!(action, Action::Describe | Action::Reveal) && !named(old) && !named(new) {
            continue;
        }
        let spoken = match action {
            Action::Read => vec![action],
            other => vec![Action::Read, other],
        };
        for point in points(&[old, new], &spoken, &|_| true) {
            let before = old.policies.standing(&old.catalog, &point);
            let after = new.policies.standing(&new.catalog, &point);
            for (was, is) in &pairs {
                let a = was.map(|o| cells(old, &before, o, action));
                let b = is.map(|o| cells(new, &after, o, action));
                for (name, in_old, in_new) in field_pairs(old, *was, new, *is, action) {
                    let a = pick(a.as_deref(), in_old);
                    let b = pick(b.as_deref(), in_new);
                    compared += 1;
                    // Same in both wherever it is asked: no variant can differ.
                    if a == b && a.len() == 1 {
                        continue;
                    }
                    each_variant((old, *was), (new, *is), &mut |record, i, j| {
                        let (from, to) = (under(a, i, action), under(b, j, action));
                        if from.0 == to.0 {
                            return;
                        }
                        let direction = match to.0.rank().cmp(&from.0.rank()) {
                            std::cmp::Ordering::Less => Direction::Looser,
                            std::cmp::Ordering::Equal => Direction::Sideways,
                            std::cmp::Ordering::Greater => Direction::Stricter,
                        };
                        let group = Group {
                            direction,
                            action,
                            from: from.0,
                            to: to.0,
                            by: (from.1, to.1),
                        };
                        note(groups.entry(group).or_default(), &point, &name, record);
                    });
                }
            }
        }
    }
    let mut changes: Vec<Change> = Vec::new();
    for (group, seen) in groups {
        let change = Change {
            direction: group.direction,
            actions: vec![group.action],
            from: group.from,
            to: group.to,
            by_before: rule_words(&old.policies, &group.by.0),
            by_after: rule_words(&new.policies, &group.by.1),
            circumstances: circumstances(&seen, old, new),
            who: seen.who,
            fields: seen.fields,
            cells: seen.cells,
        };
        // Filter, sort and the others mostly change together.
        let alike = changes.iter_mut().find(|c| {
            let differs = (&c.actions, c.cells) != (&change.actions, change.cells);
            differs
                && Change {
                    actions: change.actions.clone(),
                    cells: change.cells,
                    ..(*c).clone()
                } == change
        });
        match alike {
            Some(known) => {
                known.actions.extend(change.actions);
                known.cells += change.cells;
            }
            None => changes.push(change),
        }
    }
    Comparison {
        changes,
        cells: compared,
    }
}

fn object_pairs(old: &Loaded, new: &Loaded) -> Vec<(Option<ObjectId>, Option<ObjectId>)> {
    let names: BTreeSet<&Box<str>> = old
        .catalog
        .object_by_name
        .keys()
        .chain(new.catalog.object_by_name.keys())
        .collect();
    names
        .into_iter()
        .map(|n| {
            let of = |set: &Loaded| set.catalog.object_by_name.get(n).copied();
            (of(old), of(new))
        })
        .collect()
}

/// (name, index in the old object, index in the new one).
fn field_pairs(
    old: &Loaded,
    was: Option<ObjectId>,
    new: &Loaded,
    is: Option<ObjectId>,
    action: Action,
) -> Vec<(String, Option<usize>, Option<usize>)> {
    let was = was.map(|o| old.catalog.get(o));
    let is = is.map(|o| new.catalog.get(o));
    let object = is.or(was).map_or("", |o| &*o.name);
    if action == Action::Delete {
        return vec![(format!("{object}.*"), was.map(|_| 0), is.map(|_| 0))];
    }
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for o in [was, is].into_iter().flatten() {
        for (lower, i) in &o.field_by_name {
            names.insert(lower, &o.fields[*i as usize].name);
        }
    }
    names
        .into_iter()
        .map(|(lower, name)| {
            let index = |o: Option<&crate::engine::catalog::Object>| {
                o.and_then(|o| o.field_by_name.get(lower))
                    .map(|i| *i as usize)
            };
            (format!("{object}.{name}"), index(was), index(is))
        })
        .collect()
}

fn pick(cells: Option<&[Vec<Cell>]>, field: Option<usize>) -> &[Cell] {
    match (cells, field) {
        (Some(cells), Some(field)) => cells.get(field).map_or(ABSENT, Vec::as_slice),
        _ => ABSENT,
    }
}

/// A field that is not there is dropped, and no use of it passes.
fn under(cells: &[Cell], variant: usize, action: Action) -> (Outcome, Rules) {
    match cells.get(if cells.len() == 1 { 0 } else { variant }) {
        Some(cell) => (cell.outcome, cell.rules.clone()),
        None if is_output(action) => (Outcome::Output(Treatment::Drop), [].into()),
        None => (Outcome::Refused, [].into()),
    }
}

/// A record's value for a condition; `None` = unknown.
type RecordValue = (Arc<str>, Option<Arc<str>>);
type RecordValues = [RecordValue];

/// Every combination of record conditions that either object knows, with the variant in each set.
fn each_variant(
    (old, was): (&Loaded, Option<ObjectId>),
    (new, is): (&Loaded, Option<ObjectId>),
    visit: &mut dyn FnMut(&RecordValues, usize, usize),
) {
    let mut all: BTreeSet<Vec<RecordValue>> = BTreeSet::new();
    for (set, object) in [(old, was), (new, is)] {
        if let Some(object) = object {
            for v in 0..variants(&set.catalog, object) {
                all.insert(variant_values(&set.catalog, object, v));
            }
        }
    }
    for values in all {
        let value = |name: &str| {
            values
                .iter()
                .find(|(n, _)| **n == *name)
                .and_then(|(_, v)| v.clone())
        };
        let i = was.map_or(0, |o| variant_of(&old.catalog, o, &value));
        let j = is.map_or(0, |o| variant_of(&new.catalog, o, &value));
        visit(&values, i, j);
    }
}

fn note(seen: &mut Seen, point: &Point, field: &str, record: &RecordValues) {
    seen.cells += 1;
    seen.who
        .insert(point.who.clone().unwrap_or_else(|| "anybody else".into()));
    if !seen.fields.contains(field) {
        seen.fields.insert(field.to_owned());
    }
    seen.purposes.insert(point.purpose.clone());
    seen.regions.insert(point.region.clone());
    for (fact, value) in &point.facts {
        seen.facts
            .entry(fact.clone())
            .or_default()
            .insert(Some(*value));
    }
    for (name, value) in record {
        seen.record
            .entry(name.clone())
            .or_default()
            .insert(value.clone());
    }
}

fn circumstances(seen: &Seen, old: &Loaded, new: &Loaded) -> Vec<String> {
    let mut all = Vec::new();
    let vocabularies = [&old.catalog.vocabulary, &new.catalog.vocabulary];
    let count = |of: &dyn Fn(&crate::engine::catalog::Vocabulary) -> Vec<Arc<str>>| {
        let known: BTreeSet<Arc<str>> = vocabularies.iter().flat_map(|v| of(v)).collect();
        known.len() + 1
    };
    if seen.purposes.len() < count(&|v| v.purposes.clone()) {
        let words: Vec<&str> = seen.purposes.iter().map(|p| &**p).collect();
        all.push(format!("for {}", words.join(" or ")));
    }
    if seen.regions.len() < count(&|v| v.regions.clone()) {
        let words: Vec<&str> = seen
            .regions
            .iter()
            .map(|r| r.as_deref().unwrap_or("an unknown region"))
            .collect();
        all.push(format!("from {}", words.join(" or ")));
    }
    for (fact, values) in &seen.facts {
        if let [value] = values.iter().collect::<Vec<_>>()[..] {
            all.push(fact_words(fact, *value));
        }
    }
    for (name, values) in &seen.record {
        let declared = vocabularies
            .iter()
            .map(|v| match v.flags.get(name) {
                Some(values) => values.len() + 1,
                None => v.regions.len() + 1,
            })
            .max()
            .unwrap_or(1);
        if values.len() < declared {
            let words: Vec<&str> = values
                .iter()
                .map(|v| v.as_deref().unwrap_or("unknown"))
                .collect();
            all.push(format!(
                "where the record's {name} is {}",
                words.join(" or ")
            ));
        }
    }
    all
}
