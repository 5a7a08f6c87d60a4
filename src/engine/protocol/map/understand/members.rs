//! The members of a request body: each one is named by the map, or the request is refused.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::catalog::{FieldRef, ObjectId};
use crate::engine::path::Path;
use crate::engine::protocol::{Action, Comparison, Literal, Use};
use crate::engine::refusal::{Reason, Refusal};

use super::super::forward::Place;
use super::super::{Fields, Filters, KeyPart, Outputs, Requirement, Route, Writes};
use super::{Reading, malformed, shown};
use crate::engine::protocol::json_body::{Node, NodeId};

/// Functions whose result is a number of rows or of distinct values: a deterministic token already shows it, and
/// the number itself holds nothing of the field.
const COUNTS: [&str; 3] = ["COUNT", "COUNTD", "COUNT_DISTINCT"];
/// Most outputs that one request may declare.
const OUTPUTS_MAX: usize = 1_000;

impl Reading<'_> {
    pub(super) fn body(&mut self, route: &Route<Fields, ObjectId>) -> Result<(), Refusal> {
        let (Some(rules), Some(root)) = (&route.body, self.root()) else {
            return Ok(());
        };
        for requirement in &rules.require {
            if !self.require(root, requirement)? {
                return Err(Refusal::new(
                    Reason::MalformedQuery,
                    format!(
                        "The member '{}' has a value that is not supported",
                        requirement.path.join(".")
                    ),
                ));
            }
        }
        if let Some(outputs) = &rules.outputs {
            self.outputs(root, outputs)?;
        }
        if let Some(filters) = &rules.filters {
            self.filters(root, filters)?;
        }
        if let Some(writes) = &rules.writes {
            self.writes(root, writes)?;
        }
        self.ignore(root, &rules.ignore);
        self.all_named(root, &mut String::new())
    }

    fn ignore(&mut self, from: NodeId, paths: &[Path]) {
        for path in paths {
            for node in self.select(from, path) {
                self.claimed[node] = true;
            }
        }
    }

    /// Whether a requirement holds. An absent member is set to the first value that the map lists, so that a
    /// default of the upstream never decides.
    fn require(&mut self, from: NodeId, requirement: &Requirement) -> Result<bool, Refusal> {
        if let Some(node) = self.at(from, &requirement.path) {
            self.claimed[node] = true;
            return match self.node(node) {
                Some(found) if !found.is_container() => Ok(requirement.values.contains(found)),
                _ => Ok(false),
            };
        }
        let Some(first) = requirement.values.first() else {
            return Ok(false);
        };
        let Some(tree) = &mut self.tree else {
            return Ok(false);
        };
        let mut node = from;
        for (depth, name) in requirement.path.iter().enumerate() {
            if let Some(next) = tree.member(node, name) {
                node = next;
                continue;
            }
            let last = depth + 1 == requirement.path.len();
            tree.nodes.push(if last {
                first.clone()
            } else {
                Node::Object(Vec::new())
            });
            self.passed.push(true);
            self.claimed.push(last);
            let new = tree.nodes.len() - 1;
            match tree.nodes.get_mut(node) {
                Some(Node::Object(members)) => members.push((name.to_string(), new)),
                _ => {
                    return Err(malformed(format!(
                        "The member '{}' can not stand there",
                        requirement.path.join(".")
                    )));
                }
            }
            node = new;
        }
        Ok(true)
    }

    fn outputs(&mut self, root: NodeId, rules: &Outputs) -> Result<(), Refusal> {
        struct Element {
            node: NodeId,
            written: Arc<str>,
            field: FieldRef,
            function: Option<String>,
            sorted: bool,
            keys: Vec<String>,
        }
        let mut elements = Vec::new();
        for node in self.select(root, &rules.each) {
            if !matches!(self.node(node), Some(Node::Object(_))) {
                return Err(malformed("An output must be an object"));
            }
            let written = self.text_at(node, &rules.field)?.ok_or_else(|| {
                Refusal::new(
                    Reason::MalformedQuery,
                    format!(
                        "An output without '{}' is not supported",
                        rules.field.join(".")
                    ),
                )
            })?;
            let field = self.field(&written)?;
            let function = match &rules.function {
                Some(names) => self.text_at(node, names)?,
                None => None,
            };
            if let Some(function) = &function
                && (function.is_empty()
                    || function.len() > 64
                    || !function
                        .bytes()
                        .all(|b| b.is_ascii_alphanumeric() || b == b'_'))
            {
                return Err(Refusal::new(
                    Reason::MalformedQuery,
                    "A function is not understood",
                ));
            }
            let sorted = match &rules.sort {
                Some(names) => match self.at(node, names) {
                    Some(sort) if self.node(sort).is_some_and(|n| !n.is_container()) => {
                        self.claimed[sort] = true;
                        true
                    }
                    Some(_) => return Err(malformed("A sort priority must be a number")),
                    None => false,
                },
                None => false,
            };
            let mut keys = Vec::new();
            for template in &rules.key {
                if let Some(key) = self.key(node, template)? {
                    keys.push(key);
                }
            }
            self.ignore(node, &rules.ignore);
            elements.push(Element {
                node,
                written: written.as_str().into(),
                field,
                function,
                sorted,
                keys,
            });
        }
        if elements.is_empty() {
            return Err(malformed("The request names no output"));
        }
        if elements.len() > OUTPUTS_MAX {
            return Err(Refusal::new(
                Reason::MalformedQuery,
                "The request names too many outputs",
            ));
        }
        let ambiguous = || {
            Refusal::new(
                Reason::MalformedQuery,
                "Two outputs would have the same key in the answer",
            )
        };
        // Keys of answers compare without regard to case, so they must differ by more than that. A key may also
        // not be what another output would be called, had it no alias: were the alias not honoured, one field
        // would be treated as another.
        let mut chosen: HashMap<String, usize> = HashMap::new();
        for (i, element) in elements.iter().enumerate() {
            let key = element
                .keys
                .first()
                .ok_or_else(|| malformed("An output has no key in the answer"))?;
            if chosen.insert(key.to_lowercase(), i).is_some() {
                return Err(ambiguous());
            }
        }
        for (i, element) in elements.iter().enumerate() {
            for key in &element.keys {
                if let Some(&other) = chosen.get(&key.to_lowercase())
                    && other != i
                    && elements[other].field != element.field
                {
                    return Err(ambiguous());
                }
            }
        }
        // Beside an aggregate, every plain output is what the rows are grouped by.
        let grouped = elements.iter().any(|e| e.function.is_some());
        for element in elements {
            let used = |action, comparison, named| Use {
                field: element.field,
                action,
                written: element.written.clone(),
                comparison,
                values: Vec::new(),
                named,
            };
            let mut sources = Vec::new();
            match &element.function {
                Some(function) => {
                    let counts = COUNTS.contains(&function.as_str());
                    let comparison = if counts {
                        Comparison::Identity
                    } else {
                        Comparison::Other
                    };
                    self.used(used(Action::Aggregate, comparison, false));
                    if !counts {
                        sources.push(self.used(used(Action::Read, Comparison::Other, true)));
                    }
                }
                None => {
                    if grouped {
                        self.used(used(Action::Group, Comparison::Identity, false));
                    }
                    sources.push(self.used(used(Action::Read, Comparison::Other, true)));
                }
            }
            if element.sorted {
                self.used(used(Action::Sort, Comparison::Other, false));
            }
            self.droppable.push((sources.clone(), element.node));
            if let Some(key) = element.keys.into_iter().next() {
                self.keys.push((key.into(), sources));
            }
        }
        Ok(())
    }

    /// The key by `template`, if the element has every member that it needs.
    fn key(&mut self, node: NodeId, template: &[KeyPart]) -> Result<Option<String>, Refusal> {
        let mut key = String::new();
        let mut complete = true;
        for part in template {
            match part {
                KeyPart::Text(text) => key.push_str(text),
                KeyPart::Member(name) => match self.text_at(node, std::slice::from_ref(name))? {
                    Some(text) => key.push_str(&text),
                    None => complete = false,
                },
            }
        }
        if complete && (key.is_empty() || key.len() > 256 || key.chars().any(char::is_control)) {
            return Err(malformed(
                "A key of the answer is empty, too long or not text",
            ));
        }
        Ok(complete.then_some(key))
    }

    fn filters(&mut self, root: NodeId, rules: &Filters) -> Result<(), Refusal> {
        for node in self.select(root, &rules.each) {
            if !matches!(self.node(node), Some(Node::Object(_))) {
                return Err(malformed("A filter must be an object"));
            }
            let written = self.text_at(node, &rules.field)?.ok_or_else(|| {
                Refusal::new(
                    Reason::MalformedQuery,
                    format!(
                        "A filter without '{}' is not supported",
                        rules.field.join(".")
                    ),
                )
            })?;
            let field = self.field(&written)?;
            let mut met = true;
            for requirement in &rules.require {
                met &= self.require(node, requirement)?;
            }
            let mut values = Vec::new();
            let mut places = Vec::new();
            for value in self.select(node, &rules.equals) {
                self.claimed[value] = true;
                values.push(self.literal(value)?);
                places.push(Place::Body(value));
            }
            self.ignore(node, &rules.ignore);
            // Without the required form it is some other comparison, which tokens cannot answer.
            let equality = met && !values.is_empty();
            let index = self.used(Use {
                field,
                action: Action::Filter,
                written: written.as_str().into(),
                comparison: if equality {
                    Comparison::Equality
                } else {
                    Comparison::Other
                },
                values: if equality { values } else { Vec::new() },
                named: false,
            });
            if equality {
                self.slot(index, field, places);
            }
        }
        Ok(())
    }

    fn writes(&mut self, root: NodeId, rules: &Writes<Fields>) -> Result<(), Refusal> {
        let mut written_any = false;
        for record in self.select(root, &rules.records) {
            if !matches!(self.node(record), Some(Node::Object(_))) {
                return Err(malformed("A record must be an object"));
            }
            for (field, path) in &rules.fields {
                let field = self.bound(field);
                for value in self.select(record, path) {
                    self.claimed[value] = true;
                    let literal = self.literal(value)?;
                    let index = self.used(Use {
                        field,
                        action: Action::Write,
                        written: self.catalog.field(field).name.clone(),
                        comparison: Comparison::Equality,
                        values: vec![literal],
                        named: false,
                    });
                    self.slot(index, field, vec![Place::Body(value)]);
                    written_any = true;
                }
            }
        }
        if written_any {
            Ok(())
        } else {
            // Without a member to write there would be nothing to decide on.
            Err(malformed("The request writes nothing"))
        }
    }

    fn literal(&self, node: NodeId) -> Result<Literal, Refusal> {
        Ok(match self.node(node) {
            Some(Node::Null) => Literal::Null,
            Some(Node::Text(text)) => Literal::Text(text.clone()),
            Some(Node::Number(text)) => Literal::Other(text.clone()),
            Some(Node::Bool(b)) => Literal::Other(b.to_string()),
            _ => {
                return Err(malformed(
                    "A value must be a string, number, boolean or null",
                ));
            }
        })
    }

    /// Every member of the body is named by the map; `at` is the path so far.
    fn all_named(&self, node: NodeId, at: &mut String) -> Result<(), Refusal> {
        if self.claimed[node] {
            return Ok(());
        }
        let unnamed = |at: &str| {
            Refusal::new(
                Reason::MalformedQuery,
                format!(
                    "The member '{}' of the request body is not supported",
                    shown(at)
                ),
            )
        };
        if !self.passed[node] {
            return Err(unnamed(at));
        }
        let length = at.len();
        match self.node(node) {
            Some(Node::Object(members)) => {
                for (key, value) in members {
                    if length > 0 {
                        at.push('.');
                    }
                    at.push_str(key);
                    self.all_named(*value, at)?;
                    at.truncate(length);
                }
                Ok(())
            }
            Some(Node::Array(items)) => {
                for item in items {
                    at.push_str("[]");
                    self.all_named(*item, at)?;
                    at.truncate(length);
                }
                Ok(())
            }
            _ => Err(unnamed(at)),
        }
    }
}
