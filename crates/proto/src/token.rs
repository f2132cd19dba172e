//! The token in the return path of what leaves: it says for which recipient of which mail a report is, and that we made
//! it. Random bytes, keys and days are arguments.
//!
//! 23 octets, written as 37 characters of base32 in lower case, because servers fold the case of local parts: version and
//! key (one octet), day (two), row (ten, random), and the first ten octets of an HMAC-SHA-256 over all of them. A local
//! part may have 64 (RFC 5321 §4.5.3.1.1). The row is a name that nobody can guess; what it stands for is kept elsewhere
//! (`docs/decisions/0027-return-tokens.md`).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::Zeroize;

/// Ten random octets, one set for each recipient of a mail and attempt: a name, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Row(pub [u8; ROW_OCTETS]);

/// What a token says. That we said it is known only of what [`Token::open`] gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Which key it was made with, 0 to [`KEYS_MAX`] − 1.
    pub key: u8,
    /// Days since 1 January 1970 (UTC).
    pub day: u16,
    pub row: Row,
}

/// A key that makes and knows tokens. It never shows itself.
#[derive(Clone)]
pub struct TokenKey([u8; 32]);

/// A key with its number and its time.
#[derive(Debug, Clone)]
pub struct Term {
    /// 0 to [`KEYS_MAX`] − 1.
    pub number: u8,
    pub key: TokenKey,
    /// The last day of tokens that it made. Who steals an old key makes none of today with it.
    pub last_day: u16,
}

/// The keys that tokens may have, each under its number.
#[derive(Debug, Clone, Default)]
pub struct TokenKeys {
    /// The one that makes tokens first.
    terms: Vec<Term>,
}

/// Why a text is no token of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TokenError {
    #[error("it is no token")]
    Shape,
    #[error("it is a token of version {0}, which this version does not know")]
    Version(u8),
    #[error("it was made with key {0}, which is gone or never was")]
    Key(u8),
    #[error("it is forged")]
    Forged,
    #[error("it is of day {day}, and tokens live {days_max} days")]
    Expired { day: u16, days_max: u16 },
    #[error("it is of day {day}, which is to come")]
    Early { day: u16 },
}

impl Token {
    /// Reads a token, in any case, and checks who made it and when. `today` in days since 1970; a token lives `days_max`
    /// days after its own. The key decides before the day does, so that a stranger learns nothing from the difference.
    ///
    /// # Errors
    /// [`TokenError`].
    pub fn open(text: &str, keys: &TokenKeys, today: u16, days_max: u16) -> Result<Self, TokenError> {
        let octets = unbase32(text).ok_or(TokenError::Shape)?;
        let (said, mac) = octets.split_at(SAID_OCTETS);
        let token = Self::read(said)?;
        let term = keys.term(token.key).ok_or(TokenError::Key(token.key))?;
        if !bool::from(term.key.mac(said)[..].ct_eq(mac)) || term.last_day < token.day {
            return Err(TokenError::Forged);
        }
        // Another machine of ours may be a day ahead of this one.
        if today.saturating_add(1) < token.day {
            return Err(TokenError::Early { day: token.day });
        }
        if token.day.saturating_add(days_max) < today {
            return Err(TokenError::Expired { day: token.day, days_max });
        }
        Ok(token)
    }

    /// Reads what a token says and does not ask who made it: for what this node itself has kept.
    ///
    /// # Errors
    /// [`TokenError::Shape`] and [`TokenError::Version`].
    pub fn unchecked(text: &str) -> Result<Self, TokenError> {
        let octets = unbase32(text).ok_or(TokenError::Shape)?;
        Self::read(&octets[..SAID_OCTETS])
    }

    fn read(said: &[u8]) -> Result<Self, TokenError> {
        let [first, day_high, day_low, row @ ..] = said else { return Err(TokenError::Shape) };
        let row = Row(row.try_into().map_err(|_| TokenError::Shape)?);
        let (version, key) = (first >> 4, first & 0x0f);
        if version != VERSION {
            return Err(TokenError::Version(version));
        }
        Ok(Self { key, day: u16::from_be_bytes([*day_high, *day_low]), row })
    }

