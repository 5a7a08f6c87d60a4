//! Batches that write: records in CSV, XML and JSON, and what became of them.

use std::sync::Arc;

use super::super::bulk::{NULL, bad, deletes, header_columns, line_ending};
use super::super::collections::array_at;
use super::super::cursor::{Job, JobOperation};
use super::super::errors::save_result;
use super::super::forward::Target;
use super::super::record::{self, bad_body, check_attributes, id_use, object_at, used};
use super::super::template::{Template, scalar_at};
use super::super::{Request, Surroundings};
use super::{About, BatchTarget, Body, Content, Known, Place, batch_info, document};
use crate::engine::catalog::{FieldRef, FieldType, ObjectId};
use crate::engine::protocol::json_body::{NodeId, Tree, parse};
use crate::engine::protocol::{
    Action, Comparison, CsvShape, Literal, Operation, RecordShape, Shape, Upload, UploadFormat,
    Use, Written,
};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::rewrite::csv::{Delimiter, LineEnding};

/// Most records of a batch ("Bulk API limits").
const RECORDS_MAX: usize = 10_000;

/// A table whose rows end as those of Windows do.
const CRLF: UploadFormat = UploadFormat::Csv {
    delimiter: Delimiter::Comma,
    line_ending: LineEnding::CrLf,
};

