//! Request × map → [`Operation`]: which route, which uses, where the outputs will stand. What the map does not
//! name is refused.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_TYPE};

use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::path::Path;
use crate::engine::protocol::{
    self as protocol, Action, Api, Comparison, Link, Literal, Operation, RecordShape, RequestHead,
    Shape, Use,
};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::looks_treated;

use super::body::{self, Node, NodeId, Tree};
use super::forward::{Listed, Place, Slot};
use super::{
    ApiMap, Fields, Filters, Forward, KeyPart, ObjectRule, Output, Outputs, Parameter, Requirement,
    Route, Segment, Writes,
};

/// Functions whose result is a number of rows or of distinct values: a deterministic token already shows it, and
/// the number itself holds nothing of the field.
const COUNTS: [&str; 3] = ["COUNT", "COUNTD", "COUNT_DISTINCT"];

/// Understands one request of a mapped API.
///
/// # Errors
/// A refusal in the design's words; nothing has gone upstream.
pub fn understand(
    api: &Api,
    head: &RequestHead<'_>,
    body: &[u8],
    catalog: &Catalog,
) -> Result<Operation, Refusal> {
    let map = catalog.maps.get(&api.name).ok_or_else(unknown_path)?;
    let route = find(map, head)?;
    let tree = request_body(route, head, body)?;
    let mut reading = Reading {
        catalog,
        object: ObjectId(0),
        which: 0,
        uses: Vec::new(),
        slots: Vec::new(),
        listed: Vec::new(),
        droppable: Vec::new(),
        keys: Vec::new(),
        tree,
        passed: Vec::new(),
        claimed: Vec::new(),
    };
    if let Some(tree) = &reading.tree {
        reading.passed = vec![false; tree.nodes.len()];
        reading.claimed = vec![false; tree.nodes.len()];
    }
    reading.object(route)?;
    if route.action == Action::Delete {
        reading.used(Use {
            field: FieldRef {
                object: reading.object,
                field: 0,
            },
            action: Action::Delete,
            written: catalog.get(reading.object).name.clone(),
            comparison: Comparison::Other,
            values: Vec::new(),
            named: false,
        });
    }
    reading.path_parameters(route, head)?;
    reading.query(route, head)?;
    reading.body(route)?;
    let shape = reading.shape(route);
    Ok(Operation {
        api: api.clone(),
        action: route.action,
        endpoint: route.id.clone(),
        objects: vec![reading.object],
        uses: reading.uses,
        exports: route.action == Action::Export,
        shape,
        forward: protocol::Forward::Map(Box::new(Forward {
            method: route.method.clone(),
            segments: head.segments.to_vec(),
            query: head.query.to_vec(),
            body: reading.tree,
            slots: reading.slots,
            listed: reading.listed,
            droppable: reading.droppable,
        })),
    })
}

fn unknown_path() -> Refusal {
    Refusal::new(Reason::UnknownPath, "The requested resource does not exist")
}

/// The route of the request. Where several paths fit, a literal segment beats a parameter, from the left.
fn find<'m>(
    map: &'m ApiMap,
    head: &RequestHead<'_>,
) -> Result<&'m Route<Fields, ObjectId>, Refusal> {
    let fits = |route: &&Route<Fields, ObjectId>| {
        route.path.len() == head.segments.len()
            && route.path.iter().zip(head.segments).all(|(t, s)| match t {
                Segment::Literal(text) => text == s,
                Segment::Parameter(_) => !s.is_empty(),
            })
    };
    let rank = |route: &&Route<Fields, ObjectId>| -> Vec<bool> {
        route
            .path
            .iter()
            .map(|s| matches!(s, Segment::Parameter(_)))
            .collect()
    };
    let mut known = false;
    let best = map
        .routes
        .iter()
        .filter(fits)
        .inspect(|_| known = true)
        .filter(|r| r.method == *head.method)
        .min_by_key(rank);
    match best {
        Some(route) => Ok(route),
        None if known => Err(Refusal::new(
            Reason::MethodNotAllowed,
            "This method is not allowed on this resource",
        )),
        None => Err(unknown_path()),
    }
}

