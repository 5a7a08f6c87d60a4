//! The carrier end to end: real sockets, an origin that records, TLS where HTTP/2 needs it.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails"
)]

#[path = "carrier/codings.rs"]
mod codings;
mod fixture;

use std::io::Write;

use fixture::{
    KEY, Origin, Proxy, Reply, UPSTREAM_TOKEN, certificate, connect_tls, dechunk, split,
};
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::{TokioExecutor, TokioIo};
use privet::cli::run::Serving;
use privet::observe::audit::{Checks, verify};
use privet::proxy::snapshot::Live;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ITEMS: &str = r#"{"items":[{"id":"1","name":"Ada"}]}"#;

fn status(head: &str) -> &str {
    head.split(' ').nth(1).expect("a status")
}

#[tokio::test]
async fn an_answer_passes_treated_with_our_head_and_our_credential() {
    let sent = r#"{"items":[{"id":"1","name":"Ada","email":"ada@example.org","pay":5}]}"#;
    let got = r#"{"items":[{"id":"1","name":"Ada","email":"a****@example.org"}]}"#;
    let origin = Origin::start(move |_| {
        Reply::raw(format!(
            "HTTP/1.1 200 Jo-CANARY\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: {}\r\n\
             ETag: \"CANARY\"\r\nSet-Cookie: CANARY=1\r\nLocation: /CANARY\r\nSforce-Limit-Info: api-usage=1/500\r\n\r\n{sent}",
            sent.len()
        ))
    })
    .await;
    let proxy = Proxy::start(origin.address, None).await;
    let (head, body) = proxy
        .ask(
            "GET",
            "/a?sid=client-secret",
            "Cookie: a=b\r\nX-Request-Id: mine\r\n",
        )
        .await;
    assert!(head.starts_with("http/1.1 200 ok\r\n"), "{head}");
    assert_eq!(dechunk(&body).as_deref(), Some(got.as_bytes()));
    assert!(
        !head.contains("canary") && !head.contains("content-length"),
        "{head}"
    );
    for expected in [
        "sforce-limit-info: api-usage=1/500\r\n",
        "cache-control: private, no-store\r\n",
        "x-content-type-options: nosniff\r\n",
        "vary: authorization",
        "privet-request-id: ",
        "privet-policy: ",
        "privet-treated: email=mask\r\n",
    ] {
        assert!(head.contains(expected), "{expected} in {head}");
    }
    let sent = origin.requests().remove(0);
    assert!(sent.starts_with("GET /a HTTP/1.1\r\n"), "{sent}");
    let lower = sent.to_ascii_lowercase();
    assert!(lower.contains(&format!("authorization: bearer {UPSTREAM_TOKEN}\r\n")));
    assert!(lower.contains("accept-encoding: gzip\r\n") && lower.contains("\r\ntraceparent: 00-"));
    for stays in [KEY, "cookie", "client-secret", "mine"] {
        assert!(!lower.contains(stays), "{stays} in {sent}");
    }
}

#[tokio::test]
async fn a_gzip_answer_is_decoded_and_a_broken_one_is_a_502() {
    let origin = Origin::start(|request| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(ITEMS.as_bytes()).expect("written");
        let mut body = gzip.finish().expect("finished");
        if request.contains("broken=1") {
            let at = body.len() - 6;
            body[at] ^= 1;
        }
        let mut raw = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        raw.extend(body);
        Reply::raw(raw)
    })
    .await;
    let proxy = Proxy::start(origin.address, None).await;
    let (head, body) = proxy.get("/a").await;
    assert!(!head.contains("content-encoding"), "{head}");
    assert_eq!(dechunk(&body).as_deref(), Some(ITEMS.as_bytes()));
    let (head, body) = proxy.get("/a?broken=1").await;
    assert_eq!(status(&head), "502", "{head}");
    assert!(!String::from_utf8_lossy(&body).contains("Ada"));
}

