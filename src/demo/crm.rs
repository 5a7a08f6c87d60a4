//! One demo organisation: records, sessions, cursors; and which endpoint answers a request.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use http::HeaderMap;
use serde_json::Value;

use crate::demo::endpoint;
use crate::demo::endpoint::cometd::Streams;
use crate::demo::fault::Fault;
use crate::demo::seed;
use crate::demo::store::Store;

/// One request, read whole.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Method.
    pub method: String,
    /// Path and query as they came.
    pub target: String,
    /// Decoded path segments.
    pub segments: Vec<String>,
    /// Decoded query pairs.
    pub query: Vec<(String, String)>,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Vec<u8>,
    /// The origin under which the client came, such as `https://localhost:8443`.
    pub origin: String,
}

impl Asked {
    /// The first query parameter called `name`.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        self.query
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// A header as text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|v| v.to_str().ok())
    }
}

/// One answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Headers beside content type, length and coding.
    pub headers: Vec<(&'static str, String)>,
    /// JSON text; empty = no body.
    pub body: Vec<u8>,
}

impl Reply {
    /// A JSON answer.
    pub fn json(status: u16, body: &Value) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: body.to_string().into_bytes(),
        }
    }

    /// An answer without a body.
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }
}

impl From<Fault> for Reply {
    fn from(fault: Fault) -> Self {
        Self::json(fault.status, &fault.json())
    }
}

/// The connected app whose credential opens a session.
pub const CLIENT_ID: &str = "privet";
/// Its secret. The records are invented, so there is nothing to keep.
pub const CLIENT_SECRET: &str = "demo-secret";
/// The organisation's id.
pub const ORGANISATION: &str = "00D5g000000DEMOEAO";

const SESSIONS_MAX: usize = 1_000;
const SEEN_MAX: usize = 1_000;
const CURSORS_MAX: usize = 1_000;
const JOBS_MAX: usize = 1_000;

/// A query whose further pages somebody may ask for.
#[derive(Debug, Clone)]
pub(crate) struct Cursor {
    pub(crate) id: String,
    pub(crate) soql: String,
    pub(crate) deleted: bool,
    pub(crate) batch: usize,
}

/// A pseudo header of a [`Reply`]: the body behind its first line comes so many times more. Never sent.
pub const REPEAT: &str = "x-demo-repeat";

/// A job of Bulk API 2.0.
#[derive(Debug, Clone, Default)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) is_query: bool,
    pub(crate) operation: String,
    pub(crate) object: String,
    pub(crate) soql: String,
    /// The field that an upsert finds records by.
    pub(crate) key: String,
    pub(crate) delimiter: String,
    pub(crate) ending: String,
    pub(crate) state: String,
    /// What was uploaded.
    pub(crate) data: Vec<u8>,
    pub(crate) successful: Vec<u8>,
    pub(crate) failed: Vec<u8>,
    pub(crate) processed: u64,
    pub(crate) failures: u64,
}

/// A run of a report whose result is asked for later.
#[derive(Debug, Clone)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) report: &'static str,
    pub(crate) metadata: Value,
    pub(crate) details: bool,
}

/// The organisation.
#[derive(Debug)]
pub struct Crm {
    instances: Mutex<VecDeque<Instance>>,
    jobs: Mutex<(u64, VecDeque<Job>)>,
    /// How many times more the rows of a page of bulk results come.
    bulk_repeats: AtomicU64,
    store: RwLock<Store>,
    sessions: Mutex<(u64, HashSet<String>)>,
    cursors: Mutex<(u64, VecDeque<Cursor>)>,
    seen: Mutex<VecDeque<Asked>>,
    streams: Mutex<Streams>,
}

