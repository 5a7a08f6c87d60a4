//! One request from first byte to last: the stages of the house, called in order.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_TYPE, HeaderMap,
    HeaderName, HeaderValue, SET_COOKIE, VARY,
};
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::Incoming;

use crate::config::{Compress, Credential};
use crate::engine::coding::{self, Coding, Encoder};
use crate::engine::event::{Ending, Step};
use crate::engine::identity::Identity;
use crate::engine::plan::{self, Plan, Said};
use crate::engine::policy;
use crate::engine::protocol::salesforce::login::door;
use crate::engine::protocol::salesforce::streaming::{self, Echoes};
use crate::engine::protocol::salesforce::{bulk1, graphql};
use crate::engine::protocol::{self, Dialect, Intake, Known, RequestHead};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::rewrite::{BodyProgram, Counts, Format};

use super::authenticate::{self, Circumstances};
use super::beforehand::Asking;
use super::body::{OutgoingBody, Progress, Pump};
use super::carrier::{Carrier, ServedApi};
use super::head;
use super::journal::{End, Journal, cannot_record, client_address};
use super::login;
use super::receipts;
use super::refuse::{self, Answer, ErrorShape};
use super::request_body::ClientBody;
use super::snapshot::Live;
use super::steps;
use super::stream_cookie::Jar;
use super::strict_head::REFUSED_METHOD;
use super::upstream::{Answered, Content, Ids, LONG_POLL};

/// Longest answer to an HTTP/1.0 client.
const WHOLE_BYTES_MAX: usize = 1 << 20;

/// Answers one request of `peer`. Never fails: what goes wrong is an answer too.
pub async fn exchange(
    carrier: Arc<Carrier>,
    peer: SocketAddr,
    request: Request<Incoming>,
) -> Response<OutgoingBody> {
    let is_head = request.method() == Method::HEAD;
    let mut page = Page {
        journal: Some(carrier.journal(request.method().as_str())),
        shape: ErrorShape::Neutral,
        common: HeaderMap::new(),
        version: request.version(),
        carrier,
    };
    let answered = match page.carry(peer, request).await {
        Ok(response) => Ok(response),
        Err(refusal) => page.refuse(&refusal).await,
    };
    let mut response = answered.unwrap_or_else(|refusal| page.bare(&refusal));
    if is_head {
        *response.body_mut() = OutgoingBody::ready(Vec::new());
    }
    response
}

/// One request on its way.
struct Page {
    carrier: Arc<Carrier>,
    /// Gone once the body carries it on.
    journal: Option<Journal>,
    shape: ErrorShape,
    /// Headers of every answer to this request.
    common: HeaderMap,
    version: Version,
}

