//! Policy matrix: what every role may do with every field, the rules that speak of it, and what a new version changed.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use http::StatusCode;
use maud::{Markup, html};

use super::Pages;
use super::answer::{self, Answer};
use super::doors::Visitor;
use super::form::{Form, encode};
use super::treatment::{self, Look};
use crate::engine::catalog::FieldRef;
use crate::engine::policy::{Effect, Rule};
use crate::engine::protocol::Action;
use crate::engine::workbench::compare::{Comparison, compare};
use crate::engine::workbench::matrix::{Matrix, matrix};
use crate::engine::workbench::space::objects;
use crate::proxy::snapshot::Live;

/// Most matrices that are kept.
const KEPT_MAX: usize = 24;
/// Most changes that are listed.
const CHANGES_MAX: usize = 300;

/// What was asked of a version before: working it out takes longer than showing it.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    matrices: Mutex<VecDeque<(Asked, Arc<Matrix>)>>,
    comparison: Mutex<Option<(Versions, Arc<Comparison>)>>,
}

/// The old one and the new one.
type Versions = (Arc<str>, Arc<str>);

/// Version, role, purpose; empty = all.
type Asked = (Arc<str>, String, String);

impl Shelf {
    /// Works out what the page shows first. Blocks.
    pub(super) fn warm(&self, live: &Live) {
        self.matrix(live, "", "");
    }

    fn matrix(&self, live: &Live, role: &str, purpose: &str) -> Arc<Matrix> {
        let asked = (
            Arc::clone(live.version()),
            role.to_owned(),
            purpose.to_owned(),
        );
        let mut kept = self.matrices.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, matrix)) = kept.iter().find(|(a, _)| *a == asked) {
            return Arc::clone(matrix);
        }
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let made = Arc::new(matrix(
            &live.set,
            some(role).as_deref(),
            some(purpose).as_deref(),
        ));
        kept.push_back((asked, Arc::clone(&made)));
        if kept.len() > KEPT_MAX {
            kept.pop_front();
        }
        made
    }

    fn comparison(&self, old: &Live, new: &Live) -> Arc<Comparison> {
        let asked = (Arc::clone(old.version()), Arc::clone(new.version()));
        let mut kept = self
            .comparison
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((of, comparison)) = &*kept
            && *of == asked
        {
            return Arc::clone(comparison);
        }
        let made = Arc::new(compare(&old.set, &new.set));
        *kept = Some((asked, Arc::clone(&made)));
        made
    }
}

/// The action of a column of one role's matrix.
fn action_of(word: &str) -> Option<Action> {
    [
        Action::Read,
        Action::Export,
        Action::Filter,
        Action::Sort,
        Action::Group,
        Action::Aggregate,
        Action::Search,
        Action::Key,
        Action::Write,
    ]
    .into_iter()
    .find(|a| a.word() == word)
}

/// Role and purpose of a query, if the set knows them.
fn chosen<'q>(live: &Live, query: &'q Form) -> (&'q str, &'q str) {
    let role = query.get("role");
    let purpose = query.get("purpose");
    let known_role = live.set.policies.roles().any(|r| r == role);
    let purposes = &live.set.catalog.vocabulary.purposes;
    let known_purpose = purpose == "none" || purposes.iter().any(|p| **p == *purpose);
    (
        if known_role { role } else { "" },
        if known_purpose { purpose } else { "" },
    )
}

