//! Every mistake that must not get past the loader, with the text that its author reads.

use std::collections::BTreeSet;
use std::path::Path;

use super::fixture::*;
use crate::engine::policy::{Sources, load};

/// Loads the fixture with one file replaced and gives all findings as text.
fn findings(path: &str, text: &str) -> Vec<String> {
    texts(&sources(&[(path, text)]))
}

fn texts(sources: &Sources) -> Vec<String> {
    match load(sources) {
        Ok(loaded) => loaded.warnings.iter().map(ToString::to_string).collect(),
        Err(found) => found.iter().map(ToString::to_string).collect(),
    }
}

/// The findings for a rules file of these rows.
fn rules(rows: &str) -> Vec<String> {
    findings("rules/all.csv", &format!("{HEADER}{rows}\n"))
}

/// The only finding must be exactly this text.
fn golden(found: &[String], wanted: &str) {
    assert_eq!(found.join("\n\n"), wanted);
}

#[test]
fn unknown_row_type() {
    golden(
        &rules("P, allow, *, read, Contact.Email, clear, *, *, -, -, a"),
        "error[unknown-row-type]: unknown row type `P`\n --> rules/all.csv:2:1\n  |\n2 | P, allow, *, read, Contact.Email, clear, *, *, -, -, a\n  | ^\n  = help: every row of this file begins with `p`",
    );
}

/// A typo in the vocabulary is not buried under what follows from it; and what follows never goes without its cause.
#[test]
fn a_cause_is_told_without_its_consequences() {
    for text in ["schema: 1\nclases: {}\n", "schema: 1\nclasses: {\n"] {
        let found = findings("vocabulary.yaml", text);
        assert!(!found.is_empty());
        assert!(!found.join("\n").contains("unknown-class"), "{found:?}");
    }
    let nothing_declared = findings(
        "vocabulary.yaml",
        "schema: 1\nclients: { a: { purposes: [x] } }\n",
    );
    assert!(nothing_declared.join("\n").contains("unknown-purpose"));
}

#[test]
fn misspelt_effect() {
    golden(
        &rules("p, dney, *, read, Contact.Email, -, *, *, -, -, a"),
        "error[unknown-effect]: unknown effect `dney`\n --> rules/all.csv:2:4\n  |\n2 | p, dney, *, read, Contact.Email, -, *, *, -, -, a\n  |    ^^^^\n  = help: did you mean `deny`?",
    );
    assert!(
        rules("p, Deny, *, read, Contact.Email, -, *, *, -, -, a")[0].contains("unknown-effect")
    );
}

#[test]
fn wrong_column_count() {
    golden(
        &rules("p, allow, *, read, Contact.Email, clear, *, *, -, a"),
        "error[column-count]: the row has 10 columns instead of 11\n --> rules/all.csv:2:51\n  |\n2 | p, allow, *, read, Contact.Email, clear, *, *, -, a\n  |                                                   ^\n  = help: columns: `# p, effect, who, action, what, treatment, purpose, region, when, priority, id`",
    );
}

#[test]
fn unknown_treatment() {
    golden(
        &rules("p, allow, *, read, Contact.Email, mask:last5, *, *, -, -, a"),
        "error[unknown-treatment]: unknown treatment `mask:last5`\n --> rules/all.csv:2:35\n  |\n2 | p, allow, *, read, Contact.Email, mask:last5, *, *, -, -, a\n  |                                   ^^^^^^^^^^\n  = help: did you mean `mask:last4`?",
    );
}

#[test]
fn planned_treatment() {
    golden(
        &rules("p, allow, *, read, Contact.Email, pseudonymise, *, *, -, -, a"),
        "error[treatment-not-built]: the treatment `pseudonymise` is not built yet\n --> rules/all.csv:2:35\n  |\n2 | p, allow, *, read, Contact.Email, pseudonymise, *, *, -, -, a\n  |                                   ^^^^^^^^^^^^\n  = help: use `tokenize`, `redact` or `drop` until it is",
    );
}

