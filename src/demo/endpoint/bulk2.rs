//! Bulk API 2.0: `…/jobs/query` and `…/jobs/ingest`. Jobs are done as soon as they may be.

use std::fmt::Write as _;

use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::demo::crm::{Asked, Crm, Job, REPEAT, Reply};
use crate::demo::fault::Fault;
use crate::demo::metadata::{OBJECTS, object};

use super::query;

/// Most rows of a page of results that says nothing of its size.
const RECORDS: usize = 50_000;

fn invalid(message: &str) -> Fault {
    Fault::new(400, "INVALIDJOB", message)
}

/// Everything under `jobs/query` (`is_query`) and `jobs/ingest`.
///
/// # Errors
/// What the CRM would say.
pub fn answer(
    crm: &Crm,
    asked: &Asked,
    version: &str,
    is_query: bool,
    rest: &[&str],
) -> Result<Reply, Fault> {
    match (asked.method.as_str(), rest) {
        ("POST", []) => create(crm, asked, version, is_query),
        (method, [id, rest @ ..]) => {
            let mut job = crm
                .job(id)
                .filter(|job| job.is_query == is_query)
                .ok_or_else(Fault::not_found)?;
            match (method, rest) {
                ("GET", []) => {
                    if job.is_query && job.state == "UploadComplete" {
                        "JobComplete".clone_into(&mut job.state);
                        crm.keep_job(job.clone());
                    }
                    Ok(Reply::json(200, &info(&job, version)))
                }
                ("PATCH", []) => change(crm, asked, version, job),
                ("DELETE", []) => {
                    crm.drop_job(id);
                    Ok(Reply::empty(204))
                }
                ("GET", ["results"]) if is_query => results(crm, asked, version, &job),
                ("PUT", ["batches"]) if !is_query => {
                    if job.state != "Open" || !job.data.is_empty() {
                        return Err(invalid("Found multiple contents for job"));
                    }
                    job.data.clone_from(&asked.body);
                    crm.keep_job(job);
                    Ok(Reply::empty(201))
                }
                ("GET", ["successfulResults"]) if !is_query => Ok(csv(job.successful)),
                ("GET", ["failedResults"]) if !is_query => Ok(csv(job.failed)),
                ("GET", ["unprocessedrecords"]) if !is_query => {
                    let header = lines(&job.data, separator(&job)).into_iter().next();
                    let header = header.unwrap_or_default();
                    Ok(csv(row(&header, &job)))
                }
                _ => Err(Fault::not_found()),
            }
        }
        _ => Err(Fault::not_found()),
    }
}

fn create(crm: &Crm, asked: &Asked, version: &str, is_query: bool) -> Result<Reply, Fault> {
    let Ok(Value::Object(given)) = serde_json::from_slice(&asked.body) else {
        return Err(invalid("Unable to parse Job"));
    };
    let said = |name: &str, default: &str| {
        let text = given.get(name).and_then(Value::as_str);
        text.unwrap_or(default).to_owned()
    };
    let soql = said("query", "");
    let mut name = said("object", "");
    if is_query {
        // A mistake in the query is told at once.
        let first = query::first(crm, &soql, version, 1)?;
        let first: Value = serde_json::from_slice(&first.body).unwrap_or_default();
        if first["records"]
            .get(0)
            .is_some_and(|r| r["attributes"]["type"] == "AggregateResult")
        {
            return Err(invalid(
                "Aggregate Relationships not supported in Bulk V2 Query",
            ));
        }
        first["records"][0]["attributes"]["type"]
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut name);
    } else if object(&name).is_none() {
        return Err(invalid("Unable to find object"));
    }
    let job = Job {
        id: crm.next_job(),
        is_query,
        operation: said("operation", ""),
        object: name,
        soql,
        key: said("externalIdFieldName", "Id"),
        delimiter: said("columnDelimiter", "COMMA"),
        ending: said("lineEnding", "LF"),
        state: if is_query { "UploadComplete" } else { "Open" }.to_owned(),
        ..Job::default()
    };
    let told = info(&job, version);
    crm.keep_job(job);
    Ok(Reply::json(200, &told))
}

