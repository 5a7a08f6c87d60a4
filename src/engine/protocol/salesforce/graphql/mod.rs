//! GraphQL over `uiapi` (Salesforce GraphQL API Developer Guide): understood as the queries that ask the same.
//!
//! `parse` reads the document, `expand` writes out fragments, directives and variables, `resolve::graph` traces what is
//! left as SOQL is traced, and `GraphTarget::print` prints a document of privet's own: the caller's text never goes
//! upstream.

mod expand;
pub mod parse;

use std::fmt::Write as _;
use std::sync::Arc;

use crate::engine::catalog::{FieldRef, FieldType};
use crate::engine::protocol::json_body::{Node as Json, Tree, is_number, print_text};
use crate::engine::protocol::{Action, Operation, Resolved};
use crate::engine::refusal::{Reason, Refusal};

use super::cursor::{self, Cursor};
use super::forward::{Printer, Target};
use super::resolve::{self, Binding, malformed};
use super::soql::ast::{Argument, Compare, Condition, Expr, Operand, Operator, Path, Query, Value};
use super::{Request, Surroundings};

pub(super) use expand::{Arg, Node, RESERVED};

pub(super) fn closed(what: &str) -> Refusal {
    Refusal::new(
        Reason::EndpointClosed,
        format!("{what}: not open through this proxy"),
    )
}

/// Whether a path is GraphQL's, `/services/data/vXX.X/graphql`: it has an error shape of its own.
pub fn is_at(segments: &[String]) -> bool {
    matches!(segments, [services, data, _, graphql]
        if services == "services" && data == "data" && graphql == "graphql")
}

/// The part of a field that is its value.
pub(super) const VALUE: &str = "value";
/// The part of a field that is its value as the CRM displays it.
pub(super) const DISPLAYED: &str = "displayValue";

/// What goes upstream of a selection.
#[derive(Debug)]
pub(super) enum Out {
    /// Of the dialect's own envelope, or a record. Gone once nothing is left in it, if it is no row.
    Plain {
        key: Arc<str>,
        name: Arc<str>,
        /// What a row asks for where nothing is left in it.
        row: Option<&'static str>,
        /// What privet may ask for besides, of a record.
        extras: Vec<Extra>,
        children: Vec<Out>,
    },
    /// A value that shows the field of these outputs: an id, or the `value` or `displayValue` of a field.
    Leaf {
        key: Arc<str>,
        name: Arc<str>,
        outputs: Vec<usize>,
    },
    /// Records, or groups of them.
    Connection(Box<Connection>),
}

/// A field that privet may ask for: one that holds a flag or the data region, or the id.
#[derive(Debug)]
pub(super) struct Extra {
    pub(super) scope: usize,
    pub(super) field: FieldRef,
    pub(super) name: Arc<str>,
    /// Its value stands in no object of its own.
    pub(super) scalar: bool,
}

/// The key under which privet asks for the field `name` itself.
pub fn own_key(name: &str) -> Arc<str> {
    format!("{RESERVED}{name}").into()
}

/// Records of one object, or groups of them.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) key: Arc<str>,
    pub(super) name: Arc<str>,
    /// Its WHERE, GROUP BY, ORDER BY, USING SCOPE and LIMIT.
    pub(super) query: Query,
    /// The upstream's own cursor.
    pub(super) after: Option<String>,
    pub(super) children: Vec<Out>,
}

/// A document on its way upstream.
#[derive(Debug)]
pub(super) struct GraphTarget {
    pub(super) roots: Vec<Out>,
    pub(super) bindings: Vec<Binding>,
    /// What further pages are sealed from, by connection.
    pub(super) pages: Vec<Cursor>,
}

/// Opens the upstream's cursor that a caller's own stands for, of the connection that reads as `text`.
pub(super) type Opens<'a> = dyn Fn(&str, &str) -> Result<String, Refusal> + 'a;