#[test]
fn unknown_class() {
    golden(
        &rules("p, allow, *, read, class:pii.emial, clear, *, *, -, -, a"),
        "error[unknown-class]: unknown class `pii.emial`\n --> rules/all.csv:2:20\n  |\n2 | p, allow, *, read, class:pii.emial, clear, *, *, -, -, a\n  |                    ^^^^^^^^^^^^^^^\n  = help: did you mean `class:pii.email`?",
    );
    let found = findings(
        "classes/salesforce.csv",
        "# g2, field, class\ng2, Contact.Email, class:pii.mail\n",
    );
    assert!(found.iter().any(|f| f.starts_with(
        "error[unknown-class]: unknown class `pii.mail`\n --> classes/salesforce.csv:2:20"
    )));
}

#[test]
fn byte_order_mark() {
    golden(
        &findings("rules/all.csv", &format!("\u{feff}{HEADER}{RULES}")),
        "error[byte-order-mark]: the file begins with a byte order mark\n --> rules/all.csv:1:1\n  = help: save it as UTF-8 without BOM (in Excel: not \"CSV UTF-8\"; in editors: \"UTF-8\", not \"UTF-8 with BOM\")",
    );
}

#[test]
fn semicolons() {
    golden(
        &rules("p; allow; *; read; Contact.Email; clear; *; *; -; -; a"),
        "error[separator]: the cells are separated by `;` instead of `,`\n --> rules/all.csv:2:2\n  |\n2 | p; allow; *; read; Contact.Email; clear; *; *; -; -; a\n  |  ^\n  = help: use commas (spreadsheets in some countries write semicolons)",
    );
}

#[test]
fn trailing_comment() {
    golden(
        &rules("p, deny, *, read, Contact.Email, -, *, *, -, -, a # no e-mail"),
        "error[trailing-comment]: a comment cannot follow a row\n --> rules/all.csv:2:51\n  |\n2 | p, deny, *, read, Contact.Email, -, *, *, -, -, a # no e-mail\n  |                                                   ^\n  = help: `#` counts at line start only: put the comment on its own line above",
    );
}

#[test]
fn duplicate_id() {
    golden(
        &rules(
            "p, allow, *, read, Contact.Email, clear, *, *, -, -, a\np, deny, *, read, Contact.Phone, -, *, *, -, -, a",
        ),
        "error[duplicate-id]: the id `a` stands here twice\n --> rules/all.csv:3:49\n  |\n3 | p, deny, *, read, Contact.Phone, -, *, *, -, -, a\n  |                                                 ^\n  = help: it was first used at rules/all.csv:2:54",
    );
}

#[test]
fn unterminated_quote() {
    golden(
        &rules("p, allow, \"role:x, read, Contact.Email, clear, *, *, -, -, a"),
        "error[unterminated-quote]: the quote is never closed\n --> rules/all.csv:2:11\n  |\n2 | p, allow, \"role:x, read, Contact.Email, clear, *, *, -, -, a\n  |           ^\n  = help: close it on the same line; quotes are never needed here",
    );
}

#[test]
fn object_and_field_not_in_the_schema() {
    golden(
        &rules("p, allow, *, read, Contacts.Email, clear, *, *, -, -, a"),
        "error[unknown-object]: the schema has no object `Contacts`\n --> rules/all.csv:2:20\n  |\n2 | p, allow, *, read, Contacts.Email, clear, *, *, -, -, a\n  |                    ^^^^^^^^\n  = help: did you mean `Contact`?",
    );
    golden(
        &rules("p, allow, *, read, Contact.Emial, clear, *, *, -, -, a"),
        "error[unknown-field]: the schema has no field `Emial` on `Contact`\n --> rules/all.csv:2:28\n  |\n2 | p, allow, *, read, Contact.Emial, clear, *, *, -, -, a\n  |                            ^^^^^\n  = help: did you mean `Email`?",
    );
}

