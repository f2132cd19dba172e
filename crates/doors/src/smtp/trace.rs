//! What a relay writes into the header: where the message came from, and what RFC 5322 asks for and is missing.

use std::net::IpAddr;

use mail_builder::headers::date::Date;

/// How a message came in.
pub(super) struct Via<'a> {
    pub hostname: &'a str,
    pub helo: &'a str,
    /// None: a front did not know it.
    pub client: Option<IpAddr>,
    pub tls: bool,
    pub login: bool,
    pub protocol: Protocol,
    pub utf8: bool,
    pub service: Service,
}

/// What was spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Smtp,
    Esmtp,
    Http,
}

/// What is done for the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Service {
    /// Its author's program hands it in, and may leave things to us (RFC 6409 §8).
    Submission,
    /// It was written and sent elsewhere: whatever is added now may make a signature false (RFC 5321 §6.4).
    Forwarding,
}

/// The message with its trace.
pub(super) struct Traced {
    pub content: Vec<u8>,
    pub message_id: Option<String>,
    /// RFC 8689 §3: its author would rather have it read by others than not delivered.
    pub tls_waived: bool,
}

/// Adds a Received line and, to a submission, Date and Message-ID where they are missing (RFC 6409 §8.1 and §8.2).
///
/// The address of a client that logged in is not written: it is a person's home, and the login says who it was.
pub(super) fn trace(content: &[u8], via: &Via<'_>, now: u64) -> Traced {
    let date = Date::new(i64::try_from(now).unwrap_or(i64::MAX)).to_rfc822();
    // RFC 3848; RFC 6531 §4.3.
    let protocol = match (via.protocol, via.utf8) {
        (Protocol::Smtp, _) => "SMTP".to_owned(),
        (Protocol::Http, _) => "HTTP".to_owned(),
        (Protocol::Esmtp, utf8) => {
            let (name, tls) = (if utf8 { "UTF8SMTP" } else { "ESMTP" }, if via.tls { "S" } else { "" });
            format!("{name}{tls}{}", if via.login { "A" } else { "" })
        }
    };
    let from = if via.login { "authenticated client".to_owned() } else { client(via) };
    // With room for the content, which follows it.
    let mut header = String::with_capacity(TRACE_OCTETS_USUAL + content.len());
    let by = [" (SM2TP) with ", &protocol, ";\r\n\t", &date, "\r\n"];
    ["Received: from ", &from, "\r\n\tby ", via.hostname].iter().chain(&by).for_each(|piece| header.push_str(piece));
    let completes = via.service == Service::Submission;
    let message_id = match field(content, "message-id") {
        Some(value) => value.trim_matches(['<', '>']).to_owned(),
        None if completes => {
            let id = format!("{}.{}@{}", now, unique(), via.hostname);
            header.push_str(&format!("Message-ID: <{id}>\r\n"));
            id
        }
        None => String::new(),
    };
    if completes && field(content, "date").is_none() {
        header.push_str(&format!("Date: {date}\r\n"));
    }
    let tls_waived = field(content, "tls-required").is_some_and(|value| value.eq_ignore_ascii_case("no"));
    // Without any header the first line would be taken for one.
    if !starts_with_header(content) {
        header.push_str("\r\n");
    }
    let mut traced = header.into_bytes();
    traced.extend_from_slice(content);
    let message_id = Some(message_id).filter(|id| !id.is_empty() && id.len() <= ID_OCTETS_MAX);
    Traced { content: traced, message_id, tls_waived }
}

/// RFC 5321 §4.4: the name that the client gave, and the address that it has.
fn client(via: &Via<'_>) -> String {
    let name: String = via.helo.chars().filter(|c| c.is_ascii_graphic() && !"()<>\\\"".contains(*c)).collect();
    match via.client {
        Some(IpAddr::V4(address)) => format!("{name} ([{address}])"),
        Some(IpAddr::V6(address)) => format!("{name} ([IPv6:{address}])"),
        None => format!("{name} (unknown)"),
    }
}

