//! Command lines ⇄ commands (RFC 5321 §4.1.1), strictly.
//!
//! Not smtp-proto's `Request::parse`: it takes the quotes off a quoted local part, gives the same value for `RCPT TO:<>`
//! and `RCPT TO:<postmaster>`, replaces octets that are no UTF-8, and ignores what follows DATA, RSET, QUIT and
//! STARTTLS. It is the second opinion of the tests.

use thiserror::Error;

use super::Secret;
use super::bdat::Last;
use super::params::{self, Form, MailOptions, ParamError, RcptOptions};
use super::refusal::Refusal;
use super::xclient::Xclient;
use crate::{Address, AddressError, DomainError, Enhanced};

/// One command with its arguments checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Command {
    Ehlo(String),
    Helo(String),
    Mail {
        path: Option<Address>,
        params: MailParams,
    },
    Rcpt {
        path: Address,
        options: RcptOptions,
        /// Whether the line held more than ASCII, which only a transaction with SMTPUTF8 allows (RFC 6531 §3.3).
        form: Form,
    },
    Bdat {
        octets: u64,
        last: Last,
    },
    Auth {
        mechanism: Mechanism,
        initial: Option<Secret>,
    },
    StartTls,
    /// Whether it is offered the session knows.
    Xclient(Box<Xclient>),
    Data,
    Rset,
    Noop,
    Quit,
    Help,
    /// VRFY and EXPN: known, and not done for anybody.
    Verify,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    Plain,
    Login,
    ScramSha256,
}

/// What MAIL says about the message besides its sender.
///
/// AUTH= (RFC 4954 §5) is understood and forgotten: nobody here is trusted to speak for another submitter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MailParams {
    /// RFC 1870: octets, as the client estimates them.
    pub size: Option<u64>,
    pub body: Option<Body>,
    /// What stays with the mail.
    pub options: MailOptions,
}

/// RFC 6152.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    SevenBit,
    EightBitMime,
}

/// Why a line is no command that we follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum CommandError {
    /// A browser or a page that makes one talk to us; whatever follows was written by somebody else.
    #[error("This is SMTP, not HTTP")]
    Http,
    #[error("Only printable ASCII in commands")]
    Octets,
    #[error("Unknown command")]
    Unknown,
    #[error("Syntax: {0}")]
    Syntax(&'static str),
    #[error("No parameters are allowed here")]
    NoParameters,
    #[error("Bad sender address: {0}")]
    Sender(AddressError),
    #[error("Bad recipient address: {0}")]
    Recipient(AddressError),
    #[error("A recipient is needed between < and >")]
    NoRecipient,
    #[error("A recipient needs a domain: this relay has no mailboxes of its own")]
    NoDomain,
    #[error("An address beyond ASCII needs SMTPUTF8 behind MAIL FROM (RFC 6531 3.3)")]
    Utf8Address,
    /// Nobody knows where the chunk ends: what follows may be content that looks like commands.
    #[error("Syntax: BDAT octets [LAST]; not knowing where your message ends, this connection closes")]
    Chunk,
    #[error("Parameter unknown or not offered")]
    Parameter,
    #[error("Bad value of a parameter, or given twice")]
    ParameterValue,
    #[error("AUTH mechanism not offered")]
    Mechanism,
}

impl Command {
    /// Reads one line without its CRLF.
    ///
    /// # Errors
    /// [`CommandError`].
    pub(super) fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let verb_end = line.iter().position(|byte| *byte == b' ').unwrap_or(line.len());
        let verb = line[..verb_end].to_ascii_uppercase();
        let (line, form) = match text(line, &verb) {
            // Whatever is wrong with it, a message may follow.
            Err(_) if verb.starts_with(b"BDAT") => return Err(CommandError::Chunk),
            other => other?,
        };
        // RFC 5321 §4.1.1: white space before the CRLF is to be tolerated.
        let words = line[verb_end..].trim_matches(' ');
        match verb.as_slice() {
            b"EHLO" => name(words).map(Self::Ehlo).ok_or(CommandError::Syntax("EHLO hostname")),
            b"HELO" => name(words).map(Self::Helo).ok_or(CommandError::Syntax("HELO hostname")),
            b"MAIL" => mail(words, form),
            b"RCPT" => rcpt(words, form),
            b"BDAT" => bdat(words).ok_or(CommandError::Chunk),
            b"AUTH" => auth(words),
            b"XCLIENT" => {
                Xclient::parse(words).map(|told| Self::Xclient(Box::new(told))).ok_or(CommandError::ParameterValue)
            }
            b"STARTTLS" => alone(words, Self::StartTls),
            b"DATA" => alone(words, Self::Data),
            b"RSET" => alone(words, Self::Rset),
            b"QUIT" => alone(words, Self::Quit),
            b"NOOP" => Ok(Self::Noop),
            b"HELP" => Ok(Self::Help),
            b"VRFY" | b"EXPN" => Ok(Self::Verify),
            b"GET" | b"POST" | b"PUT" | b"HEAD" | b"OPTIONS" | b"CONNECT" | b"DELETE" | b"PATCH" | b"PRI"
            | b"HOST:" => Err(CommandError::Http),
            verb if verb.starts_with(b"BDAT") => Err(CommandError::Chunk),
            _ => Err(CommandError::Unknown),
        }
    }
}

