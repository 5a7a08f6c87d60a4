//! GraphQL's selections × schema → uses and shape, traced as the queries that ask the same.

use std::sync::Arc;

use crate::engine::catalog::{Catalog, FieldType, ObjectId};
use crate::engine::protocol::{Link, Shape, Use};
use crate::engine::refusal::Refusal;

use super::super::graphql::{
    Arg, Connection, DISPLAYED, Extra, Node, OPERATORS, Opens, Out, VALUE, closed,
};
use super::super::route::is_name;
use super::super::soql::ast::{
    Compare, Condition, Expr, Operand, Operator, Order, Path, Query, Span, Value,
};
use super::super::soql::is_word_literal;
use super::aggregate;
use super::{Binding, Followed, Level, Resolver, Stopped, looks_at, malformed, rows};

/// Most rows of one answer (GraphQL API Developer Guide, "Limits").
const FIRST_MAX: u64 = 2_000;
/// Deepest nesting of child relationships.
const CHILD_DEPTH_MAX: usize = 3;
/// Deepest path of parents.
const PARENTS_MAX: usize = 5;
/// Most connections of a document.
const CONNECTIONS_MAX: usize = 50;

/// A document, understood.
#[derive(Debug)]
pub(in super::super) struct Graph {
    pub(in super::super) uses: Vec<Use>,
    pub(in super::super) objects: Vec<ObjectId>,
    pub(in super::super) written: Vec<(ObjectId, Arc<str>)>,
    pub(in super::super) bindings: Vec<Binding>,
    pub(in super::super) followed: Followed,
    pub(in super::super) shape: Shape,
    pub(in super::super) roots: Vec<Out>,
    /// What each connection reads as: its cursors are good for it alone.
    pub(in super::super) pages: Vec<Arc<str>>,
}

struct Traced<'a> {
    opens: &'a Opens<'a>,
    pages: Vec<Arc<str>>,
}

pub(super) type Members = Vec<(Arc<str>, Shape)>;

/// Traces what `nodes` select.
///
/// # Errors
/// Unknown objects, relationships and fields, and what is refused by name.
pub(in super::super) fn resolve_graph(
    catalog: &Catalog,
    api: &str,
    nodes: &[Node],
    opens: &Opens<'_>,
) -> Result<Graph, Box<Stopped>> {
    let mut resolver = Resolver::new(catalog, api);
    let mut traced = Traced {
        opens,
        pages: Vec::new(),
    };
    let (roots, members) = match resolver.graph_roots(nodes, &mut traced) {
        Ok(found) => found,
        Err(refusal) => return Err(Box::new(resolver.stopped(refusal))),
    };
    // Texts, places and details of an error quote the request or a record.
    let error = Shape::Object(vec![
        (
            "message".into(),
            Shape::Constant("\"the request was not accepted\"".into()),
        ),
        ("locations".into(), Shape::Constant("[]".into())),
        ("paths".into(), Shape::Constant("[]".into())),
    ]);
    let errors = Shape::Array {
        element: Box::new(error),
        rows: false,
    };
    Ok(Graph {
        uses: resolver.uses,
        objects: resolver.objects,
        written: resolver.written,
        bindings: resolver.bindings,
        followed: resolver.followed,
        shape: Shape::Object(vec![
            ("data".into(), Shape::Object(members)),
            ("errors".into(), errors),
        ]),
        roots,
        pages: traced.pages,
    })
}

/// What is listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Listed {
    Records,
    /// Groups of them: `uiapi { aggregate { … } }`.
    Groups,
}

impl Listed {
    /// What the names of its types have between the object's and their own.
    fn infix(self) -> &'static str {
        match self {
            Self::Records => "",
            Self::Groups => "Aggregate",
        }
    }
}

pub(super) fn plain(node: &Node, row: Option<&'static str>, children: Vec<Out>) -> Out {
    Out::Plain {
        key: node.key.clone(),
        name: node.name.clone(),
        row,
        extras: Vec::new(),
        children,
    }
}

/// `__typename` of a type: always this.
pub(super) fn type_name(
    node: &Node,
    name: &str,
    out: &mut Vec<Out>,
    members: &mut Members,
) -> bool {
    let is = &*node.name == "__typename" && node.children.is_empty() && node.arguments.is_empty();
    if is {
        out.push(plain(node, None, Vec::new()));
        members.push((
            node.key.clone(),
            Shape::Constant(format!("\"{name}\"").into()),
        ));
    }
    is
}

