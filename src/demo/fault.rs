//! Errors as Salesforce spells them: an array of message and code; query errors echo the query round the mistake.

use serde_json::{Value, json};

/// One error answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// HTTP status.
    pub status: u16,
    /// `errorCode`.
    pub code: &'static str,
    /// `message`.
    pub message: String,
    /// `fields`, where Salesforce gives them.
    pub fields: Vec<String>,
    /// The records that a duplicate rule found, whole or by id.
    pub matches: Vec<Value>,
}

impl Fault {
    /// A plain error.
    pub fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            fields: Vec::new(),
            matches: Vec::new(),
        }
    }

    /// What no path leads to.
    pub fn not_found() -> Self {
        Self::new(404, "NOT_FOUND", "The requested resource does not exist")
    }

    /// A method that the path does not know.
    pub fn method(method: &str, allowed: &str) -> Self {
        Self::new(
            405,
            "METHOD_NOT_ALLOWED",
            format!("HTTP Method '{method}' not allowed. Allowed are {allowed}"),
        )
    }

    /// A missing or unknown session.
    pub fn session() -> Self {
        Self::new(401, "INVALID_SESSION_ID", "Session expired or invalid")
    }

    /// An error in a query: 400 with an excerpt of the query and a caret under byte `at`.
    pub fn in_query(code: &'static str, query: &str, at: usize, why: &str) -> Self {
        let at = query.floor_char_boundary(at);
        let line_start = query[..at].rfind('\n').map_or(0, |i| i + 1);
        let row = query[..at].matches('\n').count() + 1;
        let column = query[line_start..at].chars().count() + 1;
        let from = query.floor_char_boundary(at.saturating_sub(30).max(line_start));
        let to = query.ceil_char_boundary((at + 30).min(query.len()));
        let excerpt = query[from..to].lines().next().unwrap_or_default();
        let caret = " ".repeat(query[from..at].chars().count());
        Self::new(
            400,
            code,
            format!("\n{excerpt}\n{caret}^\nERROR at Row:{row}:Column:{column}\n{why}"),
        )
    }

    /// No such field.
    pub fn no_column(query: &str, at: usize, written: &str, entity: &str) -> Self {
        Self::in_query("INVALID_FIELD", query, at, &no_column(written, entity))
    }

    /// No such relationship.
    pub fn no_relationship(query: &str, at: usize, written: &str) -> Self {
        Self::in_query(
            "INVALID_FIELD",
            query,
            at,
            &format!(
                "Didn't understand relationship '{written}' in field path. If you are attempting to use a custom relationship, be sure to append the '__r' after the custom relationship name. Please reference your WSDL or the describe call for the appropriate names."
            ),
        )
    }

    /// No such object.
    pub fn no_object(query: &str, at: usize, written: &str) -> Self {
        Self::in_query(
            "INVALID_TYPE",
            query,
            at,
            &format!(
                "sObject type '{written}' is not supported. If you are attempting to use a custom object, be sure to append the '__c' after the entity name. Please reference your WSDL or the describe call for the appropriate names."
            ),
        )
    }

    /// The body.
    pub fn json(&self) -> Value {
        if !self.matches.is_empty() {
            let records: Vec<Value> = self
                .matches
                .iter()
                .map(|r| json!({"record": r, "matchConfidence": 100.0, "fieldDiffs": []}))
                .collect();
            // Salesforce's own spelling.
            let result = json!({"allowSave": true, "duplicateRule": "Standard_Contact_Duplicate_Rule",
                "errorMessage": self.message, "matchResults": [{"matchRecords": records, "size": records.len()}]});
            json!([{"duplicateResut": result, "message": self.message, "errorCode": self.code}])
        } else if self.fields.is_empty() {
            json!([{"message": self.message, "errorCode": self.code}])
        } else {
            json!([{"message": self.message, "errorCode": self.code, "fields": self.fields}])
        }
    }
}

/// Salesforce's sentence about a field that is not there.
pub fn no_column(written: &str, entity: &str) -> String {
    format!(
        "No such column '{written}' on entity '{entity}'. If you are attempting to use a custom field, be sure to append the '__c' after the custom field name. Please reference your WSDL or the describe call for the appropriate names."
    )
}
