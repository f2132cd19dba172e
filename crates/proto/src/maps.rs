//! Tables that mail servers look up in files (access(5), transport(5), cdb): what may stand in them, and how they are written.

pub mod cdb;

use crate::policy;

/// One file: its name is `WHAT.FORM`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct File {
    pub what: What,
    pub form: Form,
}

/// What a file lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// Addresses that this node would not write to, as far as it knows them in clear.
    Suppress,
    /// Logins whose mail is stopped.
    Logins,
    /// Sender addresses whose mail is stopped.
    Senders,
    /// Servers for single domains, as Postfix's transport(5) has it.
    Transport,
    /// The same for Exim's `route_data`.
    TransportExim,
}

/// How it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Cdb,
    /// As postmap(1) reads it.
    Text,
    Csv,
    Json,
}

impl What {
    pub const ALL: [Self; 5] = [Self::Suppress, Self::Logins, Self::Senders, Self::Transport, Self::TransportExim];

    /// The name of the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suppress => "suppress",
            Self::Logins => "logins",
            Self::Senders => "senders",
            Self::Transport => "transport",
            Self::TransportExim => "transport-exim",
        }
    }
}

impl Form {
    pub const ALL: [Self; 4] = [Self::Cdb, Self::Text, Self::Csv, Self::Json];

    /// The end of the file's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cdb => "cdb",
            Self::Text => "txt",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

impl File {
    #[must_use]
    pub fn name(self) -> String {
        format!("{}.{}", self.what.as_str(), self.form.as_str())
    }
}

/// The key under which Postfix and Exim look up an address, a login or a domain: in lower case.
///
/// None for what a text table cannot hold without being taken for something else: white space, quotes, control characters,
/// a `#` in front. Quoted local parts are among them; mail servers disagree on whether they look them up with their quotes.
#[must_use]
pub fn key(text: &str) -> Option<String> {
    let is_plain = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\\');
    let fits = !text.is_empty() && text.len() <= KEY_OCTETS_MAX && !text.starts_with('#') && text.chars().all(is_plain);
    fits.then(|| text.to_lowercase())
}

/// A refusal as access(5) has it, and as Exim's `message` takes it: `550 5.1.1 words`. One line of printable ASCII.
#[must_use]
pub fn refusal(code: u16, enhanced: crate::Enhanced, text: &str) -> String {
    format!("{code} {enhanced} {}", policy::line(text))
}

/// A table as postmap(1) reads it: a key and its value on each line. Keys are those of [`key`].
#[must_use]
pub fn text<'a>(entries: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    entries.into_iter().map(|(key, value)| format!("{key}\t{}\n", policy::line(value))).collect()
}

/// A field of a CSV file. A spreadsheet takes what begins like a formula for one, and the words of strangers may: an
/// apostrophe makes it text.
#[must_use]
pub fn cell(text: &str) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let is_formula = text.trim_start().starts_with(['=', '+', '-', '@', '|', '%']);
    let text = if is_formula { format!("'{text}") } else { text };
    if text.contains([',', ';', '"', '\'', '\t']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

/// The longest address (RFC 5321 §4.5.3.1.3); logins are no longer.
const KEY_OCTETS_MAX: usize = 254;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Enhanced;

    #[test]
    fn a_key_cannot_be_taken_for_something_else() {
        #[track_caller]
        fn check(text: &str, want: Option<&str>) {
            assert_eq!(key(text).as_deref(), want);
        }
        check("Anna.B+tag@Asso.example", Some("anna.b+tag@asso.example"));
        check("É@école.example", Some("é@école.example"));
        check("#anna@asso.example", None);
        check("\"an na\"@asso.example", None);
        check("an\tna", None);
        check("", None);
        check(&"a".repeat(255), None);
    }

    #[test]
    fn a_value_stays_on_its_line() {
        let value = refusal(550, Enhanced(5, 1, 1), "not sent: \"no\nsuch\" boîte");
        assert_eq!(value, "550 5.1.1 not sent: \"no?such\" bo?te");
        assert_eq!(text([("a@x", value.as_str()), ("b@x", "OK")]), format!("a@x\t{value}\nb@x\tOK\n"));
    }

    #[test]
    fn no_cell_is_a_formula() {
        #[track_caller]
        fn check(text: &str, want: &str) {
            assert_eq!(cell(text), want);
        }
        check("x.example", "x.example");
        check("=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\"");
        check(" +1", "\"' +1\"");
        check("@SUM(A1)", "\"'@SUM(A1)\"");
        check("\t=1", "\"' =1\"");
        check("a\r\nb", "a  b");
        check("a, b", "\"a, b\"");
    }
}
