use std::collections::HashMap;
use std::io;
use std::path::Path;

use super::*;

/// Files, variables and a clock that stand in the test.
#[derive(Default)]
struct Pretend {
    files: HashMap<&'static str, &'static str>,
    variables: Vec<(&'static str, &'static str)>,
}

impl Surroundings for Pretend {
    fn read(&self, path: &Path) -> io::Result<String> {
        self.files
            .get(path.to_str().unwrap())
            .map(|text| (*text).to_owned())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn variables(&self) -> Vec<(String, String)> {
        self.variables
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
            .collect()
    }

    fn now_s(&self) -> i64 {
        unix_seconds("2026-11-23T10:00:00Z").unwrap()
    }
}

/// The example of the documentation, whole.
const FULL: &str = r#"# Relative paths start at this file.
schema: 1
tenant: acme
policies: policies
keys: /run/secrets/privet-keys.json
state: /var/lib/privet
listen:
  address: 0.0.0.0:8443
  tls: { certificate: tls/cert.pem, key: /run/secrets/tls-key.pem }
  public_url: https://crm.acme.example
  trusted_proxies: [10.0.0.0/8]
admin: { address: "127.0.0.1:9090", token: "file:/run/secrets/admin-token" }
identity:
  api_keys: api-keys.jsonl
  purpose: { header: Privet-Purpose, claim: purpose }
  jwt:
    - issuer: https://idp.acme.example/
      audience: privet
      jwks: idp-jwks.json
      types: [at+jwt]
      leeway_s: 60
      lifetime_s_max: 86400
      mfa: { amr: [mfa, otp, hwk], acr: [] }
      claims: { subject: sub, client: azp, roles: roles, region: region, tenant: tenant, auth_time: auth_time }
apis:
  salesforce:
    dialect: salesforce
    paths: [/services/, /id/]
    upstream: { url: "https://acme.my.salesforce.com", trust: system }
    credential: { kind: client_credentials, client_id: privet, client_secret: "file:/run/secrets/sf-secret" }
    versions: { min: 50, max: 66 }
    mode: enforce
    compress: files
    inflated_bytes_max: 67108864
  people:
    dialect: map
    paths: [/people]
    upstream: { url: "https://people.acme.example", trust: certs/acme-ca.pem }
    credential: { kind: bearer, token: "${PEOPLE}" }
limits: { target_bytes_max: 16384, head_bytes_max: 32768, head_ms: 10000, body_idle_ms: 15000, held_bytes_max: 65536 }
audit: { directory: /var/lib/privet/audit }
log: { format: json, level: info }
"#;

fn pretend(variables: &[(&'static str, &'static str)]) -> Pretend {
    Pretend {
        files: HashMap::from([
            ("/etc/privet/privet.yaml", FULL),
            ("/run/secrets/admin-token", "adm1n\n"),
            ("/run/secrets/sf-secret", "s3cr3t\n"),
        ]),
        variables: [&[("PEOPLE", "p30ple")], variables].concat(),
    }
}

fn parse_with(
    text: &str,
    variables: &[(&'static str, &'static str)],
) -> Result<Loaded, Vec<Diagnostic>> {
    parse(
        Path::new("/etc/privet/privet.yaml"),
        text,
        &pretend(variables),
    )
}

/// `line:column code message` of each problem.
fn problems(text: &str) -> Vec<String> {
    let found = match parse_with(text, &[]) {
        Ok(loaded) => loaded.warnings,
        Err(problems) => problems,
    };
    found
        .iter()
        .map(|d| {
            let p = d.position.as_ref().unwrap();
            format!("{}:{} {}: {}", p.line, p.column, d.code, d.message)
        })
        .collect()
}

/// FULL with `from` replaced, and the problems that this makes.
fn changed(from: &str, to: &str) -> Vec<String> {
    assert!(FULL.contains(from), "{from}");
    problems(&FULL.replacen(from, to, 1))
}

#[test]
fn the_documented_example_loads_without_a_word() {
    let surroundings = pretend(&[]);
    let loaded = load_with_warnings(Path::new("/etc/privet/privet.yaml"), &surroundings).unwrap();
    assert_eq!(loaded.warnings, []);
    let s = loaded.settings;
    assert_eq!(s.policies, Path::new("/etc/privet/policies"));
    assert_eq!(s.keys, Path::new("/run/secrets/privet-keys.json"));
    assert_eq!(s.admin.token.unwrap().expose_secret(), "adm1n");
    let salesforce = &s.apis["salesforce"];
    assert!(matches!(
        &salesforce.credential,
        Credential::ClientCredentials { client_secret, .. } if client_secret.expose_secret() == "s3cr3t"
    ));
    assert_eq!(salesforce.versions, (50, 66));
    let people = &s.apis["people"];
    assert!(matches!(&people.credential, Credential::Bearer(t) if t.expose_secret() == "p30ple"));
    assert_eq!(
        people.trust,
        Trust::File("/etc/privet/certs/acme-ca.pem".into())
    );
    assert_eq!(s.identity.jwt[0].mfa_amr.len(), 3);
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let text = FULL
        .replace("tenant: acme", "tennant: acme")
        .replace("body_idle_ms: 15000", "body_idle_ms: 0, body_idel_ms: 7")
        .replace("level: info", "level: loud");
    assert_eq!(
        problems(&text),
        [
            "2:1 missing-key: `tenant` is missing",
            "3:1 unknown-key: unknown key `tennant`",
            "40:89 bad-value: must be a whole number from 1 to 3600000",
            "40:92 unknown-key: unknown key `limits.body_idel_ms`",
            "42:29 bad-value: not a word that is known here",
        ]
    );
    let shown = parse_with(&text, &[]).unwrap_err();
    assert!(shown[1].to_string().contains("did you mean `tenant`?"));
    assert!(
        shown[3]
            .to_string()
            .contains("did you mean `body_idle_ms`?")
    );
}

#[test]
fn each_check_finds_its_mistake() {
    for (from, to, says) in [
        ("  tls: {", "  # tls: {", "no-tls: without `listen.tls`"),
        (
            "https://crm.acme.example",
            "https://crm.acme.example/x",
            "must be an origin",
        ),
        (
            "https://crm.acme.example",
            "crm.acme.example",
            "must be an origin",
        ),
        (
            "https://acme.my.salesforce.com",
            "https://u@acme.my.salesforce.com",
            "must be an origin",
        ),
        ("[/services/, /id/]", "[services/]", "begins with `/`"),
        ("[/services/, /id/]", "[/a/../b]", "begins with `/`"),
        (
            "[/services/, /id/]",
            "[/people]",
            "37:13 same-path: `/people` leads to `salesforce`",
        ),
        ("[/services/, /id/]", "[]", "at least one path"),
        (
            "min: 50, max: 66",
            "min: 66, max: 50",
            "min 66 is above max 50",
        ),
        ("dialect: map", "dialect: mapp", "not a word"),
        (
            "dialect: map",
            "dialect: map\n    versions: { min: 1 }",
            "belongs to the dialect",
        ),
        (
            "mode: enforce",
            "mode: observe",
            "needs the client's own credential",
        ),
        (
            "mode: enforce",
            "mode: enforce\n    observe_until: 2026-12-01",
            "belongs to `mode",
        ),
        (
            "kind: bearer",
            "kind: bearer, client_id: x",
            "does not belong to this kind",
        ),
        (
            "kind: bearer, token: \"${PEOPLE}\"",
            "kind: bearer",
            "`apis.people.credential.token` is missing",
        ),
        ("${PEOPLE}", "${PEPLE}", "`PEPLE` is not set"),
        (
            "${PEOPLE}",
            "file:nowhere",
            "cannot read `/etc/privet/nowhere`",
        ),
        (
            "jwks: idp-jwks.json",
            "hmac: { kid: h1, key: short }",
            "at least 32 bytes",
        ),
        (
            "jwks: idp-jwks.json",
            "hmac: { kid: h1, key: short }\n      jwks: a",
            "either `jwks` or `hmac`",
        ),
        (
            "header: Privet-Purpose",
            "header: Authorization",
            "a header that is free",
        ),
        ("10.0.0.0/8", "10.0.0.0/33", "must be a network"),
        ("schema: 1", "schema: 2", "reads `schema: 1`"),
        (
            "target_bytes_max: 16384",
            "target_bytes_max: 65536",
            "above `head_bytes_max`",
        ),
        ("tenant: acme", "tenant: a|b", "must be a name"),
        ("leeway_s: 60", "leeway_s: -1", "whole number"),
        ("log: {", "log: [", "yaml"),
    ] {
        let found = changed(from, to);
        assert!(found.iter().any(|p| p.contains(says)), "{to}: {found:?}");
    }
}

#[test]
fn observe_mode_is_bounded_and_needs_passthrough() {
    let observe = |until: &str| {
        let from = FULL.find("    credential: { kind: client").unwrap();
        let to = FULL.find("    compress: files").unwrap();
        format!(
            "{}    credential: {{ kind: passthrough }}\n    mode: observe\n    {until}\n{}",
            &FULL[..from],
            &FULL[to..]
        )
    };
    let found = problems(&observe("observe_until: 2026-12-23T09:00:00Z"));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("passthrough: clients hold"));
    let loaded = parse_with(&observe("observe_until: 2026-12-01"), &[]).unwrap();
    assert_eq!(
        loaded.settings.apis["salesforce"].mode,
        Mode::Observe {
            until_s: 1_796_083_200
        }
    );
    for (until, says) in [
        ("observe_until: 2026-12-23T10:00:01Z", "more than 30 days"),
        ("observe_until: soon", "must be a date"),
        ("", "needs `observe_until`"),
        ("observe_until: 2026-11-01", "has passed"),
    ] {
        let found = problems(&observe(until));
        assert!(found.iter().any(|p| p.contains(says)), "{until}: {found:?}");
    }
}

