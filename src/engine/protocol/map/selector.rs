//! JSONPaths of a map: parsed once at load, and what the loader must know about two of them (may they reach the
//! same value?) and about one of them (does it name a plain member?).

use std::sync::Arc;

use crate::engine::path::{Filter, Path, Selector, Step};

/// Why a path cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PathMistake {
    /// Character offset in the path, from 0.
    pub(super) offset: u32,
    /// How many characters are wrong.
    pub(super) width: usize,
    pub(super) message: String,
    pub(super) help: String,
    /// It is a path, but not one that a stream can follow.
    pub(super) unstreamable: bool,
}

/// Parses `text`. The one place where the map reads JSONPath.
// REPLACE by `engine::path::parse` when it is there.
pub(super) fn parse(text: &str) -> Result<Path, PathMistake> {
    use jsonpath_rust::parser::model as ast;
    let query = jsonpath_rust::parser::parse_json_path(text).map_err(|_| PathMistake {
        offset: 0,
        width: text.chars().count(),
        message: format!("`{text}` is not a JSONPath"),
        help: "RFC 9535, such as `$.items[*]`".to_owned(),
        unstreamable: false,
    })?;
    let spans = spans(text);
    let mut steps = Vec::new();
    for (i, segment) in query.segments.iter().enumerate() {
        let (descendant, inner) = match segment {
            ast::Segment::Descendant(inner) => (true, &**inner),
            other => (false, other),
        };
        let list: &[ast::Selector] = match inner {
            ast::Segment::Selector(one) => std::slice::from_ref(one),
            ast::Segment::Selectors(many) => many,
            ast::Segment::Descendant(_) => &[],
        };
        let mut selectors = Vec::new();
        for (j, selector) in list.iter().enumerate() {
            let (offset, source) = spans
                .get(i)
                .and_then(|s| s.get(j))
                .cloned()
                .unwrap_or((0, text.to_owned()));
            let refuse = |message: &str, help: &str| PathMistake {
                offset,
                width: source.chars().count(),
                message: message.to_owned(),
                help: help.to_owned(),
                unstreamable: true,
            };
            let from_start = |v: i64| u64::try_from(v).ok();
            selectors.push(match selector {
                ast::Selector::Name(name) => Selector::Name(name.as_str().into()),
                ast::Selector::Wildcard => Selector::Wildcard,
                ast::Selector::Index(index) => Selector::Index(from_start(*index).ok_or_else(|| {
                    refuse(
                        "an index from the end cannot be followed while the answer streams",
                        "count from the start, or use `[*]`",
                    )
                })?),
                ast::Selector::Slice(start, end, step) => {
                    let start = from_start(start.unwrap_or(0));
                    let end = end.map(from_start);
                    let step = from_start(step.unwrap_or(1)).filter(|s| *s > 0);
                    match (start, end, step) {
                        (Some(start), None, Some(step)) => Selector::Slice {
                            start,
                            end: None,
                            step,
                        },
                        (Some(start), Some(Some(end)), Some(step)) => Selector::Slice {
                            start,
                            end: Some(end),
                            step,
                        },
                        _ => {
                            return Err(refuse(
                                "a slice from the end or backwards cannot be followed while the answer streams",
                                "use bounds from the start and a step of at least 1",
                            ));
                        }
                    }
                }
                ast::Selector::Filter(_) => {
                    let filter = source.trim_start_matches('?').trim();
                    if !stands_alone(filter) {
                        return Err(refuse(
                            "this filter looks beyond its element, calls a function or holds another filter",
                            "compare members of the element, such as `@.kind == 'work'`",
                        ));
                    }
                    Selector::Filter(Filter {
                        text: filter.into(),
                    })
                }
            });
        }
        steps.push(Step {
            descendant,
            selectors,
        });
    }
    Ok(Path {
        text: text.into(),
        steps,
    })
}

/// Whether a filter is decided by its element alone: no root, no function, no filter inside.
fn stands_alone(filter: &str) -> bool {
    let (mut quote, mut escaped, mut last) = (None, false, ' ');
    for c in filter.chars() {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(_) if c == '\\' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if matches!(c, '$' | '?') => return false,
            None if c == '(' && (last.is_ascii_alphanumeric() || last == '_') => return false,
            None => {}
        }
        last = c;
    }
    true
}

