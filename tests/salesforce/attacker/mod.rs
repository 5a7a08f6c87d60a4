//! Somebody who may not read a column in clear asks for it in every way that the API has, over real sockets.
//!
//! The attack is differential: a question is worth asking if its answer for a right guess differs from its answer for
//! a wrong one, in whatever way. Each question is tried with the most helpful guesses first (the right one among
//! them, which nobody outside this test could choose); only if the two answers differ, the value is extracted.

mod stored;
mod surfaces;

use privet::demo::client::encode;
use privet::demo::metadata::object;
use privet::demo::store::Value;
use serde_json::{Value as Json, json};

use super::attacker_bulk::{Ids, extract1, extract2, upsert1};
use crate::house::{ANALYST, DESK, DESK_US, House, MARKETING, Plan, run};

const V: &str = "/services/data/v61.0";
/// How many characters everybody knows: how the values of a column begin.
const KNOWN: usize = 2;
/// What the rest is made of, in order.
const ALPHABET: &str = "0123456789abcdef";
/// A mask shows the last four characters; they count as known.
const SHOWN: usize = 4;
/// Rows of the victim (on the second page) and of a contact that the attacker may write.
pub(super) const VICTIM: usize = 503;
const OWN: usize = 502;
pub(super) const COLUMNS: [(&str, &str); 2] =
    [("Email", "lx7d0e92b4"), ("Loyalty_Number__c", "mk3c81f6a0")];

/// Everything is read in clear and contacts may be written; only the two columns differ.
fn rules(columns: &str) -> String {
    format!(
        "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n\
         p, allow, *, read, *, clear, *, *, -, 90, a-all\n\
         p, allow, *, write, Contact.*, -, *, *, -, -, a-write-contacts\n\
         p, allow, *, write, Case.*, -, *, *, -, -, a-write-cases\n\
         {columns}"
    )
}

pub(super) fn guarded() -> String {
    let mut columns = String::new();
    for (n, (field, _)) in COLUMNS.iter().enumerate() {
        for (role, region, treatment, priority) in [
            ("support_agent", "*", "drop", "-"),
            ("support_agent", "us", "clear", "20"),
            ("bi", "*", "mask:last4", "-"),
            ("marketing", "*", "tokenize", "-"),
        ] {
            let id = format!("a-{}-{treatment}-{n}", role.replace('_', "-")).replace(':', "-");
            columns += &format!(
                "p, allow, role:{role}, read, Contact.{field}, {treatment}, *, {region}, -, {priority}, {id}\n"
            );
        }
    }
    rules(&columns)
}

/// The guard is off: the columns are read in clear, and written, looked up and searched.
pub(super) fn open() -> String {
    let columns = COLUMNS.iter().enumerate().map(|(n, (field, _))| {
        format!("p, allow, *, write, Contact.{field}, -, *, *, -, -, a-write-{n}\n")
    });
    rules(&columns.collect::<String>())
}

pub(super) async fn house(rules: String) -> House {
    let none = "# p, effect, who, action, what, treatment, purpose, region, when, priority, id\n";
    let house = Plan {
        policies: vec![
            ("rules/analytics.csv", none.to_owned()),
            ("rules/baseline.csv", none.to_owned()),
            ("rules/marketing.csv", none.to_owned()),
            ("rules/support.csv", rules),
        ],
        ..Plan::default()
    }
    .build()
    .await;
    let contact = object("Contact").unwrap();
    let case = object("Case").unwrap();
    let mut store = house.services.crm.store_mut();
    for (field, secret) in COLUMNS {
        store.set(contact, VICTIM, field, Value::text(secret));
    }
    store.set(contact, VICTIM, "LastName", Value::text("Vexmoor"));
    for (row, of) in [(0, VICTIM), (1, OWN)] {
        let id = store.table(contact).rows[of][0].clone();
        store.set(case, row, "ContactId", id);
    }
    let account = store.table(object("Account").unwrap()).rows[0][0].clone();
    store.set(contact, VICTIM, "AccountId", account);
    drop(store);
    house
}

