//! JWT access tokens (RFC 7519, RFC 8725, RFC 9068): a JWS whose claims this configuration trusts.

use std::sync::Arc;

use super::jwks::Jwks;
use super::jws::Jws;
use super::strict_json::Json;
use super::{is_well_formed_name, is_well_formed_subject};

/// More roles than any policy can mean.
const ROLES_MAX: usize = 256;

/// Which claim says what. A name that no claim has is read as a path: `realm_access.roles`.
#[derive(Debug, Clone)]
pub struct Claims {
    /// Person or service.
    pub subject: Arc<str>,
    /// Client application; where it is `azp` and absent, `client_id` is read (RFC 9068).
    pub client: Arc<str>,
    /// Roles: a list of texts.
    pub roles: Arc<str>,
    /// Region.
    pub region: Arc<str>,
    /// Tenant.
    pub tenant: Arc<str>,
    /// Time of sign-in.
    pub auth_time: Arc<str>,
    /// Purpose asked for, if tokens may ask.
    pub purpose: Option<Arc<str>>,
}

/// One issuer that is trusted, and for what.
#[derive(Debug, Clone)]
pub struct Issuer {
    /// Exact `iss`.
    pub issuer: Arc<str>,
    /// Must be among `aud`.
    pub audience: Arc<str>,
    /// The tenant that a token must name.
    pub tenant: Arc<str>,
    /// Its keys.
    pub keys: Jwks,
    /// Accepted `typ`, compared as media types; empty = any, or none.
    pub types: Vec<Arc<str>>,
    /// Clock leeway, seconds.
    pub leeway_s: i64,
    /// Longest `exp - iat`, seconds.
    pub lifetime_s_max: i64,
    /// `amr` values that mean a second factor.
    pub mfa_amr: Vec<Arc<str>>,
    /// `acr` values that mean a second factor.
    pub mfa_acr: Vec<Arc<str>>,
    /// Names of claims.
    pub claims: Claims,
}

/// What a good token grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JwtGrant {
    /// The issuer, as configured.
    pub issuer: Arc<str>,
    /// Id of the key that verified.
    pub key_id: Arc<str>,
    /// The person or service.
    pub subject: Arc<str>,
    /// The client application.
    pub client: Option<Arc<str>>,
    /// Well-formed roles, each once.
    pub roles: Vec<Arc<str>>,
    /// Region as claimed.
    pub region: Option<Arc<str>>,
    /// Tenant as configured, and as the token says.
    pub tenant: Arc<str>,
    /// Whether a second factor was used; `None` = the token has neither `amr` nor `acr`.
    pub mfa: Option<bool>,
    /// When the person signed in, Unix seconds.
    pub auth_time_s: Option<i64>,
    /// The purpose asked for.
    pub purpose: Option<Arc<str>>,
}

/// Why a token is refused: a fixed phrase for audit and log, never for the client, never a claim's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Rejected(pub &'static str);

/// Verifies tokens of the configured issuers.
#[derive(Debug, Clone, Default)]
pub struct Verifier {
    issuers: Vec<Issuer>,
}

impl Verifier {
    /// A verifier that trusts `issuers` and nobody else. The same `iss` may stand there for several audiences.
    pub fn new(issuers: Vec<Issuer>) -> Self {
        Self { issuers }
    }

    /// The issuers, as given.
    pub fn issuers(&self) -> &[Issuer] {
        &self.issuers
    }

    /// Verifies `token` at `now_s` (Unix seconds). Never fetches a key, whatever the token names.
    pub fn verify(&self, token: &str, now_s: i64) -> Result<JwtGrant, Rejected> {
        let jws = Jws::parse(token).map_err(Rejected)?;
        let issuer = match jws.claims.get("iss") {
            Some(Json::Text(issuer)) => issuer.as_str(),
            _ => return Err(Rejected("iss is missing or not a text")),
        };
        let mut rejected = Rejected("unknown issuer");
        for trusted in self.issuers.iter().filter(|i| *i.issuer == *issuer) {
            match trusted.verify(&jws, now_s) {
                Ok(grant) => return Ok(grant),
                Err(why) => rejected = why,
            }
        }
        Err(rejected)
    }
}

impl Issuer {
    fn verify(&self, jws: &Jws<'_>, now_s: i64) -> Result<JwtGrant, Rejected> {
        let key = self.keys.get(&jws.kid).ok_or(Rejected("unknown kid"))?;
        if !key.algorithm.has_name(&jws.alg) {
            return Err(Rejected("alg is not the key's"));
        }
        if !key
            .algorithm
            .verify(&key.material, jws.message, &jws.signature)
        {
            return Err(Rejected("bad signature"));
        }
        // From here on the issuer said it; whether it may, and now, and to us, is still open.
        self.check_type(jws.typ.as_deref())?;
        self.check_audience(&jws.claims)?;
        self.check_times(&jws.claims, now_s)?;
        let claims = &jws.claims;
        match claim(claims, &self.claims.tenant).map(Json::text) {
            Some(Some(tenant)) if tenant == &*self.tenant => {}
            _ => return Err(Rejected("another tenant, or none")),
        }
        let subject = claim(claims, &self.claims.subject)
            .and_then(Json::text)
            .filter(|subject| is_well_formed_subject(subject))
            .ok_or(Rejected("subject is missing or malformed"))?;
        let client = match name(claims, &self.claims.client)? {
            None if &*self.claims.client == "azp" => name(claims, "client_id")?,
            client => client,
        };
        Ok(JwtGrant {
            issuer: self.issuer.clone(),
            key_id: key.kid.clone(),
            subject: subject.into(),
            client,
            roles: roles(claim(claims, &self.claims.roles))?,
            region: name(claims, &self.claims.region)?,
            tenant: self.tenant.clone(),
            mfa: self.second_factor(claims)?,
            auth_time_s: self.auth_time(claims, now_s)?,
            purpose: match &self.claims.purpose {
                Some(purpose) => name(claims, purpose)?,
                None => None,
            },
        })
    }

