//! Hashed passwords of other programs, as Dovecot writes them: what can be checked here, in the form in which it is kept.

use sm2tp_proto::scram;

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
        ("CRYPT", value) if value.starts_with("$y$") => {
            Err("yescrypt, which is not built in: set a new password".to_owned())
        }
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
            "{BLF-CRYPT}$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe",
            "{ARGON2ID}$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$y$j9T$F5Jx5fExrKuPp53xLKQ..1$X3DX6M94c7o.9agCG9G317fhZg9SqC.5i5rd.RhAtQ7",
            "{SCRAM-SHA-256}4096,salt",
            "",
        ];
        for text in wrong {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
