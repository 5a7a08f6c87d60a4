//! Field → treatment → rule, for receipts and for whoever tries a policy out. Names only.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::account::whole_records;
use crate::engine::catalog::{Catalog, FieldRef};
use crate::engine::policy::{Decision, FieldRuling, Verdict};
use crate::engine::protocol::Operation;

/// What was decided for one field in one use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The field.
    pub field: FieldRef,
    /// `Contact.Email`.
    pub name: String,
    /// As the caller wrote it; `None` = it was not named, all fields were asked for.
    pub written: Option<Arc<str>>,
    /// Action word: `read`, `filter`…
    pub action: &'static str,
    /// Treatment word, or `allowed`, `tokens`, `refused`; several where the record decides. With the rules of each.
    pub answers: Vec<(&'static str, Vec<Arc<str>>)>,
    /// Whether every answer hides the field.
    pub hidden: bool,
}

/// One entry for each use, in the operation's order; then what whole records may bring, hidden fields left out.
pub(super) fn said(operation: &Operation, decision: &Decision, catalog: &Catalog) -> Vec<Said> {
    let mut all = Vec::new();
    let mut named: BTreeSet<(u32, u32)> = BTreeSet::new();
    for (used, verdict) in operation.uses.iter().zip(&decision.verdicts) {
        let (answers, hidden) = match verdict {
            Verdict::Output(ruling) => {
                named.insert((used.field.object.0, used.field.field));
                (treatments(ruling), ruling.is_hidden())
            }
            Verdict::Permit(rules) => (vec![("allowed", rules.to_vec())], false),
            Verdict::PermitTokens(rules) | Verdict::PermitNullOrTokens(rules) => {
                (vec![("tokens", rules.to_vec())], false)
            }
            Verdict::Refuse(refusal) => (
                vec![("refused", refusal.rule.iter().cloned().collect())],
                false,
            ),
        };
        all.push(Said {
            field: used.field,
            name: catalog.field_name(used.field),
            written: Some(used.written.clone()),
            action: used.action.word(),
            answers,
            hidden,
        });
    }
    for object in whole_records(&operation.shape) {
        let Some(table) = decision.tables.get(&object) else {
            continue;
        };
        for (index, ruling) in (0_u32..).zip(&table.fields) {
            if ruling.is_hidden() || !named.insert((object.0, index)) {
                continue;
            }
            let field = FieldRef {
                object,
                field: index,
            };
            all.push(Said {
                field,
                name: catalog.field_name(field),
                written: None,
                action: operation.action.word(),
                answers: treatments(ruling),
                hidden: false,
            });
        }
    }
    all
}

/// The different treatments over all record variants, in the variants' order.
fn treatments(ruling: &FieldRuling) -> Vec<(&'static str, Vec<Arc<str>>)> {
    let mut found: Vec<(&'static str, Vec<Arc<str>>)> = Vec::new();
    for variant in ruling.by_variant.iter() {
        let word = variant.treatment.word();
        match found.iter_mut().find(|(w, _)| *w == word) {
            None => found.push((word, variant.rules.to_vec())),
            Some((_, rules)) => {
                for rule in variant.rules.iter() {
                    if !rules.contains(rule) {
                        rules.push(rule.clone());
                    }
                }
            }
        }
    }
    found
}
