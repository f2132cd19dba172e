//! The tests that need the whole program, or look at the whole repository: one binary, so that it is linked once.

#![allow(clippy::unwrap_used, reason = "these are tests; clippy.toml sees it only inside of #[test]")]

mod acme;
mod alerts;
mod arc;
mod beside;
mod client;
mod clients;
mod commands;
mod config;
mod crash;
mod dane;
mod demo;
mod dialogues;
mod dkim;
mod federation;
mod fronts;
mod fuzz;
mod hops;
mod hostile;
mod libraries;
mod limits;
mod mta;
mod names;
mod node;
mod other_mtas;
mod outward;
mod peers;
mod postfix;
mod privacy;
mod programs;
mod replies;
mod reports;
mod requiretls;
mod returns;
mod rough;
mod salvage;
mod scram;
mod script;
mod sink;
mod suppression;
mod tidy;
mod tls;
mod trouble;
mod wait;
mod wishes;
