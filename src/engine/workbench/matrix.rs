//! Who could ever see what: the outcomes of every field, over all that a caller's context can be.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::space::{Outcome, Words, asked, cells, corners, families, objects};
use crate::engine::catalog::FieldRef;
use crate::engine::policy::Loaded;
use crate::engine::protocol::Action;

/// A table of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    /// Column heads: field, class, then roles or actions.
    pub head: Vec<String>,
    /// One row for each field.
    pub rows: Vec<Vec<String>>,
}

/// The actions of one role's matrix.
const ACTIONS: [Action; 9] = [
    Action::Read,
    Action::Export,
    Action::Filter,
    Action::Sort,
    Action::Group,
    Action::Aggregate,
    Action::Search,
    Action::Key,
    Action::Write,
];

/// What `role` may do with each field, or without one what every role reads. Under one purpose, or all of them.
pub fn matrix(set: &Loaded, role: Option<&str>, purpose: Option<&str>) -> Matrix {
    let columns: Vec<(String, Arc<str>, Action)> = match role {
        Some(role) => ACTIONS
            .iter()
            .map(|a| (a.word().to_owned(), Arc::from(format!("role:{role}")), *a))
            .collect(),
        None => set
            .policies
            .roles()
            .map(|r| (r.to_owned(), Arc::from(format!("role:{r}")), Action::Read))
            .collect(),
    };
    let mut rows: Vec<Vec<String>> = Vec::new();
    let mut fields: Vec<FieldRef> = Vec::new();
    for object in objects(&set.catalog) {
        for (f, field) in set.catalog.get(object).fields.iter().enumerate() {
            let at = FieldRef {
                object,
                field: f as u32,
            };
            fields.push(at);
            rows.push(vec![set.catalog.field_name(at), field.class.to_string()]);
        }
    }
    let words_known = Words::of(&[set]);
    let index: HashMap<FieldRef, usize> = fields.iter().copied().zip(0..).collect();
    for (_, who, action) in &columns {
        let mut seen: Vec<BTreeSet<(u8, Outcome)>> = vec![BTreeSet::new(); fields.len()];
        let spoken = [Action::Read, *action];
        for (field, family) in families(set, *action, &|_| true) {
            let rules = asked(set, Some(who), field, &spoken);
            let mut outcomes = BTreeSet::new();
            for corner in corners(&words_known, &rules) {
                if purpose.is_some_and(|p| !corner.purposes.iter().any(|q| **q == *p)) {
                    continue;
                }
                let point = corner.point(Some(who));
                let standpoint = set.policies.standing(&set.catalog, &point);
                let of = cells(&set.policies, &set.catalog, &standpoint, field, *action);
                outcomes.extend(of.iter().map(|c| (c.outcome.rank(), c.outcome)));
            }
            for member in family {
                if let Some(index) = index.get(&member) {
                    seen[*index].extend(&outcomes);
                }
            }
        }
        for (row, outcomes) in rows.iter_mut().zip(seen) {
            row.push(words(&outcomes));
        }
    }
    let mut head = vec!["field".to_owned(), "class".to_owned()];
    head.extend(columns.into_iter().map(|(name, ..)| name));
    Matrix { head, rows }
}

/// Least protective first.
fn words(outcomes: &BTreeSet<(u8, Outcome)>) -> String {
    let words: Vec<&str> = outcomes.iter().map(|(_, o)| o.word()).collect();
    words.join(" / ")
}

impl Matrix {
    /// Aligned columns.
    pub fn text(&self) -> String {
        let mut widths: Vec<usize> = self.head.iter().map(|h| h.chars().count()).collect();
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let line = |row: &[String]| {
            let cells: Vec<String> = row
                .iter()
                .zip(&widths)
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            format!("{}\n", cells.join("  ").trim_end())
        };
        let mut text = line(&self.head);
        text.extend(self.rows.iter().map(|r| line(r)));
        text
    }

    /// RFC 4180.
    pub fn csv(&self) -> String {
        let line = |row: &[String]| {
            let cells: Vec<String> = row
                .iter()
                .map(|c| {
                    if c.contains([',', '"', '\n']) {
                        format!("\"{}\"", c.replace('"', "\"\""))
                    } else {
                        c.clone()
                    }
                })
                .collect();
            format!("{}\r\n", cells.join(","))
        };
        let mut text = line(&self.head);
        text.extend(self.rows.iter().map(|r| line(r)));
        text
    }

    /// A Markdown table.
    pub fn markdown(&self) -> String {
        let line = |row: &[String]| {
            let cells: Vec<String> = row.iter().map(|c| c.replace('|', "\\|")).collect();
            format!("| {} |\n", cells.join(" | "))
        };
        let mut text = line(&self.head);
        text.push_str(&line(&vec!["---".to_owned(); self.head.len()]));
        text.extend(self.rows.iter().map(|r| line(r)));
        text
    }

    /// A page that stands alone.
    pub fn html(&self, title: &str) -> String {
        let escape = |t: &str| {
            t.replace('&', "&amp;")
                .replace('<', "&lt;")
                .replace('>', "&gt;")
        };
        let line = |row: &[String], tag: &str| {
            let cells: String = row
                .iter()
                .map(|c| format!("<{tag}>{}</{tag}>", escape(c)))
                .collect();
            format!("<tr>{cells}</tr>\n")
        };
        let title = escape(title);
        let mut text = format!(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\n\
             <style>body{{font:14px sans-serif}}table{{border-collapse:collapse}}\
             td,th{{border:1px solid #ccc;padding:2px 8px;text-align:left}}th{{position:sticky;top:0;\
             background:#eee}}</style></head>\n<body><h1>{title}</h1>\n<table>\n<thead>\n"
        );
        text.push_str(&line(&self.head, "th"));
        text.push_str("</thead>\n<tbody>\n");
        text.extend(self.rows.iter().map(|r| line(r, "td")));
        text.push_str("</tbody>\n</table></body></html>\n");
        text
    }
}
