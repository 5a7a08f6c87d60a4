//! What a report is: its metadata, bound to fields.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::engine::catalog::{Catalog, FieldPath, FieldType, ObjectId};
use crate::engine::protocol::json_body::{Node, NodeId, Tree};
use crate::engine::protocol::{Action, Comparison, Literal, Resolved, Use};
use crate::engine::refusal::Refusal;

use super::super::list_views::{not_understood, written};
use super::super::record::bad_body;
use super::super::resolve::{Followed, looks_at};
use super::super::template::scalar_at;

/// The members of `reportMetadata` that a report is understood by. All others are left out of what is run.
pub(super) const WANTED: [&str; 21] = [
    "aggregates",
    "buckets",
    "crossFilters",
    "customDetailFormula",
    "customSummaryFormula",
    "detailColumns",
    "groupingsAcross",
    "groupingsDown",
    "hasDetailRows",
    "historicalSnapshotDates",
    "id",
    "name",
    "reportBooleanFilter",
    "reportFilters",
    "reportFormat",
    "reportType",
    "scope",
    "sortBy",
    "standardDateFilter",
    "standardFilters",
    "topRows",
];
/// The members that are known of what stands in lists and objects of the metadata; all others are left out.
const INNER: [(&str, &[&str]); 6] = [
    (
        "groupingsAcross",
        &["dateGranularity", "name", "sortAggregate", "sortOrder"],
    ),
    (
        "groupingsDown",
        &["dateGranularity", "name", "sortAggregate", "sortOrder"],
    ),
    (
        "reportFilters",
        &["column", "filterType", "operator", "value"],
    ),
    ("reportType", &["type"]),
    ("sortBy", &["sortColumn", "sortOrder"]),
    (
        "standardDateFilter",
        &["column", "durationValue", "endDate", "startDate"],
    ),
];
/// Most columns, groupings, aggregates or filters of a report.
const PARTS_MAX: usize = 200;

fn unclear() -> Refusal {
    not_understood("A report")
}

/// The value at a node.
fn value(tree: &Tree, at: NodeId) -> Value {
    match &tree.nodes[at] {
        Node::Object(members) => members
            .iter()
            .map(|(name, at)| (name.clone(), value(tree, *at)))
            .collect::<Map<_, _>>()
            .into(),
        Node::Array(elements) => elements.iter().map(|at| value(tree, *at)).collect(),
        _ => match scalar_at(tree, at) {
            Some(Literal::Text(text)) => text.into(),
            Some(Literal::Other(text)) => serde_json::from_str(&text).unwrap_or_default(),
            Some(Literal::Null) | None => Value::Null,
        },
    }
}

/// The metadata of a report, and which of them the caller has posted.
pub(super) struct Definition {
    metadata: Map<String, Value>,
    posted: Vec<String>,
}

