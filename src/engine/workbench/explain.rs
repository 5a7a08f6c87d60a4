//! Why a caller gets what it gets: the answer first, then the rule, those that lost, and what would change it.

use std::fmt::Write as _;
use std::sync::Arc;

use super::space::{
    Cell, Outcome, cells, fact_words, is_output, pack_words, rule_words, variant_values, variants,
};
use crate::engine::catalog::FieldRef;
use crate::engine::policy::{Effect, Fact, Loaded, Rule, Standpoint, Term};
use crate::engine::protocol::Action;

/// Explains one field for `who`, a phrase such as `ana for support from eu`.
pub fn field(
    set: &Loaded,
    standpoint: &Standpoint,
    who: &str,
    field: FieldRef,
    action: Action,
) -> String {
    let name = set.catalog.field_name(field);
    let of = at(set, standpoint, field, action);
    let mut text = sentence(set, who, &name, field, action, &of);
    let mut deciding: Vec<Arc<str>> = Vec::new();
    for rule in of.iter().flat_map(|c| c.rules.iter()) {
        if !deciding.contains(rule) {
            deciding.push(rule.clone());
        }
    }
    for id in &deciding {
        if let Some(rule) = set.policies.rule(id) {
            let _ = writeln!(text, "  decided by {}: {}", place(rule), said(rule));
        }
    }
    if deciding.is_empty() {
        text.push_str(match action {
            a if is_output(a) => "  no row gives it to this caller: it is dropped\n",
            _ => "  no row allows it, and the field is not read in clear\n",
        });
    }
    let mut computed = set.catalog.field(field).derived_from.iter().peekable();
    if computed.peek().is_some() {
        let names: Vec<String> = computed.map(|f| set.catalog.field_name(*f)).collect();
        let _ = writeln!(
            text,
            "  computed from {}: the most protective of them holds",
            names.join(", ")
        );
    }
    let class = &set.catalog.field(field).class;
    let group = set.catalog.vocabulary.group_size_min(class);
    if action == Action::Aggregate && group > 1 {
        let _ = writeln!(
            text,
            "  class:{class} asks for groups of at least {group}: sums and extremes need it read in clear, a row alone \
             lets it be counted"
        );
    }
    let strongest = of.iter().map(|c| c.outcome.rank()).min().unwrap_or(0);
    let mut near: Vec<String> = Vec::new();
    for rule in set.policies.rules() {
        if deciding.contains(&rule.id)
            || !rule.speaks_of(action)
            || !rule.reaches(&set.catalog, field)
        {
            continue;
        }
        let mut why = lost(set, standpoint, rule, field);
        let others = deciding.iter().filter_map(|id| set.policies.rule(id));
        if let Some(other) = others.into_iter().find(|other| other.pack != rule.pack)
            && rule.effect == Effect::Allow
            && fits(set, standpoint, rule, field)
        {
            why = format!(
                "it fits, and {} protects more",
                match &other.pack {
                    Some(pack) => format!("the pack {pack}"),
                    None => "the company's own layer".to_owned(),
                }
            );
        }
        let _ = writeln!(text, "  lost: {}: {why}", place(rule));
        if let Some((changed, how)) = satisfied(set, standpoint, rule, field) {
            let then = at(set, &changed, field, action);
            let best = then.iter().min_by_key(|c| c.outcome.rank());
            if let Some(best) = best
                && best.outcome.rank() < strongest
                && best.rules.contains(&rule.id)
            {
                near.push(format!("  would be {} {how} ({})\n", best.outcome, rule.id));
            }
        }
    }
    if !near.is_empty() {
        text.push_str("near misses:\n");
        text.extend(near);
    }
    text
}

fn at(set: &Loaded, standpoint: &Standpoint, field: FieldRef, action: Action) -> Vec<Cell> {
    cells(&set.policies, &set.catalog, standpoint, field, action)
}

fn place(rule: &Rule) -> String {
    format!(
        "{} ({}:{}{})",
        rule.id,
        rule.position.file,
        rule.position.line,
        pack_words(rule)
    )
}

/// The rule's sentence without its id.
fn said(rule: &Rule) -> String {
    let whole = rule.to_string();
    whole
        .split_once(": ")
        .map_or(whole.clone(), |(_, s)| s.to_owned())
}

fn sentence(
    set: &Loaded,
    who: &str,
    name: &str,
    field: FieldRef,
    action: Action,
    of: &[Cell],
) -> String {
    let phrase = |outcome: Outcome| match outcome {
        Outcome::Output(t) => match t.word() {
            "drop" => format!("does not see {name} (drop)"),
            "deny" => format!("is refused a request that names {name} (deny)"),
            word => format!("{}s {name} as {word}", action.word()),
        },
        Outcome::Allowed => format!("may {} {name}", action.word()),
        Outcome::Tokens => format!("may {} {name} with its own tokens only", action.word()),
        Outcome::Refused => format!("may not {} {name}", action.word()),
    };
    let Some(first) = of.first() else {
        return format!("{who}: nothing is known of {name}.\n");
    };
    if of.iter().all(|c| c.outcome == first.outcome) {
        return format!("{who} {}.\n", phrase(first.outcome));
    }
    // The condition decides: one phrase for each outcome, with the values that lead to it.
    let mut text = format!("{who}, depending on the record:\n");
    let mut told: Vec<Outcome> = Vec::new();
    for cell in of {
        if told.contains(&cell.outcome) {
            continue;
        }
        told.push(cell.outcome);
        let when: Vec<String> = (0..variants(&set.catalog, field.object))
            .filter(|v| of.get(*v).is_some_and(|c| c.outcome == cell.outcome))
            .map(|v| {
                variant_values(&set.catalog, field.object, v)
                    .iter()
                    .map(|(n, value)| format!("{n} {}", value.as_deref().unwrap_or("unknown")))
                    .collect::<Vec<_>>()
                    .join(" and ")
            })
            .collect();
        let _ = writeln!(
            text,
            "  {} where {}, by {}",
            phrase(cell.outcome),
            when.join("; or "),
            rule_words(&set.policies, &cell.rules)
        );
    }
    text
}

