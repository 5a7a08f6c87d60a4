//! The one table: why → status, error code and body in the API's own shape.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, WWW_AUTHENTICATE};

use crate::engine::protocol::map::ApiMap;
use crate::engine::protocol::salesforce;
use crate::engine::protocol::salesforce::streaming::Echoes;
use crate::engine::refusal::{Reason, Refusal};

/// How an API spells its errors.
#[derive(Debug, Clone, Default)]
pub enum ErrorShape {
    /// `[{"message": …, "errorCode": …}]`.
    Salesforce,
    /// `{"error": …, "error_description": …}` (RFC 6749, section 5.2).
    OAuth,
    /// A SOAP 1.1 fault.
    Soap,
    /// `{"data": null, "errors": [{"message": …, "extensions": {"ErrorType": …}}]}`.
    GraphQl,
    /// `[{"channel": …, "id": …, "successful": false, "error": "403:code:message"}]`, one for each message.
    Bayeux(Echoes),
    /// As an API map says.
    Map(Arc<ApiMap>),
    /// No API is known: `{"errorCode": …, "message": …}`.
    #[default]
    Neutral,
}

/// A refusal ready to be sent.
#[derive(Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Error code, from a closed set: also the audit's and the metric's reason.
    pub code: &'static str,
    /// Headers of this answer alone.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// Status and default error code of each reason.
pub fn row(reason: Reason) -> (StatusCode, &'static str) {
    use StatusCode as S;
    match reason {
        Reason::Unauthenticated => (S::UNAUTHORIZED, "INVALID_SESSION_ID"),
        Reason::LoginRefused => (S::BAD_REQUEST, "INVALID_LOGIN"),
        Reason::PurposeNotGranted | Reason::Denied | Reason::EndpointClosed => {
            (S::FORBIDDEN, "INSUFFICIENT_ACCESS")
        }
        Reason::TreatedFieldEvaluated | Reason::UnknownField => (S::BAD_REQUEST, "INVALID_FIELD"),
        Reason::UnknownObject => (S::BAD_REQUEST, "INVALID_TYPE"),
        Reason::UnknownPath => (S::NOT_FOUND, "NOT_FOUND"),
        Reason::MethodNotAllowed => (S::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
        Reason::MalformedQuery => (S::BAD_REQUEST, "MALFORMED_QUERY"),
        Reason::InvalidCursor => (S::BAD_REQUEST, "INVALID_QUERY_LOCATOR"),
        Reason::IntegrityException => (S::BAD_REQUEST, "FIELD_INTEGRITY_EXCEPTION"),
        Reason::MalformedBody => (S::BAD_REQUEST, "JSON_PARSER_ERROR"),
        Reason::BadRequest => (S::BAD_REQUEST, "BAD_REQUEST"),
        Reason::MisdirectedRequest => (S::MISDIRECTED_REQUEST, "MISDIRECTED_REQUEST"),
        Reason::UnsupportedMediaType => (S::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
        Reason::ExpectationFailed => (S::EXPECTATION_FAILED, "EXPECTATION_FAILED"),
        Reason::RequestTimeout => (S::REQUEST_TIMEOUT, "REQUEST_TIMEOUT"),
        Reason::TargetTooLong => (S::URI_TOO_LONG, "URI_TOO_LONG"),
        Reason::HeadTooLarge => (S::REQUEST_HEADER_FIELDS_TOO_LARGE, "REQUEST_HEAD_TOO_LARGE"),
        Reason::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "REQUEST_BODY_TOO_LARGE"),
        Reason::CannotRecord | Reason::Unavailable => {
            (S::SERVICE_UNAVAILABLE, "SERVER_UNAVAILABLE")
        }
        Reason::UpstreamUnreachable => (S::BAD_GATEWAY, "UPSTREAM_UNREACHABLE"),
        Reason::UpstreamUnacceptable => (S::BAD_GATEWAY, "UPSTREAM_UNACCEPTABLE"),
        Reason::Internal => (S::INTERNAL_SERVER_ERROR, "UNKNOWN_EXCEPTION"),
    }
}

/// Whether an HTTP/1 connection ends with this refusal: after a malformed or unread request, what follows on it is
/// not believed to be another one.
pub fn closes(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::BadRequest
            | Reason::MisdirectedRequest
            | Reason::ExpectationFailed
            | Reason::UnsupportedMediaType
            | Reason::RequestTimeout
            | Reason::TargetTooLong
            | Reason::HeadTooLarge
            | Reason::BodyTooLarge
    )
}

