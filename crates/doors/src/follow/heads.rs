//! What a peer holds of each log, beside what is kept here (`FEDERATION.md` §6, `GET /heads`): while much is missing, how much;
//! and once a day whether a log is longer there or another one. A feed tells what is new alone; what was lost here behind its
//! cursor, or passed over because it could not be taken, is found so.

use sm2tp_federation::feed::{HeadLine, heads_days};
use sm2tp_federation::header::{HEADER_OCTETS, Header, HeaderError};
use sm2tp_store::federated::Index;
use tokio::time::Instant;

use super::fetch::SEGMENT_MAX;
use super::poll::{FollowError, Poll};

impl Poll<'_> {
    /// Notes how much there is to take, for the person who waits for it.
    pub(super) async fn measure(&mut self) -> Result<(), FollowError> {
        if self.peer.caught_up_at.is_some() {
            return Ok(());
        }
        let own = self.house.federation.publisher.own;
        let heads = self.heads().await?.heads.iter().filter(|line| line.origin != own);
        let there = heads.map(|line| (line.origin, line.last_sequence)).collect();
        self.house.federation.store.note_there(self.peer.node, there);
        Ok(())
    }

    /// Compares all heads once a day ([`heads_days`]), and when an origin that contradicted itself is let go on, when the feed was read to
    /// its end. What is longer there is taken, what differs is proved.
    pub(super) async fn compare_heads(&mut self) -> Result<(), FollowError> {
        let now = crate::now();
        let thaws = self.house.federation.store.look(Index::thaws);
        let is_due = self.memory.heads_at.saturating_add(self.memory.heads_days * DAY_S) <= now;
        if !self.memory.caught_up || !(is_due || self.memory.thaws != thaws) {
            return Ok(());
        }
        self.heads = None;
        let lines = self.heads().await?.heads.clone();
        let mut taken = 0;
        for line in &lines {
            if self.is_known(line).await? {
                continue;
            }
            if TAKEN_MAX <= taken || self.ends_at < Instant::now() {
                // The others are compared at the next contact.
                return Ok(());
            }
            taken += 1;
            match self.take_head(line).await {
                Err(FollowError::Fetch(error)) if error.is_absence() => return Err(error.into()),
                Err(error) => {
                    self.say(&format!("the log of node {} cannot be completed: {error}", line.origin));
                    self.sticks(line.origin, line.position(), &error);
                }
                Ok(()) => {}
            }
        }
        (self.memory.heads_at, self.memory.heads_days, self.memory.thaws) = (now, heads_days(lines.len()), thaws);
        Ok(())
    }

    /// Whether nothing is to be learned of this log: it is ours, stopped, passed over, or as long here.
    async fn is_known(&self, line: &HeadLine) -> Result<bool, FollowError> {
        let federation = &self.house.federation;
        let stopped = federation
            .store
            .look(|index| index.contradicts_itself(&line.origin) || index.parked().contains_key(&line.origin));
        if line.origin == federation.publisher.own || stopped || self.memory.passes_over(line.origin, crate::now()) {
            return Ok(true);
        }
        let head = federation.store.head(line.origin).await?;
        Ok(head.is_some_and(|head| match head.position.cmp(&line.position()) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Equal => head.hash == line.hash,
            std::cmp::Ordering::Greater => true,
        }))
    }

    /// As if its newest header had come in the feed.
    async fn take_head(&mut self, line: &HeadLine) -> Result<(), FollowError> {
        let (origin, at) = (line.origin, line.position());
        let path = format!("/log/{origin}/{}/{}", at.epoch, at.segno);
        let octets = self.client.get(&self.api, &path, SEGMENT_MAX).await?.body;
        let cut = || HeaderError::Length { octets: octets.len() };
        let header = octets.get(..HEADER_OCTETS).ok_or_else(cut).and_then(Header::parse);
        let header = header.map_err(|error| FollowError::Segment { origin, at, source: error.into() })?;
        if (header.origin(), header.position()) != (origin, at) {
            return Err(FollowError::OtherSegment { origin, at });
        }
        self.learn(&[header]).await?;
        self.take(header).await
    }
}

const DAY_S: u64 = 86_400;
/// Logs that one contact completes.
const TAKEN_MAX: usize = 100;
