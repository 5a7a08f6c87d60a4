//! What a rule means.

use std::sync::Arc;

use super::fixture::*;
use crate::engine::catalog::ObjectId;
use crate::engine::identity::Identity;
use crate::engine::policy::{Asking, Decision, Loaded, Verdict, decide_uses, tighten};
use crate::engine::protocol::Use;
use crate::engine::protocol::{Action, Comparison};
use crate::engine::refusal::Reason;
use crate::engine::treatment::Treatment as T;

const OTHER: Comparison = Comparison::Other;

fn ask(loaded: &Loaded, who: &Identity, action: Action, name: &str, how: Comparison) -> Verdict {
    let one = used(&loaded.catalog, action, name, how);
    decided(loaded, who, Action::Read, &[one], &[], false)
        .verdicts
        .remove(0)
}

fn decided(
    loaded: &Loaded,
    who: &Identity,
    action: Action,
    uses: &[Use],
    objects: &[ObjectId],
    exports: bool,
) -> Decision {
    let asking = Asking {
        action,
        uses,
        objects,
        exports,
        written: &|_| Some("secRET__C".into()),
    };
    decide_uses(&loaded.policies, &loaded.catalog, who, &asking)
}

/// The treatment of an output per variant, and the first variant's rules.
fn read(loaded: &Loaded, who: &Identity, name: &str) -> (Vec<T>, Vec<String>) {
    let decision = whole(loaded, who, name, Action::Read, false);
    let table = &decision.tables[&field(&loaded.catalog, name).object];
    let ruling = &table.fields[field(&loaded.catalog, name).field as usize];
    (
        (0..table.variants)
            .map(|v| ruling.under(v).treatment)
            .collect(),
        ruling
            .under(0)
            .rules
            .iter()
            .map(ToString::to_string)
            .collect(),
    )
}

fn whole(loaded: &Loaded, who: &Identity, name: &str, action: Action, exports: bool) -> Decision {
    let object = field(&loaded.catalog, name).object;
    decided(loaded, who, action, &[], &[object], exports)
}

fn refused(verdict: Verdict) -> (Reason, String, Option<Arc<str>>) {
    match verdict {
        Verdict::Refuse(r) => (r.reason, r.message.into_owned(), r.rule),
        other => panic!("not refused: {other:?}"),
    }
}

fn support() -> Identity {
    caller("service-desk", &["support_agent"])
}

fn bi() -> Identity {
    caller("tableau", &[])
}

#[test]
fn the_fixture_loads_without_warning() {
    let loaded = loaded(&sources(&[]));
    let warnings: Vec<String> = loaded.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, Vec::<String>::new());
}

#[test]
fn lowest_priority_wins_when_its_conditions_hold() {
    let l = loaded(&sources(&[]));
    let (t, rules) = read(&l, &support(), "Contact.Email");
    assert_eq!((t, &*rules[0]), (vec![T::Clear; 3], "support-email-clear"));
    let away = Identity {
        region: Some("us".into()),
        ..support()
    };
    let (t, rules) = read(&l, &away, "Contact.Email");
    assert_eq!((t, &*rules[0]), (vec![T::MaskEmail; 3], "support-email"));
}

#[test]
fn missing_context_makes_an_allow_false_and_a_deny_true() {
    let l = loaded(&sources(&[]));
    for weaker in [
        Identity {
            mfa: None,
            ..support()
        },
        Identity {
            mfa: Some(false),
            ..support()
        },
        Identity {
            auth_time_s: None,
            ..support()
        },
        Identity {
            auth_time_s: Some(NOW - 900),
            ..support()
        },
        Identity {
            auth_time_s: Some(NOW + 3600),
            ..support()
        },
        Identity {
            region: None,
            ..support()
        },
        Identity {
            region: Some("mars".into()),
            ..support()
        },
    ] {
        assert_eq!(
            read(&l, &weaker, "Contact.Email").0,
            vec![T::MaskEmail; 3],
            "{weaker:?}"
        );
    }
    // `!mfa` on a deny row holds where the second factor is not known.
    for mfa in [None, Some(false)] {
        let who = Identity { mfa, ..bi() };
        let d = whole(&l, &who, "Contact.Birthdate", Action::Export, true);
        let r = d
            .read(field(&l.catalog, "Contact.Birthdate"))
            .expect("a ruling");
        assert_eq!(r.strictest().treatment, T::Deny);
    }
    let d = whole(&l, &bi(), "Contact.Birthdate", Action::Export, true);
    let r = d
        .read(field(&l.catalog, "Contact.Birthdate"))
        .expect("a ruling");
    assert_eq!(r.strictest().treatment, T::GeneraliseYear);
}

