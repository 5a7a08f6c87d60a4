use bytes::Bytes;
use http::{HeaderMap, HeaderValue};

use super::*;
use crate::engine::rewrite::Abort;

const CODINGS: [Coding; 4] = [Coding::Gzip, Coding::Deflate, Coding::Brotli, Coding::Zstd];

fn encode(coding: Coding, data: &[u8], cut: usize, flush: bool) -> Vec<u8> {
    let mut encoder = Encoder::new(coding).unwrap().unwrap();
    let mut out = Vec::new();
    for piece in data.chunks(cut) {
        out.extend(encoder.push(piece).unwrap().unwrap_or_default());
        if flush {
            out.extend(encoder.flush().unwrap().unwrap_or_default());
            assert_eq!(
                decode_some(coding, &out).unwrap(),
                data[..piece.as_ptr() as usize - data.as_ptr() as usize + piece.len()],
                "{coding:?}: not decodable after a flush"
            );
        }
    }
    out.extend(encoder.finish().unwrap());
    assert!(encoder.push(b"x").is_err() && encoder.finish().is_err());
    out
}

/// What a body that goes on decodes to so far.
fn decode_some(coding: Coding, body: &[u8]) -> Result<Vec<u8>, Abort> {
    let mut decoder = Decoder::new(coding, u64::MAX, u64::MAX);
    let mut out = Vec::new();
    decoder.push(Bytes::copy_from_slice(body), |b| {
        out.extend_from_slice(&b);
        Ok(())
    })?;
    Ok(out)
}

fn decode(coding: Coding, body: &[u8], cut: usize) -> Result<Vec<u8>, Abort> {
    bounded(coding, body, cut, 64 << 20, 100)
}

fn bounded(
    coding: Coding,
    body: &[u8],
    cut: usize,
    max: u64,
    ratio: u64,
) -> Result<Vec<u8>, Abort> {
    let mut decoder = Decoder::new(coding, max, ratio);
    let mut out = Vec::new();
    for piece in body.chunks(cut) {
        decoder.push(Bytes::copy_from_slice(piece), |b| {
            out.extend_from_slice(&b);
            Ok(())
        })?;
    }
    decoder.finish()?;
    Ok(out)
}

/// Text that neither compresses to nothing nor not at all.
fn text(bytes: usize) -> Vec<u8> {
    let mut state = 7u64;
    std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        format!("{{\"Id\":\"{:x}\"}},", state >> 40)
    })
    .flat_map(String::into_bytes)
    .take(bytes)
    .collect()
}

#[test]
fn every_coding_goes_there_and_back_in_any_cut() {
    for coding in CODINGS {
        for data in [Vec::new(), b"x".to_vec(), text(3000), text(300_000)] {
            let body = encode(coding, &data, 1000, data.len() < 5000);
            for cut in [1, 7, 1 << 20] {
                if cut > 1 || body.len() < 5000 {
                    let found = decode(coding, &body, cut);
                    assert_eq!(found.as_ref(), Ok(&data), "{coding:?} cut {cut}");
                }
            }
        }
    }
}

#[test]
fn members_and_frames_follow_each_other() {
    for coding in [Coding::Gzip, Coding::Zstd] {
        let body = [
            encode(coding, b"{\"a\":1,", 100, false),
            encode(coding, b"", 100, false),
            encode(coding, b"\"b\":2}", 100, false),
        ]
        .concat();
        for cut in [1, 7, 1000] {
            assert_eq!(decode(coding, &body, cut).unwrap(), b"{\"a\":1,\"b\":2}");
        }
    }
}

#[test]
fn truncation_broken_checksums_and_trailing_bytes_abort() {
    for coding in CODINGS {
        let good = encode(coding, b"{\"a\":1,\"b\":[1,2,3]}", 100, false);
        for end in 0..good.len() {
            assert!(decode(coding, &good[..end], 5).is_err(), "{coding:?} {end}");
        }
        for cut in [1, 1000] {
            for more in [&b"x"[..], &[0; 20]] {
                let body = [&good, more].concat();
                assert!(decode(coding, &body, cut).is_err(), "{coding:?} + {more:?}");
            }
        }
        // br has no checksum.
        if coding != Coding::Brotli {
            let mut broken = good.clone();
            let at = broken.len() - 1;
            broken[at - 3..at].iter_mut().for_each(|b| *b ^= 1);
            assert!(
                decode(coding, &broken, 1000).is_err(),
                "{coding:?} checksum"
            );
        }
    }
}

