//! The tests of the protocol values that need more than one file: dialogues, mutations, limits.

#![allow(clippy::unwrap_used, reason = "these are tests; clippy.toml sees it only inside of #[test]")]

mod client;
mod dialogue;
mod fuzz;
mod limits;
mod log;
mod mutation;
mod report;
mod shell;
