//! Entry functions for the fuzz targets, one per parser. Not part of the library's face.

use std::sync::Arc;

use bytes::Bytes;

use crate::engine::path::Path;
use crate::engine::protocol::salesforce::soql;
use crate::engine::rewrite::json::JsonRewriter;
use crate::engine::rewrite::{
    Abort, Bounds, Elements, Member, Members, Node, NodeId, Out, Program, Rewriter, forms_agree,
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
    let redacting = redacting();
    let whole = rewrite(&redacting, body, usize::MAX);
    assert_eq!(
        whole.is_ok(),
        passed.is_ok(),
        "programs accept the same documents"
    );
    // With room behind it, the short cuts near which the input must not end are taken too.
    let room = [b' '; 200];
    match (
        &whole,
        rewrite(&redacting, &[body, &room].concat(), usize::MAX),
    ) {
        (Ok(whole), Ok(roomy)) => assert_eq!(roomy.strip_suffix(&room), Some(&whole[..])),
        (whole, roomy) => assert_eq!(whole.is_ok(), roomy.is_ok(), "short cuts differ"),
    }
    match (&whole, rewrite(&redacting, body, piece)) {
        (Ok(whole), Ok(cut)) => assert_eq!(*whole, cut, "cuts differ"),
        (whole, cut) => assert_eq!(whole.is_ok(), cut.is_ok(), "cuts differ"),
    }
    if let Ok(text) = &whole
        && let Ok(before) = serde_json::from_slice::<serde_json::Value>(
            body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body),
        )
        && !is_doubtful(&before, body)
        && let Ok(after) = serde_json::from_slice::<serde_json::Value>(text)
    {
        assert_eq!(after, oracle(before), "values differ");
    }
    if let Ok(value) = whole.and_then(|text| {
        serde_json::from_slice::<serde_json::Value>(&text).map_err(|_| Abort::Truncated { at: 0 })
    }) {
        redacted(&value);
    }
}

/// Under any key `a` redacts and `b` drops, at any depth; an array's first element is dropped.
fn redacting() -> Arc<Program> {
    Arc::new(Program::new(
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
    ))
}

