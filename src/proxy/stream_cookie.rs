//! Cookies of a streaming upstream: they lead back to the server that knows the conversation ("Clients and Cookies for
//! Streaming API", Streaming API Developer Guide). The client carries them for privet in one cookie of privet's own,
//! sealed for its caller, so that any replica finds them and none has to keep them.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::{COOKIE, HeaderMap, HeaderValue, SET_COOKIE};
use serde::{Deserialize, Serialize};

use crate::engine::identity::Identity;
use crate::engine::token::Sealer;

/// The cookie.
const NAME: &str = "privet-stream";
/// Most cookies of an upstream that are carried, and their longest name and value in bytes.
const COOKIES_MAX: usize = 8;
const TEXT_MAX: usize = 256;
/// Longest cookie that browsers take, in bytes (RFC 6265, section 6.1).
const COOKIE_BYTES_MAX: usize = 4096;

/// The upstream's cookies, for one caller.
#[derive(Clone, Serialize, Deserialize)]
pub struct Jar {
    /// Tells it from whatever else is sealed.
    jar: u8,
    api: Arc<str>,
    subject: Arc<str>,
    client: Option<Arc<str>>,
    cookies: BTreeMap<String, String>,
}

impl std::fmt::Debug for Jar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Jar({})", self.cookies.len())
    }
}

impl Jar {
    /// What the client brings; empty where that is not its own.
    pub fn of(headers: &HeaderMap, api: &Arc<str>, caller: &Identity, sealer: &Sealer) -> Self {
        let own = Self {
            jar: 1,
            api: api.clone(),
            subject: caller.subject.clone(),
            client: caller.client.clone(),
            cookies: BTreeMap::new(),
        };
        let sealed = headers
            .get_all(COOKIE)
            .iter()
            .filter_map(|v| v.to_str().ok())
            .flat_map(|v| v.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .find(|(name, _)| *name == NAME);
        let found: Option<Self> = sealed
            .and_then(|(_, sealed)| sealer.open(sealed))
            .and_then(|plain| serde_json::from_slice(&plain).ok());
        let same = |jar: &Self| {
            (jar.jar, &jar.api, &jar.subject, &jar.client)
                == (own.jar, &own.api, &own.subject, &own.client)
        };
        found.filter(same).unwrap_or(own)
    }

    /// The `Cookie` header for the upstream.
    pub fn header(&self) -> Option<HeaderValue> {
        let pairs: Vec<String> = self
            .cookies
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let mut value = HeaderValue::from_str(&pairs.join("; ")).ok()?;
        value.set_sensitive(true);
        (!pairs.is_empty()).then_some(value)
    }

    /// Takes the upstream's new cookies, and gives the `Set-Cookie` for the client if that changed something.
    pub fn take(
        &mut self,
        answered: &HeaderMap,
        sealer: &Sealer,
        tls: bool,
    ) -> Option<HeaderValue> {
        let before = self.cookies.clone();
        for text in answered
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|v| v.to_str().ok())
        {
            let pair = text.split(';').next().unwrap_or_default();
            let Some((name, value)) = pair.trim().split_once('=') else {
                continue;
            };
            if !is_cookie(name) || !is_cookie(value) {
                continue;
            }
            if value.is_empty() {
                self.cookies.remove(name);
            } else if self.cookies.len() < COOKIES_MAX || self.cookies.contains_key(name) {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        if self.cookies == before {
            return None;
        }
        let sealed = sealer.seal(&serde_json::to_vec(self).ok()?);
        let secure = if tls { "; Secure" } else { "" };
        let text = format!("{NAME}={sealed}; Path=/cometd; HttpOnly; SameSite=Strict{secure}");
        let value = HeaderValue::from_str(&text).ok()?;
        (text.len() <= COOKIE_BYTES_MAX).then_some(value)
    }
}

/// A name or value without what would end it (RFC 6265, section 4.1.1).
fn is_cookie(text: &str) -> bool {
    text.len() <= TEXT_MAX
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b',' | b';' | b'\\'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::identity::Proof;
    use crate::engine::token::KeyRing;

    fn caller(subject: &str) -> Identity {
        Identity {
            subject: subject.into(),
            client: Some("bi".into()),
            roles: Vec::new(),
            region: None,
            tenant: "acme".into(),
            proof: Proof::Passthrough,
            mfa: None,
            auth_time_s: None,
            purpose_asked: None,
            now_s: 0,
            address: None,
        }
    }

    #[test]
    fn cookies_travel_sealed_and_return_for_their_caller() {
        let sealer = KeyRing::generate(&[5; 64]).sealer("acme");
        let api: Arc<str> = "salesforce".into();
        let mut jar = Jar::of(&HeaderMap::new(), &api, &caller("ana"), &sealer);
        assert_eq!(jar.header(), None);
        let mut answered = HeaderMap::new();
        for text in [
            "BAYEUX_BROWSER=f00-x; Path=/; Domain=acme.my.example",
            "lb-1=a.b; Secure",
            "evil=a\"b",
        ] {
            answered.append(SET_COOKIE, text.parse().unwrap());
        }
        let set = jar.take(&answered, &sealer, true).unwrap();
        let set = set.to_str().unwrap();
        assert!(set.ends_with("; Path=/cometd; HttpOnly; SameSite=Strict; Secure"));
        assert!(!set.contains("f00-x") && !set.contains("acme"));
        assert_eq!(jar.take(&answered, &sealer, true), None);

        let mut sent = HeaderMap::new();
        let pair = set.split(';').next().unwrap();
        sent.insert(COOKIE, format!("a=b; {pair}").parse().unwrap());
        let back = Jar::of(&sent, &api, &caller("ana"), &sealer);
        assert_eq!(back.header().unwrap(), "BAYEUX_BROWSER=f00-x; lb-1=a.b");
        assert_eq!(Jar::of(&sent, &api, &caller("bob"), &sealer).header(), None);
        let other: Arc<str> = "people".into();
        assert_eq!(
            Jar::of(&sent, &other, &caller("ana"), &sealer).header(),
            None
        );
    }
}