/// The first column that does not fit, or why another rule came before.
fn lost(set: &Loaded, standpoint: &Standpoint, rule: &Rule, field: FieldRef) -> String {
    if !standpoint.is(&set.policies, &rule.who) {
        return format!("who: it is for {}", rule.who);
    }
    let purpose = standpoint.purpose();
    if !rule.purposes.is_empty() && !rule.purposes.contains(purpose) {
        return format!("purpose: it is for {}", rule.purposes.join(" or "));
    }
    if region_holds(set, standpoint, rule, field) == Some(false) {
        return format!("region: it is for {}", rule.regions.join(" or "));
    }
    for term in &rule.when {
        if holds(set, standpoint, rule, term) == Some(false) {
            return format!("when: it needs {term}");
        }
    }
    let record = rule.when.iter().any(|t| matches!(t.fact, Fact::Record(..)));
    if record {
        return "when: the record decides".to_owned();
    }
    match rule.effect {
        Effect::Deny => "it speaks for other records or uses".to_owned(),
        Effect::Allow => format!(
            "it fits, and comes later (priority {}{})",
            rule.priority,
            rule.treatment
                .map_or_else(String::new, |t| format!(", {}", t.word()))
        ),
    }
}

/// Whether every column of the rule fits here, whatever the record.
fn fits(set: &Loaded, standpoint: &Standpoint, rule: &Rule, field: FieldRef) -> bool {
    standpoint.is(&set.policies, &rule.who)
        && (rule.purposes.is_empty() || rule.purposes.contains(standpoint.purpose()))
        && region_holds(set, standpoint, rule, field) == Some(true)
        && rule
            .when
            .iter()
            .all(|term| holds(set, standpoint, rule, term) == Some(true))
}

/// Whether the region column fits; `None` = the record decides.
fn region_holds(
    set: &Loaded,
    standpoint: &Standpoint,
    rule: &Rule,
    field: FieldRef,
) -> Option<bool> {
    if rule.regions.is_empty() {
        return Some(true);
    }
    let object = set.catalog.get(field.object);
    let deny = rule.effect == Effect::Deny;
    let caller = standpoint.region();
    let mut open = false;
    for wanted in &rule.regions {
        let fits = match (&**wanted, caller) {
            ("same" | "cross", Some(_)) if object.conditions.iter().any(|c| c.is_region) => {
                open = true;
                false
            }
            ("same", Some(c)) => object.data_region.as_ref().map_or(deny, |d| d == c),
            ("cross", Some(c)) => object.data_region.as_ref() != Some(c),
            ("same", None) => deny,
            ("cross", None) => true,
            (region, Some(c)) => **c == *region,
            (_, None) => deny,
        };
        if fits {
            return Some(true);
        }
    }
    (!open).then_some(false)
}

/// Whether a term fits; `None` = the record decides.
fn holds(set: &Loaded, standpoint: &Standpoint, rule: &Rule, term: &Term) -> Option<bool> {
    if matches!(term.fact, Fact::Record(..)) {
        return None;
    }
    Some(
        standpoint
            .fact(&set.policies, &term.fact)
            .map_or(rule.effect == Effect::Deny, |value| value != term.negated),
    )
}

/// The nearest standpoint at which an allow rule for this caller fits, and what it takes.
fn satisfied(
    set: &Loaded,
    standpoint: &Standpoint,
    rule: &Rule,
    field: FieldRef,
) -> Option<(Standpoint, String)> {
    if rule.effect == Effect::Deny || !standpoint.is(&set.policies, &rule.who) {
        return None;
    }
    let mut changed = standpoint.clone();
    let mut how = Vec::new();
    for term in &rule.when {
        if holds(set, standpoint, rule, term) == Some(false) {
            changed = changed.with_fact(&set.policies, &term.fact, !term.negated);
            how.push(fact_words(&term.fact, Some(!term.negated)));
        }
    }
    if !rule.purposes.is_empty()
        && !rule.purposes.contains(standpoint.purpose())
        && let Some(purpose) = rule.purposes.first()
    {
        changed = changed.under(purpose.clone());
        how.push(format!("for {purpose}"));
    }
    if region_holds(set, standpoint, rule, field) == Some(false) {
        let region = rule.regions.iter().find_map(|r| match &**r {
            "same" => set.catalog.get(field.object).data_region.clone(),
            "cross" => None,
            _ => Some(r.clone()),
        })?;
        how.push(format!("from {region}"));
        changed = changed.in_region(Some(region));
    }
    (!how.is_empty()).then(|| (changed, how.join(" and ")))
}
