use std::sync::Arc;

use bytes::Bytes;

use super::super::{Abort, Bounds, Counts, Out};
use super::*;
use crate::engine::treatment::Treatment;

fn treat(word: &str) -> Cell {
    Cell::Treat {
        treatment: Prepared::Keyless(Treatment::parse(word).expect("a word")),
        counter: 0,
    }
}

fn column(name: &str, cells: Vec<Cell>) -> Column {
    Column {
        name: name.into(),
        cells,
        required: false,
    }
}

fn program(columns: Vec<Column>) -> CsvProgram {
    CsvProgram {
        delimiter: Delimiter::Comma,
        line_ending: LineEnding::AsHeader,
        columns,
        other: Other::Drop,
        decide: Decide::Index(0),
        overflow: 0,
        no_records: false,
        counters: vec![Counter {
            object: "Contact".into(),
            field: "Email".into(),
            treatment: Treatment::MaskAll,
        }],
    }
}

fn simple() -> CsvProgram {
    program(vec![
        column("Id", vec![Cell::Clear]),
        column("Email", vec![treat("mask:email")]),
        column("Phone", vec![treat("redact")]),
        column("Notes", vec![Cell::Drop]),
        column("Age", vec![treat("generalise:range10")]),
    ])
}

fn run(
    program: &CsvProgram,
    bounds: Bounds,
    body: &[u8],
    cuts: &[usize],
    plain: bool,
) -> Result<(String, Counts), Abort> {
    let mut rewriter = CsvRewriter::new(Arc::new(program.clone()), bounds);
    if plain {
        rewriter = rewriter.plain();
    }
    let mut out = Out::default();
    let mut from = 0;
    for cut in cuts.iter().copied().chain([body.len()]) {
        rewriter.push(Bytes::copy_from_slice(&body[from..cut]), &mut out)?;
        from = cut;
    }
    let counts = rewriter.finish(&mut out)?;
    let text = String::from_utf8(out.concat()).expect("UTF-8");
    assert_eq!(counts.bytes_out, text.len() as u64);
    assert_eq!(counts.bytes_in, body.len() as u64);
    Ok((text, counts))
}

/// The output, the same for every two-way cut, byte by byte, and without the block scanner.
fn all(program: &CsvProgram, bounds: Bounds, body: &str) -> Result<(String, Counts), Abort> {
    let body = body.as_bytes();
    let whole = run(program, bounds, body, &[], false);
    let comparable = |r: &Result<(String, Counts), Abort>| {
        r.clone().map_err(|abort| std::mem::discriminant(&abort))
    };
    let mut cuts: Vec<Vec<usize>> = (0..=body.len()).map(|cut| vec![cut]).collect();
    cuts.push((1..body.len()).collect());
    cuts.push(vec![]);
    for cuts in cuts {
        for plain in [false, true] {
            let cut = run(program, bounds, body, &cuts, plain);
            assert_eq!(comparable(&cut), comparable(&whole), "{cuts:?} {plain}");
        }
    }
    whole
}

fn text(program: &CsvProgram, body: &str) -> String {
    all(program, Bounds::default(), body).expect(body).0
}

#[test]
fn treats_drops_and_keeps_the_rest() {
    let body = "Id,Email,Notes,Phone,X,Age\r\n\
        \"1\",jo@example.org,\"a, \"\"b\"\"\r\nc\",\"+33\",u,57\r\n\
        2,\"jo@example.org\",,,\"\",\"5\"\"\"\r\n3,,x,1,,";
    let (out, counts) = all(&simple(), Bounds::default(), body).expect("plain");
    assert_eq!(
        out,
        "Id,Email,Phone,Age\r\n\"1\",j****@example.org,,50\r\n2,\"j****@example.org\",,\r\n3,,,"
    );
    assert_eq!((counts.rows, counts.unplanned_members), (3, 1));
    assert_eq!(counts.treated, [9]);
    assert_eq!(text(&simple(), "Notes,Id\n1,2\n"), "Id\n2\n");
    assert_eq!(text(&simple(), "\u{feff}id\n1\n\n2\n"), "id\n1\n\n2\n");
}