impl Request<'_> {
    /// `POST …/graphql`.
    pub(super) fn graphql(
        mut self,
        version: u16,
        tree: &Tree,
        around: &Surroundings<'_>,
    ) -> Result<Operation, Refusal> {
        let bad = |what: &'static str| Refusal::new(Reason::MalformedBody, what);
        let Some(Json::Object(members)) = tree.nodes.get(tree.root) else {
            return Err(bad("the request body is no object"));
        };
        let (mut query, mut variables, mut name) = (None, None, None);
        for (key, at) in members {
            match (key.as_str(), tree.nodes.get(*at)) {
                ("query", Some(Json::Text(text))) => query = Some(text),
                ("variables", Some(Json::Object(_))) => variables = Some((tree, *at)),
                ("operationName", Some(Json::Text(text))) => name = Some(text.as_str()),
                ("variables" | "operationName", Some(Json::Null)) => {}
                _ => {
                    return Err(bad(
                        "the request body takes query, variables and operationName",
                    ));
                }
            }
        }
        let query = query.ok_or_else(|| bad("the request body has no query"))?;
        let document = parse::parse(query).map_err(|e| malformed(e.to_string()))?;
        let nodes = expand::expand(&document, name, variables)?;
        let api = self.api.name.clone();
        let opens = |segment: &str, text: &str| {
            let cursor = Cursor::open(segment, around.open, &api, around.caller)?;
            if cursor.version != version || &*cursor.soql != text {
                return Err(cursor::invalid());
            }
            cursor.foreign().ok_or_else(cursor::invalid)
        };
        let graph = match resolve::resolve_graph(self.catalog, &api, &nodes, &opens) {
            Ok(graph) => graph,
            Err(stopped) => return self.stopped("graphql", *stopped),
        };
        let pages = graph.pages.iter();
        let pages = pages.map(|text| Cursor::new(&api, version, false, text, around.caller));
        self.forward.version = version;
        self.forward.written = graph.written;
        self.forward.followed = graph.followed;
        self.forward.target = Target::Graph(Box::new(GraphTarget {
            roots: graph.roots,
            bindings: graph.bindings,
            pages: pages.collect(),
        }));
        let mut operation = self.operation(Action::Read, "graphql", graph.shape);
        operation.uses = graph.uses;
        operation.objects = graph.objects;
        Ok(operation)
    }
}

impl GraphTarget {
    /// The body.
    pub(super) fn print(&self, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        let mut text = String::from("query{");
        for root in &self.roots {
            self.selection(root, resolved, &mut text)?;
        }
        text.push('}');
        let mut body = String::from("{\"query\":");
        print_text(&text, &mut body);
        body.push('}');
        Ok(body)
    }

    /// Writes `out` if there is anything left of it.
    fn selection(
        &self,
        out: &Out,
        resolved: &Resolved<'_>,
        text: &mut String,
    ) -> Result<(), Refusal> {
        let all = |of: &[bool], which: &[usize]| which.iter().all(|u| of.get(*u) == Some(&true));
        match out {
            Out::Plain {
                key,
                name,
                row,
                extras,
                children,
            } => {
                if children.is_empty() {
                    let _ = write!(text, "{key}:{name} ");
                    return Ok(());
                }
                let mut inner = String::new();
                for child in children {
                    self.selection(child, resolved, &mut inner)?;
                }
                if let (true, Some(instead)) = (inner.is_empty(), row) {
                    let _ = write!(inner, "{RESERVED}row:{instead}");
                }
                if inner.is_empty() {
                    return Ok(());
                }
                // What decides about a record comes before what it decides about.
                let _ = write!(text, "{key}:{name}{{");
                for extra in extras {
                    if resolved.conditions.contains(&(extra.scope, extra.field)) {
                        let parts = if extra.scalar { " " } else { "{value}" };
                        let _ = write!(text, "{}:{}{parts}", own_key(&extra.name), extra.name);
                    }
                }
                text.push_str(&inner);
                text.push('}');
            }
            Out::Leaf { key, name, outputs } => {
                if !all(resolved.kept, outputs) {
                    return Ok(());
                }
                // What is treated is treated from its value: a text for people would be a second copy of it.
                let name = match &**name {
                    DISPLAYED if !all(resolved.clear, outputs) => VALUE,
                    name => name,
                };
                let _ = write!(text, "{key}:{name} ");
            }
            Out::Connection(connection) => self.connection(connection, resolved, text)?,
        }
        Ok(())
    }

