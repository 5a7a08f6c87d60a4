//! Where cells and rows end, byte by byte over any cuts; alone decides what is malformed.

use super::{Fault, LineEnding};

/// The state between two bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    CellStart,
    /// In an unquoted cell; `odd` = an odd number of quotes so far.
    Bare {
        odd: bool,
    },
    Quoted,
    /// Behind a quote that closes the cell, unless another one follows.
    Closed,
    /// The last cell has ended; only LF may follow.
    Ending,
}

/// What [`Lex::next`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// The input ends first.
    More,
    /// A cell ends before this index, where its delimiter stands.
    Cell(usize),
    /// The row's last cell ends before this index.
    Last(usize),
    /// The line ending, and the row with it, is complete.
    Row,
}

#[derive(Debug)]
pub(super) struct Lex {
    state: State,
    delimiter: u8,
    /// Whether CR LF ends rows, once that is known.
    crlf: Option<bool>,
}

impl Lex {
    pub(super) fn new(delimiter: u8, line_ending: LineEnding) -> Self {
        Self {
            state: State::CellStart,
            delimiter,
            crlf: match line_ending {
                LineEnding::AsHeader => None,
                LineEnding::Lf => Some(false),
                LineEnding::CrLf => Some(true),
            },
        }
    }

    pub(super) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    pub(super) fn crlf(&self) -> Option<bool> {
        self.crlf
    }

    /// The line ending of this document, or nothing behind a last row without.
    pub(super) fn line_ending(&self, present: bool) -> &'static [u8] {
        match (present, self.crlf) {
            (false, _) => b"",
            (true, Some(true)) => b"\r\n",
            (true, _) => b"\n",
        }
    }

    /// The next token of `bytes` from `i` on, and where to go on.
    ///
    /// A quote in an unquoted cell is literal to some readers and opens a quoted part to others. It passes only
    /// where both see the same cell: an even number of quotes with no separator between them.
    pub(super) fn next(
        &mut self,
        bytes: &[u8],
        mut i: usize,
    ) -> Result<(Token, usize), (Fault, usize)> {
        loop {
            let Some(&b) = bytes.get(i) else {
                return Ok((Token::More, i));
            };
            match self.state {
                State::CellStart if b == b'"' => {
                    self.state = State::Quoted;
                    i += 1;
                }
                State::CellStart => self.state = State::Bare { odd: false },
                State::Quoted => match memchr::memchr(b'"', &bytes[i..]) {
                    Some(n) => {
                        self.state = State::Closed;
                        i += n + 1;
                    }
                    None => return Ok((Token::More, bytes.len())),
                },
                State::Closed if b == b'"' => {
                    self.state = State::Quoted;
                    i += 1;
                }
                State::Ending if b == b'\n' => {
                    self.state = State::CellStart;
                    return Ok((Token::Row, i + 1));
                }
                State::Ending => return Err((Fault::Malformed("CSV line ending"), i)),
                State::Bare { odd } if b == b'"' => {
                    self.state = State::Bare { odd: !odd };
                    i += 1;
                }
                State::Bare { odd: true } if b == self.delimiter || matches!(b, b'\n' | b'\r') => {
                    return Err((Fault::Malformed("CSV: stray quote"), i));
                }
                State::Bare { .. } | State::Closed if b == self.delimiter => {
                    self.state = State::CellStart;
                    return Ok((Token::Cell(i), i + 1));
                }
                State::Bare { .. } | State::Closed if matches!(b, b'\n' | b'\r') => {
                    let cr = b == b'\r';
                    if *self.crlf.get_or_insert(cr) != cr {
                        return Err((Fault::Malformed("CSV line ending"), i));
                    }
                    self.state = State::Ending;
                    return Ok((Token::Last(i), i + usize::from(cr)));
                }
                State::Bare { .. } => i += 1,
                State::Closed => {
                    return Err((Fault::Malformed("CSV: text after a closing quote"), i));
                }
            }
        }
    }

    /// The document ends inside a row.
    pub(super) fn end(&self) -> Result<(), Fault> {
        match self.state {
            State::CellStart | State::Bare { odd: false } | State::Closed => Ok(()),
            State::Bare { odd: true } => Err(Fault::Malformed("CSV: stray quote")),
            State::Quoted | State::Ending => Err(Fault::Truncated),
        }
    }
}
