//! The property on which reports rest, from their octets on: without a token of ours nothing changes for anybody, and a
//! token of ours changes its own recipient alone. Each input goes through the reader, the rules and the ledger.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use sm2tp_federation::tags::{KeyId, Tag, TagKey};
use sm2tp_rules::returned::COMPLAINT_DAYS_MAX;
use sm2tp_rules::{Classifier, Stream};
use sm2tp_store::ledger::{Ledger, SendLog, path};
use sm2tp_store::returns::{Inbox, Line, Offered, Returns, Settled};
use sm2tp_store::sql::{self, Sql};
use sm2tp_store::told::{Answer, Told, What};

use super::reading::{self, Reading};
use super::*;

const NOW: u64 = 1_800_000_000;
const PEOPLE: [&str; 4] = ["anna@x.example", "bob@x.example", "carl@y.example", "dora@z.example"];

struct Bench {
    dir: PathBuf,
    ledger: Ledger,
    back: Back,
    rules: Classifier,
    number: u64,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn tags(address: &Address) -> Vec<(KeyId, Tag)> {
    let key = TagKey::new([7; 32]);
    key.tag_address(address).map(|tag| (key.key_id(), tag)).into_iter().collect()
}

impl Bench {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("sm2tp-octets-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { memory.join(name) } else { std::env::temp_dir().join(name) };
        fs::create_dir_all(&dir).unwrap();
        let ledger = Ledger::open(&path(&dir)).unwrap();
        let returns = Returns::open(&dir, ledger.clone(), NOW).unwrap();
        let inbox = Inbox::open(&dir, "n").unwrap();
        let back = Back::new(Domain::parse("returns.test").unwrap(), returns, inbox, None);
        Self { dir, ledger, back, rules: Classifier::shipped(), number: 0 }
    }

    /// Mail to an address is taken by its server; answers with its token.
    async fn send(&mut self, to: &str) -> String {
        let token = self.back.returns.token(NOW).unwrap();
        self.number += 1;
        let told = Told {
            v: Told::VERSION,
            at: NOW,
            org: "asso".into(),
            login: Some("news".into()),
            stream: Stream::Bulk,
            mail: self.number,
            message_id: Some(format!("{}@asso.example", self.number)),
            mail_from: Some("news@asso.example".into()),
            recipient: Some(to.into()),
            token: Some(token.clone()),
            report: false,
            what: What::Delivered { answer: Answer::default() },
        };
        let tagger = |address: &Address| tags(address).first().copied();
        let batch = vec![(self.number, told)];
        self.ledger.absorb("spool", batch, SendLog::Keep, tagger, |_, _, _| Ok(())).await.unwrap();
        token
    }

    /// What comes in is read and counted, as it would be from the inbox.
    async fn take(&self, number: u64, content: &[u8], token: Option<&str>) -> (Reading, Settled) {
        let open = |text: &str| self.back.returns.check(text, NOW + 60, COMPLAINT_DAYS_MAX).ok();
        let read = || reading::read(content, token, &self.back, &self.rules, open);
        let offered = Offered {
            source: self.back.inbox.name(Line::Main),
            number,
            token: read().whose.map(|(_, token)| token),
            found: read().found,
            passed_on: 0,
            now: NOW + 60,
        };
        (read(), self.back.returns.settle(offered, tags, |_, _, _| Ok(())).await.unwrap())
    }

