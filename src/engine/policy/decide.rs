//! Identity × Operation → [`Decision`].

use std::collections::HashMap;
use std::fmt;
use std::iter;
use std::sync::Arc;

use super::Policies;
use super::condition::Fact;
use super::decision::{Decision, FieldRuling, Table, Verdict};
use super::rules::OWN;
use super::standpoint::Standpoint;
use super::table::{Key, Question};
use crate::engine::catalog::{Catalog, FieldRef, FieldType, ObjectId};
use crate::engine::identity::Identity;
use crate::engine::protocol::salesforce::describe::Abilities;
use crate::engine::protocol::{Action, Comparison, Operation, Shape, Use};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::treatment::Treatment;

/// Decides every use of `operation` for `identity`, and the read table of every object it names.
///
/// Never fails: what cannot be decided is denied. `catalog` must be the one that was loaded with `policies`.
pub fn decide(
    policies: &Policies,
    catalog: &Catalog,
    identity: &Identity,
    operation: &Operation,
) -> Decision {
    let Operation {
        action,
        uses,
        objects,
        exports,
        ..
    } = operation;
    let mut decision = decide_uses(
        policies,
        catalog,
        identity,
        &Asking {
            action: *action,
            uses,
            objects,
            exports: *exports,
            written: &|object| operation.forward.written_object(object).cloned(),
        },
    );
    follow(&mut decision, catalog, operation);
    if decision.refusal.is_none() {
        able(&mut decision, policies, catalog, identity, operation);
    }
    decision
}

/// The objects that the answer describes.
fn described(shape: &Shape) -> &[ObjectId] {
    match shape {
        Shape::Describe(object) => std::slice::from_ref(object),
        Shape::Layouts { objects, .. } => objects,
        Shape::Xml(document) => enveloped(&document.root),
        _ => &[],
    }
}

/// As [`described`], of a document that stands in envelopes.
fn enveloped(shape: &Shape) -> &[ObjectId] {
    match shape {
        Shape::Object(members) => members
            .iter()
            .map(|(_, member)| enveloped(member))
            .find(|found| !found.is_empty())
            .unwrap_or_default(),
        other => described(other),
    }
}

/// What may be done with the fields that the answer describes.
fn able(
    decision: &mut Decision,
    policies: &Policies,
    catalog: &Catalog,
    identity: &Identity,
    operation: &Operation,
) {
    let described = described(&operation.shape);
    if described.is_empty() {
        return;
    }
    let standpoint = policies.standpoint(catalog, identity, decision.purpose.clone());
    let judge = Judge {
        policies,
        catalog,
        key: standpoint.key(),
        export: false,
        describe: false,
        single: false,
        written: &|_| None,
    };
    for &object in described {
        let table = judge.read(object);
        for (field, _) in (0u32..).zip(&catalog.get(object).fields) {
            let field = FieldRef { object, field };
            let read = table.fields.get(field.field as usize);
            let Some(read) = read.filter(|r| !r.is_hidden()) else {
                continue;
            };
            let passes = |action, comparison| {
                let one = Use {
                    field,
                    action,
                    written: "".into(),
                    comparison,
                    values: Vec::new(),
                    named: false,
                };
                let nothing = || table.nothing_readable();
                !matches!(judge.evaluation(&one, &nothing, read), Verdict::Refuse(_))
            };
            decision.abilities.insert(
                field,
                Abilities {
                    filter: passes(Action::Filter, Comparison::Equality),
                    sort: passes(Action::Sort, Comparison::Other),
                    group: passes(Action::Group, Comparison::Identity),
                    aggregate: passes(Action::Aggregate, Comparison::Other),
                    key: passes(Action::Key, Comparison::Equality),
                },
            );
        }
    }
}

