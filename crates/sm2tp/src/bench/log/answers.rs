//! Table: people, hosts and the words of servers that the invented logs are made of.

use sm2tp_proto::Enhanced;

/// What a server said, or what was said of it.
#[derive(Debug, Clone, Copy)]
pub struct Answer {
    pub kind: Kind,
    /// In logs of Postfix: what `dsn=` says.
    pub dsn: Enhanced,
    pub code: Option<u16>,
    /// Lines are separated by `\n`; `{R}` is the recipient, `{D}` its domain.
    pub words: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An answer to RCPT.
    Rcpt,
    /// An answer to the end of the data.
    EndOfData,
    /// The host refused to talk.
    Banner,
    /// The connection broke.
    Lost,
    /// No connection; Postfix names no relay then.
    Connect,
    /// The DNS had no answer.
    Dns,
}

const fn answer(kind: Kind, dsn: (u8, u16, u16), code: u16, words: &'static str) -> Answer {
    let code = if code == 0 { None } else { Some(code) };
    Answer { kind, dsn: Enhanced(dsn.0, dsn.1, dsn.2), code, words }
}

pub const TAKEN: &[&str] = &[
    "250 2.0.0 Ok: queued as 4F2C31A0B9",
    "250 2.0.0 OK  1795132800 d9443c01a7336-2a1f3b4c5d6si7890123 - gsmtp",
    "250 2.6.0 <x@org.test> [InternalId=1, Hostname=mx.dest.test] 9411 bytes in 0.1, 80 KB/sec Queued mail for delivery",
    "250 2.0.0 Message accepted (id: 1xUvCg-0004it-1z), danke schön",
];

pub const FINAL: &[Answer] = &[
    answer(
        Kind::Rcpt,
        (5, 1, 1),
        550,
        "550 5.1.1 <{R}>: Recipient address rejected: User unknown in virtual mailbox table",
    ),
    answer(
        Kind::Rcpt,
        (5, 1, 1),
        550,
        "550-5.1.1 The email account that you tried to reach does not exist. Please try\n550-5.1.1 double-checking the \
         recipient's email address for typos or\n550 5.1.1 unnecessary spaces. d9443c01a7336-2a1f3b4c5d6si7890123 - gsmtp",
    ),
    answer(
        Kind::Rcpt,
        (5, 2, 2),
        552,
        "552 5.2.2 <{R}>: mailbox full (over quota (again)), dsn=2.0.0, status=sent (ok)",
    ),
    answer(Kind::Rcpt, (5, 2, 1), 550, "550 5.2.1 Boîte désactivée : {R}"),
    answer(
        Kind::EndOfData,
        (5, 7, 1),
        554,
        "554 5.7.1 Message refused as spam; see https://dest.test/?q=1 (in reply to RCPT TO",
    ),
    answer(
        Kind::EndOfData,
        (5, 7, 26),
        550,
        "550-5.7.26 Unauthenticated email from org.test\n550 5.7.26 is not accepted",
    ),
    answer(
        Kind::Dns,
        (5, 4, 4),
        0,
        "Host or domain name not found. Name service error for name={D} type=A: Host not found",
    ),
];

pub const LATER: &[Answer] = &[
    answer(Kind::Rcpt, (4, 7, 1), 451, "451 4.7.1 <{R}>: Recipient address rejected: Greylisted for 300 seconds"),
    answer(Kind::Rcpt, (4, 2, 2), 452, "452-4.2.2 The recipient's inbox is out of storage space\n452 4.2.2 {R}"),
    answer(Kind::EndOfData, (4, 7, 0), 421, "421 4.7.0 Try again later, closing connection. (EOD)"),
    answer(Kind::Banner, (4, 7, 0), 421, "421 4.7.0 mx.dest.test too many connections from your network"),
    answer(Kind::Lost, (4, 4, 2), 0, "RCPT TO"),
    answer(Kind::Connect, (4, 4, 1), 0, "Connection timed out"),
    answer(
        Kind::Dns,
        (4, 4, 3),
        0,
        "Host or domain name not found. Name service error for name={D} type=MX: Host not found, try again",
    ),
];

pub const DOMAINS: &[&str] = &[
    "dest.test",
    "gmail.example",
    "orange.example",
    "free.example",
    "laposte.example",
    "asso.example",
    "Mairie.example",
    "université.example",
    "mail.big.example",
    "a-b.example",
];
pub const MXS: &[(&str, &str)] = &[
    ("mx.dest.test", "192.0.2.1"),
    ("mx1.mail.example", "198.51.100.7"),
    ("smtp-in.orange.example", "2001:db8::25"),
    ("203.0.113.9", "203.0.113.9"),
];
pub const LOCALS: &[&str] = &[
    "marie",
    "jean.dupont",
    "contact",
    "info+list",
    "élise",
    "o'brien",
    "a_b-c",
    "\"a b, relay=evil> status=sent (x\"",
    "\"q\\\"uote>\"",
    "x=y",
];
pub const LOGINS: &[&str] = &["alice@org.test", "bob", "newsletter@asso.example", "service-web"];
pub const SENDERS: &[&str] =
    &["alice@org.test", "bob@org.test", "news+bounce=1@asso.example", "www-data@relay.test", "élu@org.test"];
