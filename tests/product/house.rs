//! privet and what stands behind it, as `privet demo` builds them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};

use privet::cli::demo::{analytics, load, make_keys, people};
use privet::cli::run::Serving;
use privet::config::Settings;
use privet::demo::analytics::Analytics;
use privet::demo::callers::{CALLERS, Caller, Credential};
use privet::demo::client::encode;
use privet::demo::crm::Crm;
use privet::demo::people::People;
use privet::demo::server::{self, Handler};
use privet::demo::tour::Services;
use privet::demo::workspace::{SERVICE_TOKEN, Workspace, write_policies};
use privet::observe::audit::{self, Log};
use privet::observe::metrics::Metrics;
use privet::proxy::carrier::Carrier;
use privet::proxy::listener;
use privet::proxy::snapshot::{Live, Snapshot};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::OnceCell;

/// The desk once more, from another region.
pub(crate) const DESK_US: Caller = Caller {
    title: "desk abroad",
    client: "service-desk",
    role: "support_agent",
    region: "us",
    purpose: "support",
};
/// A client that is granted a purpose, with a key without a role.
pub(crate) const NOBODY: Caller = Caller {
    title: "nobody",
    client: "mailer",
    role: "",
    region: "eu",
    purpose: "marketing",
};
/// Everybody who has a key.
pub(crate) const EVERYBODY: [Caller; 5] = [CALLERS[0], CALLERS[1], CALLERS[2], DESK_US, NOBODY];
pub(crate) const DESK: &str = "support agent";
pub(crate) const ANALYST: &str = "BI analyst";
pub(crate) const MARKETING: &str = "marketing";

/// What `privet.yaml` says of both listeners: port 0 is never taken.
const LISTEN: &str = "127.0.0.1:0";
/// Where links lead; its host is the one that privet answers for.
pub(crate) const PUBLIC: &str = "http://crm.test";

/// Every log line of this process, down to the last trace.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Writes to [`LOG`].
struct Logged;

impl std::io::Write for Logged {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend_from_slice(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// All that was logged so far, by whichever test.
pub(crate) fn logged() -> String {
    String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
}

/// Runs `test` where the shared house lives: it outlives each single test.
pub(crate) fn run<F: Future>(test: F) -> F::Output {
    static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
        tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_ansi(false)
            .with_writer(|| Logged)
            .init();
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    });
    RUNTIME.block_on(test)
}

/// privet with the shipped policies, for tests that change nothing.
pub(crate) async fn shared() -> &'static House {
    static HOUSE: OnceCell<House> = OnceCell::const_new();
    HOUSE.get_or_init(|| Plan::default().build()).await
}

/// What a house is built from.
pub(crate) struct Plan {
    pub(crate) crm: Arc<Crm>,
    /// Stands in the CRM's place and may ask it.
    pub(crate) salesforce: Handler,
    pub(crate) people: People,
    pub(crate) analytics: Analytics,
    /// Policy files beside or instead of the shipped ones.
    pub(crate) policies: Vec<(&'static str, String)>,
    /// Stands in the place of the staff directory.
    pub(crate) people_origin: Option<String>,
    /// Whether changed policy files are loaded by themselves.
    pub(crate) watched: bool,
    /// Whether answers are recorded with the pseudonyms of their records.
    pub(crate) ledger: bool,
    /// Further keys of `audit:`, each with a comma before it.
    pub(crate) audit: String,
    /// Further lines of `privet.yaml`.
    pub(crate) settings: &'static str,
}

impl Default for Plan {
    fn default() -> Self {
        let crm = Arc::new(Crm::default());
        Self {
            salesforce: server::handler(&crm),
            crm,
            people: People::seeded(Some(SERVICE_TOKEN.into())),
            analytics: Analytics::seeded(Some(SERVICE_TOKEN.into())),
            policies: Vec::new(),
            people_origin: None,
            watched: true,
            ledger: false,
            audit: String::new(),
            settings: "",
        }
    }
}

impl Plan {
    /// Files are read when the test says so.
    pub(crate) fn still() -> Self {
        Self {
            watched: false,
            ..Self::default()
        }
    }

