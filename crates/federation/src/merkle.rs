//! The Merkle tree of RFC 6962 §2.1 over the records of a segment: a single event can be proven, or erased, alone.

use sha2::{Digest, Sha256};

use crate::Hash;

/// The hash of one record as a leaf. The first byte keeps a leaf from passing for a node.
#[must_use]
pub fn leaf(record: &[u8]) -> Hash {
    Sha256::new().chain_update([0]).chain_update(record).finalize().into()
}

/// The root over whole records.
#[must_use]
pub fn root<'a>(records: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    root_of_leaves(records.into_iter().map(leaf).collect())
}

/// The root over leaf hashes: of a redacted record only this hash is left.
///
/// Level by level, an odd last node moves up unchanged; that is the same tree as the recursive one of the RFC.
#[must_use]
pub fn root_of_leaves(mut level: Vec<Hash>) -> Hash {
    if level.is_empty() {
        return Sha256::digest([]).into();
    }
    while 1 < level.len() {
        level =
            level.chunks(2).map(|pair| if let [left, right] = pair { node(left, right) } else { pair[0] }).collect();
    }
    level[0]
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new().chain_update([1]).chain_update(left).chain_update(right).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MTH as RFC 6962 §2.1 writes it: split at the largest power of two below n.
    fn recursive(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Sha256::digest([]).into(),
            [one] => *one,
            _ => {
                let k = leaves.len().next_power_of_two() / 2;
                node(&recursive(&leaves[..k]), &recursive(&leaves[k..]))
            }
        }
    }

    #[test]
    fn the_levels_give_the_tree_of_the_rfc() {
        for n in 0..200u8 {
            let leaves: Vec<Hash> = (0..n).map(|i| leaf(&[i; 32])).collect();
            assert_eq!(root_of_leaves(leaves.clone()), recursive(&leaves), "{n} leaves");
        }
    }

    #[test]
    fn the_known_answers_of_certificate_transparency_hold() {
        let inputs: [&[u8]; 3] = [b"", b"\x00", b"\x10"];
        let want = "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77";
        assert_eq!(hex::encode(root(inputs)), want);
    }
}
