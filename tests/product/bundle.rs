//! Policies by signed bundle: what serves changes with a newer one of the right key, and with nothing else.

use std::path::Path;
use std::process::Command;

use privet::config::Settings;
use privet::config::bundle::BundleSettings;
use privet::proxy::snapshot::Live;

use crate::house::{DESK, House, Plan, run};

fn made(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let done = Command::new(env!("CARGO_BIN_EXE_privet"))
        .args(["policy", "bundle"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        done.status.code().unwrap(),
        text(done.stdout),
        text(done.stderr),
    )
}

/// Makes `set.tgz` of the house's policies, and gives the public key.
fn bundled(house: &House, key: &str, sequence: &str, new: bool) -> [u8; 32] {
    let policies = house.policies.to_str().unwrap();
    let mut arguments = vec![
        "--policies",
        policies,
        "--key",
        key,
        "--out",
        "set.tgz",
        "--sequence",
        sequence,
    ];
    arguments.extend(new.then_some("--new-key"));
    let (code, out, why) = made(&house.folder, &arguments);
    assert_eq!(code, 0, "{why}");
    let key = out.trim_end().rsplit_once("public key ").unwrap().1;
    data_encoding::BASE64
        .decode(key.as_bytes())
        .unwrap()
        .try_into()
        .unwrap()
}

#[test]
fn only_a_newer_bundle_of_a_trusted_key_changes_what_serves() {
    run(async {
        let house = Plan::still().build().await;
        let key = bundled(&house, "signer.pem", "10", true);
        let mode = std::fs::metadata(house.folder.join("signer.pem"))
            .unwrap()
            .permissions();
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777,
            0o600
        );
        let file = house.folder.join("set.tgz");
        let signature = house.folder.join("set.tgz.sig");
        let settings = Settings {
            bundle: Some(BundleSettings {
                file: file.clone(),
                signature: signature.clone(),
                keys: vec![key],
            }),
            // The folder is not looked at.
            policies: house.folder.join("nowhere"),
            ..Settings::clone(&house.carrier.settings)
        };
        let live = &house.carrier.live;
        let reload = || live.reload(&settings, &house.carrier.metrics);
        assert!(reload(), "{:?}", live.stale_because());
        let ten = live.current().version().clone();
        let old = (
            std::fs::read(&file).unwrap(),
            std::fs::read(&signature).unwrap(),
        );

        // A stricter rule, in a newer bundle.
        let rules = house.policies.join("rules/support.csv");
        let text = std::fs::read_to_string(&rules).unwrap();
        let stricter = text.replace(
            "class:staff.email,         clear, ",
            "class:staff.email,         mask:all, ",
        );
        assert_ne!(text, stricter);
        std::fs::write(&rules, stricter).unwrap();
        bundled(&house, "signer.pem", "11", false);
        assert!(reload(), "{:?}", live.stale_because());
        let eleven = live.current().version().clone();
        assert_ne!(ten, eleven);
        let new = (
            std::fs::read(&file).unwrap(),
            std::fs::read(&signature).unwrap(),
        );

        let refused = |bundle: &[u8], sign: Option<&[u8]>, why: &str| {
            std::fs::write(&file, bundle).unwrap();
            match sign {
                Some(text) => std::fs::write(&signature, text).unwrap(),
                None => std::fs::remove_file(&signature).unwrap(),
            }
            assert!(!reload(), "{why}");
            assert_eq!(live.current().version(), &eleven);
            let told = live.stale_because().join("\n");
            assert!(told.contains(why), "{told}");
        };
        refused(
            &old.0,
            Some(&old.1),
            "it is older (sequence 10) than the last one taken (11)",
        );
        refused(&new.0, None, "set.tgz.sig cannot be read");
        refused(&new.0, Some(b""), "no trusted key signed this bundle");
        refused(&new.0, Some(&old.1), "no trusted key signed this bundle");
        let mut tampered = new.0.clone();
        *tampered.last_mut().unwrap() ^= 1;
        refused(&tampered, Some(&new.1), "no trusted key signed this bundle");
        // A colleague's key, and another set under a number that was used.
        bundled(&house, "stranger.pem", "12", true);
        assert!(!reload());
        assert!(live.stale_because()[0].contains("no trusted key"));
        std::fs::write(&rules, &text).unwrap();
        bundled(&house, "signer.pem", "11", false);
        assert!(!reload());
        assert!(live.stale_because()[0].contains("another bundle of the sequence 11"));
        assert_eq!(live.current().version(), &eleven);

        // A new process knows what was taken, and a state that cannot be read stops it.
        std::fs::write(&file, &old.0).unwrap();
        std::fs::write(&signature, &old.1).unwrap();
        let told = Live::load(&settings).unwrap_err()[0].to_string();
        assert!(told.starts_with("error[bundle-older]"), "{told}");
        let state = settings.state.join("policy-bundle.json");
        let kept = std::fs::read(&state).unwrap();
        std::fs::write(&state, "{").unwrap();
        std::fs::write(&file, &new.0).unwrap();
        std::fs::write(&signature, &new.1).unwrap();
        assert!(!reload());
        std::fs::write(&state, kept).unwrap();
        assert!(reload(), "{:?}", live.stale_because());
        assert!(live.stale_because().is_empty());
        let answer = house
            .query(DESK, "SELECT Email FROM User ORDER BY Id LIMIT 1")
            .await;
        assert!(
            !answer.json()["records"][0]["Email"]
                .as_str()
                .unwrap()
                .contains('@')
        );
    });
}

