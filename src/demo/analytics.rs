//! An analytics service shaped like Tableau's VizQL Data Service, with a small evaluator of its own: the request
//! names the columns that come back. `policies/apis/analytics.yaml` maps it.
//!
//! `POST /api/v1/vizql-data-service/query-datasource`, and `…/read-metadata`, which the map does not name.

use std::cmp::Ordering;
use std::collections::HashMap;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use serde_json::{Map, Number, Value, json};

/// The one data source.
pub const DATASOURCE: &str = "0f0d3c1e-sales";
/// How many sales there are.
pub const SALES: usize = 2_400;
const CUSTOMERS: usize = 200;

/// Captions, and whether the field is a number.
const FIELDS: [(&str, bool); 9] = [
    ("Amount", true),
    ("Customer", false),
    ("Customer Email", false),
    ("Discount", true),
    ("Order Date", false),
    ("Order Id", false),
    ("Quantity", true),
    ("Region", false),
    ("Segment", false),
];

/// The data source in memory.
#[derive(Debug)]
pub struct Analytics {
    bearer: Option<String>,
    rows: Vec<Vec<Value>>,
}

/// Why a query is not answered: errorCode and message.
type Fault = (&'static str, String);

/// One column of a query.
struct Column {
    field: usize,
    function: Option<Function>,
    key: String,
    /// Priority and whether descending.
    sort: Option<(u64, bool)>,
    decimals: Option<usize>,
}

#[derive(Clone, Copy)]
enum Function {
    Sum,
    Avg,
    Min,
    Max,
    Count,
    CountDistinct,
}

/// A SET filter.
struct Set {
    field: usize,
    values: Vec<Value>,
    exclude: bool,
}

impl Analytics {
    /// The seeded data source; with `bearer`, only requests that carry this bearer token are answered.
    pub fn seeded(bearer: Option<String>) -> Self {
        Self {
            bearer,
            rows: (0..SALES).map(sale).collect(),
        }
    }

    /// The sales, to be changed before they are served: a value per field, fields sorted by caption.
    pub fn rows_mut(&mut self) -> &mut Vec<Vec<Value>> {
        &mut self.rows
    }

    /// Answers one request. `query` is the raw query without `?`; there are no parameters.
    pub fn handle(
        &self,
        method: &Method,
        path: &str,
        _query: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response<Bytes> {
        if let Some(token) = &self.bearer {
            let due = format!("Bearer {token}");
            if headers.get(AUTHORIZATION).is_none_or(|a| a != due.as_str()) {
                return answer(
                    StatusCode::UNAUTHORIZED,
                    &fault("401002", "Invalid authentication credentials"),
                );
            }
        }
        let Some(endpoint) = path.strip_prefix("/api/v1/vizql-data-service/") else {
            return answer(StatusCode::NOT_FOUND, &fault("404000", "Not found"));
        };
        if *method != Method::POST {
            return answer(
                StatusCode::METHOD_NOT_ALLOWED,
                &fault("405000", "Method not allowed"),
            );
        }
        let result = match endpoint {
            "query-datasource" => self.query(body),
            "read-metadata" => Ok(json!({
                "data": FIELDS
                    .iter()
                    .map(|(name, number)| json!({
                        "fieldName": name,
                        "fieldCaption": name,
                        "dataType": if *number { "REAL" } else { "STRING" },
                    }))
                    .collect::<Vec<_>>(),
            })),
            _ => return answer(StatusCode::NOT_FOUND, &fault("404000", "Not found")),
        };
        match result {
            Ok(value) => answer(StatusCode::OK, &value),
            Err((code, message)) => answer(StatusCode::BAD_REQUEST, &fault(code, &message)),
        }
    }

    fn query(&self, body: &[u8]) -> Result<Value, Fault> {
        let request: Value =
            serde_json::from_slice(body).map_err(|_| bad("The payload is not valid JSON"))?;
        if request["datasource"]["datasourceLuid"] != DATASOURCE {
            return Err(("404934", "Unknown datasource".to_owned()));
        }
        let options = &request["options"];
        if !(options["returnFormat"].is_null() || options["returnFormat"] == "OBJECTS") {
            return Err(bad("returnFormat must be OBJECTS"));
        }
        let columns = request["query"]["fields"]
            .as_array()
            .filter(|f| !f.is_empty())
            .ok_or_else(|| bad("query.fields must not be empty"))?
            .iter()
            .map(column)
            .collect::<Result<Vec<_>, _>>()?;
        let sets = match &request["query"]["filters"] {
            Value::Null => Vec::new(),
            Value::Array(list) => list.iter().map(set).collect::<Result<Vec<_>, _>>()?,
            _ => return Err(bad("query.filters must be a list")),
        };
        let rows: Vec<&Vec<Value>> = self
            .rows
            .iter()
            .filter(|row| {
                sets.iter()
                    .all(|s| s.values.contains(&row[s.field]) != s.exclude)
            })
            .collect();
        let mut table = if options["disaggregate"] == true {
            rows.iter()
                .map(|row| columns.iter().map(|c| row[c.field].clone()).collect())
                .collect()
        } else {
            aggregated(&columns, &rows)?
        };
        sort(&columns, &mut table);
        let data: Vec<Value> = table
            .into_iter()
            .map(|cells| {
                let mut object = Map::new();
                for (column, cell) in columns.iter().zip(cells) {
                    object.insert(column.key.clone(), rounded(cell, column.decimals));
                }
                Value::Object(object)
            })
            .collect();
        Ok(json!({ "data": data, "queryId": "b1946ac9" }))
    }
}

fn bad(message: &str) -> Fault {
    ("400803", message.to_owned())
}

fn field(caption: &Value) -> Result<usize, Fault> {
    let caption = caption
        .as_str()
        .ok_or_else(|| bad("fieldCaption must be a string"))?;
    FIELDS
        .iter()
        .position(|(name, _)| *name == caption)
        .ok_or_else(|| bad(&format!("Unknown Field: {caption}.")))
}

fn column(asked: &Value) -> Result<Column, Fault> {
    let field = field(&asked["fieldCaption"])?;
    let (caption, number) = FIELDS[field];
    let word = asked["function"].as_str();
    let function = match word {
        None => None,
        Some("SUM") if number => Some(Function::Sum),
        Some("AVG") if number => Some(Function::Avg),
        Some("MIN") => Some(Function::Min),
        Some("MAX") => Some(Function::Max),
        Some("COUNT") => Some(Function::Count),
        Some("COUNTD") => Some(Function::CountDistinct),
        Some(other) => return Err(bad(&format!("{other} is not possible on {caption}"))),
    };
    let key = match (asked["fieldAlias"].as_str(), word) {
        (Some(alias), _) => alias.to_owned(),
        (None, Some(word)) => format!("{word}({caption})"),
        (None, None) => caption.to_owned(),
    };
    let sort = asked["sortPriority"]
        .as_u64()
        .map(|priority| (priority, asked["sortDirection"] == "DESC"));
    Ok(Column {
        field,
        function,
        key,
        sort,
        decimals: asked["maxDecimalPlaces"]
            .as_u64()
            .and_then(|d| usize::try_from(d).ok()),
    })
}

fn set(asked: &Value) -> Result<Set, Fault> {
    if asked["filterType"] != "SET" {
        return Err(bad("Only SET filters are possible"));
    }
    Ok(Set {
        field: field(&asked["field"]["fieldCaption"])?,
        values: asked["values"]
            .as_array()
            .cloned()
            .ok_or_else(|| bad("values must be a list"))?,
        exclude: asked["exclude"] == true,
    })
}

/// One row per combination of the plain columns, in the order in which they first occur.
fn aggregated(columns: &[Column], rows: &[&Vec<Value>]) -> Result<Vec<Vec<Value>>, Fault> {
    let mut order: Vec<Vec<&Vec<Value>>> = Vec::new();
    let mut groups: HashMap<String, usize> = HashMap::new();
    for row in rows {
        let plain: Vec<&Value> = columns
            .iter()
            .filter(|c| c.function.is_none())
            .map(|c| &row[c.field])
            .collect();
        let key = serde_json::to_string(&plain).map_err(|_| bad("not possible"))?;
        let group = *groups.entry(key).or_insert_with(|| {
            order.push(Vec::new());
            order.len() - 1
        });
        order[group].push(row);
    }
    Ok(order
        .iter()
        .map(|group| columns.iter().map(|c| cell(c, group)).collect())
        .collect())
}

fn cell(column: &Column, group: &[&Vec<Value>]) -> Value {
    let values = || group.iter().map(|row| &row[column.field]);
    let sum = || values().filter_map(Value::as_f64).sum::<f64>();
    match column.function {
        None => values().next().cloned().unwrap_or_default(),
        Some(Function::Sum) => number(sum()),
        Some(Function::Avg) => number(sum() / group.len() as f64),
        Some(Function::Min) => values()
            .min_by(|a, b| compare(a, b))
            .cloned()
            .unwrap_or_default(),
        Some(Function::Max) => values()
            .max_by(|a, b| compare(a, b))
            .cloned()
            .unwrap_or_default(),
        Some(Function::Count) => json!(group.len()),
        Some(Function::CountDistinct) => {
            let mut distinct: Vec<&Value> = values().collect();
            distinct.sort_by(|a, b| compare(a, b));
            distinct.dedup();
            json!(distinct.len())
        }
    }
}

fn sort(columns: &[Column], table: &mut [Vec<Value>]) {
    let mut by: Vec<(u64, bool, usize)> = columns
        .iter()
        .enumerate()
        .filter_map(|(i, c)| c.sort.map(|(priority, down)| (priority, down, i)))
        .collect();
    by.sort_unstable();
    table.sort_by(|a, b| {
        by.iter()
            .map(|&(_, down, i)| {
                let order = compare(&a[i], &b[i]);
                if down { order.reverse() } else { order }
            })
            .find(|o| *o != Ordering::Equal)
            .unwrap_or(Ordering::Equal)
    });
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        _ => a.as_str().cmp(&b.as_str()),
    }
}

fn number(value: f64) -> Value {
    // Amounts have cents; sums of them must not show binary dust.
    let value = (value * 1e6).round() / 1e6;
    Number::from_f64(value).map_or(Value::Null, Value::Number)
}

fn rounded(value: Value, decimals: Option<usize>) -> Value {
    match (value.as_f64(), decimals) {
        (Some(v), Some(decimals)) => format!("{v:.*}", decimals.min(15))
            .parse()
            .ok()
            .and_then(Number::from_f64)
            .map_or(Value::Null, Value::Number),
        _ => value,
    }
}

/// The sale with the number `i`, in the order of [`FIELDS`]: every value a function of it.
fn sale(i: usize) -> Vec<Value> {
    const FIRMS: [&str; 10] = [
        "Acme",
        "Blauwal",
        "Castel",
        "Dunder",
        "Étoile",
        "Fjord",
        "Grünfeld",
        "Hélios",
        "Iberia",
        "Jade",
    ];
    const KINDS: [&str; 5] = ["Labs", "Foods", "Mobility", "Paper", "Systems"];
    const REGIONS: [&str; 3] = ["AMER", "APAC", "EMEA"];
    const SEGMENTS: [&str; 3] = ["Consumer", "Corporate", "Home Office"];
    let customer = (i * 37 + i / 11) % CUSTOMERS;
    let name = format!(
        "{} {} {}",
        FIRMS[customer % 10],
        KINDS[customer / 10 % 5],
        customer + 1
    );
    let quantity = i * 7 % 12 + 1;
    let cents = quantity * (499 + (i * 1_103) % 48_000);
    vec![
        number(cents as f64 / 100.0),
        json!(name),
        json!(format!("buyer{:03}@customers.example", customer + 1)),
        number((i % 5) as f64 * 0.05),
        json!(format!(
            "{}-{:02}-{:02}",
            2023 + i % 3,
            i * 5 % 12 + 1,
            i * 17 % 28 + 1
        )),
        json!(format!("SO-{:05}", 10_000 + i)),
        json!(quantity),
        json!(REGIONS[customer % 3]),
        json!(SEGMENTS[customer / 3 % 3]),
    ]
}

fn fault(code: &str, message: &str) -> Value {
    json!({ "errorCode": code, "message": message })
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

    fn ask(query: &Value) -> (u16, Value) {
        let body =
            json!({ "datasource": { "datasourceLuid": DATASOURCE }, "query": query }).to_string();
        let r = Analytics::seeded(None).handle(
            &Method::POST,
            "/api/v1/vizql-data-service/query-datasource",
            "",
            &HeaderMap::new(),
            body.as_bytes(),
        );
        (
            r.status().as_u16(),
            serde_json::from_slice(r.body()).unwrap(),
        )
    }

    #[test]
    fn groups_add_up_to_the_whole() {
        let sum = json!({"fieldCaption": "Amount", "function": "SUM", "fieldAlias": "total"});
        let (_, whole) =
            ask(&json!({ "fields": [sum, {"fieldCaption": "Order Id", "function": "COUNTD"}] }));
        assert_eq!(whole["data"][0]["COUNTD(Order Id)"], SALES);
        let (status, parts) = ask(&json!({ "fields": [
            {"fieldCaption": "Region", "sortPriority": 1, "sortDirection": "DESC"}, sum,
        ] }));
        assert_eq!(status, 200);
        let regions: Vec<&str> = parts["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["Region"].as_str().unwrap())
            .collect();
        assert_eq!(regions, ["EMEA", "APAC", "AMER"]);
        let added: f64 = parts["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|r| r["total"].as_f64().unwrap())
            .sum();
        assert!((added - whole["data"][0]["total"].as_f64().unwrap()).abs() < 0.01);
    }

    #[test]
    fn sets_filter_and_exclude() {
        let count = json!({"fieldCaption": "Order Id", "function": "COUNT"});
        let asked = |exclude: bool| {
            let filter = json!({"filterType": "SET", "field": {"fieldCaption": "Region"}, "values": ["EMEA"], "exclude": exclude});
            ask(&json!({ "fields": [count], "filters": [filter] })).1["data"][0]["COUNT(Order Id)"]
                .as_u64()
                .unwrap()
        };
        assert_eq!(asked(true) + asked(false), SALES as u64);
        assert!(asked(false) > 0);
    }

    #[test]
    fn an_unknown_field_is_named() {
        let (status, error) = ask(&json!({ "fields": [{"fieldCaption": "Salary"}] }));
        assert_eq!(
            (status, error["message"].as_str()),
            (400, Some("Unknown Field: Salary."))
        );
    }
}
