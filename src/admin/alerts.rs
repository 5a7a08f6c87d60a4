//! Alerts: what the monitors found, and the records behind it.

use std::sync::Arc;

use http::StatusCode;
use maud::{Markup, html};
use serde_json::Value;

use super::Pages;
use super::answer::{self, Answer};
use super::doors::Visitor;
use super::form::{Form, encode};
use super::shell::{form_token, is_operator, time};

/// Most rows of a page.
const ROWS_MAX: usize = 200;
const SEVERITIES: [&str; 3] = ["high", "medium", "low"];

fn text<'a>(alert: &'a Value, name: &str) -> &'a str {
    alert[name].as_str().unwrap_or_default()
}

/// A number as people read it: whole if it is big.
fn figure(value: &Value) -> String {
    match value.as_f64() {
        Some(x) if x < 10.0 && x.fract() != 0.0 => format!("{x:.2}"),
        Some(x) => format!("{x:.0}"),
        None => String::new(),
    }
}

fn window(seconds: u64) -> String {
    match seconds {
        0 => "at once".to_owned(),
        s if s.is_multiple_of(86_400) => format!("in {} d", s / 86_400),
        s if s.is_multiple_of(3_600) => format!("in {} h", s / 3_600),
        s => format!("in {} min", s.div_ceil(60)),
    }
}

/// The page. `said`: what was just done.
pub(super) fn page(pages: &Pages, visitor: &Visitor, query: &Form, said: Option<&str>) -> Answer {
    let wanted = |name: &str| query.get(name).trim().to_owned();
    let (severity, monitor, caller) = (wanted("severity"), wanted("monitor"), wanted("caller"));
    let fits = |wanted: &str, is: &str| wanted.is_empty() || wanted == is;
    let kept = pages.trail.alerts();
    let rows: Vec<(i64, u64, &Value)> = kept
        .iter()
        .filter_map(|entry| Some((entry.at_ms, entry.seq, entry.event.alert.as_ref()?)))
        .filter(|(_, _, alert)| {
            fits(&severity, text(alert, "severity"))
                && fits(&monitor, text(alert, "monitor"))
                && fits(&caller, text(alert, "caller"))
        })
        .take(ROWS_MAX)
        .collect();
    let content = html! {
        h1 { "Alerts" }
        @if let Some(said) = said {
            p.banner role="status" { (said) }
        }
        (held_callers(pages, visitor))
        form.filters method="get" action="/alerts" role="search" aria-label="Filter alerts" {
            label {
                "Severity"
                select name="severity" {
                    option value="" { "any" }
                    @for word in SEVERITIES {
                        option value=(word) selected[severity == word] { (word) }
                    }
                }
            }
            label { "Monitor" input type="text" name="monitor" value=(monitor) autocomplete="off"; }
            label { "Caller" input type="text" name="caller" value=(caller) autocomplete="off"; }
            button type="submit" { "Filter" }
            a.quiet href="/alerts" { "Clear" }
        }
        p.hint role="status" {
            (rows.len()) " of " (kept.len()) " kept in memory. What is watched for stands in "
            code { "monitors.yaml" } " of the policy folder."
        }
        div.wide role="region" aria-label="Alerts" tabindex="0" {
            table.audit {
                thead { tr {
                    th.n scope="col" { "record" }
                    th scope="col" { "time, UTC" }
                    th scope="col" { "severity" }
                    th scope="col" { "monitor" }
                    th scope="col" { "caller" }
                    th.n scope="col" { "measured" }
                    th.n scope="col" { "may be" }
                    th scope="col" { "window" }
                    th scope="col" { "about" }
                    th scope="col" { "step" }
                    th scope="col" { "records" }
                } }
                tbody {
                    @for (at_ms, seq, alert) in &rows {
                        @let who = text(alert, "caller");
                        @let request = text(alert, "request_id");
                        tr {
                            td.n { (seq) }
                            td.time { (time(*at_ms)) }
                            td { span class=(if text(alert, "severity") == "low" { "plain" } else { "bad" }) { (text(alert, "severity")) } }
                            td { (text(alert, "monitor")) }
                            td { (if who.is_empty() { "privet" } else { who }) }
                            td.n { (figure(&alert["measured"])) }
                            td.n { (figure(&alert["threshold"])) }
                            td { (window(alert["window_s"].as_u64().unwrap_or_default())) }
                            td {
                                @for (n, name) in alert["about"].as_array().into_iter().flatten().enumerate() {
                                    @if n > 0 { ", " }
                                    (name.as_str().unwrap_or_default())
                                }
                            }
                            td { (text(alert, "step")) }
                            td {
                                @if !request.is_empty() { a href=(format!("/why?request={}", encode(request))) { "request" } " " }
                                @if !who.is_empty() { a href=(format!("/audit?caller={}", encode(who))) { "all of " (who) } }
                            }
                        }
                    }
                    @if rows.is_empty() {
                        tr.none {
                            td colspan="11" {
                                @if kept.is_empty() { "Nothing is odd." } @else { "No alert fits." }
                            }
                        }
                    }
                }
            }
        }
    };
    pages.framed(StatusCode::OK, "Alerts", "/alerts", visitor, &content)
}

/// Callers under an automatic step, and for operators a way to end it.
fn held_callers(pages: &Pages, visitor: &Visitor) -> Markup {
    let held = pages.carrier.steps.all(jiff::Timestamp::now().as_second());
    html! {
        @if !held.is_empty() {
            section aria-labelledby="held" {
                h2 #held { "Under an automatic step" }
                div.wide role="region" aria-labelledby="held" tabindex="0" {
                    table {
                        thead { tr {
                            th scope="col" { "caller" }
                            th scope="col" { "step" }
                            th scope="col" { "by monitor" }
                            th scope="col" { "until, UTC" }
                            th scope="col" { "end it" }
                        } }
                        tbody {
                            @for (caller, h) in &held {
                                tr {
                                    td { (caller) }
                                    td { span.bad { (h.step.word()) } }
                                    td { (h.monitor) }
                                    td.time { (time(h.until_s.saturating_mul(1_000))) }
                                    td {
                                        @if is_operator(visitor) {
                                            form method="post" action="/alerts/lift" {
                                                (form_token(visitor))
                                                input type="hidden" name="caller" value=(caller);
                                                button type="submit" aria-label=(format!("End the step for {caller}")) { "End now" }
                                            }
                                        } @else { "operators can" }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Ends the automatic step of a caller, for an operator; recorded first.
pub(super) async fn lift(pages: &Arc<Pages>, visitor: &Visitor, form: &Form) -> Answer {
    if !is_operator(visitor) {
        return answer::text(StatusCode::FORBIDDEN, "only operators end a step\n");
    }
    let caller = form.get("caller").to_owned();
    let now_s = jiff::Timestamp::now().as_second();
    let steps = Arc::clone(&pages.carrier.steps);
    let Some(held) = steps.of(&caller, now_s) else {
        return page(
            pages,
            visitor,
            &Form::default(),
            Some("No step holds for this caller."),
        );
    };
    let detail = format!("{} of {caller} by an operator", held.step.word());
    if !pages.record("step-lifted", detail).await {
        return super::cannot_record();
    }
    let own = Arc::clone(&steps);
    let lifted = tokio::task::spawn_blocking(move || own.lift(&caller, now_s)).await;
    steps.count(&pages.carrier.metrics, now_s);
    let said = match lifted {
        Ok(Ok(())) => "The step has ended.",
        _ => {
            "The step has ended, but this could not be written down: a restart would bring it back."
        }
    };
    page(pages, visitor, &Form::default(), Some(said))
}
