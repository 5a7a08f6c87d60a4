//! Feeds the monitors from the audit files and raises what they find.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::{Finding, Monitors, rules};
use crate::engine::token::LedgerKey;
use crate::observe::trail::{self, Entry, Follower};

/// The rules, in the policy folder. Without it nothing is watched.
pub const FILE: &str = "monitors.yaml";
/// How often the files are looked at.
const EACH: Duration = Duration::from_millis(500);

/// Watches the audit log in `audit` by the rules in `policies` until dropped. `raise` gets each finding about a record
/// that is younger than `since_ms` (Unix milliseconds); older records are learned from. A file that changed is read
/// again; one with mistakes is told once, and the rules before it stay. `keys`: those of the ledger, for canary records;
/// `None` = the ledger is off.
pub async fn watch<Raised: Future<Output = ()>>(
    policies: PathBuf,
    audit: PathBuf,
    since_ms: i64,
    keys: impl Fn() -> Option<Vec<LedgerKey>>,
    raise: impl Fn(Finding) -> Raised,
) {
    let mut known_keys: Option<Vec<Arc<str>>> = None;
    let mut text = None;
    let mut state: Option<(Monitors, Option<Follower>)> = None;
    // Findings up to here have been raised.
    let mut told_ms = since_ms;
    let mut ticks = tokio::time::interval(EACH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut unreadable = false;
    loop {
        ticks.tick().await;
        let (file, directory) = (policies.join(FILE), audit.clone());
        let keys = keys();
        let ids: Vec<Arc<str>> = keys
            .iter()
            .flatten()
            .map(|key| Arc::clone(key.id()))
            .collect();
        if known_keys.as_ref() != Some(&ids) {
            // Canary records have another name under another key.
            text = None;
            known_keys = Some(ids);
        }
        let (from, known) = (state.take(), text.clone());
        let read = tokio::task::spawn_blocking(move || {
            step(&file, &directory, from, known, keys.as_deref())
        })
        .await;
        let Ok(step) = read else {
            return;
        };
        (state, text) = (step.state, step.text);
        if let Some(error) = step.error
            && !std::mem::replace(&mut unreadable, true)
        {
            tracing::warn!(%error, "the monitors cannot read the audit log");
        }
        let reread = step.reread;
        for finding in step.found {
            // Rules that are new read records again of which the old ones have told.
            if finding.at_ms < if reread { told_ms } else { since_ms } {
                continue;
            }
            told_ms = told_ms.max(finding.at_ms);
            raise(finding).await;
        }
        if reread {
            told_ms = told_ms.max(step.last_ms);
        }
    }
}

struct Step {
    state: Option<(Monitors, Option<Follower>)>,
    text: Option<String>,
    found: Vec<Finding>,
    error: Option<std::io::Error>,
    /// All was read from the start again.
    reread: bool,
    last_ms: i64,
}

/// One look at the rules and at what was appended. Blocks.
fn step(
    file: &Path,
    directory: &Path,
    from: Option<(Monitors, Option<Follower>)>,
    known: Option<String>,
    keys: Option<&[LedgerKey]>,
) -> Step {
    let mut step = Step {
        state: from,
        text: known,
        found: Vec::new(),
        error: None,
        reread: false,
        last_ms: 0,
    };
    match std::fs::read_to_string(file) {
        Ok(text) if step.text.as_ref() == Some(&text) => {}
        Ok(text) => {
            match rules::read(&file.to_string_lossy(), &text) {
                Ok(rules) => {
                    if rules.needs_ledger() && keys.is_none() {
                        tracing::warn!(
                            "a monitor watches for canary records, of which only the ledger tells: set audit.ledger"
                        );
                    }
                    let rules = rules.with_keys(keys.unwrap_or_default());
                    step.state = Some((Monitors::new(rules), None));
                }
                Err(problems) => {
                    for problem in problems {
                        tracing::error!("{problem}");
                    }
                }
            }
            step.text = Some(text);
        }
        // Half-way through being replaced, or never there: what is known stays.
        Err(_) => {}
    }
    let Some((monitors, follower)) = &mut step.state else {
        return step;
    };
    let (found, last_ms) = (&mut step.found, &mut step.last_ms);
    let mut take = |line: &[u8]| {
        if let Some(entry) = Entry::read(line) {
            *last_ms = (*last_ms).max(entry.at_ms);
            found.extend(monitors.take(&entry));
        }
    };
    let read = match follower {
        None => {
            step.reread = true;
            trail::newest(directory, &mut take).map(|new| *follower = Some(new))
        }
        Some(follower) => follower.read_on(&mut take),
    };
    step.error = read.err();
    step
}
