use super::*;
use crate::engine::token::KeyRing;
use crate::engine::workbench::fixture;

const HEAD: &str = r#"schema: 1
now: "2026-11-23T10:00:00Z"
callers:
  ana: { user: ana, client: phone, roles: [desk], region: eu, mfa: true, session: 5m }
  ben: { like: ana, region: us }
"#;

fn failures(text: &str) -> (usize, Vec<String>) {
    let mut set = fixture::with(fixture::RULES);
    let suite = read("a_test.yaml", &format!("{HEAD}{text}"), &set, 0).unwrap();
    let report = run(
        &[suite],
        &mut set,
        &KeyRing::generate(&[7; 64]),
        &|refusal| (crate::proxy::refuse::row(refusal.reason).0.as_u16(), "CODE"),
    );
    let (passed, _) = report.counts();
    let texts = report
        .cases
        .iter()
        .flat_map(|c| &c.failures)
        .map(|f| format!("{}: {}", f.line, f.text))
        .collect();
    (passed, texts)
}

#[test]
fn a_failed_expectation_says_wanted_got_and_the_rule() {
    let (passed, failed) = failures(
        r#"tests:
  - name: fields
    purpose: support
    object: Contact
    record: { region: eu, consent: granted }
    expect:
      ana: { Email: clear, Id: clear, OptOut: clear, Health: redact, "*": drop }
      ben: { Email: clear, Health: deny }
    because: { ana.Email: email-clear, ben.Email: email-clear }
"#,
    );
    assert_eq!(passed, 7);
    assert_eq!(
        failed,
        [
            "14: ben Contact.Email: wanted because of email-clear, got mask:email by email-masked (rules/all.csv:4)",
            "13: ben Contact.Email: wanted clear, got mask:email by email-masked (rules/all.csv:4)",
        ]
    );
}

/// Data whose region the record does not say is at home nowhere.
#[test]
fn what_the_record_leaves_out_is_unknown() {
    let (passed, failed) = failures(
        "tests:\n  - { name: x, purpose: support, object: Contact, expect: { ana: { Email: mask:email, Health: deny } } }\n",
    );
    assert_eq!((passed, failed), (2, Vec::new()));
}

#[test]
fn answers_and_requests_go_through_the_engine() {
    let (passed, failed) = failures(
        r#"tests:
  - name: answer
    caller: ben
    record: { region: eu }
    given: { attributes: { type: Contact }, Email: jo@example.org }
    expect_json: { attributes: { type: Contact }, Email: "j****@example.org" }
  - name: sort
    caller: ben
    request: { path: /services/data/v61.0/query, soql: "SELECT Id FROM Contact ORDER BY Email" }
    expect_refusal: { status: 400 }
  - name: purpose
    caller: ben
    purpose: mailing
    request: { path: /services/data/v61.0/query, soql: "SELECT Id FROM Contact" }
    expect_refusal: { status: 403 }
  - name: wrong
    caller: ben
    request: { path: /services/data/v61.0/query, soql: "SELECT Id FROM Contact" }
    expect_allowed: false
"#,
    );
    assert_eq!(
        (passed, failed),
        (3, vec!["21: wanted refused, got allowed".to_owned()])
    );
}

#[test]
fn an_invariant_shows_its_counter_example() {
    let (passed, failed) = failures(
        "never:\n  - { class: health, region: cross, treatment: clear }\n  - { class: pii, who: desk, treatment: clear }\n  - { class: pii, action: filter, who: lead, region: cross }\n",
    );
    assert_eq!(passed, 2);
    assert_eq!(
        failed,
        [
            "8: counter-example: role:desk for support from eu, with MFA, with a session younger than 15m reads \
          Contact.Email as clear, consent granted, by email-clear (rules/all.csv:3)"
        ]
    );
}

#[test]
fn a_mistake_in_a_test_is_shown_where_it_stands() {
    let set = fixture::with(fixture::RULES);
    let text = format!(
        "{HEAD}tests:\n  - {{ name: x, purpose: suport, object: Contact, expect: {{ anna: {{}}, ana: {{ Emial: clear, Id: claer }} }} }}\n  - {{ nam: y }}\n"
    );
    let found: Vec<String> = read("a_test.yaml", &text, &set, 0)
        .unwrap_err()
        .iter()
        .map(|d| format!("{} {}", d.message, d.help.clone().unwrap_or_default()))
        .collect();
    for wanted in [
        "unknown purpose `suport` did you mean `support`?",
        "unknown caller `anna` did you mean `ana`?",
        "unknown field `Emial` did you mean `Email`?",
        "unknown treatment `claer` did you mean `clear`?",
        "unknown key `nam` did you mean `name`?",
    ] {
        assert!(found.iter().any(|f| f == wanted), "{wanted}: {found:#?}");
    }
}

/// An invariant about a name that nobody bears holds of nothing, and a caller with a role that no file knows is nobody.
#[test]
fn a_misspelt_name_does_not_pass_for_an_invariant_that_holds() {
    let set = fixture::with(fixture::RULES);
    let text = "schema: 1\n\
        callers:\n  eva: { user: eva, client: phon, roles: [desck] }\n\
        never:\n\
        \x20 - { class: pii, who: role:leed, treatment: clear }\n\
        \x20 - { class: pii, who: leed, treatment: clear }\n\
        \x20 - { class: pii, purpose: suport, treatment: clear }\n\
        \x20 - { class: id.Contakt, treatment: clear }\n";
    let found: Vec<String> = read("a_test.yaml", text, &set, 0)
        .unwrap_err()
        .iter()
        .map(|d| {
            let at = d.position.as_ref().unwrap();
            let help = d.help.as_deref().unwrap_or("-");
            format!("{}:{} {} {}; {help}", at.line, at.column, d.code, d.message)
        })
        .collect();
    assert_eq!(
        found,
        [
            "3:29 unknown-client unknown client `phon`; did you mean `phone`?",
            "3:43 unknown-role unknown role `desck`; did you mean `desk`?",
            "5:24 unknown-principal unknown principal `role:leed`; did you mean `role:lead`?",
            "6:24 unknown-principal unknown principal `leed`; did you mean `lead`?",
            "7:28 unknown-purpose unknown purpose `suport`; did you mean `support`?",
            "8:14 unknown-class unknown class `id.Contakt`; known: `health`, `pii`, `pii.email`, `plain`, `unclassified`, `id`",
        ]
    );
}
