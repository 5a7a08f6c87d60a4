//! One audit record as it is read back for people: the event's names, codes and counts.

use std::collections::BTreeMap;

use serde::Deserialize;

/// One record of the audit log. Members that are not known here are left out.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    /// Sequence number in the chain.
    pub seq: u64,
    /// The event.
    pub event: Seen,
    /// Unix milliseconds of the event; 0 = it has no readable time.
    #[serde(skip)]
    pub at_ms: i64,
}

/// The event of a record.
#[derive(Debug, Clone, Deserialize)]
pub struct Seen {
    /// `attempt`, `outcome`, `control`, `alert`…
    pub kind: String,
    /// RFC 3339, UTC.
    #[serde(default)]
    pub time: String,
    /// `Privet-Request-Id`; empty on events of no request.
    #[serde(default)]
    pub request_id: String,
    /// Who, if verified.
    pub who: Option<Who>,
    /// What was asked and decided.
    pub what: Option<What>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// Policy, key, reload, admin login.
    pub control: Option<Control>,
    /// What a monitor noticed, in whatever members it has.
    pub alert: Option<serde_json::Value>,
}

/// Who asked.
#[derive(Debug, Clone, Deserialize)]
pub struct Who {
    /// Subject.
    pub subject: String,
    /// Client application.
    pub client: Option<String>,
    /// Roles.
    #[serde(default)]
    pub roles: Vec<String>,
    /// Region.
    pub region: Option<String>,
    /// Tenant.
    #[serde(default)]
    pub tenant: String,
    /// What proved it.
    #[serde(default)]
    pub proof: String,
    /// Second factor.
    pub mfa: Option<bool>,
    /// Seconds since sign-in.
    pub session_age_s: Option<i64>,
    /// Network address.
    pub address: Option<std::net::IpAddr>,
}

/// What was asked and what was decided.
#[derive(Debug, Clone, Deserialize)]
pub struct What {
    /// API name.
    pub api: String,
    /// Endpoint name.
    pub endpoint: String,
    /// Action word.
    pub action: String,
    /// Purpose.
    pub purpose: String,
    /// Policy version.
    pub policy: String,
    /// Objects.
    #[serde(default)]
    pub objects: Vec<String>,
    /// `filter:Contact.Email`.
    #[serde(default)]
    pub uses: Vec<String>,
    /// Treatment word → fields.
    #[serde(default)]
    pub fields: BTreeMap<String, Vec<String>>,
    /// Rule ids.
    #[serde(default)]
    pub rules: Vec<String>,
}

/// How it ended.
#[derive(Debug, Clone, Deserialize)]
pub struct Outcome {
    /// In a word.
    pub ending: String,
    /// Status sent.
    #[serde(default)]
    pub status: u16,
    /// Status of the upstream.
    pub upstream_status: Option<u16>,
    /// Error code or abort reason.
    pub reason: Option<String>,
    /// Rows that passed.
    #[serde(default)]
    pub rows: u64,
    /// `mask:email Contact.Email` → count.
    #[serde(default)]
    pub treated: BTreeMap<String, u64>,
    /// Members dropped because no plan names them.
    #[serde(default)]
    pub unplanned_members: u64,
    /// Bytes to the client.
    #[serde(default)]
    pub bytes_out: u64,
    /// Microseconds.
    #[serde(default)]
    pub duration_us: u64,
    /// Microseconds until the upstream's head.
    pub upstream_us: Option<u64>,
}

/// A control event.
#[derive(Debug, Clone, Deserialize)]
pub struct Control {
    /// Its word.
    pub what: String,
    /// Policy version.
    #[serde(default)]
    pub policy: String,
    /// A count or word more.
    pub detail: Option<String>,
}

impl Entry {
    /// Reads one line of a segment. `None` = not a record; whether it is whole is `privet audit verify`'s question.
    pub fn read(line: &[u8]) -> Option<Self> {
        let mut entry: Self = serde_json::from_slice(line).ok()?;
        entry.at_ms = entry
            .event
            .time
            .parse::<jiff::Timestamp>()
            .map_or(0, jiff::Timestamp::as_millisecond);
        Some(entry)
    }

    /// The caller as pages name it: the client, else the subject, else `unknown`.
    pub fn caller(&self) -> &str {
        let who = self.event.who.as_ref();
        who.and_then(|w| w.client.as_deref())
            .or(who.map(|w| &*w.subject))
            .unwrap_or("unknown")
    }

    /// One word for how it went: the ending, the control event's word, or the kind.
    pub fn word(&self) -> &str {
        let event = &self.event;
        event
            .outcome
            .as_ref()
            .map(|o| &*o.ending)
            .or(event.control.as_ref().map(|c| &*c.what))
            .unwrap_or(&event.kind)
    }

    /// The filter `wanted` fits this entry. Empty members fit all.
    pub fn fits(&self, wanted: &Wanted) -> bool {
        let has = |needle: &str, hay: &str| needle.is_empty() || hay == needle;
        let what = self.event.what.as_ref();
        has(&wanted.caller, self.caller())
            && match &*wanted.kind {
                "" => self.event.kind != "attempt",
                "all" => true,
                kind => self.event.kind == kind,
            }
            && has(&wanted.ending, self.word())
            && has(&wanted.request, &self.event.request_id)
            && (wanted.field.is_empty()
                || what.is_some_and(|w| {
                    let fits = |name: &str| {
                        name == wanted.field
                            || name
                                .strip_prefix(&*wanted.field)
                                .is_some_and(|rest| rest.starts_with('.'))
                    };
                    w.fields.values().flatten().any(|f| fits(f))
                        || w.uses
                            .iter()
                            .any(|u| u.split_once(':').is_some_and(|(_, f)| fits(f)))
                        || w.objects.iter().any(|o| fits(o))
                }))
            && (wanted.treatment.is_empty()
                || what.is_some_and(|w| {
                    w.fields.get(&wanted.treatment).is_some_and(|fields| {
                        wanted.field.is_empty() || fields.contains(&wanted.field)
                    })
                }))
    }
}

/// A filter over entries; empty members fit all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Caller, as [`Entry::caller`].
    pub caller: String,
    /// Kind; empty = all but attempts, `all` = all.
    pub kind: String,
    /// Ending or control word, as [`Entry::word`].
    pub ending: String,
    /// `Contact` or `Contact.Email`.
    pub field: String,
    /// Treatment word.
    pub treatment: String,
    /// Request id.
    pub request: String,
}
