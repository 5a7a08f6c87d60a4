//! Bulk API 1.0 over real sockets: results are treated as records are, in each format; jobs and batches belong to their
//! callers, whose credential stands in a header of its own.

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::bulk2::{house, stored};
use crate::house::{ANALYST, Answer, DESK, House, MARKETING, run};

const JOB: &str = "/services/async/61.0/job";
pub(super) const FORMATS: [&str; 3] = ["CSV", "XML", "JSON"];

fn kind(format: &str) -> &'static str {
    match format {
        "CSV" => "text/csv; charset=UTF-8",
        "XML" => "application/xml; charset=UTF-8",
        _ => "application/json",
    }
}

/// Sends `body` with this session id; `lines`: further header lines.
async fn with_session(
    house: &House,
    session: &str,
    (method, target): (&str, &str),
    (kind, body): (&str, &str),
    lines: &str,
) -> Answer {
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let content = if kind.is_empty() {
        String::new()
    } else {
        format!("Content-Type: {kind}\r\n")
    };
    let head = format!(
        "{method} {JOB}{target} HTTP/1.1\r\nHost: crm.test\r\nX-SFDC-SESSION: {session}\r\nConnection: close\r\n\
         {content}{lines}Content-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(body.as_bytes()).await;
    let mut raw = Vec::new();
    let _ = stream.read_to_end(&mut raw).await;
    Answer::parse(raw)
}

async fn send(house: &House, who: &str, request: (&str, &str), content: (&str, &str)) -> Answer {
    with_session(house, house.key(who), request, content, "").await
}

async fn get(house: &House, who: &str, target: &str) -> Answer {
    send(house, who, ("GET", target), ("", "")).await
}

pub(super) fn between<'t>(text: &'t str, from: &str, to: &str) -> Option<&'t str> {
    let at = text.find(from)? + from.len();
    Some(&text[at..at + text[at..].find(to)?])
}

/// A member of a document in either format.
fn member(answer: &Answer, name: &str) -> String {
    let text = answer.text();
    if text.starts_with('{') {
        let value = &answer.json()[name];
        return value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned);
    }
    between(&text, &format!("<{name}>"), "</")
        .unwrap_or_else(|| panic!("{name}: {text}"))
        .to_owned()
}

/// The document that creates a job, in XML where its batches are CSV or XML.
fn document(format: &str, members: &[(&str, &str)]) -> String {
    let content = ("contentType", format);
    let all = members.iter().chain([&content]);
    if format == "JSON" {
        let members = all.map(|(n, t)| ((*n).to_owned(), json!(t))).collect();
        return Json::Object(members).to_string();
    }
    let members: String = all.map(|(n, t)| format!("<{n}>{t}</{n}>")).collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<jobInfo xmlns=\"http://www.force.com/2009/06/asyncapi/dataload\">\
         {members}</jobInfo>"
    )
}

fn in_document(format: &str) -> &'static str {
    kind(if format == "JSON" { "JSON" } else { "XML" })
}

async fn create(house: &House, who: &str, format: &str, members: &[(&str, &str)]) -> Answer {
    let body = document(format, members);
    send(house, who, ("POST", ""), (in_document(format), &body)).await
}

async fn job(house: &House, who: &str, format: &str, members: &[(&str, &str)]) -> String {
    let made = create(house, who, format, members).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(member(&made, "contentType"), format);
    member(&made, "id")
}

async fn add(house: &House, who: &str, format: &str, job: &str, body: &str) -> Answer {
    let target = format!("/{job}/batch");
    send(house, who, ("POST", &target), (kind(format), body)).await
}

/// A job of one query: its id and its batch's.
async fn query(house: &House, who: &str, format: &str, soql: &str) -> (String, String) {
    let words = [("operation", "query"), ("object", "Contact")];
    let job = job(house, who, format, &words).await;
    let batch = add(house, who, format, &job, soql).await;
    assert_eq!(batch.status, 201, "{soql}: {}", batch.text());
    assert_eq!(member(&batch, "jobId"), job);
    (job, member(&batch, "id"))
}

