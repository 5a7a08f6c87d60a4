//! What is odd: monitors over the records of the audit log, by the rules of `policies/monitors.yaml`.
//!
//! [`Monitors`] is without clock and I/O: records go in with their own time, findings come out, and the same records
//! give the same findings. Memory is bounded: callers, what is known of each, and windows. [`watch`] feeds it from the
//! files and raises what it finds.

mod baseline;
pub mod rules;
mod sketch;
#[cfg(test)]
mod tests;
mod watch;
mod webhook;

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::IpAddr;
use std::sync::Arc;

use data_encoding::BASE64;

pub use crate::engine::event::Severity;
use crate::engine::event::{Alert, Event, Kind as EventKind};
use crate::observe::trail::{Entry, Outcome, What};
use baseline::{Baseline, Ring, Slot};
use rules::{Kind, Measure, Monitor, Novelty, Rules, Then};

pub use watch::{FILE, watch};
pub use webhook::Webhook;

/// Most callers that are told apart; the one that was silent longest is forgotten first.
pub const CALLERS_MAX: usize = 1_024;
/// Most things that are known of one caller by one monitor; the oldest are forgotten first.
const KNOWN_MAX: usize = 4_096;
/// Most requests whose ledger events are waited for.
const OPEN_MAX: usize = 16_384;
/// Most names in a finding.
const ABOUT_MAX: usize = 8;
/// A caller that was silent for longer has its empty windows learned for so many only.
const EMPTY_WINDOWS_MAX: i64 = 168;
const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 86_400;
/// Part of an hour's share that the newest hour makes up in the usual treated ratio.
const NEWEST: f64 = 0.2;

/// Something odd: names and numbers, no value.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The monitor, as the rules name it.
    pub monitor: Arc<str>,
    /// How bad.
    pub severity: Severity,
    /// Whose behaviour is odd; absent where it is privet's own.
    pub caller: Option<Arc<str>>,
    /// When, by the record that tipped it: Unix milliseconds.
    pub at_ms: i64,
    /// What was measured…
    pub measured: f64,
    /// …and what it may be.
    pub threshold: f64,
    /// Over how long, seconds; 0 = at once.
    pub window_s: i64,
    /// Fields, endpoints or words it is about.
    pub about: Vec<Arc<str>>,
    /// The request that tipped it.
    pub request_id: Option<Arc<str>>,
    /// What is to be done about the caller.
    pub then: Option<Then>,
}

impl Finding {
    /// The finding as an event of the audit log.
    pub fn event(self) -> Event {
        let at = jiff::Timestamp::from_millisecond(self.at_ms).unwrap_or_default();
        Event {
            kind: EventKind::Alert,
            time: format!("{at:.3}"),
            request_id: "".into(),
            correlation_id: None,
            who: None,
            what: None,
            outcome: None,
            control: None,
            alert: Some(Alert {
                monitor: self.monitor,
                severity: self.severity,
                caller: self.caller,
                measured: self.measured,
                threshold: self.threshold,
                window_s: self.window_s.unsigned_abs(),
                about: self.about,
                request_id: self.request_id,
                step: self.then.map(|t| t.step),
                step_s: self.then.map(|t| t.for_s.unsigned_abs()),
            }),
        }
    }
}

/// All monitors and what they know.
#[derive(Debug)]
pub struct Monitors {
    rules: Rules,
    callers: HashMap<Arc<str>, Caller>,
    /// Events of no caller.
    own: Vec<Ring>,
    /// When a control monitor last spoke, and of how much.
    own_raised: Vec<Option<(i64, f64)>>,
    /// Whose request waits for its ledger events, and in which order they came.
    open: HashMap<Box<str>, Arc<str>>,
    order: VecDeque<Box<str>>,
    /// Whether the log has ledger events at all.
    ledger: bool,
}

#[derive(Debug)]
struct Caller {
    first_s: i64,
    last_s: i64,
    /// One for each monitor.
    states: Vec<State>,
}

