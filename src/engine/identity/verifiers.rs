//! Everything that can prove who asks, as one value that is swapped whole at a reload.

use std::sync::Arc;

use super::Proof;
use super::api_key::{self, ApiKeyGrant, KeyFile};
use super::jwt::{Rejected, Verifier};
use super::session::{self, Began, Sessions};

/// What a good credential proves, whichever kind it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Person or service.
    pub subject: Arc<str>,
    /// Client application.
    pub client: Option<Arc<str>>,
    /// Roles.
    pub roles: Vec<Arc<str>>,
    /// Region.
    pub region: Option<Arc<str>>,
    /// What proved it.
    pub proof: Proof,
    /// Whether a second factor was used; `None` = not said.
    pub mfa: Option<bool>,
    /// When the person signed in, Unix seconds.
    pub auth_time_s: Option<i64>,
    /// The purpose that the token itself asks for.
    pub purpose: Option<Arc<str>>,
}

/// API keys, the sessions they began, and trusted issuers.
#[derive(Debug, Default)]
pub struct Verifiers {
    /// The file of API keys, if there is one.
    pub api_keys: Option<KeyFile>,
    /// What logins give; `None` = nobody can log in.
    pub sessions: Option<Sessions>,
    /// The trusted issuers.
    pub jwt: Verifier,
}

impl Verifiers {
    /// What `bearer` proves at `now_s` (Unix seconds). The reason of a refusal is for audit and log alone: clients
    /// get one answer for all of them.
    pub fn verify(&self, bearer: &str, now_s: i64) -> Result<Grant, Rejected> {
        if api_key::is_api_key(bearer) {
            let keys = self.api_keys.as_ref();
            let grant = keys
                .and_then(|keys| keys.verify(bearer, now_s))
                .ok_or(Rejected("unknown, expired or revoked API key"))?;
            let proof = Proof::ApiKey {
                key_id: grant.key_id.clone(),
            };
            return Ok(Grant::of_client(grant, proof));
        }
        if session::is_session(bearer) {
            let grant = self
                .session(bearer, now_s)
                .ok_or(Rejected("unknown, expired or revoked session"))?
                .grant;
            let proof = Proof::Session {
                key_id: grant.key_id.clone(),
            };
            return Ok(Grant::of_client(grant, proof));
        }
        let grant = self.jwt.verify(bearer, now_s)?;
        Ok(Grant {
            subject: grant.subject,
            client: grant.client,
            roles: grant.roles,
            region: grant.region,
            proof: Proof::Jwt {
                issuer: grant.issuer,
                key_id: grant.key_id,
            },
            mfa: grant.mfa,
            auth_time_s: grant.auth_time_s,
            purpose: grant.purpose,
        })
    }

    /// What the session `bearer` still grants at `now_s`. As long as its API key is good, and no longer.
    pub fn session(&self, bearer: &str, now_s: i64) -> Option<Open> {
        let session = self.sessions.as_ref()?.open(bearer, now_s)?;
        let keys = self.api_keys.as_ref()?;
        let grant = keys.still_grants(&session.key_id, &session.mark, now_s)?;
        Some(Open { grant, session })
    }

    /// A login with the name of a client and its API key, at `now_s`: the session that it begins. `key` may have a CRM's
    /// security token behind it. One reason for every failure.
    ///
    /// # Errors
    /// No such key, another client's, expired, revoked, or nobody can log in.
    pub fn log_in(&self, client: &str, key: &str, now_s: i64) -> Result<Began, Rejected> {
        let rejected = Rejected("no good client name and API key");
        let keys = self.api_keys.as_ref().ok_or(rejected)?;
        let sessions = self.sessions.as_ref().ok_or(rejected)?;
        let key = api_key::leading(key).ok_or(rejected)?;
        let grant = keys.verify(key, now_s).ok_or(rejected)?;
        if !names(client, &grant.client) {
            return Err(rejected);
        }
        let mark = keys.mark(&grant.key_id).ok_or(rejected)?;
        sessions.begin(grant, mark, now_s).ok_or(rejected)
    }
}

/// A session that still grants something.
#[derive(Debug, Clone)]
pub struct Open {
    /// What.
    pub grant: ApiKeyGrant,
    /// Since when, and how long.
    pub session: session::Session,
}

impl Grant {
    fn of_client(grant: ApiKeyGrant, proof: Proof) -> Self {
        Self {
            subject: grant.client.clone(),
            client: Some(grant.client),
            roles: grant.roles,
            region: grant.region,
            proof,
            mfa: None,
            // No person signed in, whatever the age of a session.
            auth_time_s: None,
            purpose: None,
        }
    }
}

/// Whether `written` names the client: its name, or its name as a user of some domain (`name@acme.example`), which is
/// how CRM clients spell user names.
fn names(written: &str, client: &str) -> bool {
    written
        .strip_prefix(client)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('@'))
}