impl Default for Crm {
    fn default() -> Self {
        Self::new(seed::store())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Crm {
    /// An organisation with these records.
    pub fn new(mut store: Store) -> Self {
        store.changes_mut().forget();
        Self {
            instances: Mutex::new(VecDeque::new()),
            jobs: Mutex::new((0, VecDeque::new())),
            bulk_repeats: AtomicU64::new(0),
            store: RwLock::new(store),
            sessions: Mutex::new((0, HashSet::new())),
            cursors: Mutex::new((0, VecDeque::new())),
            seen: Mutex::new(VecDeque::new()),
            streams: Mutex::default(),
        }
    }

    /// The records.
    pub fn store(&self) -> RwLockReadGuard<'_, Store> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The records, to be changed.
    pub fn store_mut(&self) -> RwLockWriteGuard<'_, Store> {
        self.store.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who listens to changes.
    pub fn streams(&self) -> MutexGuard<'_, Streams> {
        lock(&self.streams)
    }

    /// Opens a session and gives its bearer token.
    pub fn open_session(&self) -> String {
        let mut sessions = lock(&self.sessions);
        if sessions.1.len() >= SESSIONS_MAX {
            sessions.1.clear();
        }
        sessions.0 += 1;
        let mut random = [0u8; 24];
        // Without randomness the token is merely guessable, and it guards invented people only.
        let _ = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut random);
        let token = format!(
            "{}!{}.{}",
            &ORGANISATION[..15],
            data_encoding::BASE64URL_NOPAD.encode(&random),
            sessions.0
        );
        sessions.1.insert(token.clone());
        token
    }

    /// Ends every session, so that the next request of each gets 401.
    pub fn end_sessions(&self) {
        lock(&self.sessions).1.clear();
    }

    /// The last requests (at most 1,000), oldest first: what really arrived here.
    pub fn seen(&self) -> Vec<Asked> {
        lock(&self.seen).iter().cloned().collect()
    }

    pub(crate) fn keep_cursor(&self, soql: &str, deleted: bool, batch: usize) -> String {
        let mut cursors = lock(&self.cursors);
        if cursors.1.len() >= CURSORS_MAX {
            cursors.1.pop_front();
        }
        cursors.0 += 1;
        let id = crate::demo::record_id::make("01g", cursors.0);
        cursors.1.push_back(Cursor {
            id: id.clone(),
            soql: soql.to_owned(),
            deleted,
            batch,
        });
        id
    }

    pub(crate) fn cursor(&self, id: &str) -> Option<Cursor> {
        lock(&self.cursors).1.iter().find(|c| c.id == id).cloned()
    }

    /// The rows of each further page of bulk results come `times` more: extracts as long as one likes.
    pub fn repeat_bulk_results(&self, times: u64) {
        self.bulk_repeats.store(times, Ordering::Relaxed);
    }

    pub(crate) fn bulk_repeats(&self) -> Option<u64> {
        let times = self.bulk_repeats.load(Ordering::Relaxed);
        (times > 0).then_some(times)
    }

    /// Keeps a run of a report.
    pub(crate) fn keep_instance(
        &self,
        report: &'static str,
        metadata: Value,
        details: bool,
    ) -> Instance {
        let mut instances = lock(&self.instances);
        if instances.len() >= JOBS_MAX {
            instances.pop_front();
        }
        let instance = Instance {
            id: crate::demo::record_id::make("0LG", instances.len() as u64 + 1),
            report,
            metadata,
            details,
        };
        instances.push_back(instance.clone());
        instance
    }

    /// The runs of a report.
    pub(crate) fn instances(&self, report: &str) -> Vec<Instance> {
        let instances = lock(&self.instances);
        let own = instances.iter().filter(|i| i.report == report);
        own.cloned().collect()
    }

    pub(crate) fn next_job(&self) -> String {
        let mut jobs = lock(&self.jobs);
        jobs.0 += 1;
        crate::demo::record_id::make("750", jobs.0)
    }

    pub(crate) fn job(&self, id: &str) -> Option<Job> {
        lock(&self.jobs).1.iter().find(|j| j.id == id).cloned()
    }

