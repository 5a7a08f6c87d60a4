//! Reports and dashboards over real sockets: columns are bound to fields, and what a report evaluates is judged.

use serde_json::{Value as Json, json};

use super::surfaces::without_export_rule;
use crate::house::{ANALYST, Answer, DESK, House, MARKETING, NOBODY, Plan, run};

const ANALYTICS: &str = "/services/data/v61.0/analytics";
/// Tabular, a matrix by title and lead source, by an address, salaries by title, in the order of birthdays.
const REPORTS: [&str; 5] = [
    "00O5g00000000R1EAI",
    "00O5g00000000R2EAI",
    "00O5g00000000R3EAI",
    "00O5g00000000R4EAI",
    "00O5g00000000R5EAI",
];

async fn house() -> House {
    Plan::still().build().await
}

async fn ask(house: &House, who: &str, target: &str, metadata: Option<Json>) -> Answer {
    let target = format!("{ANALYTICS}/{target}");
    match metadata {
        None => house.get(who, &target).await,
        Some(metadata) => {
            let body = json!({ "reportMetadata": metadata }).to_string();
            house.ask(who, "POST", &target, &body).await
        }
    }
}

async fn got(house: &House, who: &str, target: &str, metadata: Option<Json>) -> Json {
    let answer = ask(house, who, target, metadata).await;
    assert_eq!(answer.status, 200, "{target}: {}", answer.text());
    answer.json()
}

/// Refused, with these words; the report has not been run.
async fn refused(house: &House, who: &str, target: &str, metadata: Option<Json>, words: &str) {
    let runs = |house: &House| {
        let seen = house.services.crm.seen();
        let run = |a: &&privet::demo::crm::Asked| {
            a.target.contains("/analytics/reports/") && !a.target.contains("/describe")
        };
        seen.iter().filter(run).count()
    };
    let before = runs(house);
    let answer = ask(house, who, target, metadata).await;
    let text = answer.text();
    assert!(
        (400..500).contains(&answer.status) && text.contains(words),
        "{target}: {} {text}",
        answer.status
    );
    assert_eq!(runs(house), before, "{target}");
}

/// The labels of a row, by the columns that the answer names.
fn row(answer: &Json, key: &str, at: usize) -> Vec<(String, Json)> {
    let columns = answer["reportMetadata"]["detailColumns"]
        .as_array()
        .unwrap();
    let cells = answer["factMap"][key]["rows"][at]["dataCells"]
        .as_array()
        .unwrap();
    assert_eq!(columns.len(), cells.len());
    columns
        .iter()
        .zip(cells)
        .map(|(c, cell)| {
            assert!(
                cell["value"].is_null()
                    || cell["label"] == cell["value"]
                    || cell["value"].is_number()
            );
            (c.as_str().unwrap().to_owned(), cell["value"].clone())
        })
        .collect()
}

#[test]
fn cells_are_treated_as_their_fields_are() {
    run(async {
        let house = house().await;
        let target = format!("reports/{}?includeDetails=true", REPORTS[0]);
        let soql = "SELECT Id, Name, LastName, Email, Birthdate, Title, Account.Name FROM Contact WHERE Title != null ORDER BY Id LIMIT 3";
        for who in [DESK, ANALYST] {
            let answer = got(&house, who, &target, None).await;
            let rest = house.query(who, soql).await.json();
            for at in 0..3 {
                let row = row(&answer, "T!T", at);
                let record = &rest["records"][at];
                for (column, value) in &row {
                    let shown = match column.as_str() {
                        "NAME" => &record["Name"],
                        "LAST_NAME" => &record["LastName"],
                        "EMAIL" => &record["Email"],
                        "BIRTHDATE" => &record["Birthdate"],
                        "TITLE" => &record["Title"],
                        "ACCOUNT.NAME" => &record["Account"]["Name"],
                        "Contact.Id" => &record["Id"],
                        _ => continue,
                    };
                    assert_eq!(value, shown, "{who} {column}");
                }
                // Bound to nothing: dropped. Nothing else says what it would have been.
                assert!(!row.iter().any(|(c, _)| c == "RATING_TEXT"));
                assert!(row.iter().any(|(c, _)| c == "PHONE1"), "{who}");
            }
            assert!(!answer.to_string().contains("RATING_TEXT"));
            assert_eq!(
                answer["factMap"]["T!T"]["aggregates"][0]["value"],
                answer["factMap"]["T!T"]["rows"].as_array().unwrap().len()
            );
            // The filters' values are the report's own.
            assert!(answer["reportMetadata"].get("reportFilters").is_none());
        }
        // Salaries are no column of the desk's.
        let answer = got(&house, DESK, &target, None).await;
        assert!(
            !answer.to_string().contains("Salary"),
            "{}",
            answer["reportMetadata"]
        );
        let sent = house.services.crm.seen();
        let run = sent.iter().rfind(|a| a.method == "POST").unwrap();
        let sent: Json = serde_json::from_slice(&run.body).unwrap();
        let columns = sent["reportMetadata"]["detailColumns"].to_string();
        assert!(
            !columns.contains("Salary") && !columns.contains("RATING"),
            "{columns}"
        );
    });
}

