//! Path and parameters → endpoint. What is known and closed is refused by name, what is unknown does not exist.

use std::sync::Arc;

use http::Method;

use crate::engine::protocol::{Api, RequestHead};
use crate::engine::refusal::{Reason, Refusal};

use super::analytics::{self, Analytics};
use super::bulk;
use super::bulk1;
use super::composite::Envelope;
use super::list_views::{self, ListViews};
use super::login::soap::Wsdl;
use super::resolve::malformed;
use super::{is_record_id, ui_api, unknown_path};

/// The endpoints that are open.
#[derive(Debug)]
pub(super) enum Endpoint {
    Versions,
    Resources {
        version: u16,
    },
    Limits {
        version: u16,
    },
    Query {
        version: u16,
        all: bool,
        soql: String,
    },
    Page {
        version: u16,
        segment: String,
    },
    /// `sobjects/X`
    Basic {
        version: u16,
        object: Arc<str>,
    },
    /// `recent`
    Recent {
        version: u16,
        limit: Option<String>,
    },
    /// `sobjects/X/updated`, `sobjects/X/deleted`
    Changes {
        version: u16,
        object: Arc<str>,
        deleted: bool,
        start: String,
        end: String,
    },
    /// `limits/recordCount`
    RecordCounts {
        version: u16,
        objects: Option<String>,
    },
    /// `sobjects/X/describe/layouts` and what is like it.
    Layouts {
        version: u16,
        object: Arc<str>,
        /// The path behind the object.
        rest: String,
    },
    /// `compactLayouts?q=`
    CompactLayouts {
        version: u16,
        objects: String,
    },
    /// `sobjects/X/listviews…`
    ListViews {
        version: u16,
        object: Arc<str>,
        asked: ListViews,
    },
    /// `ui-api…`
    Ui {
        version: u16,
        asked: ui_api::Asked,
    },
    /// `analytics…`
    Analytics {
        version: u16,
        asked: Analytics,
    },
    /// `sobjects/X/{id}/{relationship}…`, or a blob.
    Related {
        version: u16,
        object: Arc<str>,
        id: String,
        path: Vec<Arc<str>>,
        fields: Option<String>,
    },
    /// `search?q=`
    Search {
        version: u16,
        sosl: String,
    },
    /// `parameterizedSearch`, its parameters if it is a GET.
    ParameterizedSearch {
        version: u16,
        pairs: Vec<(String, String)>,
    },
    /// `search/suggestions`
    Suggestions {
        version: u16,
        q: String,
        object: String,
        fields: Option<String>,
        limit: Option<String>,
    },
    DescribeGlobal {
        version: u16,
    },
    Describe {
        version: u16,
        object: Arc<str>,
    },
    Row {
        version: u16,
        object: Arc<str>,
        found: Found,
        fields: Option<Vec<Arc<str>>>,
    },
    /// A request of several parts.
    Composite {
        version: u16,
        envelope: Envelope,
    },
    /// `graphql`
    Graphql {
        version: u16,
    },
    /// `connect/…`, `chatter/…`
    Resource {
        version: u16,
        path: Vec<String>,
    },
    /// `/cometd/NN.0`
    Stream {
        version: u16,
    },
    /// Several records of one object by their ids.
    Retrieve {
        version: u16,
        object: Arc<str>,
        /// The parameters `ids` and `fields` of a GET.
        lists: Option<(String, String)>,
    },
    /// POST or PATCH of several records.
    Save {
        version: u16,
    },
    /// PATCH of several records of one object, each found by the same field.
    UpsertAll {
        version: u16,
        object: Arc<str>,
        field: Arc<str>,
    },
    /// POST of records with their children.
    Tree {
        version: u16,
        object: Arc<str>,
    },
    /// DELETE of several records.
    DeleteAll {
        version: u16,
        ids: String,
        all_or_none: bool,
    },
    /// `jobs/query…`, `jobs/ingest…`
    Bulk {
        version: u16,
        kind: bulk::Kind,
        asked: bulk::Asked,
    },
    /// `/services/async/{version}/job…`
    Batches {
        version: u16,
        asked: bulk1::Asked,
    },
    /// `/services/Soap/u|c/{version}`
    Soap {
        wsdl: Wsdl,
        version: u16,
    },
    /// POST, PATCH or DELETE of a record.
    Change {
        version: u16,
        object: Arc<str>,
        found: Option<Found>,
    },
}

