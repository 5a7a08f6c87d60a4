//! `…/sobjects/X/listviews…`: stored queries of one object.
//!
//! A list view is the query that it stores, and is judged as that: privet asks the CRM for its describe first, reads the
//! query in it, and decides filter, order and columns as if the caller had written them. Each cell of the results says
//! which column it is, so that the cells are bound one by one, whatever comes.

use std::sync::Arc;

use crate::engine::catalog::ObjectId;
use crate::engine::protocol::{Action, Known, Link, Operation, RequestHead, Shape, Use, json_body};
use crate::engine::refusal::{Reason, Refusal};

use super::resolve::{self, Resolved};
use super::soql::ast::{Expr, ItemKind, Query};
use super::{Request, Surroundings, is_record_id, route, soql, unknown_path};

/// What is asked of the list views of an object.
#[derive(Debug)]
pub(super) enum ListViews {
    /// All of them. `page`: which part, as a query string or nothing.
    All { page: String },
    /// One, by its id: what it is called.
    One(Arc<str>),
    /// Its columns.
    Describe(Arc<str>),
    /// Its rows.
    Results { id: Arc<str>, page: String },
}

/// The resource behind `…/listviews`.
///
/// # Errors
/// Other methods, parameters that are not known, and paths that do not exist.
pub(super) fn asked(head: &RequestHead<'_>, rest: &[&str]) -> Result<ListViews, Refusal> {
    let page = || -> Result<String, Refusal> {
        let [limit, offset] = route::reads(head, &["limit", "offset"])?;
        let mut page = String::new();
        for (name, value) in [("limit", limit), ("offset", offset)] {
            let Some(value) = value else { continue };
            if !(1..=5).contains(&value.len()) || !value.bytes().all(|b| b.is_ascii_digit()) {
                return Err(route::bad_request("limit and offset take numbers"));
            }
            page.push(if page.is_empty() { '?' } else { '&' });
            page.push_str(name);
            page.push('=');
            page.push_str(value);
        }
        Ok(page)
    };
    let of = |id: &str| Arc::from(id);
    match rest {
        [] => Ok(ListViews::All { page: page()? }),
        [id, "results"] if is_record_id(id) => Ok(ListViews::Results {
            id: of(id),
            page: page()?,
        }),
        [id] if is_record_id(id) => route::reads(head, &[]).map(|_: [_; 0]| ListViews::One(of(id))),
        [id, "describe"] if is_record_id(id) => {
            route::reads(head, &[]).map(|_: [_; 0]| ListViews::Describe(of(id)))
        }
        _ => Err(unknown_path()),
    }
}

/// How a refusal calls what a stored query evaluates. Its own names are not the caller's words, and may be hidden. With a
/// dot, so that no object is named beside it.
pub(super) fn written(action: Action) -> Arc<str> {
    match action {
        Action::Sort => "definition.sort".into(),
        Action::Group => "definition.group".into(),
        Action::Aggregate => "definition.aggregate".into(),
        _ => "definition.filter".into(),
    }
}

/// A stored query that is none privet understands.
pub(super) fn not_understood(what: &str) -> Refusal {
    Refusal::new(
        Reason::EndpointClosed,
        format!("{what} whose definition is not understood: not open through this proxy"),
    )
}

/// A column of the view.
struct Column {
    /// As its cells call it.
    name: Arc<str>,
    /// The outputs that its cells show.
    outputs: Vec<usize>,
}

