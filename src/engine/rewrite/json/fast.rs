//! The way that most members of most records go: key and scalar lie in the input as a whole, the key is plain and
//! mostly the one that followed the last one in the record before. All else is left to the general walk.

use bytes::Bytes;

use super::super::Out;
use super::compiled::{Compiled, EMPTY, Op};
use super::lex::{At, Fault, NumberScan, skip_plain, skip_space, starts_with};
use super::{JsonRewriter, State, Subtree, Use};

impl JsonRewriter {
    /// Goes over members of the object on top of the stack, from `i`, where a key is due. Gives where the general
    /// walk goes on, in the state that is due there; `i` itself and the same state if it must do all.
    pub(super) fn members(
        &mut self,
        compiled: &Compiled,
        object: u32,
        input: &Bytes,
        bytes: &[u8],
        i: usize,
        out: &mut Out,
    ) -> Result<usize, At> {
        let object = &compiled.objects[object as usize];
        let lead_max = self.lead_max();
        let mut start = i;
        loop {
            let quote = skip_space(bytes, start);
            let Some(rest) = bytes.get(quote..) else {
                return Ok(start);
            };
            let Some(frame) = self.stack.last_mut() else {
                return Ok(start);
            };
            // The key that followed last time, else by its hash.
            let slot = object.base + usize::from(frame.last.wrapping_add(1));
            let guess = self.follows.get(slot).copied().unwrap_or(EMPTY);
            let guessed = object
                .keys
                .get(usize::from(guess))
                .filter(|key| starts_with(rest, &key.quoted));
            let (found, behind) = match guessed {
                Some(key) => (Some(object.member(guess)), quote + key.quoted.len()),
                None => {
                    if rest.first() != Some(&b'"') {
                        return Ok(start);
                    }
                    let end = skip_plain::<true>(bytes, quote + 1);
                    if bytes.get(end) != Some(&b'"') {
                        return Ok(start);
                    }
                    let key = &bytes[quote + 1..end];
                    if key.len() > self.bounds.key_bytes_max {
                        return Ok(start);
                    }
                    let found = object.find(key, false, false, &mut self.decoded);
                    if let (Some(found), Some(follows)) = (found, self.follows.get_mut(slot)) {
                        *follows = found.index;
                    }
                    (found, end + 1)
                }
            };
            let colon = skip_space(bytes, behind);
            if bytes.get(colon) != Some(&b':') {
                return Ok(start);
            }
            let value = skip_space(bytes, colon + 1);
            let Some(&b) = bytes.get(value) else {
                return Ok(start);
            };
            if self.sink.lead_length(value) > lead_max {
                return Ok(start);
            }
            // From here on the key is used up.
            let node = match found {
                Some(found) => {
                    if frame.seen & found.unique != 0 {
                        return Err((Fault::Duplicate, behind));
                    }
                    frame.seen |= found.unique;
                    frame.last = found.index;
                    found.node
                }
                None => object.other.unwrap_or_else(|| {
                    self.counts.unplanned_members += 1;
                    compiled.drop
                }),
            };
            let clear = match &compiled.ops[node as usize] {
                Op::Clear => true,
                Op::Drop => false,
                _ => {
                    (self.node, self.state) = (node, State::Value);
                    return Ok(value);
                }
            };
            let Some(end) = scalar(bytes, value, b, self.bounds.number_bytes_max) else {
                if clear {
                    frame.emitted = true;
                    self.sink.commit(input, value, out);
                    self.subtree = Subtree::default();
                    self.state = State::Sub(Use::Pass);
                } else {
                    (self.node, self.state) = (node, State::Value);
                }
                return Ok(value);
            };
            if clear {
                frame.emitted = true;
                self.sink.commit(input, end, out);
            } else {
                self.sink.discard(input, end, out);
            }
            if bytes.get(end) != Some(&b',') {
                self.state = State::After;
                return Ok(end);
            }
            start = end + 1;
            if !frame.emitted {
                self.sink.discard(input, start, out);
            }
            self.state = State::Key;
        }
    }
}

/// The offset behind the scalar that starts with `b` at `i`, if it is plain, good and whole.
#[inline(always)]
fn scalar(bytes: &[u8], i: usize, b: u8, number_bytes_max: usize) -> Option<usize> {
    let whole = |literal: &[u8]| bytes[i..].starts_with(literal).then_some(i + literal.len());
    match b {
        b'"' => {
            let end = skip_plain::<false>(bytes, i + 1);
            (bytes.get(end) == Some(&b'"')).then_some(end + 1)
        }
        b'n' => whole(b"null"),
        b't' => whole(b"true"),
        b'f' => whole(b"false"),
        b'-' | b'0'..=b'9' => NumberScan::default()
            .scan(bytes, i, number_bytes_max)
            .ok()
            .flatten(),
        _ => None,
    }
}
