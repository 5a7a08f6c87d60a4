//! Each signed checkpoint to a witness over HTTP: what proves that the end of the log was not cut off.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::watch;

use super::ship::begun;
use super::{Cursor, NotTaken, Pace, Post, Progress};
use crate::observe::audit::{CHECKPOINTS_FILE, whole_checkpoints};

/// Most bytes of checkpoints in one request.
const BODY_BYTES_MAX: u64 = 256 << 10;

/// POSTs what is appended to the file of checkpoints, in order, as `text/plain`: signed notes with an empty line after
/// each, so that the bodies one after the other are a file for `privet audit verify --witness`. At least once: the
/// cursor moves after a status 2xx.
#[derive(Debug)]
pub struct HttpWitness {
    /// The audit folder.
    pub directory: PathBuf,
    /// Chain, and number of records under the last checkpoint that was taken.
    pub cursor: Cursor,
    /// The witness.
    pub post: Post,
    /// How fast.
    pub pace: Pace,
    /// Told how far it came.
    pub progress: watch::Sender<Progress>,
    /// Once true: what is there is sent, and then it ends.
    pub drain: watch::Receiver<bool>,
}

/// Checkpoints in their text.
struct Piece {
    text: String,
    /// Chain and size of the last one.
    last: Option<(String, u64)>,
    /// Where the file goes on.
    next: u64,
}

impl HttpWitness {
    /// Sends until drained.
    pub async fn run(mut self) {
        let mut offset = 0;
        let mut wait = self.pace.retry;
        loop {
            let draining = *self.drain.borrow();
            let pause = match self.step(offset).await {
                Ok((next, sent)) => {
                    offset = next;
                    wait = self.pace.retry;
                    if sent {
                        continue;
                    }
                    self.pace.idle
                }
                Err(error) => {
                    self.progress.send_modify(|p| {
                        p.failures += 1;
                        p.failures_total += 1;
                        p.failing_since.get_or_insert_with(std::time::Instant::now);
                        p.error.clone_from(&error.0);
                    });
                    tracing::warn!(%error, "the witness of the audit log");
                    let pause = wait;
                    wait = (wait * 2).min(self.pace.retry_max);
                    pause
                }
            };
            if draining {
                return;
            }
            self.rest(pause).await;
        }
    }

    async fn rest(&mut self, time: Duration) {
        tokio::select! {
            () = tokio::time::sleep(time) => {}
            () = begun(&mut self.drain) => {}
        }
    }

    /// Where the file goes on, and whether anything was there.
    async fn step(&mut self, offset: u64) -> Result<(u64, bool), NotTaken> {
        let file = self.directory.join(CHECKPOINTS_FILE);
        let (chain, size) = (self.cursor.chain().to_owned(), self.cursor.seq());
        let read = tokio::task::spawn_blocking(move || piece(&file, offset, &chain, size));
        let piece = read.await.map_err(|e| NotTaken(e.to_string()))??;
        let Some((chain, size)) = piece.last else {
            return Ok((piece.next, piece.next > offset));
        };
        let body = piece.text.into_bytes().into();
        self.post.send("text/plain; charset=utf-8", body).await?;
        let mut cursor = self.cursor.clone();
        let moved = tokio::task::spawn_blocking(move || {
            cursor.advance(&chain, size)?;
            Ok::<_, io::Error>(cursor)
        });
        self.cursor = moved.await.map_err(|e| NotTaken(e.to_string()))??;
        self.progress.send_modify(|p| {
            *p = Progress {
                shipped: size,
                failures_total: p.failures_total,
                ..Progress::default()
            }
        });
        Ok((piece.next, true))
    }
}

/// The whole checkpoints from `offset` on that are over more records than `size` of `chain`.
fn piece(file: &PathBuf, offset: u64, chain: &str, size: u64) -> io::Result<Piece> {
    let mut file = match File::open(file) {
        Ok(file) => file,
        // The first one has yet to be signed.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Piece {
                text: String::new(),
                last: None,
                next: offset,
            });
        }
        Err(error) => return Err(error),
    };
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(BODY_BYTES_MAX).read_to_end(&mut bytes)?;
    let (found, read) = whole_checkpoints(&bytes)
        .map_err(|what| io::Error::new(io::ErrorKind::InvalidData, what))?;
    let fresh: Vec<_> = found
        .iter()
        .filter(|c| *c.chain != *chain || c.size > size)
        .collect();
    Ok(Piece {
        text: fresh.iter().map(|c| format!("{}\n", c.note)).collect(),
        last: fresh.last().map(|c| (c.chain.to_string(), c.size)),
        next: offset + read,
    })
}