/// The ids of the results of a batch.
async fn results(house: &House, who: &str, place: &str) -> Vec<String> {
    let list = get(house, who, &format!("{place}/result")).await;
    assert_eq!(list.status, 200, "{}", list.text());
    let text = list.text();
    if text.starts_with('[') {
        return serde_json::from_str(&text).unwrap();
    }
    let each = text.split("<result>").skip(1);
    each.map(|part| part.split("</").next().unwrap().to_owned())
        .collect()
}

/// What a query finds through a job in this format; `None`: it is refused.
pub(super) async fn extracted(
    house: &House,
    who: &str,
    format: &str,
    soql: &str,
) -> Option<Answer> {
    let words = [("operation", "query"), ("object", "Contact")];
    let made = create(house, who, format, &words).await;
    if made.status != 201 {
        return None;
    }
    let job = member(&made, "id");
    let batch = add(house, who, format, &job, soql).await;
    if batch.status != 201 {
        return None;
    }
    let place = format!("/{job}/batch/{}", member(&batch, "id"));
    let state = get(house, who, &place).await;
    assert_eq!(member(&state, "state"), "Completed", "{}", state.text());
    let ids = results(house, who, &place).await;
    assert_eq!(ids.len(), 1);
    let rows = get(house, who, &format!("{place}/result/{}", ids[0])).await;
    assert_eq!(rows.status, 200, "{soql}: {}", rows.text());
    Some(rows)
}

/// The text of a field of each record; `None`: it is not there, or null.
pub(super) fn field(answer: &Answer, format: &str, name: &str) -> Vec<Option<String>> {
    match format {
        "CSV" => {
            let mut reader = csv::Reader::from_reader(&*answer.body);
            let column = reader.headers().unwrap().iter().position(|c| c == name);
            let cell = |row: csv::StringRecord| {
                let text = column.map(|at| row[at].to_owned());
                text.filter(|t| !t.is_empty())
            };
            reader.records().map(|row| cell(row.unwrap())).collect()
        }
        "XML" => {
            let text = answer.text();
            let records = text.split("<records ").skip(1);
            records.map(|record| element(record, name)).collect()
        }
        _ => {
            let place = format!("/{}", name.replace('.', "/"));
            let records = answer.json();
            let shown = |record: &Json| match record.pointer(&place) {
                None | Some(Json::Null) => None,
                Some(Json::String(text)) => Some(text.clone()),
                Some(other) => Some(other.to_string()),
            };
            records.as_array().unwrap().iter().map(shown).collect()
        }
    }
}

/// The field of the first record: not there, null, or its text.
pub(super) fn shown(answer: &Answer, format: &str, name: &str) -> Option<Option<String>> {
    let text = answer.text();
    let there = match format {
        "CSV" => text
            .lines()
            .next()
            .unwrap()
            .contains(&format!("\"{name}\"")),
        "XML" => text.contains(&format!("<{name}>")) || text.contains(&format!("<{name} xsi:nil")),
        _ => answer.json()[0].get(name).is_some(),
    };
    there.then(|| field(answer, format, name).remove(0))
}

fn element(record: &str, name: &str) -> Option<String> {
    if let Some((parent, name)) = name.split_once('.') {
        return element(
            between(record, &format!("<{parent} "), &format!("</{parent}>"))?,
            name,
        );
    }
    // What stands in a parent is not the record's own.
    let own = match (record.find("<Account "), record.find("</Account>")) {
        (Some(from), Some(to)) => format!("{}{}", &record[..from], &record[to..]),
        _ => record.to_owned(),
    };
    let text = between(&own, &format!("<{name}>"), &format!("</{name}>"))?;
    let text = text
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&apos;", "'")
        .replace("&quot;", "\"");
    Some(text.replace("&amp;", "&")).filter(|t| !t.is_empty())
}

