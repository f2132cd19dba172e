//! Passwords as crypt(3) keeps them with SHA-256 and SHA-512 (`$5$`, `$6$`), checked only: new ones are Argon2id. The algorithm is
//! Ulrich Drepper's, which he put into the public domain (https://www.akkadia.org/drepper/SHA-crypt.txt).

use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

/// A hash, read and found sound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ShaCrypt<'a> {
    bits: Bits,
    rounds: u32,
    salt: &'a str,
    wanted: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bits {
    Sha256,
    Sha512,
}

impl<'a> ShaCrypt<'a> {
    /// `$6$rounds=5000$salt$hash`; none where it is something else, or would take too long to check.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let (bits, rest) = match text.strip_prefix("$6$") {
            Some(rest) => (Bits::Sha512, rest),
            None => (Bits::Sha256, text.strip_prefix("$5$")?),
        };
        let (rounds, rest) = match rest.strip_prefix("rounds=") {
            None => (ROUNDS, rest),
            Some(rest) => {
                let (rounds, rest) = rest.split_once('$')?;
                (rounds.parse().ok().filter(|rounds| (ROUNDS_MIN..=ROUNDS_MAX).contains(rounds))?, rest)
            }
        };
        let (salt, wanted) = rest.split_once('$')?;
        let length = if bits == Bits::Sha512 { 86 } else { 43 };
        let fits =
            salt.len() <= SALT_MAX && wanted.len() == length && wanted.bytes().all(|octet| LETTERS.contains(&octet));
        fits.then_some(Self { bits, rounds, salt, wanted })
    }

    pub(super) fn is_right(&self, password: &str) -> bool {
        let (password, salt) = (password.as_bytes(), self.salt.as_bytes());
        let found = match self.bits {
            Bits::Sha512 => letters(&digest::<Sha512>(password, salt, self.rounds), 21),
            Bits::Sha256 => letters(&digest::<Sha256>(password, salt, self.rounds), 10),
        };
        found.as_bytes().ct_eq(self.wanted.as_bytes()).into()
    }
}

fn digest<D: Digest>(password: &[u8], salt: &[u8], rounds: u32) -> Vec<u8> {
    let both = D::new().chain_update(password).chain_update(salt).chain_update(password).finalize();
    let mut first = D::new().chain_update(password).chain_update(salt).chain_update(repeated(&both, password.len()));
    let mut left = password.len();
    while 0 < left {
        first = if left & 1 == 1 { first.chain_update(&both) } else { first.chain_update(password) };
        left >>= 1;
    }
    let mut found = first.finalize();
    let of_password = (0..password.len()).fold(D::new(), |sum, _| sum.chain_update(password)).finalize();
    let p = repeated(&of_password, password.len());
    let of_salt = (0..16 + usize::from(found[0])).fold(D::new(), |sum, _| sum.chain_update(salt)).finalize();
    let s = repeated(&of_salt, salt.len());
    for round in 0..rounds {
        let odd = round & 1 == 1;
        let mut sum = if odd { D::new().chain_update(&p) } else { D::new().chain_update(&found) };
        if round % 3 != 0 {
            sum = sum.chain_update(&s);
        }
        if round % 7 != 0 {
            sum = sum.chain_update(&p);
        }
        found = if odd { sum.chain_update(&found) } else { sum.chain_update(&p) }.finalize();
    }
    found.to_vec()
}

/// As many octets as wanted, of these over and over.
fn repeated(octets: &[u8], length: usize) -> Vec<u8> {
    octets.iter().copied().cycle().take(length).collect()
}

/// Three octets at a time, each a third of the digest from the other and going around, lowest bits first.
fn letters(digest: &[u8], third: usize) -> String {
    let mut out = String::new();
    let mut put = |value: u32, count: u32| {
        (0..count).for_each(|at| out.push(char::from(LETTERS[(value >> (6 * at) & 63) as usize])));
    };
    let of = |at: usize| u32::from(digest[at]);
    for at in 0..third {
        // Each of the two lengths turns the three in its own direction.
        let turn = if third == 21 {
            [at % 3, (at + 1) % 3, (at + 2) % 3]
        } else {
            [(3 - at % 3) % 3, (4 - at % 3) % 3, (5 - at % 3) % 3]
        };
        let [high, middle, low] = turn.map(|part| of(part * third + at));
        put(high << 16 | middle << 8 | low, 4);
    }
    match third {
        21 => put(of(63), 2),
        _ => put(of(31) << 8 | of(30), 3),
    }
    out
}

const LETTERS: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// Where the hash names none.
const ROUNDS: u32 = 5000;
const ROUNDS_MIN: u32 = 1000;
/// A third of a second; crypt(3) would allow a thousand times as many, and who imports them would be stopped by logins.
const ROUNDS_MAX: u32 = 1_000_000;
const SALT_MAX: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hash: &str, password: &str) {
        let read = ShaCrypt::parse(hash).unwrap();
        assert!(read.is_right(password), "{hash}");
        assert!(!read.is_right(&format!("{password}x")) && !read.is_right(""), "{hash}");
    }

    /// Made by `openssl passwd` and by crypt(3) of glibc.
    #[test]
    fn hashes_of_other_programs_are_checked_as_they_do() {
        let long = "correct horse battery staple, a long one of more than sixty-four octets in all: é";
        check(
            "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            "Hello world!",
        );
        check(
            "$6$saltstring$ZkLEnYrIrzasUn6.lCc/OIx4n1RDXcwNbGhjFJd8QQggsxzY3pkwkD25Pm7I0/gKcHfldwqdRLUgtW3ljQvK31",
            long,
        );
        check(
            "$6$saltstring$nk7Qohr7tOmwY2mX639VRP.Lyvj3uhcgpatqHuLC867qfSHKq1LDuKa/h7Es9Nv0aL08pbF.cnQlRqhaoKT/D.",
            "x",
        );
        check("$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5", "Hello world!");
        check("$5$saltstring$YB8c//unwEHFYz9mbPjse973CJSI3FIK4yyDAI/0MjA", long);
        check("$5$rounds=1400$anotherlongsalts$TRvnCprLdxf4Qv9q26D6CAAIMGYWLfUzXoieJ7Uk/M8", "pässwort");
        check(
            "$6$rounds=10000$saltstringsaltst$OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOuZeHBy/YTBmSK6H9qs/y3RnOaw5v.",
            "Hello world!",
        );
    }

    #[test]
    fn what_is_no_such_hash_is_not_taken_for_one() {
        for bad in
            ["", "$6$", "$6$salt$short", "$5$rounds=99$salt$x", "$1$salt$x", "$6$rounds=9999999$salt$x", "$y$j9T$x$y"]
        {
            assert_eq!(ShaCrypt::parse(bad), None, "{bad}");
        }
    }
}
