//! The queue, tried with invented mail and invented time.

use sm2tp_proto::Address;
use sm2tp_rules::sites::SiteLimits;
use sm2tp_store::spool::Mail;

use super::*;
use crate::route::{FoundBy, MxHost, Site};

fn mail(id: u64, org: &str, stream: Stream, recipients: &[&str]) -> Queued {
    let mail = Mail {
        id,
        org: org.into(),
        login: None,
        stream,
        mail_from: None,
        message_id: None,
        received_at: 0,
        octets: 1,
        is_report: false,
        options: sm2tp_proto::smtp::MailOptions::default(),
    };
    let recipient = |(index, text): (u32, &&str)| Recipient {
        index,
        address: Address::parse(text).unwrap(),
        lane: Lane::Normal,
        attempts: 0,
        next_at: 0,
        note: None,
        options: sm2tp_proto::smtp::RcptOptions::default(),
        delay_told: false,
    };
    Queued { mail: Arc::new(mail), recipients: (0..).zip(recipients).map(recipient).collect() }
}

fn stub(mail: u64, next_at: u64) -> Stub {
    Stub {
        mail,
        index: 0,
        org: "a".into(),
        stream: Stream::Personal,
        domain: Domain::parse("x.example").unwrap(),
        lane: Lane::Normal,
        next_at,
        octets: 1,
        slow: None,
        tls_waived: false,
    }
}

fn site_with(host: &str, limits: SiteLimits) -> Arc<Site> {
    let host = MxHost { name: host.into(), rank: 10, sts: sm2tp_rules::tls::Sts::Absent };
    Arc::new(Site { limits, ..Site::found(vec![host], 25, FoundBy::Dns) })
}

fn connections(connections_max: usize) -> SiteLimits {
    SiteLimits { connections_max, ..SiteLimits::default() }
}

/// A queue, the one site that serves every domain, and the time.
struct Place {
    queue: Queue,
    site: Arc<Site>,
    now: u64,
}

impl Place {
    fn new(connections_max: usize, limits: SiteLimits) -> Self {
        Self { queue: Queue::new(connections_max), site: site_with("mx.example", limits), now: 0 }
    }

    /// Answers every question of the queue; gives the number of connections it wants.
    fn locate(&mut self, todo: Vec<Todo>) -> usize {
        let mut connects = 0;
        for todo in todo {
            match todo {
                Todo::Locate(domain) => {
                    let more = self.queue.located(&domain, |_, _| self.site.clone(), self.now);
                    connects += self.locate(more);
                }
                Todo::Connect(_) => connects += 1,
                Todo::GiveBack(tickets) => panic!("{tickets:?}"),
            }
        }
        connects
    }

    fn add(&mut self, queued: Queued) -> usize {
        let todo = self.queue.add(queued, None, self.now);
        self.locate(todo)
    }

    fn next(&mut self) -> Option<Ticket> {
        self.queue.next(&self.site.key.clone(), self.now)
    }

    fn order(&mut self) -> Vec<u64> {
        std::iter::from_fn(|| self.next()).map(|ticket| ticket.mail).collect()
    }
}

fn sizes(place: &mut Place) -> Vec<usize> {
    let mut sizes: Vec<usize> =
        std::iter::from_fn(|| place.next()).map(|ticket| ticket.job().unwrap().recipients.len()).collect();
    sizes.sort_unstable();
    sizes
}

#[test]
fn recipients_of_one_domain_go_together_up_to_what_the_site_takes() {
    let many: Vec<String> = (0..150).map(|n| format!("u{n}@x.example")).collect();
    let mut all: Vec<&str> = many.iter().map(String::as_str).collect();
    all.push("a@y.example");
    let mut place = Place::new(10, SiteLimits::default());
    place.add(mail(1, "a", Stream::Bulk, &all));
    assert_eq!(sizes(&mut place), [1, 50, 100]);
    let mut place = Place::new(10, SiteLimits { recipients_max: 60, ..SiteLimits::default() });
    place.add(mail(1, "a", Stream::Bulk, &all));
    assert_eq!(sizes(&mut place), [1, 30, 60, 60]);
}

