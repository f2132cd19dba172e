//! The watch as a whole: who is stopped and when, and that nothing upsets it.

use super::*;
use crate::places::{Country, Place, Places};

const T0: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

/// A mail to one recipient.
pub(super) fn attempt(at: u64, recipient: u64) -> Attempt {
    let recipient = (recipient + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Attempt { at, recipient, named: 0, client: None, place: None, stream: Stream::Personal, suppressed: false }
}

fn answer(at: u64, told: Told) -> Answer {
    Answer { at, told }
}

/// Somebody who wrote to the same twelve people for two months, by day and from one network.
fn person() -> (Watch, Limits, u64) {
    let (mut watch, limits) = (Watch::new(Stream::Personal, T0), Limits::default());
    for n in 0..60 * 12_u64 {
        let at = T0 + n / 12 * DAY + 8 * 3600 + n % 12 * 2400;
        let fact = Attempt { client: Some([192, 0, 2, 1].into()), ..attempt(at, n % 12) };
        assert_eq!(watch.attempt(&fact, Level::Normal, &limits, at), Level::Normal);
        watch.answered(&answer(at, Told::Delivered), Level::Normal, &limits, at);
    }
    (watch, limits, T0 + 60 * DAY + 10 * 3600)
}

/// Sends one mail every `every_s` until the level is reached, and says how many it took.
fn until(watch: &mut Watch, limits: &Limits, level: Level, every_s: u64, fact: impl Fn(u64) -> Attempt) -> u64 {
    let start = fact(0).at;
    (0..5000)
        .find(|n| level <= watch.attempt(&fact(*n), Level::Normal, limits, start + n * every_s))
        .map_or(5000, |n| n + 1)
}

#[test]
fn a_stolen_mailbox_is_slowed_and_then_blocked_and_stays_so() {
    let (mut watch, limits, now) = person();
    let spam = |n: u64| attempt(now + n, 1000 + n);
    assert_eq!(until(&mut watch, &limits, Level::Slow, 1, spam), 71);
    assert_eq!(until(&mut watch, &limits, Level::Blocked, 1, |n| spam(n + 71)), 50);
    let signs: Vec<_> = watch.reasons().iter().map(|reason| (reason.sign, reason.level)).collect();
    assert!(signs.contains(&(Sign::New, Level::Blocked)), "{signs:?}");
    assert_eq!(watch.level(Level::Normal, &limits, now + 90 * DAY), Level::Blocked, "it waits for a person");
}

#[test]
fn a_strange_network_and_a_strange_hour_each_need_fewer_mails() {
    let (watch, limits, now) = person();
    let elsewhere = |n: u64| Attempt { client: Some([203, 0, 113, 1].into()), ..attempt(now + n, n % 12) };
    assert_eq!(until(&mut watch.clone(), &limits, Level::Slow, 1, elsewhere), 31);
    let night = now - 10 * 3600 + 3 * 3600 + DAY;
    assert_eq!(until(&mut watch.clone(), &limits, Level::Slow, 1, |n| attempt(night + n, n % 12)), 31);
    let everywhere = |n: u64| Attempt { client: Some([n as u8 + 1, 1, 1, 1].into()), ..attempt(now + n, n % 12) };
    assert_eq!(until(&mut watch.clone(), &limits, Level::Slow, 1, everywhere), 6);
}

#[test]
fn shares_count_once_they_cannot_be_chance() {
    #[track_caller]
    fn check(told: Told, every: u64, want: std::ops::Range<u64>) {
        let (mut watch, limits, now) = person();
        let found = (0..2000).find(|n| {
            watch.attempt(&attempt(now, n % 12), Level::Normal, &limits, now);
            let told = if n.is_multiple_of(every) { told } else { Told::Delivered };
            watch.answered(&answer(now, told), Level::Normal, &limits, now) != Level::Normal
        });
        let found = found.unwrap_or(2000);
        assert!(want.contains(&found), "{told:?}: {found}");
    }
    check(Told::Unknown, 5, 40..70);
    check(Told::Unknown, 50, 120..130);
    check(Told::Refused, 3, 20..40);
    check(Told::Other, 1, 120..130);
}

#[test]
fn more_than_half_a_reason_of_each_kind_is_one() {
    let (mut watch, limits, now) = person();
    let spam = |n: u64| Attempt { suppressed: n.is_multiple_of(8), ..attempt(now + n, 1000 + n) };
    assert_eq!(until(&mut watch.clone(), &limits, Level::Slow, 1, |n| attempt(now + n, 1000 + n)), 71);
    assert_eq!(until(&mut watch, &limits, Level::Slow, 1, spam), 43);
    let reasons: Vec<_> = watch.reasons().iter().map(|reason| (reason.sign, reason.limit, reason.level)).collect();
    assert!(reasons.contains(&(Sign::New, 42, Level::Slow)), "{reasons:?}");
    assert!(reasons.contains(&(Sign::Suppressed, 30, Level::Slow)), "{reasons:?}");
}

#[test]
fn a_shop_that_opens_is_slowed_sooner_and_blocked_no_sooner() {
    let (mut watch, limits) = (Watch::new(Stream::Transactional, T0), Limits::default());
    let order = |n: u64| Attempt { stream: Stream::Transactional, ..attempt(T0 + n * 400, n) };
    assert_eq!(until(&mut watch, &limits, Level::Slow, 400, order), 113);
    let more = |n: u64| order(n + 113);
    assert_eq!(until(&mut watch, &limits, Level::Blocked, 400, more), 5000, "as many each day as its first");
}

#[test]
fn an_announced_campaign_is_not_punished_and_a_bought_list_is() {
    let (watch, limits, now) = person();
    let mut announced = watch.clone();
    announced.announce(2000, now + 3600, "");
    let mail = |n: u64| Attempt { stream: Stream::Bulk, ..attempt(now + n, 5000 + n) };
    assert_eq!(until(&mut announced, &limits, Level::Slow, 1, mail), 2051, "what was announced and what is in order");
    let mut bought = watch;
    bought.announce(2000, now + 3600, "");
    let mail = |n: u64| Attempt { suppressed: n.is_multiple_of(6), ..mail(n) };
    assert!(until(&mut bought, &limits, Level::Slow, 1, mail) < 120);
}

#[test]
fn who_is_learned_from_is_judged_by_its_recipients_and_by_numbers_when_it_is_known() {
    let (watch, limits, now) = person();
    let learning = Limits { learn_s: 70 * DAY, ..limits };
    let spam = |n: u64| attempt(now + n, 1000 + n);
    assert_eq!(until(&mut watch.clone(), &learning, Level::Slow, 1, spam), 5000);
    let dead = |n: u64| Attempt { suppressed: n.is_multiple_of(6), ..spam(n) };
    assert!(until(&mut watch.clone(), &learning, Level::Blocked, 1, dead) < 200);
    let later = now + 20 * DAY;
    assert_eq!(until(&mut watch.clone(), &learning, Level::Slow, 1, |n| attempt(later + n, 1000 + n)), 71);
}

#[test]
fn the_slow_lane_ends_by_itself_after_a_calm_while_and_not_before() {
    let (mut watch, limits, now) = person();
    assert_eq!(until(&mut watch, &limits, Level::Slow, 1, |n| attempt(now + n, 1000 + n)), 71);
    for hours in 1..24 {
        let at = now + hours * 3600;
        let level = watch.level(Level::Normal, &limits, at);
        assert_eq!(level, if hours < 7 { Level::Slow } else { Level::Normal }, "{hours}");
    }
    assert!(watch.reasons().is_empty());
}

#[test]
fn a_person_may_say_that_it_was_normal_and_the_same_again_passes() {
    let (mut watch, limits, now) = person();
    let party = |at: u64| move |n: u64| attempt(at + n, at + n);
    assert_eq!(until(&mut watch, &limits, Level::Blocked, 1, party(now)), 121);
    let mut mended = watch.clone();
    mended.release(Release::Mended, "password changed", now + 100);
    assert_eq!(until(&mut mended, &limits, Level::Slow, 1, party(now + DAY)), 71);
    watch.release(Release::WasNormal, "", now + 100);
    assert_eq!(watch.level(Level::Normal, &limits, now + 100), Level::Normal);
    assert!(300 < until(&mut watch, &limits, Level::Slow, 1, party(now + DAY)));
    let last = mended.shown(&limits, &Places::default()).changes;
    assert!(last.iter().any(|change| change.by == By::Person && change.note == "password changed"));
}

#[test]
fn a_persons_decision_stays_until_a_person_takes_it_back() {
    let (mut watch, limits, now) = person();
    watch.set(Level::Slow, "asked by the owner", now);
    assert_eq!(watch.level(Level::Normal, &limits, now + 30 * DAY), Level::Slow);
    watch.set(Level::Blocked, "é".repeat(400).as_str(), now);
    assert_eq!(watch.attempt(&attempt(now, 1), Level::Normal, &limits, now), Level::Blocked);
    let shown = watch.shown(&limits, &Places::default());
    assert_eq!((shown.turned_away, shown.changes.last().map(|change| change.note.len())), (1, Some(NOTE_MAX)));
}

#[test]
fn where_nobody_is_stopped_a_block_ends_by_itself_and_is_forgiven_on_the_day_when_it_would_stop() {
    let (mut watch, limits, now) = person();
    let only_shown = Limits { blocks_end: BlocksEnd::Calm, ..limits.clone() };
    assert_eq!(until(&mut watch, &only_shown, Level::Blocked, 1, |n| attempt(now + n, 1000 + n)), 121);
    let mut forgiven = watch.clone();
    for hours in [1, 30] {
        let at = now + hours * 3600;
        let want = if hours == 1 { Level::Blocked } else { Level::Normal };
        assert_eq!(watch.level(Level::Normal, &only_shown, at), want, "{hours} h");
    }
    forgiven.forgive(now + 200);
    assert_eq!(forgiven.standing(&limits, now + 200), Standing::Normal);
    assert_eq!(until(&mut forgiven, &limits, Level::Slow, 1, |n| attempt(now + 300 + n, 2000 + n)), 71);
    // A person's decision is none of the watch's.
    forgiven.set(Level::Blocked, "", now + 1000);
    forgiven.forgive(now + 1001);
    assert_eq!(forgiven.standing(&limits, now + 1001), Standing::Blocked(Patience::TryAgain));
    assert_eq!(forgiven.standing(&limits, now + 1000 + limits.give_up_after_s), Standing::Blocked(Patience::GiveUp));
}

#[test]
fn newcomers_have_less_and_grow_out_of_it() {
    let limits = Limits::default();
    let mut new = Watch::new(Stream::Personal, T0);
    assert_eq!(until(&mut new, &limits, Level::Slow, 1, |n| attempt(T0 + n, n)), 53);
    let (watch, _, now) = person();
    assert!(!watch.shown(&limits, &Places::default()).newcomer && new.shown(&limits, &Places::default()).newcomer);
    let mut back = watch.clone();
    back.level(Level::Normal, &limits, 0);
    back.attempt(&attempt(0, 1), Level::Normal, &limits, 0);
    assert!(!back.shown(&limits, &Places::default()).newcomer, "a clock that starts in 1970");
    back.attempt(&attempt(now, 1), Level::Normal, &limits, now);
    assert_eq!(back.stood().0, Level::Normal);
}

/// Numbers that look random and are not.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (mixed ^ (mixed >> 27)) % end
    }
}

