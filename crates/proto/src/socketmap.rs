//! The socketmap protocol (socketmap_table(5)): tables that Postfix, Sendmail and OpenSMTPD ask over a socket. Questions
//! and answers are netstrings: `LENGTH:OCTETS,`.

use std::fmt;

use thiserror::Error;

/// `NAME KEY`: what does the table `name` say of `key`?
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query {
    pub name: String,
    /// Octets that are no UTF-8 are replaced by U+FFFD: no key of ours has any.
    pub key: String,
}

/// What a table says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Found(String),
    NotFound,
    /// Nobody can say now: mail waits.
    Later(String),
    /// Nobody will ever say: mail waits too, and the reason stands in the log.
    Never(String),
}

/// Puts octets together to queries; holds at most [`QUERY_OCTETS_MAX`] and what one call of `feed` brought.
#[derive(Debug, Default)]
pub struct QueryReader {
    held: Vec<u8>,
}

/// Octets that are no query. The connection is of no more use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SocketmapError {
    #[error("no netstring: its length is not a number of at most {LENGTH_DIGITS_MAX} digits without zeros in front")]
    Length,
    #[error("a query of more than {QUERY_OCTETS_MAX} octets")]
    TooLong,
    #[error("a netstring that does not end with a comma")]
    NoComma,
    #[error("a query without a space between the name of the table and the key")]
    NoKey,
}

impl QueryReader {
    pub fn feed(&mut self, octets: &[u8]) {
        self.held.extend_from_slice(octets);
    }

    /// The next whole query, if it is there.
    ///
    /// # Errors
    /// [`SocketmapError`]; the reader is of no more use.
    pub fn next_query(&mut self) -> Result<Option<Query>, SocketmapError> {
        let digits = self.held.iter().take_while(|octet| octet.is_ascii_digit()).count();
        if LENGTH_DIGITS_MAX < digits || (1 < digits && self.held[0] == b'0') {
            return Err(SocketmapError::Length);
        }
        match self.held.get(digits) {
            None => return Ok(None),
            Some(b':') if 0 < digits => {}
            Some(_) => return Err(SocketmapError::Length),
        }
        let length = self.held[..digits].iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
        if QUERY_OCTETS_MAX < length {
            return Err(SocketmapError::TooLong);
        }
        let end = digits + 1 + length;
        match self.held.get(end) {
            None => return Ok(None),
            Some(b',') => {}
            Some(_) => return Err(SocketmapError::NoComma),
        }
        let text = String::from_utf8_lossy(&self.held[digits + 1..end]);
        let (name, key) = text.split_once(' ').ok_or(SocketmapError::NoKey)?;
        let query = Query { name: name.to_owned(), key: key.to_owned() };
        self.held.drain(..=end);
        Ok(Some(query))
    }
}

impl fmt::Display for Answer {
    /// The answer as it goes over the wire.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, text) = match self {
            Self::Found(text) => ("OK", text.as_str()),
            // Postfix wants the space.
            Self::NotFound => ("NOTFOUND", ""),
            Self::Later(text) => ("TEMP", text.as_str()),
            Self::Never(text) => ("PERM", text.as_str()),
        };
        // It ends up in lines of logs, replies and reports: control characters have no place in any of them.
        let text: String = text.chars().take(TEXT_MAX).map(|c| if c.is_control() { '?' } else { c }).collect();
        write!(f, "{}:{word} {text},", word.len() + 1 + text.len())
    }
}

/// Postfix's own limit for a query; bounds what a peer that never ends one makes us hold.
pub const QUERY_OCTETS_MAX: usize = 10_000;
const LENGTH_DIGITS_MAX: usize = 5;
/// Characters; Postfix takes 100 000 octets and cuts what it logs at 2 000.
const TEXT_MAX: usize = 2_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_the_same_however_their_octets_are_cut() {
        let octets = "17:dsn 4.0.0 é said,9:access a@,";
        let query = |name: &str, key: &str| Query { name: name.into(), key: key.into() };
        for chunk in [1, 3, 100] {
            let (mut reader, mut queries) = (QueryReader::default(), Vec::new());
            for octets in octets.as_bytes().chunks(chunk) {
                reader.feed(octets);
                while let Some(query) = reader.next_query().unwrap() {
                    queries.push(query);
                }
            }
            assert_eq!(queries, [query("dsn", "4.0.0 é said"), query("access", "a@")], "cut at {chunk}");
        }
    }

    #[test]
    fn what_is_no_query_is_an_error() {
        #[track_caller]
        fn check(octets: &str, want: Result<Option<(&str, &str)>, SocketmapError>) {
            let mut reader = QueryReader::default();
            reader.feed(octets.as_bytes());
            let query = reader.next_query();
            let query = query.as_ref().map(|query| query.as_ref().map(|query| (&query.name[..], &query.key[..])));
            assert_eq!(query, want.as_ref().map(|want| want.as_ref().copied()), "{octets:.60}");
        }
        check("", Ok(None));
        check("1", Ok(None));
        check("5:dsn", Ok(None));
        check("6:dsn a ,", Ok(Some(("dsn", "a "))));
        check("4:dsn ,", Ok(Some(("dsn", ""))));
        check("3:dsn,", Err(SocketmapError::NoKey));
        check("0:,", Err(SocketmapError::NoKey));
        check("3:dsn a,", Err(SocketmapError::NoComma));
        check(":dsn a,", Err(SocketmapError::Length));
        check("05:dsn a,", Err(SocketmapError::Length));
        check("-5:dsn a,", Err(SocketmapError::Length));
        check("999999", Err(SocketmapError::Length));
        check("10001:", Err(SocketmapError::TooLong));
        check("EHLO you\r\n", Err(SocketmapError::Length));
    }

    #[test]
    fn answers_are_netstrings_with_a_space() {
        #[track_caller]
        fn check(answer: Answer, want: &str) {
            assert_eq!(answer.to_string(), want);
        }
        check(Answer::NotFound, "9:NOTFOUND ,");
        check(Answer::Found("5.7.1 refusé".into()), "16:OK 5.7.1 refusé,");
        check(Answer::Later("busy\nnow".into()), "13:TEMP busy?now,");
        check(Answer::Never("no".into()), "7:PERM no,");
    }
}
