//! Prometheus metrics, one place for every name. Labels come from closed sets: names of the configuration and the
//! policy, never a path, a subject or a value.

use std::sync::Arc;

use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use prometheus::core::Collector as _;

use crate::engine::event::Severity;
use crate::engine::rewrite::{Abort, Counter, Counts};

const SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const OVERHEAD_SECONDS: &[f64] = &[
    5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1,
];

const COMMIT_SECONDS: &[f64] = &[
    1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

/// All metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    process: Registry,
    requests: IntCounterVec,
    duration: HistogramVec,
    upstream: HistogramVec,
    overhead: HistogramVec,
    ttfb: HistogramVec,
    /// Requests being answered.
    pub in_flight: IntGauge,
    body_bytes: IntCounterVec,
    fields_treated: IntCounterVec,
    second_net_found: IntCounterVec,
    refusals: IntCounterVec,
    blocked_bodies: IntCounterVec,
    policy_reloads: IntCounterVec,
    policy_stale: IntGauge,
    policy_last_success: Gauge,
    policy_info: GaugeVec,
    unplanned_members: IntCounter,
    held_over: IntCounter,
    /// Client connections.
    pub connections: IntGauge,
    connections_refused: IntCounter,
    audit_refused: IntCounter,
    shadow_requests: IntCounterVec,
    shadow_changes: IntCounterVec,
    alerts: IntCounterVec,
    /// How long records waited to be durable.
    pub commit_wait: Histogram,
    sink_lag_records: IntGaugeVec,
    sink_lag_seconds: GaugeVec,
    sink_failures: IntCounterVec,
    spool_bytes: IntGauge,
    webhook: IntCounterVec,
    callers_held: IntGaugeVec,
}

/// How a request ended, for its metrics.
#[derive(Debug, Clone)]
pub struct Finished<'a> {
    /// API name, or `none`.
    pub api: &'a str,
    /// Endpoint name of a closed set, or `none`.
    pub endpoint: &'a str,
    /// HTTP method; others than the known ones count as `other`.
    pub method: &'a str,
    /// Status sent.
    pub status: u16,
    /// `allow`, `refuse`, `error` or `abort`.
    pub decision: &'static str,
    /// Seconds from the head's arrival to the end.
    pub seconds: f64,
    /// Seconds until the upstream's head, if it was asked.
    pub upstream_seconds: Option<f64>,
    /// Seconds of privet's own work before the first byte, if there was one.
    pub overhead_seconds: Option<f64>,
    /// Seconds to the first body byte.
    pub ttfb_seconds: Option<f64>,
}

