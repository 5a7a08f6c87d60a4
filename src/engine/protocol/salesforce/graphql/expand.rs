//! A document and its variables → what is selected: fragments written out, directives carried out, variables put in.

use std::sync::Arc;

use crate::engine::protocol::json_body::{self, Tree};
use crate::engine::refusal::Refusal;

use super::super::resolve::malformed;
use super::parse::{Directive, Document, Operation, Selection, Value};

/// Most selections, fragments written out, and most parts of variables.
const NODES_MAX: usize = 2_000;
/// Deepest nesting, fragments written out.
const DEPTH_MAX: usize = 48;
/// How names of privet's own begin in what goes upstream.
pub(in super::super) const RESERVED: &str = "privet_";

/// What is selected.
#[derive(Debug)]
pub(in super::super) struct Node {
    /// Its key in the answer.
    pub(in super::super) key: Arc<str>,
    pub(in super::super) name: Arc<str>,
    /// The type conditions that it stands under, inside its parent.
    pub(in super::super) on: Vec<Arc<str>>,
    pub(in super::super) arguments: Vec<(Arc<str>, Arg)>,
    pub(in super::super) children: Vec<Node>,
}

/// A value without variables. `Debug` does not show it.
#[derive(Clone, PartialEq)]
pub(in super::super) enum Arg {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    Word(Arc<str>),
    List(Vec<Arg>),
    Object(Vec<(Arc<str>, Arg)>),
}

impl std::fmt::Debug for Arg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Arg(***)")
    }
}

struct Expander<'d> {
    document: &'d Document,
    operation: &'d Operation,
    variables: Option<(&'d Tree, json_body::NodeId)>,
    count: usize,
    /// Fragments that are being written out.
    open: Vec<Arc<str>>,
}

/// Writes out the operation of `document` that `name` names.
///
/// # Errors
/// A mistake in the document, or what no proxy carries out.
pub(super) fn expand(
    document: &Document,
    name: Option<&str>,
    variables: Option<(&Tree, json_body::NodeId)>,
) -> Result<Vec<Node>, Refusal> {
    let operation = match (name, &*document.operations) {
        (None, [only]) => only,
        (None, _) => {
            return Err(malformed(
                "operationName is needed: there are several operations",
            ));
        }
        (Some(name), all) => {
            let mut named = all.iter().filter(|o| o.name.as_deref() == Some(name));
            match (named.next(), named.next()) {
                (Some(one), None) => one,
                _ => return Err(malformed("operationName names none of the operations")),
            }
        }
    };
    if &*operation.kind != "query" {
        return Err(super::closed(match &*operation.kind {
            "mutation" => "A GraphQL mutation",
            _ => "A GraphQL subscription",
        }));
    }
    let mut expander = Expander {
        document,
        operation,
        variables,
        count: 0,
        open: Vec::new(),
    };
    let mut nodes = Vec::new();
    expander.selections(&operation.selections, &[], 0, &mut nodes)?;
    Ok(nodes)
}

