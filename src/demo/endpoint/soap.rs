//! `/services/Soap/u|c/{version}`: the SOAP API, partner and enterprise, over the same records as REST.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use http::HeaderValue;
use quick_xml::Reader;
use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};
use serde_json::{Map, Value as Json, json};

use crate::demo::crm::{Asked, CLIENT_ID, CLIENT_SECRET, Crm, ORGANISATION, Reply};

/// An element of the request.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    kind: String,
    pub(super) nil: bool,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|c| c.name == name)
    }

    fn text(&self, name: &str) -> &str {
        self.child(name).map_or("", |c| c.text.trim())
    }

    fn texts(&self, name: &str) -> Vec<&str> {
        let all = self.children.iter().filter(|c| c.name == name);
        all.map(|c| c.text.trim()).collect()
    }
}

fn element(start: &BytesStart<'_>) -> Element {
    let mut element = Element {
        name: start.local_name().as_ref().to_owned(),
        ..Element::default()
    };
    for attribute in start.attributes().flatten() {
        match attribute.key.local_name().as_ref() {
            "nil" => element.nil = attribute.value.trim() == "true",
            "type" => {
                let local = attribute.value.rsplit(':').next();
                element.kind = local.unwrap_or_default().to_owned();
            }
            _ => {}
        }
    }
    element
}

/// Reads a document.
pub(super) fn parse(body: &[u8]) -> Option<Element> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = Reader::from_str(text);
    let mut open = vec![Element::default()];
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => open.push(element(&start)),
            Event::Empty(start) => open.last_mut()?.children.push(element(&start)),
            Event::End(_) => {
                let done = open.pop()?;
                open.last_mut()?.children.push(done);
            }
            Event::Text(text) => open.last_mut()?.text.push_str(&text),
            Event::CData(text) => open.last_mut()?.text.push_str(&text),
            Event::GeneralRef(reference) => {
                let character = if reference.is_char_ref() {
                    reference.resolve_char_ref().ok()??
                } else {
                    match &*reference {
                        "amp" => '&',
                        "lt" => '<',
                        "gt" => '>',
                        "quot" => '"',
                        "apos" => '\'',
                        _ => return None,
                    }
                };
                open.last_mut()?.text.push(character);
            }
            Event::DocType(_) => return None,
            Event::Eof => break,
            _ => {}
        }
    }
    open.pop()?.children.pop()
}

/// One call in its surroundings.
struct Call<'a> {
    crm: &'a Crm,
    asked: &'a Asked,
    version: &'a str,
    partner: bool,
    session: &'a str,
    batch: &'a str,
    call: &'a Element,
}

/// Code and message of a fault.
type Faulty = (String, String);

fn fault(code: &str, message: &str) -> Reply {
    let (code, message) = (escape(code), escape(message));
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope \
         xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns:sf=\"urn:fault.partner.soap.sforce.com\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Body><soapenv:Fault>\
         <faultcode>sf:{code}</faultcode><faultstring>{code}: {message}</faultstring><detail>\
         <sf:UnexpectedErrorFault xsi:type=\"sf:UnexpectedErrorFault\"><sf:exceptionCode>{code}</sf:exceptionCode>\
         <sf:exceptionMessage>{message}</sf:exceptionMessage></sf:UnexpectedErrorFault></detail></soapenv:Fault>\
         </soapenv:Body></soapenv:Envelope>"
    );
    xml(500, body)
}

fn xml(status: u16, body: String) -> Reply {
    Reply {
        status,
        headers: vec![("content-type", "text/xml; charset=utf-8".to_owned())],
        body: body.into_bytes(),
    }
}

/// The answer. `letter`: of the path, `u` or `c`.
pub fn answer(crm: &Crm, asked: &Asked, letter: &str, version: &str) -> Reply {
    let envelope = parse(&asked.body).filter(|e| e.name == "Envelope");
    let Some(call) = envelope
        .as_ref()
        .and_then(|e| e.child("Body"))
        .and_then(|b| b.children.first())
    else {
        return fault("INVALID_REQUEST", "no SOAP envelope");
    };
    let header = |name: &str, member: &str| {
        envelope
            .as_ref()
            .and_then(|e| e.child("Header"))
            .and_then(|h| h.child(name))
            .map_or("", |h| h.text(member))
    };
    let call = Call {
        crm,
        asked,
        version,
        partner: letter == "u",
        session: header("SessionHeader", "sessionId"),
        batch: header("QueryOptions", "batchSize"),
        call,
    };
    let word = if call.partner {
        "partner"
    } else {
        "enterprise"
    };
    match call.result() {
        Ok(result) => xml(
            200,
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><soapenv:Envelope \
                 xmlns:soapenv=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns=\"urn:{word}.soap.sforce.com\" \
                 xmlns:sf=\"urn:sobject.{word}.soap.sforce.com\" xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\" \
                 xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><soapenv:Header><LimitInfoHeader><limitInfo>\
                 <current>18</current><limit>15000</limit><type>API REQUESTS</type></limitInfo></LimitInfoHeader>\
                 </soapenv:Header><soapenv:Body><{0}Response>{result}</{0}Response></soapenv:Body></soapenv:Envelope>",
                call.call.name
            ),
        ),
        Err((code, message)) => fault(&code, &message),
    }
}

