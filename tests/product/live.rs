//! Policy files change while privet serves.

use std::sync::Arc;

use privet::demo::people::People;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::house::{ANALYST, Answer, DESK, House, Plan, logged, run};

/// One rule of the desk, and a stricter one.
const CLEAR: &str = "class:staff.email,         clear, ";
const MASKED: &str = "class:staff.email,         mask:all, ";
const COLLEAGUE: &str = "SELECT Email FROM User ORDER BY Id LIMIT 1";

fn edit(house: &House, from: &str, to: &str) {
    let file = house.policies.join("rules/support.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches(from).count(), 1);
    std::fs::write(file, text.replace(from, to)).unwrap();
}

fn reload(house: &House) -> bool {
    let carrier = &house.carrier;
    carrier.live.reload(&carrier.settings, &carrier.metrics)
}

#[test]
fn an_edited_rule_changes_the_next_answer_by_itself() {
    run(async {
        let house = Plan::default().build().await;
        let before = house.query(DESK, COLLEAGUE).await;
        let email = before.json()["records"][0]["Email"].clone();
        assert!(email.as_str().unwrap().contains('@'));
        edit(&house, CLEAR, MASKED);
        // Each request is whole under one version; the new one comes without a restart.
        for _ in 0..50_000 {
            let answer = house.query(DESK, COLLEAGUE).await;
            assert_eq!(answer.status, 200);
            let seen = answer.json()["records"][0]["Email"].clone();
            if answer.header("privet-policy") == before.header("privet-policy") {
                assert_eq!(seen, email);
            } else {
                assert_eq!(seen, "****");
                assert_eq!(
                    answer.header("privet-treated").as_deref(),
                    Some("Email=mask")
                );
                return;
            }
        }
        panic!("the changed rule was never loaded");
    });
}

/// A staff directory that sends many people at once, more than privet puts together before it sends, and the last
/// one when told.
async fn halting(go_on: Arc<Notify>) -> String {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://localhost:{}", socket.local_addr().unwrap().port());
    let person = |n: u32| json!({ "id": format!("p{n}"), "contact": { "email": format!("p{n}@people.example") } });
    let body = json!({ "items": (1..=3_000).map(person).collect::<Vec<_>>() }).to_string();
    let half = body.rfind(",{").unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = socket.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut asked).await.unwrap() > 0);
        }
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}",
            body.len(),
            &body[..half]
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        go_on.notified().await;
        stream.write_all(&body.as_bytes()[half..]).await.unwrap();
        // Open until the other side is done with it.
        let _ = stream.read_buf(&mut asked).await;
    });
    origin
}

#[test]
fn an_answer_on_its_way_keeps_its_version() {
    run(async {
        let go_on = Arc::new(Notify::new());
        let house = Plan {
            people: People::seeded(None),
            people_origin: Some(halting(Arc::clone(&go_on)).await),
            watched: false,
            ..Plan::default()
        }
        .build()
        .await;
        let before = house.query(DESK, COLLEAGUE).await.header("privet-policy");
        let mut stream = house.begin(DESK, "GET", "/people", "").await;
        let mut raw = Vec::new();
        while !String::from_utf8_lossy(&raw).contains("\"p1@people.example") {
            let read = stream.read_buf(&mut raw).await.unwrap();
            assert!(read > 0, "ended early: {}", String::from_utf8_lossy(&raw));
        }
        assert!(!String::from_utf8_lossy(&raw).contains("p3000@"));
        edit(&house, CLEAR, MASKED);
        assert!(reload(&house));
        let after = house.query(DESK, COLLEAGUE).await;
        assert_eq!(after.json()["records"][0]["Email"], "****");
        assert_ne!(after.header("privet-policy"), before);
        go_on.notify_one();
        stream.read_to_end(&mut raw).await.unwrap();
        let answer = Answer::parse(raw);
        assert!(answer.whole);
        let people = answer.json()["items"].as_array().unwrap().clone();
        assert_eq!(people.len(), 3_000);
        let last = &people[2_999]["contact"]["email"];
        assert_eq!(last, "p3000@people.example", "treated as it began");
        assert_eq!(answer.header("privet-policy"), before);
    });
}

const HEADER: &str =
    "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n";

/// A mistake in a rules file: its text after the header, code, position, and a part of the help.
const MISTAKES: [(&str, &str, &str, &str); 12] = [
    (
        "P, allow, *, read, Contact.Email, clear, *, *, -, -, a",
        "unknown-row-type",
        "2:1",
        "begins with `p`",
    ),
    (
        "p, dney, *, read, Contact.Email, -, *, *, -, -, a",
        "unknown-effect",
        "2:4",
        "did you mean `deny`?",
    ),
    (
        "p, allow, *, read, Contact.Email, clear, *, *, -, a",
        "column-count",
        "2:51",
        "columns: `# p, effect,",
    ),
    (
        "p, allow, *, read, Contact.Email, mask:last5, *, *, -, -, a",
        "unknown-treatment",
        "2:35",
        "did you mean `mask:last4`?",
    ),
    (
        "p, allow, *, read, class:pii.emial, clear, *, *, -, -, a",
        "unknown-class",
        "2:20",
        "did you mean `class:pii.email`?",
    ),
    (
        "\u{feff}",
        "byte-order-mark",
        "1:1",
        "save it as UTF-8 without BOM",
    ),
    (
        "p; allow; *; read; Contact.Email; clear; *; *; -; -; a",
        "separator",
        "2:2",
        "use commas",
    ),
    (
        "p, deny, *, read, Contact.Email, -, *, *, -, -, a # no e-mail",
        "trailing-comment",
        "2:51",
        "put the comment on its own line above",
    ),
    (
        "p, allow, *, read, Contact.Email, clear, *, *, -, -, support-email",
        "duplicate-id",
        "2:54",
        "it was first used at rules/support.csv:",
    ),
    (
        "p, allow, \"role:x, read, Contact.Email, clear, *, *, -, -, a",
        "unterminated-quote",
        "2:11",
        "close it on the same line",
    ),
    (
        "p, allow, *, read, Contacts.Email, clear, *, *, -, -, a",
        "unknown-object",
        "2:20",
        "did you mean `Contact`?",
    ),
    (
        "p, allow, role:support_agent, read, class:pii.email, mask:last4, support, *, -, -, a",
        "tie",
        "2:54",
        "give one of them another priority or narrower conditions",
    ),
];

