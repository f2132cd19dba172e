//! Senders on several machines of one node (decision 0075): each machine hears from the others what it counts of its own senders, and
//! judges all of it. So a sender that writes through three machines is one sender, and whom one blocks, all block.
//!
//! What is told holds no recipient but as the keyed hash that the watch keeps. It is told some tenths of a second later, and what
//! could not be told in time is not told: then the others know less of a sender, and this machine as much.

use std::collections::VecDeque;
use std::net::IpAddr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sm2tp_rules::Stream;
use sm2tp_rules::watch::{Answer, Attempt, Level, Release, Told as Became, Watch};

use super::{Decision, SenderId, Senders, lock};
use crate::ledger::Said;

/// What waits to be told.
#[derive(Debug, Default)]
pub(super) struct Untold {
    facts: VecDeque<Fact>,
    /// What did not fit any more.
    lost: u64,
}

/// One thing about a sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Fact {
    org: String,
    sender: String,
    what: What,
}

/// What is told in one line.
#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    v: u32,
    facts: Vec<Fact>,
}

/// As it stands in the database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    Attempt {
        at: u64,
        recipient: u64,
        named: u32,
        client: Option<IpAddr>,
        stream: Stream,
        suppressed: bool,
    },
    Delivered {
        at: u64,
    },
    Unknown {
        at: u64,
    },
    Refused {
        at: u64,
    },
    Other {
        at: u64,
    },
    Complaint {
        at: u64,
    },
    Slow {
        at: u64,
        note: String,
        stream: Stream,
    },
    Block {
        at: u64,
        note: String,
        stream: Stream,
    },
    Mended {
        at: u64,
        note: String,
        stream: Stream,
    },
    WasNormal {
        at: u64,
        note: String,
        stream: Stream,
    },
    Announced {
        at: u64,
        recipients: u32,
        until: u64,
        note: String,
        stream: Stream,
    },
    Forgotten,
    /// All that is known of a sender that is blocked now.
    Blocked {
        memory: String,
    },
}

impl What {
    pub(super) fn of_blocked(watch: Option<&mut Watch>) -> Self {
        Self::Blocked { memory: watch.map(|watch| STANDARD.encode(watch.to_bytes())).unwrap_or_default() }
    }

    pub(super) fn of_attempt(fact: &Attempt) -> Self {
        // Whose network the client is in, each machine asks its own table.
        let Attempt { at, recipient, named, client, stream, suppressed, .. } = *fact;
        Self::Attempt { at, recipient, named, client, stream, suppressed }
    }

    pub(super) fn of_answer(answer: &Answer) -> Self {
        let at = answer.at;
        match answer.told {
            Became::Delivered => Self::Delivered { at },
            Became::Unknown => Self::Unknown { at },
            Became::Refused => Self::Refused { at },
            Became::Other => Self::Other { at },
            Became::Complaint => Self::Complaint { at },
        }
    }

    pub(super) fn of_decision(decision: Decision, note: &str, stream: Stream, at: u64) -> Self {
        let note = note.to_owned();
        match decision {
            Decision::Slow => Self::Slow { at, note, stream },
            Decision::Block => Self::Block { at, note, stream },
            Decision::Release(Release::Mended) => Self::Mended { at, note, stream },
            Decision::Release(Release::WasNormal) => Self::WasNormal { at, note, stream },
        }
    }
}

impl Senders {
    /// What the other machines do not know yet, some of it, to be told; empty where all was told.
    #[must_use]
    pub fn untold(&self) -> Vec<Said> {
        let Some(untold) = &self.0.untold else { return Vec::new() };
        let mut untold = lock(untold);
        if untold.lost != 0 {
            let lost = std::mem::take(&mut untold.lost);
            tracing::warn!(
                lost,
                "the other machines of this node do not hear all that this one counted of its senders"
            );
        }
        let mut said = Vec::new();
        while !untold.facts.is_empty() && said.len() < LINES_MAX {
            let count = untold.facts.len().min(FACTS_IN_LINE);
            let facts = Facts { v: VERSION, facts: untold.facts.drain(..count).collect() };
            if let Ok(body) = serde_json::to_string(&facts) {
                said.push(Said { kind: KIND.to_owned(), body });
            }
        }
        said
    }

    /// It could not be told; it is the next to be.
    pub fn not_told(&self, said: Vec<Said>) {
        let Some(untold) = &self.0.untold else { return };
        let mut untold = lock(untold);
        for line in said.into_iter().rev() {
            let Ok(Facts { facts, .. }) = serde_json::from_str(&line.body) else { continue };
            facts.into_iter().rev().for_each(|fact| untold.facts.push_front(fact));
        }
    }

