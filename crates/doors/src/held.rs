//! Mail that waits because of the word of other nodes: it goes as soon as they take that back, or are found to be wrong.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

use crate::smtp::Onward;
use crate::{House, control, stopped};

/// Asks again and again until the node stops.
pub async fn run(house: House, onward: Onward, mut stop: watch::Receiver<bool>) {
    // What others say changes when peers are asked.
    let mut look = interval(house.federation.poll.max(LOOK_MIN));
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = look.tick() => look_again(&house, &onward).await,
            () = stopped(&mut stop) => return,
        }
    }
}

async fn look_again(house: &House, onward: &Onward) {
    match control::let_go(house, onward).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "mail goes that was held because of what other nodes said"),
        Err(error) => tracing::error!(%error, "mail that is held could not be looked at again; it will be later"),
    }
}

/// A look goes through all that is held.
const LOOK_MIN: Duration = Duration::from_secs(1);