    /// Keeps a job, in place of what it was before.
    pub(crate) fn keep_job(&self, job: Job) {
        let mut jobs = lock(&self.jobs);
        jobs.1.retain(|j| j.id != job.id);
        if jobs.1.len() >= JOBS_MAX {
            jobs.1.pop_front();
        }
        jobs.1.push_back(job);
    }

    pub(crate) fn drop_job(&self, id: &str) {
        lock(&self.jobs).1.retain(|j| j.id != id);
    }

    fn is_session(&self, asked: &Asked) -> bool {
        asked
            .header("authorization")
            .and_then(|v| v.split_once(' '))
            .filter(|(scheme, _)| {
                scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth")
            })
            .is_some_and(|(_, token)| lock(&self.sessions).1.contains(token.trim()))
    }

    /// Answers one request.
    pub fn answer(&self, asked: &Asked) -> Reply {
        // A server that waits for events asks the same again and again.
        if asked.header(endpoint::cometd::NOTHING_YET).is_none() {
            let mut seen = lock(&self.seen);
            if seen.len() >= SEEN_MAX {
                seen.pop_front();
            }
            seen.push_back(asked.clone());
        }
        let mut reply = self.route(asked).unwrap_or_else(Reply::from);
        if asked.target.starts_with("/services/data/v") && reply.status < 500 {
            reply
                .headers
                .push(("sforce-limit-info", "api-usage=18/15000".to_owned()));
        }
        reply
    }

    /// Answers a request inside another one: it is not among [`Self::seen`].
    pub(crate) fn inner(&self, asked: &Asked) -> Reply {
        self.route(asked).unwrap_or_else(Reply::from)
    }