#[tokio::test]
async fn what_may_not_pass_is_a_502_and_errors_are_replaced() {
    let origin = Origin::start(|request| {
        let case = request.split("case=").nth(1).expect("a case");
        let case = case.split(' ').next().expect("a word");
        let json = "Content-Type: application/json\r\n";
        let body = "Content-Length: 20\r\n\r\n[\"CANARY@leak.test\"]";
        Reply::raw(match case {
            "redirect" => format!("HTTP/1.1 302 Found\r\nLocation: /CANARY\r\n{body}"),
            "partial" => format!("HTTP/1.1 206 Partial\r\n{json}{body}"),
            "unchanged" => "HTTP/1.1 304 CANARY\r\n\r\n".to_owned(),
            "html" => format!("HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n{body}"),
            "untyped" => format!("HTTP/1.1 200 OK\r\n{body}"),
            "charset" => format!("HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-16\r\n{body}"),
            "brotli" => format!("HTTP/1.1 200 OK\r\n{json}Content-Encoding: br\r\n{body}"),
            "twice" => format!("HTTP/1.1 200 OK\r\n{json}Content-Length: 20\r\n{body}"),
            "tecl" => format!("HTTP/1.1 200 OK\r\n{json}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n"),
            "cowchunked" => format!("HTTP/1.1 200 OK\r\n{json}Transfer-Encoding: cow, chunked\r\n\r\n0\r\n\r\n"),
            "switch" => "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nCANARY".to_owned(),
            "garbage" => "CANARY\r\n\r\n".to_owned(),
            "unauthorised" => format!("HTTP/1.1 401 CANARY\r\n{json}{body}"),
            "error" => format!("HTTP/1.1 500 CANARY\r\n{json}{body}"),
            "missing" => format!("HTTP/1.1 404 CANARY\r\nContent-Type: text/html\r\n{body}"),
            other => panic!("{other}"),
        })
    })
    .await;
    let proxy = Proxy::start(origin.address, None).await;
    for (case, expected) in [
        ("redirect", "502"),
        ("partial", "502"),
        ("unchanged", "502"),
        ("html", "502"),
        ("untyped", "502"),
        ("charset", "502"),
        ("brotli", "502"),
        ("twice", "502"),
        ("tecl", "502"),
        ("cowchunked", "502"),
        ("switch", "502"),
        ("garbage", "502"),
        ("unauthorised", "502"),
        ("error", "500"),
        ("missing", "404"),
    ] {
        let (head, body) = proxy.get(&format!("/a?case={case}")).await;
        assert_eq!(status(&head), expected, "{case}: {head}");
        let body = String::from_utf8_lossy(&body);
        assert!(
            !head.contains("canary") && !body.contains("CANARY"),
            "{case}: {head}{body}"
        );
        assert!(body.contains("errorCode"), "{case}: {body}");
    }
}

