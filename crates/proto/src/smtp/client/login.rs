//! The login to a smart host (RFC 4954): SCRAM-SHA-256 where it is offered, else PLAIN, else LOGIN.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Capabilities;
use super::scram::{Answered, Scram};
use crate::Reply;

/// Who we are to the server.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: Zeroizing<String>,
    /// Printable characters that were never used before, for SCRAM: at least 18, no comma.
    pub nonce: String,
    pub passwords: Passwords,
}

/// Where a password may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Passwords {
    InTls,
    /// To this very machine.
    EvenInClear,
}

/// A login under way.
#[derive(Debug)]
pub(super) enum Exchange {
    /// What is still to be said, the next one last; then the answer comes.
    Say(Vec<Zeroizing<String>>),
    Scram(Scram),
}

/// What follows from a reply.
#[derive(Debug)]
pub(super) enum Turn {
    Send(Exchange, Vec<u8>),
    Done,
    Refused(Reply),
}

impl Exchange {
    /// The way that this server offers, and its first command; none where we know none of them.
    pub(super) fn begin(login: &Login, server: &Capabilities) -> Option<(Self, Vec<u8>)> {
        let offers = |name: &str| server.mechanisms.iter().any(|offered| offered == name);
        if offers("SCRAM-SHA-256") {
            let (scram, first) = Scram::begin(login);
            return Some((Self::Scram(scram), command("AUTH SCRAM-SHA-256", &first)));
        }
        if offers("PLAIN") {
            let words = Zeroizing::new(format!("\0{}\0{}", login.user, *login.password));
            return Some((Self::Say(Vec::new()), command("AUTH PLAIN", &words)));
        }
        let words = vec![login.password.clone(), Zeroizing::new(login.user.clone())];
        offers("LOGIN").then(|| (Self::Say(words), b"AUTH LOGIN\r\n".to_vec()))
    }

    pub(super) fn turn(self, reply: Reply) -> Turn {
        match (self, reply.code) {
            (Self::Say(_), 235) => Turn::Done,
            (Self::Scram(scram), 235) if scram.is_proven() => Turn::Done,
            (Self::Say(mut words), 334) => match words.pop() {
                Some(word) => Turn::Send(Self::Say(words), line(&word)),
                None => Turn::Refused(reply),
            },
            (Self::Scram(scram), 334) => {
                let challenge = STANDARD.decode(reply.text.trim()).ok().and_then(|bytes| String::from_utf8(bytes).ok());
                match challenge.and_then(|challenge| scram.answer(&challenge)) {
                    Some(Answered { scram, words }) => Turn::Send(Self::Scram(scram), line(&words)),
                    None => Turn::Refused(reply),
                }
            }
            _ => Turn::Refused(reply),
        }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

fn command(verb: &str, words: &str) -> Vec<u8> {
    format!("{verb} {}\r\n", STANDARD.encode(words)).into_bytes()
}

fn line(words: &str) -> Vec<u8> {
    format!("{}\r\n", STANDARD.encode(words)).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login() -> Login {
        let password = Zeroizing::new("pencil".to_owned());
        Login { user: "user".into(), password, nonce: "rOprNGfwEbeRWgbNEkqO".into(), passwords: Passwords::InTls }
    }

    fn begin(mechanisms: &[&str]) -> Option<(Exchange, String)> {
        let mechanisms = mechanisms.iter().map(|&name| name.to_owned()).collect();
        let (exchange, bytes) = Exchange::begin(&login(), &Capabilities { mechanisms, ..Capabilities::default() })?;
        Some((exchange, String::from_utf8(bytes).unwrap()))
    }

    /// Gives the server's replies and answers with what the client writes to each.
    fn talk(mut exchange: Exchange, replies: &[&str]) -> (Vec<String>, bool) {
        let mut said = Vec::new();
        for text in replies {
            match exchange.turn(Reply::parse(text).unwrap()) {
                Turn::Send(next, bytes) => {
                    said.push(String::from_utf8(bytes).unwrap());
                    exchange = next;
                }
                Turn::Done => return (said, true),
                Turn::Refused(_) => return (said, false),
            }
        }
        (said, false)
    }

    #[test]
    fn plain_says_all_at_once_and_login_when_it_is_asked() {
        let (exchange, first) = begin(&["LOGIN", "PLAIN"]).unwrap();
        assert_eq!(first, "AUTH PLAIN AHVzZXIAcGVuY2ls\r\n");
        assert!(talk(exchange, &["235 2.7.0 welcome"]).1);
        let (exchange, first) = begin(&["CRAM-MD5", "LOGIN"]).unwrap();
        assert_eq!(first, "AUTH LOGIN\r\n");
        let (said, done) = talk(exchange, &["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0 welcome"]);
        assert_eq!((said, done), (vec!["dXNlcg==\r\n".into(), "cGVuY2ls\r\n".into()], true));
        assert!(begin(&["CRAM-MD5", "GSSAPI"]).is_none());
    }

    #[test]
    fn a_server_that_asks_for_more_or_refuses_gets_nothing_more() {
        for replies in [&["535 5.7.8 no"][..], &["334 more"], &["454 4.7.0 later"], &["250 what"]] {
            assert!(!talk(begin(&["PLAIN"]).unwrap().0, replies).1, "{replies:?}");
        }
    }

    #[test]
    fn scram_proves_both_sides_to_each_other() {
        // The example of RFC 7677 §3.
        let (exchange, first) = begin(&["PLAIN", "SCRAM-SHA-256"]).unwrap();
        let client = format!("AUTH SCRAM-SHA-256 {}\r\n", STANDARD.encode("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"));
        assert_eq!(first, client);
        let nonce = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let challenge = STANDARD.encode(format!("{nonce},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"));
        let proof = format!("c=biws,{nonce},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=");
        let signature = STANDARD.encode("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
        let replies = [format!("334 {challenge}"), format!("334 {signature}"), "235 2.7.0 welcome".to_owned()];
        let replies: Vec<&str> = replies.iter().map(String::as_str).collect();
        let (said, done) = talk(exchange, &replies);
        assert_eq!(said, [format!("{}\r\n", STANDARD.encode(proof)), "\r\n".to_owned()]);
        assert!(done);
        let scram = || begin(&["SCRAM-SHA-256"]).unwrap().0;
        let forged = format!("334 {}", STANDARD.encode("v=AAAATRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="));
        assert!(!talk(scram(), &[replies[0], &forged, replies[2]]).1, "it does not know the password");
        assert!(!talk(scram(), &[replies[0], replies[2]]).1, "it has proven nothing");
    }

    #[test]
    fn a_challenge_that_is_none_is_refused() {
        let own = "rOprNGfwEbeRWgbNEkqO";
        for challenge in [
            String::new(),
            "x".into(),
            "r=other,s=AAAA,i=4096".into(),
            format!("r={own},s=AAAA,i=4096"),
            format!("r={own}x,s=AAAA,i=99999999"),
            format!("r={own}x,s=AAAA,i=1"),
            format!("m=a,r={own}x,s=AAAA,i=4096"),
            format!("r={own}x,s=*,i=4096"),
        ] {
            let (exchange, _) = begin(&["SCRAM-SHA-256"]).unwrap();
            let reply = format!("334 {}", STANDARD.encode(&challenge));
            assert_eq!(talk(exchange, &[&reply]).0, Vec::<String>::new(), "{challenge}");
        }
    }

    #[test]
    fn nobody_reads_the_password_in_a_log() {
        assert!(!format!("{:?}", login()).contains("pencil"));
    }
}
