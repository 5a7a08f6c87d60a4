//! HTTP/1 requests as raw bytes: one grammar, before any lenient parser sees them.
//!
//! hyper accepts bare line feeds in heads, a Content-Length beside a Transfer-Encoding, equal duplicates and more,
//! and its parsed view no longer shows them. [`Framer`] follows a connection byte by byte (RFC 9112): it checks
//! each head, follows the body's framing to the next head, and drops chunk extensions and trailers on the way.
//! [`StrictIo`] puts it in front of a connection. What a head says is judged later, in `head`.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Method of the request that [`StrictIo`] puts in place of one that it refuses; its target is the status.
/// A client that sends it itself is refused like any other.
pub const REFUSED_METHOD: &str = "PRIVET-REFUSED";

/// Longest chunk extension, in bytes; they have no use and are dropped.
const CHUNK_EXTENSION_MAX: usize = 256;
/// Longest trailer section, in bytes; it is dropped.
const TRAILER_BYTES_MAX: usize = 8 << 10;

/// How long, and for how many bytes, a refused client is still listened to.
const LINGER: Duration = Duration::from_secs(1);
/// See [`LINGER`].
const LINGER_BYTES_MAX: usize = 1 << 20;

/// Bounds of a request head.
#[derive(Debug, Clone, Copy)]
pub struct HeadBounds {
    /// Longest target, in bytes.
    pub target_bytes_max: usize,
    /// Largest head, in bytes, request line and empty line included.
    pub head_bytes_max: usize,
    /// Most field lines.
    pub fields_max: usize,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// 400: not the grammar.
    Malformed,
    /// 414.
    TargetTooLong,
    /// 431.
    HeadTooLarge,
    /// 408: the head did not arrive in time.
    Timeout,
}

impl Violation {
    /// The HTTP status that answers it.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Timeout => 408,
            Self::TargetTooLong => 414,
            Self::HeadTooLarge => 431,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    None,
    Length(u64),
    Chunked,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    Length(u64),
    ChunkSize {
        digits: u32,
        size: u64,
    },
    /// White space or an extension after the size; `cr` = a CR was seen.
    ChunkRest {
        size: u64,
        bytes: usize,
        extension: bool,
    },
    ChunkSizeLf {
        size: u64,
    },
    ChunkData(u64),
    ChunkDataCr,
    ChunkDataLf,
    /// In a trailer section: bytes so far, at a line's start, just after a CR.
    Trailer {
        bytes: usize,
        at_start: bool,
        cr: bool,
    },
    Failed(Violation),
}

/// Follows the requests of one connection.
#[derive(Debug)]
pub struct Framer {
    bounds: HeadBounds,
    state: State,
    head: Vec<u8>,
    /// One empty line before a request line is swallowed (RFC 9112 section 2.2).
    skipped_line: bool,
}

impl Framer {
    /// At the start of a connection.
    pub fn new(bounds: HeadBounds) -> Self {
        Self {
            bounds,
            state: State::Head,
            head: Vec::new(),
            skipped_line: false,
        }
    }

    /// Whether part of a head has arrived.
    pub fn in_head(&self) -> bool {
        self.state == State::Head && !self.head.is_empty()
    }

    /// Whether a body has begun and not ended.
    pub fn in_body(&self) -> bool {
        !matches!(self.state, State::Head | State::Failed(_))
    }

