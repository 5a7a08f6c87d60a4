//! `privet policy replay`: what another policy set would have changed about the requests of the audit log.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::cli::exit;
use crate::engine::identity::{Identity, Proof};
use crate::engine::policy::Loaded;
use crate::engine::workbench::compare::Direction;
use crate::engine::workbench::replay::{Difference, Past, replay};
use crate::observe::trail::{Entry, each_line};

/// Flags of `privet policy replay`.
#[derive(Debug, Clone, clap::Args)]
pub struct ReplayArgs {
    /// The audit folder, a copy of it, or one of its files
    #[arg(value_name = "AUDIT")]
    pub audit: PathBuf,
    /// The set that is tried
    #[arg(long = "with", value_name = "DIR")]
    pub with: PathBuf,
    /// The set that it is compared with
    #[arg(long, value_name = "DIR", default_value = "policies")]
    pub policies: PathBuf,
    /// Print one JSON document
    #[arg(long)]
    pub json: bool,
}

/// Runs the verb: 0 replayed, 78 a set is invalid.
///
/// # Errors
/// The audit log cannot be read, or output cannot be written.
pub fn execute(
    args: &ReplayArgs,
    out: &mut dyn Write,
    notes: &mut dyn Write,
) -> anyhow::Result<u8> {
    let mut sets = Vec::new();
    for directory in [&args.policies, &args.with] {
        match super::loaded(directory, notes)? {
            Ok(set) => sets.push(set),
            Err(code) => return Ok(code),
        }
    }
    let [old, new] = &sets[..] else {
        return Ok(exit::FAILURE);
    };
    let traffic = Traffic::read(&args.audit, old, new)?;
    if args.json {
        serde_json::to_writer_pretty(&mut *out, &traffic.json())?;
        writeln!(out)?;
    } else {
        traffic.text(out)?;
    }
    Ok(exit::OK)
}

/// What the requests of an audit log would have noticed.
#[derive(Debug, Default)]
pub struct Traffic {
    requests: u64,
    /// Requests by the direction of their loosest change.
    changed: BTreeMap<Direction, u64>,
    /// How many requests, and whose.
    changes: BTreeMap<Difference, (u64, BTreeSet<String>)>,
}

impl Traffic {
    /// Reads every request of the log and decides it under both sets.
    ///
    /// # Errors
    /// The log cannot be read.
    pub fn read(audit: &Path, old: &Loaded, new: &Loaded) -> anyhow::Result<Self> {
        let mut traffic = Self::default();
        each_line(audit, &mut |line| {
            let Some((past, who)) = Entry::read(line).and_then(past) else {
                return;
            };
            traffic.requests += 1;
            let differences = replay(old, new, &past);
            if let Some(first) = differences.first() {
                *traffic.changed.entry(first.direction).or_default() += 1;
            }
            for difference in differences {
                let (count, callers) = traffic.changes.entry(difference).or_default();
                *count += 1;
                callers.insert(who.clone());
            }
        })
        .with_context(|| format!("{} cannot be read", audit.display()))?;
        Ok(traffic)
    }

    fn of(&self, direction: Direction) -> u64 {
        self.changed.get(&direction).copied().unwrap_or(0)
    }

    /// For people, looser first.
    ///
    /// # Errors
    /// `out` cannot be written.
    pub fn text(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let changed: u64 = self.changed.values().sum();
        writeln!(
            out,
            "{changed} of {} requests would have changed: {} looser, {} different, {} stricter",
            self.requests,
            self.of(Direction::Looser),
            self.of(Direction::Sideways),
            self.of(Direction::Stricter)
        )?;
        let mut heading = None;
        for (change, (count, who)) in &self.changes {
            if heading != Some(change.direction) {
                writeln!(out, "{}", change.direction.word())?;
                heading = Some(change.direction);
            }
            let rules: Vec<&str> = change.rules.iter().map(|r| &**r).collect();
            let who: Vec<&str> = who.iter().map(String::as_str).collect();
            let by = if rules.is_empty() {
                "no rule".to_owned()
            } else {
                rules.join(", ")
            };
            writeln!(
                out,
                "  {}: {} -> {} by {by}; {count} requests of {}",
                change.what,
                change.from,
                change.to,
                who.join(", ")
            )?;
        }
        Ok(())
    }

    /// For machines.
    pub fn json(&self) -> serde_json::Value {
        let changes: Vec<serde_json::Value> = self
            .changes
            .iter()
            .map(|(c, (count, who))| {
                serde_json::json!({
                    "direction": c.direction.word(),
                    "what": c.what,
                    "from": c.from,
                    "to": c.to,
                    "rules": c.rules.iter().map(|r| &**r).collect::<Vec<_>>(),
                    "requests": count,
                    "who": who,
                })
            })
            .collect();
        serde_json::json!({
            "requests": self.requests,
            "looser": self.of(Direction::Looser),
            "different": self.of(Direction::Sideways),
            "stricter": self.of(Direction::Stricter),
            "changes": changes,
        })
    }
}