impl Endpoint {
    /// Whether a JSON body belongs to it.
    pub(super) fn takes_body(&self, method: &Method) -> bool {
        match self {
            Self::Change { .. } => method != Method::DELETE,
            Self::Retrieve { lists, .. } => lists.is_none(),
            Self::Bulk { asked, .. } => {
                matches!(asked, bulk::Asked::Create | bulk::Asked::Change(_))
            }
            Self::ParameterizedSearch { .. } => method == Method::POST,
            Self::Save { .. }
            | Self::Composite { .. }
            | Self::Graphql { .. }
            | Self::Stream { .. }
            | Self::UpsertAll { .. }
            | Self::Tree { .. } => true,
            _ => false,
        }
    }
}

/// By what a record is found.
pub(super) enum Found {
    /// Its id, or a token that stands for it.
    Id(String),
    /// A field's value.
    External {
        /// As written.
        field: Arc<str>,
        value: String,
    },
}

impl std::fmt::Debug for Found {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Id(_) => "Id(***)",
            Self::External { .. } => "External(***)",
        })
    }
}

/// Resources under `/services/data/vNN.0/` that are known and closed.
const CLOSED_RESOURCES: &[(&str, &str)] = &[
    ("actions", "Invocable actions"),
    ("appMenu", "The app menu"),
    ("async-queries", "Async queries"),
    ("chatter", "Chatter"),
    ("commerce", "The Commerce API"),
    ("composite", "The composite resources"),
    ("connect", "The Connect API"),
    ("consent", "The Consent API"),
    ("dedupe", "Duplicate jobs"),
    ("event", "Platform events"),
    ("eventSchema", "Platform events"),
    ("folders", "Folders"),
    ("jobs", "This resource of Bulk API 2.0"),
    ("knowledgeManagement", "Knowledge management"),
    ("licensing", "Licensing"),
    ("metadata", "The Metadata API"),
    ("process", "Processes"),
    ("quickActions", "Quick actions"),
    ("scheduling", "Scheduling"),
    ("search", "This search resource"),
    ("support", "Support resources"),
    ("tabs", "Tabs"),
    ("theme", "Themes"),
    ("tooling", "The Tooling API"),
    ("wave", "CRM Analytics"),
];

/// Paths outside `/services/data/` that are known and closed, by their first segments.
const CLOSED_ROOTS: &[(&[&str], &str)] = &[
    (&["services", "Soap"], "The SOAP API"),
    (&["services", "apexrest"], "Apex REST"),
    (&["services", "async"], "This resource of Bulk API 1.0"),
    (&["services", "oauth2"], "OAuth at the CRM"),
    (&["services", "auth"], "OAuth at the CRM"),
    (&["services", "proxy"], "The CRM's own proxy"),
    (&["services", "wsdl"], "The SOAP API"),
    (&["services", "apexsoap"], "Apex SOAP"),
    (&["id"], "The identity URL"),
    (&["cometd"], "This path of the Streaming API"),
    (&["servlet"], "File downloads"),
    (&["secur"], "Sign-in pages"),
    (&["sfc"], "File downloads"),
];

/// Resources under `sobjects/X/` that are known and closed.
const CLOSED_OBJECT_RESOURCES: &[(&str, &str)] = &[
    ("quickActions", "Quick actions"),
    ("defaultValues", "Default values"),
    ("relevantItems", "Recently viewed records"),
    ("eventSchema", "Platform events"),
];

pub(super) fn closed(what: &str) -> Refusal {
    Refusal::new(
        Reason::EndpointClosed,
        format!("{what}: not open through this proxy"),
    )
}

/// What is known under `/services/data/vNN.0/` and closed is refused by name, anything else does not exist.
pub(super) fn closed_resource(first: &str) -> Refusal {
    CLOSED_RESOURCES
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(first))
        .map_or_else(unknown_path, |(_, what)| closed(what))
}

pub(super) fn bad_request(message: &'static str) -> Refusal {
    Refusal::new(Reason::BadRequest, message)
}

