//! The data-subject ledger's side of one answer: which records it shows, as keyed pseudonyms, collected while the body
//! streams.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::rewrite::LinkRewriter;
use crate::engine::token::{LedgerKey, Pseudonym};
use crate::engine::treatment::{Observer, Scalar};

/// Records of one object that an answer shows in one way.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ShownSet {
    /// `Contact`.
    pub object: Arc<str>,
    /// Treatment word → fields (`Contact.Email`); what is dropped is not among them.
    pub fields: BTreeMap<&'static str, Vec<String>>,
}

/// Which records an answer shows. Shared by the program, whose observers fill it, and whoever records it.
#[derive(Debug)]
pub struct Shown {
    sets: Vec<ShownSet>,
    untold: bool,
    seen: Arc<Seen>,
}

#[derive(Debug)]
struct Seen {
    key: LedgerKey,
    /// Index of the set, and the record.
    records: Mutex<Vec<(u32, Pseudonym)>>,
}

impl Shown {
    /// Id of the key that the pseudonyms are made with.
    pub fn key_id(&self) -> &Arc<str> {
        self.seen.key.id()
    }

    /// Whether some records of the answer come without an id that could be seen: then what is taken is not all.
    pub fn is_untold(&self) -> bool {
        self.untold
    }

    /// How many records wait to be taken.
    pub fn waiting(&self) -> usize {
        let records = self.seen.records.lock();
        records.unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Takes what was seen since the last time: for each set that has any, its records, each once, in no order that
    /// says anything.
    pub fn take(&self) -> Vec<(&ShownSet, Vec<Pseudonym>)> {
        let mut records = std::mem::take(
            &mut *self
                .seen
                .records
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
        records.sort_unstable();
        records.dedup();
        records
            .chunk_by(|a, b| a.0 == b.0)
            .filter_map(|of_set| {
                let set = self.sets.get(of_set.first()?.0 as usize)?;
                Some((set, of_set.iter().map(|(_, p)| *p).collect()))
            })
            .collect()
    }
}

/// What the lowering knows of it.
#[derive(Debug)]
pub(super) struct Ledger {
    sets: Vec<ShownSet>,
    untold: bool,
    seen: Arc<Seen>,
}

impl Ledger {
    pub(super) fn new(key: LedgerKey) -> Self {
        Self {
            sets: Vec::new(),
            untold: false,
            seen: Arc::new(Seen {
                key,
                records: Mutex::default(),
            }),
        }
    }

    /// Sees the ids of records that are shown like this.
    pub(super) fn observer(&mut self, set: ShownSet) -> Arc<RecordId> {
        let at = self.sets.iter().position(|known| *known == set);
        let at = at.unwrap_or_else(|| {
            self.sets.push(set);
            self.sets.len() - 1
        });
        Arc::new(RecordId {
            set: u32::try_from(at).unwrap_or(u32::MAX),
            seen: Arc::clone(&self.seen),
        })
    }

    /// Some records will come without an id.
    pub(super) fn untold(&mut self) {
        self.untold = true;
    }

    /// `None` if the answer shows no record that can be told.
    pub(super) fn finish(self) -> Option<Arc<Shown>> {
        (!self.sets.is_empty()).then(|| {
            Arc::new(Shown {
                sets: self.sets,
                untold: self.untold,
                seen: self.seen,
            })
        })
    }
}

/// The id of a record, on its way to the client or dropped.
#[derive(Debug)]
pub(super) struct RecordId {
    set: u32,
    seen: Arc<Seen>,
}

impl Observer for RecordId {
    fn observe(&self, value: Scalar<'_>) {
        let (Scalar::Text(id) | Scalar::Number(id)) = value else {
            return;
        };
        let pseudonym = self.seen.key.pseudonym(id);
        let mut records = self
            .seen
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        records.push((self.set, pseudonym));
    }
}

/// An id that privet asked for itself: seen, and not shown.
impl LinkRewriter for RecordId {
    fn rewrite<'a>(&self, upstream: &'a str) -> Option<std::borrow::Cow<'a, str>> {
        self.observe(Scalar::Text(upstream));
        None
    }
}
