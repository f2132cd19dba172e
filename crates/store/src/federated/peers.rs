//! Peers: nodes with which two people exchanged keys, and the nodes that are known through them.

use std::sync::PoisonError;

use serde::{Deserialize, Serialize};
use sm2tp_federation::descriptor::{Descriptor, Newer, SignedDescriptor};
use sm2tp_federation::keys::{LogKey, NodeKey};

use super::{Federated, FederatedError, header, node_key};
use crate::ledger::LedgerError;
use crate::phrase::Phrase;
use crate::sql::{self, Row, Sql, SqlError, Value};

/// A node with which keys are or may be exchanged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Peer {
    pub node: NodeKey,
    /// Its `/fed/v1`.
    pub url: String,
    pub name: String,
    pub state: PeerState,
    /// Pull from it.
    pub read: bool,
    /// How much its own events count, 0 to 1.
    pub weight: f64,
    pub note: Option<String>,
    /// Unix seconds.
    pub added_at: u64,
    pub cursor: Option<String>,
    /// Unix seconds of the last try, whatever came of it.
    pub polled_at: Option<u64>,
    /// Unix seconds of the last try that it answered.
    pub answered_at: Option<u64>,
    /// Unix seconds when all that it had was taken.
    pub caught_up_at: Option<u64>,
    /// When it last read our feed (unix seconds), and how far it was then.
    pub read_at: Option<u64>,
    pub read_to: Option<u64>,
    /// What was wrong at the last try.
    pub trouble: Option<String>,
    /// The same by key and values, where it is known ([`Phrase`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<serde_json::Value>,
    /// Name of the request for peering: at the asker to ask after it, at the asked to find it.
    pub request_id: Option<String>,
}

/// What one contact says of a peer.
#[derive(Debug, Clone, PartialEq)]
pub struct Contact {
    pub name: String,
    /// Everything before it was taken or given up.
    pub cursor: Option<String>,
    /// Unix seconds.
    pub polled_at: u64,
    /// The node that we know answered, even where something it serves could not be taken.
    pub answered: bool,
    /// All that it had was taken.
    pub caught_up: bool,
    pub trouble: Option<Phrase>,
}

/// How far two people are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PeerState {
    /// We asked; its administrator has not answered.
    Invited,
    /// It asked; our administrator has not answered.
    Asking,
    Accepted,
}

impl Peer {
    /// One that nobody has spoken with yet: it is not read, and what it says counts nothing.
    #[must_use]
    pub fn new(
        node: NodeKey,
        url: impl Into<String>,
        name: impl Into<String>,
        state: PeerState,
        added_at: u64,
    ) -> Self {
        Self {
            node,
            url: url.into(),
            name: name.into(),
            state,
            read: false,
            weight: 0.0,
            note: None,
            added_at,
            cursor: None,
            polled_at: None,
            answered_at: None,
            caught_up_at: None,
            read_at: None,
            read_to: None,
            trouble: None,
            reason: None,
            request_id: None,
        }
    }
}