impl Definition {
    /// From the upstream's metadata at `at`, with what the caller posts in their place.
    ///
    /// # Errors
    /// What the caller posts is not known.
    pub(super) fn read(tree: &Tree, at: NodeId, posted: Option<&Tree>) -> Result<Self, Refusal> {
        let Value::Object(mut metadata) = value(tree, at) else {
            return Err(unclear());
        };
        metadata.retain(|name, _| WANTED.contains(&name.as_str()));
        let mut own = Vec::new();
        let posted = posted.and_then(|t| Some((t, t.member(t.root, "reportMetadata")?)));
        if let Some((tree, at)) = posted
            && let Value::Object(members) = value(tree, at)
        {
            for (name, value) in members {
                let name = WANTED
                    .iter()
                    .find(|wanted| **wanted == name)
                    .ok_or_else(|| bad_body("reportMetadata holds a member that is not known"))?;
                // Which report is run, over which type, is said by the path.
                if !matches!(*name, "id" | "name" | "reportType") {
                    own.push((*name).to_owned());
                    metadata.insert((*name).to_owned(), value);
                }
            }
        }
        for (name, known) in INNER {
            match metadata.get_mut(name) {
                Some(Value::Object(members)) => members.retain(|m, _| known.contains(&m.as_str())),
                Some(Value::Array(elements)) => {
                    for element in elements.iter_mut().filter_map(Value::as_object_mut) {
                        element.retain(|m, _| known.contains(&m.as_str()));
                    }
                }
                _ => {}
            }
        }
        let is_text = |name: &str| {
            metadata
                .get(name)
                .is_none_or(|v| v.is_string() || v.is_null())
        };
        if !is_text("scope") || !is_text("reportBooleanFilter") {
            return Err(unclear());
        }
        Ok(Self {
            metadata,
            posted: own,
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.metadata.get(name)?.as_str()
    }

    /// The elements of a list; nothing: none.
    fn list(&self, name: &str) -> Result<&[Value], Refusal> {
        match self.metadata.get(name) {
            None | Some(Value::Null) => Ok(&[]),
            Some(Value::Array(elements)) if elements.len() <= PARTS_MAX => Ok(elements),
            Some(_) => Err(unclear()),
        }
    }

    fn is_posted(&self, name: &str) -> bool {
        self.posted.iter().any(|p| p == name)
    }

    /// Whether a member says nothing: it is not there, null, or empty.
    fn is_empty(&self, name: &str) -> bool {
        match self.metadata.get(name) {
            None | Some(Value::Null) => true,
            Some(Value::Array(a)) => a.is_empty(),
            Some(Value::Object(o)) => o.is_empty(),
            Some(_) => false,
        }
    }
}

/// What is done with a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// It is run with the metadata that are decided.
    Run,
    /// Its result is there.
    There,
    /// It is described, and nothing is evaluated.
    Described,
}

/// A column and the output that it shows.
pub(super) struct Column {
    pub(super) name: Arc<str>,
    /// `None`: it is bound to no field.
    pub(super) output: Option<usize>,
    /// Whether its values are numbers, which may come with a currency.
    pub(super) is_number: bool,
}

/// A sum of some kind.
pub(super) struct Aggregate {
    pub(super) name: Arc<str>,
    /// The outputs whose values it shows; none: a number of rows or what is computed from many. `None`: it is bound to
    /// no field.
    pub(super) sources: Option<Vec<usize>>,
}

/// A report, bound.
pub(super) struct Report {
    /// Its result was there before: what is not shown stands in it and leaves its places.
    pub(super) is_there: bool,
    pub(super) columns: Vec<Column>,
    pub(super) down: Vec<Column>,
    pub(super) across: Vec<Column>,
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) pinned: Pinned,
}

impl Report {
    /// Whether every column is bound to a field.
    pub(super) fn is_bound(&self) -> bool {
        let columns = self.columns.iter().chain(&self.down).chain(&self.across);
        let aggregates = self.aggregates.iter().all(|a| a.sources.is_some());
        aggregates && columns.into_iter().all(|c| c.output.is_some())
    }
}

/// The metadata that a report is run with, before its values are known.
#[derive(Debug)]
pub(super) struct Pinned {
    metadata: Map<String, Value>,
    /// Names of detail columns, and the outputs without which they leave.
    columns: Vec<(Arc<str>, usize)>,
    /// Index of a filter, and the use whose value it compares with.
    filters: Vec<(usize, usize)>,
}

impl Pinned {
    /// The body of the request that runs it.
    ///
    /// # Errors
    /// A value that cannot be sent.
    pub(super) fn print(&self, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        let mut metadata = self.metadata.clone();
        let columns: Vec<&str> = self
            .columns
            .iter()
            .filter(|(_, output)| resolved.kept.get(*output).copied().unwrap_or(false))
            .map(|(name, _)| &**name)
            .collect();
        metadata.insert("detailColumns".to_owned(), json!(columns));
        for (at, used) in &self.filters {
            let Some(Some(values)) = resolved.values.get(*used) else {
                continue;
            };
            let [Literal::Text(text)] = values.as_slice() else {
                return Err(unclear());
            };
            // One value stays one: a comma would make two of it.
            if text.contains([',', '"']) {
                return Err(bad_body("a filter's token stands for a value with a comma"));
            }
            if let Some(Value::Array(filters)) = metadata.get_mut("reportFilters")
                && let Some(filter) = filters.get_mut(*at)
            {
                filter["value"] = text.as_str().into();
            }
        }
        Ok(json!({ "reportMetadata": metadata }).to_string())
    }
}