/// The matrix as a page. Blocks while it is worked out.
pub(super) fn page(pages: &Pages, visitor: &Visitor, query: &Form) -> Answer {
    let live = pages.carrier.live.current();
    let (role, purpose) = chosen(&live, query);
    let search = query.get("q").trim();
    let table = pages.shelf.matrix(&live, role, purpose);
    let as_query = format!("role={}&purpose={}", encode(role), encode(purpose));
    let policies = &live.set.policies;
    let mut purposes: Vec<&str> = vec!["none"];
    purposes.extend(live.set.catalog.vocabulary.purposes.iter().map(|p| &**p));
    let content = html! {
        h1 { "Policy matrix" }
        form.filters method="get" action="/policy" role="search" aria-label="Choose what is shown" {
            label { "Role"
                select name="role" {
                    option value="" selected[role.is_empty()] { "all, reading" }
                    @for r in policies.roles() { option value=(r) selected[r == role] { (r) ", all actions" } }
                }
            }
            label { "Purpose"
                select name="purpose" {
                    option value="" selected[purpose.is_empty()] { "any" }
                    @for p in purposes { option value=(p) selected[p == purpose] { (p) } }
                }
            }
            label { "Field or class" input type="text" name="q" value=(search) placeholder="Email" autocomplete="off"; }
            button type="submit" { "Show" }
            a.button.quiet href={ "/policy.csv?" (as_query) } { "Save as CSV" }
            a.button.quiet href="/policy/diff" { "What changed" }
        }
        p.hint {
            "Everything that could ever happen there, least protective first: several words where purpose, region, session or the record decide. "
            "Point at a cell, or move to it with Tab and the arrow keys, and the rules that speak of it are listed."
        }
        (treatment::legend())
        (grid(&live, &table, role, search))
    };
    pages.framed(
        StatusCode::OK,
        "Policy matrix",
        "/policy",
        visitor,
        &content,
    )
}

fn grid(live: &Live, table: &Matrix, role: &str, search: &str) -> Markup {
    let catalog = &live.set.catalog;
    let needle = search.to_lowercase();
    let fields = objects(catalog).flat_map(|object| {
        (0..catalog.get(object).fields.len() as u32).map(move |field| FieldRef { object, field })
    });
    let rows: Vec<(FieldRef, &Vec<String>)> = fields
        .zip(&table.rows)
        .filter(|(_, row)| {
            needle.is_empty()
                || row
                    .iter()
                    .take(2)
                    .any(|text| text.to_lowercase().contains(&needle))
        })
        .collect();
    let columns = table.head.get(2..).unwrap_or_default();
    let asked: Vec<(Arc<str>, Option<Action>)> = columns
        .iter()
        .map(|column| {
            if role.is_empty() {
                (format!("role:{column}").into(), Some(Action::Read))
            } else {
                (format!("role:{role}").into(), action_of(column))
            }
        })
        .collect();
    let mut object = None;
    let mut first = true;
    html! {
        div.wide role="region" aria-label="Matrix" tabindex="0" {
            table.matrix data-grid {
                thead { tr {
                    th scope="col" { "field" } th scope="col" { "class" }
                    @for column in columns { th scope="col" { (column) } }
                } }
                tbody {
                    @for (field, row) in &rows {
                        @if object.replace(field.object) != Some(field.object) {
                            tr.object { th colspan=(table.head.len()) scope="rowgroup" { (catalog.get(field.object).name) } }
                        }
                        @let class = &catalog.field(*field).class;
                        tr {
                            th scope="row" { (catalog.field(*field).name) }
                            td.class { (class) }
                            @for ((who, action), words) in asked.iter().zip(row.iter().skip(2)) {
                                td {
                                    span.cell data-cell tabindex=(if std::mem::take(&mut first) { "0" } else { "-1" }) {
                                        @for (n, word) in words.split(" / ").enumerate() {
                                            @if n > 0 { " " }
                                            (treatment::word(looked(catalog, class, word, *action), word))
                                        }
                                        @if let Some(action) = action { (rules(live, who, *field, *action)) }
                                    }
                                }
                            }
                        }
                    }
                    @if rows.is_empty() { tr { td colspan=(table.head.len()) { "No field fits." } } }
                }
            }
        }
    }
}

/// Permission to evaluate is no sight of a value.
fn looked(
    catalog: &crate::engine::catalog::Catalog,
    class: &str,
    word: &str,
    action: Option<Action>,
) -> Look {
    match action {
        Some(Action::Read | Action::Export) => Look::of(catalog, class, word),
        _ if word == "allowed" => Look::Clear,
        _ => Look::of(catalog, "", word),
    }
}