impl Request<'_> {
    pub(super) fn add_records(
        mut self,
        version: u16,
        known: &Known,
        body: &[u8],
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        const ENDPOINT: &str = "bulk1-batch-add";
        let job = &known.job;
        let object = self.object(&job.object)?;
        let mut uses = self.changes_of(object, &job.object, job.operation)?;
        let content = known.form.content;
        let read = match content {
            Content::Csv => self
                .table(object, job, body, &mut uses)
                .map(|upload| (Body::None, Some(upload))),
            Content::Xml => self
                .elements(object, job, &mut uses)
                .map(|upload| (Body::None, Some(upload))),
            Content::Json => self
                .array(object, job, body, &mut uses)
                .map(|template| (Body::Records(template), None)),
        };
        let (body, upload) = match read {
            Ok(read) => read,
            Err(refusal) => return self.mistaken(ENDPOINT, refusal, uses),
        };
        let place = Place::Batch(known.id.clone());
        let mut cursor = known.cursor(self.api, version, "", place, around.caller);
        // What was sent is repeated as it was sent.
        if let (Some(job), Some(upload)) = (&mut cursor.job, &upload)
            && upload.format == CRLF
        {
            job.line_ending = "CRLF".into();
        }
        self.forward.pages = Some(cursor);
        let takes = content.told();
        let path = format!("/{}/batch", known.id);
        let target = BatchTarget::post(path, body, content, takes);
        let target = Target::Batch(Box::new(target));
        let told = document(takes, batch_info(None, &known.sealed));
        let mut operation = self.write_job(ENDPOINT, object, target, told, uses, job.operation);
        operation.upload = upload;
        Ok(operation)
    }

    /// A table: its columns are those of the first row, its line ends as that one's.
    fn table(
        &self,
        object: ObjectId,
        job: &Job,
        first_row: &[u8],
        uses: &mut Vec<Use>,
    ) -> Result<Upload, Refusal> {
        let names = header_columns(first_row, Delimiter::Comma)?;
        let columns = self.columns(object, job, &names, uses)?;
        Ok(Upload {
            format: if first_row.ends_with(b"\r\n") {
                CRLF
            } else {
                UploadFormat::Csv {
                    delimiter: Delimiter::Comma,
                    line_ending: LineEnding::Lf,
                }
            },
            null: Some(NULL.into()),
            root: Written::Object(columns),
        })
    }

    /// `<sObjects><sObject>…`: which fields come is not known before they do, so each field of the object is judged.
    fn elements(
        &self,
        object: ObjectId,
        job: &Job,
        uses: &mut Vec<Use>,
    ) -> Result<Upload, Refusal> {
        let mut fields: Vec<(Arc<str>, Written)> = Vec::new();
        for (field, schema) in (0u32..).zip(&self.catalog.get(object).fields) {
            let is_id = schema.kind == FieldType::Id;
            let takes = if deletes(job.operation) {
                is_id
            } else {
                !matches!(schema.kind, FieldType::Blob | FieldType::Compound)
            };
            if takes {
                let written = self.column(FieldRef { object, field }, job, &schema.name, uses)?;
                if let Some(one) = uses.last_mut() {
                    one.named = false;
                }
                fields.push((schema.name.clone(), written));
            }
        }
        let record = Written::Object(fields);
        Ok(Upload {
            format: UploadFormat::Xml,
            null: Some(NULL.into()),
            root: Written::Object(vec![("sObject".into(), record)]),
        })
    }

    /// A JSON array of records.
    fn array(
        &self,
        object: ObjectId,
        job: &Job,
        body: &[u8],
        uses: &mut Vec<Use>,
    ) -> Result<Template, Refusal> {
        let tree = parse(body).map_err(|e| Refusal::new(Reason::MalformedBody, e.to_string()))?;
        let records = array_at(&tree, tree.root)?;
        if !(1..=RECORDS_MAX).contains(&records.len()) {
            return Err(Refusal::new(
                Reason::BadRequest,
                "too many records, or none",
            ));
        }
        let mut out = Template::default();
        out.text("[");
        for (i, node) in records.iter().enumerate() {
            out.text(if i > 0 { ",{" } else { "{" });
            self.one_record(object, job, &tree, *node, uses, &mut out)?;
            out.text("}");
        }
        out.text("]");
        Ok(out)
    }

    fn one_record(
        &self,
        object: ObjectId,
        job: &Job,
        tree: &Tree,
        node: NodeId,
        uses: &mut Vec<Use>,
        out: &mut Template,
    ) -> Result<(), Refusal> {
        check_attributes(self.catalog, object, tree, node)?;
        let mut skip = vec!["attributes"];
        let mut found = false;
        if job.operation != JobOperation::Insert {
            let lookup = self.found_by(object, job)?;
            let schema = self.catalog.field(lookup.field);
            if let Some((member, value)) = plain_member(tree, node, &schema.name)? {
                skip.push(member);
                if value != Literal::Null {
                    found = true;
                    out.quoted(&schema.name);
                    out.text(":");
                    out.value(uses.len(), 0, schema.kind, value.clone());
                    uses.push(Use {
                        values: vec![value],
                        ..lookup
                    });
                }
            }
            // An upsert by id makes the records that have none.
            let makes = job.operation == JobOperation::Upsert && schema.kind == FieldType::Id;
            if !found && !makes {
                return Err(bad_body("each record needs the field that finds it, once"));
            }
        }
        if deletes(job.operation) {
            let more = object_at(tree, node)?
                .iter()
                .any(|(name, _)| !skip.contains(&&**name));
            return if more {
                Err(bad("a job that deletes takes the field Id alone"))
            } else {
                Ok(())
            };
        }
        let mut fields = Template::default();
        let count = record::fields(self.catalog, object, tree, node, &skip, uses, &mut fields)?;
        if count == 0 && !found {
            return Err(record::empty_record());
        }
        if count > 0 && found {
            out.text(",");
        }
        out.append(fields);
        Ok(())
    }

    /// How a record of the job is found.
    fn found_by(&self, object: ObjectId, job: &Job) -> Result<Use, Refusal> {
        let id = id_use(self.catalog, object)?;
        let known = self.catalog.get(object);
        let by = match job.key.as_deref() {
            Some(key) => known
                .field(key)
                .map(|field| (FieldRef { object, field }, key))
                .filter(|(at, _)| *at != id.field),
            None => None,
        };
        Ok(Use {
            comparison: Comparison::Equality,
            ..by.map_or(id, |(at, key)| used(at, Action::Key, key))
        })
    }

    pub(super) fn load_batch(
        mut self,
        job: &Known,
        batch: &Known,
        about: &About,
    ) -> Result<Operation, Refusal> {
        let content = job.form.content;
        let path = format!("/{}/batch/{}", job.id, batch.id);
        let object = self.object(&job.job.object)?;
        let (endpoint, place, shape) = match about {
            About::State => {
                let takes = content.told();
                let told = document(takes, batch_info(Some(&batch.sealed), &job.sealed));
                let target = BatchTarget::read(path, takes);
                return self.about_job("bulk1-batch", Action::Read, job, target, told);
            }
            About::Rows(_) => {
                return Err(
                    bad("a batch that writes has one list of results").coded("InvalidBatch")
                );
            }
            About::Results => ("bulk1-results", "result", outcome(content, object)),
            About::Request => (
                "bulk1-request",
                "request",
                echo(content, object, line_ending(&batch.job)),
            ),
        };
        let target = BatchTarget::read(format!("{path}/{place}"), content);
        self.forward.target = Target::Batch(Box::new(target));
        let exports = matches!(about, About::Request);
        let action = if exports {
            Action::Export
        } else {
            Action::Read
        };
        let uses = vec![id_use(self.catalog, object)?];
        let mut operation = self.operation(action, endpoint, shape);
        operation.exports = exports;
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }
}