#[derive(Debug)]
struct State {
    /// When it last spoke of this caller, and of how much.
    raised: Option<(i64, f64)>,
    what: Knows,
}

#[derive(Debug)]
enum Knows {
    Nothing,
    Seen(Known),
    Usual(Box<Track>),
    Count(Ring),
    Share {
        ring: Ring,
        hour: i64,
        usual: f64,
        hours: u32,
    },
}

#[derive(Debug, Default)]
struct Known {
    set: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Known {
    /// Whether it is new.
    fn note(&mut self, name: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        name.hash(&mut hasher);
        let hash = hasher.finish();
        if !self.set.insert(hash) {
            return false;
        }
        self.order.push_back(hash);
        if self.order.len() > KNOWN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
        true
    }
}

#[derive(Debug)]
struct Track {
    ring: Ring,
    baseline: Baseline,
    /// Number of the window that is open; `None` = nothing came yet.
    window: Option<i64>,
}

/// What a monitor says of one record.
struct Odd {
    measured: f64,
    threshold: f64,
    about: Vec<Arc<str>>,
}

impl State {
    fn new(monitor: &Monitor) -> Self {
        let what = match &monitor.kind {
            Kind::FirstSeen { .. } => Knows::Seen(Known::default()),
            Kind::Baseline { window_s, .. } => Knows::Usual(Box::new(Track {
                ring: Ring::new(*window_s),
                baseline: Baseline::default(),
                window: None,
            })),
            Kind::Refusals { window_s, .. } => Knows::Count(Ring::new(*window_s)),
            Kind::TreatedRatio { .. } => Knows::Share {
                ring: Ring::new(HOUR_S),
                hour: i64::MIN,
                usual: 0.0,
                hours: 0,
            },
            Kind::OutOfHours { .. }
            | Kind::Unplanned { .. }
            | Kind::Control { .. }
            | Kind::Canary { .. } => Knows::Nothing,
        };
        Self { raised: None, what }
    }
}

/// Whether a monitor that may speak once in `quiet_for_s` speaks now: the time has come, or it got twice as bad.
fn may_speak(raised: &mut Option<(i64, f64)>, quiet_for_s: i64, now_s: i64, measured: f64) -> bool {
    if let Some((at_s, before)) = raised
        && now_s - *at_s < quiet_for_s
        && measured < 2.0 * *before
    {
        return false;
    }
    *raised = Some((now_s, measured));
    true
}

impl Monitors {
    /// Knows nothing yet.
    pub fn new(rules: Rules) -> Self {
        let own = rules
            .monitors
            .iter()
            .map(|m| match m.kind {
                Kind::Control { window_s, .. } => Ring::new(window_s),
                _ => Ring::new(HOUR_S),
            })
            .collect();
        Self {
            own,
            own_raised: vec![None; rules.monitors.len()],
            rules,
            callers: HashMap::new(),
            open: HashMap::new(),
            order: VecDeque::new(),
            ledger: false,
        }
    }

    /// The next record of the log. Findings are about it, or about what it brought to its full.
    pub fn take(&mut self, entry: &Entry) -> Vec<Finding> {
        let mut found = Vec::new();
        let event = &entry.event;
        let now_s = entry.at_ms.div_euclid(1_000);
        match &*event.kind {
            "attempt" if event.who.is_some() => {
                let caller: Arc<str> = entry.caller().into();
                self.wait_for(&event.request_id, caller);
            }
            "seen" => {
                self.ledger = true;
                if let Some(caller) = self.open.get(&*event.request_id).cloned() {
                    let names: Vec<u64> = event
                        .sets
                        .iter()
                        .flat_map(|s| pseudonyms(&s.records))
                        .collect();
                    self.shown(entry, &caller, now_s, &names, &mut found);
                }
            }
            "outcome" => {
                let waited = self.open.remove(&*event.request_id);
                let caller = match (&event.who, waited) {
                    (Some(_), _) => Some(entry.caller().into()),
                    (None, waited) => waited,
                };
                if let (Some(caller), Some(outcome)) = (caller, &event.outcome) {
                    self.answered(entry, &caller, now_s, outcome, &mut found);
                }
                if let Some(reason) = event.outcome.as_ref().and_then(|o| o.reason.as_deref()) {
                    self.control(entry, now_s, reason, &mut found);
                }
            }
            "control" => {
                if let Some(control) = &event.control {
                    self.control(entry, now_s, &control.what, &mut found);
                }
            }
            _ => {}
        }
        found
    }

