//! One federated event: 32 bytes that name no sender, no message and no address (`FEDERATION.md` §4).

use std::fmt;

use sm2tp_proto::Enhanced;
use sm2tp_rules::outcome::Stream;

use crate::bytes::{array, put, u16_at, u32_at, u64_at};
use crate::tags::Tag;

/// What kind of event. Any byte is possible: unknown classes are stored, relayed and ignored.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Class(pub u8);

/// How the origin came to know (low nibble) and the stream of the mail (high nibble).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Source(pub u8);

/// The way by which an origin learned of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Witness {
    SmtpReply = 1,
    Dsn = 2,
    Arf = 3,
    MtaLog = 4,
    ByHand = 5,
}

/// Why an origin takes back what it said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u16)]
pub enum RetractReason {
    Mistake = 1,
    /// The person confirmed by a link that the mailbox lives.
    Revalidated = 2,
    Delivered = 3,
}

/// The record that an ERASE names, of the same origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EraseTarget {
    pub epoch: u32,
    pub sequence: u64,
}

/// One event as it stands in a segment. Every 32 bytes are a record and read back to the same bytes, so that a node can
/// relay what it does not understand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Record {
    pub class: Class,
    pub source: Source,
    /// SMTP code, 0 where unknown.
    pub smtp_code: u16,
    /// Enhanced code (RFC 3463), 0.0.0 where unknown; in a RETRACT its third part is the [`RetractReason`].
    pub enhanced: (u8, u8, u16),
    /// Hours since 1970: `floor(unix / 3600)`. Finer times would tell campaigns apart.
    pub hour: u32,
    /// How many times in that hour.
    pub count: u16,
    /// The code that `rules` gives the provider of the recipient; 0 is any other, so that no small host is singled out.
    pub provider: u8,
    /// Weeks after which the event counts no more; 0 is the default of the class.
    pub ttl_weeks: u8,
    /// Raw: read it through [`Record::tag`] and [`Record::erase_target`], which know what the class carries.
    pub subject: [u8; 16],
}

impl Class {
    /// The address does not exist.
    pub const HARD: Self = Self(1);
    /// The mailbox did not take mail for long enough that the mail was given up.
    pub const SOFT: Self = Self(2);
    /// A message was refused although the address is valid; carries no tag.
    pub const REFUSED: Self = Self(3);
    /// Carries no tag: a list of those who complain is a list of the living.
    pub const COMPLAINT: Self = Self(4);
    pub const DOMAIN_DEAD: Self = Self(5);
    /// Voids all earlier events of this origin for the tag.
    pub const RETRACT: Self = Self(6);
    /// Asks every holder to redact one record of this origin.
    pub const ERASE: Self = Self(7);
    /// "I delivered after that", only for a tag under an active foreign HARD.
    pub const CONTRADICT: Self = Self(8);

    /// True for the classes whose subject is a tag; the others may not smuggle one in.
    #[must_use]
    pub fn has_tag(self) -> bool {
        matches!(self, Self::HARD | Self::SOFT | Self::DOMAIN_DEAD | Self::RETRACT | Self::CONTRADICT)
    }

    /// True for the classes that hold something against their tag.
    #[must_use]
    pub fn is_against(self) -> bool {
        matches!(self, Self::HARD | Self::SOFT | Self::DOMAIN_DEAD)
    }

    #[must_use]
    pub fn is_known(self) -> bool {
        (Self::HARD..=Self::CONTRADICT).contains(&self)
    }
}

impl Source {
    /// A forwarded mail has no nibble of its own in version 1 and is written as "not said".
    #[must_use]
    pub fn new(witness: Witness, stream: Option<Stream>) -> Self {
        let stream = match stream {
            Some(Stream::Bulk) => 1,
            Some(Stream::Transactional) => 2,
            Some(Stream::Personal) => 3,
            Some(Stream::Forwarded) | None => 0,
        };
        Self(stream << 4 | witness as u8)
    }

    #[must_use]
    pub fn witness(self) -> Option<Witness> {
        match self.0 & 15 {
            1 => Some(Witness::SmtpReply),
            2 => Some(Witness::Dsn),
            3 => Some(Witness::Arf),
            4 => Some(Witness::MtaLog),
            5 => Some(Witness::ByHand),
            _ => None,
        }
    }

    #[must_use]
    pub fn stream(self) -> Option<Stream> {
        match self.0 >> 4 {
            1 => Some(Stream::Bulk),
            2 => Some(Stream::Transactional),
            3 => Some(Stream::Personal),
            _ => None,
        }
    }
}

impl Record {
    /// An event about a tag, seen once, with nothing known about the reply. `at` in unix seconds.
    #[must_use]
    pub fn about(class: Class, source: Source, tag: Tag, at: u64) -> Self {
        Self {
            class,
            source,
            smtp_code: 0,
            enhanced: (0, 0, 0),
            hour: hour(at),
            count: 1,
            provider: 0,
            ttl_weeks: 0,
            subject: tag.0,
        }
    }

    /// Takes back all that this origin said about a tag.
    #[must_use]
    pub fn retract(tag: Tag, reason: RetractReason, source: Source, at: u64) -> Self {
        Self { enhanced: (0, 0, reason as u16), ..Self::about(Class::RETRACT, source, tag, at) }
    }

    /// Asks all holders to redact one record of this origin.
    #[must_use]
    pub fn erase(target: EraseTarget, at: u64) -> Self {
        let mut subject = [0; 16];
        put(&mut subject, 0, &target.epoch.to_be_bytes());
        put(&mut subject, 4, &target.sequence.to_be_bytes());
        Self::about(Class::ERASE, Source::new(Witness::ByHand, None), Tag(subject), at)
    }

