//! `…/composite` and `…/composite/batch`: each part is understood as if it came alone, with uses of its own.
//!
//! A part of `composite` may stand a value of an earlier answer in its place, `@{ref.field}`. The CRM would copy it
//! where no policy looks, so it may name only what that earlier part puts out in clear.

use std::ops::Range;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use crate::engine::protocol::json_body::{Node, NodeId, Tree, print_text};
use crate::engine::protocol::{
    Action, Forward as AnyForward, Link, Operation, RequestHead, Resolved, Shape, Use,
};
use crate::engine::refusal::{Reason, Refusal};

use super::collections::{array_at, bool_at};
use super::forward::{Forward, Target};
use super::record::{bad_body, object_at, text_at};
use super::resolve::{Followed, Stopped};
use super::route::is_name;
use super::{Request, Surroundings, Within};

/// Most parts of one request.
const PARTS_MAX: usize = 25;
/// Most queries among them.
const QUERIES_MAX: usize = 5;

/// A request of parts.
#[derive(Debug)]
pub(super) struct CompositeTarget {
    batch: bool,
    /// `allOrNone` or `haltOnError`.
    flag: bool,
    pub(super) parts: Vec<Part>,
}

/// One part.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) forward: Forward,
    uses: Range<usize>,
    scopes: Range<usize>,
    /// Its name, in `composite`.
    name: String,
    /// For each reference in it, the outputs that it stands for (indices into the whole request's uses).
    references: Vec<Vec<usize>>,
}

fn refuse(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Reason::BadRequest, message)
}

/// Whether `text` is one reference and nothing else.
pub(super) fn is_reference(text: &str) -> bool {
    text.strip_prefix("@{")
        .and_then(|t| t.strip_suffix('}'))
        .is_some_and(|inner| {
            inner.contains('.')
                && inner
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'[' | b']'))
        })
}

/// `%XX` → bytes, strictly, as text; `+` is a space in a query.
fn decode(text: &str, plus: bool) -> Result<String, Refusal> {
    let bad = || refuse("the url of a part can not be understood");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        match b {
            b'%' => {
                let hex = rest
                    .get(..2)
                    .filter(|h| h.iter().all(u8::is_ascii_hexdigit))
                    .and_then(|h| std::str::from_utf8(h).ok())
                    .and_then(|h| u8::from_str_radix(h, 16).ok())
                    .ok_or_else(bad)?;
                bytes.push(hex);
                rest = &rest[2..];
            }
            b'+' if plus => bytes.push(b' '),
            _ => bytes.push(b),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| bad())?;
    Ok(text)
}

type Url = (Vec<String>, Vec<(String, String)>);

/// Path segments and query pairs of a part's URL.
fn parse_url(url: &str, batch: bool) -> Result<Url, Refusal> {
    let bad = || refuse("the url of a part can not be understood");
    let (path, query) = url.split_once('?').unwrap_or((url, ""));
    let whole;
    let path = if batch && !path.starts_with("/services/") {
        whole = format!("/services/data/{}", path.trim_start_matches('/'));
        &whole
    } else {
        path
    };
    let path = path.strip_prefix('/').ok_or_else(bad)?;
    let mut segments = Vec::new();
    for segment in path.split('/') {
        let segment = decode(segment, false)?;
        if matches!(segment.as_str(), "." | "..")
            || segment.contains(['/', '\\', '#'])
            || segment.chars().any(char::is_control)
        {
            return Err(bad());
        }
        segments.push(segment);
    }
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((decode(name, true)?, decode(value, true)?));
    }
    Ok((segments, pairs))
}

/// One part as the body says it.
struct Said {
    method: Method,
    url: String,
    name: String,
    body: Option<NodeId>,
    headers: HeaderMap,
}

