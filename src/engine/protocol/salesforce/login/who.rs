//! Who a client is, as Salesforce tells it: an organisation, a user, and where to find its services.
//!
//! The ids are made of tenant and client, so they are the same on every replica and after every restart; they lead to
//! no user of the CRM. Every URL begins with privet's own origin.

use data_encoding::BASE64;
use ring::{digest, hmac};
use serde_json::{Map, Value, json};

use super::super::unknown_path;
use crate::engine::refusal::Refusal;
use crate::engine::token::long_record_id;

/// The services that identity answers name, and the path of each; `{version}` stays for the client to fill in.
const SERVICES: [(&str, &str); 6] = [
    ("enterprise", "/services/Soap/c/{version}/"),
    ("partner", "/services/Soap/u/{version}/"),
    ("rest", "/services/data/v{version}/"),
    ("sobjects", "/services/data/v{version}/sobjects/"),
    ("search", "/services/data/v{version}/search/"),
    ("query", "/services/data/v{version}/query/"),
];

/// One client of one tenant.
#[derive(Debug)]
pub struct Who<'a> {
    /// privet's own origin, without a final slash.
    pub origin: &'a str,
    /// The tenant.
    pub tenant: &'a str,
    /// The client, or the subject of another credential.
    pub name: &'a str,
}

/// A record id of `prefix` that stands for `text`.
fn made_up(prefix: &str, text: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let hash = digest::digest(&digest::SHA256, format!("{prefix}|{text}").as_bytes());
    let mut id = String::from(prefix);
    // Twelve characters of 256 mod 62 are skewed a little, which nobody is to rely on.
    for byte in hash.as_ref().iter().take(12) {
        id.push(char::from(DIGITS[usize::from(byte % 62)]));
    }
    long_record_id(&id).into_owned()
}

impl Who<'_> {
    /// Id of the organisation.
    pub fn organisation(&self) -> String {
        made_up("00D", self.tenant)
    }

    /// Id of the user.
    pub fn user(&self) -> String {
        made_up("005", &format!("{}|{}", self.tenant, self.name))
    }

    /// The identity URL.
    pub fn url(&self) -> String {
        format!("{}/id/{}/{}", self.origin, self.organisation(), self.user())
    }

    fn urls(&self) -> Map<String, Value> {
        SERVICES
            .iter()
            .map(|(name, path)| ((*name).to_owned(), json!(format!("{}{path}", self.origin))))
            .collect()
    }

    /// The answer at the identity URL. The path must name this client: another one does not exist.
    ///
    /// # Errors
    /// 404.
    pub fn identity(&self, organisation: &str, user: &str) -> Result<Value, Refusal> {
        let mine = |asked: &str, own: &str| long_record_id(asked) == own;
        if !mine(organisation, &self.organisation()) || !mine(user, &self.user()) {
            return Err(unknown_path());
        }
        Ok(json!({
            "id": self.url(),
            "asserted_user": true,
            "user_id": self.user(),
            "organization_id": self.organisation(),
            "username": self.name,
            "nick_name": self.name,
            "display_name": self.name,
            "active": true,
            "user_type": "STANDARD",
            "language": "en_US",
            "locale": "en_US",
            "utcOffset": 0,
            "urls": self.urls(),
        }))
    }

    /// The answer of `userinfo` (OpenID Connect Core 1.0, section 5.3).
    pub fn user_info(&self) -> Value {
        json!({
            "sub": self.url(),
            "user_id": self.user(),
            "organization_id": self.organisation(),
            "preferred_username": self.name,
            "nickname": self.name,
            "name": self.name,
            "user_type": "STANDARD",
            "language": "en_US",
            "locale": "en_US",
            "utcOffset": 0,
            "active": true,
            "urls": self.urls(),
        })
    }

    /// The signature of a token answer: base64 of the HMAC-SHA256 of identity URL and issue time under the client's
    /// secret, so that the client can tell that its identity URL came from who knows that secret.
    pub fn signature(&self, issued_at: &str, secret: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let text = format!("{}{issued_at}", self.url());
        BASE64.encode(hmac::sign(&key, text.as_bytes()).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: Who<'static> = Who {
        origin: "https://crm.test",
        tenant: "acme",
        name: "service-desk",
    };

    #[test]
    fn ids_are_record_ids_that_stay() {
        let (organisation, user) = (WHO.organisation(), WHO.user());
        assert!(organisation.starts_with("00D") && organisation.len() == 18);
        assert!(user.starts_with("005") && user.len() == 18);
        assert_eq!(user, WHO.user());
        let other = Who { name: "bi", ..WHO };
        assert_ne!(user, other.user());
        assert_eq!(organisation, other.organisation());
    }

    #[test]
    fn an_identity_url_shows_its_own_client_alone() {
        let (organisation, user) = (WHO.organisation(), WHO.user());
        let shown = WHO.identity(&organisation, &user[..15]).unwrap();
        assert_eq!(
            shown["id"],
            format!("https://crm.test/id/{organisation}/{user}")
        );
        let other = Who { name: "bi", ..WHO };
        assert!(other.identity(&organisation, &user).is_err());
        assert!(WHO.identity("00D000000000001", &user).is_err());
        for answer in [shown, WHO.user_info()] {
            for url in answer["urls"].as_object().unwrap().values() {
                assert!(
                    url.as_str()
                        .unwrap()
                        .starts_with("https://crm.test/services/")
                );
            }
            assert_eq!(answer.get("email"), None);
        }
    }
}
