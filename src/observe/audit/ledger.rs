//! The data-subject ledger: who saw the record of a person, when, why, and in which treatment.
//!
//! Before its outcome, an answer leaves one `seen` event, a long one several; each set holds records that were shown
//! alike, as 8-byte keyed pseudonyms in base64 (10.7 bytes a record):
//!
//! ```json
//! {"kind":"seen","time":"…","request_id":"…","key":"k1","complete":true,
//!  "sets":[{"object":"Contact","fields":{"clear":["Contact.Name"]},"records":"…"}]}
//! ```
//!
//! Without its `complete` event an answer may have shown anybody: the process ended, or the ledger was off.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead as _, BufReader};
use std::path::Path;
use std::sync::Arc;

use data_encoding::BASE64;
use serde_json::Value;

use super::record;
use super::scan::segments;
use super::storage::{Directory, Storage};
use super::writer::Mark;
use super::{CannotRecord, Log, now, serialise};
use crate::engine::plan::{Shown, ShownSet};
use crate::engine::token::{LedgerKey, Pseudonym};

#[derive(serde::Serialize)]
struct Seen<'a> {
    kind: &'static str,
    time: String,
    request_id: &'a str,
    key: &'a str,
    complete: bool,
    sets: Vec<Set<'a>>,
}

#[derive(serde::Serialize)]
struct Set<'a> {
    #[serde(flatten)]
    shown: &'a ShownSet,
    records: String,
}

impl Log {
    /// Records which records an answer has shown since the last time; on return that is written (`write(2)`).
    /// `complete`: there are no more. Durable with the outcome.
    ///
    /// # Errors
    /// [`CannotRecord`].
    pub async fn shown(
        &self,
        request_id: &str,
        shown: &Shown,
        complete: bool,
    ) -> Result<(), CannotRecord> {
        let sets = shown.take().into_iter().map(|(shown, records)| Set {
            shown,
            records: BASE64.encode(records.as_flattened()),
        });
        let seen = Seen {
            kind: "seen",
            time: now(),
            request_id,
            key: shown.key_id(),
            complete: complete && !shown.is_untold(),
            sets: sets.collect(),
        };
        let position = self
            .shared()
            .queue(serialise(&seen)?, None, Mark::Control)?;
        self.shared().written(position).await
    }
}

/// How sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Certainty {
    /// The record was in the answer.
    Shown,
    /// The answer was computed over records that cannot be told one by one.
    Aggregate,
    /// The answer has no complete list: a crash, or the ledger was off.
    Possible,
}

/// One answer that showed the record, or may have.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Access {
    /// How sure it is.
    pub certainty: Certainty,
    /// Sequence number of the attempt.
    pub seq: u64,
    /// When, RFC 3339.
    pub time: String,
    /// The request.
    pub request_id: Arc<str>,
    /// Who asked: `who` of the attempt.
    pub who: Value,
    /// Why.
    pub purpose: String,
    /// Objects as which the record was shown; all objects of the request if only possible.
    pub objects: Vec<String>,
    /// Treatment word → fields.
    pub fields: BTreeMap<String, Vec<String>>,
    /// How the answer ended; `open` if it has not.
    pub ending: String,
}

/// What the ledger knows about one record.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct WhoSaw {
    /// In the order of the attempts.
    pub accesses: Vec<Access>,
}

/// Who saw the record with this id (either form of a Salesforce id), by the audit log in `directory`. Reads all of it,
/// takes no lock; blocks. `keys`: those of the ring. The chain is not verified here.
///
/// # Errors
/// The folder cannot be read, or a line is not a record.
pub fn who_saw(directory: &Path, keys: &[LedgerKey], record_id: &str) -> io::Result<WhoSaw> {
    who_saw_on(&Directory::read_only(directory), keys, record_id)
}

/// An attempt that waits for its outcome.
struct Asked {
    access: Access,
    hit: bool,
    complete: bool,
}

