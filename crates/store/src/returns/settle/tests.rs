//! What reports change, and above all what they do not: without a token of ours, nothing.

use std::sync::Arc;

use sm2tp_federation::tags::TagKey;
use sm2tp_proto::Enhanced;
use sm2tp_rules::suppress::Recipient;
use sm2tp_rules::{Cause, Scope, Stage, Stream};

use super::*;
use crate::accounts::ReturnPath;
use crate::ledger::{Ledger, Replay, SendLog};
use crate::testing::TempDir;
use crate::told::Verdict;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn tag(address: &Address) -> (KeyId, Tag) {
    let key = TagKey::new([7; 32]);
    (key.key_id(), key.tag_address(address).unwrap())
}

fn answer(cause: Cause, text: &str) -> Answer {
    let verdict = Verdict {
        cause,
        sub: None,
        fate: Fate::Later,
        scope: Scope::Recipient,
        strength: Strength::Strong,
        rule: "test".into(),
        rules: None,
    };
    let (code, enhanced) = (Some(550), Some(Enhanced(5, 1, 1)));
    Answer { stage: Some(Stage::Dsn), code, enhanced, text: text.into(), verdict: Some(verdict), ..Answer::default() }
}

fn failure(recipient: Option<&str>, cause: Cause) -> Found {
    let text = format!("550 5.1.1 <{}> unknown", recipient.unwrap_or("somebody"));
    let failed = Failed { recipient: recipient.map(address), led_to: None, answer: answer(cause, &text) };
    Found {
        kind: Kind::Failure,
        word: "failed".into(),
        failed: vec![failed],
        message_id: Some("1@asso.example".into()),
        feedback: None,
    }
}

fn complaint() -> Found {
    let (kind, word, feedback) = (Kind::Complaint, "complaint".into(), Some("abuse".into()));
    Found { kind, word, failed: Vec::new(), message_id: None, feedback }
}

struct Bench {
    _dir: TempDir,
    ledger: Ledger,
    returns: Returns,
    number: u64,
}

impl Bench {
    fn new() -> Self {
        let dir = TempDir::quick();
        let ledger = crate::testing::ledger(dir.path());
        let returns = Returns::open(dir.path(), ledger.clone(), NOW).unwrap();
        Self { _dir: dir, ledger, returns, number: 0 }
    }

    /// Mail to an address leaves with a token and is taken; answers with the token.
    async fn send(&mut self, to: &str) -> Token {
        self.tell(self.number + 1, to, What::Delivered { answer: Answer::default() }, NOW).await
    }

    /// An attempt to deliver a mail, with a token.
    async fn tell(&mut self, mail: u64, to: &str, what: What, at: u64) -> Token {
        let text = self.returns.token(NOW).unwrap();
        self.tell_of(&text, mail, to, what, at).await
    }

    async fn tell_of(&mut self, text: &str, mail: u64, to: &str, what: What, at: u64) -> Token {
        self.number += 1;
        let told = Told {
            v: Told::VERSION,
            at,
            org: "asso".into(),
            login: Some("news".into()),
            stream: Stream::Bulk,
            mail,
            message_id: Some("1@asso.example".into()),
            mail_from: Some("news@asso.example".into()),
            recipient: Some(to.into()),
            token: Some(text.to_owned()),
            report: false,
            what,
        };
        let batch = vec![(self.number, told)];
        let tagger = |address: &Address| Some(tag(address));
        self.ledger.absorb("spool", batch, SendLog::Keep, tagger, |_, _, _| Ok(())).await.unwrap();
        self.returns.check(text, NOW, 35).unwrap()
    }

    async fn offer(&self, number: u64, token: Option<Token>, found: Found, now: u64) -> Settled {
        let offered = Offered { source: "reports:t".into(), number, token, found, passed_on: 0, now };
        self.returns.settle(offered, |address| vec![tag(address)], |_, _, _| Ok(())).await.unwrap()
    }

    fn facts(&self, text: &str) -> Recipient {
        self.ledger.views().recipient(&[tag(&address(text)).1], "asso")
    }

    async fn counters(&self) -> Vec<String> {
        let query = "SELECT kind, org, cause, SUM(count) FROM counter WHERE kind <> 'delivered' \
                     GROUP BY kind, org, cause HAVING SUM(count) <> 0 ORDER BY kind, org, cause";
        let line = |row: &sql::Row| Ok(format!("{} {} {} {}", row.text(0)?, row.text(1)?, row.text(2)?, row.uint(3)?));
        self.ledger.read(move |sql| Ok(sql::all(sql, query, &[], line)?)).await.unwrap()
    }
}

