//! The newest part of the audit log as people look at it: recent entries, counts of flows, and a live tail. Bounded,
//! and filled again from the newest segments at a start. It only reads; the log knows nothing of it.

mod entry;
mod flow;
mod follow;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;

pub use entry::{Control, Entry, Outcome, Wanted, What, Who};
pub use flow::{BANDS_MAX, Band, Flow, OTHER, Span, Volume};
pub use follow::{Follower, refill};

/// Most entries that are kept.
pub const ENTRIES_MAX: usize = 10_000;
/// Most bytes of records that are kept.
const BYTES_MAX: usize = 24 << 20;
/// How far a slow reader of the live tail may fall behind before it loses entries.
const TAIL_MAX: usize = 512;

/// What is shown of the audit log.
#[derive(Debug)]
pub struct Trail {
    held: Mutex<Held>,
    tail: broadcast::Sender<Arc<Entry>>,
}

#[derive(Debug, Default)]
struct Held {
    /// Oldest first, with the bytes of their records.
    entries: VecDeque<(Arc<Entry>, usize)>,
    bytes: usize,
    flow: Flow,
}

impl Default for Trail {
    fn default() -> Self {
        Self {
            held: Mutex::default(),
            tail: broadcast::channel(TAIL_MAX).0,
        }
    }
}

impl Trail {
    /// Takes one line of a segment.
    pub fn take(&self, line: &[u8]) {
        let Some(entry) = Entry::read(line) else {
            return;
        };
        let entry = Arc::new(entry);
        let mut held = self.held();
        held.flow.take(&entry);
        held.bytes += line.len();
        held.entries.push_back((Arc::clone(&entry), line.len()));
        while held.entries.len() > ENTRIES_MAX || held.bytes > BYTES_MAX {
            let Some((_, bytes)) = held.entries.pop_front() else {
                break;
            };
            held.bytes -= bytes;
        }
        drop(held);
        // Nobody listens: fine.
        let _ = self.tail.send(entry);
    }

    /// The newest entries that fit, newest first, and how many were looked at.
    pub fn newest(&self, wanted: &Wanted, most: usize) -> (Vec<Arc<Entry>>, usize) {
        let held = self.held();
        let found = held
            .entries
            .iter()
            .rev()
            .map(|(entry, _)| entry)
            .filter(|entry| entry.fits(wanted))
            .take(most)
            .cloned()
            .collect();
        (found, held.entries.len())
    }

    /// The entries of one request, oldest first.
    pub fn of_request(&self, id: &str) -> Vec<Arc<Entry>> {
        let wanted = Wanted {
            request: id.to_owned(),
            kind: "all".to_owned(),
            ..Wanted::default()
        };
        let (mut found, _) = self.newest(&wanted, 8);
        found.reverse();
        found
    }

    /// The flows of a span.
    pub fn flows(&self, span: Span, now_ms: i64) -> Vec<(Band, Volume)> {
        self.held().flow.over(span, now_ms)
    }

    /// Entries from now on.
    pub fn tail(&self) -> broadcast::Receiver<Arc<Entry>> {
        self.tail.subscribe()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
