//! Postfix's policy delegation (SMTPD_POLICY_README): a request is lines of `name=value` closed by an empty line, the
//! answer is one action of access(5) in the same form.
//!
//! Exim asks the same through `${readsocket}`. Attributes come in no order, and those that nobody here needs are passed
//! over, because each version of Postfix sends some more.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

use crate::{Address, Enhanced};

/// One question about one recipient, or about a whole mail.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    pub stage: Stage,
    /// The same for all requests about one mail, before it has a queue id.
    pub instance: String,
    pub queue_id: Option<String>,
    pub sender: Party,
    pub recipient: Party,
    /// Recipients that were accepted so far; Postfix knows it from DATA on.
    pub recipients: u32,
    /// What the client said with SIZE=, and at the end of the message what it really has.
    pub octets: Option<u64>,
    pub client: Option<IpAddr>,
    /// With which the client logged in, as the mail server knows it.
    pub login: Option<String>,
    /// `policy_context` of the service that asks.
    pub context: String,
}

/// Where the conversation with the client is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    Rcpt,
    Data,
    EndOfMessage,
    /// CONNECT, EHLO, MAIL and what is still to come: nothing is known yet that a decision could stand on.
    #[default]
    Other,
}

/// The sender or the recipient of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Party {
    /// The null return path, or an attribute that was left out.
    #[default]
    Nobody,
    Is(Address),
    /// Something that the mail server takes and this node does not write to: an address literal, a bare local name.
    Other,
}

/// What the mail server is to do (access(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Nothing to say: the next restriction decides.
    Dunno,
    /// Said to the client about this recipient or, at DATA and after, about the whole mail. 4xx or 5xx.
    Refuse { code: u16, enhanced: Enhanced, text: String },
    /// The whole mail waits in the hold queue, whatever its recipients.
    Hold(String),
    /// The whole mail goes this way: `transport:nexthop`.
    Filter(String),
    /// A header field on top of the mail.
    Prepend { name: &'static str, value: String },
}

/// Puts octets together to requests; holds at most [`REQUEST_OCTETS_MAX`] and what one call of `feed` brought.
#[derive(Debug, Default)]
pub struct RequestReader {
    held: Vec<u8>,
    /// How much of `held` was seen to hold no end of a request.
    seen: usize,
}

/// Octets that are no request. Nothing that follows on the connection can be trusted: closing it makes Postfix ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PolicyError {
    #[error("a policy request of more than {REQUEST_OCTETS_MAX} octets")]
    TooLong,
    #[error("a line without `=` in a policy request")]
    NoEquals,
    #[error("no `request=smtpd_access_policy` in a policy request")]
    NotPolicy,
}

impl RequestReader {
    pub fn feed(&mut self, octets: &[u8]) {
        self.held.extend_from_slice(octets);
    }

    /// The next whole request, if it is there.
    ///
    /// # Errors
    /// [`PolicyError`]; the reader is of no more use.
    pub fn next_request(&mut self) -> Result<Option<Request>, PolicyError> {
        if self.held.first() == Some(&b'\n') {
            return Err(PolicyError::NotPolicy);
        }
        // The empty line makes two LF in a row.
        let from = self.seen.saturating_sub(1);
        let Some(at) = self.held[from..].windows(2).position(|pair| pair == b"\n\n").map(|at| from + at) else {
            self.seen = self.held.len();
            return if REQUEST_OCTETS_MAX < self.held.len() { Err(PolicyError::TooLong) } else { Ok(None) };
        };
        if REQUEST_OCTETS_MAX < at {
            return Err(PolicyError::TooLong);
        }
        let request = Request::parse(&self.held[..at]);
        self.held.drain(..at + 2);
        self.seen = 0;
        request.map(Some)
    }
}

