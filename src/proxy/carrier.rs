//! What all requests share: settings, APIs with their upstreams, the live set, the audit log, the metrics.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use http::HeaderName;

use crate::config::{ApiSettings, Settings};
use crate::engine::protocol::{Api, Dialect};
use crate::observe::audit::Log;
use crate::observe::metrics::Metrics;

use super::head::HeadRules;
use super::journal::Journal;
use super::login_rate::LoginRate;
use super::receipts::Receipts;
use super::refuse::ErrorShape;
use super::shadow::Shadow;
use super::snapshot::Snapshot;
use super::steps::Steps;
use super::strict_head::HeadBounds;
use super::upstream::{SetupError, Upstream};
use crate::observe::shipping::SinkState;

/// Shared by all connections.
#[derive(Debug)]
pub struct Carrier {
    /// The configuration.
    pub settings: Arc<Settings>,
    /// What heads are checked against.
    pub rules: HeadRules,
    /// The live set.
    pub live: Arc<Snapshot>,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The failed logins of late.
    pub logins: LoginRate,
    /// What callers may ask of their own requests.
    pub receipts: Arc<Receipts>,
    /// The next policy set, if one is tried beside the live one.
    pub shadow: OnceLock<Shadow>,
    /// The sinks of the audit log, once they run.
    pub sinks: OnceLock<Vec<SinkState>>,
    /// Callers that a monitor has stopped, or holds to stricter treatment.
    pub steps: Arc<Steps>,
    log: Log,
    apis: Vec<ServedApi>,
    draining: AtomicBool,
}

/// One API that is served.
#[derive(Debug)]
pub struct ServedApi {
    /// For understanding its requests.
    pub api: Api,
    /// Its settings.
    pub settings: ApiSettings,
    /// Its upstream.
    pub upstream: Upstream,
    /// How it spells errors.
    pub error_shape: ErrorShape,
}

impl Carrier {
    /// Puts the parts together; opens no connection.
    ///
    /// # Errors
    /// An upstream or public URL that cannot be used, or an empty trust store.
    pub fn new(
        settings: Arc<Settings>,
        live: Arc<Snapshot>,
        log: Log,
        metrics: Arc<Metrics>,
    ) -> Result<Self, SetupError> {
        Self::with_steps(settings, live, log, metrics, Arc::default())
    }

    /// [`Carrier::new`], with automatic steps that are kept elsewhere too.
    ///
    /// # Errors
    /// As there.
    pub fn with_steps(
        settings: Arc<Settings>,
        live: Arc<Snapshot>,
        log: Log,
        metrics: Arc<Metrics>,
        steps: Arc<Steps>,
    ) -> Result<Self, SetupError> {
        let bounds = HeadBounds {
            target_bytes_max: settings.limits.target_bytes_max,
            head_bytes_max: settings.limits.head_bytes_max,
            fields_max: settings.limits.head_fields_max,
        };
        let public_url = &settings.listen.public_url;
        let purpose_header = settings
            .identity
            .purpose_header
            .as_ref()
            .and_then(|n| HeaderName::from_bytes(n.as_bytes()).ok());
        let rules =
            HeadRules::new(public_url, bounds, purpose_header).ok_or_else(|| SetupError {
                url: Arc::clone(public_url),
                what: "is not an http or https origin".into(),
            })?;
        let mut apis = Vec::new();
        for (name, api) in &settings.apis {
            let error_shape = match api.dialect {
                Dialect::Salesforce => ErrorShape::Salesforce,
                Dialect::Map => ErrorShape::Neutral,
            };
            apis.push(ServedApi {
                api: Api {
                    name: Arc::clone(name),
                    dialect: api.dialect,
                    versions: api.versions,
                    public_origin: Arc::clone(public_url),
                    upstream_origin: Arc::clone(&api.upstream_url),
                },
                upstream: Upstream::new(api, &settings.limits, error_shape.clone())?,
                settings: api.clone(),
                error_shape,
            });
        }
        Ok(Self {
            settings,
            rules,
            live,
            metrics,
            logins: LoginRate::default(),
            receipts: Arc::default(),
            shadow: OnceLock::new(),
            sinks: OnceLock::new(),
            steps,
            log,
            apis,
            draining: AtomicBool::new(false),
        })
    }

    /// The API whose longest prefix begins `path`. A prefix ends at a segment's end: `/people` begins `/people/1`,
    /// not `/peoples`.
    pub fn served(&self, path: &str) -> Option<&ServedApi> {
        let begins = |prefix: &str| {
            path.strip_prefix(prefix).is_some_and(|rest| {
                rest.is_empty() || prefix.ends_with('/') || rest.starts_with('/')
            })
        };
        self.apis
            .iter()
            .flat_map(|api| api.settings.paths.iter().map(move |p| (p, api)))
            .filter(|(prefix, _)| begins(prefix))
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(_, api)| api)
    }

    /// The only API that is served, if there is only one: what has no path any more must have been meant for it.
    pub fn only(&self) -> Option<&ServedApi> {
        match &self.apis[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// A journal for a request that begins now.
    pub fn journal(&self, method: &str) -> Journal {
        Journal::begin(self.log.clone(), Arc::clone(&self.metrics), method)
    }

    /// The audit log.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// No new connections from now on; readiness says so.
    pub fn begin_drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Whether a drain has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }
}
