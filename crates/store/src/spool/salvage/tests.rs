//! Every page of a queue database hurt in every way, and what must come back.

use std::collections::BTreeMap;
use std::path::Path;

use sm2tp_proto::Address;
use sm2tp_proto::smtp::{MailOptions, RcptOptions};
use sm2tp_rules::Stream;

use super::*;
use crate::spool::{Change, Filter, Lane, NewMail, NewRecipient, Spool};
use crate::testing::TempDir;
use crate::told::{Answer, Told, What};

/// Mails that are accepted; a third of them is done before the damage.
const MAILS: u64 = 250;
const ALL: u64 = MAILS + 30;

fn content(mail: u64) -> Vec<u8> {
    format!("Subject: number {mail}\r\n\r\n{}\r\n", "x".repeat(200)).into_bytes()
}

fn address(mail: u64, recipient: u64) -> Address {
    Address::parse(&format!("r{recipient}.of{mail}@example.test")).unwrap()
}

fn mail(number: u64) -> NewMail {
    let recipient = |n: u64| NewRecipient {
        address: address(number, n),
        lane: Lane::Normal,
        note: Some("a note that makes the row a little longer than it would be".into()),
        stopped: false,
        canary: false,
        options: RcptOptions::default(),
    };
    NewMail {
        org: "asso".into(),
        login: Some("anna".into()),
        stream: Stream::Personal,
        mail_from: Some(Address::parse("anna@asso.example").unwrap()),
        message_id: Some(format!("{number}@asso.example")),
        received_at: 1000 + number,
        recipients: (0..1 + number % 3).map(recipient).collect(),
        content: content(number).into(),
        held_until: 0,
        is_report: false,
        stream_by: None,
        options: MailOptions::default(),
    }
}

fn done(mail: u64, index: u32) -> Change {
    let told = Told {
        v: Told::VERSION,
        at: 1001,
        org: "asso".into(),
        login: None,
        stream: Stream::Personal,
        mail,
        message_id: None,
        mail_from: None,
        recipient: None,
        report: false,
        token: None,
        what: What::Delivered { answer: Answer::default() },
    };
    Change::Done { mail, index, told, report: None }
}

fn is_done(mail: u64) -> bool {
    mail.is_multiple_of(3)
}

/// A spool as a node leaves it that was killed; answers with what is queued, by mail.
async fn spool(dir: &Path) -> BTreeMap<u64, Vec<u32>> {
    let work = TempDir::new();
    let first = Spool::open(work.path(), "a name").unwrap();
    fill(&first, 1..=MAILS).await;
    let waiting = first.outbox(usize::MAX >> 1).await.unwrap();
    first.outbox_taken(waiting[waiting.len() / 2].0).await.unwrap();
    close(first, work.path()).await;
    // Some more, of which the rows may not know yet.
    let second = Spool::open(work.path(), "a name").unwrap();
    fill(&second, MAILS + 1..=ALL).await;
    copy(work.path(), dir);
    let whole = TempDir::new();
    copy(work.path(), whole.path());
    queued(whole.path()).await
}

async fn fill(spool: &Spool, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers.clone() {
        assert_eq!(spool.accept(mail(number)).await.unwrap().mail.id, number);
    }
    for number in numbers.filter(|mail| is_done(*mail)) {
        let changes: Vec<Change> = (0..=(number % 3) as u32).map(|index| done(number, index)).collect();
        spool.record(changes).await.unwrap();
    }
}

/// Brings up the rows; and the last one who closes the database takes its log into it. Two who close at once may both
/// take the other for the last: then we are.
async fn close(spool: Spool, dir: &Path) {
    spool.whole_queue().await.unwrap();
    drop(spool);
    let database = dir.join(DATABASE);
    while with_end(&database, "-wal").exists() {
        drop(Connection::open(&database).unwrap().query_row("SELECT COUNT(*) FROM meta", [], |_| Ok(())));
        std::thread::yield_now();
    }
}