#[test]
fn groups_and_sums_are_judged_as_in_queries() {
    run(async {
        let house = house().await;
        let target = format!("reports/{}?includeDetails=true", REPORTS[1]);
        let answer = got(&house, ANALYST, &target, None).await;
        let down = answer["groupingsDown"]["groupings"].as_array().unwrap();
        assert!(down.len() > 1 && down[0]["label"].is_string() && down[0]["key"] == "0");
        let first = row(&answer, "0!0", 0);
        assert!(
            first[0].1.as_str().is_none_or(|e| e.starts_with("tk1.")),
            "{first:?}"
        );
        let all = &answer["factMap"]["T!T"]["aggregates"][0]["value"];
        assert_eq!(*all, 2000);
        // Sums of what is read in clear; of what is not, no report at all.
        let salaries = format!("reports/{}", REPORTS[3]);
        refused(&house, MARKETING, &salaries, None, "definition.").await;
        refused(&house, DESK, &salaries, None, "definition.").await;
        for (metadata, words) in [
            (
                json!({"groupingsDown": [{"name": "BIRTHDATE", "dateGranularity": "None"}]}),
                "BIRTHDATE",
            ),
            (
                json!({"sortBy": [{"sortColumn": "EMAIL", "sortOrder": "Asc"}]}),
                "sorted",
            ),
            (json!({"aggregates": ["mx!PHONE1"]}), "aggregated"),
            (json!({"aggregates": ["q!PHONE1"]}), "not understood"),
            (json!({"buckets": [{"x": 1}]}), "not understood"),
            (
                json!({"customSummaryFormula": {"F1": {"formula": "EMAIL:MAX"}}}),
                "not understood",
            ),
            (
                json!({"topRows": {"rowLimit": 1, "direction": "Asc"}}),
                "not understood",
            ),
            (
                json!({"crossFilters": [{"primaryEntityField": "x"}]}),
                "not understood",
            ),
            (
                json!({"standardFilters": [{"name": "x", "value": "y"}]}),
                "not understood",
            ),
            (json!({"reportFormat": "MULTI_BLOCK"}), "not understood"),
            (json!({"else": 1}), "not known"),
        ] {
            refused(&house, ANALYST, &target, Some(metadata), words).await;
        }
    });
}

#[test]
fn filters_on_treated_columns_are_refused_and_tokens_become_values() {
    run(async {
        let house = house().await;
        for who in [ANALYST, MARKETING] {
            refused(
                &house,
                who,
                &format!("reports/{}", REPORTS[2]),
                None,
                "definition.filter",
            )
            .await;
            refused(
                &house,
                who,
                &format!("reports/{}", REPORTS[4]),
                None,
                "definition.sort",
            )
            .await;
        }
        // The desk finds people by their address.
        got(&house, DESK, &format!("reports/{}", REPORTS[2]), None).await;
        let target = format!("reports/{}?includeDetails=true", REPORTS[0]);
        let filter = |operator: &str, value: &str| json!({"reportFilters": [{"column": "EMAIL", "operator": operator, "value": value}]});
        let rest = house
            .query(
                ANALYST,
                "SELECT Id, Email FROM Contact WHERE Title != null ORDER BY Id LIMIT 1",
            )
            .await
            .json();
        let token = rest["records"][0]["Email"].as_str().unwrap();
        let answer = got(&house, ANALYST, &target, Some(filter("equals", token))).await;
        let found = row(&answer, "T!T", 0);
        assert!(
            found
                .iter()
                .any(|(c, v)| c == "Contact.Id" && *v == rest["records"][0]["Id"]),
            "{found:?}"
        );
        for (operator, value) in [
            ("equals", "a@example.org"),
            ("startsWith", "t"),
            ("notEqual", token),
            ("equals", &*format!("{token},{token}")),
        ] {
            refused(
                &house,
                ANALYST,
                &target,
                Some(filter(operator, value)),
                "filtered",
            )
            .await;
        }
        // What is not known of a filter never reaches the CRM.
        let odd = json!({"sortBy": [{"sortColumn": "TITLE", "sortOrder": "Asc", "sortAggregate": "mx!EMAIL"}]});
        got(&house, ANALYST, &target, Some(odd)).await;
        let sent = house.services.crm.seen().pop().unwrap();
        assert!(!String::from_utf8(sent.body).unwrap().contains("mx!EMAIL"));
        let scope = json!({"scope": {"x": 1}});
        refused(&house, ANALYST, &target, Some(scope), "not understood").await;
        let logic = json!({"reportBooleanFilter": "1 AND (SELECT)"});
        refused(&house, ANALYST, &target, Some(logic), "not understood").await;
    });
}

