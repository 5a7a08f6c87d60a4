//! What was planned, for the audit event and the `Privet-Treated` header. Names only.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::engine::catalog::Catalog;
use crate::engine::event::What;
use crate::engine::policy::{Decision, FieldRuling, Verdict};
use crate::engine::protocol::{Action, Operation, Shape};
use crate::engine::treatment::Treatment;

/// Most names in `Privet-Treated`.
const TREATED_NAMES_MAX: usize = 20;

/// The audit's account of an operation and its decision.
pub(super) fn what(operation: &Operation, decision: &Decision, catalog: &Catalog) -> What {
    let mut objects: BTreeSet<Arc<str>> = operation
        .objects
        .iter()
        .map(|o| catalog.get(*o).name.clone())
        .collect();
    let mut uses: BTreeSet<String> = BTreeSet::new();
    let mut fields: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    let mut rules: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut output = |name: String, ruling: &FieldRuling| {
        for variant in ruling.by_variant.iter() {
            fields
                .entry(variant.treatment.word())
                .or_default()
                .insert(name.clone());
            rules.extend(variant.rules.iter().cloned());
        }
    };
    let mut deciding: Vec<Arc<str>> = Vec::new();
    for (used, verdict) in operation.uses.iter().zip(&decision.verdicts) {
        let name = catalog.field_name(used.field);
        objects.insert(catalog.get(used.field.object).name.clone());
        match verdict {
            Verdict::Output(ruling) => output(name, ruling),
            Verdict::Permit(by) | Verdict::PermitTokens(by) | Verdict::PermitNullOrTokens(by) => {
                deciding.extend(by.iter().cloned());
                uses.insert(format!("{}:{name}", used.action.word()));
            }
            Verdict::Refuse(refusal) => {
                deciding.extend(refusal.rule.clone());
                uses.insert(format!("{}:{name}", used.action.word()));
            }
        }
    }
    for object in whole_records(&operation.shape) {
        if let Some(table) = decision.tables.get(&object) {
            let schema = catalog.get(object);
            for (field, ruling) in schema.fields.iter().zip(&table.fields) {
                output(format!("{}.{}", schema.name, field.name), ruling);
            }
        }
    }
    rules.extend(deciding);
    What {
        api: operation.api.name.clone(),
        endpoint: operation.endpoint.clone(),
        action: operation.action.word(),
        purpose: decision.purpose.clone(),
        principals: decision.principals.clone(),
        region: decision.region.clone(),
        policy: decision.policy_version.clone(),
        objects: objects.into_iter().collect(),
        uses: uses.into_iter().collect(),
        fields: fields
            .into_iter()
            .map(|(word, names)| (word, names.into_iter().collect()))
            .collect(),
        rules: rules.into_iter().collect(),
    }
}

/// `Email=mask, Account.Phone=redact`: what the caller sees treated, by path. Hidden fields are not named.
pub(super) fn treated_header(
    operation: &Operation,
    decision: &Decision,
    catalog: &Catalog,
) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    let mut add = |name: &str, ruling: &FieldRuling| {
        let strictest = ruling
            .by_variant
            .iter()
            .filter(|r| !r.treatment.is_hidden())
            .max_by_key(|r| r.treatment.rank());
        let Some(shown) = strictest else { return };
        if shown.treatment != Treatment::Clear
            && name
                .bytes()
                .all(|b| (b.is_ascii_graphic() || b == b' ') && b != b',' && b != b'=')
        {
            let word = shown.treatment.word().split(':').next().unwrap_or_default();
            let entry = format!("{name}={word}");
            if names.len() < TREATED_NAMES_MAX && !names.contains(&entry) {
                names.push(entry);
            }
        }
    };
    for (used, verdict) in operation.uses.iter().zip(&decision.verdicts) {
        if let (Verdict::Output(ruling), Action::Read | Action::Export) = (verdict, used.action) {
            // As the caller wrote it, so that two fields called Name are told apart; a spelling that could be
            // anything stays out of a header.
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.');
            if used.written.bytes().all(plain) {
                add(&used.written, ruling);
            } else {
                add(&catalog.field(used.field).name, ruling);
            }
        }
    }
    for object in whole_records(&operation.shape) {
        if let Some(table) = decision.tables.get(&object) {
            for (field, ruling) in catalog.get(object).fields.iter().zip(&table.fields) {
                add(&field.name, ruling);
            }
        }
    }
    (!names.is_empty()).then(|| names.join(", "))
}

/// Objects of which every field may come.
pub(super) fn whole_records(shape: &Shape) -> Vec<crate::engine::catalog::ObjectId> {
    match shape {
        Shape::Record(record) => {
            let mut found = if record.all_fields {
                record.objects.clone()
            } else {
                Vec::new()
            };
            found.extend(record.members.iter().flat_map(|(_, s)| whole_records(s)));
            found
        }
        Shape::Object(members) => members.iter().flat_map(|(_, s)| whole_records(s)).collect(),
        Shape::ByName { cases, .. } => cases.iter().flat_map(|(_, s)| whole_records(s)).collect(),
        Shape::Array { element, .. }
        | Shape::Answer(element)
        | Shape::Keyed(element)
        | Shape::Framed(_, element)
        | Shape::Document(element) => {
            whole_records(element)
        }
        Shape::Shown {
            shape, otherwise, ..
        } => [shape, otherwise]
            .into_iter()
            .flat_map(|s| whole_records(s))
            .collect(),
        Shape::Columns(columns) => columns.iter().flat_map(|(_, s)| whole_records(s)).collect(),
        Shape::Positional(elements) => elements.iter().flat_map(whole_records).collect(),
        Shape::Csv(csv) => whole_records(&Shape::Record(csv.row.clone())),
        Shape::Xml(xml) => whole_records(&xml.root),
        Shape::Ready { told, .. } => whole_records(told),
        Shape::Paths(paths) => paths.iter().flat_map(|(_, s)| whole_records(s)).collect(),
        Shape::OneOf { records, .. } => records
            .iter()
            .flat_map(|r| r.members.iter().flat_map(|(_, s)| whole_records(s)))
            .collect(),
        Shape::Keep
        | Shape::Number
        | Shape::Boolean
        | Shape::Layouts { .. }
        | Shape::Opaque
        | Shape::Drop
        | Shape::Constant(_)
        | Shape::Value(_)
        | Shape::Amount(_)
        | Shape::Position
        | Shape::Link(_)
        | Shape::Expect(_)
        | Shape::ErrorCode
        // Events of whatever was subscribed: the ledger tells which came.
        | Shape::Event(_)
        | Shape::Describe(_)
        | Shape::DescribeGlobal => Vec::new(),
    }
}
