//! Compressed bodies: members, headers, checksums, what stands behind the end, and a bomb.

use bytes::Bytes;
use privet::engine::coding::{Coding, Decoder};

use crate::data;

/// 64 MiB and 100:1, as the proxy has them by default.
const INFLATED_MAX: u64 = 64 << 20;
const RATIO_MAX: u64 = 100;

/// The body decoded, or how many bytes came out before it was refused.
fn decode(coding: Coding, body: &[u8], cut: usize) -> Result<Vec<u8>, usize> {
    let mut decoder = Decoder::new(coding, INFLATED_MAX, RATIO_MAX);
    let mut out = Vec::new();
    let mut good = true;
    for piece in body.chunks(cut) {
        good = good
            && decoder
                .push(Bytes::copy_from_slice(piece), |piece| {
                    out.extend_from_slice(&piece);
                    Ok(())
                })
                .is_ok();
    }
    if good && decoder.finish().is_ok() {
        Ok(out)
    } else {
        Err(out.len())
    }
}

#[test]
fn compressed_bodies_are_read_or_refused_as_listed() {
    const EMAIL: &str = r#"{"Email":"CANARY-7f3a@leak.test"}"#;
    for (name, coding, expected) in [
        ("fname_extra.json.gz", Coding::Gzip, Some(EMAIL)),
        ("many_members_10k.gz", Coding::Gzip, Some(EMAIL)),
        (
            "multi_member.json.gz",
            Coding::Gzip,
            Some(r#"{"a":1,"Email":"CANARY-7f3a@leak.test"}"#),
        ),
        ("zlib.json.deflate", Coding::Deflate, Some(EMAIL)),
        ("raw.json.deflate", Coding::Deflate, None),
        ("bad_crc.json.gz", Coding::Gzip, None),
        ("trailing_plain.json.gz", Coding::Gzip, None),
        ("trailing_zeros.json.gz", Coding::Gzip, None),
        ("truncated.json.gz", Coding::Gzip, None),
        ("bomb_100M.json.gz", Coding::Gzip, None),
        // Another coding than it says.
        ("zlib.json.deflate", Coding::Gzip, None),
        ("fname_extra.json.gz", Coding::Deflate, None),
        ("fname_extra.json.gz", Coding::Brotli, None),
        ("fname_extra.json.gz", Coding::Zstd, None),
    ] {
        let Some(path) = data::path(&format!("compression/{name}")) else {
            return;
        };
        let body = std::fs::read(path).expect("readable");
        for cut in [1, 1000, 1 << 20] {
            if cut == 1 && body.len() > 300_000 {
                continue;
            }
            let found = decode(coding, &body, cut);
            match expected {
                Some(text) => assert_eq!(found.as_deref(), Ok(text.as_bytes()), "{name} cut {cut}"),
                None => assert!(found.is_err(), "{name} as {coding:?} cut {cut}"),
            }
        }
    }
    // Said once, coded twice: what comes out is no document, which the rewriter finds.
    if let Some(path) = data::path("compression/nested_gz_gz.json.gz.gz") {
        let inner = decode(Coding::Gzip, &std::fs::read(path).expect("readable"), 7);
        assert!(inner.expect("a gzip body").starts_with(&[0x1f, 0x8b]));
    }
}

#[test]
fn a_bomb_is_cut_soon_after_its_first_mebibyte() {
    let Some(path) = data::path("compression/bomb_100M.json.gz") else {
        return;
    };
    let body = std::fs::read(path).expect("readable");
    for cut in [100, body.len()] {
        let out = decode(Coding::Gzip, &body, cut).expect_err("a bomb");
        assert!(out <= (1 << 20) + body.len() * RATIO_MAX as usize, "{out}");
        assert!(cut > 1000 || out <= 2 << 20, "{out}");
    }
}
