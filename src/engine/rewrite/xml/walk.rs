//! What tags and text mean under the program.

use bytes::Bytes;

use super::super::untyped;
use super::compiled::{Compiled, Op};
use super::tag::{self, parts};
use super::{Fault, Input, Out, Step, XSI, XmlProgram, XmlRewriter};
use crate::engine::key;
use crate::engine::treatment::Treated;

/// Most decisions about one record, one inside the other; a further one takes its `overflow`.
const DECISIONS_MAX: usize = 4;

/// Where a tag stands in the current input, if it lies there as a whole.
pub(super) type Here = Option<(usize, usize)>;

/// An open element.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) mode: Mode,
    /// Deciding children seen.
    pub(super) seen: u128,
    /// Where the next child's name is looked at first.
    pub(super) hint: u16,
    /// Text other than white space has come since the last tag.
    pub(super) mixed: bool,
    deciders: Deciders,
}

impl Frame {
    /// Whether children have decided about it.
    pub(super) fn decided(&self) -> bool {
        self.deciders.count > 0
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Index into the compiled elements.
    Walk(u32),
    Pass,
    Skip,
    /// Its text is captured for its node.
    Capture,
    /// A held record.
    Scout,
    /// The child that decides about it.
    ScoutValue,
}

/// What has decided about a record: none of it may come twice.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Deciders {
    ids: [u32; DECISIONS_MAX],
    count: usize,
    seen: [bool; DECISIONS_MAX],
}

/// The node of a held record once it is known.
#[derive(Debug)]
pub(super) struct Forced {
    node: u32,
    deciders: Deciders,
}

/// A record that is held.
#[derive(Debug)]
pub(super) struct Hold {
    /// Index into the compiled choices.
    pub(super) decider: u32,
    /// Open elements around it.
    pub(super) depth: usize,
    /// From where on the current input belongs to it.
    pub(super) start: usize,
    /// Offset of its first byte in the document.
    pub(super) at: u64,
    deciders: Deciders,
}

impl Hold {
    pub(super) fn forced(&self, node: u32) -> Forced {
        let mut deciders = self.deciders;
        deciders.ids[deciders.count] = self.decider;
        deciders.count += 1;
        Forced { node, deciders }
    }
}

/// A part of a CDATA section.
#[derive(Debug, Clone, Copy)]
pub(super) enum Section {
    Start,
    Text(usize, usize),
    Brackets(u8),
    End,
}

impl XmlRewriter {
    /// Text of the innermost element.
    pub(super) fn text(
        &mut self,
        input: &Bytes,
        from: usize,
        to: usize,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let spaces = |part: &[u8]| {
            part.iter()
                .position(|b| !matches!(b, b' ' | b'\t' | b'\r' | b'\n'))
                .unwrap_or(part.len())
        };
        match self.stack.last_mut() {
            None if spaces(&input[from..to]) < to - from => {
                return Err(Fault::Malformed("XML: text outside"));
            }
            None => self.runs.pass(input, from, to, out),
            Some(frame) => match frame.mode {
                Mode::Pass => self.runs.pass(input, from, to, out),
                Mode::Walk(_) if frame.mixed => {}
                Mode::Walk(_) => {
                    let space = spaces(&input[from..to]);
                    frame.mixed = space < to - from;
                    if space > 0 {
                        self.runs.pass(input, from, from + space, out);
                    }
                }
                Mode::Capture | Mode::ScoutValue => self
                    .captured
                    .push(&input[from..to], self.bounds.treated_bytes_max),
                Mode::Skip | Mode::Scout => {}
            },
        }
        Ok(())
    }