fn info(job: &Job, version: &str) -> Value {
    let mut told = json!({
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": "0055g000000001AAAQ",
        "createdDate": "2026-11-01T09:30:00.000+0000",
        "systemModstamp": "2026-11-01T09:30:00.000+0000",
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": version.parse::<f64>().unwrap_or_default(),
        "jobType": if job.is_query { "V2Query" } else { "V2Ingest" },
        "lineEnding": job.ending,
        "columnDelimiter": job.delimiter,
        "numberRecordsProcessed": job.processed,
        "retries": 0,
        "totalProcessingTime": 12,
    });
    if !job.is_query {
        told["contentUrl"] = json!(format!(
            "services/data/v{version}/jobs/ingest/{}/batches",
            job.id
        ));
        told["numberRecordsFailed"] = json!(job.failures);
        if job.operation == "upsert" {
            told["externalIdFieldName"] = json!(job.key);
        }
    }
    told
}

fn change(crm: &Crm, asked: &Asked, version: &str, mut job: Job) -> Result<Reply, Fault> {
    let given: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    match given["state"].as_str() {
        Some("Aborted") => "Aborted".clone_into(&mut job.state),
        Some("UploadComplete") if !job.is_query && job.state == "Open" => {
            write(crm, asked, &mut job);
            "JobComplete".clone_into(&mut job.state);
        }
        _ => return Err(invalid("Unable to change the state of the job")),
    }
    let told = info(&job, version);
    crm.keep_job(job);
    Ok(Reply::json(200, &told))
}

fn csv(body: Vec<u8>) -> Reply {
    Reply {
        status: 200,
        headers: vec![("content-type", "text/csv;charset=UTF-8".to_owned())],
        body,
    }
}

fn separator(job: &Job) -> char {
    match job.delimiter.as_str() {
        "TAB" => '\t',
        "PIPE" => '|',
        "SEMICOLON" => ';',
        "CARET" => '^',
        "BACKQUOTE" => '`',
        _ => ',',
    }
}

/// One row: every cell in quotes, as the CRM writes them.
fn row(cells: &[String], job: &Job) -> Vec<u8> {
    let quoted: Vec<String> = cells
        .iter()
        .map(|cell| format!("\"{}\"", cell.replace('"', "\"\"")))
        .collect();
    let mut text = quoted.join(&separator(job).to_string());
    text.push_str(if job.ending == "CRLF" { "\r\n" } else { "\n" });
    text.into_bytes()
}

/// The cells of every line.
fn lines(table: &[u8], separator: char) -> Vec<Vec<String>> {
    let text = String::from_utf8_lossy(table);
    let (mut all, mut line, mut cell, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            '"' => quoted = !quoted,
            c if c == separator && !quoted => line.push(std::mem::take(&mut cell)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                line.push(std::mem::take(&mut cell));
                all.push(std::mem::take(&mut line));
            }
            c => cell.push(c),
        }
    }
    if !cell.is_empty() || !line.is_empty() {
        line.push(cell);
        all.push(line);
    }
    all
}

/// A page of what the query of a job finds.
fn results(crm: &Crm, asked: &Asked, version: &str, job: &Job) -> Result<Reply, Fault> {
    if job.state != "JobComplete" {
        return Err(Fault::new(
            400,
            "INVALIDJOBSTATE",
            "The job is not complete",
        ));
    }
    let reply = query::first(crm, &job.soql, version, usize::MAX)?;
    let found: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let records = found["records"].as_array().cloned().unwrap_or_default();
    let from = match asked.parameter("locator") {
        None => 0,
        Some(locator) => data_encoding::BASE64URL
            .decode(locator.as_bytes())
            .ok()
            .and_then(|text| String::from_utf8(text).ok()?.parse().ok())
            .filter(|from| *from < records.len())
            .ok_or_else(|| Fault::new(400, "INVALID_QUERY_LOCATOR", "invalid query locator"))?,
    };
    let most = asked
        .parameter("maxRecords")
        .and_then(|n| n.parse().ok())
        .unwrap_or(RECORDS);
    let to = records.len().min(from.saturating_add(most));
    let paths = columns(&job.soql);
    let mut body = row(&paths, job);
    for record in &records[from..to] {
        let cells: Vec<String> = paths.iter().map(|path| cell(record, path)).collect();
        body.extend(row(&cells, job));
    }
    let locator = if to == records.len() {
        "null".to_owned()
    } else {
        data_encoding::BASE64URL.encode(to.to_string().as_bytes())
    };
    let mut reply = csv(body);
    reply
        .headers
        .push(("sforce-numberofrecords", (to - from).to_string()));
    reply.headers.push(("sforce-locator", locator));
    if let Some(times) = crm.bulk_repeats() {
        reply.headers.push((REPEAT, times.to_string()));
    }
    Ok(reply)
}