    /// All that is kept about addresses and their domains, and about senders but for what nobody is blamed for.
    async fn known(&self) -> Vec<String> {
        let tables = [
            "SELECT hex(tag), delivered_at, hard_at, hard_strong, soft_at, soft_count FROM recipient ORDER BY tag",
            "SELECT hex(tag), list, org, at, 1, 1 FROM listed ORDER BY tag, list, org",
            "SELECT subject, name, hour, kind, cause, count FROM figure ORDER BY subject, name, hour, kind, cause",
            "SELECT hex(tag), delivered, hard, soft, refused, complained FROM recipient ORDER BY tag",
            "SELECT org, login, stream, kind, cause, count FROM counter WHERE kind <> 'unattributed' ORDER BY kind",
            "SELECT hex(name), bounced, complained, passed_on, 1, 1 FROM returned ORDER BY name",
            "SELECT org, complaints, optouts, 1, 1, 1 FROM org_returns ORDER BY org",
        ];
        self.ledger
            .read(move |sql: &mut dyn Sql| {
                let rows = tables.iter().map(|query| sql::all(sql, query, &[], |row| Ok(format!("{row:?}"))));
                Ok(rows.collect::<Result<Vec<_>, _>>()?.concat())
            })
            .await
            .unwrap()
    }
}

/// Seeded, so that a failure can be seen again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % sides.max(1)
    }

    fn one_of<'a, T: ?Sized>(&mut self, all: &[&'a T]) -> &'a T {
        all[self.roll(all.len())]
    }

    /// A mail of the corpus, or none at all, that names people who are known here and shows tokens, broken somewhere.
    fn mail(&mut self, corpus: &[Vec<u8>], tokens: &[String]) -> Vec<u8> {
        let mut mail = match self.roll(8) {
            0 => (0..self.roll(2000)).map(|_| self.roll(256) as u8).collect(),
            1 => failure(self.one_of(&PEOPLE)).into_bytes(),
            _ => corpus[self.roll(corpus.len())].clone(),
        };
        for _ in 0..self.roll(4) {
            let token = tokens[self.roll(tokens.len())].as_str();
            let line = match self.roll(6) {
                0 => format!("X-SM2TP-Ref: {token}\r\n"),
                1 => format!("Original-Envelope-Id: {token}\r\n"),
                2 => format!("Original-Mail-From: <{token}@returns.test>\r\n"),
                3 => format!("Delivered-To: {token}@returns.test\r\n"),
                4 => format!("Final-Recipient: rfc822; {}\r\n", self.one_of(&PEOPLE)),
                _ => format!("Original-Rcpt-To: {}\r\n", self.one_of(&PEOPLE)),
            };
            let ends: Vec<usize> =
                mail.iter().enumerate().filter(|(_, octet)| **octet == b'\n').map(|(at, _)| at).collect();
            let at = if ends.is_empty() { 0 } else { ends[self.roll(ends.len())] + 1 };
            mail.splice(at..at, line.into_bytes());
        }
        for _ in 0..self.roll(3) {
            let (from, to) = (self.roll(mail.len()), self.roll(mail.len()));
            match self.roll(4) {
                0 if !mail.is_empty() => mail[from] = self.roll(256) as u8,
                1 => mail.truncate(from),
                2 => drop(mail.drain(from.min(to)..from.max(to))),
                _ => mail.extend_from_within(from.min(to)..from.max(to)),
            }
        }
        mail
    }
}

/// A plain bounce that every reader understands.
fn failure(recipient: &str) -> String {
    format!(
        "From: MAILER-DAEMON@mx.example\r\nSubject: Undelivered\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=delivery-status; boundary=x\r\n\r\n--x\r\n\r\nSorry.\r\n\
         --x\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example\r\n\r\n\
         Final-Recipient: rfc822; {recipient}\r\nAction: failed\r\nStatus: 5.1.1\r\n\
         Diagnostic-Code: smtp; 550 5.1.1 <{recipient}>: User unknown\r\n\r\n\
         --x\r\nContent-Type: text/rfc822-headers\r\n\r\nMessage-ID: <1@asso.example>\r\n\r\n--x--\r\n"
    )
}

fn corpus() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../corpus/mails");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let mails: Vec<Vec<u8>> = files.iter().map(|file| fs::read(file).unwrap()).collect();
    assert!(100 < mails.len());
    mails
}