    fn wait_for(&mut self, request: &str, caller: Arc<str>) {
        self.open.insert(request.into(), caller);
        self.order.push_back(request.into());
        while self.order.len() > OPEN_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.open.remove(&oldest);
        }
    }

    /// What is known of `caller`, made if it is new.
    fn caller(&mut self, caller: &Arc<str>, now_s: i64) -> &mut Caller {
        if !self.callers.contains_key(caller) && self.callers.len() >= CALLERS_MAX {
            let silent = self.callers.iter().min_by_key(|(_, c)| c.last_s);
            if let Some(silent) = silent.map(|(name, _)| Arc::clone(name)) {
                self.callers.remove(&silent);
            }
        }
        let monitors = &self.rules.monitors;
        let known = self
            .callers
            .entry(Arc::clone(caller))
            .or_insert_with(|| Caller {
                first_s: now_s,
                last_s: now_s,
                states: monitors.iter().map(State::new).collect(),
            });
        known.last_s = known.last_s.max(now_s);
        known
    }

    /// Ledger: these records were shown.
    fn shown(
        &mut self,
        entry: &Entry,
        caller: &Arc<str>,
        now_s: i64,
        names: &[u64],
        found: &mut Vec<Finding>,
    ) {
        self.each(entry, caller, now_s, found, |rules, index, _, state| {
            if let Kind::Canary { known, .. } = &rules.monitors[index].kind {
                let touched = names.iter().filter(|name| known.contains(name)).count();
                let sets = entry.event.sets.iter();
                return (touched > 0).then(|| Odd {
                    measured: touched as f64,
                    threshold: 0.0,
                    about: sets
                        .map(|s| Arc::from(&*s.object))
                        .take(ABOUT_MAX)
                        .collect(),
                });
            }
            let Kind::Baseline {
                measure: Measure::Persons,
                window_s,
                factor,
                at_least,
                warm_up,
                ..
            } = &rules.monitors[index].kind
            else {
                return None;
            };
            let Knows::Usual(track) = state else {
                return None;
            };
            let at = Window {
                now_s,
                length_s: *window_s,
                rules,
            };
            track.close(&at, true, *warm_up);
            for name in names {
                track.ring.add_distinct(now_s, *name);
            }
            track.judge(&at, true, *factor, *at_least, *warm_up)
        });
    }

