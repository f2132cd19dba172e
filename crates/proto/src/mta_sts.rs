//! MTA-STS (RFC 8461): the record that says a domain has a policy, and the text of the policy.

use thiserror::Error;

/// What a domain asks of those who send to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub mode: Mode,
    /// Seconds for which it may be used after it was fetched.
    pub max_age_s: u64,
    /// Names of mail hosts in lower case, some with `*.` in front.
    pub mx: Vec<String>,
}

/// How much the domain means it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// A host that does not fit gets no mail.
    Enforce,
    /// Failures are reported, and change nothing.
    Testing,
    /// The domain withdraws its policy.
    None,
}

/// Why a text is no policy.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PolicyError {
    #[error("the policy is longer than {POLICY_OCTETS_MAX} octets")]
    TooLong,
    #[error("the policy is not text")]
    NotText,
    #[error("the policy does not begin with version: STSv1")]
    Version,
    #[error("the policy has no mode that is known")]
    Mode,
    #[error("the policy has no max_age that is a number of seconds")]
    MaxAge,
    #[error("the policy names no mail host")]
    NoHost,
    #[error("the policy names something that is no mail host")]
    BadHost,
    #[error("the policy names more than {HOSTS_MAX} mail hosts")]
    TooManyHosts,
}

/// Why a policy could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FetchFailure {
    #[error("the web server of the policy: {0}")]
    Web(String),
    #[error("the web server of the policy: it answered with status {0}")]
    Status(u16),
    #[error("the web server of the policy: what it sent is not text/plain")]
    NotPlain,
    /// Whoever wanted to know may not have this machine ask there.
    #[error("the web server of the policy: none of its addresses is of the public Internet")]
    NotPublic,
    #[error("the certificate or the TLS of the web server: {0}")]
    Tls(String),
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl FetchFailure {
    /// As RFC 8460 §4.3.2.2 names it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Web(_) | Self::Status(_) | Self::NotPlain | Self::NotPublic => "sts-policy-fetch-error",
            Self::Tls(_) => "sts-webpki-invalid",
            Self::Policy(_) => "sts-policy-invalid",
        }
    }
}

impl Policy {
    /// Reads the text of a policy (RFC 8461 §3.2). Keys that are not known are passed over; of a key that may stand
    /// once, the first counts.
    ///
    /// # Errors
    /// [`PolicyError`]: there is no policy then, as if the text could not be had.
    pub fn parse(octets: &[u8]) -> Result<Self, PolicyError> {
        if POLICY_OCTETS_MAX < octets.len() {
            return Err(PolicyError::TooLong);
        }
        let text = std::str::from_utf8(octets).map_err(|_| PolicyError::NotText)?;
        let fields: Vec<(&str, &str)> = text
            .split('\n')
            .map(|line| line.strip_suffix('\r').unwrap_or(line))
            .filter_map(|line| line.split_once(':'))
            .map(|(key, value)| (key.trim_matches([' ', '\t']), value.trim_matches([' ', '\t'])))
            .collect();
        let first = |wanted: &str| fields.iter().find(|(key, _)| *key == wanted).map(|(_, value)| *value);
        if fields.first() != Some(&("version", "STSv1")) {
            return Err(PolicyError::Version);
        }
        let mode = match first("mode") {
            Some("enforce") => Mode::Enforce,
            Some("testing") => Mode::Testing,
            Some("none") => Mode::None,
            _ => return Err(PolicyError::Mode),
        };
        let digits = first("max_age").filter(|age| (1..=10).contains(&age.len()));
        let digits = digits.filter(|age| age.bytes().all(|byte| byte.is_ascii_digit())).ok_or(PolicyError::MaxAge)?;
        let max_age_s = digits.parse::<u64>().map_err(|_| PolicyError::MaxAge)?.min(AGE_S_MAX);
        let mx = hosts(fields.iter().filter(|(key, _)| *key == "mx").map(|(_, host)| *host))?;
        if mx.is_empty() && mode != Mode::None {
            return Err(PolicyError::NoHost);
        }
        Ok(Self { mode, max_age_s, mx })
    }

