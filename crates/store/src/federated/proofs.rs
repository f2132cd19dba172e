//! Origins that signed two segments for one place, or two descriptors with one number (`FEDERATION.md` §8.10): the proof is kept and handed on, nothing of them is
//! taken, believed or served until a person accepts their next epoch.

use sm2tp_federation::chain::Proof;
use sm2tp_federation::descriptor::SignedDescriptor;
use sm2tp_federation::header::{HEADER_OCTETS, Header};
use sm2tp_federation::keys::NodeKey;

use super::{Federated, FederatedError, node_key};
use crate::sql::{self, Row, Sql};

impl Federated {
    /// Keeps a proof, and believes nothing of its origin from now on. Answers with whether it is the first.
    ///
    /// # Errors
    /// [`FederatedError`]: it is not kept.
    pub async fn freeze(&self, proof: &Proof) -> Result<bool, FederatedError> {
        let (origin, octets) = (proof.headers()[0].origin(), proof.encode());
        let put = "INSERT INTO judged (origin, proof) VALUES ($1, $2) ON CONFLICT (origin) DO UPDATE SET \
            proof = excluded.proof WHERE judged.proof IS NULL";
        let values = [origin.0[..].into(), octets[..].into()];
        let fresh = self.ledger.write(move |sql| Ok(sql.execute(put, &values)?)).await?;
        self.write_index().freeze(origin);
        Ok(fresh != 0)
    }

    /// A node signed two descriptors with one number (§2): nothing of it is believed, as with two segments for one place. Both
    /// texts are kept, for the person who looks; there is no way to hand them on but to serve the one that came first.
    pub(super) async fn freeze_node(&self, node: NodeKey, other: &SignedDescriptor) -> Result<(), FederatedError> {
        if node == self.read_index().own() {
            // Of its own words a node knows where they come from.
            return Ok(());
        }
        let known = self.descriptor(node).await?.map(|known| known.text().to_owned()).unwrap_or_default();
        let put = "INSERT INTO judged (origin, proof) VALUES ($1, $2) ON CONFLICT (origin) DO UPDATE SET \
            proof = excluded.proof WHERE judged.proof IS NULL";
        let values = [node.0[..].into(), [known.as_bytes(), b"\n", other.text().as_bytes()].concat()[..].into()];
        if self.ledger.write(move |sql| Ok(sql.execute(put, &values)?)).await? != 0 {
            tracing::error!(%node, "this node signed two descriptors with one number; nothing more is taken of it");
        }
        self.write_index().freeze(node);
        Ok(())
    }

    /// A person accepts that an origin goes on in an epoch after the one in which it contradicted itself.
    ///
    /// # Errors
    /// [`FederatedError`]: nothing has changed.
    pub async fn thaw(&self, origin: NodeKey) -> Result<(), FederatedError> {
        let Some((_, proof)) = self.kept_proofs().await?.into_iter().find(|(frozen, _)| *frozen == origin) else {
            return Ok(());
        };
        // Two descriptors say nothing of epochs.
        let header = proof.get(..HEADER_OCTETS).and_then(|octets| Header::parse(octets).ok());
        let next = header.map_or(0, |header| header.position().epoch.saturating_add(1));
        let update = "UPDATE judged SET proof = NULL, epoch_min = $2 WHERE origin = $1";
        let values = [origin.0[..].into(), next.into()];
        self.ledger.write(move |sql| Ok(sql.execute(update, &values)?)).await?;
        self.write_index().thaw(&origin);
        Ok(())
    }

    /// The epoch below which nothing of an origin is taken: 0 for one in good standing, the highest while it is frozen.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn epoch_min(&self, origin: NodeKey) -> Result<u32, FederatedError> {
        if self.look(|index| index.contradicts_itself(&origin)) {
            return Ok(u32::MAX);
        }
        let query = "SELECT COALESCE(epoch_min, 0) FROM judged WHERE origin = $1";
        let values = [origin.0[..].into()];
        let found = self.ledger.read(move |sql| Ok(sql::first(sql, query, &values, |row| row.uint(0))?)).await?;
        Ok(found.and_then(|epoch| u32::try_from(epoch).ok()).unwrap_or(0))
    }

    /// Proofs to hand on, each of 480 octets, with their origins.
    ///
    /// # Errors
    /// [`FederatedError`] where the ledger cannot be read.
    pub async fn proofs(&self) -> Result<Vec<(NodeKey, Vec<u8>)>, FederatedError> {
        let mut proofs = self.kept_proofs().await?;
        proofs.retain(|(_, proof)| proof.len() == 2 * HEADER_OCTETS);
        Ok(proofs)
    }

    async fn kept_proofs(&self) -> Result<Vec<(NodeKey, Vec<u8>)>, FederatedError> {
        let query = "SELECT origin, proof FROM judged WHERE proof IS NOT NULL ORDER BY origin";
        let read = |row: &Row| Ok((node_key(row, 0)?, row.blob(1)?.to_vec()));
        Ok(self.ledger.read(move |sql: &mut dyn Sql| Ok(sql::all(sql, query, &[], read)?)).await?)
    }

    pub(super) async fn load_proofs(&self) -> Result<(), FederatedError> {
        let frozen = self.kept_proofs().await?.into_iter().map(|(origin, _)| origin).collect();
        self.write_index().set_contradicting(frozen);
        Ok(())
    }
}
