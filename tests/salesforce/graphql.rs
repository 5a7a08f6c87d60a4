//! GraphQL: what a field shows is what REST shows of it, and nothing that is treated can be asked for in another way.

use std::fmt::Write as _;

use privet::engine::refusal::Reason;
use serde_json::{Value as Json, json};

use super::RULES;
use super::conversation::House;
use crate::house::{self, ANALYST, DESK, MARKETING, run};

/// Everything in clear.
const OPEN: &str = "\
# p, effect, who, action, what, treatment, purpose, region, when, priority, id
p, allow, *, read, *, clear, *, *, -, 90, o-all
";

fn body(query: &str) -> String {
    json!({ "query": query }).to_string()
}

fn got(house: &House, role: &str, query: &str) -> Json {
    let (status, answer) = house.got(role, "POST", "/graphql", &body(query));
    assert_eq!(status, 200);
    assert_eq!(answer["errors"], json!([]), "{query}: {}", sent(house));
    answer["data"].clone()
}

/// The document that reached the CRM last.
fn sent(house: &House) -> String {
    let body: Json = serde_json::from_slice(&house.last().body).unwrap();
    body["query"].as_str().unwrap().to_owned()
}

fn contacts(rest: &str, node: &str) -> String {
    format!("{{uiapi{{query{{Contact{rest}{{edges{{node{{{node}}}}}}}}}}}}}")
}

fn nodes(data: &Json) -> Vec<Json> {
    let edges = data["uiapi"]["query"]["Contact"]["edges"]
        .as_array()
        .unwrap();
    edges.iter().map(|e| e["node"].clone()).collect()
}

#[test]
fn fields_are_treated_whatever_they_are_called() {
    let house = House::with(RULES);
    let query = contacts(
        "(first:1)",
        "Id e:Email{value d:displayValue} Phone{value displayValue} Salary__c{value} Name{value} Birthdate{value displayValue}",
    );
    let node = nodes(&got(&house, "desk", &query)).remove(0);
    assert_eq!(node["Id"], house.contact(0, "Id"));
    assert_eq!(node["Name"]["value"], house.contact(0, "Name"));
    let email = node["e"]["value"].as_str().unwrap();
    assert!(email.starts_with("tk1."), "{email}");
    assert_eq!(node["e"]["d"], node["e"]["value"]);
    assert!(node["Phone"]["value"].as_str().unwrap().starts_with("****"));
    assert_eq!(node["Phone"]["displayValue"], node["Phone"]["value"]);
    assert!(node.get("Salary__c").is_none() && node.get("Email").is_none());
    assert_eq!(
        node["Birthdate"]["displayValue"],
        node["Birthdate"]["value"]
    );
    // What is dropped is never fetched, and no second text of what is treated.
    assert!(!sent(&house).contains("Salary__c"), "{}", sent(&house));
    assert_eq!(
        sent(&house).matches("displayValue").count(),
        3,
        "{}",
        sent(&house)
    );
    // The token stands for the value in a filter.
    let query = contacts(
        &format!("(where:{{Email:{{in:[\"{email}\"]}}}})"),
        "Id Email{value}",
    );
    let found = nodes(&got(&house, "desk", &query));
    assert_eq!(found[0]["Id"], node["Id"]);
    assert!(sent(&house).contains(&house.contact(0, "Email")));
    // What is left of a row without a readable field is the row.
    let found = nodes(&got(
        &house,
        "desk",
        &contacts("(first:2)", "Salary__c{value}"),
    ));
    assert_eq!(found, [json!({}), json!({})]);
}

