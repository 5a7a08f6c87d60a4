//! Compact JWS (RFC 7515): three parts in canonical base64url, one signature, and nothing that asks for more.

use data_encoding::BASE64URL_NOPAD;
use ring::{hmac, signature};

use super::strict_json::Json;

/// Longest token that is looked at, bytes. Tokens with hundreds of groups stay under half of it.
pub(super) const TOKEN_BYTES_MAX: usize = 16 << 10;

/// Header members that change what is verified, or with which key: a token that has one is refused
/// (RFC 7515 sections 4.1.2, 4.1.3, 4.1.5, 4.1.6 and 4.1.11, RFC 7516 sections 4.1.2 and 4.1.3, RFC 7797).
const REFUSED_MEMBERS: [&str; 8] = ["crit", "b64", "zip", "enc", "jku", "jwk", "x5u", "x5c"];

/// What signs. A key has exactly one, whatever a token says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// Ed25519.
    EdDsa,
    /// HMAC with SHA-256.
    Hs256,
}

/// What a key verifies with.
#[derive(Debug, Clone)]
pub(super) enum Material {
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa { n: Vec<u8>, e: Vec<u8> },
    /// An uncompressed point, or an Ed25519 key.
    Point(Vec<u8>),
    /// A shared secret.
    Hmac(hmac::Key),
}

impl Algorithm {
    /// The algorithm's name in `alg` (RFC 7518 section 3.1, RFC 8037; `Ed25519` is RFC 9864's name for EdDSA here).
    pub(super) fn has_name(self, name: &str) -> bool {
        match self {
            Self::Rs256 => name == "RS256",
            Self::Ps256 => name == "PS256",
            Self::Es256 => name == "ES256",
            Self::Es384 => name == "ES384",
            Self::EdDsa => name == "EdDSA" || name == "Ed25519",
            Self::Hs256 => name == "HS256",
        }
    }

    /// Whether `signature` is `material`'s over `message`.
    pub(super) fn verify(self, material: &Material, message: &[u8], signature: &[u8]) -> bool {
        let point = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            signature::UnparsedPublicKey::new(algorithm, key)
                .verify(message, signature)
                .is_ok()
        };
        let rsa = |algorithm: &signature::RsaParameters, n: &[u8], e: &[u8]| {
            signature::RsaPublicKeyComponents { n, e }
                .verify(algorithm, message, signature)
                .is_ok()
        };
        match (self, material) {
            (Self::Rs256, Material::Rsa { n, e }) => {
                rsa(&signature::RSA_PKCS1_2048_8192_SHA256, n, e)
            }
            (Self::Ps256, Material::Rsa { n, e }) => {
                rsa(&signature::RSA_PSS_2048_8192_SHA256, n, e)
            }
            (Self::Es256, Material::Point(key)) => point(&signature::ECDSA_P256_SHA256_FIXED, key),
            (Self::Es384, Material::Point(key)) => point(&signature::ECDSA_P384_SHA384_FIXED, key),
            (Self::EdDsa, Material::Point(key)) => point(&signature::ED25519, key),
            (Self::Hs256, Material::Hmac(key)) => hmac::verify(key, message, signature).is_ok(),
            _ => false,
        }
    }
}

/// A token taken apart and not yet believed.
pub(super) struct Jws<'a> {
    pub(super) alg: String,
    pub(super) kid: String,
    pub(super) typ: Option<String>,
    pub(super) claims: Json,
    /// What was signed: the first two parts and their dot.
    pub(super) message: &'a [u8],
    pub(super) signature: Vec<u8>,
}

impl<'a> Jws<'a> {
    /// Takes `token` apart. Errors: the reason, one of a few fixed words.
    pub(super) fn parse(token: &'a str) -> Result<Self, &'static str> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err("too long");
        }
        let (message, signature) = token.rsplit_once('.').ok_or("not three parts")?;
        let (header, payload) = message.split_once('.').ok_or("not three parts")?;
        if payload.contains('.') {
            return Err("not three parts");
        }
        let header = decode(header)?;
        let claims = decode(payload)?;
        let signature = decode(signature)?;
        let header = Json::parse(&header).map_err(|_| "header is not strict JSON")?;
        let claims = Json::parse(&claims).map_err(|_| "claims are not strict JSON")?;
        if !matches!(header, Json::Object(_)) || !matches!(claims, Json::Object(_)) {
            return Err("not an object");
        }
        if REFUSED_MEMBERS
            .iter()
            .any(|name| header.get(name).is_some())
        {
            return Err("header asks for more than a signature");
        }
        let text = |name| header.get(name).and_then(Json::text);
        let typ = match header.get("typ") {
            None => None,
            Some(typ) => Some(typ.text().ok_or("typ is not a text")?.to_owned()),
        };
        Ok(Self {
            alg: text("alg").ok_or("no alg")?.to_owned(),
            kid: text("kid").ok_or("no kid")?.to_owned(),
            typ,
            claims,
            message: message.as_bytes(),
            signature,
        })
    }
}

/// Canonical base64url: no padding, no other alphabet, no stray bits at the end; never empty.
fn decode(part: &str) -> Result<Vec<u8>, &'static str> {
    match BASE64URL_NOPAD.decode(part.as_bytes()) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err("not canonical base64url"),
    }
}
