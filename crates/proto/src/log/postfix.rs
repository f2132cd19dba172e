//! What a line of Postfix (3.4 to 3.11) says of a mail.

use super::{Attempt, Came, Origin, Reach, Said, Status, path};
use crate::Enhanced;

/// Reads the text behind the head of a line: the queue id, and what is said. None for the many lines that say nothing here.
#[must_use]
pub fn read(text: &str) -> Option<(&str, Said<'_>)> {
    let (queue_id, body) = text.split_once(": ")?;
    if !is_queue_id(queue_id) {
        return None;
    }
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
            _ => Said::Sender(sender),
        }
    } else if let Some(rest) = body.strip_prefix("uid=") {
        let (_, rest) = rest.split_once(" from=")?;
        let sender = path(rest).map(|(sender, _)| sender);
        Said::Came(Came { sender, origin: Origin::Here, ..Came::default() })
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

/// Short ones are upper-case hexadecimal, long ones any letters and digits (`enable_long_queue_ids`).
fn is_queue_id(text: &str) -> bool {
    (QUEUE_ID_MIN..=QUEUE_ID_MAX).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_alphanumeric())
}

/// `unknown[127.0.0.1], sasl_method=PLAIN, sasl_username=alice, orig_queue_id=Q, orig_client=…`
fn client(rest: &str) -> Came<'_> {
    let field = |name: &str| rest.split(", ").find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
    let address = rest.split_once('[').and_then(|(_, rest)| rest.split_once(']')?.0.parse().ok());
    let origin = address.map_or(Origin::Unknown, Origin::Client);
    Came { login: field("sasl_username"), before: field("orig_queue_id"), origin, ..Came::default() }
}

/// `<A>, orig_to=<B>, relay=…, delay=…, delays=…, tls=…, dsn=5.1.1, status=bounced (text)`: in whatever order and with whatever
/// else between, but `status` ends it.
fn result(rest: &str) -> Option<Attempt<'_>> {
    let (recipient, mut rest) = path(rest)?;
    let mut result = Attempt { recipient, ..Attempt::default() };
    loop {
        rest = rest.strip_prefix(", ")?;
        let (name, value) = rest.split_once('=')?;
        if name == "status" {
            let (word, text) = value.split_once(" (").unwrap_or((value, ""));
            result.status = status(word)?;
            // Postfix cuts at 2 000 octets, and the bracket with it.
            result.text = text.strip_suffix(')').unwrap_or(text);
            return Some(result);
        }
        if name == "orig_to" {
            (result.original, rest) = path(value).map(|(original, rest)| (Some(original), rest))?;
            continue;
        }
        let (value, behind) = value.split_at(value.find(", ")?);
        match name {
            "relay" => (result.host, result.reach) = relay(value),
            "dsn" => result.enhanced = Enhanced::at_start(value),
            _ => {}
        }
        rest = behind;
    }
}

/// `mx.example.org[192.0.2.1]:25`, `none`, or the name of a transport that stays on this machine.
fn relay(value: &str) -> (Option<&str>, Reach) {
    match value.split_once('[') {
        Some((host, _)) if !host.is_empty() => (Some(host), Reach::Server),
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
        check("4jX876: message-id=<x@y>", Some(Said::MessageId("x@y")));
        check("4jX876: message-id=x@y", Some(Said::MessageId("x@y")));
        check("4jX876: from=<a@org.test>, size=272, nrcpt=2 (queue active)", Some(Said::Sender("a@org.test")));
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
