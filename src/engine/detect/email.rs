//! E-mail addresses. RFC 5321 section 4.1.2 without quoted local parts and address literals, which no CRM writes.

use super::{Finding, Kind};

/// Longest local part and domain (RFC 5321 section 4.5.3.1), in bytes.
const LOCAL_BYTES_MAX: usize = 64;
const DOMAIN_BYTES_MAX: usize = 255;

/// Whether `b` may stand in a local part (RFC 5322 `atext` and the dot, and RFC 6531's non-ASCII).
fn is_local(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&b) || b >= 0x80
}

/// Whether `bytes` may be the end of a local part.
pub(super) fn is_local_part(bytes: &[u8]) -> bool {
    bytes.len() <= LOCAL_BYTES_MAX && bytes.iter().all(|b| is_local(*b))
}

/// Whether all of `text` is one address.
pub(super) fn is(text: &str) -> bool {
    memchr::memchr(b'@', text.as_bytes())
        .and_then(|at| around(text, at, 0))
        .is_some_and(|f| f.start == 0 && f.end == text.len())
}

/// The address around the `@` at `at` that begins no earlier than `from`. Privet's own e-mail-shaped tokens, under
/// the reserved name `invalid` (RFC 2606), are none.
pub(super) fn around(text: &str, at: usize, from: usize) -> Option<Finding> {
    let bytes = text.as_bytes();
    let mut start = at;
    while start > from && at - start < LOCAL_BYTES_MAX && is_local(bytes[start - 1]) {
        start -= 1;
    }
    while start < at && bytes[start] == b'.' || !text.is_char_boundary(start) {
        start += 1;
    }
    if start == at || bytes[at - 1] == b'.' {
        return None;
    }
    let end = domain_end(bytes, at + 1)?;
    let domain = text.get(at + 1..end)?;
    if domain.len() > DOMAIN_BYTES_MAX || domain.to_ascii_lowercase().ends_with(".invalid") {
        return None;
    }
    Some(Finding {
        kind: Kind::Email,
        start,
        end,
    })
}

/// Where the domain from `start` on ends: labels of letters, digits and inner hyphens, at least two, the last one of
/// two letters or more.
fn domain_end(bytes: &[u8], start: usize) -> Option<usize> {
    let is_label = |b: u8| b.is_ascii_alphanumeric() || b >= 0x80 || b == b'-';
    let mut end = None;
    let mut label = start;
    let mut labels = 0;
    loop {
        let len = bytes[label..].iter().take_while(|b| is_label(**b)).count();
        let here = &bytes[label..label + len];
        if here.is_empty() || here.starts_with(b"-") || here.ends_with(b"-") {
            return end;
        }
        labels += 1;
        label += len;
        if labels > 1 && len > 1 && !here.iter().all(u8::is_ascii_digit) {
            end = Some(label);
        }
        if bytes.get(label) != Some(&b'.') {
            return end;
        }
        label += 1;
    }
}
