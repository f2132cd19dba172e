//! Who stands where, as seen from this node: told to the index whenever a person or a descriptor changes it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::PoisonError;

use sm2tp_federation::descriptor::{self, Descriptor};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::standing::{self, Place};

use super::index::Standing;
use super::peers::{PEERS, Peer, PeerState, peer};
use super::{Federated, FederatedError, node_key};
use crate::sql;

/// What the tables say of nodes.
struct Nodes {
    peers: Vec<Peer>,
    /// When each became known (unix seconds), and through whom.
    known: Vec<(NodeKey, u64, Option<NodeKey>)>,
}

impl Federated {
    /// Tells the index whom the administrator trusts how far.
    pub(super) async fn refresh_origins(&self) -> Result<(), FederatedError> {
        let nodes = self.ledger.read(|sql| {
            let mut known = Vec::new();
            sql.rows("SELECT node, known_since, introducer FROM node", &[], &mut |row| {
                known.push((node_key(row, 0)?, row.uint(1)?, row.octets(2).ok().map(NodeKey)));
                Ok(())
            })?;
            Ok(Nodes { peers: sql::all(sql, PEERS, &[], peer)?, known })
        });
        let nodes = nodes.await?;
        let standings = {
            let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
            standings(&nodes, &links)
        };
        self.write_index().set_standings(standings);
        Ok(())
    }

    /// Reads whom each node names as its peers.
    pub(super) async fn load_links(&self) -> Result<(), FederatedError> {
        for text in self.descriptors().await? {
            if let Ok(signed) = descriptor::parse(&text) {
                self.link(signed.descriptor());
            }
        }
        Ok(())
    }

    /// Remembers whom a node names as its peers.
    pub(super) fn link(&self, described: &Descriptor) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.insert(described.node, described.peers.iter().take(LINKS_MAX).copied().collect());
    }
}

/// A direct peer has the weight that a person gave it. Others stand behind who introduced them.
fn standings(nodes: &Nodes, links: &HashMap<NodeKey, Vec<NodeKey>>) -> HashMap<NodeKey, Standing> {
    let accepted = || nodes.peers.iter().filter(|peer| peer.state == PeerState::Accepted);
    let direct: BTreeSet<NodeKey> = accepted().map(|peer| peer.node).collect();
    let introduced: BTreeMap<NodeKey, NodeKey> =
        nodes.known.iter().filter_map(|(node, _, introducer)| Some((*node, (*introducer)?))).collect();
    let places = standing::places(&direct, links, &introduced);
    let mut standings: HashMap<NodeKey, Standing> = HashMap::with_capacity(places.len());
    for (node, known_since, _) in &nodes.known {
        if let Some(Place { introducer: introducer @ Some(_), named_by, hop }) = places.get(node).copied() {
            let standing = Standing { introducer, named_by, hop, weight: 0.0, known_since: *known_since };
            standings.insert(*node, standing);
        }
    }
    for peer in accepted() {
        let known_since = peer.added_at;
        let standing = Standing { introducer: None, named_by: None, hop: 1, weight: peer.weight, known_since };
        standings.insert(peer.node, standing);
    }
    standings
}

/// Peers that one descriptor can name here; a text of 64 KiB holds about as many.
const LINKS_MAX: usize = 1000;
