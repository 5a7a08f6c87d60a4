//! What the operator wrote (`privet.yaml`, `PRIVET_SECTION__KEY`) → [`Settings`]: checked, immutable, every
//! problem reported at once.

mod apis;
pub mod bundle;
mod effective;
pub mod folder;
mod identity;
mod overrides;
mod reader;
mod settings;
mod shipping;
mod surroundings;
pub mod trust;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;

use crate::diagnostic::{Diagnostic, Severity};
use crate::engine::protocol::Dialect;
use crate::engine::secret::Secret;
use crate::yaml;

pub use effective::effective;
pub use shipping::{ClientTls, Destination, HttpReceiver, Receiver, Shipment};
pub use surroundings::{Machine, Surroundings};

/// Everything that `privet run` needs to know.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bound into every token.
    pub tenant: Arc<str>,
    /// The policy folder.
    pub policies: PathBuf,
    /// Where the live set comes from instead of the folder.
    pub bundle: Option<bundle::BundleSettings>,
    /// The key ring file.
    pub keys: PathBuf,
    /// The state folder.
    pub state: PathBuf,
    /// The client listener.
    pub listen: Listen,
    /// The admin listener.
    pub admin: Admin,
    /// How callers are verified.
    pub identity: IdentitySettings,
    /// Upstream APIs by name.
    pub apis: BTreeMap<Arc<str>, ApiSettings>,
    /// Limits and time-outs.
    pub limits: Limits,
    /// The audit folder.
    pub audit_directory: PathBuf,
    /// The rest of `audit:`.
    pub audit: AuditSettings,
    /// Log output.
    pub log: LogSettings,
}

/// `audit:`, beside its folder.
#[derive(Debug, Clone, Default)]
pub struct AuditSettings {
    /// A file outside the folder that gets a copy of each checkpoint.
    pub witness: Option<PathBuf>,
    /// Records older than this may be removed, days.
    pub keep_days: Option<u32>,
    /// The oldest records may be removed while all of them are bigger than this, bytes.
    pub keep_bytes: Option<u64>,
    /// Whether answers are recorded with the pseudonyms of the records that they showed.
    pub ledger: bool,
    /// Where records go besides.
    pub ship: Vec<Shipment>,
    /// Most bytes of records that wait for a sink; beyond it requests are answered 503.
    pub spool_bytes_max: Option<u64>,
    /// A receiver that gets each signed checkpoint by POST.
    pub witness_http: Option<HttpReceiver>,
    /// A receiver that gets each alert by POST, as `{"text": …}`.
    pub alert_webhook: Option<HttpReceiver>,
}

/// `listen:`.
#[derive(Debug, Clone)]
pub struct Listen {
    /// Address and port; port 0 = any free one.
    pub address: SocketAddr,
    /// Certificate and key files; `None` = plain HTTP, loopback only.
    pub tls: Option<TlsFiles>,
    /// Where links in answers lead, an origin without a final slash; its authority is the allowed Host.
    pub public_url: Arc<str>,
    /// Peers whose `X-Request-Id` and `X-Forwarded-For` count.
    pub trusted_proxies: Vec<IpNet>,
}

/// Certificate chain and key, PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// Chain, leaf first.
    pub certificate: PathBuf,
    /// PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// `admin:`.
#[derive(Debug, Clone)]
pub struct Admin {
    /// Address and port.
    pub address: SocketAddr,
    /// Token of operators, who may look at the pages and reload. Without any token there are no pages.
    pub token: Option<Secret<String>>,
    /// Token of viewers, who may only look.
    pub viewer_token: Option<Secret<String>>,
}

/// `identity:`.
#[derive(Debug, Clone)]
pub struct IdentitySettings {
    /// JSON lines of keyed hashes.
    pub api_keys: Option<PathBuf>,
    /// Header that asks for a purpose.
    pub purpose_header: Option<Arc<str>>,
    /// Claim that asks for a purpose.
    pub purpose_claim: Option<Arc<str>>,
    /// Accepted issuers.
    pub jwt: Vec<JwtIssuer>,
    /// How long a session lasts that a login began, seconds.
    pub session_lifetime_s: i64,
}

impl Default for IdentitySettings {
    fn default() -> Self {
        Self {
            api_keys: None,
            purpose_header: None,
            purpose_claim: None,
            jwt: Vec::new(),
            // As long as a Salesforce org's by default.
            session_lifetime_s: 2 * 3_600,
        }
    }
}

/// One entry of `identity.jwt`.
#[derive(Debug, Clone)]
pub struct JwtIssuer {
    /// Exact `iss`.
    pub issuer: Arc<str>,
    /// One of `aud`.
    pub audience: Arc<str>,
    /// JWKS file; or
    pub jwks: Option<PathBuf>,
    /// one HMAC key.
    pub hmac: Option<HmacKey>,
    /// Accepted `typ`; empty = any.
    pub types: Vec<Arc<str>>,
    /// Clock leeway, seconds.
    pub leeway_s: i64,
    /// Longest `exp - iat`, seconds.
    pub lifetime_s_max: i64,
    /// `amr` values that mean MFA.
    pub mfa_amr: Vec<Arc<str>>,
    /// `acr` values that mean MFA.
    pub mfa_acr: Vec<Arc<str>>,
    /// Names of claims.
    pub claims: ClaimNames,
}

