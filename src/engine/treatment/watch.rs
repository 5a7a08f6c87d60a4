//! The second net: a text that leaves in clear is looked at once more.

use super::{Scalar, Treated};
use crate::engine::detect::{self, Kind};

/// What stands in place of what was found.
const STARS: &str = "****";

/// How a field that leaves in clear is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watch {
    /// What is found is masked; otherwise it is counted.
    pub mask: bool,
    /// The field may hold personal data on purpose: a value that as a whole is one finding is what its rule meant.
    pub expected: bool,
}

/// What was found in a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// Something of this kind.
    Kind(Kind),
    /// A value that is treated where it stands in the same record.
    Treated,
    /// Nothing is known: the value is over its bound.
    NotLookedAt,
}

impl Sighting {
    /// The word in metrics and in the audit log; from a closed set.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kind(kind) => kind.word(),
            Self::Treated => "treated_value",
            Self::NotLookedAt => "not_looked_at",
        }
    }
}

impl Watch {
    /// What stands in place of `value`. `treated` finds more in a text: it is given the text and a place for the spans
    /// (bytes, from and behind). `found` hears of each finding. `spans` is scratch space.
    pub fn look<'b>(
        self,
        value: Scalar<'_>,
        treated: impl FnOnce(&str, &mut Vec<(usize, usize)>),
        mut found: impl FnMut(Sighting),
        spans: &mut Vec<(usize, usize)>,
        buf: &'b mut String,
    ) -> Treated<'b> {
        let Scalar::Text(text) = value else {
            return match value {
                Scalar::Container => Treated::Null,
                _ => Treated::Same,
            };
        };
        spans.clear();
        treated(text, spans);
        let whole = |from: usize, to: usize| {
            self.expected && text[..from].trim().is_empty() && text[to..].trim().is_empty()
        };
        spans.retain(|(from, to)| !whole(*from, *to));
        for _ in &*spans {
            found(Sighting::Treated);
        }
        detect::find(text, |finding| {
            if !whole(finding.start, finding.end) {
                found(Sighting::Kind(finding.kind));
                spans.push((finding.start, finding.end));
            }
        });
        if spans.is_empty() || !self.mask {
            return Treated::Same;
        }
        spans.sort_unstable();
        buf.clear();
        let mut at = 0;
        for (from, to) in spans.iter().copied() {
            // One that overlaps the one before goes on in its stars.
            if from >= at {
                buf.push_str(&text[at..from]);
                buf.push_str(STARS);
            }
            at = at.max(to);
        }
        buf.push_str(&text[at..]);
        Treated::Text(buf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(watch: Watch, text: &str, treated: &[(usize, usize)]) -> (String, Vec<&'static str>) {
        let (mut seen, mut spans, mut buf) = (Vec::new(), Vec::new(), String::new());
        let result = watch.look(
            Scalar::Text(text),
            |_, spans| spans.extend_from_slice(treated),
            |sighting| seen.push(sighting.word()),
            &mut spans,
            &mut buf,
        );
        let text = match result {
            Treated::Same => text.to_owned(),
            Treated::Text(text) => text.to_owned(),
            other => panic!("{other:?}"),
        };
        (text, seen)
    }

    const MASK: Watch = Watch {
        mask: true,
        expected: false,
    };

    #[test]
    fn what_is_found_is_masked_and_the_rest_stays() {
        for (text, masked, seen) in [
            ("nothing here", "nothing here", &[][..]),
            (
                "ask jo@example.org, or zoé@example.com!",
                "ask ****, or ****!",
                &["email", "email"],
            ),
            ("pay DE89370400440532013000 now", "pay **** now", &["iban"]),
            ("card 4111 1111 1111 1111.", "card ****.", &["payment_card"]),
            ("jo@example.org", "****", &["email"]),
        ] {
            assert_eq!(look(MASK, text, &[]), (masked.to_owned(), seen.to_vec()));
            let report = Watch {
                mask: false,
                ..MASK
            };
            assert_eq!(look(report, text, &[]), (text.to_owned(), seen.to_vec()));
        }
    }

    #[test]
    fn a_value_that_its_rule_meant_passes_and_more_than_it_does_not() {
        let expected = Watch {
            expected: true,
            ..MASK
        };
        let passes = " jo@example.org ";
        assert_eq!(look(expected, passes, &[]), (passes.to_owned(), vec![]));
        assert_eq!(look(expected, "to jo@example.org", &[]).0, "to ****");
    }

    #[test]
    fn findings_that_overlap_become_one() {
        let text = "see jo@example.org or Zoe";
        let (masked, seen) = look(MASK, text, &[(22, 25), (4, 7), (0, 6)]);
        assert_eq!(masked, "**** or ****");
        assert_eq!(
            seen,
            ["treated_value", "treated_value", "treated_value", "email"]
        );
    }
}
