//! Bulk API 1.0: `/services/async/{version}/job`. Batches are done as soon as they are there.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};

use http::{HeaderMap, HeaderValue};
use quick_xml::escape::escape;
use serde_json::{Map, Value, json};

use super::{bulk2, query, soap};
use crate::demo::crm::{Asked, Crm, Job as Table, Reply};
use crate::demo::fault::Fault;
use crate::demo::metadata::object;
use crate::demo::record_id;

const NAMESPACE: &str = "http://www.force.com/2009/06/asyncapi/dataload";
const JOBS_MAX: usize = 1_000;

/// Jobs and their batches, the oldest first.
#[derive(Debug, Default)]
pub(crate) struct Jobs(Mutex<(u64, VecDeque<Job>)>);

#[derive(Debug, Clone, Default)]
struct Job {
    id: String,
    operation: String,
    object: String,
    key: String,
    content: String,
    state: String,
    mode: String,
    batches: Vec<Batch>,
}

#[derive(Debug, Clone, Default)]
struct Batch {
    id: String,
    result: String,
    state: &'static str,
    message: String,
    request: Vec<u8>,
    /// Records found, or what became of those sent.
    rows: Vec<Value>,
    failed: usize,
}

/// Code and message of an error.
type Faulty = (&'static str, String);

impl Jobs {
    fn with<T>(&self, act: impl FnOnce(&mut (u64, VecDeque<Job>)) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn next(&self, prefix: &str) -> String {
        self.with(|jobs| {
            jobs.0 += 1;
            record_id::make(prefix, jobs.0)
        })
    }

    fn get(&self, id: &str) -> Option<Job> {
        self.with(|jobs| jobs.1.iter().find(|j| j.id == id).cloned())
    }

    /// Keeps a job, in place of what it was before.
    fn keep(&self, job: Job) {
        self.with(|jobs| {
            jobs.1.retain(|j| j.id != job.id);
            if jobs.1.len() >= JOBS_MAX {
                jobs.1.pop_front();
            }
            jobs.1.push_back(job);
        });
    }
}

/// One request.
struct Call<'a> {
    crm: &'a Crm,
    asked: &'a Asked,
    version: &'a str,
    session: &'a str,
    /// Its documents are JSON.
    json: bool,
}

/// Everything under `/services/async/{version}/job`; a session of the CRM stands in a header of its own.
pub fn answer(crm: &Crm, asked: &Asked, version: &str, rest: &[&str]) -> Reply {
    let kind = asked.header("content-type").unwrap_or_default();
    let call = Call {
        crm,
        asked,
        version,
        session: asked.header("x-sfdc-session").unwrap_or_default(),
        json: kind.starts_with("application/json"),
    };
    call.result(rest).unwrap_or_else(|(code, message)| {
        let members = json!({"exceptionCode": code, "exceptionMessage": message});
        document(400, call.json, "error", &members)
    })
}

/// A document in one of both formats.
fn document(status: u16, json: bool, root: &str, members: &Value) -> Reply {
    if json {
        return Reply::json(status, members);
    }
    let mut body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><{root} xmlns=\"{NAMESPACE}\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">"
    );
    for (name, member) in members.as_object().into_iter().flatten() {
        element(name, member, &mut body);
    }
    let _ = write!(body, "</{root}>");
    typed(status, "application/xml", body.into_bytes())
}

fn typed(status: u16, kind: &str, body: Vec<u8>) -> Reply {
    Reply {
        status,
        headers: vec![("content-type", format!("{kind};charset=UTF-8"))],
        body,
    }
}

/// A value as an element; the items of a list side by side, a record with its type.
fn element(name: &str, value: &Value, out: &mut String) {
    match value {
        Value::Null => {
            let _ = write!(out, "<{name} xsi:nil=\"true\"/>");
        }
        Value::Array(items) => items.iter().for_each(|item| element(name, item, out)),
        Value::Object(members) => {
            match members.get("attributes") {
                Some(attributes) => {
                    let kind = attributes["type"].as_str().unwrap_or_default();
                    let _ = write!(out, "<{name} xsi:type=\"sObject\"><type>{kind}</type>");
                }
                None => {
                    let _ = write!(out, "<{name}>");
                }
            }
            for (key, member) in members.iter().filter(|(key, _)| *key != "attributes") {
                element(key, member, out);
            }
            let _ = write!(out, "</{name}>");
        }
        Value::String(text) => {
            let _ = write!(out, "<{name}>{}</{name}>", escape(text.as_str()));
        }
        other => {
            let _ = write!(out, "<{name}>{other}</{name}>");
        }
    }
}

