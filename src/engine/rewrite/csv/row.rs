//! One complete row, or one cell of a long one, leaves.

use bytes::Bytes;

use super::super::runs::Runs;
use super::super::untyped;
use super::super::{Bounds, Counts};
use super::bind::{self, Bound, Does, Rule};
use super::long::Long;
use super::{CsvProgram, Fault, Out};
use crate::engine::treatment::{Prepared, Scalar, Treated, Treatment};

/// A complete row of an input. Cells end at `base` + `ends`.
#[derive(Debug)]
pub(super) struct Row<'a, E> {
    pub(super) start: usize,
    pub(super) base: usize,
    /// All cells but the last.
    pub(super) ends: &'a [E],
    pub(super) last_end: usize,
    /// Behind the line ending.
    pub(super) end: usize,
}

impl<E: Copy + Into<u32>> Row<'_, E> {
    /// Where the cell of `column` stands, without its delimiter.
    #[inline]
    fn span(&self, column: usize) -> (usize, usize) {
        let end = |column: usize| {
            self.ends
                .get(column)
                .map_or(self.last_end, |end| self.base + (*end).into() as usize)
        };
        let start = match column.checked_sub(1) {
            None => self.start,
            Some(before) => end(before) + 1,
        };
        (start, end(column))
    }
}

/// Writes rows.
#[derive(Debug)]
pub(super) struct Writer {
    pub(super) bound: Option<Box<Bound>>,
    pub(super) bounds: Bounds,
    pub(super) runs: Runs,
    pub(super) counts: Counts,
    /// What stands in place of the treated cell.
    pub(super) written: Vec<u8>,
    pub(super) delimiter: u8,
    decoded: String,
    treated: String,
}

impl Writer {
    pub(super) fn new(program: &CsvProgram, bounds: Bounds) -> Self {
        Self {
            bound: None,
            bounds,
            runs: Runs::default(),
            counts: Counts {
                treated: vec![0; program.counters.len()],
                ..Counts::default()
            },
            written: Vec::new(),
            delimiter: program.delimiter.byte(),
            decoded: String::new(),
            treated: String::new(),
        }
    }

    /// Whether the header has been read.
    pub(super) fn is_bound(&self) -> bool {
        self.bound.is_some()
    }

    /// Number of columns.
    pub(super) fn width(&self) -> usize {
        self.bound.as_ref().map_or(0, |b| b.width)
    }

    /// Binds the program to the header row.
    pub(super) fn bind(
        &mut self,
        program: &CsvProgram,
        input: &Bytes,
        row: &Row<'_, u32>,
    ) -> Result<(), Fault> {
        let mut header = Vec::with_capacity(row.ends.len() + 1);
        for column in 0..=row.ends.len() {
            let (from, to) = row.span(column);
            let name = decode(&input[from..to], &mut self.decoded)
                .ok_or(Fault::Malformed("CSV header"))?;
            header.push(name.to_owned());
        }
        let (bound, unplanned) = bind::bind(program, &header)?;
        self.counts.unplanned_members = unplanned;
        self.bound = Some(Box::new(bound));
        Ok(())
    }

    /// The header leaves, without the columns that are removed.
    pub(super) fn header(&mut self, input: &Bytes, row: &Row<'_, u32>, out: &mut Out) {
        let Some(bound) = &self.bound else {
            return;
        };
        let mut from = row.start;
        for active in &bound.variants[0] {
            if let Does::Remove { leading } = active.does {
                let (to, next) = removed(row, active.column, leading);
                self.runs.pass(input, from.min(to), to, out);
                from = next;
            }
        }
        self.runs.pass(input, from, row.end, out);
    }

    /// A row of data leaves.
    #[inline]
    pub(super) fn row<E: Copy + Into<u32>>(
        &mut self,
        input: &Bytes,
        row: &Row<'_, E>,
        out: &mut Out,
    ) {
        let Some(bound) = self.bound.take() else {
            return;
        };
        self.counts.rows += 1;
        let variant = match &bound.decide {
            Rule::Index(index) => *index,
            rule => self.variant(rule, &bound, input, row),
        };
        let mut from = row.start;
        for active in &bound.variants[variant] {
            match &active.does {
                Does::Remove { leading } => {
                    let (to, next) = removed(row, active.column, *leading);
                    if to > from {
                        self.runs.pass(input, from, to, out);
                    }
                    from = next;
                }
                Does::Treat { treatment, counter } if !bound.quote_empty => {
                    if let Some(count) = self.counts.treated.get_mut(*counter as usize) {
                        *count += 1;
                    }
                    let (start, end) = row.span(active.column);
                    let raw = &input[start..end];
                    let max = self.bounds.treated_bytes_max;
                    let (decoded, buffer) = (&mut self.decoded, &mut self.treated);
                    let counts = &mut self.counts;
                    let text = match treated(treatment, *counter, raw, max, decoded, buffer, counts)
                    {
                        Treated::Same => continue,
                        Treated::Null | Treated::Refused => "",
                        Treated::Text(text) | Treated::Number(text) => text,
                    };
                    if start > from {
                        self.runs.pass(input, from, start, out);
                    }
                    if !text.is_empty() {
                        self.runs.end_input(input, out);
                        write(text, raw, self.delimiter, |part| self.runs.more(part, out));
                    }
                    from = end;
                }
                does => {
                    let (start, end) = row.span(active.column);
                    if self.cell(does, &input[start..end], bound.quote_empty) {
                        if start > from {
                            self.runs.pass(input, from, start, out);
                        }
                        if !self.written.is_empty() {
                            self.runs.text(input, &self.written, out);
                        }
                        from = end;
                    }
                }
            }
        }
        if row.end > from {
            self.runs.pass(input, from, row.end, out);
        }
        self.bound = Some(bound);
    }

