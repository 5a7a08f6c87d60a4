//! CSV and XML.

use std::sync::Arc;

use bytes::Bytes;

use crate::engine::key::canonical;
use crate::engine::rewrite::csv::{
    Cell, Column, CsvProgram, CsvRewriter, Decide, Delimiter, LineEnding, NO_RECORDS, Other,
};
use crate::engine::rewrite::xml::{Child, Children, XmlBy, XmlChoose, XmlNode, XmlProgram};
use crate::engine::rewrite::{Abort, Bounds, NodeId, Out, Rewriter};
use crate::engine::treatment::{Prepared, Scalar, Treated, Treatment};

/// The output of a body that comes in two pieces.
fn rewritten(mut rewriter: Rewriter, body: &[u8], cut: usize) -> Result<Vec<u8>, Abort> {
    let mut out = Out::default();
    for part in [&body[..cut], &body[cut..]] {
        rewriter.push(Bytes::copy_from_slice(part), &mut out)?;
    }
    rewriter.finish(&mut out)?;
    Ok(out.concat())
}

/// Small, so that a short input reaches every bound.
const TIGHT: Bounds = Bounds {
    held_bytes_max: 48,
    depth_max: 8,
    key_bytes_max: 64,
    number_bytes_max: 16,
    treated_bytes_max: 24,
};

/// The first two bytes of an input: where its rest is cut, and a choice.
fn parts(data: &[u8]) -> Option<(usize, u8, &[u8])> {
    let [cut, choice, body @ ..] = data else {
        return None;
    };
    Some((usize::from(*cut).min(body.len()), *choice, body))
}

fn redact() -> Prepared {
    Prepared::Keyless(Treatment::Redact)
}

/// Reads CSV with this delimiter as a common reader does: rows of decoded cells. `None` = it refuses.
pub type ReadCsv = dyn Fn(&[u8], u8) -> Option<Vec<Vec<String>>>;

/// What a common reader sees of XML, in order. Comments, instructions and white space are left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// An element opens: its qualified name, and its attributes as they are written.
    Open(String, Vec<(String, String)>),
    /// Text, references in it as they are written.
    Text(String),
    /// The innermost element closes.
    Close,
}

/// Reads XML. `None` = it refuses.
pub type ReadXml = dyn Fn(&[u8]) -> Option<Vec<Seen>>;

/// What is left of a document, row by row in the plainest way.
fn csv_expected(rows: &[Vec<String>], hidden: bool, treated_max: usize) -> Vec<Vec<String>> {
    let Some(header) = rows.first() else {
        return vec![];
    };
    // `b` is protected however it is spelt; the others pass only under their own names.
    let kept: Vec<(usize, char)> = header
        .iter()
        .enumerate()
        .filter_map(|(i, name)| match name {
            _ if *canonical(name) == *"b" => Some((i, 'b')),
            name if name.eq_ignore_ascii_case("a") => Some((i, 'a')),
            name if name.eq_ignore_ascii_case("c") => Some((i, 'c')),
            _ => None,
        })
        .collect();
    let cell = |text: &String, name: char| match name {
        'a' if hidden => String::new(),
        'b' if hidden || text.len() > treated_max => String::new(),
        'b' => {
            let mut buffer = String::new();
            let treatment = Prepared::Keyless(Treatment::MaskEmail);
            match treatment.apply(Scalar::Text(text), &mut buffer) {
                Treated::Text(masked) => masked.to_owned(),
                _ => String::new(),
            }
        }
        _ => text.clone(),
    };
    let names = kept.iter().map(|(i, _)| header[*i].clone()).collect();
    let cells = |row: &Vec<String>| kept.iter().map(|(i, name)| cell(&row[*i], *name)).collect();
    std::iter::once(names)
        .chain(rows[1..].iter().map(cells))
        .collect()
}

