//! The two threads behind the log. The writer owns the chain: it takes what is queued, frames and hashes it, and
//! `write(2)`s it. The committer `fdatasync`s what has been written, over and over while somebody waits for it:
//! a commit starts when the previous one ended, and covers all that was written until then. What nobody waits for
//! (the attempt of a request whose answer is not there yet) becomes durable with what somebody waits for (its
//! outcome), or within [`TICK`]. Writing never waits for a commit (except at the end of a segment).

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::watch;

use super::checkpoint::{self, Checkpoint};
use super::feed::{Committed, Feed, Subscription};
use super::progress::Progress;
use super::record::{self, Hash, Place};
use super::scan::{Open, segment_name};
use super::storage::{Segment, Storage, write_all};
use super::tree::Tree;
use super::{CannotRecord, Options, SegmentOpened, Stats, now, serialise};
use crate::engine::event::Event;

/// Most records in one `write(2)`.
const BATCH_RECORDS_MAX: usize = 256;

/// Longest time between a record and the checkpoint over it, and between two looks at the disk.
const TICK: Duration = Duration::from_secs(1);

/// The disk is getting full when less than this is free: per mille, and bytes.
const SPACE_WARN: (u64, u64) = (100, 5 << 30);
/// New attempts are refused when less than this is free.
const SPACE_REFUSE: (u64, u64) = (20, 512 << 20);

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
    /// Over all records up to `seq`.
    pub(super) tree: Tree,
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
        self.tree.append(self.hash);
        match mark {
            Mark::Attempt(request) => self.open.attempt(Arc::clone(request)),
            Mark::Outcome(request) => self.open.outcome(request),
            Mark::Control => {}
        }
    }

    /// Frames the record that begins each segment.
    pub(super) fn frame_segment_opened(&mut self, synced: u64) -> io::Result<()> {
        let json = serialise(&SegmentOpened::new(self.open.requests(), &self.tree))
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
    event: Option<Arc<Event>>,
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
    /// All that is written is to be durable, whether or not a record is waited for.
    wanted: bool,
    /// When all that was written was durable.
    clean_at: Instant,
    open: usize,
    id: Arc<str>,
    /// Trees that are to be signed once they are durable: one each [`checkpoint::RECORDS_MAX`] records.
    due: VecDeque<Tree>,
    /// The tree over all that is written.
    tree: Tree,
    /// The tree over all that is durable.
    synced_tree: Tree,
    /// Records under the last checkpoint.
    signed: u64,
    signed_at: Instant,
    space: Space,
}

impl Commit {
    /// Whether what is written is to be made durable now: somebody waits for some of it, or it has waited for
    /// [`TICK`] itself.
    fn is_due(&self, synced: &Progress) -> bool {
        self.written != self.synced
            && (self.wanted || self.clean_at.elapsed() >= TICK || synced.is_awaited(self.written.0))
    }
}

