//! The body of an answer: upstream frames → decoder → rewriter → the client, in bounded memory.
//!
//! A body that may not go on ends uncleanly: the client's HTTP/1 stream stops without its last chunk, its HTTP/2
//! stream is reset. The last piece leaves only after the outcome is durable.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::sync::mpsc;

use crate::config::{Limits, millis};
use crate::engine::coding::{Coding, Decoder, Encoder};
use crate::engine::event::Ending;
use crate::engine::rewrite::{Abort, BodyProgram, Bounds, Counts, Out, Rewriter};
use crate::observe::metrics::abort_word;

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

/// What is sent: an answer, or a request's body on its way upstream.
#[derive(Debug)]
pub struct OutgoingBody(Inner);

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

impl OutgoingBody {
    /// A text of ours.
    pub fn whole(text: Bytes) -> Self {
        Self(Inner::Whole((!text.is_empty()).then_some(text)))
    }

    /// A body that comes through a channel.
    pub fn channel() -> (Sender, Self) {
        let (sender, receiver) = mpsc::channel(PIECES_MAX);
        (Sender(sender), Self(Inner::Stream(receiver)))
    }

    /// A body that is complete; its length stays untold. Without pieces: HEAD.
    pub fn ready(pieces: Vec<Bytes>) -> Self {
        Self(Inner::Ready(pieces.into()))
    }
}

/// The end of a channel that feeds a body. Dropped before [`Sender::end`], the body ends uncleanly.
#[derive(Debug)]
pub struct Sender(mpsc::Sender<Piece>);

/// Nobody reads the body any more, or not fast enough.
#[derive(Debug)]
pub enum Unsent {
    /// It was dropped.
    Gone,
    /// It did not take a piece in time.
    Stalled,
}

impl Sender {
    /// Sends a piece, waiting at most `stall` for room.
    ///
    /// # Errors
    /// [`Unsent`].
    pub async fn data(&self, piece: Bytes, stall: Duration) -> Result<(), Unsent> {
        match tokio::time::timeout(stall, self.0.send(Piece::Data(piece))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(Unsent::Gone),
            Err(_) => Err(Unsent::Stalled),
        }
    }

    /// The body is complete.
    ///
    /// # Errors
    /// [`Unsent::Gone`].
    pub async fn end(self) -> Result<(), Unsent> {
        self.0.send(Piece::End).await.map_err(|_| Unsent::Gone)
    }
}

impl Body for OutgoingBody {
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
    encoder: Option<Encoder>,
    /// The encoder holds bytes that the client could use.
    unflushed: bool,
    /// Nothing more is there now, so that the encoder gives what it holds.
    flush: bool,
    /// The document is complete.
    complete: bool,
    rewriter: Rewriter,
    program: BodyProgram,
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
    /// A pump at the start of a body, towards a client that takes it through `encoder`.
    pub fn new(
        incoming: Incoming,
        coding: Coding,
        program: &BodyProgram,
        limits: &Limits,
        inflated_bytes_max: u64,
        encoder: Option<Encoder>,
    ) -> Self {
        let bounds = Bounds {
            held_bytes_max: limits.held_bytes_max,
            ..Bounds::default()
        };
        Self {
            incoming,
            decoder: Decoder::new(coding, inflated_bytes_max, limits.inflation_ratio_max),
            encoder,
            unflushed: false,
            flush: false,
            complete: false,
            rewriter: Rewriter::new(program, bounds),
            program: program.clone(),
            out: Out::default(),
            idle: millis(limits.body_idle_ms),
            bytes_per_s_min: limits.body_bytes_per_s_min,
            write_stall: millis(limits.write_stall_ms),
            waited: Duration::ZERO,
            window_bytes: 0,
            waited_total: Duration::ZERO,
        }
    }

    /// The upstream may be silent for this long beyond the usual.
    pub fn patient(mut self, longer: Duration) -> Self {
        self.idle += longer;
        self
    }

