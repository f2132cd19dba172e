//! What a line of Postfix (3.4 to 3.11) says of a mail.

use super::{Attempt, Came, Origin, Reach, Said, Status, at_octet, comma, near, path, word};
use crate::Enhanced;

/// Reads the text behind the head of a line: the queue id, and what is said. None for the many lines that say nothing here.
#[must_use]
pub fn read(text: &str) -> Option<(&str, Said<'_>)> {
    let (queue_id, body) = queue_id(text)?;
    let said = if let Some(rest) = body.strip_prefix("to=") {
        Said::Attempt(result(rest)?)
    } else if let Some(rest) = body.strip_prefix("client=") {
        Said::Came(client(rest))
    } else if let Some(id) = body.strip_prefix("message-id=") {
        Said::MessageId(id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id))
    } else if let Some(rest) = body.strip_prefix("from=") {
        let (sender, rest) = path(rest)?;
        match rest.strip_prefix(", status=") {
            Some(word) if word.starts_with("expired") || word.starts_with("force-expired") => Said::Expired,
            _ => {
                let octets = rest.strip_prefix(", size=").and_then(|rest| rest[..comma(rest)?].parse().ok());
                Said::Queued { sender, octets }
            }
        }
    } else if let Some(rest) = body.strip_prefix("uid=") {
        Said::Came(local(rest)?)
    } else if body.starts_with("removed") || is_refused_whole(body) {
        Said::Gone
    } else {
        return None;
    };
    Some((queue_id, said))
}

/// Refused after its content, by us or a filter: Postfix 3.7 writes no `removed` for it.
fn is_refused_whole(body: &str) -> bool {
    ["milter-reject: END-OF-MESSAGE", "reject: END-OF-MESSAGE", "milter-discard: ", "discard: "]
        .iter()
        .any(|refused| body.starts_with(refused))
}

/// The queue id before the first `: `, and what is behind. Short ones are upper-case hexadecimal, long ones any letters and
/// digits (`enable_long_queue_ids`).
pub(super) fn queue_id(text: &str) -> Option<(&str, &str)> {
    let octets = text.as_bytes();
    let mut len = 0;
    while len <= QUEUE_ID_MAX && octets.get(len).is_some_and(|octet| IS_IN_ID[usize::from(*octet)]) {
        len += 1;
    }
    let fine = (QUEUE_ID_MIN..=QUEUE_ID_MAX).contains(&len) && octets[len..].starts_with(b": ");
    fine.then(|| (&text[..len], &text[len + 2..]))
}

/// `unknown[127.0.0.1], sasl_method=PLAIN, sasl_username=alice, orig_queue_id=Q, orig_client=…`
fn client(mut rest: &str) -> Came<'_> {
    let address = at_octet(rest, b'[').and_then(|(_, rest)| at_octet(rest, b']')?.0.parse().ok());
    let mut came = Came { origin: address.map_or(Origin::Unknown, Origin::Client), ..Came::default() };
    while let Some(at) = comma(rest) {
        rest = &rest[at + 2..];
        let value = &rest[..comma(rest).unwrap_or(rest.len())];
        if let Some(login) = value.strip_prefix("sasl_username=") {
            came.login = came.login.or(Some(login));
        } else if let Some(before) = value.strip_prefix("orig_queue_id=") {
            came.before = came.before.or(Some(before));
        }
    }
    came
}

/// `0 from=<root>`, and `102 from=<a@b> orig_id=QID` after `postsuper -r`: the same mail under another id.
fn local(rest: &str) -> Option<Came<'_>> {
    let (_, rest) = word(rest)?;
    let (sender, rest) = path(rest.strip_prefix("from=")?)?;
    let renamed = rest.strip_prefix(" orig_id=");
    Some(Came { sender: Some(sender), renamed, origin: Origin::Here, ..Came::default() })
}

