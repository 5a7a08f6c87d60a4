//! `…/analytics/reports…` and `…/analytics/dashboards…`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::demo::crm::{Asked, Crm, Instance, Reply};
use crate::demo::fault::Fault;

use super::query;

/// A stored report over contacts.
struct Report {
    id: &'static str,
    name: &'static str,
    kind: &'static str,
    format: &'static str,
    columns: &'static [&'static str],
    down: &'static [&'static str],
    across: &'static [&'static str],
    aggregates: &'static [&'static str],
    /// Column, operator, value.
    filters: &'static [(&'static str, &'static str, &'static str)],
    sort: &'static [&'static str],
}

const REPORTS: [Report; 6] = [
    Report {
        id: "00O5g00000000R1EAI",
        name: "Contacts",
        kind: "ContactList",
        format: "TABULAR",
        columns: &[
            "NAME",
            "LAST_NAME",
            "EMAIL",
            "PHONE1",
            "BIRTHDATE",
            "RATING_TEXT",
            "TITLE",
            "ACCOUNT.NAME",
            "Contact.Salary__c",
            "Contact.Id",
        ],
        down: &[],
        across: &[],
        aggregates: &["RowCount"],
        filters: &[("TITLE", "notEqual", "")],
        sort: &[],
    },
    Report {
        id: "00O5g00000000R2EAI",
        name: "Contacts by title and lead source",
        kind: "ContactList",
        format: "MATRIX",
        columns: &["EMAIL", "ADDRESS2_CITY"],
        down: &["TITLE"],
        across: &["LEAD_SOURCE"],
        aggregates: &["RowCount"],
        filters: &[],
        sort: &[],
    },
    Report {
        id: "00O5g00000000R3EAI",
        name: "Contacts whose address begins with t",
        kind: "ContactList",
        format: "TABULAR",
        columns: &["TITLE"],
        down: &[],
        across: &[],
        aggregates: &["RowCount"],
        filters: &[("EMAIL", "startsWith", "t")],
        sort: &[],
    },
    Report {
        id: "00O5g00000000R4EAI",
        name: "Salaries by title",
        kind: "Contacts_with_Accounts__c",
        format: "SUMMARY",
        columns: &["Contact$Email", "Contact.Account.Name"],
        down: &["Contact.Title"],
        across: &[],
        aggregates: &["a!Contact.Salary__c", "mx!Contact.Salary__c", "RowCount"],
        filters: &[],
        sort: &[],
    },
    Report {
        id: "00O5g00000000R5EAI",
        name: "Contacts by birthday",
        kind: "ContactList",
        format: "TABULAR",
        columns: &["TITLE"],
        down: &[],
        across: &[],
        aggregates: &["RowCount"],
        filters: &[],
        sort: &["BIRTHDATE"],
    },
    Report {
        id: "00O5g00000000R6EAI",
        name: "Ratings",
        kind: "RatingList",
        format: "TABULAR",
        columns: &["RATING_TEXT"],
        down: &[],
        across: &[],
        aggregates: &["RowCount"],
        filters: &[],
        sort: &[],
    },
];

/// A dashboard over the first two reports, and one that no metadata binds to anything.
const DASHBOARD: &str = "01Z5g00000000D1EAI";
const COMPONENTS: [(&str, usize); 3] = [
    ("01a5g00000000C1AAI", 0),
    ("01a5g00000000C2AAI", 1),
    ("01a5g00000000C3AAI", 5),
];

/// The field behind a column.
fn path(column: &str) -> String {
    match column {
        "NAME" => "Name".to_owned(),
        "FIRST_NAME" => "FirstName".to_owned(),
        "LAST_NAME" => "LastName".to_owned(),
        "EMAIL" => "Email".to_owned(),
        "PHONE1" => "Phone".to_owned(),
        "BIRTHDATE" => "Birthdate".to_owned(),
        "TITLE" => "Title".to_owned(),
        "LEAD_SOURCE" => "LeadSource".to_owned(),
        "ADDRESS2_CITY" => "MailingCity".to_owned(),
        "ACCOUNT.NAME" => "Account.Name".to_owned(),
        // What no metadata binds to a field.
        "RATING_TEXT" => "Email".to_owned(),
        other => other
            .replace('$', ".")
            .trim_start_matches("Contact.")
            .to_owned(),
    }
}

