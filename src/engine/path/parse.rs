//! JSONPath text → [`Path`], or what cannot be streamed, with its column.

use jsonpath_rust::parser::model::{
    Comparable, Filter as Expression, FilterAtom, JpQuery, Segment, Selector as Parsed,
    SingularQuery, Test,
};
use jsonpath_rust::parser::parse_json_path;

use super::{Filter, Path, PathError, Selector, Step};
use crate::engine::key;

/// Largest index and slice bound: what comes before it is told apart one by one.
const INDEX_MAX: i64 = 4095;

impl Path {
    /// Parses an RFC 9535 query and checks that it can be carried out while the document streams.
    ///
    /// # Errors
    /// [`PathError`], with the column of the offending selector: text that is no JSONPath, negative indexes, steps
    /// or bounds, indexes over 4,095, names that no key may be, more than one filter, and filters with functions,
    /// filters inside filters or references to `$`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let query = parse_json_path(text).map_err(|error| PathError {
            column: syntax_column(&error.to_string()).unwrap_or(1),
            message: "this is not a JSONPath (RFC 9535)".to_owned(),
            help: "a path looks like $.items[*].email".to_owned(),
        })?;
        let places = places(text);
        let mut place = places.iter();
        let mut steps = Vec::new();
        let mut filters = 0;
        for segment in &query.segments {
            let (descendant, segment) = match segment {
                Segment::Descendant(inner) => (true, &**inner),
                other => (false, other),
            };
            let parsed = match segment {
                Segment::Selector(selector) => std::slice::from_ref(selector),
                Segment::Selectors(selectors) => selectors,
                Segment::Descendant(_) => return Err(not_understood()),
            };
            let mut selectors = Vec::new();
            for selector in parsed {
                let Some((column, written)) = place.next() else {
                    return Err(not_understood());
                };
                let refuse = |message: &str, help: &str| PathError {
                    column: *column,
                    message: message.to_owned(),
                    help: help.to_owned(),
                };
                selectors.push(
                    streamable(selector, written, &mut filters)
                        .map_err(|(message, help)| refuse(message, help))?,
                );
            }
            steps.push(Step {
                descendant,
                selectors,
            });
        }
        if place.next().is_some() {
            return Err(not_understood());
        }
        Ok(Self {
            text: text.into(),
            steps,
        })
    }
}

fn not_understood() -> PathError {
    PathError {
        column: 1,
        message: "the selectors of this path could not be told apart".to_owned(),
        help: "write it with plain names, as in $.items[*].email".to_owned(),
    }
}

/// The column that the parser's message points at (` --> 1:5`).
fn syntax_column(message: &str) -> Option<usize> {
    let (_, rest) = message.split_once("--> ")?;
    let place = rest.split_whitespace().next()?;
    place.split_once(':')?.1.parse().ok()
}

type Refusal = (&'static str, &'static str);

fn streamable(selector: &Parsed, written: &str, filters: &mut usize) -> Result<Selector, Refusal> {
    const BEHIND: &str =
        "count from the start: what comes last is not known while the answer streams";
    const FAR: &str = "use [*], or an index of at most 4095";
    Ok(match selector {
        Parsed::Name(name) => {
            if name.chars().any(key::is_forbidden) {
                return Err((
                    "this name holds a character that no key of an answer may hold",
                    "an answer with such a key is refused as a whole; take the selector out",
                ));
            }
            Selector::Name(name.as_str().into())
        }
        Parsed::Wildcard => Selector::Wildcard,
        Parsed::Index(index @ 0..=INDEX_MAX) => Selector::Index(*index as u64),
        Parsed::Index(..0) => return Err(("a negative index cannot be streamed", BEHIND)),
        Parsed::Index(_) => return Err(("this index is too far into the array", FAR)),
        Parsed::Slice(start, end, step) => {
            if step.is_some_and(|s| s < 1) {
                return Err((
                    "a slice that does not go forward cannot be streamed",
                    "use a step of at least 1",
                ));
            }
            if start.is_some_and(|s| s < 0) || end.is_some_and(|e| e < 0) {
                return Err(("a slice from the end cannot be streamed", BEHIND));
            }
            if [*start, *end, *step]
                .into_iter()
                .flatten()
                .any(|n| n > INDEX_MAX)
            {
                return Err(("this slice reaches too far into the array", FAR));
            }
            Selector::Slice {
                start: start.unwrap_or(0) as u64,
                end: end.map(|e| e as u64),
                step: step.unwrap_or(1) as u64,
            }
        }
        Parsed::Filter(expression) => {
            check(expression)?;
            *filters += 1;
            if *filters > 1 {
                return Err((
                    "a path may have one filter only",
                    "filter at the record, and name fields inside it without a filter",
                ));
            }
            let text = written.trim_start_matches('?').trim();
            // The text is evaluated again on each element: it must be the expression that was checked.
            match parse_json_path(&format!("$[?{text}]")) {
                Ok(JpQuery { segments })
                    if segments == [Segment::Selector(Parsed::Filter(expression.clone()))] => {}
                _ => {
                    return Err((
                        "this filter could not be told apart",
                        "write it as the only selector in its brackets",
                    ));
                }
            }
            Selector::Filter(Filter { text: text.into() })
        }
    })
}

