//! The audit log: attempt and outcome as JSON lines, ordered and durable.
//!
//! # Files
//!
//! A folder holds one chain in segments, `audit-<first sequence number, 16 digits>.jsonl`. Each line is one record:
//!
//! ```json
//! {"chain":"0192…","seq":17,"synced":15,"prev":"<hash of record 16>","event":{…},"hash":"<SHA-256>"}
//! ```
//!
//! * `chain`: a UUID, new for each folder. `(chain, seq)` names a record for ever.
//! * `seq`: from 1, without gaps, over segments and restarts.
//! * `synced`: every record up to this one was durable when this one was written. It tells a torn tail (never
//!   acknowledged as durable: cut at the next start) from damage (refuse to start).
//! * `prev`: the `hash` of the record before; 64 zeros in record 1.
//! * `event`: an [`Event`]. The last event of a request has the same `request_id` as its first.
//! * `hash`: the RFC 9162 leaf hash, SHA-256(0x00 ‖ the line's bytes before `,"hash":`). It is checksum and chain
//!   link in one, and ready to be a leaf of a Merkle tree.
//!
//! A chain that anybody can compute proves that nothing *inside* it was changed. That it was not written anew is proved
//! by the signed [`Checkpoint`]s beside it, one at least every second or 1,000 records; that its end was not cut off
//! together with the newest of them, by a copy of those kept elsewhere (the witness), or by an [`Anchor`], `seq:hash` of
//! a record.
//!
//! Old segments go by [`Log::retire`], which records that they went; the checkpoints stay, and each segment names the
//! right edge of the Merkle tree before it, so that the checkpoints can still be held against what is left.
//!
//! # Order
//!
//! [`Log::attempt`] returns when the record is written (`write(2)`), [`Ticket::durable`] when it is synced
//! (`fdatasync(2)`), [`Log::outcome`] when its own record is synced. A request's attempt always stands before its
//! outcome. A dropped [`Ticket`] writes its outcome itself; a crash leaves that to the next start, which closes
//! every open attempt as `unknown`. Each segment begins with a `segment-opened` event that names the attempts
//! open at that moment, so a start need not read the whole chain to find them.
//!
//! # Failure
//!
//! Any failed write (the rest of a short one is written again; a full disk fails that) and any failed sync ends the
//! log: everything after answers [`CannotRecord`], also what is waiting, and nothing is tried again on that file. A restart recovers. A full queue answers
//! [`CannotRecord`] at once to new attempts; outcomes of attempts that were taken are always queued.

mod checkpoint;
mod feed;
mod ledger;
mod progress;
mod record;
mod retention;
mod scan;
mod storage;
#[cfg(test)]
mod tests;
mod tree;
mod witness;
mod writer;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;

use tokio::sync::watch;

use crate::engine::event::{Control, Ending, Event, Kind, Outcome};

pub use checkpoint::{Checkpoint, FILE as CHECKPOINTS_FILE, PublicKey, Signer, whole_checkpoints};
pub use feed::{Committed, FEED_RECORDS_MAX, Fed, Subscription};
pub use ledger::{Access, Certainty, WhoSaw, who_saw};
pub use retention::{Retention, RetentionError};
pub use scan::{Anchor, Checks, Damage, Verified, VerifyError, records, verify};
pub use witness::copy_to_file;
pub use writer::Space;

use scan::{RecoverError, segment_name};
use storage::{Directory, Storage};
use tree::Tree;
use writer::{Chain, Mark, Shared};

/// The log cannot take the record. There is no fail-open switch: the answer is 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot record")]
pub struct CannotRecord;

/// Bounds of the log.
#[derive(Debug, Clone)]
pub struct Options {
    /// A segment that has reached this size is followed by a new one, bytes.
    pub segment_bytes_max: u64,
    /// Most records that wait to be written; more attempts are refused.
    pub queue_records_max: usize,
    /// Most bytes that wait to be written; more attempts are refused.
    pub queue_bytes_max: usize,
    /// How much of the chain's newest part a start verifies, bytes; never less than two segments.
    pub verify_bytes_max: u64,
    /// Signs checkpoints; `None` = there are none.
    pub signer: Option<Arc<Signer>>,
    /// Told how long each wait for a record to be durable took, seconds.
    pub commit_wait: Option<prometheus::Histogram>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_bytes_max: 64 << 20,
            queue_records_max: 8_192,
            queue_bytes_max: 16 << 20,
            verify_bytes_max: 1 << 30,
            signer: None,
            commit_wait: None,
        }
    }
}

