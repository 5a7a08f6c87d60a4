//! Receivers that nobody here wrote, each taken away while records flow, and brought back: nothing is lost, and what
//! comes twice has the same chain and sequence number.
//!
//! Needs Debian's nats-server, rsyslog and rsyslog-gnutls (`tests/e2e/install-clients.sh`). They run as processes of
//! their own on loopback ports, with files in a folder of the test.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use data_encoding::BASE64;
use privet::config::Trust;
use privet::observe::audit::{self, Log};
use privet::observe::shipping::{
    Cursor, Dial, Format, HttpSink, NatsLogin, NatsSink, Pace, Post, Progress, Shipper, Sink,
    SyslogSink, Wire,
};
use privet::proxy::upstream::client_tls;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::authority::Authority;

/// Records of a test.
const RECORDS: u64 = 240;

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let own = std::env::split_paths(&path);
    let all = own.chain([PathBuf::from("/usr/sbin"), PathBuf::from("/usr/bin")]);
    let found = all
        .map(|folder| folder.join(name))
        .find(|file| file.is_file());
    if found.is_none() {
        let text = format!("skipped: {name} is not installed (tests/e2e/install-clients.sh)");
        assert!(
            std::env::var_os("PRIVET_CI").is_none_or(|v| v != "1"),
            "{text}"
        );
        println!("{text}");
    }
    found
}

/// Ends with the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    /// Asks it to end, and waits until it has.
    fn stop(mut self) {
        let pid = self.0.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        assert!(asked.success());
        self.0.wait().unwrap();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// A log, and what ships it.
struct Flow {
    folder: tempfile::TempDir,
    log: Log,
}

impl Flow {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = Log::open(folder.path().join("audit"), super::options()).unwrap();
        Self { folder, log }
    }

    /// Ships to `sink`. The shipper ends when the sender is told true.
    fn ship<S: Sink + 'static>(
        &self,
        sink: S,
    ) -> (
        tokio::task::JoinHandle<()>,
        watch::Receiver<Progress>,
        watch::Sender<bool>,
    ) {
        let (progress, told) = watch::channel(Progress::default());
        let (drain, drained) = watch::channel(false);
        let shipper = Shipper {
            name: "test".into(),
            log: self.log.clone(),
            directory: self.folder.path().join("audit"),
            cursor: Cursor::open(&self.folder.path().join("cursor.json")).unwrap(),
            format: Format::Jsonl,
            sink,
            pace: Pace {
                records_max: 11,
                bytes_max: 1 << 20,
                idle: Duration::from_millis(1),
                retry: Duration::from_millis(2),
                retry_max: Duration::from_millis(20),
            },
            progress,
            drain: drained,
        };
        (tokio::spawn(shipper.run()), told, drain)
    }

    /// Records, beside what the test does.
    fn record(&self) -> tokio::task::JoinHandle<()> {
        let log = self.log.clone();
        tokio::spawn(async move {
            for n in 0..RECORDS {
                let event = audit::control("policy-loaded", format!("v{n}").into(), None);
                log.control(event).await.unwrap();
            }
        })
    }

    /// The names of all records.
    fn names(&self) -> BTreeSet<(String, u64)> {
        let mut names = BTreeSet::new();
        audit::records(&self.folder.path().join("audit"), 1, &mut |line| {
            names.insert(name(&serde_json::from_slice(line)?));
            Ok(())
        })
        .unwrap();
        names
    }
}

fn name(record: &Value) -> (String, u64) {
    let chain = record["chain"].as_str().unwrap().to_owned();
    (chain, record["seq"].as_u64().unwrap())
}