#[test]
fn tie_between_two_rules() {
    golden(
        &rules(
            "p, allow, role:support_agent, read, class:pii, mask:last4, support, *, -, -, a\np, allow, user:ana, read, Contact.Email, mask:email, *, *, mfa, -, b",
        )
        .into_iter()
        .filter(|f| f.starts_with("error"))
        .collect::<Vec<_>>(),
        "error[tie]: `b` (mask:email) and `a` (mask:last4) tie on `Contact.Email`\n --> rules/all.csv:3:42\n  |\n3 | p, allow, user:ana, read, Contact.Email, mask:email, *, *, mfa, -, b\n  |                                          ^^^^^^^^^^\n  = help: `a` stands at rules/all.csv:2; give one of them another priority or narrower conditions",
    );
    // Conditions that exclude each other, other priorities and roles that nobody holds together do not tie.
    for (a, b) in [
        (
            "role:bi, read, Contact.Email, mask:last4, *, same, -, -",
            "role:bi, read, Contact.Email, mask:email, *, cross, -, -",
        ),
        (
            "role:bi, read, Contact.Email, mask:last4, *, *, mfa, -",
            "role:bi, read, Contact.Email, mask:email, *, *, !mfa, -",
        ),
        (
            "role:bi, read, Contact.Email, mask:last4, *, *, -, 10",
            "role:bi, read, Contact.Email, mask:email, *, *, -, -",
        ),
        (
            "role:bi, read, Contact.Email, mask:last4, *, *, -, -",
            "role:auditor, read, Contact.Email, mask:email, *, *, -, -",
        ),
        (
            "role:bi, read, Contact.Email, mask:last4, support, *, -, -",
            "role:bi, read, Contact.Email, mask:email, analytics, *, -, -",
        ),
    ] {
        let found = rules(&format!("p, allow, {a}, a\np, allow, {b}, b"));
        assert_eq!(found, Vec::<String>::new(), "{a} | {b}");
    }
}

#[test]
fn role_that_nobody_holds_warns() {
    golden(
        &rules("p, allow, role:reeder, read, Contact.Email, clear, *, *, -, -, a"),
        "warning[role-not-held]: nobody holds `role:reeder`: roles.csv does not mention it\n --> rules/all.csv:2:11\n  |\n2 | p, allow, role:reeder, read, Contact.Email, clear, *, *, -, -, a\n  |           ^^^^^^^^^^^\n  = help: did you mean `role:reader`?",
    );
}

