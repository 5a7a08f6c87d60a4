//! A treated element: captured up to a bound and written anew.

use super::super::runs::keep;
use super::super::untyped;
use super::compiled::Op;
use super::tag::{self, parts};
use super::walk::Known;
use super::{Fault, Input, Out, XmlProgram, XmlRewriter};
use crate::engine::treatment::{Scalar, Treated};

/// The element whose text is captured.
#[derive(Debug, Default)]
pub(super) struct Captured {
    node: u32,
    /// Its start tag as it will stand, without its end and without the nil attribute.
    tag: Vec<u8>,
    /// Where the name ends in it.
    name_end: usize,
    /// It says that it is nil.
    nil: bool,
    /// It came as `<x/>`.
    empty: bool,
    /// Text as written, not decoded yet.
    raw: Vec<u8>,
    pub(super) text: String,
    /// It holds elements.
    pub(super) container: bool,
    /// It is over its bound.
    pub(super) over: bool,
}

impl Captured {
    pub(super) fn clear(&mut self) {
        self.tag.clear();
        self.raw.clear();
        self.text.clear();
        (self.nil, self.empty, self.container, self.over) = (false, false, false, false);
    }

    pub(super) fn push(&mut self, part: &[u8], max: usize) {
        if self.raw.len() + self.text.len() + part.len() > max {
            self.over = true;
            self.raw.clear();
        }
        if !self.over {
            keep(&mut self.raw, part, max);
        }
    }

    /// What is raw becomes text; in a section there are no references.
    pub(super) fn decode(&mut self, section: bool) {
        let Ok(raw) = std::str::from_utf8(&self.raw) else {
            self.over = true;
            return;
        };
        if section {
            for (i, line) in raw.split("\r\n").enumerate() {
                if i > 0 {
                    self.text.push('\n');
                }
                self.text
                    .extend(line.chars().map(|c| if c == '\r' { '\n' } else { c }));
            }
        } else {
            tag::decode(raw, &mut self.text);
        }
        self.raw.clear();
    }
}

impl XmlRewriter {
    /// The element's text is captured for `node` from here.
    pub(super) fn capture(&mut self, node: u32, text: &str, name_end: usize, empty: bool) {
        self.captured.clear();
        self.captured.node = node;
        self.captured.empty = empty;
        self.captured.name_end = name_end;
        self.captured
            .tag
            .extend_from_slice(&text.as_bytes()[..name_end]);
        for i in 0..self.attributes.len() {
            let a = self.attributes[i];
            let (prefix, local) = parts(&text[a.name.0..a.name.1]);
            match self.known(prefix, local, &text[a.value.0..a.value.1]) {
                Known::Declaration | Known::Type => {
                    self.captured.tag.push(b' ');
                    self.captured
                        .tag
                        .extend_from_slice(&text.as_bytes()[a.name.0..=a.value.1]);
                }
                Known::Nil => {
                    self.captured.nil |= matches!(text[a.value.0..a.value.1].trim(), "true" | "1");
                }
                Known::No => {}
            }
        }
    }

    /// All of an element without attributes and of its text `raw` is captured for `node`.
    pub(super) fn capture_leaf(&mut self, node: u32, name: &str, raw: &[u8]) {
        self.captured.clear();
        self.captured.node = node;
        self.captured.name_end = name.len() + 1;
        self.captured.tag.push(b'<');
        self.captured.tag.extend_from_slice(name.as_bytes());
        self.captured.push(raw, self.bounds.treated_bytes_max);
    }

    /// A captured element is complete and is written anew.
    pub(super) fn captured_complete(
        &mut self,
        program: &XmlProgram,
        input: &Input,
        out: &mut Out,
    ) -> Result<(), Fault> {
        self.captured.decode(false);
        let Captured {
            node,
            text,
            nil,
            empty,
            container,
            over,
            ..
        } = &self.captured;
        let linked;
        let scalar = if *container || *over {
            Scalar::Container
        } else if *nil && text.is_empty() {
            Scalar::Null
        } else if *nil {
            // It says that it is null and is not.
            Scalar::Container
        } else {
            Scalar::Text(text)
        };
        // `None` = nil.
        let content: Option<&str> = match (&program.compiled.ops[*node as usize], scalar) {
            (Op::Constant(constant), _) => Some(constant),
            (Op::Treat { treatment, counter }, scalar) => {
                let scalar = match scalar {
                    Scalar::Text(text) => untyped::scalar(treatment, text),
                    scalar => scalar,
                };
                match treatment.apply(scalar, &mut self.treated) {
                    Treated::Same if matches!(scalar, Scalar::Null) => None,
                    Treated::Same => Some(text),
                    Treated::Null => None,
                    Treated::Refused => {
                        self.counts.refuse(*counter);
                        None
                    }
                    Treated::Text(text) | Treated::Number(text) => Some(text),
                }
            }
            (Op::Expect(texts), Scalar::Text(text))
                if texts.iter().any(|t| t.eq_ignore_ascii_case(text)) =>
            {
                Some(text)
            }
            (Op::Link(_), Scalar::Null) => None,
            (Op::Link(link), Scalar::Text(text)) => match link.rewrite(text) {
                Some(link) => {
                    linked = link;
                    Some(&linked)
                }
                None => return self.link_removed(link.is_required()),
            },
            (Op::Link(link), _) => return self.link_removed(link.is_required()),
            _ => return Err(Fault::Contradiction),
        };
        self.written.clear();
        self.written.extend_from_slice(&self.captured.tag);
        match content {
            None => {
                self.nil_attribute(program);
                self.written.extend_from_slice(b"/>");
            }
            Some("") if *empty => self.written.extend_from_slice(b"/>"),
            Some(text) => {
                self.written.push(b'>');
                tag::encode(text, &mut self.written);
                self.written.extend_from_slice(b"</");
                self.written
                    .extend_from_slice(&self.captured.tag[1..self.captured.name_end]);
                self.written.push(b'>');
            }
        }
        self.runs.text(&input.bytes, &self.written, out);
        Ok(())
    }

    /// An element whose link cannot be rewritten is not there, unless the answer would pass for a whole one without it;
    /// the document element cannot be absent.
    fn link_removed(&self, required: bool) -> Result<(), Fault> {
        if required || self.stack.is_empty() {
            Err(Fault::Contradiction)
        } else {
            Ok(())
        }
    }

    /// Appends the attribute that says null, with a declaration where its namespace has no prefix.
    fn nil_attribute(&mut self, program: &XmlProgram) {
        let nil = &program.nil;
        self.written.push(b' ');
        match self.scope.prefix_of(&nil.namespace) {
            Some(prefix) => self.written.extend_from_slice(prefix.as_bytes()),
            None => {
                let mut prefix = nil.prefix.to_string();
                while self.scope.resolve(&prefix).is_some() {
                    prefix.push('0');
                }
                self.written.extend_from_slice(b"xmlns:");
                self.written.extend_from_slice(prefix.as_bytes());
                self.written.extend_from_slice(b"=\"");
                tag::encode(&nil.namespace, &mut self.written);
                self.written.extend_from_slice(b"\" ");
                self.written.extend_from_slice(prefix.as_bytes());
            }
        }
        self.written.push(b':');
        self.written.extend_from_slice(nil.name.as_bytes());
        self.written.extend_from_slice(b"=\"true\"");
    }
}
