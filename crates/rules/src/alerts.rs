//! Incidents: what a person is told of things that go wrong, once when one begins, once a day while it lasts, once at its end.
//!
//! Whoever finds something wrong makes a [`Finding`] of it, again at each look for as long as it is so. [`step`] alone
//! decides what is said.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One thing that is wrong now, with what a person needs to know. It is stored and goes to webhooks: variants and fields
/// are added, never renamed (I9).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Finding {
    /// A provider that errs in bulk is not believed; so many refusals are set aside.
    BreakerTripped { provider: String, parked: u64 },
    /// The servers of a provider refuse what leaves through an exit, so many times without a yes in between.
    ExitRefused { exit: String, provider: String, count: u64, reply: String, link: Option<String> },
    /// The disk of the data directory is nearly full.
    DiskLow { free_octets: u64, size_octets: u64 },
    /// The certificate of the SMTP door ends at `at` (unix seconds).
    CertificateEnds { at: u64 },
    /// A peer has not answered since `since` (unix seconds).
    PeerSilent {
        peer: String,
        since: u64,
        trouble: Option<String>,
        /// The same by key and values (decision 0081).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<serde_json::Value>,
    },
    /// A peer answers, and what it says cannot be used.
    PeerUnusable {
        peer: String,
        trouble: String,
        /// The same by key and values (decision 0081).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<serde_json::Value>,
    },
    /// This node delivered to many addresses that an origin calls dead, and knows so many dead: it is not believed.
    OriginQuarantined { origin: String, fingerprint: String, contradicted: u32, agreed: u32 },
    /// An origin signed two segments for one place: nothing more is taken of it.
    OriginContradicts { origin: String, fingerprint: String },
    /// An origin told more than is usual; that waits for a person.
    OriginParked { origin: String, fingerprint: String, segments: u64, events: u64, bound: String },
    /// The key under which this node publishes ends at `at` (unix seconds), or has ended, and none that comes after it is known.
    TagKeyEnds { key_id: String, at: u64, over: bool },
    /// The administrator's rules for replies cannot be used.
    RulesBroken { detail: String },
    /// The watch blocked a sender, or would have if it were to enforce it; why, as sentences.
    SenderBlocked { org: String, sender: String, observed: bool, english: Vec<String>, french: Vec<String> },
    /// Nothing is wrong: a person wants to see an alert.
    Test,
}

/// What is said of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    Opened,
    /// It lasts.
    Still,
    Closed,
}

/// One thing that goes or went wrong, from its beginning to its end. Times in unix seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// As it was seen last.
    pub finding: Finding,
    pub opened_at: u64,
    /// About when it was seen last: see [`Limits::seen_step_s`].
    pub seen_at: u64,
    pub closed_at: Option<u64>,
    /// What was said of it last, and when.
    pub told: Option<(Turn, u64)>,
}

/// One incident in a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    pub turn: Turn,
    pub opened_at: u64,
    pub finding: Finding,
}

/// What a look led to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Step {
    /// Incidents that are new or changed, by their keys.
    pub changed: BTreeMap<String, Incident>,
    /// Incidents that are over for so long that nobody asks any more.
    pub forgotten: Vec<String>,
    /// Messages to send; one of several parts is a digest.
    pub messages: Vec<Vec<Part>>,
}

/// The limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// What lasts is said again after so long.
    pub repeat_s: u64,
    /// So long something is not found before it is over: what comes and goes is one incident.
    pub close_after_s: u64,
    /// Between two messages about one incident.
    pub quiet_s: u64,
    /// Seconds by which a last sight may be behind: an incident that lasts is not written at each look.
    pub seen_step_s: u64,
    /// Messages in an hour, each mail and webhook counted once; what is more is said together.
    pub per_hour_max: usize,
    /// Incidents that are open at a time; more new ones are left out until others end.
    pub open_max: usize,
    /// Parts of a digest; the others are in the next one.
    pub digest_max: usize,
    /// How long an incident is remembered after its end.
    pub keep_s: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            repeat_s: 86_400,
            close_after_s: 600,
            quiet_s: 3600,
            seen_step_s: 60,
            per_hour_max: 10,
            open_max: 1000,
            digest_max: 50,
            keep_s: 90 * 86_400,
        }
    }
}

