//! What a server said, made comparable: one line, lower case, no repeated codes, no addresses of people or machines.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use sm2tp_proto::Enhanced;

/// The start of a text that is looked at, cut where a character ends.
pub(super) fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(LOOKED_AT_OCTETS)]
}

/// Words separated by one blank each. Codes that repeat `code` or `enhanced` are dropped, so that a sentence which a
/// server broke over several reply lines reads as one; addresses become `@`, because a mailbox may be called "spam";
/// addresses of machines become `0.0.0.0`, so that a rule can name the one that is refused.
pub(super) fn plain(text: &str, code: Option<u16>, enhanced: Option<Enhanced>) -> String {
    let text = head(text);
    let mut out = String::with_capacity(text.len());
    // Most texts are ASCII and many name no address: what is known of the whole is not asked of every word.
    let (ascii, address) = (text.is_ascii(), text.contains('@'));
    let machines = names_machines(text);
    for word in words(text) {
        let word = without_code(word, code, enhanced);
        if word.is_empty() {
            continue;
        }
        if !out.is_empty() {
            out.push(' ');
        }
        if address && word.bytes().any(|b| b == b'@') {
            push_masked(&mut out, word);
        } else if let Some(machine) = machines.then(|| machine(word)).flatten() {
            push_folded(&mut out, &word[..machine.start]);
            out.push_str(ANY_MACHINE);
            push_folded(&mut out, &word[machine.end..]);
        } else if ascii {
            out.push_str(word);
        } else {
            push_folded(&mut out, word);
        }
    }
    out.make_ascii_lowercase();
    out
}

/// The words of a text. Control characters separate: terminal escapes neither join nor hide words.
pub(super) fn words(text: &str) -> Words<'_> {
    Words { rest: text }
}

/// An iterator over octets, not characters: the separators are below 0x80, so never part of another character.
pub(super) struct Words<'a> {
    rest: &'a str,
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let start = self.rest.bytes().position(|b| !separates(b))?;
        let rest = &self.rest[start..];
        let end = rest.bytes().position(separates).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        Some(word)
    }
}

/// What stands between words.
pub(super) fn separates(b: u8) -> bool {
    b <= b' ' || b == 0x7f
}

/// The reply code at the start of a word and what follows its hyphen: `550`, `550-5.1.1`, `550-Sorry`.
pub(super) fn code_at_start(word: &str) -> Option<(u16, &str)> {
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = word.get(..3).filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
    let rest = &word[3..];
    let rest = if rest.is_empty() { rest } else { rest.strip_prefix('-')? };
    Some((digits.parse().ok()?, rest))
}

/// An enhanced code that is a whole word: `5.1.1`, `5.1.1:`, `(#5.1.1)`.
pub(super) fn enhanced_word(word: &str) -> Option<Enhanced> {
    let may_be = word.starts_with(['4', '5', '2', '#', '(', '[', '<']) && word.len() <= ENHANCED_OCTETS_MAX + 6;
    if !may_be {
        return None;
    }
    let word = word.trim_start_matches(['#', '(', '[', '<']).trim_end_matches([')', ']', '>', ':', ',', ';', '.']);
    let short = word.len() <= ENHANCED_OCTETS_MAX && word.starts_with(['2', '4', '5']);
    let whole = short && word.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    // Subjects above 7 are not registered (RFC 5248); such words are version or serial numbers.
    Enhanced::at_start(word).filter(|enhanced| whole && enhanced.1 <= 7)
}

fn without_code(word: &str, code: Option<u16>, enhanced: Option<Enhanced>) -> &str {
    let rest = match code_at_start(word) {
        Some((found, rest)) if Some(found) == code => rest,
        _ => word,
    };
    let repeats = enhanced.is_some() && rest.starts_with(['2', '4', '5']) && enhanced_word(rest) == enhanced;
    if repeats { "" } else { rest }
}

fn push_masked(out: &mut String, mut word: &str) {
    while let Some(at) = word.bytes().position(|b| b == b'@') {
        let start = word[..at].rfind(LEFT_OF_ADDRESS).map_or(0, |i| i + 1);
        let tail = &word[at + 1..];
        let end = tail.find(|c: char| !c.is_alphanumeric() && !matches!(c, '.' | '-' | '_')).unwrap_or(tail.len());
        push_folded(out, &word[..start]);
        out.push('@');
        word = &tail[end..];
    }
    push_folded(out, word);
}

/// Whether any word may hold an address of a machine: most texts say no as a whole.
fn names_machines(text: &str) -> bool {
    let count = |wanted: u8| text.bytes().filter(|b| *b == wanted).count();
    3 <= count(b'.') || 2 <= count(b':')
}

/// Where in a word an address of a machine stands: `[192.0.2.1]:25`, `host[192.0.2.1]`, `(2001:db8::1)`.
fn machine(word: &str) -> Option<Range<usize>> {
    let count = |wanted: u8| word.bytes().filter(|b| *b == wanted).count();
    if word.len() < MACHINE_OCTETS_MIN {
        None
    } else if 3 <= count(b'.') {
        machine_v4(word)
    } else {
        (2 <= count(b':')).then(|| machine_v6(word)).flatten()
    }
}

