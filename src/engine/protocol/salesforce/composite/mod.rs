//! `…/composite`, `…/composite/batch` and `…/composite/graph`: each part is understood as if it came alone, with uses
//! of its own.
//!
//! A part of `composite` or of a graph may stand a value of an earlier answer in its place, `@{ref.field}`. The CRM
//! would copy it where no policy looks, so it may name only what that earlier part puts out in clear.

mod reference;

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

pub(super) use reference::is_reference;
use reference::{no_reference, references};

/// Most parts of one request.
const PARTS_MAX: usize = 25;
/// Most parts of all graphs of one request (REST API Developer Guide, "Composite Graph Limits").
const NODES_MAX: usize = 500;
/// Most graphs of one request (same page).
const GRAPHS_MAX: usize = 75;
/// Longest name of a graph (REST API Developer Guide, "Composite Graph").
const GRAPH_ID_MAX: usize = 40;
/// Most queries among them.
const QUERIES_MAX: usize = 5;

/// What the parts are put in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Envelope {
    /// `composite`: in order, with names.
    Composite,
    /// `composite/batch`: side by side, by position.
    Batch,
    /// `composite/graph`: several lists like those of `composite`, each all or none.
    Graph,
}

impl Envelope {
    /// The last segments of the path.
    fn path(self) -> &'static str {
        match self {
            Self::Composite => "/composite",
            Self::Batch => "/composite/batch",
            Self::Graph => "/composite/graph",
        }
    }

    /// Its name in the audit and in metrics.
    fn endpoint(self) -> &'static str {
        match self {
            Self::Composite => "composite",
            Self::Batch => "composite-batch",
            Self::Graph => "composite-graph",
        }
    }

    /// Whether parts have names, by which later parts refer to them.
    fn named(self) -> bool {
        self != Self::Batch
    }
}

/// A request of parts.
#[derive(Debug)]
pub(super) struct CompositeTarget {
    envelope: Envelope,
    /// `allOrNone` or `haltOnError`.
    flag: bool,
    pub(super) parts: Vec<Part>,
    graphs: Vec<Graph>,
}

/// One graph: its name and its parts.
#[derive(Debug)]
struct Graph {
    name: String,
    parts: Range<usize>,
}

