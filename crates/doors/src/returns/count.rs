//! Takes reports out of the inbox, in order: reads each, passes it on to the sender of the mail, counts it once.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use sm2tp_proto::smtp::MailOptions;
use sm2tp_proto::token::Token;
use sm2tp_proto::{Address, smtp};
use sm2tp_rules::Stream;
use sm2tp_rules::classify::Rulebook;
use sm2tp_rules::returned::{BOUNCE_DAYS_MAX, COMPLAINT_DAYS_MAX, Counts, Kind};
use sm2tp_store::accounts::ReturnPath;
use sm2tp_store::returns::{Arrived, Counted, Line, Offered, Sent, Settled};
use sm2tp_store::spool::{NewMail, NewRecipient};
use sm2tp_store::{LedgerError, SpoolError};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{interval, sleep, timeout};

use super::Back;
use super::notice::{self, Language};
use super::reading::{self, Reading};
use crate::smtp::Onward;
use crate::{House, now};

/// What counting needs.
pub struct Counting {
    pub house: House,
    pub back: Back,
    pub rulebook: Rulebook,
    pub onward: Onward,
    /// Of notices to organisations.
    pub language: Language,
}

/// Why it does not go on now. Nothing is lost: reports wait in the inbox (I8).
#[derive(Debug, Error)]
enum Trouble {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Spool(#[from] SpoolError),
}

/// What was queued while the ledger could not note it. It is tried again then, and nobody shall get a copy each time.
#[derive(Default)]
struct Queued {
    /// Of each organisation, the notice that its last one followed.
    notices: HashMap<String, u64>,
}

/// Whether a report can be counted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Counted,
    /// The ledger does not know its mail, and may hear of it yet.
    Unrecorded,
    /// The ledger has not heard of anything that happened when it came: so it is for those behind it.
    Behind,
}

/// Counts until the node stops.
pub async fn run(counting: Counting, mut stop: watch::Receiver<bool>) {
    let mut tidy = interval(TIDY_EVERY);
    let mut troubled = false;
    let mut queued = Queued::default();
    loop {
        let waits = match counting.round().await {
            Ok(0) => LOOK_EVERY,
            Ok(_) => Duration::ZERO,
            Err(error) => {
                if !std::mem::replace(&mut troubled, true) {
                    tracing::error!(%error, "reports cannot be counted; they wait");
                }
                AGAIN
            }
        };
        if waits == Duration::ZERO {
            troubled = false;
        }
        tokio::select! {
            () = crate::stopped(&mut stop) => return,
            _ = tidy.tick() => counting.tidy(&mut queued).await,
            // Over or woken: there may be something.
            _ = timeout(waits, counting.back.wake.notified()) => {}
        }
    }
}

impl Counting {
    /// Counts what waits; answers with how many it was. A report that came before the mail that it is about was recorded
    /// waits for that a moment: apart from the others, unless they all wait for the ledger.
    async fn round(&self) -> Result<usize, Trouble> {
        Ok(self.line(Line::Main).await? + self.line(Line::Aside).await?)
    }

    async fn line(&self, line: Line) -> Result<usize, Trouble> {
        let inbox = &self.back.inbox;
        let counted_to = self.back.returns.counted_to(&inbox.name(line)).await?;
        let mut count = 0;
        for (number, arrived) in inbox.oldest(line, BATCH_MAX).await? {
            let turn = if number <= counted_to { Turn::Counted } else { self.count(line, number, &arrived).await? };
            match turn {
                Turn::Counted => inbox.remove(number).await?,
                Turn::Unrecorded if line == Line::Main => inbox.set_aside(number).await?,
                Turn::Unrecorded | Turn::Behind => break,
            }
            count += 1;
        }
        Ok(count)
    }

