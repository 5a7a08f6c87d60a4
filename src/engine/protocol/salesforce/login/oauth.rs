//! OAuth 2.0 (RFC 6749) as far as privet speaks it: the client credentials grant and the password grant, with client
//! name and API key; introspection (RFC 7662) of a client's own sessions.

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::Credentials;
use super::who::Who;
use crate::engine::identity::session::Began;
use crate::engine::identity::verifiers::Open;
use crate::engine::secret::Secret;

/// Longest form that is read, bytes.
pub const FORM_BYTES_MAX: usize = 16 << 10;

/// An error in OAuth's own words (RFC 6749, section 5.2). Holds nothing of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {description}")]
pub struct OAuthError {
    /// `error`.
    pub code: &'static str,
    /// `error_description`.
    pub description: &'static str,
    /// HTTP status.
    pub status: u16,
}

const fn error(code: &'static str, description: &'static str) -> OAuthError {
    OAuthError {
        code,
        description,
        status: 400,
    }
}

/// The form cannot be read, or says too little or too much.
pub const MALFORMED: OAuthError = error("invalid_request", "the request is not acceptable");
/// Any grant but the two, and whatever begins a person's login.
pub const UNSUPPORTED_GRANT: OAuthError =
    error("unsupported_grant_type", "grant type not supported");
/// A person's login.
pub const UNSUPPORTED_RESPONSE: OAuthError = error(
    "unsupported_response_type",
    "logins of people in a browser are not open through this proxy",
);
/// A revocation: a session ends by its time and with its API key.
pub const UNSUPPORTED_REVOCATION: OAuthError = error(
    "unsupported_token_type",
    "a session ends by its time, or with its API key",
);
/// Too many failures of late.
pub const TOO_MANY: OAuthError = error("invalid_grant", "login rate exceeded");
/// A method that the endpoint does not take.
pub const METHOD: OAuthError = OAuthError {
    code: "invalid_request",
    description: "HTTP method not allowed",
    status: 405,
};
/// Client name or API key is wrong, in the client credentials grant and at introspection.
const INVALID_CLIENT: OAuthError = error("invalid_client", "invalid client credentials");
/// The same in the password grant.
const INVALID_GRANT: OAuthError = error("invalid_grant", "authentication failure");

impl OAuthError {
    /// The body.
    pub fn body(&self) -> Value {
        json!({ "error": self.code, "error_description": self.description })
    }
}

/// How a client asks for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    ClientCredentials,
    Password,
}

/// A request for a session.
#[derive(Debug)]
pub struct TokenRequest {
    grant: Grant,
    /// Who asks, with what.
    pub credentials: Credentials,
    /// What signs the answer.
    secret: Secret<String>,
}

impl TokenRequest {
    /// How a wrong name or key is answered.
    pub fn wrong(&self) -> OAuthError {
        match self.grant {
            Grant::ClientCredentials => INVALID_CLIENT,
            Grant::Password => INVALID_GRANT,
        }
    }

    /// The answer that gives the session.
    pub fn answer(&self, who: &Who<'_>, began: &Began) -> Value {
        let issued_at = format!("{}000", began.issued_s);
        let mut answer = json!({
            "access_token": began.bearer.expose_secret(),
            "instance_url": who.origin,
            "id": who.url(),
            "token_type": "Bearer",
            "issued_at": issued_at,
            "expires_in": began.lifetime_s,
            "signature": who.signature(&issued_at, self.secret.expose_secret()),
        });
        if let (Grant::ClientCredentials, Some(answer)) = (self.grant, answer.as_object_mut()) {
            answer.insert("scope".to_owned(), json!("api"));
            answer.insert("api_instance_url".to_owned(), json!(who.origin));
        }
        answer
    }
}

/// The parameters of a form, each once.
struct Form(Vec<(String, Secret<String>)>);

