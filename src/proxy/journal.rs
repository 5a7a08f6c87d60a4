//! What the audit log and the metrics are told about one request, from its head to its end.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::engine::event::{Ending, Event, Kind, Outcome, What, Who};
use crate::engine::identity::{Identity, Proof};
use crate::engine::plan::Shown;
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::rewrite::{BodyProgram, Counts};
use crate::observe::audit::{CannotRecord, Log, Ticket};
use crate::observe::metrics::{Finished, Metrics};

use super::receipts::Receipts;

/// Records that an answer has shown and that are not written down yet.
const SHOWN_RECORDS_MAX: usize = 4_096;

/// One request's entries. Dropped before its end, it counts as a client that went away (the ticket records that).
#[derive(Debug)]
pub struct Journal {
    log: Log,
    metrics: Arc<Metrics>,
    ticket: Option<Ticket>,
    durable: bool,
    started: Instant,
    method: String,
    finished: bool,
    /// `Privet-Request-Id`.
    pub request_id: Arc<str>,
    /// An accepted `X-Request-Id`.
    pub correlation_id: Option<Arc<str>>,
    /// API name, once known.
    pub api: Option<Arc<str>>,
    who: Option<Arc<Who>>,
    what: Option<Arc<What>>,
    shown: Option<Arc<Shown>>,
    /// Where the counts of this request are wanted, once they are known.
    pub receipts: Option<Arc<Receipts>>,
    /// Status of the upstream, once known.
    pub upstream_status: Option<u16>,
    /// Microseconds until the upstream's head.
    pub upstream_us: Option<u64>,
    overhead_us: Option<u64>,
    ttfb_us: Option<u64>,
}

/// How a request ended.
#[derive(Debug)]
pub struct End {
    /// In a word.
    pub ending: Ending,
    /// Status sent.
    pub status: u16,
    /// Error code or abort word, of a closed set.
    pub reason: Option<String>,
    /// What the rewriter counted, and the program whose counters they are.
    pub counts: Option<(BodyProgram, Counts)>,
}

fn micros(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_micros()).unwrap_or(u64::MAX)
}

/// 503: nothing may happen that is not recorded.
pub fn cannot_record(_: CannotRecord) -> Refusal {
    Refusal::new(
        Reason::CannotRecord,
        "the request cannot be recorded, so it is not carried out",
    )
}

impl Journal {
    /// A request's head has arrived.
    pub fn begin(log: Log, metrics: Arc<Metrics>, method: &str) -> Self {
        metrics.in_flight.inc();
        Self {
            log,
            metrics,
            ticket: None,
            durable: false,
            started: Instant::now(),
            method: method.to_owned(),
            finished: false,
            request_id: uuid::Uuid::now_v7().to_string().into(),
            correlation_id: None,
            api: None,
            who: None,
            what: None,
            shown: None,
            receipts: None,
            upstream_status: None,
            upstream_us: None,
            overhead_us: None,
            ttfb_us: None,
        }
    }

    /// Who asks is known.
    pub fn caller(&mut self, identity: &Identity) {
        self.who = Some(Arc::new(who(identity)));
    }

    /// What was asked and decided is known.
    pub fn asked(&mut self, what: What) {
        self.what = Some(Arc::new(what));
    }

    /// Which records the answer shows will be known from here.
    pub fn shows(&mut self, shown: Option<&Arc<Shown>>) {
        self.shown = shown.cloned();
    }

    /// Writes down which records have been shown, if they are many by now: so memory is bounded.
    ///
    /// # Errors
    /// The log cannot record.
    pub async fn note_shown(&self) -> Result<(), CannotRecord> {
        match &self.shown {
            Some(shown) if shown.waiting() >= SHOWN_RECORDS_MAX => {
                self.log.shown(&self.request_id, shown, false).await
            }
            _ => Ok(()),
        }
    }

    /// Records what is about to happen; nothing may go upstream before this returned.
    ///
    /// # Errors
    /// The log cannot record.
    pub async fn attempt(&mut self) -> Result<(), Refusal> {
        let event = self.event(Kind::Attempt, None);
        self.ticket = Some(self.log.attempt(event).await.map_err(cannot_record)?);
        Ok(())
    }

    /// Returns when the attempt is durable.
    ///
    /// # Errors
    /// The log cannot record.
    pub async fn durable(&mut self) -> Result<(), Refusal> {
        if let Some(ticket) = self.ticket.as_mut()
            && !self.durable
        {
            ticket.durable().await.map_err(cannot_record)?;
            self.durable = true;
        }
        Ok(())
    }

    /// The upstream's head arrived after `upstream_us`; what is not that was our own work.
    pub fn upstream_answered(&mut self, status: u16, upstream_us: u64) {
        self.upstream_status = Some(status);
        self.upstream_us = Some(upstream_us);
    }

    /// The first body byte is about to leave. `waited_us`: spent waiting for the upstream's body.
    pub fn first_byte(&mut self, waited_us: u64) {
        let all = micros(self.started);
        self.ttfb_us = Some(all);
        self.overhead_us = Some(all.saturating_sub(self.upstream_us.unwrap_or(0) + waited_us));
    }

