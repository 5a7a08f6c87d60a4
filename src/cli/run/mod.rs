//! `privet run`: settings, live set, audit log, listeners; then until stopped.

mod shipping;
mod watching;

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing_subscriber::EnvFilter;

use crate::config::{AuditSettings, LogSettings, Machine, Settings};
use crate::diagnostic::Diagnostic;
use crate::observe::audit::{self, Log};
use crate::observe::metrics::Metrics;
use crate::observe::monitors::Webhook;
use crate::proxy::carrier::Carrier;
use crate::proxy::listener;
use crate::proxy::shadow::Shadow;
use crate::proxy::snapshot::{self, Live, Snapshot};

use super::{ConfigFile, exit};
use crate::observe::shipping::{SinkState, slowest};
use crate::proxy::steps::Steps;
use anyhow::Context as _;
use shipping::Shipping;
use watching::Watching;

/// `privet run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Where the configuration stands.
    #[command(flatten)]
    pub file: ConfigFile,
    /// Policies to try beside the live ones: counted in /metrics, answering nobody
    #[arg(long, value_name = "DIR")]
    pub shadow: Option<PathBuf>,
}

/// Serves until SIGTERM or SIGINT. Exit code 0 after a drain, 78 for an invalid configuration or policy, 69 for a
/// listener, trust store or audit folder that cannot be had.
///
/// # Errors
/// The runtime cannot be started.
pub fn execute(run: &Run) -> anyhow::Result<u8> {
    let settings = match settings(&run.file.config) {
        Ok(settings) => Arc::new(settings),
        Err(diagnostics) => {
            print(&diagnostics);
            return Ok(exit::CONFIG);
        }
    };
    log_to(&settings.log, std::io::stdout);
    let live = match Live::load(&settings) {
        Ok(live) => live,
        Err(diagnostics) => {
            print(&diagnostics);
            return Ok(exit::CONFIG);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let code = match runtime.block_on(serve(settings, live, run.shadow.as_deref())) {
        Ok(()) => exit::OK,
        Err(error) => {
            complain(&format!("{error:#}"));
            exit::UNAVAILABLE
        }
    };
    runtime.shutdown_background();
    Ok(code)
}

fn settings(path: &Path) -> Result<Settings, Vec<Diagnostic>> {
    crate::config::load(path, &Machine)
}

/// A privet that serves: listeners, reloader and audit log of one configuration.
#[derive(Debug)]
pub struct Serving {
    carrier: Arc<Carrier>,
    clients: JoinHandle<bool>,
    shipping: Shipping,
    others: Vec<JoinHandle<()>>,
    /// Set to 1 to drain, to 2 to end the drain.
    stops: watch::Sender<u32>,
    reload: mpsc::Sender<()>,
    /// Where clients are served.
    pub address: SocketAddr,
    /// Where health and metrics are served.
    pub admin: SocketAddr,
}

impl Serving {
    /// Starts to serve `settings` with `live`; on return both listeners accept.
    ///
    /// # Errors
    /// A listener, trust store or audit folder that cannot be had.
    pub async fn start(settings: Arc<Settings>, live: Live) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new()?);
        let signer = live
            .keys
            .audit_seeds()
            .next()
            .and_then(|(_, seed)| audit::Signer::from_seed(seed.expose_secret()));
        let options = audit::Options {
            signer: signer.map(Arc::new),
            commit_wait: Some(metrics.commit_wait.clone()),
            ..audit::Options::default()
        };
        let log = Log::open(&settings.audit_directory, options)?;
        let live = Arc::new(Snapshot::new(live, &metrics));
        let started = format!("privet {}", env!("CARGO_PKG_VERSION"));
        let version = Arc::clone(live.current().version());
        log.control(audit::control("started", version, Some(started)))
            .await?;
        let shipping = Shipping::start(&settings, &log, &metrics)?;
        let mut others = vec![tokio::spawn(retire(
            log.clone(),
            settings.audit.clone(),
            shipping.sinks.clone(),
        ))];
        if let Some(file) = settings.audit.witness.clone() {
            others.push(tokio::spawn(audit::copy_to_file(file, log.checkpoints())));
        }
        let steps = Steps::open(settings.state.join(STEPS))
            .map_err(|e| anyhow::anyhow!("{}: {e}", settings.state.join(STEPS).display()))?;
        let steps = Arc::new(steps);
        let webhook = match &settings.audit.alert_webhook {
            Some(receiver) => {
                let post = shipping::post(receiver).context("audit.alert_webhook")?;
                let (webhook, task) = Webhook::new(post, Arc::clone(&metrics));
                others.push(tokio::spawn(task));
                Some(webhook)
            }
            None => None,
        };
        let watching = Watching {
            log: log.clone(),
            settings: Arc::clone(&settings),
            metrics: Arc::clone(&metrics),
            live: Arc::clone(&live),
            steps: Arc::clone(&steps),
            webhook,
        };
        others.push(tokio::spawn(watching.run()));
        let tell = reload_told(log.clone(), Arc::clone(&live));
        let carrier = Arc::new(Carrier::with_steps(
            Arc::clone(&settings),
            Arc::clone(&live),
            log,
            Arc::clone(&metrics),
            steps,
        )?);
        let sinks = shipping.sinks.iter().chain(&shipping.witness);
        // Just made: nobody has set it.
        let _ = carrier.sinks.set(sinks.cloned().collect());
        let tls = settings
            .listen
            .tls
            .as_ref()
            .map(listener::tls)
            .transpose()?;
        anyhow::ensure!(
            tls.is_some() || settings.listen.address.ip().is_loopback(),
            "plain HTTP is served on loopback addresses only: {} needs listen.tls",
            settings.listen.address
        );
        let bind = |address| async move {
            TcpListener::bind(address)
                .await
                .map_err(|e| anyhow::anyhow!("cannot listen on {address}: {e}"))
        };
        let clients = bind(settings.listen.address).await?;
        let admin = bind(settings.admin.address).await?;
        let (address, admin_address) = (clients.local_addr()?, admin.local_addr()?);
        tracing::info!(%address, admin = %admin_address, policy = %live.current().version(), "serving");

        let (reload, reloads) = mpsc::channel(1);
        let reloader = tokio::spawn(snapshot::watch(
            Arc::clone(&live),
            settings,
            metrics,
            reloads,
            tell,
        ));
        let admin = tokio::spawn(crate::admin::serve(admin, Arc::clone(&carrier)));
        let (stops, mut first) = watch::channel(0_u32);
        let mut second = first.clone();
        let stop = async move {
            let _ = first.wait_for(|n| *n >= 1).await;
        };
        let now = async move {
            let _ = second.wait_for(|n| *n >= 2).await;
        };
        let clients = tokio::spawn(listener::serve(
            clients,
            tls,
            Arc::clone(&carrier),
            stop,
            now,
        ));
        Ok(Self {
            carrier,
            clients,
            shipping,
            others: {
                others.extend([reloader, admin]);
                others
            },
            stops,
            reload,
            address,
            admin: admin_address,
        })
    }

    /// Tries the policies in `directory` beside the live ones from now on.
    ///
    /// # Errors
    /// They are invalid, or others are being tried already.
    pub fn shadow(&self, directory: &Path) -> anyhow::Result<()> {
        let shadow = Shadow::begin(directory, &self.carrier.metrics).map_err(|found| {
            print(&found);
            anyhow::anyhow!("{}: invalid", directory.display())
        })?;
        let set = self.carrier.shadow.set(shadow);
        set.map_err(|_| anyhow::anyhow!("a shadow policy is being tried already"))
    }

    /// What all requests share.
    pub fn carrier(&self) -> &Arc<Carrier> {
        &self.carrier
    }

    /// Drains, and closes the audit log.
    ///
    /// # Errors
    /// The audit log could not record its end.
    pub async fn stop(self) -> anyhow::Result<()> {
        self.stops.send_modify(|n| *n += 1);
        self.stopped().await
    }

    /// Returns when a stop was asked for and carried out.
    async fn stopped(self) -> anyhow::Result<()> {
        let drained = self.clients.await.unwrap_or(false);
        tracing::info!(drained, "stopped");
        for task in self.others {
            task.abort();
        }
        let version = Arc::clone(self.carrier.live.current().version());
        let log = self.carrier.log();
        log.control(audit::control("stopping", version, None))
            .await?;
        let closed = log.close().await;
        self.shipping.drain().await;
        Ok(closed?)
    }
}

