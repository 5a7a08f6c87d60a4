//! The Reports and Dashboards REST API (its Developer Guide; the shapes of answers by its "Report Execute" resource).
//!
//! A report is a stored query whose cells are told apart by position alone. privet asks the CRM for its metadata first
//! (`definition` binds its columns to fields and traces what it filters, sorts, groups and aggregates by), decides that
//! like a query, and then runs the report with exactly the metadata that was decided: hidden columns have left it.
//! Where the result is there already (an asynchronous run, a dashboard), its own metadata are looked at, and a result
//! that says other metadata than those is cut where it says them, which is behind its rows.

mod definition;
mod shape;

use std::sync::Arc;

use http::header::{ACCEPT, HeaderValue};
use http::{HeaderMap, Method};

use crate::engine::protocol::json_body::{self, Node, NodeId, Tree};
use crate::engine::protocol::{Action, Operation, RequestHead, Resolved, Shape};
use crate::engine::refusal::Refusal;

use super::cursor::Cursor;
use super::forward::Target;
use super::list_views::{keep, list, not_understood};
use super::record::bad_body;
use super::route;
use super::{Request, Surroundings, is_record_id};

use definition::Pinned;
use definition::{Definition, Tracer, WANTED, Whose};

/// A spreadsheet of a report (Reports and Dashboards REST API Developer Guide, "Download Formatted Excel Reports").
const SPREADSHEET: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
/// Most reports of one dashboard.
const COMPONENTS_MAX: usize = 50;

/// What is asked of reports and dashboards.
#[derive(Debug)]
pub(super) enum Analytics {
    /// The reports that somebody looked at lately.
    Reports,
    /// A report's metadata.
    Describe(Arc<str>),
    /// A report is run.
    Run {
        id: Arc<str>,
        details: bool,
        /// Its result is asked for later.
        later: bool,
    },
    /// What was run for later.
    Instances(Arc<str>),
    /// The result of one of them, by its sealed id.
    Instance { id: Arc<str>, segment: String },
    /// The dashboards that somebody looked at lately.
    Dashboards,
    /// A dashboard's results.
    Dashboard(Arc<str>),
    /// What a dashboard is made of.
    DashboardDescribe(Arc<str>),
    /// How fresh its results are.
    DashboardStatus(Arc<str>),
}

/// The resource behind `…/analytics/`.
///
/// # Errors
/// What is not open, other methods, and parameters that mean nothing here.
pub(super) fn asked(head: &RequestHead<'_>, rest: &[&str]) -> Result<Analytics, Refusal> {
    let id = |id: &str| Arc::<str>::from(id);
    let plain = |what: Analytics| route::reads(head, &[]).map(|_: [_; 0]| what);
    let runs = |id: Arc<str>, later: bool| {
        let [details] = route::parameters(head, &["includeDetails"])?;
        let details = match details {
            None => false,
            Some(word) if word.eq_ignore_ascii_case("true") => true,
            Some(word) if word.eq_ignore_ascii_case("false") => false,
            Some(_) => return Err(route::bad_request("includeDetails takes true or false")),
        };
        Ok(Analytics::Run { id, details, later })
    };
    match rest {
        ["reports"] => plain(Analytics::Reports),
        ["reports", report, more @ ..] if is_record_id(report) => match more {
            [] => {
                posted_or_read(head)?;
                runs(id(report), false)
            }
            ["describe"] => plain(Analytics::Describe(id(report))),
            ["instances"] if head.method == Method::POST => runs(id(report), true),
            ["instances"] => {
                posted_or_read(head)?;
                plain(Analytics::Instances(id(report)))
            }
            ["instances", segment] => plain(Analytics::Instance {
                id: id(report),
                segment: (*segment).to_owned(),
            }),
            _ => Err(closed()),
        },
        ["dashboards"] => plain(Analytics::Dashboards),
        ["dashboards", dashboard, more @ ..] if is_record_id(dashboard) => match more {
            [] => {
                posted_or_read(head)?;
                route::no_parameters(head)?;
                Ok(Analytics::Dashboard(id(dashboard)))
            }
            ["describe"] => plain(Analytics::DashboardDescribe(id(dashboard))),
            ["status"] => plain(Analytics::DashboardStatus(id(dashboard))),
            _ => Err(closed()),
        },
        _ => Err(closed()),
    }
}

fn posted_or_read(head: &RequestHead<'_>) -> Result<(), Refusal> {
    if [Method::GET, Method::HEAD, Method::POST].contains(head.method) {
        return Ok(());
    }
    Err(Refusal::method_not_allowed("GET, HEAD, POST"))
}