impl Request {
    /// Reads the lines of a request without its empty line.
    ///
    /// # Errors
    /// [`PolicyError`] where it is none.
    fn parse(octets: &[u8]) -> Result<Self, PolicyError> {
        let text = String::from_utf8_lossy(octets);
        let (mut request, mut is_policy) = (Self::default(), false);
        for line in text.split('\n') {
            let (name, value) = line.split_once('=').ok_or(PolicyError::NoEquals)?;
            match name {
                "request" => is_policy = value == "smtpd_access_policy",
                "protocol_state" => request.stage = Stage::parse(value),
                "instance" => request.instance = value.to_owned(),
                "queue_id" => request.queue_id = filled(value),
                "sender" => request.sender = Party::parse(value),
                "recipient" => request.recipient = Party::parse(value),
                "recipient_count" => request.recipients = value.parse().unwrap_or(0),
                // 0 where the client did not say it.
                "size" => request.octets = value.parse().ok().filter(|octets| 0 < *octets),
                "client_address" => request.client = value.parse::<IpAddr>().ok().map(|client| client.to_canonical()),
                "sasl_username" => request.login = filled(value),
                "policy_context" => request.context = value.to_owned(),
                _ => {}
            }
        }
        if is_policy { Ok(request) } else { Err(PolicyError::NotPolicy) }
    }
}

impl Stage {
    fn parse(word: &str) -> Self {
        match word {
            "RCPT" => Self::Rcpt,
            "DATA" => Self::Data,
            "END-OF-MESSAGE" => Self::EndOfMessage,
            _ => Self::Other,
        }
    }
}

impl Party {
    pub(crate) fn parse(value: &str) -> Self {
        match value {
            "" | "<>" => Self::Nobody,
            _ => Address::parse(value).map_or(Self::Other, Self::Is),
        }
    }

    /// The address, where it is one.
    #[must_use]
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Is(address) => Some(address),
            Self::Nobody | Self::Other => None,
        }
    }
}

impl fmt::Display for Action {
    /// The answer as it goes over the wire. A code that is no refusal is sent as 451: `250` would be taken for OK.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("action=")?;
        match self {
            Self::Dunno => f.write_str("DUNNO")?,
            Self::Refuse { code, enhanced, text } => {
                // The enhanced code says the class too, and Postfix believes it before the reply code.
                let fits = (400..600).contains(code) && u16::from(enhanced.0) == code / 100;
                let (code, enhanced) = if fits { (*code, *enhanced) } else { (451, Enhanced(4, 3, 0)) };
                write!(f, "{code} {enhanced} {}", line(text))?;
            }
            Self::Hold(text) => write!(f, "HOLD {}", line(text))?,
            Self::Filter(way) => write!(f, "FILTER {}", line(way))?,
            Self::Prepend { name, value } => write!(f, "PREPEND {name}: {}", line(value))?,
        }
        f.write_str("\n\n")
    }
}

/// One line of printable ASCII: no text can end the answer early, nor reach a client that did not ask for UTF-8.
pub(crate) fn line(text: &str) -> String {
    text.chars().take(TEXT_OCTETS_MAX).map(|c| if matches!(c, ' '..='~') { c } else { '?' }).collect()
}

fn filled(value: &str) -> Option<String> {
    (!value.is_empty()).then(|| value.to_owned())
}

/// Postfix sends some 40 attributes and cuts each line at 2 048 octets (`line_length_limit`); names of certificates can be
/// long. Bounds what a peer that never ends a request makes us hold.
pub const REQUEST_OCTETS_MAX: usize = 64 * 1024;
/// RFC 5321 §4.5.3.1.5: a reply line has 512 octets; the rest is for what Postfix puts before the text.
const TEXT_OCTETS_MAX: usize = 350;

#[cfg(test)]
mod tests {
    use super::*;

    /// As Postfix 3.7 sent it, without what is passed over anyway.
    const RCPT: &str = "request=smtpd_access_policy\nprotocol_state=RCPT\nprotocol_name=ESMTP\nclient_address=127.0.0.1\n\
        sender=a@org.test\nrecipient=b@dest.test\nrecipient_count=0\nqueue_id=\ninstance=5974.6b0225fc.8e046.0\nsize=0\n\
        sasl_method=PLAIN\nsasl_username=alice@relay.test\nstress=\npolicy_context=rcpt\n\n";

    #[test]
    fn a_request_of_postfix_is_read() {
        let mut reader = RequestReader::default();
        reader.feed(RCPT.as_bytes());
        let request = reader.next_request().unwrap().unwrap();
        let party = |text| Party::Is(Address::parse(text).unwrap());
        let want = Request {
            stage: Stage::Rcpt,
            instance: "5974.6b0225fc.8e046.0".into(),
            queue_id: None,
            sender: party("a@org.test"),
            recipient: party("b@dest.test"),
            recipients: 0,
            octets: None,
            client: Some(IpAddr::from([127, 0, 0, 1])),
            login: Some("alice@relay.test".into()),
            context: "rcpt".into(),
        };
        assert_eq!(request, want);
        assert_eq!(reader.next_request(), Ok(None));
    }

