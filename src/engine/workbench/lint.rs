//! What is valid and yet hardly meant: rules that decide nothing, rules that change nothing, names that lead nowhere.
//! Dearer than the loader's warnings, because it looks at the whole space: for `check`, not for serving.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::space::{Cell, cells, objects, points};
use crate::diagnostic::{Diagnostic, Position};
use crate::engine::catalog::{FieldRef, ObjectId};
use crate::engine::policy::{Effect, Loaded, Point, Rule, Sources, is_inside, load};
use crate::engine::protocol::Action;
use crate::engine::treatment::Treatment;

/// Warnings, by place.
pub fn lint(sources: &Sources, set: &Loaded) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    classes(sources, set, &mut found);
    fields(sources, set, &mut found);
    everyone(set, &mut found);
    idle(sources, set, &mut found);
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
    let used: BTreeSet<&str> = set
        .catalog
        .objects
        .iter()
        .flat_map(|o| o.fields.iter().map(|f| &*f.class))
        .collect();
    for name in set.catalog.vocabulary.classes.keys() {
        if !used.iter().any(|u| is_inside(u, name)) {
            let head = format!("{name}:");
            let (at, text) = place(sources, "vocabulary.yaml", |line| {
                line.trim_start().starts_with(&head)
            });
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
type Places = BTreeMap<Arc<str>, Vec<(Point, ObjectId, Action)>>;

/// Rules that never decide, and allow rules whose absence would change nothing. A deny may be a guard against rules to
/// come, and a `drop` may say aloud what silence says: those are left alone.
fn idle(sources: &Sources, set: &Loaded, found: &mut Vec<Diagnostic>) {
    let mut places: Places = BTreeMap::new();
    for (_, action) in Action::WORDS {
        let spoken = |r: &Rule| !r.actions.is_empty() && r.speaks_of(action);
        if !set.policies.rules().iter().any(spoken) {
            continue;
        }
        for point in points(&[set], &[action], &|_| true) {
            let standpoint = set.policies.standing(&set.catalog, &point);
            for object in objects(&set.catalog) {
                let table = standpoint.rows(&set.policies, &set.catalog, object, action);
                let mut here: BTreeSet<&Arc<str>> = BTreeSet::new();
                for ruling in table.fields.iter().flat_map(|f| f.by_variant.iter()) {
                    here.extend(ruling.rules.iter());
                }
                for id in here {
                    let known = places.entry(id.clone()).or_default();
                    known.push((point.clone(), object, action));
                }
            }
        }
    }
    for rule in set.policies.rules() {
        if rule.effect == Effect::Deny {
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
                if rule.treatment != Some(Treatment::Drop) && !matters(sources, set, rule, places) {
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
fn matters(
    sources: &Sources,
    set: &Loaded,
    rule: &Rule,
    places: &[(Point, ObjectId, Action)],
) -> bool {
    let mut without = sources.clone();
    for (path, bytes) in &mut without.files {
        if **path == *rule.position.file {
            let kept: Vec<&[u8]> = bytes
                .split(|b| *b == b'\n')
                .enumerate()
                .map(|(i, line)| {
                    if i as u32 + 1 == rule.position.line {
                        &b""[..]
                    } else {
                        line
                    }
                })
                .collect();
            *bytes = kept.join(&b'\n');
        }
    }
    // A set that needs the rule to be valid needs the rule.
    let Ok(without) = load(&without) else {
        return true;
    };
    let outcomes = |of: Vec<Vec<Cell>>, n: usize| -> Vec<Vec<super::space::Outcome>> {
        of.into_iter()
            .map(|f| {
                let one = f.len() == 1;
                (0..n)
                    .filter_map(|v| f.get(if one { 0 } else { v }).map(|c| c.outcome))
                    .collect()
            })
            .collect()
    };
    places.iter().any(|(point, object, action)| {
        let n = super::space::variants(&set.catalog, *object);
        let a = set.policies.standing(&set.catalog, point);
        let b = without.policies.standing(&without.catalog, point);
        outcomes(cells(set, &a, *object, *action), n)
            != outcomes(cells(&without, &b, *object, *action), n)
    })
}