#[test]
fn the_environment_overrides_and_a_misspelt_override_is_an_error() {
    let limits = |variables: &[(&'static str, &'static str)]| {
        parse_with(FULL, variables).map(|l| l.settings)
    };
    let settings = limits(&[
        ("PRIVET_LIMITS__BODY_IDLE_MS", "20000"),
        ("PRIVET_TENANT", "other"),
        (
            "PRIVET_APIS__PEOPLE__CREDENTIAL__TOKEN",
            "a: b # ${not} {expanded}",
        ),
        ("PRIVET_APIS__SALESFORCE__PATHS", "[/services/]"),
        ("PRIVET_IDENTITY__JWT__0__AUDIENCE", "crm"),
        ("PRIVET_LISTEN__TLS__KEY", "/k.pem"),
        // What Kubernetes sets for a service named privet, and what our own tests use.
        ("PRIVET_SERVICE_HOST", "10.1.2.3"),
        ("PRIVET_PORT_8443_TCP", "tcp://10.1.2.3:8443"),
        ("PRIVET_PORT", "tcp://10.1.2.3:8443"),
        ("PRIVET_DATA", "x"),
        ("PRIVET_CI", "1"),
    ])
    .unwrap();
    assert_eq!(settings.limits.body_idle_ms, 20_000);
    assert_eq!(&*settings.tenant, "other");
    assert!(matches!(
        &settings.apis["people"].credential,
        Credential::Bearer(t) if t.expose_secret() == "a: b # ${not} {expanded}"
    ));
    assert_eq!(settings.apis["salesforce"].paths.len(), 1);
    assert_eq!(&*settings.identity.jwt[0].audience, "crm");
    assert_eq!(settings.listen.tls.unwrap().key, Path::new("/k.pem"));

    for (name, says) in [
        (
            "PRIVET_LIMITS__BODY_IDEL_MS",
            "unknown key `limits.body_idel_ms`",
        ),
        ("PRIVET_LIMIT__BODY_IDLE_MS", "unknown key `limit`"),
        ("PRIVET_TENANTT", "unknown key `tenantt`"),
        ("PRIVET_TENANT__X", "a single value"),
        ("PRIVET_IDENTITY__JWT__1__AUDIENCE", "which has 1 items"),
        ("PRIVET_LIMITS__", "empty key"),
        ("PRIVET_LIMITS__HEAD_MS", "whole number"),
    ] {
        let found = limits(&[(name, "x")]).unwrap_err();
        assert!(
            found.iter().any(|d| d.message.contains(says)
                && d.position.as_ref().is_some_and(|p| &*p.file == name)),
            "{name}: {found:?}"
        );
    }
}