/// Finds the endpoint of a request.
///
/// # Errors
/// Unknown and closed paths, other methods than GET and HEAD, unknown, repeated or missing parameters.
pub(super) fn route(api: &Api, head: &RequestHead<'_>) -> Result<Endpoint, Refusal> {
    let mut segments: Vec<&str> = head.segments.iter().map(String::as_str).collect();
    if segments.last() == Some(&"") {
        segments.pop();
    }
    if let ["services", "Soap", letter @ ("u" | "c"), version, rest @ ..] = &*segments
        && rest.len() <= 1
    {
        return soap(api, head, letter, version);
    }
    if let ["cometd", version, rest @ ..] = &*segments
        && *version != "replay"
    {
        return stream(api, head, version, rest);
    }
    if let ["services", "async", version, "job", rest @ ..] = &*segments {
        return batches(api, head, version, rest);
    }
    let ["services", "data", rest @ ..] = &*segments else {
        let known = CLOSED_ROOTS.iter().find(|(root, _)| {
            segments.len() >= root.len()
                && root
                    .iter()
                    .zip(&segments)
                    .all(|(r, s)| r.eq_ignore_ascii_case(s))
        });
        return Err(known.map_or_else(unknown_path, |(_, what)| closed(what)));
    };
    let Some((version, rest)) = rest.split_first() else {
        return reads(head, &[]).map(|_| Endpoint::Versions);
    };
    let version = parse_version(version)
        .filter(|v| (api.versions.0..=api.versions.1).contains(v))
        .ok_or_else(unknown_path)?;
    match rest {
        [] => reads(head, &[]).map(|_| Endpoint::Resources { version }),
        ["limits"] => reads(head, &[]).map(|_| Endpoint::Limits { version }),
        ["limits", "recordCount"] => {
            let [objects] = reads(head, &["sObjects"])?;
            Ok(Endpoint::RecordCounts {
                version,
                objects: objects.map(str::to_owned),
            })
        }
        ["recent"] => {
            let [limit] = reads(head, &["limit"])?;
            Ok(Endpoint::Recent {
                version,
                limit: limit.map(str::to_owned),
            })
        }
        ["compactLayouts"] => {
            let [objects] = reads(head, &["q"])?;
            let objects = objects.ok_or_else(|| bad_request("q is needed: names of objects"))?;
            Ok(Endpoint::CompactLayouts {
                version,
                objects: objects.to_owned(),
            })
        }
        [name @ ("query" | "queryAll")] => {
            let [soql, explain] = reads(head, &["q", "explain"])?;
            if explain.is_some() {
                return Err(closed("Query plans (explain)"));
            }
            let soql = soql.ok_or_else(|| malformed("A query string has to be specified"))?;
            Ok(Endpoint::Query {
                version,
                all: *name == "queryAll",
                soql: soql.to_owned(),
            })
        }
        ["query" | "queryAll", segment] => reads(head, &[]).map(|_: [_; 0]| Endpoint::Page {
            version,
            segment: (*segment).to_owned(),
        }),
        ["search"] => {
            let [sosl] = reads(head, &["q"])?;
            let sosl = sosl.ok_or_else(|| malformed("A search string has to be specified"))?;
            Ok(Endpoint::Search {
                version,
                sosl: sosl.to_owned(),
            })
        }
        ["parameterizedSearch"] => {
            let pairs = if head.method == Method::POST {
                no_parameters(head)?;
                Vec::new()
            } else {
                only_get(head.method)?;
                head.query.to_vec()
            };
            Ok(Endpoint::ParameterizedSearch { version, pairs })
        }
        ["search", "suggestions"] => {
            let [q, object, fields, limit] = reads(head, &["q", "sobject", "fields", "limit"])?;
            let (Some(q), Some(object)) = (q, object) else {
                return Err(bad_request("q and sobject are needed"));
            };
            Ok(Endpoint::Suggestions {
                version,
                q: q.to_owned(),
                object: object.to_owned(),
                fields: fields.map(str::to_owned),
                limit: limit.map(str::to_owned),
            })
        }
        ["search", "scopeOrder"] => Err(closed("The search scope order of a user")),
        ["search", "layout"] => Err(closed("Search layouts")),
        ["sobjects"] => reads(head, &[]).map(|_| Endpoint::DescribeGlobal { version }),
        ["composite"] | ["composite", "batch" | "graph"] => {
            no_parameters(head)?;
            if head.method != Method::POST {
                return Err(Refusal::method_not_allowed("POST"));
            }
            Ok(Endpoint::Composite {
                version,
                envelope: match rest.get(1) {
                    None => Envelope::Composite,
                    Some(&"batch") => Envelope::Batch,
                    Some(_) => Envelope::Graph,
                },
            })
        }
        ["graphql"] => {
            no_parameters(head)?;
            if head.method != Method::POST {
                return Err(Refusal::method_not_allowed("POST"));
            }
            Ok(Endpoint::Graphql { version })
        }
        ["jobs", kind @ ("query" | "ingest"), rest @ ..] => {
            let (kind, asked) = bulk::asked(head, kind, rest)?;
            Ok(Endpoint::Bulk {
                version,
                kind,
                asked,
            })
        }
        ["composite", "tree", object] if is_name(object) => {
            no_parameters(head)?;
            if head.method != Method::POST {
                return Err(Refusal::method_not_allowed("POST"));
            }
            Ok(Endpoint::Tree {
                version,
                object: Arc::from(*object),
            })
        }
        ["ui-api", rest @ ..] => {
            let asked = ui_api::asked(head, rest)?;
            Ok(Endpoint::Ui { version, asked })
        }
        ["analytics", rest @ ..] => {
            let asked = analytics::asked(head, rest)?;
            Ok(Endpoint::Analytics { version, asked })
        }
        ["composite", "sobjects", rest @ ..] => collection(head, version, rest),
        ["sobjects", object, rest @ ..] => object_resource(head, version, object, rest),
        ["connect" | "chatter", ..] if only_get(head.method).is_ok() => Ok(Endpoint::Resource {
            version,
            path: rest.iter().map(|s| (*s).to_owned()).collect(),
        }),
        [first, ..] => Err(closed_resource(first)),
    }
}

