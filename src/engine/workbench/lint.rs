//! What is valid and yet hardly meant: rules that decide nothing, rules that change nothing, names that lead nowhere.
//! Dearer than the loader's warnings, because it looks at the whole space: for `check`, not for serving.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::space::{Words, asked, cells, corners, families};
use crate::diagnostic::{Diagnostic, Position};
use crate::engine::catalog::FieldRef;
use crate::engine::policy::{Effect, Loaded, Point, Policies, Rule, Sources, is_inside};
use crate::engine::protocol::Action;
use crate::engine::treatment::Treatment;

/// Warnings, by place.
pub fn lint(sources: &Sources, set: &Loaded) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    classes(sources, set, &mut found);
    fields(sources, set, &mut found);
    everyone(set, &mut found);
    idle(set, &mut found);
    layers(set, &mut found);
    found.sort_by(|a, b| (a.code, &a.position).cmp(&(b.code, &b.position)));
    found
}

/// The line of `file` that `is` the place.
fn place(sources: &Sources, file: &str, is: impl Fn(&str) -> bool) -> (Option<Position>, String) {
    let at = sources
        .files
        .iter()
        .find(|(path, _)| path == file)
        .and_then(|(_, bytes)| std::str::from_utf8(bytes).ok())
        .and_then(|text| {
            text.lines()
                .enumerate()
                .find(|(_, line)| is(line))
                .map(|(i, line)| (i as u32 + 1, line.to_owned()))
        });
    let (line, text) = at.unwrap_or_default();
    let column = text.chars().take_while(|c| c.is_whitespace()).count() as u32 + 1;
    let position = Position {
        file: file.into(),
        line,
        column: if line == 0 { 0 } else { column },
    };
    (Some(position), text)
}

/// Classes that no field belongs to, themselves or through a class inside.
fn classes(sources: &Sources, set: &Loaded, found: &mut Vec<Diagnostic>) {
    let fields = super::all_fields(&set.catalog);
    let used: BTreeSet<&str> = fields
        .iter()
        .flat_map(|f| set.policies.classes(&set.catalog, *f))
        .map(|class| &**class)
        .collect();
    let packs = set.policies.packs().len() > 0;
    for name in set.catalog.vocabulary.classes.keys() {
        if !used.iter().any(|u| is_inside(u, name)) {
            let head = format!("{name}:");
            let (at, text) = place(sources, "vocabulary.yaml", |line| {
                line.trim_start().starts_with(&head)
            });
            // A pack declares classes for schemas of all kinds.
            if packs && at.as_ref().is_none_or(|at| at.line == 0) {
                continue;
            }
            found.push(
                Diagnostic::warning(
                    "class-without-field",
                    at,
                    format!("no field belongs to the class `{name}`"),
                )
                .underline(text, name.chars().count() as u32)
                .help("give it fields in classes/*.csv, or remove it"),
            );
        }
    }
}

/// Fields that no row classifies. They stay hidden, which is safe and seldom the last word.
fn fields(sources: &Sources, set: &Loaded, found: &mut Vec<Diagnostic>) {
    for object in &set.catalog.objects {
        let open: Vec<&str> = object
            .fields
            .iter()
            .filter(|f| &*f.class == "unclassified")
            .map(|f| &*f.name)
            .collect();
        let Some(first) = open.first() else { continue };
        let file = format!("schema/{}.json", object.api);
        let key = format!("\"{first}\"");
        let (at, text) = place(sources, &file, |line| line.contains(&key));
        let names = if open.len() > 5 {
            format!("{} and {} more", open[..5].join(", "), open.len() - 5)
        } else {
            open.join(", ")
        };
        found.push(
            Diagnostic::warning(
                "field-without-class",
                at,
                format!(
                    "`{}` has {} without class: {names}",
                    object.name,
                    if open.len() == 1 {
                        "a field".to_owned()
                    } else {
                        format!("{} fields", open.len())
                    }
                ),
            )
            .underline(text, 1)
            .help(
                "they are dropped for everybody until a row in classes/*.csv says what they hold",
            ),
        );
    }
}

/// Personal data in clear to whoever has any credential.
fn everyone(set: &Loaded, found: &mut Vec<Diagnostic>) {
    for rule in set.policies.rules() {
        if &*rule.who != "*" || rule.treatment != Some(Treatment::Clear) {
            continue;
        }
        let personal = super::all_fields(&set.catalog).into_iter().find(|f| {
            rule.reaches(&set.catalog, *f) && is_personal(set, &set.catalog.field(*f).class)
        });
        if let Some(field) = personal {
            found.push(
                rule.warning(
                    "clear-for-everyone",
                    format!(
                        "`{}` shows personal data (`{}`) in clear to everyone",
                        rule.id,
                        set.catalog.field_name(field)
                    ),
                )
                .help("name the roles that need it"),
            );
        }
    }
}

fn is_personal(set: &Loaded, class: &str) -> bool {
    set.catalog.vocabulary.is_personal(class)
}

/// Where a rule decides: enough places to see whether it changes something there.
type Places = BTreeMap<Arc<str>, Vec<(Point, FieldRef, Action)>>;

