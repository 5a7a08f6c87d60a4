//! CSV and XML: the attack corpus, and the slow oracles (the csv crate, quick-xml) on generated documents.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a panic is how a test fails"
)]

use std::sync::Arc;

use bytes::Bytes;
use privet::engine::rewrite::csv::{
    Cell, Column, CsvProgram, CsvRewriter, Decide, Delimiter, LineEnding, Other,
};
use privet::engine::rewrite::xml::{Child, Children, XmlNode, XmlProgram};
use privet::engine::rewrite::{Abort, Bounds, Counter, NodeId, Out, Rewriter};
use privet::engine::treatment::{Prepared, Treatment};
use proptest::prelude::*;

use super::data;

const CANARY: &str = "CANARY-7f3a@leak.test";

/// The output of a whole run, or the abort. `cuts` are offsets in rising order.
fn run(mut rewriter: Rewriter, body: &[u8], cuts: &[usize]) -> Result<Vec<u8>, Abort> {
    let mut out = Out::default();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([body.len()]) {
        rewriter.push(Bytes::copy_from_slice(&body[from..cut]), &mut out)?;
        from = cut;
    }
    rewriter.finish(&mut out)?;
    Ok(out.concat())
}

/// The output, the same for every two-way cut and byte by byte of a small document, and for some of a large one.
fn every_cut(rewriter: &dyn Fn() -> Rewriter, body: &[u8], name: &str) -> Result<Vec<u8>, Abort> {
    let whole = run(rewriter(), body, &[]);
    let step = (body.len() / 512).max(1);
    let cuts = (0..=body.len()).step_by(step).map(|cut| vec![cut]);
    for cuts in cuts.chain([(1..body.len()).collect()]) {
        let cut = run(rewriter(), body, &cuts);
        match (&whole, &cut) {
            (Ok(a), Ok(b)) => assert!(a == b, "{name} cut at {:?}", cuts.first()),
            (Err(a), Err(b)) => assert_eq!(
                std::mem::discriminant(a),
                std::mem::discriminant(b),
                "{name} cut at {:?}",
                cuts.first()
            ),
            _ => panic!("{name} cut at {:?}: {whole:?} {cut:?}", cuts.first()),
        }
    }
    whole
}

fn redact() -> Prepared {
    Prepared::Keyless(Treatment::Redact)
}

fn counters() -> Vec<Counter> {
    vec![Counter {
        object: "Contact".into(),
        field: "Email".into(),
        treatment: Treatment::Redact,
    }]
}

fn csv_program(columns: Vec<(&str, Cell)>, delimiter: Delimiter) -> Arc<CsvProgram> {
    Arc::new(CsvProgram {
        delimiter,
        line_ending: LineEnding::AsHeader,
        columns: columns
            .into_iter()
            .map(|(name, cell)| Column {
                name: name.into(),
                cells: vec![cell],
                required: false,
            })
            .collect(),
        other: Other::Drop,
        decide: Decide::Index(0),
        overflow: 0,
        no_records: false,
        counters: counters(),
    })
}

fn treated() -> Cell {
    Cell::Treat {
        treatment: redact(),
        counter: 0,
    }
}

fn child(name: &str, node: u32) -> Child {
    Child {
        name: name.into(),
        namespace: None,
        node: NodeId(node),
        unique: false,
    }
}

/// Walks every element; what is named Email is redacted, and so are name/value pairs and fault texts.
fn protecting() -> Arc<XmlProgram> {
    let walked = Children {
        named: vec![
            child("Email", 0),
            child("faultstring", 0),
            child("field", 2),
            child("t", 3),
        ],
        attributes: vec![child("Email", 0)],
        other: Some(NodeId(1)),
        row: false,
    };
    Arc::new(XmlProgram::new(
        &[
            XmlNode::Treat {
                treatment: redact(),
                counter: 0,
            },
            XmlNode::Element(walked),
            XmlNode::Drop,
            XmlNode::Clear,
        ],
        NodeId(1),
        counters(),
    ))
}

#[test]
fn attack_corpus() {
    let Some(cases) = data::json_lines("markup/csv_xml.jsonl") else {
        return;
    };
    let csv = csv_program(
        vec![("Email", treated()), ("Name", Cell::Clear)],
        Delimiter::Comma,
    );
    let xml = protecting();
    for case in &cases {
        let id = case["id"].as_str().expect("an id");
        let body = data::base64(&case["body_b64"]);
        let result = match case["kind"].as_str().expect("a kind") {
            "csv" => every_cut(&|| Rewriter::csv(csv.clone(), Bounds::default()), &body, id),
            _ => every_cut(&|| Rewriter::xml(xml.clone(), Bounds::default()), &body, id),
        };
        match case["expect"].as_str().expect("an answer") {
            "redact" => assert!(result.is_ok(), "{id}: {result:?}"),
            "reject" => assert!(result.is_err(), "{id}: passed"),
            "redact_or_reject" => {}
            other => panic!("{id}: unknown answer {other}"),
        }
        if let Ok(output) = result {
            let text = String::from_utf8(output).expect("UTF-8");
            for part in [CANARY, "7f3a", "/etc/passwd"] {
                assert!(!text.contains(part), "{id}: {text}");
            }
        }
    }
    assert_eq!(cases.len(), 34);
}

/// Cells that a writer has to quote, and some that it need not.
fn cell() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[a-c ,;\"\n\ré]{0,12}|x{60,70}").expect("a pattern")
}

fn table() -> impl Strategy<Value = Vec<[String; 4]>> {
    proptest::collection::vec([cell(), cell(), cell(), cell()], 0..12)
}

