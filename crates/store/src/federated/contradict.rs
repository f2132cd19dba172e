//! "I delivered after that" (`FEDERATION.md` §4, CONTRADICT): said of addresses alone that somebody else calls dead, for a list of
//! living addresses is nobody's business.

use sm2tp_federation::record::{Class, Record, Source};
use sm2tp_federation::tags::TagKey;
use sm2tp_proto::Address;

use super::{Publisher, publish};
use crate::sql::{self, Sql, SqlError};

impl Publisher {
    /// Puts the contradiction on its way where another origin's word about the tag is that it is dead. Runs inside the
    /// transaction that keeps the delivery. `at` in unix seconds.
    pub(super) fn contradict(
        &self,
        sql: &mut dyn Sql,
        address: &Address,
        key: &TagKey,
        source: Source,
        at: u64,
    ) -> Result<(), SqlError> {
        // Of bounce tokens nothing leaves this node (§3).
        let Ok(Some(tag)) = key.tag_to_publish(address) else { return Ok(()) };
        if !self.federated.look(|index| index.is_called_dead(&tag, at)) {
            return Ok(());
        }
        let waits = "SELECT 1 FROM publish WHERE tag = $1 AND class = $2";
        let values = [tag.0[..].into(), u32::from(Class::CONTRADICT.0).into()];
        if sql::first(sql, waits, &values, |_| Ok(()))?.is_some() {
            return Ok(());
        }
        publish::put(sql, (key.key_id(), tag), &Record::about(Class::CONTRADICT, source, tag, at), (at, at))
    }
}
