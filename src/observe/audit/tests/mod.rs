mod checkpoints;
mod disk;

use std::sync::{Arc, Condvar, Mutex};

use proptest::prelude::*;

use super::scan::{recover, verify_on};
use super::*;
use disk::{Fault, Gate, Gated, Memory};

fn event(request: &str) -> Event {
    Event {
        kind: Kind::Attempt,
        time: now(),
        request_id: request.into(),
        correlation_id: None,
        who: None,
        what: None,
        outcome: None,
        control: None,
        alert: None,
    }
}

fn finished(request: &str) -> Event {
    let mut event = event(request);
    event.outcome = Some(Outcome::without_answer(Ending::Complete, "done"));
    event
}

fn open(disk: &Memory, options: Options) -> Result<Log, RecoverError> {
    Log::open_on(Arc::new(disk.clone()), options)
}

fn small_segments() -> Options {
    Options {
        segment_bytes_max: 2_000,
        ..Options::default()
    }
}

/// A log of `requests` requests, each with attempt and outcome, closed.
async fn recorded(requests: usize, options: Options) -> Memory {
    let disk = Memory::default();
    let log = open(&disk, options).ok().unwrap();
    for n in 0..requests {
        let ticket = log.attempt(event(&format!("r{n}"))).await.unwrap();
        log.outcome(ticket, finished("ignored")).await.unwrap();
    }
    log.close().await.unwrap();
    disk
}

fn verified(disk: &Memory) -> Result<Verified, Damage> {
    match verify_on(disk, &Checks::default()) {
        Ok(verified) => Ok(verified),
        Err(VerifyError::Damaged(damage)) => Err(damage),
        Err(other) => panic!("{other}"),
    }
}

#[tokio::test]
async fn attempt_and_outcome_stand_in_order_over_segments_and_restarts() {
    let disk = recorded(20, small_segments()).await;
    let log = open(&disk, small_segments()).ok().unwrap();
    let ticket = log.attempt(event("later")).await.unwrap();
    log.outcome(ticket, finished("later")).await.unwrap();
    log.control(control_event("policy-loaded", String::new()))
        .await
        .unwrap();
    drop(log);
    let whole = verified(&disk).unwrap();
    assert!(whole.segments > 5, "{whole:?}");
    assert_eq!((whole.open, whole.cuts), (0, 0));
    let events = disk.events();
    assert_eq!(events["r7"], ["attempt", "complete"]);
    assert_eq!(events["later"], ["attempt", "complete"]);
    assert_eq!(
        whole.records,
        21 * 2 + 1 + whole.segments as u64,
        "nothing but the events and one opening per segment"
    );
}

