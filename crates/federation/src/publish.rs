//! What leaves this node: which outcomes become events, when, how often, and when a segment is sealed (§4, §5, §8).

use sm2tp_rules::outcome::{Cause, Fate, Outcome, Scope, Strength};

use crate::feed::LOGS_MANY;
use crate::header::COUNT_MAX;
use crate::record::{Class, Record, Source, wire_enhanced};
use crate::tags::Tag;

/// What is known of an event that waits to be published. Times in unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pending {
    pub event_at: u64,
    /// The last delivery to the same recipient (or domain).
    pub last_success_at: Option<u64>,
    /// The provider refused nearly everybody in the hour of the event (§8.3). Such a refusal proves nothing, and waiting
    /// does not make it truer: if the address is dead, a later refusal says so.
    pub in_strange_hour: bool,
}

/// Whether an event may leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publish {
    Now,
    /// Look again then, unix seconds.
    Wait {
        until: u64,
    },
    /// A later delivery proved it wrong, or its hour did.
    Cancelled,
}

/// How an outcome was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    pub source: Source,
    /// Unix seconds.
    pub at: u64,
    /// How many times in the hour of `at`.
    pub count: u16,
    /// The code that `rules` gives the provider; 0 for any other.
    pub provider: u8,
}

/// What was said before about one tag. Times in unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Said {
    /// The last event of this tag and class.
    pub last_at: Option<u64>,
    /// The last RETRACT of this tag.
    pub retracted_at: Option<u64>,
}

/// When a segment is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealRules {
    pub count_max: u32,
    /// After this time a segment with `busy_count` events is sealed.
    pub busy_after_s: u64,
    pub busy_count: u32,
    /// After this time any is.
    pub quiet_after_s: u64,
    /// The same where [`LOGS_MANY`] logs and more are known.
    pub quiet_among_many_s: u64,
}

/// The class under which an outcome is shared; none for most: a refused message says nothing about an address.
///
/// HARD is the address alone, surely, with a 5xx (or, where a report gives no code, an enhanced 5.x.x). DOMAIN_DEAD is
/// what the DNS says (`no-domain`, `null-mx`). SOFT is a mailbox that did not take mail until the mail was given up.
#[must_use]
pub fn class(outcome: &Outcome) -> Option<Class> {
    let enhanced = outcome.enhanced.is_some_and(|enhanced| enhanced.0 == 5);
    let permanent = outcome.code.map_or(enhanced, |code| (500..600).contains(&code));
    let dead_domain = matches!(outcome.sub.as_deref(), Some("no-domain" | "null-mx"));
    match (outcome.cause, outcome.strength) {
        (Cause::Address, Strength::Strong) if dead_domain => {
            // A server that says so may just be badly configured; it must not silence a living domain everywhere.
            outcome.code.is_none().then_some(Class::DOMAIN_DEAD)
        }
        (Cause::Address, Strength::Strong) if permanent && outcome.scope == Scope::Recipient => Some(Class::HARD),
        (Cause::Mailbox, _) if outcome.fate == Fate::Final && outcome.scope == Scope::Recipient => Some(Class::SOFT),
        _ => None,
    }
}

/// The record of an outcome. The tag is that of the address; for DOMAIN_DEAD that of its domain.
#[must_use]
pub fn record(class: Class, outcome: &Outcome, tag: Tag, seen: &Seen) -> Record {
    Record {
        smtp_code: outcome.code.unwrap_or(0),
        enhanced: wire_enhanced(outcome.enhanced),
        provider: seen.provider,
        count: seen.count,
        ..Record::about(class, seen.source, tag, seen.at)
    }
}

/// How long an event waits for a delivery that proves it wrong, in seconds.
#[must_use]
pub fn hold_down_s(class: Class) -> u64 {
    match class {
        Class::HARD | Class::DOMAIN_DEAD => HOLD_DOWN_S,
        _ => 0,
    }
}

/// Whether a pending event leaves, waits or is dropped (§4).
#[must_use]
pub fn may_publish(pending: &Pending, now: u64, hold_down_s: u64) -> Publish {
    if pending.in_strange_hour || pending.last_success_at.is_some_and(|success| pending.event_at <= success) {
        return Publish::Cancelled;
    }
    let until = pending.event_at.saturating_add(hold_down_s);
    if now < until { Publish::Wait { until } } else { Publish::Now }
}