/// The paths of the SELECT list, as written.
fn columns(soql: &str) -> Vec<String> {
    let lower = soql.to_ascii_lowercase();
    let from = lower.find(" from ").unwrap_or(soql.len());
    soql.get(6..from)
        .unwrap_or_default()
        .split(',')
        .map(|path| path.trim().to_owned())
        .collect()
}

fn cell(record: &Value, path: &str) -> String {
    let mut at = record;
    for part in path.split('.') {
        let found = at.as_object().and_then(|members| {
            let mut members = members.iter();
            members.find(|(name, _)| name.eq_ignore_ascii_case(part))
        });
        match found {
            Some((_, value)) => at = value,
            None => return String::new(),
        }
    }
    match at {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Carries out an ingest job, row by row.
fn write(crm: &Crm, asked: &Asked, job: &mut Job) {
    let mut table = lines(&job.data, separator(job)).into_iter();
    let header = table.next().unwrap_or_default();
    let head = |own: [&str; 2]| {
        let cells: Vec<String> = own
            .map(str::to_owned)
            .into_iter()
            .chain(header.clone())
            .collect();
        row(&cells, job)
    };
    let (mut successful, mut failed) = (
        head(["sf__Id", "sf__Created"]),
        head(["sf__Id", "sf__Error"]),
    );
    let (mut processed, mut failures) = (0, 0);
    for cells in table {
        processed += 1;
        let (reply, id) = one(crm, asked, job, &header, &cells);
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let id = body["id"].as_str().map_or(id, str::to_owned);
        let (rows, said) = if reply.status < 300 {
            (&mut successful, [id, (reply.status == 201).to_string()])
        } else {
            failures += 1;
            let mut text = String::new();
            let _ = write!(
                text,
                "{}:{}:--",
                body[0]["errorCode"].as_str().unwrap_or_default(),
                body[0]["message"].as_str().unwrap_or_default()
            );
            (&mut failed, [id, text])
        };
        let cells: Vec<String> = said.into_iter().chain(cells).collect();
        rows.extend(row(&cells, job));
    }
    (job.successful, job.failed) = (successful, failed);
    (job.processed, job.failures) = (processed, failures);
}

/// One row as the request for one record that asks the same; and the record's id, if the row says it.
fn one(
    crm: &Crm,
    asked: &Asked,
    job: &Job,
    header: &[String],
    cells: &[String],
) -> (Reply, String) {
    let meta = object(&job.object).map(|at| &OBJECTS[at]);
    let (mut body, mut id, mut key) = (Map::new(), String::new(), String::new());
    for (name, cell) in header.iter().zip(cells) {
        if name.eq_ignore_ascii_case("Id") {
            id.clone_from(cell);
            continue;
        }
        if job.operation == "upsert" && name.eq_ignore_ascii_case(&job.key) {
            key.clone_from(cell);
            continue;
        }
        if let Some((parent, field)) = name.split_once('.') {
            body.insert(parent.to_owned(), json!({ field: cell }));
            continue;
        }
        let kind = meta.and_then(|m| m.field(name).map(|at| m.fields[at].kind));
        let value = match (kind, cell.as_str()) {
            // An empty cell changes nothing.
            (_, "") => continue,
            (_, "#N/A") => Value::Null,
            (Some("boolean"), text) => json!(text.eq_ignore_ascii_case("true")),
            (Some("int" | "currency" | "double"), text) => {
                serde_json::from_str(text).unwrap_or_else(|_| json!(text))
            }
            (_, text) => json!(text),
        };
        body.insert(name.clone(), value);
    }
    let by_id = !id.is_empty();
    let (method, place) = match job.operation.as_str() {
        "insert" => ("POST", Vec::new()),
        "delete" | "hardDelete" => ("DELETE", vec![id.clone()]),
        "upsert" if !by_id => ("PATCH", vec![job.key.clone(), key]),
        _ => ("PATCH", vec![id.clone()]),
    };
    let mut segments: Vec<String> = asked.segments[..3].to_vec();
    segments.extend(["sobjects".to_owned(), job.object.clone()]);
    segments.extend(place);
    let inner = Asked {
        method: method.to_owned(),
        target: String::new(),
        segments,
        query: Vec::new(),
        headers: {
            let mut headers = HeaderMap::new();
            if let Some(session) = asked.headers.get("authorization") {
                headers.insert("authorization", session.clone());
            }
            headers
        },
        body: if method == "DELETE" {
            Vec::new()
        } else {
            Value::Object(body).to_string().into_bytes()
        },
        origin: asked.origin.clone(),
    };
    (crm.inner(&inner), id)
}
