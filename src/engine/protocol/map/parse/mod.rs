//! The text of a map → [`RawMap`]: every key known, every path streamable, routes that cannot be mistaken for
//! one another.

mod paths;
mod request_body;

use std::sync::Arc;

use http::Method;

use crate::diagnostic::{Diagnostic, suggest};
use crate::engine::protocol::{Action, Comparison};
use crate::engine::rewrite::Framing;
use crate::yaml::{At, Node, Value};

use super::findings::{Findings, Members};
use super::{ErrorShape, ObjectRule, Output, Parameter, Route, Segment};
use paths::{names, overlaps, path, paths};
use request_body::request_body;

/// A field or object name and where it stands.
pub(super) type Name = At<String>;

/// One `policies/apis/*.yaml` as written: its names are not tied to a schema yet.
#[derive(Debug)]
pub struct RawMap {
    pub(super) api: Arc<str>,
    pub(super) findings: Findings,
    pub(super) error: ErrorShape,
    pub(super) routes: Vec<Route<Name, Name>>,
}

const METHODS: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];
const ACTIONS: [&str; 4] = ["read", "export", "write", "delete"];
const FORMATS: [&str; 4] = ["json", "ndjson", "event-stream", "multipart"];
const USES: [&str; 9] = [
    "filter",
    "sort",
    "group",
    "aggregate",
    "search",
    "key",
    "read",
    "output",
    "none",
];

/// Reads the map of the API `api` from `text`; `file` is what diagnostics call it.
///
/// # Errors
/// Every mistake in the file, with line and column.
pub fn parse(api: &str, file: &str, text: &str) -> Result<RawMap, Vec<Diagnostic>> {
    let mut findings = Findings::new(file, text);
    let Some(document) = findings.document(text) else {
        return Err(findings.list);
    };
    let mut top = findings.map("an API map", document);
    if let Some(version) = top.need("schema", &mut findings)
        && !matches!(&version.value, Value::Number(n) if n == "1")
    {
        findings.error(
            "unknown-schema",
            version.place,
            1,
            "this privet reads `schema: 1`",
            "",
        );
    }
    let error = top
        .take("error")
        .and_then(|e| error_shape(e, &mut findings))
        .unwrap_or_else(|| {
            ErrorShape::new(
                "application/json".to_owned(),
                r#"{"error":{"code":"{code}","message":"{message}"}}"#,
            )
        });
    let mut routes: Vec<(At<String>, Route<Name, Name>)> = Vec::new();
    if let Some(list) = top.need("routes", &mut findings) {
        for node in findings.list("`routes`", list) {
            if let Some((id, route)) = route(node, &mut findings) {
                distinct(&routes, &id, &route, &mut findings);
                routes.push((id, route));
            }
        }
    }
    top.end(&mut findings);
    if findings.list.is_empty() {
        Ok(RawMap {
            api: api.into(),
            findings,
            error,
            routes: routes.into_iter().map(|(_, r)| r).collect(),
        })
    } else {
        Err(findings.list)
    }
}

fn distinct(
    routes: &[(At<String>, Route<Name, Name>)],
    id: &At<String>,
    route: &Route<Name, Name>,
    findings: &mut Findings,
) {
    for (other_id, other) in routes {
        if other_id.value == id.value {
            findings.error(
                "duplicate-id",
                id.place,
                id.value.chars().count(),
                format!(
                    "the route id `{}` is taken on line {}",
                    id.value, other_id.place.line
                ),
                "",
            );
        }
        let same_shape = other.path.len() == route.path.len()
            && other
                .path
                .iter()
                .zip(&route.path)
                .all(|(a, b)| match (a, b) {
                    (Segment::Literal(a), Segment::Literal(b)) => a == b,
                    (Segment::Parameter(_), Segment::Parameter(_)) => true,
                    _ => false,
                });
        if same_shape && other.method == route.method {
            findings.error(
                "ambiguous-route",
                id.place,
                id.value.chars().count(),
                format!(
                    "`{}` has the method and the path of `{}` on line {}",
                    id.value, other_id.value, other_id.place.line
                ),
                "a request must match one route only",
            );
        }
    }
}