/// What stands behind a reference that a row hides is not there; the Id behind a reference is its own value.
fn follow(decision: &mut Decision, catalog: &Catalog, operation: &Operation) {
    let Some(followed) = operation.forward.followed() else {
        return;
    };
    if decision.refusal.is_some() {
        return;
    }
    for (index, references) in &followed.uses {
        let Some(one) = operation.uses.get(*index) else {
            continue;
        };
        let hidden = references
            .iter()
            .filter_map(|f| decision.read(*f))
            .find(|r| r.is_hidden_by_rule())
            .cloned();
        let last = references.last().and_then(|f| decision.read(*f)).cloned();
        let behind = |own: &FieldRuling| match (&hidden, &last) {
            (Some(hidden), _) => Some(hidden.clone()),
            (None, Some(last))
                if catalog.field(one.field).kind == FieldType::Id && last.by_rule() =>
            {
                let both = super::table::strictest(own.strictest(), last.strictest());
                (both.treatment != own.strictest().treatment).then(|| FieldRuling {
                    by_variant: [both].into(),
                })
            }
            _ => None,
        };
        let Some(verdict) = decision.verdicts.get_mut(*index) else {
            continue;
        };
        match verdict {
            Verdict::Output(own) => {
                if let Some(ruling) = behind(own) {
                    *verdict = Verdict::Output(ruling);
                }
            }
            Verdict::Refuse(_) if hidden.is_none() => {}
            Verdict::Refuse(_) if matches!(one.action, Action::Read | Action::Export) => {
                // Denied by name: also as if it were not there.
                if let Some(hidden) = hidden {
                    *verdict = Verdict::Output(hidden);
                }
            }
            _ => {
                if hidden.is_some() {
                    let object = &catalog.get(one.field.object).name;
                    *verdict = Verdict::Refuse(Refusal::unknown_field(&one.written, object));
                }
            }
        }
    }
    for (first, reference, written) in &followed.children {
        if !decision
            .read(*reference)
            .is_some_and(FieldRuling::is_hidden_by_rule)
        {
            continue;
        }
        // Refused where a relationship that does not exist would be: before what stands in the child query.
        let refusal = Refusal::unknown_object(written);
        if let Some(verdict) = decision.verdicts.get_mut(*first) {
            *verdict = Verdict::Refuse(refusal);
        } else if !decision
            .verdicts
            .iter()
            .any(|v| matches!(v, Verdict::Refuse(_)))
        {
            decision.refusal = Some(refusal);
        }
    }
}

/// The part of an [`Operation`] that a decision looks at.
pub struct Asking<'a> {
    /// As [`Operation::action`].
    pub action: Action,
    /// As [`Operation::uses`].
    pub uses: &'a [Use],
    /// As [`Operation::objects`].
    pub objects: &'a [ObjectId],
    /// As [`Operation::exports`].
    pub exports: bool,
    /// How the caller spelt an object: an unknown and a hidden object must answer in the same letters. `None` for an
    /// object that the request does not name and only reaches.
    pub written: &'a dyn Fn(ObjectId) -> Option<Arc<str>>,
}

impl fmt::Debug for Asking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asking")
            .field("action", &self.action)
            .field("uses", &self.uses)
            .finish_non_exhaustive()
    }
}

/// As [`decide`], for whoever has uses and no operation of a dialect.
pub fn decide_uses(
    policies: &Policies,
    catalog: &Catalog,
    identity: &Identity,
    asking: &Asking<'_>,
) -> Decision {
    let client = identity
        .client
        .as_ref()
        .and_then(|name| catalog.vocabulary.clients.get(name));
    let (purpose, refusal) = purpose(identity, client.map_or(&[][..], |c| &c.purposes));
    let standpoint = policies.standpoint(catalog, identity, purpose);
    match refusal {
        // Nothing is looked at, nothing can be read off the order of refusals.
        Some(refusal) => Decision {
            verdicts: vec![Verdict::Refuse(refusal.clone()); asking.uses.len()],
            refusal: Some(refusal),
            ..standpoint.nothing_decided(policies)
        },
        None => standpoint.decide(policies, catalog, asking),
    }
}

impl Standpoint {
    fn nothing_decided(&self, policies: &Policies) -> Decision {
        Decision {
            policy_version: policies.version.clone(),
            principals: self.principals.clone(),
            purpose: self.purpose.clone(),
            region: self.region.clone().unwrap_or_else(|| "cross".into()),
            scope: self.scope.clone(),
            explain: self.explain,
            refusal: None,
            verdicts: Vec::new(),
            tables: HashMap::new(),
            abilities: HashMap::new(),
        }
    }

    /// The verdict on one use, as [`Self::decide`] gives it, without filling the tables of whole objects. The refusal
    /// of a use of an object of which nothing is read may name the field instead of the object.
    pub fn judge(&self, policies: &Policies, catalog: &Catalog, one: &Use) -> Verdict {
        let judge = Judge {
            policies,
            catalog,
            key: self.key(),
            export: false,
            describe: false,
            single: true,
            written: &|_| None,
        };
        judge.judge(one, None, &|| false)
    }

