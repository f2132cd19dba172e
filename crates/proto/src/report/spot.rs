//! Addresses as people and programs write them into texts: with brackets, types, routes, quotes, or nothing around them.

use memchr::memchr;

use super::mime::cut;
use crate::Address;

/// An address in a text, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Spot {
    pub address: Address,
    pub start: usize,
    pub end: usize,
}

/// All addresses in a text, from its beginning; lazily, so that whoever needs one pays for one.
pub(super) fn spots(text: &str) -> impl Iterator<Item = Spot> + '_ {
    let mut from = 0;
    std::iter::from_fn(move || {
        loop {
            let at = from + memchr(b'@', &text.as_bytes()[from..])?;
            let floor = from;
            from = at + 1;
            if let Some(spot) = around(text, at, floor) {
                from = spot.end;
                return Some(spot);
            }
        }
    })
}

/// The address that a field of a report names: `rfc822; <jean@example.org>`, `utf-8; josé@example.org` (RFC 6533 §3), with
/// or without its type, in brackets or quotes, with a source route or a comment.
pub(super) fn named(value: &str) -> Option<Address> {
    let value = value.trim();
    let (kind, text) = value.split_once(';').filter(|(kind, _)| !kind.contains('@')).unwrap_or(("", value));
    let text = text.trim();
    let text = text.strip_prefix("mailto:").unwrap_or(text);
    let inner = text.find('<').and_then(|open| Some(&text[open + 1..open + 1 + text[open + 1..].find('>')?]));
    let text = inner.unwrap_or(text).trim_matches(['\'', '"', ' ', '<', '>', '[', ']']);
    let text = text.split_once(" (").map_or(text, |(address, _)| address.trim_end());
    let text = match text.strip_prefix('@').and_then(|route| route.split_once(':')) {
        Some((_, address)) => address,
        None => text,
    };
    if kind.trim().eq_ignore_ascii_case("utf-8") && text.contains("\\x{") {
        return lenient(&from_xtext(text));
    }
    lenient(text).or_else(|| spots(text).next().map(|spot| spot.address))
}

/// As it stands, or quoted: mobile providers gave out local parts like `a..b.`, which RFC 5321 knows with quotes only.
pub(super) fn lenient(text: &str) -> Option<Address> {
    if let Ok(address) = Address::parse(text) {
        return Some(address);
    }
    let (local, domain) = text.rsplit_once('@')?;
    let dots_alone = !local.is_empty() && local.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b));
    dots_alone.then(|| Address::parse(&format!("\"{local}\"@{domain}")).ok()).flatten()
}

/// The address around this `@`, which does not reach before `floor`.
fn around(text: &str, at: usize, floor: usize) -> Option<Spot> {
    let end = domain_end(text, at + 1)?;
    let start = local_start(text, at, floor);
    let start = if text[..start].ends_with('<') { start } else { start + leading_signs(&text[start..at]) };
    let start = start + path(&text[start..at]);
    let address = lenient(&text[start..end])?;
    Some(Spot { address, start, end })
}

/// Text in letters like those of the address's own may go on right after it in languages without blanks.
fn domain_end(text: &str, start: usize) -> Option<usize> {
    let rest = cut(&text[start..], DOMAIN_OCTETS_MAX);
    let is_far = rest.chars().next().is_some_and(is_far_letter);
    let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c) || is_letter(c, is_far);
    let domain = &rest[..rest.find(|c| !fits(c)).unwrap_or(rest.len())];
    let domain = domain.find("..").map_or(domain, |dots| &domain[..dots]).trim_end_matches(['.', '-', '_']);
    (!domain.is_empty()).then_some(start + domain.len())
}

fn local_start(text: &str, at: usize, floor: usize) -> usize {
    let mut first = at.saturating_sub(LOCAL_OCTETS_MAX).max(floor);
    while !text.is_char_boundary(first) {
        first += 1;
    }
    let before = &text[first..at];
    if let Some(open) = before.strip_suffix('"').and_then(|quoted| quoted.rfind('"')) {
        return first + open;
    }
    let is_far = before.chars().next_back().is_some_and(is_far_letter);
    let fits = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c) || is_letter(c, is_far);
    let local = before.trim_end_matches(fits).len();
    first + local
}

