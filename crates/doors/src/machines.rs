//! The other machines of this node (decision 0075): hears what they did, and tells them what this one saw.

use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use sm2tp_store::LedgerError;
use sm2tp_store::federated::FederatedError;
use sm2tp_store::keys::KeysError;
use sm2tp_store::ledger::{Area, Said};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::{House, meters, now};

/// What is remembered between two looks.
#[derive(Default)]
struct Memory {
    /// What has changed and could not be read yet.
    owed: BTreeSet<Area>,
    is_away: bool,
    lived: Option<Instant>,
    /// The tag keys as all machines had them last.
    tags: Option<String>,
}

/// Why this machine does not know what the others do. It is tried again at the next look.
#[derive(Debug, Error)]
enum MachinesError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Federated(#[from] FederatedError),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// Runs until the node stops; where it has one machine, there is nothing to do.
pub async fn run(house: House, mut stop: watch::Receiver<bool>) {
    if !house.ledger.is_shared() {
        return;
    }
    let mut tick = interval(LOOK_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut memory = Memory::default();
    loop {
        tokio::select! {
            () = crate::stopped(&mut stop) => return,
            _ = tick.tick() => {}
        }
        let looked = look(&house, &mut memory).await;
        let is_away = looked.is_err();
        match looked {
            Ok(()) if memory.is_away => tracing::info!("the database answers again; what waited is written now"),
            Err(error) if !memory.is_away => {
                tracing::error!(%error, "the database cannot be used; mail goes on, and what happens waits in the spool");
            }
            _ => {}
        }
        memory.is_away = is_away;
    }
}

async fn look(house: &House, memory: &mut Memory) -> Result<(), MachinesError> {
    let news = house.ledger.news(now()).await?;
    for said in &news.said {
        match said.kind.as_str() {
            meters::KIND => house.meters.hear_others(said),
            _ => house.senders.hear_others(said, now()),
        }
    }
    tell(house).await?;
    memory.owed.extend(news.areas);
    while let Some(area) = memory.owed.first().copied() {
        match area {
            Area::Settings => keep_tags_same(house, memory).await?,
            _ => read_again(house, area).await?,
        }
        memory.owed.remove(&area);
    }
    if memory.lived.is_none_or(|lived| LIVE_EVERY <= lived.elapsed()) {
        house.ledger.live(&house.hostname, now()).await?;
        keep_tags_same(house, memory).await?;
        memory.lived = Some(Instant::now());
    }
    Ok(())
}

async fn tell(house: &House) -> Result<(), LedgerError> {
    let (senders, meters) = (house.senders.untold(), house.meters.untold());
    let said: Vec<Said> = senders.iter().chain(&meters).cloned().collect();
    if said.is_empty() {
        return Ok(());
    }
    let told = house.ledger.say(said, now()).await;
    if told.is_err() {
        house.senders.not_told(senders);
        meters.iter().for_each(|said| house.meters.not_told(said));
    }
    told
}

async fn read_again(house: &House, area: Area) -> Result<(), MachinesError> {
    match area {
        Area::Accounts => house.accounts.reload().await?,
        Area::Persons => house.persons.reload().await?,
        Area::Tokens => house.tokens.reload().await?,
        Area::Federation => {
            house.federation.store.follow(now()).await?;
            follow_descriptor(house).await?;
        }
        // The ledger has read its views and which webhooks there are.
        Area::Settings | Area::Webhooks | Area::Views => {}
    }
    Ok(())
}

/// What the node says of itself is signed on one machine, and served by all.
async fn follow_descriptor(house: &House) -> Result<(), MachinesError> {
    let Some(known) = house.federation.store.descriptor(house.federation.publisher.own).await? else { return Ok(()) };
    let mut own = house.federation.descriptor.write().unwrap_or_else(PoisonError::into_inner);
    if own.descriptor().seq < known.descriptor().seq {
        *own = known;
    }
    Ok(())
}

/// One machine hears of a new tag key or makes it, and all make tags with it. Whoever changed them since they were last the same on
/// all tells the others.
async fn keep_tags_same(house: &House, memory: &mut Memory) -> Result<(), MachinesError> {
    let kept = house.federation.store.setting(TAGS).await?;
    let fresh = {
        let mut keys = house.federation.keys();
        let is_changed_here = match (&memory.tags, &kept) {
            (Some(before), _) => !keys.has_tags(before)?,
            (None, Some(_)) => false,
            (None, None) => true,
        };
        match kept {
            Some(kept) if !is_changed_here => {
                if !keys.has_tags(&kept)? {
                    keys.follow_tags(&kept)?;
                    house.book.set_keys(&keys.tags);
                    tracing::info!("another machine of this node has other tag keys; they are the same here now");
                }
                memory.tags = Some(kept);
                None
            }
            _ => Some(keys.sealed_tags()?),
        }
    };
    if let Some(fresh) = fresh {
        house.federation.store.put_setting(TAGS, &fresh).await?;
        memory.tags = Some(fresh);
    }
    Ok(())
}

/// What one machine decides holds on the others within a second: it is written, looked for so often, and read.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LIVE_EVERY: Duration = Duration::from_secs(10);
const TAGS: &str = "tag-keys";