impl CommandError {
    /// What the other side is told.
    pub(super) fn refusal(self) -> Refusal {
        let (code, enhanced) = match self {
            Self::Http => (421, Enhanced(4, 7, 0)),
            Self::Octets => (500, Enhanced(5, 5, 2)),
            Self::Unknown => (500, Enhanced(5, 5, 1)),
            Self::Syntax(_) | Self::NoParameters | Self::ParameterValue | Self::Chunk => (501, Enhanced(5, 5, 4)),
            Self::Sender(_) => (501, Enhanced(5, 1, 7)),
            Self::Recipient(_) | Self::NoRecipient => (501, Enhanced(5, 1, 3)),
            Self::NoDomain => (550, Enhanced(5, 1, 3)),
            Self::Utf8Address => (553, Enhanced(5, 6, 7)),
            Self::Parameter => (555, Enhanced(5, 5, 4)),
            Self::Mechanism => (504, Enhanced(5, 5, 4)),
        };
        Refusal::new(code, enhanced, self.to_string())
    }
}

/// The line as text. Only MAIL and RCPT may hold more than ASCII (RFC 6531 §3.3), and nothing may hold control characters.
fn text<'a>(line: &'a [u8], verb: &[u8]) -> Result<(&'a str, Form), CommandError> {
    let line = std::str::from_utf8(line).map_err(|_| CommandError::Octets)?;
    if line.chars().any(char::is_control) {
        return Err(CommandError::Octets);
    }
    match verb {
        _ if line.is_ascii() => Ok((line, Form::Ascii)),
        b"MAIL" | b"RCPT" => Ok((line, Form::Utf8)),
        _ => Err(CommandError::Octets),
    }
}

fn alone(words: &str, command: Command) -> Result<Command, CommandError> {
    if words.is_empty() { Ok(command) } else { Err(CommandError::NoParameters) }
}

/// What a client calls itself. Many do not know their name, so anything goes that can stand in a Received field.
fn name(words: &str) -> Option<String> {
    let fine = (1..=NAME_OCTETS_MAX).contains(&words.len())
        && words.bytes().all(|byte| byte.is_ascii_graphic() && !b"()<>@,;\\\"".contains(&byte));
    fine.then(|| words.to_owned())
}

fn mail(words: &str, form: Form) -> Result<Command, CommandError> {
    let (path, params) = path(words, "FROM:").ok_or(CommandError::Syntax("MAIL FROM:<address> [parameters]"))?;
    let path = match path {
        "" => None,
        path => Some(address(path).map_err(CommandError::Sender)?),
    };
    let params = mail_params(params)?;
    if form == Form::Utf8 && !params.options.utf8 {
        return Err(CommandError::Utf8Address);
    }
    Ok(Command::Mail { path, params })
}

fn rcpt(words: &str, form: Form) -> Result<Command, CommandError> {
    let (path, params) = path(words, "TO:").ok_or(CommandError::Syntax("RCPT TO:<address> [parameters]"))?;
    if path.is_empty() {
        return Err(CommandError::NoRecipient);
    }
    let path = address(path).map_err(|error| match error {
        AddressError::NoAt => CommandError::NoDomain,
        error => CommandError::Recipient(error),
    })?;
    let mut options = RcptOptions::default();
    params::each(params, |key, value| options.take(key, value))?;
    Ok(Command::Rcpt { path, options, form })
}