/// Why the log does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The folder cannot be read or written, or another process holds it.
    #[error("cannot open the audit folder {directory}: {source}")]
    Io {
        /// The folder.
        directory: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A record was changed, removed or broken after it was durable.
    #[error(
        "the audit log in {directory} is damaged: {damage}\n  = help: look with `privet audit verify {directory}`; to go on, move the folder away as evidence and start a new chain"
    )]
    Damaged {
        /// The folder.
        directory: PathBuf,
        /// Where.
        damage: Damage,
    },
}

/// A look at the log, for metrics and health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    /// Records waiting to be written.
    pub queue_records: usize,
    /// Their bytes.
    pub queue_bytes: usize,
    /// True once the log has failed: every request is answered 503 until a restart.
    pub failed: bool,
    /// Last record written.
    pub seq_written: u64,
    /// Last record known to be durable.
    pub seq_synced: u64,
    /// Attempts without outcome.
    pub open_attempts: usize,
    /// Commits since the log was opened.
    pub commits: u64,
    /// Time spent in them, microseconds.
    pub commit_us_total: u64,
    /// Time of the last one, microseconds.
    pub commit_us_last: u64,
    /// When the last one ended.
    pub committed_at: Option<SystemTime>,
    /// Last record under a signed checkpoint.
    pub seq_signed: u64,
    /// Room on the disk.
    pub space: Space,
}

/// The log. Cheap to clone; when the last clone and the last ticket are gone, what is queued is written and synced.
#[derive(Clone)]
pub struct Log {
    threads: Arc<Threads>,
}

struct Threads {
    shared: Arc<Shared>,
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.close();
        let handles = std::mem::take(
            self.handles
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        for handle in handles {
            // A panic in the thread has failed the log already.
            let _ = handle.join();
        }
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Log").field(&self.stats()).finish()
    }
}

impl Log {
    /// Opens the chain in `directory`, making folder and chain if there is none; recovers from a crash: cuts a torn
    /// tail (copied aside, told by a `recovered` event) and closes attempts without outcome as `unknown`. Blocks.
    ///
    /// # Errors
    /// [`OpenError`]: privet must not serve.
    pub fn open(directory: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let directory = directory.as_ref();
        Directory::lock(directory)
            .map_err(RecoverError::Io)
            .and_then(|storage| Self::open_on(Arc::new(storage), options))
            .map_err(|error| match error {
                RecoverError::Io(source) => OpenError::Io {
                    directory: directory.to_owned(),
                    source,
                },
                RecoverError::Damaged(damage) => OpenError::Damaged {
                    directory: directory.to_owned(),
                    damage,
                },
            })
    }

    fn open_on(storage: Arc<dyn Storage>, options: Options) -> Result<Self, RecoverError> {
        let recovered = scan::recover(storage.as_ref(), options.verify_bytes_max)?;
        let walk = recovered.walk;
        let fresh = recovered.last.is_none();
        let (name, segment_bytes) = recovered
            .last
            .unwrap_or_else(|| (segment_name(walk.seq + 1), 0));
        let segment = if fresh {
            storage.create(&name)?
        } else {
            storage.append(&name)?
        };
        // Also after a crash between making a segment and making its name durable.
        storage.sync_directory()?;
        let mut chain = Chain {
            storage,
            segment,
            segment_bytes,
            id: walk
                .chain
                .unwrap_or_else(|| uuid::Uuid::now_v7().to_string().into()),
            seq: walk.seq,
            hash: walk.hash,
            tree: walk.tree,
            open: walk.open,
            buffer: Vec::new(),
        };
        // What was read back is not known to be durable before the sync below.
        let synced = 0;
        if segment_bytes == 0 {
            chain.frame_segment_opened(synced)?;
        }
        if let Some((bytes, aside)) = recovered.cut {
            let detail = format!("cut {bytes} bytes of a torn tail, copied to {aside}");
            let event = control_event("recovered", detail);
            frame(&mut chain, synced, &event, &Mark::Control)?;
        }
        for request in chain.open.requests() {
            let event = closing_event(
                Arc::clone(&request),
                None,
                Ending::Unknown,
                "no outcome was recorded",
            );
            frame(&mut chain, synced, &event, &Mark::Outcome(request))?;
        }
        chain.flush()?;
        chain.segment.sync()?;
        let shared = Arc::new(Shared::new(options, &chain, recovered.signed));
        let writer = {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("audit-write".into())
                .spawn(move || writer::write(&shared, chain))?
        };
        let log = Self {
            threads: Arc::new(Threads {
                shared: Arc::clone(&shared),
                handles: Mutex::new(vec![writer]),
            }),
        };
        let committer = thread::Builder::new()
            .name("audit-commit".into())
            .spawn(move || writer::commit(&shared))?;
        log.threads
            .handles
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(committer);
        Ok(log)
    }

