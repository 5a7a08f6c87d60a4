//! Sessions: `pvs_<base64url>`, what a login with an API key gives.
//!
//! A session is sealed under the key ring, so every replica with the same ring accepts it, before and after a restart,
//! and there is no list of sessions to keep. It names the API key that began it and is good no longer than that key.

use std::sync::Arc;

use super::api_key::{ApiKeyGrant, MARK_BYTES};
use crate::engine::secret::Secret;
use crate::engine::token::Sealer;

/// What every session begins with, so that secret scanners find a lost one.
pub const PREFIX: &str = "pvs_";
/// First byte of what is sealed.
const VERSION: u8 = 1;
/// Tolerance for a replica whose clock is behind the one that began a session, seconds.
const CLOCK_LEEWAY_S: i64 = 60;

/// Begins and opens the sessions of one tenant.
#[derive(Debug)]
pub struct Sessions {
    sealer: Arc<Sealer>,
    lifetime_s: i64,
}

/// What stands in a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Public id of the API key that began it.
    pub key_id: Arc<str>,
    /// What tells that key from another one of the same id.
    pub mark: [u8; MARK_BYTES],
    /// Unix seconds of the login.
    pub issued_s: i64,
    /// Unix seconds from which it is no longer good.
    pub expires_s: i64,
}

/// A session that begins now.
#[derive(Debug)]
pub struct Began {
    /// What the client sends from now on.
    pub bearer: Secret<String>,
    /// What the API key grants.
    pub grant: ApiKeyGrant,
    /// Unix seconds of the login.
    pub issued_s: i64,
    /// How long it lasts, seconds.
    pub lifetime_s: i64,
}

impl Sessions {
    /// With the sealer of the tenant's sessions; each lasts `lifetime_s` seconds.
    pub fn new(sealer: Arc<Sealer>, lifetime_s: i64) -> Self {
        Self { sealer, lifetime_s }
    }

    /// A session of the key that `grant` came of. `None` without a key ring.
    pub(super) fn begin(
        &self,
        grant: ApiKeyGrant,
        mark: [u8; MARK_BYTES],
        now_s: i64,
    ) -> Option<Began> {
        let expires_s = now_s.checked_add(self.lifetime_s)?;
        let mut plain = vec![VERSION];
        plain.extend_from_slice(&now_s.to_be_bytes());
        plain.extend_from_slice(&expires_s.to_be_bytes());
        plain.extend_from_slice(&mark);
        plain.extend_from_slice(grant.key_id.as_bytes());
        let sealed = self.sealer.seal(&plain);
        if sealed.is_empty() {
            return None;
        }
        Some(Began {
            bearer: Secret::new(format!("{PREFIX}{sealed}")),
            grant,
            issued_s: now_s,
            lifetime_s: self.lifetime_s,
        })
    }

    /// What stands in `bearer`, if it is a session of this tenant and not over at `now_s` (Unix seconds).
    pub fn open(&self, bearer: &str, now_s: i64) -> Option<Session> {
        let plain = self.sealer.open(bearer.strip_prefix(PREFIX)?)?;
        let (version, rest) = plain.split_first()?;
        let (issued, rest) = rest.split_first_chunk::<8>()?;
        let (expires, rest) = rest.split_first_chunk::<8>()?;
        let (mark, key_id) = rest.split_first_chunk::<MARK_BYTES>()?;
        let session = Session {
            key_id: std::str::from_utf8(key_id).ok()?.into(),
            mark: *mark,
            issued_s: i64::from_be_bytes(*issued),
            expires_s: i64::from_be_bytes(*expires),
        };
        let now = session.issued_s.saturating_sub(CLOCK_LEEWAY_S)..session.expires_s;
        (*version == VERSION && now.contains(&now_s)).then_some(session)
    }
}

/// Whether `bearer` has the shape of a session, good or not.
pub fn is_session(bearer: &str) -> bool {
    bearer.starts_with(PREFIX)
}

#[cfg(test)]
mod tests {
    use super::super::Proof;
    use super::super::api_key::{self, KeyFile, NewKey};
    use super::super::jwt::Verifier;
    use super::super::verifiers::Verifiers;
    use super::*;
    use crate::engine::token::KeyRing;

    const NOW_S: i64 = 1_800_000_000;

    struct Installation {
        ring: KeyRing,
        lines: String,
        key: String,
    }

    fn installed() -> Installation {
        let ring = KeyRing::generate(&[1; 64]);
        let new = NewKey {
            client: "service-desk",
            roles: &["agent".to_owned()],
            region: Some("eu"),
            expires: "2999-01-01T00:00:00Z",
        };
        let (key, line) = api_key::issue(new, [3; 5], &[4; 32], &ring.api_key_pepper());
        Installation {
            ring,
            lines: line + "\n",
            key: key.expose_secret().clone(),
        }
    }

