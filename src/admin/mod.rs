//! Health, readiness and metrics on a listener of their own.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

use crate::proxy::carrier::Carrier;

/// Serves until dropped.
pub async fn serve(listener: TcpListener, carrier: Arc<Carrier>) {
    loop {
        let Ok((tcp, _)) = listener.accept().await else {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            continue;
        };
        let carrier = Arc::clone(&carrier);
        tokio::spawn(async move {
            let service = service_fn(move |request: Request<Incoming>| {
                let response = answer(&carrier, request.method(), request.uri());
                async move { Ok::<_, Infallible>(response) }
            });
            // An operator's tool that breaks off is no event.
            let _ = http1::Builder::new()
                .timer(TokioTimer::new())
                .max_buf_size(16 << 10)
                .serve_connection(TokioIo::new(tcp), service)
                .await;
        });
    }
}

fn answer(carrier: &Carrier, method: &Method, uri: &http::Uri) -> Response<Full<Bytes>> {
    let verbose = uri
        .query()
        .is_some_and(|q| q.split('&').any(|p| p == "verbose"));
    if !matches!(*method, Method::GET | Method::HEAD) {
        return text(
            StatusCode::METHOD_NOT_ALLOWED,
            "method not allowed\n".into(),
        );
    }
    match uri.path() {
        "/livez" | "/startupz" => text(StatusCode::OK, "ok\n".into()),
        "/readyz" | "/healthz" => ready(carrier, verbose),
        "/metrics" => {
            let mut response = text(StatusCode::OK, carrier.metrics.text());
            response.headers_mut().insert(
                CONTENT_TYPE,
                http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
            );
            response
        }
        _ => text(StatusCode::NOT_FOUND, "not found\n".into()),
    }
}

/// Ready = not draining and able to record; an upstream that is down does not make it unready, a stale policy
/// neither (the last good one serves), but both can be read here.
fn ready(carrier: &Carrier, verbose: bool) -> Response<Full<Bytes>> {
    let draining = carrier.is_draining();
    let recording = !carrier.log().stats().failed;
    let is_ready = !draining && recording;
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if !verbose {
        return text(status, if is_ready { "ok\n" } else { "not ready\n" }.into());
    }
    let mark = |good: bool| if good { "+" } else { "-" };
    let stale = carrier.live.stale_because();
    let mut lines = vec![
        format!("[{}] not draining", mark(!draining)),
        format!("[{}] audit log records", mark(recording)),
        format!(
            "[{}] policy {} is the newest",
            mark(stale.is_empty()),
            carrier.live.current().version()
        ),
    ];
    for error in &stale {
        lines.extend(error.lines().map(|l| format!("    {l}")));
    }
    lines.push(if is_ready { "ready" } else { "not ready" }.into());
    text(status, lines.join("\n") + "\n")
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        http::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    response
}
