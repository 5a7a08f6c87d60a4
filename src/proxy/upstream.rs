//! The upstream side: takes a [`Plan`] and nothing else, and gives back a head that may be answered from.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HeaderMap, HeaderName,
    HeaderValue, RETRY_AFTER, SET_COOKIE, TRANSFER_ENCODING,
};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{
    CaptureConnection, Connected, Connection, HttpConnector, capture_connection,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::RootCertStore;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use crate::config::{ApiSettings, Credential, Limits, TlsFiles, Trust, millis};
use crate::engine::coding::{Coding, Decoder};
use crate::engine::plan::Plan;
use crate::engine::protocol::salesforce::login::soap;
use crate::engine::protocol::salesforce::{bulk1, errors};
use crate::engine::protocol::{SessionPlace, UpstreamRequest};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::rewrite::Format;
use crate::engine::secret::Secret;

use super::body::OutgoingBody;
use super::refuse::{self, ErrorShape};
use super::request_body::{ClientBody, Stopped, upload};

/// Most interim (1xx) responses before the real one.
const INTERIM_MAX: u32 = 4;
/// Largest error or token body that is looked at.
const SMALL_BODY_MAX: usize = 64 << 10;
/// Longest answer that is taken whole.
const PULLED_BYTES_MAX: u64 = 4 << 20;
/// How much longer than others an upstream may take that answers when there is something to say: Salesforce takes 110
/// seconds ("advice", Streaming API Developer Guide).
pub const LONG_POLL: Duration = Duration::from_secs(120);
/// A token whose endpoint names no lifetime is fetched anew after this; a 401 fetches it earlier.
const TOKEN_LIFETIME: Duration = Duration::from_secs(15 * 60);
/// A token is renewed this long before it ends.
const TOKEN_MARGIN: Duration = Duration::from_secs(60);

/// One upstream with its connections and its credential.
#[derive(Debug)]
pub struct Upstream {
    client: Client<Connector, OutgoingBody>,
    origin: String,
    credential: Credential,
    token: tokio::sync::Mutex<Option<Token>>,
    head_timeout: Duration,
    body_idle: Duration,
    inflated_bytes_max: u64,
    inflation_ratio_max: u64,
    error_shape: ErrorShape,
}

#[derive(Debug)]
struct Token {
    header: Secret<String>,
    until: Instant,
}

/// Ids that travel with a request.
#[derive(Debug)]
pub struct Ids<'a> {
    /// `X-Request-Id`.
    pub request_id: &'a str,
    /// `traceparent`.
    pub traceparent: &'a str,
    /// The upstream's own cookies.
    pub cookie: Option<&'a HeaderValue>,
}

/// The upstream's answer, as far as its head goes.
#[derive(Debug)]
pub struct Answered {
    /// Its status.
    pub status: StatusCode,
    /// Microseconds until its head.
    pub upstream_us: u64,
    /// Headers that may pass.
    pub headers: HeaderMap,
    /// `Set-Cookie` lines, which pass in no answer as they are.
    pub cookies: HeaderMap,
    /// Its one `Content-Type`.
    pub content_type: Option<HeaderValue>,
    /// The rest.
    pub content: Content,
}

