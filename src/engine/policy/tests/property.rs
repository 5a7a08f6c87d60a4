//! Slices, groups, variants and caches never change an answer: every table equals the whole enforcer.

use std::sync::Arc;

use proptest::prelude::*;

use super::fixture::*;
use crate::engine::catalog::{FieldRef, ObjectId};
use crate::engine::policy::casbin::Engine;
use crate::engine::policy::decision::Ruling;
use crate::engine::policy::table::{Key, Question, links, strictest, variants};
use crate::engine::policy::{Loaded, load};
use crate::engine::protocol::Action;

fn pick(words: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(words)
}

/// One row without its id. Treatments differ in rank, so that nothing ties.
fn row() -> impl Strategy<Value = String> {
    let who = || {
        pick(&[
            "*",
            "role:bi",
            "role:reader",
            "role:auditor",
            "role:support_lead",
            "role:support_agent",
            "user:ana",
            "client:tableau",
        ])
    };
    let what = || {
        pick(&[
            "Contact.Email",
            "Contact.Phone",
            "Account.Name",
            "class:pii",
            "class:pii.email",
            "class:operational",
            "class:id",
            "class:id.Account",
        ])
    };
    let broad = || {
        pick(&[
            "*",
            "Contact.*",
            "Account.*",
            "class:unclassified",
            "Contact.New__c",
            "class:pii",
        ])
    };
    let purpose = || pick(&["*", "support", "analytics", "support|analytics"]);
    let region = || pick(&["*", "same", "cross", "eu", "us|same"]);
    let when = || {
        pick(&[
            "-",
            "-",
            "mfa",
            "!mfa",
            "session<15m",
            "!session<1h & mfa",
            "hours=office",
            "!network=head-office",
            "record.consent=granted",
            "!record.consent=withdrawn",
            "record.consent=withdrawn & mfa",
        ])
    };
    let priority = || pick(&["-", "10", "90"]);
    prop_oneof![
        (
            who(),
            pick(&["read", "export", "read|export"]),
            what(),
            pick(&["clear", "mask:all", "redact", "drop"]),
            purpose(),
            region(),
            when(),
            priority()
        )
            .prop_map(|(w, a, o, t, p, r, c, n)| format!(
                "allow, {w}, {a}, {o}, {t}, {p}, {r}, {c}, {n}"
            )),
        (
            who(),
            pick(&["read", "export"]),
            broad(),
            pick(&["clear", "redact", "drop"]),
            purpose(),
            region(),
            when(),
            priority()
        )
            .prop_map(|(w, a, o, t, p, r, c, n)| format!(
                "allow, {w}, {a}, {o}, {t}, {p}, {r}, {c}, {n}"
            )),
        (
            who(),
            pick(&["filter", "filter|sort", "write", "delete|write"]),
            broad(),
            purpose(),
            region(),
            when(),
            priority()
        )
            .prop_map(|(w, a, o, p, r, c, n)| format!(
                "allow, {w}, {a}, {o}, -, {p}, {r}, {c}, {n}"
            )),
        (
            who(),
            pick(&["*", "read", "export", "filter", "write", "delete"]),
            what(),
            purpose(),
            region(),
            when()
        )
            .prop_map(|(w, a, o, p, r, c)| format!("deny, {w}, {a}, {o}, -, {p}, {r}, {c}, -")),
        (
            who(),
            pick(&["*", "export", "filter"]),
            broad(),
            purpose(),
            region(),
            when()
        )
            .prop_map(|(w, a, o, p, r, c)| format!("deny, {w}, {a}, {o}, -, {p}, {r}, {c}, -")),
    ]
}

