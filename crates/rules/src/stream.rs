//! Which kind of mail it is, and how that is known: by who sends it, by its port, by its header, by how much there is.

use std::fmt;

use crate::outcome::{Stream, StreamBy};
use crate::rate::{Gcra, Rate};

/// The kind of a mail, with what told it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    pub stream: Stream,
    pub by: StreamBy,
}

/// What the header of a mail says of its kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Looks {
    /// `SM2TP-Stream`, where it names a stream.
    pub field: Option<Stream>,
    /// The strongest of the fields that programs write.
    pub sign: Option<Kind>,
}

/// What is remembered of one sender, to know a bulk sender that nobody declared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Volume {
    recipients: Gcra,
    /// Unix microseconds until which it counts as a bulk sender.
    until_us: u64,
    /// The last Message-ID, as a hash, and in how many mails it stood one after the other.
    message: u64,
    same: u16,
}

/// What is known before the content. A login's own stream goes before that of the port, and this before what its
/// organisation or network sends otherwise.
#[must_use]
pub fn told(account: Kind, port: Option<Stream>) -> Kind {
    match port {
        Some(stream) if account.by != StreamBy::Login => Kind { stream, by: StreamBy::Port },
        _ => account,
    }
}

/// What is known with the content.
///
/// Where a person decided (for a login, for a port), only the mail's own field may make it stricter. Otherwise the field
/// decides, then the other fields, then the volume; these two never make a mail less strict than its organisation's.
/// Mail that is passed on is that whatever it looks like: its header was written elsewhere.
#[must_use]
pub fn decided(told: Kind, looks: &Looks, is_much: bool) -> Kind {
    let was_chosen = matches!(told.by, StreamBy::Login | StreamBy::Port);
    if told.stream == Stream::Forwarded {
        return told;
    }
    if let Some(stream) = looks.field.filter(|stream| *stream != Stream::Forwarded) {
        let may = !was_chosen || is_stricter(stream, told.stream);
        return if may { Kind { stream, by: StreamBy::Field } } else { told };
    }
    if was_chosen {
        return told;
    }
    match looks.sign {
        Some(sign) if is_stricter(sign.stream, told.stream) => sign,
        None if is_much && told.stream == Stream::Personal => Kind { stream: Stream::Bulk, by: StreamBy::Volume },
        _ => told,
    }
}

impl Looks {
    /// One more field of the header. `value` without line ends.
    pub fn note(&mut self, name: &str, value: &str) {
        let value = value.trim();
        if name.eq_ignore_ascii_case(FIELD) {
            // The first one counts; words that are none say nothing.
            self.field = self.field.or_else(|| value.to_ascii_lowercase().parse().ok());
            return;
        }
        let Some((_, stream, by)) = SIGNS.iter().find(|(field, _, _)| name.eq_ignore_ascii_case(field)) else { return };
        let means = match by {
            // RFC 2076 §3.9: `list`, `bulk` and `junk` are for many; `first-class` and the rest say nothing.
            StreamBy::Precedence => ["bulk", "list", "junk"].iter().any(|word| value.eq_ignore_ascii_case(word)),
            // RFC 3834 §5: anything but `no` was written by a program.
            StreamBy::AutoSubmitted => !value.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case("no"),
            _ => !value.is_empty(),
        };
        if means && self.sign.is_none_or(|known| is_stricter(*stream, known.stream)) {
            self.sign = Some(Kind { stream: *stream, by: *by });
        }
    }
}

impl Volume {
    /// After a mail to so many recipients. `message` is a hash of its Message-ID; `limit` the recipients of a sender that
    /// is no bulk sender. Answers with what to remember, and whether it is one. Who was is one for an hour more: its mail
    /// must not change its kind with every lull.
    #[must_use]
    pub fn after(mut self, recipients: usize, message: u64, limit: Rate, now_us: u64) -> (Self, bool) {
        self.same = if self.message == message && self.same != 0 { self.same.saturating_add(1) } else { 1 };
        self.message = message;
        let mut much = SAME_MAX < self.same;
        for _ in 0..recipients {
            match limit.take(self.recipients, now_us) {
                Ok(next) => self.recipients = next,
                Err(_) => {
                    // It counts as one for an hour now; what comes after that is counted anew.
                    (self.recipients, much) = (Gcra::default(), true);
                    break;
                }
            }
        }
        // A clock that was set back must not make somebody a bulk sender for longer than an hour.
        self.until_us = self.until_us.min(now_us.saturating_add(BULK_US));
        if much {
            self.until_us = now_us.saturating_add(BULK_US);
        }
        (self, now_us < self.until_us)
    }

