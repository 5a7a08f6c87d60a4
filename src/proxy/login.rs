//! Doors that end at privet: logins, and what somebody with a session may ask of privet itself. No upstream is asked.

use std::net::IpAddr;
use std::sync::Arc;

use http::Method;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};

use crate::config::Settings;
use crate::engine::event::What;
use crate::engine::identity::session::Began;
use crate::engine::identity::verifiers::Open;
use crate::engine::identity::{Identity, Proof};
use crate::engine::protocol::salesforce::login::oauth::{self, OAuthError};
use crate::engine::protocol::salesforce::login::soap::{self, Call};
use crate::engine::protocol::salesforce::login::who::Who;
use crate::engine::protocol::salesforce::login::{Credentials, Door};
use crate::engine::protocol::salesforce::soap as soap_api;
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::secret::Secret;

use super::authenticate::{self, Circumstances};
use super::login_rate::LoginRate;
use super::refuse::ErrorShape;
use super::snapshot::Live;

/// Largest body of a SOAP login: nothing is known of its caller.
const LOGIN_BYTES_MAX: usize = 64 << 10;

/// What a door is asked, and what it may look at.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub door: &'a Door,
    pub method: &'a Method,
    /// Decoded, without credentials.
    pub query: &'a [(String, String)],
    pub body: &'a [u8],
    pub headers: &'a HeaderMap,
    pub address: IpAddr,
    /// Unix seconds.
    pub now_s: i64,
    /// The API that the path belongs to.
    pub api: &'a Arc<str>,
    /// Its newest version (major).
    pub newest: u16,
    pub settings: &'a Settings,
    pub live: &'a Live,
    pub rate: &'a LoginRate,
}

/// What a door answers.
#[derive(Debug)]
pub(super) struct Answered {
    pub content_type: HeaderValue,
    pub body: Vec<u8>,
    /// Who it turned out to be; `None` where nobody was asked.
    pub identity: Option<Identity>,
}

/// How a door spells its errors.
pub(super) fn error_shape(door: &Door) -> ErrorShape {
    match door {
        Door::Token | Door::Introspect | Door::Revoke | Door::Authorize => ErrorShape::OAuth,
        Door::UserInfo | Door::Identity { .. } => ErrorShape::Salesforce,
        Door::Soap { .. } => ErrorShape::Soap,
        Door::Wsdl { .. } => ErrorShape::Salesforce,
    }
}

/// Longest body that a door reads, bytes.
pub(super) fn body_bytes_max(door: &Door) -> usize {
    match door {
        Door::Soap { .. } => soap_api::ENVELOPE_BYTES_MAX,
        _ => oauth::FORM_BYTES_MAX,
    }
}

/// What the audit log is told before anything is known of the caller.
pub(super) fn account(asked: &Asked<'_>) -> What {
    What {
        api: Arc::clone(asked.api),
        endpoint: asked.door.endpoint().into(),
        action: "login",
        purpose: "".into(),
        principals: Arc::from([]),
        region: "".into(),
        policy: Arc::clone(asked.live.version()),
        objects: Vec::new(),
        uses: Vec::new(),
        fields: std::collections::BTreeMap::new(),
        rules: Vec::new(),
    }
}

fn oauth_refusal(error: OAuthError) -> Refusal {
    let reason = match error.status {
        405 => Reason::MethodNotAllowed,
        _ => Reason::LoginRefused,
    };
    Refusal::new(reason, error.description).coded(error.code)
}

/// Answers at a door.
///
/// # Errors
/// The refusal, to be spelt as [`error_shape`] says.
pub(super) fn answer(asked: &Asked<'_>) -> Result<Answered, Refusal> {
    let is_oauth = matches!(error_shape(asked.door), ErrorShape::OAuth);
    let reads = *asked.method == Method::GET && asked.door.methods().starts_with("GET");
    if !reads && *asked.method != Method::POST {
        let refusal = Refusal::method_not_allowed(asked.door.methods());
        return Err(if is_oauth {
            refusal.coded(oauth::METHOD.code)
        } else {
            refusal
        });
    }
    match asked.door {
        // A login of a person in a browser, and an end that privet could not keep: refused whatever else is said.
        Door::Authorize => return Err(oauth_refusal(oauth::UNSUPPORTED_RESPONSE)),
        Door::Revoke => return Err(oauth_refusal(oauth::UNSUPPORTED_REVOCATION)),
        _ => {}
    }
    let known = |name: &str, value: &str| match asked.door {
        Door::Token => false,
        Door::Wsdl { .. } => (name, value) == ("type", "*"),
        _ => (name, value) == ("format", "json"),
    };
    if asked.query.iter().any(|(n, v)| !known(n, v)) {
        // A secret in a URL stands in the logs of everything on the way.
        let refusal = Refusal::new(Reason::BadRequest, "unknown query parameter");
        return Err(if is_oauth {
            refusal.coded(oauth::MALFORMED.code)
        } else {
            refusal
        });
    }
    match asked.door {
        Door::Token => token(asked),
        Door::Introspect => introspect(asked),
        Door::UserInfo | Door::Identity { .. } => who_is_it(asked),
        Door::Soap { wsdl, version } => soap_call(asked, *wsdl, version),
        Door::Wsdl { version } => Ok(wsdl(asked, version.as_deref())),
        Door::Authorize | Door::Revoke => Err(oauth_refusal(oauth::MALFORMED)),
    }
}