    pub(crate) async fn build(self) -> House {
        let policies = tempfile::tempdir().unwrap();
        write_policies(policies.path()).unwrap();
        for (name, text) in &self.policies {
            std::fs::write(policies.path().join(name), text).unwrap();
        }
        let workspace = Workspace::create(Some(policies.path())).unwrap();
        let serve = |handler| server::serve(([127, 0, 0, 1], 0).into(), None, handler);
        let services = Services {
            crm: self.crm,
            salesforce: serve(self.salesforce).await.unwrap(),
            people: serve(people(self.people)).await.unwrap(),
            analytics: serve(analytics(self.analytics)).await.unwrap(),
        };
        let mut origins = services.origins();
        if let Some(origin) = self.people_origin {
            origins.people = origin;
        }
        let config = workspace.configure(LISTEN, LISTEN, &origins).unwrap();
        let text = std::fs::read_to_string(&config).unwrap();
        let text = text.replace(&format!("http://{LISTEN}"), PUBLIC);
        let text = if self.ledger {
            text.replace(
                "audit: { directory: audit }",
                "audit: { directory: audit, ledger: true }",
            )
        } else {
            text
        };
        let ledger = "audit: { directory: audit, ledger: true";
        assert!(text.contains(ledger));
        let text = text.replace(ledger, &format!("{ledger}{}", self.audit));
        std::fs::write(&config, text + self.settings).unwrap();
        let credentials = make_keys(&config, &EVERYBODY).unwrap();
        let (settings, live) = load(&config).unwrap();
        let (address, admin, serving, carrier) = if self.watched {
            let serving = Serving::start(settings, live).await.unwrap();
            let carrier = Arc::clone(serving.carrier());
            (serving.address, serving.admin, Some(serving), carrier)
        } else {
            let (address, admin, carrier) = unwatched(settings, live).await;
            (address, admin, None, carrier)
        };
        House {
            services,
            address,
            admin,
            policies: policies.path().to_owned(),
            folder: workspace.folder.clone(),
            credentials,
            cookies: Mutex::default(),
            carrier,
            serving,
            _workspace: workspace,
            _folder: policies,
        }
    }
}

/// As [`Serving::start`] without the reloader, for tests that say themselves when files are read.
async fn unwatched(settings: Arc<Settings>, live: Live) -> (SocketAddr, SocketAddr, Arc<Carrier>) {
    let metrics = Arc::new(Metrics::new().unwrap());
    let log = Log::open(&settings.audit_directory, audit::Options::default()).unwrap();
    let live = Arc::new(Snapshot::new(live, &metrics));
    let carrier = Arc::new(Carrier::new(settings, live, log, metrics).unwrap());
    let clients = TcpListener::bind(LISTEN).await.unwrap();
    let admin = TcpListener::bind(LISTEN).await.unwrap();
    let addresses = (clients.local_addr().unwrap(), admin.local_addr().unwrap());
    let pending = std::future::pending;
    tokio::spawn(listener::serve(
        clients,
        None,
        Arc::clone(&carrier),
        pending(),
        pending(),
    ));
    tokio::spawn(privet::admin::serve(admin, Arc::clone(&carrier)));
    (addresses.0, addresses.1, carrier)
}

/// privet, its callers and its upstreams.
pub(crate) struct House {
    pub(crate) services: Services,
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    pub(crate) policies: PathBuf,
    /// privet.yaml, keys, audit log.
    pub(crate) folder: PathBuf,
    credentials: Vec<Credential>,
    /// Bearer → the cookie that its answers set.
    cookies: Mutex<BTreeMap<String, String>>,
    pub(crate) carrier: Arc<Carrier>,
    serving: Option<Serving>,
    _workspace: Workspace,
    _folder: tempfile::TempDir,
}

impl House {
    /// Drains, closes the audit log, and gives what must live on to look at its files.
    pub(crate) async fn stop(self) -> (PathBuf, Workspace) {
        let serving = self.serving.unwrap();
        serving.stop().await.unwrap();
        (self.folder, self._workspace)
    }

