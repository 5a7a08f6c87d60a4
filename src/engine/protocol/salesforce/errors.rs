//! What may be said of an error of the CRM: its code from a closed list, never its text.

use crate::engine::protocol::Shape;

/// Error codes of Salesforce that may pass (SOAP API Developer Guide, "Core Data Types Used in API Calls", StatusCode
/// and ExceptionCode): they say what went wrong with the request without saying anything of a stored value.
///
/// Codes that answer "does this value exist" or "what does another field hold" are not among them: DUPLICATE_VALUE,
/// DUPLICATES_DETECTED, DUPLICATE_EXTERNAL_ID, FIELD_CUSTOM_VALIDATION_EXCEPTION, FIELD_FILTER_VALIDATION_EXCEPTION,
/// CANNOT_EXECUTE_FLOW_TRIGGER. They become [`OTHER_CODE`], so that one answer stands for all of them.
const PASSING_CODES: [&str; 47] = [
    "API_CURRENTLY_DISABLED",
    "API_DISABLED_FOR_ORG",
    "CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY",
    "DELETE_FAILED",
    "ENTITY_IS_DELETED",
    "ENTITY_IS_LOCKED",
    "EXCEEDED_ID_LIMIT",
    "FIELD_INTEGRITY_EXCEPTION",
    "INSUFFICIENT_ACCESS",
    "INSUFFICIENT_ACCESS_ON_CROSS_REFERENCE_ENTITY",
    "INSUFFICIENT_ACCESS_OR_READONLY",
    "INVALID_ARGUMENT_TYPE",
    "INVALID_BATCH_SIZE",
    "INVALID_CROSS_REFERENCE_KEY",
    "INVALID_EMAIL_ADDRESS",
    "INVALID_FIELD",
    "INVALID_FIELD_FOR_INSERT_UPDATE",
    "INVALID_ID_FIELD",
    "INVALID_OPERATION",
    "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
    "INVALID_QUERY_FILTER_OPERATOR",
    "INVALID_QUERY_LOCATOR",
    "INVALID_REPLICATION_DATE",
    "INVALID_SEARCH",
    "INVALID_SEARCH_SCOPE",
    "INVALID_TYPE",
    "INVALID_TYPE_FOR_OPERATION",
    "JSON_PARSER_ERROR",
    "MALFORMED_ID",
    "MALFORMED_QUERY",
    "MALFORMED_SEARCH",
    "METHOD_NOT_ALLOWED",
    "MISSING_ARGUMENT",
    "NOT_FOUND",
    "NUMBER_OUTSIDE_VALID_RANGE",
    "PROCESSING_HALTED",
    "QUERY_TIMEOUT",
    "QUERY_TOO_COMPLICATED",
    "REQUEST_LIMIT_EXCEEDED",
    "REQUEST_RUNNING_TOO_LONG",
    "REQUIRED_FIELD_MISSING",
    "ROLLED_BACK_ON_PARTIAL_FAILURE",
    "SERVER_UNAVAILABLE",
    "STORAGE_LIMIT_EXCEEDED",
    "STRING_TOO_LONG",
    "TRANSFER_REQUIRES_READ",
    "UNABLE_TO_LOCK_ROW",
];

/// The code that stands for every other one.
pub const OTHER_CODE: &str = "UNKNOWN_EXCEPTION";

/// The passing code that `code` spells, if it is one.
pub fn passing(code: &str) -> Option<&'static str> {
    PASSING_CODES.iter().find(|c| **c == code).copied()
}

/// The members of an error inside an answer: composite calls it `errorCode`, the rows of collections `statusCode`.
fn members() -> Vec<(std::sync::Arc<str>, Shape)> {
    vec![
        ("statusCode".into(), Shape::ErrorCode),
        ("errorCode".into(), Shape::ErrorCode),
        (
            "message".into(),
            Shape::Constant("\"the request was not accepted\"".into()),
        ),
        ("fields".into(), Shape::Constant("[]".into())),
    ]
}

/// A list of errors: codes from the closed list, texts and names replaced.
pub fn list() -> Shape {
    Shape::Array {
        element: Box::new(Shape::Object(members())),
        rows: false,
    }
}

/// `{"id","success","errors"}`, or an error that stands in its place. `id`: the outputs that the id may stand for.
pub(super) fn save_result(id: Vec<usize>) -> Shape {
    let mut all = vec![
        ("id".into(), Shape::Value(id)),
        ("success".into(), Shape::Keep),
        ("created".into(), Shape::Keep),
        ("errors".into(), list()),
    ];
    all.extend(members());
    Shape::Object(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_passes_where_it_says_nothing_of_a_stored_value() {
        for known in [
            "REQUIRED_FIELD_MISSING",
            "STRING_TOO_LONG",
            "INVALID_CROSS_REFERENCE_KEY",
            "UNABLE_TO_LOCK_ROW",
            "ENTITY_IS_DELETED",
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "INVALID_EMAIL_ADDRESS",
            "MALFORMED_QUERY",
            "MALFORMED_SEARCH",
            "PROCESSING_HALTED",
        ] {
            assert_eq!(passing(known), Some(known));
        }
        for telling in [
            "DUPLICATE_VALUE",
            "DUPLICATES_DETECTED",
            "DUPLICATE_EXTERNAL_ID",
            "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "FIELD_FILTER_VALIDATION_EXCEPTION",
            "CANNOT_EXECUTE_FLOW_TRIGGER",
            "jo@example.org",
            "required_field_missing",
            "",
        ] {
            assert_eq!(passing(telling), None, "{telling}");
        }
        assert!(PASSING_CODES.is_sorted());
    }
}
