//! Syslog (RFC 5424) over TLS (RFC 5425) or TCP, with octet counting.
//!
//! Syslog has no acknowledgement. What stands in for it: each batch has a connection of its own, and is delivered once
//! the receiver, having read to our end, has closed its side in good order. A receiver that dies with bytes unread
//! resets the connection, and the batch comes again. What it has read and then loses is out of sight: give it a queue
//! that survives its end. Who sits on the line and can forge TCP's end can swallow a batch; no syslog sender would
//! notice, and the audit log itself still has it.

use std::io;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::{Dial, Format, NotTaken, Sink, render};

/// A receiver of syslog.
#[derive(Debug)]
pub struct SyslogSink {
    /// The connection.
    pub dial: Dial,
    /// What the messages say of where they come from.
    pub hostname: String,
    /// Longest time for one batch.
    pub timeout: Duration,
}

impl Sink for SyslogSink {
    async fn deliver(&mut self, format: Format, records: &[Value]) -> Result<(), NotTaken> {
        let frames: Vec<u8> = records
            .iter()
            .flat_map(|record| message(format, record, &self.hostname))
            .collect();
        tokio::time::timeout(self.timeout, self.send(&frames))
            .await
            .map_err(|_| NotTaken("the receiver took too long".into()))?
    }
}

impl SyslogSink {
    async fn send(&self, frames: &[u8]) -> Result<(), NotTaken> {
        let mut stream = self.dial.connect().await?;
        stream.write_all(frames).await?;
        stream.shutdown().await?;
        let mut answer = [0; 512];
        loop {
            match stream.read(&mut answer).await {
                Ok(0) => return Ok(()),
                // Nothing is to be said, but what is said does no harm.
                Ok(_) => {}
                // TCP's end without TLS's: so rsyslog ends a connection that it has read to its end.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// One message with its length before it (RFC 5425, section 4.3). Facility 13 (log audit), severity 6; alerts have
/// severity 4.
pub fn message(format: Format, record: &Value, hostname: &str) -> Vec<u8> {
    let event = &record["event"];
    let priority = 13 * 8 + if event["kind"] == "alert" { 4 } else { 6 };
    let time = event["time"].as_str().unwrap_or("-");
    let kind = event["kind"].as_str().unwrap_or("-");
    let chain = record["chain"].as_str().unwrap_or_default();
    let message = format!(
        "<{priority}>1 {time} {hostname} privet - {kind} [record@32473 chain=\"{chain}\" seq=\"{}\"] {}",
        record["seq"],
        render(format, record)
    );
    format!("{} {message}", message.len()).into_bytes()
}
