//! Mistakes that need several files to see: ties, treatments that a type cannot hold, tokens of low-entropy
//! classes, roles that nobody holds.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::roles::Roles;
use super::rules::{Effect, Rule, TREATMENT, WHAT, WHO, What, fits};
use super::table::{low_entropy, token_class};
use crate::diagnostic::Diagnostic;
use crate::engine::catalog::{Catalog, FieldRef, FieldType, ObjectId};
use crate::engine::protocol::Action;
use crate::engine::treatment::Treatment;

/// Every schema field.
pub(super) fn all_fields(catalog: &Catalog) -> Vec<FieldRef> {
    let mut all = Vec::new();
    for (o, object) in catalog.objects.iter().enumerate() {
        for f in 0..object.fields.len() {
            all.push(FieldRef {
                object: ObjectId(o as u32),
                field: f as u32,
            });
        }
    }
    all
}

/// Treatments that fields cannot hold. A row that names the field is an error; a broader row is an error only if
/// no field of it can hold the treatment, else a warning names one that cannot.
pub(super) fn treatments(catalog: &Catalog, rules: &[Rule], found: &mut Vec<Diagnostic>) {
    let fields = all_fields(catalog);
    for rule in rules {
        let Some(treatment) = rule.treatment else {
            continue;
        };
        let word = treatment.word();
        if treatment.is_token()
            && let What::Class(class) = &rule.what
            && !token_class(catalog, class)
        {
            found.push(token_error(catalog, rule, class, None));
            continue;
        }
        let reached: Vec<FieldRef> = fields
            .iter()
            .copied()
            .filter(|f| rule.reaches(catalog, *f))
            .collect();
        if treatment.is_token()
            && let Some(f) = reached.iter().find(|f| {
                let field = catalog.field(**f);
                fits(treatment, field.kind) && !token_class(catalog, &field.class)
            })
        {
            let class = catalog.field(*f).class.clone();
            found.push(token_error(catalog, rule, &class, Some(*f)));
            continue;
        }
        let misfit = |f: &&FieldRef| {
            let kind = catalog.field(**f).kind;
            kind != FieldType::Compound && !fits(treatment, kind)
        };
        let misfits = reached.iter().filter(misfit).count();
        let Some(first) = reached.iter().find(|f| {
            let kind = catalog.field(**f).kind;
            !fits(treatment, kind)
                && (kind != FieldType::Compound || matches!(rule.what, What::Field(_)))
        }) else {
            continue;
        };
        let name = catalog.field_name(*first);
        let kind = &catalog.field(*first).type_word;
        let message = format!("`{word}` cannot treat `{name}`, which is of type {kind}");
        // A pack does not know the company's schema: what it reaches becomes null at worst.
        if rule.pack.is_none() && (matches!(rule.what, What::Field(_)) || misfits == reached.len())
        {
            found.push(
                rule.row
                    .error(TREATMENT, "treatment-type", message)
                    .help(holds(treatment)),
            );
        } else {
            found.push(
                rule.row
                    .warning(TREATMENT, "treatment-type", message)
                    .help(format!(
                        "its values would become null ({misfits} of {} fields); {}",
                        reached.len(),
                        holds(treatment)
                    )),
            );
        }
    }
}

fn holds(treatment: Treatment) -> &'static str {
    match treatment {
        Treatment::GeneraliseYear | Treatment::GeneraliseMonth => {
            "it treats dates: use `redact` or `drop` for anything else"
        }
        Treatment::GeneraliseRange10 => {
            "it treats numbers: use `redact` or `drop` for anything else"
        }
        _ => "it treats texts: use `redact` or `drop` for anything else",
    }
}

fn token_error(catalog: &Catalog, rule: &Rule, class: &str, field: Option<FieldRef>) -> Diagnostic {
    let reach = field.map_or(String::new(), |f| {
        format!(" (the row reaches `{}`)", catalog.field_name(f))
    });
    if low_entropy(catalog, class) {
        rule.row
            .error(
                TREATMENT,
                "token-low-entropy",
                format!(
                    "deterministic tokens of the low-entropy class `{class}` can be guessed{reach}"
                ),
            )
            .help(
                "use `redact` or `generalise:…`; name narrower classes if the row reaches too far",
            )
    } else {
        rule.row
            .error(
                TREATMENT,
                "token-several-targets",
                format!(
                    "references with several targets (class `{class}`) cannot be tokenized{reach}"
                ),
            )
            .help("tokenize `class:id.<object>` and redact or drop the others")
    }
}

