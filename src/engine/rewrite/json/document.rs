//! A string that holds a JSON document: unescaped, rewritten by a rewriter of its own, and escaped again while it
//! streams.

use std::sync::Arc;

use bytes::Bytes;

use super::super::{Abort, Bounds, Counts, Out, Program};
use super::JsonRewriter;

/// A document up to this size, unescaped, leaves once it is complete and good; of a longer one the beginning may be
/// out when its end turns out to be broken, which then ends the outer document too.
const HELD_BYTES_MAX: usize = 8 << 10;
/// Bounds inside, so that a stream with both stays within its own.
const INNER_BYTES_MAX: usize = 16 << 10;
const INNER_KEY_BYTES_MAX: usize = 4 << 10;
/// Longest escape: a character beyond the first plane.
const ESCAPE_BYTES_MAX: usize = 12;

#[derive(Debug)]
pub(super) struct Document {
    rewriter: JsonRewriter,
    out: Out,
    /// The beginning of an escape whose end has not come.
    escape: Vec<u8>,
    plain: Vec<u8>,
    /// Escaped again, not yet gone.
    written: Vec<u8>,
    /// Bytes of the document, unescaped.
    fed: usize,
    /// It is none: null leaves in its place.
    is_none: bool,
    before_quote: bool,
}

impl Document {
    pub(super) fn new(program: &Arc<Program>, bounds: Bounds) -> Self {
        let bounds = Bounds {
            held_bytes_max: bounds.held_bytes_max.min(INNER_BYTES_MAX),
            treated_bytes_max: bounds.treated_bytes_max.min(INNER_BYTES_MAX),
            key_bytes_max: bounds.key_bytes_max.min(INNER_KEY_BYTES_MAX),
            ..bounds
        };
        let mut rewriter = JsonRewriter::new(Arc::clone(program), bounds);
        rewriter.is_inner = true;
        Self {
            rewriter,
            out: Out::default(),
            escape: Vec::with_capacity(ESCAPE_BYTES_MAX),
            plain: Vec::new(),
            written: Vec::new(),
            fed: 0,
            is_none: false,
            before_quote: true,
        }
    }

    /// Another string begins, whose document takes this node.
    pub(super) fn begin(&mut self, node: u32) {
        self.rewriter.root = node;
        self.rewriter.next_document();
        self.out = Out::default();
        self.escape.clear();
        self.written.clear();
        self.written.push(b'"');
        self.fed = 0;
        self.is_none = false;
        self.before_quote = true;
    }

    /// Takes the next piece of the string as it is written, which is valid; without its last quote.
    ///
    /// # Errors
    /// It is no document, and a part of it may be out.
    pub(super) fn push(&mut self, mut raw: &[u8]) -> Result<(), Abort> {
        if self.before_quote && !raw.is_empty() {
            self.before_quote = false;
            raw = &raw[1..];
        }
        if self.is_none {
            return Ok(());
        }
        self.plain.clear();
        let good = self.unescape(raw);
        let plain = std::mem::take(&mut self.plain);
        // Cut at the bound, so that what is held when an error comes up does not depend on the cuts.
        let (first, rest) =
            plain.split_at(HELD_BYTES_MAX.saturating_sub(self.fed).min(plain.len()));
        let mut result = self.feed(first);
        if result.is_ok() && !rest.is_empty() {
            result = self.feed(rest);
        }
        self.plain = plain;
        if result.is_ok() && !good {
            result = Err(Abort::Malformed {
                what: "document in a string",
                at: 0,
            });
        }
        self.judge(result)
    }

    fn feed(&mut self, plain: &[u8]) -> Result<(), Abort> {
        if plain.is_empty() {
            return Ok(());
        }
        self.fed += plain.len();
        let piece = Bytes::copy_from_slice(plain);
        self.rewriter.push(piece, &mut self.out)?;
        self.write();
        Ok(())
    }

    fn write(&mut self) {
        for piece in self.out.take() {
            escape(&piece, &mut self.written);
        }
    }

    fn judge(&mut self, result: Result<(), Abort>) -> Result<(), Abort> {
        if result.is_err() {
            if self.fed > HELD_BYTES_MAX {
                return result;
            }
            self.is_none = true;
            self.out = Out::default();
        }
        Ok(())
    }

    /// What may leave now, escaped.
    pub(super) fn ready(&mut self) -> Option<&[u8]> {
        (self.fed > HELD_BYTES_MAX && !self.is_none).then_some(&self.written)
    }

    /// What was ready has left.
    pub(super) fn gone(&mut self) {
        self.written.clear();
    }

