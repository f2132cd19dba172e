//! One contact with one peer: its descriptor, its tag keys, its feed from where we stand.

use std::collections::HashMap;

use sm2tp_federation::chain::Why;
use sm2tp_federation::descriptor::{self, DESCRIPTOR_OCTETS_MAX, DescriptorError, SignedDescriptor};
use sm2tp_federation::feed::{self, BULK_OCTETS_MAX, Cursor, FEED_OCTETS_MAX, FeedError, FeedLine, Heads};
use sm2tp_federation::header::{Header, Position};
use sm2tp_federation::keys::NodeKey;
use sm2tp_federation::segment::SegmentError;
use sm2tp_store::Phrase;
use sm2tp_store::federated::{Contact, FederatedError, Peer, PeerState};
use thiserror::Error;
use tokio::time::{Duration, Instant};

use super::fetch::{Answer, Api, Client, FetchError};
use super::invitation;
use super::memory::Memory;
use super::quotas::Quotas;
use crate::{House, reason};

/// Why something of a peer was not taken.
#[derive(Debug, Error)]
pub(crate) enum FollowError {
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Store(#[from] FederatedError),
    #[error("its feed: {0}")]
    Feed(#[from] FeedError),
    #[error("its descriptor: {0}")]
    Descriptor(#[from] DescriptorError),
    #[error("another node answers there: {found}")]
    OtherNode { found: NodeKey },
    #[error("it serves segments of node {0} and no descriptor of it")]
    NoDescriptor(NodeKey),
    #[error("segment {at} of node {origin} is damaged or forged: {source}")]
    Segment {
        origin: NodeKey,
        at: Position,
        #[source]
        source: SegmentError,
    },
    #[error("segment {at} of node {origin} is not taken: {why}")]
    Refused { origin: NodeKey, at: Position, why: Why },
    #[error("in the place of segment {at} of node {origin} it serves another one")]
    OtherSegment { origin: NodeKey, at: Position },
    #[error("it does not serve what lies before segment {at} of node {origin}")]
    Gap { origin: NodeKey, at: Position },
    #[error("its tag keys: {0}")]
    TagKeys(String),
}

/// One contact under way.
pub(super) struct Poll<'a> {
    pub house: &'a House,
    pub client: &'a Client,
    pub peer: &'a Peer,
    pub api: Api,
    pub memory: &'a mut Memory,
    pub quotas: Quotas,
    /// Asked for when the first gap is met.
    pub heads: Option<Heads>,
    pub descriptors: HashMap<NodeKey, SignedDescriptor>,
    /// Origins of which something could not be taken this time, and why.
    held: HashMap<NodeKey, FollowError>,
    /// Entries of the page by origin: of those with many, segments are fetched in bulk.
    pub ahead: HashMap<NodeKey, Vec<Header>>,
    cursor: Option<Cursor>,
    said: u32,
    pub ends_at: Instant,
}

/// Talks to a peer once and notes how it went. The second answer is false where the peer should be asked less often.
pub(super) async fn contact(house: &House, client: &Client, peer: Peer, mut memory: Memory) -> (Memory, bool) {
    let mut cursor = peer.cursor.clone();
    (memory.answered, memory.caught_up) = (false, false);
    let result = match peer.state {
        PeerState::Invited => {
            let asked = invitation::ask_after(house, client, &peer).await;
            memory.answered = asked.is_ok();
            asked
        }
        PeerState::Accepted | PeerState::Asking => pull(house, client, &peer, &mut memory, &mut cursor).await,
    };
    let trouble = match &result {
        Ok(()) => memory.trouble(),
        Err(error) if error.is_of_a_log() => memory.trouble().or_else(|| Some(reason::phrase(error))),
        Err(error) => Some(reason::phrase(error)),
    };
    let trouble = trouble.map(|Phrase { text, reason }| Phrase { text: shorten(text), reason });
    if trouble.as_ref().map(|trouble| &trouble.text) != peer.trouble.as_ref() {
        let (name, node) = (&peer.name, peer.node);
        match &trouble {
            Some(trouble) => tracing::warn!(%name, %node, %trouble, "trouble with a peer"),
            None => tracing::info!(%name, %node, "the trouble with this peer is over"),
        }
    }
    let store = &house.federation.store;
    let known = store.descriptor(peer.node).await.ok().flatten();
    let name = known.map_or_else(|| peer.name.clone(), |known| known.descriptor().name.clone());
    let noted = Contact {
        name,
        cursor,
        polled_at: crate::now(),
        answered: memory.answered,
        caught_up: memory.caught_up,
        trouble,
    };
    if let Err(error) = store.note_contact(peer.node, noted).await {
        tracing::error!(%error, "a contact with a peer cannot be noted");
    }
    let fine = match &result {
        Err(FollowError::Fetch(error)) => !error.is_absence(),
        Err(FollowError::Store(_)) => false,
        _ => true,
    };
    (memory, fine)
}

async fn pull(
    house: &House,
    client: &Client,
    peer: &Peer,
    memory: &mut Memory,
    cursor: &mut Option<String>,
) -> Result<(), FollowError> {
    let api = Api::parse(&peer.url)?;
    let ends_at = Instant::now() + CONTACT_MAX;
    let mut poll = Poll {
        house,
        client,
        peer,
        api,
        memory,
        quotas: Quotas::new(house.federation.quotas.clone()),
        heads: None,
        descriptors: HashMap::new(),
        held: HashMap::new(),
        ahead: HashMap::new(),
        cursor: cursor.as_deref().and_then(|text| text.parse().ok()),
        said: 0,
        ends_at,
    };
    // With each contact: a key that was stolen is revoked there, and what a new one signs cannot be read without it.
    poll.descriptor().await?;
    poll.memory.answered = true;
    poll.tag_keys().await?;
    poll.proofs().await?;
    if let Err(error) = poll.measure().await {
        poll.say(&format!("it does not say how much it has: {error}"));
    }
    let mut read = poll.feed().await;
    if read.is_ok() {
        read = poll.compare_heads().await;
    }
    if let Err(error) = poll.released().await {
        poll.say(&format!("what was let in cannot be fetched: {error}"));
    }
    *cursor = poll.cursor.map(|cursor| cursor.to_string());
    let held = std::mem::take(&mut poll.held);
    let names: Vec<NodeKey> = held.keys().copied().collect();
    poll.memory.note(&names, peer, crate::now());
    poll.went_on().await?;
    read?;
    // Always the same one of several, so that it is said once.
    held.into_iter().min_by_key(|(origin, _)| *origin).map_or(Ok(()), |(_, error)| Err(error))
}

impl Poll<'_> {
    /// Its descriptor, in case it has a new name or log key.
    async fn descriptor(&mut self) -> Result<(), FollowError> {
        let known = self.memory.descriptor_tag.as_deref();
        let answer = self.client.open_other(&self.api, "/node", known, DESCRIPTOR_OCTETS_MAX).await?;
        if answer.same && known.is_some() {
            return Ok(());
        }
        let fresh = descriptor::parse(answer.text(&self.api)?)?;
        let found = fresh.descriptor().node;
        if found != self.peer.node {
            return Err(FollowError::OtherNode { found });
        }
        self.house.federation.store.take_descriptor(fresh, None, crate::now()).await?;
        self.memory.descriptor_tag = answer.tag;
        Ok(())
    }

    async fn tag_keys(&mut self) -> Result<(), FollowError> {
        if crate::now() < self.memory.keys_at.saturating_add(KEYS_EVERY_S) {
            return Ok(());
        }
        match invitation::refresh_tag_keys(self.house, self.client, &self.api).await {
            Err(FollowError::Fetch(error)) if error.is_absence() => return Err(error.into()),
            // Its events can be read without them.
            Err(error) => self.say(&error.to_string()),
            Ok(()) => {}
        }
        self.memory.keys_at = crate::now();
        Ok(())
    }

    /// Hands on what proves that an origin contradicts itself; once to each peer, and again after a restart.
    async fn proofs(&mut self) -> Result<(), FollowError> {
        if self.house.federation.store.look(|index| index.contradicting().is_subset(&self.memory.proofs_told)) {
            return Ok(());
        }
        for (origin, proof) in self.house.federation.store.proofs().await? {
            if self.memory.proofs_told.contains(&origin) || origin == self.peer.node {
                self.memory.proofs_told.insert(origin);
                continue;
            }
            match self.client.post(&self.api, "/proofs", proof).await {
                Err(error) if error.is_absence() => return Err(error.into()),
                // It may not know that origin; then it has nothing to stop.
                Ok(_) | Err(_) => _ = self.memory.proofs_told.insert(origin),
            }
        }
        // Of those that signed two descriptors with one number there is nothing to hand on.
        self.house.federation.store.look(|index| self.memory.proofs_told.extend(index.contradicting()));
        Ok(())
    }

    /// Reads pages until there is no more, or the time of this contact is over.
    async fn feed(&mut self) -> Result<(), FollowError> {
        let mut reading = self.cursor;
        let mut has = self.has().await?;
        for _ in 0..PAGES_MAX {
            let after = reading.map_or_else(String::new, |cursor| format!("after={cursor}&"));
            let path = format!("/feed?{after}limit={PAGE}");
            let answer = self.get_wishing(&path, &std::mem::take(&mut has), FEED_OCTETS_MAX).await?;
            if answer.gone {
                // Its numbers mean other headers now. What we have is known by its place and costs nothing again.
                tracing::info!(peer = %self.peer.node, "the feed of a peer is a new one; it is read from its beginning");
                self.descriptor().await?;
                (reading, self.cursor) = (None, None);
                continue;
            }
            let next: Option<Cursor> = answer.cursor.as_deref().and_then(|text| text.parse().ok());
            let next = next.ok_or_else(|| self.api.meaning("SM2TP-Cursor is missing or no cursor"))?;
            let after = reading.filter(|cursor| cursor.feed == next.feed).map_or(0, |cursor| cursor.after);
            let lines = feed::decode(&answer.body, after)?;
            let last = lines.last().map(|line| line.number);
            if !self.page(&lines, next).await? {
                return Ok(());
            }
            if self.held.is_empty() {
                self.cursor = Some(Cursor { after: next.after.max(last.unwrap_or(0)), ..next });
            }
            // Who was once at the end and is told a little is there again; what a peer with short pages keeps back comes the next time.
            let is_end = lines.len() < LITTLE && self.peer.caught_up_at.is_some();
            let Some(last) = last.filter(|_| !is_end) else {
                self.memory.caught_up = self.held.is_empty();
                return Ok(());
            };
            reading = Some(Cursor { after: next.after.max(last), ..next });
            self.note_progress().await?;
        }
        Ok(())
    }

    /// Asks with a parameter that a node may pass over, and without it where one does not pass over it but refuses the question.
    pub(super) async fn get_wishing(
        &mut self,
        path: &str,
        wish: &str,
        octets_max: usize,
    ) -> Result<Answer, FetchError> {
        if wish.is_empty() || self.memory.is_strict {
            return self.client.get(&self.api, path, octets_max).await;
        }
        let asked = self.client.get(&self.api, &format!("{path}{wish}"), octets_max).await;
        // A pruned segment (404) is not there without it either.
        match asked {
            Err(FetchError::Status { status, .. }) if status != 404 && (400..500).contains(&status) => {}
            asked => return asked,
        }
        let answer = self.client.get(&self.api, path, octets_max).await?;
        tracing::info!(peer = %self.peer.node, "the peer refuses questions with parameters that it does not know; it is asked without them");
        self.memory.is_strict = true;
        Ok(answer)
    }

    /// What this node got from others since it last asked this peer, and the peer was not told: it need not tell us.
    async fn has(&mut self) -> Result<String, FollowError> {
        let federation = &self.house.federation;
        let newest = federation.store.newest().await?;
        let Some(before) = self.memory.newest_told.replace(newest) else { return Ok(String::new()) };
        let after = before.max(self.peer.read_to.unwrap_or(0));
        if newest <= after {
            return Ok(String::new());
        }
        let marks = federation.store.marks_for(self.peer.node, federation.publisher.own, after).await?;
        Ok(if marks.is_empty() { String::new() } else { format!("&has={}", feed::write_marks(&marks)) })
    }

    /// Takes a page; false where this contact must end before the page did.
    async fn page(&mut self, lines: &[FeedLine], feed: Cursor) -> Result<bool, FollowError> {
        let headers: Vec<Header> = lines.iter().flat_map(|line| &line.header).copied().collect();
        self.ahead.clear();
        headers.iter().for_each(|header| self.ahead.entry(header.origin()).or_default().push(*header));
        if let Err(error) = self.learn(&headers).await {
            self.say(&format!("its nodes cannot be learned: {error}"));
        }
        for line in lines {
            if self.ends_at < Instant::now() || !self.line(line).await? {
                return Ok(false);
            }
            if self.held.is_empty() {
                self.cursor = Some(Cursor { after: line.number, ..feed });
            }
        }
        Ok(true)
    }

    /// Takes one entry; false where the peer went away over it.
    async fn line(&mut self, line: &FeedLine) -> Result<bool, FollowError> {
        let header = match &line.header {
            Ok(header) => *header,
            Err(error) => {
                self.say(&format!("entry {} of its feed: {error}", line.number));
                return Ok(true);
            }
        };
        let origin = header.origin();
        if self.held.contains_key(&origin) {
            return Ok(true);
        }
        let at = header.position();
        match self.take(header).await {
            Ok(()) => Ok(true),
            // No fault of this origin: the next contact begins here.
            Err(error @ FollowError::Fetch(FetchError::Busy { .. })) => Err(error),
            Err(error) => {
                let here = !matches!(&error, FollowError::Fetch(error) if error.is_absence());
                self.sticks(origin, at, &error);
                self.held.insert(origin, error);
                Ok(here)
            }
        }
    }

    /// Remembers that a log cannot go on, where what was given is at fault. What is missing, an honest peer may have parked.
    pub(super) fn sticks(&mut self, origin: NodeKey, at: Position, error: &FollowError) {
        let at_fault = match error {
            FollowError::Segment { .. } | FollowError::OtherSegment { .. } => true,
            // Old epochs, and origins that were stopped, are refused rightly.
            FollowError::Refused { why, .. } => !matches!(why, Why::Frozen { .. } | Why::Behind { .. }),
            _ => false,
        };
        if at_fault {
            self.memory.stick(origin, at, reason::phrase(error));
        }
    }

    /// Forgets logs that went on, with this peer or another one, and origins that were stopped.
    async fn went_on(&mut self) -> Result<(), FollowError> {
        let store = &self.house.federation.store;
        for (origin, at) in self.memory.stuck() {
            let is_past = store.head(origin).await?.is_some_and(|head| at <= head.position);
            if is_past || store.look(|index| index.contradicts_itself(&origin)) {
                self.memory.goes_on(origin);
            }
        }
        Ok(())
    }

    /// A long way is not gone twice after a crash.
    async fn note_progress(&self) -> Result<(), FollowError> {
        let contact = Contact {
            name: self.peer.name.clone(),
            cursor: self.cursor.map(|cursor| cursor.to_string()),
            polled_at: crate::now(),
            answered: self.memory.answered,
            caught_up: false,
            trouble: self.peer.trouble.clone().map(|text| Phrase { text, reason: self.peer.reason.clone() }),
        };
        Ok(self.house.federation.store.note_contact(self.peer.node, contact).await?)
    }

    /// Where the peer's copies begin; asked once.
    pub(super) async fn heads(&mut self) -> Result<&Heads, FollowError> {
        let known = self.heads.take();
        let heads = match known {
            Some(heads) => heads,
            None => {
                let answer = self.client.get(&self.api, "/heads", BULK_OCTETS_MAX).await?;
                Heads::parse(answer.text(&self.api)?)?
            }
        };
        Ok(self.heads.insert(heads))
    }

    /// Something odd about one entry. A peer that serves nothing else must not fill our log.
    pub(super) fn say(&mut self, what: &str) {
        self.said += 1;
        if self.said <= SAID_MAX {
            tracing::warn!(peer = %self.peer.node, name = %self.peer.name, "{what}");
        }
    }
}

impl FollowError {
    /// What could not be taken of one log; all else of the peer was read.
    fn is_of_a_log(&self) -> bool {
        matches!(self, Self::Segment { .. } | Self::OtherSegment { .. } | Self::Gap { .. } | Self::Refused { .. })
    }
}

impl FetchError {
    /// The peer is not there, or not for us: asking the next question now is of no use.
    pub(super) fn is_absence(&self) -> bool {
        !matches!(self, Self::Status { .. } | Self::TooLong { .. } | Self::Meaning { .. } | Self::Redirect { .. })
    }
}

/// What is stored of a trouble and shown in a table.
fn shorten(text: String) -> String {
    if text.len() <= TROUBLE_MAX { text } else { text.chars().take(TROUBLE_MAX).collect() }
}

/// Headers asked for at once.
const PAGE: usize = 1000;
/// Entries of an answer behind which nothing more is looked for at once. Few enough that whoever catches up is not slowed.
const LITTLE: usize = 100;
/// Pages of one contact; the next one goes on from there. A node that joins reads 20 000 segments at once.
const PAGES_MAX: usize = 20;
/// The time of one contact: a peer that answers one octet at a time must not keep its place for ever.
const CONTACT_MAX: Duration = Duration::from_secs(300);
/// Lines in our log about single entries of one contact.
const SAID_MAX: u32 = 10;
/// A new tag key is known within the day; it is announced weeks before it is used.
const KEYS_EVERY_S: u64 = 86_400;
const TROUBLE_MAX: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::Lang;
    use crate::outgoing::{Met, NoAnswer, Silence};

