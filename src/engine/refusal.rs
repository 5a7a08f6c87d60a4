//! Why a request is refused, as plain data. The carrier turns it into status and body in the API's own shape.

use std::borrow::Cow;
use std::sync::Arc;

/// The reasons of the design's table of refusals. `proxy::refuse` holds status and error code of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// No or bad credential: the only 401.
    Unauthenticated,
    /// A login that fails, or one of a kind that is not open: `code` says which.
    LoginRefused,
    /// The purpose asked for is not granted to this client.
    PurposeNotGranted,
    /// A deny rule, or no rule that allows the action.
    Denied,
    /// The endpoint is known and closed (Tooling, Apex REST, blobs…).
    EndpointClosed,
    /// A treated field is filtered, sorted, grouped, aggregated, searched or used as a key.
    TreatedFieldEvaluated,
    /// Unknown or hidden object (same text for both).
    UnknownObject,
    /// Unknown or hidden field (same text for both).
    UnknownField,
    /// No such path.
    UnknownPath,
    /// The path is known, the method is not.
    MethodNotAllowed,
    /// A clause of the query is not understood or not built yet.
    MalformedQuery,
    /// A cursor that is unknown, expired or another caller's.
    InvalidCursor,
    /// A mask or a foreign token is written back.
    IntegrityException,
    /// The request's JSON, XML or form body cannot be read.
    MalformedBody,
    /// Any other malformed request (path tricks, two hosts, duplicate parameters…).
    BadRequest,
    /// Host or authority that is not ours.
    MisdirectedRequest,
    /// A content type the endpoint does not take.
    UnsupportedMediaType,
    /// An `Expect` other than `100-continue`.
    ExpectationFailed,
    /// The request did not arrive in time.
    RequestTimeout,
    /// The target is too long.
    TargetTooLong,
    /// The head is too large.
    HeadTooLarge,
    /// The body is too big.
    BodyTooLarge,
    /// The audit log or a store cannot record.
    CannotRecord,
    /// Draining or over a connection bound.
    Unavailable,
    /// The upstream cannot be reached or does not answer in time.
    UpstreamUnreachable,
    /// The upstream sent what must not pass.
    UpstreamUnacceptable,
    /// Ours: a bug or a broken invariant. Fails closed.
    Internal,
}

/// One refusal. Holds names as the caller wrote them and rule ids, never a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Which row of the table.
    pub reason: Reason,
    /// Public text, in the API's words, without request id. Never a value, never a query excerpt with literals.
    pub message: Cow<'static, str>,
    /// The API's error code where it differs from the table's default for `reason`.
    pub code: Option<&'static str>,
    /// The rule that decided, unless the field is hidden.
    pub rule: Option<Arc<str>>,
    /// For [`Reason::MethodNotAllowed`]: the methods that the endpoint takes, as `Allow` lists them.
    pub allow: Option<&'static str>,
    /// What the audit event may say beyond the public text (names and rule ids only).
    pub detail: Option<Box<str>>,
}

impl Refusal {
    /// A refusal with its public text.
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
            code: None,
            rule: None,
            allow: None,
            detail: None,
        }
    }

    /// A method that the endpoint does not take. `allow`: those that it takes, such as `GET, HEAD`.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(
                Reason::MethodNotAllowed,
                format!("HTTP method not allowed. Allowed are {allow}"),
            )
        }
    }

    /// An unknown or hidden field. `written`: the field as the caller spelt it; `object`: the object's name.
    ///
    /// Of a path nothing but its own spelling is said: which of its names is missing, and what object the others lead
    /// to, would tell hidden relationships and objects from those that do not exist.
    pub fn unknown_field(written: &str, object: &str) -> Self {
        let entity = if written.contains('.') {
            String::new()
        } else {
            format!(" on entity '{object}'")
        };
        Self::new(
            Reason::UnknownField,
            format!(
                "No such column '{written}'{entity}. If you are attempting to use a custom field, be sure to append \
                 the '__c' after the custom field name. Please reference your WSDL or the describe call for the \
                 appropriate names."
            ),
        )
    }

    /// An unknown or hidden object. `written`: as the caller spelt it.
    ///
    /// What is spelt like no name is not repeated: a caller may have put a value there.
    pub fn unknown_object(written: &str) -> Self {
        let is_name = !written.is_empty()
            && written
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'_');
        Self::new(
            Reason::UnknownObject,
            if is_name {
                format!("sObject type '{written}' is not supported.")
            } else {
                "this sObject type is not supported.".to_owned()
            },
        )
    }

    /// Says it with another error code than the table's.
    #[must_use]
    pub fn coded(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// Names the rule that decided.
    #[must_use]
    pub fn by_rule(mut self, rule: Arc<str>) -> Self {
        self.rule = Some(rule);
        self
    }

    /// Adds what only the audit event may say.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Box<str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_in_the_place_of_an_object_is_not_repeated() {
        let text = |written| Refusal::unknown_object(written).message.into_owned();
        assert!(text("Foo__c").contains("'Foo__c'"));
        for value in ["zoe@acme.example", "Zoe Doe", "+49 30 1"] {
            assert!(!text(value).contains(value), "{value}");
        }
        assert_eq!(text(""), "this sObject type is not supported.");
    }
}
