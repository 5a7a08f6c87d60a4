//! Treatment tables: Casbin's answers per principal set, object and context, cached and bounded. A table is put
//! together from the answers for its cells, which tables of other objects share.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use super::Policies;
use super::casbin::{Answer, Asked, Engine};
use super::condition::Fact;
use super::decision::{FieldRuling, Ruling, Table};
use super::partition::{Cell, CellId, Likeness};
use super::rules::{OWN, Rule, fits};
use crate::engine::catalog::{Catalog, FieldRef, Object, ObjectId, RecordCondition};
use crate::engine::protocol::Action;
use crate::engine::treatment::Treatment;

/// Tables kept at most. A caller cannot choose many keys: roles, purposes and regions are those of the files.
const TABLES_MAX: usize = 8192;
/// Slices kept at most, each with an enforcer.
const SLICES_MAX: usize = 4096;
/// Ways to slices kept at most.
const WAYS_MAX: usize = 65_536;
/// Answers for single cells kept at most.
const ANSWERS_MAX: usize = 65_536;

/// What a table answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Question {
    /// Outputs, lineage folded in. `export`: judged again as export; `describe`: as shown in a describe.
    Read { export: bool, describe: bool },
    /// The rows' own answer for outputs, before lineage.
    Raw { export: bool, describe: bool },
    /// An evaluating action or a write.
    Use(Action),
    /// Delete of the object's records: one ruling.
    Delete,
}

impl Question {
    /// Whether the row can change the answer.
    fn asks(self, rule: &Rule) -> bool {
        match self {
            Self::Read { export, describe } | Self::Raw { export, describe } => {
                rule.speaks_of(Action::Read)
                    || export && rule.speaks_of(Action::Export)
                    || describe && rule.speaks_of(Action::Describe)
            }
            Self::Use(action) => rule.speaks_of(action),
            Self::Delete => rule.speaks_of(Action::Delete),
        }
    }

    /// The question about one action alone.
    fn of(action: Action) -> Self {
        match action {
            Action::Read => Self::Raw {
                export: false,
                describe: false,
            },
            Action::Delete => Self::Delete,
            action => Self::Use(action),
        }
    }
}

/// Everything that a table depends on within one policy version.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// The principals' closure, as sorted indices.
    pub(super) principals: Arc<[u16]>,
    pub(super) object: ObjectId,
    pub(super) question: Question,
    pub(super) purpose: Arc<str>,
    /// `None` = unknown.
    pub(super) region: Option<Arc<str>>,
    /// Per session fact of the rules: known, and true.
    pub(super) known: u64,
    pub(super) holds: u64,
    /// The caller's client has a token scope.
    pub(super) scoped: bool,
    /// One layer's own answer; `None` = the most protective one over all layers.
    pub(super) layer: Option<u16>,
}

/// The rules of one layer that can matter for one question of one principal set in one cell. Principals who hold the same
/// of its rules share it, and so do cells of one class that the same rules reach.
pub(super) struct Slice {
    /// Tells answers of different slices apart.
    number: u64,
    /// Built when it is first asked; `None` = Casbin did not take the rules.
    engine: OnceLock<Option<Engine>>,
    rules: Vec<u32>,
    /// What Casbin is asked about.
    field: Option<FieldRef>,
    name: String,
    relevant: Relevant,
}

/// The principals' closure, the cell, the layer, the question.
type Way = (Arc<[u16]>, CellId, u16, Question);

/// The class of the cell (none: an object as a whole), and the rules.
type SliceKey = (Option<Likeness>, Vec<u32>);

/// What the rules of one slice can tell of a context: equal for contexts in which they all give the same answer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Place {
    purpose: u32,
    region: Region,
    known: u64,
    holds: u64,
    data_region: Option<Arc<str>>,
}

/// A caller's region as a slice's rules see it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Region {
    /// They ask for none.
    Any,
    Unknown,
    /// One of those that the same rules name (0 = none), and whether it is the data's.
    Like(u32, bool),
    /// The record decides what is the same and what is not.
    Exactly(Arc<str>),
}

