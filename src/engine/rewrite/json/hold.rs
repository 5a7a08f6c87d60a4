//! Scouting a held value for what decides its treatment. Nothing leaves meanwhile.

use bytes::Bytes;

use super::compiled::{Compiled, DecideBy};
use super::lex::{self, Fault};
use super::subtree::Subtree;
use super::{JsonRewriter, Kind, State, Use, filter};
use crate::engine::key;
use crate::engine::treatment::Scalar;

/// A value whose treatment is not decided.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hold {
    /// Index into the compiled chooses.
    pub(super) decider: u32,
    /// Where it starts in the current input.
    pub(super) start: usize,
    /// A part of it came with earlier inputs.
    pub(super) saved: bool,
    /// Offset of its first byte in the document.
    pub(super) at: u64,
    /// Frames below it.
    pub(super) frames: usize,
    /// What the scouted value that is due means.
    next: Next,
    /// A deciding key was seen that only some consumers take for one.
    doubtful: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Other,
    /// The object in which the key at this place stands.
    Descend(usize),
    Decide,
}

impl JsonRewriter {
    /// Holds the value at `i`. Where that is in the document is set by the caller of `walk`, who knows.
    pub(super) fn start_hold(&mut self, decider: u32, whole: bool, i: usize) {
        self.hold = Some(Hold {
            decider,
            start: i,
            saved: false,
            at: 0,
            frames: self.stack.len(),
            next: Next::Descend(0),
            doubtful: false,
        });
        self.captured.clear();
        self.token_over = false;
        if whole {
            self.subtree = Subtree::default();
            self.state = State::Sub(Use::Hold);
        }
    }

    /// A value inside a held object. `Some` = decided.
    pub(super) fn scouted_value(
        &mut self,
        compiled: &Compiled,
        b: u8,
        i: usize,
    ) -> Result<Option<u32>, (Fault, usize)> {
        let Some(hold) = self.hold else {
            return Ok(None);
        };
        self.subtree = Subtree::default();
        self.state = State::Sub(match hold.next {
            Next::Descend(level) if b == b'{' => {
                self.open(Kind::Scout(level), i)?;
                self.state = State::FirstKey;
                return Ok(None);
            }
            Next::Decide if matches!(b, b'{' | b'[') => {
                return Ok(Some(compiled.chooses[hold.decider as usize].otherwise));
            }
            Next::Decide => {
                self.token = i;
                self.captured.clear();
                self.token_over = false;
                Use::Decide
            }
            Next::Descend(_) | Next::Other => Use::Scout,
        });
        Ok(None)
    }

    /// A key of a held object, at `level` of the deciding keys.
    pub(super) fn scouted_key(
        &mut self,
        compiled: &Compiled,
        level: usize,
        raw: &[u8],
    ) -> Result<(), Fault> {
        let (Some(hold), Some(frame)) = (&mut self.hold, self.stack.last_mut()) else {
            return Ok(());
        };
        hold.next = Next::Other;
        let DecideBy::Keys(keys) = &compiled.chooses[hold.decider as usize].by else {
            return Ok(());
        };
        let Some((name, wide)) = keys.get(level) else {
            return Ok(());
        };
        let decoded = if self.key.escaped {
            self.decoded.clear();
            lex::decode(raw, &mut self.decoded);
            self.decoded.as_bytes()
        } else {
            raw
        };
        let narrow = name.as_bytes().eq_ignore_ascii_case(decoded);
        if !narrow {
            let Ok(text) = std::str::from_utf8(decoded) else {
                return Ok(());
            };
            // Most keys differ in length and are plain: no need to fold them.
            let plain = !self.key.wide && !text.starts_with(' ') && !text.ends_with(' ');
            if (plain && text.len() != wide.len()) || key::canonical(text) != **wide {
                return Ok(());
            }
        }
        if frame.seen != 0 {
            return Err(Fault::Duplicate);
        }
        frame.seen = 1;
        if !narrow {
            hold.doubtful = true;
        } else if level + 1 == keys.len() {
            hold.next = Next::Decide;
        } else {
            hold.next = Next::Descend(level + 1);
        }
        Ok(())
    }

    /// An object closes: if it is the held value, the deciding member never came.
    pub(super) fn scouted_end(&self, compiled: &Compiled) -> Option<u32> {
        let hold = self.hold?;
        let decider = &compiled.chooses[hold.decider as usize];
        (self.stack.len() == hold.frames + 1).then_some(if hold.doubtful {
            decider.otherwise
        } else {
            decider.absent
        })
    }

    /// The deciding scalar is known; `None` = too long to be any case.
    pub(super) fn decide_by_member(
        &self,
        compiled: &Compiled,
        scalar: Option<Scalar<'_>>,
    ) -> Option<u32> {
        let decider = &compiled.chooses[self.hold?.decider as usize];
        Some(scalar.map_or(decider.otherwise, |scalar| decider.case(scalar)))
    }

    /// The held value is complete, before `end`.
    pub(super) fn decide_by_filter(
        &mut self,
        compiled: &Compiled,
        input: &Bytes,
        end: usize,
    ) -> Result<u32, Fault> {
        let Some(hold) = &mut self.hold else {
            return Err(Fault::Contradiction);
        };
        let rest = &input[hold.start..end];
        let value = if hold.saved {
            self.held.extend_from_slice(rest);
            hold.start = end;
            &self.held[..]
        } else {
            rest
        };
        let decider = &compiled.chooses[hold.decider as usize];
        let DecideBy::Filter(Some(query)) = &decider.by else {
            return Ok(decider.overflow);
        };
        Ok(match filter::holds(query, value)? {
            Some(holds) => decider.case(Scalar::Bool(holds)),
            None => decider.overflow,
        })
    }
}