/// What the body says: its flag, and the lists of parts; the one list of `composite` and `batch` has no name.
struct Lists<'t> {
    flag: bool,
    lists: Vec<(String, &'t [NodeId])>,
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

fn internal() -> Refusal {
    Refusal::new(Reason::Internal, "The request could not be planned")
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

fn lists(tree: &Tree, envelope: Envelope) -> Result<Lists<'_>, Refusal> {
    let (mut flag, mut parts, mut graphs) = (false, None, None);
    for (key, value) in object_at(tree, tree.root)? {
        match (key.as_str(), envelope) {
            ("allOrNone", Envelope::Composite) | ("haltOnError", Envelope::Batch) => {
                flag = bool_at(tree, *value)?;
            }
            ("compositeRequest", Envelope::Composite) | ("batchRequests", Envelope::Batch) => {
                parts = Some(array_at(tree, *value)?);
            }
            ("graphs", Envelope::Graph) => graphs = Some(array_at(tree, *value)?),
            _ => return Err(bad_body("the request body has an unknown member")),
        }
    }
    let mut lists = Vec::new();
    if envelope == Envelope::Graph {
        let graphs = graphs.ok_or_else(|| bad_body("the request body has no graphs"))?;
        if !(1..=GRAPHS_MAX).contains(&graphs.len()) {
            return Err(refuse("a request of graphs has 1 to 75 graphs"));
        }
        for graph in graphs {
            lists.push(graph_at(tree, *graph, &lists)?);
        }
    } else {
        let parts = parts.ok_or_else(|| bad_body("the request body has no parts"))?;
        lists.push((String::new(), parts));
    }
    let count: usize = lists.iter().map(|(_, parts)| parts.len()).sum();
    if envelope == Envelope::Graph && count > NODES_MAX {
        return Err(refuse("a request of graphs has at most 500 parts"));
    }
    if envelope != Envelope::Graph && !(1..=PARTS_MAX).contains(&count) {
        return Err(refuse("a composite request has 1 to 25 parts"));
    }
    Ok(Lists { flag, lists })
}

/// One graph of the body, behind `earlier` ones.
fn graph_at<'t>(
    tree: &'t Tree,
    node: NodeId,
    earlier: &[(String, &'t [NodeId])],
) -> Result<(String, &'t [NodeId]), Refusal> {
    let (mut name, mut parts) = (None, None);
    for (key, value) in object_at(tree, node)? {
        match key.as_str() {
            "graphId" => name = Some(text_at(tree, *value)?),
            "compositeRequest" => parts = Some(array_at(tree, *value)?),
            _ => return Err(bad_body("a graph has an unknown member")),
        }
    }
    let fits = |name: &&str| {
        (1..=GRAPH_ID_MAX).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
    };
    let name = name
        .filter(fits)
        .ok_or_else(|| bad_body("each graph needs a graphId of letters and digits"))?;
    if earlier
        .iter()
        .any(|(other, _)| other.eq_ignore_ascii_case(name))
    {
        return Err(refuse("two graphs have one graphId"));
    }
    let parts = parts
        .filter(|parts| !parts.is_empty())
        .ok_or_else(|| bad_body("a graph has no parts"))?;
    Ok((name.to_owned(), parts))
}

/// One part as the body says it.
struct Said {
    method: Method,
    url: String,
    name: String,
    body: Option<NodeId>,
    headers: HeaderMap,
}

fn said(tree: &Tree, node: NodeId, envelope: Envelope) -> Result<Said, Refusal> {
    let batch = !envelope.named();
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

/// Moves a part's shape behind the parts before it. Gives the number of its record scopes.
pub(super) fn shift(shape: &mut Shape, uses: usize, scopes: usize, part: u16) -> usize {
    let each = |shape: &mut Shape| shift(shape, uses, scopes, part);
    match shape {
        Shape::Value(sources) | Shape::Amount(sources) => {
            sources.iter_mut().for_each(|s| *s += uses);
            0
        }
        Shape::Shown {
            outputs,
            shape,
            otherwise,
        } => {
            outputs.iter_mut().for_each(|s| *s += uses);
            each(shape).max(each(otherwise))
        }
        Shape::Columns(columns) => columns
            .iter_mut()
            .map(|(output, shape)| {
                *output += uses;
                each(shape)
            })
            .max()
            .unwrap_or(0),
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
        Shape::Array { element, .. }
        | Shape::Answer(element)
        | Shape::Keyed(element)
        | Shape::Framed(_, element)
        | Shape::Document(element) => {
            each(element)
        }
        // A job is no part of another request.
        Shape::Ready { told, .. } => each(told),
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
        | Shape::Position
        | Shape::Expect(_)
        | Shape::ErrorCode
        | Shape::Describe(_)
        | Shape::DescribeGlobal
        // A part's answer is JSON.
        | Shape::Event(_)
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
    /// `POST …/composite`, `…/composite/batch` or `…/composite/graph`.
    pub(super) fn composite(
        mut self,
        version: u16,
        envelope: Envelope,
        tree: &Tree,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        let Lists { flag, lists } = lists(tree, envelope)?;
        let mut graphs: Vec<Graph> = Vec::with_capacity(lists.len());
        let parts = lists.iter().enumerate().flat_map(|(list, (_, parts))| {
            let mark = move |(at, node): (usize, &NodeId)| (list, at == 0, *node);
            parts.iter().enumerate().map(mark)
        });
        let mut made: Vec<Part> = Vec::new();
        let mut answers: Vec<Shape> = Vec::new();
        let mut uses: Vec<Use> = Vec::new();
        let mut objects = Vec::new();
        let (mut scopes, mut queries, mut writes) = (0, 0, false);
        let endpoint = envelope.endpoint();
        let mut followed = Followed::default();
        for (index, (list, first, node)) in parts.enumerate() {
            if first {
                graphs.push(Graph {
                    name: lists[list].0.clone(),
                    parts: index..index,
                });
            }
            // A part knows only those before it in its own list.
            let start = graphs.last().map_or(0, |g| g.parts.start);
            let before = (&made[start..], &answers[start..]);
            let understood = self.understood(tree, node, envelope, before, around);
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
            if let Some(graph) = graphs.last_mut() {
                graph.parts.end = index + 1;
            }
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
        let shape = answer(envelope, &made, &graphs, answers);
        self.forward.version = version;
        self.forward.followed = followed;
        self.forward.target = Target::Composite(Box::new(CompositeTarget {
            envelope,
            flag,
            parts: made,
            graphs,
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
        envelope: Envelope,
        (made, answers): (&[Part], &[Shape]),
        around: &Surroundings<'_>,
    ) -> Result<(Said, Vec<Vec<usize>>, Operation), Refusal> {
        let said = said(tree, node, envelope)?;
        if envelope.named() && made.iter().any(|p| p.name.eq_ignore_ascii_case(&said.name)) {
            return Err(refuse("two parts have one referenceId"));
        }
        let (segments, query) = parse_url(&said.url, !envelope.named())?;
        let references = if envelope.named() {
            references(&said, tree, &segments, &query, made, answers)?
        } else {
            Vec::new()
        };
        let operation = self.part(&said, tree, &segments, &query, envelope, around)?;
        Ok((said, references, operation))
    }

    /// One part, as if it came alone.
    fn part(
        &self,
        said: &Said,
        tree: &Tree,
        segments: &[String],
        query: &[(String, String)],
        envelope: Envelope,
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
        super::understand_within(
            self.api,
            &head,
            body.as_bytes(),
            self.catalog,
            around,
            Within::Part(envelope),
        )
    }
}

fn answer(envelope: Envelope, parts: &[Part], graphs: &[Graph], answers: Vec<Shape>) -> Shape {
    let each = |(part, shape): (&Part, Shape)| {
        let answer = Shape::Answer(Box::new(shape));
        Shape::Object(if envelope.named() {
            vec![
                ("body".into(), answer),
                ("httpHeaders".into(), Shape::Constant("{}".into())),
                ("httpStatusCode".into(), Shape::Keep),
                (
                    "referenceId".into(),
                    Shape::Expect(part.name.as_str().into()),
                ),
            ]
        } else {
            vec![
                ("statusCode".into(), Shape::Keep),
                ("result".into(), answer),
            ]
        })
    };
    let mut all = parts.iter().zip(answers).map(each);
    let composite = |list: Vec<Shape>| {
        Shape::Object(vec![("compositeResponse".into(), Shape::Positional(list))])
    };
    match envelope {
        Envelope::Composite => composite(all.collect()),
        Envelope::Batch => Shape::Object(vec![
            ("hasErrors".into(), Shape::Keep),
            ("results".into(), Shape::Positional(all.collect())),
        ]),
        Envelope::Graph => {
            let graph = |graph: &Graph| {
                let list = all.by_ref().take(graph.parts.len()).collect();
                Shape::Object(vec![
                    ("graphId".into(), Shape::Expect(graph.name.as_str().into())),
                    ("graphResponse".into(), composite(list)),
                    ("isSuccessful".into(), Shape::Boolean),
                ])
            };
            let graphs = Shape::Positional(graphs.iter().map(graph).collect());
            Shape::Object(vec![("graphs".into(), graphs)])
        }
    }
}

impl CompositeTarget {
    /// The last segments of the path.
    pub(super) fn path(&self) -> &'static str {
        self.envelope.path()
    }

    /// The body, each part printed from its own decision.
    pub(super) fn print(&self, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        let mut parts = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            parts.push(part.print(self.envelope, resolved)?);
        }
        let (flag, list) = match self.envelope {
            Envelope::Composite => ("allOrNone", "compositeRequest"),
            Envelope::Batch => ("haltOnError", "batchRequests"),
            Envelope::Graph => return self.print_graphs(&parts),
        };
        Ok(format!(
            "{{\"{flag}\":{},\"{list}\":[{}]}}",
            self.flag,
            parts.join(",")
        ))
    }

    fn print_graphs(&self, parts: &[String]) -> Result<String, Refusal> {
        let mut out = String::from("{\"graphs\":[");
        for (index, graph) in self.graphs.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            out.push_str("{\"graphId\":");
            print_text(&graph.name, &mut out);
            out.push_str(",\"compositeRequest\":[");
            let parts = parts.get(graph.parts.clone()).ok_or_else(internal)?;
            out.push_str(&parts.join(","));
            out.push_str("]}");
        }
        out.push_str("]}");
        Ok(out)
    }
}

impl Part {
    fn print(&self, envelope: Envelope, whole: &Resolved<'_>) -> Result<String, Refusal> {
        let batch = !envelope.named();
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
