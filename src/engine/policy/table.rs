//! Treatment tables: Casbin's answers per principal set, object and context, cached and bounded.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use super::Policies;
use super::casbin::{Answer, Asked, Engine};
use super::condition::Fact;
use super::decision::{FieldRuling, Ruling, Table};
use super::rules::{What, fits};
use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::protocol::Action;
use crate::engine::treatment::Treatment;

/// Tables kept at most. A caller cannot choose many keys: roles, purposes and regions are those of the files.
const TABLES_MAX: usize = 8192;
/// Slices kept at most.
const SLICES_MAX: usize = 1024;

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
}

/// The rules that can matter for one principal set on one object.
pub(super) struct Slice {
    engine: Option<Engine>,
    flags: Vec<Arc<str>>,
    regions: bool,
    /// Fields that a row names itself.
    named: Vec<u32>,
}

/// The principals' closure, and the object.
type SliceKey = (Arc<[u16]>, ObjectId);

/// The caches of one policy version.
#[derive(Default)]
pub(super) struct Cache {
    tables: RwLock<HashMap<Key, Arc<Table>>>,
    slices: RwLock<HashMap<SliceKey, Arc<Slice>>>,
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
        if let Some(table) = self
            .cache
            .tables
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
        {
            return table.clone();
        }
        let table = Arc::new(match key.question {
            Question::Read { export, describe } => {
                self.with_lineage(catalog, key, export, describe)
            }
            _ => self.compute(catalog, key),
        });
        let mut tables = self
            .cache
            .tables
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if tables.len() >= TABLES_MAX {
            tables.clear();
        }
        tables.insert(key.clone(), table.clone());
        table
    }

    /// Forgets every answer, so that a benchmark can measure a miss.
    #[doc(hidden)]
    pub fn forget_tables(&self) {
        self.cache
            .tables
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    fn slice(&self, catalog: &Catalog, principals: &Arc<[u16]>, object: ObjectId) -> Arc<Slice> {
        let key = (principals.clone(), object);
        if let Some(slice) = self
            .cache
            .slices
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return slice.clone();
        }
        let held = |who: &str| {
            who == "*"
                || self
                    .principals
                    .binary_search_by(|p| (**p).cmp(who))
                    .is_ok_and(|i| principals.contains(&(i as u16)))
        };
        let fields = 0..catalog.get(object).fields.len() as u32;
        let rules: Vec<_> = self
            .rules
            .iter()
            .filter(|rule| {
                held(&rule.who)
                    && match &rule.what {
                        What::All => true,
                        What::Object(o) => *o == object,
                        What::Field(f) => f.object == object,
                        What::Class(_) => fields
                            .clone()
                            .any(|field| rule.reaches(catalog, FieldRef { object, field })),
                    }
            })
            .collect();
        let mut flags: Vec<Arc<str>> = Vec::new();
        for term in rules.iter().flat_map(|r| &r.when) {
            if let Fact::Record(flag, _) = &term.fact
                && !flags.contains(flag)
            {
                flags.push(flag.clone());
            }
        }
        let slice = Arc::new(Slice {
            regions: rules
                .iter()
                .flat_map(|r| &r.regions)
                .any(|r| matches!(&**r, "same" | "cross")),
            named: rules
                .iter()
                .filter_map(|r| match &r.what {
                    What::Field(f) => Some(f.field),
                    _ => None,
                })
                .collect(),
            flags,
            engine: Engine::build(
                rules.iter().copied(),
                principals
                    .iter()
                    .map(|p| self.principals[*p as usize].to_string()),
                links(catalog, object),
            )
            .ok(),
        });
        let mut slices = self
            .cache
            .slices
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if slices.len() >= SLICES_MAX {
            slices.clear();
        }
        slices.insert(key, slice.clone());
        slice
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

    fn compute(&self, catalog: &Catalog, key: &Key) -> Table {
        let object = catalog.get(key.object);
        let slice = self.slice(catalog, &key.principals, key.object);
        let base = self.asked(key);
        let variants = variants(catalog, key.object);
        let mut groups: HashMap<String, FieldRuling> = HashMap::new();
        let rule_all = |name: String, field: Option<FieldRef>| -> FieldRuling {
            let mut exact: HashMap<Vec<Option<usize>>, Ruling> = HashMap::new();
            let mut by_variant = Vec::with_capacity(variants);
            for variant in 0..variants {
                let mut whole: Option<Ruling> = None;
                for choice in choices(catalog, key.object, &slice, variant) {
                    let one = exact.entry(choice).or_insert_with_key(|choice| {
                        let mut asked = base.clone();
                        asked.data_region(object.data_region.as_deref());
                        for (condition, value) in object.conditions.iter().zip(choice) {
                            let value = value.and_then(|v| condition.values.get(v));
                            let value = value.map(|(name, _)| &**name);
                            if condition.is_region {
                                asked.data_region(value);
                            } else {
                                asked.flag(&condition.name, value);
                            }
                        }
                        let one = match &slice.engine {
                            Some(engine) => {
                                self.cell(catalog, engine, &name, field, key.question, &asked)
                            }
                            None => ruling(Treatment::Deny, [FAILED.into()]),
                        };
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
            if by_variant.windows(2).all(|w| w[0] == w[1]) {
                by_variant.truncate(1);
            }
            FieldRuling {
                by_variant: by_variant.into(),
            }
        };
        let fields = if key.question == Question::Delete {
            vec![rule_all(format!("{}.*", object.name), None)]
        } else {
            object
                .fields
                .iter()
                .enumerate()
                .map(|(i, field)| {
                    let i = i as u32;
                    let name = format!("{}.{}", object.name, field.name);
                    let at = Some(FieldRef {
                        object: key.object,
                        field: i,
                    });
                    if slice.named.contains(&i) {
                        return rule_all(name, at);
                    }
                    // Fields of one class that no row names have one answer.
                    if let Some(known) = groups.get(&*field.class) {
                        return known.clone();
                    }
                    let answer = rule_all(name, at);
                    groups.insert(field.class.to_string(), answer.clone());
                    answer
                })
                .collect()
        };
        Table {
            object: key.object,
            variants,
            fields,
        }
    }

    /// One question in one exact context.
    pub(super) fn cell(
        &self,
        catalog: &Catalog,
        engine: &Engine,
        name: &str,
        field: Option<FieldRef>,
        question: Question,
        asked: &Asked,
    ) -> Ruling {
        let ask =
            |action: Action| self.combine(catalog, field, engine.ask(name, action.word(), asked));
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

    /// The read table with every field judged like the most protected of its sources.
    fn with_lineage(&self, catalog: &Catalog, key: &Key, export: bool, describe: bool) -> Table {
        let raw_key = |object| Key {
            object,
            question: Question::Raw { export, describe },
            ..key.clone()
        };
        let raw = self.table(catalog, &raw_key(key.object));
        let mut fields = raw.fields.clone();
        for (index, ruling) in fields.iter_mut().enumerate() {
            let me = FieldRef {
                object: key.object,
                field: index as u32,
            };
            let Some(sources) = self.lineage.get(&me) else {
                continue;
            };
            let mut by_variant: Vec<Ruling> = (0..raw.variants)
                .map(|v| raw.fields[index].under(v).clone())
                .collect();
            for source in sources.iter() {
                if source.object == key.object {
                    for (v, r) in by_variant.iter_mut().enumerate() {
                        *r = strictest(r, raw.fields[source.field as usize].under(v));
                    }
                } else {
                    let other = self.table(catalog, &raw_key(source.object));
                    for one in other.fields[source.field as usize].by_variant.iter() {
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
            if by_variant.windows(2).all(|w| w[0] == w[1]) {
                by_variant.truncate(1);
            }
            *ruling = FieldRuling {
                by_variant: by_variant.into(),
            };
        }
        Table {
            object: key.object,
            variants: raw.variants,
            fields,
        }
    }
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
    let object = catalog.get(object);
    let mut links = Vec::new();
    for field in &object.fields {
        let name = format!("{}.{}", object.name, field.name);
        let class = &*field.class;
        for (at, _) in class.match_indices('.').chain([(class.len(), "")]) {
            links.push((name.clone(), format!("class:{}", &class[..at])));
        }
    }
    links.push((
        format!("{}.?", object.name),
        "class:unclassified".to_owned(),
    ));
    links
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
    slice: &Slice,
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
        let relevant = if condition.is_region {
            slice.regions
        } else {
            slice.flags.contains(&condition.name)
        };
        let options: Vec<Option<usize>> = if !relevant {
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
