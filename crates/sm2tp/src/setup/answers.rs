//! The five answers: from the command line, from a person, or as proposed.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use sm2tp_proto::{Address, Domain};

use super::{Setup, wrong};
use crate::words::Words;
use crate::{Exit, Failure};

/// What a node has to know before its first start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answers {
    pub hostname: String,
    pub domain: String,
    pub org: String,
    pub login: String,
    pub admin: String,
}

impl Answers {
    /// Asks what is not given. `admin` is checked as an address, the others as what they are.
    pub fn of(asked: Setup, words: Words) -> Result<Self, Failure> {
        let by = match (asked.yes, io::stdin().is_terminal()) {
            (true, _) => Asking::Nobody,
            (false, true) => Asking::Person,
            (false, false) => return Err(Failure::new(Exit::Usage, words.say("no-terminal"))),
        };
        let answer = |key: &str, given: Option<String>, proposed: Option<String>, check: Check| {
            by.answer((words, key), given, proposed, check)
        };
        let machine = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
        let hostname = answer("hostname", asked.hostname, Some(machine).filter(|it| it.contains('.')), full_name)?;
        let parent = hostname.split_once('.').map(|(_, parent)| parent.to_owned()).filter(|it| it.contains('.'));
        let domain = answer("domain", asked.domain, parent.filter(|_| !asked.yes), full_name)?;
        let label = domain.split('.').next().map(ToOwned::to_owned);
        let org = answer("org", asked.org, label, one_word)?;
        let login = answer("login", asked.login, Some(format!("relay@{domain}")), one_word)?;
        let postmaster = Some(format!("postmaster@{domain}")).filter(|_| !asked.yes);
        let admin = answer("admin", asked.admin, postmaster, address)?;
        Ok(Self { hostname, domain, org, login, admin })
    }
}

/// The answer as it is kept, or the key of the sentence that says what is wrong with it.
type Check = fn(&str) -> Result<String, &'static str>;

/// Who answers what was not given.
#[derive(Clone, Copy)]
enum Asking {
    Person,
    /// What is proposed is taken; where nothing is, it must be given.
    Nobody,
}

impl Asking {
    fn answer(
        self,
        (words, key): (Words, &str),
        given: Option<String>,
        proposed: Option<String>,
        check: Check,
    ) -> Result<String, Failure> {
        let option = || format!("--{key}");
        let said = |key: &str, text: &str| words.fill(key, &[("text", text)]);
        match (given, self) {
            (Some(given), _) => {
                check(given.trim()).map_err(|key| wrong(format!("{}: {}", option(), said(key, &given))))
            }
            (None, Self::Nobody) => {
                let proposed = proposed
                    .ok_or_else(|| Failure::new(Exit::Usage, words.fill("must-be-given", &[("option", &option())])))?;
                check(&proposed).map_err(|key| wrong(format!("{}: {}", option(), said(key, &proposed))))
            }
            (None, Self::Person) => {
                for _ in 0..TRIES_MAX {
                    let typed = typed((words, key), proposed.as_deref())?;
                    match check(&typed) {
                        Ok(answer) => return Ok(answer),
                        Err(key) => eprintln!("{}", said(key, &typed)),
                    }
                }
                Err(wrong(words.say("too-often")))
            }
        }
    }
}

/// A line from the terminal; an empty one is what was proposed.
fn typed((words, key): (Words, &str), proposed: Option<&str>) -> Result<String, Failure> {
    let shown = proposed.map_or_else(String::new, |proposed| format!(" [{proposed}]"));
    let mut answer = String::new();
    let mut out = io::stderr();
    let read = write!(out, "{}{shown} ", words.say(key))
        .and_then(|()| out.flush())
        .and_then(|()| io::stdin().lock().take(ANSWER_OCTETS_MAX).read_line(&mut answer));
    match read {
        Ok(0) => Err(wrong(words.say("nothing-changed"))),
        Ok(_) if answer.trim().is_empty() => Ok(proposed.unwrap_or_default().to_owned()),
        Ok(_) => Ok(answer.trim().to_owned()),
        Err(error) => Err(Failure::new(Exit::Temporary, format!("the terminal: {error}"))),
    }
}

fn full_name(text: &str) -> Result<String, &'static str> {
    let domain = Domain::parse(text).ok().filter(|domain| domain.as_str().contains('.'));
    domain.map(|domain| domain.to_string()).ok_or("wrong-name")
}

fn one_word(text: &str) -> Result<String, &'static str> {
    let fits = !text.is_empty()
        && text.len() <= WORD_OCTETS_MAX
        && !text.contains(|it: char| it.is_whitespace() || it.is_control());
    if fits { Ok(text.to_owned()) } else { Err("wrong-word") }
}

fn address(text: &str) -> Result<String, &'static str> {
    Address::parse(text).map(|_| text.to_owned()).map_err(|_| "wrong-address")
}

/// A person who errs so often wants to read first.
const TRIES_MAX: u32 = 5;
const ANSWER_OCTETS_MAX: u64 = 1024;
const WORD_OCTETS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_what_they_should_be() {
        assert_eq!(full_name("Relay.Example.ORG").unwrap(), "relay.example.org");
        assert!(full_name("relay").is_err());
        assert!(full_name("a b.example").is_err());
        assert_eq!(one_word("anna@asso.example").unwrap(), "anna@asso.example");
        assert!(one_word("an na").is_err() && one_word("").is_err());
        assert!(address("postmaster@asso.example").is_ok() && address("postmaster").is_err());
    }
}