impl Form {
    /// Reads `application/x-www-form-urlencoded`, strictly.
    fn read(body: &[u8]) -> Result<Self, OAuthError> {
        if body.len() > FORM_BYTES_MAX {
            return Err(MALFORMED);
        }
        let text = std::str::from_utf8(body).map_err(|_| MALFORMED)?;
        let mut pairs: Vec<(String, Secret<String>)> = Vec::new();
        for pair in text.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (name, value) = (decode(name)?, decode(value)?);
            // RFC 6749, section 3.2: parameters must not stand twice.
            if pairs.iter().any(|(n, _)| *n == name) {
                return Err(MALFORMED);
            }
            pairs.push((name, Secret::new(value)));
        }
        Ok(Self(pairs))
    }

    /// A parameter; an empty one counts as left out (RFC 6749, section 3.1).
    fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(n, _)| n == name)?;
        Some(value.expose_secret().as_str()).filter(|v| !v.is_empty())
    }
}

fn decode(text: &str) -> Result<String, OAuthError> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        match b {
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2).ok_or(MALFORMED)?;
                let byte = data_encoding::HEXUPPER_PERMISSIVE.decode(digits);
                bytes.extend(byte.map_err(|_| MALFORMED)?);
                rest = tail;
            }
            b'+' => bytes.push(b' '),
            _ => bytes.push(b),
        }
    }
    let text = String::from_utf8(bytes).map_err(|_| MALFORMED)?;
    if text.chars().any(char::is_control) {
        return Err(MALFORMED);
    }
    Ok(text)
}

/// Client name and secret of an `Authorization: Basic` (RFC 6749, section 2.3.1; RFC 7617). simple-salesforce does not
/// form-encode them first as the RFC asks; names and API keys hold nothing that this would change.
fn basic(header: &str) -> Result<Credentials, OAuthError> {
    let (scheme, text) = header.split_once(' ').ok_or(MALFORMED)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(MALFORMED);
    }
    let bytes = BASE64.decode(text.trim().as_bytes());
    let text = String::from_utf8(bytes.map_err(|_| MALFORMED)?).map_err(|_| MALFORMED)?;
    let (client, key) = text.split_once(':').ok_or(MALFORMED)?;
    Ok(Credentials {
        client: decode(client)?,
        key: Secret::new(key.to_owned()),
    })
}

/// The client's own credentials: in the header or in the form, never in both.
fn client(authorization: Option<&str>, form: &Form) -> Result<Option<Credentials>, OAuthError> {
    let written = form.get("client_id").zip(form.get("client_secret"));
    match (authorization, written) {
        (Some(_), Some(_)) => Err(MALFORMED),
        (Some(header), None) => basic(header).map(Some),
        (None, Some((client, key))) => Ok(Some(Credentials {
            client: client.to_owned(),
            key: Secret::new(key.to_owned()),
        })),
        (None, None) => Ok(None),
    }
}

/// Reads the body of a POST to `…/token`. `authorization`: that header, if there is one.
///
/// In the password grant the user name is the client's name and the password its API key; `client_id` and
/// `client_secret` name a connected app of the CRM, of which privet knows nothing, and prove nothing.
///
/// # Errors
/// What cannot be read, and every other grant.
pub fn token_request(authorization: Option<&str>, body: &[u8]) -> Result<TokenRequest, OAuthError> {
    let form = Form::read(body)?;
    if form.get("format").is_some_and(|f| f != "json") {
        return Err(MALFORMED);
    }
    match form.get("grant_type") {
        Some("client_credentials") => {
            let credentials = client(authorization, &form)?.ok_or(INVALID_CLIENT)?;
            let secret = credentials.key.clone();
            Ok(TokenRequest {
                grant: Grant::ClientCredentials,
                credentials,
                secret,
            })
        }
        Some("password") => {
            let pair = form.get("username").zip(form.get("password"));
            let (name, key) = pair.ok_or(MALFORMED)?;
            let app = client(authorization, &form)?.map(|c| c.key);
            let key = Secret::new(key.to_owned());
            Ok(TokenRequest {
                grant: Grant::Password,
                secret: app.unwrap_or_else(|| key.clone()),
                credentials: Credentials {
                    client: name.to_owned(),
                    key,
                },
            })
        }
        Some(_) => Err(UNSUPPORTED_GRANT),
        None => Err(MALFORMED),
    }
}