fn said(tree: &Tree, node: NodeId, batch: bool) -> Result<Said, Refusal> {
    let (mut method, mut url, mut name) = (None, None, None);
    let mut body = None;
    let mut headers = HeaderMap::new();
    for (key, value) in object_at(tree, node)? {
        match (key.as_str(), batch) {
            ("method", _) => method = Some(text_at(tree, *value)?),
            ("url", _) => url = Some(text_at(tree, *value)?.to_owned()),
            ("referenceId", false) => name = Some(text_at(tree, *value)?.to_owned()),
            ("body", false) | ("richInput", true) => {
                body = Some(*value).filter(|v| tree.nodes.get(*v) != Some(&Node::Null));
            }
            ("httpHeaders", false) => {
                for (header, value) in object_at(tree, *value)? {
                    let bad = || refuse("httpHeaders of a part can not be understood");
                    let text = text_at(tree, *value)?;
                    let header = HeaderName::try_from(header.as_str()).map_err(|_| bad())?;
                    let text = HeaderValue::from_str(text).map_err(|_| bad())?;
                    if header == CONTENT_TYPE {
                        continue;
                    }
                    if headers.append(header, text) {
                        return Err(bad());
                    }
                }
            }
            _ => return Err(bad_body("a part of the request has an unknown member")),
        }
    }
    let method = match method {
        Some("GET") => Method::GET,
        Some("POST") => Method::POST,
        Some("PATCH") => Method::PATCH,
        Some("DELETE") => Method::DELETE,
        _ => return Err(refuse("the method of a part is GET, POST, PATCH or DELETE")),
    };
    let url = url.ok_or_else(|| bad_body("each part needs its url"))?;
    let name = match (name, batch) {
        (Some(name), false) if is_name(&name) => name,
        (None, true) => String::new(),
        _ => {
            return Err(bad_body(
                "each part needs a referenceId of letters and digits",
            ));
        }
    };
    Ok(Said {
        method,
        url,
        name,
        body,
        headers,
    })
}

/// The texts of a body in which references stand.
fn referring<'t>(tree: &'t Tree, node: NodeId, out: &mut Vec<&'t str>) -> Result<(), Refusal> {
    match tree.nodes.get(node) {
        Some(Node::Text(text)) if text.contains("@{") => out.push(text),
        Some(Node::Array(items)) => {
            for item in items {
                referring(tree, *item, out)?;
            }
        }
        Some(Node::Object(members)) => {
            for (key, value) in members {
                if key.contains("@{") {
                    return Err(no_reference());
                }
                referring(tree, *value, out)?;
            }
        }
        _ => {}
    }
    Ok(())
}

fn no_reference() -> Refusal {
    refuse("a reference stands only as a whole record id of a url, or as a whole value of a body")
}

/// The outputs at `path` in an answer of this shape, if they are values.
fn at<'s>(shape: &'s Shape, path: &str) -> Option<&'s [usize]> {
    let mut now = shape;
    for step in path.split(['.', '[', ']']).filter(|s| !s.is_empty()) {
        now = match now {
            Shape::Object(members) => {
                &members
                    .iter()
                    .find(|(k, _)| k.eq_ignore_ascii_case(step))?
                    .1
            }
            Shape::Record(record) => {
                let found = |(k, _): &&(std::sync::Arc<str>, Shape)| k.eq_ignore_ascii_case(step);
                &record.members.iter().find(found)?.1
            }
            Shape::Array { element, .. } => {
                step.parse::<u16>().ok()?;
                element
            }
            _ => return None,
        };
    }
    match now {
        Shape::Value(sources) if !sources.is_empty() => Some(sources),
        _ => None,
    }
}

