//! The DNS record of a key, as people copy it (RFC 6376 §3.6.1) and as the DNS gives it back.

use super::secret::Algorithm;

/// What has to be in the DNS for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// `selector._domainkey.example.org`
    pub name: String,
    /// The whole value, as web forms take it.
    pub value: String,
}

/// How a published record compares with ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Receivers find our key.
    Equal,
    /// There is a key, and it is another one.
    Other,
    /// `p=` is empty: the key is revoked (RFC 6376 §3.6.1).
    Revoked,
    /// `t=y`: receivers are told not to count on it.
    Testing,
    /// Several records: which one a receiver takes is undefined (RFC 6376 §3.6.2.2).
    Several,
    Missing,
}

impl Record {
    pub(super) fn new(name: String, algorithm: Algorithm, public: &str) -> Self {
        Self { name, value: format!("v=DKIM1; k={}; p={public}", algorithm.as_str()) }
    }

    /// The value in pieces that fit into the strings of a TXT record.
    #[must_use]
    pub fn strings(&self) -> Vec<&str> {
        let mut strings = Vec::new();
        let mut rest = self.value.as_str();
        while !rest.is_empty() {
            // The value is ASCII, so that every place is one to cut at.
            let (string, after) = rest.split_at(rest.len().min(STRING_OCTETS_MAX));
            strings.push(string);
            rest = after;
        }
        strings
    }

    /// A line of a zone file.
    #[must_use]
    pub fn zone_line(&self) -> String {
        let strings: Vec<String> = self.strings().iter().map(|string| format!("\"{string}\"")).collect();
        format!("{}. 3600 IN TXT ( {} )", self.name, strings.join(" "))
    }

    /// Compares with what the DNS holds under [`Record::name`]: the TXT records, each with its strings put together.
    #[must_use]
    pub fn compare(&self, found: &[String]) -> Published {
        let keys: Vec<&String> = found.iter().filter(|text| tag(text, "p").is_some()).collect();
        let text = match keys.as_slice() {
            [] => return Published::Missing,
            [text] => text,
            _ => return Published::Several,
        };
        let algorithm = tag(text, "k").unwrap_or_else(|| "rsa".to_owned());
        match tag(text, "p") {
            Some(public) if public.is_empty() => Published::Revoked,
            public if public != tag(&self.value, "p") || Some(algorithm) != tag(&self.value, "k") => Published::Other,
            _ if tag(text, "t").is_some_and(|flags| flags.split(':').any(|flag| flag == "y")) => Published::Testing,
            _ => Published::Equal,
        }
    }
}

impl Published {
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "published",
            Self::Other => "other key",
            Self::Revoked => "revoked",
            Self::Testing => "marked as a test",
            Self::Several => "several records",
            Self::Missing => "missing",
        }
    }
}

/// The value of a tag, without the white space that may stand in it (RFC 6376 §3.2).
fn tag(text: &str, name: &str) -> Option<String> {
    let mut tags = text.split(';').filter_map(|tag| tag.split_once('='));
    let (_, value) = tags.find(|(found, _)| found.trim() == name)?;
    Some(value.split_whitespace().collect())
}

/// RFC 1035 §3.3: the length of a string is one octet.
const STRING_OCTETS_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        Record::new("s._domainkey.a.example".into(), Algorithm::Rsa, &"Ab/".repeat(130))
    }

    #[test]
    fn the_strings_are_short_enough_and_together_the_value() {
        let record = record();
        assert_eq!(record.strings().iter().map(|string| string.len()).collect::<Vec<_>>(), [255, 153]);
        assert_eq!(record.strings().concat(), record.value);
        let line = record.zone_line();
        assert!(line.starts_with("s._domainkey.a.example. 3600 IN TXT ( \"v=DKIM1; k=rsa; p=Ab/"), "{line}");
        assert!(line.ends_with("\" )") && line.matches('"').count() == 4, "{line}");
    }

    #[test]
    fn what_is_published_is_compared_as_verifiers_read_it() {
        let (record, public) = (record(), "Ab/".repeat(130));
        let check = |found: &[&str], want: Published| {
            let found: Vec<String> = found.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(record.compare(&found), want, "{found:?}");
        };
        let (spaced, test) = (format!("p= {public} ;v=DKIM1"), format!("{}; t=s:y", record.value));
        check(&[&record.value], Published::Equal);
        check(&["google-site-verification=x", &record.value], Published::Equal);
        check(&[&spaced], Published::Equal);
        check(&[&test], Published::Testing);
        check(&[&record.value.replace("k=rsa", "k=ed25519")], Published::Other);
        check(&["v=DKIM1; k=rsa; p=AAAA"], Published::Other);
        check(&["v=DKIM1; p="], Published::Revoked);
        check(&[&record.value, &record.value], Published::Several);
        check(&["v=spf1 -all"], Published::Missing);
        check(&[], Published::Missing);
    }
}