#[test]
fn fragments_variables_and_directives_are_gone_before_the_crm() {
    let house = House::with(RULES);
    let query = "query A($n:Int=3,$w:Contact_Filter,$no:Boolean!){uiapi{query{people:Contact(first:$n,where:$w){edges{node{...F \
                 ...on Contact{t:Title{value}} Phone@skip(if:true){value} LastName@include(if:$no){value} Email@optional{value}}}}}}} \
                 fragment F on Record{Id ...G} fragment G on Contact{m:Email{value}} query B{uiapi{query{Lead{totalCount}}}}";
    let id = house.contact(1, "Id");
    let ask = json!({"query": query, "operationName": "A",
        "variables": {"w": {"Id": {"eq": id}}, "no": false, "unused": 1}});
    let (_, answer) = house.got("desk", "POST", "/graphql", &ask.to_string());
    let node = &answer["data"]["uiapi"]["query"]["people"]["edges"][0]["node"];
    assert_eq!(node["Id"], *id);
    let keys: Vec<&String> = node.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["Id", "m", "t", "Email"]);
    assert_eq!(node["m"], node["Email"]);
    for word in ["$", "@", "...", "fragment", "LastName", "Lead"] {
        assert!(!sent(&house).contains(word), "{word}: {}", sent(&house));
    }
    // Nothing of a text leaves its quotes.
    let odd = "x\"}}){Id}}#\\ \u{e9}\n";
    let ask = json!({"query": "query($n:String){uiapi{query{Contact(where:{Title:{eq:$n}}){totalCount}}}}", "variables": {"n": odd}});
    let (_, answer) = house.got("desk", "POST", "/graphql", &ask.to_string());
    assert_eq!(answer["data"]["uiapi"]["query"]["Contact"]["totalCount"], 0);
    assert!(
        sent(&house).contains(r#"{Title:{eq:"x\"}}){Id}}#\\ é\n"}}"#),
        "{}",
        sent(&house)
    );
}

#[test]
fn parents_children_orders_and_pages() {
    let house = House::with(RULES);
    let query = "{uiapi{query{Account(first:2,orderBy:{Name:{order:DESC,nulls:LAST}}){edges{node{Name{value} \
                 Contacts(first:2){totalCount edges{node{Id Email{value} Account{Name{value} Owner{Name{value}}}}}}}}}}}}";
    let data = got(&house, "desk", query);
    let accounts = data["uiapi"]["query"]["Account"]["edges"]
        .as_array()
        .unwrap();
    let name = |n: usize| accounts[n]["node"]["Name"]["value"].as_str().unwrap();
    assert!(name(0) >= name(1));
    for account in accounts {
        for contact in account["node"]["Contacts"]["edges"].as_array().unwrap() {
            let contact = &contact["node"];
            assert_eq!(contact["Account"]["Name"], account["node"]["Name"]);
            let email = &contact["Email"]["value"];
            assert!(email.is_null() || email.as_str().unwrap().starts_with("tk1."));
        }
    }
    let page = |first: usize, after: &str| {
        let after = if after.is_empty() {
            String::new()
        } else {
            format!(",after:\"{after}\"")
        };
        format!(
            "{{uiapi{{query{{Contact(first:{first}{after}){{edges{{node{{Id}}cursor}} pageInfo{{hasNextPage endCursor}} totalCount}}}}}}}}"
        )
    };
    let data = got(&house, "desk", &page(3, ""));
    let one = &data["uiapi"]["query"]["Contact"];
    assert_eq!(
        (one["totalCount"].as_u64(), &one["pageInfo"]["hasNextPage"]),
        (Some(2_000), &json!(true))
    );
    let cursor = one["pageInfo"]["endCursor"].as_str().unwrap().to_owned();
    assert_eq!(one["edges"][2]["cursor"], *cursor);
    let plain = data_encoding::BASE64.encode(b"{\"v\":\"1\",\"c\":\"2\"}");
    assert_ne!(cursor, plain);
    let data = got(&house, "desk", &page(1, &cursor));
    assert_eq!(
        data["uiapi"]["query"]["Contact"]["edges"][0]["node"]["Id"],
        house.contact(3, "Id")
    );
    // Good for its caller and its list alone.
    let other = page(3, &cursor).replace("Contact(", "Lead(");
    for (role, query) in [
        ("reader", page(3, &cursor)),
        ("desk", other),
        ("desk", page(3, &plain)),
        ("desk", page(3, "no-cursor")),
    ] {
        let reason = house.refused(role, "POST", "/graphql", &body(&query));
        assert_eq!(reason, Reason::InvalidCursor, "{query}");
    }
    let reason = house.refused("desk", "GET", &format!("/query/{cursor}"), "");
    assert!(matches!(
        reason,
        Reason::MalformedQuery | Reason::InvalidCursor
    ));
    let times = contacts(
        "(where:{and:[{CreatedDate:{lt:{value:\"2030-01-01T00:00:00Z\"}}},{not:{Birthdate:{gt:{literal:TODAY}}}}]},first:1)",
        "Id",
    );
    assert_eq!(nodes(&got(&house, "desk", &times)).len(), 1);
}

