//! Request → [`Operation`]: what it touches, how, and where in the answer each output will stand.
//!
//! One folder per dialect. `salesforce` knows Salesforce's REST API; `map` any JSON API that
//! `policies/apis/*.yaml` describes.

mod json_body;
pub mod map;
pub mod salesforce;
mod upload;

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method};

use crate::engine::catalog::{Catalog, FieldRef, ObjectId};
use crate::engine::identity::Identity;
use crate::engine::refusal::Refusal;
use crate::engine::rewrite::csv::{Delimiter, LineEnding};
use crate::engine::token::Sealer;

pub use upload::{Intake, Upload, UploadFormat, Written};

/// What an API is, as far as understanding its requests goes. From `privet.yaml`.
#[derive(Debug, Clone)]
pub struct Api {
    /// Name under `apis:`, and of its schema file and map.
    pub name: Arc<str>,
    /// Which dialect reads its requests.
    pub dialect: Dialect,
    /// Accepted Salesforce API versions, inclusive (majors: 50 = v50.0).
    pub versions: (u16, u16),
    /// The origin where links in answers lead, such as `https://crm.acme.example`, without a final slash.
    pub public_origin: Arc<str>,
    /// The upstream's own origin, to be recognised in links.
    pub upstream_origin: Arc<str>,
}

/// The dialects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Salesforce REST.
    Salesforce,
    /// An API map.
    Map,
}

/// The head of a request after the carrier's checks: one path, normalised; no hop-by-hop header; no credential.
#[derive(Debug)]
pub struct RequestHead<'a> {
    /// One of GET HEAD POST PUT PATCH DELETE.
    pub method: &'a Method,
    /// Percent-encoded path exactly as it will go upstream unless the plan changes it.
    pub path: &'a str,
    /// Decoded path segments (strict UTF-8), without the leading empty one; a trailing slash leaves a last empty segment.
    pub segments: &'a [String],
    /// Decoded query pairs (`+` is a space), in order. Credentials have been taken out.
    pub query: &'a [(String, String)],
    /// The client's headers.
    pub headers: &'a HeaderMap,
}

/// Action of a rule (closed list).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Output in an answer.
    Read,
    /// Output of a bulk job, report download or file.
    Export,
    /// In a predicate.
    Filter,
    /// In ORDER BY.
    Sort,
    /// In GROUP BY.
    Group,
    /// Inside an aggregate function.
    Aggregate,
    /// Searched.
    Search,
    /// Lookup by anything but the record Id.
    Key,
    /// Written.
    Write,
    /// Record deleted.
    Delete,
    /// Shown in describe.
    Describe,
    /// Token turned back for a person.
    Reveal,
}

impl Action {
    /// All actions with their words, in documentation order.
    pub const WORDS: [(&'static str, Action); 12] = [
        ("read", Action::Read),
        ("export", Action::Export),
        ("filter", Action::Filter),
        ("sort", Action::Sort),
        ("group", Action::Group),
        ("aggregate", Action::Aggregate),
        ("search", Action::Search),
        ("key", Action::Key),
        ("write", Action::Write),
        ("delete", Action::Delete),
        ("describe", Action::Describe),
        ("reveal", Action::Reveal),
    ];

    /// The word in policy files.
    pub fn word(self) -> &'static str {
        Self::WORDS[self as usize].0
    }

    /// The action that `word` names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::WORDS
            .iter()
            .find(|(w, _)| *w == word)
            .map(|(_, a)| *a)
    }
}

/// How a use evaluates its field, for the token exception.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// Not a comparison, or any comparison that tokens cannot answer.
    Other,
    /// `=` or IN, not negated at any depth: tokens may be turned back.
    Equality,
    /// GROUP BY, COUNT or COUNT_DISTINCT: a deterministic token already shows it.
    Identity,
}