/// An address whose domain has a form for the DNS: one that IDNA does not know can never be sent to (RFC 6531 §3.2).
fn address(path: &str) -> Result<Address, AddressError> {
    let address = Address::parse(path)?;
    match address.domain().to_ascii() {
        Some(_) => Ok(address),
        None => Err(DomainError::BadCharacter.into()),
    }
}

/// RFC 3030 §2. What is no number of 64 bits is no size: nothing behind it can be understood.
fn bdat(words: &str) -> Option<Command> {
    let (size, last) = match words.split_once(' ') {
        None => (words, Last::No),
        Some((size, word)) if word.trim_matches(' ').eq_ignore_ascii_case("LAST") => (size, Last::Yes),
        Some(_) => return None,
    };
    let digits = (1..=20).contains(&size.len()) && size.bytes().all(|byte| byte.is_ascii_digit());
    let octets = Some(size).filter(|_| digits)?.parse().ok()?;
    Some(Command::Bdat { octets, last })
}

/// `FROM:<path> parameters` to `(path, parameters)`. Spaces before `<` are wrong, common and harmless.
fn path<'a>(words: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let (head, rest) = words.split_at_checked(keyword.len())?;
    let rest = rest.trim_start_matches(' ').strip_prefix('<').filter(|_| head.eq_ignore_ascii_case(keyword))?;
    let (path, params) = rest.split_at_checked(path_end(rest)?)?;
    let params = params.strip_prefix('>')?;
    (params.is_empty() || params.starts_with(' ')).then(|| (path, params.trim_start_matches(' ')))
}

/// Where the closing `>` is; one between quotes belongs to the local part.
fn path_end(rest: &str) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (index, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'>' if !quoted => return Some(index),
            _ => {}
        }
    }
    None
}

fn mail_params(words: &str) -> Result<MailParams, CommandError> {
    let (mut params, mut submitter) = (MailParams::default(), None);
    params::each(words, |key, value| {
        let twice = match key.to_ascii_uppercase().as_str() {
            "SIZE" => params.size.replace(size(value)?).is_some(),
            "BODY" => params.body.replace(body(value)?).is_some(),
            "AUTH" => submitter.replace(xtext(value)?).is_some(),
            _ => return Ok(params.options.take(key, value)?),
        };
        if twice { Err(CommandError::ParameterValue) } else { Ok(()) }
    })?;
    Ok(params)
}

impl From<ParamError> for CommandError {
    fn from(error: ParamError) -> Self {
        match error {
            ParamError::Unknown => Self::Parameter,
            ParamError::Value => Self::ParameterValue,
        }
    }
}

/// RFC 1870 §4: 1 to 20 digits. What does not fit into 64 bits is too large anyway.
fn size(value: Option<&str>) -> Result<u64, CommandError> {
    let digits = value
        .filter(|value| (1..=20).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit()))
        .ok_or(CommandError::ParameterValue)?;
    Ok(digits.parse().unwrap_or(u64::MAX))
}

/// BINARYMIME (RFC 3030 §3) is not offered: bare CR, LF and NUL in a message are what smuggling is made of.
fn body(value: Option<&str>) -> Result<Body, CommandError> {
    match value.unwrap_or_default().to_ascii_uppercase().as_str() {
        "7BIT" => Ok(Body::SevenBit),
        "8BITMIME" => Ok(Body::EightBitMime),
        "BINARYMIME" => Err(CommandError::Parameter),
        _ => Err(CommandError::ParameterValue),
    }
}

/// RFC 3461 §4: `+` is followed by two upper-case hexadecimal digits.
fn xtext(value: Option<&str>) -> Result<(), CommandError> {
    let value = value.filter(|value| !value.is_empty()).ok_or(CommandError::ParameterValue)?;
    let fine = value.split('+').skip(1).all(|rest| {
        rest.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F')))
    });
    if fine && !value.contains('=') { Ok(()) } else { Err(CommandError::ParameterValue) }
}