impl Call<'_> {
    /// Asks the same over REST.
    fn rest(
        &self,
        method: &str,
        path: &str,
        query: &[(&str, &str)],
        body: &Json,
    ) -> Result<Json, Faulty> {
        let target = format!("/services/data/v{}/{path}", self.version);
        let mut headers = http::HeaderMap::new();
        let bearer = HeaderValue::from_str(&format!("Bearer {}", self.session));
        if let Ok(bearer) = bearer {
            headers.insert("authorization", bearer);
        }
        if let Ok(batch) = HeaderValue::from_str(&format!("batchSize={}", self.batch)) {
            headers.insert("sforce-query-options", batch);
        }
        let inner = Asked {
            method: method.to_owned(),
            segments: target.split('/').skip(1).map(str::to_owned).collect(),
            target,
            query: query
                .iter()
                .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
                .collect(),
            headers,
            body: if body.is_null() {
                Vec::new()
            } else {
                body.to_string().into_bytes()
            },
            origin: self.asked.origin.clone(),
        };
        let reply = self.crm.inner(&inner);
        let body: Json = serde_json::from_slice(&reply.body).unwrap_or(Json::Null);
        if reply.status < 300 {
            return Ok(body);
        }
        let word = |name: &str| {
            body[0][name]
                .as_str()
                .unwrap_or("UNKNOWN_EXCEPTION")
                .to_owned()
        };
        Err((word("errorCode"), word("message")))
    }

    fn result(&self) -> Result<String, Faulty> {
        let call = self.call;
        let get = |path: &str, query: &[(&str, &str)]| self.rest("GET", path, query, &Json::Null);
        match call.name.as_str() {
            "login" => {
                if call.text("username") != CLIENT_ID || call.text("password") != CLIENT_SECRET {
                    return Err((
                        "INVALID_LOGIN".into(),
                        "Invalid username, password, security token; or user locked out.".into(),
                    ));
                }
                Ok(format!(
                    "<result><serverUrl>{}/services/Soap/u/{}/{ORGANISATION}</serverUrl><sessionId>{}</sessionId></result>",
                    escape(self.asked.origin.as_str()),
                    self.version,
                    self.crm.open_session()
                ))
            }
            "logout" => {
                get("limits", &[])?;
                Ok(String::new())
            }
            "getServerTimestamp" => {
                get("limits", &[])?;
                Ok("<result><timestamp>2026-11-23T12:00:00.000Z</timestamp></result>".into())
            }
            "getUserInfo" => {
                get("limits", &[])?;
                Ok(format!(
                    "<result><organizationId>{ORGANISATION}</organizationId></result>"
                ))
            }
            "query" | "queryAll" => {
                let page = get(&call.name, &[("q", call.text("queryString"))])?;
                Ok(self.query_result("result", &page))
            }
            "queryMore" => {
                let page = get(&format!("query/{}", call.text("queryLocator")), &[])?;
                Ok(self.query_result("result", &page))
            }
            "search" => {
                let found = get("search", &[("q", call.text("searchString"))])?;
                let mut out = String::from("<result>");
                for record in found["searchRecords"].as_array().into_iter().flatten() {
                    out.push_str("<searchRecords>");
                    self.record("record", record, &mut out);
                    out.push_str("</searchRecords>");
                }
                out.push_str("</result>");
                Ok(out)
            }
            "retrieve" => {
                let fields: Vec<&str> = call.text("fieldList").split(',').map(str::trim).collect();
                let body = json!({"ids": call.texts("ids"), "fields": fields});
                let path = format!("composite/sobjects/{}", call.text("sObjectType"));
                let found = self.rest("POST", &path, &[], &body)?;
                let mut out = String::new();
                for record in found.as_array().into_iter().flatten() {
                    self.record("result", record, &mut out);
                }
                Ok(out)
            }
            "describeGlobal" => {
                let mut out = String::new();
                value("result", &get("sobjects", &[])?, &mut out);
                Ok(out)
            }
            "describeSObject" | "describeSObjects" => {
                let names = [call.texts("sObjectType"), call.texts("sObjectTypes")].concat();
                let mut out = String::new();
                for name in names {
                    let described = get(&format!("sobjects/{name}/describe"), &[])?;
                    value("result", &described, &mut out);
                }
                Ok(out)
            }
            "getUpdated" | "getDeleted" => {
                let what = if call.name == "getUpdated" {
                    "updated"
                } else {
                    "deleted"
                };
                let path = format!("sobjects/{}/{what}", call.text("sObjectType"));
                let times = [
                    ("start", call.text("startDate")),
                    ("end", call.text("endDate")),
                ];
                let mut out = String::new();
                value("result", &get(&path, &times)?, &mut out);
                Ok(out)
            }
            "create" => self.save("POST", "composite/sobjects"),
            "update" => self.save("PATCH", "composite/sobjects"),
            "upsert" => {
                let first = call.child("sObjects");
                let object = first.map_or("", |r| self.object_of(r)).to_owned();
                let field = call.text("externalIDFieldName");
                self.save("PATCH", &format!("composite/sobjects/{object}/{field}"))
            }
            "delete" => {
                let ids = call.texts("ids").join(",");
                let found = self.rest(
                    "DELETE",
                    "composite/sobjects",
                    &[("ids", &ids)],
                    &Json::Null,
                )?;
                Ok(results(&found))
            }
            name => Err((
                "INVALID_OPERATION".into(),
                format!("No operation available for request {name}"),
            )),
        }
    }

    fn object_of<'e>(&self, record: &'e Element) -> &'e str {
        if self.partner {
            record.text("type")
        } else {
            &record.kind
        }
    }

    fn save(&self, method: &str, path: &str) -> Result<String, Faulty> {
        let records: Vec<Json> = self
            .call
            .children
            .iter()
            .filter(|c| c.name == "sObjects")
            .map(|record| {
                let mut fields = Map::new();
                fields.insert("attributes".into(), json!({"type": self.object_of(record)}));
                for child in &record.children {
                    match child.name.as_str() {
                        "type" if self.partner => {}
                        "fieldsToNull" => {
                            fields.insert(child.text.trim().to_owned(), Json::Null);
                        }
                        "Id" if child.nil => {}
                        "Id" => {
                            fields.insert("id".into(), child.text.trim().into());
                        }
                        name => {
                            fields.insert(name.to_owned(), child.text.clone().into());
                        }
                    }
                }
                Json::Object(fields)
            })
            .collect();
        let found = self.rest(method, path, &[], &json!({ "records": records }))?;
        Ok(results(&found))
    }

    /// A page of a query, or of a child query.
    fn query_result(&self, name: &str, page: &Json) -> String {
        let mut out = format!(
            "<{name} xsi:type=\"QueryResult\"><done>{}</done>",
            page["done"]
        );
        match page["nextRecordsUrl"]
            .as_str()
            .and_then(|u| u.rsplit('/').next())
        {
            Some(locator) => {
                let _ = write!(out, "<queryLocator>{locator}</queryLocator>");
            }
            None => out.push_str("<queryLocator xsi:nil=\"true\"/>"),
        }
        for record in page["records"].as_array().into_iter().flatten() {
            self.record("records", record, &mut out);
        }
        let _ = write!(out, "<size>{}</size></{name}>", page["totalSize"]);
        out
    }

    fn record(&self, name: &str, record: &Json, out: &mut String) {
        let Some(fields) = record.as_object() else {
            let _ = write!(out, "<{name} xsi:nil=\"true\"/>");
            return;
        };
        let object = record["attributes"]["type"].as_str().unwrap_or_default();
        if self.partner {
            let _ = write!(
                out,
                "<{name} xsi:type=\"sf:sObject\"><sf:type>{object}</sf:type>"
            );
            // The partner API gives the id once for itself, and again among the fields.
            value("sf:Id", &record["Id"], out);
        } else {
            let _ = write!(out, "<{name} xsi:type=\"sf:{object}\">");
        }
        for (key, field) in fields.iter().filter(|(key, _)| *key != "attributes") {
            let tag = format!("sf:{key}");
            if field.get("attributes").is_some() {
                self.record(&tag, field, out);
            } else if field.get("records").is_some() {
                out.push_str(&self.query_result(&tag, field));
            } else {
                value(&tag, field, out);
            }
        }
        let _ = write!(out, "</{name}>");
    }
}