/// Binds the columns of reports and keeps what they touch.
pub(super) struct Tracer<'a> {
    catalog: &'a Catalog,
    api: &'a str,
    pub(super) uses: Vec<Use>,
    pub(super) objects: Vec<ObjectId>,
    pub(super) followed: Followed,
    /// The objects whose records are the rows of the reports. Without a word of the caller's for them.
    pub(super) rows: Vec<(ObjectId, Arc<str>)>,
}

impl<'a> Tracer<'a> {
    pub(super) fn new(catalog: &'a Catalog, api: &'a str) -> Self {
        Self {
            catalog,
            api,
            uses: Vec::new(),
            objects: Vec::new(),
            followed: Followed::default(),
            rows: Vec::new(),
        }
    }

    /// The object whose records the rows of a report are: that of its type, or where the first column that is bound
    /// begins.
    fn rows_of(&self, definition: &Definition, kind: &str) -> Option<ObjectId> {
        let types = self.catalog.vocabulary.reports.get(self.api);
        if let Some(known) = types.and_then(|types| types.get(&*kind.to_ascii_lowercase())) {
            return Some(known.object);
        }
        let names = |list: &str| definition.list(list).unwrap_or_default().iter();
        let columns = names("detailColumns").filter_map(Value::as_str);
        let groups = names("groupingsDown")
            .chain(names("groupingsAcross"))
            .filter_map(|g| g["name"].as_str());
        let path = columns.chain(groups).find_map(|c| self.bound(kind, c))?;
        let first = path.references.first();
        Some(first.map_or(path.field.object, |reference| reference.object))
    }

    /// The field that a report type's column shows; `None` where nothing says it.
    fn bound(&self, kind: &str, column: &str) -> Option<FieldPath> {
        let types = self.catalog.vocabulary.reports.get(self.api);
        let named = types
            .and_then(|types| types.get(&*kind.to_ascii_lowercase()))
            .and_then(|known| known.columns.get(&*column.to_ascii_lowercase()));
        match named {
            Some(path) => Some(path.clone()),
            // `Contact.Email`; `Contact$Email` in custom report types.
            None => self
                .catalog
                .field_path(self.api, &column.replacen('$', ".", 1)),
        }
    }

    /// As [`Self::report`]; what cannot be bound leaves nothing behind.
    pub(super) fn component(&mut self, definition: &Definition) -> Option<Report> {
        let before = (
            self.uses.len(),
            self.objects.len(),
            self.followed.uses.len(),
            self.rows.len(),
        );
        let report = self.report(definition, Whose::There).ok();
        if report.is_none() {
            self.uses.truncate(before.0);
            self.objects.truncate(before.1);
            self.followed.uses.truncate(before.2);
            self.rows.truncate(before.3);
        }
        report
    }

    fn used(&mut self, path: &FieldPath, action: Action, spelt: &str, named: bool) -> usize {
        let at = self.uses.len();
        let written = if named || action == Action::Read {
            Arc::from(spelt)
        } else {
            written(action)
        };
        self.uses.push(Use {
            field: path.field,
            action,
            written,
            comparison: Comparison::Other,
            values: Vec::new(),
            named: named || action != Action::Read,
        });
        if !path.references.is_empty() {
            self.followed.uses.push((at, path.references.clone()));
        }
        if !self.objects.contains(&path.field.object) {
            self.objects.push(path.field.object);
        }
        at
    }

    fn is_number(&self, path: &FieldPath) -> bool {
        self.catalog.field(path.field).kind == FieldType::Number
    }

