//! Shape × Decision → rewrite program, one file per format.
//!
//! What holds in all of them stands here: which treatment a value takes, under which conditions a record's fields
//! differ, and where links lead.

mod csv;
mod event;
mod json;
mod upload;
mod xml;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::engine::catalog::{Catalog, FieldRef, FieldType, ObjectId, SecondNet};
use crate::engine::identity::Identity;
use crate::engine::policy::{Decision, FieldRuling, Verdict};
use crate::engine::protocol::salesforce::describe::FieldView;
use crate::engine::protocol::salesforce::streaming::StreamClient;
use crate::engine::protocol::{Dialect, Forward, Link, Operation, RecordShape, Shape};
use crate::engine::refusal::Refusal;
use crate::engine::rewrite::{BodyProgram, Counter, LinkRewriter};
use crate::engine::token::KeyRing;
use crate::engine::treatment::{Prepared, Treatment, Watch};

use super::ledger::{Ledger, RecordId, Shown, ShownSet};
use super::link::{MappedPageLink, NextPageLink, OriginLink};

pub(super) use upload::{Judging, lower as lower_upload};

/// The program, and the condition fields that the request must fetch for it.
pub(super) struct Lowered {
    pub(super) program: BodyProgram,
    pub(super) conditions: Vec<(usize, FieldRef)>,
    /// Which records the answer will have shown.
    pub(super) shown: Option<Arc<Shown>>,
}

/// Lowers the operation's shape under the decision.
pub(super) fn lower(
    operation: &Operation,
    decision: &Decision,
    catalog: &Catalog,
    keys: &KeyRing,
    caller: &Identity,
) -> Result<Lowered, Refusal> {
    let mut core = Core {
        operation,
        decision,
        catalog,
        keys,
        caller,
        counters: Vec::new(),
        prepared: HashMap::new(),
        conditions: Vec::new(),
        ledger: keys.ledger_key().map(Ledger::new),
    };
    let program = match &operation.shape {
        Shape::Csv(shape) => BodyProgram::Csv(Arc::new(csv::lower(&mut core, shape))),
        Shape::Opaque => BodyProgram::Opaque,
        Shape::Xml(shape) => BodyProgram::Xml(Arc::new(xml::lower(&mut core, shape)?)),
        shape => BodyProgram::Json(Arc::new(json::lower(&mut core, shape)?)),
    };
    Ok(Lowered {
        program,
        conditions: core.conditions,
        shown: core.ledger.and_then(Ledger::finish),
    })
}

/// The record that a value stands in.
#[derive(Clone, Copy)]
struct Record {
    object: ObjectId,
    variant: usize,
    /// The same shape stands for records of other objects too.
    several: bool,
}

/// What becomes of one value.
#[derive(Clone, Copy)]
enum Ruled {
    /// It is not there.
    Hidden,
    /// It is computed from no field: a count of rows.
    Count,
    /// It is this field's, or as protected.
    Field(FieldRef, Treatment),
}

/// The outputs of each value of a record.
fn values(shape: &RecordShape) -> impl Iterator<Item = &Vec<usize>> {
    shape.members.iter().flat_map(|(_, member)| {
        let (own, inner) = match member {
            Shape::Value(sources) => (Some(sources), &[][..]),
            Shape::Object(parts) if shape.enveloped => (None, &parts[..]),
            _ => (None, &[][..]),
        };
        own.into_iter()
            .chain(inner.iter().filter_map(|(_, part)| match part {
                Shape::Value(sources) => Some(sources),
                _ => None,
            }))
    })
}

/// What the lowering of every format shares.
struct Core<'a> {
    operation: &'a Operation,
    decision: &'a Decision,
    catalog: &'a Catalog,
    keys: &'a KeyRing,
    caller: &'a Identity,
    counters: Vec<Counter>,
    /// Treatments with their keys, and their counters.
    prepared: HashMap<(FieldRef, Treatment), (Prepared, u32)>,
    conditions: Vec<(usize, FieldRef)>,
    /// `None` while the ledger is off.
    ledger: Option<Ledger>,
}

