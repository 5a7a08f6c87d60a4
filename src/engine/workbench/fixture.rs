//! A small policy set of these tests.

use crate::engine::policy::{Loaded, Sources, load};

pub(super) const RULES: &str = "\
p, deny, *, read, class:health, -, *, cross, -, -, health-home
p, allow, role:desk, read, class:pii.email, clear, support, same, mfa & session<15m, 20, email-clear
p, allow, role:desk, read, class:pii.email, mask:email, support, *, -, -, email-masked
p, allow, role:desk, read, class:health, redact, support, *, -, -, health
p, allow, role:desk, read, class:id, clear, support, *, -, -, ids
p, allow, role:desk, read, class:plain, clear, *, *, -, -, plain
p, allow, role:mail, read, class:pii.email, clear, mailing, *, record.consent=granted, 20, mail-granted
";

/// The set with these rules.
pub(super) fn with(rules: &str) -> Loaded {
    load(&sources(rules)).unwrap_or_else(|found| {
        let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
        panic!("{}", texts.join("\n\n"))
    })
}

pub(super) fn sources(rules: &str) -> Sources {
    let rules = format!(
        "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n{rules}"
    );
    let files: [(&str, &str); 5] = [
        (
            "vocabulary.yaml",
            "schema: 1\npurposes: [support, mailing]\nregions: [eu, us]\ndata_regions: { apis: { crm: eu } }\n\
             flags: { consent: { Contact: { field: OptOut, granted: [false], withdrawn: [true] } } }\n\
             classes:\n  pii: { personal: true }\n  pii.email: {}\n  health: { personal: true }\n  plain: {}\n\
             scopes: { desk: Desk }\nclients: { phone: { purposes: [support], scope: desk } }\n",
        ),
        (
            "schema/crm.json",
            r#"{"schema":1,"api":"crm","dialect":"salesforce","version":"61.0","objects":{"Contact":{"keyPrefix":"003","fields":{
               "Email":{"type":"email","length":80},"Health":{"type":"string","length":80},"Id":{"type":"id"},
               "New":{"type":"string","length":9},"OptOut":{"type":"boolean"}}}}}"#,
        ),
        (
            "classes/crm.csv",
            "# g2, field, class\ng2, Contact.Email, class:pii.email\ng2, Contact.Health, class:health\n\
             g2, Contact.OptOut, class:plain\n",
        ),
        (
            "roles.csv",
            "# g, who, role\ng, role:lead, role:desk\ng, user:mia, role:mail\n",
        ),
        ("rules/all.csv", &rules),
    ];
    Sources {
        files: files
            .iter()
            .map(|(p, t)| ((*p).to_owned(), t.as_bytes().to_vec()))
            .collect(),
    }
}
