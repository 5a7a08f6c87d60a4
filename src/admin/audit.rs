//! Audit: the newest records with filters, how the chain is, and a live tail.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::StatusCode;
use maud::{Markup, html};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;

use super::Pages;
use super::answer::{self, Answer};
use super::doors::Visitor;
use super::form::{Form, encode};
use super::shell::{micros, number, time};
use crate::observe::trail::{Entry, Wanted};

/// Most live tails at a time.
pub(super) const TAILS_MAX: usize = 32;
/// Most rows of a page.
const ROWS_MAX: usize = 200;
/// A comment goes out after so long a silence, so that a reader that is gone is noticed.
const HEARTBEAT: Duration = Duration::from_secs(15);

fn wanted(query: &Form) -> Wanted {
    let text = |name: &str| query.get(name).trim().to_owned();
    Wanted {
        caller: text("caller"),
        kind: text("kind"),
        ending: text("ending"),
        field: text("field"),
        treatment: text("treatment"),
        request: text("request"),
    }
}

fn as_query(w: &Wanted) -> String {
    [
        ("caller", &w.caller),
        ("kind", &w.kind),
        ("ending", &w.ending),
        ("field", &w.field),
        ("treatment", &w.treatment),
        ("request", &w.request),
    ]
    .into_iter()
    .filter(|(_, v)| !v.is_empty())
    .map(|(n, v)| format!("{n}={}", encode(v)))
    .collect::<Vec<_>>()
    .join("&")
}

/// The page.
pub(super) fn page(pages: &Pages, visitor: &Visitor, query: &Form) -> Answer {
    let wanted = wanted(query);
    let (rows, looked_at) = pages.trail.newest(&wanted, ROWS_MAX);
    let log = pages.carrier.log().stats();
    let text = |name: &str, label: &str, value: &str, hint: &str| {
        html! {
            label { (label) input type="text" name=(name) value=(value) placeholder=(hint) autocomplete="off"; }
        }
    };
    let content = html! {
        h1 { "Audit" }
        ul.status aria-label="The log" {
            li {
                @if log.failed { span.bad { "✗ the log has failed: every request is answered 503" } }
                @else { span.good { "✓ recording" } }
            }
            li { "record " strong { (number(log.seq_written)) } }
            li { (number(log.seq_written.saturating_sub(log.seq_synced))) " not durable yet" }
            li { (log.open_attempts) " open attempts" }
            li { "last commit " (micros(log.commit_us_last)) }
        }
        (sinks(pages, log.seq_synced))
        form.filters method="get" action="/audit" role="search" aria-label="Filter records" {
            (text("caller", "Caller", &wanted.caller, "tableau"))
            (text("field", "Object or field", &wanted.field, "Contact.Email"))
            (text("treatment", "Treatment", &wanted.treatment, "mask:email"))
            (text("ending", "How it ended", &wanted.ending, "refused"))
            (text("request", "Request id", &wanted.request, ""))
            label {
                "Kind"
                select name="kind" {
                    @for (value, name) in [("", "all but attempts"), ("all", "all"), ("outcome", "outcomes"), ("control", "control"), ("alert", "alerts")] {
                        option value=(value) selected[wanted.kind == value] { (name) }
                    }
                }
            }
            button type="submit" { "Filter" }
            a.quiet href="/audit" { "Clear" }
            button.live type="button" hidden aria-pressed="true" data-pause { "Pause the live tail" }
        }
        p.hint #of role="status" {
            "The newest " (rows.len()) " that fit, of " (number(looked_at as u64)) " kept in memory. "
            "The whole chain: " code { "privet audit verify" } " and the files in the audit folder."
        }
        div.wide role="region" aria-label="Records" tabindex="0" {
            table.audit data-tail=(format!("/audit/tail?{}", as_query(&wanted))) data-rows=(ROWS_MAX) {
                thead { tr {
                    th.n scope="col" { "record" }
                    th scope="col" { "time, UTC" }
                    th scope="col" { "caller" }
                    th scope="col" { "what" }
                    th scope="col" { "ended" }
                    th.n scope="col" { "rows" }
                    th scope="col" { "treated" }
                    th scope="col" { "request" }
                } }
                tbody {
                    @for entry in &rows { (row(&Line::of(entry))) }
                    @if rows.is_empty() {
                        tr.none { td colspan="8" { "Nothing fits. " a href="/audit" { "Clear the filter" } } }
                    }
                }
            }
        }
    };
    pages.framed(StatusCode::OK, "Audit", "/audit", visitor, &content)
}

