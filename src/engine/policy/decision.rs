//! Casbin's answers for one operation, as plain data.

use std::collections::HashMap;
use std::sync::Arc;

use crate::engine::catalog::{FieldRef, ObjectId};
use crate::engine::protocol::salesforce::describe::Abilities;
use crate::engine::refusal::Refusal;
use crate::engine::treatment::Treatment;

/// The answer for one field under one combination of conditions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What happens to the value.
    pub treatment: Treatment,
    /// The rule that decided; empty = no row (drop). Two ids after a tie between a caller's own roles.
    pub rules: Arc<[Arc<str>]>,
}

/// The answers for one field over the object's record variants.
#[derive(Debug, Clone)]
pub struct FieldRuling {
    /// One ruling per variant of the object (see [`Table::variants`]); a single one if all are equal.
    pub by_variant: Arc<[Ruling]>,
}

impl FieldRuling {
    /// The ruling under `variant`.
    pub fn under(&self, variant: usize) -> &Ruling {
        if self.by_variant.len() == 1 {
            &self.by_variant[0]
        } else {
            &self.by_variant[variant]
        }
    }

    /// Whether all variants agree on the treatment.
    pub fn is_uniform(&self) -> bool {
        self.by_variant
            .windows(2)
            .all(|w| w[0].treatment == w[1].treatment)
    }

    /// The most protective ruling over all variants.
    pub fn strictest(&self) -> &Ruling {
        let mut best = &self.by_variant[0];
        for r in self.by_variant.iter() {
            if r.treatment.rank() > best.treatment.rank() {
                best = r;
            }
        }
        best
    }

    /// Whether every variant reads clear.
    pub fn is_clear(&self) -> bool {
        self.by_variant
            .iter()
            .all(|r| r.treatment == Treatment::Clear)
    }

    /// Whether a row speaks of it at all.
    pub fn by_rule(&self) -> bool {
        self.by_variant.iter().any(|r| !r.rules.is_empty())
    }

    /// Whether a row hides it, rather than that none shows it.
    pub fn is_hidden_by_rule(&self) -> bool {
        self.is_hidden() && self.by_rule()
    }

    /// Whether every variant is drop or deny.
    pub fn is_hidden(&self) -> bool {
        self.by_variant.iter().all(|r| r.treatment.is_hidden())
    }
}

/// The treatment table of one object for one principal set, action, purpose, region and session context.
///
/// Variants enumerate the object's [`conditions`](crate::engine::catalog::Object::conditions) in order, the
/// first condition slowest: value codes `0..values.len()` and one more for unknown. An object without
/// conditions has one variant.
#[derive(Debug)]
pub struct Table {
    /// The object.
    pub object: ObjectId,
    /// Number of variants.
    pub variants: usize,
    /// Per schema field, in the schema's order.
    pub fields: Vec<FieldRuling>,
}

impl Table {
    /// Whether no field can be read.
    pub fn nothing_readable(&self) -> bool {
        self.fields.iter().all(FieldRuling::is_hidden)
    }
}

/// The answer for one use of the operation, in the operation's order.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// An output: the treatments of the field.
    Output(FieldRuling),
    /// An evaluation or a write that may go upstream as it is.
    Permit(Arc<[Arc<str>]>),
    /// Passes only if every value is a token of the caller's scope and the field's class, which the plan turns back.
    PermitTokens(Arc<[Arc<str>]>),
    /// A write of a field not read in clear under a broad row: only null and tokens.
    PermitNullOrTokens(Arc<[Arc<str>]>),
    /// The whole request is refused.
    Refuse(Refusal),
}

/// Everything that was decided for one operation under one policy version.
#[derive(Debug)]
pub struct Decision {
    /// Hash over rules, roles, classes, vocabulary, schema and API maps: 12 hex digits.
    pub policy_version: Arc<str>,
    /// What Casbin was asked as: sorted roles and named principals.
    pub principals: Arc<[Arc<str>]>,
    /// The purpose under which it was decided.
    pub purpose: Arc<str>,
    /// The caller's region, or `cross` if unknown.
    pub region: Arc<str>,
    /// The caller's token scope, if its client has one.
    pub scope: Option<Arc<str>>,
    /// May this caller ask `Privet-Explain`.
    pub explain: bool,
    /// Refuses the whole request before any use is looked at (purpose not granted…).
    pub refusal: Option<Refusal>,
    /// One verdict per use of the operation.
    pub verdicts: Vec<Verdict>,
    /// Read tables (export folded in where the operation exports) of every object that the operation names
    /// in `objects`.
    pub tables: HashMap<ObjectId, Arc<Table>>,
    /// Of each field that a describe shows: what the caller may do with it in a query.
    pub abilities: HashMap<FieldRef, Abilities>,
}

impl Decision {
    /// What the caller may do with a described field.
    pub fn may_evaluate(&self, field: FieldRef) -> Abilities {
        self.abilities.get(&field).copied().unwrap_or_default()
    }

    /// The read ruling of `field`, if its object is among the operation's objects.
    pub fn read(&self, field: FieldRef) -> Option<&FieldRuling> {
        self.tables
            .get(&field.object)?
            .fields
            .get(field.field as usize)
    }
}
