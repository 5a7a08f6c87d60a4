//! The header row meets the program: what happens to each column of this document.

use super::super::names::{Found, Names};
use super::super::untyped;
use super::{Cell, Column, CsvProgram, Decide, Fault, Other};
use crate::engine::catalog::ConditionValue;
use crate::engine::key;
use crate::engine::treatment::Prepared;

/// A program bound to one header.
#[derive(Debug)]
pub(super) struct Bound {
    /// Number of columns.
    pub(super) width: usize,
    /// By the index that `decide` gives: the columns with something to do, in order.
    pub(super) variants: Vec<Vec<Active>>,
    pub(super) decide: Rule,
    /// The index of rows over the bound.
    pub(super) overflow: usize,
    /// The first column that is not removed.
    pub(super) first_kept: usize,
    /// It is the only one, and others are removed or it is treated: where it is empty, quotes must keep the row
    /// from being taken for a blank line.
    pub(super) quote_empty: bool,
}

/// A column whose cells do not simply pass.
#[derive(Debug)]
pub(super) struct Active {
    pub(super) column: usize,
    pub(super) does: Does,
}

#[derive(Debug, Clone)]
pub(super) enum Does {
    /// Gone with its delimiter: the one behind it if no column before it is kept, else the one before it.
    Remove {
        leading: bool,
    },
    /// An empty cell.
    Empty,
    /// Passes; looked at because of [`Bound::quote_empty`].
    Watch,
    Treat {
        treatment: Prepared,
        counter: u32,
    },
}

/// [`Decide`] with columns of this document.
#[derive(Debug)]
pub(super) enum Rule {
    Index(usize),
    By {
        column: usize,
        cases: Vec<(ConditionValue, Rule)>,
        otherwise: Box<Rule>,
    },
}

/// Shows the text of a column's cell.
pub(super) type Look<'a> = dyn FnMut(usize, &mut dyn FnMut(&str)) + 'a;

impl Rule {
    /// The index for a row of which `cell` shows the decoded cells that are not empty.
    pub(super) fn index(&self, cell: &mut Look<'_>) -> usize {
        let mut rule = self;
        loop {
            match rule {
                Self::Index(index) => return *index,
                Self::By {
                    column,
                    cases,
                    otherwise,
                } => {
                    let mut next = &**otherwise;
                    cell(*column, &mut |text| {
                        if let Some((_, case)) =
                            cases.iter().find(|(case, _)| untyped::is_case(case, text))
                        {
                            next = case;
                        }
                    });
                    rule = next;
                }
            }
        }
    }

    fn new(decide: &Decide, variants: usize, column_of: &dyn Fn(&str) -> Option<usize>) -> Self {
        match decide {
            Decide::Index(index) => Self::Index((*index).min(variants - 1)),
            Decide::By {
                column,
                cases,
                otherwise,
            } => {
                let otherwise = Self::new(otherwise, variants, column_of);
                match column_of(column) {
                    None => otherwise,
                    Some(column) => Self::By {
                        column,
                        cases: cases
                            .iter()
                            .map(|(value, decide)| {
                                (value.clone(), Self::new(decide, variants, column_of))
                            })
                            .collect(),
                        otherwise: Box::new(otherwise),
                    },
                }
            }
        }
    }
}

/// Highest index that the program gives.
fn index_max(decide: &Decide) -> usize {
    match decide {
        Decide::Index(index) => *index,
        Decide::By {
            cases, otherwise, ..
        } => cases
            .iter()
            .map(|(_, decide)| index_max(decide))
            .chain([index_max(otherwise)])
            .max()
            .unwrap_or(0),
    }
}

