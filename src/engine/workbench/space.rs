//! The space that rules can tell apart: principals × purposes × regions × session facts, and per record its flags
//! and data region. Finite, because rules speak in closed vocabularies; so "could ever" is an enumeration.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::policy::{Asking, Effect, Fact, Loaded, Point, Policies, Standpoint, Verdict};
use crate::engine::protocol::{Action, Comparison, Use};
use crate::engine::treatment::Treatment;

/// Beyond so many facts in one corner, facts count as known.
const FACTS_IN_FULL: usize = 5;

/// The points at which the rules of `sets` can answer differently about `actions`. Facts that no rule for a principal
/// and purpose asks for are left unknown there. Only principals with `wanted` are enumerated.
pub fn points(
    sets: &[&Loaded],
    actions: &[Action],
    wanted: &dyn Fn(Option<&Arc<str>>) -> bool,
) -> Vec<Point> {
    let mut who: BTreeSet<Option<Arc<str>>> = BTreeSet::from([None]);
    let mut purposes: BTreeSet<Arc<str>> = BTreeSet::from(["none".into()]);
    let mut regions: BTreeSet<Option<Arc<str>>> = BTreeSet::from([None]);
    for set in sets {
        who.extend(set.policies.principals().iter().cloned().map(Some));
        let vocabulary = &set.catalog.vocabulary;
        purposes.extend(vocabulary.purposes.iter().cloned());
        regions.extend(vocabulary.regions.iter().cloned().map(Some));
    }
    let mut all = Vec::new();
    for who in who.into_iter().filter(|w| wanted(w.as_ref())) {
        for purpose in &purposes {
            let facts = combinations(&asked(sets, actions, who.as_ref(), purpose));
            for region in &regions {
                for facts in &facts {
                    all.push(Point {
                        who: who.clone(),
                        purpose: purpose.clone(),
                        region: region.clone(),
                        facts: facts.clone(),
                    });
                }
            }
        }
    }
    all
}

/// The session facts that matter in one corner; true where "unknown" can differ from "no".
fn asked(
    sets: &[&Loaded],
    actions: &[Action],
    who: Option<&Arc<str>>,
    purpose: &Arc<str>,
) -> BTreeMap<Fact, bool> {
    let mut facts: BTreeMap<Fact, bool> = BTreeMap::new();
    for set in sets {
        for rule in set.policies.rules() {
            if !(rule.purposes.is_empty() || rule.purposes.contains(purpose))
                || !actions.iter().any(|a| rule.speaks_of(*a))
                || !set.policies.means(&rule.who, who)
            {
                continue;
            }
            for term in &rule.when {
                if !matches!(term.fact, Fact::Record(..)) {
                    // A missing fact makes an allow false and a deny true, negated or not.
                    let differs = (rule.effect == Effect::Allow) == term.negated;
                    *facts.entry(term.fact.clone()).or_default() |= differs;
                }
            }
        }
    }
    facts
}

fn combinations(facts: &BTreeMap<Fact, bool>) -> Vec<BTreeMap<Fact, bool>> {
    let mut all = vec![BTreeMap::new()];
    for (fact, unknown_differs) in facts {
        let mut values = vec![Some(false), Some(true)];
        if *unknown_differs && facts.len() <= FACTS_IN_FULL {
            values.push(None);
        }
        all = all
            .into_iter()
            .flat_map(|head| {
                values.iter().map(move |value| {
                    let mut head: BTreeMap<Fact, bool> = head.clone();
                    head.extend(value.map(|v| (fact.clone(), v)));
                    head
                })
            })
            .filter(possible)
            .collect();
    }
    all
}

/// Younger than five minutes is younger than an hour; an age is known for all bounds or for none.
fn possible(facts: &BTreeMap<Fact, bool>) -> bool {
    let ages: Vec<bool> = facts
        .iter()
        .filter(|(f, _)| matches!(f, Fact::Session(_)))
        .map(|(_, v)| *v)
        .collect();
    ages.windows(2).all(|w| !w[0] || w[1])
}

/// What happens at one cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// An output is treated so.
    Output(Treatment),
    /// A use passes.
    Allowed,
    /// A use passes with tokens of the caller's scope.
    Tokens,
    /// A use is refused.
    Refused,
}

impl Outcome {
    /// Protection: higher protects more. Only outcomes of one action compare.
    pub fn rank(self) -> u8 {
        match self {
            Self::Output(t) => t.rank(),
            Self::Allowed => 0,
            Self::Tokens => 3,
            Self::Refused => 8,
        }
    }

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Output(t) => t.word(),
            Self::Allowed => "allowed",
            Self::Tokens => "tokens",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An outcome and the rules that made it so (none = no row).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// What happens.
    pub outcome: Outcome,
    /// The deciding rules.
    pub rules: Arc<[Arc<str>]>,
}

/// Whether outcomes of `action` are treatments, one for each record variant.
pub fn is_output(action: Action) -> bool {
    matches!(action, Action::Read | Action::Export | Action::Describe)
}

