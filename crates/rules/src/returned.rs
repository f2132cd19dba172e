//! Mail that comes back: whose it is, and what it may change. Whoever cannot show a token of ours changes no address.

use sm2tp_proto::token::Token;

use crate::outcome::Strength;

/// Where in a report a token may stand. Texts as they were found, none where there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Places<'a> {
    /// The local part of the address to which the report came.
    pub rcpt: Option<&'a str>,
    /// `Original-Envelope-Id` (RFC 3464 §2.2.1, RFC 5965 §3.2).
    pub envid: Option<&'a str>,
    /// The local part of `Original-Mail-From` (RFC 5965 §3.2).
    pub mail_from: Option<&'a str>,
    /// Our own field in the part that came back.
    pub header: Option<&'a str>,
}

/// Where the token stood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Rcpt,
    Envid,
    MailFrom,
    Header,
}

/// What a report is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A server gave up delivering.
    Failure,
    /// A person complained.
    Complaint,
    /// Anything else: a delay, a delivery, an absence, a question who we are. It counts for nothing.
    Other,
}

/// What was counted for this token before.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Before {
    pub bounced: bool,
    pub complained: bool,
}

/// What the report counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    Bounce,
    Complaint,
    /// One of its kind was counted for this token.
    Repeated,
    /// The mail left too long ago.
    Late,
    Nothing,
}

/// Whom a report of failure names, beside the recipient that its token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    ThisRecipient,
    /// Another: the address was an alias or a list there.
    Another,
    Nobody,
}

/// Whose report it is: the first place with a token that opens. `open` checks the key and the day.
///
/// The address that a report names is not asked: who can write a report can write any address into it.
#[must_use]
pub fn attribute(places: &Places<'_>, open: impl Fn(&str) -> Option<Token>) -> Option<(By, Token)> {
    let order = [
        (By::Rcpt, places.rcpt),
        (By::Envid, places.envid),
        (By::MailFrom, places.mail_from),
        (By::Header, places.header),
    ];
    order.into_iter().find_map(|(by, text)| Some((by, open(text?)?)))
}

/// What a report counts as, for a token that is `age_days` old.
#[must_use]
pub fn counts(kind: Kind, age_days: u16, before: Before) -> Counts {
    match kind {
        Kind::Other => Counts::Nothing,
        Kind::Failure if before.bounced => Counts::Repeated,
        Kind::Failure if BOUNCE_DAYS_MAX < age_days => Counts::Late,
        Kind::Failure => Counts::Bounce,
        Kind::Complaint if before.complained => Counts::Repeated,
        Kind::Complaint if COMPLAINT_DAYS_MAX < age_days => Counts::Late,
        Kind::Complaint => Counts::Complaint,
    }
}

/// How much a bounce says about the address. The server said yes first: what comes long after, or is said of another
/// address behind this one, needs a second witness.
#[must_use]
pub fn strength(said: Strength, age_days: u16, names: Names) -> Strength {
    if ASYNCHRONOUS_DAYS_MAX < age_days || names == Names::Another { Strength::Weak } else { said }
}

/// A server that cannot deliver gives up within five days in most cases (RFC 5321 §4.5.4.1); queues that stood still take
/// longer, and a month is what the slowest were seen to take.
pub const BOUNCE_DAYS_MAX: u16 = 35;
/// People tidy their mailboxes after holidays and illness; half a year is the age of the oldest complaints.
pub const COMPLAINT_DAYS_MAX: u16 = 180;
/// Until here a bounce is what the queue of the recipient's server says; later, something else happened there.
const ASYNCHRONOUS_DAYS_MAX: u16 = 5;

#[cfg(test)]
mod tests {
    use sm2tp_proto::token::Row;

    use super::*;

    fn token(row: u8) -> Token {
        Token { key: 0, day: 20_000, row: Row([row; 10]) }
    }

    /// Only texts of one digit open.
    fn open(text: &str) -> Option<Token> {
        Some(token(text.parse::<u8>().ok().filter(|row| *row < 10)?))
    }

    #[track_caller]
    fn check(texts: [&'static str; 4], want: Option<(By, u8)>) {
        let place = |text: &'static str| Some(text).filter(|text| !text.is_empty());
        let [rcpt, envid, mail_from, header] = texts.map(place);
        let found = attribute(&Places { rcpt, envid, mail_from, header }, open);
        assert_eq!(found, want.map(|(by, row)| (by, token(row))), "{texts:?}");
    }

    #[test]
    fn the_first_place_with_a_token_that_opens_decides() {
        check(["1", "2", "3", "4"], Some((By::Rcpt, 1)));
        check(["forged", "2", "3", "4"], Some((By::Envid, 2)));
        check(["", "", "3", "4"], Some((By::MailFrom, 3)));
        check(["", "sender's own", "forged", "4"], Some((By::Header, 4)));
        check(["forged", "forged", "forged", "forged"], None);
        check(["", "", "", ""], None);
    }

    #[test]
    fn a_token_counts_once_for_each_kind_and_only_while_it_is_fresh() {
        #[track_caller]
        fn check(kind: Kind, age_days: u16, before: (bool, bool), want: Counts) {
            let before = Before { bounced: before.0, complained: before.1 };
            assert_eq!(counts(kind, age_days, before), want, "{kind:?} {age_days}");
        }
        check(Kind::Failure, 0, (false, true), Counts::Bounce);
        check(Kind::Failure, 35, (false, false), Counts::Bounce);
        check(Kind::Failure, 36, (false, false), Counts::Late);
        check(Kind::Failure, 0, (true, false), Counts::Repeated);
        check(Kind::Complaint, 180, (true, false), Counts::Complaint);
        check(Kind::Complaint, 181, (true, false), Counts::Late);
        check(Kind::Complaint, 0, (false, true), Counts::Repeated);
        for age_days in [0, 36, 200] {
            check(Kind::Other, age_days, (false, false), Counts::Nothing);
        }
    }

    #[test]
    fn a_late_bounce_and_one_about_another_address_need_a_second_witness() {
        let strong = |age_days, names| strength(Strength::Strong, age_days, names) == Strength::Strong;
        assert!(strong(0, Names::ThisRecipient) && strong(5, Names::Nobody));
        assert!(!strong(6, Names::ThisRecipient) && !strong(0, Names::Another));
        assert_eq!(strength(Strength::Weak, 0, Names::ThisRecipient), Strength::Weak);
    }
}