/// An HS256 key of the configuration.
#[derive(Debug, Clone)]
pub struct HmacKey {
    /// Key id that the token must name.
    pub kid: Arc<str>,
    /// The key, at least 32 bytes.
    pub key: Secret<Vec<u8>>,
}

/// Which claim says what.
#[derive(Debug, Clone)]
pub struct ClaimNames {
    /// Person or service.
    pub subject: Arc<str>,
    /// Client application.
    pub client: Arc<str>,
    /// Roles.
    pub roles: Arc<str>,
    /// Region.
    pub region: Arc<str>,
    /// Tenant.
    pub tenant: Arc<str>,
    /// Time of sign-in.
    pub auth_time: Arc<str>,
}

impl Default for ClaimNames {
    fn default() -> Self {
        Self {
            subject: "sub".into(),
            client: "azp".into(),
            roles: "roles".into(),
            region: "region".into(),
            tenant: "tenant".into(),
            auth_time: "auth_time".into(),
        }
    }
}

/// One entry of `apis:`.
#[derive(Debug, Clone)]
pub struct ApiSettings {
    /// Its dialect.
    pub dialect: Dialect,
    /// Path prefixes, each beginning and ending as written; the longest that begins the path wins.
    pub paths: Vec<Arc<str>>,
    /// Upstream origin, such as `https://acme.my.salesforce.com`, without a final slash.
    pub upstream_url: Arc<str>,
    /// Whom to trust there.
    pub trust: Trust,
    /// privet's own credential.
    pub credential: Credential,
    /// Accepted API versions (Salesforce), inclusive.
    pub versions: (u16, u16),
    /// Enforce or observe.
    pub mode: Mode,
    /// Which answers may be compressed towards clients.
    pub compress: Compress,
    /// Largest inflated upstream body, bytes.
    pub inflated_bytes_max: u64,
}

/// `trust:`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    /// The machine's root store.
    System,
    /// Mozilla's roots, compiled in.
    Bundled,
    /// A PEM file.
    File(PathBuf),
}

/// `credential:`.
#[derive(Debug, Clone)]
pub enum Credential {
    /// OAuth 2.0 client credentials at `<upstream>/services/oauth2/token` or `token_url`.
    ClientCredentials {
        /// Client id.
        client_id: Arc<str>,
        /// Client secret.
        client_secret: Secret<String>,
        /// Token endpoint; `None` = Salesforce's on the upstream.
        token_url: Option<Arc<str>>,
    },
    /// A bearer token.
    Bearer(Secret<String>),
    /// The client's own credential goes upstream.
    Passthrough,
}

/// `mode:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Treat.
    Enforce,
    /// Pass untreated until this time (Unix seconds), then enforce.
    Observe {
        /// `observe_until`.
        until_s: i64,
    },
}

/// `compress:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compress {
    /// Bulk and file answers only.
    Files,
    /// API answers too (BREACH).
    Api,
}

/// `log:`.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// `json` or `text`.
    pub json: bool,
    /// tracing level: error, warn, info, debug, trace.
    pub level: Arc<str>,
}

/// `limits:`. Sources: adversarial rules H11 and H12 of the plan; units are in the names.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest request target.
    pub target_bytes_max: usize,
    /// Largest request head.
    pub head_bytes_max: usize,
    /// Most header fields.
    pub head_fields_max: usize,
    /// Largest request body.
    pub request_body_bytes_max: usize,
    /// Largest request body that goes upstream while it arrives, as it comes and decoded.
    pub upload_bytes_max: usize,
    /// TLS handshake.
    pub handshake_ms: u64,
    /// Request head.
    pub head_ms: u64,
    /// Longest silence in a request or response body.
    pub body_idle_ms: u64,
    /// Slowest body, bytes per second, over any idle window.
    pub body_bytes_per_s_min: u64,
    /// Longest wait for a slow reader.
    pub write_stall_ms: u64,
    /// Connect to the upstream.
    pub connect_ms: u64,
    /// Until the upstream's response head.
    pub upstream_head_ms: u64,
    /// Idle connections kept open to clients.
    pub keep_alive_ms: u64,
    /// Idle pooled upstream connections.
    pub upstream_idle_ms: u64,
    /// Longest drain on SIGTERM.
    pub drain_ms: u64,
    /// Longest held record.
    pub held_bytes_max: usize,
    /// Connections in total.
    pub connections_max: usize,
    /// HTTP/2 streams per connection.
    pub h2_streams_max: u32,
    /// Inflation ratio after the first MiB.
    pub inflation_ratio_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            target_bytes_max: 16 << 10,
            head_bytes_max: 32 << 10,
            head_fields_max: 64,
            request_body_bytes_max: 1 << 20,
            upload_bytes_max: 150 << 20,
            handshake_ms: 5_000,
            head_ms: 10_000,
            body_idle_ms: 15_000,
            body_bytes_per_s_min: 256,
            write_stall_ms: 30_000,
            connect_ms: 5_000,
            upstream_head_ms: 30_000,
            keep_alive_ms: 60_000,
            upstream_idle_ms: 20_000,
            drain_ms: 30_000,
            held_bytes_max: 64 << 10,
            connections_max: 10_000,
            h2_streams_max: 100,
            inflation_ratio_max: 100,
        }
    }
}

