//! The audit log: attempt and outcome as JSON lines, ordered and durable.

use crate::engine::event::Event;

/// The log cannot take the record. There is no fail-open switch: the answer is 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the audit log cannot record")]
pub struct CannotRecord;

/// The log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Log {}

/// A recorded attempt, to be closed by its outcome.
#[derive(Debug)]
pub struct Ticket {
    _private: (),
}

impl Log {
    /// Records an attempt: on return it has been written (`write(2)`), not yet synced.
    ///
    /// # Errors
    /// [`CannotRecord`]: nothing may go upstream.
    pub async fn attempt(&self, _event: Event) -> Result<Ticket, CannotRecord> {
        Err(CannotRecord)
    }

    /// Records the outcome; on return it and its attempt are durable (`fdatasync`).
    ///
    /// # Errors
    /// [`CannotRecord`]: the last chunk of the answer may not leave.
    pub async fn outcome(&self, _ticket: Ticket, _event: Event) -> Result<(), CannotRecord> {
        Err(CannotRecord)
    }
}

impl Ticket {
    /// Returns when the attempt is durable.
    ///
    /// # Errors
    /// [`CannotRecord`]: no write may go upstream, no body byte to the client.
    pub async fn durable(&mut self) -> Result<(), CannotRecord> {
        Err(CannotRecord)
    }
}