#[test]
fn no_diagnostic_shows_a_secret() {
    let text = FULL
        .replace("\"${PEOPLE}\"", "hunter2, tokn: hunter2")
        .replace("kind: bearer", "kind: beer");
    for problem in parse_with(&text, &[]).unwrap_err() {
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }
}

#[test]
fn links_lead_to_the_listener_when_nothing_else_is_said() {
    let text = FULL
        .replace("  public_url: https://crm.acme.example\n", "")
        .replace("0.0.0.0:8443", "127.0.0.1:8443");
    let loaded = parse_with(&text, &[]).unwrap();
    assert_eq!(
        &*loaded.settings.listen.public_url,
        "https://127.0.0.1:8443"
    );
    let found = changed("  public_url: https://crm.acme.example\n", "");
    assert!(
        found[0].contains("`listen.public_url` is missing"),
        "{found:?}"
    );
}

#[test]
fn the_places_of_keys_are_found_in_an_unfinished_file() {
    let mut surroundings = pretend(&[("PRIVET_KEYS", "/elsewhere/keys.json")]);
    let text = "keys: a.json\nidentity: { api_keys: b.jsonl }\nlisten: 7\n";
    surroundings.files.insert("/etc/privet/new.yaml", text);
    let places = key_places(Path::new("/etc/privet/new.yaml"), &surroundings).unwrap();
    assert_eq!(places.keys.unwrap(), Path::new("/elsewhere/keys.json"));
    assert_eq!(places.api_keys.unwrap(), Path::new("/etc/privet/b.jsonl"));
    let problems = key_places(Path::new("/nowhere.yaml"), &surroundings).unwrap_err();
    assert!(problems[0].message.contains("cannot read `/nowhere.yaml`"));
}