#[test]
fn a_letter_overtakes_every_newsletter_and_orgs_take_turns() {
    let mut place = Place::new(10, SiteLimits::default());
    (1..=4).for_each(|id| _ = place.add(mail(id, "big", Stream::Bulk, &["a@x.example"])));
    (11..=12).for_each(|id| _ = place.add(mail(id, "small", Stream::Bulk, &["b@x.example"])));
    place.add(mail(21, "big", Stream::Personal, &["c@x.example"]));
    assert_eq!(place.order(), [21, 1, 11, 2, 12, 3, 4]);
}

#[test]
fn an_org_that_sends_large_mails_gets_as_many_octets_as_one_that_sends_small_ones() {
    let mut place = Place::new(10, SiteLimits::default());
    let large = |id| {
        let mut queued = mail(id, "large", Stream::Bulk, &["a@x.example"]);
        Arc::get_mut(&mut queued.mail).unwrap().octets = 256 * 1024;
        queued
    };
    (1..=3).for_each(|id| _ = place.add(large(id)));
    (11..=30).for_each(|id| _ = place.add(mail(id, "small", Stream::Bulk, &["b@x.example"])));
    let order = place.order();
    let small_before_last_large = order.iter().position(|id| *id == 3).unwrap() - 2;
    assert!((8..=12).contains(&small_before_last_large), "{order:?}");
    assert_eq!(order.len(), 23);
}

#[test]
fn few_mails_open_few_connections_and_many_no_more_than_allowed() {
    let mut place = Place::new(10, connections(3));
    assert_eq!(place.add(mail(1, "a", Stream::Personal, &["a@x.example"])), 1);
    let more: usize = (2..20).map(|id| place.add(mail(id, "a", Stream::Personal, &["a@y.example"]))).sum();
    assert_eq!((more, place.queue.connections(&place.site.key)), (2, 3));
}

#[test]
fn all_connections_together_are_bounded_and_a_free_one_serves_who_waits() {
    let mut place = Place::new(1, connections(4));
    assert_eq!(place.add(mail(1, "a", Stream::Personal, &["a@x.example"])), 1);
    place.add(mail(3, "a", Stream::Personal, &["b@x.example"]));
    let other = site_with("other.example", connections(4));
    let todo = place.queue.add(mail(2, "a", Stream::Personal, &["a@y.example"]), None, 0);
    assert!(matches!(todo[..], [Todo::Locate(_)]));
    assert!(place.queue.located(&Domain::parse("y.example").unwrap(), |_, _| other.clone(), 0).is_empty());
    assert_eq!(place.next().map(|ticket| ticket.mail), Some(1));
    // The site that had the connection has more mail, and waits for its turn all the same.
    let todo = place.queue.closed(&place.site.key, 0);
    assert!(matches!(&todo[..], [Todo::Connect(site)] if site.key == other.key), "{todo:?}");
}

#[test]
fn a_dead_site_gives_everything_back_and_is_asked_again_after_a_pause() {
    let mut place = Place::new(10, connections(1));
    (1..=3).for_each(|id| _ = place.add(mail(id, "a", Stream::Personal, &["a@x.example"])));
    let first = place.next().unwrap().job().unwrap();
    let key = place.site.key.clone();
    assert_eq!(place.queue.unreachable(&key, 0).len(), 2);
    assert!(place.queue.closed(&key, 0).is_empty());
    let again = Queued { mail: first.mail, recipients: first.recipients };
    assert_eq!(place.add(again), 0);
    assert_eq!(place.queue.next_at(), Some(1));
    assert!(matches!(place.queue.tick(1)[..], [Todo::Connect(_)]));
}

