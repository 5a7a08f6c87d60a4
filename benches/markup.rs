//! CSV and XML against what is commonly used: the csv crate with serde records, quick-xml event by event.
//! The same three treatments (mask, redact, drop), the rest clear. Medians and ratios of one run.
//! Floors: CSV 10 times, XML 1.5 times the peer.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(clippy::expect_used, reason = "a bench that fails must say so")]

use std::sync::Arc;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use privet::engine::rewrite::csv::{
    Cell, Column, CsvProgram, Decide, Delimiter, LineEnding, Other,
};
use privet::engine::rewrite::xml::{Child, Children, XmlNode, XmlProgram};
use privet::engine::rewrite::{Bounds, NodeId, Out, Rewriter};
use privet::engine::treatment::{Prepared, Treatment};
use quick_xml::events::{BytesStart, BytesText, Event};
use serde::{Deserialize, Serialize};

const CHUNK: usize = 64 << 10;

fn keyless(treatment: Treatment) -> Prepared {
    Prepared::Keyless(treatment)
}

fn rewrite(mut rewriter: Rewriter, body: &Bytes) -> usize {
    let mut out = Out::default();
    let mut length = 0;
    for from in (0..body.len()).step_by(CHUNK) {
        let chunk = body.slice(from..(from + CHUNK).min(body.len()));
        rewriter.push(chunk, &mut out).expect("good input");
        length += out.take().iter().map(Bytes::len).sum::<usize>();
    }
    rewriter.finish(&mut out).expect("good input");
    length + out.len()
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Read {
    id: String,
    name: String,
    #[serde(rename = "Account.Name")]
    account: String,
    email: String,
    phone: String,
    mailing_city: String,
    description: String,
    created_date: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Written<'a> {
    id: &'a str,
    name: &'a str,
    #[serde(rename = "Account.Name")]
    account: &'a str,
    email: String,
    phone: &'a str,
    mailing_city: &'a str,
    created_date: &'a str,
}

fn masked(email: &str) -> String {
    match email.split_once('@') {
        Some((local, domain)) => {
            let first: String = local.chars().take(1).collect();
            format!("{first}****@{domain}")
        }
        None => "****".to_owned(),
    }
}

fn csv_body(rows: usize) -> Bytes {
    let mut body = String::from(
        "\"Id\",\"Name\",\"Account.Name\",\"Email\",\"Phone\",\"MailingCity\",\"Description\",\"CreatedDate\"\n",
    );
    for i in 0..rows {
        body.push_str(&format!(
            "\"003Ax00000{i:08}\",\"Person {i}\",\"Company {}\",\"person{i}@example.org\",\"+33 1 {i:08}\",\"Lyon\",\
             \"Called on Monday, wants \"\"news\"\" of {i}\",\"2026-01-31T10:00:00.000Z\"\n",
            i % 300
        ));
    }
    body.into()
}

fn csv_serde(body: &[u8]) -> usize {
    let mut reader = csv::Reader::from_reader(body);
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .from_writer(Vec::with_capacity(body.len()));
    for row in reader.deserialize() {
        let row: Read = row.expect("a row");
        let written = Written {
            id: &row.id,
            name: &row.name,
            account: &row.account,
            email: masked(&row.email),
            phone: "",
            mailing_city: &row.mailing_city,
            created_date: &row.created_date,
        };
        writer.serialize(written).expect("written");
    }
    writer.into_inner().expect("written").len()
}

fn csv_program() -> Arc<CsvProgram> {
    let column = |name: &str, cell| Column {
        name: name.into(),
        cells: vec![cell],
        required: true,
    };
    let treat = |treatment| Cell::Treat {
        treatment: keyless(treatment),
        counter: 0,
    };
    Arc::new(CsvProgram {
        delimiter: Delimiter::Comma,
        line_ending: LineEnding::Lf,
        columns: vec![
            column("Id", Cell::Clear),
            column("Name", Cell::Clear),
            column("Account.Name", Cell::Clear),
            column("Email", treat(Treatment::MaskEmail)),
            column("Phone", treat(Treatment::Redact)),
            column("MailingCity", Cell::Clear),
            column("Description", Cell::Drop),
            column("CreatedDate", Cell::Clear),
        ],
        other: Other::Abort,
        decide: Decide::Index(0),
        overflow: 0,
        no_records: false,
        counters: vec![],
    })
}

/// The records of the JSON bench as Bulk API 2.0 gives them, read by serde.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Wide {
    id: String,
    #[serde(rename = "Account.Name")]
    account: String,
    #[serde(rename = "Owner.Name")]
    owner: String,
    first_name: String,
    last_name: String,
    title: String,
    department: String,
    mailing_street: String,
    mailing_city: String,
    mailing_state: String,
    mailing_postal_code: String,
    mailing_country: String,
    lead_source: String,
    email: String,
    phone: String,
    #[serde(skip_serializing)]
    #[allow(
        dead_code,
        reason = "a tree of the whole record is what is compared with"
    )]
    fax: String,
    number_of_calls: String,
    birthdate: String,
    has_opted_out_of_email: String,
    description: String,
    assistant_name: String,
    account_id: String,
    owner_id: String,
    created_date: String,
    last_modified_date: String,
    last_activity_date: String,
    languages: String,
    level: String,
    segment: String,
}