#[test]
fn what_is_not_open_is_refused_before_the_crm() {
    let house = House::with(RULES);
    for (query, expected) in [
        (
            "mutation{uiapi{ContactDelete(input:{Id:\"1\"}){Id}}}",
            Reason::EndpointClosed,
        ),
        ("subscription{a}", Reason::EndpointClosed),
        ("{__schema{types{name}}}", Reason::EndpointClosed),
        (
            "{uiapi{query{__type(name:\"Contact\"){name}}}}",
            Reason::EndpointClosed,
        ),
        (
            "{uiapi{aggregate{Contact{edges{node{aggregate{Title{value}}}}}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{aggregate{Contact(groupBy:{type:ROLLUP,Title:{group:true}}){totalCount}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{aggregate{Contact(groupBy:{CreatedDate:{function:CALENDAR_YEAR}}){totalCount}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{aggregate{Contact(groupBy:{Account:{Name:{group:true}}}){totalCount}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{aggregate{Contact{edges{node{aggregate{Account{Name{count{value}}}}}}}}}}",
            Reason::UnknownField,
        ),
        (
            "{uiapi{aggregate{Contact{edges{node{aggregate{Title{grouping{value}}}}}}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{aggregate{Contact{edges{node{Id}}}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Contact(groupBy:{Title:{group:true}}){totalCount}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Contact(orderBy:{Title:{function:MAX}}){totalCount}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{objectInfos(apiNames:[\"Contact\"]){ApiName}}}",
            Reason::EndpointClosed,
        ),
        ("{uiapi{layout{a}}}", Reason::EndpointClosed),
        ("{uiapi{query{Nothing{totalCount}}}}", Reason::UnknownObject),
        (
            "{uiapi{query{Contact{edges{node{Nothing{value}}}}}}}",
            Reason::UnknownField,
        ),
        (
            "{uiapi{query{Contact(where:{Nothing:{eq:\"x\"}}){totalCount}}}}",
            Reason::UnknownField,
        ),
        (
            "{uiapi{query{Contact(where:{Salary__c:{gt:1}}){totalCount}}}}",
            Reason::UnknownField,
        ),
        (
            "{uiapi{query{Contact{edges{node{SSN__c{value}}}}}}}",
            Reason::Denied,
        ),
        (
            "{uiapi{query{Contact{edges{node{a:Name{value} a:Email{value}}}}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Contact{edges{node{a:Name{value} A:Email{value}}}}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Contact{edges{node{privet_id:Email{value}}}}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Contact{edges{node{Email{value __typename}}}}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Contact{edges{node{DisplayValue}}}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Contact{edges{node{MailingAddress{value}}}}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Contact{edges{node{...on Lead{Id}}}}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Contact{edges{node{Id@category(name:\"a\")}}}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Contact(upperBound:1){totalCount}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Contact(first:2001){totalCount}}}}",
            Reason::MalformedQuery,
        ),
        (
            "{uiapi{query{Task{edges{node{Who{Name{value}}}}}}}}",
            Reason::MalformedQuery,
        ),
        ("{...F} fragment F on Query{...F}", Reason::MalformedQuery),
        (
            "{uiapi{query{Contact(first:$n){totalCount}}}}",
            Reason::MalformedQuery,
        ),
        (
            "query($n:Int!){uiapi{query{Contact(first:$n){totalCount}}}}",
            Reason::MalformedQuery,
        ),
        ("{a}{b}", Reason::MalformedQuery),
        (
            "{uiapi{query{Contact(where:{Title:{eq:\"\"\"x\"\"\"}}){totalCount}}}}",
            Reason::MalformedQuery,
        ),
    ] {
        assert_eq!(
            house.refused("desk", "POST", "/graphql", &body(query)),
            expected,
            "{query}"
        );
    }
    let mut bomb = String::from("{...F0}");
    for n in 0..30 {
        let _ = write!(bomb, "fragment F{n} on Query{{...F{0} ...F{0}}}", n + 1);
    }
    bomb.push_str("fragment F30 on Query{uiapi{query{Contact{totalCount}}}}");
    for query in [bomb, "{a".repeat(5_000), "a".repeat(200_000)] {
        assert_eq!(
            house.refused("desk", "POST", "/graphql", &body(&query)),
            Reason::MalformedQuery
        );
    }
    for bad in [
        json!([]),
        json!({}),
        json!({"query": 1}),
        json!({"query": "{a}", "extensions": {}}),
    ] {
        let reason = house.refused("desk", "POST", "/graphql", &bad.to_string());
        assert_eq!(reason, Reason::MalformedBody, "{bad}");
    }
    // What is hidden is answered like what is not there, wherever it stands and whatever it is compared with.
    for (hidden, missing) in [("Salary__c", "Salary_x_c"), ("SSN__c", "SSN_x_c")] {
        for filter in [
            "{Phone:{eq:\"x\"},NAME:{eq:1}}",
            "{NAME:{eq:1},Phone:{eq:\"x\"}}",
            "{and:[{NAME:{eq:true}},{Other:{eq:1}}]}",
            "{NAME:{gt:{value:\"2020-01-01\"}}}",
            "{NAME:{like:\"%\"}}",
            "{NAME:{odd:1}}",
            "{NAME:{Name:{eq:\"x\"}}}",
            "{Account:{NAME:{eq:\"x\"}}}",
        ] {
            let ask = |name: &str| {
                let query = contacts(&format!("(where:{})", filter.replace("NAME", name)), "Id");
                let refusal = house
                    .ask("desk", "POST", "/graphql", &body(&query))
                    .unwrap_err();
                (
                    refusal.reason,
                    refusal.message.replace(name, "NAME"),
                    refusal.rule,
                )
            };
            assert_eq!(ask(hidden), ask(missing), "{filter}");
        }
        let ask = |name: &str| {
            let query = contacts(
                &format!("(orderBy:[{{Phone:{{}}}},{{{name}:{{order:ASC}}}}])"),
                "Id",
            );
            house
                .ask("desk", "POST", "/graphql", &body(&query))
                .unwrap_err()
        };
        assert_eq!(ask(hidden), ask(missing));
    }
    // A mistake says where, and never what stands there.
    let secret = "{uiapi{query{Contact(where:{Title:{eq:\"zoe@acme.example\" ?";
    let refusal = house
        .ask("desk", "POST", "/graphql", &body(secret))
        .unwrap_err();
    assert!(
        refusal
            .message
            .ends_with(&format!("at character {}", secret.len() - 1)),
        "{}",
        refusal.message
    );
    assert!(!refusal.message.contains("zoe"));
}

