//! Search: SOSL, parameterised search, suggestions.
//!
//! A search looks into every field of its scope, so each of them must be one that the caller may search.

use std::sync::Arc;

use serde_json::{Value as Json, json};

use crate::engine::catalog::Catalog;
use crate::engine::protocol::json_body::{Node, NodeId, Tree};
use crate::engine::protocol::{Action, Literal, Operation, RecordShape, Resolved, Shape};
use crate::engine::refusal::{Reason, Refusal};

use super::Request;
use super::collections::array_at;
use super::forward::{Printer, Target, percent_encode};
use super::record::{bad_body, object_at, text_at};
use super::resolve::{Binding, Scope, check_term, malformed, resolve_search};
use super::route::is_name;
use super::sosl::ast::{Returning, Scope as Fields, Search, With};
use super::sosl::{self, SyntaxError};

/// From this version on the answer is an object; before it, a bare array.
const OBJECT_SINCE: u16 = 37;
/// Most objects of one search.
const OBJECTS_MAX: usize = 20;

/// A search as it goes upstream.
#[derive(Debug)]
pub(super) struct SearchTarget {
    way: Way,
    search: Box<Search>,
    bindings: Vec<Binding>,
    scopes: Vec<Scope>,
    /// What snippets and highlights show.
    marked: Option<Vec<usize>>,
}

/// How it was asked.
#[derive(Debug)]
enum Way {
    /// `search?q=`
    Sosl,
    /// `parameterizedSearch`
    Parameterized {
        q: Literal,
        default_limit: Option<u64>,
        offset: Option<u64>,
        spell_correction: Option<bool>,
    },
    /// `search/suggestions`
    Suggestions { q: Literal },
}

/// One parameterised search, as parameters or body say it.
#[derive(Default)]
struct Asked {
    q: Option<String>,
    scope: Option<String>,
    /// Fields of every object that names none of its own.
    fields: Vec<String>,
    objects: Vec<AskedObject>,
    overall_limit: Option<u64>,
    default_limit: Option<u64>,
    offset: Option<u64>,
    spell_correction: Option<bool>,
}

#[derive(Default)]
struct AskedObject {
    name: String,
    fields: Vec<String>,
    filter: Option<String>,
    order: Option<String>,
    limit: Option<u64>,
}

fn bad(message: impl Into<std::borrow::Cow<'static, str>>) -> Refusal {
    Refusal::new(Reason::BadRequest, message)
}

fn syntax(error: &SyntaxError) -> Refusal {
    malformed(error.to_string())
}

fn number(text: &str, what: &str) -> Result<u64, Refusal> {
    text.parse()
        .map_err(|_| bad(format!("{what} takes a whole number")))
}

fn boolean(text: &str, what: &str) -> Result<bool, Refusal> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(bad(format!("{what} takes true or false"))),
    }
}

fn names(list: &str) -> Vec<String> {
    list.split(',').map(|n| n.trim().to_owned()).collect()
}

/// What is known of parameterised search, and refused.
const CLOSED: [&str; 8] = [
    "dataCategories",
    "division",
    "filters",
    "netWorkIds",
    "pricebookId",
    "snippet",
    "updateTracking",
    "updateViewStat",
];

fn unknown(key: &str) -> Refusal {
    match CLOSED.iter().find(|c| c.eq_ignore_ascii_case(key)) {
        Some(closed) => bad(format!("{closed} is not supported in a search")),
        None => bad("unknown parameter of a search"),
    }
}