#[test]
fn hours_and_networks() {
    let l = loaded(&sources(&[]));
    let base = Identity {
        address: Some("203.0.113.9".parse().expect("an address")),
        ..caller("mailer", &["marketing"])
    };
    assert_eq!(read(&l, &base, "Contact.Email").0, vec![T::Clear; 3]);
    let mapped = Identity {
        address: Some("::ffff:203.0.113.9".parse().expect("an address")),
        ..base.clone()
    };
    assert_eq!(read(&l, &mapped, "Contact.Email").1, ["mail-at-work"]);
    // 18:00 in Berlin is 17:00 UTC in November; the window ends before it.
    let late = Identity {
        now_s: NOW + 7 * 3600,
        auth_time_s: None,
        ..base.clone()
    };
    assert_eq!(read(&l, &late, "Contact.Email").1, ["reader-all"]);
    assert_eq!(read(&l, &late, "Contact.Phone").0, vec![T::Deny; 3]);
    assert_eq!(read(&l, &base, "Contact.Phone").1, ["mail-phone"]);
    let nowhere = Identity {
        address: None,
        ..base
    };
    assert_eq!(read(&l, &nowhere, "Contact.Email").1, ["reader-all"]);
}

#[test]
fn a_role_passes_on_what_it_holds_and_names_are_never_roles() {
    let l = loaded(&sources(&[]));
    let ana = Identity {
        subject: "ana".into(),
        ..caller("service-desk", &[])
    };
    assert_eq!(read(&l, &ana, "Contact.Phone").0, vec![T::MaskLast4; 3]);
    let d = whole(&l, &ana, "Contact.Phone", Action::Read, false);
    assert_eq!(d.principals.to_vec(), ["user:ana".into()] as [Arc<str>; 1]);
    let trickster = Identity {
        subject: "role:support_lead".into(),
        ..caller("service-desk", &["role:support_lead", "*"])
    };
    assert_eq!(read(&l, &trickster, "Contact.Phone").0, vec![T::Drop; 3]);
    assert!(
        whole(&l, &trickster, "Contact.Phone", Action::Read, false)
            .principals
            .is_empty()
    );
}

#[test]
fn unknown_flags_take_the_most_protective_variant() {
    let l = loaded(&sources(&[]));
    // granted, withdrawn, unknown
    assert_eq!(
        read(&l, &bi(), "Contact.Email").0,
        vec![T::TokenizeEmail, T::Redact, T::Redact]
    );
    // One declared value whose rule is the only one: unknown is still not that value.
    let l = with_rules(
        "p, allow, role:bi, read, Contact.Email, clear, *, *, record.consent=granted, -, a\n",
    );
    assert_eq!(
        read(&l, &bi(), "Contact.Email").0,
        vec![T::Clear, T::Drop, T::Drop]
    );
}

#[test]
fn the_data_region_of_a_record_varies_its_treatment() {
    let l = loaded(&sources(&[]));
    // eu, us, unknown (= the strictest): same = range10 before the fall-back.
    let auditor = caller("service-desk", &["auditor"]);
    assert_eq!(
        read(&l, &auditor, "Account.Revenue").0,
        vec![T::GeneraliseRange10, T::Clear, T::GeneraliseRange10]
    );
    // The API's region where the record has none: `cross` deny for a caller from elsewhere, or from nowhere.
    for region in [Some("us".into()), None] {
        let who = Identity {
            region,
            ..caller("service-desk", &["reader"])
        };
        assert_eq!(read(&l, &who, "Contact.Health__c").0, vec![T::Deny; 3]);
    }
    assert_eq!(
        read(
            &l,
            &caller("service-desk", &["reader"]),
            "Contact.Health__c"
        )
        .0,
        vec![T::Clear; 3]
    );
}

