//! Seeded runs of a spool on a bad disk, with virtual time, against a model of what it promised.
//!
//! `SM2TP_SEED=N` repeats one run, `SM2TP_RUNS=N` makes more of them.

mod damage;
mod model;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rusqlite::Connection;
use sm2tp_proto::Address;
use sm2tp_proto::smtp::{MailOptions, RcptOptions};
use sm2tp_rules::Stream;
use tokio::sync::oneshot;

use self::model::{Ask, Hurt, Kept, Model, Reply, Waiting, waiting};
use super::bodies::{self, BodyAt, Place, Removal};
use super::disk::Disk;
use super::faulty::{Dice, EIO, EMFILE, ENOSPC, Fault, FaultyDisk};
use super::mail::{Change, Lane, NewMail, NewRecipient, Notice, Queued};
use super::writer::Question;
use super::{Opened, SpoolError, rows};
use crate::testing::TempDir;
use crate::told::{Answer, Told, What};

/// One run: a spool, its disk, the time, and what it promised.
struct Run {
    dice: Dice,
    disk: FaultyDisk,
    folder: TempDir,
    /// Each crash leaves the database in a new directory, as the power cut left it.
    directory: u32,
    opened: Option<Opened>,
    model: Model,
    /// Every outbox number ever seen and not taken, with its entry.
    numbers: BTreeMap<u64, String>,
    taken: u64,
    /// What was asked and not answered with a yes: the files may say it all the same, until something is written over it.
    in_doubt: Vec<Ask>,
    now: u64,
    serial: u64,
    /// Some row did not say where its body lies, since the last start: no file may go.
    some_place_lost: bool,
    done: Counts,
}

#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    accepted: usize,
    refused: usize,
    recorded: usize,
    crashes: usize,
    stops: usize,
    removed: usize,
    damaged: usize,
}

impl Run {
    fn new(seed: u64) -> Self {
        let disk = FaultyDisk::new(seed ^ 0xd15c);
        let (folder, model) = (TempDir::quick(), Model::default());
        std::fs::create_dir(folder.path().join("0")).unwrap();
        let mut run = Self {
            dice: Dice(seed),
            disk,
            folder,
            directory: 0,
            opened: None,
            model,
            numbers: BTreeMap::new(),
            taken: 0,
            in_doubt: Vec::new(),
            now: 1_700_000_000,
            serial: 0,
            some_place_lost: false,
            done: Counts::default(),
        };
        run.open();
        run
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join(self.directory.to_string())
    }

    fn place(&self) -> Place {
        Place { disk: Arc::new(self.disk.clone()), dir: PathBuf::from("/bodies") }
    }

    fn open(&mut self) {
        let database = self.dir().join("queue.sqlite");
        let opened = Opened::open(&database, self.place(), "one", SEGMENT_OCTETS_MAX, FREE_MIN).unwrap();
        assert_eq!(opened.name, "one");
        self.some_place_lost = rows::bodies(&opened.reader).unwrap().1 == Removal::Never;
        self.opened = Some(opened);
    }

    /// Brings the rows up to what was promised.
    fn fold(&mut self) {
        let (to, mut answer) = oneshot::channel();
        self.opened.as_mut().unwrap().writer.serve(vec![Question::Fold(to).into()]);
        answer.try_recv().unwrap().unwrap();
    }

    fn reader(&self) -> &Connection {
        &self.opened.as_ref().unwrap().reader
    }

    /// Some time passes; sometimes the clock jumps a day, either way.
    fn pass(&mut self) {
        self.now = match self.dice.below(40) {
            0 => self.now + 86_400,
            1 => self.now - 86_400,
            _ => self.now + self.dice.roll() % 100,
        };
    }

    fn address(&mut self) -> Address {
        Address::parse(&format!("u{}@d{}.example", self.serial, self.dice.below(5))).unwrap()
    }