    fn verifiers(ring: &KeyRing, lines: &str, tenant: &str) -> Verifiers {
        Verifiers {
            api_keys: Some(KeyFile::parse("f", lines, ring.api_key_pepper()).unwrap()),
            sessions: Some(Sessions::new(ring.session_sealer(tenant), 3_600)),
            jwt: Verifier::default(),
        }
    }

    #[test]
    fn a_login_begins_a_session_that_every_replica_accepts_until_it_ends() {
        let i = installed();
        let here = verifiers(&i.ring, &i.lines, "acme");
        let began = here.log_in("service-desk", &i.key, NOW_S).unwrap();
        let bearer = began.bearer.expose_secret();
        assert!(bearer.starts_with("pvs_") && !bearer.contains(&i.key[10..]));
        for replica in [&here, &verifiers(&i.ring, &i.lines, "acme")] {
            let grant = replica.verify(bearer, NOW_S + 3_599).unwrap();
            assert_eq!(&*grant.subject, "service-desk");
            assert_eq!(&*grant.roles[0], "agent");
            assert!(matches!(grant.proof, Proof::Session { .. }));
            assert_eq!(grant.auth_time_s, None);
            assert!(replica.verify(bearer, NOW_S + 3_600).is_err());
            assert!(replica.verify(bearer, NOW_S - 61).is_err());
        }
        // After a rotation of the ring, too.
        let rotated = i.ring.rotate(&[9; 64]).unwrap();
        let there = verifiers(&rotated, &i.lines, "acme");
        assert!(there.verify(bearer, NOW_S).is_ok());
        let other = verifiers(&i.ring, &i.lines, "other");
        assert!(other.verify(bearer, NOW_S).is_err());
    }

    #[test]
    fn a_session_ends_with_its_key() {
        let i = installed();
        let bearer = verifiers(&i.ring, &i.lines, "acme")
            .log_in("service-desk", &i.key, NOW_S)
            .unwrap()
            .bearer;
        let id = i.key[4..].split_once('_').unwrap().0;
        let revoked = api_key::revoke(&i.lines, id, "2027-01-01T00:00:00Z").unwrap();
        let expired = i.lines.replace("2999-", "2020-");
        // Another key under the same id.
        let hash = i.lines.find("\"hash\":\"").unwrap() + 8;
        let mut replaced = i.lines.clone();
        replaced.replace_range(hash..hash + 4, "0000");
        for lines in [&revoked, &expired, &replaced, &String::new()] {
            let then = verifiers(&i.ring, lines, "acme");
            assert!(then.verify(bearer.expose_secret(), NOW_S).is_err());
        }
    }

    #[test]
    fn no_changed_text_is_a_session() {
        let i = installed();
        let v = verifiers(&i.ring, &i.lines, "acme");
        let began = v.log_in("service-desk", &i.key, NOW_S).unwrap();
        let bearer = began.bearer.expose_secret();
        for index in 0..bearer.len() {
            let mut bytes = bearer.clone().into_bytes();
            bytes[index] ^= 1;
            let changed = String::from_utf8(bytes).unwrap();
            assert!(v.verify(&changed, NOW_S).is_err(), "{changed}");
        }
        // A cursor of the same ring and tenant is none.
        let cursor = i.ring.sealer("acme").seal(&[1; 40]);
        assert!(v.verify(&format!("pvs_{cursor}"), NOW_S).is_err());
        assert!(i.ring.sealer("acme").open(&bearer[4..]).is_none());
    }

    #[test]
    fn names_and_keys_as_crm_clients_spell_them() {
        let i = installed();
        let v = verifiers(&i.ring, &i.lines, "acme");
        let with_token = format!("{}AbCdEf0123456789AbCdEf01", i.key);
        for (name, key) in [
            ("service-desk", &i.key),
            ("service-desk@acme.example", &i.key),
            ("service-desk", &with_token),
        ] {
            assert!(v.log_in(name, key, NOW_S).is_ok(), "{name}");
        }
        let wrong = i.key.replace("pvt_", "pvt_a");
        let long = format!("{}{}", i.key, "A".repeat(33));
        let odd = format!("{}-", i.key);
        for (name, key) in [
            ("service-des", &i.key),
            ("service-deskx", &i.key),
            ("", &i.key),
            ("service-desk", &wrong),
            ("service-desk", &long),
            ("service-desk", &odd),
            ("service-desk", &String::new()),
        ] {
            assert!(v.log_in(name, key, NOW_S).is_err(), "{name} {key}");
        }
    }
}
