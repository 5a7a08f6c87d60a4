//! `docs/salesforce-coverage.md`, walked: every row is asked of a running privet, and every test that it names exists.

use std::fs;
use std::path::Path;

use privet::demo::metadata::object;

use crate::house::{DESK, House, Plan, run};

/// What the shipped policies leave closed and a row wants open: a key, and records to write.
const RULES: &str = "\
# p, effect, who, action, what, treatment, purpose, region, when, priority, id
p, allow, role:support_agent, filter|key, class:pii.customer_number, -, support, *, -, 10, coverage-key
p, allow, role:support_agent, write,      Contact.*,                 -, support, *, -, 10, coverage-write
p, allow, role:support_agent, write,      Contact.Loyalty_Number__c, -, support, *, -, 5,  coverage-number
p, allow, role:support_agent, delete,     Contact.*,                 -, support, *, -, 10, coverage-delete
";

/// Fewest rows: those of Salesforce's published surface.
const ROWS_MIN: usize = 90;

struct Row {
    endpoint: String,
    /// Method, target, body.
    request: (String, String, String),
    /// Words of the refusal; `None` = answered.
    refused: Option<String>,
    tested: Vec<String>,
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn code(cell: &str) -> Vec<String> {
    let words = cell.split('`').skip(1).step_by(2);
    words.map(str::to_owned).collect()
}

/// The table's rows; a row without a case is a mistake.
fn rows() -> Vec<Row> {
    let text = fs::read_to_string(root().join("docs/salesforce-coverage.md")).unwrap();
    let lines = text.lines().filter(|l| l.starts_with("| ")).skip(2);
    lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [
                endpoint,
                read,
                predicate,
                write,
                treated,
                refused,
                request,
                answer,
                tested,
            ] = cells.as_slice()
            else {
                panic!("not nine cells: {line}");
            };
            for cell in [endpoint, read, predicate, write, treated, refused] {
                assert!(!cell.is_empty(), "an empty cell: {line}");
            }
            let request = code(request)
                .pop()
                .unwrap_or_else(|| panic!("no request: {line}"));
            let mut words = request.splitn(3, ' ').map(str::to_owned);
            let mut next = || words.next().unwrap_or_default();
            let tested = code(tested);
            assert!(!tested.is_empty(), "no test: {line}");
            Row {
                endpoint: (*endpoint).to_owned(),
                request: (next(), next(), next()),
                refused: match *answer {
                    "2xx" => None,
                    other => Some(
                        other
                            .strip_prefix("refused:")
                            .unwrap_or_else(|| panic!("no answer: {line}"))
                            .trim()
                            .to_owned(),
                    ),
                },
                tested,
            }
        })
        .collect()
}

#[test]
fn every_named_test_exists_and_every_endpoint_has_its_row() {
    let rows = rows();
    assert!(rows.len() >= ROWS_MIN, "only {} rows", rows.len());
    for row in &rows {
        let same = rows.iter().filter(|r| r.endpoint == row.endpoint).count();
        assert_eq!(same, 1, "{} stands twice", row.endpoint);
        for name in &row.tested {
            let (file, function) = name.split_once("::").unwrap_or_else(|| panic!("{name}"));
            let text =
                fs::read_to_string(root().join(file)).unwrap_or_else(|e| panic!("{name}: {e}"));
            let at = text
                .find(&format!("fn {function}("))
                .unwrap_or_else(|| panic!("{}: there is no {name}", row.endpoint));
            // Right under its attribute, perhaps async.
            let before = text[..at].trim_end().trim_end_matches("async").trim_end();
            let attribute = before.lines().last().unwrap_or_default();
            assert!(
                attribute.starts_with("#[test]") || attribute.starts_with("#[tokio::test"),
                "{name} is no test"
            );
        }
    }
    // Whatever the router knows by name has a row that says it, and every open resource one that asks for it.
    let route = root().join("src/engine/protocol/salesforce/route.rs");
    let route = fs::read_to_string(route).unwrap();
    let mut missing = Vec::new();
    for list in [
        "const CLOSED_ROOTS",
        "const CLOSED_RESOURCES",
        "const CLOSED_OBJECT_RESOURCES",
    ] {
        let list = route
            .split(list)
            .nth(1)
            .unwrap()
            .split("];")
            .next()
            .unwrap();
        for what in list.lines().filter_map(|l| l.rsplit('"').nth(1)) {
            let said = |row: &Row| row.refused.as_deref().is_some_and(|words| words == what);
            if !rows.iter().any(said) && !UNASKED.contains(&what) {
                missing.push(what.to_owned());
            }
        }
    }
    assert!(missing.is_empty(), "no row says {missing:?}");
}

