//! Answers of the admin listener: bodies, and the headers that all of them carry.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, LOCATION, SET_COOKIE};
use http::{HeaderValue, Response, StatusCode};
use http_body::Frame;
use maud::Markup;
use tokio::sync::mpsc;

/// An answer.
pub(super) type Answer = Response<Body>;

/// Everything comes from this listener, nothing is inline, nobody frames it, and no text becomes markup in a script.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
     require-trusted-types-for 'script'; trusted-types 'none'";

const HEADERS: [(&str, &str); 7] = [
    ("content-security-policy", CONTENT_SECURITY_POLICY),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    // Not `no-referrer`: that would make the Origin of our own forms `null`.
    ("referrer-policy", "same-origin"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    (
        "permissions-policy",
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// A body: whole, or events as they come.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Whole(Option<Bytes>),
    /// Ends when the sender is gone.
    Stream(mpsc::Receiver<Bytes>),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Self::Stream(events) => events.poll_recv(cx).map(|e| e.map(|b| Ok(Frame::data(b)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(None))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match self {
            Self::Whole(bytes) => {
                http_body::SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Self::Stream(_) => http_body::SizeHint::default(),
        }
    }
}

fn answer(status: StatusCode, content_type: &'static str, body: Body) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    for (name, value) in HEADERS {
        headers.insert(
            HeaderName::from_static(name),
            HeaderValue::from_static(value),
        );
    }
    response
}

/// Plain text.
pub(super) fn text(status: StatusCode, text: impl Into<String>) -> Answer {
    let body = Body::Whole(Some(text.into().into()));
    answer(status, "text/plain; charset=utf-8", body)
}

/// 405.
pub(super) fn method_not_allowed() -> Answer {
    text(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n")
}

/// A page.
pub(super) fn page(status: StatusCode, page: Markup) -> Answer {
    let body = Body::Whole(Some(page.into_string().into()));
    answer(status, "text/html; charset=utf-8", body)
}

/// A file that is compiled in.
pub(super) fn asset(content_type: &'static str, content: &'static str) -> Answer {
    let mut response = answer(
        StatusCode::OK,
        content_type,
        Body::Whole(Some(Bytes::from_static(content.as_bytes()))),
    );
    // Asked again after an update of privet.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// A table to be saved; `name` is a plain file name.
pub(super) fn csv(name: &str, text: String) -> Answer {
    let body = Body::Whole(Some(text.into()));
    let mut response = answer(StatusCode::OK, "text/csv; charset=utf-8", body);
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response
            .headers_mut()
            .insert(http::header::CONTENT_DISPOSITION, value);
    }
    response
}

/// Server-sent events.
pub(super) fn events(events: mpsc::Receiver<Bytes>) -> Answer {
    answer(StatusCode::OK, "text/event-stream", Body::Stream(events))
}

/// 303 to a path of this listener.
pub(super) fn see_other(path: &str) -> Answer {
    let mut response = text(StatusCode::SEE_OTHER, "");
    let to = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, to);
    response
}

/// With a cookie.
pub(super) fn with_cookie(mut response: Answer, cookie: &str) -> Answer {
    if let Ok(value) = HeaderValue::from_str(cookie) {
        response.headers_mut().append(SET_COOKIE, value);
    }
    response
}
