//! CSV: RFC 4180 in the dialects that [`Delimiter`] and [`LineEnding`] name, strict.
//!
//! Columns are bound by the names of the header row, anew for each document. Rows that lie in one input and are
//! plain are found in blocks of 64 bytes (`scan`) and only their treated cells are looked at; every other row
//! goes through the byte-wise `lex`, which alone decides what is malformed. A row that a cut has parted is held
//! until it is complete; one that is longer than the bound goes on cell by cell (`long`).
//!
//! Stricter than common readers, so that all of them see the same cells: rows of another width than the header,
//! text after a closing quote, an unquoted cell whose quotes are odd or hide a separator, a bare CR, mixed line
//! ends, NUL and duplicate headers abort. Cells that pass keep their bytes; what a spreadsheet may take for a
//! formula is not changed.

mod bind;
mod lex;
mod long;
mod row;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use super::fault::Fault;
use super::utf8::{ByteOrderMark, Utf8};
use super::{Abort, Bounds, Counter, Counts, Out};
use crate::engine::catalog::ConditionValue;
use crate::engine::treatment::Prepared;
use lex::{Lex, Token};
use long::Long;
use row::{Row, Writer};
use scan::Scan;

/// What Bulk API 1.0 answers in place of a header when a query has no rows.
pub const NO_RECORDS: &str = "Records not found for this query";

/// The counter of cells that are no field's.
pub const UNCOUNTED: u32 = u32::MAX;

/// What happens to each column of a document. Immutable and shared.
#[derive(Debug, Clone)]
pub struct CsvProgram {
    /// Between cells.
    pub delimiter: Delimiter,
    /// Behind rows.
    pub line_ending: LineEnding,
    /// The columns that are known, in any order.
    pub columns: Vec<Column>,
    /// All other columns.
    pub other: Other,
    /// Which of [`Column::cells`] holds for a row.
    pub decide: Decide,
    /// The index that holds for a row that is longer than [`Bounds::held_bytes_max`], if `decide` looks at the row.
    pub overflow: usize,
    /// The line [`NO_RECORDS`] may stand in place of the header and all rows.
    pub no_records: bool,
    /// Names of the fields whose treatments are counted: [`Cell::Treat::counter`] indexes it.
    pub counters: Vec<Counter>,
}

/// One known column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its header, such as `Account.Name`. Compared as `engine::key` says: exact or ASCII case-insensitive = its
    /// cells; equal only after folding = its cells, of which those that would pass are dropped.
    pub name: Arc<str>,
    /// What happens to its cells, by the index that [`CsvProgram::decide`] gives; beyond the last = as the last;
    /// none = dropped.
    pub cells: Vec<Cell>,
    /// A document without it is refused.
    pub required: bool,
}

/// What happens to one cell.
#[derive(Debug, Clone)]
pub enum Cell {
    /// Passes as it came.
    Clear,
    /// The column is removed; if it is not dropped in every row, an empty cell.
    Drop,
    /// The value treated. An empty cell is null.
    Treat {
        /// How.
        treatment: Prepared,
        /// Index into [`CsvProgram::counters`], or [`UNCOUNTED`].
        counter: u32,
    },
}

/// What happens to a column that no [`Column`] names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Other {
    /// Removed and counted.
    Drop,
    /// The document is refused.
    Abort,
}

/// A decision per row.
#[derive(Debug, Clone)]
pub enum Decide {
    /// The same for all rows that come here: an index into [`Column::cells`].
    Index(usize),
    /// By the cell of a column. A column that is absent, or found by folding only, is `otherwise`.
    By {
        /// Its header.
        column: Arc<str>,
        /// Text of the cell → what holds.
        cases: Vec<(ConditionValue, Decide)>,
        /// The cell is empty or has another value.
        otherwise: Box<Decide>,
    },
}

/// What stands between cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delimiter {
    /// `,`
    #[default]
    Comma,
    /// U+0009
    Tab,
    /// `|`
    Pipe,
    /// `;`
    Semicolon,
    /// `^`
    Caret,
    /// U+0060
    Backquote,
}