#[test]
fn dead_sites_without_end_are_forgotten_and_those_in_use_are_not() {
    let mut place = Place::new(100_000, connections(1));
    let used = place.site.clone();
    place.add(mail(1, "a", Stream::Personal, &["a@x.example"]));
    for second in [0, 1] {
        for n in 0..12_000 {
            place.now = n * second;
            place.site = site_with(&format!("mx{n}.dead.example"), connections(1));
            place.add(mail(n + 2, "a", Stream::Personal, &[&format!("a@d{n}.example")]));
            let key = place.site.key.clone();
            place.queue.unreachable(&key, place.now);
            place.queue.closed(&key, place.now);
            assert!(place.queue.sites.len() <= SITES_KEPT + 1, "{n}");
        }
        assert!(place.queue.sites.contains_key(&place.site.key), "what was just found is remembered");
    }
    assert_eq!(
        (place.queue.connections(&used.key), place.queue.next(&used.key, 0).map(|ticket| ticket.mail)),
        (1, Some(1))
    );
}

#[test]
fn mail_that_need_not_be_encrypted_does_not_share_the_fate_of_the_others_at_its_site() {
    let open = |mut queued: Queued| {
        Arc::get_mut(&mut queued.mail).unwrap().options.tls_waived = true;
        queued
    };
    let mut place = Place::new(10, connections(1));
    place.add(mail(1, "a", Stream::Personal, &["a@x.example"]));
    assert_eq!(place.add(open(mail(2, "a", Stream::Personal, &["a@x.example"]))), 1, "a connection of its own");
    let (shut, own) = (place.site.key.clone(), place.site.tls_waived().key);
    assert_eq!(place.queue.unreachable(&shut, 0).iter().map(|ticket| ticket.mail).collect::<Vec<_>>(), [1]);
    assert_eq!(place.queue.next(&own, 0).map(|ticket| ticket.mail), Some(2));
    // From the spool it comes the same way.
    let todo = place.queue.add_stubs(&[Stub { tls_waived: true, ..stub(3, 0) }], 0);
    place.locate(todo);
    assert_eq!(place.queue.next(&own, 0).map(|ticket| ticket.mail), Some(3));
}

#[test]
fn mail_without_a_site_comes_back_whole() {
    let mut queue = Queue::new(10);
    queue.add(mail(1, "a", Stream::Personal, &["a@x.example"]), None, 0);
    queue.add(mail(2, "b", Stream::Bulk, &["b@x.example"]), None, 0);
    let mut ids: Vec<_> =
        queue.unlocated(&Domain::parse("x.example").unwrap()).iter().map(|ticket| ticket.mail).collect();
    ids.sort_unstable();
    assert_eq!((ids, queue.queues.len()), (vec![1, 2], 0));
}

fn in_lane(id: u64, lane: Lane, next_at: u64) -> Queued {
    let mut queued = mail(id, "a", Stream::Bulk, &["a@x.example"]);
    queued.recipients[0].lane = lane;
    queued.recipients[0].next_at = next_at;
    queued
}

#[test]
fn held_mail_is_given_back_when_its_time_is_over() {
    let mut queue = Queue::new(10);
    assert!(queue.add(in_lane(1, Lane::Held, 50), None, 0).is_empty());
    assert_eq!(given_back(queue.tick(50)), [1]);
    assert_eq!(queue.queues.len(), 0);
}

fn given_back(todo: impl IntoIterator<Item = Todo>) -> Vec<u64> {
    let tickets = todo.into_iter().flat_map(|todo| match todo {
        Todo::GiveBack(tickets) => tickets,
        other => panic!("{other:?}"),
    });
    tickets.map(|ticket| ticket.mail).collect()
}

