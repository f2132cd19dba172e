//! Bytes ⇄ types: addresses, replies, SMTP sessions. No I/O, no clock, no randomness (I1).

pub mod address;
pub mod date;
pub mod delivery;
pub mod header;
pub mod lists;
pub mod log;
pub mod maps;
pub mod milter;
pub mod mta_sts;
pub mod policy;
pub mod proxy;
pub mod reply;
pub mod report;
pub mod scram;
pub mod smtp;
pub mod socketmap;
pub mod tls_rpt;
pub mod token;

pub use address::{Address, AddressError, Domain, DomainError};
pub use reply::{Enhanced, Reply, ReplyError, ReplyReader};
