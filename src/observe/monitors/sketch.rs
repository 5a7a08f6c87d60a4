//! How many different ones: exact while they are few, HyperLogLog (Flajolet et al. 2007, 64-bit hashes, 2^11 registers,
//! standard error 2.3 %) beyond. At most 2 KiB.

/// Index bits of a hash.
const BITS: u32 = 11;
const REGISTERS: usize = 1 << BITS;
/// Most that are held one by one; as big as the registers.
const FEW_MAX: usize = REGISTERS / 8;

/// A set whose size can be told.
#[derive(Debug, Clone)]
pub(super) enum Sketch {
    /// Sorted.
    Few(Vec<u64>),
    Many(Box<[u8; REGISTERS]>),
}

impl Default for Sketch {
    fn default() -> Self {
        Self::Few(Vec::new())
    }
}

impl Sketch {
    /// Adds one, by any 64 bits that name it.
    pub(super) fn add(&mut self, name: u64) {
        let hash = mixed(name);
        match self {
            Self::Few(few) => {
                let Err(at) = few.binary_search(&hash) else {
                    return;
                };
                if few.len() < FEW_MAX {
                    few.insert(at, hash);
                    return;
                }
                let mut registers = Box::new([0; REGISTERS]);
                for known in few.iter() {
                    note(&mut registers, *known);
                }
                note(&mut registers, hash);
                *self = Self::Many(registers);
            }
            Self::Many(registers) => note(registers, hash),
        }
    }

    /// Adds all of `other`.
    pub(super) fn join(&mut self, other: &Self) {
        match (&mut *self, other) {
            (Self::Many(own), Self::Many(others)) => {
                for (own, other) in own.iter_mut().zip(others.iter()) {
                    *own = (*own).max(*other);
                }
            }
            (Self::Many(own), Self::Few(few)) => few.iter().for_each(|hash| note(own, *hash)),
            (Self::Few(few), Self::Many(_)) => {
                let few = std::mem::take(few);
                *self = other.clone();
                self.join(&Self::Few(few));
            }
            (Self::Few(few), Self::Few(others)) => {
                few.extend(others);
                few.sort_unstable();
                few.dedup();
                if few.len() > FEW_MAX {
                    let mut registers = Box::new([0; REGISTERS]);
                    few.iter().for_each(|hash| note(&mut registers, *hash));
                    *self = Self::Many(registers);
                }
            }
        }
    }

    /// About how many.
    pub(super) fn count(&self) -> f64 {
        let registers = match self {
            Self::Few(few) => return few.len() as f64,
            Self::Many(registers) => registers,
        };
        let m = REGISTERS as f64;
        let sum: f64 = registers.iter().map(|r| (-f64::from(*r)).exp2()).sum();
        let raw = 0.7213 / (1.0 + 1.079 / m) * m * m / sum;
        let empty = registers.iter().filter(|r| **r == 0).count();
        if raw <= 2.5 * m && empty > 0 {
            // Linear counting.
            m * (m / empty as f64).ln()
        } else {
            raw
        }
    }
}

fn note(registers: &mut [u8; REGISTERS], hash: u64) {
    let index = (hash >> (u64::BITS - BITS)) as usize;
    let rank = ((hash << BITS).leading_zeros() + 1).min(u64::BITS - BITS + 1) as u8;
    registers[index] = registers[index].max(rank);
}

/// The finaliser of SplitMix64 (Steele et al. 2014): a bijection, so nothing collides here.
fn mixed(name: u64) -> u64 {
    let mut z = name.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_exact_when_few_and_near_when_many() {
        let mut sketch = Sketch::default();
        for round in 0..2 {
            for n in 0..FEW_MAX as u64 {
                sketch.add(n);
            }
            assert_eq!(sketch.count(), FEW_MAX as f64, "round {round}");
        }
        for wanted in [1_000_u64, 5_000, 20_000, 100_000] {
            for n in 0..wanted {
                sketch.add(n);
            }
            let error = (sketch.count() / wanted as f64 - 1.0).abs();
            assert!(error < 0.08, "{wanted}: {}", sketch.count());
        }
    }

    #[test]
    fn a_union_counts_each_once_in_every_form() {
        let of = |range: std::ops::Range<u64>| {
            let mut sketch = Sketch::default();
            range.for_each(|n| sketch.add(n));
            sketch
        };
        for (a, b) in [(100, 150), (200, 2_000), (2_000, 200), (3_000, 3_000)] {
            let mut union = of(0..a);
            union.join(&of(a / 2..a / 2 + b));
            let wanted = a.max(a / 2 + b) as f64;
            let error = (union.count() / wanted - 1.0).abs();
            assert!(error < 0.08, "{a} and {b}: {}", union.count());
        }
    }
}
