//! Where text and markup begin and end, over any cuts. Checks what has to be checked before a piece is used:
//! references, `]]>` in text, dashes in comments; no document type declaration.

use super::Fault;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Text {
        /// `]` just seen, up to 2.
        brackets: u8,
    },
    /// Behind `&`; bytes so far are in `reference`.
    Reference,
    /// Behind `<`, of which the kind is not known yet.
    Markup,
    /// In a tag; the quote that is open, or 0.
    Tag { quote: u8 },
    /// Dashes just seen, up to 2.
    Comment { dashes: u8 },
    /// Whether `?` was just seen.
    Instruction { question: bool },
    /// `]` seen at the end of the last piece, up to 2.
    Section { brackets: u8 },
}

/// What [`Lex::next`] found. Ranges are of the input given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece {
    /// The input ends here.
    More,
    /// Text, or a part of it.
    Text(usize, usize),
    /// A tag is complete; it, or its part of this input, stands here.
    Tag(usize, usize),
    /// So is a processing instruction or the XML declaration.
    Instruction(usize, usize),
    /// A comment is complete.
    Comment,
    /// A CDATA section begins.
    SectionStart,
    /// Text of it, or a part of it.
    Section(usize, usize),
    /// As many `]` of it that came with an earlier input.
    SectionBrackets(u8),
    /// It ends.
    SectionEnd,
}

const SECTION: &[u8] = b"<![CDATA[";

/// Longest character reference without `&` and `;`.
pub(super) const REFERENCE_MAX: usize = 10;

#[derive(Debug)]
pub(super) struct Lex {
    state: State,
    reference: [u8; REFERENCE_MAX],
    length: usize,
    /// What came of the current markup with earlier inputs.
    pub(super) token: Vec<u8>,
    /// Where it starts, or goes on, in the current input.
    token_at: usize,
    token_max: usize,
}

impl Lex {
    pub(super) fn new(token_max: usize) -> Self {
        Self {
            state: State::Text { brackets: 0 },
            reference: [0; REFERENCE_MAX],
            length: 0,
            token: Vec::new(),
            token_at: 0,
            token_max,
        }
    }

    /// Between pieces again, as before any markup.
    pub(super) fn restart(&mut self) {
        self.state = State::Text { brackets: 0 };
        self.token.clear();
    }

    /// An input goes on at `at`.
    pub(super) fn start_input(&mut self, at: usize) {
        self.token_at = at;
    }

    /// The input ends at `end`: what is needed of it is kept.
    pub(super) fn end_input(&mut self, bytes: &[u8], end: usize) -> Result<(), Fault> {
        if let State::Markup | State::Tag { .. } | State::Instruction { .. } = self.state {
            self.token.extend_from_slice(&bytes[self.token_at..end]);
            if self.token.len() > self.token_max {
                return Err(Fault::TooLarge("XML tag"));
            }
        }
        Ok(())
    }

    /// Whether the document may end here.
    pub(super) fn is_between(&self) -> bool {
        matches!(self.state, State::Text { .. })
    }

    /// Whether text may go on here whatever stood before.
    pub(super) fn is_plain(&self) -> bool {
        self.state == State::Text { brackets: 0 }
    }

    /// Markup ends before `end`.
    fn end_token(&mut self, end: usize) -> Result<(), Fault> {
        self.state = State::Text { brackets: 0 };
        if self.token.len() + (end - self.token_at) > self.token_max {
            return Err(Fault::TooLarge("XML tag"));
        }
        Ok(())
    }

