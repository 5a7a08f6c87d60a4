//! Sinks and witness of the audit log, as the configuration names them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::config::{ClientTls, Destination, HttpReceiver, Receiver, Settings, Shipment, millis};
use crate::observe::audit::Log;
use crate::observe::metrics::Metrics;
use crate::observe::shipping::{
    self, Bounds, Cursor, Dial, FileSink, Format, HttpSink, HttpWitness, NatsLogin, NatsSink, Pace,
    Post, Progress, Shipper, Sink, SinkState, StdoutSink, SyslogSink, Wire,
};
use crate::proxy::upstream::client_tls;

/// A sink that does not take records is told of after this time.
const FAILING_AFTER: Duration = Duration::from_secs(60);
/// How often the sinks are looked at.
const LOOK_EACH: Duration = Duration::from_secs(1);
/// Longest time for what is left when privet stops; what is not taken then goes after the next start.
const DRAIN: Duration = Duration::from_secs(5);
/// Folder of the cursors, in the state folder.
const FOLDER: &str = "shipping";

/// What ships, until it is drained.
#[derive(Debug)]
pub(super) struct Shipping {
    /// The sinks as others look at them.
    pub(super) sinks: Vec<SinkState>,
    /// How far the witness over HTTP is, if there is one.
    pub(super) witness: Option<SinkState>,
    tasks: Vec<JoinHandle<()>>,
    overseer: Option<JoinHandle<()>>,
    drain: watch::Sender<bool>,
}

impl Shipping {
    /// Begins to ship what `log` has recorded and will record.
    ///
    /// # Errors
    /// A cursor that cannot be read, or a trust store or certificate that cannot be had.
    pub(super) fn start(
        settings: &Settings,
        log: &Log,
        metrics: &Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let mut shipping = Self {
            sinks: Vec::new(),
            witness: None,
            tasks: Vec::new(),
            overseer: None,
            drain: watch::Sender::new(false),
        };
        for shipment in &settings.audit.ship {
            shipping
                .ship(shipment, settings, log)
                .with_context(|| format!("audit.ship: {}", shipment.name))?;
        }
        if let Some(receiver) = &settings.audit.witness_http {
            shipping
                .witness(receiver, settings)
                .context("audit.witness_http")?;
        }
        let watched: Vec<SinkState> = shipping.sinks.clone();
        if !watched.is_empty() {
            let bounds = Bounds {
                failing_after: FAILING_AFTER,
                spool_bytes_max: settings.audit.spool_bytes_max,
                every: LOOK_EACH,
            };
            shipping.overseer = Some(tokio::spawn(shipping::oversee(
                log.clone(),
                settings.audit_directory.clone(),
                watched,
                bounds,
                Arc::clone(metrics),
            )));
        }
        Ok(shipping)
    }

    fn ship(&mut self, shipment: &Shipment, settings: &Settings, log: &Log) -> anyhow::Result<()> {
        match &shipment.to {
            Destination::File(path) => {
                self.begin(shipment, settings, log, FileSink { path: path.clone() })
            }
            Destination::Stdout => self.begin(shipment, settings, log, StdoutSink),
            Destination::Syslog(at) => {
                let sink = SyslogSink {
                    dial: dial(at)?,
                    hostname: hostname(),
                    timeout: millis(at.timeout_ms),
                };
                self.begin(shipment, settings, log, sink)
            }
            Destination::Http(to) => self.over_http(shipment, settings, log, to, Wire::Lines),
            Destination::Splunk(to) => self.over_http(shipment, settings, log, to, Wire::SplunkHec),
            Destination::Otlp(to) => self.over_http(shipment, settings, log, to, Wire::OtlpLogs),
            Destination::Elastic(to, index) => {
                let wire = Wire::ElasticBulk(index.to_string());
                self.over_http(shipment, settings, log, to, wire)
            }
            Destination::Nats {
                at,
                subject,
                user,
                token,
            } => {
                let login = NatsLogin {
                    user: user.as_ref().map(|(u, p)| (u.to_string(), p.clone())),
                    token: token.clone(),
                };
                let timeout = millis(at.timeout_ms);
                let sink = NatsSink::new(dial(at)?, subject.to_string(), login, timeout);
                self.begin(shipment, settings, log, sink)
            }
        }
    }

    fn over_http(
        &mut self,
        shipment: &Shipment,
        settings: &Settings,
        log: &Log,
        to: &HttpReceiver,
        wire: Wire,
    ) -> anyhow::Result<()> {
        let sink = HttpSink {
            post: post(to)?,
            wire,
        };
        self.begin(shipment, settings, log, sink)
    }