    /// Hears what another machine counted. `now` in unix seconds.
    pub fn hear_others(&self, said: &Said, now: u64) {
        if said.kind != KIND {
            return;
        }
        match serde_json::from_str::<Facts>(&said.body) {
            Ok(Facts { v: VERSION, facts }) => facts.into_iter().for_each(|fact| self.hear_fact(fact, now)),
            Ok(Facts { v, .. }) => tracing::warn!(v, "another machine of this node tells in a newer form"),
            Err(error) => tracing::warn!(%error, "what another machine of this node tells cannot be read"),
        }
    }

    pub(super) fn tell(&self, id: &SenderId, what: impl FnOnce() -> What) {
        let Some(untold) = &self.0.untold else { return };
        let mut untold = lock(untold);
        if UNTOLD_MAX <= untold.facts.len() {
            untold.lost += 1;
            return;
        }
        untold.facts.push_back(Fact { org: id.org.to_string(), sender: id.name.to_string(), what: what() });
    }

    fn hear_fact(&self, fact: Fact, now: u64) {
        let id = SenderId { org: fact.org.into(), name: fact.sender.into() };
        match fact.what {
            What::Attempt { at, recipient, named, client, stream, suppressed } => {
                let place = client.and_then(|client| self.places().of(client));
                let fact = Attempt { at, recipient, named, client, place, stream, suppressed };
                self.in_time(&id, at, now, |org, limits, now| {
                    org.attempt(&id.name, &fact, limits, now);
                });
            }
            What::Delivered { at } => self.hear_answer(&id, Answer { at, told: Became::Delivered }, now),
            What::Unknown { at } => self.hear_answer(&id, Answer { at, told: Became::Unknown }, now),
            What::Refused { at } => self.hear_answer(&id, Answer { at, told: Became::Refused }, now),
            What::Other { at } => self.hear_answer(&id, Answer { at, told: Became::Other }, now),
            What::Complaint { at } => self.hear_answer(&id, Answer { at, told: Became::Complaint }, now),
            What::Slow { at, note, stream } => self.hear_decision(&id, Decision::Slow, &note, stream, at.min(now)),
            What::Block { at, note, stream } => self.hear_decision(&id, Decision::Block, &note, stream, at.min(now)),
            What::Mended { at, note, stream } => {
                self.hear_decision(&id, Decision::Release(Release::Mended), &note, stream, at.min(now));
            }
            What::WasNormal { at, note, stream } => {
                self.hear_decision(&id, Decision::Release(Release::WasNormal), &note, stream, at.min(now));
            }
            What::Announced { at, recipients, until, note, stream } => {
                self.announced(&id, recipients, until, &note, stream, at.min(now));
            }
            What::Forgotten => self.forgotten(&id.org),
            What::Blocked { memory } => self.hear_blocked(&id, &memory, now),
        }
    }

    /// What a person decided at another machine, unless one has decided here since.
    fn hear_decision(&self, id: &SenderId, decision: Decision, note: &str, stream: Stream, at: u64) {
        self.with(id, at, |org| {
            let decided_at = org.known_mut(&id.name).and_then(|watch| watch.changed_at().1);
            if decided_at <= Some(at) {
                decision.carry_out(org.sender(&id.name, stream, at), note, at);
            }
        });
    }

    /// Whom another machine blocked, this one blocks for the same reasons, unless a person has decided since: that machine had not
    /// heard it yet.
    fn hear_blocked(&self, id: &SenderId, memory: &str, now: u64) {
        let Some(memory) = STANDARD.decode(memory).ok().and_then(|octets| Watch::from_bytes(&octets).ok()) else {
            return;
        };
        self.with(id, now, |org| {
            let watch = org.sender(&id.name, Stream::Personal, now);
            let is_later = watch.changed_at().1 < memory.changed_at().0;
            if watch.stood().0 != Level::Blocked && is_later {
                *watch = memory;
            }
        });
    }

    fn hear_answer(&self, id: &SenderId, answer: Answer, now: u64) {
        if self.org(&id.org).is_some() {
            self.in_time(id, answer.at, now, |org, limits, now| {
                org.answered(&id.name, &answer, limits, now);
            });
        }
    }
}

