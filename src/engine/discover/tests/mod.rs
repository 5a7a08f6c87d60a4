//! How much of the truth is found, and how much of what is found is true.

mod invented;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use jiff::civil::{Date, date};
use serde_json::{Value, json};

use super::dictionary::Dictionary;
use super::{Described, Profile, propose};
use crate::demo::metadata::OBJECTS;
use crate::demo::seed;
use invented::{Dice, LOCALES, organisation};

const TODAY: Date = date(2026, 11, 23);

/// Seeds for looking at results while thresholds change; [`JUDGED_BY`] is for the tests alone.
const TUNED_ON: [u64; 5] = [1, 2, 3, 4, 5];
const JUDGED_BY: u64 = 917_240_331;

fn profile<'a>(dictionary: &Dictionary, values: impl Iterator<Item = &'a Value>) -> Profile {
    let mut profile = Profile::default();
    for value in values {
        profile.add(dictionary, value);
    }
    profile
}

fn is_personal(class: &str) -> bool {
    ["pii", "sensitive", "staff", "freetext"]
        .iter()
        .any(|around| class.split('.').next() == Some(around))
}

/// Right, wrong and missed proposals of personal classes.
#[derive(Default)]
struct Score {
    right: u32,
    wrong: u32,
    missed: u32,
    told: String,
}

impl Score {
    fn add(&mut self, field: &str, truth: &str, proposed: Option<(&str, &[String])>) {
        let class = proposed.map_or("-", |p| p.0);
        let (is, said) = (is_personal(truth), is_personal(class));
        self.right += u32::from(is && class == truth);
        self.wrong += u32::from(said && class != truth);
        self.missed += u32::from(is && class != truth);
        if (is || said) && class != truth {
            let _ = writeln!(
                self.told,
                "  {field}: {truth} taken for {class}: {:?}",
                proposed.map(|p| p.1)
            );
        }
    }

    fn precision(&self) -> f64 {
        f64::from(self.right) / f64::from(self.right + self.wrong).max(1.0)
    }

    fn recall(&self) -> f64 {
        f64::from(self.right) / f64::from(self.right + self.missed).max(1.0)
    }

    fn line(&self, what: &str) -> String {
        format!(
            "{what}: precision {:.3}, recall {:.3} ({} right, {} wrong, {} missed)\n{}",
            self.precision(),
            self.recall(),
            self.right,
            self.wrong,
            self.missed,
            self.told
        )
    }
}

/// Fields of an object in another order under names that say nothing.
fn shuffled<T>(seed: u64, mut fields: Vec<T>) -> Vec<(String, T)> {
    let dice = &mut Dice(seed);
    for i in (1..fields.len()).rev() {
        fields.swap(i, dice.below(i + 1));
    }
    fields
        .into_iter()
        .enumerate()
        .map(|(i, f)| (format!("xf_{i}__c"), f))
        .collect()
}

fn anonymous(name: &str, type_word: &str) -> Described {
    Described {
        name: name.to_owned(),
        label: format!("Field {}", name.trim_matches(|c: char| !c.is_ascii_digit())),
        type_word: type_word.to_owned(),
        picklist: type_word == "picklist",
        ..Described::default()
    }
}

fn score_invented(seed: u64) -> Vec<(&'static str, Score)> {
    let dictionary = Dictionary::default();
    let mut all = Vec::new();
    for locale in LOCALES {
        let mut score = Score::default();
        for (o, columns) in organisation(seed, locale).into_iter().enumerate() {
            let fields = shuffled(seed ^ o as u64, columns);
            let asked: Vec<(Described, Profile)> = fields
                .iter()
                .map(|(name, c)| {
                    (
                        anonymous(name, c.type_word),
                        profile(&dictionary, c.values.iter()),
                    )
                })
                .collect();
            let proposals = propose("Thing", &asked, TODAY);
            for (name, column) in &fields {
                let found = proposals.iter().find(|p| p.field == *name);
                let at = format!(
                    "{o}.{} {}",
                    column.type_word,
                    column
                        .values
                        .iter()
                        .find(|v| !v.is_null())
                        .unwrap_or(&json!(null))
                );
                score.add(
                    &at,
                    column.truth,
                    found.map(|p| (p.class, p.evidence.as_slice())),
                );
            }
        }
        all.push((locale.code, score));
    }
    all
}

/// What the shipped policies say of the demo's fields.
fn truth() -> BTreeMap<String, String> {
    include_str!("../../../../policies/classes/salesforce.csv")
        .lines()
        .filter(|line| line.starts_with("g2,"))
        .map(|line| {
            let mut cells = line.split(',').map(str::trim).skip(1);
            let field = cells.next().unwrap().to_owned();
            (
                field,
                cells
                    .next()
                    .unwrap()
                    .trim_start_matches("class:")
                    .to_owned(),
            )
        })
        .collect()
}

