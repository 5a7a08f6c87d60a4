//! `PRIVET_SECTION__KEY=value` laid over the file's tree, before it is checked: a misspelt override is found by the
//! same checks as a misspelt key.

use crate::diagnostic::{Diagnostic, nearest};
use crate::yaml::{self, At, Node, Place, Value};

/// What every override begins with.
const PREFIX: &str = "PRIVET_";

/// Lays the overrides of `variables` over `root`. `sections`: the keys of the top level.
///
/// A name without `__` counts only if it is, or nearly is, a key of the top level: Kubernetes sets
/// `PRIVET_SERVICE_HOST` and its like for a service named privet.
pub(super) fn apply(
    root: &mut Node,
    variables: &[(String, String)],
    sections: &[&str],
    problems: &mut Vec<Diagnostic>,
) {
    for (index, (name, value)) in variables.iter().enumerate() {
        let Some(rest) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let path: Vec<String> = rest.split("__").map(str::to_ascii_lowercase).collect();
        let meant_for_us = path.len() > 1
            || path.iter().all(|p| {
                sections.contains(&&**p) || nearest(p, sections.iter().copied()).is_some()
            });
        if !meant_for_us {
            continue;
        }
        let place = variable(index);
        let outcome = if path.iter().any(String::is_empty) {
            Err("an empty key between underscores".to_owned())
        } else {
            node_of(name, value, place).and_then(|node| put(root, &path, node, place))
        };
        if let Err(message) = outcome {
            let position = place.position(&name.as_str().into());
            problems.push(Diagnostic::error("override", Some(position), message));
        }
    }
}

/// The place of what came from the variable `index`.
fn variable(index: usize) -> Place {
    Place {
        width: 1,
        text: u32::try_from(index + 1).unwrap_or(0),
        ..Place::default()
    }
}

/// Lists and maps are written as YAML flow (`[a, b]`); anything else is taken as it is, so that a secret may hold
/// any character.
fn node_of(name: &str, value: &str, place: Place) -> Result<Node, String> {
    if value.starts_with(['[', '{']) {
        let mut node = yaml::parse(&name.into(), value)
            .map_err(|d| format!("cannot be read as YAML: {}", d.message))?;
        relocate(&mut node, place);
        return Ok(node);
    }
    let value = if value.is_empty() {
        Value::Null
    } else {
        // The value is the environment already: nothing in it stands for a variable.
        Value::Text(value.replace("${", "$${"))
    };
    Ok(At { value, place })
}

fn relocate(node: &mut Node, place: Place) {
    node.place = place;
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|n| relocate(n, place)),
        Value::Map(entries) => {
            for (key, n) in entries {
                key.place = place;
                relocate(n, place);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) => {}
    }
}

fn put(at: &mut Node, path: &[String], node: Node, place: Place) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else {
        *at = node;
        return Ok(());
    };
    if matches!(at.value, Value::Null) {
        at.value = Value::Map(Vec::new());
    }
    match &mut at.value {
        Value::Map(entries) => {
            let known = entries
                .iter()
                .position(|(key, _)| key.value.to_ascii_lowercase().replace('-', "_") == *first);
            let index = known.unwrap_or_else(|| {
                let key = At {
                    value: first.clone(),
                    place,
                };
                let empty = At {
                    value: Value::Null,
                    place,
                };
                entries.push((key, empty));
                entries.len() - 1
            });
            put(&mut entries[index].1, rest, node, place)
        }
        Value::List(items) => {
            let count = items.len();
            let item = first
                .parse::<usize>()
                .ok()
                .and_then(|index| items.get_mut(index))
                .ok_or_else(|| {
                    format!("`{first}` is not an index of this list, which has {count} items")
                })?;
            put(item, rest, node, place)
        }
        _ => Err(format!(
            "there is no `{first}` here: the setting is a single value"
        )),
    }
}