/// Until when (unix seconds) an event would repeat one that was published lately (§4): the same tag and class at most once
/// in 24 h, HARD once in 30 days. A RETRACT since then voided what was said, so that only the 24 h are left. None where it
/// may be said now.
#[must_use]
pub fn repeats_until(class: Class, said: &Said, now: u64) -> Option<u64> {
    let last_at = said.last_at?;
    let standing = said.retracted_at.is_none_or(|retracted| retracted < last_at);
    let wait_s = if class == Class::HARD && standing { REPEAT_HARD_S } else { REPEAT_S };
    Some(last_at.saturating_add(wait_s)).filter(|until| now < *until)
}

/// Whether the open segment is to be sealed. `oldest_at` is when its first event was put in, unix seconds.
#[must_use]
pub fn should_seal(count: u32, oldest_at: u64, now: u64, rules: &SealRules) -> bool {
    let age_s = now.saturating_sub(oldest_at);
    let busy = rules.busy_count <= count && rules.busy_after_s <= age_s;
    0 < count && (rules.count_max.min(COUNT_MAX) <= count || busy || rules.quiet_after_s <= age_s)
}

impl SealRules {
    /// The rules with one configured time in the place of both.
    #[must_use]
    pub fn after(seal_after_s: u64) -> Self {
        Self {
            busy_after_s: seal_after_s,
            quiet_after_s: seal_after_s,
            quiet_among_many_s: seal_after_s,
            ..Self::default()
        }
    }

    /// The rules among so many logs. Where there are many, a header that goes to all of them costs more than what it carries;
    /// so a quiet log waits longer, and its events are everywhere within a day all the same.
    #[must_use]
    pub fn among(self, logs: usize) -> Self {
        if logs < LOGS_MANY {
            return self;
        }
        Self { quiet_after_s: self.quiet_after_s.max(self.quiet_among_many_s), ..self }
    }
}

impl Default for SealRules {
    fn default() -> Self {
        Self {
            count_max: COUNT_MAX,
            busy_after_s: 3600,
            busy_count: 64,
            quiet_after_s: 6 * 3600,
            quiet_among_many_s: 22 * 3600,
        }
    }
}