/// One row each, and the code it must be refused with.
#[test]
fn every_other_mistake_of_a_row() {
    for (row, code) in [
        (
            "p, allow, admin, read, Contact.Email, clear, *, *, -, -, a",
            "bad-principal",
        ),
        (
            "p, allow, group:x, read, Contact.Email, clear, *, *, -, -, a",
            "bad-principal",
        ),
        (
            "p, allow, *, *, Contact.Email, -, *, *, -, -, a",
            "any-action-allowed",
        ),
        (
            "p, allow, *, reed, Contact.Email, clear, *, *, -, -, a",
            "unknown-action",
        ),
        (
            "p, allow, *, read|filter, Contact.Email, clear, *, *, -, -, a",
            "mixed-actions",
        ),
        (
            "p, allow, *, filter, Contact.Email, clear, *, *, -, -, a",
            "treatment-without-read",
        ),
        (
            "p, allow, *, read, Contact.Email, -, *, *, -, -, a",
            "missing-treatment",
        ),
        (
            "p, deny, *, read, Contact.Email, redact, *, *, -, -, a",
            "treatment-on-deny",
        ),
        (
            "p, deny, *, read, Contact.Email, -, *, *, -, 10, a",
            "priority-on-deny",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, sales, *, -, -, a",
            "unknown-purpose",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, none, *, -, -, a",
            "unknown-purpose",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, uk, -, -, a",
            "unknown-region",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, *, record.optin=yes, -, a",
            "unknown-flag",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, *, record.consent=yes, -, a",
            "unknown-flag-value",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, *, hours=nights, -, a",
            "unknown-hours",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, *, network=home, -, a",
            "unknown-network",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, *, session<15, -, a",
            "bad-duration",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, *, MFA, -, a",
            "unknown-condition",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, *, mfa & !mfa, -, a",
            "contradiction",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, *, -, 0, a",
            "bad-priority",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, *, -, 100, a",
            "bad-priority",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, *, -, -, Not Kebab",
            "bad-id",
        ),
        (
            "p, allow, *, read, Contact.Email, , *, *, -, -, a",
            "empty-cell",
        ),
        (
            "p, allow, *, read, Contact, clear, *, *, -, -, a",
            "bad-what",
        ),
        (
            "p, allow, *, read, pii.email, clear, *, *, -, -, a",
            "bad-what",
        ),
        (
            "p, allow, *, read, Contact.Birthdate, mask:last4, *, *, -, -, a",
            "treatment-type",
        ),
        (
            "p, allow, *, read, Contact.Email, generalise:year, *, *, -, -, a",
            "treatment-type",
        ),
        (
            "p, allow, *, read, Contact.Birthdate, generalise:range10, *, *, -, -, a",
            "treatment-type",
        ),
        (
            "p, allow, *, read, Contact.Salary__c, tokenize, *, *, -, -, a",
            "treatment-type",
        ),
        (
            "p, allow, *, read, class:pii.birthdate, mask:all, *, *, -, -, a",
            "treatment-type",
        ),
        (
            "p, allow, *, read, class:sensitive.health, tokenize, *, *, -, -, a",
            "token-low-entropy",
        ),
        (
            "p, allow, *, read, Contact.Health__c, tokenize, *, *, -, -, a",
            "token-low-entropy",
        ),
        (
            "p, allow, *, read, *, tokenize, *, *, -, -, a",
            "token-low-entropy",
        ),
        (
            "p, allow, *, read, class:id, tokenize, *, *, -, -, a",
            "token-several-targets",
        ),
        (
            "p, allow, *, read, Task.WhoId, tokenize, *, *, -, -, a",
            "token-several-targets",
        ),
        (
            "p, allow, *, read|read, Contact.Email, clear, *, *, -, -, a",
            "duplicate-action",
        ),
        (
            "p, allow, *, read, Contact.Email, clear, *, *, -, -, a\u{1}",
            "control-character",
        ),
        ("g, user:x, role:y", "unknown-row-type"),
        (" # indented", "comment"),
        (
            "p, allow, *, read, \"Contact\".Email, clear, *, *, -, -, a",
            "stray-quote",
        ),
    ] {
        let found = rules(row);
        assert!(
            found.len() == 1 && found[0].starts_with(&format!("error[{code}]: ")),
            "{row}\n{}",
            found.join("\n\n")
        );
        assert!(found[0].contains(" --> rules/all.csv:2:"), "{}", found[0]);
    }
}

