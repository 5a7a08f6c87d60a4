//! The key ring file: every secret of the installation, from which all others are derived.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use data_encoding::BASE64;
use ring::hmac;
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use zeroize::Zeroizing;

use super::cipher::{SivKey, derive};
use super::sealer::Sealer;
use super::tokenizer::{TokenKey, Tokenizer};
use crate::diagnostic::{Diagnostic, Position};
use crate::engine::secret::Secret;

/// Bytes of one ring secret.
const SECRET_BYTES: usize = 64;
/// More keys than anybody rotates to; each costs a look at every token.
const KEYS_MAX: usize = 64;

/// What a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyState {
    /// Makes and opens. Exactly one key of a ring.
    Active,
    /// Only opens what it once made.
    DecryptOnly,
}

#[derive(Clone)]
struct Key {
    id: Arc<str>,
    /// When it was made, as written; for people only.
    created: Option<Box<str>>,
    state: KeyState,
    secret: Secret<[u8; SECRET_BYTES]>,
}

/// All keys of the installation, from the file that `keys:` names.
pub struct KeyRing {
    /// The active key first, the others in file order.
    keys: Vec<Key>,
    /// Derived once for each (tenant, scope, class, folding): as many as the vocabulary has.
    tokenizers: RwLock<HashMap<String, Arc<Tokenizer>>>,
    /// Derived once for each purpose and tenant.
    sealers: RwLock<HashMap<String, Arc<Sealer>>>,
}

/// Ids and states, never a secret.
impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.keys.iter().map(|k| (&k.id, k.state)))
            .finish()
    }
}