/// Per segment, per selector: character offset and text.
fn spans(text: &str) -> Vec<Vec<(u32, String)>> {
    let chars: Vec<char> = text.chars().collect();
    let mut out = Vec::new();
    let mut i = 1;
    let piece = |from: usize, to: usize| {
        let lead = chars[from..to]
            .iter()
            .take_while(|c| c.is_whitespace())
            .count();
        let text: String = chars[from..to].iter().collect();
        (
            u32::try_from(from + lead).unwrap_or(0),
            text.trim().to_owned(),
        )
    };
    while i < chars.len() {
        match chars[i] {
            '[' => {
                let mut selectors = Vec::new();
                let (mut depth, mut quote, mut from) = (0_usize, None, i + 1);
                i += 1;
                while i < chars.len() {
                    match (quote, chars[i]) {
                        (Some(_), '\\') => i += 1,
                        (Some(q), c) if c == q => quote = None,
                        (Some(_), _) => {}
                        (None, c @ ('\'' | '"')) => quote = Some(c),
                        (None, '[' | '(') => depth += 1,
                        (None, ']') if depth == 0 => break,
                        (None, ']' | ')') => depth = depth.saturating_sub(1),
                        (None, ',') if depth == 0 => {
                            selectors.push(piece(from, i));
                            from = i + 1;
                        }
                        _ => {}
                    }
                    i += 1;
                }
                selectors.push(piece(from, i.min(chars.len())));
                out.push(selectors);
                i += 1;
            }
            '.' if chars.get(i + 1) == Some(&'[') => i += 1,
            '.' if chars.get(i + 1) == Some(&'.') => i += 1,
            '.' => {
                let from = i + 1;
                i = from;
                while i < chars.len() && !matches!(chars[i], '.' | '[') && !chars[i].is_whitespace()
                {
                    i += 1;
                }
                out.push(vec![piece(from, i)]);
            }
            _ => i += 1,
        }
    }
    out
}

/// The member names of a path that is nothing but names (`$.query.fields`), else `None`.
pub(super) fn names(path: &Path) -> Option<Vec<Arc<str>>> {
    path.steps
        .iter()
        .map(|step| match (step.descendant, step.selectors.as_slice()) {
            (false, [Selector::Name(name)]) => Some(name.clone()),
            _ => None,
        })
        .collect()
}

/// Whether the path can be followed in a request body: children by name, index, slice or wildcard.
pub(super) fn is_plain(path: &Path) -> bool {
    path.steps.iter().all(|s| {
        !s.descendant
            && s.selectors
                .iter()
                .all(|s| !matches!(s, Selector::Filter(_)))
    })
}

/// Whether some value may be reached by both paths, or lie inside what the other reaches. May say yes too often.
pub(super) fn may_meet(a: &Path, b: &Path) -> bool {
    for (x, y) in a.steps.iter().zip(&b.steps) {
        if x.descendant || y.descendant {
            return true;
        }
        let any = x
            .selectors
            .iter()
            .any(|p| y.selectors.iter().any(|q| selectors_meet(p, q)));
        if !any {
            return false;
        }
    }
    true
}

/// Whether two field paths of one record may reach the same value.
pub(super) fn fields_meet(a: &Path, b: &Path) -> bool {
    let has_descendant = |p: &Path| p.steps.iter().any(|s| s.descendant);
    if !has_descendant(a) && !has_descendant(b) {
        return may_meet(a, b);
    }
    match (a.steps.last(), b.steps.last()) {
        (Some(x), Some(y)) => x
            .selectors
            .iter()
            .any(|p| y.selectors.iter().any(|q| selectors_meet(p, q))),
        _ => true,
    }
}

fn selectors_meet(a: &Selector, b: &Selector) -> bool {
    match (a, b) {
        // Keys of answers compare ASCII case-insensitively.
        (Selector::Name(x), Selector::Name(y)) => x.eq_ignore_ascii_case(y),
        (Selector::Name(_), Selector::Index(_) | Selector::Slice { .. })
        | (Selector::Index(_) | Selector::Slice { .. }, Selector::Name(_)) => false,
        (Selector::Index(x), Selector::Index(y)) => x == y,
        (Selector::Index(i), Selector::Slice { start, end, step })
        | (Selector::Slice { start, end, step }, Selector::Index(i)) => {
            i >= start && end.is_none_or(|e| *i < e) && (i - start).is_multiple_of(*step)
        }
        _ => true,
    }
}