/// The shipped example, as it stands and as its compose file runs it.
#[test]
fn the_salesforce_example_loads() {
    let text = include_str!("../../examples/salesforce/privet.yaml");
    let secret = ("SALESFORCE_CLIENT_SECRET", "s3cr3t");
    let loaded = parse_with(text, &[secret]).unwrap();
    assert_eq!(loaded.warnings, []);
    assert!(loaded.settings.listen.tls.is_none());
    assert_eq!(text.matches(" ◀ ").count(), 3, "three lines to change");
    let problems = parse_with(text, &[]).unwrap_err();
    assert_eq!(problems.len(), 1);
    assert!(
        problems[0]
            .message
            .contains("`SALESFORCE_CLIENT_SECRET` is not set")
    );

    let compose = include_str!("../../examples/salesforce/compose.yaml");
    let variables: Vec<(&str, &str)> = compose
        .lines()
        .filter_map(|line| line.trim().split_once(": "))
        .filter(|(name, _)| name.starts_with("PRIVET_"))
        .map(|(name, value)| match value {
            "\"${PRIVET_PUBLIC_URL:-https://localhost:8443}\"" => (name, "https://localhost:8443"),
            value => (name, value),
        })
        .chain([secret])
        .collect();
    assert!(variables.len() > 8);
    let settings = parse_with(text, &variables).unwrap().settings;
    assert_eq!(settings.state, Path::new("/var/lib/privet"));
    assert_eq!(settings.audit_directory, Path::new("/var/lib/privet/audit"));
    assert_eq!(
        settings.listen.tls.unwrap().key,
        Path::new("/etc/privet/tls/key.pem")
    );
    assert_eq!(&*settings.listen.public_url, "https://localhost:8443");
}

