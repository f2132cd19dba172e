//! What suppression and the federation are worth, from what this node counted itself (R27).

use serde::{Deserialize, Serialize};

use crate::exits::mixed;

/// What was counted in a time. All but `spared` are recipients of mails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Answered by a recipient's server for good: delivered or bounced.
    pub decided: u64,
    /// Of them, because the address is dead; also what came back later.
    pub dead: u64,
    /// Stopped because this node itself saw the address refused.
    pub own: u64,
    /// Stopped because this node itself saw the mailbox fail again and again: it would have failed, and is no dead address.
    pub full: u64,
    /// Stopped by an imported list.
    pub imported: u64,
    /// Stopped, or given back after a hold, on the word of other nodes.
    pub federated: u64,
    /// The addresses among `federated` that were stopped so for the first time. None for one organisation: who writes to an
    /// address is not kept.
    pub spared: Option<u64>,
    /// Stopped because a person put the address on a list.
    pub listed: u64,
    /// Stopped because the recipient does not want this mail.
    pub opted_out: u64,
    /// Of the whole node, whoever is asked about.
    pub canaries: Canaries,
}

/// Mail that the word of other nodes would have held, let through at random.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canaries {
    pub sent: u64,
    /// The recipient's server refused the address, at once or in a report.
    pub dead: u64,
    /// The recipient's server took the mail, and nothing came back.
    pub alive: u64,
    /// Refused for another reason, given up, or taken by a smart host, whose yes proves nothing.
    pub unclear: u64,
}

/// A share that is known from a sample: what it is likely to be, and between what it lies with 95 %.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Share {
    pub low: f64,
    pub likely: f64,
    pub high: f64,
}

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Worth {
    /// Sends that did not happen because they are believed to fail.
    pub avoided: u64,
    /// The share of real bounces as it is; none without mail.
    pub bounce_rate: Option<f64>,
    /// The share of real bounces if nothing had been stopped.
    pub bounce_rate_without: Option<Share>,
    /// The share of real bounces if other nodes had said nothing; none where it is not known how many addresses those are.
    pub bounce_rate_alone: Option<Share>,
    /// How many of those that other nodes call dead are dead; none before a canary was answered.
    pub precision: Option<Share>,
}

/// What the counts say.
///
/// What this node saw refused itself is taken as dead. What a list says is taken as dead where it is likely, and as nothing at the
/// low end: nobody measured it. What other nodes say weighs as much as their canaries show; before there are any, it may be
/// nothing or all. Full mailboxes would have failed without being real bounces. Mail that nobody wanted, or that a person
/// stopped, would not have bounced and is left out.
///
/// Without other nodes this one would have learned of each of their dead addresses with one bounce, and stopped the rest itself.
#[must_use]
pub fn worth(counts: &Counts) -> Worth {
    let Counts { decided, dead, own, full, imported, federated, spared, canaries, .. } = *counts;
    let precision = share(canaries.dead, canaries.dead.saturating_add(canaries.alive));
    let believed = precision.unwrap_or(Share { low: 0.0, likely: 0.5, high: 1.0 });
    let avoided = [own, full, imported, federated].into_iter().fold(0, u64::saturating_add);
    let without = |imported_dead, federated_dead| {
        let of_imported = part(imported, imported_dead);
        (float(dead.saturating_add(own)) + of_imported + part(federated, federated_dead))
            / float(decided.saturating_add(avoided))
    };
    let alone = |addresses: u64, federated_dead| {
        (float(dead) + part(addresses, federated_dead)) / float(decided.saturating_add(addresses))
    };
    Worth {
        avoided,
        bounce_rate: (decided != 0).then(|| float(dead) / float(decided)),
        bounce_rate_without: (decided != 0 || avoided != 0).then(|| Share {
            low: without(0.0, believed.low).min(1.0),
            likely: without(1.0, believed.likely).min(1.0),
            high: without(1.0, believed.high).min(1.0),
        }),
        bounce_rate_alone: spared.filter(|addresses| decided != 0 || *addresses != 0).map(|addresses| Share {
            low: alone(addresses, believed.low).min(1.0),
            likely: alone(addresses, believed.likely).min(1.0),
            high: alone(addresses, believed.high).min(1.0),
        }),
        precision,
    }
}

/// A share with its interval of 95 %, after Wilson (1927): it keeps its promise for few of many and for all of few, where the
/// usual one is empty. None of none.
#[must_use]
pub fn share(hits: u64, of: u64) -> Option<Share> {
    if of == 0 {
        return None;
    }
    let (hits, of) = (float(hits.min(of)), float(of));
    let (low, high) = wilson(hits, of, Z_95);
    Some(Share { low, likely: hits / of, high })
}

/// The interval of a share of `count` in `of`, which is more than nothing, within `z` standard deviations.
pub(crate) fn wilson(count: f64, of: f64, z: f64) -> (f64, f64) {
    let (share, z2) = (count / of, z * z);
    let centre = share + z2 / (2.0 * of);
    let half = z * (share * (1.0 - share) / of + z2 / (4.0 * of * of)).max(0.0).sqrt();
    let whole = 1.0 + z2 / of;
    (((centre - half) / whole).max(0.0), ((centre + half) / whole).min(1.0))
}