impl Page {
    /// The stages, top to bottom. A refusal before the upstream was asked, or instead of its answer, comes back as
    /// an error.
    async fn carry(
        &mut self,
        peer: SocketAddr,
        request: Request<Incoming>,
    ) -> Result<Response<OutgoingBody>, Refusal> {
        let carrier = Arc::clone(&self.carrier);
        let (parts, incoming) = request.into_parts();
        let live = carrier.live.current();
        let mut journal = self.journal.take().ok_or_else(internal)?;
        let trace = self.identify(&mut journal, peer.ip(), &parts.headers, live.version());
        let journal = self.journal.insert(journal);

        // Head: one path, one host, one credential.
        // A head that is refused has its answer in the shape of the API that its path, as written, begins like.
        // What the framer refused has no path any more.
        let meant = if parts.method.as_str() == REFUSED_METHOD {
            carrier.only()
        } else {
            carrier.served(parts.uri.path())
        };
        self.shape = error_shape(&live, meant);
        let head = head::check(&parts, &carrier.rules)?;
        let served = carrier.served(&head.path);
        self.shape = error_shape(&live, served);
        if matches!(self.shape, ErrorShape::Salesforce) {
            if graphql::is_at(&head.segments) {
                self.shape = ErrorShape::GraphQl;
            } else if bulk1::is_at(&head.segments) {
                let json = bulk1::speaks_json(&head.headers);
                self.shape = ErrorShape::Bulk { json };
            }
        }
        let streams =
            matches!(self.shape, ErrorShape::Salesforce) && streaming::is_at(&head.segments);
        if streams {
            self.shape = ErrorShape::Bayeux(Echoes::default());
        }
        journal.api = served.map(|s| Arc::clone(&s.api.name));

        // Who asks?
        let passthrough =
            served.is_some_and(|s| matches!(s.settings.credential, Credential::Passthrough));
        let address = forwarded_address(&carrier, peer.ip(), &parts.headers);
        let mut incoming = Some(incoming);
        // A SOAP call names its caller in its body.
        let mut call = None;
        if let (Some(served), false) = (served, passthrough)
            && served.api.dialect == Dialect::Salesforce
            && let Some(door) = door(&head.segments)
        {
            self.shape = login::error_shape(&door);
            let limits = &carrier.settings.limits;
            let coding = Coding::of(&parts.headers).ok_or_else(internal)?;
            let max = login::body_bytes_max(&door).min(limits.request_body_bytes_max);
            let raw = incoming.take().ok_or_else(internal)?;
            let mut incoming = ClientBody::new(raw, coding, limits, max)?;
            let body = incoming.whole().await?;
            let asked = login::Asked {
                door: &door,
                method: &head.method,
                query: &head.query,
                body: &body,
                headers: &parts.headers,
                address,
                now_s: jiff::Timestamp::now().as_second(),
                api: &served.api.name,
                newest: served.api.versions.1,
                settings: &carrier.settings,
                live: &live,
                rate: &carrier.logins,
            };
            match login::passes_on(&door, &head.method, &body) {
                Some(session) => call = Some((incoming, body, session)),
                None => return self.at_door(&asked).await,
            }
        }
        let circumstances = Circumstances {
            headers: &parts.headers,
            session: call
                .as_ref()
                .and_then(|(_, _, s)| s.as_ref())
                .map(|s| s.expose_secret().as_str()),
            address: Some(address),
            now_s: jiff::Timestamp::now().as_second(),
            tenant: &carrier.settings.tenant,
            settings: &carrier.settings.identity,
        };
        let identity = authenticate::authenticate(&circumstances, &live.verifiers, passthrough)?;
        journal.caller(&identity);
        let held = carrier.steps.of(steps::caller(&identity), identity.now_s);
        if let Some(held) = held.as_ref().filter(|h| h.step == Step::StopCaller) {
            let text = "this client is stopped for now";
            let detail = format!("stopped by the monitor {}", held.monitor);
            return Err(Refusal::new(Reason::Denied, text).detail(detail));
        }
        if let Some(id) = head.path.strip_prefix(receipts::PATH) {
            return self.receipt(&head.method, id, &identity).await;
        }
        let served = served.ok_or_else(|| {
            Refusal::new(Reason::UnknownPath, "The requested resource does not exist")
        })?;

        // What is asked, what was decided, what will be done.
        let request_head = RequestHead {
            method: &head.method,
            path: &head.path,
            segments: &head.segments,
            query: &head.query,
            headers: &head.headers,
        };
        let limits = &carrier.settings.limits;
        let coding = Coding::of(&parts.headers).ok_or_else(internal)?;
        let sealer = live.keys.sealer(&identity.tenant);
        let (mut incoming, mut body) = if let Some((incoming, body, _)) = call {
            (incoming, body)
        } else {
            let raw = incoming.take().ok_or_else(internal)?;
            let mut incoming = ClientBody::new(raw, coding, limits, limits.request_body_bytes_max)?;
            let body = match protocol::intake(&served.api, &request_head, &identity, &sealer) {
                Intake::Whole => incoming.whole().await?,
                Intake::FirstRow => incoming.first_row().await?,
                Intake::Nothing => Bytes::new(),
            };
            (incoming, body)
        };
        // Content of a GET means nothing (RFC 9110, section 9.3.1): read to its end, so that it cannot pass for
        // another request, and left here.
        if head.method == Method::GET {
            body.clear();
        }
        if streams {
            self.shape = ErrorShape::Bayeux(Echoes::of(&body));
        }
        let authorization = parts.headers.get(http::header::AUTHORIZATION);
        let mut jar =
            streams.then(|| Jar::of(&parts.headers, &served.api.name, &identity, &sealer));
        let cookie = jar.as_ref().and_then(Jar::header);
        let correlation_id = journal.correlation_id.as_ref();
        let correlation_id = Arc::clone(correlation_id.unwrap_or(&journal.request_id));
        let ids = Ids {
            request_id: &correlation_id,
            traceparent: &trace,
            cookie: cookie.as_ref(),
        };
        let known = match protocol::beforehand(
            &served.api,
            &request_head,
            &body,
            &live.set.catalog,
            &identity,
            &sealer,
        )? {
            None => Known::default(),
            Some(operation) => {
                let asking = Asking {
                    carrier: &carrier,
                    served,
                    live: &live,
                    identity: &identity,
                    authorization,
                    ids: &ids,
                };
                asking.ask(operation).await?
            }
        };
        let operation = protocol::understand_knowing(
            &served.api,
            &request_head,
            &body,
            &live.set.catalog,
            &identity,
            &sealer,
            &known,
        )?;
        let mut decision =
            policy::decide(&live.set.policies, &live.set.catalog, &identity, &operation);
        if held.is_some() {
            policy::tighten(&mut decision, &live.set.catalog, &operation.uses);
        }
        let account = plan::account(&operation, &decision, &live.set.catalog);
        let journal = self.journal.as_mut().ok_or_else(internal)?;
        if let Some(shadow) = carrier.shadow.get() {
            shadow.tell(&live, &identity, &account);
        }
        journal.asked(account);
        // Kept before planning: a refusal has its reasons too.
        if decision.explain
            // A name that is not there has no receipt, as one that is hidden has none.
            && operation.forward.refused().is_none()
            && parts
                .headers
                .get("privet-explain")
                .is_some_and(|v| v == "1")
        {
            let said = plan::manifest(&operation, &decision, &live.set.catalog);
            self.explain(&live, &decision.purpose, &said, &identity);
        }
        let plan = plan::plan(
            operation,
            &decision,
            &live.set.catalog,
            &live.keys,
            &identity,
        )?;
        if let Some(upload) = plan.upload() {
            if !is_of_format(&parts.headers, upload.program().format()) {
                return Err(Refusal::new(
                    Reason::UnsupportedMediaType,
                    "the endpoint does not take this content type",
                ));
            }
            incoming.allow(limits.upload_bytes_max);
        }
        if let Some(treated) = plan.treated_header() {
            self.say("privet-treated", treated);
        }

        // Recorded before the first byte goes upstream; a write only once that is durable.
        let journal = self.journal.as_mut().ok_or_else(internal)?;
        journal.attempt().await?;
        if plan.is_write() {
            journal.durable().await?;
        }

        // There and back.
        journal.shows(plan.shown());
        let answered = served
            .upstream
            .send(&plan, incoming, authorization, &ids)
            .await?;
        journal.upstream_answered(answered.status.as_u16(), answered.upstream_us);
        if let Some(jar) = jar.as_mut() {
            let tls = served.api.public_origin.starts_with("https:");
            if let Some(set) = jar.take(&answered.cookies, &sealer, tls) {
                self.common.insert(SET_COOKIE, set);
            }
        }
        let accepted = coding::accepted(&parts.headers);
        self.answer(served, &plan, answered, accepted, head.is_head)
            .await
    }

