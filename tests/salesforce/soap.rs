//! The SOAP API over real sockets: what a field shows is what REST shows of it, whoever asks.

use privet::demo::client::encode;
use privet::demo::crm::{CLIENT_SECRET, ORGANISATION};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::house::{ANALYST, Answer, DESK, House, MARKETING, Plan, run};

const V: &str = "/services/data/v61.0";
const FIELDS: [&str; 12] = [
    "Id",
    "Name",
    "LastName",
    "Email",
    "Phone",
    "Birthdate",
    "Loyalty_Number__c",
    "Salary__c",
    "MailingPostalCode",
    "Title",
    "HasOptedOutOfEmail",
    "AccountId",
];

/// What the shipped policies leave closed: records to write, a field to find them by.
const RULES: &str = "\
# p, effect, who, action, what, treatment, purpose, region, when, priority, id
p, allow, role:support_agent, filter|key, Contact.Loyalty_Number__c, -, support, *, -, 10, s-key
p, allow, role:support_agent, write,      Contact.*,                 -, support, *, -, 10, s-write
p, allow, role:support_agent, write,      Contact.Loyalty_Number__c, -, support, *, -, 5,  s-number
p, allow, role:support_agent, delete,     Contact.*,                 -, support, *, -, 10, s-delete
";

async fn house() -> House {
    Plan {
        policies: vec![("rules/soap.csv", RULES.to_owned())],
        ..Plan::default()
    }
    .build()
    .await
}

fn envelope(session: &str, headers: &str, call: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" \
         xmlns=\"urn:partner.soap.sforce.com\" xmlns:n=\"urn:sobject.partner.soap.sforce.com\" \
         xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><s:Header><SessionHeader><sessionId>{session}</sessionId>\
         </SessionHeader>{headers}</s:Header><s:Body>{call}</s:Body></s:Envelope>"
    )
}

/// Posts `body` as it is.
async fn post(house: &House, letter: &str, body: &str) -> Answer {
    let mut stream = TcpStream::connect(house.address).await.unwrap();
    let head = format!(
        "POST /services/Soap/{letter}/61.0 HTTP/1.1\r\nHost: crm.test\r\nContent-Type: text/xml; charset=UTF-8\r\n\
         SOAPAction: \"\"\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(body.as_bytes()).await;
    let mut raw = Vec::new();
    let _ = stream.read_to_end(&mut raw).await;
    let answer = Answer::parse(raw);
    // Byte by byte: neither host, organisation and session of the CRM, nor anybody's key.
    let text = format!("{}{}", answer.head, answer.text());
    let host = house.services.salesforce.origin.replace("http://", "");
    for secret in [
        &*host,
        "00D5g000000DEMO",
        CLIENT_SECRET,
        ORGANISATION,
        house.key(DESK),
        house.key(ANALYST),
    ] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    answer
}

pub(super) async fn call(house: &House, who: &str, letter: &str, call: &str) -> Answer {
    post(house, letter, &envelope(house.key(who), "", call)).await
}

/// As [`call`], answered.
async fn got(house: &House, who: &str, letter: &str, body: &str) -> String {
    let answer = call(house, who, letter, body).await;
    assert_eq!(answer.status, 200, "{body}: {}", answer.text());
    assert!(
        answer.head.contains("content-type: text/xml"),
        "{}",
        answer.head
    );
    answer.text()
}

/// As [`call`], refused with a fault: its code. Nothing has reached the CRM.
async fn refused(house: &House, who: &str, body: &str) -> String {
    let before = house.services.crm.seen().len();
    let answer = call(house, who, "u", body).await;
    assert_eq!(house.services.crm.seen().len(), before, "{body}");
    code(&answer)
}

fn code(answer: &Answer) -> String {
    let text = answer.text();
    assert_eq!(answer.status, 500, "{text}");
    let code = between(&text, "<sf:exceptionCode>", "</").unwrap_or_else(|| panic!("{text}"));
    assert!(
        text.contains(&format!(
            "<faultcode>sf:{code}</faultcode><faultstring>{code}: "
        )),
        "{text}"
    );
    code
}

fn between(text: &str, from: &str, to: &str) -> Option<String> {
    let at = text.find(from)? + from.len();
    Some(text[at..at + text[at..].find(to)?].to_owned())
}

/// The text of the first element called `name`; `None`: not there; `Some(None)`: null.
pub(super) fn field(record: &str, name: &str) -> Option<Option<String>> {
    if let Some(text) = between(record, &format!("<sf:{name}>"), "</") {
        return Some(Some(
            text.replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&apos;", "'")
                .replace("&quot;", "\"")
                .replace("&amp;", "&"),
        ));
    }
    record
        .contains(&format!("<sf:{name} xsi:nil=\"true\"/>"))
        .then_some(None)
}

fn records<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name} "), format!("</{name}>"));
    text.split(&open)
        .skip(1)
        .map(|r| r.split(&close).next().unwrap())
        .collect()
}