pub(super) fn not_supported(node: &Node) -> Refusal {
    match &*node.name {
        "__schema" | "__type" => closed("GraphQL introspection"),
        name => malformed(format!("the selection of {name} is not supported here")),
    }
}

pub(super) fn bare(node: &Node) -> bool {
    node.arguments.is_empty() && node.on.iter().all(|on| !on.is_empty())
}

impl Resolver<'_> {
    fn graph_roots(
        &mut self,
        nodes: &[Node],
        traced: &mut Traced<'_>,
    ) -> Result<(Vec<Out>, Members), Refusal> {
        let (mut roots, mut members) = (Vec::new(), Vec::new());
        for root in nodes {
            if type_name(root, "Query", &mut roots, &mut members) {
                continue;
            }
            if &*root.name != "uiapi" || !bare(root) || root.children.is_empty() {
                return Err(not_supported(root));
            }
            let (mut apis, mut shapes) = (Vec::new(), Vec::new());
            for api in &root.children {
                if type_name(api, "UIAPI", &mut apis, &mut shapes) {
                    continue;
                }
                let (listed, kind) = match &*api.name {
                    "objectInfos" => return Err(closed("objectInfos of GraphQL")),
                    "layout" => return Err(closed("Layouts of GraphQL")),
                    _ if !bare(api) || api.children.is_empty() => return Err(not_supported(api)),
                    "query" => (Listed::Records, "RecordQuery"),
                    "aggregate" => (Listed::Groups, "RecordQueryAggregate"),
                    _ => return Err(not_supported(api)),
                };
                let (mut queries, mut found) = (Vec::new(), Vec::new());
                for node in &api.children {
                    if type_name(node, kind, &mut queries, &mut found) {
                        continue;
                    }
                    let object =
                        self.catalog.object(self.api, &node.name).ok_or_else(|| {
                            match node.name.starts_with("__") {
                                true => not_supported(node),
                                false => Refusal::unknown_object(&node.name),
                            }
                        })?;
                    let name = self.catalog.get(object).name.clone();
                    let (out, shape) = self.graph_connection(node, object, name, listed, traced)?;
                    queries.push(out);
                    found.push((node.key.clone(), shape));
                }
                apis.push(plain(api, None, queries));
                shapes.push((api.key.clone(), Shape::Object(found)));
            }
            roots.push(plain(root, None, apis));
            members.push((root.key.clone(), Shape::Object(shapes)));
        }
        Ok((roots, members))
    }

    /// What is listed of `object`, which goes upstream as `name`.
    fn graph_connection(
        &mut self,
        node: &Node,
        object: ObjectId,
        name: Arc<str>,
        listed: Listed,
        traced: &mut Traced<'_>,
    ) -> Result<(Out, Shape), Refusal> {
        if traced.pages.len() >= CONNECTIONS_MAX {
            return Err(malformed("the query asks for too many lists of records"));
        }
        let part = u16::try_from(traced.pages.len()).unwrap_or(u16::MAX);
        traced.pages.push("".into());
        self.name_object(object, &node.name);
        // Even how many records there are is not told of an object of which nothing is read.
        self.uses.extend(looks_at(self.catalog, object, &node.name));
        let known = self.catalog.get(object).name.clone();
        let mut query = Query::plain(name.clone(), Vec::new());
        let mut after = None;
        for (argument, value) in &node.arguments {
            match (&**argument, value) {
                ("where" | "orderBy" | "after" | "first" | "scope", Arg::Null) => {}
                ("where", filter) => query.filter = filter_of(&[], filter)?,
                ("orderBy", order) => order_of(order, listed, &mut query.order)?,
                ("groupBy", Arg::Null) if listed == Listed::Groups => {}
                ("groupBy", group) if listed == Listed::Groups => {
                    query.group = aggregate::group_of(group)?;
                }
                ("first", Arg::Number(text)) => {
                    let first = text.parse().ok().filter(|n| (1..=FIRST_MAX).contains(n));
                    query.limit = Some(first.ok_or_else(|| malformed("first takes 1 to 2000"))?);
                }
                ("after", Arg::Text(text)) => after = Some(text),
                ("scope", Arg::Word(scope)) => {
                    query.using_scope = Some(scope.to_ascii_lowercase().into());
                }
                ("scope", Arg::Text(scope)) => {
                    query.using_scope = Some(scope.to_ascii_lowercase().into());
                }
                (argument, _) => {
                    return Err(malformed(format!(
                        "the argument {argument} is not supported"
                    )));
                }
            }
        }
        // Pages may be of any size.
        let first = query.limit.take();
        let text: Arc<str> = format!("graphql:{}{query}", listed.infix()).into();
        query.limit = first;
        let after = after
            .map(|segment| (traced.opens)(segment, &text))
            .transpose()?;
        traced.pages[usize::from(part)] = text;
        let level = Level {
            object,
            names: vec![known.clone()],
            alias: None,
            joins: Vec::new(),
        };
        self.clauses(&mut query, &level, false, listed == Listed::Groups)?;
        let (mut children, mut members) = (Vec::new(), Vec::new());
        let cursor = Shape::Link(Link::Part { part, child: None });
        if node.children.is_empty() {
            return Err(malformed("nothing is selected"));
        }
        for child in &node.children {
            if type_name(
                child,
                &format!("{known}{}Connection", listed.infix()),
                &mut children,
                &mut members,
            ) {
                continue;
            }
            let shape = match (&*child.name, child.children.is_empty()) {
                _ if !bare(child) => return Err(not_supported(child)),
                ("totalCount", true) => {
                    self.count_rows(&level)?;
                    Shape::Number
                }
                ("pageResultCount", true) => Shape::Number,
                ("pageInfo", false) => {
                    let (mut inner, mut shapes) = (Vec::new(), Vec::new());
                    for one in &child.children {
                        if type_name(one, "PageInfo", &mut inner, &mut shapes) {
                            continue;
                        }
                        let shape = match &*one.name {
                            _ if !bare(one) || !one.children.is_empty() => {
                                return Err(not_supported(one));
                            }
                            "hasNextPage" | "hasPreviousPage" => Shape::Boolean,
                            "startCursor" | "endCursor" => cursor.clone(),
                            _ => return Err(not_supported(one)),
                        };
                        inner.push(plain(one, None, Vec::new()));
                        shapes.push((one.key.clone(), shape));
                    }
                    children.push(plain(child, None, inner));
                    members.push((child.key.clone(), Shape::Object(shapes)));
                    continue;
                }
                ("edges", false) => {
                    let (mut inner, mut shapes) = (Vec::new(), Vec::new());
                    for one in &child.children {
                        let edge = format!("{known}{}Edge", listed.infix());
                        if type_name(one, &edge, &mut inner, &mut shapes) {
                            continue;
                        }
                        match (&*one.name, one.children.is_empty()) {
                            _ if !bare(one) => return Err(not_supported(one)),
                            ("cursor", true) => {
                                inner.push(plain(one, None, Vec::new()));
                                shapes.push((one.key.clone(), cursor.clone()));
                            }
                            ("node", false) if listed == Listed::Groups => {
                                let keys = query.group.as_ref().map_or(&[][..], |g| &g.keys);
                                let (out, found) = self.graph_group(&level, keys, one)?;
                                inner.push(out);
                                shapes.push((one.key.clone(), Shape::Object(found)));
                            }
                            ("node", false) => {
                                let mut record = self.record(&[object], Some(0), &[]);
                                let (out, found) =
                                    self.graph_record(&level, &[], object, &one.children, traced)?;
                                inner.push(Out::Plain {
                                    key: one.key.clone(),
                                    name: one.name.clone(),
                                    row: Some("Id"),
                                    extras: self.extras(record.scope),
                                    children: out,
                                });
                                (record.attributes, record.enveloped) = (false, true);
                                record.members = found;
                                shapes.push((one.key.clone(), Shape::Record(record)));
                            }
                            _ => return Err(not_supported(one)),
                        }
                    }
                    children.push(plain(child, None, inner));
                    members.push((child.key.clone(), rows(Shape::Object(shapes))));
                    continue;
                }
                _ => return Err(not_supported(child)),
            };
            children.push(plain(child, None, Vec::new()));
            members.push((child.key.clone(), shape));
        }
        let connection = Connection {
            key: node.key.clone(),
            name,
            query,
            after,
            children,
        };
        Ok((
            Out::Connection(Box::new(connection)),
            Shape::Object(members),
        ))
    }

    /// What is selected of the record of `object` that `prefix` leads to.
    fn graph_record(
        &mut self,
        level: &Level,
        prefix: &[Arc<str>],
        object: ObjectId,
        nodes: &[Node],
        traced: &mut Traced<'_>,
    ) -> Result<(Vec<Out>, Members), Refusal> {
        let (mut out, mut members) = (Vec::new(), Vec::new());
        for node in nodes {
            let known = self.catalog.get(object);
            let other = |on: &Arc<str>| **on != *known.name && &**on != "Record";
            if node.on.iter().any(other) {
                return Err(malformed(
                    "a type condition that is not the record's own type",
                ));
            }
            if type_name(node, &known.name, &mut out, &mut members) {
                continue;
            }
            let mut segments = prefix.to_vec();
            segments.push(node.name.clone());
            if let Some(field) = known.field(&node.name) {
                let (kind, name) = {
                    let field = &known.fields[field as usize];
                    (field.kind, field.name.clone())
                };
                let mut path = Path::of(segments);
                let (_, outputs) =
                    self.read_and_evaluate(level, &mut path, &[], Vec::new(), true)?;
                let outputs: Vec<usize> = outputs.collect();
                let scalar = kind == FieldType::Id;
                if !node.arguments.is_empty()
                    || scalar != node.children.is_empty()
                    || matches!(
                        kind,
                        FieldType::Compound | FieldType::Blob | FieldType::Other
                    )
                {
                    return Err(not_supported(node));
                }
                if scalar {
                    members.push((node.key.clone(), Shape::Value(outputs.clone())));
                    out.push(Out::Leaf {
                        key: node.key.clone(),
                        name,
                        outputs,
                    });
                    continue;
                }
                let (mut parts, mut shapes) = (Vec::new(), Vec::new());
                for part in &node.children {
                    if &*part.name == DISPLAYED && kind == FieldType::Reference {
                        part_of(part, VALUE, &outputs, &mut parts, &mut shapes)?;
                    } else {
                        part_of(part, &part.name, &outputs, &mut parts, &mut shapes)?;
                    }
                }
                members.push((node.key.clone(), Shape::Object(shapes)));
                out.push(Out::Plain {
                    key: node.key.clone(),
                    name,
                    row: None,
                    extras: Vec::new(),
                    children: parts,
                });
            } else if known.relationship(&node.name).is_some() {
                let written = segments.join(".");
                let steps = self.follow(level, &segments, &written)?;
                let Some(&[target]) = steps.last().map(|step| &*step.objects) else {
                    return Err(malformed(
                        "relationships to several objects are not supported",
                    ));
                };
                if !node.arguments.is_empty()
                    || node.children.is_empty()
                    || segments.len() > PARENTS_MAX
                {
                    return Err(not_supported(node));
                }
                let name = steps
                    .last()
                    .map_or(node.name.clone(), |step| step.key.clone());
                let mut record = self.record(&[target], Some(0), &steps);
                let (inner, found) =
                    self.graph_record(level, &segments, target, &node.children, traced)?;
                out.push(Out::Plain {
                    key: node.key.clone(),
                    name,
                    row: None,
                    extras: self.extras(record.scope),
                    children: inner,
                });
                (record.attributes, record.enveloped) = (false, true);
                record.members = found;
                members.push((node.key.clone(), Shape::Record(record)));
            } else if let Some(child) = known
                .children
                .get(node.name.to_ascii_lowercase().as_str())
                .filter(|c| c.object.is_some() && prefix.is_empty())
            {
                let (name, field) = (child.name.clone(), child.field.clone());
                let Some(object) = child.object else {
                    return Err(not_supported(node));
                };
                if self.depth >= CHILD_DEPTH_MAX {
                    return Err(malformed("child relationships are nested too deeply"));
                }
                if let Some(field) = self.catalog.get(object).field(&field) {
                    let reference = crate::engine::catalog::FieldRef { object, field };
                    self.touch(object);
                    let first = self.uses.len();
                    (self.followed.children).push((first, reference, node.name.clone()));
                }
                self.depth += 1;
                let (one, shape) =
                    self.graph_connection(node, object, name, Listed::Records, traced)?;
                self.depth -= 1;
                out.push(one);
                members.push((node.key.clone(), shape));
            } else if matches!(&*node.name, "ApiName" | "DisplayValue" | "WeakEtag") {
                return Err(not_supported(node));
            } else {
                // Where a list of records is asked for, a hidden relationship is answered as an object that is not there.
                let lists = |n: &Node| {
                    matches!(
                        &*n.name,
                        "edges" | "pageInfo" | "totalCount" | "pageResultCount"
                    )
                };
                if prefix.is_empty() && node.children.iter().any(lists) {
                    return Err(Refusal::unknown_object(&node.name));
                }
                let known = &self.catalog.get(level.object).name;
                return Err(Refusal::unknown_field(&segments.join("."), known));
            }
        }
        Ok((out, members))
    }

    /// What privet may ask for itself of the records of a scope.
    fn extras(&self, scope: usize) -> Vec<Extra> {
        let conditions = self.scopes.get(scope).map_or(&[][..], |s| &s.conditions);
        conditions
            .iter()
            .map(|(field, name)| Extra {
                scope,
                field: *field,
                name: name.clone(),
                scalar: self.catalog.field(*field).kind == FieldType::Id,
            })
            .collect()
    }
}