#[tokio::test]
async fn a_dropped_ticket_leaves_an_outcome() {
    let disk = Memory::default();
    let log = open(&disk, Options::default()).ok().unwrap();
    drop(log.attempt(event("dropped")).await.unwrap());
    let clone = log.clone();
    let panicked = tokio::spawn(async move {
        let _ticket = clone.attempt(event("panicked")).await.unwrap();
        panic!("in the exchange");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    log.close().await.unwrap();
    assert_eq!(disk.events()["dropped"], ["attempt", "client-gone"]);
    assert_eq!(disk.events()["panicked"], ["attempt", "aborted"]);
    assert!(log.attempt(event("late")).await.is_err());
}

#[tokio::test]
async fn an_attempt_is_written_while_a_commit_runs_and_durable_only_after_it() {
    let disk = Memory::default();
    let log = open(&disk, Options::default()).ok().unwrap();
    disk.stall(true);
    let mut first = log.attempt(event("first")).await.unwrap();
    disk.wait_for_stalled_sync();
    let second = log.attempt(event("second")).await.unwrap();
    assert_eq!(disk.events()["second"], ["attempt"]);
    let stats = log.stats();
    assert_eq!((stats.open_attempts, stats.commits), (2, 0));
    assert!(stats.seq_synced < stats.seq_written);
    {
        let mut durable = std::pin::pin!(first.durable());
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        assert!(durable.as_mut().poll(&mut context).is_pending());
        disk.stall(false);
        durable.await.unwrap();
    }
    log.outcome(first, finished("first")).await.unwrap();
    drop(second);
    log.close().await.unwrap();
    assert_eq!(log.stats().seq_synced, log.stats().seq_written);
}

#[tokio::test]
async fn a_subscriber_gets_what_is_durable_in_order_and_is_told_what_it_missed() {
    let disk = Memory::default();
    let log = open(&disk, Options::default()).ok().unwrap();
    log.control(event("before")).await.unwrap();
    let (mut quick, mut slow) = (log.subscribe(), log.subscribe());
    disk.stall(true);
    let ticket = log.attempt(event("r")).await.unwrap();
    disk.wait_for_stalled_sync();
    {
        let mut next = std::pin::pin!(quick.next());
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(next.as_mut().poll(&mut context).is_pending());
    }
    disk.stall(false);
    log.outcome(ticket, finished("r")).await.unwrap();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let Some(Fed::Record(record)) = quick.next().await else {
            panic!("a record");
        };
        kinds.push((record.seq, record.event.kind));
    }
    assert_eq!(kinds, [(3, Kind::Attempt), (4, Kind::Outcome)]);
    let more = FEED_RECORDS_MAX as u64;
    for _ in 0..more {
        log.shared().push(event("later"), Mark::Control).unwrap();
    }
    log.close().await.unwrap();
    assert!(matches!(slow.next().await, Some(Fed::Lost(2))));
    let mut got = 0;
    while let Some(Fed::Record(record)) = slow.next().await {
        got += 1;
        assert_eq!(record.seq, 4 + got);
    }
    assert_eq!(got, more);
    assert!(log.subscribe().next().await.is_none());
}

#[tokio::test]
async fn a_full_queue_refuses_attempts_at_once_and_still_takes_outcomes() {
    let gate = Arc::new((
        Mutex::new(Gate {
            open: true,
            waiting: false,
        }),
        Condvar::new(),
    ));
    let disk = Memory::default();
    let options = Options {
        queue_records_max: 3,
        ..Options::default()
    };
    let log = Log::open_on(Arc::new(Gated(disk.clone(), gate.clone())), options)
        .ok()
        .unwrap();
    let ticket = log.attempt(event("before")).await.unwrap();
    {
        let mut gate = gate.0.lock().unwrap();
        gate.open = false;
        gate.waiting = false;
    }
    let spawn = |name: &'static str| {
        let log = log.clone();
        tokio::spawn(async move { log.attempt(event(name)).await.map(drop) })
    };
    let mut taken = vec![spawn("in-hand")];
    tokio::task::yield_now().await;
    drop(
        gate.1
            .wait_while(gate.0.lock().unwrap(), |gate| !gate.waiting)
            .unwrap(),
    );
    for name in ["a", "b", "c"] {
        taken.push(spawn(name));
        tokio::task::yield_now().await;
    }
    assert_eq!(log.stats().queue_records, 3);
    assert!(log.attempt(event("refused")).await.is_err());
    let closing = {
        let log = log.clone();
        tokio::spawn(async move { log.outcome(ticket, finished("before")).await })
    };
    tokio::task::yield_now().await;
    assert_eq!(log.stats().queue_records, 4);
    gate.0.lock().unwrap().open = true;
    gate.1.notify_all();
    for task in taken {
        task.await.unwrap().unwrap();
    }
    closing.await.unwrap().unwrap();
    log.close().await.unwrap();
    assert_eq!(disk.events()["before"], ["attempt", "complete"]);
    assert!(!disk.events().contains_key("refused"));
    verified(&disk).unwrap();
}

/// What a run with a fault may rely on afterwards.
#[derive(Default)]
struct Acknowledged {
    written: Vec<String>,
    durable: Vec<String>,
    closed: Vec<String>,
}

const ROUNDS: usize = 6;
const CONCURRENT: usize = 4;

/// Runs rounds of concurrent requests.
async fn run(log: &Log) -> Acknowledged {
    let mut all = Acknowledged::default();
    for round in 0..ROUNDS {
        let mut tasks = Vec::new();
        for n in 0..CONCURRENT {
            let log = log.clone();
            tasks.push(tokio::spawn(async move {
                let id = format!("r{round}-{n}");
                let mut seen = Acknowledged::default();
                let Ok(mut ticket) = log.attempt(event(&id)).await else {
                    return seen;
                };
                seen.written.push(id.clone());
                if n % 2 == 0 {
                    if ticket.durable().await.is_err() {
                        return seen;
                    }
                    seen.durable.push(id.clone());
                }
                if log.outcome(ticket, finished(&id)).await.is_ok() {
                    seen.closed.push(id);
                }
                seen
            }));
        }
        for task in tasks {
            let seen = task.await.unwrap();
            all.written.extend(seen.written);
            all.durable.extend(seen.durable);
            all.closed.extend(seen.closed);
        }
    }
    all
}

