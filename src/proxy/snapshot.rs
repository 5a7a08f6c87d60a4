//! The live set (policy, keys, identities), swapped whole; a request keeps the one it began with.
//!
//! A set that cannot be loaded changes nothing: the last good one stays, and that it is stale shows in log,
//! metric and `/readyz?verbose`.

use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;

use crate::config::{Machine, Settings, bundle, trust};
use crate::diagnostic::Diagnostic;
use crate::engine::identity::verifiers::Verifiers;
use crate::engine::policy::{self, Loaded};
use crate::engine::token::KeyRing;
use crate::observe::metrics::Metrics;

/// What one request is judged by.
#[derive(Debug)]
pub struct Live {
    /// Schemas, vocabulary, API maps, and the rules, compiled.
    pub set: Loaded,
    /// The keys of tokens and cursors.
    pub keys: KeyRing,
    /// Whom to believe.
    pub verifiers: Verifiers,
}

impl Live {
    /// Reads everything that `settings` names. Blocks.
    ///
    /// # Errors
    /// Every mistake found.
    pub fn load(settings: &Settings) -> Result<Self, Vec<Diagnostic>> {
        let ring = trust::key_ring(settings, &Machine);
        // Without a ring the verifiers cannot be read; its own mistakes are told then.
        let verifiers = ring
            .as_ref()
            .map_err(|_| Vec::new())
            .and_then(|ring| trust::verifiers(settings, ring, &Machine));
        let loaded = bundle::read(settings)
            .and_then(|(sources, taken)| Ok((policy::load(&sources)?, taken)));
        match (ring, verifiers, loaded) {
            (Ok(keys), Ok(verifiers), Ok((set, taken))) => {
                // Last: a bundle that cannot serve is not one that a later must follow.
                if let Some(taken) = taken {
                    bundle::remember(settings, &taken)?;
                }
                for warning in &set.warnings {
                    tracing::warn!(diagnostic = %warning, "policy");
                }
                Ok(Self {
                    set,
                    keys,
                    verifiers,
                })
            }
            (ring, verifiers, loaded) => Err([ring.err(), verifiers.err(), loaded.err()]
                .into_iter()
                .flatten()
                .flatten()
                .collect()),
        }
    }

    /// The policy version.
    pub fn version(&self) -> &Arc<str> {
        self.set.policies.version()
    }
}

/// The current live set and how its last reload went.
#[derive(Debug)]
pub struct Snapshot {
    current: ArcSwap<Live>,
    /// The set that served before the policy version of `current`, and when `current` began to serve.
    before: Mutex<(Option<Arc<Live>>, f64)>,
    /// Errors of the last reload; empty = it is fresh.
    errors: Mutex<Vec<String>>,
}

impl Snapshot {
    /// Begins with a set that was loaded.
    pub fn new(live: Live, metrics: &Metrics) -> Self {
        metrics.policy_loaded(live.version(), now_s());
        Self {
            current: ArcSwap::from_pointee(live),
            before: Mutex::new((None, now_s())),
            errors: Mutex::new(Vec::new()),
        }
    }

    /// The set for a request that begins now.
    pub fn current(&self) -> Arc<Live> {
        self.current.load_full()
    }

    /// The set of the policy version that served before this one, since the process began.
    pub fn previous(&self) -> Option<Arc<Live>> {
        self.before
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .clone()
    }

