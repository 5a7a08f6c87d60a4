//! One message of Bayeux: read strictly, printed anew from what was understood. Members that privet does not know are
//! left out; what they would have asked for (acknowledgements, time synchronisation) the answer then does not offer.

use std::sync::Arc;

use crate::engine::protocol::json_body::{Node, NodeId, Tree, is_number, print_text};
use crate::engine::refusal::{Reason, Refusal};

use super::super::Surroundings;
use super::super::route::is_name;
use super::client::Session;

/// Most messages of one request.
const MESSAGES_MAX: usize = 20;
/// Most channels of one message.
const CHANNELS_MAX: usize = 50;
/// Longest id of a message and longest replay id, in characters.
const ID_MAX: usize = 32;
/// Longest wait that a client may advise, in milliseconds.
const WAIT_MS_MAX: u64 = 120_000;

/// What a message asks for, in the order in which one names a request that holds several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Handshake,
    Disconnect,
    Unsubscribe,
    Connect,
    Subscribe,
}

impl Kind {
    const CHANNELS: [(&'static str, Self); 5] = [
        ("/meta/handshake", Self::Handshake),
        ("/meta/disconnect", Self::Disconnect),
        ("/meta/unsubscribe", Self::Unsubscribe),
        ("/meta/connect", Self::Connect),
        ("/meta/subscribe", Self::Subscribe),
    ];

    fn of(channel: &str) -> Option<Self> {
        let known = Self::CHANNELS.iter().find(|(name, _)| *name == channel);
        known.map(|(_, kind)| *kind)
    }

    fn channel(self) -> &'static str {
        Self::CHANNELS[self as usize].0
    }

    /// Its name in the audit and in metrics.
    pub(super) fn endpoint(self) -> &'static str {
        match self {
            Self::Handshake => "stream-handshake",
            Self::Disconnect => "stream-disconnect",
            Self::Unsubscribe => "stream-unsubscribe",
            Self::Connect => "stream-connect",
            Self::Subscribe => "stream-subscribe",
        }
    }
}

/// A channel that events come on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Channel {
    /// `/data/{this}ChangeEvent`.
    Changes(Arc<str>),
    /// `/topic/{this}`.
    Topic(Arc<str>),
}

impl Channel {
    /// # Errors
    /// Channels that are closed by name, and what is no channel.
    fn parse(text: &str) -> Result<Self, Refusal> {
        let closed = |what: &str| {
            Err(Refusal::new(
                Reason::EndpointClosed,
                format!("{what}: not open through this proxy"),
            ))
        };
        let unknown = || Refusal::new(Reason::UnknownPath, "there is no such channel");
        let path = text.strip_prefix('/').ok_or_else(unknown)?;
        let (root, name) = path.split_once('/').ok_or_else(unknown)?;
        match root {
            // A filter in the channel's name asks about a field like any other, in a language of its own.
            "topic" if name.contains('?') => closed("Filtered subscriptions"),
            "topic" if is_name(name) => Ok(Self::Topic(name.into())),
            "data" if name == "ChangeEvents" => closed("The channel of all change events"),
            "data" if name.ends_with("__chn") => closed("Custom channels of change events"),
            "data" => {
                let object = name.strip_suffix("ChangeEvent");
                let object = object.filter(|o| is_name(o)).ok_or_else(unknown)?;
                Ok(Self::Changes(object.into()))
            }
            "event" => closed("Platform events"),
            "u" => closed("Generic streaming"),
            "systemTopic" => closed("System topics"),
            _ => Err(unknown()),
        }
    }

    fn print(&self, out: &mut String) {
        let text = match self {
            Self::Changes(object) => format!("/data/{object}ChangeEvent"),
            Self::Topic(name) => format!("/topic/{name}"),
        };
        print_text(&text, out);
    }
}

/// One message.
#[derive(Clone)]
pub(super) struct Message {
    pub(super) kind: Kind,
    /// As JSON.
    id: Option<String>,
    /// The upstream's own.
    client: String,
    channels: Vec<Channel>,
    /// From which event on each channel is to come: a number as JSON.
    replay: Vec<(Channel, String)>,
    /// The client understands replay ids.
    replays: bool,
    /// How long the poll may wait, in milliseconds.
    timeout_ms: Option<u64>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message")
            .field("kind", &self.kind)
            .finish_non_exhaustive()
    }
}

