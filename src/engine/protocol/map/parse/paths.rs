//! JSONPaths of a map, and which of them may not reach the same value.

use crate::engine::path::Path;

use super::super::findings::Findings;
use super::super::{Names, Output, selector};
use super::Name;
use crate::yaml::{At, Node};

pub(super) fn path_text(text: &At<String>, findings: &mut Findings) -> Option<Path> {
    match selector::parse(&text.value) {
        Ok(path) => Some(path),
        Err(mistake) => {
            let place = findings.inside(text.place, mistake.offset);
            let code = if mistake.unstreamable {
                "unstreamable-selector"
            } else {
                "invalid-jsonpath"
            };
            findings.error(code, place, mistake.width, mistake.message, mistake.help);
            None
        }
    }
}

pub(super) fn path(what: &'static str, node: Node, findings: &mut Findings) -> Option<Path> {
    let text = findings.text(what, node)?;
    path_text(&text, findings)
}

pub(super) fn paths(
    what: &'static str,
    node: Option<Node>,
    findings: &mut Findings,
) -> Vec<(At<()>, Path)> {
    let Some(node) = node else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for item in findings.list(what, node) {
        let place = item.place;
        if let Some(path) = path(what, item, findings) {
            out.push((At { value: (), place }, path));
        }
    }
    out
}

/// A path of the request body: the tree is at hand, but what it may name stays plain.
pub(super) fn body_path(what: &'static str, node: Node, findings: &mut Findings) -> Option<Path> {
    let place = node.place;
    let path = path(what, node, findings)?;
    if selector::is_plain(&path) {
        return Some(path);
    }
    findings.error(
        "unplain-path",
        place,
        path.text.chars().count(),
        format!("{what} of a request body takes names, indexes, slices and `*` only"),
        "",
    );
    None
}

pub(super) fn body_paths(
    what: &'static str,
    node: Option<Node>,
    findings: &mut Findings,
) -> Vec<Path> {
    let Some(node) = node else {
        return Vec::new();
    };
    findings
        .list(what, node)
        .into_iter()
        .filter_map(|n| body_path(what, n, findings))
        .collect()
}

pub(super) fn names_of(text: &At<String>, findings: &mut Findings) -> Option<Names> {
    let path = path_text(text, findings)?;
    let names = selector::names(&path).filter(|n| !n.is_empty());
    if names.is_none() {
        findings.error(
            "unplain-path",
            text.place,
            text.value.chars().count(),
            "this path must name one member",
            "such as `$.field.name`",
        );
    }
    names
}

pub(super) fn names(what: &'static str, node: Node, findings: &mut Findings) -> Option<Names> {
    let text = findings.text(what, node)?;
    names_of(&text, findings)
}

/// An envelope passes untreated, so it may never reach what the records hold; nor may two fields be one value.
pub(super) fn overlaps(
    records: Option<&Path>,
    envelope: &[(At<()>, Path)],
    links: &[(At<()>, Path)],
    fields: &Output<Name>,
    field_places: &[At<()>],
    findings: &mut Findings,
) {
    if let Some(records) = records {
        for (at, path) in envelope.iter().chain(links) {
            if selector::may_meet(path, records) {
                findings.error(
                    "envelope-meets-records",
                    at.place,
                    path.text.chars().count(),
                    format!(
                        "`{}` may reach into the records `{}`",
                        path.text, records.text
                    ),
                    "what stands in a record is a field",
                );
            }
        }
    }
    for (i, (at, path)) in envelope.iter().enumerate() {
        let others = envelope[i + 1..].iter().chain(links);
        for (other_at, other) in others {
            if selector::may_meet(path, other) {
                findings.error(
                    "overlapping-paths",
                    other_at.place,
                    other.text.chars().count(),
                    format!(
                        "`{}` and `{}` on line {} may reach the same value",
                        other.text, path.text, at.place.line
                    ),
                    "",
                );
            }
        }
    }
    if let Output::Declared(list) = fields {
        for (i, (name, path)) in list.iter().enumerate() {
            for (other, other_path) in &list[..i] {
                if selector::fields_meet(path, other_path) {
                    findings.error(
                        "overlapping-paths",
                        field_places[i].place,
                        path.text.chars().count(),
                        format!(
                            "the fields `{}` and `{}` may be the same value",
                            name.value, other.value
                        ),
                        "one value has one field",
                    );
                }
            }
        }
    }
}