/// What is left of a document whose root is walked.
fn xml_expected(seen: &[Seen]) -> Vec<Seen> {
    /// What holds inside an open element.
    #[derive(Clone, Copy, PartialEq)]
    enum In {
        Walked,
        Clear,
        Redacted,
    }
    let local = |name: &str| {
        let name = name.rsplit(':').next().unwrap_or(name);
        name.to_ascii_lowercase()
    };
    // Whether the element that opens at `at` has a child element `t`.
    let decided = |at: usize| {
        let mut depth = 0usize;
        for event in &seen[at + 1..] {
            match event {
                Seen::Open(name, _) => {
                    if depth == 0 && local(name) == "t" {
                        return true;
                    }
                    depth += 1;
                }
                Seen::Close if depth == 0 => return false,
                Seen::Close => depth -= 1,
                Seen::Text(_) => {}
            }
        }
        false
    };
    let mut left = vec![];
    let mut open: Vec<In> = vec![];
    for (at, event) in seen.iter().enumerate() {
        let around = open.last().copied();
        match event {
            Seen::Open(name, attributes) => {
                let inside = match around {
                    None => In::Walked,
                    Some(In::Walked) => match &*local(name) {
                        "a" => In::Clear,
                        "b" => In::Redacted,
                        "c" if !decided(at) => In::Clear,
                        _ => In::Walked,
                    },
                    Some(same) => same,
                };
                open.push(inside);
                if around == Some(In::Redacted) {
                    continue;
                }
                let attributes = match inside {
                    In::Clear => attributes.clone(),
                    In::Redacted => vec![],
                    In::Walked => attributes
                        .iter()
                        .filter_map(|(name, value)| match &*local(name) {
                            _ if name == "xmlns" || name.starts_with("xmlns:") => {
                                Some((name.clone(), value.clone()))
                            }
                            "a" => Some((name.clone(), value.clone())),
                            "b" => Some((name.clone(), String::new())),
                            _ => None,
                        })
                        .collect(),
                };
                left.push(Seen::Open(name.clone(), attributes));
            }
            Seen::Text(text) if around == Some(In::Clear) => {
                left.push(Seen::Text(text.clone()));
            }
            Seen::Text(_) => {}
            Seen::Close => {
                let inside = open.pop();
                if inside != Some(In::Redacted) || open.last() != Some(&In::Redacted) {
                    left.push(Seen::Close);
                }
            }
        }
    }
    left
}

/// What was written for a redacted element says so with attributes of its own: they are not compared.
fn without_nil(seen: Vec<Seen>) -> Vec<Seen> {
    seen.into_iter()
        .map(|event| match event {
            Seen::Open(name, attributes) => {
                let own = attributes.iter().any(|(name, _)| name.ends_with(":nil"));
                Seen::Open(name, if own { vec![] } else { attributes })
            }
            event => event,
        })
        .collect()
}

/// CSV: any cut and both scanners give the same bytes or the same kind of abort, and a common reader sees the
/// cells that the program lets pass, and no others.
///
/// # Panics
/// If one of these does not hold.
pub fn csv(data: &[u8], read: &ReadCsv) {
    let Some((cut, choice, body)) = parts(data) else {
        return;
    };
    let treat = |treatment| Cell::Treat {
        treatment,
        counter: 0,
    };
    let column = |name: &str, cells| Column {
        name: name.into(),
        cells,
        required: false,
    };
    let program = Arc::new(CsvProgram {
        delimiter: if choice & 1 == 0 {
            Delimiter::Comma
        } else {
            Delimiter::Semicolon
        },
        line_ending: LineEnding::AsHeader,
        columns: vec![
            column("a", vec![Cell::Clear, Cell::Drop]),
            column(
                "b",
                vec![
                    treat(Prepared::Keyless(Treatment::MaskEmail)),
                    treat(redact()),
                ],
            ),
            column("c", vec![Cell::Clear]),
            column("d", vec![Cell::Drop]),
        ],
        other: Other::Drop,
        decide: if choice & 2 == 0 {
            Decide::Index(0)
        } else {
            Decide::By {
                column: "c".into(),
                cases: vec![],
                otherwise: Box::new(Decide::Index(1)),
            }
        },
        overflow: 1,
        no_records: choice & 4 == 0,
        counters: vec![],
    });
    let bounds = if choice & 8 == 0 {
        TIGHT
    } else {
        Bounds::default()
    };
    let rewriter = || CsvRewriter::new(program.clone(), bounds);
    let wrap = |rewriter| Rewriter::Csv(Box::new(rewriter));
    let whole = rewritten(wrap(rewriter()), body, 0);
    for other in [
        rewritten(wrap(rewriter()), body, cut),
        rewritten(wrap(rewriter().plain()), body, cut),
    ] {
        assert_eq!(whole.is_ok(), other.is_ok());
        assert!(whole.is_err() || whole == other);
    }
    let delimiter = if choice & 1 == 0 { b',' } else { b';' };
    if let Ok(output) = whole
        && !body.starts_with(NO_RECORDS.as_bytes())
    {
        let rows = read(body, delimiter).expect("what passes is CSV to every reader");
        // Of one column, readers take an empty row for a blank line.
        if rows.first().is_some_and(|header| header.len() > 1) {
            let max = bounds.treated_bytes_max;
            // How long the cell was as written is not known any more.
            if choice & 8 != 0 || rows.iter().flatten().all(|cell| cell.len() * 2 + 2 <= max) {
                let expected = csv_expected(&rows, choice & 2 != 0, max);
                let left = read(&output, delimiter).expect("what is written is CSV");
                if expected[0].is_empty() {
                    assert!(left.is_empty());
                } else {
                    assert_eq!(left, expected);
                }
            }
        }
    }
}

