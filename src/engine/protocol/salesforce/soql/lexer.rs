//! Words, punctuation and literals of SOQL, one at a time.

use super::ast::{Span, Value};
use super::{IDENTIFIER_BYTES_MAX, SyntaxError};

/// One token outside literals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Token<'q> {
    /// `[A-Za-z][A-Za-z0-9_]*`: a name or a keyword.
    Word(&'q str),
    /// Punctuation or an operator.
    Sign(&'static str),
    /// A string literal begins here.
    Quote,
    /// A number begins here.
    Digit,
    /// The end of the text.
    End,
}

/// Reads tokens from the left.
#[derive(Debug, Clone)]
pub(in super::super) struct Lexer<'q> {
    text: &'q str,
    at: usize,
    /// The token at `at` and its length, once it has been looked at.
    next: Option<(Token<'q>, usize)>,
}

impl<'q> Lexer<'q> {
    pub(super) fn starting_at(text: &'q str, at: usize) -> Self {
        Self {
            text,
            at,
            next: None,
        }
    }

    /// Byte offset of the next token.
    pub(in super::super) fn offset(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    /// Span from `start` to what was read last.
    pub(super) fn span_from(&self, start: usize) -> Span {
        Span {
            start: u32::try_from(start).unwrap_or(u32::MAX),
            end: u32::try_from(self.at).unwrap_or(u32::MAX),
        }
    }

    fn skip_space(&mut self) {
        let bytes = self.text.as_bytes();
        while matches!(
            bytes.get(self.at),
            Some(b' ' | b'\t' | b'\n' | b'\r' | 0x0c)
        ) {
            self.at += 1;
        }
    }

    fn rest(&self) -> &'q str {
        &self.text[self.at..]
    }

    /// The next token, not consumed, and its length in bytes.
    fn look(&mut self) -> Result<(Token<'q>, usize), SyntaxError> {
        if let Some(next) = self.next {
            return Ok(next);
        }
        let next = self.scan()?;
        self.next = Some(next);
        Ok(next)
    }

    fn advance(&mut self, bytes: usize) {
        self.at += bytes;
        self.next = None;
    }

    fn scan(&mut self) -> Result<(Token<'q>, usize), SyntaxError> {
        self.skip_space();
        let rest = self.rest();
        let Some(&first) = rest.as_bytes().first() else {
            return Ok((Token::End, 0));
        };
        if first.is_ascii_alphabetic() {
            let len = rest
                .bytes()
                .position(|b| !b.is_ascii_alphanumeric() && b != b'_')
                .unwrap_or(rest.len());
            if len > IDENTIFIER_BYTES_MAX {
                return Err(SyntaxError::new(self.at, "a name is too long"));
            }
            return Ok((Token::Word(&rest[..len]), len));
        }
        if first == b'\'' {
            return Ok((Token::Quote, 0));
        }
        if first.is_ascii_digit() {
            return Ok((Token::Digit, 0));
        }
        let sign = match (first, rest.as_bytes().get(1)) {
            (b'<', Some(b'=')) => "<=",
            (b'>', Some(b'=')) => ">=",
            (b'<', Some(b'>')) => "<>",
            (b'!', Some(b'=')) => "!=",
            (b'=', _) => "=",
            (b'<', _) => "<",
            (b'>', _) => ">",
            (b'(', _) => "(",
            (b')', _) => ")",
            (b',', _) => ",",
            (b'.', _) => ".",
            (b':', _) => ":",
            (b'-', _) => "-",
            _ => return Err(SyntaxError::new(self.at, "unexpected character")),
        };
        Ok((Token::Sign(sign), sign.len()))
    }

    /// The next token, not consumed.
    pub(in super::super) fn peek(&mut self) -> Result<Token<'q>, SyntaxError> {
        Ok(self.look()?.0)
    }

    /// The next word, consumed.
    pub(in super::super) fn word(&mut self) -> Result<&'q str, SyntaxError> {
        match self.look()? {
            (Token::Word(w), len) => {
                self.advance(len);
                Ok(w)
            }
            _ => Err(SyntaxError::new(self.at, "a name is expected")),
        }
    }

    /// Consumes `sign` if it is next.
    pub(in super::super) fn sign(&mut self, sign: &str) -> Result<bool, SyntaxError> {
        match self.look()? {
            (Token::Sign(s), len) if s == sign => {
                self.advance(len);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// Consumes `keyword` (case-insensitive) if it is next.
    pub(in super::super) fn keyword(&mut self, keyword: &str) -> Result<bool, SyntaxError> {
        match self.look()? {
            (Token::Word(w), len) if w.eq_ignore_ascii_case(keyword) => {
                self.advance(len);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// A literal, consumed. `pattern`: it stands after LIKE.
    pub(in super::super) fn value(&mut self, pattern: bool) -> Result<Value, SyntaxError> {
        self.skip_space();
        if self.rest().starts_with('\'') {
            let text = self.string(pattern)?;
            return Ok(if pattern {
                Value::Pattern(text)
            } else {
                Value::Text(text)
            });
        }
        if self.rest().starts_with(':') {
            return Err(SyntaxError::new(
                self.at,
                "bind variables are not supported in the REST API",
            ));
        }
        let rest = self.rest();
        let len = rest
            .bytes()
            .position(|b| {
                !b.is_ascii_alphanumeric() && !matches!(b, b'_' | b'.' | b':' | b'+' | b'-')
            })
            .unwrap_or(rest.len());
        let word = &rest[..len];
        let value = if word.eq_ignore_ascii_case("null") {
            Value::Null
        } else if word.eq_ignore_ascii_case("true") {
            Value::Bool(true)
        } else if word.eq_ignore_ascii_case("false") {
            Value::Bool(false)
        } else if is_word_literal(word) {
            Value::Word(word.into())
        } else {
            return Err(SyntaxError::new(self.at, "a literal is expected"));
        };
        self.advance(len);
        Ok(value)
    }

    /// A string literal, decoded.
    fn string(&mut self, pattern: bool) -> Result<String, SyntaxError> {
        let start = self.at;
        let mut out = String::new();
        let mut chars = self.text[start + 1..].char_indices();
        while let Some((i, c)) = chars.next() {
            let at = start + 1 + i;
            match c {
                '\'' => {
                    self.advance(at + 1 - self.at);
                    return Ok(out);
                }
                '\\' => {
                    let Some((_, escape)) = chars.next() else {
                        break;
                    };
                    match escape {
                        'n' | 'N' => out.push('\n'),
                        'r' | 'R' => out.push('\r'),
                        't' | 'T' => out.push('\t'),
                        'b' | 'B' => out.push('\u{8}'),
                        'f' | 'F' => out.push('\u{c}'),
                        '\'' | '"' => out.push(escape),
                        '\\' if pattern => out.push_str("\\\\"),
                        '\\' => out.push('\\'),
                        '%' | '_' if pattern => {
                            out.push('\\');
                            out.push(escape);
                        }
                        'u' | 'U' => {
                            let hex = self.text.get(at + 2..at + 6).unwrap_or_default();
                            let decoded = hex
                                .bytes()
                                .all(|b| b.is_ascii_hexdigit())
                                .then(|| u32::from_str_radix(hex, 16).ok())
                                .flatten()
                                .and_then(char::from_u32)
                                .ok_or_else(|| {
                                    SyntaxError::new(at, "an escape in a string is not valid")
                                })?;
                            if pattern && decoded == '\\' {
                                out.push('\\');
                            }
                            out.push(decoded);
                            chars.nth(3);
                        }
                        _ => {
                            return Err(SyntaxError::new(at, "an escape in a string is not valid"));
                        }
                    }
                }
                c if c.is_control() => {
                    return Err(SyntaxError::new(
                        at,
                        "a control character stands in a string",
                    ));
                }
                c => out.push(c),
            }
        }
        Err(SyntaxError::new(start, "a string is not closed"))
    }
}

/// Whether `word` is a number, currency amount, date, time or date literal.
pub(in super::super) fn is_word_literal(word: &str) -> bool {
    is_number(word)
        || word.get(..3).is_some_and(|code| {
            code.bytes().all(|b| b.is_ascii_alphabetic()) && is_unsigned_number(&word[3..])
        })
        || is_date(word)
        || is_date_time(word)
        || is_time(word)
        || is_date_literal(word)
}

/// An integer or a decimal, signed or not: SOQL has no exponents.
pub(super) fn is_number(word: &str) -> bool {
    is_unsigned_number(word.strip_prefix(['+', '-']).unwrap_or(word))
}

fn is_unsigned_number(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |t: &str| t.bytes().all(|b| b.is_ascii_digit());
    text.len() <= 64
        && digits(whole)
        && digits(fraction)
        && !fraction.is_empty()
        && (!whole.is_empty() || text.contains('.'))
}

/// `0` in `pattern` is any digit, other characters stand for themselves.
fn looks_like(text: &str, pattern: &str) -> bool {
    text.len() == pattern.len()
        && text.bytes().zip(pattern.bytes()).all(|(t, p)| {
            if p == b'0' {
                t.is_ascii_digit()
            } else {
                t.eq_ignore_ascii_case(&p)
            }
        })
}

fn is_date(word: &str) -> bool {
    looks_like(word, "0000-00-00")
}

fn is_time(word: &str) -> bool {
    let Some((clock, fraction)) = word.split_at_checked(8) else {
        return false;
    };
    let fraction = fraction
        .strip_suffix(['Z', 'z'])
        .map(|f| f.strip_prefix('.').unwrap_or(f));
    looks_like(clock, "00:00:00")
        && fraction.is_some_and(|f| f.len() <= 9 && f.bytes().all(|b| b.is_ascii_digit()))
}

pub(in super::super) fn is_date_time(word: &str) -> bool {
    let Some(rest) = word
        .get(19..)
        .filter(|_| looks_like(&word[..19], "0000-00-00T00:00:00"))
    else {
        return false;
    };
    let zone = match rest.strip_prefix('.') {
        Some(fraction) => {
            let digits = fraction
                .bytes()
                .position(|b| !b.is_ascii_digit())
                .unwrap_or(fraction.len());
            if !(1..=9).contains(&digits) {
                return false;
            }
            &fraction[digits..]
        }
        None => rest,
    };
    zone.eq_ignore_ascii_case("z")
        || zone
            .strip_prefix(['+', '-'])
            .is_some_and(|z| looks_like(z, "00:00") || looks_like(z, "0000"))
}

/// Date literals without a number.
const DATE_LITERALS: [&str; 23] = [
    "YESTERDAY",
    "TODAY",
    "TOMORROW",
    "LAST_WEEK",
    "THIS_WEEK",
    "NEXT_WEEK",
    "LAST_MONTH",
    "THIS_MONTH",
    "NEXT_MONTH",
    "LAST_90_DAYS",
    "NEXT_90_DAYS",
    "THIS_QUARTER",
    "LAST_QUARTER",
    "NEXT_QUARTER",
    "THIS_YEAR",
    "LAST_YEAR",
    "NEXT_YEAR",
    "THIS_FISCAL_QUARTER",
    "LAST_FISCAL_QUARTER",
    "NEXT_FISCAL_QUARTER",
    "THIS_FISCAL_YEAR",
    "LAST_FISCAL_YEAR",
    "NEXT_FISCAL_YEAR",
];

/// Units of `LAST_N_DAYS:n`, `NEXT_N_…:n`, `N_…_AGO:n`.
const DATE_UNITS: [&str; 7] = [
    "DAYS",
    "WEEKS",
    "MONTHS",
    "QUARTERS",
    "YEARS",
    "FISCAL_QUARTERS",
    "FISCAL_YEARS",
];

fn is_date_literal(word: &str) -> bool {
    let upper = word.to_ascii_uppercase();
    match upper.split_once(':') {
        None => DATE_LITERALS.contains(&upper.as_str()),
        Some((name, count)) => {
            let unit = name
                .strip_prefix("LAST_N_")
                .or_else(|| name.strip_prefix("NEXT_N_"))
                .or_else(|| name.strip_prefix("N_").and_then(|n| n.strip_suffix("_AGO")));
            unit.is_some_and(|u| DATE_UNITS.contains(&u))
                && (1..=9).contains(&count.len())
                && count.bytes().all(|b| b.is_ascii_digit())
        }
    }
}