/// `<A>, orig_to=<B>, relay=…, delay=…, delays=…, tls=…, dsn=5.1.1, status=bounced (text)`: in whatever order and with whatever
/// else between, but `status` ends it.
fn result(rest: &str) -> Option<Attempt<'_>> {
    let (recipient, mut rest) = path(rest)?;
    let mut result = Attempt { recipient, ..Attempt::default() };
    loop {
        rest = rest.strip_prefix(", ")?;
        let at = near(rest, |octet| octet == b'=')?;
        let (name, value) = (&rest[..at], &rest[at + 1..]);
        if name == "status" {
            let (of, text) = match word(value) {
                Some((of, text)) => (of, text.strip_prefix('(')?),
                None => (value, ""),
            };
            result.status = status(of)?;
            // Postfix cuts at 2 000 octets, and the bracket with it.
            result.text = text.strip_suffix(')').unwrap_or(text);
            return Some(result);
        }
        if name == "orig_to" {
            (result.original, rest) = path(value).map(|(original, rest)| (Some(original), rest))?;
            continue;
        }
        let (value, behind) = value.split_at(comma(value)?);
        match name {
            "relay" => (result.host, result.reach) = relay(value),
            "dsn" => result.enhanced = Enhanced::at_start(value),
            _ => {}
        }
        rest = behind;
    }
}

/// `mx.example.org[192.0.2.1]:25`, `none`, or what stays on this machine: the name of a transport, or a host with the path of
/// a socket (`mail.example.org[private/dovecot-lmtp]`).
fn relay(value: &str) -> (Option<&str>, Reach) {
    match memchr::memchr(b'[', value.as_bytes()) {
        Some(at) if 0 < at && value[at..].contains('/') => (Some(&value[..at]), Reach::Here),
        Some(at) if 0 < at => (Some(&value[..at]), Reach::Server),
        _ if value == "none" => (None, Reach::Nobody),
        _ => (Some(value), Reach::Here),
    }
}

fn status(word: &str) -> Option<Status> {
    Some(match word {
        "sent" => Status::Sent,
        // With `soft_bounce = yes` it stays in the queue.
        "deferred" | "SOFTBOUNCE" => Status::Deferred,
        "bounced" => Status::Bounced,
        // Answers to questions of Postfix's own (verify(8)): no mail.
        _ => return None,
    })
}

