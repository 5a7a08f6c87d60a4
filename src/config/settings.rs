//! The tree of `privet.yaml` → [`Settings`]: one function a section.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;

use data_encoding::BASE64;

use super::apis::apis;
use super::bundle::BundleSettings;
use super::identity::identity;
use super::reader::{Reader, Section};
use super::shipping::{http_receiver, shipments};
use super::{Admin, AuditSettings, KeyPlaces, Limits, Listen, LogSettings, Settings, TlsFiles};
use crate::engine::identity::is_well_formed_name;
use crate::engine::policy::bundle::PublicKey;
use crate::yaml::{Node, Value};

/// The keys of `policies` where it is a mapping.
pub(super) const POLICIES: [&str; 4] = ["bundle", "signature", "keys", "directory"];

/// The keys of the top level.
pub(super) const SECTIONS: [&str; 12] = [
    "schema", "tenant", "policies", "keys", "state", "listen", "admin", "identity", "apis",
    "limits", "audit", "log",
];

/// Everything that can be read; `None` when a required part is missing (which has been reported).
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Option<Settings> {
    let top = reader.section(root, String::new(), &SECTIONS)?;
    if let Some(node) = reader.required(&top, "schema")
        && reader.number(node, 1..=u64::MAX).is_some_and(|n| n != 1)
    {
        let message = "this version of privet reads `schema: 1`";
        reader.error("bad-value", &node.place, message);
    }
    let tenant = reader
        .required(&top, "tenant")
        .and_then(|node| name(reader, node));
    let policies = policies(reader, &top);
    let keys = reader
        .required(&top, "keys")
        .and_then(|node| reader.path(node));
    let state = reader
        .required(&top, "state")
        .and_then(|node| reader.path(node));
    let listen = reader
        .required(&top, "listen")
        .and_then(|node| listen(reader, node));
    let admin = admin(reader, &top);
    let apis = reader
        .required(&top, "apis")
        .and_then(|node| apis(reader, node));
    let identity = identity(reader, &top, apis.as_ref());
    let limits = limits(reader, &top);
    let audit = reader.subsection(&top, "audit", &AUDIT);
    let audit_directory = match audit.as_ref().and_then(|a| a.get("directory")) {
        Some(node) => reader.path(node),
        None => state.as_ref().map(|s| s.join("audit")),
    };
    let audit = audit.map_or_else(
        || Some(AuditSettings::default()),
        |a| audit_rest(reader, &a),
    );
    let log = log(reader, &top);
    Some(Settings {
        tenant: tenant?,
        policies: policies.as_ref()?.0.clone(),
        bundle: policies?.1,
        keys: keys?,
        state: state?,
        listen: listen?,
        admin: admin?,
        identity: identity?,
        apis: apis?,
        limits: limits?,
        audit_directory: audit_directory?,
        audit: audit?,
        log: log?,
    })
}

/// `keys`, `identity.api_keys` and `policies` alone.
pub(super) fn key_places(reader: &mut Reader<'_>, root: &Node) -> Option<KeyPlaces> {
    let top = reader.open_section(root, String::new())?;
    let keys = top.get("keys").and_then(|node| reader.path(node));
    let identity = match top.get("identity") {
        Some(node) => Some(reader.open_section(node, "identity".into())?),
        None => None,
    };
    let api_keys = identity.as_ref().and_then(|i| i.get("api_keys"));
    let policies = policies(reader, &top).map(|(folder, _)| folder);
    Some(KeyPlaces {
        keys,
        policies,
        api_keys: api_keys.and_then(|node| reader.path(node)),
    })
}

/// `policies`: a folder, or a bundle with the keys that may sign it.
fn policies(
    reader: &mut Reader<'_>,
    top: &Section<'_>,
) -> Option<(PathBuf, Option<BundleSettings>)> {
    let folder = reader.base.join("policies");
    let Some(node) = top.get("policies") else {
        return Some((folder, None));
    };
    if !matches!(node.value, Value::Map(_)) {
        return reader.path(node).map(|folder| (folder, None));
    }
    let section = reader.section(node, "policies".into(), &POLICIES)?;
    let file = reader
        .required(&section, "bundle")
        .and_then(|n| reader.path(n));
    let signature = match section.get("signature") {
        Some(node) => reader.path(node),
        None => file.as_ref().map(|file| file.with_added_extension("sig")),
    };
    let folder = match section.get("directory") {
        Some(node) => reader.path(node),
        None => Some(folder),
    };
    let nodes = reader
        .required(&section, "keys")
        .and_then(|n| reader.list(n))?;
    let mut keys = Vec::new();
    for node in nodes {
        let text = reader.text(node)?;
        let key = BASE64.decode(text.trim().as_bytes()).ok();
        let Some(key) = key.and_then(|k| PublicKey::try_from(k).ok()) else {
            reader
                .error(
                    "bad-value",
                    &node.place,
                    "must be an Ed25519 public key: 32 bytes, base64",
                )
                .help = Some("`privet policy bundle` prints it".to_owned());
            return None;
        };
        keys.push(key);
    }
    if keys.is_empty() {
        let place = *section.place();
        reader.error(
            "bad-value",
            &place,
            "without a key no bundle could be trusted",
        );
        return None;
    }
    let bundle = BundleSettings {
        file: file?,
        signature: signature?,
        keys,
    };
    Some((folder?, Some(bundle)))
}

