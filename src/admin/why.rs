//! Why: one request by its id, and for each field what happened and which rule said so.

use http::StatusCode;
use maud::{Markup, html};

use super::Pages;
use super::answer::Answer;
use super::doors::Visitor;
use super::form::Form;
use super::shell::{micros, number, time};
use super::treatment::{self, Look, class_of};
use crate::engine::catalog::{Catalog, FieldRef};
use crate::engine::identity::{Identity, Proof};
use crate::engine::protocol::Action;
use crate::engine::workbench::explain;
use crate::observe::trail::{Entry, Outcome, What, Who};
use crate::proxy::snapshot::Live;

/// Most fields that are explained at length.
const EXPLAINED_MAX: usize = 80;

/// The page; without a request id the form alone.
pub(super) fn page(pages: &Pages, visitor: &Visitor, query: &Form) -> Answer {
    let id = query.get("request").trim();
    let found = pages.trail.of_request(id);
    let found = if id.is_empty() { &[][..] } else { &found };
    let content = html! {
        h1 { "Why is my column empty?" }
        form.filters method="get" action="/why" role="search" aria-label="Look for a request" {
            label { "Request id" input type="text" name="request" value=(id) required autocomplete="off" placeholder="0192…"; }
            button type="submit" { "Explain" }
        }
        @if id.is_empty() {
            p.hint { "Every answer carries its id in the header " code { "Privet-Request-Id" } ", and every error names it. The " a href="/audit" { "audit page" } " links here." }
        } @else if found.is_empty() {
            p role="status" { "There is no request with this id among those kept in memory. The audit folder may have it still." }
        } @else {
            (explained(pages, found))
        }
    };
    pages.framed(StatusCode::OK, "Why?", "/why", visitor, &content)
}

fn explained(pages: &Pages, entries: &[std::sync::Arc<Entry>]) -> Markup {
    let who = entries.iter().find_map(|e| e.event.who.as_ref());
    let what = entries.iter().find_map(|e| e.event.what.as_ref());
    let outcome = entries.iter().find_map(|e| e.event.outcome.as_ref());
    let at_ms = entries.first().map_or(0, |e| e.at_ms);
    let row = |name: &str, value: Markup| html! { tr { th scope="row" { (name) } td { (value) } } };
    html! {
        div.columns {
            section aria-labelledby="who" {
                h2 #who { "Who asked" }
                table.facts { tbody {
                    (row("at", html! { (time(at_ms)) " UTC" }))
                    @match who {
                        None => (row("caller", html! { "not verified" })),
                        Some(w) => {
                            (row("caller", html! { (w.client.as_deref().unwrap_or(&w.subject)) }))
                            (row("subject", html! { (w.subject) }))
                            (row("roles", html! { (w.roles.join(", ")) }))
                            (row("region", html! { (w.region.as_deref().unwrap_or("unknown")) }))
                            (row("proof", html! { (w.proof) }))
                        },
                    }
                } }
            }
            section aria-labelledby="what" {
                h2 #what { "What for" }
                @match what {
                    None => p { "Nothing that was understood." },
                    Some(w) => table.facts { tbody {
                        (row("asked", html! { (w.action) " " (w.objects.join(", ")) }))
                        (row("endpoint", html! { (w.api) ", " (w.endpoint) }))
                        (row("purpose", html! { (w.purpose) }))
                        (row("policy", html! { code { (w.policy) } }))
                    } },
                }
            }
            section aria-labelledby="end" {
                h2 #end { "How it ended" }
                @match outcome {
                    None => p { "It has not ended yet." },
                    Some(o) => table.facts { tbody {
                        (row("ended", html! { (o.ending) " " (o.status) }))
                        @if let Some(reason) = &o.reason { (row("reason", html! { (reason) })) }
                        (row("rows", html! { (number(o.rows)) }))
                        (row("not in any plan", html! { (number(o.unplanned_members)) " members" }))
                        (row("took", html! {
                            (micros(o.duration_us))
                            @if let Some(us) = o.upstream_us { ", " (micros(us)) " of it the upstream" }
                        }))
                    } },
                }
            }
        }
        @if let Some(what) = what { (fields(pages, who, what, outcome, at_ms)) }
    }
}

