//! The key material that the settings name: key ring, API keys, issuers' keys. Read at start and at each reload.

use std::path::Path;
use std::sync::Arc;

use zeroize::Zeroizing;

use super::{JwtIssuer, Settings, Surroundings, read_file};
use crate::diagnostic::{Diagnostic, Position};
use crate::engine::identity::api_key::KeyFile;
use crate::engine::identity::jwks::Jwks;
use crate::engine::identity::jwt::{Claims, Issuer, Verifier};
use crate::engine::identity::session::Sessions;
use crate::engine::identity::verifiers::Verifiers;
use crate::engine::token::KeyRing;

/// The key ring that `keys` names.
pub fn key_ring(
    settings: &Settings,
    surroundings: &dyn Surroundings,
) -> Result<KeyRing, Vec<Diagnostic>> {
    let path = &settings.keys;
    let text = Zeroizing::new(read_named(
        path,
        surroundings,
        "`privet keys init` writes a new key ring",
    )?);
    KeyRing::parse(&path.to_string_lossy(), &text)
}

/// API keys and issuers of `identity`. Errors: every problem; the caller keeps the set that it has.
pub fn verifiers(
    settings: &Settings,
    ring: &KeyRing,
    surroundings: &dyn Surroundings,
) -> Result<Verifiers, Vec<Diagnostic>> {
    let mut problems = Vec::new();
    let api_keys = settings.identity.api_keys.as_ref().and_then(|path| {
        let help = "`privet keys issue CLIENT` writes the first key";
        read_named(path, surroundings, help)
            .and_then(|text| KeyFile::parse(&path.to_string_lossy(), &text, ring.api_key_pepper()))
            .map_err(|mut found| problems.append(&mut found))
            .ok()
    });
    let mut issuers = Vec::new();
    for entry in &settings.identity.jwt {
        match issuer_keys(entry, surroundings) {
            Ok(keys) => issuers.push(issuer(settings, entry, keys)),
            Err(mut found) => problems.append(&mut found),
        }
    }
    if problems.is_empty() {
        Ok(Verifiers {
            api_keys,
            sessions: Some(Sessions::new(
                ring.session_sealer(&settings.tenant),
                settings.identity.session_lifetime_s,
            )),
            jwt: Verifier::new(issuers),
        })
    } else {
        Err(problems)
    }
}

fn read_named(
    path: &Path,
    surroundings: &dyn Surroundings,
    help: &str,
) -> Result<String, Vec<Diagnostic>> {
    read_file(path, surroundings)
        .map_err(|problems| problems.into_iter().map(|p| p.help(help)).collect())
}

fn issuer_keys(
    entry: &JwtIssuer,
    surroundings: &dyn Surroundings,
) -> Result<Jwks, Vec<Diagnostic>> {
    if let Some(hmac) = &entry.hmac {
        return Jwks::hmac(&hmac.kid, hmac.key.expose_secret()).ok_or_else(|| {
            vec![Diagnostic::error(
                "weak-key",
                None,
                format!(
                    "the HS256 key of issuer `{}` has less than 32 bytes",
                    entry.issuer
                ),
            )]
        });
    }
    let Some(path) = &entry.jwks else {
        return Ok(Jwks::default());
    };
    let text = read_named(path, surroundings, "save the issuer's `jwks_uri` there")?;
    let whole_file = |message: String| {
        let position = Position {
            file: path.to_string_lossy().into(),
            line: 0,
            column: 0,
        };
        vec![Diagnostic::error("jwks", Some(position), message)]
    };
    let keys = Jwks::parse(&text).map_err(|why| whole_file(why.to_string()))?;
    // A trust file that trusts nobody is a mistake, not a choice.
    if keys.keys().next().is_none() {
        let why = keys
            .ignored()
            .first()
            .map_or("it is empty", |(_, why)| *why);
        return Err(whole_file(format!(
            "no key of this set can verify a token: {why}"
        )));
    }
    Ok(keys)
}

fn issuer(settings: &Settings, entry: &JwtIssuer, keys: Jwks) -> Issuer {
    let names = &entry.claims;
    Issuer {
        issuer: Arc::clone(&entry.issuer),
        audience: Arc::clone(&entry.audience),
        tenant: Arc::clone(&settings.tenant),
        keys,
        types: entry.types.clone(),
        leeway_s: entry.leeway_s,
        lifetime_s_max: entry.lifetime_s_max,
        mfa_amr: entry.mfa_amr.clone(),
        mfa_acr: entry.mfa_acr.clone(),
        claims: Claims {
            subject: Arc::clone(&names.subject),
            client: Arc::clone(&names.client),
            roles: Arc::clone(&names.roles),
            region: Arc::clone(&names.region),
            tenant: Arc::clone(&names.tenant),
            auth_time: Arc::clone(&names.auth_time),
            purpose: settings.identity.purpose_claim.clone(),
        },
    }
}