/// A filter; `None`: everything. Names are looked up later and in their order, so that a name that does not exist is
/// told where one that is hidden would be.
fn filter_of(prefix: &[Arc<str>], filter: &Arg) -> Result<Option<Condition>, Refusal> {
    let Arg::Object(members) = filter else {
        return Err(malformed("where takes an object"));
    };
    let empty = || malformed("a filter is empty");
    let mut all = Vec::new();
    for (name, value) in members {
        match (&**name, value) {
            (word @ ("and" | "or"), Arg::List(parts)) => {
                let mut inner = Vec::with_capacity(parts.len());
                for part in parts {
                    inner.push(filter_of(prefix, part)?.ok_or_else(empty)?);
                }
                all.push(match (inner.len(), word) {
                    (0, _) => return Err(empty()),
                    (1, _) => inner.remove(0),
                    (_, "and") => Condition::And(inner),
                    _ => Condition::Or(inner),
                });
            }
            ("not", part) => {
                let part = filter_of(prefix, part)?.ok_or_else(empty)?;
                all.push(Condition::Not(Box::new(part)));
            }
            ("and" | "or", _) => return Err(malformed("and and or take lists")),
            (_, Arg::Object(inner)) => {
                let segments = longer(prefix, name)?;
                let operator = |word: &str| OPERATORS.iter().find(|(w, _)| *w == word);
                if inner.is_empty() {
                    return Err(empty());
                }
                if inner.iter().all(|(word, _)| operator(word).is_some()) {
                    for (word, value) in inner {
                        if let Some((_, operator)) = operator(word) {
                            all.push(compare(&segments, *operator, value)?);
                        }
                    }
                } else {
                    all.extend(filter_of(&segments, value)?);
                }
            }
            _ => return Err(malformed("a field of a filter takes operators")),
        }
    }
    Ok(match all.len() {
        0 | 1 => all.pop(),
        _ => Some(Condition::And(all)),
    })
}