    /// Records the end; on return it is durable.
    ///
    /// # Errors
    /// The log cannot record: what the client has must not look complete.
    pub async fn close(&mut self, end: End) -> Result<(), CannotRecord> {
        let counts = end.counts.as_ref();
        let mut treated = std::collections::BTreeMap::new();
        let mut found = std::collections::BTreeMap::new();
        if let Some((program, counts)) = counts {
            self.metrics.body(program.counters(), counts);
            for (counter, n) in program.counters().iter().zip(&counts.treated) {
                if *n > 0 {
                    *treated
                        .entry(format!(
                            "{} {}.{}",
                            counter.treatment.word(),
                            counter.object,
                            counter.field
                        ))
                        .or_default() += n;
                }
            }
        }
        if let Some((program, counts)) = counts {
            for (counter, sighting, n) in &counts.found {
                if let Some(field) = program.counters().get(*counter as usize) {
                    *found
                        .entry(format!(
                            "{} {}.{}",
                            sighting.word(),
                            field.object,
                            field.field
                        ))
                        .or_default() += n;
                }
            }
        }
        let outcome = Outcome {
            ending: end.ending,
            status: end.status,
            upstream_status: self.upstream_status,
            reason: end.reason,
            rows: counts.map_or(0, |(_, c)| c.rows),
            treated,
            found,
            unplanned_members: counts.map_or(0, |(_, c)| c.unplanned_members),
            bytes_in: counts.map_or(0, |(_, c)| c.bytes_in),
            bytes_out: counts.map_or(0, |(_, c)| c.bytes_out),
            duration_us: micros(self.started),
            upstream_us: self.upstream_us,
        };
        if let Some(receipts) = &self.receipts {
            receipts.ended(&self.request_id, &outcome);
        }
        self.finish(end.ending, end.status);
        let event = self.event(Kind::Outcome, Some(outcome));
        if self.ticket.is_none() {
            let attempt = self.event(Kind::Attempt, None);
            self.ticket = Some(self.log.attempt(attempt).await?);
        }
        if let Some(shown) = self.shown.take() {
            self.log.shown(&self.request_id, &shown, true).await?;
        }
        match self.ticket.take() {
            Some(ticket) => self.log.outcome(ticket, event).await,
            None => Ok(()),
        }
    }

    /// The log cannot record, so the request is answered 503 without an outcome.
    pub fn give_up(&mut self, status: u16) {
        self.finish(Ending::Refused, status);
    }

    fn finish(&mut self, ending: Ending, status: u16) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let seconds = |us: u64| std::time::Duration::from_micros(us).as_secs_f64();
        self.metrics.in_flight.dec();
        self.metrics.finished(&Finished {
            api: self.api.as_deref().unwrap_or("none"),
            endpoint: self.what.as_ref().map_or("none", |w| &w.endpoint),
            method: &self.method,
            status,
            decision: match ending {
                Ending::Complete => "allow",
                Ending::Refused => "refuse",
                Ending::UpstreamFailed => "error",
                _ => "abort",
            },
            seconds: self.started.elapsed().as_secs_f64(),
            upstream_seconds: self.upstream_us.map(seconds),
            overhead_seconds: self.overhead_us.map(seconds),
            ttfb_seconds: self.ttfb_us.map(seconds),
        });
    }

    fn event(&self, kind: Kind, outcome: Option<Outcome>) -> Event {
        Event {
            kind,
            time: format!("{:.3}", jiff::Timestamp::now()),
            request_id: Arc::clone(&self.request_id),
            correlation_id: self.correlation_id.clone(),
            who: self.who.clone(),
            what: self.what.clone(),
            outcome,
            control: None,
            alert: None,
        }
    }

    /// The metrics that the rest of the carrier counts in.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.finish(Ending::ClientGone, 0);
    }
}

fn who(identity: &Identity) -> Who {
    Who {
        subject: Arc::clone(&identity.subject),
        client: identity.client.clone(),
        roles: identity.roles.clone(),
        region: identity.region.clone(),
        tenant: Arc::clone(&identity.tenant),
        proof: match &identity.proof {
            Proof::ApiKey { key_id } => format!("api-key:{key_id}").into(),
            Proof::Session { key_id } => format!("session:{key_id}").into(),
            Proof::Jwt { issuer, key_id } => format!("jwt:{issuer}:{key_id}").into(),
            Proof::Passthrough => "passthrough".into(),
        },
        mfa: identity.mfa,
        session_age_s: identity.auth_time_s.map(|t| identity.now_s - t),
        address: identity.address,
    }
}

/// The address that counts: the peer's, or behind trusted proxies the last one of `X-Forwarded-For` that none of
/// them is.
pub fn client_address(
    peer: IpAddr,
    trusted: &[ipnet::IpNet],
    forwarded: impl DoubleEndedIterator<Item = IpAddr>,
) -> IpAddr {
    let is_trusted = |a: &IpAddr| trusted.iter().any(|n| n.contains(a));
    if !is_trusted(&peer) {
        return peer;
    }
    let mut nearest = peer;
    for address in forwarded.rev() {
        nearest = address;
        if !is_trusted(&address) {
            break;
        }
    }
    nearest
}
