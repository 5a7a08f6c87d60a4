//! The Merkle tree over the records' leaf hashes (RFC 9162, section 2.1): only its right edge is kept.

use ring::digest;

use super::record::Hash;

/// A tree of `size` leaves: the roots of its perfect subtrees, the largest first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tree {
    size: u64,
    edge: Vec<Hash>,
}

impl Tree {
    /// The tree whose right edge this is; `None` if a tree of this size has another number of subtrees.
    pub(super) fn from_edge(size: u64, edge: Vec<Hash>) -> Option<Self> {
        (edge.len() == size.count_ones() as usize).then_some(Self { size, edge })
    }

    pub(super) fn size(&self) -> u64 {
        self.size
    }

    pub(super) fn edge(&self) -> &[Hash] {
        &self.edge
    }

    /// Appends a leaf by its hash.
    pub(super) fn append(&mut self, leaf: Hash) {
        let mut node = leaf;
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.edge.pop() {
                node = interior(&left, &node);
            }
        }
        self.edge.push(node);
        self.size += 1;
    }

    /// The tree head, MTH(D[n]).
    pub(super) fn root(&self) -> Hash {
        let mut edge = self.edge.iter().rev();
        let Some(last) = edge.next() else {
            return hash(&[]);
        };
        edge.fold(*last, |right, left| interior(left, &right))
    }
}

/// SHA-256(0x01 ‖ left ‖ right).
fn interior(left: &Hash, right: &Hash) -> Hash {
    hash(&[&[1], left, right])
}

fn hash(parts: &[&[u8]]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::super::record::hex;
    use super::*;

    /// MTH as RFC 9162 writes it down.
    fn mth(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => hash(&[]),
            [one] => *one,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                interior(&mth(&leaves[..k]), &mth(&leaves[k..]))
            }
        }
    }

    #[test]
    fn the_root_is_the_one_of_rfc_9162_at_every_size() {
        let leaves: Vec<Hash> = (0..130u8).map(|n| hash(&[&[0], &[n]])).collect();
        let mut tree = Tree::default();
        assert_eq!(
            hex(&tree.root()),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        for (n, leaf) in leaves.iter().enumerate() {
            tree.append(*leaf);
            assert_eq!(tree.root(), mth(&leaves[..=n]), "size {}", n + 1);
            let again = Tree::from_edge(tree.size(), tree.edge().to_vec()).unwrap();
            assert_eq!(again, tree);
        }
        assert!(Tree::from_edge(3, vec![[0; 32]]).is_none());
    }
}