/// Enough to leave before the end is known, and then something that is no JSON.
fn spoilt() -> Vec<u8> {
    let mut body = b"{\"items\":[".to_vec();
    while body.len() < 300 << 10 {
        body.extend_from_slice(b"{\"id\":\"1\",\"name\":\"Ada\"},");
    }
    let mut raw =
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for piece in [&body[..], b"BAD"] {
        raw.extend(format!("{:x}\r\n", piece.len()).bytes());
        raw.extend_from_slice(piece);
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(b"0\r\n\r\n");
    raw
}

#[tokio::test]
async fn an_abort_after_the_first_byte_ends_http1_without_its_last_chunk() {
    let origin = Origin::start(|_| Reply::raw(spoilt())).await;
    let proxy = Proxy::start(origin.address, None).await;
    let (head, body) = proxy.get("/a").await;
    assert_eq!(status(&head), "200", "{head}");
    assert!(!body.is_empty());
    assert_eq!(dechunk(&body), None);
    assert!(!body.windows(3).any(|w| w == b"BAD"));
}

#[tokio::test]
async fn an_abort_after_the_first_byte_resets_http2() {
    let folder = tempfile::tempdir().expect("a folder");
    let (files, trusted) = certificate(folder.path());
    let origin = Origin::start(|request| {
        if request.starts_with("GET /a?good=1 ") {
            Reply::json(ITEMS)
        } else {
            Reply::raw(spoilt())
        }
    })
    .await;
    let proxy = Proxy::start(origin.address, Some(files)).await;
    let stream = connect_tls(proxy.address, trusted, "h2").await;
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .expect("handshake");
    tokio::spawn(connection);
    let request = |target: &str| {
        http::Request::get(format!("https://crm.test{target}"))
            .header("authorization", format!("Bearer {KEY}"))
            .body(Empty::<bytes::Bytes>::new())
            .expect("a request")
    };
    let response = client.send_request(request("/a")).await.expect("a head");
    assert_eq!(response.status(), 200);
    let error = response
        .into_body()
        .collect()
        .await
        .expect_err("an unclean end");
    assert!(format!("{error:?}").contains("INTERNAL_ERROR"), "{error:?}");
    // The connection and its other streams live on.
    let response = client
        .send_request(request("/a?good=1"))
        .await
        .expect("a head");
    let body = response
        .into_body()
        .collect()
        .await
        .expect("a body")
        .to_bytes();
    assert_eq!(body, ITEMS.as_bytes());
}

#[tokio::test]
async fn an_upstream_that_breaks_off_never_looks_complete() {
    let origin = Origin::start(|request| {
        let mut raw = spoilt();
        raw.truncate(if request.contains("early=1") {
            120
        } else {
            250 << 10
        });
        Reply {
            close: true,
            ..Reply::raw(raw)
        }
    })
    .await;
    let proxy = Proxy::start(origin.address, None).await;
    let (_, body) = proxy.get("/a").await;
    assert_eq!(dechunk(&body), None);
    let (head, body) = proxy.get("/a?early=1").await;
    assert!(status(&head) == "502" || dechunk(&body).is_none(), "{head}");
}

#[tokio::test]
async fn refusals_have_the_right_status_and_name_the_request() {
    let origin = Origin::start(|_| Reply::json(ITEMS)).await;
    let proxy = Proxy::start_with(origin.address, None, |s| {
        s.limits.request_body_bytes_max = 16;
        s.limits.target_bytes_max = 512;
        s.limits.head_bytes_max = 4096;
    })
    .await;
    let auth = format!("Authorization: Bearer {KEY}\r\n");
    let long = "a".repeat(600);
    let large = format!("X: {}\r\n", "a".repeat(5000));
    for (line, headers, expected) in [
        ("GET /a", "", "401"),
        ("GET /nowhere", "", "401"),
        ("GET /a", "Authorization: Bearer pvt_wrong\r\n", "401"),
        ("GET /a", "Authorization: Basic eA==\r\n", "401"),
        ("OPTIONS /a", &*auth, "405"),
        ("TRACE /a", &*auth, "405"),
        ("GET /a/../b", &*auth, "400"),
        ("GET /a", &*format!("{auth}Expect: x\r\n"), "417"),
        ("GET /a", &*format!("{auth}Host: other.test\r\n"), "400"),
        ("POST /a", &*format!("{auth}Content-Length: 17\r\n"), "413"),
        (&*format!("GET /{long}"), &*auth, "414"),
        ("GET /a", &*large, "431"),
    ] {
        let raw =
            format!("{line} HTTP/1.1\r\nHost: crm.test\r\nConnection: close\r\n{headers}\r\n");
        let (head, body) = split(&proxy.exchange(raw.as_bytes(), false).await);
        assert_eq!(status(&head), expected, "{line} {headers:.60}: {head}");
        let id = head.split("privet-request-id: ").nth(1).expect("an id");
        let id = id.split("\r\n").next().expect("a line");
        let body = String::from_utf8_lossy(&body);
        assert!(body.contains(id), "{line}");
        // In the shape of the API that was asked, unless the framer let go of the path.
        let asks_api = line.contains(" /a") && !matches!(expected, "414" | "431");
        assert!(
            !asks_api || body.contains(r#""of":"map""#),
            "{line}: {body}"
        );
        assert_eq!(
            expected == "401",
            head.contains("www-authenticate: bearer"),
            "{head}"
        );
    }
    // The answer arrives although the body was never read.
    let mut raw =
        format!("POST /a HTTP/1.1\r\nHost: crm.test\r\n{auth}Content-Length: 500000\r\n\r\n")
            .into_bytes();
    raw.resize(raw.len() + 500_000, b'x');
    let (head, _) = split(&proxy.exchange(&raw, false).await);
    assert_eq!(status(&head), "413", "{head}");
    let raw = "GET /a HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n";
    let (head, _) = split(&proxy.exchange(raw.as_bytes(), false).await);
    assert_eq!(status(&head), "421", "{head}");
    assert_eq!(origin.requests().len(), 0);
}

#[tokio::test]
async fn head_tells_no_size() {
    let origin = Origin::start(|_| Reply::json(ITEMS)).await;
    let proxy = Proxy::start(origin.address, None).await;
    let (head, body) = proxy.ask("HEAD", "/a", "").await;
    assert_eq!(status(&head), "200");
    assert!(
        !head.contains("content-length") && body.is_empty(),
        "{head}"
    );
    assert!(origin.requests()[0].starts_with("GET /a "));
}

#[tokio::test]
async fn a_drain_lets_running_requests_finish_and_takes_no_new_ones() {
    let (release, held) = tokio::sync::oneshot::channel();
    let (arrived, reached) = tokio::sync::oneshot::channel();
    let parts = std::sync::Mutex::new(Some((arrived, held)));
    let origin = Origin::start(move |_| {
        let (arrived, held) = parts.lock().expect("lock").take().expect("one request");
        arrived.send(()).expect("somebody waits");
        Reply {
            wait: Some(held),
            ..Reply::json(ITEMS)
        }
    })
    .await;
    let mut proxy = Proxy::start(origin.address, None).await;
    let mut stream = tokio::net::TcpStream::connect(proxy.address)
        .await
        .expect("connect");
    let raw = format!("GET /a HTTP/1.1\r\nHost: crm.test\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(raw.as_bytes()).await.expect("written");
    reached.await.expect("the origin has it");
    let drained = proxy.drain();
    // Until the listener is gone, connections may still be taken into its queue; they are never served.
    while !proxy.carrier.is_draining() {
        tokio::task::yield_now().await;
    }
    assert!(tokio::net::TcpStream::connect(proxy.address).await.is_err());
    release.send(()).expect("the origin waits");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.expect("an end");
    let (head, body) = split(&answer);
    assert!(head.contains("connection: close"), "{head}");
    assert_eq!(dechunk(&body).as_deref(), Some(ITEMS.as_bytes()));
    assert!(drained.await.expect("joined"));
}

#[tokio::test]
async fn what_the_upstream_has_sent_does_not_wait_for_what_it_has_not() {
    let item = r#"{"id":"1","name":"Ada","email":"ada@example.org"}"#;
    let (first, last) = (format!("{{\"items\":[{item}"), "]}");
    let (release, held) = tokio::sync::oneshot::channel();
    let rest = std::sync::Mutex::new(Some((held, last.as_bytes().to_vec())));
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        first.len() + last.len()
    );
    let origin = Origin::start(move |_| Reply {
        rest: rest.lock().expect("lock").take(),
        ..Reply::raw(format!("{head}{first}"))
    })
    .await;
    let proxy = Proxy::start(origin.address, None).await;
    let mut stream = tokio::net::TcpStream::connect(proxy.address)
        .await
        .expect("connect");
    let raw = format!(
        "GET /a HTTP/1.1\r\nHost: crm.test\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(raw.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("a****@example.org") {
        let read = stream.read_buf(&mut answer).await.expect("read");
        assert!(read > 0, "ended before the second half was sent");
    }
    release.send(()).expect("the origin waits");
    stream.read_to_end(&mut answer).await.expect("an end");
    let (_, body) = split(&answer);
    let treated = format!("{{\"items\":[{}]}}", item.replace("ada@", "a****@"));
    assert_eq!(dechunk(&body).as_deref(), Some(treated.as_bytes()));
}

#[tokio::test]
async fn a_stop_lets_a_streaming_answer_finish_and_its_audit_records_are_there() {
    // More than privet holds before it sends, then a pause, then the rest.
    let item = r#"{"id":"1","name":"Ada","email":"ada@example.org"}"#;
    let (first, last) = (format!("{{\"items\":[{item}"), "]}");
    let first = first + format!(",{item}").repeat(5_000).as_str();
    let (release, held) = tokio::sync::oneshot::channel();
    let rest = std::sync::Mutex::new(Some((held, last.as_bytes().to_vec())));
    let head = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        first.len() + last.len()
    );
    let treated = first.replace("ada@example.org", "a****@example.org") + last;
    let origin = Origin::start(move |_| Reply {
        rest: rest.lock().expect("lock").take(),
        ..Reply::raw(format!("{head}{first}"))
    })
    .await;
    let (_folder, settings) = fixture::prepare(origin.address, None);
    let live = Live::load(&settings).expect("the fixture's policy");
    let audit = settings.audit_directory.clone();
    let serving = Serving::start(std::sync::Arc::new(settings), live)
        .await
        .expect("it serves");
    let carrier = std::sync::Arc::clone(serving.carrier());
    let address = serving.address;

    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("connect");
    let raw = format!("GET /a HTTP/1.1\r\nHost: crm.test\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    stream.write_all(raw.as_bytes()).await.expect("written");
    let mut answer = vec![0; 1 << 10];
    stream.read_exact(&mut answer).await.expect("its beginning");
    let stopping = tokio::spawn(serving.stop());
    while !carrier.is_draining() {
        tokio::task::yield_now().await;
    }
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    assert!(!stopping.is_finished());
    release.send(()).expect("the origin waits");
    stream.read_to_end(&mut answer).await.expect("an end");
    let (head, body) = split(&answer);
    assert_eq!(dechunk(&body).as_deref(), Some(treated.as_bytes()));
    stopping.await.expect("joined").expect("the log is closed");

    let whole = verify(&audit, &Checks::default()).expect("the chain holds");
    assert_eq!(whole.open, 0);
    let id = head.split("privet-request-id: ").nth(1).expect("an id");
    let id = id.split("\r\n").next().expect("a line");
    let text = std::fs::read_to_string(audit.join("audit-0000000000000001.jsonl")).expect("a log");
    let events: Vec<serde_json::Value> = text
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).expect("JSON")["event"].take())
        .filter(|e| e["request_id"] == id)
        .collect();
    let [attempt, outcome] = &events[..] else {
        panic!("{} records", events.len());
    };
    assert_eq!(attempt["kind"], "attempt");
    assert_eq!(outcome["outcome"]["ending"], "complete");
    assert_eq!(outcome["outcome"]["rows"], 5_001);
    assert_eq!(
        outcome["outcome"]["treated"]["mask:email Thing.Email"],
        5_001
    );
    assert!(!text.contains("example.org"));
}

