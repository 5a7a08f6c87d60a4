//! Which of a set of names a column header or an element is, by the comparisons of [`key`].

use std::collections::HashMap;

use crate::engine::key;

/// A set of names, each with its index.
#[derive(Debug, Clone, Default)]
pub(super) struct Names {
    names: Vec<Box<str>>,
    /// Hash of the ASCII-folded name → index, open addressing; [`EMPTY`] = none. Length is a power of two.
    slots: Vec<u16>,
    /// Canonical name → index, or [`EMPTY`] where several names share it.
    wide: HashMap<Box<str>, u16>,
    /// A plain ASCII name may be the wide form of one that is not spelt so.
    ascii_may_be_wide: bool,
}

const EMPTY: u16 = u16::MAX;

/// How a name was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Exact or ASCII case-insensitive: this index.
    Narrow(u16),
    /// Only some consumers take it for the name at this index.
    Wide(u16),
    /// Only some consumers take it for a name, and they may disagree for which.
    Ambiguous,
    /// None of them.
    None,
}

impl Names {
    /// The first 65,534 names; of equal ones the first counts.
    pub(super) fn new<'a>(names: impl Iterator<Item = &'a str>) -> Self {
        let mut set = Self {
            names: names.take(usize::from(EMPTY)).map(Into::into).collect(),
            ..Self::default()
        };
        let size = (set.names.len() * 2).next_power_of_two().max(4);
        set.slots = vec![EMPTY; size];
        for (index, name) in set.names.iter().enumerate() {
            let wide = key::canonical(name);
            set.ascii_may_be_wide |= wide.is_ascii() && !wide.eq_ignore_ascii_case(name);
            set.wide
                .entry(wide.into())
                .and_modify(|i| *i = EMPTY)
                .or_insert(index as u16);
            let mut slot = hash(name.as_bytes()) as usize & (size - 1);
            while set.slots[slot] != EMPTY {
                slot = (slot + 1) & (size - 1);
            }
            set.slots[slot] = index as u16;
        }
        set
    }

    /// The name at `index`.
    #[inline]
    pub(super) fn get(&self, index: u16) -> Option<&str> {
        self.names.get(usize::from(index)).map(|name| &**name)
    }

    /// What `name` is. `hint` is looked at first: the order of one record is likely that of the last.
    #[inline]
    pub(super) fn find(&self, name: &str, hint: u16) -> Found {
        if let Some(hinted) = self.names.get(usize::from(hint))
            && **hinted == *name
        {
            return Found::Narrow(hint);
        }
        self.search(name)
    }

    fn search(&self, name: &str) -> Found {
        let Some(mask) = self.slots.len().checked_sub(1) else {
            return Found::None;
        };
        let mut slot = hash(name.as_bytes()) as usize & mask;
        while self.slots[slot] != EMPTY {
            let index = self.slots[slot];
            if key::same(name, &self.names[usize::from(index)]) {
                return Found::Narrow(index);
            }
            slot = (slot + 1) & mask;
        }
        let plain = name.is_ascii() && name.trim().len() == name.len();
        if plain && !self.ascii_may_be_wide {
            return Found::None;
        }
        match self.wide.get(&*key::canonical(name)) {
            Some(&EMPTY) => Found::Ambiguous,
            Some(&index) => Found::Wide(index),
            None => Found::None,
        }
    }
}

/// FNV-1a over the bytes with ASCII upper and lower case joined (it also joins a few others).
fn hash(name: &[u8]) -> u32 {
    let hash = name.iter().fold(0x811c_9dc5_u32, |h, b| {
        (h ^ u32::from(b | 0x20)).wrapping_mul(0x0100_0193)
    });
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn narrow_wins_and_wide_tells_itself_apart() {
        let names = Names::new(["Email", "Id", "caf\u{e9}", "CAF\u{c9}"].into_iter());
        for (name, found) in [
            ("Email", Found::Narrow(0)),
            ("eMAIL", Found::Narrow(0)),
            (" Email ", Found::Wide(0)),
            ("\u{ff25}mail", Found::Wide(0)),
            ("id", Found::Narrow(1)),
            ("caf\u{e9}", Found::Narrow(2)),
            ("cafe\u{301}", Found::Ambiguous),
            ("Phone", Found::None),
        ] {
            assert_eq!(names.find(name, 1), found, "{name}");
        }
        assert_eq!(Names::default().find("x", 0), Found::None);
    }
}
