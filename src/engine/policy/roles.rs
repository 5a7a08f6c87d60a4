//! `roles.csv` (`g` rows): who holds which role, and which roles hold others.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::csv::Row;
use super::rules::principal;
use crate::diagnostic::Diagnostic;

/// Header comment of `roles.csv`.
pub(super) const HEADER: &str = "# g, who, role";
/// Most links from a principal to a role. (Casbin answers "no" beyond ten, silently.)
const LEVELS_MAX: usize = 10;

/// The checked rows.
#[derive(Default)]
pub(super) struct Roles {
    pub(super) links: BTreeMap<Arc<str>, BTreeSet<Arc<str>>>,
    /// Every role that some row mentions.
    pub(super) mentioned: BTreeSet<Arc<str>>,
}

impl Roles {
    pub(super) fn read(rows: &[Row], found: &mut Vec<Diagnostic>) -> Self {
        let mut roles = Self::default();
        let mut kept: Vec<(&Row, Arc<str>, Arc<str>)> = Vec::new();
        for row in rows {
            let who = principal(row, 1).map_err(|e| found.push(e));
            let role = principal(row, 2).map_err(|e| found.push(e));
            let (Ok(who), Ok(role)) = (who, role) else {
                continue;
            };
            if !role.starts_with("role:") {
                found.push(
                    row.error(2, "bad-role", format!("`{role}` is not a role"))
                        .help("the last column is what is held: `role:NAME`"),
                );
                continue;
            }
            if who == role {
                found.push(row.error(2, "role-cycle", format!("`{role}` holds itself")));
                continue;
            }
            if let Some((first, ..)) = kept.iter().find(|(_, w, r)| *w == who && *r == role) {
                found.push(row.error(
                    1,
                    "duplicate-row",
                    format!("this row already stands in line {}", first.line),
                ));
                continue;
            }
            for p in [&who, &role] {
                if p.starts_with("role:") {
                    roles.mentioned.insert(p.clone());
                }
            }
            roles
                .links
                .entry(who.clone())
                .or_default()
                .insert(role.clone());
            kept.push((row, who, role));
        }
        for (row, who, role) in &kept {
            if roles.closure(role).contains(who) {
                found.push(
                    row.error(
                        1,
                        "role-cycle",
                        format!("`{who}` and `{role}` hold each other"),
                    )
                    .help("remove one of the rows of the circle"),
                );
            } else if roles.depth(who, 0) > LEVELS_MAX {
                found.push(row.error(
                    1,
                    "role-depth",
                    format!("`{who}` is more than {LEVELS_MAX} levels above its last role"),
                ));
            }
        }
        roles
    }

    /// The principal and all it holds.
    pub(super) fn closure(&self, who: &Arc<str>) -> BTreeSet<Arc<str>> {
        let mut seen = BTreeSet::from([who.clone()]);
        let mut open = vec![who.clone()];
        while let Some(next) = open.pop() {
            for role in self.links.get(&next).into_iter().flatten() {
                if seen.insert(role.clone()) {
                    open.push(role.clone());
                }
            }
        }
        seen
    }

    fn depth(&self, who: &Arc<str>, so_far: usize) -> usize {
        if so_far > LEVELS_MAX {
            return so_far;
        }
        self.links
            .get(who)
            .into_iter()
            .flatten()
            .map(|role| self.depth(role, so_far + 1))
            .max()
            .unwrap_or(so_far)
    }
}
