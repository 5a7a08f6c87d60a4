//! Bulk API 2.0: query and ingest jobs (Bulk API 2.0 and Bulk API Developer Guide).
//!
//! A job is known by the id that its creation answered: sealed for its caller, with what it was created with. Every
//! later request about it is understood from there and decided anew. Results are CSV, bound by their header; what is
//! uploaded is judged column by column as written values.

mod header;
mod ingest;
mod query;

use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};

use crate::engine::protocol::json_body::{Tree, print_text};
use crate::engine::protocol::{Link, Operation, RequestHead, Resolved, Shape};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::rewrite::csv::{Delimiter, LineEnding};

pub(super) use header::columns as header_columns;
pub(super) use ingest::{NULL, deletes};
pub(super) use query::{Asking, Touched, record};

use super::cursor::{Cursor, Job, JobOperation};
use super::forward::{Target, query_text};
use super::record::{object_at, text_at};
use super::resolve::{Binding, Scope};
use super::soql::ast::Query;
use super::{Request, Surroundings, route, unknown_path};

/// Which jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Query,
    Ingest,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::Ingest => "ingest",
        }
    }
}

/// What is asked about jobs; each job by its id as the caller knows it.
#[derive(Debug)]
pub(super) enum Asked {
    /// POST
    Create,
    /// GET of a job
    Info(String),
    /// PATCH: its data is complete, or it is aborted.
    Change(String),
    /// DELETE
    Delete(String),
    /// PUT of its data
    Upload(String),
    /// A page of what a query found
    Results {
        job: String,
        locator: Option<String>,
        records: Option<String>,
    },
    /// What became of the rows
    Outcome(String, Outcome),
}

/// Which rows of an ingest job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Successful,
    Failed,
    Unprocessed,
}

impl Outcome {
    const WORDS: [(&'static str, Self); 3] = [
        ("successfulResults", Self::Successful),
        ("failedResults", Self::Failed),
        ("unprocessedrecords", Self::Unprocessed),
    ];

    /// The rows that the last segment of a path names; its spelling differs among clients.
    pub(super) fn parse(word: &str) -> Option<Self> {
        let mut known = Self::WORDS.iter();
        let found = known.find(|(name, _)| name.eq_ignore_ascii_case(word));
        found.map(|(_, outcome)| *outcome)
    }

    fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }
}

/// The resource behind `…/jobs/query` or `…/jobs/ingest`, the kind of jobs that `kind` names.
///
/// # Errors
/// Lists of jobs, other methods, parameters that are not known, and paths that do not exist.
pub(super) fn asked(
    head: &RequestHead<'_>,
    kind: &str,
    rest: &[&str],
) -> Result<(Kind, Asked), Refusal> {
    let kind = if kind == "query" {
        Kind::Query
    } else {
        Kind::Ingest
    };
    let asked = match (rest, kind) {
        ([], _) if head.method == Method::POST => Asked::Create,
        ([], _) => return Err(route::closed("Lists of bulk jobs")),
        ([job], _) if head.method == Method::PATCH => Asked::Change((*job).to_owned()),
        ([job], _) if head.method == Method::DELETE => Asked::Delete((*job).to_owned()),
        ([job], _) => {
            route::get_or(head.method, "GET, HEAD, PATCH, DELETE")?;
            Asked::Info((*job).to_owned())
        }
        ([job, "results"], Kind::Query) => {
            let [locator, records] = route::reads(head, &["locator", "maxRecords"])?;
            return Ok((
                kind,
                Asked::Results {
                    job: (*job).to_owned(),
                    locator: locator.map(str::to_owned),
                    records: records.map(str::to_owned),
                },
            ));
        }
        ([job, "batches"], Kind::Ingest) if head.method == Method::PUT => {
            Asked::Upload((*job).to_owned())
        }
        ([_, "batches"], Kind::Ingest) => return Err(Refusal::method_not_allowed("PUT")),
        ([job, name], Kind::Ingest) => {
            let outcome = Outcome::parse(name).ok_or_else(unknown_path)?;
            route::only_get(head.method)?;
            Asked::Outcome((*job).to_owned(), outcome)
        }
        _ => return Err(route::closed("This resource of Bulk API 2.0")),
    };
    route::no_parameters(head)?;
    Ok((kind, asked))
}

/// Whether the request is the upload of a job's data, which goes upstream while it arrives.
pub(super) fn is_upload(head: &RequestHead<'_>) -> bool {
    let mut segments: Vec<&str> = head.segments.iter().map(String::as_str).collect();
    if segments.last() == Some(&"") {
        segments.pop();
    }
    head.method == Method::PUT
        && matches!(
            *segments,
            ["services", "data", _, "jobs", "ingest", _, "batches"]
        )
}

/// A request about jobs as it goes upstream.
#[derive(Debug)]
pub(super) struct JobTarget {
    pub(super) method: Method,
    /// What follows `/jobs/`.
    pub(super) path: String,
    body: Body,
    /// The answer is a table.
    is_table: bool,
    /// What the locator of the next page of results is sealed from.
    pub(super) page: Option<Cursor>,
}

