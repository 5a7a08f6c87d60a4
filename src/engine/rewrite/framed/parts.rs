//! `multipart/mixed` (RFC 2046, section 5.1).

use bytes::{Buf, Bytes, BytesMut};
use memchr::memmem::Finder;

use super::super::{Abort, Format, Out};
use super::{Documents, write};

/// What leaves is put together with a boundary of privet's own: it cannot begin a line inside a JSON document.
const OPEN: &[u8] = b"--privet-part\r\nContent-Type: application/json\r\n\r\n";
const CLOSE: &[u8] = b"--privet-part--\r\n";

/// Most that the headers of a part may take up, and the white space behind a boundary.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// The boundary that a `Content-Type` names, if it is one that RFC 2046 allows.
pub fn boundary_of(content_type: &str) -> Option<&str> {
    let mut found = content_type.split(';').skip(1).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("boundary")
            .then(|| value.trim().trim_matches('"'))
    });
    let (boundary, None) = (found.next()?, found.next()) else {
        return None;
    };
    is_boundary(boundary).then_some(boundary)
}

pub(in super::super) fn is_boundary(text: &str) -> bool {
    (1..=70).contains(&text.len())
        && !text.ends_with(' ')
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&b))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Preamble,
    /// Behind a boundary.
    Boundary,
    Headers,
    /// In a part: of JSON, or left out.
    Body {
        json: bool,
    },
    Epilogue,
}

#[derive(Debug)]
pub(super) struct Parts {
    /// CRLF, two hyphens and the boundary; `None` = the boundary is not known.
    delimiter: Option<Finder<'static>>,
    state: State,
    /// Input that is not decided.
    buffer: BytesMut,
    header_bytes: usize,
    /// What the headers of the current part have said: its type, and that it is JSON.
    typed: bool,
    is_json: bool,
    /// The line break before a part's body, which may be one with that before the next boundary.
    lead: usize,
    /// Of the current part the first bytes are out.
    is_begun: bool,
}

impl Parts {
    pub(super) fn new(boundary: Option<&str>) -> Self {
        Self {
            delimiter: boundary
                .filter(|b| is_boundary(b))
                .map(|b| Finder::new(format!("\r\n--{b}").as_bytes()).into_owned()),
            state: State::Preamble,
            // The boundary may stand at the very beginning.
            buffer: BytesMut::from(&b"\r\n"[..]),
            header_bytes: 0,
            typed: false,
            is_json: false,
            lead: 0,
            is_begun: false,
        }
    }

    pub(super) fn push(
        &mut self,
        chunk: &[u8],
        documents: &mut Documents,
        out: &mut Out,
    ) -> Result<(), Abort> {
        let Some(delimiter) = self.delimiter.take() else {
            return Err(malformed("multipart: no boundary", documents));
        };
        if self.state != State::Epilogue {
            self.buffer.extend_from_slice(chunk);
        }
        let mut result = Ok(true);
        while let Ok(true) = result {
            result = self.step(&delimiter, documents, out);
        }
        self.delimiter = Some(delimiter);
        result.map(drop)
    }

    /// One step on; false = more input is needed.
    fn step(
        &mut self,
        delimiter: &Finder<'_>,
        documents: &mut Documents,
        out: &mut Out,
    ) -> Result<bool, Abort> {
        match self.state {
            State::Preamble | State::Body { .. } => self.content(delimiter, documents, out),
            State::Boundary => self.behind_boundary(documents, out),
            State::Headers => self.header(delimiter, documents),
            State::Epilogue => {
                documents.skip(self.buffer.len());
                self.buffer = BytesMut::new();
                Ok(false)
            }
        }
    }

    fn content(
        &mut self,
        delimiter: &Finder<'_>,
        documents: &mut Documents,
        out: &mut Out,
    ) -> Result<bool, Abort> {
        let length = delimiter.needle().len();
        let found = delimiter.find(&self.buffer);
        let to = match found {
            Some(at) => at,
            // A part of the delimiter may stand at the end.
            None => (self.buffer.len() + 1).saturating_sub(length),
        };
        let mut piece = self.buffer.split_to(to).freeze();
        let lead = self.lead.min(piece.len());
        if lead > 0 {
            piece.advance(lead);
            documents.skip(lead);
            self.lead -= lead;
        }
        if self.state == (State::Body { json: true }) {
            if !piece.is_empty() {
                documents.push(piece)?;
            }
            if documents.streams() {
                self.begin(out);
                write(documents.ready(), out);
            }
        } else {
            documents.skip(piece.len());
        }
        if found.is_none() {
            return Ok(false);
        }
        self.buffer.advance(length);
        documents.skip(length);
        self.part_ended(documents, out)?;
        self.state = State::Boundary;
        Ok(true)
    }

