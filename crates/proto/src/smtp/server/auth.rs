//! AUTH (RFC 4954): PLAIN (RFC 4616) and LOGIN, from base64 to a login and a password that the shell checks; the lines
//! of SCRAM on their way to `scram`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Answer, Ask, AuthOffer, Greeting, ScramOffer, Session, State, Step, Tls, ehlo_first};
use crate::Enhanced;
use crate::scram::Challenge;
use crate::smtp::Secret;
use crate::smtp::command::Mechanism;
use crate::smtp::refusal::{Refusal, plain_reply, reply};

/// What the next line of a login exchange is.
#[derive(Debug)]
pub(super) enum Exchange {
    Plain,
    LoginName,
    LoginPassword {
        login: String,
    },
    ScramFirst,
    ScramProof(Box<Challenge>),
    /// The client proved that it knows the password; an empty line says that it believes us too.
    ScramProved {
        login: String,
    },
}

impl Session {
    /// Logins are taken now: on a connection that nobody can listen to, or where the configuration says so.
    pub(super) fn login_allowed(&self) -> bool {
        match self.offers.auth {
            AuthOffer::No => false,
            AuthOffer::OnlyTls => self.offers.tls == Tls::On || self.offers.loopback,
            AuthOffer::Yes => true,
        }
    }

    pub(super) fn auth(&mut self, mechanism: Mechanism, initial: Option<Secret>) -> Step {
        if let Some(refusal) = self.auth_refusal() {
            return self.bad(&refusal);
        }
        let State::Greeted(greeting) = self.take_state() else { return self.misused() };
        let exchange = match mechanism {
            Mechanism::Plain => Exchange::Plain,
            Mechanism::Login => Exchange::LoginName,
            Mechanism::ScramSha256 if self.offers.scram == ScramOffer::Yes => Exchange::ScramFirst,
            Mechanism::ScramSha256 => {
                return self.broken(greeting, 504, Enhanced(5, 5, 4), "AUTH mechanism not offered");
            }
        };
        match initial {
            // RFC 4954 §4: a single `=` is an initial response of no octets.
            Some(initial) if initial.reveal() == "=" => self.exchange(greeting, exchange, b""),
            Some(initial) => self.exchange(greeting, exchange, initial.reveal().as_bytes()),
            None => self.challenge(greeting, exchange),
        }
    }

    fn auth_refusal(&self) -> Option<Refusal> {
        let sequence = |text: &str| Some(Refusal::new(503, Enhanced(5, 5, 1), text));
        match &self.state {
            _ if self.offers.auth == AuthOffer::No => Some(Refusal::new(502, Enhanced(5, 5, 1), "AUTH is not offered")),
            // RFC 4954 §4 gives this code; it says why the password should not have been sent.
            _ if !self.login_allowed() => Some(Refusal::new(538, Enhanced(5, 7, 11), "Send STARTTLS before AUTH")),
            State::Greeted(greeting) if greeting.login.is_some() => sequence("You are logged in already"),
            State::Greeted(greeting) if greeting.esmtp => None,
            State::Mail(..) | State::Chunked(..) => sequence("Not inside a transaction"),
            _ => Some(ehlo_first()),
        }
    }

    fn challenge(&mut self, greeting: Greeting, exchange: Exchange) -> Step {
        let text = match exchange {
            Exchange::LoginName => "Username:",
            Exchange::LoginPassword { .. } => "Password:",
            Exchange::Plain | Exchange::ScramFirst | Exchange::ScramProof(_) | Exchange::ScramProved { .. } => "",
        };
        self.say_challenge(greeting, exchange, text)
    }

    /// A challenge whose answer belongs to `exchange`.
    pub(super) fn say_challenge(&mut self, greeting: Greeting, exchange: Exchange, text: &str) -> Step {
        self.state = State::Login(greeting, exchange);
        let encoded = STANDARD.encode(text);
        // A reply line is short (RFC 5321 §4.5.3.1.5) and base64 must not be broken in two: a nonce of a size that no
        // client has is refused instead.
        if CHALLENGE_OCTETS_MAX < encoded.len() {
            self.break_off();
            return self.bad(&Refusal::new(501, Enhanced(5, 5, 2), "The nonce is too long"));
        }
        Step::Reply(plain_reply(334, &[encoded]))
    }

