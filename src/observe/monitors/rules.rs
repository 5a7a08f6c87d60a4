//! `policies/monitors.yaml`: which monitors run, and their thresholds.

use std::collections::HashSet;
use std::sync::Arc;

use jiff::tz::TimeZone;

use super::Severity;
use crate::diagnostic::{Diagnostic, nearest};
use crate::engine::event::Step;
use crate::engine::token::LedgerKey;
use crate::yaml::{self, At, Node, Place, Value};

/// Keys of the file.
pub const KEYS: [&str; 3] = ["schema", "zone", "monitors"];
/// Keys that every monitor may have.
pub const COMMON: [&str; 7] = [
    "kind",
    "severity",
    "callers",
    "except",
    "quiet_for",
    "then",
    "then_for",
];
/// Kinds of monitors, and the further keys of each.
pub const KINDS: [(&str, &[&str]); 8] = [
    ("first-seen", &["what", "learn"]),
    (
        "baseline",
        &[
            "measure", "window", "factor", "at_least", "warm_up", "actions",
        ],
    ),
    ("out-of-hours", &["days", "from", "to", "at_least"]),
    ("refusals", &["window", "at_least"]),
    ("treated-ratio", &["fall", "at_least", "warm_up"]),
    ("unplanned", &["at_least"]),
    ("control", &["words", "window", "at_least"]),
    ("canary", &["records"]),
];

/// The file, read.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Where hours of the week and `out-of-hours` are counted.
    pub zone: TimeZone,
    /// In the order of the file.
    pub monitors: Vec<Monitor>,
}

/// One monitor.
#[derive(Debug, Clone, PartialEq)]
pub struct Monitor {
    /// Its name.
    pub name: Arc<str>,
    /// How bad what it finds is.
    pub severity: Severity,
    /// Only these callers; empty = all.
    pub callers: Vec<String>,
    /// Not these callers.
    pub except: Vec<String>,
    /// How long it says nothing more about the same caller, seconds, unless it gets twice as bad.
    pub quiet_for_s: i64,
    /// What is done about a caller that it speaks of.
    pub then: Option<Then>,
    /// What it looks for.
    pub kind: Kind,
}

/// An automatic step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Then {
    /// What.
    pub step: Step,
    /// For how long, seconds.
    pub for_s: i64,
}

/// What a monitor looks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// Something that this caller has never had.
    FirstSeen {
        /// Of what.
        what: Novelty,
        /// A caller that is younger than this is learned from only, seconds.
        learn_s: i64,
    },
    /// More than is usual for this caller.
    Baseline {
        /// Of what.
        measure: Measure,
        /// Over how long, seconds: an hour or a day.
        window_s: i64,
        /// How often the usual.
        factor: f64,
        /// Less than this is never odd.
        at_least: f64,
        /// Windows that are learned from only.
        warm_up: u32,
        /// Only these action words; empty = all.
        actions: Vec<String>,
    },
    /// Rows outside the hours of work.
    OutOfHours {
        /// Working days, Monday first.
        days: [bool; 7],
        /// First minute of work.
        from: i16,
        /// Minute after the last one of work.
        to: i16,
        /// Rows of one answer.
        at_least: f64,
    },
    /// Refused requests of one caller: a run of guesses.
    Refusals {
        /// Over how long, seconds.
        window_s: i64,
        /// How many.
        at_least: f64,
    },
    /// Less of what a caller gets is protected than used to be.
    TreatedRatio {
        /// Which part of the usual share is gone, between 0 and 1.
        fall: f64,
        /// Values within an hour.
        at_least: f64,
        /// Hours that are learned from only.
        warm_up: u32,
    },
    /// Members of an answer that no plan names: fields that nobody has classified.
    Unplanned {
        /// In one answer.
        at_least: f64,
    },
    /// Control events, such as `policy-refused`, and `cannot-record`.
    Control {
        /// Which.
        words: Vec<String>,
        /// Over how long, seconds.
        window_s: i64,
        /// How many.
        at_least: f64,
    },
    /// Synthetic records that nobody has a reason to look at. Needs the ledger.
    Canary {
        /// Their ids, as they were written.
        ids: Vec<String>,
        /// Their pseudonyms; those of `ids` once the keys are known.
        known: HashSet<u64>,
    },
}