    /// The tag, where the class carries one.
    #[must_use]
    pub fn tag(&self) -> Option<Tag> {
        self.class.has_tag().then_some(Tag(self.subject))
    }

    #[must_use]
    pub fn erase_target(&self) -> Option<EraseTarget> {
        (self.class == Class::ERASE)
            .then(|| EraseTarget { epoch: u32_at(&self.subject, 0), sequence: u64_at(&self.subject, 4) })
    }

    #[must_use]
    pub fn retract_reason(&self) -> Option<RetractReason> {
        match (self.class, self.enhanced.2) {
            (Class::RETRACT, 1) => Some(RetractReason::Mistake),
            (Class::RETRACT, 2) => Some(RetractReason::Revalidated),
            (Class::RETRACT, 3) => Some(RetractReason::Delivered),
            _ => None,
        }
    }

    #[must_use]
    pub fn encode(&self) -> [u8; RECORD_OCTETS] {
        let mut out = [0; RECORD_OCTETS];
        out[0] = self.class.0;
        out[1] = self.source.0;
        put(&mut out, 2, &self.smtp_code.to_be_bytes());
        (out[4], out[5]) = (self.enhanced.0, self.enhanced.1);
        put(&mut out, 6, &self.enhanced.2.to_be_bytes());
        put(&mut out, 8, &self.hour.to_be_bytes());
        put(&mut out, 12, &self.count.to_be_bytes());
        (out[14], out[15]) = (self.provider, self.ttl_weeks);
        put(&mut out, 16, &self.subject);
        out
    }

    #[must_use]
    pub fn decode(bytes: &[u8; RECORD_OCTETS]) -> Self {
        Self {
            class: Class(bytes[0]),
            source: Source(bytes[1]),
            smtp_code: u16_at(bytes, 2),
            enhanced: (bytes[4], bytes[5], u16_at(bytes, 6)),
            hour: u32_at(bytes, 8),
            count: u16_at(bytes, 12),
            provider: bytes[14],
            ttl_weeks: bytes[15],
            subject: array(bytes, 16),
        }
    }
}

/// The hour of a time in unix seconds.
#[must_use]
pub fn hour(unix_s: u64) -> u32 {
    u32::try_from(unix_s / 3600).unwrap_or(u32::MAX)
}

/// An enhanced code in the space of a record; 0.0.0 where there is none or its subject does not fit a byte (none does
/// that is registered).
#[must_use]
pub fn wire_enhanced(code: Option<Enhanced>) -> (u8, u8, u16) {
    code.and_then(|Enhanced(class, subject, detail)| Some((class, u8::try_from(subject).ok()?, detail)))
        .unwrap_or_default()
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match *self {
            Self::HARD => "hard",
            Self::SOFT => "soft",
            Self::REFUSED => "refused",
            Self::COMPLAINT => "complaint",
            Self::DOMAIN_DEAD => "domain-dead",
            Self::RETRACT => "retract",
            Self::ERASE => "erase",
            Self::CONTRADICT => "contradict",
            Self(other) => return write!(f, "class-{other}"),
        };
        f.pad(word)
    }
}

impl fmt::Debug for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Class({self})")
    }
}

/// Length of a record of version 1.
pub const RECORD_OCTETS: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hostile::Xorshift;

    #[test]
    fn any_32_bytes_read_back_to_themselves() {
        let mut random = Xorshift(1);
        for _ in 0..10_000 {
            let bytes: [u8; 32] = random.bytes();
            assert_eq!(Record::decode(&bytes).encode(), bytes);
        }
    }

    #[test]
    fn the_layout_is_that_of_section_4() {
        let record = Record {
            class: Class::HARD,
            source: Source::new(Witness::Dsn, Some(Stream::Personal)),
            smtp_code: 550,
            enhanced: (5, 1, 258),
            hour: 0x0007_0809,
            count: 3,
            provider: 5,
            ttl_weeks: 9,
            subject: [0xaa; 16],
        };
        let want = format!("01320226050101020007080900030509{}", "aa".repeat(16));
        assert_eq!(hex::encode(record.encode()), want);
        assert_eq!(record.source.witness(), Some(Witness::Dsn));
        assert_eq!(record.source.stream(), Some(Stream::Personal));
    }

    #[test]
    fn only_the_classes_that_may_carry_a_tag_show_one() {
        for class in 0..=255 {
            let record = Record::about(Class(class), Source(0), Tag([1; 16]), 0);
            assert_eq!(record.tag().is_some(), matches!(class, 1 | 2 | 5 | 6 | 8), "class {class}");
            assert_eq!(record.erase_target().is_some(), class == 7, "class {class}");
        }
    }

    #[test]
    fn erase_and_retract_say_what_they_mean() {
        let target = EraseTarget { epoch: 3, sequence: 1 << 40 };
        let erase = Record::erase(target, 7200);
        assert_eq!((erase.erase_target(), erase.hour), (Some(target), 2));
        assert_eq!(erase.subject[12..], [0; 4]);
        let retract = Record::retract(Tag([2; 16]), RetractReason::Delivered, Source(1), 0);
        assert_eq!(retract.retract_reason(), Some(RetractReason::Delivered));
    }

    #[test]
    fn an_enhanced_code_that_does_not_fit_is_left_out() {
        assert_eq!(wire_enhanced(Some(Enhanced(5, 1, 999))), (5, 1, 999));
        assert_eq!(wire_enhanced(Some(Enhanced(5, 256, 1))), (0, 0, 0));
        assert_eq!(wire_enhanced(None), (0, 0, 0));
    }
}
