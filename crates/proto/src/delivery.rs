//! What a mail server writes about one delivery, in its log and to its delivery status filter: who spoke, after which
//! command, and the words. Read for Postfix and Exim, whose sentences have stayed the same for twenty years.
//!
//! The words of a remote server stand inside these sentences, so only what precedes them is looked at for structure, and the
//! closing bracket, which a server can write too, is believed at the very end alone.

use std::borrow::Cow;

use crate::log::{at_octet, path, word};

/// One delivery, as it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery<'a> {
    /// The server that was spoken to, as the DNS or the configuration names it.
    pub host: Option<&'a str>,
    pub what: What<'a>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What<'a> {
    /// A server answered. `text` begins with the reply code.
    Reply { to: Asked, text: Cow<'a, str> },
    /// Nobody answered, or nobody could be asked.
    Failure(Failure),
    /// An earlier answer is told again for another mail or another time: nobody was asked, and nothing is to be counted.
    Again,
    /// A sentence about something else: a local mailbox, a command, a table.
    Other,
}

/// What the answer answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    Connect,
    Ehlo,
    StartTls,
    Auth,
    Mail,
    Rcpt,
    Data,
    EndOfData,
}

/// Why nobody answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    NoSuchDomain,
    NullMx,
    NoMailHost,
    Dns,
    ConnectRefused,
    ConnectTimeout,
    Timeout,
    ConnectionLost,
    Tls,
    /// What the mail needs (SMTPUTF8) is not offered.
    Unsupported,
    Loop,
    /// The mail was too old for one more try.
    Expired,
}

impl<'a> Delivery<'a> {
    /// Reads the text in brackets behind `status=` in Postfix's log, or the key of its delivery status filter without the
    /// status in front. At most 2 000 octets: Postfix cuts there, and a sentence that was cut is read as far as it goes.
    #[must_use]
    pub fn by_postfix(text: &'a str) -> Self {
        // Our own status filter put its reason in front (docs/beside.md).
        let text = text.strip_prefix("sm2tp: ").and_then(|own| own.split_once("): ")).map_or(text, |(_, text)| text);
        if text.starts_with("delivery temporarily suspended: ") {
            return Self::of(What::Again);
        }
        if let Some((host, rest)) = text.strip_prefix("host ").and_then(host_and) {
            if let Some(words) = rest.strip_prefix(" said: ") {
                let (text, to) = answered(words);
                return Self { host: Some(host), what: What::Reply { to, text: text.into() } };
            }
            if let Some(text) = rest.strip_prefix(" refused to talk to me: ") {
                return Self { host: Some(host), what: What::Reply { to: Asked::Connect, text: text.into() } };
            }
        }
        for (opening, failure) in
            [("lost connection with ", Failure::ConnectionLost), ("conversation with ", Failure::Timeout)]
        {
            if let Some((host, _)) = text.strip_prefix(opening).and_then(host_and) {
                return Self { host: Some(host), what: What::Failure(failure) };
            }
        }
        if let Some((host, rest)) = text.strip_prefix("connect to ").and_then(host_and) {
            let failure = if rest.contains("timed out") { Failure::ConnectTimeout } else { Failure::ConnectRefused };
            return Self { host: Some(host), what: What::Failure(failure) };
        }
        if is_reply(text) {
            return Self::of(What::Reply { to: Asked::EndOfData, text: text.into() });
        }
        Self::of(found(POSTFIX, text))
    }

    /// Reads the text at the end of a line of Exim's main log, behind the fields of `**` and `==`. `host` is its `H=`,
    /// which versions until 4.9 wrote into the sentence. A reply of several lines has a literal `\n` between them.
    #[must_use]
    pub fn by_exim(text: &'a str, host: Option<&'a str>) -> Self {
        let after = text
            .strip_prefix("SMTP error from remote mail server after ")
            .or_else(|| text.strip_prefix("SMTP error from remote mailer after "));
        let Some(after) = after else { return Self { host, what: found(EXIM, text) } };
        let command = after.strip_prefix("pipelined ").unwrap_or(after);
        let Some((_, to)) = EXIM_COMMANDS.iter().find(|(word, _)| command.starts_with(word)) else {
            return Self { host, what: What::Other };
        };
        // `EHLO [IPv6:…]: 550 …`: what a command says may hold a colon, so the reply is what begins with a code.
        let mut rest = behind_path(command);
        while let Some((_, behind)) = rest.split_once(": ") {
            let (within, words) = match behind.strip_prefix("host ").and_then(host_and) {
                Some((within, words)) => (Some(within), words.strip_prefix(": ").unwrap_or(words)),
                None => (None, behind),
            };
            if is_reply(words) {
                let text = if words.contains("\\n") { words.replace("\\n", "\n").into() } else { words.into() };
                return Self { host: within.or(host), what: What::Reply { to: *to, text } };
            }
            rest = behind;
        }
        Self { host, what: What::Other }
    }

