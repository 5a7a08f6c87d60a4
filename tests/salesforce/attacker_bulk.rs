//! The attacker's ways through bulk jobs: ids that an answer gives and later requests need.

use serde_json::json;

use super::attacker::{Request, get, sent};
use crate::house::Answer;

const JOB: &str = "/services/async/61.0/job";

/// A job of Bulk API 2.0 and what it finds: `{job}` is the id that the creation answers.
pub(super) fn extract2(soql: &str) -> Vec<Request> {
    let job = json!({"operation": "query", "query": soql});
    vec![
        sent("POST", "/jobs/query", &job),
        get("/jobs/query/{job}"),
        get("/jobs/query/{job}/results"),
    ]
}

/// A job of Bulk API 1.0, its batch, and what that finds.
pub(super) fn extract1(soql: &str) -> Vec<Request> {
    let job = json!({"operation": "query", "object": "Contact", "contentType": "JSON"});
    let batch = format!("{JOB}/{{job}}/batch");
    let read = |rest: &str| ("GET", format!("{batch}{rest}"), String::new());
    vec![
        ("POST", JOB.to_owned(), job.to_string()),
        ("POST", batch.clone(), soql.to_owned()),
        read("/{batch}"),
        read("/{batch}/request"),
        read("/{batch}/result"),
        read("/{batch}/result/{result}"),
    ]
}

/// The ids that answers have given so far.
pub(super) struct Ids {
    job: String,
    batch: String,
    result: String,
}

impl Default for Ids {
    fn default() -> Self {
        let none = || String::from("none");
        Self {
            job: none(),
            batch: none(),
            result: none(),
        }
    }
}

impl Ids {
    /// A target with the ids in their places.
    pub(super) fn placed(&self, target: &str) -> String {
        target
            .replace("{job}", &self.job)
            .replace("{batch}", &self.batch)
            .replace("{result}", &self.result)
    }

    /// Keeps the ids of the answer to `target`. Gives whether there are any, so that it says something else each time.
    pub(super) fn learn(&mut self, target: &str, answer: &Answer) -> bool {
        let rows = target.contains("/result/") || target.ends_with("/results");
        let about = target.contains("/jobs/") || target.starts_with(JOB);
        if rows || !about || answer.status >= 300 {
            return false;
        }
        let answer = answer.json();
        let id = answer["id"].as_str().or_else(|| answer[0].as_str());
        if let Some(id) = id {
            let place = match target.rsplit('/').next() {
                Some("job" | "query") => &mut self.job,
                Some("batch") => &mut self.batch,
                Some("result") => &mut self.result,
                _ => return true,
            };
            id.clone_into(place);
        }
        id.is_some()
    }
}

/// A record found by a guess, in a batch of Bulk API 1.0: what became of it says whether there is one.
pub(super) fn upsert1(field: &str, guess: &str) -> Vec<Request> {
    let job = json!({
        "operation": "upsert", "object": "Contact", "externalIdFieldName": field, "contentType": "JSON",
    });
    let batch = format!("{JOB}/{{job}}/batch");
    vec![
        ("POST", JOB.to_owned(), job.to_string()),
        (
            "POST",
            batch.clone(),
            json!([{field: guess, "Title": "x"}]).to_string(),
        ),
        ("GET", format!("{batch}/{{batch}}/result"), String::new()),
    ]
}
