//! Removing the oldest segments: only whole ones, verified, under a signed checkpoint, shipped, and after the log itself
//! says so. The checkpoints stay.

use std::io::{self, BufRead as _, BufReader, Read as _};

use jiff::Timestamp;

use super::record;
use super::scan::{SEGMENTS_REMOVED, segments, verify_prefix};
use super::storage::Storage;
use super::{CannotRecord, Log, control_event};

/// How long records stay. What is not set does not remove anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    /// A segment whose newest record is older than this may go, days.
    pub days: Option<u32>,
    /// The oldest segments may go while all of them are bigger than this, bytes.
    pub bytes: Option<u64>,
}

/// Why nothing, or not everything, was removed.
#[derive(Debug, thiserror::Error)]
pub enum RetentionError {
    /// The folder cannot be read or changed.
    #[error("audit retention: {0}")]
    Io(#[from] io::Error),
    /// What was to go does not verify; it stays.
    #[error("audit retention: a segment does not verify and stays: {0}")]
    Damaged(super::Damage),
    /// The removal cannot be recorded.
    #[error("audit retention: {0}")]
    CannotRecord(#[from] CannotRecord),
}

/// The last segments that are never removed, so that a start always has what it reads.
const KEPT: usize = 2;

impl Log {
    /// Removes what `retention` lets go as of `now`, of the records up to `shipped` (`u64::MAX` = there is no sink).
    /// Gives the number of files removed. Reads them whole: blocks.
    ///
    /// # Errors
    /// [`RetentionError`].
    pub async fn retire(
        &self,
        retention: Retention,
        shipped: u64,
        now: Timestamp,
    ) -> Result<usize, RetentionError> {
        let storage = self.shared().storage();
        let signed = self.stats().seq_signed;
        let segments = segments(storage.as_ref())?;
        let mut bytes = 0;
        for (_, name) in &segments {
            bytes += storage.size(name)?;
        }
        let removable = segments.len().saturating_sub(KEPT);
        let mut count = 0;
        let mut through = 0;
        for pair in segments.windows(2).take(removable) {
            let last = pair[1].0 - 1;
            let too_old = match retention.days {
                // The next segment began when this one ended.
                Some(days) => began(storage.as_ref(), &pair[1].1)?
                    .is_some_and(|t| now.duration_since(t).as_secs() > i64::from(days) * 86_400),
                None => false,
            };
            let too_big = retention.bytes.is_some_and(|max| bytes > max);
            if last > shipped || last > signed || !(too_old || too_big) {
                break;
            }
            bytes -= storage.size(&pair[0].1)?;
            count += 1;
            through = last;
        }
        if count == 0 {
            return Ok(0);
        }
        if let Some(damage) = verify_prefix(storage.as_ref(), &segments[..count])? {
            return Err(RetentionError::Damaged(damage));
        }
        let event = control_event(SEGMENTS_REMOVED, format!("records 1 to {through}"));
        self.control(event).await?;
        for (_, name) in &segments[..count] {
            storage.remove(name)?;
        }
        storage.sync_directory()?;
        Ok(count)
    }
}

/// When the first record of a segment was made.
fn began(storage: &dyn Storage, name: &str) -> io::Result<Option<Timestamp>> {
    #[derive(serde::Deserialize)]
    struct Time<'a> {
        time: &'a str,
    }
    let mut line = Vec::new();
    BufReader::new(storage.read(name)?)
        .take(1 << 20)
        .read_until(b'\n', &mut line)?;
    line.pop_if(|byte| *byte == b'\n');
    Ok(record::parse(&line)
        .ok()
        .and_then(|record| serde_json::from_slice::<Time<'_>>(record.event).ok())
        .and_then(|event| event.time.parse().ok()))
}