impl Finding {
    /// The word in messages to programs, and the first part of the key.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::BreakerTripped { .. } => "breaker-tripped",
            Self::ExitRefused { .. } => "exit-refused",
            Self::DiskLow { .. } => "disk-low",
            Self::CertificateEnds { .. } => "certificate-ends",
            Self::PeerSilent { .. } => "peer-silent",
            Self::PeerUnusable { .. } => "peer-unusable",
            Self::OriginQuarantined { .. } => "origin-quarantined",
            Self::OriginContradicts { .. } => "origin-contradicts",
            Self::OriginParked { .. } => "origin-parked",
            Self::TagKeyEnds { .. } => "tag-key-ends",
            Self::RulesBroken { .. } => "rules-broken",
            Self::SenderBlocked { .. } => "sender-blocked",
            Self::Test => "test",
        }
    }

    /// The same at each look for as long as it is the same trouble: numbers may change meanwhile, the key does not.
    #[must_use]
    pub fn key(&self) -> String {
        let about = match self {
            Self::BreakerTripped { provider, .. } => provider.clone(),
            Self::ExitRefused { exit, provider, .. } => format!("{exit} {provider}"),
            Self::PeerSilent { peer, .. } | Self::PeerUnusable { peer, .. } => peer.clone(),
            Self::OriginQuarantined { fingerprint, .. }
            | Self::OriginContradicts { fingerprint, .. }
            | Self::OriginParked { fingerprint, .. } => fingerprint.clone(),
            Self::TagKeyEnds { key_id, .. } => key_id.clone(),
            Self::SenderBlocked { org, sender, .. } => format!("{org} {sender}"),
            Self::DiskLow { .. } | Self::CertificateEnds { .. } | Self::RulesBroken { .. } | Self::Test => {
                String::new()
            }
        };
        format!("{} {about}", self.kind()).trim_end().to_owned()
    }
}

impl Incident {
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.closed_at.is_none()
    }

    /// What a person should hear of it now, if anything.
    fn due(&self, now: u64, limits: &Limits) -> Option<Turn> {
        let Some((turn, at)) = self.told else { return self.is_open().then_some(Turn::Opened) };
        if now < at.saturating_add(limits.quiet_s) {
            return None;
        }
        match (self.is_open(), turn) {
            (true, Turn::Closed) => Some(Turn::Opened),
            (true, _) => (at.saturating_add(limits.repeat_s) <= now).then_some(Turn::Still),
            (false, Turn::Closed) => None,
            (false, _) => Some(Turn::Closed),
        }
    }
}

/// One look: `found` is all that is wrong at `now` (unix seconds), `sent` when the messages of the last hour left.
#[must_use]
pub fn step(known: &BTreeMap<String, Incident>, found: &[Finding], sent: &[u64], now: u64, limits: &Limits) -> Step {
    let mut step = Step::default();
    let mut open = known.values().filter(|incident| incident.is_open()).count();
    for finding in found {
        let key = finding.key();
        match step.changed.get(&key).or_else(|| known.get(&key)) {
            Some(incident) => {
                if let Some(changed) = seen(incident, finding, now, limits) {
                    step.changed.insert(key, changed);
                }
            }
            None if open < limits.open_max => {
                open += 1;
                let finding = finding.clone();
                let incident = Incident { finding, opened_at: now, seen_at: now, closed_at: None, told: None };
                step.changed.insert(key, incident);
            }
            None => {}
        }
    }
    for (key, incident) in known.iter().filter(|(key, _)| !found.iter().any(|finding| finding.key() == **key)) {
        match incident.closed_at {
            None if incident.seen_at.saturating_add(limits.close_after_s) <= now => {
                step.changed.insert(key.clone(), Incident { closed_at: Some(now), ..incident.clone() });
            }
            Some(at) if at.saturating_add(limits.keep_s) <= now => step.forgotten.push(key.clone()),
            _ => {}
        }
    }
    tell(known, sent, now, limits, &mut step);
    step
}