/// §4: Gmail said "no such user" for 6 h 41 min in December 2020; a day is longer than such an outage.
pub const HOLD_DOWN_S: u64 = 24 * 3600;
const REPEAT_S: u64 = 24 * 3600;
const REPEAT_HARD_S: u64 = 30 * 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;
    use sm2tp_proto::Enhanced;

    const DAY: u64 = 86_400;

    fn outcome() -> Outcome {
        Outcome {
            cause: Cause::Address,
            sub: None,
            fate: Fate::Final,
            scope: Scope::Recipient,
            strength: Strength::Strong,
            rule: "test".into(),
            provider: Some("orange".into()),
            code: Some(550),
            enhanced: Some(Enhanced(5, 1, 1)),
            retry_after_s: None,
            link: None,
        }
    }

    #[track_caller]
    fn check_class(change: impl FnOnce(&mut Outcome), want: Option<Class>) {
        let mut changed = outcome();
        change(&mut changed);
        assert_eq!(class(&changed), want, "{changed:?}");
    }

    #[test]
    fn a_quiet_log_among_many_waits_longer_and_a_busy_one_does_not() {
        #[track_caller]
        fn check(rules: SealRules, logs: usize, count: u32, hours: u64, want: bool) {
            assert_eq!(should_seal(count, 0, hours * 3600, &rules.among(logs)), want, "{logs} {count} {hours}");
        }
        let default = SealRules::default();
        check(default, 1999, 1, 6, true);
        check(default, 2000, 1, 6, false);
        check(default, 2000, 1, 21, false);
        check(default, 2000, 1, 22, true);
        check(default, 2000, 64, 1, true);
        check(SealRules::after(3600), 10_000, 1, 1, true);
        check(SealRules::after(30 * 3600), 10_000, 1, 22, false);
    }

    #[test]
    fn only_what_is_sure_about_an_address_is_shared() {
        check_class(|_| (), Some(Class::HARD));
        check_class(|o| o.strength = Strength::Weak, None);
        check_class(|o| o.code = Some(450), None);
        check_class(|o| o.code = None, Some(Class::HARD));
        check_class(|o| (o.code, o.enhanced) = (None, None), None);
        check_class(|o| o.scope = Scope::Sender, None);
        for cause in
            [Cause::Content, Cause::Ip, Cause::Auth, Cause::Rate, Cause::Policy, Cause::Network, Cause::Unknown]
        {
            check_class(|o| o.cause = cause, None);
        }
        check_class(
            |o| (o.sub, o.scope, o.code) = (Some("no-domain".into()), Scope::Domain, None),
            Some(Class::DOMAIN_DEAD),
        );
        check_class(
            |o| (o.sub, o.scope, o.code) = (Some("null-mx".into()), Scope::Domain, None),
            Some(Class::DOMAIN_DEAD),
        );
        // The same said by a server is its word, not that of the DNS.
        check_class(|o| (o.sub, o.scope) = (Some("null-mx".into()), Scope::Domain), None);
        check_class(|o| o.sub = Some("no-domain".into()), None);
        check_class(|o| o.cause = Cause::Mailbox, Some(Class::SOFT));
        check_class(|o| (o.cause, o.fate) = (Cause::Mailbox, Fate::Later), None);
    }

    #[test]
    fn a_record_says_what_the_server_said_and_nothing_more() {
        let seen = Seen { source: Source(1), at: 7205, count: 2, provider: 5 };
        let record = record(Class::HARD, &outcome(), Tag([7; 16]), &seen);
        assert_eq!((record.smtp_code, record.enhanced, record.hour, record.count), (550, (5, 1, 1), 2, 2));
        assert_eq!((record.provider, record.tag()), (5, Some(Tag([7; 16]))));
    }

    #[test]
    fn a_hard_event_waits_a_day_for_a_delivery() {
        let pending = Pending { event_at: 1000, ..Pending::default() };
        let check = |pending, now, want| assert_eq!(may_publish(&pending, now, hold_down_s(Class::HARD)), want);
        check(pending, 1000, Publish::Wait { until: 1000 + DAY });
        check(pending, 1000 + DAY, Publish::Now);
        check(Pending { last_success_at: Some(999), ..pending }, 1000 + DAY, Publish::Now);
        check(Pending { last_success_at: Some(1000), ..pending }, 1000 + DAY, Publish::Cancelled);
        check(Pending { in_strange_hour: true, ..pending }, 1000 + 9 * DAY, Publish::Cancelled);
        assert_eq!(may_publish(&pending, 1000, hold_down_s(Class::SOFT)), Publish::Now);
    }

    #[test]
    fn the_same_is_not_said_twice_a_day() {
        let check = |class, last, retracted, want| {
            let said = Said { last_at: last, retracted_at: retracted };
            assert_eq!(repeats_until(class, &said, 100 * DAY).is_some(), want, "{class} {said:?}");
        };
        check(Class::HARD, None, None, false);
        check(Class::HARD, Some(70 * DAY), None, false);
        check(Class::HARD, Some(70 * DAY + 1), None, true);
        check(Class::HARD, Some(80 * DAY), Some(81 * DAY), false);
        check(Class::HARD, Some(80 * DAY), Some(79 * DAY), true);
        check(Class::HARD, Some(99 * DAY + 1), Some(99 * DAY + 2), true);
        check(Class::SOFT, Some(99 * DAY), None, false);
        check(Class::SOFT, Some(99 * DAY + 1), None, true);
    }

    #[test]
    fn a_segment_is_sealed_when_it_is_full_or_old() {
        let check = |count, age_s: u64, rules: SealRules, want| {
            assert_eq!(should_seal(count, 1000, 1000 + age_s, &rules), want, "{count} {age_s}");
        };
        let rules = SealRules::default();
        check(0, 1_000_000, rules, false);
        check(4096, 0, rules, true);
        check(63, 3600, rules, false);
        check(64, 3599, rules, false);
        check(64, 3600, rules, true);
        check(1, 6 * 3600, rules, true);
        check(1, 5, SealRules::after(5), true);
        check(4000, 4, SealRules::after(5), false);
        assert!(!should_seal(1, 2000, 1000, &rules), "a clock that went back seals nothing");
    }
}
