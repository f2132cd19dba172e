//! Answers that are understood by their circumstances, where their words say little.
//!
//! Two things a person sees in a log and no single reply tells: a message that is put off after its content again and
//! again while the same site takes others is refused for its content; and one sentence that a site says to everybody
//! within minutes is about us, not about them.

use std::collections::HashMap;
use std::sync::Arc;

use crate::outcome::{Cause, Fate, Outcome, Scope, Stage, Strength};

/// What was seen lately, in memory. A restart forgets it; then the words alone decide for a while.
#[derive(Debug, Default)]
pub struct Behaviour {
    sites: HashMap<Box<str>, Site>,
    /// When each mail was first put off after its content, by its number.
    put_off: HashMap<u64, u64>,
    /// Until then nothing is old enough to make room: looking again would only cost time.
    crowded_until: u64,
}

/// The circumstances of one refusal.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// Whose servers these are: the provider, or where there is none, the host.
    pub site: &'a str,
    /// The number of the mail.
    pub mail: u64,
    pub stage: Stage,
    /// The reply is a 4xx.
    pub temporary: bool,
    /// A number for the words of the reply, the same for the same sentence.
    pub words: u64,
    /// Unix seconds.
    pub now: u64,
}

/// One site within one window.
#[derive(Debug, Default)]
struct Site {
    since: u64,
    seen_at: u64,
    /// The last mail that it took.
    taken_at: u64,
    /// Answers in this window, and how many of them said each sentence.
    answers: u32,
    said: Vec<(u64, u32)>,
}

impl Behaviour {
    /// The site took a mail.
    pub fn taken(&mut self, site: &str, now: u64) {
        let Some(site) = self.site(site, now) else { return };
        site.taken_at = now;
        site.answers = site.answers.saturating_add(1);
    }

    /// What the refusal means in its circumstances; the outcome of its words where they say more, or enough.
    #[must_use]
    pub fn judge(&mut self, at: Circumstances<'_>, outcome: Outcome) -> Outcome {
        let Some(site) = self.site(at.site, at.now) else { return outcome };
        let count = site.hear(at.words);
        let (answers, taken_at) = (site.answers, site.taken_at);
        if outcome.strength == Strength::Strong {
            return outcome;
        }
        if at.stage == Stage::Eod && at.temporary && outcome.fate != Fate::Final {
            return self.put_off(at, taken_at, outcome);
        }
        let about_somebody = matches!(outcome.cause, Cause::Address | Cause::Mailbox | Cause::Unknown);
        let everybody = SAME_MIN <= count && answers.saturating_mul(9) <= count.saturating_mul(10);
        if about_somebody && everybody {
            return Outcome {
                cause: Cause::Ip,
                sub: Some(Arc::from("same-answer")),
                fate: if outcome.fate == Fate::Final { Fate::Elsewhere } else { outcome.fate },
                scope: Scope::Exit,
                rule: Arc::from(SAME_ANSWER),
                ..outcome
            };
        }
        outcome
    }

    /// The second time counts only after greylisting would have let it through.
    fn put_off(&mut self, at: Circumstances<'_>, taken_at: u64, outcome: Outcome) -> Outcome {
        if let Some(first_at) = self.put_off.get(&at.mail).copied() {
            let others_passed = first_at < taken_at;
            if !others_passed || at.now < first_at.saturating_add(GREYLISTED_S_MAX) {
                return outcome;
            }
            // The other recipients of the mail get the same answer, so the note stays.
            return Outcome {
                cause: Cause::Content,
                sub: Some(Arc::from("put-off")),
                fate: Fate::Final,
                scope: Scope::Message,
                strength: Strength::Weak,
                rule: Arc::from(PUT_OFF_AGAIN),
                retry_after_s: None,
                ..outcome
            };
        }
        if MAILS_MAX <= self.put_off.len() {
            self.make_room(at.now);
        }
        if self.put_off.len() < MAILS_MAX {
            self.put_off.insert(at.mail, at.now);
        }
        outcome
    }

    fn make_room(&mut self, now: u64) {
        if self.crowded_until <= now || now.saturating_add(WINDOW_S) < self.crowded_until {
            self.sites.retain(|_, site| now < site.seen_at.saturating_add(SITE_LIFE_S));
            self.put_off.retain(|_, first_at| now < first_at.saturating_add(MAIL_LIFE_S));
            self.crowded_until = now.saturating_add(WINDOW_S);
        }
    }

    /// The site in its present window; none where too many sites are in use.
    fn site(&mut self, name: &str, now: u64) -> Option<&mut Site> {
        if !self.sites.contains_key(name) {
            if SITES_MAX <= self.sites.len() {
                self.make_room(now);
            }
            if SITES_MAX <= self.sites.len() {
                return None;
            }
        }
        let site = self.sites.entry(name.into()).or_default();
        // A clock that was set back begins a window, too.
        if site.since.saturating_add(WINDOW_S) <= now || now < site.since {
            *site = Site { since: now, taken_at: site.taken_at, ..Site::default() };
        }
        site.seen_at = now;
        Some(site)
    }
}

impl Site {
    /// Counts a sentence; answers with how often it was said in this window.
    fn hear(&mut self, words: u64) -> u32 {
        self.answers = self.answers.saturating_add(1);
        if let Some((_, count)) = self.said.iter_mut().find(|(said, _)| *said == words) {
            *count = count.saturating_add(1);
            return *count;
        }
        if self.said.len() < SENTENCES_MAX {
            self.said.push((words, 1));
        }
        1
    }
}

