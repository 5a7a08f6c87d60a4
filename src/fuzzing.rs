//! Entry functions for the fuzz targets, one per parser. Not part of the library's face.

use std::sync::Arc;

use bytes::Bytes;

use crate::engine::path::Path;
use crate::engine::rewrite::{
    Abort, Bounds, Elements, Member, Members, Node, NodeId, Out, Program, Rewriter,
};
use crate::engine::treatment::{Prepared, Treatment};

fn rewrite(program: &Arc<Program>, body: &[u8], piece: usize) -> Result<Vec<u8>, Abort> {
    let mut rewriter = Rewriter::json(program.clone(), Bounds::default());
    let mut out = Out::default();
    for piece in body.chunks(piece.max(1)) {
        rewriter.push(Bytes::copy_from_slice(piece), &mut out)?;
    }
    rewriter.finish(&mut out)?;
    Ok(out.concat())
}

/// JSON: what passes is JSON to serde_json too, unchanged under a clear program; under any program the cuts make
/// no difference, and of a redacted member at any depth nothing is left.
///
/// # Panics
/// If one of these does not hold.
pub fn json(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let piece = usize::from(*first % 61) + 1;
    let clear = Arc::new(Program::new(vec![Node::Clear], NodeId(0), Vec::new()));
    let passed = rewrite(&clear, body, usize::MAX);
    assert_eq!(
        passed.is_ok(),
        rewrite(&clear, body, piece).is_ok(),
        "cuts differ"
    );
    if let Ok(passed) = &passed {
        assert_eq!(passed, body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body));
        let parsed = serde_json::from_slice::<serde::de::IgnoredAny>(passed);
        assert!(
            parsed.is_ok() || parsed.is_err_and(|e| e.to_string().starts_with("recursion limit"))
        );
    }
    let redacting = Arc::new(Program::new(
        vec![
            Node::Either {
                object: NodeId(1),
                array: NodeId(2),
                scalar: NodeId(3),
            },
            Node::Object(Members {
                named: vec![
                    Member {
                        key: "a".into(),
                        node: NodeId(4),
                        unique: false,
                    },
                    Member {
                        key: "b".into(),
                        node: NodeId(5),
                        unique: false,
                    },
                ],
                other: Some(NodeId(0)),
                row: true,
            }),
            Node::Array(Elements {
                head: vec![NodeId(5)],
                rest: NodeId(0),
            }),
            Node::Clear,
            Node::Treat {
                treatment: Prepared::Keyless(Treatment::Redact),
                counter: 0,
            },
            Node::Drop,
        ],
        NodeId(0),
        Vec::new(),
    ));
    let whole = rewrite(&redacting, body, usize::MAX);
    assert_eq!(
        whole.is_ok(),
        passed.is_ok(),
        "programs accept the same documents"
    );
    // With room behind it, the short cuts near which the input must not end are taken too.
    let room = [b' '; 200];
    match (&whole, rewrite(&redacting, &[body, &room].concat(), usize::MAX)) {
        (Ok(whole), Ok(roomy)) => assert_eq!(roomy.strip_suffix(&room), Some(&whole[..])),
        (whole, roomy) => assert_eq!(whole.is_ok(), roomy.is_ok(), "short cuts differ"),
    }
    match (&whole, rewrite(&redacting, body, piece)) {
        (Ok(whole), Ok(cut)) => assert_eq!(*whole, cut, "cuts differ"),
        (whole, cut) => assert_eq!(whole.is_ok(), cut.is_ok(), "cuts differ"),
    }
    if let Ok(value) = whole.and_then(|text| {
        serde_json::from_slice::<serde_json::Value>(&text).map_err(|_| Abort::Truncated { at: 0 })
    }) {
        redacted(&value);
    }
}

fn redacted(value: &serde_json::Value) {
    match value {
        serde_json::Value::Object(members) => {
            for (key, value) in members {
                assert!(!key.eq_ignore_ascii_case("a") || value.is_null());
                assert!(!key.eq_ignore_ascii_case("b"));
                redacted(value);
            }
        }
        serde_json::Value::Array(list) => list.iter().for_each(redacted),
        _ => {}
    }
}

/// JSONPath: never panics, and an error points into the text.
///
/// # Panics
/// If it does not.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(error) = Path::parse(text) {
        assert!(error.column >= 1 && error.column <= text.chars().count() + 1);
    }
}

#[cfg(test)]
mod tests {
    /// A seeded walk through JSON-like bytes, so that the fuzz targets' bodies run on every test run.
    #[test]
    fn seeded_inputs() {
        const PARTS: [&str; 28] = [
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            "\"a\"",
            "\"b\"",
            "\"A\"",
            "\"x\"",
            "\"\\u0061\"",
            "1",
            "-0.5e3",
            "true",
            "null",
            " ",
            "\n",
            "\"é\"",
            "\"\\ud83d\\ude00\"",
            "\"\\n\"",
            "\"a\":1",
            "\"b\":[{\"a\":2}]",
            "\u{feff}",
            "01",
            "\"ａ\":3",
            "{\"x\":",
            "[[",
            "$.a[0]..*",
        ];
        let mut seed = 1u64;
        let mut next = |n: usize| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        for _ in 0..20_000 {
            let mut data = vec![next(256) as u8];
            for _ in 0..next(12) {
                data.extend_from_slice(PARTS[next(PARTS.len())].as_bytes());
            }
            super::json(&data);
            super::path(&data[1..]);
        }
    }
}
