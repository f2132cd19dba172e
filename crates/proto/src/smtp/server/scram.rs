//! AUTH SCRAM-SHA-256 (RFC 7677 over RFC 4954): the mechanism's messages in the lines of a login exchange.

use super::auth::Exchange;
use super::{Answer, Ask, Greeting, Session, State, Step};
use crate::Enhanced;
use crate::scram::{ClientFirst, Keys, ScramError};
use crate::smtp::refusal::Refusal;

/// Whether SCRAM-SHA-256 is offered where logins are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScramOffer {
    No,
    Yes,
}

/// What the shell knows of a login, and randomness for its challenge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScramMaterial {
    /// Of a login that is unknown, [`Keys::pretended`].
    pub keys: Keys,
    pub fresh: [u8; 18],
}

impl Session {
    /// The first message: whose keys are needed?
    pub(super) fn scram_first(&mut self, greeting: Greeting, text: &str) -> Step {
        match ClientFirst::parse(text) {
            Ok(first) => {
                let login = first.login().to_owned();
                self.state = State::ScramAsked(greeting, Box::new(first));
                Step::Ask(Ask::ScramKeys { login })
            }
            Err(error) => self.scram_refused(greeting, error),
        }
    }

    pub(super) fn scram_answered(&mut self, greeting: Greeting, first: ClientFirst, answer: Answer) -> Step {
        match answer {
            Answer::Scram(material) => {
                let (challenge, message) = first.challenge(material.keys, &material.fresh);
                self.say_challenge(greeting, Exchange::ScramProof(Box::new(challenge)), &message)
            }
            Answer::No(refusal) => self.login_failed(greeting, &refusal),
            Answer::Yes | Answer::YesSaying(_) => self.misused(),
        }
    }

    /// The last message. RFC 4954 §4: 235 carries no data, so our own proof is one more challenge, which the client answers
    /// with an empty line.
    pub(super) fn scram_last(&mut self, greeting: Greeting, challenge: &crate::scram::Challenge, text: &str) -> Step {
        let login = challenge.login().to_owned();
        match challenge.verify(text) {
            Ok(message) => self.say_challenge(greeting, Exchange::ScramProved { login }, &message),
            Err(ScramError::Wrong) => {
                self.state = State::LoginAsked(greeting, login.clone());
                Step::Ask(Ask::Disproved { login })
            }
            Err(error) => self.scram_refused(greeting, error),
        }
    }

    pub(super) fn scram_end(&mut self, greeting: Greeting, login: String, text: &str) -> Step {
        if !text.is_empty() {
            return self.scram_refused(greeting, ScramError::Malformed);
        }
        self.state = State::LoginAsked(greeting, login.clone());
        Step::Ask(Ask::Proved { login })
    }

    fn scram_refused(&mut self, greeting: Greeting, error: ScramError) -> Step {
        let text = error.to_string();
        match error {
            ScramError::Wrong | ScramError::ActsForAnother => {
                self.login_failed(greeting, &Refusal::new(535, Enhanced(5, 7, 8), text))
            }
            ScramError::Malformed | ScramError::ChannelBinding | ScramError::Extension | ScramError::Characters => {
                self.broken(greeting, 501, Enhanced(5, 5, 2), &text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::super::{AuthOffer, Offers, Tls, XclientOffer};
    use super::*;

    /// RFC 7677 §3, but for the nonce of the server: ours is base64.
    fn keys() -> Keys {
        Keys::derive("pencil", b"salt of sixteen!", 4096).unwrap()
    }

    fn open() -> Session {
        let (session, _) = Session::open(Offers {
            hostname: "relay.example.org".into(),
            octets_max: 1000,
            recipients_max: 100,
            mails_max: None,
            tls: Tls::On,
            auth: AuthOffer::OnlyTls,
            scram: ScramOffer::Yes,
            xclient: XclientOffer::No,
            loopback: false,
        });
        session.line(b"EHLO a.example").0
    }

    fn say(session: Session, text: &str) -> (Session, Step) {
        session.line(STANDARD.encode(text).as_bytes())
    }

    fn shown(step: &Step) -> String {
        match step {
            Step::Reply(octets) | Step::Close(octets) => String::from_utf8(octets.clone()).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Up to the challenge; answers with the server's first message.
    fn challenged(session: Session, first: &str) -> (Session, String) {
        let line = format!("AUTH SCRAM-SHA-256 {}", STANDARD.encode(first));
        let (session, step) = session.line(line.as_bytes());
        assert_eq!(step, Step::Ask(Ask::ScramKeys { login: "user".into() }));
        let (session, step) = session.answer(Answer::Scram(Box::new(ScramMaterial { keys: keys(), fresh: [7; 18] })));
        let reply = shown(&step);
        let message = STANDARD.decode(reply.strip_prefix("334 ").unwrap().trim_end()).unwrap();
        (session, String::from_utf8(message).unwrap())
    }

    /// What a client that knows `password` says last.
    fn last(first: &str, challenge: &str, password: &str) -> String {
        crate::scram::testing::client_last(first, challenge, password)
    }

    #[test]
    fn who_knows_the_password_is_in_after_an_empty_line() {
        let first = "n,,n=user,r=abc";
        let (session, challenge) = challenged(open(), first);
        assert!(challenge.starts_with("r=abcBwcH"), "{challenge}");
        let (session, step) = say(session, &last(first, &challenge, "pencil"));
        assert!(shown(&step).starts_with("334 dj"), "{step:?}");
        assert_eq!(session.login(), None);
        let (session, step) = session.line(b"");
        assert_eq!(step, Step::Ask(Ask::Proved { login: "user".into() }));
        let (session, step) = session.answer(Answer::Yes);
        assert_eq!(shown(&step), "235 2.7.0 Welcome\r\n");
        assert_eq!(session.login(), Some("user"));
    }

    #[test]
    fn who_does_not_know_it_or_gives_up_is_not() {
        let first = "y,,n=user,r=abc";
        let (session, challenge) = challenged(open(), first);
        let (session, step) = say(session, &last(first, &challenge, "pen"));
        assert_eq!(step, Step::Ask(Ask::Disproved { login: "user".into() }));
        let refusal = Refusal::new(535, Enhanced(5, 7, 8), "Login or password wrong");
        let (session, step) = session.answer(Answer::No(refusal));
        assert!(shown(&step).starts_with("535 5.7.8"));
        // Proof and cancel: the client did not believe our signature.
        let (session, challenge) = challenged(session, first);
        let (session, _) = say(session, &last(first, &challenge, "pencil"));
        let (session, step) = session.line(b"*");
        assert!(shown(&step).starts_with("501 5.7.0"));
        assert_eq!(session.login(), None);
        let (session, step) = session.line(b"AUTH SCRAM-SHA-256-PLUS");
        assert!(shown(&step).starts_with("504 5.5.4"));
        let (_, step) = session.line(format!("AUTH SCRAM-SHA-256 {}", STANDARD.encode("p=x,,n=user,r=a")).as_bytes());
        assert!(shown(&step).starts_with("501 5.5.2 Channel binding"));
    }

    #[test]
    fn the_third_wrong_proof_ends_the_connection() {
        let first = "n,,n=user,r=abc";
        let mut session = open();
        for round in 1..=3 {
            let (challenge, step);
            (session, challenge) = challenged(session, first);
            (session, _) = say(session, &last(first, &challenge, "pen"));
            (session, step) = session.answer(Answer::No(Refusal::new(535, Enhanced(5, 7, 8), "wrong")));
            assert_eq!(matches!(step, Step::Close(_)), round == 3);
        }
    }
}
