//! Clients that extract and load whole tables: nothing changed but address and session id.

use std::process::{Child, Command, Stdio};

use privet::demo::callers::CALLERS;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::clients::Client;
use crate::house::House;

/// What `client` got as the demo's first caller, who may extract, change and delete contacts.
async fn asked(client: Client) -> Option<Value> {
    let house = House::new(true).await;
    house.allow_changes();
    house.allow_exports();
    house.asked_by(client).await
}

/// What the first rows show: names in clear, masked addresses, no salary.
fn treated(rows: &Value) {
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 5);
    for row in rows {
        assert!(row.get("Salary__c").is_none(), "{row}");
        assert!(!row["Name"].as_str().unwrap().contains('*'), "{row}");
        let email = row["Email"].as_str().unwrap();
        assert!(email.is_empty() || email.contains("****@"), "{row}");
    }
}

/// What became of two new records, of which one has too long a title.
fn loaded(successful: &Value, failed: &Value) {
    let (successful, failed) = (successful.as_array().unwrap(), failed.as_array().unwrap());
    assert_eq!((successful.len(), failed.len()), (1, 1));
    assert_eq!(successful[0]["Title"], "made");
    assert_eq!(successful[0]["sf__Created"], "true");
    assert_eq!(failed[0]["sf__Error"], "STRING_TOO_LONG");
}

#[tokio::test(flavor = "multi_thread")]
async fn simple_salesforce_extracts_and_loads_through_bulk_2() {
    let Some(got) = asked(Client::SimpleSalesforceBulk2).await else {
        return;
    };
    assert_eq!(got["pages"], json!([900, 900, 200]));
    treated(&got["rows"]);
    loaded(&got["successful"], &got["failed"]);
    assert_eq!(got["inserted"][0]["numberRecordsFailed"], 1);
    assert_eq!(got["title"], "changed");
    assert_eq!(got["deleted"][0]["numberRecordsFailed"], 0);
    assert_eq!(got["mistake"]["status"], 400, "{}", got["mistake"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn jsforce_extracts_and_loads_through_bulk_2() {
    let Some(got) = asked(Client::JsforceBulk2).await else {
        return;
    };
    assert_eq!(got["count"], 2000);
    treated(&got["rows"]);
    loaded(
        &got["inserted"]["successfulResults"],
        &got["inserted"]["failedResults"],
    );
    assert_eq!(got["deleted"]["failedResults"], json!([]));
    assert!(
        got["mistake"]["message"]
            .as_str()
            .unwrap()
            .contains("Email")
    );
}

/// privet as a process of its own.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(house: &House) -> Self {
        let child = Command::new(env!("CARGO_BIN_EXE_privet"))
            .args(["run", "--config"])
            .arg(&house.config)
            .envs(&house.variables)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self(child)
    }

    /// The most memory that it has ever had, KiB.
    fn peak_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|l| l.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// Asks and reads the answer to its end without keeping it: its first 64 KiB, and how long its body was.
async fn ask(origin: &str, token: &str, method: &str, target: &str, body: &str) -> (String, u64) {
    let address = origin.strip_prefix("http://").unwrap();
    // Until it listens.
    let mut stream = loop {
        if let Ok(stream) = TcpStream::connect(address).await {
            break stream;
        }
        tokio::task::yield_now().await;
    };
    let head = format!(
        "{method} /services/data/v61.0{target} HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {token}\r\n\
         Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut first = Vec::new();
    let mut piece = vec![0; 64 << 10];
    let mut length = 0;
    loop {
        let n = stream.read(&mut piece).await.unwrap();
        if n == 0 {
            break;
        }
        length += n as u64;
        let room = (64_usize << 10).saturating_sub(first.len());
        first.extend_from_slice(&piece[..n.min(room)]);
    }
    let text = String::from_utf8_lossy(&first).into_owned();
    assert!(text.starts_with("HTTP/1.1 200"), "{target}: {text:.300}");
    (text, length)
}

/// The id that an answer of JSON names.
fn id(answer: &str) -> String {
    let at = answer.find("\"id\":\"").unwrap() + 6;
    answer[at..].split('"').next().unwrap().to_owned()
}

/// `BULK_RESULT_MIB`: how long the long results are; 32 MiB if nothing is said.
#[tokio::test(flavor = "multi_thread")]
async fn results_of_any_length_need_the_same_memory_and_jobs_outlive_a_restart() {
    let mib = std::env::var("BULK_RESULT_MIB").map_or(32, |m| m.parse::<u64>().unwrap());
    let house = House::new(false).await;
    house.allow_exports();
    let token = house.issue(&CALLERS[0]);
    let process = Process::start(&house);
    let body = json!({"operation": "query", "query": "SELECT Id, Name, Email, Phone, MailingCity FROM Contact"});
    let (made, _) = ask(
        &house.origin,
        &token,
        "POST",
        "/jobs/query",
        &body.to_string(),
    )
    .await;
    let job = format!("/jobs/query/{}", id(&made));
    drop(process);

    let process = Process::start(&house);
    ask(&house.origin, &token, "GET", &job, "").await;
    let results = format!("{job}/results");
    let (_, once) = ask(&house.origin, &token, "GET", &results, "").await;
    house.crm.repeat_bulk_results((4 << 20) / once);
    ask(&house.origin, &token, "GET", &results, "").await;
    let before = process.peak_kib();
    house.crm.repeat_bulk_results((mib << 20) / once);
    let (text, length) = ask(&house.origin, &token, "GET", &results, "").await;
    let grown = process.peak_kib().saturating_sub(before);
    assert!(text.contains("****@"), "{text:.400}");
    assert!(length > (mib << 20) * 9 / 10, "{length}");
    println!("{length} bytes; the most memory grew by {grown} KiB");
    assert!(grown < 2048, "{grown} KiB for {length} bytes");
}