    /// Takes `input` and appends to `out` what may go on: whole checked heads, bodies, chunked bodies re-framed.
    ///
    /// # Errors
    /// The violation, and whether it is in a head (then an answer can stand in its place) or in a body. After it
    /// nothing more comes out.
    pub fn push(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<(), (Violation, bool)> {
        while !input.is_empty() {
            let in_head = self.state == State::Head;
            match self.step(&mut input, out) {
                Ok(()) => {}
                Err(v) => {
                    self.state = State::Failed(v);
                    return Err((v, in_head));
                }
            }
        }
        Ok(())
    }

    /// The head did not arrive in time: nothing more comes out.
    pub fn fail(&mut self, violation: Violation) {
        self.state = State::Failed(violation);
    }

    fn step(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        match self.state {
            State::Head => return self.head_bytes(input, out),
            State::Failed(v) => return Err(v),
            State::Length(left) => {
                let taken = take(input, left, out);
                self.state = if taken == left {
                    State::Head
                } else {
                    State::Length(left - taken)
                };
                return Ok(());
            }
            State::ChunkData(left) => {
                let taken = take(input, left, out);
                self.state = if taken == left {
                    State::ChunkDataCr
                } else {
                    State::ChunkData(left - taken)
                };
                return Ok(());
            }
            _ => {}
        }
        let byte = input[0];
        *input = &input[1..];
        self.state = self.framing_byte(byte, out)?;
        Ok(())
    }

    /// One byte of chunk framing or trailers.
    fn framing_byte(&mut self, byte: u8, out: &mut Vec<u8>) -> Result<State, Violation> {
        let bad = Err(Violation::Malformed);
        Ok(match self.state {
            State::ChunkSize { digits, size } => match (byte, hex(byte)) {
                (_, Some(digit)) => {
                    // Leading zeros are legal; the value and the line stay bounded.
                    if size >= 1 << 56 || digits >= 32 {
                        return bad;
                    }
                    State::ChunkSize {
                        digits: digits + 1,
                        size: size << 4 | u64::from(digit),
                    }
                }
                _ if digits == 0 => return bad,
                (b'\r', _) => State::ChunkSizeLf { size },
                (b' ' | b'\t' | b';', _) => State::ChunkRest {
                    size,
                    bytes: 1,
                    extension: byte == b';',
                },
                _ => return bad,
            },
            State::ChunkRest {
                size,
                bytes,
                extension,
            } => match byte {
                b'\r' => State::ChunkSizeLf { size },
                b' ' | b'\t' | b';' if bytes < CHUNK_EXTENSION_MAX => State::ChunkRest {
                    size,
                    bytes: bytes + 1,
                    extension: extension || byte == b';',
                },
                0x21..=0x7e if extension && bytes < CHUNK_EXTENSION_MAX => State::ChunkRest {
                    size,
                    bytes: bytes + 1,
                    extension,
                },
                _ => return bad,
            },
            State::ChunkSizeLf { size } if byte == b'\n' => {
                if size == 0 {
                    State::Trailer {
                        bytes: 0,
                        at_start: true,
                        cr: false,
                    }
                } else {
                    out.extend_from_slice(format!("{size:x}\r\n").as_bytes());
                    State::ChunkData(size)
                }
            }
            State::ChunkDataCr if byte == b'\r' => State::ChunkDataLf,
            State::ChunkDataLf if byte == b'\n' => {
                out.extend_from_slice(b"\r\n");
                State::ChunkSize { digits: 0, size: 0 }
            }
            State::Trailer {
                bytes,
                at_start,
                cr,
            } => {
                if bytes >= TRAILER_BYTES_MAX {
                    return bad;
                }
                match (cr, byte) {
                    (true, b'\n') if at_start => {
                        out.extend_from_slice(b"0\r\n\r\n");
                        State::Head
                    }
                    (true, b'\n') => State::Trailer {
                        bytes: bytes + 1,
                        at_start: true,
                        cr: false,
                    },
                    (true, _) | (false, b'\n' | 0) => return bad,
                    (false, b'\r') => State::Trailer {
                        bytes: bytes + 1,
                        at_start,
                        cr: true,
                    },
                    (false, b' ' | b'\t') if at_start => return bad,
                    (false, _) => State::Trailer {
                        bytes: bytes + 1,
                        at_start: false,
                        cr: false,
                    },
                }
            }
            _ => return bad,
        })
    }

    /// Bytes of a head, up to its end.
    fn head_bytes(&mut self, input: &mut &[u8], out: &mut Vec<u8>) -> Result<(), Violation> {
        for (i, &byte) in input.iter().enumerate() {
            let previous = self.head.last().copied();
            // Line ends are CRLF and nothing else.
            if (byte == b'\n') != (previous == Some(b'\r')) || byte == 0 {
                return Err(Violation::Malformed);
            }
            self.head.push(byte);
            if byte == b'\n' && self.head == b"\r\n" {
                if self.skipped_line {
                    return Err(Violation::Malformed);
                }
                self.skipped_line = true;
                self.head.clear();
                continue;
            }
            if self.head.ends_with(b"\r\n\r\n") {
                let framing = check_head(&self.head, &self.bounds)?;
                out.append(&mut self.head);
                self.skipped_line = false;
                self.state = match framing {
                    Framing::None | Framing::Length(0) => State::Head,
                    Framing::Length(n) => State::Length(n),
                    Framing::Chunked => State::ChunkSize { digits: 0, size: 0 },
                };
                *input = &input[i + 1..];
                return Ok(());
            }
            if self.head.len() >= self.bounds.head_bytes_max {
                return Err(self.too_large());
            }
        }
        *input = &[];
        Ok(())
    }

    /// 414 if it is the target that does not end, else 431.
    fn too_large(&self) -> Violation {
        let line = self.head.split(|b| *b == b'\r').next().unwrap_or(&[]);
        let target = line.split(|b| *b == b' ').nth(1).unwrap_or(&[]);
        if target.len() > self.bounds.target_bytes_max {
            Violation::TargetTooLong
        } else {
            Violation::HeadTooLarge
        }
    }
}

fn take(input: &mut &[u8], left: u64, out: &mut Vec<u8>) -> u64 {
    let n = usize::try_from(left).map_or(input.len(), |l| l.min(input.len()));
    out.extend_from_slice(&input[..n]);
    *input = &input[n..];
    n as u64
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char)
        .to_digit(16)
        .and_then(|d| u8::try_from(d).ok())
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_token(text: &[u8]) -> bool {
    !text.is_empty()
        && text.iter().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(
                    b,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                )
        })
}

