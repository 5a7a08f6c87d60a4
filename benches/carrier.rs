//! The carrier and the engine alone: the product's own connections, framing, decoder and rewriter with a fixed
//! identity and plan, and no credential, policy, audit or metrics in the way of a request. A server, not a
//! measurement: `benches/peers/run.sh` starts it beside the whole product and its peers.
//!
//! `carrier engine ADDRESS privet.yaml` serves the upstream of the only API; started without these it ends at once.

#![allow(
    missing_docs,
    clippy::expect_used,
    clippy::print_stderr,
    reason = "a bench"
)]

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use privet::config::{self, Settings};
use privet::engine::coding::Coding;
use privet::engine::identity::{Identity, Proof};
use privet::engine::plan::{self, Plan};
use privet::engine::policy;
use privet::engine::protocol::{self, Api, RequestHead};
use privet::proxy::body::{OutgoingBody, Progress, Pump};
use privet::proxy::refuse::ErrorShape;
use privet::proxy::request_body::ClientBody;
use privet::proxy::snapshot::Live;
use privet::proxy::upstream::{Content, Ids, Upstream};
use tokio::net::TcpListener;

struct Bench {
    settings: Settings,
    live: Live,
    api: Api,
    upstream: Upstream,
    identity: Identity,
    /// By target: each is understood, decided and planned once.
    plans: Mutex<HashMap<String, Arc<Plan>>>,
}

impl Bench {
    fn plan(&self, target: &http::Uri) -> Arc<Plan> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let segments: Vec<String> = target
                .path()
                .split('/')
                .filter(|s| !s.is_empty())
                .map(str::to_owned)
                .collect();
            let text = target.query().and_then(|q| q.strip_prefix("q="));
            let query = vec![("q".to_owned(), decoded(text.expect("q=")))];
            let headers = HeaderMap::new();
            let head = RequestHead {
                method: &http::Method::GET,
                path: target.path(),
                segments: &segments,
                query: &query,
                headers: &headers,
            };
            let (set, keys) = (&self.live.set, &self.live.keys);
            let sealer = keys.sealer(&self.identity.tenant);
            let operation =
                protocol::understand(&self.api, &head, b"", &set.catalog, &self.identity, &sealer)
                    .expect("understood");
            let decision = policy::decide(&set.policies, &set.catalog, &self.identity, &operation);
            let plan = plan::plan(operation, &decision, &set.catalog, keys, &self.identity);
            Arc::new(plan.expect("planned"))
        };
        Arc::clone(plans.entry(target.to_string()).or_insert_with(make))
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<OutgoingBody> {
        let (parts, incoming) = request.into_parts();
        let plan = self.plan(&parts.uri);
        let limits = &self.settings.limits;
        let nothing = ClientBody::new(incoming, Coding::Identity, limits, 0).expect("no body");
        let ids = Ids {
            cookie: None,
            request_id: "bench",
            traceparent: "",
        };
        let answered = self
            .upstream
            .send(&plan, nothing, None, &ids)
            .await
            .expect("an answer");
        let Content::Body(incoming, coding) = answered.content else {
            return Response::new(OutgoingBody::ready(Vec::new()));
        };
        let inflated = self.settings.apis.values().next().expect("an API");
        let mut pump = Pump::new(
            incoming,
            coding,
            plan.program(),
            limits,
            inflated.inflated_bytes_max,
            None,
        );
        let body = match pump.fill().await.expect("a body") {
            Progress::Complete(_) => OutgoingBody::ready(pump.take().expect("plain")),
            Progress::More => {
                let (sender, body) = OutgoingBody::channel();
                let stall = config::millis(self.settings.limits.write_stall_ms);
                tokio::spawn(async move {
                    loop {
                        for piece in pump.take().expect("plain") {
                            if sender.data(piece, stall).await.is_err() {
                                return;
                            }
                        }
                        if let Progress::Complete(_) = pump.fill().await.expect("a body") {
                            break;
                        }
                    }
                    for piece in pump.take().expect("plain") {
                        if sender.data(piece, stall).await.is_err() {
                            return;
                        }
                    }
                    let _ = sender.end().await;
                });
                body
            }
        };
        let mut response = Response::new(body);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        response
    }
}

/// A query parameter without its percent signs.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        let hex = |b: Option<u8>| b.and_then(|b| char::from(b).to_digit(16)).expect("hex");
        match b {
            b'%' => {
                let high = hex(rest.next());
                bytes.push(u8::try_from(high * 16 + hex(rest.next())).expect("a byte"));
            }
            b'+' => bytes.push(b' '),
            b => bytes.push(b),
        }
    }
    String::from_utf8(bytes).expect("UTF-8")
}

fn prepared(file: &Path) -> Bench {
    let settings = config::load(file, &config::Machine).expect("a configuration");
    let live = Live::load(&settings).expect("policies");
    let (name, api) = settings.apis.iter().next().expect("an API");
    let upstream =
        Upstream::new(api, &settings.limits, ErrorShape::Salesforce).expect("an upstream");
    Bench {
        api: Api {
            name: Arc::clone(name),
            dialect: api.dialect,
            versions: api.versions,
            public_origin: Arc::clone(&settings.listen.public_url),
            upstream_origin: Arc::clone(&api.upstream_url),
        },
        identity: Identity {
            subject: "load".into(),
            client: Some("load".into()),
            roles: vec!["reader".into()],
            region: Some("eu".into()),
            tenant: Arc::clone(&settings.tenant),
            proof: Proof::ApiKey {
                key_id: "bench".into(),
            },
            mfa: None,
            auth_time_s: None,
            purpose_asked: None,
            now_s: 1_800_000_000,
            address: None,
        },
        upstream,
        live,
        settings,
        plans: Mutex::default(),
    }
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [mode, address, file] = &words[..] else {
        eprintln!("a server for benches/peers/run.sh");
        return;
    };
    assert_eq!(mode, "engine", "the only mode");
    let address: SocketAddr = address.parse().expect("an address");
    let bench = Arc::new(prepared(Path::new(file)));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(async move {
        let listener = TcpListener::bind(address).await.expect("a port");
        loop {
            let (tcp, _) = listener.accept().await.expect("a connection");
            let _ = tcp.set_nodelay(true);
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let bench = Arc::clone(&bench);
                    async move { Ok::<_, Infallible>(bench.answer(request).await) }
                });
                let _ = hyper::server::conn::http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(tcp), service)
                    .await;
            });
        }
    });
}
