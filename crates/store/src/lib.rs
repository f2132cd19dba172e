//! Everything that is kept: the spool, the ledger and its views, accounts, keys and federated segments.

pub mod accounts;
pub mod alerts;
pub mod audit;
pub mod backup;
pub mod book;
pub mod confirm;
pub mod dkim;
pub mod exits;
pub mod federated;
pub mod idempotency;
pub mod keys;
pub mod ledger;
pub mod outbox;
mod overwritten;
pub mod persons;
mod phrase;
mod refused;
pub mod returns;
pub mod senders;
pub mod spool;
pub mod sql;
pub mod tokens;
pub mod told;
#[cfg(feature = "postgres")]
pub mod transfer;
pub mod webhooks;

#[cfg(test)]
mod testing;

pub use book::{Book, Bounce};
pub use ledger::{Ledger, LedgerError};
pub use persons::Persons;
pub use phrase::Phrase;
pub use refused::Refused;
pub use senders::Senders;
pub use spool::{Spool, SpoolError};
pub use told::Told;

use std::time::SystemTime;

/// The clock, in unix seconds.
#[must_use]
pub fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs())
}