/// Status and code of `refusal` as an API of this shape says them.
pub fn spelt(refusal: &Refusal, shape: &ErrorShape) -> (StatusCode, &'static str) {
    let (status, default_code) = row(refusal.reason);
    let code = refusal.code.unwrap_or(default_code);
    match shape {
        // SOAP 1.1, section 6.2: a fault comes with 500; what HTTP itself refuses does not get that far.
        ErrorShape::Soap
            if matches!(
                refusal.reason,
                Reason::Unauthenticated
                    | Reason::LoginRefused
                    | Reason::EndpointClosed
                    | Reason::Denied
                    | Reason::PurposeNotGranted
                    | Reason::MalformedBody
                    | Reason::MalformedQuery
                    | Reason::TreatedFieldEvaluated
                    | Reason::UnknownField
                    | Reason::UnknownObject
                    | Reason::UnknownPath
                    | Reason::InvalidCursor
                    | Reason::IntegrityException
                    | Reason::BadRequest
            ) =>
        {
            let code = match code {
                "JSON_PARSER_ERROR" | "BAD_REQUEST" => "INVALID_REQUEST",
                code => code,
            };
            (StatusCode::INTERNAL_SERVER_ERROR, code)
        }
        // "Status Codes and Error Responses" of the GraphQL API Developer Guide: a mistake in a query is answered with 200.
        ErrorShape::GraphQl
            if matches!(
                refusal.reason,
                Reason::MalformedQuery
                    | Reason::TreatedFieldEvaluated
                    | Reason::UnknownField
                    | Reason::UnknownObject
                    | Reason::InvalidCursor
                    | Reason::IntegrityException
            ) =>
        {
            (StatusCode::OK, code)
        }
        // A session that is over is no failure of HTTP: the client shakes hands again.
        ErrorShape::Bayeux(_) if refusal.reason == Reason::InvalidCursor => (StatusCode::OK, code),
        // Codes of OAuth's own are lower case; whatever has none is one of these.
        ErrorShape::OAuth if !code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') => {
            let code = match status.as_u16() {
                500.. => "server_error",
                _ => "invalid_request",
            };
            (status, code)
        }
        _ => (status, code),
    }
}

/// The answer to `refusal`: its text, then the rule and the request id.
pub fn answer(refusal: &Refusal, shape: &ErrorShape, request_id: &str) -> Answer {
    let (status, code) = spelt(refusal, shape);
    let message = match &refusal.rule {
        Some(rule) => format!("{} (rule {rule}) (request {request_id})", refusal.message),
        None => format!("{} (request {request_id})", refusal.message),
    };
    let mut headers = HeaderMap::new();
    match refusal.reason {
        Reason::Unauthenticated => {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Bearer realm=\"privet\""),
            );
        }
        Reason::MethodNotAllowed => {
            let methods = refusal
                .allow
                .unwrap_or("GET, HEAD, POST, PUT, PATCH, DELETE");
            headers.insert(ALLOW, HeaderValue::from_static(methods));
        }
        _ => {}
    }
    let (content_type, body) = body(shape, status, code, &message);
    headers.insert(CONTENT_TYPE, content_type);
    Answer {
        status,
        code,
        headers,
        body,
    }
}

/// An error of the upstream, replaced: its status, a code from a closed list, a text of ours (H15).
pub fn replaced_error(
    status: StatusCode,
    code: &'static str,
    shape: &ErrorShape,
    request_id: &str,
) -> Answer {
    // Each fault of SOAP comes with 500.
    let text = if status.is_server_error() && !matches!(shape, ErrorShape::Soap) {
        "the upstream could not answer"
    } else {
        "the upstream refused the request"
    };
    let message = format!("{text} (request {request_id})");
    let (content_type, body) = body(shape, status, code, &message);
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, content_type);
    Answer {
        status,
        code,
        headers,
        body,
    }
}

/// The code of an upstream error where its own may not pass.
pub fn code_of_status(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 | 403 => "INSUFFICIENT_ACCESS",
        404 | 410 => "NOT_FOUND",
        405 => "METHOD_NOT_ALLOWED",
        413 => "REQUEST_BODY_TOO_LARGE",
        414 => "URI_TOO_LONG",
        415 => "UNSUPPORTED_MEDIA_TYPE",
        429 => "REQUEST_LIMIT_EXCEEDED",
        503 => "SERVER_UNAVAILABLE",
        500..=599 => "UNKNOWN_EXCEPTION",
        _ => "BAD_REQUEST",
    }
}