/// One record of REST and the same of SOAP.
fn same(rest: &Json, soap: &str, fields: &[&str]) {
    for name in fields {
        let told = match rest.get(*name) {
            None => None,
            Some(Json::Null) => Some(None),
            Some(Json::String(text)) => Some(Some(text.clone())),
            Some(other) => Some(Some(other.to_string())),
        };
        assert_eq!(field(soap, name), told, "{name} of {soap}");
    }
}

pub(super) fn query(soql: &str) -> String {
    let soql = soql.replace('<', "&lt;");
    format!("<query><queryString>{soql}</queryString></query>")
}

#[test]
fn a_record_shows_what_rest_shows_of_it() {
    run(async {
        let house = house().await;
        for who in [DESK, ANALYST, MARKETING] {
            let named: Vec<&str> = {
                let all = FIELDS.iter().copied();
                let mut able = Vec::new();
                for name in all {
                    let one =
                        format!("SELECT Id, {name} FROM Contact LIMIT 1").replace("Id, Id", "Id");
                    if house.query(who, &one).await.status == 200 {
                        able.push(name);
                    }
                }
                able
            };
            assert!(named.len() > 3, "{who}: {named:?}");
            let soql = format!(
                "SELECT {}, Account.Name FROM Contact LIMIT 3",
                named.join(", ")
            );
            let rest = house.query(who, &soql).await.json();
            let rest = rest["records"].as_array().unwrap();
            for letter in ["u", "c"] {
                let soap = got(&house, who, letter, &query(&soql)).await;
                let soap = records(&soap, "records");
                assert_eq!(soap.len(), rest.len());
                for (rest, soap) in rest.iter().zip(&soap) {
                    let account =
                        between(soap, "<sf:Account ", "</sf:Account>").unwrap_or_default();
                    let own = soap.replace(&account, "");
                    same(rest, &own, &named);
                    if rest["Account"].is_object() {
                        same(&rest["Account"], &account, &["Name"]);
                    }
                }
            }
            // By id.
            if let Some(id) = rest[0]["Id"].as_str() {
                let target = format!("{V}/sobjects/Contact/{id}?fields={}", named.join(","));
                let row = house.get(who, &target).await.json();
                let text = format!(
                    "<retrieve><fieldList>{}</fieldList><sObjectType>Contact</sObjectType><ids>{id}</ids></retrieve>",
                    named.join(", ")
                );
                for letter in ["u", "c"] {
                    let soap = got(&house, who, letter, &text).await;
                    same(&row, &soap, &named);
                }
            }
        }
        // What went upstream carried the session of the CRM and nobody's key.
        let sent = house.services.crm.seen();
        let sent: Vec<_> = sent.iter().filter(|a| a.target.contains("Soap")).collect();
        assert!(!sent.is_empty());
        for asked in sent {
            let text = String::from_utf8(asked.body.clone()).unwrap();
            assert!(!text.contains("pvt_") && !text.contains("pvs_"), "{text}");
            assert!(text.contains("<sessionId>00D") && asked.header("authorization").is_none());
        }
    });
}

