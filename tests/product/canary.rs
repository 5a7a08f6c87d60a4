//! Values that no caller, log line, metric or audit record may ever show.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD};
use memchr::memmem;
use privet::demo::analytics::Analytics;
use privet::demo::client::encode;
use privet::demo::crm::{Asked, Crm};
use privet::demo::metadata::{OBJECTS, object};
use privet::demo::people::People;
use privet::demo::server;
use privet::demo::store::Value;
use privet::demo::workspace::{POLICIES, SERVICE_TOKEN};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::house::{
    ANALYST, Answer, DESK, DESK_US, EVERYBODY, House, MARKETING, Plan, gunzip, logged, run,
};

/// How every planted text begins; four digits follow. In e-mails it is in lower case.
const TEXT: &str = "CNRYvaluePRIVET";
/// How every planted number begins; four digits follow, the last of them never 0.
const NUMBER: &str = "9175313862";
/// The planted birthday: its year and month may be seen, its day never.
const DAY: &str = "1871-05-23";
/// Planted where no rule lets anybody look.
const CLOSED: &str = "closed";

/// What is planted: number → class of its field.
#[derive(Default)]
struct Garden {
    classes: BTreeMap<String, String>,
    planted: Vec<String>,
}

impl Garden {
    fn next(&mut self, class: &str) -> usize {
        // Not divisible by ten: rounding down must change it.
        let n = self.planted.len() / 9 * 10 + self.planted.len() % 9 + 1;
        self.planted.push(class.to_owned());
        self.classes.insert(format!("{n:04}"), class.to_owned());
        n
    }

    fn text(&mut self, class: &str) -> String {
        format!("{TEXT}{:04}", self.next(class))
    }

    fn email(&mut self, class: &str) -> String {
        format!("{}@firm.example", self.text(class).to_lowercase())
    }

    fn number(&mut self, class: &str) -> u64 {
        format!("{NUMBER}{:04}", self.next(class)).parse().unwrap()
    }
}

/// Field → class, as the shipped files say.
fn classes() -> BTreeMap<String, String> {
    POLICIES
        .iter()
        .filter(|(name, _)| name.starts_with("classes/"))
        .flat_map(|(_, text)| text.lines())
        .filter_map(|line| line.strip_prefix("g2,"))
        .filter_map(|row| row.split_once(','))
        .map(|(field, class)| (field.trim().to_owned(), class.trim().replace("class:", "")))
        .collect()
}

/// What a caller may see of planted records (people who objected, firms in the United States), by the policies' text.
fn may_see(who: &str, class: &str) -> bool {
    let inside = |outer: &str| {
        class == outer
            || class
                .strip_prefix(outer)
                .is_some_and(|r| r.starts_with('.'))
    };
    let any = |outer: &[&str]| outer.iter().any(|o| inside(o));
    let employee = any(&["operational", "staff.name"]) || class == "company";
    let desk = any(&["pii.name", "staff.email", "company.headcount"]);
    if who == DESK {
        employee || desk || any(&["pii.phone", "pii.address", "freetext"])
    } else if who == DESK_US.title {
        employee || desk || any(&["company.phone", "abroad"])
    } else if who == ANALYST {
        employee || any(&["pii.address.city", "financial", "company"])
    } else if who == MARKETING {
        employee || any(&["pii.address.city", "company.phone"])
    } else {
        false
    }
}

/// Rows on the first page and on the second.
const ROWS: [usize; 4] = [0, 1, 2, 503];

fn plant_crm(crm: &Crm, garden: &mut Garden) {
    let classes = classes();
    let mut store = crm.store_mut();
    for (number, meta) in OBJECTS.iter().enumerate() {
        for row in ROWS {
            if row >= store.table(number).rows.len() {
                continue;
            }
            for field in meta.fields {
                let class = classes.get(&format!("{}.{}", meta.name, field.name));
                // Firms say where they are: what the desk there may read, it may not read elsewhere.
                let class = match class.map_or(CLOSED, String::as_str) {
                    "freetext" if meta.name == "Account" => "abroad",
                    class => class,
                };
                let computed = !field.is_writable() && field.name != "CaseNumber";
                let value = match field.kind {
                    _ if field.name == "BillingCountryCode" => Value::text("US"),
                    _ if field.name == "HasOptedOutOfEmail" => Value::Bool(true),
                    _ if computed => continue,
                    "id" | "reference" | "boolean" | "address" | "datetime" => continue,
                    "date" if field.name == "Birthdate" => Value::text(DAY),
                    "date" => continue,
                    "int" => Value::Int(garden.number(class).cast_signed()),
                    "double" | "currency" => Value::Number(garden.number(class) as f64),
                    "email" => Value::text(&garden.email(class)),
                    _ => Value::text(&garden.text(class)),
                };
                store.set(number, row, field.name, value);
            }
        }
    }
    // The planted records hang together, so that parents and children of planted ones are planted too.
    let id = |name: &str, row: usize| {
        let number = object(name).unwrap();
        store.table(number).rows[row][0].clone()
    };
    let (firm, owner, human) = (id("Account", 0), id("User", 0), id("Contact", 0));
    for row in ROWS {
        for (name, field, target) in [
            ("Contact", "AccountId", &firm),
            ("Contact", "OwnerId", &owner),
            ("Account", "OwnerId", &owner),
            ("Case", "ContactId", &human),
            ("Case", "AccountId", &firm),
            ("Case", "OwnerId", &owner),
            ("Task", "WhoId", &human),
            ("Task", "WhatId", &firm),
            ("Lead", "OwnerId", &owner),
        ] {
            store.set(object(name).unwrap(), row, field, target.clone());
        }
    }
}

fn plant_people(people: &mut People, garden: &mut Garden) {
    for row in people.rows_mut().iter_mut().take(3) {
        row["name"] = json!(garden.text("staff.name"));
        row["contact"] = json!({
            "email": garden.email("staff.email"), "phone": garden.text("staff.phone"), "fax": garden.text(CLOSED),
        });
        row["department"] = json!(garden.text("operational"));
        row["birthdate"] = json!(DAY);
        row["pay"] =
            json!({ "salary": garden.number("pii.salary"), "currency": garden.text(CLOSED) });
        row["notes"] = json!(garden.text(CLOSED));
    }
}