/// Moves a part's shape behind the parts before it. Gives the number of its record scopes.
fn shift(shape: &mut Shape, uses: usize, scopes: usize, part: u16) -> usize {
    let each = |shape: &mut Shape| shift(shape, uses, scopes, part);
    match shape {
        Shape::Value(sources) => {
            sources.iter_mut().for_each(|s| *s += uses);
            0
        }
        Shape::Record(record) => {
            let own = record.scope + 1;
            record.scope += scopes;
            let inner = record.members.iter_mut().map(|(_, s)| each(s)).max();
            own.max(inner.unwrap_or(0))
        }
        Shape::Object(members) => members.iter_mut().map(|(_, s)| each(s)).max().unwrap_or(0),
        Shape::ByName { cases, .. } => cases.iter_mut().map(|(_, s)| each(s)).max().unwrap_or(0),
        Shape::Positional(shapes) => shapes.iter_mut().map(each).max().unwrap_or(0),
        Shape::Paths(paths) => paths.iter_mut().map(|(_, s)| each(s)).max().unwrap_or(0),
        Shape::Array { element, .. } | Shape::Answer(element) => each(element),
        Shape::Link(link) => {
            *link = match *link {
                Link::NextPage => Link::Part { part, child: None },
                Link::ChildPage(child) => Link::Part {
                    part,
                    child: Some(child),
                },
                other => other,
            };
            0
        }
        Shape::OneOf { records, .. } => records
            .iter_mut()
            .map(|record| {
                let own = record.scope + 1;
                record.scope += scopes;
                let inner = record.members.iter_mut().map(|(_, s)| each(s)).max();
                own.max(inner.unwrap_or(0))
            })
            .max()
            .unwrap_or(0),
        Shape::Keep
        | Shape::Number
        | Shape::Boolean
        | Shape::Layouts { .. }
        | Shape::Opaque
        | Shape::Drop
        | Shape::Constant(_)
        | Shape::Expect(_)
        | Shape::ErrorCode
        | Shape::Describe(_)
        | Shape::DescribeGlobal
        // A part's answer is JSON.
        | Shape::Csv(_)
        | Shape::Xml(_) => 0,
    }
}

/// Moves what a part follows behind the parts before it.
fn append(all: &mut Followed, part: Followed, uses: usize, scopes: usize) {
    let Followed {
        uses: followed,
        children,
        scopes: led,
    } = part;
    all.uses
        .extend(followed.into_iter().map(|(at, by)| (at + uses, by)));
    all.children.extend(
        children
            .into_iter()
            .map(|(first, field, written)| (first + uses, field, written)),
    );
    all.scopes.resize_with(scopes, Vec::new);
    all.scopes.extend(led);
}

