//! Request headers that go upstream.

use http::Method;
use http::header::{ACCEPT, HeaderMap, HeaderName, HeaderValue};

use crate::engine::refusal::{Reason, Refusal};

/// Known `Sforce-*` request headers, and whether they go upstream.
const SFORCE: [(&str, Passes); 8] = [
    ("sforce-call-options", Passes::CallOptions),
    ("sforce-query-options", Passes::QueryOptions),
    ("sforce-limit-info", Passes::Word),
    ("sforce-mru", Passes::No),
    ("sforce-auto-assign", Passes::Written),
    ("sforce-duplicate-rule-header", Passes::DuplicateRule),
    ("sforce-locale-options", Passes::No),
    ("sforce-owner-change-options", Passes::No),
];

#[derive(Clone, Copy)]
enum Passes {
    /// Known and meaningless for a read: left out.
    No,
    /// A short word.
    Word,
    /// A short word, for writes.
    Written,
    /// `allowSave=true`, for writes. Details of the records that match are never asked for.
    DuplicateRule,
    /// `client=name`; `defaultNamespace` would change what names mean.
    CallOptions,
    /// `batchSize=n`.
    QueryOptions,
}

fn refuse(header: &str) -> Refusal {
    Refusal::new(
        Reason::BadRequest,
        format!("the header {header} is not accepted"),
    )
}

/// The client's headers that Salesforce may see.
///
/// # Errors
/// An unknown `Sforce-*` header, a repeated one, or a value that would change what names mean.
pub(super) fn allowed(client: &HeaderMap, method: &Method) -> Result<HeaderMap, Refusal> {
    let mut out = HeaderMap::new();
    out.insert(ACCEPT, HeaderValue::from_static("application/json"));
    for name in client.keys() {
        let text = name.as_str();
        if text == "x-prettyprint" {
            let pretty = client.get(name).is_some_and(|v| {
                v.as_bytes() == b"1" || v.as_bytes().eq_ignore_ascii_case(b"true")
            });
            if pretty {
                let name = HeaderName::from_static("x-prettyprint");
                out.insert(name, HeaderValue::from_static("1"));
            }
            continue;
        }
        if !text.starts_with("sforce-") {
            continue;
        }
        let known = SFORCE.iter().find(|(n, _)| *n == text);
        let Some((_, passes)) = known else {
            return Err(refuse(text));
        };
        let mut values = client.get_all(name).iter();
        let (Some(value), None) = (values.next(), values.next()) else {
            return Err(refuse(text));
        };
        let value = value.to_str().map_err(|_| refuse(text))?;
        let accepted = match passes {
            Passes::No => continue,
            Passes::Written | Passes::DuplicateRule if method == Method::GET => continue,
            Passes::DuplicateRule => {
                let asked: Vec<_> = options(value).collect();
                let known = asked.iter().all(|(key, value)| {
                    ["allowSave", "runAsCurrentUser", "includeRecordDetails"]
                        .iter()
                        .any(|k| k.eq_ignore_ascii_case(key))
                        && (value.eq_ignore_ascii_case("true")
                            || value.eq_ignore_ascii_case("false"))
                });
                if !known {
                    return Err(refuse(text));
                }
                let saves = asked.iter().any(|(key, value)| {
                    key.eq_ignore_ascii_case("allowSave") && value.eq_ignore_ascii_case("true")
                });
                if saves {
                    out.insert(name.clone(), HeaderValue::from_static("allowSave=true"));
                }
                continue;
            }
            Passes::Word | Passes::Written => {
                value.len() <= 64 && value.bytes().all(|b| b.is_ascii_alphanumeric())
            }
            Passes::CallOptions => options(value).all(|(key, value)| {
                key.eq_ignore_ascii_case("client")
                    && (1..=128).contains(&value.len())
                    && value.bytes().all(|b| b.is_ascii_graphic() || b == b' ')
            }),
            Passes::QueryOptions => options(value).all(|(key, value)| {
                key.eq_ignore_ascii_case("batchSize")
                    && value.parse().is_ok_and(|n: u16| (1..=2000).contains(&n))
            }),
        };
        if !accepted {
            return Err(refuse(text));
        }
        let value = HeaderValue::from_str(value).map_err(|_| refuse(text))?;
        out.insert(name.clone(), value);
    }
    Ok(out)
}

/// `a=b, c=d` → pairs; a part without `=` has an empty key, which no list accepts.
fn options(value: &str) -> impl Iterator<Item = (&str, &str)> {
    value
        .split([',', ';'])
        .map(|part| part.split_once('=').unwrap_or(("", part)))
        .map(|(key, value)| (key.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(client: &HeaderMap) -> Result<HeaderMap, Refusal> {
        super::allowed(client, &Method::GET)
    }

    #[test]
    fn a_duplicate_rule_may_be_overruled_and_never_shows_records() {
        let asked = with(
            "sforce-duplicate-rule-header",
            "allowSave=true; includeRecordDetails=true; runAsCurrentUser=false",
        );
        let out = super::allowed(&asked, &Method::POST).unwrap();
        assert_eq!(out["sforce-duplicate-rule-header"], "allowSave=true");
        assert_eq!(allowed(&asked).unwrap().len(), 1);
        let asked = with("sforce-duplicate-rule-header", "allowSave=true, more=true");
        assert!(super::allowed(&asked, &Method::POST).is_err());
    }

    fn with(name: &'static str, value: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_static(value));
        headers
    }

    #[test]
    fn known_headers_pass_by_list() {
        let out = allowed(&with("sforce-query-options", "batchSize=200")).unwrap();
        assert_eq!(out["sforce-query-options"], "batchSize=200");
        assert!(allowed(&with("sforce-call-options", "client=jsforce")).is_ok());
        assert!(allowed(&with("sforce-call-options", "client=x, defaultNamespace=a")).is_err());
        assert!(allowed(&with("sforce-secret-thing", "1")).is_err());
        let out = allowed(&with(
            "sforce-duplicate-rule-header",
            "includeRecordDetails=true",
        ))
        .unwrap();
        assert_eq!(out.len(), 1);
        assert_eq!(allowed(&with("x-forwarded-for", "::1")).unwrap().len(), 1);
    }
}
