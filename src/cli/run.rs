//! `privet run`: settings, live set, audit log, listeners; then until stopped.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing_subscriber::EnvFilter;

use crate::config::{LogSettings, Settings};
use crate::diagnostic::Diagnostic;
use crate::observe::metrics::Metrics;
use crate::proxy::carrier::Carrier;
use crate::proxy::snapshot::{self, Live, Snapshot};
use crate::proxy::{listener, open_log};

use super::{ConfigFile, exit};

/// `privet run`.
#[derive(Debug, clap::Args)]
pub struct Run {
    /// Where the configuration stands.
    #[command(flatten)]
    pub file: ConfigFile,
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
    log_to_stdout(&settings.log);
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
    let code = match runtime.block_on(serve(settings, live)) {
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
    crate::config::load(path)
}

async fn serve(settings: Arc<Settings>, live: Live) -> anyhow::Result<()> {
    let metrics = Arc::new(Metrics::new()?);
    let log = open_log(&settings.audit_directory)?;
    let live = Arc::new(Snapshot::new(live, &metrics));
    let carrier = Arc::new(Carrier::new(
        Arc::clone(&settings),
        Arc::clone(&live),
        log,
        Arc::clone(&metrics),
    )?);
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
    tracing::info!(
        address = %clients.local_addr()?,
        admin = %admin.local_addr()?,
        policy = %live.current().version(),
        "serving"
    );

    let (reload, reloads) = mpsc::channel(1);
    let reloader = tokio::spawn(snapshot::watch(
        Arc::clone(&live),
        Arc::clone(&settings),
        metrics,
        reloads,
        |_| {},
    ));
    let hangups = signal(SignalKind::hangup())?;
    let reload_on_hangup = tokio::spawn(forward_hangups(hangups, reload));
    let admin = tokio::spawn(crate::admin::serve(admin, Arc::clone(&carrier)));

    // The first signal drains, the second one ends the drain.
    let (count, mut first) = watch::channel(0_u32);
    let mut second = first.clone();
    tokio::spawn(count_stops(
        signal(SignalKind::terminate())?,
        signal(SignalKind::interrupt())?,
        count,
    ));
    let stop = async move {
        let _ = first.wait_for(|n| *n >= 1).await;
    };
    let now = async move {
        let _ = second.wait_for(|n| *n >= 2).await;
    };
    let drained = listener::serve(clients, tls, Arc::clone(&carrier), stop, now).await;
    tracing::info!(drained, "stopped");
    for task in [reloader, reload_on_hangup, admin] {
        task.abort();
    }
    carrier.log().close().await?;
    Ok(())
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

/// Log lines go to standard output, without personal data: no line ever holds a target, a header or a body.
fn log_to_stdout(log: &LogSettings) {
    let filter = EnvFilter::try_new(&*log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
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
