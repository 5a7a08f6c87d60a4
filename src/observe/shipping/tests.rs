use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use super::{
    Bounds, Cursor, Dial, FileSink, Format, HttpSink, HttpWitness, NotTaken, Pace, Post, Progress,
    Shipper, Sink, SinkState, Wire, message, oversee,
};
use crate::observe::audit::{
    self, CHECKPOINTS_FILE, Checks, Log, Options, Signer, VerifyError, verify,
};
use crate::observe::metrics::Metrics;

const QUICK: Pace = Pace {
    records_max: 7,
    bytes_max: 1 << 20,
    idle: Duration::from_millis(1),
    retry: Duration::from_millis(1),
    retry_max: Duration::from_millis(4),
};

async fn record(log: &Log, count: usize) {
    for _ in 0..count {
        let event = audit::control("policy-loaded", "v1".into(), None);
        log.control(event).await.unwrap();
    }
}

fn start<S: Sink + 'static>(
    log: &Log,
    folder: &Path,
    sink: S,
) -> (tokio::task::JoinHandle<()>, watch::Receiver<Progress>) {
    let (progress, told) = watch::channel(Progress::default());
    let (drain, drained) = watch::channel(false);
    let shipper = Shipper {
        name: "test".into(),
        log: log.clone(),
        directory: folder.join("audit"),
        cursor: Cursor::open(&folder.join("cursor.json")).unwrap(),
        format: Format::Jsonl,
        sink,
        pace: QUICK,
        progress,
        drain: drained,
    };
    (
        tokio::spawn(async move {
            // Held to the end, so that nothing drains.
            let _drain = drain;
            shipper.run().await;
        }),
        told,
    )
}

fn post(address: SocketAddr) -> Post {
    Post {
        dial: Dial {
            host: address.ip().to_string(),
            port: address.port(),
            tls: None,
        },
        url: format!("http://{address}/in").parse().unwrap(),
        headers: HeaderMap::new(),
        timeout: Duration::from_secs(30),
    }
}

/// Takes bodies; while `answers` is false it closes the connection instead of answering.
async fn receive(listener: TcpListener, bodies: mpsc::UnboundedSender<Bytes>, answers: bool) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let bodies = bodies.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let bodies = bodies.clone();
            async move {
                let body = request.into_body().collect().await;
                let body = body.map_err(std::io::Error::other)?.to_bytes();
                let _ = bodies.send(body);
                if answers {
                    Ok(Response::new(Full::new(Bytes::from_static(b"{}"))))
                } else {
                    Err(std::io::Error::other("stopped"))
                }
            }
        });
        let _ = hyper::server::conn::http1::Builder::new()
            .serve_connection(TokioIo::new(stream), service)
            .await;
    }
}

fn names(body: &[u8]) -> Vec<(String, u64)> {
    body.split(|b| *b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| {
            let record: Value = serde_json::from_slice(line).unwrap();
            let chain = record["chain"].as_str().unwrap().to_owned();
            (chain, record["seq"].as_u64().unwrap())
        })
        .collect()
}

#[tokio::test]
async fn a_receiver_that_stops_and_comes_back_misses_nothing_and_knows_duplicates() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path().join("audit"), Options::default()).unwrap();
    record(&log, 20).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let sink = || HttpSink {
        post: post(address),
        wire: Wire::Lines,
    };
    let (sender, mut bodies) = mpsc::unbounded_channel();
    // It takes the first batch and goes away without a word.
    let deaf = tokio::spawn(receive(listener, sender.clone(), false));
    let (shipper, mut told) = start(&log, folder.path(), sink());
    let first = names(&bodies.recv().await.unwrap());
    deaf.abort();
    let _ = deaf.await;
    let failures = told.borrow().failures;
    told.wait_for(|p| p.failures > failures + 1).await.unwrap();
    record(&log, 10).await;
    assert_eq!(told.borrow().shipped, 0);
    let listener = TcpListener::bind(address).await.unwrap();
    let well = tokio::spawn(receive(listener, sender.clone(), true));
    let end = log.stats().seq_synced;
    told.wait_for(|p| p.shipped == end).await.unwrap();
    shipper.abort();
    let mut all = first;
    while let Ok(body) = bodies.try_recv() {
        all.extend(names(&body));
    }
    let unique: BTreeSet<_> = all.iter().cloned().collect();
    assert_eq!(
        unique.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(),
        (1..=end).collect::<Vec<_>>()
    );
    assert!(all.len() > unique.len(), "the first batch came twice");
    // After a restart only what is new comes.
    record(&log, 3).await;
    let (shipper, mut told) = start(&log, folder.path(), sink());
    told.wait_for(|p| p.shipped == end + 3).await.unwrap();
    shipper.abort();
    let mut later = Vec::new();
    while let Ok(body) = bodies.try_recv() {
        later.extend(names(&body).into_iter().map(|(_, seq)| seq));
    }
    assert_eq!(later, [end + 1, end + 2, end + 3]);
    well.abort();
}