/// Seconds until a message is tried again at a webhook, after so many tries that failed; none: it is given up. The times
/// are those of the Standard Webhooks, 2.5 days in all.
#[must_use]
pub fn again_s(failed: u32) -> Option<u64> {
    let index = usize::try_from(failed.checked_sub(1)?).ok()?;
    AGAIN_S.get(index).copied()
}

/// An incident that is found again; none where nothing of it changed.
fn seen(incident: &Incident, finding: &Finding, now: u64, limits: &Limits) -> Option<Incident> {
    let stale = incident.seen_at.saturating_add(limits.seen_step_s) <= now || now < incident.seen_at;
    if incident.is_open() && !stale && incident.finding == *finding {
        return None;
    }
    // What ended and was said to have ended is a new one; what nobody heard the end of goes on.
    let anew = !incident.is_open() && incident.told.is_none_or(|(turn, _)| turn == Turn::Closed);
    let opened_at = if anew { now } else { incident.opened_at };
    Some(Incident { finding: finding.clone(), opened_at, seen_at: now, closed_at: None, told: incident.told })
}

/// Puts what is due into messages: one each, until only one is left for this hour; that one holds the rest.
fn tell(known: &BTreeMap<String, Incident>, sent: &[u64], now: u64, limits: &Limits, step: &mut Step) {
    let untouched = known.iter().filter(|(key, _)| !step.changed.contains_key(*key) && !step.forgotten.contains(key));
    let all = untouched.chain(&step.changed);
    let mut due: Vec<(String, Turn, Incident)> =
        all.filter_map(|(key, incident)| Some((key.clone(), incident.due(now, limits)?, incident.clone()))).collect();
    due.sort_by_key(|(_, _, incident)| incident.opened_at);
    let lately = sent.iter().filter(|at| now < at.saturating_add(HOUR_S)).count();
    let left = limits.per_hour_max.saturating_sub(lately);
    let (single, together) = match left {
        0 => return,
        left if due.len() <= left => (due.len(), 0),
        left => (left - 1, limits.digest_max),
    };
    let mut digest = Vec::new();
    for (index, (key, turn, incident)) in due.into_iter().take(single + together).enumerate() {
        let part = Part { turn, opened_at: incident.opened_at, finding: incident.finding.clone() };
        if index < single {
            step.messages.push(vec![part]);
        } else {
            digest.push(part);
        }
        step.changed.insert(key, Incident { told: Some((turn, now)), ..incident });
    }
    if !digest.is_empty() {
        step.messages.push(digest);
    }
}

const HOUR_S: u64 = 3600;
/// Five seconds, five minutes, half an hour, two, five, ten, fourteen, twenty, twenty-four hours.
const AGAIN_S: [u64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];

#[cfg(test)]
mod tests {
    use super::*;

    /// Incidents and messages over time, as the task that looks keeps them.
    #[derive(Default)]
    struct Life {
        known: BTreeMap<String, Incident>,
        sent: Vec<u64>,
    }

    impl Life {
        fn look(&mut self, now: u64, found: &[Finding]) -> Vec<Vec<Turn>> {
            let step = step(&self.known, found, &self.sent, now, &Limits::default());
            self.known.extend(step.changed);
            step.forgotten.iter().for_each(|key| drop(self.known.remove(key)));
            self.sent.extend(step.messages.iter().map(|_| now));
            step.messages.iter().map(|parts| parts.iter().map(|part| part.turn).collect()).collect()
        }
    }

    fn breaker(provider: &str, parked: u64) -> Finding {
        Finding::BreakerTripped { provider: provider.to_owned(), parked }
    }

