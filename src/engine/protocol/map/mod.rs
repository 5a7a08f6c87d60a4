//! Any JSON API, as `policies/apis/*.yaml` describes it: [`parse()`] reads a map with every mistake in its place,
//! [`bind()`] ties its names to the schema, [`understand()`] reads one request by it, [`Forward::print`] writes the
//! request that goes upstream.
//!
//! What no route, parameter, body member or field names is refused in a request and dropped from an answer.
//! Beyond what the files say:
//!
//! * A required member (`require`) that is absent goes upstream with the first value listed, so that a default of
//!   the upstream never decides what an answer looks like.
//! * A filter without the required form is [`Comparison::Other`]: possible on a clear field, never with a token.
//! * Beside an aggregated output, every plain one is what the rows are grouped by: a use `group` as well.
//! * After a token in the request the links of the answer are dropped: they usually repeat the query.
//! * An envelope or link path that could reach into the records is refused at load, since it passes untreated.

mod bind;
mod findings;
mod forward;
mod parse;
mod selector;
mod understand;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use http::Method;

use crate::engine::catalog::{FieldRef, ObjectId};
use crate::engine::path::Path;
use crate::engine::protocol::json_body as body;
use crate::engine::rewrite::Framing;

use super::{Action, Comparison};

pub use bind::bind;
pub use forward::Forward;
pub use parse::{RawMap, parse};
pub use understand::understand;

/// One `policies/apis/*.yaml`, checked against the schema.
#[derive(Debug)]
pub struct ApiMap {
    pub(super) error: ErrorShape,
    pub(super) routes: Vec<Route<Fields, ObjectId>>,
}

/// A field as a bound map knows it: one reference per possible object of its route, in the route's order.
pub(super) type Fields = Box<[FieldRef]>;

impl ApiMap {
    /// Content type and body of an error in this API's own shape. `code` and `message` are written as JSON text.
    pub fn error_body(&self, code: &str, message: &str) -> (String, String) {
        self.error.print(code, message)
    }

    /// The ids of its routes, in the file's order: the closed set of its endpoint names.
    pub fn route_ids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.routes.iter().map(|r| &r.id)
    }
}

/// `error:`.
#[derive(Debug, Clone)]
pub(super) struct ErrorShape {
    content_type: String,
    parts: Vec<ErrorPart>,
}

#[derive(Debug, Clone, PartialEq)]
enum ErrorPart {
    Text(String),
    Code,
    Message,
}

impl ErrorShape {
    /// Splits a body template at `{code}` and `{message}`.
    fn new(content_type: String, template: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = template;
        loop {
            let next = [
                ("{code}", ErrorPart::Code),
                ("{message}", ErrorPart::Message),
            ]
            .into_iter()
            .filter_map(|(word, part)| rest.find(word).map(|at| (at, word, part)))
            .min_by_key(|(at, ..)| *at);
            let Some((at, word, part)) = next else {
                parts.push(ErrorPart::Text(rest.to_owned()));
                return Self {
                    content_type,
                    parts,
                };
            };
            parts.push(ErrorPart::Text(rest[..at].to_owned()));
            parts.push(part);
            rest = &rest[at + word.len()..];
        }
    }

    fn print(&self, code: &str, message: &str) -> (String, String) {
        let mut body = String::new();
        // Both stand inside a JSON string of the template: without the quotes of their own.
        let inner = |text: &str, body: &mut String| {
            let mut quoted = String::new();
            body::print_text(text, &mut quoted);
            body.push_str(&quoted[1..quoted.len() - 1]);
        };
        for part in &self.parts {
            match part {
                ErrorPart::Text(text) => body.push_str(text),
                ErrorPart::Code => inner(code, &mut body),
                ErrorPart::Message => inner(message, &mut body),
            }
        }
        (self.content_type.clone(), body)
    }
}

/// One route. `F` is a field (a name with its place, then [`Fields`]), `O` an object.
#[derive(Debug, Clone)]
pub(super) struct Route<F, O> {
    id: Arc<str>,
    method: Method,
    path: Vec<Segment>,
    action: Action,
    object: ObjectRule<O>,
    parameters: Vec<(Arc<str>, Parameter<F>)>,
    path_parameters: Vec<(Arc<str>, Parameter<F>)>,
    body: Option<Body<F>>,
    /// The answer is JSON documents inside a larger body; `None` = it is one document.
    framing: Option<Framing>,
    /// The string whose JSON the paths below are about; all else is dropped. `None` = they are about the answer.
    document: Option<Path>,
    records: Option<Path>,
    fields: Output<F>,
    envelope: Vec<Path>,
    links: Vec<Path>,
}

/// A segment of a path template, decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(String),
    Parameter(Arc<str>),
}

/// Names of members from the value at hand to the one that is meant.
type Names = Vec<Arc<str>>;

/// Whose fields the route is about.
#[derive(Debug, Clone)]
enum ObjectRule<O> {
    Fixed(O),
    /// The text at these members of the body says which.
    At {
        at: Names,
        is: Vec<(Arc<str>, O)>,
    },
}

/// What a parameter is for.
#[derive(Debug, Clone)]
enum Parameter<F> {
    /// Goes upstream as it is.
    None,
    /// Its value is compared with these fields (or its presence evaluates them).
    Evaluate {
        action: Action,
        comparison: Comparison,
        fields: Vec<F>,
    },
    /// Its value chooses the field.
    Choose {
        action: Action,
        comparison: Comparison,
        words: Vec<(Arc<str>, F)>,
    },
    /// Its comma-separated values name outputs.
    Output { words: Vec<(Arc<str>, F)> },
}

/// What the members of the request body are.
#[derive(Debug, Clone)]
struct Body<F> {
    outputs: Option<Outputs>,
    filters: Option<Filters>,
    writes: Option<Writes<F>>,
    require: Vec<Requirement>,
    ignore: Vec<Path>,
}

/// The request says which columns come back.
#[derive(Debug, Clone)]
struct Outputs {
    each: Path,
    field: Names,
    function: Option<Names>,
    key: Vec<Vec<KeyPart>>,
    ignore: Vec<Path>,
    sort: Option<Names>,
}

/// A piece of a key template.
#[derive(Debug, Clone, PartialEq, Eq)]
enum KeyPart {
    Text(String),
    Member(Arc<str>),
}

/// Comparisons with fields that the body names.
#[derive(Debug, Clone)]
struct Filters {
    each: Path,
    field: Names,
    equals: Path,
    require: Vec<Requirement>,
    ignore: Vec<Path>,
}

/// A member must have one of these values.
#[derive(Debug, Clone)]
struct Requirement {
    path: Names,
    values: Vec<body::Node>,
}

/// Members that are written.
#[derive(Debug, Clone)]
struct Writes<F> {
    records: Path,
    fields: Vec<(F, Path)>,
}

/// Where the outputs stand in a record of the answer.
#[derive(Debug, Clone)]
enum Output<F> {
    /// The route declares them.
    Declared(Vec<(F, Path)>),
    /// The request declares them: keys by the templates of [`Outputs`].
    Asked,
}
