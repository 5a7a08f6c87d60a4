//! The smallest use of a token: one value, two scopes.
//!
//! `cargo run --example token`
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use privet::engine::token::KeyRing;
use ring::rand::{SecureRandom, SystemRandom};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut random = [0; 64];
    SystemRandom::new()
        .fill(&mut random)
        .map_err(|_| "the system gives no random bytes")?;
    let ring = KeyRing::generate(&random);

    // One tokenizer for each tenant, scope and class. `false`: the local part of an address keeps its case.
    let desk = ring.tokenizer("acme", "desk", "pii.email", false);
    let analytics = ring.tokenizer("acme", "analytics", "pii.email", false);

    let mut token = String::new();
    desk.token("jo@example.org", &mut token);
    println!("opaque          {token}");

    // Shaped like an address, for systems that check; the domain is folded first.
    let mut email_token = String::new();
    desk.email_token("jo@EXAMPLE.org", &mut email_token);
    println!("e-mail shaped   {email_token}");

    // The same value gives the same token, so joins work inside a scope…
    let mut again = String::new();
    desk.email_token("jo@example.org", &mut again);
    assert_eq!(email_token, again);

    // …and nowhere else.
    println!("desk opens      {:?}", desk.open(&token));
    println!("analytics opens {:?}", analytics.open(&token));
    Ok(())
}
