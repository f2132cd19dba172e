//! The lines between OpenSMTPD and a filter (smtpd-filters(7), versions 0.5 to 0.7): what is asked about a recipient, and how it
//! is answered. A filter that ends takes the whole mail server with it, so no line is an error here: what is not understood is
//! passed over, and a question that cannot be put is answered with yes.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};

use crate::policy;

/// The conversations of a mail server, as far as they concern recipients.
#[derive(Debug, Default)]
pub struct Sessions {
    open: HashMap<Box<str>, Session>,
}

/// What is known of one client.
#[derive(Debug, Default)]
struct Session {
    client: Option<IpAddr>,
    login: Option<String>,
    sender: String,
    /// Mails so far.
    mails: u32,
}

/// What follows from a line.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    Nothing,
    /// Lines to write, each with its end.
    Say(String),
    /// A question for a policy service ([`policy::Request`]); [`answer`] makes a line of what it says.
    Ask {
        asked: Asked,
        question: String,
    },
}

/// Which question an answer is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    session: Box<str>,
    token: Box<str>,
}

impl Sessions {
    /// Takes a line without its end. `context` is said to the policy service: what the listener is for.
    pub fn line(&mut self, line: &str, context: &str) -> Step {
        let mut fields = line.splitn(7, '|');
        match fields.next() {
            Some("config") if fields.next() == Some("ready") => Step::Say(WISHES.concat()),
            Some("report") => {
                self.report(fields);
                Step::Nothing
            }
            Some("filter") => self.filter(fields, context),
            _ => Step::Nothing,
        }
    }

    /// `VERSION|TIME|smtp-in|EVENT|SESSION|REST`
    fn report<'a>(&mut self, mut fields: impl Iterator<Item = &'a str>) {
        let version = fields.next().unwrap_or_default();
        let (event, id, rest) = (fields.nth(2), fields.next(), fields.next().unwrap_or_default());
        let (Some(event), Some(id)) = (event, id) else { return };
        match event {
            // Clients beyond that are not known, and their mail passes.
            "link-connect" if self.open.len() < SESSIONS_MAX && id.len() <= ID_OCTETS_MAX => {
                self.open.insert(id.into(), Session { client: client(rest), ..Session::default() });
            }
            "link-disconnect" => drop(self.open.remove(id)),
            "link-auth" => {
                let told = match RESULT_FIRST <= number(version) {
                    true => rest.split_once('|'),
                    false => rest.rsplit_once('|').map(|(login, result)| (result, login)),
                };
                let Some((result, login)) = told else { return };
                let is_login = result == "pass" && login.len() <= NAME_OCTETS_MAX;
                if let Some(session) = self.open.get_mut(id).filter(|_| is_login) {
                    session.login = Some(login.to_owned());
                }
            }
            _ => {}
        }
    }

    /// `VERSION|TIME|smtp-in|PHASE|SESSION|TOKEN|REST`, of which the last two came as one.
    fn filter<'a>(&mut self, mut fields: impl Iterator<Item = &'a str>, context: &str) -> Step {
        let (phase, id, rest) = (fields.nth(3), fields.next(), fields.next().unwrap_or_default());
        let (Some(phase), Some(id)) = (phase, id) else { return Step::Nothing };
        let (token, told) = rest.split_once('|').unwrap_or((rest, ""));
        let asked = Asked { session: id.into(), token: token.into() };
        let Some(session) = self.open.get_mut(id) else { return proceed(&asked) };
        match phase {
            "mail-from" => {
                session.mails = session.mails.wrapping_add(1);
                session.sender =
                    Some(party(told)).filter(|sender| sender.len() <= NAME_OCTETS_MAX).unwrap_or("").to_owned();
                proceed(&asked)
            }
            "rcpt-to" => {
                let recipient = party(told);
                if NAME_OCTETS_MAX < recipient.len() {
                    return proceed(&asked);
                }
                let question = question(session, &asked, recipient, context);
                Step::Ask { asked, question }
            }
            _ => proceed(&asked),
        }
    }
}

/// The line that answers a question, from the answer of the policy service (`action=550 5.1.1 no`). OpenSMTPD can refuse a
/// recipient; it can neither hold a mail, which is refused for now, nor send it another way.
#[must_use]
pub fn answer(asked: &Asked, answer: &str) -> String {
    let action = answer.lines().next().and_then(|line| line.strip_prefix("action=")).unwrap_or_default();
    let is_refusal = action.starts_with(['4', '5']) && action.bytes().take_while(u8::is_ascii_digit).count() == 3;
    match action.strip_prefix("HOLD") {
        _ if is_refusal => said(asked, &format!("reject|{}", policy::line(action))),
        Some(why) => said(asked, &format!("reject|450 4.7.1 held for now:{}", policy::line(why))),
        None => said(asked, "proceed"),
    }
}

fn proceed(asked: &Asked) -> Step {
    Step::Say(said(asked, "proceed"))
}

fn said(Asked { session, token }: &Asked, result: &str) -> String {
    format!("filter-result|{session}|{token}|{result}\n")
}

fn question(session: &Session, Asked { session: id, .. }: &Asked, recipient: &str, context: &str) -> String {
    let Session { client, login, sender, mails } = session;
    let mut text = format!("request=smtpd_access_policy\nprotocol_state=RCPT\ninstance={id}.{mails}\n");
    // Writing to a String cannot fail.
    let _ = write!(text, "sender={sender}\nrecipient={recipient}\npolicy_context={context}\n");
    if let Some(client) = client {
        let _ = writeln!(text, "client_address={client}");
    }
    if let Some(login) = login {
        let _ = writeln!(text, "sasl_username={login}");
    }
    text + "\n"
}