    /// What privet answers by itself: recorded like everything else, and no upstream is asked.
    async fn at_door(
        &mut self,
        asked: &login::Asked<'_>,
    ) -> Result<Response<OutgoingBody>, Refusal> {
        let journal = self.journal.as_mut().ok_or_else(internal)?;
        journal.asked(login::account(asked));
        let answered = login::answer(asked)?;
        if let Some(identity) = &answered.identity {
            journal.caller(identity);
        }
        let status = StatusCode::OK;
        self.close(Ending::Complete, status, None, None).await?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, answered.content_type);
        Ok(self.respond(status, headers, OutgoingBody::whole(answered.body.into())))
    }

    /// Keeps a receipt of this request and says where it is.
    fn explain(&mut self, live: &Live, purpose: &str, said: &[Said], identity: &Identity) {
        let Some(journal) = self.journal.as_mut() else {
            return;
        };
        // A field that is hidden answers a predicate as if it were not there, and that has no receipt either.
        let untold = |s: &Said| {
            s.answers
                .iter()
                .any(|(word, rules)| *word == "refused" && rules.is_empty())
        };
        if said.iter().any(untold) {
            return;
        }
        let id = Arc::clone(&journal.request_id);
        let (catalog, policies) = (&live.set.catalog, &live.set.policies);
        let manifest = receipts::manifest(&id, purpose, said, catalog, policies);
        journal.receipts = Some(Arc::clone(&self.carrier.receipts));
        self.carrier.receipts.keep(&id, identity, manifest);
        self.say("privet-receipt", &format!("{}{id}", receipts::PATH));
    }

    /// A receipt, to the caller whose request it tells of.
    async fn receipt(
        &mut self,
        method: &Method,
        id: &str,
        identity: &Identity,
    ) -> Result<Response<OutgoingBody>, Refusal> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Refusal::new(
                Reason::MethodNotAllowed,
                "this method is not allowed here",
            ));
        }
        let whole = self.carrier.receipts.of(id, identity).ok_or_else(|| {
            Refusal::new(Reason::UnknownPath, "The requested resource does not exist")
        })?;
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.close(Ending::Complete, StatusCode::OK, None, None)
            .await?;
        let body = OutgoingBody::whole(Bytes::from(whole.to_string()));
        Ok(self.respond(StatusCode::OK, headers, body))
    }

    /// The upstream's answer, rewritten.
    async fn answer(
        &mut self,
        served: &ServedApi,
        plan: &Plan,
        answered: Answered,
        accepted: Coding,
        is_head: bool,
    ) -> Result<Response<OutgoingBody>, Refusal> {
        let status = answered.status;
        for (name, value) in &answered.headers {
            self.common.insert(name.clone(), value.clone());
        }
        let content_type = answered.content_type;
        let (incoming, coding) = match answered.content {
            Content::Body(incoming, coding) => (incoming, coding),
            Content::Empty => {
                self.close(Ending::Complete, status, None, None).await?;
                return Ok(self.respond(
                    status,
                    HeaderMap::new(),
                    OutgoingBody::whole(Bytes::new()),
                ));
            }
            Content::Error(code) => {
                let id = self.request_id();
                let answer = refuse::replaced_error(status, code, &self.shape, &id);
                self.close(Ending::Complete, status, Some(code), None)
                    .await?;
                return Ok(self.respond_with(answer));
            }
        };
        let mut headers = HeaderMap::new();
        headers.insert(
            CONTENT_TYPE,
            match self.shape {
                // SOAP 1.1, section 6.
                ErrorShape::Soap => HeaderValue::from_static("text/xml;charset=UTF-8"),
                _ => HeaderValue::from_static(plan.program().format().media_type()),
            },
        );
        let encoder = if plan.is_export() || served.settings.compress == Compress::Api {
            Encoder::new(accepted).map_err(|_| internal())?
        } else {
            None
        };
        if let (Some(_), Some(word)) = (&encoder, accepted.word()) {
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static(word));
        }
        if plan.is_opaque() {
            // Saved, never shown.
            headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment"));
        }
        if is_head {
            drop(incoming);
            self.close(Ending::Complete, status, None, None).await?;
            return Ok(self.respond(status, headers, OutgoingBody::ready(Vec::new())));
        }
        let program = plan
            .program()
            .for_content_type(content_type.as_ref().and_then(|v| v.to_str().ok()));
        let mut pump = Pump::new(
            incoming,
            coding,
            &program,
            &self.carrier.settings.limits,
            served.settings.inflated_bytes_max,
            encoder,
        );
        if plan.request().long_poll {
            pump = pump.patient(LONG_POLL);
        }
        // An HTTP/1.0 client cannot tell a cut answer from a whole one unless it knows the length.
        let needs_length = self.version < Version::HTTP_11;
        let filled = if needs_length {
            pump.fill_whole(WHOLE_BYTES_MAX).await
        } else {
            pump.fill().await
        };
        let progress = filled.map_err(|failure| {
            self.carrier.metrics.blocked(failure.word());
            Refusal::new(
                Reason::UpstreamUnacceptable,
                "the upstream's answer may not pass",
            )
            .detail(failure.word())
        })?;
        let journal = self.journal.as_mut().ok_or_else(internal)?;
        journal.first_byte(pump.waited_us());
        let body = match progress {
            // Complete before its first byte leaves: one commit covers attempt and outcome.
            Progress::Complete(counts) => {
                let counts = Some((pump.program().clone(), counts));
                let pieces = pump.take().map_err(|_| internal())?;
                self.close(Ending::Complete, status, None, counts).await?;
                if needs_length {
                    OutgoingBody::whole(pieces.concat().into())
                } else {
                    OutgoingBody::ready(pieces)
                }
            }
            Progress::More if needs_length => {
                return Err(Refusal::new(
                    Reason::BadRequest,
                    "an answer of this size needs HTTP/1.1",
                ));
            }
            Progress::More => {
                journal.durable().await?;
                let journal = self.journal.take().ok_or_else(internal)?;
                pump.stream(journal, status.as_u16())
            }
        };
        Ok(self.respond(status, headers, body))
    }

    /// Ids of this request and the headers that every answer to it carries. Returns the `traceparent`.
    fn identify(
        &mut self,
        journal: &mut Journal,
        peer: IpAddr,
        headers: &HeaderMap,
        policy: &str,
    ) -> String {
        let trusted = self
            .carrier
            .settings
            .listen
            .trusted_proxies
            .iter()
            .any(|n| n.contains(&peer));
        journal.correlation_id = headers
            .get("x-request-id")
            .filter(|_| trusted)
            .and_then(|v| v.to_str().ok())
            .filter(|v| is_request_id(v))
            .map(Arc::from);
        let echoed = journal
            .correlation_id
            .clone()
            .unwrap_or_else(|| Arc::clone(&journal.request_id));
        self.say("privet-request-id", &journal.request_id);
        self.say("x-request-id", &echoed);
        self.say("privet-policy", policy);
        self.common
            .insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
        self.common.insert(
            VARY,
            HeaderValue::from_static("Authorization, Cookie, X-Api-Key, Accept-Encoding, Origin"),
        );
        self.common.insert(
            http::header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers
            .get("traceparent")
            .and_then(|v| v.to_str().ok())
            .filter(|v| is_traceparent(v))
            .map_or_else(new_traceparent, str::to_owned)
    }

    fn say(&mut self, name: &'static str, value: &str) {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.common.insert(HeaderName::from_static(name), value);
        }
    }

    /// Records a refusal and answers it.
    async fn refuse(&mut self, refusal: &Refusal) -> Result<Response<OutgoingBody>, Refusal> {
        let (status, code) = refuse::spelt(refusal, &self.shape);
        self.carrier.metrics.refused(code);
        let ending = match refusal.reason {
            Reason::UpstreamUnreachable | Reason::UpstreamUnacceptable => Ending::UpstreamFailed,
            _ => Ending::Refused,
        };
        let reason = refusal
            .detail
            .as_ref()
            .map_or_else(|| code.to_owned(), |d| format!("{code}: {d}"));
        if refusal.reason == Reason::CannotRecord {
            return Err(refusal.clone());
        }
        self.close(ending, status, Some(&reason), None).await?;
        Ok(self.bare(refusal))
    }

    /// The answer to a refusal, recorded or past recording.
    fn bare(&mut self, refusal: &Refusal) -> Response<OutgoingBody> {
        if refusal.reason == Reason::CannotRecord {
            self.carrier.metrics.not_recorded();
            if let Some(journal) = self.journal.as_mut() {
                journal.give_up(refuse::row(refusal.reason).0.as_u16());
            }
        }
        let id = self.request_id();
        let mut answer = refuse::answer(refusal, &self.shape, &id);
        if self.version <= Version::HTTP_11 && refuse::closes(refusal.reason) {
            answer
                .headers
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.respond_with(answer)
    }

    async fn close(
        &mut self,
        ending: Ending,
        status: StatusCode,
        reason: Option<&str>,
        counts: Option<(BodyProgram, Counts)>,
    ) -> Result<(), Refusal> {
        let Some(journal) = self.journal.as_mut() else {
            return Ok(());
        };
        let end = End {
            ending,
            status: status.as_u16(),
            reason: reason.map(str::to_owned),
            counts,
        };
        journal.close(end).await.map_err(cannot_record)
    }

    fn request_id(&self) -> String {
        self.common
            .get("privet-request-id")
            .and_then(|v| v.to_str().ok())
            .unwrap_or("none")
            .to_owned()
    }

    fn respond_with(&mut self, answer: Answer) -> Response<OutgoingBody> {
        self.respond(
            answer.status,
            answer.headers,
            OutgoingBody::whole(answer.body),
        )
    }

    /// A head built from nothing: the common headers and `own`.
    fn respond(
        &mut self,
        status: StatusCode,
        own: HeaderMap,
        body: OutgoingBody,
    ) -> Response<OutgoingBody> {
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = std::mem::take(&mut self.common);
        response.headers_mut().extend(own);
        response
    }
}

