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

    /// Keeps the ids of the answer to `target`, if it gives any.
    pub(super) fn learn(&mut self, target: &str, answer: &Answer) {
        if !tells_ids(target) || answer.status >= 300 {
            return;
        }
        let answer = answer.json();
        let id = answer["id"].as_str();
        let (place, id) = if target.ends_with("/batch") {
            (&mut self.batch, id)
        } else if target.ends_with("/result") {
            (&mut self.result, answer[0].as_str())
        } else if target.ends_with("/job") || target.contains("/jobs/") {
            (&mut self.job, id)
        } else {
            return;
        };
        if let Some(id) = id {
            id.clone_into(place);
        }
    }
}

/// Whether an answer says something else each time: ids are sealed anew.
pub(super) fn tells_ids(target: &str) -> bool {
    let rows = target.contains("/result/") || target.ends_with("/results");
    !rows && (target.contains("/jobs/") || target.starts_with(JOB))
}
