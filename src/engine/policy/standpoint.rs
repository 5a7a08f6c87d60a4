//! One caller in one context, for whoever asks about the rules rather than for a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Policies;
use super::condition::Fact;
use super::decision::{FieldRuling, Table};
use super::partition::CellId;
use super::rules::Rule;
use super::table::{Key, Question};
use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::identity::Identity;
use crate::engine::protocol::Action;

/// A place in the space of all that the rules can tell apart, in words that any policy set understands.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    /// `role:x`, `user:x` or `client:x`; `None` = somebody whom no row names.
    pub who: Option<Arc<str>>,
    /// The purpose, granted.
    pub purpose: Arc<str>,
    /// The caller's region; `None` = unknown.
    pub region: Option<Arc<str>>,
    /// The session facts that are known.
    pub facts: BTreeMap<Fact, bool>,
}

/// A caller in one context, ready to be asked about under one policy set.
#[derive(Debug, Clone)]
pub struct Standpoint {
    pub(super) principals: Arc<[Arc<str>]>,
    pub(super) closure: Arc<[u16]>,
    pub(super) purpose: Arc<str>,
    pub(super) region: Option<Arc<str>>,
    pub(super) known: u64,
    pub(super) holds: u64,
    pub(super) scope: Option<Arc<str>>,
    pub(super) explain: bool,
}

impl Standpoint {
    pub(super) fn key(&self) -> Key {
        Key {
            principals: self.closure.clone(),
            object: ObjectId(0),
            question: Question::Delete,
            purpose: self.purpose.clone(),
            region: self.region.clone(),
            known: self.known,
            holds: self.holds,
            scoped: self.scope.is_some(),
            layer: None,
        }
    }

    fn table(
        &self,
        policies: &Policies,
        catalog: &Catalog,
        object: ObjectId,
        question: Question,
    ) -> Arc<Table> {
        policies.table(catalog, &self.asking(policies, object, question))
    }

    /// The output table of `object`: for `Export` judged again as export, for `Describe` as shown in a describe.
    pub fn read(
        &self,
        policies: &Policies,
        catalog: &Catalog,
        object: ObjectId,
        action: Action,
    ) -> Arc<Table> {
        let question = Question::Read {
            export: action == Action::Export,
            describe: action == Action::Describe,
        };
        self.table(policies, catalog, object, question)
    }

    /// The entry of one field in [`Self::read`], without the rest of the table.
    pub fn output(
        &self,
        policies: &Policies,
        catalog: &Catalog,
        field: FieldRef,
        action: Action,
    ) -> FieldRuling {
        let question = Question::Read {
            export: action == Action::Export,
            describe: action == Action::Describe,
        };
        let key = self.asking(policies, field.object, question);
        policies.entry(catalog, &key, Some(field))
    }

    /// What the rows of one layer (0 = the company's own, then the packs) alone say of `action` on one field, without
    /// what other fields and other actions add: `clear` stands for an allowed use.
    pub fn said(
        &self,
        policies: &Policies,
        catalog: &Catalog,
        field: FieldRef,
        action: Action,
        layer: u16,
    ) -> FieldRuling {
        let question = rows_question(action);
        let key = Key {
            layer: Some(layer),
            ..self.asking(policies, field.object, question)
        };
        policies.entry(
            catalog,
            &key,
            (question != Question::Delete).then_some(field),
        )
    }

    fn asking(&self, policies: &Policies, object: ObjectId, question: Question) -> Key {
        let facts = policies.facts_asked(question);
        Key {
            object,
            question,
            known: self.known & facts,
            holds: self.holds & facts,
            ..self.key()
        }
    }

    /// The region asked from; `None` = unknown.
    pub fn region(&self) -> Option<&Arc<str>> {
        self.region.as_ref()
    }

    /// The purpose asked under.
    pub fn purpose(&self) -> &Arc<str> {
        &self.purpose
    }

    /// The same standpoint with `fact` known to be `value`.
    #[must_use]
    pub fn with_fact(&self, policies: &Policies, fact: &Fact, value: bool) -> Self {
        let mut other = self.clone();
        if let Some(bit) = policies.facts.iter().position(|f| f == fact) {
            other.known |= 1 << bit;
            other.holds = other.holds & !(1 << bit) | u64::from(value) << bit;
        }
        other
    }

    /// The same standpoint in another region.
    #[must_use]
    pub fn in_region(&self, region: Option<Arc<str>>) -> Self {
        Self {
            region,
            ..self.clone()
        }
    }

    /// The same standpoint under another purpose.
    #[must_use]
    pub fn under(&self, purpose: Arc<str>) -> Self {
        Self {
            purpose,
            ..self.clone()
        }
    }

    /// Whether `fact` is known here, and holds.
    pub fn fact(&self, policies: &Policies, fact: &Fact) -> Option<bool> {
        let bit = policies.facts.iter().position(|f| f == fact)?;
        (self.known >> bit & 1 == 1).then_some(self.holds >> bit & 1 == 1)
    }

    /// Whether `who` (a rule's column) means whoever stands here.
    pub fn is(&self, policies: &Policies, who: &str) -> bool {
        who == "*" || policies.held(&self.closure, who)
    }
}

fn rows_question(action: Action) -> Question {
    let describe = false;
    match action {
        Action::Read => Question::Raw {
            export: false,
            describe,
        },
        Action::Export => Question::Raw {
            export: true,
            describe,
        },
        Action::Delete => Question::Delete,
        action => Question::Use(action),
    }
}