const WIDE: [&str; 29] = [
    "Id",
    "Account.Name",
    "Owner.Name",
    "FirstName",
    "LastName",
    "Title",
    "Department",
    "MailingStreet",
    "MailingCity",
    "MailingState",
    "MailingPostalCode",
    "MailingCountry",
    "LeadSource",
    "Email",
    "Phone",
    "Fax",
    "NumberOfCalls",
    "Birthdate",
    "HasOptedOutOfEmail",
    "Description",
    "AssistantName",
    "AccountId",
    "OwnerId",
    "CreatedDate",
    "LastModifiedDate",
    "LastActivityDate",
    "Languages",
    "Level",
    "Segment",
];

fn wide_body(rows: usize) -> Bytes {
    let mut seed = 42u64;
    let mut word = |length: usize| {
        (0..length)
            .map(|_| {
                seed = seed
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                char::from(b'a' + (seed >> 33) as u8 % 26)
            })
            .collect::<String>()
    };
    let mut body = format!("\"{}\"\n", WIDE.join("\",\""));
    for i in 0..rows {
        for (n, name) in WIDE.iter().enumerate() {
            let value = match *name {
                "Id" => format!("003{i:012}AAA"),
                "Email" => format!("{}@{}.org", word(8), word(9)),
                "Phone" => format!("+336{i:08}"),
                "Fax" => format!("+331{i:08}"),
                "NumberOfCalls" => format!("{}.5", i % 97),
                "Birthdate" => String::new(),
                "HasOptedOutOfEmail" => "false".to_owned(),
                "Owner.Name" => format!("{} \u{e9}", word(12)),
                _ => word(4 + (i * 7 + n * 13) % 48),
            };
            body.push_str(&format!("{}\"{value}\"", if n > 0 { "," } else { "" }));
        }
        body.push('\n');
    }
    body.into()
}

fn wide_serde(body: &[u8]) -> usize {
    let mut reader = csv::Reader::from_reader(body);
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .from_writer(Vec::with_capacity(body.len()));
    for row in reader.deserialize() {
        let mut row: Wide = row.expect("a row");
        row.email = masked(&row.email);
        row.phone.clear();
        writer.serialize(row).expect("written");
    }
    writer.into_inner().expect("written").len()
}

fn wide_program() -> Arc<CsvProgram> {
    let treat = |treatment| Cell::Treat {
        treatment: keyless(treatment),
        counter: 0,
    };
    let columns = WIDE
        .iter()
        .map(|name| Column {
            name: (*name).into(),
            cells: vec![match *name {
                "Email" => treat(Treatment::MaskEmail),
                "Phone" => treat(Treatment::Redact),
                "Fax" => Cell::Drop,
                _ => Cell::Clear,
            }],
            required: true,
        })
        .collect();
    Arc::new(CsvProgram {
        columns,
        ..(*csv_program()).clone()
    })
}

fn xml_body(rows: usize) -> Bytes {
    let mut body = String::from(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><queryResult xmlns=\"http://www.force.com/2009/06/asyncapi/dataload\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">",
    );
    for i in 0..rows {
        body.push_str(&format!(
            "<records xsi:type=\"sObject\"><type>Contact</type><Id>003Ax00000{i:08}</Id><Name>Person {i}</Name>\
             <Email>person{i}@example.org</Email><Phone>+33 1 {i:08}</Phone><MailingCity>Lyon</MailingCity>\
             <Description>Called on Monday, wants &quot;news&quot; of {i}</Description>\
             <CreatedDate>2026-01-31T10:00:00.000Z</CreatedDate></records>\n"
        ));
    }
    body.push_str("</queryResult>");
    body.into()
}