    /// The API key of a caller.
    pub(crate) fn key(&self, title: &str) -> &str {
        let found = self.credentials.iter().find(|c| c.caller.title == title);
        &found.unwrap().bearer
    }

    /// The server itself, of a house that is watched.
    pub(crate) fn serving(&self) -> &Serving {
        self.serving.as_ref().unwrap()
    }

    /// Asks as the caller with this title.
    pub(crate) async fn ask(&self, who: &str, method: &str, target: &str, body: &str) -> Answer {
        self.ask_bearing(self.key(who), method, target, body).await
    }

    /// Shakes hands with the Streaming API, and gives the client's id.
    pub(crate) async fn handshake(&self, who: &str) -> String {
        let body = r#"[{"channel":"/meta/handshake","id":"1","version":"1.0","supportedConnectionTypes":["long-polling"]}]"#;
        let told = self.ask(who, "POST", "/cometd/61.0", body).await.json();
        told[0]["clientId"].as_str().unwrap().to_owned()
    }

    /// A GET with further header lines.
    pub(crate) async fn ask_with(&self, who: &str, target: &str, lines: &str) -> Answer {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!(
            "GET {target} HTTP/1.1\r\nHost: crm.test\r\nAuthorization: Bearer {}\r\n{lines}Connection: close\r\n\r\n",
            self.key(who)
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        let _ = stream.read_to_end(&mut raw).await;
        Answer::parse(raw)
    }

    /// Asks with a bearer, whosever it is.
    pub(crate) async fn ask_bearing(
        &self,
        bearer: &str,
        method: &str,
        target: &str,
        body: &str,
    ) -> Answer {
        let mut stream = self.begin_bearing(bearer, method, target, body).await;
        let mut raw = Vec::new();
        let _ = stream.read_to_end(&mut raw).await;
        let answer = Answer::parse(raw);
        if let Some(set) = answer.header("set-cookie") {
            let pair = set.split(';').next().unwrap_or_default().to_owned();
            self.cookies.lock().unwrap().insert(bearer.to_owned(), pair);
        }
        answer
    }

    /// Sends a request and leaves its answer to be read.
    pub(crate) async fn begin(
        &self,
        who: &str,
        method: &str,
        target: &str,
        body: &str,
    ) -> TcpStream {
        self.begin_bearing(self.key(who), method, target, body)
            .await
    }

    async fn begin_bearing(
        &self,
        bearer: &str,
        method: &str,
        target: &str,
        body: &str,
    ) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        // A call of SOAP says who asks in its own header.
        let is_soap = body.starts_with('<');
        let envelope = body.replace("{session}", bearer);
        let body = if is_soap { &envelope } else { body };
        let kind = if body.is_empty() {
            String::new()
        } else {
            let (media, action) = match is_soap {
                true => ("text/xml", "SOAPAction: \"\"\r\n"),
                false => ("application/json", ""),
            };
            format!(
                "Content-Type: {media}\r\n{action}Content-Length: {}\r\n",
                body.len()
            )
        };
        let cookie = self.cookies.lock().unwrap().get(bearer).cloned();
        let cookie = cookie.map_or_else(String::new, |pair| format!("Cookie: {pair}\r\n"));
        let head = format!(
            "{method} {target} HTTP/1.1\r\nHost: crm.test\r\nAuthorization: Bearer {}\r\nAccept-Encoding: gzip\r\n\
             Connection: close\r\n{cookie}{kind}\r\n",
            bearer
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        // A refusal may come, and the connection close, before the body is read.
        let _ = stream.write_all(body.as_bytes()).await;
        stream
    }

    pub(crate) async fn get(&self, who: &str, target: &str) -> Answer {
        self.ask(who, "GET", target, "").await
    }

    /// A SOQL query.
    pub(crate) async fn query(&self, who: &str, soql: &str) -> Answer {
        self.get(
            who,
            &format!("/services/data/v61.0/query?q={}", encode(soql)),
        )
        .await
    }

    /// `/metrics`, `/readyz?verbose`.
    pub(crate) async fn admin(&self, target: &str) -> Answer {
        let mut stream = TcpStream::connect(self.admin).await.unwrap();
        let head = format!("GET {target} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        let _ = stream.read_to_end(&mut raw).await;
        Answer::parse(raw)
    }

    /// Every audit file as text. What is answered is recorded.
    pub(crate) fn audit(&self) -> String {
        let files = std::fs::read_dir(self.folder.join("audit")).unwrap();
        files
            .map(|f| f.unwrap().path())
            .filter(|p| p.extension().is_some_and(|e| e == "jsonl"))
            .map(|p| std::fs::read_to_string(p).unwrap())
            .collect()
    }
}

/// An answer, read to the end of its connection.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and header lines, names in lower case.
    pub(crate) head: String,
    /// Without framing and coding.
    pub(crate) body: Vec<u8>,
    /// As it came.
    pub(crate) raw: Vec<u8>,
    /// Its framing says that nothing is missing.
    pub(crate) whole: bool,
}

impl Answer {
    pub(crate) fn parse(raw: Vec<u8>) -> Self {
        let at = raw
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .unwrap_or_else(|| panic!("no head in {:?}", String::from_utf8_lossy(&raw)));
        let head = String::from_utf8(raw[..at + 2].to_vec()).unwrap();
        let named = |name: &str| header(&head, name);
        let framed = &raw[at + 4..];
        let (mut body, whole) = if named("transfer-encoding").as_deref() == Some("chunked") {
            dechunk(framed)
        } else {
            let length = named("content-length").map_or(0, |l| l.parse().unwrap());
            (framed.to_vec(), framed.len() == length)
        };
        if named("content-encoding").as_deref() == Some("gzip") {
            body = gunzip(&body);
        }
        Self {
            status: head.split(' ').nth(1).unwrap().parse().unwrap(),
            body,
            whole,
            head,
            raw,
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        header(&self.head, name)
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    /// Status and the code of a Salesforce error.
    pub(crate) fn refused(&self) -> (u16, String) {
        let code = self.json()[0]["errorCode"].as_str().map(str::to_owned);
        (self.status, code.unwrap_or_default())
    }
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines()
        .filter_map(|l| l.split_once(':'))
        .find(|(n, _)| n.eq_ignore_ascii_case(name))
        .map(|(_, v)| v.trim().to_owned())
}

/// The data of a chunked body, and whether its last chunk came.
fn dechunk(mut body: &[u8]) -> (Vec<u8>, bool) {
    let mut out = Vec::new();
    loop {
        let Some(at) = body.windows(2).position(|w| w == b"\r\n") else {
            return (out, false);
        };
        let size = usize::from_str_radix(std::str::from_utf8(&body[..at]).unwrap(), 16).unwrap();
        body = &body[at + 2..];
        if size == 0 {
            return (out, body == b"\r\n");
        }
        out.extend_from_slice(&body[..size.min(body.len())]);
        let Some(rest) = body.get(size + 2..) else {
            return (out, false);
        };
        body = rest;
    }
}

pub(crate) fn gunzip(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let _ = std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(body), &mut out);
    out
}

/// The value with every token that is well formed replaced by `tk` or `tk@`: a key ring is random.
pub(crate) fn without_tokens(value: &Value) -> Value {
    match value {
        Value::String(s) => match token_shape(s) {
            Some(shape) => shape.into(),
            None => value.clone(),
        },
        Value::Array(a) => a.iter().map(without_tokens).collect(),
        Value::Object(o) => o
            .iter()
            .map(|(k, v)| (k.clone(), without_tokens(v)))
            .collect(),
        _ => value.clone(),
    }
}

/// `tk1.<key id>.<base64url>` or `tk1.<key id>.<base32, lower case>@token.invalid`.
fn token_shape(text: &str) -> Option<&'static str> {
    let (key, rest) = text.strip_prefix("tk1.")?.split_once('.')?;
    let well = |text: &str, all: fn(u8) -> bool| text.len() >= 26 && text.bytes().all(all);
    if key != "k1" {
        return None;
    }
    match rest.strip_suffix("@token.invalid") {
        Some(local) => well(local, |b| matches!(b, b'a'..=b'z' | b'2'..=b'7')).then_some("tk@"),
        None => well(rest, |b| {
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')
        })
        .then_some("tk"),
    }
}