fn error_shape(node: Node, findings: &mut Findings) -> Option<ErrorShape> {
    let mut map = findings.map("`error`", node);
    let content_type = map.need_text("content_type", findings);
    let template = map.need_text("body", findings);
    map.end(findings);
    let (content_type, template) = (content_type?, template?);
    let media = content_type
        .value
        .split(';')
        .next()
        .unwrap_or_default()
        .trim();
    if !(media.eq_ignore_ascii_case("application/json") || media.ends_with("+json"))
        || http::HeaderValue::from_str(&content_type.value).is_err()
    {
        findings.error(
            "wrong-content-type",
            content_type.place,
            content_type.value.chars().count(),
            "errors of a mapped API are JSON",
            "use `application/json`",
        );
    }
    let shape = ErrorShape::new(content_type.value, &template.value);
    // A placeholder outside a JSON string breaks with a quote in its text.
    let (_, sample) = shape.print("a\"b", "c\"d");
    if serde_json::from_str::<serde::de::IgnoredAny>(&sample).is_err() {
        findings.error(
            "wrong-error-body",
            template.place,
            1,
            "the error body is not JSON with `{code}` and `{message}` inside strings",
            r#"such as '{"error":{"code":"{code}","message":"{message}"}}'"#,
        );
    }
    Some(shape)
}

fn word<T>(
    findings: &mut Findings,
    code: &'static str,
    what: &str,
    known: &[&str],
    text: &At<String>,
    find: impl FnOnce(&str) -> Option<T>,
) -> Option<T> {
    let found = known
        .contains(&text.value.as_str())
        .then(|| find(&text.value))
        .flatten();
    if found.is_none() {
        findings.unknown(code, what, text, known);
    }
    found
}

fn template(text: &At<String>, findings: &mut Findings) -> Vec<Segment> {
    let Some(rest) = text.value.strip_prefix('/') else {
        findings.error(
            "wrong-path",
            text.place,
            text.value.chars().count(),
            "a path begins with `/`",
            "",
        );
        return Vec::new();
    };
    let mut out = Vec::new();
    for piece in rest.split('/') {
        let name = piece.strip_prefix('{').and_then(|p| p.strip_suffix('}'));
        let plain = |s: &str| !s.contains(['{', '}', '?', '#', '%']) && !matches!(s, "." | "..");
        match name {
            Some(name) if !name.is_empty() && plain(name) => {
                if out.contains(&Segment::Parameter(name.into())) {
                    findings.error(
                        "wrong-path",
                        text.place,
                        text.value.chars().count(),
                        format!("`{{{name}}}` stands twice in the path"),
                        "",
                    );
                }
                out.push(Segment::Parameter(name.into()));
            }
            None if plain(piece) => out.push(Segment::Literal(piece.to_owned())),
            _ => findings.error(
                "wrong-path",
                text.place,
                text.value.chars().count(),
                format!("the path segment `{piece}` is neither plain text nor one `{{name}}`"),
                "segments are written decoded, without query",
            ),
        }
    }
    out
}

fn route(node: Node, findings: &mut Findings) -> Option<(At<String>, Route<Name, Name>)> {
    let before = findings.list.len();
    let mut map = findings.map("a route", node);
    let id = map.need_text("id", findings);
    if let Some(id) = &id {
        let fits = id
            .value
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if id.value.is_empty() || id.value.len() > 64 || !fits {
            findings.error(
                "wrong-id",
                id.place,
                id.value.chars().count(),
                "a route id is at most 64 of a-z, 0-9 and `-`",
                "",
            );
        }
    }
    let method = map.need_text("method", findings).and_then(|m| {
        word(findings, "unknown-method", "method", &METHODS, &m, |w| {
            Method::from_bytes(w.as_bytes()).ok()
        })
    });
    let path_at = map.need_text("path", findings);
    let segments = path_at.as_ref().map(|p| template(p, findings));
    let action = map.need_text("action", findings).and_then(|a| {
        word(
            findings,
            "unknown-action",
            "action",
            &ACTIONS,
            &a,
            Action::parse,
        )
    });
    let object = map
        .need("object", findings)
        .and_then(|o| object(o, findings));
    let parameters = parameters("`parameters`", map.take("parameters"), findings);
    let path_parameters = parameters_of_path(
        map.take("path_parameters"),
        segments.as_deref().unwrap_or_default(),
        path_at.as_ref(),
        findings,
    );
    let body_node = map.take("body");
    let place = map.place;
    let body_place = body_node.as_ref().map_or(place, |b| b.place);
    let body = body_node.map(|b| request_body(b, findings));
    let framing = framing(map.take("format"), map.take("events"), findings);
    let document = map
        .take("document")
        .and_then(|d| path("`document`", d, findings));
    let records_node = map.take("records");
    let records_place = records_node.as_ref().map_or(place, |r| r.place);
    let records = records_node.and_then(|r| path("`records`", r, findings));
    let (fields, field_places) = output(map.take("fields"), findings);
    let envelope = paths("`envelope`", map.take("envelope"), findings);
    let links = paths("`links`", map.take("links"), findings);
    map.end(findings);

    let asked = matches!(fields, Output::Asked);
    let has_outputs = body.as_ref().is_some_and(|b| b.outputs.is_some());
    if asked != has_outputs {
        findings.error(
            "outputs-without-fields",
            body_place,
            1,
            "`body.outputs` and `fields: outputs` belong together",
            "",
        );
    }
    let has_fields = asked || matches!(&fields, Output::Declared(f) if !f.is_empty());
    if has_fields != records.is_some() && findings.list.len() == before {
        findings.error(
            "records-without-fields",
            records_place,
            1,
            "`records` and `fields` belong together",
            "",
        );
    }
    let writes = body.as_ref().is_some_and(|b| b.writes.is_some());
    if let Some(action) = action
        && writes != (action == Action::Write)
    {
        findings.error(
            "writes-without-fields",
            body_place,
            1,
            "`body.fields` and `action: write` belong together",
            "a write must name the members that it writes",
        );
    }
    if matches!(object, Some(ObjectRule::At { .. })) && body.is_none() {
        findings.error(
            "object-without-body",
            place,
            1,
            "`object.at` reads the request body, and the route has no `body`",
            "",
        );
    }
    if body.is_some() && matches!(method, Some(Method::GET)) {
        findings.error("body-with-get", body_place, 1, "a GET has no body", "");
    }
    overlaps(
        records.as_ref(),
        &envelope,
        &links,
        &fields,
        &field_places,
        findings,
    );

    let (id, method, path, action, object) = (id?, method?, segments?, action?, object?);
    Some((
        id.clone(),
        Route {
            id: id.value.as_str().into(),
            method,
            path,
            action,
            object,
            parameters,
            path_parameters,
            body,
            framing,
            document,
            records,
            fields,
            envelope: envelope.into_iter().map(|(_, p)| p).collect(),
            links: links.into_iter().map(|(_, p)| p).collect(),
        },
    ))
}

