//! `audit.ship` and the other receivers of the section `audit`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::reader::{Reader, Section, is_loopback_origin};
use super::settings::{not_empty, number};
use super::{TlsFiles, Trust};
use crate::engine::secret::Secret;
use crate::observe::shipping::Format;
use crate::yaml::Node;

/// Longest wait for a receiver, unless the file says otherwise, milliseconds.
const TIMEOUT_MS: u64 = 30_000;

/// One sink of the audit log.
#[derive(Debug, Clone)]
pub struct Shipment {
    /// Its name: of its cursor's file, and in metrics.
    pub name: Arc<str>,
    /// How records are rendered.
    pub format: Format,
    /// Where they go.
    pub to: Destination,
}

/// Where records go.
#[derive(Debug, Clone)]
pub enum Destination {
    /// JSON lines, appended.
    File(PathBuf),
    /// JSON lines on standard output.
    Stdout,
    /// RFC 5424 over TLS or TCP.
    Syslog(Receiver),
    /// JSON lines by POST.
    Http(HttpReceiver),
    /// Splunk's HTTP Event Collector.
    Splunk(HttpReceiver),
    /// Elastic's `_bulk`, into this index or data stream.
    Elastic(HttpReceiver, Arc<str>),
    /// OpenTelemetry logs over HTTP.
    Otlp(HttpReceiver),
    /// NATS JetStream.
    Nats {
        /// The server.
        at: Receiver,
        /// A subject that a stream takes.
        subject: Arc<str>,
        /// User and password.
        user: Option<(Arc<str>, Secret<String>)>,
        /// Or a token.
        token: Option<Secret<String>>,
    },
}

impl Destination {
    /// Its kind, as the file spells it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::File(_) => "file",
            Self::Stdout => "stdout",
            Self::Syslog(_) => "syslog",
            Self::Http(_) => "http",
            Self::Splunk(_) => "splunk",
            Self::Elastic(..) => "elastic",
            Self::Otlp(_) => "otlp",
            Self::Nats { .. } => "nats",
        }
    }
}

impl std::fmt::Display for Destination {
    /// Without secrets, and without the path of a URL, which may hold one.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = self.kind();
        match self {
            Self::File(path) => write!(f, "{kind} {}", path.display()),
            Self::Stdout => f.write_str(kind),
            Self::Syslog(at) => write!(f, "{kind} {at}"),
            Self::Http(to) | Self::Splunk(to) | Self::Otlp(to) => {
                write!(f, "{kind} {}", to.origin())
            }
            Self::Elastic(to, index) => write!(f, "{kind} {} index {index}", to.origin()),
            Self::Nats { at, subject, .. } => write!(f, "{kind} {at} subject {subject}"),
        }
    }
}

/// A receiver over TCP.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// Name or address, without brackets.
    pub host: Arc<str>,
    /// Port.
    pub port: u16,
    /// `None` = in the clear.
    pub tls: Option<ClientTls>,
    /// Longest time for one batch, milliseconds.
    pub timeout_ms: u64,
}

impl std::fmt::Display for Receiver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tls = if self.tls.is_some() { "TLS" } else { "TCP" };
        write!(f, "{}:{} over {tls}", self.host, self.port)
    }
}

/// Whom to believe, and who privet is there.
#[derive(Debug, Clone)]
pub struct ClientTls {
    /// Whom to believe.
    pub trust: Trust,
    /// privet's own certificate.
    pub certificate: Option<TlsFiles>,
}

/// A receiver over HTTP.
#[derive(Debug, Clone)]
pub struct HttpReceiver {
    /// Where to; may hold a secret.
    pub url: Secret<String>,
    /// Headers of each request.
    pub headers: BTreeMap<Arc<str>, Secret<String>>,
    /// For `https`.
    pub tls: ClientTls,
    /// Longest wait for an answer, milliseconds.
    pub timeout_ms: u64,
    origin: Arc<str>,
}

