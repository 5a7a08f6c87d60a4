//! Bulk API 1.0: jobs, their batches and what became of them, in CSV, XML and JSON (Bulk API 2.0 and Bulk API Developer
//! Guide, "Bulk API").
//!
//! Ids of jobs, batches and results are sealed for their caller as those of Bulk API 2.0 are. The query of a batch stands
//! in its body, so that the id of the batch, and those of its results, hold the query: each later request is understood
//! from there and decided anew. A batch that writes is judged as the same records over REST are.

mod batch;
mod document;
mod job;
mod known;
mod load;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use http::{HeaderValue, Method};
use serde::{Deserialize, Serialize};

use super::bulk::{Asks, bad};
use super::cursor::{Cursor, Job};
use super::forward::query_text;
use super::template::Template;
use super::{Request, Surroundings};
use crate::engine::identity::{Identity, Proof};
use crate::engine::protocol::{
    Action, Api, Intake, Operation, RequestHead, Resolved, SessionPlace, Shape, UpstreamRequest,
};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::Sealer;

pub use document::{error_document, exception_code};

use document::Document;
use job::{batch_info, document, job_info};
use known::Known;

/// What is asked, each job, batch and result by its id as the caller knows it.
#[derive(Debug)]
pub(super) enum Asked {
    /// POST of a job.
    Create,
    /// GET of a job.
    Job(String),
    /// POST of a job's state.
    Change(String),
    /// The batches of a job.
    Batches(String),
    /// POST of a batch.
    Add(String),
    /// GET of something about a batch.
    Batch {
        job: String,
        batch: String,
        about: About,
    },
}

/// What is asked about a batch.
#[derive(Debug)]
pub(super) enum About {
    /// How far it is.
    State,
    /// What it was sent.
    Request,
    /// The ids of its results, or what became of its records.
    Results,
    /// The records that one result holds.
    Rows(String),
}

/// What requests about a job of Bulk API 1.0 must know of it besides.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct InBatches {
    content: Content,
    /// Its documents are JSON.
    json: bool,
    place: Place,
}

/// The format of a job's batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Content {
    Csv,
    Xml,
    Json,
}

impl Content {
    fn word(self) -> &'static str {
        match self {
            Self::Csv => "CSV",
            Self::Xml => "XML",
            Self::Json => "JSON",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=UTF-8",
            Self::Xml => "application/xml; charset=UTF-8",
            Self::Json => "application/json; charset=UTF-8",
        }
    }

    /// The format that the one `Content-Type` names.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(CONTENT_TYPE).iter();
        let (Some(value), None) = (all.next(), all.next()) else {
            return None;
        };
        let mut parts = value.to_str().ok()?.split(';').map(str::trim);
        let media = parts.next()?.to_ascii_lowercase();
        let utf8 = parts.all(|p| {
            let charset = p
                .split_once('=')
                .filter(|(n, _)| n.eq_ignore_ascii_case("charset"));
            charset.is_some_and(|(_, v)| v.trim_matches('"').eq_ignore_ascii_case("utf-8"))
        });
        match &*media {
            _ if !utf8 => None,
            "text/csv" => Some(Self::Csv),
            "application/xml" | "text/xml" => Some(Self::Xml),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The format of what is told of batches of this format.
    fn told(self) -> Self {
        match self {
            Self::Csv | Self::Xml => Self::Xml,
            Self::Json => Self::Json,
        }
    }
}

/// Of what the locator of a sealed id is the upstream's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Place {
    Job,
    /// Of a batch of this job.
    Batch(String),
    /// Of a result of this job and batch.
    Result(String, String),
}

/// Whether a path is one of Bulk API 1.0. `segments`: decoded.
pub fn is_at(segments: &[String]) -> bool {
    matches!(segments, [services, api, ..] if services == "services" && api == "async")
}

/// Whether whoever asks so reads its documents as JSON, where most clients read XML.
pub fn speaks_json(headers: &HeaderMap) -> bool {
    if headers.contains_key(CONTENT_TYPE) {
        return Content::of(headers) == Some(Content::Json);
    }
    headers
        .get(ACCEPT)
        .is_some_and(|v| v.as_bytes().starts_with(b"application/json"))
}

/// How much of a request's body is read before the request is understood: a query stands in memory, as records in JSON
/// do; tables and XML go upstream while they arrive.
pub(super) fn intake(
    api: &Api,
    head: &RequestHead<'_>,
    caller: &Identity,
    sealer: &Sealer,
) -> Intake {
    let [_, _, _, _, job, batch, rest @ ..] = head.segments else {
        return Intake::Whole;
    };
    if head.method != Method::POST || batch != "batch" || rest.iter().any(|s| !s.is_empty()) {
        return Intake::Whole;
    }
    let open = |text: &str| sealer.open(text);
    match Cursor::open_job(job, &open, &api.name, caller) {
        Ok((_, job)) if job.operation.is_query() => Intake::Whole,
        Ok((
            _,
            Job {
                batches: Some(form),
                ..
            },
        )) => match form.content {
            Content::Csv => Intake::FirstRow,
            Content::Xml => Intake::Nothing,
            Content::Json => Intake::Whole,
        },
        // Refused, whatever it holds.
        _ => Intake::Nothing,
    }
}

/// A request as it goes upstream.
#[derive(Debug)]
pub(super) struct BatchTarget {
    method: Method,
    /// What follows `/services/async/NN.0/job`.
    path: String,
    body: Body,
    /// The format of what it carries, if it carries anything.
    sends: Option<Content>,
    /// The format of its answer.
    takes: Content,
}

