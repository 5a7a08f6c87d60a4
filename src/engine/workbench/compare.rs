//! What a change of the policy set means: every cell of the space whose outcome differs, looser first.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::space::{
    Cell, Corner, Outcome, Words, asked, cells, corners, fact_words, is_output, rule_words,
    variant_of, variant_values, variants,
};
use crate::engine::catalog::{FieldRef, Object, ObjectId};
use crate::engine::policy::{Fact, Kin, Loaded};
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

/// Ids of the rules that decide.
type Rules = Arc<[Arc<str>]>;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Group {
    direction: Direction,
    action: Action,
    from: Outcome,
    to: Outcome,
    by: (Rules, Rules),
}

#[derive(Debug, Default)]
struct Seen {
    who: BTreeSet<Arc<str>>,
    fields: BTreeSet<String>,
    purposes: BTreeSet<Arc<str>>,
    regions: BTreeSet<Option<Arc<str>>>,
    /// The values seen, and in how many corners.
    facts: BTreeMap<Fact, (BTreeSet<bool>, usize)>,
    record: BTreeMap<Arc<str>, BTreeSet<Option<Arc<str>>>>,
    corners: usize,
    cells: usize,
}

impl Seen {
    fn add(&mut self, other: Self) {
        self.who.extend(other.who);
        self.fields.extend(other.fields);
        self.purposes.extend(other.purposes);
        self.regions.extend(other.regions);
        for (fact, (values, corners)) in other.facts {
            let known = self.facts.entry(fact).or_default();
            known.0.extend(values);
            known.1 += corners;
        }
        for (name, values) in other.record {
            self.record.entry(name).or_default().extend(values);
        }
        self.corners += other.corners;
        self.cells += other.cells;
    }
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

/// A comparison in parts that know nothing of each other, for whoever has more than one processor. The sets' caches are
/// shared: no question is asked twice.
#[derive(Debug)]
pub struct Work<'a> {
    old: &'a Loaded,
    new: &'a Loaded,
    words: Words,
    /// Principal and action of each part.
    parts: Vec<(Option<Arc<str>>, Action)>,
    /// The families of fields, for `delete` and for everything else.
    objects: Vec<Family>,
    fields: Vec<Family>,
}

/// What one part showed.
#[derive(Debug, Default)]
pub struct Part {
    groups: BTreeMap<Group, Seen>,
    cells: usize,
}

/// Fields with equal answers in each set.
#[derive(Debug)]
struct Family {
    old: Option<FieldRef>,
    new: Option<FieldRef>,
    names: Vec<String>,
}

impl<'a> Work<'a> {
    /// The comparison of two sets.
    pub fn new(old: &'a Loaded, new: &'a Loaded) -> Self {
        let words = Words::of(&[old, new]);
        let mut parts = Vec::new();
        let named = |set: &Loaded, action: Action| {
            let mut rules = set.policies.rules().iter();
            rules.any(|r| r.speaks_of(action))
        };
        // Without a row of its own a describe shows what a read shows, and a reveal is refused.
        let actions = ACTIONS.into_iter().filter(|action| {
            !matches!(action, Action::Describe | Action::Reveal)
                || named(old, *action)
                || named(new, *action)
        });
        // Neighbours ask about the same rules.
        for who in &words.who {
            parts.extend(actions.clone().map(|action| (who.clone(), action)));
        }
        Self {
            old,
            new,
            words,
            parts,
            objects: families(old, new, Action::Delete),
            fields: families(old, new, Action::Read),
        }
    }

    /// How many parts there are.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// Compares one part.
    pub fn part(&self, index: usize) -> Part {
        let mut part = Part::default();
        let Some((who, action)) = self.parts.get(index) else {
            return part;
        };
        let (old, new, action) = (self.old, self.new, *action);
        let spoken = match action {
            Action::Read => vec![action],
            other => vec![Action::Read, other],
        };
        let families = match action {
            Action::Delete => &self.objects,
            _ => &self.fields,
        };
        for family in families {
            let mut rules = Vec::new();
            for (set, field) in [(old, family.old), (new, family.new)] {
                if let Some(field) = field {
                    rules.extend(asked(set, who.as_ref(), field, &spoken));
                }
            }
            for corner in corners(&self.words, &rules) {
                part.cells += corner.size() * family.names.len();
                let point = corner.point(who.as_ref());
                let cells_of = |set: &Loaded, field: Option<FieldRef>| match field {
                    Some(field) => {
                        let standpoint = set.policies.standing(&set.catalog, &point);
                        cells(&set.policies, &set.catalog, &standpoint, field, action)
                    }
                    None => Vec::new(),
                };
                let (a, b) = (cells_of(old, family.old), cells_of(new, family.new));
                // Same in both wherever it is asked: no variant can differ.
                if a == b && a.len() == 1 {
                    continue;
                }
                let objects = (
                    (old, family.old.map(|f| f.object)),
                    (new, family.new.map(|f| f.object)),
                );
                each_variant(objects.0, objects.1, &mut |record, i, j| {
                    let (from, to) = (under(&a, i, action), under(&b, j, action));
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
                    let seen = part.groups.entry(group).or_default();
                    note(seen, who.as_ref(), &corner, &family.names, record);
                });
            }
        }
        part
    }