impl Metrics {
    /// Registers everything.
    ///
    /// # Errors
    /// Never in practice: a name that is registered twice.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new_custom(Some("privet".into()), None)?;
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let c = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(c.clone()))?;
            Ok::<_, prometheus::Error>(c)
        };
        let counter = |name: &str, help: &str| {
            let c = IntCounter::new(name, help)?;
            registry.register(Box::new(c.clone()))?;
            Ok::<_, prometheus::Error>(c)
        };
        let gauge = |name: &str, help: &str| {
            let g = IntGauge::new(name, help)?;
            registry.register(Box::new(g.clone()))?;
            Ok::<_, prometheus::Error>(g)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let g = GaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(g.clone()))?;
            Ok::<_, prometheus::Error>(g)
        };
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            let opts = HistogramOpts::new(name, help).buckets(buckets.to_vec());
            let h = HistogramVec::new(opts, &["api"])?;
            registry.register(Box::new(h.clone()))?;
            Ok::<_, prometheus::Error>(h)
        };
        let commit_wait = Histogram::with_opts(
            HistogramOpts::new(
                "audit_commit_wait_seconds",
                "How long records waited to be durable",
            )
            .buckets(COMMIT_SECONDS.to_vec()),
        )?;
        registry.register(Box::new(commit_wait.clone()))?;
        let int_gauges = |name: &str, help: &str, labels: &[&str]| {
            let g = IntGaugeVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(g.clone()))?;
            Ok::<_, prometheus::Error>(g)
        };
        let policy_last_success = Gauge::new(
            "policy_last_success_timestamp_seconds",
            "When the serving policy was loaded",
        )?;
        registry.register(Box::new(policy_last_success.clone()))?;
        gauges("build_info", "The build", &["version"])?
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1.0);
        // Its names stay without prefix, as everywhere.
        let process = Registry::new();
        #[cfg(target_os = "linux")]
        process.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        Ok(Self {
            requests: counters(
                "requests_total",
                "Requests answered",
                &["api", "endpoint", "method", "code_class", "decision"],
            )?,
            duration: histogram("request_duration_seconds", "Head to last byte", SECONDS)?,
            upstream: histogram(
                "upstream_duration_seconds",
                "Until the upstream's response head",
                SECONDS,
            )?,
            overhead: histogram(
                "overhead_seconds",
                "Own work before the first byte",
                OVERHEAD_SECONDS,
            )?,
            ttfb: histogram("ttfb_seconds", "Head to first body byte", SECONDS)?,
            in_flight: gauge("in_flight", "Requests being answered")?,
            body_bytes: counters("body_bytes_total", "Body bytes", &["direction"])?,
            fields_treated: counters(
                "fields_treated_total",
                "Values treated",
                &["object", "field", "treatment"],
            )?,
            second_net_found: counters(
                "second_net_found_total",
                "Personal data found in values that leave in clear",
                &["object", "field", "kind"],
            )?,
            refusals: counters("refusals_total", "Refused requests", &["reason"])?,
            blocked_bodies: counters(
                "blocked_bodies_total",
                "Upstream answers that did not pass whole",
                &["reason"],
            )?,
            alerts: counters(
                "alerts_total",
                "What monitors found",
                &["monitor", "severity"],
            )?,
            policy_reloads: counters("policy_reload_total", "Policy loads", &["result"])?,
            policy_stale: gauge(
                "policy_stale",
                "1 while the newest policy files cannot be loaded",
            )?,
            policy_last_success,
            policy_info: gauges("policy_info", "The serving policy", &["version"])?,
            unplanned_members: counter(
                "unplanned_members_total",
                "Members dropped because no plan names them",
            )?,
            held_over: counter(
                "held_over_total",
                "Records held to the bound and treated by the strictest variant",
            )?,
            connections: gauge("connections", "Client connections")?,
            connections_refused: counter(
                "connections_refused_total",
                "Client connections over the bound",
            )?,
            audit_refused: counter(
                "audit_refused_total",
                "Requests answered 503 because the audit log could not record",
            )?,
            commit_wait,
            sink_lag_records: int_gauges(
                "audit_sink_lag_records",
                "Durable audit records that a sink has not acknowledged",
                &["sink"],
            )?,
            sink_lag_seconds: gauges(
                "audit_sink_lag_seconds",
                "Age of the oldest audit record that a sink has yet to acknowledge",
                &["sink"],
            )?,
            sink_failures: counters(
                "audit_sink_failures_total",
                "Deliveries that an audit sink did not acknowledge",
                &["sink"],
            )?,
            spool_bytes: gauge(
                "audit_spool_bytes",
                "Audit segments that are kept because a sink has not acknowledged all of them",
            )?,
            webhook: counters(
                "alert_webhook_total",
                "Alerts by what became of them on their way to the webhook",
                &["result"],
            )?,
            callers_held: int_gauges(
                "callers_under_step",
                "Callers under an automatic step of a monitor",
                &["step"],
            )?,
            shadow_requests: counters(
                "shadow_requests_total",
                "Requests by what the shadow policy would change about them",
                &["result"],
            )?,
            shadow_changes: counters(
                "shadow_changes_total",
                "Uses of fields that the shadow policy would answer in another way",
                &["direction", "rule", "role", "field"],
            )?,
            registry,
            process,
        })
    }

    /// One request has ended.
    pub fn finished(&self, f: &Finished<'_>) {
        let method = match f.method {
            "GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => f.method,
            _ => "other",
        };
        let class = match f.status / 100 {
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "none",
        };
        self.requests
            .with_label_values(&[f.api, f.endpoint, method, class, f.decision])
            .inc();
        self.duration.with_label_values(&[f.api]).observe(f.seconds);
        for (histogram, seconds) in [
            (&self.upstream, f.upstream_seconds),
            (&self.overhead, f.overhead_seconds),
            (&self.ttfb, f.ttfb_seconds),
        ] {
            if let Some(seconds) = seconds {
                histogram.with_label_values(&[f.api]).observe(seconds);
            }
        }
    }

    /// A request was refused with this code (a closed set).
    pub fn refused(&self, code: &str) {
        self.refusals.with_label_values(&[code]).inc();
    }

    /// The shadow policy looked at a request: `same`, a direction's word, or `left-out`.
    pub fn shadowed(&self, result: &'static str) {
        self.shadow_requests.with_label_values(&[result]).inc();
    }

    /// The shadow policy would answer one use of a field in another way. All words are names of the policy sets.
    pub fn shadow_changed(&self, direction: &'static str, rule: &str, role: &str, field: &str) {
        self.shadow_changes
            .with_label_values(&[direction, rule, role, field])
            .inc();
    }

    /// The audit log could not record.
    pub fn not_recorded(&self) {
        self.audit_refused.inc();
    }

    /// A monitor found something. Monitors are named by the policy folder.
    pub fn alerted(&self, monitor: &str, severity: Severity) {
        let severity = match severity {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
        };
        self.alerts.with_label_values(&[monitor, severity]).inc();
    }

    /// How a sink of the audit log fares. `failures_total`: since the start of the process.
    pub fn sink(&self, name: &str, lag_records: u64, lag_s: f64, failures_total: u64) {
        let lag = i64::try_from(lag_records).unwrap_or(i64::MAX);
        self.sink_lag_records.with_label_values(&[name]).set(lag);
        self.sink_lag_seconds.with_label_values(&[name]).set(lag_s);
        let failures = self.sink_failures.with_label_values(&[name]);
        failures.inc_by(failures_total.saturating_sub(failures.get()));
    }

    /// Bytes of the audit log that wait for a sink.
    pub fn spool(&self, bytes: u64) {
        self.spool_bytes
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    /// What became of an alert on its way to the webhook: `delivered`, `failed` or `dropped`.
    pub fn webhook(&self, result: &'static str) {
        self.webhook.with_label_values(&[result]).inc();
    }

    /// So many callers are under an automatic step.
    pub fn callers_held(&self, step: &'static str, callers: usize) {
        let callers = i64::try_from(callers).unwrap_or(i64::MAX);
        self.callers_held.with_label_values(&[step]).set(callers);
    }

    /// A connection came while the bound was reached.
    pub fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// An answer of the upstream was blocked or cut.
    pub fn blocked(&self, reason: &str) {
        self.blocked_bodies.with_label_values(&[reason]).inc();
    }

    /// What the rewriter counted over one body.
    pub fn body(&self, counters: &[Counter], counts: &Counts) {
        self.body_bytes
            .with_label_values(&["in"])
            .inc_by(counts.bytes_in);
        self.body_bytes
            .with_label_values(&["out"])
            .inc_by(counts.bytes_out);
        self.unplanned_members.inc_by(counts.unplanned_members);
        self.held_over.inc_by(counts.held_over);
        for (counter, sighting, n) in &counts.found {
            if let Some(field) = counters.get(*counter as usize) {
                self.second_net_found
                    .with_label_values(&[&*field.object, &*field.field, sighting.word()])
                    .inc_by(*n);
            }
        }
        for (counter, n) in counters.iter().zip(&counts.treated) {
            if *n > 0 {
                self.fields_treated
                    .with_label_values(&[
                        &*counter.object,
                        &*counter.field,
                        counter.treatment.word(),
                    ])
                    .inc_by(*n);
            }
        }
    }

    /// A policy was loaded and serves from now on. `now_s`: Unix seconds.
    pub fn policy_loaded(&self, version: &Arc<str>, now_s: f64) {
        self.policy_reloads.with_label_values(&["ok"]).inc();
        self.policy_stale.set(0);
        self.policy_last_success.set(now_s);
        self.policy_info.reset();
        self.policy_info.with_label_values(&[&**version]).set(1.0);
    }

    /// The newest policy files cannot be loaded.
    pub fn policy_refused(&self) {
        self.policy_reloads.with_label_values(&["refused"]).inc();
        self.policy_stale.set(1);
    }

    /// How long privet's own work took, and the upstream's, by API.
    pub fn latencies(&self) -> Vec<Latency> {
        let mut found: Vec<Latency> = Vec::new();
        for (what, histogram) in [("overhead", &self.overhead), ("upstream", &self.upstream)] {
            for family in histogram.collect() {
                for metric in family.get_metric() {
                    let api = metric
                        .get_label()
                        .iter()
                        .find(|l| l.name() == "api")
                        .map_or("", |l| l.value());
                    let h = metric.get_histogram();
                    let buckets: Vec<(f64, u64)> = h
                        .get_bucket()
                        .iter()
                        .map(|b| (b.upper_bound(), b.cumulative_count()))
                        .collect();
                    let count = h.get_sample_count();
                    found.push(Latency {
                        what,
                        api: api.to_owned(),
                        count,
                        p50_s: quantile(&buckets, count, 0.5),
                        p99_s: quantile(&buckets, count, 0.99),
                    });
                }
            }
        }
        found.sort_by(|a, b| (&a.api, a.what).cmp(&(&b.api, b.what)));
        found
    }

    /// The 99th percentile of how long records waited to be durable, seconds.
    pub fn commit_wait_p99_s(&self) -> Option<f64> {
        let families = self.commit_wait.collect();
        let h = families.first()?.get_metric().first()?.get_histogram();
        let buckets: Vec<(f64, u64)> = h
            .get_bucket()
            .iter()
            .map(|b| (b.upper_bound(), b.cumulative_count()))
            .collect();
        quantile(&buckets, h.get_sample_count(), 0.99)
    }

    /// Requests answered since the start, by decision word.
    pub fn decisions(&self) -> std::collections::BTreeMap<String, u64> {
        let mut sums = std::collections::BTreeMap::new();
        for family in self.requests.collect() {
            for metric in family.get_metric() {
                let label = metric.get_label().iter().find(|l| l.name() == "decision");
                let word = label.map_or("", |l| l.value());
                // Counters hold whole numbers.
                *sums.entry(word.to_owned()).or_default() +=
                    metric.get_counter().get_value() as u64;
            }
        }
        sums
    }

    /// The exposition text.
    pub fn text(&self) -> String {
        let mut out = Vec::new();
        let mut families = self.registry.gather();
        families.append(&mut self.process.gather());
        if TextEncoder::new().encode(&families, &mut out).is_err() {
            return String::new();
        }
        String::from_utf8(out).unwrap_or_default()
    }
}