    fn begin(&mut self, out: &mut Out) {
        if !std::mem::replace(&mut self.is_begun, true) {
            out.push(Bytes::from_static(OPEN));
        }
    }

    fn part_ended(&mut self, documents: &mut Documents, out: &mut Out) -> Result<(), Abort> {
        if self.state == (State::Body { json: true }) {
            let rest = documents.end()?;
            self.begin(out);
            write(rest, out);
            out.push(Bytes::from_static(b"\r\n"));
        }
        self.lead = 0;
        Ok(())
    }

    /// White space and a line break, or the two hyphens of the last boundary.
    fn behind_boundary(&mut self, documents: &mut Documents, out: &mut Out) -> Result<bool, Abort> {
        if self.buffer.starts_with(b"--") {
            self.state = State::Epilogue;
            out.push(Bytes::from_static(CLOSE));
            return Ok(true);
        }
        let space = self
            .buffer
            .iter()
            .take_while(|b| matches!(b, b' ' | b'\t'))
            .count();
        let rest = &self.buffer[space..];
        if rest.starts_with(b"\r\n") {
            self.buffer.advance(space + 2);
            documents.skip(space + 2);
            self.state = State::Headers;
            (self.header_bytes, self.typed, self.is_json) = (0, false, false);
            self.is_begun = false;
            return Ok(true);
        }
        let may_come = rest.is_empty() || rest == b"\r" || (space == 0 && rest == b"-");
        if !may_come || space > HEADER_BYTES_MAX {
            return Err(malformed("multipart boundary", documents));
        }
        Ok(false)
    }

    /// One header line of a part.
    fn header(&mut self, delimiter: &Finder<'_>, documents: &mut Documents) -> Result<bool, Abort> {
        let dashes = &delimiter.needle()[2..];
        if self.buffer.starts_with(dashes) {
            // A part without a body: its last line break is the boundary's.
            self.state = State::Body { json: false };
            self.lead = 0;
            self.buffer.advance(dashes.len());
            documents.skip(dashes.len());
            self.state = State::Boundary;
            return Ok(true);
        }
        let Some(end) = memchr::memmem::find(&self.buffer, b"\r\n") else {
            if self.header_bytes + self.buffer.len() > HEADER_BYTES_MAX {
                return Err(too_large(documents));
            }
            return Ok(false);
        };
        if end == 0 {
            self.state = State::Body { json: self.is_json };
            if self.is_json {
                documents.begin();
            }
            self.lead = 2;
            return Ok(true);
        }
        self.header_bytes += end + 2;
        if self.header_bytes > HEADER_BYTES_MAX {
            return Err(too_large(documents));
        }
        let line = self.buffer.split_to(end + 2);
        self.header_line(&line[..end], documents)?;
        documents.skip(end + 2);
        Ok(true)
    }

    fn header_line(&mut self, line: &[u8], documents: &Documents) -> Result<(), Abort> {
        let text = std::str::from_utf8(line)
            .ok()
            .filter(|t| !t.contains(['\r', '\n', '\0']));
        let (name, value) = text
            .and_then(|t| t.split_once(':'))
            .filter(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| malformed("multipart header", documents))?;
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-type") {
            if std::mem::replace(&mut self.typed, true) {
                return Err(malformed("multipart header: two types", documents));
            }
            self.is_json = Format::of_media_type(value) == Some(Format::Json);
        } else if name.eq_ignore_ascii_case("content-transfer-encoding") {
            let plain = ["7bit", "8bit", "binary"];
            if !plain.iter().any(|p| value.eq_ignore_ascii_case(p)) {
                return Err(malformed("multipart header: transfer encoding", documents));
            }
        } else if name.eq_ignore_ascii_case("content-encoding") {
            return Err(malformed("multipart header: content coding", documents));
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, documents: &mut Documents) -> Result<(), Abort> {
        if self.state != State::Epilogue {
            return Err(Abort::Truncated {
                at: documents.rewriter.place(),
            });
        }
        Ok(())
    }
}

fn malformed(what: &'static str, documents: &Documents) -> Abort {
    Abort::Malformed {
        what,
        at: documents.rewriter.place(),
    }
}

fn too_large(documents: &Documents) -> Abort {
    Abort::TooLarge {
        what: "headers of a part",
        at: documents.rewriter.place(),
    }
}
