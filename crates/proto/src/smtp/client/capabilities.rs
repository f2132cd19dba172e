//! What a server offers in its answer to EHLO (RFC 5321 §4.1.1.1).

use crate::Reply;

/// The extensions that we use, and the name the server gave itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// First word of the greeting; not to be believed.
    pub name: String,
    /// RFC 2920.
    pub pipelining: bool,
    /// RFC 3030.
    pub chunking: bool,
    /// RFC 6152.
    pub eight_bit_mime: bool,
    /// RFC 3207.
    pub starttls: bool,
    /// RFC 6531.
    pub smtp_utf8: bool,
    /// RFC 2034.
    pub enhanced_status_codes: bool,
    /// RFC 1870: SIZE is offered, with or without a limit.
    pub size: bool,
    /// The limit that SIZE gave; none where it said 0 or nothing.
    pub octets_max: Option<u64>,
    /// RFC 3461.
    pub dsn: bool,
    /// RFC 9422: recipients of one message, messages on one connection; none where nothing was said.
    pub recipients_max: Option<usize>,
    pub mails_max: Option<u32>,
    /// RFC 8689.
    pub require_tls: bool,
    /// RFC 4954: the ways to log in, in upper case.
    pub mechanisms: Vec<String>,
}

impl Capabilities {
    /// Reads the words of a 250 to EHLO. What is unknown or misspelt is passed over.
    #[must_use]
    pub fn parse(reply: &Reply) -> Self {
        let mut lines = reply.text.lines();
        let name = lines.next().and_then(|line| line.split_ascii_whitespace().next()).unwrap_or_default().to_owned();
        let mut capabilities = Self { name, ..Self::default() };
        for line in lines {
            capabilities.offer(line);
        }
        capabilities
    }

    fn offer(&mut self, line: &str) {
        let mut words = line.split_ascii_whitespace();
        match words.next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "PIPELINING" => self.pipelining = true,
            "CHUNKING" => self.chunking = true,
            "8BITMIME" => self.eight_bit_mime = true,
            "STARTTLS" => self.starttls = true,
            "SMTPUTF8" => self.smtp_utf8 = true,
            "ENHANCEDSTATUSCODES" => self.enhanced_status_codes = true,
            "DSN" => self.dsn = true,
            "LIMITS" => words.filter_map(|word| word.split_once('=')).for_each(|(name, value)| self.limit(name, value)),
            "REQUIRETLS" => self.require_tls = true,
            "AUTH" => self.mechanisms = words.map(str::to_ascii_uppercase).collect(),
            "SIZE" => {
                self.size = true;
                self.octets_max = words.next().and_then(|octets| octets.parse().ok()).filter(|octets| 0 < *octets);
            }
            _ => {}
        }
    }

    /// RFC 9422 §3: one to six digits, not 0. What is none of this is no limit.
    fn limit(&mut self, name: &str, value: &str) {
        let digits = (1..=6).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_digit());
        let Some(value) = Some(value).filter(|_| digits).and_then(|value| value.parse::<u32>().ok()) else { return };
        match name.to_ascii_uppercase().as_str() {
            "RCPTMAX" if 0 < value => self.recipients_max = usize::try_from(value).ok(),
            "MAILMAX" if 0 < value => self.mails_max = Some(value),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Capabilities {
        Capabilities::parse(&Reply { code: 250, enhanced: None, text: text.to_owned() })
    }

    #[test]
    fn offers_are_read_in_any_case_and_order() {
        let got = parse(
            "mx.test Hello [192.0.2.1]\nsize 1000\nPipelining\nchunking\n8BITMIME\nAUTH=LOGIN\nX-WHAT 1 2\nSMTPUTF8",
        );
        assert_eq!((got.name.as_str(), got.octets_max, got.size), ("mx.test", Some(1000), true));
        assert!(got.pipelining && got.chunking && got.eight_bit_mime && got.smtp_utf8 && !got.starttls);
    }

    #[test]
    fn limits_are_numbers_or_none() {
        let limits = |text: &str| {
            let got = parse(&format!("mx.test\n{text}"));
            (got.recipients_max, got.mails_max)
        };
        assert_eq!(limits("limits MAILMAX=5 rcptmax=100 RCPTDOMAINMAX=1 X"), (Some(100), Some(5)));
        for none in ["LIMITS", "LIMITS RCPTMAX MAILMAX=", "LIMITS RCPTMAX=0 MAILMAX=1000000", "LIMITS RCPTMAX=-1"] {
            assert_eq!(limits(none), (None, None), "{none}");
        }
    }

    #[test]
    fn a_size_of_nothing_is_no_limit() {
        for text in ["a\nSIZE", "a\nSIZE 0", "a\nSIZE many", "a\nSIZE 99999999999999999999999"] {
            assert_eq!((parse(text).size, parse(text).octets_max), (true, None), "{text}");
        }
        assert_eq!(parse(""), Capabilities::default());
        assert!(!parse("PIPELINING").pipelining, "the first line is the name");
    }
}
