//! The way that most of most records goes: key and scalar lie in the input as a whole, plain, and the key is mostly
//! the one that followed the last one in the record before. All else is left to the general walk, which does all
//! that is done here and whose states both share.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::Out;
use super::super::simd::{self, BLOCK, Lanes, Work};
use super::compiled::{self, Compiled, EMPTY, Object, Op, Probe};
use super::lex::{self, At, Fault, plain_scalar, skip_plain, skip_space};
use super::{Frame, JsonRewriter, Kind, State, StringScan, Subtree, Use};
use crate::engine::treatment::{Scalar, Treated};

/// Bytes that must be there to go over an easy member: indentation, key, colon, space, and a string to its comma.
const EASY: usize = 16 + Probe::SHORT + 1 + 1 + BLOCK + 2;

/// How far the members went that needed no thought.
struct Easy {
    /// The last of them, by its place.
    last: u16,
    /// Where the next key is due, or the comma before it.
    i: usize,
    /// There was one.
    any: bool,
    /// No comma stands at `i`.
    ended: bool,
    /// The key due at `i` is this member's, and its value, which does need thought, starts before or at the offset.
    found: Option<(u16, usize)>,
}

/// Goes over members whose key was expected, is short and decides nothing, and whose value passes and is short: most
/// of them. From `i`, where a key is due.
#[inline(always)]
fn easy_members(
    lanes: impl Lanes,
    object: &Object,
    follows: &[u16],
    last: u16,
    bytes: &[u8],
    i: usize,
    number_bytes_max: usize,
) -> Easy {
    let mut easy = Easy {
        last,
        i,
        any: false,
        ended: false,
        found: None,
    };
    while let Some(window) = (bytes.get(easy.i..)).and_then(|rest| rest.first_chunk::<EASY>()) {
        let guess = (follows.get(usize::from(easy.last.wrapping_add(1)))).copied();
        let guess = guess.unwrap_or(EMPTY);
        let Some(probe) = object.probes.get(usize::from(guess)) else {
            break;
        };
        let mut at = 0;
        if window[0] <= b' ' {
            let Some(indent) = window.first_chunk() else {
                break;
            };
            at = lanes.not_space(indent).trailing_zeros() as usize;
            if at >= 16 {
                break;
            }
        }
        let Some(key) = window[at..]
            .first_chunk()
            .and_then(|rest| probe.begins(lanes, rest))
        else {
            break;
        };
        at += key;
        if !probe.easy {
            easy.found = Some((guess, easy.i + at));
            break;
        }
        if window[at] == b' ' {
            at += 1;
        }
        if window[at] == b'"' {
            let Some(text) = window[at + 1..].first_chunk() else {
                break;
            };
            // Where none is marked the block is plain, and the string may end right behind it.
            let end = at + 1 + lanes.special::<false>(text).trailing_zeros() as usize;
            if window[end] != b'"' {
                easy.found = Some((guess, easy.i + at));
                break;
            }
            at = end + 1;
        } else {
            match plain_scalar(lanes, bytes, easy.i + at, window[at], number_bytes_max) {
                Some(end) => at = end - easy.i,
                None => {
                    easy.found = Some((guess, easy.i + at));
                    break;
                }
            }
        }
        easy.last = guess;
        easy.i += at;
        easy.any = true;
        if bytes.get(easy.i) != Some(&b',') {
            easy.ended = true;
            break;
        }
        easy.i += 1;
    }
    easy
}

struct Fast<'a> {
    rewriter: &'a mut JsonRewriter,
    compiled: &'a Compiled,
    input: &'a Bytes,
    bytes: &'a [u8],
    i: usize,
    out: &'a mut Out,
}

impl Work for Fast<'_> {
    type Output = Result<usize, At>;

    #[inline(always)]
    fn work<L: Lanes>(self, lanes: L) -> Self::Output {
        (self.rewriter).go(
            lanes,
            self.compiled,
            self.input,
            self.bytes,
            self.i,
            self.out,
        )
    }
}