fn groups(data: &Json) -> Vec<Json> {
    let edges = data["uiapi"]["aggregate"]["Contact"]["edges"]
        .as_array()
        .unwrap();
    edges
        .iter()
        .map(|e| e["node"]["aggregate"].clone())
        .collect()
}

fn aggregate(rest: &str, fields: &str) -> String {
    format!(
        "{{uiapi{{aggregate{{Contact{rest}{{edges{{cursor node{{aggregate{{{fields}}}}}}} totalCount pageInfo{{hasNextPage endCursor}}}}}}}}}}"
    )
}

#[test]
fn groups_are_what_soql_says_of_them() {
    let house = House::with(RULES);
    let soql = |query: &str| {
        let url = format!("/query?q={}", query.replace(' ', "+"));
        house.got("desk", "GET", &url, "").1["records"].clone()
    };
    let query = aggregate(
        "(first:5,where:{Title:{ne:null}},groupBy:{Title:{group:true}},orderBy:{Id:{function:COUNT,order:DESC},Title:{order:ASC}})",
        "__typename t:Title{v:value displayValue countDistinct{n:value}} Id{count{value}} Name{min{value displayValue} max{value}}",
    );
    let data = got(&house, "desk", &query);
    let found = groups(&data);
    let same = soql(
        "SELECT Title, COUNT(Id) c, MIN(Name) lo, MAX(Name) hi FROM Contact WHERE Title != null GROUP BY Title ORDER BY COUNT(Id) DESC, Title LIMIT 5",
    );
    assert_eq!(found.len(), 5);
    for (group, same) in found.iter().zip(same.as_array().unwrap()) {
        assert_eq!(group["__typename"], "ContactAggregate");
        assert_eq!(group["t"]["v"], same["Title"]);
        assert_eq!(group["t"]["displayValue"], same["Title"]);
        assert_eq!(group["t"]["countDistinct"]["n"], 1);
        assert_eq!(group["Id"]["count"]["value"], same["c"]);
        assert_eq!(group["Name"]["min"]["value"], same["lo"]);
        assert_eq!(group["Name"]["max"]["value"], same["hi"]);
    }
    // Further pages, for this caller and these groups alone.
    let info = &data["uiapi"]["aggregate"]["Contact"]["pageInfo"];
    assert_eq!(info["hasNextPage"], true);
    let cursor = info["endCursor"].as_str().unwrap();
    let next = query.replace("first:5", &format!("first:5,after:\"{cursor}\""));
    let further = groups(&got(&house, "desk", &next));
    assert!(!further.is_empty() && !found.contains(&further[0]));
    for (role, query) in [
        ("reader", next.clone()),
        (
            "desk",
            next.replace("groupBy:{Title", "groupBy:{AccountId")
                .replace("Title:{order:ASC}", "AccountId:{}"),
        ),
        ("desk", contacts(&format!("(after:\"{cursor}\")"), "Id")),
    ] {
        let reason = house.refused(role, "POST", "/graphql", &body(&query));
        assert_eq!(reason, Reason::InvalidCursor, "{query}");
    }
    // How many there are, and how many different tokens: no value is told.
    let data = got(
        &house,
        "desk",
        "{uiapi{aggregate{all:Contact{totalCount} Contact{edges{node{aggregate{Email{count{value} countDistinct{value}}}}}}}}}",
    );
    let same = soql("SELECT COUNT(Email) a, COUNT_DISTINCT(Email) b FROM Contact");
    assert_eq!(data["uiapi"]["aggregate"]["all"]["totalCount"], 2_000);
    assert_eq!(groups(&data)[0]["Email"]["count"]["value"], same[0]["a"]);
    assert_eq!(
        groups(&data)[0]["Email"]["countDistinct"]["value"],
        same[0]["b"]
    );
    // Groups of tokens are groups of values.
    let data = got(
        &house,
        "desk",
        &aggregate(
            "(first:3,groupBy:{Email:{group:true}})",
            "Email{value displayValue}",
        ),
    );
    for group in groups(&data) {
        let token = &group["Email"]["value"];
        assert!(token.is_null() || token.as_str().unwrap().starts_with("tk1."));
        assert_eq!(group["Email"]["displayValue"], *token);
    }
    let asked = sent(&house);
    assert!(!asked.contains(":displayValue"), "{asked}");
}

