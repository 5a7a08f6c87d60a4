//! The demo CRM's own SOQL parser. It shares nothing with the engine's, so that each can find the other's errors.

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    /// SELECT list.
    pub select: Vec<Item>,
    /// FROM.
    pub from: Name,
    /// Alias of the FROM object.
    pub alias: Option<String>,
    /// WHERE.
    pub filter: Option<Condition>,
    /// GROUP BY.
    pub group: Vec<Path>,
    /// HAVING.
    pub having: Option<Condition>,
    /// ORDER BY.
    pub order: Vec<Order>,
    /// LIMIT.
    pub limit: Option<usize>,
    /// OFFSET.
    pub offset: usize,
}

/// A word with its byte offset in the query text.
#[derive(Debug, Clone, PartialEq)]
pub struct Name {
    /// As written.
    pub text: String,
    /// Byte offset.
    pub at: usize,
}

/// `Account.Owner.Email`, or a function of one, such as `COUNT(Id)`.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    /// Dotted parts; empty for `COUNT()`.
    pub parts: Vec<String>,
    /// Aggregate function round it.
    pub function: Option<Function>,
    /// Byte offset.
    pub at: usize,
}

/// Aggregate functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Function {
    /// COUNT
    Count,
    /// COUNT_DISTINCT
    CountDistinct,
    /// SUM
    Sum,
    /// AVG
    Avg,
    /// MIN
    Min,
    /// MAX
    Max,
}

/// One item of a SELECT list.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A field or an aggregate, perhaps with an alias.
    Value(Path, Option<String>),
    /// A child subquery.
    Children(Box<Query>),
}

/// A condition.
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// All.
    And(Vec<Condition>),
    /// Any.
    Or(Vec<Condition>),
    /// Not.
    Not(Box<Condition>),
    /// One comparison.
    Compare(Path, Operator, Literal),
    /// `IN (…)`, negated if true.
    In(Path, bool, Vec<Literal>),
    /// `IN (SELECT …)`, negated if true.
    SemiJoin(Path, bool, Box<Query>),
}

/// Comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operator {
    /// `=`
    Equal,
    /// `!=`, `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// LIKE
    Like,
}

/// A literal.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// null
    Null,
    /// true, false
    Bool(bool),
    /// A number.
    Number(f64),
    /// Quoted text, unescaped; for LIKE, `\_` and `\%` keep their backslash.
    Text(String),
    /// An unquoted date or date-time, as written.
    Time(String),
    /// `TODAY`, `LAST_N_DAYS:30`: the word in capitals and its number.
    Named(String, i64),
}

/// One ORDER BY entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// What.
    pub path: Path,
    /// DESC.
    pub descending: bool,
    /// NULLS LAST.
    pub nulls_last: bool,
}

/// Where and why a query cannot be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreadable {
    /// Byte offset.
    pub at: usize,
    /// Salesforce's words.
    pub why: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(String),
    Sign(&'static str),
    End,
}

const DEPTH_MAX: usize = 32;
const RESERVED: &[&str] = &[
    "FROM", "WHERE", "GROUP", "HAVING", "ORDER", "LIMIT", "OFFSET", "AND", "OR", "NOT", "IN",
    "LIKE", "ASC", "DESC", "NULLS", "WITH", "USING", "FOR", "SELECT", "BY", "ALL", "UPDATE", "END",
];

fn scan(query: &str) -> Result<Vec<(Token, usize)>, Unreadable> {
    let bytes = query.as_bytes();
    let mut tokens = Vec::new();
    let mut i = 0;
    while let Some(&b) = bytes.get(i) {
        let at = i;
        match b {
            b' ' | b'\t' | b'\n' | b'\r' => i += 1,
            b'\'' => {
                let (text, next) = quoted(query, i)?;
                tokens.push((Token::Text(text), at));
                i = next;
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'_' => {
                while bytes
                    .get(i)
                    .is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.'))
                {
                    i += 1;
                }
                // Date literals carry their number after a colon.
                if bytes.get(i) == Some(&b':') && bytes.get(i + 1).is_some_and(u8::is_ascii_digit) {
                    i += 1;
                    while bytes.get(i).is_some_and(u8::is_ascii_digit) {
                        i += 1;
                    }
                }
                tokens.push((Token::Word(query[at..i].to_owned()), at));
            }
            b'0'..=b'9' | b'-' | b'+' | b'.' => {
                i += 1;
                while bytes.get(i).is_some_and(|b| {
                    b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'+')
                }) {
                    i += 1;
                }
                tokens.push((Token::Number(query[at..i].to_owned()), at));
            }
            _ => {
                let sign = ["<=", ">=", "!=", "<>", "<", ">", "=", "(", ")", ","]
                    .into_iter()
                    .find(|s| query[i..].starts_with(s));
                let Some(sign) = sign else {
                    let c = query[i..].chars().next().unwrap_or(' ');
                    return Err(Unreadable {
                        at,
                        why: format!("unexpected token: '{c}'"),
                    });
                };
                i += sign.len();
                tokens.push((Token::Sign(sign), at));
            }
        }
    }
    tokens.push((Token::End, query.len()));
    Ok(tokens)
}

