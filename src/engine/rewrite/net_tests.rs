//! The second net in each format, whatever the cuts of the input.

use std::sync::Arc;

use bytes::Bytes;

use super::csv::{Cell, Column, CsvProgram, Decide, Delimiter, LineEnding, Other};
use super::xml::{Child, Children, XmlNode, XmlProgram};
use super::{
    BodyProgram, Bounds, Counter, Counts, Elements, Member, Members, Node, NodeId, Out, Program,
    Rewriter,
};
use crate::engine::treatment::{Prepared, Sighting, Treatment, Watch};

fn watched(mask: bool) -> Prepared {
    Prepared::Watched(Watch {
        mask,
        expected: false,
    })
}

fn counters() -> Vec<Counter> {
    ["Name", "Notes"]
        .into_iter()
        .map(|field| Counter {
            object: "Contact".into(),
            field: field.into(),
            treatment: Treatment::Clear,
        })
        .collect()
}

fn json(mask: bool) -> BodyProgram {
    let member = |key: &str, node| Member {
        key: key.into(),
        node: NodeId(node),
        unique: false,
    };
    let nodes = vec![
        Node::Array(Elements {
            head: Vec::new(),
            rest: NodeId(1),
        }),
        Node::Object(Members {
            named: vec![member("Id", 2), member("Name", 3), member("Notes", 4)],
            other: None,
            row: true,
        }),
        Node::Clear,
        Node::Treat {
            treatment: Prepared::Keyless(Treatment::Redact),
            counter: 0,
        },
        Node::Treat {
            treatment: watched(mask),
            counter: 1,
        },
    ];
    BodyProgram::Json(Arc::new(Program::new(nodes, NodeId(0), counters())))
}

fn csv(mask: bool) -> BodyProgram {
    let column = |name: &str, cell| Column {
        name: name.into(),
        cells: vec![cell],
        required: true,
    };
    let treat = |treatment, counter| Cell::Treat { treatment, counter };
    BodyProgram::Csv(Arc::new(CsvProgram {
        delimiter: Delimiter::Comma,
        line_ending: LineEnding::AsHeader,
        columns: vec![
            column("Id", Cell::Clear),
            column("Name", treat(Prepared::Keyless(Treatment::Redact), 0)),
            column("Notes", treat(watched(mask), 1)),
        ],
        other: Other::Drop,
        decide: Decide::Index(0),
        overflow: 0,
        no_records: false,
        counters: counters(),
    }))
}

fn xml(mask: bool) -> BodyProgram {
    let child = |name: &str, node| Child {
        name: name.into(),
        namespace: None,
        node: NodeId(node),
        unique: false,
    };
    let nodes = [
        XmlNode::Element(Children {
            named: vec![child("record", 1)],
            ..Children::default()
        }),
        XmlNode::Element(Children {
            named: vec![child("Id", 2), child("Name", 3), child("Notes", 4)],
            row: true,
            ..Children::default()
        }),
        XmlNode::Clear,
        XmlNode::Treat {
            treatment: Prepared::Keyless(Treatment::Redact),
            counter: 0,
        },
        XmlNode::Treat {
            treatment: watched(mask),
            counter: 1,
        },
    ];
    let program = XmlProgram::new(&nodes, NodeId(0), counters());
    BodyProgram::Xml(Arc::new(program))
}

/// The same for every cut.
fn run(program: &BodyProgram, body: &str) -> (String, Counts) {
    let bounds = Bounds {
        treated_bytes_max: 64,
        ..Bounds::default()
    };
    let mut whole = None;
    for piece in [body.len(), 1, 2, 7, 50, 100] {
        let mut rewriter = Rewriter::new(program, bounds);
        let mut out = Out::default();
        for part in body.as_bytes().chunks(piece) {
            rewriter
                .push(Bytes::copy_from_slice(part), &mut out)
                .expect("a good document");
        }
        let counts = rewriter.finish(&mut out).expect("a whole document");
        let text = String::from_utf8(out.concat()).expect("UTF-8");
        match &whole {
            None => whole = Some((text, counts)),
            Some(first) => assert_eq!((text, counts), *first, "in pieces of {piece}"),
        }
    }
    whole.expect("a run")
}

