//! `POST /cometd/NN.0`: change events and PushTopics by long polling. What is written to records through the other
//! endpoints comes out here.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::demo::changes::{Change, Kind};
use crate::demo::crm::{Asked, Crm, ORGANISATION, Reply};
use crate::demo::evaluate::{Evaluator, Found};
use crate::demo::fault::Fault;
use crate::demo::metadata::{self, OBJECTS};
use crate::demo::soql;
use crate::demo::store::{Store, Value};

/// Header of an answer that has nothing to say yet: its server may ask again.
pub const NOTHING_YET: &str = "x-demo-nothing-yet";
/// The cookie by which a load balancer finds the server that knows a client.
const COOKIE: &str = "BAYEUX_BROWSER";
const CLIENTS_MAX: usize = 100;

/// Stored queries that an administrator made: name and query.
const TOPICS: [(&str, &str); 3] = [
    (
        "ContactUpdates",
        "SELECT Id, Name, Email, Phone, Salary__c FROM Contact",
    ),
    (
        "WellPaid",
        "SELECT Id, Title FROM Contact WHERE Salary__c > 60000",
    ),
    (
        "OpenCases",
        "SELECT Id, CaseNumber, Status FROM Case WHERE Status = 'New'",
    ),
];

/// Who listens, and to what.
#[derive(Debug)]
pub struct Streams {
    made: u64,
    clients: BTreeMap<String, Client>,
    topics: Vec<(String, String)>,
}

#[derive(Debug, Default)]
struct Client {
    browser: String,
    /// It has polled once.
    met: bool,
    /// Channel → the last event that it got.
    channels: BTreeMap<String, u64>,
}

impl Default for Streams {
    fn default() -> Self {
        let topics = TOPICS.map(|(name, query)| (name.to_owned(), query.to_owned()));
        Self {
            made: 0,
            clients: BTreeMap::new(),
            topics: topics.into(),
        }
    }
}

impl Streams {
    /// Makes a PushTopic, or changes its query.
    pub fn keep_topic(&mut self, name: &str, query: &str) {
        self.topics.retain(|(n, _)| n != name);
        self.topics.push((name.to_owned(), query.to_owned()));
    }
}

/// The answer to a query for PushTopics, whatever it asks of them.
pub fn topics(crm: &Crm, version: &str) -> Reply {
    let streams = crm.streams();
    let records: Vec<Json> = (1..)
        .zip(&streams.topics)
        .map(|(number, (name, query))| {
            let id = crate::demo::record_id::make("0IF", number);
            let url = format!("/services/data/v{version}/sobjects/PushTopic/{id}");
            json!({"attributes": {"type": "PushTopic", "url": url}, "Name": name, "Query": query})
        })
        .collect();
    Reply::json(
        200,
        &json!({"totalSize": records.len(), "done": true, "records": records}),
    )
}

/// The answer to a list of messages.
///
/// # Errors
/// A body that is none.
pub fn answer(crm: &Crm, asked: &Asked, version: &str) -> Result<Reply, Fault> {
    let messages = match serde_json::from_slice(&asked.body) {
        Ok(Json::Array(messages)) => messages,
        Ok(message @ Json::Object(_)) => vec![message],
        _ => {
            return Err(Fault::new(
                400,
                "JSON_PARSER_ERROR",
                "messages are expected",
            ));
        }
    };
    crm.store_mut().changes_mut().seal();
    let browser = asked
        .header("cookie")
        .into_iter()
        .flat_map(|v| v.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(name, _)| *name == COOKIE)
        .map(|(_, value)| value.to_owned());
    let mut replies = Vec::new();
    let (mut cookie, mut waits) = (None, false);
    for message in &messages {
        let channel = message["channel"].as_str().unwrap_or_default();
        let mut reply = match channel {
            "/meta/handshake" => {
                let (reply, set) = handshake(crm);
                cookie = Some(set);
                reply
            }
            _ => match known(crm, message, browser.as_deref()) {
                None => json!({"successful": false, "error": "403::Unknown client",
                    "advice": {"interval": 0, "reconnect": "handshake"}}),
                Some(client) => match channel {
                    "/meta/connect" => {
                        let (reply, events) = connect(crm, &client, version);
                        // With other messages beside it, a poll is answered with them.
                        waits = messages.len() == 1
                            && events.is_empty()
                            && reply.get("advice").is_none();
                        replies.extend(events);
                        reply
                    }
                    _ => changed(crm, &client, channel, message),
                },
            },
        };
        reply["channel"] = channel.into();
        if !message["id"].is_null() {
            reply["id"] = message["id"].clone();
        }
        replies.push(reply);
    }
    let mut reply = Reply::json(200, &Json::Array(replies));
    if let Some(value) = cookie {
        let text = format!("{COOKIE}={value}; Path=/; Secure; HttpOnly");
        reply.headers.push(("set-cookie", text));
    }
    if waits {
        reply.headers.push((NOTHING_YET, "1".to_owned()));
    }
    Ok(reply)
}