#[tokio::test]
async fn a_file_gets_every_record_over_segments_and_a_new_chain_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shipped.jsonl");
    let small = || Options {
        segment_bytes_max: 2_000,
        ..Options::default()
    };
    for round in 1..=2 {
        let log = Log::open(folder.path().join("audit"), small()).unwrap();
        record(&log, 30).await;
        let (shipper, mut told) = start(&log, folder.path(), FileSink { path: path.clone() });
        let end = log.stats().seq_synced;
        told.wait_for(|p| p.shipped == end).await.unwrap();
        shipper.abort();
        let _ = shipper.await;
        let shipped = names(&std::fs::read(&path).unwrap());
        let seqs: Vec<u64> = shipped.iter().map(|(_, seq)| *seq).collect();
        assert_eq!(seqs, (1..=end).collect::<Vec<_>>(), "round {round}");
        log.close().await.unwrap();
        drop(log);
        std::fs::remove_dir_all(folder.path().join("audit")).unwrap();
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn every_wire_names_the_record_and_knows_a_refusal() {
    let event = json!({"kind": "control", "time": "2026-01-02T03:04:05.678Z", "request_id": ""});
    let record = json!({"chain": "c", "seq": 7, "event": event});
    let records = [record.clone()];
    for wire in [
        Wire::Lines,
        Wire::SplunkHec,
        Wire::ElasticBulk("audit".into()),
        Wire::OtlpLogs,
    ] {
        let body = String::from_utf8(wire.body(Format::Ecs, &records)).unwrap();
        assert!(body.contains("c:7"), "{body}");
    }
    let bulk = Wire::ElasticBulk("audit".into());
    let text = bulk.body(Format::Jsonl, &records);
    let action: Value =
        serde_json::from_slice(text.split(|b| *b == b'\n').next().unwrap()).unwrap();
    assert_eq!(action, json!({"create": {"_index": "audit", "_id": "c:7"}}));
    assert!(bulk.took_all(
        br#"{"errors":true,"items":[{"create":{"status":409}},{"create":{"status":201}}]}"#
    ));
    assert!(!bulk.took_all(br#"{"errors":true,"items":[{"create":{"status":429}}]}"#));
    assert!(!bulk.took_all(b"<html>"));
    assert!(Wire::SplunkHec.took_all(br#"{"text":"Success","code":0}"#));
    assert!(!Wire::SplunkHec.took_all(br#"{"text":"Server is busy","code":9}"#));
    assert!(Wire::OtlpLogs.took_all(b"") && Wire::OtlpLogs.took_all(b"{}"));
    assert!(!Wire::OtlpLogs.took_all(br#"{"partialSuccess":{"rejectedLogRecords":"1"}}"#));
    let framed = String::from_utf8(message(Format::Jsonl, &record, "host")).unwrap();
    let (length, message) = framed.split_once(' ').unwrap();
    assert_eq!(length.parse::<usize>().unwrap(), message.len());
    assert!(message.starts_with(
        "<110>1 2026-01-02T03:04:05.678Z host privet - control [record@32473 chain=\"c\" seq=\"7\"] {"
    ));
}

/// Takes nothing until it is told to.
struct Stubborn(Arc<AtomicBool>);

impl Sink for Stubborn {
    async fn deliver(&mut self, _: Format, _: &[Value]) -> Result<(), NotTaken> {
        if self.0.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(NotTaken("not today".into()))
        }
    }
}

fn controls(folder: &Path) -> Vec<String> {
    let mut words = Vec::new();
    audit::records(&folder.join("audit"), 1, &mut |line| {
        let record: Value = serde_json::from_slice(line)?;
        words.extend(
            record["event"]["control"]["what"]
                .as_str()
                .map(str::to_owned),
        );
        Ok(())
    })
    .unwrap();
    words
}

#[tokio::test]
async fn a_sink_that_stays_away_is_told_of_and_a_full_spool_refuses_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        segment_bytes_max: 2_000,
        ..Options::default()
    };
    let log = Log::open(folder.path().join("audit"), options).unwrap();
    let takes = Arc::new(AtomicBool::new(false));
    let (shipper, mut told) = start(&log, folder.path(), Stubborn(Arc::clone(&takes)));
    let metrics = Arc::new(Metrics::new().unwrap());
    let state = SinkState {
        name: "siem".into(),
        kind: "test",
        format: "jsonl",
        progress: told.clone(),
    };
    let bounds = Bounds {
        failing_after: Duration::ZERO,
        spool_bytes_max: Some(20_000),
        every: Duration::from_millis(1),
    };
    let overseer = tokio::spawn(oversee(
        log.clone(),
        folder.path().join("audit"),
        vec![state],
        bounds,
        Arc::clone(&metrics),
    ));
    let attempt = async |id: &str| {
        let mut event = audit::control("x", "".into(), None);
        event.request_id = id.into();
        event.control = None;
        log.attempt(event).await
    };
    // Attempts are taken until the spool is full.
    let mut taken = 0;
    while let Ok(ticket) = attempt(&format!("r{taken}")).await {
        drop(ticket);
        taken += 1;
        tokio::task::yield_now().await;
    }
    assert!(taken > 20, "{taken}");
    let words = controls(folder.path());
    assert!(words.contains(&"sink-failing".to_owned()), "{words:?}");
    assert!(!words.contains(&"sink-well".to_owned()), "{words:?}");
    let text = metrics.text();
    let lag = |text: &str| -> u64 {
        let line = text
            .lines()
            .find(|l| l.starts_with("privet_audit_sink_lag_records{sink=\"siem\"}"));
        line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(
        lag(&text) > 20 && text.contains("privet_audit_spool_bytes "),
        "{text}"
    );
    // It comes back: everything goes, and requests are taken again.
    takes.store(true, Ordering::Relaxed);
    let ticket = loop {
        match attempt("later").await {
            Ok(ticket) => break ticket,
            Err(_) => tokio::task::yield_now().await,
        }
    };
    drop(ticket);
    loop {
        let words = controls(folder.path());
        let has = |word: &str| words.iter().any(|w| w == word);
        if has("sink-well") && has("spool-has-room") {
            assert!(has("spool-full"));
            break;
        }
        tokio::task::yield_now().await;
    }
    overseer.abort();
    let _ = overseer.await;
    let end = log.stats().seq_synced;
    told.wait_for(|p| p.shipped >= end).await.unwrap();
    shipper.abort();
    log.close().await.unwrap();
    let whole = verify(&folder.path().join("audit"), &Checks::default()).unwrap();
    assert!(whole.records > taken * 2);
}

#[tokio::test]
async fn a_drain_delivers_the_rest_and_gives_up_on_a_sink_that_is_away() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(folder.path().join("audit"), Options::default()).unwrap();
    record(&log, 40).await;
    log.close().await.unwrap();
    let end = log.stats().seq_synced;
    for takes in [false, true] {
        let (progress, told) = watch::channel(Progress::default());
        let (drain, drained) = watch::channel(true);
        let shipper = Shipper {
            name: "test".into(),
            log: log.clone(),
            directory: folder.path().join("audit"),
            cursor: Cursor::open(&folder.path().join("cursor.json")).unwrap(),
            format: Format::Jsonl,
            sink: Stubborn(Arc::new(AtomicBool::new(takes))),
            pace: QUICK,
            progress,
            drain: drained,
        };
        shipper.run().await;
        drop(drain);
        assert_eq!(told.borrow().shipped, if takes { end } else { 0 });
    }
    assert_eq!(
        Cursor::open(&folder.path().join("cursor.json"))
            .unwrap()
            .seq(),
        end
    );
}

#[tokio::test]
async fn a_half_written_line_of_the_file_is_cut_and_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("out.jsonl");
    let record = |seq: u64| json!({"chain": "c", "seq": seq, "event": {}});
    let mut sink = FileSink { path: path.clone() };
    sink.deliver(Format::Jsonl, &[record(1)]).await.unwrap();
    let mut text = std::fs::read(&path).unwrap();
    let whole = text.len();
    text.extend(vec![b'x'; 200_000]);
    std::fs::write(&path, &text).unwrap();
    sink.deliver(Format::Jsonl, &[record(2), record(3)])
        .await
        .unwrap();
    let text = std::fs::read(&path).unwrap();
    assert_eq!(text.len(), 3 * whole);
    assert_eq!(
        names(&text).iter().map(|(_, seq)| *seq).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    std::fs::write(&path, b"no newline at all").unwrap();
    sink.deliver(Format::Jsonl, &[record(4)]).await.unwrap();
    assert_eq!(names(&std::fs::read(&path).unwrap()).len(), 1);
}

/// Every checkpoint reaches the witness, and what it holds proves that the end was cut off together with them.
#[tokio::test]
async fn a_witness_over_http_has_every_checkpoint_and_tells_of_a_log_that_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("audit");
    let options = || Options {
        signer: Signer::from_seed(&[5; 32]).map(Arc::new),
        ..Options::default()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, mut bodies) = mpsc::unbounded_channel();
    let deaf = tokio::spawn(receive(listener, sender.clone(), false));
    let witness = |drain: bool| {
        let (progress, told) = watch::channel(Progress::default());
        let (keep, drain) = watch::channel(drain);
        let witness = HttpWitness {
            directory: directory.clone(),
            cursor: Cursor::open(&folder.path().join("witness.json")).unwrap(),
            post: post(address),
            pace: QUICK,
            progress,
            drain,
        };
        (witness, told, keep)
    };
    // Each end of a log signs a checkpoint.
    let session = async || {
        let log = Log::open(&directory, options()).unwrap();
        record(&log, 5).await;
        log.close().await.unwrap();
        log.stats().seq_signed
    };
    session().await;
    let (away, mut told, _keep) = witness(false);
    let away = tokio::spawn(away.run());
    told.wait_for(|p| p.failures > 1).await.unwrap();
    let signed = session().await;
    deaf.abort();
    let _ = deaf.await;
    while bodies.try_recv().is_ok() {}
    let well = tokio::spawn(receive(
        TcpListener::bind(address).await.unwrap(),
        sender,
        true,
    ));
    told.wait_for(|p| p.shipped == signed).await.unwrap();
    away.abort();
    let _ = away.await;
    // After a restart only what is new comes.
    let signed = session().await;
    let (again, told, _keep) = witness(true);
    again.run().await;
    assert_eq!(told.borrow().shipped, signed);
    well.abort();
    let mut kept = Vec::new();
    while let Ok(body) = bodies.try_recv() {
        kept.extend_from_slice(&body);
    }
    let own = std::fs::read(directory.join(CHECKPOINTS_FILE)).unwrap();
    assert_eq!(kept, own, "all of them, once each here");

    let checks = Checks {
        witnessed: Some(kept),
        ..Checks::default()
    };
    verify(&directory, &checks).unwrap();
    // The last session cut off, and its checkpoint with it.
    let segment = directory.join("audit-0000000000000001.jsonl");
    let lines = std::fs::read_to_string(&segment).unwrap();
    let end = lines.lines().count() - 5;
    let cut: String = lines.split_inclusive('\n').take(end).collect();
    std::fs::write(&segment, cut).unwrap();
    let notes = String::from_utf8(own).unwrap();
    let last = notes
        .rfind("privet/")
        .and_then(|at| notes[..at].rfind("privet/"))
        .unwrap();
    std::fs::write(directory.join(CHECKPOINTS_FILE), &notes[..last]).unwrap();
    verify(&directory, &Checks::default()).unwrap();
    let told = verify(&directory, &checks);
    assert!(
        matches!(&told, Err(VerifyError::Damaged(d)) if d.seq == end as u64 + 1),
        "{told:?}"
    );
}
