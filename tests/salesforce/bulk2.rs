//! Bulk API 2.0 over real sockets: tables are treated as records are, jobs belong to their callers.

use privet::demo::client::encode;
use privet::demo::metadata::{OBJECTS, object};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::surfaces::without_export_rule;
use crate::house::{ANALYST, Answer, DESK, House, MARKETING, Plan, run};

const JOBS: &str = "/services/data/v61.0/jobs";

/// What the shipped policies leave closed: records to write.
const RULES: &str = "\
# p, effect, who, action, what, treatment, purpose, region, when, priority, id
p, allow, role:bi,            write,      Contact.*,                 -, analytics, *, -, 10, b-write
p, allow, role:bi,            write,      Contact.Phone,             -, analytics, *, -, 5,  b-write-phone
p, allow, role:support_agent, write,      Contact.*,                 -, support,   *, -, 10, b-desk-write
p, allow, role:support_agent, write,      Contact.Email,             -, support,   *, -, 5,  b-desk-email
p, allow, role:support_agent, delete,     Contact.*,                 -, support,   *, -, 10, b-delete
p, allow, role:support_agent, filter|key, Contact.Loyalty_Number__c, -, support,   *, -, 5,  b-key
";

pub(super) async fn house() -> House {
    Plan {
        watched: false,
        policies: vec![
            ("rules/bulk.csv", RULES.to_owned()),
            ("rules/baseline.csv", without_export_rule()),
        ],
        ..Plan::default()
    }
    .build()
    .await
}

