//! Request × map → [`Operation`]: which route, which uses, where the outputs will stand. What the map does not
//! name is refused.

mod members;

use std::collections::HashSet;
use std::sync::Arc;

use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::path::Path;
use crate::engine::protocol::{
    self as protocol, Action, Api, Comparison, Link, Literal, Operation, RecordShape, RequestHead,
    Shape, Use,
};
use crate::engine::refusal::{Reason, Refusal};

use super::forward::{Listed, Place, Slot};
use super::{ApiMap, Fields, Forward, ObjectRule, Output, Parameter, Route, Segment};
use crate::engine::protocol::json_body::{self as body, Node, NodeId, Tree};

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
        named: None,
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
    let mut refused = None;
    let shape = match reading.rest(route, head) {
        Ok(shape) => shape,
        // The caller said which object: whether it is there is decided first.
        Err(refusal) if reading.named.is_some() => {
            refused = Some(refusal);
            reading.slots.clear();
            let object = catalog.get(reading.object);
            if !object.fields.is_empty() {
                reading
                    .uses
                    .insert(0, looks_at(reading.object, &object.name));
            }
            Shape::Drop
        }
        Err(refusal) => return Err(refusal),
    };
    Ok(Operation {
        optional: 0..0,
        api: api.clone(),
        action: route.action,
        endpoint: route.id.clone(),
        objects: vec![reading.object],
        uses: reading.uses,
        exports: route.action == Action::Export,
        shape,
        upload: None,
        forward: protocol::Forward::Map(Box::new(Forward {
            refused,
            object: (
                reading.object,
                reading
                    .named
                    .unwrap_or_else(|| catalog.get(reading.object).name.clone()),
            ),
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

/// A use that shows nothing and is refused where the caller reads nothing of `object`.
fn looks_at(object: ObjectId, name: &Arc<str>) -> Use {
    Use {
        field: FieldRef { object, field: 0 },
        action: Action::Describe,
        written: name.clone(),
        comparison: Comparison::Other,
        values: Vec::new(),
        named: false,
    }
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
    body::read(head.headers, body).map(Some)
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

/// Whether a literal begins like a token (`tk1.`): wider than what opens as one.
fn may_be_token(literal: &Literal) -> bool {
    let Literal::Text(text) = literal else {
        return false;
    };
    let head = text.trim_start().as_bytes().get(..4);
    head.is_some_and(|h| h.eq_ignore_ascii_case(b"tk1."))
}

/// One request while it is read.
struct Reading<'a> {
    catalog: &'a Catalog,
    object: ObjectId,
    /// Which of the route's objects it is.
    which: usize,
    /// What the request calls it, where the request says which one.
    named: Option<Arc<str>>,
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
                    // In the caller's words, as where it is hidden.
                    Refusal::unknown_object(shown(&value))
                })?;
                self.which = which;
                self.object = is[which].1;
                self.named = Some(shown(&value).into());
            }
        }
        Ok(())
    }

    /// All that comes once the object is known.
    fn rest(
        &mut self,
        route: &Route<Fields, ObjectId>,
        head: &RequestHead<'_>,
    ) -> Result<Shape, Refusal> {
        if route.action == Action::Delete {
            self.used(Use {
                field: FieldRef {
                    object: self.object,
                    field: 0,
                },
                action: Action::Delete,
                written: self.catalog.get(self.object).name.clone(),
                comparison: Comparison::Other,
                values: Vec::new(),
                named: false,
            });
        }
        self.path_parameters(route, head)?;
        self.query(route, head)?;
        self.body(route)?;
        Ok(self.shape(route))
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
                let shown: String = written.chars().take(128).collect();
                Err(Refusal::unknown_field(&shown, &object.name))
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
                        enveloped: false,
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
        let mut values = self.uses.iter().flat_map(|u| &u.values);
        let link = if values.any(may_be_token) {
            Link::Closed
        } else {
            Link::NextPage
        };
        paths.extend(route.links.iter().map(|p| (p.clone(), Shape::Link(link))));
        Shape::Paths(paths)
    }
}