/// `<anna@dest.test> NOTIFY=NEVER`, or the address alone.
fn party(told: &str) -> &str {
    told.strip_prefix('<').and_then(|rest| Some(rest.rsplit_once('>')?.0)).unwrap_or(told).trim()
}

/// `NAME|pass|192.0.2.7:4711|127.0.0.1:25`; `[2001:db8::1]:4711`. A program of the machine itself comes by a path.
fn client(rest: &str) -> Option<IpAddr> {
    let source = rest.rsplit('|').nth(1)?;
    source.parse::<SocketAddr>().ok().map(|source| source.ip().to_canonical())
}

/// `0.7` as 7. None of them had another number in front.
fn number(version: &str) -> u32 {
    version.split_once('.').and_then(|(_, minor)| minor.parse().ok()).unwrap_or(0)
}

/// The result of a login stands in front of its name since, because that can hold any sign.
const RESULT_FIRST: u32 = 7;
/// OpenSMTPD has 16 digits.
const ID_OCTETS_MAX: usize = 64;
/// No address and no login is longer (RFC 5321 §4.5.3.1.3).
const NAME_OCTETS_MAX: usize = 512;
/// Conversations at a time, some 300 octets each.
const SESSIONS_MAX: usize = 20_000;
const WISHES: [&str; 6] = [
    "register|report|smtp-in|link-connect\n",
    "register|report|smtp-in|link-disconnect\n",
    "register|report|smtp-in|link-auth\n",
    "register|filter|smtp-in|mail-from\n",
    "register|filter|smtp-in|rcpt-to\n",
    "register|ready\n",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn told(lines: &[&str]) -> Step {
        let mut sessions = Sessions::default();
        lines.iter().map(|line| sessions.line(line, "bulk")).last().unwrap()
    }

    #[track_caller]
    fn check(lines: &[&str], want: &[&str]) {
        let Step::Ask { asked, question } = told(lines) else { panic!("no question") };
        assert_eq!(asked, Asked { session: "7641df9771b4ed00".into(), token: "1ef1c203cc576e5d".into() });
        let head = ["request=smtpd_access_policy", "protocol_state=RCPT"];
        assert_eq!(question.lines().collect::<Vec<_>>(), [&head[..], want, &[""]].concat());
    }

    #[test]
    fn a_recipient_is_asked_about_with_all_that_was_told_before() {
        let connect = "report|0.6|1576146008.006099|smtp-in|link-connect|7641df9771b4ed00|mail.x|pass|192.0.2.7:33174|127.0.0.1:25";
        let from =
            "filter|0.6|1576146008.006099|smtp-in|mail-from|7641df9771b4ed00|1ef1c203cc576e5c|<a@org.test> SIZE=12";
        let to = "filter|0.6|1576146008.006099|smtp-in|rcpt-to|7641df9771b4ed00|1ef1c203cc576e5d|<b@dest.test>";
        let auth = "report|0.6|1576146008.006099|smtp-in|link-auth|7641df9771b4ed00|an|na|pass";
        let mut want = vec![
            "instance=7641df9771b4ed00.1",
            "sender=a@org.test",
            "recipient=b@dest.test",
            "policy_context=bulk",
            "client_address=192.0.2.7",
        ];
        check(&[connect, from, to], &want);
        want.push("sasl_username=an|na");
        check(&[connect, auth, from, to], &want);
        check(&[connect, &auth.replace("0.6", "0.7").replace("an|na|pass", "pass|an|na"), from, to], &want);
        want.pop();
        want[0] = "instance=7641df9771b4ed00.2";
        let failed = auth.replace("|pass", "|fail");
        check(&[connect, &failed, from, from, &to.replace(['<', '>'], "")], &want);
        (want[0], want[4]) = ("instance=7641df9771b4ed00.1", "client_address=2001:db8::1");
        check(&[&connect.replace("192.0.2.7:33174", "[2001:db8::1]:33174"), from, to], &want);
    }

    #[test]
    fn what_is_not_known_passes_and_no_line_is_an_error() {
        let to = "filter|0.6|1|smtp-in|rcpt-to|s|t|<b@dest.test>";
        let proceed = || Step::Say("filter-result|s|t|proceed\n".into());
        assert_eq!(told(&[to]), proceed());
        let connect = "report|0.6|1|smtp-in|link-connect|s|x|pass|1.2.3.4:5|x";
        assert_eq!(told(&[connect, "filter|0.6|1|smtp-in|helo|s|t|x"]), proceed());
        assert_eq!(told(&[connect, "report|0.6|1|smtp-in|link-disconnect|s", to]), proceed());
        let Step::Say(wishes) = told(&["config|ready"]) else { panic!("nothing is wished") };
        assert!(wishes.ends_with("register|ready\n"));
        for line in ["", "|", "config", "config|smtpd-version|6.8", "report", "filter|0.6|1|smtp-in|rcpt-to", "x|y"] {
            assert_eq!(told(&[line]), Step::Nothing, "{line}");
        }
    }

    #[test]
    fn an_answer_is_one_line_with_a_code_or_yes() {
        #[track_caller]
        fn check(said: &str, want: &str) {
            let asked = Asked { session: "s".into(), token: "t".into() };
            assert_eq!(answer(&asked, said), format!("filter-result|s|t|{want}\n"));
        }
        check("action=550 5.1.1 not sent: é\n\n", "reject|550 5.1.1 not sent: ?");
        check("action=450 4.7.1 later\n\n", "reject|450 4.7.1 later");
        check("action=HOLD sm2tp: why\n\n", "reject|450 4.7.1 held for now: sm2tp: why");
        for yes in ["action=DUNNO\n\n", "action=FILTER smtp:x\n\n", "action=55 x", "action=5500 x", "", "garbage"] {
            check(yes, "proceed");
        }
    }
}
