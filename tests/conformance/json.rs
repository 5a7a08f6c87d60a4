//! The JSON engine against JSONTestSuite, the differential corpus and the JSONPath compliance suite.

use std::sync::Arc;

use bytes::Bytes;
use privet::engine::rewrite::{
    Abort, Bounds, Elements, Member, Members, Node, NodeId, Out, Program, Rewriter,
};
use privet::engine::treatment::{Prepared, Treatment};

use super::data;

/// The output of a whole run, or the abort. `cuts` are offsets in rising order.
fn run(program: &Arc<Program>, body: &[u8], cuts: &[usize]) -> Result<Vec<u8>, Abort> {
    let mut rewriter = Rewriter::json(program.clone(), Bounds::default());
    let mut out = Out::default();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([body.len()]) {
        rewriter.push(Bytes::copy_from_slice(&body[from..cut]), &mut out)?;
        from = cut;
    }
    rewriter.finish(&mut out)?;
    Ok(out.concat())
}

/// The abort without its place, which a cut may move within one token.
fn outcome(result: &Result<Vec<u8>, Abort>) -> Result<&[u8], std::mem::Discriminant<Abort>> {
    result
        .as_ref()
        .map(Vec::as_slice)
        .map_err(std::mem::discriminant)
}

/// Every two-way split and byte by byte up to 4 KiB; 1,000 seeded splits beyond.
fn every_cut(program: &Arc<Program>, body: &[u8], name: &str) {
    let whole = run(program, body, &[]);
    let check = |cuts: &[usize]| {
        let cut = run(program, body, cuts);
        assert_eq!(
            outcome(&cut),
            outcome(&whole),
            "{name} cut at {:?}",
            &cuts[..cuts.len().min(4)]
        );
    };
    if body.len() <= 4096 {
        for cut in 0..=body.len() {
            check(&[cut]);
        }
        check(&(1..body.len()).collect::<Vec<_>>());
    } else {
        let mut seed = 0x9e37_79b9_7f4a_7c15u64;
        for _ in 0..1000 {
            seed = seed
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            check(&[(seed >> 33) as usize % body.len()]);
        }
    }
}

fn clear() -> Arc<Program> {
    Arc::new(Program::new(vec![Node::Clear], NodeId(0), vec![]))
}

/// Walks every object and array and changes nothing.
fn walking() -> Arc<Program> {
    let own = Some(NodeId(0));
    Arc::new(Program::new(
        vec![
            Node::Either {
                object: NodeId(1),
                array: NodeId(2),
                scalar: NodeId(3),
            },
            Node::Object(Members {
                named: vec![],
                other: own,
                row: false,
            }),
            Node::Array(Elements {
                head: vec![],
                rest: NodeId(0),
            }),
            Node::Clear,
        ],
        NodeId(0),
        vec![],
    ))
}

/// The choice for each `i_` case: accepted with its text kept (numbers and a BOM, which is left out), or not
/// (encodings, surrogates, depth).
const CHOICES: [(&str, bool); 35] = [
    ("i_number_double_huge_neg_exp.json", true),
    ("i_number_huge_exp.json", true),
    ("i_number_neg_int_huge_exp.json", true),
    ("i_number_pos_double_huge_exp.json", true),
    ("i_number_real_neg_overflow.json", true),
    ("i_number_real_pos_overflow.json", true),
    ("i_number_real_underflow.json", true),
    ("i_number_too_big_neg_int.json", true),
    ("i_number_too_big_pos_int.json", true),
    ("i_number_very_big_negative_int.json", true),
    ("i_object_key_lone_2nd_surrogate.json", false),
    ("i_string_1st_surrogate_but_2nd_missing.json", false),
    ("i_string_1st_valid_surrogate_2nd_invalid.json", false),
    ("i_string_UTF-16LE_with_BOM.json", false),
    ("i_string_UTF-8_invalid_sequence.json", false),
    ("i_string_UTF8_surrogate_U+D800.json", false),
    ("i_string_incomplete_surrogate_and_escape_valid.json", false),
    ("i_string_incomplete_surrogate_pair.json", false),
    ("i_string_incomplete_surrogates_escape_valid.json", false),
    ("i_string_invalid_lonely_surrogate.json", false),
    ("i_string_invalid_surrogate.json", false),
    ("i_string_invalid_utf-8.json", false),
    ("i_string_inverted_surrogates_U+1D11E.json", false),
    ("i_string_iso_latin_1.json", false),
    ("i_string_lone_second_surrogate.json", false),
    ("i_string_lone_utf8_continuation_byte.json", false),
    ("i_string_not_in_unicode_range.json", false),
    ("i_string_overlong_sequence_2_bytes.json", false),
    ("i_string_overlong_sequence_6_bytes.json", false),
    ("i_string_overlong_sequence_6_bytes_null.json", false),
    ("i_string_truncated-utf-8.json", false),
    ("i_string_utf16BE_no_BOM.json", false),
    ("i_string_utf16LE_no_BOM.json", false),
    ("i_structure_500_nested_arrays.json", false),
    ("i_structure_UTF-8_BOM_empty_object.json", true),
];