    /// The whole comparison from all its parts, in any order.
    pub fn joined(&self, parts: impl IntoIterator<Item = Part>) -> Comparison {
        let mut groups: BTreeMap<Group, Seen> = BTreeMap::new();
        let mut cells = 0;
        for part in parts {
            cells += part.cells;
            for (group, seen) in part.groups {
                groups.entry(group).or_default().add(seen);
            }
        }
        changes(self.old, self.new, groups, cells)
    }
}

/// Compares two sets over the space that either can tell apart.
pub fn compare(old: &Loaded, new: &Loaded) -> Comparison {
    let work = Work::new(old, new);
    work.joined((0..work.parts()).map(|i| work.part(i)))
}

fn changes(
    old: &Loaded,
    new: &Loaded,
    groups: BTreeMap<Group, Seen>,
    compared: usize,
) -> Comparison {
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

/// The fields of both sets (for `delete`: the objects), those together that are alike in each.
fn families(old: &Loaded, new: &Loaded, action: Action) -> Vec<Family> {
    let mut known: HashMap<(Option<Kin>, Option<Kin>), usize> = HashMap::new();
    let mut all: Vec<Family> = Vec::new();
    for (was, is) in object_pairs(old, new) {
        for (name, in_old, in_new) in field_pairs(old, was, new, is, action) {
            let kin = |set: &Loaded, field: Option<FieldRef>| {
                field.map(|f| set.policies.kin(&set.catalog, f, action))
            };
            let next = all.len();
            let pair = (kin(old, in_old), kin(new, in_new));
            let at = *known.entry(pair).or_insert(next);
            if at == next {
                all.push(Family {
                    old: in_old,
                    new: in_new,
                    names: Vec::new(),
                });
            }
            all[at].names.push(name);
        }
    }
    all
}

/// (name, in the old set, in the new one).
fn field_pairs(
    old: &Loaded,
    was: Option<ObjectId>,
    new: &Loaded,
    is: Option<ObjectId>,
    action: Action,
) -> Vec<(String, Option<FieldRef>, Option<FieldRef>)> {
    let at = |object: Option<ObjectId>, field: u32| object.map(|object| FieldRef { object, field });
    let was_object = was.map(|o| old.catalog.get(o));
    let is_object = is.map(|o| new.catalog.get(o));
    let object = is_object.or(was_object).map_or("", |o| &*o.name);
    if action == Action::Delete {
        return vec![(format!("{object}.*"), at(was, 0), at(is, 0))];
    }
    let mut names: BTreeMap<&str, &str> = BTreeMap::new();
    for o in [was_object, is_object].into_iter().flatten() {
        for (lower, i) in &o.field_by_name {
            names.insert(lower, &o.fields[*i as usize].name);
        }
    }
    names
        .into_iter()
        .map(|(lower, name)| {
            let index =
                |id: Option<ObjectId>, o: Option<&Object>| at(id, *o?.field_by_name.get(lower)?);
            (
                format!("{object}.{name}"),
                index(was, was_object),
                index(is, is_object),
            )
        })
        .collect()
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

fn note(
    seen: &mut Seen,
    who: Option<&Arc<str>>,
    corner: &Corner,
    fields: &[String],
    record: &RecordValues,
) {
    seen.cells += corner.size() * fields.len();
    seen.corners += 1;
    seen.who
        .insert(who.cloned().unwrap_or_else(|| "anybody else".into()));
    for field in fields {
        if !seen.fields.contains(field) {
            seen.fields.insert(field.clone());
        }
    }
    seen.purposes.extend(corner.purposes.iter().cloned());
    seen.regions.extend(corner.regions.iter().cloned());
    for (fact, value) in &corner.facts {
        let known = seen.facts.entry(fact.clone()).or_default();
        known.0.insert(*value);
        known.1 += 1;
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
    for (fact, (values, corners)) in &seen.facts {
        // Elsewhere the fact does not matter.
        if let ([value], true) = (
            &values.iter().collect::<Vec<_>>()[..],
            *corners == seen.corners,
        ) {
            all.push(fact_words(fact, Some(**value)));
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