fn longer(prefix: &[Arc<str>], name: &Arc<str>) -> Result<Vec<Arc<str>>, Refusal> {
    if prefix.len() > PARENTS_MAX {
        return Err(malformed("a path of relationships is too long"));
    }
    if !is_name(name) {
        return Err(malformed("a field has no name"));
    }
    let mut segments = prefix.to_vec();
    segments.push(name.clone());
    Ok(segments)
}

/// `value` or `displayValue` of a field, asked for as `name`.
pub(super) fn part_of(
    part: &Node,
    name: &str,
    outputs: &[usize],
    out: &mut Vec<Out>,
    members: &mut Members,
) -> Result<(), Refusal> {
    if !matches!(name, VALUE | DISPLAYED) || !part.arguments.is_empty() || !part.children.is_empty()
    {
        return Err(not_supported(part));
    }
    out.push(Out::Leaf {
        key: part.key.clone(),
        name: name.into(),
        outputs: outputs.to_vec(),
    });
    members.push((part.key.clone(), Shape::Value(outputs.to_vec())));
    Ok(())
}

fn order_of(order: &Arg, listed: Listed, all: &mut Vec<Order>) -> Result<(), Refusal> {
    match order {
        Arg::List(parts) => parts
            .iter()
            .try_for_each(|part| orders_of(&[], part, listed, all)),
        order => orders_of(&[], order, listed, all),
    }
}