/// The passing code named in an error body of `shape`, if there is one.
pub fn passing_code(shape: &ErrorShape, body: &[u8]) -> Option<&'static str> {
    if !matches!(shape, ErrorShape::Salesforce) {
        return None;
    }
    let errors: Vec<serde_json::Map<String, serde_json::Value>> =
        serde_json::from_slice(body).ok()?;
    let code = errors.first()?.get("errorCode")?.as_str()?;
    salesforce::errors::passing(code)
}

fn body(shape: &ErrorShape, status: StatusCode, code: &str, message: &str) -> (HeaderValue, Bytes) {
    let json = HeaderValue::from_static("application/json;charset=UTF-8");
    match shape {
        ErrorShape::Bayeux(echoes) => (
            json,
            echoes
                .refused(status.as_u16(), code, message)
                .to_string()
                .into(),
        ),
        ErrorShape::Salesforce => (
            json,
            serde_json::json!([{ "message": message, "errorCode": code }])
                .to_string()
                .into(),
        ),
        ErrorShape::GraphQl => {
            let kind = match code {
                "MALFORMED_QUERY" | "JSON_PARSER_ERROR" => "InvalidSyntax",
                "INVALID_FIELD" | "INVALID_TYPE" | "INVALID_QUERY_LOCATOR" => "ValidationError",
                "INSUFFICIENT_ACCESS" => "OperationNotSupported",
                _ => "ExecutionAborted",
            };
            let error = serde_json::json!({
                "message": message, "locations": [], "paths": [],
                "extensions": { "ErrorType": kind, "errorCode": code },
            });
            (
                json,
                serde_json::json!({ "data": null, "errors": [error] })
                    .to_string()
                    .into(),
            )
        }
        ErrorShape::Neutral => (
            json,
            serde_json::json!({ "errorCode": code, "message": message })
                .to_string()
                .into(),
        ),
        ErrorShape::OAuth => (
            json,
            serde_json::json!({ "error": code, "error_description": message })
                .to_string()
                .into(),
        ),
        ErrorShape::Soap => (
            HeaderValue::from_static("text/xml;charset=UTF-8"),
            salesforce::login::soap::fault(code, message).into(),
        ),
        ErrorShape::Map(map) => {
            let (content_type, body) = map.error_body(code, message);
            (
                HeaderValue::from_str(&content_type).unwrap_or(json),
                body.into(),
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_api_gets_its_own_shape() {
        let refusal = Refusal::new(
            Reason::TreatedFieldEvaluated,
            "field 'E\"mail' can not be filtered",
        )
        .by_rule("r1".into());
        let text = |shape| String::from_utf8(answer(&refusal, &shape, "id").body.to_vec()).unwrap();
        assert_eq!(
            text(ErrorShape::Salesforce),
            r#"[{"message":"field 'E\"mail' can not be filtered (rule r1) (request id)","errorCode":"INVALID_FIELD"}]"#
        );
    }

    #[test]
    fn refusals_are_never_429_and_only_one_reason_is_401() {
        for reason in [
            Reason::PurposeNotGranted,
            Reason::Denied,
            Reason::EndpointClosed,
            Reason::UnknownField,
            Reason::BadRequest,
            Reason::CannotRecord,
            Reason::UpstreamUnacceptable,
            Reason::Internal,
        ] {
            let (status, _) = row(reason);
            assert!(status != StatusCode::TOO_MANY_REQUESTS && status != StatusCode::UNAUTHORIZED);
        }
        let a = answer(
            &Refusal::new(Reason::Unauthenticated, "x"),
            &ErrorShape::Salesforce,
            "id",
        );
        assert_eq!(a.status, 401);
        assert!(a.headers.contains_key(WWW_AUTHENTICATE));
    }

    #[test]
    fn an_upstream_code_passes_only_from_the_list() {
        let body = |code: &str| format!(r#"[{{"errorCode":"{code}","message":"jo@example.org"}}]"#);
        let sf = ErrorShape::Salesforce;
        assert_eq!(
            passing_code(&sf, body("MALFORMED_ID").as_bytes()),
            Some("MALFORMED_ID")
        );
        assert_eq!(passing_code(&sf, body("DUPLICATE_VALUE").as_bytes()), None);
        assert_eq!(passing_code(&sf, b"oops"), None);
        assert_eq!(
            passing_code(&ErrorShape::Neutral, body("MALFORMED_ID").as_bytes()),
            None
        );
    }
}
