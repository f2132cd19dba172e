//! Who exchanged keys with whom.

use std::collections::BTreeSet;

use super::super::dice::Dice;

/// How peerings lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Topology {
    /// All have one peer, the same.
    Star,
    /// Each has two neighbours.
    Ring,
    /// Neighbours, and some peers far away (Watts and Strogatz, 1998).
    SmallWorld,
    /// One large node that half of all have for a peer, beside a small world.
    Hub,
    /// Everybody with everybody, as a handful of friends does.
    Mesh,
}

impl Topology {
    /// The peers of each node, both ways, in order.
    pub(super) fn peers(self, nodes: usize, degree: usize, dice: &mut Dice) -> Vec<Vec<usize>> {
        let mut peers = vec![BTreeSet::new(); nodes];
        let mut join = |a: usize, b: usize| {
            if a != b {
                peers[a].insert(b);
                peers[b].insert(a);
            }
        };
        for node in 0..nodes {
            match self {
                Self::Star => join(0, node),
                Self::Ring => join(node, (node + 1) % nodes),
                Self::Mesh => (0..node).for_each(|other| join(node, other)),
                Self::SmallWorld | Self::Hub => {
                    for step in 1..=degree / 2 {
                        let far = dice.happens(REWIRED);
                        let other = if far { dice.within(0, nodes as u64) as usize } else { (node + step) % nodes };
                        join(node, other);
                    }
                    if self == Self::Hub && dice.happens(0.5) {
                        join(0, node);
                    }
                }
            }
        }
        peers.into_iter().map(|peers| peers.into_iter().collect()).collect()
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Star => "star",
            Self::Ring => "ring",
            Self::SmallWorld => "small-world",
            Self::Hub => "hub",
            Self::Mesh => "mesh",
        }
    }
}

/// Peerings that lead far away: enough that ten thousand nodes are a few hops apart.
const REWIRED: f64 = 0.3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_is_reached_from_every_other() {
        for topology in [Topology::Star, Topology::Ring, Topology::SmallWorld, Topology::Hub, Topology::Mesh] {
            for nodes in [2, 3, 50] {
                let peers = topology.peers(nodes, 6, &mut Dice::new(1, 0));
                let (mut found, mut next) = (BTreeSet::from([0]), vec![0]);
                while let Some(node) = next.pop() {
                    next.extend(peers[node].iter().copied().filter(|peer| found.insert(*peer)));
                }
                assert_eq!(found.len(), nodes, "{}", topology.as_str());
                assert!(peers.iter().enumerate().all(|(node, all)| all.iter().all(|p| peers[*p].contains(&node))));
            }
        }
    }
}
