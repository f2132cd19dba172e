//! An entry of the journal, as `journalctl` writes it in JSON.

use serde::Deserialize;
use serde_json::Value;
use sm2tp_proto::date;

/// An entry of the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Which journal.
    pub of: String,
    pub number: u64,
    /// As syslog would have written it, with a time of RFC 3339.
    pub line: String,
}

/// Reads a line of `journalctl --output=json`. None for what is no entry; such a line is passed over.
pub(crate) fn entry(line: &[u8]) -> Option<Entry> {
    let InJson { cursor, micros, message, program, host } = serde_json::from_slice(line).ok()?;
    let part = |name: &str| cursor.split(';').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
    let number = u64::from_str_radix(part("i")?, 16).ok()?;
    let of = part("s").filter(|of| of.bytes().all(|octet| octet.is_ascii_hexdigit()))?.to_owned();
    let message = match message {
        Value::String(text) => text,
        // What is no UTF-8 comes as numbers.
        Value::Array(octets) => {
            let octets: Vec<u8> = octets.iter().filter_map(|octet| u8::try_from(octet.as_u64()?).ok()).collect();
            String::from_utf8_lossy(&octets).into_owned()
        }
        _ => return None,
    };
    let at = date::rfc3339(micros.parse::<u64>().ok()? / 1_000_000);
    let word = |text: &str, instead: &str| match text.is_empty() || text.contains([' ', ':', '[']) {
        true => instead.to_owned(),
        false => text.to_owned(),
    };
    let line = format!("{at} {} {}: {message}", word(&host, "localhost"), word(&program, "mail"));
    Some(Entry { of, number, line })
}

#[derive(Deserialize)]
struct InJson<'a> {
    #[serde(rename = "__CURSOR")]
    cursor: &'a str,
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    micros: &'a str,
    #[serde(rename = "MESSAGE", default)]
    message: Value,
    #[serde(rename = "SYSLOG_IDENTIFIER", default)]
    program: String,
    #[serde(rename = "_HOSTNAME", default)]
    host: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_journalctl_says_is_an_entry_or_none() {
        crate::drive::drive("journal", 20_000, crate::feeds::journal);
    }

    #[track_caller]
    fn check(line: &str, want: Option<(&str, u64, &str)>) {
        let read = entry(line.as_bytes());
        assert_eq!(read.as_ref().map(|entry| (&*entry.of, entry.number, &*entry.line)), want, "{line}");
    }

    #[test]
    fn an_entry_is_a_line_of_syslog_with_the_place_where_it_stands() {
        let head = r#"{"__CURSOR":"s=62ab;i=1f;b=01;m=1;t=66;x=4","__REALTIME_TIMESTAMP":"1795680199000001","_HOSTNAME":"vm","#;
        let want = Some(("62ab", 31, "2026-11-26T08:03:19Z vm postfix/smtp: 4jX8761: removed"));
        check(&format!(r#"{head}"SYSLOG_IDENTIFIER":"postfix/smtp","MESSAGE":"4jX8761: removed"}}"#), want);
        let octets = Some(("62ab", 31, "2026-11-26T08:03:19Z vm mail: a\u{fffd}"));
        check(&format!(r#"{head}"SYSLOG_IDENTIFIER":"a b","MESSAGE":[97,255]}}"#), octets);
        for line in [
            "",
            "-- No entries --",
            "{}",
            r#"{"__CURSOR":"s=62ab;i=zz","__REALTIME_TIMESTAMP":"1","MESSAGE":"x"}"#,
            r#"{"__CURSOR":"s=../x;i=1","__REALTIME_TIMESTAMP":"1","MESSAGE":"x"}"#,
            r#"{"__CURSOR":"s=62ab;i=1","__REALTIME_TIMESTAMP":"1","MESSAGE":null}"#,
        ] {
            check(line, None);
        }
    }
}