#[test]
fn held_mail_that_is_due_together_is_given_back_in_small_steps_and_what_a_person_frees_meanwhile_is_not() {
    let mut queue = Queue::new(10);
    let all = GIVEN_BACK_AT_ONCE as u64 + 5;
    (1..=all).for_each(|id| _ = queue.add(in_lane(id, Lane::Held, 50), None, 0));
    let first = given_back(queue.tick(50));
    assert_eq!((first.len(), first[0], *first.last().unwrap()), (GIVEN_BACK_AT_ONCE, 1, GIVEN_BACK_AT_ONCE as u64));
    assert!(queue.tick(51).is_empty(), "one step at a time");
    queue.add(in_lane(all + 1, Lane::Held, 50), None, 52);
    assert_eq!(queue.queues.len(), 1, "its queue lasts as long as something waits in it");
    queue.withdraw(all);
    // Changes are forgotten in between, and what they made void stays so.
    queue.sweep();
    assert!(queue.tick(53).is_empty());
    assert_eq!(given_back(queue.given_back()), (all - 4..all).chain([all + 1]).collect::<Vec<_>>());
    assert!(queue.given_back().is_none());
    assert_eq!(queue.queues.len(), 0);
}

#[test]
fn slow_mail_goes_one_a_minute_and_holds_nobody_up() {
    let mut place = Place::new(10, SiteLimits::default());
    place.now = 100;
    (1..=3).for_each(|id| _ = place.add(in_lane(id, Lane::Slow, 100)));
    place.add(in_lane(4, Lane::Normal, 100));
    assert_eq!(place.order(), [4, 1]);
    let key = place.site.key.clone();
    (0..4).for_each(|_| assert!(place.queue.closed(&key, 100).is_empty()));
    assert_eq!(place.queue.next_at(), Some(160));
    place.now = 160;
    assert!(!place.queue.tick(160).is_empty());
    assert_eq!(place.order(), [2]);
    // The clock is put back by a day: the lane does not stop for a day.
    place.now = 0;
    assert_eq!(place.order(), [3]);
}

/// A slow mail of a login, or of an address in a trusted network.
fn slow(id: u64, login: Option<&str>, from: &str, recipients: &[&str]) -> Queued {
    let mut queued = mail(id, "a", Stream::Personal, recipients);
    let mail = Arc::get_mut(&mut queued.mail).unwrap();
    (mail.login, mail.mail_from) = (login.map(Into::into), Some(Address::parse(from).unwrap()));
    queued.recipients.iter_mut().for_each(|recipient| recipient.lane = Lane::Slow);
    queued
}

#[test]
fn one_slow_sender_does_not_slow_another_of_its_organisation() {
    let mut place = Place::new(10, SiteLimits::default());
    let anna = |id| slow(id, Some("anna"), "a@x.example", &["a@x.example"]);
    (1..=50).for_each(|id| _ = place.add(anna(id)));
    assert_eq!(place.order(), [1]);
    // The size of a mail does not let another one go in its place.
    let mut bob = slow(60, Some("bob"), "a@x.example", &["b@x.example"]);
    Arc::get_mut(&mut bob.mail).unwrap().octets = 10_000_000;
    place.add(bob);
    assert_eq!(place.order(), [60]);
    // What was in the spool at the start waits in the same order.
    let stubs: Vec<Stub> =
        [anna(70), slow(71, Some("claire"), "a@x.example", &["c@x.example"])].iter().flat_map(Queued::stubs).collect();
    let todo = place.queue.add_stubs(&stubs, place.now);
    place.locate(todo);
    assert_eq!(place.order(), [71]);
    place.now = 60;
    assert_eq!(place.order(), [2]);
}

#[test]
fn a_slow_mail_to_many_is_many_mails() {
    let mut place = Place::new(10, SiteLimits::default());
    place.add(slow(1, Some("anna"), "a@x.example", &["a@x.example", "b@x.example", "c@y.example"]));
    let mut sent = Vec::new();
    while place.now < 200 {
        sent.extend(sizes(&mut place).into_iter().map(|size| (place.now, size)));
        place.now += 10;
    }
    assert_eq!(sent, [(0, 1), (60, 1), (120, 1)]);
}

