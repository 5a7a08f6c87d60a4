//! The tree of `privet.yaml` → [`Settings`]: one function a section.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::reader::{Reader, Section, is_loopback_origin};
use super::yaml::Node;
use super::{
    Admin, ApiSettings, ClaimNames, Compress, Credential, HmacKey, IdentitySettings, JwtIssuer,
    Limits, Listen, LogSettings, Mode, Settings, TlsFiles, Trust,
};
use crate::engine::identity::is_well_formed_name;
use crate::engine::protocol::Dialect;
use crate::engine::secret::Secret;

/// The keys of the top level.
pub(super) const SECTIONS: [&str; 12] = [
    "schema", "tenant", "policies", "keys", "state", "listen", "admin", "identity", "apis",
    "limits", "audit", "log",
];

/// Longest observe mode, seconds: 30 days.
const OBSERVE_S_MAX: i64 = 30 * 86_400;
/// Shortest HS256 key, bytes (RFC 7518 section 3.2).
const HMAC_BYTES_MIN: usize = 32;

/// Everything that can be read; `None` when a required part is missing (which has been reported).
pub(super) fn read(reader: &mut Reader<'_>, root: &Node) -> Option<Settings> {
    let top = reader.section(root, String::new(), &SECTIONS)?;
    if let Some(node) = reader.required(&top, "schema") {
        reader.number(node, 1..=1);
    }
    let tenant = reader
        .required(&top, "tenant")
        .and_then(|node| name(reader, node));
    let policies = match top.get("policies") {
        Some(node) => reader.path(node),
        None => Some(reader.base.join("policies")),
    };
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
    let audit = reader.subsection(&top, "audit", &["directory"]);
    let audit_directory = match audit.as_ref().and_then(|a| a.get("directory")) {
        Some(node) => reader.path(node),
        None => state.as_ref().map(|s| s.join("audit")),
    };
    let log = log(reader, &top);
    Some(Settings {
        tenant: tenant?,
        policies: policies?,
        keys: keys?,
        state: state?,
        listen: listen?,
        admin: admin?,
        identity: identity?,
        apis: apis?,
        limits: limits?,
        audit_directory: audit_directory?,
        log: log?,
    })
}

/// A name that may stand in policies, tokens and file names.
fn name(reader: &mut Reader<'_>, node: &Node) -> Option<Arc<str>> {
    reader.text_like(
        node,
        "a name: 1 to 128 characters A-Z a-z 0-9 _ . : @ -",
        is_well_formed_name,
    )
}

