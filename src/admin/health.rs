//! Liveness, readiness and metrics: open to whoever reaches the listener, and free of names.

use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode, Uri};

use super::answer::{self, Answer};
use crate::proxy::carrier::Carrier;

/// The answer, if it is one of these paths.
pub(super) fn answer(carrier: &Carrier, method: &Method, uri: &Uri) -> Option<Answer> {
    let verbose = uri
        .query()
        .is_some_and(|q| q.split('&').any(|p| p == "verbose"));
    let path = uri.path();
    if !matches!(
        path,
        "/livez" | "/startupz" | "/readyz" | "/healthz" | "/metrics"
    ) {
        return None;
    }
    if !matches!(*method, Method::GET | Method::HEAD) {
        return Some(answer::method_not_allowed());
    }
    Some(match path {
        "/readyz" | "/healthz" => ready(carrier, verbose),
        "/metrics" => {
            let mut response = answer::text(StatusCode::OK, carrier.metrics.text());
            response.headers_mut().insert(
                CONTENT_TYPE,
                HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8"),
            );
            response
        }
        _ => answer::text(StatusCode::OK, "ok\n"),
    })
}

/// Ready = not draining and able to record; an upstream that is down does not make it unready, a stale policy
/// neither (the last good one serves), but both can be read here.
fn ready(carrier: &Carrier, verbose: bool) -> Answer {
    let draining = carrier.is_draining();
    let recording = !carrier.log().stats().failed;
    let is_ready = !draining && recording;
    let status = if is_ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if !verbose {
        return answer::text(status, if is_ready { "ok\n" } else { "not ready\n" });
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
    answer::text(status, lines.join("\n") + "\n")
}
