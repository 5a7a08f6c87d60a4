//! `…/recent`, `…/sobjects/X/updated`, `…/sobjects/X/deleted`, `…/limits/recordCount`.

use serde_json::{Value as Json, json};

use crate::demo::crm::{Asked, Crm, Reply};
use crate::demo::endpoint::row;
use crate::demo::fault::Fault;
use crate::demo::metadata::{self, OBJECTS};
use crate::demo::store::Value;

/// Recently viewed records of every object.
pub fn recent(crm: &Crm, asked: &Asked, version: &str) -> Reply {
    let limit = asked
        .parameter("limit")
        .and_then(|l| l.parse().ok())
        .unwrap_or(200);
    let all: Vec<Json> = (0..OBJECTS.len())
        .flat_map(|object| row::recent(crm, object, version))
        .take(limit)
        .collect();
    Reply::json(200, &Json::Array(all))
}

/// Ids of records that changed between `start` and `end`; `deleted`: of those that were deleted.
///
/// # Errors
/// An unknown object, or a missing parameter.
pub fn changes(crm: &Crm, asked: &Asked, object: &str, deleted: bool) -> Result<Reply, Fault> {
    let object = metadata::object(object).ok_or_else(Fault::not_found)?;
    let meta = &OBJECTS[object];
    let (Some(start), Some(end)) = (asked.parameter("start"), asked.parameter("end")) else {
        return Err(Fault::new(
            400,
            "MISSING_ARGUMENT",
            "The start and end parameters are required",
        ));
    };
    let instant = |text: &str| {
        text.parse::<jiff::Timestamp>()
            .map_err(|_| Fault::new(400, "INVALID_REPLICATION_DATE", "A date is not valid"))
    };
    let (start, end) = (instant(start)?, instant(end)?);
    let (Some(stamp), Some(is_deleted)) = (meta.field("SystemModstamp"), meta.field("IsDeleted"))
    else {
        return Err(Fault::new(
            400,
            "INVALID_TYPE",
            "The object is not replicable",
        ));
    };
    let store = crm.store();
    let rows: Vec<&Vec<Value>> = store
        .table(object)
        .rows
        .iter()
        .filter(|row| (row[is_deleted] == Value::Bool(true)) == deleted)
        .filter(|row| {
            // Salesforce spells the zone without a colon.
            let at = row[stamp]
                .as_text()
                .unwrap_or_default()
                .replace("+0000", "Z");
            at.parse::<jiff::Timestamp>()
                .is_ok_and(|at| (start..=end).contains(&at))
        })
        .collect();
    let covered = "2026-11-23T12:00:00.000+0000";
    let answer = if deleted {
        let records: Vec<Json> = rows
            .iter()
            .map(|row| json!({"id": row[0].json(), "deletedDate": row[stamp].json()}))
            .collect();
        json!({"deletedRecords": records, "earliestDateAvailable": "2026-08-25T00:00:00.000+0000", "latestDateCovered": covered})
    } else {
        let ids: Vec<Json> = rows.iter().map(|row| row[0].json()).collect();
        json!({"ids": ids, "latestDateCovered": covered})
    };
    Ok(Reply::json(200, &answer))
}

/// How many records each object has.
pub fn record_counts(crm: &Crm, asked: &Asked) -> Reply {
    let store = crm.store();
    let wanted = asked.parameter("sObjects");
    let counts: Vec<Json> = OBJECTS
        .iter()
        .enumerate()
        .filter(|(_, o)| {
            wanted.is_none_or(|w| w.split(',').any(|n| n.trim().eq_ignore_ascii_case(o.name)))
        })
        .map(|(i, o)| json!({"count": store.table(i).rows.len(), "name": o.name}))
        .collect();
    Reply::json(200, &json!({ "sObjects": counts }))
}