fn orders_of(
    prefix: &[Arc<str>],
    order: &Arg,
    listed: Listed,
    all: &mut Vec<Order>,
) -> Result<(), Refusal> {
    let bad = || malformed("orderBy takes order and nulls, of groups function too");
    let Arg::Object(members) = order else {
        return Err(bad());
    };
    for (name, value) in members {
        let segments = longer(prefix, name)?;
        let Arg::Object(clauses) = value else {
            return Err(bad());
        };
        if !clauses
            .iter()
            .all(|(c, _)| matches!(&**c, "order" | "nulls" | "function"))
        {
            orders_of(&segments, value, listed, all)?;
            continue;
        }
        let mut function = None;
        let mut one = Order {
            by: Expr::Path(Path::of(segments.clone())),
            ascending: None,
            nulls_first: None,
        };
        for (clause, value) in clauses {
            let word = match value {
                Arg::Word(word) => &**word,
                Arg::Text(word) => word.as_str(),
                Arg::Null => continue,
                _ => "",
            };
            match (&**clause, word) {
                ("order", "ASC") => one.ascending = Some(true),
                ("order", "DESC") => one.ascending = Some(false),
                ("nulls", "FIRST") => one.nulls_first = Some(true),
                ("nulls", "LAST") => one.nulls_first = Some(false),
                ("function", word) if listed == Listed::Groups => {
                    function = Some(aggregate::ordered_by(word).ok_or_else(bad)?);
                }
                _ => return Err(bad()),
            }
        }
        if let Some(function) = function {
            one.by = Expr::Call(aggregate::call(function, Path::of(segments)));
        }
        all.push(one);
    }
    Ok(())
}

