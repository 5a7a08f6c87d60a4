//! Tokens of the request → values, and masks refused.

use crate::engine::catalog::Catalog;
use crate::engine::policy::{Decision, Verdict};
use crate::engine::protocol::{Action, Literal, Use};
use crate::engine::refusal::{Reason, Refusal};
use crate::engine::token::{self, KeyRing};

/// The literals that go upstream in place of `used.values`; `None` = as written.
pub(super) fn resolve(
    used: &Use,
    verdict: &Verdict,
    decision: &Decision,
    catalog: &Catalog,
    keys: &KeyRing,
    tenant: &str,
) -> Result<Option<Vec<Literal>>, Refusal> {
    if used.values.is_empty() && !matches!(verdict, Verdict::PermitTokens(_)) {
        return Ok(None);
    }
    let field = catalog.field(used.field);
    let open = |literal: &Literal| -> Option<Literal> {
        let (Literal::Text(text), Some(scope)) = (literal, &decision.scope) else {
            return None;
        };
        let fold = catalog
            .vocabulary
            .classes
            .get(&field.class)
            .is_some_and(|c| c.fold_local_part);
        keys.tokenizer(tenant, scope, &field.class, fold)
            .open(text)
            .map(Literal::Text)
    };
    let reads_clear = decision.read(used.field).is_some_and(|r| r.is_clear());
    let is_hidden = decision.read(used.field).is_none_or(|r| r.is_hidden());
    match verdict {
        // Only equality carries values and, where the field reads as a token, only tokens answer it.
        Verdict::PermitTokens(_) => {
            if used.values.is_empty()
                && used.comparison != crate::engine::protocol::Comparison::Identity
            {
                return Err(evaluated(used));
            }
            used.values
                .iter()
                .map(|v| open(v).ok_or_else(|| evaluated(used)))
                .collect::<Result<Vec<_>, _>>()
                .map(Some)
        }
        Verdict::PermitNullOrTokens(rules) => used
            .values
            .iter()
            .map(|v| match v {
                Literal::Null => Ok(Literal::Null),
                other => open(other).ok_or_else(|| {
                    if is_hidden {
                        // As if it were not there.
                        let object = &catalog.get(used.field.object).name;
                        Refusal::unknown_field(&used.written, object)
                    } else if is_treated(other) {
                        integrity(used)
                    } else {
                        let refusal = Refusal::new(
                            Reason::Denied,
                            format!("insufficient access to write field '{}'", used.written),
                        );
                        match rules.first() {
                            Some(rule) => refusal.by_rule(rule.clone()),
                            None => refusal,
                        }
                    }
                }),
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Some),
        Verdict::Permit(_) if used.action == Action::Write => used
            .values
            .iter()
            .map(|v| match open(v) {
                Some(value) => Ok(value),
                // A token of another scope or class never becomes data; a mask never overwrites what it hid.
                None if is_token(v) || (!reads_clear && is_treated(v)) => Err(integrity(used)),
                None => Ok(v.clone()),
            })
            .collect::<Result<Vec<_>, _>>()
            .map(Some),
        // A clear field may hold anything, tokens of ours included: compared as written.
        Verdict::Permit(_) if reads_clear => Ok(None),
        // A row allows the comparison; the caller may still know the values by their tokens alone.
        Verdict::Permit(_) => Ok(Some(
            used.values
                .iter()
                .map(|v| open(v).unwrap_or_else(|| v.clone()))
                .collect(),
        )),
        // Lookup by record id: a read of Id that carries the id.
        Verdict::Output(ruling) => {
            if ruling.is_clear() {
                Ok(None)
            } else if ruling.is_uniform() && ruling.under(0).treatment.is_token() {
                used.values
                    .iter()
                    .map(|v| open(v).ok_or_else(not_found))
                    .collect::<Result<Vec<_>, _>>()
                    .map(Some)
            } else {
                Err(not_found())
            }
        }
        Verdict::Refuse(refusal) => Err(refusal.clone()),
    }
}

fn is_treated(literal: &Literal) -> bool {
    matches!(literal, Literal::Text(text) if token::looks_treated(text))
}

fn is_token(literal: &Literal) -> bool {
    matches!(literal, Literal::Text(text) if text.starts_with("tk1.") && token::looks_treated(text))
}

fn not_found() -> Refusal {
    Refusal::new(Reason::UnknownPath, "The requested resource does not exist")
}

fn integrity(used: &Use) -> Refusal {
    Refusal::new(
        Reason::IntegrityException,
        format!(
            "the value for field '{}' is a mask or a foreign token and can not be written back",
            used.written
        ),
    )
}

fn evaluated(used: &Use) -> Refusal {
    let what = match used.action {
        Action::Sort => "sorted",
        Action::Group => "grouped",
        Action::Aggregate => "aggregated",
        Action::Search => "searched",
        Action::Key => "used as a key",
        _ => "filtered",
    };
    Refusal::new(
        Reason::TreatedFieldEvaluated,
        format!("field '{}' can not be {what} in a query call", used.written),
    )
}