fn bad(message: &'static str) -> Refusal {
    Refusal::new(Reason::MalformedBody, message)
}

fn text(tree: &Tree, at: Option<NodeId>) -> Option<&str> {
    match at.and_then(|at| tree.nodes.get(at)) {
        Some(Node::Text(text)) => Some(text),
        _ => None,
    }
}

/// The messages of a body: a list, or one alone.
///
/// # Errors
/// What is no message, publishing, a client id that is not the caller's, channels that are closed.
pub(super) fn read(
    tree: &Tree,
    api: &Arc<str>,
    around: &Surroundings<'_>,
) -> Result<Vec<Message>, Refusal> {
    let alone = [tree.root];
    let list = match &tree.nodes[tree.root] {
        Node::Array(messages) => messages.as_slice(),
        _ => &alone[..],
    };
    if list.is_empty() || list.len() > MESSAGES_MAX {
        return Err(bad("one to 20 messages are needed"));
    }
    let session = Session::new(api, around.caller);
    list.iter()
        .map(|at| message(tree, *at, &session, around))
        .collect()
}

fn message(
    tree: &Tree,
    at: NodeId,
    session: &Session,
    around: &Surroundings<'_>,
) -> Result<Message, Refusal> {
    let member = |name| tree.member(at, name);
    let channel = text(tree, member("channel")).ok_or_else(|| bad("a message has a channel"))?;
    let Some(kind) = Kind::of(channel) else {
        return Err(Refusal::new(
            Reason::EndpointClosed,
            "Publishing to a channel: not open through this proxy",
        ));
    };
    let mut message = Message {
        kind,
        id: id(tree, member("id"))?,
        client: String::new(),
        channels: Vec::new(),
        replay: Vec::new(),
        replays: false,
        timeout_ms: timeout(tree, member("advice")),
    };
    if kind == Kind::Handshake {
        polls(tree, member("supportedConnectionTypes"))?;
        let ext = member("ext").and_then(|ext| tree.member(ext, "replay"));
        message.replays = ext.is_some_and(|at| tree.nodes[at] == Node::Bool(true));
        return Ok(message);
    }
    match kind {
        Kind::Connect => polls(tree, member("connectionType"))?,
        Kind::Subscribe | Kind::Unsubscribe => {
            message.channels = channels(tree, member("subscription"))?;
            message.replay = replay(tree, member("ext"), &message.channels)?;
        }
        Kind::Handshake | Kind::Disconnect => {}
    }
    let sealed = text(tree, member("clientId")).unwrap_or_default();
    message.client = session.open(sealed, around.open)?;
    Ok(message)
}

/// A text or a number.
fn id(tree: &Tree, at: Option<NodeId>) -> Result<Option<String>, Refusal> {
    let mut printed = String::new();
    match at.map(|at| &tree.nodes[at]) {
        None => return Ok(None),
        Some(Node::Text(text)) if text.len() <= ID_MAX => print_text(text, &mut printed),
        Some(Node::Number(number)) if number.len() <= ID_MAX => printed.push_str(number),
        Some(_) => return Err(bad("a message's id is a short text")),
    }
    Ok(Some(printed))
}

/// Long polling is what a proxy carries; a client that cannot is told so.
fn polls(tree: &Tree, at: Option<NodeId>) -> Result<(), Refusal> {
    const LONG_POLLING: &str = "long-polling";
    let polls = match at.map(|at| &tree.nodes[at]) {
        Some(Node::Text(kind)) => kind == LONG_POLLING,
        Some(Node::Array(kinds)) => kinds
            .iter()
            .any(|kind| text(tree, Some(*kind)) == Some(LONG_POLLING)),
        _ => false,
    };
    if polls {
        return Ok(());
    }
    Err(Refusal::new(
        Reason::BadRequest,
        "the connection type must be long-polling",
    ))
}

