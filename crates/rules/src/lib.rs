//! Facts in, decisions out: classify, suppress, admit, retry. No I/O, no clock, no randomness (I1).

pub mod admit;
pub mod alerts;
pub mod allowance;
pub mod behaviour;
pub mod breaker;
pub mod classify;
pub mod detour;
pub mod evidence;
pub mod exits;
pub mod guess;
pub mod imported;
#[macro_use]
pub mod outcome;
pub mod access;
pub mod pace;
pub mod rate;
pub mod retry;
pub mod returned;
pub mod score;
pub mod seal;
pub mod sign;
pub mod sites;
pub mod stream;
pub mod suppress;
pub mod tls;
pub mod watch;
pub mod worth;

pub use classify::{Classifier, ExampleMiss, Provider, RuleOrigin, RulesError, Said, Source, local};
pub use evidence::{Evidence, Happening};
pub use outcome::{Cause, Fate, LocalFailure, Outcome, Scope, Stage, Stream, StreamBy, Streams, Strength, UnknownWord};
