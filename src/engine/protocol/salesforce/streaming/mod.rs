//! `/cometd/NN.0`: change events and PushTopics over CometD's long poll (Bayeux protocol 1.0; Streaming API Developer
//! Guide).
//!
//! A request is a list of messages: handshake, connect, subscribe, unsubscribe, disconnect. Each is read by its own
//! members and printed anew. The answer of a connect holds events of whatever was subscribed earlier, and nothing of
//! the request says what that was. So it is understood as if everything had been: a message is told by its channel, and
//! what the channel brings is treated by what the caller may read at this poll. That asks for no state, and a rule that
//! became stricter acts on the next poll.
//!
//! What a PushTopic brings, its stored query says. The queries are asked for beforehand (`protocol::beforehand`) and traced like
//! a caller's own; one that picks records by what the caller may not evaluate brings nothing, since each event would
//! answer its filter.

mod client;
mod echo;
mod message;
mod shape;

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};

use crate::engine::catalog::{Object, ObjectId};
use crate::engine::protocol::json_body::{self, Node, Tree};
use crate::engine::protocol::{
    Action, Operation, Resolved, SessionPlace, Shape, UpstreamRequest, Use,
};
use crate::engine::refusal::{Reason, Refusal};

use super::composite::shift;
use super::forward::{Target, percent_encode};
use super::resolve::looks_at;
use super::{Request, Surroundings, read};

pub(super) use client::Session;
pub use client::StreamClient;
pub use echo::Echoes;
pub use shape::EventPart;

use message::{Channel, Kind, Message};

/// Most PushTopics of an organisation that are looked at (it may have 100: "PushTopic allocations", Streaming API
/// Developer Guide).
const TOPICS_MAX: usize = 200;

/// Whether a request's path is the Streaming API's.
pub fn is_at(segments: &[String]) -> bool {
    segments.first().is_some_and(|first| first == "cometd")
}

/// The channel of an object's change events: `/data/ContactChangeEvent`, `/data/Visit__ChangeEvent` of `Visit__c`.
fn channel_of(object: &Object) -> String {
    let name = &*object.name;
    let stem = match name.strip_suffix("__c") {
        Some(custom) => format!("{custom}__"),
        None => name.to_owned(),
    };
    format!("/data/{stem}ChangeEvent")
}

/// A PushTopic's query as it was traced: indices of the whole request's uses.
#[derive(Debug)]
struct Topic {
    name: Arc<str>,
    /// The uses that show something of its records.
    shows: Vec<usize>,
    /// The uses that pick its records.
    picks: Vec<usize>,
    shape: Shape,
}

/// Messages on their way upstream.
#[derive(Debug)]
pub(super) struct StreamTarget {
    version: u16,
    messages: Vec<Message>,
    topics: Vec<Topic>,
}

impl StreamTarget {
    /// The upstream request.
    ///
    /// # Errors
    /// A subscription to a PushTopic that is not there for the caller, or that picks records by what it may not evaluate.
    pub(super) fn print(
        &self,
        headers: &HeaderMap,
        resolved: &Resolved<'_>,
    ) -> Result<UpstreamRequest, Refusal> {
        let kept = |index: &usize| resolved.kept.get(*index).copied().unwrap_or(false);
        for name in self.messages.iter().flat_map(Message::topics) {
            let topic = self.topics.iter().find(|t| t.name == *name);
            let topic = topic.filter(|t| t.shows.iter().any(kept));
            let topic = topic.ok_or_else(no_topic)?;
            if !topic.picks.iter().all(kept) {
                return Err(Refusal::new(
                    Reason::TreatedFieldEvaluated,
                    "this PushTopic picks records by a field that can not be filtered",
                ));
            }
        }
        let mut body = String::from("[");
        for (index, message) in self.messages.iter().enumerate() {
            if index > 0 {
                body.push(',');
            }
            message.print(&mut body);
        }
        body.push(']');
        let mut headers = headers.clone();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(UpstreamRequest {
            method: Method::POST,
            path_and_query: format!("/cometd/{}.0", self.version),
            headers,
            body: Bytes::from(body),
            session: SessionPlace::Authorization,
            long_poll: self.messages.iter().any(|m| m.kind == Kind::Connect),
            cookies: true,
        })
    }
}

/// A topic that does not exist, or of which the caller reads nothing.
fn no_topic() -> Refusal {
    Refusal::new(Reason::UnknownPath, "there is no such PushTopic")
}