    fn of(what: What<'a>) -> Self {
        Self { host: None, what }
    }
}

/// `name[address]:port rest`: the name, and the rest behind the bracket.
fn host_and(text: &str) -> Option<(&str, &str)> {
    let (name, behind) = at_octet(text, b'[')?;
    let (_, rest) = at_octet(behind, b']')?;
    let name = name.trim_end();
    (!name.is_empty() && word(name).is_none()).then_some((name, rest))
}

/// What follows the path of MAIL FROM and RCPT TO.
fn behind_path(command: &str) -> &str {
    let Some(at) = command.find(":<") else { return command };
    let text = &command[at + 1..];
    path(text).map_or(text, |(_, rest)| rest)
}

/// Takes the last ` (in reply to X command)` off. Where it is missing, because the line was cut, nothing is known; RCPT is
/// what most answers answer, but it would accuse the recipient, so the end of the data is taken.
fn answered(words: &str) -> (&str, Asked) {
    let mut brackets = memchr::memrchr_iter(b'(', words.as_bytes());
    let found = brackets.find_map(|at| {
        let behind = words[at..].strip_prefix("(in reply to ")?;
        Some((words[..at].strip_suffix(' ')?, behind))
    });
    let Some((reply, behind)) = found else { return (words, Asked::EndOfData) };
    let to = POSTFIX_COMMANDS.iter().find(|(word, _)| behind.starts_with(word));
    to.map_or((words, Asked::EndOfData), |(_, to)| (reply, *to))
}

/// `250 …`, `550-…`.
fn is_reply(text: &str) -> bool {
    let octets = text.as_bytes();
    let code = octets.len() >= 3 && matches!(octets[0], b'2'..=b'5') && octets[1..3].iter().all(u8::is_ascii_digit);
    code && matches!(octets.get(3), None | Some(b' ' | b'-'))
}