    fn answered(
        &mut self,
        entry: &Entry,
        caller: &Arc<str>,
        now_s: i64,
        outcome: &Outcome,
        found: &mut Vec<Finding>,
    ) {
        let ledger = self.ledger;
        let empty = What {
            api: String::new(),
            endpoint: String::new(),
            action: String::new(),
            purpose: String::new(),
            policy: String::new(),
            objects: Vec::new(),
            uses: Vec::new(),
            fields: Default::default(),
            rules: Vec::new(),
        };
        let what = entry.event.what.as_ref().unwrap_or(&empty);
        // What left, also of an answer that was cut.
        let left = outcome.ending != "refused"
            && outcome.ending != "upstream-failed"
            && outcome.status < 400;
        let rows = if left { outcome.rows as f64 } else { 0.0 };
        self.each(
            entry,
            caller,
            now_s,
            found,
            |rules, index, first_s, state| {
                match (&rules.monitors[index].kind, state) {
                    (
                        Kind::FirstSeen {
                            what: novelty,
                            learn_s,
                        },
                        Knows::Seen(known),
                    ) => {
                        let new: Vec<Arc<str>> = named(*novelty, entry, what, left && rows > 0.0)
                            .into_iter()
                            .filter(|name| known.note(name))
                            .map(Arc::from)
                            .collect();
                        (!new.is_empty() && now_s - first_s >= *learn_s).then(|| Odd {
                            measured: new.len() as f64,
                            threshold: 0.0,
                            about: new.into_iter().take(ABOUT_MAX).collect(),
                        })
                    }
                    (
                        Kind::Baseline {
                            measure,
                            window_s,
                            factor,
                            at_least,
                            warm_up,
                            actions,
                        },
                        Knows::Usual(track),
                    ) => {
                        if !actions.is_empty() && !actions.contains(&what.action) {
                            return None;
                        }
                        let persons = *measure == Measure::Persons;
                        if persons && ledger {
                            // Counted when the ledger tells them.
                            return None;
                        }
                        let more = match measure {
                            Measure::Requests => f64::from(u8::from(left)),
                            Measure::Rows | Measure::Persons => rows,
                        };
                        let at = Window {
                            now_s,
                            length_s: *window_s,
                            rules,
                        };
                        track.close(&at, false, *warm_up);
                        track.ring.add(now_s, [more, 0.0]);
                        track.judge(&at, false, *factor, *at_least, *warm_up)
                    }
                    (
                        Kind::OutOfHours {
                            days,
                            from,
                            to,
                            at_least,
                        },
                        _,
                    ) => {
                        let local = rules.local(now_s)?;
                        let day = local.weekday().to_monday_zero_offset() as usize;
                        let minute = i16::from(local.hour()) * 60 + i16::from(local.minute());
                        let working = days[day % 7] && (*from..*to).contains(&minute);
                        (!working && rows >= *at_least).then(|| Odd {
                            measured: rows,
                            threshold: *at_least,
                            about: objects(what),
                        })
                    }
                    (Kind::Refusals { at_least, .. }, Knows::Count(ring)) => {
                        if outcome.ending != "refused" {
                            return None;
                        }
                        ring.forget(now_s);
                        ring.add(now_s, [1.0, 0.0]);
                        let [measured, _] = ring.sums();
                        (measured >= *at_least).then(|| Odd {
                            measured,
                            threshold: *at_least,
                            about: outcome.reason.iter().map(|r| Arc::from(&**r)).collect(),
                        })
                    }
                    (
                        Kind::TreatedRatio {
                            fall,
                            at_least,
                            warm_up,
                        },
                        Knows::Share {
                            ring,
                            hour,
                            usual,
                            hours,
                        },
                    ) => {
                        let now = now_s.div_euclid(HOUR_S);
                        if now > *hour {
                            ring.forget(
                                (*hour)
                                    .saturating_add(1)
                                    .saturating_mul(HOUR_S)
                                    .saturating_sub(1),
                            );
                            let [treated, clear] = ring.sums();
                            if treated + clear >= *at_least {
                                let share = treated / (treated + clear);
                                *usual += if *hours == 0 { 1.0 } else { NEWEST } * (share - *usual);
                                *hours += 1;
                            }
                            *hour = now;
                        }
                        if !left {
                            return None;
                        }
                        let treated: u64 = outcome.treated.values().sum();
                        let clear = what.fields.get("clear").map_or(0, Vec::len) as f64 * rows;
                        ring.forget(now_s);
                        ring.add(now_s, [treated as f64, clear]);
                        let [treated, clear] = ring.sums();
                        let threshold = *usual * (1.0 - fall);
                        let share = treated / (treated + clear).max(1.0);
                        (*hours >= *warm_up && treated + clear >= *at_least && share < threshold)
                            .then(|| Odd {
                                measured: share,
                                threshold,
                                about: objects(what),
                            })
                    }
                    (Kind::Unplanned { at_least }, _) => {
                        let measured = outcome.unplanned_members as f64;
                        (measured >= *at_least).then(|| Odd {
                            measured,
                            threshold: *at_least,
                            about: objects(what),
                        })
                    }
                    _ => None,
                }
            },
        );
    }

