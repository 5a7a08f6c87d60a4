//! The audit log as others read it: renderings of its records, and the way to their sinks.
//!
//! Each sink has a durable [`Cursor`], written after its acknowledgement; what is behind the cursor is read from the
//! segments, so a sink that is away for long misses nothing, and gets at worst the last batch twice. `(chain, seq)`
//! stands in every rendering and tells. The segments are the spool: retention takes none that a sink has not
//! acknowledged, and [`oversee`] raises the alarm when a sink stays away or the spool reaches its bound.

mod behind;
mod cursor;
mod dial;
mod ecs;
mod nats;
mod ocsf;
mod oversee;
mod post;
mod ship;
mod sinks;
mod syslog;
#[cfg(test)]
mod tests;
mod wire;
mod witness;

use serde_json::Value;

pub use cursor::Cursor;
pub use dial::Dial;
pub use nats::{NatsLogin, NatsSink};
pub use oversee::{Bounds, SinkState, oversee, slowest};
pub use post::Post;
pub use ship::{NotTaken, Pace, Progress, Shipper, Sink};
pub use sinks::{FileSink, HttpSink, StdoutSink};
pub use syslog::{SyslogSink, message};
pub use wire::Wire;
pub use witness::HttpWitness;

/// How records are rendered, one JSON object a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// As they stand in the log.
    Jsonl,
    /// Open Cybersecurity Schema Framework 1.9.
    Ocsf,
    /// Elastic Common Schema 8.17.
    Ecs,
}

impl Format {
    /// The words of a configuration.
    pub const WORDS: [(&'static str, Self); 3] = [
        ("jsonl", Self::Jsonl),
        ("ocsf", Self::Ocsf),
        ("ecs", Self::Ecs),
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Jsonl => "jsonl",
            Self::Ocsf => "ocsf",
            Self::Ecs => "ecs",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::WORDS.iter().find(|(word, _)| *word == text);
        found
            .map(|(_, format)| *format)
            .ok_or("a format is jsonl, ocsf or ecs")
    }
}

/// One record of the log (the whole line as JSON) in `format`. `(chain, seq)` stands in each and tells duplicates
/// apart: `metadata.uid` and `event.id` are `<chain>:<seq>`.
pub fn render(format: Format, record: &Value) -> Value {
    match format {
        Format::Jsonl => record.clone(),
        Format::Ocsf => ocsf::render(record),
        Format::Ecs => ecs::render(record),
    }
}

/// `<chain>:<seq>`.
fn uid(record: &Value) -> String {
    let chain = record["chain"].as_str().unwrap_or_default();
    format!("{chain}:{}", record["seq"])
}

/// Unix milliseconds of the event.
fn millis(record: &Value) -> i64 {
    let time = record["event"]["time"].as_str().unwrap_or_default();
    time.parse::<jiff::Timestamp>()
        .map_or(0, jiff::Timestamp::as_millisecond)
}

/// `object` without what is null.
fn present(object: Value) -> Value {
    match object {
        Value::Object(members) => Value::Object(
            members
                .into_iter()
                .map(|(key, value)| (key, present(value)))
                .filter(|(_, value)| !value.is_null())
                .collect(),
        ),
        other => other,
    }
}

/// The outcome's status word: 1 success, 2 failure, 99 other (there is no outcome yet).
fn success(event: &Value) -> Option<bool> {
    match event["outcome"]["ending"].as_str()? {
        "complete" => Some(event["outcome"]["status"].as_u64().is_some_and(|s| s < 400)),
        "unknown" => None,
        _ => Some(false),
    }
}