/// A number in `[0, 1)` for an address on a day (days since 1970), for doors that are asked again and again about one mail:
/// with the dice thrown each time, everything would get through in the end. `tag` is a keyed hash, so that nobody can tell
/// who is let through when.
#[must_use]
pub fn chance(tag: &[u8; 16], day: u64) -> f64 {
    let [a, b, c, d, e, f, g, h, ..] = *tag;
    let seed = u64::from_be_bytes([a, b, c, d, e, f, g, h]) ^ day.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    float(mixed(seed) >> 11) / float(1 << 53)
}

fn part(count: u64, share: f64) -> f64 {
    float(count) * share
}

#[expect(clippy::cast_precision_loss, reason = "counts of mails, far below 2^52")]
fn float(count: u64) -> f64 {
    count as f64
}

/// 95 % of a normal distribution lie within so many standard deviations.
const Z_95: f64 = 1.959_964;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(got: Option<Share>, want: Option<[f64; 3]>) {
        let rounded = |share: f64| (share * 1000.0).round() / 1000.0;
        assert_eq!(got.map(|share| [share.low, share.likely, share.high].map(rounded)), want);
    }

    #[test]
    fn a_small_sample_says_little() {
        // Compared with binconf(x, n, method = "wilson") of R's Hmisc.
        check(share(0, 0), None);
        check(share(0, 10), Some([0.0, 0.0, 0.278]));
        check(share(10, 10), Some([0.722, 1.0, 1.0]));
        check(share(1, 1), Some([0.207, 1.0, 1.0]));
        check(share(95, 100), Some([0.888, 0.95, 0.978]));
        check(share(9500, 10_000), Some([0.946, 0.95, 0.954]));
        // More hits than there were cases are as many.
        check(share(7, 5), Some([0.566, 1.0, 1.0]));
    }

    #[test]
    fn what_was_avoided_would_have_bounced_as_far_as_it_is_known_to_be_dead() {
        let counts = Counts { decided: 1000, dead: 3, own: 40, ..Counts::default() };
        let known = worth(&counts);
        assert_eq!((known.avoided, known.bounce_rate, known.precision), (40, Some(0.003), None));
        check(known.bounce_rate_without, Some([0.041, 0.041, 0.041]));

        // Without a canary, the federation's part may be nothing or all.
        check(worth(&Counts { federated: 60, ..counts }).bounce_rate_without, Some([0.039, 0.066, 0.094]));
        let canaries = Canaries { sent: 110, dead: 95, alive: 5, unclear: 10 };
        let measured = worth(&Counts { federated: 60, canaries, ..counts });
        check(measured.precision, Some([0.888, 0.95, 0.978]));
        check(measured.bounce_rate_without, Some([0.088, 0.091, 0.092]));
        check(worth(&Counts { imported: 60, ..counts }).bounce_rate_without, Some([0.039, 0.094, 0.094]));
        // A full mailbox fails, and is no dead address.
        check(worth(&Counts { full: 60, ..counts }).bounce_rate_without, Some([0.039, 0.039, 0.039]));
        // What would not have bounced changes nothing.
        assert_eq!(worth(&Counts { listed: 99, opted_out: 99, ..counts }), known);
    }

    #[test]
    fn other_nodes_spare_one_bounce_for_each_address_however_often_it_is_written_to() {
        let canaries = Canaries { sent: 100, dead: 95, alive: 5, unclear: 0 };
        let counts = Counts { decided: 1000, dead: 3, federated: 600, canaries, ..Counts::default() };
        check(worth(&counts).bounce_rate_alone, None);
        let known = worth(&Counts { spared: Some(50), ..counts });
        check(known.bounce_rate_alone, Some([0.045, 0.048, 0.049]));
        check(worth(&Counts { spared: Some(0), ..counts }).bounce_rate_alone, Some([0.003, 0.003, 0.003]));
    }

    #[test]
    fn an_address_has_one_chance_a_day_and_all_have_the_same() {
        let tag = |n: u64| {
            let mut tag = [0; 16];
            tag[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
            tag
        };
        let through = |chances: &mut dyn Iterator<Item = f64>| chances.filter(|chance| *chance < 0.02).count();
        // Of fifty thousand at 2 %, a thousand; and so for one address over as many days.
        assert!((900..1100).contains(&through(&mut (0..50_000).map(|n| chance(&tag(n), 20_000)))));
        assert!((900..1100).contains(&through(&mut (0..50_000).map(|day| chance(&tag(7), day)))));
        let all = (0..50_000).map(|n| chance(&tag(n), u64::MAX - n));
        assert!(all.clone().all(|chance| (0.0..1.0).contains(&chance)) && all.clone().any(|chance| 0.99 < chance));
        assert_eq!(chance(&tag(7), 20_000).to_bits(), chance(&tag(7), 20_000).to_bits());
    }

    #[test]
    fn nothing_is_said_of_nothing_and_the_greatest_numbers_are_no_trouble() {
        let nothing = worth(&Counts { spared: Some(0), ..Counts::default() });
        assert_eq!((nothing.bounce_rate, nothing.bounce_rate_without, nothing.bounce_rate_alone), (None, None, None));
        let (own, spared) = (u64::MAX, Some(u64::MAX));
        let all = Counts { decided: u64::MAX, dead: u64::MAX, own, federated: u64::MAX, spared, ..Counts::default() };
        assert!(worth(&all).bounce_rate_without.is_some_and(|share| share.high <= 1.0));
    }
}