#[test]
fn a_decoder_that_failed_gives_nothing_more() {
    let good = encode(Coding::Gzip, b"{\"a\":1}", 100, false);
    let mut decoder = Decoder::new(Coding::Gzip, 1000, 100);
    let mut taken = 0;
    let mut push = |bytes: &[u8]| {
        decoder.push(Bytes::copy_from_slice(bytes), |b| {
            taken += b.len();
            Ok(())
        })
    };
    let first = push(b"nonsense").unwrap_err();
    assert_eq!(push(&good), Err(first));
    assert_eq!(taken, 0);
}

#[test]
fn inflation_is_bounded_by_size_and_ratio() {
    let too_much = Err(Abort::Coding {
        what: "inflates beyond its bound",
    });
    for coding in CODINGS {
        let zeros = encode(coding, &vec![b' '; 3 << 20], 1 << 20, false);
        assert_eq!(bounded(coding, &zeros, 512, u64::MAX, 100), too_much);
        assert_eq!(
            bounded(coding, &zeros, 1 << 20, 2 << 20, u64::MAX),
            too_much
        );
        assert!(bounded(coding, &zeros, 512, u64::MAX, u64::MAX).is_ok());
        let ten = encode(coding, b"0123456789", 100, false);
        assert_eq!(bounded(coding, &ten, 512, 9, 100), too_much);
        assert!(bounded(coding, &ten, 512, 10, 1).is_ok());
    }
}

#[test]
fn windows_over_the_bound_are_refused() {
    // Frame header: window descriptor with exponent 14 = 16 MiB, then a raw block.
    let frame = |exponent: u8| {
        [
            &[0x28, 0xb5, 0x2f, 0xfd, 0x00, exponent << 3][..],
            &[0x09, 0x00, 0x00, b'x'],
        ]
        .concat()
    };
    assert_eq!(decode(Coding::Zstd, &frame(13), 100).unwrap(), b"x");
    assert!(decode(Coding::Zstd, &frame(14), 100).is_err());
    // Empty last metablock behind each window of RFC 7932 section 9.1 that is given by four bits or one.
    assert_eq!(decode(Coding::Brotli, &[0x06], 100).unwrap(), b"");
    assert_eq!(decode(Coding::Brotli, &[0x3d], 100).unwrap(), b"");
    assert!(decode(Coding::Brotli, &[0x3f], 100).is_err());
    // The large windows of another format.
    assert!(decode(Coding::Brotli, &[0x11, 0x98, 0x03], 100).is_err());
}

/// Bare RFC 1951 begins like anything and has no checksum.
#[test]
fn deflate_without_its_header_is_refused() {
    use std::io::Write as _;
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    raw.write_all(&text(2000)).unwrap();
    let raw = raw.finish().unwrap();
    for body in [&raw[..], &[0x03, 0x00]] {
        for cut in [1, 2, 3, 10_000] {
            assert!(decode(Coding::Deflate, body, cut).is_err());
        }
    }
}

#[test]
fn unknown_and_chained_codings_are_not_read() {
    let of = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(CONTENT_ENCODING, HeaderValue::from_static(value));
        }
        Coding::of(&headers)
    };
    assert_eq!(of(&[]), Some(Coding::Identity));
    for (word, coding) in [
        ("identity", Coding::Identity),
        ("GZIP", Coding::Gzip),
        ("x-gzip", Coding::Gzip),
        ("Deflate", Coding::Deflate),
        ("br", Coding::Brotli),
        ("zstd", Coding::Zstd),
    ] {
        assert_eq!(of(&[word]), Some(coding));
    }
    for bad in [
        &["compress"][..],
        &["gzip, gzip"],
        &["gzip", "gzip"],
        &["gzip", "identity"],
        &[""],
    ] {
        assert_eq!(of(bad), None, "{bad:?}");
    }
}
