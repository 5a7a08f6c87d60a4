//! What a column of values looks like: counts and hashes, never values.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use serde_json::Value;

use super::dictionary::Dictionary;
use super::forms;
use crate::engine::detect::{self, Country, Kind};

/// Distinct values, forms and domains beyond this are not told apart.
const TOLD_APART_MAX: usize = 20_000;
/// Characters of one value that are read.
const READ_MAX: usize = 2_000;

/// The statistics of one column. Its memory is bounded, whatever is added.
#[derive(Debug, Clone, Default)]
pub struct Profile {
    /// Values that are not null or empty.
    pub(super) seen: u32,
    pub(super) null: u32,
    pub(super) texts: u32,
    pub(super) booleans: u32,
    distinct: HashSet<u64>,
    shapes: HashMap<u64, u32>,
    domains: HashMap<u64, u32>,
    pub(super) email: u32,
    pub(super) phone: u32,
    pub(super) iban: u32,
    pub(super) card: u32,
    pub(super) national: BTreeMap<Country, u32>,
    pub(super) individual_number: u32,
    pub(super) national_form: u32,
    pub(super) dialled: u32,
    pub(super) plus: u32,
    pub(super) postal: u32,
    pub(super) postal_digits: u32,
    pub(super) icd10: u32,
    pub(super) file: u32,
    pub(super) url: u32,
    pub(super) digit: u32,
    pub(super) person: u32,
    pub(super) city: u32,
    pub(super) country: u32,
    pub(super) firm: u32,
    pub(super) title: u32,
    pub(super) street: u32,
    pub(super) health: u32,
    pub(super) inside: u32,
    words: u64,
    characters: u64,
    years: BTreeMap<i16, u32>,
    pub(super) dates: u32,
    pub(super) moments: u32,
    pub(super) numbers: u32,
    pub(super) precise: u32,
    pub(super) on_earth: u32,
    pub(super) like_pay: u32,
    pub(super) spread: (f64, f64),
    last: Option<u128>,
    ascending: u32,
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

impl Profile {
    /// Adds one value. Lists and objects count as nothing.
    pub fn add(&mut self, dictionary: &Dictionary, value: &Value) {
        match value {
            Value::String(text) if !text.trim().is_empty() => self.text(dictionary, text.trim()),
            Value::Number(number) => self.number(number),
            Value::Bool(_) => {
                self.seen += 1;
                self.booleans += 1;
            }
            _ => self.null += 1,
        }
    }

    fn tell_apart(&mut self, value: &impl Hash) {
        if self.distinct.len() < TOLD_APART_MAX {
            self.distinct.insert(hash(value));
        }
    }

    fn number(&mut self, number: &serde_json::Number) {
        self.seen += 1;
        self.numbers += 1;
        let written = number.to_string();
        self.tell_apart(&written);
        let Some(n) = number.as_f64() else {
            return;
        };
        let decimals = written.split_once('.').map_or(0, |(_, d)| d.len());
        self.precise += u32::from(decimals >= 3);
        self.on_earth += u32::from((-180.0..=180.0).contains(&n));
        self.like_pay += u32::from(
            (12_000.0..=500_000.0).contains(&n) || (1_000_000.0..=30_000_000.0).contains(&n),
        );
        let log = n.abs().max(1.0).ln();
        self.spread.0 += log;
        self.spread.1 += log * log;
    }