#[tokio::test]
async fn a_token_of_another_servers_mail_is_known_before_its_delivery_and_its_log_says_the_rest() {
    let mut bench = Bench::new();
    let ahead = |to: &str| Sent {
        org: "asso".into(),
        login: Some("news".into()),
        stream: Stream::Bulk,
        mail_from: Some("news@asso.example".into()),
        recipient: tag(&address(to)),
        domain: "dest.example".into(),
        provider: None,
        mail: 0,
        line: None,
        taken_at: 0,
        delivery: None,
        path: ReturnPath::Sender,
    };
    let (one, two) = (bench.returns.token(NOW).unwrap(), bench.returns.token(NOW).unwrap());
    let open = |text: &str| Token::unchecked(text).unwrap();
    let both = vec![(open(&one), ahead("a@dest.example")), (open(&two), ahead("b@dest.example"))];
    bench.returns.keep_ahead(both.clone()).await.unwrap();
    let known = bench.returns.sent(&open(&one)).await.unwrap().unwrap();
    assert_eq!(known, (ahead("a@dest.example"), Counted::default()));

    // Delivered: the line of the send log is known now, and whose return path it has stays known.
    let taken = Answer { provider: Some("dest".into()), ..Answer::default() };
    let token = bench.tell_of(&one, 0, "a@dest.example", What::Delivered { answer: taken }, NOW).await;
    bench.returns.keep_ahead(both).await.unwrap();
    let (sent, _) = bench.returns.sent(&token).await.unwrap().unwrap();
    assert_eq!((sent.line.is_some(), sent.provider.as_deref(), sent.path), (true, Some("dest"), ReturnPath::Sender));
    let counted = bench.offer(1, Some(token), failure(Some("a@dest.example"), Cause::Address), NOW).await;
    assert_eq!(counted, Settled::Attributed(Counts::Bounce));

    // Refused in the dialogue, as the log says: the report of the mail server itself is no second bounce.
    let refused = What::Bounced { answer: answer(Cause::Address, "550 5.1.1 no such user"), expired: false };
    let token = bench.tell_of(&two, 0, "b@dest.example", refused, NOW).await;
    let counted = bench.offer(2, Some(token), failure(Some("b@dest.example"), Cause::Address), NOW).await;
    assert_eq!(counted, Settled::Attributed(Counts::Repeated));
}

#[tokio::test]
async fn a_bounce_counts_once_for_its_token_whatever_is_offered_again() {
    let mut bench = Bench::new();
    let token = bench.send("jean@x.example").await;
    let found = failure(Some("jean@x.example"), Cause::Address);
    assert_eq!(bench.offer(1, Some(token), found.clone(), NOW + 60).await, Settled::Attributed(Counts::Bounce));
    let before = bench.facts("jean@x.example");
    assert!(before.own.hard_strong && before.own.hard_code == 550);
    assert_eq!(bench.offer(1, Some(token), found.clone(), NOW + 90).await, Settled::Before);
    assert_eq!(bench.offer(2, Some(token), found, NOW + 90).await, Settled::Attributed(Counts::Repeated));
    assert_eq!(bench.facts("jean@x.example"), before);
    assert_eq!(bench.counters().await, ["report-read asso failed 1", "returned asso address 1"]);
    bench.ledger.rebuild().await.unwrap();
    assert_eq!(bench.facts("jean@x.example"), before);
}

#[tokio::test]
async fn a_canary_that_comes_back_as_dead_is_dead_and_one_that_comes_back_as_full_is_not() {
    let mut bench = Bench::new();
    for (number, (to, cause)) in
        [("jean@x.example", Cause::Address), ("paul@x.example", Cause::Mailbox)].into_iter().enumerate()
    {
        let mail = 10 + number as u64;
        bench.tell(mail, to, What::Canary, NOW).await;
        let token = bench.tell(mail, to, What::Delivered { answer: Answer::default() }, NOW).await;
        let number = 2 * number as u64 + 1;
        bench.offer(number, Some(token), failure(Some(to), cause), NOW + 60).await;
        bench.offer(number + 1, Some(token), failure(Some(to), cause), NOW + 90).await;
    }
    let canaries = bench.ledger.worth(0, None).await.unwrap().canaries;
    assert_eq!((canaries.sent, canaries.dead, canaries.alive, canaries.unclear), (2, 1, 1, 0));
}

