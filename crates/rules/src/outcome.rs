//! The words of every decision: what a recipient's server said, whose fault it is, and what follows for the message.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sm2tp_proto::Enhanced;

/// Declares an enum whose values have one name in JSON, TOML, SQL and on the screen.
macro_rules! words {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant),+ }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(word: &str) -> Result<Self, UnknownWord> {
                match word { $($word => Ok(Self::$variant),)+ other => Err(UnknownWord(other.to_owned())) }
            }
        }
    };
}

/// A word that is none of the values allowed in its place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown word {0:?}")]
pub struct UnknownWord(pub String);

words! {
    /// Where in the dialogue the answer came: it says who is accused. A refusal before RCPT is never about the address.
    Stage {
        Connect = "connect", Ehlo = "ehlo", StartTls = "starttls", Mail = "mail", Rcpt = "rcpt", Data = "data",
        /// After the final dot.
        Eod = "eod",
        /// Told later, in a delivery status notification.
        Dsn = "dsn",
    }
}

words! {
    /// Why the mail did not arrive (`DESIGN.md` §5). Only `Address` and `Mailbox` say anything about the recipient.
    Cause {
        Address = "address", Mailbox = "mailbox", Content = "content", Ip = "ip", Auth = "auth", Rate = "rate",
        Policy = "policy", Network = "network", Unknown = "unknown",
    }
}

words! {
    /// What happens to this message; independent of the first digit of the reply.
    Fate {
        /// No further attempt; the sender gets a report.
        Final = "final",
        /// Another attempt after the usual wait.
        Later = "later",
        /// Another attempt, and the site gets less at once.
        Slow = "slow",
        /// Another exit may deliver it; from this one later.
        Elsewhere = "elsewhere",
        /// A person has to repair something first (DNS, authentication); tried again in the meantime.
        Hold = "hold",
    }
}

words! {
    /// Whom the answer is about.
    Scope {
        Recipient = "recipient", Domain = "domain", Provider = "provider", Sender = "sender", Message = "message",
        Exit = "exit",
    }
}

words! {
    /// How sure the cause is: one strong answer suppresses, weak ones need a second on another day.
    Strength { Strong = "strong", Weak = "weak" }
}

words! {
    /// The kind of mail; suppression, retry and precedence differ by it.
    Stream { Personal = "personal", Transactional = "transactional", Bulk = "bulk", Forwarded = "forwarded" }
}

words! {
    /// What told the kind of a mail (`stream`).
    StreamBy {
        Login = "login", Port = "port", Org = "org",
        /// The trusted network that it came from.
        Network = "network",
        /// SM2TP-Stream.
        Field = "field",
        ListUnsubscribe = "list-unsubscribe", ListId = "list-id", Precedence = "precedence",
        AutoSubmitted = "auto-submitted", FeedbackId = "feedback-id", Volume = "volume",
    }
}

/// Some of the kinds of mail: what a list or a setting is for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Streams(u8);

words! {
    /// What failed on our side of the wire, or before there was a wire. Typed, never text (`DESIGN.md` §5).
    LocalFailure {
        NoSuchDomain = "no-such-domain",
        /// RFC 7505: the domain says that it takes no mail.
        NullMx = "null-mx",
        /// The domain exists but has neither MX nor address records.
        NoMailHost = "no-mail-host",
        DnsFailure = "dns-failure",
        ConnectRefused = "connect-refused",
        ConnectTimeout = "connect-timeout",
        /// The server stopped answering inside the dialogue.
        Timeout = "timeout",
        /// It answered each time, and so slowly that all of it together took too long.
        TooSlow = "too-slow",
        ConnectionLost = "connection-lost",
        TlsFailure = "tls-failure",
        /// The domain's MTA-STS policy is enforced and was not met.
        StsFailure = "sts-failure",
        /// The keys that DNSSEC names were not shown, or could not be looked up.
        DaneFailure = "dane-failure",
        /// The message asks for REQUIRETLS, and no host of the domain can give it.
        RequireTls = "require-tls",
        /// The domain's mail comes back to this machine.
        Loop = "loop",
        /// A smart host does not take our login: a person must repair it.
        LoginRefused = "login-refused",
        /// No local address can be sent from.
        NoExit = "no-exit",
        /// What it said is no SMTP.
        BadReply = "bad-reply",
        /// The server does not offer what this message needs (SMTPUTF8).
        Unsupported = "unsupported",
        /// A key of ours cannot sign, and unsigned the mail would be refused.
        Unsigned = "unsigned",
        /// The server says that it takes no message of this size.
        TooLarge = "too-large",
        /// The queue gave up: the last try was too long ago.
        Expired = "expired",
    }
}