fn auth(words: &str) -> Result<Command, CommandError> {
    let (mechanism, initial) = words.split_once(' ').map_or((words, None), |(name, rest)| (name, Some(rest)));
    let mechanism = match mechanism.to_ascii_uppercase().as_str() {
        "" => return Err(CommandError::Syntax("AUTH mechanism [initial-response]")),
        "PLAIN" => Mechanism::Plain,
        "LOGIN" => Mechanism::Login,
        crate::scram::MECHANISM => Mechanism::ScramSha256,
        _ => return Err(CommandError::Mechanism),
    };
    let initial = initial.map(|text| Secret::new(text.trim_matches(' ').to_owned()));
    Ok(Command::Auth { mechanism, initial })
}

/// RFC 5321 §4.5.3.1.2: a domain has at most 255 octets.
const NAME_OCTETS_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smtp::params::{Notify, Ret};

    #[track_caller]
    fn check(line: &str, want: Result<Command, CommandError>) {
        assert_eq!(Command::parse(line.as_bytes()), want, "{line:?}");
    }

    fn mail_from(path: &str, params: MailParams) -> Result<Command, CommandError> {
        let path = (!path.is_empty()).then(|| Address::parse(path).unwrap());
        Ok(Command::Mail { path, params })
    }

    fn rcpt_to(path: &str, params: &str) -> Result<Command, CommandError> {
        let options = RcptOptions::from_stored(Some(params)).unwrap();
        let form = if path.is_ascii() { Form::Ascii } else { Form::Utf8 };
        Ok(Command::Rcpt { path: Address::parse(path).unwrap(), options, form })
    }

    #[test]
    fn commands_are_read_in_any_case_with_spaces_at_the_end() {
        check("eHLo relay.example.org  ", Ok(Command::Ehlo("relay.example.org".into())));
        check("HELO [127.0.0.1]", Ok(Command::Helo("[127.0.0.1]".into())));
        check("data ", Ok(Command::Data));
        check("NOOP whatever", Ok(Command::Noop));
        check("DATA now", Err(CommandError::NoParameters));
        check("QUIT now", Err(CommandError::NoParameters));
        check("STARTTLS x", Err(CommandError::NoParameters));
        check("EHLO", Err(CommandError::Syntax("EHLO hostname")));
        check("EHLO a b", Err(CommandError::Syntax("EHLO hostname")));
        check("EHLO <x>", Err(CommandError::Syntax("EHLO hostname")));
        check(" NOOP", Err(CommandError::Unknown));
        check("", Err(CommandError::Unknown));
        check("NOOP\té", Err(CommandError::Octets));
        check("NOOP é", Err(CommandError::Octets));
        check("GET / HTTP/1.1", Err(CommandError::Http));
        check("Host: relay", Err(CommandError::Http));
    }

    #[test]
    fn paths_keep_what_was_said() {
        check("MAIL FROM:<>", mail_from("", MailParams::default()));
        check("mail from: <a@b.test>", mail_from("a@b.test", MailParams::default()));
        check("RCPT TO:<\"a > b\"@c.test>", rcpt_to("\"a > b\"@c.test", ""));
        check("RCPT TO:<\"a\\\">b\"@c.test>", rcpt_to("\"a\\\">b\"@c.test", ""));
        check("RCPT TO:<postmaster>", Err(CommandError::NoDomain));
        check("RCPT TO:<>", Err(CommandError::NoRecipient));
        check("RCPT TO:<@a.test:b@c.test>", Err(CommandError::Recipient(AddressError::SourceRoute)));
        check("RCPT TO:<a@b.test> notify=NEVER", rcpt_to("a@b.test", "NOTIFY=NEVER"));
        check("RCPT TO:<a@b.test> NOTIFY=SOMETIMES", Err(CommandError::ParameterValue));
        check("RCPT TO:<a@b.test> RET=FULL", Err(CommandError::Parameter));
        check("RCPT TO:<é@b.test>", rcpt_to("é@b.test", ""));
        check("MAIL FROM:<é@b.test>", Err(CommandError::Utf8Address));
        let utf8 = MailOptions { utf8: true, ..MailOptions::default() };
        check(
            "MAIL FROM:<é@b.test> smtputf8",
            mail_from("é@b.test", MailParams { options: utf8, ..Default::default() }),
        );
        check(
            "RCPT TO:<a@b\u{2002}c.test>",
            Err(CommandError::Recipient(AddressError::Domain(DomainError::BadCharacter))),
        );
        check("RCPT TO:<a\u{85}@b.test>", Err(CommandError::Octets));
        for bad in ["RCPT TO:a@b.test", "RCPT TO:<a@b.test", "RCPT TO:<a@b.test>x", "RCPT <a@b.test>", "RCPT"] {
            check(bad, Err(CommandError::Syntax("RCPT TO:<address> [parameters]")));
        }
    }

    #[test]
    fn parameters_of_mail_are_the_offered_ones() {
        let options = MailOptions { envid: Some("1".into()), ..MailOptions::default() };
        let params = MailParams { size: Some(5), body: Some(Body::EightBitMime), options };
        check("MAIL FROM:<a@b.test> size=5 body=8bitmime AUTH=<> ENVID=1", mail_from("a@b.test", params));
        let huge = MailParams { size: Some(u64::MAX), ..MailParams::default() };
        check("MAIL FROM:<> SIZE=99999999999999999999", mail_from("", huge));
        for bad in ["SIZE", "SIZE=", "SIZE=-1", "SIZE=1 SIZE=2", "BODY=9BIT", "BODY", "AUTH=", "AUTH=a+b", "AUTH=a+4"] {
            check(&format!("MAIL FROM:<> {bad}"), Err(CommandError::ParameterValue));
        }
        for unknown in ["BODY=BINARYMIME", "X", "=", "NOTIFY=NEVER", "MT-PRIORITY=1"] {
            check(&format!("MAIL FROM:<> {unknown}"), Err(CommandError::Parameter));
        }
    }

    #[test]
    fn a_chunk_has_a_size_or_nothing_behind_it_is_understood() {
        check("bdat 12", Ok(Command::Bdat { octets: 12, last: Last::No }));
        check("BDAT 0 last ", Ok(Command::Bdat { octets: 0, last: Last::Yes }));
        check("BDAT 18446744073709551615", Ok(Command::Bdat { octets: u64::MAX, last: Last::No }));
        for bad in
            ["", " ", " LAST", " -1", " +1", " 1 LAST LAST", " 1 2", " 0x1", " 18446744073709551616", " 1,5", " é"]
        {
            check(&format!("BDAT{bad}"), Err(CommandError::Chunk));
        }
        check(&format!("BDAT {}1", "0".repeat(20)), Err(CommandError::Chunk));
        check("BDAT\t1", Err(CommandError::Chunk));
    }

    #[test]
    fn auth_takes_its_initial_response() {
        let want = |initial: Option<&str>| {
            Ok(Command::Auth { mechanism: Mechanism::Plain, initial: initial.map(|text| Secret::new(text.into())) })
        };
        check("AUTH PLAIN", want(None));
        check("auth plain AGEAYg==", want(Some("AGEAYg==")));
        check("AUTH CRAM-MD5", Err(CommandError::Mechanism));
        check("AUTH", Err(CommandError::Syntax("AUTH mechanism [initial-response]")));
    }

    /// The other opinion: what we take as a command, smtp-proto reads the same way (but for what the head of this
    /// file tells).
    #[test]
    fn smtp_proto_reads_the_same() {
        let seeds: Vec<&[u8]> = vec![
            b"EHLO relay.example.org",
            b"helo [192.0.2.1]",
            b"MAIL FROM:<a.b@c.test> SIZE=10 BODY=8BITMIME AUTH=<>",
            b"MAIL FROM: <>",
            b"RCPT TO:<a+b@c.d.test>",
            b"RCPT TO:<a@d.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.test",
            b"MAIL FROM:<a@c.test> RET=HDRS ENVID=QQ SMTPUTF8 REQUIRETLS",
            b"BDAT 100 LAST",
            b"BDAT 7",
            b"AUTH PLAIN AGFubmEA",
            b"AUTH LOGIN",
            b"STARTTLS",
            b"DATA",
            b"RSET",
            b"NOOP x",
            b"QUIT",
            b"HELP",
            b"VRFY a",
        ];
        let (mut state, mut taken) = (1_u64, 0);
        let mut roll = |end: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(state >> 33).unwrap() % end.max(1)
        };
        for _ in 0..20_000 {
            let mut line = seeds[roll(seeds.len())].to_vec();
            for _ in 0..roll(3) {
                let at = roll(line.len());
                match roll(3) {
                    0 => line[at] = u8::try_from(32 + roll(95)).unwrap(),
                    1 => drop(line.remove(at)),
                    _ => line.insert(at, b" <>@.=+\"\\:a"[roll(11)]),
                }
            }
            if let Ok(command) = Command::parse(&line) {
                taken += 1;
                // They refuse a second space behind EHLO, we do not.
                line.dedup_by(|a, b| (*a, *b) == (b' ', b' '));
                compare(&command, &[&line, &b"\r\n"[..]].concat());
            }
        }
        assert!(5000 < taken, "{taken}");
    }

    #[track_caller]
    fn compare(ours: &Command, line: &[u8]) {
        use smtp_proto::Request;
        let text = line.escape_ascii();
        // Their quotes are gone; what VRFY asks is nothing to us; kinds of ORCPT other than two they refuse.
        let other_kind = matches!(ours, Command::Rcpt { options: RcptOptions { orcpt: Some(orcpt), .. }, .. }
            if !orcpt.kind().eq_ignore_ascii_case("rfc822") && !orcpt.kind().eq_ignore_ascii_case("utf-8"));
        if line.contains(&b'"') || *ours == Command::Verify || other_kind {
            return;
        }
        let theirs = Request::parse(&mut line.iter()).unwrap_or_else(|error| panic!("{text}: {error}"));
        let same = match (ours, &theirs) {
            (Command::Ehlo(name), Request::Ehlo { host }) | (Command::Helo(name), Request::Helo { host }) => {
                host == name
            }
            (Command::Mail { path, params }, Request::Mail { from }) => {
                let options = &params.options;
                let flags = [
                    (params.body == Some(Body::SevenBit), smtp_proto::MAIL_BODY_7BIT),
                    (params.body == Some(Body::EightBitMime), smtp_proto::MAIL_BODY_8BITMIME),
                    (options.ret == Some(Ret::Full), smtp_proto::MAIL_RET_FULL),
                    (options.ret == Some(Ret::Headers), smtp_proto::MAIL_RET_HDRS),
                    (options.utf8, smtp_proto::MAIL_SMTPUTF8),
                    (options.require_tls, smtp_proto::MAIL_REQUIRETLS),
                ];
                let flags: u64 = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum();
                let size = params.size.map_or(0, |size| usize::try_from(size).unwrap());
                path.is_none() == from.address.is_empty()
                    && path.as_ref().is_none_or(|path| Address::parse(&from.address).as_ref() == Ok(path))
                    && (from.size, from.flags) == (size, flags)
            }
            (Command::Rcpt { path, options, .. }, Request::Rcpt { to }) => {
                let flags = [
                    (options.notify == Some(Notify::NEVER), smtp_proto::RCPT_NOTIFY_NEVER),
                    (options.notify.is_some() && options.wants(Notify::SUCCESS), smtp_proto::RCPT_NOTIFY_SUCCESS),
                    (options.notify.is_some() && options.wants(Notify::FAILURE), smtp_proto::RCPT_NOTIFY_FAILURE),
                    (options.notify.is_some() && options.wants(Notify::DELAY), smtp_proto::RCPT_NOTIFY_DELAY),
                ];
                let flags: u64 = flags.iter().filter(|(set, _)| *set).map(|(_, flag)| flag).sum();
                Address::parse(&to.address).as_ref() == Ok(path) && to.flags == flags
            }
            (Command::Bdat { octets, last }, Request::Bdat { chunk_size, is_last }) => {
                (*octets, *last == Last::Yes) == (*chunk_size as u64, *is_last)
            }
            (Command::Auth { mechanism, initial }, Request::Auth { mechanism: theirs, initial_response }) => {
                let ours = match mechanism {
                    Mechanism::Plain => smtp_proto::AUTH_PLAIN,
                    Mechanism::Login => smtp_proto::AUTH_LOGIN,
                    Mechanism::ScramSha256 => smtp_proto::AUTH_SCRAM_SHA_256,
                };
                let word = initial.as_ref().and_then(|text| text.reveal().split(' ').next()).unwrap_or_default();
                ours == *theirs && word == initial_response
            }
            (Command::StartTls, Request::StartTls)
            | (Command::Data, Request::Data)
            | (Command::Rset, Request::Rset)
            | (Command::Noop, Request::Noop { .. })
            | (Command::Quit, Request::Quit)
            | (Command::Help, Request::Help { .. }) => true,
            _ => false,
        };
        assert!(same, "{text}: {ours:?} is not {theirs:?}");
    }
}
