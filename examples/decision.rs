#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "an example prints"
)]
//! The smallest use of a policy decision: files in, a verdict out. No network, no runtime.
//!
//! `cargo run --example decision`

use privet::engine::identity::{Identity, Proof};
use privet::engine::policy::{Asking, Sources, Verdict, decide_uses, load};
use privet::engine::protocol::{Action, Comparison, Use};

const FILES: [(&str, &str); 4] = [
    (
        "vocabulary.yaml",
        "schema: 1\npurposes: [support]\nclasses: { pii.email: { personal: true } }\nclients: { desk: { purposes: [support] } }\n",
    ),
    (
        "schema/people.json",
        r#"{ "schema": 1, "api": "people", "dialect": "map", "objects": { "Person": { "fields": { "email": { "type": "string" } } } } }"#,
    ),
    (
        "classes/people.csv",
        "# g2, field, class\ng2, Person.email, class:pii.email\n",
    ),
    (
        "rules/desk.csv",
        "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n\
         p, allow, client:desk, read, class:pii.email, mask:email, support, *, -, -, desk-email\n",
    ),
];

fn main() {
    let files = FILES.map(|(path, text)| (path.to_owned(), text.as_bytes().to_vec()));
    let loaded = match load(&Sources {
        files: files.to_vec(),
    }) {
        Ok(loaded) => loaded,
        Err(mistakes) => return mistakes.iter().for_each(|m| eprintln!("{m}\n")),
    };
    let caller = Identity {
        subject: "jo".into(),
        client: Some("desk".into()),
        roles: Vec::new(),
        region: None,
        tenant: "acme".into(),
        proof: Proof::ApiKey {
            key_id: "k_1".into(),
        },
        mfa: None,
        auth_time_s: None,
        purpose_asked: None,
        now_s: 0,
        address: None,
    };
    let Some(person) = loaded.catalog.object("people", "Person") else {
        return;
    };
    for action in [Action::Read, Action::Sort] {
        let email = Use {
            field: privet::engine::catalog::FieldRef {
                object: person,
                field: 0,
            },
            action,
            written: "email".into(),
            comparison: Comparison::Other,
            values: Vec::new(),
            named: true,
        };
        let decision = decide_uses(
            &loaded.policies,
            &loaded.catalog,
            &caller,
            &Asking {
                action: Action::Read,
                uses: &[email],
                objects: &[],
                exports: false,
                written: &|_| None,
            },
        );
        match &decision.verdicts[0] {
            Verdict::Output(ruling) => println!(
                "{}: {} by rule {}",
                action.word(),
                ruling.strictest().treatment.word(),
                ruling.strictest().rules[0]
            ),
            Verdict::Refuse(refusal) => println!("{}: {}", action.word(), refusal.message),
            other => println!("{}: {other:?}", action.word()),
        }
    }
}
