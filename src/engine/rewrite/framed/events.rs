//! Server-sent events (WHATWG HTML, section 9.2.6).

use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::super::{Abort, Out};
use super::{Documents, write};

/// Longest field name that means anything, with a byte order mark before it.
const FIELD_BYTES_MAX: usize = 3 + 5;
/// Longest name of an event.
const NAME_BYTES_MAX: usize = 256;
/// Longest number of milliseconds.
const RETRY_BYTES_MAX: usize = 9;

#[derive(Debug, Default, PartialEq, Eq)]
enum Line {
    /// In the field's name, or before it.
    #[default]
    Field,
    /// Behind the colon: one space is not part of the value.
    Colon(Value),
    /// In the value.
    Value(Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Data,
    Name,
    Retry,
    Comment,
    Ignored,
}

#[derive(Debug)]
pub(super) struct Events {
    /// Names of events that pass.
    names: Arc<[Arc<str>]>,
    line: Line,
    field: Vec<u8>,
    /// Value of the line, of a name or number.
    value: Vec<u8>,
    /// A line feed here belongs to the carriage return before it.
    after_return: bool,
    is_first_line: bool,
    /// Of the current event.
    name: Vec<u8>,
    /// It has a data line.
    has_data: bool,
    /// Its data is no document, or its name is not known.
    is_left_out: bool,
    /// Its first bytes are out.
    is_begun: bool,
}

impl Events {
    pub(super) fn new(names: Arc<[Arc<str>]>) -> Self {
        Self {
            names,
            line: Line::Field,
            field: Vec::new(),
            value: Vec::new(),
            after_return: false,
            is_first_line: true,
            name: Vec::new(),
            has_data: false,
            is_left_out: false,
            is_begun: false,
        }
    }

    pub(super) fn push(
        &mut self,
        mut chunk: Bytes,
        documents: &mut Documents,
        out: &mut Out,
    ) -> Result<(), Abort> {
        while !chunk.is_empty() {
            if std::mem::take(&mut self.after_return) && chunk[0] == b'\n' {
                chunk.advance(1);
                documents.skip(1);
                continue;
            }
            let end = memchr::memchr2(b'\n', b'\r', &chunk);
            let piece = chunk.split_to(end.unwrap_or(chunk.len()));
            self.in_line(piece, documents, out)?;
            if end.is_some() {
                self.after_return = chunk[0] == b'\r';
                chunk.advance(1);
                documents.skip(1);
                self.line_ended(documents, out)?;
            }
        }
        Ok(())
    }

    fn in_line(
        &mut self,
        mut piece: Bytes,
        documents: &mut Documents,
        out: &mut Out,
    ) -> Result<(), Abort> {
        if self.line == Line::Field {
            let colon = memchr::memchr(b':', &piece);
            let name = piece.split_to(colon.unwrap_or(piece.len()));
            documents.skip(name.len());
            // One byte more than any that means something.
            let room = (FIELD_BYTES_MAX + 1).saturating_sub(self.field.len());
            self.field.extend_from_slice(&name[..name.len().min(room)]);
            if colon.is_none() {
                return Ok(());
            }
            piece.advance(1);
            documents.skip(1);
            let value = self.field_named(documents)?;
            self.line = Line::Colon(value);
        }
        if let Line::Colon(value) = self.line {
            let Some(first) = piece.first() else {
                return Ok(());
            };
            if *first == b' ' {
                piece.advance(1);
                documents.skip(1);
            }
            self.line = Line::Value(value);
        }
        match self.line {
            Line::Value(Value::Data) if !self.is_left_out => self.data(piece, documents, out),
            Line::Value(Value::Name) => {
                self.keep(&piece, NAME_BYTES_MAX);
                documents.skip(piece.len());
                Ok(())
            }
            Line::Value(Value::Retry) => {
                self.keep(&piece, RETRY_BYTES_MAX);
                documents.skip(piece.len());
                Ok(())
            }
            _ => {
                documents.skip(piece.len());
                Ok(())
            }
        }
    }

    /// Keeps a value; of one over the bound, a byte more than the bound.
    fn keep(&mut self, piece: &[u8], max: usize) {
        let room = (max + 1).saturating_sub(self.value.len());
        self.value
            .extend_from_slice(&piece[..piece.len().min(room)]);
    }