/// Closed names outside `/services/data` that other words refuse here: the demo's policies name no such prefix.
const UNASKED: [&str; 6] = [
    "OAuth at the CRM",
    "The CRM's own proxy",
    "The SOAP API",
    "File downloads",
    "The identity URL",
    "Sign-in pages",
];

/// What stands for the braces of a target or body.
async fn placed(house: &House, text: &str) -> String {
    let contacts = object("Contact").unwrap();
    let value = |row: usize, field: &str| {
        let store = house.services.crm.store();
        let fields = &privet::demo::metadata::OBJECTS[contacts];
        let value = store.value(contacts, row, fields.field(field).unwrap());
        value.as_text().unwrap_or_default().to_owned()
    };
    let cursor = if text.contains("{cursor}") {
        let page = house.query(DESK, "SELECT Id FROM Contact").await.json();
        let next = page["nextRecordsUrl"].as_str().unwrap();
        next.rsplit('/').next().unwrap().to_owned()
    } else {
        String::new()
    };
    let job = |kind: &'static str, body: &'static str| async move {
        let jobs = format!("/services/data/v61.0/jobs/{kind}");
        let made = house.ask(DESK, "POST", &jobs, body).await.json();
        made["id"].as_str().unwrap().to_owned()
    };
    let extract = if text.contains("{job}") {
        let body = "{\"operation\":\"query\",\"query\":\"SELECT Id, Title FROM Contact\"}";
        let id = job("query", body).await;
        let jobs = format!("/services/data/v61.0/jobs/query/{id}");
        assert_eq!(house.get(DESK, &jobs).await.json()["state"], "JobComplete");
        id
    } else {
        String::new()
    };
    let load = if text.contains("{load}") {
        job(
            "ingest",
            "{\"object\":\"Contact\",\"operation\":\"insert\"}",
        )
        .await
    } else {
        String::new()
    };
    let stream = if text.contains("{stream}") {
        house.handshake(DESK).await
    } else {
        String::new()
    };
    let file = {
        let store = house.services.crm.store();
        let id = store.value(object("Attachment").unwrap(), 0, 0);
        id.as_text().unwrap_or_default().to_owned()
    };
    let keyed = (0..200).map(|row| value(row, "Loyalty_Number__c"));
    let loyalty = keyed.into_iter().find(|v| !v.is_empty()).unwrap();
    text.replace("{cursor}", &cursor)
        .replace("{job}", &extract)
        .replace("{load}", &load)
        .replace("{contact}", &value(0, "Id"))
        .replace("{spare}", &value(40, "Id"))
        .replace("{spare2}", &value(41, "Id"))
        .replace("{loyalty}", &loyalty)
        .replace("{file}", &file)
        .replace("{stream}", &stream)
}

#[test]
fn every_row_answers_as_it_says() {
    run(async {
        let house = Plan {
            policies: vec![("rules/coverage.csv", RULES.to_owned())],
            ..Plan::default()
        }
        .build()
        .await;
        let mut wrong = Vec::new();
        for row in rows() {
            let (method, target, body) = &row.request;
            let target = match target.strip_prefix('V') {
                Some(rest) => format!("/services/data/v61.0{rest}"),
                None => target.clone(),
            };
            let target = placed(&house, &target).await;
            let body = placed(&house, body).await;
            let seen = house.services.crm.seen().len();
            let answer = house.ask(DESK, method, &target, &body).await;
            let text = answer.text();
            let fits = match &row.refused {
                None => (200..300).contains(&answer.status),
                // No refusal makes a client log in again or try once more, and none reaches the CRM.
                Some(words) => {
                    (400..500).contains(&answer.status)
                        && !matches!(answer.status, 401 | 429)
                        && text.contains(words)
                        && house.services.crm.seen().len() == seen
                }
            };
            if !fits {
                wrong.push(format!("{}: {} {text}", row.endpoint, answer.status));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    });
}