/// `format:` and the names of events that pass.
fn framing(format: Option<Node>, events: Option<Node>, findings: &mut Findings) -> Option<Framing> {
    let place = events.as_ref().map(|e| e.place);
    let names: Vec<Arc<str>> = events
        .map_or_else(Vec::new, |e| findings.list("`events`", e))
        .into_iter()
        .filter_map(|name| {
            let name = findings.text("the name of an event", name)?;
            let fits = !name.value.is_empty() && !name.value.contains(['\r', '\n']);
            if !fits {
                findings.error(
                    "wrong-event",
                    name.place,
                    name.value.chars().count(),
                    "the name of an event is one line of text",
                    "",
                );
            }
            fits.then(|| name.value.into())
        })
        .collect();
    let framing = format
        .and_then(|f| findings.text("`format`", f))
        .and_then(|f| {
            word(findings, "unknown-format", "format", &FORMATS, &f, |word| {
                Some(match word {
                    "ndjson" => Some(Framing::Lines),
                    "event-stream" => Some(Framing::Events(names.into())),
                    "multipart" => Some(Framing::Parts(None)),
                    _ => None,
                })
            })
        })
        .flatten();
    if let Some(place) = place
        && !matches!(framing, Some(Framing::Events(_)))
    {
        findings.error(
            "events-without-stream",
            place,
            1,
            "`events` belongs to `format: event-stream`",
            "",
        );
    }
    framing
}

fn object(node: Node, findings: &mut Findings) -> Option<ObjectRule<Name>> {
    if !matches!(node.value, Value::Map(_)) {
        return Some(ObjectRule::Fixed(findings.text("`object`", node)?));
    }
    let mut map = findings.map("`object`", node);
    let at = map
        .need("at", findings)
        .and_then(|n| names("`at`", n, findings));
    let is = map.need("is", findings);
    map.end(findings);
    let mut cases = Vec::new();
    let is = is?;
    let place = is.place;
    for (value, name) in findings.map("`is`", is).all() {
        if let Some(name) = findings.text("an object name", name) {
            cases.push((value.value.as_str().into(), name));
        }
    }
    if cases.is_empty() {
        findings.error("missing-key", place, 1, "`is` names no object", "");
        return None;
    }
    Some(ObjectRule::At { at: at?, is: cases })
}

fn field_words(node: Node, findings: &mut Findings) -> Vec<(Arc<str>, Name)> {
    let mut words = Vec::new();
    for (value, name) in findings.map("`fields`", node).all() {
        if let Some(name) = findings.text("a field name", name) {
            words.push((value.value.as_str().into(), name));
        }
    }
    words
}