/// Results of a change.
fn results(found: &Json) -> String {
    let mut out = String::new();
    for one in found.as_array().into_iter().flatten() {
        let mut fields = one.as_object().cloned().unwrap_or_default();
        fields.entry("id").or_insert(Json::Null);
        value("result", &Json::Object(fields), &mut out);
    }
    out
}

/// Any value: the elements of a list side by side, members in the order of their names.
fn value(name: &str, json: &Json, out: &mut String) {
    match json {
        Json::Null => {
            let _ = write!(out, "<{name} xsi:nil=\"true\"/>");
        }
        Json::Array(items) => items.iter().for_each(|item| value(name, item, out)),
        Json::Object(members) => {
            let _ = write!(out, "<{name}>");
            let sorted: BTreeMap<&String, &Json> = members.iter().collect();
            for (key, member) in sorted {
                value(key, member, out);
            }
            let _ = write!(out, "</{name}>");
        }
        // XML Schema wants a colon or a Z in a time zone, where REST writes neither.
        Json::String(text) if text.len() == 28 && text.ends_with("+0000") => {
            let _ = write!(out, "<{name}>{}Z</{name}>", escape(&text[..23]));
        }
        Json::String(text) => {
            let _ = write!(out, "<{name}>{}</{name}>", escape(text.as_str()));
        }
        Json::Number(number) => {
            // A WSDL says double or int; a double without a fraction keeps its point.
            let _ = write!(out, "<{name}>{number}</{name}>");
        }
        Json::Bool(b) => {
            let _ = write!(out, "<{name}>{b}</{name}>");
        }
    }
}
