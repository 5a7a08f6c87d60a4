//! What a value, a key and a closing bracket mean under the program.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::{Out, ScalarKind};
use super::compiled::{self, Compiled, DecideBy, Op};
use super::lex::{self, Fault};
use super::subtree::Subtree;
use super::{DECIDING_BYTES_MAX, Frame, JsonRewriter, Kind, State, Use};
use crate::engine::treatment::{Scalar, Treated};

impl JsonRewriter {
    /// The value that starts with `b` at `i` meets its node. True if it is held from here.
    pub(super) fn start_value(
        &mut self,
        compiled: &Compiled,
        input: &Bytes,
        b: u8,
        i: usize,
        out: &mut Out,
    ) -> Result<bool, (Fault, usize)> {
        let container = matches!(b, b'{' | b'[');
        let op = match &compiled.ops[self.node as usize] {
            Op::Either {
                object,
                array,
                scalar,
            } => {
                self.node = match b {
                    b'{' => *object,
                    b'[' => *array,
                    _ => *scalar,
                };
                match &compiled.ops[self.node as usize] {
                    // A chain of them could be a circle.
                    Op::Either { .. } => &Op::Drop,
                    op => op,
                }
            }
            op => op,
        };
        let what = match op {
            Op::Clear => {
                self.emit_lead(input, i, out);
                Use::Pass
            }
            Op::Drop => {
                if self.stack.is_empty() {
                    self.instead(input, i, b"null", out);
                } else {
                    self.sink.discard(input, i, out);
                }
                Use::Skip
            }
            Op::Refuse => return Err((Fault::Contradiction, i)),
            Op::Constant(text) => {
                self.instead(input, i, text.as_bytes(), out);
                Use::Skip
            }
            Op::Treat { treatment, counter } => {
                if let Some(count) = self.counts.treated.get_mut(*counter as usize) {
                    *count += 1;
                }
                if container || self.net.is_none() && compiled::gives_null(treatment) {
                    self.instead(input, i, b"null", out);
                    Use::Skip
                } else {
                    self.emit_lead(input, i, out);
                    Use::Treat(self.node)
                }
            }
            Op::Scalar(kind) => {
                let fits = match kind {
                    ScalarKind::Number => b == b'-' || b.is_ascii_digit(),
                    ScalarKind::Boolean => matches!(b, b't' | b'f'),
                };
                if fits {
                    self.emit_lead(input, i, out);
                    Use::Pass
                } else {
                    self.null_or_null(input, b, i, out)
                }
            }
            Op::Expect(_) if b != b'"' => return Err((Fault::Contradiction, i)),
            Op::Expect(_) => Use::Expect(self.node),
            Op::Link(_) if b == b'"' => Use::Link(self.node),
            Op::Link(_) if b == b'n' => {
                self.emit_lead(input, i, out);
                Use::Pass
            }
            Op::Link(link) if link.is_required() => return Err((Fault::Contradiction, i)),
            Op::Link(_) if self.stack.is_empty() => {
                self.instead(input, i, b"null", out);
                Use::Skip
            }
            Op::Link(_) => {
                self.sink.discard(input, i, out);
                Use::Skip
            }
            Op::Object(object) if b == b'{' => {
                let object = *object;
                self.emit_lead(input, i, out);
                if compiled.objects[object as usize].row {
                    self.counts.rows += 1;
                    if let Some(net) = &mut self.net {
                        net.begin_record(self.stack.len() + 1);
                    }
                }
                self.open(Kind::Object(object), i)?;
                self.sink.commit(input, i + 1, out);
                self.state = State::FirstKey;
                return Ok(false);
            }
            Op::Array(array) if b == b'[' => {
                let array = *array;
                self.emit_lead(input, i, out);
                self.open(Kind::Array(array), i)?;
                self.sink.commit(input, i + 1, out);
                self.node = compiled.arrays[array as usize].node(0);
                self.state = State::FirstElement;
                return Ok(false);
            }
            Op::Choose(decider) => {
                let whole = matches!(compiled.chooses[*decider as usize].by, DecideBy::Filter(_));
                if whole || b == b'{' {
                    self.start_hold(*decider, whole, i);
                    return Ok(true);
                }
                self.null_or_null(input, b, i, out)
            }
            Op::Object(_) | Op::Array(_) | Op::Either { .. } => self.null_or_null(input, b, i, out),
        };
        self.subtree = Subtree::default();
        self.token = i;
        self.captured.clear();
        self.token_over = false;
        self.state = State::Sub(what);
        Ok(false)
    }

    /// The lead of a value leaves: its comma, white space and key.
    fn emit_lead(&mut self, input: &Bytes, i: usize, out: &mut Out) {
        self.sink.commit(input, i, out);
        if let Some(frame) = self.stack.last_mut() {
            frame.emitted = true;
        }
    }