/// The demo CRM whose people live in `countries`; `typed` leaves it the types `email`, `phone` and `textarea`.
fn score_demo(seed: u64, countries: &[&str], typed: bool) -> Score {
    let (dictionary, truth) = (Dictionary::default(), truth());
    let store = seed::store_of(seed, countries);
    let mut score = Score::default();
    for (o, object) in OBJECTS.iter().enumerate() {
        let rows: Vec<Value> = (0..store.table(o).rows.len().min(500))
            .map(|row| store.record(o, row, "61.0"))
            .collect();
        let fields: Vec<_> = object
            .fields
            .iter()
            .filter(|f| !matches!(f.kind, "id" | "reference"))
            .collect();
        let fields = shuffled(seed ^ o as u64, fields);
        let asked: Vec<(Described, Profile)> = fields
            .iter()
            .map(|(name, f)| {
                let kind = match f.kind {
                    "email" | "phone" | "textarea" | "url" if !typed => "string",
                    kind => kind,
                };
                (
                    anonymous(name, kind),
                    profile(&dictionary, rows.iter().map(|r| &r[f.name])),
                )
            })
            .collect();
        let proposals = propose(object.name, &asked, TODAY);
        for (name, f) in &fields {
            let found = proposals.iter().find(|p| p.field == *name);
            let field = format!("{}.{}", object.name, f.name);
            let truth = truth.get(&field).map_or("-", String::as_str);
            score.add(
                &field,
                truth,
                found.map(|p| (p.class, p.evidence.as_slice())),
            );
        }
    }
    score
}

const COUNTRIES: [&[&str]; 5] = [&["US"], &["DE"], &["FR"], &["ES"], &["JP"]];

#[test]
fn of_renamed_fields_in_five_locales_nearly_all_are_found_and_nearly_nothing_else() {
    let mut short = String::new();
    for (locale, score) in score_invented(JUDGED_BY) {
        if score.precision() < 0.95 || score.recall() < 0.9 {
            short.push_str(&score.line(locale));
        }
    }
    assert!(short.is_empty(), "{short}");
}

#[test]
fn of_the_renamed_demo_crm_in_five_countries_and_in_all_at_once_too() {
    let mut short = String::new();
    let all: &[&str] = &[];
    for countries in COUNTRIES.into_iter().chain([all]) {
        for typed in [true, false] {
            let score = score_demo(JUDGED_BY, countries, typed);
            if score.precision() < 0.95 || score.recall() < 0.9 {
                short.push_str(&score.line(&format!("{countries:?}, its own types: {typed}")));
            }
        }
    }
    assert!(short.is_empty(), "{short}");
}

/// The judged seed is no lucky one: those that thresholds were set on do as well.
#[test]
fn the_seeds_that_were_tuned_on_do_as_well() {
    let mut short = String::new();
    for seed in TUNED_ON {
        for (locale, score) in score_invented(seed) {
            if score.precision() < 0.95 || score.recall() < 0.9 {
                short.push_str(&score.line(&format!("{locale}, seed {seed}")));
            }
        }
        let demo = score_demo(seed, COUNTRIES[(seed % 5) as usize], false);
        if demo.precision() < 0.95 || demo.recall() < 0.9 {
            short.push_str(&demo.line(&format!("demo, seed {seed}")));
        }
    }
    assert!(short.is_empty(), "{short}");
}

#[test]
fn evidence_holds_no_value() {
    let dictionary = Dictionary::default();
    let secret = "zebediah.quux@secret-host.example";
    let values = vec![json!(secret); 20];
    let fields = [(
        anonymous("xf_1__c", "string"),
        profile(&dictionary, values.iter()),
    )];
    let proposals = propose("Contact", &fields, TODAY);
    assert_eq!(proposals[0].class, "pii.email");
    for part in ["zebediah", "quux", "secret"] {
        assert!(!format!("{proposals:?} {} {:?}", proposals[0], fields[0].1).contains(part));
    }
}

#[test]
fn markings_of_the_crm_and_names_count_where_values_are_missing() {
    let empty = Profile::default;
    let marked = |name: &str, compliance: &[&str]| Described {
        name: name.to_owned(),
        compliance: compliance.iter().map(|c| (*c).to_owned()).collect(),
        security: Some("Restricted".to_owned()),
        ..Described::default()
    };
    let fields = [
        (marked("a__c", &["HIPAA"]), empty()),
        (marked("b__c", &["PII", "GDPR"]), empty()),
        (marked("Geburtsdatum__c", &[]), empty()),
        (marked("c__c", &[]), empty()),
    ];
    let proposals = propose("Contact", &fields, TODAY);
    let classes: Vec<&str> = proposals.iter().map(|p| p.class).collect();
    assert_eq!(classes, ["sensitive.health", "pii", "pii.birthdate"]);
    assert!(
        proposals[0]
            .evidence
            .contains(&"complianceGroup is HIPAA".to_owned())
    );
    assert!(
        proposals[0]
            .evidence
            .contains(&"securityClassification is Restricted".to_owned())
    );
}
