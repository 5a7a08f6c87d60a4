//! What happened to records since the organisation began, as change events need it.

use std::collections::VecDeque;

use crate::demo::store::Value;

/// Most changes that are remembered.
const CHANGES_MAX: usize = 1_000;

/// What happened to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It was made.
    Create,
    /// Fields were overwritten.
    Update,
    /// It was put into the recycle bin.
    Delete,
}

/// One change of one record.
#[derive(Debug, Clone)]
pub struct Change {
    /// Number of the object in the metadata.
    pub object: usize,
    /// Row in its table.
    pub row: usize,
    /// What happened.
    pub kind: Kind,
    /// The fields that were set, and to what.
    pub values: Vec<(usize, Value)>,
    /// Nothing more belongs to it.
    closed: bool,
}

/// The newest changes, oldest first. A change's number is its replay id.
#[derive(Debug, Clone, Default)]
pub struct Changes {
    /// How many have been forgotten.
    forgotten: u64,
    list: VecDeque<Change>,
}

impl Changes {
    /// Forgets all so far: what an organisation is born with did not happen to it.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// The changes after the one with this number.
    pub fn after(&self, number: u64) -> impl Iterator<Item = (u64, &Change)> {
        let first = self.forgotten + 1;
        (first..)
            .zip(&self.list)
            .filter(move |(at, _)| *at > number)
    }

    /// What is set from now on is another change.
    pub fn seal(&mut self) {
        if let Some(open) = self.list.back_mut() {
            open.closed = true;
        }
    }

    /// The number of the newest.
    pub fn newest(&self) -> u64 {
        self.forgotten + self.list.len() as u64
    }

    /// A record was made with these values.
    pub(super) fn made(&mut self, object: usize, row: usize, values: Vec<(usize, Value)>) {
        self.push(Change {
            object,
            row,
            kind: Kind::Create,
            values,
            closed: true,
        });
    }

    /// One field was overwritten. Fields of one record that are set one after the other are one change, which the date
    /// of its last change ends.
    pub(super) fn set(
        &mut self,
        object: usize,
        row: usize,
        (field, name): (usize, &str),
        value: Value,
    ) {
        let is_deleted = name == "IsDeleted" && value == Value::Bool(true);
        let ends = name == "LastModifiedDate";
        if let Some(open) = self.list.back_mut()
            && !open.closed
            && (open.object, open.row) == (object, row)
            && !is_deleted
        {
            open.values.push((field, value));
            open.closed = ends;
            return;
        }
        self.push(Change {
            object,
            row,
            kind: if is_deleted {
                Kind::Delete
            } else {
                Kind::Update
            },
            values: if is_deleted {
                Vec::new()
            } else {
                vec![(field, value)]
            },
            closed: is_deleted || ends,
        });
    }

    fn push(&mut self, change: Change) {
        if self.list.len() >= CHANGES_MAX {
            self.list.pop_front();
            self.forgotten += 1;
        }
        self.list.push_back(change);
    }
}
