//! Salesforce's SOAP API, partner and enterprise (SOAP API Developer Guide, "Core Calls").
//!
//! Every call is understood as the same request over REST is, so that one rule gives one answer on both; then its
//! answer's shape is put into SOAP's envelope and its upstream request is printed as an envelope again.

mod print;
mod read;
pub mod wsdl;

use std::sync::Arc;

use http::Method;

pub(super) use print::SoapTarget;
pub(super) use read::tree;

use print::Call;
use read::{Element, Envelope};

use super::cursor::{self, Cursor};
use super::forward::Target;
use super::login::soap::{Wsdl, malformed};
use super::route::is_name;
use super::{Forward, Request, Surroundings};
use crate::engine::identity::Proof;
use crate::engine::protocol::json_body::{self, print_text};
use crate::engine::protocol::{
    Forward as AnyForward, Link, Operation, Shape, XmlNull, XmlShape, XmlTyped,
};
use crate::engine::refusal::{Reason, Refusal};

/// Longest request that is read, bytes: it names its caller inside, so it is read before anything is known of them.
pub const ENVELOPE_BYTES_MAX: usize = 1 << 20;

/// Header entries that mean nothing here, or nothing that the caller could lose: left out.
const LEFT_OUT: [&str; 8] = [
    "SessionHeader",
    "MruHeader",
    "LocaleOptions",
    "LimitInfoHeader",
    "PackageVersionHeader",
    "StreamingEnabledHeader",
    "DisableFeedTrackingHeader",
    "EmailHeader",
];

fn closed(what: &str) -> Refusal {
    Refusal::new(
        Reason::EndpointClosed,
        format!("{what}: not open through this proxy"),
    )
}

/// What the header of a call says beside the session.
#[derive(Debug, Default)]
struct Options {
    batch: Option<u16>,
    all_or_none: bool,
}

impl Options {
    fn read(headers: &[Element]) -> Result<Self, Refusal> {
        let mut options = Self::default();
        for header in headers {
            match &*header.name {
                name if LEFT_OUT.contains(&name) => {}
                "CallOptions" => {
                    // A default namespace would change what names mean.
                    if header
                        .text_of("defaultNamespace")?
                        .is_some_and(|n| !n.is_empty())
                    {
                        return Err(closed("CallOptions.defaultNamespace"));
                    }
                }
                "QueryOptions" => {
                    let size = header.text_of("batchSize")?.map(str::trim);
                    options.batch = match size.filter(|s| !s.is_empty()) {
                        None => None,
                        Some(size) => Some(
                            size.parse()
                                .ok()
                                .filter(|n| (1..=2000).contains(n))
                                .ok_or_else(malformed)?,
                        ),
                    };
                }
                "AllOrNoneHeader" => {
                    options.all_or_none = match header.need("allOrNone")?.trim() {
                        "true" | "1" => true,
                        "false" | "0" => false,
                        _ => return Err(malformed()),
                    };
                }
                name if is_name(name) => {
                    return Err(closed(&format!("The SOAP header {name}")));
                }
                _ => return Err(malformed()),
            }
        }
        Ok(options)
    }
}