    /// A part of a CDATA section of the innermost element.
    pub(super) fn section(
        &mut self,
        input: &Bytes,
        part: Section,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let Some(frame) = self.stack.last_mut() else {
            return Err(Fault::Malformed("XML: text outside"));
        };
        match frame.mode {
            Mode::Pass => match part {
                Section::Start => self.runs.text(input, b"<![CDATA[", out),
                Section::Text(from, to) => self.runs.pass(input, from, to, out),
                Section::Brackets(count) => {
                    self.runs.text(input, &b"]]"[..usize::from(count)], out);
                }
                Section::End => self.runs.text(input, b"]]>", out),
            },
            Mode::Capture | Mode::ScoutValue => match part {
                Section::Start => self.captured.decode(false),
                Section::Text(from, to) => self
                    .captured
                    .push(&input[from..to], self.bounds.treated_bytes_max),
                Section::Brackets(count) => self
                    .captured
                    .push(&b"]]"[..usize::from(count)], self.bounds.treated_bytes_max),
                Section::End => self.captured.decode(true),
            },
            Mode::Walk(_) => frame.mixed = true,
            Mode::Skip | Mode::Scout => {}
        }
        Ok(())
    }

    /// A processing instruction or the XML declaration.
    pub(super) fn instruction(
        &mut self,
        input: &Bytes,
        token: &[u8],
        first: bool,
        out: &mut Out,
    ) -> Result<(), Fault> {
        let text = std::str::from_utf8(token).map_err(|_| Fault::Malformed("UTF-8"))?;
        if tag::instruction(text, &mut self.attributes)? {
            if !first {
                return Err(Fault::Malformed("XML declaration"));
            }
            self.runs.text(input, token, out);
        } else if self.program.comments == super::Comments::Refuse {
            return Err(Fault::Contradiction);
        }
        Ok(())
    }

    /// The tag `token`, which stands at `here` if it lies in the current input as a whole.
    pub(super) fn tag(
        &mut self,
        program: &XmlProgram,
        input: &Input,
        token: &[u8],
        here: Here,
        out: &mut Out,
    ) -> Result<Step, Fault> {
        let text = std::str::from_utf8(token).map_err(|_| Fault::Malformed("UTF-8"))?;
        if let Some(frame) = self.stack.last_mut() {
            frame.mixed = false;
        }
        if token.get(1) == Some(&b'/') {
            let name = tag::end(text)?;
            if self.scope.depth() == 0 || self.scope.name() != name {
                return Err(Fault::Malformed("XML: end tag of another element"));
            }
            return self.close(program, input, Some((token, here)), out);
        }
        let forced = self.forced.take();
        if self.scope.depth() == 0 && forced.is_none() && std::mem::replace(&mut self.rooted, true)
        {
            return Err(Fault::Malformed("XML: second document element"));
        }
        if self.scope.depth() >= self.bounds.depth_max {
            return Err(Fault::TooLarge("depth"));
        }
        let (name_end, empty) = tag::start(text, &mut self.attributes)?;
        let name = &text[1..name_end];
        self.scope.open(name)?;
        self.namespaces(text, name)?;
        let replayed = forced.is_some();
        let (mut node, deciders) = match forced {
            Some(forced) => (forced.node, forced.deciders),
            None => match self.meaning(program, name)? {
                Meant::Node(node) => (node, Deciders::default()),
                Meant::Mode(mode) => {
                    if mode == Mode::Pass {
                        self.emit(input, token, here, out);
                    }
                    return self.opened(program, input, mode, Deciders::default(), empty, out);
                }
                Meant::Decided(node) => return Ok(Step::Decided(node)),
            },
        };
        let compiled = &program.compiled;
        for _ in 0..16 {
            let Op::Choose(decider) = compiled.ops[node as usize] else {
                break;
            };
            let choose = &compiled.chooses[decider as usize];
            if choose.child.is_none() {
                node = match self.xsi_type(text) {
                    Some(kind) => choose.case(kind),
                    None => choose.absent,
                };
            } else if empty {
                node = choose.absent;
            } else if deciders.count == DECISIONS_MAX {
                node = choose.overflow;
            } else {
                let start = match here {
                    Some((from, _)) => from,
                    None => {
                        self.held.extend_from_slice(token);
                        input.at
                    }
                };
                self.hold = Some(Hold {
                    decider,
                    depth: self.stack.len(),
                    start,
                    at: input.base + input.at as u64 - token.len() as u64,
                    deciders,
                });
                self.push_frame(Mode::Scout, deciders);
                return Ok(Step::Held);
            }
        }
        let mode = match &compiled.ops[node as usize] {
            Op::Clear => {
                self.emit(input, token, here, out);
                Mode::Pass
            }
            Op::Refuse => return Err(Fault::Contradiction),
            Op::Drop | Op::Choose(_) if self.stack.is_empty() => return Err(Fault::Contradiction),
            Op::Drop | Op::Choose(_) => Mode::Skip,
            Op::Element(element) => {
                let element = *element;
                self.counts.rows += u64::from(compiled.elements[element as usize].row);
                if self.filtered_tag(compiled, element, text, name_end) {
                    self.emit(input, token, here, out);
                } else {
                    self.written
                        .extend_from_slice(if empty { b"/>" } else { b">" });
                    self.runs.text(&input.bytes, &self.written, out);
                }
                Mode::Walk(element)
            }
            op => {
                self.count(op);
                self.capture(node, text, name_end, empty);
                Mode::Capture
            }
        };
        let deciders = if replayed {
            deciders
        } else {
            Deciders::default()
        };
        self.opened(program, input, mode, deciders, empty, out)
    }

