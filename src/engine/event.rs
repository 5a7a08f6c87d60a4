//! What happened, as plain data that has no field able to hold a body value.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// What kind of event it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Recorded before the first byte goes upstream.
    Attempt,
    /// Recorded when the answer ends; closes the attempt.
    Outcome,
    /// Policy, key, reload or start and stop.
    Control,
    /// A monitor found something odd.
    Alert,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The answer was complete.
    Complete,
    /// Refused before anything went upstream.
    Refused,
    /// The upstream failed or sent what must not pass, before the first byte.
    UpstreamFailed,
    /// Cut after the first byte: the upstream's fault or a body that must not pass.
    Aborted,
    /// The client went away.
    ClientGone,
    /// Nobody knows: the process ended before the outcome was recorded. The client may have seen all of it.
    Unknown,
}

/// One audit event. Every text in it is a name from the policy set, a verified identity or a code.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Event {
    /// Attempt, outcome, control.
    pub kind: Kind,
    /// RFC 3339, UTC, milliseconds.
    pub time: String,
    /// `Privet-Request-Id`, a UUIDv7.
    pub request_id: Arc<str>,
    /// `X-Request-Id`, if one was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation_id: Option<Arc<str>>,
    /// Who, if verified.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<Arc<Who>>,
    /// What was asked; absent when nothing was understood.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub what: Option<Arc<What>>,
    /// How it ended; on outcomes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Control events: what happened, such as `policy-loaded`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<Control>,
    /// Alerts: what is odd.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<Alert>,
}

/// Who asked.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Who {
    /// Subject.
    pub subject: Arc<str>,
    /// Client application.
    pub client: Option<Arc<str>>,
    /// Roles.
    pub roles: Vec<Arc<str>>,
    /// Region.
    pub region: Option<Arc<str>>,
    /// Tenant.
    pub tenant: Arc<str>,
    /// `api-key:<id>`, `session:<id of the API key>`, `jwt:<issuer>:<kid>`, `passthrough`.
    pub proof: Arc<str>,
    /// Second factor.
    pub mfa: Option<bool>,
    /// Seconds since sign-in.
    pub session_age_s: Option<i64>,
    /// Network address.
    pub address: Option<IpAddr>,
}

/// What was asked and what was decided: enough to replay the decision, never a literal.
#[derive(Debug, Clone, serde::Serialize)]
pub struct What {
    /// API name.
    pub api: Arc<str>,
    /// Endpoint name from a closed set.
    pub endpoint: Arc<str>,
    /// Action word.
    pub action: &'static str,
    /// Purpose decided under.
    pub purpose: Arc<str>,
    /// What Casbin was asked as.
    pub principals: Arc<[Arc<str>]>,
    /// Caller region decided under.
    pub region: Arc<str>,
    /// Policy version.
    pub policy: Arc<str>,
    /// Objects touched.
    pub objects: Vec<Arc<str>>,
    /// Uses as `filter:Contact.Email`, outputs left out.
    pub uses: Vec<String>,
    /// Treatment word → fields (`Contact.Email`).
    pub fields: BTreeMap<&'static str, Vec<String>>,
    /// Ids of the rules that decided.
    pub rules: Vec<Arc<str>>,
}

/// How it ended.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Outcome {
    /// In a word.
    pub ending: Ending,
    /// Status sent to the client; 0 = none.
    pub status: u16,
    /// Status of the upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_status: Option<u16>,
    /// Error code or abort reason; a word from a closed set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Rows that passed.
    pub rows: u64,
    /// Values treated: `mask:email Contact.Email` → count.
    pub treated: BTreeMap<String, u64>,
    /// What the second net found in clear: `email Contact.Description` → count.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub found: BTreeMap<String, u64>,
    /// Members dropped because nothing in the plan names them.
    pub unplanned_members: u64,
    /// Decoded bytes from the upstream.
    pub bytes_in: u64,
    /// Bytes to the client.
    pub bytes_out: u64,
    /// Whole duration, microseconds.
    pub duration_us: u64,
    /// Until the upstream's response head, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream_us: Option<u64>,
}

impl Outcome {
    /// An ending of which nothing was counted.
    pub fn without_answer(ending: Ending, reason: impl Into<String>) -> Self {
        Self {
            ending,
            status: 0,
            upstream_status: None,
            reason: Some(reason.into()),
            rows: 0,
            treated: BTreeMap::new(),
            found: BTreeMap::new(),
            unplanned_members: 0,
            bytes_in: 0,
            bytes_out: 0,
            duration_us: 0,
            upstream_us: None,
        }
    }
}

fn is_empty(text: &Arc<str>) -> bool {
    text.is_empty()
}

/// A control event.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Control {
    /// `policy-loaded`, `policy-refused`, `started`, `stopping`…
    pub what: &'static str,
    /// Policy version after it; empty where none is meant.
    #[serde(skip_serializing_if = "is_empty")]
    pub policy: Arc<str>,
    /// A count or word more, value-free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How bad an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// To be looked at some time.
    Low,
    /// To be looked at today.
    Medium,
    /// To be looked at now.
    High,
}

/// What a monitor does about a caller, from mild to strict.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// What is personal or unclassified reads as `redact` at least, is not evaluated and not written.
    Stricter,
    /// Every request is refused.
    StopCaller,
}

impl Step {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Stricter => "stricter",
            Self::StopCaller => "stop-caller",
        }
    }
}

/// What a monitor found: names and numbers, no value.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Alert {
    /// The monitor, as its rule file names it.
    pub monitor: Arc<str>,
    /// How bad.
    pub severity: Severity,
    /// Whose behaviour is odd: a verified subject or client.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<Arc<str>>,
    /// What was measured…
    pub measured: f64,
    /// …and what it may be.
    pub threshold: f64,
    /// Over how long, seconds; 0 = at once.
    pub window_s: u64,
    /// Fields (`Contact.Email`), objects or endpoints it is about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub about: Vec<Arc<str>>,
    /// The request that tipped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Arc<str>>,
    /// What was done about the caller.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<Step>,
    /// For how long, seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_s: Option<u64>,
}
