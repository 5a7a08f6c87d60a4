//! Answers that hold several documents, through a map that says so.

use bytes::Bytes;
use http::Response;
use privet::demo::server;
use std::sync::{Arc, Mutex};

use crate::house::{Answer, DESK, House, MARKETING, Plan, run};

const PERSON: &str = r#"{"id":"p1","name":"Jo Doe","contact":{"email":"jo@firm.example"},"pay":{"salary":1},"x":"jo@firm.example"}"#;

/// What the directory answers under each path: type and body.
type Answers = Arc<Mutex<(String, String)>>;

/// The shipped map with three more routes, and a directory that answers as it is told.
async fn house() -> (House, Answers) {
    let answers: Answers = Arc::default();
    let told = Arc::clone(&answers);
    let directory: server::Handler = Arc::new(move |_| {
        let (kind, body) = told.lock().unwrap().clone();
        Response::builder()
            .header("content-type", kind)
            .body(Bytes::from(body))
            .unwrap()
    });
    let map = std::fs::read_to_string("policies/apis/people.yaml").unwrap();
    let route = |id: &str, format: &str| {
        format!(
            "  - id: {id}\n    method: GET\n    path: /people/as/{id}\n    action: read\n    object: Person\n    format: {format}\n    \
             records: $\n    fields: {{ id: $.id, name: $.name, email: $.contact.email, salary: $.pay.salary }}\n"
        )
    };
    let map = format!(
        "{map}\n{}{}{}{}",
        route("lines", "ndjson"),
        route("events", "event-stream\n    events: [hired]"),
        route("parts", "multipart"),
        route("inside", "json\n    document: $.messages[*].body"),
    );
    let origin = server::serve(([127, 0, 0, 1], 0).into(), None, directory)
        .await
        .unwrap();
    let address = format!("http://{}", origin.address);
    std::mem::forget(origin);
    let house = Plan {
        policies: vec![("apis/people.yaml", map)],
        people_origin: Some(address),
        ..Plan::default()
    }
    .build()
    .await;
    (house, answers)
}

async fn ask(
    house: &House,
    answers: &Answers,
    who: &str,
    path: &str,
    kind: &str,
    body: &str,
) -> Answer {
    *answers.lock().unwrap() = (kind.to_owned(), body.to_owned());
    house.get(who, path).await
}

#[test]
fn lines_events_and_parts_are_treated_for_each_caller() {
    run(async {
        let (house, answers) = house().await;
        let part = format!("--x\r\nContent-Type: application/json\r\n\r\n{PERSON}\r\n");
        let note = "--x\r\nContent-Type: text/plain\r\n\r\njo@firm.example\r\n";
        for (who, treated) in [
            (
                DESK,
                r#"{"id":"p1","name":"Jo Doe","contact":{"email":"jo@firm.example"},"pay":{}}"#,
            ),
            (
                MARKETING,
                r#"{"id":"p1","name":"Jo Doe","contact":{},"pay":{}}"#,
            ),
        ] {
            for (path, kind, body, due) in [
                (
                    "/people/as/lines",
                    "application/x-ndjson",
                    format!("{PERSON}\n\n{PERSON}\n"),
                    format!("{treated}\n{treated}\n"),
                ),
                (
                    "/people/as/events",
                    "text/event-stream",
                    format!(
                        ": jo@firm.example\nid: jo@firm.example\nevent: hired\ndata: {PERSON}\n\nevent: jo\ndata: {PERSON}\n\ndata: jo\n\n"
                    ),
                    format!(":\nevent: hired\ndata: {treated}\n\n"),
                ),
                (
                    "/people/as/parts",
                    "multipart/mixed; boundary=\"x\"",
                    format!("{part}{note}{part}--x--\r\n"),
                    format!(
                        "{0}{0}--privet-part--\r\n",
                        format_args!(
                            "--privet-part\r\nContent-Type: application/json\r\n\r\n{treated}\r\n"
                        )
                    ),
                ),
            ] {
                let answer = ask(&house, &answers, who, path, kind, &body).await;
                assert_eq!(
                    (answer.status, answer.whole),
                    (200, true),
                    "{who} {path}: {}",
                    answer.text()
                );
                assert_eq!(answer.text(), due, "{who} {path}");
                let sent = answer
                    .head
                    .lines()
                    .find_map(|l| l.strip_prefix("content-type: "));
                let kind = kind.split(';').next().unwrap();
                assert!(
                    sent.is_some_and(|sent| sent.starts_with(kind)),
                    "{}",
                    answer.head
                );
            }
        }
    });
}

#[test]
fn what_is_not_as_declared_does_not_pass() {
    run(async {
        let (house, answers) = house().await;
        for (path, kind, body) in [
            ("/people/as/lines", "application/json", PERSON.to_owned()),
            (
                "/people/as/lines",
                "application/x-ndjson",
                format!("{PERSON}\njo@firm.example\n"),
            ),
            ("/people/p1", "application/x-ndjson", format!("{PERSON}\n")),
            (
                "/people/as/parts",
                "multipart/mixed",
                format!("--x\r\nContent-Type: application/json\r\n\r\n{PERSON}\r\n--x--"),
            ),
            (
                "/people/as/parts",
                "multipart/mixed; boundary=x",
                format!("--x\r\nContent-Type: application/json\r\n\r\n{PERSON}\r\n"),
            ),
            (
                "/people/as/parts",
                "multipart/mixed; boundary=x",
                format!("--x\r\nContent-Type: application/json\r\n\r\n{PERSON},\r\n--x--"),
            ),
        ] {
            let answer = ask(&house, &answers, MARKETING, path, kind, &body).await;
            assert!(
                answer.status == 502 || !answer.whole,
                "{path} {kind}: {}",
                answer.text()
            );
            assert!(
                !answer.text().contains("firm.example"),
                "{path} {kind}: {}",
                answer.text()
            );
        }
    });
}

#[test]
fn a_document_in_a_string_is_treated_for_each_caller() {
    run(async {
        let (house, answers) = house().await;
        let inner = serde_json::Value::from(PERSON);
        let body = format!(
            r#"{{"messages":[{{"body":{inner},"to":"jo@firm.example"}},{{"body":"jo@firm.example"}},{{"body":{PERSON}}}]}}"#
        );
        for (who, treated) in [
            (
                DESK,
                r#"{"id":"p1","name":"Jo Doe","contact":{"email":"jo@firm.example"},"pay":{}}"#,
            ),
            (
                MARKETING,
                r#"{"id":"p1","name":"Jo Doe","contact":{},"pay":{}}"#,
            ),
        ] {
            let answer = ask(
                &house,
                &answers,
                who,
                "/people/as/inside",
                "application/json",
                &body,
            )
            .await;
            let due = serde_json::Value::from(treated);
            assert_eq!(
                answer.text(),
                format!(r#"{{"messages":[{{"body":{due}}},{{"body":null}},{{"body":null}}]}}"#),
                "{who}"
            );
        }
    });
}
