//! A decided Salesforce request, printed for the upstream.

use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method};

use crate::engine::catalog::{FieldRef, FieldType, ObjectId};
use crate::engine::protocol::{Link, Literal, Resolved, UpstreamRequest};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::Sealer;

use super::analytics::AnalyticsTarget;
use super::bulk::JobTarget;
use super::composite::CompositeTarget;
use super::cursor::{Cursor, Form, NextPage, Page};
use super::graphql::GraphTarget;
use super::is_record_id;
use super::record::Outputs;
use super::related::{BlobTarget, RelatedTarget};
use super::resolve::{Binding, Followed, Scope, literal, malformed};
use super::resource::ResourceTarget;
use super::search::SearchTarget;
use super::soap::SoapTarget;
use super::soql::ast::{
    Argument, Call, Compare, Condition, Expr, Function, Item, ItemKind, Operand, Operator, Path,
    Query, Span, Value,
};
use super::soql::is_word_literal;
use super::streaming::Session;
use super::streaming::{StreamClient, StreamTarget};
use super::template::{self, Template};

/// How a Salesforce request goes upstream.
#[derive(Debug)]
pub struct Forward {
    pub(super) target: Target,
    pub(super) version: u16,
    pub(super) headers: HeaderMap,
    /// Objects that the request names, as written.
    pub(super) written: Vec<(ObjectId, Arc<str>)>,
    /// The reference fields that the request follows.
    pub(super) followed: Followed,
    /// What further pages are sealed from.
    pub(super) pages: Option<Cursor>,
    pub(super) upstream_origin: Arc<str>,
    /// Whom client ids of the Streaming API are sealed for.
    pub(super) stream: Option<Session>,
}

/// What is asked of the upstream.
#[derive(Debug)]
pub(super) enum Target {
    /// Nothing: the request holds a mistake, which is told once all that comes before it has been decided.
    Refused(Refusal),
    /// A path after `/services/data`, as it is.
    Fixed(String),
    /// A query.
    Query {
        all: bool,
        query: Box<Query>,
        bindings: Vec<Binding>,
        scopes: Vec<Scope>,
    },
    /// A page of an earlier query.
    Page { all: bool, locator: String },
    /// One record.
    Record(Box<RecordTarget>),
    /// Several records, read by their ids.
    Retrieve(Box<RetrieveTarget>),
    /// Several records, changed.
    Collection(Box<CollectionTarget>),
    /// Records behind a record.
    Related(Box<RelatedTarget>),
    /// A file.
    Blob(Box<BlobTarget>),
    /// A resource of Chatter or Connect.
    Resource(Box<ResourceTarget>),
    /// A search.
    Search(Box<SearchTarget>),
    /// A report or dashboard.
    Analytics(Box<AnalyticsTarget>),
    /// A call of the SOAP API.
    Soap(Box<SoapTarget>),
    /// A document of GraphQL.
    Graph(Box<GraphTarget>),
    /// A job of Bulk API 2.0.
    Job(Box<JobTarget>),
    /// Messages of the Streaming API.
    Stream(Box<StreamTarget>),
    /// Several requests in one.
    Composite(Box<CompositeTarget>),
}

/// Several records, read by their ids.
#[derive(Debug)]
pub(super) struct RetrieveTarget {
    /// In the body of a POST rather than in parameters.
    pub(super) post: bool,
    pub(super) object: Arc<str>,
    /// The use that looks them up.
    pub(super) used: usize,
    pub(super) ids: Vec<Literal>,
    pub(super) fields: Outputs,
    pub(super) conditions: Vec<(FieldRef, Arc<str>)>,
}

/// Several records, changed.
#[derive(Debug)]
pub(super) struct CollectionTarget {
    pub(super) method: Method,
    /// What follows `/composite/`.
    pub(super) path: String,
    /// Those to delete: use and id.
    pub(super) ids: Vec<(usize, Literal)>,
    pub(super) all_or_none: bool,
    pub(super) body: Option<Template>,
}