#[test]
fn key_material_is_read_as_the_settings_say_or_refused_whole() {
    use crate::engine::identity::Proof;
    use crate::engine::identity::api_key::{NewKey, issue};
    use crate::engine::token::KeyRing;

    let settings = parse_with(FULL, &[]).unwrap().settings;
    let made = KeyRing::generate(&[5; 64]);
    let new = NewKey {
        client: "service-desk",
        roles: &["support".into()],
        region: Some("eu"),
        expires: "2027-01-01T00:00:00Z",
    };
    let (key, line) = issue(new, [1; 5], &[2; 32], &made.api_key_pepper());
    let leak = |text: &str| -> &'static str { text.to_owned().leak() };
    let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"o1","x":"8zbB6PRD_0GIIeFqxKzgeOWvGAY40AClim6zvFdwZO4"}]}"#;
    let mut surroundings = pretend(&[]);
    surroundings
        .files
        .insert("/run/secrets/privet-keys.json", leak(&made.to_json()));
    let ring = trust::key_ring(&settings, &surroundings).unwrap();

    // Both files are missing: both are named.
    let problems = trust::verifiers(&settings, &ring, &surroundings).unwrap_err();
    assert_eq!(problems.len(), 2, "{problems:?}");

    surroundings
        .files
        .insert("/etc/privet/api-keys.jsonl", leak(&line));
    surroundings.files.insert("/etc/privet/idp-jwks.json", jwks);
    let verifiers = trust::verifiers(&settings, &ring, &surroundings).unwrap();
    assert_eq!(verifiers.jwt.issuers()[0].keys.keys().count(), 1);
    let now_s = surroundings.now_s();
    let grant = verifiers.verify(key.expose_secret(), now_s).unwrap();
    assert!(matches!(grant.proof, Proof::ApiKey { .. }));
    assert_eq!(grant.client.as_deref(), Some("service-desk"));
    assert!(verifiers.verify("pvt_a_b", now_s).is_err());
    assert!(verifiers.verify("a.b.c", now_s).is_err());

    for unusable in [
        "<html>",
        "{\"keys\":[]}",
        "{\"keys\":[{\"kty\":\"oct\",\"kid\":\"h\",\"k\":\"AA\"}]}",
    ] {
        surroundings
            .files
            .insert("/etc/privet/idp-jwks.json", unusable);
        let problems = trust::verifiers(&settings, &ring, &surroundings).unwrap_err();
        assert!(
            problems[0]
                .to_string()
                .contains("/etc/privet/idp-jwks.json")
        );
    }
}

#[test]
fn what_is_in_force_is_shown_without_secrets() {
    let text = FULL.replace(
        "token: \"file:/run/secrets/admin-token\"",
        "token: \"file:/run/secrets/admin-token\", viewer_token: v13wer",
    );
    let settings = parse_with(&text, &[]).unwrap().settings;
    let rows = effective(&settings);
    let shown = format!("{rows:?}");
    for secret in ["adm1n", "v13wer", "s3cr3t", "p30ple"] {
        assert!(!shown.contains(secret), "{secret}");
    }
    let value = |name: &str| &rows.iter().find(|(n, _)| n == name).unwrap().1;
    assert_eq!(value("admin.viewer_token"), "(hidden)");
    assert_eq!(value("apis.people.credential"), "bearer (hidden)");
    assert_eq!(value("limits.body_idle_ms"), "15000");
}

#[test]
fn viewers_and_operators_have_different_tokens() {
    let same = changed(
        "token: \"file:/run/secrets/admin-token\"",
        "token: same, viewer_token: same",
    );
    assert_eq!(
        same,
        ["12:64 bad-value: viewers and operators need different tokens"]
    );
}