/// A name that may stand in policies, tokens and file names.
fn name(reader: &mut Reader<'_>, node: &Node) -> Option<Arc<str>> {
    reader.text_like(
        node,
        "a name: 1 to 128 characters A-Z a-z 0-9 _ . : @ -",
        is_well_formed_name,
    )
}

pub(super) fn not_empty(reader: &mut Reader<'_>, node: &Node) -> Option<Arc<str>> {
    reader.text_like(node, "a text", |t| !t.trim().is_empty())
}

fn listen(reader: &mut Reader<'_>, node: &Node) -> Option<Listen> {
    let known = ["address", "tls", "public_url", "trusted_proxies"];
    let section = reader.section(node, "listen".into(), &known)?;
    let address_node = reader.required(&section, "address");
    let address = address_node.and_then(|node| reader.address(node));
    let tls = reader.subsection(&section, "tls", &["certificate", "key"]);
    let tls_wanted = section.get("tls").is_some();
    let tls = tls.and_then(|tls| {
        let certificate = reader
            .required(&tls, "certificate")
            .and_then(|n| reader.path(n));
        let key = reader.required(&tls, "key").and_then(|n| reader.path(n));
        Some(TlsFiles {
            certificate: certificate?,
            key: key?,
        })
    });
    if let (Some(address), Some(node), false) = (address, address_node, tls_wanted)
        && !address.ip().is_loopback()
    {
        reader
            .error(
                "no-tls",
                &node.place,
                "without `listen.tls` only a loopback address may listen",
            )
            .help = Some(
            "add `tls: { certificate: cert.pem, key: key.pem }`, or listen on 127.0.0.1".into(),
        );
    }
    let public_url = match section.get("public_url") {
        Some(node) => reader.origin(node),
        None => own_origin(reader, &section, address, tls_wanted),
    };
    let trusted_proxies = match section.get("trusted_proxies") {
        Some(node) => reader.list(node).map(|items| {
            items
                .iter()
                .filter_map(|item| reader.network(item))
                .collect()
        }),
        None => Some(Vec::new()),
    };
    Some(Listen {
        address: address?,
        tls,
        public_url: public_url?,
        trusted_proxies: trusted_proxies?,
    })
}

/// Where links lead when the file does not say: the listener itself, if it has one address.
fn own_origin(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    address: Option<SocketAddr>,
    tls: bool,
) -> Option<Arc<str>> {
    let address = address?;
    if address.ip().is_unspecified() || address.port() == 0 {
        reader.required(section, "public_url");
        return None;
    }
    let scheme = if tls { "https" } else { "http" };
    Some(format!("{scheme}://{address}").into())
}

