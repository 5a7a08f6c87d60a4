//! Sockets of the demo: HTTP/1.1 and HTTP/2, plain or TLS, on loopback.

use std::convert::Infallible;
use std::io::Write;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use crate::demo::crm::{Asked, Crm, REPEAT, Reply};
use crate::demo::endpoint::cometd::NOTHING_YET;

const BODY_BYTES_MAX: usize = 4 << 20;
/// How long a poll for events waits, and how often it looks.
const POLL: Duration = Duration::from_secs(40);
const POLL_STEP: Duration = Duration::from_millis(25);
/// Answers smaller than this are not worth compressing.
const GZIP_BYTES_MIN: usize = 512;

/// Whatever answers requests whole.
pub type Handler = Arc<dyn Fn(&Asked) -> Response<Bytes> + Send + Sync>;

/// A listening service; it ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its origin, without a final slash.
    pub origin: String,
    task: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The demo CRM as a handler.
pub fn handler(crm: &Arc<Crm>) -> Handler {
    let crm = Arc::clone(crm);
    Arc::new(move |asked| crm.answer(asked).into())
}

/// A service that wants method, path, raw query, headers and body, as a handler.
pub fn service<F>(answer: F) -> Handler
where
    F: Fn(&Method, &str, &str, &HeaderMap, &[u8]) -> Response<Bytes> + Send + Sync + 'static,
{
    Arc::new(move |asked| {
        let (path, query) = asked.target.split_once('?').unwrap_or((&asked.target, ""));
        let method = Method::from_bytes(asked.method.as_bytes()).unwrap_or_default();
        answer(&method, path, query, &asked.headers, &asked.body)
    })
}

/// Serves `handler` on `address` (port 0 = any), over TLS if `tls` is given.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve(
    address: SocketAddr,
    tls: Option<Arc<rustls::ServerConfig>>,
    handler: Handler,
) -> std::io::Result<Running> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    let scheme = if tls.is_some() { "https" } else { "http" };
    let acceptor = tls.map(TlsAcceptor::from);
    let origin = format!("{scheme}://localhost:{}", address.port());
    let task =
        tokio::spawn(async move {
            // Connections end with the service.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                while connections.try_join_next().is_some() {}
                let Ok((stream, _)) = listener.accept().await else {
                    continue;
                };
                let (handler, acceptor) = (Arc::clone(&handler), acceptor.clone());
                connections.spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let handler = Arc::clone(&handler);
                    async move { Ok::<_, Infallible>(exchange(request, scheme, &handler).await) }
                });
                let builder = auto::Builder::new(TokioExecutor::new());
                match acceptor {
                    None => {
                        let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                    }
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                        }
                    }
                }
            });
            }
        });
    Ok(Running {
        address,
        origin,
        task,
    })
}

async fn exchange(
    request: Request<Incoming>,
    scheme: &str,
    handler: &Handler,
) -> Response<Repeated> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, BODY_BYTES_MAX).collect().await else {
        return plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let host = head
        .uri
        .authority()
        .map(|a| a.as_str().to_owned())
        .or_else(|| {
            head.headers
                .get("host")
                .and_then(|h| h.to_str().ok())
                .map(str::to_owned)
        })
        .unwrap_or_default();
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |p| p.as_str())
        .to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let segments = path
        .trim_start_matches('/')
        .split('/')
        .map(|s| decode(s, false))
        .collect();
    let asked = Asked {
        method: head.method.as_str().to_owned(),
        segments,
        query: form(query),
        target: target.clone(),
        headers: head.headers,
        body: body.to_bytes().to_vec(),
        origin: format!("{scheme}://{host}"),
    };
    let reply = patient(asked.clone(), handler).await;
    let gzip = asked.header("accept-encoding").is_some_and(|v| {
        v.split(',')
            .any(|c| c.trim().eq_ignore_ascii_case("gzip") || c.trim().starts_with("gzip;"))
    });
    respond(reply, gzip, asked.method == "HEAD")
}

