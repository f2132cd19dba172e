//! Facts in, decisions out: classify, suppress, admit, retry. No I/O, no clock, no randomness (I1).
//!
//! For programs that send mail and want to know what an answer means, and whether to write again. Time, random numbers and all
//! that is known are arguments; each decision comes with its reason, which has numbers and words.
//!
//! What a server says means one of a few [causes](Cause), with what follows for the address, the mail and the sender. The rules
//! are data, and the one that decided is named:
//!
//! ```
//! use sm2tp_rules::{Cause, Classifier, Fate, Said};
//!
//! let classifier = Classifier::shipped();
//! let gone = classifier.classify(&Said::of_text("550 5.1.1 <gone@dest.example>: Recipient address rejected: User unknown"));
//! assert_eq!((gone.cause, gone.fate), (Cause::Address, Fate::Final));
//! // La Poste says "later", and means "never": its filter does not like the content. The address is fine.
//! let spam = classifier.classify(&Said {
//!     mx: Some("smtp4.laposte.net"),
//!     ..Said::of_text("421 Service refuse. Veuillez essayer plus tard. LPN007_510")
//! });
//! assert_eq!((spam.cause, spam.fate), (Cause::Content, Fate::Final));
//! assert!(spam.rule.starts_with("laposte-"));
//! ```
//!
//! What happened to an address is folded to its [`Evidence`], of which one can ask whether to write:
//!
//! ```
//! use sm2tp_rules::evidence::Hard;
//! use sm2tp_rules::suppress::{self, Decision, Limits, Recipient, Why};
//! use sm2tp_rules::{Evidence, Happening, Stream, Strength};
//!
//! const NOW: u64 = 1_800_000_000;
//! let refused = Hard { strength: Strength::Strong, inactive: false, code: 550, enhanced: None, imported: None };
//! let own = Evidence::default().after(Happening::Hard(refused), NOW - 60);
//! let known = Recipient { own, ..Recipient::default() };
//! // The last argument is for the few that are let through to measure what other nodes say.
//! let decided = suppress::decide(&known, Stream::Bulk, &Limits::default(), NOW, 1.0);
//! assert!(matches!(decided, Decision::Refuse(Why::Hard { code: 550, .. }, Some(_))));
//! // A delivery says more than any refusal before it.
//! let own = own.after(Happening::Delivered, NOW);
//! let known = Recipient { own, ..Recipient::default() };
//! assert_eq!(suppress::decide(&known, Stream::Bulk, &Limits::default(), NOW, 1.0), Decision::Send);
//! ```

pub mod admit;
pub mod alerts;
pub mod allowance;
pub mod behaviour;
pub mod breaker;
pub mod classify;
pub mod detour;
pub mod evidence;
pub mod exits;
mod failures;
pub mod guess;
pub mod imported;
#[macro_use]
pub mod outcome;
pub mod access;
pub mod pace;
pub mod places;
pub mod proposed;
pub mod public;
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
