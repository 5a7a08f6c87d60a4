//! `privet demo`: a CRM of invented people, privet before it, and three callers who ask the same.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};

use crate::config::{Machine, Settings};
use crate::demo::analytics::Analytics;
use crate::demo::callers::{CALLERS, Caller, Credential};
use crate::demo::people::People;
use crate::demo::server::{Handler, service};
use crate::demo::workspace::{SERVICE_TOKEN, Workspace};
use crate::demo::{tour, traffic};
use crate::diagnostic::Diagnostic;
use crate::proxy::snapshot::Live;

use super::keys::{self, KeysCommand};
use super::run::Serving;

/// `privet demo`.
#[derive(Debug, clap::Args)]
pub struct Demo {
    /// Print the table "same request, three callers" and exit
    #[arg(long)]
    pub once: bool,
    /// The policy folder (without it ./policies, or else a copy of the shipped policies)
    #[arg(long, value_name = "DIR")]
    pub policies: Option<PathBuf>,
    /// Port of privet on loopback; 0 = any free one
    #[arg(long, value_name = "N", default_value_t = 8080)]
    pub port: u16,
    /// Port of the admin listener on loopback; 0 = any free one
    #[arg(long, value_name = "N", default_value_t = 9090)]
    pub admin_port: u16,
}

/// What the demo stands on.
pub struct Parts<Keys, Start> {
    /// The staff directory.
    pub people: Handler,
    /// The data source.
    pub analytics: Handler,
    /// Makes the key ring and the callers' API keys for this `privet.yaml`.
    pub keys: Keys,
    /// Starts privet with this `privet.yaml`; done when it listens. It serves until what it gives is dropped.
    pub start: Start,
}

impl<Keys, Start> std::fmt::Debug for Parts<Keys, Start> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Parts")
    }
}

/// `privet demo`, until stopped (or once). Exit code 0, or 1 when something that it needs is not there.
///
/// # Errors
/// A port is taken, the policies do not load.
pub fn execute(demo: &Demo, out: &mut (dyn Write + Send)) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        // Also a plain kill leaves no folder behind.
        let mut terminate = signal(SignalKind::terminate())?;
        let stop = async {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        };
        run(demo, parts(), stop, out).await
    })?;
    Ok(super::exit::OK)
}

/// Makes the key ring and API keys for a `privet.yaml`.
pub type MakeKeys = fn(&Path) -> anyhow::Result<Vec<Credential>>;

/// The demo on privet itself, in this process.
pub fn parts() -> Parts<MakeKeys, impl AsyncFnOnce(&Path) -> anyhow::Result<Serving>> {
    let token = Some(SERVICE_TOKEN.to_owned());
    Parts {
        people: people(People::seeded(token.clone())),
        analytics: analytics(Analytics::seeded(token)),
        keys: |config| make_keys(config, &CALLERS),
        start: async |config: &Path| {
            let (settings, live) = load(config)?;
            super::run::log_to(&settings.log, std::io::stderr);
            Serving::start(settings, live).await
        },
    }
}

/// The staff directory as a handler.
pub fn people(people: People) -> Handler {
    service(move |method, path, query, headers, body| {
        people.handle(method, path, query, headers, body)
    })
}

/// The data source as a handler.
pub fn analytics(analytics: Analytics) -> Handler {
    service(move |method, path, query, headers, body| {
        analytics.handle(method, path, query, headers, body)
    })
}

/// Settings and live set of this `privet.yaml`.
///
/// # Errors
/// Every mistake in it and in what it names, as one text.
pub fn load(config: &Path) -> anyhow::Result<(Arc<Settings>, Live)> {
    let told = |problems: Vec<Diagnostic>| {
        let shown: Vec<String> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}", shown.join("\n\n"))
    };
    let settings = Arc::new(crate::config::load(config, &Machine).map_err(told)?);
    let live = Live::load(&settings).map_err(told)?;
    Ok((settings, live))
}

