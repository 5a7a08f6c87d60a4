//! Runtime: what this process runs, how it fares, and the reload.

use std::sync::Arc;

use http::StatusCode;
use maud::{Markup, html};

use super::Pages;
use super::answer::{self, Answer};
use super::doors::Visitor;
use super::shell::{form_token, is_operator, micros, number, seconds, time};
use crate::config::effective;

/// The page. `said`: what a reload just did.
pub(super) fn page(pages: &Pages, visitor: &Visitor, said: Option<&str>) -> Answer {
    let content = content(pages, visitor, said);
    pages.framed(StatusCode::OK, "Runtime", "/runtime", visitor, &content)
}

fn content(pages: &Pages, visitor: &Visitor, said: Option<&str>) -> Markup {
    let carrier = &pages.carrier;
    let live = carrier.live.current();
    let stale = carrier.live.stale_because();
    let previous = carrier.live.previous();
    let log = carrier.log().stats();
    let metrics = &carrier.metrics;
    let policies = &live.set.policies;
    let since_ms = (carrier.live.since_s() * 1e3) as i64;
    let row = |name: &str, value: Markup| html! { tr { th scope="row" { (name) } td { (value) } } };
    html! {
        h1 { "Runtime" }
        @if let Some(said) = said {
            p.banner role="status" { (said) }
        }
        div.columns {
            section aria-labelledby="policy" {
                h2 #policy { "Policy" }
                table.facts { tbody {
                    (row("version", html! { code { (live.version()) } }))
                    (row("serving since", html! { (time(since_ms)) " UTC" }))
                    (row("rules, roles", html! {
                        (policies.rules().len()) ", " (policies.roles().count())
                    }))
                    (row("objects", html! { (live.set.catalog.objects.len()) }))
                    (row("version before", html! {
                        @match &previous {
                            Some(p) => { code { (p.version()) } " " a href="/policy/diff" { "what changed" } }
                            None => "none since the start",
                        }
                    }))
                    (row("newest files", html! {
                        @if stale.is_empty() { span.good { "✓ these" } }
                        @else { span.bad { "✗ cannot be loaded" } }
                    }))
                } }
                @if !stale.is_empty() {
                    @for problem in &stale { pre.problem tabindex="0" { (problem) } }
                }
                @if is_operator(visitor) {
                    form method="post" action="/reload" {
                        (form_token(visitor))
                        button type="submit" { "Reload policy and keys" }
                    }
                } @else {
                    p.hint { "Operators can reload here." }
                }
            }
            section aria-labelledby="log" {
                h2 #log { "Audit log" }
                table.facts { tbody {
                    (row("recording", html! {
                        @if log.failed { span.bad { "✗ failed: every request is answered 503" } }
                        @else { span.good { "✓ yes" } }
                    }))
                    (row("last record", html! { (number(log.seq_written)) }))
                    (row("durable to", html! { (number(log.seq_synced)) }))
                    (row("waiting", html! { (log.queue_records) " records, " (number(log.queue_bytes as u64)) " bytes" }))
                    (row("open attempts", html! { (log.open_attempts) }))
                    (row("commit", html! {
                        "last " (micros(log.commit_us_last)) ", mean "
                        (micros(log.commit_us_total.checked_div(log.commits).unwrap_or(0)))
                    }))
                    (row("waiting for a commit", html! { "99 % under " (seconds(metrics.commit_wait_p99_s())) }))
                } }
            }
            section aria-labelledby="traffic" {
                h2 #traffic { "Traffic" }
                table.facts { tbody {
                    (row("in flight", html! { (metrics.in_flight.get()) " requests" }))
                    (row("connections", html! {
                        (metrics.connections.get()) " of " (number(carrier.settings.limits.connections_max as u64))
                    }))
                    @for (word, n) in metrics.decisions() {
                        (row(&word, html! { (number(n)) " requests" }))
                    }
                    (row("draining", html! { @if carrier.is_draining() { "yes" } @else { "no" } }))
                    (row("up for", html! { (uptime(pages.began.elapsed().as_secs())) }))
                } }
            }
        }
        section aria-labelledby="latency" {
            h2 #latency { "Time added" }
            div.wide role="region" aria-labelledby="latency" tabindex="0" {
                table {
                    thead { tr {
                        th scope="col" { "API" } th scope="col" { "what" } th.n scope="col" { "answers" }
                        th.n scope="col" { "median" } th.n scope="col" { "99 %" }
                    } }
                    tbody {
                        @for l in metrics.latencies() {
                            tr {
                                td { (l.api) }
                                td { @if l.what == "overhead" { "added by privet, to the first byte" } @else { "the upstream, to its head" } }
                                td.n { (number(l.count)) }
                                td.n { (seconds(l.p50_s)) }
                                td.n { (seconds(l.p99_s)) }
                            }
                        }
                    }
                }
            }
            p.hint { "From histograms, so these are estimates inside a bucket; a dash is nothing yet, or beyond the last bucket. " a href="/metrics" { "All metrics" } }
        }
        section aria-labelledby="config" {
            h2 #config { "Configuration in force" }
            div.wide role="region" aria-labelledby="config" tabindex="0" {
                table.facts { tbody {
                    @for (name, value) in effective(&carrier.settings) {
                        tr { th scope="row" { code { (name) } } td { (value) } }
                    }
                } }
            }
            p.hint { "Secrets are hidden. A change of privet.yaml needs a restart; policy, keys and callers are read again when their files change." }
        }
    }
}

fn uptime(s: u64) -> String {
    match s {
        0..120 => format!("{s} s"),
        120..7_200 => format!("{} min", s / 60),
        7_200..172_800 => format!("{} h", s / 3_600),
        _ => format!("{} d", s / 86_400),
    }
}

/// Loads policy and keys anew, for an operator; recorded whatever came of it.
pub(super) async fn reload(pages: &Arc<Pages>, visitor: &Visitor) -> Answer {
    if !is_operator(visitor) {
        return answer::text(StatusCode::FORBIDDEN, "only operators reload\n");
    }
    if !pages
        .record("admin-reload", "an operator asked for it".to_owned())
        .await
    {
        return super::cannot_record();
    }
    let own = Arc::clone(pages);
    let loaded = tokio::task::spawn_blocking(move || {
        let carrier = &own.carrier;
        let before = Arc::clone(carrier.live.current().version());
        let loaded = carrier.live.reload(&carrier.settings, &carrier.metrics);
        (loaded, before == *carrier.live.current().version())
    })
    .await;
    let (word, said) = match loaded {
        Ok((true, true)) => ("loaded, the same version", "Loaded: nothing has changed."),
        Ok((true, false)) => ("loaded, a new version", "Loaded: a new version serves."),
        _ => (
            "refused, the last good one keeps serving",
            "Not loaded: the version before keeps serving.",
        ),
    };
    if !pages.record("admin-reload", word.to_owned()).await {
        return super::cannot_record();
    }
    page(pages, visitor, Some(said))
}