/// One record, to be read or changed.
#[derive(Debug)]
pub(super) struct RecordTarget {
    pub(super) method: Method,
    pub(super) object: Arc<str>,
    pub(super) lookup: Lookup,
    /// The fields named, with their uses; `None` = all.
    pub(super) fields: Option<Outputs>,
    pub(super) conditions: Vec<(FieldRef, Arc<str>)>,
    pub(super) body: Option<Template>,
}

/// How the record is found.
#[derive(Debug)]
pub(super) enum Lookup {
    /// It is made.
    New,
    /// By its id.
    Id {
        /// The use that looks it up.
        used: usize,
        written: Literal,
        /// Stands for a value of an earlier part of the request.
        reference: bool,
    },
    /// By the value of a field.
    External {
        used: usize,
        field: Arc<str>,
        written: Literal,
    },
}

impl Forward {
    /// The upstream request.
    ///
    /// # Errors
    /// A literal that does not fit its place, or a record id that is none.
    pub fn print(&self, resolved: &Resolved<'_>) -> Result<UpstreamRequest, Refusal> {
        let base = format!("/services/data/v{}.0", self.version);
        let mut method = Method::GET;
        let mut body = String::new();
        let mut headers = self.headers.clone();
        let path_and_query = match &self.target {
            Target::Refused(refusal) => return Err(refusal.clone()),
            Target::Soap(target) => return target.print(resolved),
            Target::Stream(target) => return target.print(&self.headers, resolved),
            Target::Fixed(path) => format!("/services/data{path}"),
            Target::Page { all, locator } => format!("{base}/{}/{locator}", endpoint(*all)),
            Target::Query {
                all,
                query,
                bindings,
                scopes,
            } => {
                let text = query_text(query, bindings, scopes, resolved)?;
                let mut path = format!("{base}/{}?q=", endpoint(*all));
                percent_encode(&text, &mut path);
                path
            }
            Target::Related(target) => target.path(&base, resolved)?,
            Target::Blob(target) => target.path(&base, resolved)?,
            Target::Resource(target) => target.path(&base, resolved)?,
            Target::Search(target) => {
                let (path, posted) = target.print(&base, resolved)?;
                if let Some(posted) = posted {
                    method = Method::POST;
                    body = posted;
                }
                path
            }
            Target::Analytics(target) => {
                if let Some(posted) = target.body(resolved)? {
                    method = Method::POST;
                    body = posted;
                }
                format!("{base}/analytics/{}", target.path)
            }
            Target::Graph(target) => {
                method = Method::POST;
                body = target.print(resolved)?;
                format!("{base}/graphql")
            }
            Target::Job(target) => {
                method = target.method.clone();
                body = target.body(resolved)?;
                headers.extend(target.headers());
                format!("{base}/jobs/{}", target.path)
            }
            Target::Composite(target) => {
                method = Method::POST;
                body = target.print(resolved)?;
                format!("{base}{}", target.path())
            }
            Target::Retrieve(target) => {
                let mut path = format!("{base}/composite/sobjects/{}", target.object);
                let mut found = Vec::with_capacity(target.ids.len());
                for (index, written) in target.ids.iter().enumerate() {
                    found.push(record_id(resolved, target.used, index, written, false)?);
                }
                let names = field_names(&target.fields, &target.conditions, resolved);
                if target.post {
                    method = Method::POST;
                    body = serde_json::json!({ "ids": found, "fields": names }).to_string();
                } else {
                    path.push_str("?ids=");
                    percent_encode(&found.join(","), &mut path);
                    path.push_str("&fields=");
                    percent_encode(&names.join(","), &mut path);
                }
                path
            }
            Target::Collection(target) => {
                method = target.method.clone();
                let mut path = format!("{base}/composite/{}", target.path);
                if let Some(template) = &target.body {
                    body = template.print(resolved)?;
                } else {
                    let mut found = Vec::with_capacity(target.ids.len());
                    for (used, written) in &target.ids {
                        found.push(record_id(resolved, *used, 0, written, false)?);
                    }
                    path.push_str("?ids=");
                    percent_encode(&found.join(","), &mut path);
                    path.push_str(if target.all_or_none {
                        "&allOrNone=true"
                    } else {
                        "&allOrNone=false"
                    });
                }
                path
            }
            Target::Record(target) => {
                method = target.method.clone();
                if let Some(template) = &target.body {
                    body = template.print(resolved)?;
                }
                target.path(&base, resolved)?
            }
        };
        if !body.is_empty() {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        Ok(UpstreamRequest {
            method,
            path_and_query,
            headers,
            body: Bytes::from(body),
            session_at: None,
            long_poll: false,
            cookies: false,
        })
    }

    /// What turns the upstream's `nextRecordsUrl` into a cursor of this caller, for [`Link::NextPage`] and
    /// [`Link::ChildPage`]. `None` where the request has no pages: the link is dropped.
    pub fn cursor(&self, sealer: Arc<Sealer>, link: Link) -> Option<NextPage> {
        if let (Link::Part { part, child }, Target::Composite(target)) = (link, &self.target) {
            let link = child.map_or(Link::NextPage, Link::ChildPage);
            let part = target.parts.get(usize::from(part))?;
            return part.forward.cursor(sealer, link);
        }
        if let (Link::Part { part, .. }, Target::Graph(target)) = (link, &self.target) {
            let cursor = target.pages.get(usize::from(part))?.clone();
            return Some(NextPage {
                page: Page {
                    cursor,
                    upstream_origin: self.upstream_origin.clone(),
                    form: Form::Foreign,
                },
                sealer,
            });
        }
        let mut cursor = self.pages.clone()?;
        match link {
            Link::NextPage => {}
            Link::ChildPage(child) => cursor.child = Some(child),
            Link::JobData => {}
            Link::Origin | Link::Closed | Link::Part { .. } => return None,
        }
        Some(NextPage {
            page: Page {
                cursor,
                upstream_origin: self.upstream_origin.clone(),
                form: match (&self.target, link) {
                    (_, Link::JobData) => Form::JobData,
                    (Target::Soap(_) | Target::Job(_) | Target::Analytics(_), _) => Form::Bare,
                    _ => Form::Link,
                },
            },
            sealer,
        })
    }

    /// What turns the upstream's `Sforce-Locator` into a locator of this caller: for the results of a query job of Bulk
    /// API 2.0 alone.
    pub fn results_page(&self, sealer: Arc<Sealer>) -> Option<NextPage> {
        let Target::Job(target) = &self.target else {
            return None;
        };
        Some(NextPage {
            page: Page {
                cursor: target.page.clone()?,
                upstream_origin: self.upstream_origin.clone(),
                form: Form::Foreign,
            },
            sealer,
        })
    }

    /// What turns the upstream's client id of the Streaming API into one of this caller.
    pub fn stream_client(&self, sealer: Arc<Sealer>) -> Option<StreamClient> {
        let session = self.stream.clone()?;
        Some(StreamClient::new(session, sealer))
    }

    /// How many record scopes the request has by itself.
    pub(super) fn scopes(&self) -> usize {
        match &self.target {
            Target::Query { scopes, .. } => scopes.len(),
            Target::Search(target) => target.scopes(),
            _ => 0,
        }
    }

    /// The mistake for which the request goes nowhere.
    pub fn refused(&self) -> Option<&Refusal> {
        match &self.target {
            Target::Refused(refusal) => Some(refusal),
            _ => None,
        }
    }

    /// The reference fields that the request follows.
    pub fn followed(&self) -> &Followed {
        &self.followed
    }

    /// How the caller spelt an object that the request names.
    pub fn written_object(&self, object: ObjectId) -> Option<&Arc<str>> {
        self.written
            .iter()
            .find(|(o, _)| *o == object)
            .map(|(_, written)| written)
    }
}

/// A query as it goes upstream.
pub(super) fn query_text(
    query: &Query,
    bindings: &[Binding],
    scopes: &[Scope],
    resolved: &Resolved<'_>,
) -> Result<String, Refusal> {
    let mut query = query.clone();
    let printer = Printer {
        bindings,
        scopes,
        resolved,
    };
    printer.rewrite(&mut query, true)?;
    Ok(query.to_string())
}

fn endpoint(all: bool) -> &'static str {
    if all { "queryAll" } else { "query" }
}