fn plant_sales(analytics: &mut Analytics, garden: &mut Garden) {
    for row in analytics.rows_mut().iter_mut().take(3) {
        row[1] = json!(garden.text("pii.name"));
        row[2] = json!(garden.email("pii.email"));
        row[8] = json!(garden.text("operational"));
    }
}

/// An upstream that behaves badly when asked for a certain OFFSET, and otherwise is the CRM.
fn misbehaving(crm: &Arc<Crm>, secret: String) -> server::Handler {
    let crm = Arc::clone(crm);
    Arc::new(move |asked: &Asked| {
        let query = asked.parameter("q").unwrap_or_default().to_owned();
        let answer = |status: u16, kind: &str, body: String| {
            http::Response::builder()
                .status(status)
                .header("content-type", kind)
                .header("x-echo", &secret)
                .header("set-cookie", format!("a={secret}"))
                .header("location", format!("https://elsewhere.example/{secret}"))
                .header("www-authenticate", format!("Bearer realm=\"{secret}\""))
                .header("warning", format!("199 - \"{secret}\""))
                .body(body.into())
                .unwrap()
        };
        let error = |code: &str| {
            json!([{ "message": format!("{query} {secret}"), "errorCode": code }]).to_string()
        };
        let json = "application/json";
        let record = json!({
            "attributes": { "type": "Contact", "url": "/services/data/v61.0/sobjects/Contact/x", secret.clone(): secret },
            "Email": secret, "email": secret, "Ema\u{ff49}l": secret, "Other": { "a": [secret] }, secret.clone(): secret,
        });
        let page =
            json!({ "totalSize": 1, "done": true, secret.clone(): secret, "records": [record] })
                .to_string();
        let offset = query.rsplit_once("OFFSET ").map(|(_, n)| n.to_owned());
        match offset.as_deref() {
            Some("13") => answer(400, json, error("MALFORMED_QUERY")),
            Some("14") => answer(500, "text/html", format!("<html>{query} {secret}</html>")),
            Some("15") => answer(200, "text/plain", secret.clone()),
            Some("16") => answer(200, json, page[..page.len() - 40].to_owned()),
            Some("17") => answer(200, json, page),
            Some("18") => answer(302, json, error("MOVED")),
            Some("19") => answer(400, json, error(&secret)),
            Some("20") => answer(404, json, secret.clone()),
            Some("21") => answer(403, json, error("DUPLICATE_VALUE")),
            _ => crm.answer(asked).into(),
        }
    })
}

