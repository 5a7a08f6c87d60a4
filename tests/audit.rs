//! The audit log on a real disk: a process that is killed at any moment, a second writer, and `audit verify`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a panic is how a test fails, and it says what it skips"
)]

#[path = "e2e/authority.rs"]
mod authority;
#[path = "audit/sinks.rs"]
mod sinks;

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use clap::{Args as _, FromArgMatches as _};
use privet::cli::audit as verb;
use privet::engine::event::{Ending, Event, Kind, Outcome};
use privet::observe::audit::{CHECKPOINTS_FILE, Checks, Log, OpenError, Options, Signer, verify};

const CHILD: &str = "PRIVET_TEST_AUDIT_CHILD";

/// How often the process is killed; `PRIVET_AUDIT_KILLS` says otherwise.
fn runs() -> u64 {
    std::env::var("PRIVET_AUDIT_KILLS").map_or(50, |n| n.parse().unwrap())
}

fn event(request: &str, outcome: Option<Ending>) -> Event {
    Event {
        kind: Kind::Attempt,
        time: "2026-01-01T00:00:00.000Z".into(),
        request_id: request.into(),
        correlation_id: None,
        who: None,
        what: None,
        outcome: outcome.map(|ending| Outcome::without_answer(ending, "test")),
        control: None,
        alert: None,
    }
}

fn options() -> Options {
    Options {
        segment_bytes_max: 32 << 10,
        signer: Signer::from_seed(&[1; 32]).map(Arc::new),
        ..Options::default()
    }
}

