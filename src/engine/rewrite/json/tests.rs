//! The rewriter against a slow, obvious oracle, and what only a stream can do wrong.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::super::{
    Abort, Bounds, By, Choose, Counts, Elements, LinkRewriter, Member, Members, Node, NodeId, Out,
    Program, Rewriter,
};
use crate::engine::catalog::ConditionValue;
use crate::engine::path::Filter;
use crate::engine::treatment::{Prepared, Scalar, Treated, Treatment};

fn run_bounded(
    program: &Arc<Program>,
    body: &[u8],
    cut: usize,
    bounds: Bounds,
) -> Result<(String, Counts), Abort> {
    let mut rewriter = Rewriter::json(program.clone(), bounds);
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
fn run(program: &Arc<Program>, body: &str) -> Result<(String, Counts), Abort> {
    let whole = run_bounded(program, body.as_bytes(), usize::MAX, Bounds::default());
    for cut in 1..body.len().min(40) {
        let result = run_bounded(program, body.as_bytes(), cut, Bounds::default());
        assert_eq!(result, whole, "{body} in pieces of {cut}");
    }
    whole
}

fn program(nodes: Vec<Node>) -> Arc<Program> {
    Arc::new(Program::new(nodes, NodeId(0), vec![]))
}

fn treat(treatment: Treatment) -> Node {
    Node::Treat {
        treatment: Prepared::Keyless(treatment),
        counter: 0,
    }
}

fn member(key: &str, node: u32) -> Member {
    Member {
        key: key.into(),
        node: NodeId(node),
        unique: false,
    }
}

fn object(named: Vec<Member>, other: Option<u32>) -> Node {
    Node::Object(Members {
        named,
        other: other.map(NodeId),
        row: false,
    })
}

// ---- the oracle ----

fn oracle(nodes: &[Node], id: NodeId, value: &Value) -> Option<Value> {
    let object_or = |members: &Members| match value {
        Value::Object(map) => {
            let mut kept = Map::new();
            for (key, value) in map {
                let named = members
                    .named
                    .iter()
                    .find(|m| m.key.eq_ignore_ascii_case(key));
                let node = named.map(|m| m.node).or(members.other);
                if let Some(value) = node.and_then(|node| oracle(nodes, node, value)) {
                    kept.insert(key.clone(), value);
                }
            }
            Value::Object(kept)
        }
        _ => Value::Null,
    };
    match &nodes[id.0 as usize] {
        Node::Clear => Some(value.clone()),
        Node::Drop => None,
        Node::Constant(text) => Some(serde_json::from_str(text).expect("JSON")),
        Node::Treat {
            treatment: Prepared::Keyless(treatment),
            ..
        } => Some(oracle_treated(*treatment, value)),
        Node::Object(members) => Some(object_or(members)),
        Node::Array(elements) => Some(match value {
            Value::Array(list) => list
                .iter()
                .enumerate()
                .filter_map(|(i, v)| {
                    oracle(nodes, *elements.head.get(i).unwrap_or(&elements.rest), v)
                })
                .collect(),
            _ => Value::Null,
        }),
        Node::Repeat { head, cycle } => Some(match value {
            Value::Array(list) => list
                .iter()
                .enumerate()
                .filter_map(|(i, v)| {
                    let node = head
                        .get(i)
                        .unwrap_or_else(|| &cycle[(i - head.len()) % cycle.len()]);
                    oracle(nodes, *node, v)
                })
                .collect(),
            _ => Value::Null,
        }),
        Node::Either {
            object,
            array,
            scalar,
        } => oracle(
            nodes,
            match value {
                Value::Object(_) => *object,
                Value::Array(_) => *array,
                _ => *scalar,
            },
            value,
        ),
        other => panic!("{other:?} is not in the property"),
    }
}

fn oracle_treated(treatment: Treatment, value: &Value) -> Value {
    let number = value.to_string();
    let scalar = match value {
        Value::Null => Scalar::Null,
        Value::Bool(b) => Scalar::Bool(*b),
        Value::Number(_) => Scalar::Number(&number),
        Value::String(s) => Scalar::Text(s),
        _ => Scalar::Container,
    };
    match Prepared::Keyless(treatment).apply(scalar, &mut String::new()) {
        Treated::Same => value.clone(),
        Treated::Null | Treated::Refused => Value::Null,
        Treated::Text(text) => text.into(),
        Treated::Number(n) => serde_json::from_str(n).expect("a number"),
    }
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-d]",
        1 => Just("Email".to_owned()),
        1 => "[a-zé\"\\\\/ ]{0,12}",
    ]
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{1,5}@[a-z]{1,9}\\.org".prop_map(Value::from),
        "\\PC{0,20}".prop_map(Value::from),
        "[\\x00-\\x20\"\\\\]{0,6}".prop_map(Value::from),
        Just(Value::from("1987-05-23")),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key(), inner), 0..5).prop_map(|members| {
                let mut map = Map::new();
                for (key, value) in members {
                    // Keys that differ by case alone, or padded ones, are for the other tests.
                    if key.trim() == key
                        && !map.keys().any(|k: &String| k.eq_ignore_ascii_case(&key))
                    {
                        map.insert(key, value);
                    }
                }
                Value::Object(map)
            }),
        ]
    })
}