/// Where automatic steps are kept, in the state folder.
const STEPS: &str = "steps.json";

/// How often old segments are looked for.
const RETIRE_EACH: std::time::Duration = std::time::Duration::from_secs(60);

/// Removes what retention lets go and every sink has, again and again.
async fn retire(log: Log, audit: AuditSettings, sinks: Vec<SinkState>) {
    let retention = audit::Retention {
        days: audit.keep_days,
        bytes: audit.keep_bytes,
    };
    if retention == audit::Retention::default() {
        return;
    }
    loop {
        tokio::time::sleep(RETIRE_EACH).await;
        let log = log.clone();
        let shipped = slowest(&sinks);
        // Reads what is to go: not on a thread that serves.
        let retired = tokio::task::spawn_blocking(move || {
            let now = jiff::Timestamp::now();
            tokio::runtime::Handle::current().block_on(log.retire(retention, shipped, now))
        });
        match retired.await {
            Ok(Ok(0)) => {}
            Ok(Ok(segments)) => tracing::info!(segments, "old audit segments removed"),
            Ok(Err(error)) => tracing::error!(%error),
            Err(error) => tracing::error!(%error),
        }
    }
}

/// Records each reload, and a change of the active ring key.
fn reload_told(log: Log, live: Arc<Snapshot>) -> impl Fn(bool) + Send {
    let active = |live: &Snapshot| {
        live.current()
            .keys
            .keys()
            .next()
            .map(|(id, ..)| id.to_owned())
    };
    let known = std::sync::Mutex::new(active(&live));
    move |taken| {
        let version = Arc::clone(live.current().version());
        let what = if taken {
            "policy-loaded"
        } else {
            "policy-refused"
        };
        let mut events = vec![audit::control(what, Arc::clone(&version), None)];
        let now = active(&live);
        let mut known = known
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        if *known != now {
            let detail = now.as_ref().map(|id| format!("active ring key {id}"));
            events.push(audit::control("keys-changed", version, detail));
            *known = now;
        }
        let log = log.clone();
        tokio::spawn(async move {
            for event in events {
                // A log that cannot record refuses every request; nothing more is to be said here.
                let _ = log.control(event).await;
            }
        });
    }
}

