//! Where the audit log goes besides, and what follows from what the monitors find in it.

use std::collections::BTreeSet;

use privet::engine::event::Step;
use privet::observe::audit;
use privet::proxy::steps::Held;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::house::{ANALYST, DESK, House, Plan, run};
use crate::pages::{bearer, form_token, send, sign_in, tokens};

fn seqs(text: &str) -> BTreeSet<u64> {
    let records = text
        .lines()
        .map(|l| serde_json::from_str::<Value>(l).unwrap());
    records.map(|r| r["seq"].as_u64().unwrap()).collect()
}

/// A value of /metrics.
async fn metric(house: &House, name: &str) -> Option<f64> {
    let text = house.admin("/metrics").await.text();
    let line = text.lines().find_map(|l| l.strip_prefix(name));
    line.map(|n| n.trim().parse().unwrap())
}

#[test]
fn records_go_where_the_configuration_says_and_pages_and_metrics_tell_how_far() {
    run(async {
        // Nobody listens there once it is dropped.
        let closed = TcpListener::bind("127.0.0.1:0")
            .await
            .unwrap()
            .local_addr()
            .unwrap();
        let plan = Plan {
            audit: format!(
                ", ship: [{{ name: lake, kind: file, path: lake.jsonl }}, {{ name: ecs, kind: file, format: ecs, path: \
                 ecs.jsonl }}, {{ name: siem, kind: http, url: \"http://{closed}\" }}]"
            ),
            ..Plan::default()
        };
        let house = plan.build().await;
        for _ in 0..5 {
            let answer = house
                .query(DESK, "SELECT Id, Email FROM Contact LIMIT 3")
                .await;
            assert_eq!(answer.status, 200);
        }
        // The one sink has everything, the other one nothing.
        while metric(&house, "privet_audit_sink_lag_records{sink=\"lake\"}").await != Some(0.0)
            || metric(&house, "privet_audit_sink_failures_total{sink=\"siem\"}").await < Some(1.0)
        {
        }
        assert!(metric(&house, "privet_audit_sink_lag_records{sink=\"siem\"}").await > Some(10.0));
        assert!(metric(&house, "privet_audit_commit_wait_seconds_count").await > Some(5.0));
        let (_, viewer) = tokens(&house);
        let auth = bearer(&viewer);
        let page = send(&house, "GET", "/audit", &[("Authorization", &auth)], "")
            .await
            .text();
        for words in ["<td>lake</td>", "takes records", "<td>siem</td>", "✗ "] {
            assert!(page.contains(words), "{words}: {page}");
        }
        let folder = house.folder.clone();
        let _kept = house.stop().await;
        let log = std::fs::read_dir(folder.join("audit")).unwrap();
        let mut all = BTreeSet::new();
        for file in log.map(|f| f.unwrap().path()) {
            if file.extension().is_some_and(|e| e == "jsonl") {
                all.extend(seqs(&std::fs::read_to_string(file).unwrap()));
            }
        }
        let lake = std::fs::read_to_string(folder.join("lake.jsonl")).unwrap();
        // The drain brought the last record too.
        assert_eq!(seqs(&lake), all);
        assert!(lake.lines().last().unwrap().contains("\"stopping\""));
        let ecs = std::fs::read_to_string(folder.join("ecs.jsonl")).unwrap();
        assert_eq!(ecs.lines().count(), all.len());
        assert!(ecs.contains("\"ecs\":{\"version\""));
        let cursor = folder.join("state/shipping/lake.json");
        let cursor: Value = serde_json::from_slice(&std::fs::read(cursor).unwrap()).unwrap();
        assert_eq!(cursor["seq"].as_u64(), all.last().copied());
    });
}

