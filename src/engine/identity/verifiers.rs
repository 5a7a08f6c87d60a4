//! Everything that can prove who asks, as one value that is swapped whole at a reload.

use std::sync::Arc;

use super::Proof;
use super::api_key::{self, KeyFile};
use super::jwt::{Rejected, Verifier};

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

/// API keys and trusted issuers.
#[derive(Debug, Default)]
pub struct Verifiers {
    /// The file of API keys, if there is one.
    pub api_keys: Option<KeyFile>,
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
            return Ok(Grant {
                subject: grant.client.clone(),
                client: Some(grant.client),
                roles: grant.roles,
                region: grant.region,
                proof: Proof::ApiKey {
                    key_id: grant.key_id,
                },
                mfa: None,
                auth_time_s: None,
                purpose: None,
            });
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
}
