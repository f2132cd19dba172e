//! The doors over real sockets on loopback: nodes that speak with each other, and liars that speak with them.

#![allow(clippy::unwrap_used, reason = "these are tests; clippy.toml sees it only inside of #[test]")]

mod access;
mod asking;
mod believing;
mod follow;
mod heads;
mod liar;
mod node;
mod pages;
mod signatures;
mod web;
mod web_hostile;
mod web_more;
mod web_pages;
mod web_refusals;
