//! Where the data is, and what happens when it is not there.
#![allow(dead_code, unreachable_pub, reason = "each suite uses a part of it")]

use std::path::PathBuf;

/// The file or folder `name` of the data folder; `None` (after a printed line) when it is absent.
///
/// # Panics
/// When it is absent and `PRIVET_CI` is `1`.
pub(crate) fn path(name: &str) -> Option<PathBuf> {
    let root = std::env::var_os("PRIVET_DATA").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let path = root.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("PRIVET_CI").is_none_or(|v| v != "1"),
        "{} is absent and PRIVET_CI=1",
        path.display()
    );
    println!("skipped: {} is absent (set PRIVET_DATA)", path.display());
    None
}

/// The lines of a JSON-lines file of the data folder.
pub(crate) fn json_lines(name: &str) -> Option<Vec<serde_json::Value>> {
    let text = std::fs::read_to_string(path(name)?).expect("readable");
    Some(
        text.lines()
            .filter(|l| !l.trim().is_empty())
            .map(|l| serde_json::from_str(l).expect("JSON line"))
            .collect(),
    )
}

/// Standard base64 of a member.
pub(crate) fn base64(value: &serde_json::Value) -> Vec<u8> {
    data_encoding::BASE64
        .decode(value.as_str().expect("base64 text").as_bytes())
        .expect("base64")
}
