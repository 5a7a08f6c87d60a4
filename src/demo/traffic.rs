//! Background traffic: the callers asking what such callers ask, so that the audit log and the metrics move.

use std::time::Duration;

use http::Method;

use crate::demo::callers::Credential;
use crate::demo::client::{ask, encode};

const PAUSE: Duration = Duration::from_millis(1_500);

/// Client of a request, and its SOQL or path. Some are refused, as in life.
const REQUESTS: &[(&str, &str)] = &[
    (
        "service-desk",
        "SELECT Id, Name, Email, Phone, Account.Name FROM Contact ORDER BY Id LIMIT 20",
    ),
    (
        "service-desk",
        "SELECT CaseNumber, Subject, Status, Contact.Name FROM Case WHERE Status = 'New' LIMIT 30",
    ),
    (
        "service-desk",
        "/services/data/v61.0/sobjects/Contact/describe",
    ),
    ("service-desk", "/people?limit=10"),
    ("service-desk", "SELECT Id FROM Contact ORDER BY Email"),
    (
        "tableau",
        "SELECT Id, Email, Birthdate, AccountId, MailingCity FROM Contact",
    ),
    (
        "tableau",
        "SELECT Status, COUNT(Id) FROM Case GROUP BY Status",
    ),
    (
        "tableau",
        "SELECT Email, COUNT(Id) FROM Contact GROUP BY Email LIMIT 50",
    ),
    ("tableau", "SELECT Id FROM Contact WHERE Salary__c > 100000"),
    (
        "mailer",
        "SELECT Id, Name, Email, Birthdate FROM Contact LIMIT 100",
    ),
    ("mailer", "SELECT Id, Name, Company FROM Lead"),
    ("mailer", "SELECT Id, Health__c FROM Contact LIMIT 5"),
];

/// Sends requests to `origin` until dropped.
pub async fn run(origin: String, credentials: Vec<Credential>) {
    let mut ticks = tokio::time::interval(PAUSE);
    for (client, wanted) in REQUESTS.iter().cycle() {
        ticks.tick().await;
        let Some(credential) = credentials.iter().find(|c| c.caller.client == *client) else {
            continue;
        };
        let target = if wanted.starts_with('/') {
            (*wanted).to_owned()
        } else {
            format!("/services/data/v61.0/query?q={}", encode(wanted))
        };
        // The answer is of no interest: privet's own log, audit and metrics tell how it went.
        let _ = ask(Method::GET, &origin, &target, &credential.bearer, None).await;
    }
}
