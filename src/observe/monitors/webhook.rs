//! Alerts to a chat room or pager: `{"text": …}` by POST, as Slack, Mattermost and others take it.
//!
//! The audit log has each alert already; this is a way to be told. So it gives up after a while, and what does not fit
//! into the queue is counted and left out. No person is named: who reads such a room may not read the audit log.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::sync::mpsc;

use super::{Finding, Severity};
use crate::observe::metrics::Metrics;
use crate::observe::shipping::Post;

/// Most alerts that wait.
const WAITING_MAX: usize = 64;
/// How often one is tried.
const TRIES: u32 = 6;
/// Wait after the first failure; doubled after each further one.
const RETRY: Duration = Duration::from_secs(1);

/// Takes alerts for the webhook.
#[derive(Debug, Clone)]
pub struct Webhook {
    waiting: mpsc::Sender<String>,
    metrics: Arc<Metrics>,
}

impl Webhook {
    /// The queue, and the task that empties it.
    pub fn new(post: Post, metrics: Arc<Metrics>) -> (Self, impl Future<Output = ()> + Send) {
        Self::with_retry(post, metrics, RETRY)
    }

    pub(super) fn with_retry(
        post: Post,
        metrics: Arc<Metrics>,
        retry: Duration,
    ) -> (Self, impl Future<Output = ()> + Send) {
        let (waiting, texts) = mpsc::channel(WAITING_MAX);
        let own = Arc::clone(&metrics);
        (Self { waiting, metrics }, deliver(post, texts, own, retry))
    }

    /// Queues an alert.
    pub fn tell(&self, finding: &Finding) {
        if self.waiting.try_send(text(finding)).is_err() {
            self.metrics.webhook("dropped");
        }
    }
}

async fn deliver(
    post: Post,
    mut texts: mpsc::Receiver<String>,
    metrics: Arc<Metrics>,
    retry: Duration,
) {
    while let Some(text) = texts.recv().await {
        let body = json!({ "text": text }).to_string();
        let mut wait = retry;
        let mut tries = 1;
        let result = loop {
            match post.send("application/json", body.clone().into()).await {
                Ok(_) => break "delivered",
                Err(error) if tries == TRIES => {
                    tracing::error!(%error, "an alert did not reach the webhook");
                    break "failed";
                }
                Err(_) => {
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                    tries += 1;
                }
            }
        };
        metrics.webhook(result);
    }
}

/// What is said: the monitor, numbers, names of the policy set, and the request by which the rest can be found. Neither
/// the caller nor the network that it comes from.
pub(super) fn text(finding: &Finding) -> String {
    let severity = match finding.severity {
        Severity::Low => "low",
        Severity::Medium => "medium",
        Severity::High => "high",
    };
    let mut text = format!(
        "privet alert ({severity}): {}. Measured {}, may be {}",
        finding.monitor,
        figure(finding.measured),
        figure(finding.threshold)
    );
    text.push_str(&match finding.window_s {
        0 => ".".to_owned(),
        s if s % 3_600 == 0 => format!(" in {} h.", s / 3_600),
        s => format!(" in {} min.", (s + 59) / 60),
    });
    let about: Vec<&str> = finding
        .about
        .iter()
        .map(|a| &**a)
        .filter(|a| a.parse::<ipnet::IpNet>().is_err())
        .collect();
    if !about.is_empty() {
        text.push_str(&format!(" About: {}.", about.join(", ")));
    }
    if let Some(then) = &finding.then {
        let (word, minutes) = (then.step.word(), then.for_s / 60);
        text.push_str(&format!(" Step taken: {word} for {minutes} min."));
    }
    if let Some(request) = &finding.request_id {
        text.push_str(&format!(" Request {request}."));
    }
    text
}

fn figure(x: f64) -> String {
    if x < 10.0 && x.fract() != 0.0 {
        format!("{x:.2}")
    } else {
        format!("{x:.0}")
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;
    use crate::engine::event::Step;
    use crate::observe::monitors::rules::Then;
    use crate::observe::shipping::Dial;

    fn finding() -> Finding {
        Finding {
            monitor: "persons-outlier".into(),
            severity: Severity::High,
            caller: Some("ana@example.org".into()),
            at_ms: 0,
            measured: 512.0,
            threshold: 200.0,
            window_s: 3_600,
            about: vec!["Contact.Email".into(), "203.0.113.0/24".into()],
            request_id: Some("0192".into()),
            then: Some(Then {
                step: Step::StopCaller,
                for_s: 7_200,
            }),
        }
    }

    #[test]
    fn no_person_and_no_network_is_named() {
        assert_eq!(
            text(&finding()),
            "privet alert (high): persons-outlier. Measured 512, may be 200 in 1 h. About: Contact.Email. \
             Step taken: stop-caller for 120 min. Request 0192."
        );
    }

    fn post(address: SocketAddr) -> Post {
        Post {
            dial: Dial {
                host: address.ip().to_string(),
                port: address.port(),
                tls: None,
            },
            url: format!("http://{address}/services/T0/B0/x")
                .parse()
                .unwrap(),
            headers: http::HeaderMap::new(),
            timeout: Duration::from_secs(30),
        }
    }

    /// Answers one request with `status` and gives it.
    async fn serve(listener: &TcpListener, status: &str) -> String {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"}") {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).await.unwrap();
            assert!(read > 0);
            request.extend_from_slice(&piece[..read]);
        }
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nok");
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(request).unwrap()
    }

    #[tokio::test]
    async fn an_alert_is_tried_again_and_the_queue_is_bounded() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let metrics = Arc::new(Metrics::new().unwrap());
        let (webhook, task) = Webhook::with_retry(
            post(address),
            Arc::clone(&metrics),
            Duration::from_millis(1),
        );
        // Nobody empties the queue yet.
        for _ in 0..WAITING_MAX + 3 {
            webhook.tell(&finding());
        }
        let count = |result: &str| {
            let name = format!("privet_alert_webhook_total{{result=\"{result}\"}} ");
            let text = metrics.text();
            let line = text.lines().find_map(|l| l.strip_prefix(&*name));
            line.map_or(0, |n| n.parse::<u64>().unwrap())
        };
        assert_eq!(count("dropped"), 3);
        let task = tokio::spawn(task);
        // The first one is refused for good, the second one at first.
        for _ in 0..TRIES {
            serve(&listener, "500 No").await;
        }
        serve(&listener, "503 Later").await;
        let request = serve(&listener, "200 OK").await;
        assert!(
            request.starts_with("POST /services/T0/B0/x HTTP/1.1\r\n"),
            "{request}"
        );
        let (_, body) = request.split_once("\r\n\r\n").unwrap();
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body, json!({ "text": text(&finding()) }));
        // The third one comes only after the second one was counted.
        serve(&listener, "200 OK").await;
        assert_eq!(count("failed"), 1);
        assert!(count("delivered") >= 1);
        task.abort();
    }
}
