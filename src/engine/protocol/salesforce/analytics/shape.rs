//! The answers about reports and dashboards ("Report Execute", "Dashboard Results" of the Reports and Dashboards REST API
//! Developer Guide). What is not named here is dropped.

use std::sync::Arc;

use crate::engine::protocol::{Link, Shape};

use super::super::list_views::{keep, list, shown};
use super::definition::{Aggregate, Column, Report};

fn member(name: &str, shape: Shape) -> (Arc<str>, Shape) {
    (name.into(), shape)
}

/// Lists of reports and of dashboards.
pub(super) fn entries() -> Shape {
    let mut members = vec![member("id", Shape::Keep), member("name", Shape::Keep)];
    for link in ["describeUrl", "instancesUrl", "statusUrl", "url"] {
        members.push(member(link, Shape::Link(Link::Origin)));
    }
    list(Shape::Object(members))
}

/// A run whose result is asked for later; its id is sealed.
pub(super) fn instance() -> Shape {
    Shape::Object(vec![
        member("id", Shape::Link(Link::NextPage)),
        member("completionDate", Shape::Keep),
        member("hasDetailRows", Shape::Boolean),
        member("queryable", Shape::Boolean),
        member("requestDate", Shape::Keep),
        member("status", Shape::Keep),
    ])
}

/// What an answer says of itself.
pub(super) fn attributes() -> Shape {
    keep(&[
        "completionDate",
        "reportId",
        "reportName",
        "requestDate",
        "status",
        "type",
    ])
}

/// The value of a column.
fn cell(output: usize, is_number: bool) -> Shape {
    let value = if is_number {
        Shape::Amount(vec![output])
    } else {
        Shape::Value(vec![output])
    };
    Shape::Object(vec![
        member("label", Shape::Value(vec![output])),
        member("value", value),
    ])
}

/// One element for each detail column that is shown: of a report that is run, only those have been asked for.
fn each(report: &Report, shape: impl Fn(usize, &Column) -> Shape) -> Shape {
    let columns = report.columns.iter();
    if report.is_there {
        let element = |c: &Column| match c.output {
            Some(output) => shown(vec![output], shape(output, c)),
            None => Shape::Drop,
        };
        return Shape::Positional(columns.map(element).collect());
    }
    Shape::Columns(
        columns
            .filter_map(|c| c.output.map(|output| (output, shape(output, c))))
            .collect(),
    )
}

/// One element for each aggregate that is bound, likewise.
fn sums(report: &Report, shape: impl Fn(&Aggregate, &Vec<usize>) -> Shape) -> Shape {
    let element = |a: &Aggregate| match &a.sources {
        Some(sources) => Some(shape(a, sources)),
        None => report.is_there.then_some(Shape::Drop),
    };
    Shape::Positional(report.aggregates.iter().filter_map(element).collect())
}

fn bound(aggregates: &[Aggregate]) -> impl Iterator<Item = (&Aggregate, &Vec<usize>)> {
    aggregates
        .iter()
        .filter_map(|a| a.sources.as_ref().map(|sources| (a, sources)))
}

/// Groups inside groups.
fn groups(columns: &[Column]) -> Shape {
    let Some((first, inner)) = columns.split_first() else {
        return list(Shape::Drop);
    };
    let value = || {
        first
            .output
            .map_or(Shape::Drop, |output| Shape::Value(vec![output]))
    };
    list(Shape::Object(vec![
        member("groupings", groups(inner)),
        member("key", Shape::Position),
        member("label", value()),
        member("value", value()),
    ]))
}

/// What is said of columns, by their names.
fn infos(columns: &[Column]) -> Shape {
    let info = || keep(&["dataType", "label"]);
    Shape::Object(
        columns
            .iter()
            .filter_map(|c| Some((c.name.clone(), shown(vec![c.output?], info()))))
            .collect(),
    )
}

fn extended(report: &Report) -> Shape {
    let sums = bound(&report.aggregates)
        .map(|(a, sources)| {
            (
                a.name.clone(),
                shown(sources.clone(), keep(&["dataType", "label"])),
            )
        })
        .collect();
    let grouped: Vec<(Arc<str>, Shape)> = report
        .down
        .iter()
        .chain(&report.across)
        .filter_map(|c| {
            let info = keep(&["dataType", "groupingLevel", "label"]);
            Some((c.name.clone(), shown(vec![c.output?], info)))
        })
        .collect();
    Shape::Object(vec![
        member("aggregateColumnInfo", Shape::Object(sums)),
        member("detailColumnInfo", infos(&report.columns)),
        member("groupingColumnInfo", Shape::Object(grouped)),
    ])
}