    /// Nothing is left to remember.
    #[must_use]
    pub fn is_over(&self, now_us: u64) -> bool {
        self.until_us <= now_us && self.recipients.is_over(now_us)
    }
}

/// What told the kind of a mail, as a sentence about the mail.
#[must_use]
pub fn why(by: StreamBy) -> &'static str {
    match by {
        StreamBy::Login => "its login sends such mail",
        StreamBy::Port => "it came in on the port for such mail",
        StreamBy::Org => "its organisation sends such mail",
        StreamBy::Network => "its network sends such mail",
        StreamBy::Field => "it has a field SM2TP-Stream that says so",
        StreamBy::ListUnsubscribe => "it has a field List-Unsubscribe",
        StreamBy::ListId => "it has a field List-Id",
        StreamBy::Precedence => "its field Precedence says so",
        StreamBy::AutoSubmitted => "its field Auto-Submitted says that a program wrote it",
        StreamBy::FeedbackId => "it has a field Feedback-ID, which programs write",
        StreamBy::Volume => "its sender has had many recipients within the last hour",
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.stream, why(self.by))
    }
}

/// Personal mail is stopped least, bulk mail most.
fn is_stricter(one: Stream, other: Stream) -> bool {
    let rank = |stream| match stream {
        Stream::Personal | Stream::Forwarded => 0,
        Stream::Transactional => 1,
        Stream::Bulk => 2,
    };
    rank(other) < rank(one)
}

/// The field by which a sender names the stream; it is taken out before the mail leaves.
pub const FIELD: &str = "SM2TP-Stream";

/// Fields that programs write, what they are a sign of, and its name. Programs for receipts write Feedback-ID as those for
/// newsletters do: it shows that a program wrote the mail, and not more.
const SIGNS: [(&str, Stream, StreamBy); 5] = [
    ("List-Unsubscribe", Stream::Bulk, StreamBy::ListUnsubscribe),
    ("List-Id", Stream::Bulk, StreamBy::ListId),
    ("Precedence", Stream::Bulk, StreamBy::Precedence),
    ("Auto-Submitted", Stream::Transactional, StreamBy::AutoSubmitted),
    ("Feedback-ID", Stream::Transactional, StreamBy::FeedbackId),
];