/// Refused, and nothing of it has reached the CRM: the exception's code and message.
fn refused(house: &House, answer: &Answer, before: usize) -> (String, String) {
    assert!(answer.status >= 400, "{}", answer.text());
    let seen = house.services.crm.seen();
    assert_eq!(
        seen.len(),
        before,
        "{} {}",
        answer.text(),
        seen[seen.len() - 1].target
    );
    (
        member(answer, "exceptionCode"),
        member(answer, "exceptionMessage"),
    )
}

#[test]
fn results_show_what_records_show_in_each_format() {
    run(async {
        let house = house().await;
        let soql = "SELECT Id, Name, Email, Phone, Birthdate, Salary__c, Account.Name, Account.NumberOfEmployees \
                    FROM Contact ORDER BY Id LIMIT 30";
        for who in [DESK, ANALYST, MARKETING] {
            let rest = house.query(who, soql).await.json();
            let records = rest["records"].as_array().unwrap();
            for format in FORMATS {
                let found = extracted(&house, who, format, soql).await.unwrap();
                for name in [
                    "Id",
                    "Name",
                    "Email",
                    "Phone",
                    "Birthdate",
                    "Salary__c",
                    "Account.Name",
                    "Account.NumberOfEmployees",
                ] {
                    let place = format!("/{}", name.replace('.', "/"));
                    let shown: Vec<Option<String>> = records
                        .iter()
                        .map(|record| match record.pointer(&place) {
                            None | Some(Json::Null) => None,
                            Some(Json::String(text)) => Some(text.clone()),
                            Some(other) => Some(other.to_string()),
                        })
                        .collect();
                    assert_eq!(field(&found, format, name), shown, "{who} {format} {name}");
                }
            }
        }
        // No rows: a line of words instead of a header.
        let none = "SELECT Id, Email FROM Contact WHERE Id = '0035g00000ZZZZZAAA'";
        let found = extracted(&house, ANALYST, "CSV", none).await.unwrap();
        assert_eq!(found.text(), "Records not found for this query");
    });
}

#[test]
fn a_session_stands_in_its_header_and_errors_have_their_shape() {
    run(async {
        let house = house().await;
        let words = [("operation", "query"), ("object", "Contact")];
        for format in FORMATS {
            let body = document(format, &words);
            for session in ["made-up", "00D5g000000DEMO!x"] {
                let answer = with_session(
                    &house,
                    session,
                    ("POST", ""),
                    (in_document(format), &body),
                    "",
                )
                .await;
                assert_eq!(
                    (answer.status, &*member(&answer, "exceptionCode")),
                    (400, "InvalidSessionId")
                );
                assert_eq!(answer.text().starts_with('{'), format == "JSON");
                let kind = answer.header("content-type").unwrap();
                assert_eq!(kind.contains("json"), format == "JSON", "{kind}");
            }
        }
        // The CRM sees its own session, in the same header, and its words for what it is asked.
        let (job, _) = query(&house, ANALYST, "CSV", "SELECT Id FROM Contact LIMIT 1").await;
        let seen = house.services.crm.seen();
        let asked = seen.last().unwrap();
        assert!(asked.header("x-sfdc-session").unwrap().starts_with("00D"));
        assert!(asked.header("authorization").is_none());
        let before = seen.len();
        let body =
            document("XML", &[("state", "Closed")]).replace("<contentType>XML</contentType>", "");
        let closed = send(
            &house,
            ANALYST,
            ("POST", &format!("/{job}")),
            (kind("XML"), &body),
        )
        .await;
        assert_eq!((closed.status, &*member(&closed, "state")), (200, "Closed"));
        assert_eq!(member(&closed, "id"), job);
        assert_eq!(house.services.crm.seen().len(), before + 1);
        let info = get(&house, ANALYST, &format!("/{job}")).await;
        assert_eq!(member(&info, "state"), "Closed");
        assert!(!info.text().contains("createdById") && !info.text().contains("750"));
        // An error of the CRM's own keeps its code and nothing else.
        let late = add(&house, ANALYST, "CSV", &job, "SELECT Id FROM Contact").await;
        assert_eq!(
            (late.status, &*member(&late, "exceptionCode")),
            (400, "InvalidJobState")
        );
        assert!(!late.text().contains("not open"), "{}", late.text());
        // A session of the CRM's that has ended is renewed.
        house.services.crm.end_sessions();
        assert_eq!(get(&house, ANALYST, &format!("/{job}")).await.status, 200);
    });
}