/// Nodes that point anywhere, circles too. `Drop` at the root and circles of `Either` are left to the others.
fn nodes() -> impl Strategy<Value = Vec<Node>> {
    const N: u32 = 10;
    let id = || (0..N).prop_map(NodeId);
    let walked = prop_oneof![
        (
            prop::collection::vec(("[a-d]|email", id()), 0..4),
            prop::option::of(id())
        )
            .prop_map(|(named, other)| {
                let mut members = Members {
                    other,
                    ..Members::default()
                };
                for (key, node) in named {
                    if !members.named.iter().any(|m| *m.key == *key) {
                        members.named.push(Member {
                            key: key.into(),
                            node,
                            unique: false,
                        });
                    }
                }
                Node::Object(members)
            }),
        (prop::collection::vec(id(), 0..3), id())
            .prop_map(|(head, rest)| Node::Array(Elements { head, rest })),
        (
            prop::collection::vec(id(), 0..3),
            prop::collection::vec(id(), 1..4)
        )
            .prop_map(|(head, cycle)| Node::Repeat { head, cycle }),
    ]
    .boxed();
    let any = prop_oneof![
        3 => walked.clone(),
        1 => Just(Node::Clear),
        1 => Just(Node::Drop),
        1 => Just(Node::Constant("{\"k\":[1]}".into())),
        2 => prop::sample::select(Treatment::WORDS.to_vec()).prop_map(|(_, t)| treat(t)),
        1 => Just(Node::Either { object: NodeId(0), array: NodeId(1), scalar: NodeId(2) }),
    ];
    (
        prop::collection::vec(walked, 2),
        prop::collection::vec(any, N as usize - 2),
    )
        .prop_map(|(mut first, rest)| {
            // What `Either` points at.
            first.push(treat(Treatment::MaskAll));
            first.extend(rest.into_iter().skip(1));
            first
        })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn the_same_values_as_the_oracle_whatever_the_cuts(
        document in document(),
        nodes in nodes(),
        cut in 1usize..50,
        root in 0u32..2,
    ) {
        let program = Arc::new(Program::new(nodes, NodeId(root), vec![]));
        let wanted = oracle(&program.nodes, NodeId(root), &document).unwrap_or(Value::Null);
        // With space behind it, the short cuts that want room are taken too.
        let compact = document.to_string();
        for text in [
            format!("{compact}{:200}", ""),
            compact,
            serde_json::to_string_pretty(&document).expect("JSON"),
            format!("{}{:200}", serde_json::to_string_pretty(&document).expect("JSON"), ""),
        ] {
            let (whole, counts) = run_bounded(&program, text.as_bytes(), usize::MAX, Bounds::default())
                .map_err(|abort| TestCaseError::fail(abort.to_string()))?;
            let got: Value = serde_json::from_str(&whole).map_err(|e| TestCaseError::fail(format!("{e}: {whole}")))?;
            prop_assert_eq!(&got, &wanted);
            prop_assert_eq!(run_bounded(&program, text.as_bytes(), cut, Bounds::default()), Ok((whole, counts)));
        }
    }

    #[test]
    fn accepts_what_serde_accepts(body in "[\\[\\]{}:,\"a-c0-2.eE+\\-\\\\u nrtl\\x00é]{0,24}", cut in 1usize..9) {
        let strict = serde_json::from_str::<serde::de::IgnoredAny>(&body).is_ok();
        let ours = run_bounded(&program(vec![Node::Clear]), body.as_bytes(), cut, Bounds::default());
        let roomy = run_bounded(&program(vec![Node::Clear]), format!("{body}{:200}", "").as_bytes(), usize::MAX, Bounds::default());
        prop_assert_eq!(roomy.is_ok(), ours.is_ok());
        match ours {
            Ok((text, _)) => prop_assert!(strict && text == body),
            Err(Abort::ForbiddenKey { .. }) => {}
            // serde does not look into the strings that it ignores.
            Err(Abort::Malformed { what: "string: lone surrogate", .. }) => {}
            Err(_) => prop_assert!(!strict, "{}", body),
        }
    }
}