fn closed() -> Refusal {
    route::closed("This resource of the Reports and Dashboards API")
}

/// What goes upstream.
#[derive(Debug)]
pub(super) struct AnalyticsTarget {
    /// Behind `…/analytics/`.
    pub(super) path: String,
    body: Body,
    /// A spreadsheet is asked for: every output must be read in clear.
    outputs: Option<Vec<usize>>,
}

#[derive(Debug)]
enum Body {
    /// A GET.
    None,
    /// As it is.
    Fixed(String),
    /// A report's metadata.
    Pinned(Box<Pinned>),
}

impl AnalyticsTarget {
    /// The body of a POST; `None` for a GET.
    pub(super) fn body(&self, resolved: &Resolved<'_>) -> Result<Option<String>, Refusal> {
        if let Some(outputs) = &self.outputs {
            let clear = |output: &usize| resolved.clear.get(*output).copied().unwrap_or(false);
            if !outputs.iter().all(clear) {
                return Err(route::closed(
                    "A spreadsheet of a report that is not exported in clear",
                ));
            }
        }
        match &self.body {
            Body::None => Ok(None),
            Body::Fixed(text) => Ok(Some(text.clone())),
            Body::Pinned(pinned) => pinned.print(resolved).map(Some),
        }
    }
}

/// The part of a report's answer that its columns are known from.
fn metadata() -> Shape {
    keep(&WANTED)
}

/// What the sealed ids of a report's instances are bound to.
fn instances_of(id: &str) -> String {
    format!("/analytics/reports/{id}/instances")
}