/// What may be new of a caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Novelty {
    /// A field that it gets.
    Field,
    /// An endpoint and action.
    Endpoint,
    /// The network that it comes from (/24, /48).
    Network,
    /// The region that it comes from.
    Region,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Rows.
    Rows,
    /// Different records by the ledger; rows where there is none.
    Persons,
    /// Requests that were answered.
    Requests,
}

/// Reads the text of the file.
///
/// # Errors
/// Every mistake, with its place.
pub fn read(file: &str, text: &str) -> Result<Rules, Vec<Diagnostic>> {
    let file: Arc<str> = file.into();
    let root = yaml::parse(&file, text).map_err(|problem| vec![problem])?;
    let mut reader = Reader {
        file: &file,
        text,
        problems: Vec::new(),
    };
    let rules = reader.rules(&root);
    match rules {
        Some(rules) if reader.problems.is_empty() => Ok(rules),
        _ => Err(reader.problems),
    }
}

impl Rules {
    /// Turns the ids of canary records into what the ledger calls them under each of `keys`.
    #[must_use]
    pub fn with_keys(mut self, keys: &[LedgerKey]) -> Self {
        for monitor in &mut self.monitors {
            if let Kind::Canary { ids, known } = &mut monitor.kind {
                let names = ids
                    .iter()
                    .flat_map(|id| keys.iter().map(|key| u64::from_be_bytes(key.pseudonym(id))));
                known.extend(names);
            }
        }
        self
    }

    /// Whether a monitor watches for canary records, which only the ledger tells of.
    pub fn needs_ledger(&self) -> bool {
        let mut monitors = self.monitors.iter();
        monitors.any(|m| matches!(m.kind, Kind::Canary { .. }))
    }
}

/// A pseudonym of the ledger: 16 hexadecimal digits.
fn pseudonym(text: &str) -> Option<u64> {
    let hex = text.len() == 16 && text.bytes().all(|b| b.is_ascii_hexdigit());
    u64::from_str_radix(text, 16).ok().filter(|_| hex)
}

type Entries = [(At<String>, Node)];

struct Reader<'a> {
    file: &'a Arc<str>,
    text: &'a str,
    problems: Vec<Diagnostic>,
}