fn quoted(query: &str, start: usize) -> Result<(String, usize), Unreadable> {
    let bad = |at, why: &str| {
        Err(Unreadable {
            at,
            why: why.to_owned(),
        })
    };
    let mut out = String::new();
    let mut chars = query[start + 1..].char_indices();
    while let Some((i, c)) = chars.next() {
        match c {
            '\'' => return Ok((out, start + 1 + i + 1)),
            '\\' => match chars.next().map(|(_, c)| c) {
                Some('n' | 'N') => out.push('\n'),
                Some('r' | 'R') => out.push('\r'),
                Some('t' | 'T') => out.push('\t'),
                Some('b' | 'B') => out.push('\u{8}'),
                Some('f' | 'F') => out.push('\u{c}'),
                Some(c @ ('"' | '\'' | '\\')) => out.push(c),
                Some(c @ ('_' | '%')) => {
                    out.push('\\');
                    out.push(c);
                }
                Some('u') => {
                    let hex: String = chars.by_ref().take(4).map(|(_, c)| c).collect();
                    let Some(c) = u32::from_str_radix(&hex, 16).ok().and_then(char::from_u32)
                    else {
                        return bad(
                            start + 1 + i,
                            "illegal string literal: invalid unicode escape",
                        );
                    };
                    out.push(c);
                }
                _ => {
                    return bad(
                        start + 1 + i,
                        "invalid string literal: illegal character sequence",
                    );
                }
            },
            c => out.push(c),
        }
    }
    bad(start, "unterminated string literal")
}

