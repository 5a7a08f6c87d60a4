//! GraphQL text → syntax tree (GraphQL specification, October 2021, section 2). Executable documents only.

use std::sync::Arc;

use super::super::soql::SyntaxError;

/// Longest document, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 100_000;
/// Deepest nesting of selections and values together.
pub const DEPTH_MAX: usize = 32;
/// Longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 80;
/// Most tokens of a document.
pub const TOKENS_MAX: usize = 20_000;

/// A document: operations and fragments.
#[derive(Debug, Default)]
pub struct Document {
    /// Queries, mutations, subscriptions.
    pub operations: Vec<Operation>,
    /// Named fragments.
    pub fragments: Vec<Fragment>,
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// `query`, `mutation` or `subscription`.
    pub kind: Arc<str>,
    /// Its name.
    pub name: Option<Arc<str>>,
    /// Declared variables.
    pub variables: Vec<Variable>,
    /// What it selects.
    pub selections: Vec<Selection>,
}

/// A declared variable.
#[derive(Debug)]
pub struct Variable {
    /// Without `$`.
    pub name: Arc<str>,
    /// Its type ends in `!`.
    pub required: bool,
    /// Its value where none is given.
    pub default: Option<Value>,
}

/// A named fragment.
#[derive(Debug)]
pub struct Fragment {
    /// Its name.
    pub name: Arc<str>,
    /// Its type condition.
    pub on: Arc<str>,
    /// What it selects.
    pub selections: Vec<Selection>,
}

/// One selection.
#[derive(Debug)]
pub enum Selection {
    /// A field.
    Field(Field),
    /// `...name`
    Spread(Arc<str>, Vec<Directive>),
    /// `... on Type { }`
    Inline(Option<Arc<str>>, Vec<Directive>, Vec<Selection>),
}

/// A selected field.
#[derive(Debug)]
pub struct Field {
    /// Its response key where that is not its name.
    pub alias: Option<Arc<str>>,
    /// Its name.
    pub name: Arc<str>,
    /// Its arguments.
    pub arguments: Vec<(Arc<str>, Value)>,
    /// Its directives.
    pub directives: Vec<Directive>,
    /// What is selected of it; empty = a leaf.
    pub selections: Vec<Selection>,
}

/// A directive.
#[derive(Debug)]
pub struct Directive {
    /// Without `@`.
    pub name: Arc<str>,
    /// Its arguments.
    pub arguments: Vec<(Arc<str>, Value)>,
}

/// A value. `Debug` does not show it.
#[derive(Clone)]
pub enum Value {
    /// `$name`
    Variable(Arc<str>),
    /// A number, as written.
    Number(String),
    /// Text, decoded.
    Text(String),
    /// `true`, `false`
    Bool(bool),
    /// `null`
    Null,
    /// A word of an enumeration.
    Word(Arc<str>),
    /// `[…]`
    List(Vec<Value>),
    /// `{…}`
    Object(Vec<(Arc<str>, Value)>),
}

impl std::fmt::Debug for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Value(***)")
    }
}

#[derive(Clone, PartialEq)]
enum Token {
    Sign(u8),
    Spread,
    Name(Arc<str>),
    Number(String),
    Text(String),
    End,
}

/// Reads one document.
///
/// # Errors
/// [`SyntaxError`] for anything that is no executable document or is over a bound.
pub fn parse(text: &str) -> Result<Document, SyntaxError> {
    if text.len() > DOCUMENT_BYTES_MAX {
        return Err(SyntaxError::new(0, "the query is too long"));
    }
    let mut parser = Parser {
        tokens: scan(text)?,
        next: 0,
        depth: 0,
    };
    let mut document = Document::default();
    while *parser.peek() != Token::End {
        parser.definition(&mut document)?;
    }
    if document.operations.is_empty() {
        return Err(SyntaxError::new(0, "the document holds no operation"));
    }
    Ok(document)
}