#[test]
fn an_empty_last_column_is_no_blank_line() {
    assert_eq!(text(&simple(), "Notes,Id\n1,\n"), "Id\n\"\"\n");
    assert_eq!(text(&simple(), "Phone\n1\n"), "Phone\n\"\"\n");
}

#[test]
fn other_dialects() {
    for (delimiter, byte) in [
        (Delimiter::Tab, "\t"),
        (Delimiter::Pipe, "|"),
        (Delimiter::Semicolon, ";"),
        (Delimiter::Caret, "^"),
        (Delimiter::Backquote, "`"),
    ] {
        let program = CsvProgram {
            delimiter,
            ..simple()
        };
        let body = "Id,Email\na,jo@example.org\n".replace(',', byte);
        assert_eq!(
            text(&program, &body),
            "Id,Email\na,j****@example.org\n".replace(',', byte)
        );
    }
    let treated = program(vec![column("Code", vec![treat("mask:first4")])]);
    assert_eq!(
        text(&treated, "Code\n\"a,\"\"b567890\"\n"),
        "Code\n\"a,\"\"b****\"\n"
    );
    let bare = CsvProgram {
        delimiter: Delimiter::Pipe,
        ..treated
    };
    assert_eq!(text(&bare, "Code\na,b4567890\n"), "Code\n\"a,b4****\"\n");
}

#[test]
fn headers_bind_narrowly_to_pass_and_widely_to_protect() {
    let body = "\u{ff29}\u{ff24}, EMAIL ,pHone\n1,jo@example.org,2\n";
    assert_eq!(text(&simple(), body), " EMAIL ,pHone\nj****@example.org,\n");
    for (body, abort) in [
        ("Email,email\n", Abort::DuplicateDecider { at: 11 }),
        ("Id,Em\u{200b}ail\n", Abort::ForbiddenKey { at: 14 }),
        ("x,y\n", Abort::Contradiction { at: 3 }),
        ("", Abort::Truncated { at: 0 }),
    ] {
        let result = all(&simple(), Bounds::default(), body);
        assert_eq!(
            result.map_err(|a| std::mem::discriminant(&a)),
            Err(std::mem::discriminant(&abort)),
            "{body:?}"
        );
    }
    let strict = CsvProgram {
        other: Other::Abort,
        ..simple()
    };
    assert!(all(&strict, Bounds::default(), "Id,X\n").is_err());
    let mut required = simple();
    required.columns[1].required = true;
    assert!(all(&required, Bounds::default(), "Id,Phone\n").is_err());
}

#[test]
fn what_readers_disagree_about_aborts() {
    for body in [
        "Id,Phone\n1\n",
        "Id,Phone\n1,2,3\n",
        "Id,Phone\n1,\"2\n",
        "Id,Phone\n1,\"2\"x\n",
        "Id,Phone\n1,\"2\" \n",
        "Id,Phone\n1,a\"b\n",
        "Id,Phone\n1,a\"b,c\"\n",
        "Id,Phone\n1\r,2\n",
        "Id,Phone\n1,2\r\n",
        "Id,Phone\r\n1,2\n",
        "Id,Phone\n\n1,2\n",
        "Id,Phone\n1,\0\n",
        "Id,\n1,2\n",
        "\nId\n1\n",
        "Id\r",
        "Id\n1\r",
    ] {
        assert!(all(&simple(), Bounds::default(), body).is_err(), "{body:?}");
    }
    // Even quotes with no separator between them are one cell to every reader.
    let body = "Id,Phone\n=HYPERLINK(\"x\"),2\na\"\"b,\n";
    assert_eq!(
        text(&simple(), body),
        "Id,Phone\n=HYPERLINK(\"x\"),\na\"\"b,\n"
    );
}

#[test]
fn the_line_of_an_empty_result_passes_where_it_may() {
    let allowed = CsvProgram {
        no_records: true,
        ..simple()
    };
    for body in [NO_RECORDS.to_owned(), format!("{NO_RECORDS}\n")] {
        assert_eq!(text(&allowed, &body), body);
        assert!(all(&simple(), Bounds::default(), &body).is_err());
    }
    assert!(all(&allowed, Bounds::default(), &format!("{NO_RECORDS}\nx\n")).is_err());
}