impl Request<'_> {
    /// The describe of the view, where what is asked for depends on it.
    pub(super) fn list_view_beforehand(
        mut self,
        version: u16,
        object: &Arc<str>,
        asked: &ListViews,
    ) -> Result<Option<Operation>, Refusal> {
        let (ListViews::Describe(id) | ListViews::Results { id, .. }) = asked else {
            return Ok(None);
        };
        let known = self.object(object)?;
        let column = keep(&["fieldNameOrPath", "selectListItem"]);
        let shape = Shape::Object(vec![
            ("query".into(), Shape::Keep),
            ("columns".into(), list(column)),
        ]);
        let path = self.list_view_path(version, known, &format!("/{id}/describe"));
        let looks = resolve::looks_at(self.catalog, known, object);
        let mut operation = self.fixed("list-view-definition", path, shape);
        operation.uses.extend(looks);
        operation.objects.push(known);
        Ok(Some(operation))
    }

    /// `…/sobjects/X/listviews…`
    pub(super) fn list_views(
        mut self,
        version: u16,
        written: &Arc<str>,
        asked: &ListViews,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        let object = self.object(written)?;
        let links = ["describeUrl", "resultsUrl", "url"]
            .map(|name| (Arc::from(name), Shape::Link(Link::Origin)));
        let mut one = keep_members(&["id", "label", "developerName", "soqlCompatible"]);
        one.extend(links);
        let looks = resolve::looks_at(self.catalog, object, written);
        let (endpoint, shape, path) = match asked {
            ListViews::All { page } => {
                let shape = Shape::Object(vec![
                    ("done".into(), Shape::Boolean),
                    ("listviews".into(), list(Shape::Object(one))),
                    ("nextRecordsUrl".into(), Shape::Link(Link::Origin)),
                    ("size".into(), Shape::Number),
                    ("sobjectType".into(), Shape::Keep),
                ]);
                ("list-views", shape, page.clone())
            }
            ListViews::One(id) => ("list-view", Shape::Object(one), format!("/{id}")),
            ListViews::Describe(id) => {
                let (resolved, columns) = self.view_of(object, around.known)?;
                let described = described(&columns);
                let path = self.list_view_path(version, object, &format!("/{id}/describe"));
                self.forward.followed = resolved.followed;
                let mut operation = self.fixed("list-view-describe", path, described);
                // Described is what is read; nothing is evaluated.
                operation.uses = outputs_alone(resolved.uses, object);
                operation.uses.extend(looks);
                operation.objects = resolved.objects;
                operation.objects.push(object);
                return Ok(operation);
            }
            ListViews::Results { id, page } => {
                let (resolved, columns) = self.view_of(object, around.known)?;
                let path = self.list_view_path(version, object, &format!("/{id}/results{page}"));
                self.forward.followed = resolved.followed;
                let mut operation = self.fixed("list-view-results", path, results(&columns));
                operation.action = Action::Read;
                operation.uses = resolved.uses;
                operation.uses.extend(looks);
                operation.objects = resolved.objects;
                return Ok(operation);
            }
        };
        let path = self.list_view_path(version, object, &path);
        let mut operation = self.fixed(endpoint, path, shape);
        operation.uses.extend(looks);
        operation.objects.push(object);
        Ok(operation)
    }

    fn list_view_path(&self, version: u16, object: ObjectId, rest: &str) -> String {
        let name = &self.catalog.get(object).name;
        format!("/v{version}.0/sobjects/{name}/listviews{rest}")
    }

    /// The view's query, traced, for whoever shows its rows in another way.
    pub(super) fn view(&self, object: ObjectId, known: &Known) -> Result<Resolved, Refusal> {
        Ok(self.view_of(object, known)?.0)
    }

    /// The view's query, traced, and its columns.
    fn view_of(&self, object: ObjectId, known: &Known) -> Result<(Resolved, Vec<Column>), Refusal> {
        let refused = || not_understood("A list view");
        let answer = known.answer().ok_or_else(unknown_path)?;
        let tree = json_body::parse(answer).map_err(|_| refused())?;
        let text = |node: json_body::NodeId, name: &str| {
            let at = tree.member(node, name)?;
            match &tree.nodes[at] {
                json_body::Node::Text(text) => Some(text.as_str()),
                _ => None,
            }
        };
        let mut query = text(tree.root, "query")
            .and_then(|query| soql::parse(query).ok())
            .ok_or_else(refused)?;
        let of = match &*query.from.path.segments {
            [name] => self.catalog.object(&self.api.name, name),
            _ => None,
        };
        if of != Some(object) {
            return Err(refused());
        }
        // What the schema does not know is no column of ours.
        let alone = |item: &soql::ast::Item| {
            let mut one = query.clone();
            one.select = vec![item.clone()];
            one.filter = None;
            one.order = Vec::new();
            one.using_scope = None;
            matches!(item.kind, ItemKind::Expr(_))
                && resolve::resolve(self.catalog, &self.api.name, one).is_ok()
        };
        let select: Vec<_> = query.select.iter().filter(|i| alone(i)).cloned().collect();
        if select.is_empty() || query.group.is_some() {
            return Err(refused());
        }
        query.select = select;
        let mut resolved = resolve::resolve(self.catalog, &self.api.name, query)
            .map_err(|_| Refusal::unknown_field(&written(Action::Filter), ""))?;
        for one in &mut resolved.uses {
            if one.action == Action::Read {
                one.named = false;
            } else {
                one.written = written(one.action);
            }
        }
        let bound = bound(&mut resolved);
        let columns = tree.member(tree.root, "columns");
        let Some(json_body::Node::Array(columns)) = columns.map(|at| &tree.nodes[at]) else {
            return Err(refused());
        };
        let mut found: Vec<Column> = Vec::new();
        for &column in columns {
            let Some(name) = text(column, "fieldNameOrPath") else {
                continue;
            };
            let names = [Some(name), text(column, "selectListItem")];
            let outputs = bound.iter().find(|(spelt, _)| {
                let is = |n: &str| spelt.eq_ignore_ascii_case(n);
                names.into_iter().flatten().any(is)
            });
            if let Some((_, outputs)) = outputs
                && !found.iter().any(|c| c.name.eq_ignore_ascii_case(name))
            {
                found.push(Column {
                    name: name.into(),
                    outputs: outputs.clone(),
                });
            }
        }
        Ok((resolved, found))
    }
}

