//! Documents in documents.

use std::sync::Arc;

use bytes::Bytes;

use crate::engine::rewrite::{
    Abort, BodyProgram, Bounds, Framing, Member, Members, Node, NodeId, Out, Program, Rewriter,
};

fn rewrite(program: &BodyProgram, body: &[u8], piece: usize) -> Result<Vec<u8>, Abort> {
    let mut rewriter = Rewriter::new(program, Bounds::default());
    let mut out = Out::default();
    for piece in body.chunks(piece.max(1)) {
        rewriter.push(Bytes::copy_from_slice(piece), &mut out)?;
    }
    rewriter.finish(&mut out)?;
    Ok(out.concat())
}

/// NDJSON, server-sent events and multipart: the cuts make no difference, and what has passed passes again as it is,
/// under the boundary of what leaves.
///
/// # Panics
/// If one of these does not hold.
pub fn framed(data: &[u8]) {
    let [first, second, body @ ..] = data else {
        return;
    };
    let clear = Arc::new(Program::new(vec![Node::Clear], NodeId(0), Vec::new()));
    let (framing, again) = match first % 3 {
        0 => (Framing::Lines, Framing::Lines),
        1 => {
            let names: Arc<[Arc<str>]> = ["a".into(), "b".into()].into();
            (Framing::Events(names.clone()), Framing::Events(names))
        }
        _ => (
            Framing::Parts(Some("x".into())),
            Framing::Parts(Some("privet-part".into())),
        ),
    };
    let program = BodyProgram::Framed(framing, Arc::clone(&clear));
    let whole = rewrite(&program, body, usize::MAX);
    match (
        &whole,
        rewrite(&program, body, usize::from(*second % 61) + 1),
    ) {
        (Ok(whole), Ok(cut)) => assert_eq!(*whole, cut, "cuts differ"),
        (whole, cut) => assert_eq!(whole.is_ok(), cut.is_ok(), "cuts differ"),
    }
    if let Ok(whole) = whole {
        let again = rewrite(&BodyProgram::Framed(again, clear), &whole, usize::MAX);
        assert_eq!(again.as_ref(), Ok(&whole), "not the same again");
    }
}

/// A string under `a` is a document or becomes null; the cuts make no difference.
///
/// # Panics
/// If one of these does not hold.
pub fn embedded(data: &[u8]) {
    let Some((first, body)) = data.split_first() else {
        return;
    };
    let member = |key: &str, node| Member {
        key: key.into(),
        node: NodeId(node),
        unique: false,
    };
    let nodes = vec![
        Node::Object(Members {
            named: vec![member("a", 1)],
            other: Some(NodeId(2)),
            row: true,
        }),
        Node::Document(NodeId(3)),
        Node::Clear,
        Node::Object(Members {
            named: vec![member("a", 4)],
            other: Some(NodeId(2)),
            row: true,
        }),
        Node::Constant("7".into()),
    ];
    let program = BodyProgram::Json(Arc::new(Program::new(nodes, NodeId(0), Vec::new())));
    let whole = rewrite(&program, body, usize::MAX);
    match (
        &whole,
        rewrite(&program, body, usize::from(*first % 61) + 1),
    ) {
        (Ok(whole), Ok(cut)) => assert_eq!(*whole, cut, "cuts differ"),
        (whole, cut) => assert_eq!(whole.is_ok(), cut.is_ok(), "cuts differ"),
    }
    if let Ok(text) = whole
        && let Ok(value) = serde_json::from_slice::<serde_json::Value>(&text)
        && let Some(members) = value.as_object()
    {
        for (key, value) in members {
            if key.eq_ignore_ascii_case("a") && !value.is_null() {
                let inner = value
                    .as_str()
                    .map(serde_json::from_str::<serde_json::Value>);
                let Some(Ok(inner)) = inner else {
                    // serde refuses what is nested deeply.
                    assert!(value.as_str().is_some_and(|t| t.contains("[[[")));
                    continue;
                };
                let seven = inner.as_object().and_then(|o| o.get("a"));
                assert!(seven.is_none_or(|a| *a == 7));
            }
        }
    }
}
