//! What the rewriter takes from the heap, counted.
#![allow(
    unsafe_code,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "an allocator that counts cannot be written without"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use bytes::Bytes;
use privet::engine::coding::{Coding, Decoder, Encoder};
use privet::engine::rewrite::{
    BodyProgram, Bounds, Elements, Framing, Member, Members, Node, NodeId, Out, Program, Rewriter,
};
use privet::engine::treatment::{Prepared, Treatment};

thread_local! {
    static CALLS: Cell<u64> = const { Cell::new(0) };
    static BYTES: Cell<i64> = const { Cell::new(0) };
    static PEAK: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

fn count(calls: u64, bytes: i64) {
    // The thread may be ending.
    let _ = CALLS.try_with(|c| c.set(c.get() + calls));
    let _ = BYTES.try_with(|b| {
        b.set(b.get() + bytes);
        let _ = PEAK.try_with(|p| p.set(p.get().max(b.get())));
    });
}

// SAFETY: every call is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as i64);
        // SAFETY: as the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(0, -(layout.size() as i64));
        // SAFETY: as the caller's.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(1, size as i64 - layout.size() as i64);
        // SAFETY: as the caller's.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn program() -> Arc<Program> {
    let member = |key: &str, node| Member {
        key: key.into(),
        node: NodeId(node),
        unique: false,
    };
    let treat = |treatment| Node::Treat {
        treatment: Prepared::Keyless(treatment),
        counter: 0,
    };
    Arc::new(Program::new(
        vec![
            Node::Array(Elements {
                head: vec![],
                rest: NodeId(1),
            }),
            Node::Object(Members {
                named: vec![
                    member("type", 2),
                    member("Name", 3),
                    member("Email", 4),
                    member("Phone", 5),
                    member("Fax", 6),
                    member("Owner", 3),
                    member("Id", 3),
                ],
                other: None,
                row: true,
            }),
            Node::Expect(vec!["Contact".into()]),
            Node::Clear,
            treat(Treatment::MaskEmail),
            treat(Treatment::Redact),
            Node::Drop,
        ],
        NodeId(0),
        vec![],
    ))
}

fn body(records: usize) -> Bytes {
    let record = r#"{"type":"Contact","Name":"Ren\u00e9 Zoé \"Z\" Example","Email":"zoe\u0040acme.example","Phone":"+33 6","Fax":null,"Unknown":[1,{"a":2}],"Owner":{"Name":"x"},"Id":"003000000000001AAA"}"#;
    Bytes::from(format!("[{}]", vec![record; records].join(",\n  ")))
}

/// Allocations after the first two pieces, and the pieces they fell on.
fn steady(records: usize, piece: usize) -> (u64, u64) {
    let (program, body) = (program(), body(records));
    let mut rewriter = Rewriter::json(program, Bounds::default());
    let mut out = Out::default();
    let (mut calls, mut pieces) = (0, 0);
    for from in (0..body.len()).step_by(piece) {
        let part = body.slice(from..body.len().min(from + piece));
        let before = CALLS.get();
        rewriter.push(part, &mut out).expect("JSON");
        if from >= 2 * piece {
            calls += CALLS.get() - before;
            pieces += 1;
        }
        assert!(!out.take().is_empty());
    }
    assert_eq!(
        rewriter.finish(&mut out).expect("JSON").rows,
        records as u64
    );
    (calls, pieces)
}

/// One allocation a piece is the queue of slices that is handed over; the records themselves cost none.
#[test]
fn records_take_nothing_from_the_heap() {
    for piece in [4 << 10, 16 << 10, 64 << 10] {
        let (calls, pieces) = steady(20_000, piece);
        assert!(pieces > 40);
        assert!(
            calls <= pieces + 8,
            "{calls} allocations in {pieces} pieces of {piece}"
        );
    }
}

/// The worst that a stream can make the rewriter keep between two pieces.
#[test]
fn a_stream_keeps_at_most_128_kib() {
    let long = |n: usize| "k".repeat(n);
    let escaped = |n: usize| "\\u0041".repeat(n / 6);
    let spaces = |n: usize| " ".repeat(n);
    for (what, body) in [
        (
            "records",
            format!("[{}]", vec!["{\"Id\":1}"; 50_000].join(",")),
        ),
        ("email", format!("[{{\"Email\":\"{}\"}}]", long(63 << 10))),
        (
            "escaped email",
            format!("[{{\"Email\":\"{}\"}}]", escaped(63 << 10)),
        ),
        (
            "email over the bound",
            format!("[{{\"Email\":\"{}\"}}]", long(1 << 20)),
        ),
        (
            "key",
            format!("[{{{}\"{}\":1}}]", spaces(15 << 10), long(32 << 10)),
        ),
        (
            "key, value",
            format!(
                "[{{{}\"{}\":1,\"type\"{}:\"{}Contact\"}}]",
                spaces(15 << 10),
                long(32 << 10),
                spaces(15 << 10),
                escaped(60 << 10)
            ),
        ),
    ] {
        for piece in [1000, 16 << 10, 64 << 10] {
            let (program, body) = (program(), Bytes::from(body.clone()));
            let before = BYTES.get();
            let mut rewriter = Rewriter::json(program, Bounds::default());
            let mut out = Out::default();
            let mut most = 0;
            for from in (0..body.len()).step_by(piece) {
                let part = body.slice(from..body.len().min(from + piece));
                // The last case may be refused; it is the state until then that counts.
                let go_on = rewriter.push(part, &mut out).is_ok();
                drop(out.take());
                most = most.max(BYTES.get() - before);
                if !go_on {
                    break;
                }
            }
            assert!(most <= 128 << 10, "{what} in pieces of {piece}: {most}");
        }
    }
}