/// What the JSON oracle's program does by key, at any depth: `a` redacted, `b` dropped, the rest as it came.
fn oracle(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(members) => (members.into_iter())
            .filter(|(key, _)| !key.eq_ignore_ascii_case("b"))
            .map(|(key, value)| {
                let value = if key.eq_ignore_ascii_case("a") {
                    Value::Null
                } else {
                    oracle(value)
                };
                (key, value)
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list
            .into_iter()
            .enumerate()
            .filter(|(index, _)| *index > 0)
            .map(|(_, value)| oracle(value))
            .collect(),
        scalar => scalar,
    }
}

/// Whether an object in the document names a member twice, or by a key of which consumers may think differently:
/// the oracle has no opinion on these.
fn is_doubtful(value: &serde_json::Value, text: &[u8]) -> bool {
    fn members(value: &serde_json::Value) -> usize {
        match value {
            serde_json::Value::Object(o) => o.len() + o.values().map(members).sum::<usize>(),
            serde_json::Value::Array(list) => list.iter().map(members).sum(),
            _ => 0,
        }
    }
    fn odd(value: &serde_json::Value) -> bool {
        match value {
            serde_json::Value::Object(o) => o.iter().any(|(key, value)| {
                let plain = key.is_ascii() && key.trim() == key;
                !plain || odd(value)
            }),
            serde_json::Value::Array(list) => list.iter().any(odd),
            _ => false,
        }
    }
    // Each member has a colon outside strings; strings with colons only make this more careful.
    odd(value) || members(value) != text.iter().filter(|b| **b == b':').count()
}

/// The ways to look at many bytes at once against the plain one: block by block, and as whole rewriters.
///
/// # Panics
/// If they differ.
pub fn scanners(data: &[u8]) {
    forms_agree(data);
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let piece = usize::from(*first) + 1;
    let program = redacting();
    let mut plain: Option<Result<Vec<u8>, Abort>> = None;
    for rewriter in JsonRewriter::in_every_form(&program, Bounds::default()) {
        let mut rewriter = Rewriter::Json(Box::new(rewriter));
        let mut out = Out::default();
        let result = (body.chunks(piece))
            .try_for_each(|part| rewriter.push(Bytes::copy_from_slice(part), &mut out))
            .and_then(|()| rewriter.finish(&mut out))
            .map(|_| out.concat());
        match &plain {
            None => plain = Some(result),
            Some(plain) => assert_eq!(*plain, result, "forms differ"),
        }
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

/// SOQL: never panics, an error points into the text, and what is printed means what was parsed.
///
/// # Panics
/// If one of these does not hold.
pub fn soql(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match soql::parse(text) {
        Err(error) => assert!(error.at <= text.len()),
        Ok(tree) => {
            let printed = tree.to_string();
            match soql::parse(&printed) {
                Ok(again) => assert!(again == tree, "printed differently"),
                // Escapes may bring it over the bound of length.
                Err(_) => assert!(printed.len() > text.len(), "printed is no SOQL"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    /// Clauses in any order.
    #[test]
    fn seeded_queries() {
        const PARTS: [&str; 24] = [
            "SELECT ",
            "Id",
            ", ",
            "Owner.Name",
            " FROM ",
            "Contact",
            " WHERE ",
            "Name = 'O\\'Hara'",
            " AND ",
            " OR ",
            "(",
            ")",
            "NOT ",
            "Age__c > 1.5",
            "LIMIT 5",
            " ORDER BY ",
            " GROUP BY ",
            "COUNT(Id)",
            " c",
            " LIKE '%a_'",
            " IN ('a', 'b')",
            "2024-01-01",
            " ",
            "é'",
        ];
        let mut seed = 3u64;
        let mut next = |n: usize| {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (seed >> 33) as usize % n
        };
        for _ in 0..20_000 {
            let mut data = Vec::new();
            if next(2) == 0 {
                data.extend_from_slice(b"SELECT Id FROM Contact WHERE Name = 'x'");
            }
            for _ in 0..next(12) {
                data.extend_from_slice(PARTS[next(PARTS.len())].as_bytes());
            }
            super::soql(&data);
        }
    }

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
            super::scanners(&data);
            super::path(&data[1..]);
        }
    }
}

/// CSV and XML.
pub mod markup {
    use std::sync::Arc;

    use bytes::Bytes;

    use crate::engine::rewrite::csv::{
        Cell, Column, CsvProgram, CsvRewriter, Decide, Delimiter, LineEnding, Other,
    };
    use crate::engine::rewrite::xml::{Child, Children, XmlBy, XmlChoose, XmlNode, XmlProgram};
    use crate::engine::rewrite::{Abort, Bounds, NodeId, Out, Rewriter};
    use crate::engine::treatment::{Prepared, Treatment};

    /// The output of a body that comes in two pieces.
    fn rewritten(mut rewriter: Rewriter, body: &[u8], cut: usize) -> Result<Vec<u8>, Abort> {
        let mut out = Out::default();
        for part in [&body[..cut], &body[cut..]] {
            rewriter.push(Bytes::copy_from_slice(part), &mut out)?;
        }
        rewriter.finish(&mut out)?;
        Ok(out.concat())
    }

    /// Small, so that a short input reaches every bound.
    const TIGHT: Bounds = Bounds {
        held_bytes_max: 48,
        depth_max: 8,
        key_bytes_max: 64,
        number_bytes_max: 16,
        treated_bytes_max: 24,
    };

    /// The first two bytes of an input: where its rest is cut, and a choice.
    fn parts(data: &[u8]) -> Option<(usize, u8, &[u8])> {
        let [cut, choice, body @ ..] = data else {
            return None;
        };
        Some((usize::from(*cut).min(body.len()), *choice, body))
    }

    fn redact() -> Prepared {
        Prepared::Keyless(Treatment::Redact)
    }

    /// CSV: any cut and both scanners give the same bytes or the same kind of abort.
    pub fn csv(data: &[u8]) {
        let Some((cut, choice, body)) = parts(data) else {
            return;
        };
        let treat = |treatment| Cell::Treat {
            treatment,
            counter: 0,
        };
        let column = |name: &str, cells| Column {
            name: name.into(),
            cells,
            required: false,
        };
        let program = Arc::new(CsvProgram {
            delimiter: if choice & 1 == 0 {
                Delimiter::Comma
            } else {
                Delimiter::Semicolon
            },
            line_ending: LineEnding::AsHeader,
            columns: vec![
                column("a", vec![Cell::Clear, Cell::Drop]),
                column(
                    "b",
                    vec![
                        treat(Prepared::Keyless(Treatment::MaskEmail)),
                        treat(redact()),
                    ],
                ),
                column("c", vec![Cell::Clear]),
                column("d", vec![Cell::Drop]),
            ],
            other: Other::Drop,
            decide: if choice & 2 == 0 {
                Decide::Index(0)
            } else {
                Decide::By {
                    column: "c".into(),
                    cases: vec![],
                    otherwise: Box::new(Decide::Index(1)),
                }
            },
            overflow: 1,
            no_records: choice & 4 == 0,
            counters: vec![],
        });
        let bounds = if choice & 8 == 0 {
            TIGHT
        } else {
            Bounds::default()
        };
        let rewriter = || CsvRewriter::new(program.clone(), bounds);
        let wrap = |rewriter| Rewriter::Csv(Box::new(rewriter));
        let whole = rewritten(wrap(rewriter()), body, 0);
        for other in [
            rewritten(wrap(rewriter()), body, cut),
            rewritten(wrap(rewriter().plain()), body, cut),
        ] {
            assert_eq!(whole.is_ok(), other.is_ok());
            assert!(whole.is_err() || whole == other);
        }
    }

    /// XML: any cut gives the same bytes or an abort as well, and what was written is XML to this very reader.
    pub fn xml(data: &[u8]) {
        let Some((cut, choice, body)) = parts(data) else {
            return;
        };
        let child = |name: &str, node| Child {
            name: name.into(),
            namespace: None,
            node: NodeId(node),
            unique: false,
        };
        let children = Children {
            named: vec![child("a", 0), child("b", 1), child("c", 3)],
            other: Some(NodeId(2)),
            attributes: vec![child("a", 0), child("b", 1)],
            row: true,
        };
        let nodes = [
            XmlNode::Clear,
            XmlNode::Treat {
                treatment: redact(),
                counter: 0,
            },
            XmlNode::Element(children),
            XmlNode::Choose(XmlChoose {
                by: XmlBy::Child("t".into()),
                cases: vec![],
                otherwise: NodeId(2),
                absent: NodeId(0),
                overflow: NodeId(1),
            }),
        ];
        let program = Arc::new(XmlProgram::new(&nodes, NodeId(2), vec![]));
        let clear = Arc::new(XmlProgram::new(&nodes, NodeId(0), vec![]));
        let bounds = if choice & 1 == 0 {
            TIGHT
        } else {
            Bounds::default()
        };
        let whole = rewritten(Rewriter::xml(program.clone(), bounds), body, 0);
        let other = rewritten(Rewriter::xml(program, bounds), body, cut);
        assert_eq!(whole.is_ok(), other.is_ok());
        assert!(whole.is_err() || whole == other);
        if let Ok(output) = whole {
            let wide = Bounds {
                key_bytes_max: 1 << 20,
                ..Bounds::default()
            };
            assert!(rewritten(Rewriter::xml(clear, wide), &output, 0).is_ok());
        }
    }

    #[cfg(test)]
    mod tests {
        /// Inputs of pieces that mean something, from a fixed seed.
        fn replay(target: fn(&[u8]), pieces: &[&str], seed: &str) {
            let mut state = 0x9e37_79b9_7f4a_7c15u64;
            let mut next = move || {
                state = state
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                (state >> 33) as usize
            };
            for _ in 0..20_000 {
                let mut data = vec![(next() % 120) as u8, next() as u8];
                data.extend_from_slice(seed.as_bytes());
                for _ in 0..next() % 24 {
                    data.extend_from_slice(pieces[next() % pieces.len()].as_bytes());
                }
                target(&data);
            }
        }

        #[test]
        fn csv() {
            let pieces = [
                ",",
                ";",
                "\"",
                "\"\"",
                "\n",
                "\r\n",
                "\r",
                "a",
                "b@c.example",
                "\"x,\n\"",
                "é",
                "\0",
                "1,2,3\n",
                "\"1\",\"\"\"\",3\n",
            ];
            for seed in ["a,b,c\n", "d,b\r\n", "b;c;x\n", ""] {
                replay(super::csv, &pieces, seed);
            }
        }

        #[test]
        fn xml() {
            let pieces = [
                "<a>",
                "</a>",
                "<b>",
                "</b>",
                "<c>",
                "</c>",
                "<t/>",
                "<t>x</t>",
                "<a b='1'/>",
                "<x:a/>",
                " xmlns:x='u'",
                "x",
                "&amp;",
                "&#",
                ";",
                "]]>",
                "<![CDATA[",
                "<!--",
                "-->",
                "<?p",
                "?>",
                "'",
                "\"",
                "é",
                "\n",
                "</r>",
                "<b>s</b>",
                "<c><b>s</b><t/></c>",
            ];
            for seed in ["<r>", "<r xmlns:x='u'><c>", "<?xml version='1.0'?><r", ""] {
                replay(super::xml, &pieces, seed);
            }
        }
    }
}
