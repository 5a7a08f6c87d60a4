//! The body of a request: the client's frames → decoder → memory, or through the upload program on to the upstream.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::config::{Limits, millis};
use crate::engine::coding::{Coding, Decoder};
use crate::engine::plan::UploadProgram;
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::rewrite::{Abort, Bounds, Out, Rewriter};

use super::body::Sender;

/// Longest first row of an upload.
const FIRST_ROW_BYTES_MAX: usize = 64 << 10;
/// Longest value of an upload: a long text area of Salesforce holds 131,072 characters.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// A client's body within its bounds of size, silence and speed, decoded.
#[derive(Debug)]
pub struct ClientBody {
    incoming: Incoming,
    decoder: Decoder,
    limits: Limits,
    /// Decoded pieces that nobody has taken yet.
    ready: VecDeque<Bytes>,
    /// Bytes that came, and bytes that they decoded to.
    came: u64,
    decoded: u64,
    bytes_max: u64,
    began: Instant,
    over: bool,
}

fn too_big() -> Refusal {
    Refusal::new(Reason::BodyTooLarge, "the request body is too big")
}

fn late() -> Refusal {
    Refusal::new(Reason::RequestTimeout, "the request did not arrive in time")
}

impl ClientBody {
    /// A body in this coding, of at most `bytes_max` bytes as it comes and as it is decoded.
    ///
    /// # Errors
    /// It announces more.
    pub fn new(
        incoming: Incoming,
        coding: Coding,
        limits: &Limits,
        bytes_max: usize,
    ) -> Result<Self, Refusal> {
        let bytes_max = bytes_max as u64;
        if incoming.size_hint().lower() > bytes_max {
            return Err(too_big());
        }
        Ok(Self {
            incoming,
            decoder: Decoder::new(coding, bytes_max, limits.inflation_ratio_max),
            limits: limits.clone(),
            ready: VecDeque::new(),
            came: 0,
            decoded: 0,
            bytes_max,
            began: Instant::now(),
            over: false,
        })
    }

    /// Raises the bound of size, for what does not stand in memory.
    pub fn allow(&mut self, bytes_max: usize) {
        self.bytes_max = self.bytes_max.max(bytes_max as u64);
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// It is too big, too slow or broken.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        let idle = millis(self.limits.body_idle_ms);
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if self.over {
                return Ok(None);
            }
            let frame = tokio::time::timeout(idle, self.incoming.frame())
                .await
                .map_err(|_| late())?;
            let Some(frame) = frame else {
                self.over = true;
                self.decoder.finish().map_err(|abort| undecoded(&abort))?;
                continue;
            };
            let frame =
                frame.map_err(|_| Refusal::new(Reason::BadRequest, "malformed request body"))?;
            // Trailers of any name stop here.
            let Ok(data) = frame.into_data() else {
                continue;
            };
            self.came += data.len() as u64;
            let (ready, decoded) = (&mut self.ready, &mut self.decoded);
            self.decoder
                .push(data, |piece| {
                    *decoded += piece.len() as u64;
                    ready.push_back(piece);
                    Ok(())
                })
                .map_err(|abort| undecoded(&abort))?;
            if self.came.max(self.decoded) > self.bytes_max {
                return Err(too_big());
            }
            let took = self.began.elapsed();
            if took >= idle
                && self.came
                    < self
                        .limits
                        .body_bytes_per_s_min
                        .saturating_mul(took.as_secs())
            {
                return Err(late());
            }
        }
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`ClientBody::next`].
    pub async fn whole(&mut self) -> Result<Bytes, Refusal> {
        let mut body = BytesMut::new();
        while let Some(piece) = self.next().await? {
            body.extend_from_slice(&piece);
        }
        Ok(body.freeze())
    }

    /// Its first row with its line end, quoted line ends skipped. It will come again.
    ///
    /// # Errors
    /// As [`ClientBody::next`]; the row is too long.
    pub async fn first_row(&mut self) -> Result<Bytes, Refusal> {
        let mut row = BytesMut::new();
        let mut quoted = false;
        let mut seen = 0;
        let end = loop {
            let end = row[seen..].iter().position(|b| {
                quoted ^= *b == b'"';
                *b == b'\n' && !quoted
            });
            if let Some(at) = end {
                break seen + at + 1;
            }
            seen = row.len();
            if seen > FIRST_ROW_BYTES_MAX {
                return Err(Refusal::new(
                    Reason::BodyTooLarge,
                    "the first row of the request body is too long",
                ));
            }
            match self.next().await? {
                Some(piece) => row.extend_from_slice(&piece),
                None => break seen,
            }
        };
        let all = row.freeze();
        if !all.is_empty() {
            self.ready.push_front(all.clone());
        }
        Ok(all.slice(..end))
    }
}

fn undecoded(abort: &Abort) -> Refusal {
    match abort {
        Abort::Coding {
            what: "inflates beyond its bound",
        } => too_big(),
        other => Refusal::new(Reason::MalformedBody, format!("The request body: {other}")),
    }
}

/// Why an upload ended early.
#[derive(Debug)]
pub enum Stopped {
    /// The client is refused.
    Refused(Refusal),
    /// The upstream takes no more.
    Upstream,
}

/// Carries `body` through the program to the upstream. On an error the upstream's request ends uncleanly.
///
/// # Errors
/// [`Stopped`].
pub async fn upload(
    mut body: ClientBody,
    program: &UploadProgram,
    sender: Sender,
) -> Result<(), Stopped> {
    let bounds = Bounds {
        held_bytes_max: body.limits.held_bytes_max,
        treated_bytes_max: VALUE_BYTES_MAX,
        ..Bounds::default()
    };
    let stall = millis(body.limits.write_stall_ms);
    let refused = |abort: Abort| Stopped::Refused(program.refusal(&abort));
    let mut rewriter = Rewriter::new(program.program(), bounds);
    let mut out = Out::default();
    while let Some(piece) = body.next().await.map_err(Stopped::Refused)? {
        rewriter.push(piece, &mut out).map_err(refused)?;
        for piece in out.take() {
            sender
                .data(piece, stall)
                .await
                .map_err(|_| Stopped::Upstream)?;
        }
    }
    rewriter.finish(&mut out).map_err(refused)?;
    for piece in out.take() {
        sender
            .data(piece, stall)
            .await
            .map_err(|_| Stopped::Upstream)?;
    }
    sender.end().await.map_err(|_| Stopped::Upstream)
}