#[tokio::test]
async fn whatever_operation_fails_nothing_acknowledged_is_lost() {
    let options = || Options {
        segment_bytes_max: 3_000,
        signer: Some(Arc::new(Signer::from_seed(&[3; 32]).unwrap())),
        ..Options::default()
    };
    for fault in [Fault::Refused, Fault::DiskFull] {
        let mut failures = 0;
        for at in 1.. {
            let disk = Memory::default();
            disk.disk(|disk| disk.fault = Some((at, fault)));
            let log = match open(&disk, options()) {
                Ok(log) => log,
                Err(RecoverError::Io(_)) => {
                    // Refused to start; the next start must go well.
                    failures += 1;
                    let disk = disk.after_crash(1000);
                    open(&disk, options()).ok().unwrap().close().await.unwrap();
                    verified(&disk).unwrap();
                    continue;
                }
                Err(RecoverError::Damaged(damage)) => panic!("{damage}"),
            };
            let seen = run(&log).await;
            if log.stats().failed {
                failures += 1;
                assert!(log.attempt(event("after")).await.is_err());
                assert!(log.control(event("after")).await.is_err());
                assert!(log.close().await.is_err());
            } else {
                assert_eq!(seen.closed.len(), ROUNDS * CONCURRENT);
            }
            drop(log);
            if disk.disk(|disk| disk.operations) < at {
                break;
            }
            for kept in [0, 1, 500, 999, 1000] {
                let disk = disk.after_crash(kept);
                let log = open(&disk, options())
                    .map_err(|error| match error {
                        RecoverError::Damaged(damage) => damage.to_string(),
                        RecoverError::Io(error) => error.to_string(),
                    })
                    .unwrap();
                log.close().await.unwrap();
                let whole = verified(&disk).unwrap();
                assert_eq!(whole.open, 0, "{fault:?} at {at}, kept {kept}");
                let events = disk.events();
                for id in &seen.closed {
                    assert_eq!(events[id], ["attempt", "complete"], "{fault:?} at {at}");
                }
                for id in &seen.durable {
                    assert_eq!(events[id][0], "attempt");
                }
                if kept == 1000 {
                    for id in &seen.written {
                        assert_eq!(events[id][0], "attempt");
                    }
                }
                for events in events.iter().filter(|(id, _)| !id.is_empty()) {
                    assert_eq!(events.1.len(), 2, "attempt and one outcome: {events:?}");
                }
            }
        }
        // Opening takes 4 operations, a round at least two writes and a sync; the last fault may go unnoticed.
        assert!(failures >= 4 + 3 * ROUNDS - 1, "{fault:?}: {failures}");
    }
}

#[tokio::test]
async fn every_cut_of_the_last_record_recovers_and_says_so() {
    let disk = recorded(3, Options::default()).await;
    let name = disk.segments().pop().unwrap();
    let whole = disk.bytes(&name);
    let last = whole[..whole.len() - 1]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .unwrap()
        + 1;
    for cut in last..whole.len() {
        let disk = Memory::default();
        disk.set(&name, whole[..cut].to_vec());
        let before = verify_on(&disk, &Checks::default());
        assert_eq!(before.is_err(), cut > last, "verify names a torn tail");
        open(&disk, Options::default())
            .ok()
            .unwrap()
            .close()
            .await
            .unwrap();
        let after = verified(&disk).unwrap();
        assert_eq!(after.cuts, u64::from(cut > last), "at {cut}");
        assert_eq!(after.open, 0);
        assert_eq!(disk.events()["r2"], ["attempt", "unknown"]);
        let aside = disk.disk(|disk| {
            disk.files
                .iter()
                .find(|(name, _)| name.starts_with("torn-"))
                .map(|(_, file)| file.bytes.clone())
        });
        assert_eq!(aside.unwrap_or_default(), whole[last..cut]);
    }
}

#[tokio::test]
async fn open_attempts_are_closed_even_when_their_segment_is_no_longer_read() {
    let disk = Memory::default();
    let log = open(&disk, small_segments()).ok().unwrap();
    let left_open = log.attempt(event("left-open")).await.unwrap();
    for n in 0..40 {
        let ticket = log.attempt(event(&format!("r{n}"))).await.unwrap();
        log.outcome(ticket, finished("")).await.unwrap();
    }
    log.close().await.unwrap();
    drop(left_open);
    assert_eq!(disk.events()["left-open"], ["attempt"]);
    let options = Options {
        verify_bytes_max: 0,
        ..small_segments()
    };
    open(&disk, options).ok().unwrap().close().await.unwrap();
    assert_eq!(disk.events()["left-open"], ["attempt", "unknown"]);
    verified(&disk).unwrap();
}