    /// `text` leaves in place of the value that starts at `i`.
    fn instead(&mut self, input: &Bytes, i: usize, text: &[u8], out: &mut Out) {
        self.emit_lead(input, i, out);
        self.sink.replace(input, i, text, out);
    }

    /// Null passes, all else becomes null.
    fn null_or_null(&mut self, input: &Bytes, b: u8, i: usize, out: &mut Out) -> Use {
        if b == b'n' {
            self.emit_lead(input, i, out);
            return Use::Pass;
        }
        self.instead(input, i, b"null", out);
        Use::Skip
    }

    /// A container that is walked opens.
    pub(super) fn open(&mut self, kind: Kind, i: usize) -> Result<(), (Fault, usize)> {
        if self.stack.len() >= self.bounds.depth_max {
            return Err((Fault::TooLarge("depth"), i));
        }
        self.stack.push(Frame {
            kind,
            index: 0,
            seen: 0,
            last: compiled::EMPTY,
            emitted: false,
        });
        Ok(())
    }

    /// It closes; gives the offset behind its bracket.
    pub(super) fn close(&mut self, input: &Bytes, i: usize, out: &mut Out) -> usize {
        self.stack.pop();
        if self.hold.is_none() {
            self.sink.commit(input, i + 1, out);
        }
        self.value_done();
        i + 1
    }

    fn value_done(&mut self) {
        self.state = if self.stack.is_empty() {
            State::End
        } else {
            State::After
        };
    }

    /// A key is complete; `part` is what came of it with the current input, without its closing quote.
    pub(super) fn key_complete(&mut self, compiled: &Compiled, part: &[u8]) -> Result<(), Fault> {
        let captured = std::mem::take(&mut self.captured);
        let result = if captured.is_empty() {
            self.captured = captured;
            self.key_found(compiled, part)
        } else {
            self.captured = captured;
            self.capture(part);
            let captured = std::mem::take(&mut self.captured);
            let result = self.key_found(compiled, &captured);
            self.captured = captured;
            result
        };
        self.captured.clear();
        self.state = State::Colon;
        result
    }

    fn key_found(&mut self, compiled: &Compiled, raw: &[u8]) -> Result<(), Fault> {
        if self.token_over || raw.len() > self.bounds.key_bytes_max {
            return Err(Fault::TooLarge("key"));
        }
        let Some(frame) = self.stack.last_mut() else {
            return Ok(());
        };
        match frame.kind {
            Kind::Object(object) => {
                let object = &compiled.objects[object as usize];
                match object.find(raw, self.key.escaped, self.key.wide, &mut self.decoded) {
                    Some(found) => {
                        if frame.seen & found.unique != 0 {
                            return Err(Fault::Duplicate);
                        }
                        frame.seen |= found.unique;
                        frame.last = found.index;
                        self.node = found.node;
                    }
                    None => {
                        self.node = object.unnamed(raw).unwrap_or_else(|| {
                            self.counts.unplanned_members += 1;
                            compiled.drop
                        });
                    }
                }
                Ok(())
            }
            Kind::Scout(level) => self.scouted_key(compiled, level, raw),
            Kind::Array(_) => Ok(()),
        }
    }

    /// The value that [`Subtree`] validated ends before `end`. `Some` = the held value takes this node.
    pub(super) fn complete(
        &mut self,
        compiled: &Compiled,
        what: Use,
        input: &Bytes,
        end: usize,
        out: &mut Out,
    ) -> Result<Option<u32>, (Fault, usize)> {
        match what {
            Use::Pass => self.sink.commit(input, end, out),
            Use::Skip => self.sink.discard(input, end, out),
            Use::Scout => {}
            Use::Hold => {
                return self
                    .decide_by_filter(compiled, input, end)
                    .map(Some)
                    .map_err(|fault| (fault, end));
            }
            Use::Treat(_) | Use::Expect(_) | Use::Link(_) | Use::Decide => {
                let captured = std::mem::take(&mut self.captured);
                let result = if captured.is_empty() && !self.token_over {
                    self.captured = captured;
                    let whole = &input[self.token..end];
                    self.captured_value(compiled, what, input, whole, end, out)
                } else {
                    self.captured = captured;
                    if let Use::Treat(node) = what
                        && !self.token_over
                        && self.captured.len() + end - self.token > self.bounds.treated_bytes_max
                        && self.pass_unseen(node)
                    {
                        self.pass_captured(input, out);
                        self.sink.commit(input, end, out);
                        self.value_done();
                        return Ok(None);
                    }
                    self.capture(&input[self.token..end]);
                    let captured = std::mem::take(&mut self.captured);
                    let result = self.captured_value(compiled, what, input, &captured, end, out);
                    self.captured = captured;
                    result
                };
                self.captured.clear();
                self.token_over = false;
                let decided = result.map_err(|fault| (fault, end))?;
                if decided.is_some() {
                    return Ok(decided);
                }
            }
        }
        self.value_done();
        Ok(None)
    }

