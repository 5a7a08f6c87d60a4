//! What `check` finds in the files that a configuration names and in the upstream's answers, and what is told of a policy
//! that does not serve yet.

use std::path::Path;
use std::process::Command;

use crate::house::{DESK, House, Plan, run};

/// Exit code and standard output.
fn privet(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_privet"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = String::from_utf8(done.stdout).unwrap();
    (
        done.status.code().unwrap(),
        text + std::str::from_utf8(&done.stderr).unwrap(),
    )
}

async fn off_thread(house: &House, arguments: Vec<String>) -> (i32, String) {
    let folder = house.folder.clone();
    let ran = move || {
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        privet(&folder, &arguments)
    };
    tokio::task::spawn_blocking(ran).await.unwrap()
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(str::to_owned).collect()
}

/// A set-up of `privet init` with TLS and an issuer.
fn set_up() -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let (code, out) = privet(
        folder.path(),
        &["init", "--upstream", "https://acme.my.salesforce.com", "."],
    );
    assert_eq!(code, 0, "{out}");
    let made = rcgen::generate_simple_self_signed(vec!["crm.test".to_owned()]).unwrap();
    std::fs::write(folder.path().join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(
        folder.path().join("key.pem"),
        made.signing_key.serialize_pem(),
    )
    .unwrap();
    let jwks = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"o1","x":"8zbB6PRD_0GIIeFqxKzgeOWvGAY40AClim6zvFdwZO4"}]}"#;
    std::fs::write(folder.path().join("idp.json"), jwks).unwrap();
    let config = std::fs::read_to_string(folder.path().join("privet.yaml")).unwrap();
    let config = config
        .replace("trust: system", "trust: bundled")
        .replace("  address: 127.0.0.1:8080 ", "  tls: { certificate: cert.pem, key: key.pem }\n  address: 127.0.0.1:8080 ")
        .replace("identity:\n", "identity:\n  jwt: [ { issuer: \"https://idp.example/\", audience: privet, jwks: idp.json } ]\n");
    std::fs::write(folder.path().join("privet.yaml"), &config).unwrap();
    (folder, config)
}

#[test]
fn offline_every_file_that_is_named_is_loaded() {
    let (folder, config) = set_up();
    let at = folder.path();
    let check = || privet(at, &["check", "--config", "privet.yaml"]);
    let (code, out) = check();
    assert_eq!(code, 0, "{out}");
    assert!(out.contains("warning[no-api-keys]: "), "{out}");

    let broken = |file: &str, text: &str, wanted: &[&str]| {
        let good = std::fs::read(at.join(file)).unwrap();
        std::fs::write(at.join(file), text).unwrap();
        let (code, out) = check();
        assert_eq!(code, 78, "{wanted:?} {text}: {out}");
        for words in wanted {
            assert!(out.contains(words), "{file}: {out}");
        }
        std::fs::write(at.join(file), good).unwrap();
        assert_eq!(check().0, 0);
    };
    let other = rcgen::generate_simple_self_signed(vec!["crm.test".to_owned()]).unwrap();
    // Each is good by itself; they do not belong together.
    broken(
        "key.pem",
        &other.signing_key.serialize_pem(),
        &["error[tls]: `listen.tls` cannot be used: ", "cert.pem"],
    );
    broken("cert.pem", "no certificate", &["error[tls]: "]);
    broken("idp.json", "<html>", &["error[jwks]: ", "idp.json"]);
    broken(
        "idp.json",
        r#"{"keys":[]}"#,
        &["error[jwks]: ", "no key of this set can verify a token"],
    );
    broken("state/privet-keys.json", "{}", &["error[key-ring]: "]);
    for url in [
        "acme.my.salesforce.com",
        "https://acme.my.salesforce.com/services",
        "https://user@acme.example",
        "ftp://acme.example",
        "https://acme.example:port",
    ] {
        let text = config.replace("https://acme.my.salesforce.com", url);
        broken(
            "privet.yaml",
            &text,
            &[
                "error[bad-value]: must be an origin",
                "such as https://crm.acme.example",
            ],
        );
    }
    let text = config.replace("trust: bundled", "trust: nowhere.pem");
    broken(
        "privet.yaml",
        &text,
        &[
            "error[trust]: the upstream of `salesforce`: ",
            "nowhere.pem",
        ],
    );
    std::fs::remove_file(at.join("idp.json")).unwrap();
    let (code, out) = check();
    assert_eq!(code, 78, "{out}");
}

