//! The envelope of a SOAP 1.1 call as a tree: read strictly and bounded, printed anew. Elements are known by their
//! local names; what goes upstream is written from this tree, so there is no second reader to disagree with.

use std::fmt;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::super::login::soap::{DEPTH_MAX, malformed, resolved};
use crate::engine::refusal::Refusal;

/// Most elements of an envelope.
const ELEMENTS_MAX: usize = 50_000;

/// One element. `Debug` shows its name alone.
#[derive(Default)]
pub(in super::super) struct Element {
    /// Local name.
    pub(in super::super) name: String,
    /// Local part of `xsi:type`.
    pub(super) kind: Option<String>,
    /// `xsi:nil="true"`.
    pub(in super::super) nil: bool,
    /// Its text; empty where it holds elements.
    pub(in super::super) text: String,
    pub(in super::super) children: Vec<Element>,
}

impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Element({})", self.name)
    }
}

impl Element {
    /// The text of the one child called `name`; `None` if there is none or it is null.
    pub(in super::super) fn text_of(&self, name: &str) -> Result<Option<&str>, Refusal> {
        let mut found = self.children.iter().filter(|c| c.name == name);
        match (found.next(), found.next()) {
            (None, _) => Ok(None),
            (Some(one), None) if one.children.is_empty() => {
                Ok((!one.nil).then_some(one.text.as_str()))
            }
            _ => Err(malformed()),
        }
    }

    /// As [`Self::text_of`], for what must be there.
    pub(super) fn need(&self, name: &str) -> Result<&str, Refusal> {
        self.text_of(name)?.ok_or_else(malformed)
    }

    /// The texts of the children called `name`.
    pub(super) fn texts_of<'a>(
        &'a self,
        name: &'a str,
    ) -> impl Iterator<Item = Result<&'a str, Refusal>> {
        self.children
            .iter()
            .filter(move |c| c.name == name && !c.nil)
            .map(|c| {
                if c.children.is_empty() {
                    Ok(c.text.as_str())
                } else {
                    Err(malformed())
                }
            })
    }

    /// Refuses children that no one asks for.
    pub(super) fn only(&self, names: &[&str]) -> Result<(), Refusal> {
        if self.children.iter().all(|c| names.contains(&&*c.name)) {
            Ok(())
        } else {
            Err(malformed())
        }
    }
}

/// Header entries and the one call of an envelope.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) headers: Vec<Element>,
    pub(super) call: Element,
}

fn opened(start: &BytesStart<'_>) -> Result<Element, Refusal> {
    let mut element = Element {
        name: start.local_name().as_ref().to_owned(),
        ..Element::default()
    };
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| malformed())?;
        let prefixed = attribute.key.prefix().is_some();
        let value = attribute.value.trim();
        match attribute.key.local_name().as_ref() {
            "nil" if prefixed => element.nil = matches!(value, "true" | "1"),
            "type" if prefixed => {
                let local = value.rsplit_once(':').map_or(value, |(_, local)| local);
                element.kind = Some(local.to_owned());
            }
            _ => {}
        }
    }
    Ok(element)
}

/// Reads an envelope.
///
/// # Errors
/// What is no envelope, holds a document type declaration or a processing instruction, mixes text and elements, or is
/// too deep or too big.
pub(super) fn envelope(body: &[u8]) -> Result<Envelope, Refusal> {
    let root = tree(body)?;
    if root.name != "Envelope" {
        return Err(malformed());
    }
    let mut parts = root.children.into_iter();
    let (headers, body) = match (parts.next(), parts.next(), parts.next()) {
        (Some(body), None, _) => (Vec::new(), body),
        (Some(header), Some(body), None) if header.name == "Header" => (header.children, body),
        _ => return Err(malformed()),
    };
    let mut calls = body.children.into_iter();
    match (&*body.name, calls.next(), calls.next()) {
        ("Body", Some(call), None) => Ok(Envelope { headers, call }),
        _ => Err(malformed()),
    }
}

