//! One policy row gives the same answer on all surfaces: the same field of the same record, asked for in every way
//! that there is, by each caller of the demo.
//!
//! A surface is one line in [`SURFACES`] and one function that asks for one field of one contact and says what it saw.

use std::pin::Pin;

use privet::demo::client::encode;
use privet::demo::metadata::object;
use privet::demo::store::Value;
use serde_json::{Value as Json, json};

use super::soap;
use crate::house::{ANALYST, DESK, DESK_US, House, MARKETING, Plan, run};

const V: &str = "/services/data/v61.0";

/// Of every class and type that the shipped rules treat in some way.
const FIELDS: [&str; 16] = [
    "Id",
    "Name",
    "LastName",
    "Email",
    "Phone",
    "Birthdate",
    "Loyalty_Number__c",
    "Salary__c",
    "SSN__c",
    "Health__c",
    "Description",
    "MailingCity",
    "MailingStreet",
    "Title",
    "HasOptedOutOfEmail",
    "AccountId",
];

/// What a surface shows of one field of one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// The text of the value.
    Value(String),
    /// The field is there and empty.
    Null,
    /// The field is not there.
    Absent,
    /// The request is refused.
    Refused,
}

impl Shown {
    /// From the value of a JSON record.
    pub(super) fn of(value: Option<&Json>) -> Self {
        match value {
            None => Self::Absent,
            Some(Json::Null) => Self::Null,
            Some(Json::String(text)) => Self::Value(text.clone()),
            Some(other) => Self::Value(other.to_string()),
        }
    }
}

impl Shown {
    /// Whether nothing of the value is seen but what a mask leaves.
    fn is_strict(&self) -> bool {
        match self {
            Self::Value(text) => text.contains("****"),
            Self::Null | Self::Absent => true,
            Self::Refused => false,
        }
    }
}

/// Who asks for which field of the contact with which id.
#[derive(Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) house: &'a House,
    pub(super) who: &'a str,
    pub(super) id: &'a str,
    pub(super) field: &'a str,
}

impl Question<'_> {
    /// As the text of a query.
    pub(super) fn soql(self) -> String {
        let fields = if self.field == "Id" {
            "Id".to_owned()
        } else {
            format!("Id, {}", self.field)
        };
        format!("SELECT {fields} FROM Contact WHERE Id = '{}'", self.id)
    }

    /// What the answer to a request shows at a place in its JSON (a pointer of RFC 6901, without the field's name).
    async fn at(self, method: &str, target: &str, body: &str, place: &str) -> Shown {
        let answer = self.house.ask(self.who, method, target, body).await;
        if answer.status >= 300 {
            return Shown::Refused;
        }
        let answer = answer.json();
        let record = answer
            .pointer(place)
            .unwrap_or_else(|| panic!("{target}: {place} is not in {answer}"));
        Shown::of(record.get(self.field))
    }
}

/// The shipped baseline without the row that keeps exports from whoever has signed in once, for surfaces that export.
pub(super) fn without_export_rule() -> String {
    let shipped = include_str!("../../policies/rules/baseline.csv");
    let kept = shipped.lines().filter(|l| !l.contains("export-needs-mfa"));
    kept.map(|line| format!("{line}\n")).collect()
}

type Seen<'a> = Pin<Box<dyn Future<Output = Shown> + 'a>>;
type Surface = for<'a> fn(Question<'a>) -> Seen<'a>;

/// Every surface by its name. The first one is what the others are held against.
const SURFACES: &[(&str, Surface)] = &[
    ("record", |q| Box::pin(record(q))),
    ("query", |q| Box::pin(query(q))),
    ("queryAll", |q| Box::pin(query_all(q))),
    ("record in composite", |q| Box::pin(composite(q))),
    ("query in composite", |q| Box::pin(composite_query(q))),
    ("batch", |q| Box::pin(batch(q))),
    ("collections", |q| Box::pin(collections(q))),
    ("SOAP query", |q| Box::pin(soap_query(q))),
    ("SOAP retrieve", |q| Box::pin(soap_retrieve(q))),
    ("GraphQL", |q| Box::pin(graphql(q))),
    ("Bulk API 2.0", |q| Box::pin(bulk2(q))),
    ("PushTopic", |q| Box::pin(push_topic(q))),
    (LIST_VIEW, |q| Box::pin(list_view(q))),
    (REPORT, |q| Box::pin(report(q))),
];

const LIST_VIEW: &str = "list view";
const REPORT: &str = "report";

/// Surfaces whose cells do not say which record they stand in: what depends on a flag or region of the record is unknown
/// there, and the strictest treatment holds.
const UNTOLD: &[&str] = &[LIST_VIEW, REPORT];

/// Surfaces that the caller asks for by a name of the CRM: what is denied is left out, not refused.
const STORED: &[&str] = &[LIST_VIEW];

/// Surfaces whose fields are columns: a field that is not there in one row is empty in it if it is there in another.
const TABLES: &[&str] = &["Bulk API 2.0"];

async fn record(q: Question<'_>) -> Shown {
    let target = format!("{V}/sobjects/Contact/{}?fields={}", q.id, q.field);
    q.at("GET", &target, "", "").await
}

