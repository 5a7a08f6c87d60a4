//! The two threads behind the log. The writer owns the chain: it takes what is queued, frames and hashes it, and
//! `write(2)`s it. The committer `fdatasync`s what has been written, over and over while there is anything new:
//! a commit starts when the previous one ended, and covers all that was written until then. Writing never waits
//! for a commit (except at the end of a segment), so a request is on its way upstream while its attempt is synced.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use super::feed::{Committed, Feed, Subscription};
use super::progress::Progress;
use super::record::{self, Hash, Place};
use super::scan::{Open, segment_name};
use super::storage::{Segment, Storage, write_all};
use super::{CannotRecord, Options, SegmentOpened, Stats, serialise};
use crate::engine::event::Event;

/// Most records in one `write(2)`.
const BATCH_RECORDS_MAX: usize = 256;

/// What a record does to the set of open attempts.
#[derive(Debug)]
pub(super) enum Mark {
    Attempt(Arc<str>),
    Outcome(Arc<str>),
    Control,
}

/// The end of the chain: what the next record hangs on.
pub(super) struct Chain {
    pub(super) storage: Arc<dyn Storage>,
    pub(super) segment: Arc<dyn Segment>,
    pub(super) segment_bytes: u64,
    pub(super) id: Arc<str>,
    pub(super) seq: u64,
    pub(super) hash: Hash,
    pub(super) open: Open,
    /// Framed, not yet written.
    pub(super) buffer: Vec<u8>,
}

impl Chain {
    /// Frames one event into the buffer. `synced`: last record known to be durable.
    pub(super) fn frame(&mut self, synced: u64, event: &[u8], mark: &Mark) {
        self.seq += 1;
        let place = Place {
            chain: &self.id,
            seq: self.seq,
            synced,
            prev: self.hash,
        };
        self.hash = record::encode(&mut self.buffer, place, event);
        match mark {
            Mark::Attempt(request) => self.open.attempt(Arc::clone(request)),
            Mark::Outcome(request) => self.open.outcome(request),
            Mark::Control => {}
        }
    }

    /// Frames the record that begins each segment.
    pub(super) fn frame_segment_opened(&mut self, synced: u64) -> io::Result<()> {
        let json = serialise(&SegmentOpened::new(self.open.requests()))
            .map_err(|CannotRecord| io::ErrorKind::InvalidData)?;
        self.frame(synced, &json, &Mark::Control);
        Ok(())
    }

    /// Writes what is framed.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        write_all(self.segment.as_ref(), &self.buffer)?;
        self.segment_bytes += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }

    /// Goes on in a new file. All of the old one is durable.
    fn rotate(&mut self) -> io::Result<()> {
        self.segment = self.storage.create(&segment_name(self.seq + 1))?;
        self.storage.sync_directory()?;
        self.segment_bytes = 0;
        self.frame_segment_opened(self.seq)
    }
}

/// One queued record.
struct Item {
    json: Vec<u8>,
    event: Arc<Event>,
    mark: Mark,
}

#[derive(Default)]
struct Queue {
    items: VecDeque<Item>,
    bytes: usize,
    /// Position of the item that was queued last, from 1.
    position: u64,
    closed: bool,
    failed: bool,
}

struct Commit {
    segment: Arc<dyn Segment>,
    /// Position and sequence number up to which everything is written…
    written: (u64, u64),
    /// …and durable.
    synced: (u64, u64),
    closed: bool,
    failed: bool,
    commits: u64,
    commit_us_total: u64,
    commit_us_last: u64,
    committed_at: Option<SystemTime>,
    open: usize,
}

/// What the threads and the handles share.
pub(super) struct Shared {
    options: Options,
    queue: Mutex<Queue>,
    queued: Condvar,
    commit: Mutex<Commit>,
    commit_changed: Condvar,
    written: Progress,
    synced: Progress,
    feed: Feed,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// `chain` is written and durable.
    pub(super) fn new(options: Options, chain: &Chain) -> Self {
        Self {
            options,
            queue: Mutex::default(),
            queued: Condvar::new(),
            commit: Mutex::new(Commit {
                segment: Arc::clone(&chain.segment),
                written: (0, chain.seq),
                synced: (0, chain.seq),
                closed: false,
                failed: false,
                commits: 0,
                commit_us_total: 0,
                commit_us_last: 0,
                committed_at: None,
                open: chain.open.len(),
            }),
            commit_changed: Condvar::new(),
            written: Progress::default(),
            synced: Progress::default(),
            feed: Feed::new(),
        }
    }

    /// Records from now on, once they are durable.
    pub(super) fn subscribe(&self) -> Subscription {
        self.feed.subscribe()
    }

    /// Queues a record and gives its position. The queue's bounds hold for attempts alone: an attempt that was
    /// taken may always be closed, and there are never more of those than running requests.
    pub(super) fn push(&self, event: Event, mark: Mark) -> Result<u64, CannotRecord> {
        let json = serialise(&event)?;
        let event = Arc::new(event);
        let mut queue = lock(&self.queue);
        let full = queue.items.len() >= self.options.queue_records_max
            || queue.bytes + json.len() > self.options.queue_bytes_max;
        if queue.failed || queue.closed || (full && matches!(mark, Mark::Attempt(_))) {
            return Err(CannotRecord);
        }
        queue.bytes += json.len();
        queue.position += 1;
        queue.items.push_back(Item { json, event, mark });
        let position = queue.position;
        drop(queue);
        self.queued.notify_one();
        Ok(position)
    }

    /// Returns when the record at `position` is written.
    pub(super) async fn written(&self, position: u64) -> Result<(), CannotRecord> {
        self.written.reach(position).await
    }