impl Asked {
    fn from_pairs(pairs: &[(String, String)]) -> Result<Self, Refusal> {
        let mut asked = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for (key, value) in pairs {
            let repeated = seen.contains(&key.as_str()) && key != "sobject";
            if repeated {
                return Err(bad("repeated query parameter"));
            }
            seen.push(key);
            if let Some((object, key)) = key.split_once('.') {
                let one = asked.object(object);
                match key {
                    "fields" => one.fields = names(value),
                    "where" => one.filter = Some(value.clone()),
                    "orderBy" => one.order = Some(value.clone()),
                    "limit" => one.limit = Some(number(value, "limit")?),
                    _ => return Err(bad("unknown parameter of a search")),
                }
                continue;
            }
            match key.as_str() {
                "q" => asked.q = Some(value.clone()),
                "in" => asked.scope = Some(value.clone()),
                "fields" => asked.fields = names(value),
                "sobject" => names(value).iter().for_each(|name| {
                    asked.object(name);
                }),
                "overallLimit" => asked.overall_limit = Some(number(value, "overallLimit")?),
                "defaultLimit" => asked.default_limit = Some(number(value, "defaultLimit")?),
                "offset" => asked.offset = Some(number(value, "offset")?),
                "spellCorrection" => {
                    asked.spell_correction = Some(boolean(value, "spellCorrection")?);
                }
                key => return Err(unknown(key)),
            }
        }
        Ok(asked)
    }

    fn object(&mut self, name: &str) -> &mut AskedObject {
        let at = self
            .objects
            .iter()
            .position(|o| o.name.eq_ignore_ascii_case(name))
            .unwrap_or_else(|| {
                self.objects.push(AskedObject {
                    name: name.to_owned(),
                    ..AskedObject::default()
                });
                self.objects.len() - 1
            });
        &mut self.objects[at]
    }

    fn from_body(tree: &Tree) -> Result<Self, Refusal> {
        let mut asked = Self::default();
        for (key, value) in object_at(tree, tree.root)? {
            let value = *value;
            match key.as_str() {
                "q" => asked.q = Some(text_at(tree, value)?.to_owned()),
                "in" => asked.scope = Some(text_at(tree, value)?.to_owned()),
                "fields" => asked.fields = texts_at(tree, value)?,
                "sobjects" => {
                    for object in array_at(tree, value)? {
                        asked.objects.push(object_from(tree, *object)?);
                    }
                }
                "overallLimit" | "overAllLimit" => {
                    asked.overall_limit = Some(number_at(tree, value)?);
                }
                "defaultLimit" => asked.default_limit = Some(number_at(tree, value)?),
                "offset" => asked.offset = Some(number_at(tree, value)?),
                "spellCorrection" => match tree.nodes.get(value) {
                    Some(Node::Bool(on)) => asked.spell_correction = Some(*on),
                    _ => return Err(bad_body("spellCorrection takes true or false")),
                },
                key => return Err(unknown(key)),
            }
        }
        Ok(asked)
    }

    /// As SOSL, without the way its term is spelt there.
    fn search(&self) -> Result<(String, Search), Refusal> {
        let q = self
            .q
            .clone()
            .filter(|q| !q.trim().is_empty())
            .ok_or_else(|| malformed("A search string has to be specified"))?;
        let scope = match &self.scope {
            None => Fields::All,
            Some(word) => Fields::WORDS
                .into_iter()
                .find(|(w, _)| w.eq_ignore_ascii_case(word))
                .map(|(_, scope)| scope)
                .ok_or_else(|| bad("in takes ALL, NAME, EMAIL, PHONE or SIDEBAR"))?,
        };
        if self.objects.len() > OBJECTS_MAX {
            return Err(bad("too many objects in one search"));
        }
        let mut returning = Vec::with_capacity(self.objects.len());
        for object in &self.objects {
            if !is_name(&object.name) {
                return Err(bad("sobjects takes names of objects"));
            }
            let fields = if object.fields.is_empty() {
                &self.fields
            } else {
                &object.fields
            };
            let items = if fields.is_empty() {
                Vec::new()
            } else {
                sosl::items(&fields.join(",")).map_err(|e| syntax(&e))?
            };
            let mut one = Returning::of(object.name.as_str().into(), items);
            if let Some(filter) = &object.filter {
                one.query.filter = Some(sosl::condition(filter).map_err(|e| syntax(&e))?);
            }
            if let Some(order) = &object.order {
                one.query.order = sosl::orders(order).map_err(|e| syntax(&e))?;
            }
            one.query.limit = object.limit;
            returning.push(one);
        }
        let term = sosl::parse_term(&q).map_err(|e| syntax(&e))?;
        let search = Search {
            term,
            scope,
            returning,
            with: Vec::new(),
            limit: self.overall_limit,
            updates: Vec::new(),
        };
        Ok((q, search))
    }
}