#[test]
fn child_queries_counts_and_aggregates_are_treated() {
    run(async {
        let house = house().await;
        let soql = "SELECT Id, Name, (SELECT Id, Email, Salary__c FROM Contacts) FROM Account ORDER BY Id LIMIT 4";
        let rest = house.query(DESK, soql).await.json();
        let soap = got(&house, DESK, "u", &query(soql)).await;
        let mut emails = Vec::new();
        for account in rest["records"].as_array().unwrap() {
            for contact in account["Contacts"]["records"]
                .as_array()
                .into_iter()
                .flatten()
            {
                emails.extend(contact["Email"].as_str().map(str::to_owned));
            }
        }
        assert!(!emails.is_empty());
        for email in &emails {
            assert!(
                soap.contains(&format!("<sf:Email>{email}</sf:Email>")),
                "{email}"
            );
        }
        assert_eq!(soap.matches("<sf:Email>").count(), emails.len());
        assert!(!soap.contains("Salary") && soap.contains("xsi:type=\"QueryResult\""));
        let count = got(&house, DESK, "u", &query("SELECT COUNT() FROM Contact")).await;
        assert!(count.contains("<size>2000</size>"), "{count}");
        let soql = "SELECT Title, COUNT(Id) n FROM Contact GROUP BY Title LIMIT 2";
        let groups = got(&house, DESK, "u", &query(soql)).await;
        assert!(
            groups.contains("<sf:type>AggregateResult</sf:type>") && groups.contains("<sf:n>"),
            "{groups}"
        );
    });
}

#[test]
fn pages_have_locators_of_the_callers_own() {
    run(async {
        let house = house().await;
        let (mut ids, mut pages) = (std::collections::HashSet::new(), 0);
        let mut text = got(&house, DESK, "u", &query("SELECT Id, Email FROM Contact")).await;
        loop {
            pages += 1;
            for record in records(&text, "records") {
                ids.insert(field(record, "Id").unwrap().unwrap());
                assert!(
                    field(record, "Email")
                        .unwrap()
                        .is_none_or(|e| e.contains("****@"))
                );
            }
            let Some(locator) = between(&text, "<queryLocator>", "</") else {
                break;
            };
            assert!(text.contains("<done>false</done>") && !locator.starts_with("01g"));
            let more = format!("<queryMore><queryLocator>{locator}</queryLocator></queryMore>");
            assert_eq!(
                refused(&house, ANALYST, &more).await,
                "INVALID_QUERY_LOCATOR"
            );
            text = got(&house, DESK, "u", &more).await;
        }
        assert!(text.contains("<done>true</done>"));
        assert_eq!((ids.len(), pages), (2_000, 4));
        let crm = "<queryMore><queryLocator>01g5g00000A1B2CAAV-500</queryLocator></queryMore>";
        assert_eq!(refused(&house, DESK, crm).await, "INVALID_QUERY_LOCATOR");
        let options = "<QueryOptions><batchSize>250</batchSize></QueryOptions>";
        let body = envelope(house.key(DESK), options, &query("SELECT Id FROM Contact"));
        let page = post(&house, "u", &body).await.text();
        assert_eq!(records(&page, "records").len(), 250);
    });
}

#[test]
fn what_rest_refuses_of_a_query_soap_refuses_too() {
    run(async {
        let house = house().await;
        for who in [DESK, ANALYST, MARKETING] {
            for soql in [
                "SELECT Id FROM Contact WHERE Email = 'a@b.example'",
                "SELECT Id FROM Contact WHERE Email LIKE 'a%'",
                "SELECT Id FROM Contact WHERE Salary__c > 1",
                "SELECT Id FROM Contact WHERE SSN__c = '1'",
                "SELECT Id FROM Contact ORDER BY Birthdate",
                "SELECT COUNT(Id) FROM Contact GROUP BY Salary__c",
                "SELECT MAX(Salary__c) FROM Contact",
                "SELECT SSN__c FROM Contact",
                "SELECT Nothing FROM Contact",
                "SELECT Id FROM Nothing",
                "SELECT Id FROM Account WHERE Id IN (SELECT AccountId FROM Contact WHERE Salary__c = 1)",
                "SELECT FROM",
            ] {
                let rest = house.query(who, soql).await;
                let soap = call(&house, who, "u", &query(&soql.replace('>', "&gt;"))).await;
                if rest.status == 200 {
                    assert_eq!(soap.status, 200, "{who} {soql}");
                } else {
                    assert_eq!(
                        code(&soap),
                        rest.json()[0]["errorCode"].as_str().unwrap(),
                        "{who} {soql}"
                    );
                }
            }
        }
        let filter = query("SELECT Id FROM Contact WHERE Salary__c = 1");
        assert_eq!(refused(&house, DESK, &filter).await, "INVALID_FIELD");
        let search = "<search><searchString>FIND {ann} IN ALL FIELDS RETURNING Contact(Id, Email)</searchString></search>";
        let rest = house
            .get(
                DESK,
                &format!(
                    "{V}/search?q={}",
                    encode("FIND {ann} IN ALL FIELDS RETURNING Contact(Id, Email)")
                ),
            )
            .await;
        assert_eq!(
            refused(&house, DESK, search).await,
            rest.json()[0]["errorCode"].as_str().unwrap()
        );
    });
}