/// Sends a body of this type.
async fn send(
    house: &House,
    who: &str,
    (method, target): (&str, &str),
    (kind, body): (&str, &str),
) -> Answer {
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = format!(
        "{method} {JOBS}{target} HTTP/1.1\r\nHost: crm.test\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
         Accept-Encoding: gzip\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        house.key(who),
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(body.as_bytes()).await;
    let mut raw = Vec::new();
    let _ = stream.read_to_end(&mut raw).await;
    Answer::parse(raw)
}

async fn json(house: &House, who: &str, method: &str, target: &str, body: &Json) -> Answer {
    send(
        house,
        who,
        (method, target),
        ("application/json", &body.to_string()),
    )
    .await
}

async fn get(house: &House, who: &str, target: &str) -> Answer {
    house.get(who, &format!("{JOBS}{target}")).await
}

/// Creates a job that extracts, and gives its id.
async fn query(house: &House, who: &str, soql: &str) -> String {
    let body = json!({"operation": "query", "query": soql});
    let made = json(house, who, "POST", "/query", &body).await;
    assert_eq!(made.status, 200, "{soql}: {}", made.text());
    made.json()["id"].as_str().unwrap().to_owned()
}

/// All rows of a complete job, the header first.
async fn results(house: &House, who: &str, job: &str) -> Vec<Vec<String>> {
    let state = get(house, who, &format!("/query/{job}")).await;
    assert_eq!(state.json()["state"], "JobComplete", "{}", state.text());
    let answer = get(house, who, &format!("/query/{job}/results")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("sforce-locator").as_deref(), Some("null"));
    rows(&answer)
}

fn rows(answer: &Answer) -> Vec<Vec<String>> {
    let kind = answer.header("content-type").unwrap();
    assert!(kind.starts_with("text/csv"), "{kind}");
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .from_reader(&*answer.body);
    let rows = reader.records().map(|r| r.unwrap());
    rows.map(|r| r.iter().map(str::to_owned).collect())
        .collect()
}

/// Refused, and nothing of it has reached the CRM: status and the whole text.
async fn refused(house: &House, answer: Answer, before: usize) -> (u16, String) {
    assert!(answer.status >= 400, "{}", answer.text());
    assert_eq!(house.services.crm.seen().len(), before, "{}", answer.text());
    (answer.status, answer.text())
}

#[test]
fn a_table_shows_what_records_show() {
    run(async {
        let house = house().await;
        let soql = "SELECT Id, Name, Email, Phone, Birthdate, Salary__c, Account.Name, Account.NumberOfEmployees \
                    FROM Contact ORDER BY Id LIMIT 30";
        for who in [DESK, ANALYST, MARKETING] {
            let rest = house.query(who, soql).await.json();
            let job = query(&house, who, soql).await;
            let table = results(&house, who, &job).await;
            let records = rest["records"].as_array().unwrap();
            assert_eq!(table.len(), records.len() + 1, "{who}");
            for (record, row) in records.iter().zip(&table[1..]) {
                for (column, cell) in table[0].iter().zip(row) {
                    let place = format!("/{}", column.replace('.', "/"));
                    let shown = match record.pointer(&place) {
                        None | Some(Json::Null) => String::new(),
                        Some(Json::String(text)) => text.clone(),
                        Some(other) => other.to_string(),
                    };
                    assert_eq!(*cell, shown, "{who} {column}");
                }
            }
            // What is dropped in every record has no column.
            for field in ["Email", "Salary__c"] {
                let shown = records.iter().any(|r| r.get(field).is_some());
                assert_eq!(table[0].iter().any(|c| c == field), shown, "{who} {field}");
            }
        }
    });
}

#[test]
fn an_extract_is_an_export() {
    run(async {
        let house = Plan::still().build().await;
        let seen = house.services.crm.seen().len();
        let body = json!({"operation": "query", "query": "SELECT Id, Email FROM Contact"});
        let answer = json(&house, ANALYST, "POST", "/query", &body).await;
        // Nobody here has signed in twice.
        let (status, text) = refused(&house, answer, seen).await;
        assert!(status == 403 || status == 400, "{text}");
        assert!(
            !query(&house, ANALYST, "SELECT Id, Title FROM Contact")
                .await
                .is_empty()
        );
    });
}

#[test]
fn pages_and_jobs_belong_to_their_caller() {
    run(async {
        let house = house().await;
        let job = query(
            &house,
            ANALYST,
            "SELECT Id, Email FROM Contact ORDER BY Id LIMIT 5",
        )
        .await;
        assert!(!job.starts_with("750"));
        get(&house, ANALYST, &format!("/query/{job}")).await;
        let mut all = Vec::new();
        let mut locator = String::new();
        let mut first = None;
        while locator != "null" {
            let more = match &*locator {
                "" => String::new(),
                sealed => format!("&locator={}", encode(sealed)),
            };
            let page = get(
                &house,
                ANALYST,
                &format!("/query/{job}/results?maxRecords=2{more}"),
            )
            .await;
            assert_eq!(page.status, 200, "{}", page.text());
            let found = rows(&page);
            let count = page.header("sforce-numberofrecords").unwrap();
            assert_eq!(count, (found.len() - 1).to_string());
            all.extend(found.into_iter().skip(1));
            locator = page.header("sforce-locator").unwrap();
            first.get_or_insert_with(|| locator.clone());
        }
        assert_eq!(all.len(), 5);
        assert!(all.iter().all(|row| row[1].starts_with("tk1.")));

        let other = query(&house, ANALYST, "SELECT Id FROM Contact LIMIT 5").await;
        let upstream = {
            let seen = house.services.crm.seen();
            let asked = seen
                .iter()
                .find(|a| a.target.contains("/jobs/query/750"))
                .unwrap();
            asked.segments[5].clone()
        };
        let first = first.unwrap();
        let before = house.services.crm.seen().len();
        for (who, target) in [
            (DESK, format!("/query/{job}")),
            (DESK, format!("/query/{job}/results")),
            (ANALYST, format!("/query/{upstream}/results")),
            (ANALYST, format!("/ingest/{job}")),
            (ANALYST, format!("/query/{first}/results")),
            (ANALYST, format!("/query/{other}/results?locator={first}")),
            (ANALYST, format!("/query/{job}/results?locator=Mg==")),
            (ANALYST, format!("/query/{job}/results?locator={job}")),
            (ANALYST, format!("/query/{}x/results", job)),
        ] {
            let answer = get(&house, who, &target).await;
            let (status, text) = refused(&house, answer, before).await;
            assert_eq!(status, 404, "{text}");
            assert!(text.contains("job does not exist"), "{text}");
        }
        for closed in ["/query", "/ingest"] {
            let answer = get(&house, ANALYST, closed).await;
            let (_, text) = refused(&house, answer, before).await;
            assert!(text.contains("Lists of bulk jobs"), "{text}");
        }
        let aborted = json(
            &house,
            ANALYST,
            "PATCH",
            &format!("/query/{job}"),
            &json!({"state": "Aborted"}),
        )
        .await;
        assert_eq!(aborted.json()["id"], *job);
        let gone = house
            .ask(ANALYST, "DELETE", &format!("{JOBS}/query/{job}"), "")
            .await;
        assert_eq!(gone.status, 204);
    });
}

#[test]
fn what_is_no_query_of_a_bulk_job_is_refused() {
    run(async {
        let house = house().await;
        let before = house.services.crm.seen().len();
        let long = format!(
            "SELECT Id FROM Contact WHERE Id IN ({})",
            (0u64..2500)
                .map(|i| format!("'{:x}'", i.wrapping_mul(0x9E37_79B9_7F4A_7C15)))
                .collect::<Vec<_>>()
                .join(",")
        );
        for (soql, why) in [
            ("SELECT COUNT(Id) FROM Contact", "functions"),
            ("SELECT Title FROM Contact GROUP BY Title", "GROUP BY"),
            (
                "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
                "queries inside",
            ),
            ("SELECT Id FROM Contact LIMIT 1 OFFSET 5", "OFFSET"),
            ("SELECT Id FROM Contact ORDER BY Email", "sorted"),
            ("SELECT Id FROM Contact WHERE Email LIKE 'a%'", "filtered"),
            ("SELECT Nothing__c FROM Contact", "Nothing__c"),
            (&long, "too long"),
        ] {
            let body = json!({"operation": "query", "query": soql});
            let answer = json(&house, ANALYST, "POST", "/query", &body).await;
            let (_, text) = refused(&house, answer, before).await;
            assert!(text.contains(why), "{soql:.60}: {text}");
        }
        for body in [
            json!({"operation": "insert", "query": "SELECT Id FROM Contact"}),
            json!({"operation": "query"}),
            json!({"operation": "query", "query": "SELECT Id FROM Contact", "columnDelimiter": "X"}),
            json!({"operation": "query", "query": "SELECT Id FROM Contact", "contentType": "JSON"}),
            json!({"operation": "query", "query": "SELECT Id FROM Contact", "else": "1"}),
        ] {
            let answer = json(&house, ANALYST, "POST", "/query", &body).await;
            assert_eq!(refused(&house, answer, before).await.0, 400);
        }
    });
}

/// Creates an ingest job, uploads `table` and gives the job's id and the answer to the upload.
async fn ingest(house: &House, who: &str, job: &Json, table: &str) -> (String, Answer) {
    let made = json(house, who, "POST", "/ingest", job).await;
    assert_eq!(made.status, 200, "{}", made.text());
    let made = made.json();
    let id = made["id"].as_str().unwrap().to_owned();
    let url = made["contentUrl"].as_str().unwrap();
    let sealed = url
        .strip_prefix("services/data/v61.0/jobs/ingest/")
        .and_then(|rest| rest.strip_suffix("/batches"))
        .unwrap();
    let target = format!("/ingest/{sealed}/batches");
    let upload = send(
        house,
        who,
        ("PUT", &target),
        ("text/csv; charset=UTF-8", table),
    )
    .await;
    (id, upload)
}

async fn complete(house: &House, who: &str, id: &str) -> Json {
    let state = json!({"state": "UploadComplete"});
    let done = json(house, who, "PATCH", &format!("/ingest/{id}"), &state).await;
    assert_eq!(done.status, 200, "{}", done.text());
    assert_eq!(done.json()["id"], *id);
    done.json()
}

pub(super) fn stored(house: &House, id: &str, field: &str) -> String {
    let contacts = object("Contact").unwrap();
    let at = OBJECTS[contacts].field(field).unwrap();
    let store = house.services.crm.store();
    let index = store.table(contacts).find(id).unwrap();
    store
        .value(contacts, index, at)
        .as_text()
        .unwrap_or_default()
        .to_owned()
}

#[test]
fn tokens_of_a_table_become_values_and_masks_do_not() {
    run(async {
        let house = house().await;
        let rest = house
            .query(ANALYST, "SELECT Id, Email FROM Contact ORDER BY Id LIMIT 2")
            .await
            .json();
        let at = |i: usize, f: &str| rest["records"][i][f].as_str().unwrap().to_owned();
        let (one, two) = (at(0, "Id"), at(1, "Id"));
        let email = stored(&house, &two, "Email");
        let job = json!({"object": "contact", "operation": "update", "lineEnding": "LF"});
        let table = format!(
            "\"id\",EMAIL,Title\n{one},{},\"new, \"\"x\"\"\"\n{two},,#N/A\n",
            at(1, "Email")
        );
        let (id, upload) = ingest(&house, ANALYST, &job, &table).await;
        assert_eq!((upload.status, upload.text()), (201, String::new()));
        let done = complete(&house, ANALYST, &id).await;
        assert_eq!(
            (&done["state"], &done["numberRecordsFailed"]),
            (&json!("JobComplete"), &json!(0))
        );
        assert_eq!(stored(&house, &one, "Email"), email);
        assert_eq!(stored(&house, &one, "Title"), "new, \"x\"");
        assert_eq!(stored(&house, &two, "Title"), "");
        // What the CRM repeats of it is read as records are.
        let echo = rows(&get(&house, ANALYST, &format!("/ingest/{id}/successfulResults")).await);
        assert_eq!(echo[0], ["sf__Id", "sf__Created", "id", "EMAIL", "Title"]);
        assert_eq!(echo[1][3], at(1, "Email"));
        assert!(!format!("{echo:?}").contains(&email));

        // A mask, a foreign token, a column that is not there, one that is hidden, one that stands twice.
        let masked = house
            .query(DESK, "SELECT Id, Email FROM Contact ORDER BY Id LIMIT 1")
            .await
            .json();
        let masked = masked["records"][0]["Email"].as_str().unwrap().to_owned();
        for (who, table, why) in [
            (
                DESK,
                format!("Id,Email\n{one},{masked}\n"),
                "mask or a foreign token",
            ),
            (
                ANALYST,
                format!("Id,Phone\n{one},{}\n", at(1, "Email")),
                "mask or a foreign token",
            ),
            (ANALYST, format!("Id,Nothing__c\n{one},x\n"), "Nothing__c"),
            (
                ANALYST,
                format!("Id,Email,email\n{one},x,y\n"),
                "two columns",
            ),
            (ANALYST, format!("Id,Email\n{one}\n"), "request body"),
            (ANALYST, String::from("\n"), "header"),
        ] {
            let title = stored(&house, &one, "Email");
            let (id, upload) = ingest(&house, who, &job, &table).await;
            let text = upload.text();
            assert!(
                upload.status >= 400 && text.contains(why),
                "{table}: {} {text}",
                upload.status
            );
            assert!(
                !text.contains(&email) && !text.contains(&at(1, "Email")),
                "{text}"
            );
            // The upload did not end: there is nothing to carry out.
            let _ = json(
                &house,
                who,
                "PATCH",
                &format!("/ingest/{id}"),
                &json!({"state": "UploadComplete"}),
            )
            .await;
            assert_eq!(stored(&house, &one, "Email"), title);
        }
    });
}

#[test]
fn rows_that_fail_say_a_code_and_no_more() {
    run(async {
        let house = house().await;
        let long = "x".repeat(300);
        let job = json!({"object": "Contact", "operation": "insert", "columnDelimiter": "SEMICOLON", "lineEnding": "CRLF"});
        let table = format!("LastName;Title\r\nGood;a\r\nBad;{long}\r\n");
        let (id, upload) = ingest(&house, DESK, &job, &table).await;
        assert_eq!(upload.status, 201, "{}", upload.text());
        let done = complete(&house, DESK, &id).await;
        assert_eq!(done["numberRecordsFailed"], 1);
        let failed = get(&house, DESK, &format!("/ingest/{id}/failedResults")).await;
        let text = failed.text();
        assert!(
            text.contains("\"STRING_TOO_LONG\"") && !text.contains("too large"),
            "{text}"
        );
        assert!(text.starts_with("\"sf__Id\";\"sf__Error\";"), "{text}");
        // A code is no value of a field: nothing counts it as one.
        let metrics = house.admin("/metrics").await.text();
        assert!(!metrics.contains("object=\"\""), "{metrics}");
        assert!(!house.audit().contains(" .error"));
        let rest = get(&house, DESK, &format!("/ingest/{id}/unprocessedrecords")).await;
        assert_eq!(rest.status, 200);

        let before = house.services.crm.seen().len();
        for (body, why) in [
            (
                json!({"object": "Contact", "operation": "upsert"}),
                "externalIdFieldName",
            ),
            (
                json!({"object": "Contact", "operation": "upsert", "externalIdFieldName": "Birthdate"}),
                "key",
            ),
            (
                json!({"object": "Nothing__c", "operation": "insert"}),
                "Nothing__c",
            ),
            (
                json!({"object": "Contact", "operation": "query"}),
                "operation takes",
            ),
            (
                json!({"object": "Contact", "operation": "insert", "assignmentRuleId": "x"}),
                "takes the members",
            ),
        ] {
            let answer = json(&house, DESK, "POST", "/ingest", &body).await;
            let (_, text) = refused(&house, answer, before).await;
            assert!(text.contains(why), "{body}: {text}");
        }
        // Marketing may not delete.
        let body = json!({"object": "Contact", "operation": "delete"});
        let answer = json(&house, MARKETING, "POST", "/ingest", &body).await;
        refused(&house, answer, before).await;
    });
}

#[test]
fn records_are_found_by_keys_and_deleted_by_ids() {
    run(async {
        let house = house().await;
        let (one, number) = {
            let store = house.services.crm.store();
            let contacts = object("Contact").unwrap();
            let at = OBJECTS[contacts].field("Loyalty_Number__c").unwrap();
            let text = |row: usize, field: usize| {
                let value = store.value(contacts, row, field);
                value.as_text().unwrap_or_default().to_owned()
            };
            let row = (0..200).find(|row| !text(*row, at).is_empty()).unwrap();
            (text(row, 0), text(row, at))
        };
        let job = json!({"object": "Contact", "operation": "upsert", "externalIdFieldName": "loyalty_number__c"});
        let table = format!("Loyalty_Number__c,Title\n{number},found\n");
        let (id, upload) = ingest(&house, DESK, &job, &table).await;
        assert_eq!(upload.status, 201, "{}", upload.text());
        complete(&house, DESK, &id).await;
        assert_eq!(stored(&house, &one, "Title"), "found");
        let job = json!({"object": "Contact", "operation": "delete"});
        let (_, upload) = ingest(&house, DESK, &job, &format!("Id,Title\n{one},x\n")).await;
        assert!(upload.text().contains("Id alone"), "{}", upload.text());
        let (id, upload) = ingest(&house, DESK, &job, &format!("Id\n{one}\n")).await;
        assert_eq!(upload.status, 201, "{}", upload.text());
        complete(&house, DESK, &id).await;
        let gone = house
            .get(
                DESK,
                &format!("/services/data/v61.0/sobjects/Contact/{one}"),
            )
            .await;
        assert_eq!(gone.status, 404);
    });
}