/// What a request about jobs carries.
#[derive(Debug)]
enum Body {
    Nothing,
    /// The caller's table.
    Table,
    /// Its members and their texts.
    Members(Vec<(&'static str, Arc<str>)>),
    /// A job that asks this.
    Query(Vec<(&'static str, Arc<str>)>, Box<Asks>),
}

/// A query before its values are known.
#[derive(Debug)]
pub(super) struct Asks {
    pub(super) query: Query,
    pub(super) bindings: Vec<Binding>,
    pub(super) scopes: Vec<Scope>,
}

impl From<JobTarget> for Target {
    fn from(target: JobTarget) -> Self {
        Self::Job(Box::new(target))
    }
}

impl JobTarget {
    fn new(method: Method, path: String) -> Self {
        Self {
            method,
            path,
            body: Body::Nothing,
            is_table: false,
            page: None,
        }
    }

    /// Its JSON; empty: none, or a table that is uploaded.
    pub(super) fn body(&self, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        let (members, query) = match &self.body {
            Body::Nothing | Body::Table => return Ok(String::new()),
            Body::Members(members) => (members, None),
            Body::Query(members, asks) => {
                let text = query_text(&asks.query, &asks.bindings, &asks.scopes, resolved)?;
                (members, Some(text))
            }
        };
        let mut out = String::from("{");
        for (name, text) in members
            .iter()
            .map(|(name, text)| (*name, &**text))
            .chain(query.as_deref().map(|text| ("query", text)))
        {
            if out.len() > 1 {
                out.push(',');
            }
            print_text(name, &mut out);
            out.push(':');
            print_text(text, &mut out);
        }
        out.push('}');
        Ok(out)
    }

    /// Its own headers.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if self.is_table {
            headers.insert(ACCEPT, HeaderValue::from_static("text/csv"));
        }
        if matches!(self.body, Body::Table) {
            headers.insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/csv; charset=UTF-8"),
            );
        }
        headers
    }
}

pub(super) fn bad(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Reason::BadRequest, message)
}

/// The members of a body: texts of these names, each at most once, and no others.
fn members<'t>(tree: &'t Tree, known: &[&str]) -> Result<Vec<(&'t str, &'t str)>, Refusal> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    for (name, value) in object_at(tree, tree.root)? {
        if !known.contains(&name.as_str()) {
            return Err(bad(format!(
                "a bulk job takes the members {} through this proxy",
                known.join(", ")
            )));
        }
        if found.iter().any(|(n, _)| n == name) {
            return Err(bad("a member stands twice in the request body"));
        }
        found.push((name, text_at(tree, *value)?));
    }
    Ok(found)
}

/// What every job says of its table, checked.
struct Table {
    delimiter: Arc<str>,
    line_ending: Arc<str>,
}

impl Table {
    fn of(given: &[(&str, &str)]) -> Result<Self, Refusal> {
        let said = |name: &str, default: &'static str| {
            let mut all = given.iter();
            all.find(|(n, _)| *n == name).map_or(default, |(_, t)| *t)
        };
        if said("contentType", "CSV") != "CSV" {
            return Err(bad("contentType takes CSV"));
        }
        let (delimiter, line_ending) = (said("columnDelimiter", "COMMA"), said("lineEnding", "LF"));
        if Delimiter::parse(delimiter).is_none() {
            return Err(bad(
                "columnDelimiter takes BACKQUOTE, CARET, COMMA, PIPE, SEMICOLON or TAB",
            ));
        }
        if LineEnding::parse(line_ending).is_none() {
            return Err(bad("lineEnding takes LF or CRLF"));
        }
        Ok(Self {
            delimiter: delimiter.into(),
            line_ending: line_ending.into(),
        })
    }
}

fn delimiter(job: &Job) -> Delimiter {
    Delimiter::parse(&job.delimiter).unwrap_or_default()
}

pub(super) fn line_ending(job: &Job) -> LineEnding {
    LineEnding::parse(&job.line_ending).unwrap_or_default()
}

/// A text as the constant of an answer.
pub(super) fn constant(text: &str) -> Shape {
    let mut json = String::new();
    print_text(text, &mut json);
    Shape::Constant(json.into())
}

