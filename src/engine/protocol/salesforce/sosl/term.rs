//! The term of a search: what stands between the braces of FIND.

use super::TERM_CHARS_MAX;
use super::ast::{Glyph, Part, Term};
use crate::engine::protocol::salesforce::soql::SyntaxError;

/// Characters that mean something and can only be looked for after a backslash.
const RESERVED: &str = "&|!{}[]^~";
/// What a backslash may stand before.
pub(super) const ESCAPABLE: &str = "?&|!{}[]()^~*:\\\"'+-";

impl Term {
    /// Each word, and each phrase, as one text; wildcards as their signs.
    pub fn texts(&self) -> impl Iterator<Item = String> + '_ {
        self.0.iter().filter_map(|part| match part {
            Part::Word(glyphs) | Part::Phrase(glyphs) => Some(text(glyphs)),
            _ => None,
        })
    }
}

fn text(glyphs: &[Glyph]) -> String {
    glyphs
        .iter()
        .map(|g| match g {
            Glyph::Literal(c) => *c,
            Glyph::Many => '*',
            Glyph::One => '?',
        })
        .collect()
}

/// Reads a term from byte `from` to the closing brace. Gives it and the offset behind the brace.
pub(super) fn in_braces(whole: &str, from: usize) -> Result<(Term, usize), SyntaxError> {
    let mut escaped = false;
    for (at, c) in whole[from..].char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == '}' {
            let term = parse_at(&whole[from..from + at], from)?;
            return Ok((term, from + at + 1));
        }
    }
    Err(SyntaxError::new(from, "FIND is not closed by a brace"))
}

/// Parses a term without braces.
///
/// # Errors
/// [`SyntaxError`] for reserved characters that are not escaped, operators without operands, and empty terms.
pub(in super::super) fn parse(text: &str) -> Result<Term, SyntaxError> {
    parse_at(text, 0)
}

fn parse_at(text: &str, offset: usize) -> Result<Term, SyntaxError> {
    if text.chars().count() > TERM_CHARS_MAX {
        return Err(SyntaxError::new(offset, "the search term is too long"));
    }
    let parts = operators(scan(text, offset)?);
    check(&parts, offset)?;
    Ok(Term(parts))
}

fn scan(text: &str, offset: usize) -> Result<Vec<Part>, SyntaxError> {
    let mut parts = Vec::new();
    let mut word: Vec<Glyph> = Vec::new();
    let mut phrase = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        let error = |message| SyntaxError::new(offset + at, message);
        let glyph = match c {
            '\\' => match chars.next() {
                Some((_, c)) if ESCAPABLE.contains(c) => Glyph::Literal(c),
                _ => return Err(error("an escape in the search term is not valid")),
            },
            '"' => {
                match phrase.take() {
                    None => {
                        end_word(&mut word, &mut parts);
                        phrase = Some(at);
                    }
                    Some(_) if word.is_empty() => return Err(error("a phrase is empty")),
                    Some(_) => parts.push(Part::Phrase(std::mem::take(&mut word))),
                }
                continue;
            }
            '*' => Glyph::Many,
            '?' => Glyph::One,
            c if c.is_control() && !c.is_whitespace() => {
                return Err(error("a control character stands in the search term"));
            }
            c if RESERVED.contains(c) => {
                return Err(error(
                    "a reserved character of the search term is not escaped",
                ));
            }
            c if phrase.is_some() => Glyph::Literal(if c.is_whitespace() { ' ' } else { c }),
            c if c.is_whitespace() => {
                end_word(&mut word, &mut parts);
                continue;
            }
            '(' | ')' => {
                end_word(&mut word, &mut parts);
                parts.push(if c == '(' { Part::Open } else { Part::Close });
                continue;
            }
            c => Glyph::Literal(c),
        };
        word.push(glyph);
    }
    if let Some(at) = phrase {
        return Err(SyntaxError::new(offset + at, "a phrase is not closed"));
    }
    end_word(&mut word, &mut parts);
    Ok(parts)
}

fn end_word(word: &mut Vec<Glyph>, parts: &mut Vec<Part>) {
    if !word.is_empty() {
        parts.push(Part::Word(std::mem::take(word)));
    }
}

/// Words that are operators become them.
fn operators(parts: Vec<Part>) -> Vec<Part> {
    let is = |part: &Part, operator: &str| matches!(part, Part::Word(glyphs) if text(glyphs).eq_ignore_ascii_case(operator));
    let mut out: Vec<Part> = Vec::with_capacity(parts.len());
    for part in parts {
        if is(&part, "AND") {
            out.push(Part::And);
        } else if is(&part, "OR") {
            out.push(Part::Or);
        } else if is(&part, "NOT") && out.last() == Some(&Part::And) {
            out.pop();
            out.push(Part::AndNot);
        } else {
            out.push(part);
        }
    }
    out
}

/// Operands stand where operands must, and parentheses are closed.
fn check(parts: &[Part], offset: usize) -> Result<(), SyntaxError> {
    let error = |message| Err(SyntaxError::new(offset, message));
    let mut open = 0usize;
    // Whether an operand has just ended.
    let mut complete = false;
    for part in parts {
        match part {
            Part::Word(_) | Part::Phrase(_) => complete = true,
            Part::And | Part::Or | Part::AndNot => {
                if !std::mem::replace(&mut complete, false) {
                    return error("an operator of the search term has no operand");
                }
            }
            Part::Open => {
                open += 1;
                complete = false;
            }
            Part::Close => {
                if open == 0 || !complete {
                    return error("a parenthesis of the search term has no partner");
                }
                open -= 1;
            }
        }
    }
    if !complete {
        return error("the search term is empty or ends in an operator");
    }
    if open > 0 {
        return error("a parenthesis of the search term is not closed");
    }
    Ok(())
}
