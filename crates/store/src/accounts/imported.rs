//! Hashed passwords of other programs, as Dovecot writes them: what can be checked here, in the form in which it is kept.

use sm2tp_proto::scram;

use super::bcrypt::Bcrypt;
use super::hash::YESCRYPT;
use super::shacrypt::ShaCrypt;

/// A hash in the form in which it is kept, and SCRAM keys where it is made of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Imported {
    pub hash: String,
    pub scram: Option<String>,
}

/// Reads `{SCHEME}hash`, or a hash that says by itself what it is (`$6$…`).
///
/// # Errors
/// Why it cannot be used, for a person.
pub(super) fn read(text: &str) -> Result<Imported, String> {
    let (scheme, value) = match text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((scheme, value)) => (scheme.to_ascii_uppercase(), value),
        None => ("CRYPT".to_owned(), text),
    };
    // Dovecot's schemes may say how the octets are written; these are as they say by themselves.
    let scheme = scheme.trim_end_matches(".B64").trim_end_matches(".HEX");
    let plain = |fits: bool| {
        let kept = Imported { hash: value.to_owned(), scram: None };
        if fits { Ok(kept) } else { Err(format!("{{{scheme}}} hash that cannot be read, or takes too long to check")) }
    };
    match (scheme, value) {
        ("ARGON2ID" | "ARGON2I" | "CRYPT", value) if value.starts_with("$argon2i") => plain(is_light(value)),
        ("SHA512-CRYPT" | "SHA256-CRYPT" | "CRYPT", value) if value.starts_with("$6$") || value.starts_with("$5$") => {
            plain(ShaCrypt::parse(value).is_some())
        }
        ("SCRAM-SHA-256", value) => keys(value).ok_or_else(|| "{SCRAM-SHA-256} keys that cannot be read".to_owned()),
        ("BLF-CRYPT" | "BCRYPT" | "CRYPT", value) if value.starts_with("$2") => plain(Bcrypt::parse(value).is_some()),
        ("CRYPT", value) if value.starts_with(YESCRYPT) => plain(is_light_yescrypt(value)),
        (scheme, _) => Err(format!("{{{scheme}}} is not built in, or too weak to be kept: set a new password")),
    }
}

/// `iterations,salt,stored key,server key`, as Dovecot has it; kept as RFC 5803 writes it.
fn keys(value: &str) -> Option<Imported> {
    let [iterations, salt, stored, server] = value.split(',').collect::<Vec<_>>().try_into().ok()?;
    let text = format!("SCRAM-SHA-256${iterations}:{salt}${stored}:{server}");
    let keys: scram::Keys = text.parse().ok()?;
    Some(Imported { hash: keys.to_string(), scram: Some(keys.to_string()) })
}

/// Whoever guesses passwords makes the node do the work: what costs much more than hashes of its own is not taken.
fn is_light(hash: &str) -> bool {
    let Ok(hash) = argon2::PasswordHash::new(hash) else { return false };
    let Ok(params) = argon2::Params::try_from(&hash) else { return false };
    params.m_cost() <= ARGON2_KIB_MAX && params.t_cost() <= ARGON2_ROUNDS_MAX && params.p_cost() <= ARGON2_LANES_MAX
}

/// The same for yescrypt: 128 octets of memory for each block of each round.
fn is_light_yescrypt(hash: &str) -> bool {
    let mut fields = hash.split('$').skip(2);
    let params = fields.next().and_then(|params| params.parse::<yescrypt::Params>().ok());
    let letters = |field: Option<&str>, max: usize| field.is_some_and(|it| !it.is_empty() && it.len() <= max);
    let is_whole = letters(fields.next(), 86) && letters(fields.next(), 43) && fields.next().is_none();
    let octets = |params: &yescrypt::Params| 128_u64.saturating_mul(params.n()).saturating_mul(params.r().into());
    let is_light = |params: yescrypt::Params| {
        octets(&params) <= u64::from(ARGON2_KIB_MAX) * 1024 && params.p() <= ARGON2_LANES_MAX
    };
    is_whole && params.is_some_and(is_light)
}

/// Three times what a hash of our own takes.
const ARGON2_KIB_MAX: u32 = 64 * 1024;
const ARGON2_ROUNDS_MAX: u32 = 10;
const ARGON2_LANES_MAX: u32 = 8;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schemes_are_told_apart_and_heavy_ones_refused() {
        let fine = [
            "{SHA512-CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5",
            "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "{BLF-CRYPT}$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
            "$2a$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
            "{CRYPT}$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
        ];
        for text in fine {
            let read = read(text).unwrap();
            assert!(text.ends_with(&read.hash) && read.scram.is_none(), "{text}");
        }
        let wrong = [
            "{PLAIN}secret",
            "secret",
            "{SSHA}MTIzNDU2Nzg5MDEyMzQ1Njc4OTAxMjM0NTY3ODkw",
            "{SHA512-CRYPT}$6$salt$short",
            "{BLF-CRYPT}$2y$16$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
            "{ARGON2ID}$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$y$jFT$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1",
            "{SCRAM-SHA-256}4096,salt",
            "",
        ];
        for text in wrong {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