/// The worst that documents in documents can make it keep.
#[test]
fn documents_in_documents_keep_at_most_128_kib() {
    let nodes = |root: u32| {
        let member = |node| Member {
            key: "a".into(),
            node: NodeId(node),
            unique: false,
        };
        let object = |node| {
            Node::Object(Members {
                named: vec![member(node)],
                other: Some(NodeId(2)),
                row: true,
            })
        };
        let treat = Node::Treat {
            treatment: Prepared::Keyless(Treatment::MaskLast4),
            counter: 0,
        };
        let nodes = vec![
            object(3),
            treat,
            Node::Clear,
            Node::Document(NodeId(4)),
            object(1),
        ];
        Arc::new(Program::new(nodes, NodeId(root), vec![]))
    };
    let framed = |framing| BodyProgram::Framed(framing, nodes(4));
    let long = "k".repeat(1 << 20);
    let below = "k".repeat(31 << 10);
    let json = "Content-Type: application/json\r\n\r\n";
    for (what, program, body) in [
        (
            "a line",
            framed(Framing::Lines),
            format!("{{\"x\":\"{long}"),
        ),
        (
            "a short line",
            framed(Framing::Lines),
            format!("{{\"x\":\"{below}"),
        ),
        (
            "a treated value",
            framed(Framing::Lines),
            format!("{{\"a\":\"{long}"),
        ),
        (
            "data",
            framed(Framing::Events([].into())),
            format!("data: {{\"x\":\"{long}"),
        ),
        (
            "a name",
            framed(Framing::Events([].into())),
            format!("event: {long}"),
        ),
        (
            "a comment",
            framed(Framing::Events([].into())),
            format!(":{long}"),
        ),
        (
            "preamble",
            framed(Framing::Parts(Some("x".into()))),
            long.clone(),
        ),
        (
            "a part",
            framed(Framing::Parts(Some("x".into()))),
            format!("--x\r\n{json}{{\"a\":\"{long}"),
        ),
        (
            "inside",
            BodyProgram::Json(nodes(0)),
            format!("{{\"a\":\"{{\\\"a\\\":\\\"{long}"),
        ),
        (
            "inside, clear",
            BodyProgram::Json(nodes(0)),
            format!("{{\"a\":\"{{\\\"x\\\":\\\"{long}"),
        ),
    ] {
        for piece in [1000, 16 << 10] {
            let body = Bytes::from(body.clone());
            let before = BYTES.get();
            let mut rewriter = Rewriter::new(&program, Bounds::default());
            let mut out = Out::default();
            let mut most = 0;
            for from in (0..body.len()).step_by(piece) {
                let part = body.slice(from..body.len().min(from + piece));
                rewriter.push(part, &mut out).expect("good so far");
                drop(out.take());
                most = most.max(BYTES.get() - before);
            }
            assert!(most <= 128 << 10, "{what} in pieces of {piece}: {most}");
        }
    }
}

/// Most bytes on the heap while `work` runs, beyond those before it. What libzstd takes in C is not seen.
fn peak(work: impl FnOnce()) -> i64 {
    let before = BYTES.get();
    PEAK.set(before);
    work();
    PEAK.get() - before
}

/// A JSON document of about `bytes` bytes in pieces of 16 KiB, made as it is asked for.
fn document(bytes: usize) -> impl Iterator<Item = Bytes> {
    let records = body(16);
    let records = records.slice(1..records.len() - 1);
    let rounds = (bytes / records.len()).max(1);
    (0..=rounds).map(move |round| match round {
        0 => Bytes::from([b"[", &records[..]].concat()),
        _ if round == rounds => Bytes::from_static(b"]"),
        _ => Bytes::from([b",", &records[..]].concat()),
    })
}