    /// Decides every use for whoever stands here, as [`decide_uses`] does once the purpose is known to be granted.
    pub fn decide(&self, policies: &Policies, catalog: &Catalog, asking: &Asking<'_>) -> Decision {
        let Asking {
            action,
            uses,
            objects,
            exports,
            written,
        } = *asking;
        let mut decision = self.nothing_decided(policies);
        let judge = Judge {
            policies,
            catalog,
            key: self.key(),
            export: exports,
            describe: action == Action::Describe,
            single: false,
            written,
        };
        for object in objects
            .iter()
            .copied()
            .chain(uses.iter().map(|u| u.field.object))
        {
            decision
                .tables
                .entry(object)
                .or_insert_with(|| judge.read(object));
        }
        for one in uses {
            let verdict = match decision.tables.get(&one.field.object) {
                Some(table) => judge.judge(one, Some(table), &|| {
                    uses.iter().any(|other| {
                        other.field.object != one.field.object
                            && (&other.written, other.action) == (&one.written, one.action)
                            && decision
                                .tables
                                .get(&other.field.object)
                                .is_some_and(|t| !t.nothing_readable())
                    })
                }),
                None => Verdict::Refuse(Refusal::new(
                    Reason::Internal,
                    "The request was not decided",
                )),
            };
            decision.verdicts.push(verdict);
        }
        decision
    }
}

/// The purpose decided under, and a refusal if the one asked for is not granted.
fn purpose(identity: &Identity, granted: &[Arc<str>]) -> (Arc<str>, Option<Refusal>) {
    let none = || Arc::from("none");
    match &identity.purpose_asked {
        None => (granted.first().cloned().unwrap_or_else(none), None),
        Some(asked) => match granted.iter().find(|g| *g == asked) {
            Some(purpose) => (purpose.clone(), None),
            None if granted.is_empty() && &**asked == "none" => (none(), None),
            None => (
                none(),
                Some(Refusal::new(
                    Reason::PurposeNotGranted,
                    "The purpose asked for is not granted to this client",
                )),
            ),
        },
    }
}

impl Policies {
    /// What Casbin is asked as: the roles that the files know, and the user's and client's own names only where
    /// a row names them. Second: their closure over `g`.
    pub(super) fn principals_of(&self, identity: &Identity) -> (Arc<[Arc<str>]>, Arc<[u16]>) {
        let mut direct: Vec<usize> = Vec::new();
        let mut add = |prefix: &str, name: &str| {
            let whole = format!("{prefix}:{name}");
            if let Ok(i) = self
                .principals
                .binary_search_by(|p| (**p).cmp(whole.as_str()))
            {
                direct.push(i);
            }
        };
        for role in &identity.roles {
            add("role", role);
        }
        add("user", &identity.subject);
        if let Some(client) = &identity.client {
            add("client", client);
        }
        direct.sort_unstable();
        direct.dedup();
        let mut closure: Vec<u16> = direct
            .iter()
            .flat_map(|i| self.closures[*i].iter().copied())
            .collect();
        closure.sort_unstable();
        closure.dedup();
        (
            direct.iter().map(|i| self.principals[*i].clone()).collect(),
            closure.into(),
        )
    }

    /// The session facts that the rules ask for: which are known, and which of those hold.
    pub(super) fn session(&self, catalog: &Catalog, identity: &Identity) -> (u64, u64) {
        let (mut known, mut holds) = (0, 0);
        for (bit, fact) in self.facts.iter().enumerate() {
            let value = match fact {
                Fact::Mfa => identity.mfa,
                // A sign-in in the future (beyond a clock's slack) proves nothing.
                Fact::Session(s) => identity
                    .auth_time_s
                    .map(|t| identity.now_s.saturating_sub(t))
                    .filter(|age| *age >= -60)
                    .map(|age| age < i64::from(*s)),
                Fact::Hours(name) => self.within(catalog, name, identity.now_s),
                Fact::Network(name) => identity.address.and_then(|address| {
                    let nets = catalog.vocabulary.networks.get(name)?;
                    let address = address.to_canonical();
                    Some(nets.iter().any(|net| net.contains(&address)))
                }),
                Fact::Record(..) => None,
            };
            if let Some(value) = value {
                known |= 1 << bit;
                holds |= u64::from(value) << bit;
            }
        }
        (known, holds)
    }

