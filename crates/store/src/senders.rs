//! How senders stand: the memories of the sender watch, asked by doors, fed by what became of mail, kept over restarts.
//!
//! Everything is in memory and answers at once; what changed is written to the ledger's file in batches, some time later
//! ([`Senders::save`]). A node that is killed forgets the last seconds of its senders, and nothing else.

mod others;
mod rows;

use std::collections::{BTreeSet, HashMap};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use serde::Serialize;
use sha2::{Digest, Sha256};
use sm2tp_proto::Address;
use sm2tp_rules::places::Places;
use sm2tp_rules::returned::Counts;
use sm2tp_rules::watch::{
    Answer, Attempt, BlocksEnd, By, Level, Limits, Org, Reason, Release, Shown, Standing, Told as Became, Watch,
};
use sm2tp_rules::{Cause, Fate, Stream};
use tokio::sync::Notify;

use self::others::Untold;
use self::rows::{keep, keep_mode, kept, kept_mode};

use crate::ledger::{Ledger, LedgerError};
use crate::returns::Sent;
use crate::told::{Told, What};

/// The senders of one node; clones share them.
#[derive(Clone)]
pub struct Senders(Arc<Inner>);

/// What the watch may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Nothing is counted.
    Off,
    /// Everything is counted and shown, and all mail goes on but that of whom a person stopped.
    Observe,
    /// As [`Mode::Enforce`], and the numbers of a sender count when it is known ([`Limits::learn_s`]).
    Learn,
    Enforce,
}

/// A recipient whom a client names at a door.
#[derive(Debug, Clone, Copy)]
pub struct Named<'a> {
    pub recipient: &'a Address,
    /// How many recipients the mail had before.
    pub before: usize,
    pub client: Option<IpAddr>,
    /// The stream of the account.
    pub stream: Stream,
    /// It was refused or held for what is known of the address.
    pub suppressed: bool,
}

/// Which sender: its organisation, and its login or sender address.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SenderId {
    pub org: Arc<str>,
    pub name: Arc<str>,
}

/// What became of one recipient of a sender.
#[derive(Debug, Clone)]
pub struct Heard {
    id: SenderId,
    answer: Answer,
}

/// A sender in a list.
#[derive(Debug, Clone, Serialize)]
pub struct Listed {
    pub org: String,
    pub sender: String,
    pub level: Level,
    pub by: By,
    /// Unix seconds.
    pub last: u64,
    /// Why, as sentences.
    pub english: Vec<String>,
    pub french: Vec<String>,
}

/// What a person decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    Slow,
    Block,
    Release(Release),
}

impl Decision {
    fn carry_out(self, watch: &mut Watch, note: &str, now: u64) {
        match self {
            Self::Slow => watch.set(Level::Slow, note, now),
            Self::Block => watch.set(Level::Blocked, note, now),
            Self::Release(how) => watch.release(how, note, now),
        }
    }
}

struct Inner {
    mode: Mode,
    limits: Limits,
    /// Of the hashes of recipients, so that nobody can look an address up in a copy of the file without it.
    key: [u8; 32],
    /// Whose network a client is in; empty where no table was given.
    places: RwLock<Arc<Places>>,
    orgs: Mutex<HashMap<Arc<str>, Arc<Mutex<Org>>>>,
    /// What is to be written.
    unsaved: Mutex<BTreeSet<SenderId>>,
    /// Whose level changed, for those who move their mail.
    changed: Mutex<BTreeSet<SenderId>>,
    notify: Notify,
    /// What the other machines of this node do not know yet; none: there are no others.
    untold: Option<Mutex<Untold>>,
}

impl Mode {
    /// Whether mail is slowed and stopped for what the watch finds.
    #[must_use]
    pub fn acts(self) -> bool {
        matches!(self, Self::Learn | Self::Enforce)
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Observe => "observe",
            Self::Learn => "learn",
            Self::Enforce => "enforce",
        }
    }
}

