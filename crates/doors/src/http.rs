//! The HTTP doors: the status page, JSON for programs on this machine, and what peers pull (`FEDERATION.md` §6).

use std::future::Future;

use tokio::net::TcpListener;

use crate::House;

/// Serves until `stop`.
///
/// # Errors
/// [`std::io::Error`] where the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    house: House,
    authority: Vec<String>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let _ = (listener, house, authority);
    stop.await;
    Ok(())
}