fn who_saw_on(storage: &dyn Storage, keys: &[LedgerKey], record_id: &str) -> io::Result<WhoSaw> {
    let wanted: Vec<(&str, Pseudonym)> = keys
        .iter()
        .map(|key| (&**key.id(), key.pseudonym(record_id)))
        .collect();
    let mut open: HashMap<Arc<str>, Asked> = HashMap::new();
    let mut found = WhoSaw::default();
    for (_, name) in segments(storage)? {
        let mut reader = BufReader::with_capacity(256 << 10, storage.read(&name)?);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 {
            if line.pop_if(|byte| *byte == b'\n').is_none() {
                // Being written just now.
                break;
            }
            let record = record::parse(&line).map_err(|what| bad(&name, what))?;
            let event: Value =
                serde_json::from_slice(record.event).map_err(|_| bad(&name, "no event"))?;
            let id = event["request_id"].as_str().unwrap_or_default();
            match event["kind"].as_str() {
                Some("attempt") => {
                    let asked = attempt(record.place.seq, id, &event);
                    open.insert(id.into(), asked);
                }
                Some("seen") => {
                    if let Some(asked) = open.get_mut(id) {
                        seen(asked, &event, &wanted);
                    }
                }
                Some("outcome") => {
                    if let Some(asked) = open.remove(id) {
                        found.accesses.extend(ended(asked, &event["outcome"]));
                    }
                }
                _ => {}
            }
            line.clear();
        }
    }
    // Their answers may be on the way.
    for (_, mut asked) in open {
        asked.access.ending = "open".into();
        found.accesses.extend(judged(asked, true));
    }
    found.accesses.sort_by_key(|access| access.seq);
    Ok(found)
}

fn bad(file: &str, what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("{file}: {what}; look with `privet audit verify`"),
    )
}

fn attempt(seq: u64, id: &str, event: &Value) -> Asked {
    let what = &event["what"];
    Asked {
        access: Access {
            certainty: if is_aggregate(what) {
                Certainty::Aggregate
            } else {
                Certainty::Possible
            },
            seq,
            time: text(&event["time"]),
            request_id: id.into(),
            who: event["who"].clone(),
            purpose: text(&what["purpose"]),
            objects: texts(&what["objects"]),
            fields: fields(&what["fields"]),
            ending: String::new(),
        },
        hit: false,
        complete: false,
    }
}

fn seen(asked: &mut Asked, event: &Value, wanted: &[(&str, Pseudonym)]) {
    asked.complete |= event["complete"] == true;
    let Some((_, pseudonym)) = wanted.iter().find(|(key, _)| event["key"] == *key) else {
        // Of a key that is no longer in the ring: nobody can tell.
        asked.complete = false;
        return;
    };
    for set in event["sets"].as_array().into_iter().flatten() {
        let records = BASE64.decode(text(&set["records"]).as_bytes());
        let there = records.is_ok_and(|r| r.chunks_exact(8).any(|p| p == pseudonym));
        if !there {
            continue;
        }
        let access = &mut asked.access;
        if !std::mem::replace(&mut asked.hit, true) {
            access.certainty = Certainty::Shown;
            access.objects.clear();
            access.fields.clear();
        }
        let object = text(&set["object"]);
        if !access.objects.contains(&object) {
            access.objects.push(object);
        }
        for (treatment, names) in fields(&set["fields"]) {
            let known = access.fields.entry(treatment).or_default();
            for name in names {
                if !known.contains(&name) {
                    known.push(name);
                }
            }
        }
    }
}

/// The access if the answer showed the record, or may have.
fn ended(mut asked: Asked, outcome: &Value) -> Option<Access> {
    let ending = text(&outcome["ending"]);
    let may_show = match ending.as_str() {
        // Nothing of the upstream's answer left.
        "refused" | "upstream-failed" => false,
        "complete" => outcome["rows"].as_u64() != Some(0),
        _ => true,
    };
    asked.access.ending = ending;
    judged(asked, may_show)
}

fn judged(asked: Asked, may_show: bool) -> Option<Access> {
    let possible = may_show && !asked.complete && !asked.access.objects.is_empty();
    (asked.hit || possible).then_some(asked.access)
}

fn is_aggregate(what: &Value) -> bool {
    texts(&what["uses"])
        .iter()
        .any(|used| used.starts_with("aggregate:") || used.starts_with("group:"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().map(text).collect()
}

fn fields(value: &Value) -> BTreeMap<String, Vec<String>> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(treatment, names)| (treatment.clone(), texts(names)))
        .filter(|(treatment, _)| treatment != "drop" && treatment != "deny")
        .collect()
}