impl Reader<'_> {
    /// Always `None`, so that it can end an expression.
    fn wrong<T>(
        &mut self,
        code: &'static str,
        place: Place,
        message: impl Into<String>,
    ) -> Option<T> {
        let mut problem = Diagnostic::error(code, Some(place.position(self.file)), message);
        if let Some(line) = yaml::line(self.text, place) {
            problem = problem.underline(line, place.width);
        }
        self.problems.push(problem);
        None
    }

    fn map<'n>(&mut self, node: &'n Node) -> Option<&'n Entries> {
        match &node.value {
            Value::Map(entries) => Some(entries),
            other => self.wrong(
                "wrong-type",
                node.place,
                format!("a map belongs here, not {}", other.kind()),
            ),
        }
    }

    fn known(&mut self, entries: &Entries, known: &[&str]) {
        for (key, _) in entries {
            if !known.contains(&&*key.value) {
                self.wrong::<()>(
                    "unknown-key",
                    key.place,
                    format!("unknown key `{}`", key.value),
                );
                let help = match nearest(&key.value, known.iter().copied()) {
                    Some(word) => format!("did you mean `{word}`?"),
                    None => format!("known keys: {}", known.join(", ")),
                };
                if let Some(problem) = self.problems.last_mut() {
                    problem.help = Some(help);
                }
            }
        }
    }

    fn text(&mut self, node: &Node) -> Option<String> {
        match &node.value {
            Value::Text(text) | Value::Number(text) => Some(text.clone()),
            other => self.wrong(
                "wrong-type",
                node.place,
                format!("a word belongs here, not {}", other.kind()),
            ),
        }
    }

    fn texts(&mut self, node: Option<&Node>) -> Option<Vec<String>> {
        match node.map(|n| (&n.value, n.place)) {
            None => Some(Vec::new()),
            Some((Value::List(items), _)) => items.iter().map(|i| self.text(i)).collect(),
            Some((other, place)) => self.wrong(
                "wrong-type",
                place,
                format!("a list belongs here, not {}", other.kind()),
            ),
        }
    }

    fn word<T: Copy>(&mut self, node: &Node, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(node)?;
        let found = words.iter().find(|(word, _)| *word == text);
        match found {
            Some((_, value)) => Some(*value),
            None => {
                let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
                let message = format!("`{text}` must be one of: {}", known.join(", "));
                self.wrong("bad-value", node.place, message)
            }
        }
    }

    fn number(&mut self, node: Option<&Node>, default: f64, range: (f64, f64)) -> Option<f64> {
        let Some(node) = node else {
            return Some(default);
        };
        let number = match &node.value {
            Value::Number(text) => text.parse().ok(),
            _ => None,
        };
        match number {
            Some(x) if (range.0..=range.1).contains(&x) => Some(x),
            _ => self.wrong(
                "bad-value",
                node.place,
                format!("must be a number from {} to {}", range.0, range.1),
            ),
        }
    }

    /// `90s`, `10m`, `1h`, `7d`.
    fn duration(&mut self, node: Option<&Node>, default_s: i64) -> Option<i64> {
        let Some(node) = node else {
            return Some(default_s);
        };
        let text = self.text(node)?;
        let seconds = text.split_at_checked(text.len().saturating_sub(1));
        let seconds = seconds.and_then(|(number, unit)| {
            let unit = match unit {
                "s" => 1,
                "m" => 60,
                "h" => 3_600,
                "d" => 86_400,
                _ => return None,
            };
            let digits = number.bytes().all(|b| b.is_ascii_digit());
            let number: i64 = number.parse().ok().filter(|_| digits)?;
            number
                .checked_mul(unit)
                .filter(|s| (1..=31_536_000).contains(s))
        });
        match seconds {
            Some(seconds) => Some(seconds),
            None => self.wrong(
                "bad-value",
                node.place,
                "must be a duration from 1s to 365d, such as 90s, 10m, 1h or 7d",
            ),
        }
    }

    /// `08:00` as minutes.
    fn minute(&mut self, node: &Node) -> Option<i16> {
        let text = self.text(node)?;
        let minute = text.split_once(':').and_then(|(h, m)| {
            let two = |t: &str| {
                (t.len() == 2 && t.bytes().all(|b| b.is_ascii_digit()))
                    .then(|| t.parse::<i16>().ok())
                    .flatten()
            };
            let (h, m) = (two(h)?, two(m)?);
            (m < 60 && h * 60 + m <= 1_440).then_some(h * 60 + m)
        });
        match minute {
            Some(minute) => Some(minute),
            None => self.wrong(
                "bad-value",
                node.place,
                "must be a time of day, such as \"08:00\"",
            ),
        }
    }

    fn required<'n>(&mut self, entries: &'n Entries, key: &str, place: Place) -> Option<&'n Node> {
        match get(entries, key) {
            Some(node) => Some(node),
            None => self.wrong("missing-key", place, format!("`{key}` is missing")),
        }
    }

    fn rules(&mut self, root: &Node) -> Option<Rules> {
        let entries = self.map(root)?;
        self.known(entries, &KEYS);
        let schema = self.required(entries, "schema", root.place)?;
        if !matches!(&schema.value, Value::Number(n) if n == "1") {
            self.wrong::<()>("bad-value", schema.place, "`schema` must be 1");
        }
        let zone = match get(entries, "zone") {
            None => TimeZone::UTC,
            Some(node) => {
                let name = self.text(node)?;
                match TimeZone::get(&name) {
                    Ok(zone) => zone,
                    Err(_) => {
                        let message = format!("`{name}` is no time zone");
                        return self.wrong("bad-value", node.place, message);
                    }
                }
            }
        };
        let mut monitors = Vec::new();
        if let Some(node) = get(entries, "monitors") {
            for (name, node) in self.map(node)? {
                monitors.extend(self.monitor(name, node));
            }
        }
        Some(Rules { zone, monitors })
    }

    fn monitor(&mut self, name: &At<String>, node: &Node) -> Option<Monitor> {
        let good = (1..=64).contains(&name.value.len())
            && name
                .value
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !good {
            let message = "a monitor's name has 1 to 64 of a to z, 0 to 9 and `-`";
            return self.wrong("bad-value", name.place, message);
        }
        let entries = self.map(node)?;
        let kind = self.required(entries, "kind", name.place)?;
        let kinds: Vec<(&str, usize)> = KINDS.iter().enumerate().map(|(i, k)| (k.0, i)).collect();
        let (word, own) = KINDS[self.word(kind, &kinds)?];
        let known: Vec<&str> = COMMON.iter().chain(own).copied().collect();
        self.known(entries, &known);
        let severity = match get(entries, "severity") {
            None => Severity::Medium,
            Some(node) => self.word(
                node,
                &[
                    ("low", Severity::Low),
                    ("medium", Severity::Medium),
                    ("high", Severity::High),
                ],
            )?,
        };
        Some(Monitor {
            name: name.value.as_str().into(),
            severity,
            callers: self.texts(get(entries, "callers"))?,
            except: self.texts(get(entries, "except"))?,
            quiet_for_s: self.duration(get(entries, "quiet_for"), 3_600)?,
            then: self.then(word, entries)?,
            kind: self.kind(word, entries, name.place)?,
        })
    }

    /// The automatic step, if there is one.
    fn then(&mut self, kind: &str, entries: &Entries) -> Option<Option<Then>> {
        let Some(node) = get(entries, "then") else {
            return match get(entries, "then_for") {
                None => Some(None),
                Some(node) => self.wrong("bad-value", node.place, "`then_for` belongs to a `then`"),
            };
        };
        if kind == "control" {
            let message = "control events have no caller that something could be done about";
            return self.wrong("bad-value", node.place, message);
        }
        let words = [Step::Stricter, Step::StopCaller].map(|step| (step.word(), step));
        Some(Some(Then {
            step: self.word(node, &words)?,
            for_s: self.duration(get(entries, "then_for"), 3_600)?,
        }))
    }

    fn kind(&mut self, word: &str, entries: &Entries, place: Place) -> Option<Kind> {
        const ANY: (f64, f64) = (1.0, 1e12);
        let key = |name: &str| get(entries, name);
        Some(match word {
            "first-seen" => {
                let what = self.required(entries, "what", place)?;
                Kind::FirstSeen {
                    what: self.word(
                        what,
                        &[
                            ("field", Novelty::Field),
                            ("endpoint", Novelty::Endpoint),
                            ("network", Novelty::Network),
                            ("region", Novelty::Region),
                        ],
                    )?,
                    learn_s: self.duration(key("learn"), 7 * 86_400)?,
                }
            }
            "baseline" => {
                let measure = self.required(entries, "measure", place)?;
                let window_s = match key("window") {
                    None => 3_600,
                    Some(node) => self.word(node, &[("1h", 3_600), ("1d", 86_400)])?,
                };
                let windows = if window_s == 3_600 { 48.0 } else { 7.0 };
                Kind::Baseline {
                    measure: self.word(
                        measure,
                        &[
                            ("rows", Measure::Rows),
                            ("persons", Measure::Persons),
                            ("requests", Measure::Requests),
                        ],
                    )?,
                    window_s,
                    factor: self.number(key("factor"), 2.0, (1.0, 1_000.0))?,
                    at_least: self.number(key("at_least"), 100.0, ANY)?,
                    warm_up: self.number(key("warm_up"), windows, (1.0, 10_000.0))? as u32,
                    actions: self.texts(key("actions"))?,
                }
            }
            "out-of-hours" => {
                const NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
                let mut days = [false; 7];
                let list = self.required(entries, "days", place)?;
                for day in self.texts(Some(list))? {
                    match NAMES.iter().position(|n| *n == day) {
                        Some(n) => days[n] = true,
                        None => {
                            let message = format!("`{day}` must be one of: {}", NAMES.join(", "));
                            return self.wrong("bad-value", list.place, message);
                        }
                    }
                }
                let from = self.required(entries, "from", place)?;
                let to = self.required(entries, "to", place)?;
                let (from, end) = (self.minute(from)?, self.minute(to)?);
                if from >= end {
                    return self.wrong("bad-value", to.place, "`to` must be later than `from`");
                }
                Kind::OutOfHours {
                    days,
                    from,
                    to: end,
                    at_least: self.number(key("at_least"), 1.0, ANY)?,
                }
            }
            "refusals" => Kind::Refusals {
                window_s: self.duration(key("window"), 600)?,
                at_least: self.number(key("at_least"), 20.0, ANY)?,
            },
            "treated-ratio" => Kind::TreatedRatio {
                fall: self.number(key("fall"), 0.5, (0.01, 1.0))?,
                at_least: self.number(key("at_least"), 500.0, ANY)?,
                warm_up: self.number(key("warm_up"), 24.0, (1.0, 10_000.0))? as u32,
            },
            "unplanned" => Kind::Unplanned {
                at_least: self.number(key("at_least"), 1.0, ANY)?,
            },
            "canary" => {
                let list = self.required(entries, "records", place)?;
                let texts = self.texts(Some(list))?;
                if texts.is_empty() || texts.iter().any(|t| t.is_empty() || t.len() > 255) {
                    let message = "at least one record id or pseudonym belongs here";
                    return self.wrong("bad-value", list.place, message);
                }
                let known = texts.iter().filter_map(|t| pseudonym(t)).collect();
                let ids = texts.into_iter().filter(|t| pseudonym(t).is_none());
                Kind::Canary {
                    ids: ids.collect(),
                    known,
                }
            }
            _ => {
                let list = self.required(entries, "words", place)?;
                let words = self.texts(Some(list))?;
                if words.is_empty() {
                    return self.wrong("bad-value", list.place, "at least one word belongs here");
                }
                Kind::Control {
                    words,
                    window_s: self.duration(key("window"), 600)?,
                    at_least: self.number(key("at_least"), 1.0, ANY)?,
                }
            }
        })
    }
}