fn request_body(
    route: &Route<Fields, ObjectId>,
    head: &RequestHead<'_>,
    body: &[u8],
) -> Result<Option<Tree>, Refusal> {
    if route.body.is_none() {
        return if body.is_empty() {
            Ok(None)
        } else {
            Err(Refusal::new(
                Reason::BadRequest,
                "This request takes no body",
            ))
        };
    }
    let mut types = head.headers.get_all(CONTENT_TYPE).iter();
    let json = match (types.next(), types.next()) {
        (Some(one), None) => one.to_str().is_ok_and(is_json),
        _ => false,
    };
    let coded = head
        .headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|c| !c.as_bytes().eq_ignore_ascii_case(b"identity"));
    if !json || coded {
        return Err(Refusal::new(
            Reason::UnsupportedMediaType,
            "The request body must be application/json",
        ));
    }
    match body::parse(body) {
        Ok(tree) => Ok(Some(tree)),
        Err(e) => Err(Refusal::new(Reason::MalformedBody, e.to_string())),
    }
}

/// `application/json`, at most with `charset=utf-8` (RFC 8259, section 11 defines no parameter).
fn is_json(value: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    parts
        .next()
        .is_some_and(|t| t.eq_ignore_ascii_case("application/json"))
        && parts.all(|p| {
            p.split_once('=').is_some_and(|(name, v)| {
                name.eq_ignore_ascii_case("charset")
                    && v.trim_matches('"').eq_ignore_ascii_case("utf-8")
            })
        })
}

/// A name of the caller's for a public text. What does not look like a name is not repeated: it may be a value.
fn shown(name: &str) -> &str {
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'$' | b'[' | b']')
        });
    if fits { name } else { "…" }
}

fn malformed(text: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Reason::MalformedBody, text)
}

/// One request while it is read.
struct Reading<'a> {
    catalog: &'a Catalog,
    object: ObjectId,
    /// Which of the route's objects it is.
    which: usize,
    uses: Vec<Use>,
    slots: Vec<Slot>,
    listed: Vec<Listed>,
    droppable: Vec<(Vec<usize>, NodeId)>,
    /// Key in the answer and the uses that it is computed from.
    keys: Vec<(Arc<str>, Vec<usize>)>,
    tree: Option<Tree>,
    /// Nodes on the way of some path of the map.
    passed: Vec<bool>,
    /// Nodes that the map names.
    claimed: Vec<bool>,
}

