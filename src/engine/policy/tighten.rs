//! A decision made stricter for one caller, as an automatic step of a monitor asks for it.

use std::sync::Arc;

use super::decision::{Decision, FieldRuling, Ruling, Table, Verdict};
use crate::engine::catalog::{Catalog, FieldRef};
use crate::engine::protocol::{Action, Use};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::treatment::Treatment;

/// How a field without a class is classified.
const UNCLASSIFIED: &str = "unclassified";
/// Formulas of formulas that are followed; what lies deeper counts as personal.
const LINEAGE_MAX: usize = 8;

/// Makes `decision`, whose verdicts are on `uses`, stricter: what has a personal class or none, or is computed from what
/// has, reads as `redact` at least, is evaluated nowhere and not written; nothing is deleted. What the vocabulary does not
/// call personal stays as it was, record ids with it. It never makes anything less protected.
pub fn tighten(decision: &mut Decision, catalog: &Catalog, uses: &[Use]) {
    for (verdict, one) in decision.verdicts.iter_mut().zip(uses) {
        if one.action != Action::Delete && is_spared(catalog, one.field, 0) {
            continue;
        }
        match verdict {
            Verdict::Output(ruling) => *ruling = redacted(ruling),
            Verdict::Permit(_) | Verdict::PermitTokens(_) | Verdict::PermitNullOrTokens(_) => {
                let text = match one.action {
                    Action::Delete => "this client may delete nothing for now",
                    Action::Write => "this client may not write this field for now",
                    _ => "this client may not evaluate this field for now",
                };
                let reason = match one.action {
                    Action::Delete | Action::Write => Reason::Denied,
                    _ => Reason::TreatedFieldEvaluated,
                };
                *verdict = Verdict::Refuse(Refusal::new(reason, text));
            }
            Verdict::Refuse(_) => {}
        }
    }
    for (object, table) in &mut decision.tables {
        let fields = table.fields.iter().zip(0_u32..).map(|(ruling, field)| {
            let field = FieldRef {
                object: *object,
                field,
            };
            if is_spared(catalog, field, 0) {
                ruling.clone()
            } else {
                redacted(ruling)
            }
        });
        *table = Arc::new(Table {
            object: table.object,
            variants: table.variants,
            fields: fields.collect(),
        });
    }
    decision
        .abilities
        .retain(|field, _| is_spared(catalog, *field, 0));
}

fn redacted(ruling: &FieldRuling) -> FieldRuling {
    let by_variant = ruling.by_variant.iter().map(|r| Ruling {
        treatment: if r.treatment.rank() < Treatment::Redact.rank() {
            Treatment::Redact
        } else {
            r.treatment
        },
        rules: Arc::clone(&r.rules),
    });
    FieldRuling {
        by_variant: by_variant.collect(),
    }
}

fn is_spared(catalog: &Catalog, field: FieldRef, depth: usize) -> bool {
    let Some(known) = catalog.get(field.object).fields.get(field.field as usize) else {
        return false;
    };
    &*known.class != UNCLASSIFIED
        && !catalog.vocabulary.is_personal(&known.class)
        && !known.derived_from_unknown
        && depth < LINEAGE_MAX
        && known
            .derived_from
            .iter()
            .all(|source| is_spared(catalog, *source, depth + 1))
}