/// Quantiles of one histogram.
#[derive(Debug, Clone, PartialEq)]
pub struct Latency {
    /// `overhead` or `upstream`.
    pub what: &'static str,
    /// API name.
    pub api: String,
    /// Observations.
    pub count: u64,
    /// Median, seconds; `None` = none, or beyond the last bucket.
    pub p50_s: Option<f64>,
    /// 99th percentile, seconds.
    pub p99_s: Option<f64>,
}

/// Linear inside its bucket, as Prometheus' histogram_quantile.
fn quantile(buckets: &[(f64, u64)], count: u64, q: f64) -> Option<f64> {
    if count == 0 {
        return None;
    }
    let rank = q * count as f64;
    let (mut below_s, mut below) = (0.0, 0);
    for (bound, cumulative) in buckets {
        if *cumulative as f64 >= rank {
            let inside = (cumulative - below) as f64;
            let part = if inside > 0.0 {
                (rank - below as f64) / inside
            } else {
                1.0
            };
            return bound
                .is_finite()
                .then_some(below_s + (bound - below_s) * part);
        }
        (below_s, below) = (*bound, *cumulative);
    }
    None
}

/// The word of an abort, of a closed set.
pub fn abort_word(abort: &Abort) -> &'static str {
    match abort {
        Abort::Malformed { .. } => "malformed",
        Abort::Truncated { .. } => "truncated",
        Abort::TooLarge { .. } => "too-large",
        Abort::ForbiddenKey { .. } => "forbidden-key",
        Abort::DuplicateDecider { .. } => "duplicate-decider",
        Abort::Contradiction { .. } => "contradiction",
        Abort::Refused { .. } => "refused",
        Abort::Coding { .. } => "coding",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_linear_inside_their_bucket() {
        let buckets = [(0.1, 10), (0.2, 20), (f64::INFINITY, 21)];
        let half = quantile(&buckets, 20, 0.5).unwrap();
        assert!((half - 0.1).abs() < 1e-9);
        let three_quarters = quantile(&buckets, 20, 0.75).unwrap();
        assert!((three_quarters - 0.15).abs() < 1e-9);
        assert_eq!(quantile(&buckets, 21, 0.99), None, "beyond the last bound");
        assert_eq!(quantile(&buckets, 0, 0.5), None);
    }
}