/// One request of a webhook, answered.
async fn webhook(listener: &TcpListener) -> Value {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await.unwrap();
        assert!(read > 0);
        request.extend_from_slice(&piece[..read]);
    }
    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    stream.write_all(answer).await.unwrap();
    let request = String::from_utf8(request).unwrap();
    serde_json::from_str(request.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn a_caller_that_guesses_is_stopped_told_of_and_let_on_by_an_operator() {
    run(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let monitors = "schema: 1\nmonitors:\n  guessing: { kind: refusals, at_least: 5, severity: high, then: stop-caller, then_for: 1h }\n";
        let plan = Plan {
            policies: vec![("monitors.yaml", monitors.to_owned())],
            audit: format!(", alert_webhook: {{ url: \"http://{address}/hook\" }}"),
            ..Plan::default()
        };
        let house = plan.build().await;
        let good = "SELECT Id FROM Contact LIMIT 1";
        assert_eq!(house.query(DESK, good).await.status, 200);
        for n in 0..6 {
            let soql = format!("SELECT Id FROM Contact WHERE Guess{n}__c = 'x'");
            assert_eq!(house.query(DESK, &soql).await.status, 400);
        }
        let told = webhook(&listener).await;
        let text = told["text"].as_str().unwrap();
        assert!(
            text.contains("guessing") && text.contains("stop-caller for 60 min"),
            "{text}"
        );
        assert!(!text.contains("service-desk"), "{text}");
        let stopped = house.query(DESK, good).await;
        assert_eq!(stopped.status, 403, "{}", stopped.text());
        assert!(
            stopped.text().contains("stopped for now"),
            "{}",
            stopped.text()
        );
        assert_eq!(house.query(ANALYST, good).await.status, 200, "nobody else");
        assert_eq!(
            metric(&house, "privet_callers_under_step{step=\"stop-caller\"}").await,
            Some(1.0)
        );
        // The alert is in the log, with what was done.
        let alert = loop {
            let log = house.audit();
            if let Some(line) = log.lines().find(|l| l.contains("\"kind\":\"alert\"")) {
                break line.to_owned();
            }
        };
        assert!(
            alert.contains("\"step\":\"stop-caller\",\"step_s\":3600"),
            "{alert}"
        );
        assert!(alert.contains("\"caller\":\"service-desk\""), "{alert}");

        let (operator, viewer) = tokens(&house);
        let (looks, works) = (
            sign_in(&house, &viewer).await,
            sign_in(&house, &operator).await,
        );
        let own = ("Origin", "http://admin.test");
        let mut statuses = Vec::new();
        for cookie in [&looks, &works] {
            let page = send(&house, "GET", "/runtime", &[("Cookie", cookie)], "")
                .await
                .text();
            let form = format!("form_token={}&caller=service-desk", form_token(&page));
            let page = send(&house, "GET", "/alerts", &[("Cookie", cookie)], "")
                .await
                .text();
            assert!(page.contains("Under an automatic step"), "{page}");
            let answer = send(
                &house,
                "POST",
                "/alerts/lift",
                &[("Cookie", cookie), own],
                &form,
            )
            .await;
            statuses.push(answer.status);
        }
        assert_eq!(statuses, [403, 200], "operators alone");
        // A filter that no alert fits does not say that there are none.
        let see = async |target: &str| {
            send(&house, "GET", target, &[("Cookie", &works)], "")
                .await
                .text()
        };
        while see("/alerts").await.contains("Nothing is odd.") {
            tokio::task::yield_now().await;
        }
        let filtered = see("/alerts?caller=nobody").await;
        assert!(filtered.contains("No alert fits."), "{filtered}");
        assert!(house.audit().contains("step-lifted"));
        assert_eq!(house.query(DESK, good).await.status, 200);
    });
}

#[test]
fn a_caller_held_to_stricter_treatment_reads_nothing_personal() {
    run(async {
        let house = Plan::default().build().await;
        let soql = "SELECT Id, Name, Email, Account.Industry FROM Contact LIMIT 2";
        let before = house.query(DESK, soql).await.json();
        let record = &before["records"][0];
        assert!(
            record["Name"].is_string() && record["Email"].is_string(),
            "{record}"
        );
        let held = Held {
            step: Step::Stricter,
            monitor: "test".into(),
            until_s: i64::MAX,
        };
        house
            .carrier
            .steps
            .take(&"service-desk".into(), held, 0)
            .unwrap();
        let after = house.query(DESK, soql).await;
        assert_eq!(after.status, 200, "{}", after.text());
        let after = after.json();
        let now = &after["records"][0];
        assert!(now["Name"].is_null() && now["Email"].is_null(), "{now}");
        assert_eq!(now["Id"], record["Id"]);
        assert_eq!(now["Account"]["Industry"], record["Account"]["Industry"]);
        let filter = house
            .query(DESK, "SELECT Id FROM Contact WHERE Name = 'Ada'")
            .await;
        assert_eq!(filter.status, 400, "{}", filter.text());
        assert_eq!(house.query(ANALYST, soql).await.status, 200);
        // The account says what was done.
        let mut last = String::new();
        audit::records(&house.folder.join("audit"), 1, &mut |line| {
            let line = String::from_utf8_lossy(line);
            if line.contains("\"redact\":[") {
                last = line.into_owned();
            }
            Ok(())
        })
        .unwrap();
        assert!(last.contains("Contact.Email"), "{last}");
    });
}
