//! Persons: who saw the record of one person. The id comes in a form, so it stands in no address; it is not recorded,
//! only that somebody asked.

use std::sync::Arc;

use http::StatusCode;
use maud::{Markup, html};

use super::Pages;
use super::answer::Answer;
use super::doors::Visitor;
use super::form::{Form, encode};
use super::shell::form_token;
use super::{cannot_record, work};
use crate::observe::audit::{self, Certainty, WhoSaw};

/// Longest id.
const ID_BYTES_MAX: usize = 256;
/// Most rows of a page.
const ROWS_MAX: usize = 500;

/// The page without an answer.
pub(super) fn page(pages: &Pages, visitor: &Visitor) -> Answer {
    shown(pages, visitor, &html! {})
}

/// The page with the answer to the form.
pub(super) async fn answer(pages: Arc<Pages>, visitor: Visitor, form: Form) -> Answer {
    let id = form.get("id").trim().to_owned();
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return shown(
            &pages,
            &visitor,
            &html! { p.problem role="alert" { "A record id has 1 to 256 characters." } },
        );
    }
    let asked = visitor.role.word().to_owned();
    if !pages.record("admin-who-saw", asked).await {
        return cannot_record();
    }
    work(move || {
        let keys: Vec<_> = pages.carrier.live.current().keys.ledger_keys().collect();
        let found = audit::who_saw(&pages.carrier.settings.audit_directory, &keys, &id);
        let found = match found {
            Ok(found) => accesses(&found),
            Err(_) => html! { p.problem role="alert" { "The audit log cannot be read." } },
        };
        shown(&pages, &visitor, &found)
    })
    .await
}

fn shown(pages: &Pages, visitor: &Visitor, found: &Markup) -> Answer {
    let content = html! {
        h1 { "Persons" }
        p { "Who saw the record of a person: when, why, which fields, and in which treatment." }
        form.filters method="post" action="/persons" {
            (form_token(visitor))
            label { "Record id" input type="text" name="id" maxlength=(ID_BYTES_MAX) autocomplete="off" required; }
            button type="submit" { "Who saw it?" }
        }
        @if !pages.carrier.settings.audit.ledger {
            p.hint { "The ledger is off (" code { "audit.ledger" } " in privet.yaml): new answers are told as possible only." }
        }
        (found)
    };
    pages.framed(StatusCode::OK, "Persons", "/persons", visitor, &content)
}

fn accesses(found: &WhoSaw) -> Markup {
    let all = found.accesses.len();
    let sure = found
        .accesses
        .iter()
        .filter(|a| a.certainty == Certainty::Shown)
        .count();
    html! {
        p role="status" { strong { (sure) } " answers showed this record; " strong { (all - sure) } " more may have." }
        @if all > ROWS_MAX { p.hint { "The newest " (ROWS_MAX) "; all of them: " code { "privet audit who-saw" } } }
        div.wide role="region" aria-label="Answers" tabindex="0" {
            table.audit {
                thead { tr {
                    th scope="col" { "time, UTC" }
                    th scope="col" { "caller" }
                    th scope="col" { "purpose" }
                    th scope="col" { "how sure" }
                    th scope="col" { "as" }
                    th scope="col" { "fields" }
                    th scope="col" { "request" }
                } }
                tbody {
                    @for access in found.accesses.iter().rev().take(ROWS_MAX) {
                        @let who = access.who["client"].as_str().or(access.who["subject"].as_str()).unwrap_or("unknown");
                        tr {
                            td.time { (access.time) }
                            td { (who) }
                            td { (access.purpose) }
                            td { (match access.certainty {
                                Certainty::Shown => "shown",
                                Certainty::Aggregate => "aggregate",
                                Certainty::Possible => "possible",
                            }) }
                            td { (access.objects.join(", ")) }
                            td {
                                @for (treatment, names) in &access.fields {
                                    span { (treatment) ": " (names.join(", ")) " " }
                                }
                            }
                            td.request { a href=(format!("/why?request={}", encode(&access.request_id))) { (access.request_id) } }
                        }
                    }
                    @if all == 0 { tr.none { td colspan="7" { "Nobody." } } }
                }
            }
        }
    }
}