impl HttpReceiver {
    /// Scheme, host and port of the URL.
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

/// Keys that every sink may have.
const COMMON: [&str; 3] = ["name", "kind", "format"];
/// Keys of a receiver over TCP.
const TCP: [&str; 5] = [
    "address",
    "tls",
    "trust",
    "client_certificate",
    "timeout_ms",
];
/// Keys of a receiver over HTTP.
const HTTP: [&str; 6] = [
    "url",
    "headers",
    "token",
    "trust",
    "client_certificate",
    "timeout_ms",
];

/// Kinds of sinks, and the further keys of each.
const KINDS: [(&str, &[&[&str]]); 8] = [
    ("file", &[&["path"]]),
    ("stdout", &[]),
    ("syslog", &[&TCP]),
    ("http", &[&HTTP]),
    ("splunk", &[&HTTP]),
    ("elastic", &[&HTTP, &["index"]]),
    ("otlp", &[&HTTP]),
    ("nats", &[&TCP, &["subject", "user", "password", "token"]]),
];

/// `audit.ship`.
pub(super) fn shipments(reader: &mut Reader<'_>, node: &Node) -> Option<Vec<Shipment>> {
    let items = reader.list(node)?;
    let mut sinks: Vec<Shipment> = Vec::new();
    let mut complete = true;
    for (n, item) in items.iter().enumerate() {
        match shipment(reader, item, n) {
            Some(sink) if sinks.iter().any(|s| s.name == sink.name) => {
                let message = format!("another sink is called `{}` already", sink.name);
                reader.error("same-name", &item.place, message);
                complete = false;
            }
            Some(sink) => sinks.push(sink),
            None => complete = false,
        }
    }
    complete.then_some(sinks)
}

fn shipment(reader: &mut Reader<'_>, node: &Node, n: usize) -> Option<Shipment> {
    let path = format!("audit.ship.{n}");
    let open = reader.open_section(node, path.clone())?;
    let kind = reader.required(&open, "kind")?;
    let kinds = KINDS.map(|(word, keys)| (word, (word, keys)));
    let (kind, keys) = reader.word(kind, &kinds)?;
    let own = keys.iter().copied().flatten();
    let known: Vec<&str> = COMMON.iter().chain(own).copied().collect();
    let section = reader.section(node, path, &known)?;
    let name = reader.required(&section, "name").and_then(|node| {
        reader.text_like(node, "a name of 1 to 40 of a to z, 0 to 9 and `-`", |t| {
            let good = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            (1..=40).contains(&t.len()) && t.bytes().all(good)
        })
    });
    let format = match section.get("format") {
        Some(node) => reader.word(node, &Format::WORDS),
        None if kind == "elastic" => Some(Format::Ecs),
        None => Some(Format::Jsonl),
    };
    let to = match kind {
        "file" => {
            let node = reader.required(&section, "path")?;
            Some(Destination::File(reader.path(node)?))
        }
        "stdout" => Some(Destination::Stdout),
        "syslog" => receiver(reader, &section).map(Destination::Syslog),
        "http" => http(reader, &section, Lead::Bearer, "/").map(Destination::Http),
        "splunk" => http(reader, &section, Lead::Splunk, "/services/collector/event")
            .map(Destination::Splunk),
        "otlp" => http(reader, &section, Lead::Bearer, "/v1/logs").map(Destination::Otlp),
        "elastic" => {
            let index = reader.required(&section, "index");
            let index = index.and_then(|node| not_empty(reader, node));
            let to = http(reader, &section, Lead::ApiKey, "/_bulk");
            Some(Destination::Elastic(to?, index?))
        }
        _ => nats(reader, &section),
    };
    Some(Shipment {
        name: name?,
        format: format?,
        to: to?,
    })
}

fn nats(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Destination> {
    let at = receiver(reader, section);
    let subject = reader.required(section, "subject").and_then(|node| {
        reader.text_like(node, "a subject without wildcards and spaces", |t| {
            let good = |part: &str| {
                !part.is_empty()
                    && part.bytes().all(|b| b.is_ascii_graphic())
                    && !part.contains(['*', '>'])
            };
            t.split('.').all(good)
        })
    });
    let user = match (section.get("user"), section.get("password")) {
        (None, None) => None,
        _ => {
            let user = reader.required(section, "user");
            let user = user.and_then(|node| not_empty(reader, node));
            let password = reader.required(section, "password");
            let password = password.and_then(|node| reader.secret(node));
            Some((user?, password?))
        }
    };
    let token = match section.get("token") {
        Some(node) => Some(reader.secret(node)?),
        None => None,
    };
    Some(Destination::Nats {
        at: at?,
        subject: subject?,
        user,
        token,
    })
}

/// Address, TLS and time-out of a receiver over TCP.
fn receiver(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Receiver> {
    let node = reader.required(section, "address")?;
    let text = reader.text_like(node, "a host and a port, such as siem.example:6514", |t| {
        host_and_port(t).is_some()
    })?;
    let (host, port) = host_and_port(&text)?;
    let tls = match section.get("tls") {
        Some(node) => reader.word(node, &[("true", true), ("false", false)])?,
        None => true,
    };
    let client = client_tls(reader, section);
    if !tls {
        let origin = format!("tcp://{text}");
        in_the_clear(reader, node, &origin);
    }
    let timeout_ms = number(reader, section, "timeout_ms", 1..=600_000, TIMEOUT_MS);
    Some(Receiver {
        host: host.into(),
        port,
        tls: Some(client?).filter(|_| tls),
        timeout_ms: timeout_ms?,
    })
}

fn host_and_port(text: &str) -> Option<(&str, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    let bare = host
        .strip_prefix('[')
        .map_or(Some(host), |h| h.strip_suffix(']'))?;
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
    let good = bare.parse::<std::net::IpAddr>().is_ok()
        || (!bare.is_empty() && bare == host && bare.bytes().all(plain));
    let port = port.parse().ok().filter(|port| *port > 0)?;
    good.then_some((bare, port))
}

fn client_tls(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<ClientTls> {
    let trust = match section.get("trust") {
        None => Trust::System,
        Some(node) => match reader.text(node)?.as_str() {
            "system" => Trust::System,
            "bundled" => Trust::Bundled,
            _ => Trust::File(reader.path(node)?),
        },
    };
    let certificate = match section.get("client_certificate") {
        None => None,
        Some(_) => {
            let files =
                reader.subsection(section, "client_certificate", &["certificate", "key"])?;
            let certificate = reader
                .required(&files, "certificate")
                .and_then(|node| reader.path(node));
            let key = reader
                .required(&files, "key")
                .and_then(|node| reader.path(node));
            Some(TlsFiles {
                certificate: certificate?,
                key: key?,
            })
        }
    };
    Some(ClientTls { trust, certificate })
}

/// How a token stands in `Authorization`.
#[derive(Debug, Clone, Copy)]
enum Lead {
    Bearer,
    Splunk,
    ApiKey,
}

/// The receiver over HTTP that the section `key` of `section` names.
pub(super) fn http_receiver(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
) -> Option<HttpReceiver> {
    let own = reader.subsection(section, key, &HTTP)?;
    http(reader, &own, Lead::Bearer, "/")
}

/// The keys of [`HTTP`] in `section`. `path`: where to if the URL has none.
fn http(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    lead: Lead,
    path: &str,
) -> Option<HttpReceiver> {
    let tls = client_tls(reader, section);
    let node = reader.required(section, "url")?;
    let text = reader.text_like(
        node,
        "an http or https URL without user and fragment",
        is_url,
    )?;
    let uri: http::Uri = text.parse().ok()?;
    let origin: Arc<str> = format!("{}://{}", uri.scheme_str()?, uri.authority()?).into();
    in_the_clear(reader, node, &origin);
    let url = if uri.path() == "/" && uri.query().is_none() {
        format!("{origin}{path}")
    } else {
        text.to_string()
    };
    let mut headers = BTreeMap::new();
    if let Some(node) = section.get("headers") {
        let open = reader.open_section(node, section.name("headers"))?;
        for (name, value) in reader.entries(&open) {
            let good = http::HeaderName::from_bytes(name.value.as_bytes()).is_ok();
            if !good {
                reader.error("bad-value", &name.place, "this is no name of a header");
                return None;
            }
            headers.insert(name.value.as_str().into(), header(reader, value)?);
        }
    }
    if let Some(node) = section.get("token") {
        let token = header(reader, node)?;
        let token = token.expose_secret();
        let value = match lead {
            Lead::Bearer => format!("Bearer {token}"),
            Lead::Splunk => format!("Splunk {token}"),
            Lead::ApiKey => format!("ApiKey {token}"),
        };
        headers.insert("authorization".into(), Secret::new(value));
    }
    let timeout_ms = number(reader, section, "timeout_ms", 1..=600_000, TIMEOUT_MS);
    Some(HttpReceiver {
        url: Secret::new(url),
        headers,
        tls: tls?,
        timeout_ms: timeout_ms?,
        origin,
    })
}

/// A secret that can be a header's value.
fn header(reader: &mut Reader<'_>, node: &Node) -> Option<Secret<String>> {
    let value = reader.secret(node)?;
    if http::HeaderValue::from_str(value.expose_secret()).is_err() {
        reader.error("bad-value", &node.place, "this cannot stand in a header");
        return None;
    }
    Some(value)
}

fn is_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https"))
            && uri.authority().is_some_and(|a| !a.host().is_empty())
            && !text.contains(['#', '@'])
    })
}

fn in_the_clear(reader: &mut Reader<'_>, node: &Node, origin: &str) {
    if origin.starts_with("https://") || is_loopback_origin(origin) {
        return;
    }
    let message = "audit records go to this receiver without TLS";
    reader.warning("plain-receiver", &node.place, message).help =
        Some("use TLS, unless a sidecar on the same machine adds it".to_owned());
}