/// Reads a document as [`envelope`] does.
pub(in super::super) fn tree(body: &[u8]) -> Result<Element, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    let mut reader = Reader::from_str(text.trim_start_matches('\u{feff}'));
    let mut open: Vec<Element> = Vec::new();
    let mut root: Option<Element> = None;
    let mut count = 0usize;
    loop {
        let event = reader.read_event().map_err(|_| malformed())?;
        let mut closed = None;
        match event {
            Event::Start(start) => {
                if open.len() >= DEPTH_MAX {
                    return Err(malformed());
                }
                open.push(opened(&start)?);
                count += 1;
            }
            Event::Empty(start) => {
                closed = Some(opened(&start)?);
                count += 1;
            }
            Event::End(_) => closed = Some(open.pop().ok_or_else(malformed)?),
            Event::Text(text) => put(&mut open, &text)?,
            Event::CData(text) => put(&mut open, &text)?,
            Event::GeneralRef(reference) => {
                let character = resolved(&reference).ok_or_else(malformed)?;
                put(&mut open, character.encode_utf8(&mut [0; 4]))?;
            }
            Event::Comment(_) | Event::Decl(_) => {}
            Event::PI(_) | Event::DocType(_) => return Err(malformed()),
            Event::Eof => break,
        }
        if count > ELEMENTS_MAX {
            return Err(malformed());
        }
        if let Some(mut done) = closed {
            if !done.children.is_empty() || done.nil {
                if !done.text.trim().is_empty() {
                    return Err(malformed());
                }
                done.text.clear();
            }
            match open.last_mut() {
                Some(parent) => parent.children.push(done),
                None if root.is_none() => root = Some(done),
                None => return Err(malformed()),
            }
        }
    }
    match root {
        Some(root) if open.is_empty() => Ok(root),
        _ => Err(malformed()),
    }
}

/// Text belongs to the innermost element; outside of all there is only space.
fn put(open: &mut [Element], text: &str) -> Result<(), Refusal> {
    let space = |c: char| matches!(c, ' ' | '\t' | '\n' | '\r');
    match open.last_mut() {
        _ if text.chars().any(|c| c.is_control() && !space(c)) => Err(malformed()),
        Some(element) => {
            element.text.push_str(text);
            Ok(())
        }
        None if text.chars().all(space) => Ok(()),
        None => Err(malformed()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Envelope, Refusal> {
        envelope(format!("<e:Envelope xmlns:e=\"x\"><e:Header><h:A xmlns:h=\"u\"><h:b>1</h:b></h:A></e:Header><e:Body>{body}</e:Body></e:Envelope>").as_bytes())
    }

    #[test]
    fn a_call_is_read_by_local_names() {
        let text = "<q:query xmlns:q=\"u\"><q:queryString>SELECT &#73;d &lt; <![CDATA[&]]></q:queryString></q:query>";
        let envelope = read(text).unwrap();
        assert_eq!(envelope.call.name, "query");
        assert_eq!(envelope.call.need("queryString").unwrap(), "SELECT Id < &");
        assert_eq!(envelope.headers[0].text_of("b").unwrap(), Some("1"));
        let nil = read("<a xmlns:i=\"x\"><b i:nil=\"true\"/></a>").unwrap();
        assert!(nil.call.text_of("b").unwrap().is_none() && nil.call.need("b").is_err());
    }

    #[test]
    fn what_could_be_read_in_two_ways_is_refused() {
        for body in [
            "",
            "<a/><b/>",
            "text<a/>",
            "<a>text<b/></a>",
            "<a>&foo;</a>",
            "<?x y?><a/>",
            "<a b=\"1\" b=\"2\"/>",
            "<a>",
            "<a></b>",
        ] {
            assert!(read(body).is_err(), "{body}");
        }
        assert!(envelope(b"<!DOCTYPE x><Envelope><Body><a/></Body></Envelope>").is_err());
        assert!(envelope(b"<Envelope><Body><a/></Body><Body><a/></Body></Envelope>").is_err());
        let deep = format!("{}{}", "<a>".repeat(60), "</a>".repeat(60));
        assert!(read(&deep).is_err());
        let long = format!("<a>{}</a>", "<b/>".repeat(ELEMENTS_MAX));
        assert!(read(&long).is_err());
    }
}