impl Request<'_> {
    fn analytics_at(
        mut self,
        version: u16,
        endpoint: &str,
        path: String,
        body: Body,
        shape: Shape,
    ) -> Operation {
        self.forward.version = version;
        self.forward.target = Target::Analytics(Box::new(AnalyticsTarget {
            path,
            body,
            outputs: None,
        }));
        self.operation(Action::Describe, endpoint, shape)
    }

    /// The metadata of the report, or of the results that are there already.
    pub(super) fn analytics_beforehand(
        self,
        version: u16,
        asked: &Analytics,
        head: &RequestHead<'_>,
        body: &[u8],
        around: &Surroundings<'_>,
    ) -> Result<Option<Operation>, Refusal> {
        let (path, body, shape) = match asked {
            Analytics::Describe(id) | Analytics::Run { id, .. } => {
                // A body that can not be read is refused before anything is asked.
                posted(head.headers, body)?;
                let shape = Shape::Object(vec![("reportMetadata".into(), metadata())]);
                (format!("reports/{id}/describe"), Body::None, shape)
            }
            Analytics::Instance { id, segment } => {
                let shape = Shape::Object(vec![("reportMetadata".into(), metadata())]);
                let path = self.instance(id, segment, around)?.0;
                (path, Body::None, shape)
            }
            Analytics::Dashboard(id) => {
                let result = Shape::Object(vec![("reportMetadata".into(), metadata())]);
                let component = Shape::Object(vec![
                    ("componentId".into(), Shape::Keep),
                    ("reportResult".into(), result),
                ]);
                let shape = Shape::Object(vec![("componentData".into(), list(component))]);
                (
                    format!("dashboards/{id}"),
                    components_asked(head, body)?,
                    shape,
                )
            }
            _ => return Ok(None),
        };
        Ok(Some(self.analytics_at(
            version,
            "report-definition",
            path,
            body,
            shape,
        )))
    }

    /// `…/analytics/…`
    pub(super) fn analytics(
        mut self,
        version: u16,
        asked: &Analytics,
        head: &RequestHead<'_>,
        body: &[u8],
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        let takes_body = matches!(asked, Analytics::Run { .. } | Analytics::Dashboard(_));
        if !takes_body && !body.is_empty() {
            return Err(route::bad_request("this resource takes no request body"));
        }
        let get = |request: Self, endpoint: &str, path: String, shape: Shape| {
            request.analytics_at(version, endpoint, path, Body::None, shape)
        };
        Ok(match asked {
            Analytics::Reports => get(self, "reports", "reports".into(), shape::entries()),
            Analytics::Dashboards => get(self, "dashboards", "dashboards".into(), shape::entries()),
            Analytics::DashboardDescribe(id) => {
                let path = format!("dashboards/{id}/describe");
                get(self, "dashboard-describe", path, shape::dashboard())
            }
            Analytics::DashboardStatus(id) => {
                let path = format!("dashboards/{id}/status");
                get(self, "dashboard-status", path, shape::status())
            }
            Analytics::Instances(id) => {
                self.seals(id, version, around);
                let path = format!("reports/{id}/instances");
                get(self, "report-instances", path, list(shape::instance()))
            }
            Analytics::Describe(id) => {
                let tree = known(around)?;
                let mut tracer = Tracer::new(self.catalog, &self.api.name);
                let definition = Definition::read(&tree, report_of(&tree)?, None)?;
                let report = tracer.report(&definition, Whose::Described)?;
                let path = format!("reports/{id}/describe");
                self.forward.followed = tracer.followed;
                self.forward.written = tracer.rows;
                let mut operation = get(self, "report-describe", path, shape::described(&report));
                operation.uses = tracer.uses;
                operation.objects = tracer.objects;
                operation
            }
            Analytics::Run { id, details, later } => {
                return self.run(version, id, *details, *later, head, body, around);
            }
            Analytics::Instance { id, segment } => {
                let (path, cursor) = self.instance(id, segment, around)?;
                self.forward.pages = Some(cursor);
                let tree = known(around)?;
                let mut tracer = Tracer::new(self.catalog, &self.api.name);
                // While it runs it has no metadata, and shows nothing.
                let shape = match report_of(&tree) {
                    Err(_) => Shape::Object(vec![("attributes".into(), shape::attributes())]),
                    Ok(at) => {
                        let definition = Definition::read(&tree, at, None)?;
                        shape::result(&tracer.report(&definition, Whose::There)?)
                    }
                };
                self.results(version, "report-instance", path, Body::None, shape, tracer)
            }
            Analytics::Dashboard(id) => {
                let body = components_asked(head, body)?;
                let tree = known(around)?;
                let mut tracer = Tracer::new(self.catalog, &self.api.name);
                let mut cases = Vec::new();
                for &component in elements(&tree, tree.member(tree.root, "componentData")) {
                    let Some(name) = text_at(&tree, tree.member(component, "componentId")) else {
                        continue;
                    };
                    let result = tree.member(component, "reportResult");
                    let Some(at) = result.and_then(|r| tree.member(r, "reportMetadata")) else {
                        continue;
                    };
                    if cases.len() >= COMPONENTS_MAX {
                        return Err(not_understood("A dashboard"));
                    }
                    let definition = Definition::read(&tree, at, None)?;
                    // One that is not understood is left out.
                    if let Some(report) = tracer.component(&definition) {
                        cases.push((Arc::from(name), shape::component(&report)));
                    }
                }
                let path = format!("dashboards/{id}");
                let shape = shape::dashboard_results(cases);
                self.results(version, "dashboard", path, body, shape, tracer)
            }
        })
    }

    /// Results that are there already.
    fn results(
        mut self,
        version: u16,
        endpoint: &str,
        path: String,
        body: Body,
        shape: Shape,
        tracer: Tracer<'_>,
    ) -> Operation {
        self.forward.followed = tracer.followed;
        self.forward.written = tracer.rows;
        let mut operation = self.analytics_at(version, endpoint, path, body, shape);
        operation.action = Action::Read;
        operation.uses = tracer.uses;
        operation.objects = tracer.objects;
        operation
    }

    /// A report is run, with the metadata that are decided.
    #[allow(
        clippy::too_many_arguments,
        reason = "a run is its report, its two switches and the request that asks for it"
    )]
    fn run(
        mut self,
        version: u16,
        id: &str,
        details: bool,
        later: bool,
        head: &RequestHead<'_>,
        body: &[u8],
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        let spreadsheet = !later && wants_spreadsheet(head.headers);
        let posted = posted(head.headers, body)?;
        let tree = known(around)?;
        let definition = Definition::read(&tree, report_of(&tree)?, posted.as_ref())?;
        let mut tracer = Tracer::new(self.catalog, &self.api.name);
        let report = tracer.report(&definition, Whose::Run)?;
        if spreadsheet && !report.is_bound() {
            return Err(route::closed(
                "A spreadsheet of a report with columns that are bound to no field",
            ));
        }
        let mut path = format!("reports/{id}");
        if later {
            path.push_str("/instances");
        }
        path.push_str(if details {
            "?includeDetails=true"
        } else {
            "?includeDetails=false"
        });
        let (endpoint, shape) = match (later, spreadsheet) {
            (true, _) => {
                self.seals(id, version, around);
                ("report-run-later", shape::instance())
            }
            (false, true) => ("report-spreadsheet", Shape::Opaque),
            (false, false) => ("report-run", shape::result(&report)),
        };
        if spreadsheet {
            let kind = HeaderValue::from_static(SPREADSHEET);
            self.forward.headers.insert(ACCEPT, kind);
        }
        let reads = tracer.uses.iter().enumerate();
        let outputs = reads
            .filter(|(_, used)| used.action == Action::Read)
            .map(|(at, _)| at)
            .collect();
        let body = Body::Pinned(Box::new(report.pinned));
        let mut operation = self.results(version, endpoint, path, body, shape, tracer);
        operation.exports = spreadsheet;
        if spreadsheet
            && let crate::engine::protocol::Forward::Salesforce(forward) = &mut operation.forward
            && let Target::Analytics(target) = &mut forward.target
        {
            target.outputs = Some(outputs);
        }
        Ok(operation)
    }

    /// Ids of instances in the answer are sealed for the caller.
    fn seals(&mut self, id: &str, version: u16, around: &Surroundings<'_>) {
        let whole = instances_of(id);
        let cursor = Cursor::new(&self.api.name, version, false, &whole, around.caller);
        self.forward.pages = Some(cursor);
    }

    /// The path of an instance of the report `id` behind its sealed id.
    fn instance(
        &self,
        id: &str,
        segment: &str,
        around: &Surroundings<'_>,
    ) -> Result<(String, Cursor), Refusal> {
        let unknown = |_| super::unknown_path();
        let mut cursor =
            Cursor::open(segment, around.open, &self.api.name, around.caller).map_err(unknown)?;
        if *cursor.soql != *instances_of(id) || !is_record_id(&cursor.locator) {
            return Err(super::unknown_path());
        }
        let locator = std::mem::take(&mut cursor.locator);
        Ok((format!("reports/{id}/instances/{locator}"), cursor))
    }
}

