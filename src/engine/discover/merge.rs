//! Proposals in a file of `classes/`: comments that a person turns into rows.
//!
//! ```text
//! # 0.98: 97 % of 200 values are e-mail addresses
//! # ? g2, Contact.xf_17__c, class:pii.email
//! ```
//!
//! A line that begins with `# ? ` is pending: to the policy it is a comment, so the field has no class and stays
//! dropped. Taking `# ? ` away accepts it; `# - ` in its place declines it, and the field is not proposed again. What
//! stands, in whatever form, is kept as it is.

use std::collections::HashSet;

use super::Proposal;

/// The first line of a file of `classes/`.
const HEADER: &str = "# g2, field, class\n";
const PENDING: &str = "# ? ";
const DECLINED: &str = "# - ";

/// What became of the proposals.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// The new text.
    pub text: String,
    /// How many proposals were added as pending.
    pub added: usize,
    /// Fields that were pending or declined already.
    pub kept: usize,
}

/// The field of a row, pending or declined line, lower case.
fn field(line: &str) -> Option<String> {
    let row = [PENDING, DECLINED]
        .into_iter()
        .find_map(|mark| line.strip_prefix(mark));
    let row = row.unwrap_or(line);
    let mut cells = row.split(',').map(|c| c.trim().trim_matches('"').trim());
    (cells.next() == Some("g2")).then(|| cells.next().map(str::to_ascii_lowercase))?
}

/// A field name as a cell.
fn cell(name: &str) -> String {
    if name.contains([',', '"']) {
        format!("\"{}\"", name.replace('"', "\"\""))
    } else {
        name.to_owned()
    }
}

/// Adds those of `proposals` to the file `text` (empty = a new one) of which the file says nothing yet, as pending.
pub fn merge(text: &str, proposals: &[Proposal]) -> Merged {
    let mut merged = Merged {
        text: if text.is_empty() {
            HEADER.to_owned()
        } else {
            text.to_owned()
        },
        ..Merged::default()
    };
    let known: HashSet<String> = text.lines().filter_map(field).collect();
    if !merged.text.ends_with('\n') {
        merged.text.push('\n');
    }
    for proposal in proposals {
        let name = format!("{}.{}", proposal.object, proposal.field);
        // One line each: what upstreams call their fields may hold anything.
        if name.contains(['\n', '\r']) {
            continue;
        }
        if known.contains(&name.to_ascii_lowercase()) {
            merged.kept += 1;
            continue;
        }
        if merged.added == 0 {
            merged.text.push_str(
                "# Pending: remove `# ? ` to accept a row, or write `# - ` for it to decline.\n",
            );
        }
        merged.added += 1;
        let why = proposal.evidence.join("; ").replace(['\n', '\r'], " ");
        merged.text.push_str(&format!(
            "# {:.2}: {why}\n{PENDING}g2, {}, class:{}\n",
            proposal.confidence,
            cell(&name),
            proposal.class
        ));
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::discover::Holds;

    fn proposal(field: &str) -> Proposal {
        Proposal {
            object: "Contact".to_owned(),
            field: field.to_owned(),
            holds: Holds::Email,
            class: "pii.email",
            confidence: 0.976,
            evidence: vec!["97 % of 200 values are e-mail addresses".to_owned()],
        }
    }

    #[test]
    fn what_stands_is_kept_in_whatever_form_and_new_fields_are_pending() {
        let stands = "# g2, field, class\ng2, Contact.a, class:mine\n# ? g2, Contact.b, class:edited\n# - g2, contact.C, class:pii\n";
        let all = ["A", "b", "C", "d"].map(proposal);
        let merged = merge(stands, &all);
        assert_eq!((merged.added, merged.kept), (1, 3));
        let wanted = format!(
            "{stands}# Pending: remove `# ? ` to accept a row, or write `# - ` for it to decline.\n\
             # 0.98: 97 % of 200 values are e-mail addresses\n# ? g2, Contact.d, class:pii.email\n"
        );
        assert_eq!(merged.text, wanted);
        let again = merge(&merged.text, &all);
        assert_eq!((again.added, again.kept, again.text), (0, 4, merged.text));
    }

    #[test]
    fn a_name_cannot_write_a_row_of_its_own() {
        let merged = merge(
            "",
            &[
                proposal("x\ng2, Contact.y, class:operational"),
                proposal("a,b"),
            ],
        );
        assert_eq!(merged.added, 1);
        assert!(
            merged
                .text
                .ends_with("\n# ? g2, \"Contact.a,b\", class:pii.email\n")
        );
        assert!(merged.text.lines().all(|line| line.starts_with('#')));
    }
}
