//! `PRIVET_SECTION__KEY=value` laid over the file's tree, before it is checked: a misspelt override is found by the
//! same checks as a misspelt key.

use super::yaml::{self, Key, Node, Place, Value};
use crate::diagnostic::{Diagnostic, nearest};

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
    for (name, value) in variables {
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
        let place = Place::variable(name);
        let outcome = if path.iter().any(String::is_empty) {
            Err("an empty key between underscores".to_owned())
        } else {
            node_of(name, value).and_then(|node| put(root, &path, node, &place))
        };
        if let Err(message) = outcome {
            problems.push(Diagnostic::error("override", Some(place.position), message));
        }
    }
}

/// Lists and maps are written as YAML flow (`[a, b]`); anything else is taken as it is, so that a secret may hold
/// any character.
fn node_of(name: &str, value: &str) -> Result<Node, String> {
    if value.starts_with(['[', '{']) {
        let mut node = yaml::parse(&name.into(), value)
            .map_err(|d| format!("cannot be read as YAML: {}", d.message))?;
        relocate(&mut node, &Place::variable(name));
        return Ok(node);
    }
    Ok(Node {
        value: if value.is_empty() {
            Value::Null
        } else {
            Value::Text {
                text: value.to_owned(),
                expand: false,
            }
        },
        place: Place::variable(name),
    })
}

fn relocate(node: &mut Node, place: &Place) {
    node.place = place.clone();
    match &mut node.value {
        Value::List(items) => items.iter_mut().for_each(|n| relocate(n, place)),
        Value::Map(entries) => {
            for (key, n) in entries {
                key.place = place.clone();
                relocate(n, place);
            }
        }
        Value::Null | Value::Text { .. } => {}
    }
}

fn put(at: &mut Node, path: &[String], node: Node, place: &Place) -> Result<(), String> {
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
                .position(|(key, _)| key.text.to_ascii_lowercase().replace('-', "_") == *first);
            let index = known.unwrap_or_else(|| {
                let key = Key {
                    text: first.clone(),
                    place: place.clone(),
                };
                let empty = Node {
                    value: Value::Null,
                    place: place.clone(),
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
        Value::Null | Value::Text { .. } => Err(format!(
            "there is no `{first}` here: the setting is a single value"
        )),
    }
}