    fn said(&self) -> [u8; SAID_OCTETS] {
        let mut said = [0; SAID_OCTETS];
        said[0] = VERSION << 4 | self.key & 0x0f;
        said[1..3].copy_from_slice(&self.day.to_be_bytes());
        said[3..].copy_from_slice(&self.row.0);
        said
    }
}

impl TokenKey {
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    /// The bytes, for the file that keeps them.
    #[must_use]
    pub fn secret(&self) -> &[u8; 32] {
        &self.0
    }

    fn mac(&self, said: &[u8]) -> [u8; MAC_OCTETS] {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(&self.0).expect("an HMAC takes a key of any length");
        mac.update(CONTEXT);
        mac.update(said);
        let whole: [u8; 32] = mac.finalize().into_bytes().into();
        let mut cut = [0; MAC_OCTETS];
        cut.copy_from_slice(&whole[..MAC_OCTETS]);
        cut
    }
}

impl TokenKeys {
    /// The key that makes tokens first. Of two with one number the first one counts.
    #[must_use]
    pub fn new(terms: Vec<Term>) -> Self {
        Self { terms }
    }

    /// The text of a token for this row; none where there is no key.
    #[must_use]
    pub fn make(&self, row: Row, day: u16) -> Option<String> {
        let term = self.terms.first()?;
        let said = Token { key: term.number, day, row }.said();
        Some(base32(&[&said[..], &term.key.mac(&said)[..]].concat()))
    }

    fn term(&self, number: u8) -> Option<&Term> {
        self.terms.iter().find(|term| term.number == number)
    }
}

/// The day of a time in unix seconds.
#[must_use]
pub fn day(now: u64) -> u16 {
    u16::try_from(now / 86_400).unwrap_or(u16::MAX)
}

impl Drop for TokenKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for TokenKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKey(…)")
    }
}

/// Who has the row can open what is kept under it; so it does not stand in logs.
impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Row(…)")
    }
}

