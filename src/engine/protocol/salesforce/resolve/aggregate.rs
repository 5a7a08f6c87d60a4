//! Groups of GraphQL, `uiapi { aggregate { … } }`, traced as the aggregate query that asks the same (GraphQL API
//! Developer Guide, "Aggregate Schema", "Group By Schema", "Order By Schema").
//!
//! Open are fields of the object itself and plain groups; functions of dates, subtotals and parents are not.

use std::sync::Arc;

use crate::engine::catalog::FieldType;
use crate::engine::protocol::Shape;
use crate::engine::refusal::Refusal;

use super::super::graphql::{Arg, DISPLAYED, Node, Out, VALUE};
use super::super::route::is_name;
use super::super::soql::ast::{Argument, Call, Expr, Function, Group, GroupKind, Path, Span};
use super::graph::{Members, bare, not_supported, part_of, plain, type_name};
use super::{Level, Resolver, malformed};

/// What a row of groups asks for where nothing else is left of it.
const ROW: &str = "Id{count{value}}";

/// Functions of a selected field.
const FUNCTIONS: [(&str, Function); 6] = [
    ("avg", Function::Avg),
    ("count", Function::Count),
    ("countDistinct", Function::CountDistinct),
    ("max", Function::Max),
    ("min", Function::Min),
    ("sum", Function::Sum),
];

/// The function of an entry of `orderBy`.
pub(super) fn ordered_by(word: &str) -> Option<Function> {
    let mut functions = FUNCTIONS.iter().map(|(_, function)| *function);
    functions.find(|function| function.text() == word)
}

/// `FUNCTION(path)`
pub(super) fn call(function: Function, path: Path) -> Call {
    Call {
        function,
        arguments: vec![Argument::Expr(Expr::Path(path))],
        span: Span::default(),
    }
}

/// `groupBy: {Industry: {group: true}}`; `None`: no groups.
///
/// # Errors
/// Subtotals, functions, parents, and what is no group.
pub(super) fn group_of(group: &Arg) -> Result<Option<Group>, Refusal> {
    let bad = || malformed("groupBy takes fields of the object itself with group: true");
    let Arg::Object(members) = group else {
        return Err(bad());
    };
    let mut keys = Vec::with_capacity(members.len());
    for (name, clause) in members {
        match (&**name, clause) {
            ("type", Arg::Word(word)) if &**word == "GROUP_BY" => {}
            ("type", Arg::Word(_)) => {
                return Err(malformed("ROLLUP and CUBE of groupBy are not supported"));
            }
            (_, Arg::Object(clauses)) if is_name(name) => match &**clauses {
                [(word, Arg::Bool(grouped))] if &**word == "group" => {
                    if *grouped {
                        keys.push(Expr::Path(Path::of(vec![name.clone()])));
                    }
                }
                _ => return Err(bad()),
            },
            _ => return Err(bad()),
        }
    }
    Ok((!keys.is_empty()).then_some(Group {
        kind: GroupKind::Plain,
        keys,
    }))
}

impl Resolver<'_> {
    /// `node { aggregate { … } }` of one group; `keys`: what is grouped by.
    pub(super) fn graph_group(
        &mut self,
        level: &Level,
        keys: &[Expr],
        node: &Node,
    ) -> Result<(Out, Members), Refusal> {
        let known = self.catalog.get(level.object).name.clone();
        let (mut out, mut members) = (Vec::new(), Vec::new());
        for part in &node.children {
            if type_name(part, &format!("{known}Result"), &mut out, &mut members) {
                continue;
            }
            if &*part.name != "aggregate" || !bare(part) || part.children.is_empty() {
                return Err(not_supported(part));
            }
            let (mut inner, mut found) = (Vec::new(), Vec::new());
            let kind = format!("{known}Aggregate");
            for field in &part.children {
                if field.on.iter().any(|on| **on != *kind) {
                    return Err(malformed(
                        "a type condition that is not the record's own type",
                    ));
                }
                if !type_name(field, &kind, &mut inner, &mut found) {
                    self.graph_grouped(level, keys, field, &mut inner, &mut found)?;
                }
            }
            out.push(plain(part, Some(ROW), inner));
            members.push((part.key.clone(), Shape::Object(found)));
        }
        Ok((plain(node, None, out), members))
    }

    /// A field of a group: its value, where it is grouped by, and what functions make of it.
    fn graph_grouped(
        &mut self,
        level: &Level,
        keys: &[Expr],
        node: &Node,
        out: &mut Vec<Out>,
        members: &mut Members,
    ) -> Result<(), Refusal> {
        let known = self.catalog.get(level.object);
        let at = (known.field(&node.name))
            .ok_or_else(|| Refusal::unknown_field(&node.name, &known.name))?;
        let field = &known.fields[at as usize];
        let (kind, name) = (field.kind, field.name.clone());
        let path = || Path::of(vec![node.name.clone()]);
        let mut shown: Option<Vec<usize>> = None;
        let (mut parts, mut shapes): (Vec<Out>, Members) = (Vec::new(), Vec::new());
        for part in &node.children {
            if matches!(&*part.name, VALUE | DISPLAYED) {
                if shown.is_none() {
                    let (_, outputs) =
                        self.read_and_evaluate(level, &mut path(), &[], Vec::new(), true)?;
                    shown = Some(outputs.collect());
                }
                let grouped = |key: &Expr| matches!(key, Expr::Path(k) if is_same(k, &name));
                if !keys.iter().any(grouped) {
                    return Err(malformed(format!(
                        "the field must be grouped or aggregated: {}",
                        node.name
                    )));
                }
                let outputs = shown.as_deref().unwrap_or_default();
                part_of(part, &part.name, outputs, &mut parts, &mut shapes)?;
                continue;
            }
            let function = FUNCTIONS.iter().find(|(word, _)| *word == &*part.name);
            let Some((_, function)) = function else {
                return Err(not_supported(part));
            };
            let outputs = self.aggregate_call(level, &mut call(*function, path()))?;
            if !bare(part) || part.children.is_empty() {
                return Err(not_supported(part));
            }
            let (mut values, mut found) = (Vec::new(), Vec::new());
            for value in &part.children {
                part_of(value, &value.name, &outputs, &mut values, &mut found)?;
            }
            parts.push(plain(part, None, values));
            shapes.push((part.key.clone(), Shape::Object(found)));
        }
        if !node.arguments.is_empty()
            || node.children.is_empty()
            || matches!(
                kind,
                FieldType::Compound | FieldType::Blob | FieldType::Other
            )
        {
            return Err(not_supported(node));
        }
        out.push(Out::Plain {
            key: node.key.clone(),
            name,
            row: None,
            extras: Vec::new(),
            children: parts,
        });
        members.push((node.key.clone(), Shape::Object(shapes)));
        Ok(())
    }
}

fn is_same(key: &Path, name: &Arc<str>) -> bool {
    matches!(&*key.segments, [only] if only.eq_ignore_ascii_case(name))
}
