//! The next policy set beside the live one: decides the same requests after they were decided, and counts what it
//! would change. It answers nobody, and no request waits for it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use crate::config::folder;
use crate::diagnostic::Diagnostic;
use crate::engine::event::What;
use crate::engine::identity::Identity;
use crate::engine::policy::{self, Loaded};
use crate::engine::workbench::compare::Direction;
use crate::engine::workbench::replay::{Past, replay};
use crate::observe::metrics::Metrics;

use super::snapshot::{Live, fingerprint};

/// Most requests that wait to be looked at; further ones are counted and left out.
const WAITING_MAX: usize = 1024;
/// How often the folder is looked at.
const POLL: Duration = Duration::from_secs(5);

/// A way to tell the shadow of requests.
#[derive(Debug)]
pub struct Shadow {
    asked: SyncSender<(Arc<Live>, Past)>,
    metrics: Arc<Metrics>,
}

impl Shadow {
    /// Loads the set in `directory` and begins to watch requests. Reloads it when its files change; one that cannot be
    /// loaded changes nothing and is told in the log.
    ///
    /// # Errors
    /// Every mistake of the set; a thread that cannot be had.
    pub fn begin(directory: &Path, metrics: &Arc<Metrics>) -> Result<Self, Vec<Diagnostic>> {
        let set = load(directory)?;
        tracing::info!(policy = %set.policies.version(), "shadow policy loaded");
        let (asked, requests) = sync_channel(WAITING_MAX);
        let beside = Beside {
            paths: vec![directory.to_owned()],
            seen: fingerprint(&[directory.to_owned()]),
            set,
            metrics: Arc::clone(metrics),
        };
        std::thread::Builder::new()
            .name("privet-shadow".to_owned())
            .spawn(move || beside.watch(&requests))
            .map_err(|e| vec![Diagnostic::error("shadow", None, e.to_string())])?;
        Ok(Self {
            asked,
            metrics: Arc::clone(metrics),
        })
    }

    /// A request was decided under `live`.
    pub fn tell(&self, live: &Arc<Live>, caller: &Identity, what: &What) {
        let past = Past::of(caller, what);
        if self.asked.try_send((Arc::clone(live), past)).is_err() {
            self.metrics.shadowed("left-out");
        }
    }
}

struct Beside {
    paths: Vec<PathBuf>,
    seen: u64,
    set: Loaded,
    metrics: Arc<Metrics>,
}

impl Beside {
    /// Until nobody can ask any more.
    fn watch(mut self, requests: &Receiver<(Arc<Live>, Past)>) {
        let mut looked = Instant::now();
        loop {
            match requests.recv_timeout(POLL) {
                Ok((live, past)) => self.look(&live.set, &past),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if looked.elapsed() >= POLL {
                self.reload();
                looked = Instant::now();
            }
        }
    }

    fn look(&self, live: &Loaded, past: &Past) {
        let differences = replay(live, &self.set, past);
        let result = match differences.first() {
            None => "same",
            // The loosest comes first.
            Some(first) => first.direction.word(),
        };
        self.metrics.shadowed(result);
        // Roles that the set knows: what callers carry beside them is no closed set.
        let mut roles: Vec<&str> = self.set.policies.roles().collect();
        roles.retain(|r| past.caller.roles.iter().any(|held| **held == **r));
        if roles.is_empty() {
            roles.push("none");
        }
        for difference in &differences {
            let direction: Direction = difference.direction;
            for role in &roles {
                let mut rules: Vec<&str> = difference.rules.iter().map(|r| &**r).collect();
                if rules.is_empty() {
                    rules.push("none");
                }
                for rule in rules {
                    self.metrics
                        .shadow_changed(direction.word(), rule, role, &difference.what);
                }
            }
        }
    }

    fn reload(&mut self) {
        let now = fingerprint(&self.paths);
        if now == self.seen {
            return;
        }
        self.seen = now;
        let Some(directory) = self.paths.first() else {
            return;
        };
        match load(directory) {
            Ok(set) => {
                tracing::info!(policy = %set.policies.version(), "shadow policy loaded");
                self.set = set;
            }
            Err(found) => {
                for d in &found {
                    tracing::error!(diagnostic = %d, "shadow policy refused, the last good one stays");
                }
            }
        }
    }
}

fn load(directory: &Path) -> Result<Loaded, Vec<Diagnostic>> {
    let sources = folder::read(directory)
        .map_err(|e| vec![Diagnostic::error("unreadable", None, e.to_string())])?;
    policy::load(&sources)
}
