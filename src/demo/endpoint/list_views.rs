//! `GET …/sobjects/X/listviews…`: stored queries.

use serde_json::{Value, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::fault::Fault;

use super::query;

/// A stored query.
struct View {
    id: &'static str,
    object: &'static str,
    label: &'static str,
    name: &'static str,
    soql: &'static str,
}

const VIEWS: [View; 3] = [
    View {
        id: "00B5g00000000A1EAI",
        object: "Contact",
        label: "All contacts",
        name: "AllContacts",
        soql: "SELECT Id, Name, LastName, Email, Phone, Birthdate, Loyalty_Number__c, Salary__c, SSN__c, Health__c, \
               Description, MailingCity, MailingStreet, Title, HasOptedOutOfEmail, AccountId, Account.Name \
               FROM Contact ORDER BY Id",
    },
    View {
        id: "00B5g00000000A2EAI",
        object: "Contact",
        label: "Contacts at lumiere",
        name: "Lumiere",
        soql: "SELECT Id, Name, Title FROM Contact WHERE Email LIKE 't%' ORDER BY Id",
    },
    View {
        id: "00B5g00000000A3EAI",
        object: "Contact",
        label: "By birthday",
        name: "Birthdays",
        soql: "SELECT Id, Name, Title FROM Contact ORDER BY Birthdate",
    },
];

/// Everything under `listviews` of an object.
///
/// # Errors
/// What the CRM would say.
pub fn answer(
    crm: &Crm,
    asked: &Asked,
    version: &str,
    object: &str,
    rest: &[&str],
) -> Result<Reply, Fault> {
    let own = || {
        VIEWS
            .iter()
            .filter(|v| v.object.eq_ignore_ascii_case(object))
    };
    let of = |id: &str| own().find(|v| v.id == id).ok_or_else(Fault::not_found);
    match rest {
        [] => {
            let views: Vec<Value> = own().map(|v| head(v, version)).collect();
            Ok(Reply::json(
                200,
                &json!({"done": true, "listviews": views, "nextRecordsUrl": null, "size": views.len(),
                    "sobjectType": object}),
            ))
        }
        [id] => Ok(Reply::json(200, &head(of(id)?, version))),
        [id, "describe"] => Ok(Reply::json(200, &describe(of(id)?))),
        [id, "results"] => results(crm, asked, version, of(id)?),
        _ => Err(Fault::not_found()),
    }
}

/// The query of a view.
pub(super) fn soql(id: &str) -> Option<&'static str> {
    VIEWS.iter().find(|v| v.id == id).map(|v| v.soql)
}

fn head(view: &View, version: &str) -> Value {
    let url = format!(
        "/services/data/v{version}/sobjects/{}/listviews/{}",
        view.object, view.id
    );
    json!({
        "describeUrl": format!("{url}/describe"),
        "developerName": view.name,
        "id": view.id,
        "label": view.label,
        "resultsUrl": format!("{url}/results"),
        "soqlCompatible": true,
        "url": url,
    })
}

/// The paths of the SELECT list.
fn paths(view: &View) -> Vec<&'static str> {
    let list = view.soql.trim_start_matches("SELECT ");
    let list = list.split(" FROM ").next().unwrap_or_default();
    list.split(',').map(str::trim).collect()
}

fn columns(view: &View) -> Vec<Value> {
    let column = |path: &&str| {
        json!({
            "ascendingLabel": "A-Z",
            "descendingLabel": "Z-A",
            "fieldNameOrPath": path,
            "hidden": *path == "Id",
            "label": path,
            "searchable": true,
            "selectListItem": path,
            "sortDirection": null,
            "sortIndex": null,
            "sortable": true,
            "type": "string",
        })
    };
    paths(view).iter().map(column).collect()
}

fn describe(view: &View) -> Value {
    let order = view.soql.split(" ORDER BY ").nth(1).unwrap_or("Id");
    json!({
        "columns": columns(view),
        "id": view.id,
        "orderBy": [{"fieldNameOrPath": order, "nullsPosition": "first", "sortDirection": "ascending"}],
        "query": view.soql,
        "scope": "everything",
        "sobjectType": view.object,
        "whereCondition": {"conditions": [{"field": "Email", "operator": "like", "values": ["'t%'"]}],
            "conjunction": "and"},
    })
}

fn results(crm: &Crm, asked: &Asked, version: &str, view: &View) -> Result<Reply, Fault> {
    let reply = query::first(crm, view.soql, version, usize::MAX)?;
    let found: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    let all = found["records"].as_array().cloned().unwrap_or_default();
    let number = |name: &str, default: usize| {
        let text = asked.parameter(name);
        text.and_then(|t| t.parse().ok()).unwrap_or(default)
    };
    let (offset, limit) = (number("offset", 0), number("limit", 25));
    let records: Vec<Value> = all
        .iter()
        .skip(offset)
        .take(limit)
        .map(|record| {
            let cell = |path: &&str| {
                let at = format!("/{}", path.replace('.', "/"));
                let value = match record.pointer(&at) {
                    None | Some(Value::Null) => Value::Null,
                    Some(Value::String(text)) => json!(text),
                    // Every value is a text here.
                    Some(other) => json!(other.to_string()),
                };
                json!({"fieldNameOrPath": path, "value": value})
            };
            json!({"columns": paths(view).iter().map(cell).collect::<Vec<_>>()})
        })
        .collect();
    let done = offset + records.len() >= all.len();
    Ok(Reply::json(
        200,
        &json!({"columns": columns(view), "developerName": view.name, "done": done, "id": view.id,
            "label": view.label, "records": records, "size": records.len()}),
    ))
}