impl<'a> Core<'a> {
    /// A value computed from outputs: the most protective of its sources.
    fn value(&self, sources: &[usize], record: Option<Record>) -> Ruled {
        if sources.is_empty() {
            return Ruled::Count;
        }
        let uses = &self.operation.uses;
        // In a record of one of several objects the output stands for that object's own field.
        let own: Vec<usize> = record.map_or_else(Vec::new, |r| {
            sources
                .iter()
                .copied()
                .filter(|s| uses.get(*s).is_some_and(|u| u.field.object == r.object))
                .collect()
        });
        if own.is_empty() && record.is_some_and(|r| r.several) {
            // Another object's field: this one has none of that name.
            return Ruled::Hidden;
        }
        let sources: &[usize] = if own.is_empty() { sources } else { &own };
        let mut found: Option<(FieldRef, Treatment)> = None;
        for source in sources {
            let (Some(used), Some(Verdict::Output(ruling))) =
                (uses.get(*source), self.decision.verdicts.get(*source))
            else {
                return Ruled::Hidden;
            };
            let treatment = match record {
                Some(r) if r.object == used.field.object => ruling.under(r.variant).treatment,
                _ => ruling.strictest().treatment,
            };
            found = Some(match found {
                None => (used.field, treatment),
                Some(other) => self.combine(other, (used.field, treatment)),
            });
        }
        match found {
            Some((field, treatment)) if !treatment.is_hidden() => Ruled::Field(field, treatment),
            _ => Ruled::Hidden,
        }
    }

    /// The more protective of two sources of one value; what cannot be compared becomes `mask:all` or `redact`.
    fn combine(&self, a: (FieldRef, Treatment), b: (FieldRef, Treatment)) -> (FieldRef, Treatment) {
        use std::cmp::Ordering::{Equal, Greater, Less};
        match a.1.rank().cmp(&b.1.rank()) {
            Greater => a,
            Less => b,
            Equal if a.1 == b.1 && !a.1.is_token() => a,
            Equal
                if a.1 == b.1 && self.catalog.field(a.0).class == self.catalog.field(b.0).class =>
            {
                a
            }
            Equal if a.1.rank() == Treatment::MaskEmail.rank() => (a.0, Treatment::MaskAll),
            Equal => (a.0, Treatment::Redact),
        }
    }

    /// How the second net looks at a field that is read in clear; `None` = not at all. What can hold no text, and words
    /// that people did not write (ids, pick lists), are not looked at; nor is an e-mail address or a telephone number
    /// in a field that is classed as personal data and of that very type.
    fn watch(&self, field: FieldRef) -> Option<Watch> {
        let mask = match self.catalog.vocabulary.second_net {
            SecondNet::Off => return None,
            SecondNet::Report => false,
            SecondNet::Mask => true,
        };
        let schema = self.catalog.field(field);
        let personal = self.catalog.vocabulary.is_personal(&schema.class);
        let long_text = matches!(&*schema.type_word, "textarea" | "html");
        match (schema.kind, &*schema.type_word) {
            (FieldType::Text, "picklist" | "multipicklist") => None,
            (FieldType::Text, "email" | "phone") if personal => None,
            (FieldType::Text | FieldType::Other | FieldType::Compound, _) => Some(Watch {
                mask,
                expected: personal && !long_text,
            }),
            _ => None,
        }
    }

    /// The treatment with its key and its counter. `clear` where it is watched alone, never for hidden fields.
    fn prepare(&mut self, field: FieldRef, treatment: Treatment) -> (Prepared, u32) {
        if let Some(made) = self.prepared.get(&(field, treatment)) {
            return made.clone();
        }
        let schema = self.catalog.field(field);
        let (prepared, counted) = match (treatment.is_token(), &self.decision.scope) {
            (false, _) => {
                let watch = (treatment == Treatment::Clear).then(|| self.watch(field));
                let prepared = match watch.flatten() {
                    Some(watch) => Prepared::Watched(watch),
                    None => Prepared::Keyless(treatment),
                };
                (prepared, treatment)
            }
            // A caller without a scope may not receive tokens.
            (true, None) => (Prepared::Keyless(Treatment::Redact), Treatment::Redact),
            (true, Some(scope)) => {
                let fold = self
                    .catalog
                    .vocabulary
                    .classes
                    .get(&schema.class)
                    .is_some_and(|c| c.fold_local_part);
                let tokenizer =
                    self.keys
                        .tokenizer(&self.caller.tenant, scope, &schema.class, fold);
                (
                    Prepared::Token {
                        tokenizer,
                        email: treatment == Treatment::TokenizeEmail,
                        record_id: self.operation.api.dialect == Dialect::Salesforce
                            && matches!(schema.kind, FieldType::Id | FieldType::Reference),
                    },
                    treatment,
                )
            }
        };
        let counter = u32::try_from(self.counters.len()).unwrap_or(u32::MAX);
        self.counters.push(Counter {
            object: self.catalog.get(field.object).name.clone(),
            field: schema.name.clone(),
            treatment: counted,
        });
        self.prepared
            .insert((field, treatment), (prepared.clone(), counter));
        (prepared, counter)
    }

