//! A row over the bound goes on cell by cell: passing cells stream, treated ones are captured up to their own bound.

use bytes::Bytes;

use super::super::runs::keep;
use super::Out;
use super::bind::Does;
use super::row::Writer;

#[derive(Debug)]
pub(super) struct Long {
    /// Which of the bound variants holds.
    variant: usize,
    /// The current column.
    column: usize,
    /// What happens to its cell; `None` = it passes.
    does: Option<Does>,
    captured: Vec<u8>,
    /// The captured cell is over its bound.
    over: bool,
    /// The next cell is the first.
    first: bool,
    /// The cell has no byte so far.
    empty: bool,
}

impl Long {
    pub(super) fn new(variant: usize) -> Self {
        Self {
            variant,
            column: 0,
            does: None,
            captured: Vec::new(),
            over: false,
            first: true,
            empty: true,
        }
    }

    pub(super) fn column(&self) -> usize {
        self.column
    }

    pub(super) fn begin_cell(&mut self, writer: &mut Writer, input: &Bytes, out: &mut Out) {
        self.column += usize::from(!self.first);
        self.first = false;
        self.captured.clear();
        self.over = false;
        self.empty = true;
        let Some(bound) = &writer.bound else {
            return;
        };
        let active = &bound.variants[self.variant];
        self.does = active
            .binary_search_by_key(&self.column, |a| a.column)
            .ok()
            .map(|at| active[at].does.clone());
        if self.column > bound.first_kept && !matches!(self.does, Some(Does::Remove { .. })) {
            let delimiter = [writer.delimiter];
            writer.runs.text(input, &delimiter, out);
        }
    }

    /// `input[from..to]` is of the current cell.
    pub(super) fn content(
        &mut self,
        writer: &mut Writer,
        input: &Bytes,
        from: usize,
        to: usize,
        out: &mut Out,
    ) {
        if to <= from {
            return;
        }
        self.empty = false;
        match &self.does {
            None | Some(Does::Watch) => writer.runs.pass(input, from, to, out),
            Some(Does::Remove { .. } | Does::Empty) => {}
            Some(Does::Treat { .. }) => {
                if self.captured.len() + (to - from) > writer.bounds.treated_bytes_max {
                    self.over = true;
                    self.captured.clear();
                }
                if !self.over {
                    let most = writer.bounds.treated_bytes_max;
                    keep(&mut self.captured, &input[from..to], most);
                }
            }
        }
    }

    pub(super) fn end_cell(&mut self, writer: &mut Writer, input: &Bytes, out: &mut Out) {
        let Some(does) = &self.does else {
            return;
        };
        let quote_empty = writer.bound.as_ref().is_some_and(|b| b.quote_empty);
        let replaced = match does {
            Does::Remove { .. } => return,
            Does::Watch => {
                if !self.empty {
                    return;
                }
                writer.cell(does, b"", quote_empty)
            }
            // Nothing of a value over the bound is known: as if it could not be treated.
            Does::Treat { treatment, counter } if self.over => {
                writer.counts.untreatable(treatment, *counter);
                if let Some(count) = writer.counts.treated.get_mut(*counter as usize) {
                    *count += 1;
                }
                writer.cell(&Does::Empty, b"", quote_empty)
            }
            does => writer.cell(does, &self.captured, quote_empty),
        };
        let written = std::mem::take(&mut writer.written);
        let text = if replaced { &written } else { &self.captured };
        if !text.is_empty() {
            writer.runs.text(input, text, out);
        }
        writer.written = written;
    }
}