#[test]
fn jobs_batches_and_results_belong_to_their_caller() {
    run(async {
        let house = house().await;
        let soql = "SELECT Id, Email FROM Contact ORDER BY Id LIMIT 3";
        let (job, batch) = query(&house, ANALYST, "JSON", soql).await;
        let (other, other_batch) = query(
            &house,
            ANALYST,
            "JSON",
            "SELECT Id, Name FROM Contact LIMIT 3",
        )
        .await;
        let place = format!("/{job}/batch/{batch}");
        let result = results(&house, ANALYST, &place).await.remove(0);
        let other_place = format!("/{other}/batch/{other_batch}");
        let foreign = results(&house, ANALYST, &other_place).await.remove(0);
        // By a list it is seen how far batches are, and no more.
        let list = get(&house, ANALYST, &format!("/{job}/batch")).await;
        assert_eq!(list.status, 200, "{}", list.text());
        let listed = list.json()["batchInfo"][0]["id"]
            .as_str()
            .unwrap()
            .to_owned();
        let state = get(&house, ANALYST, &format!("/{job}/batch/{listed}")).await;
        assert_eq!(member(&state, "state"), "Completed");
        let upstream = house.services.crm.seen();
        let upstream: Vec<String> = upstream
            .iter()
            .filter(|a| a.segments.len() == 8 && a.segments[7] == "result")
            .map(|a| a.segments[4..7].join("/"))
            .collect();
        let before = house.services.crm.seen().len();
        for (who, target) in [
            (DESK, format!("/{job}")),
            (DESK, format!("{place}/result/{result}")),
            (ANALYST, "/7505g000000000BAAQ".to_owned()),
            (ANALYST, format!("/{}/result", upstream[0])),
            (ANALYST, format!("/{job}/batch/{other_batch}/result")),
            (ANALYST, format!("/{other}/batch/{batch}")),
            (ANALYST, format!("{place}/result/{foreign}")),
            (ANALYST, format!("{place}/result/{batch}")),
            (ANALYST, format!("{place}/result/7525g000000000DAAQ")),
            (ANALYST, format!("/{batch}")),
            (ANALYST, format!("/{job}/batch/{job}")),
            (ANALYST, format!("/{job}/batch/{listed}/result")),
            (ANALYST, format!("{place}x")),
            (ANALYST, format!("{place}/request")),
        ] {
            let answer = get(&house, who, &target).await;
            let (code, text) = refused(&house, &answer, before);
            assert!(
                matches!(&*code, "InvalidJob" | "InvalidBatch" | "InvalidUser"),
                "{target}: {code} {text}"
            );
        }
        // Neither API takes the other's ids.
        let two = house
            .get(ANALYST, &format!("/services/data/v61.0/jobs/query/{job}"))
            .await;
        assert_eq!(two.status, 404, "{}", two.text());
        assert_eq!(house.services.crm.seen().len(), before);
    });
}

