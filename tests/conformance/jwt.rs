//! The attack tokens and key sets: each must get what its `expect` says.

use std::sync::Arc;

use privet::engine::identity::jwks::Jwks;
use privet::engine::identity::jwt::{Claims, Issuer, JwtGrant, Rejected, Verifier};
use serde_json::Value;

use crate::data;

fn issuer(params: &Value, keys: Jwks, types: &[&str]) -> Issuer {
    let text = |name: &str| Arc::from(params[name].as_str().expect("a text"));
    Issuer {
        issuer: text("issuer"),
        audience: text("audience"),
        tenant: "t1".into(),
        keys,
        types: types.iter().map(|t| Arc::from(*t)).collect(),
        leeway_s: params["leeway_s"].as_i64().expect("a number"),
        lifetime_s_max: params["max_lifetime_s"].as_i64().expect("a number"),
        mfa_amr: vec!["mfa".into()],
        mfa_acr: Vec::new(),
        claims: Claims {
            subject: "sub".into(),
            client: "azp".into(),
            roles: "roles".into(),
            region: "region".into(),
            tenant: "tenant".into(),
            auth_time: "auth_time".into(),
            purpose: None,
        },
    }
}

/// The parameters and the published key set.
fn setting() -> Option<(Value, Jwks)> {
    let read = |name: &str| Some(std::fs::read_to_string(data::path(name)?).expect("readable"));
    let params = serde_json::from_str(&read("jwt/params.json")?).expect("JSON");
    let jwks = Jwks::parse(&read("jwt/jwks.json")?).expect("a key set");
    Some((params, jwks))
}

#[test]
fn every_token_gets_what_it_must() {
    let (Some((params, jwks)), Some(tokens)) = (setting(), data::json_lines("jwt/tokens.jsonl"))
    else {
        return;
    };
    let now_s = params["now"].as_i64().expect("a number");
    let any_type = Verifier::new(vec![issuer(&params, jwks.clone(), &[])]);
    let access_only = Verifier::new(vec![issuer(&params, jwks, &["at+jwt"])]);
    let verify = |verifier: &Verifier, token: &Value| -> Result<JwtGrant, Rejected> {
        verifier.verify(token["token"].as_str().expect("a token"), now_s)
    };
    let mut wrong = Vec::new();
    for token in &tokens {
        let got = verify(&any_type, token);
        let right = match token["expect"].as_str().expect("a word") {
            "accept" => got
                .as_ref()
                .is_ok_and(|grant| grant.roles == ["sales".into()] && &*grant.subject == "u1"),
            "reject" => got.is_err(),
            "reject_role" => got.as_ref().is_ok_and(|grant| grant.roles.is_empty()),
            "reject_if_typ_required" => got.is_ok() && verify(&access_only, token).is_err(),
            other => panic!("unknown expectation {other}"),
        };
        if !right {
            wrong.push(format!("{} ({}): {got:?}", token["id"], token["why"]));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    println!("{} tokens", tokens.len());
}

/// A token that is refused for one reason would hide that another check is missing: each refusal is for its own.
#[test]
fn tokens_are_refused_for_the_reason_they_were_made_for() {
    let (Some((params, jwks)), Some(tokens)) = (setting(), data::json_lines("jwt/tokens.jsonl"))
    else {
        return;
    };
    let now_s = params["now"].as_i64().expect("a number");
    let verifier = Verifier::new(vec![issuer(&params, jwks, &[])]);
    for (id, reason) in [
        ("ps-on-rs", "alg is not the key's"),
        ("es-der", "bad signature"),
        ("es-zero", "bad signature"),
        ("enc-key", "unknown kid"),
        ("weak-key", "unknown kid"),
        ("crit", "header asks for more than a signature"),
        ("crit-b64", "header asks for more than a signature"),
        ("jku", "header asks for more than a signature"),
        ("exp-61", "expired"),
        ("exp-none", "no exp"),
        ("exp-str", "a time is not a number of seconds"),
        ("aud-none", "no aud"),
        ("aud-obj", "another audience"),
        ("tenant-none", "another tenant, or none"),
        ("sub-newline", "subject is missing or malformed"),
        ("roles-str", "roles are not a list of texts"),
        ("dup-alg", "header is not strict JSON"),
        ("dup-roles", "claims are not strict JSON"),
        ("pad", "not canonical base64url"),
    ] {
        let Some(token) = tokens.iter().find(|t| t["id"] == id) else {
            continue; // the folder may hold a part of the set
        };
        let token = token["token"].as_str().expect("a token");
        assert_eq!(verifier.verify(token, now_s), Err(Rejected(reason)), "{id}");
    }
}

#[test]
fn every_key_set_gets_what_it_must() {
    let (Some((_, jwks)), Some(documents)) = (setting(), data::json_lines("jwt/jwks_docs.jsonl"))
    else {
        return;
    };
    assert_eq!(jwks.keys().count(), 3);
    assert_eq!(jwks.ignored().len(), 2);
    for document in &documents {
        let set = Jwks::parse(document["doc"].as_str().expect("a text"));
        let right = match document["expect"].as_str().expect("a word") {
            "reject" | "keep_old" => set.is_err(),
            "ignore_key" => set
                .as_ref()
                .is_ok_and(|s| s.keys().count() == 0 && s.ignored().len() == 1),
            "accept_others" => set
                .as_ref()
                .is_ok_and(|s| s.keys().count() == 1 && s.ignored().len() == 1),
            other => panic!("unknown expectation {other}"),
        };
        assert!(right, "{}: {set:?}", document["id"]);
    }
}