    fn new_mail(&mut self, is_report: bool) -> NewMail {
        self.serial += 1;
        let size = if self.dice.once_in(20) { 20_000 } else { self.dice.below(1500) };
        let content: Vec<u8> = format!("{} ", self.serial).into_bytes().into_iter().cycle().take(size).collect();
        let count = if is_report { 1 } else { 1 + self.dice.below(4) };
        let recipients = (0..count).map(|_| NewRecipient {
            address: self.address(),
            lane: [Lane::Normal, Lane::Normal, Lane::Slow, Lane::Held][self.dice.below(4)],
            note: self.dice.once_in(3).then(|| "a note".into()),
            stopped: self.serial.is_multiple_of(5),
            canary: !is_report && self.dice.once_in(10),
            options: RcptOptions::default(),
        });
        NewMail {
            org: "asso".into(),
            login: None,
            stream: Stream::Personal,
            recipients: recipients.collect(),
            mail_from: (!is_report).then(|| self.address()),
            message_id: Some(format!("{}@asso.example", self.serial)),
            received_at: self.now,
            held_until: self.now + 86_400,
            content: content.into(),
            is_report,
            stream_by: None,
            options: MailOptions { utf8: self.dice.once_in(5), ..MailOptions::default() },
        }
    }

    fn told(&self, mail: u64, what: What) -> Told {
        let (org, stream) = ("asso".to_owned(), Stream::Personal);
        let (login, message_id, mail_from, recipient) = (None, None, None, None);
        Told {
            v: Told::VERSION,
            at: self.now,
            org,
            login,
            stream,
            mail,
            message_id,
            mail_from,
            recipient,
            token: None,
            report: false,
            what,
        }
    }

    /// What became of one recipient, mostly of one that waits.
    fn new_change(&mut self) -> Change {
        let nth = self.dice.below(self.model.mails.len());
        let mail = self.model.mails.keys().nth(nth).copied().unwrap_or(7);
        let index = u32::try_from(self.dice.below(4)).unwrap();
        let next_at = self.now + 300;
        match self.dice.below(6) {
            0 => {
                let told = self.dice.once_in(2).then(|| self.told(mail, What::Deferred { answer: Answer::default() }));
                let notice = match self.dice.below(4) {
                    0 => Notice::Carried(Box::new(self.new_mail(true))),
                    1 => Notice::Shared,
                    _ => Notice::None,
                };
                Change::Deferred { mail, index, attempts: 1, next_at, note: "450 later".into(), told, notice }
            }
            1 => Change::Move { mail, index, lane: Lane::Held, next_at, note: None },
            _ => {
                let told = self.told(mail, What::Delivered { answer: Answer::default() });
                let report = self.dice.once_in(4).then(|| Box::new(self.new_mail(true)));
                Change::Done { mail, index, told, report }
            }
        }
    }

    fn new_ask(&mut self) -> Ask {
        // About as many recipients come as go.
        match self.dice.below(10) {
            0..=3 => Ask::Accept(self.new_mail(false)),
            4 => {
                let ids: Vec<u64> = self.numbers.keys().copied().collect();
                Ask::Taken(ids.get(self.dice.below(ids.len())).copied().unwrap_or(0))
            }
            _ => Ask::Record((0..=self.dice.below(4)).map(|_| self.new_change()).collect()),
        }
    }

    /// Lets the writer do these as one group; answers with what it said to each.
    fn serve(&mut self, asks: &[Ask]) -> Vec<Result<Vec<Queued>, SpoolError>> {
        let (jobs, replies): (Vec<_>, Vec<_>) = asks.iter().map(|ask| ask.clone().job()).unzip();
        let (leads, writer) = (self.dice.once_in(4), &mut self.opened.as_mut().unwrap().writer);
        if leads {
            writer.lead(jobs)
        } else {
            writer.serve(jobs)
        }
        replies.into_iter().map(Reply::result).collect()
    }

