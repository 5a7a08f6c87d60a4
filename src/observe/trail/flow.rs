//! Which caller got how many values of which field, and treated how: counts over time, in bounded memory.

use std::collections::{BTreeMap, HashMap};

use super::entry::Entry;

/// Most bands that are told apart; further ones count together as [`OTHER`].
pub const BANDS_MAX: usize = 2_048;
/// The name of what is not told apart any more.
pub const OTHER: &str = "(other)";

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const MINUTES: usize = 60;
const HOURS: usize = 7 * 24;

/// A path that values take.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Band {
    /// Caller, as [`Entry::caller`].
    pub caller: Box<str>,
    /// `Contact.Email`.
    pub field: Box<str>,
    /// Treatment word.
    pub treatment: Box<str>,
}

/// What went through a band.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    /// Values: those that the rewriter counted, or the rows where it counts none (clear values pass uncounted,
    /// dropped ones never came).
    pub values: u64,
    /// Answers.
    pub answers: u64,
}

/// How far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Span {
    /// The last 15 minutes.
    Quarter,
    /// The last 24 hours.
    Day,
    /// The last 7 days.
    Week,
}

impl Span {
    /// All of them, shortest first.
    pub const ALL: [Self; 3] = [Self::Quarter, Self::Day, Self::Week];

    /// As it stands in a URL.
    pub fn word(self) -> &'static str {
        match self {
            Self::Quarter => "15m",
            Self::Day => "24h",
            Self::Week => "7d",
        }
    }

    /// The span of a word.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.word() == word)
    }
}

/// Buckets of one width, a ring over time.
#[derive(Debug)]
struct Ring {
    width_ms: i64,
    /// Start of each bucket in units of the width, and what it holds.
    buckets: Vec<(i64, HashMap<u32, Volume>)>,
}

impl Ring {
    fn new(width_ms: i64, buckets: usize) -> Self {
        Self {
            width_ms,
            buckets: vec![(i64::MIN, HashMap::new()); buckets],
        }
    }

    fn add(&mut self, at_ms: i64, band: u32, volume: Volume) {
        let unit = at_ms.div_euclid(self.width_ms);
        let index = unit.rem_euclid(self.buckets.len() as i64) as usize;
        let (start, held) = &mut self.buckets[index];
        if unit < *start {
            // Older than the ring reaches.
            return;
        }
        if unit > *start {
            *start = unit;
            held.clear();
        }
        let sum = held.entry(band).or_default();
        sum.values = sum.values.saturating_add(volume.values);
        sum.answers = sum.answers.saturating_add(volume.answers);
    }

    fn sum(&self, now_ms: i64, span_ms: i64, into: &mut HashMap<u32, Volume>) {
        let last = now_ms.div_euclid(self.width_ms);
        let first = (now_ms - span_ms).div_euclid(self.width_ms);
        for (start, held) in &self.buckets {
            if (first..=last).contains(start) {
                for (band, volume) in held {
                    let sum = into.entry(*band).or_default();
                    sum.values = sum.values.saturating_add(volume.values);
                    sum.answers = sum.answers.saturating_add(volume.answers);
                }
            }
        }
    }
}

/// The counts.
#[derive(Debug)]
pub struct Flow {
    bands: Vec<Band>,
    index: HashMap<Band, u32>,
    minutes: Ring,
    hours: Ring,
}

impl Default for Flow {
    fn default() -> Self {
        Self {
            bands: Vec::new(),
            index: HashMap::new(),
            minutes: Ring::new(MINUTE_MS, MINUTES),
            hours: Ring::new(HOUR_MS, HOURS),
        }
    }
}

impl Flow {
    /// Counts an outcome; other entries count nothing.
    pub fn take(&mut self, entry: &Entry) {
        let (Some(what), Some(outcome)) = (&entry.event.what, &entry.event.outcome) else {
            return;
        };
        // An answer that was refused or never came carried nothing.
        if !matches!(
            &*outcome.ending,
            "complete" | "aborted" | "client-gone" | "unknown"
        ) || outcome.status >= 400
        {
            return;
        }
        let mut volumes: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        for (treatment, fields) in &what.fields {
            // The rewriter counts what it treats; the rest has as many values as there were rows.
            let uncounted = matches!(&**treatment, "clear" | "drop" | "deny");
            for field in fields {
                volumes.insert((field, treatment), if uncounted { outcome.rows } else { 0 });
            }
        }
        for (name, n) in &outcome.treated {
            if let Some((treatment, field)) = name.split_once(' ') {
                volumes.insert((field, treatment), *n);
            }
        }
        for ((field, treatment), values) in volumes {
            if values == 0 {
                continue;
            }
            let band = self.band(entry.caller(), field, treatment);
            let volume = Volume { values, answers: 1 };
            self.minutes.add(entry.at_ms, band, volume);
            self.hours.add(entry.at_ms, band, volume);
        }
    }

    fn band(&mut self, caller: &str, field: &str, treatment: &str) -> u32 {
        let mut band = Band {
            caller: caller.into(),
            field: field.into(),
            treatment: treatment.into(),
        };
        if let Some(known) = self.index.get(&band) {
            return *known;
        }
        if self.bands.len() >= BANDS_MAX {
            // Treatments are a closed set, so that these few come on top of the bound and no more.
            band.caller = OTHER.into();
            band.field = OTHER.into();
            if let Some(known) = self.index.get(&band) {
                return *known;
            }
        }
        let id = u32::try_from(self.bands.len()).unwrap_or(u32::MAX);
        self.bands.push(band.clone());
        self.index.insert(band, id);
        id
    }

    /// Every band with a volume in the `span` before `now_ms`, largest first.
    pub fn over(&self, span: Span, now_ms: i64) -> Vec<(Band, Volume)> {
        let mut sums = HashMap::new();
        match span {
            Span::Quarter => self.minutes.sum(now_ms, 15 * MINUTE_MS, &mut sums),
            Span::Day => self.hours.sum(now_ms, 24 * HOUR_MS, &mut sums),
            Span::Week => self
                .hours
                .sum(now_ms, (HOURS as i64 - 1) * HOUR_MS, &mut sums),
        }
        let mut found: Vec<(Band, Volume)> = sums
            .into_iter()
            .filter_map(|(id, volume)| Some((self.bands.get(id as usize)?.clone(), volume)))
            .collect();
        found.sort_by(|(a, x), (b, y)| y.values.cmp(&x.values).then_with(|| a.cmp(b)));
        found
    }
}
