//! Compares what others say with what this node saw itself, beside all other work.

use std::time::Duration;

use sm2tp_store::federated::{FederatedError, Turned};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{every, tick};
use crate::House;

/// Runs until `stop`.
pub(super) async fn run(house: &House, mut stop: watch::Receiver<bool>) {
    let mut tick = every(tick(house));
    let mut next_at = Instant::now();
    let mut said = None;
    loop {
        tokio::select! {
            () = crate::stopped(&mut stop) => return,
            _ = tick.tick() => {}
        }
        if Instant::now() < next_at || !house.ledger.leads() {
            continue;
        }
        let began = Instant::now();
        let trouble = judge(house).await.err().map(|error| error.to_string());
        if let Some(trouble) = trouble.as_ref().filter(|_| trouble != said) {
            tracing::warn!(%trouble, "what others say cannot be compared with what this node saw");
        }
        said = trouble;
        next_at = Instant::now() + (began.elapsed() * SHARE).max(house.federation.poll).min(WAIT_MAX);
    }
}

/// Outages of providers first: what they made others say is not held against them.
async fn judge(house: &House) -> Result<(), FederatedError> {
    let store = &house.federation.store;
    let rules = house.federation.publisher.classifier.rules();
    let codes = rules.providers().iter().map(|provider| (provider.id.to_string(), provider.code)).collect();
    store.freeze_hours(codes, crate::now()).await?;
    store.prune(crate::now()).await?;
    for Turned { origin, judgement } in store.judge(crate::now()).await? {
        let tally = judgement.tally();
        match judgement.quarantined_since {
            Some(_) => tracing::error!(
                %origin,
                contradicted = tally.contradicted,
                agreed = tally.agreed,
                "this node delivered to many addresses or domains that an origin calls dead; it is not believed"
            ),
            None => tracing::info!(%origin, "what this origin says agrees with this node again; it is believed"),
        }
    }
    Ok(())
}

/// A comparison takes a second for a million known addresses; one core is busy with it a twentieth of the time at most.
const SHARE: u32 = 20;
const WAIT_MAX: Duration = Duration::from_secs(86_400);