impl Delimiter {
    /// The word of a Bulk API 2.0 job (`columnDelimiter`).
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "COMMA" => Self::Comma,
            "TAB" => Self::Tab,
            "PIPE" => Self::Pipe,
            "SEMICOLON" => Self::Semicolon,
            "CARET" => Self::Caret,
            "BACKQUOTE" => Self::Backquote,
            _ => return None,
        })
    }

    /// The character itself.
    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Tab => b'\t',
            Self::Pipe => b'|',
            Self::Semicolon => b';',
            Self::Caret => b'^',
            Self::Backquote => b'`',
        }
    }
}

/// What stands behind rows. The last row may go without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LineEnding {
    /// LF or CRLF, whichever stands behind the header, for the whole document.
    #[default]
    AsHeader,
    /// LF
    Lf,
    /// CR LF
    CrLf,
}

impl LineEnding {
    /// The word of a Bulk API 2.0 job (`lineEnding`).
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "LF" => Some(Self::Lf),
            "CRLF" => Some(Self::CrLf),
            _ => None,
        }
    }
}

/// Rewrites one CSV document.
#[derive(Debug)]
pub struct CsvRewriter {
    program: Arc<CsvProgram>,
    bounds: Bounds,
    bom: ByteOrderMark,
    utf8: Utf8,
    lex: Lex,
    scan: Scan,
    /// A row has begun.
    in_row: bool,
    /// Where it, or its part of the current input, starts in the current input.
    row_at: usize,
    /// Its part from earlier inputs.
    carried: BytesMut,
    /// Where its complete cells but the last one end, from the row's start.
    ends: Vec<u32>,
    /// Where its last cell ends, once that is known.
    last_end: Option<usize>,
    /// It is over the bound and goes on cell by cell.
    long: Option<Long>,
    writer: Writer,
    /// The document was [`NO_RECORDS`].
    over: bool,
    /// The block scanner is not used, so that it can be compared with.
    plain: bool,
    bytes_in: u64,
    failed: Option<Abort>,
}

impl CsvRewriter {
    /// A rewriter at the start of a document.
    pub fn new(program: Arc<CsvProgram>, bounds: Bounds) -> Self {
        Self {
            lex: Lex::new(program.delimiter.byte(), program.line_ending),
            writer: Writer::new(&program, bounds),
            program,
            bounds,
            bom: ByteOrderMark::default(),
            utf8: Utf8::default(),
            scan: Scan::default(),
            in_row: false,
            row_at: 0,
            carried: BytesMut::new(),
            ends: Vec::new(),
            last_end: None,
            long: None,
            over: false,
            plain: false,
            bytes_in: 0,
            failed: None,
        }
    }

