//! Query jobs: what a query finds, as tables.

use std::sync::Arc;

use http::Method;

use crate::engine::catalog::ObjectId;
use crate::engine::protocol::json_body::Tree;
use crate::engine::protocol::{Action, CsvShape, Operation, RecordShape, Shape, Use};
use crate::engine::refusal::{Reason, Refusal};

use super::super::cursor::{Cursor, Job, no_job};
use super::super::forward::{Target, percent_encode};
use super::super::resolve::{Followed, Resolved, Stopped};
use super::super::soql::ast::{Expr, ItemKind, Query};
use super::super::{Request, Surroundings, unknown_path};
use super::{
    Asked, Asks, Body, JobTarget, Kind, Known, Table, bad, delimiter, info, line_ending, members,
    operation,
};

/// Why a query that is understood is no query of a bulk job; `None`: it is one.
///
/// Bulk API 2.0 has no GROUP BY, no aggregates, no OFFSET, no TYPEOF and no child queries (Bulk API 2.0 Developer
/// Guide, "SOQL considerations"). A function has a column that only the CRM can name.
fn not_bulk(query: &Query) -> Option<&'static str> {
    if query.group.is_some() || query.having.is_some() {
        return Some("GROUP BY");
    }
    if query.offset.is_some() {
        return Some("OFFSET");
    }
    if !query.locks.is_empty() || !query.updates.is_empty() {
        return Some("FOR and UPDATE");
    }
    query.select.iter().find_map(|item| match &item.kind {
        ItemKind::Expr(Expr::Path(_)) if item.alias.is_none() => None,
        ItemKind::Expr(_) => Some("functions and aliases"),
        ItemKind::Children(_) => Some("queries inside a query"),
        ItemKind::TypeOf(_) => Some("TYPEOF"),
        ItemKind::Fields(_) => Some("FIELDS()"),
    })
}

/// The record in the envelope of a query's answer.
fn record(shape: Shape) -> Option<RecordShape> {
    let Shape::Object(members) = shape else {
        return None;
    };
    let records = members.into_iter().find(|(name, _)| &**name == "records");
    match records {
        Some((_, Shape::Array { element, .. })) => match *element {
            Shape::Record(record) => Some(record),
            _ => None,
        },
        _ => None,
    }
}

/// What a query touches.
struct Touched {
    uses: Vec<Use>,
    objects: Vec<ObjectId>,
    written: Vec<(ObjectId, Arc<str>)>,
    followed: Followed,
}

/// The results of a job: the records of its query's answer as rows.
fn table_of(job: &Job, answer: Shape) -> Option<CsvShape> {
    Some(CsvShape {
        delimiter: delimiter(job),
        line_ending: line_ending(job),
        no_records: false,
        row: record(answer)?,
    })
}

/// Either the query of a job, or the operation that tells what is wrong with it.
enum Asking {
    Query(Box<Resolved>),
    Mistaken(Stopped),
}