fn metadata(report: &Report) -> Value {
    let groups = |names: &[&str]| -> Vec<Value> {
        let group = |name: &&str| json!({"dateGranularity": "None", "name": name, "sortAggregate": null, "sortOrder": "Asc"});
        names.iter().map(group).collect()
    };
    let filters: Vec<Value> = report
        .filters
        .iter()
        .map(|(column, operator, value)| {
            json!({"column": column, "filterType": "fieldValue", "isRunPageEditable": true, "operator": operator,
                "value": value})
        })
        .collect();
    let sort: Vec<Value> = report
        .sort
        .iter()
        .map(|column| json!({"sortColumn": column, "sortOrder": "Asc"}))
        .collect();
    json!({
        "aggregates": report.aggregates,
        "buckets": [],
        "chart": null,
        "crossFilters": [],
        "currency": "EUR",
        "customSummaryFormula": {},
        "dashboardSetting": null,
        "detailColumns": report.columns,
        "developerName": report.name.replace(' ', "_"),
        "division": null,
        "folderId": "00l5g00000000F1AAI",
        "groupingsAcross": groups(report.across),
        "groupingsDown": groups(report.down),
        "hasDetailRows": true,
        "hasRecordCount": true,
        "historicalSnapshotDates": [],
        "id": report.id,
        "name": report.name,
        "reportBooleanFilter": null,
        "reportFilters": filters,
        "reportFormat": report.format,
        "reportType": {"label": report.kind, "type": report.kind},
        "scope": "organization",
        "showGrandTotal": true,
        "showSubtotals": true,
        "sortBy": sort,
        "standardDateFilter": {"column": "CREATED_DATE", "durationValue": "CUSTOM", "endDate": null,
            "startDate": null},
        "standardFilters": [],
        "supportsRoleHierarchy": false,
        "topRows": null,
        "userOrHierarchyFilterId": null,
    })
}

