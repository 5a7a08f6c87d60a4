//! Row of records → CSV program: nested records become columns with dots, conditions a decision per row.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::engine::catalog::{ConditionValue, FieldRef};
use crate::engine::policy::FieldRuling;
use crate::engine::protocol::{CsvShape, RecordShape, Shape};
use crate::engine::rewrite::csv::{Cell, Column, CsvProgram, Decide, Other, UNCOUNTED};
use crate::engine::treatment::{Prepared, Treatment};

use super::super::link::ErrorText;
use super::{Core, Record, Ruled};

/// Most combinations of conditions that a row is told apart by; of further records the strictest holds.
const VARIANTS_MAX: usize = 1024;

/// Lowers a CSV document.
pub(super) fn lower(core: &mut Core<'_>, shape: &CsvShape) -> CsvProgram {
    // Rows of a table bring no id that is seen: the answer counts as one that may have shown anybody.
    core.untold();
    let mut flat = Flat {
        core,
        deciding: Vec::new(),
        variants: 1,
        columns: Vec::new(),
    };
    flat.record(&shape.row, "");
    let Flat {
        deciding,
        variants,
        columns,
        ..
    } = flat;
    let mut columns: Vec<Column> = columns
        .into_iter()
        .map(|(name, value)| Column {
            name,
            cells: cells(core, &deciding, variants, &value),
            required: false,
        })
        .collect();
    // A condition that nobody selected was fetched for the decision alone.
    for condition in deciding.iter().flat_map(|d| &d.conditions) {
        if !columns
            .iter()
            .any(|c| c.name.eq_ignore_ascii_case(&condition.column))
        {
            columns.push(Column {
                name: condition.column.clone(),
                cells: vec![Cell::Drop],
                required: false,
            });
        }
    }
    let conditions: Vec<&Condition> = deciding.iter().flat_map(|d| &d.conditions).collect();
    CsvProgram {
        delimiter: shape.delimiter,
        line_ending: shape.line_ending,
        columns,
        other: Other::Drop,
        decide: decide(&conditions, 0),
        // The last code of every condition: unknown.
        overflow: variants - 1,
        no_records: shape.no_records,
        counters: core.counters.clone(),
    }
}

/// A record whose conditions tell its fields apart.
struct Deciding {
    conditions: Vec<Condition>,
    /// Number of its own variants.
    variants: usize,
    /// By how much the index of a row grows with its variant.
    step: usize,
}

struct Condition {
    column: Arc<str>,
    /// Values of each code; the code after them is unknown.
    values: Vec<Vec<ConditionValue>>,
}

/// What a column holds.
enum Value {
    Keep,
    Drop,
    ErrorCode,
    /// Output of a record, and which of the deciding ones it is.
    Of(Vec<usize>, Option<Record>, Option<usize>),
    /// A field that nobody named.
    Field(FieldRef, Option<usize>),
}

struct Flat<'a, 'c> {
    core: &'c mut Core<'a>,
    deciding: Vec<Deciding>,
    variants: usize,
    columns: Vec<(Arc<str>, Value)>,
}

impl Flat<'_, '_> {
    fn record(&mut self, shape: &RecordShape, prefix: &str) {
        if self
            .core
            .references(shape)
            .any(FieldRuling::is_hidden_by_rule)
        {
            self.nothing(shape, prefix);
            return;
        }
        // A row does not say which of several objects it is.
        let object = match shape.objects.as_slice() {
            [object] => Some(*object),
            _ => None,
        };
        let record = object.map(|object| Record {
            object,
            variant: 0,
            several: false,
        });
        let deciding = object.and_then(|object| self.decides(shape, object, prefix));
        for (key, member) in &shape.members {
            let name = format!("{prefix}{key}");
            match member {
                Shape::Record(nested) => self.record(nested, &format!("{name}.")),
                Shape::Keep => self.columns.push((name.into(), Value::Keep)),
                Shape::ErrorCode => self.columns.push((name.into(), Value::ErrorCode)),
                Shape::Value(sources) => {
                    let value = Value::Of(sources.clone(), record, deciding);
                    self.columns.push((name.into(), value));
                }
                _ => self.columns.push((name.into(), Value::Drop)),
            }
        }
        if let (true, Some(object)) = (shape.all_fields, object) {
            for (field, schema) in (0u32..).zip(&self.core.catalog.get(object).fields) {
                let name = format!("{prefix}{}", schema.name);
                if !self
                    .columns
                    .iter()
                    .any(|(n, _)| n.eq_ignore_ascii_case(&name))
                {
                    let value = Value::Field(FieldRef { object, field }, deciding);
                    self.columns.push((name.into(), value));
                }
            }
        }
    }

