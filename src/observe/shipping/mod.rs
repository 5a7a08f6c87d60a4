//! The audit log as others read it: renderings of its records, and the way to their sinks.
//!
//! Each sink has a durable [`Cursor`], written after its acknowledgement; what is behind the cursor is read from the
//! segments, so a sink that is away for long misses nothing that retention leaves, and gets at worst the last batch
//! twice. `(chain, seq)` tells.

mod behind;
mod cursor;
mod ecs;
mod ocsf;
mod ship;
#[cfg(test)]
mod tests;
mod wire;

use serde_json::Value;

pub use cursor::Cursor;
pub use ship::{FileSink, HttpSink, NotTaken, Pace, Progress, Shipper, Sink, StdoutSink};
pub use wire::{Wire, syslog};

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

impl std::str::FromStr for Format {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "jsonl" => Ok(Self::Jsonl),
            "ocsf" => Ok(Self::Ocsf),
            "ecs" => Ok(Self::Ecs),
            _ => Err("a format is jsonl, ocsf or ecs"),
        }
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