fn scan(text: &str) -> Result<Vec<(Token, usize)>, SyntaxError> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let start = at;
        let is_name = |b: &u8| b.is_ascii_alphanumeric() || *b == b'_';
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                while bytes.get(at).is_some_and(|b| !matches!(b, b'\n' | b'\r')) {
                    at += 1;
                }
                continue;
            }
            b'!' | b'$' | b'&' | b'(' | b')' | b':' | b'=' | b'@' | b'[' | b']' | b'{' | b'|'
            | b'}' => {
                at += 1;
                tokens.push((Token::Sign(byte), start));
            }
            b'.' if bytes[at..].starts_with(b"...") => {
                at += 3;
                tokens.push((Token::Spread, start));
            }
            b'_' | b'a'..=b'z' | b'A'..=b'Z' => {
                while bytes.get(at).is_some_and(is_name) {
                    at += 1;
                }
                if at - start > NAME_BYTES_MAX {
                    return Err(SyntaxError::new(start, "a name is too long"));
                }
                tokens.push((Token::Name(text[start..at].into()), start));
            }
            b'-' | b'0'..=b'9' => {
                at += 1;
                while bytes
                    .get(at)
                    .is_some_and(|b| is_name(b) || matches!(b, b'.' | b'+' | b'-'))
                {
                    at += 1;
                }
                let number = &text[start..at];
                if number.len() > 64 || !super::super::super::json_body::is_number(number) {
                    return Err(SyntaxError::new(start, "a number can not be read"));
                }
                tokens.push((Token::Number(number.to_owned()), start));
            }
            b'"' => {
                let (value, end) = string(text, start)?;
                at = end;
                tokens.push((Token::Text(value), start));
            }
            _ => return Err(SyntaxError::new(start, "an unexpected character")),
        }
        if tokens.len() > TOKENS_MAX {
            return Err(SyntaxError::new(start, "the query has too many parts"));
        }
    }
    tokens.push((Token::End, text.len()));
    Ok(tokens)
}

/// The text that begins at `start`, decoded, and where it ends.
fn string(text: &str, start: usize) -> Result<(String, usize), SyntaxError> {
    let bad = |at: usize, what: &'static str| Err(SyntaxError::new(at.min(text.len()), what));
    if text[start..].starts_with("\"\"\"") {
        return bad(start, "block strings are not supported");
    }
    // Escapes are those of JSON (section 2.9.4), so what has been delimited is read as JSON.
    let bytes = text.as_bytes();
    let mut at = start + 1;
    loop {
        match bytes.get(at) {
            Some(b'"') => break,
            Some(b'\\') => at += 2,
            None | Some(0..=0x1F) => return bad(at, "a string does not end"),
            Some(_) => at += 1,
        }
    }
    let end = at + 1;
    match text.get(start..end).map(serde_json::from_str::<String>) {
        Some(Ok(value)) => Ok((value, end)),
        _ => bad(start, "a string can not be read"),
    }
}

