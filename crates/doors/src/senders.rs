//! The mail of a sender whose level changes: what waits is held or slowed with it, and goes on when it is released.

use std::time::Duration;

use sm2tp_rules::watch::{Level, Standing};
use sm2tp_store::senders::SenderId;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::control::{self, Waiting};
use crate::smtp::Onward;
use crate::{House, now, stopped};

/// Follows the watch and keeps its memories until the node stops.
pub async fn run(house: House, onward: Onward, mut stop: watch::Receiver<bool>) {
    let mut save = interval(SAVE_EVERY);
    save.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            changed = house.senders.changes() => {
                for id in changed {
                    follow(&house, &onward, &id).await;
                }
            }
            _ = save.tick() => keep(&house).await,
            () = stopped(&mut stop) => break,
        }
    }
    keep(&house).await;
}

/// What waits of this sender goes the way of its new mail.
async fn follow(house: &House, onward: &Onward, id: &SenderId) {
    let standing = house.senders.standing(id, now());
    tell(house, id);
    if !house.senders.mode().acts() {
        return;
    }
    let waiting = match standing {
        Standing::Normal => Waiting::NoLongerSlow,
        Standing::Slow => Waiting::Slow,
        Standing::Blocked(_) => Waiting::Hold,
    };
    match control::of_sender(house, onward, id, waiting).await {
        Ok(0) => {}
        Ok(count) => {
            tracing::info!(org = %id.org, sender = %id.name, count, "mail of this sender that waited was moved")
        }
        Err(error) => {
            tracing::error!(org = %id.org, sender = %id.name, %error, "mail of this sender that waits could not be moved");
        }
    }
}

/// Once for each change, with the first reason: the rest is in `sm2tp sender show`.
fn tell(house: &House, id: &SenderId) {
    let Some((shown, _)) = house.senders.show(id, now()) else { return };
    let why = shown.reasons.iter().max_by_key(|reason| reason.level).map(|reason| reason.english()).unwrap_or_default();
    match shown.level {
        Level::Normal => tracing::info!(org = %id.org, sender = %id.name, "a sender is normal again"),
        level => tracing::warn!(
            org = %id.org, sender = %id.name, %level, why, "a sender is unusual: sm2tp sender show"
        ),
    }
}

async fn keep(house: &House) {
    // On several machines all know the same, and one writes it.
    if !house.ledger.leads() {
        return;
    }
    if let Err(error) = house.senders.save(&house.ledger).await {
        tracing::warn!(%error, "the memories of senders could not be written; they will be later");
    }
}

/// What a killed node forgets of its senders.
const SAVE_EVERY: Duration = Duration::from_secs(20);