/// What an answer holds.
#[derive(Debug)]
pub enum Content {
    /// A body of the planned format in this coding, to be rewritten.
    Body(Incoming, Coding),
    /// Nothing.
    Empty,
    /// An error, whose body has been read and thrown away; a code that may pass.
    Error(&'static str),
}

/// The upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("upstream {url}: {what}")]
pub struct SetupError {
    /// Its URL.
    pub url: Arc<str>,
    /// What is wrong.
    pub what: String,
}

fn unreachable(detail: &str) -> Refusal {
    Refusal::new(
        Reason::UpstreamUnreachable,
        "the upstream cannot be reached",
    )
    .detail(detail)
}

fn unacceptable(detail: &str) -> Refusal {
    Refusal::new(
        Reason::UpstreamUnacceptable,
        "the upstream's answer may not pass",
    )
    .detail(detail)
}

impl Upstream {
    /// Prepares connections to one API; none is opened yet.
    ///
    /// # Errors
    /// A trust store that holds nothing, or a URL that is no origin.
    pub fn new(
        settings: &ApiSettings,
        limits: &Limits,
        error_shape: ErrorShape,
    ) -> Result<Self, SetupError> {
        let url = Arc::clone(&settings.upstream_url);
        let setup = |what: String| SetupError {
            url: Arc::clone(&url),
            what,
        };
        let uri: Uri = url.parse().map_err(|e| setup(format!("{e}")))?;
        if uri.authority().is_none() || !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(setup("is not an http or https origin".into()));
        }
        let mut tls = client_tls(&settings.trust, None).map_err(setup)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(millis(limits.connect_ms)));
        let connector = Connector {
            http,
            tls: Arc::new(tls).into(),
            timeout: millis(limits.connect_ms),
        };
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(millis(limits.upstream_idle_ms))
            .pool_max_idle_per_host(64)
            .http1_max_headers(limits.head_fields_max.max(100))
            .http1_max_buf_size(limits.head_bytes_max.max(64 << 10))
            .set_host(true)
            .build(connector);
        Ok(Self {
            client,
            origin: url.trim_end_matches('/').to_owned(),
            credential: settings.credential.clone(),
            token: tokio::sync::Mutex::new(None),
            head_timeout: millis(limits.upstream_head_ms),
            body_idle: millis(limits.body_idle_ms),
            inflated_bytes_max: settings.inflated_bytes_max,
            inflation_ratio_max: limits.inflation_ratio_max,
            error_shape,
        })
    }

    /// Sends what the plan says (what it uploads comes from `body`), with our credential (or, for passthrough, `client_authorization`), and checks the
    /// head of the answer.
    ///
    /// # Errors
    /// 502: unreachable, or an answer that must not pass. The connection is then not used again.
    pub async fn send(
        &self,
        plan: &Plan,
        body: ClientBody,
        client_authorization: Option<&HeaderValue>,
        ids: &Ids<'_>,
    ) -> Result<Answered, Refusal> {
        let started = Instant::now();
        let mut authorization = self.authorization(client_authorization, None).await?;
        let mut response = match plan.upload() {
            None => {
                let planned = plan.request();
                self.renewing(planned, client_authorization, &mut authorization, ids)
                    .await?
            }
            Some(program) => {
                let (sender, outgoing) = OutgoingBody::channel();
                let (request, watch) =
                    self.request(plan.request(), outgoing, &authorization, ids)?;
                let uploading = upload(body, program, sender);
                let head = self.while_uploading(request, watch, uploading).await?;
                if head.0.status() == StatusCode::UNAUTHORIZED {
                    // A body that has gone by cannot be sent again; the next request has a fresh credential.
                    self.forget(&authorization).await;
                }
                head
            }
        };
        if plan.request().session == SessionPlace::Header
            && response.0.status() == StatusCode::BAD_REQUEST
        {
            // A session that is none has no status of its own either.
            let mut code = self.exception(response.0).await;
            if code == Some(NO_ASYNC_SESSION) {
                self.forget(&authorization).await;
                // What has gone by cannot be sent again.
                if plan.upload().is_some()
                    || !matches!(self.credential, Credential::ClientCredentials { .. })
                {
                    return Err(unreachable("the upstream refuses the proxy's credential"));
                }
                authorization = self.authorization(client_authorization, None).await?;
                response = self.once(plan.request(), &authorization, ids).await?;
                if response.0.status() == StatusCode::BAD_REQUEST {
                    code = self.exception(response.0).await;
                    return exception(code, started);
                }
            } else {
                return exception(code, started);
            }
        }
        if matches!(plan.request().session, SessionPlace::Body(_))
            && response.0.status() == StatusCode::INTERNAL_SERVER_ERROR
        {
            // A fault, whose code stands in its body alone.
            let mut code = self.fault_code(response.0).await;
            if code.as_deref() == Some(NO_SESSION)
                && matches!(self.credential, Credential::ClientCredentials { .. })
            {
                authorization = self
                    .authorization(client_authorization, Some(&authorization))
                    .await?;
                response = self.once(plan.request(), &authorization, ids).await?;
                if response.0.status() == StatusCode::INTERNAL_SERVER_ERROR {
                    code = self.fault_code(response.0).await;
                    return fault(code.as_deref(), started);
                }
            } else {
                return fault(code.as_deref(), started);
            }
        }
        let upstream_us = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
        let (response, connection) = response;
        let page = plan.page_headers(response.headers());
        let checked = self
            .check(response, plan.program().format(), upstream_us)
            .await;
        match checked {
            Ok(mut answered) => {
                answered.headers.extend(page);
                Ok(answered)
            }
            Err(refusal) => {
                poison(&connection);
                Err(refusal)
            }
        }
    }

    /// The whole body of an answer to what the plan says, for privet's own use; `None` where the upstream refuses or has
    /// nothing to say.
    ///
    /// # Errors
    /// As [`Upstream::send`], and a body that is too long or cannot be read.
    pub async fn pull(
        &self,
        plan: &Plan,
        client_authorization: Option<&HeaderValue>,
        ids: &Ids<'_>,
    ) -> Result<Option<Bytes>, Refusal> {
        let mut authorization = self.authorization(client_authorization, None).await?;
        let response = self
            .renewing(
                plan.request(),
                client_authorization,
                &mut authorization,
                ids,
            )
            .await?;
        let (response, connection) = response;
        let pulled = match self.check(response, plan.program().format(), 0).await {
            Ok(answered) => match answered.content {
                Content::Body(body, coding) => self
                    .read_whole(body, coding, PULLED_BYTES_MAX)
                    .await
                    .map(Some)
                    .ok_or_else(|| unacceptable("body")),
                Content::Empty | Content::Error(_) => Ok(None),
            },
            Err(refusal) => Err(refusal),
        };
        if pulled.is_err() {
            poison(&connection);
        }
        pulled
    }

    /// The exception code of an error of Bulk API 1.0.
    async fn exception(&self, response: Response<Incoming>) -> Option<&'static str> {
        let (head, body) = response.into_parts();
        let coding = Coding::of(&head.headers)?;
        let text = self.read_whole(body, coding, SMALL_BODY_MAX as u64).await?;
        bulk1::exception_code(&text)
    }

    async fn fault_code(&self, response: Response<Incoming>) -> Option<String> {
        let (head, body) = response.into_parts();
        let coding = Coding::of(&head.headers)?;
        let text = self.read_whole(body, coding, SMALL_BODY_MAX as u64).await?;
        soap::fault_code(&text)
    }

    /// The body of a describe, for `privet schema pull`: the operator's own request, so it carries no caller's data and
    /// needs no plan. `path` is path-absolute.
    ///
    /// # Errors
    /// A text for the operator.
    pub async fn pull_schema(&self, path: &str) -> Result<Bytes, String> {
        let told = |refusal: Refusal| match refusal.detail {
            Some(detail) => format!("{}: {detail}", refusal.message),
            None => refusal.message.into_owned(),
        };
        let authorization = self.authorization(None, None).await.map_err(told)?;
        let request = UpstreamRequest {
            long_poll: false,
            cookies: false,
            method: Method::GET,
            path_and_query: path.to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            session: SessionPlace::Authorization,
        };
        let ids = Ids {
            request_id: "schema-pull",
            traceparent: "",
            cookie: None,
        };
        let (response, _) = self
            .once(&request, &authorization, &ids)
            .await
            .map_err(told)?;
        match self
            .check(response, Format::Json, 0)
            .await
            .map_err(told)?
            .content
        {
            Content::Body(body, coding) => self
                .read_whole(body, coding, self.inflated_bytes_max)
                .await
                .ok_or_else(|| "its body cannot be read".to_owned()),
            Content::Empty => Err("it is empty".to_owned()),
            Content::Error(code) => Err(format!("the upstream answers {code}")),
        }
    }

    /// A whole body of at most `bytes_max`, decoded.
    async fn read_whole(&self, body: Incoming, coding: Coding, bytes_max: u64) -> Option<Bytes> {
        let limit = usize::try_from(bytes_max).unwrap_or(usize::MAX);
        let bytes = tokio::time::timeout(self.body_idle, Limited::new(body, limit).collect())
            .await
            .ok()?
            .ok()?
            .to_bytes();
        let mut decoder = Decoder::new(
            coding,
            self.inflated_bytes_max.min(bytes_max),
            self.inflation_ratio_max,
        );
        let mut text = Vec::new();
        let mut take = |piece: Bytes| {
            text.extend_from_slice(&piece);
            Ok(())
        };
        decoder.push(bytes, &mut take).ok()?;
        decoder.finish().ok()?;
        Some(text.into())
    }

    /// As [`Self::once`]; what is refused unprocessed for its credential alone is sent once more with a fresh one.
    async fn renewing(
        &self,
        planned: &UpstreamRequest,
        client_authorization: Option<&HeaderValue>,
        authorization: &mut HeaderValue,
        ids: &Ids<'_>,
    ) -> Result<(Response<Incoming>, CaptureConnection), Refusal> {
        let response = self.once(planned, authorization, ids).await?;
        if response.0.status() != StatusCode::UNAUTHORIZED
            || !matches!(self.credential, Credential::ClientCredentials { .. })
        {
            return Ok(response);
        }
        *authorization = self
            .authorization(client_authorization, Some(authorization))
            .await?;
        self.once(planned, authorization, ids).await
    }

    async fn once(
        &self,
        planned: &UpstreamRequest,
        authorization: &HeaderValue,
        ids: &Ids<'_>,
    ) -> Result<(Response<Incoming>, CaptureConnection), Refusal> {
        let body = OutgoingBody::whole(match planned.session {
            SessionPlace::Body(at) => with_session(&planned.body, at, authorization)?,
            _ => planned.body.clone(),
        });
        let (request, watch) = self.request(planned, body, authorization, ids)?;
        let patience = match planned.long_poll {
            true => self.head_timeout + LONG_POLL,
            false => self.head_timeout,
        };
        let exchanged = tokio::time::timeout(patience, self.client.request(request));
        let response = tokio::select! {
            biased;
            () = watch.flooded.notified() => return Err(unacceptable("interim responses")),
            response = exchanged => response,
        };
        watch.judge(response.map_err(|_| no_head())?)
    }

    /// The head of the answer to an upload. The upstream's patience is counted from its end; who refuses it early is
    /// heard, who accepts it early is not believed before it has ended well.
    async fn while_uploading(
        &self,
        request: Request<OutgoingBody>,
        watch: Watch,
        uploading: impl Future<Output = Result<(), Stopped>>,
    ) -> Result<(Response<Incoming>, CaptureConnection), Refusal> {
        let mut exchanged = std::pin::pin!(self.client.request(request));
        let mut uploading = std::pin::pin!(uploading);
        let (early, uploaded) = tokio::select! {
            biased;
            () = watch.flooded.notified() => return Err(unacceptable("interim responses")),
            uploaded = &mut uploading => (None, Some(uploaded)),
            response = &mut exchanged => (Some(response), None),
        };
        let (response, uploaded) = match (early, uploaded) {
            (_, Some(Err(Stopped::Refused(refusal)))) => return Err(refusal),
            (Some(response), _) => {
                let refuses = response
                    .as_ref()
                    .map_or(true, |response| response.status().as_u16() >= 400);
                let uploaded = if refuses { Ok(()) } else { uploading.await };
                (response, uploaded)
            }
            (None, uploaded) => {
                let response = tokio::time::timeout(self.head_timeout, &mut exchanged)
                    .await
                    .map_err(|_| no_head())?;
                (response, uploaded.unwrap_or(Ok(())))
            }
        };
        let head = watch.judge(response)?;
        match uploaded {
            Err(Stopped::Refused(refusal)) => Err(refusal),
            Err(Stopped::Upstream) if head.0.status().as_u16() < 400 => {
                Err(unacceptable("the upload was not read to its end"))
            }
            _ => Ok(head),
        }
    }

    /// The credential that was refused is not used again.
    async fn forget(&self, refused: &HeaderValue) {
        let mut token = self.token.lock().await;
        if token
            .as_ref()
            .is_some_and(|t| t.header.expose_secret().as_bytes() == refused.as_bytes())
        {
            *token = None;
        }
    }

    fn request(
        &self,
        planned: &UpstreamRequest,
        body: OutgoingBody,
        authorization: &HeaderValue,
        ids: &Ids<'_>,
    ) -> Result<(Request<OutgoingBody>, Watch), Refusal> {
        let uri: Uri = format!("{}{}", self.origin, planned.path_and_query)
            .parse()
            .map_err(|_| Refusal::new(Reason::Internal, "the upstream request is no request"))?;
        let mut request = Request::builder().method(planned.method.clone()).uri(uri);
        if let Some(headers) = request.headers_mut() {
            headers.extend(planned.headers.clone());
            match planned.session {
                SessionPlace::Authorization => {
                    headers.insert(AUTHORIZATION, authorization.clone());
                }
                SessionPlace::Header => {
                    headers.insert(SESSION, bare(authorization)?);
                }
                SessionPlace::Body(_) => {}
            }
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
            if let Some(cookie) = ids.cookie.filter(|_| planned.cookies) {
                headers.insert(COOKIE, cookie.clone());
            }
            for (name, value) in [
                ("x-request-id", ids.request_id),
                ("traceparent", ids.traceparent),
            ] {
                if let Ok(value) = HeaderValue::from_str(value) {
                    headers.insert(HeaderName::from_static(name), value);
                }
            }
        }
        let mut request = request
            .body(body)
            .map_err(|_| Refusal::new(Reason::Internal, "the upstream request is no request"))?;
        let connection = capture_connection(&mut request);
        let interim = Arc::new(AtomicU32::new(0));
        let flooded = Arc::new(Notify::new());
        hyper::ext::on_informational(&mut request, {
            let (interim, flooded) = (Arc::clone(&interim), Arc::clone(&flooded));
            move |_| {
                if interim.fetch_add(1, Ordering::Relaxed) >= INTERIM_MAX {
                    flooded.notify_one();
                }
            }
        });
        Ok((
            request,
            Watch {
                connection,
                interim,
                flooded,
            },
        ))
    }

    /// The head of an answer, judged (H3, H6, H7, H15). Nothing of it passes but what is named here.
    async fn check(
        &self,
        response: Response<Incoming>,
        format: Format,
        upstream_us: u64,
    ) -> Result<Answered, Refusal> {
        let (head, body) = response.into_parts();
        let framing = |name| head.headers.get_all(name).iter().count();
        let chunked = head.headers.get(TRANSFER_ENCODING);
        if framing(&TRANSFER_ENCODING) + framing(&CONTENT_LENGTH) > 1
            || chunked.is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"chunked"))
        {
            return Err(unacceptable("ambiguous framing"));
        }
        if head.headers.contains_key(http::header::UPGRADE) {
            return Err(unacceptable("upgrade"));
        }
        let coding = Coding::of(&head.headers);
        let mut answered = Answered {
            status: head.status,
            upstream_us,
            cookies: cookies(&head.headers),
            headers: passing(&head.headers),
            content_type: content_type(&head.headers).cloned(),
            content: Content::Empty,
        };
        match head.status.as_u16() {
            200..=202 => {
                if hyper::body::Body::is_end_stream(&body) {
                    return Ok(answered);
                }
                // A file is of any type; nobody but its reader looks into it.
                if format != Format::Opaque && format_of(&head.headers) != Some(format) {
                    return Err(unacceptable("content type"));
                }
                let coding = coding.ok_or_else(|| unacceptable("content coding"))?;
                answered.content = Content::Body(body, coding);
                Ok(answered)
            }
            204 => Ok(answered),
            401 if !matches!(self.credential, Credential::Passthrough) => {
                Err(unreachable("the upstream refuses the proxy's credential"))
            }
            401 => Err(Refusal::new(
                Reason::Unauthenticated,
                "Session expired or invalid",
            )),
            // A list of paths, each of a record that the value stands in: nothing of it passes but that there are several.
            300 => {
                answered.headers = HeaderMap::new();
                answered.content = Content::Error("MULTIPLE_CHOICES");
                Ok(answered)
            }
            400..=599 => {
                let code = self.error_code(body, coding).await;
                answered.content =
                    Content::Error(code.unwrap_or_else(|| refuse::code_of_status(head.status)));
                Ok(answered)
            }
            _ => Err(unacceptable("status")),
        }
    }

    /// The code of an error body that may pass. Whatever is unread closes the connection.
    async fn error_code(&self, body: Incoming, coding: Option<Coding>) -> Option<&'static str> {
        let text = self
            .read_whole(body, coding?, SMALL_BODY_MAX as u64)
            .await?;
        refuse::passing_code(&self.error_shape, &text)
    }

    /// The `Authorization` for the upstream. `refused`: the one that was just refused.
    async fn authorization(
        &self,
        client: Option<&HeaderValue>,
        refused: Option<&HeaderValue>,
    ) -> Result<HeaderValue, Refusal> {
        let header = |text: &str| {
            let mut value = HeaderValue::from_str(text)
                .map_err(|_| unreachable("the credential is not a header value"))?;
            value.set_sensitive(true);
            Ok(value)
        };
        match &self.credential {
            Credential::Bearer(token) => {
                header(&format!("Bearer {}", token.expose_secret().trim()))
            }
            Credential::Passthrough => client
                .cloned()
                .ok_or_else(|| Refusal::new(Reason::Unauthenticated, "Session expired or invalid")),
            Credential::ClientCredentials { .. } => {
                // Held over the fetch: one caller fetches, the others wait for it.
                let mut token = self.token.lock().await;
                let usable = token.as_ref().filter(|t| {
                    t.until > Instant::now()
                        && refused
                            .is_none_or(|r| r.as_bytes() != t.header.expose_secret().as_bytes())
                });
                if let Some(t) = usable {
                    return header(t.header.expose_secret());
                }
                let fresh = self.fetch_token().await?;
                let value = header(fresh.header.expose_secret());
                *token = Some(fresh);
                value
            }
        }
    }

    /// OAuth 2.0 client credentials (RFC 6749 section 4.4).
    async fn fetch_token(&self) -> Result<Token, Refusal> {
        let Credential::ClientCredentials {
            client_id,
            client_secret,
            token_url,
        } = &self.credential
        else {
            return Err(Refusal::new(Reason::Internal, "no token endpoint"));
        };
        let url = token_url.as_deref().map_or_else(
            || format!("{}/services/oauth2/token", self.origin),
            str::to_owned,
        );
        let form = format!(
            "grant_type=client_credentials&client_id={}&client_secret={}",
            form_escape(client_id),
            form_escape(client_secret.expose_secret())
        );
        let request = Request::builder()
            .method(Method::POST)
            .uri(url)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(http::header::ACCEPT, "application/json")
            .body(OutgoingBody::whole(Bytes::from(form)))
            .map_err(|_| unreachable("token endpoint"))?;
        let fetched = async {
            let response = self.client.request(request).await.ok()?;
            if response.status() != StatusCode::OK {
                return None;
            }
            let body = Limited::new(response.into_body(), SMALL_BODY_MAX);
            Some(body.collect().await.ok()?.to_bytes())
        };
        let body = tokio::time::timeout(self.head_timeout, fetched)
            .await
            .ok()
            .flatten()
            .ok_or_else(|| unreachable("token endpoint"))?;
        let mut answer: serde_json::Value =
            serde_json::from_slice(&body).map_err(|_| unreachable("token endpoint"))?;
        let Some(serde_json::Value::String(token)) =
            answer.get_mut("access_token").map(serde_json::Value::take)
        else {
            return Err(unreachable("token endpoint"));
        };
        let lifetime = match answer.get("expires_in") {
            Some(serde_json::Value::Number(n)) => n.as_u64(),
            Some(serde_json::Value::String(s)) => s.parse().ok(),
            _ => None,
        }
        .map_or(TOKEN_LIFETIME, Duration::from_secs);
        let margin = TOKEN_MARGIN.min(lifetime / 2);
        Ok(Token {
            header: Secret::new(format!("Bearer {}", *Secret::new(token).expose_secret())),
            until: Instant::now() + (lifetime - margin).min(Duration::from_secs(24 * 3600)),
        })
    }
}