    /// RFC 8725 section 3.11; media types may leave `application/` out (RFC 7515 section 4.1.9).
    fn check_type(&self, typ: Option<&str>) -> Result<(), Rejected> {
        fn bare(text: &str) -> &str {
            let prefix = "application/";
            match text.split_at_checked(prefix.len()) {
                Some((p, rest)) if p.eq_ignore_ascii_case(prefix) => rest,
                _ => text,
            }
        }
        let accepted = self.types.is_empty()
            || typ.is_some_and(|typ| {
                self.types
                    .iter()
                    .any(|known| bare(known).eq_ignore_ascii_case(bare(typ)))
            });
        accepted
            .then_some(())
            .ok_or(Rejected("typ is not accepted"))
    }

    fn check_audience(&self, claims: &Json) -> Result<(), Rejected> {
        let audience = claims.get("aud").ok_or(Rejected("no aud"))?;
        let ours = match audience {
            Json::Text(one) => **one == *self.audience,
            list => list
                .texts()
                .is_some_and(|all| all.iter().any(|one| **one == *self.audience)),
        };
        ours.then_some(()).ok_or(Rejected("another audience"))
    }

    /// `exp` and `iat` must be there: without both a lifetime has no bound.
    fn check_times(&self, claims: &Json, now_s: i64) -> Result<(), Rejected> {
        let required = |name, why| time(claims, name)?.ok_or(Rejected(why));
        let expires = required("exp", "no exp")?;
        let issued = required("iat", "no iat")?;
        if now_s >= expires.saturating_add(self.leeway_s) {
            return Err(Rejected("expired"));
        }
        let soon = now_s.saturating_add(self.leeway_s);
        if issued > soon || time(claims, "nbf")?.is_some_and(|nbf| nbf > soon) {
            return Err(Rejected("not valid yet"));
        }
        let lifetime = expires.saturating_sub(issued);
        if !(0..=self.lifetime_s_max).contains(&lifetime) {
            return Err(Rejected("lives too long"));
        }
        Ok(())
    }

    fn second_factor(&self, claims: &Json) -> Result<Option<bool>, Rejected> {
        let amr = match claims.get("amr") {
            None => None,
            Some(list) => Some(list.texts().ok_or(Rejected("amr is not a list of texts"))?),
        };
        let acr = match claims.get("acr") {
            None => None,
            Some(acr) => Some(acr.text().ok_or(Rejected("acr is not a text"))?),
        };
        if amr.is_none() && acr.is_none() {
            return Ok(None);
        }
        let holds = |known: &[Arc<str>], value: &str| known.iter().any(|k| **k == *value);
        let by_amr = amr.is_some_and(|list| list.iter().any(|value| holds(&self.mfa_amr, value)));
        let by_acr = acr.is_some_and(|value| holds(&self.mfa_acr, value));
        Ok(Some(by_amr || by_acr))
    }

    fn auth_time(&self, claims: &Json, now_s: i64) -> Result<Option<i64>, Rejected> {
        let time = match claim(claims, &self.claims.auth_time) {
            None => None,
            Some(value) => Some(seconds(value)?),
        };
        if time.is_some_and(|t| t > now_s.saturating_add(self.leeway_s)) {
            return Err(Rejected("signed in in the future"));
        }
        Ok(time)
    }
}

/// The claim `name`; if there is none, the value at the path `name`.
fn claim<'a>(claims: &'a Json, name: &str) -> Option<&'a Json> {
    claims
        .get(name)
        .or_else(|| name.split('.').try_fold(claims, |at, step| at.get(step)))
}

/// A NumericDate (RFC 7519 section 2), if the claim is there.
fn time(claims: &Json, name: &str) -> Result<Option<i64>, Rejected> {
    claims.get(name).map(seconds).transpose()
}

/// Whole seconds of a NumericDate; a fraction is cut off.
fn seconds(value: &Json) -> Result<i64, Rejected> {
    /// The year 9999 and then some: exact in an f64.
    const SECONDS_MAX: i64 = 1 << 40;
    let whole = match value {
        Json::Integer(n) => Some(*n),
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_precision_loss,
            reason = "inside the range that the guard states the cut is what is meant"
        )]
        Json::Float(n) if (0.0..SECONDS_MAX as f64).contains(n) => Some(*n as i64),
        _ => None,
    };
    whole
        .filter(|n| (0..SECONDS_MAX).contains(n))
        .ok_or(Rejected("a time is not a number of seconds"))
}

/// An optional claim that must be a well-formed name.
fn name(claims: &Json, name: &str) -> Result<Option<Arc<str>>, Rejected> {
    match claim(claims, name) {
        None | Some(Json::Null) => Ok(None),
        Some(Json::Text(text)) if is_well_formed_name(text) => Ok(Some(text.as_str().into())),
        Some(_) => Err(Rejected("client, region or purpose is malformed")),
    }
}

/// Roles are a list of texts. One that cannot be a role's name is no role: the others still count.
fn roles(value: Option<&Json>) -> Result<Vec<Arc<str>>, Rejected> {
    let Some(value) = value else {
        return Ok(Vec::new());
    };
    let names = value
        .texts()
        .filter(|names| names.len() <= ROLES_MAX)
        .ok_or(Rejected("roles are not a list of texts"))?;
    let mut roles: Vec<Arc<str>> = Vec::new();
    for name in names.into_iter().filter(|name| is_well_formed_name(name)) {
        if !roles.iter().any(|known| **known == *name) {
            roles.push(name.into());
        }
    }
    Ok(roles)
}
