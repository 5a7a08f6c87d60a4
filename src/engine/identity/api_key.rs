//! API keys: `pvt_<key id>_<base64url of 32 random bytes>`, stored as keyed hashes, one JSON object a line.
//!
//! The text uses RFC 6750's alphabet alone, so that CRM clients send it wherever they send a session id.

use std::collections::HashMap;
use std::sync::Arc;

use data_encoding::{BASE32_NOPAD_NOCASE, BASE64URL_NOPAD, HEXLOWER};
use serde_json::{Map, Value};

use super::is_well_formed_name;
use super::strict_json::Json;
use crate::diagnostic::{Diagnostic, Position, nearest};
use crate::engine::secret::Secret;
use crate::engine::token::Pepper;

/// What every API key begins with, so that secret scanners find a lost one.
pub const PREFIX: &str = "pvt_";
/// Random bytes of the secret part.
const SECRET_BYTES: usize = 32;
/// Bytes of a stored hash.
const HASH_BYTES: usize = 32;
/// Bytes of a stored hash that tell one key from another.
pub const MARK_BYTES: usize = 8;
/// Members of a line.
const MEMBERS: [&str; 8] = [
    "id", "hash", "pepper", "client", "roles", "region", "expires", "revoked",
];

/// What a good API key grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyGrant {
    /// Public id of the key.
    pub key_id: Arc<str>,
    /// The client that it was issued to.
    pub client: Arc<str>,
    /// Its roles.
    pub roles: Vec<Arc<str>>,
    /// Its region.
    pub region: Option<Arc<str>>,
}

/// One line of the file.
#[derive(Debug, Clone)]
pub struct StoredKey {
    /// What it grants.
    pub grant: ApiKeyGrant,
    /// Unix seconds from which it is no longer good.
    pub expires_s: Option<i64>,
    /// Since when it is ended, Unix seconds.
    pub revoked_s: Option<i64>,
    /// Which key of the ring peppered the hash.
    pepper_id: Arc<str>,
    hash: [u8; HASH_BYTES],
}

impl StoredKey {
    fn mark(&self) -> &[u8; MARK_BYTES] {
        self.hash.first_chunk().unwrap_or(&[0; MARK_BYTES])
    }
}

/// The file that `identity.api_keys` names.
#[derive(Debug)]
pub struct KeyFile {
    pepper: Pepper,
    keys: HashMap<Arc<str>, StoredKey>,
    /// Ids in file order.
    order: Vec<Arc<str>>,
}

impl KeyFile {
    /// Reads the file's text; `file` is its name for diagnostics. Errors: every malformed line. Empty lines pass.
    pub fn parse(file: &str, text: &str, pepper: Pepper) -> Result<Self, Vec<Diagnostic>> {
        let file: Arc<str> = file.into();
        let mut keys = HashMap::new();
        let mut order: Vec<Arc<str>> = Vec::new();
        let mut problems = Vec::new();
        for (n, line) in text.lines().enumerate() {
            if line.trim().is_empty() {
                continue;
            }
            let mut problem = |message: String| {
                let position = Position {
                    file: file.clone(),
                    line: u32::try_from(n + 1).unwrap_or(0),
                    column: 0,
                };
                problems.push(
                    Diagnostic::error("api-key", Some(position), message)
                        .help("`privet keys issue` and `privet keys revoke` write these lines"),
                );
            };
            match stored_key(line, &pepper) {
                Ok(key) => {
                    let id = key.grant.key_id.clone();
                    if keys.insert(id.clone(), key).is_some() {
                        problem(format!("the key `{id}` stands there twice"));
                    }
                    order.push(id);
                }
                Err(message) => problem(message),
            }
        }
        if problems.is_empty() {
            Ok(Self {
                pepper,
                keys,
                order,
            })
        } else {
            Err(problems)
        }
    }