/// What one answer means (`DESIGN.md` §5). `rule` names the rule that decided, for people who ask why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    pub cause: Cause,
    /// A finer word where the rule knows one: `inactive`, `no-domain`, `greylist`, `size`, …
    pub sub: Option<Arc<str>>,
    pub fate: Fate,
    pub scope: Scope,
    pub strength: Strength,
    pub rule: Arc<str>,
    /// Who runs the recipient's server: `orange`, `google`, …; none where the MX host is not known to us.
    pub provider: Option<Arc<str>>,
    pub code: Option<u16>,
    pub enhanced: Option<Enhanced>,
    /// The server named a time to wait, in seconds.
    pub retry_after_s: Option<u32>,
    /// The page that the server points to: `http` or `https`, at most 300 octets of visible ASCII. It may name the
    /// sender or an address in its query, so it goes where the text of the reply may go, and nowhere else. Nothing ever
    /// follows it.
    pub link: Option<Arc<str>>,
}

impl Streams {
    pub const NONE: Self = Self(0);
    pub const ALL: Self = Self(0b1111);

    #[must_use]
    pub const fn one(stream: Stream) -> Self {
        Self(1 << stream as u8)
    }

    /// One stream, or all where none is named.
    #[must_use]
    pub fn of(stream: Option<Stream>) -> Self {
        stream.map_or(Self::ALL, Self::one)
    }

    #[must_use]
    pub fn contains(self, stream: Stream) -> bool {
        self.0 & Self::one(stream).0 != 0
    }

    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub fn iter(self) -> impl Iterator<Item = Stream> {
        Stream::ALL.iter().copied().filter(move |stream| self.contains(*stream))
    }

    /// The four bits in which a store may keep them.
    #[must_use]
    pub fn bits(self) -> u8 {
        self.0
    }

    /// The set that [`Self::bits`] gave; bits beyond the streams are left out.
    #[must_use]
    pub fn from_bits(bits: u8) -> Self {
        Self(bits & Self::ALL.0)
    }
}

impl fmt::Display for Streams {
    /// `bulk transactional`, or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (place, stream) in self.iter().enumerate() {
            write!(f, "{}{stream}", if place == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl FromStr for Streams {
    type Err = UnknownWord;

    /// Words apart by spaces or commas; `none` is the empty set.
    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let words = text.split([' ', ',']).filter(|word| !word.is_empty() && *word != "none");
        words.map(str::parse::<Stream>).try_fold(Self::NONE, |all, stream| Ok(all.with(Self::one(stream?))))
    }
}

impl Serialize for Streams {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Streams {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl Outcome {
    /// True where the site gets too much from us. Greylisting asks for patience with one mail, not for fewer mails.
    #[must_use]
    pub fn asks_for_less(&self) -> bool {
        self.fate == Fate::Slow && self.sub.as_deref() != Some("greylist")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_of_streams_reads_as_it_is_written() {
        for text in ["none", "bulk", "personal transactional bulk forwarded", "transactional forwarded"] {
            assert_eq!(text.parse::<Streams>().unwrap().to_string(), text);
        }
        assert_eq!("bulk,personal".parse(), Ok(Streams::one(Stream::Bulk).with(Streams::one(Stream::Personal))));
        assert!("bulk letters".parse::<Streams>().is_err());
        assert_eq!(Streams::from_bits(0xff), Streams::ALL);
        assert!(!Streams::ALL.without(Streams::of(Some(Stream::Bulk))).contains(Stream::Bulk));
    }
}