fn xml_events(body: &[u8]) -> usize {
    let mut reader = quick_xml::Reader::from_reader(body);
    let mut writer = quick_xml::Writer::new(Vec::with_capacity(body.len()));
    let mut buffer = Vec::new();
    #[derive(PartialEq)]
    enum In {
        Other,
        Email,
        Phone,
        Description,
    }
    let mut inside = In::Other;
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).expect("good input") {
            Event::Eof => return writer.into_inner().len(),
            Event::Start(e) => {
                inside = match e.local_name().as_ref() {
                    "Email" => In::Email,
                    "Phone" => In::Phone,
                    "Description" => In::Description,
                    _ => In::Other,
                };
                match inside {
                    In::Phone => {
                        let mut nil = BytesStart::new("Phone");
                        nil.push_attribute(("xsi:nil", "true"));
                        writer.write_event(Event::Empty(nil)).expect("written");
                    }
                    In::Description => {}
                    _ => writer.write_event(Event::Start(e)).expect("written"),
                }
            }
            Event::Text(e) => match inside {
                In::Email => writer
                    .write_event(Event::Text(BytesText::new(&masked(&e))))
                    .expect("written"),
                In::Other => writer.write_event(Event::Text(e)).expect("written"),
                _ => {}
            },
            Event::End(e) => {
                if !matches!(inside, In::Phone | In::Description) {
                    writer.write_event(Event::End(e)).expect("written");
                }
                inside = In::Other;
            }
            Event::GeneralRef(_) if inside != In::Other => {}
            e => writer.write_event(e).expect("written"),
        }
    }
}

fn xml_program() -> Arc<XmlProgram> {
    let child = |name: &str, node| Child {
        name: name.into(),
        namespace: None,
        node: NodeId(node),
        unique: false,
    };
    let treat = |treatment| XmlNode::Treat {
        treatment: keyless(treatment),
        counter: 0,
    };
    let records = Children {
        named: vec![
            child("type", 0),
            child("Id", 0),
            child("Name", 0),
            child("Email", 1),
            child("Phone", 2),
            child("MailingCity", 0),
            child("Description", 3),
            child("CreatedDate", 0),
        ],
        row: true,
        ..Children::default()
    };
    let root = Children {
        named: vec![child("records", 4)],
        ..Children::default()
    };
    Arc::new(XmlProgram::new(
        &[
            XmlNode::Clear,
            treat(Treatment::MaskEmail),
            treat(Treatment::Redact),
            XmlNode::Drop,
            XmlNode::Element(records),
            XmlNode::Element(root),
        ],
        NodeId(5),
        vec![],
    ))
}

fn bench(c: &mut Criterion) {
    for rows in [10, 1_000, 20_000] {
        type Shape = (&'static str, Bytes, Arc<CsvProgram>, fn(&[u8]) -> usize);
        let shapes: [Shape; 2] = [
            ("8-columns", csv_body(rows), csv_program(), csv_serde),
            ("29-columns", wide_body(rows), wide_program(), wide_serde),
        ];
        for (shape, body, program, peer) in shapes {
            assert_eq!(
                rewrite(Rewriter::csv(program.clone(), Bounds::default()), &body),
                // An empty cell is not quoted here.
                peer(&body) - 2 * rows
            );
            let mut group = c.benchmark_group(format!("csv/{shape}/{}", body.len()));
            group.throughput(Throughput::Bytes(body.len() as u64));
            group.sample_size(10);
            group.bench_function("privet", |b| {
                b.iter_batched(
                    || Rewriter::csv(program.clone(), Bounds::default()),
                    |rewriter| rewrite(rewriter, &body),
                    BatchSize::SmallInput,
                );
            });
            group.bench_function("csv crate, serde records", |b| b.iter(|| peer(&body)));
            group.finish();
        }

        let body = xml_body(rows);
        let program = xml_program();
        assert_eq!(
            rewrite(Rewriter::xml(program.clone(), Bounds::default()), &body),
            xml_events(&body)
        );
        let mut group = c.benchmark_group(format!("xml/{}", body.len()));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.sample_size(10);
        group.bench_function("privet", |b| {
            b.iter_batched(
                || Rewriter::xml(program.clone(), Bounds::default()),
                |rewriter| rewrite(rewriter, &body),
                BatchSize::SmallInput,
            );
        });
        group.bench_function("quick-xml, every event", |b| b.iter(|| xml_events(&body)));
        group.finish();
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
