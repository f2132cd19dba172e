//! What is believed of a list of another program that a person gives to this node (`sm2tp suppress import`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sm2tp_proto::lists::Format;
use sm2tp_proto::{Enhanced, date};
use thiserror::Error;

use crate::evidence::DAY_S;
use crate::outcome::{Stream, Streams, Strength};
use crate::suppress::{Limits, Recipient};

/// A list, and when it was given. Written as `imported from ses on 2026-11-26`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Imported {
    pub from: Format,
    /// Days since 1970-01-01.
    pub day: u16,
}

/// A text that names no import.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotImported;

/// What a list says of an address, in our words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Claim {
    /// Mail came back for good. Evidence like that of this node, for all its organisations.
    Bounce { strength: Strength, inactive: bool, code: u16, enhanced: Option<Enhanced> },
    /// The person complained about mail of the organisation.
    Complaint,
    /// The person does not want mail of the organisation.
    Unsubscribed,
    /// Somebody put it on the list, for all mail or for a kind of it.
    Listed { stream: Option<Stream> },
}

/// What becomes of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is kept, with this date (unix seconds).
    Take {
        at: u64,
    },
    /// The same, or something newer, is known.
    Known,
    Leave(Left),
}

/// Why an entry is left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, Error)]
#[serde(rename_all = "kebab-case")]
pub enum Left {
    #[error("a complaint or an unsubscription is about one organisation: import it with --org")]
    NoOrg,
    #[error("its organisation does not exist here")]
    UnknownOrg,
    #[error("mail was delivered to it, later than that as far as the list tells")]
    DeliveredSince,
    #[error("on the allow list of this node")]
    Allowed,
    #[error("its date lies in the future")]
    Future,
    #[error("so old that it has expired")]
    Expired,
    #[error("a tag under a key that this node does not have")]
    ForeignKey,
    #[error("the address has no normal form")]
    NoNormalForm,
}

/// Decides about one entry, with what is known of its address. `at` is its date (unix seconds), none where the list has none:
/// then the day of the import counts, because nobody knows better.
#[must_use]
pub fn decide(
    claim: &Claim,
    at: Option<u64>,
    org: Option<&str>,
    known: &Recipient,
    limits: &Limits,
    now: u64,
) -> Verdict {
    // Zones and clocks differ by hours, not by days.
    if at.is_some_and(|at| now.saturating_add(DAY_S) < at) {
        return Verdict::Leave(Left::Future);
    }
    // A person allowed it here; a list that was written elsewhere does not know that.
    let lists = if org.is_some() { known.org } else { known.node };
    if known.node.allowed == Streams::ALL || lists.allowed == Streams::ALL {
        return Verdict::Leave(Left::Allowed);
    }
    let at = at.map(|at| at.min(now));
    match claim {
        Claim::Bounce { inactive, .. } => bounce(*inactive, at, known, limits, now),
        Claim::Complaint | Claim::Unsubscribed if org.is_none() => Verdict::Leave(Left::NoOrg),
        Claim::Complaint | Claim::Unsubscribed if known.opted_out => Verdict::Known,
        Claim::Listed { stream } if Streams::of(*stream).without(lists.suppressed).is_empty() => Verdict::Known,
        Claim::Complaint | Claim::Unsubscribed | Claim::Listed { .. } => Verdict::Take { at: at.unwrap_or(now) },
    }
}

/// Without a date, whatever this node knows is taken as newer: a list that is imported again must not make its evidence young
/// again.
fn bounce(inactive: bool, at: Option<u64>, known: &Recipient, limits: &Limits, now: u64) -> Verdict {
    let life_s = if inactive { limits.inactive_recheck_s } else { limits.hard_expiry_s };
    let is_after = |own: u64| own != 0 && at.is_none_or(|at| at <= own);
    let at = at.unwrap_or(now);
    if is_after(known.own.hard_at) {
        Verdict::Known
    } else if is_after(known.own.delivered_at) {
        Verdict::Leave(Left::DeliveredSince)
    } else if at.saturating_add(life_s) <= now {
        Verdict::Leave(Left::Expired)
    } else {
        Verdict::Take { at }
    }
}

impl Imported {
    /// A list that is given at `now` (unix seconds).
    #[must_use]
    pub fn at(from: Format, now: u64) -> Self {
        Self { from, day: u16::try_from(now / DAY_S).unwrap_or(u16::MAX) }
    }
}

impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "imported from {} on {}", self.from, date::iso(self.day.into()))
    }
}