    /// What `bearer` grants at `now_s` (Unix seconds). `None` for anything but a good key: unknown, another secret,
    /// expired, revoked. The hash is computed and compared in constant time, for unknown ids as well.
    pub fn verify(&self, bearer: &str, now_s: i64) -> Option<ApiKeyGrant> {
        let (id, secret) = bearer.strip_prefix(PREFIX)?.split_once('_')?;
        let secret = BASE64URL_NOPAD.decode(secret.as_bytes()).ok()?;
        if secret.len() != SECRET_BYTES {
            return None;
        }
        let Some(key) = self.keys.get(id) else {
            let nothing = [0; HASH_BYTES];
            self.pepper
                .verify(self.pepper.active_id(), bearer.as_bytes(), &nothing);
            return None;
        };
        let right = self
            .pepper
            .verify(&key.pepper_id, bearer.as_bytes(), &key.hash);
        let live = key.revoked_s.is_none() && key.expires_s.is_none_or(|t| now_s < t);
        (right && live).then(|| key.grant.clone())
    }

    /// What the key `id` grants at `now_s` (Unix seconds), for a session that a login with it began. `mark`: what
    /// [`Self::mark`] said then. `None` where the key is gone, another one, expired or revoked.
    pub fn still_grants(&self, id: &str, mark: &[u8], now_s: i64) -> Option<ApiKeyGrant> {
        let key = self.keys.get(id)?;
        // Both sides are ours: the mark came out of a sealed session.
        let same = key.mark() == mark;
        let live = key.revoked_s.is_none() && key.expires_s.is_none_or(|t| now_s < t);
        (same && live).then(|| key.grant.clone())
    }

    /// What tells this key from another one of the same id: the beginning of its stored hash.
    pub fn mark(&self, id: &str) -> Option<[u8; MARK_BYTES]> {
        self.keys.get(id).map(|key| *key.mark())
    }

    /// The keys in file order.
    pub fn keys(&self) -> impl Iterator<Item = &StoredKey> {
        self.order.iter().filter_map(|id| self.keys.get(id))
    }
}

/// Whether `bearer` has the shape of an API key, good or not: then it is no JWT.
pub fn is_api_key(bearer: &str) -> bool {
    bearer.starts_with(PREFIX)
}

/// The API key that `text` begins with: clients of a CRM append its security token to the password. `None` where what
/// follows is no such token (at most 32 letters and digits), or no key stands there.
pub fn leading(text: &str) -> Option<&str> {
    // 32 bytes are 43 characters of base64url.
    const SECRET_CHARACTERS: usize = 43;
    const SUFFIX_MAX: usize = 32;
    let (id, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let suffix = rest.get(SECRET_CHARACTERS..)?;
    let plain = suffix.len() <= SUFFIX_MAX && suffix.bytes().all(|b| b.is_ascii_alphanumeric());
    plain
        .then(|| text.get(..PREFIX.len() + id.len() + 1 + SECRET_CHARACTERS))
        .flatten()
}

/// What a new key is made for.
#[derive(Debug, Clone, Copy)]
pub struct NewKey<'a> {
    /// The client it is issued to.
    pub client: &'a str,
    /// Its roles.
    pub roles: &'a [String],
    /// Its region.
    pub region: Option<&'a str>,
    /// When it ends, RFC 3339.
    pub expires: &'a str,
}

/// A new key and the line to append to the file. The randoms must come from the system's generator.
/// Names are checked when the line is read: [`KeyFile::parse`] it before you write it.
pub fn issue(
    new: NewKey<'_>,
    random_id: [u8; 5],
    random_secret: &[u8; SECRET_BYTES],
    pepper: &Pepper,
) -> (Secret<String>, String) {
    let id = BASE32_NOPAD_NOCASE.encode(&random_id).to_ascii_lowercase();
    let key = format!("{PREFIX}{id}_{}", BASE64URL_NOPAD.encode(random_secret));
    let mut line = Map::new();
    line.insert("id".into(), id.into());
    line.insert(
        "hash".into(),
        HEXLOWER.encode(&pepper.hash(key.as_bytes())).into(),
    );
    line.insert("pepper".into(), pepper.active_id().into());
    line.insert("client".into(), new.client.into());
    line.insert("roles".into(), new.roles.into());
    line.insert("region".into(), new.region.into());
    line.insert("expires".into(), new.expires.into());
    line.insert("revoked".into(), Value::Null);
    (Secret::new(key), Value::Object(line).to_string())
}

