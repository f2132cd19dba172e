//! What is wrong at the moment. Whoever learns to see something new adds a function here, a variant of `Finding` in
//! `rules`, and its sentences in `words`; when and how often it is said is decided for all of them in `rules::alerts`.

use std::path::Path;

use sm2tp_rules::alerts::Finding;
use sm2tp_rules::classify::Said;
use sm2tp_rules::watch::{By, Level};
use sm2tp_store::alerts::Space;
use sm2tp_store::federated::{Ended, Peer, PeerState};
use sm2tp_store::ledger::{RefusedExit, refused_exits};
use sm2tp_store::senders::{Listed, Mode};

use super::{AlertError, Watched};
use crate::tls::renewed_by;
use crate::{House, identity};

/// All that is wrong at `now` (unix seconds).
pub(super) async fn all(house: &House, watched: &Watched, now: u64) -> Result<Vec<Finding>, AlertError> {
    let mut found = Vec::new();
    found.extend(rules(house));
    found.extend(breakers(house, now));
    found.extend(senders(house, now));
    found.extend(exits(house, now).await?);
    found.extend(disk(&watched.data_dir));
    let life = watched.certificates.as_ref().and_then(|certificates| certificates.life());
    found.extend(life.and_then(|life| certificate(life, now)));
    found.extend(house.federation.store.peers().await?.iter().filter_map(|known| peer(known, now)));
    found.extend(origins(house).await?);
    found.extend(tag_key(house, now));
    Ok(found)
}

/// Origins that are not believed, or tell too much.
async fn origins(house: &House) -> Result<Vec<Finding>, AlertError> {
    let store = &house.federation.store;
    let quarantined: Vec<_> = store.look(|index| {
        let all = index.origins().filter(|(_, _, judgement)| judgement.quarantined_since.is_some());
        all.map(|(origin, _, judgement)| (origin, judgement.tally())).collect()
    });
    let mut found = Vec::new();
    for (origin, tally) in quarantined {
        found.push(Finding::OriginQuarantined {
            origin: store.name(origin).await?,
            fingerprint: origin.fingerprint(),
            contradicted: tally.contradicted,
            agreed: tally.agreed,
        });
    }
    let contradicting: Vec<_> = store.look(|index| index.contradicting().iter().copied().take(SHOWN_MAX).collect());
    for origin in contradicting {
        let fingerprint = origin.fingerprint();
        found.push(Finding::OriginContradicts { origin: store.name(origin).await?, fingerprint });
    }
    let parked: Vec<_> = store.look(|index| {
        let waiting = index.parked().iter().filter(|(_, waiting)| !waiting.is_let_in()).take(SHOWN_MAX);
        waiting.map(|(origin, waiting)| (*origin, waiting.clone())).collect()
    });
    for (origin, waiting) in parked {
        found.push(Finding::OriginParked {
            origin: store.name(origin).await?,
            fingerprint: origin.fingerprint(),
            segments: waiting.segments,
            events: waiting.events,
            bound: waiting.why,
        });
    }
    Ok(found)
}

fn tag_key(house: &House, now: u64) -> Option<Finding> {
    let Ended { key_id, at } = identity::lapses(&house.federation, now)?;
    Some(Finding::TagKeyEnds { key_id: key_id.to_string(), at, over: at < now })
}

fn rules(house: &House) -> Option<Finding> {
    let trouble = house.federation.publisher.classifier.trouble()?;
    Some(Finding::RulesBroken { detail: trouble.to_string() })
}

fn breakers(house: &House, now: u64) -> Vec<Finding> {
    let tripped = house.ledger.breakers().list(now).into_iter();
    tripped.map(|found| Finding::BreakerTripped { provider: found.provider, parked: found.parked }).collect()
}

/// Whom a person blocked, a person knows.
fn senders(house: &House, now: u64) -> Vec<Finding> {
    let observed = house.senders.mode() == Mode::Observe;
    let blocked = house.senders.list(now).into_iter().filter(|it| (it.level, it.by) == (Level::Blocked, By::Watch));
    let finding =
        |Listed { org, sender, english, french, .. }| Finding::SenderBlocked { org, sender, observed, english, french };
    blocked.map(finding).collect()
}

async fn exits(house: &House, now: u64) -> Result<Vec<Finding>, AlertError> {
    let refused = house.ledger.read(|sql| Ok(refused_exits(sql)?)).await?;
    let rules = house.federation.publisher.classifier.rules();
    let link = |text: &str| rules.classify(&Said::of_text(text)).link.map(|link| link.to_string());
    Ok(refused.into_iter().filter(|refused| is_sure(refused, now)).map(|refused| exit(refused, link)).collect())
}

fn exit(refused: RefusedExit, link: impl Fn(&str) -> Option<String>) -> Finding {
    let RefusedExit { exit, provider, count, text, .. } = refused;
    Finding::ExitRefused { exit, provider, count, link: link(&text), reply: text }
}

