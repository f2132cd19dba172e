//! Passwords as bcrypt keeps them (`$2a$`, `$2b$`, `$2y$`), checked only: new ones are Argon2id. The algorithm is of Provos and
//! Mazières (USENIX 1999); the cipher below it is of the crate `blowfish`.

use base64::alphabet::BCRYPT;
use base64::engine::{DecodePaddingMode, Engine, GeneralPurpose, GeneralPurposeConfig};
use blowfish::Blowfish;
use subtle::ConstantTimeEq;

/// A hash, read and found sound.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bcrypt {
    cost: u32,
    salt: [u8; 16],
    wanted: [u8; 23],
}

impl Bcrypt {
    /// `$2y$10$` with 22 letters of salt and 31 of the hash; none where it is something else, or would take too long to check.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let rest = ["$2a$", "$2b$", "$2y$"].iter().find_map(|kind| text.strip_prefix(kind))?;
        let (cost, rest) = rest.split_once('$')?;
        let cost = cost.parse().ok().filter(|known| cost.len() == 2 && (COST_MIN..=COST_MAX).contains(known))?;
        let (salt, wanted) = rest.split_at_checked(22)?;
        Some(Self { cost, salt: decode(salt)?, wanted: decode(wanted)? })
    }

    pub(super) fn is_right(&self, password: &str) -> bool {
        self.digest(password)[..23].ct_eq(&self.wanted).into()
    }

    fn digest(&self, password: &str) -> [u8; 24] {
        // What lies behind counts for nobody who writes these hashes.
        let key: Vec<u8> = password.bytes().chain([0]).take(KEY_MAX).collect();
        let mut state = Blowfish::bc_init_state();
        state.salted_expand_key(&self.salt, &key);
        for _ in 0..1_u64 << self.cost {
            state.bc_expand_key(&key);
            state.bc_expand_key(&self.salt);
        }
        let mut digest = [0; 24];
        for (out, words) in digest.chunks_exact_mut(8).zip(WORDS) {
            let [left, right] = (0..64).fold(words, |words, _| state.bc_encrypt(words));
            out[..4].copy_from_slice(&left.to_be_bytes());
            out[4..].copy_from_slice(&right.to_be_bytes());
        }
        digest
    }
}

fn decode<const N: usize>(text: &str) -> Option<[u8; N]> {
    LETTERS.decode(text).ok()?.try_into().ok()
}

/// The last letter has bits to spare, which some programs leave as they are.
const LETTERS: GeneralPurpose = GeneralPurpose::new(
    &BCRYPT,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);
/// "OrpheanBeholderScryDoubt".
const WORDS: [[u32; 2]; 3] = [[0x4f72_7068, 0x6561_6e42], [0x6568_6f6c, 0x6465_7253], [0x6372_7944, 0x6f75_6274]];
const KEY_MAX: usize = 72;
const COST_MIN: u32 = 4;
/// A third of a second; each step more is twice as long, and who imports them would be stopped by logins.
const COST_MAX: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(hash: &str, password: &str, right: bool) {
        assert_eq!(Bcrypt::parse(hash).unwrap().is_right(password), right, "{hash} {password}");
    }

    #[test]
    fn it_agrees_with_others() {
        // From the tests of OpenBSD's and Openwall's.
        check("$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U", true);
        check("$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK", "U*U*", true);
        check("$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a", "U*U*U", true);
        check("$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy", "", true);
        let long = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789chars after 72 are ignored";
        check("$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui", long, true);
        check("$2y$05$bvIG6Nmid91Mu9RcmmWZfO5HJIMCT8riNW0hEp8f6/FuA2/mHZFpe", "U*U", false);
        check("$2b$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW", "U*U ", false);
    }

    #[test]
    fn what_is_none_or_takes_too_long_is_refused() {
        for text in [
            "",
            "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$2a$13$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$2a$03$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$2a$5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC",
            "$2a$05$CCCCCCCCCCCCCCCCCCCCC!E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$2a$05$é",
        ] {
            assert_eq!(Bcrypt::parse(text), None, "{text}");
        }
    }
}