impl SenderId {
    /// Who has a login is known by it; in a trusted network a sender is its address.
    #[must_use]
    pub fn new(org: &str, login: Option<&str>, mail_from: Option<&Address>) -> Option<Self> {
        let name = match (login, mail_from) {
            (Some(login), _) => login.to_owned(),
            (None, Some(from)) => from.clear(),
            // Reports have no sender.
            (None, None) => return None,
        };
        Some(Self { org: org.into(), name: name.into() })
    }

    /// As [`Self::new`], from texts: the same sender has the same name, however its domain was written.
    fn of(org: &str, login: Option<&str>, mail_from: Option<&str>) -> Option<Self> {
        let mail_from = mail_from.filter(|_| login.is_none()).and_then(|from| Address::parse(from).ok());
        Self::new(org, login, mail_from.as_ref())
    }
}

/// What a batch of happenings says about senders. Reports of ours, and what is tried again, say nothing.
#[must_use]
pub fn heard(batch: &[(u64, Told)]) -> Vec<Heard> {
    batch.iter().filter_map(|(_, told)| hear(told)).collect()
}

/// [`heard`] of one.
#[must_use]
pub fn hear(told: &Told) -> Option<Heard> {
    if told.report {
        return None;
    }
    let verdict = told.answer().and_then(|answer| answer.verdict.as_ref());
    let became = match &told.what {
        What::Delivered { .. } => Became::Delivered,
        What::Bounced { .. } => {
            verdict.and_then(|verdict| Became::of(verdict.cause, Fate::Final)).unwrap_or(Became::Other)
        }
        _ => return None,
    };
    let id = SenderId::of(&told.org, told.login.as_deref(), told.mail_from.as_deref())?;
    Some(Heard { id, answer: Answer { at: told.at, told: became } })
}

impl Senders {
    /// Reads what was kept. `key` is a secret of this node.
    ///
    /// # Errors
    /// [`LedgerError`] where the file cannot be read. A memory of another version or with damage is left out.
    pub async fn open(ledger: &Ledger, mode: Mode, limits: Limits, key: [u8; 32]) -> Result<Self, LedgerError> {
        let (rows, before) = ledger.read(|sql| Ok((kept(sql)?, kept_mode(sql)?))).await?;
        // What was only to be shown must not stop anybody on the day when it is to be enforced.
        let is_new = mode.acts() && before.as_deref() == Some(Mode::Observe.as_str());
        ledger.write(move |sql| Ok(keep_mode(sql, mode)?)).await?;
        let limits = match mode {
            Mode::Learn => limits,
            Mode::Enforce => Limits { learn_s: 0, ..limits },
            Mode::Observe | Mode::Off => Limits { blocks_end: BlocksEnd::Calm, learn_s: 0, ..limits },
        };
        let mut orgs = HashMap::<Arc<str>, Vec<(Arc<str>, Watch)>>::new();
        for (org, name, bytes) in rows {
            match Watch::from_bytes(&bytes) {
                Ok(mut watch) => {
                    if is_new {
                        watch.forgive(watch.last());
                    }
                    orgs.entry(org.into()).or_default().push((name.into(), watch));
                }
                Err(error) => tracing::warn!(org, %error, "a sender is met anew"),
            }
        }
        // A node that was killed may not have moved their mail yet.
        let is_unusual = |(name, watch): &(Arc<str>, Watch)| !name.is_empty() && watch.stood().0 != Level::Normal;
        let unusual = orgs.iter().flat_map(|(org, watches)| {
            let unusual = watches.iter().filter(|watch| is_unusual(watch));
            unusual.map(|(name, _)| SenderId { org: org.clone(), name: name.clone() })
        });
        let unusual = unusual.collect();
        let orgs = orgs.into_iter().map(|(org, watches)| (org, Arc::new(Mutex::new(restored(watches)))));
        Ok(Self(Arc::new(Inner {
            mode,
            limits,
            key,
            places: RwLock::default(),
            orgs: Mutex::new(orgs.collect()),
            unsaved: Mutex::default(),
            changed: Mutex::new(unusual),
            notify: Notify::new(),
            untold: ledger.is_shared().then(Mutex::default),
        })))
    }