/// Parses one query.
///
/// # Errors
/// The first thing that cannot be read.
pub fn parse(query: &str) -> Result<Query, Unreadable> {
    let tokens = scan(query)?;
    let mut p = Parser {
        tokens,
        next: 0,
        depth: 0,
    };
    let q = p.query()?;
    p.end()?;
    Ok(q)
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        &self.tokens[self.next.min(self.tokens.len() - 1)].0
    }

    fn at(&self) -> usize {
        self.tokens[self.next.min(self.tokens.len() - 1)].1
    }

    fn advance(&mut self) -> Token {
        let t = self.peek().clone();
        self.next += 1;
        t
    }

    fn unexpected<T>(&self) -> Result<T, Unreadable> {
        let shown = match self.peek() {
            Token::Word(w) | Token::Number(w) => w.clone(),
            Token::Text(t) => t.clone(),
            Token::Sign(s) => (*s).to_owned(),
            Token::End => "<EOF>".to_owned(),
        };
        Err(Unreadable {
            at: self.at(),
            why: format!("unexpected token: '{shown}'"),
        })
    }

    fn end(&self) -> Result<(), Unreadable> {
        if *self.peek() == Token::End {
            Ok(())
        } else {
            self.unexpected()
        }
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.peek(), Token::Word(w) if w.eq_ignore_ascii_case(word))
    }

    fn take_word(&mut self, word: &str) -> bool {
        let is = self.is_word(word);
        if is {
            self.next += 1;
        }
        is
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let is = matches!(self.peek(), Token::Sign(s) if *s == sign);
        if is {
            self.next += 1;
        }
        is
    }

    fn expect_word(&mut self, word: &str) -> Result<(), Unreadable> {
        if self.take_word(word) {
            Ok(())
        } else {
            self.unexpected()
        }
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), Unreadable> {
        if self.take_sign(sign) {
            Ok(())
        } else {
            self.unexpected()
        }
    }

    fn name(&mut self) -> Result<Name, Unreadable> {
        let at = self.at();
        match self.peek() {
            Token::Word(w) if !RESERVED.iter().any(|r| w.eq_ignore_ascii_case(r)) => {
                let text = w.clone();
                self.next += 1;
                Ok(Name { text, at })
            }
            _ => self.unexpected(),
        }
    }

    fn deeper(&mut self) -> Result<(), Unreadable> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Unreadable {
                at: self.at(),
                why: "query is too complicated".to_owned(),
            });
        }
        Ok(())
    }

    fn query(&mut self) -> Result<Query, Unreadable> {
        self.deeper()?;
        self.expect_word("SELECT")?;
        let mut select = vec![self.item()?];
        while self.take_sign(",") {
            select.push(self.item()?);
        }
        self.expect_word("FROM")?;
        let from = self.name()?;
        self.take_word("AS");
        let alias = match self.peek() {
            Token::Word(w) if !RESERVED.iter().any(|r| w.eq_ignore_ascii_case(r)) => {
                Some(self.name()?.text)
            }
            _ => None,
        };
        let filter = if self.take_word("WHERE") {
            Some(self.conditions()?)
        } else {
            None
        };
        let mut group = Vec::new();
        let mut having = None;
        if self.take_word("GROUP") {
            self.expect_word("BY")?;
            group.push(self.path()?);
            while self.take_sign(",") {
                group.push(self.path()?);
            }
            if self.take_word("HAVING") {
                having = Some(self.conditions()?);
            }
        }
        let mut order = Vec::new();
        if self.take_word("ORDER") {
            self.expect_word("BY")?;
            order.push(self.order()?);
            while self.take_sign(",") {
                order.push(self.order()?);
            }
        }
        let limit = if self.take_word("LIMIT") {
            Some(self.count()?)
        } else {
            None
        };
        let offset = if self.take_word("OFFSET") {
            self.count()?
        } else {
            0
        };
        self.depth -= 1;
        Ok(Query {
            select,
            from,
            alias,
            filter,
            group,
            having,
            order,
            limit,
            offset,
        })
    }

    fn count(&mut self) -> Result<usize, Unreadable> {
        match self.peek() {
            Token::Number(n) if n.bytes().all(|b| b.is_ascii_digit()) => match n.parse() {
                Ok(n) => {
                    self.next += 1;
                    Ok(n)
                }
                Err(_) => self.unexpected(),
            },
            _ => self.unexpected(),
        }
    }

    fn item(&mut self) -> Result<Item, Unreadable> {
        if self.take_sign("(") {
            let q = self.query()?;
            self.expect_sign(")")?;
            return Ok(Item::Children(Box::new(q)));
        }
        let path = self.path()?;
        let alias = match self.peek() {
            Token::Word(w) if !RESERVED.iter().any(|r| w.eq_ignore_ascii_case(r)) => {
                Some(self.name()?.text)
            }
            _ => None,
        };
        Ok(Item::Value(path, alias))
    }

    fn path(&mut self) -> Result<Path, Unreadable> {
        let name = self.name()?;
        if !self.take_sign("(") {
            return Ok(Path {
                parts: dotted(&name)?,
                function: None,
                at: name.at,
            });
        }
        let function = match name.text.to_ascii_uppercase().as_str() {
            "COUNT" => Function::Count,
            "COUNT_DISTINCT" => Function::CountDistinct,
            "SUM" => Function::Sum,
            "AVG" => Function::Avg,
            "MIN" => Function::Min,
            "MAX" => Function::Max,
            _ => {
                return Err(Unreadable {
                    at: name.at,
                    why: format!("unexpected token: '{}'", name.text),
                });
            }
        };
        if function == Function::Count && self.take_sign(")") {
            return Ok(Path {
                parts: Vec::new(),
                function: Some(function),
                at: name.at,
            });
        }
        let inner = self.name()?;
        self.expect_sign(")")?;
        Ok(Path {
            parts: dotted(&inner)?,
            function: Some(function),
            at: inner.at,
        })
    }

    fn order(&mut self) -> Result<Order, Unreadable> {
        let path = self.path()?;
        let descending = self.take_word("DESC");
        if !descending {
            self.take_word("ASC");
        }
        let mut nulls_last = false;
        if self.take_word("NULLS") {
            nulls_last = self.take_word("LAST");
            if !nulls_last {
                self.expect_word("FIRST")?;
            }
        }
        Ok(Order {
            path,
            descending,
            nulls_last,
        })
    }

    /// AND and OR do not mix without parentheses, as in Salesforce.
    fn conditions(&mut self) -> Result<Condition, Unreadable> {
        self.deeper()?;
        let first = self.condition()?;
        let word = if self.is_word("AND") { "AND" } else { "OR" };
        let mut all = vec![first];
        while self.take_word(word) {
            all.push(self.condition()?);
        }
        if self.is_word("AND") || self.is_word("OR") {
            return self.unexpected();
        }
        self.depth -= 1;
        Ok(match (all.len(), word) {
            (1, _) => all.remove(0),
            (_, "AND") => Condition::And(all),
            _ => Condition::Or(all),
        })
    }

    fn condition(&mut self) -> Result<Condition, Unreadable> {
        if self.take_word("NOT") {
            self.deeper()?;
            let inner = self.condition()?;
            self.depth -= 1;
            return Ok(Condition::Not(Box::new(inner)));
        }
        if self.take_sign("(") {
            let inner = self.conditions()?;
            self.expect_sign(")")?;
            return Ok(inner);
        }
        let path = self.path()?;
        let negated = self.take_word("NOT");
        if self.take_word("IN") {
            self.expect_sign("(")?;
            if self.is_word("SELECT") {
                let q = self.query()?;
                self.expect_sign(")")?;
                return Ok(Condition::SemiJoin(path, negated, Box::new(q)));
            }
            let mut values = vec![self.literal()?];
            while self.take_sign(",") {
                values.push(self.literal()?);
            }
            self.expect_sign(")")?;
            return Ok(Condition::In(path, negated, values));
        }
        if negated {
            return self.unexpected();
        }
        let operator = match self.peek() {
            Token::Sign("=") => Operator::Equal,
            Token::Sign("!=" | "<>") => Operator::NotEqual,
            Token::Sign("<") => Operator::Less,
            Token::Sign("<=") => Operator::LessOrEqual,
            Token::Sign(">") => Operator::Greater,
            Token::Sign(">=") => Operator::GreaterOrEqual,
            Token::Word(w) if w.eq_ignore_ascii_case("LIKE") => Operator::Like,
            _ => return self.unexpected(),
        };
        self.next += 1;
        let value = self.literal()?;
        Ok(Condition::Compare(path, operator, value))
    }

    fn literal(&mut self) -> Result<Literal, Unreadable> {
        let literal = match self.peek() {
            Token::Text(t) => Literal::Text(t.clone()),
            Token::Number(n) => match n.parse::<f64>() {
                Ok(v) if v.is_finite() => Literal::Number(v),
                _ if n.len() >= 10 && n.as_bytes().get(4) == Some(&b'-') => {
                    Literal::Time(n.clone())
                }
                _ => return self.unexpected(),
            },
            Token::Word(w) => match w.to_ascii_uppercase().as_str() {
                "NULL" => Literal::Null,
                "TRUE" => Literal::Bool(true),
                "FALSE" => Literal::Bool(false),
                upper => {
                    let (name, n) = upper.split_once(':').unwrap_or((upper, "1"));
                    let known = match name {
                        "TODAY" | "YESTERDAY" | "TOMORROW" | "THIS_WEEK" | "THIS_MONTH"
                        | "LAST_MONTH" | "THIS_YEAR" | "LAST_YEAR" => !upper.contains(':'),
                        "LAST_N_DAYS" | "NEXT_N_DAYS" | "N_DAYS_AGO" | "LAST_N_YEARS" => {
                            upper.contains(':')
                        }
                        _ => false,
                    };
                    match n.parse() {
                        Ok(n) if known => Literal::Named(name.to_owned(), n),
                        _ => return self.unexpected(),
                    }
                }
            },
            _ => return self.unexpected(),
        };
        self.advance();
        Ok(literal)
    }
}

