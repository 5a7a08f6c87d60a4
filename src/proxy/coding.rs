//! Content codings of upstream answers: gzip (RFC 1952) pushed through a bounded decoder, everything else refused.

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::HeaderMap;
use http::header::CONTENT_ENCODING;
use std::io::Write;

use crate::engine::rewrite::Abort;

/// Inflation is not judged before this many bytes have come out.
const RATIO_FREE_BYTES: u64 = 1 << 20;

/// A coding that an upstream answer may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// None.
    Identity,
    /// gzip.
    Gzip,
}

impl Coding {
    /// The coding of a response head; `None`: unknown, chained or said twice.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(CONTENT_ENCODING).iter();
        let coding = match all.next() {
            None => Self::Identity,
            Some(v) if v.as_bytes().eq_ignore_ascii_case(b"identity") => Self::Identity,
            Some(v) if v.as_bytes().eq_ignore_ascii_case(b"gzip") => Self::Gzip,
            Some(_) => return None,
        };
        all.next().is_none().then_some(coding)
    }
}

/// Decodes a body chunk by chunk within its bounds.
#[derive(Debug)]
pub struct Decoder {
    gzip: Option<MultiGzDecoder<Sink>>,
    compressed: u64,
    inflated: u64,
    inflated_max: u64,
    ratio_max: u64,
}

/// What has come out; refuses to grow beyond its bound, so that one chunk cannot inflate without limit.
#[derive(Debug)]
struct Sink {
    bytes: Vec<u8>,
    room: u64,
}

impl Write for Sink {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let n = buf.len() as u64;
        if n > self.room {
            return Err(std::io::ErrorKind::QuotaExceeded.into());
        }
        self.room -= n;
        self.bytes.extend_from_slice(buf);
        Ok(buf.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Compressed bytes fed at once: at deflate's best ratio (1032:1) some 1 MiB comes out between two checks.
const FEED_BYTES: usize = 1 << 10;

impl Decoder {
    /// A decoder at the start of a body. A decoded body has at most `inflated_max` bytes and, after the first
    /// MiB, at most `ratio_max` times its compressed size.
    pub fn new(coding: Coding, inflated_max: u64, ratio_max: u64) -> Self {
        let sink = Sink {
            bytes: Vec::new(),
            room: 0,
        };
        Self {
            gzip: (coding == Coding::Gzip).then(|| MultiGzDecoder::new(sink)),
            compressed: 0,
            inflated: 0,
            inflated_max,
            ratio_max,
        }
    }

    /// Decodes `chunk`, handing each decoded piece to `take`.
    ///
    /// # Errors
    /// [`Abort::Coding`], or what `take` gives.
    pub fn push(
        &mut self,
        chunk: Bytes,
        mut take: impl FnMut(Bytes) -> Result<(), Abort>,
    ) -> Result<(), Abort> {
        let Some(gzip) = self.gzip.as_mut() else {
            return take(chunk);
        };
        for piece in chunk.chunks(FEED_BYTES) {
            self.compressed += piece.len() as u64;
            let allowed = self
                .inflated_max
                .min(RATIO_FREE_BYTES.max(self.compressed.saturating_mul(self.ratio_max)));
            gzip.get_mut().room = allowed.saturating_sub(self.inflated);
            gzip.write_all(piece).map_err(|e| coding_error(&e))?;
            // The decoder keeps one buffer back; a flush would end in an error on a truncated stream.
            let out = std::mem::take(&mut gzip.get_mut().bytes);
            self.inflated += out.len() as u64;
            if !out.is_empty() {
                take(out.into())?;
            }
        }
        Ok(())
    }

    /// The body is complete: every member's checksum must have held.
    ///
    /// # Errors
    /// [`Abort::Coding`], or what `take` gives.
    pub fn finish(
        &mut self,
        mut take: impl FnMut(Bytes) -> Result<(), Abort>,
    ) -> Result<(), Abort> {
        let Some(gzip) = self.gzip.as_mut() else {
            return Ok(());
        };
        if self.compressed == 0 {
            return Err(Abort::Coding {
                what: "empty gzip body",
            });
        }
        let allowed = self
            .inflated_max
            .min(RATIO_FREE_BYTES.max(self.compressed.saturating_mul(self.ratio_max)));
        gzip.get_mut().room = allowed.saturating_sub(self.inflated);
        gzip.try_finish().map_err(|e| coding_error(&e))?;
        let out = std::mem::take(&mut gzip.get_mut().bytes);
        self.inflated += out.len() as u64;
        if out.is_empty() {
            Ok(())
        } else {
            take(out.into())
        }
    }
}

fn coding_error(error: &std::io::Error) -> Abort {
    Abort::Coding {
        what: match error.kind() {
            std::io::ErrorKind::QuotaExceeded => "inflates beyond its bound",
            std::io::ErrorKind::UnexpectedEof => "gzip body is truncated",
            _ => "broken gzip",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut e = GzEncoder::new(Vec::new(), Compression::default());
        e.write_all(data).unwrap();
        e.finish().unwrap()
    }

    fn decode(body: &[u8], cut: usize, max: u64) -> Result<Vec<u8>, Abort> {
        let mut d = Decoder::new(Coding::Gzip, max, 100);
        let mut out = Vec::new();
        for piece in body.chunks(cut) {
            d.push(Bytes::copy_from_slice(piece), |b| {
                out.extend_from_slice(&b);
                Ok(())
            })?;
        }
        d.finish(|b| {
            out.extend_from_slice(&b);
            Ok(())
        })?;
        Ok(out)
    }

    #[test]
    fn reads_all_members_in_any_cut() {
        let body = [gzip(b"{\"a\":1,"), gzip(b"\"b\":2}")].concat();
        for cut in [1, 7, 1000] {
            assert_eq!(decode(&body, cut, 1000).unwrap(), b"{\"a\":1,\"b\":2}");
        }
    }

    #[test]
    fn truncation_bad_checksums_and_trailing_bytes_abort() {
        let good = gzip(b"{\"a\":1}");
        for end in 0..good.len() {
            assert!(decode(&good[..end], 5, 1000).is_err(), "cut at {end}");
        }
        let mut crc = good.clone();
        let at = crc.len() - 6;
        crc[at] ^= 1;
        assert!(decode(&crc, 1000, 1000).is_err());
        for cut in [1, 1000] {
            assert!(decode(&[good.clone(), b"x".to_vec()].concat(), cut, 1000).is_err());
            assert!(decode(&[good.clone(), vec![0; 20]].concat(), cut, 1000).is_err());
        }
    }

    #[test]
    fn inflation_is_bounded_by_size_and_ratio() {
        let zeros = gzip(&vec![b' '; 3 << 20]);
        let too_much = Err(Abort::Coding {
            what: "inflates beyond its bound",
        });
        assert_eq!(decode(&zeros, 512, u64::MAX), too_much);
        assert_eq!(decode(&gzip(b"0123456789"), 512, 9), too_much);
    }

    #[test]
    fn unknown_and_chained_codings_are_not_read() {
        let of = |values: &[&'static str]| {
            let mut h = HeaderMap::new();
            for v in values {
                h.append(CONTENT_ENCODING, http::HeaderValue::from_static(v));
            }
            Coding::of(&h)
        };
        assert_eq!(of(&[]), Some(Coding::Identity));
        assert_eq!(of(&["GZIP"]), Some(Coding::Gzip));
        assert_eq!(of(&["br"]), None);
        assert_eq!(of(&["gzip, gzip"]), None);
        assert_eq!(of(&["gzip", "gzip"]), None);
    }
}