async fn query(q: Question<'_>) -> Shown {
    let target = format!("{V}/query?q={}", encode(&q.soql()));
    q.at("GET", &target, "", "/records/0").await
}

async fn query_all(q: Question<'_>) -> Shown {
    let target = format!("{V}/queryAll?q={}", encode(&q.soql()));
    q.at("GET", &target, "", "/records/0").await
}

/// One GET inside of a composite request.
async fn inside(q: Question<'_>, target: &str, place: &str) -> Shown {
    let body = json!({"compositeRequest": [{"method": "GET", "referenceId": "a", "url": target}]});
    let answer = q
        .house
        .ask(q.who, "POST", &format!("{V}/composite"), &body.to_string())
        .await;
    if answer.status >= 300 {
        return Shown::Refused;
    }
    let part = answer.json()["compositeResponse"][0].clone();
    if part["httpStatusCode"] != 200 {
        return Shown::Refused;
    }
    Shown::of(
        part["body"]
            .pointer(place)
            .unwrap_or_else(|| panic!("{place} is not in {part}"))
            .get(q.field),
    )
}

async fn composite(q: Question<'_>) -> Shown {
    let target = format!("{V}/sobjects/Contact/{}?fields={}", q.id, q.field);
    inside(q, &target, "").await
}

async fn composite_query(q: Question<'_>) -> Shown {
    let target = format!("{V}/query?q={}", encode(&q.soql()));
    inside(q, &target, "/records/0").await
}

async fn batch(q: Question<'_>) -> Shown {
    let url = format!("v61.0/sobjects/Contact/{}?fields={}", q.id, q.field);
    let body = json!({"batchRequests": [{"method": "GET", "url": url}]});
    let answer = q
        .house
        .ask(
            q.who,
            "POST",
            &format!("{V}/composite/batch"),
            &body.to_string(),
        )
        .await;
    let part = match answer.status {
        200 => answer.json()["results"][0].clone(),
        _ => return Shown::Refused,
    };
    if part["statusCode"] == 200 {
        Shown::of(part["result"].get(q.field))
    } else {
        Shown::Refused
    }
}

async fn collections(q: Question<'_>) -> Shown {
    let target = format!(
        "{V}/composite/sobjects/Contact?ids={}&fields={}",
        q.id, q.field
    );
    q.at("GET", &target, "", "/0").await
}

async fn soap_call(q: Question<'_>, call: &str) -> Shown {
    let answer = soap::call(q.house, q.who, "u", call).await;
    if answer.status != 200 {
        return Shown::Refused;
    }
    match soap::field(&answer.text(), q.field) {
        None => Shown::Absent,
        Some(None) => Shown::Null,
        Some(Some(text)) => Shown::Value(text),
    }
}

async fn soap_query(q: Question<'_>) -> Shown {
    soap_call(q, &soap::query(&q.soql())).await
}

async fn soap_retrieve(q: Question<'_>) -> Shown {
    let call = format!(
        "<retrieve><fieldList>{}</fieldList><sObjectType>Contact</sObjectType><ids>{}</ids></retrieve>",
        q.field, q.id
    );
    soap_call(q, &call).await
}

async fn graphql(q: Question<'_>) -> Shown {
    let field = match q.field {
        "Id" => "Id".to_owned(),
        other => format!("{other}{{value}}"),
    };
    let query = format!(
        "{{uiapi{{query{{Contact(where:{{Id:{{eq:\"{}\"}}}}){{edges{{node{{{field}}}}}}}}}}}}}",
        q.id
    );
    let body = json!({ "query": query }).to_string();
    let answer = q
        .house
        .ask(q.who, "POST", &format!("{V}/graphql"), &body)
        .await;
    if answer.status != 200 {
        return Shown::Refused;
    }
    let answer = answer.json();
    let node = &answer["data"]["uiapi"]["query"]["Contact"]["edges"][0]["node"];
    assert!(node.is_object(), "{answer}");
    match (q.field, node.get(q.field)) {
        ("Id", value) => Shown::of(value),
        (_, None) => Shown::Absent,
        (_, Some(wrapped)) => Shown::of(wrapped.get("value")),
    }
}

/// The list view that shows every field of every contact.
async fn list_view(q: Question<'_>) -> Shown {
    let target = format!("{V}/sobjects/Contact/listviews/00B5g00000000A1EAI/results?limit=60");
    let answer = q.house.get(q.who, &target).await;
    if answer.status != 200 {
        return Shown::Refused;
    }
    let answer = answer.json();
    let cell = |row: &Json, column: &str| {
        let cells = row["columns"].as_array().unwrap();
        let found = cells.iter().find(|c| c["fieldNameOrPath"] == column);
        found.map(|c| c["value"].clone())
    };
    let rows = answer["records"].as_array().unwrap();
    let row = rows.iter().find(|r| cell(r, "Id") == Some(q.id.into()));
    Shown::of(cell(row.unwrap(), q.field).as_ref())
}