/// A setting in milliseconds as a duration.
pub fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What [`load_with_warnings`] gives.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// What somebody should look at.
    pub warnings: Vec<Diagnostic>,
}

/// Reads and checks `path` with the overrides of the environment. Errors: every problem, in file order.
pub fn load(path: &Path, surroundings: &dyn Surroundings) -> Result<Settings, Vec<Diagnostic>> {
    load_with_warnings(path, surroundings).map(|loaded| loaded.settings)
}

/// [`load`], and the warnings of a configuration that loads.
pub fn load_with_warnings(
    path: &Path,
    surroundings: &dyn Surroundings,
) -> Result<Loaded, Vec<Diagnostic>> {
    let text = read_file(path, surroundings)?;
    parse(path, &text, surroundings)
}

/// [`load_with_warnings`] for a text that was read already; relative paths start at the folder of `path`.
pub fn parse(
    path: &Path,
    text: &str,
    surroundings: &dyn Surroundings,
) -> Result<Loaded, Vec<Diagnostic>> {
    let (settings, problems) = with_tree(path, text, surroundings, settings::read)?;
    let failed = problems.iter().any(|p| p.severity == Severity::Error);
    match settings {
        Some(settings) if !failed => Ok(Loaded {
            settings,
            warnings: problems,
        }),
        _ => Err(problems),
    }
}

/// The files that `privet keys` works on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPlaces {
    /// `keys`.
    pub keys: Option<PathBuf>,
    /// `identity.api_keys`.
    pub api_keys: Option<PathBuf>,
    /// `policies`, or its default.
    pub policies: Option<PathBuf>,
}

/// Where the keys are, and nothing else: the other settings may still be wrong, or their secrets missing, when the
/// first key is made.
pub fn key_places(
    path: &Path,
    surroundings: &dyn Surroundings,
) -> Result<KeyPlaces, Vec<Diagnostic>> {
    let text = read_file(path, surroundings)?;
    let (places, problems) = with_tree(path, &text, surroundings, settings::key_places)?;
    match places {
        Some(places) if problems.is_empty() => Ok(places),
        _ => Err(problems),
    }
}

fn read_file(path: &Path, surroundings: &dyn Surroundings) -> Result<String, Vec<Diagnostic>> {
    surroundings.read(path).map_err(|e| {
        let message = format!("cannot read `{}`: {}", path.display(), e.kind());
        vec![Diagnostic::error("file", None, message)]
    })
}

/// Runs `read` over the tree of `text` with the overrides laid over it. Gives what it read and every problem.
fn with_tree<T>(
    path: &Path,
    text: &str,
    surroundings: &dyn Surroundings,
    read: impl FnOnce(&mut reader::Reader<'_>, &yaml::Node) -> Option<T>,
) -> Result<(Option<T>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let file: Arc<str> = path.to_string_lossy().into();
    let mut root = yaml::parse(&file, text).map_err(|d| vec![reader::discreet(d)])?;
    if matches!(root.value, yaml::Value::Null) {
        root.value = yaml::Value::Map(Vec::new());
    }
    let variables = surroundings.variables();
    let mut problems = Vec::new();
    overrides::apply(&mut root, &variables, &settings::SECTIONS, &mut problems);
    let mut reader = reader::Reader {
        surroundings,
        file: &file,
        variables: &variables,
        base: path.parent().unwrap_or(Path::new("")),
        lines: text.lines().collect(),
        problems,
    };
    let result = read(&mut reader, &root);
    let mut problems = reader.problems;
    // In file order; what came from the environment has no line and stands last.
    problems.sort_by_key(|p| {
        p.position
            .as_ref()
            .map_or((u32::MAX, 0), |p| (p.line.wrapping_sub(1), p.column))
    });
    Ok((result, problems))
}

/// A date (its first second, UTC) or an RFC 3339 time, as Unix seconds.
pub fn unix_seconds(text: &str) -> Option<i64> {
    if let Ok(time) = text.parse::<jiff::Timestamp>() {
        return Some(time.as_second());
    }
    let date: jiff::civil::Date = text.parse().ok()?;
    let midnight = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(midnight.timestamp().as_second())
}

#[cfg(test)]
mod tests;
