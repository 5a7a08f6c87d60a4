//! Labelled event files, a simulated life of several callers, and an exfiltration.

use std::collections::BTreeMap;

use data_encoding::BASE64;
use serde_json::{Value, json};

use super::*;

const START_S: i64 = 1_793_577_600; // 2026-11-02, a Monday

fn entry(value: &Value) -> Entry {
    Entry::read(value.to_string().as_bytes()).unwrap()
}

fn stamp(at_s: i64) -> String {
    jiff::Timestamp::from_second(at_s).unwrap().to_string()
}

/// Expands a line of a labelled file into records.
///
/// `at`: seconds after Monday 0:00 UTC. `times` and `every`: how often, and seconds between. `event`: the record's event;
/// `records: [first, n]`: the ledger's event before it, of that many records. `quiet`: nothing may fire; `fires`: what
/// fires, once each, during the line.
fn records(line: &Value, serial: &mut u64) -> Vec<Entry> {
    let mut out = Vec::new();
    for n in 0..line["times"].as_i64().unwrap_or(1) {
        let at = START_S + line["at"].as_i64().unwrap() + n * line["every"].as_i64().unwrap_or(0);
        *serial += 1;
        let mut event = line["event"].clone();
        event["time"] = stamp(at).into();
        if event["kind"] == "outcome" {
            event["request_id"] = format!("r{serial}").into();
            let mut attempt = event.clone();
            attempt["kind"] = "attempt".into();
            attempt.as_object_mut().unwrap().remove("outcome");
            out.push(entry(&json!({"seq": serial, "event": attempt})));
            if let Some(records) = line["records"].as_array() {
                let (first, count) = (records[0].as_u64().unwrap(), records[1].as_u64().unwrap());
                let seen = seen(&event["request_id"], &event["time"], first..first + count);
                out.push(entry(&json!({"seq": serial, "event": seen})));
            }
        }
        out.push(entry(&json!({"seq": serial, "event": event})));
    }
    out
}

fn seen(request: &Value, time: &Value, records: std::ops::Range<u64>) -> Value {
    let bytes: Vec<u8> = records.flat_map(u64::to_be_bytes).collect();
    json!({
        "kind": "seen", "time": time, "request_id": request, "key": "k1", "complete": true,
        "sets": [{"object": "Contact", "fields": {"clear": ["Contact.Name"]}, "records": BASE64.encode(&bytes)}],
    })
}

#[test]
fn every_labelled_file_fires_what_it_must_and_nothing_else() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/monitors");
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let text = std::fs::read_to_string(&path).unwrap();
        let mut lines = text.lines();
        let rules = lines.next().unwrap();
        let rules = rules::read(&name, rules).unwrap_or_else(|problems| panic!("{}", problems[0]));
        for monitor in &rules.monitors {
            let kind = format!("{:?}", monitor.kind);
            let kind = kind.split([' ', '{']).next().unwrap().to_owned();
            *kinds.entry(kind).or_default() += 1;
        }
        let mut monitors = Monitors::new(rules);
        let (mut serial, mut fired) = (0, 0);
        for (n, line) in lines.enumerate() {
            let at = format!("{name}:{}", n + 2);
            let line: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{at}: {e}"));
            let mut found = Vec::new();
            for record in records(&line, &mut serial) {
                found.extend(monitors.take(&record));
            }
            let told: Vec<&str> = found.iter().map(|f| &*f.monitor).collect();
            let wanted: Vec<&str> = match &line["fires"] {
                Value::Array(names) => names.iter().map(|n| n.as_str().unwrap()).collect(),
                _ => Vec::new(),
            };
            assert_eq!(told, wanted, "{at}: {found:?}");
            fired += told.len();
        }
        assert!(fired > 0, "{name}: nothing ever fires");
    }
    assert_eq!(
        kinds.len(),
        rules::KINDS.len(),
        "every kind has its file: {kinds:?}"
    );
}

/// xorshift64*: the same life in every run.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n.max(1)
    }

    /// Between 0.5 and 1.5, mostly near 1.
    fn about(&mut self) -> f64 {
        0.5 + (self.below(1_000) + self.below(1_000)) as f64 / 2_000.0
    }
}

/// Who calls, how many requests in an hour of work, how many people in an answer, and when.
struct Habit {
    client: &'static str,
    requests: f64,
    people: u64,
    /// Of the people that it knows.
    of: u64,
    active: fn(hour: i64, day: i64) -> f64,
}