fn machine_v4(word: &str) -> Option<Range<usize>> {
    let belongs = |b: &u8| b.is_ascii_digit() || *b == b'.';
    let mut start = 0;
    while let Some(at) = word.bytes().skip(start).position(|b| b.is_ascii_digit()) {
        start += at;
        let whole = word.bytes().skip(start).take_while(belongs).count();
        let found = word[start..start + whole].trim_end_matches('.');
        let end = start + found.len();
        // A number inside a name is part of a host name: `a1.2.3.4.example`, `4.3.2.1.in-addr.arpa`.
        let named = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let free = !word[..start].bytes().next_back().is_some_and(named)
            && !word[start + whole..].bytes().next().is_some_and(named);
        if free && found.parse::<Ipv4Addr>().is_ok() {
            return Some(start..end);
        }
        start += whole;
    }
    None
}

fn machine_v6(word: &str) -> Option<Range<usize>> {
    let found = word.trim_matches(|c: char| !c.is_ascii_hexdigit() && c != ':');
    let start = word.find(found)?;
    found.parse::<Ipv6Addr>().is_ok().then(|| start..start + found.len())
}

/// Servers say "refusé" and "refuse", "größe" and "grosse"; rules need one spelling for the accents of the languages
/// written in Latin letters. ASCII is lowered at the end, all at once.
fn push_folded(out: &mut String, word: &str) {
    if word.is_ascii() {
        return out.push_str(word);
    }
    for c in word.chars() {
        match c {
            _ if c.is_ascii() => out.push(c),
            _ if c.is_control() => {}
            _ if c.is_whitespace() => out.push(' '),
            'à'..='å' | 'À'..='Å' | 'ā' | 'ă' | 'ą' | 'Ā' | 'Ă' | 'Ą' => out.push('a'),
            'ç' | 'Ç' | 'ć' | 'č' | 'Ć' | 'Č' => out.push('c'),
            'ď' | 'đ' | 'Ď' | 'Đ' => out.push('d'),
            'è'..='ë' | 'È'..='Ë' | 'ē' | 'ę' | 'ě' | 'Ē' | 'Ę' | 'Ě' => out.push('e'),
            'ì'..='ï' | 'Ì'..='Ï' | 'ī' | 'Ī' => out.push('i'),
            'ł' | 'Ł' => out.push('l'),
            'ñ' | 'Ñ' | 'ń' | 'ň' | 'Ń' | 'Ň' => out.push('n'),
            'ò'..='ö' | 'ø' | 'Ò'..='Ö' | 'Ø' | 'ő' | 'Ő' => out.push('o'),
            'ř' | 'Ř' => out.push('r'),
            'ś' | 'š' | 'ş' | 'Ś' | 'Š' | 'Ş' => out.push('s'),
            'ß' => out.push_str("ss"),
            'ť' | 'ţ' | 'Ť' | 'Ţ' => out.push('t'),
            'ù'..='ü' | 'Ù'..='Ü' | 'ū' | 'ů' | 'ű' | 'Ū' | 'Ů' | 'Ű' => out.push('u'),
            'ý' | 'ÿ' | 'Ý' => out.push('y'),
            'ź' | 'ż' | 'ž' | 'Ź' | 'Ż' | 'Ž' => out.push('z'),
            '’' | '‘' | '`' => out.push('\''),
            _ => out.extend(c.to_lowercase()),
        }
    }
}

/// Real replies are shorter; the bound keeps a hostile line of megabytes from costing time.
const LOOKED_AT_OCTETS: usize = 4096;
/// `5.999.999`
const ENHANCED_OCTETS_MAX: usize = 9;
/// `::1`
const MACHINE_OCTETS_MIN: usize = 3;
/// Stands in rules for whichever address of a machine a text names.
const ANY_MACHINE: &str = "0.0.0.0";
/// What stands before an address inside a word.
const LEFT_OF_ADDRESS: [char; 11] = ['<', '(', '[', '{', '"', '\'', ':', ';', ',', '|', '/'];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: &str) {
        assert_eq!(plain(text, Some(550), Some(Enhanced(5, 1, 1))), want);
    }

    #[test]
    fn broken_lines_read_as_one_sentence() {
        check("550-5.1.1 The account\n550-5.1.1 does not\r\n550 5.1.1 exist", "the account does not exist");
        check("5.1.1 The account\n5.1.1 does not exist", "the account does not exist");
        check("550-Sorry, 5.7.1 no", "sorry, 5.7.1 no");
    }

    #[test]
    fn addresses_are_masked_and_accents_folded() {
        check("<spam@virus.example>... User Unknown", "<@>... user unknown");
        check("Service refusé, é\u{1b}[2Jcran", "service refuse, e [2jcran");
        check("a@b,c@d", "@,@");
        check("host[192.0.2.1]:25 (192.0.2.7), IPs", "host[0.0.0.0]:25 (0.0.0.0), ips");
        check("[2001:DB8::1] ?ip=192.0.2.1. 192.0.2.0/24", "[0.0.0.0] ?ip=0.0.0.0. 0.0.0.0/24");
        check(
            "1.2.0.192.in-addr.arpa a1.2.3.4 300.1.1.1 1.2.3 12:30:00",
            "1.2.0.192.in-addr.arpa a1.2.3.4 300.1.1.1 1.2.3 12:30:00",
        );
        check("", "");
    }
}
