//! All sinks together: metrics, the alarm when one stays away, and the bound of the spool.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::Progress;
use super::behind::segments;
use crate::observe::audit::{self, Log};
use crate::observe::metrics::Metrics;

/// A sink as others look at it.
#[derive(Debug, Clone)]
pub struct SinkState {
    /// As the configuration names it.
    pub name: Arc<str>,
    /// What it is, such as `syslog`.
    pub kind: &'static str,
    /// How its records are rendered.
    pub format: &'static str,
    /// How far it is.
    pub progress: watch::Receiver<Progress>,
}

/// The last record that every sink has acknowledged; `u64::MAX` without sinks.
pub fn slowest(sinks: &[SinkState]) -> u64 {
    let shipped = sinks.iter().map(|sink| sink.progress.borrow().shipped);
    shipped.min().unwrap_or(u64::MAX)
}

/// When to raise the alarm.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// A sink that fails for so long is told of.
    pub failing_after: Duration,
    /// Most bytes of segments that a sink has not acknowledged whole. Beyond it requests are answered 503 until there is
    /// room: nothing is thrown away. `None` = as much as the disk holds.
    pub spool_bytes_max: Option<u64>,
    /// How often to look.
    pub every: Duration,
}

/// Looks at the sinks again and again: sets their metrics, records `sink-failing` and `sink-well` as control events, and
/// `spool-full` and `spool-has-room` around the time in which the log takes no new attempts.
pub async fn oversee(
    log: Log,
    directory: PathBuf,
    sinks: Vec<SinkState>,
    bounds: Bounds,
    metrics: Arc<Metrics>,
) {
    let mut failing = vec![false; sinks.len()];
    let mut full = false;
    let mut ticks = tokio::time::interval(bounds.every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let synced = log.stats().seq_synced;
        let now_ms = jiff::Timestamp::now().as_millisecond();
        for (sink, told) in sinks.iter().zip(&mut failing) {
            let progress = sink.progress.borrow().clone();
            let behind = synced.saturating_sub(progress.shipped);
            let age_s = progress
                .oldest_ms
                .map_or(0.0, |ms| (now_ms - ms).max(0) as f64 / 1e3);
            metrics.sink(&sink.name, behind, age_s, progress.failures_total);
            let away = progress
                .failing_since
                .is_some_and(|since| since.elapsed() >= bounds.failing_after);
            let well = progress.failures == 0;
            if away && !*told {
                *told = true;
                tracing::error!(sink = %sink.name, behind, error = %progress.error, "an audit sink does not take records");
                let detail = format!("sink {}: {behind} records behind", sink.name);
                tell(&log, "sink-failing", detail).await;
            } else if well && *told {
                *told = false;
                tracing::info!(sink = %sink.name, "the audit sink takes records again");
                tell(&log, "sink-well", format!("sink {}", sink.name)).await;
            }
        }
        let shipped = slowest(&sinks);
        let folder = directory.clone();
        let spool = tokio::task::spawn_blocking(move || spool_bytes(&folder, shipped)).await;
        let Ok(Ok(spool)) = spool else {
            continue;
        };
        metrics.spool(spool);
        let Some(max) = bounds.spool_bytes_max else {
            continue;
        };
        if spool > max && !full {
            full = true;
            log.hold_attempts(true);
            tracing::error!(
                spool,
                max,
                "the spool of the audit sinks is full: requests are answered 503"
            );
            tell(&log, "spool-full", format!("{spool} of {max} bytes")).await;
        } else if spool <= max && full {
            full = false;
            log.hold_attempts(false);
            tracing::info!(spool, "the spool of the audit sinks has room again");
            tell(&log, "spool-has-room", format!("{spool} of {max} bytes")).await;
        }
    }
}

async fn tell(log: &Log, what: &'static str, detail: String) {
    // A log that cannot record refuses every request; nothing more is to be said here.
    let _ = log
        .control(audit::control(what, "".into(), Some(detail)))
        .await;
}

/// Bytes of the segments of which not every record is acknowledged.
fn spool_bytes(directory: &Path, shipped: u64) -> io::Result<u64> {
    let firsts = segments(directory)?;
    let mut bytes = 0;
    for (n, first) in firsts.iter().enumerate() {
        let last = firsts.get(n + 1).map_or(u64::MAX, |next| next - 1);
        if last > shipped {
            bytes += std::fs::metadata(directory.join(super::behind::name(*first)))?.len();
        }
    }
    Ok(bytes)
}
