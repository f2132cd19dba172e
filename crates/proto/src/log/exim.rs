//! What a line of Exim's main log (4.94 to 4.98) says of a mail. It has no head of syslog, but begins with the time.

use std::net::IpAddr;

use super::{Attempt, Came, Origin, Reach, Said, Status, at_octet, before_space, path, quote_end, word};

/// The text behind the time of a line, or behind the head of a line of syslog: the id of the message, and what is said. None
/// for lines that say nothing here.
#[must_use]
pub fn text(text: &str) -> Option<(&str, Said<'_>)> {
    // `[pid] ` with `log_selector = +pid`.
    let text = match text.strip_prefix('[') {
        Some(rest) => rest.split_once("] ")?.1,
        None => text,
    };
    let (id, rest) = word(text)?;
    if !is_id(id) {
        return None;
    }
    let (flag, rest) = word(rest).unwrap_or((rest, ""));
    let said = match flag {
        "<=" => Said::Came(came(rest)),
        // `>>`: delivered while it came in. `*>` was not delivered at all (-N).
        "=>" | "->" | ">>" => Said::Attempt(delivered(rest)?),
        "**" => Said::Attempt(failed(rest, Status::Bounced)?),
        "==" => Said::Attempt(failed(rest, Status::Deferred)?),
        "Completed" => Said::Gone,
        _ => return None,
    };
    Some((id, said))
}

/// `1xUvCg-0004it-1z` until 4.96, `1xUvCg-00000004it0-1zzz` since.
fn is_id(text: &str) -> bool {
    let octets = text.as_bytes();
    // Where its hyphens are.
    let hyphens = match octets.len() {
        16 => [6, 13],
        23 => [6, 18],
        _ => return false,
    };
    octets.iter().enumerate().all(|(at, octet)| match hyphens.contains(&at) {
        true => *octet == b'-',
        false => octet.is_ascii_alphanumeric(),
    })
}

/// `a@org.test H=(vm) [127.0.0.1] P=esmtpa A=plain:alice S=411 id=x@y T="…" from <…> for b@dest.test`
fn came(rest: &str) -> Came<'_> {
    let (sender, rest) = address(rest).unwrap_or(("", ""));
    let sender = Some(if sender == "<>" { "" } else { sender });
    let mut came = Came { sender, origin: client(rest).map_or(Origin::Unknown, Origin::Client), ..Came::default() };
    for (name, value) in Fields(rest) {
        match name {
            "P" if value.starts_with("local") => came.origin = Origin::Here,
            // `authenticator:login`.
            "A" if came.login.is_none() => came.login = at_octet(value, b':').map(|(_, login)| login),
            "id" if came.message_id.is_none() => came.message_id = Some(value),
            "S" if came.octets.is_none() => came.octets = value.parse().ok(),
            _ => {}
        }
    }
    came
}

/// `H=host (helo) [192.0.2.9]:4711`: what the client says of itself stands in round brackets, also an address.
fn client(rest: &str) -> Option<IpAddr> {
    let mut words = rest.split(' ').skip_while(|word| !word.starts_with("H="));
    words.find_map(|word| at_octet(word.strip_prefix('[')?, b']')?.0.parse().ok())
}

fn delivered(rest: &str) -> Option<Attempt<'_>> {
    let (mut result, rest) = recipient(rest)?;
    result.status = Status::Sent;
    for (name, value) in Fields(rest) {
        field(&mut result, name, value);
        if name == "C" {
            result.text = value;
        }
    }
    Some(result)
}

/// `a@b.test R=r T=t defer (-44) H=n [ip]:25* DT=0s: text`: the first colon before a space ends the fields.
fn failed(rest: &str, status: Status) -> Option<Attempt<'_>> {
    let (mut result, rest) = recipient(rest)?;
    result.status = status;
    let end = before_space(rest, b':')?;
    for (name, value) in Fields(&rest[..end]) {
        field(&mut result, name, value);
    }
    result.text = &rest[end + 2..];
    Some(result)
}

