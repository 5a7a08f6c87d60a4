//! What `diff` and `never` say of random policies, against every single cell of the space asked of Casbin with all rules
//! and combined here, in the plainest words of the policy's own rule.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use crate::engine::catalog::{FieldRef, ObjectId};
use crate::engine::policy::casbin::{Answer, Asked, Engine};
use crate::engine::policy::table::links;
use crate::engine::policy::{Loaded, Sources, load};
use crate::engine::protocol::Action;
use crate::engine::treatment::Treatment;
use crate::engine::workbench::compare::compare;
use crate::engine::workbench::suite;

/// Random policies in an ordinary run; `PRIVET_RANDOM_POLICIES=1000` asks for more.
const POLICIES: u64 = 8;

struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % n
    }

    fn pick(&mut self, words: &[&'static str]) -> &'static str {
        words[self.below(words.len())]
    }
}

const PURPOSES: [&str; 3] = ["none", "support", "mailing"];
const REGIONS: [Option<&str>; 3] = [None, Some("eu"), Some("us")];
const CONSENT: [Option<&str>; 3] = [Some("granted"), Some("withdrawn"), None];
const WHO: [Option<&str>; 5] = [
    None,
    Some("client:phone"),
    Some("role:desk"),
    Some("role:lead"),
    Some("user:mia"),
];
const ACTIONS: [Action; 6] = [
    Action::Read,
    Action::Export,
    Action::Filter,
    Action::Aggregate,
    Action::Write,
    Action::Delete,
];

fn rows(dice: &mut Dice) -> Vec<String> {
    let count = 1 + dice.below(9);
    (0..count)
        .map(|i| {
            let who = dice.pick(&["*", "role:desk", "role:lead", "user:mia", "client:phone"]);
            let what = dice.pick(&[
                "*",
                "Contact.*",
                "Contact.Email",
                "Lead.*",
                "class:pii",
                "class:pii.email",
                "class:pii.name",
                "class:plain",
            ]);
            let purpose = dice.pick(&["*", "*", "support", "mailing", "support|mailing"]);
            let region = dice.pick(&["*", "*", "same", "cross", "eu", "us|same"]);
            let when = dice.pick(&["-", "-", "mfa", "!mfa", "record.consent=granted", "!record.consent=withdrawn"]);
            let priority = dice.pick(&["-", "10", "90"]);
            let row = match dice.below(8) {
                0 => {
                    let action = dice.pick(&["read", "export", "filter", "delete|write", "*"]);
                    format!("deny, {who}, {action}, {what}, -, {purpose}, {region}, {when}, -")
                }
                1 => format!("allow, {who}, filter|aggregate, {what}, -, {purpose}, {region}, {when}, {priority}"),
                2 => format!("allow, {who}, write|delete, {what}, -, {purpose}, {region}, {when}, {priority}"),
                _ => {
                    let action = dice.pick(&["read", "read", "export", "read|export"]);
                    // Those that only texts can hold reach texts only.
                    let treatment = match what {
                        "class:pii" | "class:pii.email" | "class:pii.name" | "Contact.Email" => {
                            dice.pick(&["clear", "mask:all", "tokenize", "redact", "drop"])
                        }
                        _ => dice.pick(&["clear", "redact", "drop"]),
                    };
                    format!("allow, {who}, {action}, {what}, {treatment}, {purpose}, {region}, {when}, {priority}")
                }
            };
            format!("p, {row}, r{i}")
        })
        .collect()
}

fn set(rows: &[String]) -> Result<Loaded, String> {
    let rules = format!("{}{}\n", super::fixture::HEADER, rows.join("\n"));
    let files = [
        (
            "vocabulary.yaml",
            "schema: 1\npurposes: [support, mailing]\nregions: [eu, us]\ndata_regions: { apis: { crm: eu } }\n\
             flags: { consent: { Contact: { field: Flag, granted: [true], withdrawn: [false] } } }\n\
             classes:\n  pii: { personal: true }\n  pii.email: {}\n  pii.name: {}\n  plain: {}\n",
        ),
        (
            "schema/crm.json",
            r#"{"schema":1,"api":"crm","dialect":"salesforce","objects":{
               "Contact":{"fields":{"Email":{"type":"email"},"Flag":{"type":"boolean"},"Mail2":{"type":"email"},
                 "Name":{"type":"string"},"New":{"type":"string"}}},
               "Lead":{"fields":{"Email":{"type":"email"},"Plain":{"type":"boolean"}}}}}"#,
        ),
        (
            "classes/crm.csv",
            "# g2, field, class\ng2, Contact.Email, class:pii.email\ng2, Contact.Mail2, class:pii.email\n\
             g2, Contact.Flag, class:plain\ng2, Contact.Name, class:pii.name\ng2, Lead.Email, class:pii.email\n\
             g2, Lead.Plain, class:plain\n",
        ),
        (
            "roles.csv",
            "# g, who, role\ng, role:lead, role:desk\ng, user:mia, role:lead\ng, client:phone, role:desk\n",
        ),
        ("rules/all.csv", &rules),
    ];
    let files = files
        .map(|(p, t)| (p.to_owned(), t.as_bytes().to_vec()))
        .to_vec();
    load(&Sources { files }).map_err(|found| found[0].to_string())
}