    /// A captured scalar, as it came, meets its node.
    fn captured_value(
        &mut self,
        compiled: &Compiled,
        what: Use,
        input: &Bytes,
        raw: &[u8],
        end: usize,
        out: &mut Out,
    ) -> Result<Option<u32>, Fault> {
        let max = match what {
            Use::Decide => DECIDING_BYTES_MAX,
            _ => self.bounds.treated_bytes_max,
        };
        let over = self.token_over || raw.len() > max;
        let mut decoded = std::mem::take(&mut self.decoded);
        let scalar = if over {
            None
        } else {
            scalar(raw, self.subtree.string.escaped, &mut decoded)
        };
        let here = self.captured_here(raw, end);
        let mut decided = None;
        match (what, scalar) {
            (Use::Treat(node), scalar) => {
                let treated = match (&compiled.ops[node as usize], scalar) {
                    (Op::Treat { treatment, counter }, Some(scalar)) => match &mut self.net {
                        None => treatment.apply(scalar, &mut self.treated),
                        Some(net) => net.apply(treatment, *counter, scalar, &mut self.treated),
                    },
                    (Op::Treat { treatment, counter }, None) if treatment.is_clear() => {
                        if let Some(net) = &mut self.net {
                            net.not_looked_at(*counter);
                        }
                        if treatment.passes_unseen() {
                            Treated::Same
                        } else {
                            Treated::Null
                        }
                    }
                    _ => Treated::Null,
                };
                match treated {
                    Treated::Same if here => self.sink.commit(input, end, out),
                    Treated::Same => self.sink.replace(input, end, raw, out),
                    Treated::Null | Treated::Refused => self.sink.replace(input, end, b"null", out),
                    Treated::Text(text) => {
                        self.written.clear();
                        lex::encode(text, &mut self.written);
                        self.sink.replace(input, end, &self.written, out);
                    }
                    Treated::Number(number) => {
                        self.sink.replace(input, end, number.as_bytes(), out);
                    }
                }
            }
            (Use::Expect(node), scalar) => {
                let good = match (&compiled.ops[node as usize], scalar) {
                    (Op::Expect(texts), Some(Scalar::Text(text))) => {
                        texts.iter().any(|t| t.eq_ignore_ascii_case(text))
                    }
                    _ => false,
                };
                if !good {
                    return Err(Fault::Contradiction);
                }
                self.emit_lead(input, self.token, out);
                if here {
                    self.sink.commit(input, end, out);
                } else {
                    self.sink.replace(input, end, raw, out);
                }
            }
            (Use::Link(node), scalar) => {
                let (link, required) = match (&compiled.ops[node as usize], scalar) {
                    (Op::Link(rewriter), Some(Scalar::Text(text))) => {
                        (rewriter.rewrite(text), rewriter.is_required())
                    }
                    _ => (None, true),
                };
                match link {
                    None if required => return Err(Fault::Contradiction),
                    // As it came, if that is how it would be written.
                    Some(Cow::Borrowed(link))
                        if here
                            && !self.subtree.string.escaped
                            && raw.get(1..raw.len() - 1) == Some(link.as_bytes()) =>
                    {
                        self.emit_lead(input, self.token, out);
                        self.sink.commit(input, end, out);
                    }
                    Some(link) => {
                        self.emit_lead(input, self.token, out);
                        self.written.clear();
                        lex::encode(&link, &mut self.written);
                        self.sink.replace(input, end, &self.written, out);
                    }
                    None if self.stack.is_empty() => {
                        self.emit_lead(input, self.token, out);
                        self.sink.replace(input, end, b"null", out);
                    }
                    None => self.sink.discard(input, end, out),
                }
            }
            (_, scalar) => decided = self.decide_by_member(compiled, scalar),
        }
        self.decoded = decoded;
        Ok(decided)
    }

    /// Whether the captured value lies in the current input as a whole.
    fn captured_here(&self, raw: &[u8], end: usize) -> bool {
        !self.token_over && raw.len() == end - self.token
    }
}

/// What the validated scalar `raw` is. `decoded` is used for escapes.
fn scalar<'a>(raw: &'a [u8], escaped: bool, decoded: &'a mut String) -> Option<Scalar<'a>> {
    Some(match raw {
        [b'"', content @ .., b'"'] if escaped => {
            decoded.clear();
            if !lex::decode(content, decoded) {
                return None;
            }
            Scalar::Text(decoded)
        }
        [b'"', content @ .., b'"'] => Scalar::Text(std::str::from_utf8(content).ok()?),
        b"true" => Scalar::Bool(true),
        b"false" => Scalar::Bool(false),
        b"null" => Scalar::Null,
        number => Scalar::Number(std::str::from_utf8(number).ok()?),
    })
}