#[tokio::test]
async fn a_token_touches_its_own_recipient_whomever_the_report_names() {
    let mut bench = Bench::new();
    let token = bench.send("jean@x.example").await;
    bench.send("paul@x.example").await;
    bench.offer(1, Some(token), failure(Some("paul@x.example"), Cause::Address), NOW + 60).await;
    assert_eq!(bench.facts("paul@x.example").own.hard_at, 0);
    let jean = bench.facts("jean@x.example").own;
    assert!(jean.hard_at != 0 && !jean.hard_strong, "an address behind his is unknown: {jean:?}");
}

#[tokio::test]
async fn what_is_not_about_the_address_leaves_it_alone() {
    let mut bench = Bench::new();
    for cause in [Cause::Content, Cause::Ip, Cause::Auth, Cause::Policy, Cause::Network, Cause::Unknown] {
        let token = bench.send("jean@x.example").await;
        bench.offer(bench.number, Some(token), failure(Some("jean@x.example"), cause), NOW + 60).await;
        assert_eq!((bench.facts("jean@x.example").own.hard_at, bench.facts("jean@x.example").own.soft_at), (0, 0));
    }
    let token = bench.send("jean@x.example").await;
    let aside = Found { kind: Kind::Other, word: "autoreply".into(), ..complaint() };
    assert_eq!(bench.offer(99, Some(token), aside, NOW + 60).await, Settled::Attributed(Counts::Nothing));
    assert!(bench.counters().await.contains(&"report-read asso autoreply 1".to_owned()));
}

#[tokio::test]
async fn a_complaint_stops_this_org_and_no_other() {
    let mut bench = Bench::new();
    let token = bench.send("jean@x.example").await;
    assert_eq!(bench.offer(1, Some(token), complaint(), NOW + 40 * DAY).await, Settled::Attributed(Counts::Complaint));
    assert!(bench.facts("jean@x.example").opted_out);
    assert_eq!(bench.facts("jean@x.example").own.hard_at, 0);
    let jean = tag(&address("jean@x.example")).1;
    assert!(!bench.ledger.views().recipient(&[jean], "other").opted_out);
    assert_eq!(bench.counters().await, ["complained asso complaint 1"]);
    // A bounce of the same mail still counts, within its own time.
    let late = bench.offer(2, Some(token), failure(None, Cause::Address), NOW + 40 * DAY).await;
    assert_eq!(late, Settled::Attributed(Counts::Late));
}

/// The property on which all of it rests: without a token of ours nothing changes for any address.
#[tokio::test]
async fn without_a_token_no_report_changes_any_address() {
    let mut bench = Bench::new();
    bench.send("jean@x.example").await;
    bench.send("paul@x.example").await;
    let facts =
        |bench: &Bench| (bench.facts("jean@x.example"), bench.facts("paul@x.example"), bench.ledger.views().len());
    let before = facts(&bench);
    let mut dice = 7_u64;
    for number in 1..400 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let named =
            [Some("jean@x.example"), Some("paul@x.example"), Some("new@y.example"), None][(dice >> 33) as usize % 4];
        let cause = [Cause::Address, Cause::Mailbox, Cause::Content, Cause::Unknown][(dice >> 40) as usize % 4];
        let found = if dice >> 63 == 0 { failure(named, cause) } else { complaint() };
        // Of a token that opens, and of which nothing is known, nothing is known either.
        let token =
            (dice >> 50 & 1 == 1).then(|| bench.returns.check(&bench.returns.token(NOW).unwrap(), NOW, 35).unwrap());
        assert_eq!(bench.offer(number, token, found, NOW + 60).await, Settled::Unattributed);
    }
    assert_eq!(facts(&bench), before);
    assert!(bench.counters().await.iter().all(|line| line.starts_with("unattributed  ")), "nobody's name is spoilt");
    bench.ledger.rebuild().await.unwrap();
    assert_eq!(facts(&bench), before);
}