fn get<'n>(entries: &'n Entries, key: &str) -> Option<&'n Node> {
    entries
        .iter()
        .find(|(k, _)| k.value == key)
        .map(|(_, node)| node)
        .filter(|node| !matches!(node.value, Value::Null))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_file_is_read() {
        let rules = read(
            "monitors.yaml",
            include_str!("../../../policies/monitors.yaml"),
        )
        .unwrap();
        assert!(rules.monitors.len() >= 10);
        let empty = read("monitors.yaml", "schema: 1\n").unwrap();
        assert!(empty.monitors.is_empty());
    }

    /// The schema for editors knows every kind with its keys, and nothing more.
    #[test]
    fn the_schema_knows_what_the_reader_knows() {
        let text = include_str!("../../engine/workbench/schemas/monitors.schema.json");
        let schema: serde_json::Value = serde_json::from_str(text).unwrap();
        let keys = |at: &serde_json::Value| -> Vec<String> {
            let mut keys: Vec<String> = at["properties"]
                .as_object()
                .unwrap()
                .keys()
                .cloned()
                .collect();
            keys.sort();
            keys
        };
        assert_eq!(keys(&schema), ["monitors", "schema", "zone"]);
        let one = &schema["properties"]["monitors"]["additionalProperties"]["oneOf"];
        let one = one.as_array().unwrap();
        assert_eq!(one.len(), KINDS.len());
        for ((kind, own), schema) in KINDS.iter().zip(one) {
            assert_eq!(schema["properties"]["kind"]["const"], *kind);
            let steps = ["then", "then_for"];
            let common = COMMON
                .iter()
                .filter(|k| *kind != "control" || !steps.contains(k));
            let mut known: Vec<String> = common.chain(*own).map(ToString::to_string).collect();
            known.sort();
            assert_eq!(keys(schema), known, "{kind}");
        }
    }

    #[test]
    fn every_mistake_has_its_place() {
        let text = "schema: 1\nmonitros: {}\nmonitors:\n  a: {kind: baseline, measure: rowz}\n  \
                    b: {kind: refusals, window: 10, at_least: 0}\n  c: {what: field}\n  \
                    d: {kind: first-seen, what: field, factor: 2}\n  \
                    e: {kind: out-of-hours, days: [mon], from: \"18:00\", to: \"08:00\"}\n  \
                    F: {kind: unplanned}\n  g: {kind: control, words: [x], then: stricter}\n  \
                    h: {kind: refusals, then_for: 1h}\n  i: {kind: canary, records: []}\n";
        let told: Vec<(u32, &str)> = read("monitors.yaml", text)
            .unwrap_err()
            .iter()
            .map(|d| (d.position.as_ref().unwrap().line, d.code))
            .collect();
        assert_eq!(
            told,
            [
                (2, "unknown-key"),
                (4, "bad-value"),
                (5, "bad-value"),
                (6, "missing-key"),
                (7, "unknown-key"),
                (8, "bad-value"),
                (9, "bad-value"),
                (10, "bad-value"),
                (11, "bad-value"),
                (12, "bad-value"),
            ]
        );
        assert_eq!(read("m", "schema: 2").unwrap_err().len(), 1);
        assert_eq!(read("m", "- a").unwrap_err()[0].code, "wrong-type");
        assert_eq!(
            read("m", "schema: 1\nzone: Mars/Base").unwrap_err()[0].code,
            "bad-value"
        );
    }
}