    /// The string is complete: gives the rest of what leaves in its place, and what was done, if it was a document.
    ///
    /// # Errors
    /// As [`Document::push`].
    pub(super) fn end(&mut self) -> Result<(&[u8], Option<Counts>), Abort> {
        if !self.is_none {
            let result = if self.escape.is_empty() {
                self.rewriter.end_document(&mut self.out)
            } else {
                Err(Abort::Truncated { at: 0 })
            };
            self.judge(result)?;
        }
        if self.is_none {
            self.rewriter.next_document();
            self.rewriter.forget_counts();
            return Ok((b"null", None));
        }
        self.write();
        self.written.push(b'"');
        let counts = self.rewriter.counts_so_far();
        self.rewriter.forget_counts();
        Ok((&self.written, Some(counts)))
    }

    /// Appends `raw` to `plain` without its escapes. False: an escape stands for no character (half of a pair).
    fn unescape(&mut self, mut raw: &[u8]) -> bool {
        while !raw.is_empty() {
            if self.escape.is_empty() {
                let at = memchr::memchr(b'\\', raw).unwrap_or(raw.len());
                self.plain.extend_from_slice(&raw[..at]);
                raw = &raw[at..];
            }
            let Some((first, rest)) = raw.split_first() else {
                return true;
            };
            self.escape.push(*first);
            raw = rest;
            let Some(character) = unescaped(&self.escape) else {
                continue;
            };
            self.escape.clear();
            let Some(character) = character else {
                return false;
            };
            let mut buffer = [0; 4];
            let text = character.encode_utf8(&mut buffer);
            self.plain.extend_from_slice(text.as_bytes());
        }
        true
    }
}

/// The character that an escape stands for: `None` = more of it is to come, `Some(None)` = none.
fn unescaped(escape: &[u8]) -> Option<Option<char>> {
    let unit = |hex: &[u8]| {
        let hex = std::str::from_utf8(hex).ok()?;
        u32::from_str_radix(hex, 16).ok()
    };
    Some(match escape {
        [_] => return None,
        [_, b'u', hex @ ..] if hex.len() < 4 => return None,
        [_, b'u', hex @ ..] => match unit(&hex[..4]) {
            Some(high @ 0xd800..=0xdbff) => match &hex[4..] {
                [] | [b'\\'] => return None,
                [b'\\', b'u', low @ ..] if low.len() < 4 => return None,
                [b'\\', b'u', low @ ..] => match unit(low) {
                    Some(low @ 0xdc00..=0xdfff) => {
                        char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
                    }
                    _ => None,
                },
                _ => None,
            },
            Some(code) => char::from_u32(code),
            None => None,
        },
        [_, b'b'] => Some('\u{8}'),
        [_, b'f'] => Some('\u{c}'),
        [_, b'n'] => Some('\n'),
        [_, b'r'] => Some('\r'),
        [_, b't'] => Some('\t'),
        [_, b @ (b'"' | b'\\' | b'/')] => Some(char::from(*b)),
        _ => None,
    })
}

