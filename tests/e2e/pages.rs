//! The admin pages in a browser: a person clicks through every one of them while the demo runs.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

/// `privet demo` of its own, ended with the test.
struct Demo {
    process: Child,
    address: String,
}

impl Demo {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_privet"))
            .args(["demo", "--port", "0", "--admin-port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut address = None;
        for line in lines {
            let line = line.unwrap();
            if line.contains("/login#token=") {
                address = Some(line.trim().to_owned());
            }
            if line.starts_with("Serving at") {
                break;
            }
        }
        Self {
            process,
            address: address.expect("the demo prints where its pages are"),
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn browser() -> Option<(PathBuf, PathBuf)> {
    let modules = super::clients::folder().join("pages/node_modules");
    let chromium =
        std::env::var_os("CHROMIUM").map_or_else(|| "/usr/bin/chromium".into(), PathBuf::from);
    if modules.join("playwright-core").exists() && chromium.exists() {
        return Some((modules, chromium));
    }
    let text = "skipped: the browser is not installed (tests/e2e/install-browser.sh)";
    assert!(
        std::env::var_os("PRIVET_CI").is_none_or(|v| v != "1"),
        "{text}"
    );
    println!("{text}");
    None
}

#[test]
fn a_person_clicks_through_every_page() {
    let Some((modules, chromium)) = browser() else {
        return;
    };
    let demo = Demo::start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/pages_client.js");
    let output = Command::new("node")
        .arg(script)
        .arg(&demo.address)
        .args(std::env::var_os("PAGES_PICTURES"))
        .env("PAGES_MODULES", modules)
        .env("CHROMIUM", chromium)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{told}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    for nothing in ["axe", "errors", "strangers"] {
        assert_eq!(found[nothing], serde_json::json!([]), "{nothing}");
    }
    let pages: Vec<&String> = found["pages"].as_object().unwrap().keys().collect();
    assert_eq!(
        pages,
        [
            "flow", "policy", "role", "diff", "audit", "why", "try", "runtime"
        ]
    );
    // Both colour schemes, and once more with the pages' own security policy alone.
    assert_eq!(found["steps"].as_array().unwrap().len(), 40);
}