/// `/services/async/{version}/job`, and what is behind it.
fn batches(
    api: &Api,
    head: &RequestHead<'_>,
    version: &str,
    rest: &[&str],
) -> Result<Endpoint, Refusal> {
    use bulk1::{About, Asked};
    let version = parse_version(&format!("v{version}"))
        .filter(|v| (api.versions.0..=api.versions.1).contains(v))
        .ok_or_else(unknown_path)?;
    no_parameters(head)?;
    let post = head.method == Method::POST;
    let about = |job: &str, batch: &str, about: About| {
        only_get(head.method)?;
        Ok(Asked::Batch {
            job: job.to_owned(),
            batch: batch.to_owned(),
            about,
        })
    };
    let asked = match rest {
        [] if post => Asked::Create,
        [] => return Err(Refusal::method_not_allowed("POST")),
        [job] if post => Asked::Change((*job).to_owned()),
        [job, "batch"] if post => Asked::Add((*job).to_owned()),
        [job] => {
            get_or(head.method, "GET, HEAD, POST")?;
            Asked::Job((*job).to_owned())
        }
        [job, "batch"] => {
            get_or(head.method, "GET, HEAD, POST")?;
            Asked::Batches((*job).to_owned())
        }
        [job, "batch", batch] => about(job, batch, About::State)?,
        [job, "batch", batch, "request"] => about(job, batch, About::Request)?,
        [job, "batch", batch, "result"] => about(job, batch, About::Results)?,
        [job, "batch", batch, "result", result] => {
            about(job, batch, About::Rows((*result).to_owned()))?
        }
        [_, "spec", ..] => return Err(closed("Transformations of bulk jobs")),
        _ => return Err(unknown_path()),
    };
    Ok(Endpoint::Batches { version, asked })
}

fn soap(
    api: &Api,
    head: &RequestHead<'_>,
    letter: &str,
    version: &str,
) -> Result<Endpoint, Refusal> {
    no_parameters(head)?;
    if head.method != Method::POST {
        return Err(Refusal::method_not_allowed("POST"));
    }
    let version = parse_version(&format!("v{version}"))
        .filter(|v| (api.versions.0..=api.versions.1).contains(v))
        .ok_or_else(unknown_path)?;
    let wsdl = match letter {
        "u" => Wsdl::Partner,
        _ => Wsdl::Enterprise,
    };
    Ok(Endpoint::Soap { wsdl, version })
}

/// `/cometd/NN.0`, or what CometD's own clients append: the kind of the message.
fn stream(
    api: &Api,
    head: &RequestHead<'_>,
    version: &str,
    rest: &[&str],
) -> Result<Endpoint, Refusal> {
    const KINDS: [&str; 5] = [
        "handshake",
        "connect",
        "subscribe",
        "unsubscribe",
        "disconnect",
    ];
    let version = parse_version(&format!("v{version}"))
        .filter(|v| (api.versions.0..=api.versions.1).contains(v))
        .filter(|_| rest.is_empty() || matches!(rest, [kind] if KINDS.contains(kind)))
        .ok_or_else(unknown_path)?;
    no_parameters(head)?;
    if head.method != Method::POST {
        return Err(Refusal::method_not_allowed("POST"));
    }
    Ok(Endpoint::Stream { version })
}

