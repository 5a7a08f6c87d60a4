//! From the log to one sink: at least once, in order, for as long as it takes.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;

use super::Format;
use super::behind::{Batch, Behind};
use super::cursor::Cursor;
use super::wire::Wire;
use crate::observe::audit::Log;

/// Largest answer of a receiver that is read, bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// The sink did not acknowledge; the same records come again.
#[derive(Debug, thiserror::Error)]
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

/// A file that records are appended to, as JSON lines. Synced before they count as delivered.
#[derive(Debug)]
pub struct FileSink {
    /// The file; made if it is not there.
    pub path: PathBuf,
}

impl Sink for FileSink {
    async fn deliver(&mut self, format: Format, records: &[Value]) -> Result<(), NotTaken> {
        let text = Wire::Lines.body(format, records);
        let mut options = tokio::fs::OpenOptions::new();
        let mut file = options.create(true).append(true).open(&self.path).await?;
        file.write_all(&text).await?;
        file.flush().await?;
        file.sync_data().await?;
        Ok(())
    }
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
    pub url: Uri,
    /// What it speaks.
    pub wire: Wire,
    /// Headers of each request, such as `Authorization`.
    pub headers: HeaderMap,
    /// For `https`; without it only `http` goes.
    pub tls: Option<Arc<rustls::ClientConfig>>,
    /// Longest wait for the answer, connecting included.
    pub timeout: Duration,
}

impl Sink for HttpSink {
    async fn deliver(&mut self, format: Format, records: &[Value]) -> Result<(), NotTaken> {
        let body = self.wire.body(format, records);
        tokio::time::timeout(self.timeout, self.post(body))
            .await
            .map_err(|_| NotTaken("the receiver took too long".into()))?
    }
}

impl HttpSink {
    async fn post(&self, body: Vec<u8>) -> Result<(), NotTaken> {
        let is_https = self.url.scheme_str() == Some("https");
        let host = self.url.host().unwrap_or_default();
        let port = self.url.port_u16();
        let port = port.unwrap_or(if is_https { 443 } else { 80 });
        // An IPv6 address stands in brackets in a URL alone.
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let stream = TcpStream::connect((bare, port)).await?;
        if !is_https {
            return self.exchange(stream, body).await;
        }
        let Some(config) = &self.tls else {
            return Err(NotTaken("https without a trust store".into()));
        };
        let name = rustls_pki_types::ServerName::try_from(bare.to_owned())
            .map_err(|_| NotTaken("the host is no name for TLS".into()))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(config));
        let stream = connector.connect(name, stream).await?;
        self.exchange(stream, body).await
    }

    async fn exchange(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        body: Vec<u8>,
    ) -> Result<(), NotTaken> {
        let failed = |e: hyper::Error| NotTaken(e.to_string());
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let connection = tokio::spawn(connection);
        let path = self.url.path_and_query().map_or("/", |p| p.as_str());
        let host = self.url.authority().map_or("", |a| a.as_str());
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(http::header::HOST, host)
            .header(http::header::CONTENT_TYPE, self.wire.content_type())
            .body(Full::new(Bytes::from(body)))
            .map_err(|e| NotTaken(e.to_string()))?;
        request.headers_mut().extend(self.headers.clone());
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        let answer = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        connection.abort();
        let answer = answer.map_err(|e| NotTaken(e.to_string()))?.to_bytes();
        if !status.is_success() {
            return Err(NotTaken(format!("status {}", status.as_u16())));
        }
        if !self.wire.took_all(&answer) {
            return Err(NotTaken("the receiver refused some of the records".into()));
        }
        Ok(())
    }
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
            idle: Duration::from_millis(500),
            retry: Duration::from_millis(500),
            retry_max: Duration::from_secs(60),
        }
    }
}

/// How far a sink is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// The last record that it has acknowledged: what retention may take.
    pub shipped: u64,
    /// Failures since then; 0 = it works.
    pub failures: u64,
}

/// One log and one sink.
#[derive(Debug)]
pub struct Shipper<S> {
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
}

impl<S: Sink> Shipper<S> {
    /// Ships for ever. The cursor moves after each acknowledgement; what was sent and not acknowledged is sent again,
    /// also after a restart.
    pub async fn run(mut self) {
        let mut behind: Option<Behind> = None;
        loop {
            let reader = match behind.take() {
                Some(reader) => reader,
                None => match self.start().await {
                    Ok(reader) => reader,
                    Err(error) => {
                        self.failed(&error);
                        tokio::time::sleep(self.pace.retry_max).await;
                        continue;
                    }
                },
            };
            let (reader, batch) = match self.next(reader).await {
                Ok(next) => next,
                Err(error) => {
                    self.failed(&error);
                    tokio::time::sleep(self.pace.retry_max).await;
                    continue;
                }
            };
            behind = Some(reader);
            let Some((chain, seq)) = batch.end() else {
                tokio::time::sleep(self.pace.idle).await;
                continue;
            };
            let mut wait = self.pace.retry;
            while let Err(error) = self.sink.deliver(self.format, &batch.records).await {
                self.failed(&error);
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(self.pace.retry_max);
            }
            while let Err(error) = self.cursor.advance(chain, seq) {
                self.failed(&NotTaken(format!("cursor: {error}")));
                tokio::time::sleep(self.pace.retry_max).await;
            }
            self.progress.send_replace(Progress {
                shipped: seq,
                failures: 0,
            });
        }
    }

    /// From the cursor on; from the beginning if it is of another chain.
    async fn start(&self) -> Result<Behind, NotTaken> {
        let (_, first) = self.read(Behind::new(&self.directory, 0), 1).await?;
        let same = first
            .end()
            .is_none_or(|(chain, _)| chain == self.cursor.chain());
        let seq = if same { self.cursor.seq() } else { 0 };
        self.progress.send_modify(|p| p.shipped = seq);
        Ok(Behind::new(&self.directory, seq))
    }

    async fn next(&self, reader: Behind) -> Result<(Behind, Batch), NotTaken> {
        self.read(reader, self.pace.records_max).await
    }

    /// Reads off the threads that serve.
    async fn read(&self, mut reader: Behind, records: usize) -> Result<(Behind, Batch), NotTaken> {
        let (synced, bytes) = (self.log.stats().seq_synced, self.pace.bytes_max);
        let read = tokio::task::spawn_blocking(move || {
            let batch = reader.take(synced, records, bytes)?;
            Ok::<_, io::Error>((reader, batch))
        });
        let read = read.await.map_err(|e| NotTaken(e.to_string()))?;
        Ok(read?)
    }

    fn failed(&self, error: &NotTaken) {
        self.progress.send_modify(|p| p.failures += 1);
        tracing::warn!(%error, "audit shipping");
    }
}