fn found(signs: &[(&str, What<'static>)], text: &str) -> What<'static> {
    let hit = signs.iter().find(|(sign, _)| text.contains(sign));
    hit.map_or(What::Other, |(_, what)| what.clone())
}

const POSTFIX_COMMANDS: &[(&str, Asked)] = &[
    ("RCPT TO", Asked::Rcpt),
    ("end of DATA", Asked::EndOfData),
    ("MAIL FROM", Asked::Mail),
    ("DATA", Asked::Data),
    ("EHLO", Asked::Ehlo),
    ("HELO", Asked::Ehlo),
    ("LHLO", Asked::Ehlo),
    ("STARTTLS", Asked::StartTls),
    ("AUTH", Asked::Auth),
    // Cached connections are tried with it.
    ("RSET", Asked::Mail),
    // "message content" of BDAT.
    ("BDAT", Asked::EndOfData),
];

const EXIM_COMMANDS: &[(&str, Asked)] = &[
    ("RCPT TO", Asked::Rcpt),
    ("end of data", Asked::EndOfData),
    ("sending data block", Asked::EndOfData),
    ("MAIL FROM", Asked::Mail),
    ("DATA", Asked::Data),
    ("BDAT", Asked::EndOfData),
    ("initial connection", Asked::Connect),
    ("EHLO", Asked::Ehlo),
    ("HELO", Asked::Ehlo),
    ("LHLO", Asked::Ehlo),
    ("STARTTLS", Asked::StartTls),
    ("AUTH", Asked::Auth),
];

/// The more special ones first.
const POSTFIX: &[(&str, What<'static>)] = &[
    ("does not accept mail (nullMX)", What::Failure(Failure::NullMx)),
    ("Host not found, try again", What::Failure(Failure::Dns)),
    ("type=MX: Host not found", What::Failure(Failure::NoSuchDomain)),
    // The MX names a host that has no address; the domain itself exists.
    ("type=AAAA: Host not found", What::Failure(Failure::NoMailHost)),
    ("type=A: Host not found", What::Failure(Failure::NoMailHost)),
    ("type=AAAA: Host found but no data record", What::Failure(Failure::NoMailHost)),
    ("type=A: Host found but no data record", What::Failure(Failure::NoMailHost)),
    ("Name service error for name=", What::Failure(Failure::Dns)),
    ("unable to look up host", What::Failure(Failure::Dns)),
    ("loops back to myself", What::Failure(Failure::Loop)),
    ("too many hops", What::Failure(Failure::Loop)),
    ("TLS is required, but", What::Failure(Failure::Tls)),
    ("Cannot start TLS", What::Failure(Failure::Tls)),
    ("Server certificate not", What::Failure(Failure::Tls)),
    ("TLS policy", What::Failure(Failure::Tls)),
    ("SMTPUTF8 is required, but was not offered", What::Failure(Failure::Unsupported)),
];

const EXIM: &[(&str, What<'static>)] = &[
    ("have been failing for a long time", What::Failure(Failure::Expired)),
    ("retry timeout exceeded", What::Failure(Failure::Expired)),
    // No contact was made; the sentence behind it is an older one.
    ("retry time not reached", What::Again),
    ("closed connection in response to", What::Failure(Failure::ConnectionLost)),
    ("lost connection", What::Failure(Failure::ConnectionLost)),
    ("Connection reset by peer", What::Failure(Failure::ConnectionLost)),
    ("SMTP timeout", What::Failure(Failure::Timeout)),
    ("Connection timed out", What::Failure(Failure::ConnectTimeout)),
    ("Connection refused", What::Failure(Failure::ConnectRefused)),
    ("No route to host", What::Failure(Failure::ConnectRefused)),
    ("Network is unreachable", What::Failure(Failure::ConnectRefused)),
    ("no SMTP service", What::Failure(Failure::NullMx)),
    ("all relevant MX records point to non-existent hosts", What::Failure(Failure::NoMailHost)),
    ("host lookup did not complete", What::Failure(Failure::Dns)),
    ("Unrouteable address", What::Failure(Failure::NoSuchDomain)),
    ("MX record points to local host", What::Failure(Failure::Loop)),
    ("a TLS session is required", What::Failure(Failure::Tls)),
    ("TLS error on connection", What::Failure(Failure::Tls)),
    ("failure while setting up TLS session", What::Failure(Failure::Tls)),
    ("utf8 support required but not offered", What::Failure(Failure::Unsupported)),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn postfix(text: &str, host: Option<&str>, what: What<'_>) {
        assert_eq!(Delivery::by_postfix(text), Delivery { host, what });
    }

    #[track_caller]
    fn exim(text: &str, host: Option<&str>, what: What<'_>) {
        assert_eq!(Delivery::by_exim(text, Some("mx.dest.test")), Delivery { host, what });
    }

    fn reply(to: Asked, text: &str) -> What<'_> {
        What::Reply { to, text: text.into() }
    }

    #[test]
    fn postfix_tells_who_spoke_and_after_what() {
        let mx = Some("mx.dest.test");
        let rcpt = "host mx.dest.test[192.0.2.1] said: 550 5.1.1 <b@dest.test>: no (in reply to RCPT TO command)";
        postfix(rcpt, mx, reply(Asked::Rcpt, "550 5.1.1 <b@dest.test>: no"));
        let data = "host mx.dest.test[2001:db8::1] said: 451 4.7.1 later (in reply to end of DATA command)";
        postfix(data, mx, reply(Asked::EndOfData, "451 4.7.1 later"));
        let mail = "host mx.dest.test[192.0.2.1] said: 550 no (in reply to MAIL FROM command)";
        postfix(mail, mx, reply(Asked::Mail, "550 no"));
        let ours = "sm2tp: message refused, the address is valid (laposte-LPN007_510): host mx.dest.test[192.0.2.1] said: 421 \
                    later (in reply to end of DATA command)";
        postfix(ours, mx, reply(Asked::EndOfData, "421 later"));
        let banner = "host mx.dest.test[192.0.2.1] refused to talk to me: 554 5.7.1 blocked using zen";
        postfix(banner, mx, reply(Asked::Connect, "554 5.7.1 blocked using zen"));
        postfix("250 2.0.0 Ok: queued as 1", None, reply(Asked::EndOfData, "250 2.0.0 Ok: queued as 1"));
    }

    #[test]
    fn words_of_a_server_do_not_change_what_was_asked() {
        let mx = Some("mx.dest.test");
        let twice =
            "host mx.dest.test[192.0.2.1] said: 550 (in reply to RCPT TO command) no (in reply to DATA command)";
        postfix(twice, mx, reply(Asked::Data, "550 (in reply to RCPT TO command) no"));
        // Cut in the middle: who is accused is not known, so it is not the recipient.
        postfix("host mx.dest.test[192.0.2.1] said: 550 no such", mx, reply(Asked::EndOfData, "550 no such"));
        let invented = "host mx.dest.test[192.0.2.1] said: 550 no (in reply to JUMP command)";
        postfix(invented, mx, reply(Asked::EndOfData, "550 no (in reply to JUMP command)"));
        let fake =
            "host mx.dest.test[192.0.2.1] said: 421 delivery temporarily suspended: x (in reply to RCPT TO command)";
        postfix(fake, mx, reply(Asked::Rcpt, "421 delivery temporarily suspended: x"));
    }

    #[test]
    fn failures_without_an_answer_have_a_type() {
        #[track_caller]
        fn check(text: &str, host: Option<&str>, want: Failure) {
            postfix(text, host, What::Failure(want));
        }
        let mx = Some("mx.dest.test");
        check("connect to mx.dest.test[192.0.2.1]:25: Connection refused", mx, Failure::ConnectRefused);
        check("connect to mx.dest.test[192.0.2.1]:25: Connection timed out", mx, Failure::ConnectTimeout);
        check("lost connection with mx.dest.test[192.0.2.1] while sending RCPT TO", mx, Failure::ConnectionLost);
        check("conversation with mx.dest.test[192.0.2.1] timed out while sending RCPT TO", mx, Failure::Timeout);
        let dns = "Host or domain name not found. Name service error for name=dest.test type=";
        check(&format!("{dns}MX: Host not found, try again"), None, Failure::Dns);
        check(&format!("{dns}MX: Host not found"), None, Failure::NoSuchDomain);
        check(&format!("{dns}AAAA: Host not found"), None, Failure::NoMailHost);
        check(&format!("{dns}MX: Malformed or unexpected name server reply"), None, Failure::Dns);
        check("Domain dest.test does not accept mail (nullMX)", None, Failure::NullMx);
        check("mail for dest.test loops back to myself", None, Failure::Loop);
        check("TLS is required, but was not offered by host mx.dest.test[192.0.2.1]", None, Failure::Tls);
        check("Server certificate not verified", None, Failure::Tls);
        check("SMTPUTF8 is required, but was not offered by host mx.dest.test[192.0.2.1]", None, Failure::Unsupported);
    }

    #[test]
    fn what_is_told_again_or_of_something_else_is_no_answer() {
        let again =
            "delivery temporarily suspended: host mx.dest.test[192.0.2.1] said: 550 no (in reply to RCPT TO command)";
        postfix(again, None, What::Again);
        postfix("delivered to mailbox", None, What::Other);
        postfix("unknown user: \"nosuch\"", None, What::Other);
        postfix("", None, What::Other);
        postfix("host", None, What::Other);
        postfix("host [", None, What::Other);
        postfix("host x[1] mumbled", None, What::Other);
        exim("retry time not reached for any host for 'dest.test'", Some("mx.dest.test"), What::Again);
        exim("", Some("mx.dest.test"), What::Other);
        exim("SMTP error from remote mail server after RCPT TO:<a: 5@dest.test>", Some("mx.dest.test"), What::Other);
    }

    #[test]
    fn exim_tells_it_in_its_own_words_in_each_of_its_versions() {
        let mx = Some("mx.dest.test");
        let after = "SMTP error from remote mail server after";
        let rcpt = format!("{after} RCPT TO:<b@dest.test>: 550-5.7.1 first\\n550 5.7.1 last");
        exim(&rcpt, mx, reply(Asked::Rcpt, "550-5.7.1 first\n550 5.7.1 last"));
        let odd = format!("{after} pipelined RCPT TO:<\"a>: 550 b\"@dest.test>: 421 later");
        exim(&odd, mx, reply(Asked::Rcpt, "421 later"));
        let mail = format!("{after} MAIL FROM:<a@org.test> SIZE=1781: 552 5.3.4 too big");
        exim(&mail, mx, reply(Asked::Mail, "552 5.3.4 too big"));
        exim(&format!("{after} end of data: 451 4.7.1 later"), mx, reply(Asked::EndOfData, "451 4.7.1 later"));
        exim(&format!("{after} initial connection: 554 no"), mx, reply(Asked::Connect, "554 no"));
        let old = format!("{after} end of data: host mta5.am0.test [192.0.2.1]: 554 5.7.9 no");
        exim(&old, Some("mta5.am0.test"), reply(Asked::EndOfData, "554 5.7.9 no"));
        let lost = "Remote host closed connection in response to pipelined RCPT TO:<b@dest.test>";
        exim(lost, mx, What::Failure(Failure::ConnectionLost));
        exim("Connection refused", mx, What::Failure(Failure::ConnectRefused));
        let long = "all hosts for 'dest.test' have been failing for a long time (and retry time not reached)";
        exim(long, mx, What::Failure(Failure::Expired));
    }
}