const HABITS: [Habit; 5] = [
    // Agents: with the day, a dip at noon, a little on Saturdays.
    Habit {
        client: "service-desk",
        requests: 50.0,
        people: 8,
        of: 6_000,
        active: |hour, day| {
            let base = match hour {
                7 | 18 => 0.3,
                12 => 0.6,
                8..=17 => 1.0,
                _ => 0.0,
            };
            if day == 6 {
                0.0
            } else if day == 5 {
                base * 0.2
            } else {
                base
            }
        },
    },
    // A report every night, a longer one on Mondays.
    Habit {
        client: "tableau",
        requests: 4.0,
        people: 700,
        of: 8_000,
        active: |hour, day| {
            if hour == 2 {
                if day == 0 { 1.4 } else { 1.0 }
            } else {
                0.0
            }
        },
    },
    // Polls all the time.
    Habit {
        client: "sync",
        requests: 12.0,
        people: 20,
        of: 3_000,
        active: |_, _| 1.0,
    },
    // Campaigns on two days.
    Habit {
        client: "mailer",
        requests: 10.0,
        people: 100,
        of: 8_000,
        active: |hour, day| {
            if (day == 1 || day == 3) && (9..12).contains(&hour) {
                1.0
            } else {
                0.0
            }
        },
    },
    // Somebody with a notebook, now and then.
    Habit {
        client: "analyst",
        requests: 3.0,
        people: 30,
        of: 2_000,
        active: |hour, day| {
            if day < 5 && (9..18).contains(&hour) {
                0.5
            } else {
                0.0
            }
        },
    },
];

/// The records of one answer.
fn answer(
    client: &str,
    at_s: i64,
    people: impl Iterator<Item = u64>,
    serial: &mut u64,
    ledger: bool,
) -> Vec<Entry> {
    *serial += 1;
    let people: Vec<u64> = people.collect();
    let (request, time) = (json!(format!("r{serial}")), json!(stamp(at_s)));
    let who = json!({"subject": client, "client": client, "tenant": "t", "address": "203.0.113.7", "region": "eu"});
    let what = json!({
        "api": "salesforce", "endpoint": "query", "action": "read", "purpose": "support", "policy": "p",
        "objects": ["Contact"], "fields": {"clear": ["Contact.Name"], "mask:email": ["Contact.Email"]},
    });
    let outcome = json!({
        "ending": "complete", "status": 200, "rows": people.len(), "treated": {"mask:email Contact.Email": people.len()},
    });
    let attempt =
        json!({"kind": "attempt", "time": time, "request_id": request, "who": who, "what": what});
    let mut ended = attempt.clone();
    ended["kind"] = "outcome".into();
    ended["outcome"] = outcome;
    let mut events = vec![attempt, ended];
    if ledger {
        let bytes: Vec<u8> = people.iter().flat_map(|p| p.to_be_bytes()).collect();
        let mut told = seen(&request, &time, 0..0);
        told["sets"][0]["records"] = BASE64.encode(&bytes).into();
        events.insert(1, told);
    }
    events
        .into_iter()
        .map(|event| entry(&json!({"seq": *serial, "event": event})))
        .collect()
}