    /// Every column of a record that is not there.
    fn nothing(&mut self, shape: &RecordShape, prefix: &str) {
        for (key, member) in &shape.members {
            let name = format!("{prefix}{key}");
            match member {
                Shape::Record(nested) => self.nothing(nested, &format!("{name}.")),
                _ => self.columns.push((name.into(), Value::Drop)),
            }
        }
    }

    /// The record's place among the deciding ones, if its variants differ and can still be told apart.
    fn decides(
        &mut self,
        shape: &RecordShape,
        object: crate::engine::catalog::ObjectId,
        prefix: &str,
    ) -> Option<usize> {
        if !self.core.varies(shape, object) {
            return None;
        }
        let schema = self.core.catalog.get(object);
        let conditions: Vec<Condition> = schema
            .conditions
            .iter()
            .map(|condition| Condition {
                column: format!("{prefix}{}", schema.fields[condition.field as usize].name).into(),
                values: condition.values.iter().map(|(_, v)| v.clone()).collect(),
            })
            .collect();
        let variants: usize = conditions.iter().map(|c| c.values.len() + 1).product();
        if self.variants.saturating_mul(variants) > VARIANTS_MAX {
            return None;
        }
        self.core.need_conditions(shape, object);
        for earlier in &mut self.deciding {
            earlier.step *= variants;
        }
        self.variants *= variants;
        self.deciding.push(Deciding {
            conditions,
            variants,
            step: 1,
        });
        Some(self.deciding.len() - 1)
    }
}

/// The cells of one column under each combination; one cell where they do not differ.
fn cells(core: &mut Core<'_>, deciding: &[Deciding], variants: usize, value: &Value) -> Vec<Cell> {
    let by = match value {
        Value::Keep => return vec![Cell::Clear],
        Value::Drop => return vec![Cell::Drop],
        Value::ErrorCode => return vec![error_code()],
        Value::Of(.., by) | Value::Field(_, by) => by.and_then(|by| deciding.get(by)),
    };
    let Some(by) = by else {
        return vec![cell(core, value, None)];
    };
    // Made once for each of the record's own variants.
    let mut made: BTreeMap<usize, Cell> = BTreeMap::new();
    (0..variants)
        .map(|index| {
            let own = index / by.step % by.variants;
            made.entry(own)
                .or_insert_with(|| cell(core, value, Some(own)))
                .clone()
        })
        .collect()
}

/// An error of the upstream in a cell: its code stays, its text does not.
fn error_code() -> Cell {
    Cell::Treat {
        treatment: Prepared::Resolve(Arc::new(ErrorText)),
        counter: UNCOUNTED,
    }
}

/// The cell under a variant of its record; without one, the strictest.
fn cell(core: &mut Core<'_>, value: &Value, variant: Option<usize>) -> Cell {
    let ruled = match value {
        Value::Of(sources, record, _) => {
            let record = record
                .zip(variant)
                .map(|(record, variant)| Record { variant, ..record });
            core.value(sources, record)
        }
        Value::Field(field, _) => {
            let treatment = core.decision.read(*field).map_or(Treatment::Drop, |r| {
                variant
                    .map_or_else(|| r.strictest(), |v| r.under(v))
                    .treatment
            });
            if treatment.is_hidden() {
                Ruled::Hidden
            } else {
                Ruled::Field(*field, treatment)
            }
        }
        Value::Keep => Ruled::Count,
        Value::Drop | Value::ErrorCode => Ruled::Hidden,
    };
    match ruled {
        Ruled::Hidden => Cell::Drop,
        Ruled::Count => Cell::Clear,
        Ruled::Field(field, Treatment::Clear) if core.watch(field).is_none() => Cell::Clear,
        Ruled::Field(field, treatment) => {
            let (treatment, counter) = core.prepare(field, treatment);
            Cell::Treat { treatment, counter }
        }
    }
}

/// Nested decisions, the first condition the slowest digit of the index.
fn decide(conditions: &[&Condition], index: usize) -> Decide {
    let Some((condition, rest)) = conditions.split_first() else {
        return Decide::Index(index);
    };
    let base = index * (condition.values.len() + 1);
    let cases = condition
        .values
        .iter()
        .enumerate()
        .flat_map(|(code, values)| values.iter().map(move |value| (code, value)))
        .map(|(code, value)| (value.clone(), decide(rest, base + code)))
        .collect();
    Decide::By {
        column: condition.column.clone(),
        cases,
        otherwise: Box::new(decide(rest, base + condition.values.len())),
    }
}