    fn connection(
        &self,
        connection: &Connection,
        resolved: &Resolved<'_>,
        text: &mut String,
    ) -> Result<(), Refusal> {
        let mut query = connection.query.clone();
        let printer = Printer {
            bindings: &self.bindings,
            scopes: &[],
            resolved,
        };
        printer.literals(&mut query)?;
        let mut arguments = String::new();
        if let Some(limit) = query.limit {
            let _ = write!(arguments, "first:{limit} ");
        }
        if let Some(after) = &connection.after {
            arguments.push_str("after:");
            print_text(after, &mut arguments);
            arguments.push(' ');
        }
        if let Some(scope) = &query.using_scope {
            let _ = write!(arguments, "scope:{} ", scope.to_ascii_uppercase());
        }
        if let Some(filter) = &query.filter {
            arguments.push_str("where:");
            self.condition(filter, &mut arguments)?;
        }
        if let Some(group) = &query.group {
            arguments.push_str("groupBy:{");
            for key in &group.keys {
                let Expr::Path(path) = key else {
                    return Err(malformed("groupBy takes fields"));
                };
                let _ = write!(arguments, "{}:{{group:true}} ", path.leaf());
            }
            arguments.push_str("} ");
        }
        if !query.order.is_empty() {
            arguments.push_str("orderBy:");
            // One entry may hold several fields, in their order.
            arguments.push('[');
            for order in &query.order {
                let mut clause = String::from("{");
                let path = match &order.by {
                    Expr::Path(path) => path,
                    Expr::Call(call) => match &*call.arguments {
                        [Argument::Expr(Expr::Path(path))] => {
                            let _ = write!(clause, "function:{} ", call.function.text());
                            path
                        }
                        _ => return Err(malformed("orderBy takes fields")),
                    },
                };
                clause.push_str("order:");
                clause.push_str(match order.ascending {
                    Some(false) => "DESC",
                    _ => "ASC",
                });
                match order.nulls_first {
                    Some(true) => clause.push_str(" nulls:FIRST"),
                    Some(false) => clause.push_str(" nulls:LAST"),
                    None => {}
                }
                clause.push('}');
                within(path, &clause, &mut arguments);
            }
            arguments.push(']');
        }
        let _ = write!(text, "{}:{}", connection.key, connection.name);
        if !arguments.is_empty() {
            let _ = write!(text, "({arguments})");
        }
        text.push('{');
        for child in &connection.children {
            self.selection(child, resolved, text)?;
        }
        text.push('}');
        Ok(())
    }

    fn condition(&self, condition: &Condition, text: &mut String) -> Result<(), Refusal> {
        match condition {
            Condition::And(parts) | Condition::Or(parts) => {
                text.push_str(match condition {
                    Condition::And(_) => "{and:[",
                    _ => "{or:[",
                });
                for part in parts {
                    self.condition(part, text)?;
                }
                text.push_str("]}");
            }
            Condition::Not(part) => {
                text.push_str("{not:");
                self.condition(part, text)?;
                text.push('}');
            }
            Condition::Compare(compare) => self.compare(compare, text)?,
        }
        Ok(())
    }

    fn compare(&self, compare: &Compare, text: &mut String) -> Result<(), Refusal> {
        let unsupported = || malformed("this comparison is not supported");
        let Expr::Path(path) = &compare.left else {
            return Err(unsupported());
        };
        let kind = self.bindings.get(path.slot.0 as usize).map(|b| b.kind);
        let times = matches!(
            kind,
            Some(FieldType::Date | FieldType::DateTime | FieldType::Time)
        );
        let mut clause = String::from("{");
        let word = OPERATORS.iter().find(|(_, o)| *o == compare.operator);
        clause.push_str(word.ok_or_else(unsupported)?.0);
        clause.push(':');
        match &compare.right {
            Operand::Value(one) => scalar(one, times, &mut clause)?,
            Operand::List(all) => {
                clause.push('[');
                for one in all {
                    scalar(one, times, &mut clause)?;
                    clause.push(' ');
                }
                clause.push(']');
            }
            Operand::Query(_) => return Err(unsupported()),
        }
        clause.push('}');
        within(path, &clause, text);
        Ok(())
    }
}

/// `{Account:{Name:clause}}`
fn within(path: &Path, clause: &str, text: &mut String) {
    for segment in &path.segments {
        let _ = write!(text, "{{{segment}:");
    }
    text.push_str(clause);
    for _ in &path.segments {
        text.push('}');
    }
}

fn scalar(value: &Value, times: bool, text: &mut String) -> Result<(), Refusal> {
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(value) => {
            let _ = write!(text, "{value}");
        }
        Value::Text(value) | Value::Pattern(value) => print_text(value, text),
        Value::Word(word) if !times => {
            // Only a number stands by itself.
            if !is_number(word) {
                return Err(malformed(
                    "a filter has a value that does not fit its field",
                ));
            }
            text.push_str(word);
        }
        Value::Word(word) if word.starts_with(|c: char| c.is_ascii_digit()) => {
            text.push_str("{value:");
            print_text(word, text);
            text.push('}');
        }
        Value::Word(word) => {
            let _ = match word.split_once(':') {
                Some((range, n)) => {
                    write!(text, "{{range:{{{}:{n}}}}}", range.to_ascii_lowercase())
                }
                None => write!(text, "{{literal:{word}}}"),
            };
        }
    }
    Ok(())
}

/// Operators of a filter (GraphQL API Developer Guide, "Field Operators").
pub(super) const OPERATORS: [(&str, Operator); 11] = [
    ("eq", Operator::Equal),
    ("ne", Operator::NotEqual),
    ("lt", Operator::Less),
    ("lte", Operator::LessOrEqual),
    ("gt", Operator::Greater),
    ("gte", Operator::GreaterOrEqual),
    ("like", Operator::Like),
    ("in", Operator::In),
    ("nin", Operator::NotIn),
    ("includes", Operator::Includes),
    ("excludes", Operator::Excludes),
];
