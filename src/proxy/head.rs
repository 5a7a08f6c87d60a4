//! The parsed head of a request: what no stage after this one has to doubt. Pure.
//!
//! Policy and origin must see the same request, so everything that two readers could read in two ways is refused
//! here: paths with tricks in them, several credentials, duplicate parameters, method overrides.

use http::header::{
    self, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName,
};
use http::request::Parts;
use http::uri::Authority;
use http::{Method, Version};

use crate::engine::coding::Coding;
use crate::engine::refusal::{Reason, Refusal};

use super::strict_head::{HeadBounds, REFUSED_METHOD};

/// What heads are checked against.
#[derive(Debug, Clone)]
pub struct HeadRules {
    /// Authority of `listen.public_url`, lower case, without the scheme's default port.
    pub authority: String,
    /// Port that may be left out of Host.
    pub default_port: u16,
    /// Bounds, also for HTTP/2.
    pub bounds: HeadBounds,
    /// The header that asks for a purpose: one only.
    pub purpose_header: Option<HeaderName>,
}

impl HeadRules {
    /// Rules for an origin such as `https://crm.acme.example`; `None` if it is not one.
    pub fn new(
        public_url: &str,
        bounds: HeadBounds,
        purpose_header: Option<HeaderName>,
    ) -> Option<Self> {
        let (default_port, rest) = match public_url.split_once("://")? {
            ("https", rest) => (443, rest),
            ("http", rest) => (80, rest),
            _ => return None,
        };
        let authority: Authority = rest.trim_end_matches('/').parse().ok()?;
        Some(Self {
            authority: normal_authority(&authority, default_port)?,
            default_port,
            bounds,
            purpose_header,
        })
    }
}

/// A head after the checks.
#[derive(Debug)]
pub struct CheckedHead {
    /// GET (also for HEAD), POST, PUT, PATCH or DELETE.
    pub method: Method,
    /// The client asked with HEAD: the answer has no body.
    pub is_head: bool,
    /// The path, percent-encoded anew from `segments`.
    pub path: String,
    /// Decoded segments; a trailing slash leaves a last empty one.
    pub segments: Vec<String>,
    /// Decoded pairs, credentials taken out.
    pub query: Vec<(String, String)>,
    /// The client's headers without hop-by-hop, framing, conditional, credential and identity-like ones.
    pub headers: HeaderMap,
}

/// Checks one head.
///
/// # Errors
/// The refusal; its text quotes nothing of the request.
pub fn check(parts: &Parts, rules: &HeadRules) -> Result<CheckedHead, Refusal> {
    if parts.method.as_str() == REFUSED_METHOD {
        return Err(refused_by_framer(parts.uri.path()));
    }
    let bad = |text: &'static str| Refusal::new(Reason::BadRequest, text);
    check_bounds(parts, rules)?;
    check_authority(parts, rules)?;
    let (method, is_head) = match parts.method {
        Method::HEAD => (Method::GET, true),
        Method::GET | Method::POST | Method::PUT | Method::PATCH | Method::DELETE => {
            (parts.method.clone(), false)
        }
        Method::CONNECT | Method::TRACE | Method::OPTIONS => {
            return Err(Refusal::new(
                Reason::MethodNotAllowed,
                "HTTP method not allowed",
            ));
        }
        _ => return Err(bad("unknown HTTP method")),
    };
    check_headers(&parts.headers, rules)?;
    let segments = segments(parts.uri.path())?;
    let query = query(parts.uri.query().unwrap_or(""))?;
    Ok(CheckedHead {
        method,
        is_head,
        path: print_path(&segments),
        segments,
        query,
        headers: strip(&parts.headers),
    })
}

/// The refusal behind the stand-in request of [`super::strict_head::StrictIo`].
fn refused_by_framer(path: &str) -> Refusal {
    match path {
        "/408" => Refusal::new(Reason::RequestTimeout, "the request did not arrive in time"),
        "/414" => Refusal::new(Reason::TargetTooLong, "the request target is too long"),
        "/431" => Refusal::new(Reason::HeadTooLarge, "the request head is too large"),
        _ => Refusal::new(Reason::BadRequest, "malformed HTTP request"),
    }
}

/// The bounds that the framer applies to HTTP/1, for HTTP/2.
fn check_bounds(parts: &Parts, rules: &HeadRules) -> Result<(), Refusal> {
    let target = parts.uri.path_and_query().map_or(0, |p| p.as_str().len());
    if target > rules.bounds.target_bytes_max {
        return Err(refused_by_framer("/414"));
    }
    let bytes: usize = parts
        .headers
        .iter()
        .map(|(n, v)| n.as_str().len() + v.len() + 4)
        .sum();
    if bytes + target > rules.bounds.head_bytes_max || parts.headers.len() > rules.bounds.fields_max
    {
        return Err(refused_by_framer("/431"));
    }
    Ok(())
}

