//! Facts in, decisions out: classify, suppress, admit, retry. No I/O, no clock, no randomness (I1).

pub mod outcome;

pub use outcome::{Cause, Fate, LocalFailure, Outcome, Scope, Stage, Stream, Strength, UnknownWord};