#[test]
fn a_mistake_is_told_and_the_old_policy_keeps_serving() {
    run(async {
        let house = Plan::still().build().await;
        let before = house
            .query(ANALYST, "SELECT Email FROM Contact LIMIT 1")
            .await;
        let version = before.header("privet-policy").unwrap();
        let ready = async || house.admin("/readyz?verbose").await;
        assert!(
            ready()
                .await
                .text()
                .contains(&format!("[+] policy {version} is the newest"))
        );
        let file = house.policies.join("rules/zz.csv");
        for (row, code, position, help) in MISTAKES {
            let text = match row {
                "\u{feff}" => format!("{row}{HEADER}"),
                _ => format!("{HEADER}{row}\n"),
            };
            std::fs::write(&file, text).unwrap();
            assert!(!reload(&house), "{code}");
            let told = ready().await;
            let text = told.text();
            assert_eq!(told.status, 200);
            assert!(
                text.contains(&format!("[-] policy {version} is the newest")),
                "{code}: {text}"
            );
            assert!(text.contains(&format!("error[{code}]: ")), "{code}: {text}");
            assert!(
                text.contains(&format!(" --> rules/zz.csv:{position}\n")),
                "{code}: {text}"
            );
            let helped = text
                .lines()
                .any(|l| l.contains("= help: ") && l.contains(help));
            assert!(helped, "{code}: {text}");
            let metrics = house.admin("/metrics").await.text();
            assert!(metrics.contains("\nprivet_policy_stale 1\n"), "{code}");
            let after = house
                .query(ANALYST, "SELECT Email FROM Contact LIMIT 1")
                .await;
            assert_eq!(
                (after.status, after.header("privet-policy")),
                (200, Some(version.clone()))
            );
            assert_eq!(after.body, before.body, "{code}");
        }
        // A role that nobody holds is a warning: the policy is taken.
        let row = "p, allow, role:reeder, read, Contact.Email, clear, *, *, -, -, a\n";
        std::fs::write(&file, format!("{HEADER}{row}")).unwrap();
        assert!(reload(&house));
        let text = ready().await.text();
        assert!(
            text.contains("[+] policy ") && !text.contains(&version),
            "{text}"
        );
        assert!(
            house
                .admin("/metrics")
                .await
                .text()
                .contains("\nprivet_policy_stale 0\n")
        );
        let log = logged();
        let warned = log
            .lines()
            .any(|l| l.contains("WARN") && l.contains("warning[role-not-held]"));
        assert!(warned, "no such warning in the log");
    });
}

#[test]
fn a_file_is_saved_and_never_shown() {
    run(async {
        let house = Plan::default().build().await;
        let found = house.query(DESK, "SELECT Id FROM Attachment LIMIT 1").await;
        let id = found.json()["records"][0]["Id"]
            .as_str()
            .unwrap()
            .to_owned();
        let target = format!("/services/data/v61.0/sobjects/Attachment/{id}/Body");
        let answer = house.get(DESK, &target).await;
        assert_eq!(
            (answer.status, answer.text().as_str()),
            (200, "<p>Invented file 0</p>")
        );
        for (name, value) in [
            ("content-type", "application/octet-stream"),
            ("content-disposition", "attachment"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(answer.header(name).as_deref(), Some(value), "{name}");
        }
        // Free text is none of the analyst's business, and neither are files.
        let answer = house.get(ANALYST, &target).await;
        assert_eq!(answer.refused(), (400, "INVALID_TYPE".to_owned()));
    });
}

#[test]
fn a_describe_is_never_another_policys_copy() {
    run(async {
        let house = Plan::default().build().await;
        let target = "/services/data/v61.0/sobjects/User/describe";
        let first = house.get(DESK, target).await;
        // Nothing to ask again with.
        for name in ["etag", "last-modified"] {
            assert_eq!(first.header(name), None, "{name}");
        }
        let again =
            "If-Modified-Since: Mon, 02 Nov 2037 09:00:00 GMT\r\nIf-None-Match: \"461.0\"\r\n";
        edit(&house, CLEAR, MASKED);
        let mut second = None;
        for _ in 0..50_000 {
            let answer = house.ask_with(DESK, target, again).await;
            assert_eq!(answer.status, 200);
            if answer.header("privet-policy") != first.header("privet-policy") {
                second = Some(answer);
                break;
            }
        }
        let second = second.expect("the changed rule is loaded");
        let email = |answer: &Answer| {
            let body = answer.json();
            let fields = body["fields"].as_array().unwrap();
            fields.iter().find(|f| f["name"] == "Email").unwrap()["type"].clone()
        };
        assert_eq!(
            (email(&first), email(&second)),
            ("email".into(), "string".into())
        );
        let seen = house.services.crm.seen();
        let last = seen.last().unwrap();
        assert!(
            last.header("if-modified-since").is_none() && last.header("if-none-match").is_none()
        );
    });
}