#[test]
fn pages_on_a_reachable_address_are_warned_of() {
    let open = changed("127.0.0.1:9090", "0.0.0.0:9090");
    assert_eq!(
        open,
        [
            "12:19 admin-in-clear: the admin pages and their tokens go over this address in clear text"
        ]
    );
}

#[test]
fn sinks_are_read_and_shown_without_their_secrets() {
    let ship = r#"audit:
  spool_bytes_max: 1000000000
  witness_http: { url: "https://witness.example/checkpoints", token: w1tness }
  alert_webhook: { url: "https://hooks.example/services/T0/h00k" }
  ship:
    - { name: lake, kind: file, path: lake.jsonl, format: ocsf }
    - { name: siem, kind: syslog, address: "siem.example:6514", trust: bundled, client_certificate: { certificate: c.pem, key: k.pem } }
    - { name: splunk, kind: splunk, url: "https://splunk.example:8088", token: hec }
    - { name: elastic, kind: elastic, url: "https://es.example:9200/_bulk", token: apikey, index: privet-audit }
    - { name: otel, kind: otlp, url: "https://otel.example", headers: { X-Scope-OrgID: acme } }
    - { name: bus, kind: nats, address: "[::1]:4222", tls: false, subject: privet.audit, user: u, password: p4ss }
"#;
    let text = FULL.replace("audit: { directory: /var/lib/privet/audit }\n", ship);
    let loaded = parse_with(&text, &[]).unwrap();
    assert!(
        loaded.warnings.iter().all(|w| w.code != "plain-receiver"),
        "{:?}",
        loaded.warnings
    );
    let settings = loaded.settings;
    let audit = &settings.audit;
    let shown: Vec<String> = audit.ship.iter().map(|s| s.to.to_string()).collect();
    assert_eq!(
        shown,
        [
            "file /etc/privet/lake.jsonl",
            "syslog siem.example:6514 over TLS",
            "splunk https://splunk.example:8088",
            "elastic https://es.example:9200 index privet-audit",
            "otlp https://otel.example",
            "nats ::1:4222 over TCP subject privet.audit",
        ]
    );
    let formats: Vec<&str> = audit.ship.iter().map(|s| s.format.word()).collect();
    assert_eq!(formats, ["ocsf", "jsonl", "jsonl", "ecs", "jsonl", "jsonl"]);
    let Destination::Splunk(splunk) = &audit.ship[2].to else {
        panic!("{:?}", audit.ship[2]);
    };
    assert_eq!(
        splunk.url.expose_secret(),
        "https://splunk.example:8088/services/collector/event"
    );
    assert_eq!(
        splunk.headers["authorization"].expose_secret(),
        "Splunk hec"
    );
    let Destination::Otlp(otel) = &audit.ship[4].to else {
        panic!("{:?}", audit.ship[4]);
    };
    assert_eq!(otel.url.expose_secret(), "https://otel.example/v1/logs");
    assert_eq!(otel.headers["X-Scope-OrgID"].expose_secret(), "acme");
    let rows = format!("{:?} {:?}", effective(&settings), settings);
    for secret in ["h00k", "w1tness", "hec\"", "apikey", "p4ss"] {
        assert!(!rows.contains(secret), "{secret}");
    }
    assert!(rows.contains("https://hooks.example"));
}