/// Sends a document of about `bytes` bytes, as an upstream codes it, through decoder, rewriter and encoder.
fn stream(bytes: usize, coding: Coding) {
    let mut upstream = Encoder::new(coding).expect("memory");
    let mut decoder = Decoder::new(coding, u64::MAX, u64::MAX);
    let mut rewriter = Rewriter::json(program(), Bounds::default());
    let mut client = Encoder::new(coding).expect("memory");
    let mut out = Out::default();
    let mut left = 0;
    let mut arrived = |piece: Bytes| {
        decoder
            .push(piece, |piece| {
                rewriter.push(piece, &mut out)?;
                for slice in out.take() {
                    left += match client.as_mut() {
                        Some(client) => {
                            client.push(&slice).expect("written").map_or(0, |p| p.len())
                        }
                        None => slice.len(),
                    };
                }
                Ok(())
            })
            .expect("a body");
    };
    for piece in document(bytes) {
        match upstream.as_mut() {
            None => arrived(piece),
            Some(upstream) => {
                if let Some(piece) = upstream.push(&piece).expect("written") {
                    arrived(piece);
                }
            }
        }
    }
    if let Some(mut upstream) = upstream {
        arrived(upstream.finish().expect("finished"));
    }
    decoder.finish().expect("complete");
    let counts = rewriter.finish(&mut out).expect("a document");
    if let Some(mut client) = client {
        left += client.finish().expect("finished").len();
    }
    assert!(counts.bytes_in as usize >= bytes && left > 0);
}

/// Megabytes of the long body; a gigabyte takes minutes without optimisation.
fn long_body() -> usize {
    std::env::var("LONG_BODY_MIB")
        .ok()
        .and_then(|n| n.parse::<usize>().ok())
        .unwrap_or(8)
        << 20
}

#[test]
fn a_long_body_takes_no_more_memory_than_a_short_one() {
    for coding in [
        Coding::Identity,
        Coding::Gzip,
        Coding::Deflate,
        Coding::Brotli,
        Coding::Zstd,
    ] {
        let short = peak(|| stream(1 << 20, coding));
        let long = peak(|| stream(long_body(), coding));
        println!("{coding:?}: {short} bytes, {long} bytes");
        assert!(
            long <= short + (1 << 20),
            "{coding:?}: {short}, then {long}"
        );
    }
}

#[test]
fn a_bomb_takes_less_than_8_mib() {
    // A hundred megabytes of gzip are 97 KB.
    for (coding, mebibytes) in [
        (Coding::Gzip, 100),
        (Coding::Deflate, 16),
        (Coding::Brotli, 16),
        (Coding::Zstd, 16),
    ] {
        let mut encoder = Encoder::new(coding).expect("memory").expect("a coding");
        let mut bomb = Vec::new();
        for _ in 0..mebibytes {
            let piece = encoder.push(&vec![b'0'; 1 << 20]).expect("written");
            bomb.extend(piece.unwrap_or_default());
        }
        bomb.extend(encoder.finish().expect("finished"));
        let bomb = Bytes::from(bomb);
        let mut refused = false;
        let grown = peak(|| {
            let mut decoder = Decoder::new(coding, 64 << 20, 100);
            let mut rewriter = Rewriter::json(program(), Bounds::default());
            let mut out = Out::default();
            rewriter
                .push(Bytes::from_static(b"[{\"Email\":\""), &mut out)
                .expect("JSON");
            refused = decoder
                .push(bomb.clone(), |piece| rewriter.push(piece, &mut out))
                .is_err();
        });
        assert!(refused, "{coding:?}");
        assert!(grown < 8 << 20, "{coding:?}: {grown}");
    }
}

mod markup {
    use std::sync::Arc;

    use bytes::Bytes;
    use privet::engine::rewrite::csv::{
        Cell, Column, CsvProgram, Decide, Delimiter, LineEnding, Other,
    };
    use privet::engine::rewrite::xml::{Child, Children, XmlNode, XmlProgram};
    use privet::engine::rewrite::{Bounds, NodeId, Out, Rewriter};
    use privet::engine::treatment::{Prepared, Treatment};

    use super::{BYTES, CALLS};

    fn csv() -> Rewriter {
        let treat = |treatment| Cell::Treat {
            treatment: Prepared::Keyless(treatment),
            counter: 0,
        };
        let column = |name: &str, cell| Column {
            name: name.into(),
            cells: vec![cell],
            required: true,
        };
        let program = CsvProgram {
            delimiter: Delimiter::Comma,
            line_ending: LineEnding::AsHeader,
            columns: vec![
                column("Id", Cell::Clear),
                column("Email", treat(Treatment::MaskEmail)),
                column("Phone", treat(Treatment::Redact)),
                column("Notes", Cell::Drop),
            ],
            other: Other::Drop,
            decide: Decide::Index(0),
            overflow: 0,
            no_records: false,
            counters: vec![],
        };
        Rewriter::csv(Arc::new(program), Bounds::default())
    }