    fn follow(&mut self, asks: &[Ask], answers: &[Result<Vec<Queued>, SpoolError>]) {
        if answers.iter().any(Result::is_ok) {
            self.in_doubt.clear();
        }
        for (ask, answer) in asks.iter().zip(answers) {
            match (ask, answer) {
                (_, Ok(made)) => {
                    let outbox: Vec<u64> = self.numbers.keys().copied().collect();
                    self.model.follow(ask, made, &outbox);
                    match ask {
                        Ask::Accept(_) => self.done.accepted += 1,
                        Ask::Record(_) => self.done.recorded += 1,
                        Ask::Taken(up_to) => {
                            self.numbers.retain(|id, _| up_to < id);
                            self.taken = self.taken.max(*up_to);
                        }
                    }
                    self.look_at_outbox();
                }
                (_, Err(_)) => {
                    self.done.refused += 1;
                    self.in_doubt.push(ask.clone());
                }
            }
        }
    }

    /// What the ledger would be given: the rows, and what is not in them yet.
    fn outbox(&self) -> Vec<(u64, String)> {
        let page = rows::outbox(self.reader(), self.taken, u64::MAX, 100_000).unwrap();
        assert_eq!(page.unreadable, [0_u64; 0]);
        let behind = self.opened.as_ref().unwrap().behind.lock().unwrap();
        let entries = page.entries.iter().chain(behind.untaken.to_fold());
        entries.map(|(id, told)| (*id, format!("{} {}", told.mail, told.kind()))).collect()
    }

    /// Remembers which numbers the outbox gives, so that none is seen with two entries.
    fn look_at_outbox(&mut self) {
        for (id, line) in self.outbox() {
            let last = self.numbers.keys().next_back().copied();
            match self.numbers.insert(id, line.clone()) {
                Some(before) => assert_eq!(before, line, "outbox number {id} was given twice"),
                None => assert!(last.is_none_or(|last| last < id), "outbox number {id} after {last:?}"),
            }
        }
    }

    fn step(&mut self) {
        self.pass();
        match self.dice.below(100) {
            0..=3 => self.restart(),
            4..=7 => self.kill(),
            8..=11 => self.cut_in_fold(),
            12 => self.hurt_body(),
            13 => self.hurt_row(),
            14 => self.hurt_outbox(),
            15 => self.disk.leave_free(self.dice.below(4000)),
            16..=20 => self.disk.empty_a_bit(),
            n => self.work(n < 50),
        }
        if self.dice.once_in(5) {
            self.check();
        }
    }

    fn work(&mut self, faulty: bool) {
        let fault = match self.dice.below(12) {
            0 => Fault::Sync,
            1 | 2 => Fault::PowerCut,
            3 => Fault::Write(EIO),
            4 => Fault::Write(ENOSPC),
            5 => Fault::ShortWrite(ENOSPC),
            6 => Fault::ShortWrite(EIO),
            7 => Fault::Read(EIO),
            8 => Fault::Read(EMFILE),
            9 => Fault::Create(EMFILE),
            10 => Fault::Create(ENOSPC),
            _ => Fault::Remove(EIO),
        };
        let asks: Vec<Ask> = (0..=self.dice.below(6)).map(|_| self.new_ask()).collect();
        self.disk.arm(faulty.then_some(fault));
        let answers = self.serve(&asks);
        self.disk.arm(None);
        self.follow(&asks, &answers);
        if self.disk.sync_failed() {
            self.stopped();
        }
        if self.disk.is_off() {
            self.power_cut();
        }
    }

    /// After a failed sync nothing is promised any more, and nothing is tried, until the next start (I4).
    fn stopped(&mut self) {
        self.done.stops += 1;
        let asks = [Ask::Accept(self.new_mail(false)), Ask::Taken(0)];
        for answer in self.serve(&asks) {
            assert!(matches!(answer, Err(SpoolError::Stopped | SpoolError::Full { .. })), "{answer:?}");
        }
        assert!(!self.disk.written_after_failed_sync());
        self.power_cut();
    }

    fn restart(&mut self) {
        self.opened = None;
        self.open();
        self.adopt();
        self.check();
    }

