//! The monitors over the audit log, and what follows from what they find.

use std::sync::Arc;

use crate::config::Settings;
use crate::observe::audit::Log;
use crate::observe::metrics::Metrics;
use crate::observe::monitors::{self, Finding, Webhook};
use crate::proxy::snapshot::Snapshot;
use crate::proxy::steps::{Held, Steps};

/// Runs the monitors, and records, counts and acts on what they find from now on.
#[derive(Debug)]
pub(super) struct Watching {
    pub(super) log: Log,
    pub(super) settings: Arc<Settings>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) live: Arc<Snapshot>,
    pub(super) steps: Arc<Steps>,
    pub(super) webhook: Option<Webhook>,
}

impl Watching {
    /// Watches until dropped.
    pub(super) async fn run(self) {
        let since_ms = jiff::Timestamp::now().as_millisecond();
        self.steps.count(&self.metrics, since_ms / 1_000);
        let (policies, audit) = (
            self.settings.policies.clone(),
            self.settings.audit_directory.clone(),
        );
        let keys = || {
            let ledger = self.settings.audit.ledger;
            ledger.then(|| self.live.current().keys.ledger_keys().collect())
        };
        monitors::watch(policies, audit, since_ms, keys, |found| self.raise(found)).await;
    }

    async fn raise(&self, finding: Finding) {
        self.metrics.alerted(&finding.monitor, finding.severity);
        tracing::warn!(monitor = %finding.monitor, measured = finding.measured, threshold = finding.threshold, "alert");
        // First, as every further request counts.
        self.act(&finding).await;
        if let Some(webhook) = &self.webhook {
            webhook.tell(&finding);
        }
        // A log that cannot record refuses every request; nothing more is to be said here.
        let _ = self.log.alert(finding.event()).await;
    }

    /// Takes the automatic step, if the monitor has one.
    async fn act(&self, finding: &Finding) {
        let (Some(then), Some(caller)) = (finding.then, finding.caller.clone()) else {
            return;
        };
        let now_s = jiff::Timestamp::now().as_second();
        let held = Held {
            step: then.step,
            monitor: Arc::clone(&finding.monitor),
            until_s: now_s.saturating_add(then.for_s),
        };
        let steps = Arc::clone(&self.steps);
        let taken = tokio::task::spawn_blocking(move || steps.take(&caller, held, now_s)).await;
        if let Ok(Err(error)) = taken {
            tracing::error!(%error, "an automatic step holds, but a restart would forget it");
        }
        self.steps.count(&self.metrics, now_s);
    }
}
