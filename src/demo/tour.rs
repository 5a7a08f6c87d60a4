//! What `privet demo` shows: the services, the table "same request, three callers", the lines to try.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use http::Method;
use serde_json::Value as Json;

use crate::demo::callers::Credential;
use crate::demo::client::{NoAnswer, ask, encode};
use crate::demo::crm::Crm;
use crate::demo::metadata::{self, OBJECTS};
use crate::demo::server::{self, Handler, Running};
use crate::demo::store::Value;
use crate::demo::table::{Answer, render};
use crate::demo::workspace::Origins;

/// The fields that the table shows.
pub const FIELDS: [&str; 9] = [
    "Id",
    "Name",
    "Email",
    "Phone",
    "Birthdate",
    "MailingCity",
    "Description",
    "SSN__c",
    "Account.Name",
];

/// The services behind privet.
#[derive(Debug)]
pub struct Services {
    /// The organisation, for whoever wants to look inside.
    pub crm: Arc<Crm>,
    /// The CRM's socket.
    pub salesforce: Running,
    /// The staff directory's socket.
    pub people: Running,
    /// The data source's socket.
    pub analytics: Running,
}

impl Services {
    /// Starts the three services on free loopback ports, over TLS if `tls` is given.
    ///
    /// # Errors
    /// No port can be listened on.
    pub async fn start(
        tls: Option<Arc<rustls::ServerConfig>>,
        people: Handler,
        analytics: Handler,
    ) -> std::io::Result<Self> {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let crm = Arc::new(Crm::default());
        Ok(Self {
            salesforce: server::serve(any, tls.clone(), server::handler(&crm)).await?,
            people: server::serve(any, tls.clone(), people).await?,
            analytics: server::serve(any, tls, analytics).await?,
            crm,
        })
    }

    /// Where they listen.
    pub fn origins(&self) -> Origins {
        Origins {
            salesforce: self.salesforce.origin.clone(),
            people: self.people.origin.clone(),
            analytics: self.analytics.origin.clone(),
        }
    }
}

