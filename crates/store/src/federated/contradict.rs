//! "I delivered after that" (`FEDERATION.md` §4, CONTRADICT): said of addresses alone that somebody else calls dead, for a list of
//! living addresses is nobody's business.

use sm2tp_federation::record::{Class, Record, Source, Witness};
use sm2tp_federation::tags::TagKey;
use sm2tp_proto::Address;

use super::Publisher;
use crate::sql::{Sql, SqlError};
use crate::told::Told;

impl Publisher {
    /// Puts the contradiction on its way where another origin's word about the tag is that it is dead. Runs inside the
    /// transaction that keeps the delivery. `at` in unix seconds.
    pub(super) fn contradict(&self, sql: &mut dyn Sql, told: &Told, key: &TagKey, at: u64) -> Result<(), SqlError> {
        let address = told.recipient.as_deref().and_then(|text| Address::parse(text).ok());
        // Of bounce tokens nothing leaves this node (§3).
        let Some(tag) = address.and_then(|address| key.tag_to_publish(&address).ok()?) else { return Ok(()) };
        if !self.federated.look(|index| index.is_called_dead(&tag, at)) {
            return Ok(());
        }
        let record = Record::about(Class::CONTRADICT, Source::new(Witness::SmtpReply, Some(told.stream)), tag, at);
        sql.execute(
            "INSERT INTO publish (key_id, tag, class, at, due, record) SELECT $1, $2, $3, $4, $4, $5 WHERE NOT EXISTS \
             (SELECT 1 FROM publish WHERE tag = $2 AND class = $3)",
            &[
                key.key_id().0[..].into(),
                tag.0[..].into(),
                u32::from(Class::CONTRADICT.0).into(),
                at.into(),
                record.encode()[..].into(),
            ],
        )?;
        Ok(())
    }
}