/// The value of a field of the header, unfolded; the first one counts.
fn field(content: &[u8], name: &str) -> Option<String> {
    let mut lines = content.split(|octet| *octet == b'\n').take_while(|line| !line.is_empty() && *line != b"\r");
    let prefix = format!("{name}:");
    let first =
        lines.find(|line| line.len() > name.len() && line[..=name.len()].eq_ignore_ascii_case(prefix.as_bytes()))?;
    let mut value = String::from_utf8_lossy(&first[prefix.len()..]).into_owned();
    for line in lines.take_while(|line| matches!(line.first(), Some(b' ' | b'\t'))) {
        value.push_str(&String::from_utf8_lossy(line));
    }
    Some(value.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn starts_with_header(content: &[u8]) -> bool {
    let line = content.split(|octet| *octet == b'\r').next().unwrap_or_default();
    line.is_empty()
        || line
            .iter()
            .position(|octet| *octet == b':')
            .is_some_and(|colon| colon != 0 && line[..colon].iter().all(|octet| octet.is_ascii_graphic()))
}

/// Unlike that of any other message of this second; nothing depends on it but threading.
fn unique() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// RFC 5322 §2.1.1: no line is longer.
const ID_OCTETS_MAX: usize = 998;
/// Received, Message-ID and Date.
const TRACE_OCTETS_USUAL: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;

    fn traced(content: &str, login: bool) -> (String, Option<String>) {
        traced_for(Service::Submission, content, login)
    }

    fn via(service: Service, login: bool) -> Via<'static> {
        Via {
            hostname: "relay.example.org",
            helo: "laptop\" (evil",
            client: "192.0.2.7".parse().ok(),
            tls: true,
            login,
            protocol: Protocol::Esmtp,
            utf8: login,
            service,
        }
    }

    fn traced_for(service: Service, content: &str, login: bool) -> (String, Option<String>) {
        let traced = trace(content.as_bytes(), &via(service, login), 1_800_000_000);
        (String::from_utf8(traced.content).unwrap(), traced.message_id)
    }

    #[test]
    fn a_whole_message_gets_its_received_line_and_nothing_else() {
        let message = "Date: Fri, 15 Jan 2027 08:00:00 +0000\r\nMessage-ID:\r\n <1@a.example>\r\n\r\nhello\r\n";
        let (content, id) = traced(message, false);
        assert!(
            content
                .starts_with("Received: from laptopevil ([192.0.2.7])\r\n\tby relay.example.org (SM2TP) with ESMTPS;")
        );
        assert!(content.ends_with(message));
        assert_eq!(id.as_deref(), Some("1@a.example"));
        assert_eq!(content.matches("Date:").count(), 1);
    }

    #[test]
    fn whether_it_may_go_in_clear_is_its_authors_word_alone() {
        let waived =
            |content: &str| trace(content.as_bytes(), &via(Service::Submission, false), 1_800_000_000).tls_waived;
        assert!(waived("TLS-Required: No\r\n\r\nx"));
        assert!(waived("Subject: x\r\ntls-required:\r\n\tNO \r\n\r\nx"));
        for content in ["TLS-Required: Yes\r\n\r\nx", "\r\nTLS-Required: No", "Subject: x\r\n\r\nTLS-Required: No"] {
            assert!(!waived(content), "{content}");
        }
    }

    #[test]
    fn what_is_missing_is_added() {
        let (content, id) = traced("Subject: date: x\r\n\r\nMessage-ID: <2@body>\r\n", false);
        assert!(content.contains(&format!("Message-ID: <{}>\r\n", id.unwrap())));
        assert!(content.contains("\r\nDate: "));
        let (content, _) = traced("no header here\r\n", false);
        assert!(content.ends_with("\r\n\r\nno header here\r\n"), "{content}");
    }

    #[test]
    fn what_is_passed_on_is_not_completed() {
        let (content, id) = traced_for(Service::Forwarding, "From: a@b.example\r\n\r\nhi\r\n", false);
        assert_eq!(id, None);
        assert!(
            content.starts_with("Received: ") && content.ends_with(" +0000\r\nFrom: a@b.example\r\n\r\nhi\r\n"),
            "{content}"
        );
    }

    #[test]
    fn the_home_address_of_a_person_who_logged_in_is_not_written() {
        let (content, _) = traced("Subject: x\r\n\r\n", true);
        assert!(content.contains("with UTF8SMTPSA;") && !content.contains("192.0.2.7") && !content.contains("laptop"));
    }
}
