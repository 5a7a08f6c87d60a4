//! A JWK set (RFC 7517): the public keys of an issuer, each with the one algorithm that it may verify.

use std::sync::Arc;

use data_encoding::BASE64URL_NOPAD;
use ring::hmac;

use super::jws::{Algorithm, Material};
use super::strict_json::Json;

/// Largest JWKS text that is looked at, bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;
/// Most keys of one set.
const KEYS_MAX: usize = 256;
/// Longest key id.
const KID_BYTES_MAX: usize = 256;
/// RSA moduli, bits (NIST SP 800-131A; the upper bound is ring's).
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Shortest HS256 key, bytes (RFC 7518 section 3.2).
const HMAC_BYTES_MIN: usize = 32;
/// Private halves (RFC 7518 sections 6.2.2 and 6.3.2, RFC 8037).
const PRIVATE_MEMBERS: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Why a whole document cannot be used; the caller keeps the set it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadJwks(pub &'static str);

/// A key that verifies.
#[derive(Debug, Clone)]
pub struct Key {
    pub(super) kid: Arc<str>,
    pub(super) algorithm: Algorithm,
    pub(super) material: Material,
}

/// The usable keys of one issuer.
#[derive(Debug, Clone, Default)]
pub struct Jwks {
    keys: Vec<Key>,
    ignored: Vec<(Arc<str>, &'static str)>,
}

impl Jwks {
    /// Reads a JWK set. Keys that cannot verify here (other type or use, weak, `oct`, without id) are left out and
    /// listed by [`Jwks::ignored`].
    ///
    /// # Errors
    /// Not a strict JSON object with a list of objects in `keys`; a key id twice; a private half anywhere.
    pub fn parse(text: &str) -> Result<Self, BadJwks> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(BadJwks("the document is larger than 1 MiB"));
        }
        let document = Json::parse(text.as_bytes())
            .map_err(|_| BadJwks("not strict JSON (RFC 8259, no repeated member)"))?;
        let Some(Json::List(entries)) = document.get("keys") else {
            return Err(BadJwks("no list `keys`"));
        };
        if entries.len() > KEYS_MAX {
            return Err(BadJwks("more than 256 keys"));
        }
        let mut set = Self::default();
        let mut kids: Vec<&str> = Vec::new();
        for entry in entries {
            if !matches!(entry, Json::Object(_)) {
                return Err(BadJwks("a key is not an object"));
            }
            let kty = entry.get("kty").and_then(Json::text).unwrap_or("");
            if kty != "oct" && PRIVATE_MEMBERS.iter().any(|name| entry.get(name).is_some()) {
                return Err(BadJwks(
                    "a private key stands in the set: it must be replaced",
                ));
            }
            let kid = entry.get("kid").and_then(Json::text).unwrap_or("");
            if !kid.is_empty() && kids.contains(&kid) {
                return Err(BadJwks("two keys have the same `kid`"));
            }
            kids.push(kid);
            match usable(entry, kty, kid) {
                Ok(key) => set.keys.push(key),
                Err(why) => {
                    // A name for people: control characters have no place in a report.
                    let name: String = kid.chars().filter(|c| !c.is_control()).take(64).collect();
                    set.ignored.push((name.into(), why));
                }
            }
        }
        Ok(set)
    }

    /// A set of one HS256 key from the configuration. `None`: shorter than 32 bytes.
    pub fn hmac(kid: &str, key: &[u8]) -> Option<Self> {
        (key.len() >= HMAC_BYTES_MIN).then(|| Self {
            keys: vec![Key {
                kid: kid.into(),
                algorithm: Algorithm::Hs256,
                material: Material::Hmac(hmac::Key::new(hmac::HMAC_SHA256, key)),
            }],
            ignored: Vec::new(),
        })
    }

    /// The key `kid`.
    pub(super) fn get(&self, kid: &str) -> Option<&Key> {
        self.keys.iter().find(|key| *key.kid == *kid)
    }

    /// Ids and algorithms of the keys that verify.
    pub fn keys(&self) -> impl Iterator<Item = (&Arc<str>, Algorithm)> {
        self.keys.iter().map(|key| (&key.kid, key.algorithm))
    }

    /// Ids of keys that were left out (empty: none), and why.
    pub fn ignored(&self) -> &[(Arc<str>, &'static str)] {
        &self.ignored
    }
}

/// The key that `entry` is, or why it cannot be used.
fn usable(entry: &Json, kty: &str, kid: &str) -> Result<Key, &'static str> {
    if kty == "oct" {
        return Err("a symmetric key in a public set");
    }
    if kid.is_empty() || kid.len() > KID_BYTES_MAX {
        return Err("no usable `kid`: a token could not name it");
    }
    if entry.get("use").is_some_and(|u| u.text() != Some("sig")) {
        return Err("its `use` is not `sig`");
    }
    if let Some(operations) = entry.get("key_ops") {
        if !operations
            .texts()
            .is_some_and(|ops| ops.contains(&"verify"))
        {
            return Err("its `key_ops` do not hold `verify`");
        }
    }
    let curve = entry.get("crv").and_then(Json::text).unwrap_or("");
    let (algorithm, material) = match (kty, curve) {
        ("RSA", _) => (rsa_algorithm(entry)?, rsa(entry)?),
        ("EC", "P-256") => (Algorithm::Es256, point(entry, 32)?),
        ("EC", "P-384") => (Algorithm::Es384, point(entry, 48)?),
        ("OKP", "Ed25519") => (Algorithm::EdDsa, Material::Point(bytes(entry, "x", 32)?)),
        _ => return Err("a type or curve that is not known here"),
    };
    match entry.get("alg") {
        None => {}
        Some(alg) if alg.text().is_some_and(|name| algorithm.has_name(name)) => {}
        Some(_) => return Err("an `alg` that is not known here or does not fit its type"),
    }
    Ok(Key {
        kid: kid.into(),
        algorithm,
        material,
    })
}