/// Two rows that tie on priority and protection with different treatments, for some principal with all it holds,
/// under conditions that can hold together.
pub(super) fn ties(catalog: &Catalog, rules: &[Rule], roles: &Roles, found: &mut Vec<Diagnostic>) {
    let mut principals: BTreeSet<Arc<str>> = roles.links.keys().cloned().collect();
    principals.extend(rules.iter().map(|r| r.who.clone()));
    let holders: Vec<BTreeSet<Arc<str>>> = principals.iter().map(|p| roles.closure(p)).collect();
    let held_together = |a: &Rule, b: &Rule| {
        let any = |r: &Rule| &*r.who == "*";
        any(a)
            || any(b)
            || holders
                .iter()
                .any(|h| h.contains(&a.who) && h.contains(&b.who))
    };
    let fields = all_fields(catalog);
    for (i, a) in rules.iter().enumerate() {
        let Some(x) = a.treatment.filter(|_| a.effect == Effect::Allow) else {
            continue;
        };
        for b in &rules[i + 1..] {
            let Some(y) = b.treatment else { continue };
            if x == y
                || a.layer != b.layer
                || x.rank() != y.rank()
                || a.priority != b.priority
                || ![Action::Read, Action::Export]
                    .iter()
                    .any(|action| a.speaks_of(*action) && b.speaks_of(*action))
                || !overlap(&a.purposes, &b.purposes, |p, q| p == q)
                || !overlap(&a.regions, &b.regions, regions_agree)
                || !a.when.iter().all(|t| b.when.iter().all(|u| t.agrees(u)))
                || !held_together(a, b)
            {
                continue;
            }
            let Some(field) = fields
                .iter()
                .find(|f| a.reaches(catalog, **f) && b.reaches(catalog, **f))
            else {
                continue;
            };
            // The later of the two is where the mistake shows.
            let (first, second) = if a.position <= b.position {
                (a, b)
            } else {
                (b, a)
            };
            found.push(
                second
                    .row
                    .error(
                        TREATMENT,
                        "tie",
                        format!(
                            "`{}` ({}) and `{}` ({}) tie on `{}`",
                            second.id,
                            second.treatment.map_or("-", Treatment::word),
                            first.id,
                            first.treatment.map_or("-", Treatment::word),
                            catalog.field_name(*field),
                        ),
                    )
                    .help(format!(
                        "`{}` stands at {}:{}; give one of them another priority or narrower conditions",
                        first.id, first.position.file, first.position.line
                    )),
            );
        }
    }
}

fn overlap(a: &[Arc<str>], b: &[Arc<str>], agree: impl Fn(&str, &str) -> bool) -> bool {
    a.is_empty() || b.is_empty() || a.iter().any(|x| b.iter().any(|y| agree(x, y)))
}

/// `same` and `cross` exclude each other, and so do two caller regions; the rest can hold together.
fn regions_agree(a: &str, b: &str) -> bool {
    let relative = |r: &str| matches!(r, "same" | "cross");
    a == b || relative(a) != relative(b)
}

/// Roles in rules that `roles.csv` does not mention: only a credential that carries the role meets such a rule,
/// and a misspelt name looks the same.
pub(super) fn unheld(rules: &[Rule], roles: &Roles, found: &mut Vec<Diagnostic>) {
    let mut told = BTreeSet::new();
    for rule in rules {
        if rule.who.starts_with("role:")
            && !roles.mentioned.contains(&rule.who)
            && told.insert(rule.who.clone())
        {
            let known: Vec<&str> = roles.mentioned.iter().map(|r| &**r).collect();
            let mut w = rule.row.warning(
                WHO,
                "role-not-held",
                format!("nobody holds `{}`: roles.csv does not mention it", rule.who),
            );
            w.help = Some(match crate::diagnostic::nearest(&rule.who, known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "only a credential that carries this role meets the rule; a row in roles.csv declares it"
                    .to_owned(),
            });
            found.push(w);
        }
    }
}

/// A `deny` for reading a whole class refuses every request that names one of its fields: often `drop` is meant.
pub(super) fn broad_denies(rules: &[Rule], found: &mut Vec<Diagnostic>) {
    for rule in rules {
        if rule.effect == Effect::Deny
            && rule.actions.contains(&Action::Read)
            && matches!(rule.what, What::Class(_))
            && rule.regions.is_empty()
            && rule.when.is_empty()
        {
            found.push(
                rule.row
                    .warning(
                        WHAT,
                        "deny-on-class",
                        "this deny refuses every request that names a field of the class",
                    )
                    .help("an allow row with `drop` removes the fields instead"),
            );
        }
    }
}