fn authorization<'a>(asked: &Asked<'a>) -> Result<Option<&'a str>, Refusal> {
    asked
        .headers
        .get(AUTHORIZATION)
        .map(|v| v.to_str())
        .transpose()
        .map_err(|_| oauth_refusal(oauth::MALFORMED))
}

/// A form, and nothing that only looks like one.
fn check_form(asked: &Asked<'_>) -> Result<(), Refusal> {
    let is_form = asked
        .headers
        .get(CONTENT_TYPE)
        .and_then(|v| v.to_str().ok())
        .and_then(|v| v.split(';').next())
        .is_some_and(|v| {
            v.trim()
                .eq_ignore_ascii_case("application/x-www-form-urlencoded")
        });
    if is_form {
        Ok(())
    } else {
        Err(oauth_refusal(oauth::MALFORMED))
    }
}

fn json(body: &serde_json::Value, identity: Identity) -> Answered {
    Answered {
        content_type: HeaderValue::from_static("application/json;charset=UTF-8"),
        body: body.to_string().into_bytes(),
        identity: Some(identity),
    }
}

fn token(asked: &Asked<'_>) -> Result<Answered, Refusal> {
    check_form(asked)?;
    let request = oauth::token_request(authorization(asked)?, asked.body).map_err(oauth_refusal)?;
    let began = log_in(asked, &request.credentials).map_err(|failed| {
        oauth_refusal(match failed {
            Failed::Wrong => request.wrong(),
            Failed::TooMany => oauth::TOO_MANY,
        })
        .detail(failed.word())
    })?;
    let answer = request.answer(&who(asked, &began.grant.client), &began);
    Ok(json(&answer, identity(asked, &began)))
}

fn introspect(asked: &Asked<'_>) -> Result<Answered, Refusal> {
    check_form(asked)?;
    let request = oauth::introspection(authorization(asked)?, asked.body).map_err(oauth_refusal)?;
    let began = log_in(asked, &request.credentials).map_err(|failed| {
        oauth_refusal(match failed {
            Failed::Wrong => request.wrong(),
            Failed::TooMany => oauth::TOO_MANY,
        })
        .detail(failed.word())
    })?;
    let open: Option<Open> = asked
        .live
        .verifiers
        .session(request.token.expose_secret(), asked.now_s);
    let answer = request.answer(&who(asked, &began.grant.client), open.as_ref());
    Ok(json(&answer, identity(asked, &began)))
}

fn who_is_it(asked: &Asked<'_>) -> Result<Answered, Refusal> {
    let identity = authenticated(asked, None)?;
    let name = identity.client.as_deref().unwrap_or(&identity.subject);
    let who = who(asked, name);
    let answer = match asked.door {
        Door::Identity { organisation, user } => who.identity(organisation, user)?,
        _ => who.user_info(),
    };
    Ok(json(&answer, identity))
}

/// The partner WSDL: privet's own address, and nothing that anybody may not know.
fn wsdl(asked: &Asked<'_>, version: Option<&str>) -> Answered {
    let newest = format!("{}.0", asked.newest);
    let origin = &asked.settings.listen.public_url;
    Answered {
        content_type: HeaderValue::from_static("text/xml;charset=UTF-8"),
        body: soap_api::wsdl::partner(origin, version.unwrap_or(&newest)).into_bytes(),
        identity: None,
    }
}

/// The calls that privet answers by itself.
const OWN_CALLS: [&str; 3] = ["getServerTimestamp", "getUserInfo", "logout"];

/// Whether the request at this door is one that goes upstream, and with which session id it comes.
pub(super) fn passes_on(
    door: &Door,
    method: &Method,
    body: &[u8],
) -> Option<Option<Secret<String>>> {
    if !matches!(door, Door::Soap { .. }) || method != Method::POST {
        return None;
    }
    match soap::read(body) {
        Ok(Call::Other { session, name }) if !OWN_CALLS.contains(&&*name) => Some(session),
        _ => None,
    }
}