#[test]
fn an_invalid_set_is_not_signed_and_check_reads_the_bundle() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    privet::demo::workspace::write_policies(&at.join("policies")).unwrap();
    let arguments = [
        "--key",
        "k.pem",
        "--new-key",
        "--out",
        "set.tar",
        "--sequence",
        "1",
    ];
    let (code, out, why) = made(at, &arguments);
    assert_eq!(code, 0, "{why}");
    let key = out
        .trim_end()
        .rsplit_once("public key ")
        .unwrap()
        .1
        .to_owned();
    // A key is not made over.
    let (code, _, why) = made(at, &arguments);
    assert_eq!(code, 1, "{why}");
    std::fs::write(at.join("policies/roles.csv"), "nonsense\n").unwrap();
    let (code, _, why) = made(at, &["--key", "k.pem", "--out", "other.tar"]);
    assert_eq!(code, 78, "{why}");
    assert!(!at.join("other.tar").exists());

    let init = ["init", "--upstream", "https://acme.my.salesforce.com", "."];
    std::fs::rename(at.join("policies"), at.join("broken")).unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_privet"))
        .args(init)
        .current_dir(at)
        .output()
        .unwrap();
    assert!(done.status.success());
    let config = std::fs::read_to_string(at.join("privet.yaml")).unwrap();
    let named = format!("policies: {{ bundle: set.tar, keys: [\"{key}\"] }}");
    let config = config
        .replace("policies: policies ", &format!("{named} "))
        .replace("trust: system", "trust: bundled");
    assert!(config.contains(&named));
    std::fs::write(at.join("privet.yaml"), config).unwrap();
    let check = || {
        let done = Command::new(env!("CARGO_BIN_EXE_privet"))
            .args(["check", "--config", "privet.yaml"])
            .current_dir(at)
            .output()
            .unwrap();
        (
            done.status.code().unwrap(),
            String::from_utf8(done.stdout).unwrap(),
        )
    };
    let (code, out) = check();
    assert_eq!(code, 0, "{out}");
    // The bundle's rules, not those of the folder.
    assert!(out.contains("43 rules"), "{out}");
    let mut bytes = std::fs::read(at.join("set.tar")).unwrap();
    bytes[600] ^= 1;
    std::fs::write(at.join("set.tar"), bytes).unwrap();
    let (code, out) = check();
    assert_eq!(code, 78, "{out}");
    assert!(out.contains("error[bundle-not-signed]: "), "{out}");
}
