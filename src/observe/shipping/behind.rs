//! The records behind a cursor, read from the segments: nothing is missed, however slow the sink.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Longest record that is read, bytes; the log's queue keeps them far below it.
const LINE_BYTES_MAX: u64 = 64 << 20;

/// Reads on from record to record.
#[derive(Debug)]
pub(super) struct Behind {
    directory: PathBuf,
    /// The record that comes next.
    next: u64,
    /// First record of the segment that is read, and how far, bytes.
    at: Option<(u64, u64)>,
}

/// Some records in order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// Each as it stands in the log.
    pub(super) records: Vec<Value>,
    /// Bytes of their lines.
    pub(super) bytes: usize,
}

impl Batch {
    /// The last record's chain and sequence number.
    pub(super) fn end(&self) -> Option<(&str, u64)> {
        let last = self.records.last()?;
        Some((last["chain"].as_str()?, last["seq"].as_u64()?))
    }
}

impl Behind {
    /// Starts after record `seq` of the log in `directory`.
    pub(super) fn new(directory: &Path, seq: u64) -> Self {
        Self {
            directory: directory.to_owned(),
            next: seq + 1,
            at: None,
        }
    }

    /// The next records up to `synced`, the last that is durable: at most `records_max`, and no more once `bytes_max`
    /// is passed. Empty = there is nothing new. Blocks.
    ///
    /// # Errors
    /// A segment cannot be read, or a durable line is no record. The next call tries again from the same place.
    pub(super) fn take(
        &mut self,
        synced: u64,
        records_max: usize,
        bytes_max: usize,
    ) -> io::Result<Batch> {
        let mut batch = Batch::default();
        while self.next <= synced && batch.records.len() < records_max && batch.bytes < bytes_max {
            let segments = segments(&self.directory)?;
            let (first, mut position) = match self.at {
                Some(at) => at,
                None => {
                    // What retention took before the cursor came there is gone; the rest goes on.
                    let known = segments.iter().rev().find(|first| **first <= self.next);
                    match known.or(segments.first()) {
                        Some(first) => (*first, 0),
                        None => return Ok(batch),
                    }
                }
            };
            let before = batch.records.len();
            let mut file = File::open(self.directory.join(name(first)))?;
            file.seek(SeekFrom::Start(position))?;
            let mut reader = BufReader::with_capacity(256 << 10, file);
            let mut line = Vec::new();
            let mut next = self.next;
            while next <= synced && batch.records.len() < records_max && batch.bytes < bytes_max {
                line.clear();
                let read = reader
                    .by_ref()
                    .take(LINE_BYTES_MAX)
                    .read_until(b'\n', &mut line)?;
                if line.last() != Some(&b'\n') {
                    break;
                }
                let record: Value = serde_json::from_slice(&line)?;
                let seq = record["seq"]
                    .as_u64()
                    .ok_or_else(|| io::Error::from(io::ErrorKind::InvalidData))?;
                if seq > synced {
                    break;
                }
                position += read as u64;
                if seq >= next {
                    next = seq + 1;
                    batch.bytes += read;
                    batch.records.push(record);
                }
            }
            self.next = next;
            self.at = Some((first, position));
            if batch.records.len() == before {
                match segments.iter().find(|later| **later > first) {
                    Some(later) => self.at = Some((*later, 0)),
                    None => return Ok(batch),
                }
            }
        }
        Ok(batch)
    }
}

/// First sequence number of each segment, in order.
pub(super) fn segments(directory: &Path) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory)? {
        let file = entry?.file_name();
        let digits = file
            .to_str()
            .and_then(|f| f.strip_prefix("audit-")?.strip_suffix(".jsonl"));
        if let Some(first) = digits.and_then(|d| d.parse().ok()) {
            found.push(first);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The file of the segment that begins with this record.
pub(super) fn name(first: u64) -> String {
    format!("audit-{first:016}.jsonl")
}
