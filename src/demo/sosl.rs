//! SOSL as the demo CRM reads it.

/// A search.
#[derive(Debug, Clone)]
pub struct Search {
    /// What is looked for.
    pub parts: Vec<Part>,
    /// `ALL`, `NAME`, `EMAIL`, `PHONE` or `SIDEBAR`.
    pub scope: String,
    /// In which objects.
    pub wanted: Vec<Wanted>,
    /// Over all objects.
    pub limit: Option<usize>,
    /// `WITH METADATA`.
    pub labels: bool,
    /// `WITH SNIPPET`.
    pub snippet: bool,
}

/// One object of RETURNING.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name.
    pub object: String,
    /// The field list, if there is one.
    pub fields: Option<String>,
    /// WHERE and what follows it, with a space before.
    pub clauses: String,
}

/// One part of a term.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// A word in lower case, with wildcards.
    Word(String),
    /// `AND`, also what stands between two words.
    And,
    /// `OR`
    Or,
    /// `AND NOT`
    AndNot,
}

/// Parses one search.
///
/// # Errors
/// The first thing that cannot be read.
pub fn parse(text: &str) -> Result<Search, String> {
    let rest = after(text.trim(), "FIND")
        .ok_or("unexpected token")?
        .trim_start();
    let inner = rest.strip_prefix('{').ok_or("expecting a left brace")?;
    let mut escaped = false;
    let end = inner
        .char_indices()
        .find(|(_, c)| {
            let closes = *c == '}' && !escaped;
            escaped = *c == '\\' && !escaped;
            closes
        })
        .map(|(i, _)| i)
        .ok_or("unterminated search string")?;
    let parts = term(&inner[..end]);
    if parts.is_empty() {
        return Err("search term must be longer than one character".to_owned());
    }
    let mut rest = inner[end + 1..].trim_start();
    let mut scope = "ALL".to_owned();
    if let Some(after_in) = after(rest, "IN") {
        let (word, more) = after_in
            .trim_start()
            .split_once(' ')
            .ok_or("unexpected end")?;
        scope = word.to_ascii_uppercase();
        rest = after(more.trim_start(), "FIELDS")
            .ok_or("FIELDS is expected")?
            .trim_start();
    }
    let mut wanted = Vec::new();
    if let Some(mut list) = after(rest, "RETURNING") {
        loop {
            let (one, more) = object(list.trim_start())?;
            wanted.push(one);
            rest = more.trim_start();
            match rest.strip_prefix(',') {
                Some(more) => list = more,
                None => break,
            }
        }
    }
    let upper = rest.to_ascii_uppercase();
    let limit = upper
        .split("LIMIT ")
        .nth(1)
        .and_then(|l| l.split_whitespace().next())
        .and_then(|l| l.parse().ok());
    Ok(Search {
        parts,
        scope,
        wanted,
        limit,
        labels: upper.contains("METADATA"),
        snippet: upper.contains("SNIPPET"),
    })
}

/// What follows `word` at the beginning of `text`.
fn after<'t>(text: &'t str, word: &str) -> Option<&'t str> {
    let rest = text.get(word.len()..)?;
    let is = text[..word.len()].eq_ignore_ascii_case(word)
        && !rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
    is.then_some(rest)
}

fn object(text: &str) -> Result<(Wanted, &str), String> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (object, rest) = (text[..end].to_owned(), text[end..].trim_start());
    let Some(inner) = rest.strip_prefix('(') else {
        let wanted = Wanted {
            object,
            fields: None,
            clauses: String::new(),
        };
        return Ok((wanted, rest));
    };
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    let mut clauses_at = None;
    for (i, c) in inner.char_indices() {
        let was_escaped = std::mem::replace(&mut escaped, false);
        match c {
            '\\' if quoted && !was_escaped => escaped = true,
            '\'' if !was_escaped => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted && depth == 0 => {
                let at = clauses_at.unwrap_or(i);
                let wanted = Wanted {
                    object,
                    fields: Some(inner[..at].trim().to_owned()),
                    clauses: format!(" {}", &inner[at..i]),
                };
                return Ok((wanted, &inner[i + 1..]));
            }
            ')' if !quoted => depth -= 1,
            ' ' if !quoted && depth == 0 && clauses_at.is_none() => {
                let begins = ["WHERE", "ORDER", "LIMIT", "OFFSET"];
                if begins.iter().any(|w| after(&inner[i + 1..], w).is_some()) {
                    clauses_at = Some(i + 1);
                }
            }
            _ => {}
        }
    }
    Err("expecting a right parenthesis".to_owned())
}

/// The parts of a term; phrases are taken for their words.
pub fn term(text: &str) -> Vec<Part> {
    let mut words: Vec<String> = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => words
                .last_mut()
                .into_iter()
                .for_each(|w| w.extend(chars.next())),
            c if c.is_whitespace() || matches!(c, '"' | '(' | ')') => words.push(String::new()),
            c => words.last_mut().into_iter().for_each(|w| w.push(c)),
        }
    }
    let mut parts = Vec::new();
    for word in words.into_iter().filter(|w| !w.is_empty()) {
        let next = match word.as_str() {
            "AND" => Part::And,
            "OR" => Part::Or,
            "NOT" if parts.last() == Some(&Part::And) => {
                parts.pop();
                Part::AndNot
            }
            _ => {
                if matches!(parts.last(), Some(Part::Word(_))) {
                    parts.push(Part::And);
                }
                Part::Word(word.to_lowercase())
            }
        };
        parts.push(next);
    }
    parts
}

/// Whether a record with these values is found. Operators are taken from the left.
pub fn matches(parts: &[Part], values: &[String]) -> bool {
    let words: Vec<String> = values
        .iter()
        .flat_map(|v| {
            let lower = v.to_lowercase();
            let mut all: Vec<String> = lower
                .split(|c: char| !c.is_alphanumeric())
                .map(str::to_owned)
                .collect();
            all.extend(lower.split_whitespace().map(str::to_owned));
            all.push(lower.clone());
            all
        })
        .collect();
    let (mut found, mut operator) = (true, &Part::And);
    for part in parts {
        match part {
            Part::Word(pattern) => {
                let hit = words.iter().any(|w| like(pattern, w));
                found = match operator {
                    Part::Or => found || hit,
                    Part::AndNot => found && !hit,
                    _ => found && hit,
                };
            }
            other => operator = other,
        }
    }
    found
}

/// `*` and `?`.
fn like(pattern: &str, text: &str) -> bool {
    let Some(first) = pattern.chars().next() else {
        return text.is_empty();
    };
    let rest = &pattern[first.len_utf8()..];
    match first {
        '*' => text
            .char_indices()
            .map(|(i, _)| i)
            .chain([text.len()])
            .any(|i| like(rest, &text[i..])),
        _ => text
            .chars()
            .next()
            .is_some_and(|c| (first == '?' || c == first) && like(rest, &text[c.len_utf8()..])),
    }
}