/// Takes the receiver away once something has arrived, brings it back when that was noticed, and returns when everything
/// is delivered.
async fn outage<R>(
    flow: &Flow,
    told: &mut watch::Receiver<Progress>,
    receiver: R,
    stop: impl FnOnce(R),
    start: impl FnOnce() -> R,
) -> R {
    let recording = flow.record();
    told.wait_for(|p| p.shipped >= 30).await.unwrap();
    stop(receiver);
    told.wait_for(|p| p.failures >= 3).await.unwrap();
    let receiver = start();
    recording.await.unwrap();
    let end = flow.log.stats().seq_synced;
    assert!(end >= RECORDS);
    told.wait_for(|p| p.shipped == end).await.unwrap();
    assert_eq!(told.borrow().failures, 0);
    receiver
}

/// Asks JetStream's API over the client protocol.
fn jetstream(port: u16, subject: &str, body: &Value) -> Value {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let body = body.to_string();
    let hello = json!({"verbose": false, "lang": "test", "version": "1", "protocol": 1});
    write!(
        &stream,
        "CONNECT {hello}\r\nSUB answer 1\r\nPUB {subject} answer {}\r\n{body}\r\n",
        body.len()
    )
    .unwrap();
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).unwrap() > 0, "it hung up");
        if line.starts_with("MSG answer") {
            let bytes = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
            let mut answer = vec![0; bytes];
            reader.read_exact(&mut answer).unwrap();
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert!(answer["error"].is_null(), "{answer}");
            return answer;
        }
        assert!(!line.starts_with("-ERR"), "{line}");
    }
}

fn start_nats(server: &Path, folder: &Path, port: u16) -> Process {
    let mut child = Command::new(server)
        .args([
            "--addr",
            "127.0.0.1",
            "--port",
            &port.to_string(),
            "-js",
            "-sd",
        ])
        .arg(folder)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let ready = lines.any(|line| line.is_ok_and(|line| line.contains("Server is ready")));
    assert!(ready, "nats-server does not start");
    // A pipe that nobody reads would stop it.
    std::thread::spawn(move || lines.for_each(drop));
    Process(child)
}

#[tokio::test(flavor = "multi_thread")]
async fn nats_jetstream_gets_every_record_once_however_often_it_comes() {
    let Some(server) = program("nats-server") else {
        return;
    };
    let flow = Flow::new();
    let store = flow.folder.path().join("jetstream");
    let port = free_port();
    let running = start_nats(&server, &store, port);
    let stream = json!({"name": "AUDIT", "subjects": ["privet.>"], "storage": "file", "retention": "limits",
        "max_msgs": -1, "max_bytes": -1, "max_age": 0, "max_consumers": -1, "num_replicas": 1,
        "duplicate_window": 600_000_000_000_u64});
    jetstream(port, "$JS.API.STREAM.CREATE.AUDIT", &stream);
    let sink = || {
        let dial = Dial {
            host: "127.0.0.1".into(),
            port,
            tls: None,
        };
        let patience = Duration::from_secs(30);
        NatsSink::new(dial, "privet.audit".into(), NatsLogin::default(), patience)
    };
    let (shipper, mut told, drain) = flow.ship(sink());
    let running = outage(
        &flow,
        &mut told,
        running,
        // Without a word, as in a crash.
        drop,
        || start_nats(&server, &store, port),
    )
    .await;
    drain.send_replace(true);
    shipper.await.unwrap();
    // The cursor is lost, so that everything is sent once more: the stream knows it.
    std::fs::remove_file(flow.folder.path().join("cursor.json")).unwrap();
    let (shipper, mut told, drain) = flow.ship(sink());
    let end = flow.log.stats().seq_synced;
    told.wait_for(|p| p.shipped == end).await.unwrap();
    drain.send_replace(true);
    shipper.await.unwrap();

    let state = jetstream(port, "$JS.API.STREAM.INFO.AUDIT", &json!({}));
    assert_eq!(state["state"]["messages"], end, "{state}");
    let mut names = BTreeSet::new();
    for seq in 1..=end {
        let got = jetstream(port, "$JS.API.STREAM.MSG.GET.AUDIT", &json!({"seq": seq}));
        let part = |key: &str| {
            let text = got["message"][key].as_str().unwrap();
            BASE64.decode(text.as_bytes()).unwrap()
        };
        let record: Value = serde_json::from_slice(&part("data")).unwrap();
        let (chain, seq) = name(&record);
        let headers = String::from_utf8(part("hdrs")).unwrap();
        assert!(
            headers.contains(&format!("Nats-Msg-Id: {chain}:{seq}\r\n")),
            "{headers}"
        );
        names.insert((chain, seq));
    }
    assert_eq!(names, flow.names());
    drop(running);
}