#[test]
fn mistakes_of_the_other_files() {
    for (path, text, code) in [
        (
            "rules/all.csv",
            "p, allow, *, read, *, clear, *, *, -, -, a\n",
            "header",
        ),
        (
            "roles.csv",
            "# g, who, role\ng, role:a, role:b\ng, role:b, role:a\n",
            "role-cycle",
        ),
        (
            "roles.csv",
            "# g, who, role\ng, role:a, role:a\n",
            "role-cycle",
        ),
        (
            "roles.csv",
            "# g, who, role\ng, user:a, user:b\n",
            "bad-role",
        ),
        (
            "roles.csv",
            "# g, who, role\ng, user:a, role:b\ng, user:a, role:b\n",
            "duplicate-row",
        ),
        (
            "classes/more.csv",
            "# g2, field, class\ng2, Contact.Emial, class:pii.email\n",
            "unknown-field",
        ),
        (
            "classes/zz.csv",
            "# g2, field, class\ng2, CONTACT.email, class:pii\n",
            "field-in-two-classes",
        ),
        (
            "classes/more.csv",
            "# g2, field, class\ng2, Contact.New__c, pii\n",
            "unknown-class",
        ),
        (
            "vocabulary.yaml",
            "schema: 1\npurpose: [a]\n",
            "unknown-key",
        ),
        ("vocabulary.yaml", "schema: 2\n", "schema-version"),
        ("vocabulary.yaml", "purposes: []\n", "schema-version"),
        (
            "vocabulary.yaml",
            "schema: 1\npurposes: [none]\n",
            "bad-name",
        ),
        ("vocabulary.yaml", "schema: 1\npurposes: [a\n", "yaml"),
        (
            "vocabulary.yaml",
            "schema: 1\nflags: { consent: { Contact: { field: Opt, a: [true] } } }\n",
            "unknown-field",
        ),
        (
            "vocabulary.yaml",
            "schema: 1\nhours: { o: { zone: Mars/Dome, days: [mon], from: \"08:00\", to: \"09:00\" } }\n",
            "unknown-zone",
        ),
        (
            "vocabulary.yaml",
            "schema: 1\nclients: { a: { purposes: [x] } }\n",
            "unknown-purpose",
        ),
        (
            "vocabulary.yaml",
            "schema: 1\npacks: [gdpr]\n",
            "unknown-pack",
        ),
        (
            "classes/more.csv",
            "# g2, field, class\ng2, Email, class:pii.email\n",
            "bad-field",
        ),
        (
            "vocabulary.yaml",
            "schema: 1\nhours: { o: { zone: Europe/Berlin } }\n",
            "missing-key",
        ),
        (
            "vocabulary.yaml",
            "schema: 1\npurposes: support\n",
            "wrong-type",
        ),
        (
            "vocabulary.yaml",
            "schema: 1\nnetworks: { home: [everywhere] }\n",
            "bad-network",
        ),
        (
            "vocabulary.yaml",
            "schema: 1\nhours: { o: { zone: Europe/Berlin, days: [mon], from: \"09:00\", to: \"08:00\" } }\n",
            "bad-hours",
        ),
        (
            "vocabulary.yaml",
            "schema: 1\nhours: { o: { zone: Europe/Berlin, days: [someday], from: \"08:00\", to: \"09:00\" } }\n",
            "unknown-day",
        ),
        (
            "vocabulary.yaml",
            "schema: 1\nflags: { consent: { Contact: { field: HasOptedOutOfEmail, a: [true], b: [true] } } }\n",
            "duplicate-value",
        ),
        (
            "schema/zz.json",
            "{\"schema\":1,\"api\":\"zz\",\"dialect\":\"map\",\"objects\":{\"contact\":{\"fields\":{}}}}",
            "duplicate-object",
        ),
        (
            "schema/other.json",
            "{\"schema\":1,\"api\":\"people\",\"dialect\":\"map\",\"objects\":{}}",
            "schema-name",
        ),
        (
            "schema/other.json",
            "{\"schema\":1,\"api\":\"other\",\"dialect\":\"map\",\"objets\":{}}",
            "schema-json",
        ),
    ] {
        let found = findings(path, text);
        assert!(
            found
                .iter()
                .any(|f| f.starts_with(&format!("error[{code}]: "))
                    && f.contains(&format!(" --> {path}:"))),
            "{path}: {text}\n{}",
            found.join("\n\n")
        );
    }
    let chain: String = (0..12)
        .map(|i| format!("g, role:r{i}, role:r{}\n", i + 1))
        .collect();
    let found = findings("roles.csv", &format!("# g, who, role\n{chain}"));
    assert!(found.iter().any(|f| f.starts_with("error[role-depth]")));
}

#[test]
fn all_mistakes_at_once() {
    let found = rules("p, alow, rolex, reed, Contakt.Email, maks:all, suport, ue, maf, 0, A");
    assert_eq!(found.len(), 10, "{}", found.join("\n\n"));
}