impl KeyRing {
    /// Reads a key ring file. Strict: unknown and repeated members, a second active key, a key id twice or a
    /// secret of another length are errors. `file` is the name for diagnostics; no diagnostic quotes the text.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Diagnostic>> {
        let parsed: RingFile = serde_json::from_str(text).map_err(|e| {
            vec![
                Diagnostic::error(
                    "key-ring",
                    Some(Position {
                        file: file.into(),
                        line: u32::try_from(e.line()).unwrap_or(0),
                        column: u32::try_from(e.column()).unwrap_or(0),
                    }),
                    safe_message(&e),
                )
                .help("`privet keys init` writes a new ring; restore this one from its backup"),
            ]
        })?;
        Ok(Self::from_keys(parsed.keys.0))
    }

    fn from_keys(mut keys: Vec<Key>) -> Self {
        keys.sort_by_key(|k| k.state != KeyState::Active);
        Self {
            keys,
            tokenizers: RwLock::default(),
            sealers: RwLock::default(),
        }
    }

    /// A ring of one active key, `k1`. `random` must come from the system's generator.
    pub fn generate(random: &[u8; SECRET_BYTES]) -> Self {
        Self::from_keys(vec![Key {
            id: "k1".into(),
            created: None,
            state: KeyState::Active,
            secret: Secret::new(*random),
        }])
    }

    /// This ring with a new active key; the old ones only open. `None` when the ring is full.
    pub fn rotate(&self, random: &[u8; SECRET_BYTES]) -> Option<Self> {
        if self.keys.len() >= KEYS_MAX {
            return None;
        }
        let mut keys: Vec<Key> = self
            .keys
            .iter()
            .cloned()
            .map(|key| Key {
                state: KeyState::DecryptOnly,
                ..key
            })
            .collect();
        // The newest number and one: an id is never used twice while its key is in the ring.
        let newest = keys
            .iter()
            .filter_map(|k| k.id.strip_prefix('k')?.parse::<u32>().ok())
            .max()
            .unwrap_or(0);
        keys.push(Key {
            id: format!("k{}", newest.checked_add(1)?).into(),
            created: None,
            state: KeyState::Active,
            secret: Secret::new(*random),
        });
        Some(Self::from_keys(keys))
    }

    /// Writes down when the active key was made (RFC 3339; for people only).
    #[must_use]
    pub fn created(mut self, when: &str) -> Self {
        if let Some(active) = self.keys.first_mut() {
            active.created = Some(when.into());
        }
        self
    }

    /// The file's text, secrets included.
    pub fn to_json(&self) -> Zeroizing<String> {
        // Room for all of it at once: a String that grows leaves copies behind.
        let mut out = Zeroizing::new(String::with_capacity(64 + 256 * self.keys.len()));
        out.push_str("{\n  \"schema\": 1,\n  \"keys\": [");
        let newest_last = self.keys.iter().skip(1).chain(self.keys.first());
        for (n, key) in newest_last.enumerate() {
            out.push_str(if n == 0 { "\n" } else { ",\n" });
            out.push_str("    {\"id\": \"");
            out.push_str(&key.id);
            if let Some(created) = &key.created {
                out.push_str("\", \"created\": \"");
                out.push_str(created);
            }
            out.push_str("\", \"state\": \"");
            out.push_str(match key.state {
                KeyState::Active => "active",
                KeyState::DecryptOnly => "decrypt-only",
            });
            out.push_str("\", \"secret\": \"");
            BASE64.encode_append(key.secret.expose_secret(), &mut out);
            out.push_str("\"}");
        }
        out.push_str("\n  ]\n}\n");
        out
    }

    /// Id, state and date of each key, the active one first.
    pub fn keys(&self) -> impl Iterator<Item = (&str, KeyState, Option<&str>)> {
        self.keys
            .iter()
            .map(|k| (&*k.id, k.state, k.created.as_deref()))
    }

    /// The tokenizer of a scope and class. `fold_local_part`: the class folds the local part of e-mails.
    /// Cheap after the first time. Names must come from the vocabulary, never from a caller: each is kept.
    pub fn tokenizer(
        &self,
        tenant: &str,
        scope: &str,
        class: &str,
        fold_local_part: bool,
    ) -> Arc<Tokenizer> {
        let name = format!("{tenant}\0{scope}\0{class}\0{fold_local_part}");
        let known = self
            .tokenizers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&name)
            .cloned();
        if let Some(tokenizer) = known {
            return tokenizer;
        }
        let info = format!("v1|{tenant}|{scope}|{class}|token");
        let tokenizer = Arc::new(Tokenizer {
            fold_local_part,
            keys: self
                .keys
                .iter()
                .map(|k| {
                    let key = SivKey::new(derive(k.secret.expose_secret(), &info));
                    TokenKey::new(&k.id, key, tenant, class, scope)
                })
                .collect(),
        });
        self.tokenizers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, tokenizer.clone());
        tokenizer
    }

    /// The sealer of cursors of a tenant.
    pub fn sealer(&self, tenant: &str) -> Arc<Sealer> {
        self.sealer_for("cursor", tenant)
    }

    /// The sealer of sessions of a tenant: other keys and another purpose than that of cursors, so that neither opens
    /// what the other made.
    pub fn session_sealer(&self, tenant: &str) -> Arc<Sealer> {
        self.sealer_for("session", tenant)
    }

    fn sealer_for(&self, purpose: &str, tenant: &str) -> Arc<Sealer> {
        let name = format!("{purpose}\0{tenant}");
        let known = self
            .sealers
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&name)
            .cloned();
        if let Some(sealer) = known {
            return sealer;
        }
        let info = format!("v1|{tenant}|||{purpose}");
        let sealer = Arc::new(Sealer {
            associated: format!("{purpose}1|{tenant}").into(),
            keys: self
                .keys
                .iter()
                .map(|k| SivKey::new(derive(k.secret.expose_secret(), &info)))
                .collect(),
        });
        self.sealers
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(name, Arc::clone(&sealer));
        sealer
    }

    /// The pepper under which API keys are stored.
    pub fn api_key_pepper(&self) -> Pepper {
        Pepper {
            keys: self
                .keys
                .iter()
                .map(|k| {
                    let bytes = derive(k.secret.expose_secret(), "v1||||api-key-pepper");
                    let key = hmac::Key::new(hmac::HMAC_SHA256, bytes.expose_secret());
                    (k.id.clone(), key)
                })
                .collect(),
        }
    }
}

/// HMAC-SHA256 keys for stored API keys, one for each ring key: a rotation leaves issued API keys good.
#[derive(Debug, Clone)]
pub struct Pepper {
    /// The active ring key first.
    keys: Vec<(Arc<str>, hmac::Key)>,
}

impl Pepper {
    /// Id of the ring key that [`Pepper::hash`] uses.
    pub fn active_id(&self) -> &str {
        self.keys.first().map_or("", |(id, _)| id)
    }