    #[test]
    fn requests_are_the_same_however_their_octets_are_cut() {
        let two = RCPT.replace("RCPT", "END-OF-MESSAGE").replace("size=0", "size=4711") + RCPT;
        for chunk in [1, 2, 7, 100, 10_000] {
            let (mut reader, mut stages) = (RequestReader::default(), Vec::new());
            for octets in two.as_bytes().chunks(chunk) {
                reader.feed(octets);
                while let Some(request) = reader.next_request().unwrap() {
                    stages.push((request.stage, request.octets));
                }
            }
            assert_eq!(stages, [(Stage::EndOfMessage, Some(4711)), (Stage::Rcpt, None)], "cut at {chunk}");
        }
    }

    #[test]
    fn what_is_no_request_is_an_error() {
        #[track_caller]
        fn check(octets: &str, want: Result<Option<Stage>, PolicyError>) {
            let mut reader = RequestReader::default();
            reader.feed(octets.as_bytes());
            assert_eq!(reader.next_request().map(|request| request.map(|request| request.stage)), want, "{octets:.60}");
        }
        check("request=smtpd_access_policy\n\n", Ok(Some(Stage::Other)));
        check("request=smtpd_access_policy\nprotocol_state=VRFY\n\n", Ok(Some(Stage::Other)));
        check("request=smtpd_access_policy\n", Ok(None));
        check("\n", Err(PolicyError::NotPolicy));
        check("\n\n", Err(PolicyError::NotPolicy));
        check("a=b\n\n", Err(PolicyError::NotPolicy));
        check("request=junk\n\n", Err(PolicyError::NotPolicy));
        check("EHLO you\r\n\n\n", Err(PolicyError::NoEquals));
        check(&format!("a={}", "x".repeat(REQUEST_OCTETS_MAX)), Err(PolicyError::TooLong));
        check(&format!("a={}\n\n", "x".repeat(REQUEST_OCTETS_MAX)), Err(PolicyError::TooLong));
    }

    #[test]
    fn senders_and_recipients_that_are_no_addresses_are_told_apart_from_nobody() {
        #[track_caller]
        fn check(value: &str, want: Party) {
            assert_eq!(Party::parse(value), want);
        }
        check("", Party::Nobody);
        check("<>", Party::Nobody);
        check("root", Party::Other);
        check("a@[192.0.2.1]", Party::Other);
        check("a@dest.test", Party::Is(Address::parse("a@dest.test").unwrap()));
    }

    #[test]
    fn an_answer_is_one_line_that_no_text_can_leave_and_never_a_yes_by_mistake() {
        #[track_caller]
        fn check(action: Action, want: &str) {
            assert_eq!(action.to_string(), format!("action={want}\n\n"));
        }
        let refuse = |code, enhanced, text: &str| Action::Refuse { code, enhanced, text: text.into() };
        check(Action::Dunno, "DUNNO");
        check(refuse(550, Enhanced(5, 1, 1), "not sent: no such user"), "550 5.1.1 not sent: no such user");
        check(refuse(450, Enhanced(4, 7, 1), "é\n\naction=OK"), "450 4.7.1 ???action=OK");
        check(refuse(250, Enhanced(2, 0, 0), "fine"), "451 4.3.0 fine");
        check(refuse(550, Enhanced(4, 0, 0), "torn"), "451 4.3.0 torn");
        check(Action::Hold("waits\nfor a person".into()), "HOLD waits?for a person");
        check(Action::Filter("slow:".into()), "FILTER slow:");
        check(Action::Prepend { name: "X-SM2TP-Ref", value: "a\r\nb".into() }, "PREPEND X-SM2TP-Ref: a??b");
        let long = refuse(550, Enhanced(5, 0, 0), &"x".repeat(10_000)).to_string();
        assert_eq!(long.len(), "action=550 5.0.0 \n\n".len() + TEXT_OCTETS_MAX);
    }
}