impl JsonRewriter {
    /// Goes on from `i` while nothing is held and no lead came with earlier inputs. Gives where the general walk
    /// goes on, in the state that is due there.
    pub(super) fn fast(
        &mut self,
        compiled: &Compiled,
        input: &Bytes,
        bytes: &[u8],
        i: usize,
        out: &mut Out,
    ) -> Result<usize, At> {
        simd::run(
            self.form,
            Fast {
                rewriter: self,
                compiled,
                input,
                bytes,
                i,
                out,
            },
        )
    }

    #[inline(always)]
    fn go(
        &mut self,
        lanes: impl Lanes,
        compiled: &Compiled,
        input: &Bytes,
        bytes: &[u8],
        mut i: usize,
        out: &mut Out,
    ) -> Result<usize, At> {
        // Kept out of memory while they change with every member.
        let (mut frame, mut state) = match self.stack.last() {
            Some(frame) => (*frame, self.state),
            None => return Ok(i),
        };
        let lead_max = self.lead_max();
        let number_max = self.bounds.number_bytes_max;
        let easy = lead_max >= EASY && self.bounds.key_bytes_max >= Probe::SHORT;
        macro_rules! leave {
            ($state:expr, $at:expr) => {{
                if let Some(top) = self.stack.last_mut() {
                    *top = frame;
                }
                self.state = $state;
                return Ok($at);
            }};
        }
        loop {
            // What is due at `i` becomes a value at `value` under `node`.
            let (node, value, b) = match (state, frame.kind) {
                (State::FirstKey | State::Key, Kind::Object(object)) => {
                    let object = &compiled.objects[object as usize];
                    let follows = self.follows.get(object.base..).unwrap_or_default();
                    let mut known = None;
                    if easy && self.sink.lead_length(i) <= 1 {
                        let went =
                            easy_members(lanes, object, follows, frame.last, bytes, i, number_max);
                        known = went.found;
                        i = went.i;
                        if went.any {
                            frame.last = went.last;
                            frame.emitted = true;
                            self.sink.commit(input, i - usize::from(!went.ended), out);
                            state = State::Key;
                            if went.ended {
                                state = State::After;
                                continue;
                            }
                        }
                    }
                    let (index, node, unique, behind, value) = if let Some((index, at)) = known {
                        let probe = &object.probes[usize::from(index)];
                        (index, Some(probe.node), probe.unique, at - 1, at)
                    } else {
                        let quote = skip_space(lanes, bytes, i);
                        if bytes.get(quote) != Some(&b'"') {
                            leave!(state, i);
                        }
                        // The key that followed last time, else by its hash.
                        let slot = object.base + usize::from(frame.last.wrapping_add(1));
                        let guess = self.follows.get(slot).copied().unwrap_or(EMPTY);
                        let (index, node, unique, behind) =
                            match object.spelt(guess, &bytes[quote..]) {
                                Some(length) if length > self.bounds.key_bytes_max + 2 => {
                                    leave!(state, i);
                                }
                                Some(length) => {
                                    let probe = &object.probes[usize::from(guess)];
                                    (guess, Some(probe.node), probe.unique, quote + length)
                                }
                                None => {
                                    let end = skip_plain::<true>(lanes, bytes, quote + 1);
                                    if bytes.get(end) != Some(&b'"') {
                                        leave!(state, i);
                                    }
                                    let key = &bytes[quote + 1..end];
                                    if key.len() > self.bounds.key_bytes_max {
                                        leave!(state, i);
                                    }
                                    match object.find(key, false, false, &mut self.decoded) {
                                        Some(found) => {
                                            if let Some(follows) = self.follows.get_mut(slot) {
                                                *follows = found.index;
                                            }
                                            (found.index, Some(found.node), found.unique, end + 1)
                                        }
                                        None => (frame.last, object.unnamed(key), 0, end + 1),
                                    }
                                }
                            };
                        let colon = skip_space(lanes, bytes, behind);
                        if bytes.get(colon) != Some(&b':') {
                            leave!(state, i);
                        }
                        (index, node, unique, behind, colon + 1)
                    };
                    let value = skip_space(lanes, bytes, value);
                    let Some(&b) = bytes.get(value) else {
                        leave!(state, i);
                    };
                    if self.sink.lead_length(value) > lead_max {
                        leave!(state, i);
                    }
                    // From here on the key is used up.
                    if frame.seen & unique != 0 {
                        return Err((Fault::Duplicate, behind));
                    }
                    frame.seen |= unique;
                    frame.last = index;
                    let node = node.unwrap_or_else(|| {
                        self.counts.unplanned_members += 1;
                        compiled.drop
                    });
                    (node, value, b)
                }
                (State::Value, Kind::Array(_)) => {
                    let value = skip_space(lanes, bytes, i);
                    let Some(&b) = bytes.get(value) else {
                        leave!(state, i);
                    };
                    if self.sink.lead_length(value) > lead_max {
                        leave!(state, i);
                    }
                    (self.node, value, b)
                }
                (State::After, kind) => {
                    let at = skip_space(lanes, bytes, i);
                    if self.sink.lead_length(at) > lead_max {
                        leave!(state, i);
                    }
                    match (bytes.get(at), kind) {
                        (Some(b','), Kind::Object(_)) => {
                            i = at + 1;
                            state = State::Key;
                            if !frame.emitted {
                                self.sink.discard(input, i, out);
                            }
                        }
                        (Some(b','), Kind::Array(array)) => {
                            i = at + 1;
                            state = State::Value;
                            frame.index += 1;
                            self.node = compiled.arrays[array as usize].node(frame.index);
                            if !frame.emitted {
                                self.sink.discard(input, i, out);
                            }
                        }
                        (Some(b'}'), Kind::Object(_)) | (Some(b']'), Kind::Array(_)) => {
                            i = at + 1;
                            self.sink.commit(input, i, out);
                            self.stack.pop();
                            match self.stack.last() {
                                Some(parent) => frame = *parent,
                                None => {
                                    self.state = State::End;
                                    return Ok(i);
                                }
                            }
                        }
                        _ => leave!(state, i),
                    }
                    continue;
                }
                _ => leave!(state, i),
            };
            let scalar = if matches!(b, b'{' | b'[') {
                None
            } else {
                plain_scalar(lanes, bytes, value, b, number_max)
            };
            match (&compiled.ops[node as usize], scalar) {
                _ if compiled.clear_scalar[node as usize] && scalar.is_some() => {
                    i = scalar.unwrap_or(value);
                    frame.emitted = true;
                    self.sink.commit(input, i, out);
                }
                (Op::Clear | Op::Either { .. }, None)
                    if b == b'"' && compiled.clear_scalar[node as usize] =>
                {
                    // With escapes or characters beyond ASCII.
                    let Some(end) = StringScan::default().scan::<false>(bytes, value + 1)? else {
                        self.node = node;
                        leave!(State::Value, value);
                    };
                    i = end;
                    frame.emitted = true;
                    self.sink.commit(input, i, out);
                }
                (Op::Drop, Some(end)) => {
                    i = end;
                    self.sink.discard(input, i, out);
                }
                (Op::Clear, None) => {
                    frame.emitted = true;
                    self.sink.commit(input, value, out);
                    self.subtree = Subtree::default();
                    let limits = self.limits();
                    let Some(end) = self.subtree.run(self.form, bytes, value, limits)? else {
                        leave!(State::Sub(Use::Pass), bytes.len());
                    };
                    i = end;
                    self.sink.commit(input, i, out);
                }
                (op @ (Op::Object(_) | Op::Array(_)), None)
                    if self.stack.len() < self.bounds.depth_max =>
                {
                    let kind = match (op, b) {
                        (Op::Object(object), b'{') => {
                            if compiled.objects[*object as usize].row {
                                self.counts.rows += 1;
                                if let Some(net) = &mut self.net {
                                    net.begin_record(self.stack.len() + 1);
                                }
                            }
                            state = State::FirstKey;
                            Kind::Object(*object)
                        }
                        (Op::Array(array), b'[') => {
                            self.node = compiled.arrays[*array as usize].node(0);
                            state = State::FirstElement;
                            Kind::Array(*array)
                        }
                        _ => {
                            self.node = node;
                            leave!(State::Value, value);
                        }
                    };
                    i = value + 1;
                    frame.emitted = true;
                    self.sink.commit(input, i, out);
                    if let Some(top) = self.stack.last_mut() {
                        *top = frame;
                    }
                    frame = Frame {
                        kind,
                        index: 0,
                        seen: 0,
                        last: EMPTY,
                        emitted: false,
                    };
                    self.stack.push(frame);
                    if state == State::FirstElement {
                        i = skip_space(lanes, bytes, i);
                        if !matches!(bytes.get(i), None | Some(b']')) {
                            state = State::Value;
                        }
                    }
                    continue;
                }
                (Op::Treat { treatment, counter }, Some(end))
                    if self.net.is_none() && compiled::gives_null(treatment) =>
                {
                    if let Some(count) = self.counts.treated.get_mut(*counter as usize) {
                        *count += 1;
                    }
                    i = end;
                    frame.emitted = true;
                    self.sink.commit(input, value, out);
                    self.sink.replace(input, i, b"null", out);
                }
                (Op::Treat { treatment, counter }, Some(end))
                    if b == b'"' && end - value <= self.bounds.treated_bytes_max =>
                {
                    if let Some(count) = self.counts.treated.get_mut(*counter as usize) {
                        *count += 1;
                    }
                    i = end;
                    frame.emitted = true;
                    self.sink.commit(input, value, out);
                    let treated = match std::str::from_utf8(&bytes[value + 1..end - 1]) {
                        Ok(text) => match &mut self.net {
                            None => treatment.apply(Scalar::Text(text), &mut self.treated),
                            Some(net) => {
                                let text = Scalar::Text(text);
                                net.apply(treatment, *counter, text, &mut self.treated)
                            }
                        },
                        Err(_) => Treated::Null,
                    };
                    match treated {
                        Treated::Same => self.sink.commit(input, i, out),
                        Treated::Null | Treated::Refused => {
                            self.sink.replace(input, i, b"null", out);
                        }
                        Treated::Number(number) => {
                            self.sink.replace(input, i, number.as_bytes(), out);
                        }
                        Treated::Text(text) => {
                            self.written.clear();
                            lex::encode(text, &mut self.written);
                            self.sink.replace(input, i, &self.written, out);
                        }
                    }
                }
                (Op::Expect(texts), Some(end)) if b == b'"' => {
                    let given = &bytes[value + 1..end - 1];
                    if end - value > self.bounds.treated_bytes_max
                        || !texts
                            .iter()
                            .any(|t| t.as_bytes() == given || t.as_bytes().eq_ignore_ascii_case(given))
                    {
                        return Err((Fault::Contradiction, end));
                    }
                    i = end;
                    frame.emitted = true;
                    self.sink.commit(input, i, out);
                }
                // Most links stay as they came.
                (Op::Link(link), Some(end))
                    if b == b'"'
                        && end - value <= self.bounds.treated_bytes_max
                        && std::str::from_utf8(&bytes[value + 1..end - 1]).is_ok_and(|text| {
                            matches!(link.rewrite(text), Some(Cow::Borrowed(same)) if same == text)
                        }) =>
                {
                    i = end;
                    frame.emitted = true;
                    self.sink.commit(input, i, out);
                }
                (Op::Treat { .. } | Op::Expect(_) | Op::Link(_) | Op::Constant(_), Some(end)) => {
                    // As the general walk does it, only that the value's end is known.
                    if let Some(top) = self.stack.last_mut() {
                        *top = frame;
                    }
                    self.node = node;
                    self.start_value(compiled, input, b, value, out)?;
                    if let State::Sub(what) = self.state {
                        self.complete(compiled, what, input, end, out)?;
                    }
                    if let Some(top) = self.stack.last() {
                        frame = *top;
                    }
                    i = end;
                }
                _ => {
                    self.node = node;
                    leave!(State::Value, value);
                }
            }
            // Compact bodies go on at once.
            state = State::After;
            if bytes.get(i) == Some(&b',') && matches!(frame.kind, Kind::Object(_)) {
                i += 1;
                state = State::Key;
                if !frame.emitted {
                    self.sink.discard(input, i, out);
                }
            }
        }
    }
}