    fn begin<S: Sink + 'static>(
        &mut self,
        shipment: &Shipment,
        settings: &Settings,
        log: &Log,
        sink: S,
    ) -> anyhow::Result<()> {
        let (name, format) = (&shipment.name, shipment.format);
        let (progress, state) = state(name, shipment.to.kind(), format);
        let shipper = Shipper {
            name: name.to_string(),
            log: log.clone(),
            directory: settings.audit_directory.clone(),
            cursor: cursor(&settings.state, name)?,
            format,
            sink,
            pace: Pace::default(),
            progress,
            drain: self.drain.subscribe(),
        };
        self.tasks.push(tokio::spawn(shipper.run()));
        self.sinks.push(state);
        Ok(())
    }

    fn witness(&mut self, to: &HttpReceiver, settings: &Settings) -> anyhow::Result<()> {
        let (progress, state) = state(&"witness".into(), "checkpoints", Format::Jsonl);
        let witness = HttpWitness {
            directory: settings.audit_directory.clone(),
            // No sink can have this name.
            cursor: cursor(&settings.state, "_witness")?,
            post: post(to)?,
            pace: Pace::default(),
            progress,
            drain: self.drain.subscribe(),
        };
        self.tasks.push(tokio::spawn(witness.run()));
        self.witness = Some(state);
        Ok(())
    }

    /// Delivers what is left, for a bounded time, and ends. The log must be closed.
    pub(super) async fn drain(self) {
        self.drain.send_replace(true);
        let aborts: Vec<_> = self.tasks.iter().map(JoinHandle::abort_handle).collect();
        let all = async {
            for task in self.tasks {
                // One that panicked has nothing more to deliver.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(DRAIN, all).await.is_err() {
            tracing::warn!("audit sinks are behind; the rest goes after the next start");
            aborts.iter().for_each(tokio::task::AbortHandle::abort);
        }
        if let Some(overseer) = self.overseer {
            overseer.abort();
        }
    }
}

fn state(
    name: &Arc<str>,
    kind: &'static str,
    format: Format,
) -> (watch::Sender<Progress>, SinkState) {
    let (sender, progress) = watch::channel(Progress::default());
    let state = SinkState {
        name: Arc::clone(name),
        kind,
        format: format.word(),
        progress,
    };
    (sender, state)
}

fn cursor(state: &Path, name: &str) -> anyhow::Result<Cursor> {
    let path = state.join(FOLDER).join(format!("{name}.json"));
    Cursor::open(&path).with_context(|| format!("the cursor {}", path.display()))
}

fn dial(at: &Receiver) -> anyhow::Result<Dial> {
    let tls = at.tls.as_ref().map(tls).transpose()?;
    Ok(Dial {
        host: at.host.to_string(),
        port: at.port,
        tls,
    })
}

fn tls(tls: &ClientTls) -> anyhow::Result<Arc<rustls::ClientConfig>> {
    let config = client_tls(&tls.trust, tls.certificate.as_ref()).map_err(anyhow::Error::msg)?;
    Ok(Arc::new(config))
}

/// What POSTs to this receiver.
///
/// # Errors
/// A trust store or certificate that cannot be had.
pub(super) fn post(to: &HttpReceiver) -> anyhow::Result<Post> {
    let url: Uri = to.url.expose_secret().parse()?;
    let secure = url.scheme_str() == Some("https");
    let host = url.host().unwrap_or_default();
    let mut headers = HeaderMap::new();
    for (name, value) in &to.headers {
        let name = HeaderName::from_bytes(name.as_bytes())?;
        let mut value = HeaderValue::from_str(value.expose_secret())?;
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    let dial = Dial {
        // An IPv6 address stands in brackets in a URL alone.
        host: host.trim_matches(['[', ']']).to_owned(),
        port: url.port_u16().unwrap_or(if secure { 443 } else { 80 }),
        tls: if secure { Some(tls(&to.tls)?) } else { None },
    };
    Ok(Post {
        dial,
        url,
        headers,
        timeout: millis(to.timeout_ms),
    })
}

/// The machine's name as RFC 5424 takes it: printable US-ASCII; `-` = none.
fn hostname() -> String {
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let good = !name.is_empty() && name.len() <= 255 && name.bytes().all(|b| b.is_ascii_graphic());
    if good { name } else { "-".to_owned() }
}