/// Rules that never decide, and allow rules whose absence would change nothing. A deny may be a guard against rules to
/// come, and a `drop` may say aloud what silence says: those are left alone.
fn idle(set: &Loaded, found: &mut Vec<Diagnostic>) {
    let mut places: Places = BTreeMap::new();
    let words = Words::of(&[set]);
    for (_, action) in Action::WORDS {
        let spoken = |r: &Rule| !r.actions.is_empty() && r.speaks_of(action);
        if !set.policies.rules().iter().any(spoken) {
            continue;
        }
        let families = families(set, action, &|_| true);
        for who in &words.who {
            for (field, _) in &families {
                let mut rules = asked(set, who.as_ref(), *field, &[action]);
                if action == Action::Export {
                    rules = asked(set, who.as_ref(), *field, &[Action::Read, action]);
                }
                if rules.is_empty() {
                    continue;
                }
                for corner in corners(&words, &rules) {
                    let point = corner.point(who.as_ref());
                    let standpoint = set.policies.standing(&set.catalog, &point);
                    let mut here: BTreeSet<Arc<str>> = BTreeSet::new();
                    for layer in 0..=set.policies.packs().len() as u16 {
                        let said =
                            standpoint.said(&set.policies, &set.catalog, *field, action, layer);
                        here.extend(said.by_variant.iter().flat_map(|r| r.rules.iter().cloned()));
                    }
                    for id in here {
                        let known = places.entry(id).or_default();
                        known.push((point.clone(), *field, action));
                    }
                }
            }
        }
    }
    for rule in set.policies.rules() {
        // A pack's rules are for companies with other rules too.
        if rule.effect == Effect::Deny || rule.pack.is_some() {
            continue;
        }
        match places.get(&rule.id) {
            None => found.push(
                rule.warning(
                    "unreachable-rule",
                    format!("`{}` never decides: {}", rule.id, why(set, rule)),
                )
                .help("remove it, or give it another priority or wider conditions"),
            ),
            Some(places) => {
                if rule.treatment != Some(Treatment::Drop) && !matters(set, rule, places) {
                    found.push(
                        rule.warning(
                            "rule-without-effect",
                            format!("without `{}` nothing would change", rule.id),
                        )
                        .help("other rules already say the same; remove it unless it is meant for people"),
                    );
                }
            }
        }
    }
}

/// The company's rules that a pack answers more protectively.
fn layers(set: &Loaded, found: &mut Vec<Diagnostic>) {
    let words = Words::of(&[set]);
    let mut told: BTreeSet<(Arc<str>, Arc<str>)> = BTreeSet::new();
    let action = Action::Read;
    let packs = set.policies.packs().len() as u16;
    if packs == 0 {
        return;
    }
    for (field, _) in families(set, action, &|_| true) {
        for who in &words.who {
            let rules = asked(set, who.as_ref(), field, &[action]);
            for corner in corners(&words, &rules) {
                let standpoint = set
                    .policies
                    .standing(&set.catalog, &corner.point(who.as_ref()));
                let said =
                    |layer| standpoint.said(&set.policies, &set.catalog, field, action, layer);
                let own = said(0);
                for layer in 1..=packs {
                    let theirs = said(layer);
                    for variant in 0..super::space::variants(&set.catalog, field.object) {
                        let (a, b) = (own.under(variant), theirs.under(variant));
                        let (Some(mine), Some(pack)) = (a.rules.first(), b.rules.first()) else {
                            continue;
                        };
                        if a.treatment.rank() < b.treatment.rank()
                            && told.insert((mine.clone(), pack.clone()))
                            && let Some(rule) = set.policies.rule(mine)
                        {
                            found.push(
                                rule.warning(
                                    "layers-disagree",
                                    format!(
                                        "`{mine}` says {} of `{}`, {} says {}",
                                        a.treatment.word(),
                                        set.catalog.field_name(field),
                                        super::space::rule_words(
                                            &set.policies,
                                            std::slice::from_ref(pack)
                                        ),
                                        b.treatment.word()
                                    ),
                                )
                                .help("the more protective answer holds"),
                            );
                        }
                    }
                }
            }
        }
    }
}

fn why(set: &Loaded, rule: &Rule) -> &'static str {
    let reaches = |f: &FieldRef| rule.reaches(&set.catalog, *f);
    let deletes = rule.actions == [Action::Delete];
    if !deletes && !super::all_fields(&set.catalog).iter().any(reaches) {
        "it reaches no field"
    } else {
        "another rule always comes before"
    }
}

/// Whether some place where the rule decides would be decided otherwise without it.
fn matters(set: &Loaded, rule: &Rule, places: &[(Point, FieldRef, Action)]) -> bool {
    let without = set.policies.without(&set.catalog, &rule.id);
    let catalog = &set.catalog;
    let outcomes = |policies: &Policies, point: &Point, field: FieldRef, action: Action| {
        let standpoint = policies.standing(catalog, point);
        let of = cells(policies, catalog, &standpoint, field, action);
        (0..super::space::variants(catalog, field.object))
            .filter_map(|v| of.get(if of.len() == 1 { 0 } else { v }))
            .map(|c| c.outcome)
            .collect::<Vec<_>>()
    };
    places.iter().any(|(point, field, action)| {
        outcomes(&set.policies, point, *field, *action)
            != outcomes(&without, point, *field, *action)
    })
}