struct Parser {
    tokens: Vec<(Token, usize)>,
    next: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.next).map_or(&Token::End, |(t, _)| t)
    }

    fn at(&self) -> usize {
        let last = self.tokens.last().map_or(0, |(_, at)| *at);
        self.tokens.get(self.next).map_or(last, |(_, at)| *at)
    }

    fn take(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    fn fail<T>(&self, what: &'static str) -> Result<T, SyntaxError> {
        Err(SyntaxError::new(self.at(), what))
    }

    fn is(&mut self, sign: u8) -> bool {
        let found = *self.peek() == Token::Sign(sign);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, sign: u8) -> Result<(), SyntaxError> {
        if self.is(sign) {
            return Ok(());
        }
        self.fail("the query can not be read")
    }

    fn name(&mut self) -> Result<Arc<str>, SyntaxError> {
        if let Token::Name(name) = self.peek() {
            let name = name.clone();
            self.next += 1;
            return Ok(name);
        }
        self.fail("a name is missing")
    }

    fn deeper<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SyntaxError>,
    ) -> Result<T, SyntaxError> {
        if self.depth >= DEPTH_MAX {
            return self.fail("the query is nested too deeply");
        }
        self.depth += 1;
        let made = read(self);
        self.depth -= 1;
        made
    }

    fn definition(&mut self, document: &mut Document) -> Result<(), SyntaxError> {
        if *self.peek() == Token::Sign(b'{') {
            document.operations.push(Operation {
                kind: "query".into(),
                name: None,
                variables: Vec::new(),
                selections: self.selections()?,
            });
            return Ok(());
        }
        let word = self.name()?;
        match &*word {
            "query" | "mutation" | "subscription" => {
                let name = match self.peek() {
                    Token::Name(_) => Some(self.name()?),
                    _ => None,
                };
                let variables = self.variables()?;
                if !self.directives()?.is_empty() {
                    return self.fail("directives of an operation are not supported");
                }
                document.operations.push(Operation {
                    kind: word,
                    name,
                    variables,
                    selections: self.selections()?,
                });
            }
            "fragment" => {
                let name = self.name()?;
                if &*self.name()? != "on" || &*name == "on" {
                    return self.fail("a fragment needs its type");
                }
                let on = self.name()?;
                if !self.directives()?.is_empty() {
                    return self.fail("directives of a fragment are not supported");
                }
                if document.fragments.iter().any(|f| f.name == name) {
                    return self.fail("two fragments have one name");
                }
                let selections = self.selections()?;
                document.fragments.push(Fragment {
                    name,
                    on,
                    selections,
                });
            }
            _ => return self.fail("a document holds operations and fragments only"),
        }
        Ok(())
    }

    fn variables(&mut self) -> Result<Vec<Variable>, SyntaxError> {
        let mut all: Vec<Variable> = Vec::new();
        if !self.is(b'(') {
            return Ok(all);
        }
        while !self.is(b')') {
            self.expect(b'$')?;
            let name = self.name()?;
            self.expect(b':')?;
            let required = self.deeper(Self::kind)?;
            let default = match self.is(b'=') {
                true => Some(self.value()?),
                false => None,
            };
            if all.iter().any(|v| v.name == name) {
                return self.fail("two variables have one name");
            }
            all.push(Variable {
                name,
                required,
                default,
            });
        }
        Ok(all)
    }

    /// A type: whether a value is required.
    fn kind(&mut self) -> Result<bool, SyntaxError> {
        if self.is(b'[') {
            self.deeper(Self::kind)?;
            self.expect(b']')?;
        } else {
            self.name()?;
        }
        Ok(self.is(b'!'))
    }

    fn directives(&mut self) -> Result<Vec<Directive>, SyntaxError> {
        let mut all = Vec::new();
        while self.is(b'@') {
            let name = self.name()?;
            let arguments = self.arguments()?;
            all.push(Directive { name, arguments });
        }
        Ok(all)
    }

    fn arguments(&mut self) -> Result<Vec<(Arc<str>, Value)>, SyntaxError> {
        match self.is(b'(') {
            true => self.pairs(b')'),
            false => Ok(Vec::new()),
        }
    }

    fn pairs(&mut self, end: u8) -> Result<Vec<(Arc<str>, Value)>, SyntaxError> {
        let mut all: Vec<(Arc<str>, Value)> = Vec::new();
        while !self.is(end) {
            let name = self.name()?;
            self.expect(b':')?;
            if all.iter().any(|(n, _)| *n == name) {
                return self.fail("two arguments have one name");
            }
            let value = self.value()?;
            all.push((name, value));
        }
        Ok(all)
    }

    fn value(&mut self) -> Result<Value, SyntaxError> {
        self.deeper(|p| {
            Ok(match p.take() {
                Token::Sign(b'$') => Value::Variable(p.name()?),
                Token::Number(text) => Value::Number(text),
                Token::Text(text) => Value::Text(text),
                Token::Name(name) => match &*name {
                    "true" => Value::Bool(true),
                    "false" => Value::Bool(false),
                    "null" => Value::Null,
                    _ => Value::Word(name),
                },
                Token::Sign(b'[') => {
                    let mut all = Vec::new();
                    while !p.is(b']') {
                        all.push(p.value()?);
                    }
                    Value::List(all)
                }
                Token::Sign(b'{') => Value::Object(p.pairs(b'}')?),
                _ => return p.fail("a value is missing"),
            })
        })
    }

    fn selections(&mut self) -> Result<Vec<Selection>, SyntaxError> {
        self.deeper(|p| {
            p.expect(b'{')?;
            let mut all = Vec::new();
            while !p.is(b'}') {
                all.push(p.selection()?);
            }
            match all.is_empty() {
                true => p.fail("nothing is selected"),
                false => Ok(all),
            }
        })
    }

    fn selection(&mut self) -> Result<Selection, SyntaxError> {
        if *self.peek() == Token::Spread {
            self.next += 1;
            let on = match self.peek() {
                Token::Name(name) if &**name != "on" => {
                    let name = self.name()?;
                    return Ok(Selection::Spread(name, self.directives()?));
                }
                Token::Name(_) => {
                    self.next += 1;
                    Some(self.name()?)
                }
                _ => None,
            };
            let directives = self.directives()?;
            return Ok(Selection::Inline(on, directives, self.selections()?));
        }
        let first = self.name()?;
        let (alias, name) = match self.is(b':') {
            true => (Some(first), self.name()?),
            false => (None, first),
        };
        let arguments = self.arguments()?;
        let directives = self.directives()?;
        let selections = match self.peek() {
            Token::Sign(b'{') => self.selections()?,
            _ => Vec::new(),
        };
        Ok(Selection::Field(Field {
            alias,
            name,
            arguments,
            directives,
            selections,
        }))
    }
}