    /// The next piece of `bytes` from `i` on, and where to go on.
    pub(super) fn next(
        &mut self,
        bytes: &[u8],
        mut i: usize,
    ) -> Result<(Piece, usize), (Fault, usize)> {
        let from = i;
        loop {
            let Some(&b) = bytes.get(i) else {
                if i > from && matches!(self.state, State::Text { .. } | State::Reference) {
                    return Ok((Piece::Text(from, i), i));
                }
                return Ok((Piece::More, i));
            };
            match self.state {
                State::Text { brackets } => match b {
                    b'<' => {
                        if i > from {
                            return Ok((Piece::Text(from, i), i));
                        }
                        self.state = State::Markup;
                        self.token.clear();
                        self.token_at = i;
                        i += 1;
                    }
                    b'&' => {
                        self.state = State::Reference;
                        self.length = 0;
                        i += 1;
                    }
                    b']' => {
                        self.state = State::Text {
                            brackets: (brackets + 1).min(2),
                        };
                        i += 1;
                    }
                    b'>' if brackets == 2 => {
                        return Err((Fault::Malformed("XML text: ]]>"), i));
                    }
                    _ => {
                        self.state = State::Text { brackets: 0 };
                        i = memchr::memchr3(b'<', b'&', b']', &bytes[i..])
                            .map_or(bytes.len(), |n| i + n);
                    }
                },
                State::Reference => {
                    if b == b';' {
                        if referenced(&self.reference[..self.length]).is_none() {
                            return Err((Fault::Malformed("XML reference"), i));
                        }
                        self.state = State::Text { brackets: 0 };
                    } else {
                        if self.length == REFERENCE_MAX {
                            return Err((Fault::Malformed("XML reference"), i));
                        }
                        self.reference[self.length] = b;
                        self.length += 1;
                    }
                    i += 1;
                }
                State::Markup => {
                    // What came of it so far, with this byte: never more than nine.
                    let mut so_far = [0; 9];
                    let before = self.token.len();
                    let length = before + i + 1 - self.token_at;
                    so_far[..before].copy_from_slice(&self.token);
                    so_far[before..length].copy_from_slice(&bytes[self.token_at..=i]);
                    i += 1;
                    match &so_far[..length] {
                        [_, b'?'] => self.state = State::Instruction { question: false },
                        [_, b'!'] | [_, b'!', b'-'] => {}
                        [_, b'!', b'-', b'-'] => self.state = State::Comment { dashes: 0 },
                        SECTION => {
                            self.token.clear();
                            self.state = State::Section { brackets: 0 };
                            return Ok((Piece::SectionStart, i));
                        }
                        part @ [_, b'!', ..] if SECTION.starts_with(part) => {}
                        [_, b'!', ..] => {
                            return Err((Fault::Malformed("XML: declaration in the document"), i));
                        }
                        _ => {
                            self.state = State::Tag { quote: 0 };
                            i -= 1;
                        }
                    }
                }
                State::Tag { quote: 0 } => match memchr::memchr3(b'>', b'"', b'\'', &bytes[i..]) {
                    None => return Ok((Piece::More, bytes.len())),
                    Some(n) if bytes[i + n] == b'>' => {
                        let end = i + n + 1;
                        self.end_token(end).map_err(|f| (f, end))?;
                        return Ok((Piece::Tag(self.token_at, end), end));
                    }
                    Some(n) => {
                        self.state = State::Tag {
                            quote: bytes[i + n],
                        };
                        i += n + 1;
                    }
                },
                State::Tag { quote } => match memchr::memchr(quote, &bytes[i..]) {
                    None => return Ok((Piece::More, bytes.len())),
                    Some(n) => {
                        self.state = State::Tag { quote: 0 };
                        i += n + 1;
                    }
                },
                State::Comment { dashes } => {
                    i += 1;
                    self.state = match (dashes, b) {
                        (2, b'>') => {
                            self.restart();
                            return Ok((Piece::Comment, i));
                        }
                        (2, _) => return Err((Fault::Malformed("XML comment"), i)),
                        (dashes, b'-') => State::Comment { dashes: dashes + 1 },
                        _ => State::Comment { dashes: 0 },
                    };
                }
                State::Instruction { question } => {
                    i += 1;
                    if question && b == b'>' {
                        self.end_token(i).map_err(|f| (f, i))?;
                        return Ok((Piece::Instruction(self.token_at, i), i));
                    }
                    self.state = State::Instruction {
                        question: b == b'?',
                    };
                }
                State::Section { brackets: 0 } => {
                    let end = memchr::memchr(b']', &bytes[i..]).map_or(bytes.len(), |n| i + n);
                    match &bytes[end..] {
                        [b']', b']', b'>', ..] if end == i => {
                            self.state = State::Text { brackets: 0 };
                            return Ok((Piece::SectionEnd, i + 3));
                        }
                        [b']', b']'] | [b']'] if end == i => {
                            self.state = State::Section {
                                brackets: (bytes.len() - i) as u8,
                            };
                            return Ok((Piece::More, bytes.len()));
                        }
                        _ if end == i => return Ok((Piece::Section(i, i + 1), i + 1)),
                        _ => return Ok((Piece::Section(i, end), end)),
                    }
                }
                State::Section { brackets } => match (brackets, b) {
                    (2, b'>') => {
                        self.state = State::Text { brackets: 0 };
                        return Ok((Piece::SectionEnd, i + 1));
                    }
                    (2, b']') => return Ok((Piece::SectionBrackets(1), i + 1)),
                    (1, b']') => {
                        self.state = State::Section { brackets: 2 };
                        i += 1;
                    }
                    _ => {
                        self.state = State::Section { brackets: 0 };
                        return Ok((Piece::SectionBrackets(brackets), i));
                    }
                },
            }
        }
    }
}