fn handshake(crm: &Crm) -> (Json, String) {
    let mut streams = crm.streams();
    if streams.clients.len() >= CLIENTS_MAX {
        streams.clients.clear();
    }
    streams.made += 1;
    let client = format!("demo{}client{}", ORGANISATION.len(), streams.made);
    let browser = format!("demo-browser-{}", streams.made);
    streams.clients.insert(
        client.clone(),
        Client {
            browser: browser.clone(),
            ..Client::default()
        },
    );
    let reply = json!({
        "ext": {"replay": true, "payload.format": true},
        "minimumVersion": "1.0",
        "clientId": client,
        "supportedConnectionTypes": ["long-polling"],
        "version": "1.0",
        "successful": true,
    });
    (reply, browser)
}

/// The client that the message names, if it comes with its cookie.
fn known(crm: &Crm, message: &Json, browser: Option<&str>) -> Option<String> {
    let name = message["clientId"].as_str()?;
    let streams = crm.streams();
    let client = streams.clients.get(name)?;
    (browser == Some(client.browser.as_str())).then(|| name.to_owned())
}

/// Subscribe, unsubscribe, disconnect.
fn changed(crm: &Crm, client: &str, channel: &str, message: &Json) -> Json {
    let newest = crm.store().changes().newest();
    let mut streams = crm.streams();
    let mut reply = json!({"clientId": client, "successful": true});
    let names: Vec<String> = match &message["subscription"] {
        Json::String(one) => vec![one.clone()],
        Json::Array(list) => list
            .iter()
            .filter_map(|n| n.as_str().map(str::to_owned))
            .collect(),
        _ => Vec::new(),
    };
    if !message["subscription"].is_null() {
        reply["subscription"] = message["subscription"].clone();
    }
    let unknown = names.iter().find(|name| {
        let topic = name.strip_prefix("/topic/");
        topic.is_some_and(|t| !streams.topics.iter().any(|(n, _)| n == t))
    });
    if let Some(name) = unknown {
        reply["successful"] = false.into();
        reply["error"] = format!("404:{name}:Unknown channel").into();
        return reply;
    }
    match channel {
        "/meta/disconnect" => {
            streams.clients.remove(client);
        }
        _ => {
            let Some(own) = streams.clients.get_mut(client) else {
                return reply;
            };
            for name in names {
                if channel == "/meta/unsubscribe" {
                    own.channels.remove(&name);
                    continue;
                }
                // -2: whatever is kept; -1 or nothing: what comes; else what came after that event.
                let from = match message["ext"]["replay"][&name].as_i64() {
                    Some(-2) => 0,
                    Some(after) if after >= 0 => after.unsigned_abs(),
                    _ => newest,
                };
                own.channels.insert(name, from);
            }
        }
    }
    reply
}