/// What a request carries.
#[derive(Debug)]
enum Body {
    /// Nothing, or what is uploaded.
    None,
    Document(String),
    Query(Box<Asks>),
    Records(Template),
}

impl BatchTarget {
    fn read(path: String, takes: Content) -> Self {
        Self {
            method: Method::GET,
            path,
            body: Body::None,
            sends: None,
            takes,
        }
    }

    fn post(path: String, body: Body, sends: Content, takes: Content) -> Self {
        Self {
            method: Method::POST,
            path,
            body,
            sends: Some(sends),
            takes,
        }
    }

    /// The upstream request. `headers`: those of the caller that may pass.
    pub(super) fn print(
        &self,
        version: u16,
        mut headers: HeaderMap,
        resolved: &Resolved<'_>,
    ) -> Result<UpstreamRequest, Refusal> {
        let body = match &self.body {
            Body::None => String::new(),
            Body::Document(text) => text.clone(),
            Body::Query(asks) => query_text(&asks.query, &asks.bindings, &asks.scopes, resolved)?,
            Body::Records(template) => template.print(resolved)?,
        };
        let takes = self.takes.media_type();
        let takes = takes.split_once(';').map_or(takes, |(media, _)| media);
        headers.insert(ACCEPT, HeaderValue::from_static(takes));
        // The documents of a job come in the format that the request has, if there is nothing to read in it too.
        let sends = self.sends.unwrap_or(self.takes);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(sends.media_type()));
        Ok(UpstreamRequest {
            method: self.method.clone(),
            path_and_query: format!("/services/async/{version}.0/job{}", self.path),
            headers,
            body: Bytes::from(body),
            session: SessionPlace::Header,
            long_poll: false,
            cookies: false,
        })
    }
}

fn closed(what: &str) -> Refusal {
    Refusal::new(
        Reason::EndpointClosed,
        format!("{what}: not open through this proxy"),
    )
}

impl Request<'_> {
    /// A request of Bulk API 1.0. `body`: as much of it as [`intake`] asks for.
    pub(super) fn bulk1(
        mut self,
        version: u16,
        asked: Asked,
        head: &RequestHead<'_>,
        body: &[u8],
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        if around.caller.proof == Proof::Passthrough {
            return Err(closed("Bulk API 1.0 with a credential of the CRM"));
        }
        self.forward.version = version;
        match asked {
            Asked::Create => {
                let (style, document) = Document::read(head.headers, body)?;
                self.create_job(version, style, &document, around)
            }
            Asked::Job(job) => {
                let known = Known::job(self.api, version, &job, around)?;
                let takes = known.style();
                let target = BatchTarget::read(format!("/{}", known.id), takes);
                let told = job_info(Some(&known.sealed), &known.job, known.form.content);
                self.about_job(
                    "bulk1-job",
                    Action::Read,
                    &known,
                    target,
                    document(takes, told),
                )
            }
            Asked::Change(job) => {
                let known = Known::job(self.api, version, &job, around)?;
                let (style, given) = Document::read(head.headers, body)?;
                let state = given.only("state")?;
                if !matches!(state, "Closed" | "Aborted") {
                    return Err(bad("state takes Closed or Aborted").coded("InvalidJobState"));
                }
                let text = Document::print(style, &[("state", state.into())]);
                let path = format!("/{}", known.id);
                let target = BatchTarget::post(path, Body::Document(text), style, style);
                let told = job_info(Some(&known.sealed), &known.job, known.form.content);
                self.about_job(
                    "bulk1-job-change",
                    Action::Write,
                    &known,
                    target,
                    document(style, told),
                )
            }
            Asked::Batches(job) => {
                let known = Known::job(self.api, version, &job, around)?;
                let takes = known.form.content.told();
                let target = BatchTarget::read(format!("/{}/batch", known.id), takes);
                // Which query a batch has is known to its own id alone: those of a list show how far each is.
                let place = Place::Batch(known.id.clone());
                self.forward.pages =
                    Some(known.cursor(self.api, version, "", place, around.caller));
                let list = Shape::Array {
                    element: Box::new(batch_info(None, &known.sealed)),
                    rows: false,
                };
                let told = Shape::Object(vec![("batchInfo".into(), list)]);
                self.about_job(
                    "bulk1-batches",
                    Action::Read,
                    &known,
                    target,
                    document(takes, told),
                )
            }
            Asked::Add(job) => {
                let known = Known::job(self.api, version, &job, around)?;
                if Content::of(head.headers) != Some(known.form.content) {
                    return Err(Refusal::new(
                        Reason::UnsupportedMediaType,
                        "the content type of a batch is that of its job",
                    ));
                }
                if known.job.operation.is_query() {
                    self.add_query(version, &known, body, around)
                } else {
                    self.add_records(version, &known, body, around)
                }
            }
            Asked::Batch { job, batch, about } => {
                let job = Known::job(self.api, version, &job, around)?;
                let place = Place::Batch(job.id.clone());
                let batch = Known::open(self.api, version, &batch, around, "InvalidBatch")?
                    .at(&place, "InvalidBatch")?;
                if job.job.operation.is_query() {
                    self.query_batch(version, &job, &batch, about, around)
                } else {
                    self.load_batch(&job, &batch, &about)
                }
            }
        }
    }
}