    /// What was not answered with a yes may have been done all the same, each ask wholly or not at all: the client will send
    /// again, the relay deliver again. Anything else must be as it was promised.
    fn adopt(&mut self) {
        let in_doubt = std::mem::take(&mut self.in_doubt);
        if in_doubt.is_empty() {
            return;
        }
        let about: BTreeSet<u64> = in_doubt.iter().flat_map(Ask::about).collect();
        let contents: Vec<Bytes> = in_doubt.iter().flat_map(Ask::contents).collect();
        for queued in rows::load(self.reader(), None).unwrap() {
            let (id, mut recipients) = (queued.mail.id, waiting(&queued));
            match self.model.mails.get(&id) {
                None => {
                    let at = rows::body_at(self.reader(), id).unwrap().unwrap();
                    let content: Bytes = bodies::read(&self.place(), id, at).unwrap().into();
                    assert!(contents.contains(&content), "nobody sent mail {id}");
                    let is_report = queued.mail.is_report;
                    self.model.mails.insert(id, Kept { content, recipients, is_report, hurt: None });
                }
                Some(kept) if about.contains(&id) => {
                    let unreadable = kept.recipients.iter().filter(|(_, waiting)| !waiting.is_readable);
                    let unreadable =
                        unreadable.filter(|(index, _)| rows::is_there(self.reader(), id, **index).unwrap());
                    recipients.extend(unreadable.map(|(index, waiting)| (*index, *waiting)));
                    self.model.mails.get_mut(&id).unwrap().recipients = recipients;
                }
                Some(_) => {}
            }
        }
        let loaded: BTreeSet<u64> =
            rows::load(self.reader(), None).unwrap().iter().map(|found| found.mail.id).collect();
        let reader = &self.opened.as_ref().unwrap().reader;
        self.model.mails.retain(|id, kept| {
            if about.contains(id) && matches!(kept.hurt, Some(Hurt::Row | Hurt::Place(_))) {
                kept.recipients.retain(|index, _| rows::is_there(reader, *id, *index).unwrap());
                return !kept.recipients.is_empty();
            }
            loaded.contains(id) || !about.contains(id)
        });
        let taken = in_doubt.iter().map(|ask| if let Ask::Taken(up_to) = ask { *up_to } else { 0 }).max().unwrap_or(0);
        let found = self.outbox();
        let there = |line: &String| found.iter().any(|(_, found)| found == line);
        assert!(self.numbers.iter().all(|(id, line)| *id <= taken || there(line)), "a happening is lost");
        self.numbers = found.into_iter().collect();
        self.model.told = self.numbers.values().cloned().collect();
    }

    /// SIGKILL: what was written is there, synced or not.
    fn kill(&mut self) {
        self.move_database(|_, bytes| bytes);
        self.open();
        self.adopt();
        self.check();
    }

    fn power_cut(&mut self) {
        self.done.crashes += 1;
        self.disk.restart();
        self.kill();
    }

    /// The power goes while SQLite commits: of what this commit wrote, any part may be there, or garbage. The files have it
    /// all.
    fn cut_in_fold(&mut self) {
        let asks: Vec<Ask> = (0..=self.dice.below(4)).map(|_| self.new_ask()).collect();
        let answers = self.serve(&asks);
        self.follow(&asks, &answers);
        let before = self.database_files();
        let removals = self.disk.removals();
        self.fold();
        let after = self.database_files();
        // A checkpoint in between, or a file that was removed since, belongs to a later moment.
        if before.get("queue.sqlite") == after.get("queue.sqlite") && removals == self.disk.removals() {
            let mut dice = Dice(self.dice.roll());
            let wal = before.get("queue.sqlite-wal").cloned().unwrap_or_default();
            self.move_database(|name, bytes| if name.ends_with("-wal") { torn(&wal, bytes, &mut dice) } else { bytes });
            self.done.crashes += 1;
            self.disk.restart();
            self.open();
            self.adopt();
        }
        self.check();
    }