    /// Counts a treated element.
    pub(super) fn count(&mut self, op: &Op) {
        if let Op::Treat { counter, .. } = op
            && let Some(count) = self.counts.treated.get_mut(*counter as usize)
        {
            *count += 1;
        }
    }

    fn push_frame(&mut self, mode: Mode, deciders: Deciders) {
        self.stack.push(Frame {
            mode,
            seen: 0,
            hint: 0,
            mixed: false,
            deciders,
        });
    }

    /// The element is open; an empty one closes at once.
    fn opened(
        &mut self,
        program: &XmlProgram,
        input: &Input,
        mode: Mode,
        deciders: Deciders,
        empty: bool,
        out: &mut Out,
    ) -> Result<Step, Fault> {
        self.push_frame(mode, deciders);
        if empty {
            self.close(program, input, None, out)
        } else {
            Ok(Step::On)
        }
    }

    /// A tag passes as it came.
    fn emit(&mut self, input: &Input, token: &[u8], here: Here, out: &mut Out) {
        match here {
            Some((from, to)) => self.runs.pass(&input.bytes, from, to, out),
            None => self.runs.text(&input.bytes, token, out),
        }
    }

    /// The declarations of the tag come into force, and every prefix must have one.
    fn namespaces(&mut self, text: &str, name: &str) -> Result<(), Fault> {
        const UNDECLARED: Fault = Fault::Malformed("XML: prefix not declared");
        for a in &self.attributes {
            let prefix = match parts(&text[a.name.0..a.name.1]) {
                ("xmlns", prefix) => prefix,
                ("", "xmlns") => "",
                _ => continue,
            };
            self.decoded.clear();
            tag::decode(&text[a.value.0..a.value.1], &mut self.decoded);
            self.scope.declare(prefix, &self.decoded)?;
        }
        self.scope.resolve(parts(name).0).ok_or(UNDECLARED)?;
        for (i, a) in self.attributes.iter().enumerate() {
            let (prefix, local) = parts(&text[a.name.0..a.name.1]);
            if matches!(prefix, "" | "xmlns") {
                continue;
            }
            let namespace = self.scope.resolve(prefix).ok_or(UNDECLARED)?;
            let twice = self.attributes[..i].iter().any(|b| {
                let (other, its_local) = parts(&text[b.name.0..b.name.1]);
                its_local == local
                    && !matches!(other, "" | "xmlns")
                    && self.scope.resolve(other) == Some(namespace)
            });
            if twice {
                return Err(Fault::Malformed("XML: duplicate attribute"));
            }
        }
        Ok(())
    }

