//! The small documents of Bulk API 1.0, in XML and in JSON: what a job is, and what went wrong.

use std::sync::Arc;

use http::HeaderMap;
use quick_xml::escape::escape;

use super::super::bulk::bad;
use super::super::record::object_at;
use super::super::soap::tree;
use super::Content;
use crate::engine::protocol::json_body::{self, Node, print_text};
use crate::engine::refusal::{Reason, Refusal};

/// The namespace of its documents.
const NAMESPACE: &str = "http://www.force.com/2009/06/asyncapi/dataload";

/// Exception codes (Bulk API 2.0 and Bulk API Developer Guide, "Bulk API errors"): none says anything of a value.
const EXCEPTION_CODES: [&str; 16] = [
    "ClientInputError",
    "ExceededQuota",
    "FeatureNotEnabled",
    "InvalidBatch",
    "InvalidEntity",
    "InvalidJob",
    "InvalidJobState",
    "InvalidOperation",
    "InvalidSessionId",
    "InvalidUrl",
    "InvalidUser",
    "InvalidVersion",
    "InvalidXML",
    "Timeout",
    "TooManyLockFailure",
    "Unknown",
];

/// The exception code that stands for an error code of REST.
fn exception(code: &str) -> &'static str {
    if let Some(own) = EXCEPTION_CODES.iter().find(|own| **own == code) {
        return own;
    }
    match code {
        "INVALID_SESSION_ID" => "InvalidSessionId",
        "INSUFFICIENT_ACCESS" => "InvalidUser",
        "NOT_FOUND" => "InvalidUrl",
        "METHOD_NOT_ALLOWED" => "InvalidOperation",
        "REQUEST_LIMIT_EXCEEDED" => "ExceededQuota",
        "REQUEST_TIMEOUT" => "Timeout",
        "INVALID_FIELD"
        | "INVALID_TYPE"
        | "INVALID_QUERY_LOCATOR"
        | "MALFORMED_QUERY"
        | "FIELD_INTEGRITY_EXCEPTION"
        | "JSON_PARSER_ERROR" => "InvalidBatch",
        "SERVER_UNAVAILABLE"
        | "UPSTREAM_UNREACHABLE"
        | "UPSTREAM_UNACCEPTABLE"
        | "UNKNOWN_EXCEPTION" => "Unknown",
        _ => "ClientInputError",
    }
}

/// An error: `{"exceptionCode", "exceptionMessage"}`, or the same in XML. `code`: of REST or of Bulk API 1.0; the former
/// stays at the head of the message, as Salesforce puts it there.
pub fn error_document(code: &str, message: &str, json: bool) -> String {
    let exception = exception(code);
    let message = if exception == code {
        message.to_owned()
    } else {
        format!("{code}: {message}")
    };
    if json {
        return serde_json::json!({ "exceptionCode": exception, "exceptionMessage": message })
            .to_string();
    }
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><error xmlns=\"{NAMESPACE}\"><exceptionCode>{exception}\
         </exceptionCode><exceptionMessage>{}</exceptionMessage></error>",
        escape(&*message)
    )
}

/// The exception code of an error of the upstream, if it is one that is known.
pub fn exception_code(body: &[u8]) -> Option<&'static str> {
    let said = if body.trim_ascii_start().starts_with(b"<") {
        let root = tree(body).ok()?;
        root.text_of("exceptionCode").ok()??.trim().to_owned()
    } else {
        let root: serde_json::Value = serde_json::from_slice(body).ok()?;
        root.get("exceptionCode")?.as_str()?.to_owned()
    };
    EXCEPTION_CODES.iter().find(|own| **own == said).copied()
}

/// A document that says something of a job: plain members.
pub(super) struct Document(Vec<(String, String)>);

fn malformed() -> Refusal {
    Refusal::new(
        Reason::MalformedBody,
        "a job is a jobInfo of plain members, in application/xml or application/json",
    )
    .coded("InvalidXML")
}

impl Document {
    /// Reads a job's document, in XML or JSON as its content type says.
    pub(super) fn read(headers: &HeaderMap, body: &[u8]) -> Result<(Content, Self), Refusal> {
        match Content::of(headers) {
            Some(Content::Json) => Ok((Content::Json, Self::from_json(headers, body)?)),
            Some(Content::Xml) => Ok((Content::Xml, Self::from_xml(body)?)),
            _ => Err(Refusal::new(
                Reason::UnsupportedMediaType,
                "a job is sent as application/xml or application/json",
            )),
        }
    }