/// Binds `program` to the decoded `header`. The second part of the answer counts the columns that no one names.
pub(super) fn bind(program: &CsvProgram, header: &[String]) -> Result<(Bound, u64), Fault> {
    // Only needed for a header that is not as the program spells it, in the program's order.
    let mut names = None;
    let mut seen = Vec::with_capacity(header.len());
    let mut by_column = Vec::with_capacity(header.len());
    let (mut known, mut unplanned) = (0usize, 0u64);
    let mut next = 0usize;
    for name in header {
        if name.chars().any(key::is_forbidden) {
            return Err(Fault::ForbiddenKey);
        }
        let wide = key::canonical(name);
        if wide.is_empty() {
            return Err(Fault::Malformed("CSV header: empty name"));
        }
        seen.push(wide);
        let found = match program.columns.get(next) {
            Some(column) if *column.name == *name => Found::Narrow(next as u16),
            _ => names
                .get_or_insert_with(|| Names::new(program.columns.iter().map(|c| &*c.name)))
                .find(name, 0),
        };
        if let Found::Narrow(index) = found {
            next = usize::from(index) + 1;
        }
        if found == Found::None {
            if program.other == Other::Abort {
                return Err(Fault::Contradiction);
            }
            unplanned += 1;
        } else {
            known += 1;
        }
        by_column.push(found);
    }
    seen.sort_unstable();
    if seen.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(Fault::Duplicate);
    }
    let at = |index: usize| {
        by_column
            .iter()
            .position(|found| *found == Found::Narrow(index as u16))
    };
    // A document without any column of the plan is not the one that was planned for.
    if known == 0 && !program.columns.is_empty()
        || program
            .columns
            .iter()
            .enumerate()
            .any(|(i, column)| column.required && at(i).is_none())
    {
        return Err(Fault::Contradiction);
    }
    let variants = 1 + index_max(&program.decide).max(program.overflow);
    let cell = |found: Found, variant: usize| match found {
        Found::Narrow(i) => cell_of(&program.columns[usize::from(i)], variant),
        Found::Wide(i) => match cell_of(&program.columns[usize::from(i)], variant) {
            Cell::Treat { treatment, .. } if treatment.is_clear() => &Cell::Drop,
            Cell::Clear => &Cell::Drop,
            cell => cell,
        },
        Found::Ambiguous | Found::None => &Cell::Drop,
    };
    let removed: Vec<bool> = by_column
        .iter()
        .map(|found| (0..variants).all(|v| matches!(cell(*found, v), Cell::Drop)))
        .collect();
    let first_kept = removed.iter().position(|r| !r).unwrap_or(removed.len());
    let sole = removed.iter().filter(|r| !**r).count() == 1;
    let passes = |c: &Cell| matches!(c, Cell::Clear);
    let quote_empty = sole
        && (header.len() > 1 || (0..variants).any(|v| !passes(cell(by_column[first_kept], v))));
    let variants: Vec<Vec<Active>> = (0..variants)
        .map(|v| {
            by_column
                .iter()
                .enumerate()
                .filter_map(|(column, found)| {
                    let does = match cell(*found, v) {
                        _ if removed[column] => Does::Remove {
                            leading: column < first_kept,
                        },
                        Cell::Drop => Does::Empty,
                        Cell::Treat { treatment, counter } => Does::Treat {
                            treatment: treatment.clone(),
                            counter: *counter,
                        },
                        Cell::Clear if quote_empty => Does::Watch,
                        Cell::Clear => return None,
                    };
                    Some(Active { column, does })
                })
                .collect()
        })
        .collect();
    let column_of = |name: &str| by_column_of(header, name);
    let decide = Rule::new(&program.decide, variants.len(), &column_of);
    Ok((
        Bound {
            width: header.len(),
            decide,
            overflow: program.overflow,
            variants,
            first_kept,
            quote_empty,
        },
        unplanned,
    ))
}

fn cell_of(column: &Column, variant: usize) -> &Cell {
    column
        .cells
        .get(variant)
        .or(column.cells.last())
        .unwrap_or(&Cell::Drop)
}

/// The column of exactly this name; one that only some consumers take for it decides nothing.
fn by_column_of(header: &[String], name: &str) -> Option<usize> {
    header.iter().position(|h| key::same(h, name))
}
