//! POST to a receiver, one connection a request.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;

use super::{Dial, NotTaken};

/// Largest answer of a receiver that is read, bytes.
const ANSWER_BYTES_MAX: usize = 4 << 20;

/// A receiver over HTTP.
pub struct Post {
    /// The connection.
    pub dial: Dial,
    /// Where to.
    pub url: Uri,
    /// Headers of each request, such as `Authorization`.
    pub headers: HeaderMap,
    /// Longest wait for the answer, connecting included.
    pub timeout: Duration,
}

impl std::fmt::Debug for Post {
    /// Neither URL nor headers: both may hold a secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Dial { host, port, .. } = &self.dial;
        write!(f, "Post({host}:{port})")
    }
}

impl Post {
    /// Sends `body` and gives the body of an answer with status 2xx.
    ///
    /// # Errors
    /// [`NotTaken`]: nobody is there, another status, or no whole answer in time.
    pub async fn send(&self, content_type: &'static str, body: Bytes) -> Result<Bytes, NotTaken> {
        tokio::time::timeout(self.timeout, self.exchange(content_type, body))
            .await
            .map_err(|_| NotTaken("the receiver took too long".into()))?
    }

    async fn exchange(&self, content_type: &'static str, body: Bytes) -> Result<Bytes, NotTaken> {
        let failed = |e: hyper::Error| NotTaken(e.to_string());
        let stream = TokioIo::new(self.dial.connect().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(failed)?;
        let connection = AbortOnDrop(tokio::spawn(connection));
        let path = self.url.path_and_query().map_or("/", |p| p.as_str());
        let host = self.url.authority().map_or("", |a| a.as_str());
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(path)
            .header(http::header::HOST, host)
            .header(http::header::CONTENT_TYPE, content_type)
            .body(Full::new(body))
            .map_err(|e| NotTaken(e.to_string()))?;
        request.headers_mut().extend(self.headers.clone());
        let answer = sender.send_request(request).await.map_err(failed)?;
        let status = answer.status();
        let answer = Limited::new(answer.into_body(), ANSWER_BYTES_MAX)
            .collect()
            .await;
        drop(connection);
        let answer = answer.map_err(|_| NotTaken("the answer broke off or is too big".into()))?;
        if !status.is_success() {
            return Err(NotTaken(said(status)));
        }
        Ok(answer.to_bytes())
    }
}

fn said(status: StatusCode) -> String {
    format!("status {}", status.as_u16())
}

struct AbortOnDrop(tokio::task::JoinHandle<Result<(), hyper::Error>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
