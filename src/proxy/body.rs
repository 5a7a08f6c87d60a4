//! The body of an answer: upstream frames → decoder → rewriter → the client, in bounded memory.
//!
//! A body that may not go on ends uncleanly: the client's HTTP/1 stream stops without its last chunk, its HTTP/2
//! stream is reset. The last piece leaves only after the outcome is durable.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::config::{Limits, millis};
use crate::engine::event::Ending;
use crate::engine::rewrite::{Abort, Bounds, Counts, Out, Program, Rewriter};
use crate::observe::metrics::abort_word;

use super::coding::{Coding, Decoder};
use super::journal::{End, Journal};

/// Rewritten bytes that may wait before the upstream is read further.
const READY_BYTES: usize = 64 << 10;
/// Slices shorter than this are copied together, so that a treated value does not cost a frame of its own.
const SLICE_BYTES_MIN: usize = 2 << 10;
/// Pieces on their way to a slow client.
const PIECES_MAX: usize = 2;

/// Why a body ended before it was complete. Its text names a word of a closed set.
#[derive(Debug, thiserror::Error)]
#[error("body cut: {0}")]
pub struct Cut(pub &'static str);

/// What the server sends.
#[derive(Debug)]
pub struct ResponseBody(Inner);

#[derive(Debug)]
enum Inner {
    /// A text of ours; its length may be told.
    Whole(Option<Bytes>),
    /// Complete, its length not told.
    Ready(VecDeque<Bytes>),
    /// Still coming.
    Stream(mpsc::Receiver<Piece>),
    /// Broken off.
    Cut,
}

#[derive(Debug)]
enum Piece {
    Data(Bytes),
    End,
}

impl ResponseBody {
    /// A text of ours.
    pub fn whole(text: Bytes) -> Self {
        Self(Inner::Whole((!text.is_empty()).then_some(text)))
    }

    /// A body that is complete; its length stays untold. Without pieces: HEAD.
    pub fn ready(pieces: Vec<Bytes>) -> Self {
        Self(Inner::Ready(pieces.into()))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let inner = &mut self.get_mut().0;
        let piece = match inner {
            Inner::Whole(text) => text.take(),
            Inner::Ready(pieces) => pieces.pop_front(),
            Inner::Stream(pieces) => match ready!(pieces.poll_recv(cx)) {
                Some(Piece::Data(bytes)) => Some(bytes),
                Some(Piece::End) => {
                    *inner = Inner::Whole(None);
                    None
                }
                // The other end went away without saying that it is complete.
                None => {
                    *inner = Inner::Cut;
                    return Poll::Ready(Some(Err(Cut("aborted"))));
                }
            },
            Inner::Cut => None,
        };
        Poll::Ready(piece.map(|b| Ok(Frame::data(b))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Inner::Whole(None))
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Inner::Whole(text) => SizeHint::with_exact(text.as_ref().map_or(0, |t| t.len() as u64)),
            _ => SizeHint::default(),
        }
    }
}

/// Why the body did not come through.
#[derive(Debug)]
pub enum Failure {
    /// The rewriter or the decoder refuses it.
    Abort(Abort),
    /// The upstream broke off, or is silent or too slow.
    Upstream(&'static str),
}

impl Failure {
    /// A word of a closed set.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Abort(a) => abort_word(a),
            Self::Upstream(word) => word,
        }
    }
}

/// How far a body has come.
#[derive(Debug)]
pub enum Progress {
    /// Some bytes are ready, more will come.
    More,
    /// All of it is ready.
    Complete(Counts),
}

/// Pulls one upstream body through decoder and rewriter.
#[derive(Debug)]
pub struct Pump {
    incoming: Incoming,
    decoder: Decoder,
    rewriter: Rewriter,
    program: Arc<Program>,
    out: Out,
    idle: Duration,
    bytes_per_s_min: u64,
    write_stall: Duration,
    /// Of the running window: time spent waiting and bytes that came.
    waited: Duration,
    window_bytes: u64,
    waited_total: Duration,
}