#[test]
fn groups_tell_nothing_of_what_is_treated() {
    let guarded = House::with(RULES);
    let open = House::with(OPEN);
    for field in ["Phone", "SSN__c"] {
        let by = format!("(groupBy:{{{field}:{{group:true}}}})");
        let named = "(groupBy:{Name:{group:true}},orderBy:{FIELD:{function:MIN,order:ASC}})";
        for query in [
            aggregate(&by, "Id{count{value}}"),
            aggregate(&by, &format!("{field}{{value}}")),
            aggregate("", &format!("x:{field}{{y:min{{z:value}}}}")),
            aggregate("", &format!("{field}{{max{{displayValue}}}}")),
            aggregate(&named.replace("FIELD", field), "Name{value}"),
            aggregate(
                &format!("(where:{{{field}:{{like:\"4%\"}}}})"),
                "Id{count{value}}",
            ),
        ] {
            let before = guarded.crm.seen().len();
            guarded.refused("desk", "POST", "/graphql", &body(&query));
            assert_eq!(guarded.crm.seen().len(), before, "{query}");
            let answer = open.got("desk", "POST", "/graphql", &body(&query)).1;
            assert_eq!(answer["errors"], json!([]), "{query}");
        }
        // Without the guard the extremes are values.
        let own = format!("(where:{{Id:{{eq:\"{}\"}}}})", open.contact(0, "Id"));
        let query = aggregate(&own, &format!("{field}{{min{{value}}}}"));
        let told = groups(&got(&open, "desk", &query));
        assert_eq!(told[0][field]["min"]["value"], *open.contact(0, field));
    }
    // Hidden and missing fields are told alike.
    for query in [
        aggregate("(groupBy:{NAME:{group:true}})", "Id{count{value}}"),
        aggregate("", "NAME{sum{value}}"),
        aggregate(
            "(groupBy:{Name:{group:true}},orderBy:{NAME:{function:SUM}})",
            "Name{value}",
        ),
    ] {
        let ask = |name: &str| {
            let query = body(&query.replace("NAME", name));
            let refusal = guarded.ask("desk", "POST", "/graphql", &query).unwrap_err();
            (
                refusal.reason,
                refusal.message.replace(name, "NAME"),
                refusal.rule,
            )
        };
        assert_eq!(ask("Salary__c"), ask("Salary_x_c"), "{query}");
    }
}