#[test]
fn what_is_no_query_of_a_batch_is_refused() {
    run(async {
        let house = house().await;
        let words = [("operation", "query"), ("object", "Contact")];
        for format in FORMATS {
            let job = job(&house, ANALYST, format, &words).await;
            let before = house.services.crm.seen().len();
            for (soql, why) in [
                ("SELECT COUNT() FROM Contact", "functions"),
                ("SELECT COUNT(Id) FROM Contact", "functions"),
                ("SELECT Title FROM Contact GROUP BY Title", "GROUP BY"),
                (
                    "SELECT Id, (SELECT Id FROM Cases) FROM Contact",
                    "queries inside",
                ),
                ("SELECT Id FROM Contact LIMIT 1 OFFSET 5", "OFFSET"),
                ("SELECT Id FROM Contact ORDER BY Email", "sorted"),
                ("SELECT Id FROM Contact WHERE Email LIKE 'a%'", "filtered"),
                ("SELECT Id FROM Account", "object of its job"),
                ("SELECT Nothing__c FROM Contact", "Nothing__c"),
                ("Email", "unexpected"),
            ] {
                let answer = add(&house, ANALYST, format, &job, soql).await;
                let (code, text) = refused(&house, &answer, before);
                assert!(
                    code == "InvalidBatch" || text.contains(why),
                    "{soql}: {code} {text}"
                );
                assert!(text.contains(why) || soql == "Email", "{soql}: {text}");
            }
            let soql = "SELECT Id FROM Contact";
            let target = format!("/{job}/batch");
            let chunked = with_session(
                &house,
                house.key(ANALYST),
                ("POST", &target),
                (kind(format), soql),
                "Sforce-Enable-PKChunking: chunkSize=1000\r\n",
            )
            .await;
            assert!(
                refused(&house, &chunked, before)
                    .1
                    .contains("sforce-enable-pkchunking")
            );
            for wrong in FORMATS.into_iter().filter(|f| *f != format) {
                let answer = send(&house, ANALYST, ("POST", &target), (kind(wrong), soql)).await;
                assert!(refused(&house, &answer, before).1.contains("content type"));
            }
        }
        let before = house.services.crm.seen().len();
        for (format, words, why) in [
            (
                "ZIP_CSV",
                vec![("operation", "insert"), ("object", "Contact")],
                "binary attachments",
            ),
            (
                "TSV",
                vec![("operation", "insert"), ("object", "Contact")],
                "contentType",
            ),
            (
                "CSV",
                vec![("operation", "INSERT"), ("object", "Contact")],
                "operation takes",
            ),
            (
                "CSV",
                vec![("operation", "query"), ("object", "Nothing__c")],
                "Nothing__c",
            ),
            (
                "CSV",
                vec![("operation", "upsert"), ("object", "Contact")],
                "externalIdFieldName",
            ),
            (
                "CSV",
                vec![
                    ("operation", "insert"),
                    ("object", "Contact"),
                    ("assignmentRuleId", "x"),
                ],
                "takes the members",
            ),
        ] {
            let answer = create(&house, DESK, format, &words).await;
            let (_, text) = refused(&house, &answer, before);
            assert!(text.contains(why), "{text}");
        }
        // A token stands for its value where it is compared.
        let rest = house
            .query(ANALYST, "SELECT Id, Email FROM Contact ORDER BY Id LIMIT 1")
            .await
            .json();
        let token = rest["records"][0]["Email"].as_str().unwrap();
        let soql = format!("SELECT Id FROM Contact WHERE Email = '{token}'");
        let found = extracted(&house, ANALYST, "CSV", &soql).await.unwrap();
        let id = rest["records"][0]["Id"].as_str().map(str::to_owned);
        assert!(field(&found, "CSV", "Id").contains(&id));
    });
}

/// Records as a batch in this format holds them.
fn records(format: &str, all: &[&[(&str, &str)]]) -> String {
    match format {
        "CSV" => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer.write_record(all[0].iter().map(|(n, _)| *n)).unwrap();
            for record in all {
                writer.write_record(record.iter().map(|(_, t)| *t)).unwrap();
            }
            String::from_utf8(writer.into_inner().unwrap()).unwrap()
        }
        "XML" => {
            let one = |record: &&[(&str, &str)]| {
                let fields: String = record
                    .iter()
                    .map(|(n, t)| match *t {
                        "#N/A" => format!("<{n} xsi:nil=\"true\"/>"),
                        t => format!("<{n}>{t}</{n}>"),
                    })
                    .collect();
                format!("<sObject>{fields}</sObject>")
            };
            let all: String = all.iter().map(one).collect();
            format!(
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?><sObjects \
                 xmlns=\"http://www.force.com/2009/06/asyncapi/dataload\" \
                 xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\">{all}</sObjects>"
            )
        }
        _ => {
            let one = |record: &&[(&str, &str)]| {
                let fields = record.iter().map(|(n, t)| {
                    let value = if *t == "#N/A" { Json::Null } else { json!(t) };
                    ((*n).to_owned(), value)
                });
                Json::Object(fields.collect())
            };
            Json::Array(all.iter().map(one).collect()).to_string()
        }
    }
}

