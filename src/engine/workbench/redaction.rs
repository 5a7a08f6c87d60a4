//! Records from a file, treated as a caller would get them: the program that answers go through, without an upstream.

use bytes::Bytes;
use http::Method;

use super::request::Request;
use crate::engine::catalog::{Catalog, ObjectId};
use crate::engine::identity::Identity;
use crate::engine::plan;
use crate::engine::policy::{Asking, Decision, Loaded, decide};
use crate::engine::protocol::{CsvShape, Operation, RecordShape, Shape};
use crate::engine::refusal::Refusal;
use crate::engine::rewrite::csv::{Delimiter, LineEnding};
use crate::engine::rewrite::{Abort, BodyProgram, Bounds, Framing, Out, Rewriter};
use crate::engine::token::KeyRing;

/// How far references are followed: `Account.Owner.Name` of a contact is the second record.
const PARENTS_MAX: usize = 2;
/// Enough to see what a JSON document is: an array of records, a record, or the answer of a query.
const OPENING_BYTES_MAX: usize = 4096;

/// How the records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One document: an array of records, one record, or the answer of a query (`records`).
    Json,
    /// A record a line.
    Ndjson,
    /// RFC 4180 with a header row.
    Csv(Delimiter),
}

/// What records of one object become for one caller, in every form that they can have.
#[derive(Debug)]
pub struct Redaction {
    form: Form,
    record: BodyProgram,
    records: BodyProgram,
    answer: BodyProgram,
}

impl Redaction {
    /// Decides once for all records of `object` that `caller` reads under `purpose`; of `exports`, as a file that it
    /// takes away. Without a client the purpose counts as granted.
    ///
    /// Nobody names a field here, so `deny` acts as `drop`; relationships are followed twice, each record judged as
    /// its own object.
    ///
    /// # Errors
    /// The refusal that the caller would get; also where the object's API has no records of a form known here.
    pub fn new(
        set: &Loaded,
        keys: &KeyRing,
        caller: &Identity,
        purpose: &str,
        object: ObjectId,
        form: Form,
        exports: bool,
    ) -> Result<Self, Refusal> {
        let catalog = &set.catalog;
        let mut operation = whole_record(catalog, caller, keys, object)?;
        operation.uses.clear();
        operation.exports = exports;
        operation.objects = vec![object];
        parents(catalog, object, PARENTS_MAX, &mut operation.objects);
        let decision = if caller.client.is_some() {
            decide(&set.policies, catalog, caller, &operation)
        } else {
            set.policies
                .standpoint(catalog, caller, purpose.into())
                .decide(
                    &set.policies,
                    catalog,
                    &Asking {
                        action: operation.action,
                        uses: &operation.uses,
                        objects: &operation.objects,
                        exports,
                        written: &|_| None,
                    },
                )
        };
        let row = record(catalog, &decision, vec![object], 0, PARENTS_MAX);
        let mut lowered = |shape: Shape| {
            operation.shape = shape;
            plan::offline(&operation, &decision, catalog, keys, caller)
        };
        let list = Shape::Array {
            element: Box::new(Shape::Record(row.clone())),
            rows: true,
        };
        let envelope = Shape::Object(vec![
            ("totalSize".into(), Shape::Number),
            ("done".into(), Shape::Boolean),
            ("records".into(), list.clone()),
        ]);
        Ok(Self {
            form,
            record: match form {
                Form::Json => lowered(Shape::Record(row))?,
                Form::Ndjson => {
                    lowered(Shape::Framed(Framing::Lines, Box::new(Shape::Record(row))))?
                }
                Form::Csv(delimiter) => lowered(Shape::Csv(Box::new(CsvShape {
                    delimiter,
                    line_ending: LineEnding::AsHeader,
                    no_records: false,
                    row,
                })))?,
            },
            records: lowered(list)?,
            answer: lowered(envelope)?,
        })
    }

    /// Begins a document.
    pub fn begin(&self) -> Redactor<'_> {
        Redactor {
            redaction: self,
            state: match self.form {
                Form::Json => State::Opening(Vec::new()),
                Form::Csv(_) | Form::Ndjson => {
                    State::Document(Rewriter::new(&self.record, Bounds::default()))
                }
            },
        }
    }

    /// The program for a JSON document that begins like this; `None`: more of it must be seen.
    fn opened(&self, opening: &[u8]) -> Option<&BodyProgram> {
        let is_space = |b: &u8| matches!(b, b' ' | b'\t' | b'\n' | b'\r');
        let text = opening.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(opening);
        let text = &text[text.iter().position(|b| !is_space(b))?..];
        if text[0] != b'{' {
            return Some(&self.records);
        }
        let inside = &text[1..];
        let inside = &inside[inside.iter().position(|b| !is_space(b))?..];
        if inside[0] != b'"' {
            return Some(&self.record);
        }
        let key = &inside[1..];
        let key = &key[..key.iter().position(|b| *b == b'"')?];
        let envelope: [&[u8]; 4] = [b"totalSize", b"done", b"records", b"nextRecordsUrl"];
        Some(if envelope.contains(&key) {
            &self.answer
        } else {
            &self.record
        })
    }
}