/// What an answer for one cell depends on: a [`Key`] without what the cell's rules do not ask for.
#[derive(PartialEq, Eq, Hash)]
struct AnswerKey {
    slice: u64,
    /// Where no row speaks, the company's own rules hide and a pack has no opinion; layers without rules share a slice.
    own: bool,
    shape: u32,
    question: Question,
    scoped: bool,
    place: Place,
}

/// What Casbin is asked, once: slice, shape and values of the record's conditions, place.
type Exact = (u64, u32, Vec<Option<usize>>, Place);

/// The part of a context that the rules of one slice ask for.
struct Relevant {
    /// The purposes that rules name; those that the same rules name have one number, from 1.
    purposes: Vec<(Arc<str>, u32)>,
    regions: bool,
    /// `same` or `cross`.
    relative: bool,
    /// Named regions, numbered like purposes.
    named: Vec<(Arc<str>, u32)>,
    facts: u64,
    flags: Vec<Arc<str>>,
}

impl Relevant {
    fn new(rules: &[&Rule], facts: &[Fact]) -> Self {
        let mut all = Self {
            purposes: alike(rules, |r| &r.purposes),
            regions: rules.iter().any(|r| !r.regions.is_empty()),
            relative: false,
            named: alike(rules, |r| &r.regions),
            facts: 0,
            flags: Vec::new(),
        };
        all.relative = all.named.iter().any(|(r, _)| relative(r));
        for term in rules.iter().flat_map(|r| &r.when) {
            match &term.fact {
                Fact::Record(flag, _) if !all.flags.contains(flag) => all.flags.push(flag.clone()),
                Fact::Record(..) => {}
                fact => {
                    let bit = facts.iter().position(|f| f == fact);
                    all.facts |= bit.map_or(0, |bit| 1 << bit);
                }
            }
        }
        all
    }

    /// Whether the rules ask for a record condition.
    fn asks(&self, condition: &RecordCondition) -> bool {
        if condition.is_region {
            self.relative
        } else {
            self.flags.contains(&condition.name)
        }
    }

    fn place(&self, key: &Key, object: &Object) -> Place {
        let number = |of: &[(Arc<str>, u32)], word: &Arc<str>| {
            of.iter().find(|(w, _)| w == word).map_or(0, |(_, n)| *n)
        };
        let by_record = || object.conditions.iter().any(|c| c.is_region);
        Place {
            purpose: number(&self.purposes, &key.purpose),
            region: match &key.region {
                _ if !self.regions => Region::Any,
                None => Region::Unknown,
                Some(region) if self.relative && by_record() => Region::Exactly(region.clone()),
                Some(region) => Region::Like(
                    number(&self.named, region),
                    self.relative && object.data_region.as_ref() == Some(region),
                ),
            },
            known: key.known & self.facts,
            holds: key.holds & self.facts,
            data_region: object.data_region.clone().filter(|_| self.relative),
        }
    }
}

fn relative(region: &str) -> bool {
    matches!(region, "same" | "cross")
}