/// The rules for this role, action and field: denials first, then by priority.
fn rules(live: &Live, who: &Arc<str>, field: FieldRef, action: Action) -> Markup {
    let (policies, catalog) = (&live.set.policies, &live.set.catalog);
    let mut found: Vec<&Rule> = policies
        .rules()
        .iter()
        .filter(|r| {
            r.speaks_of(action) && r.reaches(catalog, field) && policies.means(&r.who, Some(who))
        })
        .collect();
    found.sort_by_key(|r| (r.effect == Effect::Allow, r.priority));
    html! {
        span.rules {
            @if found.is_empty() { span { "No rule: closed." } }
            @for r in found {
                span {
                    code { (r.position.file) ":" (r.position.line) } " " (r.id) ": "
                    @match (r.effect, r.treatment) {
                        (Effect::Deny, _) => "deny",
                        (Effect::Allow, Some(t)) => (t.word()),
                        (Effect::Allow, None) => "allow",
                    }
                }
            }
        }
    }
}

/// The matrix as a file.
pub(super) fn csv(pages: &Pages, query: &Form) -> Answer {
    let live = pages.carrier.live.current();
    let (role, purpose) = chosen(&live, query);
    let table = pages.shelf.matrix(&live, role, purpose);
    let name = format!("privet-policy-{}.csv", live.version());
    answer::csv(&name, table.csv())
}

/// What the serving version changed. Blocks while it is worked out.
pub(super) fn diff(pages: &Pages, visitor: &Visitor) -> Answer {
    let live = pages.carrier.live.current();
    let previous = pages.carrier.live.previous();
    let content = html! {
        h1 { "What changed" }
        @match &previous {
            None => p { "Version " code { (live.version()) } " has served since privet was started: there is nothing to compare it with. " a href="/policy" { "The matrix" } },
            Some(old) => (changes(&pages.shelf.comparison(old, &live), old, &live)),
        }
    };
    pages.framed(StatusCode::OK, "What changed", "/policy", visitor, &content)
}

fn changes(comparison: &Comparison, old: &Live, new: &Live) -> Markup {
    let shown = comparison.changes.iter().take(CHANGES_MAX);
    html! {
        p {
            code { (old.version()) } " → " code { (new.version()) } ": "
            @if comparison.changes.is_empty() { "no answer differs." }
            @else if comparison.shows_more() { strong.bad { "something is shown that was not shown before." } }
            @else { span.good { "nothing more is shown." } }
        }
        @if !comparison.changes.is_empty() {
            div.wide role="region" aria-label="Changes" tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { "direction" } th scope="col" { "action" } th scope="col" { "fields" } th scope="col" { "who" }
                        th scope="col" { "before" } th scope="col" { "after" } th scope="col" { "where" }
                    } }
                    tbody {
                        @for c in shown {
                            tr {
                                td class={ "direction-" (c.direction.word()) } { (c.direction.word()) }
                                td { (c.actions.iter().map(|a| a.word()).collect::<Vec<_>>().join(", ")) }
                                td { (joined(c.fields.iter().map(|f| &**f))) }
                                td { (joined(c.who.iter().map(|w| &**w))) }
                                td { (c.from.word()) div.hint { (c.by_before) } }
                                td { (c.to.word()) div.hint { (c.by_after) } }
                                td { @if c.circumstances.is_empty() { "everywhere" } @else { (c.circumstances.join("; ")) } }
                            }
                        }
                    }
                }
            }
            @if comparison.changes.len() > CHANGES_MAX {
                p.hint { "And " (comparison.changes.len() - CHANGES_MAX) " more: " code { "privet policy diff" } }
            }
        }
    }
}

/// The first names of many.
fn joined<'a>(names: impl Iterator<Item = &'a str>) -> String {
    const MOST: usize = 8;
    let all: Vec<&str> = names.collect();
    let mut text = all
        .iter()
        .take(MOST)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if all.len() > MOST {
        text.push_str(&format!(" and {} more", all.len() - MOST));
    }
    text
}
