//! How far the queue's records have come, and who waits for which. Only those are woken whose record is there.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use super::CannotRecord;

/// Positions up to one have reached a state (written, or durable).
#[derive(Default)]
pub(super) struct Progress(Mutex<State>);

#[derive(Default)]
struct State {
    position: u64,
    /// It will not come further.
    ended: bool,
    waiting: Vec<(u64, oneshot::Sender<()>)>,
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything up to `position` is there.
    pub(super) fn advance(&self, position: u64) {
        let there: Vec<_> = {
            let mut state = self.lock();
            state.position = position;
            state
                .waiting
                .extract_if(.., |(wanted, _)| *wanted <= position)
                .collect()
        };
        for (_, waiter) in there {
            // A caller that went away no longer listens.
            let _ = waiter.send(());
        }
    }

    /// Nothing more will come: who still waits is told so.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.waiting.clear();
    }

    /// Returns when `position` is there.
    pub(super) async fn reach(&self, position: u64) -> Result<(), CannotRecord> {
        let told = {
            let mut state = self.lock();
            if state.position >= position {
                return Ok(());
            }
            if state.ended {
                return Err(CannotRecord);
            }
            let (teller, told) = oneshot::channel();
            state.waiting.push((position, teller));
            told
        };
        told.await.map_err(|_| CannotRecord)
    }
}