/// One place in the space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    action: &'static str,
    who: &'static str,
    field: String,
    purpose: &'static str,
    region: Option<&'static str>,
    mfa: Option<bool>,
    consent: Option<&'static str>,
}

/// The most protective answer of those that one place stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Said {
    Deny,
    NoRow,
    Row(Treatment),
}

impl Said {
    fn treatment(&self) -> Treatment {
        match self {
            Self::Deny => Treatment::Deny,
            Self::NoRow => Treatment::Drop,
            Self::Row(t) => *t,
        }
    }
}

/// Deny beats allow; the lowest number; the more protective treatment; no row.
fn combined(answer: Answer) -> Said {
    match answer {
        Answer::Deny(_) | Answer::Failed => Said::Deny,
        Answer::NoRow => Said::NoRow,
        Answer::Allow(rows) => {
            let first = rows.iter().map(|r| r.priority).min().unwrap();
            let treatments = rows.iter().filter(|r| r.priority == first);
            let treatments = treatments.map(|r| r.treatment.unwrap_or(Treatment::Clear));
            Said::Row(treatments.max_by_key(|t| t.rank()).unwrap())
        }
    }
}

struct Brute<'a> {
    loaded: &'a Loaded,
    engines: BTreeMap<&'static str, Engine>,
    /// What has been asked of Casbin.
    known: RefCell<HashMap<Question, Said>>,
}

/// Who, action, what, purpose, region, MFA, consent.
type Question = (
    &'static str,
    Action,
    String,
    &'static str,
    Option<&'static str>,
    Option<bool>,
    Option<&'static str>,
);

impl<'a> Brute<'a> {
    fn new(loaded: &'a Loaded) -> Self {
        let all: Vec<_> = (0..loaded.catalog.objects.len())
            .flat_map(|o| links(&loaded.catalog, ObjectId(o as u32)))
            .collect();
        let engines = WHO
            .iter()
            .map(|who| {
                let held: &[&str] = match who {
                    None => &[],
                    Some("client:phone") => &["client:phone", "role:desk"],
                    Some("role:desk") => &["role:desk"],
                    Some("role:lead") => &["role:lead", "role:desk"],
                    Some(_) => &["user:mia", "role:lead", "role:desk"],
                };
                let held = held.iter().map(ToString::to_string);
                let engine = Engine::build(loaded.policies.rules(), held, all.clone()).unwrap();
                (who.unwrap_or("anybody else"), engine)
            })
            .collect();
        Self {
            loaded,
            engines,
            known: RefCell::default(),
        }
    }

    fn ask(
        &self,
        place: &Place,
        action: Action,
        name: &str,
        consent: Option<&'static str>,
    ) -> Said {
        let question = (
            place.who,
            action,
            name.to_owned(),
            place.purpose,
            place.region,
            place.mfa,
            consent,
        );
        if let Some(said) = self.known.borrow().get(&question) {
            return said.clone();
        }
        let said = self.asked_anew(place, action, name, consent);
        self.known.borrow_mut().insert(question, said.clone());
        said
    }

    fn asked_anew(&self, place: &Place, action: Action, name: &str, consent: Option<&str>) -> Said {
        let mut asked = Asked::new(place.purpose, place.region, Some("eu"));
        if let Some(mfa) = place.mfa {
            asked.fact("mfa", mfa);
        }
        asked.flag("consent", consent);
        combined(self.engines[place.who].ask(name, action.word(), &asked))
    }

