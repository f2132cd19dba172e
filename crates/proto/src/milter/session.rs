//! The state of one connection: what was agreed on, what the frame at hand means, and how its answer is written.

use std::net::IpAddr;

use super::frame::write;
use super::{Answer, Began, Change, Event, MilterError};
use crate::Enhanced;
use crate::policy::Party;

/// One connection of a mail server.
#[derive(Debug)]
pub struct Session {
    wants: Wants,
    stage: Stage,
    /// What the mail server will not wait for (`SMFIP_NR_*`), as agreed.
    unanswered: u32,
    /// What may be done at the end of a mail (`SMFIF_*`), as agreed.
    actions: u32,
    macros: Macros,
    /// The command at hand, until it is answered.
    open: Option<u8>,
}

/// What the other side of the session needs to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// All of a mail, with an answer for each recipient.
    ToDecide,
    /// Sender, recipients and header, with an answer at the end alone.
    ToMark,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Nothing was agreed on.
    Opening,
    /// Between mails.
    Idle,
    /// A mail was begun.
    Mail,
}

/// What the mail server says beside its commands.
#[derive(Debug, Default)]
struct Macros {
    login: Option<String>,
    client: Option<IpAddr>,
    port: Option<String>,
    queue_id: Option<String>,
}

impl Session {
    #[must_use]
    pub fn new(wants: Wants) -> Self {
        let macros = Macros::default();
        Self { wants, stage: Stage::Opening, unanswered: 0, actions: 0, macros, open: None }
    }

    /// Takes a frame. `out` gets what is to be sent before any answer.
    ///
    /// # Errors
    /// [`MilterError`]; the connection is to be closed.
    pub fn take(&mut self, frame: &[u8], out: &mut Vec<u8>) -> Result<Event, MilterError> {
        let Some((command, data)) = frame.split_first() else { return Err(MilterError::Empty) };
        self.open = None;
        match (*command, self.stage) {
            (OPTNEG, _) => self.agree(data, out),
            (_, Stage::Opening) => Err(MilterError::OutOfTurn(*command)),
            (MACRO, _) => self.macros.read(data),
            (QUIT, _) => Ok(Event::Quit),
            // The next client of the mail server, on the same connection to us.
            (QUIT_NEW, _) => {
                (self.stage, self.macros) = (Stage::Idle, Macros::default());
                Ok(Event::Aborted)
            }
            (ABORT, _) => {
                self.over();
                Ok(Event::Aborted)
            }
            (command, stage) => {
                let event = self.said(command, data, stage)?;
                self.open = Some(command);
                Ok(event)
            }
        }
    }

    /// Appends the answer to the frame that was taken last, if the mail server waits for one.
    pub fn answer(&mut self, answer: &Answer, out: &mut Vec<u8>) {
        let Some(command) = self.open.take() else { return };
        if self.unanswered & unanswered_flag(command) != 0 {
            return;
        }
        match answer {
            Answer::Accept if command == RCPT => {
                self.over();
                write(out, b'a', &[]);
            }
            Answer::Continue | Answer::Accept => write(out, b'c', &[]),
            Answer::Refuse { code, enhanced, text } => {
                write(out, b'y', &[reply(*code, *enhanced, text).as_bytes(), b"\0"]);
            }
            Answer::Change(changes) => {
                if command == END {
                    changes.iter().for_each(|change| self.change(change, out));
                }
                write(out, b'c', &[]);
            }
            // At RCPT it would mean the whole mail, of which nobody was told yet.
            Answer::Discard if command == END => write(out, b'd', &[]),
            Answer::Discard => write(out, b'c', &[]),
        }
        if command == END {
            self.over();
        }
    }

    /// Whether the mail server lets us change the return path and the header.
    #[must_use]
    pub fn may_mark(&self) -> bool {
        self.actions & MARKING == MARKING
    }

    /// Whether the mail server lets us take a recipient out of a mail.
    #[must_use]
    pub fn may_leave_out(&self) -> bool {
        self.actions & LEAVING_OUT == LEAVING_OUT
    }