/// The answer of the whole enforcer: every rule, every link, every exact value of every condition.
fn reference(
    loaded: &Loaded,
    whole: &Engine,
    key: &Key,
    field: Option<FieldRef>,
    variant: usize,
) -> Ruling {
    let object = loaded.catalog.get(key.object);
    let mut rest = variant;
    let mut choices: Vec<Vec<Option<usize>>> = Vec::new();
    for condition in object.conditions.iter().rev() {
        let n = condition.values.len();
        let code = rest % (n + 1);
        rest /= n + 1;
        choices.insert(
            0,
            if code == n {
                (0..n).map(Some).chain([None]).collect()
            } else {
                vec![Some(code)]
            },
        );
    }
    let mut all = vec![Vec::new()];
    for options in choices {
        all = all
            .iter()
            .flat_map(|head: &Vec<Option<usize>>| {
                options
                    .iter()
                    .map(|o| head.iter().copied().chain([*o]).collect::<Vec<_>>())
            })
            .collect();
    }
    let name = field.map_or_else(
        || format!("{}.*", object.name),
        |f| loaded.catalog.field_name(f),
    );
    all.iter()
        .map(|choice| {
            let mut asked = loaded.policies.asked(key);
            asked.data_region(object.data_region.as_deref());
            for (condition, value) in object.conditions.iter().zip(choice) {
                let value = value.map(|v| &*condition.values[v].0);
                if condition.is_region {
                    asked.data_region(value);
                } else {
                    asked.flag(&condition.name, value);
                }
            }
            loaded
                .policies
                .cell(&loaded.catalog, whole, &name, field, key.question, &asked)
        })
        .reduce(|a, b| strictest(&a, &b))
        .expect("at least one choice")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_table_equals_the_whole_enforcer(
        rows in prop::collection::vec(row(), 1..14),
        roles in prop::sample::subsequence(vec!["bi", "reader", "auditor", "support_lead", "nobody"], 0..4),
        subject in pick(&["ana", "somebody"]),
        client in pick(&["tableau", "service-desk"]),
        purpose in pick(&["none", "support", "analytics"]),
        region in prop::option::of(pick(&["eu", "us"])),
        known in any::<u64>(),
        holds in any::<u64>(),
    ) {
        let mut text = HEADER.to_owned();
        for (i, row) in rows.iter().enumerate() {
            text.push_str(&format!("p, {row}, r{i}\n"));
        }
        let loaded = match load(&sources(&[("rules/all.csv", &text)])) {
            Ok(loaded) => loaded,
            Err(found) => return Err(TestCaseError::fail(found[0].to_string())),
        };
        let mut who = caller(client, &roles);
        who.subject = subject.into();
        let (_, principals) = loaded.policies.principals_of(&who);
        let objects = || (0..loaded.catalog.objects.len()).map(|o| ObjectId(o as u32));
        let whole = Engine::build(
            loaded.policies.rules(),
            principals.iter().map(|p| loaded.policies.principals[*p as usize].to_string()),
            objects().flat_map(|o| links(&loaded.catalog, o)),
        ).expect("an enforcer");
        for object in objects() {
            for question in [
                Question::Raw { export: false, describe: false },
                Question::Raw { export: true, describe: true },
                Question::Use(Action::Filter),
                Question::Use(Action::Write),
                Question::Delete,
            ] {
                let key = Key {
                    principals: principals.clone(),
                    object,
                    question,
                    purpose: purpose.into(),
                    region: region.map(Arc::from),
                    known,
                    holds: holds & known,
                    scoped: true,
                    layer: None,
                };
                // The second answer comes from the cache.
                for _ in 0..2 {
                    let table = loaded.policies.table(&loaded.catalog, &key);
                    prop_assert_eq!(table.variants, variants(&loaded.catalog, object));
                    for (f, ruling) in table.fields.iter().enumerate() {
                        let field = (question != Question::Delete)
                            .then_some(FieldRef { object, field: f as u32 });
                        for variant in 0..table.variants {
                            prop_assert_eq!(
                                ruling.under(variant),
                                &reference(&loaded, &whole, &key, field, variant),
                                "{:?} variant {}\n{}", key, variant, text
                            );
                        }
                    }
                }
            }
        }
    }
}