#[test]
fn an_edited_model_warns() {
    let found = findings(
        "model.conf",
        &crate::engine::policy::MODEL.replace("&& !some(where (p.eft == deny))", ""),
    );
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("warning[model-edited]"),
        "{}",
        found[0]
    );
    let spaced = crate::engine::policy::MODEL.replace(" = ", "  =  ");
    assert_eq!(
        findings("model.conf", &format!("# ours\n{spaced}")),
        Vec::<String>::new()
    );
}

/// Mistakes of whole files, and what only warns.
#[test]
fn files_that_are_missing_or_not_text_and_what_only_warns() {
    let mut without = sources(&[]);
    without.files.retain(|(path, _)| path != "vocabulary.yaml");
    let told = |sources: &Sources, wanted: &str| {
        let found = texts(sources);
        assert!(
            found.iter().any(|f| f.starts_with(wanted)),
            "{wanted}\n{}",
            found.join("\n\n")
        );
    };
    told(&without, "error[missing-file]: vocabulary.yaml is missing");
    let mut binary = sources(&[]);
    for (path, bytes) in &mut binary.files {
        if path == "rules/all.csv" {
            bytes.extend_from_slice(b"p, \xff\n");
        }
    }
    told(&binary, "error[not-utf8]: this line is not UTF-8");
    let odd = |field: &str| {
        let schema = format!(
            "{{\"schema\":1,\"api\":\"zz\",\"dialect\":\"map\",\"objects\":{{\"Odd\":{{\"fields\":{{\"a\":{field}}}}}}}}}"
        );
        sources(&[("schema/zz.json", &schema)])
    };
    told(&odd("{\"type\":\"colour\"}"), "warning[unknown-type]: ");
    told(
        &odd("{\"type\":\"string\",\"formula\":[\"Nowhere.x\"]}"),
        "warning[unknown-source]: ",
    );
    let deny = format!("{HEADER}p, deny, *, read, class:pii.email, -, *, *, -, -, a\n");
    told(
        &sources(&[("rules/all.csv", &deny)]),
        "warning[deny-on-class]: ",
    );
    let hours: String = (0..65)
        .map(|n| {
            format!(
                "  h{n}: {{ zone: Europe/Berlin, days: [mon], from: \"08:00\", to: \"09:00\" }}\n"
            )
        })
        .collect();
    let vocabulary = VOCABULARY.replace("hours:\n", &format!("hours:\n{hours}"));
    let rows: String = (0..65)
        .map(|n| format!("p, allow, *, read, Contact.Email, mask:all, *, *, hours=h{n}, -, r{n}\n"))
        .collect();
    let many = sources(&[
        ("vocabulary.yaml", &vocabulary),
        ("rules/all.csv", &format!("{HEADER}{rows}")),
    ]);
    told(&many, "error[too-many-conditions]: ");
}

