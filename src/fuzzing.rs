//! Entry functions for the fuzz targets, one per parser. Not part of the library's face.

/// CSV and XML.
pub mod markup {
    use std::sync::Arc;

    use bytes::Bytes;

    use crate::engine::rewrite::csv::{
        Cell, Column, CsvProgram, CsvRewriter, Decide, Delimiter, LineEnding, Other,
    };
    use crate::engine::rewrite::xml::{Child, Children, XmlBy, XmlChoose, XmlNode, XmlProgram};
    use crate::engine::rewrite::{Abort, Bounds, NodeId, Out, Rewriter};
    use crate::engine::treatment::{Prepared, Treatment};

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

    /// CSV: any cut and both scanners give the same bytes or the same kind of abort.
    pub fn csv(data: &[u8]) {
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
    }

    /// XML: any cut gives the same bytes or an abort as well, and what was written is XML to this very reader.
    pub fn xml(data: &[u8]) {
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
        }
    }

    #[cfg(test)]
    mod tests {
        /// Inputs of pieces that mean something, from a fixed seed.
        fn replay(target: fn(&[u8]), pieces: &[&str], seed: &str) {
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
                replay(super::csv, &pieces, seed);
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
                replay(super::xml, &pieces, seed);
            }
        }
    }
}
