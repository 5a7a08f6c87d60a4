//! `GET …/query?q=`, `…/queryAll?q=` and their further pages.

use serde_json::{Map, Value, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::evaluate::{Evaluator, Found};
use crate::demo::fault::Fault;
use crate::demo::soql;

const BATCH: usize = 500;

/// The first page.
///
/// # Errors
/// Whatever is wrong with the query.
pub fn answer(crm: &Crm, asked: &Asked, version: &str, deleted: bool) -> Result<Reply, Fault> {
    let text = asked
        .parameter("q")
        .filter(|q| !q.trim().is_empty())
        .ok_or_else(|| Fault::new(400, "MALFORMED_QUERY", "A query string has to be specified"))?;
    let batch = batch(asked);
    page(crm, text, version, deleted, batch, 0, None)
}

/// How many records a page holds.
pub(super) fn batch(asked: &Asked) -> usize {
    asked
        .header("sforce-query-options")
        .and_then(|v| v.split_once('='))
        .filter(|(name, _)| name.trim().eq_ignore_ascii_case("batchSize"))
        .and_then(|(_, n)| n.trim().parse::<usize>().ok())
        .map_or(BATCH, |n| n.clamp(200, 2_000))
}

/// The first page of a query that another endpoint stands for.
///
/// # Errors
/// Whatever is wrong with the query.
pub(super) fn first(crm: &Crm, soql: &str, version: &str, batch: usize) -> Result<Reply, Fault> {
    page(crm, soql, version, false, batch, 0, None)
}

/// A further page; `locator` is `<cursor id>-<offset>`.
///
/// # Errors
/// A locator that nobody got, or that lies past the end.
pub fn next(crm: &Crm, locator: &str, version: &str) -> Result<Reply, Fault> {
    let invalid = || Fault::new(400, "INVALID_QUERY_LOCATOR", "invalid query locator");
    let (id, offset) = locator.rsplit_once('-').ok_or_else(invalid)?;
    let offset: usize = offset.parse().map_err(|_| invalid())?;
    let cursor = crm.cursor(id).ok_or_else(invalid)?;
    page(
        crm,
        &cursor.soql,
        version,
        cursor.deleted,
        cursor.batch,
        offset,
        Some(id),
    )
}

fn page(
    crm: &Crm,
    text: &str,
    version: &str,
    deleted: bool,
    batch: usize,
    offset: usize,
    cursor: Option<&str>,
) -> Result<Reply, Fault> {
    let query =
        soql::parse(text).map_err(|e| Fault::in_query("MALFORMED_QUERY", text, e.at, &e.why))?;
    let store = crm.store();
    let evaluator = Evaluator {
        store: &store,
        text,
        deleted,
    };
    let mut map = Map::new();
    match evaluator.find(&query)? {
        Found::Count(n) => {
            map.insert("totalSize".into(), json!(n));
            map.insert("done".into(), json!(true));
            map.insert("records".into(), json!([]));
        }
        Found::Groups(groups) => {
            map.insert("totalSize".into(), json!(groups.len()));
            map.insert("done".into(), json!(true));
            map.insert("records".into(), Value::Array(groups));
        }
        Found::Records { object, rows, tree } => {
            if offset > 0 && offset >= rows.len() {
                return Err(Fault::new(
                    400,
                    "INVALID_QUERY_LOCATOR",
                    "invalid query locator",
                ));
            }
            let end = (offset + batch).min(rows.len());
            map.insert("totalSize".into(), json!(rows.len()));
            map.insert("done".into(), json!(end == rows.len()));
            if end < rows.len() {
                let id =
                    cursor.map_or_else(|| crm.keep_cursor(text, deleted, batch), str::to_owned);
                map.insert(
                    "nextRecordsUrl".into(),
                    json!(format!("/services/data/v{version}/query/{id}-{end}")),
                );
            }
            let records = rows[offset..end]
                .iter()
                .map(|row| evaluator.print(object, *row, &tree, version))
                .collect();
            map.insert("records".into(), Value::Array(records));
        }
    }
    Ok(Reply::json(200, &Value::Object(map)))
}
