//! The policy path: a decision whose tables are cached (hit) and one that asks Casbin (miss).

mod bulk;

use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use privet::cli::policy::on_all_processors;
use privet::engine::catalog::FieldRef;
use privet::engine::identity::{Identity, Proof};
use privet::engine::policy::{Asking, Loaded, Sources, decide_uses, load};
use privet::engine::protocol::{Action, Comparison, Use};
use privet::engine::token::KeyRing;
use privet::engine::workbench::compare::Work;
use privet::engine::workbench::suite;

/// 60 fields in 12 classes, 300 rules of 30 roles, one record flag.
fn loaded() -> Option<Loaded> {
    let mut vocabulary = "schema: 1\npurposes: [support]\nflags: { consent: { Contact: { field: F0, granted: ['y'], withdrawn: ['n'] } } }\nclients: { desk: { purposes: [support] } }\nclasses:\n".to_owned();
    let mut classes = "# g2, field, class\n".to_owned();
    let mut fields = Vec::new();
    let mut rules =
        "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n"
            .to_owned();
    for c in 0..12 {
        vocabulary.push_str(&format!("  c{c}: {{}}\n"));
    }
    for f in 0..60 {
        fields.push(format!("\"F{f}\": {{\"type\": \"string\"}}"));
        classes.push_str(&format!("g2, Contact.F{f}, class:c{}\n", f % 12));
    }
    let mut roles = "# g, who, role\n".to_owned();
    for r in 0..30 {
        roles.push_str(&format!("g, user:u{r}, role:r{r}\n"));
        for k in 0..10 {
            let when = if k == 3 {
                "record.consent=granted"
            } else {
                "-"
            };
            rules.push_str(&format!(
                "p, allow, role:r{r}, read, class:c{k}, {}, support, *, {when}, -, r{r}-c{k}\n",
                ["clear", "mask:all", "redact"][k % 3]
            ));
        }
    }
    let schema = format!(
        r#"{{"schema":1,"api":"crm","dialect":"salesforce","objects":{{"Contact":{{"fields":{{{}}}}}}}}}"#,
        fields.join(",\n")
    );
    load(&Sources {
        files: [
            ("vocabulary.yaml", vocabulary),
            ("schema/crm.json", schema),
            ("classes/crm.csv", classes),
            ("roles.csv", roles),
            ("rules/all.csv", rules),
        ]
        .map(|(p, t)| (p.to_owned(), t.into_bytes()))
        .to_vec(),
    })
    .ok()
}

fn policy(c: &mut Criterion) {
    let Some(loaded) = loaded() else {
        c.bench_function("the bench's own policy does not load", |_| {});
        return;
    };
    let Some(contact) = loaded.catalog.object("crm", "Contact") else {
        return;
    };
    let caller = Identity {
        subject: "u7".into(),
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
    let uses: Vec<Use> = (0..6)
        .map(|field| Use {
            field: FieldRef {
                object: contact,
                field,
            },
            action: Action::Read,
            written: "F".into(),
            comparison: Comparison::Other,
            values: Vec::new(),
            named: true,
        })
        .collect();
    let decide = || {
        decide_uses(
            &loaded.policies,
            &loaded.catalog,
            &caller,
            &Asking {
                action: Action::Read,
                uses: black_box(&uses),
                objects: &[contact],
                exports: false,
                written: &|_| None,
            },
        )
    };
    c.bench_function("policy/decide/table-hit", |b| b.iter(decide));
    c.bench_function("policy/decide/table-miss", |b| {
        b.iter(|| {
            loaded.policies.forget_tables();
            decide()
        });
    });
}

/// The workbench on a large set: 1,000 rules, 500 fields, 20 roles. Each round begins with freshly loaded sets, so that
/// Casbin is asked everything again; the work is done on all processors, as `privet policy` does it.
fn workbench(c: &mut Criterion) {
    let (sources, tests) = bulk::set(1, 1000);
    let edited = bulk::edited(&sources);
    let mut group = c.benchmark_group("policy/1000-rules");
    group.sample_size(10);
    group.bench_function("load", |b| b.iter(|| load(&sources).is_ok()));
    let both = || Some((load(&sources).ok()?, load(&edited).ok()?));
    group.bench_function("diff", |b| {
        b.iter_batched(
            both,
            |sets| {
                let (old, new) = sets.as_ref()?;
                let work = Work::new(old, new);
                let parts = on_all_processors(work.parts(), |part| work.part(part));
                Some(work.joined(parts).changes.len())
            },
            BatchSize::PerIteration,
        );
    });
    group.bench_function("test", |b| {
        b.iter_batched(
            both,
            |sets| {
                let (mut set, _) = sets?;
                let suite = [suite::read("bulk_test.yaml", &tests, &set, 0).ok()?];
                let keys = KeyRing::generate(&[7; 64]);
                let report = suite::run_tests(&suite, &mut set, &keys, &|_| (400, ""));
                let invariants = on_all_processors(suite::invariants(&suite), |i| {
                    suite::run_invariant(&suite, &set, i)
                });
                Some((report.counts(), invariants.len()))
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, policy, workbench);
criterion_main!(benches);