/// One document on its way.
#[derive(Debug)]
pub struct Redactor<'a> {
    redaction: &'a Redaction,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The beginning of a JSON document, until it is clear what it is.
    Opening(Vec<u8>),
    /// The whole input is one document.
    Document(Rewriter),
    /// Nothing more comes out.
    Ended,
}

impl Redactor<'_> {
    /// Takes the next piece of the input.
    ///
    /// # Errors
    /// The input is not what it should be: nothing more may be written, and nothing more is given.
    pub fn push(&mut self, chunk: Bytes, out: &mut Out) -> Result<(), Abort> {
        let pushed = self.pushed(chunk, out);
        if pushed.is_err() {
            self.state = State::Ended;
        }
        pushed
    }

    fn pushed(&mut self, chunk: Bytes, out: &mut Out) -> Result<(), Abort> {
        match &mut self.state {
            State::Document(rewriter) => rewriter.push(chunk, out),
            State::Opening(opening) => {
                opening.extend_from_slice(&chunk);
                let program = match self.redaction.opened(opening) {
                    Some(program) => program,
                    None if opening.len() > OPENING_BYTES_MAX => &self.redaction.record,
                    None => return Ok(()),
                };
                let opening = Bytes::from(std::mem::take(opening));
                let mut rewriter = Rewriter::new(program, Bounds::default());
                rewriter.push(opening, out)?;
                self.state = State::Document(rewriter);
                Ok(())
            }
            State::Ended => Ok(()),
        }
    }

    /// The input is complete.
    ///
    /// # Errors
    /// It ended inside a document.
    pub fn finish(mut self, out: &mut Out) -> Result<(), Abort> {
        if let State::Opening(opening) = &mut self.state {
            // Whatever this is, it is not complete: the rewriter says where it ends.
            let mut rewriter = Rewriter::new(&self.redaction.record, Bounds::default());
            rewriter.push(Bytes::from(std::mem::take(opening)), out)?;
            self.state = State::Document(rewriter);
        }
        match &mut self.state {
            State::Document(rewriter) => rewriter.finish(out).map(drop),
            State::Opening(_) | State::Ended => Ok(()),
        }
    }
}

/// A request for a whole record, as the API would understand it.
fn whole_record(
    catalog: &Catalog,
    caller: &Identity,
    keys: &KeyRing,
    object: ObjectId,
) -> Result<Operation, Refusal> {
    let schema = catalog.get(object);
    let prefix = schema.key_prefix.as_deref().unwrap_or("000");
    let request = Request {
        method: Method::GET,
        path: format!(
            "/services/data/v61.0/sobjects/{}/{prefix}000000000001AAA",
            schema.name
        ),
        query: Vec::new(),
        body: Vec::new(),
        api: Some(schema.api.clone()),
    };
    request.understood(catalog, caller, keys)
}

/// The objects that records of `object` refer to, and those that these do.
fn parents(catalog: &Catalog, object: ObjectId, depth: usize, into: &mut Vec<ObjectId>) {
    if depth == 0 {
        return;
    }
    for field in &catalog.get(object).fields {
        for target in field.reference_to.iter().filter_map(|(_, id)| *id) {
            if !into.contains(&target) {
                into.push(target);
            }
            parents(catalog, target, depth - 1, into);
        }
    }
}

fn record(
    catalog: &Catalog,
    decision: &Decision,
    objects: Vec<ObjectId>,
    scope: usize,
    depth: usize,
) -> RecordShape {
    let mut members = Vec::new();
    if let (&[object], true) = (objects.as_slice(), depth > 0) {
        for (field, schema) in (0_u32..).zip(&catalog.get(object).fields) {
            let Some(relationship) = &schema.relationship_name else {
                continue;
            };
            let reference = crate::engine::catalog::FieldRef { object, field };
            // A reference that a row hides or treats would show in the record behind it.
            let shown = decision
                .read(reference)
                .is_some_and(|r| r.is_clear() || !r.by_rule());
            let mut targets: Vec<ObjectId> =
                schema.reference_to.iter().filter_map(|t| t.1).collect();
            targets.retain(|t| {
                let table = decision.tables.get(t);
                table.is_some_and(|table| !table.nothing_readable())
            });
            let nested = |target: &ObjectId| {
                // No scope of a request: nothing is fetched for it.
                record(catalog, decision, vec![*target], usize::MAX, depth - 1)
            };
            let shape = match targets.as_slice() {
                _ if !shown => Shape::Drop,
                [] => Shape::Drop,
                [target] if schema.reference_to.len() == 1 => Shape::Record(nested(target)),
                several => Shape::OneOf {
                    records: several.iter().map(nested).collect(),
                    others_dropped: true,
                },
            };
            members.push((relationship.clone(), shape));
        }
    }
    RecordShape {
        objects,
        scope,
        members,
        enveloped: false,
        all_fields: true,
        attributes: true,
        paths: Vec::new(),
    }
}
