//! The section `apis`: the upstreams, one entry each.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reader::{Reader, Section, is_loopback_origin};
use super::settings::{not_empty, number};
use super::{ApiSettings, Compress, Credential, Mode, Trust};
use crate::engine::protocol::Dialect;
use crate::yaml::Node;

/// Longest observe mode, seconds: 30 days.
const OBSERVE_S_MAX: i64 = 30 * 86_400;

/// `apis`: one entry for each upstream.
pub(super) fn apis(
    reader: &mut Reader<'_>,
    node: &Node,
) -> Option<BTreeMap<Arc<str>, ApiSettings>> {
    let section = reader.open_section(node, "apis".into())?;
    let mut apis = BTreeMap::new();
    let mut seen: Vec<(Arc<str>, Arc<str>)> = Vec::new();
    let mut complete = true;
    for (key, node) in reader.entries(&section) {
        let good = key
            .value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
        if !good || key.value.is_empty() {
            reader
                .error(
                    "bad-value",
                    &key.place,
                    "an API's name may hold A-Z a-z 0-9 _ and -",
                )
                .help = Some("it is also the name of its file under policies/schema/".into());
            complete = false;
        }
        let name: Arc<str> = key.value.as_str().into();
        match api(reader, node, &name, &mut seen) {
            Some(api) => {
                apis.insert(name, api);
            }
            None => complete = false,
        }
    }
    if reader.entries(&section).is_empty() {
        let place = *section.place();
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
    if let (Some(node), Some(url)) = (node, &url)
        && url.starts_with("http://")
        && !is_loopback_origin(url)
    {
        reader
            .warning(
                "plain-upstream",
                &node.place,
                "records and the credential go to this upstream without TLS",
            )
            .help = Some("use https, unless a sidecar on the same machine adds it".into());
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
        if all.contains(&&*key.value) && !used.contains(&&*key.value) {
            let message = format!("`{}` does not belong to this kind of credential", key.value);
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
                    is_token_url,
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
        let place = *versions.place();
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
        let place = *versions.place();
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