/// Percent-encodes everything but RFC 3986 section 2.3's unreserved characters.
pub(super) fn percent_encode(text: &str, out: &mut String) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for b in text.bytes() {
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(b));
        } else {
            out.push('%');
            out.push(char::from(HEX[usize::from(b >> 4)]));
            out.push(char::from(HEX[usize::from(b & 15)]));
        }
    }
}

impl RecordTarget {
    fn path(&self, base: &str, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        let mut path = format!("{base}/sobjects/{}", self.object);
        match &self.lookup {
            Lookup::New => {}
            Lookup::Id {
                used,
                written,
                reference,
            } => {
                path.push('/');
                path.push_str(&record_id(resolved, *used, 0, written, *reference)?);
            }
            Lookup::External {
                used,
                field,
                written,
            } => {
                let Literal::Text(value) = template::literal(resolved, *used, 0, written)? else {
                    return Err(super::unknown_path());
                };
                // Whatever would lead elsewhere is no value.
                if matches!(value.as_str(), "" | "." | "..")
                    || value.contains(['/', '\\'])
                    || value.chars().any(char::is_control)
                {
                    return Err(super::unknown_path());
                }
                path.push('/');
                path.push_str(field);
                path.push('/');
                percent_encode(value, &mut path);
            }
        }
        if let Some(fields) = &self.fields {
            path.push_str("?fields=");
            let names = field_names(fields, &self.conditions, resolved);
            percent_encode(&names.join(","), &mut path);
        }
        Ok(path)
    }
}