/// So many mails one after the other with one Message-ID: a program that sends the same to each of a list. Servers that
/// split a mail by the domains of its recipients stay below.
const SAME_MAX: u16 = 20;
const BULK_US: u64 = 3_600_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rate::Per;

    /// `header` has fields apart by `|`; `want` is the stream and what told it.
    #[track_caller]
    fn check(told: (Stream, StreamBy), header: &str, want: &str) {
        let mut looks = Looks::default();
        for field in header.split('|').filter(|field| !field.is_empty()) {
            let (name, value) = field.split_once(':').unwrap();
            looks.note(name, value);
        }
        let got = decided(Kind { stream: told.0, by: told.1 }, &looks, false);
        assert_eq!(format!("{} {}", got.stream, got.by), want, "{header}");
    }

    const ORG: (Stream, StreamBy) = (Stream::Personal, StreamBy::Org);

    #[test]
    fn fields_of_programs_make_mail_stricter_in_the_order_of_their_strength() {
        check(ORG, "", "personal org");
        check(ORG, "Subject: List-Unsubscribe", "personal org");
        check(ORG, "list-unsubscribe: <mailto:x@y.example>", "bulk list-unsubscribe");
        check(ORG, "List-Unsubscribe: ", "personal org");
        check(ORG, "Feedback-ID: 1:2:3:esp|List-Id: <a.example>", "bulk list-id");
        check(ORG, "Precedence: BULK|Auto-Submitted: auto-generated", "bulk precedence");
        check(ORG, "Precedence: first-class", "personal org");
        check(ORG, "Auto-Submitted: auto-replied; owner-email=\"x\"", "transactional auto-submitted");
        check(ORG, "Auto-Submitted: no ; x", "personal org");
        check(ORG, "Feedback-ID: 1:2:3:esp", "transactional feedback-id");
        check((Stream::Bulk, StreamBy::Org), "Auto-Submitted: auto-generated", "bulk org");
        check((Stream::Transactional, StreamBy::Network), "List-Id: <a.example>", "bulk list-id");
    }

    #[test]
    fn what_a_person_chose_for_a_login_or_a_port_stands_against_the_header() {
        for by in [StreamBy::Login, StreamBy::Port] {
            check((Stream::Transactional, by), "List-Unsubscribe: <x:y>", &format!("transactional {by}"));
            check((Stream::Transactional, by), "SM2TP-Stream: Bulk", "bulk field");
            check((Stream::Bulk, by), "SM2TP-Stream: personal", &format!("bulk {by}"));
        }
    }

    #[test]
    fn the_own_field_decides_where_nobody_chose() {
        check(ORG, "SM2TP-Stream: transactional|List-Unsubscribe: <x:y>", "transactional field");
        check((Stream::Bulk, StreamBy::Org), "sm2tp-stream:personal", "personal field");
        check(ORG, "SM2TP-Stream: newsletter|List-Id: x", "bulk list-id");
        check(ORG, "SM2TP-Stream: bulk|SM2TP-Stream: personal", "bulk field");
        check(ORG, "SM2TP-Stream: forwarded", "personal org");
    }

    #[test]
    fn mail_that_is_passed_on_is_that_whatever_it_looks_like() {
        check((Stream::Forwarded, StreamBy::Org), "SM2TP-Stream: bulk|List-Id: x", "forwarded org");
    }

    #[test]
    fn a_port_tells_where_the_login_has_no_stream_of_its_own() {
        let of = |stream, by| Kind { stream, by };
        let org = of(Stream::Personal, StreamBy::Org);
        assert_eq!(told(org, Some(Stream::Bulk)), of(Stream::Bulk, StreamBy::Port));
        assert_eq!(told(org, None), org);
        let login = of(Stream::Transactional, StreamBy::Login);
        assert_eq!(told(login, Some(Stream::Bulk)), login);
    }

    #[test]
    fn many_recipients_make_a_bulk_sender_for_an_hour() {
        let (limit, hour_us) = (Rate::new(100, Per::Hour), 3_600_000_000);
        let now = 1_000 * hour_us;
        let (state, much) = Volume::default().after(60, 1, limit, now);
        assert!(!much);
        let (state, much) = state.after(60, 2, limit, now + 1);
        assert!(much);
        let (_, much) = state.after(1, 3, limit, now + hour_us / 2);
        assert!(much, "a lull changes nothing");
        let (later, much) = state.after(1, 3, limit, now + 2 * hour_us);
        assert!(!much && !later.is_over(now + 2 * hour_us) && later.is_over(now + 4 * hour_us));
        let (back, _) = later.after(1, 3, limit, now - 100 * hour_us);
        assert!(back.is_over(now - 97 * hour_us), "a clock that was set back");
        let personal = Kind { stream: Stream::Personal, by: StreamBy::Network };
        let want = Kind { stream: Stream::Bulk, by: StreamBy::Volume };
        assert_eq!(decided(personal, &Looks::default(), true), want);
        let receipt =
            Looks { field: None, sign: Some(Kind { stream: Stream::Transactional, by: StreamBy::AutoSubmitted }) };
        assert_eq!(decided(personal, &receipt, true).stream, Stream::Transactional);
    }

    #[test]
    fn the_same_message_one_by_one_is_bulk_too() {
        let limit = Rate::new(1000, Per::Hour);
        let mut state = Volume::default();
        let mut first = None;
        for n in 1..30_u32 {
            let (next, much) = state.after(1, 7, limit, u64::from(n) * 1000 + 1);
            state = next;
            first = first.or(much.then_some(n));
        }
        assert_eq!(first, Some(u32::from(SAME_MAX) + 1));
        let mut state = Volume::default();
        for n in 1..100_u64 {
            let (next, much) = state.after(1, n, limit, n * 1000);
            state = next;
            assert!(!much);
        }
    }
}