const TOLD: [Told; 5] = [Told::Delivered, Told::Unknown, Told::Refused, Told::Other, Told::Complaint];

/// Does anything that can be done, with times from anywhere.
fn anything(org: &mut Org, dice: &mut Dice, now: &mut u64, limits: &Limits) {
    *now = match dice.below(40) {
        0 => now.saturating_sub(DAY),
        1 => now.saturating_add(DAY),
        2 => [0, u64::MAX, T0][dice.below(3) as usize],
        _ => now.saturating_add(dice.below(200)),
    };
    let at = [*now, now.saturating_sub(dice.below(100_000)), u64::MAX, 0][dice.below(4) as usize];
    let sender = format!("s{}", dice.below(4));
    match dice.below(12) {
        0..6 => {
            let client = (dice.below(3) == 0).then(|| IpAddr::from((dice.below(1 << 32) as u32).to_be_bytes()));
            let stream = Stream::ALL[dice.below(4) as usize];
            let (recipient, named) = (dice.below(u64::MAX), dice.below(100) as u32);
            let country = Country::parse(["FR", "de", "None"][dice.below(3) as usize]);
            let place = (dice.below(3) == 0).then(|| Place { asn: dice.below(9) as u32 + 1, country });
            let fact = Attempt { at, recipient, named, client, place, stream, suppressed: dice.below(8) == 0 };
            org.attempt(&sender, &fact, limits, *now);
        }
        6..10 => {
            org.answered(&sender, &answer(at, TOLD[dice.below(5) as usize]), limits, *now);
        }
        10 => {
            org.level(&sender, limits, *now);
        }
        _ => {
            let what = dice.below(4);
            let Some(watch) = org.known_mut(&sender) else { return };
            match what {
                0 => watch.release(Release::Mended, "", *now),
                1 => watch.release(Release::WasNormal, "", *now),
                2 => watch.announce(dice.below(1 << 32) as u32, at, "note"),
                _ => watch.set(Level::ALL[dice.below(3) as usize], "note", *now),
            }
        }
    }
}