/// Whether a filter looks at nothing but the element itself.
fn check(expression: &Expression) -> Result<(), Refusal> {
    const ROOT: Refusal = (
        "a filter may look at @ only: what $ names may not have come yet",
        "compare with a literal, as in ?@.kind == 'public'",
    );
    const FUNCTION: Refusal = (
        "functions in filters are not supported",
        "compare members with literals, as in ?@.kind == 'public'",
    );
    match expression {
        Expression::Or(parts) | Expression::And(parts) => parts.iter().try_for_each(check),
        Expression::Atom(FilterAtom::Filter { expr, .. }) => check(expr),
        Expression::Atom(FilterAtom::Test { expr, .. }) => match &**expr {
            Test::RelQuery(segments) => segments.iter().try_for_each(no_filter),
            Test::AbsQuery(_) => Err(ROOT),
            Test::Function(_) => Err(FUNCTION),
        },
        Expression::Atom(FilterAtom::Comparison(comparison)) => {
            let (left, right) = comparison.vals();
            [left, right].into_iter().try_for_each(|side| match side {
                Comparable::Literal(_) | Comparable::SingularQuery(SingularQuery::Current(_)) => {
                    Ok(())
                }
                Comparable::SingularQuery(SingularQuery::Root(_)) => Err(ROOT),
                Comparable::Function(_) => Err(FUNCTION),
            })
        }
    }
}

fn no_filter(segment: &Segment) -> Result<(), Refusal> {
    let selectors = match segment {
        Segment::Descendant(inner) => return no_filter(inner),
        Segment::Selector(selector) => std::slice::from_ref(selector),
        Segment::Selectors(selectors) => selectors,
    };
    if selectors.iter().any(|s| matches!(s, Parsed::Filter(_))) {
        return Err((
            "a filter inside a filter is not supported",
            "test a member by its name, as in ?@.tags[0] == 'public'",
        ));
    }
    Ok(())
}

/// Column (from 1, in characters) and text of each selector of a query that the parser has accepted.
fn places(text: &str) -> Vec<(usize, &str)> {
    let mut places = Vec::new();
    let mut chars = text.char_indices().enumerate().peekable();
    // Behind `$`.
    chars.next();
    while let Some((column, (at, c))) = chars.next() {
        match c {
            '[' => {
                let (mut depth, mut quote) = (0, None);
                let mut start: Option<(usize, usize)> = None;
                while let Some((column, (at, c))) = chars.next() {
                    if start.is_none() && !c.is_whitespace() {
                        start = Some((column + 1, at));
                    }
                    match (quote, c) {
                        (Some(_), '\\') => {
                            chars.next();
                        }
                        (Some(open), c) if c == open => quote = None,
                        (Some(_), _) => {}
                        (None, '\'' | '"') => quote = Some(c),
                        (None, '[' | '(') => depth += 1,
                        (None, ']' | ')') if depth > 0 => depth -= 1,
                        (None, ',' | ']') if depth == 0 => {
                            if let Some((column, from)) = start.take() {
                                places.push((column, text[from..at].trim_end()));
                            }
                            if c == ']' {
                                break;
                            }
                        }
                        (None, _) => {}
                    }
                }
            }
            '.' => {}
            c if c.is_whitespace() => {}
            _ => {
                while chars
                    .next_if(|(_, (_, c))| !matches!(c, '.' | '[') && !c.is_whitespace())
                    .is_some()
                {}
                let end = chars.peek().map_or(text.len(), |(_, (at, _))| *at);
                places.push((column + 1, &text[at..end]));
            }
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_streams_is_accepted() {
        let path =
            Path::parse("$.items[*]['a','b'][2]..x[1:9:2][?@.kind == 'p,]']").expect("streams");
        assert_eq!(path.steps.len(), 7);
        assert_eq!(path.steps[2].selectors.len(), 2);
        assert!(path.steps[4].descendant);
        assert_eq!(
            path.steps[6].selectors,
            [Selector::Filter(Filter {
                text: "@.kind == 'p,]'".into()
            })]
        );
    }

    #[test]
    fn what_does_not_stream_is_refused_at_its_column() {
        for (text, column) in [
            ("items", 1),
            ("$.é[-1]", 5),
            ("$.a[0, -2]", 8),
            ("$.a[::-1]", 5),
            ("$.a[-3:]", 5),
            ("$.a[:-3]", 5),
            ("$.a[5000]", 5),
            ("$['\\u200bb']", 3),
            ("$.a[?length(@.b) > 1]", 5),
            ("$.a[?@.b == $.c]", 5),
            ("$.a[?$.c]", 5),
            ("$.a[?@[?@.x]]", 5),
            ("$.a[?@.b].c[?@.d]", 13),
            ("$.a[?@.b", 9),
        ] {
            let error = Path::parse(text).expect_err(text);
            assert_eq!(error.column, column, "{text}: {error}");
            assert!(!error.help.is_empty());
        }
    }
}