/// A report that is asked for this column and this record.
async fn report(q: Question<'_>) -> Shown {
    let body = json!({"reportMetadata": {
        "detailColumns": [format!("Contact.{}", q.field)],
        "aggregates": [],
        "reportFilters": [{"column": "Contact.Id", "operator": "equals", "value": q.id}],
    }});
    let target = format!("{V}/analytics/reports/00O5g00000000R1EAI?includeDetails=true");
    let answer = q.house.ask(q.who, "POST", &target, &body.to_string()).await;
    if answer.status != 200 {
        return Shown::Refused;
    }
    let answer = answer.json();
    let cells = &answer["factMap"]["T!T"]["rows"][0]["dataCells"];
    Shown::of(cells.get(0).map(|cell| &cell["value"]))
}

/// A table has one text for what is empty and for null, and a column for every row or for none.
async fn bulk2(q: Question<'_>) -> Shown {
    let jobs = format!("{V}/jobs/query");
    let body = json!({"operation": "query", "query": q.soql()}).to_string();
    let made = q.house.ask(q.who, "POST", &jobs, &body).await;
    if made.status != 200 {
        return Shown::Refused;
    }
    let job = format!("{jobs}/{}", made.json()["id"].as_str().unwrap());
    assert_eq!(
        q.house.get(q.who, &job).await.json()["state"],
        "JobComplete"
    );
    let table = q.house.get(q.who, &format!("{job}/results")).await;
    assert_eq!(table.status, 200, "{}", table.text());
    let mut reader = csv::Reader::from_reader(&*table.body);
    let column = reader.headers().unwrap().iter().position(|c| c == q.field);
    let row = reader.records().next().unwrap().unwrap();
    match column.map(|at| &row[at]) {
        None => Shown::Absent,
        Some("") => Shown::Null,
        Some(text) => Shown::Value(text.to_owned()),
    }
}

/// The event of a PushTopic that selects the field. What it does not select, no event can be treated by: so the flag too.
async fn push_topic(q: Question<'_>) -> Shown {
    const FLAG: &str = "HasOptedOutOfEmail";
    let mut fields = vec!["Id", FLAG];
    if !fields.contains(&q.field) {
        fields.push(q.field);
    }
    let query = format!("SELECT {} FROM Contact", fields.join(", "));
    let crm = &q.house.services.crm;
    crm.streams().keep_topic("Surface", &query);
    let client = q.house.handshake(q.who).await;
    let ask = async |message: Json| {
        let body = json!([message]).to_string();
        q.house.ask(q.who, "POST", "/cometd/61.0", &body).await
    };
    let subscribed = ask(
        json!({"channel": "/meta/subscribe", "id": "2", "clientId": client,
        "subscription": "/topic/Surface"}),
    )
    .await;
    if subscribed.status != 200 {
        return Shown::Refused;
    }
    {
        let contacts = object("Contact").unwrap();
        let mut store = crm.store_mut();
        let row = store.table(contacts).find(q.id).unwrap();
        let now = Value::text("2026-11-23T12:00:00.000+0000");
        store.set(contacts, row, "LastModifiedDate", now);
    }
    let polled = ask(
        json!({"channel": "/meta/connect", "id": "3", "clientId": client,
        "connectionType": "long-polling"}),
    )
    .await
    .json();
    match Shown::of(polled[0]["data"]["sobject"].get(q.field)) {
        // The topic names the field and not the caller: what is denied is left out.
        Shown::Absent if record(q).await == Shown::Refused => Shown::Refused,
        shown => shown,
    }
}

#[test]
fn one_policy_row_gives_the_same_answer_on_all_surfaces() {
    run(async {
        let house = Plan {
            watched: false,
            policies: vec![("rules/baseline.csv", without_export_rule())],
            ..Plan::default()
        }
        .build()
        .await;
        let mut differences = Vec::new();
        let (mut values, mut hidden) = (0, 0);
        for who in [DESK, ANALYST, MARKETING, DESK_US.title] {
            // In France with consent, in the United States without.
            for id in ["0035g000000000AAAQ", "0035g000000000WAAQ"] {
                for field in FIELDS {
                    let question = Question {
                        house: &house,
                        who,
                        id,
                        field,
                    };
                    let mut expected = None;
                    for (name, ask) in SURFACES {
                        let shown = ask(question).await;
                        match &expected {
                            None => {
                                match shown {
                                    Shown::Value(_) => values += 1,
                                    _ => hidden += 1,
                                }
                                expected = Some(shown);
                            }
                            Some(expected) if *expected == shown => {}
                            Some(Shown::Absent)
                                if TABLES.contains(name) && shown == Shown::Null => {}
                            Some(_) if UNTOLD.contains(name) && shown.is_strict() => {}
                            Some(Shown::Refused)
                                if STORED.contains(name) && shown == Shown::Absent => {}
                            Some(expected) => differences.push(format!(
                                "{who}, {field} of {id}, {name}: {shown:?} and not {expected:?}"
                            )),
                        }
                    }
                }
            }
        }
        assert!(differences.is_empty(), "{}", differences.join("\n"));
        assert!(values > 40 && hidden > 20, "{values} {hidden}");
    });
}