/// One use of one field.
#[derive(Debug, Clone)]
pub struct Use {
    /// The field.
    pub field: FieldRef,
    /// How: `Read` for an output, else the evaluating action, `Write`, or `Delete` (asked for `Object.*`).
    pub action: Action,
    /// As the caller wrote it, for refusal texts (`account.owner.EMAIL`).
    pub written: Arc<str>,
    /// For evaluating uses.
    pub comparison: Comparison,
    /// The decoded literals compared with or written, in order. Never logged.
    pub values: Vec<Literal>,
    /// Whether the request names the field as output (deny refuses); false where nobody named it (deny drops).
    pub named: bool,
}

/// A literal of the request. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Literal {
    /// null.
    Null,
    /// Text, decoded.
    Text(String),
    /// Anything else (number, boolean, date): its text.
    Other(String),
}

impl std::fmt::Debug for Literal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Null => "Null",
            Self::Text(_) => "Text(***)",
            Self::Other(_) => "Other(***)",
        })
    }
}

/// What one value of the answer is. The plan turns it into a rewrite program.
///
/// An answer is JSON unless its shape is [`Shape::Csv`] or [`Shape::Xml`]: where the request decides about the format
/// (`Accept`, a job's `contentType`), the operation has decided. An answer in another format is refused.
#[derive(Debug, Clone)]
pub enum Shape {
    /// Part of the dialect's own envelope: passes as it is.
    Keep,
    /// A number of the envelope (null passes; anything else becomes null).
    Number,
    /// true or false of the envelope (null passes; anything else becomes null).
    Boolean,
    /// Dropped.
    Drop,
    /// Always this JSON text, whatever came.
    Constant(Arc<str>),
    /// A value computed from these outputs (indices into [`Operation::uses`]); takes the most protective treatment.
    /// No source = a count of rows, clear.
    Value(Vec<usize>),
    /// A record.
    Record(RecordShape),
    /// A record of one object or another, each with its own shape: `attributes.type` says which.
    OneOf {
        /// Each of a single object.
        records: Vec<RecordShape>,
        /// Records of any other object are dropped, where else they abort the answer.
        others_dropped: bool,
    },
    /// An object of the envelope: named members; others are dropped and counted.
    Object(Vec<(Arc<str>, Shape)>),
    /// An array whose elements all have this shape. `rows` = its elements count as rows.
    Array {
        /// Shape of each element.
        element: Box<Shape>,
        /// Elements are rows of the answer.
        rows: bool,
    },
    /// An object chosen by the text of one of its members: `cases` by that text, else dropped.
    ByName {
        /// The member, such as `name`.
        member: Arc<str>,
        /// Text → shape.
        cases: Vec<(Arc<str>, Shape)>,
    },
    /// A cursor or link that must lead back to the proxy.
    Link(Link),
    /// An array told apart by position; what follows is dropped.
    Positional(Vec<Shape>),
    /// An array with one element for each of these outputs (indices into [`Operation::uses`]), in this order, without
    /// those that left the request because they are hidden; what follows is dropped.
    Columns(Vec<(usize, Shape)>),
    /// This shape where each of these outputs (indices into [`Operation::uses`]) is read, else the other one.
    Shown {
        /// Whose treatments decide.
        outputs: Vec<usize>,
        /// Where they are read.
        shape: Box<Shape>,
        /// Where one of them is hidden.
        otherwise: Box<Shape>,
    },
    /// A number as [`Shape::Value`], or an object that says it (`amount`) with its `currency`, which passes where the
    /// number is clear.
    Amount(Vec<usize>),
    /// An object whose members all have this shape. Their keys are positions, as [`Shape::Position`]; others are dropped.
    Keyed(Box<Shape>),
    /// A position: digits, `_`, `!` and `T`; removed if it is anything else.
    Position,
    /// A string that must be this one (ASCII case-insensitive), else the answer aborts.
    Expect(Arc<str>),
    /// An error code of Salesforce: from the closed list, else [`salesforce::errors::OTHER_CODE`].
    ErrorCode,
    /// The answer of one part of a Salesforce request: this shape, or where that is no array, a list of errors.
    Answer(Box<Shape>),
    /// Salesforce's describe of this object, cut down to what the caller may read (built by the plan through
    /// [`salesforce::describe`]).
    Describe(ObjectId),
    /// Salesforce's describeGlobal, cut down to objects with a readable field.
    DescribeGlobal,
    /// Salesforce's layouts, cut down to what the caller may read (built by the plan through [`salesforce::describe`]).
    Layouts {
        /// The objects whose layouts are asked for.
        objects: Vec<ObjectId>,
        /// One compact layout per object, by its name, where else all layouts of the one object.
        by_object: bool,
    },
    /// What is told of a table that is made ready now and read later: the fields that its rows are decided by are
    /// fetched with it.
    Ready {
        /// The answer itself.
        told: Box<Shape>,
        /// The table.
        table: Box<CsvShape>,
    },
    /// A file: bytes that pass as they come, or not at all.
    Opaque,
    /// JSONPath bindings from the value at hand; what no path reaches is dropped.
    Paths(Vec<(crate::engine::path::Path, Shape)>),
    /// What only the answers of Salesforce's Streaming API have.
    Event(Box<salesforce::streaming::EventPart>),
    /// The whole answer is a CSV document.
    Csv(Box<CsvShape>),
    /// The whole answer is an XML document.
    Xml(Box<XmlShape>),
}