/// Every item of the query's list as it is spelt, and its outputs.
fn bound(resolved: &mut Resolved) -> Vec<(String, Vec<usize>)> {
    let Query { select, .. } = &mut resolved.query;
    let mut bound = Vec::with_capacity(select.len());
    for item in select {
        let ItemKind::Expr(expr) = &mut item.kind else {
            continue;
        };
        let spelt = expr.to_string();
        let paths = match expr {
            Expr::Path(path) => vec![path],
            Expr::Call(call) => call.paths_mut(),
        };
        let outputs = paths
            .iter()
            .filter_map(|path| resolved.bindings.get(path.slot.0 as usize))
            .flat_map(|binding| binding.outputs.clone())
            .collect();
        bound.push((spelt, outputs));
    }
    bound
}

/// The outputs in their places; where something is evaluated, a look at `object` that says nothing more.
fn outputs_alone(uses: Vec<Use>, object: ObjectId) -> Vec<Use> {
    let mut uses = uses;
    for one in &mut uses {
        if one.action != Action::Read {
            one.action = Action::Describe;
            one.field.object = object;
            one.field.field = 0;
            one.values.clear();
        }
    }
    uses
}

fn keep_members(names: &[&str]) -> Vec<(Arc<str>, Shape)> {
    names
        .iter()
        .map(|name| (Arc::from(*name), Shape::Keep))
        .collect()
}

pub(super) fn keep(names: &[&str]) -> Shape {
    Shape::Object(keep_members(names))
}

pub(super) fn list(element: Shape) -> Shape {
    Shape::Array {
        element: Box::new(element),
        rows: false,
    }
}

/// `shape` where the outputs are read, else nothing.
pub(super) fn shown(outputs: Vec<usize>, shape: Shape) -> Shape {
    Shape::Shown {
        outputs,
        shape: Box::new(shape),
        otherwise: Box::new(Shape::Drop),
    }
}

/// One of the columns, as the member `fieldNameOrPath` says.
fn by_column(columns: &[Column], shape: impl Fn(&Column) -> Shape) -> Shape {
    Shape::ByName {
        member: "fieldNameOrPath".into(),
        cases: columns
            .iter()
            .map(|column| {
                let shape = shown(column.outputs.clone(), shape(column));
                (column.name.clone(), shape)
            })
            .collect(),
    }
}

/// What is said of a column.
fn heads(columns: &[Column]) -> Shape {
    list(by_column(columns, |_| {
        let mut members = keep_members(&[
            "ascendingLabel",
            "descendingLabel",
            "fieldNameOrPath",
            "hidden",
            "label",
            "selectListItem",
            "sortDirection",
            "sortIndex",
            "type",
        ]);
        // Nobody sorts or searches a view through privet.
        let never = ["searchable", "sortable"];
        members.extend(never.map(|name| (Arc::from(name), Shape::Constant("false".into()))));
        Shape::Object(members)
    }))
}

fn described(columns: &[Column]) -> Shape {
    let order = by_column(columns, |_| {
        keep(&["fieldNameOrPath", "nullsPosition", "sortDirection"])
    });
    // The query and its conditions hold names and values of their own.
    Shape::Object(vec![
        ("columns".into(), heads(columns)),
        ("id".into(), Shape::Keep),
        ("orderBy".into(), list(order)),
        ("scope".into(), Shape::Keep),
        ("sobjectType".into(), Shape::Keep),
    ])
}

fn results(columns: &[Column]) -> Shape {
    let cells = list(by_column(columns, |column| {
        Shape::Object(vec![
            ("fieldNameOrPath".into(), Shape::Expect(column.name.clone())),
            ("value".into(), Shape::Value(column.outputs.clone())),
        ])
    }));
    Shape::Object(vec![
        ("columns".into(), heads(columns)),
        ("developerName".into(), Shape::Keep),
        ("done".into(), Shape::Boolean),
        ("id".into(), Shape::Keep),
        ("label".into(), Shape::Keep),
        ("nextRecordsUrl".into(), Shape::Link(Link::Origin)),
        (
            "records".into(),
            Shape::Array {
                element: Box::new(Shape::Object(vec![("columns".into(), cells)])),
                rows: true,
            },
        ),
        ("size".into(), Shape::Number),
    ])
}