/// The exception code of a fault that says that the session is none.
const NO_SESSION: &str = "INVALID_SESSION_ID";

/// A fault of the upstream: a code that may pass, and nothing else.
fn fault(code: Option<&str>, started: Instant) -> Result<Answered, Refusal> {
    if code == Some(NO_SESSION) {
        return Err(unreachable("the upstream refuses the proxy's credential"));
    }
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    Ok(Answered {
        status,
        upstream_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        headers: HeaderMap::new(),
        cookies: HeaderMap::new(),
        content_type: None,
        content: Content::Error(
            code.and_then(errors::passing)
                .unwrap_or_else(|| refuse::code_of_status(status)),
        ),
    })
}

/// Where Bulk API 1.0 has its session id.
const SESSION: HeaderName = HeaderName::from_static("x-sfdc-session");
/// Its exception code of a session that is none.
const NO_ASYNC_SESSION: &str = "InvalidSessionId";

/// An error of Bulk API 1.0: a code that may pass, and nothing else.
fn exception(code: Option<&'static str>, started: Instant) -> Result<Answered, Refusal> {
    if code == Some(NO_ASYNC_SESSION) {
        return Err(unreachable("the upstream refuses the proxy's credential"));
    }
    let status = StatusCode::BAD_REQUEST;
    Ok(Answered {
        cookies: HeaderMap::new(),
        content_type: None,
        status,
        upstream_us: u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX),
        headers: HeaderMap::new(),
        content: Content::Error(code.unwrap_or_else(|| refuse::code_of_status(status))),
    })
}

