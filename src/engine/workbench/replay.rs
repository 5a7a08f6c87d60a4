//! What another policy set would have changed about a request that was made: decided under both sets on what the
//! request touched, never on its values.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::compare::Direction;
use super::space::{cell, used};
use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::event::What;
use crate::engine::identity::Identity;
use crate::engine::policy::{Asking, Decision, Loaded, decide_uses};
use crate::engine::protocol::{Action, Use};
use crate::engine::treatment::Treatment;

/// A request as the audit log knows it: who asked, under which purpose, and the names of what it touched.
#[derive(Debug, Clone)]
pub struct Past {
    /// Who asked, with the purpose that was decided under as the one asked for.
    pub caller: Identity,
    /// Whether its outputs are judged as exports too.
    pub exports: bool,
    /// `filter:Contact.Email`, outputs left out.
    pub uses: Vec<String>,
    /// Outputs: `Contact.Email`.
    pub outputs: BTreeSet<String>,
}

impl Past {
    /// From the account of a request that was just decided.
    pub fn of(caller: &Identity, what: &What) -> Self {
        let mut caller = caller.clone();
        if &*what.purpose != "none" {
            caller.purpose_asked = Some(what.purpose.clone());
        }
        Self {
            caller,
            exports: what.action == Action::Export.word(),
            uses: what.uses.clone(),
            outputs: what.fields.values().flatten().cloned().collect(),
        }
    }
}

/// One field of a request that would be answered in another way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// Whether more or less is shown.
    pub direction: Direction,
    /// `read:Contact.Email`; `request` where all of it is refused or no longer so.
    pub what: String,
    /// The outcome before: `clear`, `refused`, `drop or redact`.
    pub from: String,
    /// The outcome after.
    pub to: String,
    /// The rules that decide after; where none does, those that decided before.
    pub rules: Vec<Arc<str>>,
}

/// Everything that `new` answers in another way than `old`, looser first; empty = the request would not notice.
pub fn replay(old: &Loaded, new: &Loaded, past: &Past) -> Vec<Difference> {
    if old.policies.version() == new.policies.version() {
        return Vec::new();
    }
    let (before, after) = (answers(old, past), answers(new, past));
    let mut found: Vec<Difference> = Vec::new();
    for (what, a) in &before {
        let Some(b) = after.get(what) else { continue };
        if a.outcomes == b.outcomes {
            continue;
        }
        let rank = |of: &Answer| {
            let ranks = || of.outcomes.iter().map(|(rank, _)| *rank);
            (ranks().min().unwrap_or(0), ranks().max().unwrap_or(0))
        };
        let (a_rank, b_rank) = (rank(a), rank(b));
        // Looser in one kind of record is looser.
        let direction = if b_rank.0 < a_rank.0 || b_rank.1 < a_rank.1 {
            Direction::Looser
        } else if b_rank == a_rank {
            Direction::Sideways
        } else {
            Direction::Stricter
        };
        let rules = if b.rules.is_empty() {
            &a.rules
        } else {
            &b.rules
        };
        found.push(Difference {
            direction,
            what: what.clone(),
            from: a.words(),
            to: b.words(),
            rules: rules.iter().cloned().collect(),
        });
    }
    found.sort();
    found
}

/// What a set says of one field and action: the outcomes over the kinds of record, with their protection.
#[derive(Debug, Default)]
struct Answer {
    outcomes: BTreeSet<(u8, &'static str)>,
    rules: BTreeSet<Arc<str>>,
}

impl Answer {
    fn words(&self) -> String {
        let words: Vec<&str> = self.outcomes.iter().map(|(_, word)| *word).collect();
        words.join(" or ")
    }

    fn add(&mut self, rank: u8, word: &'static str, rules: &[Arc<str>]) {
        self.outcomes.insert((rank, word));
        self.rules.extend(rules.iter().cloned());
    }
}

fn answers(set: &Loaded, past: &Past) -> BTreeMap<String, Answer> {
    let catalog = &set.catalog;
    let mut uses: Vec<Use> = Vec::new();
    let mut names: Vec<&String> = Vec::new();
    let mut answers: BTreeMap<String, Answer> = BTreeMap::new();
    for name in &past.uses {
        let found = name.split_once(':').and_then(|(action, field)| {
            let at = field_of(catalog, field)?;
            Some(used(catalog, at.object, at.field, Action::parse(action)?))
        });
        match found {
            Some(one) => {
                uses.push(one);
                names.push(name);
            }
            None => answers
                .entry(name.clone())
                .or_default()
                .add(u8::MAX, "not there", &[]),
        }
    }
    let outputs: Vec<(&String, Option<FieldRef>)> = past
        .outputs
        .iter()
        .map(|name| (name, field_of(catalog, name)))
        .collect();
    let objects: BTreeSet<ObjectId> = outputs
        .iter()
        .filter_map(|(_, f)| Some(f.as_ref()?.object))
        .collect();
    let objects: Vec<ObjectId> = objects.into_iter().collect();
    let decision: Decision = decide_uses(
        &set.policies,
        catalog,
        &past.caller,
        &Asking {
            action: if past.exports {
                Action::Export
            } else {
                Action::Read
            },
            uses: &uses,
            objects: &objects,
            exports: past.exports,
            written: &|_| None,
        },
    );
    let request = answers.entry("request".to_owned()).or_default();
    match &decision.refusal {
        Some(refusal) => {
            let rules: Vec<Arc<str>> = refusal.rule.iter().cloned().collect();
            request.add(u8::MAX, "refused", &rules);
            return answers;
        }
        None => request.add(0, "answered", &[]),
    }
    for (name, verdict) in names.into_iter().zip(&decision.verdicts) {
        let cell = cell(verdict);
        let answer = answers.entry(name.clone()).or_default();
        answer.add(cell.outcome.rank(), cell.outcome.word(), &cell.rules);
    }
    for (name, field) in outputs {
        let answer = answers.entry(format!("read:{name}")).or_default();
        match field.and_then(|f| decision.read(f)) {
            Some(ruling) => {
                for one in ruling.by_variant.iter() {
                    answer.add(one.treatment.rank(), one.treatment.word(), &one.rules);
                }
            }
            None => answer.add(Treatment::Drop.rank(), Treatment::Drop.word(), &[]),
        }
    }
    answers
}

/// `Contact.Email`; of a deleted object `Contact.*` any field of it.
fn field_of(catalog: &Catalog, name: &str) -> Option<FieldRef> {
    let (object, field) = name.split_once('.')?;
    let object = *catalog
        .object_by_name
        .get(object.to_ascii_lowercase().as_str())?;
    let field = catalog.get(object).field(field)?;
    Some(FieldRef { object, field })
}