/// Ways to ask whether a guess is right: name, what the guess says, the document.
fn questions(field: &str, id: &str, guess: &str) -> Vec<(String, String)> {
    let own = format!("{{Id:{{eq:\"{id}\"}}}}");
    let mut all = Vec::new();
    let mut add = |name: &str, query: String| all.push((name.to_owned(), query));
    for (operator, value) in [
        ("like", format!("\"{guess}%\"")),
        ("gte", format!("\"{guess}\"")),
        ("lt", format!("\"{guess}\"")),
        ("eq", format!("\"{guess}\"")),
        ("ne", format!("\"{guess}\"")),
        ("in", format!("[\"{guess}\"]")),
        ("nin", format!("[\"{guess}\"]")),
    ] {
        let one = format!("{{{field}:{{{operator}:{value}}}}}");
        for (place, filter) in [
            ("and", format!("{{and:[{own},{one}]}}")),
            (
                "or",
                format!("{{and:[{own},{{or:[{one},{{Id:{{eq:\"none\"}}}}]}}]}}"),
            ),
            ("not", format!("{{and:[{own},{{not:{one}}}]}}")),
        ] {
            add(
                &format!("{operator} under {place}"),
                contacts(&format!("(where:{filter})"), "Id"),
            );
            add(
                &format!("{operator} under {place}, counted"),
                format!("{{uiapi{{query{{a:Contact(where:{filter}){{totalCount}}}}}}}}"),
            );
        }
        add(
            &format!("{operator} of a parent"),
            format!(
                "{{uiapi{{query{{Case(where:{{Contact:{{and:[{own},{one}]}}}}){{totalCount}}}}}}}}"
            ),
        );
        add(
            &format!("{operator} of a child"),
            format!(
                "{{uiapi{{query{{Account(first:2000){{edges{{node{{Contacts(where:{{and:[{own},{one}]}}){{pageResultCount}}}}}}}}}}}}}}"
            ),
        );
        add(
            &format!("{operator} in a fragment"),
            format!(
                "{{uiapi{{query{{...F}}}}}} fragment F on RecordQuery{{Contact(where:{{and:[{own},{one}]}}){{edges{{node{{x:Id}}}}}}}}"
            ),
        );
    }
    all
}

#[test]
fn no_question_tells_a_right_guess_from_a_wrong_one() {
    let guarded = House::with(RULES);
    let open = House::with(OPEN);
    let id = guarded.contact(0, "Id");
    for field in ["Email", "Phone", "SSN__c"] {
        let secret = guarded.contact(0, field);
        assert!(secret.len() > 3, "{field}");
        let (right, wrong) = (questions(field, &id, &secret), questions(field, &id, "~~~"));
        let mut telling = 0;
        for ((name, right), (_, wrong)) in right.iter().zip(&wrong) {
            let ask =
                |house: &House, query: &str| house.ask("desk", "POST", "/graphql", &body(query));
            let before = guarded.crm.seen().len();
            let (a, b) = (ask(&guarded, right), ask(&guarded, wrong));
            assert!(a.is_err() && a == b, "{field} {name}: {a:?} {b:?}");
            assert_eq!(guarded.crm.seen().len(), before, "{field} {name}");
            telling += usize::from(ask(&open, right) != ask(&open, wrong));
            // Nor when the document comes with variables.
            let said = json!({"query": contacts("(where:$w)", "Id").replacen('{', "query($w:Contact_Filter){", 1),
                "variables": {"w": {field: {"like": format!("{secret}%")}}}});
            assert!(
                guarded
                    .ask("desk", "POST", "/graphql", &said.to_string())
                    .is_err()
            );
        }
        assert!(telling > 20, "{field}: {telling} of {}", right.len());
        for query in [
            contacts(
                &format!("(orderBy:{{{field}:{{order:ASC}}}},first:1)"),
                "Id",
            ),
            contacts(&format!("(orderBy:[{{Name:{{}}}},{{{field}:{{}}}}])"), "Id"),
            format!(
                "{{uiapi{{query{{Case(orderBy:{{Contact:{{{field}:{{order:DESC}}}}}}){{edges{{node{{Id}}}}}}}}}}}}"
            ),
        ] {
            guarded.refused("desk", "POST", "/graphql", &body(&query));
            assert!(
                open.ask("desk", "POST", "/graphql", &body(&query)).is_ok(),
                "{query}"
            );
        }
        // Selected in every way, the value is in no answer; without the guard it is.
        for query in [
            contacts("(first:1)", &format!("a:{field}{{b:value c:displayValue}}")),
            contacts(
                "(first:1)",
                &format!("Name:{field}{{value}} {field}:Name{{value}}"),
            ),
            contacts(
                "(first:1)",
                &format!("...on Record{{{field}{{displayValue value}}}}"),
            ),
            format!(
                "{{uiapi{{query{{Case(first:200){{edges{{node{{Contact{{z:{field}{{value}}}}}}}}}}}}}}}}"
            ),
        ] {
            let answer = guarded.ask("desk", "POST", "/graphql", &body(&query));
            assert!(!format!("{answer:?}").contains(&secret), "{query}");
            if query.contains("Contact(") {
                let answer = open.ask("desk", "POST", "/graphql", &body(&query));
                assert!(format!("{answer:?}").contains(&secret), "{query}");
            }
        }
    }
    // Without the guard the value falls letter by letter.
    let secret = guarded.contact(0, "Email");
    let mut known = String::new();
    while known.len() < secret.len() {
        let next = ('!'..='~')
            .filter(|c| !matches!(c, '"' | '\\' | '%' | '_'))
            .find(|c| {
                let filter =
                    format!("(where:{{Id:{{eq:\"{id}\"}},Email:{{like:\"{known}{c}%\"}}}})");
                !nodes(&got(&open, "desk", &contacts(&filter, "Id"))).is_empty()
            });
        known.push(next.unwrap());
    }
    assert!(known.eq_ignore_ascii_case(&secret));
}