    #[must_use]
    pub fn mode(&self) -> Mode {
        self.0.mode
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The table of networks in use.
    #[must_use]
    pub fn places(&self) -> Arc<Places> {
        self.0.places.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Uses another table of networks from now on.
    pub fn know_places(&self, places: Places) {
        *self.0.places.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(places);
    }

    /// How a sender stands, as far as the watch may do something about it.
    #[must_use]
    pub fn standing(&self, id: &SenderId, now: u64) -> Standing {
        if self.0.mode == Mode::Off || self.org(&id.org).is_none() {
            return Standing::Normal;
        }
        self.judge(id, now, |org| self.enforced(org, &id.name, now))
    }

    /// Counts a recipient, and says how the sender stands now.
    pub fn named(&self, id: &SenderId, named: &Named<'_>, now: u64) -> Standing {
        if self.0.mode == Mode::Off {
            return Standing::Normal;
        }
        let fact = self.fact(named, now);
        let limits = &self.0.limits;
        self.tell(id, || others::What::of_attempt(&fact));
        self.judge(id, now, |org| {
            org.attempt(&id.name, &fact, limits, now);
            self.enforced(org, &id.name, now)
        })
    }

    /// Counts what became of mail.
    pub fn learn(&self, heard: &[Heard], now: u64) {
        heard.iter().for_each(|heard| self.answered(&heard.id, &heard.answer, now));
    }

    /// Counts what a report says of a mail that was delivered.
    pub fn returned(&self, sent: &Sent, counts: Counts, cause: Option<Cause>, now: u64) {
        let told = match counts {
            Counts::Bounce => cause.and_then(|cause| Became::of(cause, Fate::Final)).unwrap_or(Became::Other),
            Counts::Complaint => Became::Complaint,
            _ => return,
        };
        if let Some(id) = SenderId::of(&sent.org, sent.login.as_deref(), sent.mail_from.as_deref()) {
            self.answered(&id, &Answer { at: now, told }, now);
        }
    }

    /// Counts a recipient of whom a log tells, in the time of the log.
    pub fn logged(&self, id: &SenderId, named: &Named<'_>, at: u64, now: u64) {
        if self.0.mode != Mode::Off {
            let fact = self.fact(named, at);
            self.tell(id, || others::What::of_attempt(&fact));
            self.in_time(id, at, now, |org, limits, now| {
                org.attempt(&id.name, &fact, limits, now);
            });
        }
    }

    /// Counts what became of mail of which a log tells, in the time of the log.
    pub fn learn_logged(&self, heard: &Heard, now: u64) {
        let Heard { id, answer } = heard;
        self.tell(id, || others::What::of_answer(answer));
        if self.0.mode != Mode::Off && self.org(&id.org).is_some() {
            self.in_time(id, answer.at, now, |org, limits, now| {
                org.answered(&id.name, answer, limits, now);
            });
        }
    }

    /// A log that was written while nobody read it is lived through as it went, so that days and hours are learned from it;
    /// what is over stops nobody. Where others tell of the same organisation meanwhile, the time does not go back.
    fn in_time(&self, id: &SenderId, at: u64, now: u64, count: impl FnOnce(&mut Org, &Limits, u64)) {
        self.judge(id, at.min(now), |org| {
            let then = at.max(org.whole().last()).min(now);
            let limits = &self.0.limits;
            match LATE_S <= now - then {
                true => org.late(&id.name, then, |org| count(org, limits, then)),
                false => count(org, limits, then),
            }
        });
    }

    fn fact(&self, named: &Named<'_>, at: u64) -> Attempt {
        Attempt {
            at,
            recipient: self.hash(named.recipient),
            named: u32::try_from(named.before).unwrap_or(u32::MAX),
            client: named.client,
            place: named.client.and_then(|client| self.places().of(client)),
            stream: named.stream,
            suppressed: named.suppressed,
        }
    }

    fn answered(&self, id: &SenderId, answer: &Answer, now: u64) {
        self.tell(id, || others::What::of_answer(answer));
        // Nobody is met by an answer: a sender that was forgotten, or whose organisation is gone, stays so.
        if self.0.mode != Mode::Off && self.org(&id.org).is_some() {
            self.judge(id, now, |org| org.answered(&id.name, answer, &self.0.limits, now));
        }
    }

    /// All senders, those that are not normal first.
    #[must_use]
    pub fn list(&self, now: u64) -> Vec<Listed> {
        let mut all = Vec::new();
        for (name, org) in self.all() {
            let mut org = lock(&org);
            let senders: Vec<Arc<str>> = org.senders().map(|(sender, _)| sender.into()).collect();
            for sender in senders {
                let level = org.level(&sender, &self.0.limits, now);
                let Some(watch) = org.known_mut(&sender) else { continue };
                let english = watch.reasons().iter().map(Reason::english).collect();
                let french = watch.reasons().iter().map(Reason::french).collect();
                all.push(Listed {
                    org: name.to_string(),
                    sender: sender.to_string(),
                    level,
                    by: watch.stood().1,
                    last: watch.last(),
                    english,
                    french,
                });
            }
        }
        all.sort_by(|a, b| (b.level, &a.org, &a.sender).cmp(&(a.level, &b.org, &b.sender)));
        all
    }

    /// How many are blocked.
    #[must_use]
    pub fn blocked(&self) -> usize {
        let count = |org: &Org| org.senders().filter(|(_, watch)| watch.stood().0 == Level::Blocked).count();
        self.all().iter().map(|(_, org)| count(&lock(org))).sum()
    }

    /// Organisations in which a sender of this name has written.
    #[must_use]
    pub fn orgs_of(&self, name: &str) -> Vec<Arc<str>> {
        let has = |org: &Org| org.senders().any(|(sender, _)| sender == name);
        self.all().into_iter().filter(|(_, org)| has(&lock(org))).map(|(name, _)| name).collect()
    }

    /// The evidence about a sender, and about its organisation as a whole.
    #[must_use]
    pub fn show(&self, id: &SenderId, now: u64) -> Option<(Shown, Shown)> {
        let org = self.org(&id.org)?;
        let mut org = lock(&org);
        let limits = &self.0.limits;
        org.level(&id.name, limits, now);
        let places = self.places();
        let whole = org.whole().shown(limits, &places);
        let watch = org.known_mut(&id.name)?;
        watch.refresh(limits, now);
        Some((watch.shown(limits, &places), whole))
    }

    /// A person decides about a sender, which may be one that never wrote.
    pub fn decide(&self, id: &SenderId, decision: Decision, note: &str, stream: Stream, now: u64) {
        self.tell(id, || others::What::of_decision(decision, note, stream, now));
        self.decided(id, decision, note, stream, now);
    }

    fn decided(&self, id: &SenderId, decision: Decision, note: &str, stream: Stream, now: u64) {
        self.with(id, now, |org| decision.carry_out(org.sender(&id.name, stream, now), note, now));
    }

    /// A mailing will come.
    pub fn announce(&self, id: &SenderId, recipients: u32, until: u64, note: &str, stream: Stream, now: u64) {
        self.tell(id, || others::What::Announced { at: now, recipients, until, note: note.to_owned(), stream });
        self.announced(id, recipients, until, note, stream, now);
    }

    fn announced(&self, id: &SenderId, recipients: u32, until: u64, note: &str, stream: Stream, now: u64) {
        self.with(id, now, |org| org.sender(&id.name, stream, now).announce(recipients, until, note));
    }

    /// An organisation is gone, and its senders with it.
    pub fn forget(&self, org: &str) {
        self.tell(&whole_of(org), || others::What::Forgotten);
        self.forgotten(org);
    }

    fn forgotten(&self, org: &str) {
        let removed = lock(&self.0.orgs).remove(org);
        let Some(removed) = removed else { return };
        let mut unsaved = lock(&self.0.unsaved);
        unsaved.insert(whole_of(org));
        unsaved.extend(lock(&removed).senders().map(|(name, _)| SenderId { org: org.into(), name: name.into() }));
    }

    /// Whose level changed since this was asked last. Waits until there is one.
    pub async fn changes(&self) -> Vec<SenderId> {
        loop {
            let changed = std::mem::take(&mut *lock(&self.0.changed));
            if !changed.is_empty() {
                return changed.into_iter().collect();
            }
            self.0.notify.notified().await;
        }
    }

    /// Writes what changed. Answers with how many memories.
    ///
    /// # Errors
    /// [`LedgerError`]: what was not written is written the next time.
    pub async fn save(&self, ledger: &Ledger) -> Result<usize, LedgerError> {
        let mut count = 0;
        loop {
            let ids: Vec<SenderId> = {
                let mut unsaved = lock(&self.0.unsaved);
                let ids: Vec<_> = unsaved.iter().take(SAVED_AT_ONCE).cloned().collect();
                ids.iter().for_each(|id| drop(unsaved.take(id)));
                ids
            };
            if ids.is_empty() {
                return Ok(count);
            }
            let rows: Vec<_> = ids.iter().map(|id| (id.clone(), self.bytes(id))).collect();
            if let Err(error) = ledger.write(move |sql| Ok(keep(sql, &rows)?)).await {
                lock(&self.0.unsaved).extend(ids);
                return Err(error);
            }
            count += ids.len();
        }
    }

    /// As [`Self::with`], where what is counted may block the sender. What was only heard, a decision or a block of another machine, is not
    /// told again: it would come back after a release.
    fn judge<T>(&self, id: &SenderId, now: u64, work: impl FnOnce(&mut Org) -> T) -> T {
        self.with(id, now, |org| {
            let before = org.stood(&id.name);
            let done = work(org);
            if before != Level::Blocked && org.stood(&id.name) == Level::Blocked {
                self.tell(id, || others::What::of_blocked(org.known_mut(&id.name)));
            }
            done
        })
    }

    /// Does something with an organisation, notes what is to be written, and tells of levels that changed.
    fn with<T>(&self, id: &SenderId, now: u64, work: impl FnOnce(&mut Org) -> T) -> T {
        let org =
            lock(&self.0.orgs).entry(id.org.clone()).or_insert_with(|| Arc::new(Mutex::new(Org::new(now)))).clone();
        let mut org = lock(&org);
        let before = org.stood(&id.name);
        let done = work(&mut org);
        let is_changed = org.stood(&id.name) != before;
        let forgotten = org.take_forgotten();
        drop(org);
        let mut unsaved = lock(&self.0.unsaved);
        unsaved.extend(forgotten.into_iter().map(|name| SenderId { org: id.org.clone(), name }));
        unsaved.insert(id.clone());
        unsaved.insert(whole_of(&id.org));
        drop(unsaved);
        if is_changed {
            lock(&self.0.changed).insert(id.clone());
            self.0.notify.notify_one();
        }
        done
    }

    /// What a person decided holds, whatever the watch may do.
    fn enforced(&self, org: &mut Org, name: &str, now: u64) -> Standing {
        let standing = org.standing(name, &self.0.limits, now);
        let by_person = |org: &mut Org| org.known_mut(name).is_some_and(|watch| watch.stood().1 == By::Person);
        if self.0.mode.acts() || by_person(org) { standing } else { Standing::Normal }
    }

    fn org(&self, name: &str) -> Option<Arc<Mutex<Org>>> {
        lock(&self.0.orgs).get(name).cloned()
    }

    fn all(&self) -> Vec<(Arc<str>, Arc<Mutex<Org>>)> {
        lock(&self.0.orgs).iter().map(|(name, org)| (name.clone(), org.clone())).collect()
    }

    /// None where it is not known any more.
    fn bytes(&self, id: &SenderId) -> Option<Vec<u8>> {
        let org = self.org(&id.org)?;
        let org = lock(&org);
        if id.name.is_empty() {
            return Some(org.whole().to_bytes());
        }
        org.senders().find(|(name, _)| **name == *id.name).map(|(_, watch)| watch.to_bytes())
    }

    /// An address, to be recognised and not to be read.
    fn hash(&self, address: &Address) -> u64 {
        let mut keyed = Keyed(Sha256::new_with_prefix(self.0.key));
        address.hash(&mut keyed);
        keyed.finish()
    }
}

/// Feeds what is hashed to a keyed digest, so that the address itself is nowhere in clear.
struct Keyed(Sha256);

impl Hasher for Keyed {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        u64::from_le_bytes(digest.first_chunk().copied().unwrap_or_default())
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All senders of an organisation together are kept under no name.
fn whole_of(org: &str) -> SenderId {
    SenderId { org: org.into(), name: "".into() }
}

fn restored(watches: Vec<(Arc<str>, Watch)>) -> Org {
    let (whole, senders): (Vec<_>, Vec<_>) = watches.into_iter().partition(|(name, _)| name.is_empty());
    let whole = whole.into_iter().next().map(|(_, watch)| watch);
    Org::restored(whole.unwrap_or_else(|| Watch::new(Stream::Personal, 0)), senders)
}

/// A log that tells of something so much later teaches only: whoever would be stopped for it has done it.
const LATE_S: u64 = 3600;
/// Memories of one transaction: about a megabyte.
const SAVED_AT_ONCE: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;

    const T0: u64 = 1_800_000_000;

    fn named(senders: &Senders, org: &str, n: u64) -> Standing {
        let id = SenderId { org: org.into(), name: "anna".into() };
        let recipient = Address::parse(&format!("r{n}@x.example")).unwrap();
        let stream = Stream::Personal;
        senders.named(&id, &Named { recipient: &recipient, before: 0, client: None, stream, suppressed: false }, T0 + n)
    }

    async fn open(ledger: &Ledger, mode: Mode) -> Senders {
        Senders::open(ledger, mode, Limits::default(), [7; 32]).await.unwrap()
    }

    #[test]
    fn a_sender_without_login_has_one_name_however_its_domain_is_written() {
        #[track_caller]
        fn check(login: Option<&str>, mail_from: &str, want: Option<&str>) {
            let of_it = SenderId::of("local", login, Some(mail_from));
            assert_eq!(of_it.as_ref().map(|id| &*id.name), want);
            let parsed = Address::parse(mail_from).ok();
            assert_eq!(of_it, SenderId::new("local", login, parsed.as_ref()), "as it is counted when it writes");
        }
        check(None, "Anna@Asso.EXAMPLE", Some("Anna@asso.example"));
        check(Some("Anna"), "Anna@Asso.EXAMPLE", Some("Anna"));
        check(None, "no address", None);
    }

    #[tokio::test]
    async fn what_is_remembered_survives_a_restart_and_goes_with_its_organisation() {
        let folder = std::env::temp_dir().join(format!("sm2tp-senders-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let ledger = crate::testing::ledger(&folder);
        let senders = open(&ledger, Mode::Enforce).await;
        let standings: Vec<_> = (0..150).map(|n| named(&senders, "asso", n)).collect();
        assert_eq!(standings[0], Standing::Normal);
        assert_eq!(standings[60], Standing::Slow);
        assert!(matches!(standings[149], Standing::Blocked(_)));
        let changed = senders.changes().await;
        assert_eq!(changed.len(), 1);
        // The sender, and all of its organisation together.
        assert_eq!(senders.save(&ledger).await.unwrap(), 2);
        assert_eq!(senders.save(&ledger).await.unwrap(), 0);

        let again = open(&ledger, Mode::Enforce).await;
        assert_eq!(again.changes().await, changed, "its mail may not have been moved yet");
        assert!(matches!(again.standing(&changed[0], T0 + 200), Standing::Blocked(_)));
        assert_eq!(again.orgs_of("anna"), ["asso".into()]);
        // What was seen by a node that only looked stops nobody on the day when it may.
        open(&ledger, Mode::Observe).await;
        let enforcing = open(&ledger, Mode::Enforce).await;
        assert_eq!(enforcing.standing(&changed[0], T0 + 200), Standing::Normal);
        again.forget("asso");
        again.save(&ledger).await.unwrap();
        assert!(open(&ledger, Mode::Enforce).await.list(T0 + 300).is_empty());
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn a_log_of_days_ago_is_lived_through_and_one_of_now_is_judged() {
        let folder = std::env::temp_dir().join(format!("sm2tp-senders-log-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let ledger = crate::testing::ledger(&folder);
        let senders = open(&ledger, Mode::Enforce).await;
        let id = SenderId { org: "local".into(), name: "anna".into() };
        let day = 86_400;
        let logged = |n: u64, at: u64| {
            let recipient = Address::parse(&format!("r{n}@x.example")).unwrap();
            let stream = Stream::Personal;
            let named = Named { recipient: &recipient, before: 0, client: None, stream, suppressed: false };
            senders.logged(&id, &named, at, T0);
            let told = Became::Delivered;
            senders.learn_logged(&Heard { id: id.clone(), answer: Answer { at, told } }, T0);
        };
        // Twenty days of ten letters each, and on one of them a party.
        (0..200).for_each(|n| logged(n % 25, T0 - 21 * day + n * day / 10));
        (0..300).for_each(|n| logged(1000 + n, T0 - day / 2 + n));
        assert_eq!(senders.standing(&id, T0), Standing::Normal, "what is over stops nobody");
        let (shown, _) = senders.show(&id, T0).unwrap();
        assert!(!shown.newcomer, "{shown:?}");
        (0..60).for_each(|n| logged(2000 + n, T0 - 120 + n));
        assert_eq!(senders.standing(&id, T0), Standing::Normal, "nobody who has written for weeks is a newcomer");
        (0..100).for_each(|n| logged(3000 + n, T0 - 60));
        assert!(matches!(senders.standing(&id, T0), Standing::Blocked(_)));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn who_is_learned_from_is_stopped_for_bad_recipients_and_for_numbers_when_it_is_known() {
        let folder = std::env::temp_dir().join(format!("sm2tp-senders-learn-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let ledger = crate::testing::ledger(&folder);
        let limits = Limits { learn_s: 35 * 86_400, ..Limits::default() };
        let senders = Senders::open(&ledger, Mode::Learn, limits.clone(), [7; 32]).await.unwrap();
        // A newsletter on the first day, and another one a month later.
        assert!((0..1000).all(|n| named(&senders, "asso", n) == Standing::Normal));
        assert!((0..1000).all(|n| named(&senders, "asso", 30 * 86_400 + n) == Standing::Normal));
        // A list of which a tenth is dead is stopped on the first day.
        let bad = SenderId { org: "club".into(), name: "anna".into() };
        let answers = (0..1000).map(|n| {
            let standing = named(&senders, "club", n);
            let told = if n % 6 == 0 { Became::Unknown } else { Became::Delivered };
            senders.answered(&bad, &Answer { at: T0 + n, told }, T0 + n);
            standing
        });
        assert!(matches!(answers.collect::<Vec<_>>()[999], Standing::Blocked(_)));
        // A writer of letters is known after 35 days, and its numbers count.
        assert!((0..3).all(|n| named(&senders, "letters", n * 86_400) == Standing::Normal));
        let shown = |now| senders.show(&SenderId { org: "letters".into(), name: "anna".into() }, now).unwrap().0;
        assert_eq!(shown(T0 + 3 * 86_400).learned_until, Some(T0 + 35 * 86_400));
        let blasted: Vec<_> = (0..200).map(|n| named(&senders, "letters", 36 * 86_400 + n)).collect();
        assert!(matches!(blasted[199], Standing::Blocked(_)), "{:?}", blasted[199]);
        assert_eq!(shown(T0 + 37 * 86_400).learned_until, None);
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[tokio::test]
    async fn who_only_observes_stops_nobody_and_who_is_off_counts_nothing() {
        let folder = std::env::temp_dir().join(format!("sm2tp-senders-off-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let ledger = crate::testing::ledger(&folder);
        for (mode, seen) in [(Mode::Observe, 1), (Mode::Off, 0)] {
            let senders = open(&ledger, mode).await;
            assert!((0..150).all(|n| named(&senders, "asso", n) == Standing::Normal));
            let unusual = senders.list(T0 + 200).iter().filter(|sender| sender.level == Level::Blocked).count();
            assert_eq!(unusual, seen);
        }
        let senders = open(&ledger, Mode::Observe).await;
        let id = SenderId { org: "asso".into(), name: "anna".into() };
        senders.decide(&id, Decision::Block, "", Stream::Personal, T0 + 300);
        assert!(matches!(named(&senders, "asso", 400), Standing::Blocked(_)), "a person's word holds");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