/// A CSV document.
#[derive(Debug, Clone)]
pub struct CsvShape {
    /// Between cells.
    pub delimiter: Delimiter,
    /// Behind rows.
    pub line_ending: LineEnding,
    /// Bulk API 1.0 says in a line of words that a query has no rows.
    pub no_records: bool,
    /// One row. The header of a member is its key, that of a member of a nested record `Account.Owner.Name`; columns
    /// are bound by these names, in any order, on each page anew. A member is a value, a nested record, `Keep`, `Drop`
    /// or `ErrorCode`; anything else is dropped. A nested record of several objects takes the most protective of them.
    pub row: RecordShape,
}

/// An XML document. What its shape means where JSON and XML differ:
///
/// - a key is the local name of a child element, in any namespace; `{namespace}name` asks for the namespace too;
///   `@name` is an attribute (namespace declarations, `xsi:type` and the null attribute pass unasked);
/// - an array is its elements side by side: each child element of that name takes the array's element shape;
/// - a record with `attributes` says its object as [`XmlShape::typed`] says;
/// - `ByName` looks at the text of a child element;
/// - JSONPath bindings, describes, and what only a report's answer has (arrays and keys by position) do not exist: dropped.
#[derive(Debug, Clone)]
pub struct XmlShape {
    /// What is in the document element.
    pub root: Shape,
    /// How a record says its object.
    pub typed: XmlTyped,
    /// How an element says that it is null.
    pub null: XmlNull,
}

/// How an XML record says its object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XmlTyped {
    /// In its child element `type` (SOAP partner, Bulk API 1.0).
    Child,
    /// In `xsi:type` (SOAP enterprise).
    Attribute,
}

/// How an XML element says that it is null.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XmlNull {
    /// `xsi:nil="true"`.
    Xsi,
    /// `m:null="true"` (Atom of OData 2 and 3).
    OData,
}

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// The next page of this operation: sealed for this caller.
    NextPage,
    /// The next page of the child query with this number (see [`salesforce::Forward::cursor`]): sealed for this caller.
    ChildPage(u16),
    /// Where the data of a bulk job is uploaded: sealed for this caller.
    JobData,
    /// A further page that no link may lead to: an answer that names one is refused.
    Closed,
    /// The next page of a part of this request (see [`salesforce::Forward::cursor`]), or of one of its child queries.
    Part {
        /// Which part.
        part: u16,
        /// Which of its child queries.
        child: Option<u16>,
    },
    /// An absolute URL of the upstream: rewritten to the public origin; of any other origin: removed.
    Origin,
}