    fn database_files(&self) -> BTreeMap<String, Vec<u8>> {
        let entries = std::fs::read_dir(self.dir()).unwrap().map(Result::unwrap);
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        entries.map(|entry| (name(&entry.path()), std::fs::read(entry.path()).unwrap())).collect()
    }

    /// Leaves the database files, changed by `change`, in a new directory, and ends the writer. The index of the log is in
    /// memory and not part of it.
    fn move_database(&mut self, mut change: impl FnMut(&str, Vec<u8>) -> Vec<u8>) {
        let files = self.database_files();
        self.opened = None;
        std::fs::remove_dir_all(self.dir()).unwrap();
        self.directory += 1;
        std::fs::create_dir(self.dir()).unwrap();
        for (name, bytes) in files.into_iter().filter(|(name, _)| !name.ends_with("-shm")) {
            std::fs::write(self.dir().join(&name), change(&name, bytes)).unwrap();
        }
    }

    /// The first thing in queue and outbox that is not as this model says.
    fn difference(&self, model: &Model) -> Option<String> {
        let loaded = rows::load(self.reader(), None).unwrap();
        let found = loaded.iter().map(|queued| (queued.mail.id, waiting(queued))).collect::<BTreeMap<_, _>>();
        let wanted = model.mails.iter().filter(|(_, kept)| !matches!(kept.hurt, Some(Hurt::Row | Hurt::Place(_))));
        let wanted: BTreeMap<u64, BTreeMap<u32, Waiting>> = wanted
            .map(|(id, kept)| (*id, kept.recipients.clone().into_iter().filter(|(_, r)| r.is_readable).collect()))
            .collect();
        let ids = wanted.keys().chain(found.keys());
        let mail = ids.copied().find(|id| wanted.get(id) != found.get(id));
        let told: Vec<String> = self.outbox().into_iter().map(|(_, line)| line).collect();
        mail.map(|id| format!("mail {id}: promised {:?}, found {:?}", wanted.get(&id), found.get(&id)))
            .or_else(|| (told != model.told).then(|| format!("outbox: promised {:?}, found {told:?}", model.told)))
    }

    /// All that was promised is there, with the octets that were given; nothing else is.
    fn check(&mut self) {
        if self.dice.once_in(5) {
            self.find_all();
        }
        self.fold();
        if let Some(difference) = self.difference(&self.model) {
            panic!("{difference}");
        }
        self.look_at_outbox();
        for (id, kept) in &self.model.mails {
            match kept.hurt {
                None | Some(Hurt::Row) => {
                    let at = rows::body_at(self.reader(), *id).unwrap().unwrap();
                    let found = bodies::read(&self.place(), *id, at);
                    assert!(found.is_ok_and(|found| *found == *kept.content), "the body of mail {id} at {at:?}");
                }
                Some(Hurt::Body) => {
                    let at = rows::body_at(self.reader(), *id).unwrap().unwrap();
                    let path = bodies::segment_path(Path::new("/bodies"), at.segment);
                    assert!(self.disk.octets(&path).is_some(), "the damaged octets of mail {id} are gone");
                }
                Some(Hurt::Place(at) | Hurt::Offset(at)) => {
                    assert!(
                        bodies::read(&self.place(), *id, at).is_ok(),
                        "the body of mail {id}, whose row is damaged"
                    );
                }
            }
            assert!(!kept.is_report || kept.recipients.len() == 1);
        }
        self.check_files();
    }

    /// Each mail is found as it stands, whether its rows are up or not.
    fn find_all(&mut self) {
        let sound = |kept: &Kept| kept.hurt.is_none() && kept.recipients.values().all(|waiting| waiting.is_readable);
        let mails: Vec<u64> = self.model.mails.iter().filter(|(_, kept)| sound(kept)).map(|(id, _)| *id).collect();
        for id in mails {
            let mut found = self.find(id);
            if bodies::read(&self.place(), id, found.1).is_err() {
                // It was moved after it was found.
                found = self.find(id);
            }
            assert_eq!(waiting(&found.0), self.model.mails[&id].recipients, "mail {id}");
            assert!(bodies::read(&self.place(), id, found.1).is_ok(), "mail {id} at {:?}", found.1);
        }
    }