fn metadata(report: &Report) -> Shape {
    let groups = |columns: &[Column]| {
        list(Shape::ByName {
            member: "name".into(),
            cases: columns
                .iter()
                .filter_map(|c| {
                    let shape = keep(&["dateGranularity", "name", "sortOrder"]);
                    Some((c.name.clone(), shown(vec![c.output?], shape)))
                })
                .collect(),
        })
    };
    let names = each(report, |_, c| Shape::Expect(c.name.clone()));
    let sums = sums(report, |a, _| Shape::Expect(a.name.clone()));
    Shape::Object(vec![
        member("aggregates", sums),
        member("detailColumns", names),
        member("groupingsAcross", groups(&report.across)),
        member("groupingsDown", groups(&report.down)),
        member("hasDetailRows", Shape::Boolean),
        member("id", Shape::Keep),
        member("name", Shape::Keep),
        member("reportFormat", Shape::Keep),
        member("reportType", keep(&["label", "type"])),
    ])
}

/// The metadata of a report without a result; of what it evaluates nothing is said.
pub(super) fn described(report: &Report) -> Shape {
    let names = Shape::Object(vec![
        member(
            "detailColumns",
            each(report, |_, c| Shape::Expect(c.name.clone())),
        ),
        member("hasDetailRows", Shape::Boolean),
        member("id", Shape::Keep),
        member("name", Shape::Keep),
        member("reportFormat", Shape::Keep),
        member("reportType", keep(&["label", "type"])),
    ]);
    Shape::Object(vec![
        member("attributes", attributes()),
        (
            "reportExtendedMetadata".into(),
            Shape::Object(vec![member("detailColumnInfo", infos(&report.columns))]),
        ),
        ("reportMetadata".into(), names),
    ])
}

/// The result of a report that was run with the metadata that were decided.
pub(super) fn result(report: &Report) -> Shape {
    let sums = sums(report, |_, sources| {
        Shape::Object(vec![
            member("label", Shape::Value(sources.clone())),
            member("value", Shape::Amount(sources.clone())),
        ])
    });
    let row = Shape::Object(vec![member(
        "dataCells",
        each(report, |output, c| cell(output, c.is_number)),
    )]);
    let fact = Shape::Object(vec![
        member("aggregates", sums),
        (
            "rows".into(),
            Shape::Array {
                element: Box::new(row),
                rows: true,
            },
        ),
    ]);
    let groupings = |columns: &[Column]| Shape::Object(vec![member("groupings", groups(columns))]);
    Shape::Object(vec![
        member("allData", Shape::Boolean),
        member("attributes", attributes()),
        member("factMap", Shape::Keyed(Box::new(fact))),
        member("groupingsAcross", groupings(&report.across)),
        member("groupingsDown", groupings(&report.down)),
        member("hasDetailRows", Shape::Boolean),
        member("reportExtendedMetadata", extended(report)),
        member("reportMetadata", metadata(report)),
    ])
}

/// One component of a dashboard with its result.
pub(super) fn component(report: &Report) -> Shape {
    Shape::Object(vec![
        member("componentId", Shape::Keep),
        member("reportResult", result(report)),
        member(
            "status",
            keep(&["dataStatus", "errorCode", "refreshDate", "refreshStatus"]),
        ),
    ])
}

/// The results of a dashboard; a component that is not among `cases` is left out.
pub(super) fn dashboard_results(cases: Vec<(Arc<str>, Shape)>) -> Shape {
    Shape::Object(vec![
        (
            "componentData".into(),
            list(Shape::ByName {
                member: "componentId".into(),
                cases,
            }),
        ),
        (
            "dashboardMetadata".into(),
            keep(&["developerName", "id", "name"]),
        ),
    ])
}

/// What a dashboard is made of.
pub(super) fn dashboard() -> Shape {
    let component = keep(&["footer", "header", "id", "reportId", "title", "type"]);
    Shape::Object(vec![
        member("components", list(component)),
        member("developerName", Shape::Keep),
        member("id", Shape::Keep),
        member("name", Shape::Keep),
    ])
}

/// How fresh the results of a dashboard are.
pub(super) fn status() -> Shape {
    Shape::Object(vec![member(
        "componentStatus",
        list(keep(&["componentId", "refreshDate", "refreshStatus"])),
    )])
}
