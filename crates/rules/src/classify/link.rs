//! The page that a server points to: where its block list tells why, and takes an address off.

/// The first web address of the text. It is only ever shown, never followed, so it is held to characters that cannot
/// break out of the place where it is shown: visible ASCII without quotes, brackets and backslashes.
pub(super) fn link(text: &str) -> Option<&str> {
    let mut rest = text;
    loop {
        let start = rest.find("://")?;
        let scheme = ["https", "http"].into_iter().find(|scheme| ends_with(&rest[..start], scheme));
        let after = &rest[start + 3..];
        if let Some(scheme) = scheme {
            let end = after.find(|c: char| !may_stand_in_a_link(c)).unwrap_or(after.len());
            let found = after[..end].trim_end_matches(CLOSES_A_SENTENCE);
            let whole = &rest[start - scheme.len()..start + 3 + found.len()];
            let host = found.split(['/', '?', '#', ':']).next().unwrap_or_default();
            if is_host(host) && whole.len() <= LINK_OCTETS_MAX {
                return Some(whole);
            }
        }
        rest = after;
    }
}

fn ends_with(text: &str, scheme: &str) -> bool {
    let Some(start) = text.len().checked_sub(scheme.len()) else { return false };
    text.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(scheme))
        && !text[..start].ends_with(|c: char| c.is_alphanumeric())
}

fn may_stand_in_a_link(c: char) -> bool {
    c.is_ascii_graphic() && !matches!(c, '<' | '>' | '"' | '\'' | '`' | '\\' | '^' | '{' | '}' | '|' | '[' | ']')
}

/// No login, no port trick: what stands there is a name or an IPv4 address with a dot in it.
fn is_host(host: &str) -> bool {
    host.contains('.') && host.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-')
}

/// Block lists put an address and a token into the query; beyond this it is no page but a payload.
const LINK_OCTETS_MAX: usize = 300;
const CLOSES_A_SENTENCE: [char; 8] = ['.', ',', ';', ':', '!', '?', ')', '('];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<&str>) {
        assert_eq!(link(text), want, "{text}");
    }

    #[test]
    fn the_page_that_explains_is_found() {
        check(
            "550 Blocked - see https://ipcheck.proofpoint.com/?ip=192.0.2.1",
            Some("https://ipcheck.proofpoint.com/?ip=192.0.2.1"),
        );
        check("please visit http://postmaster.free.fr/.", Some("http://postmaster.free.fr/"));
        check("(HTTPS://example.org/a_b-c~d);", Some("HTTPS://example.org/a_b-c~d"));
        check("ftp://example.org http://example.net", Some("http://example.net"));
    }

    #[test]
    fn what_is_no_web_page_is_left_alone() {
        check("see www.example.org", None);
        check("javascript://example.org", None);
        check("xhttp://example.org", None);
        check("http://localhost/", None);
        check("http://user@example.org/", None);
        check("http://", None);
        check(&format!("http://example.org/{}", "a".repeat(400)), None);
        check("http://example.org/\u{1b}[31m<b>", Some("http://example.org/"));
        check("http://exämple.org/", None);
        check("://://://", None);
    }
}
