//! The settings in force, for people to look at: every secret is hidden by its type.

use super::{ApiSettings, Credential, Mode, Settings, Trust};

/// Name and value of each setting, in the order of the file. Secrets read `(hidden)`.
pub fn effective(s: &Settings) -> Vec<(String, String)> {
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut say = |name: &str, value: String| rows.push((name.to_owned(), value));
    let path = |p: &std::path::Path| p.display().to_string();
    let hidden = |there: bool| if there { "(hidden)" } else { "none" }.to_owned();
    say("tenant", s.tenant.to_string());
    say("policies", path(&s.policies));
    if let Some(bundle) = &s.bundle {
        say("policies.bundle", path(&bundle.file));
        say("policies.signature", path(&bundle.signature));
        say("policies.keys", bundle.keys.len().to_string());
    }
    say("keys", path(&s.keys));
    say("state", path(&s.state));
    say("listen.address", s.listen.address.to_string());
    say(
        "listen.tls",
        s.listen
            .tls
            .as_ref()
            .map_or_else(|| "none".to_owned(), |t| path(&t.certificate)),
    );
    say("listen.public_url", s.listen.public_url.to_string());
    let proxies: Vec<String> = s
        .listen
        .trusted_proxies
        .iter()
        .map(ToString::to_string)
        .collect();
    say("listen.trusted_proxies", list(&proxies));
    say("admin.address", s.admin.address.to_string());
    say("admin.token", hidden(s.admin.token.is_some()));
    say("admin.viewer_token", hidden(s.admin.viewer_token.is_some()));
    let identity = &s.identity;
    let keys = identity.api_keys.as_deref();
    say(
        "identity.api_keys",
        keys.map_or_else(|| "none".to_owned(), path),
    );
    let or_none = |t: &Option<std::sync::Arc<str>>| {
        t.as_deref()
            .map_or_else(|| "none".to_owned(), str::to_owned)
    };
    say("identity.purpose.header", or_none(&identity.purpose_header));
    say("identity.purpose.claim", or_none(&identity.purpose_claim));
    for (n, jwt) in identity.jwt.iter().enumerate() {
        let proof = match (&jwt.jwks, &jwt.hmac) {
            (Some(file), _) => path(file),
            (None, Some(hmac)) => format!("HMAC key {} (hidden)", hmac.kid),
            (None, None) => "none".to_owned(),
        };
        say(
            &format!("identity.jwt[{n}]"),
            format!(
                "{} for {}, {proof}, leeway {} s, lifetime {} s at most",
                jwt.issuer, jwt.audience, jwt.leeway_s, jwt.lifetime_s_max
            ),
        );
    }
    for (name, api) in &s.apis {
        for (key, value) in of_api(api) {
            say(&format!("apis.{name}.{key}"), value);
        }
    }
    let l = &s.limits;
    for (name, value) in [
        ("target_bytes_max", l.target_bytes_max as u64),
        ("head_bytes_max", l.head_bytes_max as u64),
        ("head_fields_max", l.head_fields_max as u64),
        ("request_body_bytes_max", l.request_body_bytes_max as u64),
        ("handshake_ms", l.handshake_ms),
        ("head_ms", l.head_ms),
        ("body_idle_ms", l.body_idle_ms),
        ("body_bytes_per_s_min", l.body_bytes_per_s_min),
        ("write_stall_ms", l.write_stall_ms),
        ("connect_ms", l.connect_ms),
        ("upstream_head_ms", l.upstream_head_ms),
        ("keep_alive_ms", l.keep_alive_ms),
        ("upstream_idle_ms", l.upstream_idle_ms),
        ("drain_ms", l.drain_ms),
        ("held_bytes_max", l.held_bytes_max as u64),
        ("connections_max", l.connections_max as u64),
        ("h2_streams_max", u64::from(l.h2_streams_max)),
        ("inflation_ratio_max", l.inflation_ratio_max),
    ] {
        say(&format!("limits.{name}"), value.to_string());
    }
    say("audit.directory", path(&s.audit_directory));
    let audit = &s.audit;
    let number = |n: Option<u64>| n.map_or_else(|| "none".to_owned(), |n| n.to_string());
    say(
        "audit.witness",
        audit
            .witness
            .as_deref()
            .map_or_else(|| "none".to_owned(), path),
    );
    let receiver = |r: &Option<super::HttpReceiver>| {
        r.as_ref()
            .map_or_else(|| "none".to_owned(), |r| r.origin().to_owned())
    };
    say("audit.witness_http", receiver(&audit.witness_http));
    say("audit.alert_webhook", receiver(&audit.alert_webhook));
    say("audit.keep_days", number(audit.keep_days.map(u64::from)));
    say("audit.keep_bytes", number(audit.keep_bytes));
    say("audit.ledger", audit.ledger.to_string());
    say("audit.spool_bytes_max", number(audit.spool_bytes_max));
    for sink in &audit.ship {
        say(&format!("audit.ship.{}", sink.name), sink.to.to_string());
    }
    say(
        "log.format",
        if s.log.json { "json" } else { "text" }.to_owned(),
    );
    say("log.level", s.log.level.to_string());
    rows
}

fn of_api(api: &ApiSettings) -> Vec<(&'static str, String)> {
    let paths: Vec<String> = api.paths.iter().map(ToString::to_string).collect();
    vec![
        ("dialect", format!("{:?}", api.dialect).to_lowercase()),
        ("paths", list(&paths)),
        ("upstream.url", api.upstream_url.to_string()),
        (
            "upstream.trust",
            match &api.trust {
                Trust::System => "system".to_owned(),
                Trust::Bundled => "bundled".to_owned(),
                Trust::File(file) => file.display().to_string(),
            },
        ),
        (
            "credential",
            match &api.credential {
                Credential::ClientCredentials { client_id, .. } => {
                    format!("client_credentials, client {client_id}, secret (hidden)")
                }
                Credential::Bearer(_) => "bearer (hidden)".to_owned(),
                Credential::Passthrough => "passthrough".to_owned(),
            },
        ),
        (
            "versions",
            format!("{} to {}", api.versions.0, api.versions.1),
        ),
        (
            "mode",
            match api.mode {
                Mode::Enforce => "enforce".to_owned(),
                Mode::Observe { until_s } => format!(
                    "observe until {}",
                    jiff::Timestamp::from_second(until_s).unwrap_or_default()
                ),
            },
        ),
        ("compress", format!("{:?}", api.compress).to_lowercase()),
        ("inflated_bytes_max", api.inflated_bytes_max.to_string()),
    ]
}

fn list(items: &[String]) -> String {
    if items.is_empty() {
        "none".to_owned()
    } else {
        items.join(", ")
    }
}