/// Tokens that look like ours and open nothing: of another node, of a key of ours at another time, with one character
/// changed, and no token at all.
fn forged(own: &Returns, others: &Returns, shown: &[String]) -> Vec<String> {
    let mut forged: Vec<String> = (0..8).map(|_| others.token(NOW).unwrap()).collect();
    forged.extend((1..8).map(|years| own.token(NOW - years * 190 * 86_400).unwrap()));
    forged.extend((0..8).map(|n| own.token(NOW + 86_400 * (10 + n)).unwrap()));
    for token in shown {
        forged.extend([format!("{token}a"), token[1..].to_owned()]);
        for at in 0..token.len() - 1 {
            let other = if token.as_bytes()[at] == b'b' { "c" } else { "b" };
            let mut changed = token.clone();
            changed.replace_range(at..=at, other);
            forged.push(changed);
        }
    }
    forged.extend(["", "returns", "fbl", "a@b", "anna"].map(str::to_owned));
    forged
}

#[tokio::test]
async fn no_octets_without_a_token_of_ours_change_anything_for_anybody() {
    let (mut bench, elsewhere) = (Bench::new(), Bench::new());
    let mut shown = Vec::new();
    for address in PEOPLE {
        shown.push(bench.send(address).await);
    }
    let forged = forged(&bench.back.returns, &elsewhere.back.returns, &shown);
    let (corpus, before) = (corpus(), bench.known().await);
    let mut dice = Dice(11);
    let mut kinds = std::collections::BTreeMap::<String, usize>::new();
    for number in 1..2500 {
        let content = dice.mail(&corpus, &forged);
        let token = (dice.roll(3) == 0).then(|| forged[dice.roll(forged.len())].clone());
        let (reading, settled) = bench.take(number, &content, token.as_deref()).await;
        assert!(reading.whose.is_none() && settled == Settled::Unattributed, "{number}: {}", content.escape_ascii());
        *kinds.entry(reading.found.word).or_default() += 1;
        if number % 100 == 0 {
            assert_eq!(bench.known().await, before, "{number}");
        }
    }
    assert!(kinds["failed"] > 500 && kinds["complaint"] > 20, "the reader understood them: {kinds:?}");
    assert_eq!(bench.known().await, before);
    bench.ledger.rebuild().await.unwrap();
    assert_eq!(bench.known().await, before);
    // The same node counts what shows one of its tokens.
    let (_, settled) = bench.take(9999, failure(PEOPLE[0]).as_bytes(), Some(&shown[0])).await;
    assert!(matches!(settled, Settled::Attributed(_)));
    assert_ne!(bench.known().await, before);
}

#[tokio::test]
async fn a_token_changes_its_own_recipient_once_and_nobody_else() {
    let (mut bench, corpus, mut dice) = (Bench::new(), corpus(), Dice(5));
    let mut victims = Vec::new();
    for address in PEOPLE {
        victims.push(bench.send(address).await);
    }
    let of_victims = |known: Vec<String>| {
        let tags: Vec<String> = PEOPLE
            .iter()
            .flat_map(|text| tags(&Address::parse(text).unwrap()))
            .map(|(_, tag)| tag.0.iter().map(|octet| format!("{octet:02X}")).collect())
            .collect();
        known.into_iter().filter(|row| tags.iter().any(|tag| row.contains(tag.as_str()))).collect::<Vec<_>>()
    };
    let before = of_victims(bench.known().await);
    let mut counted = 0;
    for number in 1..500_u64 {
        let token = bench.send(&format!("{number}@own.example")).await;
        for round in 0..2 {
            let content = dice.mail(&corpus, std::slice::from_ref(&token));
            let (_, settled) = bench.take(number * 2 + round, &content, Some(&token)).await;
            counted += usize::from(settled == Settled::Attributed(sm2tp_rules::returned::Counts::Bounce));
        }
    }
    assert!(100 < counted, "{counted}");
    assert_eq!(of_victims(bench.known().await), before);
    let twice =
        "SELECT COUNT(*) FROM (SELECT 1 FROM event WHERE kind IN ('hard', 'soft') GROUP BY tag HAVING 1 < COUNT(*))";
    let twice = bench.ledger.read(move |sql| Ok(sql::first(sql, twice, &[], |row| row.uint(0))?)).await.unwrap();
    assert_eq!(twice, Some(0));
}