    /// Records an attempt: on return it has been written (`write(2)`), not yet synced.
    ///
    /// # Errors
    /// [`CannotRecord`]: nothing may go upstream.
    pub async fn attempt(&self, mut event: Event) -> Result<Ticket, CannotRecord> {
        event.kind = Kind::Attempt;
        let request_id = Arc::clone(&event.request_id);
        let correlation_id = event.correlation_id.clone();
        let position = self
            .shared()
            .push(event, Mark::Attempt(Arc::clone(&request_id)))?;
        // Made before the wait: a caller that goes away meanwhile still leaves an outcome.
        let ticket = Ticket {
            log: self.clone(),
            request_id,
            correlation_id,
            position,
            closed: false,
        };
        self.shared().written(position).await?;
        Ok(ticket)
    }

    /// Records the outcome; on return it and its attempt are durable (`fdatasync`). The event gets the attempt's
    /// request id.
    ///
    /// # Errors
    /// [`CannotRecord`]: the last chunk of the answer may not leave.
    pub async fn outcome(&self, mut ticket: Ticket, mut event: Event) -> Result<(), CannotRecord> {
        event.kind = Kind::Outcome;
        event.request_id = Arc::clone(&ticket.request_id);
        let mark = Mark::Outcome(Arc::clone(&ticket.request_id));
        let position = self.shared().push(event, mark)?;
        ticket.closed = true;
        self.shared().synced(position).await
    }

    /// Records a control event; on return it is durable.
    ///
    /// # Errors
    /// [`CannotRecord`].
    pub async fn control(&self, mut event: Event) -> Result<(), CannotRecord> {
        event.kind = Kind::Control;
        let position = self.shared().push(event, Mark::Control)?;
        self.shared().synced(position).await
    }

    /// Records an alert; on return it is durable. The event's `alert` says what was found.
    ///
    /// # Errors
    /// [`CannotRecord`].
    pub async fn alert(&self, mut event: Event) -> Result<(), CannotRecord> {
        event.kind = Kind::Alert;
        let position = self.shared().push(event, Mark::Control)?;
        self.shared().synced(position).await
    }

    /// Takes nothing more, writes and syncs what is queued, and returns when that is done. Tickets that are still
    /// open stay open; the next start closes them.
    ///
    /// # Errors
    /// [`CannotRecord`]: the log has failed, now or earlier.
    pub async fn close(&self) -> Result<(), CannotRecord> {
        self.shared().close();
        self.shared().ended().await
    }

    /// Durable records from now on, at most [`FEED_RECORDS_MAX`] waiting; what a slow subscriber misses is counted.
    pub fn subscribe(&self) -> Subscription {
        self.shared().subscribe()
    }

    /// The newest signed checkpoint, each time there is one: for the witness.
    pub fn checkpoints(&self) -> watch::Receiver<Option<Arc<Checkpoint>>> {
        self.shared().checkpoints()
    }

    /// While `hold` is true, new attempts are answered [`CannotRecord`]; outcomes and control events are taken.
    pub fn hold_attempts(&self, hold: bool) {
        self.shared().hold_attempts(hold);
    }

