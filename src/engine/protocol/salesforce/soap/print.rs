//! A decided SOAP call, printed for the upstream.

use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use quick_xml::escape::escape;

use super::super::forward::{Target, field_names, query_text, record_id};
use super::super::login::soap::Wsdl;
use crate::engine::protocol::json_body::{self, Node, NodeId, Tree};
use crate::engine::protocol::{Resolved, UpstreamRequest};
use crate::engine::refusal::{Reason, Refusal};

/// A call, and what the same request over REST asks for.
#[derive(Debug)]
pub(in super::super) struct SoapTarget {
    pub(super) wsdl: Wsdl,
    /// API version (major).
    pub(super) version: u16,
    pub(super) call: Call,
    /// What was understood, judged and resolved.
    pub(super) inner: Target,
    /// `QueryOptions`: records of a page.
    pub(super) batch: Option<u16>,
    /// `AllOrNoneHeader`.
    pub(super) all_or_none: bool,
}

/// The calls that go upstream.
#[derive(Debug)]
pub(super) enum Call {
    /// `query`, `queryAll`, `queryMore`, `retrieve`, `search`, `delete`: all stands in the inner target.
    Plain(&'static str),
    /// `describeSObject`, `describeSObjects` (of one object).
    Describe { several: bool, object: Arc<str> },
    /// `describeGlobal`.
    Global,
    /// `getUpdated`, `getDeleted`.
    Changes {
        deleted: bool,
        object: Arc<str>,
        start: String,
        end: String,
    },
    /// `create`, `update`.
    Save(&'static str),
    /// `upsert`, by this field.
    Upsert(Arc<str>),
}

impl Call {
    /// The element of the call.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Plain(name) | Self::Save(name) => name,
            Self::Describe { several: false, .. } => "describeSObject",
            Self::Describe { several: true, .. } => "describeSObjects",
            Self::Global => "describeGlobal",
            Self::Changes { deleted: false, .. } => "getUpdated",
            Self::Changes { deleted: true, .. } => "getDeleted",
            Self::Upsert(_) => "upsert",
        }
    }
}

fn internal() -> Refusal {
    Refusal::new(Reason::Internal, "The request could not be planned")
}

/// `<name>text</name>`; what XML cannot say is refused.
fn leaf(out: &mut String, name: &str, text: &str) -> Result<(), Refusal> {
    if text
        .chars()
        .any(|c| c.is_control() && !matches!(c, '\t' | '\n' | '\r'))
    {
        return Err(Refusal::new(
            Reason::BadRequest,
            "a value holds a character that XML cannot",
        ));
    }
    let text = escape(text).replace('\r', "&#13;");
    write!(out, "<{name}>{text}</{name}>").map_err(|_| internal())
}