/// Two people for the table: one who lets the company write, one who does not; both with every field filled, and
/// with names that no terminal turns round (text from right to left would move the columns).
pub fn examples(crm: &Crm) -> Vec<(String, &'static str)> {
    let store = crm.store();
    let Some(object) = metadata::object("Contact") else {
        return Vec::new();
    };
    let value = |row: usize, name: &str| {
        OBJECTS[object]
            .field(name)
            .map_or(Value::Null, |i| store.value(object, row, i))
    };
    let filled = [
        "Email",
        "Phone",
        "Birthdate",
        "Description",
        "SSN__c",
        "AccountId",
    ];
    let mut found: Vec<(String, &'static str)> =
        [(false, "may be written to"), (true, "opted out")]
            .into_iter()
            .filter_map(|(opted_out, title)| {
                let row = (0..store.table(object).rows.len()).find(|row| {
                    value(*row, "HasOptedOutOfEmail") == Value::Bool(opted_out)
                        && filled.iter().all(|f| value(*row, f) != Value::Null)
                        && ["Greeting__c", "MailingCity"]
                            .iter()
                            .all(|f| value(*row, f).as_text().is_some_and(runs_left_to_right))
                })?;
                let id = value(row, "Id").as_text()?.to_owned();
                Some((id, title))
            })
            .collect();
    // In the order of the answers.
    found.sort_by_key(|(id, _)| (id.to_lowercase(), id.clone()));
    found
}

/// Nothing of Hebrew, Arabic and their neighbours.
fn runs_left_to_right(text: &str) -> bool {
    !text
        .chars()
        .any(|c| matches!(u32::from(c), 0x0590..=0x08FF | 0xFB1D..=0xFDFF | 0xFE70..=0xFEFF))
}

/// The query that all three callers send.
pub fn query(examples: &[(String, &'static str)]) -> String {
    let ids: Vec<String> = examples.iter().map(|(id, _)| format!("'{id}'")).collect();
    format!(
        "SELECT {} FROM Contact WHERE Id IN ({}) ORDER BY Id",
        FIELDS.join(", "),
        ids.join(", ")
    )
}

/// Sends `soql` as each caller to privet at `origin`, and to the CRM itself, and prints the table.
///
/// # Errors
/// privet or the CRM does not answer.
pub async fn compare(
    services: &Services,
    origin: &str,
    credentials: &[Credential],
    soql: &str,
    examples: &[(String, &'static str)],
) -> Result<String, NoAnswer> {
    let target = format!("/services/data/v61.0/query?q={}", encode(soql));
    let session = services.crm.open_session();
    let own = ask(
        Method::GET,
        &services.salesforce.origin,
        &target,
        &session,
        None,
    )
    .await?;
    let own = serde_json::from_slice(&own.body).unwrap_or(Json::Null);
    let mut answers = Vec::new();
    for credential in credentials {
        let received = ask(Method::GET, origin, &target, &credential.bearer, None).await?;
        let caller = credential.caller;
        answers.push(Answer {
            title: format!("{} ({}, {})", caller.title, caller.purpose, caller.region),
            status: received.status,
            body: serde_json::from_slice(&received.body).unwrap_or(Json::Null),
        });
    }
    let records: Vec<String> = examples
        .iter()
        .map(|(_, title)| (*title).to_owned())
        .collect();
    Ok(format!(
        "Same request, three callers\n\n  {soql}\n\n{}",
        render(&records, &FIELDS, &answers, &own)
    ))
}

/// The lines to try, with this run's keys.
pub fn lines_to_try(
    origin: &str,
    (admin, admin_token): (&str, &str),
    credentials: &[Credential],
    soql: &str,
    policies: &Path,
) -> String {
    let mut out = format!(
        "Look at it (flow, policy, audit, why, try it, runtime)\n\n  {admin}/login#token={admin_token}\n\nTry\n\n"
    );
    for c in credentials {
        let _ = writeln!(
            out,
            "  # {} ({})\n  curl -s -H 'Authorization: Bearer {}' '{origin}/services/data/v61.0/query?q={}'\n",
            c.caller.title,
            c.caller.client,
            c.bearer,
            encode(soql)
        );
    }
    let mut line = |client: &str, comment: &str, rest: &str| {
        if let Some(c) = credentials.iter().find(|c| c.caller.client == client) {
            let _ = writeln!(
                out,
                "  # {comment}\n  curl -s -H 'Authorization: Bearer {}' {rest}\n",
                c.bearer
            );
        }
    };
    let sort = encode("SELECT Id FROM Contact ORDER BY Email");
    line(
        "service-desk",
        "what is masked cannot be sorted by: refused",
        &format!("'{origin}/services/data/v61.0/query?q={sort}'"),
    );
    line(
        "service-desk",
        "a describe shows only what the caller may read",
        &format!("'{origin}/services/data/v61.0/sobjects/Contact/describe'"),
    );
    line(
        "tableau",
        "the staff directory, a JSON service described by policies/apis/people.yaml",
        &format!("'{origin}/people?limit=3'"),
    );
    line(
        "tableau",
        "the data source, described by policies/apis/analytics.yaml",
        &format!(
            "-H 'Content-Type: application/json' '{origin}/api/v1/vizql-data-service/query-datasource' -d '{{\"datasource\":{{\"datasourceLuid\":\"0f0d3c1e-sales\"}},\"query\":{{\"fields\":[{{\"fieldCaption\":\"Customer Email\"}},{{\"fieldCaption\":\"Amount\",\"function\":\"SUM\"}}]}},\"options\":{{\"returnFormat\":\"OBJECTS\",\"disaggregate\":false}}}}'"
        ),
    );
    let _ = writeln!(
        out,
        "Edit a rule, then ask again:  {}\nHealth and metrics:  {admin}/readyz?verbose  {admin}/metrics",
        policies.join("rules").display()
    );
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::callers::CALLERS;

    #[tokio::test]
    async fn the_table_is_asked_over_real_sockets() {
        let nobody = server::service(|_, _, _, _, _| http::Response::new(bytes::Bytes::new()));
        let services = Services::start(None, Arc::clone(&nobody), nobody)
            .await
            .unwrap();
        let credentials: Vec<Credential> = CALLERS
            .into_iter()
            .map(|caller| Credential {
                caller,
                bearer: services.crm.open_session(),
            })
            .collect();
        let examples = examples(&services.crm);
        assert_eq!(examples.len(), 2);
        let soql = query(&examples);
        // Straight to the CRM: nothing is treated.
        let origin = &services.salesforce.origin;
        let text = compare(&services, origin, &credentials, &soql, &examples)
            .await
            .unwrap();
        assert_eq!(
            text.matches("[clear]").count(),
            2 * FIELDS.len() * CALLERS.len(),
            "{text}"
        );
        let lines = lines_to_try(
            "http://p",
            ("http://a", "t0ken"),
            &credentials,
            &soql,
            Path::new("policies"),
        );
        assert_eq!(lines.matches("curl").count(), CALLERS.len() + 4);
        assert!(lines.contains("http://a/login#token=t0ken"), "{lines}");
    }
}