/// The session id of an `Authorization`.
fn session(authorization: &HeaderValue) -> Option<&str> {
    let (_, session) = authorization.to_str().ok()?.split_once(' ')?;
    Some(session.trim())
}

/// The session id of an `Authorization` as a header of its own.
fn bare(authorization: &HeaderValue) -> Result<HeaderValue, Refusal> {
    let mut value = session(authorization)
        .and_then(|session| HeaderValue::from_str(session).ok())
        .ok_or_else(|| Refusal::new(Reason::Internal, "the upstream request is no request"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// A body with our session id in its place.
fn with_session(body: &Bytes, at: usize, authorization: &HeaderValue) -> Result<Bytes, Refusal> {
    let internal = || Refusal::new(Reason::Internal, "the upstream request is no request");
    let session = session(authorization).ok_or_else(internal)?;
    let (before, after) = (body.get(..at), body.get(at..));
    let (Some(before), Some(after)) = (before, after) else {
        return Err(internal());
    };
    let session = soap::escaped(session);
    Ok([before, session.as_bytes(), after].concat().into())
}

/// What a request on its way is watched by.
struct Watch {
    connection: CaptureConnection,
    /// Interim responses so far.
    interim: Arc<AtomicU32>,
    /// There were too many.
    flooded: Arc<Notify>,
}

impl Watch {
    /// A head, unless it came behind too many interim ones.
    fn judge(
        self,
        response: Result<Response<Incoming>, hyper_util::client::legacy::Error>,
    ) -> Result<(Response<Incoming>, CaptureConnection), Refusal> {
        if self.interim.load(Ordering::Relaxed) > INTERIM_MAX {
            poison(&self.connection);
            return Err(unacceptable("interim responses"));
        }
        let response = response.map_err(|e| {
            if e.is_connect() {
                unreachable("connect")
            } else {
                unacceptable("malformed response")
            }
        })?;
        Ok((response, self.connection))
    }
}

fn no_head() -> Refusal {
    unreachable("no response head in time")
}

/// The connection that a request used is not used again (H13).
fn poison(connection: &CaptureConnection) {
    if let Some(c) = connection.connection_metadata().as_ref() {
        c.poison();
    }
}

/// application/x-www-form-urlencoded.
fn form_escape(text: &str) -> String {
    let mut out = String::new();
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'*') {
            out.push(char::from(b));
        } else {
            out.push_str(&format!("%{b:02X}"));
        }
    }
    out
}

/// The `Set-Cookie` lines of an answer.
fn cookies(headers: &HeaderMap) -> HeaderMap {
    let lines = headers.get_all(SET_COOKIE).iter();
    lines.map(|v| (SET_COOKIE, v.clone())).collect()
}

/// Response headers that pass, checked; everything else stays (H8).
fn passing(headers: &HeaderMap) -> HeaderMap {
    let mut kept = HeaderMap::new();
    let is_usage = |v: &[u8]| {
        v.len() <= 256
            && v.iter()
                .all(|b| b.is_ascii_alphanumeric() || b" =/;(),.:-_".contains(b))
    };
    let limit = HeaderName::from_static("sforce-limit-info");
    if let Some(v) = headers.get(&limit).filter(|v| is_usage(v.as_bytes())) {
        kept.insert(limit, v.clone());
    }
    let is_seconds = |v: &[u8]| (1..=6).contains(&v.len()) && v.iter().all(u8::is_ascii_digit);
    if let Some(v) = headers
        .get(RETRY_AFTER)
        .filter(|v| is_seconds(v.as_bytes()))
    {
        kept.insert(RETRY_AFTER, v.clone());
    }
    kept
}

/// The one `Content-Type`.
fn content_type(headers: &HeaderMap) -> Option<&HeaderValue> {
    let mut all = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (all.next(), all.next()) else {
        return None;
    };
    Some(value)
}

/// The format that it names.
fn format_of(headers: &HeaderMap) -> Option<Format> {
    Format::of_media_type(content_type(headers)?.to_str().ok()?)
}

/// TLS towards a server that `trust` vouches for, with a certificate of privet's own if there is one.
///
/// # Errors
/// A trust store that holds nothing, or files that cannot be read.
pub fn client_tls(
    trust: &Trust,
    certificate: Option<&TlsFiles>,
) -> Result<rustls::ClientConfig, String> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots(trust)?);
    let Some(files) = certificate else {
        return Ok(builder.with_no_client_auth());
    };
    let told = |path: &Path, e: String| format!("{}: {e}", path.display());
    let chain = CertificateDer::pem_file_iter(&files.certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|e| told(&files.certificate, e.to_string()))?;
    let key =
        PrivateKeyDer::from_pem_file(&files.key).map_err(|e| told(&files.key, e.to_string()))?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|e| e.to_string())
}