#[tokio::test]
async fn a_report_that_cannot_be_proved_is_noted_beside_the_mail_that_it_names() {
    let mut bench = Bench::new();
    bench.send("jean@x.example").await;
    bench.offer(1, None, failure(Some("jean@x.example"), Cause::Address), NOW + 60).await;
    bench.offer(2, None, failure(Some("paul@x.example"), Cause::Address), NOW + 60).await;
    bench.offer(3, None, failure(Some("jean@x.example"), Cause::Address), NOW + 90).await;
    let query = "SELECT kind, recipient FROM send_log ORDER BY id";
    let line = |row: &sql::Row| Ok(format!("{} {}", row.text(0)?, row.text(1)?));
    let lines = bench.ledger.read(move |sql| Ok(sql::all(sql, query, &[], line)?)).await.unwrap();
    assert_eq!(lines, ["delivered jean@x.example", "unproved jean@x.example"]);
}

#[tokio::test]
async fn two_clicks_at_once_count_once() {
    let bench = Bench::new();
    let link = Link { recipient: tag(&address("jean@x.example")), org: "asso".into(), domain: "x.example".into() };
    let (one, two) = tokio::join!(bench.returns.opt_out(link.clone(), NOW), bench.returns.opt_out(link, NOW));
    one.and(two).unwrap();
    let counters = bench.counters().await;
    assert!(counters.len() == 1 && counters[0].ends_with(" 1"), "{counters:?}");
}

#[test]
fn neither_the_address_that_was_written_to_nor_where_it_led_stays_in_the_words() {
    let (written, led_to) = (address("jean@x.example"), address("dupont@y.example"));
    assert_eq!(masked("dupont: no mailbox (for jean)", &written, Some(&led_to)), "…: no mailbox (for …)");
}

/// R11: who has the whole data directory, keys and all, does not learn from it who wrote to whom.
#[tokio::test]
async fn what_is_kept_for_a_token_opens_with_the_token_alone() {
    let mut bench = Bench::new();
    let token = bench.send("jean@x.example").await;
    let query = "SELECT name, entry FROM returned";
    let row = |row: &sql::Row| Ok((row.blob(0)?.to_vec(), row.blob(1)?.to_vec()));
    let rows = bench.ledger.read(move |sql| Ok(sql::all(sql, query, &[], row)?)).await.unwrap();
    let [(name, entry)] = &rows[..] else { panic!("{rows:?}") };
    let all = [&name[..], &entry[..]].concat();
    for secret in [&b"asso"[..], b"news", b"x.example", &token.row.0, &tag(&address("jean@x.example")).1.0] {
        assert!(!all.windows(secret.len()).any(|window| window == secret));
    }
    let (sent, counted) = bench.returns.sent(&token).await.unwrap().unwrap();
    assert_eq!((sent.org.as_str(), sent.mail_from.as_deref()), ("asso", Some("news@asso.example")));
    assert_eq!((sent.recipient, counted), (tag(&address("jean@x.example")), Counted::default()));
    assert_eq!(bench.returns.prune(NOW + 181 * DAY).await.unwrap(), 1);
    assert_eq!(bench.returns.sent(&token).await.unwrap(), None);
}

/// What stands in one row of one column.
async fn one(bench: &Bench, query: &'static str) -> u64 {
    bench.ledger.read(move |sql| Ok(sql::first(sql, query, &[], |row| row.uint(0))?)).await.unwrap().unwrap()
}

#[tokio::test]
async fn what_strangers_bring_is_counted_and_adds_no_line() {
    let mut bench = Bench::new();
    let token = bench.send("jean@x.example").await;
    bench.offer(1, Some(token), failure(Some("jean@x.example"), Cause::Address), NOW + 60).await;
    let lines = one(&bench, "SELECT COUNT(*) FROM event").await;
    for number in 2..500 {
        let token = (number % 2 == 0).then_some(token);
        bench.offer(number, token, failure(Some("jean@x.example"), Cause::Address), NOW + number).await;
    }
    assert_eq!(one(&bench, "SELECT COUNT(*) FROM event").await, lines);
    assert_eq!(one(&bench, "SELECT COUNT(*) FROM tally").await, 2);
    let counters = bench.counters().await;
    assert_eq!(counters, ["report-read asso failed 249", "returned asso address 1", "unattributed  failed 249"]);
    bench.ledger.rebuild().await.unwrap();
    assert_eq!(bench.counters().await, counters);
}