fn trim(value: &[u8]) -> &[u8] {
    let is_ows = |b: &u8| matches!(b, b' ' | b'\t');
    let start = value.iter().position(|b| !is_ows(b)).unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|b| !is_ows(b))
        .map_or(start, |e| e + 1);
    &value[start..end]
}

/// Checks a whole head (ending in its empty line, every LF after a CR) and says how its body is framed.
fn check_head(head: &[u8], bounds: &HeadBounds) -> Result<Framing, Violation> {
    let bad = Violation::Malformed;
    let text = &head[..head.len() - 4];
    // Every CR is followed by an LF here, so splitting at CR and skipping the LF is exact.
    let mut lines = text
        .split(|b| *b == b'\r')
        .enumerate()
        .map(|(i, line)| if i == 0 { line } else { &line[1..] });
    let mut words = lines.next().unwrap_or(&[]).split(|b| *b == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad);
    };
    let old = match version {
        b"HTTP/1.1" => false,
        b"HTTP/1.0" => true,
        _ => return Err(bad),
    };
    if !is_token(method) || method == REFUSED_METHOD.as_bytes() || target.is_empty() {
        return Err(bad);
    }
    if target.len() > bounds.target_bytes_max {
        return Err(Violation::TargetTooLong);
    }
    // A fragment is cut silently further on; nobody may send one.
    if !target
        .iter()
        .all(|b| matches!(b, 0x21..=0x7e) && *b != b'#')
    {
        return Err(bad);
    }
    let (mut hosts, mut length, mut chunked, mut fields) = (0, None, false, 0);
    for line in lines {
        fields += 1;
        if fields > bounds.fields_max {
            return Err(Violation::HeadTooLarge);
        }
        let colon = line.iter().position(|b| *b == b':').ok_or(bad)?;
        let (name, value) = (&line[..colon], trim(&line[colon + 1..]));
        if !is_token(name)
            || value
                .iter()
                .any(|b| *b == 0x7f || (*b < 0x20 && *b != b'\t'))
        {
            return Err(bad);
        }
        if name.eq_ignore_ascii_case(b"host") {
            hosts += 1;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let digits = std::str::from_utf8(value).map_err(|_| bad)?;
            if length.is_some() || digits.is_empty() || !value.iter().all(u8::is_ascii_digit) {
                return Err(bad);
            }
            // hyper keeps lengths below 2^63; a larger one is no length that anybody sends.
            length = Some(
                digits
                    .parse::<u64>()
                    .ok()
                    .filter(|n| *n < 1 << 63)
                    .ok_or(bad)?,
            );
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || old || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(bad);
            }
            chunked = true;
        }
    }
    match (hosts, length, chunked) {
        (1, Some(n), false) => Ok(Framing::Length(n)),
        (1, None, true) => Ok(Framing::Chunked),
        (1, None, false) => Ok(Framing::None),
        _ => Err(bad),
    }
}

