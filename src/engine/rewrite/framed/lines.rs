//! NDJSON.

use bytes::{Buf, Bytes};

use super::super::{Abort, Out};
use super::{Documents, write};

/// Between or inside lines, as [`Documents`] knows.
#[derive(Debug)]
pub(super) struct Lines;

impl Lines {
    pub(super) fn push(
        &mut self,
        mut chunk: Bytes,
        documents: &mut Documents,
        out: &mut Out,
    ) -> Result<(), Abort> {
        while !chunk.is_empty() {
            let end = memchr::memchr(b'\n', &chunk);
            let mut piece = chunk.split_to(end.unwrap_or(chunk.len()));
            if !documents.is_open {
                // White space before a document goes, or a blank line would differ by its cuts.
                let space = piece
                    .iter()
                    .position(|b| !matches!(b, b' ' | b'\t' | b'\r'));
                let space = space.unwrap_or(piece.len());
                documents.skip(space);
                piece.advance(space);
            }
            if !piece.is_empty() {
                if !documents.is_open {
                    documents.begin();
                }
                documents.push(piece)?;
                write(documents.ready(), out);
            }
            if end.is_some() {
                let newline = chunk.split_to(1);
                if documents.is_open {
                    write(documents.end()?, out);
                    out.push(newline);
                }
                documents.skip(1);
            }
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, documents: &mut Documents, out: &mut Out) -> Result<(), Abort> {
        if documents.is_open {
            write(documents.end()?, out);
        }
        Ok(())
    }
}
