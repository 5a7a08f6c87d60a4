//! The readers that CSV and XML are held against, by the fuzz targets and by the library's own test of them. `Seen` is
//! what whoever includes this calls `privet::fuzzing::markup::Seen`.
#![allow(dead_code, reason = "each target uses one of them")]

use super::Seen;

/// The csv crate.
pub(crate) fn read_csv(text: &[u8], delimiter: u8) -> Option<Vec<Vec<String>>> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(text)
        .records()
        .map(|row| Some(row.ok()?.iter().map(str::to_owned).collect()))
        .collect()
}

/// quick-xml.
pub(crate) fn read_xml(text: &[u8]) -> Option<Vec<Seen>> {
    use quick_xml::events::{BytesStart, Event};
    let mut reader = quick_xml::Reader::from_reader(text);
    let mut seen: Vec<Seen> = vec![];
    let open = |tag: &BytesStart<'_>| {
        let mut attributes = vec![];
        for attribute in tag.attributes() {
            let attribute = attribute.ok()?;
            attributes.push((
                attribute.key.as_ref().to_owned(),
                attribute.value.as_ref().to_owned(),
            ));
        }
        Some(Seen::Open(tag.name().as_ref().to_owned(), attributes))
    };
    fn text_of(seen: &mut Vec<Seen>, more: &str) {
        if let Some(Seen::Text(text)) = seen.last_mut() {
            text.push_str(more);
        } else {
            seen.push(Seen::Text(more.to_owned()));
        }
    }
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        match reader.read_event_into(&mut buffer).ok()? {
            Event::Eof => break,
            Event::Start(tag) => seen.push(open(&tag)?),
            Event::Empty(tag) => seen.extend([open(&tag)?, Seen::Close]),
            Event::End(_) => seen.push(Seen::Close),
            Event::Text(text) => text_of(&mut seen, &text),
            Event::CData(text) => text_of(&mut seen, &text),
            Event::GeneralRef(name) => text_of(&mut seen, &format!("&{};", &*name)),
            _ => {}
        }
    }
    seen.retain(|event| !matches!(event, Seen::Text(text) if text.trim().is_empty()));
    Some(seen)
}
