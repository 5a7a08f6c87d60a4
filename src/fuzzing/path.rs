//! JSONPath.

use crate::engine::path::Path;

/// JSONPath: never panics, and an error points into the text.
///
/// # Panics
/// If it does not.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if let Err(error) = Path::parse(text) {
        assert!(error.column >= 1 && error.column <= text.chars().count() + 1);
    }
}