/// A connection whose read side is an HTTP/1 request stream that [`Framer`] has checked, and whose write side
/// fails when the peer takes nothing for too long.
#[derive(Debug)]
pub struct StrictIo<S> {
    inner: S,
    /// `None` = bytes pass unread (HTTP/2 has framing of its own); the write side is watched all the same.
    framer: Option<Framer>,
    ready: Vec<u8>,
    ready_at: usize,
    /// What ends the read side once `ready` is empty: end of stream, or an error inside a body.
    ended: Option<io::ErrorKind>,
    closed: bool,
    shut: bool,
    lingered: usize,
    head_timeout: Duration,
    head_timer: Option<Pin<Box<Sleep>>>,
    write_timeout: Duration,
    write_timer: Option<Pin<Box<Sleep>>>,
}

impl<S> StrictIo<S> {
    /// Wraps `inner`. `bounds`: HTTP/1 heads are checked; `None`: reads pass. A head must be complete
    /// `head_timeout` after its first byte; a write must make progress within `write_timeout`.
    pub fn new(
        inner: S,
        bounds: Option<HeadBounds>,
        head_timeout: Duration,
        write_timeout: Duration,
    ) -> Self {
        Self {
            inner,
            framer: bounds.map(Framer::new),
            ready: Vec::new(),
            ready_at: 0,
            ended: None,
            closed: false,
            shut: false,
            lingered: 0,
            head_timeout,
            head_timer: None,
            write_timeout,
            write_timer: None,
        }
    }

    /// Puts a request that stands for the refused one: the service answers it, and the connection closes.
    fn refuse(&mut self, violation: Violation) {
        self.ready.extend_from_slice(
            format!(
                "{REFUSED_METHOD} /{} HTTP/1.1\r\nhost: refused\r\nconnection: close\r\n\r\n",
                violation.status()
            )
            .as_bytes(),
        );
        self.closed = true;
        self.head_timer = None;
    }

