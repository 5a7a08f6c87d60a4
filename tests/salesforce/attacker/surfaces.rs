//! The same questions over GraphQL and SOAP.

use serde_json::json;

use super::{Guess, Question, Request, V, Victim};

/// A document of GraphQL.
fn graphql(branch: &str, rest: &str, selected: &str) -> Request {
    let query = format!("{{uiapi{{{branch}{{Contact({rest}){{{selected}}}}}}}}}");
    (
        "POST",
        format!("{V}/graphql"),
        json!({ "query": query }).to_string(),
    )
}

/// A call of SOAP; `letter`: `u` is the partner API, `c` the enterprise API.
fn soap(letter: &str, call: &str) -> Request {
    let flavour = if letter == "u" {
        "partner"
    } else {
        "enterprise"
    };
    let envelope = format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns=\"urn:{flavour}.soap.sforce.com\">\
         <s:Header><SessionHeader><sessionId>{{session}}</sessionId></SessionHeader></s:Header>\
         <s:Body>{call}</s:Body></s:Envelope>"
    );
    ("POST", format!("/services/Soap/{letter}/61.0"), envelope)
}

fn soap_query(letter: &str, call: &str, text: &str) -> Request {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    soap(
        letter,
        &format!("<{call}><queryString>{text}</queryString></{call}>"),
    )
}

impl Victim {
    /// Conditions, in each place that these surfaces have for one.
    pub(super) fn asked_elsewhere(&self) -> Vec<Question> {
        type Condition = fn(&str) -> String;
        type Place = fn(&Victim, &str) -> Request;
        let filters: [(&str, Guess, Condition); 6] = [
            ("like", Guess::Prefix, |g| format!("like:\"{g}%\"")),
            ("lt", Guess::Below, |g| format!("lt:\"{g}\"")),
            ("gte", Guess::Below, |g| format!("gte:\"{g}\"")),
            ("eq", Guess::Equal, |g| format!("eq:\"{g}\"")),
            ("in", Guess::Equal, |g| format!("in:[\"none\",\"{g}\"]")),
            ("nin", Guess::Equal, |g| format!("nin:[\"{g}\"]")),
        ];
        let places: [(&str, Place); 6] = [
            ("records", |v, f| {
                graphql("query", &v.narrowed(f), "edges{node{Id}}")
            }),
            ("a count", |v, f| {
                graphql("query", &v.narrowed(f), "n:totalCount")
            }),
            ("a negation", |v, f| {
                graphql(
                    "query",
                    &v.narrowed(&format!("not:{{{f}}}")),
                    "pageResultCount",
                )
            }),
            ("a total", |v, f| {
                graphql("aggregate", &v.narrowed(f), "totalCount")
            }),
            ("a function", |v, f| {
                let count = "edges{node{aggregate{Id{count{value}}}}}";
                graphql("aggregate", &v.narrowed(f), count)
            }),
            ("groups", |v, f| {
                let rest = format!("{},groupBy:{{LastName:{{group:true}}}}", v.narrowed(f));
                graphql(
                    "aggregate",
                    &rest,
                    "edges{node{aggregate{LastName{value}}}}",
                )
            }),
        ];
        let mut all = Vec::new();
        for (word, guess, filter) in filters {
            for (place, request) in places {
                let v = self.clone();
                all.push(Question {
                    name: format!("GraphQL {word} in {place}"),
                    guess,
                    statuses: false,
                    ask: Box::new(move |g| {
                        vec![request(&v, &format!("{}:{{{}}}", v.field, filter(g)))]
                    }),
                });
            }
        }
        let conditions: [(&str, Guess, Condition); 3] = [
            ("LIKE", Guess::Prefix, |g| format!("LIKE '{g}%'")),
            ("<", Guess::Below, |g| format!("< '{g}'")),
            ("=", Guess::Equal, |g| format!("= '{g}'")),
        ];
        for (word, guess, condition) in conditions {
            for (letter, call, selected) in [
                ("u", "query", "Id"),
                ("u", "queryAll", "COUNT()"),
                ("c", "query", "COUNT(Id) n"),
            ] {
                let v = self.clone();
                all.push(Question {
                    name: format!("SOAP {word} in {call} of {selected} of {letter}"),
                    guess,
                    statuses: false,
                    ask: Box::new(move |g| {
                        let (field, id) = (v.field, &v.id);
                        let text = format!(
                            "SELECT {selected} FROM Contact WHERE Id = '{id}' AND {field} {}",
                            condition(g)
                        );
                        vec![soap_query(letter, call, &text)]
                    }),
                });
            }
        }
        all
    }

    /// The victim alone, and `filter`.
    fn narrowed(&self, filter: &str) -> String {
        format!("where:{{and:[{{Id:{{eq:\"{}\"}}}},{{{filter}}}]}}", self.id)
    }

    /// Ways to have the value itself.
    pub(super) fn read_elsewhere(&self) -> Vec<(&'static str, Vec<Request>)> {
        let Self { field, id, .. } = self;
        let own = format!("where:{{Id:{{eq:\"{id}\"}}}}");
        let records = |node: &str| {
            let selected = format!("edges{{node{{{node}}}}}");
            vec![graphql("query", &own, &selected)]
        };
        let groups = |rest: &str, fields: &str| {
            let selected = format!("edges{{node{{aggregate{{{fields}}}}}}}");
            vec![graphql("aggregate", &format!("{own}{rest}"), &selected)]
        };
        let at = format!("FROM Contact WHERE Id = '{id}'");
        let ask = |letter, text: String| vec![soap_query(letter, "query", &text)];
        vec![
            ("GraphQL value", records(&format!("{field}{{value}}"))),
            (
                "GraphQL value by another name",
                records(&format!("Name:{field}{{displayValue:value}}")),
            ),
            (
                "GraphQL value of a condition",
                records(&format!("...on Record{{x:{field}{{value}}}}")),
            ),
            (
                "GraphQL least",
                groups("", &format!("{field}{{min{{value}}}}")),
            ),
            (
                "GraphQL largest",
                groups(
                    "",
                    &format!("Id:{field}{{count:max{{value:displayValue}}}}"),
                ),
            ),
            (
                "GraphQL group",
                groups(
                    &format!(",groupBy:{{{field}:{{group:true}}}}"),
                    &format!("{field}{{value}}"),
                ),
            ),
            ("SOAP query", ask("u", format!("SELECT {field} {at}"))),
            (
                "SOAP enterprise query",
                ask("c", format!("SELECT {field} {at}")),
            ),
            (
                "SOAP least",
                ask("u", format!("SELECT MIN({field}) x {at}")),
            ),
            (
                "SOAP group",
                ask(
                    "c",
                    format!("SELECT {field}, COUNT(Id) n {at} GROUP BY {field}"),
                ),
            ),
            (
                "SOAP retrieve",
                vec![soap(
                    "u",
                    &format!(
                        "<retrieve><fieldList>Id, {field}</fieldList><sObjectType>Contact</sObjectType><ids>{id}</ids></retrieve>"
                    ),
                )],
            ),
        ]
    }
}