/// Resources of Chatter and Connect, and the rows that bind their texts.
#[test]
fn a_resource_is_listed_and_bound_or_told() {
    let loaded = |list: &str, row: &str| {
        let vocabulary =
            VOCABULARY.replace("packs: []", &format!("resources: {{ {list} }}\npacks: []"));
        let classes = format!("# g2, field, class\n{row}\n");
        load(&sources(&[
            ("vocabulary.yaml", &vocabulary),
            ("classes/connect.csv", &classes),
        ]))
    };
    let row = "g2, connect/organization.$.name, class:operational";
    let good = loaded(
        "salesforce: [connect/organization, \"chatter/x/{id}\"]",
        row,
    );
    let catalog = good.unwrap_or_else(|found| panic!("{found:?}")).catalog;
    let object = catalog
        .object("salesforce", "connect/organization")
        .unwrap();
    let known = catalog.get(object);
    assert_eq!(
        (&*known.fields[0].name, &*known.fields[0].class),
        ("$.name", "operational")
    );
    assert_eq!(known.data_region.as_deref(), Some("eu"));
    for (list, row, code) in [
        ("salesforce: [connect/files/069]", row, "bad-resource"),
        (
            "salesforce: [\"connect/files/{id}/content\"]",
            row,
            "bad-resource",
        ),
        ("salesforce: [tooling/query]", row, "bad-resource"),
        ("salesforce: [connect]", row, "bad-resource"),
        ("salesforce: [connect/a//b]", row, "bad-resource"),
        ("salesforce: [\"connect/{id\"]", row, "bad-resource"),
        ("salesforce: [\"connect/a b\"]", row, "bad-resource"),
        (
            "salesforce: [connect/organization, Connect/organization]",
            row,
            "bad-resource",
        ),
        (
            "salesforce: [connect/organization, connect/organization]",
            row,
            "bad-resource",
        ),
        ("people: [connect/organization]", row, "unknown-api"),
        ("salesforce: connect/organization", row, "wrong-type"),
        ("salesforce: [connect/other]", row, "unknown-object"),
        (
            "salesforce: [connect/organization]",
            "g2, connect/organization.$.name[, class:operational",
            "bad-path",
        ),
        (
            "salesforce: [connect/organization]",
            "g2, connect/organization.name, class:operational",
            "unknown-field",
        ),
        (
            "salesforce: [connect/organization]",
            "g2, connect/organization.$.name, class:nothing",
            "unknown-class",
        ),
    ] {
        let Err(found) = loaded(list, row) else {
            panic!("{list} {row} loads");
        };
        assert!(
            found.iter().any(|d| d.code == code),
            "{list} {row}: {found:?}"
        );
    }
}

/// The literals of a source that stand first among the texts of a diagnostic's constructor.
fn codes(source: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for call in [
        "Diagnostic::error(",
        "Diagnostic::warning(",
        ".error(",
        ".warning(",
        ".error_at_word(",
        "error_at(",
    ] {
        for (at, _) in source.match_indices(call) {
            let rest = &source[at + call.len()..];
            let head = rest.split(';').next().unwrap();
            let literal = head.split('"').nth(1).unwrap_or_default();
            let kebab = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if !literal.is_empty() && literal.bytes().all(kebab) {
                codes.insert(literal.to_owned());
            }
        }
    }
    codes
}

/// Whatever the loader and the lints can say is said in a test.
#[test]
fn every_code_of_the_source_has_a_test() {
    fn read(folder: &Path, sources: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                if path.file_name().is_some_and(|n| n != "tests") {
                    read(&path, sources);
                }
            } else if path.extension().is_some_and(|e| e == "rs")
                && path.file_name().is_some_and(|n| n != "tests.rs")
            {
                let text = std::fs::read_to_string(path).unwrap();
                let (product, _) = text.split_once("#[cfg(test)]\nmod").unwrap_or((&text, ""));
                sources.push_str(product);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/engine");
    let mut sources = String::new();
    read(&root.join("policy"), &mut sources);
    sources.push_str(&std::fs::read_to_string(root.join("workbench/lint.rs")).unwrap());
    let all = codes(&sources);
    assert!(all.len() > 60, "{}", all.len());
    // With 65,536 names, and an error of Casbin's own about rows that were checked before it: not made here.
    let not_made = ["casbin", "too-many-principals"];
    let told = [
        include_str!("mistakes.rs"),
        include_str!("semantics.rs"),
        include_str!("../../workbench/lints.txt"),
        include_str!("../csv.rs"),
    ]
    .concat();
    let missing: Vec<&String> = all
        .iter()
        .filter(|code| !not_made.contains(&code.as_str()))
        .filter(|code| {
            !told.contains(&format!("[{code}]"))
                && !told.contains(&format!("            \"{code}\",\n        )"))
                && !told.contains(&format!(", \"{code}\"),"))
        })
        .collect();
    assert!(missing.is_empty(), "no test shows {missing:?}");
}
