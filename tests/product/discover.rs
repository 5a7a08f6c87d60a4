//! `privet discover` on the demo's CRM: what it proposes is pending, and nothing is shown because of it.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::house::{DESK, House, Plan, run};

/// Exit code, standard output, standard error.
fn discover(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_privet"))
        .arg("discover")
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (
        done.status.code().unwrap(),
        String::from_utf8(done.stdout).unwrap(),
        String::from_utf8(done.stderr).unwrap(),
    )
}

async fn asked(house: &House, arguments: &'static [&'static str]) -> (i32, String, String) {
    let folder = house.folder.clone();
    tokio::task::spawn_blocking(move || discover(&folder, arguments))
        .await
        .unwrap()
}

#[test]
fn proposals_from_the_upstream_are_pending_and_edits_are_kept() {
    run(async {
        let house = Plan {
            policies: vec![(
                "classes/salesforce.csv",
                "# g2, field, class\ng2, Contact.Title, class:operational\n".to_owned(),
            )],
            watched: false,
            ..Plan::default()
        }
        .build()
        .await;
        let (code, out, notes) = asked(&house, &["--objects", "Contact", "--records", "100"]).await;
        assert_eq!(code, 0, "{out}{notes}");
        for row in [
            "# ? g2, Contact.Email, class:pii.email\n",
            "# ? g2, Contact.LastName, class:pii.name\n",
            "# ? g2, Contact.SSN__c, class:pii.national_id\n",
            "# ? g2, Contact.Birthdate, class:pii.birthdate\n",
        ] {
            assert!(out.contains(row), "{row}\n{out}");
        }
        assert!(!out.contains("Contact.Title,"), "{out}");
        assert!(!out.contains("@"), "an address: {out}");
        assert!(
            notes.contains("the org's own classification cannot be read"),
            "{notes}"
        );

        let (code, _, notes) = asked(
            &house,
            &["--objects", "Contact", "--records", "100", "--write"],
        )
        .await;
        assert_eq!(code, 0, "{notes}");
        let file = house.policies.join("classes/salesforce.csv");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(
            text.starts_with("# g2, field, class\ng2, Contact.Title, class:operational\n# Pending"),
            "{text}"
        );
        assert!(
            text.lines().skip(2).all(|line| line.starts_with('#')),
            "{text}"
        );
        // Pending is not classified: the desk sees nothing that it did not see before.
        let carrier = &house.carrier;
        assert!(carrier.live.reload(&carrier.settings, &carrier.metrics));
        let soql = "SELECT Title, Email FROM Contact WHERE Title != null LIMIT 1";
        let before = house.query(DESK, soql).await;
        assert!(!String::from_utf8_lossy(&before.body).contains('@'));
        assert!(before.json()["records"][0].get("Email").is_none());

        // Somebody accepts one row with a class of their own, and declines another.
        let edited = text
            .replace(
                "# ? g2, Contact.Email, class:pii.email\n",
                "g2, Contact.Email, class:staff.email\n",
            )
            .replace("# ? g2, Contact.SSN__c,", "# - g2, Contact.SSN__c,");
        assert_ne!(edited, text);
        std::fs::write(&file, &edited).unwrap();
        let (code, _, notes) = asked(
            &house,
            &["--objects", "Contact", "--records", "100", "--write"],
        )
        .await;
        assert_eq!(code, 0, "{notes}");
        assert_eq!(std::fs::read_to_string(&file).unwrap(), edited);
        assert!(notes.contains("0 new"), "{notes}");
        assert!(carrier.live.reload(&carrier.settings, &carrier.metrics));
        let after = house.query(DESK, soql).await;
        assert!(after.json()["records"][0].get("Email").is_some());
    });
}

#[test]
fn a_sample_needs_no_upstream_and_a_field_that_nobody_knew_is_pending() {
    let folder = tempfile::tempdir().unwrap();
    privet::demo::workspace::write_policies(&folder.path().join("policies")).unwrap();
    let records: String = (0..20)
        .map(|n| format!("{{\"LastName\":\"Weber\",\"xf_17__c\":\"p{n}@host{n}.example\",\"xf_18__c\":{n}}}\n"))
        .collect();
    std::fs::write(folder.path().join("sample.ndjson"), records).unwrap();
    let flags = [
        "--policies",
        "policies",
        "--sample",
        "sample.ndjson",
        "--objects",
        "Contact",
        "--format",
        "json",
    ];
    let (code, out, notes) = discover(folder.path(), &flags);
    assert_eq!(code, 0, "{notes}");
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    let first = &told["proposals"][0];
    assert_eq!(
        (first["field"].as_str(), first["class"].as_str()),
        (Some("xf_17__c"), Some("pii.email"))
    );
    assert!(first["confidence"].as_f64().unwrap() > 0.9);
    assert_eq!(
        first["evidence"][0],
        "100 % of 20 values are e-mail addresses"
    );
    assert!(!out.contains(".example") && !out.contains("Weber"), "{out}");

    std::fs::write(folder.path().join("sample.ndjson"), "{\"secret\": \"Web").unwrap();
    let (code, _, notes) = discover(folder.path(), &flags);
    assert_eq!(
        (code, notes.as_str()),
        (2, "error: value 1 of the sample is not JSON\n")
    );
    let (code, _, _) = discover(folder.path(), &["--records", "0"]);
    assert_eq!(code, 2);
}