/// A block list that is named is enough; a vaguer word is believed at the third time. What nobody was sent to for days
/// is not known any more.
fn is_sure(refused: &RefusedExit, now: u64) -> bool {
    let times = if refused.sub.as_deref() == Some("listed") { 1 } else { REFUSED_MIN };
    times <= refused.count && now < refused.last_at.saturating_add(REFUSED_KNOWN_S)
}

fn disk(data_dir: &Path) -> Option<Finding> {
    low(Space::of(data_dir).ok()??)
}

fn low(space: Space) -> Option<Finding> {
    let Space { free_octets, size_octets } = space;
    space.is_low().then_some(Finding::DiskLow { free_octets, size_octets })
}

fn certificate(life: (u64, u64), now: u64) -> Option<Finding> {
    (renewed_by(life) <= now).then_some(Finding::CertificateEnds { at: life.1 })
}

fn peer(peer: &Peer, now: u64) -> Option<Finding> {
    if peer.state != PeerState::Accepted || !peer.read {
        return None;
    }
    let heard_at = peer.answered_at.unwrap_or(peer.added_at);
    if heard_at.saturating_add(SILENT_S) <= now {
        let (trouble, reason) = (peer.trouble.clone(), peer.reason.clone());
        return Some(Finding::PeerSilent { peer: peer.name.clone(), since: heard_at, trouble, reason });
    }
    // It answered at the last try, and something was wrong with the answer.
    let trouble = peer.trouble.clone().filter(|_| peer.answered_at == peer.polled_at)?;
    Some(Finding::PeerUnusable { peer: peer.name.clone(), trouble, reason: peer.reason.clone() })
}

/// Origins of one kind that are told of; a person sees the others in the list.
const SHOWN_MAX: usize = 50;
const REFUSED_MIN: u64 = 3;
const REFUSED_KNOWN_S: u64 = 3 * 86_400;
/// Peers are asked every few minutes; a night of maintenance is no alarm.
const SILENT_S: u64 = 86_400;

#[cfg(test)]
mod tests {
    use sm2tp_federation::keys::NodeKey;

    use super::*;

    const T: u64 = 1_800_000_000;
    const DAY: u64 = 86_400;

    #[test]
    fn a_disk_is_low_before_the_spool_is_full() {
        let space = |free_octets, size_octets| low(Space { free_octets, size_octets }).is_some();
        let gib = 1024 * 1024 * 1024;
        assert!(space(gib - 1, 100 * gib) && !space(gib, 100 * gib));
        assert!(space(gib / 20, gib) && !space(gib / 5, gib), "a small disk counts by its size");
    }

    #[test]
    fn a_certificate_is_near_its_end_when_nobody_renewed_it() {
        let near = |days: u64, left: u64| certificate((T, T + days * DAY), T + (days - left) * DAY).is_some();
        assert!(near(90, 14) && !near(90, 15) && near(365, 14) && near(90, 0));
        assert!(near(6, 1) && !near(6, 2), "one of six days");
    }

    #[test]
    fn an_exit_is_refused_when_a_list_is_named_or_nobody_takes_mail() {
        let refused = |sub: Option<&str>, count, last_at| RefusedExit {
            exit: "b".into(),
            provider: "orange".into(),
            since: T,
            last_at,
            count,
            text: "no".into(),
            sub: sub.map(str::to_owned),
        };
        assert!(is_sure(&refused(Some("listed"), 1, T), T));
        assert!(!is_sure(&refused(Some("rdns"), 2, T), T) && is_sure(&refused(None, 3, T), T));
        assert!(!is_sure(&refused(Some("listed"), 9, T), T + 3 * DAY));
    }

    #[test]
    fn a_peer_is_silent_after_a_day_and_unusable_when_its_answer_is() {
        let of = |state, read, answered_at, polled_at, trouble: Option<&str>| Peer {
            read,
            weight: 1.0,
            polled_at,
            answered_at,
            trouble: trouble.map(str::to_owned),
            ..Peer::new(NodeKey([1; 32]), "", "B", state, T)
        };
        use PeerState::{Accepted, Invited};
        let kind = |known: Peer, now| peer(&known, now).map(|found| found.kind());
        assert_eq!(kind(of(Accepted, true, None, Some(T), Some("away")), T + DAY - 1), None);
        assert_eq!(kind(of(Accepted, true, None, Some(T), Some("away")), T + DAY), Some("peer-silent"));
        assert_eq!(kind(of(Accepted, true, Some(T + 5), Some(T + 9), Some("away")), T + DAY), None);
        assert_eq!(kind(of(Accepted, true, Some(T + 9), Some(T + 9), Some("forged")), T + 9), Some("peer-unusable"));
        assert_eq!(kind(of(Accepted, true, Some(T + 9), Some(T + 9), None), T + 9), None);
        assert_eq!(kind(of(Invited, true, None, None, None), T + 9 * DAY), None);
        assert_eq!(kind(of(Accepted, false, None, None, None), T + 9 * DAY), None);
    }
}