    fn within(&self, catalog: &Catalog, name: &str, now_s: i64) -> Option<bool> {
        let window = catalog.vocabulary.hours.get(name)?;
        let zone = self.zones.get(name)?;
        let now = jiff::Timestamp::from_second(now_s)
            .ok()?
            .to_zoned(zone.clone());
        let day = now.weekday().to_monday_one_offset();
        let second = (u32::try_from(now.hour()).ok()? * 60 + u32::try_from(now.minute()).ok()?)
            * 60
            + u32::try_from(now.second()).ok()?;
        Some(window.days.contains(&day) && (window.from_s..window.to_s).contains(&second))
    }
}

/// One caller in one context.
struct Judge<'a> {
    policies: &'a Policies,
    catalog: &'a Catalog,
    key: Key,
    export: bool,
    describe: bool,
    /// Ask about single fields rather than fill the tables of whole objects.
    single: bool,
    written: &'a dyn Fn(ObjectId) -> Option<Arc<str>>,
}

impl Judge<'_> {
    fn key(&self, object: ObjectId, question: Question, layer: Option<u16>) -> Key {
        let facts = self.policies.facts_asked(question);
        Key {
            object,
            question,
            known: self.key.known & facts,
            holds: self.key.holds & facts,
            layer,
            ..self.key.clone()
        }
    }

    fn table(&self, object: ObjectId, question: Question, layer: Option<u16>) -> Arc<Table> {
        self.policies
            .table(self.catalog, &self.key(object, question, layer))
    }

    fn reading(&self) -> Question {
        Question::Read {
            export: self.export,
            describe: self.describe,
        }
    }

    fn read(&self, object: ObjectId) -> Arc<Table> {
        self.table(object, self.reading(), None)
    }

    /// The answer to `question` for one field (`delete`: for its object), of one layer or over all.
    fn ruling(
        &self,
        field: FieldRef,
        question: Question,
        layer: Option<u16>,
    ) -> Option<FieldRuling> {
        let at = (question != Question::Delete).then_some(field);
        if self.single {
            let key = self.key(field.object, question, layer);
            return Some(self.policies.entry(self.catalog, &key, at));
        }
        let table = self.table(field.object, question, layer);
        let index = at.map_or(0, |f| f.field as usize);
        table.fields.get(index).cloned()
    }

    fn layers(&self) -> impl Iterator<Item = u16> + use<> {
        OWN..=self.policies.packs.len() as u16
    }

    /// `table`: what the caller reads of the object, unless only single fields are asked about. `elsewhere`: whether the
    /// same output may come from another object, one that the caller reads something of.
    fn judge(&self, one: &Use, table: Option<&Table>, elsewhere: &dyn Fn() -> bool) -> Verdict {
        let single;
        let read = match table {
            Some(table) => table.fields.get(one.field.field as usize),
            None => {
                single = self.ruling(one.field, self.reading(), None);
                single.as_ref()
            }
        };
        let Some(read) = read else {
            return Verdict::Refuse(self.unknown_field(one));
        };
        let nothing = &|| table.is_some_and(Table::nothing_readable);
        match one.action {
            Action::Read | Action::Export | Action::Describe => {
                if nothing() {
                    // What a path leads to and the caller did not name is absent like any dropped output.
                    let named = (self.written)(one.field.object).is_some();
                    let denied = one.named && denied_everywhere(read).is_some();
                    return if named || denied && !elsewhere() {
                        Verdict::Refuse(self.unknown_object(one))
                    } else {
                        Verdict::Output(read.clone())
                    };
                }
                if one.named
                    && let Some(rule) = denied_everywhere(read)
                {
                    return Verdict::Refuse(denied(one).by_rule(rule));
                }
                Verdict::Output(read.clone())
            }
            Action::Filter
            | Action::Sort
            | Action::Group
            | Action::Aggregate
            | Action::Search
            | Action::Key => self.evaluation(one, nothing, read),
            Action::Write => self.write(one, nothing, read),
            Action::Delete => self.delete(one, nothing),
            Action::Reveal => match self.use_of(one.field, Question::Use(Action::Reveal)) {
                Used::Allowed(rules) => Verdict::Permit(rules),
                Used::Denied(rule) => Verdict::Refuse(denied(one).by_rule(rule)),
                Used::NoRow => Verdict::Refuse(denied(one)),
            },
        }
    }

    /// The own rows' answer for a use, over every record that the request can reach; any layer's deny denies.
    fn use_of(&self, field: FieldRef, question: Question) -> Used {
        let mut own = Used::NoRow;
        for layer in self.layers() {
            match self.use_in(layer, field, question) {
                Used::Denied(rule) => return Used::Denied(rule),
                answer if layer == OWN => own = answer,
                _ => {}
            }
        }
        own
    }

    fn use_in(&self, layer: u16, field: FieldRef, question: Question) -> Used {
        match self.ruling(field, question, Some(layer)) {
            Some(ruling) => used(&ruling),
            None => Used::NoRow,
        }
    }

    /// Each layer judges by what it lets the caller read; the most protective one holds.
    fn evaluation(&self, one: &Use, nothing: &dyn Fn() -> bool, read: &FieldRuling) -> Verdict {
        if read.is_hidden() {
            return Verdict::Refuse(if nothing() {
                self.unknown_object(one)
            } else if by_scope(one) {
                unsearchable(one)
            } else {
                self.unknown_field(one)
            });
        }
        let sources = self.policies.lineage.get(&one.field);
        let sources: &[FieldRef] = sources.map_or(&[], |s| s);
        // To evaluate a computed field is to evaluate what it is computed from.
        for field in iter::once(&one.field).chain(sources) {
            if let Used::Denied(rule) = self.use_of(*field, Question::Use(one.action)) {
                return Verdict::Refuse(denied(one).by_rule(rule));
            }
        }
        if self.policies.packs.is_empty() {
            return self.evaluation_in(OWN, one, read, sources);
        }
        let mut all: Option<Verdict> = None;
        for layer in self.layers() {
            let Some(theirs) = self.ruling(one.field, self.reading(), Some(layer)) else {
                return Verdict::Refuse(self.unknown_field(one));
            };
            all = Some(
                match (all, self.evaluation_in(layer, one, &theirs, sources)) {
                    (None | Some(Verdict::Permit(_)), verdict) => verdict,
                    (_, verdict @ Verdict::Refuse(_)) => verdict,
                    (Some(verdict), _) => verdict,
                },
            );
        }
        all.unwrap_or_else(|| Verdict::Refuse(self.unknown_field(one)))
    }

    fn evaluation_in(
        &self,
        layer: u16,
        one: &Use,
        read: &FieldRuling,
        sources: &[FieldRef],
    ) -> Verdict {
        if read.is_clear() {
            return Verdict::Permit(read.strictest().rules.clone());
        }
        let question = Question::Use(one.action);
        let own = self.use_in(layer, one.field, question);
        let sources_allow = || {
            sources
                .iter()
                .all(|source| match self.use_in(layer, *source, question) {
                    Used::Allowed(_) => true,
                    Used::Denied(_) => false,
                    Used::NoRow => self
                        .ruling(*source, self.reading(), Some(layer))
                        .is_some_and(|r| r.is_clear()),
                })
        };
        // Sums and extremes of a small group are its values, and nothing here can ensure how large the CRM's groups
        // are: where a class asks for it, a row is not enough.
        let of_groups = (one.action, one.comparison) == (Action::Aggregate, Comparison::Other)
            && iter::once(&one.field)
                .chain(sources)
                .any(|f| self.group_size_min(*f) > 1);
        if !of_groups
            && let Used::Allowed(rules) = own
            && sources_allow()
        {
            return Verdict::Permit(rules);
        }
        if self.key.scoped && read.by_variant.iter().all(|r| r.treatment.is_token()) {
            let rules = read.strictest().rules.clone();
            match one.comparison {
                Comparison::Equality => return Verdict::PermitTokens(rules),
                Comparison::Identity => return Verdict::Permit(rules),
                Comparison::Other => {}
            }
        }
        if by_scope(one) {
            return Verdict::Refuse(unsearchable(one));
        }
        let how = match one.action {
            Action::Sort => "sorted in a query call",
            Action::Group => "grouped in a query call",
            Action::Aggregate => "aggregated in a query call",
            Action::Search => "searched in a search call",
            Action::Key => "used as a key",
            _ => "filtered in a query call",
        };
        let mut refusal = Refusal::new(
            Reason::TreatedFieldEvaluated,
            format!("field '{}' can not be {how}", one.written),
        );
        // A hidden variant's rule would tell that there is one.
        if let Some(rule) = read.strictest().rules.first()
            && !read.by_variant.iter().any(|r| r.treatment.is_hidden())
        {
            refusal = refusal.by_rule(rule.clone());
        }
        Verdict::Refuse(refusal)
    }

    /// The smallest group that an aggregate of the field may stand for, by its class or the nearest one around it.
    fn group_size_min(&self, field: FieldRef) -> u32 {
        let class = &self.catalog.field(field).class;
        self.catalog.vocabulary.group_size_min(class)
    }

    fn write(&self, one: &Use, nothing: &dyn Fn() -> bool, read: &FieldRuling) -> Verdict {
        match self.use_of(one.field, Question::Use(Action::Write)) {
            Used::Allowed(rules) => {
                let narrow = rules.iter().all(|id| {
                    self.policies
                        .rule(id)
                        .is_some_and(|r| r.names(self.catalog, one.field))
                });
                if read.is_clear() || narrow {
                    Verdict::Permit(rules)
                } else {
                    Verdict::PermitNullOrTokens(rules)
                }
            }
            _ if nothing() => Verdict::Refuse(self.unknown_object(one)),
            _ if read.is_hidden() => Verdict::Refuse(self.unknown_field(one)),
            Used::Denied(rule) => Verdict::Refuse(denied(one).by_rule(rule)),
            Used::NoRow => Verdict::Refuse(denied(one)),
        }
    }

    fn delete(&self, one: &Use, nothing: &dyn Fn() -> bool) -> Verdict {
        match self.use_of(one.field, Question::Delete) {
            Used::Allowed(rules) => Verdict::Permit(rules),
            _ if nothing() => Verdict::Refuse(self.unknown_object(one)),
            Used::Denied(rule) => Verdict::Refuse(denied(one).by_rule(rule)),
            Used::NoRow => Verdict::Refuse(denied(one)),
        }
    }

    fn unknown_field(&self, one: &Use) -> Refusal {
        Refusal::unknown_field(&one.written, &self.catalog.get(one.field.object).name)
    }

    /// An object that is not there for this caller: as the caller named it, or the path that leads nowhere.
    fn unknown_object(&self, one: &Use) -> Refusal {
        match (self.written)(one.field.object) {
            Some(written) => Refusal::unknown_object(&written),
            None => self.unknown_field(one),
        }
    }
}