/// Exactly one valid Host (or `:authority`), ours, and agreeing with an absolute target.
fn check_authority(parts: &Parts, rules: &HeadRules) -> Result<(), Refusal> {
    let bad = || Refusal::new(Reason::BadRequest, "invalid Host");
    let normal = |text: &str| -> Result<String, Refusal> {
        let authority: Authority = text.parse().map_err(|_| bad())?;
        normal_authority(&authority, rules.default_port).ok_or_else(bad)
    };
    let mut named = Vec::new();
    let mut hosts = parts.headers.get_all(HOST).iter();
    if let Some(host) = hosts.next() {
        named.push(normal(host.to_str().map_err(|_| bad())?)?);
        if hosts.next().is_some() {
            return Err(bad());
        }
    } else if parts.version != Version::HTTP_2 {
        return Err(bad());
    }
    if let Some(authority) = parts.uri.authority() {
        if parts
            .uri
            .scheme_str()
            .is_none_or(|s| s != "http" && s != "https")
        {
            return Err(bad());
        }
        named.push(normal(authority.as_str())?);
    } else if parts.uri.scheme().is_some() || parts.version == Version::HTTP_2 {
        return Err(bad());
    }
    if named.windows(2).any(|w| w[0] != w[1]) {
        return Err(bad());
    }
    match named.first() {
        Some(host) if *host == rules.authority => Ok(()),
        Some(_) => Err(Refusal::new(
            Reason::MisdirectedRequest,
            "this host is not served here",
        )),
        None => Err(bad()),
    }
}

/// Lower case, default port left out. `None`: user information, an odd port, an empty or odd host.
fn normal_authority(authority: &Authority, default_port: u16) -> Option<String> {
    let text = authority.as_str();
    let host = authority.host();
    if host.is_empty()
        || text.contains('@')
        || !host.bytes().all(|b| {
            b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'[' | b']' | b':')
        })
    {
        return None;
    }
    let host = host.to_ascii_lowercase();
    match text.get(authority.host().len()..)? {
        "" => Some(host),
        port => {
            let digits = port.strip_prefix(':')?;
            let number: u16 = digits.parse().ok().filter(|n| *n > 0)?;
            if !digits.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            Some(if number == default_port {
                host
            } else {
                format!("{host}:{number}")
            })
        }
    }
}

fn check_headers(headers: &HeaderMap, rules: &HeadRules) -> Result<(), Refusal> {
    let bad = |text: &'static str| Err(Refusal::new(Reason::BadRequest, text));
    for name in headers.keys() {
        let text = name.as_str();
        if matches!(
            text,
            "x-http-method-override" | "x-http-method" | "x-method-override"
        ) {
            return bad("method override headers are not accepted");
        }
        let single = matches!(
            text,
            "authorization"
                | "content-type"
                | "content-encoding"
                | "content-length"
                | "transfer-encoding"
                | "expect"
                | "x-request-id"
                | "traceparent"
                | "x-api-key"
                | "x-sfdc-session"
        ) || text.starts_with("sforce-")
            || text.starts_with("privet-")
            || rules.purpose_header.as_ref() == Some(name);
        if single && headers.get_all(name).iter().count() > 1 {
            return bad("a header that may stand once stands twice");
        }
    }
    let credentials = [AUTHORIZATION.as_str(), "x-api-key", "x-sfdc-session"];
    if credentials
        .iter()
        .filter(|c| headers.contains_key(**c))
        .count()
        > 1
    {
        return bad("two kinds of credentials");
    }
    if let Some(expect) = headers.get(EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Refusal::new(
            Reason::ExpectationFailed,
            "only 100-continue is expected here",
        ));
    }
    // h2c offers are ignored (RFC 9110 section 7.8); whoever wants another protocol gets none.
    if headers
        .get_all(header::UPGRADE)
        .iter()
        .any(|v| !v.as_bytes().eq_ignore_ascii_case(b"h2c"))
    {
        return bad("protocol upgrades are not offered");
    }
    match Coding::of(headers) {
        None => Err(Refusal::new(
            Reason::UnsupportedMediaType,
            "the content coding of the request body is not understood",
        )),
        Some(_) => Ok(()),
    }
}