#[test]
fn searches_changes_and_describes_say_what_rest_says() {
    run(async {
        let house = house().await;
        let sosl = "FIND {greta} IN NAME FIELDS RETURNING Contact(Id, Name, Email)";
        let rest = house
            .get(DESK, &format!("{V}/search?q={}", encode(sosl)))
            .await
            .json();
        let rest = rest["searchRecords"].as_array().unwrap();
        let text = format!("<search><searchString>{sosl}</searchString></search>");
        let soap = got(&house, DESK, "u", &text).await;
        let soap = records(&soap, "record");
        assert!(!rest.is_empty());
        assert_eq!(soap.len(), rest.len());
        for (rest, soap) in rest.iter().zip(soap) {
            same(rest, soap, &["Id", "Name", "Email"]);
        }

        for who in [DESK, ANALYST, MARKETING] {
            let rest = house
                .get(who, &format!("{V}/sobjects/Contact/describe"))
                .await
                .json();
            for (call, name) in [
                ("describeSObject", "sObjectType"),
                ("describeSObjects", "sObjectTypes"),
            ] {
                let text = format!("<{call}><{name}>Contact</{name}></{call}>");
                let soap = got(&house, who, "u", &text).await;
                let fields: Vec<&str> = soap
                    .split("<fields>")
                    .skip(1)
                    .map(|f| f.split("</fields>").next().unwrap())
                    .collect();
                let told = rest["fields"].as_array().unwrap();
                assert_eq!(fields.len(), told.len());
                for (soap, rest) in fields.iter().zip(told) {
                    for key in [
                        "name",
                        "type",
                        "filterable",
                        "sortable",
                        "groupable",
                        "length",
                    ] {
                        let rest = rest[key]
                            .as_str()
                            .map_or_else(|| rest[key].to_string(), str::to_owned);
                        assert_eq!(
                            between(soap, &format!("<{key}>"), "</").unwrap(),
                            rest,
                            "{who} {key} {soap}"
                        );
                    }
                    let targets = rest["referenceTo"].as_array().map_or(0, Vec::len);
                    assert_eq!(soap.matches("<referenceTo>").count(), targets, "{soap}");
                }
            }
            let rest = house.get(who, &format!("{V}/sobjects")).await.json();
            let soap = got(&house, who, "u", "<describeGlobal/>").await;
            assert_eq!(
                soap.matches("<sobjects>").count(),
                rest["sobjects"].as_array().unwrap().len()
            );
        }
        assert_eq!(
            refused(
                &house,
                DESK,
                "<describeSObject><sObjectType>Nothing</sObjectType></describeSObject>"
            )
            .await,
            "INVALID_TYPE"
        );

        let (start, end) = ("2026-11-01T00:00:00Z", "2026-11-23T00:00:00Z");
        for (call, what, element) in [
            ("getUpdated", "updated", "ids"),
            ("getDeleted", "deleted", "deletedRecords"),
        ] {
            let target = format!(
                "{V}/sobjects/Contact/{what}/?start={}&end={}",
                encode(start),
                encode(end)
            );
            let rest = house.get(DESK, &target).await;
            assert_eq!(rest.status, 200, "{}", rest.text());
            let text = format!(
                "<{call}><sObjectType>Contact</sObjectType><startDate>{start}</startDate><endDate>{end}</endDate></{call}>"
            );
            let soap = got(&house, DESK, "u", &text).await;
            let list = if what == "updated" {
                "ids"
            } else {
                "deletedRecords"
            };
            assert_eq!(
                soap.matches(&format!("<{element}>")).count(),
                rest.json()[list].as_array().unwrap().len()
            );
        }
    });
}