    /// The keyed hash of `text` under the active key. Empty, which never verifies, if there is no key.
    pub fn hash(&self, text: &[u8]) -> Vec<u8> {
        self.keys
            .first()
            .map(|(_, key)| hmac::sign(key, text).as_ref().to_vec())
            .unwrap_or_default()
    }

    /// Whether `hash` is the keyed hash of `text` under the ring key `id`, in constant time.
    pub fn verify(&self, id: &str, text: &[u8], hash: &[u8]) -> bool {
        self.keys
            .iter()
            .find(|(known, _)| **known == *id)
            .is_some_and(|(_, key)| hmac::verify(key, text, hash).is_ok())
    }

    /// Whether the ring has the key `id`.
    pub fn knows(&self, id: &str) -> bool {
        self.keys.iter().any(|(known, _)| **known == *id)
    }
}

/// serde's own words quote what they found, and what they find may be a secret in the wrong place.
fn safe_message(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let ours = [
        "key ring: ",
        "unknown field ",
        "missing field ",
        "duplicate field ",
    ];
    let end = text.rfind(" at line ").unwrap_or(text.len());
    let bare = &text[..end];
    if ours.iter().any(|start| bare.starts_with(start)) {
        return bare.trim_start_matches("key ring: ").to_owned();
    }
    match error.classify() {
        serde_json::error::Category::Data => {
            "not a key ring: {\"schema\": 1, \"keys\": [{\"id\", \"created\", \"state\", \"secret\"}]}"
                .to_owned()
        }
        _ => "not strict JSON".to_owned(),
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct RingFile {
    #[serde(rename = "schema")]
    _schema: Schema,
    keys: Keys,
}

struct Schema;

impl<'de> Deserialize<'de> for Schema {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match u64::deserialize(d)? {
            1 => Ok(Self),
            _ => Err(D::Error::custom("key ring: schema must be 1")),
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyEntry {
    id: KeyId,
    #[serde(default)]
    created: Option<Created>,
    state: State,
    secret: SecretText,
}

struct KeyId(Arc<str>);

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        // Lower case only: the id stands in e-mail tokens, whose case clients change.
        let good = (1..=16).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if good {
            Ok(Self(text.into()))
        } else {
            Err(D::Error::custom(
                "key ring: id must be 1 to 16 characters a-z and 0-9",
            ))
        }
    }
}

struct Created(Box<str>);

impl<'de> Deserialize<'de> for Created {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = String::deserialize(d)?;
        match text.parse::<jiff::Timestamp>() {
            Ok(_) => Ok(Self(text.into())),
            Err(_) => Err(D::Error::custom(
                "key ring: created must be a time such as 2026-11-23T10:00:00Z",
            )),
        }
    }
}

struct State(KeyState);

impl<'de> Deserialize<'de> for State {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        match String::deserialize(d)?.as_str() {
            "active" => Ok(Self(KeyState::Active)),
            "decrypt-only" => Ok(Self(KeyState::DecryptOnly)),
            _ => Err(D::Error::custom(
                "key ring: state must be `active` or `decrypt-only`",
            )),
        }
    }
}

struct SecretText(Secret<[u8; SECRET_BYTES]>);

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(d)?);
        let bytes = BASE64.decode(text.as_bytes()).map(Zeroizing::new);
        bytes
            .ok()
            .and_then(|b| <[u8; SECRET_BYTES]>::try_from(b.as_slice()).ok())
            .map(|b| Self(Secret::new(b)))
            .ok_or_else(|| D::Error::custom("key ring: secret must be 64 bytes in base64"))
    }
}

