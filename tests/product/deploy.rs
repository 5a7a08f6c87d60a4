//! `deploy/`: what is watched there must be there to be watched.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn deploy(file: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    std::fs::read_to_string(folder.join(file)).unwrap()
}

/// Names that `src/observe/metrics.rs` registers, with the registry's prefix.
fn registered() -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/observe/metrics.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let mut names = BTreeSet::new();
    for call in [
        "counters(",
        "counter(",
        "gauge(",
        "gauges(",
        "histogram(",
        "HistogramOpts::new(",
        "Gauge::new(",
    ] {
        for (at, _) in source.match_indices(call) {
            let rest = source[at + call.len()..].trim_start();
            if let Some((name, _)) = rest.strip_prefix('"').and_then(|r| r.split_once('"')) {
                names.insert(format!("privet_{name}"));
            }
        }
    }
    names
}

/// `privet_…` names in a text, without what a histogram's series end in.
fn named(text: &str) -> BTreeSet<String> {
    text.match_indices("privet_")
        .map(|(at, _)| {
            let name: String = text[at..]
                .chars()
                .take_while(|c| c.is_ascii_alphanumeric() || *c == '_')
                .collect();
            name.strip_suffix("_bucket").unwrap_or(&name).to_owned()
        })
        .collect()
}

#[test]
fn every_metric_that_is_watched_exists() {
    let registered = registered();
    assert!(registered.len() > 15, "{registered:?}");
    for file in ["privet-alerts.yaml", "grafana-dashboard.json"] {
        let text = deploy(file);
        let named = named(&text);
        assert!(named.len() > 8, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&registered).collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
        // The label of a policy is `version`, and no label names a person.
        for label in ["user=", "subject=", "client="] {
            assert!(!text.contains(label), "{file}: {label}");
        }
    }
}

#[test]
fn the_dashboard_is_json_whose_panels_do_not_overlap() {
    let dashboard: serde_json::Value =
        serde_json::from_str(&deploy("grafana-dashboard.json")).unwrap();
    let mut taken = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let at = |side: &str| panel["gridPos"][side].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{}", panel["title"]);
        for x in at("x")..at("x") + at("w") {
            for y in at("y")..at("y") + at("h") {
                assert!(taken.insert((x, y)), "{}", panel["title"]);
            }
        }
        assert!(!panel["targets"].as_array().unwrap().is_empty());
    }
}

#[test]
fn promtool_reads_rules_and_configuration() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    for arguments in [
        ["check", "rules", "privet-alerts.yaml"],
        ["check", "config", "prometheus.yaml"],
    ] {
        let ran = Command::new("promtool")
            .args(arguments)
            .current_dir(&folder)
            .output();
        match ran {
            Ok(output) => assert!(
                output.status.success(),
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
            Err(missing) => {
                let needed = std::env::var_os("PRIVET_CI").is_some_and(|v| v == "1");
                assert!(!needed, "promtool (Debian package prometheus): {missing}");
                return;
            }
        }
    }
}