/// The reply to a poll, and the events that came since the last one.
fn connect(crm: &Crm, client: &str, version: &str) -> (Json, Vec<Json>) {
    let store = crm.store();
    let mut streams = crm.streams();
    let topics = streams.topics.clone();
    let mut reply = json!({"clientId": client, "successful": true});
    let Some(own) = streams.clients.get_mut(client) else {
        return (reply, Vec::new());
    };
    if !std::mem::replace(&mut own.met, true) {
        reply["advice"] = json!({"interval": 0, "timeout": 110_000, "reconnect": "retry"});
    }
    let mut events = Vec::new();
    for (channel, last) in &mut own.channels {
        for (number, change) in store.changes().after(*last) {
            let found = match channel.strip_prefix("/topic/") {
                Some(topic) => topics
                    .iter()
                    .find(|(name, _)| name == topic)
                    .and_then(|(_, query)| pushed(&store, change, number, query, version)),
                None => changed_record(&store, change, number, channel),
            };
            events.extend(found.map(|data| json!({"data": data, "channel": channel})));
        }
        *last = store.changes().newest();
    }
    (reply, events)
}

/// What a PushTopic tells of a change, if its query finds the record.
fn pushed(store: &Store, change: &Change, number: u64, text: &str, version: &str) -> Option<Json> {
    let evaluator = Evaluator {
        store,
        text,
        deleted: true,
    };
    let Ok(Found::Records { object, rows, tree }) = evaluator.find(&soql::parse(text).ok()?) else {
        return None;
    };
    if object != change.object || !rows.contains(&change.row) {
        return None;
    }
    let mut sobject = evaluator.print(object, change.row, &tree, version);
    if let Some(map) = sobject.as_object_mut() {
        map.remove("attributes");
    }
    let kind = match change.kind {
        Kind::Create => "created",
        Kind::Update => "updated",
        Kind::Delete => "deleted",
    };
    Some(json!({
        "event": {"createdDate": "2026-11-23T12:00:00.000Z", "replayId": number, "type": kind},
        "sobject": sobject,
    }))
}

/// A change event, if the channel is its object's.
fn changed_record(store: &Store, change: &Change, number: u64, channel: &str) -> Option<Json> {
    let meta = &OBJECTS[change.object];
    if channel != format!("/data/{}ChangeEvent", meta.name) {
        return None;
    }
    let mut payload = Map::new();
    let (mut changed, mut nulled) = (Vec::new(), Vec::new());
    for (field, value) in &change.values {
        let field = &meta.fields[*field];
        let mut names = (field.name.to_owned(), None);
        if !field.compound.is_empty() {
            let prefix = field.compound.trim_end_matches("Address");
            let part = field.name.strip_prefix(prefix).unwrap_or(field.name);
            names = (format!("{}.{part}", field.compound), Some(part));
        }
        if *value == Value::Null {
            nulled.push(names.0.clone());
        } else if let Some(part) = names.1 {
            let whole = payload.entry(field.compound).or_insert_with(|| json!({}));
            whole[part] = value.json();
        } else if !matches!(field.name, "Id" | "IsDeleted" | "SystemModstamp") {
            payload.insert(field.name.to_owned(), value.json());
        }
        changed.push(names.0);
    }
    if change.kind != Kind::Update {
        changed.clear();
    }
    let (word, user) = match change.kind {
        Kind::Create => ("CREATE", "0055g0000000001AAA"),
        Kind::Update => ("UPDATE", "0055g0000000001AAA"),
        Kind::Delete => ("DELETE", "0055g0000000001AAA"),
    };
    let id = store.value(change.object, change.row, 0);
    let header = json!({
        "commitNumber": 1_082_990_428_000_u64 + number,
        "commitUser": user,
        "sequenceNumber": 1,
        "entityName": meta.name,
        "changeType": word,
        "changedFields": changed,
        "nulledFields": nulled,
        "diffFields": [],
        "changeOrigin": format!("com/salesforce/api/rest/{}", metadata::SCHEMA_VERSION),
        "transactionKey": format!("0000f1c4-0000-0000-0000-{number:012}"),
        "commitTimestamp": 1_795_435_200_000_u64 + number,
        "recordIds": [id.as_text().unwrap_or_default()],
    });
    payload.insert("ChangeEventHeader".into(), header);
    Some(json!({
        "schema": "V2MGwDA2aIP0yQS98S2L6Q",
        "payload": payload,
        "event": {"replayId": number},
    }))
}