/// What became of one batch of records: the answer to its results.
async fn load(
    house: &House,
    who: &str,
    format: &str,
    words: &[(&str, &str)],
    body: &str,
) -> (String, Answer) {
    let job = job(house, who, format, words).await;
    let batch = add(house, who, format, &job, body).await;
    assert_eq!(batch.status, 201, "{format}: {}", batch.text());
    let place = format!("/{job}/batch/{}", member(&batch, "id"));
    let state = get(house, who, &place).await;
    assert_eq!(member(&state, "state"), "Completed");
    let results = get(house, who, &format!("{place}/result")).await;
    assert_eq!(results.status, 200, "{}", results.text());
    (place, results)
}

#[test]
fn tokens_of_a_batch_become_values_and_masks_do_not() {
    run(async {
        let house = house().await;
        let soql = "SELECT Id, Email FROM Contact WHERE Email != null ORDER BY Id LIMIT 2";
        let update = [("operation", "update"), ("object", "Contact")];
        for (format, title) in FORMATS.into_iter().zip(["one", "two", "three"]) {
            let rest = house
                .query(ANALYST, "SELECT Id, Email FROM Contact ORDER BY Id LIMIT 8")
                .await
                .json();
            let at = |i: usize, f: &str| {
                rest["records"][i][f]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned()
            };
            let (one, two) = (at(0, "Id"), at(7, "Id"));
            let email = stored(&house, &two, "Email");
            let body = records(
                format,
                &[
                    &[("Id", &one), ("Email", &at(7, "Email")), ("Title", title)],
                    &[("Id", &two), ("Email", &at(7, "Email")), ("Title", "#N/A")],
                ],
            );
            let (place, results) = load(&house, ANALYST, format, &update, &body).await;
            let text = results.text();
            assert_eq!(stored(&house, &one, "Email"), email, "{format} {text}");
            assert_eq!(stored(&house, &one, "Title"), title, "{format} {text}");
            assert_eq!(stored(&house, &two, "Title"), "", "{format} {text}");
            // What the CRM repeats of it is read as records are.
            let echo = get(&house, ANALYST, &format!("{place}/request")).await;
            assert_eq!(echo.status, 200, "{}", echo.text());
            assert!(
                echo.text().contains(&at(7, "Email")),
                "{format}: {}",
                echo.text()
            );
            assert!(!echo.text().contains(&email), "{format}: {}", echo.text());

            let masked = house.query(DESK, soql).await.json();
            let masked = masked["records"][0]["Email"].as_str().unwrap().to_owned();
            let before = stored(&house, &one, "Email");
            for (who, body, why) in [
                (
                    DESK,
                    records(format, &[&[("Id", &one), ("Email", &masked)]]),
                    "mask or a foreign token",
                ),
                (
                    ANALYST,
                    records(
                        format,
                        &[&[("Id", &one), ("Title", "x"), ("Phone", "tk1.a.b")]],
                    ),
                    "mask or a foreign token",
                ),
                (
                    ANALYST,
                    records(format, &[&[("Id", &one), ("Nothing__c", "x")]]),
                    "",
                ),
                (
                    ANALYST,
                    records(format, &[&[("Id", &one), ("SSN__c", "x")]]),
                    "",
                ),
            ] {
                let job = job(&house, who, format, &update).await;
                let answer = add(&house, who, format, &job, &body).await;
                let text = answer.text();
                assert!(
                    answer.status >= 400 && text.contains(why),
                    "{format} {body}: {text}"
                );
                assert!(!text.contains(&email) && !text.contains(&masked), "{text}");
                assert!(text.contains("xceptionCode"), "{text}");
                assert_eq!(stored(&house, &one, "Email"), before);
            }
        }
    });
}