/// Variant 0 when granted, 1 (masked, notes dropped) otherwise, 2 when over the bound.
fn by_consent() -> CsvProgram {
    CsvProgram {
        decide: Decide::By {
            column: "OptOut".into(),
            cases: vec![(ConditionValue::Bool(false), Decide::Index(0))],
            otherwise: Box::new(Decide::Index(1)),
        },
        overflow: 2,
        ..program(vec![
            column(
                "Email",
                vec![Cell::Clear, treat("mask:all"), treat("redact")],
            ),
            column("Notes", vec![Cell::Clear, Cell::Drop]),
            column("OptOut", vec![Cell::Drop]),
            column("Id", vec![Cell::Clear]),
        ])
    }
}

#[test]
fn a_flag_behind_the_value_decides_and_long_rows_take_the_strictest() {
    let body = "Id,Email,Notes,OptOut\n1,a,n,false\n2,b,m,\"true\"\n3,c,o,\n4,d,p,False\n";
    assert_eq!(
        text(&by_consent(), body),
        "Id,Email,Notes\n1,a,n\n2,****,\n3,****,\n4,****,\n"
    );
    // Without the flag, or with one that only some readers take for it, nothing is granted.
    assert_eq!(text(&by_consent(), "Id,Email\n1,a\n"), "Id,Email\n1,****\n");
    let wide = "Id,Email, OptOut\n1,a,false\n";
    assert_eq!(text(&by_consent(), wide), "Id,Email\n1,****\n");
    let bounds = Bounds {
        held_bytes_max: 16,
        ..Bounds::default()
    };
    let body = "Id,Email,Notes,OptOut\n1,a,n,false\n2,b,\"0123456789\",false\n3,abcdef,n,false\n4,a,n,false";
    let (out, counts) = all(&by_consent(), bounds, body).expect("plain");
    assert_eq!(out, "Id,Email,Notes\n1,a,n\n2,,\n3,abcdef,n\n4,a,n");
    assert_eq!((counts.held_over, counts.rows), (1, 4));
}

#[test]
fn long_rows_give_what_short_ones_give() {
    let body = "Notes,Id,Email,Phone,Age,X\n\
        \"a\"\"b\",\"12,\"\"3\",jo@example.org,\"+33 1\",57,u\nn,=\"x\",\"jo@example.org\",,-1,\"\"\n,,,,,\n";
    let tight = Bounds {
        held_bytes_max: 4,
        ..Bounds::default()
    };
    let (long, counts) = all(&simple(), tight, body).expect("plain");
    assert_eq!(long, text(&simple(), body));
    assert_eq!(counts.held_over, 0);
    assert!(all(&simple(), tight, "Id,Email\n1,\"jo@example.org\"x\n").is_err());
    assert!(all(&simple(), tight, "Id,Email\n1,jo@example.org,\n").is_err());
    // A treated value over its bound is empty, however it comes.
    for held_bytes_max in [4, 1024] {
        let bounds = Bounds {
            held_bytes_max,
            treated_bytes_max: 6,
            ..Bounds::default()
        };
        let body = "Id,Email,Age\n1,jo@example.org,15\n2,a,1234567\n";
        let (out, _) = all(&simple(), bounds, body).expect("plain");
        assert_eq!(out, "Id,Email,Age\n1,,10\n2,****,\n");
    }
}

#[test]
fn scanned_windows_end_anywhere() {
    let mut body = String::from("Id,Email,Phone\n");
    let mut wanted = body.clone();
    for i in 0..3000 {
        let id = "x".repeat(i % 97);
        body.push_str(&format!("\"{id}\",jo@example.org,{i}\n"));
        wanted.push_str(&format!("\"{id}\",j****@example.org,\n"));
    }
    for cuts in [vec![], vec![20_000], vec![16_384, 16_385, 40_000]] {
        let (out, _) =
            run(&simple(), Bounds::default(), body.as_bytes(), &cuts, false).expect("plain");
        assert!(out == wanted);
    }
}