    /// A look at queue, commits and health. Takes two short locks.
    pub fn stats(&self) -> Stats {
        self.shared().stats()
    }

    fn shared(&self) -> &Shared {
        &self.threads.shared
    }
}

/// A recorded attempt, to be closed by its outcome. Dropped without one, it records that the client went away (or,
/// while panicking, that the exchange was aborted).
#[derive(Debug)]
#[must_use = "dropping a ticket closes its attempt as `client-gone`"]
pub struct Ticket {
    log: Log,
    request_id: Arc<str>,
    correlation_id: Option<Arc<str>>,
    position: u64,
    closed: bool,
}

impl Ticket {
    /// Returns when the attempt is durable.
    ///
    /// # Errors
    /// [`CannotRecord`]: no write may go upstream, no body byte to the client.
    pub async fn durable(&mut self) -> Result<(), CannotRecord> {
        self.log.shared().synced(self.position).await
    }

    /// The attempt's request id.
    pub fn request_id(&self) -> &Arc<str> {
        &self.request_id
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        let (ending, reason) = if thread::panicking() {
            (Ending::Aborted, "panic")
        } else {
            (Ending::ClientGone, "the exchange was dropped")
        };
        let request = Arc::clone(&self.request_id);
        let event = closing_event(
            Arc::clone(&request),
            self.correlation_id.take(),
            ending,
            reason,
        );
        // If the log has failed, the next start closes the attempt.
        let _ = self.log.shared().push(event, Mark::Outcome(request));
    }
}

fn serialise(event: &impl serde::Serialize) -> Result<Vec<u8>, CannotRecord> {
    serde_json::to_vec(event).map_err(|_| CannotRecord)
}

fn frame(chain: &mut Chain, synced: u64, event: &Event, mark: &Mark) -> io::Result<()> {
    let json = serialise(event).map_err(|CannotRecord| io::ErrorKind::InvalidData)?;
    chain.frame(synced, &json, mark);
    Ok(())
}

/// RFC 3339, UTC, milliseconds.
fn now() -> String {
    format!("{:.3}", jiff::Timestamp::now())
}

/// The event that begins each segment. It has the members of a control [`Event`], and the list.
#[derive(serde::Serialize)]
struct SegmentOpened {
    kind: Kind,
    time: String,
    request_id: &'static str,
    control: OpenAttempts,
}

#[derive(serde::Serialize)]
struct OpenAttempts {
    what: &'static str,
    /// Ids of the requests whose attempts are still open.
    requests: Vec<Arc<str>>,
    /// Right edge of the Merkle tree over all records before this one, in hex: with it the tree goes on when earlier
    /// segments are gone.
    tree: Vec<String>,
}

impl SegmentOpened {
    fn new(requests: Vec<Arc<str>>, tree: &Tree) -> Self {
        Self {
            kind: Kind::Control,
            time: now(),
            request_id: "",
            control: OpenAttempts {
                what: scan::SEGMENT_OPENED,
                requests,
                tree: tree.edge().iter().map(record::hex).collect(),
            },
        }
    }
}

/// A control event that happens now. `policy`: the version after it, empty where none is meant; `detail` must be free
/// of values.
pub fn control(what: &'static str, policy: Arc<str>, detail: Option<String>) -> Event {
    let mut event = control_event(what, String::new());
    event.control = Some(Control {
        what,
        policy,
        detail,
    });
    event
}

/// An event of the log's own.
fn control_event(what: &'static str, detail: String) -> Event {
    Event {
        kind: Kind::Control,
        time: now(),
        request_id: "".into(),
        correlation_id: None,
        who: None,
        what: None,
        outcome: None,
        control: Some(Control {
            what,
            policy: "".into(),
            detail: Some(detail),
        }),
        alert: None,
    }
}

/// The outcome of an attempt that got none.
fn closing_event(
    request_id: Arc<str>,
    correlation_id: Option<Arc<str>>,
    ending: Ending,
    reason: &str,
) -> Event {
    Event {
        kind: Kind::Outcome,
        time: now(),
        request_id,
        correlation_id,
        who: None,
        what: None,
        outcome: Some(Outcome::without_answer(ending, reason)),
        control: None,
        alert: None,
    }
}
