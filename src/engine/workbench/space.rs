//! The space that rules can tell apart: principals × purposes × regions × session facts, and per record its flags
//! and data region. Finite, because rules speak in closed vocabularies; so "could ever" is an enumeration.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::policy::{
    Effect, Fact, Kin, Loaded, Point, Policies, Rule, Standpoint, Verdict,
};
use crate::engine::protocol::{Action, Comparison, Use};
use crate::engine::treatment::Treatment;

/// Beyond so many facts in one corner, facts count as known.
const FACTS_IN_FULL: usize = 5;

/// The words of a context, over one set or several.
#[derive(Debug, Clone)]
pub struct Words {
    /// Principals; `None` = somebody whom no row names.
    pub who: BTreeSet<Option<Arc<str>>>,
    purposes: BTreeSet<Arc<str>>,
    regions: BTreeSet<Option<Arc<str>>>,
}

impl Words {
    /// All words that `sets` know.
    pub fn of(sets: &[&Loaded]) -> Self {
        let mut words = Self {
            who: BTreeSet::from([None]),
            purposes: BTreeSet::from(["none".into()]),
            regions: BTreeSet::from([None]),
        };
        for set in sets {
            let principals = set.policies.principals().iter().cloned();
            words.who.extend(principals.map(Some));
            let vocabulary = &set.catalog.vocabulary;
            words.purposes.extend(vocabulary.purposes.iter().cloned());
            words
                .regions
                .extend(vocabulary.regions.iter().cloned().map(Some));
        }
        words
    }
}

/// Contexts of one principal that some rules cannot tell apart: every purpose with every region.
#[derive(Debug, Clone)]
pub struct Corner {
    /// Never empty.
    pub purposes: Vec<Arc<str>>,
    /// Never empty; `None` = unknown.
    pub regions: Vec<Option<Arc<str>>>,
    /// Session facts that are known; those that no rule asks for are left unknown.
    pub facts: BTreeMap<Fact, bool>,
}

impl Corner {
    /// One of its points.
    pub fn point(&self, who: Option<&Arc<str>>) -> Point {
        Point {
            who: who.cloned(),
            purpose: self
                .purposes
                .first()
                .cloned()
                .unwrap_or_else(|| "none".into()),
            region: self.regions.first().cloned().flatten(),
            facts: self.facts.clone(),
        }
    }

    /// How many contexts it stands for.
    pub fn size(&self) -> usize {
        self.purposes.len() * self.regions.len()
    }
}

/// The rules that can change what happens when `who` asks for one of `actions` on `field` (of its object, for
/// `delete`).
pub fn asked<'s>(
    set: &'s Loaded,
    who: Option<&Arc<str>>,
    field: FieldRef,
    actions: &[Action],
) -> Vec<&'s Rule> {
    let of = |action: Action| {
        set.policies
            .reaching(field, action)
            .filter(move |r| r.speaks_of(action))
    };
    let mut all: Vec<&Rule> = actions
        .iter()
        .flat_map(|a| of(*a))
        .filter(|r| set.policies.means(&r.who, who))
        .collect();
    all.sort_by(|a, b| a.id.cmp(&b.id));
    all.dedup_by(|a, b| std::ptr::eq(*a, *b));
    all
}

/// All contexts, as the corners that `rules` tell apart.
pub fn corners(words: &Words, rules: &[&Rule]) -> Vec<Corner> {
    let named = |p: &Arc<str>| rules.iter().any(|r| r.purposes.contains(p));
    let relative = |r: &Arc<str>| matches!(&**r, "same" | "cross");
    let all_regions = rules.iter().flat_map(|r| &r.regions).any(relative);
    let any_region = rules.iter().all(|r| r.regions.is_empty());
    let region_named = |region: &Option<Arc<str>>| {
        all_regions
            || !any_region
                && region
                    .as_ref()
                    .is_none_or(|name| rules.iter().any(|r| r.regions.contains(name)))
    };
    let purposes = apart(words.purposes.iter().cloned(), named);
    let regions = apart(words.regions.iter().cloned(), region_named);
    let mut all = Vec::new();
    for purposes in &purposes {
        let facts = combinations(&facts(rules, &purposes[0]));
        for regions in &regions {
            for facts in &facts {
                all.push(Corner {
                    purposes: purposes.clone(),
                    regions: regions.clone(),
                    facts: facts.clone(),
                });
            }
        }
    }
    all
}

/// Each word that is `named` by itself, the others together; in the words' order.
fn apart<T>(words: impl Iterator<Item = T>, named: impl Fn(&T) -> bool) -> Vec<Vec<T>> {
    let mut all: Vec<Vec<T>> = Vec::new();
    let mut rest: Option<usize> = None;
    for word in words {
        match rest {
            _ if named(&word) => all.push(vec![word]),
            Some(i) => all[i].push(word),
            None => {
                rest = Some(all.len());
                all.push(vec![word]);
            }
        }
    }
    all
}

/// The session facts that matter under one purpose; true where "unknown" can differ from "no".
fn facts(rules: &[&Rule], purpose: &Arc<str>) -> BTreeMap<Fact, bool> {
    let mut facts: BTreeMap<Fact, bool> = BTreeMap::new();
    for rule in rules {
        if !rule.purposes.is_empty() && !rule.purposes.contains(purpose) {
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
    facts
}

/// Fields that get equal answers, with one that speaks for them; for `delete` one field of each object.
pub fn families(
    set: &Loaded,
    action: Action,
    wanted: &dyn Fn(FieldRef) -> bool,
) -> Vec<(FieldRef, Vec<FieldRef>)> {
    let mut all: Vec<(FieldRef, Vec<FieldRef>)> = Vec::new();
    let mut known: HashMap<Kin, usize> = HashMap::new();
    for field in super::all_fields(&set.catalog) {
        if action == Action::Delete && field.field != 0 || !wanted(field) {
            continue;
        }
        let kin = set.policies.kin(&set.catalog, field, action);
        let next = all.len();
        let at = *known.entry(kin).or_insert(next);
        if at == next {
            all.push((field, Vec::new()));
        }
        all[at].1.push(field);
    }
    all
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

/// The cells of one field for one action: one for each record variant, or one where all are equal.
pub fn cells(
    policies: &Policies,
    catalog: &Catalog,
    standpoint: &Standpoint,
    field: FieldRef,
    action: Action,
) -> Vec<Cell> {
    if is_output(action) {
        return standpoint
            .output(policies, catalog, field, action)
            .by_variant
            .iter()
            .map(|r| Cell {
                outcome: Outcome::Output(r.treatment),
                rules: r.rules.clone(),
            })
            .collect();
    }
    let one = used(catalog, field.object, field.field, action);
    vec![cell(&standpoint.judge(policies, catalog, &one))]
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

/// `, pack gdpr` of a pack's rule.
pub fn pack_words(rule: &Rule) -> String {
    let pack = rule.pack.as_ref();
    pack.map_or_else(String::new, |pack| format!(", pack {pack}"))
}

/// `id (file:line)` of each rule, or `no rule`.
pub fn rule_words(policies: &Policies, rules: &[Arc<str>]) -> String {
    if rules.is_empty() {
        return "no rule".to_owned();
    }
    let named: Vec<String> = rules
        .iter()
        .map(|id| match policies.rule(id) {
            Some(rule) => {
                let pack = pack_words(rule);
                format!("{id} ({}:{}{pack})", rule.position.file, rule.position.line)
            }
            None => id.to_string(),
        })
        .collect();
    named.join(" and ")
}