fn invalid(code: &'static str, message: &str) -> Faulty {
    (code, message.to_owned())
}

impl Call<'_> {
    fn result(&self, rest: &[&str]) -> Result<Reply, Faulty> {
        if !self.crm.is_open(self.session) {
            return Err(invalid("InvalidSessionId", "Invalid session id"));
        }
        let post = self.asked.method == "POST";
        let [id, rest @ ..] = rest else {
            return if post {
                self.create()
            } else {
                Err(invalid("InvalidOperation", "unknown operation"))
            };
        };
        let jobs = &self.crm.bulk1;
        let mut job = jobs
            .get(id)
            .ok_or_else(|| invalid("InvalidJob", &format!("Invalid job id: {id}")))?;
        let told = job.content == "JSON";
        match (post, rest) {
            (false, []) => Ok(document(200, self.json, "jobInfo", &self.info(&job))),
            (true, []) => {
                let state = self.members().remove("state").unwrap_or_default();
                let state = state.as_str().unwrap_or_default();
                if job.state != "Open" || !matches!(state, "Closed" | "Aborted") {
                    return Err(invalid("InvalidJobState", "Invalid job state"));
                }
                state.clone_into(&mut job.state);
                let info = self.info(&job);
                jobs.keep(job);
                Ok(document(200, self.json, "jobInfo", &info))
            }
            (true, ["batch"]) => {
                if job.state != "Open" {
                    return Err(invalid("InvalidJobState", "Job is not open"));
                }
                let batch = self.run(&job);
                // It is told as it is before anything has happened to it.
                let queued = Batch {
                    id: batch.id.clone(),
                    state: "Queued",
                    ..Batch::default()
                };
                let info = batch_info(&job, &queued);
                job.batches.push(batch);
                jobs.keep(job);
                Ok(document(201, told, "batchInfo", &info))
            }
            (false, ["batch"]) => {
                let all: Vec<Value> = job.batches.iter().map(|b| batch_info(&job, b)).collect();
                Ok(document(
                    200,
                    told,
                    "batchInfoList",
                    &json!({ "batchInfo": all }),
                ))
            }
            (false, ["batch", batch, rest @ ..]) => {
                let batch = job
                    .batches
                    .iter()
                    .find(|b| b.id == *batch)
                    .ok_or_else(|| invalid("InvalidBatch", "Invalid batch id"))?;
                self.about(&job, batch, rest)
            }
            _ => Err(invalid("InvalidUrl", "Unknown path")),
        }
    }

    fn about(&self, job: &Job, batch: &Batch, rest: &[&str]) -> Result<Reply, Faulty> {
        let told = job.content == "JSON";
        let asks = job.operation.starts_with("query");
        match rest {
            [] => Ok(document(200, told, "batchInfo", &batch_info(job, batch))),
            ["request"] => {
                let kind = self.kind(job);
                Ok(typed(200, kind, batch.request.clone()))
            }
            ["result"] if asks && told => Ok(Reply::json(200, &json!([batch.result]))),
            ["result"] if asks => {
                let list = json!({ "result": batch.result });
                Ok(document(200, false, "result-list", &list))
            }
            ["result"] => Ok(outcome(job, batch)),
            ["result", result] if asks && batch.result == *result => Ok(self.rows(job, batch)),
            _ => Err(invalid("InvalidBatch", "Invalid result id")),
        }
    }

    fn kind(&self, job: &Job) -> &'static str {
        match job.content.as_str() {
            "CSV" => "text/csv",
            "XML" => "application/xml",
            _ => "application/json",
        }
    }

    /// The members of the document of a job.
    fn members(&self) -> Map<String, Value> {
        if self.json {
            return serde_json::from_slice(&self.asked.body).unwrap_or_default();
        }
        let root = soap::parse(&self.asked.body).unwrap_or_default();
        let texts = root
            .children
            .into_iter()
            .map(|c| (c.name, json!(c.text.trim())));
        texts.collect()
    }

    fn create(&self) -> Result<Reply, Faulty> {
        let given = self.members();
        let said = |name: &str| given.get(name).and_then(Value::as_str).unwrap_or_default();
        if object(said("object")).is_none() {
            return Err(invalid("InvalidEntity", "Unable to find object"));
        }
        if said("operation") == "upsert" && said("externalIdFieldName").is_empty() {
            return Err(invalid("InvalidJob", "External ID was blank"));
        }
        let job = Job {
            id: self.crm.bulk1.next("750"),
            operation: said("operation").to_owned(),
            object: said("object").to_owned(),
            key: said("externalIdFieldName").to_owned(),
            content: said("contentType").to_owned(),
            mode: match said("concurrencyMode") {
                "" => "Parallel".to_owned(),
                mode => mode.to_owned(),
            },
            state: "Open".to_owned(),
            batches: Vec::new(),
        };
        let info = self.info(&job);
        self.crm.bulk1.keep(job);
        Ok(document(201, self.json, "jobInfo", &info))
    }

    fn info(&self, job: &Job) -> Value {
        let mut info = json!({
            "id": job.id,
            "operation": job.operation,
            "object": job.object,
            "createdById": "0055g000000001AAAQ",
            "createdDate": "2026-11-01T09:30:00.000Z",
            "systemModstamp": "2026-11-01T09:30:00.000Z",
            "state": job.state,
            "concurrencyMode": job.mode,
            "contentType": job.content,
            "numberBatchesQueued": 0,
            "numberBatchesInProgress": 0,
            "numberBatchesCompleted": job.batches.len(),
            "numberBatchesFailed": 0,
            "numberBatchesTotal": job.batches.len(),
            "numberRecordsProcessed": job.batches.iter().map(|b| b.rows.len()).sum::<usize>(),
            "numberRetries": 0,
            "apiVersion": self.version.parse::<f64>().unwrap_or_default(),
            "numberRecordsFailed": job.batches.iter().map(|b| b.failed).sum::<usize>(),
            "totalProcessingTime": 12,
            "apiActiveProcessingTime": 8,
            "apexProcessingTime": 0,
        });
        if !job.key.is_empty() {
            info["externalIdFieldName"] = json!(job.key);
        }
        info
    }

    /// Carries out a batch.
    fn run(&self, job: &Job) -> Batch {
        let mut batch = Batch {
            id: self.crm.bulk1.next("751"),
            result: self.crm.bulk1.next("752"),
            state: "Completed",
            request: self.asked.body.clone(),
            ..Batch::default()
        };
        if job.operation.starts_with("query") {
            let soql = String::from_utf8_lossy(&self.asked.body);
            match self.find(&soql) {
                Ok(rows) => batch.rows = rows,
                Err(fault) => {
                    batch.state = "Failed";
                    batch.message = format!("InvalidBatch : Failed to process query: {fault}");
                }
            }
            return batch;
        }
        let table = Table {
            operation: job.operation.clone(),
            object: job.object.clone(),
            key: job.key.clone(),
            ..Table::default()
        };
        let inner = self.inner();
        for record in self.records(job) {
            let (header, cells): (Vec<String>, Vec<String>) = record.into_iter().unzip();
            let (reply, id) = bulk2::one(self.crm, &inner, &table, &header, &cells);
            let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
            let id = body["id"].as_str().map_or(id, str::to_owned);
            let row = if reply.status < 300 {
                json!({"success": true, "created": reply.status == 201, "id": id, "errors": []})
            } else {
                batch.failed += 1;
                let error = json!({
                    "fields": [],
                    "message": body[0]["message"],
                    "statusCode": body[0]["errorCode"],
                    "extendedErrorDetails": null,
                });
                json!({"success": false, "created": false, "id": null, "errors": [error]})
            };
            batch.rows.push(row);
        }
        batch
    }

    /// The same session, asking over REST.
    fn inner(&self) -> Asked {
        let mut headers = HeaderMap::new();
        if let Ok(bearer) = HeaderValue::from_str(&format!("Bearer {}", self.session)) {
            headers.insert("authorization", bearer);
        }
        let version = format!("v{}", self.version);
        Asked {
            segments: ["services", "data", &version].map(str::to_owned).to_vec(),
            headers,
            body: Vec::new(),
            ..self.asked.clone()
        }
    }

    fn find(&self, soql: &str) -> Result<Vec<Value>, String> {
        let said = |fault: Fault| fault.json()[0]["message"].to_string();
        let page = query::first(self.crm, soql, self.version, usize::MAX).map_err(said)?;
        let page: Value = serde_json::from_slice(&page.body).unwrap_or_default();
        Ok(page["records"].as_array().cloned().unwrap_or_default())
    }

    /// The records of a batch that writes: names and texts, `#N/A` for null.
    fn records(&self, job: &Job) -> Vec<Vec<(String, String)>> {
        let null = || "#N/A".to_owned();
        let body = &self.asked.body;
        match job.content.as_str() {
            "CSV" => {
                let mut lines = bulk2::lines(body, ',').into_iter();
                let header = lines.next().unwrap_or_default();
                let named = |cells: Vec<String>| header.iter().cloned().zip(cells).collect();
                lines.map(named).collect()
            }
            "XML" => {
                let root = soap::parse(body).unwrap_or_default();
                let record = |one: soap::Element| {
                    let texts = one.children.into_iter().map(|c| {
                        let text = if c.nil { null() } else { c.text };
                        (c.name, text)
                    });
                    texts.collect()
                };
                root.children.into_iter().map(record).collect()
            }
            _ => {
                let all: Vec<Map<String, Value>> = serde_json::from_slice(body).unwrap_or_default();
                let record = |one: Map<String, Value>| {
                    let texts = one.into_iter().filter(|(n, _)| n != "attributes");
                    let texts = texts.map(|(name, value)| match value {
                        Value::Null => (name, null()),
                        Value::String(text) => (name, text),
                        other => (name, other.to_string()),
                    });
                    texts.collect()
                };
                all.into_iter().map(record).collect()
            }
        }
    }

    /// What a query found, in the format of its job.
    fn rows(&self, job: &Job, batch: &Batch) -> Reply {
        match job.content.as_str() {
            "CSV" => {
                let mut body = Vec::new();
                let paths = bulk2::columns(&String::from_utf8_lossy(&batch.request));
                if batch.rows.is_empty() {
                    body.extend(b"Records not found for this query");
                } else {
                    body.extend(bulk2::row(&paths, &Table::default()));
                }
                for record in &batch.rows {
                    let cells: Vec<String> = paths.iter().map(|p| bulk2::cell(record, p)).collect();
                    body.extend(bulk2::row(&cells, &Table::default()));
                }
                typed(200, "text/csv", body)
            }
            "XML" => {
                let rows = json!({ "records": batch.rows });
                document(200, false, "queryResult", &rows)
            }
            _ => {
                let mut rows = batch.rows.clone();
                rows.iter_mut().for_each(in_milliseconds);
                Reply::json(200, &Value::Array(rows))
            }
        }
    }
}