    #[test]
    fn each_trouble_with_a_peer_can_be_said_in_french() {
        let (host, path, node) = ("a.example".to_owned(), "/feed".to_owned(), NodeKey([7; 32]));
        let at = Position { epoch: 1, segno: 7 };
        let fetching = [
            FetchError::Unreachable {
                host: host.clone(),
                why: NoAnswer { kind: Silence::Late, met: Met::Yes, said: "operation timed out".into() },
            },
            FetchError::Private { host: host.clone() },
            FetchError::Redirect { host: host.clone(), status: 302 },
            FetchError::Stranger { host: host.clone() },
            FetchError::Busy { host: host.clone() },
            FetchError::Status { host: host.clone(), path: path.clone(), status: 500, says: None },
            FetchError::TooLong { host: host.clone(), path, octets_max: 10 },
            FetchError::Meaning { host, why: "no state".into() },
            FetchError::Client("why".into()),
            FetchError::Sign(sm2tp_federation::request::RequestError::Signature),
        ];
        let following = [
            FollowError::Feed(FeedError::Length { octets: 3 }),
            FollowError::Descriptor(DescriptorError::Base64),
            FollowError::OtherNode { found: node },
            FollowError::NoDescriptor(node),
            FollowError::Segment { origin: node, at, source: SegmentError::Root },
            FollowError::OtherSegment { origin: node, at },
            FollowError::Gap { origin: node, at },
            FollowError::TagKeys("why".into()),
        ];
        for error in fetching.into_iter().map(FollowError::from).chain(following) {
            let Phrase { text, reason } = reason::phrase(&error);
            let french = reason::kept(&text, reason.as_ref(), Lang::Fr);
            assert!(french[0].lang.is_empty() && reason::in_one(french.clone()) != text, "{french:?}");
        }
    }
}