#[tokio::test]
async fn a_policy_that_cannot_be_loaded_leaves_the_last_good_one_and_shows() {
    let origin = Origin::start(|_| Reply::json(ITEMS)).await;
    let proxy = Proxy::start(origin.address, None).await;
    let (carrier, version) = (
        &proxy.carrier,
        proxy.carrier.live.current().version().clone(),
    );
    let file = proxy.settings.policies.join("vocabulary.yaml");
    let good = std::fs::read_to_string(&file).expect("readable");
    std::fs::write(&file, "schema: 1\nbroken: true\n").expect("writable");
    assert!(!carrier.live.reload(&proxy.settings, &carrier.metrics));
    assert_eq!(carrier.live.current().version(), &version);
    assert!(!carrier.live.stale_because().is_empty());
    assert!(carrier.metrics.text().contains("privet_policy_stale 1"));
    assert_eq!(status(&proxy.get("/a").await.0), "200");
    std::fs::write(&file, good.replace("[support]", "[support, sales]")).expect("writable");
    assert!(carrier.live.reload(&proxy.settings, &carrier.metrics));
    assert_ne!(carrier.live.current().version(), &version);
    assert!(carrier.live.stale_because().is_empty());
    assert!(carrier.metrics.text().contains("privet_policy_stale 0"));
}

