//! Prometheus metrics, one place for every name. Labels come from closed sets: names of the configuration and the
//! policy, never a path, a subject or a value.

use std::sync::Arc;

use prometheus::{
    Encoder, Gauge, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    Opts, Registry, TextEncoder,
};

use prometheus::core::Collector as _;

use crate::engine::rewrite::{Abort, Counter, Counts};

const SECONDS: &[f64] = &[
    0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0,
];
const OVERHEAD_SECONDS: &[f64] = &[
    5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1,
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
            refusals: counters("refusals_total", "Refused requests", &["reason"])?,
            blocked_bodies: counters(
                "blocked_bodies_total",
                "Upstream answers that did not pass whole",
                &["reason"],
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

    /// The audit log could not record.
    pub fn not_recorded(&self) {
        self.audit_refused.inc();
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