/// A question about a token.
#[derive(Debug)]
pub struct Introspection {
    /// Who asks, with what.
    pub credentials: Credentials,
    /// What it asks about.
    pub token: Secret<String>,
}

/// Reads the body of a POST to `…/introspect`.
///
/// # Errors
/// What cannot be read, or names no client.
pub fn introspection(
    authorization: Option<&str>,
    body: &[u8],
) -> Result<Introspection, OAuthError> {
    let form = Form::read(body)?;
    let token = form.get("token").ok_or(MALFORMED)?.to_owned();
    Ok(Introspection {
        credentials: client(authorization, &form)?.ok_or(INVALID_CLIENT)?,
        token: Secret::new(token),
    })
}

impl Introspection {
    /// How a wrong name or key is answered.
    pub fn wrong(&self) -> OAuthError {
        INVALID_CLIENT
    }

    /// The answer. `session`: what the token still grants; a client learns of its own sessions alone.
    pub fn answer(&self, who: &Who<'_>, session: Option<&Open>) -> Value {
        match session {
            Some(open) if &*open.grant.client == who.name => json!({
                "active": true,
                "scope": "api",
                "client_id": who.name,
                "username": who.name,
                "sub": who.url(),
                "token_type": "access_token",
                "exp": open.session.expires_s,
                "iat": open.session.issued_s,
                "nbf": open.session.issued_s,
            }),
            _ => json!({ "active": false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(body: &str) -> Result<TokenRequest, OAuthError> {
        token_request(None, body.as_bytes())
    }

    #[test]
    fn two_grants_are_read() {
        let one =
            asked("grant_type=client_credentials&client_id=desk&client_secret=pvt_x").unwrap();
        assert_eq!(one.credentials.client, "desk");
        assert_eq!(one.credentials.key.expose_secret(), "pvt_x");
        let header = format!("Basic {}", BASE64.encode(b"desk:pvt_y"));
        let two = token_request(Some(&header), b"grant_type=client_credentials").unwrap();
        assert_eq!(two.credentials.key.expose_secret(), "pvt_y");
        let three = asked(
            "grant_type=password&client_id=app&client_secret=s&username=desk%40a.b&password=pvt_z+",
        )
        .unwrap();
        assert_eq!(three.credentials.client, "desk@a.b");
        assert_eq!(three.credentials.key.expose_secret(), "pvt_z ");
        assert_eq!(three.wrong().code, "invalid_grant");
        assert_eq!(format!("{three:?}").matches("pvt").count(), 0);
    }

    #[test]
    fn everything_else_is_refused() {
        for grant in [
            "refresh_token",
            "authorization_code",
            "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer",
            "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange",
            "urn:ietf:params:oauth:grant-type:saml2-bearer",
        ] {
            let body = format!("grant_type={grant}&client_id=a&client_secret=b&refresh_token=c");
            assert_eq!(asked(&body).unwrap_err(), UNSUPPORTED_GRANT, "{grant}");
        }
        for (body, code) in [
            ("", "invalid_request"),
            ("grant_type=password&username=a", "invalid_request"),
            ("grant_type=client_credentials", "invalid_client"),
            (
                "grant_type=client_credentials&client_id=a",
                "invalid_client",
            ),
            (
                "grant_type=password&grant_type=password&username=a&password=b",
                "invalid_request",
            ),
            (
                "grant_type=password&username=a%0Ab&password=b",
                "invalid_request",
            ),
            (
                "grant_type=password&username=a%&password=b",
                "invalid_request",
            ),
            (
                "grant_type=password&username=a&password=b&format=xml",
                "invalid_request",
            ),
            (
                "grant_type=password&username=%ff&password=b",
                "invalid_request",
            ),
        ] {
            assert_eq!(asked(body).unwrap_err().code, code, "{body}");
        }
        let both = b"grant_type=client_credentials&client_id=a&client_secret=b";
        assert_eq!(
            token_request(Some("Basic YTpi"), both).unwrap_err(),
            MALFORMED
        );
        let long = format!("grant_type=password&x={}", "a".repeat(FORM_BYTES_MAX));
        assert_eq!(asked(&long).unwrap_err(), MALFORMED);
    }
}