impl Request<'_> {
    /// The request that asks for the PushTopics of the organisation; `None` for a handshake, after which there is
    /// nothing yet.
    pub(super) fn streaming_beforehand(
        self,
        version: u16,
        tree: &Tree,
        around: &Surroundings<'_>,
    ) -> Result<Option<Operation>, Refusal> {
        let messages = message::read(tree, &self.api.name, around)?;
        if messages.iter().all(|m| m.kind == Kind::Handshake) {
            return Ok(None);
        }
        let soql =
            format!("SELECT Name, Query FROM PushTopic WHERE IsActive = true LIMIT {TOPICS_MAX}");
        let mut path = format!("/v{version}.0/query?q=");
        percent_encode(&soql, &mut path);
        let record = Shape::Object(vec![
            ("Name".into(), Shape::Keep),
            ("Query".into(), Shape::Keep),
        ]);
        let shape = Shape::Object(vec![(
            "records".into(),
            Shape::Array {
                element: Box::new(record),
                rows: false,
            },
        )]);
        Ok(Some(self.fixed("push-topics", path, shape)))
    }

    /// `POST /cometd/NN.0`.
    pub(super) fn streaming(
        mut self,
        version: u16,
        tree: &Tree,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        let messages = message::read(tree, &self.api.name, around)?;
        let leading = messages.iter().map(|m| m.kind).max();
        let endpoint = leading.unwrap_or(Kind::Handshake).endpoint();
        let mut uses: Vec<Use> = Vec::new();
        let (mut topics, mut objects) = (Vec::new(), Vec::new());
        if leading != Some(Kind::Handshake) {
            let stored = around.known.answer().map(stored).unwrap_or_default();
            for (name, soql) in stored {
                topics.extend(self.topic(name, &soql, &mut uses));
            }
            let own = (0u32..).map(ObjectId).zip(&self.catalog.objects);
            objects.extend(own.filter(|(_, o)| self.emits(o)).map(|(id, _)| id));
        }
        let optional = 0..uses.len();
        for channel in messages.iter().flat_map(Message::subscribed) {
            let Channel::Changes(written) = channel else {
                continue;
            };
            let object = match written.strip_suffix("__") {
                Some(custom) => format!("{custom}__c").into(),
                None => written.clone(),
            };
            // A channel is any text: neither an unknown nor a hidden name is repeated from it.
            let unknown = || Refusal::unknown_object("");
            let object = self.catalog.object(&self.api.name, &object);
            let object = object.filter(|o| objects.contains(o)).ok_or_else(unknown)?;
            self.forward.written.push((object, "".into()));
            uses.extend(looks_at(self.catalog, object, &"".into()));
        }
        let shape = shape::answer(self.catalog, &objects, &topics);
        self.forward.version = version;
        self.forward.stream = Some(Session::new(&self.api.name, around.caller));
        self.forward.target = Target::Stream(Box::new(StreamTarget {
            version,
            messages,
            topics,
        }));
        let mut operation = self.operation(Action::Read, endpoint, shape);
        operation.uses = uses;
        operation.objects = objects;
        operation.optional = optional;
        Ok(operation)
    }

    /// Whether change events of the object can come: it is one of this API's own, with records.
    fn emits(&self, object: &Object) -> bool {
        object.api == self.api.name && object.field("Id").is_some()
    }

    /// A PushTopic's query, traced; `None` where it is not understood: such a topic brings nothing.
    fn topic(&self, name: Arc<str>, soql: &str, uses: &mut Vec<Use>) -> Option<Topic> {
        // Salesforce takes one with the semicolon that some end it with.
        let soql = soql.trim().trim_end_matches(';');
        let resolved = read(self.catalog, &self.api.name, soql).ok()?;
        let followed = &resolved.followed;
        // Salesforce takes neither relationships nor child queries here; whatever has some is not a PushTopic's.
        if !followed.uses.is_empty() || !followed.children.is_empty() {
            return None;
        }
        let record = shape::record_of(resolved.shape)?;
        let object = *record.objects.first()?;
        let first = uses.len();
        let mut whole = Shape::Record(record);
        shift(&mut whole, first, 0, 0);
        let (mut shows, mut picks) = (Vec::new(), Vec::new());
        for (index, mut one) in resolved.uses.into_iter().enumerate() {
            match one.action {
                // Nobody named it in this request: what is denied is left out.
                Action::Read => {
                    one.named = false;
                    shows.push(first + index);
                }
                _ => picks.push(first + index),
            }
            uses.push(one);
        }
        Some(Topic {
            name,
            shows,
            picks,
            shape: shape::topic_message(self.catalog, object, whole),
        })
    }
}

/// Names and queries of the PushTopics that the upstream has told of.
fn stored(answer: &[u8]) -> Vec<(Arc<str>, String)> {
    let Ok(tree) = json_body::parse(answer) else {
        return Vec::new();
    };
    let Some(Node::Array(records)) = tree
        .member(tree.root, "records")
        .and_then(|at| tree.nodes.get(at))
    else {
        return Vec::new();
    };
    let text = |record, key| match tree.member(record, key).and_then(|at| tree.nodes.get(at)) {
        Some(Node::Text(text)) => Some(text.clone()),
        _ => None,
    };
    records
        .iter()
        .take(TOPICS_MAX)
        .filter_map(|record| Some((text(*record, "Name")?.into(), text(*record, "Query")?)))
        .collect()
}
