use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
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
    Cursor, Dial, FileSink, Format, HttpSink, Pace, Post, Progress, Shipper, Sink, Wire, message,
};
use crate::observe::audit::{self, Log, Options};

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