    /// The program at work.
    pub fn program(&self) -> &BodyProgram {
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
                Next::NothingNow => {
                    self.flush = true;
                    return Ok(Progress::More);
                }
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
        self.decoder.finish().map_err(Failure::Abort)?;
        let counts = self
            .rewriter
            .finish(&mut self.out)
            .map_err(Failure::Abort)?;
        self.complete = true;
        Ok(Progress::Complete(counts))
    }

    /// What is ready, short slices copied together, in the client's coding.
    ///
    /// # Errors
    /// The encoder is out of memory.
    pub fn take(&mut self) -> Result<Vec<Bytes>, Failure> {
        let flush = std::mem::take(&mut self.flush);
        let Some(encoder) = self.encoder.as_mut() else {
            return Ok(self.joined());
        };
        let failed = |_| Failure::Upstream("encoder");
        let mut pieces = Vec::new();
        for slice in self.out.take() {
            pieces.extend(encoder.push(&slice).map_err(failed)?);
            self.unflushed = true;
        }
        if self.complete {
            pieces.push(encoder.finish().map_err(failed)?);
            self.encoder = None;
        } else if flush && self.unflushed {
            pieces.extend(encoder.flush().map_err(failed)?);
            self.unflushed = false;
        }
        Ok(pieces)
    }

    fn joined(&mut self) -> Vec<Bytes> {
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
        let waiting = !patient && (self.unflushed || !self.out.is_empty());
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
    pub fn stream(self, journal: Journal, status: u16) -> OutgoingBody {
        let (sender, body) = OutgoingBody::channel();
        tokio::spawn(self.run(sender, journal, status));
        body
    }

    async fn run(mut self, sender: Sender, mut journal: Journal, status: u16) {
        // The newest byte is held back until another one or the end is there: it may be the last, without which no
        // document is complete. All before it leaves at once: a slow upstream does not hold up what it has sent.
        let mut held: Option<Bytes> = None;
        let failed = loop {
            let taken = match self.take() {
                Ok(taken) => taken,
                Err(failure) => break (Ending::Aborted, failure.word()),
            };
            let mut pieces = held.take().into_iter().chain(taken).collect::<Vec<_>>();
            if let Some(mut newest) = pieces.pop() {
                held = Some(newest.split_off(newest.len().saturating_sub(1)));
                if !newest.is_empty() {
                    pieces.push(newest);
                }
            }
            if let Err(ending) = send(&sender, pieces, self.write_stall).await {
                break ending;
            }
            let filled = tokio::select! {
                biased;
                () = sender.0.closed() => break (Ending::ClientGone, "client-gone"),
                filled = self.fill() => filled,
            };
            match filled {
                Ok(Progress::More) => {
                    if journal.note_shown().await.is_err() {
                        break (Ending::Aborted, "cannot-record");
                    }
                }
                Ok(Progress::Complete(counts)) => {
                    let taken = match self.take() {
                        Ok(taken) => taken,
                        Err(failure) => break (Ending::Aborted, failure.word()),
                    };
                    let mut pieces = held.take().into_iter().chain(taken).collect::<Vec<_>>();
                    let last = pieces.pop();
                    if let Err(ending) = send(&sender, pieces, self.write_stall).await {
                        break ending;
                    }
                    let end = End {
                        ending: Ending::Complete,
                        status,
                        reason: None,
                        counts: Some((self.program.clone(), counts)),
                    };
                    if journal.close(end).await.is_ok()
                        && send(&sender, last.into_iter().collect(), self.write_stall)
                            .await
                            .is_ok()
                    {
                        let _ = sender.end().await;
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
}

async fn send(
    sender: &Sender,
    pieces: Vec<Bytes>,
    stall: Duration,
) -> Result<(), (Ending, &'static str)> {
    for piece in pieces {
        sender
            .data(piece, stall)
            .await
            .map_err(|unsent| match unsent {
                Unsent::Gone => (Ending::ClientGone, "client-gone"),
                Unsent::Stalled => (Ending::Aborted, "client-stalled"),
            })?;
    }
    Ok(())
}
