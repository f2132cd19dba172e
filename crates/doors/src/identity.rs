//! What this node says of itself: its descriptor, signed anew when something in it changes (`FEDERATION.md` §2). Where the
//! node key is elsewhere, what is to be signed waits, and comes back as a text that a person brings.
//!
//! Keys change by what the signed descriptor says, never before: others must know a key before it signs.

use sm2tp_federation::descriptor::{
    self, Descriptor, DescriptorError, LogKeyTerm, Newer, Revocation, SEQ_MAX, SignedDescriptor,
};
use sm2tp_federation::header::Position;
use sm2tp_federation::keys::{LogKey, NodeKey};
use sm2tp_store::federated::{Ended, Federated, FederatedError, PeerState};
use sm2tp_store::keys::{Keys, KeysError, OldLog};
use thiserror::Error;

use crate::{Federation, House};

/// What the configuration says of a node.
#[derive(Debug, Clone)]
pub struct Facts {
    pub name: String,
    pub api: String,
    pub contact: String,
}

/// Why a node cannot say something else of itself.
#[derive(Debug, Error)]
pub enum IdentityError {
    #[error(transparent)]
    Store(#[from] FederatedError),
    #[error(transparent)]
    Keys(#[from] KeysError),
    #[error(transparent)]
    Descriptor(#[from] DescriptorError),
    #[error("this node is retired: it says nothing more")]
    Retired,
    #[error("nothing was ever signed for this node, and its node key is not here")]
    NeverSigned,
    #[error("a descriptor that waits to be signed cannot be read: {0}")]
    Waiting(String),
    #[error("it has the number {seq}, and one with {known} is known already")]
    Older { seq: u64, known: u64 },
    #[error("node {0} is not known here")]
    Unknown(NodeKey),
    #[error("{0} is after the last segment of this node, {1}")]
    After(Position, Position),
}

/// The descriptor at a start: as it was signed last, or signed anew where the configuration or the peers have changed.
///
/// # Errors
/// [`IdentityError`] where there is none and none can be signed.
pub async fn open(keys: &Keys, store: &Federated, facts: Facts, now: u64) -> Result<SignedDescriptor, IdentityError> {
    let (node, log_key, peers) = (keys.node_key(), keys.log_key(), named(store).await?);
    let Facts { name, api, contact } = facts;
    let Some(known) = store.descriptor(node).await? else {
        let first = Descriptor {
            node,
            seq: now,
            name,
            api,
            contact,
            log_keys: vec![term(log_key, now.saturating_sub(CLOCK_SKEW_S))],
            revoked: Vec::new(),
            peers,
            smtp: None,
            versions: vec![1],
            tag_schemes: vec![1],
            retention_days: RETENTION_DAYS,
            retired: false,
        };
        return publish(store, first, keys.node.as_ref().ok_or(IdentityError::NeverSigned)?, now).await;
    };
    if known.descriptor().retired {
        return Ok(known);
    }
    let edit = |next: &mut Descriptor| {
        (next.name, next.api, next.contact, next.peers) = (name, api, contact, peers);
        if next.log_keys.iter().all(|term| term.key != log_key) {
            next.log_keys.push(term(log_key, now.saturating_sub(CLOCK_SKEW_S)));
        }
    };
    Ok(settle(store, keys.node.as_ref(), &known, edit, now).await?.unwrap_or(known))
}

/// A new log key, which signs from `wait_s` from now on, so that peers know it by then; the old one stays good for a while.
/// Answers with it.
///
/// # Errors
/// [`IdentityError`]: the old one signs on.
pub async fn rotate_log(house: &House, wait_s: u64) -> Result<LogKey, IdentityError> {
    let now = crate::now();
    let (old, next) = prepare(&house.federation, Prepared::Refuse).await?;
    let begins = now.saturating_add(wait_s);
    change(&house.federation, |said| {
        ends(said, old, begins.saturating_add(OVERLAP_S));
        said.log_keys.push(term(next, begins));
        // Nobody keeps a segment that it signed.
        said.log_keys.retain(|term| now < term.not_after.saturating_add(KEPT_S));
    })
    .await?;
    turn(house)?;
    Ok(next)
}

/// The log key was lost or stolen: it signed rightly up to `after` (none: up to now) and signs nothing from now on. Answers
/// with the new one. Own segments behind `after` are lost, and the log goes on in a new epoch.
///
/// # Errors
/// [`IdentityError`]: nothing has changed.
pub async fn revoke_log(house: &House, after: Option<Position>) -> Result<LogKey, IdentityError> {
    let (now, federation) = (crate::now(), &house.federation);
    let head = federation.store.head(federation.publisher.own).await?.map(|head| head.position);
    if let Some((after, head)) = after.zip(head).filter(|(after, head)| head < after) {
        return Err(IdentityError::After(after, head));
    }
    let (old, next) = prepare(federation, Prepared::Take).await?;
    let good = after.or(head);
    change(federation, |said| {
        ends(said, old, now);
        match good {
            Some(good) => said.revoked.push(Revocation { key: old, after_epoch: good.epoch, after_segno: good.segno }),
            // It has signed nothing: nobody needs to know it.
            None => said.log_keys.retain(|term| term.key != old),
        }
        said.log_keys.retain(|term| term.key != next);
        said.log_keys.push(term(next, now.saturating_sub(CLOCK_SKEW_S)));
    })
    .await?;
    if let Some(head) = head.filter(|head| good.is_some_and(|good| good < *head)) {
        federation.store.raise_epoch(head.epoch.saturating_add(1)).await?;
    }
    turn(house)?;
    Ok(next)
}

/// What the node key is to sign: what waits, or a descriptor that closes the node for ever.
///
/// # Errors
/// [`IdentityError`] where it cannot be read.
pub async fn to_sign(house: &House, last: Closing) -> Result<Option<Descriptor>, IdentityError> {
    let own = house.federation.own();
    match last {
        Closing::No => wanted(&house.federation.store).await,
        // A list of keys and peers would make what is put away for years grow; nothing of it is asked of a closed node.
        Closing::Yes => Ok(Some(Descriptor {
            seq: SEQ_MAX,
            retired: true,
            peers: Vec::new(),
            smtp: None,
            ..own.descriptor().clone()
        })),
    }
}

/// Whether a text to sign is the last one of its node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    No,
    Yes,
}

/// Takes a descriptor that was signed elsewhere: of this node, or a newer one of a node that is known, as when its
/// administrator closes it. Answers with whose it is.
///
/// # Errors
/// [`IdentityError`]: nothing has changed.
pub async fn import(house: &House, text: &str) -> Result<NodeKey, IdentityError> {
    let signed = descriptor::parse(text.trim())?;
    let (federation, node) = (&house.federation, signed.descriptor().node);
    let _one_at_a_time = federation.changing.lock().await;
    let known = federation.store.descriptor(node).await?.ok_or(IdentityError::Unknown(node))?;
    if known.compare(&signed) != Newer::Take {
        return Err(IdentityError::Older { seq: signed.descriptor().seq, known: known.descriptor().seq });
    }
    federation.store.take_descriptor(signed.clone(), None, crate::now()).await?;
    if node == federation.publisher.own {
        if wanted(&federation.store).await?.is_some_and(|wanted| wanted.seq <= signed.descriptor().seq) {
            federation.store.put_setting(WANTED, "").await?;
        }
        federation.say(signed);
        turn(house)?;
    }
    Ok(node)
}

/// Signs what waits: the node key is here again.
///
/// # Errors
/// [`IdentityError`]: it waits on.
pub async fn sign_waiting(house: &House) -> Result<(), IdentityError> {
    change(&house.federation, |_| {}).await?;
    turn(house)
}

/// Whether something waits to be signed where the node key is.
///
/// # Errors
/// [`IdentityError`] where it cannot be read.
pub async fn waits(federation: &Federation) -> Result<bool, IdentityError> {
    Ok(wanted(&federation.store).await?.is_some())
}

/// Names the peers of now, and uses the keys whose time has come. Called again and again.
///
/// # Errors
/// [`IdentityError`]: all stays as it was.
pub(crate) async fn look_after(house: &House) -> Result<(), IdentityError> {
    let federation = &house.federation;
    let own = federation.own();
    if !own.descriptor().retired {
        let peers = named(&federation.store).await?;
        if own.descriptor().peers != peers {
            change(federation, |said| said.peers = peers).await?;
        }
    }
    turn(house)
}

/// The tag key under which events are recorded, where its time is over and none came after it. `now` in unix seconds.
pub(crate) fn ended(federation: &Federation, now: u64) -> Option<Ended> {
    let keys = federation.keys();
    let current = keys.tags.first().filter(|current| current.not_after < now)?;
    Some(Ended { key_id: current.key.key_id(), at: current.not_after })
}

/// The same, from some weeks before on: when a person can still ask for the next key.
pub(crate) fn lapses(federation: &Federation, now: u64) -> Option<Ended> {
    let keys = federation.keys();
    let current = keys.tags.first().filter(|current| current.lapses(&keys.tags, now))?;
    Some(Ended { key_id: current.key.key_id(), at: current.not_after })
}

/// Uses the keys whose time has come, by what others know of this node.
fn turn(house: &House) -> Result<(), IdentityError> {
    let (now, own, mut keys) = (crate::now(), house.federation.own(), house.federation.keys());
    let said = own.descriptor();
    if keys.next_log_key().is_some() && said.log_key_at(now) == keys.next_log_key() {
        let old = if said.is_revoked(&keys.log_key()) { OldLog::Forget } else { OldLog::Keep };
        keys.turn_log(old)?;
        tracing::info!(log_key = %keys.log_key(), "segments and requests are signed with the new log key");
    }
    if keys.old_log_key().is_some_and(|old| !said.log_key_valid(&old, now) || said.is_revoked(&old)) {
        keys.forget_old_log()?;
    }
    // Of several machines one makes it, and tells the others.
    if house.ledger.leads()
        && let Some(next) = keys.renew_tags(now)?
    {
        house.book.set_keys(&keys.tags);
        let (key_id, begins) = (next.key.key_id(), next.not_before);
        tracing::info!(%key_id, begins, "the tag key of the next year is made; peers hear of it within a day");
    }
    if keys.turn_tags(now)? {
        house.book.set_keys(&keys.tags);
        tracing::info!("events are recorded and published under the new tag key");
    }
    Ok(())
}

/// What becomes of a next key that others were told of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Prepared {
    /// It waits for its time.
    Refuse,
    /// Its time is now.
    Take,
}

/// The log key in use, and the one that will be.
async fn prepare(federation: &Federation, prepared: Prepared) -> Result<(LogKey, LogKey), IdentityError> {
    let own = federation.own();
    if own.descriptor().retired {
        return Err(IdentityError::Retired);
    }
    let waiting = wanted(&federation.store).await?;
    let mut keys = federation.keys();
    let is_told = |key: LogKey| {
        let mut told = [Some(own.descriptor()), waiting.as_ref()].into_iter().flatten();
        told.any(|said| said.log_keys.iter().any(|term| term.key == key))
    };
    let next = match keys.next_log_key() {
        // Of one that nobody was told of, the telling failed.
        Some(next) if prepared == Prepared::Take || !is_told(next) => next,
        _ => keys.prepare_log()?,
    };
    Ok((keys.log_key(), next))
}

/// Changes what the node says of itself.
async fn change(federation: &Federation, edit: impl FnOnce(&mut Descriptor)) -> Result<(), IdentityError> {
    let _one_at_a_time = federation.changing.lock().await;
    let (known, node) = (federation.own(), federation.keys().node.clone());
    if let Some(signed) = settle(&federation.store, node.as_ref(), &known, edit, crate::now()).await? {
        federation.say(signed);
    }
    Ok(())
}

/// Signs what has changed, or lets it wait for who has the node key. None: others hear what they heard before.
async fn settle(
    store: &Federated,
    node: Option<&ed25519_dalek::SigningKey>,
    known: &SignedDescriptor,
    edit: impl FnOnce(&mut Descriptor),
    now: u64,
) -> Result<Option<SignedDescriptor>, IdentityError> {
    let known = known.descriptor();
    if known.retired {
        return Err(IdentityError::Retired);
    }
    let waiting = wanted(store).await?;
    let mut next = waiting.clone().unwrap_or_else(|| known.clone());
    edit(&mut next);
    if (Descriptor { seq: known.seq, ..next.clone() }) == *known {
        if waiting.is_some() {
            store.put_setting(WANTED, "").await?;
        }
        return Ok(None);
    }
    // A node that was restored from a backup must not give out a number again that others have seen.
    let fresh = known.seq.saturating_add(1).max(now).min(SEQ_MAX - 1);
    next.seq = waiting.as_ref().filter(|waiting| known.seq < waiting.seq && **waiting == next).map_or(fresh, |w| w.seq);
    if let Some(node) = node {
        let signed = publish(store, next, node, now).await?;
        store.put_setting(WANTED, "").await?;
        return Ok(Some(signed));
    }
    if waiting.as_ref() != Some(&next) {
        let text = serde_json::to_string(&next).map_err(|error| IdentityError::Waiting(error.to_string()))?;
        store.put_setting(WANTED, &text).await?;
        tracing::warn!("what this node says of itself is to be signed where its key is: sm2tp key export");
    }
    Ok(None)
}

async fn publish(
    store: &Federated,
    next: Descriptor,
    node: &ed25519_dalek::SigningKey,
    now: u64,
) -> Result<SignedDescriptor, IdentityError> {
    let signed = descriptor::sign(next, node)?;
    store.take_descriptor(signed.clone(), None, now).await?;
    Ok(signed)
}

async fn wanted(store: &Federated) -> Result<Option<Descriptor>, IdentityError> {
    let text = store.setting(WANTED).await?.filter(|text| !text.is_empty());
    let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|error| IdentityError::Waiting(error.to_string()))
}