    /// The same without the block scanner: slower, and the measure of it in tests.
    #[doc(hidden)]
    #[must_use]
    pub fn plain(mut self) -> Self {
        self.plain = true;
        self
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// As [`super::Rewriter::push`].
    #[allow(
        clippy::needless_pass_by_value,
        reason = "the face that all rewriters share"
    )]
    pub fn push(&mut self, chunk: Bytes, out: &mut Out) -> Result<(), Abort> {
        if let Some(abort) = &self.failed {
            return Err(abort.clone());
        }
        let base = self.bytes_in;
        self.bytes_in += chunk.len() as u64;
        let result = self.feed(&chunk, out);
        // Also after a fault: no offset into this input may stay behind.
        if let Err((fault, at)) = result {
            return Err(self.fail(fault.at(base + at as u64)));
        }
        match self.writer.counts.refused {
            None => Ok(()),
            Some(counter) => {
                let at = self.bytes_in;
                Err(self.fail(Abort::Refused { counter, at }))
            }
        }
    }

    /// The body is complete.
    ///
    /// # Errors
    /// As [`super::Rewriter::finish`].
    pub fn finish(&mut self, out: &mut Out) -> Result<Counts, Abort> {
        if let Some(abort) = &self.failed {
            return Err(abort.clone());
        }
        if let Err(fault) = self.end(out) {
            return Err(self.fail(fault.at(self.bytes_in)));
        }
        if let Some(counter) = self.writer.counts.refused {
            let at = self.bytes_in;
            return Err(self.fail(Abort::Refused { counter, at }));
        }
        self.writer.runs.flush(out);
        if let Some(net) = &mut self.writer.net {
            net.settle(&mut self.writer.counts);
        }
        let mut counts = self.writer.counts.clone();
        counts.bytes_in = self.bytes_in;
        counts.bytes_out = self.writer.runs.bytes_out;
        Ok(counts)
    }

    fn fail(&mut self, abort: Abort) -> Abort {
        self.writer.runs.clear();
        self.carried = BytesMut::new();
        self.long = None;
        self.failed = Some(abort.clone());
        abort
    }

    fn feed(&mut self, input: &Bytes, out: &mut Out) -> Result<(), (Fault, usize)> {
        let (before, from) = self.bom.skip(input);
        if !before.is_empty() {
            self.feed_text(&Bytes::from_static(before), 0, out)?;
        }
        self.feed_text(input, from, out)
    }

    fn feed_text(
        &mut self,
        input: &Bytes,
        from: usize,
        out: &mut Out,
    ) -> Result<(), (Fault, usize)> {
        let mut end = from + self.utf8.good(&input[from..]);
        let mut fault = (end < input.len()).then_some(Fault::Malformed("UTF-8"));
        if let Some(nul) = memchr::memchr(0, &input[from..end]) {
            end = from + nul;
            fault = Some(Fault::Malformed("CSV: NUL"));
        }
        self.row_at = from;
        let mut i = from;
        let mut plain_until = if self.plain { end } else { 0 };
        while i < end {
            if !self.in_row && i >= plain_until && self.writer.is_bound() && !self.over {
                let (next, clean) = self.scanned_rows(input, i, end, out)?;
                if !clean {
                    plain_until = (next + scan::WINDOW).min(end);
                }
                i = next;
            }
            i = self.row(input, i, end, out)?;
        }
        if let Some(fault) = fault {
            return Err((fault, end));
        }
        if self.in_row && self.long.is_none() {
            self.carry(&input[self.row_at..end]);
        }
        self.writer.runs.end_input(input, out);
        self.writer.runs.flush(out);
        Ok(())
    }

    /// Plain rows from `i` on, as far as they are complete. Gives where it stopped, and false if the rows there are
    /// not plain.
    fn scanned_rows(
        &mut self,
        input: &Bytes,
        mut i: usize,
        end: usize,
        out: &mut Out,
    ) -> Result<(usize, bool), (Fault, usize)> {
        let width = self.writer.width().max(1);
        let Some(crlf) = self.lex.crlf() else {
            return Ok((i, false));
        };
        loop {
            let window = &input[i..end.min(i + scan::WINDOW)];
            if !self.scan.run(window, self.lex.delimiter(), crlf) {
                return Ok((i, false));
            }
            // As many line feeds as rows, and each row's last cell ends with one: then no other cell does.
            let (ends, rows) = (self.scan.ends(), self.scan.lines);
            let last = |row: &[u16]| usize::from(row[width - 1]);
            let regular = ends.len() >= rows * width
                && ends
                    .chunks_exact(width)
                    .take(rows)
                    .all(|row| window[last(row)] == b'\n');
            if !regular {
                return Ok((i, false));
            }
            let mut start = i;
            for row in ends.chunks_exact(width).take(rows) {
                let line_end = i + last(row);
                let row = Row {
                    start,
                    base: i,
                    ends: &row[..width - 1],
                    last_end: line_end - usize::from(crlf),
                    end: line_end + 1,
                };
                self.writer.row(input, &row, out);
                start = line_end + 1;
            }
            if start == i || start >= end {
                return Ok((start, true));
            }
            i = start;
        }
    }

    /// Goes on to the end of the row or of the input, byte by byte.
    fn row(
        &mut self,
        input: &Bytes,
        mut i: usize,
        end: usize,
        out: &mut Out,
    ) -> Result<usize, (Fault, usize)> {
        if i >= end {
            return Ok(i);
        }
        if !self.in_row {
            if self.over {
                return Err((Fault::Malformed("CSV: text after the last line"), i));
            }
            self.in_row = true;
            self.row_at = i;
        }
        loop {
            let from = i;
            let (token, next) = self.lex.next(&input[..end], i)?;
            i = next;
            if let Some(long) = &mut self.long {
                let to = match token {
                    Token::Cell(at) | Token::Last(at) => at,
                    Token::More => end,
                    Token::Row => from,
                };
                if self.last_end.is_none() && to > from {
                    long.content(&mut self.writer, input, from, to, out);
                }
            }
            match token {
                Token::More => break,
                Token::Cell(at) => self.cell(input, at, out)?,
                Token::Last(at) => {
                    let offset = self.offset(at);
                    self.last_end = Some(offset);
                    let cells = match &self.long {
                        Some(long) => long.column() + 1,
                        None => self.ends.len() + 1,
                    };
                    if self.writer.is_bound() && cells != self.writer.width() {
                        return Err((Fault::Malformed("CSV row: another width"), at));
                    }
                    if let Some(long) = &mut self.long {
                        long.end_cell(&mut self.writer, input, out);
                    }
                }
                Token::Row => {
                    self.row_complete(input, i, out).map_err(|f| (f, from))?;
                    return Ok(i);
                }
            }
        }
        self.check_length(input, end, out).map_err(|f| (f, end))?;
        Ok(end)
    }

    /// A part of a row that a cut has parted is kept. Doubling does not go beyond the bound of a held row.
    fn carry(&mut self, part: &[u8]) {
        if !self.carried.try_reclaim(part.len()) {
            let length = self.carried.len() + part.len();
            let most = (2 * length).min(self.bounds.held_bytes_max).max(length);
            let mut grown = BytesMut::with_capacity(most);
            grown.extend_from_slice(&self.carried);
            self.carried = grown;
        }
        self.carried.extend_from_slice(part);
    }

    /// Offset in the row of a place in the current input.
    fn offset(&self, at: usize) -> usize {
        self.carried.len() + (at - self.row_at)
    }

    /// A cell that is not the last one ends.
    fn cell(&mut self, input: &Bytes, at: usize, out: &mut Out) -> Result<(), (Fault, usize)> {
        let column = match &self.long {
            Some(long) => long.column(),
            None => self.ends.len(),
        };
        if self.writer.is_bound() && column + 1 >= self.writer.width() {
            return Err((Fault::Malformed("CSV row: another width"), at));
        }
        if let Some(long) = &mut self.long {
            long.end_cell(&mut self.writer, input, out);
            long.begin_cell(&mut self.writer, input, out);
        } else {
            // A row is held up to a bound that is far below 4 GiB; one input may be longer than that.
            let end = u32::try_from(self.offset(at)).map_err(|_| (Fault::TooLarge("row"), at))?;
            self.ends.push(end);
        }
        Ok(())
    }

    /// Length of the row so far, without its line ending.
    fn length(&self, end: usize) -> usize {
        self.last_end.unwrap_or_else(|| self.offset(end))
    }

    /// The input ends inside the row.
    fn check_length(&mut self, input: &Bytes, end: usize, out: &mut Out) -> Result<(), Fault> {
        if self.long.is_some() {
            return Ok(());
        }
        if !self.writer.is_bound() {
            return self.check_header(self.length(end));
        }
        if self.length(end) <= self.bounds.held_bytes_max {
            return Ok(());
        }
        // Over the bound: what is held is given out cell by cell, and the rest follows as it comes.
        let mut held = std::mem::take(&mut self.carried);
        let length = self.last_end.unwrap_or(held.len() + (end - self.row_at));
        held.extend_from_slice(&input[self.row_at..end]);
        let held = held.freeze();
        self.writer.runs.end_input(input, out);
        let mut long = self.writer.start_long();
        long.begin_cell(&mut self.writer, &held, out);
        let mut start = 0;
        for end in self.ends.drain(..) {
            long.content(&mut self.writer, &held, start, end as usize, out);
            long.end_cell(&mut self.writer, &held, out);
            long.begin_cell(&mut self.writer, &held, out);
            start = end as usize + 1;
        }
        long.content(&mut self.writer, &held, start, length, out);
        if self.last_end.is_some() {
            long.end_cell(&mut self.writer, &held, out);
        }
        self.writer.runs.end_input(&held, out);
        self.long = Some(long);
        Ok(())
    }

    fn check_header(&self, length: usize) -> Result<(), Fault> {
        if length > self.bounds.key_bytes_max {
            return Err(Fault::TooLarge("CSV header"));
        }
        Ok(())
    }

    /// The row ends before `end`; its last cell has ended.
    fn row_complete(&mut self, input: &Bytes, end: usize, out: &mut Out) -> Result<(), Fault> {
        let last_end = self.last_end.take().unwrap_or(0);
        if self.long.take().is_some() {
            self.writer
                .runs
                .text(input, self.lex.line_ending(end > self.row_at), out);
        } else if self.carried.is_empty() {
            let row = Row {
                start: self.row_at,
                base: self.row_at,
                ends: &self.ends,
                last_end: self.row_at + last_end,
                end,
            };
            self.over |= take(&self.program, &mut self.writer, input, &row, out)?;
        } else {
            self.carried.extend_from_slice(&input[self.row_at..end]);
            let joined = self.carried.split().freeze();
            let row = Row {
                start: 0,
                base: 0,
                ends: &self.ends,
                last_end,
                end: joined.len(),
            };
            self.writer.runs.end_input(input, out);
            self.over |= take(&self.program, &mut self.writer, &joined, &row, out)?;
            self.writer.runs.end_input(&joined, out);
        }
        self.ends.clear();
        self.in_row = false;
        self.row_at = end;
        Ok(())
    }

    /// The document ends: a last row without a line ending is complete.
    fn end(&mut self, out: &mut Out) -> Result<(), Fault> {
        if !self.utf8.is_complete() || !self.bom.end().is_empty() {
            return Err(Fault::Malformed("UTF-8"));
        }
        if self.in_row {
            self.lex.end()?;
            self.row_at = 0;
            let cells = match &self.long {
                Some(long) => long.column() + 1,
                None => self.ends.len() + 1,
            };
            if self.writer.is_bound() && cells != self.writer.width() {
                return Err(Fault::Malformed("CSV row: another width"));
            }
            self.last_end = Some(self.carried.len());
            let empty = Bytes::new();
            if let Some(long) = &mut self.long {
                long.end_cell(&mut self.writer, &empty, out);
            }
            self.row_complete(&empty, 0, out)?;
            self.writer.runs.flush(out);
        }
        if !self.writer.is_bound() && !self.over {
            return Err(Fault::Truncated);
        }
        Ok(())
    }
}

/// A complete row: the header or one of data. True if it was [`NO_RECORDS`].
fn take(
    program: &CsvProgram,
    writer: &mut Writer,
    input: &Bytes,
    row: &Row<'_, u32>,
    out: &mut Out,
) -> Result<bool, Fault> {
    if writer.is_bound() {
        writer.row(input, row, out);
        return Ok(false);
    }
    if row.last_end - row.start > writer.bounds.key_bytes_max {
        return Err(Fault::TooLarge("CSV header"));
    }
    if program.no_records && &input[row.start..row.last_end] == NO_RECORDS.as_bytes() {
        writer.runs.pass(input, row.start, row.end, out);
        return Ok(true);
    }
    writer.bind(program, input, row)?;
    writer.header(input, row, out);
    Ok(false)
}