    /// Unknown stands for every value and for none; a Lead has no consent.
    fn consents(place: &Place) -> Vec<Option<&'static str>> {
        match place.consent {
            _ if place.field.starts_with("Lead") => vec![None],
            Some(value) => vec![Some(value)],
            None => CONSENT.to_vec(),
        }
    }

    fn read(&self, place: &Place, export: bool) -> Treatment {
        Self::consents(place)
            .into_iter()
            .map(|consent| {
                let read = self
                    .ask(place, Action::Read, &place.field, consent)
                    .treatment();
                let again = self.ask(place, Action::Export, &place.field, consent);
                match again {
                    again
                        if export
                            && again != Said::NoRow
                            && again.treatment().rank() > read.rank() =>
                    {
                        again.treatment()
                    }
                    _ => read,
                }
            })
            .max_by_key(|t| t.rank())
            .unwrap()
    }

    /// The word of what happens at a place.
    fn outcome(&self, place: &Place) -> &'static str {
        let action = Action::parse(place.action).unwrap();
        if action == Action::Read || action == Action::Export {
            return self.read(place, action == Action::Export).word();
        }
        let anywhere = |consent| Place {
            consent,
            ..place.clone()
        };
        // A use is judged over all records that a request can reach.
        let reads: Vec<Treatment> = CONSENT
            .iter()
            .map(|c| self.read(&anywhere(*c), false))
            .collect();
        let name = match action {
            Action::Delete => format!("{}.*", place.field.split('.').next().unwrap()),
            _ => place.field.clone(),
        };
        let said: Vec<Said> = Self::consents(&anywhere(None))
            .into_iter()
            .map(|consent| self.ask(place, action, &name, consent))
            .collect();
        let denied = said.contains(&Said::Deny);
        let allowed = said.iter().all(|s| matches!(s, Said::Row(_)));
        let clear = reads.iter().all(|t| *t == Treatment::Clear);
        let tokens = reads.iter().all(|t| t.is_token());
        let hidden = reads
            .iter()
            .all(|t| matches!(t, Treatment::Drop | Treatment::Deny));
        match action {
            Action::Delete if allowed => "allowed",
            Action::Delete => "refused",
            Action::Write if !allowed || denied => "refused",
            Action::Write if clear || self.narrow(place) => "allowed",
            Action::Write => "tokens",
            _ if hidden || denied => "refused",
            _ if clear || allowed => "allowed",
            Action::Filter if tokens => "tokens",
            Action::Aggregate if tokens => "allowed",
            _ => "refused",
        }
    }

    /// Whether every answer to a write rests on a row that names the field or its own class.
    fn narrow(&self, place: &Place) -> bool {
        let at = self.field(&place.field);
        let class = &*self.loaded.catalog.field(at).class;
        Self::consents(&Place {
            consent: None,
            ..place.clone()
        })
        .into_iter()
        .all(|consent| {
            let mut asked = Asked::new(place.purpose, place.region, Some("eu"));
            if let Some(mfa) = place.mfa {
                asked.fact("mfa", mfa);
            }
            asked.flag("consent", consent);
            match self.engines[place.who].ask(&place.field, "write", &asked) {
                Answer::Allow(rows) => rows.iter().any(|r| {
                    let rule = self.loaded.policies.rule(&r.id).unwrap();
                    let named = &*rule.object;
                    named == place.field || named.strip_prefix("class:") == Some(class)
                }),
                _ => false,
            }
        })
    }

    fn field(&self, name: &str) -> FieldRef {
        let (object, field) = name.split_once('.').unwrap();
        let object = self.loaded.catalog.object("crm", object).unwrap();
        FieldRef {
            object,
            field: self.loaded.catalog.get(object).field(field).unwrap(),
        }
    }
}

fn places(loaded: &Loaded) -> Vec<Place> {
    let mut fields: Vec<String> = Vec::new();
    for object in &loaded.catalog.objects {
        let names = object.fields.iter();
        fields.extend(names.map(|f| format!("{}.{}", object.name, f.name)));
    }
    let mut all = Vec::new();
    for action in ACTIONS {
        for who in WHO.map(|w| w.unwrap_or("anybody else")) {
            for field in &fields {
                if action == Action::Delete && !field.ends_with(".Email") {
                    continue;
                }
                for purpose in PURPOSES {
                    for region in REGIONS {
                        for mfa in [None, Some(false), Some(true)] {
                            // A use is judged over all records at once.
                            let outputs = matches!(action, Action::Read | Action::Export);
                            for consent in CONSENT {
                                if !outputs && consent.is_some() {
                                    continue;
                                }
                                all.push(Place {
                                    action: action.word(),
                                    who,
                                    field: field.clone(),
                                    purpose,
                                    region,
                                    mfa,
                                    consent,
                                });
                            }
                        }
                    }
                }
            }
        }
    }
    all
}