/// Whether a client header stops here: framing, hop-by-hop, credentials, conditions, and whatever claims an
/// identity, an address or another URL.
fn stops_here(name: &HeaderName) -> bool {
    let text = name.as_str();
    text.contains('_')
        || text.starts_with("proxy-")
        || text.starts_with("x-forwarded")
        || text.starts_with("x-user")
        || text.starts_with("x-role")
        || text.starts_with("x-tenant")
        || text.starts_with("x-auth")
        || text.starts_with("x-remote")
        || text.starts_with("x-original")
        || text.starts_with("x-rewrite")
        || text.starts_with("if-")
        || *name == AUTHORIZATION
        || *name == CONTENT_LENGTH
        || *name == HOST
        || *name == EXPECT
        || *name == ACCEPT_ENCODING
        || matches!(
            text,
            "connection"
                | "keep-alive"
                | "te"
                | "trailer"
                | "transfer-encoding"
                // What goes on is decoded.
                | "content-encoding"
                | "upgrade"
                | "http2-settings"
                | "cookie"
                | "x-api-key"
                | "x-sfdc-session"
                | "forwarded"
                | "via"
                | "x-real-ip"
                | "x-client-ip"
                | "true-client-ip"
                | "x-request-id"
                | "traceparent"
                | "tracestate"
                | "range"
                | "origin"
        )
}

fn strip(headers: &HeaderMap) -> HeaderMap {
    // What Connection names is hop-by-hop too.
    let named: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|v| v.to_str().ok())
        .flat_map(|v| v.split(','))
        .map(|n| n.trim().to_ascii_lowercase())
        .collect();
    headers
        .iter()
        .filter(|(n, _)| !stops_here(n) && !named.iter().any(|c| c == n.as_str()))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}

/// Decodes `%XX` strictly. `None`: a broken escape or no UTF-8.
fn percent_decode(text: &str, plus_is_space: bool) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&b, tail)) = rest.split_first() {
        rest = tail;
        match b {
            b'%' => {
                let digits = tail.get(..2)?;
                let value = data_encoding::HEXUPPER_PERMISSIVE.decode(digits).ok()?;
                bytes.extend_from_slice(&value);
                rest = &tail[2..];
            }
            b'+' if plus_is_space => bytes.push(b' '),
            _ => bytes.push(b),
        }
    }
    String::from_utf8(bytes).ok()
}

/// Decodes a path into its segments: absolute, no empty segment but the last, no tricks (H5).
fn segments(path: &str) -> Result<Vec<String>, Refusal> {
    let bad = || Refusal::new(Reason::BadRequest, "the path is not acceptable");
    let rest = path.strip_prefix('/').ok_or_else(bad)?;
    let raw: Vec<&str> = rest.split('/').collect();
    let last = raw.len() - 1;
    let mut decoded = Vec::with_capacity(raw.len());
    for (i, segment) in raw.into_iter().enumerate() {
        let text = percent_decode(segment, false).ok_or_else(bad)?;
        let bytes = text.as_bytes();
        // A percent sign that still begins an escape was encoded twice.
        let twice = bytes
            .windows(3)
            .any(|w| w[0] == b'%' && w[1].is_ascii_hexdigit() && w[2].is_ascii_hexdigit());
        if (text.is_empty() && i != last)
            || twice
            || text == "."
            || text == ".."
            || text
                .chars()
                .any(|c| c.is_control() || matches!(c, '/' | '\\' | ';'))
        {
            return Err(bad());
        }
        decoded.push(text);
    }
    Ok(decoded)
}

/// Prints segments as the one path that policy and origin both see (RFC 3986 pchar, the rest escaped).
fn print_path(segments: &[String]) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        for byte in segment.bytes() {
            if byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'-' | b'.'
                        | b'_'
                        | b'~'
                        | b'!'
                        | b'$'
                        | b'&'
                        | b'\''
                        | b'('
                        | b')'
                        | b'*'
                        | b'+'
                        | b','
                        | b'='
                        | b':'
                        | b'@'
                )
            {
                path.push(char::from(byte));
            } else {
                path.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    path
}