    /// Binds one report.
    ///
    /// # Errors
    /// It evaluates what cannot be bound, or in a way that is not known.
    pub(super) fn report(
        &mut self,
        definition: &Definition,
        whose: Whose,
    ) -> Result<Report, Refusal> {
        let evaluates = whose != Whose::Described;
        let kind = definition
            .metadata
            .get("reportType")
            .and_then(|t| t.get("type"))
            .and_then(Value::as_str)
            .ok_or_else(unclear)?
            .to_owned();
        if !matches!(
            definition.text("reportFormat"),
            Some("TABULAR" | "SUMMARY" | "MATRIX")
        ) {
            return Err(unclear());
        }
        // Formulas, buckets and filters by other records are evaluated by the CRM alone.
        if evaluates {
            for name in [
                "buckets",
                "crossFilters",
                "customDetailFormula",
                "customSummaryFormula",
                "historicalSnapshotDates",
                "standardFilters",
                "topRows",
            ] {
                if !definition.is_empty(name) {
                    return Err(unclear());
                }
            }
        }
        // A number of rows is known to whoever may look at their object, however it is asked for.
        match self.rows_of(definition, &kind) {
            Some(object) => {
                self.rows.push((object, "".into()));
                self.uses.extend(looks_at(self.catalog, object, &"".into()));
            }
            None if evaluates => return Err(unclear()),
            None => {}
        }
        let columns = self.columns(definition, &kind)?;
        let down = self.groupings(definition, "groupingsDown", &kind, evaluates)?;
        let across = self.groupings(definition, "groupingsAcross", &kind, evaluates)?;
        let aggregates = self.aggregates(definition, &kind, evaluates)?;
        let mut filters = Vec::new();
        if evaluates {
            filters = self.filters(definition, &kind)?;
            self.dates(definition, &kind)?;
            self.sorts(definition, &kind)?;
        }
        let pinned = pinned(definition, &columns, &aggregates, filters)?;
        Ok(Report {
            is_there: whose != Whose::Run,
            columns,
            down,
            across,
            aggregates,
            pinned,
        })
    }

    fn columns(&mut self, definition: &Definition, kind: &str) -> Result<Vec<Column>, Refusal> {
        let named = definition.is_posted("detailColumns");
        let mut columns = Vec::new();
        for name in definition.list("detailColumns")? {
            let name = name.as_str().ok_or_else(unclear)?;
            let path = self.bound(kind, name);
            columns.push(Column {
                name: name.into(),
                is_number: path.as_ref().is_some_and(|p| self.is_number(p)),
                output: path.map(|path| self.used(&path, Action::Read, name, named)),
            });
        }
        Ok(columns)
    }

    /// Each grouping is evaluated, and its values are shown.
    fn groupings(
        &mut self,
        definition: &Definition,
        list: &str,
        kind: &str,
        evaluates: bool,
    ) -> Result<Vec<Column>, Refusal> {
        let named = definition.is_posted(list);
        let mut found = Vec::new();
        for grouping in definition.list(list)? {
            let name = grouping["name"].as_str().ok_or_else(unclear)?;
            let path = self.bound(kind, name);
            if evaluates {
                let path = path.as_ref().ok_or_else(unclear)?;
                let at = self.used(path, Action::Group, name, named);
                let whole = matches!(grouping["dateGranularity"].as_str(), None | Some("None"));
                if whole && let Some(one) = self.uses.get_mut(at) {
                    one.comparison = Comparison::Identity;
                }
                // Groups in the order of their own values, or of a sum.
                if let Some(by) = grouping["sortAggregate"].as_str() {
                    self.aggregate(by, kind, named)?.ok_or_else(unclear)?;
                }
            }
            found.push(Column {
                name: name.into(),
                is_number: false,
                output: path.map(|path| self.used(&path, Action::Read, name, false)),
            });
        }
        Ok(found)
    }

    /// The sources of one aggregate; `None`: it is bound to no field.
    fn aggregate(
        &mut self,
        name: &str,
        kind: &str,
        named: bool,
    ) -> Result<Option<Vec<usize>>, Refusal> {
        if name == "RowCount" {
            return Ok(Some(Vec::new()));
        }
        let (function, column) = name.split_once('!').ok_or_else(unclear)?;
        let Some(path) = self.bound(kind, column) else {
            return Ok(None);
        };
        let at = self.used(&path, Action::Aggregate, column, named);
        match function {
            "s" | "a" => Ok(Some(Vec::new())),
            "u" => {
                if let Some(one) = self.uses.get_mut(at) {
                    one.comparison = Comparison::Identity;
                }
                Ok(Some(Vec::new()))
            }
            // The least and the greatest are values of the field.
            "m" | "mx" => Ok(Some(vec![self.used(&path, Action::Read, column, named)])),
            _ => Err(unclear()),
        }
    }