/// The roots to trust. An empty store is an error, never "verify nothing".
fn roots(trust: &Trust) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match trust {
        Trust::Bundled => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Trust::System => {
            let found = rustls_native_certs::load_native_certs();
            store.add_parsable_certificates(found.certs);
            if store.is_empty() {
                return Err("the system's trust store holds no certificate".into());
            }
        }
        Trust::File(path) => {
            let certificates = CertificateDer::pem_file_iter(path)
                .map_err(|e| format!("{}: {e}", path.display()))?;
            for certificate in certificates {
                let certificate = certificate.map_err(|e| format!("{}: {e}", path.display()))?;
                store
                    .add(certificate)
                    .map_err(|e| format!("{}: {e}", path.display()))?;
            }
            if store.is_empty() {
                return Err(format!("{}: holds no certificate", path.display()));
            }
        }
    }
    Ok(store)
}

/// TCP, and TLS for https.
#[derive(Clone)]
struct Connector {
    http: HttpConnector,
    tls: tokio_rustls::TlsConnector,
    timeout: Duration,
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector")
    }
}

impl tower_service::Service<Uri> for Connector {
    type Response = Stream;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Stream>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.http.poll_ready(cx).map_err(io::Error::other)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let tls = (uri.scheme_str() == Some("https")).then(|| self.tls.clone());
        let name = uri.host().unwrap_or("").trim_matches(['[', ']']).to_owned();
        let connecting = self.http.call(uri);
        let timeout = self.timeout;
        Box::pin(async move {
            let tcp = connecting.await.map_err(io::Error::other)?;
            let Some(tls) = tls else {
                return Ok(Stream::Plain(tcp));
            };
            let name = ServerName::try_from(name).map_err(io::Error::other)?;
            let stream = tokio::time::timeout(timeout, tls.connect(name, tcp.into_inner()))
                .await
                .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            Ok(Stream::Tls(Box::new(TokioIo::new(stream))))
        })
    }
}

enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<tokio_rustls::client::TlsStream<TcpStream>>>),
}

impl Connection for Stream {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Self::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_flush(cx),
            Self::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Self::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