impl FromStr for Imported {
    type Err = NotImported;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = text.strip_prefix("imported from ").ok_or(NotImported)?;
        let (from, on) = rest.split_once(" on ").ok_or(NotImported)?;
        let mut parts = on.split('-').map(|part| part.parse().ok());
        let mut next = || parts.next().flatten().ok_or(NotImported);
        let day = date::day(next()?, next()?, next()?).ok_or(NotImported)?;
        let from = from.parse().map_err(|_| NotImported)?;
        Ok(Self { from, day: u16::try_from(day).map_err(|_| NotImported)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evidence::Evidence;
    use crate::suppress::Lists;

    const NOW: u64 = 1_795_694_400;
    const GONE: Claim =
        Claim::Bounce { strength: Strength::Strong, inactive: false, code: 550, enhanced: Some(Enhanced(5, 1, 1)) };
    const OFF: Claim = Claim::Bounce { strength: Strength::Strong, inactive: true, code: 0, enhanced: None };

    fn days(ago: u64) -> Option<u64> {
        Some(NOW - ago * DAY_S)
    }

    #[track_caller]
    fn check(claim: &Claim, at: Option<u64>, org: Option<&str>, known: &Recipient, want: Verdict) {
        assert_eq!(decide(claim, at, org, known, &Limits::default(), NOW), want);
    }

    #[test]
    fn an_import_is_written_in_words_and_read_back() {
        for from in Format::ALL {
            let imported = Imported::at(from, NOW);
            assert_eq!(imported.to_string().parse(), Ok(imported));
        }
        assert_eq!(Imported::at(Format::Ses, NOW).to_string(), "imported from ses on 2026-11-26");
        for other in ["", "gmail-no-user", "imported from nobody on 2026-11-26", "imported from ses on 2026-13-26"] {
            assert_eq!(other.parse::<Imported>(), Err(NotImported), "{other}");
        }
    }

    #[test]
    fn a_bounce_counts_by_its_own_date_and_only_against_what_is_older() {
        let nobody = Recipient::default();
        check(&GONE, None, None, &nobody, Verdict::Take { at: NOW });
        check(&GONE, days(399), None, &nobody, Verdict::Take { at: NOW - 399 * DAY_S });
        check(&GONE, days(400), None, &nobody, Verdict::Leave(Left::Expired));
        check(&OFF, days(90), None, &nobody, Verdict::Leave(Left::Expired));
        check(&GONE, Some(NOW + DAY_S), None, &nobody, Verdict::Take { at: NOW });
        check(&GONE, Some(NOW + DAY_S + 1), None, &nobody, Verdict::Leave(Left::Future));
        let own = |evidence| Recipient { own: evidence, ..Recipient::default() };
        let delivered = own(Evidence { delivered_at: NOW - 10 * DAY_S, ..Evidence::default() });
        check(&GONE, days(10), None, &delivered, Verdict::Leave(Left::DeliveredSince));
        check(&GONE, days(9), None, &delivered, Verdict::Take { at: NOW - 9 * DAY_S });
        check(&GONE, None, None, &delivered, Verdict::Leave(Left::DeliveredSince));
        let refused = own(Evidence { hard_at: NOW - 10 * DAY_S, ..Evidence::default() });
        check(&GONE, days(10), None, &refused, Verdict::Known);
        check(&GONE, days(9), None, &refused, Verdict::Take { at: NOW - 9 * DAY_S });
        check(&GONE, None, None, &refused, Verdict::Known);
    }

    #[test]
    fn a_complaint_is_about_one_organisation_and_never_expires() {
        let nobody = Recipient::default();
        for claim in [Claim::Complaint, Claim::Unsubscribed] {
            check(&claim, days(9000), Some("asso"), &nobody, Verdict::Take { at: NOW - 9000 * DAY_S });
            check(&claim, None, None, &nobody, Verdict::Leave(Left::NoOrg));
            let gone = Recipient { opted_out: true, ..Recipient::default() };
            check(&claim, None, Some("asso"), &gone, Verdict::Known);
        }
        let (all, bulk) = (Claim::Listed { stream: None }, Claim::Listed { stream: Some(Stream::Bulk) });
        let listed = |suppressed| Recipient { node: Lists { suppressed, ..Lists::default() }, ..Recipient::default() };
        check(&all, None, None, &nobody, Verdict::Take { at: NOW });
        check(&all, None, None, &listed(Streams::ALL), Verdict::Known);
        check(&bulk, None, None, &listed(Streams::ALL), Verdict::Known);
        check(&all, None, None, &listed(Streams::one(Stream::Bulk)), Verdict::Take { at: NOW });
        check(&bulk, None, None, &listed(Streams::one(Stream::Bulk)), Verdict::Known);
        // The list of the node is not that of the organisation.
        check(&all, None, Some("asso"), &listed(Streams::ALL), Verdict::Take { at: NOW });
    }

    #[test]
    fn no_list_overrules_the_allow_list() {
        let lists = Lists { allowed: Streams::ALL, ..Lists::default() };
        let allowed = Recipient { node: lists, ..Recipient::default() };
        for claim in [GONE, Claim::Complaint, Claim::Listed { stream: None }] {
            check(&claim, None, Some("asso"), &allowed, Verdict::Leave(Left::Allowed));
        }
    }
}
