//! The smallest use of the engine: a program made by hand, a body in two pieces.
//!
//! `cargo run --example rewrite` prints `{"Id":"003","Email":"j****@example.org"}`.
#![allow(clippy::print_stdout, reason = "an example")]

use std::sync::Arc;

use bytes::Bytes;
use privet::engine::rewrite::{
    Abort, Bounds, Counter, Member, Members, Node, NodeId, Out, Program, Rewriter,
};
use privet::engine::treatment::{Prepared, Treatment};

fn main() -> Result<(), Abort> {
    let member = |key: &str, node| Member {
        key: key.into(),
        node: NodeId(node),
        unique: false,
    };
    let program = Program::new(
        vec![
            // An object: two members are named, all others are dropped.
            Node::Object(Members {
                named: vec![member("Id", 1), member("Email", 2)],
                other: None,
                row: true,
            }),
            Node::Clear,
            Node::Treat {
                treatment: Prepared::Keyless(Treatment::MaskEmail),
                counter: 0,
            },
        ],
        NodeId(0),
        vec![Counter {
            object: "Contact".into(),
            field: "Email".into(),
            treatment: Treatment::MaskEmail,
        }],
    );

    let mut rewriter = Rewriter::json(Arc::new(program), Bounds::default());
    let mut out = Out::default();
    for piece in [
        r#"{"Id":"003","Ema"#,
        r#"il":"jo@example.org","Phone":"+33612345678"}"#,
    ] {
        rewriter.push(Bytes::from_static(piece.as_bytes()), &mut out)?;
    }
    let counts = rewriter.finish(&mut out)?;

    println!("{}", String::from_utf8_lossy(&out.concat()));
    assert_eq!(
        (counts.rows, &counts.treated[..], counts.unplanned_members),
        (1, &[1][..], 1)
    );
    Ok(())
}