fn timeout(tree: &Tree, advice: Option<NodeId>) -> Option<u64> {
    let at = tree.member(advice?, "timeout")?;
    match &tree.nodes[at] {
        Node::Number(ms) => ms.parse().ok().filter(|ms| *ms <= WAIT_MS_MAX),
        _ => None,
    }
}

fn channels(tree: &Tree, at: Option<NodeId>) -> Result<Vec<Channel>, Refusal> {
    let wanted = || bad("subscription is a channel, or a list of channels");
    let at = at.ok_or_else(wanted)?;
    let list = match &tree.nodes[at] {
        Node::Text(one) => return Ok(vec![Channel::parse(one)?]),
        Node::Array(list) if (1..=CHANNELS_MAX).contains(&list.len()) => list,
        _ => return Err(wanted()),
    };
    list.iter()
        .map(|one| Channel::parse(text(tree, Some(*one)).ok_or_else(wanted)?))
        .collect()
}

/// `ext.replay`: `{channel: replay id}` for channels of the same message. Clients name channels that they subscribed
/// in other messages too: those count where they are subscribed.
fn replay(
    tree: &Tree,
    ext: Option<NodeId>,
    channels: &[Channel],
) -> Result<Vec<(Channel, String)>, Refusal> {
    let Some(at) = ext.and_then(|ext| tree.member(ext, "replay")) else {
        return Ok(Vec::new());
    };
    let Node::Object(members) = &tree.nodes[at] else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for (name, from) in members {
        let Some(channel) = Channel::parse(name).ok().filter(|c| channels.contains(c)) else {
            continue;
        };
        match &tree.nodes[*from] {
            Node::Number(number) if is_number(number) && number.len() <= ID_MAX => {
                found.push((channel, number.clone()));
            }
            _ => return Err(bad("a replay id is a number")),
        }
    }
    Ok(found)
}

impl Message {
    /// What it subscribes to.
    pub(super) fn subscribed(&self) -> impl Iterator<Item = &Channel> {
        let subscribes = self.kind == Kind::Subscribe;
        self.channels.iter().filter(move |_| subscribes)
    }

    /// The PushTopics that it subscribes to.
    pub(super) fn topics(&self) -> impl Iterator<Item = &Arc<str>> {
        self.subscribed().filter_map(|channel| match channel {
            Channel::Topic(name) => Some(name),
            Channel::Changes(_) => None,
        })
    }

    pub(super) fn print(&self, out: &mut String) {
        out.push_str("{\"channel\":");
        print_text(self.kind.channel(), out);
        if let Some(id) = &self.id {
            out.push_str(",\"id\":");
            out.push_str(id);
        }
        if !self.client.is_empty() {
            out.push_str(",\"clientId\":");
            print_text(&self.client, out);
        }
        match self.kind {
            Kind::Handshake => out.push_str(
                ",\"version\":\"1.0\",\"minimumVersion\":\"1.0\",\"supportedConnectionTypes\":[\"long-polling\"]",
            ),
            Kind::Connect => out.push_str(",\"connectionType\":\"long-polling\""),
            Kind::Subscribe | Kind::Unsubscribe | Kind::Disconnect => {}
        }
        self.print_channels(out);
        if self.replays {
            out.push_str(",\"ext\":{\"replay\":true}");
        }
        if let Some(ms) = self.timeout_ms {
            out.push_str(&format!(",\"advice\":{{\"timeout\":{ms}}}"));
        }
        out.push('}');
    }

    fn print_channels(&self, out: &mut String) {
        match self.channels.as_slice() {
            [] => return,
            [one] => {
                out.push_str(",\"subscription\":");
                one.print(out);
            }
            several => {
                for (index, channel) in several.iter().enumerate() {
                    out.push_str(if index == 0 {
                        ",\"subscription\":["
                    } else {
                        ","
                    });
                    channel.print(out);
                }
                out.push(']');
            }
        }
        for (index, (channel, from)) in self.replay.iter().enumerate() {
            out.push_str(if index == 0 {
                ",\"ext\":{\"replay\":{"
            } else {
                ","
            });
            channel.print(out);
            out.push(':');
            out.push_str(from);
        }
        if !self.replay.is_empty() {
            out.push_str("}}");
        }
    }
}