fn object_from(tree: &Tree, node: NodeId) -> Result<AskedObject, Refusal> {
    let mut one = AskedObject::default();
    for (key, value) in object_at(tree, node)? {
        let value = *value;
        match key.as_str() {
            "name" => one.name = text_at(tree, value)?.to_owned(),
            "fields" => one.fields = texts_at(tree, value)?,
            "where" => one.filter = Some(text_at(tree, value)?.to_owned()),
            "orderBy" => one.order = Some(text_at(tree, value)?.to_owned()),
            "limit" => one.limit = Some(number_at(tree, value)?),
            _ => return Err(bad_body("an object of a search has an unknown member")),
        }
    }
    Ok(one)
}

fn texts_at(tree: &Tree, node: NodeId) -> Result<Vec<String>, Refusal> {
    array_at(tree, node)?
        .iter()
        .map(|item| text_at(tree, *item).map(str::to_owned))
        .collect()
}

fn number_at(tree: &Tree, node: NodeId) -> Result<u64, Refusal> {
    match tree.nodes.get(node) {
        Some(Node::Number(text)) => number(text, "a limit"),
        _ => Err(bad_body("the request body must hold a number here")),
    }
}

impl Request<'_> {
    /// `search?q=`.
    pub(super) fn sosl(self, version: u16, text: &str) -> Result<Operation, Refusal> {
        let search = sosl::parse(text).map_err(|e| syntax(&e))?;
        self.searched(version, "search", search, Way::Sosl)
    }

    /// `parameterizedSearch`, by parameters or by a body.
    pub(super) fn parameterized(
        self,
        version: u16,
        pairs: &[(String, String)],
        tree: Option<&Tree>,
    ) -> Result<Operation, Refusal> {
        let asked = match tree {
            Some(tree) => Asked::from_body(tree)?,
            None => Asked::from_pairs(pairs)?,
        };
        let (q, search) = asked.search()?;
        let way = Way::Parameterized {
            q: Literal::Text(q),
            default_limit: asked.default_limit,
            offset: asked.offset,
            spell_correction: asked.spell_correction,
        };
        self.searched(version, "parameterized-search", search, way)
    }

    /// `search/suggestions`: names that begin as `q` does.
    pub(super) fn suggestions(
        self,
        version: u16,
        q: &str,
        object: &str,
        fields: Option<&str>,
        limit: Option<&str>,
    ) -> Result<Operation, Refusal> {
        if !is_name(object) {
            return Err(bad("sobject takes the name of one object"));
        }
        let name = self
            .catalog
            .object(&self.api.name, object)
            .map(|id| self.catalog.get(id))
            .and_then(|o| o.fields.iter().find(|f| f.name_field))
            .map(|f| f.name.to_string());
        let mut wanted = vec!["Id".to_owned()];
        wanted.extend(name);
        for field in fields.map(names).unwrap_or_default() {
            if !wanted.iter().any(|w| w.eq_ignore_ascii_case(&field)) {
                wanted.push(field);
            }
        }
        let mut one = Returning::of(
            object.into(),
            sosl::items(&wanted.join(",")).map_err(|e| syntax(&e))?,
        );
        one.query.limit = limit.map(|l| number(l, "limit")).transpose()?;
        let search = Search {
            term: sosl::parse_term(q).map_err(|e| syntax(&e))?,
            scope: Fields::Name,
            returning: vec![one],
            with: Vec::new(),
            limit: None,
            updates: Vec::new(),
        };
        let way = Way::Suggestions {
            q: Literal::Text(q.to_owned()),
        };
        self.searched(version, "search-suggestions", search, way)
    }

    fn searched(
        mut self,
        version: u16,
        endpoint: &str,
        search: Search,
        way: Way,
    ) -> Result<Operation, Refusal> {
        if let Way::Parameterized { q, .. } | Way::Suggestions { q } = &way
            && let Literal::Text(text) = q
        {
            // As one text, since the operators of a term may be none here.
            check_term(&sosl::ast::Term(vec![sosl::ast::Part::Phrase(
                text.chars().map(sosl::ast::Glyph::Literal).collect(),
            )]))?;
        }
        let found = match resolve_search(self.catalog, &self.api.name, search) {
            Ok(found) => found,
            Err(stopped) => return self.stopped(endpoint, *stopped),
        };
        let marked = found.marked.as_deref();
        let shape = answer(
            &way,
            version,
            &found.search,
            found.records,
            marked,
            self.catalog,
        );
        self.forward.version = version;
        self.forward.written = found.written;
        self.forward.followed = found.followed;
        self.forward.target = Target::Search(Box::new(SearchTarget {
            way,
            search: Box::new(found.search),
            bindings: found.bindings,
            scopes: found.scopes,
            marked: found.marked,
        }));
        let mut operation = self.operation(Action::Read, endpoint, shape);
        operation.uses = found.uses;
        operation.objects = found.objects;
        Ok(operation)
    }
}