/// One record of one object, or of one of several.
#[derive(Debug, Clone)]
pub struct RecordShape {
    /// The possible objects. More than one: `attributes.type` decides; none of them aborts.
    pub objects: Vec<ObjectId>,
    /// Which SELECT list or parent path of the request this record comes from, for [`Resolved::conditions`].
    pub scope: usize,
    /// Named members: key as it will stand in the answer, and its shape.
    pub members: Vec<(Arc<str>, Shape)>,
    /// Every schema field of the object may come, by its name (row without `fields=`).
    pub all_fields: bool,
    /// Salesforce's `attributes` member is expected: type checked, url following Id.
    pub attributes: bool,
    /// Salesforce's GraphQL: members are under the caller's own keys, each value in an object of its own; what privet
    /// asks for besides stands under [`salesforce::graphql::own_key`].
    pub enveloped: bool,
    /// For records of a mapped API: where the fields stand (path from the record → field use).
    /// Conditions are read from the same paths.
    pub paths: Vec<(crate::engine::path::Path, FieldRef)>,
}

/// What a request touches, understood before anything is forwarded.
#[derive(Debug)]
pub struct Operation {
    /// The API.
    pub api: Api,
    /// `Read`, `Export`, `Write`, `Delete` or `Describe`: what the audit calls it.
    pub action: Action,
    /// Stable name of the endpoint from a closed set (`query`, `sobject-row`, a map's route id): audit and metric label.
    pub endpoint: Arc<str>,
    /// Every use, outputs included.
    pub uses: Vec<Use>,
    /// Those of them that the request did not ask for by itself: one that is refused closes only the part of the answer
    /// that depends on it.
    pub optional: std::ops::Range<usize>,
    /// Objects whose whole read table the plan needs (records, describe).
    pub objects: Vec<ObjectId>,
    /// Outputs count as exports too.
    pub exports: bool,
    /// Where the outputs stand.
    pub shape: Shape,
    /// The request body goes upstream while it arrives; `None` = the forward prints the body.
    pub upload: Option<Upload>,
    /// How the request goes upstream.
    pub forward: Forward,
}

/// The dialect's own half of the operation: what the plan prints the upstream request from.
#[derive(Debug)]
pub enum Forward {
    /// See [`salesforce::Forward`].
    Salesforce(Box<salesforce::Forward>),
    /// See [`map::Forward`].
    Map(Box<map::Forward>),
}

impl Forward {
    /// The mistake for which the request goes nowhere: told once what comes before it has been decided.
    pub fn refused(&self) -> Option<&Refusal> {
        match self {
            Self::Salesforce(forward) => forward.refused(),
            Self::Map(_) => None,
        }
    }

    /// The reference fields that the request follows from record to record.
    pub fn followed(&self) -> Option<&salesforce::Followed> {
        match self {
            Self::Salesforce(forward) => Some(forward.followed()),
            Self::Map(_) => None,
        }
    }

    /// How the caller spelt an object that the request names, for texts about hidden objects; a mapped request names
    /// its route's.
    pub fn written_object(&self, object: ObjectId) -> Option<&Arc<str>> {
        match self {
            Self::Salesforce(forward) => forward.written_object(object),
            Self::Map(forward) => forward.written_object(object),
        }
    }
}

/// What the plan tells a dialect when it asks for the upstream request.
#[derive(Debug)]
pub struct Resolved<'a> {
    /// Per use: false = this output leaves the request (hidden in every variant).
    pub kept: &'a [bool],
    /// Per use: literals that replace `Use::values` (tokens turned back); `None` = as written.
    pub values: &'a [Option<Vec<Literal>>],
    /// Condition fields to fetch first: (record scope, field of that record's object). They are dropped from the
    /// answer by the plan unless the caller selected them.
    pub conditions: &'a [(usize, FieldRef)],
    /// Per use: an output that is clear in every variant.
    pub clear: &'a [bool],
}