#[tokio::test]
async fn client_credentials_are_fetched_once_and_again_after_a_401() {
    let fetched = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = std::sync::Arc::clone(&fetched);
    let origin = Origin::start(move |request| {
        use std::sync::atomic::Ordering;
        if request.starts_with("POST /services/oauth2/token ") {
            assert!(
                request.ends_with(
                    "grant_type=client_credentials&client_id=privet&client_secret=s%26%3Dcret"
                ),
                "{request}"
            );
            let n = count.fetch_add(1, Ordering::SeqCst) + 1;
            return Reply::json(&format!(
                r#"{{"access_token":"token-{n}","token_type":"Bearer"}}"#
            ));
        }
        let lower = request.to_ascii_lowercase();
        // The first token ends after two requests.
        let revoked = request.contains("third=1") && lower.contains("bearer token-1\r\n");
        if revoked || !lower.contains("authorization: bearer token-") {
            return Reply::raw("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n");
        }
        Reply::json(ITEMS)
    })
    .await;
    let proxy = Proxy::start_with(origin.address, None, |s| {
        for api in s.apis.values_mut() {
            api.credential = privet::config::Credential::ClientCredentials {
                client_id: "privet".into(),
                client_secret: privet::engine::secret::Secret::new("s&=cret".to_owned()),
                token_url: None,
            };
        }
    })
    .await;
    // Two at once share one fetch.
    let (a, b) = tokio::join!(proxy.get("/a"), proxy.get("/a?second=1"));
    assert_eq!((status(&a.0), status(&b.0)), ("200", "200"));
    assert_eq!(fetched.load(std::sync::atomic::Ordering::SeqCst), 1);
    assert_eq!(status(&proxy.get("/a?third=1").await.0), "200");
    assert_eq!(fetched.load(std::sync::atomic::Ordering::SeqCst), 2);
    for request in origin.requests() {
        assert!(!request.contains(KEY), "{request}");
    }
}