    /// Whether the mail server has a quarantine.
    fn may_quarantine(&self) -> bool {
        self.actions & QUARANTINE == QUARANTINE
    }

    fn over(&mut self) {
        self.stage = Stage::Idle;
        (self.macros.login, self.macros.queue_id) = (None, None);
    }

    fn agree(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<Event, MilterError> {
        let number = |at: usize| data.get(at..at + 4).and_then(|octets| octets.try_into().ok()).map(u32::from_be_bytes);
        let (Some(version), Some(actions), Some(protocol)) = (number(0), number(4), number(8)) else {
            return Err(MilterError::Short(OPTNEG));
        };
        if version < VERSION_MIN {
            return Err(MilterError::Version(version));
        }
        let wanted = match self.wants {
            Wants::ToDecide => UNINTERESTING | NR_CONNECT | NR_MAIL | NR_HEADER | NR_BODY,
            Wants::ToMark => UNINTERESTING | NO_BODY | NR_CONNECT | NR_MAIL | NR_RCPT | NR_HEADER,
        };
        let wishes = match self.wants {
            Wants::ToDecide => MARKING | QUARANTINE | SET_SYMBOLS | LEAVING_OUT,
            Wants::ToMark => MARKING | QUARANTINE | SET_SYMBOLS,
        };
        let (actions, protocol) = (actions & wishes, protocol & wanted);
        (self.actions, self.unanswered, self.stage) = (actions, protocol, Stage::Idle);
        let version = version.min(VERSION);
        let agreed = [version, actions, protocol].map(u32::to_be_bytes).concat();
        let symbols = if actions & SET_SYMBOLS == 0 { Vec::new() } else { symbols() };
        write(out, OPTNEG, &[&agreed, &symbols]);
        Ok(Event::Nothing)
    }

    fn said(&mut self, command: u8, data: &[u8], stage: Stage) -> Result<Event, MilterError> {
        match (command, stage) {
            (CONNECT, _) => client(data).map(Event::Connected),
            (HELO | UNKNOWN, _) => Ok(Event::Nothing),
            (MAIL, _) => {
                self.stage = Stage::Mail;
                Ok(Event::Mail(self.begins(data)?))
            }
            (RCPT, Stage::Mail) => {
                let path = texts(data).next().ok_or(MilterError::Short(RCPT))?;
                let to = party(&path);
                let is_found = to.address().is_some_and(|to| to.clear() == path.trim_matches(['<', '>']));
                Ok(Event::Recipient { to, path: is_found.then(|| path.into_owned()) })
            }
            (DATA | END_OF_HEADER, Stage::Mail) => Ok(Event::Nothing),
            (HEADER, Stage::Mail) => {
                let mut texts = texts(data);
                let (Some(name), Some(value)) = (texts.next(), texts.next()) else {
                    return Err(MilterError::Short(HEADER));
                };
                Ok(Event::Field { name: name.into_owned(), value: value.replace(['\r', '\n'], "") })
            }
            (BODY, Stage::Mail) => Ok(Event::Body(data.len())),
            (END, Stage::Mail) => Ok(Event::End { queue_id: self.macros.queue_id.clone() }),
            (RCPT | DATA | END_OF_HEADER | HEADER | BODY | END, _) => Err(MilterError::OutOfTurn(command)),
            _ => Err(MilterError::Unknown(command)),
        }
    }

    fn begins(&self, data: &[u8]) -> Result<Began, MilterError> {
        let mut texts = texts(data);
        let sender = party(&texts.next().ok_or(MilterError::Short(MAIL))?);
        let size = |parameter: &str| {
            let (name, value) = parameter.split_once('=')?;
            name.eq_ignore_ascii_case("SIZE").then(|| value.parse().ok()).flatten()
        };
        let octets = texts.find_map(|parameter| size(&parameter)).filter(|octets| 0 < *octets);
        let Macros { login, client, port, .. } = &self.macros;
        Ok(Began { sender, octets, login: login.clone(), client: *client, port: port.clone() })
    }

    fn change(&self, change: &Change, out: &mut Vec<u8>) {
        match change {
            Change::From(path) if self.may_mark() => write(out, b'e', &[b"<", path.clear().as_bytes(), b">\0"]),
            Change::Insert { name, value } if self.may_mark() => {
                // 1: on top of what the client sent, below what the mail server added.
                let index = 1_u32.to_be_bytes();
                write(out, b'i', &[&index, name.as_bytes(), b"\0", line(value).as_bytes(), b"\0"]);
            }
            Change::Remove { name, index } if self.may_mark() => {
                write(out, b'm', &[&index.to_be_bytes(), name.as_bytes(), b"\0\0"]);
            }
            Change::Leave(path) if self.may_leave_out() => write(out, b'-', &[path.as_bytes(), b"\0"]),
            Change::Quarantine(why) if self.may_quarantine() => write(out, b'q', &[line(why).as_bytes(), b"\0"]),
            // What was not agreed on must not be asked for: the mail server would take us for broken.
            _ => {}
        }
    }
}

impl Macros {
    /// The command that they are for, then names and values by turns.
    fn read(&mut self, data: &[u8]) -> Result<Event, MilterError> {
        let Some((command, data)) = data.split_first() else { return Err(MilterError::Short(MACRO)) };
        if *command == MAIL {
            (self.login, self.queue_id) = (None, None);
        }
        let mut texts = texts(data);
        while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
            if value.is_empty() || MACRO_OCTETS_MAX < value.len() {
                continue;
            }
            // A name of one letter may stand without its braces.
            match name.trim_matches(['{', '}']) {
                "auth_authen" => self.login = Some(value.into_owned()),
                "client_addr" => self.client = ip(&value),
                "daemon_name" => self.port = Some(value.into_owned()),
                "i" => self.queue_id = Some(value.into_owned()),
                _ => {}
            }
        }
        Ok(Event::Nothing)
    }
}