impl Federated {
    /// All peers, by name.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn peers(&self) -> Result<Vec<Peer>, FederatedError> {
        Ok(self.ledger.read(|sql| Ok(sql::all(sql, PEERS, &[], peer)?)).await?)
    }

    /// The accepted peer whose descriptor names this log key at `now`.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn accepted_by_log_key(&self, key: &LogKey, now: u64) -> Result<Option<Peer>, FederatedError> {
        for peer in self.peers().await?.into_iter().filter(|peer| peer.state == PeerState::Accepted) {
            let descriptor = self.descriptor(peer.node).await?;
            let signs = |known: &Descriptor| known.log_key_valid(key, now) && !known.is_revoked(key);
            if descriptor.is_some_and(|known| signs(known.descriptor())) {
                return Ok(Some(peer));
            }
        }
        Ok(None)
    }

    /// Adds a peer or replaces what is known of it.
    ///
    /// # Errors
    /// [`FederatedError`] where it cannot be kept.
    pub async fn put_peer(&self, peer: Peer) -> Result<(), FederatedError> {
        self.ledger.write(move |sql| Ok(put(sql, &peer)?)).await?;
        self.refresh_origins().await
    }

    /// Notes what a contact brought. A peer that a person removed meanwhile stays removed, and what a person changed
    /// meanwhile stays changed.
    ///
    /// # Errors
    /// [`FederatedError`] where it cannot be kept.
    pub async fn note_contact(&self, node: NodeKey, contact: Contact) -> Result<(), FederatedError> {
        let update = "UPDATE peer SET name = $2, cursor = $3, polled_at = $4, trouble = $5, \
            answered_at = COALESCE($6, answered_at), caught_up_at = COALESCE($7, caught_up_at) WHERE node = $1";
        let write = move |sql: &mut dyn Sql| {
            let values = [
                node.0[..].into(),
                contact.name.into(),
                contact.cursor.into(),
                contact.polled_at.into(),
                contact.trouble.map(Phrase::kept).into(),
                contact.answered.then_some(contact.polled_at).into(),
                contact.caught_up.then_some(contact.polled_at).into(),
            ];
            sql.execute(update, &values)?;
            Ok(())
        };
        Ok(self.ledger.write(write).await?)
    }

    /// A peer read our feed from this local number on, and so has all before it.
    ///
    /// # Errors
    /// [`FederatedError`] where it cannot be kept.
    pub async fn note_read(&self, node: NodeKey, to: u64, now: u64) -> Result<(), FederatedError> {
        let update = "UPDATE peer SET read_at = $2, read_to = $3 WHERE node = $1";
        let values = [node.0[..].into(), now.into(), to.into()];
        self.ledger.write(move |sql| Ok(sql.execute(update, &values)?)).await?;
        Ok(())
    }

    /// Events of this node that lie before a local number of its feed.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn told_until(&self, own: NodeKey, to: u64) -> Result<u64, FederatedError> {
        let query = "SELECT header FROM segment WHERE origin = $1 AND n <= $2 ORDER BY n DESC LIMIT 1";
        let values = [own.0[..].into(), to.into()];
        let found = self.ledger.read(move |sql| Ok(sql::first(sql, query, &values, header)?)).await?;
        // Sequence numbers of a log begin at 1 and go on over its epochs.
        Ok(found.map_or(0, |newest| newest.next_sequence() - 1))
    }

    /// Events of each origin that a peer has, while it was never read to the end.
    pub fn note_there(&self, peer: NodeKey, there: Vec<(NodeKey, u64)>) {
        self.there.lock().unwrap_or_else(PoisonError::into_inner).insert(peer, there);
    }

    /// How far the first reading of a peer is: events that are kept of those that it has, and those. None for one that was
    /// read to the end, or did not say.
    #[must_use]
    pub fn backfill(&self, peer: &Peer) -> Option<(u64, u64)> {
        let mut all = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        if peer.caught_up_at.is_some() {
            all.remove(&peer.node);
        }
        let there = all.get(&peer.node)?;
        let add =
            |sum: (u64, u64), (kept, there): (u64, u64)| (sum.0.saturating_add(kept), sum.1.saturating_add(there));
        Some(self.look(|index| {
            there.iter().map(|(origin, there)| (index.kept(origin).min(*there), *there)).fold((0, 0), add)
        }))
    }

    /// The peer that we invited has accepted. Answers with whether it was still invited.
    ///
    /// # Errors
    /// [`FederatedError`] where it cannot be kept.
    pub async fn note_accepted(&self, node: NodeKey) -> Result<bool, FederatedError> {
        let update = "UPDATE peer SET state = 'accepted', trouble = NULL WHERE node = $1 AND state = 'invited'";
        let changed = self.ledger.write(move |sql| Ok(sql.execute(update, &[node.0[..].into()])?)).await?;
        self.refresh_origins().await?;
        Ok(changed != 0)
    }

    /// Ends a peering. What it told us is kept, with no weight of its own.
    ///
    /// # Errors
    /// [`FederatedError::Unknown`] where there is no such peer.
    pub async fn remove_peer(&self, node: NodeKey) -> Result<(), FederatedError> {
        let delete = "DELETE FROM peer WHERE node = $1";
        let gone = self.ledger.write(move |sql| Ok(sql.execute(delete, &[node.0[..].into()])?)).await?;
        if gone == 0 {
            return Err(FederatedError::Unknown(format!("peer {node}")));
        }
        self.refresh_origins().await
    }

    /// Takes a descriptor whose signature is good: the highest `seq` wins. Answers with whether it is the one that
    /// counts now.
    ///
    /// # Errors
    /// [`FederatedError::Refused`] for two descriptors with one `seq`: the node key signed both.
    pub async fn take_descriptor(
        &self,
        incoming: SignedDescriptor,
        introducer: Option<NodeKey>,
        now: u64,
    ) -> Result<bool, FederatedError> {
        let node = incoming.descriptor().node;
        let known = self.descriptor(node).await?;
        // A new address or log key moves nobody, and in a federation of thousands one is new each minute.
        let may_move = known.as_ref().is_none_or(|known| known.descriptor().peers != incoming.descriptor().peers);
        match known.map_or(Newer::Take, |known| known.compare(&incoming)) {
            Newer::Same => return Ok(true),
            Newer::Old => return Ok(false),
            Newer::Equivocation => {
                self.freeze_node(node, &incoming).await?;
                return Err(FederatedError::Refused(format!("node {node} signed two descriptors with one seq")));
            }
            Newer::Take => {}
        }
        self.link(incoming.descriptor());
        self.ledger
            .write(move |sql| {
                sql.execute(
                    "INSERT INTO node (node, seq, descriptor, known_since, introducer) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (node) DO UPDATE SET seq = excluded.seq, descriptor = excluded.descriptor",
                    &[
                        node.0[..].into(),
                        incoming.descriptor().seq.into(),
                        incoming.text().into(),
                        now.into(),
                        introducer.map_or(Value::Null, |node| node.0[..].into()),
                    ],
                )?;
                Ok::<_, LedgerError>(())
            })
            .await?;
        if may_move {
            self.refresh_origins().await?;
        }
        Ok(true)
    }

    /// The texts of all descriptors that are known here.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn descriptors(&self) -> Result<Vec<String>, FederatedError> {
        let query = "SELECT descriptor FROM node ORDER BY known_since, node";
        Ok(self.ledger.read(move |sql| Ok(sql::all(sql, query, &[], |row| row.text(0).map(str::to_owned))?)).await?)
    }

    /// A page of descriptors after a node, by key, without those of nodes that only asked or were asked.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn descriptors_after(
        &self,
        after: Option<NodeKey>,
        limit: usize,
    ) -> Result<Vec<(NodeKey, String)>, FederatedError> {
        let query = "SELECT node, descriptor FROM node n WHERE node > $1 AND NOT EXISTS \
            (SELECT 1 FROM peer p WHERE p.node = n.node AND p.state <> 'accepted') ORDER BY node LIMIT $2";
        let after = after.map_or(Vec::new(), |node| node.0.to_vec());
        let values = [after[..].into(), (limit as u64).into()];
        let line = |row: &Row| Ok((node_key(row, 0)?, row.text(1)?.to_owned()));
        Ok(self.ledger.read(move |sql| Ok(sql::all(sql, query, &values, line)?)).await?)
    }

    /// The name that a node gives itself; of one whose descriptor is not known, its fingerprint.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn name(&self, node: NodeKey) -> Result<String, FederatedError> {
        let known = self.descriptor(node).await?;
        Ok(known.map_or_else(|| node.fingerprint(), |known| known.descriptor().name.clone()))
    }

    /// How many nodes are known.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn nodes(&self) -> Result<u64, FederatedError> {
        let query = "SELECT COUNT(*) FROM node";
        let found = self.ledger.read(move |sql| Ok(sql::first(sql, query, &[], |row| row.uint(0))?)).await?;
        Ok(found.unwrap_or(0))
    }
}