enum Next {
    Frame(Option<Result<Frame<Bytes>, hyper::Error>>),
    NothingNow,
}

impl Pump {
    /// A pump at the start of a body.
    pub fn new(
        incoming: Incoming,
        coding: Coding,
        program: &Arc<Program>,
        limits: &Limits,
        inflated_bytes_max: u64,
    ) -> Self {
        let bounds = Bounds {
            held_bytes_max: limits.held_bytes_max,
            ..Bounds::default()
        };
        Self {
            incoming,
            decoder: Decoder::new(coding, inflated_bytes_max, limits.inflation_ratio_max),
            rewriter: Rewriter::json(Arc::clone(program), bounds),
            program: Arc::clone(program),
            out: Out::default(),
            idle: millis(limits.body_idle_ms),
            bytes_per_s_min: limits.body_bytes_per_s_min,
            write_stall: millis(limits.write_stall_ms),
            waited: Duration::ZERO,
            window_bytes: 0,
            waited_total: Duration::ZERO,
        }
    }

    /// The program at work.
    pub fn program(&self) -> &Arc<Program> {
        &self.program
    }

    /// Time spent waiting for the upstream so far, microseconds.
    pub fn waited_us(&self) -> u64 {
        u64::try_from(self.waited_total.as_micros()).unwrap_or(u64::MAX)
    }

    /// Reads on until something is ready to be sent, or the body is complete.
    ///
    /// # Errors
    /// [`Failure`]: nothing that has not been sent may be sent any more.
    pub async fn fill(&mut self) -> Result<Progress, Failure> {
        self.fill_to(READY_BYTES, false).await
    }

    /// Reads on to the end, or until more than `max` bytes wait.
    ///
    /// # Errors
    /// As [`Pump::fill`].
    pub async fn fill_whole(&mut self, max: usize) -> Result<Progress, Failure> {
        self.fill_to(max, true).await
    }

    async fn fill_to(&mut self, max: usize, patient: bool) -> Result<Progress, Failure> {
        loop {
            let frame = match self.next(patient).await? {
                Next::NothingNow => return Ok(Progress::More),
                Next::Frame(None) => break,
                Next::Frame(Some(Err(_))) => return Err(Failure::Upstream("upstream-broke-off")),
                Next::Frame(Some(Ok(frame))) => frame,
            };
            // Trailers stop here.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.window_bytes += data.len() as u64;
            let (rewriter, out) = (&mut self.rewriter, &mut self.out);
            self.decoder
                .push(data, |piece| rewriter.push(piece, out))
                .map_err(Failure::Abort)?;
            if self.out.len() >= max {
                return Ok(Progress::More);
            }
        }
        let (rewriter, out) = (&mut self.rewriter, &mut self.out);
        self.decoder
            .finish(|piece| rewriter.push(piece, out))
            .map_err(Failure::Abort)?;
        let counts = self
            .rewriter
            .finish(&mut self.out)
            .map_err(Failure::Abort)?;
        Ok(Progress::Complete(counts))
    }