/// RS256 unless the key says PS256: large issuers leave `alg` out and sign with RS256.
fn rsa_algorithm(entry: &Json) -> Result<Algorithm, &'static str> {
    match entry.get("alg").map(Json::text) {
        None | Some(Some("RS256")) => Ok(Algorithm::Rs256),
        Some(Some("PS256")) => Ok(Algorithm::Ps256),
        Some(_) => Err("an `alg` that is not known here"),
    }
}

fn rsa(entry: &Json) -> Result<Material, &'static str> {
    let (n, e) = (unsigned(entry, "n")?, unsigned(entry, "e")?);
    let leading = n.first().map_or(0, |byte| byte.leading_zeros() as usize);
    let bits = n.len() * 8 - leading;
    if !RSA_BITS.contains(&bits) || n.last().is_none_or(|byte| byte % 2 == 0) {
        return Err("an RSA modulus that is weak or too large");
    }
    // Odd, at least 3, at most 33 bits, as ring wants it.
    let exponent = e
        .iter()
        .try_fold(0_u64, |sum, byte| {
            (sum < 1 << 40).then_some(sum << 8 | u64::from(*byte))
        })
        .unwrap_or(0);
    if exponent % 2 == 0 || !(3..1 << 33).contains(&exponent) {
        return Err("an RSA exponent that is weak or too large");
    }
    Ok(Material::Rsa { n, e })
}

/// A Base64urlUInt (RFC 7518 section 2) without leading zeros.
fn unsigned(entry: &Json, name: &str) -> Result<Vec<u8>, &'static str> {
    let text = entry.get(name).and_then(Json::text);
    let mut bytes = text
        .and_then(|t| BASE64URL_NOPAD.decode(t.as_bytes()).ok())
        .ok_or("a number that is missing or not canonical base64url")?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    Ok(bytes)
}

fn bytes(entry: &Json, name: &str, length: usize) -> Result<Vec<u8>, &'static str> {
    entry
        .get(name)
        .and_then(Json::text)
        .and_then(|t| BASE64URL_NOPAD.decode(t.as_bytes()).ok())
        .filter(|bytes| bytes.len() == length)
        .ok_or("a coordinate that is missing or has the wrong length")
}

/// An uncompressed point (SEC 1 section 2.3.3). Whether it is on the curve, ring checks at each use.
fn point(entry: &Json, length: usize) -> Result<Material, &'static str> {
    let mut point = vec![4];
    point.append(&mut bytes(entry, "x", length)?);
    point.append(&mut bytes(entry, "y", length)?);
    Ok(Material::Point(point))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EC: &str = r#""kty":"EC","crv":"P-256","x":"mtjzGkkMLL8GHrfLNWM2itIZi1R2Jn8bgNPricaCmYs","y":"6-K1DxWVkhfCLcBbEUsafZX49t8jxrF6kwzg2i8tdJY""#;

    fn set(keys: &str) -> Result<(usize, usize), BadJwks> {
        Jwks::parse(&format!("{{\"keys\":[{keys}]}}")).map(|s| (s.keys.len(), s.ignored.len()))
    }

    #[test]
    fn only_keys_that_can_verify_here_are_taken() {
        assert_eq!(set(&format!("{{{EC},\"kid\":\"a\"}}")), Ok((1, 0)));
        for extra in [
            "",
            r#","kid":"""#,
            r#","kid":7"#,
            r#","kid":"a","use":"enc""#,
            r#","kid":"a","use":["sig"]"#,
            r#","kid":"a","key_ops":["sign"]"#,
            r#","kid":"a","alg":"ES384""#,
            r#","kid":"a","alg":"RS256""#,
            r#","kid":"a","alg":null"#,
        ] {
            assert_eq!(set(&format!("{{{EC}{extra}}}")), Ok((0, 1)), "{extra}");
        }
        let short = EC.replace("mtjzGkkM", "mtjz");
        assert_eq!(set(&format!("{{{short},\"kid\":\"a\"}}")), Ok((0, 1)));
        assert_eq!(set(""), Ok((0, 0)));
    }

    #[test]
    fn documents_that_nobody_should_trust_are_refused_whole() {
        let a = format!("{{{EC},\"kid\":\"a\"}}");
        assert!(set(&format!("{a},{a}")).is_err());
        assert!(set(&format!("{a},{{\"kty\":\"AKP\",\"kid\":\"a\"}}")).is_err());
        assert!(set(&format!("{{{EC},\"kid\":\"a\",\"d\":\"AA\"}}")).is_err());
        assert!(set(&format!("{{{EC},\"kid\":\"a\",\"kid\":\"a\"}}")).is_err());
        assert!(set("7").is_err());
        for text in ["", "[]", "{}", "{\"keys\":{}}", "<html>", "{\"keys\":[]} x"] {
            assert!(Jwks::parse(text).is_err(), "{text}");
        }
        assert!(Jwks::hmac("h", &[1; 31]).is_none());
    }
}