/// Decodes a query (application/x-www-form-urlencoded). Credentials leave; each other name stands once.
fn query(text: &str) -> Result<Vec<(String, String)>, Refusal> {
    let bad = |text: &'static str| Refusal::new(Reason::BadRequest, text);
    let broken = || bad("the query string is not acceptable");
    if text.contains(';') {
        return Err(broken());
    }
    let mut pairs: Vec<(String, String)> = Vec::new();
    for piece in text.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = percent_decode(name, true).ok_or_else(broken)?;
        let value = percent_decode(value, true).ok_or_else(broken)?;
        if name.is_empty() || name.chars().any(char::is_control) || value.contains('\0') {
            return Err(broken());
        }
        if name.eq_ignore_ascii_case("_HttpMethod") {
            return Err(bad("method override parameters are not accepted"));
        }
        if pairs.iter().any(|(n, _)| *n == name) {
            return Err(bad("a query parameter stands twice"));
        }
        pairs.push((name, value));
    }
    pairs.retain(|(name, _)| {
        !["sid", "oauth_token", "access_token"]
            .iter()
            .any(|c| name.eq_ignore_ascii_case(c))
    });
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> HeadRules {
        let bounds = HeadBounds {
            target_bytes_max: 256,
            head_bytes_max: 1024,
            fields_max: 16,
        };
        HeadRules::new(
            "https://CRM.test",
            bounds,
            Some(HeaderName::from_static("privet-purpose")),
        )
        .unwrap()
    }

    fn run(method: &str, target: &str, headers: &[(&str, &str)]) -> Result<CheckedHead, Reason> {
        let mut request = http::Request::builder().method(method).uri(target);
        if !headers.iter().any(|(n, _)| *n == "host") {
            request = request.header("host", "crm.test");
        }
        for (n, v) in headers {
            request = request.header(*n, *v);
        }
        let (parts, ()) = request.body(()).unwrap().into_parts();
        check(&parts, &rules()).map_err(|r| r.reason)
    }

    #[test]
    fn decodes_path_and_query_once_and_takes_credentials_out() {
        let head = run(
            "HEAD",
            "/a/J%C3%B6%20x/?q=SELECT+Id%2BX&sid=secret&OAuth_Token=secret",
            &[],
        )
        .unwrap();
        assert!(head.is_head);
        assert_eq!(head.method, Method::GET);
        assert_eq!(head.segments, ["a", "Jö x", ""]);
        assert_eq!(head.path, "/a/J%C3%B6%20x/");
        assert_eq!(head.query, [("q".to_owned(), "SELECT Id+X".to_owned())]);
    }

    #[test]
    fn refuses_what_two_readers_read_differently() {
        for target in [
            "/public/../admin",
            "/public/%2e%2e/admin",
            "/public%2fadmin",
            "/public%5cadmin",
            "//admin",
            "/public;x=/admin",
            "/a%00",
            "/%252e%252e/admin",
            "/%c0%ae/admin",
            "/a%0d%0a",
            "/a%zz",
            "/a?x=%ff",
            "/a?x=1&x=2",
            "/a?x=1;y=2",
            "/a?_HttpMethod=PATCH",
            "/a?=1",
        ] {
            assert_eq!(
                run("GET", target, &[]).unwrap_err(),
                Reason::BadRequest,
                "{target}"
            );
        }
        for (headers, reason) in [
            (
                vec![("authorization", "Bearer a"), ("authorization", "Bearer b")],
                Reason::BadRequest,
            ),
            (
                vec![("authorization", "Bearer a"), ("x-api-key", "b")],
                Reason::BadRequest,
            ),
            (
                vec![("privet-purpose", "a"), ("privet-purpose", "b")],
                Reason::BadRequest,
            ),
            (
                vec![("x-http-method-override", "DELETE")],
                Reason::BadRequest,
            ),
            (vec![("upgrade", "websocket")], Reason::BadRequest),
            (
                vec![("expect", "y 100-continue")],
                Reason::ExpectationFailed,
            ),
            (
                vec![("content-encoding", "gzip, br")],
                Reason::UnsupportedMediaType,
            ),
            (vec![("host", "crm.test:99999")], Reason::BadRequest),
            (vec![("host", "crm.test, evil.test")], Reason::BadRequest),
            (vec![("host", "u@crm.test")], Reason::BadRequest),
            (vec![("host", "")], Reason::BadRequest),
            (
                vec![("host", "crm.test"), ("host", "crm.test")],
                Reason::BadRequest,
            ),
            (vec![("host", "evil.test")], Reason::MisdirectedRequest),
        ] {
            assert_eq!(
                run("GET", "/a", &headers).unwrap_err(),
                reason,
                "{headers:?}"
            );
        }
        assert_eq!(
            run("GET", "http://evil.test/a", &[]).unwrap_err(),
            Reason::BadRequest
        );
        assert_eq!(
            run("OPTIONS", "/a", &[]).unwrap_err(),
            Reason::MethodNotAllowed
        );
        assert_eq!(
            run("TRACE", "/a", &[]).unwrap_err(),
            Reason::MethodNotAllowed
        );
        assert_eq!(run("get", "/a", &[]).unwrap_err(), Reason::BadRequest);
        assert!(run("GET", "https://crm.test/a", &[("host", "CRM.test:443")]).is_ok());
    }

    #[test]
    fn identity_framing_and_named_headers_stop_here() {
        let head = run(
            "GET",
            "/a",
            &[
                ("connection", "close, X-Secret"),
                ("x-secret", "1"),
                ("x-forwarded-for", "1.1.1.1"),
                ("x-user-role", "admin"),
                ("x_user_role", "admin"),
                ("cookie", "sid=1"),
                ("authorization", "Bearer x"),
                ("if-none-match", "\"e\""),
                ("upgrade", "h2c"),
                ("sforce-query-options", "batchSize=200"),
            ],
        )
        .unwrap();
        let kept: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(kept, ["sforce-query-options"]);
    }
}