#[tokio::test]
async fn damage_in_the_middle_stops_the_start_and_is_named() {
    let disk = recorded(6, Options::default()).await;
    let name = disk.segments().pop().unwrap();
    let mut bytes = disk.bytes(&name);
    let second_line = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    bytes[second_line + 150] ^= 4;
    disk.set(&name, bytes.clone());
    let Err(RecoverError::Damaged(damage)) = open(&disk, Options::default()) else {
        panic!("must refuse");
    };
    assert_eq!((damage.file, damage.line, damage.seq), (name.clone(), 2, 2));
    assert_eq!(disk.bytes(&name), bytes, "evidence is not touched");
}

/// A disk may write the pages of the last batch in any order: zeros with whole records after them.
#[tokio::test]
async fn a_hole_in_what_was_never_synced_is_a_torn_tail() {
    let disk = Memory::default();
    let log = open(&disk, Options::default()).ok().unwrap();
    let ticket = log.attempt(event("acknowledged")).await.unwrap();
    log.outcome(ticket, finished("")).await.unwrap();
    disk.stall(true);
    let mut tickets = Vec::new();
    for request in ["a", "b", "c"] {
        tickets.push(log.attempt(event(request)).await.unwrap());
    }
    let after = disk.after_crash(1000);
    disk.stall(false);
    drop(tickets);
    let name = after.segments().pop().unwrap();
    let (_, mut lines) = flat(&after).pop().unwrap();
    assert_eq!(lines.len(), 6);
    lines[3].fill(0);
    after.set(&name, lines.concat());
    open(&after, Options::default())
        .ok()
        .unwrap()
        .close()
        .await
        .unwrap();
    assert_eq!(verified(&after).unwrap().cuts, 1);
    assert_eq!(after.events()["acknowledged"], ["attempt", "complete"]);
    assert!(!after.events().contains_key("b"));
}

fn flat(disk: &Memory) -> Vec<(String, Vec<Vec<u8>>)> {
    disk.segments()
        .into_iter()
        .map(|name| {
            let bytes = disk.bytes(&name);
            let lines = bytes
                .split_inclusive(|byte| *byte == b'\n')
                .map(<[u8]>::to_vec);
            (name, lines.collect())
        })
        .collect()
}

/// Kinds of [`tampered`].
const MANIPULATIONS: u8 = 14;

/// The chain's segments with one manipulation, and the sequence number that must be named.
fn tampered(
    segments: &[(String, Vec<Vec<u8>>)],
    other: &[(String, Vec<Vec<u8>>)],
    kind: u8,
    at: usize,
    byte: usize,
) -> Option<(Memory, u64)> {
    let mut segments = segments.to_vec();
    let places: Vec<(usize, usize)> = segments
        .iter()
        .enumerate()
        .flat_map(|(s, (_, lines))| (0..lines.len()).map(move |l| (s, l)))
        .collect();
    let index = at % places.len();
    let (s, l) = places[index];
    let mut named = index as u64 + 1;
    let last = index + 1 == places.len();
    let segment_follows = s + 1 < segments.len();
    let first_of = |s: usize| places.iter().position(|p| *p == (s, 0)).unwrap() as u64 + 1;
    let lines = &mut segments[s].1;
    match kind {
        // A flipped bit.
        0 => {
            let byte = byte % lines[l].len();
            lines[l][byte] ^= 1;
        }
        // A deleted record; at the very end only an anchor can tell.
        1 if !last => {
            lines.remove(l);
        }
        // Two records in the other order.
        2 if l + 1 < lines.len() => lines.swap(l, l + 1),
        // A record twice.
        3 => {
            let copy = lines[l].clone();
            lines.insert(l, copy);
            named += 1;
        }
        // A cut inside a record.
        4 => {
            let byte = 1 + byte % (lines[l].len() - 1);
            lines[l].truncate(byte);
        }
        // A whole segment gone.
        5 if segment_follows => {
            named = first_of(s);
            segments.remove(s);
        }
        // Two whole segments under each other's names.
        7 if segment_follows => {
            named = first_of(s);
            let (before, after) = segments.split_at_mut(s + 1);
            std::mem::swap(&mut before[s].1, &mut after[0].1);
        }
        // A whole segment of another chain in the place of one; in the first place, the next one does not fit.
        8 if s > 0 || segment_follows => {
            named = first_of(s.max(1));
            segments[s].1 = other[s % other.len()].1.clone();
        }
        // The end of a segment of another chain behind the beginning of one.
        9 if l > 0 && l < other[s % other.len()].1.len() => {
            let theirs = &other[s % other.len()].1[l..];
            lines.truncate(l);
            lines.extend_from_slice(theirs);
        }
        // A segment cut at a record's end, with more behind it.
        10 if segment_follows => {
            lines.truncate(l);
        }
        // A segment once more, under the name that would follow it.
        11 if segment_follows => {
            named = first_of(s + 1);
            segments[s + 1].1 = segments[s].1.clone();
        }
        // A segment without its first records, named by the one that is first now. In the first place nothing stands
        // before it that it could be missed by; that it has no tree is told.
        12 if l > 0 => {
            if s > 0 {
                named = first_of(s);
            }
            lines.drain(..l);
            segments[s].0 = segment_name(index as u64 + 1);
        }
        // An empty file in the place of a segment.
        13 if segment_follows => {
            named = first_of(s);
            segments[s].1.clear();
        }
        // A record written anew, with a hash that fits itself.
        6 if !last => {
            let line = &lines[l][..lines[l].len() - 1];
            let old = record::parse(line).unwrap();
            let mut new = Vec::new();
            record::encode(
                &mut new,
                old.place,
                br#"{"kind":"control","request_id":"forged"}"#,
            );
            lines[l] = new;
            named += 1;
        }
        _ => return None,
    }
    let disk = Memory::default();
    for (name, lines) in segments {
        disk.set(&name, lines.concat());
    }
    Some((disk, named))
}

