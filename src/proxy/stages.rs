//! Stand-ins for the stages and stores that other rooms bring. The only place to edit when they are joined.
#![allow(missing_docs, reason = "goes when the stages are joined")]

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::HeaderMap;

use crate::config::Settings;
use crate::diagnostic::Diagnostic;
use crate::engine::event::{Event, What};
use crate::engine::identity::Identity;
use crate::engine::plan::Plan;
use crate::engine::protocol::{Api, RequestHead, UpstreamRequest};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::rewrite::{Abort, Bounds, Counts, Node, NodeId, Out, Program};
use crate::observe::audit::CannotRecord;

/// Stand-in for the parts of the live set.
#[derive(Debug)]
pub struct Policies {
    pub version: Arc<str>,
    pub warnings: usize,
}

pub fn load(settings: &Settings) -> Result<(Policies, Identities), Vec<Diagnostic>> {
    let text = std::fs::read_to_string(settings.policies.join("vocabulary.yaml"))
        .map_err(|e| vec![Diagnostic::error("unreadable", None, e.to_string())])?;
    if text.contains("broken") {
        return Err(vec![Diagnostic::error("broken", None, "broken")]);
    }
    Ok((
        Policies {
            version: format!("{:012x}", text.len()).into(),
            warnings: 0,
        },
        Identities,
    ))
}

#[derive(Debug)]
pub struct ApiKeyGrant {
    pub key_id: Arc<str>,
    pub client: Arc<str>,
    pub roles: Vec<Arc<str>>,
    pub region: Option<Arc<str>>,
}

#[derive(Debug)]
pub struct Identities;

impl Identities {
    pub fn api_key(&self, bearer: &str, _now_s: i64) -> Option<ApiKeyGrant> {
        (bearer == "pvt_test").then(|| ApiKeyGrant {
            key_id: "k_1".into(),
            client: "service-desk".into(),
            roles: vec!["agent".into()],
            region: Some("eu".into()),
        })
    }
}

pub struct Operation {
    request: UpstreamRequest,
    api: Arc<str>,
}

pub fn understand(api: &Api, head: &RequestHead<'_>, body: &[u8]) -> Result<Operation, Refusal> {
    if head.segments.first().is_some_and(|s| s == "closed") {
        return Err(Refusal::new(
            Reason::EndpointClosed,
            "this endpoint is closed",
        ));
    }
    let mut path_and_query = head.path.to_owned();
    for (i, (n, v)) in head.query.iter().enumerate() {
        let escape = |t: &str| t.replace(['@', ' '], "%40");
        path_and_query.push_str(if i == 0 { "?" } else { "&" });
        path_and_query.push_str(&format!("{}={}", escape(n), escape(v)));
    }
    Ok(Operation {
        request: UpstreamRequest {
            method: head.method.clone(),
            path_and_query,
            headers: HeaderMap::new(),
            body: Bytes::copy_from_slice(body),
        },
        api: Arc::clone(&api.name),
    })
}

pub fn plan(
    operation: Operation,
    policies: &Policies,
    identity: &Identity,
) -> Result<Plan, Refusal> {
    let _ = identity;
    let program = Program {
        nodes: vec![Node::Clear],
        root: NodeId(0),
        counters: Vec::new(),
    };
    let what = What {
        api: operation.api,
        endpoint: "any".into(),
        action: "read",
        purpose: "none".into(),
        principals: Arc::new([]),
        region: "cross".into(),
        policy: Arc::clone(&policies.version),
        objects: Vec::new(),
        uses: Vec::new(),
        fields: std::collections::BTreeMap::new(),
        rules: Vec::new(),
    };
    Ok(Plan::stand_in(
        operation.request,
        Arc::new(program),
        Arc::new(what),
        Some("Email=mask".into()),
    ))
}

/// Stand-in for `engine::rewrite::Rewriter`: passes bytes that look like one JSON container, and aborts at `BAD`.
#[derive(Debug, Default)]
pub struct Rewriter {
    bytes: u64,
    depth: u64,
    begun: bool,
    in_string: bool,
    escaped: bool,
}

impl Rewriter {
    pub fn json(_program: Arc<Program>, _bounds: Bounds) -> Self {
        Self::default()
    }

    pub fn push(&mut self, chunk: Bytes, out: &mut Out) -> Result<(), Abort> {
        let bad = Err(Abort::Malformed {
            what: "JSON",
            at: self.bytes,
        });
        for b in &chunk {
            self.bytes += 1;
            match b {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' if !self.begun || self.depth > 0 => {
                    self.begun = true;
                    self.depth += 1;
                }
                b'}' | b']' if self.depth > 0 => self.depth -= 1,
                b' ' | b'\n' | b'\r' | b'\t' => {}
                b'B' => return bad,
                _ if self.depth > 0 => {}
                _ => return bad,
            }
        }
        out.push(chunk);
        Ok(())
    }

    pub fn finish(&mut self, _out: &mut Out) -> Result<Counts, Abort> {
        if self.depth > 0 || !self.begun {
            return Err(Abort::Truncated { at: self.bytes });
        }
        Ok(Counts {
            bytes_in: self.bytes,
            bytes_out: self.bytes,
            ..Counts::default()
        })
    }
}

/// Stand-in for `observe::audit::Log`.
#[derive(Debug, Clone, Default)]
pub struct Log {
    pub events: Arc<Mutex<Vec<Event>>>,
}

#[derive(Debug)]
pub struct Ticket;

impl Log {
    pub fn open(_directory: &std::path::Path) -> Result<Self, std::io::Error> {
        Ok(Self::default())
    }

    pub async fn attempt(&self, event: Event) -> Result<Ticket, CannotRecord> {
        self.events.lock().map_err(|_| CannotRecord)?.push(event);
        Ok(Ticket)
    }

    pub async fn outcome(&self, _ticket: Ticket, event: Event) -> Result<(), CannotRecord> {
        self.events.lock().map_err(|_| CannotRecord)?.push(event);
        Ok(())
    }

    pub async fn control(&self, event: Event) -> Result<(), CannotRecord> {
        self.events.lock().map_err(|_| CannotRecord)?.push(event);
        Ok(())
    }

    pub fn has_failed(&self) -> bool {
        false
    }

    pub async fn close(&self) -> Result<(), CannotRecord> {
        Ok(())
    }
}

impl Ticket {
    pub async fn durable(&mut self) -> Result<(), CannotRecord> {
        Ok(())
    }
}