/// How much room the disk has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Space {
    /// Enough.
    #[default]
    Enough,
    /// Under the warning threshold.
    Low,
    /// Under the threshold at which no new attempt is taken.
    Refusing,
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
    /// The disk is nearly full: no new attempts.
    full: AtomicBool,
    /// The spool of the sinks is full: no new attempts.
    held: AtomicBool,
    checkpoint: watch::Sender<Option<Arc<Checkpoint>>>,
    storage: Arc<dyn Storage>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// `chain` is written and durable; `signed` of its records stand under a checkpoint.
    pub(super) fn new(options: Options, chain: &Chain, signed: u64) -> Self {
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
                wanted: false,
                clean_at: Instant::now(),
                open: chain.open.len(),
                id: Arc::clone(&chain.id),
                due: VecDeque::new(),
                tree: chain.tree.clone(),
                synced_tree: chain.tree.clone(),
                signed,
                signed_at: Instant::now(),
                space: Space::default(),
            }),
            full: AtomicBool::new(false),
            held: AtomicBool::new(false),
            checkpoint: watch::Sender::new(None),
            storage: Arc::clone(&chain.storage),
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
        self.queue(json, Some(Arc::new(event)), mark)
    }

    /// As [`Shared::push`], of an event that subscribers are not told.
    pub(super) fn queue(
        &self,
        json: Vec<u8>,
        event: Option<Arc<Event>>,
        mark: Mark,
    ) -> Result<u64, CannotRecord> {
        let mut queue = lock(&self.queue);
        let full = queue.items.len() >= self.options.queue_records_max
            || queue.bytes + json.len() > self.options.queue_bytes_max;
        let full = full || self.full.load(Relaxed) || self.held.load(Relaxed);
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
        let begun = Instant::now();
        if let Some(told) = self.synced.wait_for(position)? {
            self.demand(position);
            told.await.map_err(|_| CannotRecord)?;
        }
        if let Some(histogram) = &self.options.commit_wait {
            histogram.observe(begun.elapsed().as_secs_f64());
        }
        Ok(())
    }

    /// Wakes the committer if the record that is now waited for is written; if it is not, the writer will.
    fn demand(&self, position: u64) {
        let written = lock(&self.commit).written.0 >= position;
        if written {
            self.commit_changed.notify_all();
        }
    }

    /// Whether new attempts are refused until told otherwise.
    pub(super) fn hold_attempts(&self, hold: bool) {
        self.held.store(hold, Relaxed);
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
            seq_signed: commit.signed,
            space: commit.space,
        }
    }

    pub(super) fn storage(&self) -> Arc<dyn Storage> {
        Arc::clone(&self.storage)
    }

    /// The newest checkpoint, as soon as it is durable.
    pub(super) fn checkpoints(&self) -> watch::Receiver<Option<Arc<Checkpoint>>> {
        self.checkpoint.subscribe()
    }

    /// Signs what is due: each [`checkpoint::RECORDS_MAX`] records, each second in which there was a record, and the
    /// end.
    fn sign_checkpoints(&self, file: &mut Option<Arc<dyn Segment>>, ends: bool) -> io::Result<()> {
        let Some(signer) = &self.options.signer else {
            return Ok(());
        };
        let (chain, trees) = {
            let mut commit = lock(&self.commit);
            let synced = commit.synced.1;
            let mut trees: Vec<Tree> = Vec::new();
            while let Some(tree) = commit.due.pop_front_if(|tree| tree.size() <= synced) {
                trees.push(tree);
            }
            let last = trees.last().map_or(commit.signed, Tree::size);
            let size = commit.synced_tree.size();
            if size > last
                && (ends
                    || size - commit.signed >= checkpoint::RECORDS_MAX
                    || commit.signed_at.elapsed() >= TICK)
            {
                trees.push(commit.synced_tree.clone());
            }
            (Arc::clone(&commit.id), trees)
        };
        let Some(last) = trees.last().map(Tree::size) else {
            return Ok(());
        };
        let time = now();
        let signed: Vec<Checkpoint> = trees
            .iter()
            .map(|t| signer.sign(&chain, t, &time))
            .collect();
        let file = match file {
            Some(file) => file,
            None => {
                let opened = match self.storage.append(checkpoint::FILE) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {
                        let made = self.storage.create(checkpoint::FILE)?;
                        self.storage.sync_directory()?;
                        made
                    }
                    other => other?,
                };
                file.insert(opened)
            }
        };
        let text: String = signed.iter().map(|c| format!("{}\n", c.note)).collect();
        write_all(file.as_ref(), text.as_bytes())?;
        file.sync()?;
        {
            let mut commit = lock(&self.commit);
            commit.signed = last;
            commit.signed_at = Instant::now();
        }
        if let Some(newest) = signed.into_iter().next_back() {
            self.checkpoint.send_replace(Some(Arc::new(newest)));
        }
        Ok(())
    }

    fn look_at_space(&self) {
        let Ok(Some((free, total))) = self.storage.space() else {
            return;
        };
        let under = |per_mille: u64, bytes: u64| {
            free < bytes && u128::from(free) * 1000 < u128::from(total) * u128::from(per_mille)
        };
        let space = if under(SPACE_REFUSE.0, SPACE_REFUSE.1) {
            Space::Refusing
        } else if under(SPACE_WARN.0, SPACE_WARN.1) {
            Space::Low
        } else {
            Space::Enough
        };
        self.full.store(space == Space::Refusing, Relaxed);
        let before = std::mem::replace(&mut lock(&self.commit).space, space);
        if before != space {
            match space {
                Space::Enough => tracing::info!(free, "the audit log's disk has room again"),
                Space::Low => tracing::warn!(free, "the audit log's disk is getting full"),
                Space::Refusing => {
                    tracing::error!(
                        free,
                        "the audit log's disk is nearly full: requests are answered 503"
                    );
                }
            }
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
        commit.wanted = true;
        shared.commit_changed.notify_all();
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
    let mut due = Vec::new();
    for item in batch.drain(..) {
        chain.frame(synced, &item.json, &item.mark);
        if shared.options.signer.is_some() && chain.seq.is_multiple_of(checkpoint::RECORDS_MAX) {
            due.push(chain.tree.clone());
        }
        if let Some(event) = item.event.filter(|_| watched) {
            shared.feed.written(Committed {
                chain: Arc::clone(&chain.id),
                seq: chain.seq,
                hash: chain.hash,
                event,
            });
        }
    }
    chain.flush()?;
    {
        let mut commit = lock(&shared.commit);
        if commit.synced == commit.written {
            commit.clean_at = Instant::now();
        }
        commit.segment = Arc::clone(&chain.segment);
        commit.written = (position, chain.seq);
        commit.open = chain.open.len();
        // A checkpoint is over what is durable.
        commit.wanted |= !due.is_empty();
        commit.due.extend(due);
        commit.tree = chain.tree.clone();
        if commit.is_due(&shared.synced) {
            shared.commit_changed.notify_all();
        }
    }
    shared.written.advance(position);
    Ok(())
}

/// The committer thread. Also signs checkpoints, and looks at the room on the disk.
pub(super) fn commit(shared: &Shared) {
    let _guard = FailOnPanic(shared);
    let mut checkpoints = None;
    loop {
        let due = {
            let mut commit = lock(&shared.commit);
            loop {
                if commit.failed {
                    return;
                }
                if commit.closed || commit.is_due(&shared.synced) {
                    break;
                }
                let wait = shared
                    .commit_changed
                    .wait_timeout(commit, TICK)
                    .unwrap_or_else(PoisonError::into_inner);
                commit = wait.0;
                if wait.1.timed_out() {
                    break;
                }
            }
            (commit.written != commit.synced).then(|| {
                (
                    Arc::clone(&commit.segment),
                    commit.written,
                    commit.tree.clone(),
                )
            })
        };
        if let Some((segment, written, tree)) = due
            && let Err(error) = sync(shared, segment.as_ref(), written, tree)
        {
            tracing::error!(%error, "the audit log cannot be synced; nothing is served until a restart");
            shared.fail();
            return;
        }
        shared.look_at_space();
        let ends = {
            let commit = lock(&shared.commit);
            commit.closed && commit.written == commit.synced
        };
        if let Err(error) = shared.sign_checkpoints(&mut checkpoints, ends) {
            tracing::error!(%error, "no checkpoint can be written; nothing is served until a restart");
            shared.fail();
            return;
        }
        if ends {
            break;
        }
    }
    shared.end();
}

fn sync(shared: &Shared, segment: &dyn Segment, written: (u64, u64), tree: Tree) -> io::Result<()> {
    let begun = Instant::now();
    segment.sync()?;
    let took = begun.elapsed();
    let took_us = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    {
        let mut commit = lock(&shared.commit);
        commit.synced = written;
        if commit.synced == commit.written {
            commit.wanted = false;
        } else {
            commit.clean_at = begun;
        }
        commit.commits += 1;
        commit.commit_us_total = commit.commit_us_total.saturating_add(took_us);
        commit.commit_us_last = took_us;
        commit.committed_at = Some(SystemTime::now());
        commit.synced_tree = tree;
    }
    shared.commit_changed.notify_all();
    shared.feed.committed(written.1);
    shared.synced.advance(written.0);
    Ok(())
}
