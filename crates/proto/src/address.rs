//! Mail addresses: parsed once, shown to nobody by accident (I2).

use std::fmt;
use std::sync::Arc;

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use thiserror::Error;

/// A mailbox of RFC 5321 §4.1.2 with a domain name: `local@domain`.
///
/// The clear text leaves only through [`Address::clear`]; `Debug` and `Display` show the domain alone, so that a log
/// line or an error can never tell who was written to. `tests/tidy.rs` lists the files that may call `clear`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    local: Box<str>,
    domain: Domain,
}

/// A domain name in lower case without a trailing dot; at most 253 octets, labels of 1 to 63 octets.
///
/// Cheap to clone: queues, counters and sites all carry one.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Domain(Arc<str>);

/// Why a text is not an address that we would send to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum AddressError {
    #[error("there is no @ in it")]
    NoAt,
    #[error("the part before the @ is empty")]
    EmptyLocal,
    #[error("the part before the @ is longer than {LOCAL_OCTETS_MAX} octets (RFC 5321 4.5.3.1.1)")]
    LongLocal,
    #[error("the part before the @ has a dot at an end or two in a row, or a character that needs quotes")]
    BadLocal,
    #[error("it is longer than {ADDRESS_OCTETS_MAX} octets (RFC 5321 4.5.3.1.3)")]
    TooLong,
    #[error("source routes (@relay:user@domain) are not accepted (RFC 5321 3.6.1)")]
    SourceRoute,
    #[error(transparent)]
    Domain(#[from] DomainError),
}

/// Why a text is not a domain name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum DomainError {
    #[error("the domain is empty")]
    Empty,
    #[error("the domain is longer than {DOMAIN_OCTETS_MAX} octets")]
    TooLong,
    #[error("a label of the domain is empty or longer than {LABEL_OCTETS_MAX} octets")]
    BadLabel,
    #[error("the domain holds a character that no domain name has")]
    BadCharacter,
    #[error("address literals ([192.0.2.1]) are not accepted: a relay for people sends to domain names")]
    Literal,
}

impl Address {
    /// Parses `local@domain`; the local part may be quoted. The domain is what follows the last `@`.
    ///
    /// # Errors
    /// [`AddressError`] says which rule of RFC 5321 §4.1.2 is broken.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        if ADDRESS_OCTETS_MAX < text.len() {
            return Err(AddressError::TooLong);
        }
        let at = text.rfind('@').ok_or(AddressError::NoAt)?;
        let (local, domain) = (&text[..at], &text[at + 1..]);
        if local.starts_with('@') {
            return Err(AddressError::SourceRoute);
        }
        check_local(local)?;
        Ok(Self { local: local.into(), domain: Domain::parse(domain)? })
    }

    /// The whole address in clear. Each caller is a decision: see I2 in `ARCHITECTURE.md`.
    #[must_use]
    pub fn clear(&self) -> String {
        [&*self.local, "@", &*self.domain.0].concat()
    }

    #[must_use]
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// True where the address as it stands can only be spoken to servers that offer SMTPUTF8 (RFC 6531).
    #[must_use]
    pub fn needs_utf8(&self) -> bool {
        !self.local.is_ascii() || !self.domain.0.is_ascii()
    }

    /// The same mailbox, in whatever form its domain is written.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.local == other.local && self.domain.is_same(&other.domain)
    }

    /// As [`Self::is_same`], whatever the case of the local part: servers that tell `Jean` from `jean` are not found any
    /// more, and people write either.
    #[must_use]
    pub fn is_same_in_any_case(&self, other: &Self) -> bool {
        self.local.eq_ignore_ascii_case(&other.local) && self.domain.is_same(&other.domain)
    }

    /// True for the mailbox of this name at any domain, in whatever case: `postmaster`, `abuse`.
    #[must_use]
    pub fn is_mailbox_of(&self, name: &str) -> bool {
        self.local.eq_ignore_ascii_case(name)
    }

    /// The same mailbox for servers without SMTPUTF8: its domain as the DNS has it. None where the local part holds
    /// more than ASCII, which nobody but its own server may rewrite (RFC 6531 §3.2).
    #[must_use]
    pub fn to_ascii(&self) -> Option<Self> {
        let domain = self.domain.to_ascii().filter(|_| self.local.is_ascii())?;
        Some(Self { local: self.local.clone(), domain })
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…@{}", self.domain)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "…@{}", self.domain)
    }
}

