//! Who asks, and what proved it. The verifiers in this folder are pure: they get the key material and the time.

pub mod api_key;
pub mod jwks;
mod jws;
pub mod jwt;
pub mod session;
mod strict_json;
pub mod verifiers;

use std::net::IpAddr;
use std::sync::Arc;

/// What proved the identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// An API key, by its public key id.
    ApiKey {
        /// Public id of the key, such as `k_9f3c`; never the key.
        key_id: Arc<str>,
    },
    /// A session of ours, begun by a login with an API key.
    Session {
        /// Public id of that key.
        key_id: Arc<str>,
    },
    /// A JWT.
    Jwt {
        /// Its issuer, as configured.
        issuer: Arc<str>,
        /// The verifying key's id.
        key_id: Arc<str>,
    },
    /// The client's own CRM credential, passed on unread (`passthrough`, observe mode).
    Passthrough,
}

/// A verified caller, with the facts of this request that policies may ask about.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The person or service: `sub` of the token, or the API key's client name.
    pub subject: Arc<str>,
    /// The client application: name of the API key's client, or the token's client claim.
    pub client: Option<Arc<str>>,
    /// Roles as claimed, without prefix. Only well-formed names (`^[A-Za-z0-9_.:@-]{1,128}$`).
    pub roles: Vec<Arc<str>>,
    /// Region as claimed.
    pub region: Option<Arc<str>>,
    /// Tenant of the configuration (a token of another tenant was refused).
    pub tenant: Arc<str>,
    /// What proved it.
    pub proof: Proof,
    /// Whether a second factor was used; `None` = not said.
    pub mfa: Option<bool>,
    /// When the person signed in (`auth_time`), Unix seconds.
    pub auth_time_s: Option<i64>,
    /// The purpose that the request's header or the token's claim asks for.
    pub purpose_asked: Option<Arc<str>>,
    /// The time of the request, Unix seconds.
    pub now_s: i64,
    /// The caller's network address (behind trusted proxies, the forwarded one).
    pub address: Option<IpAddr>,
}

/// Whether `name` may be a role, subject or client: `^[A-Za-z0-9_.:@-]{1,128}$`.
pub fn is_well_formed_name(name: &str) -> bool {
    (1..=128).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'@' | b'-'))
}

/// Whether `subject` may be a subject: a well-formed name, or one with the marks that identity providers put into
/// theirs (`auth0|5f7c…`, base64). Those with such marks can be recorded but never named by a rule.
pub fn is_well_formed_subject(subject: &str) -> bool {
    (1..=128).contains(&subject.len())
        && subject.bytes().all(|b| {
            b.is_ascii_alphanumeric()
                || matches!(
                    b,
                    b'_' | b'.' | b':' | b'@' | b'-' | b'|' | b'+' | b'/' | b'='
                )
        })
}