/// An address, and in angle brackets the one that it was before an alias or a redirection.
fn recipient(rest: &str) -> Option<(Attempt<'_>, &str)> {
    let all = rest;
    let (mut recipient, mut rest) = address(all)?;
    // A colon follows at once where nobody could route it.
    if let Some(without) = recipient.strip_suffix(':') {
        (recipient, rest) = all.split_at(without.len());
    }
    let mut result = Attempt { recipient, reach: Reach::Here, ..Attempt::default() };
    match path(rest.trim_start()) {
        Some((original, behind)) => {
            result.original = Some(original);
            Some((result, behind))
        }
        None => Some((result, rest)),
    }
}

fn field<'a>(result: &mut Attempt<'a>, name: &str, value: &'a str) {
    match name {
        "H" => (result.host, result.reach) = (Some(value), Reach::Server),
        // `P` is a protocol in `<=` and the return path elsewhere.
        "F" | "P" if result.sender.is_none() => {
            result.sender = value.strip_prefix('<').and_then(|value| value.strip_suffix('>'));
        }
        _ => {}
    }
}

/// Up to the next space; a quoted local part may hold some.
fn address(text: &str) -> Option<(&str, &str)> {
    let from = match text.strip_prefix('"') {
        Some(quoted) => quote_end(quoted)? + 2,
        None => 0,
    };
    let end = memchr::memchr(b' ', &text.as_bytes()[from..]).map_or(text.len(), |end| from + end);
    (0 < end).then(|| (&text[..end], &text[end..]))
}

/// `NAME=value` and `NAME="value with spaces"`; other words are passed over.
struct Fields<'a>(&'a str);