    /// What is ready, short slices copied together.
    pub fn take(&mut self) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        let mut short = BytesMut::new();
        for slice in self.out.take() {
            if slice.len() < SLICE_BYTES_MIN {
                short.extend_from_slice(&slice);
                continue;
            }
            if !short.is_empty() {
                pieces.push(short.split().freeze());
            }
            pieces.push(slice);
        }
        if !short.is_empty() {
            pieces.push(short.freeze());
        }
        pieces
    }

    /// The next frame; unless `patient`, does not wait while there is something to send.
    async fn next(&mut self, patient: bool) -> Result<Next, Failure> {
        let began = Instant::now();
        let waiting = !patient && !self.out.is_empty();
        let incoming = &mut self.incoming;
        let polled = std::future::poll_fn(|cx| match Pin::new(&mut *incoming).poll_frame(cx) {
            Poll::Ready(frame) => Poll::Ready(Next::Frame(frame)),
            Poll::Pending if waiting => Poll::Ready(Next::NothingNow),
            Poll::Pending => Poll::Pending,
        });
        let next = tokio::time::timeout(self.idle, polled)
            .await
            .map_err(|_| Failure::Upstream("upstream-idle"))?;
        let waited = began.elapsed();
        self.waited += waited;
        self.waited_total += waited;
        if self.waited >= self.idle {
            let least = self
                .bytes_per_s_min
                .saturating_mul(self.waited.as_secs())
                .min(self.bytes_per_s_min.saturating_mul(self.idle.as_secs()));
            if self.window_bytes < least && !matches!(next, Next::Frame(None)) {
                return Err(Failure::Upstream("upstream-too-slow"));
            }
            self.waited = Duration::ZERO;
            self.window_bytes = 0;
        }
        Ok(next)
    }

    /// Sends the rest on a task of its own: what is ready now, then what comes. The attempt must be durable.
    pub fn stream(self, journal: Journal, status: u16) -> ResponseBody {
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        tokio::spawn(self.run(sender, journal, status));
        ResponseBody(Inner::Stream(receiver))
    }

    async fn run(mut self, sender: mpsc::Sender<Piece>, mut journal: Journal, status: u16) {
        // The newest byte is held back until another one or the end is there: it may be the last, without which no
        // document is complete. All before it leaves at once: a slow upstream does not hold up what it has sent.
        let mut held: Option<Bytes> = None;
        let failed = loop {
            let mut pieces = held
                .take()
                .into_iter()
                .chain(self.take())
                .collect::<Vec<_>>();
            if let Some(mut newest) = pieces.pop() {
                held = Some(newest.split_off(newest.len().saturating_sub(1)));
                if !newest.is_empty() {
                    pieces.push(newest);
                }
            }
            if let Err(ending) = self.send(&sender, pieces).await {
                break ending;
            }
            let filled = tokio::select! {
                biased;
                () = sender.closed() => break (Ending::ClientGone, "client-gone"),
                filled = self.fill() => filled,
            };
            match filled {
                Ok(Progress::More) => {
                    if journal.note_shown().await.is_err() {
                        break (Ending::Aborted, "cannot-record");
                    }
                }
                Ok(Progress::Complete(counts)) => {
                    let mut pieces = held
                        .take()
                        .into_iter()
                        .chain(self.take())
                        .collect::<Vec<_>>();
                    let last = pieces.pop();
                    if let Err(ending) = self.send(&sender, pieces).await {
                        break ending;
                    }
                    let end = End {
                        ending: Ending::Complete,
                        status,
                        reason: None,
                        counts: Some((Arc::clone(&self.program), counts)),
                    };
                    if journal.close(end).await.is_ok()
                        && self.send(&sender, last.into_iter().collect()).await.is_ok()
                    {
                        let _ = sender.send(Piece::End).await;
                    }
                    return;
                }
                Err(failure) => {
                    journal.metrics().blocked(failure.word());
                    break (Ending::Aborted, failure.word());
                }
            }
        };
        let (ending, word) = failed;
        // The cut is made first: a log that is slow must not keep the client waiting for it.
        drop(sender);
        let end = End {
            ending,
            status,
            reason: Some(word.to_owned()),
            counts: None,
        };
        if journal.close(end).await.is_err() {
            tracing::error!(request = %journal.request_id, "the outcome of a cut answer cannot be recorded");
        }
    }

    async fn send(
        &self,
        sender: &mpsc::Sender<Piece>,
        pieces: Vec<Bytes>,
    ) -> Result<(), (Ending, &'static str)> {
        for piece in pieces {
            match tokio::time::timeout(self.write_stall, sender.send(Piece::Data(piece))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err((Ending::ClientGone, "client-gone")),
                Err(_) => return Err((Ending::Aborted, "client-stalled")),
            }
        }
        Ok(())
    }
}