#[test]
fn verify_finds_every_manipulation_and_names_the_first_record() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let segments = flat(&runtime.block_on(recorded(15, small_segments())));
    let other = flat(&runtime.block_on(recorded(15, small_segments())));
    assert!(segments.len() > 3);
    let pieces = (0..MANIPULATIONS, any::<usize>(), any::<usize>());
    proptest!(ProptestConfig::with_cases(1_200), |((kind, at, byte) in pieces)| {
        let Some((disk, named)) = tampered(&segments, &other, kind, at, byte) else {
            return Ok(());
        };
        let damage = verified(&disk).expect_err("must be found");
        prop_assert_eq!(damage.seq, named, "{} (kind {})", damage, kind);
    });
}

/// Each kind once at every position: none of them is one that chance never tries.
#[test]
fn every_kind_of_manipulation_is_found_at_every_position() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let segments = flat(&runtime.block_on(recorded(9, small_segments())));
    let other = flat(&runtime.block_on(recorded(9, small_segments())));
    let records: usize = segments.iter().map(|(_, lines)| lines.len()).sum();
    for kind in 0..MANIPULATIONS {
        let mut tried = 0;
        for at in 0..records {
            let Some((disk, named)) = tampered(&segments, &other, kind, at, 31 * at) else {
                continue;
            };
            tried += 1;
            let damage = verified(&disk).expect_err("must be found");
            assert_eq!(damage.seq, named, "{damage} (kind {kind} at {at})");
        }
        assert!(tried > 1, "kind {kind}");
    }
}

#[tokio::test]
async fn an_anchor_finds_a_log_that_was_cut_or_written_anew() {
    let disk = recorded(5, Options::default()).await;
    let last = verified(&disk).unwrap().last;
    let check = |disk: &Memory| {
        let anchor = Some(last.to_string().parse().unwrap());
        verify_on(
            disk,
            &Checks {
                anchor,
                ..Checks::default()
            },
        )
    };
    check(&disk).unwrap();
    let name = disk.segments().pop().unwrap();
    let mut lines = flat(&disk).pop().unwrap().1;
    lines.pop();
    disk.set(&name, lines.concat());
    verified(&disk).unwrap();
    assert!(matches!(check(&disk), Err(VerifyError::Damaged(d)) if d.seq == last.seq));
    let other = recorded(5, Options::default()).await;
    assert!(matches!(check(&other), Err(VerifyError::Damaged(d)) if d.seq == last.seq));
}

proptest! {
    /// Whatever bytes stand in a segment: no panic, and what starts also verifies.
    #[test]
    fn recovery_never_panics_and_never_invents(
        noise in prop::collection::vec(any::<u8>(), 0..400),
        keep in 0usize..2_000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let disk = runtime.block_on(recorded(2, Options::default()));
        let name = disk.segments().pop().unwrap();
        let mut bytes = disk.bytes(&name);
        let records_before = disk.events().values().map(Vec::len).sum::<usize>();
        bytes.truncate(keep);
        bytes.extend(&noise);
        disk.set(&name, bytes);
        if let Ok(recovered) = recover(&disk, 0) {
            prop_assert!(recovered.walk.seq <= records_before as u64);
            match verify_on(&disk, &Checks::default()) {
                Ok(whole) => prop_assert_eq!(whole.last.seq, recovered.walk.seq),
                Err(error) => prop_assert!(matches!(error, VerifyError::Empty), "{}", error),
            }
        }
    }
}