#[tokio::test]
async fn a_mail_that_two_servers_may_have_bounces_once() {
    let broken = || What::Deferred { answer: Answer::default() };
    let taken = || What::Delivered { answer: Answer::default() };
    let refused = || What::Bounced { answer: answer(Cause::Address, "550 5.1.1 unknown"), expired: false };
    let mut bench = Bench::new();
    let found = || failure(Some("jean@x.example"), Cause::Address);
    let twice = [
        bench.tell(7, "jean@x.example", broken(), NOW).await,
        bench.tell(7, "jean@x.example", broken(), NOW + 60).await,
        bench.tell(7, "jean@x.example", taken(), NOW + 120).await,
    ];
    let other = bench.tell(8, "jean@x.example", taken(), NOW + 130).await;
    assert_eq!(one(&bench, "SELECT COUNT(*) FROM redelivery").await, 0, "the pair is gone when the mail is");
    let counts = [Counts::Repeated, Counts::Bounce, Counts::Repeated];
    for (number, (at, want)) in (1..).zip([(1, counts[1]), (0, counts[0]), (2, counts[2])]) {
        let settled = bench.offer(number, Some(twice[at]), found(), NOW + 200 + number).await;
        assert_eq!(settled, Settled::Attributed(want), "attempt {at}");
    }
    assert_eq!(bench.offer(4, Some(other), found(), NOW + 300).await, Settled::Attributed(Counts::Bounce));

    // What the next server refuses has bounced, whatever the one before reports.
    let first = bench.tell(9, "jean@x.example", broken(), NOW + 400).await;
    bench.tell(9, "jean@x.example", refused(), NOW + 460).await;
    assert_eq!(bench.offer(5, Some(first), found(), NOW + 500).await, Settled::Attributed(Counts::Repeated));
    // A mail that never ends is forgotten too.
    bench.tell(10, "jean@x.example", broken(), NOW + 600).await;
    assert_eq!(one(&bench, "SELECT COUNT(*) FROM redelivery").await, 1);
    bench.returns.prune(NOW + 40 * DAY).await.unwrap();
    assert_eq!(one(&bench, "SELECT COUNT(*) FROM redelivery").await, 0);
}

/// A bounce whose words the rules of its time took for `cause`.
fn misread(text: &str, cause: Cause) -> Found {
    let mut found = failure(Some("jean@x.example"), cause);
    found.failed[0].answer.text = text.into();
    found.failed[0].answer.enhanced = None;
    found
}

#[tokio::test]
async fn better_rules_move_a_bounce_that_came_as_a_report() {
    let mut bench = Bench::new();
    let rules = Arc::new(sm2tp_rules::Classifier::shipped());
    let tags = |address: &Address| vec![tag(address)];
    let hard = |bench: &Bench| {
        let own = bench.facts("jean@x.example").own;
        (own.hard_at != 0, own.hard_strong)
    };
    let gone = bench.send("jean@x.example").await;
    bench.offer(1, Some(gone), misread("550 5.1.1 user unknown", Cause::Policy), NOW + 60).await;
    assert_eq!(hard(&bench), (false, false));
    let shown = bench.ledger.replay(rules.clone(), Replay::Show, tags).await.unwrap();
    assert_eq!((shown.read, shown.changed, shown.hard_added), (1, 1, 1), "{shown:?}");
    assert_eq!(bench.ledger.replay(rules.clone(), Replay::Apply, tags).await.unwrap(), shown);
    assert_eq!(hard(&bench), (true, true));
    assert_eq!(bench.counters().await, ["returned asso address 1"]);

    // Late is weak, whatever the words say; and what is no word about the address frees it.
    let mut bench = Bench::new();
    let (late, freed) = (bench.send("jean@x.example").await, bench.send("jean@x.example").await);
    bench.offer(1, Some(late), misread("550 5.1.1 user unknown", Cause::Policy), NOW + 20 * DAY).await;
    let refused = "Sender verify failed: user unknown";
    bench.offer(2, Some(freed), misread(refused, Cause::Address), NOW + 60).await;
    assert_eq!(hard(&bench), (true, true));
    let applied = bench.ledger.replay(rules.clone(), Replay::Apply, tags).await.unwrap();
    assert_eq!((applied.changed, applied.hard_added, applied.hard_withdrawn), (2, 1, 1), "{applied:?}");
    assert_eq!(hard(&bench), (true, false));
    let before = (bench.facts("jean@x.example"), bench.counters().await);
    bench.ledger.rebuild().await.unwrap();
    assert_eq!((bench.facts("jean@x.example"), bench.counters().await), before);
    assert_eq!(bench.ledger.replay(rules, Replay::Apply, tags).await.unwrap().changed, 0);
}