    /// When the current set was loaded, Unix seconds.
    pub fn since_s(&self) -> f64 {
        self.before.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Why the newest files are not the ones that serve; empty = they are.
    pub fn stale_because(&self) -> Vec<String> {
        self.errors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Loads anew, all or nothing. Blocks.
    pub fn reload(&self, settings: &Settings, metrics: &Metrics) -> bool {
        let (errors, loaded) = match Live::load(settings) {
            Ok(live) => {
                metrics.policy_loaded(live.version(), now_s());
                tracing::info!(policy = %live.version(), "policy loaded");
                let live = Arc::new(live);
                let old = self.current.swap(Arc::clone(&live));
                let mut before = self.before.lock().unwrap_or_else(PoisonError::into_inner);
                before.1 = now_s();
                if old.version() != live.version() {
                    before.0 = Some(old);
                }
                drop(before);
                (Vec::new(), true)
            }
            Err(diagnostics) => {
                metrics.policy_refused();
                for d in &diagnostics {
                    tracing::error!(diagnostic = %d, "policy refused, the last good one keeps serving");
                }
                (diagnostics.iter().map(ToString::to_string).collect(), false)
            }
        };
        *self.errors.lock().unwrap_or_else(PoisonError::into_inner) = errors;
        loaded
    }
}

fn now_s() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}

/// Quiet time after the last change before the files are read: an editor saves in several steps.
const DEBOUNCE: Duration = Duration::from_millis(300);
/// How often the files are looked at where the system does not tell of changes (network shares, some containers).
const POLL: Duration = Duration::from_secs(5);

/// Reloads on file changes and whenever `asked` receives (SIGHUP), until every sender is gone. `reloaded` is told
/// after each reload and whether it took.
pub async fn watch(
    snapshot: Arc<Snapshot>,
    settings: Arc<Settings>,
    metrics: Arc<Metrics>,
    mut asked: mpsc::Receiver<()>,
    reloaded: impl Fn(bool) + Send,
) {
    let (changed, mut changes) = mpsc::channel(1);
    let paths = watched(&settings);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if event.is_ok_and(|e| !e.kind.is_access()) {
            // A full channel already says that something changed.
            let _ = changed.try_send(());
        }
    });
    // Kept alive to the end of the function; the poll below is the net under it.
    let _watcher = watcher.map(|mut w| {
        for path in &paths {
            if let Err(error) = w.watch(path, RecursiveMode::Recursive) {
                tracing::warn!(path = %path.display(), %error, "cannot watch, polling only");
            }
        }
        w
    });
    let mut seen = fingerprint(&paths);
    let mut tick = tokio::time::interval(POLL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let forced = tokio::select! {
            request = asked.recv() => {
                if request.is_none() {
                    return;
                }
                true
            }
            Some(()) = changes.recv() => {
                // Wait until it is quiet.
                while tokio::time::timeout(DEBOUNCE, changes.recv()).await.is_ok_and(|c| c.is_some()) {}
                false
            }
            _ = tick.tick() => false,
        };
        let now = fingerprint(&paths);
        if !forced && now == seen {
            continue;
        }
        seen = now;
        let (snapshot, settings, metrics) = (
            Arc::clone(&snapshot),
            Arc::clone(&settings),
            Arc::clone(&metrics),
        );
        let taken = tokio::task::spawn_blocking(move || snapshot.reload(&settings, &metrics)).await;
        reloaded(taken.unwrap_or(false));
    }
}

/// The policy folder, and the folders of the files that are reloaded with it (files are replaced, not written).
fn watched(settings: &Settings) -> Vec<PathBuf> {
    let mut paths = vec![settings.policies.clone()];
    let bundle = settings.bundle.iter();
    let files = bundle
        .flat_map(|b| [&b.file, &b.signature])
        .chain(settings.identity.api_keys.iter())
        .chain(settings.identity.jwt.iter().filter_map(|j| j.jwks.as_ref()));
    for file in files.chain([&settings.keys]) {
        if !paths.contains(file) {
            paths.push(file.clone());
        }
    }
    paths
}

/// Names, sizes and times of all files below `paths`.
pub(super) fn fingerprint(paths: &[PathBuf]) -> u64 {
    fn visit(path: &Path, depth: u32, hasher: &mut DefaultHasher) {
        let Ok(meta) = std::fs::metadata(path) else {
            return;
        };
        if meta.is_dir() {
            if depth > 8 {
                return;
            }
            let mut entries: Vec<_> = std::fs::read_dir(path)
                .into_iter()
                .flatten()
                .filter_map(|e| e.ok().map(|e| e.path()))
                .collect();
            entries.sort();
            for entry in entries {
                visit(&entry, depth + 1, hasher);
            }
        } else {
            (path, meta.len(), meta.modified().ok()).hash(hasher);
        }
    }
    let mut hasher = DefaultHasher::new();
    for path in paths {
        visit(path, 0, &mut hasher);
    }
    hasher.finish()
}