    fn aggregates(
        &mut self,
        definition: &Definition,
        kind: &str,
        evaluates: bool,
    ) -> Result<Vec<Aggregate>, Refusal> {
        let named = definition.is_posted("aggregates");
        let mut found = Vec::new();
        for name in definition.list("aggregates")? {
            let name = name.as_str().ok_or_else(unclear)?;
            let sources = if evaluates {
                self.aggregate(name, kind, named)?
            } else {
                None
            };
            found.push(Aggregate {
                name: name.into(),
                sources,
            });
        }
        Ok(found)
    }

    /// Each filter's index, with the use whose value may be a token.
    fn filters(
        &mut self,
        definition: &Definition,
        kind: &str,
    ) -> Result<Vec<(usize, usize)>, Refusal> {
        let named = definition.is_posted("reportFilters");
        let mut found = Vec::new();
        for (index, filter) in definition.list("reportFilters")?.iter().enumerate() {
            let column = filter["column"].as_str().ok_or_else(unclear)?;
            let path = self.bound(kind, column).ok_or_else(unclear)?;
            let at = self.used(&path, Action::Filter, column, named);
            let Some(one) = self.uses.get_mut(at) else {
                continue;
            };
            // A filter by another column of the same row compares two fields.
            if filter["filterType"]
                .as_str()
                .is_some_and(|kind| kind != "fieldValue")
            {
                return Err(unclear());
            }
            if let Some(text) = filter["value"].as_str() {
                one.values = vec![Literal::Text(text.to_owned())];
                let is_one = !text.contains(',');
                if filter["operator"] == "equals" && is_one {
                    one.comparison = Comparison::Equality;
                }
                found.push((index, at));
            }
        }
        Ok(found)
    }

    fn dates(&mut self, definition: &Definition, kind: &str) -> Result<(), Refusal> {
        let Some(Value::Object(filter)) = definition.metadata.get("standardDateFilter") else {
            return Ok(());
        };
        let says = |name: &str| filter.get(name).is_some_and(|v| !v.is_null());
        let always = filter.get("durationValue").and_then(Value::as_str) == Some("CUSTOM")
            && !says("startDate")
            && !says("endDate");
        if always {
            return Ok(());
        }
        let column = filter.get("column").and_then(Value::as_str);
        let column = column.ok_or_else(unclear)?;
        let path = self.bound(kind, column).ok_or_else(unclear)?;
        let named = definition.is_posted("standardDateFilter");
        self.used(&path, Action::Filter, column, named);
        Ok(())
    }

    fn sorts(&mut self, definition: &Definition, kind: &str) -> Result<(), Refusal> {
        let named = definition.is_posted("sortBy");
        for sort in definition.list("sortBy")? {
            let column = sort["sortColumn"].as_str().ok_or_else(unclear)?;
            let path = self.bound(kind, column).ok_or_else(unclear)?;
            self.used(&path, Action::Sort, column, named);
        }
        Ok(())
    }
}

/// The metadata to run with: all that was looked at, and nothing else.
fn pinned(
    definition: &Definition,
    columns: &[Column],
    aggregates: &[Aggregate],
    filters: Vec<(usize, usize)>,
) -> Result<Pinned, Refusal> {
    let mut metadata = definition.metadata.clone();
    let logic = definition.text("reportBooleanFilter").unwrap_or_default();
    let is_logic = logic.len() <= 1000
        && logic
            .bytes()
            .all(|b| b.is_ascii_digit() || b" ()ANDORTandort".contains(&b));
    if !is_logic {
        return Err(unclear());
    }
    let bound: Vec<&str> = aggregates
        .iter()
        .filter(|a| a.sources.is_some())
        .map(|a| &*a.name)
        .collect();
    metadata.insert("aggregates".to_owned(), json!(bound));
    Ok(Pinned {
        metadata,
        columns: columns
            .iter()
            .filter_map(|c| Some((c.name.clone(), c.output?)))
            .collect(),
        filters,
    })
}
