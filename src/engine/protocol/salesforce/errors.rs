//! What may be said of an error of the CRM: its code from a closed list, never its text.

use crate::engine::protocol::Shape;

/// Error codes of Salesforce that may pass: they say what went wrong without saying anything of a value. Codes that
/// answer "does this value exist" (duplicates, validation rules) are not among them.
const PASSING_CODES: [&str; 36] = [
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
    "INVALID_BATCH_SIZE",
    "INVALID_CROSS_REFERENCE_KEY",
    "INVALID_FIELD",
    "INVALID_FIELD_FOR_INSERT_UPDATE",
    "INVALID_ID_FIELD",
    "INVALID_QUERY_FILTER_OPERATOR",
    "INVALID_QUERY_LOCATOR",
    "INVALID_TYPE",
    "INVALID_TYPE_FOR_OPERATION",
    "JSON_PARSER_ERROR",
    "MALFORMED_ID",
    "MALFORMED_QUERY",
    "METHOD_NOT_ALLOWED",
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
    "STRING_TOO_LONG",
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