/// Texts that each end with a zero octet.
fn texts(data: &[u8]) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    data.split_inclusive(|octet| *octet == 0)
        .map(|text| String::from_utf8_lossy(text.strip_suffix(b"\0").unwrap_or(text)))
}

/// Name, kind of address, port, address: `relay.test\0` `4` `\x12\x34` `192.0.2.1\0`.
fn client(data: &[u8]) -> Result<Option<IpAddr>, MilterError> {
    let end = data.iter().position(|octet| *octet == 0).ok_or(MilterError::Short(CONNECT))?;
    match &data[end + 1..] {
        [b'4' | b'6', _, _, address @ ..] => Ok(texts(address).next().and_then(|address| ip(&address))),
        [_, ..] => Ok(None),
        [] => Err(MilterError::Short(CONNECT)),
    }
}

fn ip(text: &str) -> Option<IpAddr> {
    let text = text.get(..5).filter(|tag| tag.eq_ignore_ascii_case("IPv6:")).map_or(text, |tag| &text[tag.len()..]);
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

fn party(path: &str) -> Party {
    let inside = path.strip_prefix('<').and_then(|rest| rest.strip_suffix('>'));
    Party::parse(inside.unwrap_or(path))
}

/// The macros that we read, for MAIL and for the end (`SMFIF_SETSYMLIST`), so that nobody needs to configure them.
fn symbols() -> Vec<u8> {
    let list = |stage: u32, names: &[u8]| [&stage.to_be_bytes()[..], names, b"\0"].concat();
    [list(AT_MAIL, b"i {auth_authen} {client_addr} {daemon_name}"), list(AT_END, b"i")].concat()
}

/// A code that is no refusal is sent as 451, as is one whose enhanced code says something else.
fn reply(code: u16, enhanced: Enhanced, text: &str) -> String {
    let fits = (400..600).contains(&code) && u16::from(enhanced.0) == code / 100;
    let (code, enhanced) = if fits { (code, enhanced) } else { (451, Enhanced(4, 3, 0)) };
    format!("{code} {enhanced} {}", line(text))
}

/// One line of printable ASCII. Sendmail takes `%` for more than itself.
fn line(text: &str) -> String {
    crate::policy::line(text).replace('%', "?")
}

fn unanswered_flag(command: u8) -> u32 {
    match command {
        CONNECT => NR_CONNECT | NO_CONNECT,
        HELO => NO_HELO,
        MAIL => NR_MAIL,
        RCPT => NR_RCPT,
        DATA => NO_DATA,
        UNKNOWN => NO_UNKNOWN,
        HEADER => NR_HEADER,
        END_OF_HEADER => NO_END_OF_HEADER,
        BODY => NR_BODY | NO_BODY,
        _ => 0,
    }
}

const VERSION: u32 = 6;
/// Sendmail 8.12 and Postfix 2.3.
const VERSION_MIN: u32 = 2;

const OPTNEG: u8 = b'O';
const MACRO: u8 = b'D';
const CONNECT: u8 = b'C';
const HELO: u8 = b'H';
const MAIL: u8 = b'M';
const RCPT: u8 = b'R';
const DATA: u8 = b'T';
const HEADER: u8 = b'L';
const END_OF_HEADER: u8 = b'N';
const BODY: u8 = b'B';
const END: u8 = b'E';
const ABORT: u8 = b'A';
const QUIT: u8 = b'Q';
const QUIT_NEW: u8 = b'K';
const UNKNOWN: u8 = b'U';

/// To insert a field, to remove one, to change the return path (`SMFIF_ADDHDRS`, `_CHGHDRS`, `_CHGFROM`).
const MARKING: u32 = 0x1 | 0x10 | 0x40;
/// To take a recipient out (`SMFIF_DELRCPT`).
const LEAVING_OUT: u32 = 0x8;
const QUARANTINE: u32 = 0x20;
const SET_SYMBOLS: u32 = 0x100;

const NO_CONNECT: u32 = 0x1;
const NO_HELO: u32 = 0x2;
const NO_BODY: u32 = 0x10;
const NO_END_OF_HEADER: u32 = 0x40;
const NR_HEADER: u32 = 0x80;
const NO_UNKNOWN: u32 = 0x100;
const NO_DATA: u32 = 0x200;
const NR_CONNECT: u32 = 0x1000;
const NR_MAIL: u32 = 0x4000;
const NR_RCPT: u32 = 0x8000;
const NR_BODY: u32 = 0x80000;
/// Nothing is learned from these.
const UNINTERESTING: u32 = NO_HELO | NO_UNKNOWN | NO_DATA | NO_END_OF_HEADER;
/// Stages of `SMFIF_SETSYMLIST`.
const AT_MAIL: u32 = 2;
const AT_END: u32 = 5;

/// A login, an address, a queue id; longer ones are nobody's.
const MACRO_OCTETS_MAX: usize = 320;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Address;

    /// As Postfix 3.7 offers.
    const OFFER: &[u8] = b"O\0\0\0\x06\0\0\x01\xff\0\x1f\xff\xff";

    fn agreed(wants: Wants) -> Session {
        let mut session = Session::new(wants);
        session.take(OFFER, &mut Vec::new()).unwrap();
        session
    }

    fn began(sender: &str) -> Began {
        Began { sender: Party::parse(sender), ..Began::default() }
    }

    /// What follows the length of the only frame in `out`.
    fn only(out: &[u8]) -> &[u8] {
        let length = u32::from_be_bytes(out[..4].try_into().unwrap()) as usize;
        assert_eq!(out.len(), 4 + length, "{}", out.escape_ascii());
        &out[4..]
    }

    #[test]
    fn what_is_not_offered_is_not_asked_for() {
        #[track_caller]
        fn check(offer: &[u8], wants: Wants, want: Result<&str, MilterError>) {
            let (mut session, mut out) = (Session::new(wants), Vec::new());
            let taken = session.take(offer, &mut out).map(|_| only(&out).escape_ascii().to_string());
            assert_eq!(taken.as_deref().map_err(|error| *error), want);
        }
        let symbols = "\\x00\\x00\\x00\\x02i {auth_authen} {client_addr} {daemon_name}\\x00\\x00\\x00\\x00\\x05i\\x00";
        let decide = format!("O\\x00\\x00\\x00\\x06\\x00\\x00\\x01y\\x00\\x08S\\xc2{symbols}");
        check(OFFER, Wants::ToDecide, Ok(&decide));
        let mark = format!("O\\x00\\x00\\x00\\x06\\x00\\x00\\x01q\\x00\\x00\\xd3\\xd2{symbols}");
        check(OFFER, Wants::ToMark, Ok(&mark));
        // Sendmail 8.12: neither other return paths nor silence.
        let old = b"O\0\0\0\x02\0\0\0\x3f\0\0\0\x7f";
        check(old, Wants::ToDecide, Ok("O\\x00\\x00\\x00\\x02\\x00\\x00\\x009\\x00\\x00\\x00B"));
        check(b"O\0\0\0\x01\0\0\0\0\0\0\0\0", Wants::ToMark, Err(MilterError::Version(1)));
        check(b"O\0\0\0\x06", Wants::ToMark, Err(MilterError::Short(b'O')));
    }

    #[test]
    fn a_mail_is_told_with_its_login_and_what_is_answered_waits_for_nobody() {
        let mut session = agreed(Wants::ToDecide);
        let mut say = |frame: &[u8], answer: Answer| {
            let mut out = Vec::new();
            let event = session.take(frame, &mut out).unwrap();
            session.answer(&answer, &mut out);
            (event, out.escape_ascii().to_string())
        };
        let go = || Answer::Continue;
        let told = |to: &str| Event::Recipient { to: Party::parse(to), path: Some(format!("<{to}>")) };
        let client = Some("192.0.2.7".parse().unwrap());
        assert_eq!(say(b"Cclient.test\x004\x12\x34192.0.2.7\0", go()), (Event::Connected(client), String::new()));
        assert_eq!(say(b"DM{auth_authen}\0anna\0{daemon_name}\0bulk\0", go()), (Event::Nothing, String::new()));
        let mail =
            Began { octets: Some(4711), login: Some("anna".into()), port: Some("bulk".into()), ..began("a@own.test") };
        assert_eq!(say(b"M<a@own.test>\0SIZE=4711\0BODY=8BITMIME\0", go()), (Event::Mail(mail), String::new()));
        let yes = "\\x00\\x00\\x00\\x01c".to_owned();
        assert_eq!(say(b"R<b@dest.test>\0", go()), (told("b@dest.test"), yes.clone()));
        let no = Answer::Refuse { code: 550, enhanced: Enhanced(5, 1, 1), text: "100 % gone\n".into() };
        let refused = "\\x00\\x00\\x00\\x17y550 5.1.1 100 ? gone?\\x00".to_owned();
        assert_eq!(say(b"R<c@dest.test>\0ORCPT=x\0", no), (told("c@dest.test"), refused));
        assert_eq!(say(b"DTi\x004XYZ\0", go()).1, "");
        let field = Event::Field { name: "Subject".into(), value: " hello there".into() };
        assert_eq!(say(b"LSubject\0 hello\n there\0", go()), (field, String::new()));
        assert_eq!(say(b"Bhello", go()), (Event::Body(5), String::new()));
        let changes = Answer::Change(vec![
            Change::From(Address::parse("t@returns.test").unwrap()),
            Change::Remove { name: "X-SM2TP-Ref", index: 2 },
            Change::Insert { name: "X-SM2TP-Ref", value: "t".into() },
            Change::Leave("<b@dest.test>".into()),
            Change::Quarantine("held".into()),
        ]);
        let (end, out) = say(b"E", changes);
        assert_eq!(end, Event::End { queue_id: Some("4XYZ".into()) });
        let want = "\\x00\\x00\\x00\\x12e<t@returns.test>\\x00\\x00\\x00\\x00\\x12m\\x00\\x00\\x00\\x02X-SM2TP-Ref\\x00\\x00\
                    \\x00\\x00\\x00\\x13i\\x00\\x00\\x00\\x01X-SM2TP-Ref\\x00t\\x00\\x00\\x00\\x00\\x0f-<b@dest.test>\\x00\\x00\\x00\\x00\\x06qheld\\x00\\x00\\x00\\x00\\x01c";
        assert_eq!(out, want);
        // The next mail has a login of its own, and none of the one before.
        assert_eq!(say(b"DMi\x004XYA\0", go()).1, "");
        let mail = Began { port: Some("bulk".into()), ..began("<>") };
        assert_eq!(say(b"M<>\0", go()).0, Event::Mail(mail));
        assert_eq!(say(b"R<b@dest.test>\0", Answer::Discard).1, yes);
        let otherwise = Event::Recipient { to: Party::parse("b@dest.test"), path: None };
        assert_eq!(say(b"R<b@Dest.Test>\0", go()).0, otherwise);
        assert_eq!(say(b"E", Answer::Discard).1, "\\x00\\x00\\x00\\x01d");
        assert_eq!(say(b"A", go()), (Event::Aborted, String::new()));
        assert_eq!(say(b"K", go()).0, Event::Aborted);
        assert_eq!(say(b"M<root>\0", go()).0, Event::Mail(Began { sender: Party::Other, ..Began::default() }));
        assert_eq!(say(b"Q", go()), (Event::Quit, String::new()));
    }

    #[test]
    fn who_waits_for_every_answer_gets_every_answer() {
        let mut session = Session::new(Wants::ToMark);
        session.take(b"O\0\0\0\x02\0\0\0\x3f\0\0\0\0", &mut Vec::new()).unwrap();
        for frame in [&b"Cx\0L"[..], b"Hx\0", b"M<a@b.test>\0", b"R<c@d.test>\0", b"La\0b\0", b"N", b"Bx", b"Ex"] {
            let mut out = Vec::new();
            session.take(frame, &mut out).unwrap();
            session.answer(&Answer::Change(vec![Change::From(Address::parse("t@r.test").unwrap())]), &mut out);
            assert_eq!(only(&out), b"c", "{}", frame.escape_ascii());
        }
        assert!(!session.may_mark() && session.may_quarantine());
    }

    #[test]
    fn what_no_mail_server_says_now_is_an_error() {
        #[track_caller]
        fn check(session: &mut Session, frame: &[u8], want: MilterError) {
            assert_eq!(session.take(frame, &mut Vec::new()), Err(want), "{}", frame.escape_ascii());
        }
        check(&mut Session::new(Wants::ToMark), b"M<a@b.test>\0", MilterError::OutOfTurn(b'M'));
        let mut session = agreed(Wants::ToDecide);
        for command in [b'R', b'L', b'B', b'E', b'N', b'T'] {
            check(&mut session, &[command, b'x', 0, b'y', 0], MilterError::OutOfTurn(command));
        }
        check(&mut session, b"Z", MilterError::Unknown(b'Z'));
        check(&mut session, b"", MilterError::Empty);
        check(&mut session, b"M", MilterError::Short(b'M'));
        check(&mut session, b"D", MilterError::Short(b'D'));
        check(&mut session, b"Cx", MilterError::Short(b'C'));
        check(&mut session, b"Cx\0", MilterError::Short(b'C'));
        session.take(b"M<a@b.test>\0", &mut Vec::new()).unwrap();
        check(&mut session, b"LSubject\0", MilterError::Short(b'L'));
        check(&mut session, b"R", MilterError::Short(b'R'));
    }

    #[test]
    fn mail_that_is_not_ours_is_told_no_further() {
        let (mut session, mut out) = (agreed(Wants::ToDecide), Vec::new());
        session.take(b"M<a@b.test>\0", &mut out).unwrap();
        session.answer(&Answer::Accept, &mut out);
        assert!(out.is_empty(), "MAIL waits for nothing");
        session.take(b"R<a@b.test>\0", &mut out).unwrap();
        session.answer(&Answer::Accept, &mut out);
        assert_eq!(only(&out), b"a");
        assert_eq!(session.take(b"R<a@b.test>\0", &mut out), Err(MilterError::OutOfTurn(b'R')));
    }
}