#[test]
fn a_spreadsheet_leaves_only_where_everything_is_exported_in_clear() {
    run(async {
        let house = Plan {
            watched: false,
            policies: vec![("rules/baseline.csv", without_export_rule())],
            ..Plan::default()
        }
        .build()
        .await;
        let sheet = "Accept: application/vnd.openxmlformats-officedocument.spreadsheetml.sheet\r\n";
        let target = format!("{ANALYTICS}/reports/{}", REPORTS[1]);
        let answer = house.ask_with(ANALYST, &target, sheet).await;
        assert!(
            answer.status >= 400 && answer.text().contains("spreadsheet"),
            "{}",
            answer.text()
        );
        let seen = house.services.crm.seen();
        assert!(!seen.iter().any(|a| {
            a.header("accept")
                .is_some_and(|h| h.contains("spreadsheet"))
        }));
    });
}

#[test]
fn later_results_belong_to_who_asked_for_them() {
    run(async {
        let house = house().await;
        let instances = format!("reports/{}/instances", REPORTS[0]);
        let target = format!("{ANALYTICS}/{instances}?includeDetails=true");
        let made = house.ask(ANALYST, "POST", &target, "").await;
        assert_eq!(made.status, 200, "{}", made.text());
        let id = made.json()["id"].as_str().unwrap().to_owned();
        assert!(!id.starts_with("0LG"));
        let answer = got(&house, ANALYST, &format!("{instances}/{id}"), None).await;
        let first = row(&answer, "T!T", 0);
        let email = first.iter().find(|(c, _)| c == "EMAIL").unwrap();
        assert!(email.1.as_str().unwrap().starts_with("tk1."), "{email:?}");
        let all = got(&house, ANALYST, &instances, None).await;
        assert_eq!(all.as_array().unwrap().len(), 1);
        for (who, target) in [
            (DESK, format!("{instances}/{id}")),
            (ANALYST, format!("reports/{}/instances/{id}", REPORTS[1])),
            (ANALYST, format!("{instances}/0LG5g0000000001AAA")),
        ] {
            let answer = ask(&house, who, &target, None).await;
            assert_eq!(answer.status, 404, "{target}: {}", answer.text());
        }
    });
}

#[test]
fn dashboards_show_what_their_reports_would() {
    run(async {
        let house = house().await;
        let dashboard = "01Z5g00000000D1EAI";
        let answer = got(&house, ANALYST, &format!("dashboards/{dashboard}"), None).await;
        let components = answer["componentData"].as_array().unwrap();
        // The third one is bound to nothing.
        assert_eq!(components.len(), 2);
        let first = row(&components[0]["reportResult"], "T!T", 0);
        let email = first.iter().find(|(c, _)| c == "EMAIL").unwrap();
        assert!(email.1.as_str().unwrap().starts_with("tk1."), "{email:?}");
        assert!(!first.iter().any(|(c, _)| c == "RATING_TEXT"));
        let told = got(
            &house,
            ANALYST,
            &format!("dashboards/{dashboard}/describe"),
            None,
        )
        .await;
        assert_eq!(told["components"].as_array().unwrap().len(), 3);
        assert!(told.get("runningUser").is_none());
        got(
            &house,
            ANALYST,
            &format!("dashboards/{dashboard}/status"),
            None,
        )
        .await;
        assert_eq!(
            got(&house, ANALYST, "dashboards", None).await[0]["id"],
            dashboard
        );
        let told = got(
            &house,
            ANALYST,
            &format!("reports/{}/describe", REPORTS[2]),
            None,
        )
        .await;
        assert!(
            told["reportMetadata"].get("reportFilters").is_none(),
            "{told}"
        );
        assert_eq!(
            got(&house, ANALYST, "reports", None)
                .await
                .as_array()
                .unwrap()
                .len(),
            6
        );
        let answer = house
            .ask(
                ANALYST,
                "PUT",
                &format!("{ANALYTICS}/dashboards/{dashboard}"),
                "",
            )
            .await;
        assert_eq!(answer.status, 405);
        for closed in ["reports/query", "report-types", "notifications"] {
            let answer = ask(&house, ANALYST, closed, None).await;
            assert!(
                answer.text().contains("not open through this proxy"),
                "{closed}: {}",
                answer.text()
            );
        }
    });
}

#[test]
fn whoever_reads_nothing_of_an_object_does_not_count_its_records() {
    run(async {
        let house = house().await;
        let columns = json!({"detailColumns": [], "reportFilters": []});
        let unbound = json!({"detailColumns": ["RATING_TEXT"], "reportFilters": [], "groupingsDown": [],
            "reportFormat": "TABULAR", "aggregates": ["RowCount"]});
        for (who, report, metadata, words) in [
            (NOBODY.title, 0, None, ""),
            (NOBODY.title, 0, Some(columns), ""),
            // Nothing says whose records these are.
            (ANALYST, 3, Some(unbound), "not understood"),
        ] {
            let target = format!("reports/{}", REPORTS[report]);
            refused(&house, who, &target, metadata, words).await;
        }
        let target = "dashboards/01Z5g00000000D1EAI";
        let answer = ask(&house, NOBODY.title, target, None).await;
        assert!(!answer.text().contains("2000"), "{}", answer.text());
    });
}
