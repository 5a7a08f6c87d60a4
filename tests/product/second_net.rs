//! What people wrote into a text that leaves in clear.

use privet::demo::metadata::object;
use privet::demo::store::Value;

use crate::house::{Answer, DESK, House, Plan, run};

const ADDRESS: &str = "secret.person@firm.example";

/// A case whose description holds an e-mail address, and the demo before it.
async fn house(mode: &str) -> House {
    let plan = Plan::default();
    let case = object("Case").unwrap();
    let text = format!("Please write to {ADDRESS} about it");
    plan.crm
        .store_mut()
        .set(case, 0, "Description", Value::text(&text));
    let vocabulary = std::fs::read_to_string("policies/vocabulary.yaml").unwrap();
    assert!(vocabulary.contains("second_net: \"off\""));
    let vocabulary = vocabulary.replace("second_net: \"off\"", &format!("second_net: \"{mode}\""));
    Plan {
        policies: vec![("vocabulary.yaml", vocabulary)],
        ..plan
    }
    .build()
    .await
}

async fn ask(house: &House) -> (Answer, String) {
    let case = object("Case").unwrap();
    let id = house.services.crm.store().table(case).rows[0][0].clone();
    let id = id.as_text().unwrap().to_owned();
    let soql = format!("SELECT Id, Description FROM Case WHERE Id = '{id}'");
    let answer = house.query(DESK, &soql).await;
    assert_eq!(answer.status, 200, "{}", answer.head);
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    let text = body["records"][0]["Description"]
        .as_str()
        .unwrap()
        .to_owned();
    (answer, text)
}

#[test]
fn an_address_in_a_description_is_counted_or_masked() {
    run(async {
        for (mode, text, seen) in [
            ("off", format!("Please write to {ADDRESS} about it"), false),
            (
                "report",
                format!("Please write to {ADDRESS} about it"),
                true,
            ),
            ("mask", "Please write to **** about it".to_owned(), true),
        ] {
            let house = house(mode).await;
            let (answer, found) = ask(&house).await;
            assert!(!answer.head.contains("second") && !answer.head.contains(ADDRESS));
            assert_eq!(found, text, "{mode}");
            let metrics = house.admin("/metrics").await;
            let metrics = String::from_utf8_lossy(&metrics.body).into_owned();
            let line = "privet_second_net_found_total{field=\"Description\",kind=\"email\",object=\"Case\"} 1";
            assert_eq!(metrics.contains(line), seen, "{mode}: {metrics}");
            let audit = house.audit();
            let fact = "\"found\":{\"email Case.Description\":1}";
            assert_eq!(audit.contains(fact), seen, "{mode}");
            assert!(!audit.contains("clear Case.Description\":"));
            assert!(!audit.contains(ADDRESS) && !metrics.contains(ADDRESS));
        }
    });
}