/// Whether the one `Content-Type` names the format.
fn is_of_format(headers: &HeaderMap, format: Format) -> bool {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    match (all.next().and_then(|v| v.to_str().ok()), all.next()) {
        (Some(value), None) => Format::of_media_type(value) == Some(format),
        _ => false,
    }
}

fn internal() -> Refusal {
    Refusal::new(Reason::Internal, "internal error")
}

fn forwarded_address(carrier: &Carrier, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let forwarded: Vec<IpAddr> = headers
        .get_all("x-forwarded-for")
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .filter_map(|a| a.trim().parse().ok())
        .collect();
    client_address(
        peer,
        &carrier.settings.listen.trusted_proxies,
        forwarded.into_iter(),
    )
}

/// How the API spells its errors; no API, no shape of its own.
fn error_shape(live: &Live, served: Option<&ServedApi>) -> ErrorShape {
    served.map_or(ErrorShape::Neutral, |served| {
        match live.set.catalog.maps.get(&served.api.name) {
            Some(map) => ErrorShape::Map(Arc::clone(map)),
            None => served.error_shape.clone(),
        }
    })
}

/// `^[A-Za-z0-9_.:-]{1,128}$`.
fn is_request_id(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b':' | b'-'))
}

/// W3C Trace Context, version 00.
fn is_traceparent(text: &str) -> bool {
    let is_hex = |t: &str, n: usize| {
        t.len() == n
            && t.bytes()
                .all(|b| b.is_ascii_digit() || matches!(b, b'a'..=b'f'))
    };
    let parts: Vec<&str> = text.split('-').collect();
    matches!(parts[..], ["00", trace, span, flags]
        if is_hex(trace, 32) && is_hex(span, 16) && is_hex(flags, 2)
            && trace.bytes().any(|b| b != b'0') && span.bytes().any(|b| b != b'0'))
}

fn new_traceparent() -> String {
    // Version 7 ids: the last eight bytes are random but for two bits.
    let trace = uuid::Uuid::now_v7().simple().to_string();
    let span = uuid::Uuid::now_v7().simple().to_string();
    format!("00-{trace}-{}-00", &span[16..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traceparents_are_told_from_noise() {
        assert!(is_traceparent(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        ));
        assert!(is_traceparent(&new_traceparent()));
        for bad in [
            "",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(!is_traceparent(bad), "{bad}");
        }
        assert!(!is_request_id("a b") && !is_request_id("") && is_request_id("r-1"));
    }
}