fn fields(
    pages: &Pages,
    who: Option<&Who>,
    what: &What,
    outcome: Option<&Outcome>,
    at_ms: i64,
) -> Markup {
    let current = pages.carrier.live.current();
    // The version that decided, if it is still here.
    let deciding = [Some(current.clone()), pages.carrier.live.previous()]
        .into_iter()
        .flatten()
        .find(|l| **l.version() == *what.policy);
    let judged = deciding.as_deref().unwrap_or(&current);
    let catalog = &judged.set.catalog;
    let mut outputs: Vec<(&str, &str)> = what
        .fields
        .iter()
        .flat_map(|(treatment, names)| names.iter().map(move |n| (&**n, &**treatment)))
        .collect();
    outputs.sort_unstable();
    let counted = |field: &str, treatment: &str| {
        outcome.and_then(|o| o.treated.get(&format!("{treatment} {field}")))
    };
    let reason = |field: &str, action: Action| -> Option<String> {
        let live = deciding.as_deref()?;
        let identity = identity(who?, &pages.carrier.settings.tenant, at_ms);
        explanation(live, &identity, &what.purpose, field, action)
    };
    html! {
        h2 #fields { "Field by field" }
        @if deciding.is_none() {
            p.hint { "Policy " code { (what.policy) } " decided this and is not loaded any more, so its rules cannot be shown. Rules that decided: " (what.rules.join(", ")) }
        }
        div.wide role="region" aria-labelledby="fields" tabindex="0" {
            table {
                thead { tr {
                    th scope="col" { "field" } th scope="col" { "class" } th scope="col" { "treatment" }
                    th.n scope="col" { "values" } th scope="col" { "why" }
                } }
                tbody {
                    @for (n, (field, treatment)) in outputs.iter().enumerate() {
                        @let class = class_of(catalog, field).unwrap_or("unclassified");
                        tr {
                            td { (field) }
                            td { (class) }
                            td { (treatment::word(Look::of(catalog, class, treatment), treatment)) }
                            td.n { @if let Some(n) = counted(field, treatment) { (number(*n)) } }
                            td {
                                @if n < EXPLAINED_MAX && let Some(text) = reason(field, Action::Read) {
                                    details { summary { (first_line(&text)) } pre.text tabindex="0" { (text) } }
                                }
                            }
                        }
                    }
                    @for used in &what.uses {
                        @let (action, field) = used.split_once(':').unwrap_or(("", used));
                        tr {
                            td { (field) }
                            td { (class_of(catalog, field).unwrap_or("unclassified")) }
                            td { "used to " (action) }
                            td {}
                            td {
                                @if let Some(action) = ACTIONS.into_iter().find(|a| a.word() == action) && let Some(text) = reason(field, action) {
                                    details { summary { (first_line(&text)) } pre.text tabindex="0" { (text) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

const ACTIONS: [Action; 9] = [
    Action::Read,
    Action::Filter,
    Action::Sort,
    Action::Group,
    Action::Aggregate,
    Action::Search,
    Action::Key,
    Action::Write,
    Action::Delete,
];

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// The caller as the record tells it, at the time of the request.
fn identity(who: &Who, tenant: &str, at_ms: i64) -> Identity {
    let now_s = at_ms / 1_000;
    Identity {
        subject: who.subject.as_str().into(),
        client: who.client.as_deref().map(Into::into),
        roles: who.roles.iter().map(|r| r.as_str().into()).collect(),
        region: who.region.as_deref().map(Into::into),
        tenant: tenant.into(),
        // Rules do not ask what proved it.
        proof: Proof::Passthrough,
        mfa: who.mfa,
        auth_time_s: who.session_age_s.map(|age| now_s - age),
        purpose_asked: None,
        now_s,
        address: who.address,
    }
}

/// The workbench's explanation of `Contact.Email`.
pub(super) fn explanation(
    live: &Live,
    caller: &Identity,
    purpose: &str,
    field: &str,
    action: Action,
) -> Option<String> {
    let set = &live.set;
    let field = field_of(&set.catalog, field)?;
    let standpoint = set
        .policies
        .standpoint(&set.catalog, caller, purpose.into());
    let who = format!(
        "{} for {purpose} from {}",
        caller.client.as_deref().unwrap_or(&caller.subject),
        caller.region.as_deref().unwrap_or("an unknown region")
    );
    Some(explain::field(set, &standpoint, &who, field, action))
}

fn field_of(catalog: &Catalog, name: &str) -> Option<FieldRef> {
    let (object, field) = name.split_once('.')?;
    let object = *catalog.object_by_name.get(&*object.to_ascii_lowercase())?;
    let field = catalog.get(object).field(field)?;
    Some(FieldRef { object, field })
}