    async fn count(&self, line: Line, number: u64, arrived: &Arrived) -> Result<Turn, Trouble> {
        let (back, now) = (&self.back, now());
        let reading = self.read(number, arrived).await;
        let token = reading.whose.map(|(_, token)| token);
        let known = match &token {
            Some(token) => back.returns.sent(token).await?,
            None => None,
        };
        if token.is_some() && known.is_none() {
            let oldest = self.house.spool.outbox(1).await?.first().map(|(_, told)| told.at);
            let turn = turn(arrived.at, oldest, now);
            if turn != Turn::Counted {
                return Ok(turn);
            }
        }
        let passed_on = match &known {
            Some(_) if arrived.passed_on => 1,
            Some((sent, counted)) => self.pass_on(sent, *counted, &reading, arrived, now).await?,
            None => 0,
        };
        let verdict = reading.found.failed.first().and_then(|failed| failed.answer.verdict.as_ref());
        let cause = verdict.map(|verdict| verdict.cause);
        let settled = self.settle((line, number), token, reading, passed_on, now).await;
        if let (Ok(Some(counts)), Some((sent, _))) = (&settled, &known) {
            self.house.senders.returned(sent, *counts, cause, now);
        }
        if settled.is_err() && passed_on != 0 && !arrived.passed_on {
            // Nobody shall get a copy each second, nor after a restart.
            back.inbox.passed_on(number).await?;
        }
        settled.map(|_| Turn::Counted)
    }

    /// On a thread of its own: a report takes its time, and one that brings the reader down shall not do it again at every
    /// start, before all the others.
    async fn read(&self, number: u64, arrived: &Arrived) -> Reading {
        let (back, rules, arrived) = (self.back.clone(), self.rulebook.rules(), arrived.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let open = |text: &str| back.returns.check(text, arrived.at, COMPLAINT_DAYS_MAX).ok();
            reading::read(&arrived.content, arrived.token.as_deref(), &back, &rules, open)
        });
        reading.await.unwrap_or_else(|error| {
            tracing::error!(number, %error, "a report could not be read; it counts for nothing");
            Reading::unreadable()
        })
    }

    async fn settle(
        &self,
        (line, number): (Line, u64),
        token: Option<Token>,
        reading: Reading,
        passed_on: u32,
        now: u64,
    ) -> Result<Option<Counts>, Trouble> {
        let (word, by) = (reading.found.word.clone(), reading.whose.map(|(by, _)| by));
        let source = self.back.inbox.name(line);
        let offered = Offered { source, number, token, found: reading.found, passed_on, now };
        let (book, publisher) = (self.house.book.clone(), self.house.federation.publisher.clone());
        let key = book.current_key();
        let tags = move |address: &Address| book.all_tags(address);
        let settled = self.back.returns.settle(offered, tags, move |sql, told, event| match &key {
            Some(key) => publisher.enqueue(sql, told, event, key),
            None => Ok(()),
        });
        match settled.await? {
            Settled::Before => tracing::debug!(number, "a report was counted before"),
            Settled::Attributed(counts) => {
                tracing::info!(number, word, ?by, ?counts, "a report was counted");
                return Ok(Some(counts));
            }
            Settled::Unattributed => {
                tracing::info!(number, word, "a report without a token of ours; it changes nothing")
            }
        }
        Ok(None)
    }

    /// The sender wrote with another return path and waits for its reports there. Not for complaints, which are for the
    /// organisation; and of one token only so many, because who got the mail has the token.
    async fn pass_on(
        &self,
        sent: &Sent,
        counted: Counted,
        reading: &Reading,
        arrived: &Arrived,
        now: u64,
    ) -> Result<u32, Trouble> {
        let to = match sent.path {
            ReturnPath::Node => reading::sender(sent.mail_from.as_deref()),
            ReturnPath::Sender => None,
        };
        let Some(to) = to.filter(|_| reading.found.kind != Kind::Complaint && counted.passed_on < PASSED_ON_MAX) else {
            return Ok(0);
        };
        if smtp::RECEIVED_MAX < smtp::count_received(&arrived.content) {
            return Ok(0);
        }
        let utf8 = to.needs_utf8();
        // Anybody may have written it: of this stream the node signs no report.
        let (stream, options) = (Stream::Forwarded, MailOptions { utf8, ..MailOptions::default() });
        self.queue(&sent.org, to, arrived.content.clone(), stream, options, now).await?;
        Ok(1)
    }

    /// Puts a mail of ours into the queue, with the null return path.
    async fn queue(
        &self,
        org: &str,
        to: Address,
        content: Vec<u8>,
        stream: Stream,
        options: MailOptions,
        now: u64,
    ) -> Result<(), Trouble> {
        let content: Bytes = content.into();
        let recipient = NewRecipient::of_report(to);
        let mail = NewMail {
            org: org.into(),
            login: None,
            stream,
            mail_from: None,
            message_id: None,
            received_at: now,
            recipients: vec![recipient],
            held_until: 0,
            content: content.clone(),
            is_report: true,
            stream_by: None,
            options,
        };
        let queued = self.house.spool.accept(mail).await?;
        // The relay may have stopped: the mail is in the spool, and the next start finds it.
        let _ = self.onward.mails.send((queued, content)).await;
        Ok(())
    }

    /// What is done now and then: a new key, old tokens forgotten, organisations told.
    async fn tidy(&self, queued: &mut Queued) {
        let now = now();
        if let Err(error) = self.back.returns.rotate(now) {
            tracing::error!(%error, "the key of return tokens could not be changed; the old one goes on");
        }
        let pruned = self.back.returns.prune(now).await;
        let told = async {
            for untold in self.house.accounts.untold(now.saturating_sub(NOTICE_EVERY_S)).await? {
                if queued.notices.get(&untold.org) != Some(&untold.told_at) {
                    let who = self.back.returns.complained(&untold.org, untold.told_at).await?;
                    let mail = notice::mail(&self.house.hostname, &untold, &who, self.language, now);
                    let (stream, options) = (Stream::Transactional, MailOptions::default());
                    self.queue(&untold.org, untold.contact.clone(), mail, stream, options, now).await?;
                    queued.notices.insert(untold.org.clone(), untold.told_at);
                }
                self.house.accounts.told(&untold, now).await?;
                queued.notices.remove(&untold.org);
            }
            Ok::<_, Trouble>(())
        };
        let told = told.await;
        if let Err(error) = pruned.map(drop).map_err(Trouble::from).and(told) {
            tracing::warn!(%error, "returns could not be tidied; it will be tried again");
            sleep(AGAIN).await;
        }
    }
}