    /// Asks every monitor that watches `caller`, and turns what it says into findings.
    fn each(
        &mut self,
        entry: &Entry,
        caller: &Arc<str>,
        now_s: i64,
        found: &mut Vec<Finding>,
        mut ask: impl FnMut(&Rules, usize, i64, &mut Knows) -> Option<Odd>,
    ) {
        self.caller(caller, now_s);
        let Self { rules, callers, .. } = self;
        let Some(known) = callers.get_mut(caller) else {
            return;
        };
        for (index, (monitor, state)) in rules.monitors.iter().zip(&mut known.states).enumerate() {
            if !monitor.watches(caller) {
                continue;
            }
            let Some(odd) = ask(rules, index, known.first_s, &mut state.what) else {
                continue;
            };
            // What is new is new only once.
            let once = matches!(monitor.kind, Kind::FirstSeen { .. });
            let measured = if matches!(monitor.kind, Kind::TreatedRatio { .. }) {
                1.0 - odd.measured
            } else {
                odd.measured
            };
            if once || may_speak(&mut state.raised, monitor.quiet_for_s, now_s, measured) {
                found.push(monitor.finding(entry, Some(Arc::clone(caller)), odd));
            }
        }
    }

    fn control(&mut self, entry: &Entry, now_s: i64, word: &str, found: &mut Vec<Finding>) {
        for (index, monitor) in self.rules.monitors.iter().enumerate() {
            let Kind::Control {
                words, at_least, ..
            } = &monitor.kind
            else {
                continue;
            };
            if !words.iter().any(|w| w == word) {
                continue;
            }
            let ring = &mut self.own[index];
            ring.forget(now_s);
            ring.add(now_s, [1.0, 0.0]);
            let [measured, _] = ring.sums();
            if measured >= *at_least
                && may_speak(
                    &mut self.own_raised[index],
                    monitor.quiet_for_s,
                    now_s,
                    measured,
                )
            {
                let odd = Odd {
                    measured,
                    threshold: *at_least,
                    about: vec![word.into()],
                };
                found.push(monitor.finding(entry, None, odd));
            }
        }
    }
}

impl Monitor {
    fn watches(&self, caller: &str) -> bool {
        (self.callers.is_empty() || self.callers.iter().any(|c| c == caller))
            && !self.except.iter().any(|c| c == caller)
    }

    fn finding(&self, entry: &Entry, caller: Option<Arc<str>>, odd: Odd) -> Finding {
        let request = &*entry.event.request_id;
        Finding {
            monitor: Arc::clone(&self.name),
            severity: self.severity,
            caller,
            at_ms: entry.at_ms,
            measured: odd.measured,
            threshold: odd.threshold,
            window_s: match self.kind {
                Kind::Baseline { window_s, .. }
                | Kind::Refusals { window_s, .. }
                | Kind::Control { window_s, .. } => window_s,
                Kind::TreatedRatio { .. } => HOUR_S,
                _ => 0,
            },
            about: odd.about,
            request_id: (!request.is_empty()).then(|| request.into()),
            then: self.then,
        }
    }
}

impl Rules {
    fn local(&self, now_s: i64) -> Option<jiff::Zoned> {
        let at = jiff::Timestamp::from_second(now_s).ok()?;
        Some(at.to_zoned(self.zone.clone()))
    }

    fn slot(&self, now_s: i64) -> Slot {
        let hour = self.local(now_s).map_or(0, |local| {
            local.weekday().to_monday_zero_offset() as usize * 24 + local.hour() as usize
        });
        Slot { hour }
    }
}