async fn queued(dir: &Path) -> BTreeMap<u64, Vec<u32>> {
    let spool = Spool::open(dir, "another name").unwrap();
    // All rows are up after it.
    spool.whole_queue().await.unwrap();
    let mut mails = BTreeMap::<u64, Vec<u32>>::new();
    for listed in spool.list(Filter { limit: 1_000_000, ..Filter::default() }).await.unwrap() {
        let (id, index) = (listed.mail.id, listed.recipient.index);
        assert_eq!(listed.recipient.address, address(id, index.into()));
        mails.entry(id).or_default().push(index);
    }
    mails
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// What the damage does to a page.
const WAYS: [fn(&mut [u8]); 4] = [
    |page| page.fill(0),
    |page| page.iter_mut().zip(0_u8..=255).for_each(|(octet, n)| *octet = n.wrapping_mul(31) ^ 0x5a),
    |page| page[1024..1536].fill(0),
    |page| page[3000..3016].fill(0xff),
];

#[tokio::test]
async fn whatever_page_is_hurt_every_mail_is_in_the_queue_or_in_the_folder() {
    let whole = TempDir::new();
    let before = spool(whole.path()).await;
    let database = fs::read(whole.path().join(DATABASE)).unwrap();
    let pages = database.len() / 4096;
    assert!(20 < pages, "{pages}");
    let mut tried = 0;
    for page in 0..pages {
        for (way, hurt) in WAYS.iter().enumerate() {
            let dir = TempDir::new();
            copy(whole.path(), dir.path());
            let mut bent = database.clone();
            hurt(&mut bent[page * 4096..(page + 1) * 4096]);
            fs::write(dir.path().join(DATABASE), &bent).unwrap();
            let place = format!("page {page}, way {way}");
            let Some(salvaged) = salvage(dir.path(), "a fresh name").unwrap_or_else(|error| panic!("{place}: {error}"))
            else {
                // Octets that mean nothing, or that SQLite does not look at.
                continue;
            };
            assert_eq!(fs::read(salvaged.kept_in.join(DATABASE)).unwrap(), bent, "{place}: the octets are kept");
            check(&place, dir.path(), &before, &salvaged).await;
            assert_eq!(salvage(dir.path(), "x").unwrap(), None, "{place}: the new one is whole");
            tried += 1;
        }
    }
    // Pages that are free, or newer in the log, need nothing.
    assert!(20 < tried, "only {tried} tries at {pages} pages");
}

async fn check(place: &str, dir: &Path, before: &BTreeMap<u64, Vec<u32>>, salvaged: &Salvaged) {
    let after = queued(dir).await;
    let spool = Spool::open(dir, "x").unwrap();
    for (mail, recipients) in before {
        let file = salvaged.kept_in.join(format!("mail-{mail}.eml"));
        match after.get(mail) {
            Some(left) => {
                let lost = recipients.iter().filter(|recipient| !left.contains(recipient)).count();
                assert!(left.iter().all(|recipient| recipients.contains(recipient)), "{place}: mail {mail}: {left:?}");
                assert!(lost == 0 || 0 < salvaged.pages + salvaged.rows, "{place}: mail {mail} lost {lost} recipients");
                assert_eq!(spool.content(*mail).await.unwrap(), content(*mail), "{place}: mail {mail}");
            }
            None => assert_eq!(fs::read(&file).unwrap_or_default(), content(*mail), "{place}: mail {mail} is nowhere"),
        }
    }
    // What is known to be done goes to nobody by itself.
    for (mail, _) in after.iter().filter(|(mail, _)| is_done(**mail)) {
        let held = spool.queued(*mail).await.unwrap().recipients.iter().all(|recipient| recipient.lane == Lane::Held);
        assert!(held, "{place}: mail {mail} was done");
    }
    assert!(before.len() - 60 < after.len(), "{place}: only {} of {}", after.len(), before.len());
    let next = spool.accept(mail(ALL + 1)).await.unwrap().mail.id;
    assert!(ALL < next, "{place}: number {next} is used again");
    let list = fs::read_to_string(salvaged.kept_in.join("list.txt")).unwrap();
    assert_eq!(list.matches(".eml").count() as u64, salvaged.loose, "{place}: {list}");
}

#[tokio::test]
async fn a_queue_without_damage_is_left_alone() {
    let dir = TempDir::new();
    spool(dir.path()).await;
    assert_eq!(salvage(dir.path(), "x").unwrap(), None);
    assert!(!dir.path().join("damaged-1").exists());
}

#[tokio::test]
async fn a_salvage_that_was_cut_off_goes_on_and_nothing_starts_meanwhile() {
    let dir = TempDir::new();
    let before = spool(dir.path()).await;
    let path = dir.path().join(DATABASE);
    close(Spool::open(dir.path(), "x").unwrap(), dir.path()).await;
    let mut bent = fs::read(&path).unwrap();
    bent[..4096].fill(0);
    fs::write(&path, &bent).unwrap();
    assert!(Spool::open(dir.path(), "x").is_err_and(|error| error.is_corrupt()));
    let first = salvage(dir.path(), "x").unwrap().unwrap();
    // As the power went after the old one's log was removed, before the new one had its name.
    fs::rename(&path, dir.path().join(FRESH)).unwrap();
    fs::write(&path, &bent).unwrap();
    fs::write(dir.path().join(UNFINISHED), serde_json::to_vec(&first).unwrap()).unwrap();
    assert!(matches!(Spool::open(dir.path(), "x"), Err(SpoolError::Unfinished)));
    assert_eq!(salvage(dir.path(), "x").unwrap(), Some(first));
    assert!(!dir.path().join(UNFINISHED).exists() && !dir.path().join(FRESH).exists());
    assert!(queued(dir.path()).await == before);
}

#[tokio::test]
async fn pages_are_read_as_sqlite_reads_them_also_from_its_log() {
    let dir = TempDir::new();
    let path = dir.path().join(DATABASE);
    let connection = rows::open(&path).unwrap();
    connection.execute_batch("PRAGMA wal_autocheckpoint = 0;").unwrap();
    let mut want = BTreeMap::new();
    for id in 0..300_i64 {
        // Short, longer than a page, longer than several.
        let told = format!("{{{}}}", "é".repeat(usize::try_from(id * 37 % 9000).unwrap()));
        connection.execute("INSERT INTO outbox (id, told) VALUES (?1, ?2)", params![id * 1_000_003, told]).unwrap();
        want.insert(id * 1_000_003, told);
    }
    for id in (0..300_i64).filter(|id| id % 7 == 0) {
        connection.execute("DELETE FROM outbox WHERE id = ?1", [id * 1_000_003]).unwrap();
        want.remove(&(id * 1_000_003));
    }
    let rows = |path: &Path| {
        let pages = Pages::open(path).unwrap();
        assert!(pages.free_known);
        let mut found = BTreeMap::new();
        for number in pages.numbers() {
            if let pages::Page::Rows { rows, damaged } = pages.page(number) {
                assert!(!damaged, "page {number}");
                for row in rows {
                    if let (Some(id), [pages::Field::Null, pages::Field::Text(told)]) = (row.rowid, &row.fields[..]) {
                        found.insert(id, told.clone());
                    }
                }
            }
        }
        found
    };
    assert!(fs::metadata(with_end(&path, "-wal")).unwrap().len() > 100_000);
    assert_eq!(rows(&path), want, "from the log");
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE);").unwrap();
    assert_eq!(rows(&path), want, "from the file");
}