#[test]
fn a_table_is_repeated_with_the_line_ends_it_was_sent_with() {
    run(async {
        let house = house().await;
        let insert = [("operation", "insert"), ("object", "Contact")];
        for end in ["\n", "\r\n"] {
            let body = format!("LastName,Title{end}Good,\"a{end}b\"{end}");
            let (place, results) = load(&house, DESK, "CSV", &insert, &body).await;
            assert_eq!(
                results.text().matches("true").count(),
                2,
                "{}",
                results.text()
            );
            let echo = get(&house, DESK, &format!("{place}/request")).await;
            assert_eq!((echo.status, echo.text()), (200, body));
        }
    });
}

#[test]
fn records_are_made_found_by_keys_and_deleted_and_fail_with_a_code() {
    run(async {
        let house = house().await;
        let long = "x".repeat(300);
        for (format, number) in FORMATS
            .into_iter()
            .zip(["L-910001", "L-910002", "L-910003"])
        {
            let insert = [("operation", "insert"), ("object", "contact")];
            let body = records(
                format,
                &[
                    &[("LastName", "Good"), ("title", "a")],
                    &[("LastName", "Bad"), ("title", &long)],
                ],
            );
            let (place, results) = load(&house, DESK, format, &insert, &body).await;
            let text = results.text();
            assert!(
                text.contains("STRING_TOO_LONG") && !text.contains("too large"),
                "{text}"
            );
            let info = get(&house, DESK, &place).await;
            assert_eq!(member(&info, "numberRecordsFailed"), "1");
            let id = match format {
                "CSV" => text
                    .lines()
                    .nth(1)
                    .unwrap()
                    .split('"')
                    .nth(1)
                    .unwrap()
                    .to_owned(),
                "XML" => between(&text, "<id>", "</id>").unwrap().to_owned(),
                _ => results.json()[0]["id"].as_str().unwrap().to_owned(),
            };
            assert_eq!(stored(&house, &id, "LastName"), "Good", "{text}");

            let upsert = [
                ("operation", "upsert"),
                ("object", "Contact"),
                ("externalIdFieldName", "loyalty_number__c"),
            ];
            let body = records(
                format,
                &[&[("Loyalty_Number__c", number), ("LastName", "Keyed")]],
            );
            let (_, made) = load(&house, DESK, format, &upsert, &body).await;
            let (_, found) = load(&house, DESK, format, &upsert, &body).await;
            let said = |answer: &Answer| answer.text().matches("true").count();
            assert_eq!(
                (said(&made), said(&found)),
                (2, 1),
                "{} {}",
                made.text(),
                found.text()
            );

            let delete = [("operation", "delete"), ("object", "Contact")];
            let job = job(&house, DESK, format, &delete).await;
            let before = house.services.crm.seen().len();
            let more = records(format, &[&[("Id", &id), ("Title", "x")]]);
            let more = add(&house, DESK, format, &job, &more).await;
            assert!(more.status >= 400, "{}", more.text());
            if format != "XML" {
                assert!(refused(&house, &more, before).1.contains("Id alone"));
            }
            let body = records(format, &[&[("Id", &id)]]);
            load(&house, DESK, format, &delete, &body).await;
            let gone = house
                .get(DESK, &format!("/services/data/v61.0/sobjects/Contact/{id}"))
                .await;
            assert_eq!(gone.status, 404);
            // Marketing may not delete.
            let before = house.services.crm.seen().len();
            let answer = create(&house, MARKETING, format, &delete).await;
            refused(&house, &answer, before);
        }
    });
}