/// A record id, a token turned back. Whatever is no record id afterwards does not exist.
pub(super) fn record_id(
    resolved: &Resolved<'_>,
    used: usize,
    index: usize,
    written: &Literal,
    reference: bool,
) -> Result<String, Refusal> {
    let Literal::Text(id) = template::literal(resolved, used, index, written)? else {
        return Err(super::unknown_path());
    };
    let readable = resolved.kept.get(used).copied().unwrap_or(false);
    if readable && (is_record_id(id) || reference) {
        Ok(id.to_owned())
    } else {
        Err(super::unknown_path())
    }
}

/// The fields to ask for: condition fields first, hidden ones left out, Id where nothing is left.
pub(super) fn field_names<'a>(
    fields: &'a [(Arc<str>, Vec<usize>)],
    conditions: &'a [(FieldRef, Arc<str>)],
    resolved: &Resolved<'_>,
) -> Vec<&'a str> {
    let mut names: Vec<&str> = conditions
        .iter()
        .filter(|(field, _)| resolved.conditions.contains(&(0, *field)))
        .map(|(_, name)| &**name)
        .collect();
    for (name, outputs) in fields {
        let kept = outputs
            .iter()
            .any(|u| resolved.kept.get(*u).copied().unwrap_or(false));
        if kept && !names.contains(&&**name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        names.push("Id");
    }
    names
}

pub(super) struct Printer<'a> {
    pub(super) bindings: &'a [Binding],
    pub(super) scopes: &'a [Scope],
    pub(super) resolved: &'a Resolved<'a>,
}

fn path_item(segments: Vec<Arc<str>>) -> Item {
    Item {
        kind: ItemKind::Expr(Expr::Path(Path::of(segments))),
        alias: None,
        span: Span::default(),
    }
}

/// `COUNT(Id)`: shows nothing that its row does not, and keeps the numbering of `exprN`.
fn count_id() -> ItemKind {
    ItemKind::Expr(Expr::Call(Call {
        function: Function::Count,
        arguments: vec![Argument::Expr(Expr::Path(Path::of(vec!["Id".into()])))],
        span: Span::default(),
    }))
}