/// The cells of one object for one action: per field, one cell for each record variant, or one where all are equal.
/// `Delete` has one field.
pub fn cells(
    set: &Loaded,
    standpoint: &Standpoint,
    object: ObjectId,
    action: Action,
) -> Vec<Vec<Cell>> {
    let (policies, catalog) = (&set.policies, &set.catalog);
    if is_output(action) {
        return standpoint
            .read(policies, catalog, object, action)
            .fields
            .iter()
            .map(|field| {
                field
                    .by_variant
                    .iter()
                    .map(|r| Cell {
                        outcome: Outcome::Output(r.treatment),
                        rules: r.rules.clone(),
                    })
                    .collect()
            })
            .collect();
    }
    let fields = match action {
        Action::Delete => 1,
        _ => catalog.get(object).fields.len(),
    };
    let uses: Vec<Use> = (0..fields)
        .map(|field| used(catalog, object, field as u32, action))
        .collect();
    let decision = standpoint.decide(
        policies,
        catalog,
        &Asking {
            action: Action::Read,
            uses: &uses,
            objects: &[],
            exports: false,
            written: &|_| None,
        },
    );
    decision
        .verdicts
        .iter()
        .map(|verdict| vec![cell(verdict)])
        .collect()
}

/// One use of a field, as a request that names it would make it.
pub fn used(catalog: &Catalog, object: ObjectId, field: u32, action: Action) -> Use {
    let at = FieldRef { object, field };
    Use {
        field: at,
        action,
        written: catalog.field(at).name.clone(),
        comparison: match action {
            Action::Filter | Action::Key => Comparison::Equality,
            Action::Group | Action::Aggregate => Comparison::Identity,
            _ => Comparison::Other,
        },
        values: Vec::new(),
        named: true,
    }
}

/// What a verdict on a use amounts to.
pub fn cell(verdict: &Verdict) -> Cell {
    let (outcome, rules) = match verdict {
        Verdict::Output(ruling) => {
            let one = ruling.strictest();
            (Outcome::Output(one.treatment), one.rules.clone())
        }
        Verdict::Permit(rules) => (Outcome::Allowed, rules.clone()),
        Verdict::PermitTokens(rules) | Verdict::PermitNullOrTokens(rules) => {
            (Outcome::Tokens, rules.clone())
        }
        Verdict::Refuse(refusal) => (
            Outcome::Refused,
            refusal.rule.iter().cloned().collect::<Vec<_>>().into(),
        ),
    };
    Cell { outcome, rules }
}

/// The values of an object's record conditions under `variant`, by name; `None` = unknown.
pub fn variant_values(
    catalog: &Catalog,
    object: ObjectId,
    variant: usize,
) -> Vec<(Arc<str>, Option<Arc<str>>)> {
    let mut rest = variant;
    let mut values: Vec<(Arc<str>, Option<Arc<str>>)> = catalog
        .get(object)
        .conditions
        .iter()
        .rev()
        .map(|c| {
            let n = c.values.len() + 1;
            let code = rest % n;
            rest /= n;
            (c.name.clone(), c.values.get(code).map(|(v, _)| v.clone()))
        })
        .collect();
    values.reverse();
    values
}

/// The variant at which the conditions have these values; what is not named, or not declared, is unknown.
pub fn variant_of(
    catalog: &Catalog,
    object: ObjectId,
    value: &dyn Fn(&str) -> Option<Arc<str>>,
) -> usize {
    catalog
        .get(object)
        .conditions
        .iter()
        .fold(0, |variant, condition| {
            let wanted = value(&condition.name);
            let code = condition
                .values
                .iter()
                .position(|(v, _)| Some(v) == wanted.as_ref())
                .unwrap_or(condition.values.len());
            variant * (condition.values.len() + 1) + code
        })
}

/// Number of record variants of an object.
pub fn variants(catalog: &Catalog, object: ObjectId) -> usize {
    let values = |c: &crate::engine::catalog::RecordCondition| c.values.len() + 1;
    catalog.get(object).conditions.iter().map(values).product()
}

/// All objects.
pub fn objects(catalog: &Catalog) -> impl Iterator<Item = ObjectId> + use<> {
    (0..catalog.objects.len() as u32).map(ObjectId)
}

/// `session<900s` as people write it.
pub fn fact_words(fact: &Fact, value: Option<bool>) -> String {
    let named = match fact {
        Fact::Mfa => "MFA".to_owned(),
        Fact::Session(s) => format!("a session younger than {}", duration(*s)),
        Fact::Hours(name) => format!("{name} hours"),
        Fact::Network(name) => format!("the network {name}"),
        Fact::Record(flag, value) => format!("record.{flag}={value}"),
    };
    match value {
        Some(true) => format!("with {named}"),
        Some(false) => format!("without {named}"),
        None => format!("{named} unknown"),
    }
}

fn duration(seconds: u32) -> String {
    match seconds {
        s if s.is_multiple_of(3600) => format!("{}h", s / 3600),
        s if s.is_multiple_of(60) => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

/// A point as a phrase: `role:bi for analytics from eu, with MFA`.
pub fn point_words(point: &Point) -> String {
    let mut text = format!(
        "{} for {} from {}",
        point.who.as_deref().unwrap_or("nobody in particular"),
        point.purpose,
        point.region.as_deref().unwrap_or("an unknown region"),
    );
    for (fact, value) in &point.facts {
        text.push_str(", ");
        text.push_str(&fact_words(fact, Some(*value)));
    }
    text
}

/// `id (file:line)` of each rule, or `no rule`.
pub fn rule_words(policies: &Policies, rules: &[Arc<str>]) -> String {
    if rules.is_empty() {
        return "no rule".to_owned();
    }
    let named: Vec<String> = rules
        .iter()
        .map(|id| match policies.rule(id) {
            Some(rule) => format!("{id} ({}:{})", rule.position.file, rule.position.line),
            None => id.to_string(),
        })
        .collect();
    named.join(" and ")
}