/// Fields with equal kin get equal answers at every standpoint, whatever the action.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kin {
    cell: CellId,
    shape: u32,
    data_region: Option<Arc<str>>,
    /// A computed field has no kin.
    alone: Option<FieldRef>,
}

impl Policies {
    /// What `field` has in common with others that no rule tells apart from it (for `delete`: its object).
    pub fn kin(&self, catalog: &Catalog, field: FieldRef, action: Action) -> Kin {
        let delete = action == Action::Delete;
        Kin {
            cell: if delete {
                self.partition.object(field.object)
            } else {
                self.partition.field(field)
            },
            shape: self.partition.shape(field.object),
            data_region: catalog.get(field.object).data_region.clone(),
            alone: (!delete && self.lineage.contains_key(&field)).then_some(field),
        }
    }

    /// The rules that can change the answers about `field` (for `delete`: about its object), those about what it is
    /// computed from included.
    pub fn reaching(&self, field: FieldRef, action: Action) -> impl Iterator<Item = &Rule> {
        let own = if action == Action::Delete {
            self.partition.object(field.object)
        } else {
            self.partition.field(field)
        };
        let sources = self
            .lineage
            .get(&field)
            .filter(|_| action != Action::Delete);
        let mut cells: Vec<CellId> = sources
            .iter()
            .flat_map(|s| s.iter())
            .map(|f| self.partition.field(*f))
            .chain([own])
            .collect();
        cells.sort_unstable();
        cells.dedup();
        cells.into_iter().flat_map(|cell| {
            let rules = self.partition.cell(cell).rules.iter();
            rules.map(|i| &self.rules[*i as usize])
        })
    }

    /// The packs switched on, by layer from 1.
    pub fn packs(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.packs.iter().map(|(name, _)| name)
    }

    /// The class of `field`, and those that packs give it.
    pub fn classes<'a>(
        &'a self,
        catalog: &'a Catalog,
        field: FieldRef,
    ) -> impl Iterator<Item = &'a Arc<str>> {
        let given = self.packs.iter().filter_map(move |(_, c)| c.get(&field));
        std::iter::once(&catalog.field(field).class).chain(given)
    }

    /// Where `identity` stands when it asks under `purpose`, which counts as granted.
    pub fn standpoint(
        &self,
        catalog: &Catalog,
        identity: &Identity,
        purpose: Arc<str>,
    ) -> Standpoint {
        let client = identity
            .client
            .as_ref()
            .and_then(|name| catalog.vocabulary.clients.get(name));
        let (principals, closure) = self.principals_of(identity);
        let (known, holds) = self.session(catalog, identity);
        Standpoint {
            principals,
            closure,
            purpose,
            region: identity
                .region
                .as_ref()
                .and_then(|r| catalog.vocabulary.regions.iter().find(|known| *known == r))
                .cloned(),
            known,
            holds,
            scope: client.and_then(|c| c.scope.clone()),
            explain: client.is_some_and(|c| c.explain),
        }
    }

    /// Where somebody at `point` stands under this set. Its tokens have a scope, as those of most callers.
    pub fn standing(&self, catalog: &Catalog, point: &Point) -> Standpoint {
        let at = point
            .who
            .as_ref()
            .and_then(|who| self.principals.binary_search(who).ok());
        let (mut known, mut holds) = (0, 0);
        for (bit, fact) in self.facts.iter().enumerate() {
            if let Some(value) = point.facts.get(fact) {
                known |= 1 << bit;
                holds |= u64::from(*value) << bit;
            }
        }
        Standpoint {
            principals: at.map(|i| self.principals[i].clone()).into_iter().collect(),
            closure: at.map_or_else(|| [].into(), |i| self.closures[i].clone().into()),
            purpose: point.purpose.clone(),
            region: point
                .region
                .clone()
                .filter(|r| catalog.vocabulary.regions.contains(r)),
            known,
            holds,
            scope: Some("".into()),
            explain: false,
        }
    }

    /// Every `role:`, `user:` and `client:` that a row names, sorted.
    pub fn principals(&self) -> &[Arc<str>] {
        &self.principals
    }

    /// Whether `who` is `principal` or something that it holds; `*` is everybody.
    pub fn means(&self, who: &str, principal: Option<&Arc<str>>) -> bool {
        who == "*"
            || principal
                .and_then(|p| self.principals.binary_search(p).ok())
                .is_some_and(|i| self.held(&self.closures[i], who))
    }

    pub(super) fn held(&self, closure: &[u16], who: &str) -> bool {
        self.principals
            .binary_search_by(|p| (**p).cmp(who))
            .is_ok_and(|i| closure.contains(&(i as u16)))
    }

    /// The facts that can change the answer to `question`, as bits: those that rows speaking of its actions ask for.
    pub(super) fn facts_asked(&self, question: Question) -> u64 {
        let of = |action: Action| self.facts_by_action[action as usize];
        match question {
            Question::Read { export, describe } | Question::Raw { export, describe } => {
                of(Action::Read)
                    | if export { of(Action::Export) } else { 0 }
                    | if describe { of(Action::Describe) } else { 0 }
            }
            Question::Use(action) => of(action),
            Question::Delete => of(Action::Delete),
        }
    }
}