fn collection(head: &RequestHead<'_>, version: u16, rest: &[&str]) -> Result<Endpoint, Refusal> {
    let missing = || bad_request("ids and fields are needed");
    match rest {
        [] if head.method == Method::POST || head.method == Method::PATCH => {
            no_parameters(head)?;
            Ok(Endpoint::Save { version })
        }
        [] if head.method == Method::DELETE => {
            let [ids, all_or_none] = parameters(head, &["ids", "allOrNone"])?;
            let all_or_none = match all_or_none {
                None => false,
                Some(word) if word.eq_ignore_ascii_case("true") => true,
                Some(word) if word.eq_ignore_ascii_case("false") => false,
                Some(_) => return Err(bad_request("allOrNone takes true or false")),
            };
            Ok(Endpoint::DeleteAll {
                version,
                ids: ids.ok_or_else(missing)?.to_owned(),
                all_or_none,
            })
        }
        [object] if is_name(object) => {
            let object = Arc::from(*object);
            if head.method == Method::POST {
                no_parameters(head)?;
                return Ok(Endpoint::Retrieve {
                    version,
                    object,
                    lists: None,
                });
            }
            get_or(head.method, "GET, HEAD, POST")?;
            let [ids, fields] = reads(head, &["ids", "fields"])?;
            let (Some(ids), Some(fields)) = (ids, fields) else {
                return Err(missing());
            };
            Ok(Endpoint::Retrieve {
                version,
                object,
                lists: Some((ids.to_owned(), fields.to_owned())),
            })
        }
        [] => Err(Refusal::method_not_allowed("POST, PATCH, DELETE")),
        [object, field] if is_name(object) && is_name(field) => {
            if head.method != Method::PATCH {
                return Err(Refusal::method_not_allowed("PATCH"));
            }
            no_parameters(head)?;
            Ok(Endpoint::UpsertAll {
                version,
                object: Arc::from(*object),
                field: Arc::from(*field),
            })
        }
        _ => Err(unknown_path()),
    }
}

fn object_resource(
    head: &RequestHead<'_>,
    version: u16,
    object: &str,
    rest: &[&str],
) -> Result<Endpoint, Refusal> {
    // Only what could be a name is ever repeated in a refusal.
    if !is_name(object) {
        return Err(unknown_path());
    }
    let object: Arc<str> = object.into();
    match rest {
        [] if head.method == Method::POST => {
            no_parameters(head)?;
            Ok(Endpoint::Change {
                version,
                object,
                found: None,
            })
        }
        [] => {
            get_or(head.method, "GET, HEAD, POST")?;
            reads(head, &[]).map(|_: [_; 0]| Endpoint::Basic { version, object })
        }
        ["describe"] => reads(head, &[]).map(|_: [_; 0]| Endpoint::Describe { version, object }),
        [
            "describe",
            kind @ ("layouts" | "compactLayouts" | "approvalLayouts" | "namedLayouts"),
            which @ ..,
        ] => {
            let _: [_; 0] = reads(head, &[])?;
            // A record type, or the name of a layout.
            let rest = match which {
                [] if *kind != "namedLayouts" => format!("describe/{kind}"),
                [one] if is_name(one) => format!("describe/{kind}/{one}"),
                _ => return Err(unknown_path()),
            };
            Ok(Endpoint::Layouts {
                version,
                object,
                rest,
            })
        }
        ["describe", ..] => Err(unknown_path()),
        ["listviews", rest @ ..] => {
            let asked = list_views::asked(head, rest)?;
            Ok(Endpoint::ListViews {
                version,
                object,
                asked,
            })
        }
        [kind @ ("updated" | "deleted")] => {
            let [start, end] = reads(head, &["start", "end"])?;
            let (Some(start), Some(end)) = (start, end) else {
                return Err(bad_request("start and end are needed"));
            };
            Ok(Endpoint::Changes {
                version,
                object,
                deleted: *kind == "deleted",
                start: start.to_owned(),
                end: end.to_owned(),
            })
        }
        [name, ..]
            if CLOSED_OBJECT_RESOURCES
                .iter()
                .any(|(closed, _)| closed.eq_ignore_ascii_case(name)) =>
        {
            let what = CLOSED_OBJECT_RESOURCES
                .iter()
                .find(|(closed, _)| closed.eq_ignore_ascii_case(name))
                .map_or("", |(_, what)| what);
            Err(closed(what))
        }
        [one, rest @ ..] => record(head, version, object, one, rest),
    }
}