/// The nodes whose segments this one serves, in an order that names do not change.
async fn named(store: &Federated) -> Result<Vec<NodeKey>, FederatedError> {
    let accepted = store.peers().await?.into_iter().filter(|peer| peer.state == PeerState::Accepted);
    let mut nodes: Vec<NodeKey> = accepted.map(|peer| peer.node).collect();
    nodes.sort_unstable();
    nodes.truncate(NAMED_MAX);
    Ok(nodes)
}

fn term(key: LogKey, not_before: u64) -> LogKeyTerm {
    LogKeyTerm { key, not_before, not_after: not_before.saturating_add(LOG_KEY_LIFE_S) }
}

/// No term of this key is longer.
fn ends(said: &mut Descriptor, key: LogKey, at: u64) {
    for term in said.log_keys.iter_mut().filter(|term| term.key == key) {
        term.not_after = term.not_after.min(at);
    }
}

impl Federation {
    /// Others hear this from now on.
    fn say(&self, signed: SignedDescriptor) {
        *self.descriptor.write().unwrap_or_else(std::sync::PoisonError::into_inner) = signed;
    }
}

/// Setting: the descriptor that waits to be signed, as JSON.
const WANTED: &str = "descriptor-wanted";
/// Peers whose clock is a little behind shall take the first segment too.
const CLOCK_SKEW_S: u64 = 3600;
/// A key that ended by itself would stop a node whose administrator is away; it is changed by command.
const LOG_KEY_LIFE_S: u64 = 3650 * 86_400;
/// `FEDERATION.md` §7: so long both keys are good.
const OVERLAP_S: u64 = 30 * 86_400;
/// Its segments are kept for 400 days, by some for a little longer.
const KEPT_S: u64 = 500 * 86_400;
/// `FEDERATION.md` §8.1: no event is older.
const RETENTION_DAYS: u16 = 400;
/// A descriptor of 64 KiB holds about as many.
const NAMED_MAX: usize = 700;
