//! Fuzz targets as plain functions, one per parser. `cargo fuzz` drives them by hand (`fuzz_targets/`), and an ordinary
//! test of each crate feeds them with their corpus and with seeded mutations of it (`drive.rs`).

#[path = "../../crates/proto/tests/all/dialogue.rs"]
#[allow(dead_code)]
mod dialogue;
#[path = "../../crates/proto/tests/all/shell.rs"]
#[allow(dead_code)]
mod shell;

/// The readers of crates that this one does not build.
#[path = "../../crates/doors/src/beside/local/call.rs"]
#[allow(dead_code)]
mod call;
#[path = "../../crates/doors/src/logs/journal/entry.rs"]
#[allow(dead_code)]
mod entry;

pub mod classify;
#[allow(dead_code, unused_imports)]
mod config;
pub mod feeds;
pub mod front;
pub mod header;
pub mod lists;
pub mod log;
pub mod mta;
pub mod multipart;
pub mod policies;
pub mod replies;
pub mod reports;
pub mod session;
pub mod settings;
pub mod stored;
pub mod token;
pub mod wire;
