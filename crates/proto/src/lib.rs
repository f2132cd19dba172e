//! Bytes ⇄ types: addresses, replies, SMTP sessions. No I/O, no clock, no randomness (I1).
//!
//! For programs that speak with mail servers or read what they wrote. Octets and lines go in, values come out, and what is to be
//! written comes back as text: sockets, time and threads are the caller's. Nothing that a stranger sends panics; every reader
//! bounds what it holds, and says so in its documentation.
//!
//! An [`Address`] shows its domain and nothing else, until somebody asks for the clear text with [`Address::clear`]:
//!
//! ```
//! use sm2tp_proto::Address;
//!
//! let anna = Address::parse("anna@Asso.example")?;
//! assert_eq!(format!("{anna:?}"), "…@asso.example");
//! assert_eq!(anna.clear(), "anna@asso.example");
//! assert!(Address::parse("anna@[192.0.2.1]").is_err(), "a relay for people sends to domain names");
//! # Ok::<(), sm2tp_proto::AddressError>(())
//! ```
//!
//! A policy service for Postfix is a reader of requests and an [`Action`](policy::Action) for each:
//!
//! ```
//! use sm2tp_proto::Enhanced;
//! use sm2tp_proto::policy::{Action, RequestReader, Stage};
//!
//! let mut reader = RequestReader::default();
//! reader.feed(b"request=smtpd_access_policy\nprotocol_state=RCPT\nrecipient=gone@");
//! assert_eq!(reader.next_request()?, None, "it goes on");
//! reader.feed(b"dest.example\nsasl_username=anna\n\n");
//! let request = reader.next_request()?.expect("a whole request");
//! assert_eq!((request.stage, request.login.as_deref()), (Stage::Rcpt, Some("anna")));
//! let no = Action::Refuse { code: 550, enhanced: Enhanced(5, 1, 1), text: "it is gone".into() };
//! assert_eq!(no.to_string(), "action=550 5.1.1 it is gone\n\n");
//! # Ok::<(), sm2tp_proto::policy::PolicyError>(())
//! ```
//!
//! A log names sender, login and recipient of a mail on lines of their own; [`log::Mails`] puts them together:
//!
//! ```
//! use sm2tp_proto::log::{Clock, Mails, Status, Writer};
//!
//! let lines = "\
//! 2026-11-21T23:49:06Z vm postfix/smtpd[1]: 4jX8761: client=x[192.0.2.9], sasl_method=PLAIN, sasl_username=anna
//! 2026-11-21T23:49:06Z vm postfix/qmgr[2]: 4jX8761: from=<anna@asso.example>, size=272, nrcpt=1 (queue active)
//! 2026-11-21T23:49:07Z vm postfix/smtp[3]: 4jX8761: to=<gone@dest.example>, relay=mx.dest.example[192.0.2.1]:25, delay=1, \
//! delays=0/0/0/1, dsn=5.1.1, status=bounced (host mx.dest.example[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command))";
//! // At most a hundred mails under way; what lines leave out of their times.
//! let (mut mails, clock) = (Mails::new(100), Clock { latest: 1_795_305_600, offset_s: 0 });
//! let mut seen = Vec::new();
//! for line in lines.lines() {
//!     mails.line(Writer::Postfix, line, &clock, |outcome| {
//!         seen.push((outcome.login.map(str::to_owned), outcome.status, outcome.code));
//!     });
//! }
//! assert_eq!(seen, [(Some("anna".to_owned()), Status::Bounced, Some(550))]);
//! ```

pub mod address;
pub mod date;
pub mod delivery;
pub mod header;
pub mod lists;
pub mod log;
pub mod maps;
pub mod milter;
pub mod mta_sts;
pub mod multipart;
pub mod policy;
pub mod proxy;
pub mod reply;
pub mod report;
pub mod scram;
pub mod smtp;
pub mod smtpd_filter;
pub mod socketmap;
pub mod tls_rpt;
pub mod token;

pub use address::{Address, AddressError, Domain, DomainError};
pub use reply::{Enhanced, Reply, ReplyError, ReplyReader};
