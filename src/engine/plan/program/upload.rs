//! Upload × Decision → the program that resolves a request body while it goes upstream.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::policy::Verdict;
use crate::engine::protocol::{Upload, UploadFormat, Written};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::rewrite::csv::{Cell, Column, CsvProgram, Decide, Other};
use crate::engine::rewrite::xml::{Children, XmlNode, XmlProgram};
use crate::engine::rewrite::{BodyProgram, Counter, NodeId};
use crate::engine::treatment::{Prepared, Treatment};

use super::super::UploadProgram;
use super::super::literal::{Refusing, Values};
use super::xml::place;

/// What the values of a request are judged by.
pub(in crate::engine::plan) struct Judging<'a> {
    pub(in crate::engine::plan) operation: &'a crate::engine::protocol::Operation,
    pub(in crate::engine::plan) decision: &'a crate::engine::policy::Decision,
    pub(in crate::engine::plan) catalog: &'a crate::engine::catalog::Catalog,
    pub(in crate::engine::plan) keys: &'a crate::engine::token::KeyRing,
    pub(in crate::engine::plan) tenant: &'a str,
}

/// Lowers an upload under the decision.
///
/// # Errors
/// A use that nobody may be told about stands in a document whose members are named by the request.
pub(in crate::engine::plan) fn lower(
    upload: &Upload,
    judging: &Judging<'_>,
) -> Result<UploadProgram, Refusal> {
    let mut lowering = Lowering {
        upload,
        judging,
        counters: Vec::new(),
        refusals: Vec::new(),
        made: HashMap::new(),
    };
    let program = match upload.format {
        UploadFormat::Csv {
            delimiter,
            line_ending,
        } => {
            let Written::Object(members) = &upload.root else {
                return Err(super::super::internal("a CSV upload has columns"));
            };
            let columns = members
                .iter()
                .filter_map(|(name, written)| lowering.column(name, written))
                .collect();
            BodyProgram::Csv(Arc::new(CsvProgram {
                delimiter,
                line_ending,
                columns,
                other: Other::Abort,
                decide: Decide::Index(0),
                overflow: 0,
                no_records: false,
                counters: lowering.counters,
            }))
        }
        UploadFormat::Xml => {
            let mut nodes = vec![XmlNode::Refuse, XmlNode::Clear];
            let root = lowering.element(&upload.root, &mut nodes);
            BodyProgram::Xml(Arc::new(XmlProgram::new(&nodes, root, lowering.counters)))
        }
    };
    Ok(UploadProgram {
        program,
        refusals: lowering.refusals,
    })
}

const REFUSE: NodeId = NodeId(0);
const CLEAR: NodeId = NodeId(1);

struct Lowering<'a> {
    upload: &'a Upload,
    judging: &'a Judging<'a>,
    counters: Vec<Counter>,
    /// Parallel to the counters: what a value of that use is refused with.
    refusals: Vec<Refusal>,
    made: HashMap<usize, Option<(Prepared, u32)>>,
}

impl Lowering<'_> {
    /// How the values of a use are resolved; `None`: nothing may be told of its field, as if nothing named it.
    fn values(&mut self, index: usize) -> Option<(Prepared, u32)> {
        if let Some(made) = self.made.get(&index) {
            return made.clone();
        }
        let made = self.resolver(index);
        self.made.insert(index, made.clone());
        made
    }

    fn resolver(&mut self, index: usize) -> Option<(Prepared, u32)> {
        let Judging {
            operation,
            decision,
            catalog,
            keys,
            tenant,
        } = *self.judging;
        let used = operation.uses.get(index)?;
        let (prepared, refusal) = match decision.verdicts.get(index)? {
            Verdict::Refuse(refusal) if refusal.reason == Reason::UnknownField => return None,
            Verdict::Refuse(refusal) => (Prepared::Resolve(Arc::new(Refusing)), refusal.clone()),
            verdict => {
                let values = Values::new(
                    used,
                    verdict,
                    decision,
                    catalog,
                    keys,
                    tenant,
                    self.upload.null.clone(),
                );
                let refusal = values.refusal();
                (Prepared::Resolve(Arc::new(values)), refusal)
            }
        };
        let counter = u32::try_from(self.counters.len()).unwrap_or(u32::MAX);
        self.counters.push(Counter {
            object: catalog.get(used.field.object).name.clone(),
            field: catalog.field(used.field).name.clone(),
            treatment: Treatment::Clear,
        });
        self.refusals.push(refusal);
        Some((prepared, counter))
    }

    fn column(&mut self, name: &Arc<str>, written: &Written) -> Option<Column> {
        let cell = match written {
            Written::Keep => Cell::Clear,
            Written::Use(index) => {
                let (treatment, counter) = self.values(*index)?;
                Cell::Treat { treatment, counter }
            }
            // A cell has no members and no fixed text.
            Written::Expect(_) | Written::Object(_) => return None,
        };
        Some(Column {
            name: name.clone(),
            cells: vec![cell],
            required: true,
        })
    }

    fn element(&mut self, written: &Written, nodes: &mut Vec<XmlNode>) -> NodeId {
        let node = match written {
            Written::Keep => return CLEAR,
            Written::Expect(text) => XmlNode::Expect(vec![text.clone()]),
            Written::Use(index) => match self.values(*index) {
                Some((treatment, counter)) => XmlNode::Treat { treatment, counter },
                None => return REFUSE,
            },
            Written::Object(members) => {
                let mut children = Children {
                    other: Some(REFUSE),
                    ..Children::default()
                };
                for (key, member) in members {
                    let node = self.element(member, nodes);
                    place(&mut children, key, node, false);
                }
                XmlNode::Element(children)
            }
        };
        let id = NodeId(u32::try_from(nodes.len()).unwrap_or(u32::MAX));
        nodes.push(node);
        id
    }
}