/// The rules' names in outcomes.
pub const PUT_OFF_AGAIN: &str = "behaviour-put-off-again";
pub const SAME_ANSWER: &str = "behaviour-same-answer";

/// "Within minutes".
const WINDOW_S: u64 = 600;
/// Fewer recipients may well have the same trouble.
const SAME_MIN: u32 = 10;
/// A site that says one thing to everybody has said it by then; more sentences are no such site.
const SENTENCES_MAX: usize = 8;
/// Greylisting lets through after five minutes as a rule, and after an hour nearly everywhere. Mail that is given back too soon is
/// lost to its sender; mail that is given back an hour late is not.
const GREYLISTED_S_MAX: u64 = 3600;
/// Each is some hundred octets.
const SITES_MAX: usize = 4096;
const SITE_LIFE_S: u64 = 86_400;
/// Mails that were put off after their content; longer than any mail lives in the queue they are not kept.
const MAILS_MAX: usize = 20_000;
const MAIL_LIFE_S: u64 = 5 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::{Classifier, Said};

    const AT: Circumstances<'static> =
        Circumstances { site: "laposte", mail: 1, stage: Stage::Eod, temporary: true, words: 7, now: 1_000_000 };

    fn outcome(text: &str, stage: Stage) -> Outcome {
        Classifier::shipped().classify(&Said { stage: Some(stage), ..Said::of_text(text) })
    }

    #[test]
    fn what_is_put_off_again_while_others_pass_is_refused_for_its_content() {
        let mut behaviour = Behaviour::default();
        let later = || outcome("451 Sorry", Stage::Eod);
        let cause = |outcome: &Outcome| (outcome.cause, outcome.fate);
        let usual = cause(&later());
        assert_eq!(cause(&behaviour.judge(AT, later())), usual);
        assert_eq!(cause(&behaviour.judge(Circumstances { now: AT.now + 3700, ..AT }, later())), usual, "none passed");
        behaviour.taken("laposte", AT.now + 3701);
        let judged = behaviour.judge(Circumstances { now: AT.now + 3800, ..AT }, later());
        assert_eq!((cause(&judged), judged.strength), ((Cause::Content, Fate::Final), Strength::Weak));
        let other = Circumstances { mail: 2, now: AT.now + 3800, ..AT };
        assert_eq!(cause(&behaviour.judge(other, later())), usual, "another mail");
        behaviour.taken("laposte", AT.now + 3900);
        let soon = Circumstances { now: AT.now + 4100, ..other };
        assert_eq!(cause(&behaviour.judge(soon, later())), usual, "it may be greylisted");
        let sure = outcome("451 4.7.1 Greylisted for 300 seconds", Stage::Eod);
        let judged = behaviour.judge(Circumstances { now: AT.now + 9000, ..AT }, sure.clone());
        assert_eq!(judged, sure, "words that say it are believed");
    }

    #[test]
    fn one_sentence_for_everybody_is_about_us() {
        let no = || outcome("550 mailbox unavailable", Stage::Rcpt);
        assert_eq!((no().cause, no().strength), (Cause::Address, Strength::Weak));
        let at = |n: u32| Circumstances { stage: Stage::Rcpt, temporary: false, mail: u64::from(n), ..AT };
        let mut behaviour = Behaviour::default();
        let causes: Vec<Cause> = (1..=12).map(|n| behaviour.judge(at(n), no()).cause).collect();
        assert!(causes[..9].iter().all(|cause| *cause == Cause::Address), "{causes:?}");
        assert_eq!(causes[9..], [Cause::Ip, Cause::Ip, Cause::Ip]);
        let judged = behaviour.judge(at(13), no());
        assert_eq!((judged.fate, judged.strength, &*judged.rule), (Fate::Elsewhere, Strength::Weak, SAME_ANSWER));
        let sure = outcome("550 5.1.1 User unknown", Stage::Rcpt);
        assert_eq!(behaviour.judge(at(14), sure.clone()), sure);

        let mut mixed = Behaviour::default();
        for n in 0..40 {
            mixed.taken("laposte", AT.now);
            assert_eq!(mixed.judge(at(n), no()).cause, Cause::Address, "half of them are taken");
        }
        let mut slow = Behaviour::default();
        for n in 0..40 {
            let at = Circumstances { now: AT.now + u64::from(n) * 120, ..at(n) };
            assert_eq!(slow.judge(at, no()).cause, Cause::Address, "not within minutes");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut behaviour = Behaviour::default();
        let later = outcome("451 Sorry", Stage::Eod);
        for n in 0..30_000_u64 {
            let site = format!("site{n}");
            let _ = behaviour.judge(Circumstances { site: &site, mail: n, words: n, ..AT }, later.clone());
            behaviour.taken("one", AT.now);
            let _ = behaviour.judge(Circumstances { site: "one", mail: n, words: n, ..AT }, later.clone());
        }
        assert!(behaviour.sites.len() <= SITES_MAX && behaviour.put_off.len() <= MAILS_MAX);
        assert!(behaviour.sites.values().all(|site| site.said.len() <= SENTENCES_MAX));
        let tomorrow = Circumstances { site: "new", now: AT.now + SITE_LIFE_S, ..AT };
        let _ = behaviour.judge(tomorrow, later);
        assert!(behaviour.sites.contains_key("new"), "old ones make room");
    }
}