    fn route(&self, asked: &Asked) -> Result<Reply, Fault> {
        let mut path: Vec<&str> = asked.segments.iter().map(String::as_str).collect();
        if path.last() == Some(&"") {
            path.pop();
        }
        let get = || {
            if matches!(asked.method.as_str(), "GET" | "HEAD") {
                Ok(())
            } else {
                Err(Fault::method(&asked.method, "GET,HEAD"))
            }
        };
        match path.as_slice() {
            ["services", "oauth2", "token"] => return Ok(endpoint::token::answer(self, asked)),
            ["services", "Soap", letter @ ("u" | "c"), version, ..] if asked.method == "POST" => {
                return Ok(endpoint::soap::answer(self, asked, letter, version));
            }
            ["services", "data"] => {
                get()?;
                return Ok(endpoint::versions::answer());
            }
            _ => {}
        }
        if !self.is_session(asked) {
            return Err(Fault::session());
        }
        if let ["id", organisation, user] = path.as_slice() {
            get()?;
            return endpoint::identity::answer(self, asked, organisation, user);
        }
        if let ["cometd", version] = path.as_slice()
            && asked.method == "POST"
        {
            return endpoint::cometd::answer(self, asked, version);
        }
        let ["services", "data", version, rest @ ..] = path.as_slice() else {
            return Err(Fault::not_found());
        };
        let version = version
            .strip_prefix('v')
            .filter(|v| endpoint::versions::is_known(v))
            .ok_or_else(Fault::not_found)?;
        if !matches!(
            rest,
            ["sobjects", _, ..]
                | ["composite", ..]
                | ["parameterizedSearch"]
                | ["graphql"]
                | ["jobs", ..]
                | ["analytics", ..]
        ) {
            get()?;
        }
        match rest {
            [] => Ok(endpoint::resources::answer(version, &asked.origin)),
            ["limits"] => Ok(endpoint::limits::answer()),
            ["query"]
                if asked
                    .parameter("q")
                    .is_some_and(|q| q.contains(" FROM PushTopic ")) =>
            {
                Ok(endpoint::cometd::topics(self, version))
            }
            ["query"] => endpoint::query::answer(self, asked, version, false),
            ["queryAll"] => endpoint::query::answer(self, asked, version, true),
            ["limits", "recordCount"] => Ok(endpoint::listing::record_counts(self, asked)),
            ["connect", "organization"] => Ok(endpoint::connect::organization()),
            ["chatter", "feeds", "news", "me", "feed-elements"] => {
                Ok(endpoint::connect::feed(self, version))
            }
            ["recent"] => Ok(endpoint::listing::recent(self, asked, version)),
            ["compactLayouts"] => endpoint::layouts::compact_layouts(asked, version),
            ["sobjects", object, kind @ ("updated" | "deleted")] => {
                get()?;
                endpoint::listing::changes(self, asked, object, *kind == "deleted")
            }
            ["sobjects", object, "describe", path @ ..] if !path.is_empty() => {
                get()?;
                endpoint::layouts::answer(asked, version, object, path)
            }
            ["graphql"] if asked.method == "POST" => endpoint::graphql::answer(self, asked),
            ["jobs", kind @ ("query" | "ingest"), rest @ ..] => {
                endpoint::bulk2::answer(self, asked, version, *kind == "query", rest)
            }
            ["analytics", rest @ ..] => endpoint::reports::answer(self, asked, version, rest),
            ["sobjects", object, "listviews", rest @ ..] => {
                get()?;
                endpoint::list_views::answer(self, asked, version, object, rest)
            }
            ["search"] => endpoint::search::sosl(self, asked, version),
            ["parameterizedSearch"] => endpoint::search::parameterized(self, asked, version),
            ["search", "suggestions"] => endpoint::search::suggestions(self, asked, version),
            ["query" | "queryAll", locator] => endpoint::query::next(self, locator, version),
            ["sobjects"] => Ok(endpoint::describe_global::answer(version)),
            ["composite"] if asked.method == "POST" => endpoint::composite::answer(self, asked),
            ["composite", "batch"] if asked.method == "POST" => {
                endpoint::composite::batch(self, asked)
            }
            ["composite", "graph"] if asked.method == "POST" => {
                endpoint::composite::graph(self, asked)
            }
            ["composite", "tree", object] if asked.method == "POST" => {
                endpoint::tree::answer(self, asked, version, object)
            }
            ["composite", "sobjects", rest @ ..] => {
                endpoint::collections::answer(self, asked, version, rest)
            }
            ["composite", ..] => Err(Fault::method(&asked.method, "POST")),
            ["sobjects", object, "describe"] => {
                get()?;
                endpoint::describe::answer(asked, version, object)
            }
            ["sobjects", object, rest @ ..] => {
                endpoint::row::answer(self, asked, version, object, rest)
            }
            _ => Err(Fault::not_found()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::server::form;

    fn asked(method: &str, target: &str, bearer: Option<&str>, body: &str) -> Asked {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut headers = HeaderMap::new();
        if let Some(token) = bearer {
            headers.insert("authorization", format!("Bearer {token}").parse().unwrap());
        }
        Asked {
            method: method.to_owned(),
            target: target.to_owned(),
            segments: path
                .trim_start_matches('/')
                .split('/')
                .map(str::to_owned)
                .collect(),
            query: form(query),
            headers,
            body: body.as_bytes().to_vec(),
            origin: "http://localhost".to_owned(),
        }
    }

    fn ask(
        crm: &Crm,
        method: &str,
        target: &str,
        bearer: Option<&str>,
        body: &str,
    ) -> (u16, Value) {
        let reply = crm.answer(&asked(method, target, bearer, body));
        (
            reply.status,
            serde_json::from_slice(&reply.body).unwrap_or(Value::Null),
        )
    }

    #[test]
    fn a_session_is_needed_and_the_token_endpoint_gives_one() {
        let crm = Crm::default();
        let (status, body) = ask(
            &crm,
            "GET",
            "/services/data/v61.0/limits",
            Some("made-up"),
            "",
        );
        assert_eq!(
            (status, body[0]["errorCode"].as_str()),
            (401, Some("INVALID_SESSION_ID"))
        );
        let form = "grant_type=client_credentials&client_id=privet&client_secret=wrong";
        assert_eq!(
            ask(&crm, "POST", "/services/oauth2/token", None, form).0,
            400
        );
        let form = "grant_type=client_credentials&client_id=privet&client_secret=demo-secret";
        let (status, body) = ask(&crm, "POST", "/services/oauth2/token", None, form);
        assert_eq!(status, 200);
        let token = body["access_token"].as_str();
        for path in [
            "",
            "/limits",
            "/sobjects",
            "/sobjects/Contact/describe",
            "/sobjects/Case/",
        ] {
            assert_eq!(
                ask(
                    &crm,
                    "GET",
                    &format!("/services/data/v61.0{path}"),
                    token,
                    ""
                )
                .0,
                200,
                "{path}"
            );
        }
        assert_eq!(
            ask(&crm, "GET", "/services/data/v61.0/tooling", token, "").0,
            404
        );
        assert_eq!(
            ask(&crm, "POST", "/services/data/v61.0/query?q=x", token, "").0,
            405
        );
        assert_eq!(
            ask(&crm, "GET", "/services/data/v99.0/limits", token, "").0,
            404
        );
        crm.end_sessions();
        assert_eq!(
            ask(&crm, "GET", "/services/data/v61.0/limits", token, "").0,
            401
        );
    }

    #[test]
    fn pages_give_every_record_once() {
        let crm = Crm::default();
        let token = Some(crm.open_session());
        let token = token.as_deref();
        let mut target = "/services/data/v61.0/query/?q=SELECT+Id+FROM+Contact".to_owned();
        let (mut ids, mut pages) = (HashSet::new(), 0);
        loop {
            let (status, page) = ask(&crm, "GET", &target, token, "");
            assert_eq!((status, page["totalSize"].as_u64()), (200, Some(2_000)));
            for record in page["records"].as_array().unwrap() {
                assert!(ids.insert(record["Id"].as_str().unwrap().to_owned()));
            }
            pages += 1;
            match page["nextRecordsUrl"].as_str() {
                Some(next) => target = next.to_owned(),
                None => break assert_eq!(page["done"], true),
            }
        }
        assert_eq!((ids.len(), pages), (2_000, 4));
        let (status, body) = ask(
            &crm,
            "GET",
            "/services/data/v61.0/query/01gNOBODY-500",
            token,
            "",
        );
        assert_eq!(
            (status, body[0]["errorCode"].as_str()),
            (400, Some("INVALID_QUERY_LOCATOR"))
        );
    }

    #[test]
    fn records_are_made_changed_read_and_deleted() {
        let crm = Crm::default();
        let token = Some(crm.open_session());
        let token = token.as_deref();
        let contacts = "/services/data/v61.0/sobjects/Contact";
        assert_eq!(
            ask(&crm, "POST", contacts, token, "{\"FirstName\":\"Jo\"}").0,
            400
        );
        let (status, made) = ask(
            &crm,
            "POST",
            contacts,
            token,
            "{\"LastName\":\"Doe\",\"Salary__c\":5}",
        );
        assert_eq!(status, 201);
        let one = format!("{contacts}/{}", made["id"].as_str().unwrap());
        assert_eq!(
            ask(&crm, "PATCH", &one, token, "{\"FirstName\":\"Jo\"}").0,
            204
        );
        let (_, record) = ask(
            &crm,
            "GET",
            &format!("{one}?fields=Name,Salary__c"),
            token,
            "",
        );
        assert_eq!(
            (&record["Name"], &record["Salary__c"]),
            (&"Jo Doe".into(), &5.0.into())
        );
        let (_, whole) = ask(&crm, "GET", &one, token, "");
        assert_eq!(
            whole.as_object().unwrap().keys().next().unwrap(),
            "attributes"
        );
        assert_eq!(ask(&crm, "PATCH", &one, token, "{\"Id\":\"x\"}").0, 400);
        assert_eq!(ask(&crm, "DELETE", &one, token, "").0, 204);
        assert_eq!(ask(&crm, "GET", &one, token, "").0, 404);
        assert_eq!(crm.seen().len(), 8);
    }
}
