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

    /// Whether somebody waits for a position up to this one.
    pub(super) fn is_awaited(&self, position: u64) -> bool {
        let state = self.lock();
        state.waiting.iter().any(|(wanted, _)| *wanted <= position)
    }

    /// Nothing more will come: who still waits is told so.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.waiting.clear();
    }

    /// Returns when `position` is there.
    pub(super) async fn reach(&self, position: u64) -> Result<(), CannotRecord> {
        match self.wait_for(position)? {
            Some(told) => told.await.map_err(|_| CannotRecord),
            None => Ok(()),
        }
    }

    /// Joins those who wait for `position`: what tells when it is there, or `None` if it is there already.
    pub(super) fn wait_for(
        &self,
        position: u64,
    ) -> Result<Option<oneshot::Receiver<()>>, CannotRecord> {
        let mut state = self.lock();
        if state.position >= position {
            return Ok(None);
        }
        if state.ended {
            return Err(CannotRecord);
        }
        let (teller, told) = oneshot::channel();
        state.waiting.push((position, teller));
        Ok(Some(told))
    }
}