/// What was asked beforehand.
fn known(around: &Surroundings<'_>) -> Result<Tree, Refusal> {
    let answer = around.known.answer();
    let answer = answer.ok_or_else(super::unknown_path)?;
    json_body::parse(answer).map_err(|_| not_understood("A report"))
}

/// The metadata of the one report.
fn report_of(tree: &Tree) -> Result<NodeId, Refusal> {
    let at = tree.member(tree.root, "reportMetadata");
    at.filter(|at| matches!(tree.nodes[*at], Node::Object(_)))
        .ok_or_else(|| not_understood("A report"))
}

/// The metadata that the caller posts; `None`: those of the report.
fn posted(headers: &HeaderMap, body: &[u8]) -> Result<Option<Tree>, Refusal> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let tree = json_body::read(headers, body)?;
    let at = tree.member(tree.root, "reportMetadata");
    match at.map(|at| &tree.nodes[at]) {
        Some(Node::Object(_)) => Ok(Some(tree)),
        _ => Err(bad_body("reportMetadata is needed, a JSON object")),
    }
}

/// The components that a POST names, printed anew.
fn components_asked(head: &RequestHead<'_>, body: &[u8]) -> Result<Body, Refusal> {
    if head.method != Method::POST {
        return match body {
            [] => Ok(Body::None),
            _ => Err(route::bad_request("this resource takes no request body")),
        };
    }
    let tree = json_body::read(head.headers, body)?;
    let mut ids = Vec::new();
    for &id in elements(&tree, tree.member(tree.root, "componentIds")) {
        let id = text_at(&tree, Some(id)).filter(|id| is_record_id(id));
        ids.push(id.ok_or_else(|| bad_body("componentIds holds ids of components"))?);
    }
    Ok(Body::Fixed(
        serde_json::json!({ "componentIds": ids }).to_string(),
    ))
}

fn wants_spreadsheet(headers: &HeaderMap) -> bool {
    headers.get_all(ACCEPT).iter().any(|v| {
        v.as_bytes()
            .to_ascii_lowercase()
            .windows(SPREADSHEET.len())
            .any(|w| w == SPREADSHEET.as_bytes())
    })
}

fn elements(tree: &Tree, at: Option<NodeId>) -> &[NodeId] {
    match at.map(|at| &tree.nodes[at]) {
        Some(Node::Array(elements)) => elements,
        _ => &[],
    }
}

fn text_at(tree: &Tree, at: Option<NodeId>) -> Option<&str> {
    match &tree.nodes[at?] {
        Node::Text(text) => Some(text),
        _ => None,
    }
}