    /// What the element `name` means where it stands.
    fn meaning(&mut self, program: &XmlProgram, name: &str) -> Result<Meant, Fault> {
        let compiled = &program.compiled;
        let (prefix, local) = parts(name);
        let level = self.stack.len();
        let Some(parent) = self.stack.last_mut() else {
            return Ok(Meant::Node(compiled.root));
        };
        for i in 0..parent.deciders.count {
            let decider = &compiled.chooses[parent.deciders.ids[i] as usize];
            let hit = decider.child.as_ref().is_some_and(|(exact, wide)| {
                key::same(local, exact) || *key::canonical(local) == **wide
            });
            if hit && std::mem::replace(&mut parent.deciders.seen[i], true) {
                return Err(Fault::Duplicate);
            }
        }
        Ok(match parent.mode {
            Mode::Walk(element) => {
                let element = &compiled.elements[element as usize];
                let scope = &self.scope;
                match element.children.find(
                    local,
                    parent.hint,
                    || scope.resolve(prefix),
                    compiled.drop,
                ) {
                    Some(meaning) => {
                        if parent.seen & meaning.unique != 0 {
                            return Err(Fault::Duplicate);
                        }
                        parent.seen |= meaning.unique;
                        parent.hint = meaning.index.wrapping_add(1);
                        Meant::Node(meaning.node)
                    }
                    None => Meant::Node(element.other.unwrap_or_else(|| {
                        self.counts.unplanned_members += 1;
                        compiled.drop
                    })),
                }
            }
            Mode::Pass => Meant::Mode(Mode::Pass),
            Mode::Skip => Meant::Mode(Mode::Skip),
            Mode::Capture | Mode::ScoutValue => {
                self.captured.container = true;
                Meant::Mode(Mode::Skip)
            }
            Mode::Scout => {
                let decider = self
                    .hold
                    .as_ref()
                    .filter(|hold| hold.depth + 1 == level)
                    .map(|hold| &compiled.chooses[hold.decider as usize]);
                match decider.and_then(|d| d.child.as_ref().map(|child| (d, child))) {
                    Some((_, (exact, _))) if key::same(local, exact) => {
                        self.captured.clear();
                        Meant::Mode(Mode::ScoutValue)
                    }
                    // Only some consumers take it for the one that decides: nothing is granted by it.
                    Some((decider, (_, wide))) if *key::canonical(local) == **wide => {
                        Meant::Decided(decider.otherwise)
                    }
                    _ => Meant::Mode(Mode::Skip),
                }
            }
        })
    }