/// A moment and the windows that are counted there.
struct Window<'a> {
    now_s: i64,
    length_s: i64,
    rules: &'a Rules,
}

impl Window<'_> {
    /// A day's window is judged by the day alone.
    fn slot(&self, at_s: i64) -> Slot {
        let slot = self.rules.slot(at_s);
        if self.length_s >= DAY_S {
            Slot {
                hour: slot.hour / 24 * 24,
            }
        } else {
            slot
        }
    }
}

impl Track {
    fn measured(&self, distinct: bool) -> f64 {
        if distinct {
            self.ring.distinct()
        } else {
            self.ring.sums()[0]
        }
    }

    /// Learns the windows that have ended by now.
    fn close(&mut self, at: &Window<'_>, distinct: bool, warm_up: u32) {
        let now = at.now_s.div_euclid(at.length_s);
        if let Some(open) = self.window {
            let first = open.max(now - EMPTY_WINDOWS_MAX);
            for window in first..now {
                let end_s = (window + 1) * at.length_s - 1;
                self.ring.forget(end_s);
                let measured = self.measured(distinct);
                let warm = self.baseline.windows() >= warm_up;
                self.baseline
                    .learn(at.slot(end_s), end_s.div_euclid(DAY_S), measured, warm);
            }
        }
        self.window = Some(self.window.map_or(now, |open| open.max(now)));
        self.ring.forget(at.now_s);
    }

    fn judge(
        &self,
        at: &Window<'_>,
        distinct: bool,
        factor: f64,
        at_least: f64,
        warm_up: u32,
    ) -> Option<Odd> {
        if self.baseline.windows() < warm_up {
            return None;
        }
        let measured = self.measured(distinct);
        let threshold = if at.length_s >= DAY_S {
            // The days of a week differ too much, and come too seldom, for an average.
            factor * self.baseline.highest()
        } else {
            self.baseline.limit(at.slot(at.now_s), factor)
        };
        let threshold = threshold.max(at_least);
        (measured > threshold).then(|| Odd {
            measured,
            threshold,
            about: Vec::new(),
        })
    }
}

fn objects(what: &What) -> Vec<Arc<str>> {
    what.objects
        .iter()
        .take(ABOUT_MAX)
        .map(|o| Arc::from(&**o))
        .collect()
}

/// What a record names that may be new.
fn named(novelty: Novelty, entry: &Entry, what: &What, got: bool) -> Vec<String> {
    let who = entry.event.who.as_ref();
    match novelty {
        Novelty::Field if got => {
            let shown = what
                .fields
                .iter()
                .filter(|(t, _)| !matches!(&***t, "drop" | "deny"));
            shown.flat_map(|(_, names)| names.iter().cloned()).collect()
        }
        Novelty::Field => Vec::new(),
        Novelty::Endpoint if what.endpoint.is_empty() => Vec::new(),
        Novelty::Endpoint => vec![format!("{} {} {}", what.api, what.endpoint, what.action)],
        Novelty::Network => who
            .and_then(|w| w.address)
            .map(network)
            .into_iter()
            .collect(),
        Novelty::Region => who.and_then(|w| w.region.clone()).into_iter().collect(),
    }
}

/// The /24 or /48 of an address.
fn network(address: IpAddr) -> String {
    let address = address.to_canonical();
    let bits = if address.is_ipv4() { 24 } else { 48 };
    ipnet::IpNet::new(address, bits)
        .map_or_else(|_| address.to_string(), |net| net.trunc().to_string())
}

fn pseudonyms(records: &str) -> Vec<u64> {
    let bytes = BASE64.decode(records.as_bytes()).unwrap_or_default();
    let whole = bytes.chunks_exact(8);
    whole
        .filter_map(|p| p.try_into().ok().map(u64::from_be_bytes))
        .collect()
}
