//! The compressed formats, one step at a time.

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use flate2::{Crc, Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, InBuffer, Operation, OutBuffer};

use super::WINDOW_LOG_MAX;
use super::decode::{Format, Stepped};

const TRAILING: &str = "bytes behind the end of a compressed body";

/// One step of an inflater; true = the stream has ended.
fn inflate(
    inflater: &mut Decompress,
    input: &[u8],
    out: &mut [u8],
    broken: &'static str,
) -> Result<(Stepped, bool), &'static str> {
    let (before_in, before_out) = (inflater.total_in(), inflater.total_out());
    let status = inflater
        .decompress(input, out, FlushDecompress::None)
        .map_err(|_| broken)?;
    let moved = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
    let stepped = Stepped {
        read: moved(inflater.total_in(), before_in),
        written: moved(inflater.total_out(), before_out),
    };
    Ok((stepped, status == Status::StreamEnd))
}

/// RFC 1952: members one after the other.
#[derive(Debug)]
pub(super) struct Gzip {
    at: At,
    inflater: Decompress,
    /// Over the plain bytes of the member.
    crc: Crc,
    /// Over its header, where that has a checksum.
    header: Crc,
    flags: u8,
    /// Header and trailer fields, little-endian, as far as they have come.
    field: u64,
    field_bytes: u32,
}

/// Where in a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Magic, method, flags, time, extra flags, system: this many of ten bytes have come.
    Fixed(u8),
    ExtraLength,
    Extra(u16),
    Name,
    Comment,
    HeaderChecksum,
    Body,
    Trailer,
    /// Behind a member: the end, or another one.
    Between,
}

const GZIP_CHECKSUM: u8 = 1 << 1;
const GZIP_EXTRA: u8 = 1 << 2;
const GZIP_NAME: u8 = 1 << 3;
const GZIP_COMMENT: u8 = 1 << 4;
/// Bits that no sender may set.
const GZIP_RESERVED: u8 = 0b1110_0000;

const GZIP_BROKEN: &str = "broken gzip";

impl Gzip {
    pub(super) fn new() -> Self {
        Self {
            at: At::Fixed(0),
            inflater: Decompress::new(false),
            crc: Crc::new(),
            header: Crc::new(),
            flags: 0,
            field: 0,
            field_bytes: 0,
        }
    }

    /// Collects a field of `bytes` bytes; gives it once it is complete.
    fn field(&mut self, byte: u8, bytes: u32) -> Option<u64> {
        self.field |= u64::from(byte) << (8 * self.field_bytes);
        self.field_bytes += 1;
        (self.field_bytes == bytes).then(|| {
            self.field_bytes = 0;
            std::mem::take(&mut self.field)
        })
    }

    /// Where the header goes on after one of its optional parts.
    fn next_part(&self, after: u8) -> At {
        for (flag, at) in [
            (GZIP_EXTRA, At::ExtraLength),
            (GZIP_NAME, At::Name),
            (GZIP_COMMENT, At::Comment),
        ] {
            if flag > after && self.flags & flag != 0 {
                return at;
            }
        }
        if self.flags & GZIP_CHECKSUM != 0 {
            At::HeaderChecksum
        } else {
            At::Body
        }
    }

    /// One byte of a header.
    fn header_byte(&mut self, byte: u8) -> Result<(), &'static str> {
        if self.at != At::HeaderChecksum {
            self.header.update(&[byte]);
        }
        self.at = match self.at {
            At::Fixed(n) => {
                let good = match n {
                    0 => byte == 0x1f,
                    1 => byte == 0x8b,
                    2 => byte == 8,
                    3 => {
                        self.flags = byte;
                        byte & GZIP_RESERVED == 0
                    }
                    _ => true,
                };
                if !good {
                    return Err(GZIP_BROKEN);
                }
                if n < 9 {
                    At::Fixed(n + 1)
                } else {
                    self.next_part(0)
                }
            }
            At::ExtraLength => match self.field(byte, 2) {
                None => At::ExtraLength,
                Some(0) => self.next_part(GZIP_EXTRA),
                Some(length) => At::Extra(length as u16),
            },
            At::Extra(1) => self.next_part(GZIP_EXTRA),
            At::Extra(left) => At::Extra(left - 1),
            At::Name if byte == 0 => self.next_part(GZIP_NAME),
            At::Comment if byte == 0 => self.next_part(GZIP_COMMENT),
            At::HeaderChecksum => match self.field(byte, 2) {
                None => At::HeaderChecksum,
                Some(sum) if sum == u64::from(self.header.sum() & 0xffff) => At::Body,
                Some(_) => return Err("gzip header checksum does not hold"),
            },
            same => same,
        };
        Ok(())
    }
}

impl Format for Gzip {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Stepped, &'static str> {
        let mut read = 0;
        loop {
            if self.at == At::Body {
                let (stepped, ended) =
                    inflate(&mut self.inflater, &input[read..], out, GZIP_BROKEN)?;
                self.crc.update(&out[..stepped.written]);
                if ended {
                    self.at = At::Trailer;
                }
                return Ok(Stepped {
                    read: read + stepped.read,
                    written: stepped.written,
                });
            }
            let Some(byte) = input.get(read).copied() else {
                return Ok(Stepped { read, written: 0 });
            };
            match self.at {
                At::Trailer => {
                    if let Some(trailer) = self.field(byte, 8) {
                        if trailer != u64::from(self.crc.amount()) << 32 | u64::from(self.crc.sum())
                        {
                            return Err("gzip checksum does not hold");
                        }
                        self.at = At::Between;
                    }
                    read += 1;
                }
                At::Between if byte != 0x1f => return Err(TRAILING),
                At::Between => {
                    self.inflater.reset(false);
                    self.crc.reset();
                    self.header.reset();
                    self.at = At::Fixed(0);
                }
                _ => {
                    self.header_byte(byte)?;
                    read += 1;
                }
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.at == At::Between
    }
}

/// RFC 1950, as RFC 9110 says. Bare RFC 1951, which some senders mean by the name, has no checksum and begins like
/// anything: refused.
#[derive(Debug)]
pub(super) struct Deflate {
    /// `None` until its header has come.
    inflater: Option<Decompress>,
    /// Those bytes, as far as they have come.
    head: Vec<u8>,
    ended: bool,
}

const DEFLATE_BROKEN: &str = "broken deflate";

impl Deflate {
    pub(super) fn new() -> Self {
        Self {
            inflater: None,
            head: Vec::with_capacity(2),
            ended: false,
        }
    }