#[test]
fn nothing_upsets_it_the_same_gives_the_same_and_it_survives_being_written_down() {
    for seed in 0..12 {
        let run = || {
            let (mut org, mut dice, mut now) = (Org::new(T0), Dice(seed), T0);
            for n in 0..1500_u64 {
                anything(&mut org, &mut dice, &mut now, &Limits::default());
                if n.is_multiple_of(300) {
                    for watch in org.senders.values().chain([&org.whole]) {
                        assert_eq!(Watch::from_bytes(&watch.to_bytes()).as_ref(), Ok(watch), "seed {seed}");
                    }
                }
            }
            org
        };
        assert_eq!(run(), run(), "seed {seed}");
    }
}

#[test]
fn a_memory_of_before_there_were_companies_is_read() {
    let (watch, _, _) = person();
    // It ends with its one network: after kind and prefix there was no number and no country.
    let mut bytes = watch.to_bytes();
    let behind = bytes.len() - 16;
    bytes.drain(behind - 6..behind);
    bytes[0] = 1;
    assert_eq!(Watch::from_bytes(&bytes), Ok(watch));
}

#[test]
fn damaged_memories_are_refused_or_harmless() {
    let (watch, limits, now) = person();
    let bytes = watch.to_bytes();
    assert!(bytes.len() < 4096, "{}", bytes.len());
    assert_eq!(Watch::from_bytes(&[9, 0]), Err(SavedError::Version(9)));
    for end in [0, 1, 5, 100, bytes.len() - 1] {
        assert_eq!(Watch::from_bytes(&bytes[..end]), Err(SavedError::Damaged));
    }
    let mut dice = Dice(7);
    for _ in 0..1000 {
        let mut bad = bytes.clone();
        let at = dice.below(bad.len() as u64) as usize;
        bad[at] = dice.below(256) as u8;
        if let Ok(mut watch) = Watch::from_bytes(&bad) {
            for n in 0..3 {
                watch.attempt(&attempt(now, n), Level::Normal, &limits, now + n);
                watch.answered(&answer(now, Told::Unknown), Level::Normal, &limits, now);
            }
            let _ = watch.shown(&limits, &Places::default());
        }
    }
}