/// A server none of whose streams takes the subject.
#[tokio::test(flavor = "multi_thread")]
async fn nats_that_does_not_take_records_is_no_acknowledgement() {
    let Some(server) = program("nats-server") else {
        return;
    };
    let flow = Flow::new();
    let port = free_port();
    let running = start_nats(&server, &flow.folder.path().join("jetstream"), port);
    let dial = Dial {
        host: "127.0.0.1".into(),
        port,
        tls: None,
    };
    let login = NatsLogin::default();
    let sink = NatsSink::new(
        dial,
        "nobody.listens".into(),
        login,
        Duration::from_secs(30),
    );
    let (shipper, mut told, _drain) = flow.ship(sink);
    let failed = told.wait_for(|p| p.failures > 1).await.unwrap().clone();
    assert_eq!(failed.error, "no stream takes the subject");
    assert_eq!(failed.shipped, 0);
    shipper.abort();
    drop(running);
}

fn start_rsyslog(server: &Path, folder: &Path, authority: &Authority, port: u16) -> Process {
    let config = folder.join("rsyslog.conf");
    let pid = folder.join("rsyslog.pid");
    // A file of the process before is of no use to this one.
    let _ = std::fs::remove_file(&pid);
    let text = format!(
        r#"global(workDirectory="{work}" maxMessageSize="1m" net.enableDNS="off"
       defaultNetstreamDriverCAFile="{ca}" defaultNetstreamDriverCertFile="{certificate}" defaultNetstreamDriverKeyFile="{key}")
module(load="imtcp" streamDriver.name="gtls" streamDriver.mode="1" streamDriver.authMode="anon")
template(name="line" type="string" string="%structured-data%\t%msg%\n")
ruleset(name="in" queue.type="Direct") {{ action(type="omfile" file="{out}" template="line") }}
input(type="imtcp" address="127.0.0.1" port="{port}" ruleset="in")
"#,
        work = folder.display(),
        ca = authority.ca().display(),
        certificate = authority.certificate().display(),
        key = authority.key().display(),
        out = folder.join("received").display(),
    );
    std::fs::write(&config, text).unwrap();
    let child = Command::new(server)
        .arg("-n")
        .arg("-f")
        .arg(config)
        .arg("-i")
        .arg(pid)
        .spawn()
        .unwrap();
    Process(child)
}

#[tokio::test(flavor = "multi_thread")]
async fn rsyslog_over_tls_gets_every_record() {
    let Some(server) = program("rsyslogd") else {
        return;
    };
    let flow = Flow::new();
    let folder = flow.folder.path().to_owned();
    let authority = Authority::new();
    let port = free_port();
    let running = start_rsyslog(&server, &folder, &authority, port);
    let tls = client_tls(&Trust::File(authority.ca()), None).unwrap();
    let sink = SyslogSink {
        dial: Dial {
            host: "localhost".into(),
            port,
            tls: Some(Arc::new(tls)),
        },
        hostname: "proxy-1".into(),
        timeout: Duration::from_secs(30),
    };
    let (shipper, mut told, drain) = flow.ship(sink);
    let running = outage(&flow, &mut told, running, Process::stop, || {
        start_rsyslog(&server, &folder, &authority, port)
    })
    .await;
    drain.send_replace(true);
    shipper.await.unwrap();
    running.stop();
    let received = std::fs::read_to_string(folder.join("received")).unwrap();
    let mut names = BTreeSet::new();
    for line in received.lines() {
        let (data, record) = line.split_once('\t').unwrap();
        let (chain, seq) = name(&serde_json::from_str(record).unwrap());
        // What a receiver tells duplicates by stands outside the message too.
        assert_eq!(
            data,
            format!("[record@32473 chain=\"{chain}\" seq=\"{seq}\"]")
        );
        names.insert((chain, seq));
    }
    assert_eq!(names, flow.names());
}