/// The answer, once there is something to say or the time of a long poll is over.
async fn patient(mut asked: Asked, handler: &Handler) -> Response<Bytes> {
    let mut reply = handler(&asked);
    let mut waited = Duration::ZERO;
    while reply.headers().contains_key(NOTHING_YET) && waited < POLL {
        tokio::time::sleep(POLL_STEP).await;
        waited += POLL_STEP;
        let again = HeaderValue::from_static("1");
        asked.headers.insert(NOTHING_YET, again);
        reply = handler(&asked);
    }
    reply.headers_mut().remove(NOTHING_YET);
    reply
}

fn plain(status: StatusCode) -> Response<Repeated> {
    let mut response = Response::new(Repeated::default());
    *response.status_mut() = status;
    response
}

impl From<Reply> for Response<Bytes> {
    fn from(reply: Reply) -> Self {
        let mut response = Self::new(Bytes::new());
        *response.status_mut() =
            StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        for (name, value) in &reply.headers {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(*name, value);
            }
        }
        if !reply.body.is_empty() {
            headers
                .entry("content-type")
                .or_insert(HeaderValue::from_static("application/json;charset=UTF-8"));
            *response.body_mut() = reply.body.into();
        }
        response
    }
}

fn respond(reply: Response<Bytes>, gzip: bool, head: bool) -> Response<Repeated> {
    let (mut parts, mut body) = reply.into_parts();
    if let Some(times) = parts.headers.remove(REPEAT) {
        let times = times.to_str().ok().and_then(|t| t.parse().ok());
        return Response::from_parts(parts, Repeated::rows(body, times.unwrap_or_default()));
    }
    if !body.is_empty() {
        parts
            .headers
            .insert("vary", HeaderValue::from_static("Accept-Encoding"));
        if gzip && body.len() >= GZIP_BYTES_MIN {
            let mut encoder =
                flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            if encoder.write_all(&body).is_ok()
                && let Ok(packed) = encoder.finish()
            {
                parts
                    .headers
                    .insert("content-encoding", HeaderValue::from_static("gzip"));
                body = packed.into();
            }
        }
    }
    Response::from_parts(
        parts,
        if head {
            Repeated::default()
        } else {
            Repeated::whole(body)
        },
    )
}

/// A body of any length that is never held: a text, and another one that comes again and again.
#[derive(Debug, Default)]
struct Repeated {
    first: Option<Bytes>,
    again: Bytes,
    times: u64,
}

/// Rows that come again are sent in pieces of about this many bytes.
const PIECE_BYTES: usize = 64 << 10;

impl Repeated {
    fn whole(body: Bytes) -> Self {
        Self {
            first: (!body.is_empty()).then_some(body),
            ..Self::default()
        }
    }

    /// `body`, and what is behind its first line `times` more.
    fn rows(body: Bytes, times: u64) -> Self {
        let rows = memchr::memchr(b'\n', &body).map_or(body.len(), |at| at + 1);
        let rows = body.slice(rows..);
        let in_piece = (PIECE_BYTES / rows.len().max(1)).max(1);
        Self {
            first: Some(body),
            again: rows.repeat(in_piece).into(),
            times: times / in_piece as u64,
        }
    }
}

impl http_body::Body for Repeated {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = self.get_mut();
        let piece = match this.first.take() {
            Some(first) => Some(first),
            None if this.times > 0 => {
                this.times -= 1;
                Some(this.again.clone())
            }
            None => None,
        };
        Poll::Ready(piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.times == 0
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |f| f.len() as u64);
        SizeHint::with_exact(first + self.times * self.again.len() as u64)
    }
}

/// Decodes `a=b&c=d` (application/x-www-form-urlencoded).
pub fn form(text: &str) -> Vec<(String, String)> {
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name, true), decode(value, true))
        })
        .collect()
}

fn decode(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (b, hex(i + 1), hex(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high * 16 + low) as u8);
                i += 3;
            }
            _ => {
                out.push(if plus && b == b'+' { b' ' } else { b });
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        assert_eq!(
            form("q=SELECT+Id%2B%C3%A9&x"),
            [
                ("q".to_owned(), "SELECT Id+é".to_owned()),
                ("x".to_owned(), String::new())
            ]
        );
    }
}