/// How far each sink is, if there are any.
fn sinks(pages: &Pages, synced: u64) -> Markup {
    let sinks = pages.carrier.sinks.get().map_or(&[][..], Vec::as_slice);
    html! {
        @if !sinks.is_empty() {
            div.wide role="region" aria-label="Sinks" tabindex="0" {
                table.sinks {
                    thead { tr {
                        th scope="col" { "sink" }
                        th scope="col" { "kind" }
                        th scope="col" { "format" }
                        th.n scope="col" { "acknowledged to" }
                        th.n scope="col" { "behind" }
                        th.n scope="col" { "failures" }
                        th scope="col" { "state" }
                    } }
                    tbody {
                        @for sink in sinks {
                            @let p = sink.progress.borrow().clone();
                            tr {
                                td { (sink.name) }
                                td { (sink.kind) }
                                td { (sink.format) }
                                td.n { (number(p.shipped)) }
                                td.n { (number(synced.saturating_sub(p.shipped))) }
                                td.n { (number(p.failures_total)) }
                                td {
                                    @if p.failures == 0 { span.good { "✓ takes records" } }
                                    @else { span.bad { "✗ " (p.error) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// One record as text: what the table shows, and what the live tail sends.
#[derive(Debug, serde::Serialize)]
struct Line {
    seq: u64,
    time: String,
    caller: String,
    what: String,
    ended: String,
    /// `good`, `refused` or `bad`.
    mood: &'static str,
    rows: String,
    treated: String,
    request: String,
}

impl Line {
    fn of(entry: &Entry) -> Self {
        let event = &entry.event;
        let what = match (&event.what, &event.control, &event.alert) {
            (Some(w), ..) => {
                let objects = w.objects.join(", ");
                format!("{} {objects} · {}", w.action, w.purpose)
            }
            (None, Some(c), _) => c.detail.clone().unwrap_or_default(),
            (None, None, Some(alert)) => alert["message"]
                .as_str()
                .or(alert["monitor"].as_str())
                .unwrap_or_default()
                .to_owned(),
            _ => String::new(),
        };
        let outcome = event.outcome.as_ref();
        let ended = match outcome {
            Some(o) if o.status > 0 => match &o.reason {
                Some(reason) => format!("{} {} {reason}", o.ending, o.status),
                None => format!("{} {}", o.ending, o.status),
            },
            Some(o) => o.ending.clone(),
            None => entry.word().to_owned(),
        };
        let mood = match outcome.map(|o| &*o.ending) {
            Some("complete") => "good",
            Some("refused") => "refused",
            None if event.kind != "alert" => "plain",
            _ => "bad",
        };
        let treated = outcome.map_or_else(String::new, |o| {
            o.treated
                .iter()
                .map(|(name, n)| {
                    let (treatment, field) = name.split_once(' ').unwrap_or(("", name));
                    format!("{field} {treatment} × {}", number(*n))
                })
                .collect::<Vec<_>>()
                .join(", ")
        });
        let of_request = !event.request_id.is_empty();
        Self {
            seq: entry.seq,
            time: time(entry.at_ms),
            caller: match (of_request, &event.who) {
                (true, _) | (_, Some(_)) => entry.caller().to_owned(),
                _ => "privet".to_owned(),
            },
            what,
            ended,
            mood,
            rows: outcome.map_or_else(String::new, |o| number(o.rows)),
            treated,
            request: event.request_id.clone(),
        }
    }
}

fn row(line: &Line) -> Markup {
    html! {
        tr {
            td.n { (line.seq) }
            td.time { (line.time) }
            td { (line.caller) }
            td { (line.what) }
            td { span class=(line.mood) { (line.ended) } }
            td.n { (line.rows) }
            td.treated { (line.treated) }
            td.request {
                @if !line.request.is_empty() {
                    a href=(format!("/why?request={}", line.request)) { (line.request) }
                }
            }
        }
    }
}

/// Records as they come, filtered alike, as server-sent events whose data is a line in JSON.
pub(super) fn tail(pages: &Pages, visitor: &Visitor, query: &Form) -> Answer {
    let Ok(place) = Arc::clone(&pages.tails).try_acquire_owned() else {
        return answer::text(StatusCode::SERVICE_UNAVAILABLE, "too many live tails\n");
    };
    let wanted = wanted(query);
    let mut entries = pages.trail.tail();
    let until = visitor.until;
    let (events, body) = mpsc::channel(64);
    tokio::spawn(async move {
        let _place = place;
        if events
            .send(Bytes::from_static(b"retry: 3000\n\n"))
            .await
            .is_err()
        {
            return;
        }
        while Instant::now() < until {
            let event = match tokio::time::timeout(HEARTBEAT, entries.recv()).await {
                Err(_) => Bytes::from_static(b": still here\n\n"),
                Ok(Ok(entry)) if !entry.fits(&wanted) => continue,
                Ok(Ok(entry)) => {
                    let Ok(json) = serde_json::to_string(&Line::of(&entry)) else {
                        continue;
                    };
                    format!("data: {json}\n\n").into()
                }
                Ok(Err(RecvError::Lagged(n))) => format!("event: missed\ndata: {n}\n\n").into(),
                Ok(Err(RecvError::Closed)) => return,
            };
            if events.send(event).await.is_err() {
                return;
            }
        }
    });
    answer::events(body)
}