fn csv_text(rows: &[[String; 4]], crlf: bool, all_quoted: bool) -> Vec<u8> {
    let mut writer = csv::WriterBuilder::new()
        .quote_style(if all_quoted {
            csv::QuoteStyle::Always
        } else {
            csv::QuoteStyle::Necessary
        })
        .terminator(if crlf {
            csv::Terminator::CRLF
        } else {
            csv::Terminator::Any(b'\n')
        })
        .from_writer(vec![]);
    writer
        .write_record(["Name", "Email", "Notes", "Id"])
        .expect("written");
    for row in rows {
        writer.write_record(row).expect("written");
    }
    writer.into_inner().expect("written")
}

/// Every row that the csv crate reads.
fn csv_rows(text: &[u8]) -> Vec<Vec<String>> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(text)
        .into_records()
        .map(|row| row.expect("a row").iter().map(str::to_owned).collect())
        .collect()
}

proptest! {
    #[test]
    fn csv_agrees_with_the_csv_crate(rows in table(), crlf: bool, all_quoted: bool) {
        let body = csv_text(&rows, crlf, all_quoted);
        let program = csv_program(
            vec![("Name", Cell::Clear), ("Email", treated()), ("Id", Cell::Clear)],
            Delimiter::Comma,
        );
        let out = every_cut(&|| Rewriter::csv(program.clone(), Bounds::default()), &body, "generated")
            .expect("RFC 4180");
        let mut wanted = vec![vec!["Name".to_owned(), "Email".to_owned(), "Id".to_owned()]];
        wanted.extend(rows.iter().map(|r| vec![r[0].clone(), String::new(), r[3].clone()]));
        prop_assert_eq!(csv_rows(&out), wanted);
        let clear = csv_program(
            ["Name", "Email", "Notes", "Id"].map(|n| (n, Cell::Clear)).into(),
            Delimiter::Comma,
        );
        let same = run(Rewriter::csv(clear, Bounds::default()), &body, &[]).expect("RFC 4180");
        prop_assert_eq!(same, body);
    }

    #[test]
    fn the_block_scanner_agrees_with_the_plain_lexer(body in "(Name,Email,Id\n)([ab\",\n\r]|\",\"|\"\n\"|a,b,c\n|\"a\",\"\",c\n){0,60}") {
        let program = csv_program(
            vec![("Name", Cell::Clear), ("Email", treated())],
            Delimiter::Comma,
        );
        let rewriter = || CsvRewriter::new(program.clone(), Bounds::default());
        let fast = run(Rewriter::Csv(Box::new(rewriter())), body.as_bytes(), &[]);
        let plain = run(Rewriter::Csv(Box::new(rewriter().plain())), body.as_bytes(), &[]);
        prop_assert_eq!(fast.is_ok(), plain.is_ok());
        if let (Ok(fast), Ok(plain)) = (fast, plain) {
            prop_assert_eq!(fast, plain);
        }
    }

    #[test]
    fn xml_agrees_with_quick_xml(elements in proptest::collection::vec(element(), 0..10)) {
        let body = format!("<r xmlns:p='urn:p'>{}</r>", elements.concat());
        let program = protecting();
        let out = every_cut(&|| Rewriter::xml(program.clone(), Bounds::default()), body.as_bytes(), "generated")
            .expect("well-formed");
        prop_assert_eq!(leaves(&out), leaves(body.as_bytes()));
        prop_assert!(!String::from_utf8_lossy(&out).contains("SECRET"));
    }
}

/// An element with text, or one that is protected.
fn element() -> impl Strategy<Value = String> {
    let text = prop_oneof![
        Just("a".to_owned()),
        Just("&lt;&#233;é".to_owned()),
        Just("<![CDATA[<x> ]]]>".to_owned()),
        Just("<!-- SECRET -->".to_owned()),
        Just("\n ".to_owned()),
    ];
    let texts = proptest::collection::vec(text, 0..4).prop_map(|t| t.concat());
    (0..5u8, texts).prop_map(|(kind, text)| match kind {
        0 => format!("<Email>SECRET{text}</Email>"),
        1 => format!("<p:Email a='>'>{text}SECRET<x>SECRET</x></p:Email>"),
        2 => format!("<p:b><q><Email>SECRET</Email> </q><e/></p:b>{}", " "),
        3 => "<c secret='SECRET'><d/></c>".to_owned(),
        _ => format!("<t b='1'>{text}<e\n/>{text}</t>"),
    })
}

/// The elements on the way and the text that is not protected, as quick-xml reads them.
fn leaves(body: &[u8]) -> String {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_reader(body);
    let (mut all, mut skipped) = (String::new(), 0);
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).expect("well-formed") {
            Event::Start(e) => {
                if skipped == 0 {
                    all.push_str(&format!("<{}>", e.name().as_ref()));
                }
                skipped += u32::from(skipped > 0 || e.local_name().as_ref() == "Email");
            }
            Event::Empty(e) if skipped == 0 => {
                all.push_str(&format!("<{}></>", e.name().as_ref()));
            }
            Event::End(_) => {
                skipped = skipped.saturating_sub(1);
                if skipped == 0 {
                    all.push_str("</>");
                }
            }
            Event::Text(e) if skipped == 0 => all.push_str(&e),
            Event::CData(e) if skipped == 0 => all.push_str(&e),
            Event::GeneralRef(e) if skipped == 0 => all.push_str(&format!("&{};", &*e)),
            Event::Eof => return all,
            _ => {}
        }
    }
}