    fn find(&mut self, mail: u64) -> (Queued, BodyAt) {
        let (to, mut answer) = oneshot::channel();
        self.opened.as_mut().unwrap().writer.serve(vec![Question::Find(mail, to).into()]);
        answer.try_recv().unwrap().unwrap()
    }

    /// The disk is not filled with what nobody needs.
    fn check_files(&mut self) {
        self.opened.as_mut().unwrap().writer.serve(Vec::new());
        if !self.some_place_lost {
            let (named, _) = rows::bodies(self.reader()).unwrap();
            let files = self.disk.list(Path::new("/bodies")).unwrap();
            let idle = files.iter().filter_map(|(path, _)| bodies::segment_number(path));
            let idle: Vec<u64> = idle.filter(|number| named.iter().all(|at| at.segment != *number)).collect();
            assert!(idle.len() <= 1, "files that no mail needs, besides the one that grows: {idle:?}");
        }
    }

    /// Whatever happened before: on a sound disk with room, mail is taken again.
    fn goes_on(&mut self) {
        self.disk.empty_a_bit();
        let asks = [Ask::Accept(self.new_mail(false))];
        let answers = self.serve(&asks);
        assert!(answers[0].is_ok(), "{answers:?}");
        self.follow(&asks, &answers);
        self.check();
    }
}

/// A log as a power cut leaves it: sectors that this commit wrote are old, new or garbage.
fn torn(before: &[u8], mut after: Vec<u8>, dice: &mut Dice) -> Vec<u8> {
    let from = before.iter().zip(&after).take_while(|(old, new)| old == new).count();
    let end = from + dice.below(after.len() - from + 1);
    if dice.once_in(2) {
        // In order, up to a point.
        let rest: Vec<u8> = before.get(end..).unwrap_or_default().to_vec();
        after.truncate(end);
        after.extend(rest);
        return after;
    }
    for sector in (from / SECTOR * SECTOR..after.len()).step_by(SECTOR) {
        for at in sector.max(from)..(sector + SECTOR).min(after.len()) {
            match dice.0 % 3 {
                0 => after[at] = before.get(at).copied().unwrap_or(0),
                1 => after[at] = u8::try_from(dice.roll() & 0xff).unwrap(),
                _ => {}
            }
        }
        dice.roll();
    }
    after
}

fn run(seed: u64) -> Counts {
    let mut run = Run::new(seed);
    for step in 0..STEPS {
        run.step();
        if step % 50 == 49 {
            run.goes_on();
        }
    }
    run.restart();
    run.done.removed = run.disk.removals();
    run.done
}

#[test]
fn nothing_that_was_promised_is_lost_on_a_bad_disk() {
    let number = |name: &str| std::env::var(name).ok().map(|value| value.parse::<u64>().expect(name));
    let first = number("SM2TP_SEED").unwrap_or(1);
    let runs = number("SM2TP_RUNS").unwrap_or(if number("SM2TP_SEED").is_some() { 1 } else { RUNS });
    let mut all = Counts::default();
    for seed in first..first + runs {
        println!("seed {seed}: repeat with SM2TP_SEED={seed}");
        let done = run(seed);
        all.accepted += done.accepted;
        all.refused += done.refused;
        all.recorded += done.recorded;
        all.crashes += done.crashes;
        all.stops += done.stops;
        all.removed += done.removed;
        all.damaged += done.damaged;
    }
    println!("{runs} runs: {all:?}");
    assert!(0 < all.stops && 0 < all.crashes && 0 < all.removed && 0 < all.damaged && all.refused < all.accepted);
}

/// Small, so that files are closed, compacted and removed all the time.
const SEGMENT_OCTETS_MAX: u64 = 8 * 1024;
const FREE_MIN: u64 = 2000;
const SECTOR: usize = 512;
const STEPS: usize = 300;
/// About ten seconds on a slow machine.
const RUNS: u64 = 6;
