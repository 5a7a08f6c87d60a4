//! The section `identity`: who may ask, and what proves it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reader::{Reader, Section};
use super::settings::{not_empty, number};
use super::{ApiSettings, ClaimNames, Credential, HmacKey, IdentitySettings, JwtIssuer};
use crate::engine::secret::Secret;
use crate::yaml::Node;

/// Shortest HS256 key, bytes (RFC 7518 section 3.2).
const HMAC_BYTES_MIN: usize = 32;

/// `identity`. `apis`: those that were read, to see whether anybody must sign in.
pub(super) fn identity(
    reader: &mut Reader<'_>,
    top: &Section<'_>,
    apis: Option<&BTreeMap<Arc<str>, ApiSettings>>,
) -> Option<IdentitySettings> {
    let section = reader.subsection(
        top,
        "identity",
        &["api_keys", "purpose", "jwt", "session_lifetime_s"],
    );
    let mut settings = IdentitySettings::default();
    if let Some(section) = &section {
        if let Some(node) = section.get("api_keys") {
            settings.api_keys = reader.path(node);
        }
        let lifetime_s = number(reader, section, "session_lifetime_s", 60..=86_400, 7_200);
        if let Some(Ok(lifetime_s)) = lifetime_s.map(i64::try_from) {
            settings.session_lifetime_s = lifetime_s;
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
        let place = *section.as_ref().map_or_else(|| top.place(), Section::place);
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
        let place = *section.place();
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
    if let (Some(node), Some(key)) = (node, &key)
        && key.expose_secret().len() < HMAC_BYTES_MIN
    {
        reader.error(
            "weak-key",
            &node.place,
            "an HS256 key needs at least 32 bytes",
        );
        return None;
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