/// XML: any cut gives the same bytes or an abort as well, what was written is XML to this very reader, and a
/// common one sees the elements, attributes and texts that the program lets pass, and no others.
///
/// # Panics
/// If one of these does not hold.
pub fn xml(data: &[u8], read: &ReadXml) {
    let Some((cut, choice, body)) = parts(data) else {
        return;
    };
    let child = |name: &str, node| Child {
        name: name.into(),
        namespace: None,
        node: NodeId(node),
        unique: false,
    };
    let children = Children {
        named: vec![child("a", 0), child("b", 1), child("c", 3)],
        other: Some(NodeId(2)),
        attributes: vec![child("a", 0), child("b", 1)],
        row: true,
    };
    let nodes = [
        XmlNode::Clear,
        XmlNode::Treat {
            treatment: redact(),
            counter: 0,
        },
        XmlNode::Element(children),
        XmlNode::Choose(XmlChoose {
            by: XmlBy::Child("t".into()),
            cases: vec![],
            otherwise: NodeId(2),
            absent: NodeId(0),
            overflow: NodeId(1),
        }),
    ];
    let program = Arc::new(XmlProgram::new(&nodes, NodeId(2), vec![]));
    let clear = Arc::new(XmlProgram::new(&nodes, NodeId(0), vec![]));
    let bounds = if choice & 1 == 0 {
        TIGHT
    } else {
        Bounds::default()
    };
    let whole = rewritten(Rewriter::xml(program.clone(), bounds), body, 0);
    let other = rewritten(Rewriter::xml(program, bounds), body, cut);
    assert_eq!(whole.is_ok(), other.is_ok());
    assert!(whole.is_err() || whole == other);
    if let Ok(output) = whole {
        let wide = Bounds {
            key_bytes_max: 1 << 20,
            ..Bounds::default()
        };
        assert!(rewritten(Rewriter::xml(clear, wide), &output, 0).is_ok());
        // Under the tight bounds a record may be held over.
        if choice & 1 != 0 {
            let before = read(body).expect("what passes is XML to every reader");
            let after = read(&output).expect("what is written is XML");
            assert_eq!(without_nil(after), without_nil(xml_expected(&before)));
        }
    }
}

#[cfg(test)]
#[path = "../../fuzz/readers.rs"]
mod readers;

#[cfg(test)]
mod tests {
    use super::readers::{read_csv, read_xml};

    /// Inputs of pieces that mean something, from a fixed seed.
    fn replay(target: impl Fn(&[u8]), pieces: &[&str], seed: &str) {
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let mut next = move || {
            state = state
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            (state >> 33) as usize
        };
        for _ in 0..20_000 {
            let mut data = vec![(next() % 120) as u8, next() as u8];
            data.extend_from_slice(seed.as_bytes());
            for _ in 0..next() % 24 {
                data.extend_from_slice(pieces[next() % pieces.len()].as_bytes());
            }
            target(&data);
        }
    }

    #[test]
    fn csv() {
        let pieces = [
            ",",
            ";",
            "\"",
            "\"\"",
            "\n",
            "\r\n",
            "\r",
            "a",
            "b@c.example",
            "\"x,\n\"",
            "é",
            "\0",
            "1,2,3\n",
            "\"1\",\"\"\"\",3\n",
        ];
        for seed in ["a,b,c\n", "d,b\r\n", "b;c;x\n", ""] {
            replay(|data| super::csv(data, &read_csv), &pieces, seed);
        }
    }

    #[test]
    fn xml() {
        let pieces = [
            "<a>",
            "</a>",
            "<b>",
            "</b>",
            "<c>",
            "</c>",
            "<t/>",
            "<t>x</t>",
            "<a b='1'/>",
            "<x:a/>",
            " xmlns:x='u'",
            "x",
            "&amp;",
            "&#",
            ";",
            "]]>",
            "<![CDATA[",
            "<!--",
            "-->",
            "<?p",
            "?>",
            "'",
            "\"",
            "é",
            "\n",
            "</r>",
            "<b>s</b>",
            "<c><b>s</b><t/></c>",
        ];
        for seed in ["<r>", "<r xmlns:x='u'><c>", "<?xml version='1.0'?><r", ""] {
            replay(|data| super::xml(data, &read_xml), &pieces, seed);
        }
    }
}