impl Request<'_> {
    /// A call at `/services/Soap/u|c/{version}`.
    pub(super) fn soap(
        self,
        wsdl: Wsdl,
        version: u16,
        body: &[u8],
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        if around.caller.proof == Proof::Passthrough {
            return Err(closed("The SOAP API with a credential of the CRM"));
        }
        let Envelope { headers, call } = read::envelope(body)?;
        let options = Options::read(&headers)?;
        let api = self.api.name.clone();
        let (operation, kind) = match &*call.name {
            name @ ("query" | "queryAll") => {
                call.only(&["queryString"])?;
                let all = name == "queryAll";
                let soql = call.need("queryString")?;
                let cursor = Cursor::new(&api, version, all, soql, around.caller);
                let name = if all { "queryAll" } else { "query" };
                (self.query(cursor)?, Call::Plain(name))
            }
            "queryMore" => {
                call.only(&["queryLocator"])?;
                let locator = call.need("queryLocator")?.trim();
                let cursor = Cursor::open(locator, around.open, &api, around.caller)?;
                if cursor.version != version || cursor.soql.starts_with('/') {
                    return Err(cursor::invalid());
                }
                (self.page(cursor)?, Call::Plain("queryMore"))
            }
            "retrieve" => {
                call.only(&["fieldList", "sObjectType", "ids"])?;
                let ids = call.texts_of("ids").collect::<Result<Vec<_>, _>>()?;
                let object = name_of(call.need("sObjectType")?)?;
                let fields = call.need("fieldList")?.to_owned();
                let ids = ids.join(",");
                let lists = Some((&*ids, &*fields));
                let operation = self.retrieve(version, &Method::GET, &object, lists, None)?;
                (operation, Call::Plain("retrieve"))
            }
            "search" => {
                call.only(&["searchString"])?;
                let sosl = call.need("searchString")?;
                (self.sosl(version, sosl)?, Call::Plain("search"))
            }
            "describeGlobal" => {
                call.only(&[])?;
                (self.describe_global(version), Call::Global)
            }
            name @ ("describeSObject" | "describeSObjects") => {
                let several = name == "describeSObjects";
                let child = if several {
                    "sObjectTypes"
                } else {
                    "sObjectType"
                };
                call.only(&[child])?;
                let mut names = call.texts_of(child);
                let (Some(one), None) = (names.next(), names.next()) else {
                    return Err(closed("describeSObjects of other than one object"));
                };
                let written = name_of(one?)?;
                let object = self
                    .catalog
                    .object(&api, &written)
                    .map_or_else(|| written.clone(), |o| self.catalog.get(o).name.clone());
                let operation = self.describe(version, &written)?;
                (operation, Call::Describe { several, object })
            }
            name @ ("getUpdated" | "getDeleted") => {
                call.only(&["sObjectType", "startDate", "endDate"])?;
                let deleted = name == "getDeleted";
                let written = name_of(call.need("sObjectType")?)?;
                let start = call.need("startDate")?.trim().to_owned();
                let end = call.need("endDate")?.trim().to_owned();
                let object = self
                    .catalog
                    .object(&api, &written)
                    .map_or_else(|| written.clone(), |o| self.catalog.get(o).name.clone());
                let operation = self.changes(version, &written, deleted, (&start, &end))?;
                let kind = Call::Changes {
                    deleted,
                    object,
                    start,
                    end,
                };
                (operation, kind)
            }
            name @ ("create" | "update" | "upsert") => {
                self.saves(version, name, wsdl, &call, options.all_or_none)?
            }
            "delete" => {
                call.only(&["ids"])?;
                let ids = call.texts_of("ids").collect::<Result<Vec<_>, _>>()?;
                let operation = self.delete_all(version, &ids.join(","), options.all_or_none)?;
                (operation, Call::Plain("delete"))
            }
            name if is_name(name) => return Err(closed(&format!("The SOAP call {name}"))),
            _ => return Err(malformed()),
        };
        if wsdl == Wsdl::Partner && says_type(&operation.shape) {
            // Its element and the one that says the record's object differ by case alone.
            return Err(closed("A field named Type in the partner API"));
        }
        Ok(wrap(operation, kind, wsdl, version, &options))
    }

    /// `create`, `update` and `upsert`: the same body that REST takes, judged as one.
    fn saves(
        self,
        version: u16,
        name: &str,
        wsdl: Wsdl,
        call: &Element,
        all_or_none: bool,
    ) -> Result<(Operation, Call), Refusal> {
        call.only(&["externalIDFieldName", "sObjects"])?;
        let mut body = format!("{{\"allOrNone\":{all_or_none},\"records\":[");
        let mut first: Option<Arc<str>> = None;
        for (i, record) in call
            .children
            .iter()
            .filter(|c| c.name == "sObjects")
            .enumerate()
        {
            if i > 0 {
                body.push(',');
            }
            let object = record_json(record, wsdl, &mut body)?;
            first.get_or_insert(object);
        }
        body.push_str("]}");
        let tree = json_body::parse(body.as_bytes()).map_err(|_| malformed())?;
        let external = call.text_of("externalIDFieldName")?;
        match (name, external) {
            ("upsert", Some(field)) => {
                let field = name_of(field)?;
                let object = first.ok_or_else(malformed)?;
                let by = Some((&object, &field));
                let spelt = self
                    .catalog
                    .object(&self.api.name, &object)
                    .map(|o| self.catalog.get(o))
                    .and_then(|o| Some(o.fields.get(o.field(&field)? as usize)?.name.clone()))
                    .unwrap_or_else(|| field.clone());
                let operation = self.save(version, &Method::PATCH, &tree, by)?;
                Ok((operation, Call::Upsert(spelt)))
            }
            ("create", None) => {
                let operation = self.save(version, &Method::POST, &tree, None)?;
                Ok((operation, Call::Save("create")))
            }
            ("update", None) => {
                let operation = self.save(version, &Method::PATCH, &tree, None)?;
                Ok((operation, Call::Save("update")))
            }
            _ => Err(malformed()),
        }
    }
}

