//! A home-grown JSON service: the staff directory that `policies/apis/people.yaml` maps.
//!
//! `GET /people` (parameters `mail`, `department`, `sort`, `limit`, `offset`), `GET` and `PATCH /people/{id}`,
//! and `GET /people/{id}/notes`, which the map does not name.

use std::sync::{PoisonError, RwLock};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::{Value, json};

/// How many people there are.
pub const PEOPLE: usize = 200;
const PAGE: usize = 50;

const FIRST: [&str; 20] = [
    "Amélie", "Bartosz", "Chiara", "Dilan", "Elif", "Fatou", "Giulia", "Håkon", "Ines", "Jürgen",
    "Kaito", "Léa", "Mateo", "Nour", "Oksana", "Priya", "Renée", "Søren", "Tomáš", "Yusuf",
];
const LAST: [&str; 20] = [
    "Almeida",
    "Bauer",
    "Castel",
    "Dvořák",
    "Eriksson",
    "Fernández",
    "Gołąb",
    "Haddad",
    "Ivanova",
    "Jansen",
    "Kowalski",
    "Lindqvist",
    "Moreau",
    "Nguyen",
    "Öztürk",
    "Petrov",
    "Quint",
    "Rossi",
    "Schäfer",
    "Tanaka",
];
const DEPARTMENTS: [&str; 6] = [
    "Engineering",
    "Finance",
    "Legal",
    "People",
    "Sales",
    "Support",
];

/// The directory. Changes live as long as it does.
#[derive(Debug)]
pub struct People {
    bearer: Option<String>,
    rows: RwLock<Vec<Value>>,
}

impl People {
    /// The seeded directory; with `bearer`, only requests that carry this bearer token are answered.
    pub fn seeded(bearer: Option<String>) -> Self {
        Self {
            bearer,
            rows: RwLock::new((0..PEOPLE).map(person).collect()),
        }
    }

    /// The people, to be changed before they are served.
    pub fn rows_mut(&mut self) -> &mut Vec<Value> {
        self.rows.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers one request. `query` is the raw query without `?`.
    pub fn handle(
        &self,
        method: &Method,
        path: &str,
        query: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response<Bytes> {
        if let Some(token) = &self.bearer {
            let due = format!("Bearer {token}");
            if headers.get(AUTHORIZATION).is_none_or(|a| a != due.as_str()) {
                return fault(StatusCode::UNAUTHORIZED, "unauthorized", "who are you?");
            }
        }
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (method.as_str(), segments.as_slice()) {
            ("GET", ["people"]) => self.list(query, headers),
            ("GET", ["people", id]) => self.one(id),
            ("PATCH", ["people", id]) => self.change(id, body),
            ("GET", ["people", id, "notes"]) => self.notes(id),
            (_, ["people"] | ["people", _] | ["people", _, "notes"]) => fault(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                "not with this method",
            ),
            _ => fault(StatusCode::NOT_FOUND, "not_found", "no such path"),
        }
    }

    fn list(&self, query: &str, headers: &HeaderMap) -> Response<Bytes> {
        let pairs = pairs(query);
        let get = |name: &str| {
            pairs
                .iter()
                .find(|(n, _)| n == name)
                .map(|(_, v)| v.as_str())
        };
        let number = |name: &str, default: usize| match get(name) {
            None => Some(default),
            Some(text) => text.parse().ok(),
        };
        let (Some(limit), Some(offset)) = (number("limit", PAGE), number("offset", 0)) else {
            return fault(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "limit and offset are numbers",
            );
        };
        let limit = limit.clamp(1, PEOPLE);
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<&Value> = rows
            .iter()
            .filter(|r| get("mail").is_none_or(|m| r["contact"]["email"] == m))
            .filter(|r| get("department").is_none_or(|d| r["department"] == d))
            .collect();
        if let Some(sort) = get("sort") {
            if !matches!(sort, "name" | "joined") {
                return fault(
                    StatusCode::BAD_REQUEST,
                    "bad_request",
                    "sort by name or joined",
                );
            }
            found.sort_by(|a, b| a[sort].as_str().cmp(&b[sort].as_str()));
        }
        let total = found.len();
        let items: Vec<&Value> = found.into_iter().skip(offset).take(limit).collect();
        let next = (offset + items.len() < total).then(|| {
            let mut link = String::from("/people?");
            for (name, value) in pairs.iter().filter(|(n, _)| n != "offset" && n != "limit") {
                link.push_str(&format!("{}={}&", encoded(name), encoded(value)));
            }
            link.push_str(&format!("limit={limit}&offset={}", offset + items.len()));
            match headers.get(HOST).and_then(|h| h.to_str().ok()) {
                Some(host) => format!("http://{host}{link}"),
                None => link,
            }
        });
        answer(
            StatusCode::OK,
            &json!({ "total": total, "items": items, "next": next, "servedBy": "directory-7.internal" }),
        )
    }

    fn one(&self, id: &str) -> Response<Bytes> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        match rows.iter().find(|r| r["id"] == id) {
            Some(row) => answer(StatusCode::OK, row),
            None => fault(StatusCode::NOT_FOUND, "not_found", "no such person"),
        }
    }

    fn notes(&self, id: &str) -> Response<Bytes> {
        let rows = self.rows.read().unwrap_or_else(PoisonError::into_inner);
        match rows.iter().find(|r| r["id"] == id) {
            Some(row) => answer(StatusCode::OK, &json!({ "notes": [row["notes"]] })),
            None => fault(StatusCode::NOT_FOUND, "not_found", "no such person"),
        }
    }

    fn change(&self, id: &str, body: &[u8]) -> Response<Bytes> {
        let Ok(Value::Object(change)) = serde_json::from_slice::<Value>(body) else {
            return fault(
                StatusCode::BAD_REQUEST,
                "bad_request",
                "a JSON object is due",
            );
        };
        let mut rows = self.rows.write().unwrap_or_else(PoisonError::into_inner);
        let Some(row) = rows.iter_mut().find(|r| r["id"] == id) else {
            return fault(StatusCode::NOT_FOUND, "not_found", "no such person");
        };
        for (key, value) in change {
            match (key.as_str(), value) {
                ("contact", Value::Object(contact)) => {
                    for (key, value) in contact {
                        if matches!(key.as_str(), "email" | "phone") {
                            row["contact"][key] = value;
                        }
                    }
                }
                ("name" | "department" | "joined", value) => row[key] = value,
                _ => return fault(StatusCode::BAD_REQUEST, "bad_request", "no such member"),
            }
        }
        answer(StatusCode::OK, row)
    }
}

/// The person with the number `i`: every value a function of it.
fn person(i: usize) -> Value {
    // Strides coprime to the list lengths spread the names.
    let first = FIRST[(i * 7) % FIRST.len()];
    let last = LAST[(i * 3 + i / 20) % LAST.len()];
    let department = DEPARTMENTS[(i * 5 + i / 7) % DEPARTMENTS.len()];
    let email = format!("{}.{}{i}@people.example", ascii(first), ascii(last));
    json!({
        "id": format!("p{:04}", 1000 + i),
        "name": format!("{first} {last}"),
        "contact": {
            "email": email,
            "phone": format!("+33 1 99 00 {:02} {:02}", i / 100, i % 100),
        },
        "department": department,
        "joined": date(2009 + i % 16, i * 11, i * 17),
        "birthdate": date(1958 + (i * 13) % 46, i * 5, i * 29),
        "pay": { "salary": 31_000 + (i * 977) % 89_000, "currency": "EUR" },
        "notes": format!("{first} prefers to be called on {}", 7_000 + i),
    })
}

fn date(year: usize, month: usize, day: usize) -> String {
    format!("{year:04}-{:02}-{:02}", month % 12 + 1, day % 28 + 1)
}

/// Lower-case ASCII letters of a name, accents taken off.
fn ascii(name: &str) -> String {
    name.chars()
        .filter_map(|c| match c.to_lowercase().next()? {
            'é' | 'è' => Some('e'),
            'å' | 'ä' | 'á' | 'ą' => Some('a'),
            'ö' | 'ø' => Some('o'),
            'ü' => Some('u'),
            'š' => Some('s'),
            'ř' => Some('r'),
            'ł' => Some('l'),
            c if c.is_ascii_lowercase() => Some(c),
            _ => None,
        })
        .collect()
}

fn pairs(query: &str) -> Vec<(String, String)> {
    query
        .split('&')
        .filter(|p| !p.is_empty())
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .map(|(n, v)| (decoded(n), decoded(v)))
        .collect()
}

fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'+' => out.push(b' '),
            b'%' => {
                let digits = [bytes.next().unwrap_or(b'0'), bytes.next().unwrap_or(b'0')];
                let hex = std::str::from_utf8(&digits).unwrap_or("3f");
                out.push(u8::from_str_radix(hex, 16).unwrap_or(b'?'));
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn encoded(text: &str) -> String {
    text.bytes()
        .map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(b).to_string()
            }
            b => format!("%{b:02X}"),
        })
        .collect()
}

