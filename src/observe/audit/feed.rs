//! Committed records for whoever watches from inside the process: bounded, and lossy with a count. What must not be
//! missed is read from the files.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::broadcast;

use crate::engine::event::Event;

/// Most records that a slow subscriber finds waiting; older ones are lost to it, and counted.
pub const FEED_RECORDS_MAX: usize = 4_096;

/// A record that is durable.
#[derive(Debug, Clone)]
pub struct Committed {
    /// The chain's id.
    pub chain: Arc<str>,
    /// Sequence number; with `chain`, the record's name for ever.
    pub seq: u64,
    /// The record's hash (RFC 9162 leaf hash).
    pub hash: [u8; 32],
    /// What was recorded.
    pub event: Arc<Event>,
}

/// What a subscriber gets.
#[derive(Debug, Clone)]
pub enum Fed {
    /// The next record.
    Record(Committed),
    /// This many records were lost to this subscriber, which was too slow. The files have them.
    Lost(u64),
}

/// Records of one log, in order, from the moment of the subscription on. The log's own records about segments and
/// checkpoints are not among them, so sequence numbers have gaps.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<Committed>);

impl Subscription {
    /// The next one; `None` when the log has ended. Cancel safe.
    pub async fn next(&mut self) -> Option<Fed> {
        match self.0.recv().await {
            Ok(record) => Some(Fed::Record(record)),
            Err(broadcast::error::RecvError::Lagged(lost)) => Some(Fed::Lost(lost)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The log's side.
pub(super) struct Feed {
    /// Gone once the log has ended.
    sender: Mutex<Option<broadcast::Sender<Committed>>>,
    /// Written, not yet durable.
    written: Mutex<VecDeque<Committed>>,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self {
            sender: Mutex::new(Some(broadcast::Sender::new(FEED_RECORDS_MAX))),
            written: Mutex::default(),
        }
    }

    fn sender(&self) -> Option<broadcast::Sender<Committed>> {
        self.sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn subscribe(&self) -> Subscription {
        Subscription(match self.sender() {
            Some(sender) => sender.subscribe(),
            None => broadcast::Sender::new(1).subscribe(),
        })
    }

    /// Whether anybody listens; nothing is kept for nobody.
    pub(super) fn is_watched(&self) -> bool {
        self.sender().is_some_and(|s| s.receiver_count() > 0)
    }

    pub(super) fn written(&self, record: Committed) {
        self.written
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back(record);
    }

    /// Everything up to `seq` is durable.
    pub(super) fn committed(&self, seq: u64) {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        if written.is_empty() {
            return;
        }
        let Some(sender) = self.sender() else {
            written.clear();
            return;
        };
        while let Some(record) = written.pop_front_if(|record| record.seq <= seq) {
            // The last subscriber may have left.
            let _ = sender.send(record);
        }
    }

    /// Nothing more will come.
    pub(super) fn end(&self) {
        self.sender
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}