fn batch_info(job: &Job, batch: &Batch) -> Value {
    let mut info = json!({
        "id": batch.id,
        "jobId": job.id,
        "state": batch.state,
        "createdDate": "2026-11-01T09:30:00.000Z",
        "systemModstamp": "2026-11-01T09:30:00.000Z",
        "numberRecordsProcessed": batch.rows.len(),
        "numberRecordsFailed": batch.failed,
        "totalProcessingTime": 4,
        "apiActiveProcessingTime": 2,
        "apexProcessingTime": 0,
    });
    if !batch.message.is_empty() {
        info["stateMessage"] = json!(batch.message);
    }
    info
}

/// What became of the records of a batch, in the format of its job.
fn outcome(job: &Job, batch: &Batch) -> Reply {
    match job.content.as_str() {
        "CSV" => {
            let table = Table::default();
            let head = ["Id", "Success", "Created", "Error"].map(str::to_owned);
            let mut body = bulk2::row(&head, &table);
            for row in &batch.rows {
                let error = row["errors"].get(0).map_or_else(String::new, |e| {
                    let word = |name: &str| e[name].as_str().unwrap_or_default().to_owned();
                    format!("{}:{}:--", word("statusCode"), word("message"))
                });
                let cells = [
                    row["id"].as_str().unwrap_or_default().to_owned(),
                    row["success"].to_string(),
                    row["created"].to_string(),
                    error,
                ];
                body.extend(bulk2::row(&cells, &table));
            }
            typed(200, "text/csv", body)
        }
        "XML" => document(200, false, "results", &json!({ "result": batch.rows })),
        _ => Reply::json(200, &json!(batch.rows)),
    }
}

/// JSON of Bulk API 1.0 counts milliseconds where other surfaces print a date and time.
fn in_milliseconds(value: &mut Value) {
    match value {
        Value::Object(members) => members.values_mut().for_each(in_milliseconds),
        Value::String(text) if text.len() == 28 && text.ends_with("+0000") => {
            if let Ok(time) = format!("{}Z", &text[..23]).parse::<jiff::Timestamp>() {
                *value = json!(time.as_millisecond());
            }
        }
        _ => {}
    }
}