/// The shape of a search's answer.
fn answer(
    way: &Way,
    version: u16,
    search: &Search,
    mut records: Vec<RecordShape>,
    marked: Option<&[usize]>,
    catalog: &Catalog,
) -> Shape {
    let labels = search
        .with
        .contains(&With::MetadataLabels)
        .then(|| labels(catalog, &records));
    if let Some(marked) = marked {
        let value = || Shape::Value(marked.to_vec());
        for record in &mut records {
            let whole = Shape::Object(vec![
                ("name".into(), Shape::Keep),
                ("value".into(), value()),
            ]);
            let snippet = Shape::Object(vec![
                ("text".into(), value()),
                (
                    "wholeFields".into(),
                    Shape::Array {
                        element: Box::new(whole),
                        rows: false,
                    },
                ),
            ]);
            record.members.push(("snippet".into(), snippet));
            let shown = record
                .members
                .iter()
                .filter(|(_, s)| matches!(s, Shape::Value(_)))
                .map(|(key, _)| (key.clone(), value()))
                .collect();
            record
                .members
                .push(("highlight".into(), Shape::Object(shown)));
        }
    }
    let rows = Shape::Array {
        element: Box::new(Shape::OneOf {
            records,
            others_dropped: false,
        }),
        rows: true,
    };
    match way {
        Way::Suggestions { .. } => Shape::Object(vec![
            ("autoSuggestResults".into(), rows),
            ("hasMoreResults".into(), Shape::Boolean),
        ]),
        _ if version < OBJECT_SINCE => rows,
        _ => {
            let mut members = vec![("searchRecords".into(), rows)];
            members.extend(labels.map(|labels| ("metadata".into(), labels)));
            Shape::Object(members)
        }
    }
}

/// `METADATA = 'LABELS'`: labels of the objects and fields that are returned.
fn labels(catalog: &Catalog, records: &[RecordShape]) -> Shape {
    let list = |element| Shape::Array {
        element: Box::new(element),
        rows: false,
    };
    let cases = records
        .iter()
        .flat_map(|record| record.objects.iter().map(move |object| (record, *object)))
        .map(|(record, object)| {
            let fields = record
                .members
                .iter()
                .map(|(key, _)| {
                    let entry = ["name", "label"].map(|k| (Arc::from(k), Shape::Keep));
                    (key.clone(), Shape::Object(entry.to_vec()))
                })
                .collect();
            let fields = Shape::ByName {
                member: "name".into(),
                cases: fields,
            };
            let entity = Shape::Object(vec![
                ("entityName".into(), Shape::Keep),
                ("fieldMetadata".into(), list(fields)),
            ]);
            (catalog.get(object).name.clone(), entity)
        })
        .collect();
    Shape::Object(vec![(
        "entityMetadata".into(),
        list(Shape::ByName {
            member: "entityName".into(),
            cases,
        }),
    )])
}

