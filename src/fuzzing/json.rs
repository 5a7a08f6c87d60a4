//! JSON.

use std::sync::Arc;

use bytes::Bytes;

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