/// Writes for ever; says `written`, `durable`, `closed` and the request id after each acknowledgement.
async fn write_until_killed(directory: OsString) {
    let log = Log::open(Path::new(&directory), options()).unwrap();
    let tasks = (0..8).map(|task| {
        let log = log.clone();
        tokio::spawn(async move {
            for n in 0.. {
                let id = format!("{}-{task}-{n}", std::process::id());
                let mut ticket = log.attempt(event(&id, None)).await.unwrap();
                say("written", &id);
                ticket.durable().await.unwrap();
                say("durable", &id);
                log.outcome(ticket, event("", Some(Ending::Complete)))
                    .await
                    .unwrap();
                say("closed", &id);
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
}

fn say(what: &str, id: &str) {
    // A closed pipe means that the parent is gone.
    if writeln!(std::io::stdout().lock(), "@{what} {id}").is_err() {
        std::process::exit(1);
    }
}

/// Kind or ending of every event, by request id, in the order of the log.
fn events(directory: &Path) -> HashMap<String, Vec<String>> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "jsonl"))
        .collect();
    files.sort();
    let mut events: HashMap<String, Vec<String>> = HashMap::new();
    for file in files {
        for line in fs::read_to_string(file).unwrap().lines() {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let event = &record["event"];
            let word = event["outcome"]["ending"].as_str();
            events
                .entry(event["request_id"].as_str().unwrap().to_owned())
                .or_default()
                .push(word.or(event["kind"].as_str()).unwrap().to_owned());
        }
    }
    events
}

/// The parent kills the child after a varying number of acknowledgements. Everything acknowledged must be there
/// after the next start, every attempt must be closed once, and the chain must hold over all runs.
#[test]
fn a_process_killed_at_any_moment_loses_nothing_acknowledged() {
    if let Some(directory) = std::env::var_os(CHILD) {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .build()
            .unwrap();
        return runtime.block_on(write_until_killed(directory));
    }
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged: HashMap<String, Vec<String>> = HashMap::new();
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    for _ in 0..runs() {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "a_process_killed_at_any_moment_loses_nothing_acknowledged",
                "--nocapture",
                "--test-threads=1",
            ])
            .env(CHILD, directory.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut left = seed % 120;
        let mut killed = false;
        for line in BufReader::new(child.stdout.take().unwrap()).split(b'\n') {
            let line = String::from_utf8(line.unwrap()).unwrap();
            // The harness writes its own text before the first one without a newline.
            let Some((_, said)) = line.split_once('@') else {
                continue;
            };
            if let Some((what, id)) = said.split_once(' ') {
                acknowledged.entry(id.into()).or_default().push(what.into());
            }
            if left == 0 && !killed {
                child.kill().unwrap();
                killed = true;
            }
            left = left.saturating_sub(1);
        }
        child.wait().unwrap();
        assert!(killed, "the child ended by itself");
    }
    let log = Log::open(directory.path(), options()).unwrap();
    drop(log);
    let whole = verify(directory.path(), &Checks::default()).unwrap();
    assert_eq!(whole.open, 0);
    assert_eq!(whole.signed, whole.last.seq);
    assert!(whole.checkpoints > 0);
    assert!(whole.segments > 1);
    let events = events(directory.path());
    let mut words = HashSet::new();
    for (id, said) in &acknowledged {
        let recorded = events.get(id).map(Vec::as_slice).unwrap_or_default();
        assert_eq!(recorded.len(), 2, "{id} {said:?} {recorded:?}");
        assert_eq!(recorded[0], "attempt", "{id}");
        if said.iter().any(|word| word == "closed") {
            assert_eq!(recorded[1], "complete", "{id}");
        }
        words.insert(recorded[1].as_str());
    }
    assert!(acknowledged.len() as u64 >= runs());
    assert_eq!(words, HashSet::from(["complete", "unknown"]));
}

#[test]
fn a_second_writer_is_kept_out() {
    let directory = tempfile::tempdir().unwrap();
    let first = Log::open(directory.path(), options()).unwrap();
    let second = Log::open(directory.path(), options());
    assert!(matches!(second, Err(OpenError::Io { .. })), "{second:?}");
    drop(first);
    Log::open(directory.path(), options()).unwrap();
}

fn run_verify(arguments: &[&str]) -> (u8, String) {
    let command = verb::Audit::augment_args(clap::Command::new("audit"));
    let matches = command
        .try_get_matches_from([&["audit", "verify"], arguments].concat())
        .unwrap();
    let arguments = verb::Audit::from_arg_matches(&matches).unwrap();
    let mut out = Vec::new();
    let code = verb::report(&arguments, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn verify_works_on_a_copy_and_names_the_first_bad_record() {
    let directory = tempfile::tempdir().unwrap();
    let log = Log::open(directory.path(), options()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        for request in ["a", "b", "c"] {
            let ticket = log.attempt(event(request, None)).await.unwrap();
            let event = event("", Some(Ending::Complete));
            log.outcome(ticket, event).await.unwrap();
        }
    });
    // The log is still open here.
    let copy = tempfile::tempdir().unwrap();
    let name = "audit-0000000000000001.jsonl";
    let bytes = fs::read(directory.path().join(name)).unwrap();
    let path = copy.path().to_str().unwrap();
    fs::write(copy.path().join(name), &bytes).unwrap();
    let (code, text) = run_verify(&[path]);
    assert_eq!(code, 0, "{text}");
    let anchor = text
        .lines()
        .find_map(|line| line.strip_prefix("anchor: "))
        .unwrap();
    assert_eq!(run_verify(&[path, "--anchor", anchor]).0, 0);
    assert!(text.contains("7 records (1 to 7)"), "{text}");

    let changed = String::from_utf8(bytes.clone()).unwrap().replacen(
        "\"request_id\":\"b\"",
        "\"request_id\":\"x\"",
        1,
    );
    fs::write(copy.path().join(name), changed).unwrap();
    let (code, text) = run_verify(&[path]);
    assert_eq!(code, 1);
    assert!(
        text.contains("FAILED at record 4") && text.contains(":4:"),
        "{text}"
    );

    let empty = tempfile::tempdir().unwrap();
    assert_eq!(run_verify(&[empty.path().to_str().unwrap()]).0, 1);
    let missing = empty.path().join("not-there");
    assert_eq!(run_verify(&[missing.to_str().unwrap()]).0, 69);

    runtime.block_on(log.close()).unwrap();
    let path = directory.path().to_str().unwrap();
    let key = Signer::from_seed(&[1; 32]).unwrap().public().to_string();
    let other = Signer::from_seed(&[2; 32]).unwrap().public().to_string();
    let (code, text) = run_verify(&[path, "--key", &key]);
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("over record 7"), "{text}");
    assert_eq!(run_verify(&[path, "--key", &other]).0, 1);
    // The log cut together with its checkpoints: only the witness tells.
    let witness = copy.path().join("witness");
    fs::copy(directory.path().join(CHECKPOINTS_FILE), &witness).unwrap();
    let whole = String::from_utf8(bytes).unwrap();
    let cut: String = whole.split_inclusive('\n').take(5).collect();
    fs::write(copy.path().join(name), cut).unwrap();
    let path = copy.path().to_str().unwrap();
    assert_eq!(run_verify(&[path]).0, 0);
    let (code, text) = run_verify(&[path, "--witness", witness.to_str().unwrap()]);
    assert_eq!(code, 1);
    assert!(text.contains("FAILED at record 6"), "{text}");
}