/// The character that a reference (without `&` and `;`) stands for: one of the five, or a character of XML 1.0.
pub(super) fn referenced(name: &[u8]) -> Option<char> {
    let code = match name {
        b"amp" => return Some('&'),
        b"lt" => return Some('<'),
        b"gt" => return Some('>'),
        b"quot" => return Some('"'),
        b"apos" => return Some('\''),
        [b'#', b'x', hex @ ..] if hex.iter().all(u8::is_ascii_hexdigit) => {
            u32::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?
        }
        [b'#', digits @ ..] if digits.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(digits).ok()?.parse().ok()?
        }
        _ => return None,
    };
    char::from_u32(code).filter(|c| is_char(*c))
}

/// Char of XML 1.0.
pub(super) fn is_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Finds what is no character of XML 1.0 in valid UTF-8, over any cuts.
#[derive(Debug, Default)]
pub(super) struct Chars {
    last: [u8; 2],
}

impl Chars {
    /// How many bytes of `part` are good.
    pub(super) fn good(&mut self, part: &[u8]) -> usize {
        let control = |b: &u8| *b < 0x20 && !matches!(*b, b'\t' | b'\n' | b'\r');
        let mut end = part.len();
        // Whole blocks without an early exit are compared many bytes at a time.
        for (block, at) in part.chunks(256).zip((0..).step_by(256)) {
            if block.iter().fold(false, |any, b| any | control(b)) {
                end = at + block.iter().position(control).unwrap_or(0);
                break;
            }
        }
        // U+FFFE and U+FFFF are EF BF BE and EF BF BF.
        let last = self.last;
        let before = |i: usize, back: usize| match i.checked_sub(back) {
            Some(at) => part[at],
            None => last[2 + i - back],
        };
        let not_char = |i: usize| {
            matches!(part[i], 0xbe | 0xbf) && before(i, 1) == 0xbf && before(i, 2) == 0xef
        };
        let head = (0..end.min(2)).find(|i| not_char(*i));
        let found = head.or_else(|| {
            memchr::memchr_iter(0xef, &part[..end])
                .map(|at| at + 2)
                .find(|i| *i < end && not_char(*i))
        });
        match part {
            [.., a, b] => self.last = [*a, *b],
            [b] => self.last = [self.last[1], *b],
            [] => {}
        }
        found.unwrap_or(end)
    }
}