#[test]
fn broad_allow_rows_never_reach_unclassified_fields() {
    let l = loaded(&sources(&[]));
    assert_eq!(
        read(&l, &caller("service-desk", &["reader"]), "Contact.New__c").0,
        vec![T::Drop; 3]
    );
    let auditor = caller("service-desk", &["auditor"]);
    assert_eq!(read(&l, &auditor, "Contact.New__c").1, ["auditor-no-new"]);
    let l = with_rules(
        "p, allow, role:reader, read, Contact.New__c, clear, *, *, -, -, a\np, allow, role:auditor, read, class:unclassified, redact, *, *, -, 10, b\n",
    );
    assert_eq!(
        read(&l, &caller("service-desk", &["reader"]), "Contact.New__c").0,
        vec![T::Clear; 3]
    );
    assert_eq!(read(&l, &auditor, "Contact.New__c").0, vec![T::Redact; 3]);
}

#[test]
fn ids_have_classes_by_themselves() {
    let l = loaded(&sources(&[]));
    let class = |name| l.catalog.field(field(&l.catalog, name)).class.to_string();
    assert_eq!(class("Contact.Id"), "id.Contact");
    assert_eq!(class("Contact.AccountId"), "id.Account");
    assert_eq!(class("Account.Id"), "id.Account");
    assert_eq!(class("Task.WhoId"), "id");
    assert_eq!(read(&l, &support(), "Contact.AccountId").1, ["support-id"]);
}

#[test]
fn derived_fields_follow_their_sources() {
    let l = loaded(&sources(&[]));
    // Greeting__c is operational, which bi reads in clear; FirstName is a token for bi.
    assert_eq!(
        read(&l, &bi(), "Contact.Greeting__c").0,
        vec![T::Tokenize; 3]
    );
    // A formula that cannot be read is judged like the most protected field of its object (New__c drops).
    assert_eq!(read(&l, &bi(), "Contact.Opaque__c").0, vec![T::Drop; 3]);
    // A compound name follows its parts.
    let l = with_rules(
        "p, allow, role:bi, read, Contact.Name, clear, *, *, -, -, a\np, allow, role:bi, read, Contact.FirstName, redact, *, *, -, -, b\np, allow, role:bi, read, Contact.LastName, clear, *, *, -, -, c\n",
    );
    assert_eq!(
        read(&l, &bi(), "Contact.Name"),
        (vec![T::Redact; 3], vec!["b".to_owned()])
    );
    // An explicit filter on the whole does not open its parts.
    let l = with_rules(
        "p, allow, role:bi, read, Contact.Name, clear, *, *, -, -, a\np, allow, role:bi, read, class:pii.name, redact, *, *, -, 60, b\np, allow, role:bi, filter, Contact.Name, -, *, *, -, -, c\n",
    );
    assert_eq!(
        refused(ask(&l, &bi(), Action::Filter, "Contact.Name", OTHER)).0,
        Reason::TreatedFieldEvaluated
    );
}

