//! Content codings (RFC 9110 section 8.4.1) as streaming push codecs, both ways, in bounded memory.
//!
//! [`Decoder`] reads gzip (RFC 1952, all members), deflate (RFC 1950, never bare RFC 1951), br (RFC 7932) and zstd (RFC 8878, all frames). Checksums must hold, nothing may follow the end, and what comes
//! out is bounded in size and in its ratio to what went in. [`Encoder`] writes them. One coding at a time: chained
//! codings are not read.

mod accept;
mod decode;
mod encode;
mod formats;
#[cfg(test)]
mod tests;

use http::HeaderMap;
use http::header::CONTENT_ENCODING;

pub use accept::accepted;
pub use decode::Decoder;
pub use encode::Encoder;

/// Base-2 logarithm of the largest window that is read: 8 MiB (RFC 9659 section 3 for zstd; the same here for br).
const WINDOW_LOG_MAX: u32 = 23;

/// A content coding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// gzip.
    Gzip,
    /// deflate.
    Deflate,
    /// br.
    Brotli,
    /// zstd.
    Zstd,
}

impl Coding {
    /// The coding of a head; `None`: unknown, chained or said twice.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(CONTENT_ENCODING).iter();
        let coding = match all.next() {
            None => Self::Identity,
            Some(value) => Self::parse(value.to_str().ok()?.trim())?,
        };
        all.next().is_none().then_some(coding)
    }

    /// The coding that `word` names (RFC 9110 section 8.4.1: in any case; `x-gzip` is gzip).
    fn parse(word: &str) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_str() {
            "identity" => Self::Identity,
            "gzip" | "x-gzip" => Self::Gzip,
            "deflate" => Self::Deflate,
            "br" => Self::Brotli,
            "zstd" => Self::Zstd,
            _ => return None,
        })
    }

    /// Its name in `Content-Encoding`; `None` for identity, which is not said.
    pub fn word(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Deflate => Some("deflate"),
            Self::Brotli => Some("br"),
            Self::Zstd => Some("zstd"),
        }
    }
}
