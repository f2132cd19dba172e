//! What nodes tell each other and what one node believes of it (`FEDERATION.md`). No I/O, no clock, no randomness (I1).
//!
//! The way of an event out: [`publish`] → [`record`] → [`segment`]. The way in: [`feed`] → [`header`] (signed by a key
//! that the [`descriptor`] names) → [`chain`] → [`segment`] (body) → [`belief`]. Every type that means "checked" can
//! only be made by the function that checks. This crate does not store, fetch or wait: `store` and `doors` do.
//!
//! For programs that read or write the wire of the federation. An address never crosses it: nodes that share a key compute the
//! same [`Tag`](tags::Tag) of an address, and nobody computes the address of a tag.
//!
//! ```
//! use sm2tp_federation::tags::{TagKey, normalise};
//!
//! let (ours, theirs) = (TagKey::new([7; 32]), TagKey::new([8; 32]));
//! let tag = ours.tag(&normalise("Anna@Asso.EXAMPLE")?);
//! assert_eq!(tag, ours.tag(&normalise("anna@asso.example")?), "one spelling for all nodes");
//! assert_ne!(tag, theirs.tag(&normalise("anna@asso.example")?));
//! assert_eq!(tag.to_string().len(), 32, "hexadecimal digits");
//! # Ok::<(), sm2tp_federation::tags::NormaliseError>(())
//! ```

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
