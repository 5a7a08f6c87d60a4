//! `body:` of a route.

use super::super::findings::Findings;
use super::super::{Body, Filters, KeyPart, Outputs, Requirement, Writes, body, selector};
use super::Name;
use super::paths::{body_path, body_paths, names, names_of};
use crate::yaml::{At, Node, Value};

pub(super) fn request_body(node: Node, findings: &mut Findings) -> Body<Name> {
    let mut map = findings.map("`body`", node);
    let outputs = map.take("outputs").and_then(|n| outputs(n, findings));
    let filters = map.take("filters").and_then(|n| filters(n, findings));
    let records = map
        .take("records")
        .and_then(|n| body_path("`records`", n, findings));
    let fields = map.take("fields");
    let require = requirements(map.take("require"), findings);
    let ignore = body_paths("`ignore`", map.take("ignore"), findings);
    let place = map.place;
    map.end(findings);
    let writes = fields.and_then(|node| {
        let place = node.place;
        let mut list = Vec::new();
        for (name, node) in findings.map("`fields`", node).all() {
            if let Some(path) = body_path("a field", node, findings) {
                list.push((name, path));
            }
        }
        for (i, (name, path)) in list.iter().enumerate() {
            if let Some((other, _)) = list[..i].iter().find(|(_, o)| selector::may_meet(path, o)) {
                findings.error(
                    "overlapping-paths",
                    name.place,
                    name.value.chars().count(),
                    format!(
                        "the fields `{}` and `{}` may be the same value",
                        name.value, other.value
                    ),
                    "one value has one field",
                );
            }
        }
        if list.is_empty() {
            findings.error("missing-key", place, 1, "`fields` names no field", "");
        }
        records.clone().map(|records| Writes {
            records,
            fields: list,
        })
    });
    if records.is_some() != writes.is_some() {
        findings.error(
            "records-without-fields",
            place,
            1,
            "`records` and `fields` belong together",
            "",
        );
    }
    Body {
        outputs,
        filters,
        writes,
        require,
        ignore,
    }
}

pub(super) fn outputs(node: Node, findings: &mut Findings) -> Option<Outputs> {
    let mut map = findings.map("`outputs`", node);
    let each = map
        .need("each", findings)
        .and_then(|n| body_path("`each`", n, findings));
    let field = map
        .need("field", findings)
        .and_then(|n| names("`field`", n, findings));
    let function = map
        .take("function")
        .and_then(|n| names("`function`", n, findings));
    let mut key = Vec::new();
    if let Some(node) = map.need("key", findings) {
        let place = node.place;
        for item in findings.list("`key`", node) {
            if let Some(text) = findings.text("a key", item) {
                key.push(key_template(&text, findings));
            }
        }
        if key.is_empty() {
            findings.error("missing-key", place, 1, "`key` has no template", "");
        }
    }
    let ignore = body_paths("`ignore`", map.take("ignore"), findings);
    let sort = map.take("sort").and_then(|n| names("`sort`", n, findings));
    map.end(findings);
    Some(Outputs {
        each: each?,
        field: field?,
        function,
        key,
        ignore,
        sort,
    })
}

pub(super) fn key_template(text: &At<String>, findings: &mut Findings) -> Vec<KeyPart> {
    let mut parts = Vec::new();
    let mut rest = text.value.as_str();
    while let Some(open) = rest.find('{') {
        if open > 0 {
            parts.push(KeyPart::Text(rest[..open].to_owned()));
        }
        let Some(close) = rest[open..].find('}') else {
            findings.error(
                "wrong-key",
                text.place,
                text.value.chars().count(),
                "a `{` of this key is not closed",
                "",
            );
            return parts;
        };
        parts.push(KeyPart::Member(rest[open + 1..open + close].into()));
        rest = &rest[open + close + 1..];
    }
    if !rest.is_empty() {
        parts.push(KeyPart::Text(rest.to_owned()));
    }
    if !parts.iter().any(|p| matches!(p, KeyPart::Member(_))) {
        findings.error(
            "wrong-key",
            text.place,
            text.value.chars().count(),
            "a key names at least one member of the element",
            "such as `{fieldCaption}`",
        );
    }
    parts
}

pub(super) fn filters(node: Node, findings: &mut Findings) -> Option<Filters> {
    let mut map = findings.map("`filters`", node);
    let each = map
        .need("each", findings)
        .and_then(|n| body_path("`each`", n, findings));
    let field = map
        .need("field", findings)
        .and_then(|n| names("`field`", n, findings));
    let equals = map
        .need("equals", findings)
        .and_then(|n| body_path("`equals`", n, findings));
    let require = requirements(map.take("require"), findings);
    let ignore = body_paths("`ignore`", map.take("ignore"), findings);
    map.end(findings);
    Some(Filters {
        each: each?,
        field: field?,
        equals: equals?,
        require,
        ignore,
    })
}

pub(super) fn requirements(node: Option<Node>, findings: &mut Findings) -> Vec<Requirement> {
    let Some(node) = node else {
        return Vec::new();
    };
    let mut out = Vec::new();
    for (path, node) in findings.map("`require`", node).all() {
        let names = names_of(&path, findings);
        let mut values = Vec::new();
        for item in findings.list("the values of a requirement", node) {
            match item.value {
                Value::Null => values.push(body::Node::Null),
                Value::Bool(b) => values.push(body::Node::Bool(b)),
                Value::Number(n) => values.push(body::Node::Number(n)),
                Value::Text(t) => values.push(body::Node::Text(t)),
                Value::List(_) | Value::Map(_) => findings.error(
                    "wrong-type",
                    item.place,
                    1,
                    "a required value is a scalar",
                    "",
                ),
            }
        }
        if values.is_empty() {
            findings.error(
                "missing-key",
                path.place,
                path.value.chars().count(),
                "a requirement names at least one value",
                "",
            );
        }
        if let Some(path) = names {
            out.push(Requirement { path, values });
        }
    }
    out
}