    /// The index for a row under a rule that looks at it.
    fn variant<E: Copy + Into<u32>>(
        &mut self,
        rule: &Rule,
        bound: &Bound,
        input: &Bytes,
        row: &Row<'_, E>,
    ) -> usize {
        if row.last_end - row.start > self.bounds.held_bytes_max {
            self.counts.held_over += 1;
            return bound.overflow;
        }
        let mut decoded = std::mem::take(&mut self.decoded);
        let index = rule.index(&mut |column, look| {
            let (from, to) = row.span(column);
            if let Some(text) = decode(&input[from..to], &mut decoded)
                && !text.is_empty()
            {
                look(text);
            }
        });
        self.decoded = decoded;
        index
    }

    /// What becomes of the cell `raw`: true if [`Self::written`] stands in its place, false if it passes.
    pub(super) fn cell(&mut self, does: &Does, raw: &[u8], quote_empty: bool) -> bool {
        self.written.clear();
        let replaced = match does {
            Does::Watch => raw.is_empty(),
            Does::Empty | Does::Remove { .. } => true,
            Does::Treat { treatment, counter } => {
                if let Some(count) = self.counts.treated.get_mut(*counter as usize) {
                    *count += 1;
                }
                let max = self.bounds.treated_bytes_max;
                let (decoded, buffer) = (&mut self.decoded, &mut self.treated);
                match treated(
                    treatment,
                    *counter,
                    raw,
                    max,
                    decoded,
                    buffer,
                    &mut self.counts,
                ) {
                    Treated::Same => false,
                    Treated::Null | Treated::Refused => true,
                    Treated::Text(text) | Treated::Number(text) => {
                        write(text, raw, self.delimiter, |part| {
                            self.written.extend_from_slice(part);
                        });
                        true
                    }
                }
            }
        };
        if quote_empty && (replaced && self.written.is_empty() || !replaced && raw.is_empty()) {
            self.written.extend_from_slice(b"\"\"");
            return true;
        }
        replaced
    }

    /// A row begins that is longer than the bound.
    pub(super) fn start_long(&mut self) -> Long {
        let mut variant = 0;
        self.counts.rows += 1;
        if let Some(bound) = &self.bound {
            variant = match &bound.decide {
                Rule::Index(index) => *index,
                Rule::By { .. } => {
                    self.counts.held_over += 1;
                    bound.overflow
                }
            };
        }
        Long::new(variant)
    }
}

/// What the treatment makes of the cell `raw`.
#[inline]
fn treated<'b>(
    treatment: &Prepared,
    counter: u32,
    raw: &[u8],
    bytes_max: usize,
    decoded: &mut String,
    buffer: &'b mut String,
    counts: &mut Counts,
) -> Treated<'b> {
    if raw.len() > bytes_max
        || matches!(
            treatment,
            Prepared::Keyless(Treatment::Redact | Treatment::Drop | Treatment::Deny)
        )
    {
        counts.untreatable(treatment, counter);
        return Treated::Null;
    }
    let Some(text) = decode(raw, decoded) else {
        return Treated::Null;
    };
    let scalar = if text.is_empty() {
        Scalar::Null
    } else {
        untyped::scalar(treatment, text)
    };
    let treated = treatment.apply(scalar, buffer);
    if matches!(treated, Treated::Refused) {
        counts.refuse(counter);
    }
    treated
}

/// Writes `text` in place of the cell `raw`: quoted where that was, or where it has to be.
#[inline]
fn write(text: &str, raw: &[u8], delimiter: u8, mut to: impl FnMut(&[u8])) {
    let text = text.as_bytes();
    let special = |b: &u8| *b == delimiter || matches!(*b, b'"' | b'\n' | b'\r' | b',');
    if raw.first() != Some(&b'"') && !text.iter().any(special) {
        return to(text);
    }
    to(b"\"");
    let mut from = 0;
    for at in memchr::memchr_iter(b'"', text) {
        to(&text[from..=at]);
        // The quote once more.
        from = at;
    }
    to(&text[from..]);
    to(b"\"");
}

/// Where passing stops before a removed column, and where it goes on.
fn removed<E: Copy + Into<u32>>(row: &Row<'_, E>, column: usize, leading: bool) -> (usize, usize) {
    let (start, end) = row.span(column);
    if leading {
        (start, if end == row.last_end { end } else { end + 1 })
    } else {
        (start - 1, end)
    }
}

/// The text of a cell; `None` if it is not one.
fn decode<'a>(raw: &'a [u8], decoded: &'a mut String) -> Option<&'a str> {
    let text = std::str::from_utf8(raw).ok()?;
    let Some(inner) = text.strip_prefix('"') else {
        return Some(text);
    };
    let inner = inner.strip_suffix('"')?;
    if memchr::memchr(b'"', inner.as_bytes()).is_none() {
        return Some(inner);
    }
    decoded.clear();
    for (i, part) in inner.split("\"\"").enumerate() {
        if i > 0 {
            decoded.push('"');
        }
        decoded.push_str(part);
    }
    Some(decoded)
}
