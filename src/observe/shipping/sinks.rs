//! The sinks that need no protocol of their own: a file, standard output, and receivers over HTTP.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Format, NotTaken, Post, Sink, Wire};

/// A file that records are appended to, as JSON lines (mode 0600). Synced before they count as delivered; a line that
/// a crash left half is cut off first, and comes again.
#[derive(Debug)]
pub struct FileSink {
    /// The file; made if it is not there.
    pub path: PathBuf,
}

impl Sink for FileSink {
    async fn deliver(&mut self, format: Format, records: &[Value]) -> Result<(), NotTaken> {
        let text = Wire::Lines.body(format, records);
        let path = self.path.clone();
        let appended = tokio::task::spawn_blocking(move || append(&path, &text));
        appended.await.map_err(|e| NotTaken(e.to_string()))??;
        Ok(())
    }
}

fn append(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)?;
    let whole = whole_lines(&mut file)?;
    file.set_len(whole)?;
    file.seek(SeekFrom::Start(whole))?;
    file.write_all(text)?;
    file.sync_all()
}

/// Bytes up to the last newline.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    const STEP: u64 = 64 << 10;
    let mut end = file.metadata()?.len();
    let mut piece = Vec::new();
    while end > 0 {
        let from = end.saturating_sub(STEP);
        file.seek(SeekFrom::Start(from))?;
        piece.clear();
        Read::by_ref(file)
            .take(end - from)
            .read_to_end(&mut piece)?;
        if let Some(at) = memchr::memrchr(b'\n', &piece) {
            return Ok(from + at as u64 + 1);
        }
        end = from;
    }
    Ok(0)
}

/// Standard output, as JSON lines. What reads it cannot acknowledge: written is delivered.
#[derive(Debug)]
pub struct StdoutSink;

impl Sink for StdoutSink {
    async fn deliver(&mut self, format: Format, records: &[Value]) -> Result<(), NotTaken> {
        let text = Wire::Lines.body(format, records);
        // A reader that is slow must not hold a thread that serves.
        let written = tokio::task::spawn_blocking(move || {
            let mut output = io::stdout().lock();
            output.write_all(&text)?;
            output.flush()
        });
        written.await.map_err(|e| NotTaken(e.to_string()))??;
        Ok(())
    }
}

/// A receiver over HTTP: a status 2xx whose body says so acknowledges the batch.
#[derive(Debug)]
pub struct HttpSink {
    /// Where to.
    pub post: Post,
    /// What it speaks.
    pub wire: Wire,
}

impl Sink for HttpSink {
    async fn deliver(&mut self, format: Format, records: &[Value]) -> Result<(), NotTaken> {
        let body = self.wire.body(format, records);
        let answer = self
            .post
            .send(self.wire.content_type(), body.into())
            .await?;
        if self.wire.took_all(&answer) {
            Ok(())
        } else {
            Err(NotTaken("the receiver refused some of the records".into()))
        }
    }
}
