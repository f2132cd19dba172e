//! XCLIENT (Postfix's XCLIENT_README): what a declared front says of the client that it speaks for.

use std::net::{IpAddr, Ipv6Addr};

use super::params::un_xtext;

/// One command, or several on one connection put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Xclient {
    pub name: Told<String>,
    pub addr: Told<IpAddr>,
    pub port: Told<u16>,
    pub proto: Told<Proto>,
    pub helo: Told<String>,
    pub login: Told<String>,
    pub dest_addr: Told<IpAddr>,
    pub dest_port: Told<u16>,
}

/// What was said of one attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Told<T> {
    /// Nothing.
    #[default]
    Silent,
    /// `[UNAVAILABLE]` or `[TEMPUNAVAIL]`: there is none, or it could not be found out.
    Unknown,
    Is(T),
}

/// With what the client spoke to the front.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proto {
    Smtp,
    Esmtp,
}

impl Xclient {
    /// Reads the words behind the verb; none where they are no attributes that are offered.
    pub(super) fn parse(words: &str) -> Option<Self> {
        let mut told = Self::default();
        let mut count = 0;
        for word in words.split(' ').filter(|word| !word.is_empty()) {
            let (key, value) = word.split_once('=')?;
            told.take(key, value)?;
            count += 1;
        }
        (0 < count).then_some(told)
    }

    fn take(&mut self, key: &str, value: &str) -> Option<()> {
        match key.to_ascii_uppercase().as_str() {
            "NAME" => self.name.take(value, |text| name(&text)),
            "ADDR" => self.addr.take(value, |text| address(&text)),
            "PORT" => self.port.take(value, |text| text.parse().ok()),
            "PROTO" => self.proto.take(value, |text| match text.to_ascii_uppercase().as_str() {
                "SMTP" => Some(Proto::Smtp),
                "ESMTP" => Some(Proto::Esmtp),
                _ => None,
            }),
            "HELO" => self.helo.take(value, |text| name(&text)),
            "LOGIN" => self.login.take(value, |text| {
                let fine = (1..=NAME_OCTETS_MAX).contains(&text.len()) && !text.chars().any(char::is_control);
                fine.then_some(text)
            }),
            "DESTADDR" => self.dest_addr.take(value, |text| address(&text)),
            "DESTPORT" => self.dest_port.take(value, |text| text.parse().ok()),
            _ => None,
        }
    }

    /// This, and what `later` says anew.
    #[must_use]
    pub fn and(self, later: Self) -> Self {
        Self {
            name: self.name.or(later.name),
            addr: self.addr.or(later.addr),
            port: self.port.or(later.port),
            proto: self.proto.or(later.proto),
            helo: self.helo.or(later.helo),
            login: self.login.or(later.login),
            dest_addr: self.dest_addr.or(later.dest_addr),
            dest_port: self.dest_port.or(later.dest_port),
        }
    }
}

impl<T> Told<T> {
    /// Each attribute once.
    fn take(&mut self, value: &str, read: impl FnOnce(String) -> Option<T>) -> Option<()> {
        if !matches!(self, Self::Silent) {
            return None;
        }
        let unknown = ["[UNAVAILABLE]", "[TEMPUNAVAIL]"].iter().any(|word| value.eq_ignore_ascii_case(word));
        *self = if unknown { Self::Unknown } else { Self::Is(read(un_xtext(value)?)?) };
        Some(())
    }

    fn or(self, later: Self) -> Self {
        if matches!(later, Self::Silent) { self } else { later }
    }

    /// The value, where there is one.
    #[must_use]
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Silent | Self::Unknown => None,
        }
    }
}

fn name(text: &str) -> Option<String> {
    let fine = (1..=NAME_OCTETS_MAX).contains(&text.len())
        && text.bytes().all(|octet| octet.is_ascii_graphic() && !b"()<>@,;\\\"".contains(&octet));
    fine.then(|| text.to_owned())
}

/// `192.0.2.1`, or `IPV6:2001:db8::1`.
fn address(text: &str) -> Option<IpAddr> {
    match text.split_at_checked(5) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("IPV6:") => {
            rest.parse::<Ipv6Addr>().ok().map(|address| IpAddr::V6(address).to_canonical())
        }
        _ => text.parse().ok().map(IpAddr::V4),
    }
}

/// As it stands in the answer to EHLO.
pub(super) const OFFER: &str = "XCLIENT NAME ADDR PORT PROTO HELO LOGIN DESTADDR DESTPORT";
/// RFC 5321 §4.5.3.1.2.
const NAME_OCTETS_MAX: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_with_their_encoding_and_their_unknowns() {
        let told =
            Xclient::parse("NAME=spike.porcupine.org ADDR=168.100.189.2 PROTO=ESMTP HELO=spike PORT=4711").unwrap();
        assert_eq!(told.name.value().unwrap(), "spike.porcupine.org");
        assert_eq!(told.addr, Told::Is("168.100.189.2".parse().unwrap()));
        assert_eq!((told.proto, told.port, told.login), (Told::Is(Proto::Esmtp), Told::Is(4711), Told::Silent));
        let told =
            Xclient::parse("name=[UNAVAILABLE] Addr=IPV6:2001:db8::1 LOGIN=anna+2Bb helo=[tempunavail]").unwrap();
        assert_eq!((told.name, told.helo), (Told::Unknown, Told::Unknown));
        assert_eq!(told.addr, Told::Is("2001:db8::1".parse().unwrap()));
        assert_eq!(told.login.value().unwrap(), "anna+b");
        let mapped = Xclient::parse("ADDR=IPV6:::ffff:192.0.2.1").unwrap();
        assert_eq!(mapped.addr, Told::Is("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn what_is_no_attribute_spoils_the_command() {
        for bad in [
            "",
            "ADDR",
            "ADDR=",
            "ADDR=2001:db8::1",
            "ADDR=localhost",
            "ADDR=1.2.3.4 ADDR=1.2.3.4",
            "IDENT=x",
            "PORT=99999",
            "PROTO=LMTP",
            "HELO=a+0Ab",
            "HELO=a+4",
            "LOGIN=a+00b",
            "NAME=a(b",
        ] {
            assert_eq!(Xclient::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_second_command_adds_to_the_first() {
        let one = Xclient::parse("ADDR=192.0.2.1 LOGIN=anna").unwrap();
        let both = one.and(Xclient::parse("LOGIN=[UNAVAILABLE] HELO=x").unwrap());
        assert_eq!(both, Xclient::parse("ADDR=192.0.2.1 LOGIN=[UNAVAILABLE] HELO=x").unwrap());
    }
}