/// The words of a column, with a number for each set of rules that name the same ones.
fn alike<'r>(
    rules: &[&'r Rule],
    words: impl Fn(&'r Rule) -> &'r [Arc<str>],
) -> Vec<(Arc<str>, u32)> {
    let mut by_word: BTreeMap<&Arc<str>, Vec<usize>> = BTreeMap::new();
    for (i, rule) in rules.iter().enumerate() {
        for word in words(rule) {
            by_word.entry(word).or_default().push(i);
        }
    }
    let mut sets: Vec<Vec<usize>> = Vec::new();
    by_word
        .into_iter()
        .map(|(word, set)| {
            let at = sets.iter().position(|s| *s == set).unwrap_or_else(|| {
                sets.push(set);
                sets.len() - 1
            });
            (word.clone(), at as u32 + 1)
        })
        .collect()
}

/// The caches of one policy version.
#[derive(Default)]
pub(super) struct Cache {
    tables: RwLock<HashMap<Key, Arc<Table>>>,
    ways: RwLock<HashMap<Way, Arc<Slice>>>,
    slices: RwLock<HashMap<SliceKey, Arc<Slice>>>,
    sliced: AtomicU64,
    answers: RwLock<HashMap<AnswerKey, FieldRuling>>,
    exact: RwLock<HashMap<Exact, Ruling>>,
    asked: AtomicU64,
}

fn cached<K: Eq + std::hash::Hash, V: Clone>(map: &RwLock<HashMap<K, V>>, key: &K) -> Option<V> {
    map.read()
        .unwrap_or_else(PoisonError::into_inner)
        .get(key)
        .cloned()
}

fn keep<K: Eq + std::hash::Hash, V>(map: &RwLock<HashMap<K, V>>, max: usize, key: K, value: V) {
    let mut map = map.write().unwrap_or_else(PoisonError::into_inner);
    if map.len() >= max {
        map.clear();
    }
    map.insert(key, value);
}

/// The id that stands for an answer Casbin could not give.
const FAILED: &str = "policy-engine-failed";

fn ruling(treatment: Treatment, rules: impl IntoIterator<Item = Arc<str>>) -> Ruling {
    Ruling {
        treatment,
        rules: rules.into_iter().collect(),
    }
}

/// The more protective of two rulings. Two that protect equally and differently meet in one that is at least as
/// protective as both.
pub(super) fn strictest(a: &Ruling, b: &Ruling) -> Ruling {
    let (x, y) = (a.treatment, b.treatment);
    match x.rank().cmp(&y.rank()) {
        std::cmp::Ordering::Greater => a.clone(),
        std::cmp::Ordering::Less => b.clone(),
        std::cmp::Ordering::Equal if x == y => a.clone(),
        std::cmp::Ordering::Equal => {
            let both = if x.rank() == Treatment::MaskEmail.rank() {
                Treatment::MaskAll
            } else {
                Treatment::Redact
            };
            ruling(both, a.rules.iter().chain(b.rules.iter()).cloned())
        }
    }
}

impl Policies {
    /// The table for `key`, from the cache or from Casbin.
    pub(super) fn table(&self, catalog: &Catalog, key: &Key) -> Arc<Table> {
        if let Some(table) = cached(&self.cache.tables, key) {
            return table;
        }
        let fields = catalog.get(key.object).fields.len() as u32;
        let at = |field| FieldRef {
            object: key.object,
            field,
        };
        let fields = match key.question {
            Question::Read { export, describe } => {
                let raw_key = |object| Key {
                    object,
                    question: Question::Raw { export, describe },
                    ..key.clone()
                };
                let own = self.table(catalog, &raw_key(key.object));
                let raw = |f: FieldRef| {
                    if f.object == key.object {
                        own.fields[f.field as usize].clone()
                    } else {
                        let other = self.table(catalog, &raw_key(f.object));
                        other.fields[f.field as usize].clone()
                    }
                };
                (0..fields)
                    .map(|f| self.with_lineage(catalog, at(f), &raw))
                    .collect()
            }
            Question::Delete => vec![self.layered(catalog, key, None)],
            _ => (0..fields)
                .map(|f| self.layered(catalog, key, Some(at(f))))
                .collect(),
        };
        let table = Arc::new(Table {
            object: key.object,
            variants: variants(catalog, key.object),
            fields,
        });
        keep(&self.cache.tables, TABLES_MAX, key.clone(), table.clone());
        table
    }

    /// The entry of one field in the table for `key` (of `delete` without one), without the rest of the table.
    pub(super) fn entry(
        &self,
        catalog: &Catalog,
        key: &Key,
        field: Option<FieldRef>,
    ) -> FieldRuling {
        let (Question::Read { export, describe }, Some(field)) = (key.question, field) else {
            return self.layered(catalog, key, field);
        };
        let raw = |f: FieldRef| {
            let key = Key {
                object: f.object,
                question: Question::Raw { export, describe },
                ..key.clone()
            };
            self.layered(catalog, &key, Some(f))
        };
        self.with_lineage(catalog, field, &raw)
    }

    /// Forgets every answer, so that a benchmark can measure a miss.
    #[doc(hidden)]
    pub fn forget_tables(&self) {
        let poisoned = PoisonError::into_inner;
        self.cache.tables.write().unwrap_or_else(poisoned).clear();
        let poisoned = PoisonError::into_inner;
        self.cache.answers.write().unwrap_or_else(poisoned).clear();
        let poisoned = PoisonError::into_inner;
        self.cache.exact.write().unwrap_or_else(poisoned).clear();
    }

    /// How often Casbin has been asked since the set was loaded.
    pub fn casbin_asked(&self) -> u64 {
        self.cache.asked.load(Ordering::Relaxed)
    }

    /// The rules' answer: of one layer, or over the layers the most protective one.
    fn layered(&self, catalog: &Catalog, key: &Key, field: Option<FieldRef>) -> FieldRuling {
        let cell = match field {
            Some(field) => self.partition.field(field),
            None => self.partition.object(key.object),
        };
        if let Some(layer) = key.layer {
            return self.answer(catalog, key, cell, layer);
        }
        let mut all = self.answer(catalog, key, cell, OWN);
        for layer in 1..=self.packs.len() as u16 {
            let one = self.answer(catalog, key, cell, layer);
            if one.by_rule() {
                all = strictest_of(&all, &one);
            }
        }
        all
    }

    /// The answer of one layer for one cell, from the cache or from Casbin.
    fn answer(&self, catalog: &Catalog, key: &Key, cell: CellId, layer: u16) -> FieldRuling {
        let slice = self.slice(catalog, &key.principals, cell, layer, key.question);
        let object = catalog.get(key.object);
        let answer = AnswerKey {
            slice: slice.number,
            own: layer == OWN,
            shape: self.partition.shape(key.object),
            question: key.question,
            scoped: key.scoped,
            place: slice.relevant.place(key, object),
        };
        if let Some(known) = cached(&self.cache.answers, &answer) {
            return known;
        }
        let ruling = self.compute(catalog, key, cell, &slice, layer);
        keep(&self.cache.answers, ANSWERS_MAX, answer, ruling.clone());
        ruling
    }

    fn slice(
        &self,
        catalog: &Catalog,
        principals: &Arc<[u16]>,
        cell: CellId,
        layer: u16,
        question: Question,
    ) -> Arc<Slice> {
        let way = (principals.clone(), cell, layer, question);
        if let Some(slice) = cached(&self.cache.ways, &way) {
            return slice;
        }
        let at = self.partition.cell(cell);
        let rules: Vec<u32> = at
            .rules
            .iter()
            .copied()
            .filter(|i| {
                let rule = &self.rules[*i as usize];
                rule.layer == layer
                    && question.asks(rule)
                    && (&*rule.who == "*" || self.held(principals, &rule.who))
            })
            .collect();
        let key = (at.likeness, rules);
        let slice = cached(&self.cache.slices, &key).unwrap_or_else(|| {
            let slice = Arc::new(self.sliced(catalog, at, key.1.clone()));
            keep(&self.cache.slices, SLICES_MAX, key, slice.clone());
            slice
        });
        keep(&self.cache.ways, WAYS_MAX, way, slice.clone());
        slice
    }

    fn sliced(&self, catalog: &Catalog, at: &Cell, rules: Vec<u32>) -> Slice {
        let of: Vec<&Rule> = rules.iter().map(|i| &self.rules[*i as usize]).collect();
        Slice {
            number: self.cache.sliced.fetch_add(1, Ordering::Relaxed),
            engine: OnceLock::new(),
            field: at.field,
            name: match at.field {
                Some(field) => catalog.field_name(field),
                None => format!("{}.*", catalog.get(at.object).name),
            },
            relevant: Relevant::new(&of, &self.facts),
            rules,
        }
    }

    fn engine(&self, catalog: &Catalog, rules: &[u32], field: Option<FieldRef>) -> Option<Engine> {
        let of = || rules.iter().map(|i| &self.rules[*i as usize]);
        let links: Vec<(String, String)> = match (of().next(), field) {
            (Some(first), Some(field)) => first.links(catalog, field).collect(),
            _ => Vec::new(),
        };
        // Whoever asks holds them all.
        let mut held: Vec<String> = of().map(|r| r.who.to_string()).collect();
        held.sort_unstable();
        held.dedup();
        held.retain(|who| who != "*");
        Engine::build(of(), held, links).ok()
    }

    /// What is asked, except for the record's own facts.
    pub(super) fn asked(&self, key: &Key) -> Asked {
        let mut asked = Asked::new(&key.purpose, key.region.as_deref(), None);
        for (bit, fact) in self.facts.iter().enumerate() {
            if key.known >> bit & 1 == 1 {
                asked.fact(&fact.to_string(), key.holds >> bit & 1 == 1);
            }
        }
        asked
    }

    fn compute(
        &self,
        catalog: &Catalog,
        key: &Key,
        cell: CellId,
        slice: &Slice,
        layer: u16,
    ) -> FieldRuling {
        let variants = variants(catalog, key.object);
        let mut exact: HashMap<Vec<Option<usize>>, Ruling> = HashMap::new();
        let mut by_variant = Vec::with_capacity(variants);
        for variant in 0..variants {
            let mut whole: Option<Ruling> = None;
            for choice in choices(catalog, key.object, &slice.relevant, variant) {
                let one = exact.entry(choice).or_insert_with_key(|choice| {
                    let one = judged(key.question, |action| {
                        let question = Question::of(action);
                        let about = self.slice(catalog, &key.principals, cell, layer, question);
                        self.exact(catalog, key, &about, action, choice)
                    });
                    if layer != OWN && one.rules.is_empty() {
                        // A pack without a row has no opinion.
                        return ruling(Treatment::Clear, []);
                    }
                    // A caller without scope may not receive tokens.
                    if one.treatment.is_token() && !key.scoped {
                        Ruling {
                            treatment: Treatment::Redact,
                            rules: one.rules,
                        }
                    } else {
                        one
                    }
                });
                whole = Some(match whole {
                    None => one.clone(),
                    Some(so_far) => strictest(&so_far, one),
                });
            }
            by_variant.push(whole.unwrap_or_else(|| ruling(Treatment::Deny, [FAILED.into()])));
        }
        of_variants(by_variant)
    }

    /// What the rules of `slice`, all of which speak of `action`, say where the record's conditions have these values.
    fn exact(
        &self,
        catalog: &Catalog,
        key: &Key,
        slice: &Slice,
        action: Action,
        values: &[Option<usize>],
    ) -> Ruling {
        if slice.rules.is_empty() {
            return self.combine(catalog, slice.field, Answer::NoRow);
        }
        let object = catalog.get(key.object);
        let values = object.conditions.iter().zip(values);
        let question: Exact = (
            slice.number,
            self.partition.shape(key.object),
            values
                .map(|(c, value)| value.filter(|_| slice.relevant.asks(c)))
                .collect(),
            slice.relevant.place(key, object),
        );
        if let Some(known) = cached(&self.cache.exact, &question) {
            return known;
        }
        let build = || self.engine(catalog, &slice.rules, slice.field);
        let Some(engine) = slice.engine.get_or_init(build) else {
            return ruling(Treatment::Deny, [FAILED.into()]);
        };
        let mut asked = self.asked(key);
        asked.data_region(object.data_region.as_deref());
        for (condition, value) in object.conditions.iter().zip(&question.2) {
            let value = value.and_then(|v| condition.values.get(v));
            let value = value.map(|(name, _)| &**name);
            if condition.is_region {
                asked.data_region(value);
            } else {
                asked.flag(&condition.name, value);
            }
        }
        self.cache.asked.fetch_add(1, Ordering::Relaxed);
        let answer = engine.ask(&slice.name, action.word(), &asked);
        let said = self.combine(catalog, slice.field, answer);
        keep(&self.cache.exact, ANSWERS_MAX, question, said.clone());
        said
    }

    /// One question in one exact context, asked of an engine over any rules: what the caches are held against.
    #[cfg(test)]
    pub(super) fn cell(
        &self,
        catalog: &Catalog,
        engine: &Engine,
        name: &str,
        field: Option<FieldRef>,
        question: Question,
        asked: &Asked,
    ) -> Ruling {
        judged(question, |action| {
            self.combine(catalog, field, engine.ask(name, action.word(), asked))
        })
    }

    /// A deny beats every allow; then the lowest priority number; on a tie the more protective treatment; no row
    /// = drop. A tie between different treatments of equal rank (only a caller's own mix of roles makes one)
    /// = redact.
    fn combine(&self, catalog: &Catalog, field: Option<FieldRef>, answer: Answer) -> Ruling {
        let mut rows = match answer {
            Answer::Deny(id) => return ruling(Treatment::Deny, [id]),
            Answer::Failed => return ruling(Treatment::Deny, [FAILED.into()]),
            Answer::NoRow => return ruling(Treatment::Drop, []),
            Answer::Allow(rows) => rows,
        };
        // A row without treatment allows a use: the narrowest one speaks, for it decides what a write may hold.
        let narrow =
            |id: &str| field.is_some_and(|f| self.rule(id).is_some_and(|r| r.names(catalog, f)));
        let treatment = |t: Option<Treatment>| t.unwrap_or(Treatment::Clear);
        if rows.iter().all(|r| r.treatment.is_none()) {
            rows.sort_by(|a, b| {
                (!narrow(&a.id), a.priority, &a.id).cmp(&(!narrow(&b.id), b.priority, &b.id))
            });
            return ruling(Treatment::Clear, rows.first().map(|r| r.id.clone()));
        }
        let first = rows.iter().map(|r| r.priority).min().unwrap_or(u8::MAX);
        rows.retain(|r| r.priority == first);
        let rank = rows.iter().map(|r| treatment(r.treatment).rank()).max();
        rows.retain(|r| Some(treatment(r.treatment).rank()) == rank);
        rows.sort_by(|a, b| a.id.cmp(&b.id));
        let Some(winner) = rows.first().cloned() else {
            return ruling(Treatment::Deny, [FAILED.into()]);
        };
        match rows.iter().find(|r| r.treatment != winner.treatment) {
            Some(other) => ruling(Treatment::Redact, [winner.id.clone(), other.id.clone()]),
            None => ruling(treatment(winner.treatment), [winner.id]),
        }
    }

    /// A field's output judged like the most protected of its sources; `raw` gives the rules' own answers.
    fn with_lineage(
        &self,
        catalog: &Catalog,
        me: FieldRef,
        raw: &dyn Fn(FieldRef) -> FieldRuling,
    ) -> FieldRuling {
        let own = raw(me);
        let Some(sources) = self.lineage.get(&me) else {
            return own;
        };
        let mut by_variant: Vec<Ruling> = (0..variants(catalog, me.object))
            .map(|v| own.under(v).clone())
            .collect();
        for source in sources.iter() {
            let other = raw(*source);
            if source.object == me.object {
                for (v, r) in by_variant.iter_mut().enumerate() {
                    *r = strictest(r, other.under(v));
                }
            } else {
                for one in other.by_variant.iter() {
                    for r in &mut by_variant {
                        *r = strictest(r, one);
                    }
                }
            }
        }
        let field = catalog.field(me);
        for r in &mut by_variant {
            // A source's treatment that this field cannot hold would leave null: redact says so.
            let t = r.treatment;
            if !fits(t, field.kind) || (t.is_token() && !token_class(catalog, &field.class)) {
                r.treatment = Treatment::Redact;
            }
        }
        of_variants(by_variant)
    }
}

/// The answer to a question from those about its actions.
fn judged(question: Question, mut ask: impl FnMut(Action) -> Ruling) -> Ruling {
    match question {
        Question::Read { export, describe } | Question::Raw { export, describe } => {
            let mut answer = ask(Action::Read);
            if export {
                let again = ask(Action::Export);
                // No export row means "as read"; a row that says drop has an id.
                if !again.rules.is_empty() {
                    answer = strictest(&answer, &again);
                }
            }
            if describe {
                let shown = ask(Action::Describe);
                if shown.treatment == Treatment::Deny && !answer.treatment.is_hidden() {
                    answer = Ruling {
                        treatment: Treatment::Drop,
                        rules: shown.rules,
                    };
                }
            }
            answer
        }
        Question::Use(action) => ask(action),
        Question::Delete => ask(Action::Delete),
    }
}

fn of_variants(mut by_variant: Vec<Ruling>) -> FieldRuling {
    if by_variant.windows(2).all(|w| w[0] == w[1]) {
        by_variant.truncate(1);
    }
    FieldRuling {
        by_variant: by_variant.into(),
    }
}

/// The more protective answer in each variant.
fn strictest_of(a: &FieldRuling, b: &FieldRuling) -> FieldRuling {
    let variants = a.by_variant.len().max(b.by_variant.len());
    of_variants(
        (0..variants)
            .map(|v| strictest(a.under(v), b.under(v)))
            .collect(),
    )
}

/// Whether deterministic tokens may stand for values of this class.
pub(super) fn token_class(catalog: &Catalog, class: &str) -> bool {
    class != "id" && !low_entropy(catalog, class)
}

/// Whether the class or one around it is declared `entropy: low` (the nearest word counts).
pub(super) fn low_entropy(catalog: &Catalog, class: &str) -> bool {
    let mut name = class;
    loop {
        if let Some(c) = catalog.vocabulary.classes.get(name) {
            return c.low_entropy;
        }
        match name.rfind('.') {
            Some(i) => name = &name[..i],
            None => return false,
        }
    }
}

/// The `g2` rows of an object's fields, nested classes spelt out.
pub(super) fn links(catalog: &Catalog, object: ObjectId) -> Vec<(String, String)> {
    let fields = 0..catalog.get(object).fields.len() as u32;
    let mut links: Vec<(String, String)> = fields
        .flat_map(|field| {
            let at = FieldRef { object, field };
            let class = catalog.field(at).class.clone();
            spelt_out(&class)
                .map(|class| (catalog.field_name(at), class))
                .collect::<Vec<_>>()
        })
        .collect();
    links.push((
        format!("{}.?", catalog.get(object).name),
        "class:unclassified".to_owned(),
    ));
    links
}

/// A class and those around it.
pub(super) fn spelt_out(class: &str) -> impl Iterator<Item = String> {
    class
        .match_indices('.')
        .map(|(at, _)| at)
        .chain([class.len()])
        .map(|at| format!("class:{}", &class[..at]))
}

/// Number of record variants of an object.
pub(super) fn variants(catalog: &Catalog, object: ObjectId) -> usize {
    catalog
        .get(object)
        .conditions
        .iter()
        .map(|c| c.values.len() + 1)
        .product()
}

/// The exact values that a variant stands for: unknown stands for every declared value and for none.
fn choices(
    catalog: &Catalog,
    object: ObjectId,
    relevant: &Relevant,
    variant: usize,
) -> Vec<Vec<Option<usize>>> {
    let conditions = &catalog.get(object).conditions;
    let mut codes = vec![0; conditions.len()];
    let mut rest = variant;
    for (i, condition) in conditions.iter().enumerate().rev() {
        let n = condition.values.len() + 1;
        codes[i] = rest % n;
        rest /= n;
    }
    let mut all: Vec<Vec<Option<usize>>> = vec![Vec::new()];
    for (condition, code) in conditions.iter().zip(codes) {
        let asked_for = relevant.asks(condition);
        let options: Vec<Option<usize>> = if !asked_for {
            vec![None]
        } else if code == condition.values.len() {
            (0..code).map(Some).chain([None]).collect()
        } else {
            vec![Some(code)]
        };
        all = all
            .into_iter()
            .flat_map(|head| {
                options.iter().map(move |option| {
                    let mut head = head.clone();
                    head.push(*option);
                    head
                })
            })
            .collect();
    }
    all
}