#[test]
fn a_tie_of_the_callers_own_roles_redacts_with_both_ids() {
    let l = with_rules(
        "p, allow, role:bi, read, Contact.Email, mask:last4, *, *, -, -, a\np, allow, role:auditor, read, Contact.Email, mask:email, *, *, -, -, b\n",
    );
    assert_eq!(
        read(&l, &caller("tableau", &["auditor"]), "Contact.Email"),
        (vec![T::Redact; 3], vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!(read(&l, &bi(), "Contact.Email").0, vec![T::MaskLast4; 3]);
}

#[test]
fn a_tie_on_priority_takes_the_more_protective() {
    let l = with_rules(
        "p, allow, role:bi, read, Contact.Email, clear, *, *, -, -, a\np, allow, *, read, class:pii, redact, *, *, -, -, b\n",
    );
    assert_eq!(read(&l, &bi(), "Contact.Email").1, ["b"]);
}

#[test]
fn purposes_are_granted() {
    let l = loaded(&sources(&[]));
    let asks = |client: &str, purpose: Option<&str>| {
        let who = Identity {
            purpose_asked: purpose.map(Into::into),
            ..caller(client, &["support_agent"])
        };
        let d = whole(&l, &who, "Contact.Phone", Action::Read, false);
        (d.purpose.to_string(), d.refusal.map(|r| r.reason))
    };
    assert_eq!(asks("mailer", None), ("marketing".into(), None));
    assert_eq!(asks("mailer", Some("support")), ("support".into(), None));
    assert_eq!(
        asks("tableau", Some("support")).1,
        Some(Reason::PurposeNotGranted)
    );
    assert_eq!(asks("unlisted", None), ("none".into(), None));
    assert_eq!(
        asks("unlisted", Some("support")).1,
        Some(Reason::PurposeNotGranted)
    );
    // `none` matches `*` only.
    assert_eq!(
        read(&l, &caller("unlisted", &["support_agent"]), "Contact.Phone").0,
        vec![T::Drop; 3]
    );
    assert_eq!(
        read(&l, &caller("unlisted", &["reader"]), "Contact.Phone").1,
        ["reader-all"]
    );
}

#[test]
fn tokens_need_a_scope() {
    let l = loaded(&sources(&[]));
    let who = caller("scopeless", &["bi"]);
    assert_eq!(
        read(&l, &who, "Contact.FirstName"),
        (vec![T::Redact; 3], vec!["bi-name-token".to_owned()])
    );
    assert_eq!(
        refused(ask(
            &l,
            &who,
            Action::Filter,
            "Contact.FirstName",
            Comparison::Equality
        ))
        .0,
        Reason::TreatedFieldEvaluated
    );
}

#[test]
fn evaluation_follows_reading() {
    let l = loaded(&sources(&[]));
    // Clear in every variant implies it; a treated field needs a row for exactly that use.
    assert!(matches!(
        ask(&l, &support(), Action::Sort, "Contact.LastName", OTHER),
        Verdict::Permit(_)
    ));
    assert!(
        matches!(ask(&l, &support(), Action::Filter, "Contact.Phone", OTHER), Verdict::Permit(r) if &*r[0] == "support-phone-filter")
    );
    for (action, words) in [
        (
            Action::Sort,
            "field 'Phone' can not be sorted in a query call",
        ),
        (
            Action::Group,
            "field 'Phone' can not be grouped in a query call",
        ),
    ] {
        let (reason, text, rule) = refused(ask(&l, &support(), action, "Contact.Phone", OTHER));
        assert_eq!(
            (reason, &*text, rule.as_deref()),
            (Reason::TreatedFieldEvaluated, words, Some("support-phone"))
        );
    }
    // A deny row names the use.
    let (reason, _, rule) = refused(ask(&l, &bi(), Action::Filter, "Contact.Phone", OTHER));
    assert_eq!(
        (reason, rule.as_deref()),
        (Reason::Denied, Some("bi-no-phone-filters"))
    );
    // Clear in one variant only is not clear.
    let l = with_rules(
        "p, allow, role:bi, read, Contact.Email, clear, *, *, record.consent=granted, -, a\np, allow, role:bi, read, Contact.Email, redact, *, *, -, 90, b\n",
    );
    assert_eq!(
        refused(ask(&l, &bi(), Action::Filter, "Contact.Email", OTHER)).0,
        Reason::TreatedFieldEvaluated
    );
}

#[test]
fn hidden_is_as_if_it_did_not_exist() {
    let l = loaded(&sources(&[]));
    let (reason, text, rule) =
        refused(ask(&l, &support(), Action::Filter, "Contact.New__c", OTHER));
    assert_eq!(
        (reason, &*text, rule),
        (
            Reason::UnknownField,
            "No such column 'New__c' on entity 'Contact'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names.",
            None
        )
    );
    for action in [Action::Filter, Action::Read, Action::Write] {
        let (reason, text, rule) = refused(ask(&l, &bi(), action, "Secret__c.Id", OTHER));
        assert_eq!(
            (reason, &*text, rule),
            (
                Reason::UnknownObject,
                "sObject type 'secRET__C' is not supported.",
                None
            )
        );
    }
    // As an output a dropped field is absent, not refused.
    assert!(
        matches!(ask(&l, &support(), Action::Read, "Contact.New__c", OTHER), Verdict::Output(r) if r.is_hidden())
    );
}

#[test]
fn deny_refuses_what_is_named() {
    let l = loaded(&sources(&[]));
    let away = Identity {
        region: Some("us".into()),
        ..caller("service-desk", &["reader"])
    };
    let (reason, _, rule) = refused(ask(&l, &away, Action::Read, "Contact.Health__c", OTHER));
    assert_eq!(
        (reason, rule.as_deref()),
        (Reason::Denied, Some("health-stays-home"))
    );
    let mut unnamed = used(&l.catalog, Action::Read, "Contact.Health__c", OTHER);
    unnamed.named = false;
    let d = decided(&l, &away, Action::Read, &[unnamed], &[], false);
    assert!(matches!(&d.verdicts[0], Verdict::Output(r) if r.is_hidden()));
}

#[test]
fn tokens_may_be_compared_and_grouped() {
    let l = loaded(&sources(&[]));
    let name = "Contact.FirstName";
    assert!(matches!(
        ask(&l, &bi(), Action::Filter, name, Comparison::Equality),
        Verdict::PermitTokens(_)
    ));
    assert!(matches!(
        ask(&l, &bi(), Action::Group, name, Comparison::Identity),
        Verdict::Permit(_)
    ));
    assert_eq!(
        refused(ask(&l, &bi(), Action::Filter, name, OTHER)).0,
        Reason::TreatedFieldEvaluated
    );
    // A token in one variant only does not open it.
    assert_eq!(
        refused(ask(
            &l,
            &bi(),
            Action::Filter,
            "Contact.Email",
            Comparison::Equality
        ))
        .0,
        Reason::TreatedFieldEvaluated
    );
}

/// Sums and extremes of a small group are its values; a row that allows them says nothing about groups.
#[test]
fn a_class_with_a_group_size_is_not_aggregated_where_it_is_treated() {
    let rows = "\
p, allow, role:bi, read, class:pii, redact, *, *, -, -, bi-redact
p, allow, role:bi, read, class:operational, clear, *, *, -, -, bi-clear
p, allow, role:bi, aggregate, Contact.Salary__c, -, *, *, -, -, bi-salary-sum
p, allow, role:bi, aggregate, Contact.Birthdate, -, *, *, -, -, bi-birthdate-extremes
p, allow, role:bi, aggregate, Contact.Greeting__c, -, *, *, -, -, bi-formula-sum
p, allow, role:reader, read, Contact.*, clear, *, *, -, -, reader-clear
";
    let rules = format!("{HEADER}{rows}");
    let schema = SCHEMA.replace(r#"["FirstName", "Account.Name"]"#, r#"["Salary__c"]"#);
    let l = loaded(&sources(&[
        ("rules/all.csv", &rules),
        ("schema/salesforce.json", &schema),
    ]));
    let sum = |who: &Identity, name: &str| ask(&l, who, Action::Aggregate, name, OTHER);
    for name in ["Contact.Salary__c", "Contact.Greeting__c"] {
        let (reason, message, _) = refused(sum(&bi(), name));
        assert_eq!(reason, Reason::TreatedFieldEvaluated, "{name}");
        assert!(message.ends_with("can not be aggregated in a query call"));
    }
    // A count shows no value, Birthdate's class names no size, and whoever reads in clear sums at home.
    let count = Comparison::Identity;
    for permitted in [
        ask(&l, &bi(), Action::Aggregate, "Contact.Salary__c", count),
        sum(&bi(), "Contact.Birthdate"),
        sum(&caller("scopeless", &["reader"]), "Contact.Salary__c"),
    ] {
        assert!(matches!(permitted, Verdict::Permit(_)), "{permitted:?}");
    }
}

#[test]
fn writes_need_a_row_and_broad_rows_take_tokens_only() {
    let l = loaded(&sources(&[]));
    let who = support();
    assert!(matches!(
        ask(&l, &who, Action::Write, "Contact.LastName", OTHER),
        Verdict::Permit(_)
    ));
    assert!(matches!(
        ask(&l, &who, Action::Write, "Contact.Phone", OTHER),
        Verdict::PermitNullOrTokens(_)
    ));
    assert!(
        matches!(ask(&l, &who, Action::Write, "Contact.Birthdate", OTHER), Verdict::Permit(r) if &*r[0] == "support-write-birthdate")
    );
    assert_eq!(
        refused(ask(
            &l,
            &who,
            Action::Write,
            "Contact.HasOptedOutOfEmail",
            OTHER
        ))
        .0,
        Reason::Denied
    );
    assert_eq!(
        refused(ask(&l, &who, Action::Write, "Contact.New__c", OTHER)).0,
        Reason::UnknownField
    );
    assert_eq!(
        refused(ask(&l, &who, Action::Delete, "Contact.Id", OTHER)).0,
        Reason::Denied
    );
    let lead = caller("service-desk", &["support_lead"]);
    assert!(
        matches!(ask(&l, &lead, Action::Delete, "Contact.Id", OTHER), Verdict::Permit(r) if &*r[0] == "lead-delete")
    );
}

#[test]
fn export_is_judged_twice() {
    let l = loaded(&sources(&[]));
    let away = Identity {
        region: Some("us".into()),
        ..bi()
    };
    let treatment = |who: &Identity, exports| {
        whole(
            &l,
            who,
            "Contact.HasOptedOutOfEmail",
            Action::Export,
            exports,
        )
        .read(field(&l.catalog, "Contact.HasOptedOutOfEmail"))
        .expect("a ruling")
        .strictest()
        .treatment
    };
    assert_eq!(treatment(&away, false), T::Clear);
    assert_eq!(treatment(&away, true), T::Drop);
    assert_eq!(treatment(&bi(), true), T::Clear);
}

#[test]
fn describe_rows_only_hide() {
    let l = with_rules(
        "p, allow, role:bi, read, class:pii, redact, *, *, -, -, a\np, deny, role:bi, describe, Contact.Phone, -, *, *, -, -, b\n",
    );
    let phone = field(&l.catalog, "Contact.Phone");
    let shown = |action| {
        whole(&l, &bi(), "Contact.Phone", action, false)
            .read(phone)
            .expect("a ruling")
            .strictest()
            .treatment
    };
    assert_eq!(
        (shown(Action::Read), shown(Action::Describe)),
        (T::Redact, T::Drop)
    );
}

#[test]
fn the_version_counts_meaning_only() {
    let version =
        |replace: &[(&str, &str)]| loaded(&sources(replace)).policies.version().to_string();
    let plain = version(&[]);
    let mut lines: Vec<&str> = RULES.lines().collect();
    lines.reverse();
    let shuffled = format!(
        "{HEADER}# a comment\n\n{}\n",
        lines.join("\n").replace(", ", " ,  ")
    );
    assert_eq!(version(&[("rules/all.csv", &shuffled)]), plain);
    assert_ne!(
        version(&[(
            "rules/all.csv",
            &format!("{HEADER}{}", RULES.replace("mask:last4", "mask:all"))
        )]),
        plain
    );
    assert_eq!(
        version(&[("vocabulary.yaml", &format!("# ours\n{VOCABULARY}"))]),
        plain
    );
    assert_ne!(
        version(&[(
            "vocabulary.yaml",
            &VOCABULARY.replace("explain: true", "explain: false")
        )]),
        plain
    );
    assert_ne!(
        version(&[(
            "schema/salesforce.json",
            &SCHEMA.replace("\"length\": 80", "\"length\": 81")
        )]),
        plain
    );
    assert_ne!(
        version(&[("roles.csv", &format!("{ROLES}g, user:x, role:bi\n"))]),
        plain
    );
}

#[test]
fn rules_read_as_sentences() {
    let l = loaded(&sources(&[]));
    assert_eq!(
        l.policies
            .rule("support-email-clear")
            .expect("a rule")
            .to_string(),
        "support-email-clear: allow role:support_agent to read class:pii.email as clear for support from the data's own region when a second factor was used and the session is younger than 15 min (priority 20)"
    );
    assert_eq!(
        l.policies
            .rule("auditor-no-new")
            .expect("a rule")
            .to_string(),
        "auditor-no-new: forbid role:auditor to do anything with class:unclassified for any purpose from anywhere"
    );
}

fn with_pack(vocabulary: &str, classes: &str, rules: &str) -> Loaded {
    let on = VOCABULARY.replace("packs: []", "packs: [gdpr]");
    loaded(&sources(&[
        ("vocabulary.yaml", &on),
        ("packs/gdpr/vocabulary.yaml", vocabulary),
        (
            "packs/gdpr/classes/crm.csv",
            &format!("# g2, field, class\n{classes}"),
        ),
        ("packs/gdpr/rules/all.csv", &format!("{HEADER}{rules}")),
    ]))
}

/// A pack's answer holds where it protects more, whatever the numbers say; where it has no row it has no opinion.
#[test]
fn over_the_layers_the_most_protective_answer_holds() {
    let on = with_pack(
        "schema: 1\n",
        "",
        "p, allow, *, read, Contact.Phone, drop, *, *, -, 99, gdpr-phone\n\
         p, allow, *, read, Contact.Email, clear, *, *, -, 1, gdpr-email\n",
    );
    let own = loaded(&sources(&[]));
    assert_eq!(read(&on, &bi(), "Contact.Phone").1, ["gdpr-phone"]);
    assert_eq!(read(&own, &bi(), "Contact.Phone").1, ["bi-pii-fallback"]);
    for field in ["Contact.Email", "Contact.Birthdate", "Contact.Name"] {
        assert_eq!(read(&on, &bi(), field), read(&own, &bi(), field), "{field}");
    }
    let rows = "p, allow, *, read, Contact.Phone, drop, *, *, -, 99, gdpr-phone\n";
    let path = "packs/gdpr/rules/all.csv";
    let off = loaded(&sources(&[(path, &format!("{HEADER}{rows}"))]));
    assert_eq!(off.policies.version(), own.policies.version());
    assert_eq!(read(&off, &bi(), "Contact.Phone").1, ["bi-pii-fallback"]);
}

/// Who asked before, and what for, changes no answer: a layer without a row on a field tells the company's own rules
/// nothing, however the caches were filled.
#[test]
fn with_a_pack_no_answer_depends_on_who_asked_before() {
    let set = || {
        with_pack(
            "schema: 1\n",
            "",
            "p, allow, *, read, Contact.Phone, drop, *, *, -, 99, gdpr-phone\n",
        )
    };
    let shared = set();
    let all = [
        support(),
        caller("nobody", &[]),
        bi(),
        caller("mailer", &[]),
        caller("nobody", &["employee"]),
    ];
    for exports in [false, true] {
        let action = if exports {
            Action::Export
        } else {
            Action::Read
        };
        for who in all.iter().chain(all.iter().rev()) {
            let fresh = set();
            for name in ["Contact.Email", "Account.Name"] {
                let before = whole(&shared, who, name, action, exports);
                let alone = whole(&fresh, who, name, action, exports);
                for (object, table) in &alone.tables {
                    let fields = field_names(&fresh, *object);
                    let rows = fields.iter().zip(&table.fields);
                    for ((field, alone), before) in rows.zip(&before.tables[object].fields) {
                        let client = &who.client;
                        assert_eq!(
                            alone.by_variant, before.by_variant,
                            "{field} for {client:?} (export: {exports})"
                        );
                    }
                }
            }
        }
    }
}

fn field_names(set: &Loaded, object: ObjectId) -> Vec<Arc<str>> {
    let fields = set.catalog.get(object).fields.iter();
    fields.map(|f| Arc::clone(&f.name)).collect()
}

/// What a pack classifies it classifies for itself: no row of the company reaches a field through it.
#[test]
fn to_switch_a_pack_on_shows_nothing() {
    let vocabulary = "schema: 1\nclasses:\n  custom: { personal: true }\n";
    let on = with_pack(
        vocabulary,
        "g2, Contact.New__c, class:operational\ng2, Contact.Phone, class:custom\ng2, Ghost.Field, class:custom\n",
        "p, allow, *, read, class:custom, redact, *, *, -, -, custom-redact\n\
         p, allow, *, read, class:operational, clear, *, *, -, -, operational-open\n",
    );
    assert_eq!(read(&on, &bi(), "Contact.New__c").0, [T::Drop; 3]);
    assert_eq!(read(&on, &support(), "Contact.Phone").1, ["custom-redact"]);
}

/// A layer that reads a field masked refuses to evaluate it, whatever another layer's rows allow.
#[test]
fn each_layer_judges_uses_by_what_it_lets_read() {
    let rows = "p, allow, *, read, class:pii, redact, *, *, -, -, pack-redact\n";
    let filter = |set: &Loaded| {
        let how = Comparison::Equality;
        let verdict = ask(set, &support(), Action::Filter, "Contact.Email", how);
        matches!(verdict, Verdict::Permit(_))
    };
    let own_rule = "p, allow, *, filter, Contact.Email, -, *, *, -, -, own-filter\n";
    let with_own = |pack: &str| {
        let on = VOCABULARY.replace("packs: []", "packs: [gdpr]");
        loaded(&sources(&[
            ("vocabulary.yaml", &on),
            ("rules/more.csv", &format!("{HEADER}{own_rule}")),
            ("packs/gdpr/rules/all.csv", &format!("{HEADER}{pack}")),
        ]))
    };
    assert!(!filter(&with_own(rows)));
    let allowed = format!("{rows}p, allow, *, filter, class:pii, -, *, *, -, -, pack-filter\n");
    assert!(filter(&with_own(&allowed)));
    let other = "p, allow, *, read, class:sensitive.health, redact, *, *, -, -, pack-health\n";
    assert!(filter(&with_own(other)));
    let denied = "p, deny, *, filter, class:pii, -, *, *, -, -, pack-deny\n";
    assert!(!filter(&with_own(denied)));
}

/// What an automatic step does: personal fields read as redact at least and are not evaluated; the rest stays.
#[test]
fn a_tightened_decision_shows_nothing_personal_and_is_never_weaker() {
    let l = loaded(&sources(&[]));
    let names = [
        "Contact.Email",
        "Contact.FirstName",
        "Contact.Birthdate",
        "Contact.Greeting__c",
        "Contact.Id",
        "Account.Name",
        "Account.Revenue",
    ];
    let all = [
        Action::Read,
        Action::Filter,
        Action::Sort,
        Action::Write,
        Action::Delete,
    ];
    let uses: Vec<Use> = names
        .iter()
        .flat_map(|name| all.map(|action| used(&l.catalog, action, name, OTHER)))
        .collect();
    let objects = ["Contact", "Account"].map(|o| object_id(&l.catalog, o));
    let mut seen_permit = 0;
    for who in [support(), bi()] {
        let before = decided(&l, &who, Action::Read, &uses, &objects, false);
        let mut after = decided(&l, &who, Action::Read, &uses, &objects, false);
        tighten(&mut after, &l.catalog, &uses);
        for (object, table) in &after.tables {
            let fields = &l.catalog.get(*object).fields;
            for ((field, now), was) in fields
                .iter()
                .zip(&table.fields)
                .zip(&before.tables[object].fields)
            {
                // Computed from a personal field.
                let personal =
                    l.catalog.vocabulary.is_personal(&field.class) || &*field.name == "Greeting__c";
                for (now, was) in now.by_variant.iter().zip(was.by_variant.iter()) {
                    assert!(
                        now.treatment.rank() >= was.treatment.rank(),
                        "{}",
                        field.name
                    );
                    if personal {
                        assert!(now.treatment >= T::Redact, "{}", field.name);
                    } else if &*field.class != "unclassified" {
                        assert_eq!(now, was, "{}", field.name);
                    }
                }
            }
        }
        for ((one, now), was) in uses.iter().zip(&after.verdicts).zip(&before.verdicts) {
            let known = l.catalog.field(one.field);
            let personal =
                l.catalog.vocabulary.is_personal(&known.class) || &*known.name == "Greeting__c";
            let refused = matches!(now, Verdict::Refuse(_));
            match was {
                Verdict::Refuse(_) => assert!(refused),
                Verdict::Output(_) => assert!(matches!(now, Verdict::Output(_))),
                _ if personal || one.action == Action::Delete => {
                    seen_permit += 1;
                    assert!(refused, "{} {:?}", one.written, one.action);
                }
                _ => assert!(!refused, "{} {:?}", one.written, one.action),
            }
        }
        assert!(after.abilities.is_empty());
    }
    assert!(seen_permit > 0, "nothing was permitted before");
}