impl Domain {
    /// Parses a domain name; ASCII is put into lower case and one trailing dot is taken off.
    ///
    /// # Errors
    /// [`DomainError`] says what no domain name may be.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(DomainError::Empty);
        }
        if text.starts_with('[') {
            return Err(DomainError::Literal);
        }
        if DOMAIN_OCTETS_MAX < text.len() {
            return Err(DomainError::TooLong);
        }
        for label in text.split('.') {
            if label.is_empty() || LABEL_OCTETS_MAX < label.len() {
                return Err(DomainError::BadLabel);
            }
            if !label.chars().all(is_domain_char) || label.starts_with('-') || label.ends_with('-') {
                return Err(DomainError::BadCharacter);
            }
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The same name, with U-labels or A-labels (RFC 5890 §2.3.2.4).
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self == other
            || (!(self.0.is_ascii() && other.0.is_ascii())
                && self.to_ascii().is_some_and(|own| other.to_ascii().as_ref() == Some(&own)))
    }

    /// The name as the DNS has it, its labels beyond ASCII as A-labels (RFC 5890 §2.3.2.1); none where it has no such
    /// form.
    #[must_use]
    pub fn to_ascii(&self) -> Option<Self> {
        if self.0.is_ascii() {
            return Some(self.clone());
        }
        let labels = Uts46::new().to_ascii(self.0.as_bytes(), AsciiDenyList::URL, Hyphens::Allow, DnsLength::Verify);
        Self::parse(&labels.ok()?).ok()
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// RFC 5321 §4.1.2: a dot-string of atoms, or a quoted string of printable characters.
fn check_local(local: &str) -> Result<(), AddressError> {
    if local.is_empty() {
        return Err(AddressError::EmptyLocal);
    }
    if LOCAL_OCTETS_MAX < local.len() {
        return Err(AddressError::LongLocal);
    }
    let fine = match local.strip_prefix('"') {
        Some(rest) => rest.strip_suffix('"').is_some_and(is_quoted_content),
        None => local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atom_char)),
    };
    if fine { Ok(()) } else { Err(AddressError::BadLocal) }
}

fn is_quoted_content(content: &str) -> bool {
    let mut escaped = false;
    for c in content.chars() {
        if c.is_control() || (c == '"' && !escaped) {
            return false;
        }
        escaped = c == '\\' && !escaped;
    }
    !escaped
}

/// RFC 5322 §3.2.3 `atext`, and what RFC 6531 adds beyond ASCII.
fn is_atom_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || (!c.is_ascii() && !c.is_control())
}

/// Underscores are no host name characters, but mail domains with one exist and resolve.
fn is_domain_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '_' || (!c.is_ascii() && !c.is_control())
}

/// RFC 5321 §4.5.3.1.3: a path has at most 256 octets with its angle brackets.
const ADDRESS_OCTETS_MAX: usize = 254;
/// RFC 5321 §4.5.3.1.1.
const LOCAL_OCTETS_MAX: usize = 64;
/// RFC 1035 §2.3.4, as text without the trailing dot.
const DOMAIN_OCTETS_MAX: usize = 253;
/// RFC 1035 §2.3.4.
const LABEL_OCTETS_MAX: usize = 63;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Result<&str, AddressError>) {
        let got = Address::parse(text);
        assert_eq!(got.as_ref().map(Address::clear).map_err(|e| *e), want.map(str::to_owned), "{text:?}");
    }

    #[test]
    fn addresses_of_rfc_5321_are_taken_and_their_domain_lowered() {
        check("Jean.Dupont@Example.ORG", Ok("Jean.Dupont@example.org"));
        check("jean+news@example.org.", Ok("jean+news@example.org"));
        check("\"jean dupont\"@example.org", Ok("\"jean dupont\"@example.org"));
        check("\"a@b\"@example.org", Ok("\"a@b\"@example.org"));
        check("josé@exämple.fr", Ok("josé@exämple.fr"));
        check("o'hara_!#$%&*/=?^`{|}~-@a-b.c", Ok("o'hara_!#$%&*/=?^`{|}~-@a-b.c"));
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        check("jean", Err(AddressError::NoAt));
        check("@example.org", Err(AddressError::EmptyLocal));
        check("@relay.example:jean@example.org", Err(AddressError::SourceRoute));
        check("jean..dupont@example.org", Err(AddressError::BadLocal));
        check("jean dupont@example.org", Err(AddressError::BadLocal));
        check("jean\r\n@example.org", Err(AddressError::BadLocal));
        check("\"jean\"dupont\"@example.org", Err(AddressError::BadLocal));
        check("jean@", Err(AddressError::Domain(DomainError::Empty)));
        check("jean@example..org", Err(AddressError::Domain(DomainError::BadLabel)));
        check("jean@exa mple.org", Err(AddressError::Domain(DomainError::BadCharacter)));
        check("jean@[192.0.2.1]", Err(AddressError::Domain(DomainError::Literal)));
        check(&format!("{}@example.org", "a".repeat(65)), Err(AddressError::LongLocal));
        check(&format!("a@{}", "a.".repeat(200)), Err(AddressError::TooLong));
    }

    #[test]
    fn a_domain_beyond_ascii_has_a_form_for_the_dns_or_none() {
        let ascii = |text: &str| Address::parse(text).unwrap().to_ascii().map(|address| address.clear());
        assert_eq!(ascii("jean@EXÄMPLE.fr"), Some("jean@xn--exmple-cua.fr".into()));
        assert_eq!(ascii("a_b@c_d.fr"), Some("a_b@c_d.fr".into()));
        assert_eq!(ascii("josé@example.fr"), None);
        assert_eq!(ascii("jean@exa\u{2002}mple.fr"), None);
        assert_eq!(ascii("jean@\u{200d}.fr"), None);
        let domain = |text: &str| Domain::parse(text).unwrap();
        assert!(domain("exämple.fr").is_same(&domain("xn--exmple-cua.fr")));
        assert!(domain("xn--exmple-cua.fr").is_same(&domain("exämple.FR")));
        assert!(!domain("exämple.fr").is_same(&domain("example.fr")));
        assert!(!domain("\u{200d}.fr").is_same(&domain("\u{2002}.fr")), "no names at all");
    }

    #[test]
    fn debug_and_display_show_the_domain_alone() {
        let address = Address::parse("jean.dupont@example.org").unwrap();
        assert_eq!(format!("{address} {address:?}"), "…@example.org …@example.org");
    }
}
