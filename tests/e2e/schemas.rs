//! The JSON Schemas of the YAML files, held by a validator from elsewhere: jsonschema (PyPI).

use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[test]
fn the_schemas_take_what_is_shipped_and_reject_thirty_broken_files() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = crate::clients::folder().join("venv/bin/python");
    if !python.exists() {
        let text = "skipped: jsonschema is not installed (tests/e2e/install-clients.sh)";
        assert!(
            std::env::var_os("PRIVET_CI").is_none_or(|v| v != "1"),
            "{text}"
        );
        println!("{text}");
        return;
    }
    let output = Command::new(python)
        .arg(root.join("tests/e2e/policy_schemas.py"))
        .arg(root)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    let told: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|e| panic!("it printed no JSON: {e}\n{complaint}"));
    assert!(output.status.success(), "{told:#}");
    assert_eq!(told["broken"], 30);
    assert_eq!(told["rejected"], 30);
    assert!(told["valid"].as_u64().unwrap() >= 9, "{told:#}");
}