/// RFC 4648 §6, in lower case and without padding.
fn base32(octets: &[u8]) -> String {
    let mut out = String::with_capacity(TEXT_OCTETS);
    let (mut held, mut bits) = (0_u32, 0);
    for octet in octets {
        held = held << 8 | u32::from(*octet);
        bits += 8;
        while 5 <= bits {
            bits -= 5;
            out.push(letter(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if 0 < bits {
        out.push(letter(held << (5 - bits)));
    }
    out
}

fn letter(five_bits: u32) -> char {
    char::from(ALPHABET[(five_bits & 31) as usize])
}

/// The octets of a text of the length of a token; none where it is another or has other characters. A token has one
/// spelling, apart from its case: bits that stand for nothing are zero.
fn unbase32(text: &str) -> Option<[u8; TOKEN_OCTETS]> {
    if text.len() != TEXT_OCTETS {
        return None;
    }
    let mut octets = [0; TOKEN_OCTETS];
    let mut filled = 0;
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.bytes() {
        let five = ALPHABET.iter().position(|known| *known == byte.to_ascii_lowercase())?;
        held = held << 5 | u32::try_from(five).ok()?;
        bits += 5;
        if 8 <= bits {
            bits -= 8;
            *octets.get_mut(filled)? = u8::try_from(held >> bits & 0xff).ok()?;
            filled += 1;
            held &= (1 << bits) - 1;
        }
    }
    (filled == TOKEN_OCTETS && held == 0).then_some(octets)
}

/// The header field that carries the token. Providers strip the return path from what they send back more often than a
/// field that they do not know.
pub const FIELD: &str = "X-SM2TP-Ref";

const VERSION: u8 = 1;
const ROW_OCTETS: usize = 10;
/// 80 bits: a stranger who tries a thousand tokens a second, each at the price of a connection, needs 10¹³ years.
const MAC_OCTETS: usize = 10;
const SAID_OCTETS: usize = 3 + ROW_OCTETS;
const TOKEN_OCTETS: usize = SAID_OCTETS + MAC_OCTETS;
/// Characters of a token as it is written.
pub const TEXT_OCTETS: usize = 37;
/// A key has a number of four bits.
pub const KEYS_MAX: usize = 16;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// Nothing else is signed with these keys in these words.
const CONTEXT: &[u8] = b"SM2TP return token v1\0";

#[cfg(test)]
mod tests {
    use super::*;

    const ROW: Row = Row([7; 10]);

    fn term(number: u8, secret: u8, last_day: u16) -> Term {
        Term { number, key: TokenKey::new([secret; 32]), last_day }
    }

    fn keys(numbers: &[u8]) -> TokenKeys {
        TokenKeys::new(numbers.iter().map(|number| term(*number, number + 1, u16::MAX)).collect())
    }

    #[track_caller]
    fn check(text: &str, keys: &TokenKeys, today: u16, want: Result<u16, TokenError>) {
        assert_eq!(Token::open(text, keys, today, 35).map(|token| token.day), want, "{text}");
    }

    #[test]
    fn a_token_is_read_by_who_made_it_in_any_case_and_fits_into_a_local_part() {
        let text = keys(&[3]).make(ROW, 20_000).unwrap();
        assert_eq!(text.len(), TEXT_OCTETS);
        assert!(TEXT_OCTETS <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()));
        let open = |text: &str| Token::open(text, &keys(&[3]), 20_010, 35);
        assert_eq!(open(&text), Ok(Token { key: 3, day: 20_000, row: ROW }));
        assert_eq!(open(&text.to_ascii_uppercase()), open(&text));
        assert_eq!(Token::unchecked(&text), open(&text));
    }

    #[test]
    fn a_token_of_another_changed_in_one_place_too_old_or_too_new_is_refused() {
        let ours = keys(&[3]);
        let text = ours.make(ROW, 20_000).unwrap();
        check(&text, &TokenKeys::new(vec![term(3, 9, u16::MAX)]), 20_000, Err(TokenError::Forged));
        check(&text, &keys(&[4]), 20_000, Err(TokenError::Key(3)));
        for place in 0..text.len() {
            for other in ['a', '7'] {
                let mut changed: Vec<char> = text.chars().collect();
                changed[place] = if changed[place] == other { 'b' } else { other };
                let changed: String = changed.into_iter().collect();
                assert!(Token::open(&changed, &ours, 20_000, 35).is_err(), "{changed}");
            }
        }
        check(&text, &ours, 20_035, Ok(20_000));
        check(&text, &ours, 20_036, Err(TokenError::Expired { day: 20_000, days_max: 35 }));
        check(&text, &ours, 19_999, Ok(20_000));
        check(&text, &ours, 19_998, Err(TokenError::Early { day: 20_000 }));
        for no_token in ["", "a", "returns", &text[1..], &format!("{text}a"), &format!("{}1", &text[1..])] {
            check(no_token, &ours, 20_000, Err(TokenError::Shape));
        }
    }

    #[test]
    fn an_old_key_is_known_while_it_is_kept_and_the_new_one_makes_the_tokens() {
        let old = keys(&[0]).make(ROW, 20_000).unwrap();
        let both = keys(&[1, 0]);
        check(&old, &both, 20_001, Ok(20_000));
        let new = both.make(ROW, 20_001).unwrap();
        assert_eq!(Token::unchecked(&new).map(|token| token.key), Ok(1));
        assert_eq!(TokenKeys::default().make(ROW, 1), None);
        let stolen = keys(&[0]).make(ROW, 20_050).unwrap();
        let retired = TokenKeys::new(vec![term(1, 2, u16::MAX), term(0, 1, 20_001)]);
        check(&stolen, &retired, 20_050, Err(TokenError::Forged));
        check(&old, &retired, 20_030, Ok(20_000));
    }

    #[test]
    fn neither_key_nor_row_is_shown_by_accident() {
        let key = TokenKey::new([1; 32]);
        assert_eq!(format!("{:?} {:?}", key, ROW), "TokenKey(…) Row(…)");
    }
}
