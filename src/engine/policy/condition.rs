//! The `when` column: a closed list of terms, joined by `&`, each may begin with `!`.

use std::fmt;
use std::sync::Arc;

use super::csv::Row;
use crate::diagnostic::{Diagnostic, suggest};
use crate::engine::catalog::Vocabulary;

/// What a term asks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fact {
    /// A second factor was used.
    Mfa,
    /// The person signed in less than so many seconds ago.
    Session(u32),
    /// The request's time is in the named window.
    Hours(Arc<str>),
    /// The caller's address is in the named network.
    Network(Arc<str>),
    /// The record's flag has this value.
    Record(Arc<str>, Arc<str>),
}

/// The word that Casbin sees, in one spelling only.
impl fmt::Display for Fact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mfa => f.write_str("mfa"),
            Self::Session(s) => write!(f, "session<{s}s"),
            Self::Hours(name) => write!(f, "hours={name}"),
            Self::Network(name) => write!(f, "network={name}"),
            Self::Record(flag, value) => write!(f, "record.{flag}={value}"),
        }
    }
}

/// A fact, or its negation.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term {
    /// Begins with `!`.
    pub negated: bool,
    /// What is asked.
    pub fact: Fact,
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.negated {
            f.write_str("!")?;
        }
        self.fact.fmt(f)
    }
}

impl Term {
    /// As part of a sentence behind "when".
    pub(super) fn sentence(&self) -> String {
        let not = if self.negated { "not " } else { "" };
        match &self.fact {
            Fact::Mfa if self.negated => "no second factor was used".to_owned(),
            Fact::Mfa => "a second factor was used".to_owned(),
            Fact::Session(s) => {
                let (number, unit) = match s {
                    s if s % 3600 == 0 => (s / 3600, "h"),
                    s if s % 60 == 0 => (s / 60, "min"),
                    s => (*s, "s"),
                };
                format!("the session is {not}younger than {number} {unit}")
            }
            Fact::Hours(name) => format!("the time is {not}within {name} hours"),
            Fact::Network(name) => format!("the caller is {not}in the network {name}"),
            Fact::Record(flag, value) => format!("the record's {flag} is {not}{value}"),
        }
    }

    /// Whether both can be true at once.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        match (&self.fact, &other.fact) {
            (a, b) if a == b => self.negated == other.negated,
            (Fact::Record(f, _), Fact::Record(g, _)) => f != g || self.negated || other.negated,
            // Younger than the smaller bound is younger than the larger one.
            (Fact::Session(a), Fact::Session(b)) => match (self.negated, other.negated) {
                (true, false) => a < b,
                (false, true) => b < a,
                _ => true,
            },
            _ => true,
        }
    }
}

/// Reads a `when` cell.
pub(super) fn terms(
    row: &Row,
    cell: usize,
    vocabulary: &Vocabulary,
    found: &mut Vec<Diagnostic>,
) -> Vec<Term> {
    let text = row.cells[cell].text.as_str();
    if text == "-" {
        return Vec::new();
    }
    let mut list: Vec<Term> = Vec::new();
    for written in text.split('&').map(str::trim) {
        let (negated, word) = match written.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, written),
        };
        let fact = match fact(word, vocabulary) {
            Ok(fact) => fact,
            Err((wrong, code, message, help)) => {
                let mut e = row.error_at_word(cell, wrong, code, message);
                e.help = help;
                found.push(e);
                continue;
            }
        };
        let term = Term { negated, fact };
        if list.contains(&term) {
            continue;
        }
        if let Some(other) = list.iter().find(|t| !t.agrees(&term)) {
            found.push(row.error_at_word(
                cell,
                written,
                "contradiction",
                format!("`{term}` and `{other}` cannot hold together"),
            ));
        }
        list.push(term);
    }
    list.sort();
    list
}

type Mistake<'t> = (&'t str, &'static str, String, Option<String>);

fn fact<'t>(word: &'t str, v: &Vocabulary) -> Result<Fact, Mistake<'t>> {
    if word == "mfa" {
        return Ok(Fact::Mfa);
    }
    if let Some(age) = word.strip_prefix("session<") {
        let age = age.trim();
        let seconds = age
            .strip_suffix('s')
            .map(|n| (n, 1))
            .or_else(|| age.strip_suffix('m').map(|n| (n, 60)))
            .or_else(|| age.strip_suffix('h').map(|n| (n, 3600)))
            .and_then(|(n, unit)| n.parse::<u32>().ok()?.checked_mul(unit))
            .filter(|s| (1..=31_536_000).contains(s));
        return seconds.map(Fact::Session).ok_or_else(|| {
            (
                word,
                "bad-duration",
                format!("`{age}` is not a duration"),
                Some("write it like `session<15m` (s, m or h)".to_owned()),
            )
        });
    }
    let unknown = |kind: &str, code, name: &'t str, known: Vec<&str>, section: &str| {
        Err((
            name,
            code,
            format!("unknown {kind} `{name}`"),
            suggest(name, &known)
                .or_else(|| Some(format!("declare it in vocabulary.yaml under `{section}`"))),
        ))
    };
    if let Some((name, value)) = word.split_once('=') {
        let (name, value) = (name.trim(), value.trim());
        match name {
            "hours" => {
                return if v.hours.contains_key(value) {
                    Ok(Fact::Hours(value.into()))
                } else {
                    let known = v.hours.keys().map(|k| &**k).collect();
                    unknown("window of time", "unknown-hours", value, known, "hours")
                };
            }
            "network" => {
                return if v.networks.contains_key(value) {
                    Ok(Fact::Network(value.into()))
                } else {
                    let known = v.networks.keys().map(|k| &**k).collect();
                    unknown("network", "unknown-network", value, known, "networks")
                };
            }
            _ => {}
        }
        if let Some(flag) = name.strip_prefix("record.") {
            return match v.flags.get(flag) {
                None => {
                    let known = v.flags.keys().map(|k| &**k).collect();
                    unknown("flag", "unknown-flag", flag, known, "flags")
                }
                Some(values) => {
                    if values.iter().any(|d| **d == *value) {
                        Ok(Fact::Record(flag.into(), value.into()))
                    } else {
                        let known = values.iter().map(|k| &**k).collect();
                        unknown("flag value", "unknown-flag-value", value, known, "flags")
                    }
                }
            };
        }
    }
    Err((
        word,
        "unknown-condition",
        format!("unknown condition `{word}`"),
        suggest(word, &["mfa"])
            .filter(|h| h.starts_with("did"))
            .or_else(|| {
                Some(
                "known: `mfa`, `session<15m`, `hours=NAME`, `network=NAME`, `record.FLAG=VALUE`"
                    .to_owned(),
            )
            }),
    ))
}
