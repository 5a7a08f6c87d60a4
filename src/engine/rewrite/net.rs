//! The second net over one document: what is treated in a record is remembered while the record lasts, and looked for
//! in what leaves in clear.

use memchr::memmem;

use super::Counts;
use crate::engine::treatment::{Prepared, Scalar, Sighting, Treated};

/// What is remembered of a record, in bytes and in values. What comes after is not.
const TREATED_BYTES_MAX: usize = 4 << 10;
const TREATED_VALUES_MAX: usize = 64;

/// Shortest treated value that is looked for, in characters: shorter ones stand in any text.
const CHARS_MIN: usize = 4;

/// A value of so many characters is looked for inside words too.
const INSIDE_WORDS_CHARS_MIN: usize = 8;

/// Found: counter of the field, what, how often.
pub type Found = (u32, Sighting, u64);

/// Of a document some of whose values are watched.
#[derive(Debug, Default)]
pub(super) struct Net {
    /// Counters of the watched fields.
    watched: Vec<u32>,
    memory: Memory,
    /// How deep the record stands that is remembered.
    depth: usize,
    spans: Vec<(usize, usize)>,
    found: Vec<Found>,
}

impl Net {
    /// The counters of the watched fields; without any there is no net.
    pub(super) fn new(mut watched: Vec<u32>) -> Option<Box<Self>> {
        watched.sort_unstable();
        watched.dedup();
        (!watched.is_empty()).then(|| {
            Box::new(Self {
                watched,
                ..Self::default()
            })
        })
    }

    /// The counters of the watched ones among treatments.
    pub(super) fn of<'a>(
        treatments: impl Iterator<Item = (&'a Prepared, u32)>,
    ) -> Option<Box<Self>> {
        Self::new(
            treatments
                .filter(|(treatment, _)| matches!(treatment, Prepared::Watched(_)))
                .map(|(_, counter)| counter)
                .collect(),
        )
    }

    /// A record begins at this depth. One inside the last is part of it.
    pub(super) fn begin_record(&mut self, depth: usize) {
        if depth <= self.depth || self.depth == 0 {
            self.memory.clear();
            self.depth = depth;
        }
    }

    /// As [`Prepared::apply`].
    pub(super) fn apply<'b>(
        &mut self,
        treatment: &Prepared,
        counter: u32,
        value: Scalar<'_>,
        buf: &'b mut String,
    ) -> Treated<'b> {
        if let Prepared::Watched(watch) = treatment {
            let (memory, found) = (&self.memory, &mut self.found);
            return watch.look(
                value,
                |text, spans| memory.look(text, spans),
                |sighting| count(found, counter, sighting),
                &mut self.spans,
                buf,
            );
        }
        let treated = treatment.apply(value, buf);
        if let (Scalar::Text(text) | Scalar::Number(text), false) =
            (value, matches!(treated, Treated::Same))
        {
            self.memory.add(text);
        }
        treated
    }

    /// What the net of a document inside this one found.
    pub(super) fn absorb(&mut self, found: &[Found]) {
        for (counter, sighting, n) in found {
            for _ in 0..*n {
                count(&mut self.found, *counter, *sighting);
            }
        }
    }

    /// A watched value is over its bound.
    pub(super) fn not_looked_at(&mut self, counter: u32) {
        count(&mut self.found, counter, Sighting::NotLookedAt);
    }

    /// The document is complete. Watched values were not treated.
    pub(super) fn settle(&mut self, counts: &mut Counts) {
        for counter in &self.watched {
            if let Some(treated) = counts.treated.get_mut(*counter as usize) {
                *treated = 0;
            }
        }
        counts.found = std::mem::take(&mut self.found);
    }
}

/// Few fields and few kinds: a list is enough.
fn count(found: &mut Vec<Found>, counter: u32, sighting: Sighting) {
    match found
        .iter_mut()
        .find(|(c, s, _)| *c == counter && *s == sighting)
    {
        Some((.., n)) => *n += 1,
        None => found.push((counter, sighting, 1)),
    }
}

/// The values that were treated in a record.
#[derive(Debug, Default)]
struct Memory {
    texts: String,
    ends: Vec<usize>,
}

impl Memory {
    fn clear(&mut self) {
        self.texts.clear();
        self.ends.clear();
    }

    fn add(&mut self, text: &str) {
        let text = text.trim();
        if text.len() <= TREATED_BYTES_MAX - self.texts.len()
            && self.ends.len() < TREATED_VALUES_MAX
            && text.chars().nth(CHARS_MIN - 1).is_some()
        {
            self.texts.push_str(text);
            self.ends.push(self.texts.len());
        }
    }

    /// Where they stand in `text`.
    fn look(&self, text: &str, spans: &mut Vec<(usize, usize)>) {
        let mut from = 0;
        for end in &self.ends {
            let value = &self.texts[from..*end];
            from = *end;
            let inside_words = value.chars().nth(INSIDE_WORDS_CHARS_MIN - 1).is_some();
            for at in memmem::find_iter(text.as_bytes(), value.as_bytes()) {
                let to = at + value.len();
                let joins = |outer: Option<char>| outer.is_some_and(char::is_alphanumeric);
                if inside_words
                    || !(joins(text[..at].chars().next_back()) || joins(text[to..].chars().next()))
                {
                    spans.push((at, to));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::treatment::{Treatment, Watch};

    fn net() -> Box<Net> {
        Net::new(vec![1]).expect("a watched field")
    }

    fn clear(net: &mut Net, text: &str) -> String {
        let watch = Prepared::Watched(Watch {
            mask: true,
            expected: false,
        });
        let mut buf = String::new();
        match net.apply(&watch, 1, Scalar::Text(text), &mut buf) {
            Treated::Text(text) => text.to_owned(),
            Treated::Same => text.to_owned(),
            other => panic!("{other:?}"),
        }
    }

    fn treat(net: &mut Net, text: &str) {
        let mask = Prepared::Keyless(Treatment::MaskAll);
        net.apply(&mask, 0, Scalar::Text(text), &mut String::new());
    }

    #[test]
    fn a_treated_value_is_found_in_its_record_and_not_in_the_next() {
        let mut net = net();
        net.begin_record(2);
        treat(&mut net, "Mark");
        treat(&mut net, "Müller-Lüdenscheidt");
        treat(&mut net, "Bo");
        net.begin_record(4);
        assert_eq!(
            clear(&mut net, "Mark of Marketing, Bo; vonMüller-Lüdenscheidts"),
            "**** of Marketing, Bo; von****s"
        );
        net.begin_record(2);
        assert_eq!(clear(&mut net, "Mark"), "Mark");
        let mut counts = Counts {
            treated: vec![3, 2],
            ..Counts::default()
        };
        net.settle(&mut counts);
        assert_eq!(counts.treated, [3, 0]);
        assert_eq!(counts.found, [(1, Sighting::Treated, 2)]);
    }

    #[test]
    fn what_a_record_may_make_it_remember_is_bounded() {
        let mut net = net();
        treat(&mut net, &"x".repeat(TREATED_BYTES_MAX + 1));
        assert!(net.memory.ends.is_empty());
        for n in 0..100_000 {
            treat(&mut net, &format!("value {n}"));
        }
        assert!(net.memory.ends.len() <= TREATED_VALUES_MAX);
        assert!(net.memory.texts.len() <= TREATED_BYTES_MAX);
    }
}