    fn text(&mut self, dictionary: &Dictionary, text: &str) {
        self.seen += 1;
        self.texts += 1;
        self.tell_apart(&text);
        let text = match text.char_indices().nth(READ_MAX) {
            Some((end, _)) => &text[..end],
            None => text,
        };
        self.characters += text.chars().count() as u64;
        if let Some((day, _)) = text.split_once('T')
            && forms::date(day).is_some()
        {
            self.moments += 1;
            return;
        }
        if let Some((year, _)) = forms::date(text) {
            self.dates += 1;
            *self.years.entry(year).or_default() += 1;
            return;
        }
        let shape = forms::shape(text);
        if self.shapes.len() < TOLD_APART_MAX {
            *self.shapes.entry(hash(&shape)).or_default() += 1;
        }
        detect::whole(text, |kind| match kind {
            Kind::Email => self.email += 1,
            Kind::Phone => self.phone += 1,
            Kind::Iban => self.iban += 1,
            Kind::PaymentCard => self.card += 1,
            // Without hyphens any nine digits would do.
            Kind::NationalId(Country::UnitedStates) if shape != "999-99-9999" => {}
            Kind::NationalId(country) => *self.national.entry(country).or_default() += 1,
        });
        if let Some((_, domain)) = text.rsplit_once('@')
            && self.domains.len() < TOLD_APART_MAX
        {
            *self
                .domains
                .entry(hash(&domain.to_ascii_lowercase()))
                .or_default() += 1;
        }
        let add = |counter: &mut u32, is: bool| *counter += u32::from(is);
        add(
            &mut self.individual_number,
            forms::is_individual_number(text),
        );
        add(&mut self.national_form, forms::is_national_form(&shape));
        add(&mut self.dialled, forms::is_dialled(text, &shape));
        add(&mut self.plus, text.starts_with('+'));
        add(&mut self.postal, forms::is_postal(&shape));
        add(
            &mut self.postal_digits,
            forms::is_digits_like_postal(&shape),
        );
        add(&mut self.icd10, forms::is_icd10(text));
        add(&mut self.file, forms::is_file_name(text));
        add(
            &mut self.url,
            text.starts_with("http://") || text.starts_with("https://") || text.starts_with("www."),
        );
        add(&mut self.digit, shape.contains('9'));
        add(&mut self.inside, detect::first(text).is_some());
        let said = dictionary.read(text);
        self.words += u64::from(said.words);
        add(&mut self.person, said.person);
        add(&mut self.city, said.city);
        add(&mut self.country, said.country);
        add(&mut self.firm, said.firm);
        add(&mut self.title, said.title);
        add(&mut self.street, said.street);
        add(&mut self.health, said.health);
        let digits: String = text.chars().filter(char::is_ascii_digit).take(30).collect();
        if let Ok(number) = digits.parse::<u128>() {
            add(
                &mut self.ascending,
                self.last.is_some_and(|last| last < number),
            );
            self.last = Some(number);
        }
    }

    /// The share of the values that were counted.
    pub(super) fn share(&self, count: u32) -> f64 {
        f64::from(count) / f64::from(self.seen.max(1))
    }

    /// Different values.
    pub(super) fn distinct(&self) -> usize {
        self.distinct.len()
    }

    /// Different values among all.
    pub(super) fn distinctness(&self) -> f64 {
        self.distinct.len() as f64 / f64::from(self.seen.clamp(1, TOLD_APART_MAX as u32))
    }

    /// Words of the average text.
    pub(super) fn words(&self) -> f64 {
        self.words as f64 / f64::from(self.texts.max(1))
    }

    /// Characters of the average text.
    pub(super) fn characters(&self) -> f64 {
        self.characters as f64 / f64::from(self.texts.max(1))
    }

    /// The share of the commonest form.
    pub(super) fn uniform(&self) -> f64 {
        self.share(self.shapes.values().copied().max().unwrap_or(0))
    }

    /// The share of values whose number is greater than the one before: numbers that were dealt out in turn.
    pub(super) fn ascending(&self) -> f64 {
        self.share(self.ascending + 1)
    }

    /// The share of the addresses that stand at the commonest domain.
    pub(super) fn one_domain(&self) -> f64 {
        let most = self.domains.values().copied().max().unwrap_or(0);
        f64::from(most) / f64::from(self.email.max(1))
    }

    /// The share of the dates whose year lies in `years`, and how many years the middle four fifths of all span.
    pub(super) fn years(&self, years: std::ops::RangeInclusive<i16>) -> (f64, i16) {
        let within: u32 = self.years.range(years).map(|(_, n)| n).sum();
        let at = |part: f64| {
            let mut left = f64::from(self.dates) * part;
            let reached = self.years.iter().find(|(_, n)| {
                left -= f64::from(**n);
                left <= 0.0
            });
            reached.map_or(0, |(year, _)| *year)
        };
        (
            f64::from(within) / f64::from(self.dates.max(1)),
            at(0.9) - at(0.1),
        )
    }

    /// The standard deviation of the logarithms of the numbers.
    pub(super) fn log_deviation(&self) -> f64 {
        let n = f64::from(self.numbers.max(1));
        let mean = self.spread.0 / n;
        (self.spread.1 / n - mean * mean).max(0.0).sqrt()
    }
}