    /// Whether an output is asked of the upstream: it is not hidden in every variant.
    fn is_asked(&self, output: usize) -> bool {
        matches!(self.decision.verdicts.get(output), Some(Verdict::Output(ruling)) if !ruling.is_hidden())
    }

    fn view(&self, object: ObjectId, field: u32) -> FieldView {
        match self.decision.read(FieldRef { object, field }) {
            None => FieldView::Hidden,
            Some(ruling) if ruling.is_hidden() => FieldView::Hidden,
            Some(ruling) if ruling.is_clear() => FieldView::Clear,
            Some(ruling) => {
                let shown = ruling
                    .by_variant
                    .iter()
                    .filter(|r| !r.treatment.is_hidden())
                    .max_by_key(|r| r.treatment.rank());
                FieldView::Treated(shown.map_or(Treatment::Redact, |r| r.treatment))
            }
        }
    }

    fn is_readable(&self, object: ObjectId) -> bool {
        self.decision
            .tables
            .get(&object)
            .is_some_and(|t| !t.nothing_readable())
    }

    /// The reference fields that lead to the record.
    fn references(&self, shape: &RecordShape) -> impl Iterator<Item = &'a FieldRuling> + use<'a> {
        let followed = self.operation.forward.followed();
        let references = followed.and_then(|f| f.scopes.get(shape.scope));
        let decision = self.decision;
        references
            .into_iter()
            .flatten()
            .filter_map(|f| decision.read(*f))
    }

    /// Whether the record's url would show what a reference to it does not.
    fn url_follows_reference(&self, shape: &RecordShape) -> bool {
        self.references(shape).any(|r| r.by_rule() && !r.is_clear())
    }

    /// The treatment of a field of a record that may hold all of its object's.
    fn of_record(&self, field: FieldRef, variant: usize) -> Treatment {
        self.decision
            .read(field)
            .map_or(Treatment::Drop, |ruling| ruling.under(variant).treatment)
    }

    /// Whether the record's fields are treated by its conditions.
    fn varies(&self, shape: &RecordShape, object: ObjectId) -> bool {
        !self.catalog.get(object).conditions.is_empty()
            && self.rulings(shape, object).iter().any(|r| !r.is_uniform())
    }

    /// Asks for the fields that the object's conditions look at.
    fn need_conditions(&mut self, shape: &RecordShape, object: ObjectId) {
        for condition in &self.catalog.get(object).conditions {
            let field = condition.field;
            self.need(shape.scope, FieldRef { object, field });
        }
    }

    /// Asks for a field of the records of a scope.
    fn need(&mut self, scope: usize, field: FieldRef) {
        let needed = (scope, field);
        if !self.conditions.contains(&needed) {
            self.conditions.push(needed);
        }
    }

    /// The field that names a record of the object.
    fn id_field(&self, object: ObjectId) -> Option<FieldRef> {
        let fields = &self.catalog.get(object).fields;
        let field = fields.iter().position(|f| f.kind == FieldType::Id)?;
        Some(FieldRef {
            object,
            field: u32::try_from(field).ok()?,
        })
    }

    /// Some records will come without an id that the ledger sees.
    fn untold(&mut self) {
        if let Some(ledger) = &mut self.ledger {
            ledger.untold();
        }
    }