#[test]
fn what_is_written_is_judged_field_by_field() {
    run(async {
        let house = house().await;
        let one = |call: &str, fields: &str| {
            format!("<{call}><sObjects><n:type>Contact</n:type>{fields}</sObjects></{call}>")
        };
        let made = got(
            &house,
            DESK,
            "u",
            &one(
                "create",
                "<n:LastName>Un&amp;seen</n:LastName><n:Title>made</n:Title>",
            ),
        )
        .await;
        assert!(made.contains("<success>true</success>"), "{made}");
        let id = between(&made, "<id>", "</").unwrap();
        let stored = |name: &str| {
            let contacts = privet::demo::metadata::object("Contact").unwrap();
            let store = house.services.crm.store();
            let place = privet::demo::metadata::OBJECTS[contacts]
                .field(name)
                .unwrap();
            let rows = &store.table(contacts).rows;
            let row = rows.iter().find(|r| r[0].as_text() == Some(&id));
            row.and_then(|r| r[place].as_text().map(str::to_owned))
        };
        assert_eq!(stored("LastName").as_deref(), Some("Un&seen"));
        // In the enterprise API the type of a record says its object.
        let change = format!(
            "<update><sObjects xsi:type=\"n:Contact\"><fieldsToNull>Title</fieldsToNull><Id>{id}</Id>\
             <Department>a</Department></sObjects></update>"
        );
        let changed = got(&house, DESK, "c", &change).await;
        assert!(changed.contains("<success>true</success>"), "{changed}");
        assert_eq!(
            (stored("Title"), stored("Department")),
            (None, Some("a".to_owned()))
        );
        let upsert = |fields: &str| {
            format!(
                "<upsert><externalIDFieldName>Loyalty_Number__c</externalIDFieldName><sObjects><n:type>Contact</n:type>\
                 {fields}</sObjects></upsert>"
            )
        };
        let number = got(
            &house,
            DESK,
            "u",
            &upsert(
                "<n:Loyalty_Number__c>L-900009</n:Loyalty_Number__c><n:LastName>New</n:LastName>",
            ),
        )
        .await;
        assert!(number.contains("<success>true</success>"), "{number}");
        // A mistake that the CRM finds is a code and nothing else.
        let wrong = got(
            &house,
            DESK,
            "u",
            &one("create", "<n:Title>nobody</n:Title>"),
        )
        .await;
        assert!(wrong.contains("<success>false</success>"), "{wrong}");
        assert!(
            wrong.contains("<message>the request was not accepted</message>"),
            "{wrong}"
        );
        assert!(
            wrong.contains("<statusCode>REQUIRED_FIELD_MISSING</statusCode>"),
            "{wrong}"
        );
        let with_id = |fields: &str| one("update", &format!("<n:Id>{id}</n:Id>{fields}"));
        for (body, why) in [
            (
                with_id("<n:Email>j****@firm.example</n:Email>"),
                "FIELD_INTEGRITY_EXCEPTION",
            ),
            (with_id("<n:SSN__c>1</n:SSN__c>"), "INVALID_FIELD"),
            (
                with_id("<n:fieldsToNull>Nothing</n:fieldsToNull>"),
                "INVALID_FIELD",
            ),
            (with_id("<n:Nothing>1</n:Nothing>"), "INVALID_FIELD"),
            (
                with_id("<n:Title>a</n:Title><n:title>b</n:title>"),
                "INVALID_REQUEST",
            ),
            (
                with_id("<n:Account><n:type>Account</n:type><n:Name>x</n:Name></n:Account>"),
                "INSUFFICIENT_ACCESS",
            ),
            (one("update", "<n:Title>a</n:Title>"), "INVALID_REQUEST"),
            (one("create", ""), "INVALID_REQUEST"),
        ] {
            assert_eq!(refused(&house, DESK, &body).await, why, "{body}");
        }
        let delete = format!("<delete><ids>{id}</ids></delete>");
        assert_eq!(
            refused(
                &house,
                ANALYST,
                &one("create", "<n:LastName>x</n:LastName>")
            )
            .await,
            "INSUFFICIENT_ACCESS"
        );
        assert_eq!(
            refused(&house, ANALYST, &delete).await,
            "INSUFFICIENT_ACCESS"
        );
        assert!(
            got(&house, DESK, "u", &delete)
                .await
                .contains("<success>true</success>")
        );
    });
}

