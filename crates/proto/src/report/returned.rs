//! The mail that comes back with a report: its header, as far as it is there.

use std::borrow::Cow;
use std::fmt;

use super::fields::Fields;
use super::mime::{self, Mail};
use super::spot;
use crate::Address;

/// The header of the returned mail, at most [`HEADER_OCTETS_MAX`] of it. `Debug` shows how much there is: it names people
/// (I2).
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Returned {
    header: String,
}

impl Returned {
    /// From the part that holds a mail, or the header of one.
    pub(super) fn of(mail: &Mail<'_>) -> Self {
        let holds = |media: &str| {
            matches!(media, "message/rfc822" | "message/global" | "text/rfc822-headers" | "message/global-headers")
                || media == "message/rfc822-headers"
        };
        mail.parts.iter().find(|part| holds(&part.media)).map_or_else(Self::default, |part| {
            let octets = part.octets();
            let start = octets.iter().position(|octet| !octet.is_ascii_whitespace()).unwrap_or(0);
            Self::of_octets(&octets[start..])
        })
    }

    /// From the text below the line that says that it follows.
    pub(super) fn of_text(text: &str) -> Self {
        let start = text.find(|c: char| c.is_ascii_alphanumeric()).unwrap_or(text.len());
        Self::of_octets(&text.as_bytes()[start..])
    }

    fn of_octets(octets: &[u8]) -> Self {
        let (header, _) = mime::split_header(&octets[..octets.len().min(HEADER_OCTETS_MAX)]);
        Self { header: String::from_utf8_lossy(header).into_owned() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.header.is_empty()
    }

    /// The value of the first field of this name, in one line, at most 512 octets of it.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        super::kept(Fields::in_text(Cow::Borrowed(&self.header)).raw(name)?)
    }

    /// `Message-ID`, with its brackets, as it stands.
    #[must_use]
    pub fn message_id(&self) -> Option<String> {
        self.field("message-id")
    }

    /// The addresses of a field such as `To`, at most 100.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<Address> {
        let fields = Fields::in_text(Cow::Borrowed(&self.header));
        let values: Vec<String> = fields.all(name).collect();
        let spots = values.iter().flat_map(|value| spot::spots(value));
        spots.take(super::RECIPIENTS_MAX).map(|spot| spot.address).collect()
    }

    /// The recipient, where `To` and `Cc` name one alone.
    pub(super) fn only_recipient(&self) -> Option<Address> {
        let mut all = self.addresses("to");
        all.extend(self.addresses("cc"));
        all.dedup_by(|one, other| one.is_same(other));
        if all.len() == 1 { all.pop() } else { None }
    }
}

impl fmt::Debug for Returned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Returned({} octets)", self.header.len())
    }
}

/// Own fields and Message-ID stand in the first few kB; those that were added on the way stand before them.
const HEADER_OCTETS_MAX: usize = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_returned_header_is_asked_for_fields_and_shows_nobody() {
        let text = "\n\nMessage-ID: <1@asso.example>\nTo: Jean <jean@example.org>,\n anna@example.com\nX-Ref:\n\nTo: luc@example.org\n";
        let returned = Returned::of_text(text);
        assert_eq!(returned.message_id().as_deref(), Some("<1@asso.example>"));
        assert_eq!((returned.field("x-ref"), returned.field("subject")), (None, None));
        let to: Vec<String> = returned.addresses("TO").iter().map(Address::clear).collect();
        assert_eq!(to, ["jean@example.org", "anna@example.com"]);
        assert_eq!(returned.only_recipient(), None);
        let shown = format!("{returned:?}");
        assert!(!shown.contains("jean") && shown.contains("octets"), "{shown}");
    }
}