fn fault(status: StatusCode, code: &str, message: &str) -> Response<Bytes> {
    answer(
        status,
        &json!({ "error": { "code": code, "message": message } }),
    )
}

fn answer(status: StatusCode, body: &Value) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_string()));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(people: &People, target: &str) -> (u16, Value) {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let r = people.handle(&Method::GET, path, query, &HeaderMap::new(), b"");
        (
            r.status().as_u16(),
            serde_json::from_slice(r.body()).unwrap(),
        )
    }

    #[test]
    fn every_page_together_is_everybody_once() {
        let people = People::seeded(None);
        let mut seen = std::collections::BTreeSet::new();
        let mut next = Some("/people?sort=name".to_owned());
        while let Some(target) = next {
            let (status, page) = get(&people, &target);
            assert_eq!(status, 200);
            assert_eq!(page["total"], PEOPLE);
            for item in page["items"].as_array().unwrap() {
                assert!(seen.insert(item["contact"]["email"].as_str().unwrap().to_owned()));
            }
            next = page["next"].as_str().map(str::to_owned);
        }
        assert_eq!(seen.len(), PEOPLE);
    }

    #[test]
    fn filters_and_changes() {
        let people = People::seeded(None);
        let (_, one) = get(&people, "/people/p1007");
        let mail = one["contact"]["email"].as_str().unwrap();
        let (_, found) = get(&people, &format!("/people?mail={}", encoded(mail)));
        assert_eq!(found["items"], json!([one]));
        let body = br#"{"contact":{"email":"new@people.example"}}"#;
        let r = people.handle(&Method::PATCH, "/people/p1007", "", &HeaderMap::new(), body);
        assert_eq!(r.status(), 200);
        assert_eq!(
            get(&people, "/people/p1007").1["contact"]["email"],
            "new@people.example"
        );
    }

    #[test]
    fn a_bearer_token_is_asked_for() {
        let people = People::seeded(Some("t".to_owned()));
        assert_eq!(get(&people, "/people").0, 401);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer t"));
        assert_eq!(
            people
                .handle(&Method::GET, "/people", "", &headers, b"")
                .status(),
            200
        );
    }
}
