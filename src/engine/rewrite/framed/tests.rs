//! Framed bodies against a slow, obvious reading of the whole body, and what only a stream can do wrong.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{
    Abort, Bounds, Counter, Counts, Elements, Member, Members, Node, NodeId, Out, Program,
};
use super::{FramedRewriter, Framing};
use crate::engine::treatment::{Prepared, Treatment};

/// `a` redacted, `b` dropped at any depth, the rest as it came.
fn program() -> Arc<Program> {
    let member = |key: &str, node| Member {
        key: key.into(),
        node: NodeId(node),
        unique: false,
    };
    Arc::new(Program::new(
        vec![
            Node::Either {
                object: NodeId(1),
                array: NodeId(2),
                scalar: NodeId(3),
            },
            Node::Object(Members {
                named: vec![member("a", 4), member("b", 5)],
                other: Some(NodeId(0)),
                row: true,
            }),
            Node::Array(Elements {
                head: Vec::new(),
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
        vec![Counter {
            object: "Person".into(),
            field: "a".into(),
            treatment: Treatment::Redact,
        }],
    ))
}

fn oracle(value: Value) -> Value {
    match value {
        Value::Object(members) => (members.into_iter())
            .filter(|(key, _)| key != "b")
            .map(|(key, value)| {
                let value = if key == "a" {
                    Value::Null
                } else {
                    oracle(value)
                };
                (key, value)
            })
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(list) => list.into_iter().map(oracle).collect(),
        scalar => scalar,
    }
}

fn run_cut(framing: &Framing, body: &[u8], cut: usize) -> Result<(String, Counts), Abort> {
    let mut rewriter = FramedRewriter::new(framing, program(), Bounds::default());
    let mut out = Out::default();
    for piece in body.chunks(cut.max(1)) {
        rewriter.push(Bytes::copy_from_slice(piece), &mut out)?;
    }
    let counts = rewriter.finish(&mut out)?;
    assert_eq!(counts.bytes_out, out.len() as u64);
    assert_eq!(counts.bytes_in, body.len() as u64);
    Ok((String::from_utf8(out.concat()).expect("UTF-8"), counts))
}

/// The same for every cut, or the test fails.
fn run(framing: &Framing, body: &str) -> Result<String, Abort> {
    let whole = run_cut(framing, body.as_bytes(), usize::MAX);
    for cut in 1..body.len().min(30) {
        let result = run_cut(framing, body.as_bytes(), cut);
        match (&result, &whole) {
            (Ok(a), Ok(b)) => assert_eq!(a, b, "{body:?} in pieces of {cut}"),
            (a, b) => assert_eq!(a.is_ok(), b.is_ok(), "{body:?} in pieces of {cut}"),
        }
    }
    whole.map(|(text, _)| text)
}

fn events() -> Framing {
    Framing::Events(["change".into(), "gone".into()].into())
}

fn parts(boundary: &str) -> Framing {
    Framing::Parts(Some(boundary.into()))
}

fn documents() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z \\\\\"\n\r€-]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map("[a-d]", inner, 0..4)
                .prop_map(|m| m.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

proptest! {
    #[test]
    fn lines_are_treated_each_by_itself(
        list in prop::collection::vec((documents(), 0..4usize), 0..6), cut in 1..200usize, last in any::<bool>(),
    ) {
        let mut body = String::new();
        let count = list.len();
        for (n, (document, end)) in list.iter().enumerate() {
            body.push_str(&document.to_string());
            if n + 1 < count || last {
                body.push_str(["\n", "\r\n", "\n\n", "\n \t\r\n"][*end]);
            }
        }
        let (text, counts) = run_cut(&Framing::Lines, body.as_bytes(), cut).expect("good lines");
        let found: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect();
        let due: Vec<Value> = list.into_iter().map(|(d, _)| oracle(d)).collect();
        prop_assert_eq!(found, due);
        let (whole, all) = run_cut(&Framing::Lines, body.as_bytes(), usize::MAX).expect("good lines");
        prop_assert_eq!((text, counts), (whole, all));
    }

    #[test]
    fn events_are_treated_each_by_itself(
        list in prop::collection::vec((documents(), any::<bool>(), 0..6usize, 0..3usize), 0..6), cut in 1..200usize,
    ) {
        let mut body = String::new();
        let mut due = Vec::new();
        for (document, pretty, extra, end) in list {
            let end = ["\n", "\r", "\r\n"][end];
            let mut line = |text: &str| {
                body.push_str(text);
                body.push_str(end);
            };
            line(["", "id: jo@firm.example", ": jo@firm.example", "event: change", "event: other", "x: y"][extra]);
            let text = if pretty {
                serde_json::to_string_pretty(&document).expect("JSON")
            } else {
                document.to_string()
            };
            for piece in text.split('\n') {
                line(&format!("data:{}{piece}", if pretty { " " } else { "" }));
            }
            line("");
            if extra != 4 {
                due.push(((extra == 3).then_some("change"), oracle(document)));
            }
        }
        let (text, _) = run_cut(&events(), body.as_bytes(), cut).expect("good events");
        prop_assert!(!text.contains("firm.example") && !text.contains('\r'));
        prop_assert_eq!(&text, &run_cut(&events(), body.as_bytes(), usize::MAX).expect("good events").0);
        let found: Vec<(Option<&str>, Value)> = (text.split_inclusive("\n\n"))
            .filter(|block| block.contains("data: "))
            .map(|block| {
                let field = |name: &str| {
                    let lines: Vec<&str> = block.lines().filter_map(|l| l.strip_prefix(name)).collect();
                    lines.join("\n")
                };
                let name = field("event: ");
                let data = serde_json::from_str(&field("data: ")).expect("JSON");
                (if name == "change" { Some("change") } else { None }, data)
            })
            .collect();
        prop_assert_eq!(found, due);
    }

    #[test]
    fn parts_are_treated_each_by_itself(
        list in prop::collection::vec((documents(), 0..5usize), 0..6), cut in 1..200usize, around in any::<bool>(),
    ) {
        let mut body = String::new();
        let mut due = Vec::new();
        if around {
            body.push_str("before jo@firm.example\r\n");
        }
        for (document, kind) in list {
            let (headers, treated) = [
                ("Content-Type: application/json\r\nX-Who: jo@firm.example\r\n", true),
                ("content-type:application/json; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n", true),
                ("Content-Type: text/plain\r\n", false),
                ("Content-Type: application/problem+json\r\n", false),
                ("", false),
            ][kind];
            body.push_str(&format!("--b.1\r\n{headers}\r\n{document}\r\n"));
            if treated {
                due.push(oracle(document));
            }
        }
        body.push_str("--b.1--");
        if around {
            body.push_str("\r\nafter jo@firm.example\r\n--b.1\r\n");
        }
        let framing = parts("b.1");
        let (text, counts) = run_cut(&framing, body.as_bytes(), cut).expect("good parts");
        prop_assert_eq!((&text, &counts), {
            let (whole, all) = &run_cut(&framing, body.as_bytes(), usize::MAX).expect("good parts");
            (&whole.clone(), &all.clone())
        });
        prop_assert!(!text.contains("firm.example"));
        let inner = text.strip_suffix("--privet-part--\r\n").expect("a last boundary");
        let found: Vec<Value> = inner
            .split_terminator("--privet-part\r\n")
            .skip(1)
            .map(|part| {
                let (headers, body) = part.split_once("\r\n\r\n").expect("a blank line");
                assert_eq!(headers, "Content-Type: application/json");
                serde_json::from_str(body).expect("JSON")
            })
            .collect();
        prop_assert_eq!(found, due);
    }
}

#[test]
fn a_line_that_is_no_document_ends_the_body_and_none_of_it_leaves() {
    for bad in [
        "{\"x\":1}\n{\"x\":2,\"a\":\"secret\"\n",
        "{\"x\":1}\n{\"x\":2} {\"x\":3}\n",
        "{\"x\":1}\n\u{feff}{\"x\":2}\n",
        "{\"x\":1}\n{\"x\":2",
        "{\"x\":1}\nx\n",
    ] {
        assert!(run(&Framing::Lines, bad).is_err(), "{bad}");
        let mut rewriter = FramedRewriter::new(&Framing::Lines, program(), Bounds::default());
        let mut out = Out::default();
        let pushed = rewriter.push(Bytes::from(bad), &mut out);
        let first = Bytes::from_static(b"{\"x\":1}\n");
        assert!(pushed.is_err() || rewriter.finish(&mut out).is_err());
        assert_eq!(out.concat(), first);
        assert!(rewriter.push(first, &mut out).is_err(), "it stays so");
    }
    assert_eq!(run(&Framing::Lines, "").as_deref(), Ok(""));
    assert_eq!(run(&Framing::Lines, "\n \r\n12").as_deref(), Ok("12"));
    assert_eq!(
        run(&Framing::Lines, "\u{feff}{\"a\":1}\r\n{\"b\":1}").as_deref(),
        Ok("{\"a\":null}\r\n{}")
    );
}

#[test]
fn events_are_read_as_the_standard_says() {
    for (body, due) in [
        ("data: {\"a\":1}\n\n", "data: {\"a\":null}\n\n"),
        // One space alone belongs to the colon; a byte order mark may come first.
        ("\u{feff}data:  1\n\n", "data:  1\n\n"),
        ("\u{feff}\n\ndata:1\r\r", "data: 1\n\n"),
        // Joined by line feeds, which are white space here.
        (
            "data: {\ndata:\"x\"\ndata\ndata: :1}\n\n",
            "data: {\ndata: \"x\"\ndata: \ndata: :1}\n\n",
        ),
        // The last event has no blank line: it is none.
        ("data: 1\n\ndata: 2\n", "data: 1\n\n"),
        ("data: 1\n\ndata: 2", "data: 1\n\n"),
        // No document.
        ("data: hello jo\n\ndata: 1\n\n", "data: 1\n\n"),
        ("data: \"a\ndata: b\"\n\ndata: 1\n\n", "data: 1\n\n"),
        ("data\n\n", ""),
        // Names that are known, before or behind the data; the last one counts.
        ("event: gone\ndata: 1\n\n", "event: gone\ndata: 1\n\n"),
        ("data: 1\nevent: gone\n\n", "event: gone\ndata: 1\n\n"),
        (
            "event: jo\ndata: 1\nevent: gone\n\n",
            "event: gone\ndata: 1\n\n",
        ),
        ("event: jo\ndata: 1\n\ndata: 2\n\n", "data: 2\n\n"),
        ("event: gone\n\ndata: 2\n\n", "data: 2\n\n"),
        ("Data: 1\ndatas: 1\ndat: 2\n\n", ""),
        (
            "id: 7\nretry: 500\n: ping jo\nretry: x\nretry: 1234567890\ndata: 1\n\n",
            "retry: 500\n:\ndata: 1\n\n",
        ),
    ] {
        assert_eq!(run(&events(), body).as_deref(), Ok(due), "{body:?}");
    }
    // In pieces of every size a carriage return and its line feed are one.
    assert_eq!(
        run(&events(), "data: 1\r\n\r\ndata: 2\r\n\r\n").as_deref(),
        Ok("data: 1\n\ndata: 2\n\n")
    );
}

#[test]
fn parts_are_read_as_the_standard_says() {
    const HEAD: &str = "--privet-part\r\nContent-Type: application/json\r\n\r\n";
    let json = "Content-Type: application/json\r\n\r\n";
    let one = |body: &str| format!("{HEAD}{body}\r\n--privet-part--\r\n");
    for (body, due) in [
        (
            format!("--x\r\n{json}{{\"a\":1}}\r\n--x--"),
            one("{\"a\":null}"),
        ),
        // White space behind the boundary; line breaks in the document stay.
        (
            format!("--x \t\r\n{json}[1,\r\n2]\r\n--x--\r\n"),
            one("[1,\r\n2]"),
        ),
        // What only looks like a boundary cannot stand in a document, but in a string it may.
        (format!("--x\r\n{json}\"--x\"\r\n--x--"), one("\"--x\"")),
        // No body at all, and one that is empty and no document.
        (
            format!("--x\r\nContent-Type: text/plain\r\n--x\r\n{json}1\r\n--x--"),
            one("1"),
        ),
        (format!("--x\r\n\r\n--x\r\n{json}1\r\n--x--"), one("1")),
        ("--x--".to_owned(), "--privet-part--\r\n".to_owned()),
    ] {
        assert_eq!(run(&parts("x"), &body), Ok(due), "{body:?}");
    }
    for bad in [
        format!("--x\r\n{json}1\r\n--xy\r\n{json}2\r\n--x--"),
        format!("--x\r\n{json}1\r\n--x"),
        format!("--x\r\n{json}1"),
        format!("--x\r\n{json}{{\r\n--x--"),
        format!("--x\r\n{json}\r\n--x--"),
        format!("--x\r\nContent-Type: text/plain\r\n{json}1\r\n--x--"),
        format!("--x\r\nContent-Transfer-Encoding: base64\r\n{json}1\r\n--x--"),
        format!("--x\r\nContent-Encoding: gzip\r\n{json}1\r\n--x--"),
        format!("--x\r\nA: b\r\n folded\r\n{json}1\r\n--x--"),
        format!("--x\r\nX: {}\r\n{json}1\r\n--x--", "y".repeat(9000)),
        format!("--x\n{json}1\n--x--"),
        String::new(),
        "jo@firm.example".to_owned(),
    ] {
        assert!(run(&parts("x"), &bad).is_err(), "{bad:?}");
    }
    assert!(run(&Framing::Parts(None), &format!("--x\r\n{json}1\r\n--x--")).is_err());
    assert!(run(&parts(""), &format!("--x\r\n{json}1\r\n--x--")).is_err());
}

/// A document over the bound streams: what is wrong behind it ends the body instead of leaving the document out.
#[test]
fn long_documents_stream_and_a_broken_end_is_seen() {
    let long = json!({ "x": "y".repeat(200 << 10), "a": "secret" }).to_string();
    let treated = long.replace("\"secret\"", "null");
    let broken = long.replace("\"secret\"}", "}");
    type Written = fn(&str) -> String;
    let frames: [(Framing, Written, Written); 3] = [
        (Framing::Lines, |d| format!("{d}\n"), |d| format!("{d}\n")),
        (
            events(),
            |d| format!("data: {d}\n\n"),
            |d| format!("data: {d}\n\n"),
        ),
        (
            parts("x"),
            |d| format!("--x\r\nContent-Type: application/json\r\n\r\n{d}\r\n--x--\r\n"),
            |d| {
                format!(
                    "--privet-part\r\nContent-Type: application/json\r\n\r\n{d}\r\n--privet-part--\r\n"
                )
            },
        ),
    ];
    for (framing, of, due) in frames {
        for cut in [100, 1000, 70_000, usize::MAX] {
            let (text, counts) = run_cut(&framing, of(&long).as_bytes(), cut).expect("good");
            assert_eq!(text, due(&treated));
            assert_eq!((counts.rows, &counts.treated[..]), (1, &[1][..]));
            assert!(
                run_cut(&framing, of(&broken).as_bytes(), cut).is_err(),
                "{framing:?}"
            );
        }
    }
    let late = format!("data: {long}\nevent: gone\n\n");
    assert!(run_cut(&events(), late.as_bytes(), 1000).is_err());
    let unknown = format!("event: jo\ndata: {long}\n\ndata: 1\n\n");
    assert_eq!(
        run_cut(&events(), unknown.as_bytes(), 1000)
            .expect("good")
            .0,
        "data: 1\n\n"
    );
}