fn parameter(map: &mut Members, findings: &mut Findings) -> Option<Parameter<Name>> {
    let use_at = map.need_text("use", findings);
    let field_node = map.take("field");
    let words_node = map.take("fields");
    let use_at = use_at?;
    let use_word = word(findings, "unknown-use", "use", &USES, &use_at, |w| {
        Some(w.to_owned())
    })?;
    let mut fields = Vec::new();
    match field_node {
        None => {}
        Some(node) if matches!(node.value, Value::List(_)) => {
            for item in findings.list("`field`", node) {
                fields.extend(findings.text("a field name", item));
            }
        }
        Some(node) => fields.extend(findings.text("`field`", node)),
    }
    let has_words = words_node.is_some();
    let words = words_node.map_or_else(Vec::new, |n| field_words(n, findings));
    let mut due = |ok: bool, text: &str| {
        if !ok {
            findings.error(
                "wrong-parameter",
                use_at.place,
                use_word.chars().count(),
                format!("`use: {use_word}` takes {text}"),
                "",
            );
        }
        ok
    };
    let action = Action::parse(&use_word);
    match (use_word.as_str(), action) {
        ("none", _) => due(fields.is_empty() && !has_words, "no field").then_some(Parameter::None),
        ("output", _) => due(
            fields.is_empty() && !words.is_empty(),
            "`fields: { value: field }`",
        )
        .then_some(Parameter::Output { words }),
        (_, Some(action @ (Action::Sort | Action::Group | Action::Aggregate))) => {
            let comparison = if action == Action::Group {
                Comparison::Identity
            } else {
                Comparison::Other
            };
            if !due(
                fields.is_empty() != words.is_empty(),
                "either `field` or `fields: { value: field }`",
            ) {
                return None;
            }
            Some(if words.is_empty() {
                Parameter::Evaluate {
                    action,
                    comparison,
                    fields,
                }
            } else {
                Parameter::Choose {
                    action,
                    comparison,
                    words,
                }
            })
        }
        (_, Some(Action::Search)) => {
            due(!fields.is_empty() && !has_words, "`field`, one or a list").then_some(
                Parameter::Evaluate {
                    action: Action::Search,
                    comparison: Comparison::Other,
                    fields,
                },
            )
        }
        // One value is compared with one field: a token has one class.
        (_, Some(action)) => {
            due(fields.len() == 1 && !has_words, "one `field`").then_some(Parameter::Evaluate {
                action,
                comparison: Comparison::Equality,
                fields,
            })
        }
        (_, None) => None,
    }
}

fn parameters(
    what: &'static str,
    node: Option<Node>,
    findings: &mut Findings,
) -> Vec<(Arc<str>, Parameter<Name>)> {
    let Some(node) = node else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for (name, node) in findings.map(what, node).all() {
        let mut map = findings.map("a parameter", node);
        let parameter = parameter(&mut map, findings);
        map.end(findings);
        if let Some(parameter) = parameter {
            out.push((name.value.as_str().into(), parameter));
        }
    }
    out
}

fn parameters_of_path(
    node: Option<Node>,
    segments: &[Segment],
    path: Option<&At<String>>,
    findings: &mut Findings,
) -> Vec<(Arc<str>, Parameter<Name>)> {
    let in_path: Vec<&str> = segments
        .iter()
        .filter_map(|s| match s {
            Segment::Parameter(name) => Some(&**name),
            Segment::Literal(_) => None,
        })
        .collect();
    let mut declared = Vec::new();
    if let Some(At {
        value: Value::Map(list),
        ..
    }) = &node
    {
        for (name, _) in list {
            declared.push(name.value.clone());
            if !in_path.contains(&name.value.as_str()) {
                findings.error(
                    "unknown-path-parameter",
                    name.place,
                    name.value.chars().count(),
                    format!("the path has no `{{{}}}`", name.value),
                    suggest(&name.value, &in_path).unwrap_or_default(),
                );
            }
        }
    }
    for name in in_path {
        if !declared.iter().any(|d| d == name)
            && let Some(path) = path
        {
            findings.error(
                "missing-path-parameter",
                path.place,
                path.value.chars().count(),
                format!("`path_parameters` lacks `{name}`"),
                "say what it is, such as `{ use: read, field: id }`",
            );
        }
    }
    parameters("`path_parameters`", node, findings)
}

fn output(node: Option<Node>, findings: &mut Findings) -> (Output<Name>, Vec<At<()>>) {
    let Some(node) = node else {
        return (Output::Declared(Vec::new()), Vec::new());
    };
    if let Value::Text(text) = &node.value {
        if text == "outputs" {
            return (Output::Asked, Vec::new());
        }
        let text = At {
            value: text.clone(),
            place: node.place,
        };
        findings.unknown("unknown-fields", "word", &text, &["outputs"]);
        return (Output::Declared(Vec::new()), Vec::new());
    }
    let (mut list, mut places) = (Vec::new(), Vec::new());
    for (name, node) in findings.map("`fields`", node).all() {
        let place = node.place;
        if let Some(path) = path("a field", node, findings) {
            list.push((name, path));
            places.push(At { value: (), place });
        }
    }
    (Output::Declared(list), places)
}