fn soap_call(asked: &Asked<'_>, wsdl: soap::Wsdl, version: &str) -> Result<Answered, Refusal> {
    match soap::read(asked.body)? {
        Call::Login(_) if asked.body.len() > LOGIN_BYTES_MAX => Err(Refusal::new(
            Reason::BodyTooLarge,
            "a login takes at most 65536 bytes",
        )),
        Call::Login(credentials) => {
            let began = log_in(asked, &credentials).map_err(|failed| {
                let refusal = match failed {
                    Failed::Wrong => Refusal::new(
                        Reason::LoginRefused,
                        "Invalid username, password, security token; or user locked out.",
                    ),
                    Failed::TooMany => Refusal::new(Reason::LoginRefused, "login rate exceeded")
                        .coded("LOGIN_RATE_EXCEEDED"),
                };
                refusal.detail(failed.word())
            })?;
            let who = who(asked, &began.grant.client);
            Ok(Answered {
                content_type: HeaderValue::from_static("text/xml;charset=UTF-8"),
                body: soap::login_response(&who, &began, wsdl, version).into_bytes(),
                identity: Some(identity(asked, &began)),
            })
        }
        Call::Other { session, name } => {
            let session = session.as_ref().map(|s| s.expose_secret().as_str());
            let identity = authenticated(asked, session)?;
            // Sessions are sealed, not stored: an end that could not be kept is not promised.
            let none = || {
                Refusal::new(
                    Reason::EndpointClosed,
                    "logout: a session ends with its time or its API key, and not by itself",
                )
            };
            let now = jiff::Timestamp::from_second(asked.now_s)
                .map_err(|_| Refusal::new(Reason::Internal, "internal error"))?
                .strftime("%Y-%m-%dT%H:%M:%S.000Z")
                .to_string();
            let caller = identity.client.as_deref().unwrap_or(&identity.subject);
            let who = who(asked, caller);
            let lifetime_s = asked.settings.identity.session_lifetime_s;
            let body = soap::own_response(&name, &who, wsdl, lifetime_s, &now).ok_or_else(none)?;
            Ok(Answered {
                content_type: HeaderValue::from_static("text/xml;charset=UTF-8"),
                body: body.into_bytes(),
                identity: Some(identity),
            })
        }
    }
}

/// Why a login gave nothing.
#[derive(Debug, Clone, Copy)]
enum Failed {
    Wrong,
    TooMany,
}

impl Failed {
    fn word(self) -> &'static str {
        match self {
            Self::Wrong => "no good client name and API key",
            Self::TooMany => "too many failed logins from this network",
        }
    }
}

fn log_in(asked: &Asked<'_>, credentials: &Credentials) -> Result<Began, Failed> {
    if !asked.rate.allows(asked.address, asked.now_s) {
        return Err(Failed::TooMany);
    }
    let key = credentials.key.expose_secret();
    asked
        .live
        .verifiers
        .log_in(&credentials.client, key, asked.now_s)
        .map_err(|_| {
            asked.rate.failed(asked.address, asked.now_s);
            Failed::Wrong
        })
}

fn who<'a>(asked: &Asked<'a>, name: &'a str) -> Who<'a> {
    Who {
        origin: &asked.settings.listen.public_url,
        tenant: &asked.settings.tenant,
        name,
    }
}

/// Who logged in, for the audit log.
fn identity(asked: &Asked<'_>, began: &Began) -> Identity {
    Identity {
        subject: Arc::clone(&began.grant.client),
        client: Some(Arc::clone(&began.grant.client)),
        roles: began.grant.roles.clone(),
        region: began.grant.region.clone(),
        tenant: Arc::clone(&asked.settings.tenant),
        proof: Proof::ApiKey {
            key_id: Arc::clone(&began.grant.key_id),
        },
        mfa: None,
        auth_time_s: None,
        purpose_asked: None,
        now_s: asked.now_s,
        address: Some(asked.address),
    }
}

/// Who has a session already. `session`: where it stands elsewhere than in a header.
fn authenticated(asked: &Asked<'_>, session: Option<&str>) -> Result<Identity, Refusal> {
    let circumstances = Circumstances {
        headers: asked.headers,
        session,
        address: Some(asked.address),
        now_s: asked.now_s,
        tenant: &asked.settings.tenant,
        settings: &asked.settings.identity,
    };
    authenticate::authenticate(&circumstances, &asked.live.verifiers, false)
}