    fn xml() -> Rewriter {
        let child = |name: &str, node| Child {
            name: name.into(),
            namespace: None,
            node: NodeId(node),
            unique: false,
        };
        let treat = |treatment| XmlNode::Treat {
            treatment: Prepared::Keyless(treatment),
            counter: 0,
        };
        let nodes = [
            XmlNode::Clear,
            treat(Treatment::MaskEmail),
            treat(Treatment::Redact),
            XmlNode::Drop,
            XmlNode::Element(Children {
                named: vec![
                    child("Id", 0),
                    child("Email", 1),
                    child("Phone", 2),
                    child("Notes", 3),
                ],
                row: true,
                ..Children::default()
            }),
            XmlNode::Element(Children {
                named: vec![child("records", 4)],
                ..Children::default()
            }),
        ];
        let program = XmlProgram::new(&nodes, NodeId(5), vec![]);
        Rewriter::xml(Arc::new(program), Bounds::default())
    }

    const CSV_HEADER: &str = "Id,Email,Phone,Notes,Other\n";
    const CSV_ROW: &str =
        "\"003\",\"zoe@acme.example\",\"+33 6\",\"a \"\"b\"\"\nc\",x\n4,not one,,\"\",\n";
    const XML_HEADER: &str =
        "<r xmlns:xsi='http://www.w3.org/2001/XMLSchema-instance' xmlns:s='urn:s'>";
    const XML_ROW: &str = "<records xsi:type='s:Contact'><Id>003</Id><Email>zoe@acme.example</Email>\
        <Phone>+33 6</Phone><s:Notes>a &lt; <![CDATA[b]]></s:Notes><Other><a>1</a></Other></records>\n";

    /// What leaves of a piece is the queue of slices and a copy buffer for each 16 KiB; its records, hundreds of them,
    /// cost nothing.
    #[test]
    fn records_take_nothing_from_the_heap() {
        for (name, mut rewriter, header, row) in [
            ("CSV", csv(), CSV_HEADER, CSV_ROW),
            ("XML", xml(), XML_HEADER, XML_ROW),
        ] {
            let piece = 64 << 10;
            let body = Bytes::from(format!("{header}{}", row.repeat(20_000)));
            let mut out = Out::default();
            let (mut calls, mut pieces) = (0, 0);
            for from in (0..body.len()).step_by(piece) {
                let part = body.slice(from..body.len().min(from + piece));
                let before = CALLS.get();
                rewriter.push(part, &mut out).expect("a good document");
                if from >= 2 * piece {
                    calls += CALLS.get() - before;
                    pieces += 1;
                }
                drop(out.take());
            }
            assert!(pieces > 15);
            assert!(
                calls <= 12 * pieces,
                "{name}: {calls} allocations in {pieces} pieces"
            );
        }
    }

    /// The worst that a stream can make the rewriter keep between two pieces.
    #[test]
    fn a_stream_keeps_at_most_128_kib() {
        let long = |n: usize| "k".repeat(n);
        type Case<'a> = (&'a str, fn() -> Rewriter, &'a str, String);
        let cases: [Case<'_>; 7] = [
            ("rows", csv, CSV_HEADER, CSV_ROW.repeat(5_000)),
            ("separators", csv, CSV_HEADER, ",,,,\n".repeat(20_000)),
            (
                "a row to its bound",
                csv,
                CSV_HEADER,
                format!("{}{}", CSV_ROW.repeat(1_000), long(63 << 10)),
            ),
            (
                "a row over it",
                csv,
                CSV_HEADER,
                format!("1,{},,,\n", long(1 << 20)),
            ),
            ("records", xml, XML_HEADER, XML_ROW.repeat(3_000)),
            (
                "a treated value",
                xml,
                XML_HEADER,
                format!("{XML_ROW}<records><Email>{}", long(1 << 20)),
            ),
            (
                "a tag",
                xml,
                XML_HEADER,
                format!("{XML_ROW}<records a='{}", long(31 << 10)),
            ),
        ];
        for (what, rewriter, header, rest) in cases {
            for piece in [1000, 16 << 10, 64 << 10] {
                let body = Bytes::from(format!("{header}{rest}"));
                let before = BYTES.get();
                let mut rewriter = rewriter();
                let mut out = Out::default();
                let mut most = 0;
                for from in (0..body.len()).step_by(piece) {
                    let part = body.slice(from..body.len().min(from + piece));
                    rewriter.push(part, &mut out).expect("good so far");
                    drop(out.take());
                    most = most.max(BYTES.get() - before);
                }
                assert!(most <= 128 << 10, "{what} in pieces of {piece}: {most}");
            }
        }
    }
}