fn names(metadata: &Value, list: &str) -> Vec<String> {
    let all = metadata[list].as_array().cloned().unwrap_or_default();
    all.iter()
        .map(|e| {
            e["name"]
                .as_str()
                .or(e.as_str())
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

fn extended(metadata: &Value) -> Value {
    let info = |names: Vec<String>| -> Value {
        let one = |name: String| {
            let info = json!({"dataType": "string", "fullyQualifiedName": path(&name), "label": name,
                "entityColumnName": path(&name), "groupingLevel": 0});
            (name, info)
        };
        names
            .into_iter()
            .map(one)
            .collect::<serde_json::Map<_, _>>()
            .into()
    };
    let mut grouped = names(metadata, "groupingsDown");
    grouped.extend(names(metadata, "groupingsAcross"));
    json!({
        "aggregateColumnInfo": info(names(metadata, "aggregates")),
        "detailColumnInfo": info(names(metadata, "detailColumns")),
        "groupingColumnInfo": info(grouped),
    })
}

fn described(metadata: &Value) -> Value {
    json!({
        "attributes": {"reportId": metadata["id"], "reportName": metadata["name"], "type": "Report"},
        "reportExtendedMetadata": extended(metadata),
        "reportMetadata": metadata,
        "reportTypeMetadata": {"categories": [], "dataTypeFilterOperatorMap": {}},
    })
}

/// The rows of a report, by SOQL that asks the same.
fn rows(crm: &Crm, version: &str, metadata: &Value) -> Result<Vec<Value>, Fault> {
    let mut paths: Vec<String> = vec!["Id".to_owned()];
    let mut columns = names(metadata, "detailColumns");
    columns.extend(names(metadata, "groupingsDown"));
    columns.extend(names(metadata, "groupingsAcross"));
    for name in names(metadata, "aggregates") {
        columns.extend(name.split_once('!').map(|(_, column)| column.to_owned()));
    }
    for column in columns {
        let path = path(&column);
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let mut soql = format!("SELECT {} FROM Contact", paths.join(", "));
    let mut joint = " WHERE ";
    for filter in metadata["reportFilters"].as_array().into_iter().flatten() {
        let field = path(filter["column"].as_str().unwrap_or_default());
        let value = filter["value"].as_str().unwrap_or_default();
        let value = value.replace('\\', "\\\\").replace('\'', "\\'");
        let test = match filter["operator"].as_str().unwrap_or_default() {
            "equals" => format!("{field} = '{value}'"),
            "notEqual" if value.is_empty() => format!("{field} != null"),
            "notEqual" => format!("{field} != '{value}'"),
            "lessThan" => format!("{field} < '{value}'"),
            "greaterOrEqual" => format!("{field} >= '{value}'"),
            "contains" => format!("{field} LIKE '%{value}%'"),
            _ => format!("{field} LIKE '{value}%'"),
        };
        soql.push_str(joint);
        soql.push_str(&test);
        joint = " AND ";
    }
    let sort = metadata["sortBy"][0]["sortColumn"]
        .as_str()
        .map_or("Id".to_owned(), path);
    soql.push_str(&format!(" ORDER BY {sort}"));
    let reply = query::first(crm, &soql, version, usize::MAX)?;
    let found: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    Ok(found["records"].as_array().cloned().unwrap_or_default())
}

fn at(row: &Value, column: &str) -> Value {
    let place = format!("/{}", path(column).replace('.', "/"));
    row.pointer(&place).cloned().unwrap_or_default()
}

fn label(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn aggregate(rows: &[&Value], name: &str) -> Value {
    let Some((function, column)) = name.split_once('!') else {
        return json!({"label": rows.len().to_string(), "value": rows.len()});
    };
    let numbers: Vec<f64> = rows
        .iter()
        .filter_map(|row| at(row, column).as_f64())
        .collect();
    let sum: f64 = numbers.iter().sum();
    let value = match function {
        "a" => sum / numbers.len().max(1) as f64,
        "m" => numbers.iter().copied().fold(f64::INFINITY, f64::min),
        "mx" => numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        _ => sum,
    };
    json!({"label": format!("EUR {value:.2}"), "value": {"amount": value, "currency": "EUR"}})
}

fn fact(rows: &[&Value], metadata: &Value, details: bool) -> Value {
    let cells = |row: &&Value| {
        let cell = |column: String| {
            let value = at(row, &column);
            json!({"label": label(&value), "value": value})
        };
        let cells: Vec<Value> = names(metadata, "detailColumns")
            .into_iter()
            .map(cell)
            .collect();
        json!({"dataCells": cells})
    };
    let sums: Vec<Value> = names(metadata, "aggregates")
        .iter()
        .map(|name| aggregate(rows, name))
        .collect();
    if details {
        json!({"aggregates": sums, "rows": rows.iter().map(cells).collect::<Vec<_>>()})
    } else {
        json!({"aggregates": sums})
    }
}

/// The values of the first grouping of a list, in order.
fn groups(rows: &[Value], metadata: &Value, list: &str) -> Vec<(Value, String)> {
    let Some(column) = names(metadata, list).into_iter().next() else {
        return Vec::new();
    };
    let found: BTreeMap<String, Value> = rows
        .iter()
        .map(|row| at(row, &column))
        .map(|value| (label(&value), value))
        .collect();
    found
        .into_values()
        .map(|value| (value, column.clone()))
        .collect()
}

fn result(crm: &Crm, version: &str, metadata: &Value, details: bool) -> Result<Value, Fault> {
    let rows = rows(crm, version, metadata)?;
    let (down, across) = (
        groups(&rows, metadata, "groupingsDown"),
        groups(&rows, metadata, "groupingsAcross"),
    );
    let mut facts = serde_json::Map::new();
    // `T` is over all groups of its side.
    let sides = |groups: &[(Value, String)]| -> Vec<(String, Option<(Value, String)>)> {
        let all = groups.iter().enumerate();
        let each = all.map(|(n, group)| (n.to_string(), Some(group.clone())));
        each.chain([("T".to_owned(), None)]).collect()
    };
    let lowest = |group: &Option<(Value, String)>, groups: &[(Value, String)]| {
        group.is_some() || groups.is_empty()
    };
    for (d, by_down) in sides(&down) {
        for (a, by_across) in sides(&across) {
            let inside = |row: &&Value| {
                [&by_down, &by_across]
                    .into_iter()
                    .flatten()
                    .all(|(value, column)| at(row, column) == *value)
            };
            let own: Vec<&Value> = rows.iter().filter(inside).collect();
            let details = details && lowest(&by_down, &down) && lowest(&by_across, &across);
            facts.insert(format!("{d}!{a}"), fact(&own, metadata, details));
        }
    }
    let told = |groups: &[(Value, String)]| -> Vec<Value> {
        let all = groups.iter().enumerate();
        all.map(|(n, (value, _))| {
            json!({"groupings": [], "key": n.to_string(), "label": label(value), "value": value})
        })
        .collect()
    };
    Ok(json!({
        "allData": true,
        "attributes": {"describeUrl": "/services/data/v61.0/analytics/reports/x/describe", "reportId": metadata["id"],
            "reportName": metadata["name"], "type": "Report", "status": "Success"},
        "factMap": facts,
        "groupingsAcross": {"groupings": told(&across)},
        "groupingsDown": {"groupings": told(&down)},
        "hasDetailRows": details,
        "reportExtendedMetadata": extended(metadata),
        "reportMetadata": metadata,
    }))
}

/// Everything under `analytics`.
///
/// # Errors
/// What the CRM would say.
pub fn answer(crm: &Crm, asked: &Asked, version: &str, rest: &[&str]) -> Result<Reply, Fault> {
    let report = |id: &str| {
        let found = REPORTS
            .iter()
            .find(|r| r.id[..15] == id[..15.min(id.len())]);
        found.ok_or_else(Fault::not_found)
    };
    let details = asked.parameter("includeDetails") == Some("true");
    // A POST runs the report with other metadata.
    let meant = |report: &Report| -> Value {
        let mut meant = metadata(report);
        let posted: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
        for (name, value) in posted["reportMetadata"].as_object().into_iter().flatten() {
            meant[name] = value.clone();
        }
        meant
    };
    let url = |rest: &str| format!("/services/data/v{version}/analytics/{rest}");
    let told = |instance: &Instance| {
        json!({"completionDate": "2026-11-01T09:30:00Z", "hasDetailRows": instance.details, "id": instance.id,
            "ownerId": "0055g000000001AAAQ", "queryable": true, "requestDate": "2026-11-01T09:29:00Z",
            "status": "Success", "url": url(&format!("reports/{}/instances/{}", instance.report, instance.id))})
    };
    Ok(match (asked.method.as_str(), rest) {
        (_, ["reports"]) => Reply::json(
            200,
            &REPORTS
                .iter()
                .map(|r| {
                    json!({"describeUrl": url(&format!("reports/{}/describe", r.id)), "id": r.id,
                        "instancesUrl": url(&format!("reports/{}/instances", r.id)), "name": r.name,
                        "url": url(&format!("reports/{}", r.id))})
                })
                .collect(),
        ),
        (_, ["reports", id, "describe"]) => Reply::json(200, &described(&metadata(report(id)?))),
        (_, ["reports", id]) => {
            let meant = meant(report(id)?);
            if asked
                .header("accept")
                .is_some_and(|a| a.contains("spreadsheetml"))
            {
                let mut sheet = b"PK\x03\x04".to_vec();
                sheet.extend(
                    rows(crm, version, &meant)?
                        .iter()
                        .flat_map(|row| row.to_string().into_bytes()),
                );
                return Ok(Reply {
                    status: 200,
                    headers: vec![(
                        "content-type",
                        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
                            .to_owned(),
                    )],
                    body: sheet,
                });
            }
            Reply::json(200, &result(crm, version, &meant, details)?)
        }
        ("POST", ["reports", id, "instances"]) => {
            let report = report(id)?;
            let instance = crm.keep_instance(report.id, meant(report), details);
            Reply::json(200, &told(&instance))
        }
        (_, ["reports", id, "instances"]) => {
            let id = report(id)?.id;
            Reply::json(200, &crm.instances(id).iter().map(told).collect())
        }
        (_, ["reports", id, "instances", instance]) => {
            let of = report(id)?.id;
            let all = crm.instances(of);
            let found = all
                .iter()
                .find(|i| i.id == **instance)
                .ok_or_else(Fault::not_found)?;
            Reply::json(200, &result(crm, version, &found.metadata, found.details)?)
        }
        (_, ["dashboards"]) => Reply::json(
            200,
            &json!([{"id": DASHBOARD, "name": "People", "statusUrl": url(&format!("dashboards/{DASHBOARD}/status")),
                "url": url(&format!("dashboards/{DASHBOARD}"))}]),
        ),
        (_, ["dashboards", id, "describe"]) if *id == DASHBOARD => Reply::json(
            200,
            &json!({"components": COMPONENTS.iter().map(|(id, n)| json!({"header": "Contacts", "id": id,
                "reportId": REPORTS[*n].id, "type": "Report", "properties": {"x": 1}})).collect::<Vec<_>>(),
                "id": DASHBOARD, "name": "People", "runningUser": {"displayName": "Ada", "id": "0055g000000001AAAQ"}}),
        ),
        (_, ["dashboards", id, "status"]) if *id == DASHBOARD => Reply::json(
            200,
            &json!({"componentStatus": COMPONENTS.iter().map(|(id, _)| json!({"componentId": id,
                "refreshDate": "2026-11-01T09:30:00.000+0000", "refreshStatus": "IDLE"})).collect::<Vec<_>>()}),
        ),
        (_, ["dashboards", id]) if *id == DASHBOARD => {
            let mut components = Vec::new();
            for (id, n) in COMPONENTS {
                components.push(json!({"componentId": id,
                    "reportResult": result(crm, version, &metadata(&REPORTS[n]), true)?,
                    "status": {"dataStatus": "DATA", "errorCode": null, "errorMessage": null,
                        "refreshDate": "2026-11-01T09:30:00.000+0000", "refreshStatus": "IDLE"}}));
            }
            Reply::json(
                200,
                &json!({"componentData": components, "dashboardMetadata": {"id": DASHBOARD, "name": "People"}}),
            )
        }
        _ => return Err(Fault::not_found()),
    })
}