/// Whether the path leads to a stored query, so that something may have to be asked beforehand.
pub(super) fn is_stored(segments: &[String]) -> bool {
    let mut segments = segments.iter().skip(3).map(String::as_str);
    match segments.next() {
        Some("analytics") => true,
        Some("ui-api") => segments.next() == Some("list-records"),
        Some("sobjects") => segments.nth(1) == Some("listviews"),
        _ => false,
    }
}

/// A record by its id, or by a field and its value, and where its relationships lead.
fn record(
    head: &RequestHead<'_>,
    version: u16,
    object: Arc<str>,
    first: &str,
    rest: &[&str],
) -> Result<Endpoint, Refusal> {
    // A token stands for an id; anything else is no record.
    let (found, rest) = if is_record_id(first) || first.contains('.') {
        (Found::Id(first.to_owned()), rest)
    } else {
        let ([value, rest @ ..], true) = (rest, is_name(first)) else {
            return Err(unknown_path());
        };
        if matches!(*value, "" | "." | "..") {
            return Err(unknown_path());
        }
        let found = Found::External {
            field: first.into(),
            value: (*value).to_owned(),
        };
        (found, rest)
    };
    if !rest.is_empty() {
        let Found::Id(id) = found else {
            return Err(closed("Relationship paths of a record found by a field"));
        };
        if !rest.iter().all(|name| is_name(name)) {
            return Err(unknown_path());
        }
        let [fields] = reads(head, &["fields"])?;
        return Ok(Endpoint::Related {
            version,
            object,
            id,
            path: rest.iter().map(|name| Arc::from(*name)).collect(),
            fields: fields.map(str::to_owned),
        });
    }
    if head.method == Method::PATCH || head.method == Method::DELETE {
        no_parameters(head)?;
        return Ok(Endpoint::Change {
            version,
            object,
            found: Some(found),
        });
    }
    get_or(head.method, "GET, HEAD, PATCH, DELETE")?;
    let [fields] = reads(head, &["fields"])?;
    let fields = fields.map(field_names).transpose()?;
    Ok(Endpoint::Row {
        version,
        object,
        found,
        fields,
    })
}

pub(super) fn no_parameters(head: &RequestHead<'_>) -> Result<(), Refusal> {
    if head.query.is_empty() {
        Ok(())
    } else {
        Err(bad_request("unknown query parameter"))
    }
}

pub(super) fn is_name(text: &str) -> bool {
    (1..=80).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The names of `fields=a,b`.
pub(super) fn field_names(list: &str) -> Result<Vec<Arc<str>>, Refusal> {
    list.split(',')
        .map(str::trim)
        .map(|name| {
            if name.contains('.') {
                return Err(bad_request(
                    "fields= takes no relationship paths here, ask with a query",
                ));
            }
            if !is_name(name) {
                return Err(bad_request("fields= takes names, separated by commas"));
            }
            Ok(Arc::from(name))
        })
        .collect()
}

/// `v61.0` → 61.
fn parse_version(text: &str) -> Option<u16> {
    let major = text.strip_prefix('v')?.strip_suffix(".0")?;
    let plain = (1..=3).contains(&major.len())
        && !major.starts_with('0')
        && major.bytes().all(|b| b.is_ascii_digit());
    if plain { major.parse().ok() } else { None }
}

pub(super) fn only_get(method: &Method) -> Result<(), Refusal> {
    get_or(method, "GET, HEAD")
}

/// A GET or HEAD; `allow`: all that the endpoint takes.
pub(super) fn get_or(method: &Method, allow: &'static str) -> Result<(), Refusal> {
    if method == Method::GET || method == Method::HEAD {
        return Ok(());
    }
    Err(Refusal::method_not_allowed(allow))
}

/// The values of `names`, each at most once, and no other parameter, of a GET or HEAD.
pub(super) fn reads<'h, const N: usize>(
    head: &RequestHead<'h>,
    names: &[&str; N],
) -> Result<[Option<&'h str>; N], Refusal> {
    only_get(head.method)?;
    parameters(head, names)
}

/// As [`reads`], for any method.
pub(super) fn parameters<'h, const N: usize>(
    head: &RequestHead<'h>,
    names: &[&str; N],
) -> Result<[Option<&'h str>; N], Refusal> {
    let mut values = [None; N];
    for (key, value) in head.query {
        let Some(at) = names.iter().position(|n| n == key) else {
            return Err(bad_request("unknown query parameter"));
        };
        if values[at].replace(value.as_str()).is_some() {
            return Err(bad_request("repeated query parameter"));
        }
    }
    Ok(values)
}
