//! The program of a body, whatever its format.

use std::sync::Arc;

use super::csv::CsvProgram;
use super::framed::{Framing, parts};
use super::xml::XmlProgram;
use super::{Counter, Program};

/// What happens to a body: a program of its format. Immutable and shared.
#[derive(Debug, Clone)]
pub enum BodyProgram {
    /// For a JSON document.
    Json(Arc<Program>),
    /// For a CSV document.
    Csv(Arc<CsvProgram>),
    /// For an XML document.
    Xml(Arc<XmlProgram>),
    /// For JSON documents inside a larger body, each by this program.
    Framed(Framing, Arc<Program>),
    /// For a file: its bytes are counted, and nothing of it is read.
    Opaque,
}

/// The format of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// RFC 8259
    Json,
    /// RFC 4180
    Csv,
    /// XML 1.0
    Xml,
    /// A JSON document a line
    Ndjson,
    /// WHATWG server-sent events
    EventStream,
    /// RFC 2046 `multipart/mixed`
    Multipart,
    /// A file of any type.
    Opaque,
}

impl BodyProgram {
    /// The format that it reads and writes; a body of another one may not be pushed through it.
    pub fn format(&self) -> Format {
        match self {
            Self::Json(_) => Format::Json,
            Self::Csv(_) => Format::Csv,
            Self::Xml(_) => Format::Xml,
            Self::Framed(Framing::Lines, _) => Format::Ndjson,
            Self::Framed(Framing::Events(_), _) => Format::EventStream,
            Self::Framed(Framing::Parts(_), _) => Format::Multipart,
            Self::Opaque => Format::Opaque,
        }
    }

    /// The program for a body whose `Content-Type` is this: parts are told apart by the boundary that it names.
    pub fn for_content_type(&self, value: Option<&str>) -> Self {
        match self {
            Self::Framed(Framing::Parts(_), program) => {
                let boundary = value.and_then(parts::boundary_of).map(Arc::from);
                Self::Framed(Framing::Parts(boundary), Arc::clone(program))
            }
            other => other.clone(),
        }
    }

    /// Names of the fields whose treatments [`super::Counts::treated`] counts.
    pub fn counters(&self) -> &[Counter] {
        match self {
            Self::Json(program) | Self::Framed(_, program) => &program.counters,
            Self::Csv(program) => &program.counters,
            Self::Xml(program) => program.counters(),
            Self::Opaque => &[],
        }
    }
}

impl Format {
    /// The format that a media type names; parameters other than `charset=utf-8` are not understood.
    ///
    /// `value` is the whole field value of a `Content-Type`.
    pub fn of_media_type(value: &str) -> Option<Self> {
        let mut parts = value.split(';').map(str::trim);
        let kind = parts.next()?.to_ascii_lowercase();
        let format = match &*kind {
            "application/json" => Self::Json,
            "text/csv" => Self::Csv,
            "application/xml" | "text/xml" => Self::Xml,
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => Self::Ndjson,
            "text/event-stream" => Self::EventStream,
            "multipart/mixed" if parts::boundary_of(value).is_some() => Self::Multipart,
            kind if kind.starts_with("application/") && kind.ends_with("+xml") => Self::Xml,
            _ => return None,
        };
        parts
            .all(|parameter| {
                parameter.is_empty()
                    || parameter
                        .split_once('=')
                        .is_some_and(|(name, value)| format.allows(name, value.trim_matches('"')))
            })
            .then_some(format)
    }

    /// Whether a parameter leaves the media type what it is. Atom says what kind of document it is (`type=feed`), CSV
    /// whether it has a header (it must: columns are bound by it).
    fn allows(self, name: &str, value: &str) -> bool {
        match (name.to_ascii_lowercase().as_str(), self) {
            ("charset", _) => {
                value.eq_ignore_ascii_case("utf-8") || value.eq_ignore_ascii_case("utf8")
            }
            ("boundary", Self::Multipart) => parts::is_boundary(value),
            ("type", Self::Xml) => matches!(value, "feed" | "entry"),
            ("header", Self::Csv) => value.eq_ignore_ascii_case("present"),
            _ => false,
        }
    }

    /// The `Content-Type` of what leaves the proxy.
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json;charset=UTF-8",
            Self::Csv => "text/csv;charset=UTF-8",
            Self::Xml => "application/xml;charset=UTF-8",
            Self::Ndjson => "application/x-ndjson;charset=UTF-8",
            Self::EventStream => "text/event-stream;charset=UTF-8",
            // The boundary is privet's own.
            Self::Multipart => "multipart/mixed;boundary=privet-part",
            // What a file says of itself does not pass.
            Self::Opaque => "application/octet-stream",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn media_types_are_told_apart_and_what_is_not_known_is_none() {
        for (text, format) in [
            ("application/json", Some(Format::Json)),
            ("Application/JSON; charset=\"UTF-8\"", Some(Format::Json)),
            ("text/csv;charset=utf8", Some(Format::Csv)),
            ("text/csv; header=present", Some(Format::Csv)),
            ("text/csv; header=absent", None),
            ("text/xml; charset=UTF-8", Some(Format::Xml)),
            ("application/atom+xml;type=feed", Some(Format::Xml)),
            ("application/json; charset=utf-16", None),
            ("application/json; profile=x", None),
            ("application/problem+json", None),
            ("application/x-ndjson", Some(Format::Ndjson)),
            ("application/jsonl; charset=utf-8", Some(Format::Ndjson)),
            ("text/event-stream", Some(Format::EventStream)),
            ("text/event-stream; charset=latin1", None),
            ("multipart/mixed; boundary=\"a b\"", Some(Format::Multipart)),
            ("multipart/mixed", None),
            ("multipart/mixed; boundary=a; boundary=b", None),
            ("multipart/mixed; boundary=\"a*b\"", None),
            ("multipart/form-data; boundary=a", None),
            ("image/svg+xml", None),
            ("text/html", None),
            ("", None),
        ] {
            assert_eq!(Format::of_media_type(text), format, "{text}");
        }
    }
}