/// What changed, as far as a diff tells it: (action, from, to) → who, fields.
type Told = BTreeMap<(String, String, String), (BTreeSet<String>, BTreeSet<String>)>;

fn agrees(seed: u64) {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let before = rows(&mut dice);
    let mut after = before.clone();
    match dice.below(3) {
        0 => {
            after.remove(dice.below(before.len()));
        }
        1 => after = rows(&mut dice),
        _ => {
            let i = dice.below(before.len());
            after[i] = before[i]
                .replace("role:desk", "role:lead")
                .replace("redact", "clear");
        }
    }
    // A random policy may hold a mistake; a mistake is not what is asked here.
    let (Ok(old), Ok(mut new)) = (set(&before), set(&after)) else {
        return agrees(seed.wrapping_add(1 << 32));
    };
    let (was, is) = (Brute::new(&old), Brute::new(&new));
    let mut wanted = Told::new();
    let mut outcomes: BTreeSet<(String, &'static str, &'static str)> = BTreeSet::new();
    for place in places(&new) {
        let (from, to) = (was.outcome(&place), is.outcome(&place));
        if place.action == "read" {
            outcomes.insert((place.field.clone(), place.purpose, to));
        }
        if from == to {
            continue;
        }
        let field = match place.action {
            "delete" => place.field.replace(".Email", ".*"),
            _ => place.field.clone(),
        };
        let key = (place.action.to_owned(), from.to_owned(), to.to_owned());
        let told = wanted.entry(key).or_default();
        told.0.insert(place.who.to_owned());
        told.1.insert(field);
    }
    let mut got = Told::new();
    for change in compare(&old, &new).changes {
        for action in change.actions.iter().filter(|a| ACTIONS.contains(a)) {
            let key = (
                action.word().to_owned(),
                change.from.word().to_owned(),
                change.to.word().to_owned(),
            );
            let told = got.entry(key).or_default();
            told.0.extend(change.who.iter().map(|w| w.to_string()));
            told.1.extend(change.fields.iter().cloned());
        }
    }
    assert_eq!(
        got,
        wanted,
        "{}\n->\n{}",
        before.join("\n"),
        after.join("\n")
    );

    let fields = [
        "Contact.Email",
        "Contact.Mail2",
        "Contact.Name",
        "Contact.New",
        "Lead.Plain",
    ];
    let words = ["clear", "mask:all", "tokenize", "redact", "deny"];
    let mut expected = Vec::new();
    let mut text = "schema: 1\nnever:\n".to_owned();
    for field in fields {
        for purpose in PURPOSES {
            for word in words {
                text.push_str(&format!(
                    "  - {{ field: {field}, purpose: {purpose}, treatment: {word} }}\n"
                ));
                expected.push(outcomes.contains(&(field.to_owned(), purpose, word)));
            }
        }
    }
    drop(is);
    let suite = suite::read("never_test.yaml", &text, &new, 0).unwrap();
    let keys = crate::engine::token::KeyRing::generate(&[7; 64]);
    let report = suite::run(&[suite], &mut new, &keys, &|_| (400, ""));
    let broken: Vec<bool> = report
        .cases
        .iter()
        .map(|c| !c.failures.is_empty())
        .collect();
    for ((case, broken), expected) in report.cases.iter().zip(&broken).zip(&expected) {
        assert_eq!(broken, expected, "{}\n{}", case.name, after.join("\n"));
    }
    assert_eq!(broken.len(), expected.len());
}

#[test]
fn diff_and_never_agree_with_every_cell_asked_of_casbin() {
    let asked = std::env::var("PRIVET_RANDOM_POLICIES").ok();
    let policies = asked.map_or(POLICIES, |n| n.parse().unwrap());
    let next = Arc::new(std::sync::atomic::AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= policies {
                        return;
                    }
                    agrees(seed + 1);
                }
            });
        }
    });
}