/// A time, whose answer, and the people in it.
type Call = (i64, &'static str, Vec<u64>);

/// What `HABITS` do in `hours` of the simulated time, in order.
fn life(hours: std::ops::Range<i64>, dice: &mut Dice) -> Vec<Call> {
    let mut calls = Vec::new();
    for hour in hours {
        for (n, habit) in HABITS.iter().enumerate() {
            let active = (habit.active)(hour % 24, hour / 24 % 7);
            let requests = (habit.requests * active * dice.about()).round() as i64;
            for _ in 0..requests {
                let at = START_S + hour * 3_600 + dice.below(3_600) as i64;
                let people = (habit.people as f64 * dice.about()).round() as u64;
                let first = dice.below(habit.of);
                // Some are looked up, some stand side by side.
                let people = (0..people).map(|p| n as u64 * 1_000_000 + (first + p * 7) % habit.of);
                calls.push((at, habit.client, people.collect()));
            }
        }
    }
    calls.sort();
    calls
}

fn shipped() -> Monitors {
    let text = include_str!("../../../policies/monitors.yaml");
    Monitors::new(rules::read("monitors.yaml", text).unwrap())
}

fn live(monitors: &mut Monitors, calls: &[Call], serial: &mut u64, ledger: bool) -> Vec<Finding> {
    let mut found = Vec::new();
    for (at, client, people) in calls {
        for record in answer(client, *at, people.iter().copied(), serial, ledger) {
            found.extend(monitors.take(&record));
        }
    }
    found
}

/// The first week is learned from and counted alike; the second one is judged by all that the first one taught.
#[test]
fn normal_weeks_raise_less_than_one_alert_a_day() {
    for (seed, ledger) in [(1, true), (2, true), (3, false)] {
        let (mut monitors, mut dice, mut serial) = (shipped(), Dice(seed * 7_919), 0);
        for week in 0..2 {
            let calls = life(week * 168..(week + 1) * 168, &mut dice);
            let found = live(&mut monitors, &calls, &mut serial, ledger);
            assert!(calls.len() > 4_000);
            println!(
                "seed {seed} week {week}: {} calls, {} alerts",
                calls.len(),
                found.len()
            );
            assert!(found.len() < 7, "seed {seed} week {week}: {found:#?}");
        }
    }
}

/// 5,000 contacts within two hours, by a caller that goes on with its usual work.
#[test]
fn an_exfiltration_is_seen_within_five_minutes() {
    // Day of the second week, hour, with the ledger.
    for (day, hour, ledger) in [(2, 10, true), (5, 3, true), (6, 14, true), (1, 15, false)] {
        let (mut monitors, mut dice, mut serial) = (shipped(), Dice(4_711), 0);
        let begin = 168 + day * 24 + hour;
        let before = life(0..begin, &mut dice);
        live(&mut monitors, &before, &mut serial, ledger);
        let during = life(begin..begin + 2, &mut dice);
        let own = |calls: &[Call]| -> Vec<Call> {
            calls
                .iter()
                .filter(|c| c.1 == "service-desk")
                .cloned()
                .collect()
        };
        let count = |calls: &[Call]| {
            if ledger {
                calls
                    .iter()
                    .flat_map(|c| &c.2)
                    .collect::<HashSet<_>>()
                    .len()
            } else {
                calls.iter().map(|c| c.2.len()).sum()
            }
        };
        let mut hours: BTreeMap<i64, Vec<Call>> = BTreeMap::new();
        for call in own(&before) {
            hours
                .entry(call.0.div_euclid(3_600))
                .or_default()
                .push(call);
        }
        let highest = hours.values().map(|calls| count(calls)).max().unwrap();
        // 20 contacts at a time, evenly.
        let theft = (0..250).map(|n: i64| {
            let first = 90_000_000 + n as u64 * 20;
            let at = START_S + begin * 3_600 + n * 7_200 / 250;
            (at, "service-desk", (first..first + 20).collect())
        });
        let mut calls: Vec<Call> = during.into_iter().chain(theft).collect();
        calls.sort();
        let mine = own(&calls);
        let passed = (0..mine.len())
            .find(|n| {
                let from = mine[*n].0 - 3_600;
                let last: Vec<Call> = mine[..=*n].iter().filter(|c| c.0 > from).cloned().collect();
                count(&last) > 2 * highest
            })
            .map(|n| mine[n].0)
            .expect("the theft passes twice the highest hour");
        let found = live(&mut monitors, &calls, &mut serial, ledger);
        let alert = found
            .iter()
            .find(|f| {
                &*f.monitor == "persons-outlier" && f.caller.as_deref() == Some("service-desk")
            })
            .unwrap_or_else(|| panic!("day {day} hour {hour}: no alert; highest {highest}"));
        let late_s = alert.at_ms / 1_000 - passed;
        println!(
            "day {day} hour {hour} ledger {ledger}: highest hour {highest}, alert {late_s} s after twice that"
        );
        assert!(late_s <= 300, "{late_s} s late");
        let others: Vec<_> = found
            .iter()
            .filter(|f| f.caller.as_deref() != Some("service-desk"))
            .collect();
        assert!(others.is_empty(), "{others:?}");
    }
}

#[test]
fn memory_is_bounded_by_callers_and_by_what_is_known_of_each() {
    let mut monitors = shipped();
    let mut serial = 0;
    for n in 0..CALLERS_MAX as i64 + 50 {
        for record in answer(&format!("c{n}"), START_S + n, 0..1, &mut serial, true) {
            monitors.take(&record);
        }
    }
    assert_eq!(monitors.callers.len(), CALLERS_MAX);
    assert!(
        !monitors.callers.contains_key("c0"),
        "the one that was silent longest went"
    );
    assert!(monitors.open.is_empty());
    let mut known = Known::default();
    for n in 0..KNOWN_MAX + 10 {
        assert!(known.note(&n.to_string()));
    }
    assert_eq!((known.set.len(), known.order.len()), (KNOWN_MAX, KNOWN_MAX));
}