#[tokio::test]
async fn a_changed_file_and_a_hangup_are_reloaded_while_requests_go_on() {
    let origin = Origin::start(|_| Reply::json(ITEMS)).await;
    let proxy = Proxy::start(origin.address, None).await;
    let version = proxy.carrier.live.current().version().clone();
    let (hangup, asked) = tokio::sync::mpsc::channel(1);
    let (told, mut reloads) = tokio::sync::mpsc::unbounded_channel();
    let watching = tokio::spawn(privet::proxy::snapshot::watch(
        std::sync::Arc::clone(&proxy.carrier.live),
        std::sync::Arc::clone(&proxy.settings),
        std::sync::Arc::clone(&proxy.carrier.metrics),
        asked,
        move |taken| {
            let _ = told.send(taken);
        },
    ));
    hangup.send(()).await.expect("it listens");
    assert_eq!(reloads.recv().await, Some(true));
    assert_eq!(proxy.carrier.live.current().version(), &version);
    let file = proxy.settings.policies.join("vocabulary.yaml");
    let text = std::fs::read_to_string(&file).expect("readable");
    std::fs::write(&file, text.replace("[support]", "[support, sales]")).expect("writable");
    assert_eq!(reloads.recv().await, Some(true));
    assert_ne!(proxy.carrier.live.current().version(), &version);
    assert_eq!(status(&proxy.get("/a").await.0), "200");
    drop(hangup);
    watching.await.expect("it ends with its last sender");
}

#[tokio::test]
async fn the_admin_listener_tells_health_and_metrics() {
    let origin = Origin::start(|_| Reply::json(ITEMS)).await;
    let mut proxy = Proxy::start(origin.address, None).await;
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let admin = socket.local_addr().expect("its address");
    tokio::spawn(privet::admin::serve(
        socket,
        std::sync::Arc::clone(&proxy.carrier),
    ));
    let ask = |path: &'static str| async move {
        let mut stream = tokio::net::TcpStream::connect(admin)
            .await
            .expect("connect");
        let raw = format!("GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n");
        stream.write_all(raw.as_bytes()).await.expect("written");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.expect("read");
        let (head, body) = split(&answer);
        (head, String::from_utf8(body).expect("text"))
    };
    assert_eq!(
        status(&proxy.get("/a?email=CANARY@leak.test").await.0),
        "200"
    );
    assert_eq!(status(&ask("/livez").await.0), "200");
    let (head, text) = ask("/readyz?verbose").await;
    assert!(
        status(&head) == "200" && text.contains("[+] policy "),
        "{text}"
    );
    let (_, text) = ask("/metrics").await;
    for name in [
        "privet_requests_total{api=\"things\",code_class=\"2xx\",decision=\"allow\"",
        "privet_request_duration_seconds_count{api=\"things\"} 1",
        "privet_upstream_duration_seconds_count{api=\"things\"} 1",
        "privet_overhead_seconds_count{api=\"things\"} 1",
        "privet_ttfb_seconds_count{api=\"things\"} 1",
        "privet_in_flight 0",
        "privet_policy_stale 0",
        "privet_policy_info{version=",
        "privet_build_info{version=",
        "process_cpu_seconds_total",
    ] {
        assert!(text.contains(name), "{name} in {text}");
    }
    assert!(!text.contains("CANARY") && !text.contains("/a"), "{text}");
    let drained = proxy.drain();
    assert!(drained.await.expect("joined"));
    assert_eq!(status(&ask("/readyz").await.0), "503");
    assert_eq!(status(&ask("/livez").await.0), "200");
}