impl Reading<'_> {
    fn used(&mut self, used: Use) -> usize {
        self.uses.push(used);
        self.uses.len() - 1
    }

    fn root(&self) -> Option<NodeId> {
        self.tree.as_ref().map(|t| t.root)
    }

    fn node(&self, node: NodeId) -> Option<&Node> {
        self.tree.as_ref().and_then(|t| t.nodes.get(node))
    }

    /// The nodes at `path`; those on the way are passed.
    fn select(&mut self, from: NodeId, path: &Path) -> Vec<NodeId> {
        let Some(tree) = &self.tree else {
            return Vec::new();
        };
        let passed = &mut self.passed;
        tree.select(from, path, |n| passed[n] = true)
    }

    /// The node at `names`; those on the way are passed.
    fn at(&mut self, from: NodeId, names: &[Arc<str>]) -> Option<NodeId> {
        let tree = self.tree.as_ref()?;
        let mut node = from;
        self.passed[node] = true;
        for name in names {
            node = tree.member(node, name)?;
            self.passed[node] = true;
        }
        Some(node)
    }

    /// The text at `names`, claimed. `Ok(None)` where there is nothing.
    fn text_at(&mut self, from: NodeId, names: &[Arc<str>]) -> Result<Option<String>, Refusal> {
        let Some(node) = self.at(from, names) else {
            return Ok(None);
        };
        self.claimed[node] = true;
        match self.node(node) {
            Some(Node::Text(text)) => Ok(Some(text.clone())),
            _ => Err(malformed(format!(
                "The member '{}' must be a string",
                names.join(".")
            ))),
        }
    }

    fn object(&mut self, route: &Route<Fields, ObjectId>) -> Result<(), Refusal> {
        match &route.object {
            ObjectRule::Fixed(object) => self.object = *object,
            ObjectRule::At { at, is } => {
                let root = self.root().ok_or_else(|| malformed("A body is needed"))?;
                let value = self.text_at(root, at)?.ok_or_else(|| {
                    malformed(format!("The member '{}' is missing", at.join(".")))
                })?;
                let which = is.iter().position(|(v, _)| **v == *value).ok_or_else(|| {
                    Refusal::new(
                        Reason::UnknownObject,
                        format!("The object that '{}' names is not supported", at.join(".")),
                    )
                })?;
                self.which = which;
                self.object = is[which].1;
            }
        }
        Ok(())
    }

    /// The bound field under the object of this request.
    fn bound(&self, fields: &Fields) -> FieldRef {
        fields[self.which]
    }

    /// The field that the caller calls `written`.
    fn field(&self, written: &str) -> Result<FieldRef, Refusal> {
        let object = self.catalog.get(self.object);
        object.field(written).map_or_else(
            || {
                Err(Refusal::new(
                    Reason::UnknownField,
                    format!(
                        "No such column '{}' on entity '{}'",
                        written.chars().take(128).collect::<String>(),
                        object.name
                    ),
                ))
            },
            |field| {
                Ok(FieldRef {
                    object: self.object,
                    field,
                })
            },
        )
    }

    fn path_parameters(
        &mut self,
        route: &Route<Fields, ObjectId>,
        head: &RequestHead<'_>,
    ) -> Result<(), Refusal> {
        for (i, segment) in route.path.iter().enumerate() {
            let Segment::Parameter(name) = segment else {
                continue;
            };
            let value = &head.segments[i];
            if matches!(value.as_str(), "." | "..")
                || value.contains(['/', '\\'])
                || value.chars().any(char::is_control)
            {
                return Err(Refusal::new(
                    Reason::BadRequest,
                    format!("The path parameter '{name}' has a form that is not accepted"),
                ));
            }
            // Load has made sure that each one is declared.
            let declared = route.path_parameters.iter().find(|(n, _)| n == name);
            let parameter = declared.map(|(_, p)| p).ok_or_else(unknown_path)?;
            self.parameter(name, value, parameter, Place::Segment(i))?;
        }
        Ok(())
    }

    fn query(
        &mut self,
        route: &Route<Fields, ObjectId>,
        head: &RequestHead<'_>,
    ) -> Result<(), Refusal> {
        let mut seen = HashSet::new();
        for (i, (name, value)) in head.query.iter().enumerate() {
            let declared = route.parameters.iter().find(|(n, _)| **n == **name);
            let Some((name, parameter)) = declared else {
                return Err(Refusal::new(
                    Reason::BadRequest,
                    format!("The parameter '{}' is not supported", shown(name)),
                ));
            };
            if !seen.insert(name) {
                return Err(Refusal::new(
                    Reason::BadRequest,
                    format!("The parameter '{name}' stands twice"),
                ));
            }
            self.parameter(name, value, parameter, Place::Query(i))?;
        }
        Ok(())
    }

    fn parameter(
        &mut self,
        name: &Arc<str>,
        value: &str,
        parameter: &Parameter<Fields>,
        place: Place,
    ) -> Result<(), Refusal> {
        let unsupported = || {
            Refusal::new(
                Reason::BadRequest,
                format!("The parameter '{name}' has a value that is not supported"),
            )
        };
        match parameter {
            Parameter::None => {}
            Parameter::Evaluate {
                action,
                comparison,
                fields,
            } => {
                let compared = *comparison == Comparison::Equality;
                for field in fields {
                    let field = self.bound(field);
                    let index = self.used(Use {
                        field,
                        action: *action,
                        written: name.clone(),
                        comparison: *comparison,
                        values: if compared {
                            vec![Literal::Text(value.to_owned())]
                        } else {
                            Vec::new()
                        },
                        named: false,
                    });
                    if compared {
                        self.slot(index, field, vec![place]);
                    }
                }
            }
            Parameter::Choose {
                action,
                comparison,
                words,
            } => {
                let (word, field) = words
                    .iter()
                    .find(|(w, _)| **w == *value)
                    .ok_or_else(unsupported)?;
                let field = self.bound(field);
                self.used(Use {
                    field,
                    action: *action,
                    written: word.clone(),
                    comparison: *comparison,
                    values: Vec::new(),
                    named: false,
                });
            }
            Parameter::Output { words } => {
                let Place::Query(pair) = place else {
                    return Err(unsupported());
                };
                let mut listed = Vec::new();
                for asked in value.split(',') {
                    let (word, field) = words
                        .iter()
                        .find(|(w, _)| **w == *asked)
                        .ok_or_else(unsupported)?;
                    let field = self.bound(field);
                    let index = self.used(Use {
                        field,
                        action: Action::Read,
                        written: word.clone(),
                        comparison: Comparison::Other,
                        values: Vec::new(),
                        named: true,
                    });
                    listed.push((index, word.clone()));
                }
                self.listed.push(Listed {
                    pair,
                    words: listed,
                });
            }
        }
        Ok(())
    }

    fn slot(&mut self, index: usize, field: FieldRef, places: Vec<Place>) {
        self.slots.push(Slot {
            used: index,
            kind: self.catalog.field(field).kind,
            places,
        });
    }

    fn body(&mut self, route: &Route<Fields, ObjectId>) -> Result<(), Refusal> {
        let (Some(rules), Some(root)) = (&route.body, self.root()) else {
            return Ok(());
        };
        for requirement in &rules.require {
            if !self.require(root, requirement)? {
                return Err(Refusal::new(
                    Reason::MalformedQuery,
                    format!(
                        "The member '{}' has a value that is not supported",
                        requirement.path.join(".")
                    ),
                ));
            }
        }
        if let Some(outputs) = &rules.outputs {
            self.outputs(root, outputs)?;
        }
        if let Some(filters) = &rules.filters {
            self.filters(root, filters)?;
        }
        if let Some(writes) = &rules.writes {
            self.writes(root, writes)?;
        }
        self.ignore(root, &rules.ignore);
        self.all_named(root, &mut String::new())
    }

    fn ignore(&mut self, from: NodeId, paths: &[Path]) {
        for path in paths {
            for node in self.select(from, path) {
                self.claimed[node] = true;
            }
        }
    }

    /// Whether a requirement holds. An absent member is set to the first value that the map lists, so that a
    /// default of the upstream never decides.
    fn require(&mut self, from: NodeId, requirement: &Requirement) -> Result<bool, Refusal> {
        if let Some(node) = self.at(from, &requirement.path) {
            self.claimed[node] = true;
            return match self.node(node) {
                Some(found) if !found.is_container() => Ok(requirement.values.contains(found)),
                _ => Ok(false),
            };
        }
        let Some(first) = requirement.values.first() else {
            return Ok(false);
        };
        let Some(tree) = &mut self.tree else {
            return Ok(false);
        };
        let mut node = from;
        for (depth, name) in requirement.path.iter().enumerate() {
            if let Some(next) = tree.member(node, name) {
                node = next;
                continue;
            }
            let last = depth + 1 == requirement.path.len();
            tree.nodes.push(if last {
                first.clone()
            } else {
                Node::Object(Vec::new())
            });
            self.passed.push(true);
            self.claimed.push(last);
            let new = tree.nodes.len() - 1;
            match tree.nodes.get_mut(node) {
                Some(Node::Object(members)) => members.push((name.to_string(), new)),
                _ => {
                    return Err(malformed(format!(
                        "The member '{}' can not stand there",
                        requirement.path.join(".")
                    )));
                }
            }
            node = new;
        }
        Ok(true)
    }

    fn outputs(&mut self, root: NodeId, rules: &Outputs) -> Result<(), Refusal> {
        struct Element {
            node: NodeId,
            written: Arc<str>,
            field: FieldRef,
            function: Option<String>,
            sorted: bool,
            keys: Vec<String>,
        }
        let mut elements = Vec::new();
        for node in self.select(root, &rules.each) {
            if !matches!(self.node(node), Some(Node::Object(_))) {
                return Err(malformed("An output must be an object"));
            }
            let written = self.text_at(node, &rules.field)?.ok_or_else(|| {
                Refusal::new(
                    Reason::MalformedQuery,
                    format!(
                        "An output without '{}' is not supported",
                        rules.field.join(".")
                    ),
                )
            })?;
            let field = self.field(&written)?;
            let function = match &rules.function {
                Some(names) => self.text_at(node, names)?,
                None => None,
            };
            if let Some(function) = &function
                && (function.is_empty()
                    || function.len() > 64
                    || !function
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'_'))
            {
                return Err(Refusal::new(
                    Reason::MalformedQuery,
                    "A function is not understood",
                ));
            }
            let sorted = match &rules.sort {
                Some(names) => match self.at(node, names) {
                    Some(sort) if self.node(sort).is_some_and(|n| !n.is_container()) => {
                        self.claimed[sort] = true;
                        true
                    }
                    Some(_) => return Err(malformed("A sort priority must be a number")),
                    None => false,
                },
                None => false,
            };
            let mut keys = Vec::new();
            for template in &rules.key {
                if let Some(key) = self.key(node, template)? {
                    keys.push(key);
                }
            }
            self.ignore(node, &rules.ignore);
            elements.push(Element {
                node,
                written: written.as_str().into(),
                field,
                function,
                sorted,
                keys,
            });
        }
        if elements.is_empty() {
            return Err(malformed("The request names no output"));
        }
        let ambiguous = || {
            Refusal::new(
                Reason::MalformedQuery,
                "Two outputs would have the same key in the answer",
            )
        };
        // Keys of answers compare without regard to case, so they must differ by more than that. A key may also
        // not be what another output would be called, had it no alias: were the alias not honoured, one field
        // would be treated as another.
        let mut chosen: HashMap<String, usize> = HashMap::new();
        for (i, element) in elements.iter().enumerate() {
            let key = element
                .keys
                .first()
                .ok_or_else(|| malformed("An output has no key in the answer"))?;
            if chosen.insert(key.to_lowercase(), i).is_some() {
                return Err(ambiguous());
            }
        }
        for (i, element) in elements.iter().enumerate() {
            for key in &element.keys {
                if let Some(&other) = chosen.get(&key.to_lowercase())
                    && other != i
                    && elements[other].field != element.field
                {
                    return Err(ambiguous());
                }
            }
        }
        // Beside an aggregate, every plain output is what the rows are grouped by.
        let grouped = elements.iter().any(|e| e.function.is_some());
        for element in elements {
            let used = |action, comparison, named| Use {
                field: element.field,
                action,
                written: element.written.clone(),
                comparison,
                values: Vec::new(),
                named,
            };
            let mut sources = Vec::new();
            match &element.function {
                Some(function) => {
                    let counts = COUNTS.contains(&function.as_str());
                    let comparison = if counts {
                        Comparison::Identity
                    } else {
                        Comparison::Other
                    };
                    self.used(used(Action::Aggregate, comparison, false));
                    if !counts {
                        sources.push(self.used(used(Action::Read, Comparison::Other, true)));
                    }
                }
                None => {
                    if grouped {
                        self.used(used(Action::Group, Comparison::Identity, false));
                    }
                    sources.push(self.used(used(Action::Read, Comparison::Other, true)));
                }
            }
            if element.sorted {
                self.used(used(Action::Sort, Comparison::Other, false));
            }
            self.droppable.push((sources.clone(), element.node));
            if let Some(key) = element.keys.into_iter().next() {
                self.keys.push((key.into(), sources));
            }
        }
        Ok(())
    }

    /// The key by `template`, if the element has every member that it needs.
    fn key(&mut self, node: NodeId, template: &[KeyPart]) -> Result<Option<String>, Refusal> {
        let mut key = String::new();
        let mut complete = true;
        for part in template {
            match part {
                KeyPart::Text(text) => key.push_str(text),
                KeyPart::Member(name) => match self.text_at(node, std::slice::from_ref(name))? {
                    Some(text) => key.push_str(&text),
                    None => complete = false,
                },
            }
        }
        if complete && (key.is_empty() || key.len() > 256 || key.chars().any(char::is_control)) {
            return Err(malformed(
                "A key of the answer is empty, too long or not text",
            ));
        }
        Ok(complete.then_some(key))
    }

    fn filters(&mut self, root: NodeId, rules: &Filters) -> Result<(), Refusal> {
        for node in self.select(root, &rules.each) {
            if !matches!(self.node(node), Some(Node::Object(_))) {
                return Err(malformed("A filter must be an object"));
            }
            let written = self.text_at(node, &rules.field)?.ok_or_else(|| {
                Refusal::new(
                    Reason::MalformedQuery,
                    format!(
                        "A filter without '{}' is not supported",
                        rules.field.join(".")
                    ),
                )
            })?;
            let field = self.field(&written)?;
            let mut met = true;
            for requirement in &rules.require {
                met &= self.require(node, requirement)?;
            }
            let mut values = Vec::new();
            let mut places = Vec::new();
            for value in self.select(node, &rules.equals) {
                self.claimed[value] = true;
                values.push(self.literal(value)?);
                places.push(Place::Body(value));
            }
            self.ignore(node, &rules.ignore);
            // Without the required form it is some other comparison, which tokens cannot answer.
            let equality = met && !values.is_empty();
            let index = self.used(Use {
                field,
                action: Action::Filter,
                written: written.as_str().into(),
                comparison: if equality {
                    Comparison::Equality
                } else {
                    Comparison::Other
                },
                values: if equality { values } else { Vec::new() },
                named: false,
            });
            if equality {
                self.slot(index, field, places);
            }
        }
        Ok(())
    }

    fn writes(&mut self, root: NodeId, rules: &Writes<Fields>) -> Result<(), Refusal> {
        let mut written_any = false;
        for record in self.select(root, &rules.records) {
            if !matches!(self.node(record), Some(Node::Object(_))) {
                return Err(malformed("A record must be an object"));
            }
            for (field, path) in &rules.fields {
                let field = self.bound(field);
                for value in self.select(record, path) {
                    self.claimed[value] = true;
                    let literal = self.literal(value)?;
                    let index = self.used(Use {
                        field,
                        action: Action::Write,
                        written: self.catalog.field(field).name.clone(),
                        comparison: Comparison::Equality,
                        values: vec![literal],
                        named: false,
                    });
                    self.slot(index, field, vec![Place::Body(value)]);
                    written_any = true;
                }
            }
        }
        if written_any {
            Ok(())
        } else {
            // Without a member to write there would be nothing to decide on.
            Err(malformed("The request writes nothing"))
        }
    }

    fn literal(&self, node: NodeId) -> Result<Literal, Refusal> {
        Ok(match self.node(node) {
            Some(Node::Null) => Literal::Null,
            Some(Node::Text(text)) => Literal::Text(text.clone()),
            Some(Node::Number(text)) => Literal::Other(text.clone()),
            Some(Node::Bool(b)) => Literal::Other(b.to_string()),
            _ => {
                return Err(malformed(
                    "A value must be a string, number, boolean or null",
                ));
            }
        })
    }

    /// Every member of the body is named by the map; `at` is the path so far.
    fn all_named(&self, node: NodeId, at: &mut String) -> Result<(), Refusal> {
        if self.claimed[node] {
            return Ok(());
        }
        let unnamed = |at: &str| {
            Refusal::new(
                Reason::MalformedQuery,
                format!(
                    "The member '{}' of the request body is not supported",
                    shown(at)
                ),
            )
        };
        if !self.passed[node] {
            return Err(unnamed(at));
        }
        let length = at.len();
        match self.node(node) {
            Some(Node::Object(members)) => {
                for (key, value) in members {
                    if length > 0 {
                        at.push('.');
                    }
                    at.push_str(key);
                    self.all_named(*value, at)?;
                    at.truncate(length);
                }
                Ok(())
            }
            Some(Node::Array(items)) => {
                for item in items {
                    at.push_str("[]");
                    self.all_named(*item, at)?;
                    at.truncate(length);
                }
                Ok(())
            }
            _ => Err(unnamed(at)),
        }
    }

    fn shape(&mut self, route: &Route<Fields, ObjectId>) -> Shape {
        let mut paths = Vec::new();
        if let Some(records) = &route.records {
            let shape = match &route.fields {
                Output::Asked => Shape::Object(
                    std::mem::take(&mut self.keys)
                        .into_iter()
                        .map(|(key, sources)| (key, Shape::Value(sources)))
                        .collect(),
                ),
                Output::Declared(list) => {
                    let mut fields = Vec::new();
                    for (field, path) in list {
                        let field = self.bound(field);
                        self.used(Use {
                            field,
                            action: Action::Read,
                            written: self.catalog.field(field).name.clone(),
                            comparison: Comparison::Other,
                            values: Vec::new(),
                            named: false,
                        });
                        fields.push((path.clone(), field));
                    }
                    Shape::Record(RecordShape {
                        objects: vec![self.object],
                        scope: 0,
                        members: Vec::new(),
                        all_fields: false,
                        attributes: false,
                        paths: fields,
                    })
                }
            };
            paths.push((records.clone(), shape));
        }
        paths.extend(route.envelope.iter().map(|p| (p.clone(), Shape::Keep)));
        // A link usually repeats the query that led to it. Where a token went in, the value would come out.
        let tokens = self
            .uses
            .iter()
            .flat_map(|u| &u.values)
            .any(|v| matches!(v, Literal::Text(text) if looks_treated(text)));
        let link = if tokens {
            Shape::Drop
        } else {
            Shape::Link(Link::Origin)
        };
        paths.extend(route.links.iter().map(|p| (p.clone(), link.clone())));
        Shape::Paths(paths)
    }
}
