//! Follows the peers: pulls what they publish, completes invitations, and publishes what this node saw.
//!
//! [`poll`] is one contact with one peer, [`take`] what becomes of one header, [`own`] the way out, [`judging`] what is
//! thought of origins. Decisions are in `sm2tp_federation`; here they are asked for and carried out.

mod fetch;
mod guard;
mod heads;
mod invitation;
mod judging;
mod memory;
mod own;
mod poll;
mod quotas;
mod take;

use std::collections::HashMap;
use std::time::Duration;

use sm2tp_federation::keys::NodeKey;
use sm2tp_store::federated::{Peer, PeerState};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

pub(crate) use self::fetch::Client;
pub use self::fetch::{Api, ApiFault, FetchError};
pub(crate) use self::guard::{Guard, Unresolved};
use self::memory::Memory;
use self::own::Own;
pub(crate) use self::poll::FollowError;
pub(crate) use self::take::freeze;
use crate::House;

/// Runs until `stop` is true, or until nobody is left who could say so.
pub async fn run(house: House, stop: watch::Receiver<bool>) {
    let client = match Client::new(&house) {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "the federation is not followed until the node is restarted");
            return;
        }
    };
    tokio::join!(
        publish(&house, &client, stop.clone()),
        follow(&house, &client, stop.clone()),
        judging::run(&house, stop)
    );
}

/// Own events out.
async fn publish(house: &House, client: &Client, mut stop: watch::Receiver<bool>) {
    let mut own = Own::new(crate::now());
    let mut tick = every(tick(house));
    loop {
        tokio::select! {
            () = crate::stopped(&mut stop) => return,
            _ = tick.tick() => {}
        }
        // On several machines one log goes out, and is asked after once.
        if !house.ledger.leads() {
            own = Own::new(crate::now());
            continue;
        }
        // Asking peers may be given up at any moment; sealing is not cut off in its middle.
        if !own.is_settled() {
            tokio::select! {
                () = crate::stopped(&mut stop) => return,
                () = own.settle(house, client) => {}
            }
        }
        own.look_after(house).await;
        own.publish(house).await;
    }
}

/// What is known here of one peer between two contacts.
struct Followed {
    next_at: Instant,
    failures: u32,
    /// Absent while a contact is under way.
    memory: Option<Memory>,
}

/// Foreign events in.
async fn follow(house: &House, client: &Client, mut stop: watch::Receiver<bool>) {
    let mut followed: HashMap<NodeKey, Followed> = HashMap::new();
    let mut contacts = JoinSet::new();
    let mut tick = every(tick(house));
    loop {
        tokio::select! {
            // The contacts end with their set; what they were storing is whole or not there.
            () = crate::stopped(&mut stop) => return,
            Some(ended) = contacts.join_next(), if !contacts.is_empty() => match ended {
                Ok((node, memory, fine)) => contact_ended(house, &mut followed, node, memory, fine),
                // Its entry stays without memory, and so would never be due again.
                Err(error) => {
                    tracing::error!(%error, "a contact with a peer broke off");
                    followed.retain(|_, known| known.memory.is_some());
                }
            },
            _ = tick.tick() => match house.federation.store.peers().await {
                // Another machine of this node reads them.
                Ok(_) if !house.ledger.leads() => {}
                Ok(peers) => start_due(house, client, &mut followed, &mut contacts, peers),
                Err(error) => tracing::warn!(%error, "the peers cannot be read; they are asked later"),
            }
        }
    }
}

fn start_due(
    house: &House,
    client: &Client,
    followed: &mut HashMap<NodeKey, Followed>,
    contacts: &mut JoinSet<(NodeKey, Memory, bool)>,
    peers: Vec<Peer>,
) {
    followed.retain(|node, known| known.memory.is_none() || peers.iter().any(|peer| peer.node == *node));
    for peer in peers.into_iter().filter(is_asked) {
        if CONTACTS_MAX <= contacts.len() {
            return;
        }
        let fresh = || Followed { next_at: Instant::now(), failures: 0, memory: Some(Memory::default()) };
        let known = followed.entry(peer.node).or_insert_with(fresh);
        if Instant::now() < known.next_at {
            continue;
        }
        let Some(memory) = known.memory.take() else { continue };
        let (house, client) = (house.clone(), client.clone());
        contacts.spawn(async move {
            let node = peer.node;
            let (memory, fine) = poll::contact(&house, &client, peer, memory).await;
            (node, memory, fine)
        });
    }
}

fn contact_ended(house: &House, followed: &mut HashMap<NodeKey, Followed>, node: NodeKey, memory: Memory, fine: bool) {
    let Some(known) = followed.get_mut(&node) else { return };
    known.memory = Some(memory);
    known.failures = if fine { 0 } else { known.failures.saturating_add(1) };
    known.next_at = Instant::now() + wait(house.federation.poll, known.failures, crate::random());
}

fn is_asked(peer: &Peer) -> bool {
    match peer.state {
        PeerState::Accepted => peer.read,
        PeerState::Invited => true,
        PeerState::Asking => false,
    }
}

/// ± 20 %, so that a hundred nodes that were restarted together do not ask together for ever; doubled for each failure.
fn wait(poll: Duration, failures: u32, chance: f64) -> Duration {
    let doubled = poll.saturating_mul(1 << failures.min(20));
    doubled.min(BACKOFF_MAX.max(poll)).mul_f64(0.8 + 0.4 * chance)
}

fn tick(house: &House) -> Duration {
    house.federation.poll.clamp(TICK_MIN, TICK_MAX)
}

fn every(period: Duration) -> tokio::time::Interval {
    let mut tick = tokio::time::interval(period);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// Peers that are asked at once; the others wait for the next tick. Each may hold one bulk answer (8 MB) in memory.
const CONTACTS_MAX: usize = 8;
/// A peer that was down for a day is asked again within the hour.
const BACKOFF_MAX: Duration = Duration::from_secs(3600);
/// The looks at what is due; the configured poll lies between in tests and above in life.
const TICK_MIN: Duration = Duration::from_millis(50);
const TICK_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_that_fails_is_asked_less_and_less_but_every_hour() {
        let minutes = |m: u64| Duration::from_secs(60 * m);
        assert_eq!(wait(minutes(5), 0, 0.5), minutes(5));
        assert_eq!(wait(minutes(5), 0, 0.0), minutes(4));
        assert_eq!(wait(minutes(5), 2, 0.5), minutes(20));
        assert_eq!(wait(minutes(5), 99, 0.5), minutes(60));
        assert_eq!(wait(minutes(60 * 24), 3, 0.5), minutes(60 * 24));
    }
}