/// Id, name and notes of each record, written in each format.
fn bodies(records: &[(&str, Option<&str>, Option<&str>)]) -> [String; 3] {
    let quoted = |text: &Option<&str>| text.map_or("null".to_owned(), |t| format!("\"{t}\""));
    let json: Vec<String> = records
        .iter()
        .map(|(id, name, notes)| {
            format!(
                "{{\"Id\":\"{id}\",\"Name\":{},\"Notes\":{}}}",
                quoted(name),
                quoted(notes)
            )
        })
        .collect();
    let csv: String = records
        .iter()
        .map(|(id, name, notes)| format!("{id},{},{}\n", name.unwrap_or(""), notes.unwrap_or("")))
        .collect();
    let element = |name: &str, text: &Option<&str>| match text {
        Some(text) => format!("<{name}>{text}</{name}>"),
        None => format!("<{name} x:nil=\"true\"/>"),
    };
    let xml: String = records
        .iter()
        .map(|(id, name, notes)| {
            format!(
                "<record><Id>{id}</Id>{}{}</record>",
                element("Name", name),
                element("Notes", notes)
            )
        })
        .collect();
    [
        format!("[{}]", json.join(",")),
        format!("Id,Name,Notes\n{csv}"),
        format!("<r xmlns:x=\"http://www.w3.org/2001/XMLSchema-instance\">{xml}</r>"),
    ]
}

const PROGRAMS: [fn(bool) -> BodyProgram; 3] = [json, csv, xml];

#[test]
fn notes_lose_what_is_found_and_what_was_treated_before_them() {
    let given = bodies(&[
        (
            "1",
            Some("Zoé Example"),
            Some("Zoé Example: zoe@acme.example"),
        ),
        ("2", None, Some("Zoé Example of the record before")),
        ("3", Some("Boris"), Some("nothing")),
    ]);
    let masked = bodies(&[
        ("1", None, Some("****: ****")),
        ("2", None, Some("Zoé Example of the record before")),
        ("3", None, Some("nothing")),
    ]);
    let reported = bodies(&[
        ("1", None, Some("Zoé Example: zoe@acme.example")),
        ("2", None, Some("Zoé Example of the record before")),
        ("3", None, Some("nothing")),
    ]);
    for (format, program) in PROGRAMS.into_iter().enumerate() {
        for (mask, expected) in [(true, &masked), (false, &reported)] {
            let (text, counts) = run(&program(mask), &given[format]);
            assert_eq!(text, expected[format]);
            let found = counts.found.iter().map(|(c, s, n)| (*c, s.word(), *n));
            let found: Vec<_> = found.collect();
            assert_eq!(found, [(1, "treated_value", 1), (1, "email", 1)]);
            assert_eq!(counts.treated, [3, 0]);
            assert_eq!(counts.rows, 3);
        }
    }
}

#[test]
fn a_text_over_the_bound_passes_in_reports_and_is_null_where_masked() {
    let long = "zoe@acme.example ".repeat(20);
    let given = bodies(&[("1", Some("Boris"), Some(&long)), ("2", None, Some("x"))]);
    let masked = bodies(&[("1", None, None), ("2", None, Some("x"))]);
    let reported = bodies(&[("1", None, Some(&long)), ("2", None, Some("x"))]);
    for (format, program) in PROGRAMS.into_iter().enumerate() {
        for (mask, expected) in [(true, &masked), (false, &reported)] {
            let (text, counts) = run(&program(mask), &given[format]);
            assert_eq!(text, expected[format]);
            assert_eq!(counts.found, [(1, Sighting::NotLookedAt, 1)]);
        }
    }
}

#[test]
fn sections_over_the_bound_pass_as_they_came() {
    let long = "a]]b & <c> ".repeat(20);
    let body = format!("<r><record><Notes>1 &amp; <![CDATA[{long}]]> 2</Notes></record></r>");
    let (text, counts) = run_uncut(&xml(false), &body);
    assert_eq!(counts.found, [(1, Sighting::NotLookedAt, 1)]);
    assert!(text.ends_with(" 2</Notes></record></r>"), "{text}");
    let document = quick(&text);
    assert_eq!(document, format!("1 & {long} 2"));
}

fn run_uncut(program: &BodyProgram, body: &str) -> (String, Counts) {
    let bounds = Bounds {
        treated_bytes_max: 64,
        ..Bounds::default()
    };
    let mut rewriter = Rewriter::new(program, bounds);
    let mut out = Out::default();
    for part in body.as_bytes().chunks(20) {
        let part = Bytes::copy_from_slice(part);
        rewriter.push(part, &mut out).expect("a good document");
    }
    let counts = rewriter.finish(&mut out).expect("a whole document");
    (String::from_utf8(out.concat()).expect("UTF-8"), counts)
}

/// All text of a document, its sections and references resolved.
fn quick(document: &str) -> String {
    let mut text = String::new();
    let mut rest = document;
    while let Some(at) = rest.find('<') {
        text.push_str(&plain(&rest[..at]));
        rest = &rest[at..];
        if let Some(section) = rest.strip_prefix("<![CDATA[") {
            let end = section.find("]]>").expect("the end of a section");
            text.push_str(&section[..end]);
            rest = &section[end + 3..];
        } else {
            rest = &rest[rest.find('>').expect("the end of a tag") + 1..];
        }
    }
    text
}

fn plain(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}