impl Printer<'_> {
    fn binding(&self, path: &Path) -> Option<&Binding> {
        self.bindings.get(path.slot.0 as usize)
    }

    /// Whether every output of `path` is hidden.
    fn is_hidden(&self, path: &Path) -> bool {
        self.binding(path).is_some_and(|b| {
            !b.outputs.is_empty()
                && !b
                    .outputs
                    .clone()
                    .any(|u| self.resolved.kept.get(u).copied().unwrap_or(false))
        })
    }

    /// Takes hidden outputs out, puts condition fields first, replaces literals. Gives whether an output is left.
    pub(super) fn rewrite(&self, query: &mut Query, top: bool) -> Result<bool, Refusal> {
        let grouped = top
            && (query.group.is_some()
                || query.select.iter().any(
                    |i| matches!(&i.kind, ItemKind::Expr(Expr::Call(c)) if c.aggregate().is_some()),
                ));
        let mut select = Vec::with_capacity(query.select.len());
        for mut item in std::mem::take(&mut query.select) {
            let keep = match &mut item.kind {
                ItemKind::Expr(Expr::Path(path)) => {
                    !self.is_hidden(path) && !self.is_condition(path)
                }
                ItemKind::Expr(Expr::Call(call)) => {
                    let hidden = call.paths_mut().iter().any(|p| self.is_hidden(p));
                    if hidden && grouped {
                        item.kind = count_id();
                    }
                    !hidden || grouped
                }
                ItemKind::Children(children) => self.rewrite(children, false)?,
                ItemKind::TypeOf(type_of) => {
                    type_of.otherwise.retain(|p| !self.is_hidden(p));
                    let mut left = !type_of.otherwise.is_empty();
                    let scope = self
                        .binding(&type_of.relationship)
                        .and_then(|b| b.home)
                        .map(|(scope, _)| scope);
                    for (object, paths) in &mut type_of.cases {
                        paths.retain(|p| !self.is_hidden(p));
                        left |= !paths.is_empty();
                        if paths.is_empty() {
                            paths.push(Path::of(vec!["Id".into()]));
                        }
                        self.branch_conditions(scope, object, paths);
                    }
                    left
                }
                ItemKind::Fields(_) => false,
            };
            if keep {
                select.push(item);
            }
        }
        let mut first = self.conditions(query.slot.0);
        // A condition field that the caller selected stands first as well, and is an output all the same.
        let left = !select.is_empty() || self.selects_condition(query.slot.0);
        if !grouped {
            first.append(&mut select);
            select = first;
        }
        if select.is_empty() {
            select.push(if grouped {
                Item {
                    kind: count_id(),
                    alias: None,
                    span: Span::default(),
                }
            } else {
                path_item(vec!["Id".into()])
            });
        }
        query.select = select;
        self.literals(query)?;
        Ok(left)
    }

    /// Whether `path` is the output of a field that is fetched as a condition.
    fn is_condition(&self, path: &Path) -> bool {
        self.binding(path)
            .and_then(|b| b.home)
            .is_some_and(|home| self.resolved.conditions.contains(&home) && self.can_add(home.0))
    }

    fn can_add(&self, scope: usize) -> bool {
        self.scopes.get(scope).is_some_and(|s| s.list.is_some())
    }

    /// Whether the caller selects one of the condition fields of this list.
    fn selects_condition(&self, list: u32) -> bool {
        self.bindings.iter().any(|b| {
            b.home.is_some_and(|home| {
                self.resolved.conditions.contains(&home)
                    && self
                        .scopes
                        .get(home.0)
                        .is_some_and(|s| s.list == Some(list))
            }) && b
                .outputs
                .clone()
                .any(|u| self.resolved.kept.get(u).copied().unwrap_or(false))
        })
    }

    /// The condition fields of one select list.
    fn conditions(&self, list: u32) -> Vec<Item> {
        let mut items = Vec::new();
        let mut seen = Vec::new();
        for wanted in self.resolved.conditions {
            let Some(scope) = self.scopes.get(wanted.0).filter(|s| s.list == Some(list)) else {
                continue;
            };
            let Some((_, name)) = scope.conditions.iter().find(|(f, _)| *f == wanted.1) else {
                continue;
            };
            if seen.contains(&wanted) {
                continue;
            }
            seen.push(wanted);
            let mut segments = scope.prefix.clone();
            segments.push(name.clone());
            items.push(path_item(segments));
        }
        items
    }

    /// Puts the condition fields of `object` first in its branch of TYPEOF.
    fn branch_conditions(&self, scope: Option<usize>, object: &str, paths: &mut Vec<Path>) {
        let Some((number, scope)) = scope.and_then(|n| Some((n, self.scopes.get(n)?))) else {
            return;
        };
        let Some((_, object)) = scope.branches.iter().find(|(name, _)| &**name == object) else {
            return;
        };
        let wanted = scope.conditions.iter().filter(|(field, _)| {
            field.object == *object && self.resolved.conditions.contains(&(number, *field))
        });
        for (at, (_, name)) in wanted.enumerate() {
            paths.retain(|p| !p.leaf().eq_ignore_ascii_case(name));
            paths.insert(at.min(paths.len()), Path::of(vec![name.clone()]));
        }
    }

    /// Puts the resolved literals into WHERE and HAVING.
    pub(super) fn literals(&self, query: &mut Query) -> Result<(), Refusal> {
        for condition in query.filter.iter_mut().chain(&mut query.having) {
            self.condition(condition)?;
        }
        Ok(())
    }

    fn condition(&self, condition: &mut Condition) -> Result<(), Refusal> {
        match condition {
            Condition::And(parts) | Condition::Or(parts) => {
                parts.iter_mut().try_for_each(|p| self.condition(p))
            }
            Condition::Not(part) => self.condition(part),
            Condition::Compare(compare) => self.compare(compare),
        }
    }

    fn compare(&self, compare: &mut Compare) -> Result<(), Refusal> {
        let values: &mut [Value] = match &mut compare.right {
            Operand::Query(query) => return self.literals(query),
            Operand::Value(value) => std::slice::from_mut(value),
            Operand::List(values) => values,
        };
        let Expr::Path(path) = &compare.left else {
            return Ok(());
        };
        let Some(binding) = self.binding(path) else {
            return Ok(());
        };
        let written: Vec<Literal> = values.iter().map(literal).collect();
        let mut replaced: Option<&Vec<Literal>> = None;
        for index in binding.evaluated.clone() {
            let new = match self.resolved.values.get(index) {
                Some(Some(new)) => new,
                _ => &written,
            };
            // Two targets of a polymorphic path that read one token differently can not both be asked.
            if replaced.is_some_and(|old| old != new) || new.len() != values.len() {
                return Err(malformed("a literal has two meanings"));
            }
            replaced = Some(new);
        }
        if let Some(new) = replaced {
            for (value, resolved) in values.iter_mut().zip(new) {
                if *resolved != literal(value) {
                    *value = typed(resolved, binding.kind, compare.operator)?;
                }
            }
        }
        Ok(())
    }
}

/// `literal` as SOQL spells it for a field of `kind`.
fn typed(literal: &Literal, kind: FieldType, operator: Operator) -> Result<Value, Refusal> {
    let word = |text: &str| match text {
        "true" => Ok(Value::Bool(true)),
        "false" => Ok(Value::Bool(false)),
        text if is_word_literal(text) => Ok(Value::Word(text.into())),
        _ => Err(Refusal::new(
            Reason::MalformedQuery,
            "a literal does not fit its field",
        )),
    };
    match literal {
        Literal::Null => Ok(Value::Null),
        Literal::Other(text) => word(text),
        Literal::Text(_) if operator == Operator::Like => Err(malformed("LIKE takes no token")),
        Literal::Text(text) => match kind {
            FieldType::Number
            | FieldType::Boolean
            | FieldType::Date
            | FieldType::DateTime
            | FieldType::Time => word(text),
            _ => Ok(Value::Text(text.clone())),
        },
    }
}