    /// RFC 1950 section 2.2: method 8, a window of at most 32 KiB, a check that holds.
    fn is_zlib(first: u8, second: u8) -> bool {
        first & 0x0f == 8
            && first >> 4 <= 7
            && u16::from_be_bytes([first, second]).is_multiple_of(31)
    }
}

impl Format for Deflate {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Stepped, &'static str> {
        if self.ended {
            return if input.is_empty() {
                Ok(Stepped {
                    read: 0,
                    written: 0,
                })
            } else {
                Err(TRAILING)
            };
        }
        let Some(inflater) = self.inflater.as_mut() else {
            let read = input.len().min(2 - self.head.len());
            self.head.extend_from_slice(&input[..read]);
            let [first, second] = self.head[..] else {
                return Ok(Stepped { read, written: 0 });
            };
            if !Self::is_zlib(first, second) {
                return Err("deflate without its zlib header");
            }
            let mut inflater = Decompress::new(true);
            let (stepped, ended) = inflate(&mut inflater, &self.head, out, DEFLATE_BROKEN)?;
            if stepped.read < self.head.len() {
                return Err(DEFLATE_BROKEN);
            }
            self.inflater = Some(inflater);
            self.ended = ended;
            return Ok(Stepped {
                read,
                written: stepped.written,
            });
        };
        let (stepped, ended) = inflate(inflater, input, out, DEFLATE_BROKEN)?;
        self.ended = ended;
        Ok(stepped)
    }

    fn is_complete(&self) -> bool {
        self.ended
    }
}

/// RFC 7932.
pub(super) struct Brotli {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    begun: bool,
    ended: bool,
}

impl std::fmt::Debug for Brotli {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Brotli")
    }
}

impl Brotli {
    pub(super) fn new() -> Self {
        let alloc = StandardAlloc::default;
        Self {
            state: Box::new(BrotliState::new(alloc(), alloc(), alloc())),
            begun: false,
            ended: false,
        }
    }

    /// The base-2 logarithm of the window, from the first byte (RFC 7932 section 9.1); `None`: none of the RFC's.
    fn window_log(first: u8) -> Option<u32> {
        match (first & 1, first >> 1 & 7, first >> 4 & 7) {
            (0, ..) => Some(16),
            (_, 0, 0) => Some(17),
            // A window of another format.
            (_, 0, 1) => None,
            (_, 0, low) => Some(8 + u32::from(low)),
            (_, high, _) => Some(17 + u32::from(high)),
        }
    }
}

impl Format for Brotli {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Stepped, &'static str> {
        if self.ended && !input.is_empty() {
            return Err(TRAILING);
        }
        if let (false, Some(first)) = (self.begun, input.first()) {
            self.begun = true;
            if Self::window_log(*first).is_none_or(|log| log > WINDOW_LOG_MAX) {
                return Err("br window over its bound");
            }
        }
        if self.ended || !self.begun {
            return Ok(Stepped {
                read: 0,
                written: 0,
            });
        }
        let (mut left_in, mut read, mut total) = (input.len(), 0, 0);
        let (mut left_out, mut written) = (out.len(), 0);
        let result = BrotliDecompressStream(
            &mut left_in,
            &mut read,
            input,
            &mut left_out,
            &mut written,
            out,
            &mut total,
            &mut self.state,
        );
        match result {
            BrotliResult::ResultFailure => return Err("broken br"),
            BrotliResult::ResultSuccess => {
                self.ended = true;
                if read < input.len() {
                    return Err(TRAILING);
                }
            }
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok(Stepped { read, written })
    }

    fn is_complete(&self) -> bool {
        self.ended
    }
}

/// RFC 8878: frames one after the other.
pub(super) struct Zstd {
    /// `None`: there is no memory for one.
    decoder: Option<zstd::stream::raw::Decoder<'static>>,
    /// Behind a frame.
    between: bool,
}

impl std::fmt::Debug for Zstd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Zstd")
    }
}

impl Zstd {
    pub(super) fn new() -> Self {
        let decoder = zstd::stream::raw::Decoder::new().and_then(|mut decoder| {
            decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
            Ok(decoder)
        });
        Self {
            decoder: decoder.ok(),
            between: false,
        }
    }
}

impl Format for Zstd {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Stepped, &'static str> {
        let decoder = self.decoder.as_mut().ok_or("no memory for zstd")?;
        if self.between && input.is_empty() {
            return Ok(Stepped {
                read: 0,
                written: 0,
            });
        }
        let mut from = InBuffer::around(input);
        let mut to = OutBuffer::around(out);
        // Frames follow each other by themselves; zero is the end of one, with its checksum.
        let hint = decoder.run(&mut from, &mut to).map_err(|_| "broken zstd")?;
        self.between = hint == 0;
        Ok(Stepped {
            read: from.pos(),
            written: to.pos(),
        })
    }

    fn is_complete(&self) -> bool {
        self.between
    }
}