fn dotted(name: &Name) -> Result<Vec<String>, Unreadable> {
    let parts: Vec<String> = name.text.split('.').map(str::to_owned).collect();
    if parts.len() > 6 || parts.iter().any(String::is_empty) {
        return Err(Unreadable {
            at: name.at,
            why: format!("unexpected token: '{}'", name.text),
        });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_demo_evaluates() {
        for q in [
            "SELECT Id, Account.Owner.Email, (SELECT Id FROM Cases WHERE Status = 'New' LIMIT 2) FROM Contact",
            "select count() from Contact c where c.Email like 'a\\_%' and (not (Birthdate < 1980-01-01 or Salary__c >= -1.5e3))",
            "SELECT Industry i, COUNT(Id), MAX(AnnualRevenue) top FROM Account GROUP BY Industry HAVING COUNT(Id) > 1 ORDER BY COUNT(Id) DESC NULLS LAST LIMIT 5 OFFSET 1",
            "SELECT Id FROM Case WHERE AccountId NOT IN (SELECT Id FROM Account WHERE Name = 'O\\'Neil') AND CreatedDate = LAST_N_DAYS:30",
            "SELECT Id FROM Task WHERE CreatedDate > 2026-01-01T00:00:00Z OR WhoId IN ('003', null)",
        ] {
            parse(q).unwrap_or_else(|e| panic!("{q}: {e:?}"));
        }
    }

    #[test]
    fn refuses_what_salesforce_refuses() {
        for (q, at) in [
            ("SELECT FROM Contact", 7),
            ("SELECT Id FROM Contact WHERE a = 1 AND b = 2 OR c = 3", 45),
            ("SELECT Id FROM Contact WHERE Name = 'x", 36),
            ("SELECT * FROM Contact", 7),
            ("SELECT Id FROM Contact; DROP", 22),
            ("SELECT Id FROM Contact LIMIT 1 WHERE Id = 'x'", 31),
        ] {
            assert_eq!(parse(q).unwrap_err().at, at, "{q}");
        }
        let deep = format!(
            "SELECT Id FROM Contact WHERE {}Id = 'x'{}",
            "(".repeat(99),
            ")".repeat(99)
        );
        assert!(parse(&deep).is_err());
    }
}