/// Whether a record of the answer has a field that is named like the element that says its object.
pub(super) fn says_type(shape: &Shape) -> bool {
    let in_record = |members: &[(Arc<str>, Shape)]| {
        members
            .iter()
            .any(|(key, member)| key.eq_ignore_ascii_case("type") || says_type(member))
    };
    match shape {
        Shape::Object(members) => {
            let row = members.iter().any(|(key, _)| &**key == "attributes");
            if row {
                in_record(members)
            } else {
                members.iter().any(|(_, member)| says_type(member))
            }
        }
        Shape::Array { element, .. } => says_type(element),
        Shape::Record(record) => in_record(&record.members),
        Shape::OneOf { records, .. } => records.iter().any(|r| in_record(&r.members)),
        _ => false,
    }
}

fn name_of(text: &str) -> Result<Arc<str>, Refusal> {
    let name = text.trim();
    if is_name(name) {
        Ok(name.into())
    } else {
        Err(malformed())
    }
}

/// One record as REST's body spells it. Gives its object.
fn record_json(record: &Element, wsdl: Wsdl, out: &mut String) -> Result<Arc<str>, Refusal> {
    let object = match wsdl {
        Wsdl::Partner => record.need("type")?,
        Wsdl::Enterprise => record.kind.as_deref().ok_or_else(malformed)?,
    };
    let object = name_of(object)?;
    out.push_str("{\"attributes\":{\"type\":");
    print_text(&object, out);
    out.push('}');
    for child in &record.children {
        match &*child.name {
            "type" if wsdl == Wsdl::Partner => continue,
            // What a client writes where it has no value.
            "fieldsToNull" | "Id" if child.nil || child.text.trim().is_empty() => continue,
            _ if !child.children.is_empty() => {
                return Err(closed("A record inside a record of a SOAP call"));
            }
            "fieldsToNull" => {
                out.push(',');
                print_text(child.text.trim(), out);
                out.push_str(":null");
            }
            name => {
                out.push(',');
                print_text(name, out);
                out.push(':');
                if child.nil {
                    out.push_str("null");
                } else {
                    print_text(&child.text, out);
                }
            }
        }
    }
    out.push('}');
    Ok(object)
}

/// The operation as a SOAP call.
fn wrap(
    mut operation: Operation,
    call: Call,
    wsdl: Wsdl,
    version: u16,
    options: &Options,
) -> Operation {
    operation.endpoint = format!("soap-{}", call.name()).into();
    let AnyForward::Salesforce(forward) = &mut operation.forward else {
        return operation;
    };
    let forward: &mut Forward = forward;
    if matches!(forward.target, Target::Refused(_)) {
        return operation;
    }
    let inner = std::mem::replace(&mut forward.target, Target::Fixed(String::new()));
    let response = format!("{}Response", call.name());
    forward.target = Target::Soap(Box::new(SoapTarget {
        wsdl,
        version,
        call,
        inner,
        batch: options.batch,
        all_or_none: options.all_or_none,
    }));
    let result = std::mem::replace(&mut operation.shape, Shape::Drop);
    let result = in_xml(result, wsdl);
    let object = |key: String, shape: Shape| Shape::Object(vec![(key.into(), shape)]);
    operation.shape = Shape::Xml(Box::new(XmlShape {
        root: object(
            "Body".into(),
            object(response, object("result".into(), result)),
        ),
        typed: match wsdl {
            Wsdl::Partner => XmlTyped::Child,
            Wsdl::Enterprise => XmlTyped::Attribute,
        },
        null: XmlNull::Xsi,
    }));
    operation
}