impl<'a> Iterator for Fields<'a> {
    type Item = (&'a str, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = self.0.trim_start_matches(' ');
            if rest.is_empty() {
                return None;
            }
            let end = memchr::memchr2(b' ', b'=', rest.as_bytes()).unwrap_or(rest.len());
            let (name, behind) = rest.split_at(end);
            let Some(value) = behind.strip_prefix('=') else {
                // Nothing behind a word without `=` but its space.
                self.0 = behind;
                continue;
            };
            let (value, behind) = match value.strip_prefix('"') {
                Some(quoted) => {
                    let end = quote_end(quoted).unwrap_or(quoted.len());
                    (&quoted[..end], quoted.get(end + 1..).unwrap_or(""))
                }
                None => value.split_at(memchr::memchr(b' ', value.as_bytes()).unwrap_or(value.len())),
            };
            self.0 = behind;
            return Some((name, value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(line: &str, want: Option<Said<'_>>) {
        assert_eq!(text(line).map(|(_, said)| said), want, "{line}");
    }

    fn to(recipient: &str) -> Attempt<'_> {
        Attempt { recipient, reach: Reach::Server, host: Some("mx.dest.test"), ..Attempt::default() }
    }

    #[test]
    fn results_of_each_version_are_read() {
        let sent = Attempt { status: Status::Sent, text: "250 2.0.0 Ok: queued as 1", ..to("b@dest.test") };
        let line =
            r#"1xUvCg-0004it-1z => b@dest.test R=r T=smtp H=mx.dest.test [192.0.2.1] C="250 2.0.0 Ok: queued as 1""#;
        check(line, Some(Said::Attempt(sent)));
        check(&line.replace("=>", "->"), Some(Said::Attempt(sent)));
        check(&line.replace("1xUvCg-0004it-1z", "[22] 1xUvCg-00000004it0-1zzz"), Some(Said::Attempt(sent)));
        let aliased = Attempt { original: Some("team@org.test"), sender: Some("a@org.test"), ..sent };
        let line = line.replace("b@dest.test R", "b@dest.test <team@org.test> F=<a@org.test> P=<p@org.test> R");
        check(&line, Some(Said::Attempt(aliased)));
        let error = "SMTP error from remote mail server after RCPT TO:<b@dest.test>: 550 5.1.1 no";
        let bounced = Attempt { status: Status::Bounced, text: error, ..to("b@dest.test") };
        check(
            &format!(
                "1xUvCg-0004it-1z ** b@dest.test R=r T=smtp H=mx.dest.test [192.0.2.1]:25* X=T:A:2 CV=no: {error}"
            ),
            Some(Said::Attempt(bounced)),
        );
        let deferred = Attempt { status: Status::Deferred, text: error, ..to("b@dest.test") };
        check(
            &format!(
                "1xUvCg-0004it-1z == b@dest.test R=r T=smtp defer (-44) H=mx.dest.test [192.0.2.1] DT=0.000s: {error}"
            ),
            Some(Said::Attempt(deferred)),
        );
        let nowhere = Attempt {
            host: None,
            reach: Reach::Here,
            status: Status::Deferred,
            text: "retry time not reached",
            ..to("b@dest.test")
        };
        check(
            "1xUvCg-0004it-1z == b@dest.test R=r T=smtp defer (-54): retry time not reached",
            Some(Said::Attempt(nowhere)),
        );
    }

    #[test]
    fn what_nobody_could_route_has_no_fields() {
        let want = |original| Attempt {
            recipient: "b@nowhere.test",
            original,
            reach: Reach::Here,
            status: Status::Bounced,
            text: "Unrouteable address",
            ..Attempt::default()
        };
        check("1xUvCg-0004it-1z ** b@nowhere.test: Unrouteable address", Some(Said::Attempt(want(None))));
        let aliased = "1xUvCg-0004it-1z ** b@nowhere.test <team@org.test>: Unrouteable address";
        check(aliased, Some(Said::Attempt(want(Some("team@org.test")))));
    }

    #[test]
    fn what_came_in_names_its_login_and_no_subject_can() {
        let line = r#"1xUvCg-0004it-1z <= a@org.test H=(vm) [127.0.0.1] P=esmtpa A=plain:alice@relay.test S=411 id=x@y T="A=plain:\" A=no:mallory id=z" for b@dest.test"#;
        let came = Came {
            sender: Some("a@org.test"),
            login: Some("alice@relay.test"),
            message_id: Some("x@y"),
            octets: Some(411),
            origin: Origin::Client([127, 0, 0, 1].into()),
            ..Came::default()
        };
        check(line, Some(Said::Came(came)));
        let origin = Origin::Client("2001:db8::1".parse().unwrap());
        let came = Came { sender: Some("a@org.test"), octets: Some(1), origin, ..Came::default() };
        check(
            "1xUvCg-0004it-1z <= a@org.test H=mx.x ([192.0.2.1]) [2001:db8::1]:25 P=esmtp S=1",
            Some(Said::Came(came)),
        );
        let report = Came { sender: Some(""), octets: Some(1), origin: Origin::Here, ..Came::default() };
        check("1xUvCg-0004it-1z <= <> R=1xUvCg-0004it-1y U=Debian-exim P=local S=1", Some(Said::Came(report)));
        check("1xUvCg-0004it-1z Completed", Some(Said::Gone));
        check("1xUvCg-0004it-1z Completed QT=1s", Some(Said::Gone));
    }

    #[test]
    fn other_lines_say_nothing() {
        for line in [
            "",
            "exim 4.96 daemon started: pid=1",
            "H=(vm) [127.0.0.1] F=<a@b> rejected RCPT <c@d>: no",
            "1xUvCg-0004it-1z H=mx [1]: SMTP error",
            "1xUvCg-0004it-1z frozen by ACL",
            "1xUvCg-0004it =>",
            "1xUvCg-0004it-1z =>",
            "1xUvCg-0004it-1z ** a@b",
            "1xUvCg-0004it-1z => \"a",
            "[22",
            "Start queue run: pid=1",
        ] {
            check(line, None);
        }
    }
}
