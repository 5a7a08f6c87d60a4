//! What only the answers of the Streaming API have, as nodes.

use std::borrow::Cow;
use std::sync::Arc;

use crate::engine::catalog::{ConditionValue, FieldRef, ObjectId};
use crate::engine::policy::{FieldRuling, Verdict};
use crate::engine::protocol::salesforce::streaming::EventPart;
use crate::engine::protocol::{RecordShape, Shape};
use crate::engine::refusal::Refusal;
use crate::engine::rewrite::{By, Choose, Elements, LinkRewriter, Member, Node, NodeId};
use crate::engine::treatment::Treatment;

use super::super::link::{ClientId, MessageError};
use super::Record;
use super::json::{DROP, Lowering, NULL, REFUSE};

impl Lowering<'_, '_> {
    pub(super) fn event(
        &mut self,
        part: &EventPart,
        record: Option<Record>,
    ) -> Result<NodeId, Refusal> {
        Ok(match part {
            EventPart::Told {
                keys,
                cases,
                otherwise,
            } => self.told(keys, cases, otherwise)?,
            EventPart::Permitted {
                outputs,
                uses,
                shape,
                otherwise,
            } => {
                let verdicts = &self.core.decision.verdicts;
                let permitted = |at: &usize| matches!(verdicts.get(*at), Some(Verdict::Permit(_)));
                let read = |at: &usize| match verdicts.get(*at) {
                    Some(Verdict::Output(ruling)) => !ruling.is_hidden(),
                    _ => false,
                };
                let all = outputs.iter().any(read) && uses.iter().all(permitted);
                self.shape(if all { shape } else { otherwise }, record)?
            }
            EventPart::Readable {
                object,
                shape,
                otherwise,
            } => {
                let readable = self.core.is_readable(*object);
                self.shape(if readable { shape } else { otherwise }, record)?
            }
            EventPart::Field(field) => {
                let treatment = self.treatment(*field, record);
                self.treat(*field, treatment)
            }
            EventPart::Follows { field, shape } => {
                let ruling = self.core.decision.read(*field);
                if ruling.is_some_and(FieldRuling::is_clear) {
                    self.shape(shape, record)?
                } else {
                    DROP
                }
            }
            EventPart::Compound(field) => self.compound(*field, record),
            EventPart::Ids(object) => self.ids(*object, record),
            EventPart::FieldNames(object) => {
                let names = self.field_names(*object, record);
                let rest = self.add(Node::Link(Arc::new(names)));
                self.list(rest)
            }
            EventPart::Error => self.add(Node::Link(Arc::new(MessageError))),
            EventPart::Client => match self.core.stream_client() {
                Some(client) => self.add(Node::Link(Arc::new(ClientId(client)))),
                None => REFUSE,
            },
        })
    }

    fn list(&mut self, rest: NodeId) -> NodeId {
        self.add(Node::Array(Elements {
            head: Vec::new(),
            rest,
        }))
    }

    fn told(
        &mut self,
        keys: &[Arc<str>],
        cases: &[(Arc<str>, Shape, bool)],
        otherwise: &Shape,
    ) -> Result<NodeId, Refusal> {
        let otherwise = self.shape(otherwise, None)?;
        let mut lowered = Vec::with_capacity(cases.len());
        for (text, shape, row) in cases {
            let node = self.shape(shape, None)?;
            self.mark_unique(node, keys);
            if let (true, Some(Node::Object(members))) = (*row, self.nodes.get_mut(node.0 as usize))
            {
                members.row = true;
            }
            lowered.push((ConditionValue::Text((&**text).into()), node));
        }
        Ok(self.add(Node::Choose(Choose {
            by: By::Keys(keys.to_vec()),
            cases: lowered,
            otherwise,
            absent: otherwise,
            overflow: otherwise,
        })))
    }

    /// How the field is treated in this record, or in any of its object.
    fn treatment(&self, field: FieldRef, record: Option<Record>) -> Treatment {
        match record {
            Some(record) if record.object == field.object => {
                self.core.of_record(field, record.variant)
            }
            _ => self
                .core
                .decision
                .read(field)
                .map_or(Treatment::Drop, |ruling| ruling.strictest().treatment),
        }
    }