/// A request as it goes upstream, without credential and framing.
#[derive(Debug, Clone)]
pub struct UpstreamRequest {
    /// Method.
    pub method: Method,
    /// Path and query, percent-encoded.
    pub path_and_query: String,
    /// Headers by the dialect's allow-list.
    pub headers: HeaderMap,
    /// Body; empty = none.
    pub body: Bytes,
    /// Where in the body the session id belongs that the upstream is to see; such a request has no `Authorization`.
    pub session_at: Option<usize>,
    /// The upstream answers when there is something to say: it may take two minutes.
    pub long_poll: bool,
    /// The upstream's cookies belong to the conversation (they lead to the server that knows it).
    pub cookies: bool,
}

/// How much of the request body [`understand`] wants to see. Asked before any of it has been read.
pub fn intake(api: &Api, head: &RequestHead<'_>) -> Intake {
    match api.dialect {
        Dialect::Salesforce => salesforce::intake(head),
        Dialect::Map => Intake::Whole,
    }
}

/// What the upstream has said beforehand of what a request names: the answer to the operation that [`beforehand`] gave.
/// `Debug` does not show it.
#[derive(Clone, Default)]
pub struct Known(Option<Bytes>);

impl Known {
    /// From the whole answer, rewritten by the plan of [`beforehand`]'s operation.
    pub fn new(answer: Bytes) -> Self {
        Self(Some(answer))
    }

    /// The answer, if anything was asked.
    pub(in crate::engine::protocol) fn answer(&self) -> Option<&[u8]> {
        self.0.as_deref()
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() {
            "Known(***)"
        } else {
            "Known"
        })
    }
}

/// What has to be asked of the upstream before a request can be understood: stored queries (list views, reports, PushTopics) hold
/// what they ask for upstream. `None`, as a rule: nothing. The operation is decided and planned like any other; what its
/// plan lets pass of the answer goes to [`understand_knowing`] and to nobody else.
///
/// # Errors
/// As [`understand`].
pub fn beforehand(
    api: &Api,
    head: &RequestHead<'_>,
    body: &[u8],
    catalog: &Catalog,
    caller: &Identity,
    sealer: &Sealer,
) -> Result<Option<Operation>, Refusal> {
    match api.dialect {
        Dialect::Salesforce => {
            salesforce::beforehand(api, head, body, catalog, caller, &|text| sealer.open(text))
        }
        Dialect::Map => Ok(None),
    }
}

/// As [`understand`], knowing what was asked beforehand.
///
/// # Errors
/// As [`understand`].
pub fn understand_knowing(
    api: &Api,
    head: &RequestHead<'_>,
    body: &[u8],
    catalog: &Catalog,
    caller: &Identity,
    sealer: &Sealer,
    known: &Known,
) -> Result<Operation, Refusal> {
    match api.dialect {
        Dialect::Salesforce => {
            let open = |text: &str| sealer.open(text);
            salesforce::understand_knowing(api, head, body, catalog, caller, &open, known)
        }
        Dialect::Map => map::understand(api, head, body, catalog),
    }
}

/// Understands one request that needs nothing to be known beforehand; one that does is refused.
///
/// `body` is what [`intake`] asked for: the whole request body (bounded by the carrier before), empty for GET; or its
/// first row, or nothing, where it is uploaded. Cursors are opened with
/// `sealer` and belong to `caller`.
///
/// # Errors
/// A [`Refusal`] in the design's words; nothing has gone upstream.
pub fn understand(
    api: &Api,
    head: &RequestHead<'_>,
    body: &[u8],
    catalog: &Catalog,
    caller: &Identity,
    sealer: &Sealer,
) -> Result<Operation, Refusal> {
    match api.dialect {
        Dialect::Salesforce => salesforce::understand(api, head, body, catalog, caller, sealer),
        Dialect::Map => map::understand(api, head, body, catalog),
    }
}