#[test]
fn what_is_no_call_is_a_fault_and_goes_nowhere() {
    run(async {
        let house = house().await;
        let key = house.key(DESK).to_owned();
        let good = query("SELECT Id FROM Contact LIMIT 1");
        for (body, why) in [
            (envelope(&key, "", "<convertLead/>"), "INSUFFICIENT_ACCESS"),
            (
                envelope(&key, "", "<executeAnonymous/>"),
                "INSUFFICIENT_ACCESS",
            ),
            (envelope(&key, "", "<logout/>"), "INSUFFICIENT_ACCESS"),
            (
                envelope(&key, "<DebuggingHeader/>", &good),
                "INSUFFICIENT_ACCESS",
            ),
            (
                envelope(
                    &key,
                    "<CallOptions><defaultNamespace>x</defaultNamespace></CallOptions>",
                    &good,
                ),
                "INSUFFICIENT_ACCESS",
            ),
            (envelope("pvs_x", "", &good), "INVALID_SESSION_ID"),
            (envelope("", "", &good), "INVALID_SESSION_ID"),
            (envelope(&key, "", "<query/>"), "INVALID_REQUEST"),
            (
                envelope(&key, "", &format!("{good}{good}")),
                "INVALID_REQUEST",
            ),
            (
                envelope(&key, "", &good)
                    .replace("<s:Envelope", "<!DOCTYPE a [<!ENTITY b \"c\">]><s:Envelope"),
                "INVALID_REQUEST",
            ),
        ] {
            let before = house.services.crm.seen().len();
            let answer = post(&house, "u", &body).await;
            assert_eq!(code(&answer), why, "{body}");
            assert_eq!(house.services.crm.seen().len(), before);
        }
        let named = post(&house, "u", &envelope(&key, "", "<convertLead/>"))
            .await
            .text();
        assert!(
            named.contains("The SOAP call convertLead: not open through this proxy"),
            "{named}"
        );
        // Over the bound: a fault as well.
        let long = envelope(&key, "", &query(&"a".repeat(1 << 20)));
        let answer = post(&house, "u", &long).await;
        assert_eq!(answer.status, 413);
        assert!(
            answer
                .text()
                .contains("<faultcode>sf:REQUEST_BODY_TOO_LARGE</faultcode>"),
            "{}",
            answer.text()
        );
        // privet answers by itself what asks for nothing of the CRM.
        let before = house.services.crm.seen().len();
        let info = got(&house, DESK, "u", "<getUserInfo/>").await;
        assert!(info.contains("<userName>service-desk</userName>"), "{info}");
        let time = got(&house, DESK, "u", "<getServerTimestamp/>").await;
        assert!(time.contains("<timestamp>20"), "{time}");
        assert_eq!(house.services.crm.seen().len(), before);
    });
}

#[test]
fn a_session_of_the_crm_that_ended_is_begun_anew() {
    run(async {
        let house = house().await;
        let good = query("SELECT Id FROM Contact LIMIT 1");
        got(&house, DESK, "u", &good).await;
        house.services.crm.end_sessions();
        got(&house, DESK, "u", &good).await;
        // A mistake that only the CRM finds: its code, no text of its own.
        let late = "<getUpdated><sObjectType>Contact</sObjectType><startDate>2026-13-41T00:00:00Z</startDate>\
                    <endDate>2026-13-42T00:00:00Z</endDate></getUpdated>";
        let answer = call(&house, DESK, "u", late).await;
        assert!(
            !answer.text().contains("A date is not valid"),
            "{}",
            answer.text()
        );
        code(&answer);
    });
}

#[test]
fn the_wsdl_leads_to_privet() {
    run(async {
        let house = house().await;
        let mut texts = Vec::new();
        for target in ["/services/wsdl/partner", "/services/wsdl/partner/58.0"] {
            let mut stream = TcpStream::connect(house.address).await.unwrap();
            let head =
                format!("GET {target} HTTP/1.1\r\nHost: crm.test\r\nConnection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let mut raw = Vec::new();
            let _ = stream.read_to_end(&mut raw).await;
            let answer = Answer::parse(raw);
            assert_eq!(answer.status, 200, "{}", answer.text());
            texts.push(answer.text());
        }
        let host = house.services.salesforce.origin.replace("http://", "");
        assert!(texts.iter().all(|t| !t.contains(&*host)
            && t.contains("targetNamespace=\"urn:partner.soap.sforce.com\"")));
        assert!(texts[1].contains("location=\"http://crm.test/services/Soap/u/58.0\""));
        let closed = house.get(DESK, "/services/wsdl/enterprise").await;
        assert_eq!(closed.status, 403, "{}", closed.text());
    });
}