    const NOTHING: [Vec<Turn>; 0] = [];
    const T: u64 = 1_800_000_000;

    #[test]
    fn an_incident_is_told_at_its_beginning_each_day_and_at_its_end() {
        let mut life = Life::default();
        assert_eq!(life.look(T, &[breaker("google", 20)]), [[Turn::Opened]]);
        for at in (30..86_400).step_by(30) {
            assert_eq!(life.look(T + at, &[breaker("google", 20 + at)]), NOTHING);
        }
        assert_eq!(life.look(T + 86_400, &[breaker("google", 1)]), [[Turn::Still]]);
        let over = T + 86_400 + 3600;
        assert_eq!(life.look(over - 700, &[breaker("google", 1)]), NOTHING);
        assert_eq!(life.look(over - 200, &[]), NOTHING, "it may come back");
        assert_eq!(life.look(over, &[]), [[Turn::Closed]]);
        assert_eq!(life.look(over + 90 * 86_400, &[]), NOTHING);
        assert!(life.known.is_empty(), "{:?}", life.known);
    }

    #[test]
    fn what_comes_and_goes_is_one_incident() {
        let mut life = Life::default();
        assert_eq!(life.look(T, &[breaker("google", 20)]), [[Turn::Opened]]);
        for minute in 1..59 {
            let found = [breaker("google", 20)];
            let found = if minute % 20 < 12 { &found[..] } else { &[] };
            assert_eq!(life.look(T + minute * 60, found), NOTHING);
        }
        assert_eq!(life.known.len(), 1);
        assert_eq!(life.known["breaker-tripped google"].opened_at, T);
    }

    #[test]
    fn who_has_seen_a_message_is_not_told_again_after_a_restart() {
        let mut life = Life::default();
        assert_eq!(life.look(T, &[Finding::DiskLow { free_octets: 5, size_octets: 9 }]), [[Turn::Opened]]);
        let kept = serde_json::to_string(&life.known).unwrap();
        let mut after = Life { known: serde_json::from_str(&kept).unwrap(), sent: vec![T] };
        assert_eq!(after.look(T + 5000, &[Finding::DiskLow { free_octets: 4, size_octets: 9 }]), NOTHING);
        assert_eq!(after.look(T + 5000, &[]), NOTHING);
        assert_eq!(after.look(T + 9000, &[]), [[Turn::Closed]]);
    }

    #[test]
    fn a_flood_is_ten_messages_an_hour_and_nothing_is_left_out() {
        let mut life = Life::default();
        let found: Vec<Finding> = (0..70).map(|n| breaker(&format!("p{n}"), 20)).collect();
        let first = life.look(T, &found);
        assert_eq!((first.len(), first[9].len()), (10, 50));
        assert_eq!(life.look(T + 3599, &found), NOTHING, "the hour is used up");
        let then = life.look(T + 3600, &found);
        assert_eq!(then.iter().map(Vec::len).sum::<usize>(), 11, "those of the first hour apart");
        assert!(life.known.values().all(|incident| incident.told.is_some()));
    }

    #[test]
    fn too_many_incidents_are_not_kept_and_clocks_that_jump_break_nothing() {
        let limits = Limits { open_max: 3, ..Limits::default() };
        let found: Vec<Finding> = (0..9).map(|n| breaker(&format!("p{n}"), 20)).collect();
        assert_eq!(step(&BTreeMap::new(), &found, &[], T, &limits).changed.len(), 3);
        let mut life = Life::default();
        life.look(T, &found[..1]);
        assert_eq!(life.look(5, &found[..1]), NOTHING);
        assert_eq!(life.look(u64::MAX, &[]), [[Turn::Closed]]);
    }

    #[test]
    fn a_webhook_is_tried_ten_times() {
        let times: Vec<u64> = (1..).map_while(again_s).collect();
        assert_eq!((times.len(), times[0], again_s(0), again_s(10)), (9, 5, None, None));
    }
}