const KIND: &str = "senders";
const VERSION: u32 = 1;
/// Facts that wait while the database is away, some 100 octets each: an hour of 25 recipients a second. What comes beyond is not told.
const UNTOLD_MAX: usize = 100_000;
const FACTS_IN_LINE: usize = 500;
/// Lines of one transaction.
const LINES_MAX: usize = 20;

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, RwLock};

    use sm2tp_proto::Address;
    use sm2tp_rules::watch::{Limits, Standing};
    use tokio::sync::Notify;

    use super::super::{Inner, Mode, Named};
    use super::*;

    const T0: u64 = 1_800_000_000;

    /// A machine of a node.
    fn machine() -> Senders {
        Senders(Arc::new(Inner {
            mode: Mode::Enforce,
            limits: Limits::default(),
            key: [7; 32],
            places: RwLock::default(),
            orgs: Mutex::default(),
            unsaved: Mutex::default(),
            changed: Mutex::default(),
            notify: Notify::new(),
            untold: Some(Mutex::default()),
        }))
    }

    fn anna() -> SenderId {
        SenderId { org: "asso".into(), name: "anna".into() }
    }

    /// Who must hear it hears what this machine has to say; answers with how many lines that was.
    fn pass(from: &Senders, to: &[&Senders], now: u64) -> usize {
        let said = from.untold();
        to.iter().for_each(|to| said.iter().for_each(|line| to.hear_others(line, now)));
        said.len()
    }

    fn blast(senders: &Senders, count: u64) {
        for n in 0..count {
            let recipient = Address::parse(&format!("r{n}@x.example")).unwrap();
            let stream = Stream::Personal;
            let named = Named { recipient: &recipient, before: 0, client: None, stream, suppressed: false };
            senders.named(&anna(), &named, T0 + n);
        }
    }

    fn is_blocked(senders: &Senders, now: u64) -> bool {
        matches!(senders.standing(&anna(), now), Standing::Blocked(_))
    }

    #[test]
    fn a_release_outlives_the_block_before_it_on_all_machines_whoever_hears_what_when() {
        let [one, two, three] = [machine(), machine(), machine()];
        one.decide(&anna(), Decision::Block, "stolen", Stream::Personal, T0);
        pass(&one, &[&two, &three], T0);
        assert!([&one, &two, &three].iter().all(|machine| is_blocked(machine, T0)));
        // In the same second, before the third has heard anything that the second might have to say.
        three.decide(&anna(), Decision::Release(Release::Mended), "mended", Stream::Personal, T0);
        assert_eq!(pass(&two, &[&one, &three], T0), 0, "what was heard is not told again");
        pass(&three, &[&one, &two], T0);
        assert!([&one, &two, &three].iter().all(|machine| !is_blocked(machine, T0)));

        // A decision that comes late is none any more.
        one.decide(&anna(), Decision::Block, "", Stream::Personal, T0 + 10);
        three.decide(&anna(), Decision::Release(Release::Mended), "", Stream::Personal, T0 + 11);
        pass(&one, &[&two, &three], T0 + 12);
        pass(&three, &[&one, &two], T0 + 12);
        assert!([&one, &two, &three].iter().all(|machine| !is_blocked(machine, T0 + 12)));
    }

    #[test]
    fn whom_the_watch_of_one_machine_blocks_all_block_unless_a_person_has_decided_since() {
        let [one, two, three] = [machine(), machine(), machine()];
        blast(&one, 150);
        assert!(is_blocked(&one, T0 + 150));
        three.decide(&anna(), Decision::Release(Release::WasNormal), "a wedding", Stream::Personal, T0 + 150);
        // What it counted is lost, so that the others would not come to it themselves.
        let said = one.untold();
        let blocks: Vec<_> = said.iter().filter(|line| line.body.contains("\"blocked\"")).cloned().collect();
        assert_eq!(blocks.len(), 1);
        for line in &blocks {
            let Facts { v, facts } = serde_json::from_str(&line.body).unwrap();
            let facts: Vec<_> = facts.into_iter().filter(|fact| matches!(fact.what, What::Blocked { .. })).collect();
            assert_eq!(facts.len(), 1);
            let line = Said { kind: KIND.to_owned(), body: serde_json::to_string(&Facts { v, facts }).unwrap() };
            [&two, &three].iter().for_each(|machine| machine.hear_others(&line, T0 + 151));
        }
        assert!(is_blocked(&two, T0 + 151) && !is_blocked(&three, T0 + 151));
        pass(&three, &[&one, &two], T0 + 151);
        assert!(!is_blocked(&one, T0 + 151) && !is_blocked(&two, T0 + 151));
    }

    #[test]
    fn what_is_told_is_read_again_and_a_newer_form_is_not() {
        let what = What::Attempt {
            at: 5,
            recipient: u64::MAX,
            named: 3,
            client: Some("192.0.2.1".parse().unwrap()),
            stream: Stream::Bulk,
            suppressed: true,
        };
        let fact = Fact { org: "asso".into(), sender: "anna@asso.example".into(), what };
        let text = serde_json::to_string(&Facts { v: VERSION, facts: vec![fact.clone()] }).unwrap();
        assert_eq!(serde_json::from_str::<Facts>(&text).unwrap().facts, [fact]);
    }
}