impl SearchTarget {
    pub(super) fn scopes(&self) -> usize {
        self.scopes.len()
    }

    /// Path and query, and the body of a POST.
    pub(super) fn print(
        &self,
        base: &str,
        resolved: &Resolved<'_>,
    ) -> Result<(String, Option<String>), Refusal> {
        let search = self.rewritten(resolved)?;
        match &self.way {
            Way::Sosl => {
                let mut path = format!("{base}/search?q=");
                percent_encode(&search.to_string(), &mut path);
                Ok((path, None))
            }
            Way::Parameterized {
                q,
                default_limit,
                offset,
                spell_correction,
            } => {
                let objects: Vec<Json> = search.returning.iter().map(object_json).collect();
                let mut body = json!({
                    "q": text_of(q),
                    "in": search.scope.text(),
                    "sobjects": objects,
                });
                let more = [
                    ("overallLimit", search.limit.map(Json::from)),
                    ("defaultLimit", default_limit.map(Json::from)),
                    ("offset", offset.map(Json::from)),
                    ("spellCorrection", spell_correction.map(Json::from)),
                ];
                for (key, value) in more {
                    if let Some(value) = value {
                        body[key] = value;
                    }
                }
                Ok((
                    format!("{base}/parameterizedSearch"),
                    Some(body.to_string()),
                ))
            }
            Way::Suggestions { q } => {
                let mut path = format!("{base}/search/suggestions?q=");
                percent_encode(text_of(q), &mut path);
                for one in &search.returning {
                    path.push_str("&sobject=");
                    percent_encode(&one.query.from.to_string(), &mut path);
                    path.push_str("&fields=");
                    percent_encode(&texts(&one.query.select).join(","), &mut path);
                    if let Some(limit) = one.query.limit {
                        path.push_str(&format!("&limit={limit}"));
                    }
                }
                Ok((path, None))
            }
        }
    }

    /// The search as SOSL.
    pub(super) fn text(&self, resolved: &Resolved<'_>) -> Result<String, Refusal> {
        Ok(self.rewritten(resolved)?.to_string())
    }

    fn rewritten(&self, resolved: &Resolved<'_>) -> Result<Search, Refusal> {
        let clear = |used: &usize| resolved.clear.get(*used).copied().unwrap_or(false);
        if self.marked.as_ref().is_some_and(|m| !m.iter().all(clear)) {
            return Err(Refusal::new(
                Reason::TreatedFieldEvaluated,
                "WITH SNIPPET and WITH HIGHLIGHT show every field that is searched: each of them must be read in clear",
            ));
        }
        let mut search = self.search.clone();
        let printer = Printer {
            bindings: &self.bindings,
            scopes: &self.scopes,
            resolved,
        };
        for one in &mut search.returning {
            printer.rewrite(&mut one.query, false)?;
            one.listed |= one.query.select.len() > 1;
        }
        Ok(*search)
    }
}

fn text_of(literal: &Literal) -> &str {
    match literal {
        Literal::Text(text) => text,
        Literal::Null | Literal::Other(_) => "",
    }
}

fn texts<T: std::fmt::Display>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn object_json(one: &Returning) -> Json {
    let query = &one.query;
    let mut object = json!({
        "name": query.from.to_string(),
        "fields": texts(&query.select),
    });
    let more = [
        ("where", query.filter.as_ref().map(|f| f.to_string().into())),
        (
            "orderBy",
            (!query.order.is_empty()).then(|| texts(&query.order).join(", ").into()),
        ),
        ("limit", query.limit.map(Json::from)),
    ];
    for (key, value) in more {
        if let Some(value) = value {
            object[key] = value;
        }
    }
    object
}