struct Keys(Vec<Key>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct KeysVisitor;
        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of keys")
            }

            // Checked one by one, so that serde knows the position of the offender.
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Keys, A::Error> {
                let mut keys: Vec<Key> = Vec::new();
                while let Some(entry) = seq.next_element::<KeyEntry>()? {
                    if keys.iter().any(|k| k.id == entry.id.0) {
                        return Err(A::Error::custom("key ring: this id stands there twice"));
                    }
                    if entry.state.0 == KeyState::Active
                        && keys.iter().any(|k| k.state == KeyState::Active)
                    {
                        return Err(A::Error::custom("key ring: a second active key"));
                    }
                    if keys.len() == KEYS_MAX {
                        return Err(A::Error::custom("key ring: more than 64 keys"));
                    }
                    keys.push(Key {
                        id: entry.id.0,
                        created: entry.created.map(|c| c.0),
                        state: entry.state.0,
                        secret: entry.secret.0,
                    });
                }
                if keys.iter().any(|k| k.state == KeyState::Active) {
                    Ok(Keys(keys))
                } else {
                    Err(A::Error::custom("key ring: no active key"))
                }
            }
        }
        d.deserialize_seq(KeysVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealed(ring: &KeyRing) -> String {
        let mut out = String::new();
        ring.tokenizer("acme", "desk", "pii.email", false)
            .token("jo@example.org", &mut out);
        out
    }

    #[test]
    fn a_ring_comes_back_from_its_file() {
        let ring = KeyRing::generate(&[9; 64]).created("2026-11-23T10:00:00Z");
        let again = KeyRing::parse("keys.json", &ring.to_json()).unwrap();
        assert_eq!(sealed(&ring), sealed(&again));
        assert_eq!(
            again.keys().collect::<Vec<_>>(),
            [("k1", KeyState::Active, Some("2026-11-23T10:00:00Z"))]
        );
        assert_eq!(format!("{again:?}"), r#"{"k1": Active}"#);
    }

    #[test]
    fn rotation_makes_with_the_new_key_and_opens_with_both() {
        let old = KeyRing::generate(&[9; 64]);
        let new = old.rotate(&[10; 64]).unwrap();
        let new = KeyRing::parse("keys.json", &new.to_json()).unwrap();
        let (before, after) = (sealed(&old), sealed(&new));
        assert!(before.starts_with("tk1.k1.") && after.starts_with("tk1.k2."));
        let tokenizer = new.tokenizer("acme", "desk", "pii.email", false);
        for token in [&before, &after] {
            assert_eq!(tokenizer.open(token).as_deref(), Some("jo@example.org"));
        }
        let hash = old.api_key_pepper().hash(b"pvt_x");
        assert!(new.api_key_pepper().verify("k1", b"pvt_x", &hash));
        assert!(!new.api_key_pepper().verify("k2", b"pvt_x", &hash));
    }

    #[test]
    fn mistakes_have_a_place_and_never_show_a_secret() {
        let secret = BASE64.encode(&[9; 64]);
        let key = |id: &str, state: &str| {
            format!("{{\"id\":\"{id}\",\"state\":\"{state}\",\"secret\":\"{secret}\"}}")
        };
        let ring = |keys: &str| format!("{{\"schema\":1,\n\"keys\":[{keys}]}}");
        for (text, line, says) in [
            (ring(""), 2, "no active key"),
            (ring(&key("K1", "active")), 2, "id must be"),
            (ring(&key("k1", "on")), 2, "state must be"),
            (ring(&key("k1", "decrypt-only")), 2, "no active key"),
            (
                ring(&format!(
                    "{},\n{}",
                    key("k1", "active"),
                    key("k2", "active")
                )),
                3,
                "second active",
            ),
            (
                ring(&format!(
                    "{},\n{}",
                    key("k1", "active"),
                    key("k1", "decrypt-only")
                )),
                3,
                "twice",
            ),
            (
                ring("{\"id\":\"k1\",\"state\":\"active\",\"secret\":\"AAAA\"}"),
                2,
                "64 bytes",
            ),
            (
                ring(&key("k1", "active")).replace("\"state\"", "\"stat\""),
                2,
                "unknown field `stat`",
            ),
            (
                ring(&key("k1", "active")).replace("\"state\"", "\"id\":\"k3\",\"state\""),
                2,
                "duplicate field `id`",
            ),
            (ring(&format!("\"{secret}\"")), 2, "not a key ring"),
            (ring(&key("k1", "active")).replace('1', "2"), 1, "schema"),
            (
                format!("{} x", ring(&key("k1", "active"))),
                2,
                "not strict JSON",
            ),
        ] {
            let problems = KeyRing::parse("keys.json", &text).unwrap_err();
            let shown = problems[0].to_string();
            assert!(shown.contains(says), "{shown}");
            assert!(!shown.contains(&secret), "{shown}");
            assert_eq!(
                problems[0].position.as_ref().map(|p| p.line),
                Some(line),
                "{shown}"
            );
        }
    }
}
