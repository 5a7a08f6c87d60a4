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

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;
    use proptest::prelude::*;
    use ring::hmac;

    use super::*;

    const NOW_S: i64 = 1_800_000_000;
    const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

    fn verifier() -> Verifier {
        Verifier::new(vec![Issuer {
            issuer: "https://idp.test/".into(),
            audience: "privet".into(),
            tenant: "acme".into(),
            keys: Jwks::hmac("h1", SECRET).unwrap(),
            types: vec!["at+jwt".into()],
            leeway_s: 60,
            lifetime_s_max: 3600,
            mfa_amr: vec!["mfa".into(), "hwk".into()],
            mfa_acr: vec!["urn:strong".into()],
            claims: Claims {
                subject: "sub".into(),
                client: "azp".into(),
                roles: "realm_access.roles".into(),
                region: "region".into(),
                tenant: "tenant".into(),
                auth_time: "auth_time".into(),
                purpose: Some("purpose".into()),
            },
        }])
    }

    fn sign(header: &str, claims: &str) -> String {
        let message = format!(
            "{}.{}",
            BASE64URL_NOPAD.encode(header.as_bytes()),
            BASE64URL_NOPAD.encode(claims.as_bytes())
        );
        let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
        let tag = hmac::sign(&key, message.as_bytes());
        format!("{message}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
    }

    const HEADER: &str = r#"{"alg":"HS256","kid":"h1","typ":"at+jwt"}"#;

    /// A good claim set with `changes` laid over it; JSON null removes a claim.
    fn claims(changes: serde_json::Value) -> String {
        let mut claims = serde_json::json!({
            "iss": "https://idp.test/", "aud": ["privet"], "sub": "auth0|ana", "tenant": "acme",
            "iat": NOW_S, "exp": NOW_S + 600, "azp": "desk",
            "realm_access": { "roles": ["support", "support", "no role", "lead"] },
        });
        let serde_json::Value::Object(changes) = changes else {
            panic!("an object");
        };
        for (name, value) in changes {
            if value.is_null() {
                claims.as_object_mut().unwrap().remove(&name);
            } else {
                claims[name] = value;
            }
        }
        claims.to_string()
    }

    fn verify(changes: serde_json::Value) -> Result<JwtGrant, Rejected> {
        verifier().verify(&sign(HEADER, &claims(changes)), NOW_S)
    }

    #[test]
    fn a_good_token_grants_what_it_says() {
        let grant = verify(serde_json::json!({
            "region": "eu", "amr": ["pwd", "hwk"], "auth_time": NOW_S - 300, "purpose": "support",
        }))
        .unwrap();
        assert_eq!(&*grant.subject, "auth0|ana");
        assert_eq!(grant.client.as_deref(), Some("desk"));
        assert_eq!(grant.roles, ["support".into(), "lead".into()]);
        assert_eq!(grant.region.as_deref(), Some("eu"));
        assert_eq!(grant.mfa, Some(true));
        assert_eq!(grant.auth_time_s, Some(NOW_S - 300));
        assert_eq!(grant.purpose.as_deref(), Some("support"));
        assert_eq!(&*grant.key_id, "h1");
    }

    #[test]
    fn what_a_token_does_not_say_stays_unknown() {
        let grant = verify(serde_json::json!({ "azp": null, "realm_access": null })).unwrap();
        assert_eq!((grant.mfa, grant.auth_time_s), (None, None));
        assert_eq!(
            (grant.client, grant.region, grant.purpose),
            (None, None, None)
        );
        assert!(grant.roles.is_empty());
        let grant = verify(serde_json::json!({ "azp": null, "client_id": "bi", "amr": ["pwd"] }));
        let grant = grant.unwrap();
        assert_eq!(grant.client.as_deref(), Some("bi"));
        assert_eq!(grant.mfa, Some(false));
        let strong = verify(serde_json::json!({ "acr": "urn:strong" })).unwrap();
        assert_eq!(strong.mfa, Some(true));
    }

    #[test]
    fn times_are_checked_to_the_second_and_never_overflow() {
        for (changes, good) in [
            (
                serde_json::json!({ "iat": NOW_S - 3000, "exp": NOW_S - 59 }),
                true,
            ),
            (
                serde_json::json!({ "iat": NOW_S - 3000, "exp": NOW_S - 60 }),
                false,
            ),
            (serde_json::json!({ "iat": NOW_S + 60 }), true),
            (serde_json::json!({ "iat": NOW_S + 61 }), false),
            (serde_json::json!({ "nbf": NOW_S + 60 }), true),
            (serde_json::json!({ "nbf": NOW_S + 61 }), false),
            (serde_json::json!({ "exp": NOW_S + 3600 }), true),
            (serde_json::json!({ "exp": NOW_S + 3601 }), false),
            (serde_json::json!({ "exp": NOW_S as f64 + 600.5 }), true),
            (serde_json::json!({ "iat": null }), false),
            (serde_json::json!({ "exp": i64::MAX }), false),
            (serde_json::json!({ "iat": i64::MIN }), false),
            (serde_json::json!({ "exp": u64::MAX }), false),
            (serde_json::json!({ "exp": 1e300 }), false),
            (serde_json::json!({ "iat": true }), false),
            (serde_json::json!({ "nbf": "1" }), false),
            (serde_json::json!({ "auth_time": NOW_S + 61 }), false),
            (serde_json::json!({ "auth_time": "1" }), false),
        ] {
            assert_eq!(verify(changes.clone()).is_ok(), good, "{changes}");
        }
        let token = sign(HEADER, &claims(serde_json::json!({})));
        for now_s in [i64::MIN, -1, 0, i64::MAX] {
            assert!(verifier().verify(&token, now_s).is_err());
        }
    }

    #[test]
    fn claims_of_another_type_or_meaning_are_refused() {
        for changes in [
            serde_json::json!({ "aud": "privet2" }),
            serde_json::json!({ "aud": ["privet", 7] }),
            serde_json::json!({ "aud": [] }),
            serde_json::json!({ "tenant": "acme2" }),
            serde_json::json!({ "tenant": ["acme"] }),
            serde_json::json!({ "sub": null }),
            serde_json::json!({ "sub": 7 }),
            serde_json::json!({ "sub": "a b" }),
            serde_json::json!({ "azp": "a,b" }),
            serde_json::json!({ "azp": 7 }),
            serde_json::json!({ "region": ["eu"] }),
            serde_json::json!({ "purpose": "" }),
            serde_json::json!({ "amr": "mfa" }),
            serde_json::json!({ "acr": ["urn:strong"] }),
            serde_json::json!({ "realm_access": { "roles": "support" } }),
            serde_json::json!({ "realm_access": { "roles": ["support", 7] } }),
            serde_json::json!({ "iss": "https://idp.test" }),
        ] {
            assert!(verify(changes.clone()).is_err(), "{changes}");
        }
    }

    #[test]
    fn headers_are_taken_literally() {
        let good = claims(serde_json::json!({}));
        for (header, accepted) in [
            (
                r#"{"alg":"HS256","kid":"h1","typ":"application/AT+JWT"}"#,
                true,
            ),
            (r#"{"alg":"HS256","kid":"h1"}"#, false),
            (r#"{"alg":"HS256","kid":"h1","typ":"JWT"}"#, false),
            (r#"{"alg":"HS256","kid":"h1","typ":7}"#, false),
            (r#"{"alg":"HS256","kid":"H1","typ":"at+jwt"}"#, false),
            (r#"{"alg":"HS256","typ":"at+jwt"}"#, false),
            (r#"{"alg":"hs256","kid":"h1","typ":"at+jwt"}"#, false),
            (
                r#"{"alg":"HS256","kid":"h1","typ":"at+jwt","crit":[]}"#,
                false,
            ),
            (
                r#"{"alg":"HS256","kid":"h1","typ":"at+jwt","zip":null}"#,
                false,
            ),
            (
                r#"{"alg":"HS256","kid":"h1","typ":"at+jwt","x5u":"https://x"}"#,
                false,
            ),
            (r#"["HS256"]"#, false),
        ] {
            let got = verifier().verify(&sign(header, &good), NOW_S);
            assert_eq!(got.is_ok(), accepted, "{header}");
        }
        let padded = claims(serde_json::json!({ "x": "y".repeat(13_000) }));
        assert_eq!(
            verifier().verify(&sign(HEADER, &padded), NOW_S),
            Err(Rejected("too long"))
        );
    }

    proptest! {
        #[test]
        fn no_changed_byte_passes(at in 0_usize..500, bit in 0_u8..7) {
            let mut bytes = sign(HEADER, &claims(serde_json::json!({}))).into_bytes();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            prop_assert!(verifier().verify(&String::from_utf8(bytes).unwrap(), NOW_S).is_err());
        }

        #[test]
        fn garbage_is_refused_quietly(text in "[A-Za-z0-9_.\\-={}\"]{0,200}", claims in "\\PC{0,80}") {
            prop_assert!(verifier().verify(&text, NOW_S).is_err());
            prop_assert!(verifier().verify(&sign(HEADER, &claims), NOW_S).is_err());
        }
    }
}