fn put(sql: &mut dyn Sql, peer: &Peer) -> Result<(), SqlError> {
    let trouble = peer.trouble.clone().map(|text| Phrase { text, reason: peer.reason.clone() }.kept());
    let state = match peer.state {
        PeerState::Invited => "invited",
        PeerState::Asking => "asking",
        PeerState::Accepted => "accepted",
    };
    sql.execute(
        "INSERT INTO peer (node, url, name, state, read, weight, note, added_at, cursor, polled_at, trouble, request_id, \
         answered_at, caught_up_at, read_at, read_to) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, \
         $14, $15, $16) ON CONFLICT (node) DO UPDATE SET \
         url = excluded.url, name = excluded.name, state = excluded.state, read = excluded.read, \
         weight = excluded.weight, note = excluded.note, cursor = excluded.cursor, polled_at = excluded.polled_at, \
         trouble = excluded.trouble, request_id = excluded.request_id, answered_at = excluded.answered_at",
        &[
            peer.node.0[..].into(),
            peer.url.as_str().into(),
            peer.name.as_str().into(),
            state.into(),
            peer.read.into(),
            peer.weight.into(),
            peer.note.as_deref().into(),
            peer.added_at.into(),
            peer.cursor.as_deref().into(),
            peer.polled_at.into(),
            trouble.into(),
            peer.request_id.as_deref().into(),
            peer.answered_at.into(),
            peer.caught_up_at.into(),
            peer.read_at.into(),
            peer.read_to.into(),
        ],
    )?;
    Ok(())
}

pub(super) fn peer(row: &Row) -> Result<Peer, SqlError> {
    let owned = |column| row.text_or_null(column).map(|text| text.map(str::to_owned));
    let state = match row.text(3)? {
        "invited" => PeerState::Invited,
        "asking" => PeerState::Asking,
        "accepted" => PeerState::Accepted,
        other => return Err(SqlError::Stored(format!("state {other:?} of a peer"))),
    };
    let (trouble, reason) = Phrase::read_apart(row.text_or_null(10)?);
    Ok(Peer {
        node: node_key(row, 0)?,
        url: row.text(1)?.to_owned(),
        name: row.text(2)?.to_owned(),
        state,
        read: row.int(4)? != 0,
        weight: row.real(5)?,
        note: owned(6)?,
        added_at: row.uint(7)?,
        cursor: owned(8)?,
        polled_at: row.uint(9).ok(),
        trouble,
        reason,
        request_id: owned(11)?,
        answered_at: row.uint(12).ok(),
        caught_up_at: row.uint(13).ok(),
        read_at: row.uint(14).ok(),
        read_to: row.uint(15).ok(),
    })
}

pub(super) const PEERS: &str = "SELECT node, url, name, state, read, weight, note, added_at, cursor, polled_at, trouble, \
    request_id, answered_at, caught_up_at, read_at, read_to FROM peer ORDER BY name, node";
