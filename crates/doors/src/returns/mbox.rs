//! A mailbox as one file: mails behind lines that begin with `From `, each behind an empty line.

/// Whether more may come behind the octets at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Somebody may be writing the last mail.
    Open,
    /// The file has been still for long enough.
    Still,
}

/// The whole mails at the beginning of `octets`, with line ends of CRLF, and how many octets they take. A mail is whole when
/// another one begins behind it, or nobody writes any more. Octets before the first `From ` belong to no mail.
pub(super) fn split(octets: &[u8], end: End) -> (Vec<Vec<u8>>, usize) {
    let starts: Vec<usize> = starts(octets).collect();
    let mut mails: Vec<Vec<u8>> = starts.windows(2).map(|pair| mail(&octets[pair[0]..pair[1]])).collect();
    let used = match (starts.last(), end) {
        (Some(last), End::Still) => {
            mails.push(mail(&octets[*last..]));
            octets.len()
        }
        (Some(last), End::Open) => *last,
        (None, End::Still) => octets.len(),
        (None, End::Open) => 0,
    };
    (mails, used)
}

/// Where mails begin.
fn starts(octets: &[u8]) -> impl Iterator<Item = usize> {
    let at = |at: &usize| {
        let before = &octets[..*at];
        octets[*at..].starts_with(SEPARATOR)
            && (before.is_empty() || before.ends_with(b"\n\n") || before.ends_with(b"\n\r\n"))
    };
    let lines = octets.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(place, _)| place + 1);
    std::iter::once(0).chain(lines).filter(at)
}

/// Without its `From ` line, with the `From ` lines of its text as they were before they were quoted.
fn mail(octets: &[u8]) -> Vec<u8> {
    let begin = octets.iter().position(|octet| *octet == b'\n').map_or(octets.len(), |at| at + 1);
    let mut mail = Vec::with_capacity(octets.len() + octets.len() / 32);
    for line in octets[begin..].split_inclusive(|octet| *octet == b'\n') {
        let whole = line.strip_suffix(b"\n").unwrap_or(line);
        let whole = whole.strip_suffix(b"\r").unwrap_or(whole);
        let quoted = whole.iter().take_while(|octet| **octet == b'>').count();
        let unquoted = usize::from(0 < quoted && whole[quoted..].starts_with(SEPARATOR));
        mail.extend_from_slice(&whole[unquoted..]);
        mail.extend_from_slice(b"\r\n");
    }
    mail
}

const SEPARATOR: &[u8] = b"From ";

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, end: End, want: &[&str], left: &str) {
        let (mails, used) = split(text.as_bytes(), end);
        let mails: Vec<String> = mails.into_iter().map(|mail| String::from_utf8(mail).unwrap()).collect();
        assert_eq!(
            (&mails[..], &text[used..]),
            (&want.iter().map(|mail| (*mail).to_owned()).collect::<Vec<_>>()[..], left)
        );
    }

    #[test]
    fn a_mail_is_whole_when_another_begins_or_nobody_writes() {
        let two = "From a Mon\nSubject: 1\n\nbody\n\nFrom b Tue\nSubject: 2\n\nhal";
        check(two, End::Open, &["Subject: 1\r\n\r\nbody\r\n\r\n"], "From b Tue\nSubject: 2\n\nhal");
        check(two, End::Still, &["Subject: 1\r\n\r\nbody\r\n\r\n", "Subject: 2\r\n\r\nhal\r\n"], "");
        check("From a Mon\r\nSubject: 1\r\n\r\nFrom here on\r\n", End::Still, &["Subject: 1\r\n\r\n", ""], "");
        check("", End::Open, &[], "");
        check("no mailbox\n", End::Open, &[], "no mailbox\n");
        check("the rest of a large mail\n\nFrom b Tue\nS: 2\n", End::Still, &["S: 2\r\n"], "");
    }

    #[test]
    fn quoted_lines_are_what_they_were() {
        check(
            "From a\nS: 1\n\n>From me\n>>From you\n> From\n",
            End::Still,
            &["S: 1\r\n\r\nFrom me\r\n>From you\r\n> From\r\n"],
            "",
        );
    }
}