/// An authority that the configuration does not name.
#[tokio::test(flavor = "multi_thread")]
async fn a_syslog_receiver_of_another_authority_gets_nothing() {
    let Some(server) = program("rsyslogd") else {
        return;
    };
    let flow = Flow::new();
    let (theirs, ours) = (Authority::new(), Authority::new());
    let port = free_port();
    let running = start_rsyslog(&server, flow.folder.path(), &theirs, port);
    let tls = client_tls(&Trust::File(ours.ca()), None).unwrap();
    let sink = SyslogSink {
        dial: Dial {
            host: "localhost".into(),
            port,
            tls: Some(Arc::new(tls)),
        },
        hostname: "proxy-1".into(),
        timeout: Duration::from_secs(30),
    };
    let (shipper, mut told, _drain) = flow.ship(sink);
    let refused = |p: &Progress| p.error.contains("certificate");
    let progress = told.wait_for(refused).await.unwrap().clone();
    assert_eq!(progress.shipped, 0);
    shipper.abort();
    running.stop();
    assert!(!flow.folder.path().join("received").exists());
}

/// A receiver in the test, over TLS: bodies that it took.
fn listen(
    authority: &Authority,
    address: SocketAddr,
    bodies: &std::sync::mpsc::Sender<Vec<u8>>,
) -> tokio::task::JoinHandle<()> {
    use http_body_util::{BodyExt as _, Full};
    use hyper::service::service_fn;

    let listener = TcpListener::bind(address).unwrap();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let tls = tokio_rustls::TlsAcceptor::from(authority.server());
    let bodies = bodies.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(stream) = tls.accept(stream).await else {
                continue;
            };
            let bodies = bodies.clone();
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let bodies = bodies.clone();
                async move {
                    let body = request.into_body().collect().await?.to_bytes();
                    bodies.send(body.to_vec()).unwrap();
                    Ok::<_, hyper::Error>(http::Response::new(Full::new(
                        bytes::Bytes::from_static(b"{}"),
                    )))
                }
            });
            // A connection that breaks off is what the test is about.
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(hyper_util::rt::TokioIo::new(stream), service)
                .await;
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http_receiver_gets_every_record() {
    let flow = Flow::new();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
    let (sender, bodies) = std::sync::mpsc::channel();
    let authority = Authority::new();
    let running = listen(&authority, address, &sender);
    let tls = client_tls(&Trust::File(authority.ca()), None).unwrap();
    let sink = HttpSink {
        post: Post {
            dial: Dial {
                host: address.ip().to_string(),
                port: address.port(),
                tls: Some(Arc::new(tls)),
            },
            url: format!("https://{address}/").parse().unwrap(),
            headers: http::HeaderMap::new(),
            timeout: Duration::from_secs(30),
        },
        wire: Wire::Lines,
    };
    let (shipper, mut told, drain) = flow.ship(sink);
    let running = outage(
        &flow,
        &mut told,
        running,
        |running| {
            running.abort();
            // The port is free once the task has gone.
            while !running.is_finished() {
                std::thread::yield_now();
            }
        },
        || listen(&authority, address, &sender),
    )
    .await;
    drain.send_replace(true);
    shipper.await.unwrap();
    running.abort();
    let mut names = BTreeSet::new();
    for body in bodies.try_iter() {
        for line in body.split_inclusive(|b| *b == b'\n') {
            names.insert(name(&serde_json::from_slice(line).unwrap()));
        }
    }
    assert_eq!(names, flow.names());
}