    /// Sees the ids of the records of this variant; `None`: the ledger is off, or they show nothing. `unseen`: the
    /// caller does not get the id.
    fn observer(
        &mut self,
        shape: &RecordShape,
        object: ObjectId,
        variant: usize,
        unseen: bool,
    ) -> Option<Arc<RecordId>> {
        self.ledger.as_ref()?;
        let set = self.shown(shape, object, variant)?;
        let ledger = self.ledger.as_mut()?;
        // Nothing can be asked for besides what the caller selects where a record may be of several objects.
        if shape.objects.len() > 1 && unseen {
            ledger.untold();
        }
        Some(ledger.observer(set))
    }

    /// What a record of this variant shows; `None` if that is nothing.
    fn shown(&self, shape: &RecordShape, object: ObjectId, variant: usize) -> Option<ShownSet> {
        let mut fields: BTreeMap<&'static str, Vec<String>> = BTreeMap::new();
        let mut add = |field: FieldRef, ruling: &FieldRuling| {
            let treatment = ruling.under(variant).treatment;
            let name = self.catalog.field_name(field);
            if !treatment.is_hidden() {
                let names = fields.entry(treatment.word()).or_default();
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        };
        for source in values(shape).flatten() {
            if let (Some(used), Some(Verdict::Output(ruling))) = (
                self.operation.uses.get(*source),
                self.decision.verdicts.get(*source),
            ) && used.field.object == object
            {
                add(used.field, ruling);
            }
        }
        if shape.all_fields {
            for field in 0..self.catalog.get(object).fields.len() {
                let field = u32::try_from(field).unwrap_or(u32::MAX);
                let at = FieldRef { object, field };
                if let Some(ruling) = self.decision.read(at) {
                    add(at, ruling);
                }
            }
        }
        for (_, at) in &shape.paths {
            if let Some(ruling) = self.decision.read(*at) {
                add(*at, ruling);
            }
        }
        (!fields.is_empty()).then(|| ShownSet {
            object: self.catalog.get(object).name.clone(),
            fields,
        })
    }

    /// The rulings of every field that may stand in the record.
    fn rulings(&self, shape: &RecordShape, object: ObjectId) -> Vec<&'a FieldRuling> {
        let mut found: Vec<&FieldRuling> = Vec::new();
        for source in values(shape).flatten() {
            if self
                .operation
                .uses
                .get(*source)
                .is_some_and(|u| u.field.object == object)
                && let Some(Verdict::Output(ruling)) = self.decision.verdicts.get(*source)
            {
                found.push(ruling);
            }
        }
        if shape.all_fields
            && let Some(table) = self.decision.tables.get(&object)
        {
            found.extend(table.fields.iter());
        }
        // `attributes.url` follows Id, selected or not.
        if shape.attributes
            && let Some(field) = self.catalog.get(object).field("Id")
        {
            found.extend(self.decision.read(FieldRef { object, field }));
        }
        found.extend(
            shape
                .paths
                .iter()
                .filter_map(|(_, field)| self.decision.read(*field)),
        );
        found
    }

    fn own_origin(&self) -> OriginLink {
        let api = &self.operation.api;
        OriginLink {
            upstream: api.upstream_origin.clone(),
            public: api.public_origin.clone(),
        }
    }

    /// What seals client ids of the Streaming API for the caller.
    fn stream_client(&self) -> Option<StreamClient> {
        match &self.operation.forward {
            Forward::Salesforce(forward) => {
                forward.stream_client(self.keys.sealer(&self.caller.tenant))
            }
            Forward::Map(_) => None,
        }
    }

    /// The caller's own cursor to the next page of the query or of one of its child queries; `None`: the answer of
    /// this request has no further pages, and one that claims to is refused.
    fn next_page(&self, link: Link) -> Option<Arc<dyn LinkRewriter>> {
        match &self.operation.forward {
            Forward::Salesforce(forward) => {
                let sealer = self.keys.sealer(&self.caller.tenant);
                let page = forward.cursor(sealer, link)?;
                Some(Arc::new(NextPageLink { page }))
            }
            Forward::Map(_) => {
                let open = (link == Link::NextPage).then(|| self.own_origin());
                Some(Arc::new(MappedPageLink(open)))
            }
        }
    }
}