    /// Whether this host may have the domain's mail (RFC 8461 §4.1). `*.` stands for exactly one label.
    #[must_use]
    pub fn covers(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.');
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(parent) => {
                host.split_once('.').is_some_and(|(first, rest)| !first.is_empty() && rest.eq_ignore_ascii_case(parent))
            }
            None => host.eq_ignore_ascii_case(pattern),
        })
    }

    /// The text that [`Policy::parse`] reads back.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().map(|line| line + "\r\n").collect()
    }

    /// Its lines, as a report of TLS failures quotes them (RFC 8460 §4.4).
    pub fn lines(&self) -> impl Iterator<Item = String> {
        let mode = match self.mode {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        };
        let head = ["version: STSv1".to_owned(), format!("mode: {mode}")];
        let hosts = self.mx.iter().map(|host| format!("mx: {host}"));
        head.into_iter().chain(hosts).chain([format!("max_age: {}", self.max_age_s)])
    }
}

fn hosts<'a>(found: impl Iterator<Item = &'a str>) -> Result<Vec<String>, PolicyError> {
    let mut hosts = Vec::new();
    for host in found {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let name = host.strip_prefix("*.").unwrap_or(&host);
        let label = |label: &str| {
            (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        if 253 < host.len() || !name.split('.').all(label) {
            return Err(PolicyError::BadHost);
        }
        if HOSTS_MAX <= hosts.len() {
            return Err(PolicyError::TooManyHosts);
        }
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    Ok(hosts)
}

/// The id of the one `_mta-sts` record among these TXT records; none where there is no such record, more than one, or
/// it cannot be read (RFC 8461 §3.1). Another id means another policy.
#[must_use]
pub fn record_id<'a>(texts: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let mut records = texts.into_iter().filter_map(|text| fields_after(text, "v=STSv1"));
    let (record, None) = (records.next()?, records.next()) else { return None };
    let id = record.split(';').filter_map(|field| field.split_once('=')).find(|(key, _)| key.trim() == "id")?;
    let id = id.1.trim();
    ((1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())).then(|| id.to_owned())
}

/// What follows the version of a record, when the record begins with this version.
pub(crate) fn fields_after<'a>(text: &'a str, version: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(version)?.trim_start_matches([' ', '\t']);
    rest.strip_prefix(';').or_else(|| rest.is_empty().then_some(rest))
}

/// RFC 8461 §3.3 proposes 64 KiB; real policies have some hundred octets.
pub const POLICY_OCTETS_MAX: usize = 64 * 1024;
/// RFC 8461 §3.2: about a year.
const AGE_S_MAX: u64 = 31_557_600;
/// No domain has more mail hosts; each costs a comparison for each host of the domain.
const HOSTS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str =
        "version: STSv1\r\nmode: enforce\r\nmx: mx1.example.org\r\nmx: *.Example.NET\r\nmax_age: 604800\r\n";

    #[track_caller]
    fn check(text: &str, want: Result<(Mode, u64, &[&str]), PolicyError>) {
        let got = Policy::parse(text.as_bytes());
        let got =
            got.as_ref().map(|policy| (policy.mode, policy.max_age_s, policy.mx.iter().map(String::as_str).collect()));
        assert_eq!(got, want.as_ref().map(|(mode, age, mx)| (*mode, *age, mx.to_vec())), "{text}");
    }

    #[test]
    fn policies_are_read_as_the_rfc_writes_them() {
        check(PLAIN, Ok((Mode::Enforce, 604_800, &["mx1.example.org", "*.example.net"])));
        check("version: STSv1\nmode: none\nmax_age: 86400", Ok((Mode::None, 86_400, &[])));
        let odd = "version:STSv1\nfuture: a: b\n\nmode:\ttesting \nmx:mx.test.\nmx: mx.test\nmax_age: 9999999999\nmode: enforce";
        check(odd, Ok((Mode::Testing, AGE_S_MAX, &["mx.test"])));
    }

    #[test]
    fn what_is_no_policy_says_why() {
        check("", Err(PolicyError::Version));
        check("mode: enforce\nversion: STSv1\nmx: a.test\nmax_age: 1", Err(PolicyError::Version));
        check("version: STSv1\nmode: Enforce\nmx: a.test\nmax_age: 1", Err(PolicyError::Mode));
        for age in ["", "-1", "1 day", "99999999999"] {
            check(&format!("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: {age}"), Err(PolicyError::MaxAge));
        }
        check("version: STSv1\nmode: enforce\nmax_age: 1", Err(PolicyError::NoHost));
        for host in ["*", "a.*.test", "a b.test", "", "*.", "é.test"] {
            check(&format!("version: STSv1\nmode: enforce\nmx: {host}\nmax_age: 1"), Err(PolicyError::BadHost));
        }
        let many: String = (0..=HOSTS_MAX).map(|n| format!("mx: mx{n}.test\n")).collect();
        check(&format!("version: STSv1\nmode: enforce\n{many}max_age: 1"), Err(PolicyError::TooManyHosts));
        assert_eq!(Policy::parse(&[0xff; 10]), Err(PolicyError::NotText));
        assert_eq!(Policy::parse(&vec![b'a'; POLICY_OCTETS_MAX + 1]), Err(PolicyError::TooLong));
    }

    #[test]
    fn a_star_stands_for_one_label() {
        let policy = Policy::parse(PLAIN.as_bytes()).unwrap();
        for host in ["mx1.example.org", "MX1.example.org.", "a.example.net", "B.EXAMPLE.NET"] {
            assert!(policy.covers(host), "{host}");
        }
        for host in ["mx2.example.org", "example.net", "a.b.example.net", ".example.net", "", "xexample.net"] {
            assert!(!policy.covers(host), "{host}");
        }
    }

    #[test]
    fn exactly_one_record_is_a_record() {
        let id = |texts: &[&str]| record_id(texts.iter().copied());
        assert_eq!(id(&["v=STSv1; id=20160831085700Z;"]).as_deref(), Some("20160831085700Z"));
        assert_eq!(id(&["other", "v=STSv1;id=1", "v=STSv10; id=2"]).as_deref(), Some("1"));
        for none in
            [&[][..], &["v=STSv1"], &["v=STSv1; id="], &["v=STSv1; id=a-b"], &["v=STSv1; id=1", "v=STSv1; id=2"]]
        {
            assert_eq!(id(none), None, "{none:?}");
        }
    }

    #[test]
    fn twenty_thousand_mutations_never_panic_and_read_back_what_they_say() {
        let mut seed = 0x005e_ed00_8461_u64;
        let mut roll = |end: usize| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(seed >> 33).unwrap_or(0) % end.max(1)
        };
        let tokens: [&[u8]; 9] = [b"\n", b"\r", b":", b"mx: ", b"*.", b"version: STSv1", b"\xff", b"max_age: 9", b"\0"];
        for _ in 0..20_000 {
            let mut bytes = PLAIN.as_bytes().to_vec();
            for _ in 0..=roll(5) {
                let at = roll(bytes.len());
                match roll(3) {
                    0 => bytes[at] ^= 1 << roll(8),
                    1 => drop(bytes.splice(at..at, tokens[roll(tokens.len())].iter().copied())),
                    _ => drop(bytes.drain(at..(at + roll(30)).min(bytes.len()))),
                }
                bytes.push(b'\n');
            }
            if let Ok(policy) = Policy::parse(&bytes) {
                assert_eq!(Policy::parse(policy.text().as_bytes()), Ok(policy.clone()));
                assert!(policy.max_age_s <= AGE_S_MAX && policy.mx.len() <= HOSTS_MAX);
            }
            let text = String::from_utf8_lossy(&bytes);
            assert!(record_id([&*text]).is_none_or(|id| id.len() <= 32));
        }
    }
}
