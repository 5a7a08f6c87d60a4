use std::io::Write;

use super::*;

const NOW_MS: i64 = 1_795_428_000_000;

fn outcome(seq: u64, caller: &str, ago_ms: i64, rows: u64) -> String {
    let time = jiff::Timestamp::from_millisecond(NOW_MS - ago_ms).unwrap();
    let event = serde_json::json!({
        "kind": "outcome", "time": format!("{time:.3}"), "request_id": format!("r{seq}"),
        "who": { "subject": "s", "client": caller, "roles": ["bi"], "tenant": "t", "proof": "api-key:k" },
        "what": { "api": "salesforce", "endpoint": "query", "action": "read", "purpose": "analytics",
                  "policy": "abc", "objects": ["Contact"], "uses": ["filter:Contact.City"],
                  "fields": { "clear": ["Contact.Id"], "mask:email": ["Contact.Email"] }, "rules": ["r1"] },
        "outcome": { "ending": "complete", "status": 200, "rows": rows, "treated": { "mask:email Contact.Email": rows / 2 },
                     "unplanned_members": 0, "bytes_in": 1, "bytes_out": 1, "duration_us": 5 },
    });
    format!(
        "{{\"chain\":\"c\",\"seq\":{seq},\"synced\":0,\"prev\":\"00\",\"event\":{event},\"hash\":\"00\"}}\n"
    )
}

fn volume(flows: &[(Band, Volume)], field: &str) -> Option<Volume> {
    let found = flows.iter().find(|(b, _)| &*b.field == field);
    found.map(|(_, v)| *v)
}

#[test]
fn flows_count_values_in_their_span() {
    let trail = Trail::default();
    const MINUTE: i64 = 60_000;
    trail.take(outcome(1, "tableau", MINUTE, 10).as_bytes());
    trail.take(outcome(2, "tableau", 60 * MINUTE, 100).as_bytes());
    trail.take(outcome(3, "tableau", 3 * 24 * 60 * MINUTE, 1000).as_bytes());
    for (span, ids, mails) in [
        (Span::Quarter, 10, 5),
        (Span::Day, 110, 55),
        (Span::Week, 1110, 555),
    ] {
        let flows = trail.flows(span, NOW_MS);
        assert_eq!(
            volume(&flows, "Contact.Id").unwrap().values,
            ids,
            "{span:?}"
        );
        assert_eq!(volume(&flows, "Contact.Email").unwrap().values, mails);
    }
    // What comes late does not push out what is newer.
    trail.take(outcome(4, "tableau", 90 * 24 * 60 * MINUTE, 7).as_bytes());
    let flows = trail.flows(Span::Week, NOW_MS);
    assert_eq!(volume(&flows, "Contact.Id").unwrap().values, 1110);
}

#[test]
fn what_is_kept_is_bounded_however_many_callers_there_are() {
    let trail = Trail::default();
    for n in 0..ENTRIES_MAX as u64 + 2_000 {
        trail.take(outcome(n, &format!("client-{n}"), 0, 2).as_bytes());
    }
    let (_, looked_at) = trail.newest(&Wanted::default(), 1);
    assert!(looked_at <= ENTRIES_MAX);
    let flows = trail.flows(Span::Quarter, NOW_MS);
    // One more for each treatment that stands for the rest.
    assert!(flows.len() <= BANDS_MAX + 2, "{}", flows.len());
    let answers: u64 = flows
        .iter()
        .filter(|(b, _)| &*b.treatment == "clear")
        .map(|(_, v)| v.answers)
        .sum();
    assert_eq!(
        answers,
        ENTRIES_MAX as u64 + 2_000,
        "none is lost, only names"
    );
    assert_eq!(&*flows[0].0.caller, OTHER);
}

#[test]
fn filters_find_by_caller_field_treatment_and_request() {
    let trail = Trail::default();
    for (n, caller) in [(1, "tableau"), (2, "mailer"), (3, "tableau")] {
        trail.take(outcome(n, caller, 0, 1).as_bytes());
    }
    let find = |wanted: Wanted| -> Vec<u64> {
        trail.newest(&wanted, 10).0.iter().map(|e| e.seq).collect()
    };
    let all = Wanted::default();
    assert_eq!(find(all), [3, 2, 1]);
    let wanted = |change: fn(&mut Wanted)| {
        let mut w = Wanted::default();
        change(&mut w);
        w
    };
    assert_eq!(find(wanted(|w| w.caller = "mailer".into())), [2]);
    assert_eq!(find(wanted(|w| w.request = "r3".into())), [3]);
    assert_eq!(find(wanted(|w| w.field = "Contact".into())), [3, 2, 1]);
    assert_eq!(find(wanted(|w| w.field = "Contact.City".into())), [3, 2, 1]);
    assert_eq!(find(wanted(|w| w.field = "Contact.C".into())), [0; 0]);
    let treated = |field: &str| Wanted {
        field: field.into(),
        treatment: "mask:email".into(),
        ..Wanted::default()
    };
    assert_eq!(find(treated("Contact.Email")), [3, 2, 1]);
    assert_eq!(find(treated("Contact.Id")), [0; 0]);
    assert_eq!(find(wanted(|w| w.kind = "attempt".into())), [0; 0]);
}

#[test]
fn a_folder_is_read_once_and_followed_over_segments_and_half_lines() {
    let folder = tempfile::tempdir().unwrap();
    let path = |n: u64| folder.path().join(format!("audit-{n:016}.jsonl"));
    let trail = Trail::default();
    let seqs = || -> Vec<u64> {
        let (found, _) = trail.newest(&Wanted::default(), 100);
        found.iter().rev().map(|e| e.seq).collect()
    };
    std::fs::write(path(1), outcome(1, "a", 0, 1)).unwrap();
    let mut follower = refill(&trail, folder.path()).unwrap();
    assert_eq!(seqs(), [1]);
    let append = |n: u64, text: &str| {
        let mut options = std::fs::OpenOptions::new();
        let mut file = options.append(true).create(true).open(path(n)).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    };
    let second = outcome(2, "a", 0, 1);
    append(1, &second[..20]);
    follower.catch_up(&trail).unwrap();
    assert_eq!(seqs(), [1]);
    append(1, &second[20..]);
    append(3, &outcome(3, "a", 0, 1));
    follower.catch_up(&trail).unwrap();
    follower.catch_up(&trail).unwrap();
    assert_eq!(seqs(), [1, 2, 3]);
}

#[tokio::test]
async fn the_tail_gets_what_comes() {
    let trail = Trail::default();
    trail.take(outcome(1, "a", 0, 1).as_bytes());
    let mut tail = trail.tail();
    trail.take(b"no record\n");
    trail.take(outcome(2, "a", 0, 1).as_bytes());
    assert_eq!(tail.recv().await.unwrap().seq, 2);
}