/// The request that a record tells of, and whose it was. Each request once: its attempt, or its refusal.
fn past(entry: Entry) -> Option<(Past, String)> {
    let refused = entry
        .event
        .outcome
        .as_ref()
        .is_some_and(|o| o.ending == "refused");
    if entry.event.kind != "attempt" && !refused {
        return None;
    }
    let now_s = entry.at_ms.div_euclid(1000);
    let (who, what) = (entry.event.who?, entry.event.what?);
    let name = match &who.client {
        Some(client) => client.clone(),
        None => who.subject.clone(),
    };
    let roles = who.roles.join(", ");
    let caller = Identity {
        subject: who.subject.into(),
        client: who.client.map(Into::into),
        roles: who.roles.into_iter().map(Into::into).collect(),
        region: who.region.map(Into::into),
        tenant: who.tenant.into(),
        proof: Proof::ApiKey {
            key_id: "replay".into(),
        },
        mfa: who.mfa,
        auth_time_s: who.session_age_s.map(|age| now_s - age),
        purpose_asked: (what.purpose != "none").then(|| what.purpose.into()),
        now_s,
        address: who.address,
    };
    let past = Past {
        caller,
        exports: what.action == "export",
        uses: what.uses,
        outputs: what.fields.into_values().flatten().collect(),
    };
    Some((past, format!("{name} ({roles})")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::folder;
    use crate::engine::policy::load;

    fn set(change: impl Fn(&str, String) -> String) -> Loaded {
        let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/policies");
        let mut sources = folder::read(Path::new(directory)).unwrap();
        for (path, bytes) in &mut sources.files {
            if let Ok(text) = String::from_utf8(bytes.clone()) {
                *bytes = change(path, text).into_bytes();
            }
        }
        load(&sources).unwrap()
    }

    const RECORD: &str = concat!(
        r#"{"seq":1,"event":{"kind":"attempt","time":"2026-11-20T10:00:00.000Z","request_id":"r1","#,
        r#""who":{"subject":"ben","client":"service-desk","roles":["support_agent"],"region":"eu","tenant":"acme","proof":"api-key:1"},"#,
        r#""what":{"api":"salesforce","endpoint":"query","action":"read","purpose":"support","policy":"x","#,
        r#""uses":["filter:Contact.Email"],"fields":{"mask:email":["Contact.Email"],"clear":["Contact.Name"]}}}}"#
    );

    #[test]
    fn a_replay_says_who_would_have_seen_what() {
        let folder = tempfile::tempdir().unwrap();
        let refused = RECORD
            .replace(r#""kind":"attempt""#, r#""kind":"outcome""#)
            .replace(
                r#""fields":{"mask:email":["Contact.Email"],"clear":["Contact.Name"]}}"#,
                r#""fields":{}},"outcome":{"ending":"complete","status":200}"#,
            );
        let log = format!("{RECORD}\n{refused}\nnot a record\n{RECORD}\n");
        std::fs::write(folder.path().join("audit-1.jsonl"), log).unwrap();
        let old = set(|_, text| text);
        let same = Traffic::read(folder.path(), &old, &set(|_, text| text)).unwrap();
        assert_eq!((same.requests, same.changes.len()), (2, 0));
        let new = set(|path, text| {
            if path != "rules/support.csv" {
                return text;
            }
            let kept = text
                .lines()
                .filter(|l| !l.contains("support-find-by-email"));
            let kept = kept.map(|l| {
                if l.ends_with("support-email") {
                    l.replace("mask:email", "clear     ")
                } else {
                    l.to_owned()
                }
            });
            kept.collect::<Vec<_>>().join("\n") + "\n"
        });
        let traffic = Traffic::read(folder.path(), &old, &new).unwrap();
        let mut text = Vec::new();
        traffic.text(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(
            text.starts_with(
                "2 of 2 requests would have changed: 2 looser, 0 different, 0 stricter\nlooser\n"
            ),
            "{text}"
        );
        assert!(
            text.contains("read:Contact.Email: mask:email -> clear by support-email; 2 requests of service-desk (support_agent)"),
            "{text}"
        );
        assert!(!text.contains("Contact.Name"), "{text}");
        let back = Traffic::read(folder.path(), &new, &old).unwrap();
        assert_eq!(back.of(Direction::Stricter), 2);
    }
}
