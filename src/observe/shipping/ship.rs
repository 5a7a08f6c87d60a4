//! From the log to one sink: at least once, in order, for as long as it takes.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio::sync::watch;

use super::behind::{Batch, Behind};
use super::{Cursor, Format, millis};
use crate::observe::audit::Log;

/// The sink did not acknowledge; the same records come again. The text holds nothing of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not acknowledged: {0}")]
pub struct NotTaken(pub String);

impl From<io::Error> for NotTaken {
    fn from(error: io::Error) -> Self {
        Self(error.to_string())
    }
}

/// Takes records.
pub trait Sink: Send + Sync {
    /// Returns when the records are safe there.
    fn deliver(
        &mut self,
        format: Format,
        records: &[Value],
    ) -> impl Future<Output = Result<(), NotTaken>> + Send;
}

/// How to ship.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Most records of a batch.
    pub records_max: usize,
    /// A batch ends once it is bigger than this, bytes of the log.
    pub bytes_max: usize,
    /// How often to look for new records.
    pub idle: Duration,
    /// Wait after the first failure; doubled after each further one…
    pub retry: Duration,
    /// …up to this.
    pub retry_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            records_max: 1_000,
            bytes_max: 1 << 20,
            idle: Duration::from_millis(250),
            retry: Duration::from_millis(500),
            retry_max: Duration::from_secs(30),
        }
    }
}

/// How far a sink is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Progress {
    /// The last record that it has acknowledged: what retention may take.
    pub shipped: u64,
    /// Failures since then; 0 = it works.
    pub failures: u64,
    /// Failures since the start of the process.
    pub failures_total: u64,
    /// When the first of `failures` was.
    pub failing_since: Option<Instant>,
    /// Time of the oldest record that is being delivered, Unix milliseconds.
    pub oldest_ms: Option<i64>,
    /// What went wrong last; empty = it works.
    pub error: String,
}

/// One log and one sink.
#[derive(Debug)]
pub struct Shipper<S> {
    /// What the sink is called.
    pub name: String,
    /// Told for what is durable.
    pub log: Log,
    /// Its folder.
    pub directory: PathBuf,
    /// How far the sink is.
    pub cursor: Cursor,
    /// How records are rendered.
    pub format: Format,
    /// Where they go.
    pub sink: S,
    /// How fast.
    pub pace: Pace,
    /// Told how far it came.
    pub progress: watch::Sender<Progress>,
    /// Once true: what is durable is delivered, and then the shipper ends; with the first failure it ends too.
    pub drain: watch::Receiver<bool>,
}

impl<S: Sink> Shipper<S> {
    /// Ships until drained. The cursor moves after each acknowledgement; what was sent and not acknowledged is sent
    /// again, also after a restart.
    pub async fn run(mut self) {
        let mut behind: Option<Behind> = None;
        let mut wait = self.pace.retry;
        loop {
            let draining = *self.drain.borrow();
            match self.step(behind.take()).await {
                Ok((reader, true)) => {
                    behind = Some(reader);
                    wait = self.pace.retry;
                }
                Ok((reader, false)) => {
                    if draining {
                        return;
                    }
                    behind = Some(reader);
                    wait = self.pace.retry;
                    self.pause(self.pace.idle).await;
                }
                Err(error) => {
                    self.failed(&error);
                    if draining {
                        return;
                    }
                    self.pause(wait).await;
                    wait = (wait * 2).min(self.pace.retry_max);
                }
            }
        }
    }

    /// Delivers one batch, if there is one. After an error the next step begins at the cursor again.
    async fn step(&mut self, reader: Option<Behind>) -> Result<(Behind, bool), NotTaken> {
        let reader = match reader {
            Some(reader) => reader,
            None => self.start().await?,
        };
        let (reader, batch) = self.read(reader, self.pace.records_max).await?;
        let Some((chain, seq)) = batch.end() else {
            self.progress.send_if_modified(|p| {
                let news = p.oldest_ms.is_some() || p.failures > 0;
                *p = Progress {
                    shipped: p.shipped,
                    failures_total: p.failures_total,
                    ..Progress::default()
                };
                news
            });
            return Ok((reader, false));
        };
        let oldest = batch.records.first().map(millis);
        self.progress.send_modify(|p| p.oldest_ms = oldest);
        self.sink.deliver(self.format, &batch.records).await?;
        let mut cursor = self.cursor.clone();
        let chain = chain.to_owned();
        let moved = tokio::task::spawn_blocking(move || {
            cursor.advance(&chain, seq)?;
            Ok::<_, io::Error>(cursor)
        });
        let moved = moved.await.map_err(|e| NotTaken(e.to_string()))?;
        self.cursor = moved.map_err(|e| NotTaken(format!("the cursor cannot be written: {e}")))?;
        self.progress.send_modify(|p| {
            *p = Progress {
                shipped: seq,
                failures_total: p.failures_total,
                ..Progress::default()
            }
        });
        Ok((reader, true))
    }

    /// From the cursor on; from the beginning if it is of another chain.
    async fn start(&self) -> Result<Behind, NotTaken> {
        let (_, first) = self.read(Behind::new(&self.directory, 0), 1).await?;
        let same = first
            .end()
            .is_none_or(|(chain, _)| chain == self.cursor.chain());
        let seq = if same { self.cursor.seq() } else { 0 };
        if let Some((_, first)) = first.end()
            && same
            && seq > 0
            && first > seq + 1
        {
            tracing::error!(sink = %self.name, from = seq + 1, to = first - 1, "records were removed before this sink had them");
        }
        self.progress.send_modify(|p| p.shipped = seq);
        Ok(Behind::new(&self.directory, seq))
    }

    /// Reads off the threads that serve.
    async fn read(&self, mut reader: Behind, records: usize) -> Result<(Behind, Batch), NotTaken> {
        let (synced, bytes) = (self.log.stats().seq_synced, self.pace.bytes_max);
        let read = tokio::task::spawn_blocking(move || {
            let batch = reader.take(synced, records, bytes)?;
            Ok::<_, io::Error>((reader, batch))
        });
        let read = read.await.map_err(|e| NotTaken(e.to_string()))?;
        read.map_err(|e| NotTaken(format!("the audit log cannot be read: {e}")))
    }

    /// Waits, but no longer than until a drain begins.
    async fn pause(&mut self, time: Duration) {
        if *self.drain.borrow() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = begun(&mut self.drain) => {}
        }
    }

    fn failed(&self, error: &NotTaken) {
        self.progress.send_modify(|p| {
            p.failures += 1;
            p.failures_total += 1;
            p.failing_since.get_or_insert_with(Instant::now);
            p.error.clone_from(&error.0);
        });
        tracing::warn!(sink = %self.name, %error, "audit shipping");
    }
}

/// Returns when a drain begins.
pub(super) async fn begun(drain: &mut watch::Receiver<bool>) {
    if drain.wait_for(|begun| *begun).await.is_err() {
        // Nobody is left who could ask for one.
        std::future::pending::<()>().await;
    }
}