/// Signs that no mailbox begins with, but that stand before one: `*jean@…`, `'jean@…`, `=jean@…`.
fn leading_signs(local: &str) -> usize {
    local.len()
        - local.trim_start_matches(['\'', '`', '*', '-', '=', '.', '/', '|', '{', '}', '~', '?', '!', '#']).len()
}

/// A path before a mailbox, `home/jean/.forward/jean@…`; a single slash may be of the mailbox (X.400, Notes).
fn path(local: &str) -> usize {
    if 1 < local.matches('/').count() && !local.contains('=') { local.rfind('/').map_or(0, |at| at + 1) } else { 0 }
}

/// Letters beyond ASCII; those of scripts without blanks between words only in an address that is written in them.
fn is_letter(c: char, is_far: bool) -> bool {
    !c.is_ascii() && c.is_alphanumeric() && (is_far || !is_far_letter(c))
}

fn is_far_letter(c: char) -> bool {
    '\u{530}' <= c
}

/// RFC 6533 §3: `\x{e9}` is é.
fn from_xtext(text: &str) -> String {
    let mut clear = String::with_capacity(text.len());
    let mut pieces = text.split("\\x{");
    clear.push_str(pieces.next().unwrap_or(""));
    for piece in pieces {
        let decoded = piece.split_once('}').and_then(|(hex, rest)| {
            Some((u32::from_str_radix(hex, 16).ok().and_then(char::from_u32).filter(|c| !c.is_control())?, rest))
        });
        match decoded {
            Some((c, rest)) => {
                clear.push(c);
                clear.push_str(rest);
            }
            None => clear.push_str(piece),
        }
    }
    clear
}

/// RFC 5321 §4.5.3.1.1, with room for quotes and for signs before it.
const LOCAL_OCTETS_MAX: usize = 80;
/// RFC 1035 §2.3.4, with room for what is cut off.
const DOMAIN_OCTETS_MAX: usize = 260;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_spots(text: &str, want: &[&str]) {
        let found: Vec<_> = spots(text).map(|spot| spot.address.clear()).collect();
        assert_eq!(found, want, "{text}");
    }

    #[test]
    fn addresses_are_found_in_texts() {
        check_spots("to <jean@example.org>, anna@example.net: no", &["jean@example.org", "anna@example.net"]);
        check_spots("'jean@example.org' mailto:anna@example.net...", &["jean@example.org", "anna@example.net"]);
        check_spots("550 jean@example.org...User unknown", &["jean@example.org"]);
        check_spots("\"jean dupont\"@example.org", &["\"jean dupont\"@example.org"]);
        check_spots("rfc822;jean@example.org. And", &["jean@example.org"]);
        check_spots(
            "宛先jean@example.jpへの josé@exämple.fr 用户@例子.广告",
            &["jean@example.jp", "josé@exämple.fr", "用户@例子.广告"],
        );
        check_spots("open /home/jean/.mail/jean@example.org: no", &["jean@example.org"]);
        check_spots(
            "<jean/asso@example.org> /g=jean/s=dupont/@example.org",
            &["jean/asso@example.org", "g=jean/s=dupont/@example.org"],
        );
        check_spots("a..b.@mobile.example", &["\"a..b.\"@mobile.example"]);
        check_spots("@ a@ @b @@ a@b@c.example jean@[192.0.2.1]", &["a@b"]);
        check_spots(&"a@".repeat(1000), &["a@a"; 500]);
    }

    #[test]
    fn fields_name_their_address_in_many_ways() {
        #[track_caller]
        fn check(value: &str, want: Option<&str>) {
            assert_eq!(named(value).map(|address| address.clear()).as_deref(), want, "{value}");
        }
        for value in [
            "rfc822; jean@example.org",
            "RFC822;<jean@example.org>",
            "rfc822; Jean <jean@example.org>",
            "jean@example.org",
            "<jean@example.org> (expanded)",
            "rfc822; 'jean@example.org'",
            "rfc822;@relay.example,@other.example:jean@example.org",
            "rfc822; |/usr/bin/filter jean@example.org /home/x",
            "mailto:jean@example.org",
        ] {
            check(value, Some("jean@example.org"));
        }
        check("utf-8; jos\\x{e9}@example.org", Some("josé@example.org"));
        check("utf-8; josé@example.org", Some("josé@example.org"));
        check("rfc822; /var/spool/mail/jean", None);
        check("x-local; jean", None);
        check("", None);
    }
}