/// The plain value of the one member of a record that is called so, however it is spelt, and its spelling.
fn plain_member<'t>(
    tree: &'t Tree,
    node: NodeId,
    name: &str,
) -> Result<Option<(&'t str, Literal)>, Refusal> {
    let mut found = object_at(tree, node)?
        .iter()
        .filter(|(member, _)| member.eq_ignore_ascii_case(name));
    match (found.next(), found.next()) {
        (None, _) => Ok(None),
        (Some((member, value)), None) => {
            let value = scalar_at(tree, *value)
                .ok_or_else(|| bad_body(format!("the field '{member}' takes a plain value")))?;
            Ok(Some((member, value)))
        }
        _ => Err(bad_body("a field stands twice in a record")),
    }
}

fn row(object: ObjectId, members: Vec<(Arc<str>, Shape)>, all_fields: bool) -> RecordShape {
    RecordShape {
        objects: vec![object],
        scope: 0,
        members,
        all_fields,
        attributes: false,
        enveloped: false,
        paths: Vec::new(),
    }
}

fn table(row: RecordShape, line_ending: LineEnding) -> Shape {
    Shape::Csv(Box::new(CsvShape {
        delimiter: Delimiter::Comma,
        line_ending,
        no_records: false,
        row,
    }))
}

fn list(element: Shape) -> Shape {
    Shape::Array {
        element: Box::new(element),
        rows: true,
    }
}

/// What became of the records of a batch: each one's id, the operation's first use.
fn outcome(content: Content, object: ObjectId) -> Shape {
    let id = vec![0];
    match content {
        Content::Csv => {
            let members = vec![
                ("Id".into(), Shape::Value(id)),
                ("Success".into(), Shape::Keep),
                ("Created".into(), Shape::Keep),
                ("Error".into(), Shape::ErrorCode),
            ];
            table(row(object, members, false), LineEnding::Lf)
        }
        Content::Xml => document(
            content,
            Shape::Object(vec![("result".into(), list(save_result(id)))]),
        ),
        Content::Json => list(save_result(id)),
    }
}

/// What a batch was sent: read like any record, since what was a token on its way is a value there.
fn echo(content: Content, object: ObjectId, line_ending: LineEnding) -> Shape {
    let row = row(object, Vec::new(), true);
    match content {
        Content::Csv => table(row, line_ending),
        Content::Xml => document(
            content,
            Shape::Object(vec![("sObject".into(), list(Shape::Record(row)))]),
        ),
        Content::Json => list(Shape::Record(row)),
    }
}