/// The key ring, and an API key for each caller, as `privet keys` makes them. A caller without a role gets a key
/// without one.
///
/// # Errors
/// What `privet keys` refuses.
pub fn make_keys(config: &Path, callers: &[Caller]) -> anyhow::Result<Vec<Credential>> {
    let ring = || keys::Ring {
        config: config.to_owned(),
        keys: None,
    };
    let ask = |command: &KeysCommand| -> anyhow::Result<String> {
        let (mut out, mut notes) = (Vec::new(), Vec::new());
        let code = keys::run(command, &mut out, &mut notes)?;
        anyhow::ensure!(code == 0, "{}", String::from_utf8_lossy(&notes));
        Ok(String::from_utf8(out)?.trim().to_owned())
    };
    ask(&KeysCommand::Init(ring()))?;
    callers
        .iter()
        .map(|caller| {
            let roles = [caller.role].into_iter().filter(|role| !role.is_empty());
            let issue = keys::Issue {
                client: caller.client.to_owned(),
                roles: roles.map(str::to_owned).collect(),
                region: Some(caller.region.to_owned()),
                expires: "1d".to_owned(),
                places: keys::Places {
                    ring: ring(),
                    file: None,
                },
            };
            Ok(Credential {
                caller: *caller,
                bearer: ask(&KeysCommand::Issue(issue))?,
            })
        })
        .collect()
}

/// Runs the demo until `stop`, or until the table is printed. `out` gets everything that a person reads.
///
/// # Errors
/// A port is taken, the policies do not load, privet does not answer.
pub async fn run<Keys, Start, Serving>(
    demo: &Demo,
    parts: Parts<Keys, Start>,
    stop: impl Future<Output = ()>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()>
where
    Keys: FnOnce(&Path) -> anyhow::Result<Vec<Credential>>,
    Start: AsyncFnOnce(&Path) -> anyhow::Result<Serving>,
{
    let workspace = Workspace::create(demo.policies.as_deref())?;
    let services = tour::Services::start(None, parts.people, parts.analytics).await?;
    // A single table needs no fixed port, and then never meets a demo that is running already.
    let fixed = |port| if demo.once { 0 } else { port };
    let listen = address(fixed(demo.port))?;
    let admin = address(fixed(demo.admin_port))?;
    let config =
        workspace.configure(&listen.to_string(), &admin.to_string(), &services.origins())?;
    let credentials = (parts.keys)(&config)?;
    let _serving = (parts.start)(&config).await?;

    let origin = format!("http://{listen}");
    let examples = tour::examples(&services.crm);
    let soql = tour::query(&examples);
    let table = tour::compare(&services, &origin, &credentials, &soql, &examples).await?;
    writeln!(out, "{table}")?;
    if demo.once {
        return Ok(());
    }
    let admin = format!("http://{admin}");
    let pages = (&*admin, &*workspace.admin_token);
    let lines = tour::lines_to_try(&origin, pages, &credentials, &soql, &workspace.policies);
    writeln!(out, "{lines}\nServing at {origin} until stopped (Ctrl-C).")?;
    out.flush()?;
    let background = tokio::spawn(traffic::run(origin, credentials));
    stop.await;
    background.abort();
    Ok(())
}

/// A loopback address; a free port for 0. It is given back before privet takes it: `privet.yaml` needs the number
/// first, because it is part of the public URL.
///
/// # Errors
/// The port is taken.
pub fn address(port: u16) -> anyhow::Result<SocketAddr> {
    let wanted = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listener = std::net::TcpListener::bind(wanted).map_err(|e| {
        anyhow::anyhow!(
            "cannot listen on {wanted}: {e} (choose another with --port or --admin-port)"
        )
    })?;
    Ok(listener.local_addr()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::crm::Crm;
    use crate::demo::server;

    #[tokio::test]
    async fn once_prints_the_table_and_ends() {
        let folder = tempfile::tempdir().unwrap();
        let demo = Demo {
            once: true,
            policies: Some(folder.path().to_owned()),
            port: 8080,
            admin_port: 9090,
        };
        let nobody = service(|_, _, _, _, _| http::Response::new(bytes::Bytes::new()));
        // In privet's place: a CRM that these callers may ask themselves.
        let crm = Arc::new(Crm::default());
        let handler = server::handler(&crm);
        let parts = Parts {
            people: Arc::clone(&nobody),
            analytics: nobody,
            keys: |_: &Path| {
                Ok(CALLERS
                    .into_iter()
                    .map(|caller| Credential {
                        caller,
                        bearer: crm.open_session(),
                    })
                    .collect())
            },
            start: async |config: &Path| {
                let text = std::fs::read_to_string(config)?;
                let listen = text
                    .lines()
                    .find_map(|l| l.trim().strip_prefix("address: "));
                let address = listen.unwrap_or_default().trim_matches('"').parse()?;
                Ok(server::serve(address, None, handler).await?)
            },
        };
        let mut out = Vec::new();
        run(&demo, parts, std::future::pending(), &mut out)
            .await
            .unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.starts_with("Same request, three callers"), "{text}");
        assert!(CALLERS.iter().all(|c| text.contains(c.title)), "{text}");
    }
}
