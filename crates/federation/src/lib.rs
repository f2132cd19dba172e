//! What nodes tell each other and what one node believes of it (`FEDERATION.md`). No I/O, no clock, no randomness (I1).
//!
//! The way of an event out: [`publish`] → [`record`] → [`segment`]. The way in: [`feed`] → [`header`] (signed by a key
//! that the [`descriptor`] names) → [`chain`] → [`segment`] (body) → [`belief`]. Every type that means "checked" can
//! only be made by the function that checks. This crate does not store, fetch or wait: `store` and `doors` do.

pub mod belief;
pub mod chain;
pub mod descriptor;
pub mod feed;
pub mod header;
pub mod keys;
pub mod merkle;
pub mod publish;
pub mod quota;
pub mod record;
pub mod request;
pub mod score;
pub mod sealed;
pub mod segment;
pub mod standing;
pub mod tags;

mod bytes;
#[cfg(test)]
mod hostile;

/// SHA-256 of something; the length of every hash on this wire.
pub type Hash = [u8; 32];