#[test]
fn senders_that_are_invented_without_a_login_do_not_make_the_slow_lane_fast() {
    let mut place = Place::new(10, SiteLimits::default());
    (0..1000).for_each(|n| _ = place.add(slow(n, None, &format!("u{n}@x.example"), &["a@x.example"])));
    place.add(slow(2000, Some("anna"), "a@x.example", &["a@x.example"]));
    let sent = (0..600).map(|now| {
        place.now = now;
        place.order().len()
    });
    assert_eq!(sent.sum::<usize>(), 101, "ten a minute, and the one of a login");
}

#[test]
fn a_withdrawn_mail_is_sent_by_nobody_and_may_come_again() {
    let mut place = Place::new(10, SiteLimits::default());
    place.add(mail(1, "a", Stream::Personal, &["a@x.example"]));
    place.add(mail(2, "a", Stream::Personal, &["a@x.example"]));
    place.queue.add(in_lane(3, Lane::Held, 50), None, 0);
    place.queue.withdraw(1);
    place.queue.withdraw(3);
    assert!(place.queue.tick(50).is_empty());
    place.add(mail(1, "a", Stream::Personal, &["a@x.example"]));
    assert_eq!(place.order(), [2, 1]);
    assert_eq!(place.queue.queues.len(), 0);
}

#[test]
fn many_changes_are_forgotten_again_and_nothing_else_is() {
    let mut place = Place::new(10, SiteLimits::default());
    place.add(mail(1, "a", Stream::Personal, &["a@x.example"]));
    place.add(mail(2, "a", Stream::Personal, &["a@x.example"]));
    place.queue.add_stubs(&[stub(3, 40), stub(4, 40)], 0);
    for changed in 3..=(WITHDRAWN_MAX as u64 + 3) {
        place.queue.withdraw(changed);
    }
    assert!(place.queue.withdrawn.is_empty());
    let todo = place.queue.tick(0);
    place.locate(todo);
    assert_eq!(place.order(), [1, 2]);
    place.now = 40;
    assert!(place.queue.tick(40).is_empty());
    assert_eq!((place.order(), place.queue.queues.len()), (vec![], 0));
}

#[test]
fn what_was_read_from_the_spool_keeps_its_time_and_asks_the_spool_for_the_rest() {
    let mut place = Place::new(10, SiteLimits::default());
    let todo = place.queue.add_stubs(&[stub(1, 5), stub(2, 0), Stub { index: 3, ..stub(2, 0) }], 0);
    assert_eq!(place.locate(todo), 1);
    let ticket = place.next().unwrap().job().unwrap_err();
    let job =
        ticket.with(mail(2, "a", Stream::Personal, &["a@x.example", "done@y.example", "e@y.example", "d@x.example"]));
    assert_eq!(job.recipients.iter().map(|recipient| recipient.index).collect::<Vec<_>>(), [0, 3]);
    assert!(place.next().is_none());
    assert_eq!(place.queue.next_at(), Some(5));
}

#[test]
fn a_site_that_moved_is_noticed_although_mail_never_pauses() {
    let mut place = Place::new(10, SiteLimits::default());
    (1..=5).for_each(|id| _ = place.add(mail(id, "a", Stream::Personal, &["a@x.example"])));
    place.now = LOCATED_FOR_S;
    assert_eq!(place.next().map(|ticket| ticket.mail), Some(1));
    let domain = Domain::parse("x.example").unwrap();
    assert!(matches!(&place.queue.moved()[..], [Todo::Locate(asked)] if *asked == domain));
    let new = site_with("new.example", SiteLimits::default());
    assert_eq!(place.queue.located(&domain, |_, _| new.clone(), place.now).len(), 4);
    assert!(place.next().is_none());
    place.site = new;
    assert_eq!(place.order(), [2, 3, 4, 5]);
}