    /// The parts of a compound field: as an event calls each, and which field it is.
    fn parts(&self, compound: FieldRef) -> Vec<(Arc<str>, FieldRef)> {
        let object = self.core.catalog.get(compound.object);
        let whole = &object.fields[compound.field as usize].name;
        (0u32..)
            .zip(&object.fields)
            .filter(|(_, part)| part.compound == Some(compound.field))
            .map(|(field, part)| (part_key(whole, &part.name), FieldRef { field, ..compound }))
            .collect()
    }

    fn compound(&mut self, field: FieldRef, record: Option<Record>) -> NodeId {
        let mut named = Vec::new();
        for (key, part) in self.parts(field) {
            let treatment = self.treatment(part, record);
            let node = self.treat(part, treatment);
            named.push(Member {
                key,
                node,
                unique: false,
            });
        }
        let treatment = self.treatment(field, record);
        let scalar = self.treat(field, treatment);
        let object = match named.iter().all(|member| member.node == DROP) {
            true => DROP,
            false => self.object(named, false),
        };
        self.add(Node::Either {
            object,
            array: NULL,
            scalar,
        })
    }

    /// Ids of records, each seen by the ledger.
    fn ids(&mut self, object: ObjectId, record: Option<Record>) -> NodeId {
        let Some(id) = self.core.id_field(object) else {
            return DROP;
        };
        let treatment = self.treatment(id, record);
        let plain = self.treat(id, treatment);
        let shape = RecordShape {
            objects: vec![object],
            scope: 0,
            members: Vec::new(),
            all_fields: true,
            attributes: false,
            enveloped: false,
            paths: Vec::new(),
        };
        let variant = record.map_or(0, |record| record.variant);
        let element = self
            .observed(&shape, object, variant, plain)
            .unwrap_or(plain);
        if plain == DROP && element == DROP {
            return DROP;
        }
        self.list(element)
    }

    /// The names that the caller may see.
    fn field_names(&self, object: ObjectId, record: Option<Record>) -> FieldNames {
        let known = self.core.catalog.get(object);
        let mut names = Vec::new();
        for (index, field) in (0u32..).zip(&known.fields) {
            let at = FieldRef {
                object,
                field: index,
            };
            let parts: Vec<_> = self
                .parts(at)
                .into_iter()
                .filter(|(_, part)| !self.treatment(*part, record).is_hidden())
                .collect();
            if !parts.is_empty() || !self.treatment(at, record).is_hidden() {
                names.push(field.name.to_string());
            }
            names.extend(parts.iter().map(|(key, _)| format!("{}.{key}", field.name)));
        }
        FieldNames(names)
    }
}

/// What a change event calls a part of a compound field ("Compound Fields in Change Events"): `City` of
/// `MailingAddress`, `FirstName` of `Name`, `Latitude` of `Place__c`.
fn part_key(compound: &str, part: &str) -> Arc<str> {
    let stem = compound
        .strip_suffix("Address")
        .or_else(|| compound.strip_suffix('c').filter(|c| c.ends_with("__")))
        .filter(|stem| !stem.is_empty());
    let key = stem.and_then(|stem| part.strip_prefix(stem));
    let key = key.filter(|k| !k.is_empty()).unwrap_or(part);
    key.strip_suffix("__s").unwrap_or(key).into()
}

/// Names of fields: those in the list stay.
#[derive(Debug)]
struct FieldNames(Vec<String>);

impl LinkRewriter for FieldNames {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<Cow<'a, str>> {
        let known = self.0.iter().any(|n| n.eq_ignore_ascii_case(upstream));
        known.then_some(Cow::Borrowed(upstream))
    }
}

#[cfg(test)]
mod tests {
    use super::part_key;

    #[test]
    fn parts_are_called_as_events_call_them() {
        for (compound, part, key) in [
            ("MailingAddress", "MailingCity", "City"),
            ("Address", "City", "City"),
            ("Name", "FirstName", "FirstName"),
            ("Place__c", "Place__Latitude__s", "Latitude"),
        ] {
            assert_eq!(&*part_key(compound, part), key, "{compound}");
        }
    }
}