    fn from_json(headers: &HeaderMap, body: &[u8]) -> Result<Self, Refusal> {
        let tree = json_body::read(headers, body)?;
        let mut members = Vec::new();
        for (name, value) in object_at(&tree, tree.root)? {
            match tree.nodes.get(*value) {
                Some(Node::Null) => {}
                Some(Node::Text(text) | Node::Number(text)) => {
                    members.push((name.clone(), text.clone()));
                }
                _ => return Err(malformed()),
            }
        }
        Ok(Self(members))
    }

    fn from_xml(body: &[u8]) -> Result<Self, Refusal> {
        let root = tree(body).map_err(|_| malformed())?;
        if root.name != "jobInfo" {
            return Err(malformed());
        }
        let mut members: Vec<(String, String)> = Vec::new();
        for child in root.children {
            if !child.children.is_empty() || members.iter().any(|(n, _)| *n == child.name) {
                return Err(malformed());
            }
            if !child.nil {
                members.push((child.name, child.text.trim().to_owned()));
            }
        }
        Ok(Self(members))
    }

    /// The text of a member.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(n, _)| n == name);
        found.map(|(_, text)| text.as_str())
    }

    /// The text of the one member that there may be.
    pub(super) fn only(&self, name: &str) -> Result<&str, Refusal> {
        self.known(&[name])?;
        self.get(name)
            .ok_or_else(|| bad(format!("{name} is needed")))
    }

    /// Refuses members that no one asks for.
    pub(super) fn known(&self, names: &[&str]) -> Result<(), Refusal> {
        if self.0.iter().all(|(name, _)| names.contains(&&**name)) {
            return Ok(());
        }
        Err(bad(format!(
            "a bulk job takes the members {} through this proxy",
            names.join(", ")
        )))
    }

    /// Prints a job's document. The members are privet's own words and names of the schema.
    pub(super) fn print(style: Content, members: &[(&str, Arc<str>)]) -> String {
        let mut out = String::new();
        if style == Content::Json {
            for (name, text) in members {
                out.push_str(if out.is_empty() { "{" } else { "," });
                print_text(name, &mut out);
                out.push(':');
                print_text(text, &mut out);
            }
            out.push('}');
            return out;
        }
        out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?><jobInfo xmlns=\"");
        out.push_str(NAMESPACE);
        out.push_str("\">");
        for (name, text) in members {
            out.push_str(&format!("<{name}>{}</{name}>", escape(&**text)));
        }
        out.push_str("</jobInfo>");
        out
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use http::header::CONTENT_TYPE;

    use super::*;

    fn read(kind: &'static str, body: &str) -> Result<(Content, Document), Refusal> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        Document::read(&headers, body.as_bytes())
    }

    #[test]
    fn a_job_is_read_in_both_formats_and_printed_again() {
        let xml = format!("<jobInfo xmlns=\"{NAMESPACE}\"><state>Closed</state></jobInfo>");
        for (kind, body) in [
            ("application/json", "{\"state\":\"Closed\",\"object\":null}"),
            ("application/xml; charset=utf-8", &xml),
        ] {
            let (style, document) = read(kind, body).unwrap();
            assert_eq!(document.only("state").unwrap(), "Closed");
            let printed = Document::print(style, &[("state", "Closed".into())]);
            assert!(body.starts_with('{') || printed.ends_with(&xml));
        }
        for (kind, body) in [
            ("text/csv", "state"),
            ("application/json", "{\"state\":{}}"),
            ("application/json", "[]"),
            ("application/xml", "<jobInfo><a>1</a><a>2</a></jobInfo>"),
            ("application/xml", "<jobInfo><a><b/></a></jobInfo>"),
            ("application/xml", "<!DOCTYPE x><jobInfo/>"),
            ("application/xml", "<other/>"),
        ] {
            assert!(read(kind, body).is_err(), "{kind} {body}");
        }
    }

    #[test]
    fn an_error_has_a_code_from_a_closed_list() {
        let xml = error_document("INVALID_FIELD", "<no>", false);
        assert!(xml.contains("<exceptionCode>InvalidBatch</exceptionCode>"));
        assert!(xml.contains("INVALID_FIELD: &lt;no&gt;"));
        assert_eq!(exception_code(xml.as_bytes()), Some("InvalidBatch"));
        let json = error_document("InvalidJob", "none", true);
        assert_eq!(exception_code(json.as_bytes()), Some("InvalidJob"));
        assert_eq!(
            exception_code(b"{\"exceptionCode\":\"jo@example.org\"}"),
            None
        );
        assert_eq!(exception_code(b"oops"), None);
        assert!(EXCEPTION_CODES.is_sorted());
    }
}
