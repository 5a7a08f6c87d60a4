//! Names of the open elements and the namespaces in force.

use super::Fault;

/// Longest sum of open names, prefixes and namespace names.
const TEXT_MAX: usize = 32 << 10;

/// Most declarations in force.
const BINDINGS_MAX: usize = 256;

const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

#[derive(Debug, Default)]
pub(super) struct Scope {
    text: String,
    bindings: Vec<Binding>,
    open: Vec<Open>,
}

#[derive(Debug, Clone, Copy)]
struct Binding {
    prefix: (usize, usize),
    uri: (usize, usize),
}

#[derive(Debug, Clone, Copy)]
struct Open {
    name: (usize, usize),
    bindings: usize,
}

impl Scope {
    fn add(&mut self, text: &str) -> Result<(usize, usize), Fault> {
        let from = self.text.len();
        if from + text.len() > TEXT_MAX {
            return Err(Fault::TooLarge("XML names"));
        }
        self.text.push_str(text);
        Ok((from, self.text.len()))
    }

    fn slice(&self, (from, to): (usize, usize)) -> &str {
        &self.text[from..to]
    }

    /// Whether an element of this name may open as far as the bounds of names go.
    pub(super) fn has_room(&self, name: &str) -> bool {
        self.text.len() + name.len() <= TEXT_MAX
    }

    /// Number of open elements.
    pub(super) fn depth(&self) -> usize {
        self.open.len()
    }

    /// An element opens; its declarations follow.
    pub(super) fn open(&mut self, name: &str) -> Result<(), Fault> {
        let name = self.add(name)?;
        self.open.push(Open {
            name,
            bindings: self.bindings.len(),
        });
        Ok(())
    }

    /// The qualified name of the innermost element.
    pub(super) fn name(&self) -> &str {
        self.open.last().map_or("", |open| self.slice(open.name))
    }

    /// The innermost element closes.
    pub(super) fn close(&mut self) {
        if let Some(open) = self.open.pop() {
            self.text.truncate(open.name.0);
            self.bindings.truncate(open.bindings);
        }
    }

    /// Only the outermost `depth` elements are open any more.
    pub(super) fn truncate(&mut self, depth: usize) {
        while self.open.len() > depth {
            self.close();
        }
    }

    /// The innermost element declares a namespace.
    pub(super) fn declare(&mut self, prefix: &str, uri: &str) -> Result<(), Fault> {
        const WRONG: Fault = Fault::Malformed("XML namespace");
        let reserved = uri == XML || uri == XMLNS;
        match prefix {
            "xml" if uri == XML => return Ok(()),
            "xml" | "xmlns" => return Err(WRONG),
            _ if reserved || (uri.is_empty() && !prefix.is_empty()) => return Err(WRONG),
            _ => {}
        }
        if self.bindings.len() == BINDINGS_MAX {
            return Err(Fault::TooLarge("XML namespaces"));
        }
        let binding = Binding {
            prefix: self.add(prefix)?,
            uri: self.add(uri)?,
        };
        self.bindings.push(binding);
        Ok(())
    }

    /// The namespace of a prefix; of none, "" is the default one. `None` = not declared.
    pub(super) fn resolve(&self, prefix: &str) -> Option<&str> {
        let found = self
            .bindings
            .iter()
            .rev()
            .find(|b| self.slice(b.prefix) == prefix);
        match found {
            Some(binding) => Some(self.slice(binding.uri)),
            None if prefix.is_empty() => Some(""),
            None if prefix == "xml" => Some(XML),
            None => None,
        }
    }

    /// A prefix that stands for `uri` here.
    pub(super) fn prefix_of(&self, uri: &str) -> Option<&str> {
        self.bindings
            .iter()
            .rev()
            .filter(|b| self.slice(b.uri) == uri && b.prefix.0 != b.prefix.1)
            .map(|b| self.slice(b.prefix))
            .find(|prefix| self.resolve(prefix) == Some(uri))
    }
}