#[tokio::test]
async fn words_of_a_bounce_that_no_rule_knew_are_counted_without_anybody_in_them() {
    let mut bench = Bench::new();
    let token = bench.send("jean@x.example").await;
    let mut found = misread("550 purple elephants for jean and dupont", Cause::Unknown);
    found.failed[0].led_to = Some(address("dupont@y.example"));
    found.failed[0].answer.verdict.as_mut().unwrap().rule = sm2tp_rules::classify::NO_RULE.into();
    bench.offer(1, None, found.clone(), NOW + 50).await;
    bench.offer(2, Some(token), found.clone(), NOW + 60).await;
    bench.offer(3, Some(token), found, NOW + 70).await;
    let unknown = bench.ledger.read(|sql| Ok(crate::ledger::unknown_replies(sql)?)).await.unwrap();
    assert_eq!((unknown.len(), unknown[0].count), (1, 1), "only what is proved, and once: {unknown:?}");
    let shape = &unknown[0].shape;
    assert!(shape.contains("purple elephants") && !shape.contains("jean") && !shape.contains("dupont"), "{shape}");
}

/// Forty people get a newsletter at a provider that takes it, and gives most of it back later.
async fn gives_back(known: bool) -> Bench {
    let mut bench = Bench::new();
    let whom = |n: u64| format!("{n}@x.example");
    let taken = || What::Delivered { answer: Answer { provider: Some("google".into()), ..Answer::default() } };
    let mut tokens = Vec::new();
    for n in 0..40 {
        if known {
            bench.tell(100 + n, &whom(n), taken(), NOW - DAY).await;
        }
        tokens.push(bench.tell(200 + n, &whom(n), taken(), NOW).await);
    }
    for (number, (n, token)) in (1..).zip((0..30).zip(tokens)) {
        bench.offer(number, Some(token), failure(Some(&whom(n)), Cause::Address), NOW + 60).await;
    }
    bench
}

#[tokio::test]
async fn a_provider_that_errs_in_bulk_in_its_reports_is_not_believed() {
    let bench = gives_back(true).await;
    assert!(bench.ledger.breakers().is_tripped("google", NOW + 70));
    assert_eq!(bench.ledger.breakers().list(NOW + 70)[0].parked, 30);
    let facts = |bench: &Bench| (0..40).map(|n| bench.facts(&format!("{n}@x.example")).own).collect::<Vec<_>>();
    let before = facts(&bench);
    assert!(before.iter().all(|own| own.hard_at == 0 && own.delivered_at == NOW));
    bench.ledger.rebuild().await.unwrap();
    assert_eq!(facts(&bench), before);
    // Addresses that never took mail before: a bad list, and a server that says yes to everything.
    let bench = gives_back(false).await;
    assert!(!bench.ledger.breakers().is_tripped("google", NOW + 70));
    assert!((0..30).all(|n| bench.facts(&format!("{n}@x.example")).own.hard_at != 0));
}

#[tokio::test]
async fn an_org_is_told_once_a_day_and_again_when_there_is_more() {
    use crate::accounts::{Accounts, Scram, WishesChange};
    let mut bench = Bench::new();
    let accounts = Accounts::load(bench.ledger.clone(), Scram::Off).await.unwrap();
    accounts.put_org("asso", Vec::new(), Stream::Bulk, 1).await.unwrap();
    let change = WishesChange { contact: Some("boss@asso.example".into()), ..WishesChange::default() };
    accounts.change_wishes("asso", change).await.unwrap();
    let untold = |now: u64| accounts.untold(now - DAY);
    let first = bench.send("jean@x.example").await;
    bench.offer(1, Some(first), complaint(), NOW + 60).await;
    let found = untold(NOW + 60).await.unwrap();
    assert_eq!((found.len(), found[0].complaints, found[0].optouts), (1, 1, 0));
    // One more comes while the notice is on its way.
    let second = bench.send("paul@x.example").await;
    bench.offer(2, Some(second), complaint(), NOW + 61).await;
    accounts.told(&found[0], NOW + 62).await.unwrap();
    assert!(untold(NOW + DAY).await.unwrap().is_empty(), "once a day");
    let found = untold(NOW + DAY + 63).await.unwrap();
    assert_eq!((found.len(), found[0].complaints), (1, 1), "what came meanwhile");
    accounts.told(&found[0], NOW + DAY + 63).await.unwrap();
    assert!(untold(NOW + 9 * DAY).await.unwrap().is_empty(), "nothing new");
}