const FIELDS: [&str; 10] = [
    "Name",
    "LastName",
    "Email",
    "Phone",
    "Birthdate",
    "Loyalty_Number__c",
    "Salary__c",
    "MailingPostalCode",
    "Title",
    "AccountId",
];

#[test]
fn a_record_shows_what_rest_shows_of_it() {
    run(async {
        let house = house::Plan::default().build().await;
        let url = "/services/data/v61.0/graphql";
        for who in [DESK, ANALYST, MARKETING] {
            let mut same = 0;
            for field in FIELDS {
                let rest = house
                    .query(who, &format!("SELECT Id, {field} FROM Contact LIMIT 20"))
                    .await;
                let query = contacts("(first:20)", &format!("Id x:{field}{{value displayValue}}"));
                let answer = house.ask(who, "POST", url, &body(&query)).await;
                if rest.status != 200 {
                    assert!(
                        answer.json()["errors"][0]["message"].is_string(),
                        "{who} {field}"
                    );
                    continue;
                }
                assert_eq!(answer.status, 200, "{}", answer.text());
                let (rest, answer) = (rest.json(), answer.json());
                let rows = nodes(&answer["data"]);
                assert_eq!(rows.len(), 20);
                for (rest, row) in rest["records"].as_array().unwrap().iter().zip(&rows) {
                    assert_eq!(rest["Id"], row["Id"]);
                    let equal = rest.get(field) == row["x"].get("value");
                    same += usize::from(equal);
                    assert!(equal, "{who} {field}: {rest} {row}");
                }
            }
            assert!(same >= 100, "{who}: {same} of 200");
        }
        // Mistakes are told as GraphQL tells them, with 200; what is closed with 403.
        for (query, status, kind) in [
            (
                "{uiapi{query{Contact{edges{node{Nothing{value}}}}}}}",
                200,
                "ValidationError",
            ),
            ("{uiapi", 200, "InvalidSyntax"),
            ("{__schema{types{name}}}", 403, "OperationNotSupported"),
        ] {
            let before = house.services.crm.seen().len();
            let answer = house.ask(DESK, "POST", url, &body(query)).await;
            assert_eq!(answer.status, status, "{query}");
            let answer = answer.json();
            assert!(answer["data"].is_null());
            assert_eq!(answer["errors"][0]["extensions"]["ErrorType"], kind);
            assert_eq!(house.services.crm.seen().len(), before);
        }
        let answer = house.get(DESK, url).await;
        assert_eq!(answer.status, 405);
        // An error of the CRM says nothing of its own: it quotes what it was asked.
        let query = contacts("(where:{IsDeleted:{like:\"secret\"}})", "Id");
        let text = house.ask(DESK, "POST", url, &body(&query)).await.text();
        assert!(
            text.contains("errors") && !text.contains("secret"),
            "{text}"
        );
    });
}