#[test]
fn a_site_that_asks_for_a_pace_gets_it() {
    let limits = SiteLimits { mails_per_minute_max: std::num::NonZeroU32::new(30), ..connections(2) };
    let mut place = Place::new(10, limits);
    (1..=5).for_each(|id| _ = place.add(mail(id, "a", Stream::Personal, &["a@x.example"])));
    assert_eq!(place.order(), [1]);
    let key = place.site.key.clone();
    assert!(place.queue.closed(&key, 0).is_empty());
    assert_eq!(place.queue.next_at(), Some(2));
    place.now = 2;
    assert!(!place.queue.tick(2).is_empty());
    assert_eq!(place.order(), [2]);
}

#[test]
fn a_hundred_thousand_waiting_mails_are_a_hundred_octets_each() {
    let mut queue = Queue::new(10);
    let stubs: Vec<Stub> = (1..=100_000).map(|id| stub(id, 1000 + id)).collect();
    queue.add_stubs(&stubs, 0);
    assert_eq!((queue.waiting.len(), queue.queues.len()), (100_000, 1));
    assert!(size_of::<Waiting>() + size_of::<(u64, u64)>() <= 80, "{}", size_of::<Waiting>());
}

/// `SplitMix64`.
fn roll(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Some hours of a queue whose clock is put forward and back by a day, again and again. `real` runs on.
fn run_with_jumps(seed: u64) -> usize {
    let (mut dice, mut place) = (seed, Place::new(10, SiteLimits::default()));
    let (mut real, mut jumps, mut served, mut open) = (0, 0, 0, 0);
    place.now = 10_000_000;
    let mut due = HashMap::new();
    let key = place.site.key.clone();
    for step in 0..400 {
        let ran = 1 + roll(&mut dice) % 120;
        real += ran;
        place.now += ran;
        if roll(&mut dice).is_multiple_of(10) && step < 300 {
            let by = if roll(&mut dice).is_multiple_of(2) { 86_400 } else { -86_400 };
            place.now = place.now.saturating_add_signed(by);
            place.queue.shift(by);
            jumps += 1;
        }
        if step < 300 {
            let wait = roll(&mut dice) % 4000;
            due.insert(step, real + wait);
            let mut queued = mail(step, "a", Stream::Personal, &["a@x.example"]);
            queued.recipients[0].next_at = place.now + wait;
            open += place.add(queued);
        }
        if roll(&mut dice).is_multiple_of(20) {
            for ticket in place.queue.unreachable(&key, place.now) {
                due.insert(ticket.mail, real + 300);
                let todo = place.queue.add_stubs(&[stub(ticket.mail, place.now + 300)], place.now);
                open += place.locate(todo);
            }
        }
        let todo = place.queue.tick(place.now);
        open += place.locate(todo);
        let order = if 0 < open { place.order() } else { Vec::new() };
        let todo = place.queue.moved();
        open += place.locate(todo);
        while 0 < open {
            let todo = place.queue.closed(&key, place.now);
            open = open - 1 + place.locate(todo);
        }
        for id in order {
            let due = due.remove(&id).expect("each mail is served once");
            assert!(due <= real, "seed {seed}: mail {id} came {} s too early", due - real);
            // A step, and the longest pause of a site.
            assert!(real <= due + 120 + 300 + 120, "seed {seed}: mail {id} came {} s too late", real - due);
            served += 1;
        }
    }
    assert!(due.is_empty() && 10 < jumps, "seed {seed}: {due:?} never came, {jumps} jumps");
    served
}

#[test]
fn a_clock_that_jumps_by_a_day_makes_no_mail_wait_longer_and_none_go_sooner() {
    let served: usize = (1..=50).map(run_with_jumps).sum();
    assert_eq!(served, 50 * 300);
}

#[test]
fn a_person_sees_the_sites_with_what_waits_there_and_until_when_they_are_left_alone() {
    let mut place = Place::new(10, connections(3));
    place.site = Arc::new(place.site.leaving_by(&"b".into()).tls_waived());
    (1..=5).for_each(|id| _ = place.add(mail(id, "a", Stream::Bulk, &["a@x.example"])));
    let [seen] = &place.queue.sites(place.now)[..] else { panic!("{:?}", place.queue.sites(place.now)) };
    assert_eq!((&seen.hosts[..], seen.exit.as_deref()), (&["mx.example".to_owned()][..], Some("b")));
    assert_eq!((seen.waiting, seen.connections, seen.connections_max), (5, 3, 3));
    assert_eq!(seen.paused_until, None);
    let site = place.site.key.clone();
    place.queue.unreachable(&site, place.now);
    let seen = place.queue.sites(place.now);
    assert!(seen.iter().all(|seen| seen.paused_until.is_some_and(|until| place.now < until)), "{seen:?}");
}

/// The sites that Todo::Connect names, in order.
fn connected(todo: Vec<Todo>) -> Vec<String> {
    let key = |todo| match todo {
        Todo::Connect(site) => Some(site.key.to_string()),
        _ => None,
    };
    todo.into_iter().filter_map(key).collect()
}

#[test]
fn mail_of_an_exit_that_is_paused_moves_to_another_or_waits_and_comes_back() {
    let mut place = Place::new(10, connections(1));
    let (base, [a, b]) = (place.site.clone(), ["a", "b"].map(Arc::<str>::from));
    // The org "own" has the exit a alone, the others have both.
    let by = |exit: &Arc<str>, site: &Site| Arc::new(site.leaving_by(exit));
    place.site = by(&a, &base);
    for (id, org) in [(1, "own"), (2, "asso"), (3, "asso")] {
        place.add(mail(id, org, Stream::Personal, &["jean@x.example"]));
    }
    let shut = Shut { exits: vec![a.clone()], only: false };
    let instead = |site: &Arc<Site>, org: &str, _| by(if org == "own" { &a } else { &b }, site);
    let todo = place.queue.exits_changed(shut, instead, 0);
    assert_eq!(connected(todo), ["mx.example:25@b"]);
    assert!(place.next().is_none(), "what has no other exit waits");
    let seen = place.queue.sites(0);
    let seen: Vec<_> = seen.iter().map(|seen| (seen.exit.as_deref().unwrap(), seen.is_shut, seen.waiting)).collect();
    assert_eq!(seen, [("b", false, 2), ("a", true, 1)]);
    // New mail finds its way by itself, or waits as well.
    assert_eq!(place.add(mail(4, "own", Stream::Personal, &["jean@y.example"])), 0);
    let back = place.queue.exits_changed(Shut::default(), |site, _, _| by(&a, site), 0);
    // The connection that was open to a is counted still.
    assert_eq!(connected(back), Vec::<String>::new());
    assert_eq!(place.order().len(), 4);
}

#[test]
fn the_only_exit_may_be_paused_too() {
    let mut place = Place::new(10, SiteLimits::default());
    let same = |site: &Arc<Site>, _: &str, _| site.clone();
    place.queue.exits_changed(Shut { exits: vec!["a".into()], only: true }, same, 0);
    assert_eq!(place.add(mail(1, "asso", Stream::Bulk, &["jean@x.example"])), 0);
    place.now = 86_400;
    let todo = place.queue.tick(place.now);
    assert_eq!((place.locate(todo), place.next().is_none()), (0, true));
    let todo = place.queue.exits_changed(Shut::default(), same, place.now);
    assert_eq!((connected(todo).len(), place.order()), (1, vec![1]));
}

#[test]
fn mail_that_need_not_be_encrypted_stays_apart_when_it_moves_to_another_exit() {
    let site = site_with("mx.example", SiteLimits::default());
    let (a, b) = (Arc::<str>::from("a"), Arc::<str>::from("b"));
    let moved = site.leaving_by(&a).tls_waived().leaving_by(&b).tls_waived();
    assert_eq!((moved.key.to_string().as_str(), moved.exit.as_ref()), ("mx.example:25@b+open", Some(&b)));
}
