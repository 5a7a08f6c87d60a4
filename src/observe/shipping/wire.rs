//! A batch as each kind of receiver takes it. `<chain>:<seq>` stands in every one, so that what comes twice is known.

use serde_json::{Value, json};

use super::{Format, millis, render, uid};

/// What a receiver over HTTP speaks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wire {
    /// JSON lines, one record each.
    Lines,
    /// Splunk's HTTP Event Collector, `/services/collector/event`.
    SplunkHec,
    /// Elastic's `_bulk`, into this index or data stream. The record's uid is the document's id: one that comes twice is
    /// refused as a conflict, which counts as taken.
    ElasticBulk(String),
    /// OpenTelemetry logs, OTLP/HTTP in JSON, `/v1/logs`.
    OtlpLogs,
}

impl Wire {
    /// `Content-Type` of [`Wire::body`].
    pub fn content_type(&self) -> &'static str {
        match self {
            Self::Lines | Self::ElasticBulk(_) => "application/x-ndjson",
            Self::SplunkHec | Self::OtlpLogs => "application/json",
        }
    }

    /// The request body for these records.
    pub fn body(&self, format: Format, records: &[Value]) -> Vec<u8> {
        let mut out = String::new();
        if *self == Self::OtlpLogs {
            return otlp(format, records).to_string().into_bytes();
        }
        for record in records {
            let rendered = render(format, record);
            match self {
                Self::Lines | Self::OtlpLogs => out.push_str(&rendered.to_string()),
                Self::SplunkHec => {
                    let event = json!({
                        "time": millis(record) as f64 / 1e3,
                        "source": "privet",
                        "sourcetype": "privet:audit",
                        "event": rendered,
                        "fields": { "uid": uid(record) },
                    });
                    out.push_str(&event.to_string());
                }
                Self::ElasticBulk(index) => {
                    let action = json!({ "create": { "_index": index, "_id": uid(record) } });
                    out.push_str(&action.to_string());
                    out.push('\n');
                    out.push_str(&rendered.to_string());
                }
            }
            out.push('\n');
        }
        out.into_bytes()
    }

    /// Whether an answer of status 2xx with this body says that everything was taken.
    pub fn took_all(&self, answer: &[u8]) -> bool {
        match self {
            Self::Lines => true,
            Self::SplunkHec => {
                serde_json::from_slice::<Value>(answer).is_ok_and(|a| a["code"].as_u64() == Some(0))
            }
            Self::ElasticBulk(_) => serde_json::from_slice::<Value>(answer).is_ok_and(|a| {
                a["items"].as_array().is_some_and(|items| {
                    items.iter().all(|item| {
                        let status = item["create"]["status"].as_u64();
                        status.is_some_and(|s| (200..300).contains(&s) || s == 409)
                    })
                })
            }),
            // An empty answer, or one without partialSuccess, is a full one.
            Self::OtlpLogs => {
                serde_json::from_slice::<Value>(answer).map_or(answer.is_empty(), |a| {
                    let rejected = &a["partialSuccess"]["rejectedLogRecords"];
                    // 64-bit numbers are strings in Protobuf's JSON.
                    rejected.is_null()
                        || rejected.as_u64() == Some(0)
                        || rejected.as_str() == Some("0")
                })
            }
        }
    }
}

fn otlp(format: Format, records: &[Value]) -> Value {
    let logs: Vec<Value> = records
        .iter()
        .map(|record| {
            let alert = record["event"]["kind"] == "alert";
            json!({
                "timeUnixNano": format!("{}000000", millis(record)),
                "severityNumber": if alert { 13 } else { 9 },
                "body": { "stringValue": render(format, record).to_string() },
                "attributes": [
                    { "key": "log.record.uid", "value": { "stringValue": uid(record) } },
                ],
            })
        })
        .collect();
    json!({ "resourceLogs": [{
        "resource": { "attributes": [
            { "key": "service.name", "value": { "stringValue": "privet" } },
        ] },
        "scopeLogs": [{ "scope": { "name": "privet.audit" }, "logRecords": logs }],
    }] })
}