#[test]
fn worse_never_stands_better() {
    let (watch, limits, now) = person();
    for seed in 0..60 {
        let (mut dice, mut good) = (Dice(seed), watch.clone());
        let mut bad = good.clone();
        for n in 0..150 {
            let at = now + n * dice.below(60);
            let is_worse = dice.below(3) == 0;
            let fact = attempt(at, if dice.below(2) == 0 { n % 12 } else { 500 + n });
            let worse = Attempt { recipient: fact.recipient ^ 0xABCD_EF01, suppressed: is_worse, ..fact };
            let _ = good.attempt(&fact, Level::Normal, &limits, at);
            let _ = bad.attempt(if is_worse { &worse } else { &fact }, Level::Normal, &limits, at);
            let told = if dice.below(12) == 0 { Told::Unknown } else { Told::Delivered };
            let _ = good.answered(&answer(at, told), Level::Normal, &limits, at);
            let _ = bad.answered(&answer(at, if is_worse { Told::Unknown } else { told }), Level::Normal, &limits, at);
            assert!(good.stood().0 <= bad.stood().0, "seed {seed}, mail {n}");
        }
    }
}

#[test]
fn more_answers_than_mails_are_no_share_above_all() {
    let (mut watch, limits, now) = person();
    for _ in 0..100_000 {
        watch.answered(&answer(now, Told::Unknown), Level::Normal, &limits, now);
        watch.answered(&answer(u64::MAX, Told::Complaint), Level::Normal, &limits, now);
    }
    assert_eq!(watch.stood().0, Level::Blocked);
    assert!(watch.reasons().iter().all(|reason| reason.count <= reason.of), "{:?}", watch.reasons());
}