#[test]
fn online_one_describe_of_each_upstream_is_held_against_the_schema() {
    run(async {
        let house = Plan::still().build().await;
        let check = "check --online --config privet.yaml";
        let (code, out) = off_thread(&house, words(check)).await;
        assert_eq!(code, 0, "{out}");
        assert!(!out.contains("schema-drift"), "{out}");
        // A field less here is a new one there, and the other way round.
        let schema = house.policies.join("schema/salesforce.json");
        let text = std::fs::read_to_string(&schema).unwrap();
        let drifted = text.replacen("\"AnnualRevenue\"", "\"AnnualRevenues\"", 1);
        assert_ne!(text, drifted);
        std::fs::write(&schema, drifted).unwrap();
        let classes = house.policies.join("classes/salesforce.csv");
        let rows = std::fs::read_to_string(&classes).unwrap();
        std::fs::write(
            &classes,
            rows.replace("Account.AnnualRevenue,", "Account.AnnualRevenues,"),
        )
        .unwrap();
        let (code, out) = off_thread(&house, words(check)).await;
        assert_eq!(code, 0, "{out}");
        let wanted = "warning[schema-drift]: `Account` of the API `salesforce` has 1 fields that the schema does not know, and 1 of \
                      the schema are gone";
        assert!(out.contains(wanted), "{out}");
        // Nobody answers: a port that was free a moment ago.
        let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let gone = format!("http://{}", free.local_addr().unwrap());
        drop(free);
        let config = house.folder.join("privet.yaml");
        let text = std::fs::read_to_string(&config).unwrap();
        let moved = text.replace(&house.services.origins().salesforce, &gone);
        assert_ne!(text, moved);
        std::fs::write(&config, moved).unwrap();
        let (code, out) = off_thread(&house, words(check)).await;
        assert_eq!(code, 69, "{out}");
        assert!(
            out.contains("error[upstream]: the API `salesforce` did not answer a describe: "),
            "{out}"
        );
    });
}

/// A copy of the house's policies in which colleagues' addresses are masked.
fn stricter(house: &House) -> tempfile::TempDir {
    let next = tempfile::tempdir().unwrap();
    privet::demo::workspace::write_policies(next.path()).unwrap();
    let file = next.path().join("rules/support.csv");
    let text = std::fs::read_to_string(&file).unwrap();
    let masked = text.replace(
        "class:staff.email,         clear, ",
        "class:staff.email,         mask:all, ",
    );
    assert_ne!(text, masked);
    std::fs::write(file, masked).unwrap();
    assert!(house.policies.exists());
    next
}

#[test]
fn a_shadow_counts_what_it_would_change_and_diff_reads_the_same_from_the_log() {
    run(async {
        let house = Plan::default().build().await;
        let next = stricter(&house);
        house.serving().shadow(next.path()).unwrap();
        assert!(
            house.serving().shadow(next.path()).is_err(),
            "one at a time"
        );
        let soql = "SELECT Email FROM User ORDER BY Id LIMIT 1";
        let answer = house.query(DESK, soql).await;
        // It answers nobody.
        assert!(
            answer.json()["records"][0]["Email"]
                .as_str()
                .unwrap()
                .contains('@')
        );
        house
            .query(DESK, "SELECT Name FROM Account ORDER BY Id LIMIT 1")
            .await;
        let told = |metrics: &str, line: &str| metrics.lines().any(|l| l.starts_with(line));
        let mut metrics = String::new();
        // The shadow decides on a thread of its own, after the answer.
        for _ in 0..50_000 {
            metrics = String::from_utf8(house.admin("/metrics").await.body).unwrap();
            if told(&metrics, "privet_shadow_requests_total{result=\"same\"} 1") {
                break;
            }
        }
        assert!(
            told(
                &metrics,
                "privet_shadow_requests_total{result=\"stricter\"} 1"
            ),
            "{metrics}"
        );
        let change = metrics
            .lines()
            .find(|l| l.starts_with("privet_shadow_changes_total{"))
            .unwrap();
        assert!(change.contains("User.Email"), "{change}");
        assert!(!metrics.contains('@'));

        let line = format!(
            "policy diff {} {} --traffic audit",
            house.policies.display(),
            next.path().display()
        );
        let (code, out) = off_thread(&house, words(&line)).await;
        assert_eq!(code, 0, "{out}");
        assert!(out.starts_with("stricter\n"), "{out}");
        assert!(
            out.contains("1 of 2 requests would have changed: 0 looser, 0 different, 1 stricter"),
            "{out}"
        );
        let told = out
            .lines()
            .find(|l| l.contains("1 requests of "))
            .unwrap_or_else(|| panic!("{out}"));
        assert!(
            told.contains("User.Email") && told.contains("clear -> mask"),
            "{told}"
        );
        assert!(!out.contains('@'), "{out}");
    });
}

#[test]
fn run_refuses_a_shadow_that_is_invalid() {
    run(async {
        let house = Plan::still().build().await;
        let next = tempfile::tempdir().unwrap();
        privet::demo::workspace::write_policies(next.path()).unwrap();
        std::fs::write(next.path().join("roles.csv"), "nonsense\n").unwrap();
        // A state and log of its own: the house's are in use.
        let config = house.folder.join("privet.yaml");
        let text = std::fs::read_to_string(&config).unwrap();
        std::fs::write(
            &config,
            text.replace("directory: audit", "directory: other-audit"),
        )
        .unwrap();
        let line = format!(
            "run --config privet.yaml --shadow {}",
            next.path().display()
        );
        let (code, out) = off_thread(&house, words(&line)).await;
        assert_eq!(code, 69, "{out}");
        assert!(out.contains("error[header]: "), "{out}");
    });
}
