//! Validates one value of any depth without looking at its names: for what passes whole or leaves whole.

use super::super::simd::{self, Form, Lanes, Work};
use super::lex::{At, Fault, LiteralScan, NumberScan, StringScan, skip_plain, skip_space};

/// Deepest nesting that can be tracked; [`super::super::Bounds::depth_max`] is cut to it.
pub(super) const DEPTH_MAX: usize = 128;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Due {
    #[default]
    Value,
    FirstKey,
    Key,
    Colon,
    FirstElement,
    After,
    InKey,
    InString,
    InNumber,
    InLiteral,
}

/// The bounds that hold inside it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Containers that may still be opened.
    pub(super) depth: usize,
    /// As in `Bounds`.
    pub(super) key_bytes: usize,
    /// As in `Bounds`.
    pub(super) number_bytes: usize,
}

/// One value, from its first byte to behind its last.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Subtree {
    due: Due,
    /// One bit a level, the innermost lowest: 1 = object.
    objects: u128,
    depth: usize,
    /// Bytes of the key so far.
    key_length: usize,
    /// The last string; after a scalar string, that one.
    pub(super) string: StringScan,
    number: NumberScan,
    literal: LiteralScan,
}

struct Run<'a> {
    subtree: &'a mut Subtree,
    bytes: &'a [u8],
    i: usize,
    limits: Limits,
}

impl Work for Run<'_> {
    type Output = Result<Option<usize>, At>;

    #[inline(always)]
    fn work<L: Lanes>(self, lanes: L) -> Self::Output {
        // Kept out of memory while it changes with every token.
        let mut due = self.subtree.due;
        let result = (self.subtree).go(lanes, &mut due, self.bytes, self.i, self.limits);
        self.subtree.due = due;
        result
    }
}

impl Subtree {
    /// Validates on from `i`; `Some` = the offset behind the value. A number at the top ends before the first
    /// byte that cannot belong to it.
    #[inline]
    pub(super) fn run(
        &mut self,
        form: Form,
        bytes: &[u8],
        i: usize,
        limits: Limits,
    ) -> Result<Option<usize>, At> {
        simd::run(
            form,
            Run {
                subtree: self,
                bytes,
                i,
                limits,
            },
        )
    }

    #[inline(always)]
    fn go(
        &mut self,
        lanes: impl Lanes,
        due: &mut Due,
        bytes: &[u8],
        mut i: usize,
        limits: Limits,
    ) -> Result<Option<usize>, At> {
        loop {
            match *due {
                Due::Value | Due::FirstElement => {
                    i = skip_space(lanes, bytes, i);
                    let Some(&b) = bytes.get(i) else {
                        return Ok(None);
                    };
                    match b {
                        b'"' => {
                            // Most strings are plain and whole.
                            let end = skip_plain::<false>(lanes, bytes, i + 1);
                            if bytes.get(end) == Some(&b'"') {
                                (self.string.escaped, self.string.wide) = (false, false);
                                i = end + 1;
                                *due = Due::After;
                            } else {
                                self.string = StringScan::default();
                                i += 1;
                                *due = Due::InString;
                                continue;
                            }
                        }
                        b'{' | b'[' => {
                            if self.depth >= limits.depth.min(DEPTH_MAX) {
                                return Err((Fault::TooLarge("depth"), i));
                            }
                            let object = b == b'{';
                            self.objects = self.objects << 1 | u128::from(object);
                            self.depth += 1;
                            *due = if object {
                                Due::FirstKey
                            } else {
                                Due::FirstElement
                            };
                            i += 1;
                            continue;
                        }
                        b']' if *due == Due::FirstElement => {
                            self.close(due);
                            i += 1;
                        }
                        b'-' | b'0'..=b'9' => {
                            self.number = NumberScan::default();
                            *due = Due::InNumber;
                            continue;
                        }
                        _ => {
                            self.literal =
                                LiteralScan::start(b).ok_or((Fault::Malformed("value"), i))?;
                            *due = Due::InLiteral;
                            continue;
                        }
                    }
                }
                Due::FirstKey | Due::Key => {
                    i = skip_space(lanes, bytes, i);
                    match bytes.get(i) {
                        None => return Ok(None),
                        Some(b'"') => {
                            let end = skip_plain::<true>(lanes, bytes, i + 1);
                            if bytes.get(end) == Some(&b'"') {
                                if end - i - 1 > limits.key_bytes {
                                    return Err((Fault::TooLarge("key"), end));
                                }
                                i = end + 1;
                                *due = Due::Colon;
                            } else {
                                self.string = StringScan::default();
                                self.key_length = 0;
                                i += 1;
                                *due = Due::InKey;
                            }
                        }
                        Some(b'}') if *due == Due::FirstKey => {
                            i += 1;
                            self.close(due);
                            if self.depth == 0 {
                                return Ok(Some(i));
                            }
                        }
                        Some(_) => return Err((Fault::Malformed("object"), i)),
                    }
                    continue;
                }
                Due::Colon => {
                    i = skip_space(lanes, bytes, i);
                    match bytes.get(i) {
                        None => return Ok(None),
                        Some(b':') => i += 1,
                        Some(_) => return Err((Fault::Malformed("object"), i)),
                    }
                    *due = Due::Value;
                    continue;
                }
                Due::After => {
                    i = skip_space(lanes, bytes, i);
                    let object = self.objects & 1 == 1;
                    match bytes.get(i) {
                        None => return Ok(None),
                        Some(b',') => {
                            i += 1;
                            *due = if object { Due::Key } else { Due::Value };
                            continue;
                        }
                        Some(b'}') if object => {}
                        Some(b']') if !object => {}
                        Some(_) => {
                            let what = if object { "object" } else { "array" };
                            return Err((Fault::Malformed(what), i));
                        }
                    }
                    i += 1;
                    self.close(due);
                }
                Due::InKey => {
                    let end = self.string.scan::<true>(bytes, i)?;
                    self.key_length += end.map_or(bytes.len(), |end| end - 1) - i;
                    if self.key_length > limits.key_bytes {
                        return Err((Fault::TooLarge("key"), end.unwrap_or(bytes.len())));
                    }
                    let Some(end) = end else {
                        return Ok(None);
                    };
                    i = end;
                    *due = Due::Colon;
                    continue;
                }
                Due::InString => {
                    let Some(end) = self.string.scan::<false>(bytes, i)? else {
                        return Ok(None);
                    };
                    i = end;
                    *due = Due::After;
                }
                Due::InNumber => {
                    let Some(end) = self.number.scan(bytes, i, limits.number_bytes)? else {
                        return Ok(None);
                    };
                    i = end;
                    *due = Due::After;
                }
                Due::InLiteral => {
                    let Some(end) = self.literal.scan(bytes, i)? else {
                        return Ok(None);
                    };
                    i = end;
                    *due = Due::After;
                }
            }
            if self.depth == 0 {
                return Ok(Some(i));
            }
        }
    }

    /// Whether the value is a number that may end here, at the end of the document.
    pub(super) fn ends_as_number(&self) -> bool {
        self.depth == 0 && self.due == Due::InNumber && self.number.is_complete()
    }

    #[inline(always)]
    fn close(&mut self, due: &mut Due) {
        self.objects >>= 1;
        self.depth -= 1;
        *due = Due::After;
    }
}
