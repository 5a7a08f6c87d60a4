//! The policy files, and what they decide.
//!
//! [`load`] reads the texts of a policy folder into a [`Catalog`] and [`Policies`], reporting every mistake with
//! file, line and column; `casbin` is the only file that names Casbin; `table` caches its answers per principal
//! set; [`decide`] answers for one operation.
//!
//! Beyond what the files say:
//!
//! * A record whose flag or region is unknown gets the most protective answer over every declared value and over
//!   "no value", so that one declared value alone never speaks for the others. Two answers that protect equally
//!   and differently meet in `mask:all` (masks) or `redact`.
//! * A deny row on `same` or on a named region also holds where that region is unknown; `cross` always does.
//! * A derived field takes the most protective of its own and its sources' answers; what its type or class cannot
//!   hold becomes `redact`. It may be evaluated only where every source may.
//! * Without a token scope a caller reads `redact` where a row says `tokenize`.
//! * A row that names a field whose type cannot hold its treatment is an error. A broader row is one only if none
//!   of its fields can; else it warns, and the values concerned become null.
//! * `roles.csv` declares roles: one that only rules mention warns, for a misspelt name looks the same.
//! * Each pack of `packs:` is a layer, asked by itself. Over the layers the most protective answer holds, for outputs in
//!   each variant, for uses by what each layer itself lets read. A pack without a row has no opinion; what it classifies
//!   it classifies for its own rows, so that switching it on never shows anything.
//! * A hidden field stays hidden for predicates even where a row allows the use; a write that a row allows does
//!   not ask whether the field can be read.

pub mod bundle;
mod casbin;
mod condition;
pub(crate) mod csv;
mod decide;
pub mod decision;
mod lint;
mod load;
mod partition;
pub(crate) mod reader;
mod resources;
mod roles;
mod rules;
mod schema;
mod standpoint;
mod table;
mod tighten;
pub(crate) mod vocabulary;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

pub use casbin::MODEL;
pub use condition::{Fact, Term};
pub use decide::{Asking, decide, decide_uses};
pub use decision::{Decision, FieldRuling, Ruling, Table, Verdict};
pub use load::{Loaded, Sources, load};
pub(crate) use rules::is_inside;
pub use rules::{Effect, Rule, What};
pub use standpoint::{Kin, Point, Standpoint};
pub use tighten::tighten;

use crate::engine::catalog::{Catalog, FieldRef};
use crate::engine::protocol::Action;

/// A pack's name, and the classes that it gives to fields for its own rows.
type Pack = (Arc<str>, Arc<HashMap<FieldRef, Arc<str>>>);

/// The rules of one policy version with everything that deciding needs. Immutable but for its cache of answers.
pub struct Policies {
    version: Arc<str>,
    /// Deny rows first, then by id.
    rules: Vec<Rule>,
    rule_by_id: HashMap<Arc<str>, usize>,
    /// Every `role:`, `user:` and `client:` that a row names, sorted.
    principals: Vec<Arc<str>>,
    /// Per principal, itself and all it holds through `g`, sorted.
    closures: Vec<Box<[u16]>>,
    /// The session facts that rules ask for; the position is the bit.
    facts: Vec<Fact>,
    /// Per action, the facts that rows speaking of it ask for, as bits.
    facts_by_action: [u64; Action::WORDS.len()],
    zones: BTreeMap<Arc<str>, jiff::tz::TimeZone>,
    /// Derived field → all it is computed from, however deep.
    lineage: HashMap<FieldRef, Arc<[FieldRef]>>,
    /// The packs switched on; a rule's layer is its pack's place here, from 1.
    packs: Vec<Pack>,
    partition: partition::Partition,
    cache: table::Cache,
}

impl fmt::Debug for Policies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Policies")
            .field("version", &self.version)
            .field("rules", &self.rules.len())
            .finish_non_exhaustive()
    }
}

impl Policies {
    /// The session facts that rules ask for.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The same set without the rule called `id`, for whoever asks what the rule is good for.
    pub fn without(&self, catalog: &Catalog, id: &str) -> Self {
        let rules: Vec<Rule> = self
            .rules
            .iter()
            .filter(|r| &*r.id != id)
            .cloned()
            .collect();
        Self {
            version: self.version.clone(),
            rule_by_id: by_id(&rules),
            partition: partition::Partition::new(catalog, &rules),
            rules,
            principals: self.principals.clone(),
            closures: self.closures.clone(),
            facts: self.facts.clone(),
            facts_by_action: self.facts_by_action,
            zones: self.zones.clone(),
            lineage: self.lineage.clone(),
            packs: self.packs.clone(),
            cache: table::Cache::default(),
        }
    }

    /// Hash over rules, roles, classes, vocabulary, schema and API maps: 12 hex digits.
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// All rules, deny rows first, then by id.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule called `id`.
    pub fn rule(&self, id: &str) -> Option<&Rule> {
        self.rule_by_id.get(id).and_then(|i| self.rules.get(*i))
    }

    /// Every role that a row names, without its prefix.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.principals
            .iter()
            .filter_map(|p| p.strip_prefix("role:"))
    }
}

fn by_id(rules: &[Rule]) -> HashMap<Arc<str>, usize> {
    rules
        .iter()
        .enumerate()
        .map(|(i, r)| (r.id.clone(), i))
        .collect()
}

/// All that each derived field is computed from, however deep; sources that cannot be read stand for every field
/// of their object.
fn lineage(catalog: &Catalog) -> HashMap<FieldRef, Arc<[FieldRef]>> {
    let mut all = HashMap::new();
    for (o, object) in catalog.objects.iter().enumerate() {
        for (f, field) in object.fields.iter().enumerate() {
            if field.derived_from.is_empty() && !field.derived_from_unknown {
                continue;
            }
            let me = FieldRef {
                object: crate::engine::catalog::ObjectId(o as u32),
                field: f as u32,
            };
            let mut seen = Vec::new();
            let mut open = vec![me];
            while let Some(next) = open.pop() {
                let field = catalog.field(next);
                let mut sources = field.derived_from.clone();
                if field.derived_from_unknown {
                    let fields = catalog.get(next.object).fields.len() as u32;
                    sources.extend((0..fields).map(|field| FieldRef {
                        object: next.object,
                        field,
                    }));
                }
                for source in sources {
                    if source != me && !seen.contains(&source) {
                        seen.push(source);
                        open.push(source);
                    }
                }
            }
            seen.sort();
            all.insert(me, seen.into());
        }
    }
    all
}
