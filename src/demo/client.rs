//! The demo's own small HTTP client: HTTP/1.1 without TLS, towards loopback.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Received {
    /// Status.
    pub status: u16,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    /// Not an address that can be asked.
    #[error("cannot ask {0}")]
    Address(String),
    /// No connection.
    #[error("no connection: {0}")]
    Connect(#[from] std::io::Error),
    /// The request could not be made.
    #[error(transparent)]
    Request(#[from] http::Error),
    /// The exchange broke off.
    #[error("the answer broke off: {0}")]
    Broken(#[from] hyper::Error),
}

/// Asks `origin` (`http://host:port`) for `target` with `bearer`; a body is sent as JSON.
///
/// # Errors
/// No connection, or an answer that ends uncleanly.
pub async fn ask(
    method: Method,
    origin: &str,
    target: &str,
    bearer: &str,
    body: Option<String>,
) -> Result<Received, NoAnswer> {
    let address = || NoAnswer::Address(format!("{origin}{target}"));
    let uri: Uri = origin.parse().map_err(|_| address())?;
    let host = uri.authority().ok_or_else(address)?.as_str().to_owned();
    let stream = TcpStream::connect(&host).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header("host", &host)
        .header("accept", "application/json")
        .header("authorization", format!("Bearer {bearer}"));
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let request = request.body(Full::new(Bytes::from(body.unwrap_or_default())))?;
    let response = sender.send_request(request).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    driver.abort();
    Ok(Received {
        status: head.status.as_u16(),
        headers: head.headers,
        body,
    })
}

/// Percent-encodes a query value.
pub fn encode(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for b in text.bytes() {
        match b {
            b'A'..=b'Z'
            | b'a'..=b'z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'~'
            | b','
            | b'('
            | b')' => {
                out.push(char::from(b));
            }
            b' ' => out.push('+'),
            b => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}