/// Every request, beside further pages, as method, target and body.
fn requests(crm: &Crm, garden: &Garden) -> Vec<(&'static str, String, String)> {
    let mut queries: Vec<String> = Vec::new();
    let plain = |filter: fn(&str) -> bool| {
        let number = object("Contact").unwrap();
        let names = OBJECTS[number].fields.iter().map(|f| f.name);
        names.filter(|n| filter(n)).collect::<Vec<_>>()
    };
    for meta in OBJECTS {
        let names: Vec<&str> = meta.fields.iter().map(|f| f.name).collect();
        let most: Vec<&str> = names
            .iter()
            .copied()
            .filter(|n| *n != "Health__c")
            .collect();
        for list in [
            names.join(", "),
            most.join(", "),
            "FIELDS(ALL)".into(),
            "FIELDS(STANDARD)".into(),
        ] {
            queries.push(format!(
                "SELECT {list} FROM {} ORDER BY Id LIMIT 5",
                meta.name
            ));
        }
    }
    queries.extend([
        "SELECT Id, (SELECT Id, Name, Email, Phone, SSN__c, Salary__c, Description FROM Contacts) FROM Account LIMIT 2".to_owned(),
        "SELECT Id, (SELECT Id, Subject, Description FROM Tasks) FROM Contact LIMIT 2".to_owned(),
        "SELECT Id, Contact.Name, Contact.Email, Contact.Phone, Contact.SSN__c, Contact.Account.Name, \
         Contact.Account.Phone, Contact.Owner.Email, Owner.Username, Subject FROM Case ORDER BY Id LIMIT 5"
            .to_owned(),
        "SELECT Id, Subject, Who.Name, What.Name, Owner.Name, Description FROM Task ORDER BY Id LIMIT 5".to_owned(),
        "SELECT c.Name, c.Email, c.Account.Owner.Email FROM Contact c ORDER BY c.Id LIMIT 5".to_owned(),
        "SELECT COUNT() FROM Contact".to_owned(),
        "SELECT Id FROM Contact WHERE NOT (Salary__c < 9175313862000)".to_owned(),
    ]);
    for name in plain(|n| n != "MailingAddress") {
        queries.push(format!(
            "SELECT Id, {name} FROM Contact ORDER BY {name} DESC LIMIT 5"
        ));
        queries.push(format!(
            "SELECT {name}, COUNT(Id) n FROM Contact GROUP BY {name} LIMIT 5"
        ));
        queries.push(format!("SELECT COUNT({name}), MAX({name}) FROM Contact"));
    }
    let text = garden.classes.keys().next().unwrap();
    let value = format!("{TEXT}{text}");
    for name in [
        "Name",
        "Email",
        "Phone",
        "Description",
        "SSN__c",
        "Health__c",
        "MailingStreet",
        "Title",
    ] {
        for condition in [
            format!("{name} = '{value}' LIMIT 20"),
            format!("{name} LIKE '%{value}%' LIMIT 20"),
            format!("{name} LIKE '{TEXT}%' LIMIT 20"),
            format!("{name} IN ('x', '{value}') LIMIT 20"),
            format!("{name} > '{value}' LIMIT 20"),
            format!("NOT {name} = '{value}' LIMIT 20"),
            format!("{name} = '{value}' FROBNICATE"),
            format!("{name} = '{value}"),
            format!("{name} = '{value}' OFFSET 13"),
        ] {
            queries.push(format!("SELECT Id, {name} FROM Contact WHERE {condition}"));
        }
    }
    for offset in 13..=21 {
        queries.push(format!(
            "SELECT Id, Email FROM Contact WHERE Id != '{value}' OFFSET {offset}"
        ));
        queries.push(format!("SELECT Email FROM Contact OFFSET {offset}"));
    }
    let data = "/services/data/v61.0";
    let mut found: Vec<(&'static str, String, String)> = Vec::new();
    for soql in &queries {
        found.push((
            "GET",
            format!("{data}/query?q={}", encode(soql)),
            String::new(),
        ));
    }
    for soql in queries.iter().step_by(7) {
        found.push((
            "GET",
            format!("{data}/queryAll?q={}", encode(soql)),
            String::new(),
        ));
    }
    for (number, meta) in OBJECTS.iter().enumerate() {
        let id = crm.store().table(number).rows[0][0]
            .as_text()
            .unwrap()
            .to_owned();
        let row = format!("{data}/sobjects/{}/{id}", meta.name);
        let names: Vec<&str> = meta
            .fields
            .iter()
            .map(|f| f.name)
            .filter(|n| *n != "Health__c")
            .collect();
        for target in [
            row.clone(),
            format!("{row}?fields={}", names.join(",")),
            format!("{row}?fields=Id,Email,Phone,Health__c"),
            format!("{data}/sobjects/{}", meta.name),
            format!("{data}/sobjects/{}/describe", meta.name),
            format!("{data}/sobjects/{}/listviews", meta.name),
            format!("{data}/sobjects/{}/Email/{value}", meta.name),
        ] {
            found.push(("GET", target, String::new()));
        }
        found.push((
            "PATCH",
            row,
            json!({ "Email": value, "Description": value }).to_string(),
        ));
    }
    found.extend(around_records(crm, &value));
    found.extend(soap_calls(crm, &value));
    for rest in [
        "",
        "/limits",
        "/sobjects",
        "/recent",
        "/search?q=",
        "/parameterizedSearch?q=",
        "/tooling/query?q=",
        "/query?explain=",
    ] {
        let tail = if rest.ends_with('=') {
            encode(&value)
        } else {
            String::new()
        };
        found.push(("GET", format!("{data}{rest}{tail}"), String::new()));
    }
    let composite = json!({ "compositeRequest": [{ "body": { "Email": value } }] }).to_string();
    found.push(("POST", format!("{data}/composite"), composite));
    found.push((
        "POST",
        "/services/Soap/u/61.0".into(),
        json!({ "x": value }).to_string(),
    ));
    found.push(("GET", "/services/data".into(), String::new()));
    found.push((
        "GET",
        format!("/services/data/v61.0/query/{value}"),
        String::new(),
    ));
    for target in [
        "/people".to_owned(),
        "/people?limit=3&sort=name".into(),
        "/people?limit=3&sort=joined".into(),
        "/people/p1000".into(),
        "/people/p1000/notes".into(),
        format!("/people?department={value}"),
        format!("/people?mail={}", encode(&format!("{value}@firm.example"))),
        format!("/people?salary={value}"),
        format!("/people?sort={value}"),
        format!("/people/{value}"),
    ] {
        found.push(("GET", target, String::new()));
    }
    for body in [
        json!({ "contact": { "email": value } }),
        json!({ "pay": { "salary": value } }),
        json!([value]),
    ] {
        found.push(("PATCH", "/people/p1000".into(), body.to_string()));
    }
    let captions = ["Customer", "Customer Email", "Segment", "Amount"];
    for function in [None, Some("MIN"), Some("MAX"), Some("COUNTD"), Some("SUM")] {
        for caption in captions {
            let mut column = json!({ "fieldCaption": caption });
            if let Some(function) = function {
                column["function"] = json!(function);
            }
            for extra in [
                json!({ "fieldCaption": "Region" }),
                json!({ "fieldCaption": caption, "sortPriority": 1 }),
            ] {
                for filter in ["Customer Email", "Amount"] {
                    found.push(sales(&json!([column, extra]), filter, &value));
                }
            }
        }
    }
    found.push((
        "POST",
        "/api/v1/vizql-data-service/read-metadata".into(),
        json!({ "x": value }).to_string(),
    ));
    found.push((
        "POST",
        "/api/v1/vizql-data-service/query-datasource".into(),
        format!("{{\"a\":\"{value}\""),
    ));
    found
}

/// Searches, relationships, lists of records, layouts, collections, trees, and errors that quote.
fn around_records(crm: &Crm, value: &str) -> Vec<(&'static str, String, String)> {
    let data = "/services/data/v61.0";
    let mut found: Vec<(&'static str, String, String)> = Vec::new();
    let some = "Id,Name,Email,Phone,Title,Description,SSN__c,Salary__c,MailingStreet,Greeting__c";
    for (number, meta) in OBJECTS.iter().enumerate() {
        let name = meta.name;
        let id = crm.store().table(number).rows[0][0]
            .as_text()
            .unwrap()
            .to_owned();
        let row = format!("{data}/sobjects/{name}/{id}");
        let fields: Vec<&str> = meta
            .fields
            .iter()
            .map(|f| f.name)
            .filter(|n| *n != "Health__c")
            .collect();
        let names = fields.join(", ");
        let mut gets = Vec::new();
        for related in [
            "Account",
            "Owner",
            "CreatedBy",
            "Contact",
            "Who",
            "What",
            "Contacts",
            "Cases",
            "Tasks",
            "Nothings",
        ] {
            gets.push(format!("{row}/{related}"));
            gets.push(format!("{row}/{related}?fields={some}"));
            gets.push(format!("{row}/{related}?fields=Id,Name,Phone"));
        }
        for (start, end) in [
            ("2026-01-01T00:00:00Z", "2026-01-29T00:00:00Z"),
            (value, value),
        ] {
            for what in ["updated", "deleted"] {
                gets.push(format!(
                    "{data}/sobjects/{name}/{what}?start={start}&end={end}"
                ));
            }
        }
        for rest in [
            "describe/layouts",
            "describe/compactLayouts",
            "describe/approvalLayouts",
            "describe/namedLayouts/x",
            "Body",
        ] {
            gets.push(format!("{data}/sobjects/{name}/{rest}"));
        }
        for blob in ["Body", "BinaryData", value] {
            gets.push(format!("{row}/{blob}"));
        }
        for field in ["Loyalty_Number__c", "Email", "Name", "SSN__c"] {
            gets.push(format!("{data}/sobjects/{name}/{field}/{value}"));
        }
        gets.push(format!(
            "{data}/composite/sobjects/{name}?ids={id}&fields={}",
            fields.join(",")
        ));
        gets.push(format!("{data}/compactLayouts?q={name}"));
        for scope in ["ALL", "NAME", "EMAIL", "PHONE", "SIDEBAR"] {
            for term in [format!("{TEXT}*"), value.to_owned()] {
                for rest in [
                    format!("{name}({names})"),
                    format!("{name}(Id, Name)"),
                    format!("{name}(Id WHERE Name LIKE '{value}%' ORDER BY Name) WITH SNIPPET"),
                    name.to_owned(),
                ] {
                    let sosl = format!("FIND {{{term}}} IN {scope} FIELDS RETURNING {rest}");
                    gets.push(format!("{data}/search?q={}", encode(&sosl)));
                }
            }
            gets.push(format!(
                "{data}/parameterizedSearch?q={value}&in={scope}&sobject={name}&{name}.fields=Id,Name"
            ));
            found.push((
                "POST",
                format!("{data}/parameterizedSearch"),
                json!({"q": format!("{TEXT}*"), "in": scope, "sobjects": [{"name": name, "fields": fields}]}).to_string(),
            ));
        }
        gets.push(format!(
            "{data}/search/suggestions?q={value}&sobject={name}"
        ));
        gets.push(format!(
            "{data}/search/suggestions?q={TEXT}&sobject={name}&fields={some}"
        ));
        found.extend(
            gets.into_iter()
                .map(|target| ("GET", target, String::new())),
        );
        let record = json!({
            "attributes": {"type": name, "referenceId": "a"}, "LastName": value, "Name": value, "Email": value,
        });
        let keyed =
            json!({"attributes": {"type": name}, "Loyalty_Number__c": value, "Title": value});
        // Too long for its column: the CRM's error quotes it.
        let long = format!("{value}{}", "x".repeat(300));
        for (method, target, body) in [
            ("POST", format!("sobjects/{name}"), record.clone()),
            (
                "POST",
                format!("sobjects/{name}"),
                json!({"LastName": "test", "Subject": long}),
            ),
            (
                "PATCH",
                format!("sobjects/{name}/{id}"),
                json!({"Subject": long}),
            ),
            (
                "PATCH",
                format!("sobjects/{name}/{id}"),
                json!({"Phone": long}),
            ),
            (
                "PATCH",
                format!("sobjects/{name}/Loyalty_Number__c/{value}"),
                json!({"Title": value}),
            ),
            (
                "PATCH",
                format!("sobjects/{name}/{id}"),
                json!({"Account": {"Name": value}}),
            ),
            (
                "POST",
                "composite/sobjects".into(),
                json!({"records": [record]}),
            ),
            (
                "PATCH",
                "composite/sobjects".into(),
                json!({"records": [{"attributes": {"type": name}, "id": id,
                "Subject": long}]}),
            ),
            (
                "PATCH",
                format!("composite/sobjects/{name}/Loyalty_Number__c"),
                json!({"records": [keyed]}),
            ),
            (
                "POST",
                format!("composite/sobjects/{name}"),
                json!({"ids": [id], "fields": fields}),
            ),
            (
                "POST",
                format!("composite/tree/{name}"),
                json!({"records": [record]}),
            ),
            (
                "POST",
                "composite/batch".into(),
                json!({"batchRequests": [
                    {"method": "GET", "url": format!("v61.0/sobjects/{name}/{id}")},
                    {"method": "PATCH", "url": format!("v61.0/sobjects/{name}/{id}"), "richInput": {"Subject": long}},
                ]}),
            ),
            (
                "POST",
                "composite".into(),
                json!({"compositeRequest": [
                    {"method": "GET", "referenceId": "a", "url": format!("{data}/sobjects/{name}/{id}")},
                    {"method": "GET", "referenceId": "b", "url": format!("{data}/sobjects/Contact/@{{a.Email}}")},
                ]}),
            ),
            (
                "POST",
                "composite/graph".into(),
                json!({"graphs": [{"graphId": value, "compositeRequest": []}]}),
            ),
        ] {
            found.push((method, format!("{data}/{target}"), body.to_string()));
        }
        let node: String = (fields
            .iter()
            .filter(|f| **f != "Id" && !f.ends_with("Address")))
        .map(|f| format!("a_{f}:{f}{{value displayValue}} "))
        .collect();
        for (arguments, node) in [
            ("first:50".to_owned(), format!("Id {node}")),
            (
                "first:50".to_owned(),
                format!("...F}}}}}}}}}}fragment F on {name}{{Name{{displayValue"),
            ),
            (
                format!("where:{{Name:{{like:\"{value}%\"}}}}"),
                "Id".to_owned(),
            ),
            (
                format!("where:{{Email:{{eq:\"{value}\"}}}}"),
                "Email{value}".to_owned(),
            ),
            (
                format!("orderBy:{{Name:{{order:ASC}}}},after:\"{value}\""),
                "Id".to_owned(),
            ),
            (
                "first:5".to_owned(),
                format!(
                    "{value}{{value}} Account{{Name{{value}} Phone{{value}}}} Owner{{Email{{value}}}}"
                ),
            ),
            (
                "first:50".to_owned(),
                "Contacts(first:9){edges{node{Name{value displayValue} Salary__c{displayValue}}}}"
                    .to_owned(),
            ),
        ] {
            let query = format!(
                "{{uiapi{{query{{{name}({arguments}){{edges{{node{{{node}}}cursor}}totalCount}}}}}}}}"
            );
            found.push((
                "POST",
                format!("{data}/graphql"),
                json!({"query": query, "variables": {"v": value}}).to_string(),
            ));
        }
        for (arguments, aggregate) in [
            (
                "first:50,groupBy:{Name:{group:true}}",
                "Name{value displayValue} Id{count{value}}",
            ),
            (
                "first:50,groupBy:{Email:{group:true}}",
                "Email{value} Name{min{value displayValue}}",
            ),
            (
                "first:50",
                "Name{min{value} max{displayValue} countDistinct{value}} Salary__c{sum{value} avg{value}}",
            ),
            (
                "first:50,groupBy:{Title:{group:true}},orderBy:{Phone:{function:MAX,order:DESC}}",
                "Title{value} Phone{max{value}}",
            ),
        ] {
            let query = format!(
                "{{uiapi{{aggregate{{{name}({arguments}){{edges{{node{{aggregate{{{aggregate}}}}}cursor}}totalCount}}}}}}}}"
            );
            let body = json!({ "query": query }).to_string();
            found.push(("POST", format!("{data}/graphql"), body));
        }
        for query in [
            format!("{{__type(name:\"{value}\"){{name}}}}"),
            format!("{{uiapi{{objectInfos(apiNames:[\"{value}\"]){{ApiName}}}}}}"),
            format!(
                "mutation{{uiapi{{{name}Create(input:{{{name}:{{Name:\"{value}\"}}}}){{Record{{Id}}}}}}}}"
            ),
        ] {
            let body = json!({ "query": query }).to_string();
            found.push(("POST", format!("{data}/graphql"), body));
        }
        found.push((
            "DELETE",
            format!("{data}/composite/sobjects?ids={value}"),
            String::new(),
        ));
    }
    for target in [
        format!("{data}/limits/recordCount?sObjects=Contact,{value}"),
        format!("{data}/connect/organization"),
        format!("{data}/chatter/feeds/news/me/feed-elements"),
        format!("{data}/chatter/feeds/record/{value}/feed-elements"),
        format!("{data}/connect/organization?page={value}"),
        format!("{data}/search/scopeOrder"),
        format!("{data}/search/layout?q={value}"),
        "/services/oauth2/userinfo".to_owned(),
        format!("/id/{value}/{value}"),
        format!(
            "/services/oauth2/authorize?response_type=code&client_id={value}&redirect_uri={value}"
        ),
        format!("/services/apexrest/{value}"),
    ] {
        found.push(("GET", target, String::new()));
    }
    found
}

/// Every call of SOAP, in both flavours.
fn soap_calls(crm: &Crm, value: &str) -> Vec<(&'static str, String, String)> {
    let mut calls: Vec<String> = Vec::new();
    for (number, meta) in OBJECTS.iter().enumerate() {
        let name = meta.name;
        let id = crm.store().table(number).rows[0][0]
            .as_text()
            .unwrap()
            .to_owned();
        let fields: Vec<&str> = (meta.fields.iter().filter(|f| f.kind != "address"))
            .map(|f| f.name)
            .collect();
        let fields = fields.join(",");
        for call in ["query", "queryAll"] {
            for text in [
                format!("SELECT {fields} FROM {name}"),
                format!("SELECT Id, Name, Email FROM {name} WHERE Email = '{value}'"),
                format!("SELECT Name, MIN(Phone) FROM {name} GROUP BY Name"),
                format!("SELECT Name, Account.Name, Owner.Email FROM {name}"),
                format!("SELECT {value} FROM {name}"),
            ] {
                calls.push(format!(
                    "<{call}><queryString>{text}</queryString></{call}>"
                ));
            }
        }
        calls.push(format!(
            "<retrieve><fieldList>{fields}</fieldList><sObjectType>{name}</sObjectType><ids>{id}</ids></retrieve>"
        ));
        calls.push(format!(
            "<search><searchString>FIND {{{value}}} IN ALL FIELDS RETURNING {name}({fields})</searchString></search>"
        ));
        calls.push(format!(
            "<describeSObject><sObjectType>{name}</sObjectType></describeSObject>"
        ));
        calls.push(format!(
            "<describeSObjects><sObjectType>{name}</sObjectType></describeSObjects>"
        ));
        for call in ["getUpdated", "getDeleted"] {
            calls.push(format!(
                "<{call}><sObjectType>{name}</sObjectType><startDate>2026-01-01T00:00:00Z</startDate>\
                 <endDate>2026-01-20T00:00:00Z</endDate></{call}>"
            ));
        }
        let record = format!(
            "<sObjects><type>{name}</type><Id>{id}</Id><Email>{value}</Email><Subject>{value}</Subject></sObjects>"
        );
        calls.push(format!("<create>{record}</create>"));
        calls.push(format!("<update>{record}</update>"));
        calls.push(format!(
            "<upsert><externalIDFieldName>Email</externalIDFieldName>{record}</upsert>"
        ));
    }
    for call in [
        "queryMore",
        "delete",
        "logout",
        "getUserInfo",
        "getServerTimestamp",
        "describeGlobal",
        "convertLead",
    ] {
        calls.push(match call {
            "queryMore" => format!("<queryMore><queryLocator>{value}</queryLocator></queryMore>"),
            "delete" => format!("<delete><ids>{value}</ids></delete>"),
            "convertLead" => format!("<convertLead><leadId>{value}</leadId></convertLead>"),
            call => format!("<{call}/>"),
        });
    }
    let mut found = Vec::new();
    for call in calls {
        for (letter, flavour) in [("u", "partner"), ("c", "enterprise")] {
            let envelope = format!(
                "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns=\"urn:{flavour}.soap.sforce.com\">\
                 <e:Header><SessionHeader><sessionId>{{session}}</sessionId></SessionHeader></e:Header>\
                 <e:Body>{call}</e:Body></e:Envelope>"
            );
            found.push(("POST", format!("/services/Soap/{letter}/61.0"), envelope));
        }
    }
    found
}

/// Logins that hold the value as user, password, secret or token, as form and as SOAP.
fn logins(value: &str) -> Vec<String> {
    let form = "application/x-www-form-urlencoded";
    let envelope = |user: &str, password: &str| {
        format!(
            "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
             <login xmlns=\"urn:partner.soap.sforce.com\"><username>{user}</username><password>{password}</password>\
             </login></e:Body></e:Envelope>"
        )
    };
    [
        ("/services/oauth2/token", form, format!("grant_type=client_credentials&client_id={value}&client_secret={value}")),
        ("/services/oauth2/token", form, format!("grant_type=password&client_id=x&client_secret=y&username={value}&password={value}")),
        ("/services/oauth2/token", form, format!("grant_type=refresh_token&refresh_token={value}")),
        ("/services/oauth2/token", form, format!("grant_type={value}")),
        ("/services/oauth2/revoke", form, format!("token={value}")),
        ("/services/oauth2/introspect", form, format!("token={value}")),
        ("/services/Soap/u/61.0", "text/xml", envelope(value, value)),
        ("/services/Soap/u/61.0", "text/xml", envelope("service-desk", value)),
        ("/services/Soap/c/61.0", "text/xml", format!("<{value}>")),
    ]
    .into_iter()
    .map(|(target, kind, body)| {
        format!(
            "POST {target} HTTP/1.1\r\nHost: crm.test\r\nSOAPAction: login\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        )
    })
    .collect()
}

/// What an OAuth login and a SOAP login with a good key give.
async fn sessions(house: &House, client: &str, key: &str) -> [String; 2] {
    let form = format!("grant_type=client_credentials&client_id={client}&client_secret={key}");
    let envelope = format!(
        "<?xml version=\"1.0\"?><e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Body>\
         <login xmlns=\"urn:partner.soap.sforce.com\"><username>{client}</username><password>{key}</password>\
         </login></e:Body></e:Envelope>"
    );
    let mut found = Vec::new();
    for (target, kind, body) in [
        (
            "/services/oauth2/token",
            "application/x-www-form-urlencoded",
            form,
        ),
        ("/services/Soap/u/61.0", "text/xml", envelope),
    ] {
        let mut stream = TcpStream::connect(house.address).await.unwrap();
        let request = format!(
            "POST {target} HTTP/1.1\r\nHost: crm.test\r\nSOAPAction: login\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut raw = Vec::new();
        stream.read_to_end(&mut raw).await.unwrap();
        let answer = Answer::parse(raw).text();
        let at = answer.find("pvs_").unwrap();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let end = answer[at..].find(|c| !is_part(c)).unwrap();
        found.push(answer[at..at + end].to_owned());
    }
    found.try_into().unwrap()
}

fn sales(fields: &serde_json::Value, filter: &str, value: &str) -> (&'static str, String, String) {
    let filters = if filter == "Amount" {
        json!([])
    } else {
        let field = json!({ "fieldCaption": filter });
        json!([{ "filterType": "SET", "field": field, "values": [value, "SO-10001"], "exclude": false }])
    };
    let body = json!({
        "datasource": { "datasourceLuid": "0f0d3c1e-sales" },
        "query": { "fields": fields, "filters": filters },
    });
    (
        "POST",
        "/api/v1/vizql-data-service/query-datasource".into(),
        body.to_string(),
    )
}

/// Looks for anything planted.
struct Search {
    coded: Vec<Vec<u8>>,
}

impl Search {
    fn new() -> Self {
        let mut coded = Vec::new();
        for text in [TEXT.to_owned(), TEXT.to_lowercase()] {
            for shift in 0..3 {
                let mut bytes = vec![b'x'; shift];
                bytes.extend_from_slice(text.as_bytes());
                for encoding in [BASE64_NOPAD, BASE64URL_NOPAD] {
                    // Only the characters that depend on nothing before or after.
                    let (from, to) = ((shift * 8).div_ceil(6), bytes.len() * 8 / 6);
                    coded.push(encoding.encode(&bytes).as_bytes()[from..to].to_vec());
                }
            }
        }
        Self { coded }
    }

    /// Numbers of what is found in `bytes`, in whatever coding; `day` and `coded` for what has no number.
    fn find(&self, bytes: &[u8]) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        let mut forms = vec![bytes.to_vec()];
        if memchr::memchr(b'%', bytes).is_some() {
            forms.push(percent_decoded(bytes));
        }
        if memmem::find(bytes, b"\\u00").is_some() {
            forms.push(unescaped(bytes));
        }
        if bytes.starts_with(&[0x1F, 0x8B]) {
            forms.push(gunzip(bytes));
        }
        for form in forms {
            let lower = form.to_ascii_lowercase();
            for prefix in [TEXT.to_lowercase(), NUMBER.to_owned()] {
                for at in memmem::find_iter(&lower, prefix.as_bytes()) {
                    let from = at + prefix.len();
                    let digits = lower.get(from..from + 4).unwrap_or_default();
                    found.insert(String::from_utf8_lossy(digits).into_owned());
                }
            }
            if memmem::find(&lower, DAY.as_bytes()).is_some() {
                found.insert("day".to_owned());
            }
            if self.coded.iter().any(|c| memmem::find(&form, c).is_some()) {
                found.insert("coded".to_owned());
            }
        }
        found
    }
}

fn percent_decoded(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
        let hex = bytes
            .get(at + 1..at + 3)
            .and_then(|h| std::str::from_utf8(h).ok());
        match hex
            .filter(|_| b == b'%')
            .and_then(|h| u8::from_str_radix(h, 16).ok())
        {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(b);
                at += 1;
            }
        }
    }
    out
}

/// `\u0041` → `A`, as far as ASCII.
fn unescaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&b) = bytes.get(at) {
        let code = bytes
            .get(at..at + 6)
            .and_then(|e| e.strip_prefix(b"\\u00"))
            .and_then(|h| std::str::from_utf8(h).ok())
            .and_then(|h| u8::from_str_radix(h, 16).ok());
        out.push(code.unwrap_or(b));
        at += if code.is_some() { 6 } else { 1 };
    }
    out
}

