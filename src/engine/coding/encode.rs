//! Plain slices in, compressed pieces out.

use std::io::{self, Write};

use brotli::CompressorWriter;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use zstd::stream::write::Encoder as ZstdEncoder;

use super::Coding;

/// Levels at which a stream is compressed about as fast as it is read: an answer waits for nobody.
const DEFLATE_LEVEL: u32 = 1;
const BROTLI_QUALITY: u32 = 3;
const ZSTD_LEVEL: i32 = 1;

/// Base-2 logarithm of the window of br: 256 KiB.
const BROTLI_WINDOW_LOG: u32 = 18;

/// Compressed bytes that are collected before they leave.
const PIECE_BYTES: usize = 16 << 10;

/// Encodes a body slice by slice.
pub struct Encoder(Writer);

enum Writer {
    Gzip(GzEncoder<Vec<u8>>),
    Deflate(ZlibEncoder<Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Zstd(ZstdEncoder<'static, Vec<u8>>),
    /// The end has been written.
    Over,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Encoder")
    }
}

impl Encoder {
    /// An encoder at the start of a body; `None` for identity, which needs none.
    ///
    /// # Errors
    /// There is no memory for it.
    pub fn new(coding: Coding) -> io::Result<Option<Self>> {
        let level = Compression::new(DEFLATE_LEVEL);
        let out = Vec::new();
        Ok(Some(Self(match coding {
            Coding::Identity => return Ok(None),
            Coding::Gzip => Writer::Gzip(GzEncoder::new(out, level)),
            Coding::Deflate => Writer::Deflate(ZlibEncoder::new(out, level)),
            Coding::Brotli => Writer::Brotli(Box::new(CompressorWriter::new(
                out,
                4096,
                BROTLI_QUALITY,
                BROTLI_WINDOW_LOG,
            ))),
            Coding::Zstd => {
                let mut encoder = ZstdEncoder::new(out, ZSTD_LEVEL)?;
                encoder.include_checksum(true)?;
                Writer::Zstd(encoder)
            }
        })))
    }

    /// Encodes `slice`; a piece is given once it is worth its way.
    ///
    /// # Errors
    /// The encoder is out of memory or over.
    pub fn push(&mut self, slice: &[u8]) -> io::Result<Option<Bytes>> {
        self.writer()?.write_all(slice)?;
        Ok(self.taken(PIECE_BYTES))
    }

    /// All that has been pushed can be decoded from what has been given, this included.
    ///
    /// # Errors
    /// As [`Encoder::push`].
    pub fn flush(&mut self) -> io::Result<Option<Bytes>> {
        self.writer()?.flush()?;
        Ok(self.taken(1))
    }

    /// The end of the body.
    ///
    /// # Errors
    /// As [`Encoder::push`].
    pub fn finish(&mut self) -> io::Result<Bytes> {
        let out = match std::mem::replace(&mut self.0, Writer::Over) {
            Writer::Gzip(w) => w.finish()?,
            Writer::Deflate(w) => w.finish()?,
            Writer::Brotli(w) => w.into_inner(),
            Writer::Zstd(w) => w.finish()?,
            Writer::Over => return Err(io::ErrorKind::BrokenPipe.into()),
        };
        Ok(out.into())
    }

    fn writer(&mut self) -> io::Result<&mut dyn Write> {
        Ok(match &mut self.0 {
            Writer::Gzip(w) => w,
            Writer::Deflate(w) => w,
            Writer::Brotli(w) => w,
            Writer::Zstd(w) => w,
            Writer::Over => return Err(io::ErrorKind::BrokenPipe.into()),
        })
    }

    /// What has been written so far, if it is at least `least` bytes.
    fn taken(&mut self, least: usize) -> Option<Bytes> {
        let out = match &mut self.0 {
            Writer::Gzip(w) => w.get_mut(),
            Writer::Deflate(w) => w.get_mut(),
            Writer::Brotli(w) => w.get_mut(),
            Writer::Zstd(w) => w.get_mut(),
            Writer::Over => return None,
        };
        (out.len() >= least).then(|| std::mem::take(out).into())
    }
}