pub(super) type Request = (&'static str, String, String);

pub(super) fn get(rest: &str) -> Request {
    ("GET", format!("{V}{rest}"), String::new())
}

fn soql(text: &str) -> Request {
    get(&format!("/query?q={}", encode(text)))
}

pub(super) fn sent(method: &'static str, rest: &str, body: &Json) -> Request {
    (method, format!("{V}{rest}"), body.to_string())
}

fn composite(parts: &Json) -> Request {
    sent("POST", "/composite", &json!({ "compositeRequest": parts }))
}

/// Where conditions stand.
const PLACES: [&str; 15] = [
    "query",
    "COUNT()",
    "COUNT(Id)",
    "semi-join",
    "anti-join",
    "child query",
    "parent's field",
    "alias",
    "HAVING",
    "queryAll",
    "composite",
    "batch",
    "search",
    "parameterised search",
    "search parameters",
];

/// What a guess says of the value.
#[derive(Clone, Copy, PartialEq)]
enum Guess {
    /// It begins so.
    Prefix,
    /// It sorts before this.
    Below,
    /// It is this.
    Equal,
}

/// The requests that ask whether a guess is right.
type Ask = Box<dyn Fn(&str) -> Vec<Request>>;

/// A yes-or-no question about the value.
struct Question {
    name: String,
    guess: Guess,
    /// Whether only the statuses count: answers with new ids are never twice the same.
    statuses: bool,
    ask: Ask,
}

/// Whom the attack is about.
#[derive(Clone)]
struct Victim {
    field: &'static str,
    secret: &'static str,
    id: String,
    own: String,
    case: String,
    account: String,
}

impl Victim {
    fn new(house: &House, (field, secret): (&'static str, &'static str)) -> Self {
        let store = house.services.crm.store();
        let id = |name: &str, row: usize| {
            let table = store.table(object(name).unwrap());
            table.rows[row][0].as_text().unwrap().to_owned()
        };
        Self {
            field,
            secret,
            id: id("Contact", VICTIM),
            own: id("Contact", OWN),
            case: id("Case", 0),
            account: id("Account", 0),
        }
    }

    /// Every question.
    fn questions(&self) -> Vec<Question> {
        let mut all = self.conditions();
        all.extend(self.orders_and_groups());
        all.extend(self.searches());
        all.extend(self.keys());
        all.extend(self.asked_elsewhere());
        all.extend(self.extracts());
        all.extend(self.stored());
        all
    }

    /// Conditions in the query of a bulk job, whose results say how they went.
    fn extracts(&self) -> Vec<Question> {
        type Condition = fn(&str, &str) -> String;
        type Extract = fn(&str) -> Vec<Request>;
        let conditions: [(&str, Guess, Condition); 3] = [
            ("LIKE", Guess::Prefix, |f, g| format!("{f} LIKE '{g}%'")),
            ("<", Guess::Below, |f, g| format!("{f} < '{g}'")),
            ("=", Guess::Equal, |f, g| format!("{f} = '{g}'")),
        ];
        let apis: [(&str, Extract); 2] = [("extract", extract2), ("batch", extract1)];
        let mut all = Vec::new();
        for (api, extract) in apis {
            for (name, guess, condition) in conditions {
                let (field, id) = (self.field, self.id.clone());
                all.push(Question {
                    name: format!("{api} {name}"),
                    guess,
                    statuses: false,
                    ask: Box::new(move |g| {
                        extract(&format!(
                            "SELECT Id FROM Contact WHERE Id = '{id}' AND {}",
                            condition(field, g)
                        ))
                    }),
                });
            }
        }
        all
    }

    /// Each condition in each place where conditions stand.
    fn conditions(&self) -> Vec<Question> {
        type Condition = fn(&str, &str) -> String;
        let conditions: [(&str, Guess, Condition); 12] = [
            ("LIKE", Guess::Prefix, |f, g| format!("{f} LIKE '{g}%'")),
            ("NOT LIKE", Guess::Prefix, |f, g| {
                format!("(NOT {f} LIKE '{g}%')")
            }),
            ("LIKE or", Guess::Prefix, |f, g| {
                format!("({f} LIKE '{g}%' OR {f} LIKE 'none')")
            }),
            ("<", Guess::Below, |f, g| format!("{f} < '{g}'")),
            (">=", Guess::Below, |f, g| format!("{f} >= '{g}'")),
            ("NOT <", Guess::Below, |f, g| format!("(NOT {f} < '{g}')")),
            ("=", Guess::Equal, |f, g| format!("{f} = '{g}'")),
            ("!=", Guess::Equal, |f, g| format!("{f} != '{g}'")),
            ("IN", Guess::Equal, |f, g| format!("{f} IN ('none', '{g}')")),
            ("NOT IN", Guess::Equal, |f, g| format!("{f} NOT IN ('{g}')")),
            ("INCLUDES", Guess::Equal, |f, g| {
                format!("{f} INCLUDES ('{g}')")
            }),
            ("EXCLUDES", Guess::Equal, |f, g| {
                format!("{f} EXCLUDES ('{g}')")
            }),
        ];
        let mut all = Vec::new();
        for (operator, guess, condition) in conditions {
            // Each operator in one place, and one operator of each kind in each place.
            let places = if matches!(operator, "LIKE" | "<" | "=") {
                PLACES.len()
            } else {
                1
            };
            for (place, word) in PLACES.iter().enumerate().take(places) {
                let v = self.clone();
                let name = format!("{operator} in {word}");
                all.push(Question {
                    name,
                    guess,
                    statuses: false,
                    ask: Box::new(move |g| vec![v.placed(place, &|f| condition(f, g))]),
                });
            }
        }
        all
    }

    fn placed(&self, place: usize, condition: &dyn Fn(&str) -> String) -> Request {
        let Self {
            field,
            id,
            case,
            account,
            ..
        } = self;
        let plain = condition(field);
        match place {
            0 => soql(&format!(
                "SELECT Id FROM Contact WHERE Id = '{id}' AND {plain}"
            )),
            1 => soql(&format!(
                "SELECT COUNT() FROM Contact WHERE Id = '{id}' AND {plain}"
            )),
            2 => soql(&format!(
                "SELECT COUNT(Id) n FROM Contact WHERE Id = '{id}' AND {plain}"
            )),
            3 => soql(&format!(
                "SELECT Id FROM Case WHERE ContactId IN (SELECT Id FROM Contact WHERE Id = '{id}' AND {plain})"
            )),
            4 => soql(&format!(
                "SELECT Id FROM Account WHERE Id = '{account}' AND Id NOT IN \
                 (SELECT AccountId FROM Contact WHERE Id = '{id}' AND {plain})"
            )),
            5 => soql(&format!(
                "SELECT Id, (SELECT Id FROM Contacts WHERE Id = '{id}' AND {plain}) FROM Account WHERE Id = '{account}'"
            )),
            6 => soql(&format!(
                "SELECT Id FROM Case WHERE Id = '{case}' AND {}",
                condition(&format!("Contact.{field}"))
            )),
            7 => soql(&format!(
                "SELECT c.Id FROM Contact c WHERE c.Id = '{id}' AND {}",
                condition(&format!("c.{field}"))
            )),
            8 => soql(&format!(
                "SELECT LastName, COUNT(Id) FROM Contact WHERE Id = '{id}' GROUP BY LastName HAVING {}",
                condition(&format!("MIN({field})"))
            )),
            9 => get(&format!(
                "/queryAll?q={}",
                encode(&format!(
                    "SELECT Id FROM Contact WHERE Id = '{id}' AND {plain}"
                ))
            )),
            10 => {
                let q = encode(&format!(
                    "SELECT Id FROM Contact WHERE Id = '{id}' AND {plain}"
                ));
                composite(
                    &json!([{"method": "GET", "referenceId": "a", "url": format!("{V}/query?q={q}")}]),
                )
            }
            11 => {
                let q = encode(&format!(
                    "SELECT Id FROM Contact WHERE Id = '{id}' AND {plain}"
                ));
                let part = json!({"method": "GET", "url": format!("v61.0/query?q={q}")});
                sent(
                    "POST",
                    "/composite/batch",
                    &json!({"batchRequests": [part]}),
                )
            }
            12 => get(&format!(
                "/search?q={}",
                encode(&format!(
                    "FIND {{Vexmoor}} IN NAME FIELDS RETURNING Contact(Id WHERE Id = '{id}' AND {plain})"
                ))
            )),
            13 => sent(
                "POST",
                "/parameterizedSearch",
                &json!({"q": "Vexmoor", "in": "NAME", "sobjects": [
                {"name": "Contact", "fields": ["Id"], "where": format!("Id = '{id}' AND {plain}")}]}),
            ),
            _ => get(&format!(
                "/parameterizedSearch?q=Vexmoor&in=NAME&sobject=Contact&Contact.fields=Id&Contact.where={}",
                encode(&format!("Id = '{id}' AND {plain}"))
            )),
        }
    }

    /// The attacker's own contact gets the guess and stands beside the victim's.
    fn orders_and_groups(&self) -> Vec<Question> {
        let Self { field, id, own, .. } = self;
        let both = format!("FROM Contact WHERE Id IN ('{id}', '{own}')");
        let cases = format!("FROM Case WHERE ContactId IN ('{id}', '{own}')");
        let search = |rest: &str| {
            let sosl =
                format!("FIND {{Vexmoor OR Ownmoor}} IN NAME FIELDS RETURNING Contact(Id{rest})");
            get(&format!("/search?q={}", encode(&sosl)))
        };
        let asked: [(&str, Guess, Request); 9] = [
            (
                "ORDER BY",
                Guess::Below,
                soql(&format!("SELECT Id {both} ORDER BY {field}")),
            ),
            (
                "first",
                Guess::Below,
                soql(&format!("SELECT Id {both} ORDER BY {field} LIMIT 1")),
            ),
            (
                "parent's order",
                Guess::Below,
                soql(&format!(
                    "SELECT ContactId {cases} ORDER BY Contact.{field}"
                )),
            ),
            (
                "search order",
                Guess::Below,
                search(&format!(" ORDER BY {field}")),
            ),
            (
                "GROUP BY",
                Guess::Equal,
                soql(&format!("SELECT COUNT(Id) n {both} GROUP BY {field}")),
            ),
            (
                "ROLLUP",
                Guess::Equal,
                soql(&format!(
                    "SELECT COUNT(Id) n {both} GROUP BY ROLLUP({field})"
                )),
            ),
            (
                "distinct",
                Guess::Equal,
                soql(&format!("SELECT COUNT_DISTINCT({field}) n {both}")),
            ),
            (
                "parent's group",
                Guess::Equal,
                soql(&format!(
                    "SELECT COUNT(Id) n {cases} GROUP BY Contact.{field}"
                )),
            ),
            (
                "HAVING",
                Guess::Equal,
                soql(&format!(
                    "SELECT COUNT(Id) n {both} GROUP BY {field} HAVING COUNT(Id) > 1"
                )),
            ),
        ];
        asked
            .into_iter()
            .map(|(name, guess, after)| {
                let v = self.clone();
                let ask = move |g: &str| {
                    let change = json!({ v.field: g });
                    vec![
                        sent("PATCH", &format!("/sobjects/Contact/{}", v.own), &change),
                        after.clone(),
                    ]
                };
                Question {
                    name: name.to_owned(),
                    guess,
                    statuses: false,
                    ask: Box::new(ask),
                }
            })
            .collect()
    }

    fn searches(&self) -> Vec<Question> {
        let id = self.id.clone();
        let question = |name: &str, ask: Ask| Question {
            name: name.to_owned(),
            guess: Guess::Prefix,
            statuses: false,
            ask,
        };
        let mut all = Vec::new();
        for scope in ["ALL", "EMAIL", "NAME", "PHONE", "SIDEBAR"] {
            let find = {
                let id = id.clone();
                move |g: &str| {
                    format!(
                        "FIND {{{g}*}} IN {scope} FIELDS RETURNING Contact(Id WHERE Id = '{id}')"
                    )
                }
            };
            all.push(question(
                &format!("FIND IN {scope}"),
                Box::new(move |g| vec![get(&format!("/search?q={}", encode(&find(g))))]),
            ));
            let id = id.clone();
            all.push(question(
                &format!("parameterised search in {scope}"),
                Box::new(move |g| {
                    vec![sent(
                        "POST",
                        "/parameterizedSearch",
                        &json!({"q": format!("{g}*"), "in": scope, "sobjects": [
                        {"name": "Contact", "fields": ["Id"], "where": format!("Id = '{id}'")}]}),
                    )]
                }),
            ));
        }
        all.push(question(
            "suggestions",
            Box::new(|g| vec![get(&format!("/search/suggestions?q={g}&sobject=Contact"))]),
        ));
        all
    }

    /// Lookups, upserts, references and duplicates by a guessed value. What may make records comes last.
    fn keys(&self) -> Vec<Question> {
        let field = self.field;
        let by = move |g: &str| format!("/sobjects/Contact/{field}/{g}");
        let title = json!({"Title": "x"});
        let change = title.clone();
        let piped = self.clone();
        let asks: Vec<(&str, Ask)> = vec![
            ("row by external id", Box::new(move |g| vec![get(&by(g))])),
            (
                "fields by external id",
                Box::new(move |g| vec![get(&format!("{}?fields=Id", by(g)))]),
            ),
            (
                "upsert",
                Box::new(move |g| vec![sent("PATCH", &by(g), &change)]),
            ),
            (
                "upserts",
                Box::new(move |g| {
                    let record = json!({"attributes": {"type": "Contact"}, field: g, "Title": "x"});
                    vec![sent(
                        "PATCH",
                        &format!("/composite/sobjects/Contact/{field}"),
                        &json!({"records": [record]}),
                    )]
                }),
            ),
            ("batch upsert", Box::new(move |g| upsert1(field, g))),
            (
                "upsert in composite",
                Box::new(move |g| {
                    vec![composite(
                        &json!([{"method": "PATCH", "referenceId": "a", "url": format!("{V}{}", by(g)),
                    "body": title}]),
                    )]
                }),
            ),
            (
                "piped filter",
                Box::new(move |g| {
                    let v = &piped;
                    let q = format!(
                        "SELECT Id FROM Contact WHERE Id = '{}' AND Title = '@{{a.{}}}'",
                        v.own, v.field
                    );
                    vec![
                        sent(
                            "PATCH",
                            &format!("/sobjects/Contact/{}", v.own),
                            &json!({"Title": g}),
                        ),
                        composite(&json!([
                            {"method": "GET", "referenceId": "a",
                                "url": format!("{V}/sobjects/Contact/{}?fields={}", v.id, v.field)},
                            {"method": "GET", "referenceId": "b", "url": format!("{V}/query?q={}", q.replace(' ', "+"))},
                        ])),
                    ]
                }),
            ),
            (
                "reference",
                Box::new(move |g| {
                    vec![sent(
                        "POST",
                        "/sobjects/Case",
                        &json!({"Subject": "x", "Contact": {field: g}}),
                    )]
                }),
            ),
            (
                "duplicate",
                Box::new(move |g| {
                    vec![sent(
                        "POST",
                        "/sobjects/Contact",
                        &json!({"LastName": "x", field: g}),
                    )]
                }),
            ),
            (
                "duplicate in a collection",
                Box::new(move |g| {
                    let record = json!({"attributes": {"type": "Contact"}, "LastName": "x", field: format!("{g}")});
                    vec![sent(
                        "POST",
                        "/composite/sobjects",
                        &json!({"allOrNone": true, "records": [record]}),
                    )]
                }),
            ),
            (
                "duplicate in a tree",
                Box::new(move |g| {
                    let record = json!({"attributes": {"type": "Contact", "referenceId": "a"}, "LastName": "x", field: g});
                    vec![sent(
                        "POST",
                        "/composite/tree/Contact",
                        &json!({"records": [record]}),
                    )]
                }),
            ),
        ];
        asks.into_iter()
            .map(|(name, ask)| Question {
                name: name.to_owned(),
                guess: Guess::Equal,
                statuses: matches!(name, "reference" | "duplicate" | "duplicate in a tree"),
                ask,
            })
            .collect()
    }

    /// Requests whose answer might hold the value itself.
    fn reads(&self) -> Vec<(&'static str, Vec<Request>)> {
        let Self {
            field,
            id,
            own,
            case,
            account,
            ..
        } = self;
        let row = format!("/sobjects/Contact/{id}");
        let at = format!("FROM Contact WHERE Id = '{id}'");
        let q = |text: &str| vec![soql(text)];
        let search = |returning: &str| {
            vec![get(&format!(
                "/search?q={}",
                encode(&format!(
                    "FIND {{Vexmoor}} IN NAME FIELDS RETURNING {returning}"
                ))
            ))]
        };
        let first = |fields: &str| json!({"method": "GET", "referenceId": "a", "url": format!("{V}{row}{fields}")});
        let piped = |fields: &str, into: &str| {
            vec![composite(&json!([
                first(fields),
                {"method": "PATCH", "referenceId": "b", "url": format!("{V}/sobjects/Contact/{own}"),
                    "body": {into: format!("@{{a.{field}}}")}},
                {"method": "GET", "referenceId": "c", "url": format!("{V}/sobjects/Contact/{own}?fields={into}")},
            ]))]
        };
        vec![
            ("row", vec![get(&row)]),
            ("extracted", extract2(&format!("SELECT Id, {field} {at}"))),
            ("batch", extract1(&format!("SELECT Id, {field} {at}"))),
            ("named", vec![get(&format!("{row}?fields={field}"))]),
            (
                "parent's row",
                vec![get(&format!("/sobjects/Case/{case}/Contact"))],
            ),
            (
                "parent's field",
                vec![get(&format!(
                    "/sobjects/Case/{case}/Contact?fields={field}"
                ))],
            ),
            (
                "children's rows",
                vec![get(&format!(
                    "/sobjects/Account/{account}/Contacts?fields={field}"
                ))],
            ),
            (
                "by external id",
                vec![get(&format!("/sobjects/Contact/{field}/{}", self.secret))],
            ),
            ("selected", q(&format!("SELECT {field} {at}"))),
            (
                "alias of the object",
                q(&format!(
                    "SELECT c.{field} FROM Contact c WHERE c.Id = '{id}'"
                )),
            ),
            ("FIELDS", q(&format!("SELECT FIELDS(ALL) {at} LIMIT 1"))),
            (
                "queryAll",
                vec![get(&format!(
                    "/queryAll?q={}",
                    encode(&format!("SELECT {field} {at}"))
                ))],
            ),
            ("MIN", q(&format!("SELECT MIN({field}) m {at}"))),
            ("MAX", q(&format!("SELECT MAX({field}) {at}"))),
            (
                "group key",
                q(&format!("SELECT {field}, COUNT(Id) {at} GROUP BY {field}")),
            ),
            (
                "group alias",
                q(&format!(
                    "SELECT {field} k, COUNT(Id) {at} GROUP BY {field}"
                )),
            ),
            ("FORMAT", q(&format!("SELECT FORMAT({field}) x {at}"))),
            ("toLabel", q(&format!("SELECT toLabel({field}) x {at}"))),
            (
                "of a parent",
                q(&format!(
                    "SELECT Contact.{field} FROM Case WHERE Id = '{case}'"
                )),
            ),
            (
                "of children",
                q(&format!(
                    "SELECT Id, (SELECT {field} FROM Contacts WHERE Id = '{id}') FROM Account WHERE Id = '{account}'"
                )),
            ),
            (
                "TYPEOF",
                q(&format!(
                    "SELECT TYPEOF Who WHEN Contact THEN {field} END FROM Task WHERE WhoId = '{id}'"
                )),
            ),
            (
                "collection",
                vec![get(&format!(
                    "/composite/sobjects/Contact?ids={id}&fields={field}"
                ))],
            ),
            (
                "collection in a body",
                vec![sent(
                    "POST",
                    "/composite/sobjects/Contact",
                    &json!({"ids": [id], "fields": [field]}),
                )],
            ),
            ("search", search(&format!("Contact({field})"))),
            ("search with snippet", search("Contact(Id) WITH SNIPPET")),
            (
                "parameterised search",
                vec![sent(
                    "POST",
                    "/parameterizedSearch",
                    &json!({"q": "Vexmoor",
                "in": "NAME", "sobjects": [{"name": "Contact", "fields": [field]}]}),
                )],
            ),
            (
                "suggestions",
                vec![get(&format!(
                    "/search/suggestions?q=Vexmoor&sobject=Contact&fields={field}"
                ))],
            ),
            (
                "batch",
                vec![sent(
                    "POST",
                    "/composite/batch",
                    &json!({"batchRequests": [
                {"method": "GET", "url": format!("v61.0{row}")}]}),
                )],
            ),
            ("composite", vec![composite(&json!([first("")]))]),
            (
                "graph",
                vec![sent(
                    "POST",
                    "/composite/graph",
                    &json!({"graphs": [
                {"graphId": "g", "compositeRequest": [first("")]}]}),
                )],
            ),
            ("basic information", vec![get("/sobjects/Contact")]),
            ("recent", vec![get("/recent?limit=200")]),
            ("describe", vec![get("/sobjects/Contact/describe")]),
            ("layouts", vec![get("/sobjects/Contact/describe/layouts")]),
            (
                "explained",
                vec![get(&format!(
                    "/query?explain={}",
                    encode(&format!("SELECT {field} {at}"))
                ))],
            ),
            (
                "mistake",
                q(&format!("SELECT {field} {at} AND {field} = FROBNICATE")),
            ),
            (
                "tooling",
                vec![get(&format!(
                    "/tooling/query?q={}",
                    encode(&format!("SELECT {field} {at}"))
                ))],
            ),
            ("piped whole", piped("", "Description")),
            (
                "piped by name",
                piped(&format!("?fields={field}"), "Description"),
            ),
            // Too long for its column: the error quotes it.
            (
                "piped into an error",
                vec![composite(&json!([
                    first(&format!("?fields={field}")),
                    {"method": "PATCH", "referenceId": "b", "url": format!("{V}/sobjects/Contact/{own}"),
                        "body": {"MailingCountryCode": format!("{}@{{a.{field}}}", "x".repeat(300))}},
                ]))],
            ),
        ]
    }
}

/// What went out of the second page of a query by somebody who reads the column in clear.
async fn cursor_of_another(house: &House, field: &str) -> Vec<Request> {
    let soql = format!("SELECT Id, {field} FROM Contact");
    let answer = house.query(DESK_US.title, &soql).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let next = answer.json()["nextRecordsUrl"].as_str().unwrap().to_owned();
    vec![("GET", next, String::new())]
}

/// Without the number that each error has of its own.
fn without_request(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(" (request ") {
        out += before;
        rest = after.split_once(')').map_or("", |(_, rest)| rest);
    }
    out + rest
}

struct Attack<'h> {
    house: &'h House,
    who: &'static str,
    victim: Victim,
}