#[test]
fn the_search_sees_every_coding() {
    let search = Search::new();
    let value = format!("{TEXT}0042");
    let escaped = value.bytes().fold(String::new(), |mut out, b| {
        let _ = write!(out, "\\u{b:04x}");
        out
    });
    let percent = value.bytes().fold(String::new(), |mut out, b| {
        let _ = write!(out, "%{b:02X}");
        out
    });
    for text in [
        value.to_lowercase(),
        escaped,
        percent,
        format!("{{\"n\":{NUMBER}0042.5}}"),
    ] {
        assert_eq!(
            search.find(text.as_bytes()),
            BTreeSet::from(["0042".to_owned()]),
            "{text}"
        );
    }
    for shift in 0..3 {
        let text = BASE64_NOPAD.encode(format!("{}{value}", &"abc"[..shift]).as_bytes());
        assert!(search.find(text.as_bytes()).contains("coded"), "{text}");
    }
    assert!(search.find(br#""1871-05-23""#).contains("day"));
    assert!(search.find(br#""1871-05-01""#).is_empty());
}

/// Bulk jobs of this caller, a field each, and what they find. Creating one has shown nothing.
async fn extracts(house: &House, who: &str) -> Vec<(&'static str, String, String)> {
    let jobs = "/services/data/v61.0/jobs";
    let mut all = Vec::new();
    for field in [
        "Name",
        "Email",
        "Phone",
        "Birthdate",
        "Description",
        "Loyalty_Number__c",
        "SSN__c",
        "Salary__c",
        "Title",
        "Department",
        "MailingCity",
        "Account.Name",
        "Account.Phone",
        "Account.NumberOfEmployees",
    ] {
        let body =
            json!({"operation": "query", "query": format!("SELECT Id, {field} FROM Contact")});
        let create = ("POST", format!("{jobs}/query"), body.to_string());
        let made = ask(house, who, &create).await;
        all.push(create);
        if made.status == 200 {
            let id = made.json()["id"].as_str().unwrap().to_owned();
            for rest in ["", "/results", "/results?maxRecords=501"] {
                all.push(("GET", format!("{jobs}/query/{id}{rest}"), String::new()));
            }
        }
    }
    for field in [
        "Name",
        "Email",
        "Phone",
        "Birthdate",
        "SSN__c",
        "Salary__c",
        "Account.Phone",
    ] {
        let soql = format!("SELECT Id, {field} FROM Contact");
        all.extend(batches(house, who, "query", soql).await);
    }
    all.extend(batches(house, who, "insert", "[{\"LastName\":\"x\"}]".to_owned()).await);
    let ids: Vec<String> = {
        let store = house.services.crm.store();
        let contacts = store.table(object("Contact").unwrap());
        let id = |row: &usize| contacts.rows[*row][0].as_text().unwrap().to_owned();
        ROWS.iter().map(id).collect()
    };
    let fields = OBJECTS[object("Contact").unwrap()].fields.iter();
    let fields: Vec<String> = fields.map(|f| format!("Contact.{}", f.name)).collect();
    let fields = format!("optionalFields={},Contact.Account.Name", fields.join(","));
    let data = "/services/data/v61.0";
    let mut read = |rest: String| all.push(("GET", format!("{data}/{rest}"), String::new()));
    read(format!("ui-api/records/{}?{fields}", ids[0]));
    read(format!("ui-api/records/batch/{}?{fields}", ids.join(",")));
    read("ui-api/object-info/Contact".to_owned());
    for view in [
        "00B5g00000000A1EAI",
        "00B5g00000000A2EAI",
        "00B5g00000000A3EAI",
    ] {
        read(format!("ui-api/list-records/{view}?{fields}"));
        read(format!("sobjects/Contact/listviews/{view}/describe"));
        read(format!(
            "sobjects/Contact/listviews/{view}/results?limit=600"
        ));
    }
    for n in 1..6 {
        read(format!("analytics/reports/00O5g00000000R{n}EAI/describe"));
        read(format!(
            "analytics/reports/00O5g00000000R{n}EAI?includeDetails=true"
        ));
    }
    read("analytics/dashboards/01Z5g00000000D1EAI".to_owned());
    read("analytics/dashboards/01Z5g00000000D1EAI/describe".to_owned());
    let load = json!({"object": "Case", "operation": "insert"});
    let load = ("POST", format!("{jobs}/ingest"), load.to_string());
    let made = ask(house, who, &load).await;
    all.push(load);
    if made.status == 200 {
        let id = made.json()["id"].as_str().unwrap().to_owned();
        for rest in [
            "",
            "/successfulResults",
            "/failedResults",
            "/unprocessedrecords",
        ] {
            all.push(("GET", format!("{jobs}/ingest/{id}{rest}"), String::new()));
        }
    }
    all
}

/// What the Streaming API says of everything that was planted: of each object its change events, and a PushTopic that
/// selects every field. The values stand in channels and filters too.
async fn events(house: &House, who: &str) -> Vec<((&'static str, String, String), Answer)> {
    let cometd = |message: serde_json::Value| {
        let body = json!([message]).to_string();
        ("POST", "/cometd/61.0".to_owned(), body)
    };
    let client = house.handshake(who).await;
    let value = format!("{TEXT}0001");
    let mut requests = Vec::new();
    for meta in OBJECTS {
        let topic = format!("All{}", meta.name);
        let names: Vec<&str> = meta.fields.iter().map(|f| f.name).collect();
        let query = format!("SELECT {} FROM {}", names.join(", "), meta.name);
        house.services.crm.streams().keep_topic(&topic, &query);
        for channel in [
            format!("/data/{}ChangeEvent", meta.name),
            format!("/topic/{topic}"),
            format!("/topic/{topic}?Name='{value}'"),
            format!("/data/{value}ChangeEvent"),
        ] {
            let replay = json!({ "replay": { channel.as_str(): -2 } });
            requests.push(cometd(
                json!({"channel": "/meta/subscribe", "id": value, "clientId": client,
                "subscription": channel, "ext": replay}),
            ));
        }
    }
    let poll = json!({"channel": "/meta/connect", "id": "9", "clientId": client, "connectionType": "long-polling"});
    requests.push(cometd(poll));
    let mut found = Vec::new();
    for request in requests {
        let answer = ask(house, who, &request).await;
        found.push((request, answer));
    }
    let heard = found
        .last()
        .map(|(_, answer)| answer.text())
        .unwrap_or_default();
    assert_eq!(
        heard.contains("ChangeEventHeader"),
        who != "nobody",
        "{who}: {heard}"
    );
    found
}

/// A job of Bulk API 1.0 with one batch, and what comes of it.
async fn batches(
    house: &House,
    who: &str,
    operation: &str,
    batch: String,
) -> Vec<(&'static str, String, String)> {
    let mut all = Vec::new();
    let job = json!({"operation": operation, "object": "Contact", "contentType": "JSON"});
    let create = (
        "POST",
        "/services/async/61.0/job".to_owned(),
        job.to_string(),
    );
    let made = ask(house, who, &create).await;
    all.push(create.clone());
    if made.status != 201 {
        return all;
    }
    let job = format!("{}/{}", create.1, made.json()["id"].as_str().unwrap());
    let add = ("POST", format!("{job}/batch"), batch);
    let made = ask(house, who, &add).await;
    all.push(add.clone());
    all.push(("GET", job, String::new()));
    all.push(("GET", add.1.clone(), String::new()));
    if made.status != 201 {
        return all;
    }
    let batch = format!("{}/{}", add.1, made.json()["id"].as_str().unwrap());
    let results = ("GET", format!("{batch}/result"), String::new());
    let list = ask(house, who, &results).await;
    if let Some(id) = list.json()[0].as_str() {
        all.push(("GET", format!("{}/{id}", results.1), String::new()));
    }
    all.push(results);
    for rest in ["", "/request"] {
        all.push(("GET", format!("{batch}{rest}"), String::new()));
    }
    all
}

async fn ask(house: &House, who: &str, request: &(&'static str, String, String)) -> Answer {
    house.ask(who, request.0, &request.1, &request.2).await
}

#[test]
fn what_is_treated_is_seen_nowhere() {
    run(async {
        let mut garden = Garden::default();
        let crm = Arc::new(Crm::default());
        plant_crm(&crm, &mut garden);
        let mut people = People::seeded(Some(SERVICE_TOKEN.into()));
        plant_people(&mut people, &mut garden);
        let mut analytics = Analytics::seeded(Some(SERVICE_TOKEN.into()));
        plant_sales(&mut analytics, &mut garden);
        let secret = garden.text(CLOSED);
        let house = Plan {
            salesforce: misbehaving(&crm, secret),
            crm: Arc::clone(&crm),
            people,
            analytics,
            ..Plan::default()
        }
        .build()
        .await;
        let search = Search::new();
        let all = requests(&crm, &garden);
        let mut leaks = Vec::new();
        for caller in EVERYBODY {
            let who = caller.title;
            let mut seen = BTreeSet::new();
            let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
            let mut envelopes = 0;
            let mut check = |request: &(&'static str, String, String), answer: &Answer| {
                let mut found = search.find(answer.head.as_bytes());
                found.append(&mut search.find(&answer.body));
                // Also what stands between the chunks, or after the end; their borders cut some numbers.
                let raw = search.find(&answer.raw).into_iter();
                found.extend(raw.filter(|n| n == "coded" || garden.classes.contains_key(n)));
                *statuses.entry(answer.status).or_default() += 1;
                let is_soap = request.1.starts_with("/services/Soap/");
                envelopes += usize::from(is_soap && answer.status == 200);
                // What ends in 0 was rounded down: nothing planted does.
                for number in found.into_iter().filter(|n| !n.ends_with('0')) {
                    let class = garden.classes.get(&number).map_or(CLOSED, String::as_str);
                    if may_see(who, class) {
                        seen.insert(class.to_owned());
                    } else {
                        leaks.push(format!(
                            "{who} {class} {number}: {request:?} {}",
                            answer.status
                        ));
                    }
                }
            };
            for request in &all {
                check(request, &ask(&house, who, request).await);
            }
            for request in extracts(&house, who).await {
                check(&request, &ask(&house, who, &request).await);
            }
            // Whoever logged in sees what the key sees: every request once more, by turns with a session of OAuth and of SOAP.
            if who == DESK {
                let sessions = sessions(&house, caller.client, house.key(who)).await;
                for (request, session) in all.iter().zip(sessions.iter().cycle()) {
                    let (method, target, body) = request;
                    let answer = house.ask_bearing(session, method, target, body).await;
                    check(request, &answer);
                }
            }
            // Every change of a planted record, as events.
            for (request, answer) in events(&house, who).await {
                check(&request, &answer);
            }
            // Every page of everybody, and the same page asked for by others.
            let most = "SELECT Id, Name, FirstName, Email, Phone, MobilePhone, MailingStreet, MailingAddress, Birthdate, \
                        Description, Loyalty_Number__c, SSN__c, Salary__c, Greeting__c, Account.Name FROM Contact";
            let mut target = format!("/services/data/v61.0/query?q={}", encode(most));
            let mut pages = 0;
            loop {
                let request = ("GET", target, String::new());
                let answer = ask(&house, who, &request).await;
                check(&request, &answer);
                let next = (answer.status == 200).then(|| answer.json()["nextRecordsUrl"].clone());
                let Some(next) = next.as_ref().and_then(|n| n.as_str()) else {
                    break;
                };
                pages += 1;
                for other in EVERYBODY
                    .into_iter()
                    .filter(|o| o.title != who && o.client != caller.client)
                {
                    let refused = house.get(other.title, next).await;
                    assert_eq!(refused.refused(), (400, "INVALID_QUERY_LOCATOR".to_owned()));
                    assert!(search.find(&refused.raw).is_empty());
                }
                target = next.to_owned();
            }
            // That nothing was seen would prove nothing if nothing had been answered.
            if caller.role.is_empty() {
                assert!(seen.is_empty() && pages == 0, "{seen:?}");
            } else {
                assert!(
                    pages == 3 && seen.contains("operational") && seen.contains("company"),
                    "{who}: {seen:?}"
                );
                assert!(
                    statuses[&200] > 60 && statuses[&400] > 60,
                    "{who}: {statuses:?}"
                );
                assert!(envelopes > 20, "{who}: {envelopes}");
            }
        }
        for login in logins(&format!("{TEXT}0001")) {
            let mut stream = TcpStream::connect(house.address).await.unwrap();
            let _ = stream.write_all(login.as_bytes()).await;
            let mut raw = Vec::new();
            let _ = stream.read_to_end(&mut raw).await;
            let answer = Answer::parse(raw);
            assert!(answer.status >= 400, "{login}");
            if !search.find(&answer.raw).is_empty() {
                leaks.push(format!("{login}: {}", answer.text()));
            }
        }
        for (place, text) in [
            ("the log", logged()),
            ("the metrics", house.admin("/metrics").await.text()),
            ("readiness", house.admin("/readyz?verbose").await.text()),
            ("the audit log", house.audit()),
        ] {
            assert!(text.len() > 20, "{place} is empty");
            for found in search.find(text.as_bytes()) {
                leaks.push(format!("{place}: {found}"));
            }
        }
        let audit = house.audit();
        assert!(
            audit.lines().count() > 2 * EVERYBODY.len() * all.len(),
            "every attempt has its outcome"
        );
        assert!(
            leaks.is_empty(),
            "{} leaks\n{}",
            leaks.len(),
            leaks[..leaks.len().min(20)].join("\n")
        );
    });
}