/// What the rows say of a use in every variant together.
enum Used {
    Allowed(Arc<[Arc<str>]>),
    Denied(Arc<str>),
    NoRow,
}

fn used(ruling: &FieldRuling) -> Used {
    let mut rules: Vec<Arc<str>> = Vec::new();
    let mut all = true;
    for one in ruling.by_variant.iter() {
        match one.treatment {
            Treatment::Deny => {
                return Used::Denied(one.rules.first().cloned().unwrap_or_else(|| "".into()));
            }
            // A pack that has no row.
            Treatment::Clear if one.rules.is_empty() => all = false,
            Treatment::Clear => {
                for rule in one.rules.iter() {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
            _ => all = false,
        }
    }
    if all {
        Used::Allowed(rules.into())
    } else {
        Used::NoRow
    }
}

/// The deny rule, if every variant is deny.
fn denied_everywhere(read: &FieldRuling) -> Option<Arc<str>> {
    read.by_variant
        .iter()
        .all(|r| r.treatment == Treatment::Deny)
        .then(|| read.strictest().rules.first().cloned())
        .flatten()
}

/// A search names a scope of fields, and none of them: which of them are hidden is not told.
fn by_scope(one: &Use) -> bool {
    one.action == Action::Search && !one.named
}

/// A search over a scope in which not every field may be searched; `written` is the scope.
fn unsearchable(one: &Use) -> Refusal {
    Refusal::new(
        Reason::TreatedFieldEvaluated,
        format!(
            "field '{}' can not be searched in a search call",
            one.written
        ),
    )
}

fn denied(one: &Use) -> Refusal {
    let what = match one.action {
        Action::Delete => "insufficient access rights to delete records of this object".to_owned(),
        Action::Write => format!(
            "insufficient access rights to write field '{}'",
            one.written
        ),
        action => format!(
            "insufficient access rights to {} field '{}'",
            action.word(),
            one.written
        ),
    };
    Refusal::new(Reason::Denied, what)
}