#[test]
fn mistakes_in_sinks_have_their_places() {
    for (line, code, words) in [
        ("{ name: a, kind: kafka }", "bad-value", "not a word"),
        ("{ name: A b, kind: stdout }", "bad-value", "must be a name"),
        (
            "{ name: a, kind: file }",
            "missing-key",
            "`audit.ship.0.path`",
        ),
        (
            "{ name: a, kind: file, path: x, url: y }",
            "unknown-key",
            "`audit.ship.0.url`",
        ),
        (
            "{ name: a, kind: syslog, address: siem }",
            "bad-value",
            "host and a port",
        ),
        (
            "{ name: a, kind: nats, address: \"n:1\", subject: \"a.>\" }",
            "bad-value",
            "subject",
        ),
        (
            "{ name: a, kind: nats, address: \"n:1\", subject: a, user: u }",
            "missing-key",
            "password",
        ),
        (
            "{ name: a, kind: http, url: \"ftp://x\" }",
            "bad-value",
            "http or https",
        ),
        (
            "{ name: a, kind: elastic, url: \"https://x\" }",
            "missing-key",
            "index",
        ),
        (
            "{ name: a, kind: http, url: \"https://x\", headers: { \"a b\": c } }",
            "bad-value",
            "header",
        ),
        ("{ kind: stdout }", "missing-key", "name"),
        ("{ name: a }", "missing-key", "kind"),
    ] {
        let audit = format!("audit:\n  ship:\n    - {line}\n");
        let text = FULL.replace("audit: { directory: /var/lib/privet/audit }\n", &audit);
        let at = text.lines().position(|l| l.contains(line)).unwrap() as u32 + 1;
        let problems = parse_with(&text, &[]).unwrap_err();
        let told: Vec<String> = problems.iter().map(ToString::to_string).collect();
        let fits = problems.iter().any(|p| {
            p.code == code
                && p.message.contains(words)
                && p.position.as_ref().is_some_and(|p| p.line == at)
        });
        assert!(fits, "{line}: {told:#?}");
    }
    let twice = "audit: { ship: [{ name: a, kind: stdout }, { name: a, kind: stdout }] }\n";
    let text = FULL.replace("audit: { directory: /var/lib/privet/audit }\n", twice);
    assert_eq!(parse_with(&text, &[]).unwrap_err()[0].code, "same-name");
    let plain =
        "audit: { ship: [{ name: a, kind: syslog, address: \"siem.example:514\", tls: false }] }\n";
    let text = FULL.replace("audit: { directory: /var/lib/privet/audit }\n", plain);
    let warnings = parse_with(&text, &[]).unwrap().warnings;
    assert!(
        warnings.iter().any(|w| w.code == "plain-receiver"),
        "{warnings:?}"
    );
}

/// The keys that the reader knows where a section has one that nobody knows, from its own words.
fn known_keys(text: &str) -> std::collections::BTreeSet<String> {
    let found = parse_with(text, &[]).unwrap_err();
    let unknown = found
        .iter()
        .find(|d| d.code == "unknown-key" && d.message.contains("qqqqqqqqqqqqqqqq"));
    let help = unknown.and_then(|d| d.help.clone());
    let help = help.unwrap_or_else(|| panic!("{text}: {found:?}"));
    let keys = help.strip_prefix("known keys: ").unwrap();
    keys.split(", ").map(str::to_owned).collect()
}