impl SoapTarget {
    /// The upstream request; the session id is put into its place on the way.
    pub(in super::super) fn print(
        &self,
        resolved: &Resolved<'_>,
    ) -> Result<UpstreamRequest, Refusal> {
        let word = self.wsdl.word();
        let mut body = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope \
             xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns=\"urn:{word}.soap.sforce.com\" \
             xmlns:ens=\"urn:sobject.{word}.soap.sforce.com\" xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">\
             <soapenv:Header><SessionHeader><sessionId>"
        );
        let session_at = body.len();
        body.push_str("</sessionId></SessionHeader>");
        if let Some(batch) = self.batch {
            write!(
                body,
                "<QueryOptions><batchSize>{batch}</batchSize></QueryOptions>"
            )
            .map_err(|_| internal())?;
        }
        if self.all_or_none {
            body.push_str("<AllOrNoneHeader><allOrNone>true</allOrNone></AllOrNoneHeader>");
        }
        let name = self.call.name();
        write!(body, "</soapenv:Header><soapenv:Body><{name}>").map_err(|_| internal())?;
        self.arguments(resolved, &mut body)?;
        write!(body, "</{name}></soapenv:Body></soapenv:Envelope>").map_err(|_| internal())?;

        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT, HeaderValue::from_static("text/xml"));
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/xml; charset=UTF-8"),
        );
        headers.insert(
            HeaderName::from_static("soapaction"),
            HeaderValue::from_static("\"\""),
        );
        Ok(UpstreamRequest {
            long_poll: false,
            cookies: false,
            method: Method::POST,
            path_and_query: format!("/services/Soap/{}/{}.0", self.wsdl.letter(), self.version),
            headers,
            body: Bytes::from(body),
            session_at: Some(session_at),
        })
    }

    fn arguments(&self, resolved: &Resolved<'_>, out: &mut String) -> Result<(), Refusal> {
        match &self.call {
            Call::Describe { object, .. } => {
                let name = if self.call.name() == "describeSObject" {
                    "sObjectType"
                } else {
                    "sObjectTypes"
                };
                return leaf(out, name, object);
            }
            Call::Global => return Ok(()),
            Call::Changes {
                object, start, end, ..
            } => {
                leaf(out, "sObjectType", object)?;
                leaf(out, "startDate", start)?;
                return leaf(out, "endDate", end);
            }
            Call::Upsert(field) => leaf(out, "externalIDFieldName", field)?,
            Call::Plain(_) | Call::Save(_) => {}
        }
        match &self.inner {
            Target::Query {
                query,
                bindings,
                scopes,
                ..
            } => leaf(
                out,
                "queryString",
                &query_text(query, bindings, scopes, resolved)?,
            ),
            Target::Page { locator, .. } => leaf(out, "queryLocator", locator),
            Target::Search(target) => leaf(out, "searchString", &target.text(resolved)?),
            Target::Retrieve(target) => {
                let names = field_names(&target.fields, &target.conditions, resolved);
                leaf(out, "fieldList", &names.join(","))?;
                leaf(out, "sObjectType", &target.object)?;
                for (index, written) in target.ids.iter().enumerate() {
                    let id = record_id(resolved, target.used, index, written, false)?;
                    leaf(out, "ids", &id)?;
                }
                Ok(())
            }
            Target::Collection(target) => match &target.body {
                Some(template) => {
                    let text = template.print(resolved)?;
                    let tree = json_body::parse(text.as_bytes()).map_err(|_| internal())?;
                    self.records(&tree, out)
                }
                None => {
                    for (used, written) in &target.ids {
                        leaf(out, "ids", &record_id(resolved, *used, 0, written, false)?)?;
                    }
                    Ok(())
                }
            },
            _ => Err(internal()),
        }
    }

    /// The records of the body that the same request over REST would have.
    fn records(&self, tree: &Tree, out: &mut String) -> Result<(), Refusal> {
        let records = tree.member(tree.root, "records").ok_or_else(internal)?;
        let Some(Node::Array(records)) = tree.nodes.get(records) else {
            return Err(internal());
        };
        for record in records {
            self.record(tree, *record, out)?;
        }
        Ok(())
    }

    fn record(&self, tree: &Tree, record: NodeId, out: &mut String) -> Result<(), Refusal> {
        let object = tree
            .member(record, "attributes")
            .and_then(|a| tree.member(a, "type"))
            .and_then(|t| tree.nodes.get(t));
        let (Some(Node::Object(members)), Some(Node::Text(object))) =
            (tree.nodes.get(record), object)
        else {
            return Err(internal());
        };
        match self.wsdl {
            Wsdl::Partner => {
                out.push_str("<sObjects>");
                leaf(out, "ens:type", object)?;
            }
            Wsdl::Enterprise => write!(out, "<sObjects xsi:type=\"ens:{}\">", escape(&**object))
                .map_err(|_| internal())?,
        }
        let mut values = Vec::new();
        for (name, node) in members {
            match tree.nodes.get(*node) {
                _ if name == "attributes" => {}
                Some(Node::Null) => leaf(out, "ens:fieldsToNull", name)?,
                Some(Node::Bool(b)) => values.push((name, b.to_string())),
                Some(Node::Number(text) | Node::Text(text)) => values.push((name, text.clone())),
                _ => return Err(internal()),
            }
        }
        // In the order of the WSDL: fieldsToNull, Id, the fields.
        let is_id = |name: &str| name.eq_ignore_ascii_case("id");
        values.sort_by_key(|(name, _)| !is_id(name));
        for (name, value) in values {
            let name = if is_id(name) { "Id" } else { name };
            leaf(out, &format!("ens:{name}"), &value)?;
        }
        out.push_str("</sObjects>");
        Ok(())
    }
}