impl Attack<'_> {
    /// All that `question` answers to `guess`, without the guess itself.
    async fn signal(&self, question: &Question, guess: &str) -> String {
        let mut signal = String::new();
        let mut ids = Ids::default();
        for (method, target, body) in (question.ask)(guess) {
            let target = ids.placed(&target);
            let answer = self.house.ask(self.who, method, &target, &body).await;
            signal += &format!("{} ", answer.status);
            let told = ids.learn(&target, &answer);
            if !question.statuses && !told {
                signal += &without_request(&answer.text()).replace(guess, "?");
            }
        }
        signal
    }

    /// The attacker's own record, as before all questions.
    fn restore(&self) {
        let contact = object("Contact").unwrap();
        let mut store = self.house.services.crm.store_mut();
        store.set(contact, OWN, self.victim.field, Value::text("zz"));
        store.set(contact, OWN, "Title", Value::text("zz"));
        store.set(contact, OWN, "LastName", Value::text("Ownmoor"));
    }

    /// What `question` makes known of the value; empty = nothing.
    async fn recovered(&self, question: &Question) -> String {
        self.restore();
        let secret = self.victim.secret;
        let public = &secret[..KNOWN];
        let (right, wrong) = match question.guess {
            Guess::Prefix => (secret[..3].to_owned(), format!("{public}e")),
            Guess::Below => (format!("{public}ffffffff"), format!("{public}00000000")),
            Guess::Equal => (secret.to_owned(), format!("{public}00000001")),
        };
        let no = self.signal(question, &wrong).await;
        let yes = self.signal(question, &right).await;
        if yes == no {
            return String::new();
        }
        let mut known = public.to_owned();
        match question.guess {
            Guess::Prefix => {
                'next: while known.len() < secret.len() {
                    for c in ALPHABET.chars() {
                        if self.signal(question, &format!("{known}{c}")).await == yes {
                            known.push(c);
                            continue 'next;
                        }
                    }
                    break;
                }
            }
            Guess::Below => {
                while known.len() < secret.len() {
                    let (mut low, mut high) = (0, ALPHABET.len());
                    while high - low > 1 {
                        let middle = usize::midpoint(low, high);
                        let bound = format!("{known}{}", &ALPHABET[middle..=middle]);
                        if self.signal(question, &bound).await == yes {
                            high = middle;
                        } else {
                            low = middle;
                        }
                    }
                    known += &ALPHABET[low..=low];
                }
            }
            Guess::Equal => {
                // A list from elsewhere in which the value stands.
                for n in 0..7u32 {
                    let word = if n == 4 {
                        secret.to_owned()
                    } else {
                        format!("{public}{:08x}", 0x5a17_0001 + n * 0x0101)
                    };
                    if self.signal(question, &word).await == yes {
                        known = word;
                        break;
                    }
                }
            }
        }
        // That there is a difference is itself something, even if it led nowhere.
        if known == public {
            "?".to_owned()
        } else {
            known
        }
    }

    /// Whether a request's answer holds the value: six characters of it, of which the mask does not show all.
    async fn holds(&self, requests: &[Request]) -> bool {
        self.restore();
        let secret = self.victim.secret.as_bytes();
        let mut found = false;
        let mut ids = Ids::default();
        for (method, target, body) in requests {
            let target = ids.placed(target);
            // Who wrote the value into the question learns nothing from its echo.
            let answer = self.house.ask(self.who, method, &target, body).await;
            ids.learn(&target, &answer);
            let text = format!("{}{}", answer.head, answer.text());
            found |= secret
                .windows(6)
                .take(secret.len() - SHOWN - 1)
                .any(|w| text.contains(std::str::from_utf8(w).unwrap()));
        }
        found
    }
}