/// What is told of a job. `known`: its id as the caller has it; `None`: it is made now, and the upstream says it.
fn info(version: u16, known: Option<&str>, kind: Kind, job: &Job, object: &str) -> Shape {
    let id = known.map_or(Shape::Link(Link::NextPage), constant);
    let mut members: Vec<(Arc<str>, Shape)> = vec![
        ("id".into(), id),
        ("operation".into(), constant(job.operation.word())),
        ("object".into(), constant(object)),
        ("createdDate".into(), Shape::Keep),
        ("systemModstamp".into(), Shape::Keep),
        ("state".into(), Shape::Keep),
        ("concurrencyMode".into(), constant("Parallel")),
        ("contentType".into(), constant("CSV")),
        ("apiVersion".into(), Shape::Number),
        ("jobType".into(), Shape::Keep),
        ("lineEnding".into(), constant(&job.line_ending)),
        ("columnDelimiter".into(), constant(&job.delimiter)),
        ("isPkChunkingSupported".into(), Shape::Boolean),
    ];
    for name in [
        "numberRecordsProcessed",
        "numberRecordsFailed",
        "retries",
        "totalProcessingTime",
        "apiActiveProcessingTime",
        "apexProcessingTime",
    ] {
        members.push((name.into(), Shape::Number));
    }
    if kind == Kind::Ingest {
        let url = known.map_or(Shape::Link(Link::JobData), |id| {
            constant(&format!(
                "services/data/v{version}.0/jobs/ingest/{id}/batches"
            ))
        });
        members.push(("contentUrl".into(), url));
        if let Some(key) = &job.key {
            members.push(("externalIdFieldName".into(), constant(key)));
        }
    }
    Shape::Object(members)
}

impl Request<'_> {
    /// A request about the jobs of Bulk API 2.0. `body`: its first row, of an upload.
    pub(super) fn bulk(
        mut self,
        version: u16,
        kind: Kind,
        asked: &Asked,
        tree: Option<&Tree>,
        body: &[u8],
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        self.forward.version = version;
        let known = match asked {
            Asked::Create => None,
            Asked::Info(job)
            | Asked::Change(job)
            | Asked::Delete(job)
            | Asked::Upload(job)
            | Asked::Results { job, .. }
            | Asked::Outcome(job, _) => Some(Known::open(self.api, version, kind, job, around)?),
        };
        match (known, kind) {
            (None, _) => {
                let tree = tree.ok_or_else(unknown_path)?;
                match kind {
                    Kind::Query => self.create_query_job(version, tree, around),
                    Kind::Ingest => self.create_ingest_job(version, tree, around),
                }
            }
            (Some(known), Kind::Query) => self.query_job(known, asked, tree, around),
            (Some(known), Kind::Ingest) => self.ingest_job(&known, asked, tree, body),
        }
    }
}

/// A job that its caller may ask about.
struct Known {
    version: u16,
    /// As the caller has it.
    sealed: String,
    /// The upstream's id of it.
    id: String,
    soql: Arc<str>,
    job: Job,
}

impl Known {
    fn open(
        api: &crate::engine::protocol::Api,
        version: u16,
        kind: Kind,
        sealed: &str,
        around: &Surroundings<'_>,
    ) -> Result<Self, Refusal> {
        let (cursor, job) = Cursor::open_job(sealed, around.open, &api.name, around.caller)?;
        let fits = cursor.version == version
            && job.of.is_none()
            && job.batches.is_none()
            && (kind == Kind::Query) == job.operation.is_query();
        if !fits {
            return Err(super::cursor::no_job());
        }
        Ok(Self {
            version,
            sealed: sealed.to_owned(),
            id: cursor.locator,
            soql: cursor.soql,
            job,
        })
    }

    /// The request for it, with what follows its id in the path.
    fn target(&self, method: Method, kind: Kind, rest: &str) -> JobTarget {
        JobTarget::new(method, format!("{}/{}{rest}", kind.word(), self.id))
    }

    /// GET, PATCH or DELETE of the job itself. `states`: what a PATCH may ask for.
    fn asked(
        &self,
        asked: &Asked,
        kind: Kind,
        tree: Option<&Tree>,
        states: &[&str],
    ) -> Result<JobTarget, Refusal> {
        let method = match asked {
            Asked::Change(_) => Method::PATCH,
            Asked::Delete(_) => Method::DELETE,
            _ => Method::GET,
        };
        let mut target = self.target(method, kind, "");
        if matches!(asked, Asked::Change(_)) {
            let tree = tree.ok_or_else(unknown_path)?;
            let [("state", state)] = members(tree, &["state"])?[..] else {
                return Err(bad("a bulk job takes a state here"));
            };
            if !states.contains(&state) {
                return Err(bad(format!("state takes {} here", states.join(" or "))));
            }
            target.body = Body::Members(vec![("state", state.into())]);
        }
        Ok(target)
    }
}

/// The operation that a body names, of the kind that its path names.
fn operation(given: &[(&str, &str)], kind: Kind) -> Result<JobOperation, Refusal> {
    given
        .iter()
        .find(|(name, _)| *name == "operation")
        .and_then(|(_, word)| JobOperation::parse(word))
        .filter(|operation| operation.is_query() == (kind == Kind::Query))
        .ok_or_else(|| {
            bad(match kind {
                Kind::Query => "operation takes query or queryAll",
                Kind::Ingest => "operation takes insert, update, upsert, delete or hardDelete",
            })
        })
}
