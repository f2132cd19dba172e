//! AUTH PLAIN and AUTH LOGIN (RFC 4954, RFC 4616): from base64 to a login and a password that the shell checks.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::{Answer, Ask, AuthOffer, Greeting, Session, State, Step, Tls, ehlo_first};
use crate::Enhanced;
use crate::smtp::Secret;
use crate::smtp::command::Mechanism;
use crate::smtp::refusal::{Refusal, plain_reply, reply};

/// What the next line of a login exchange is.
#[derive(Debug)]
pub(super) enum Exchange {
    Plain,
    LoginName,
    LoginPassword { login: String },
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
            State::Mail(..) => sequence("Not inside a transaction"),
            _ => Some(ehlo_first()),
        }
    }

    fn challenge(&mut self, greeting: Greeting, exchange: Exchange) -> Step {
        let text = match exchange {
            Exchange::Plain => "",
            Exchange::LoginName => "VXNlcm5hbWU6",
            Exchange::LoginPassword { .. } => "UGFzc3dvcmQ6",
        };
        self.state = State::Login(greeting, exchange);
        Step::Reply(plain_reply(334, &[text.to_owned()]))
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
            Answer::No(refusal) => return self.login_failed(greeting, &refusal),
        };
        greeting.login = Some(login);
        self.state = State::Greeted(greeting);
        Step::Reply(reply(235, Enhanced(2, 7, 0), &text))
    }

    fn login_failed(&mut self, greeting: Greeting, refusal: &Refusal) -> Step {
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

    fn broken(&mut self, greeting: Greeting, code: u16, enhanced: Enhanced, text: &str) -> Step {
        self.state = State::Greeted(greeting);
        self.bad(&Refusal::new(code, enhanced, text))
    }
}

/// The failed login that closes the connection: guessing passwords shall cost a new connection each time.
pub const LOGINS_FAILED_MAX: u32 = 3;
