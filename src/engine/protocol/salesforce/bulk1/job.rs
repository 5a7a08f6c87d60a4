//! Jobs: how they are made, and what is told of them and of their batches.

use std::sync::Arc;

use super::super::bulk::{bad, constant};
use super::super::cursor::{Cursor, Job, JobOperation};
use super::super::forward::Target;
use super::super::resolve::looks_at;
use super::super::{Request, Surroundings};
use super::document::Document;
use super::known::Known;
use super::{BatchTarget, Body, Content, InBatches, Place, closed};
use crate::engine::protocol::{Action, Link, Operation, Shape, Use, XmlNull, XmlShape, XmlTyped};
use crate::engine::refusal::Refusal;

/// An answer in the format that it comes in.
pub(super) fn document(takes: Content, root: Shape) -> Shape {
    match takes {
        Content::Xml => Shape::Xml(Box::new(XmlShape {
            root,
            typed: XmlTyped::Child,
            null: XmlNull::Xsi,
        })),
        _ => root,
    }
}

/// Members that hold numbers alone.
fn numbers(names: &[&'static str]) -> impl Iterator<Item = (Arc<str>, Shape)> {
    names.iter().map(|name| ((*name).into(), Shape::Number))
}

/// What is told of a job. `known`: its id as the caller has it; `None`: the upstream says it now.
pub(super) fn job_info(known: Option<&str>, job: &Job, content: Content) -> Shape {
    let mut members: Vec<(Arc<str>, Shape)> = vec![
        (
            "id".into(),
            known.map_or(Shape::Link(Link::NextPage), constant),
        ),
        ("operation".into(), constant(job.operation.word())),
        ("object".into(), constant(&job.object)),
        ("createdDate".into(), Shape::Keep),
        ("systemModstamp".into(), Shape::Keep),
        ("state".into(), Shape::Keep),
        ("concurrencyMode".into(), Shape::Keep),
        ("contentType".into(), constant(content.word())),
    ];
    if let Some(key) = &job.key {
        members.push(("externalIdFieldName".into(), constant(key)));
    }
    members.extend(numbers(&[
        "numberBatchesQueued",
        "numberBatchesInProgress",
        "numberBatchesCompleted",
        "numberBatchesFailed",
        "numberBatchesTotal",
        "numberRecordsProcessed",
        "numberRetries",
        "apiVersion",
        "numberRecordsFailed",
        "totalProcessingTime",
        "apiActiveProcessingTime",
        "apexProcessingTime",
    ]));
    Shape::Object(members)
}

/// What is told of a batch of the job with this id. `known`: as in [`job_info`].
pub(super) fn batch_info(known: Option<&str>, job: &str) -> Shape {
    let mut members: Vec<(Arc<str>, Shape)> = vec![
        (
            "id".into(),
            known.map_or(Shape::Link(Link::NextPage), constant),
        ),
        ("jobId".into(), constant(job)),
        ("state".into(), Shape::Keep),
        // A text that may repeat what was sent.
        ("stateMessage".into(), Shape::ErrorCode),
        ("createdDate".into(), Shape::Keep),
        ("systemModstamp".into(), Shape::Keep),
    ];
    members.extend(numbers(&[
        "numberRecordsProcessed",
        "numberRecordsFailed",
        "totalProcessingTime",
        "apiActiveProcessingTime",
        "apexProcessingTime",
    ]));
    Shape::Object(members)
}

impl Request<'_> {
    pub(super) fn create_job(
        mut self,
        version: u16,
        style: Content,
        given: &Document,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        const ENDPOINT: &str = "bulk1-job-create";
        given.known(&[
            "operation",
            "object",
            "contentType",
            "concurrencyMode",
            "externalIdFieldName",
        ])?;
        let operation = given
            .get("operation")
            .and_then(JobOperation::parse)
            .ok_or_else(|| {
                bad("operation takes query, queryAll, insert, update, upsert, delete or hardDelete")
            })?;
        let content = match given.get("contentType") {
            Some("CSV") => Content::Csv,
            Some("XML") => Content::Xml,
            Some("JSON") => Content::Json,
            Some("ZIP_CSV" | "ZIP_XML" | "ZIP_JSON") => {
                return Err(closed(
                    "Bulk jobs with binary attachments (ZIP_CSV, ZIP_XML, ZIP_JSON)",
                ));
            }
            _ => return Err(bad("contentType takes CSV, XML or JSON")),
        };
        // The place in the list of modes stands for the mode too.
        let mode = match given.get("concurrencyMode") {
            None => None,
            Some("Parallel" | "0") => Some("Parallel"),
            Some("Serial" | "1") => Some("Serial"),
            Some(_) => return Err(bad("concurrencyMode takes Parallel or Serial")),
        };
        let written: Arc<str> = given
            .get("object")
            .ok_or_else(|| bad("object is needed"))?
            .into();
        let object = self.object(&written)?;
        let name = self.catalog.get(object).name.clone();
        let (uses, key) = if operation.is_query() {
            if given.get("externalIdFieldName").is_some() {
                return Err(bad("externalIdFieldName is for upsert alone"));
            }
            (
                Vec::from_iter(looks_at(self.catalog, object, &written)),
                None,
            )
        } else {
            let mut uses = self.changes_of(object, &written, operation)?;
            let by = given.get("externalIdFieldName");
            match self.key(object, operation, by, &mut uses) {
                Ok(key) => (uses, key),
                Err(refusal) => return self.mistaken(ENDPOINT, refusal, uses),
            }
        };
        // In the order of the schema of the documents.
        let mut words: Vec<(&str, Arc<str>)> = vec![
            ("operation", operation.word().into()),
            ("object", name.clone()),
        ];
        words.extend(key.clone().map(|key| ("externalIdFieldName", key)));
        words.extend(mode.map(|mode| ("concurrencyMode", mode.into())));
        words.push(("contentType", content.word().into()));
        let job = Job {
            operation,
            object: name,
            key,
            delimiter: "COMMA".into(),
            line_ending: "LF".into(),
            of: None,
            batches: Some(InBatches {
                content,
                json: style == Content::Json,
                place: Place::Job,
            }),
        };
        let told = job_info(None, &job, content);
        self.forward.pages = Some(Cursor::of_job(
            &self.api.name,
            version,
            "",
            job,
            around.caller,
        ));
        let text = Document::print(style, &words);
        let target = BatchTarget::post(String::new(), Body::Document(text), style, style);
        let action = if operation.is_query() {
            Action::Export
        } else {
            Action::Write
        };
        self.forward.target = Target::Batch(Box::new(target));
        let mut made = self.operation(action, ENDPOINT, document(style, told));
        made.uses = uses;
        made.objects.push(object);
        Ok(made)
    }

    /// What concerns a job as such: no more is looked at than its object.
    pub(super) fn about_job(
        mut self,
        endpoint: &str,
        action: Action,
        known: &Known,
        target: BatchTarget,
        shape: Shape,
    ) -> Result<Operation, Refusal> {
        let object = self.object(&known.job.object)?;
        let uses: Vec<Use> = looks_at(self.catalog, object, &known.job.object)
            .into_iter()
            .collect();
        self.forward.target = Target::Batch(Box::new(target));
        let mut operation = self.operation(action, endpoint, shape);
        operation.uses = uses;
        operation.objects.push(object);
        Ok(operation)
    }
}