    fn watch_write<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if polled.is_ready() {
            self.write_timer = None;
            return polled;
        }
        let timeout = self.write_timeout;
        let timer = self
            .write_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(timeout)));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> StrictIo<S> {
    /// Reads and forgets what a refused client still sends, for a while.
    fn linger(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let timer = self
            .head_timer
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        let mut raw = [0_u8; 8 << 10];
        while timer.as_mut().poll(cx).is_pending() && self.lingered < LINGER_BYTES_MAX {
            let mut chunk = ReadBuf::new(&mut raw);
            match ready!(Pin::new(&mut self.inner).poll_read(cx, &mut chunk)) {
                Ok(()) if !chunk.filled().is_empty() => self.lingered += chunk.filled().len(),
                _ => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for StrictIo<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.framer.is_none() {
            return Pin::new(&mut this.inner).poll_read(cx, buf);
        }
        loop {
            if this.ready_at < this.ready.len() {
                let n = buf.remaining().min(this.ready.len() - this.ready_at);
                buf.put_slice(&this.ready[this.ready_at..this.ready_at + n]);
                this.ready_at += n;
                return Poll::Ready(Ok(()));
            }
            this.ready.clear();
            this.ready_at = 0;
            if let Some(kind) = this.ended {
                return Poll::Ready(Err(kind.into()));
            }
            if this.closed {
                // The stand-in request closes the connection; an end of stream here would read as "client gone".
                return Poll::Pending;
            }
            let mut raw = [0_u8; 8 << 10];
            let mut chunk = ReadBuf::new(&mut raw);
            match Pin::new(&mut this.inner).poll_read(cx, &mut chunk) {
                Poll::Ready(Ok(())) if chunk.filled().is_empty() => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {
                    let Some(framer) = this.framer.as_mut() else {
                        continue;
                    };
                    let pushed = framer.push(chunk.filled(), &mut this.ready);
                    let in_head = framer.in_head();
                    match pushed {
                        Ok(()) => {}
                        Err((violation, true)) => this.refuse(violation),
                        Err((_, false)) => this.ended = Some(io::ErrorKind::InvalidData),
                    }
                    if !in_head {
                        this.head_timer = None;
                    }
                }
                Poll::Ready(Err(e)) => return Poll::Ready(Err(e)),
                Poll::Pending => {
                    if !this.framer.as_ref().is_some_and(Framer::in_head) {
                        return Poll::Pending;
                    }
                    let due = Instant::now() + this.head_timeout;
                    let timer = this
                        .head_timer
                        .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
                    ready!(timer.as_mut().poll(cx));
                    if let Some(framer) = this.framer.as_mut() {
                        framer.fail(Violation::Timeout);
                    }
                    this.refuse(Violation::Timeout);
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for StrictIo<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write(cx, buf);
        this.watch_write(cx, polled)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_write_vectored(cx, bufs);
        this.watch_write(cx, polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_flush(cx);
        this.watch_write(cx, polled)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.shut {
            let polled = Pin::new(&mut this.inner).poll_shutdown(cx);
            ready!(this.watch_write(cx, polled))?;
            this.shut = true;
        }
        // Closing with bytes unread resets the connection and can take the answer with it (RFC 9112 section 9.6).
        let unread = this.framer.as_ref().is_some_and(Framer::in_body);
        if this.closed || this.ended.is_some() || unread {
            this.linger(cx)
        } else {
            Poll::Ready(Ok(()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: HeadBounds = HeadBounds {
        target_bytes_max: 64,
        head_bytes_max: 512,
        fields_max: 8,
    };

    fn run(raw: &[u8]) -> Result<Vec<u8>, (Violation, bool)> {
        let mut whole = Vec::new();
        let outcome = Framer::new(BOUNDS).push(raw, &mut whole);
        // The answer never depends on how the bytes were cut.
        let (mut framer, mut bytewise) = (Framer::new(BOUNDS), Vec::new());
        let stepped = raw
            .iter()
            .try_for_each(|b| framer.push(&[*b], &mut bytewise));
        assert_eq!((outcome, &whole), (stepped, &bytewise));
        outcome.map(|()| whole)
    }

    #[test]
    fn follows_bodies_to_the_next_head_and_drops_extensions_and_trailers() {
        let raw = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 03\r\n\r\nabc\
            POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:  CHUNKED\t\r\n\r\n0005;x=\"y\"\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n\
            GET /c HTTP/1.1\r\nHost: h\r\n\r\n";
        let expected = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 03\r\n\r\nabc\
            POST /b HTTP/1.1\r\nHost: h\r\nTransfer-Encoding:  CHUNKED\t\r\n\r\n5\r\nhello\r\n0\r\n\r\n\
            GET /c HTTP/1.1\r\nHost: h\r\n\r\n";
        assert_eq!(run(raw).unwrap(), expected);
    }

    #[test]
    fn refuses_what_two_parsers_could_read_in_two_ways() {
        for raw in [
            "GET /a HTTP/1.1\nHost: h\n\n",
            "GET /a HTTP/1.1\r\nHost: h\r\nX: y\nA: b\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: h\r\nX: y\rA: b\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: h\r\nX: y\r\n folded\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: h\r\nX : y\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: h\r\nX: \0\r\n\r\n",
            "GET /a HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
            "GET /a HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.2\r\nHost: h\r\n\r\n",
            "GET  /a HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /a#f HTTP/1.1\r\nHost: h\r\n\r\n",
            "PRIVET-REFUSED /400 HTTP/1.1\r\nHost: h\r\n\r\n",
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n",
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: +1\r\n\r\n",
            "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /a HTTP/1.0\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "\r\n\r\nGET /a HTTP/1.1\r\nHost: h\r\n\r\n",
        ] {
            assert_eq!(
                run(raw.as_bytes()),
                Err((Violation::Malformed, true)),
                "{raw:?}"
            );
        }
        let chunked = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
        for body in [
            "5\nhello\r\n",
            "0x5\r\n",
            " 5\r\n",
            "5\r\nhelloX",
            "5;a\nb\r\n",
            "\r\n",
            "5\r\r\n",
            "0\r\n X: y\r\n",
            "0\r\nX: y\n\r\n",
            "10000000000000000\r\n",
        ] {
            let raw = format!("{chunked}{body}");
            assert_eq!(
                run(raw.as_bytes()),
                Err((Violation::Malformed, false)),
                "{body:?}"
            );
        }
    }

    #[test]
    fn bounds_name_their_status() {
        let long = "a".repeat(600);
        for (raw, violation) in [
            (
                format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"),
                Violation::TargetTooLong,
            ),
            (
                format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", &long[..70]),
                Violation::TargetTooLong,
            ),
            (
                format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"),
                Violation::HeadTooLarge,
            ),
            (
                format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(9)),
                Violation::HeadTooLarge,
            ),
        ] {
            assert_eq!(run(raw.as_bytes()), Err((violation, true)));
        }
    }
}