fn compare(segments: &[Arc<str>], operator: Operator, value: &Arg) -> Result<Condition, Refusal> {
    let lists = matches!(
        operator,
        Operator::In | Operator::NotIn | Operator::Includes | Operator::Excludes
    );
    let right = match (lists, value) {
        (true, Arg::List(values)) if !values.is_empty() => Operand::List(
            values
                .iter()
                .map(|v| literal(v, false))
                .collect::<Result<_, _>>()?,
        ),
        (true, _) => return Err(malformed("in and nin take lists")),
        (false, value) => Operand::Value(literal(value, operator == Operator::Like)?),
    };
    Ok(Condition::Compare(Compare {
        left: Expr::Path(Path::of(segments.to_vec())),
        operator,
        right,
        span: Span::default(),
    }))
}

/// A value by its form alone: whether it fits its field would tell what a hidden field holds.
fn literal(value: &Arg, pattern: bool) -> Result<Value, Refusal> {
    let bad = || malformed("a filter has a value that can not be understood");
    Ok(match value {
        Arg::Null => Value::Null,
        Arg::Bool(value) => Value::Bool(*value),
        Arg::Number(text) if is_word_literal(text) => Value::Word(text.as_str().into()),
        Arg::Text(text) if pattern => Value::Pattern(text.clone()),
        Arg::Text(text) => Value::Text(text.clone()),
        Arg::Object(form) => match &**form {
            [(name, Arg::Text(text))] if &**name == "value" => {
                let starts = text.starts_with(|c: char| c.is_ascii_digit());
                match starts && is_word_literal(text) {
                    true => Value::Word(text.as_str().into()),
                    // A token may stand for a day.
                    false => Value::Text(text.clone()),
                }
            }
            [(name, Arg::Word(word))] if &**name == "literal" && is_word_literal(word) => {
                Value::Word((&**word).into())
            }
            [(name, Arg::Object(range))] if &**name == "range" => {
                let [(range, Arg::Number(n))] = &**range else {
                    return Err(bad());
                };
                let word = format!("{}:{n}", range.to_ascii_uppercase());
                match is_word_literal(&word) {
                    true => Value::Word(word.into()),
                    false => return Err(bad()),
                }
            }
            _ => return Err(bad()),
        },
        _ => return Err(bad()),
    })
}