    /// The field's name is complete.
    fn field_named(&mut self, documents: &mut Documents) -> Result<Value, Abort> {
        let mut field = &self.field[..];
        if self.is_first_line {
            field = field.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(field);
        }
        let value = match field {
            b"data" => Value::Data,
            b"event" => Value::Name,
            b"retry" => Value::Retry,
            b"" => Value::Comment,
            _ => Value::Ignored,
        };
        if value == Value::Data && !self.is_left_out {
            if !self.has_data {
                documents.begin();
            } else if let Err(abort) = documents.push(Bytes::from_static(b"\n")) {
                self.leave_out(abort, documents)?;
            }
            self.has_data = true;
        }
        Ok(value)
    }

    fn data(
        &mut self,
        piece: Bytes,
        documents: &mut Documents,
        out: &mut Out,
    ) -> Result<(), Abort> {
        if piece.is_empty() {
            return Ok(());
        }
        if let Err(abort) = documents.push(piece) {
            return self.leave_out(abort, documents);
        }
        if documents.streams() {
            if !self.begin(out) {
                documents.give_up();
                return Ok(());
            }
            write_data(documents.ready(), out);
        }
        Ok(())
    }

    /// The event's first lines leave; false = it may not.
    fn begin(&mut self, out: &mut Out) -> bool {
        if self.is_begun {
            return true;
        }
        if !self.name.is_empty() {
            let known = self.names.iter().find(|n| n.as_bytes() == self.name);
            let Some(name) = known else {
                self.is_left_out = true;
                return false;
            };
            out.push(Bytes::from(format!("event: {name}\n")));
        }
        out.push(Bytes::from_static(b"data: "));
        self.is_begun = true;
        true
    }

    /// The event is left out, if nothing of it has left.
    fn leave_out(&mut self, abort: Abort, documents: &mut Documents) -> Result<(), Abort> {
        if documents.streams() {
            return Err(abort);
        }
        documents.give_up();
        self.is_left_out = true;
        Ok(())
    }

    fn line_ended(&mut self, documents: &mut Documents, out: &mut Out) -> Result<(), Abort> {
        let line = std::mem::take(&mut self.line);
        let blank = line == Line::Field && self.field_is_blank();
        let what = match line {
            Line::Field if blank => None,
            // A name alone is a field without a value.
            Line::Field => Some(self.field_named(documents)?),
            Line::Colon(value) | Line::Value(value) => Some(value),
        };
        self.is_first_line = false;
        self.field.clear();
        match what {
            None => self.dispatch(documents, out)?,
            Some(Value::Name) => {
                if self.is_begun {
                    // Too late: what has left is the beginning of an event of another name.
                    return Err(Abort::Contradiction {
                        at: documents.rewriter.place(),
                    });
                }
                std::mem::swap(&mut self.name, &mut self.value);
            }
            // Inside an event's data no other line may stand.
            Some(Value::Retry) if !self.is_begun => {
                let digits = (1..=RETRY_BYTES_MAX).contains(&self.value.len())
                    && self.value.iter().all(u8::is_ascii_digit);
                if digits {
                    let number = String::from_utf8_lossy(&self.value);
                    out.push(Bytes::from(format!("retry: {number}\n")));
                }
            }
            Some(Value::Comment) if !self.is_begun => out.push(Bytes::from_static(b":\n")),
            _ => {}
        }
        self.value.clear();
        Ok(())
    }

    fn field_is_blank(&self) -> bool {
        self.field.is_empty() || self.is_first_line && self.field == b"\xEF\xBB\xBF"
    }

    /// A blank line: the event is complete.
    fn dispatch(&mut self, documents: &mut Documents, out: &mut Out) -> Result<(), Abort> {
        if self.has_data && !self.is_left_out {
            match documents.end() {
                Ok(rest) => {
                    if self.begin(out) {
                        write_data(rest, out);
                        out.push(Bytes::from_static(b"\n\n"));
                    }
                }
                Err(abort) => self.leave_out(abort, documents)?,
            }
        }
        self.name.clear();
        self.has_data = false;
        self.is_left_out = false;
        self.is_begun = false;
        Ok(())
    }

    /// The end of the stream discards an event that no blank line has completed.
    pub(super) fn finish(&mut self, documents: &mut Documents) -> Result<(), Abort> {
        if self.is_begun {
            return Err(Abort::Truncated {
                at: documents.rewriter.place(),
            });
        }
        documents.give_up();
        Ok(())
    }
}

/// A document as data lines: a new one begins behind each line feed.
fn write_data(pieces: Vec<Bytes>, out: &mut Out) {
    for mut piece in pieces {
        while let Some(end) = memchr::memchr(b'\n', &piece) {
            let line = piece.split_to(end + 1);
            write(vec![line, Bytes::from_static(b"data: ")], out);
        }
        out.push(piece);
    }
}