fn admin(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Admin> {
    let section = reader.subsection(top, "admin", &["address", "token", "viewer_token"]);
    let node = section.as_ref().and_then(|s| s.get("address"));
    let address = match node {
        Some(node) => reader.address(node),
        None => Some(SocketAddr::from(([127, 0, 0, 1], 9090))),
    };
    let mut token = |key: &str| {
        let node = section.as_ref().and_then(|s| s.get(key));
        node.map_or(Some(None), |node| reader.secret(node).map(Some))
    };
    let (operator, viewer) = (token("token"), token("viewer_token"));
    if let (Some(Some(operator)), Some(Some(viewer))) = (&operator, &viewer)
        && operator.expose_secret() == viewer.expose_secret()
        && let Some(node) = section.as_ref().and_then(|s| s.get("viewer_token"))
    {
        let message = "viewers and operators need different tokens";
        reader.error("bad-value", &node.place, message);
    }
    if let (Some(address), Some(place)) = (address, node.map(|n| n.place))
        && !address.ip().is_loopback()
        && (matches!(operator, Some(Some(_))) || matches!(viewer, Some(Some(_))))
    {
        let message = "the admin pages and their tokens go over this address in clear text";
        reader.warning("admin-in-clear", &place, message).help = Some(
            "listen on loopback, or let nobody reach it but a proxy that speaks TLS".to_owned(),
        );
    }
    Some(Admin {
        address: address?,
        token: operator?,
        viewer_token: viewer?,
    })
}

/// `section.key` in `range`, or `default` where it is not written.
pub(super) fn number(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    key: &str,
    range: RangeInclusive<u64>,
    default: u64,
) -> Option<u64> {
    match section.get(key) {
        Some(node) => reader.number(node, range),
        None => Some(default),
    }
}

/// One limit: its key, what it may be, where it goes.
type Limit = (&'static str, RangeInclusive<u64>, fn(&mut Limits, u64));

/// Shortest and longest time-out, milliseconds: an hour is no time-out any more.
const MS: RangeInclusive<u64> = 1..=3_600_000;

const LIMITS: [Limit; 19] = [
    ("target_bytes_max", 256..=1 << 20, |l, n| {
        l.target_bytes_max = size(n);
    }),
    ("head_bytes_max", 1 << 10..=1 << 20, |l, n| {
        l.head_bytes_max = size(n);
    }),
    ("head_fields_max", 8..=1_000, |l, n| {
        l.head_fields_max = size(n);
    }),
    ("request_body_bytes_max", 1..=1 << 30, |l, n| {
        l.request_body_bytes_max = size(n);
    }),
    ("upload_bytes_max", 1..=1 << 34, |l, n| {
        l.upload_bytes_max = size(n);
    }),
    ("handshake_ms", MS, |l, n| l.handshake_ms = n),
    ("head_ms", MS, |l, n| l.head_ms = n),
    ("body_idle_ms", MS, |l, n| l.body_idle_ms = n),
    ("body_bytes_per_s_min", 1..=1 << 30, |l, n| {
        l.body_bytes_per_s_min = n;
    }),
    ("write_stall_ms", MS, |l, n| l.write_stall_ms = n),
    ("connect_ms", MS, |l, n| l.connect_ms = n),
    ("upstream_head_ms", MS, |l, n| l.upstream_head_ms = n),
    ("keep_alive_ms", MS, |l, n| l.keep_alive_ms = n),
    ("upstream_idle_ms", MS, |l, n| l.upstream_idle_ms = n),
    ("drain_ms", MS, |l, n| l.drain_ms = n),
    ("held_bytes_max", 1 << 10..=16 << 20, |l, n| {
        l.held_bytes_max = size(n);
    }),
    ("connections_max", 1..=1_000_000, |l, n| {
        l.connections_max = size(n);
    }),
    ("h2_streams_max", 1..=10_000, |l, n| {
        l.h2_streams_max = u32::try_from(n).unwrap_or(u32::MAX);
    }),
    ("inflation_ratio_max", 1..=100_000, |l, n| {
        l.inflation_ratio_max = n;
    }),
];

/// Lossless inside the ranges above on every machine of 32 bits or more.
fn size(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

fn limits(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<Limits> {
    let mut limits = Limits::default();
    let Some(section) = reader.subsection(top, "limits", &LIMITS.map(|(key, ..)| key)) else {
        return Some(limits);
    };
    for (key, range, set) in LIMITS {
        if let Some(node) = section.get(key)
            && let Some(n) = reader.number(node, range)
        {
            set(&mut limits, n);
        }
    }
    if limits.target_bytes_max > limits.head_bytes_max {
        let place = *section.place();
        reader.error(
            "bad-value",
            &place,
            "`target_bytes_max` is above `head_bytes_max`, which holds it",
        );
    }
    Some(limits)
}

/// The keys of `audit`.
const AUDIT: [&str; 9] = [
    "directory",
    "witness",
    "keep_days",
    "keep_bytes",
    "ledger",
    "ship",
    "spool_bytes_max",
    "witness_http",
    "alert_webhook",
];

/// The least that `spool_bytes_max` may be: two segments, of which the newest always waits for somebody.
const SPOOL_BYTES_MIN: u64 = 128 << 20;

/// `audit` without its folder.
fn audit_rest(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<AuditSettings> {
    let mut audit = AuditSettings::default();
    if let Some(node) = section.get("witness") {
        audit.witness = Some(reader.path(node)?);
    }
    if let Some(node) = section.get("keep_days") {
        let days = reader.number(node, 1..=36_500)?;
        audit.keep_days = u32::try_from(days).ok();
    }
    if let Some(node) = section.get("keep_bytes") {
        audit.keep_bytes = Some(reader.number(node, 1 << 20..=u64::MAX)?);
    }
    if let Some(node) = section.get("ledger") {
        audit.ledger = reader.word(node, &[("true", true), ("false", false)])?;
    }
    if let Some(node) = section.get("ship") {
        audit.ship = shipments(reader, node)?;
    }
    if let Some(node) = section.get("spool_bytes_max") {
        audit.spool_bytes_max = Some(reader.number(node, SPOOL_BYTES_MIN..=u64::MAX)?);
    }
    if section.get("witness_http").is_some() {
        audit.witness_http = Some(http_receiver(reader, section, "witness_http")?);
    }
    if section.get("alert_webhook").is_some() {
        audit.alert_webhook = Some(http_receiver(reader, section, "alert_webhook")?);
    }
    Some(audit)
}

fn log(reader: &mut Reader<'_>, top: &Section<'_>) -> Option<LogSettings> {
    let section = reader.subsection(top, "log", &["format", "level"]);
    let get = |key| section.as_ref().and_then(|s| s.get(key));
    let json = match get("format") {
        Some(node) => reader.word(node, &[("json", true), ("text", false)]),
        None => Some(true),
    };
    let levels = ["error", "warn", "info", "debug", "trace"].map(|level| (level, level));
    let level = match get("level") {
        Some(node) => reader.word(node, &levels),
        None => Some("info"),
    };
    Some(LogSettings {
        json: json?,
        level: level?.into(),
    })
}