// ---- members, lists, links ----

#[test]
fn what_leaves_takes_its_comma_and_white_space_along() {
    let p = program(vec![
        object(vec![member("a", 1), member("b", 1)], None),
        Node::Clear,
    ]);
    for (body, output) in [
        (r#"{"x":1,"a":2,"y":3,"b":4,"z":5}"#, r#"{"a":2,"b":4}"#),
        (r#"{"x":1}"#, "{}"),
        (r#"{"a":1 , "x":2 , "b":3}"#, r#"{"a":1 , "b":3}"#),
        (
            "{\n  \"x\": {\"a\": 1},\n  \"a\": 2\n}\n",
            "{\n  \"a\": 2\n}\n",
        ),
        ("{\n  \"a\": 2,\n  \"x\": [1]\n}", "{\n  \"a\": 2\n}"),
    ] {
        assert_eq!(run(&p, body).expect("JSON").0, output);
    }
    assert_eq!(
        run(&p, r#"{"x":1,"a":2,"y":3}"#)
            .expect("JSON")
            .1
            .unplanned_members,
        2
    );
}

#[test]
fn keys_pass_narrowly_and_are_protected_widely() {
    let nodes = vec![
        object(
            vec![member("Email", 1), member("Id", 2), member("Sub", 3)],
            None,
        ),
        treat(Treatment::MaskAll),
        Node::Clear,
        object(vec![], Some(2)),
    ];
    let p = program(nodes);
    for (body, output) in [
        (r#"{"Em\u0061il":"x"}"#, r#"{"Em\u0061il":"****"}"#),
        (r#"{"EMAIL":"x","iD":7}"#, r#"{"EMAIL":"****","iD":7}"#),
        (
            r#"{"Ｅmail":"x"," Email":"x","Emaıl":"x"}"#,
            r#"{"Ｅmail":"****"," Email":"****","Emaıl":"****"}"#,
        ),
        (r#"{"\u0130d":7,"ıd":7,"Id ":7,"\u017fub":{"a":1}}"#, "{}"),
        (
            r#"{"Email":1,"email":[2],"Email":null}"#,
            r#"{"Email":null,"email":null,"Email":null}"#,
        ),
    ] {
        assert_eq!(run(&p, body).expect("JSON").0, output);
    }
    for key in [
        "\\u0000",
        "a\\u200bb",
        "\u{feff}",
        "\u{202e}x",
        "\\ud800",
        "\\n",
        "\u{7f}",
        "\\uFFFE",
    ] {
        for body in [
            format!("{{\"{key}\":1}}"),
            format!("{{\"Id\":[{{\"{key}\":1}}]}}"),
            format!("{{\"x\":{{\"{key}\":1}}}}"),
        ] {
            assert!(
                matches!(run(&p, &body), Err(Abort::ForbiddenKey { .. })),
                "{body}"
            );
        }
    }
}

#[test]
fn names_that_differ_by_case_alone_are_told_apart_exactly_or_dropped() {
    let p = program(vec![
        object(vec![member("mail", 1), member("Mail", 2)], Some(1)),
        Node::Clear,
        treat(Treatment::Redact),
    ]);
    let (text, _) = run(&p, r#"{"mail":1,"Mail":2,"MAIL":3,"x":4,"Mail":5}"#).expect("JSON");
    assert_eq!(text, r#"{"mail":1,"Mail":null,"x":4,"Mail":null}"#);
}

#[derive(Debug)]
struct Shorten;

impl LinkRewriter for Shorten {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        upstream
            .strip_prefix("/up")
            .map(|rest| format!("/here{rest}\"").into())
    }
}

#[test]
fn links_and_expectations() {
    let p = program(vec![
        object(
            vec![member("next", 1), member("type", 2), member("n", 3)],
            None,
        ),
        Node::Link(Arc::new(Shorten)),
        Node::Expect(vec!["Contact".into()]),
        Node::Clear,
    ]);
    for (body, output) in [
        (
            r#"{"n":1,"next":"\/up/1"}"#,
            r#"{"n":1,"next":"/here/1\""}"#,
        ),
        (r#"{"next":"/else","n":1}"#, r#"{"n":1}"#),
        (
            r#"{"next":["/up"],"n":1,"next":null}"#,
            r#"{"n":1,"next":null}"#,
        ),
        (
            r#"{"type" : "c\u006fntact"}"#,
            r#"{"type" : "c\u006fntact"}"#,
        ),
    ] {
        assert_eq!(run(&p, body).expect("JSON").0, output);
    }
    for body in [r#"{"type":"Lead"}"#, r#"{"type":null}"#, r#"{"type":{}}"#] {
        assert!(
            matches!(run(&p, body), Err(Abort::Contradiction { .. })),
            "{body}"
        );
    }
}

// ---- choices ----

fn by_type(overflow: u32) -> Arc<Program> {
    let attributes = |unique| Member {
        key: "attributes".into(),
        node: NodeId(5),
        unique,
    };
    program(vec![
        Node::Array(Elements {
            head: vec![],
            rest: NodeId(1),
        }),
        Node::Choose(Choose {
            by: By::Keys(vec!["attributes".into(), "type".into()]),
            cases: vec![
                (ConditionValue::Text("Contact".into()), NodeId(2)),
                (ConditionValue::Text("Lead".into()), NodeId(3)),
            ],
            otherwise: NodeId(6),
            absent: NodeId(7),
            overflow: NodeId(overflow),
        }),
        object(vec![attributes(true), member("Name", 4)], None),
        object(vec![attributes(true), member("Name", 5)], None),
        treat(Treatment::MaskAll),
        Node::Clear,
        Node::Constant("\"otherwise\"".into()),
        Node::Constant("\"absent\"".into()),
        Node::Drop,
    ])
}

#[test]
fn the_type_may_come_after_the_value() {
    let p = by_type(8);
    for (body, output) in [
        (
            r#"[{"Name":"a","attributes":{"url":"u","type":"Contact"}}, {"attributes":{"type":"Lead"},"Name":"b"}]"#,
            r#"[{"Name":"****","attributes":{"url":"u","type":"Contact"}}, {"attributes":{"type":"Lead"},"Name":"b"}]"#,
        ),
        (
            r#"[{"Name":"a","attributes":{"type":"User"}}]"#,
            r#"["otherwise"]"#,
        ),
        (
            r#"[{"Name":"a","attributes":{"type":["Lead"]}}]"#,
            r#"["otherwise"]"#,
        ),
        (
            r#"[{"Name":"a","attributes":{"ty\uff50e":"Lead"}}]"#,
            r#"["otherwise"]"#,
        ),
        (
            r#"[{"Name":"a","attributes":null}, {"x":{"attributes":{"type":"Lead"}}}]"#,
            r#"["absent", "absent"]"#,
        ),
        (r#"[null, 7, "x", {}]"#, r#"[null, null, null, "absent"]"#),
    ] {
        assert_eq!(run(&p, body).expect("JSON").0, output);
    }
    for body in [
        r#"[{"attributes":{"TYPE":"Lead"},"Name":"b","attribut\u0065s":{"type":"Contact"}}]"#,
        r#"[{"attributes":{},"Attributes":{"type":"Lead"}}]"#,
        r#"[{"ａttributes":{"type":"Lead"},"attributes":{"type":"Lead"}}]"#,
    ] {
        assert!(
            matches!(run(&p, body), Err(Abort::DuplicateDecider { .. })),
            "{body}"
        );
    }
    let cut_short = run(&p, r#"[{"Name":"a","attributes":{"type":"Lead"}"#);
    assert!(matches!(cut_short, Err(Abort::Truncated { .. })));
}

#[test]
fn a_record_over_the_bound_takes_the_strictest_variant() {
    let p = by_type(8);
    let bounds = Bounds {
        held_bytes_max: 100,
        ..Bounds::default()
    };
    for length in 30..90 {
        let name = "n".repeat(length);
        let body =
            format!(r#"[{{"Name":"{name}","attributes":{{"type":"Lead"}},"Name":"{name}"}},null]"#);
        let whole = run_bounded(&p, body.as_bytes(), usize::MAX, bounds).expect("JSON");
        // The bound is reached where the type's closing quote is the 101st byte of the record.
        let over = format!(r#"{{"Name":"{name}","attributes":{{"type":"Lead""#).len() > 100;
        assert_eq!(whole.1.held_over, u64::from(over), "{length}");
        assert_eq!(
            whole.0,
            if over {
                "[null]".to_owned()
            } else {
                body.clone()
            }
        );
        for cut in 1..60 {
            assert_eq!(
                run_bounded(&p, body.as_bytes(), cut, bounds).as_ref(),
                Ok(&whole),
                "{length}/{cut}"
            );
        }
    }
}

#[test]
fn choices_nest_and_filters_see_the_whole_element() {
    let flag = |then: u32, otherwise: u32| {
        Node::Choose(Choose {
            by: By::Keys(vec!["Flag".into()]),
            cases: vec![
                (ConditionValue::Bool(false), NodeId(then)),
                (ConditionValue::Number("1".into()), NodeId(then)),
            ],
            otherwise: NodeId(otherwise),
            absent: NodeId(otherwise),
            overflow: NodeId(otherwise),
        })
    };
    let filter = Node::Choose(Choose {
        by: By::Filter(Filter {
            text: "@.kind == 'open' || @ == 5".into(),
        }),
        cases: vec![
            (ConditionValue::Bool(true), NodeId(2)),
            (ConditionValue::Bool(false), NodeId(3)),
        ],
        otherwise: NodeId(3),
        absent: NodeId(3),
        overflow: NodeId(3),
    });
    let p = program(vec![
        Node::Array(Elements {
            head: vec![],
            rest: NodeId(1),
        }),
        filter,
        Node::Either {
            object: NodeId(4),
            array: NodeId(3),
            scalar: NodeId(5),
        },
        Node::Drop,
        flag(5, 6),
        Node::Clear,
        object(vec![member("kind", 5)], None),
    ]);
    let body = r#"[5,6,{"kind":"open","a":1,"Flag":false},{"kind":"open","a":2,"Flag":0},{"a":3,"kind":"open","Flag":1},{"kind":"shut"}]"#;
    assert_eq!(
        run(&p, body).expect("JSON").0,
        r#"[5,{"kind":"open","a":1,"Flag":false},{"kind":"open"},{"a":3,"kind":"open","Flag":1}]"#
    );
    let twice = r#"[{"kind":"open","KIND":"shut"}]"#;
    assert!(matches!(
        run(&p, twice),
        Err(Abort::DuplicateDecider { .. })
    ));
    // A number at the root ends with the document.
    let root = program(vec![
        Node::Choose(Choose {
            by: By::Filter(Filter {
                text: "@ > 4".into(),
            }),
            cases: vec![(ConditionValue::Bool(true), NodeId(1))],
            otherwise: NodeId(2),
            absent: NodeId(2),
            overflow: NodeId(2),
        }),
        Node::Clear,
        Node::Drop,
    ]);
    assert_eq!(run(&root, "5").expect("JSON").0, "5");
    assert_eq!(run(&root, "3").expect("JSON").0, "null");
}

#[test]
fn choices_in_a_circle_abort() {
    let to = |node: u32| {
        Node::Choose(Choose {
            by: By::Keys(vec!["t".into()]),
            cases: vec![],
            otherwise: NodeId(node),
            absent: NodeId(node),
            overflow: NodeId(node),
        })
    };
    let p = program(vec![to(1), to(0)]);
    for body in [r#"{"t":1}"#, "{}"] {
        assert!(matches!(run(&p, body), Err(Abort::Contradiction { .. })));
    }
}

// ---- bounds and aborts ----

#[test]
fn bounds_abort_and_memory_stays_bounded() {
    let clear = program(vec![Node::Clear]);
    let walking = program(vec![
        Node::Either {
            object: NodeId(1),
            array: NodeId(2),
            scalar: NodeId(3),
        },
        object(vec![], Some(0)),
        Node::Array(Elements {
            head: vec![],
            rest: NodeId(0),
        }),
        Node::Clear,
    ]);
    for p in [&clear, &walking] {
        for (depth, good) in [(128, true), (129, false)] {
            for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
                let body = format!("{}1{}", open.repeat(depth), close.repeat(depth));
                let result = run_bounded(p, body.as_bytes(), 7, Bounds::default());
                assert_eq!(result.is_ok(), good, "{depth} {open}: {result:?}");
            }
        }
        let over = |body: String| run_bounded(p, body.as_bytes(), 1000, Bounds::default());
        for body in [
            format!("{{\"{}\":1}}", "k".repeat((32 << 10) + 1)),
            format!("[{}]", "1".repeat(1025)),
            "[".repeat(100_000),
        ] {
            assert!(matches!(over(body), Err(Abort::TooLarge { .. })));
        }
        assert!(
            over(format!(
                "{{\"{}\":{}}}",
                "k".repeat(32 << 10),
                "1".repeat(1024)
            ))
            .is_ok()
        );
    }
    let spaces = format!("{{{}\"a\":1}}", " ".repeat(200 << 10));
    assert!(matches!(
        run_bounded(&walking, spaces.as_bytes(), 999, Bounds::default()),
        Err(Abort::TooLarge { .. })
    ));
    let long = format!("\"{}\"", "x".repeat(64 << 10));
    let treated = program(vec![treat(Treatment::MaskLast4)]);
    for cut in [1000, usize::MAX] {
        assert_eq!(
            run_bounded(&treated, long.as_bytes(), cut, Bounds::default())
                .expect("JSON")
                .0,
            "null"
        );
    }
}

#[test]
fn nothing_comes_out_after_an_abort_and_nothing_undecided_before_it() {
    let p = program(vec![
        object(vec![member("a", 1), member("Email", 2)], None),
        Node::Clear,
        treat(Treatment::MaskAll),
    ]);
    let body = br#"{"a":1,"Email":"canary@leak.test","x":"canary@leak.test" oops "a":2}"#;
    for cut in 1..body.len() {
        let mut rewriter = Rewriter::json(p.clone(), Bounds::default());
        let mut out = Out::default();
        let mut aborted = None;
        for piece in body.chunks(cut) {
            let before = out.concat();
            match (
                rewriter.push(Bytes::copy_from_slice(piece), &mut out),
                &aborted,
            ) {
                (Err(abort), None) => aborted = Some(abort),
                (Err(abort), Some(first)) => {
                    assert_eq!(abort, *first);
                    assert_eq!(out.concat(), before);
                }
                (Ok(()), first) => assert!(first.is_none()),
            }
        }
        assert!(aborted.is_some());
        assert!(rewriter.finish(&mut out).is_err());
        let text = String::from_utf8(out.concat()).expect("UTF-8");
        assert!(!text.contains("canary") && !text.contains("oops"), "{text}");
    }
}

#[test]
fn long_runs_are_slices_of_the_input() {
    let p = program(vec![object(vec![member("a", 1)], None), Node::Clear]);
    let body = Bytes::from(json!({"a": vec!["some text"; 1000], "x": 1}).to_string());
    let mut rewriter = Rewriter::json(p, Bounds::default());
    let mut out = Out::default();
    rewriter.push(body.clone(), &mut out).expect("JSON");
    let chunks = out.take();
    assert_eq!(chunks[0].as_ptr(), body.as_ptr());
    assert_eq!(chunks.len(), 2);
}