impl Request<'_> {
    /// `POST …/composite` or `…/composite/batch`.
    pub(super) fn composite(
        mut self,
        version: u16,
        batch: bool,
        tree: &Tree,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        let (mut flag, mut parts) = (false, None);
        for (key, value) in object_at(tree, tree.root)? {
            match (key.as_str(), batch) {
                ("allOrNone", false) | ("haltOnError", true) => flag = bool_at(tree, *value)?,
                ("compositeRequest", false) | ("batchRequests", true) => {
                    parts = Some(array_at(tree, *value)?);
                }
                _ => return Err(bad_body("the request body has an unknown member")),
            }
        }
        let parts = parts.ok_or_else(|| bad_body("the request body has no parts"))?;
        if !(1..=PARTS_MAX).contains(&parts.len()) {
            return Err(refuse("a composite request has 1 to 25 parts"));
        }
        let mut made: Vec<Part> = Vec::with_capacity(parts.len());
        let mut answers: Vec<Shape> = Vec::with_capacity(parts.len());
        let mut uses: Vec<Use> = Vec::new();
        let mut objects = Vec::new();
        let (mut scopes, mut queries, mut writes) = (0, 0, false);
        let endpoint = if batch {
            "composite-batch"
        } else {
            "composite"
        };
        let mut followed = Followed::default();
        for (index, node) in parts.iter().enumerate() {
            let understood = self.understood(tree, *node, batch, &made, &answers, around);
            let (said, references, mut operation) = match understood {
                Ok(understood) => understood,
                // What comes before the mistake is decided first, over all parts.
                Err(refusal) => {
                    let stopped = Stopped {
                        refusal,
                        uses,
                        objects,
                        written: std::mem::take(&mut self.forward.written),
                        followed,
                    };
                    return self.stopped(endpoint, stopped);
                }
            };
            queries += usize::from(matches!(&*operation.endpoint, "query" | "query-all"));
            writes |= matches!(operation.action, Action::Write | Action::Delete);
            let number = u16::try_from(index).unwrap_or(u16::MAX);
            let count = shift(&mut operation.shape, uses.len(), scopes, number);
            let AnyForward::Salesforce(mut forward) = operation.forward else {
                return Err(super::unknown_path());
            };
            let count = count
                .max(forward.followed.scopes.len())
                .max(forward.scopes());
            append(
                &mut followed,
                std::mem::take(&mut forward.followed),
                uses.len(),
                scopes,
            );
            self.forward.written.extend(forward.written.iter().cloned());
            let refused = forward.refused().cloned();
            made.push(Part {
                forward: *forward,
                uses: uses.len()..uses.len() + operation.uses.len(),
                scopes: scopes..scopes + count,
                name: said.name,
                references,
            });
            scopes += count;
            uses.append(&mut operation.uses);
            for object in operation.objects {
                if !objects.contains(&object) {
                    objects.push(object);
                }
            }
            answers.push(operation.shape);
            if let Some(refusal) = refused {
                let stopped = Stopped {
                    refusal,
                    uses,
                    objects,
                    written: std::mem::take(&mut self.forward.written),
                    followed,
                };
                return self.stopped(endpoint, stopped);
            }
        }
        if queries > QUERIES_MAX {
            return Err(refuse("a composite request has at most 5 queries"));
        }
        let shape = answer(batch, &made, answers);
        self.forward.version = version;
        self.forward.followed = followed;
        self.forward.target = Target::Composite(Box::new(CompositeTarget {
            batch,
            flag,
            parts: made,
        }));
        let action = if writes { Action::Write } else { Action::Read };
        let mut operation = self.operation(action, endpoint, shape);
        operation.uses = uses;
        operation.objects = objects;
        Ok(operation)
    }

    /// A part as the body says it, its references, and its operation.
    fn understood(
        &self,
        tree: &Tree,
        node: NodeId,
        batch: bool,
        made: &[Part],
        answers: &[Shape],
        around: &Surroundings<'_>,
    ) -> Result<(Said, Vec<Vec<usize>>, Operation), Refusal> {
        let said = said(tree, node, batch)?;
        if !batch && made.iter().any(|p| p.name.eq_ignore_ascii_case(&said.name)) {
            return Err(refuse("two parts have one referenceId"));
        }
        let (segments, query) = parse_url(&said.url, batch)?;
        let references = if batch {
            Vec::new()
        } else {
            references(&said, tree, &segments, &query, made, answers)?
        };
        let operation = self.part(&said, tree, &segments, &query, batch, around)?;
        Ok((said, references, operation))
    }

    /// One part, as if it came alone.
    fn part(
        &self,
        said: &Said,
        tree: &Tree,
        segments: &[String],
        query: &[(String, String)],
        batch: bool,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        let mut headers = said.headers.clone();
        let mut body = String::new();
        if let Some(node) = said.body {
            tree.print(node, &mut body);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        let head = RequestHead {
            method: &said.method,
            path: "",
            segments,
            query,
            headers: &headers,
        };
        let within = if batch {
            Within::Batch
        } else {
            Within::Composite
        };
        super::understand_within(
            self.api,
            &head,
            body.as_bytes(),
            self.catalog,
            around,
            within,
        )
    }
}

/// The references of a part, as the outputs that they stand for.
fn references(
    said: &Said,
    tree: &Tree,
    segments: &[String],
    query: &[(String, String)],
    made: &[Part],
    answers: &[Shape],
) -> Result<Vec<Vec<usize>>, Refusal> {
    let mut texts: Vec<&str> = Vec::new();
    for (i, segment) in segments.iter().enumerate() {
        if segment.contains("@{") {
            // services, data, version, sobjects, object, id.
            if i != 5 || segments[3] != "sobjects" {
                return Err(no_reference());
            }
            texts.push(segment);
        }
    }
    let marked = |text: &str| text.contains("@{");
    let in_headers = said
        .headers
        .values()
        .any(|v| v.as_bytes().windows(2).any(|w| w == b"@{"));
    if in_headers || query.iter().any(|(k, v)| marked(k) || marked(v)) {
        return Err(no_reference());
    }
    if let Some(node) = said.body {
        referring(tree, node, &mut texts)?;
    }
    let mut found = Vec::with_capacity(texts.len());
    for text in texts {
        if !is_reference(text) {
            return Err(no_reference());
        }
        let inner = text.trim_start_matches("@{").trim_end_matches('}');
        let (name, path) = inner.split_once(['.', '[']).ok_or_else(no_reference)?;
        let sources = made
            .iter()
            .position(|p| p.name == name)
            .and_then(|part| at(answers.get(part)?, path))
            .ok_or_else(|| {
                refuse("a reference names a field that an earlier part puts out by its name")
            })?;
        found.push(sources.to_vec());
    }
    Ok(found)
}

