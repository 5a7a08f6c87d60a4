//! The short way for what records are made of: elements without attributes that hold text alone, and the ends of
//! elements around them, where they lie in one input as a whole. Nothing is opened and closed for them. Whatever is
//! not as plain as that is left to the long way, which alone decides what is malformed.

use super::compiled::Op;
use super::lex::{REFERENCE_MAX, referenced};
use super::tag::parts;
use super::walk::Mode;
use super::{Fault, Input, Out, XmlProgram, XmlRewriter};

/// Bytes of ASCII names, with the colon.
const NAME: [bool; 256] = {
    let mut is_name = [false; 256];
    let mut b = 0u8;
    while b < 0x80 {
        is_name[b as usize] = b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b':');
        b += 1;
    }
    is_name
};

/// Whether a name of [`NAME`] bytes is a qualified one.
fn is_qualified(name: &str) -> bool {
    let good = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') && !part.contains(':')
    };
    match name.split_once(':') {
        None => good(name),
        Some((prefix, local)) => good(prefix) && good(local),
    }
}

/// Where the text that starts at `at` ends with a `<`; `None` if it does not, or is not plain.
#[inline]
fn text_end(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        at += memchr::memchr3(b'<', b'&', b']', &bytes[at..])?;
        match bytes[at] {
            b'<' => return Some(at),
            b'&' => {
                let rest = &bytes[at + 1..];
                let length = rest
                    .iter()
                    .take(REFERENCE_MAX + 1)
                    .position(|b| *b == b';')?;
                referenced(&rest[..length])?;
                at += length + 2;
            }
            _ if bytes[at..].starts_with(b"]]>") => return None,
            _ => at += 1,
        }
    }
}

#[inline]
fn spaces(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .position(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
        .unwrap_or(bytes.len())
}

impl XmlRewriter {
    /// Goes the short way from `at` on, between two pieces; gives where it is left.
    pub(super) fn leaves(
        &mut self,
        program: &XmlProgram,
        input: &Input,
        mut at: usize,
        end: usize,
        out: &mut Out,
    ) -> Result<usize, Fault> {
        let bytes = &input.bytes[..end];
        loop {
            let Some(frame) = self.stack.last() else {
                return Ok(at);
            };
            let mode = frame.mode;
            let passes = match mode {
                Mode::Walk(_) | Mode::Pass => true,
                Mode::Skip => false,
                _ => return Ok(at),
            };
            // Deciding children are for the long way.
            if frame.decided() {
                return Ok(at);
            }
            let space = spaces(&bytes[at..]);
            if space > 0 {
                let mixed = frame.mixed && mode != Mode::Pass;
                if mixed || bytes.get(at + space) != Some(&b'<') {
                    return Ok(at);
                }
                if passes {
                    self.runs.pass(&input.bytes, at, at + space, out);
                }
                at += space;
            }
            let Some((b'<', rest)) = bytes[at..].split_first() else {
                return Ok(at);
            };
            if let Some(rest) = rest.strip_prefix(b"/") {
                let name = self.scope.name().as_bytes();
                let closes = rest.starts_with(name) && rest.get(name.len()) == Some(&b'>');
                if !closes || name.len() + 3 > self.bounds.key_bytes_max {
                    return Ok(at);
                }
                let to = at + 3 + name.len();
                if passes {
                    self.runs.pass(&input.bytes, at, to, out);
                }
                at = to;
                self.scope.close();
                self.stack.pop();
                if let Some(parent) = self.stack.last_mut() {
                    parent.mixed = false;
                }
                continue;
            }
            let Some(next) = self.leaf(program, input, (at, end), mode, out)? else {
                return Ok(at);
            };
            at = next;
        }
    }

    /// The element that starts at `at`, as a whole; gives where it ends, or `None` if it takes the long way.
    #[inline]
    fn leaf(
        &mut self,
        program: &XmlProgram,
        input: &Input,
        (at, end): (usize, usize),
        mode: Mode,
        out: &mut Out,
    ) -> Result<Option<usize>, Fault> {
        let compiled = &program.compiled;
        let bytes = &input.bytes[..end];
        let Some(frame) = self.stack.last_mut() else {
            return Ok(None);
        };
        let rest = &bytes[at + 1..];
        let predicted = match mode {
            Mode::Walk(element) => compiled.elements[element as usize]
                .children
                .plain(frame.hint)
                .filter(|name| {
                    rest.starts_with(name.as_bytes()) && rest.get(name.len()) == Some(&b'>')
                }),
            _ => None,
        };
        let name = match predicted {
            Some(name) => name,
            None => {
                let length = rest
                    .iter()
                    .position(|b| !NAME[usize::from(*b)])
                    .unwrap_or(rest.len());
                match std::str::from_utf8(&rest[..length]) {
                    Ok(name) if rest.get(length) == Some(&b'>') && is_qualified(name) => name,
                    _ => return Ok(None),
                }
            }
        };
        let text_at = at + name.len() + 2;
        let Some(text_end) = text_end(bytes, text_at) else {
            return Ok(None);
        };
        let closes = bytes[text_end..]
            .strip_prefix(b"</")
            .and_then(|rest| rest.strip_prefix(name.as_bytes()))
            .is_some_and(|rest| rest.first() == Some(&b'>'));
        let next = text_end + name.len() + 3;
        if !closes
            || next - text_end > self.bounds.key_bytes_max
            || self.scope.depth() >= self.bounds.depth_max
            || !self.scope.has_room(name)
        {
            return Ok(None);
        }
        let (prefix, local) = if predicted.is_some() {
            ("", name)
        } else {
            parts(name)
        };
        let scope = &self.scope;
        if !prefix.is_empty() && scope.resolve(prefix).is_none() {
            return Ok(None);
        }
        let node = match mode {
            Mode::Walk(element) => {
                let element = &compiled.elements[element as usize];
                let namespace = || scope.resolve(prefix);
                let found = element
                    .children
                    .find(local, frame.hint, namespace, compiled.drop);
                let node = match (&found, element.other) {
                    (Some(meaning), _) => meaning.node,
                    (None, Some(other)) => other,
                    (None, None) => compiled.drop,
                };
                let twice = found.as_ref().is_some_and(|m| frame.seen & m.unique != 0);
                if twice
                    || matches!(
                        compiled.ops[node as usize],
                        Op::Element(_) | Op::Choose(_) | Op::Refuse
                    )
                {
                    return Ok(None);
                }
                match found {
                    Some(meaning) => {
                        frame.seen |= meaning.unique;
                        frame.hint = meaning.index.wrapping_add(1);
                    }
                    None => {
                        self.counts.unplanned_members += u64::from(element.other.is_none());
                    }
                }
                Some(node)
            }
            _ => None,
        };
        frame.mixed = false;
        match node.map(|node| (node, &compiled.ops[node as usize])) {
            None if mode == Mode::Pass => self.runs.pass(&input.bytes, at, next, out),
            Some((_, Op::Clear)) => self.runs.pass(&input.bytes, at, next, out),
            None | Some((_, Op::Drop)) => {}
            Some((node, op)) => {
                self.count(op);
                self.capture_leaf(node, name, &bytes[text_at..text_end]);
                self.captured_complete(program, input, out)?;
            }
        }
        Ok(Some(next))
    }
}