impl Request<'_> {
    fn asks(&self, soql: &str) -> Asking {
        match self.resolve(soql) {
            Err(stopped) => Asking::Mistaken(*stopped),
            Ok(resolved) => match not_bulk(&resolved.query) {
                None => Asking::Query(Box::new(resolved)),
                Some(what) => Asking::Mistaken(Stopped {
                    refusal: Refusal::new(
                        Reason::MalformedQuery,
                        format!("{what}: not in the query of a bulk job"),
                    ),
                    uses: resolved.uses,
                    objects: resolved.objects,
                    written: resolved.written,
                    followed: resolved.followed,
                }),
            },
        }
    }

    /// An operation that extracts: every output is asked for as an export too.
    fn extract(
        mut self,
        endpoint: &str,
        target: JobTarget,
        shape: Shape,
        touched: Touched,
    ) -> Operation {
        self.forward.written = touched.written;
        self.forward.followed = touched.followed;
        self.forward.target = Target::Job(Box::new(target));
        let mut operation = self.operation(Action::Export, endpoint, shape);
        operation.exports = true;
        operation.uses = touched.uses;
        operation.objects = touched.objects;
        operation
    }

    /// The name of the object whose records a query finds.
    fn queried(&self, resolved: &Resolved) -> Arc<str> {
        resolved.written.first().map_or_else(
            || "".into(),
            |(object, _)| self.catalog.get(*object).name.clone(),
        )
    }

    pub(super) fn create_query_job(
        mut self,
        version: u16,
        tree: &Tree,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        const ENDPOINT: &str = "bulk2-query-create";
        let given = members(
            tree,
            &[
                "operation",
                "query",
                "contentType",
                "columnDelimiter",
                "lineEnding",
                "concurrencyMode",
            ],
        )?;
        let operation = operation(&given, Kind::Query)?;
        let table = Table::of(&given)?;
        let soql = given
            .iter()
            .find(|(name, _)| *name == "query")
            .map(|(_, text)| *text)
            .ok_or_else(|| bad("query is needed"))?;
        let resolved = match self.asks(soql) {
            Asking::Mistaken(stopped) => return self.stopped(ENDPOINT, stopped),
            Asking::Query(resolved) => *resolved,
        };
        let words = vec![
            ("operation", operation.word().into()),
            ("contentType", "CSV".into()),
            ("columnDelimiter", table.delimiter.clone()),
            ("lineEnding", table.line_ending.clone()),
        ];
        let job = Job {
            operation,
            object: "".into(),
            key: None,
            delimiter: table.delimiter,
            line_ending: table.line_ending,
            of: None,
        };
        let told = info(version, None, Kind::Query, &job, &self.queried(&resolved));
        let table = table_of(&job, resolved.shape).ok_or_else(unknown_path)?;
        let shape = Shape::Ready {
            told: Box::new(told),
            table: Box::new(table),
        };
        let cursor = Cursor::of_job(&self.api.name, version, soql, job, around.caller);
        if !cursor.fits() {
            return Err(bad(
                "the query is too long for a bulk job through this proxy: its job could not be named",
            ));
        }
        self.forward.pages = Some(cursor);
        let mut target = JobTarget::new(Method::POST, "query".to_owned());
        target.body = Body::Query(
            words,
            Box::new(Asks {
                query: resolved.query,
                bindings: resolved.bindings,
                scopes: resolved.scopes,
            }),
        );
        let touched = Touched {
            uses: resolved.uses,
            objects: resolved.objects,
            written: resolved.written,
            followed: resolved.followed,
        };
        Ok(self.extract(ENDPOINT, target, shape, touched))
    }

    pub(super) fn query_job(
        self,
        known: Known,
        asked: &Asked,
        tree: Option<&Tree>,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        let endpoint = match asked {
            Asked::Results { .. } => "bulk2-query-results",
            Asked::Change(_) => "bulk2-query-abort",
            Asked::Delete(_) => "bulk2-query-delete",
            _ => "bulk2-query-info",
        };
        let resolved = match self.asks(&known.soql) {
            Asking::Mistaken(stopped) => return self.stopped(endpoint, stopped),
            Asking::Query(resolved) => *resolved,
        };
        let object = self.queried(&resolved);
        let touched = Touched {
            uses: resolved.uses,
            objects: resolved.objects,
            written: resolved.written,
            followed: resolved.followed,
        };
        let Asked::Results {
            locator, records, ..
        } = asked
        else {
            let target = known.asked(asked, Kind::Query, tree, &["Aborted"])?;
            let shape = info(
                known.version,
                Some(&known.sealed),
                Kind::Query,
                &known.job,
                &object,
            );
            return Ok(self.extract(endpoint, target, shape, touched));
        };
        let rest = self.page_of(&known, locator.as_deref(), records.as_deref(), around)?;
        let table = table_of(&known.job, resolved.shape).ok_or_else(unknown_path)?;
        let shape = Shape::Csv(Box::new(table));
        let mut target = known.target(Method::GET, Kind::Query, &rest);
        target.is_table = true;
        // Named by its job alone: the header of an answer has less room than its path.
        let job = Job {
            of: Some(known.id.clone()),
            ..known.job
        };
        target.page = Some(Cursor::of_job(
            &self.api.name,
            known.version,
            "",
            job,
            around.caller,
        ));
        Ok(self.extract(endpoint, target, shape, touched))
    }

    /// The page of the results that the caller asks for: what follows the job in the path.
    fn page_of(
        &self,
        known: &Known,
        locator: Option<&str>,
        records: Option<&str>,
        around: &Surroundings<'_>,
    ) -> Result<String, Refusal> {
        let mut rest = String::from("/results");
        if let Some(records) = records {
            let count: u32 = records
                .parse()
                .ok()
                .filter(|count| *count > 0)
                .ok_or_else(|| bad("maxRecords takes a number of records"))?;
            rest.push_str(&format!("?maxRecords={count}"));
        }
        let Some(sealed) = locator else {
            return Ok(rest);
        };
        let (cursor, job) = Cursor::open_job(sealed, around.open, &self.api.name, around.caller)?;
        let own = job.of.as_ref() == Some(&known.id) && cursor.version == known.version;
        let upstream = cursor.foreign().filter(|_| own).ok_or_else(no_job)?;
        rest.push(if records.is_some() { '&' } else { '?' });
        rest.push_str("locator=");
        percent_encode(&upstream, &mut rest);
        Ok(rest)
    }
}