/// An answer's shape under the names that SOAP has for its members.
fn in_xml(shape: Shape, wsdl: Wsdl) -> Shape {
    match shape {
        Shape::Object(members) => {
            let mut out = Vec::with_capacity(members.len());
            for (key, member) in members {
                match (&*key, member) {
                    ("totalSize", member) => out.push(("size".into(), member)),
                    ("nextRecordsUrl", Shape::Link(link)) => out.push((
                        "queryLocator".into(),
                        Shape::Link(match link {
                            Link::Origin => Link::Closed,
                            link => link,
                        }),
                    )),
                    // A row of an aggregate says what it is.
                    ("attributes", Shape::Object(_)) => {
                        if wsdl == Wsdl::Partner {
                            let word = Shape::Expect("AggregateResult".into());
                            out.push(("type".into(), word));
                        }
                    }
                    ("searchRecords", Shape::Array { element, rows }) => {
                        let record = in_xml(*element, wsdl);
                        let one = Shape::Object(vec![("record".into(), record)]);
                        out.push((
                            key,
                            Shape::Array {
                                element: Box::new(one),
                                rows,
                            },
                        ));
                    }
                    ("metadata", _) => {}
                    (_, member) => out.push((key, in_xml(member, wsdl))),
                }
            }
            Shape::Object(out)
        }
        Shape::Array { element, rows } => Shape::Array {
            element: Box::new(in_xml(*element, wsdl)),
            rows,
        },
        Shape::Record(mut record) => {
            for (_, member) in &mut record.members {
                let taken = std::mem::replace(member, Shape::Drop);
                *member = in_xml(taken, wsdl);
            }
            Shape::Record(record)
        }
        Shape::OneOf {
            mut records,
            others_dropped,
        } => {
            for record in &mut records {
                for (_, member) in &mut record.members {
                    let taken = std::mem::replace(member, Shape::Drop);
                    *member = in_xml(taken, wsdl);
                }
            }
            Shape::OneOf {
                records,
                others_dropped,
            }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::catalog::ObjectId;
    use crate::engine::protocol::RecordShape;

    fn record(key: &str) -> Shape {
        Shape::Record(RecordShape {
            objects: vec![ObjectId(0)],
            scope: 0,
            members: vec![(key.into(), Shape::Value(Vec::new()))],
            enveloped: false,
            all_fields: false,
            attributes: true,
            paths: Vec::new(),
        })
    }

    fn rows(element: Shape) -> Shape {
        let list = Shape::Array {
            element: Box::new(element),
            rows: true,
        };
        Shape::Object(vec![("records".into(), list)])
    }

    #[test]
    fn a_field_named_like_the_element_of_the_object_is_found_wherever_it_stands() {
        assert!(says_type(&rows(record("Type"))) && !says_type(&rows(record("Name"))));
        let aggregate = |alias: &str| {
            Shape::Object(vec![
                ("attributes".into(), Shape::Object(Vec::new())),
                (alias.into(), Shape::Value(Vec::new())),
            ])
        };
        assert!(says_type(&rows(aggregate("TYPE"))) && !says_type(&rows(aggregate("n"))));
        // A described field has a type of its own, which is no record's.
        assert!(!says_type(&Shape::Object(vec![(
            "type".into(),
            Shape::Keep
        )])));
    }

    #[test]
    fn members_get_the_names_of_soap() {
        let rest = Shape::Object(vec![
            ("totalSize".into(), Shape::Number),
            ("nextRecordsUrl".into(), Shape::Link(Link::NextPage)),
            ("attributes".into(), Shape::Object(Vec::new())),
        ]);
        let names = |wsdl| match in_xml(rest.clone(), wsdl) {
            Shape::Object(members) => members.iter().map(|(k, _)| k.to_string()).collect(),
            _ => Vec::new(),
        };
        assert_eq!(names(Wsdl::Partner), ["size", "queryLocator", "type"]);
        assert_eq!(names(Wsdl::Enterprise), ["size", "queryLocator"]);
    }

    #[test]
    fn headers_that_would_change_the_meaning_are_refused() {
        let header = |name: &str| Element {
            name: name.into(),
            ..Element::default()
        };
        assert!(Options::read(&[header("SessionHeader"), header("MruHeader")]).is_ok());
        for name in ["DuplicateRuleHeader", "AssignmentRuleHeader", "Nothing"] {
            let refusal = Options::read(&[header(name)]).unwrap_err();
            assert_eq!(refusal.reason, Reason::EndpointClosed);
            assert!(refusal.message.contains(name));
        }
        assert!(Options::read(&[header("AllOrNoneHeader")]).is_err());
    }
}
