//! Ingest jobs: tables of records to write, and what became of their rows.

use std::sync::Arc;

use http::Method;

use crate::engine::catalog::{FieldRef, FieldType, ObjectId};
use crate::engine::protocol::json_body::Tree;
use crate::engine::protocol::{
    Action, Comparison, CsvShape, Literal, Operation, RecordShape, Shape, Upload, UploadFormat,
    Use, Written,
};
use crate::engine::refusal::{Reason, Refusal};

use super::super::cursor::{Cursor, Job, JobOperation};
use super::super::forward::Target;
use super::super::record::{id_use, is_no_key, used};
use super::super::resolve::looks_at;
use super::super::route::is_name;
use super::super::{Request, Surroundings};
use super::{
    Asked, Body, JobTarget, Kind, Known, Outcome, Table, bad, delimiter, header, info, line_ending,
    members, operation,
};

/// What stands for null in a cell.
const NULL: &str = "#N/A";

fn deletes(operation: JobOperation) -> bool {
    matches!(operation, JobOperation::Delete | JobOperation::HardDelete)
}

impl Request<'_> {
    pub(super) fn create_ingest_job(
        mut self,
        version: u16,
        tree: &Tree,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        const ENDPOINT: &str = "bulk2-ingest-create";
        let given = members(
            tree,
            &[
                "object",
                "operation",
                "externalIdFieldName",
                "contentType",
                "columnDelimiter",
                "lineEnding",
            ],
        )?;
        let said = |name: &str| {
            given
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, text)| *text)
        };
        let operation = operation(&given, Kind::Ingest)?;
        let table = Table::of(&given)?;
        let written: Arc<str> = said("object")
            .ok_or_else(|| bad("object is needed"))?
            .into();
        let object = self.object(&written)?;
        let mut uses = self.changes_of(object, &written, operation)?;
        let key = match self.key(object, operation, said("externalIdFieldName"), &mut uses) {
            Ok(key) => key,
            Err(refusal) => return self.mistaken(ENDPOINT, refusal, uses),
        };
        let name = self.catalog.get(object).name.clone();
        let mut words = vec![
            ("operation", operation.word().into()),
            ("object", name.clone()),
            ("contentType", "CSV".into()),
            ("columnDelimiter", table.delimiter.clone()),
            ("lineEnding", table.line_ending.clone()),
        ];
        words.extend(key.clone().map(|key| ("externalIdFieldName", key)));
        let job = Job {
            operation,
            object: name.clone(),
            key,
            delimiter: table.delimiter,
            line_ending: table.line_ending,
            of: None,
        };
        let shape = info(version, None, Kind::Ingest, &job, &name);
        let caller = around.caller;
        self.forward.pages = Some(Cursor::of_job(&self.api.name, version, "", job, caller));
        let mut target = JobTarget::new(Method::POST, "ingest".to_owned());
        target.body = Body::Members(words);
        Ok(self.write_job(ENDPOINT, object, target, shape, uses, operation))
    }

    /// What a job of this operation does to the object, whatever its columns are.
    fn changes_of(
        &self,
        object: ObjectId,
        written: &Arc<str>,
        operation: JobOperation,
    ) -> Result<Vec<Use>, Refusal> {
        let mut uses: Vec<Use> = looks_at(self.catalog, object, written)
            .into_iter()
            .collect();
        if deletes(operation) {
            let id = id_use(self.catalog, object)?;
            uses.push(used(id.field, Action::Delete, written.clone()));
        }
        Ok(uses)
    }

    /// The field that an upsert finds records by; `None` for other operations.
    fn key(
        &self,
        object: ObjectId,
        operation: JobOperation,
        written: Option<&str>,
        uses: &mut Vec<Use>,
    ) -> Result<Option<Arc<str>>, Refusal> {
        let written = match (operation, written) {
            (JobOperation::Upsert, Some(written)) => written,
            (JobOperation::Upsert, None) => return Err(bad("externalIdFieldName is needed")),
            (_, None) => return Ok(None),
            (_, Some(_)) => return Err(bad("externalIdFieldName is for upsert alone")),
        };
        let known = self.catalog.get(object);
        let field = known
            .field(written)
            .ok_or_else(|| Refusal::unknown_field(written, &known.name))?;
        let field = FieldRef { object, field };
        let schema = self.catalog.field(field);
        if schema.kind != FieldType::Id {
            // Its values come with the rows; whether a row may be found by any is said at once.
            uses.push(Use {
                comparison: Comparison::Equality,
                ..used(field, Action::Key, written)
            });
            if is_no_key(schema.kind) {
                return Err(bad(format!("'{written}' finds no record")));
            }
        }
        Ok(Some(schema.name.clone()))
    }

    fn write_job(
        mut self,
        endpoint: &str,
        object: ObjectId,
        target: JobTarget,
        shape: Shape,
        uses: Vec<Use>,
        operation: JobOperation,
    ) -> Operation {
        self.forward.target = Target::Job(Box::new(target));
        let action = if deletes(operation) {
            Action::Delete
        } else {
            Action::Write
        };
        let mut operation = self.operation(action, endpoint, shape);
        operation.uses = uses;
        operation.objects.push(object);
        operation
    }

    pub(super) fn ingest_job(
        mut self,
        known: &Known,
        asked: &Asked,
        tree: Option<&Tree>,
        body: &[u8],
    ) -> Result<Operation, Refusal> {
        let job = &known.job;
        let object = self.object(&job.object)?;
        let mut uses = self.changes_of(object, &job.object, job.operation)?;
        let (endpoint, target, shape) = match asked {
            Asked::Upload(_) => return self.upload(known, object, uses, body),
            Asked::Outcome(_, outcome) => {
                return self.outcome(known, object, *outcome, uses);
            }
            Asked::Change(_) => (
                "bulk2-ingest-change",
                known.asked(asked, Kind::Ingest, tree, &["UploadComplete", "Aborted"])?,
                info(
                    known.version,
                    Some(&known.sealed),
                    Kind::Ingest,
                    job,
                    &job.object,
                ),
            ),
            Asked::Delete(_) => (
                "bulk2-ingest-delete",
                known.asked(asked, Kind::Ingest, tree, &[])?,
                Shape::Drop,
            ),
            _ => (
                "bulk2-ingest-info",
                known.asked(asked, Kind::Ingest, tree, &[])?,
                info(
                    known.version,
                    Some(&known.sealed),
                    Kind::Ingest,
                    job,
                    &job.object,
                ),
            ),
        };
        if let Some(key) = job.key.as_deref()
            && let Err(refusal) = self.key(object, job.operation, Some(key), &mut uses)
        {
            return self.mistaken(endpoint, refusal, uses);
        }
        Ok(self.write_job(endpoint, object, target, shape, uses, job.operation))
    }

    /// The data of a job: its columns are those of the first row.
    fn upload(
        self,
        known: &Known,
        object: ObjectId,
        mut uses: Vec<Use>,
        first_row: &[u8],
    ) -> Result<Operation, Refusal> {
        const ENDPOINT: &str = "bulk2-ingest-upload";
        let job = &known.job;
        let delimiter = delimiter(job);
        let columns = match header::columns(first_row, delimiter)
            .and_then(|names| self.columns(object, job, &names, &mut uses))
        {
            Ok(columns) => columns,
            Err(refusal) => return self.mistaken(ENDPOINT, refusal, uses),
        };
        let mut target = known.target(Method::PUT, Kind::Ingest, "/batches");
        target.body = Body::Table;
        let mut operation =
            self.write_job(ENDPOINT, object, target, Shape::Drop, uses, job.operation);
        operation.upload = Some(Upload {
            format: UploadFormat::Csv {
                delimiter,
                line_ending: line_ending(job),
            },
            null: Some(NULL.into()),
            root: Written::Object(columns),
        });
        Ok(operation)
    }

    /// What each column of a table writes.
    fn columns(
        &self,
        object: ObjectId,
        job: &Job,
        names: &[String],
        uses: &mut Vec<Use>,
    ) -> Result<Vec<(Arc<str>, Written)>, Refusal> {
        let known = self.catalog.get(object);
        let mut seen: Vec<u32> = Vec::new();
        let mut columns = Vec::with_capacity(names.len());
        for name in names {
            let (field, written) = match name.split_once('.') {
                Some((reference, key)) => self.referred(object, name, reference, key, uses)?,
                None if !is_name(name) => {
                    return Err(bad("a column of the table has a header that is no field"));
                }
                None => {
                    let field = known
                        .field(name)
                        .ok_or_else(|| Refusal::unknown_field(name, &known.name))?;
                    (
                        field,
                        self.column(FieldRef { object, field }, job, name, uses)?,
                    )
                }
            };
            // `Email` and `EMAIL` are one field: which of them counts is not ours to guess.
            if seen.contains(&field) {
                return Err(bad(format!("the field '{name}' stands in two columns")));
            }
            seen.push(field);
            columns.push((Arc::from(name.as_str()), written));
        }
        Ok(columns)
    }

    fn column(
        &self,
        field: FieldRef,
        job: &Job,
        name: &str,
        uses: &mut Vec<Use>,
    ) -> Result<Written, Refusal> {
        let schema = self.catalog.field(field);
        let is_id = schema.kind == FieldType::Id;
        if deletes(job.operation) && !is_id {
            return Err(bad("a job that deletes takes the column Id alone"));
        }
        if schema.kind == FieldType::Blob {
            return Err(Refusal::new(
                Reason::EndpointClosed,
                format!("'{name}': blobs are not written through this proxy"),
            ));
        }
        let place = uses.len();
        let is_key = job.key.as_deref() == Some(&*schema.name);
        uses.push(if is_id && job.operation != JobOperation::Insert {
            Use {
                comparison: Comparison::Equality,
                ..id_use(self.catalog, field.object)?
            }
        } else if is_key {
            Use {
                comparison: Comparison::Equality,
                ..used(field, Action::Key, name)
            }
        } else {
            used(field, Action::Write, name)
        });
        Ok(Written::Use(place))
    }

    /// `Account.ExtId__c`: the reference is written, and the record that it will lead to is looked up by a field.
    fn referred(
        &self,
        object: ObjectId,
        column: &str,
        reference: &str,
        key: &str,
        uses: &mut Vec<Use>,
    ) -> Result<(u32, Written), Refusal> {
        if !is_name(reference) || !is_name(key) {
            return Err(bad("a column of the table has a header that is no field"));
        }
        let known = self.catalog.get(object);
        let field = known
            .relationship(reference)
            .ok_or_else(|| Refusal::unknown_field(column, &known.name))?;
        let at = FieldRef { object, field };
        // No value of the caller's own: where the reference is not read in clear, only null and tokens may be written.
        uses.push(Use {
            values: vec![Literal::Other(String::new())],
            ..used(at, Action::Write, column)
        });
        let [(_, Some(target))] = self.catalog.field(at).reference_to[..] else {
            return Err(bad(format!(
                "'{column}' leads to records of several objects"
            )));
        };
        let known = self.catalog.get(target);
        let key = known
            .field(key)
            .ok_or_else(|| Refusal::unknown_field(column, &known.name))?;
        let key = FieldRef {
            object: target,
            field: key,
        };
        let place = uses.len();
        uses.push(Use {
            comparison: Comparison::Equality,
            ..used(key, Action::Key, column)
        });
        if is_no_key(self.catalog.field(key).kind) {
            return Err(bad(format!("'{column}' finds no record")));
        }
        Ok((field, Written::Use(place)))
    }

    /// What became of a job's rows: they repeat what was uploaded, which is read like any record.
    fn outcome(
        self,
        known: &Known,
        object: ObjectId,
        outcome: Outcome,
        mut uses: Vec<Use>,
    ) -> Result<Operation, Refusal> {
        let id = uses.len();
        uses.push(id_use(self.catalog, object)?);
        let mut members: Vec<(Arc<str>, Shape)> = Vec::new();
        if outcome != Outcome::Unprocessed {
            members.push(("sf__Id".into(), Shape::Value(vec![id])));
        }
        match outcome {
            Outcome::Successful => members.push(("sf__Created".into(), Shape::Keep)),
            Outcome::Failed => members.push(("sf__Error".into(), Shape::ErrorCode)),
            Outcome::Unprocessed => {}
        }
        let shape = Shape::Csv(Box::new(CsvShape {
            delimiter: delimiter(&known.job),
            line_ending: line_ending(&known.job),
            no_records: false,
            row: RecordShape {
                objects: vec![object],
                scope: 0,
                members,
                enveloped: false,
                all_fields: true,
                attributes: false,
                paths: Vec::new(),
            },
        }));
        let mut target = known.target(Method::GET, Kind::Ingest, &format!("/{}", outcome.word()));
        target.is_table = true;
        // Asked as a reader: whoever uploaded need not be allowed to delete any more.
        uses.retain(|u| u.action != Action::Delete);
        let mut operation = self.write_job(
            "bulk2-ingest-results",
            object,
            target,
            shape,
            uses,
            known.job.operation,
        );
        operation.action = Action::Export;
        operation.exports = true;
        Ok(operation)
    }
}