fn not_empty(reader: &mut Reader<'_>, node: &Node) -> Option<Arc<str>> {
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
    if let (Some(address), Some(node), false) = (address, address_node, tls_wanted) {
        if !address.ip().is_loopback() {
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
    let section = reader.subsection(top, "admin", &["address", "token"]);
    let node = section.as_ref().and_then(|s| s.get("address"));
    let address = match node {
        Some(node) => reader.address(node),
        None => Some(SocketAddr::from(([127, 0, 0, 1], 9090))),
    };
    let token = section
        .as_ref()
        .and_then(|s| s.get("token"))
        .map(|node| reader.secret(node));
    Some(Admin {
        address: address?,
        token: match token {
            Some(token) => Some(token?),
            None => None,
        },
    })
}

fn identity(
    reader: &mut Reader<'_>,
    top: &Section<'_>,
    apis: Option<&BTreeMap<Arc<str>, ApiSettings>>,
) -> Option<IdentitySettings> {
    let section = reader.subsection(top, "identity", &["api_keys", "purpose", "jwt"]);
    let mut settings = IdentitySettings::default();
    if let Some(section) = &section {
        if let Some(node) = section.get("api_keys") {
            settings.api_keys = reader.path(node);
        }
        if let Some(purpose) = reader.subsection(section, "purpose", &["header", "claim"]) {
            if let Some(node) = purpose.get("header") {
                settings.purpose_header = reader.text_like(
                    node,
                    "the name of a header that is free for this, such as Privet-Purpose",
                    is_free_header,
                );
            }
            if let Some(node) = purpose.get("claim") {
                settings.purpose_claim = not_empty(reader, node);
            }
        }
        if let Some(node) = section.get("jwt") {
            for (n, item) in reader.list(node).unwrap_or_default().iter().enumerate() {
                if let Some(issuer) = issuer(reader, item, format!("identity.jwt[{n}]")) {
                    settings.jwt.push(issuer);
                }
            }
        }
    }
    let nobody = section
        .as_ref()
        .is_none_or(|s| s.get("api_keys").is_none() && s.get("jwt").is_none());
    let all_pass = apis.is_some_and(|apis| {
        apis.values()
            .all(|api| matches!(api.credential, Credential::Passthrough))
    });
    if nobody && apis.is_some() && !all_pass {
        let place = section
            .as_ref()
            .map_or_else(|| top.place(), Section::place)
            .clone();
        reader
            .error("nobody-can-sign-in", &place, "neither `identity.api_keys` nor `identity.jwt` is set: every request would be refused")
            .help = Some("add `identity: { api_keys: api-keys.jsonl }`".into());
    }
    Some(settings)
}

/// Whether a header may carry the purpose: a valid name that means nothing else to HTTP or to us.
fn is_free_header(name: &str) -> bool {
    let taken = [
        "authorization",
        "cookie",
        "host",
        "content-type",
        "content-length",
        "transfer-encoding",
        "connection",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "accept",
        "accept-encoding",
        "origin",
        "x-request-id",
        "x-forwarded-for",
        "privet-request-id",
    ];
    http::HeaderName::from_bytes(name.as_bytes())
        .is_ok_and(|header| !taken.contains(&header.as_str()) && !name.contains('_'))
}

fn issuer(reader: &mut Reader<'_>, node: &Node, path: String) -> Option<JwtIssuer> {
    let known = [
        "issuer",
        "audience",
        "jwks",
        "hmac",
        "types",
        "leeway_s",
        "lifetime_s_max",
        "mfa",
        "claims",
    ];
    let section = reader.section(node, path, &known)?;
    let issuer = reader
        .required(&section, "issuer")
        .and_then(|n| not_empty(reader, n));
    let audience = reader
        .required(&section, "audience")
        .and_then(|n| not_empty(reader, n));
    let jwks = section.get("jwks").map(|node| reader.path(node));
    let hmac = reader
        .subsection(&section, "hmac", &["kid", "key"])
        .map(|section| hmac_key(reader, &section));
    if section.get("jwks").is_some() == section.get("hmac").is_some() {
        let place = section.place().clone();
        reader
            .error(
                "issuer-key",
                &place,
                "an issuer needs either `jwks` or `hmac`",
            )
            .help = Some("name the file of the issuer's public keys: `jwks: idp-jwks.json`".into());
        return None;
    }
    let types = match section.get("types") {
        Some(node) => reader.texts(node)?,
        None => vec!["at+jwt".into()],
    };
    let leeway_s = number(reader, &section, "leeway_s", 0..=600, 60);
    let lifetime_s_max = number(reader, &section, "lifetime_s_max", 1..=31 * 86_400, 86_400);
    let mfa = reader.subsection(&section, "mfa", &["amr", "acr"]);
    let mut mfa_values = |key: &str| match mfa.as_ref().and_then(|m| m.get(key)) {
        Some(node) => reader.texts(node).unwrap_or_default(),
        None => Vec::new(),
    };
    let (mfa_amr, mfa_acr) = (mfa_values("amr"), mfa_values("acr"));
    let claims = claim_names(reader, &section);
    Some(JwtIssuer {
        issuer: issuer?,
        audience: audience?,
        jwks: match jwks {
            Some(path) => Some(path?),
            None => None,
        },
        hmac: match hmac {
            Some(key) => Some(key?),
            None => None,
        },
        types,
        leeway_s: i64::try_from(leeway_s?).ok()?,
        lifetime_s_max: i64::try_from(lifetime_s_max?).ok()?,
        mfa_amr,
        mfa_acr,
        claims,
    })
}

fn hmac_key(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<HmacKey> {
    let kid = reader
        .required(section, "kid")
        .and_then(|n| not_empty(reader, n));
    let node = reader.required(section, "key");
    let key = node.and_then(|node| reader.secret(node));
    if let (Some(node), Some(key)) = (node, &key) {
        if key.expose_secret().len() < HMAC_BYTES_MIN {
            reader.error(
                "weak-key",
                &node.place,
                "an HS256 key needs at least 32 bytes",
            );
            return None;
        }
    }
    Some(HmacKey {
        kid: kid?,
        key: Secret::new(key?.expose_secret().clone().into_bytes()),
    })
}

fn claim_names(reader: &mut Reader<'_>, section: &Section<'_>) -> ClaimNames {
    let mut names = ClaimNames::default();
    let known = [
        "subject",
        "client",
        "roles",
        "region",
        "tenant",
        "auth_time",
    ];
    let Some(claims) = reader.subsection(section, "claims", &known) else {
        return names;
    };
    let ClaimNames {
        subject,
        client,
        roles,
        region,
        tenant,
        auth_time,
    } = &mut names;
    for (key, slot) in known
        .iter()
        .zip([subject, client, roles, region, tenant, auth_time])
    {
        if let Some(name) = claims.get(key).and_then(|node| not_empty(reader, node)) {
            *slot = name;
        }
    }
    names
}

/// `section.key` in `range`, or `default` where it is not written.
fn number(
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

fn apis(reader: &mut Reader<'_>, node: &Node) -> Option<BTreeMap<Arc<str>, ApiSettings>> {
    let section = reader.open_section(node, "apis".into())?;
    let mut apis = BTreeMap::new();
    let mut seen: Vec<(Arc<str>, Arc<str>)> = Vec::new();
    let mut complete = true;
    for (key, node) in reader.entries(&section) {
        let good = key
            .text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !good || key.text.is_empty() {
            reader
                .error(
                    "bad-value",
                    &key.place,
                    "an API's name may hold A-Z a-z 0-9 _ and -",
                )
                .help = Some("it is also the name of its file under policies/schema/".into());
            complete = false;
        }
        let name: Arc<str> = key.text.as_str().into();
        match api(reader, node, &name, &mut seen) {
            Some(api) => {
                apis.insert(name, api);
            }
            None => complete = false,
        }
    }
    if reader.entries(&section).is_empty() {
        let place = section.place().clone();
        reader.error("missing-key", &place, "`apis` names no API");
        return None;
    }
    complete.then_some(apis)
}

fn api(
    reader: &mut Reader<'_>,
    node: &Node,
    name: &Arc<str>,
    seen: &mut Vec<(Arc<str>, Arc<str>)>,
) -> Option<ApiSettings> {
    let known = [
        "dialect",
        "paths",
        "upstream",
        "credential",
        "versions",
        "mode",
        "observe_until",
        "compress",
        "inflated_bytes_max",
    ];
    let section = reader.section(node, format!("apis.{name}"), &known)?;
    let dialect = reader.required(&section, "dialect").and_then(|node| {
        reader.word(
            node,
            &[("salesforce", Dialect::Salesforce), ("map", Dialect::Map)],
        )
    });
    let paths = paths(reader, &section, name, seen);
    let upstream = upstream(reader, &section);
    let credential = credential(reader, &section);
    let versions = versions(reader, &section, dialect);
    let mode = mode(reader, &section, credential.as_ref());
    let compress = match section.get("compress") {
        Some(node) => reader.word(node, &[("files", Compress::Files), ("api", Compress::Api)]),
        None => Some(Compress::Files),
    };
    let inflated = number(
        reader,
        &section,
        "inflated_bytes_max",
        1 << 10..=1 << 40,
        64 << 20,
    );
    let (upstream_url, trust) = upstream?;
    Some(ApiSettings {
        dialect: dialect?,
        paths: paths?,
        upstream_url,
        trust,
        credential: credential?,
        versions: versions?,
        mode: mode?,
        compress: compress?,
        inflated_bytes_max: inflated?,
    })
}

fn paths(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    name: &Arc<str>,
    seen: &mut Vec<(Arc<str>, Arc<str>)>,
) -> Option<Vec<Arc<str>>> {
    let list = reader.required(section, "paths")?;
    let items = reader.list(list)?;
    if items.is_empty() {
        reader.error("bad-value", &list.place, "at least one path belongs here");
        return None;
    }
    let mut paths = Vec::new();
    for item in items {
        let path = reader.text_like(
            item,
            "a path that begins with `/`, without `//`, dot segments, escapes, query or space",
            is_plain_path,
        )?;
        if let Some((_, other)) = seen.iter().find(|(known, _)| *known == path) {
            let message = format!("`{path}` leads to `{other}` already");
            reader.error("same-path", &item.place, message);
            return None;
        }
        seen.push((path.clone(), name.clone()));
        paths.push(path);
    }
    Some(paths)
}

/// Whether a prefix can begin a path that the carrier lets through.
fn is_plain_path(path: &str) -> bool {
    path.starts_with('/')
        && !path.contains("//")
        && path
            .split('/')
            .all(|segment| !matches!(segment, "." | ".."))
        && path
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'%' | b';' | b'\\'))
}

fn upstream(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<(Arc<str>, Trust)> {
    reader.required(section, "upstream")?;
    let upstream = reader.subsection(section, "upstream", &["url", "trust"])?;
    let node = reader.required(&upstream, "url");
    let url = node.and_then(|node| reader.origin(node));
    if let (Some(node), Some(url)) = (node, &url) {
        if url.starts_with("http://") && !is_loopback_origin(url) {
            reader
                .warning(
                    "plain-upstream",
                    &node.place,
                    "records and the credential go to this upstream without TLS",
                )
                .help = Some("use https, unless a sidecar on the same machine adds it".into());
        }
    }
    let trust = match upstream.get("trust") {
        None => Some(Trust::System),
        Some(node) => {
            let text = reader.text(node)?;
            match text.as_str() {
                "system" => Some(Trust::System),
                "bundled" => Some(Trust::Bundled),
                _ => reader.path(node).map(Trust::File),
            }
        }
    };
    Some((url?, trust?))
}

fn credential(reader: &mut Reader<'_>, section: &Section<'_>) -> Option<Credential> {
    #[derive(Clone, Copy)]
    enum Kind {
        ClientCredentials,
        Bearer,
        Passthrough,
    }
    reader.required(section, "credential")?;
    let all = ["kind", "client_id", "client_secret", "token_url", "token"];
    let credential = reader.subsection(section, "credential", &all)?;
    let node = reader.required(&credential, "kind")?;
    let kinds = [
        ("client_credentials", Kind::ClientCredentials),
        ("bearer", Kind::Bearer),
        ("passthrough", Kind::Passthrough),
    ];
    let kind = reader.word(node, &kinds)?;
    let used: &[&str] = match kind {
        Kind::ClientCredentials => &["kind", "client_id", "client_secret", "token_url"],
        Kind::Bearer => &["kind", "token"],
        Kind::Passthrough => &["kind"],
    };
    for (key, _) in reader.entries(&credential) {
        if all.contains(&&*key.text) && !used.contains(&&*key.text) {
            let message = format!("`{}` does not belong to this kind of credential", key.text);
            reader.error("unused-key", &key.place, message);
        }
    }
    match kind {
        Kind::ClientCredentials => {
            let id = reader
                .required(&credential, "client_id")
                .and_then(|n| not_empty(reader, n));
            let secret = reader
                .required(&credential, "client_secret")
                .and_then(|n| reader.secret(n));
            let token_url = match credential.get("token_url") {
                Some(node) => Some(reader.text_like(
                    node,
                    "an https URL without query or fragment",
                    |t| is_token_url(t),
                )?),
                None => None,
            };
            Some(Credential::ClientCredentials {
                client_id: id?,
                client_secret: secret?,
                token_url,
            })
        }
        Kind::Bearer => reader
            .required(&credential, "token")
            .and_then(|node| reader.secret(node))
            .map(Credential::Bearer),
        Kind::Passthrough => {
            reader
                .warning("passthrough", &node.place, "clients hold the CRM's own credential: nothing keeps them from going round privet")
                .help = Some("give privet its own credential (`client_credentials` or `bearer`) before you enforce".into());
            Some(Credential::Passthrough)
        }
    }
}

/// An absolute https URL, or http to this machine.
fn is_token_url(text: &str) -> bool {
    text.parse::<http::Uri>().is_ok_and(|uri| {
        uri.authority().is_some()
            && uri.query().is_none()
            && !text.contains(['#', '@'])
            && (uri.scheme_str() == Some("https")
                || uri.scheme_str() == Some("http") && is_loopback_origin(text))
    })
}

fn versions(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    dialect: Option<Dialect>,
) -> Option<(u16, u16)> {
    const DEFAULT: (u16, u16) = (50, 66);
    let Some(versions) = reader.subsection(section, "versions", &["min", "max"]) else {
        return section.get("versions").is_none().then_some(DEFAULT);
    };
    if dialect == Some(Dialect::Map) {
        let place = versions.place().clone();
        reader.error(
            "unused-key",
            &place,
            "`versions` belongs to the dialect salesforce",
        );
        return None;
    }
    let min = number(reader, &versions, "min", 1..=999, DEFAULT.0.into());
    let max = number(reader, &versions, "max", 1..=999, DEFAULT.1.into());
    let (min, max) = (u16::try_from(min?).ok()?, u16::try_from(max?).ok()?);
    if min > max {
        let place = versions.place().clone();
        reader.error("bad-value", &place, format!("min {min} is above max {max}"));
        return None;
    }
    Some((min, max))
}

fn mode(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    credential: Option<&Credential>,
) -> Option<Mode> {
    let node = section.get("mode");
    let observe = match node {
        Some(node) => reader.word(node, &[("enforce", false), ("observe", true)])?,
        None => false,
    };
    let until = section.get("observe_until");
    let (true, Some(node)) = (observe, node) else {
        if let Some(until) = until {
            reader.error(
                "unused-key",
                &until.place,
                "`observe_until` belongs to `mode: observe`",
            );
            return None;
        }
        return Some(Mode::Enforce);
    };
    if credential.is_some_and(|c| !matches!(c, Credential::Passthrough)) {
        reader
            .error(
                "observe-credential",
                &node.place,
                "observe mode passes answers untreated, so it needs the client's own credential",
            )
            .help = Some("set `credential: { kind: passthrough }`, or `mode: enforce`".into());
        return None;
    }
    let Some(until) = until else {
        reader
            .error(
                "observe-until",
                &node.place,
                "`mode: observe` needs `observe_until`, at most 30 days from now",
            )
            .help = Some("such as observe_until: 2026-12-01".into());
        return None;
    };
    let until_s = time(reader, until)?;
    let now_s = reader.surroundings.now_s();
    if until_s > now_s.saturating_add(OBSERVE_S_MAX) {
        reader.error(
            "observe-until",
            &until.place,
            "`observe_until` is more than 30 days away",
        );
        return None;
    }
    if until_s <= now_s {
        reader.warning(
            "observe-until",
            &until.place,
            "`observe_until` has passed: this API enforces",
        );
    }
    Some(Mode::Observe { until_s })
}

/// A date (its first second, UTC) or an RFC 3339 time, as Unix seconds.
fn time(reader: &mut Reader<'_>, node: &Node) -> Option<i64> {
    let text = reader.text(node)?;
    let seconds = super::unix_seconds(&text);
    if seconds.is_none() {
        reader
            .error("bad-value", &node.place, "must be a date or a time")
            .help = Some("such as 2026-12-01 or 2026-12-01T08:00:00Z".into());
    }
    seconds
}

/// One limit: its key, what it may be, where it goes.
type Limit = (&'static str, RangeInclusive<u64>, fn(&mut Limits, u64));

/// Shortest and longest time-out, milliseconds: an hour is no time-out any more.
const MS: RangeInclusive<u64> = 1..=3_600_000;

const LIMITS: [Limit; 18] = [
    ("target_bytes_max", 256..=1 << 20, |l, n| {
        l.target_bytes_max = size(n)
    }),
    ("head_bytes_max", 1 << 10..=1 << 20, |l, n| {
        l.head_bytes_max = size(n)
    }),
    ("head_fields_max", 8..=1_000, |l, n| {
        l.head_fields_max = size(n)
    }),
    ("request_body_bytes_max", 1..=1 << 30, |l, n| {
        l.request_body_bytes_max = size(n)
    }),
    ("handshake_ms", MS, |l, n| l.handshake_ms = n),
    ("head_ms", MS, |l, n| l.head_ms = n),
    ("body_idle_ms", MS, |l, n| l.body_idle_ms = n),
    ("body_bytes_per_s_min", 1..=1 << 30, |l, n| {
        l.body_bytes_per_s_min = n
    }),
    ("write_stall_ms", MS, |l, n| l.write_stall_ms = n),
    ("connect_ms", MS, |l, n| l.connect_ms = n),
    ("upstream_head_ms", MS, |l, n| l.upstream_head_ms = n),
    ("keep_alive_ms", MS, |l, n| l.keep_alive_ms = n),
    ("upstream_idle_ms", MS, |l, n| l.upstream_idle_ms = n),
    ("drain_ms", MS, |l, n| l.drain_ms = n),
    ("held_bytes_max", 1 << 10..=16 << 20, |l, n| {
        l.held_bytes_max = size(n)
    }),
    ("connections_max", 1..=1_000_000, |l, n| {
        l.connections_max = size(n)
    }),
    ("h2_streams_max", 1..=10_000, |l, n| {
        l.h2_streams_max = u32::try_from(n).unwrap_or(u32::MAX)
    }),
    ("inflation_ratio_max", 1..=100_000, |l, n| {
        l.inflation_ratio_max = n
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
        if let Some(node) = section.get(key) {
            if let Some(n) = reader.number(node, range) {
                set(&mut limits, n);
            }
        }
    }
    if limits.target_bytes_max > limits.head_bytes_max {
        let place = section.place().clone();
        reader.error(
            "bad-value",
            &place,
            "`target_bytes_max` is above `head_bytes_max`, which holds it",
        );
    }
    Some(limits)
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