/// The file's text with the key `id` ended at `when` (RFC 3339); every other line stays as it is.
/// `None`: no such key, or ended before.
pub fn revoke(text: &str, id: &str, when: &str) -> Option<String> {
    let mut found = false;
    let mut out = String::with_capacity(text.len() + 32);
    for line in text.split_inclusive('\n') {
        match serde_json::from_str::<Map<String, Value>>(line) {
            Ok(mut key)
                if key.get("id").and_then(Value::as_str) == Some(id)
                    && key.get("revoked").is_none_or(Value::is_null) =>
            {
                found = true;
                key.insert("revoked".into(), when.into());
                out.push_str(&Value::Object(key).to_string());
                out.push('\n');
            }
            _ => out.push_str(line),
        }
    }
    found.then_some(out)
}

fn stored_key(line: &str, pepper: &Pepper) -> Result<StoredKey, String> {
    let json = Json::parse(line.as_bytes())
        .map_err(|e| format!("not strict JSON (column {})", e.column()))?;
    let Json::Object(members) = &json else {
        return Err("not a JSON object".into());
    };
    for (name, _) in members {
        if !MEMBERS.contains(&&**name) {
            return Err(match nearest(name, MEMBERS) {
                Some(word) => format!("unknown member; did you mean `{word}`?"),
                None => format!("unknown member; known: {}", MEMBERS.join(", ")),
            });
        }
    }
    let text = |name: &str| {
        json.get(name)
            .and_then(Json::text)
            .ok_or_else(|| format!("`{name}` must be a text"))
    };
    let optional = |name: &str| match json.get(name) {
        None | Some(Json::Null) => Ok(None),
        Some(_) => text(name).map(Some),
    };
    let well_formed = |name: &str, value: &str| {
        if is_well_formed_name(value) {
            Ok(Arc::from(value))
        } else {
            Err(format!(
                "`{name}` must be 1 to 128 characters A-Z a-z 0-9 _ . : @ -"
            ))
        }
    };
    let time = |name: &str| match optional(name)? {
        None => Ok(None),
        Some(value) => value
            .parse::<jiff::Timestamp>()
            .map(|t| Some(t.as_second()))
            .map_err(|_| format!("`{name}` must be a time such as 2026-11-23T10:00:00Z")),
    };
    let id = text("id")?;
    if id.is_empty()
        || !id
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    {
        return Err("`id` must be characters a-z and 0-9".into());
    }
    let hash = HEXLOWER
        .decode(text("hash")?.as_bytes())
        .ok()
        .and_then(|bytes| <[u8; HASH_BYTES]>::try_from(bytes).ok())
        .ok_or("`hash` must be 32 bytes in lower-case hex")?;
    let revoked_s = time("revoked")?;
    let pepper_id = text("pepper")?;
    if revoked_s.is_none() && !pepper.knows(pepper_id) {
        return Err("its `pepper` is not in the key ring: revoke the key and issue another".into());
    }
    let roles = json
        .get("roles")
        .and_then(Json::texts)
        .ok_or("`roles` must be a list of texts")?;
    Ok(StoredKey {
        grant: ApiKeyGrant {
            key_id: id.into(),
            client: well_formed("client", text("client")?)?,
            roles: roles
                .into_iter()
                .map(|role| well_formed("roles", role))
                .collect::<Result<_, _>>()?,
            region: match optional("region")? {
                None => None,
                Some(region) => Some(well_formed("region", region)?),
            },
        },
        expires_s: time("expires")?,
        revoked_s,
        pepper_id: pepper_id.into(),
        hash,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::token::KeyRing;

    const NOW_S: i64 = 1_800_000_000; // 2027-01-15T08:00:00Z

    fn pepper(seed: u8) -> Pepper {
        KeyRing::generate(&[seed; 64]).api_key_pepper()
    }

    fn issued(expires: &str) -> (String, String) {
        let new = NewKey {
            client: "service-desk",
            roles: &["support".into()],
            region: Some("eu"),
            expires,
        };
        let (key, line) = issue(new, [7; 5], &[9; 32], &pepper(1));
        (key.expose_secret().clone(), line)
    }

    fn file(text: &str) -> KeyFile {
        KeyFile::parse("api-keys.jsonl", text, pepper(1)).unwrap()
    }

    #[test]
    fn a_key_is_good_until_it_expires_or_is_revoked() {
        let (key, line) = issued("2027-01-15T08:00:01Z");
        assert!(
            key.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
        );
        assert!(!line.contains(&key) && !line.contains(key.rsplit('_').next().unwrap()));
        let keys = file(&line);
        let grant = keys.verify(&key, NOW_S).unwrap();
        assert_eq!(&*grant.client, "service-desk");
        assert_eq!(grant.roles, ["support".into()]);
        assert_eq!(grant.region.as_deref(), Some("eu"));
        assert_eq!(keys.verify(&key, NOW_S + 1), None);
        let text = format!("\n{line}\n");
        let revoked = revoke(&text, &grant.key_id, "2027-01-01T00:00:00Z").unwrap();
        assert_eq!(file(&revoked).verify(&key, NOW_S), None);
        assert_eq!(
            revoke(&revoked, &grant.key_id, "2027-01-02T00:00:00Z"),
            None
        );
        assert_eq!(revoke(&text, "other", "2027-01-02T00:00:00Z"), None);
    }

    #[test]
    fn nothing_but_the_key_itself_is_good() {
        let (key, line) = issued("2028-01-01T00:00:00Z");
        let keys = file(&line);
        for index in 0..key.len() {
            for bit in 0..7 {
                let mut bytes = key.clone().into_bytes();
                bytes[index] ^= 1 << bit;
                let changed = String::from_utf8(bytes).unwrap();
                assert_eq!(keys.verify(&changed, NOW_S), None, "{changed}");
            }
        }
        for other in [
            "",
            "pvt_",
            "pvt__",
            &key[..key.len() - 1],
            &format!("{key}A"),
        ] {
            assert_eq!(keys.verify(other, NOW_S), None, "{other}");
        }
        let elsewhere = line.replace("\"pepper\":\"k1\"", "\"pepper\":\"k2\"");
        assert!(KeyFile::parse("f", &elsewhere, pepper(1)).is_err());
        let other_ring = KeyFile::parse("f", &line, pepper(2)).unwrap();
        assert_eq!(other_ring.verify(&key, NOW_S), None);
    }

    #[test]
    fn malformed_lines_are_named() {
        let (_, line) = issued("2028-01-01T00:00:00Z");
        for (from, to, says) in [
            ("\"client\"", "\"clinet\"", "did you mean `client`"),
            ("\"support\"", "\"sup,port\"", "`roles` must be"),
            ("[\"support\"]", "\"support\"", "a list of texts"),
            ("2028-01-01T00:00:00Z", "soon", "`expires` must be a time"),
            ("\"revoked\"", "\"id\"", "not strict JSON"),
            ("\"hash\":\"", "\"hash\":\"0", "32 bytes"),
        ] {
            assert!(line.contains(from), "{line}");
            let text = format!("{line}\n{}\n", line.replacen(from, to, 1));
            let problems = KeyFile::parse("f", &text, pepper(1)).unwrap_err();
            assert!(problems[0].message.contains(says), "{problems:?}");
            assert_eq!(problems[0].position.as_ref().unwrap().line, 2);
        }
        let twice = format!("{line}\n{line}\n");
        let problems = KeyFile::parse("f", &twice, pepper(1)).unwrap_err();
        assert!(problems[0].message.contains("twice"));
    }
}