    /// One line of base64, or `*` to give up.
    pub(super) fn exchange(&mut self, greeting: Greeting, exchange: Exchange, line: &[u8]) -> Step {
        let decoded = STANDARD.decode(line).ok().and_then(|octets| match String::from_utf8(octets) {
            Ok(text) if matches!(exchange, Exchange::Plain) || !text.contains('\0') => Some(Zeroizing::new(text)),
            _ => None,
        });
        match (exchange, decoded) {
            _ if line == b"*" => self.broken(greeting, 501, Enhanced(5, 7, 0), "Login cancelled"),
            (_, None) => self.broken(greeting, 501, Enhanced(5, 5, 2), "This is no base64 of a login"),
            (Exchange::Plain, Some(text)) => self.plain(greeting, &text),
            (Exchange::LoginName, Some(text)) if text.is_empty() => {
                self.broken(greeting, 501, Enhanced(5, 5, 2), "The login is empty")
            }
            (Exchange::LoginName, Some(text)) => {
                self.challenge(greeting, Exchange::LoginPassword { login: text.to_string() })
            }
            (Exchange::LoginPassword { login }, Some(text)) => self.ask_login(greeting, login, &text),
            (Exchange::ScramFirst, Some(text)) => self.scram_first(greeting, &text),
            (Exchange::ScramProof(challenge), Some(text)) => self.scram_last(greeting, &challenge, &text),
            (Exchange::ScramProved { login }, Some(text)) => self.scram_end(greeting, login, &text),
        }
    }

    /// RFC 4616 §2: `authzid NUL authcid NUL password`. Nobody may act for another, so authzid is empty or the same.
    fn plain(&mut self, greeting: Greeting, text: &str) -> Step {
        let parts: Vec<&str> = text.split('\0').collect();
        match parts[..] {
            [act_as, login, password] if !login.is_empty() && (act_as.is_empty() || act_as == login) => {
                self.ask_login(greeting, login.to_owned(), password)
            }
            [_, login, _] if !login.is_empty() => {
                self.login_failed(greeting, &Refusal::new(535, Enhanced(5, 7, 8), "Nobody may act for another login"))
            }
            _ => self.broken(greeting, 501, Enhanced(5, 5, 2), "AUTH PLAIN is NUL login NUL password in base64"),
        }
    }

    fn ask_login(&mut self, greeting: Greeting, login: String, password: &str) -> Step {
        self.state = State::LoginAsked(greeting, login.clone());
        Step::Ask(Ask::Login { login, password: Secret::new(password.to_owned()) })
    }

    pub(super) fn login_answered(&mut self, mut greeting: Greeting, login: String, answer: Answer) -> Step {
        let text = match answer {
            Answer::Yes => "Welcome".to_owned(),
            Answer::YesSaying(text) => text,
            Answer::Scram(_) => return self.misused(),
            Answer::No(refusal) => return self.login_failed(greeting, &refusal),
        };
        greeting.login = Some(login);
        self.state = State::Greeted(greeting);
        Step::Reply(reply(235, Enhanced(2, 7, 0), &text))
    }

    pub(super) fn login_failed(&mut self, greeting: Greeting, refusal: &Refusal) -> Step {
        self.state = State::Greeted(greeting);
        // A directory that is down is no wrong password.
        if (400..500).contains(&refusal.code) {
            return self.idle(refusal.to_reply());
        }
        self.tally.logins_failed += 1;
        if LOGINS_FAILED_MAX <= self.tally.logins_failed {
            return self.close(&Refusal::new(421, Enhanced(4, 7, 0), "Too many failed logins"));
        }
        Step::Reply(refusal.to_reply())
    }

    pub(super) fn broken(&mut self, greeting: Greeting, code: u16, enhanced: Enhanced, text: &str) -> Step {
        self.state = State::Greeted(greeting);
        self.bad(&Refusal::new(code, enhanced, text))
    }
}

/// What fits into one reply line, see `refusal`.
const CHALLENGE_OCTETS_MAX: usize = 480;
/// The failed login that closes the connection: guessing passwords shall cost a new connection each time.
pub const LOGINS_FAILED_MAX: u32 = 3;