    /// The local part of `xsi:type`.
    fn xsi_type<'a>(&self, text: &'a str) -> Option<&'a str> {
        self.attributes.iter().find_map(|a| {
            let (prefix, local) = parts(&text[a.name.0..a.name.1]);
            let hit =
                local == "type" && !prefix.is_empty() && self.scope.resolve(prefix) == Some(XSI);
            hit.then(|| parts(text[a.value.0..a.value.1].trim()).1)
        })
    }

    /// Writes the start tag of a walked element, without its end. True if it may pass as it came.
    fn filtered_tag(
        &mut self,
        compiled: &Compiled,
        element: u32,
        text: &str,
        name_end: usize,
    ) -> bool {
        let table = &compiled.elements[element as usize].attributes;
        self.written.clear();
        self.written.extend_from_slice(&text.as_bytes()[..name_end]);
        let mut same = true;
        for i in 0..self.attributes.len() {
            let a = self.attributes[i];
            let (prefix, local) = parts(&text[a.name.0..a.name.1]);
            let whole = &text.as_bytes()[a.name.0..=a.value.1];
            let kept = match self.known(prefix, local, &text[a.value.0..a.value.1]) {
                Known::No => {
                    let namespace = || {
                        if prefix.is_empty() {
                            Some("")
                        } else {
                            self.scope.resolve(prefix)
                        }
                    };
                    match table
                        .find(local, 0, namespace, compiled.drop)
                        .map(|meaning| &compiled.ops[meaning.node as usize])
                    {
                        Some(Op::Clear) => true,
                        Some(op @ (Op::Treat { .. } | Op::Constant(_))) => {
                            same = false;
                            self.decoded.clear();
                            tag::decode(&text[a.value.0..a.value.1], &mut self.decoded);
                            let value = match op {
                                Op::Constant(constant) => constant,
                                Op::Treat { treatment, counter } => {
                                    if let Some(count) =
                                        self.counts.treated.get_mut(*counter as usize)
                                    {
                                        *count += 1;
                                    }
                                    let scalar = untyped::scalar(treatment, &self.decoded);
                                    match treatment.apply(scalar, &mut self.treated) {
                                        Treated::Same => &*self.decoded,
                                        Treated::Null => "",
                                        Treated::Refused => {
                                            self.counts.refuse(*counter);
                                            ""
                                        }
                                        Treated::Text(text) | Treated::Number(text) => text,
                                    }
                                }
                                _ => "",
                            };
                            self.written.push(b' ');
                            self.written
                                .extend_from_slice(&text.as_bytes()[a.name.0..a.name.1]);
                            self.written.extend_from_slice(b"=\"");
                            tag::encode(value, &mut self.written);
                            self.written.push(b'"');
                            continue;
                        }
                        _ => false,
                    }
                }
                _ => true,
            };
            if kept {
                self.written.push(b' ');
                self.written.extend_from_slice(whole);
            } else {
                same = false;
            }
        }
        same
    }

    /// The attributes that mean the same everywhere.
    /// One whose value is not of its type is as any other.
    pub(super) fn known(&self, prefix: &str, local: &str, value: &str) -> Known {
        if prefix == "xmlns" || (prefix.is_empty() && local == "xmlns") {
            return Known::Declaration;
        }
        let namespace = match prefix {
            "" => return Known::No,
            prefix => self.scope.resolve(prefix),
        };
        let nil = &self.program.nil;
        let own = namespace == Some(&*nil.namespace);
        let value = value.trim();
        let is_nil = own && *local == *nil.name || namespace == Some(XSI) && local == "nil";
        let is_type = local == "type" && (own || namespace == Some(XSI));
        if is_nil && matches!(value, "true" | "false" | "1" | "0") {
            Known::Nil
        } else if is_type && tag::is_name(value) {
            Known::Type
        } else {
            Known::No
        }
    }

    /// The innermost element ends, by the end tag given or because it is empty.
    fn close(
        &mut self,
        program: &XmlProgram,
        input: &Input,
        end: Option<(&[u8], Here)>,
        out: &mut Out,
    ) -> Result<Step, Fault> {
        let Some(frame) = self.stack.pop() else {
            return Err(Fault::Malformed("XML end tag"));
        };
        let mut step = Step::On;
        match frame.mode {
            Mode::Walk(_) | Mode::Pass => {
                if let Some((token, here)) = end {
                    self.emit(input, token, here, out);
                }
            }
            Mode::Skip => {}
            Mode::Capture => self.captured_complete(program, input, out)?,
            Mode::Scout | Mode::ScoutValue => {
                let Some(hold) = &self.hold else {
                    return Err(Fault::Contradiction);
                };
                let decider = &program.compiled.chooses[hold.decider as usize];
                step = Step::Decided(if frame.mode == Mode::Scout {
                    decider.absent
                } else {
                    self.captured.decode(false);
                    if self.captured.container || self.captured.over {
                        decider.otherwise
                    } else {
                        decider.case(&self.captured.text)
                    }
                });
            }
        }
        self.scope.close();
        Ok(step)
    }
}

/// What an element means where it stands.
enum Meant {
    Node(u32),
    /// By what is around it.
    Mode(Mode),
    /// The record around it takes this node.
    Decided(u32),
}

/// An attribute that means the same everywhere.
pub(super) enum Known {
    Declaration,
    Type,
    Nil,
    No,
}