    /// Returns when the record at `position` is durable.
    pub(super) async fn synced(&self, position: u64) -> Result<(), CannotRecord> {
        self.synced.reach(position).await
    }

    /// Takes nothing more; what is queued is still written.
    pub(super) fn close(&self) {
        lock(&self.queue).closed = true;
        self.queued.notify_one();
    }

    /// Returns when a closed log has ended.
    pub(super) async fn ended(&self) -> Result<(), CannotRecord> {
        // No record has this position: the wait ends when the log does.
        let _ = self.synced.reach(u64::MAX).await;
        if lock(&self.queue).failed {
            Err(CannotRecord)
        } else {
            Ok(())
        }
    }

    pub(super) fn stats(&self) -> Stats {
        let (queue_records, queue_bytes, failed) = {
            let queue = lock(&self.queue);
            (queue.items.len(), queue.bytes, queue.failed)
        };
        let commit = lock(&self.commit);
        Stats {
            queue_records,
            queue_bytes,
            failed,
            seq_written: commit.written.1,
            seq_synced: commit.synced.1,
            open_attempts: commit.open,
            commits: commit.commits,
            commit_us_total: commit.commit_us_total,
            commit_us_last: commit.commit_us_last,
            committed_at: commit.committed_at,
        }
    }

    /// Nothing is taken or acknowledged any more. A failed `fdatasync` is never tried again: the kernel may have
    /// thrown the pages away and would report success.
    fn fail(&self) {
        {
            let mut queue = lock(&self.queue);
            queue.failed = true;
            queue.items.clear();
            queue.bytes = 0;
        }
        lock(&self.commit).failed = true;
        self.queued.notify_all();
        self.commit_changed.notify_all();
        self.end();
    }

    fn end(&self) {
        self.written.end();
        self.synced.end();
        self.feed.end();
    }

    /// Waits for records, at most a batch of them; `None` when closed or failed.
    fn next_batch(&self, batch: &mut Vec<Item>) -> Option<u64> {
        let mut queue = lock(&self.queue);
        loop {
            if queue.failed {
                return None;
            }
            if !queue.items.is_empty() {
                let count = queue.items.len().min(BATCH_RECORDS_MAX);
                batch.extend(queue.items.drain(..count));
                queue.bytes -= batch.iter().map(|item| item.json.len()).sum::<usize>();
                return Some(queue.position - queue.items.len() as u64);
            }
            if queue.closed {
                return None;
            }
            queue = self
                .queued
                .wait(queue)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// Fails the log if its thread ends by a panic: nobody may wait for ever.
struct FailOnPanic<'a>(&'a Shared);

impl Drop for FailOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.fail();
        }
    }
}

/// The writer thread.
pub(super) fn write(shared: &Shared, mut chain: Chain) {
    let _guard = FailOnPanic(shared);
    let mut batch = Vec::with_capacity(BATCH_RECORDS_MAX);
    while let Some(position) = shared.next_batch(&mut batch) {
        if let Err(error) = write_batch(shared, &mut chain, &mut batch, position) {
            tracing::error!(%error, "the audit log cannot be written; nothing is served until a restart");
            shared.fail();
            return;
        }
    }
    lock(&shared.commit).closed = true;
    shared.commit_changed.notify_all();
}

fn write_batch(
    shared: &Shared,
    chain: &mut Chain,
    batch: &mut Vec<Item>,
    position: u64,
) -> io::Result<()> {
    if chain.segment_bytes >= shared.options.segment_bytes_max {
        let mut commit = lock(&shared.commit);
        while commit.synced != commit.written && !commit.failed {
            commit = shared
                .commit_changed
                .wait(commit)
                .unwrap_or_else(PoisonError::into_inner);
        }
        if commit.failed {
            return Err(io::Error::other("the segment before could not be synced"));
        }
        drop(commit);
        chain.rotate()?;
    }
    let synced = lock(&shared.commit).synced.1;
    let watched = shared.feed.is_watched();
    for item in batch.drain(..) {
        chain.frame(synced, &item.json, &item.mark);
        if watched {
            shared.feed.written(Committed {
                chain: Arc::clone(&chain.id),
                seq: chain.seq,
                hash: chain.hash,
                event: item.event,
            });
        }
    }
    chain.flush()?;
    {
        let mut commit = lock(&shared.commit);
        commit.segment = Arc::clone(&chain.segment);
        commit.written = (position, chain.seq);
        commit.open = chain.open.len();
    }
    shared.commit_changed.notify_all();
    shared.written.advance(position);
    Ok(())
}

/// The committer thread.
pub(super) fn commit(shared: &Shared) {
    let _guard = FailOnPanic(shared);
    loop {
        let (segment, written) = {
            let mut commit = lock(&shared.commit);
            while commit.written == commit.synced && !commit.closed && !commit.failed {
                commit = shared
                    .commit_changed
                    .wait(commit)
                    .unwrap_or_else(PoisonError::into_inner);
            }
            if commit.failed {
                return;
            }
            if commit.written == commit.synced {
                break;
            }
            (Arc::clone(&commit.segment), commit.written)
        };
        let begun = Instant::now();
        if let Err(error) = segment.sync() {
            tracing::error!(%error, "the audit log cannot be synced; nothing is served until a restart");
            shared.fail();
            return;
        }
        let took_us = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        {
            let mut commit = lock(&shared.commit);
            commit.synced = written;
            commit.commits += 1;
            commit.commit_us_total = commit.commit_us_total.saturating_add(took_us);
            commit.commit_us_last = took_us;
            commit.committed_at = Some(SystemTime::now());
        }
        shared.commit_changed.notify_all();
        shared.feed.committed(written.1);
        shared.synced.advance(written.0);
    }
    shared.end();
}