/// Editors complete and accept what the reader reads, no more and no less: each object of the schema is a section.
#[test]
fn the_schema_of_privet_yaml_has_the_keys_that_the_reader_knows() {
    let schema: serde_json::Value = serde_json::from_str(include_str!(
        "../engine/workbench/schemas/privet.schema.json"
    ))
    .unwrap();
    let api = "/properties/apis/additionalProperties";
    let jwt = "/properties/identity/properties/jwt/items";
    let q = "qqqqqqqqqqqqqqqq: 1";
    let mut sections = vec![
        (String::new(), q.to_owned()),
        (
            "/properties/policies/anyOf/1".to_owned(),
            format!("policies: {{ {q} }}"),
        ),
        (
            "/properties/listen".to_owned(),
            format!("listen: {{ {q} }}"),
        ),
        (
            "/properties/listen/properties/tls".to_owned(),
            format!("listen: {{ tls: {{ {q} }} }}"),
        ),
        ("/properties/admin".to_owned(), format!("admin: {{ {q} }}")),
        (
            "/properties/identity".to_owned(),
            format!("identity: {{ {q} }}"),
        ),
        (
            "/properties/identity/properties/purpose".to_owned(),
            format!("identity: {{ purpose: {{ {q} }} }}"),
        ),
        (
            jwt.to_owned(),
            format!("identity: {{ jwt: [ {{ {q} }} ] }}"),
        ),
        (
            format!("{jwt}/properties/hmac"),
            format!("identity: {{ jwt: [ {{ issuer: a, audience: b, hmac: {{ {q} }} }} ] }}"),
        ),
        (
            format!("{jwt}/properties/mfa"),
            format!(
                "identity: {{ jwt: [ {{ issuer: a, audience: b, jwks: c, mfa: {{ {q} }} }} ] }}"
            ),
        ),
        (
            format!("{jwt}/properties/claims"),
            format!(
                "identity: {{ jwt: [ {{ issuer: a, audience: b, jwks: c, claims: {{ {q} }} }} ] }}"
            ),
        ),
        (api.to_owned(), format!("apis: {{ crm: {{ {q} }} }}")),
        (
            format!("{api}/properties/upstream"),
            format!("apis: {{ crm: {{ upstream: {{ {q} }} }} }}"),
        ),
        (
            format!("{api}/properties/credential"),
            format!("apis: {{ crm: {{ credential: {{ {q} }} }} }}"),
        ),
        (
            format!("{api}/properties/versions"),
            format!("apis: {{ crm: {{ versions: {{ {q} }} }} }}"),
        ),
        (
            "/properties/limits".to_owned(),
            format!("limits: {{ {q} }}"),
        ),
        ("/properties/audit".to_owned(), format!("audit: {{ {q} }}")),
        ("/properties/log".to_owned(), format!("log: {{ {q} }}")),
    ];
    let receivers = [
        ("witness_http", "url: \"https://r.example\""),
        ("alert_webhook", "url: \"https://r.example\""),
    ];
    let sinks = [
        ("file", "path: a"),
        ("stdout", ""),
        ("syslog", "address: \"r.example:1\""),
        ("http", "url: \"https://r.example\""),
        ("elastic", "url: \"https://r.example\", index: i"),
        ("nats", "address: \"r.example:1\", subject: s"),
    ];
    let certificate = format!("client_certificate: {{ {q} }}");
    for (name, needs) in receivers {
        let at = format!("/properties/audit/properties/{name}");
        let below = format!("{at}/properties/client_certificate");
        sections.push((at, format!("audit: {{ {name}: {{ {needs}, {q} }} }}")));
        sections.push((
            below,
            format!("audit: {{ {name}: {{ {needs}, {certificate} }} }}"),
        ));
    }
    for (index, (kind, needs)) in sinks.iter().enumerate() {
        let at = format!("/properties/audit/properties/ship/items/oneOf/{index}");
        let comma = if needs.is_empty() { "" } else { "," };
        let sink = |inner: &str| {
            format!("audit: {{ ship: [ {{ name: n, kind: {kind}{comma} {needs}, {inner} }} ] }}")
        };
        if index >= 2 {
            let below = format!("{at}/properties/client_certificate");
            sections.push((below, sink(&certificate)));
        }
        sections.push((at, sink(q)));
    }
    for (pointer, text) in &sections {
        let of_schema = schema.pointer(&format!("{pointer}/properties")).unwrap();
        let of_schema: std::collections::BTreeSet<String> =
            of_schema.as_object().unwrap().keys().cloned().collect();
        assert_eq!(of_schema, known_keys(text), "{pointer}");
    }
    // No object of the schema was left out above.
    fn objects(node: &serde_json::Value) -> usize {
        let below: usize = match node {
            serde_json::Value::Object(all) => all.values().map(objects).sum(),
            serde_json::Value::Array(all) => all.iter().map(objects).sum(),
            _ => 0,
        };
        let named = node["additionalProperties"] == false;
        below + usize::from(named)
    }
    assert_eq!(objects(&schema), sections.len());
}
