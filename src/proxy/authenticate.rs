//! The credential of a request → [`Identity`], or the only 401 there is.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use http::header::AUTHORIZATION;

use crate::config::IdentitySettings;
use crate::engine::identity::verifiers::Verifiers;
use crate::engine::identity::{Identity, Proof, api_key, is_well_formed_name, session};
use crate::engine::refusal::{Reason, Refusal};

/// Where Bulk API 1.0 has its session id.
const SESSION_HEADER: &str = "x-sfdc-session";

/// How every bad credential is answered: the text never tells why.
fn unauthenticated() -> Refusal {
    Refusal::new(Reason::Unauthenticated, "Session expired or invalid")
}

/// Facts of the request that do not depend on the credential.
#[derive(Debug)]
pub struct Circumstances<'a> {
    /// The client's headers, before credentials are taken out; the head has been checked.
    pub headers: &'a HeaderMap,
    /// A session id that stands elsewhere than in a header.
    pub session: Option<&'a str>,
    /// The caller's address.
    pub address: Option<IpAddr>,
    /// Unix seconds.
    pub now_s: i64,
    /// `tenant:`.
    pub tenant: &'a Arc<str>,
    /// `identity:`.
    pub settings: &'a IdentitySettings,
}

/// Verifies the bearer token. `passthrough`: the API takes the client's own CRM credential, which is passed on
/// unread; it must be there all the same.
///
/// # Errors
/// 401 for no or a bad credential; 403 for a purpose that cannot be a name.
pub fn authenticate(
    request: &Circumstances<'_>,
    verifiers: &Verifiers,
    passthrough: bool,
) -> Result<Identity, Refusal> {
    let bearer = match request.session.filter(|_| !passthrough) {
        Some(session) => Some(session).filter(|s| is_token(s)),
        None => bearer(request.headers, passthrough),
    };
    let bearer = bearer.ok_or_else(unauthenticated)?;
    let mut identity = Identity {
        subject: "passthrough".into(),
        client: None,
        roles: Vec::new(),
        region: None,
        tenant: Arc::clone(request.tenant),
        proof: Proof::Passthrough,
        mfa: None,
        auth_time_s: None,
        purpose_asked: None,
        now_s: request.now_s,
        address: request.address,
    };
    if passthrough {
        // Nothing is known of the caller; the upstream judges its credential. One of ours is none of its business.
        if bearer.starts_with(api_key::PREFIX) || bearer.starts_with(session::PREFIX) {
            return Err(unauthenticated().detail("a credential of privet's own"));
        }
    } else {
        let grant = verifiers
            .verify(bearer, request.now_s)
            .map_err(|rejected| unauthenticated().detail(rejected.0))?;
        identity.subject = grant.subject;
        identity.client = grant.client;
        identity.roles = grant.roles;
        identity.region = grant.region;
        identity.proof = grant.proof;
        identity.mfa = grant.mfa;
        identity.auth_time_s = grant.auth_time_s;
        identity.purpose_asked = grant.purpose;
    }
    if let Some(name) = &request.settings.purpose_header
        && let Some(value) = request.headers.get(&**name)
    {
        let purpose = value
            .to_str()
            .ok()
            .filter(|p| is_well_formed_name(p))
            .ok_or_else(|| {
                Refusal::new(
                    Reason::PurposeNotGranted,
                    "this purpose is not granted to the client",
                )
            })?;
        identity.purpose_asked = Some(purpose.into());
    }
    Ok(identity)
}

/// The token of the one `Authorization: Bearer …` (RFC 6750; `OAuth` is Salesforce's older word for it), or the session
/// id of Bulk API 1.0's header.
fn bearer(headers: &HeaderMap, passthrough: bool) -> Option<&str> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        let session = headers.get(SESSION_HEADER).filter(|_| !passthrough)?;
        return session.to_str().ok().map(str::trim).filter(|s| is_token(s));
    };
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    let known = scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("oauth");
    (known && is_token(token)).then_some(token)
}

fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}