/// What is UTF-8 and JSON, as the content of a JSON string.
fn escape(plain: &[u8], out: &mut Vec<u8>) {
    for &b in plain {
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            // JSON has no other control character.
            b => out.push(b),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::super::{Member, Members, Node, NodeId, Rewriter};
    use super::*;
    use crate::engine::treatment::{Prepared, Treatment};

    /// `doc` and `more` hold documents, in which `a` is redacted and `b` left out at the top, `doc` is one again.
    fn program() -> Arc<Program> {
        let member = |key: &str, node| Member {
            key: key.into(),
            node: NodeId(node),
            unique: false,
        };
        let object = |named, other: Option<u32>, row| {
            Node::Object(Members {
                named,
                other: other.map(NodeId),
                row,
            })
        };
        Arc::new(Program::new(
            vec![
                object(vec![member("doc", 1), member("more", 1)], Some(2), true),
                Node::Document(NodeId(5)),
                Node::Clear,
                Node::Treat {
                    treatment: Prepared::Keyless(Treatment::Redact),
                    counter: 0,
                },
                Node::Drop,
                Node::Either {
                    object: NodeId(6),
                    array: NodeId(2),
                    scalar: NodeId(2),
                },
                object(
                    vec![member("a", 3), member("b", 4), member("doc", 1)],
                    Some(2),
                    true,
                ),
            ],
            NodeId(0),
            vec![super::super::super::Counter {
                object: "O".into(),
                field: "a".into(),
                treatment: Treatment::Redact,
            }],
        ))
    }

    /// As a tree.
    fn oracle(text: &str) -> Value {
        let Ok(mut inner) = serde_json::from_str::<Value>(text) else {
            return Value::Null;
        };
        if let Value::Object(members) = &mut inner {
            members.shift_remove("b");
            for (key, value) in members {
                if key == "a" || key == "doc" {
                    *value = Value::Null;
                }
            }
        }
        inner
    }

    fn run(body: &[u8], cut: usize) -> Result<(String, Counts), Abort> {
        let mut rewriter = Rewriter::json(program(), Bounds::default());
        let mut out = Out::default();
        for piece in body.chunks(cut.max(1)) {
            rewriter.push(Bytes::copy_from_slice(piece), &mut out)?;
        }
        let counts = rewriter.finish(&mut out)?;
        assert_eq!(counts.bytes_out, out.len() as u64);
        Ok((String::from_utf8(out.concat()).expect("UTF-8"), counts))
    }

    /// A string as JSON, some characters escaped that need not be.
    fn quoted(text: &str, escapes: &[bool]) -> String {
        let mut out = String::from("\"");
        for (n, c) in text.chars().enumerate() {
            if escapes[n % escapes.len()] {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    out.push_str(&format!("\\u{unit:04X}"));
                }
            } else {
                let json = Value::from(c.to_string()).to_string();
                out.push_str(&json[1..json.len() - 1]);
            }
        }
        out + "\""
    }

    fn inner() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<i16>().prop_map(Value::from),
            "[a-c\\\\\"\n/€😀]{0,6}".prop_map(Value::from),
        ];
        let value = leaf.prop_recursive(2, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map("a|b|c|doc", inner, 0..4)
                    .prop_map(|m| m.into_iter().collect::<serde_json::Map<_, _>>().into()),
            ]
        });
        prop_oneof![
            4 => value.clone().prop_map(|v| v.to_string()),
            2 => value.prop_map(|v| serde_json::to_string_pretty(&v).expect("JSON")),
            1 => "[\\[\\]{}:,\"a0 ]{0,12}",
        ]
    }

    proptest! {
        #[test]
        fn the_same_as_the_oracle_whatever_the_cuts(
            first in inner(), second in inner(), escapes in prop::collection::vec(any::<bool>(), 1..5), cut in 1..40usize,
        ) {
            let body = format!(
                r#"{{"x":1, "doc" : {} ,"more":{},"y":[2]}}"#, quoted(&first, &escapes), quoted(&second, &escapes)
            );
            let (text, counts) = run(body.as_bytes(), usize::MAX).expect("JSON");
            let found: Value = serde_json::from_str(&text).expect("JSON");
            for (key, text) in [("doc", &first), ("more", &second)] {
                let inner = found[key].as_str().map_or(Value::Null, |t| serde_json::from_str(t).expect("JSON"));
                prop_assert_eq!(inner, oracle(text), "{}", text);
            }
            prop_assert_eq!((&found["x"], &found["y"]), (&json!(1), &json!([2])));
            prop_assert_eq!(run(body.as_bytes(), cut).expect("JSON"), (text, counts));
        }
    }

    #[test]
    fn what_is_no_document_is_null() {
        for bad in [
            "1",
            "{}",
            "[]",
            "true",
            r#""""#,
            r#""{""#,
            r#""1 2""#,
            r#""jo@firm.example""#,
        ] {
            for cut in [1, 100] {
                let body = format!(r#"{{"doc":{bad},"more":null}}"#);
                let (text, _) = run(body.as_bytes(), cut).expect("JSON");
                assert_eq!(text, r#"{"doc":null,"more":null}"#, "{bad}");
            }
        }
        let body = r#"{"doc":"{\"a\":\"x\",\"c\":\"\\ud83d\\ude00\",\"doc\":\"{\\\"a\\\":1}\"}","more":"12"}"#;
        let (text, counts) = run(body.as_bytes(), 1).expect("JSON");
        let due = r#"{"doc":"{\"a\":null,\"c\":\"\\ud83d\\ude00\",\"doc\":null}","more":"12"}"#;
        assert_eq!(
            (text.as_str(), counts.rows, &counts.treated[..]),
            (due, 2, &[1][..])
        );
    }

    /// Over the bound it streams, with memory of its own that does not grow; a broken end ends the answer.
    #[test]
    fn a_long_document_streams() {
        let rows = r#"{"c":1},"#.repeat(40_000);
        let good = format!(r#"{{"c":[{rows}1],"a":"secret"}}"#);
        let treated = good.replace("\"secret\"", "null");
        let whole = |inner: &str| json!({ "doc": inner, "more": "1" }).to_string();
        for cut in [1000, 70_000, usize::MAX] {
            let (text, _) = run(whole(&good).as_bytes(), cut).expect("JSON");
            assert_eq!(text, whole(&treated));
            assert!(run(whole(&good[..good.len() - 1]).as_bytes(), cut).is_err());
        }
        let mut rewriter = Rewriter::json(program(), Bounds::default());
        let mut out = Out::default();
        let body = Bytes::from(whole(&good));
        let mut held = 0;
        for from in (0..body.len()).step_by(1000) {
            let piece = body.slice(from..body.len().min(from + 1000));
            rewriter.push(piece, &mut out).expect("JSON");
            held = held.max((from + 1000).saturating_sub(out.len()));
        }
        assert!(held < 2 * HELD_BYTES_MAX, "{held}");
    }
}