/// Whether the mail that a report is about may yet be recorded; `oldest` is of what waits to be (unix seconds, all three).
fn turn(arrived_at: u64, oldest: Option<u64>, now: u64) -> Turn {
    if oldest.is_some_and(|oldest| oldest <= arrived_at) {
        Turn::Behind
    } else if now < arrived_at.saturating_add(RECORDED_WITHIN_S) {
        Turn::Unrecorded
    } else {
        Turn::Counted
    }
}

/// Reports that are read at once: at most so many times a megabyte.
const BATCH_MAX: usize = 50;
const LOOK_EVERY: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_secs(1);
const TIDY_EVERY: Duration = Duration::from_secs(600);
/// Seconds until what became of a mail is in the outbox at least; mostly it is some tenths of one. A report whose mail is
/// not there by then, nor in the ledger, is of a mail that was never recorded as sent.
const RECORDED_WITHIN_S: u64 = 10;
/// Reports about one mail to one recipient that go on to its sender: a few delays, an absence, a failure.
const PASSED_ON_MAX: u32 = 10;
/// Seconds between two notices to one organisation: a day.
const NOTICE_EVERY_S: u64 = 86_400;
const _: () = assert!(BOUNCE_DAYS_MAX <= COMPLAINT_DAYS_MAX);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_waits_for_its_mail_a_moment_and_as_long_as_the_ledger_is_behind_it() {
        for (arrived_at, oldest, now, want) in [
            (100, None, 100, Turn::Unrecorded),
            (100, None, 109, Turn::Unrecorded),
            (100, None, 110, Turn::Counted),
            (100, Some(99), 105, Turn::Behind),
            (100, Some(100), 5000, Turn::Behind),
            (100, Some(101), 105, Turn::Unrecorded),
            (100, Some(101), 5000, Turn::Counted),
        ] {
            assert_eq!(turn(arrived_at, oldest, now), want, "{arrived_at} {oldest:?} {now}");
        }
    }
}