/// What gives nothing to anybody: closed in privet for every column, or absent from the demo CRM's SOQL.
const CLOSED: &[&str] = &[
    "LIKE in HAVING",
    "INCLUDES in query",
    "EXCLUDES in query",
    "FIND IN NAME",
    "parameterised search in NAME",
    "FIND IN PHONE",
    "parameterised search in PHONE",
    "suggestions",
    "piped filter",
    "duplicate in a collection",
    "duplicate in a tree",
    "FORMAT",
    "toLabel",
    "TYPEOF",
    "search with snippet",
    "basic information",
    "recent",
    "describe",
    "layouts",
    "explained",
    "mistake",
    "tooling",
    "piped whole",
    "piped into an error",
];
/// The same, of one column: an e-mail address is no phone number, and no two records have one external id.
const CLOSED_OF: [&[&str]; 2] = [
    &["ROLLUP"],
    &[
        "parent's group",
        "FIND IN EMAIL",
        "parameterised search in EMAIL",
    ],
];

#[test]
fn nothing_of_a_protected_column_is_recovered() {
    run(async {
        let house = house(guarded()).await;
        let mut leaks = Vec::new();
        let mut asked = 0;
        for who in [DESK, ANALYST, MARKETING] {
            for column in COLUMNS {
                let victim = Victim::new(&house, column);
                let attack = Attack {
                    house: &house,
                    who,
                    victim: victim.clone(),
                };
                for question in victim.questions() {
                    let recovered = attack.recovered(&question).await;
                    if !recovered.is_empty() {
                        leaks.push(format!("{who} {} {}: {recovered}", column.0, question.name));
                    }
                    asked += 1;
                }
                let mut reads = victim.reads();
                reads.extend(victim.stored_reads());
                reads.extend(victim.read_elsewhere());
                reads.push((
                    "another's cursor",
                    cursor_of_another(&house, column.0).await,
                ));
                for (name, requests) in reads {
                    if attack.holds(&requests).await {
                        leaks.push(format!("{who} {} {name}", column.0));
                    }
                    asked += 1;
                }
                // The same caller is served where it may ask: refusals are not for want of a right.
                let free = soql(&format!(
                    "SELECT Id FROM Contact WHERE LastName LIKE 'Vexm%' AND Id = '{}'",
                    victim.id
                ));
                let answer = house.ask(who, free.0, &free.1, "").await;
                assert_eq!(answer.json()["totalSize"], 1, "{who}");
            }
        }
        assert!(
            leaks.is_empty(),
            "{} of {asked}\n{}",
            leaks.len(),
            leaks.join("\n")
        );
        assert!(asked > 1_000, "{asked}");
    });
}

#[test]
fn without_the_guard_the_same_attack_recovers_the_whole_value() {
    run(async {
        let house = house(open()).await;
        let mut closed = Vec::new();
        for column in COLUMNS {
            let victim = Victim::new(&house, column);
            let attack = Attack {
                house: &house,
                who: DESK,
                victim: victim.clone(),
            };
            for question in victim.questions() {
                let recovered = attack.recovered(&question).await;
                if recovered != column.1 {
                    closed.push(format!("{} {}", column.0, question.name));
                }
            }
            let mut reads = victim.reads();
            reads.extend(victim.stored_reads());
            reads.extend(victim.read_elsewhere());
            reads.push((
                "another's cursor",
                cursor_of_another(&house, column.0).await,
            ));
            for (name, requests) in reads {
                if !attack.holds(&requests).await {
                    closed.push(format!("{} {name}", column.0));
                }
            }
        }
        let mut expected: Vec<String> = Vec::new();
        for ((field, _), own) in COLUMNS.into_iter().zip(CLOSED_OF) {
            expected.extend(
                CLOSED
                    .iter()
                    .chain(own)
                    .map(|name| format!("{field} {name}")),
            );
        }
        closed.sort();
        expected.sort();
        assert_eq!(closed, expected);
    });
}