/// Letters and digits. Each line is asked for its queue id, and comparing costs three times as much as looking here.
const IS_IN_ID: [bool; 256] = {
    let mut is_in_id = [false; 256];
    let mut octet = 0_u8;
    while octet < 128 {
        is_in_id[octet as usize] = octet.is_ascii_alphanumeric();
        octet += 1;
    }
    is_in_id
};
const QUEUE_ID_MIN: usize = 5;
const QUEUE_ID_MAX: usize = 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<Said<'_>>) {
        assert_eq!(read(text).map(|(_, said)| said), want, "{text}");
    }

    fn bounced<'a>(recipient: &'a str, text: &'a str) -> Attempt<'a> {
        Attempt {
            recipient,
            original: None,
            sender: None,
            host: Some("mx.dest.test"),
            reach: Reach::Server,
            status: Status::Bounced,
            enhanced: Some(Enhanced(5, 1, 1)),
            text,
        }
    }

    #[test]
    fn a_result_is_read_whatever_stands_between_its_fields() {
        let said = "host mx.dest.test[192.0.2.1] said: 550 5.1.1 no (in reply to RCPT TO command)";
        let want = || bounced("b@dest.test", said);
        let head = "4jX876: to=<b@dest.test>, ";
        let relay = "relay=mx.dest.test[192.0.2.1]:25, ";
        check(
            &format!("{head}{relay}delay=1, delays=0/0/0/1, dsn=5.1.1, status=bounced ({said})"),
            Some(Said::Attempt(want())),
        );
        check(
            &format!(
                "{head}{relay}conn_use=2, delay=1, delays=0/0/0/1, tls=may:none, dsn=5.1.1, status=bounced ({said})"
            ),
            Some(Said::Attempt(want())),
        );
        let aliased = Attempt { original: Some("team@org.test"), ..want() };
        check(
            &format!("{head}orig_to=<team@org.test>, {relay}dsn=5.1.1, status=bounced ({said})"),
            Some(Said::Attempt(aliased)),
        );
        let cut = Attempt { text: "host mx.dest.test[192.0.2.1] said: 550 5.1.1 n", ..want() };
        check(
            &format!("{head}{relay}dsn=5.1.1, status=bounced (host mx.dest.test[192.0.2.1] said: 550 5.1.1 n"),
            Some(Said::Attempt(cut)),
        );
        check(&format!("{head}{relay}dsn=5.1.1, status=undeliverable ({said})"), None);
        check(&format!("{head}{relay}dsn=5.1.1"), None);
        check("4jX876: to=<b@dest.test", None);
    }

    #[test]
    fn whom_a_mail_was_handed_to_is_near_or_far() {
        let check = |value: &str, host: Option<&str>, reach: Reach| assert_eq!(relay(value), (host, reach), "{value}");
        check("mx.dest.test[192.0.2.1]:25", Some("mx.dest.test"), Reach::Server);
        check("mx.dest.test[2001:db8::25]:25", Some("mx.dest.test"), Reach::Server);
        check("relay.test[private/dovecot-lmtp]", Some("relay.test"), Reach::Here);
        check("local", Some("local"), Reach::Here);
        check("none", None, Reach::Nobody);
    }

    #[test]
    fn no_address_and_no_server_writes_fields_of_its_own() {
        let evil = r#""a b, relay=evil> status=sent (x"@dest.test"#;
        let text = "host x said: 550-5.1.1 status=sent, dsn=2.0.0 (ok) 550 5.1.1 no";
        let line = format!("4jX876: to=<{evil}>, relay=mx.dest.test[1]:25, dsn=5.1.1, status=bounced ({text})");
        check(&line, Some(Said::Attempt(bounced(evil, text))));
    }

    #[test]
    fn what_is_said_of_a_mail_before_and_after() {
        let origin = Origin::Client([192, 0, 2, 9].into());
        let came = Came { login: Some("alice@relay.test"), origin, ..Came::default() };
        check("4jX876: client=x[192.0.2.9], sasl_method=PLAIN, sasl_username=alice@relay.test", Some(Said::Came(came)));
        let origin = Origin::Client("2001:db8::1".parse().unwrap());
        check("4jX876: client=x[2001:db8::1]:4711", Some(Said::Came(Came { origin, ..Came::default() })));
        check("4jX876: client=unknown", Some(Said::Came(Came::default())));
        let origin = Origin::Client([127, 0, 0, 1].into());
        let again = Came { before: Some("4jX875"), origin, ..Came::default() };
        check("4jX876: client=localhost[127.0.0.1], orig_queue_id=4jX875, orig_client=x[1]", Some(Said::Came(again)));
        let local = Came { sender: Some("root"), origin: Origin::Here, ..Came::default() };
        check("4jX876: uid=0 from=<root>", Some(Said::Came(local)));
        let requeued = Came { sender: Some("a@org.test"), renamed: Some("4jX875"), ..local };
        check("4jX876: uid=102 from=<a@org.test> orig_id=4jX875", Some(Said::Came(requeued)));
        check("4jX876: message-id=<x@y>", Some(Said::MessageId("x@y")));
        check("4jX876: message-id=x@y", Some(Said::MessageId("x@y")));
        check(
            "4jX876: from=<a@org.test>, size=272, nrcpt=2 (queue active)",
            Some(Said::Queued { sender: "a@org.test", octets: Some(272) }),
        );
        check("4jX876: from=<a@org.test>, status=expired, returned to sender", Some(Said::Expired));
        check("4jX876: from=<a@org.test>, status=force-expired, returned to sender", Some(Said::Expired));
        check("4jX876: removed", Some(Said::Gone));
        check("4jX876: removed (canceled)", Some(Said::Gone));
        check("4jX876: milter-reject: END-OF-MESSAGE from x[1]: 5.7.1 spam; from=<a@b> to=<c@d>", Some(Said::Gone));
        for other in [
            "NOQUEUE: reject: RCPT from x[1]: 550",
            "connect from x[1]",
            "4jX876: skipped, still being delivered",
            "warning: x",
            "",
        ] {
            check(other, None);
        }
    }
}