fn answer(batch: bool, parts: &[Part], answers: Vec<Shape>) -> Shape {
    let each = |(part, shape): (&Part, Shape)| {
        let answer = Shape::Answer(Box::new(shape));
        Shape::Object(if batch {
            vec![
                ("statusCode".into(), Shape::Keep),
                ("result".into(), answer),
            ]
        } else {
            vec![
                ("body".into(), answer),
                ("httpHeaders".into(), Shape::Constant("{}".into())),
                ("httpStatusCode".into(), Shape::Keep),
                (
                    "referenceId".into(),
                    Shape::Expect(part.name.as_str().into()),
                ),
            ]
        })
    };
    let list = Shape::Positional(parts.iter().zip(answers).map(each).collect());
    Shape::Object(if batch {
        vec![("hasErrors".into(), Shape::Keep), ("results".into(), list)]
    } else {
        vec![("compositeResponse".into(), list)]
    })
}

impl CompositeTarget {
    /// The last segments of the path.
    pub(super) fn path(&self) -> &'static str {
        if self.batch {
            "/composite/batch"
        } else {
            "/composite"
        }
    }

    /// The body, each part printed from its own decision.
    pub(super) fn print(&self, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            parts.push(part.print(self.batch, resolved)?);
        }
        let (flag, list) = if self.batch {
            ("haltOnError", "batchRequests")
        } else {
            ("allOrNone", "compositeRequest")
        };
        Ok(format!(
            "{{\"{flag}\":{},\"{list}\":[{}]}}",
            self.flag,
            parts.join(",")
        ))
    }
}

impl Part {
    fn print(&self, batch: bool, whole: &Resolved<'_>) -> Result<String, Refusal> {
        let internal = || Refusal::new(Reason::Internal, "The request could not be planned");
        let conditions: Vec<_> = whole
            .conditions
            .iter()
            .filter(|(scope, _)| self.scopes.contains(scope))
            .map(|(scope, field)| (scope - self.scopes.start, *field))
            .collect();
        let request = self.forward.print(&Resolved {
            kept: whole.kept.get(self.uses.clone()).ok_or_else(internal)?,
            values: whole.values.get(self.uses.clone()).ok_or_else(internal)?,
            clear: whole.clear.get(self.uses.clone()).ok_or_else(internal)?,
            conditions: &conditions,
        })?;
        let body = std::str::from_utf8(&request.body).map_err(|_| internal())?;
        if !batch {
            let is_clear = |s: &usize| whole.clear.get(*s).copied().unwrap_or(false);
            if !self.references.iter().flatten().all(is_clear) {
                return Err(refuse(
                    "a reference names a field that is not read in clear",
                ));
            }
            // A value that a token stood for must not be taken for a reference.
            let url = decode(&request.path_and_query, false)?;
            if url.matches("@{").count() + body.matches("@{").count() != self.references.len() {
                return Err(no_reference());
            }
        }
        let mut out = String::from("{\"method\":");
        print_text(request.method.as_str(), &mut out);
        out.push_str(",\"url\":");
        let url = match request.path_and_query.strip_prefix("/services/data/") {
            Some(short) if batch => short,
            _ => &request.path_and_query,
        };
        print_text(url, &mut out);
        if !body.is_empty() {
            out.push_str(if batch {
                ",\"richInput\":"
            } else {
                ",\"body\":"
            });
            out.push_str(body);
        }
        if !batch {
            out.push_str(",\"referenceId\":");
            print_text(&self.name, &mut out);
            let mut comma = ",\"httpHeaders\":{";
            for (name, value) in &request.headers {
                if let (true, Ok(text)) = (name.as_str().starts_with("sforce-"), value.to_str()) {
                    out.push_str(comma);
                    print_text(name.as_str(), &mut out);
                    out.push(':');
                    print_text(text, &mut out);
                    comma = ",";
                }
            }
            if comma == "," {
                out.push('}');
            }
        }
        out.push('}');
        Ok(out)
    }
}