impl Expander<'_> {
    fn count(&mut self, depth: usize) -> Result<(), Refusal> {
        self.count += 1;
        if self.count > NODES_MAX || depth > DEPTH_MAX {
            return Err(malformed("the query is too large"));
        }
        Ok(())
    }

    fn selections(
        &mut self,
        selections: &[Selection],
        on: &[Arc<str>],
        depth: usize,
        out: &mut Vec<Node>,
    ) -> Result<(), Refusal> {
        for selection in selections {
            self.count(depth)?;
            let document = self.document;
            match selection {
                Selection::Field(field) => {
                    if !self.included(&field.directives)? {
                        continue;
                    }
                    let key = field.alias.as_ref().unwrap_or(&field.name);
                    if key
                        .get(..RESERVED.len())
                        .is_some_and(|k| k.eq_ignore_ascii_case(RESERVED))
                        || field.alias.as_ref().is_some_and(|a| a.starts_with("__"))
                    {
                        return Err(malformed(format!("the alias {key} is reserved")));
                    }
                    let mut arguments = Vec::with_capacity(field.arguments.len());
                    for (name, value) in &field.arguments {
                        if let Some(value) = self.value(value)? {
                            arguments.push((name.clone(), value));
                        }
                    }
                    // Keys that some readers take for one would let one field's value pass as another's.
                    let same = out.iter().position(|n| n.key.eq_ignore_ascii_case(key));
                    let at = match same {
                        Some(at) => {
                            let other = &out[at];
                            let equal = other.key == *key
                                && other.name == field.name
                                && other.arguments == arguments
                                && other.children.is_empty() == field.selections.is_empty();
                            if !equal {
                                return Err(malformed(format!("the fields {key} conflict")));
                            }
                            at
                        }
                        None => {
                            out.push(Node {
                                key: key.clone(),
                                name: field.name.clone(),
                                on: Vec::new(),
                                arguments,
                                children: Vec::new(),
                            });
                            out.len() - 1
                        }
                    };
                    out[at].on.extend_from_slice(on);
                    let mut children = std::mem::take(&mut out[at].children);
                    self.selections(&field.selections, &[], depth + 1, &mut children)?;
                    if children.is_empty() && !field.selections.is_empty() {
                        return Err(malformed("nothing is selected"));
                    }
                    out[at].children = children;
                }
                Selection::Spread(name, directives) => {
                    if !self.included(directives)? {
                        continue;
                    }
                    let fragment = document
                        .fragments
                        .iter()
                        .find(|f| f.name == *name)
                        .ok_or_else(|| malformed(format!("there is no fragment {name}")))?;
                    if self.open.contains(name) {
                        return Err(malformed(format!("the fragment {name} holds itself")));
                    }
                    self.open.push(name.clone());
                    let on = [on, std::slice::from_ref(&fragment.on)].concat();
                    self.selections(&fragment.selections, &on, depth + 1, out)?;
                    self.open.pop();
                }
                Selection::Inline(kind, directives, inner) => {
                    if !self.included(directives)? {
                        continue;
                    }
                    let mut on = on.to_vec();
                    on.extend(kind.clone());
                    self.selections(inner, &on, depth + 1, out)?;
                }
            }
        }
        Ok(())
    }

    fn included(&mut self, directives: &[Directive]) -> Result<bool, Refusal> {
        let mut included = true;
        for directive in directives {
            let wanted = match &*directive.name {
                "include" => true,
                "skip" => false,
                // The CRM leaves out what its user may not see; what the caller may not see is left out anyway.
                "optional" if directive.arguments.is_empty() => continue,
                name => return Err(malformed(format!("the directive @{name} is not supported"))),
            };
            let [(name, value)] = &*directive.arguments else {
                return Err(malformed("@include and @skip take if"));
            };
            match self.value(value)? {
                Some(Arg::Bool(value)) if &**name == "if" => included &= value == wanted,
                _ => return Err(malformed("@include and @skip take if: true or false")),
            }
        }
        Ok(included)
    }

    /// `None`: a variable that has no value.
    fn value(&mut self, value: &Value) -> Result<Option<Arg>, Refusal> {
        self.count(0)?;
        Ok(Some(match value {
            Value::Variable(name) => return self.variable(name),
            Value::Number(text) => Arg::Number(text.clone()),
            Value::Text(text) => Arg::Text(text.clone()),
            Value::Bool(value) => Arg::Bool(*value),
            Value::Null => Arg::Null,
            Value::Word(word) => Arg::Word(word.clone()),
            Value::List(values) => {
                let mut all = Vec::with_capacity(values.len());
                for value in values {
                    all.push(self.value(value)?.unwrap_or(Arg::Null));
                }
                Arg::List(all)
            }
            Value::Object(pairs) => {
                let mut all = Vec::with_capacity(pairs.len());
                for (name, value) in pairs {
                    if let Some(value) = self.value(value)? {
                        all.push((name.clone(), value));
                    }
                }
                Arg::Object(all)
            }
        }))
    }

    fn variable(&mut self, name: &str) -> Result<Option<Arg>, Refusal> {
        let operation = self.operation;
        let declared = operation
            .variables
            .iter()
            .find(|v| &*v.name == name)
            .ok_or_else(|| malformed(format!("the variable ${name} is not declared")))?;
        let given = self
            .variables
            .and_then(|(tree, at)| Some((tree, tree.member(at, name)?)));
        let value = match (given, &declared.default) {
            (Some((tree, at)), _) => Some(self.given(tree, at, 0)?),
            // A default is a constant.
            (None, Some(Value::Variable(_))) => {
                return Err(malformed("a default names a variable"));
            }
            (None, Some(default)) => {
                if has_variable(default) {
                    return Err(malformed("a default names a variable"));
                }
                self.value(default)?
            }
            (None, None) => None,
        };
        if declared.required && matches!(value, None | Some(Arg::Null)) {
            return Err(malformed(format!("the variable ${name} needs a value")));
        }
        Ok(value)
    }

    fn given(&mut self, tree: &Tree, at: json_body::NodeId, depth: usize) -> Result<Arg, Refusal> {
        use json_body::Node as Json;
        self.count(depth)?;
        Ok(match tree.nodes.get(at) {
            None | Some(Json::Null) => Arg::Null,
            Some(Json::Bool(value)) => Arg::Bool(*value),
            Some(Json::Number(text)) => Arg::Number(text.clone()),
            Some(Json::Text(text)) => Arg::Text(text.clone()),
            Some(Json::Array(items)) => Arg::List(
                items
                    .iter()
                    .map(|item| self.given(tree, *item, depth + 1))
                    .collect::<Result<_, _>>()?,
            ),
            Some(Json::Object(members)) => Arg::Object(
                members
                    .iter()
                    .map(|(name, item)| {
                        Ok((name.as_str().into(), self.given(tree, *item, depth + 1)?))
                    })
                    .collect::<Result<_, Refusal>>()?,
            ),
        })
    }
}

fn has_variable(value: &Value) -> bool {
    match value {
        Value::Variable(_) => true,
        Value::List(all) => all.iter().any(has_variable),
        Value::Object(all) => all.iter().any(|(_, v)| has_variable(v)),
        _ => false,
    }
}