fn files(folder: &str) -> Option<Vec<(String, Vec<u8>)>> {
    let mut files: Vec<_> = std::fs::read_dir(data::path(folder)?)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .map(|path| {
            let name = path
                .file_name()
                .expect("a name")
                .to_string_lossy()
                .into_owned();
            (name, std::fs::read(&path).expect("readable"))
        })
        .collect();
    files.sort();
    Some(files)
}

#[test]
fn json_test_suite() {
    let Some(files) = files("json/test_parsing") else {
        return;
    };
    let mut counts = [0; 3];
    for (name, body) in files {
        let accepted = match name.as_bytes()[0] {
            // NUL in a key: readers disagree about what it names, so no document that has one passes.
            b'y' => name != "y_object_escaped_null_in_key.json",
            b'n' => false,
            _ => {
                CHOICES
                    .iter()
                    .find(|(n, _)| *n == name)
                    .expect("a recorded choice")
                    .1
            }
        };
        counts["yni".find(&name[..1]).expect("y, n or i")] += 1;
        for program in [clear(), walking()] {
            let result = run(&program, &body, &[]);
            assert_eq!(result.is_ok(), accepted, "{name}: {result:?}");
            if let Ok(output) = result {
                // Identical text is identical in value.
                assert_eq!(
                    output,
                    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&body),
                    "{name}"
                );
            }
            every_cut(&program, &body, &name);
        }
    }
    assert_eq!(counts, [95, 188, 35]);
}

#[test]
fn json_test_suite_transform() {
    let Some(files) = files("json/test_transform") else {
        return;
    };
    assert_eq!(files.len(), 22);
    for (name, body) in files {
        // Lone surrogates and broken UTF-8 abort; everything else keeps its text, duplicate keys and numbers too.
        let accepted = !(name.contains("invalid_codepoint") && std::str::from_utf8(&body).is_err()
            || name.contains("escaped_invalid_codepoint"));
        for program in [clear(), walking()] {
            let result = run(&program, &body, &[]);
            assert_eq!(result.is_ok(), accepted, "{name}: {result:?}");
            if let Ok(output) = result {
                assert_eq!(output, body, "{name}");
            }
            every_cut(&program, &body, &name);
        }
    }
}

const CANARY: &str = "CANARY-7f3a@leak.test";

/// A record whose protected fields are redacted. What it names besides passes.
fn protecting() -> Arc<Program> {
    let redact = Node::Treat {
        treatment: Prepared::Keyless(Treatment::Redact),
        counter: 0,
    };
    let member = |key: &str, node: u32| Member {
        key: key.into(),
        node: NodeId(node),
        unique: false,
    };
    Arc::new(Program::new(
        vec![
            redact,
            Node::Clear,
            Node::Object(Members {
                named: vec![
                    member("Email", 0),
                    member("ssn", 0),
                    member("caf\u{e9}_email", 0),
                    member("Id", 1),
                    member("a", 6),
                    member("b", 6),
                    member("x", 6),
                ],
                other: None,
                row: true,
            }),
            // At the root only an object is due.
            Node::Refuse,
            Node::Either {
                object: NodeId(2),
                array: NodeId(5),
                scalar: NodeId(3),
            },
            Node::Array(Elements {
                head: vec![],
                rest: NodeId(6),
            }),
            Node::Either {
                object: NodeId(2),
                array: NodeId(5),
                scalar: NodeId(1),
            },
        ],
        NodeId(4),
        vec![],
    ))
}

#[test]
fn differential_corpus() {
    let Some(cases) = data::json_lines("json/differential.jsonl") else {
        return;
    };
    let program = protecting();
    for case in &cases {
        let id = case["id"].as_str().expect("an id");
        let body = data::base64(&case["body_b64"]);
        let result = run(&program, &body, &[]);
        match case["expect"].as_str().expect("an answer") {
            "redact" => assert!(result.is_ok(), "{id}: {result:?}"),
            "reject" => assert!(result.is_err(), "{id}: passed"),
            "redact_or_reject" => {}
            other => panic!("{id}: unknown answer {other}"),
        }
        if let Ok(output) = &result {
            let value: serde_json::Value = serde_json::from_slice(output).expect("JSON");
            for text in [
                String::from_utf8_lossy(output).into_owned(),
                value.to_string(),
            ] {
                assert!(
                    !text.contains(CANARY) && !text.contains("7f3a%40"),
                    "{id}: {text}"
                );
            }
        }
        every_cut(&program, &body, id);
    }
}