/// "File size limit exceeded": the same number on every Unix that privet is built for.
const SIGXFSZ: std::ffi::c_int = 25;

async fn serve(settings: Arc<Settings>, live: Live, shadow: Option<&Path>) -> anyhow::Result<()> {
    let serving = Serving::start(settings, live).await?;
    if let Some(directory) = shadow {
        serving.shadow(directory)?;
    }
    let hangups = tokio::spawn(forward_hangups(
        signal(SignalKind::hangup())?,
        serving.reload.clone(),
    ));
    // A file that may not grow must answer with an error, which is a 503; this signal would end the process instead.
    let _file_size = signal(SignalKind::from_raw(SIGXFSZ))?;
    // The first signal drains, the second one ends the drain.
    let stops = tokio::spawn(count_stops(
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        serving.stops.clone(),
    ));
    let ended = serving.stopped().await;
    hangups.abort();
    stops.abort();
    ended
}

async fn forward_hangups(mut hangups: Signal, reload: mpsc::Sender<()>) {
    while hangups.recv().await.is_some() {
        if reload.send(()).await.is_err() {
            return;
        }
    }
}

async fn count_stops(mut terminate: Signal, mut interrupt: Signal, count: watch::Sender<u32>) {
    loop {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        count.send_modify(|n| *n += 1);
    }
}

/// Log lines go to `output`, without personal data: no line ever holds a target, a header or a body.
pub(super) fn log_to<W: Write + 'static>(log: &LogSettings, output: fn() -> W) {
    let filter = EnvFilter::try_new(&*log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(output);
    // A subscriber that is set already (a test's) stays.
    let _ = if log.json {
        builder.json().flatten_event(true).try_init()
    } else {
        builder.try_init()
    };
}

fn print(diagnostics: &[Diagnostic]) {
    for d in diagnostics {
        complain(&d.to_string());
    }
}

fn complain(text: &str) {
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}
